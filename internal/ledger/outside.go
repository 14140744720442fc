package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"assent/internal/durable"
)

// Outside is what is kept of the log in a folder beside the database: the newest
// checkpoint, so that a database that is older than it is noticed, and what
// holds mail back, so that a database restored from an older copy can be told.
// Several processes may share the folder.
//
//	checkpoint   the signed note, as the world sees it
//	restraints   a line of JSON for each Restraint: those in the log before the
//	             checkpoint that covers them, suppressions soon after they are set
//	lock         held while either is written
type Outside struct{ dir string }

const (
	checkpointFile = "checkpoint"
	restraintsFile = "restraints"
	lockFile       = "lock"
)

// OpenOutside makes the folder "ledger" in the data folder, readable by the
// program alone.
func OpenOutside(dataDir string) (Outside, error) {
	o := Outside{filepath.Join(dataDir, "ledger")}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return o, fmt.Errorf("make the ledger's folder: %w", err)
	}
	return o, o.rename()
}

// rename gives the file of restraints its name: while it held withdrawals only, it
// was called so.
func (o Outside) rename() error {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(o.path(restraintsFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(o.path("withdrawals"), o.path(restraintsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rename the ledger's list of withdrawals: %w", err)
	}
	return nil
}

// KeptIn reads the checkpoint that is kept in a data folder, and makes nothing
// there; nil where there is none.
func KeptIn(dataDir string) (*Head, error) { return Outside{filepath.Join(dataDir, "ledger")}.Kept() }

// Kept reads the checkpoint that is kept; nil where there is none.
func (o Outside) Kept() (*Head, error) {
	text, err := os.ReadFile(o.path(checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint that was kept: %w", err)
	}
	h, err := ReadHead(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.path(checkpointFile), err)
	}
	return &h, nil
}

func (o Outside) path(name string) string { return filepath.Join(o.dir, name) }

// keep writes the restraints and then the checkpoint that covers them, both to
// disk before it returns. Nothing is written where the folder has a newer
// checkpoint of the log: another process was here. One of another log is only
// replaced if that is among those that ended. A restraint may be there twice
// after a crash between the two; that harms nobody.
func (o Outside) keep(l Log, ended []string, some []Restraint) (err error) {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	h, err := o.Kept()
	switch {
	case err != nil:
		return err
	case h != nil && h.Origin == l.Origin && h.Size >= l.Size:
		return nil
	case h != nil && h.Origin != l.Origin && !slices.Contains(ended, h.Origin):
		return fmt.Errorf("the log %s was kept outside the database meanwhile, and is not known to have ended", h.Origin)
	}
	if err := o.append(some); err != nil {
		return err
	}
	if err := durable.Replace(o.path(checkpointFile), []byte(l.Checkpoint)); err != nil {
		return fmt.Errorf("keep the checkpoint outside the database: %w", err)
	}
	return nil
}

func (o Outside) lock() (unlock func(), err error) {
	f, err := os.OpenFile(o.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the ledger's folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the ledger's folder: %w", err)
	}
	return func() { f.Close() }, nil
}

// append needs the lock.
func (o Outside) append(some []Restraint) error {
	lines, err := linesOf(some)
	if err == nil {
		err = durable.Append(o.path(restraintsFile), lines)
	}
	if err != nil {
		return fmt.Errorf("keep outside the database what holds mail back: %w", err)
	}
	return nil
}

func linesOf(some []Restraint) ([]byte, error) {
	var b bytes.Buffer
	for _, r := range some {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes(), nil
}

// Restraints are those that were kept, in the order in which they were. The
// checkpoint of a line that a crash has torn was never shown, and the line was
// written anew.
func (o Outside) Restraints() ([]Restraint, error) {
	f, err := os.Open(o.path(restraintsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was kept of what holds mail back: %w", err)
	}
	defer f.Close()
	var all []Restraint
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r Restraint
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			all = append(all, r)
		}
	}
	return all, lines.Err()
}

// restraintsKept is how long a restraint is kept outside: longer than anybody
// should keep a backup.
const restraintsKept = 400 * 24 * time.Hour

// forget drops the restraints from before a time, and what crashes have left.
func (o Outside) forget(before time.Time) error {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(durable.Sweep(o.path(checkpointFile)), durable.Sweep(o.path(restraintsFile))); err != nil {
		return fmt.Errorf("tidy the ledger's folder: %w", err)
	}
	all, err := o.Restraints()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(r Restraint) bool { return r.At.Before(before) })
	if len(left) == len(all) {
		return nil
	}
	lines, err := linesOf(left)
	if err != nil {
		return err
	}
	return durable.Replace(o.path(restraintsFile), lines)
}
