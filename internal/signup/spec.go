package signup

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// Spec is what a form asks and what it answers. The boxes say what the topics'
// wordings say, and there is no way to have one ticked beforehand (GDPR rec. 32).
type Spec struct {
	Fields   []Field         `json:"fields"`           // besides the e-mail address, which is always asked first
	Topics   []string        `json:"topics"`           // slugs of topics, a box each, in this order
	Tracking []string        `json:"tracking"`         // "opens", "clicks": a box each, apart from the topics
	Single   bool            `json:"single,omitempty"` // single opt-in: nobody is asked to confirm, where the law allows it; see consent.Law
	Origins  []string        `json:"origins"`          // of pages that may hold the widget, as https://host; empty: all
	Texts    map[string]Text `json:"texts"`            // by language; what is missing there has a default
}

// Text is a form in one language. Empty parts are filled from the catalogue.
type Text struct {
	Title    string `json:"title,omitempty"`
	Intro    string `json:"intro,omitempty"`
	Button   string `json:"button,omitempty"`
	Message  string `json:"message,omitempty"`  // shown after a sign-up
	Redirect string `json:"redirect,omitempty"` // an address to go to instead
}

// Field is something else a form asks. The field "name" becomes the
// subscriber's name, any other the attribute of its name, both only once the
// sign-up is confirmed: until then anybody may have typed them.
type Field struct {
	Name     string            `json:"name"` // a-z, 0-9, _
	Type     string            `json:"type"` // text, tel, url, number, date, select
	Required bool              `json:"required,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`  // by language; "name" has a default
	Options  []Option          `json:"options,omitempty"` // of a select
}

// Option is one choice of a select.
type Option struct {
	Value  string            `json:"value"`
	Labels map[string]string `json:"labels,omitempty"` // by language; the value where it is missing
}

// Label is what stands beside the field on the sheet.
func (f Field) Label(l *i18n.Localizer, s Sheet) string {
	for _, lang := range []string{s.Language, s.Brand.Language} {
		if f.Labels[lang] != "" {
			return f.Labels[lang]
		}
		if f.Name == "name" {
			break
		}
	}
	if f.Name == "name" {
		return l.T("signup.default.name")
	}
	return f.Name
}

// Label is the choice in the sheet's language.
func (o Option) Label(s Sheet) string {
	for _, lang := range []string{s.Language, s.Brand.Language} {
		if o.Labels[lang] != "" {
			return o.Labels[lang]
		}
	}
	return o.Value
}

const (
	fieldsMax  = 20
	topicsMax  = 50
	originsMax = 50
	optionsMax = 300
	valueMax   = 500 // characters of what a visitor types
	nameMax    = 120
	textMax    = 2000
	urlMax     = 500
)

var (
	fieldForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	fieldTypes = []string{"text", "tel", "url", "number", "date", "select"}
	// taken are names that a form post uses itself.
	taken = []string{"email", "token", "lang", "page", "widget", "website"}
)

// checked tidies a form and reports everything that is wrong with it at once.
func checked(tx *store.Tx, b brand.Brand, name string, s Spec) (string, Spec, error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	name = line(p, "name", name, nameMax, true)
	known, err := consent.Topics(tx, b.ID)
	if err != nil {
		return "", Spec{}, err
	}
	s.checkTopics(p, known)
	s.Fields = slices.Clone(s.Fields)
	if len(s.Fields) > fieldsMax {
		p.Field("fields", "signup.form.too-many", "Max", fieldsMax)
	}
	for i := range s.Fields {
		s.checkField(p, b, i)
	}
	if s.Single && consent.LawOf(b.Jurisdiction).Single == "" {
		p.Field("single", "signup.form.single")
	}
	s.checkOrigins(p)
	s.checkTexts(p, b)
	return name, s, p.OrNil()
}

func (s *Spec) checkTopics(p *problem.Error, known []consent.Topic) {
	if len(s.Topics) == 0 {
		p.Field("topics", "signup.form.no-topic")
	}
	if len(s.Topics) > topicsMax {
		p.Field("topics", "signup.form.too-many", "Max", topicsMax)
	}
	for i, slug := range s.Topics {
		ok := slices.ContainsFunc(known, func(t consent.Topic) bool {
			return t.Slug == slug && t.Purpose == consent.Marketing && t.ArchivedAt == nil
		})
		if !ok || slices.Contains(s.Topics[:i], slug) {
			p.Field("topics/"+strconv.Itoa(i), "signup.form.topic", "Topic", slug)
		}
	}
	for i, what := range s.Tracking {
		if (what != "opens" && what != "clicks") || slices.Contains(s.Tracking[:i], what) {
			p.Field("tracking/"+strconv.Itoa(i), "problem.field.choice")
		}
	}
}

