// Package i18n gives every sentence, number and date its form in the reader's
// language: English with the Gregorian calendar, Persian with the Jalali one.
//
// The catalogues are the JSON files under locales/<language>/, one per room,
// each a flat object from key to text, or from key to the plural forms of CLDR
// ({"one": …, "other": …}); {{.Name}} in a text is filled from the arguments.
// They are embedded and read once, at the first use; a catalogue that cannot
// be read panics there, for it is a fault of the build and not of the day.
//
// A [Localizer] is made once per language, is safe for concurrent use, and
// costs a map look-up for a text without placeholders.
package i18n

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"assent/internal/problem"
)

//go:embed locales
var locales embed.FS

// Languages lists the languages that have a catalogue; the first is the one
// spoken when nothing else fits.
var Languages = []string{"en", "fa"}

// A Localizer speaks one language. Get it from [For].
type Localizer struct {
	lang     string
	catalog  *goi18n.Localizer
	plain    map[string]string // texts without placeholders or plural forms
	known    map[string]bool   // every key of this language's own catalogue
	months   [12]string        // of the language's own calendar
	printers sync.Pool         // *message.Printer, which is not safe to share
}

var speakers = sync.OnceValue(func() map[string]*Localizer {
	all, err := load(locales)
	if err != nil {
		panic("i18n: " + err.Error())
	}
	return all
})

// For returns the localizer of a BCP 47 tag ("en", "fa", "fa-IR"). A language
// without a catalogue, and nonsense, gets English.
func For(lang string) *Localizer {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(lang, "_", "-")), "-")
	if l, ok := speakers()[base]; ok {
		return l
	}
	return speakers()[Languages[0]]
}

// Match picks from offered the language that the Accept-Language header of RFC
// 9110 §12.5.4 likes best. When the header is empty, broken, or likes none of
// them, it picks the first; with nothing offered, English.
func Match(acceptLanguage string, offered []string) string {
	if len(offered) == 0 {
		return Languages[0]
	}
	tags := make([]language.Tag, len(offered))
	for i, o := range offered {
		tags[i] = language.Make(o)
	}
	if len(acceptLanguage) > 512 {
		acceptLanguage = ""
	}
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(wanted) == 0 {
		return offered[0]
	}
	_, i, confidence := language.NewMatcher(tags).Match(wanted...)
	if confidence == language.No {
		return offered[0]
	}
	return offered[i]
}

// Lang is "en" or "fa".
func (l *Localizer) Lang() string { return l.lang }

// Dir is the direction the language is written in: "ltr" or "rtl".
func (l *Localizer) Dir() string {
	if l.lang == "fa" {
		return "rtl"
	}
	return "ltr"
}

// Has reports whether the language's own catalogue has the key.
func (l *Localizer) Has(key string) bool { return l.known[key] }

// T gives the text of a key, with args as name, value pairs for its
// placeholders. Whole numbers among the values are written as the language
// writes them; strings stay as they are. A key that no catalogue has is
// returned itself, so that a gap is seen and breaks nothing.
func (l *Localizer) T(key string, args ...any) string {
	if s, ok := l.plain[key]; ok {
		return s
	}
	return l.localize(&goi18n.LocalizeConfig{MessageID: key, TemplateData: l.data(args)})
}

// N gives the text of a key in the plural form that the count asks for;
// {{.Count}} is the count, as the language writes it. Nought takes the form of
// many: the texts for one say "one" in words, and Persian has nought in its form
// "one" (CLDR, plural rules of fa).
func (l *Localizer) N(key string, count int64, args ...any) string {
	data := l.data(args)
	data["Count"] = l.Number(count)
	form := count
	if form == 0 {
		form = many
	}
	return l.localize(&goi18n.LocalizeConfig{MessageID: key, PluralCount: form, TemplateData: data})
}

const many = 100 // has the form "other" in each of the languages

// Problem gives the texts of a failure: one sentence for the whole and one for
// each wrong field, by the field's name. An error that is no problem is told as
// our own fault, without its text.
func (l *Localizer) Problem(err error) (title string, fields map[string]string) {
	p, ok := problem.Of(err)
	if !ok {
		return l.T("problem.internal"), nil
	}
	if len(p.Fields) > 0 {
		fields = make(map[string]string, len(p.Fields))
	}
	for _, f := range p.Fields {
		if _, told := fields[f.Name]; !told {
			fields[f.Name] = l.T(f.Key, f.Args...)
		}
	}
	return l.T(p.Key, p.Args...), fields
}

func (l *Localizer) localize(c *goi18n.LocalizeConfig) string {
	s, err := l.catalog.Localize(c)
	if s == "" || (err != nil && !isMissing(err)) {
		return c.MessageID
	}
	return s
}

// isMissing tells the error that comes beside English text standing in for a
// text the language lacks.
func isMissing(err error) bool {
	_, ok := err.(*goi18n.MessageNotFoundErr)
	return ok
}

func (l *Localizer) data(args []any) map[string]any {
	data := make(map[string]any, len(args)/2+1)
	for i := 0; i+1 < len(args); i += 2 {
		data[fmt.Sprint(args[i])] = l.value(args[i+1])
	}
	return data
}

func (l *Localizer) value(v any) any {
	switch n := v.(type) {
	case int:
		return l.Number(int64(n))
	case int64:
		return l.Number(n)
	case int32:
		return l.Number(int64(n))
	case uint32:
		return l.Number(int64(n))
	}
	return v
}

func load(files fs.FS) (map[string]*Localizer, error) {
	bundle := goi18n.NewBundle(language.English)
	all := make(map[string]*Localizer, len(Languages))
	for _, lang := range Languages {
		l := &Localizer{lang: lang, plain: map[string]string{}, known: map[string]bool{}}
		if err := l.read(bundle, files); err != nil {
			return nil, err
		}
		tag := language.Make(lang)
		l.catalog = goi18n.NewLocalizer(bundle, lang)
		l.printers.New = func() any { return message.NewPrinter(tag) }
		for i := range l.months {
			l.months[i] = l.T(fmt.Sprintf("calendar.month.%d", i+1))
		}
		all[lang] = l
	}
	return all, nil
}

func (l *Localizer) read(bundle *goi18n.Bundle, files fs.FS) error {
	dir := path.Join("locales", l.lang)
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return fmt.Errorf("list the catalogues of %s: %w", l.lang, err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		parsed, err := bundle.ParseMessageFileBytes(text, l.lang+".json")
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		for _, m := range parsed.Messages {
			if l.known[m.ID] {
				return fmt.Errorf("%s: key %s is in another file too", name, m.ID)
			}
			l.known[m.ID] = true
			if m.One == "" && !strings.Contains(m.Other, "{{") {
				l.plain[m.ID] = m.Other
			}
		}
	}
	return nil
}
