package admin

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

func messageActions() []action {
	return []action{
		look("/messages", account.Analyst, messages),
		look("/messages/:source/:id", account.Analyst, showMessage),
		look("/messages/:source/:id/mail", account.Analyst, messageHTML),
		act("/messages/:source/:id/settle", account.Marketer, settleMessage),
	}
}

const (
	messagesAtOnce = 50
	streamChoices  = 200 // campaigns, sequences and offers to choose among
)

// MessageLine is one message in the list.
type MessageLine struct {
	URL, To, ToURL   string // To is empty once the person is erased
	What, Kind       string
	State, Tone, Why string
	At               time.Time
	Unsaid           string // in place of an address
}

// Messages is the page admin/messages.
type Messages struct {
	Frame
	Filter      Sheet
	Language    string
	States      []Choice
	Kinds       []Choice
	Streams     []Choice
	Source      string // one source only; empty: all
	Filtered    bool
	Wrong       string // what was looked for is no address
	Stranger    bool   // nobody has the address
	All         string
	Messages    []MessageLine
	LookedTo    *time.Time // the search has not come to the end, but to here
	First, Next string
}

// messageTones are the colours of the states.
var messageTones = map[delivery.State]string{delivery.Queued: "ask", delivery.Claimed: "ask", delivery.Sent: "yes", delivery.Failed: "no", delivery.Uncertain: "no"}

func messages(d *desk) error {
	values := url.Values{}
	for name, most := range map[string]int{"q": 320, "state": 10, "kind": 10, "stream": 36, "source": 36} {
		values.Set(name, d.asked(name, most))
	}
	page := Messages{Frame: d.frame("messages"), Language: chosenLanguage(d.c), Filter: Sheet{Action: brandPath + d.brand.Slug + "/messages", Values: values},
		Source: values.Get("source"), All: d.to("/messages")}
	for _, v := range values {
		page.Filtered = page.Filtered || v[0] != ""
	}
	err := d.read(func(tx *store.Tx) error {
		streams, err := d.messageChoices(tx, &page)
		if err != nil {
			return err
		}
		q, ok, err := d.wanted(tx, values, &page)
		if err != nil || !ok {
			return err
		}
		found, next, err := delivery.Search(tx, d.brand.ID, q, messagesAtOnce)
		if err != nil {
			return err
		}
		link := func(before string) string {
			return d.to("/messages", "q", values.Get("q"), "state", values.Get("state"), "kind", values.Get("kind"), "stream", values.Get("stream"), "source", values.Get("source"), "before", before)
		}
		if next != uuid.Nil {
			page.Next = link(next.String())
			if len(found) < messagesAtOnce {
				at := idTime(next)
				page.LookedTo = &at
			}
		}
		if q.Before != uuid.Nil {
			page.First = link("")
		}
		page.Messages, err = d.messageLines(tx, found, streams)
		return err
	})
	if err != nil {
		return err
	}
	return d.draw("messages", page)
}

// idTime is when an id was made, which it begins with.
func idTime(id uuid.UUID) time.Time {
	sec, nsec := id.Time().UnixTime()
	return time.Unix(sec, nsec).UTC()
}

// wanted is what the address asks for; ok is false where nobody can have it.
func (d *desk) wanted(tx *store.Tx, v url.Values, page *Messages) (q delivery.Wanted, ok bool, err error) {
	q.State, q.Kind = delivery.State(v.Get("state")), delivery.Kind(v.Get("kind"))
	for name, into := range map[string]*uuid.UUID{"stream": &q.Stream, "source": &q.Source, "before": &q.Before} {
		text := v.Get(name)
		if name == "before" {
			text = d.asked(name, 36)
		}
		if text == "" {
			continue
		}
		if *into, err = uuid.Parse(text); err != nil {
			return q, false, problem.New(problem.Malformed, "problem.malformed").Because(err)
		}
	}
	if v.Get("q") == "" {
		return q, true, nil
	}
	a, err := subscriber.ParseAddress(v.Get("q"))
	if p, expected := problem.Of(err); err != nil && expected {
		page.Wrong = d.l.T(p.Fields[0].Key, p.Fields[0].Args...)
		return q, false, nil
	} else if err != nil {
		return q, false, err
	}
	s, err := subscriber.ByAddress(tx, d.brand, a)
	if problem.Is(err, problem.NotFound) {
		page.Stranger = true
		return q, false, nil
	}
	q.Subscriber = s.ID
	return q, err == nil, err
}

