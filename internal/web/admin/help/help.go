// Package help is the manual of the service: the pages under templates/help,
// read once and held ready in every language.
//
// It promises: every page is there in every language, under the same addresses
// and with the same places in it; what a page links to exists; nothing on it is
// HTML of its own, so a page can neither run nor load anything. A book of which
// one of these is not true is not given out: Read fails, and with it the start.
//
// A page is Markdown: a heading of level 1, its lead, then sections under
// headings of level 2, each with an id ("## Leaving {#leaving}"). Links to
// other pages are those of the files ("topics.md#promise").
package help

import (
	"fmt"
	"html/template"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"assent/internal/i18n"
	"assent/templates"
)

// Path is where the book is; a page's slug follows.
const Path = "/help"

// chapters are the pages, in the order in which they are read.
var chapters = []chapter{
	{slug: "first-day", about: []string{"topics", "forms", "sequences", "campaigns", "settings"}},
	{slug: "permission", about: []string{"people", "topics"}},
	{slug: "topics", about: []string{"topics"}},
	{slug: "forms", about: []string{"forms"}},
	{slug: "people", about: []string{"people", "suppressions"}},
	{slug: "import", about: []string{"imports", "people"}},
	{slug: "campaigns", about: []string{"campaigns"}},
	{slug: "sequences", about: []string{"sequences"}},
	{slug: "offers", about: []string{"offers"}},
	{slug: "sending", about: []string{"sending", "settings"}},
	{slug: "outcomes", about: []string{"messages", "queues", "campaigns"}},
	{slug: "complaints", about: []string{"suppressions", "alarms"}},
	{slug: "numbers", about: []string{"overview", "campaigns"}},
	{slug: "team", about: []string{"team", "keys", "log"}},
	{slug: "words", sorted: true},
}

// chapter is a page before it is read.
type chapter struct {
	slug   string
	about  []string // sections of a brand's pages that it explains
	sorted bool     // its sections stand in the order of the language's alphabet
}

// Page is one page in one language.
type Page struct {
	Slug     string
	Title    string
	Lead     template.HTML // what stands before the first section
	Sections []Section
	Sorted   bool     // the sections stand in the order of the alphabet
	About    []string // names of sections of the side navigation

	lead string // as plain text
}

// Section is a part of a page with a heading of its own.
type Section struct {
	ID, Title string
	Body      template.HTML // without the heading

	text string
}

// Summary is the page in one sentence or two.
func (p Page) Summary() string { return p.lead }

// Book is all pages in one language, in their order.
type Book struct {
	Pages []Page

	folded []entry
}

// Page finds a page by its slug.
func (b *Book) Page(slug string) (p Page, ok bool) {
	i := slices.IndexFunc(b.Pages, func(p Page) bool { return p.Slug == slug })
	if i < 0 {
		return Page{}, false
	}
	return b.Pages[i], true
}

// Has reports whether a place is there: a page, or a section of it after "#".
func (b *Book) Has(place string) bool {
	slug, id, within := strings.Cut(place, "#")
	p, ok := b.Page(slug)
	return ok && (!within || slices.ContainsFunc(p.Sections, func(s Section) bool { return s.ID == id }))
}

var books = sync.OnceValues(func() (map[string]*Book, error) { return read(templates.FS, chapters) })

// Read gives the book in a language that i18n speaks. It reads all of them at
// the first call; a fault is one of the build.
func Read(lang string) (*Book, error) {
	all, err := books()
	if err != nil {
		return nil, err
	}
	return all[lang], nil
}

// read reads the book in every language.
func read(files fs.FS, list []chapter) (map[string]*Book, error) {
	all := map[string]*Book{}
	for _, lang := range i18n.Languages {
		b := &Book{}
		for _, ch := range list {
			p, err := readPage(files, lang, ch)
			if err != nil {
				return nil, fmt.Errorf("read the help page %s in %s: %w", ch.slug, lang, err)
			}
			b.Pages = append(b.Pages, p)
		}
		if err := b.whole(files, lang); err != nil {
			return nil, fmt.Errorf("read the help in %s: %w", lang, err)
		}
		b.index()
		all[lang] = b
	}
	return all, alike(all)
}

// whole tells what is wrong with the book as a whole: a file that no chapter
// names, or a link to what is not there.
func (b *Book) whole(files fs.FS, lang string) error {
	names, err := fs.Glob(files, "help/"+lang+"/*.md")
	if err != nil {
		return err
	}
	if len(names) != len(b.Pages) {
		return fmt.Errorf("there are %d files for %d pages", len(names), len(b.Pages))
	}
	for _, p := range b.Pages {
		for _, place := range p.places() {
			if !b.Has(place) {
				return fmt.Errorf("the page %s leads to %s, which is not there", p.Slug, place)
			}
		}
	}
	return nil
}

// alike holds the languages against each other: the same places everywhere.
func alike(all map[string]*Book) error {
	for _, lang := range i18n.Languages[1:] {
		for i, p := range all[lang].Pages {
			if a, b := ids(all[i18n.Languages[0]].Pages[i]), ids(p); !slices.Equal(a, b) {
				return fmt.Errorf("the help page %s has the sections %v in %s, and %v in %s", p.Slug, b, lang, a, i18n.Languages[0])
			}
		}
	}
	return nil
}

// ids are the sections of a page, in the order of the alphabet where the page is
// in that of a language.
func ids(p Page) []string {
	var all []string
	for _, s := range p.Sections {
		all = append(all, s.ID)
	}
	if p.Sorted {
		slices.Sort(all)
	}
	return all
}
