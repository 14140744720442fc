package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/privacy"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// requestActions are about what people ask for under data-protection law.
func requestActions() []action {
	return []action{
		look("/requests", account.Analyst, requests),
		look("/requests/new", account.Marketer, newRequest),
		act("/requests/new", account.Marketer, openRequest),
		look("/requests/:id", account.Analyst, showRequest),
		act("/requests/:id/note", account.Marketer, noteRequest),
		act("/requests/:id/extend", account.Owner, extendRequest),
		act("/requests/:id/export", account.Owner, exportForRequest),
		act("/requests/:id/close", account.Marketer, closeRequest),
		act("/requests/:id/erase", account.Owner, eraseForRequest),
	}
}

const requestsAtOnce = 50

// RequestLine is a request in a list.
type RequestLine struct {
	URL, Who  string // Who is empty once erased
	Kind, Way string
	At, Due   time.Time
	Closed    time.Time // zero: open
	State     string
	Overdue   bool
	Left      string // how long until it is due; empty: closed
}

// Requests is the page admin/requests.
type Requests struct {
	Frame
	Lead           string
	Overdue        bool
	Lines, Before  []RequestLine
	New            string // address; empty: the visitor may not
	First, Next    string
	Closed, OfOpen string // the other list
}

func requests(d *desk) error {
	page := Requests{Frame: d.frame("requests")}
	if d.may(account.Marketer) {
		page.New = d.to("/requests/new")
	}
	err := d.read(func(tx *store.Tx) error {
		soon, overdue, err := privacy.Waiting(tx, d.brand.ID)
		if err != nil {
			return err
		}
		switch {
		case overdue > 0:
			page.Lead, page.Overdue = d.l.N("admin.requests.overdue", overdue), true
		case soon > 0:
			page.Lead = d.l.N("admin.requests.soon", soon)
		default:
			page.Lead = d.l.T("admin.requests.calm")
		}
		if d.c.QueryParam("closed") != "" {
			return d.closedRequests(tx, &page)
		}
		return d.openRequests(tx, &page)
	})
	if err != nil {
		return err
	}
	return d.draw("requests", page)
}

func (d *desk) openRequests(tx *store.Tx, page *Requests) error {
	after := privacy.Place{}
	if text := d.asked("after", 60); text != "" {
		if len(text) < 36 {
			return problem.New(problem.Malformed, "problem.malformed")
		}
		id, err := uuid.Parse(text[:36])
		if err != nil {
			return problem.New(problem.Malformed, "problem.malformed").Because(err)
		}
		r, err := privacy.Find(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		after, page.First = privacy.Place{At: r.DueAt, ID: r.ID}, d.to("/requests")
	}
	all, err := privacy.ListOpen(tx, d.brand.ID, after, requestsAtOnce+1)
	if err != nil {
		return err
	}
	if len(all) > requestsAtOnce {
		all = all[:requestsAtOnce]
		page.Next = d.to("/requests", "after", all[requestsAtOnce-1].ID.String())
	}
	page.Closed = d.to("/requests", "closed", "yes")
	page.Lines, err = d.requestLines(tx, all)
	return err
}

func (d *desk) closedRequests(tx *store.Tx, page *Requests) error {
	before := uuid.Nil
	if text := d.asked("after", 36); text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			return problem.New(problem.Malformed, "problem.malformed").Because(err)
		}
		before, page.First = id, d.to("/requests", "closed", "yes")
	}
	all, err := privacy.ListClosed(tx, d.brand.ID, before, requestsAtOnce+1)
	if err != nil {
		return err
	}
	if len(all) > requestsAtOnce {
		all = all[:requestsAtOnce]
		page.Next = d.to("/requests", "closed", "yes", "after", all[requestsAtOnce-1].ID.String())
	}
	page.OfOpen = d.to("/requests")
	page.Lines, err = d.requestLines(tx, all)
	return err
}

