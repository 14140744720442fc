package campaign

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/jobs"
	"assent/internal/problem"
	"assent/internal/store"
)

// JobKind is the work that takes a scheduled campaign to its end: see Work. Its
// key is the campaign's id.
const JobKind = "campaign"

// recallTime is how long everything can be called back after Schedule.
const recallTime = time.Minute

// cancelReason is what the messages of a cancelled or recalled campaign are skipped with.
const (
	cancelReason = "campaign-cancelled"
	recallReason = "campaign-recalled"
)

// Schedule has the audience frozen at the time, and sends then; a time that is
// past is now. Nothing is sent within a minute of this call, so that Recall
// within it stops all of it. What must be mended before (see Preflight) is
// problem.Conflict.
func Schedule(tx *store.Tx, brandID, id uuid.UUID, at time.Time) (Campaign, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if at.Before(tx.Now()) {
		at = tx.Now()
	}
	until := at
	if earliest := tx.Now().Add(recallTime); until.Before(earliest) {
		until = earliest
	}
	c, err := Lock(tx, brandID, id)
	if err != nil {
		return Campaign{}, err
	}
	if c.State == Draft {
		if err := ready(tx, c); err != nil {
			return Campaign{}, err
		}
	}
	c, err = move(tx, brandID, id, Scheduled, "scheduled_at = ?, recall_until = ?", []any{at, until}, Draft)
	if err != nil {
		return Campaign{}, err
	}
	if err := delivery.OpenStream(tx, brandID, delivery.OriginCampaign, id); err != nil {
		return Campaign{}, err
	}
	return c, wake(tx, c, at)
}

// Recall calls everything back, and the campaign is a draft again. After
// recall_until it is too late (problem.Conflict): then Cancel stops the rest.
// If another machine's clock was ahead, so that something has begun, the rest
// is stopped all the same and the campaign ends as cancelled.
func Recall(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	c, err := Lock(tx, brandID, id)
	if err != nil {
		return Campaign{}, err
	}
	if c.State != Scheduled && c.RecallUntil != nil && !tx.Now().Before(*c.RecallUntil) {
		return Campaign{}, problem.New(problem.Conflict, "campaign.recall-late")
	}
	old := c.EditionID
	c, err = move(tx, brandID, id, Draft, `edition_id = ?, scheduled_at = NULL, recall_until = NULL, frozen_after = NULL, frozen_at = NULL`,
		[]any{tx.NewID()}, Scheduled, Freezing, Sending, Paused)
	if err != nil {
		return Campaign{}, err
	}
	if _, err := delivery.CancelSource(tx, brandID, old, recallReason); err != nil {
		return Campaign{}, err
	}
	left, err := delivery.SourceCounts(tx, brandID, old)
	if err != nil {
		return Campaign{}, err
	}
	if left.Total > left.Skipped {
		return cancel(tx, brandID, id, "edition_id = ?", []any{old}, Draft)
	}
	return c, delivery.ResumeStream(tx, brandID, id)
}

// Pause stops the freeze at its next chunk, and the sending within a second.
func Pause(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	c, err := move(tx, brandID, id, Paused, "", nil, Freezing, Sending)
	if err != nil {
		return Campaign{}, err
	}
	return c, delivery.PauseStream(tx, brandID, id)
}

// Resume goes on where Pause stopped: with the freeze, if it was not through.
func Resume(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	c, err := Lock(tx, brandID, id)
	if err != nil {
		return Campaign{}, err
	}
	to := Sending
	if c.FrozenAt == nil {
		to = Freezing
	}
	if c, err = move(tx, brandID, id, to, "", nil, Paused); err != nil {
		return Campaign{}, err
	}
	if err := delivery.ResumeStream(tx, brandID, id); err != nil {
		return Campaign{}, err
	}
	return c, wake(tx, c, tx.Now())
}

// Cancel stops a campaign for good: what is queued is skipped, and what a
// worker has in hand but has not begun. What was sent stays sent.
func Cancel(tx *store.Tx, brandID, id uuid.UUID) (Campaign, error) {
	return cancel(tx, brandID, id, "", nil, Scheduled, Freezing, Sending, Paused)
}

func cancel(tx *store.Tx, brandID, id uuid.UUID, set string, args []any, from ...State) (Campaign, error) {
	if set != "" {
		set += ", "
	}
	c, err := move(tx, brandID, id, Cancelled, set+"finished_at = ?", append(args, tx.Now()), from...)
	if err != nil {
		return Campaign{}, err
	}
	if err := delivery.CloseStream(tx, brandID, id, cancelReason); err != nil {
		return Campaign{}, err
	}
	return c, delivery.ResumeStream(tx, brandID, id) // a paused one would hold back what comes to be retried
}

func wake(tx *store.Tx, c Campaign, at time.Time) error {
	return jobs.Schedule(tx, JobKind, c.ID.String(), jobs.QueueBulk, at)
}

// move is the one way from state to state: a compare-and-set on the row, which
// sets what else goes with it. Another brand's campaign is problem.NotFound, a
// wrong state problem.Conflict.
func move(tx *store.Tx, brandID, id uuid.UUID, to State, set string, args []any, from ...State) (Campaign, error) {
	if set != "" {
		set = ", " + set
	}
	values := append([]any{to, tx.Now()}, args...)
	n, err := tx.Run("UPDATE campaigns SET state = ?, updated_at = ?"+set+" WHERE id = ? AND brand_id = ? AND state IN (?)",
		append(values, id, brandID, from)...)
	if err != nil {
		return Campaign{}, fmt.Errorf("move a campaign to %s: %w", to, err)
	}
	c, err := Find(tx, brandID, id)
	if err != nil {
		return Campaign{}, err
	}
	if n == 0 {
		return Campaign{}, wrongState(c)
	}
	return c, nil
}

func wrongState(c Campaign) error {
	return problem.New(problem.Conflict, "campaign.state."+string(c.State))
}
