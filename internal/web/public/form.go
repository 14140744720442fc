package public

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showForm is the hosted page of a form; with .json after the id it is what the
// widget draws.
func (h *house) showForm(c echo.Context) error {
	raw, isSpec := strings.CutSuffix(c.Param("form"), ".json")
	id, err := link.ReadForm(raw)
	if err != nil {
		return err
	}
	var sheet signup.Sheet
	err = h.read(c, func(tx *store.Tx) (err error) {
		sheet, err = signup.Show(tx, id, web.Localizer(c).Lang())
		return err
	})
	if err != nil {
		if isSpec {
			open(c)
		}
		return err
	}
	if isSpec {
		if err := h.cors(c, sheet.Spec); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, describe(sheet, sheet.Token(h.URLs.Ring, h.DB.Now()), h.URLs.Form(sheet.Form.ID)))
	}
	speak(c, sheet.Language)
	values := h.takeOver(id, c.QueryParam("kept"))
	if values == nil && sheet.Form.Guard == signup.Unguarded {
		return h.formPage(c, http.StatusOK, sheet, nil, nil, nil)
	}
	if values == nil {
		values = url.Values{}
	}
	return h.prove(c, sheet, values, signup.Suspect(signup.SignForm).Level, "")
}

// short leads from the address that people type or scan from paper to the form,
// which learns that they came that way.
func (h *house) short(c echo.Context) error {
	if p := h.one(c); !p.OK {
		return web.TooMany(c, p.Wait) // nobody reads all the numbers there are
	}
	var f signup.Form
	err := h.read(c, func(tx *store.Tx) (err error) { f, err = signup.ByCode(tx, c.Param("code")); return err })
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusFound, "/f/"+f.ID.String()+"?"+url.Values{"via": {signup.Paper}}.Encode())
}

// hereVia is here, with the way that the visitor came.
func hereVia(c echo.Context) string {
	address := here(c, "form")
	via := signup.Via(c.QueryParam("via"))
	if via == "" {
		return address
	}
	mark := "?"
	if strings.Contains(address, mark) {
		mark = "&"
	}
	return address + mark + url.Values{"via": {via}}.Encode()
}

// sendForm takes a form that was filled in: on the hosted page, by the widget,
// or in plain HTML on any page. The last has no signed token; it is answered
// with the hosted form, filled in as far as it goes, and nothing is stored
// until that is sent.
func (h *house) sendForm(c echo.Context) error {
	id, err := link.ReadForm(c.Param("form"))
	if err != nil {
		return err
	}
	pass := h.allow(c, id)
	if !pass.OK {
		open(c)
		return web.TooMany(c, pass.Wait)
	}
	values, err := web.Form(c)
	if err != nil {
		open(c)
		return err
	}
	if lang := values.Get("lang"); lang != "" {
		web.SetLanguage(c, lang)
	}
	sheet, err := h.sheet(c, id)
	if err != nil {
		open(c)
		return err
	}
	if err := h.cors(c, sheet.Spec); err != nil {
		return err
	}
	if values.Get("token") == "" && !web.IsAPI(c.Request()) {
		return h.formPage(c, http.StatusOK, sheet, unticked(values), nil, nil)
	}
	domain := h.countDomain(c, values.Get("email"))
	if !domain.OK && h.Prove == ProveNever {
		return web.TooMany(c, domain.Wait)
	}
	suspicion := h.suspect(c, sheet.Form, values, pass, domain)
	var proof signup.Proof
	if values.Get("way") == "wait" {
		return h.prove(c, sheet, values, suspicion.Level, "")
	}
	if suspicion.Level > 0 && values.Get(signup.Honeypot) == "" {
		p, note, ok := h.proof(c, id, values, suspicion.Level)
		if !ok {
			return h.prove(c, sheet, values, suspicion.Level, note)
		}
		proof = p
	}
	in := h.submission(c, id, values)
	in.Signs, in.Proof = suspicion.Signs, proof.By
	var done signup.Outcome
	begun := time.Now()
	err = h.write(c, func(tx *store.Tx) (err error) {
		if proof.By != "" {
			if err := signup.Spend(tx, proof); err != nil {
				return err
			}
		}
		done, err = signup.Ask(tx, h.Signup, id, in)
		return err
	})
	if p, ok := problem.Of(err); ok && p.Key == "signup.proof.spent" {
		for _, name := range []string{"altcha", "wait", "answer"} {
			values.Del(name)
		}
		return h.prove(c, sheet, values, suspicion.Level, "")
	}
	if err != nil {
		return h.formFailed(c, sheet, values, err, proof)
	}
	h.pace.keep(c.Request().Context(), begun, done.Kept)
	return h.formDone(c, sheet, done)
}

