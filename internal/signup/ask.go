package signup

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Ask takes a form that came back. What was typed wrongly is problem.Invalid; a
// token that was not signed here problem.NotFound, one that is too old, or
// words that have changed since they were shown, problem.Conflict
// "signup.form.stale": the visitor is to see the form anew. A filled honeypot is
// answered like a sign-up, and nothing is stored.
//
// Otherwise the outcome is the same for every address, and so is the work. In
// the one transaction the subscriber is made sure of (without any permission),
// the request and its consents are written as requested, and the confirmation
// mail is queued; or all of it is done and taken back at once, by a savepoint,
// because the person is confirmed already, has a mail waiting, is suppressed,
// or had their share of mails.
func Ask(tx *store.Tx, set Settings, form uuid.UUID, in Submission) (Outcome, error) {
	t, err := readTicket(set.URLs.Ring, in.Token)
	if err != nil {
		return Outcome{}, err
	}
	if t.form != form {
		return Outcome{}, problem.New(problem.NotFound, "link.unknown")
	}
	f, b, err := public(tx, form)
	if err != nil {
		return Outcome{}, err
	}
	sheet, err := show(tx, f, b, t.version, t.lang)
	if err != nil {
		return Outcome{}, err
	}
	if !t.fresh(set, tx.Now()) || !bytes.Equal(t.words, sheet.words()) {
		return Outcome{}, problem.New(problem.Conflict, "signup.form.stale")
	}
	if in.Values[Honeypot] != "" {
		o := sheet.outcome()
		o.Kept = KeptBait
		return o, nil
	}
	e, err := sheet.read(in)
	if err != nil {
		return Outcome{}, err
	}
	if tx.Now().Sub(t.at) < set.MinFill {
		return Outcome{}, problem.New(problem.TooMany, "signup.too-quick")
	}
	o := sheet.outcome()
	o.Kept, err = sheet.take(tx, set, e)
	return o, err
}

// take does the work of Ask for an entry, and keeps of it what may be kept.
func (s Sheet) take(tx *store.Tx, set Settings, e entry) (kept Kept, err error) {
	key, err := addressKey(tx, e.address.Normal)
	if err != nil {
		return KeptNothing, err
	}
	if err := lockAddress(tx, key); err != nil {
		return KeptNothing, err
	}
	hash, err := s.Brand.AddressHash(tx, e.address.Normal)
	if err != nil {
		return KeptNothing, err
	}
	_, stopped, err := consent.Suppressed(tx, s.Brand.ID, hash, consent.ConfirmMail)
	if err != nil {
		return KeptNothing, err
	}
	_, silent, err := consent.Suppressed(tx, s.Brand.ID, hash, consent.MarketingMail)
	if err != nil {
		return KeptNothing, err
	}
	may, err := set.mayMail(tx, key)
	if err != nil {
		return KeptNothing, err
	}
	fresh := false
	err = attempt(tx, "signup", may && !stopped, func() error {
		who, _, err := subscriber.Ensure(tx, s.Brand, subscriber.New{Address: e.address, Language: s.Language})
		if err != nil {
			return err
		}
		fresh, err = s.ask(tx, set, e, who, silent, key)
		return err
	})
	switch {
	case err != nil || !may || stopped:
		return KeptNothing, err
	case fresh:
		return KeptAll, nil
	}
	return KeptMail, nil
}

// attempt does the work and, unless it is to be kept, takes it back. An error
// of the work itself takes the whole transaction with it.
func attempt(tx *store.Tx, name string, keep bool, work func() error) error {
	if _, err := tx.Run("SAVEPOINT " + name); err != nil {
		return fmt.Errorf("begin an attempt: %w", err)
	}
	if err := work(); err != nil {
		return err
	}
	if keep {
		return nil
	}
	if _, err := tx.Run("ROLLBACK TO SAVEPOINT " + name); err != nil {
		return fmt.Errorf("take an attempt back: %w", err)
	}
	return nil
}

// ask writes the request, unless there is one with the same boxes or nothing
// left to ask, and queues the mail that fits.
func (s Sheet) ask(tx *store.Tx, set Settings, e entry, who subscriber.Subscriber, silent bool, key []byte) (fresh bool, err error) {
	permissions, err := consent.Permissions(tx, s.Brand.ID, who.ID)
	if err != nil {
		return false, err
	}
	var wanted, held []Box
	for _, b := range e.boxes {
		inForce := slices.ContainsFunc(permissions, func(p consent.Permission) bool {
			return p.TopicID == b.Topic.ID && p.InForce(tx.Now())
		})
		if inForce && !silent {
			held = append(held, b)
		} else {
			wanted = append(wanted, b)
		}
	}
	r := s.request(tx, set, e, who, wanted)
	waiting, part, err := r.waiting(tx)
	if err != nil {
		return false, err
	}
	t := trace{Email: e.address.Typed, Name: e.name, Fields: e.fields, Page: e.page, IP: e.ip, UserAgent: e.agent, Unticked: s.unticked(e), Signs: e.signs, Proof: e.proof}
	fresh = len(wanted) > 0 && waiting == nil
	err = attempt(tx, "request", fresh, func() error { return r.write(tx, s.Brand, topicsOf(wanted), t) })
	if err != nil {
		return false, err
	}
	welcome, err := s.single(tx, &r, who, wanted, t, fresh, silent)
	if err != nil {
		return false, err
	}
	// What is in force is not asked again; the same work is done for it, and taken back.
	err = attempt(tx, "held", false, func() error {
		return r.record(tx, s.Brand, topicsOf(held), asked(held), consent.Given, t)
	})
	if err != nil {
		return false, err
	}
	template := "confirm"
	switch {
	case len(wanted) == 0:
		template = "already"
	case waiting != nil:
		r = *waiting
	case welcome:
		template = "welcome"
	}
	return fresh, r.mail(tx, set, s.Brand, t, template, part, key)
}

