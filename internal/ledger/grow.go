package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/store"
)

// growMost is how many events one transaction gives places to.
const growMost = 4096

// errStopped says that the log may not be signed; it wraps why.
var errStopped = errors.New("the log is stopped")

// stopping makes a reason to stop of a fault of the tree, and leaves alone that
// the database could not be asked.
func stopping(err error) error {
	if errors.Is(err, errUnread) {
		return err
	}
	return fmt.Errorf("%w: %w", errStopped, err)
}

// entry is an event with the leaf that it adds.
type entry struct {
	ID         uuid.UUID
	Leaf       []byte
	OccurredAt time.Time
	PreviousID *uuid.UUID
}

// grow gives pending events their places and signs the head of the tree that
// comes of it. It tells the log as it stands then, and how many it placed; a log
// that another process holds is left alone. kept is the newest head that this
// process knows to be outside the database, or none.
func grow(tx *store.Tx, kept *Head) (l Log, n int, err error) {
	l, err = one(tx, "ended_at IS NULL", tx.SkipLocked())
	if err != nil {
		return Log{}, 0, err
	}
	if l.Stopped != "" {
		return l, 0, nil
	}
	t := tilesOf(tx, l.Number)
	if err := t.check(l, kept); err != nil {
		return l, 0, stopping(err)
	}
	entries, err := take(tx, growMost)
	if err != nil || len(entries) == 0 {
		return l, 0, err
	}
	if err := place(tx, l, t, entries); err != nil {
		return l, 0, err
	}
	l.Size += int64(len(entries))
	root, err := tlog.TreeHash(l.Size, t)
	if err != nil {
		return l, 0, fmt.Errorf("compute the root: %w", err)
	}
	l.Root = root[:]
	if l.Checkpoint, err = l.sign(tx); err != nil {
		return l, 0, err
	}
	_, err = tx.Run("UPDATE logs SET size = ?, root = ?, checkpoint = ?, signed_at = ? WHERE number = ?", l.Size, l.Root, l.Checkpoint, tx.Now(), l.Number)
	if err != nil {
		return l, 0, fmt.Errorf("store the checkpoint: %w", err)
	}
	return l, len(entries), nil
}

func (l Log) sign(tx *store.Tx) (string, error) {
	s, err := l.signer(tx)
	if err != nil {
		return "", err
	}
	tree, err := l.tree()
	if err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: Head{l.Origin, l.Size, tree.Hash}.text()}, s)
	if err != nil {
		return "", fmt.Errorf("sign the checkpoint: %w", err)
	}
	return string(signed), nil
}

// check compares the tree with what was signed of it, and with what was kept
// outside the database. Its error names what differs, for a person to read.
func (t *tiles) check(l Log, kept *Head) error {
	root, err := tlog.TreeHash(l.Size, t)
	if err != nil {
		return fmt.Errorf("the tiles are not whole: %w", err)
	}
	if !bytes.Equal(root[:], l.Root) {
		return fmt.Errorf("the tiles have another root than the checkpoint of size %d", l.Size)
	}
	if kept == nil {
		return nil
	}
	return t.follows(l, *kept)
}

// follows reports whether the tree is one that grew from the head.
func (t *tiles) follows(l Log, h Head) error {
	switch {
	case h.Origin != l.Origin:
		return fmt.Errorf("the database has the log %s, and %s was kept outside it", l.Origin, h.Origin)
	case h.Size > l.Size:
		return fmt.Errorf("the database is older than what was shown: it has %d entries, and a checkpoint of %d was signed", l.Size, h.Size)
	}
	root, err := tlog.TreeHash(h.Size, t)
	if err != nil {
		return fmt.Errorf("the tiles are not whole: %w", err)
	}
	if root != h.Root {
		return fmt.Errorf("the database has another tree than the checkpoint of size %d that was kept outside it", h.Size)
	}
	return nil
}