// sheet is the form as it is now; the language of a post is that of the form on the screen.
func (h *house) sheet(c echo.Context, id uuid.UUID) (sheet signup.Sheet, err error) {
	err = h.read(c, func(tx *store.Tx) (err error) {
		sheet, err = signup.Show(tx, id, web.Localizer(c).Lang())
		return err
	})
	return sheet, err
}

// submission is what was sent. The hosted page tells no address of its own, for
// it lets no referrer out; it is that of the form.
func (h *house) submission(c echo.Context, form uuid.UUID, values url.Values) signup.Submission {
	in := signup.Submission{Token: values.Get("token"), Values: map[string]string{}, Page: values.Get("page"), Via: c.QueryParam("via"),
		IP: web.ClientIP(c).String(), UserAgent: c.Request().UserAgent()}
	for name := range values {
		in.Values[name] = values.Get(name)
	}
	if in.Page == "" {
		in.Page = c.Request().Referer()
	}
	if in.Page == "" && !web.IsAPI(c.Request()) {
		in.Page = h.URLs.Form(form)
	}
	return in
}

// unticked is what was typed without what was ticked: the words beside the
// boxes of another page are not ours.
func unticked(values url.Values) url.Values {
	typed := url.Values{}
	for name, v := range values {
		if !strings.HasPrefix(name, "topic:") {
			typed[name] = v
		}
	}
	return typed
}

func (h *house) formDone(c echo.Context, sheet signup.Sheet, done signup.Outcome) error {
	if web.IsAPI(c.Request()) {
		return c.JSON(http.StatusOK, map[string]any{"ok": true, "message": done.Message, "redirect": done.Redirect})
	}
	if done.Redirect != "" {
		return web.SeeOther(c, done.Redirect)
	}
	web.SetLanguage(c, done.Language)
	return web.Page(c, http.StatusOK, "public/form-done", FormDone{Frame: frame(c, sheet.Brand), Message: done.Message, Form: hereVia(c)})
}

// formFailed shows the form again with what was wrong, or tells the widget. A
// token that is still good stays, so that its time goes on. Where the words are
// not those that were shown, no tick is carried over to them, and the widget is
// given no token but told to fetch the form anew.
func (h *house) formFailed(c echo.Context, sheet signup.Sheet, values url.Values, err error, proof signup.Proof) error {
	p, ok := problem.Of(err)
	if !ok {
		return err
	}
	again := p.Kind == problem.Invalid || p.Kind == problem.TooMany
	stale := p.Kind == problem.Conflict || p.Key == "link.unknown"
	token, same := sheet.Renew(h.Signup, values.Get("token"), h.DB.Now())
	switch {
	case web.IsAPI(c.Request()) && stale && same:
		return h.formProblem(c, err, document{Token: token})
	case web.IsAPI(c.Request()):
		return h.formProblem(c, err, document{Stale: stale})
	case !again && !stale:
		return err
	case !same:
		values = unticked(values)
	}
	values.Set("token", token)
	var keep *Prove
	switch proof.By { // it was not used up, and is good for the next try
	case signup.ByWork:
		keep = &Prove{Done: values.Get("altcha")}
	case signup.ByPatience:
		if keep, err = h.ask(web.Localizer(c), sheet, values, 1, ""); err != nil {
			return err
		}
	}
	return h.formPage(c, web.Classify(p).Status, sheet, values, p, keep)
}

// document is a problem document with what the widget reads besides: a message
// for each wrong field, and a fresh token where the old one is too old, or that
// the form says something else by now and has to be fetched and read anew.
type document struct {
	web.Document
	Errors []fieldMessage `json:"errors,omitempty"`
	Token  string         `json:"token,omitempty"`
	Open   string         `json:"open,omitempty"` // the hosted page, where to go on
	Stale  bool           `json:"stale,omitempty"`
}