func (s Sheet) request(tx *store.Tx, set Settings, e entry, who subscriber.Subscriber, wanted []Box) Request {
	return Request{
		ID: tx.NewID(), BrandID: s.Brand.ID, FormID: s.Form.ID, FormVersion: s.Version, SubscriberID: who.ID,
		Language: s.Language, State: Pending, Boxes: asked(wanted), Via: e.via, CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(set.AskLife),
	}
}

func asked(boxes []Box) []Asked {
	all := make([]Asked, len(boxes))
	for i, b := range boxes {
		all[i] = Asked{Topic: b.Topic.ID, Wording: b.Wording()}
	}
	return all
}

func topicsOf(boxes []Box) map[uuid.UUID]consent.Topic {
	all := make(map[uuid.UUID]consent.Topic, len(boxes))
	for _, b := range boxes {
		all[b.Topic.ID] = b.Topic
	}
	return all
}

// waiting finds a request of the same person for the same boxes that can still
// be confirmed, and the part that the next mail of it has. It reads the index
// signup_requests_person.
func (r Request) waiting(tx *store.Tx) (*Request, int, error) {
	var open []Request
	err := tx.Raw(`SELECT * FROM signup_requests WHERE subscriber_id = ? AND brand_id = ? AND state = 'pending' AND expires_at > ?
		ORDER BY created_at DESC LIMIT 20`, r.SubscriberID, r.BrandID, tx.Now()).Scan(&open).Error
	if err != nil {
		return nil, 0, fmt.Errorf("find open sign-up requests: %w", err)
	}
	i := slices.IndexFunc(open, func(o Request) bool { return o.FormID == r.FormID && slices.Equal(o.Boxes, r.Boxes) })
	source := r.ID
	if i >= 0 {
		source = open[i].ID
	}
	var mails int
	if err := tx.Raw("SELECT count(*) FROM messages WHERE source_id = ? AND brand_id = ?", source, r.BrandID).Scan(&mails).Error; err != nil {
		return nil, 0, fmt.Errorf("count the mails of a request: %w", err)
	}
	if i < 0 {
		return nil, mails, nil
	}
	return &open[i], mails, nil
}

// write stores the request and what it asks, topic by topic in the order in
// which claims lock permissions.
func (r *Request) write(tx *store.Tx, b brand.Brand, topics map[uuid.UUID]consent.Topic, t trace) error {
	var err error
	if r.Sealed, err = t.seal(tx, r.SubscriberID); err != nil {
		return err
	}
	if err := tx.Create(r).Error; err != nil {
		return fmt.Errorf("store a sign-up request: %w", err)
	}
	if err := r.record(tx, b, topics, r.Boxes, consent.Requested, t); err != nil {
		return err
	}
	return event.Record(tx, event.Event{BrandID: r.BrandID, SubscriberID: &r.SubscriberID, Kind: event.SignupAsked, SourceID: &r.ID,
		Data: r.told()})
}

