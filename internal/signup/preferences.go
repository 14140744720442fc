package signup

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Preferences are what a person can set by the link in their mail.
type Preferences struct {
	Language   string // of the words of the choices: the person's, unless Speak changed it
	Brand      brand.Brand
	Subscriber subscriber.Subscriber
	Choices    []Choice       // marketing topics by position, then opens and clicks
	Change     *AddressChange // one that waits to be confirmed
	Stopped    string         // a suppression that the page cannot lift: see consent.Suppressed
}

// Choice is one topic and where the person stands with it.
type Choice struct {
	Box
	Name        string
	Description string
	On          bool
	State       consent.State // empty: never asked
	Since       time.Time     // when it came to stand there
	Until       *time.Time    // when it ends by itself
	Event       uuid.UUID     // that it stands on; nil where there is none

	Often       consent.Promise   // what holds now: at most so many mails; while On
	Promised    consent.Promise   // what was promised when it was given
	Slower      []consent.Promise // to choose from
	PausedUntil time.Time         // no mail before; zero: no pause
}

// Preference reads the preference page of a subscriber. The ids come from a
// signed link; someone erased is problem.Gone "signup.gone".
func Preference(tx *store.Tx, brandID, subscriberID uuid.UUID) (Preferences, error) {
	var p Preferences
	var err error
	if p.Brand, err = brand.Find(tx, brandID); err != nil {
		return p, err
	}
	if p.Subscriber, err = subscriber.Find(tx, brandID, subscriberID); err != nil {
		return p, err
	}
	if p.Subscriber.ErasedAt != nil {
		return p, problem.New(problem.Gone, "signup.gone")
	}
	p.Language = p.Subscriber.Language
	if p.Choices, err = choices(tx, p.Brand, p.Subscriber); err != nil {
		return p, err
	}
	reasons, err := consent.Suppressions(tx, brandID, p.Subscriber.AddressHash)
	if err != nil {
		return p, err
	}
	for _, s := range reasons {
		if s.Reason != consent.Left {
			p.Stopped = s.Reason
		}
	}
	p.Change, err = openChange(tx, brandID, subscriberID)
	return p, err
}

// Speak puts the choices in another language; one that the brand does not offer
// is brought to the nearest.
func (p Preferences) Speak(lang string) Preferences {
	p.Language = p.Brand.Offers(lang)
	p.Choices = slices.Clone(p.Choices)
	for i, c := range p.Choices {
		words := choice(p.Brand, c.Topic, p.Language)
		p.Choices[i].Box, p.Choices[i].Name, p.Choices[i].Description = words.Box, words.Name, words.Description
	}
	return p
}

// Words names the words that the page shows, for Wish.
func (p Preferences) Words() string {
	boxes := make([]Box, len(p.Choices))
	for i, c := range p.Choices {
		boxes[i] = c.Box
	}
	return p.Language + ":" + hex.EncodeToString(digest(boxes))
}

// choices are the topics on offer, and archived ones that the person still allows.
func choices(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) ([]Choice, error) {
	topics, err := consent.AllTopics(tx, b.ID)
	if err != nil {
		return nil, err
	}
	permissions, err := consent.Permissions(tx, b.ID, s.ID)
	if err != nil {
		return nil, err
	}
	var all []Choice
	for _, t := range topics {
		c := choice(b, t, s.Language)
		for _, p := range permissions {
			if p.TopicID == t.ID {
				if err := c.stand(tx, p); err != nil {
					return nil, err
				}
			}
		}
		if t.ArchivedAt == nil || c.On {
			all = append(all, c)
		}
	}
	return all, nil
}

// stand gives a choice where the person stands with it. Since is when it was
// given, whatever was adjusted later.
func (c *Choice) stand(tx *store.Tx, p consent.Permission) error {
	c.State, c.On, c.Since, c.Until, c.Event = p.State, p.InForce(tx.Now()), p.Since, p.ValidUntil, p.EventID
	if !c.On || c.Tracking() {
		return nil
	}
	e, err := consent.FindEvent(tx, p.BrandID, p.EventID)
	if err != nil {
		return err
	}
	given, err := consent.Origin(tx, e)
	if err != nil {
		return err
	}
	c.Since = given.OccurredAt
	c.Often, c.Promised = consent.Promise{Max: p.PromiseMax, Days: p.PromiseDays}, consent.Promise{Max: given.PromiseMax, Days: given.PromiseDays}
	c.Slower = consent.Slower(c.Promised)
	if p.Paused(tx.Now()) {
		c.PausedUntil = *p.PausedUntil
	}
	return nil
}