// messageChoices fills in what one can choose among, and gives the names of
// what mails come from.
func (d *desk) messageChoices(tx *store.Tx, page *Messages) (map[uuid.UUID]string, error) {
	page.States = []Choice{{"", d.l.T("admin.messages.any-state"), ""}}
	for _, s := range []delivery.State{delivery.Queued, delivery.Sent, delivery.Skipped, delivery.Failed, delivery.Uncertain} {
		page.States = append(page.States, Choice{string(s), d.l.T("admin.messages.state." + string(s)), ""})
	}
	page.Kinds = []Choice{{"", d.l.T("admin.messages.any-kind"), ""}}
	for _, k := range []delivery.Kind{delivery.Marketing, delivery.Confirm, delivery.Service, delivery.Test} {
		page.Kinds = append(page.Kinds, Choice{string(k), d.l.T("admin.messages.kind." + string(k)), ""})
	}
	names, err := d.sourceNames(tx)
	if err != nil {
		return nil, err
	}
	streams, err := delivery.Streams(tx, d.brand.ID, streamChoices)
	if err != nil {
		return nil, err
	}
	page.Streams = []Choice{{"", d.l.T("admin.messages.any-stream"), ""}}
	for _, s := range streams {
		if names[s.ID] == "" {
			if names[s.ID], err = d.streamName(tx, s); err != nil {
				return nil, err
			}
		}
		page.Streams = append(page.Streams, Choice{s.ID.String(), names[s.ID], ""})
	}
	if at := page.Filter.Value("stream"); at != "" && !slices.ContainsFunc(page.Streams, func(c Choice) bool { return c.Value == at }) {
		page.Streams = append(page.Streams, Choice{at, d.l.T("admin.messages.older-stream"), ""})
	}
	return names, nil
}

