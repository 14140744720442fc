package help

import (
	"errors"
	"html/template"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"

	"assent/internal/i18n"
)

func book(t *testing.T, lang string) *Book {
	t.Helper()
	b, err := Read(lang)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every page is there in every language with the same sections, says something,
// and leads only to what is there. (Read refuses a book that is not so; the
// tests below hold that against it.)
func TestTheBookIsWhole(t *testing.T) {
	for _, lang := range i18n.Languages {
		b := book(t, lang)
		if len(b.Pages) != len(chapters) || len(b.Pages) < 12 {
			t.Fatalf("%s has %d pages", lang, len(b.Pages))
		}
		links := 0
		for i, p := range b.Pages {
			if p.Slug != chapters[i].slug || p.Title == "" || p.Lead == "" || len(p.Sections) < 4 {
				t.Errorf("%s: %s is %+v", lang, p.Slug, p)
			}
			if !slices.Equal(ids(p), ids(book(t, "en").Pages[i])) {
				t.Errorf("%s: %s has the sections %v", lang, p.Slug, ids(p))
			}
			links += len(p.places())
		}
		if links < 25 {
			t.Errorf("%s: only %d links found: the search for them is broken", lang, links)
		}
	}
}

// What stands in a page is of these elements and attributes alone.
func TestThereIsNoHTMLOfItsOwn(t *testing.T) {
	elements := strings.Fields("html head body p a em strong ul ol li code pre blockquote h3")
	for _, lang := range i18n.Languages {
		for _, p := range book(t, lang).Pages {
			all := p.Lead
			for _, s := range p.Sections {
				all += s.Body
			}
			if strings.Contains(string(all), "raw HTML omitted") {
				t.Errorf("%s: %s had HTML of its own", lang, p.Slug)
			}
			doc, err := html.Parse(strings.NewReader(string(Fill(all, "?lang=fa&brand=x"))))
			if err != nil {
				t.Fatal(err)
			}
			for n := range doc.Descendants() {
				if n.Type == html.ElementNode && !slices.Contains(elements, n.Data) {
					t.Errorf("%s: %s has <%s>", lang, p.Slug, n.Data)
				}
				for _, a := range n.Attr {
					if a.Key == "href" && !regexp.MustCompile(`^(/help/[a-z-]+\?lang=fa&brand=x(#[a-z-]+)?|#[a-z-]+|https://[^ ]+)$`).MatchString(a.Val) {
						t.Errorf("%s: %s leads to %q", lang, p.Slug, a.Val)
					}
					if !slices.Contains([]string{"href", "rel", "start"}, a.Key) {
						t.Errorf("%s: %s has %s=%q", lang, p.Slug, a.Key, a.Val)
					}
				}
			}
		}
	}
}

// letters of Persian in their order, after the space and before them what is Latin.
const persian = " abcdefghijklmnopqrstuvwxyzآابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی"

// The words stand in the order in which a reader of the language looks for them.
func TestWordsAreSorted(t *testing.T) {
	for _, lang := range i18n.Languages {
		p, ok := book(t, lang).Page("words")
		if !ok || len(p.Sections) < 35 {
			t.Fatalf("%s: %d words", lang, len(p.Sections))
		}
		before := ""
		for _, s := range p.Sections {
			var key []rune
			for _, r := range strings.ToLower(strings.ReplaceAll(s.Title, "\u200c", " ")) {
				if i := strings.IndexRune(persian, r); i >= 0 {
					key = append(key, rune(i+1))
				}
			}
			// A word that is written in Latin letters may stand at either end of a Persian list.
			if latin := s.Title[0] < 0x80; lang == "fa" && latin {
				continue
			}
			if string(key) < before {
				t.Errorf("%s: %q stands after a word that follows it", lang, s.Title)
			}
			before = string(key)
		}
	}
	for _, id := range strings.Fields(`double-opt-in single-opt-in hard-bounce soft-bounce suppression complaint consent-event evidence purpose topic promise
		quiet-hours warm-up dkim spf dmarc one-click-unsubscribe preference-page tracking-permission open click machine-hit interval uncertain sequence
		enrollment offer code api-key quarantine`) {
		if !book(t, "fa").Has("words#" + id) {
			t.Errorf("the word %s is not explained", id)
		}
	}
}

const good = "# Title\n\nLead.\n\n## One {#one}\n\nText with [a link](b.md#one).\n"

// A book with a fault is not given out.
func TestFaultsAreRefused(t *testing.T) {
	list := []chapter{{slug: "a"}, {slug: "b"}}
	files := func(page string) fstest.MapFS {
		all := fstest.MapFS{}
		for _, lang := range i18n.Languages {
			all["help/"+lang+"/a.md"] = &fstest.MapFile{Data: []byte(good)}
			all["help/"+lang+"/b.md"] = &fstest.MapFile{Data: []byte(good)}
		}
		all["help/fa/a.md"] = &fstest.MapFile{Data: []byte(page)}
		return all
	}
	if _, err := read(files(good), list); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		page string
		want error // nil: any
	}{
		"no title":        {"## One {#one}\n\nText.\n", errNoTitle},
		"two titles":      {good + "\n# Another\n", errNoTitle},
		"no lead":         {"# Title\n\n## One {#one}\n\nText.\n", errNoLead},
		"HTML":            {strings.Replace(good, "Text", "<b onclick=x>Text</b>", 1), errHTML},
		"a block of HTML": {good + "\n<script>x</script>\n", errHTML},
		"a picture":       {good + "\n![x](https://example.org/x.png)\n", errPicture},
		"no id":           {good + "\n## Two\n\nText.\n", errNoID},
		"an odd id":       {good + "\n## Two {#Two!}\n\nText.\n", nil},
		"an id twice":     {good + "\n## Two {#one}\n\nText.\n", errTwice},
		"an empty one":    {good + "\n## Two {#two}\n", errNoContent},
		"a script":        {strings.Replace(good, "b.md#one", "javascript:x", 1), errLink},
		"not encrypted":   {strings.Replace(good, "b.md#one", "http://example.org/", 1), errLink},
		"somewhere here":  {strings.Replace(good, "b.md#one", "/admin", 1), errLink},
		"to nowhere":      {strings.Replace(good, "b.md#one", "c.md", 1), nil},
		"to no section":   {strings.Replace(good, "b.md#one", "b.md#two", 1), nil},
		"another section": {strings.Replace(good, "{#one}", "{#two}", 1), nil},
		"one more":        {good + "\n## Two {#two}\n\nText.\n", nil},
	} {
		if _, err := read(files(c.page), list); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	more := files(good)
	more["help/en/c.md"] = &fstest.MapFile{Data: []byte(good)}
	if _, err := read(more, list); err == nil {
		t.Error("a file that is no page was not seen")
	}
}

func TestSearch(t *testing.T) {
	en, fa := book(t, "en"), book(t, "fa")
	for _, c := range []struct {
		b           *Book
		words, want string // the first hit
	}{
		{en, "double opt-in", "permission#"},
		{en, "DOUBLE  opt in", "permission#"},
		{en, "quarantine", "import#quarantine"},
		{en, "dkim dmarc", "sending#records"},
		{en, "72 hours", "permission#double"},
		{en, "offers", "offers#"},
		{fa, "قرنطينه", "import#quarantine"}, // with the Arabic yeh
		{fa, "ساعت سکوت", "words#quiet-hours"},
		{fa, "۷۲ ساعت", "permission#double"},
		{fa, "72 ساعت", "permission#double"},
		{fa, "نشانی‌های مسدود", "complaints#stopped"},
		{fa, "نشانی های مسدود", "complaints#stopped"},
	} {
		hits := c.b.Search(c.words)
		if len(hits) == 0 || hits[0].Slug+"#"+hits[0].ID != c.want {
			t.Errorf("%q: %+v, want %s", c.words, hits, c.want)
			continue
		}
	}
	for _, words := range []string{"", "  ", "xyzzy", "quarantine xyzzy"} {
		if hits := en.Search(words); hits != nil {
			t.Errorf("%q is found at %v", words, hits)
		}
	}
	if hits := en.Search("e"); len(hits) != hitsMax {
		t.Errorf("%d hits", len(hits))
	}
}

// An excerpt is a part of the text, with the words marked in it.
func TestExcerpt(t *testing.T) {
	for _, lang := range i18n.Languages {
		for _, words := range []string{"mail", "نامه", "permission you", "ا"} {
			for _, h := range book(t, lang).Search(words) {
				var text strings.Builder
				for _, p := range h.Excerpt {
					text.WriteString(p.Text)
					if p.Hit && !slices.Contains(strings.Fields(fold(words)), fold(p.Text)) {
						t.Errorf("%q is marked for %q", p.Text, words)
					}
				}
				if text.Len() == 0 {
					t.Errorf("%q: nothing of %s", words, h.Title)
				}
			}
		}
	}
	got := excerpt("One two three two.", fold("One two three two."), []string{"two"})
	if len(got) != 5 || !got[1].Hit || got[1].Text != "two" || !got[3].Hit || got[4].Text != "." {
		t.Errorf("%+v", got)
	}
}

// What the visitor brings along is escaped where it is put in.
func TestFillEscapes(t *testing.T) {
	if got := Fill(template.HTML(`<a href="/help/a`+mark+`#x">`), `?brand="><script>`); got != `<a href="/help/a?brand=&#34;&gt;&lt;script&gt;#x">` {
		t.Error(got)
	}
}

func FuzzSearch(f *testing.F) {
	for _, words := range []string{"double opt-in", "ساعت سکوت", "\u200c", "a a a", "ﷺ İ ß"} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		for _, lang := range i18n.Languages {
			b, err := Read(lang)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range b.Search(words) {
				if !b.Has(h.Slug) || len(h.Excerpt) == 0 {
					t.Errorf("%q: %+v", words, h)
				}
			}
		}
	})
}

func BenchmarkSearch(b *testing.B) {
	all, err := Read("en")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		all.Search("permission mail")
	}
}
