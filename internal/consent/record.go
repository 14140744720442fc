package consent

import (
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Record writes what was said: the event with its final leaf, the evidence
// sealed under the person's key, the words by their hash, the permission moved
// on, and the business fact consent.<state>, all in the transaction. Where the
// state machine says that nothing changes it returns the event that stands,
// with Fresh false.
//
// A confirmation by double opt-in also lifts the suppressions left and not-me;
// a yes on the preference page, whose link only the mailbox's owner has, lifts left.
func Record(tx *store.Tx, a Act) (Event, error) {
	if err := a.check(tx.Now()); err != nil {
		return Event{}, err
	}
	p, err := lock(tx, a.Brand, a.Subscriber)
	if err != nil {
		return Event{}, err
	}
	return p.move(tx, a)
}

var word = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

var bases = []string{BasisExplicit, BasisImpliedPurchase, BasisImpliedInquiry, BasisImport, BasisOperator, BasisSoftOptIn}

func (a *Act) check(now time.Time) error {
	if a.Basis == "" {
		a.Basis = BasisExplicit
	}
	if a.Entity == "" {
		a.Entity = EntitySubject
	}
	if a.Topic.BrandID != a.Brand.ID {
		return problem.New(problem.NotFound, "consent.topic.unknown")
	}
	p := problem.New(problem.Invalid, "problem.invalid")
	if !slices.Contains(bases, a.Basis) {
		p.Field("basis", "problem.field.choice")
	}
	if !word.MatchString(a.Method) {
		p.Field("method", "consent.method")
	}
	if a.Via != "" && !word.MatchString(a.Via) {
		p.Field("via", "consent.method")
	}
	if !slices.Contains([]string{EntitySubject, EntityController, EntityOperator, EntityMailboxProvider}, a.Entity) {
		p.Field("entity", "problem.field.choice")
	}
	if !utf8.ValidString(a.Wording) {
		p.Field("wording", "problem.field.utf8")
	}
	if a.Entity == EntityOperator && InForce(a.State) {
		if !proves(a.Evidence) {
			p.Field("evidence", "consent.evidence-missing")
		}
		if slices.Contains(theirs, a.Method) {
			p.Field("method", "consent.method-theirs")
		}
	}
	asks := a.State == Requested || InForce(a.State)
	if asks && a.Entity == EntitySubject && a.Basis == BasisExplicit && strings.TrimSpace(a.Wording) == "" {
		p.Field("wording", "consent.wording-missing")
	}
	a.checkWay(p, now)
	return p.OrNil()
}

// person is a subscriber whose row is held, so that what is read about their
// permissions stays true until the transaction ends.
type person struct {
	brand brand.Brand
	subscriber.Subscriber
}

func lock(tx *store.Tx, b brand.Brand, id uuid.UUID) (person, error) {
	s, err := subscriber.Lock(tx, b.ID, id)
	if err != nil {
		return person{}, err
	}
	if s.ErasedAt != nil {
		return person{}, problem.New(problem.Gone, "subscriber.erased")
	}
	return person{b, s}, nil
}

// move is the one way from state to state; see moveAll.
func (p person) move(tx *store.Tx, a Act) (Event, error) {
	events, refused, err := moveAll(tx, []step{{&p, &a}})
	if err != nil {
		return Event{}, err
	}
	return events[0], refused[0]
}

func lapsed(e Event, now time.Time) bool {
	return InForce(e.State) && e.ValidUntil != nil && !e.ValidUntil.After(now)
}

// theirs are the ways of the person's own hand: nobody states them for somebody.
var theirs = []string{MethodForm, MethodDoubleOptIn, MethodSingleOptIn, MethodPreferences, MethodRenewal, MethodRePermission}

type verdict int

const (
	forbidden verdict = iota
	moves
	stays
)

const none State = ""

// next is the state machine of the package comment.
func next(from, asked State) (to State, v verdict) {
	open := from == Requested || InForce(from)
	switch asked {
	case Requested:
		if InForce(from) {
			return from, stays
		}
		return Requested, moves
	case Given, Renewed:
		if InForce(from) {
			return Renewed, moves
		}
		return Given, moves
	case Refused:
		switch {
		case InForce(from):
			return Withdrawn, moves
		case from == Refused || from == Withdrawn:
			return from, stays
		}
		return Refused, moves
	case Withdrawn:
		if open || from == Expired {
			return Withdrawn, moves
		}
		return from, stays
	case Expired, Invalidated:
		switch {
		case open:
			return asked, moves
		case from == asked:
			return from, stays
		}
	}
	return from, forbidden
}

// event is the row as it will stand, but for the leaf. Its time is the
// transaction's, or a microsecond after the event before where the clocks of
// two processes differ: the order of a person's events is the order of the locks.
func (p person) event(now time.Time, last *Event, a Act) (Event, error) {
	e := Event{BrandID: p.brand.ID, SubscriberID: p.ID, TopicID: a.Topic.ID, State: a.State, Basis: a.Basis,
		Method: a.Method, OccurredAt: now, Language: a.Language, FormID: a.FormID}
	if last != nil {
		e.PreviousID = &last.ID
		if !e.OccurredAt.After(last.OccurredAt) {
			e.OccurredAt = last.OccurredAt.Add(time.Microsecond)
		}
	}
	e.ID = store.NewID(e.OccurredAt)
	if e.Language == "" {
		e.Language = p.Language
	}
	if a.FormID != nil {
		e.FormVersion = &a.FormVersion
	}
	if a.Wording != "" {
		hash := sha256.Sum256([]byte(a.Wording))
		e.WordingHash = hash[:]
	}
	if !InForce(e.State) {
		return e, nil
	}
	if a.adjusts != nil {
		return a.adjusts.apply(e, *last), nil
	}
	e.PromiseMax, e.PromiseDays = a.Topic.PromiseMax, a.Topic.PromiseDays
	if (a.Entity != EntitySubject || a.Method == MethodRenewal) && last != nil && InForce(last.State) {
		e.keepBounds(*last)
	}
	e.ValidUntil = a.until(e.OccurredAt)
	if e.ValidUntil != nil && !e.ValidUntil.After(e.OccurredAt) {
		return e, problem.InvalidField("valid_until", "consent.valid-until")
	}
	return e, nil
}

// until is when what is recorded now ends. Nobody states a longer end for an
// implied consent than the law gives it.
func (a *Act) until(now time.Time) *time.Time {
	said := now
	if a.SaidAt != nil {
		said = *a.SaidAt
	}
	until := a.Topic.Until(a.Basis, said, a.Brand.Location())
	if a.ValidUntil == nil || Implied(a.Basis) && until.Before(*a.ValidUntil) {
		return until
	}
	return utcOf(a.ValidUntil)
}

// liftAfter: who proved to own the mailbox and said yes has taken their own no back.
func (p person) liftAfter(tx *store.Tx, e Event) error {
	if !InForce(e.State) {
		return nil
	}
	switch e.Method {
	case MethodDoubleOptIn, MethodRePermission:
		return lift(tx, p.brand.ID, p.AddressHash, Left, NotMe)
	case MethodPreferences:
		return lift(tx, p.brand.ID, p.AddressHash, Left)
	}
	return nil
}

func (e Event) utc() Event {
	e.OccurredAt, e.ValidUntil, e.PausedUntil = e.OccurredAt.UTC(), utcOf(e.ValidUntil), utcOf(e.PausedUntil)
	return e
}

// Grant records a permission that the operator states: given at a desk, on
// paper, in another system. Basis and Evidence say on what ground; without
// evidence it is refused (problem.Invalid consent.evidence-missing), and so it
// is after the person themself said no, or while the address is suppressed
// (problem.Conflict consent.left-before): only they can take that back.
func Grant(tx *store.Tx, a Act) (Event, error) {
	events, refused, err := GrantAll(tx, []Act{a})
	if err != nil {
		return Event{}, err
	}
	return events[0], refused[0]
}

func leftBefore(reason string) error {
	return problem.New(problem.Conflict, "consent.left-before", "Reason", reason)
}

// proves: evidence is at least one named thing that is not empty.
func proves(evidence map[string]any) bool {
	for name, v := range evidence {
		if s, ok := v.(string); ok && strings.TrimSpace(s) == "" {
			continue
		}
		if v != nil && v != false && name != "" {
			return true
		}
	}
	return false
}