func (d *desk) requestLines(tx *store.Tx, all []privacy.Request) ([]RequestLine, error) {
	var ids []uuid.UUID
	for _, r := range all {
		ids = append(ids, r.SubscriberID)
	}
	people, err := emailsOf(tx, d.brand.ID, ids)
	if err != nil {
		return nil, err
	}
	lines := make([]RequestLine, len(all))
	for i, r := range all {
		lines[i] = d.requestLine(r, people[r.SubscriberID], tx.Now())
	}
	return lines, nil
}

func emailsOf(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	emails := map[uuid.UUID]string{}
	if len(ids) == 0 {
		return emails, nil
	}
	var rows []struct {
		ID    uuid.UUID
		Email string
	}
	if err := tx.Raw("SELECT id, email FROM subscribers WHERE brand_id = ? AND id IN (?)", brandID, ids).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read whose requests they are: %w", err)
	}
	for _, r := range rows {
		emails[r.ID] = r.Email
	}
	return emails, nil
}

func (d *desk) requestLine(r privacy.Request, who string, now time.Time) RequestLine {
	line := RequestLine{URL: d.to("/requests/" + r.ID.String()), Who: who, Kind: d.l.T("privacy.kind." + r.Kind), Way: d.l.T("privacy.way." + r.Way),
		At: r.OpenedAt, Due: r.DueAt, State: d.l.T("privacy.open"), Overdue: r.Overdue(now)}
	switch days := int64(r.DueAt.Sub(now).Hours() / 24); {
	case r.ClosedAt != nil:
		line.Closed, line.State = *r.ClosedAt, d.l.T("privacy.outcome."+r.Outcome)
	case line.Overdue:
		line.Left = d.l.N("admin.requests.late", max(1, -days))
	default:
		line.Left = d.l.N("admin.requests.left", days)
	}
	return line
}

// RequestForm is the page admin/request-form: what came by letter or by phone.
type RequestForm struct {
	Frame
	Sheet       Sheet
	Kinds, Ways []Choice
	Back        string
}

func newRequest(d *desk) error {
	values := url.Values{"way": {privacy.WayLetter}, "kind": {privacy.Access}, "email": {""}}
	if id, err := uuid.Parse(d.asked("person", 36)); err == nil {
		err := d.read(func(tx *store.Tx) error {
			s, err := subscriber.Find(tx, d.brand.ID, id)
			values.Set("email", s.Email)
			return err
		})
		if err != nil {
			return err
		}
	}
	sheet, err := d.sheet("/requests/new", values, "")
	if err != nil {
		return err
	}
	return drawRequestForm(d)(http.StatusOK, sheet)
}

func drawRequestForm(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		s.Drafts = "" // what somebody asks for is kept sealed, or not at all
		page := RequestForm{Frame: d.frame("requests"), Sheet: s, Back: d.to("/requests")}
		for _, k := range privacy.Kinds {
			page.Kinds = append(page.Kinds, Choice{Value: k, Label: d.l.T("privacy.kind." + k)})
		}
		for _, w := range privacy.Ways {
			page.Ways = append(page.Ways, Choice{Value: w, Label: d.l.T("privacy.way." + w)})
		}
		return d.drawAs(status, "request-form", page)
	}
}

func openRequest(d *desk) error {
	err := d.change("request.open", func(tx *store.Tx, form *Sheet) (done, error) {
		a, err := subscriber.ParseAddress(form.text("email"))
		if err != nil {
			return done{}, err
		}
		s, err := subscriber.ByAddress(tx, d.brand, a)
		if problem.Is(err, problem.NotFound) {
			return done{}, problem.InvalidField("email", "admin.requests.unknown")
		}
		if err != nil {
			return done{}, err
		}
		r, _, err := privacy.Open(tx, d.brand, privacy.Opening{Subscriber: s.ID, Kind: form.Value("kind"), Way: form.Value("way"),
			Identity: form.text("identity"), Text: form.text("text"), UserID: &d.User.ID})
		return done{subject: r.ID, next: "/requests/" + r.ID.String(), detail: map[string]any{"name": d.l.T("privacy.kind." + r.Kind)}}, err
	})
	return d.redraw(err, drawRequestForm(d))
}

// ActLine is something that was done about a request.
type ActLine struct {
	At             time.Time
	What, By, Text string // By and Text may be empty
}