func choice(b brand.Brand, t consent.Topic, lang string) Choice {
	text := t.In(b, lang)
	if b.AnonymousCounts && t.Purpose != consent.Marketing { // not nothing is seen without the permission
		text.Description = i18n.For(lang).T("consent."+t.Purpose+".description-anonymous", "Brand", b.In(lang).Name)
	}
	return Choice{
		Box:  Box{Topic: t, Label: text.Wording, Note: Promise(i18n.For(lang), t)},
		Name: text.Name, Description: text.Description,
	}
}

// Wish is what a person sets: for each topic that the page showed, by slug,
// whether it is to be on; and their language, where it is not empty.
type Wish struct {
	Topics   map[string]bool
	Language string
	Words    string // what Words said of the page that was shown; a language alone is taken at its word; empty: the person's language
}

// Save does what the person wishes. A topic turned on is a consent given by
// their own act, on a page whose link only their mailbox has, in the words they
// saw; one turned off is withdrawn at once. What stands already is left alone.
// A topic that is not on the page is problem.Invalid; turning one on in words
// that have changed since they were shown is problem.Conflict "signup.form.stale".
func Save(tx *store.Tx, brandID, subscriberID uuid.UUID, w Wish, seen Seen) (Preferences, error) {
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return p, err
	}
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return p, err
	}
	lang, _, exact := strings.Cut(w.Words, ":")
	if lang != "" {
		p = p.Speak(lang)
	}
	stale := exact && p.Words() != w.Words
	var off []uuid.UUID
	left := maps.Clone(w.Topics)
	slices.SortFunc(p.Choices, func(a, b Choice) int { return slices.Compare(a.Topic.ID[:], b.Topic.ID[:]) })
	for _, c := range p.Choices {
		on, named := left[c.Topic.Slug]
		delete(left, c.Topic.Slug)
		switch {
		case !named:
		case !on:
			off = append(off, c.Topic.ID)
		case on && !c.On && stale:
			return p, problem.New(problem.Conflict, "signup.form.stale")
		case on && !c.On:
			if err := p.give(tx, c, seen); err != nil {
				return p, err
			}
		}
	}
	if len(left) > 0 {
		return p, problem.New(problem.Invalid, "problem.invalid").Field("topics", "problem.field.choice")
	}
	if _, err := consent.Withdraw(tx, p.Brand, subscriberID, off, consent.MethodPreferences, seen.evidence()); err != nil {
		return p, err
	}
	if w.Language != "" && p.Brand.Offers(w.Language) != p.Subscriber.Language {
		if _, err := subscriber.Update(tx, p.Brand, subscriberID, subscriber.Change{Language: &w.Language}); err != nil {
			return p, err
		}
		if err := p.changed(tx, consent.ChangedLanguage, []string{"language"}, consent.MethodPreferences, seen.evidence()); err != nil {
			return p, err
		}
	}
	return Preference(tx, brandID, subscriberID)
}

func (s Seen) evidence() map[string]any {
	return map[string]any{"ip": s.IP, "user_agent": clip(s.UserAgent, valueMax)}
}

func (p Preferences) give(tx *store.Tx, c Choice, seen Seen) error {
	e := seen.evidence()
	e["email"] = p.Subscriber.Email
	_, err := consent.Record(tx, consent.Act{
		Brand: p.Brand, Subscriber: p.Subscriber.ID, Topic: c.Topic, State: consent.Given, Method: consent.MethodPreferences,
		Language: p.Language, Wording: c.Wording(), Evidence: e,
	})
	return err
}

// LeaveAll takes back everything the person ever allowed the brand, tracking
// included. Repeatable.
func LeaveAll(tx *store.Tx, brandID, subscriberID uuid.UUID, seen Seen) error {
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return err
	}
	_, err = consent.WithdrawAll(tx, b, subscriberID, consent.MethodPreferences, seen.evidence())
	return err
}

// Mail is a sent mail as its links show it to whoever holds them.
type Mail struct {
	Message    delivery.Message
	Brand      brand.Brand
	Subscriber *subscriber.Subscriber // nil for a test mail, and once the person is erased
	Topic      *Choice                // nil for mail that is not about a topic
}

// Language is what to speak with whoever opened the link.
func (m Mail) Language() string {
	if m.Subscriber != nil {
		return m.Subscriber.Language
	}
	return m.Brand.Offers(m.Message.Language)
}