// sourceNames are the names of the newest campaigns, and of all sequences and offers.
func (d *desk) sourceNames(tx *store.Tx) (map[uuid.UUID]string, error) {
	names := map[uuid.UUID]string{}
	campaigns, err := campaign.List(tx, d.brand.ID, uuid.Nil, streamChoices)
	if err != nil {
		return nil, err
	}
	for _, c := range campaigns {
		names[c.ID] = c.Name
	}
	sequences, err := sequence.List(tx, d.brand.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range sequences {
		names[s.ID] = s.Name
	}
	offers, err := offer.List(tx, d.brand.ID)
	for _, o := range offers {
		names[o.ID] = o.Name
	}
	return names, err
}

func (d *desk) messageLines(tx *store.Tx, found []delivery.Message, names map[uuid.UUID]string) ([]MessageLine, error) {
	var people []uuid.UUID
	for _, m := range found {
		if m.SubscriberID != nil {
			people = append(people, *m.SubscriberID)
		}
	}
	emails, err := subscriber.Emails(tx, d.brand.ID, people)
	if err != nil {
		return nil, err
	}
	lines := make([]MessageLine, len(found))
	for i, m := range found {
		if names[m.StreamID] == "" {
			s, err := delivery.FindStream(tx, d.brand.ID, m.StreamID)
			if err != nil {
				return nil, err
			}
			if names[m.StreamID], err = d.streamName(tx, s); err != nil {
				return nil, err
			}
		}
		lines[i] = d.messageLine(m, names[m.StreamID], emails)
	}
	return lines, nil
}

func (d *desk) messageLine(m delivery.Message, name string, emails map[uuid.UUID]string) MessageLine {
	line := MessageLine{URL: d.to(messagePath(m)), To: m.Recipient, What: name, Kind: d.l.T("admin.messages.kind." + string(m.Kind)),
		State: d.l.T("admin.state." + string(m.State)), Tone: messageTones[m.State], At: m.CreatedAt.UTC()}
	if m.Reason != "" && m.State != delivery.Sent {
		line.Why = d.mailReason(m.Reason)
	}
	if m.SubscriberID != nil {
		line.ToURL = d.to("/people/" + m.SubscriberID.String())
		line.To = cmp.Or(line.To, emails[*m.SubscriberID])
	}
	if line.To == "" {
		line.Unsaid = d.l.T("admin.person.erased")
	}
	if m.SettledAt != nil {
		line.At = m.SettledAt.UTC()
	}
	return line
}

func messagePath(m delivery.Message) string {
	return "/messages/" + m.SourceID.String() + "/" + m.ID.String()
}

// ConsentBox is the permission that a mail stands on.
type ConsentBox struct {
	Topic, State, Tone, Method string
	At                         time.Time
	Wording, Lang, Dir         string
	EventID                    string
}

// MessagePage is the page admin/message.
type MessagePage struct {
	Frame
	MessageLine
	Title, Means string
	Fault        string
	MessageID    string
	Language     string
	Opens        bool // they let us see whether they open it
	Clicks       bool
	Due          *time.Time // of one on the way
	Attempt      int
	Code         string // of the server's answer; empty: there was none
	Reply        string
	Consent      *ConsentBox // nil: it needs none
	Happened     []Happening
	Mail         string // address of it as it was sent; empty: it is not shown
	Sheet        Sheet
	Settle       string // address; empty: there is nothing to settle, or the visitor may not
	AskSent      string
	AskFailed    string
	FailedOnce   uuid.UUID
	Source, Back string
	StreamURL    string
}

// message is the one that the address names.
func (d *desk) message() (m delivery.Message, err error) {
	source, err := d.id("source")
	if err != nil {
		return m, err
	}
	id, err := d.id("id")
	if err != nil {
		return m, err
	}
	err = d.read(func(tx *store.Tx) (err error) {
		m, err = delivery.FindMessage(tx, link.Message{Source: source, ID: id})
		return err
	})
	if err == nil && m.BrandID != d.brand.ID {
		err = problem.New(problem.NotFound, "delivery.message-unknown")
	}
	return m, err
}

func showMessage(d *desk) error {
	m, err := d.message()
	if err != nil {
		return err
	}
	return d.drawMessage(m, http.StatusOK, "")
}

func (d *desk) drawMessage(m delivery.Message, status int, fault string) error {
	page := MessagePage{Frame: d.frame("messages"), Fault: fault, MessageID: m.MessageID(d.brand.SenderDomain()), Language: d.languageField(m.Language).Name,
		Opens: m.TracksOpens, Clicks: m.TracksClicks, Attempt: m.Attempt, Reply: m.SMTPReply, Source: d.to("/messages", "source", m.SourceID.String()), Back: d.to("/messages")}
	if m.SMTPCode > 0 {
		page.Code = d.l.Digits(strings.TrimSpace(asJSON(m.SMTPCode)))
	}
	if m.State == delivery.Queued || m.State == delivery.Claimed {
		due := m.DueAt.UTC()
		page.Due = &due
	}
	err := d.read(func(tx *store.Tx) error { return d.tellMessage(tx, m, &page) })
	if err != nil {
		return err
	}
	page.Title = d.l.T("admin.message.title", "What", page.What)
	page.Means = d.l.T("admin.message.means." + string(m.State))
	if m.ContentID != nil {
		page.Mail = d.to(messagePath(m) + "/mail")
	}
	if m.State == delivery.Uncertain && d.may(account.Marketer) {
		now := d.h.DB.Now()
		page.Settle, page.FailedOnce = d.to(messagePath(m)+"/settle"), store.NewID(now)
		page.Sheet = Sheet{Once: store.NewID(now), Page: brandPath + d.brand.Slug + messagePath(m)}
		page.AskSent, page.AskFailed = d.l.T("admin.message.ask-sent"), d.l.T("admin.message.ask-failed")
	}
	return d.drawAs(status, "message", page)
}

func (d *desk) tellMessage(tx *store.Tx, m delivery.Message, page *MessagePage) error {
	lines, err := d.messageLines(tx, []delivery.Message{m}, map[uuid.UUID]string{})
	if err != nil {
		return err
	}
	page.MessageLine = lines[0]
	s, err := delivery.FindStream(tx, d.brand.ID, m.StreamID)
	if err != nil {
		return err
	}
	if s.Origin == delivery.OriginCampaign {
		page.StreamURL = d.to("/campaigns/" + s.ID.String())
	}
	if err := d.tellConsent(tx, m, page); err != nil {
		return err
	}
	return d.tellCourse(tx, m, page)
}

// tellConsent tells the permission that the mail stands on, by the ledger.
func (d *desk) tellConsent(tx *store.Tx, m delivery.Message, page *MessagePage) error {
	if m.ConsentEventID == nil {
		return nil
	}
	e, err := consent.FindEvent(tx, d.brand.ID, *m.ConsentEventID)
	if err != nil {
		return err
	}
	topics, err := consent.AllTopics(tx, d.brand.ID)
	if err != nil {
		return err
	}
	box := ConsentBox{Topic: topicName(d, topics, e.TopicID), State: d.l.T("admin.consent." + string(e.State)), Tone: "no", Method: d.word("admin.method.", e.Method), At: e.OccurredAt, EventID: e.ID.String()}
	if consent.InForce(e.State) {
		box.Tone = "yes"
	}
	if box.Wording, err = consent.WordingOf(tx, e); err != nil {
		return err
	}
	field := d.languageField(e.Language)
	box.Lang, box.Dir = e.Language, field.Dir
	page.Consent = &box
	return nil
}

// tellCourse tells what happened to it, in order.
func (d *desk) tellCourse(tx *store.Tx, m delivery.Message, page *MessagePage) error {
	page.Happened = []Happening{{At: m.CreatedAt.UTC(), Tone: "ask", Text: d.l.T("admin.message.made")}}
	var facts []event.Event
	if m.SubscriberID != nil {
		var err error
		if facts, err = event.About(tx, d.brand.ID, *m.SubscriberID, m.SourceID, m.ID, m.CreatedAt); err != nil {
			return err
		}
	}
	told := false
	for _, e := range facts {
		told = told || e.Kind != event.MailOpened && e.Kind != event.MailClicked
		page.Happened = append(page.Happened, tell(d.l, fact{Event: e}, nil))
	}
	if m.SettledAt != nil && (m.State == delivery.Sent || !told) {
		tone := messageTones[m.State]
		page.Happened = append(page.Happened, Happening{At: m.SettledAt.UTC(), Tone: tone, Text: d.l.T("admin.message.ended." + string(m.State)), Extra: page.Why})
	}
	if m.State == delivery.Queued && m.Attempt > 0 {
		page.Happened = append(page.Happened, Happening{At: m.DueAt.UTC(), Tone: "ask", Text: d.l.N("admin.message.again", int64(m.Attempt))})
	}
	slices.SortStableFunc(page.Happened, func(a, b Happening) int { return a.At.Compare(b.At) })
	return nil
}

// messageHTML is the mail as its reader got it, fenced in. Its links of leaving
// and choosing are nobody's: only the reader may use theirs.
func messageHTML(d *desk) error {
	m, err := d.message()
	if err != nil {
		return err
	}
	shown, err := d.h.renderer.Show(d.c.Request().Context(), m)
	if err != nil {
		return err
	}
	return web.Mail(d.c, string(shown))
}

// settleMessage says what became of an uncertain mail, by who has looked it up
// in the log of the mail server.
func settleMessage(d *desk) error {
	m, err := d.message()
	if err != nil {
		return err
	}
	err = d.change("message.settle", func(tx *store.Tx, form *Sheet) (done, error) {
		return done{subject: m.ID, next: messagePath(m), detail: map[string]any{"name": form.Value("as")}},
			delivery.Settle(tx, d.brand.ID, m.Ref(), delivery.State(form.Value("as")))
	})
	return d.redraw(err, func(status int, s Sheet) error { return d.drawMessage(m, status, s.Fault) })
}
