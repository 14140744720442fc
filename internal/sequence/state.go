package sequence

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// Start lets a draft run: from now on, whoever confirms its topic joins it.
// Those who confirmed before join only by EnrollExisting.
func Start(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	s, err := move(tx, brandID, id, Running, Draft)
	if err != nil {
		return Sequence{}, err
	}
	return s, delivery.OpenStream(tx, brandID, delivery.OriginSequence, id)
}

// Pause stops everything: nobody moves on, and what is queued stays where it
// is. Whoever confirms the topic meanwhile joins, and waits.
func Pause(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	s, err := move(tx, brandID, id, Paused, Running)
	if err != nil {
		return Sequence{}, err
	}
	return s, delivery.PauseStream(tx, brandID, id)
}

// Resume goes on where Pause stopped: what fell due meanwhile is due now, and
// the waits after it count from now.
func Resume(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	s, err := move(tx, brandID, id, Running, Paused)
	if err != nil {
		return Sequence{}, err
	}
	return s, delivery.ResumeStream(tx, brandID, id)
}

// End stops a sequence for good. What it has queued is skipped; a mail that a
// worker is handing over just now may still go. Advance then ends the
// enrollments, some at a time.
func End(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	s, err := move(tx, brandID, id, Ended, Draft, Running, Paused)
	if err != nil {
		return Sequence{}, err
	}
	if err := delivery.OpenStream(tx, brandID, delivery.OriginSequence, id); err != nil { // a draft has none
		return Sequence{}, err
	}
	if err := delivery.CloseStream(tx, brandID, id, reasonSequenceEnded); err != nil {
		return Sequence{}, err
	}
	return s, delivery.ResumeStream(tx, brandID, id) // a paused one would hold back what comes to be retried
}

// move is the one way from state to state: a compare-and-set on the row.
// Another brand's sequence is problem.NotFound, a wrong state problem.Conflict.
func move(tx *store.Tx, brandID, id uuid.UUID, to State, from ...State) (Sequence, error) {
	n, err := tx.Run("UPDATE sequences SET state = ?, updated_at = ? WHERE id = ? AND brand_id = ? AND state IN (?)",
		to, tx.Now(), id, brandID, from)
	if err != nil {
		return Sequence{}, fmt.Errorf("move a sequence to %s: %w", to, err)
	}
	s, err := Find(tx, brandID, id)
	if err != nil {
		return Sequence{}, err
	}
	if n == 0 {
		return Sequence{}, problem.New(problem.Conflict, "sequence.state."+string(s.State))
	}
	return s, nil
}
