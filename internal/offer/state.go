package offer

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Stream is what an offer asks of the room that sends, which stands above it:
// to open, pause or resume the stream of messages that has the offer's id. It is
// called in the transaction that moves the offer.
type Stream func(tx *store.Tx, brandID, offerID uuid.UUID) error

// Start lets a draft run: from now on Issue gives out its codes.
func Start(tx *store.Tx, brandID, id uuid.UUID, open Stream) (Offer, error) {
	return move(tx, brandID, id, open, Running, Draft)
}

// Pause stops the giving out and holds back the mails that are queued. Codes
// that people have go on holding.
func Pause(tx *store.Tx, brandID, id uuid.UUID, pause Stream) (Offer, error) {
	return move(tx, brandID, id, pause, Paused, Running)
}

// Resume goes on where Pause stopped.
func Resume(tx *store.Tx, brandID, id uuid.UUID, resume Stream) (Offer, error) {
	return move(tx, brandID, id, resume, Running, Paused)
}

// End stops the giving out for good. Codes that people have go on holding until
// they expire; so the mails that are queued still go, or somebody would never
// learn of theirs.
func End(tx *store.Tx, brandID, id uuid.UUID, resume Stream) (Offer, error) {
	o, err := Find(tx, brandID, id)
	if err != nil {
		return Offer{}, err
	}
	if o.State == Draft { // it has no stream
		resume = func(*store.Tx, uuid.UUID, uuid.UUID) error { return nil }
	}
	return move(tx, brandID, id, resume, Ended, Draft, Running, Paused)
}

// move is the one way from state to state: a compare-and-set on the row, and
// what it means for the stream. Another brand's offer is problem.NotFound, a
// wrong state problem.Conflict.
func move(tx *store.Tx, brandID, id uuid.UUID, stream Stream, to State, from ...State) (Offer, error) {
	n, err := tx.Run("UPDATE offers SET state = ?, updated_at = ? WHERE id = ? AND brand_id = ? AND state IN (?)",
		to, tx.Now(), id, brandID, from)
	if err != nil {
		return Offer{}, fmt.Errorf("move an offer to %s: %w", to, err)
	}
	o, err := Find(tx, brandID, id)
	if err != nil {
		return Offer{}, err
	}
	if n == 0 {
		return Offer{}, problem.New(problem.Conflict, "offer.state."+string(o.State))
	}
	if err := stream(tx, brandID, id); err != nil || to != Running {
		return o, err
	}
	return o, wake(tx, id)
}
