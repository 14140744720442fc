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
	"syscall"
	"time"

	"github.com/google/uuid"
)

// Outside is what is kept of the log in a folder beside the database: the newest
// checkpoint, so that a database that is older than it is noticed, and what
// people took back, so that a database restored from an older copy can be told.
// Several processes may share the folder.
//
//	checkpoint    the signed note, as the world sees it
//	withdrawals   a line of JSON for each withdrawal that the checkpoint covers
//	lock          held while either is written
type Outside struct{ dir string }

const (
	checkpointFile  = "checkpoint"
	withdrawalsFile = "withdrawals"
	lockFile        = "lock"
)

// OpenOutside makes the folder "ledger" in the data folder, readable by the
// program alone.
func OpenOutside(dataDir string) (Outside, error) {
	o := Outside{filepath.Join(dataDir, "ledger")}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return o, fmt.Errorf("make the ledger's folder: %w", err)
	}
	return o, nil
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

// Withdrawal is what somebody took back, as the log's leaf has it: no address,
// no name.
type Withdrawal struct {
	Event   uuid.UUID `json:"event"`
	Brand   uuid.UUID `json:"brand"`
	Subject uuid.UUID `json:"subject"`
	Topic   uuid.UUID `json:"topic"`
	State   string    `json:"state"`
	Method  string    `json:"method"`
	At      time.Time `json:"at"`
}

// keep writes the withdrawals and then the checkpoint that covers them, both to
// disk before it returns. Nothing is written where the folder has a newer
// checkpoint of the log: another process was here. A withdrawal may be there
// twice after a crash between the two; that harms nobody.
func (o Outside) keep(l Log, took []Withdrawal) (err error) {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if h, err := o.Kept(); err != nil {
		return err
	} else if h != nil && h.Origin == l.Origin && h.Size >= l.Size {
		return nil
	}
	if err := o.append(took); err != nil {
		return fmt.Errorf("keep the withdrawals outside the database: %w", err)
	}
	if err := o.replace(checkpointFile, []byte(l.Checkpoint)); err != nil {
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

func (o Outside) append(took []Withdrawal) error {
	if len(took) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, w := range took {
		line, err := json.Marshal(w)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(o.path(withdrawalsFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if torn(f) {
		b = *bytes.NewBuffer(append([]byte{'\n'}, b.Bytes()...))
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Sync(), f.Close())
}

// torn reports that the file's last line has no end, for the process or the disk
// failed it.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// replace puts a file in the place of another at once, and on disk.
func (o Outside) replace(name string, content []byte) error {
	f, err := os.CreateTemp(o.dir, "."+name+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), o.path(name)); err != nil {
		return err
	}
	d, err := os.Open(o.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Withdrawals are those that were kept, from a time on. The checkpoint of a line
// that a crash has torn was never shown, and the line was written anew.
func (o Outside) Withdrawals(since time.Time) ([]Withdrawal, error) {
	f, err := os.Open(o.path(withdrawalsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the withdrawals that were kept: %w", err)
	}
	defer f.Close()
	var all []Withdrawal
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var w Withdrawal
		if json.Unmarshal(lines.Bytes(), &w) == nil && !w.At.Before(since) {
			all = append(all, w)
		}
	}
	return all, lines.Err()
}

// withdrawalsKept is how long a withdrawal is kept outside: longer than anybody
// should keep a backup.
const withdrawalsKept = 400 * 24 * time.Hour

// Forget drops the withdrawals from before a time.
func (o Outside) forget(before time.Time) error {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := o.Withdrawals(time.Time{})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	left := 0
	for _, w := range all {
		if w.At.Before(before) {
			continue
		}
		left++
		line, err := json.Marshal(w)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	if left == len(all) {
		return nil
	}
	return o.replace(withdrawalsFile, b.Bytes())
}
