package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/signup"
	"assent/internal/store"
)

// FormDesigner is the page admin/form-designer: a new form, or a version of one
// to write.
type FormDesigner struct {
	Frame
	Sheet     Sheet
	Title     string
	Origin    string // an example of one
	Single    string // the law that a sign-up without confirmation rests on; empty: there must be one
	New       bool
	Confirmed int64 // people who said yes to the versions before
	Topics    []TopicBox
	NewTopic  string // address
	Tracking  []TopicBox
	Rows      []FieldRow
	Texts     []DesignerLanguage
	Types     []Choice
	Preview   Look
	Back      string
}

// TopicBox is a topic that a form can ask for.
type TopicBox struct {
	Slug, Name, Wording, Promise string
	Up                           bool // it can stand one higher
}

// FieldRow is something else that a form asks, at its place among them.
type FieldRow struct {
	At   int
	Key  string // its inputs begin with
	Name string // may be empty
	Up   bool
}

// DesignerLanguage is a language of the brand with what a form says in it when
// nothing else is written.
type DesignerLanguage struct {
	LanguageFields
	Usual signup.Text
}

// fieldTypes are what a field can be.
var fieldTypes = []string{"text", "tel", "url", "number", "date", "select"}

func newForm(d *desk) error {
	stored, err := d.emptyForm()
	if err != nil {
		return err
	}
	sheet, err := d.sheet("/forms/new", stored, "")
	if err != nil {
		return err
	}
	return drawNewForm(d)(http.StatusOK, sheet)
}

// emptyForm asks for nothing yet, unless there is one thing only to ask for.
func (d *desk) emptyForm() (url.Values, error) {
	topics, err := d.offered()
	if err != nil {
		return nil, err
	}
	topics = slices.DeleteFunc(topics, func(t consent.Topic) bool { return t.Purpose != consent.Marketing })
	if len(topics) != 1 {
		return url.Values{}, nil
	}
	return url.Values{"topics": {topics[0].Slug}}, nil
}

func drawNewForm(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		return d.drawDesigner(status, FormDesigner{Title: d.l.T("admin.forms.new"), New: true, Back: d.to("/forms")}, "/forms/new", s)
	}
}

func createForm(d *desk) error {
	if answered, err := d.rearrange(drawNewForm(d)); answered {
		return err
	}
	err := d.change("form.create", func(tx *store.Tx, form *Sheet) (done, error) {
		f, err := signup.Create(tx, d.brand, form.text("name"), specIn(form.Values))
		return done{subject: f.ID, next: formPath(f), detail: map[string]any{"name": f.Name}}, err
	})
	return d.redraw(err, drawNewForm(d))
}

func editForm(d *desk) error {
	f, spec, err := d.formAndSpec()
	if err != nil {
		return err
	}
	sheet, err := d.sheet(formPath(f)+"/edit", formValues(f, spec), versionOf(f.UpdatedAt))
	if err != nil {
		return err
	}
	return drawForm(d, f)(http.StatusOK, sheet)
}

// formAndSpec is the form that the address names with what it asks now.
func (d *desk) formAndSpec() (f signup.Form, spec signup.Spec, err error) {
	if f, err = d.form(); err != nil {
		return f, spec, err
	}
	err = d.read(func(tx *store.Tx) (err error) { spec, err = signup.SpecOf(tx, f.ID, f.Version); return err })
	return f, spec, err
}

func drawForm(d *desk, f signup.Form) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := FormDesigner{Title: f.Name, Back: d.to(formPath(f))}
		err := d.read(func(tx *store.Tx) error {
			tallies, err := d.tallies(tx, f)
			page.Confirmed = sum(tallies, f.ID).Confirmed
			return err
		})
		if err != nil {
			return err
		}
		if s.Changed {
			// Somebody saved while this was written: what they saved is read anew.
			now, spec, err := d.formAndSpec()
			if err != nil {
				return err
			}
			s.Version = versionOf(now.UpdatedAt)
			s.Theirs = d.formTheirs(formValues(now, spec), s.Values)
		}
		return d.drawDesigner(status, page, formPath(f)+"/edit", s)
	}
}

