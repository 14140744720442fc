package privacy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/durable"
	"assent/internal/store"
)

// File is the name, in the data folder, of the list of erasures.
const File = "erasures"

// beside keeps the erasures in a file as well: a line each, pseudonym and time,
// which is only ever added to and on disk before anybody is told.
type beside struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	known map[uuid.UUID]bool
}

type besideKey struct{}

type erasure struct {
	SubscriberID uuid.UUID
	At           time.Time
}

// KeepBeside keeps the erasures of this database in the data folder, which must
// outlive the database's copies. What is there already is read. A line that a
// crash has torn counts for nothing: its erasure is in the database, and is
// written again by CatchUp.
func KeepBeside(db *store.DB, dataDir string, log *slog.Logger) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("keep erasures in the data folder: %w", err)
	}
	k := &beside{path: filepath.Join(dataDir, File), log: log, known: map[uuid.UUID]bool{}}
	all, err := k.read()
	if err != nil {
		return err
	}
	for _, e := range all {
		k.known[e.SubscriberID] = true
	}
	db.Attach(besideKey{}, k)
	return nil
}

func (k *beside) read() (all []erasure, err error) {
	f, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of erasures: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); ; {
		if !lines.Scan() {
			return all, lines.Err()
		}
		name, when, _ := strings.Cut(lines.Text(), " ")
		id, err := uuid.Parse(name)
		at, err2 := time.Parse(time.RFC3339Nano, when)
		if err == nil && err2 == nil {
			all = append(all, erasure{id, at})
		}
	}
}

// write adds erasures that the file lacks. A failure is told in the log and made
// good at the next start: the database has them.
func (k *beside) write(all ...erasure) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.add(all); err != nil {
		k.log.Error("an erasure could not be written beside the database; after a restore it would be missing", "file", k.path, "error", err)
	}
}

func (k *beside) add(all []erasure) error {
	var text strings.Builder
	for _, e := range all {
		if !k.known[e.SubscriberID] {
			fmt.Fprintf(&text, "%s %s\n", e.SubscriberID, e.At.UTC().Format(time.RFC3339Nano))
		}
	}
	if text.Len() == 0 {
		return nil
	}
	if err := durable.Append(k.path, []byte(text.String())); err != nil {
		return err
	}
	for _, e := range all {
		k.known[e.SubscriberID] = true
	}
	return nil
}

// catchUpAtOnce is how many erasures are read at a time.
const catchUpAtOnce = 1000

// CatchUp brings database and file together: whoever stands in the file and not
// in the table was erased after this copy of the database was taken, and is
// erased again, each in a transaction; erasures that the file lacks are written
// there. It gives how many were erased again. Somebody who is not in this copy
// has nothing in it to erase.
func CatchUp(ctx context.Context, db *store.DB) (again int, err error) {
	k, ok := db.Attached(besideKey{}).(*beside)
	if !ok {
		return 0, nil
	}
	kept, err := k.read()
	if err != nil {
		return 0, err
	}
	for _, e := range kept {
		did := false
		if err := db.Write(ctx, func(tx *store.Tx) (err error) { did, err = eraseAgain(tx, e); return err }); err != nil {
			return again, fmt.Errorf("erase anew %s: %w", e.SubscriberID, err)
		}
		if did {
			again++
		}
	}
	return again, topUp(ctx, db, k)
}

func eraseAgain(tx *store.Tx, e erasure) (did bool, err error) {
	var known bool
	if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM erasures WHERE subscriber_id = ?)", e.SubscriberID).Scan(&known).Error; err != nil || known {
		return false, err
	}
	var brands []uuid.UUID
	if err := tx.Raw("SELECT brand_id FROM subscribers WHERE id = ? AND erased_at IS NULL", e.SubscriberID).Scan(&brands).Error; err != nil {
		return false, err
	}
	if len(brands) == 0 {
		_, err := tx.Run("INSERT INTO erasures (subscriber_id, at) VALUES (?, ?) ON CONFLICT (subscriber_id) DO NOTHING", e.SubscriberID, e.At)
		return false, err
	}
	b, err := brand.Find(tx, brands[0])
	if err != nil {
		return false, err
	}
	return true, Erase(tx, b, e.SubscriberID, MethodRestore, consent.EntityController)
}

// topUp writes into the file what other nodes erased, or what a crash kept out of it.
func topUp(ctx context.Context, db *store.DB, k *beside) error {
	for after := uuid.Nil; ; {
		var page []erasure
		err := db.Read(ctx, func(tx *store.Tx) error {
			page = nil
			return tx.Raw("SELECT subscriber_id, at FROM erasures WHERE subscriber_id > ? ORDER BY subscriber_id LIMIT ?", after, catchUpAtOnce).Scan(&page).Error
		})
		if err != nil {
			return fmt.Errorf("read the erasures: %w", err)
		}
		k.mu.Lock()
		err = k.add(page)
		k.mu.Unlock()
		if err != nil {
			return fmt.Errorf("write the erasures into the data folder: %w", err)
		}
		if len(page) < catchUpAtOnce {
			return nil
		}
		after = page[len(page)-1].SubscriberID
	}
}