func (s *Spec) checkField(p *problem.Error, b brand.Brand, i int) {
	f := &s.Fields[i]
	at := "fields/" + strconv.Itoa(i)
	same := func(o Field) bool { return o.Name == f.Name }
	if !fieldForm.MatchString(f.Name) || slices.Contains(taken, f.Name) || slices.ContainsFunc(s.Fields[:i], same) {
		p.Field(at+"/name", "signup.form.field-name", "Name", f.Name)
	}
	if f.Type == "" {
		f.Type = "text"
	}
	if !slices.Contains(fieldTypes, f.Type) {
		p.Field(at+"/type", "problem.field.choice")
	}
	f.Labels = labels(p, at+"/labels", b, f.Labels)
	if f.Name != "name" && f.Labels[b.Language] == "" {
		p.Field(at+"/labels/"+b.Language, "problem.field.required")
	}
	if (f.Type == "select") != (len(f.Options) > 0) || len(f.Options) > optionsMax {
		p.Field(at+"/options", "signup.form.options", "Max", optionsMax)
	}
	f.Options = slices.Clone(f.Options)
	for j := range f.Options {
		o := &f.Options[j]
		o.Value = line(p, at+"/options/"+strconv.Itoa(j)+"/value", o.Value, nameMax, true)
		o.Labels = labels(p, at+"/options/"+strconv.Itoa(j)+"/labels", b, o.Labels)
	}
}

func labels(p *problem.Error, at string, b brand.Brand, in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for lang, s := range in {
		if !slices.Contains(b.Languages, lang) {
			p.Field(at+"/"+lang, "signup.form.language", "Language", lang)
		}
		out[lang] = line(p, at+"/"+lang, s, nameMax, false)
	}
	return out
}

func (s *Spec) checkOrigins(p *problem.Error) {
	if len(s.Origins) > originsMax {
		p.Field("origins", "signup.form.too-many", "Max", originsMax)
	}
	s.Origins = slices.Clone(s.Origins)
	for i, o := range s.Origins {
		origin, ok := originOf(o)
		if !ok {
			p.Field("origins/"+strconv.Itoa(i), "signup.form.origin")
		}
		s.Origins[i] = origin
	}
}

// originOf is a web origin as a browser spells it (RFC 6454 §6.2): scheme,
// host in lower case, and a port that is not the scheme's own.
func originOf(s string) (string, bool) {
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "/")))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || len(s) > urlMax {
		return s, false
	}
	if (u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80") {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Scheme + "://" + u.Host, true
}

// Allows reports whether a page of the origin may hold the form. A request
// without an Origin header comes from no other page.
func (s Spec) Allows(origin string) bool {
	if origin == "" || len(s.Origins) == 0 {
		return true
	}
	o, ok := originOf(origin)
	return ok && slices.Contains(s.Origins, o)
}

func (s *Spec) checkTexts(p *problem.Error, b brand.Brand) {
	texts := make(map[string]Text, len(s.Texts))
	for lang, t := range s.Texts {
		at := "texts/" + lang
		if !slices.Contains(b.Languages, lang) {
			p.Field(at, "signup.form.language", "Language", lang)
			continue
		}
		t.Title = line(p, at+"/title", t.Title, nameMax, false)
		t.Intro = lines(p, at+"/intro", t.Intro, textMax)
		t.Button = line(p, at+"/button", t.Button, nameMax, false)
		t.Message = lines(p, at+"/message", t.Message, textMax)
		t.Redirect = strings.TrimSpace(t.Redirect)
		if u, err := url.Parse(t.Redirect); t.Redirect != "" &&
			(err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || len(t.Redirect) > urlMax) {
			p.Field(at+"/redirect", "signup.form.url")
		}
		texts[lang] = t
	}
	s.Texts = texts
}

// line is text without line ends or control characters, at most max characters.
func line(p *problem.Error, at, s string, max int, required bool) string {
	return text(p, at, s, max, required, "")
}

// lines may hold line ends.
func lines(p *problem.Error, at, s string, max int) string {
	return text(p, at, strings.ReplaceAll(s, "\r\n", "\n"), max, false, "\n")
}

func text(p *problem.Error, at, s string, max int, required bool, allowed string) string {
	if !utf8.ValidString(s) {
		p.Field(at, "problem.field.utf8")
		return ""
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	switch {
	case s == "" && required:
		p.Field(at, "problem.field.required")
	case utf8.RuneCountInString(s) > max:
		p.Field(at, "problem.field.too-long", "Max", max)
	case strings.ContainsFunc(s, func(r rune) bool {
		return (unicode.IsControl(r) || r == '\u2028' || r == '\u2029') && !strings.ContainsRune(allowed, r)
	}):
		p.Field(at, "problem.field.line-break")
	}
	return s
}
