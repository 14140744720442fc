package admin

import (
	"cmp"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
)

func formActions() []action {
	return []action{
		look("/forms", account.Reader, forms),
		look("/forms/new", account.Marketer, newForm),
		act("/forms/new", account.Marketer, createForm),
		look("/forms/new/preview", account.Marketer, previewNewForm),
		act("/forms/new/preview", account.Marketer, previewNewForm),
		look("/forms/:id", account.Reader, showForm),
		look("/forms/:id/preview", account.Reader, previewForm),
		look("/forms/:id/edit", account.Marketer, editForm),
		act("/forms/:id/edit", account.Marketer, saveForm),
		look("/forms/:id/edit/preview", account.Marketer, previewEdit),
		act("/forms/:id/edit/preview", account.Marketer, previewEdit),
		act("/forms/:id/close", account.Marketer, closeForm),
		act("/forms/:id/open", account.Marketer, openForm),
	}
}

const (
	formsAtOnce    = 25
	versionsAtOnce = 10
	wordsAtOnce    = 200 // different words read of one form
)

// FormLine is one form in the list.
type FormLine struct {
	Name, URL string
	Topics    []string // names, as the form asks
	Closed    bool
	Asked     int64 // sign-ups that were sent
	Confirmed int64
	Edited    time.Time
}

// Forms is the page admin/forms: the newest first.
type Forms struct {
	Frame
	Forms       []FormLine
	New         string // address; empty: the visitor may not
	First, Next string
}

