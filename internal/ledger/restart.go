package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gowebpki/jcs"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// begunSchema names the form of the first entry of a log that follows another.
const begunSchema = "urn:assent:log-begun:1"

// KindBegun is the kind of that entry's change event.
const KindBegun = "log-begun"

// Restart ends the growing log and begins another, of another origin and key,
// whose first entry says which log it follows and how far that was known to have
// grown: what this database has of it, and what was kept outside. All events get
// places in it anew. Sending is paused until a person has reconciled what others
// know since (store.DB.ResumeSending). reason is for readers of the log,
// in a few words that are public.
func Restart(tx *store.Tx, kept *Head, origin, reason string) (Log, error) {
	old, err := one(tx, "ended_at IS NULL", tx.ForUpdate())
	if err != nil {
		return Log{}, err
	}
	all, err := All(tx)
	if err != nil {
		return Log{}, err
	}
	if _, err := tx.Run("UPDATE logs SET ended_at = ? WHERE number = ?", tx.Now(), old.Number); err != nil {
		return Log{}, fmt.Errorf("end the log: %w", err)
	}
	number := old.Number + 1
	if kept != nil && !slices.ContainsFunc(all, func(l Log) bool { return l.Origin == kept.Origin }) {
		if err := remember(tx, number, *kept); err != nil { // this database is from before that log
			return Log{}, err
		}
		number++
	}
	if err := begin(tx, number, origin+"/"+tx.Now().Format("20060102T150405.000000Z")); err != nil {
		return Log{}, err
	}
	l, err := Find(tx, number)
	if err != nil {
		return Log{}, err
	}
	if err := l.open(tx, old, kept, reason); err != nil {
		return Log{}, err
	}
	_, err = tx.Run(`INSERT INTO log_pending (bulk, event_id) SELECT TRUE, e.event_id FROM log_entries e
		WHERE e.log = ? AND NOT EXISTS (SELECT 1 FROM log_pending p WHERE p.event_id = e.event_id AND p.bulk IN (TRUE, FALSE))`, old.Number)
	if err != nil {
		return Log{}, fmt.Errorf("leave the events to the new log: %w", err)
	}
	since := tx.Now()
	if old.SignedAt != nil {
		since = old.SignedAt.UTC()
	}
	return l, tx.PauseSending(since)
}

// remember writes down a log of which only a head is known.
func remember(tx *store.Tx, number int, h Head) error {
	_, err := tx.Run(`INSERT INTO logs (number, origin, key, verifier, size, root, checkpoint, shown, shown_size, began_at, ended_at)
		VALUES (?, ?, ?, '', ?, ?, '', '', 0, ?, ?)`, number, h.Origin, []byte{0}, h.Size, h.Root[:], tx.Now(), tx.Now())
	if err != nil {
		return fmt.Errorf("remember the log %s: %w", h.Origin, err)
	}
	return nil
}

// open puts the first entry into the log.
func (l *Log) open(tx *store.Tx, old Log, kept *Head, reason string) error {
	head := func(origin string, size int64, root []byte) map[string]any {
		return map[string]any{"origin": origin, "size": fmt.Sprint(size), "root": base64.StdEncoding.EncodeToString(root)}
	}
	says := map[string]any{"schema": begunSchema, "event_time": tx.Now().Format("2006-01-02T15:04:05.000000Z"), "origin": l.Origin,
		"reason": reason, "follows": head(old.Origin, old.Size, old.Root), "known": nil}
	if kept != nil {
		says["known"] = head(kept.Origin, kept.Size, kept.Root[:])
	}
	text, err := json.Marshal(says)
	if err != nil {
		return err
	}
	leaf, err := jcs.Transform(text)
	if err != nil {
		return fmt.Errorf("write the first entry: %w", err)
	}
	e := consent.ChangeEvent{ID: tx.NewID(), Kind: KindBegun, Method: consent.MethodOperator, OccurredAt: tx.Now(), Leaf: leaf}
	if err := tx.Create(&e).Error; err != nil {
		return fmt.Errorf("write the first entry: %w", err)
	}
	t := tilesOf(tx, l.Number)
	if err := place(tx, *l, t, []entry{{ID: e.ID, Leaf: leaf, OccurredAt: e.OccurredAt}}); err != nil {
		return err
	}
	root := tlog.RecordHash(leaf)
	l.Size, l.Root = 1, root[:]
	if l.Checkpoint, err = l.sign(tx); err != nil {
		return err
	}
	_, err = tx.Run("UPDATE logs SET size = ?, root = ?, checkpoint = ?, signed_at = ? WHERE number = ?", l.Size, l.Root, l.Checkpoint, tx.Now(), l.Number)
	if err != nil {
		return fmt.Errorf("store the first checkpoint: %w", err)
	}
	return nil
}

// MayResume refuses to let mail go out while the log is stopped: the database may
// be older than what people have said since (problem.Conflict "ledger.stopped").
func MayResume(ctx context.Context, db *store.DB) error {
	err := db.Read(ctx, func(tx *store.Tx) error {
		l, err := Growing(tx)
		if err == nil && l.Stopped != "" {
			err = problem.New(problem.Conflict, "ledger.stopped", "Why", l.Stopped)
		}
		return err
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}