// take takes pending events, what people do before all else, and each after the
// one it follows: so many, and those that some of them follow.
func take(tx *store.Tx, most int) ([]entry, error) {
	var ids []uuid.UUID
	err := tx.Raw("SELECT event_id FROM log_pending ORDER BY bulk, event_id LIMIT ?", most).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("read what the log is to take: %w", err)
	}
	var all []entry
	seen := map[uuid.UUID]bool{}
	for len(ids) > 0 {
		some, err := entriesOf(tx, ids)
		if err != nil {
			return nil, err
		}
		some = slices.DeleteFunc(some, func(e entry) bool { return len(e.Leaf) == 0 || len(e.Leaf) > math.MaxUint16 }) // no leaf of ours: Audit names it
		for _, e := range some {
			seen[e.ID] = true
		}
		all = append(all, some...)
		if ids, err = before(tx, some, seen); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return all, nil
}

// entriesOf reads events by their keys. One that is not there stays pending: it
// was deleted behind the program's back, and Audit names it.
func entriesOf(tx *store.Tx, ids []uuid.UUID) ([]entry, error) {
	rows := make([][]any, len(ids))
	for i, id := range ids {
		rows[i] = []any{id}
	}
	from, args := tx.Rows("v", "id uuid", rows)
	var all []entry
	err := tx.Raw(`SELECT e.id, e.leaf, e.occurred_at, e.previous_id FROM `+from+` JOIN consent_events e ON e.id = v.id`, args...).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read events for the log: %w", err)
	}
	if len(all) == len(ids) {
		return all, nil
	}
	var more []entry
	err = tx.Raw(`SELECT e.id, e.leaf, e.occurred_at FROM `+from+` JOIN change_events e ON e.id = v.id`, args...).Scan(&more).Error
	if err != nil {
		return nil, fmt.Errorf("read changes for the log: %w", err)
	}
	return append(all, more...), nil
}

// before are the pending events that some follow and that were not taken yet.
func before(tx *store.Tx, some []entry, seen map[uuid.UUID]bool) ([]uuid.UUID, error) {
	var rows [][]any
	for _, e := range some {
		if e.PreviousID != nil && !seen[*e.PreviousID] {
			rows = append(rows, []any{*e.PreviousID})
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	from, args := tx.Rows("v", "id uuid", rows)
	var ids []uuid.UUID
	if err := tx.Raw(`SELECT p.event_id FROM `+from+` JOIN log_pending p ON p.event_id = v.id AND p.bulk IN (TRUE, FALSE)`, args...).Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("read what goes before: %w", err)
	}
	return ids, nil
}

// place gives entries the next places of the log.
func place(tx *store.Tx, l Log, t *tiles, entries []entry) error {
	hashes, rows, ids := make([]tlog.Hash, len(entries)), make([][]any, len(entries)), make([][]any, len(entries))
	for i, e := range entries {
		hashes[i] = tlog.RecordHash(e.Leaf)
		rows[i] = []any{l.Number, l.Size + int64(i), e.ID}
		ids[i] = []any{e.ID}
	}
	if err := t.add(l.Size, hashes); err != nil {
		return err
	}
	if err := t.store(); err != nil {
		return err
	}
	if _, err := tx.InsertAll("log_entries", "log integer, place bigint, event_id uuid", rows, ""); err != nil {
		return fmt.Errorf("place events in the log: %w", err)
	}
	from, args := tx.Rows("v", "id uuid", ids)
	_, err := tx.Run(`DELETE FROM log_pending WHERE bulk IN (TRUE, FALSE) AND event_id IN (SELECT v.id FROM `+from+`)`, args...)
	if err != nil {
		return fmt.Errorf("forget what was pending: %w", err)
	}
	return nil
}

// show lets the world see a checkpoint that is kept outside the database.
func show(tx *store.Tx, l Log) error {
	_, err := tx.Run("UPDATE logs SET shown = ?, shown_size = ? WHERE number = ? AND shown_size < ? AND ended_at IS NULL", l.Checkpoint, l.Size, l.Number, l.Size)
	if err != nil {
		return fmt.Errorf("show the checkpoint: %w", err)
	}
	return nil
}

// halt keeps every process from signing, and holds sending back: the withdrawals
// since may be missing.
func halt(tx *store.Tx, l Log, why string) error {
	if _, err := tx.Run("UPDATE logs SET stopped = ? WHERE number = ? AND stopped = ''", why, l.Number); err != nil {
		return fmt.Errorf("stop the log: %w", err)
	}
	since := tx.Now()
	if l.SignedAt != nil {
		since = l.SignedAt.UTC()
	}
	return tx.PauseSending(since)
}
