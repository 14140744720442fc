package admin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/mailauth"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// RecordBox is a DNS record to publish, to be copied.
type RecordBox struct {
	ID, Name, Type, Value, Zone string
}

func recordBox(id string, r mailauth.Record) *RecordBox {
	return &RecordBox{ID: id, Name: r.Name, Type: r.Type, Value: r.Value, Zone: r.Zone()}
}

// DKIMKeyLine is a DKIM key of the brand.
type DKIMKeyLine struct {
	Selector, Algorithm, Domain string
	State, Tone, Text           string
	Elsewhere                   bool // it is for a domain that the brand does not write from
	Record                      *RecordBox
	Acts                        []KeyAct
}

// KeyAct is something that may be done with a key now.
type KeyAct struct {
	To, Label, Tone, Ask string
	Force                string // label of the box that does it all the same; empty: there is none
	Once                 uuid.UUID
}

var keyTones = map[string]string{"active": "yes", "made": "ask"}

func (d *desk) keyLines(tx *store.Tx) (all []DKIMKeyLine, err error) {
	keys, err := brand.DKIMKeys(tx, d.brand.ID)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		all = append(all, d.keyLine(k, tx.Now()))
	}
	return all, nil
}

func (d *desk) keyLine(k brand.DKIMKey, now time.Time) DKIMKeyLine {
	state, zone := k.State(), d.brand.Location()
	line := DKIMKeyLine{Selector: k.Selector, Algorithm: map[string]string{brand.RSA: "RSA", brand.Ed25519: "Ed25519"}[k.Algorithm], Domain: k.Domain,
		State: d.l.T("admin.sending.dkim.state." + state), Tone: keyTones[state], Elsewhere: k.Domain != d.brand.SenderDomain(),
		Record: recordBox("key-"+k.ID.String(), k.Public().Record())}
	add := func(least account.Role, what, tone, ask, force string) {
		if d.may(least) {
			line.Acts = append(line.Acts, KeyAct{To: d.to("/sending/dkim/" + k.ID.String() + "/" + what), Label: d.l.T("admin.sending.dkim.do." + what), Tone: tone, Ask: ask, Force: force, Once: store.NewID(now)})
		}
	}
	switch state {
	case "active":
		line.Text = d.l.T("admin.sending.dkim.since", "Time", d.l.DateTime(*k.ActivatedAt, zone))
		add(account.Marketer, "check", "", "", "")
		add(account.Owner, "retire", "no", d.l.T("admin.sending.dkim.ask-retire"), d.l.T("admin.sending.dkim.force-retire"))
		return line
	case "retired":
		line.Text = d.l.T("admin.sending.dkim.keep", "Time", d.l.Date(*k.KeepUntil(), zone))
		if !now.Before(*k.KeepUntil()) {
			line.Text = d.l.T("admin.sending.dkim.free")
		}
	default:
		line.Text = d.l.T("admin.sending.dkim.made", "Time", d.l.DateTime(k.CreatedAt, zone))
	}
	add(account.Marketer, "check", "", "", "")
	if !line.Elsewhere {
		add(account.Owner, "activate", "yes", "", d.l.T("admin.sending.dkim.force-activate"))
	}
	if until := k.KeepUntil(); until == nil || !now.Before(*until) {
		add(account.Owner, "remove", "no", d.l.T("admin.sending.dkim.ask-remove"), "")
	}
	return line
}

// makeDKIMKey makes a key before the transaction, for an RSA key takes its time.
func makeDKIMKey(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	algorithm := form.Value("algorithm")
	if algorithm != brand.RSA && algorithm != brand.Ed25519 {
		return d.again(problem.InvalidField("algorithm", "problem.field.choice"))
	}
	private, err := d.h.GenerateKey(algorithm)
	if err != nil {
		return err
	}
	return d.again(d.change("sending.dkim-make", func(tx *store.Tx, form *Sheet) (done, error) {
		k, err := brand.NewDKIMKey(tx, d.brand.ID, form.text("selector"), private)
		return done{subject: k.ID, next: "/sending", detail: map[string]any{"name": k.Selector}}, err
	}))
}

// dnsTime bounds the question whether one record is published.
const dnsTime = 10 * time.Second

// published asks the DNS for the record of the key that the address names,
// before any transaction, which would otherwise wait for it.
func (d *desk) published(ask bool) (k brand.DKIMKey, err error) {
	id, err := d.id("id")
	if err != nil {
		return k, err
	}
	err = d.read(func(tx *store.Tx) (err error) { k, err = brand.FindDKIMKey(tx, d.brand.ID, id); return err })
	if err != nil || !ask {
		return k, err
	}
	if err := d.sparingly(d.h.Checks); err != nil {
		return k, err
	}
	ctx, cancel := context.WithTimeout(d.c.Request().Context(), dnsTime)
	defer cancel()
	return k, brand.PublishedDKIM(ctx, d.h.Checker.DNS, k)
}

// sparingly lets a brand do something only so often.
func (d *desk) sparingly(l *web.Limiter) error {
	if wait, ok := l.Allow(d.brand.ID.String(), time.Now()); !ok {
		return web.TooMany(d.c, wait)
	}
	return nil
}

