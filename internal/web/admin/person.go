package admin

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/offer"
	"assent/internal/privacy"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

const (
	factsAtOnce  = 30 // facts of the timeline on a page
	ordersAtOnce = 10 // orders shown of a person
)

// Person is the page admin/person.
type Person struct {
	Frame
	Title             string
	Email, Name       string // empty once erased
	Language          string
	Since             time.Time
	Customer          *time.Time
	Erased            *time.Time
	InForce           int
	Permissions       []Permission
	Stopped           []StoppedLine
	Sheet             Sheet
	Withdraw          string // addresses; empty: the visitor may not
	WithdrawAll       string
	Ask               string // before everything is taken back; empty: there is nothing to take back
	AskOnce           uuid.UUID
	Record            string // address where a permission is stated; empty: the visitor may not
	Tags              []TagLine
	Tag, Untag        string // addresses; empty: the visitor may not
	Notes             []NoteLine
	Note, Unnote      string // addresses; empty: nothing can be written down
	Carer             string // their name; empty: nobody looks after the person
	Carers            []Choice
	Entrust           string // address; empty: the visitor may not
	Pick              string // address that finds those of the team as one types
	CarerSheet        Sheet
	Codes             []CodeLine
	Orders            []OrderLine
	Receipts          []ReceiptLine
	Proof             string // address that saves them all
	Happened          []Happening
	Requests          []RequestLine
	Request           string // address where one is opened; empty: the visitor may not
	First, Next, Back string
}

// Permission is where a person stands with one topic, and what proves it.
type Permission struct {
	PermissionChip
	TopicID     string
	Given       bool // in force now
	Since       time.Time
	Until       *time.Time
	Wording     string // the exact words; empty: none were shown
	WordingLang string
	WordingDir  string
	Earlier     bool // the words belong to the yes before
	Method      string
	Basis       string
	Entity      string
	Promise     string
	Evidence    []Evidence
	Scan        string // address of the copy; empty: there is none
	Single      bool   // nobody confirmed it
	Changed     bool   // it was said before what people agree to changed
	EventID     string
	Gone        bool   // the evidence was destroyed at the person's wish
	Ask         string // before it is taken back; empty: it cannot be, or the visitor may not
	Once        uuid.UUID
}

// TagLine is a tag, with what makes the form that removes it count once.
type TagLine struct {
	Tag  string
	Once uuid.UUID
}

// NoteLine is what somebody of the team wrote down.
type NoteLine struct {
	ID       uuid.UUID
	By, Text string
	At       time.Time
	Own      bool // the visitor wrote it
	Once     uuid.UUID
}

// Evidence is one thing that shows how a permission came about.
type Evidence struct{ Name, Value string }

// CodeLine is a code that the person was given.
type CodeLine struct {
	Offer, Code   string
	Issued, Until time.Time
	Redeemed      *time.Time
	State, With   string
}

// OrderLine is something that the person bought.
type OrderLine struct {
	Number, Total string
	Items         int
	At            time.Time
}

func showPerson(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	return drawPerson(d, s)(http.StatusOK, Sheet{Values: url.Values{}, Once: store.NewID(d.h.DB.Now())})
}

// drawPerson shows what somebody allowed and the proof of it, and then all that
// happened.
func drawPerson(d *desk, s subscriber.Subscriber) func(int, Sheet) error {
	return func(status int, sheet Sheet) error {
		here := "/people/" + s.ID.String()
		sheet.Drafts = ""
		page := Person{Frame: d.frame("people"), Title: s.Name, Email: s.Email, Name: s.Name, Language: d.l.Language(s.Language),
			Since: s.CreatedAt, Customer: s.CustomerSince, Erased: s.ErasedAt, Sheet: sheet, Back: d.to("/people")}
		if page.Title == "" {
			page.Title = s.Email
		}
		if s.ErasedAt != nil {
			page.Title = d.l.T("admin.person.erased")
		} else if d.may(account.Marketer) {
			page.Request = d.to("/requests/new", "person", s.ID.String())
			page.Entrust, page.Pick = d.to(here+"/carer"), d.to("/pick/team")
			page.Record = d.to(here + "/permission")
			page.Tag, page.Untag, page.Withdraw, page.WithdrawAll = d.to(here+"/tags"), d.to(here+"/tags/remove"), d.to(here+"/withdraw"), d.to(here+"/withdraw-all")
		}
		if s.ErasedAt == nil {
			page.Note, page.Unnote = d.to(here+"/notes"), d.to(here+"/notes/remove")
		}
		if err := d.read(func(tx *store.Tx) error { return d.tellPerson(tx, s, &page) }); err != nil {
			return err
		}
		if d.asked("before", 80) != "" {
			page.First = d.to(here)
		}
		return d.drawAs(status, "person", page)
	}
}