type fieldMessage struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (h *house) formProblem(c echo.Context, err error, d document) error {
	f := web.Classify(err)
	web.Log(c, f)
	d.Document = web.Describe(c, f)
	d.Title = d.Detail // what the widget shows above the button
	for _, e := range d.Document.Errors {
		d.Errors = append(d.Errors, fieldMessage{Field: e.Field, Code: e.Code, Message: e.Detail})
	}
	c.Response().Header().Set(echo.HeaderContentType, web.ProblemType)
	return c.JSON(f.Status, d)
}

// formPage draws the hosted form with what was typed, what was wrong, and what is
// to be proved.
func (h *house) formPage(c echo.Context, status int, sheet signup.Sheet, values url.Values, wrong *problem.Error, prove *Prove) error {
	l := web.Localizer(c)
	token := values.Get("token")
	if token == "" {
		token = sheet.Token(h.URLs.Ring, h.DB.Now())
	}
	page := formView(l, sheet, values)
	page.Frame, page.Action, page.Token, page.Prove = frame(c, sheet.Brand), hereVia(c), token, prove
	if via := signup.Via(c.QueryParam("via")); via != "" {
		for i := range page.Languages {
			page.Languages[i].URL += "&" + url.Values{"via": {via}}.Encode()
		}
	}
	page.blame(l, wrong)
	if to := sheet.Text.Redirect; to != "" {
		allowTarget(c, to)
	}
	return web.Page(c, status, "public/form", page)
}

// formView is what a form asks, with what was typed and ticked.
func formView(l *i18n.Localizer, sheet signup.Sheet, values url.Values) Form {
	page := Form{Title: sheet.Text.Title, Intro: sheet.Text.Intro, Button: sheet.Text.Button, Honeypot: signup.Honeypot, Fields: fields(l, sheet, values)}
	for _, b := range sheet.Boxes {
		box := Box{Name: b.Name(), Wording: b.Label, Promise: b.Note, Checked: values.Get(b.Name()) != ""}
		if b.Tracking() {
			page.Tracking = append(page.Tracking, box)
		} else {
			page.Topics = append(page.Topics, box)
		}
	}
	return page
}

// blame puts what was wrong beside its field, and all of it in the order of the page.
func (p *Form) blame(l *i18n.Localizer, wrong *problem.Error) {
	if wrong == nil {
		return
	}
	said := map[string]string{}
	for _, f := range wrong.Fields {
		said[f.Name] = l.T(f.Key, f.Args...)
	}
	for i := range p.Fields {
		f := &p.Fields[i]
		if f.Error = said[f.Name]; f.Error != "" {
			p.Faults = append(p.Faults, Fault{Field: f.Name, Text: f.Error})
		}
	}
	if p.TopicsError = said["topics"]; p.TopicsError != "" {
		p.Faults = append(p.Faults, Fault{Field: "topics", Text: p.TopicsError})
	}
	if len(p.Faults) == 0 {
		p.Faults = append(p.Faults, Fault{Field: "topics", Text: l.T(wrong.Key, wrong.Args...)})
	}
}

// allowTarget lets the form's answer lead to another page: browsers hold a
// redirect after a post against form-action (CSP 3 §6.4.2).
func allowTarget(c echo.Context, to string) {
	u, err := url.Parse(to)
	if err != nil {
		return
	}
	policy := strings.Replace(web.PagePolicy, "form-action 'self'", "form-action 'self' "+u.Scheme+"://"+u.Host, 1)
	c.Response().Header().Set("Content-Security-Policy", policy)
}

const (
	addressMax = 254
	textMax    = 500
	nameMax    = 120
)

// fields are the address and what else the form asks, with what was typed.
func fields(l *i18n.Localizer, s signup.Sheet, values url.Values) []Field {
	all := []Field{{
		Name: "email", Label: l.T("signup.field.email"), Type: "email", Value: values.Get("email"), Autocomplete: "email",
		Required: true, MaxLength: addressMax,
	}}
	for _, f := range s.Spec.Fields {
		field := Field{Name: f.Name, Label: f.Label(l, s), Type: f.Type, Value: values.Get(f.Name), Required: f.Required, MaxLength: textMax}
		switch f.Type {
		case "tel", "url":
			field.Autocomplete = f.Type
		case "select", "number", "date":
			field.MaxLength = 0
		}
		if f.Name == "name" {
			field.Autocomplete, field.MaxLength = "name", nameMax
		}
		for _, o := range f.Options {
			field.Options = append(field.Options, Option{Value: o.Value, Label: o.Label(s), Selected: o.Value == field.Value})
		}
		all = append(all, field)
	}
	return all
}

