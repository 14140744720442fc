package signup

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Guard is how a form is guarded when hardly anybody whom it asks confirms, or many
// say that it was not they who asked, which is what list bombing looks like from
// here; the second is all that tells of a form by single opt-in:
//
//	      few confirm          few confirm even so
//	none ────────────► proof ─────────────────────► paused
//	  ▲                 │  ▲                          │
//	  └── as usual ─────┘  └────── after 6 hours ─────┘
//	  ▲                                               │
//	  └──────────── a person resumes it ──────────────┘
//
// It is kept with the form, so all processes know it. What was asked before it
// last moved is not judged again.
type Guard string

// The guards.
const (
	Unguarded    Guard = ""
	GuardProof   Guard = "proof"  // visitors prove work first, on the hosted page
	GuardedPause Guard = "paused" // nothing is taken, and the owners were told
)

const (
	guardWindow = time.Hour
	guardLeast  = 50 // sign-ups; fewer say nothing
	guardRatio  = 10 // unanswered for each that was answered
	guardStrays = 10 // one in so many says "it was not me"
	guardHarder = 15 * time.Minute
	guardRest   = 6 * time.Hour

	guardPatience = 10 * time.Minute // for an answer, once the mail is with its receiver
	guardReach    = 6 * time.Hour    // how long a mail may have waited to be sent and still count
)

// Collapsed tells whether so few of those that were asked answered, or so many of
// them disowned it, that it is no person who asks.
func Collapsed(asked, answered, disowned int64) bool {
	return asked >= guardLeast && (asked-answered > guardRatio*answered || guardStrays*disowned >= asked)
}

// judged is a form with what came of its sign-ups lately.
type judged struct {
	ID, BrandID uuid.UUID
	Guard       Guard
	GuardAt     *time.Time

	Asked, Answered, Disowned int64
}

// WatchForms moves the guards of all forms on. A no is an answer as much as a
// yes is; "it was not me" is none. Only who has had the mail for a while can have
// answered, so a slow outbox is no attack; and whom a friend invited did not come
// by the form at all. It reads the index signup_requests_time, six hours of it,
// and the key of messages, for each form that is not closed.
func WatchForms(tx *store.Tx) error {
	var all []judged
	until := tx.Now().Add(-guardPatience)
	err := tx.Raw(`SELECT f.id, f.brand_id, f.guard, f.guard_at, count(r.id) AS asked,
			count(CASE WHEN r.state IN ('confirmed', 'declined') THEN 1 END) AS answered,
			count(CASE WHEN r.state = 'disowned' THEN 1 END) AS disowned
		FROM forms f LEFT JOIN signup_requests r ON r.form_id = f.id AND r.brand_id = f.brand_id AND r.created_at > ?
			AND (f.guard_at IS NULL OR r.created_at > f.guard_at) AND r.via <> ?
			AND EXISTS (SELECT 1 FROM messages m WHERE m.source_id = r.id AND m.brand_id = r.brand_id
				AND m.state = 'sent' AND m.settled_at > ? AND m.settled_at <= ?)
		WHERE f.closed_at IS NULL GROUP BY f.id, f.brand_id, f.guard, f.guard_at
		HAVING f.guard <> '' OR count(r.id) >= ? ORDER BY f.id`,
		tx.Now().Add(-guardReach), ByFriend, until.Add(-guardWindow), until, guardLeast).Scan(&all).Error
	if err != nil {
		return fmt.Errorf("look who confirms: %w", err)
	}
	for _, j := range all {
		next := j.next(tx.Now())
		if next == j.Guard {
			continue
		}
		if err := j.move(tx, next); err != nil {
			return err
		}
	}
	return nil
}

func (j judged) collapsed() bool { return Collapsed(j.Asked, j.Answered, j.Disowned) }

func (j judged) next(now time.Time) Guard {
	since := time.Duration(0)
	if j.GuardAt != nil {
		since = now.Sub(*j.GuardAt)
	}
	switch {
	case j.Guard == GuardedPause && since >= guardRest:
		return GuardProof
	case j.Guard == GuardedPause:
		return GuardedPause
	case j.Guard == Unguarded && j.collapsed():
		return GuardProof
	case j.Guard == GuardProof && since >= guardHarder && j.collapsed():
		return GuardedPause
	case j.Guard == GuardProof && since >= guardWindow && !j.collapsed():
		return Unguarded
	}
	return j.Guard
}

// move is the only way from one guard to another. Of several processes that see
// the same, one moves it and tells.
func (j judged) move(tx *store.Tx, to Guard) error {
	n, err := tx.Run("UPDATE forms SET guard = ?, guard_at = ? WHERE id = ? AND brand_id = ? AND guard = ?", to, tx.Now(), j.ID, j.BrandID, j.Guard)
	if err != nil {
		return fmt.Errorf("guard a form: %w", err)
	}
	if n == 0 {
		return nil
	}
	kind := map[Guard]string{Unguarded: event.FormResumed, GuardProof: event.FormGuarded, GuardedPause: event.FormPaused}[to]
	return event.Record(tx, event.Event{BrandID: j.BrandID, Kind: kind, SourceID: &j.ID,
		Data: map[string]any{"form": j.ID, "asked": j.Asked, "answered": j.Answered, "disowned": j.Disowned, "from": string(j.Guard)}})
}

// Resume lifts the guard of a form, by a person who has looked into it. What was
// asked until now is not held against it.
func Resume(tx *store.Tx, brandID, id uuid.UUID) (Form, error) {
	f, err := Lock(tx, brandID, id)
	if err != nil || f.Guard == Unguarded {
		return f, err
	}
	if err := (judged{ID: f.ID, BrandID: f.BrandID, Guard: f.Guard}).move(tx, Unguarded); err != nil {
		return f, err
	}
	return Find(tx, brandID, id)
}

// resting is what a paused form answers to everybody.
func resting(name string) error {
	return problem.New(problem.Unavailable, "signup.form.resting", "Brand", name)
}
