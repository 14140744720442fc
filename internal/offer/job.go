package offer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/jobs"
	"assent/internal/store"
)

// JobKind is the work that gives out a running offer's codes: see Work. Its key
// is the offer's id.
const JobKind = "offer"

// lookAgain is how long it takes until somebody who has become eligible is seen.
const lookAgain = time.Hour

// Work is the handler of JobKind: it issues, and tells when to look for newly
// eligible people; nil when the offer is not running or its budget is spent.
func Work(ctx context.Context, db *store.DB, id uuid.UUID, outbox Outbox) (next *time.Time, err error) {
	if _, err := Issue(ctx, db, id, outbox); err != nil {
		return nil, err
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		o, err := find(tx, "WHERE id = ?", id)
		if err == nil && o.State == Running && o.Issued < o.Budget {
			at := tx.Now().Add(lookAgain)
			next = &at
		}
		return err
	})
	return next, err
}

// wake makes the work due now.
func wake(tx *store.Tx, id uuid.UUID) error {
	if err := jobs.Schedule(tx, JobKind, id.String(), jobs.QueueBulk, tx.Now()); err != nil {
		return fmt.Errorf("wake offer %s: %w", id, err)
	}
	return nil
}