func (r Request) record(tx *store.Tx, b brand.Brand, topics map[uuid.UUID]consent.Topic, boxes []Asked, state consent.State, t trace) error {
	method, entity := consent.MethodForm, consent.EntitySubject
	if t.Inviter != "" { // the brand asks, on a friend's word
		method, entity = MethodInvitation, consent.EntityController
	}
	for _, a := range byTopic(boxes) {
		_, err := consent.Record(tx, consent.Act{
			Brand: b, Subscriber: r.SubscriberID, Topic: topics[a.Topic], State: state,
			Method: method, Entity: entity, Language: r.Language, Wording: a.Wording,
			FormID: &r.FormID, FormVersion: r.FormVersion, Via: r.Via, Evidence: t.evidence(r),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func byTopic(boxes []Asked) []Asked {
	sorted := slices.Clone(boxes)
	slices.SortFunc(sorted, func(a, b Asked) int { return bytes.Compare(a.Topic[:], b.Topic[:]) })
	return sorted
}

// mail queues the mail of a request and counts it against the limits.
func (r Request) mail(tx *store.Tx, set Settings, b brand.Brand, t trace, template string, part int, key []byte) error {
	if err := countMail(tx, key); err != nil {
		return err
	}
	stream, err := delivery.BrandStream(tx, b.ID, delivery.OriginConfirm)
	if err != nil {
		return err
	}
	checkpoint, err := ledger.Newest(tx)
	if err != nil {
		return err
	}
	l := i18n.For(r.Language)
	data := map[string]any{"name": t.Name, "page": shownPage(t.Page, set.URLs.Base.Host, b.Website), "requested_at": l.DateTime(tx.Now(), b.Location())}
	if template == "invite" {
		data[invitedBy] = t.Inviter
	}
	if template == "already" {
		data["preferences_url"] = set.URLs.Preferences(b.ID, r.SubscriberID)
	} else {
		data["ip"] = t.IP
		data["wordings"] = r.wordings()
		if checkpoint != "" { // whoever has it can tell that the log was not rewritten
			data["checkpoint"] = checkpoint
		}
		data["confirm_url"] = set.URLs.Confirm(r.ID)
		data["not_me_url"] = set.URLs.Confirm(r.ID) + "?answer=notme"
	}
	if template == "welcome" {
		delete(data, "confirm_url")
		data["preferences_url"] = set.URLs.Preferences(b.ID, r.SubscriberID)
	}
	_, fresh, err := delivery.Queue(tx, delivery.Draft{
		Source: r.ID, Stream: stream, Brand: b.ID, Subscriber: &r.SubscriberID, Part: part,
		Kind: delivery.Confirm, Template: template, Language: r.Language, Data: data, Due: tx.Now(),
	})
	if err == nil && !fresh {
		err = errors.New("the mail of a sign-up request was queued before")
	}
	return err
}

func (r Request) wordings() []string {
	all := make([]string, len(r.Boxes))
	for i, a := range r.Boxes {
		all[i] = a.Wording
	}
	return all
}

// AskAgain sends the question anew to somebody who has the link of an earlier
// one, which proves that the mailbox is theirs: one that has expired becomes a
// new request for what is still offered, one that waits gets another mail.
// Where the limits allow no mail now it is problem.TooMany "signup.again.later".
func AskAgain(tx *store.Tx, set Settings, id uuid.UUID, seen Seen) error {
	q, err := open(tx, id)
	if err != nil {
		return err
	}
	r := q.Request
	if q.Stands() != Expired && q.Stands() != Pending {
		return problem.New(problem.Conflict, "signup.again.answered")
	}
	address, err := subscriber.ParseAddress(q.Subscriber.Email)
	if err != nil {
		return err
	}
	key, err := addressKey(tx, address.Normal)
	if err != nil {
		return err
	}
	if err := lockAddress(tx, key); err != nil {
		return err
	}
	_, stopped, err := consent.Suppressed(tx, r.BrandID, q.Subscriber.AddressHash, consent.ConfirmMail)
	if err != nil {
		return err
	}
	may, err := set.mayMail(tx, key)
	if err != nil {
		return err
	}
	if stopped || !may {
		return problem.New(problem.TooMany, "signup.again.later")
	}
	t := q.trace
	t.Email, t.IP, t.UserAgent = q.Subscriber.Email, seen.IP, clip(seen.UserAgent, valueMax)
	if q.Stands() == Pending {
		_, part, err := r.waiting(tx)
		if err != nil {
			return err
		}
		return r.mail(tx, set, q.Brand, t, "confirm", part, key)
	}
	return q.anew(tx, set, t, key)
}

// anew makes a request out of an expired one, in the words of today.
func (q Question) anew(tx *store.Tx, set Settings, t trace, key []byte) error {
	r := q.Request
	if r.State == Pending {
		if err := r.expire(tx); err != nil {
			return err
		}
	}
	topics := maps.Clone(q.topics)
	var boxes []Asked
	for _, a := range q.Request.Boxes {
		topic, ok := topics[a.Topic]
		if !ok || topic.ArchivedAt != nil {
			continue
		}
		box := Box{Topic: topic, Label: topic.In(q.Brand, r.Language).Wording, Note: Promise(i18n.For(r.Language), topic)}
		boxes = append(boxes, Asked{Topic: topic.ID, Wording: box.Wording()})
	}
	if len(boxes) == 0 {
		return problem.New(problem.Gone, "signup.form.closed", "Brand", q.Brand.In(r.Language).Name)
	}
	next := Request{
		ID: tx.NewID(), BrandID: r.BrandID, FormID: r.FormID, FormVersion: r.FormVersion, SubscriberID: r.SubscriberID,
		Language: r.Language, State: Pending, Boxes: boxes, Via: r.Via, CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(set.AskLife),
	}
	if err := next.write(tx, q.Brand, topics, t); err != nil {
		return err
	}
	return next.mail(tx, set, q.Brand, t, "confirm", 0, key)
}
