// Package durable writes the small files that outlive a database: what is said to
// be written is on disk, and what a crash has torn is told from what is whole.
// It fails with the operating system's error; the caller says what it was doing.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Append adds whole lines to a file, each ended by a newline, and makes the file
// where there is none, readable by the program alone. When it returns, file and
// folder are on disk. A line before them that a crash left without an end is
// ended first, so that it swallows none of them: its reader has to pass over
// lines that say nothing. Others may be adding to it, of this program or another:
// each waits its turn, since a line half written by them looks like a torn one.
func Append(path string, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { // until f is closed
		return errors.Join(err, f.Close())
	}
	if torn(f) {
		lines = append([]byte{'\n'}, lines...)
	}
	_, err = f.Write(lines)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(path)
}

// torn tells that the file ends within a line.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// Replace puts content in the place of a file at once: a reader, and whoever
// starts after a crash, sees the one or the other. What a crash leaves of the
// work in between goes by Sweep.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), temporary(path)+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(path)
}

// Sweep removes what crashes have left of replacing a file. Nobody may be
// replacing it meanwhile.
func Sweep(path string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), temporary(path)+"*"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func temporary(path string) string { return "." + filepath.Base(path) + "-" }

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
