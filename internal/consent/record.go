package consent

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
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
	if err := a.check(); err != nil {
		return Event{}, err
	}
	p, err := lock(tx, a.Brand, a.Subscriber)
	if err != nil {
		return Event{}, err
	}
	return p.move(tx, a)
}

var word = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

var bases = []string{BasisExplicit, BasisImpliedPurchase, BasisImpliedInquiry, BasisImport, BasisOperator}

func (a *Act) check() error {
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
	if !slices.Contains([]string{EntitySubject, EntityController, EntityOperator, EntityMailboxProvider}, a.Entity) {
		p.Field("entity", "problem.field.choice")
	}
	if !utf8.ValidString(a.Wording) {
		p.Field("wording", "problem.field.utf8")
	}
	asks := a.State == Requested || InForce(a.State)
	if asks && a.Entity == EntitySubject && a.Basis == BasisExplicit && strings.TrimSpace(a.Wording) == "" {
		p.Field("wording", "consent.wording-missing")
	}
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

// move is the one way from state to state.
func (p person) move(tx *store.Tx, a Act) (Event, error) {
	last, err := lastEvent(tx, p.brand.ID, p.ID, a.Topic.ID)
	if err != nil {
		return Event{}, err
	}
	if last != nil && lapsed(*last, tx.Now()) {
		e, err := p.write(tx, last, lapse(p, a.Topic, *last))
		if err != nil {
			return Event{}, err
		}
		last = &e
	}
	var from State
	if last != nil {
		from = last.State
	}
	to, verdict := next(from, a.State)
	switch verdict {
	case stays:
		if last == nil {
			return Event{}, nil
		}
		return *last, nil
	case forbidden:
		return Event{}, problem.New(problem.Conflict, "consent.transition", "From", string(from), "To", string(a.State))
	}
	a.State = to
	return p.write(tx, last, a)
}

func lapsed(e Event, now time.Time) bool {
	return InForce(e.State) && e.ValidUntil != nil && !e.ValidUntil.After(now)
}

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

// write adds the event that move has decided on, and all that goes with it.
func (p person) write(tx *store.Tx, last *Event, a Act) (Event, error) {
	e, err := p.event(tx, last, a)
	if err != nil {
		return Event{}, err
	}
	if e.WordingHash != nil {
		_, err := tx.Run("INSERT INTO wordings (language, hash, text, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
			e.Language, e.WordingHash, a.Wording, tx.Now()) // GORM would spread bytes that follow a parenthesis
		if err != nil {
			return Event{}, fmt.Errorf("keep the words shown: %w", err)
		}
	}
	salt, private, err := p.commit(&e, a)
	if err != nil {
		return Event{}, err
	}
	if err := tx.Create(&e).Error; err != nil {
		return Event{}, fmt.Errorf("record consent: %w", err)
	}
	if err := keepEvidence(tx, e, salt, private); err != nil {
		return Event{}, err
	}
	if err := project(tx, e); err != nil {
		return Event{}, err
	}
	if err := p.liftAfter(tx, e); err != nil {
		return Event{}, err
	}
	e.Fresh = true
	return e, event.Record(tx, event.Event{At: e.OccurredAt, BrandID: e.BrandID, SubscriberID: &e.SubscriberID,
		Kind: "consent." + string(e.State),
		Data: map[string]any{"topic_id": e.TopicID.String(), "topic": a.Topic.Slug, "event_id": e.ID.String(),
			"state": string(e.State), "method": e.Method, "basis": e.Basis}})
}

// event is the row as it will stand, but for the leaf. Its time is the
// transaction's, or a microsecond after the event before where the clocks of
// two processes differ: the order of a person's events is the order of the locks.
func (p person) event(tx *store.Tx, last *Event, a Act) (Event, error) {
	e := Event{BrandID: p.brand.ID, SubscriberID: p.ID, TopicID: a.Topic.ID, State: a.State, Basis: a.Basis,
		Method: a.Method, OccurredAt: tx.Now(), Language: a.Language, FormID: a.FormID}
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
	e.PromiseMax, e.PromiseDays = a.Topic.PromiseMax, a.Topic.PromiseDays
	e.ValidUntil = utcOf(a.ValidUntil)
	if e.ValidUntil == nil && a.Topic.ValidDays > 0 {
		until := e.OccurredAt.AddDate(0, 0, a.Topic.ValidDays)
		e.ValidUntil = &until
	}
	if e.ValidUntil != nil && !e.ValidUntil.After(e.OccurredAt) {
		return e, problem.InvalidField("valid_until", "consent.valid-until")
	}
	return e, nil
}

// project moves the permission on. It does not wait for a claim of mails under
// way, nor a claim for it: what was claimed a moment before is asked again
// before it begins (delivery, stillMay).
func project(tx *store.Tx, e Event) error {
	_, err := tx.Run(`INSERT INTO permissions (subscriber_id, topic_id, brand_id, state, event_id, since, valid_until, promise_max, promise_days)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (subscriber_id, topic_id) DO UPDATE SET state = excluded.state, event_id = excluded.event_id,
			since = excluded.since, valid_until = excluded.valid_until,
			promise_max = excluded.promise_max, promise_days = excluded.promise_days`,
		e.SubscriberID, e.TopicID, e.BrandID, string(e.State), e.ID, e.OccurredAt, e.ValidUntil, e.PromiseMax, e.PromiseDays)
	if err != nil {
		return fmt.Errorf("move the permission on: %w", err)
	}
	return nil
}

// liftAfter: who proved to own the mailbox and said yes has taken their own no back.
func (p person) liftAfter(tx *store.Tx, e Event) error {
	if !InForce(e.State) {
		return nil
	}
	switch e.Method {
	case MethodDoubleOptIn:
		return lift(tx, p.brand.ID, p.AddressHash, Left, NotMe)
	case MethodPreferences:
		return lift(tx, p.brand.ID, p.AddressHash, Left)
	}
	return nil
}

// lastEvent is the event that the permission stands on; nil before the first.
// The lock on the person's row keeps it the last.
func lastEvent(tx *store.Tx, brandID, subscriberID, topicID uuid.UUID) (*Event, error) {
	var rows []Event
	err := tx.Raw(`SELECT e.* FROM permissions p JOIN consent_events e ON e.id = p.event_id
		WHERE p.subscriber_id = ? AND p.topic_id = ? AND p.brand_id = ?`,
		subscriberID, topicID, brandID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the permission: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	e := rows[0].utc()
	return &e, nil
}

func (e Event) utc() Event {
	e.OccurredAt, e.ValidUntil = e.OccurredAt.UTC(), utcOf(e.ValidUntil)
	return e
}

// Grant records a permission that the operator states: given at a desk, on
// paper, in another system. Basis and Evidence say on what ground; without
// evidence it is refused (problem.Invalid consent.evidence-missing), and so it
// is after the person themself said no, or while the address is suppressed
// (problem.Conflict consent.left-before): only they can take that back.
func Grant(tx *store.Tx, a Act) (Event, error) {
	a.State = Given
	if a.Entity == "" {
		a.Entity = EntityOperator
	}
	if !proves(a.Evidence) {
		return Event{}, problem.New(problem.Invalid, "consent.evidence-missing").Field("evidence", "consent.evidence-missing")
	}
	if err := a.check(); err != nil {
		return Event{}, err
	}
	p, err := lock(tx, a.Brand, a.Subscriber)
	if err != nil {
		return Event{}, err
	}
	if reason, yes, err := Suppressed(tx, a.Brand.ID, p.AddressHash, MarketingMail); err != nil {
		return Event{}, err
	} else if yes {
		return Event{}, leftBefore(reason)
	}
	said, err := lastWord(tx, p, a.Topic.ID)
	if err != nil {
		return Event{}, err
	}
	if said != nil {
		return Event{}, leftBefore(string(said.State))
	}
	return p.move(tx, a)
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

// lastWord is the person's own no, where they have said no yes since: neither
// requests that nobody answered nor what staff wrote down blot it out.
func lastWord(tx *store.Tx, p person, topicID uuid.UUID) (*Event, error) {
	var rows []Event
	err := tx.Raw(`SELECT * FROM consent_events WHERE brand_id = ? AND subscriber_id = ? AND topic_id = ?
		AND state IN ('given', 'renewed', 'refused', 'withdrawn', 'invalidated') ORDER BY occurred_at DESC`,
		p.brand.ID, p.ID, topicID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the last word: %w", err)
	}
	for _, e := range rows {
		if InForce(e.State) {
			return nil, nil
		}
		entity, err := e.Entity()
		if err != nil {
			return nil, err
		}
		if entity == EntitySubject || entity == EntityMailboxProvider {
			return &e, nil
		}
	}
	return nil, nil
}
