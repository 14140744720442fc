// Package jobs does delayed work: rows in the database that are due, rung
// through asynq, done by whichever process hears the bell.
//
//	         Schedule            claim (epoch+1, lease)         handler returns
//	(none) ───────────► waiting ──────────────────────► running ───────────────► done
//	                       ▲                               │  │
//	                       │   due again, or failed (later)│  │ lease lapsed: claimed again,
//	                       └───────────────────────────────┘  └─► epoch+1
//	  a lane too many: waiting ──► gone
//
// The row is the truth and Redis a doorbell. A task carries the row's id and
// epoch, never data; it is rung once (MaxRetry 0), and what it did counts only
// if the epoch is still its own. So nothing is lost when Redis is flushed, and
// the end of a handler that lost its lease changes nothing. Two handlers of one
// row can still overlap for a moment: handlers claim what they touch.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// The lines that work waits in: an asked-for confirmation overtakes a service
// mail, and bulk work has workers of its own, so that it keeps neither waiting.
// The lanes that send bulk mail have their own again, a few in each process: so
// that every process takes its share of them.
const (
	QueueConfirm = "confirm"
	QueueService = "service"
	QueueBulk    = "bulk"
	QueueSending = "sending"

	weightConfirm = 6
	weightService = 3
)

// Kind is one sort of work.
type Kind struct {
	Name  string
	Queue string

	// Handle does the work of the row with this key. It answers when the row
	// is due next, or nil when it is done for good. An error is tried again
	// after 1 s, 2 s, 4 s … at most 5 min. It must stop when ctx ends.
	Handle func(ctx context.Context, key string) (next *time.Time, err error)

	// Every makes the work periodic: one row per slot of this length, however
	// many processes schedule it. 0: only what is scheduled by hand.
	Every time.Duration

	// Lanes tells how many rows there always are: lanes that work for ever, with
	// the keys "1", "2" and so on. nil: none.
	Lanes func(tx *store.Tx) (int, error)

	// Ready, where given, is asked before a row of this kind is claimed; while
	// it says no, rows wait without being rung.
	Ready func(ctx context.Context) (bool, error)
}