func (d *desk) tellPerson(tx *store.Tx, s subscriber.Subscriber, page *Person) (err error) {
	topics, err := consent.AllTopics(tx, d.brand.ID)
	if err != nil {
		return err
	}
	if err := d.tellPermissions(tx, s, topics, page); err != nil {
		return err
	}
	stopped, err := consent.Suppressions(tx, d.brand.ID, s.AddressHash)
	if err != nil {
		return err
	}
	for _, x := range stopped {
		page.Stopped = append(page.Stopped, d.stoppedLine(consent.Stopped{Suppression: x, SubscriberID: &s.ID, Email: s.Email}))
	}
	tags, err := subscriber.Tags(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	d.sortTags(tags)
	for _, tag := range tags {
		page.Tags = append(page.Tags, TagLine{tag, store.NewID(tx.Now())})
	}
	if err := d.tellNotes(tx, s, page); err != nil {
		return err
	}
	asked, err := privacy.Of(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	if page.Requests, err = d.requestLines(tx, asked); err != nil {
		return err
	}
	if err := d.tellCustomer(tx, s, page); err != nil {
		return err
	}
	return d.tellTime(tx, s, topics, page)
}

// tellPermissions tells where they stand with each topic, by the ledger.
func (d *desk) tellPermissions(tx *store.Tx, s subscriber.Subscriber, topics []consent.Topic, page *Person) error {
	found, err := consent.Permissions(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	history, err := consent.History(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	ledger := make(map[uuid.UUID]consent.Event, len(history))
	for _, e := range history {
		ledger[e.ID] = e
	}
	d.tellReceipts(s, topics, history, page)
	open := 0
	for _, t := range topics {
		i := slices.IndexFunc(found, func(p consent.Permission) bool { return p.TopicID == t.ID })
		if i < 0 {
			continue
		}
		one, err := d.permission(tx, t, found[i], ledger)
		if err != nil {
			return err
		}
		if one.Given {
			page.InForce++
		}
		if one.Given || found[i].State == consent.Requested {
			open++
			if page.Withdraw != "" {
				one.Ask, one.Once = d.l.T("admin.person.ask-withdraw", "Topic", one.Topic), store.NewID(tx.Now())
			}
		}
		page.Permissions = append(page.Permissions, one)
	}
	if page.Withdraw != "" && open > 0 {
		page.Ask, page.AskOnce = d.l.N("admin.person.ask-everything", int64(open)), store.NewID(tx.Now())
	}
	return nil
}

func (d *desk) permission(tx *store.Tx, t consent.Topic, p consent.Permission, ledger map[uuid.UUID]consent.Event) (one Permission, err error) {
	e := ledger[p.EventID]
	one = Permission{PermissionChip: d.chip(t, p, tx.Now()), TopicID: t.ID.String(), Given: p.InForce(tx.Now()), Since: p.Since, Until: p.ValidUntil,
		Method: d.word("admin.method.", e.Method), Basis: d.word("admin.basis.", e.Basis), EventID: e.ID.String()}
	if p.PromiseMax > 0 {
		one.Promise = d.l.N("admin.dashboard.promise", int64(p.PromiseMax), "Days", p.PromiseDays)
	}
	one.Single, one.Changed = e.Method == consent.MethodSingleOptIn && one.Given, one.Given && t.ChangedSince(p)
	entity, err := e.Entity()
	if err != nil {
		return one, err
	}
	one.Entity = d.word("admin.entity.", entity)
	shown := e
	for shown.WordingHash == nil && shown.PreviousID != nil {
		shown, one.Earlier = ledger[*shown.PreviousID], true
	}
	if one.Wording, err = consent.WordingOf(tx, shown); err != nil {
		return one, err
	}
	one.WordingLang, one.WordingDir = shown.Language, d.languageField(shown.Language).Dir
	proof, err := consent.EvidenceOf(tx, e.ID)
	if problem.Is(err, problem.Gone) {
		one.Gone = true
		return one, nil
	}
	if err != nil {
		return one, err
	}
	if proof.Address != "" {
		one.Evidence = append(one.Evidence, Evidence{d.l.T("admin.evidence.address"), proof.Address})
	}
	for _, name := range slices.Sorted(maps.Keys(proof.Evidence)) {
		v := plainly(proof.Evidence[name])
		if name == "scan" {
			one.Scan = d.to("/people/" + e.SubscriberID.String() + "/scans/" + v)
			continue
		}
		if name == "via" {
			v = cmp.Or(way(d.l, v), v)
		}
		if v != "" {
			one.Evidence = append(one.Evidence, Evidence{d.word("admin.evidence.", name), v})
		}
	}
	return one, nil
}

// word puts a stored word into those of the catalogue; one that it lacks stands
// as it is stored.
func (d *desk) word(prefix, stored string) string {
	if key := prefix + stored; d.l.Has(key) {
		return d.l.T(key)
	}
	return stored
}

// tellNotes tells who looks after them, and what the team wrote down.
func (d *desk) tellNotes(tx *store.Tx, s subscriber.Subscriber, page *Person) error {
	names, err := account.Names(tx, d.brand.ID)
	if err != nil {
		return err
	}
	carer, err := subscriber.CarerOf(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	team, err := d.team(tx)
	if err != nil {
		return err
	}
	page.Carer = names[carer]
	page.CarerSheet = Sheet{Values: url.Values{}, Once: store.NewID(tx.Now())}
	for _, u := range team {
		page.Carers = append(page.Carers, Choice{Value: u.Email, Label: u.Name})
		if u.ID == carer {
			page.CarerSheet.Values.Set("carer", u.Email)
		}
	}
	if page.Sheet.Wrong("carer") != "" {
		page.CarerSheet.Values, page.CarerSheet.Faults = page.Sheet.Values, page.Sheet.Faults
	}
	notes, err := subscriber.Notes(tx, d.brand.ID, s.ID)
	for _, n := range notes {
		page.Notes = append(page.Notes, NoteLine{ID: n.ID, By: names[n.UserID], Text: n.Text, At: n.At, Own: n.UserID == d.User.ID, Once: store.NewID(tx.Now())})
	}
	return err
}

// tellCustomer tells the codes they were given and what they bought.
func (d *desk) tellCustomer(tx *store.Tx, s subscriber.Subscriber, page *Person) error {
	codes, err := offer.CodesOf(tx, d.brand.ID, s.ID)
	if err != nil {
		return err
	}
	if len(codes) > 0 {
		offers, err := offer.List(tx, d.brand.ID)
		if err != nil {
			return err
		}
		names := map[uuid.UUID]string{}
		for _, o := range offers {
			names[o.ID] = o.Name
		}
		for _, c := range codes {
			page.Codes = append(page.Codes, d.codeLine(c, names[c.OfferID], tx.Now()))
		}
	}
	orders, err := offer.OrdersOf(tx, d.brand.ID, s.ID, ordersAtOnce)
	for _, o := range orders {
		page.Orders = append(page.Orders, OrderLine{Number: o.Number, Total: offer.Money(d.l, o.Total, o.Currency), Items: o.Items, At: o.PlacedAt})
	}
	return err
}

func (d *desk) codeLine(c offer.Code, name string, now time.Time) CodeLine {
	line := CodeLine{Offer: name, Code: c.Code, Issued: c.IssuedAt.UTC(), Until: offer.LastDay(c.ExpiresAt), Redeemed: c.RedeemedAt, With: c.RedeemedFor}
	switch {
	case c.RedeemedAt != nil:
		line.State = d.l.T("admin.person.code.redeemed")
	case !c.ExpiresAt.After(now):
		line.State = d.l.T("admin.person.code.expired")
	default:
		line.State = d.l.T("admin.person.code.open")
	}
	return line
}

// tellTime tells all that happened, a page of it.
func (d *desk) tellTime(tx *store.Tx, s subscriber.Subscriber, topics []consent.Topic, page *Person) error {
	events, next, err := event.Timeline(tx, d.brand.ID, s.ID, d.asked("before", 80), factsAtOnce)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, t := range topics {
		names[t.ID.String()] = t.In(d.brand, d.l.Lang()).Name
	}
	for _, e := range events {
		page.Happened = append(page.Happened, tell(d.l, fact{Event: e}, names))
	}
	if next != "" {
		page.Next = d.to("/people/"+s.ID.String(), "before", next) + "#time"
	}
	return nil
}

// plainly writes a value of the evidence down: text and numbers as they are,
// lists one after the other.
func plainly(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = plainly(one)
		}
		return strings.Join(parts, ", ")
	case nil:
		return ""
	}
	return asJSON(v)
}
