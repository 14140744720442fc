package admin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// suppressionsAtOnce is how many suppressions stand on a page.
const suppressionsAtOnce = 50

// StoppedLine is one reason why an address gets no mail.
type StoppedLine struct {
	Email, URL, Hash string // Email and URL are empty where nobody has the address
	Reason, Text     string // as stored, and in words
	Stops            string // which mail it stops, as a sentence
	Detail           string
	Since            time.Time
	Lift             string // address; empty: it cannot be lifted here, or not by the visitor
	Theirs           bool   // only the person takes it back
	Ask              string
	Once             uuid.UUID
}

// Suppressions is the page admin/suppressions.
type Suppressions struct {
	Frame
	Search, Language string
	Action, All      string
	Wrong            string // what was looked for is no address
	New              string // address; empty: the visitor may not
	Lines            []StoppedLine
	First, Next      string
}

func (d *desk) stoppedLine(x consent.Stopped) StoppedLine {
	line := StoppedLine{Email: x.Email, Hash: hex.EncodeToString(x.AddressHash), Reason: x.Reason, Text: reason(d.l, x.Reason),
		Stops: d.l.T("admin.suppression.stops." + x.Reason), Detail: x.Detail, Since: x.CreatedAt, Theirs: !consent.Liftable(x.Reason)}
	if x.Reason == consent.Left || x.Reason == consent.NotMe { // the detail is a method, as the ledger names it
		line.Detail = ""
		if key := "admin.method." + x.Detail; d.l.Has(key) {
			line.Detail = d.l.T("admin.person.how") + ": " + d.l.T(key)
		}
	}
	if x.SubscriberID != nil {
		line.URL = d.to("/people/" + x.SubscriberID.String())
	}
	if d.may(account.Owner) && !line.Theirs {
		line.Lift, line.Ask, line.Once = d.to("/suppressions/lift"), d.l.T("admin.suppression.ask-lift."+x.Reason), store.NewID(d.h.DB.Now())
	}
	return line
}

// suppressions shows the addresses that get no mail, or what stands against one.
func suppressions(d *desk) error {
	page := Suppressions{Frame: d.frame("suppressions"), Search: d.asked("q", 320), Language: chosenLanguage(d.c), Action: brandPath + d.brand.Slug + "/suppressions",
		All: d.to("/suppressions")}
	if d.may(account.Marketer) {
		page.New = d.to("/suppressions/new")
	}
	err := d.read(func(tx *store.Tx) error {
		if page.Search != "" {
			return d.against(tx, &page)
		}
		return d.listStopped(tx, &page)
	})
	if err != nil {
		return err
	}
	return d.draw("suppressions", page)
}

// against is what stands against one address.
func (d *desk) against(tx *store.Tx, page *Suppressions) error {
	a, err := subscriber.ParseAddress(page.Search)
	if p, expected := problem.Of(err); err != nil && expected {
		page.Wrong = d.l.T(p.Fields[0].Key, p.Fields[0].Args...)
		return nil
	} else if err != nil {
		return err
	}
	hash, err := d.brand.AddressHash(tx, a.Normal)
	if err != nil {
		return err
	}
	found, err := consent.Suppressions(tx, d.brand.ID, hash)
	if err != nil {
		return err
	}
	s, err := subscriber.ByAddress(tx, d.brand, a)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	for _, x := range found {
		line := consent.Stopped{Suppression: x, Email: a.Typed}
		if err == nil {
			line.SubscriberID = &s.ID
		}
		page.Lines = append(page.Lines, d.stoppedLine(line))
	}
	return nil
}

func (d *desk) listStopped(tx *store.Tx, page *Suppressions) error {
	hash, why, err := readStoppedCursor(d.asked("after", 100))
	if err != nil {
		return err
	}
	found, err := consent.ListSuppressions(tx, d.brand.ID, hash, why, suppressionsAtOnce+1)
	if err != nil {
		return err
	}
	if len(found) > suppressionsAtOnce {
		found = found[:suppressionsAtOnce]
		last := found[len(found)-1]
		page.Next = d.to("/suppressions", "after", hex.EncodeToString(last.AddressHash)+"."+last.Reason)
	}
	if len(hash) > 0 {
		page.First = d.to("/suppressions")
	}
	for _, x := range found {
		page.Lines = append(page.Lines, d.stoppedLine(x))
	}
	return nil
}

const hashHex = 64 // hex digits of an address hash

func readStoppedCursor(s string) (hash []byte, why string, err error) {
	if s == "" {
		return nil, "", nil
	}
	if len(s) <= hashHex || s[hashHex] != '.' {
		return nil, "", problem.New(problem.Malformed, "problem.malformed")
	}
	if hash, err = hex.DecodeString(s[:hashHex]); err != nil {
		return nil, "", problem.New(problem.Malformed, "problem.malformed").Because(err)
	}
	return hash, s[hashHex+1:], nil
}

// Suppression is the page admin/suppression: an address to stop mail to.
type Suppression struct {
	Frame
	Sheet   Sheet
	Reasons []Choice
	Back    string
}

func newSuppression(d *desk) error {
	sheet, err := d.sheet("/suppressions/new", url.Values{"reason": {consent.Manual}, "email": {d.asked("email", 320)}}, "")
	if err != nil {
		return err
	}
	return drawSuppression(d)(http.StatusOK, sheet)
}

func drawSuppression(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		s.Drafts = "" // nor is what is typed kept: it is an address that nobody may have given us
		page := Suppression{Frame: d.frame("suppressions"), Sheet: s, Back: d.to("/suppressions")}
		for _, why := range []string{consent.Manual, consent.Complaint} {
			page.Reasons = append(page.Reasons, Choice{Value: why, Label: reason(d.l, why), Hint: d.l.T("admin.suppression.stops." + why)})
		}
		return d.drawAs(status, "suppression", page)
	}
}

const detailMax = 200 // characters of the detail of a suppression

// addSuppression stops mail to an address, whether or not somebody known has it.
// The address itself is kept nowhere, not in the log either.
func addSuppression(d *desk) error {
	err := d.change("suppression.add", func(tx *store.Tx, form *Sheet) (done, error) {
		a, err := subscriber.ParseAddress(form.text("email"))
		if err != nil {
			return done{}, err
		}
		why := form.Value("reason")
		if why != consent.Manual && why != consent.Complaint {
			return done{}, problem.InvalidField("reason", "problem.field.choice")
		}
		detail := form.text("detail")
		if len([]rune(detail)) > detailMax {
			return done{}, problem.InvalidField("detail", "problem.field.too-long", "Max", detailMax)
		}
		hash, err := d.brand.AddressHash(tx, a.Normal)
		if err != nil {
			return done{}, err
		}
		return done{next: "/suppressions", detail: map[string]any{"name": why}}, consent.Suppress(tx, d.brand, hash, why, detail)
	})
	return d.redraw(err, drawSuppression(d))
}

// liftSuppression takes back what staff or a mail server said of an address.
func liftSuppression(d *desk) error {
	return d.change("suppression.lift", func(tx *store.Tx, form *Sheet) (done, error) {
		why := form.Value("reason")
		hash, err := hex.DecodeString(form.Value("hash"))
		if err != nil || len(hash)*2 != hashHex {
			return done{}, problem.New(problem.NotFound, "problem.not-found")
		}
		if !consent.Liftable(why) {
			return done{}, problem.New(problem.Conflict, "admin.suppression.theirs")
		}
		return done{next: "/suppressions", detail: map[string]any{"name": why}}, consent.Lift(tx, d.brand, hash, why)
	})
}

// asJSON writes a value as JSON does; it came out of JSON.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