// LookAtMail finds the mail of a signed link, changes nothing, and works for as
// long as the message is kept, whatever became of its topic, its campaign or
// its person. A mail that is not there is problem.NotFound "link.unknown".
func LookAtMail(tx *store.Tx, ref link.Message) (Mail, error) {
	var m Mail
	var err error
	if m.Message, err = delivery.FindMessage(tx, ref); problem.Is(err, problem.NotFound) {
		return m, problem.New(problem.NotFound, "link.unknown").Because(err)
	} else if err != nil {
		return m, err
	}
	if m.Brand, err = brand.Find(tx, m.Message.BrandID); err != nil {
		return m, err
	}
	if m.Message.SubscriberID != nil {
		s, err := subscriber.Find(tx, m.Brand.ID, *m.Message.SubscriberID)
		if err != nil {
			return m, err
		}
		if s.ErasedAt == nil {
			m.Subscriber = &s
		}
	}
	if m.Message.TopicID == nil {
		return m, nil
	}
	t, err := consent.FindTopic(tx, m.Brand.ID, *m.Message.TopicID)
	if err != nil {
		return m, err
	}
	c := choice(m.Brand, t, m.Language())
	if m.Subscriber != nil {
		p, err := consent.Permissions(tx, m.Brand.ID, m.Subscriber.ID)
		if err != nil {
			return m, err
		}
		for _, p := range p {
			if p.TopicID == t.ID {
				c.State, c.On = p.State, p.InForce(tx.Now())
			}
		}
	}
	m.Topic = &c
	return m, nil
}

// LeaveTopic withdraws the topic of the mail, and only that; a mail about no
// topic, and a person who is erased or has left, have nothing to withdraw and
// get the same answer (RFC 8058 §3.1 wants every receiver's POST to succeed).
// method is consent.MethodOneClick or consent.MethodUnsubscribe.
func LeaveTopic(tx *store.Tx, ref link.Message, method string, seen Seen) (Mail, error) {
	m, err := LookAtMail(tx, ref)
	if err != nil || m.Topic == nil || m.Subscriber == nil {
		return m, err
	}
	e := seen.evidence()
	e["source_id"], e["message_id"] = ref.Source.String(), ref.ID.String()
	left, err := consent.Withdraw(tx, m.Brand, m.Subscriber.ID, []uuid.UUID{m.Topic.Topic.ID}, method, e)
	if err != nil {
		return m, err
	}
	if len(left) > 0 {
		err = event.AddStreams(tx, []event.StreamTally{{BrandID: m.Brand.ID, StreamID: m.Message.StreamID, At: tx.Now(), Kind: event.StreamLeft, N: 1}})
		if err != nil {
			return m, err
		}
	}
	m.Topic.On = false
	return m, nil
}

// LeaveByReceipt withdraws what a receipt is of, for whoever holds it. What is
// withdrawn already is left alone.
func LeaveByReceipt(tx *store.Tx, e consent.Event, seen Seen) error {
	b, err := brand.Find(tx, e.BrandID)
	if err != nil {
		return err
	}
	evidence := seen.evidence()
	evidence["receipt"] = e.ID.String()
	_, err = consent.Withdraw(tx, b, e.SubscriberID, []uuid.UUID{e.TopicID}, consent.MethodReceipt, evidence)
	return err
}

// Reason is why a mail was sent.
type Reason struct {
	Mail
	Consent *consent.Event // in which it was given what stood when it was claimed; nil for service mail
	Event   uuid.UUID      // that it was claimed under: Consent, or what was adjusted of it later
	Promise consent.Promise
	Place   int             // of the mails of the topic in the promise's days; 0: not known
	Origin  delivery.Origin // empty: not known any more
	Words   string          // shown when it was given; empty where none were
	Page    string          // where it was asked; empty where that is not known any more
}

// Why tells on what permission a mail rests.
func Why(tx *store.Tx, ref link.Message) (Reason, error) {
	m, err := LookAtMail(tx, ref)
	if err != nil {
		return Reason{}, err
	}
	r := Reason{Mail: m}
	if s, err := delivery.FindStream(tx, m.Brand.ID, m.Message.StreamID); err == nil {
		r.Origin = s.Origin
	} else if !problem.Is(err, problem.NotFound) {
		return r, err
	}
	if m.Message.ConsentEventID == nil {
		return r, nil
	}
	e, err := consent.FindEvent(tx, m.Brand.ID, *m.Message.ConsentEventID)
	if err != nil {
		return r, err
	}
	r.Event, r.Promise = e.ID, consent.Promise{Max: e.PromiseMax, Days: e.PromiseDays}
	if r.Promise.Max > 0 {
		if r.Place, err = delivery.PlaceInPromise(tx, m.Message, r.Promise.Days); err != nil {
			return r, err
		}
	}
	if e, err = consent.Origin(tx, e); err != nil {
		return r, err
	}
	r.Consent = &e
	if m.Subscriber != nil {
		proof, err := consent.EvidenceOf(tx, e.ID)
		if err != nil && !problem.Is(err, problem.Gone) {
			return r, err
		}
		r.Page, _ = proof.Evidence["page"].(string)
	}
	r.Words, err = consent.WordingOf(tx, e)
	return r, err
}