func forms(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	page := Forms{Frame: d.frame("forms")}
	err := d.read(func(tx *store.Tx) error {
		found, err := signup.Newest(tx, d.brand.ID, before, formsAtOnce)
		if err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		tallies, err := d.tallies(tx, found...)
		if err != nil {
			return err
		}
		for _, f := range found {
			spec, err := signup.SpecOf(tx, f.ID, f.Version)
			if err != nil {
				return err
			}
			all := sum(tallies, f.ID)
			page.Forms = append(page.Forms, FormLine{Name: f.Name, URL: d.to(formPath(f)), Topics: d.topicNames(topics, spec.Topics),
				Closed: f.ClosedAt != nil, Asked: all.Asked, Confirmed: all.Confirmed, Edited: f.UpdatedAt})
		}
		if len(found) == formsAtOnce {
			page.Next = d.to("/forms", "before", found[len(found)-1].ID.String())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != uuid.Nil {
		page.First = d.to("/forms")
	}
	if d.may(account.Marketer) {
		page.New = d.to("/forms/new")
	}
	return d.draw("forms", page)
}

// tallies counts the sign-ups of the forms together, and by whoever looks first.
func (d *desk) tallies(tx *store.Tx, all ...signup.Form) ([]signup.Tally, error) {
	ids := make([]uuid.UUID, len(all))
	key := d.brand.ID.String()
	for i, f := range all {
		ids[i] = f.ID
		key += f.ID.String() + versionOf(f.UpdatedAt)
	}
	return d.h.tallies.of(key, func() ([]signup.Tally, error) { return signup.Tallies(tx, d.brand.ID, ids...) })
}

// sum is all versions of a form together.
func sum(all []signup.Tally, form uuid.UUID) (s signup.Tally) {
	for _, t := range all {
		if t.FormID == form {
			s.Asked, s.Confirmed, s.Pending = s.Asked+t.Asked, s.Confirmed+t.Confirmed, s.Pending+t.Pending
		}
	}
	return s
}

// topicNames are the names of topics by their slugs.
func (d *desk) topicNames(topics []consent.Topic, slugs []string) (names []string) {
	for _, slug := range slugs {
		i := slices.IndexFunc(topics, func(t consent.Topic) bool { return t.Slug == slug })
		if i < 0 {
			names = append(names, slug)
			continue
		}
		names = append(names, topics[i].In(d.brand, d.l.Lang()).Name)
	}
	return names
}

func formPath(f signup.Form) string { return "/forms/" + f.ID.String() }

// form is the one that the address names.
func (d *desk) form() (f signup.Form, err error) {
	id, err := d.id("id")
	if err != nil {
		return f, err
	}
	err = d.read(func(tx *store.Tx) (err error) { f, err = signup.Find(tx, d.brand.ID, id); return err })
	return f, err
}

// FormVersion is what a form asked between two edits.
type FormVersion struct {
	Version   int
	Since     time.Time
	Until     time.Time // zero: it is the one that visitors see now
	Asked     int64
	Confirmed int64
	Texts     []FormWords
	Fields    []string // what else was asked, in the language of the page
	Preview   string   // address
}

// FormWords are the words of a version in one language, as visitors read them.
type FormWords struct {
	LanguageFields
	signup.Text
	Boxes []FormBox
}

// FormBox is what stood beside a box that people ticked.
type FormBox struct{ Topic, Words string }

// FormPage is the page admin/form.
type FormPage struct {
	Frame
	Title    string
	Closed   *time.Time
	Asked    int64
	Pending  int64
	Topics   []string
	Tracking []string
	Origins  []string
	Single   bool // nobody is asked to confirm
	Sheet    Sheet

	Hosted  string // address
	Snippet string // to paste where the form shall stand
	Button  string // the same, behind a button
	Paper   Paper

	Confirmed   int64
	Preview     Look
	Versions    []FormVersion
	First, Next string // of the versions

	Edit   string // address; empty: the visitor may not
	Switch string // address to close or open it at; empty: the visitor may not
	Ask    string // what closing means
}

func showForm(d *desk) error {
	f, err := d.form()
	if err != nil {
		return err
	}
	page := FormPage{Frame: d.frame("forms"), Title: f.Name, Closed: f.ClosedAt, Hosted: d.h.URLs.Form(f.ID), Sheet: Sheet{Once: store.NewID(d.h.DB.Now())}}
	page.Preview = d.look(formPath(f)+"/preview", d.c.QueryParam)
	err = d.read(func(tx *store.Tx) error {
		spec, err := signup.SpecOf(tx, f.ID, f.Version)
		if err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		tallies, err := d.tallies(tx, f)
		if err != nil {
			return err
		}
		all := sum(tallies, f.ID)
		page.Asked, page.Confirmed, page.Pending = all.Asked, all.Confirmed, all.Pending
		page.Topics, page.Tracking, page.Origins = d.topicNames(topics, spec.Topics), d.topicNames(topics, spec.Tracking), spec.Origins
		page.Single = spec.Single
		page.Snippet, page.Button = d.snippets(f, spec)
		page.Paper = d.paper(f)
		if page.Paper.Asked, page.Paper.Confirmed, err = signup.ViaTally(tx, d.brand, f.ID, signup.Paper); err != nil {
			return err
		}
		return d.fillVersions(tx, &page, f, topics, tallies)
	})
	if err != nil {
		return err
	}
	if d.may(account.Marketer) {
		page.Edit, page.Switch = d.to(formPath(f)+"/edit"), d.to(formPath(f)+"/close")
		page.Ask = d.l.T("admin.forms.close-text")
		if page.Pending > 0 {
			page.Ask += " " + d.l.N("admin.forms.close-pending", page.Pending)
		}
		if f.ClosedAt != nil {
			page.Switch = d.to(formPath(f) + "/open")
		}
	}
	return d.draw("form", page)
}

// fillVersions tells what the form asked, the newest first.
func (d *desk) fillVersions(tx *store.Tx, page *FormPage, f signup.Form, topics []consent.Topic, tallies []signup.Tally) error {
	before := 0
	if from := (&Sheet{Values: d.c.QueryParams()}); from.Value("before") != "" {
		before = from.whole("before", problem.New(problem.Invalid, "problem.invalid"))
		page.First = d.to(formPath(f)) + "#versions"
	}
	found, err := signup.Versions(tx, f.ID, before, versionsAtOnce+1)
	if err != nil {
		return err
	}
	if len(found) > versionsAtOnce {
		found = found[:versionsAtOnce]
		page.Next = d.to(formPath(f), "before", strconv.Itoa(found[len(found)-1].Version)) + "#versions"
	}
	var shown []consent.Shown
	if len(found) > 0 {
		from, to := found[len(found)-1].Version, found[0].Version
		shown, err = d.h.shown.of(fmt.Sprint(f.ID, from, to), func() ([]consent.Shown, error) { return consent.ShownBy(tx, d.brand.ID, f.ID, from, to, wordsAtOnce) })
		if err != nil {
			return err
		}
	}
	var until time.Time
	if before > 0 {
		if later, err := signup.Versions(tx, f.ID, before+1, 1); err != nil {
			return err
		} else if len(later) > 0 && later[0].Version == before {
			until = later[0].CreatedAt
		}
	}
	for _, v := range found {
		page.Versions = append(page.Versions, d.formVersion(f, v, until, topics, tallies, shown))
		until = v.CreatedAt
	}
	return nil
}

func (d *desk) formVersion(f signup.Form, v signup.Version, until time.Time, topics []consent.Topic, tallies []signup.Tally, shown []consent.Shown) FormVersion {
	out := FormVersion{Version: v.Version, Since: v.CreatedAt, Until: until, Preview: d.to(formPath(f)+"/preview", "look.version", strconv.Itoa(v.Version))}
	for _, t := range tallies {
		if t.FormVersion == v.Version {
			out.Asked, out.Confirmed = t.Asked, t.Confirmed
		}
	}
	sheet := signup.Sheet{Brand: d.brand, Language: d.l.Lang()}
	for _, field := range v.Spec.Fields {
		out.Fields = append(out.Fields, field.Label(d.l, sheet))
	}
	for _, lang := range d.languageFields() {
		words := FormWords{LanguageFields: lang, Text: v.Spec.Texts[lang.Code].Or(signup.UsualText(d.brand, lang.Code))}
		for _, s := range shown {
			if s.FormVersion == v.Version && s.Language == lang.Code {
				words.Boxes = append(words.Boxes, FormBox{topicName(d, topics, s.TopicID), s.Text})
			}
		}
		out.Texts = append(out.Texts, words)
	}
	return out
}

// snippets are what is pasted into a page of one's own: the form itself, and a
// button that opens it.
func (d *desk) snippets(f signup.Form, spec signup.Spec) (inline, button string) {
	link := cmp.Or(spec.Texts[d.brand.Language].Button, signup.UsualText(d.brand, d.brand.Language).Button)
	script := `<script src="` + d.h.URLs.Base.JoinPath("widget.js").String() + `" data-form="` + f.ID.String() + `"`
	rest := " async></script>\n" + `<a href="` + d.h.URLs.Form(f.ID) + `" data-assent-link>` + html.EscapeString(link) + `</a>`
	return script + rest, script + ` data-mode="button"` + rest
}

// switchForm closes a form, or opens it again.
func switchForm(what string, do func(tx *store.Tx, brandID, id uuid.UUID) (signup.Form, error)) func(*desk) error {
	return func(d *desk) error {
		id, err := d.id("id")
		if err != nil {
			return err
		}
		return d.change(what, func(tx *store.Tx, _ *Sheet) (done, error) {
			f, err := do(tx, d.brand.ID, id)
			return done{subject: id, next: "/forms/" + id.String(), detail: map[string]any{"name": f.Name}}, err
		})
	}
}

var (
	closeForm = switchForm("form.close", signup.Close)
	openForm  = switchForm("form.open", signup.Open)
)

// Look is how a form is looked at: what can be chosen, what is, and where it is drawn.
type Look struct {
	Sheet     Sheet  // what is chosen, under look.*
	Page      string // address of the drawing
	URL       string // the same, of what is chosen
	Views     []Choice
	Languages []Choice
	Widths    []Choice
	Themes    []Choice
}

// look offers the ways to look at a form that is drawn at an address; get reads
// what was chosen.
func (d *desk) look(page string, get func(string) string) Look {
	k := Look{Page: d.to(page)}
	choose := func(prefix string, values ...string) (all []Choice) {
		for _, v := range values {
			all = append(all, Choice{Value: v, Label: d.l.T(prefix + v)})
		}
		return all
	}
	k.Views = choose("admin.forms.look.view.", "page", "inline", "button", "done")
	k.Widths = choose("admin.forms.look.width.", "phone", "desk")
	k.Themes = choose("admin.forms.look.theme.", "light", "dark")
	for _, lang := range d.languageFields() {
		k.Languages = append(k.Languages, Choice{Value: lang.Code, Label: i18n.For(lang.Code).T("admin.language")})
	}
	k.Sheet.Values = map[string][]string{}
	pick := func(name string, usual string, from []Choice) {
		chosen := get("look." + name)
		if !slices.ContainsFunc(from, func(c Choice) bool { return c.Value == chosen }) {
			chosen = usual
		}
		k.Sheet.Values.Set("look."+name, chosen)
	}
	pick("view", "page", k.Views)
	pick("in", d.brand.Offers(d.l.Lang()), k.Languages)
	pick("width", "phone", k.Widths)
	pick("theme", "light", k.Themes)
	k.URL = d.to(page, "look.view", k.Sheet.Value("look.view"), "look.in", k.Sheet.Value("look.in"), "look.theme", k.Sheet.Value("look.theme"))
	return k
}

// Phone tells that the form is looked at as on a phone.
func (k Look) Phone() bool { return k.Sheet.Value("look.width") != "desk" }

// drawLook draws a form as it would be seen, in a frame.
func (d *desk) drawLook(spec signup.Spec, k Look) error {
	var sheet signup.Sheet
	err := d.read(func(tx *store.Tx) (err error) {
		sheet, err = signup.Draft(tx, d.brand, spec, k.Sheet.Value("look.in"))
		return err
	})
	if err != nil {
		return err
	}
	in := func(lang string) string {
		q := d.c.Request().URL.Query()
		q.Set("look.in", lang)
		return "?" + q.Encode()
	}
	if d.c.Request().Method != http.MethodGet {
		in = nil // what was typed is not at that address
	}
	return d.h.Preview(d.c, sheet, k.Sheet.Value("look.view"), k.Sheet.Value("look.theme"), in)
}

// previewForm draws a version of a form: of ?look.version=, else the newest.
func previewForm(d *desk) error {
	f, err := d.form()
	if err != nil {
		return err
	}
	version := f.Version
	if from := (&Sheet{Values: d.c.QueryParams()}); from.Value("look.version") != "" {
		version = from.whole("look.version", problem.New(problem.Invalid, "problem.invalid"))
	}
	var spec signup.Spec
	err = d.read(func(tx *store.Tx) (err error) { spec, err = signup.SpecOf(tx, f.ID, version); return err })
	if err != nil {
		return err
	}
	return d.drawLook(spec, d.look(formPath(f)+"/preview", d.c.QueryParam))
}