func saveForm(d *desk) error {
	f, err := d.form()
	if err != nil {
		return err
	}
	if answered, err := d.rearrange(drawForm(d, f)); answered {
		return err
	}
	err = d.change("form.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := signup.Lock(tx, d.brand.ID, f.ID)
		if err != nil {
			return done{}, err
		}
		if form.current(now.UpdatedAt) != nil {
			return done{}, errChanged()
		}
		now, err = signup.Edit(tx, d.brand, f.ID, form.text("name"), specIn(form.Values))
		return done{subject: f.ID, next: formPath(f), detail: map[string]any{"name": now.Name, "version": now.Version}}, err
	})
	return d.redraw(err, drawForm(d, f))
}

// drawDesigner shows what is written beside how it will look.
func (d *desk) drawDesigner(status int, page FormDesigner, path string, s Sheet) error {
	page.Origin, page.Single = "https://shop.example", consent.LawOf(d.brand.Jurisdiction).Single
	topics, err := d.offered()
	if err != nil {
		return err
	}
	rows := fieldsIn(s.Values)
	s.Values = withFields(s.Values, rows)
	for i := range s.Faults {
		s.Faults[i].Name = designerName(s.Faults[i].Name)
	}
	page.Frame, page.Sheet = d.frame("forms"), s
	page.Preview = d.look(path+"/preview", s.Value)
	page.NewTopic = d.to("/topics/new")
	for _, t := range arranged(topics, s.Values) {
		box := d.topicBox(t)
		if t.Purpose != consent.Marketing {
			page.Tracking = append(page.Tracking, box)
			continue
		}
		box.Up = len(page.Topics) > 0
		page.Topics = append(page.Topics, box)
	}
	sheet := signup.Sheet{Brand: d.brand, Language: d.l.Lang()}
	for i, f := range rows {
		page.Rows = append(page.Rows, FieldRow{At: i, Key: fieldKey(i), Name: f.Label(d.l, sheet), Up: i > 0})
	}
	for _, lang := range d.languageFields() {
		page.Texts = append(page.Texts, DesignerLanguage{lang, signup.UsualText(d.brand, lang.Code)})
	}
	for _, kind := range fieldTypes {
		page.Types = append(page.Types, Choice{Value: kind, Label: d.l.T("admin.forms.type." + kind)})
	}
	return d.drawAs(status, "form-designer", page)
}

// offered are the topics that a form can ask for, those of tracking last.
func (d *desk) offered() (all []consent.Topic, err error) {
	err = d.read(func(tx *store.Tx) (err error) { all, err = consent.Topics(tx, d.brand.ID); return err })
	return all, err
}

func (d *desk) topicBox(t consent.Topic) TopicBox {
	text := t.In(d.brand, d.l.Lang())
	return TopicBox{Slug: t.Slug, Name: text.Name, Wording: text.Wording, Promise: promise(d.l, t)}
}

// arranged are the topics in the order in which they stand on the page: those
// that are chosen first, unless somebody arranged them otherwise.
func arranged(topics []consent.Topic, v url.Values) []consent.Topic {
	order := v["order"]
	if len(order) == 0 {
		order = v["topics"]
	}
	place := func(t consent.Topic) int {
		if i := slices.Index(order, t.Slug); i >= 0 {
			return i
		}
		return len(order)
	}
	topics = slices.Clone(topics)
	slices.SortStableFunc(topics, func(a, b consent.Topic) int { return place(a) - place(b) })
	return topics
}

// rearrange answers a button that changes what there is to fill in and saves
// nothing: another field, one less, one a place higher.
func (d *desk) rearrange(draw func(int, Sheet) error) (answered bool, err error) {
	form, err := d.sent()
	if err != nil {
		return true, err
	}
	what, at, _ := strings.Cut(form.Value("arrange"), ".")
	if what == "" {
		return false, nil
	}
	rows := fieldsIn(form.Values)
	i, bad := strconv.Atoi(at)
	known := bad == nil && i >= 0 && i < len(rows)
	switch {
	case what == "more":
		rows = append(rows, signup.Field{Name: at, Type: "text"})
	case what == "drop" && known:
		rows = slices.Delete(rows, i, i+1)
	case what == "up" && known && i > 0:
		rows[i-1], rows[i] = rows[i], rows[i-1]
	case what == "topic":
		order := form.Values["order"]
		if i := slices.Index(order, at); i > 0 {
			order[i-1], order[i] = order[i], order[i-1]
		}
	}
	form.Values = withFields(form.Values, rows)
	form.Values.Del("arrange")
	form.Once, form.Drafts = store.NewID(d.h.DB.Now()), d.to("/drafts")
	return true, draw(http.StatusOK, *form)
}