// allow counts a sign-up against the limits of its client, the network around
// it, and its form.
func (h *house) allow(c echo.Context, form uuid.UUID) web.Pass {
	return h.gate.Take(c.Request().Context(), h.DB.Now(), h.ip(c),
		web.Bucket{Key: "network/" + web.ClientNetwork(c), N: h.PerNetwork, Per: time.Minute},
		web.Bucket{Key: "form/" + form.String(), N: h.PerForm, Per: time.Minute})
}

func (h *house) ip(c echo.Context) web.Bucket {
	return web.Bucket{Key: "ip/" + web.ClientPlace(c), N: h.PerIP, Per: time.Minute}
}

// one counts something else that a client does against its limit.
func (h *house) one(c echo.Context) web.Pass {
	return h.gate.Take(c.Request().Context(), h.DB.Now(), h.ip(c))
}

// wider is how many times more sign-ups a large mailbox provider may get.
const wider = 50

// countDomain counts a sign-up against the limit of the domain that its mail
// goes to, before anybody looks whose address it is. A domain that is full refuses
// nobody who proves work: or whoever fills it could keep all others of it out.
func (h *house) countDomain(c echo.Context, email string) web.Pass {
	domain, wide := signup.TargetDomain(email)
	b := web.Bucket{Key: "domain/" + domain, N: h.PerDomain, Per: time.Minute}
	if wide {
		b.N *= wider
	}
	if domain == "" {
		return web.Pass{OK: true, Used: []float64{0}}
	}
	return h.gate.Take(c.Request().Context(), h.DB.Now(), b)
}

// cors lets the pages of the form's allowed origins read the answer, and
// refuses a browser that sends the form from any other. No credentials: there
// are none.
func (h *house) cors(c echo.Context, spec signup.Spec) error {
	origin := c.Request().Header.Get(echo.HeaderOrigin)
	if origin == "" || h.own(c, origin) {
		return nil
	}
	c.Response().Header().Add(echo.HeaderVary, echo.HeaderOrigin)
	if !spec.Allows(origin) {
		return problem.New(problem.Forbidden, "signup.form.origin-refused")
	}
	if len(spec.Origins) == 0 {
		origin = "*"
	}
	c.Response().Header().Set(echo.HeaderAccessControlAllowOrigin, origin)
	return nil
}

// own reports whether the form was sent from our own page. Its referrer policy
// makes browsers name no origin (Fetch §3.1); they say in another header that
// the page is of the same site.
func (h *house) own(c echo.Context, origin string) bool {
	if origin == "null" {
		site := c.Request().Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none"
	}
	return origin == h.URLs.Base.Scheme+"://"+h.URLs.Base.Host || slices.Contains([]string{"http://" + c.Request().Host, "https://" + c.Request().Host}, origin)
}

// open lets any page read an answer that tells nothing about the form.
func open(c echo.Context) { c.Response().Header().Set(echo.HeaderAccessControlAllowOrigin, "*") }

// preflight answers a browser that asks before it sends (Fetch §3.2.2). The
// widget's requests are simple ones and need none.
func (h *house) preflight(c echo.Context) error {
	id, err := link.ReadForm(strings.TrimSuffix(c.Param("form"), ".json"))
	if err != nil {
		return err
	}
	sheet, err := h.sheet(c, id)
	if err != nil {
		return err
	}
	if err := h.cors(c, sheet.Spec); err != nil {
		return err
	}
	head := c.Response().Header()
	head.Set(echo.HeaderAccessControlAllowMethods, "GET, POST")
	head.Set(echo.HeaderAccessControlAllowHeaders, "Accept, Content-Type")
	head.Set(echo.HeaderAccessControlMaxAge, "600")
	return c.NoContent(http.StatusNoContent)
}