// Job is the row.
type Job struct {
	ID         uuid.UUID
	Kind       string
	Key        string
	Queue      string
	DueAt      time.Time
	State      string
	LeaseUntil *time.Time
	Epoch      int64
	Attempts   int
	LastError  string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Schedule makes the work of kind about key due at the time. There is one row
// per kind and key: asked again, it becomes due anew, also after it was done.
func Schedule(tx *store.Tx, kind, key, queue string, due time.Time) error {
	_, err := tx.Run(`INSERT INTO jobs (id, kind, key, queue, due_at, state, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?)
		ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at, state = 'waiting', lease_until = NULL,
			epoch = jobs.epoch + 1, attempts = 0, last_error = '', updated_at = excluded.updated_at`,
		tx.NewID(), kind, key, queue, due.UTC().Truncate(time.Microsecond), tx.Now(), tx.Now())
	if err != nil {
		return fmt.Errorf("schedule %s %s: %w", kind, key, err)
	}
	if ring, ok := tx.Attached(bellKey{}).(func()); ok {
		tx.AfterCommit(ring)
	}
	return nil
}

// Waiting tells how much work is due and not done, per kind.
func Waiting(tx *store.Tx) (map[string]int64, error) {
	var rows []struct {
		Kind string
		N    int64
	}
	err := tx.Raw("SELECT kind, count(*) AS n FROM jobs WHERE state IN ('waiting', 'running') AND due_at <= ? GROUP BY kind", tx.Now()).Scan(&rows).Error
	counts := map[string]int64{}
	for _, r := range rows {
		counts[r.Kind] = r.N
	}
	return counts, err
}

// Standing is how the work of one kind stands.
type Standing struct {
	Kind    string
	Due     int64 // not begun
	Running int64
	Later   int64
	Failing int64      // of those not begun: what failed when it was last tried
	Oldest  *time.Time // when the first of the due was due
	Said    string     // of the failing, what the last said
	Again   *time.Time // and when the next of them is tried again
}

// Standings tells how all work stands that is not done, by kind. It reads what
// is not done, by jobs_due.
func Standings(tx *store.Tx) ([]Standing, error) {
	var open []Job
	err := tx.Where("state IN ('waiting', 'running')").Order("kind, due_at, id").Limit(standingMost).Find(&open).Error
	if err != nil {
		return nil, fmt.Errorf("list the work: %w", err)
	}
	var all []Standing
	for _, j := range open {
		if len(all) == 0 || all[len(all)-1].Kind != j.Kind {
			all = append(all, Standing{Kind: j.Kind})
		}
		s, due := &all[len(all)-1], j.DueAt.UTC()
		switch {
		case j.State == "running":
			s.Running++
		case due.After(tx.Now()):
			s.Later++
		default:
			if s.Due++; s.Oldest == nil {
				s.Oldest = &due
			}
		}
		if j.Attempts > 0 && j.State == "waiting" {
			s.Failing++
			s.Said = j.LastError
			if s.Again == nil {
				s.Again = &due
			}
		}
	}
	return all, nil
}

// standingMost bounds what Standings reads; there is a row for each lane,
// campaign and offer under way, and one for each periodic work.
const standingMost = 10_000

type bellKey struct{}

const (
	ringLease = 5 * time.Second  // from the claim until a handler begins
	workLease = 10 * time.Second // renewed while it works
	renewal   = 3 * time.Second
	maxDelay  = 5 * time.Minute
	keepDone  = 7 * 24 * time.Hour
)

// claim takes due rows, and rows whose handler was not heard of, and counts
// their epoch on. Served by jobs_due; a claim reads what it takes and no more.
func claim(tx *store.Tx, kinds []string, limit int) ([]Job, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	var claimed []Job
	sql := `UPDATE jobs SET state = 'running', epoch = epoch + 1, lease_until = ` + tx.LeaseIn(ringLease) + `, updated_at = ?
		WHERE id IN (SELECT id FROM jobs WHERE state IN ('waiting', 'running') AND due_at <= ? AND kind IN (?)
			AND (state = 'waiting' OR lease_until < ` + tx.LeaseNow() + `) ORDER BY due_at LIMIT ?` + tx.SkipLocked() + `)
		RETURNING *`
	if err := tx.Raw(sql, tx.Now(), tx.Now(), kinds, limit).Scan(&claimed).Error; err != nil {
		return nil, fmt.Errorf("claim due work: %w", err)
	}
	return claimed, nil
}

// errStale says that a newer epoch has the row.
var errStale = errors.New("the work was given to another")

// extend keeps the row for a handler that is at it.
func extend(tx *store.Tx, id uuid.UUID, epoch int64) error {
	n, err := tx.Run("UPDATE jobs SET lease_until = "+tx.LeaseIn(workLease)+" WHERE id = ? AND epoch = ? AND state = 'running'", id, epoch)
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}

// finish writes how it ended, if the row is still this epoch's.
func finish(tx *store.Tx, j Job, next *time.Time, failure error) error {
	state, due, attempts, said := "done", j.DueAt, 0, ""
	switch {
	case failure != nil:
		attempts, said = j.Attempts+1, failure.Error()
		state, due = "waiting", tx.Now().Add(backoff(attempts))
	case next != nil:
		state, due = "waiting", next.UTC().Truncate(time.Microsecond)
	}
	_, err := tx.Run(`UPDATE jobs SET state = ?, due_at = ?, lease_until = NULL, attempts = ?, last_error = ?, updated_at = ?
		WHERE id = ? AND epoch = ? AND state = 'running'`, state, due, attempts, said, tx.Now(), j.ID, j.Epoch)
	return err
}

func backoff(attempts int) time.Duration {
	return min(time.Second<<min(attempts-1, 20), maxDelay)
}

// plan makes the rows of periodic work for the current slot, and as many lanes
// as there are to be.
func plan(tx *store.Tx, kinds []Kind) error {
	for _, k := range kinds {
		var keys []string
		if k.Lanes != nil {
			n, err := k.Lanes(tx)
			if err != nil {
				return fmt.Errorf("ask for the lanes of %s: %w", k.Name, err)
			}
			for i := range n {
				keys = append(keys, strconv.Itoa(i+1))
			}
			if _, err := tx.Run("DELETE FROM jobs WHERE kind = ? AND state = 'waiting' AND key NOT IN (?)", k.Name, append(keys, "")); err != nil {
				return fmt.Errorf("close lanes of %s: %w", k.Name, err)
			}
		}
		if k.Every > 0 {
			keys = append(keys, tx.Now().Truncate(k.Every).Format(time.RFC3339))
		}
		for _, key := range keys {
			_, err := tx.Run(`INSERT INTO jobs (id, kind, key, queue, due_at, state, created_at, updated_at)
				VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (kind, key) DO UPDATE SET queue = excluded.queue WHERE jobs.queue <> excluded.queue`,
				tx.NewID(), k.Name, key, k.Queue, tx.Now(), tx.Now(), tx.Now())
			if err != nil {
				return fmt.Errorf("plan %s: %w", k.Name, err)
			}
		}
	}
	_, err := tx.Run("DELETE FROM jobs WHERE state = 'done' AND updated_at < ?", tx.Now().Add(-keepDone))
	return err
}