// checkKey tells whether the record of a key is published; it changes nothing.
func checkKey(d *desk) error {
	if _, err := d.published(true); err != nil {
		return d.again(err)
	}
	return web.SeeOther(d.c, d.to("/sending", "did", "sending.dkim-check"))
}

func activateKey(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	if _, err := d.published(form.Value("force") == ""); err != nil {
		return d.again(err)
	}
	return d.changeKey("sending.dkim-activate", func(tx *store.Tx, id uuid.UUID, _ *Sheet) error {
		_, err := brand.ActivateDKIM(tx, d.brand.ID, id)
		return err
	})
}

func retireKey(d *desk) error {
	return d.changeKey("sending.dkim-retire", func(tx *store.Tx, id uuid.UUID, form *Sheet) error {
		_, err := brand.RetireDKIM(tx, d.brand.ID, id, form.Value("force") != "")
		return err
	})
}

func removeKey(d *desk) error {
	return d.changeKey("sending.dkim-remove", func(tx *store.Tx, id uuid.UUID, _ *Sheet) error {
		return brand.RemoveDKIM(tx, d.brand.ID, id)
	})
}

func (d *desk) changeKey(what string, do func(*store.Tx, uuid.UUID, *Sheet) error) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.again(d.change(what, func(tx *store.Tx, form *Sheet) (done, error) {
		k, err := brand.FindDKIMKey(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		return done{subject: id, next: "/sending", detail: map[string]any{"name": k.Selector}}, do(tx, id, form)
	}))
}

// FindingLine is what was seen at one part of a domain.
type FindingLine struct {
	Part, State, Tone string
	Text, Do          string // Do is empty where all is well
	Found             []string
	Record            *RecordBox
}

// DomainCheck is the page admin/sending-domain: what receivers see of the domain
// that the brand writes from.
type DomainCheck struct {
	Frame
	Domain, Back string
	Sheet        Sheet
	Lead, Tone   string // empty: it was not asked yet
	At           time.Time
	Findings     []FindingLine
}

func askDomain(d *desk) error {
	return d.drawDomain(http.StatusOK, Sheet{Values: url.Values{}}, nil)
}

func (d *desk) drawDomain(status int, s Sheet, found []mailauth.Finding) error {
	s.Action, s.Page, s.Drafts, s.Once = d.to("/sending/domain"), d.c.Request().URL.Path, "", store.NewID(d.h.DB.Now())
	page := DomainCheck{Frame: d.frame("sending"), Domain: d.brand.SenderDomain(), Back: d.to("/sending"), Sheet: s, At: d.h.DB.Now()}
	if found != nil {
		worst := mailauth.Worst(found)
		page.Lead, page.Tone = d.l.T("admin.sending.domain.lead."+string(worst)), findingTones[worst]
	}
	for i, f := range found {
		page.Findings = append(page.Findings, d.findingLine(i, f))
	}
	return d.drawAs(status, "sending-domain", page)
}

var findingTones = map[mailauth.State]string{mailauth.OK: "yes", mailauth.Warning: "ask", mailauth.Missing: "no", mailauth.Wrong: "no"}

func (d *desk) findingLine(i int, f mailauth.Finding) FindingLine {
	line := FindingLine{Part: d.l.T("admin.sending.part." + string(f.Part)), State: d.l.T("admin.sending.finding." + string(f.State)), Tone: findingTones[f.State],
		Text: d.l.T(f.Key, f.Args...), Found: f.Found}
	if f.State != mailauth.OK {
		line.Do = d.l.T(f.Key+".fix", f.Args...)
	}
	if f.Record != nil {
		line.Record = recordBox("record-"+string(f.Part)+string(rune('a'+i%26)), *f.Record)
	}
	return line
}

const sourcesMost = 10 // addresses that a check may be told of

// checkDomain asks the name servers. It changes nothing, and is no page of its
// own only because it is asked for by a button, so that nobody asks by looking.
func checkDomain(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	sources, err := sourcesOf(form.Value("sources"))
	if err != nil {
		return d.redraw(err, func(status int, s Sheet) error { return d.drawDomain(status, s, nil) })
	}
	if err := d.sparingly(d.h.Checks); err != nil {
		return err
	}
	var sender mailauth.Sender
	err = d.read(func(tx *store.Tx) (err error) { sender, err = brand.MailSender(tx, d.brand); return err })
	if err != nil {
		return err
	}
	return d.drawDomain(http.StatusOK, *form, d.h.Checker.Check(d.c.Request().Context(), sender, sources...))
}

func sourcesOf(text string) (all []netip.Addr, err error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;،؛ \t\r\n", r) })
	if len(parts) > sourcesMost {
		return nil, problem.InvalidField("sources", "admin.sending.domain.too-many", "Max", sourcesMost)
	}
	for _, p := range parts {
		ip, err := netip.ParseAddr(p)
		if err != nil || ip.Zone() != "" {
			return nil, problem.InvalidField("sources", "admin.sending.domain.no-address")
		}
		all = append(all, ip)
	}
	return all, nil
}