// RequestPage is the page admin/request.
type RequestPage struct {
	Frame
	RequestLine
	Person                             string // address
	Extended                           time.Time
	Acts                               []ActLine
	Sheet                              Sheet
	Note, Extend, Export, Close, Erase string // addresses; empty: not for the visitor, or not any more
	Outcomes                           []Choice
	Back                               string
}

func showRequest(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return drawRequest(d, id)(http.StatusOK, Sheet{Values: url.Values{}, Once: store.NewID(d.h.DB.Now())})
}

func drawRequest(d *desk, id uuid.UUID) func(int, Sheet) error {
	return func(status int, sheet Sheet) error {
		sheet.Drafts = ""
		page := RequestPage{Frame: d.frame("requests"), Sheet: sheet, Back: d.to("/requests")}
		err := d.read(func(tx *store.Tx) error {
			r, err := privacy.Find(tx, d.brand.ID, id)
			if err != nil {
				return err
			}
			s, err := subscriber.Find(tx, d.brand.ID, r.SubscriberID)
			if err != nil {
				return err
			}
			page.RequestLine, page.Person = d.requestLine(r, s.Email, tx.Now()), d.to("/people/"+s.ID.String())
			if r.ExtendedAt != nil {
				page.Extended = *r.ExtendedAt
			}
			d.allow(&page, r, s, tx.Now())
			return d.tellActs(tx, r, &page)
		})
		if err != nil {
			return err
		}
		for _, o := range []string{privacy.Done, privacy.Refused, privacy.Withdrawn} {
			page.Outcomes = append(page.Outcomes, Choice{Value: o, Label: d.l.T("privacy.outcome." + o)})
		}
		return d.drawAs(status, "request", page)
	}
}

// allow says what the visitor can do about a request.
func (d *desk) allow(page *RequestPage, r privacy.Request, s subscriber.Subscriber, now time.Time) {
	here := "/requests/" + r.ID.String()
	if s.ErasedAt != nil || !d.may(account.Marketer) {
		return
	}
	page.Note = d.to(here + "/note")
	if r.ClosedAt != nil {
		return
	}
	page.Close = d.to(here + "/close")
	if !d.may(account.Owner) {
		return
	}
	if privacy.Extendable(d.brand, r, now) {
		page.Extend = d.to(here + "/extend")
	}
	switch r.Kind {
	case privacy.Access, privacy.Portability:
		page.Export = d.to(here + "/export")
	case privacy.Erasure:
		page.Erase = d.to(here + "/erase")
	}
}

func (d *desk) tellActs(tx *store.Tx, r privacy.Request, page *RequestPage) error {
	names, err := account.Names(tx, d.brand.ID)
	if err != nil {
		return err
	}
	all, err := privacy.Acts(tx, r)
	if err != nil {
		return err
	}
	for _, a := range all {
		line := ActLine{At: a.At, What: d.l.T("privacy.act." + a.What), Text: a.Text}
		if a.UserID != nil {
			line.By = names[*a.UserID]
		}
		page.Acts = append(page.Acts, line)
	}
	return nil
}

// aboutRequest does something about the request of the address.
func (d *desk) aboutRequest(what string, do func(tx *store.Tx, id uuid.UUID, form *Sheet) (privacy.Request, error)) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	err = d.change(what, func(tx *store.Tx, form *Sheet) (done, error) {
		r, err := do(tx, id, form)
		return done{subject: id, next: "/requests/" + id.String(), detail: map[string]any{"name": d.l.T("privacy.kind." + r.Kind)}}, err
	})
	return d.redraw(err, drawRequest(d, id))
}

func noteRequest(d *desk) error {
	return d.aboutRequest("request.note", func(tx *store.Tx, id uuid.UUID, form *Sheet) (privacy.Request, error) {
		return privacy.Write(tx, d.brand, id, privacy.Noted, &d.User.ID, form.text("text"))
	})
}

func extendRequest(d *desk) error {
	return d.aboutRequest("request.extend", func(tx *store.Tx, id uuid.UUID, form *Sheet) (privacy.Request, error) {
		r, err := privacy.Extend(tx, d.brand, id, d.User.ID, form.text("reason"))
		if err != nil {
			return r, err
		}
		return r, d.answerRequest(tx, r, "extended", form.text("reason"), 1)
	})
}

