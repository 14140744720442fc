package signup

import (
	"bytes"
	"maps"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Seen is what a request tells about who makes it, for the evidence.
type Seen struct {
	IP        string
	UserAgent string

	Scripted bool          // the page's script ran, and tells the following, which anybody can claim
	Dwell    time.Duration // the page was open before the button was pressed
	Touched  bool          // a pointer moved or a key was pressed meanwhile
	Second   string        // id of the topic whose name was pressed on the second page; empty: this is the first
}

// Question is a request as the confirmation page puts it to the person.
type Question struct {
	Request    Request
	Brand      brand.Brand
	Subscriber subscriber.Subscriber
	Page       string // where it was asked; empty where that is forgotten
	Second     bool   // the button was pressed as programs press it: the second step is to be shown
	Single     bool   // nobody was asked to confirm it

	Tracking *TrackingQuestion // to be put with the thanks for a confirmation; nil: there is none

	trace  trace
	topics map[uuid.UUID]consent.Topic
	now    time.Time
}

// Words are the exact words of each box that was ticked.
func (q Question) Words() []string { return q.Request.wordings() }

// Name is what the person may be called: what is known of them, else what was typed.
func (q Question) Name() string {
	if q.Subscriber.Name != "" {
		return q.Subscriber.Name
	}
	return q.trace.Name
}

// Inviter is who invited the person, as they call themselves; empty: nobody did.
func (q Question) Inviter() string { return q.trace.Inviter }

// Stands is the state of the request now: a pending one whose time is over is Expired.
func (q Question) Stands() State {
	if q.Request.State == Pending && !q.now.Before(q.Request.ExpiresAt) {
		return Expired
	}
	return q.Request.State
}

// Look reads a request for its page, and changes nothing. Whoever has its id
// from a signed link may see it.
func Look(tx *store.Tx, id uuid.UUID) (Question, error) {
	r, err := readRequest(tx, "", id)
	if err != nil {
		return Question{}, err
	}
	return question(tx, r)
}

// open is Look that holds the request for the rest of the transaction.
func open(tx *store.Tx, id uuid.UUID) (Question, error) {
	r, err := readRequest(tx, tx.ForUpdate(), id)
	if err != nil {
		return Question{}, err
	}
	return question(tx, r)
}

func question(tx *store.Tx, r Request) (Question, error) {
	q := Question{Request: r, now: tx.Now()}
	var err error
	if q.Brand, err = brand.Find(tx, r.BrandID); err != nil {
		return q, err
	}
	if q.Subscriber, err = subscriber.Find(tx, r.BrandID, r.SubscriberID); err != nil {
		return q, err
	}
	if q.Subscriber.ErasedAt != nil {
		return q, problem.New(problem.Gone, "signup.gone")
	}
	if q.trace, err = r.trace(tx); err != nil {
		return q, err
	}
	q.Page = q.trace.Page
	spec, err := SpecOf(tx, r.FormID, r.FormVersion)
	if err != nil {
		return q, err
	}
	q.Single = spec.Single
	q.topics, err = r.topics(tx)
	return q, err
}

// Confirm turns what was asked into consents given, with the evidence of both
// ends: when and where it was asked and confirmed, and the time between. The
// name and the fields that were typed become the subscriber's now. It is
// repeatable: a second confirmation of the same request changes nothing, not
// even after the person has left. Pressed within ten seconds of the mail's
// delivery, from another network than the sign-up's, it does not count yet: the
// Question is Second then, and the request stays as it was. It fails with problem.Gone "signup.expired"
// when the request's time is over (72 h by default), "signup.moved" when the
// person has another address since, and with problem.Conflict
// "signup.disowned" after "not me".
func Confirm(tx *store.Tx, id uuid.UUID, seen Seen) (Question, error) {
	q, err := open(tx, id)
	if err != nil {
		return Question{}, err
	}
	switch q.Stands() {
	case Confirmed:
		if q.Request.AnsweredAt != nil {
			q.Tracking, err = stillAsked(tx, q.Brand.ID, q.Subscriber.ID, q.Request.AnsweredAt.UTC())
		}
		return q, err
	case Disowned:
		return q, problem.New(problem.Conflict, "signup.disowned")
	case Expired:
		return q, problem.New(problem.Gone, "signup.expired")
	}
	if !tx.Now().Before(q.Request.ExpiresAt) {
		return q, problem.New(problem.Gone, "signup.expired")
	}
	if same, err := q.sameAddress(tx); err != nil || !same {
		return q, firstOf(err, problem.New(problem.Gone, "signup.moved"))
	}
	human, counts, err := q.settle(tx, seen)
	if err != nil || !counts {
		return q, err
	}
	r := &q.Request
	evidence := q.evidence(tx, seen)
	human.write(q, evidence)
	for _, a := range byTopic(r.Boxes) {
		topic, ok := q.topics[a.Topic]
		if !ok {
			continue
		}
		act := consent.Act{
			Brand: q.Brand, Subscriber: r.SubscriberID, Topic: topic, State: consent.Given,
			Method: consent.MethodDoubleOptIn, Language: r.Language, Wording: a.Wording,
			FormID: &r.FormID, FormVersion: r.FormVersion, Via: r.Via, Evidence: evidence,
		}
		if topic.ChangedAt != nil && topic.ChangedAt.After(r.CreatedAt) { // a yes to what was shown, and to nothing since
			act.SaidAt = &r.CreatedAt
		}
		_, err := consent.Record(tx, act)
		if err != nil {
			return q, err
		}
	}
	if q.Subscriber, err = subscriber.Update(tx, q.Brand, r.SubscriberID, q.trace.change(r.Language)); err != nil {
		return q, err
	}
	if err := q.refuseUnticked(tx, evidence); err != nil {
		return q, err
	}
	if err := r.move(tx, Confirmed); err != nil {
		return q, err
	}
	q.Tracking, err = askTracking(tx, q.Brand.ID, q.Subscriber.ID)
	return q, err
}

func firstOf(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// sameAddress reports whether the subscriber still has the address that the mail went to.
func (q Question) sameAddress(tx *store.Tx) (bool, error) {
	if q.trace.Email == "" {
		return true, nil
	}
	address, err := subscriber.ParseAddress(q.trace.Email)
	if err != nil {
		return false, err
	}
	hash, err := q.Brand.AddressHash(tx, address.Normal)
	return bytes.Equal(hash, q.Subscriber.AddressHash), err
}

// evidence is the trail of a double opt-in: LG Bonn 11 O 40/11 and BGH I ZR
// 164/09 want each consent shown in full.
func (q Question) evidence(tx *store.Tx, seen Seen) map[string]any {
	e := maps.Clone(q.trace.evidence(q.Request))
	e["confirmed_at"] = tx.Now().Format(time.RFC3339Nano)
	e["confirm_ip"] = seen.IP
	e["confirm_user_agent"] = clip(seen.UserAgent, valueMax)
	e["delay_s"] = tx.Now().Sub(q.Request.CreatedAt).Seconds()
	return e
}

// change is what the person typed, as it is kept once they confirm.
func (t trace) change(lang string) subscriber.Change {
	c := subscriber.Change{Language: &lang, Attributes: map[string]any{}}
	if t.Name != "" {
		c.Name = &t.Name
	}
	maps.Copy(c.Attributes, t.Fields)
	return c
}

// Decline remembers a "no, thank you": what was asked is refused. What the
// person had allowed before stays. Repeatable; after a confirmation it is
// problem.Conflict "signup.confirmed", since leaving is what is meant then.
func Decline(tx *store.Tx, id uuid.UUID, seen Seen) (Question, error) {
	q, err := open(tx, id)
	if err != nil {
		return Question{}, err
	}
	switch q.Request.State {
	case Declined, Disowned:
		return q, nil
	case Confirmed:
		return q, problem.New(problem.Conflict, "signup.confirmed")
	}
	if err := q.end(tx, consent.Refused, consent.MethodDoubleOptIn, q.evidence(tx, seen)); err != nil {
		return q, err
	}
	return q, q.Request.move(tx, Declined)
}

// Disown takes the answer "that was not me": what was asked is invalid, what
// was confirmed by it is withdrawn, and the address is suppressed until its
// owner signs up again. Repeatable.
func Disown(tx *store.Tx, id uuid.UUID, seen Seen) (Question, error) {
	q, err := open(tx, id)
	if err != nil {
		return Question{}, err
	}
	if q.Request.State == Disowned {
		return q, nil
	}
	if same, err := q.sameAddress(tx); err != nil || !same {
		return q, firstOf(err, problem.New(problem.Gone, "signup.moved"))
	}
	evidence := q.evidence(tx, seen)
	if q.Request.State == Confirmed {
		var ids []uuid.UUID
		for _, a := range q.Request.Boxes {
			ids = append(ids, a.Topic)
		}
		if _, err := consent.Withdraw(tx, q.Brand, q.Subscriber.ID, ids, consent.MethodNotMe, evidence); err != nil {
			return q, err
		}
	} else if err := q.end(tx, consent.Invalidated, consent.MethodNotMe, evidence); err != nil {
		return q, err
	}
	if err := consent.Suppress(tx, q.Brand, q.Subscriber.AddressHash, consent.NotMe, "confirmation-page"); err != nil {
		return q, err
	}
	return q, q.Request.move(tx, Disowned)
}

// end brings what this request asked, and nothing else asked since, to an end
// without a yes.
func (q Question) end(tx *store.Tx, state consent.State, method string, evidence map[string]any) error {
	if _, err := subscriber.Lock(tx, q.Brand.ID, q.Subscriber.ID); err != nil {
		return err
	}
	all, err := consent.Permissions(tx, q.Brand.ID, q.Subscriber.ID)
	if err != nil {
		return err
	}
	open := map[uuid.UUID]bool{}
	for _, p := range all {
		// A later request for the topic is a question of its own. The ledger
		// may have put this one a little after the request itself.
		open[p.TopicID] = p.State == consent.Requested && p.Since.Before(q.Request.CreatedAt.Add(time.Millisecond))
	}
	entity := consent.EntitySubject
	if state == consent.Expired {
		entity = consent.EntityController
	}
	for _, a := range byTopic(q.Request.Boxes) {
		topic, ok := q.topics[a.Topic]
		if !ok || !open[a.Topic] {
			continue
		}
		_, err := consent.Record(tx, consent.Act{
			Brand: q.Brand, Subscriber: q.Subscriber.ID, Topic: topic, State: state, Method: method, Entity: entity,
			Language: q.Request.Language, Wording: a.Wording, FormID: &q.Request.FormID, FormVersion: q.Request.FormVersion,
			Evidence: evidence,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// expire ends a request that nobody answered in time, and forgets what is
// personal about it.
func (r *Request) expire(tx *store.Tx) error {
	q, err := question(tx, *r)
	if err == nil {
		err = q.end(tx, consent.Expired, consent.MethodRequestExpired, nil)
	}
	if err != nil && !problem.Is(err, problem.Gone) { // the person was erased meanwhile
		return err
	}
	return r.move(tx, Expired)
}
