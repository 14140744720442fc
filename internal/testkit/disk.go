package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// SmallDisk is a disk of its own, in memory, that a test may fill.
type SmallDisk struct {
	Dir string // its top folder, which anybody may write to
}

// Disk mounts a disk of so many megabytes; only root may. It goes with the test.
func Disk(tb testing.TB, name string, megabytes int) *SmallDisk {
	tb.Helper()
	dir := testFolder(tb, name)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0777", megabytes)); err != nil {
		tb.Fatalf("mount a small disk, which takes root: %v", err)
	}
	tb.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return &SmallDisk{Dir: dir}
}

// folder makes one on the disk, for a server that may run as nobody.
func (d *SmallDisk) folder(tb testing.TB, name string) string {
	tb.Helper()
	dir := filepath.Join(d.Dir, name)
	err := os.Mkdir(dir, 0o700)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(dir, nobody, nobody)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

func (d *SmallDisk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill takes every byte that is left.
func (d *SmallDisk) Fill(tb testing.TB) {
	tb.Helper()
	file, err := os.Create(d.ballast())
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	for chunk := int64(64 << 20); chunk > 0; {
		at, err := file.Seek(0, 2)
		if err == nil {
			err = syscall.Fallocate(int(file.Fd()), 0, at, chunk)
		}
		if errors.Is(err, syscall.ENOSPC) {
			chunk /= 2
		} else if err != nil {
			tb.Fatalf("fill a disk: %v", err)
		}
	}
}

// Free gives back what Fill took.
func (d *SmallDisk) Free(tb testing.TB) {
	tb.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		tb.Fatal(err)
	}
}