// previewNewForm draws what is typed into a new form: as it was sent, else as it
// was kept while typing.
func previewNewForm(d *desk) error {
	stored, err := d.emptyForm()
	if err != nil {
		return err
	}
	return d.previewTyped("/forms/new", stored)
}

// previewEdit is previewNewForm for a form that there is.
func previewEdit(d *desk) error {
	f, spec, err := d.formAndSpec()
	if err != nil {
		return err
	}
	return d.previewTyped(formPath(f)+"/edit", formValues(f, spec))
}

func (d *desk) previewTyped(page string, stored url.Values) error {
	if d.c.Request().Method == http.MethodPost {
		form, err := d.sent()
		if err != nil {
			return err
		}
		return d.drawLook(specIn(form.Values), d.look("", form.Value))
	}
	err := d.read(func(tx *store.Tx) error {
		kept, ok, err := account.DraftOf(tx, d.User.ID, brandPath+d.brand.Slug+page)
		if ok {
			stored = kept.Fields
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.drawLook(specIn(stored), d.look("", d.c.QueryParam))
}

// specIn reads what a form asks from the fields of the designer.
func specIn(v url.Values) signup.Spec {
	s := signup.Spec{Topics: v["topics"], Tracking: v["tracking"], Single: v.Get("single") != "", Fields: fieldsIn(v), Texts: map[string]signup.Text{}, Origins: linesIn(v.Get("origins"))}
	for name := range v {
		if lang, is := between(name, "texts.", ".title"); is {
			get := func(part string) string { return strings.TrimSpace(v.Get("texts." + lang + "." + part)) }
			text := signup.Text{Title: get("title"), Intro: get("intro"), Button: get("button"), Message: get("message"), Redirect: get("redirect")}
			if text != (signup.Text{}) {
				s.Texts[lang] = text
			}
		}
	}
	return s
}

const rowsMost = 100 // numbers of fields that are looked at

func fieldKey(at int) string { return "fields." + strconv.Itoa(at) }

// fieldsIn are the fields in the order of the page.
func fieldsIn(v url.Values) (all []signup.Field) {
	for i := range rowsMost {
		key := fieldKey(i)
		if !v.Has(key + ".name") {
			continue
		}
		f := signup.Field{Name: strings.TrimSpace(v.Get(key + ".name")), Type: v.Get(key + ".type"), Required: v.Get(key+".required") != "", Labels: map[string]string{}}
		shown := map[string][]string{}
		for name := range v {
			if lang, is := strings.CutPrefix(name, key+".labels."); is {
				if label := strings.TrimSpace(v.Get(name)); label != "" {
					f.Labels[lang] = label
				}
			}
			if lang, is := strings.CutPrefix(name, key+".choices."); is {
				shown[lang] = strings.Split(strings.ReplaceAll(v.Get(name), "\r\n", "\n"), "\n")
			}
		}
		if f.Type == "select" {
			f.Options = optionsIn(v.Get(key+".options"), shown)
		}
		all = append(all, f)
	}
	return all
}

// optionsIn are the choices of a list: a line is a choice, and the same line in
// a language is how it is shown there. A line that is empty everywhere is none.
func optionsIn(values string, shown map[string][]string) (all []signup.Option) {
	for i, value := range strings.Split(strings.ReplaceAll(values, "\r\n", "\n"), "\n") {
		o := signup.Option{Value: strings.TrimSpace(value), Labels: map[string]string{}}
		for lang, lines := range shown {
			if i < len(lines) && strings.TrimSpace(lines[i]) != "" {
				o.Labels[lang] = strings.TrimSpace(lines[i])
			}
		}
		if o.Value != "" || len(o.Labels) > 0 {
			all = append(all, o)
		}
	}
	return all
}

// withFields are the values with these fields in place of theirs, numbered from 0.
func withFields(v url.Values, fields []signup.Field) url.Values {
	out := url.Values{}
	for name, values := range v {
		if !strings.HasPrefix(name, "fields.") {
			out[name] = values
		}
	}
	for i, f := range fields {
		key := fieldKey(i)
		out.Set(key+".name", f.Name)
		out.Set(key+".type", f.Type)
		if f.Required {
			out.Set(key+".required", "yes")
		}
		for lang, label := range f.Labels {
			out.Set(key+".labels."+lang, label)
		}
		var values []string
		shown := map[string][]string{}
		for j, o := range f.Options {
			values = append(values, o.Value)
			for lang, label := range o.Labels {
				for len(shown[lang]) <= j {
					shown[lang] = append(shown[lang], "")
				}
				shown[lang][j] = label
			}
		}
		out.Set(key+".options", strings.Join(values, "\n"))
		for lang, lines := range shown {
			out.Set(key+".choices."+lang, strings.Join(lines, "\n"))
		}
	}
	return out
}

// formValues are the fields of the designer for what a form asks.
func formValues(f signup.Form, s signup.Spec) url.Values {
	v := url.Values{"name": {f.Name}, "topics": s.Topics, "tracking": s.Tracking, "origins": {strings.Join(s.Origins, "\n")}}
	if s.Single {
		v.Set("single", "yes")
	}
	for lang, t := range s.Texts {
		for part, text := range map[string]string{"title": t.Title, "intro": t.Intro, "button": t.Button, "message": t.Message, "redirect": t.Redirect} {
			v.Set("texts."+lang+"."+part, text)
		}
	}
	return withFields(v, s.Fields)
}

// designerName is the input that a part of a spec stands in: there is one for
// all topics, one for all origins, one for all choices of a list.
func designerName(part string) string {
	p := strings.Split(part, ".")
	switch {
	case p[0] == "topics" || p[0] == "origins" || p[0] == "tracking":
		return p[0]
	case p[0] == "fields" && len(p) > 5 && p[2] == "options":
		return strings.Join([]string{p[0], p[1], "choices", p[5]}, ".")
	case p[0] == "fields" && len(p) > 2 && p[2] == "options":
		return strings.Join(p[:3], ".")
	}
	return part
}

// formTheirs are the parts in which what is stored differs from what was typed.
func (d *desk) formTheirs(stored, typed url.Values) (all []Theirs) {
	a, b := specIn(stored), specIn(typed)
	differ := func(label, theirs, mine string) {
		if theirs != mine {
			all = append(all, Theirs{label, theirs})
		}
	}
	list := func(s []string) string { return strings.Join(s, d.l.T("public.comma")) }
	differ(d.l.T("admin.forms.field.name"), stored.Get("name"), strings.TrimSpace(typed.Get("name")))
	differ(d.l.T("admin.forms.topics"), list(a.Topics), list(b.Topics))
	differ(d.l.T("admin.forms.tracking"), list(a.Tracking), list(b.Tracking))
	differ(d.l.T("admin.forms.fields"), list(d.sentences(a.Fields)), list(d.sentences(b.Fields)))
	for _, lang := range d.languageFields() {
		x, y := a.Texts[lang.Code], b.Texts[lang.Code]
		for _, part := range [][3]string{{"title", x.Title, y.Title}, {"intro", x.Intro, y.Intro}, {"button", x.Button, y.Button}, {"message", x.Message, y.Message}, {"redirect", x.Redirect, y.Redirect}} {
			differ(d.l.T("admin.forms.field."+part[0])+" ("+lang.Name+")", part[1], strings.ReplaceAll(part[2], "\r\n", "\n"))
		}
	}
	differ(d.l.T("admin.forms.field.origins"), list(a.Origins), list(b.Origins))
	return all
}

// sentences tell each field with all that is set of it, so that any change shows.
func (d *desk) sentences(fields []signup.Field) (all []string) {
	for _, f := range fields {
		said := []string{f.Name, d.l.T("admin.forms.type." + f.Type)}
		if f.Required {
			said = append(said, d.l.T("admin.forms.field.required"))
		}
		for _, lang := range d.languageFields() {
			said = append(said, f.Labels[lang.Code])
		}
		for _, o := range f.Options {
			said = append(said, o.Value)
			for _, lang := range d.languageFields() {
				said = append(said, o.Labels[lang.Code])
			}
		}
		all = append(all, strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " · "))
	}
	return all
}

// linesIn are the lines of a text that have something in them.
func linesIn(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// between is what stands between a beginning and an end.
func between(s, begin, end string) (middle string, ok bool) {
	rest, is := strings.CutPrefix(s, begin)
	if !is {
		return "", false
	}
	return strings.CutSuffix(rest, end)
}