func closeRequest(d *desk) error {
	return d.aboutRequest("request.close", func(tx *store.Tx, id uuid.UUID, form *Sheet) (privacy.Request, error) {
		r, err := privacy.Close(tx, d.brand, id, form.Value("outcome"), &d.User.ID, form.text("answer"))
		if err != nil {
			return r, err
		}
		return r, d.answerRequest(tx, r, r.Outcome, form.text("answer"), 2)
	})
}

// answerRequest queues a service mail to whoever asked, with what came of it.
func (d *desk) answerRequest(tx *store.Tx, r privacy.Request, outcome, answer string, part int) error {
	s, err := subscriber.Find(tx, d.brand.ID, r.SubscriberID)
	if err != nil {
		return err
	}
	stream, err := delivery.BrandStream(tx, d.brand.ID, delivery.OriginService)
	if err != nil {
		return err
	}
	words := i18n.For(s.Language)
	_, _, err = delivery.Queue(tx, delivery.Draft{Source: r.ID, Stream: stream, Brand: d.brand.ID, Subscriber: &s.ID, Part: part, Kind: delivery.Service,
		Template: "request-answer", Language: s.Language, Due: tx.Now(), Data: map[string]any{"name": s.Name, "kind": words.T("privacy.kind." + r.Kind), "outcome": outcome,
			"answer": answer, "due_at": words.Date(r.DueAt, s.Location(d.brand)), "data_url": d.h.URLs.Preferences(d.brand.ID, s.ID) + "/data"}})
	if err != nil {
		return err
	}
	_, err = privacy.Write(tx, d.brand, r.ID, privacy.Answered, &d.User.ID, "")
	return err
}

// exportForRequest hands the team all that is kept of somebody, to be handed on.
func exportForRequest(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var x privacy.Export
	err = d.h.DB.Write(d.c.Request().Context(), func(tx *store.Tx) error {
		if err := d.still(tx); err != nil {
			return err
		}
		r, err := privacy.Write(tx, d.brand, id, privacy.Exported, &d.User.ID, "")
		if err != nil {
			return err
		}
		if x, err = privacy.Tell(tx, d.brand, r.SubscriberID, consent.MethodOperator, consent.EntityOperator); err != nil {
			return err
		}
		return account.Note(tx, account.Deed{BrandID: d.brand.ID, UserID: &d.User.ID, What: "request.export", SubjectID: &id, Detail: map[string]any{"name": d.l.T("privacy.kind." + r.Kind)}})
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return fmt.Errorf("write what is kept of a person: %w", err)
	}
	d.c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+d.brand.Slug+`-personal-data.json"`)
	return d.c.Blob(http.StatusOK, echo.MIMEApplicationJSONCharsetUTF8, text)
}

func eraseForRequest(d *desk) error {
	return d.aboutRequest("request.erase", func(tx *store.Tx, id uuid.UUID, _ *Sheet) (privacy.Request, error) {
		r, err := privacy.Find(tx, d.brand.ID, id)
		if err != nil {
			return r, err
		}
		if r.Kind != privacy.Erasure || r.ClosedAt != nil {
			return r, problem.New(problem.Conflict, "privacy.closed")
		}
		return r, privacy.Erase(tx, d.brand, r.SubscriberID, consent.MethodOperator, consent.EntityOperator)
	})
}

// askedFor are requests that are overdue, or due soon.
func askedFor(d *desk, tx *store.Tx, _ numbers) (all []Decision, err error) {
	soon, overdue, err := privacy.Waiting(tx, d.brand.ID)
	if err != nil {
		return nil, err
	}
	if overdue > 0 {
		all = append(all, Decision{"no", d.l.N("admin.requests.overdue", overdue), d.l.T("admin.requests.law"), d.place("requests"), d.l.T("admin.decide.look")})
	}
	if soon > 0 {
		all = append(all, Decision{"ask", d.l.N("admin.requests.soon", soon), d.l.T("admin.requests.law"), d.place("requests"), d.l.T("admin.decide.look")})
	}
	return all, nil
}
