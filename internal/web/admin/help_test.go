package admin

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"assent/internal/account"
	"assent/internal/i18n"
	"assent/internal/testkit"
	"assent/internal/web/admin/help"
	"assent/templates"
)

var helpCall = regexp.MustCompile(`\.HelpAt "([^"]*)"`)

// Every way to the help from a page leads to a place that is there.
func TestWaysToTheHelpLeadSomewhere(t *testing.T) {
	ways := map[string]int{}
	err := fs.WalkDir(templates.FS, "pages", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(templates.FS, name)
		if err != nil {
			return err
		}
		for _, m := range helpCall.FindAllStringSubmatch(string(text), -1) {
			ways[name]++
			for _, lang := range i18n.Languages {
				book, err := help.Read(lang)
				if err != nil {
					return err
				}
				if m[1] != "" && !book.Has(m[1]) {
					t.Errorf("%s leads to %s, which is not there", name, m[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("topics topic people person suppressions suppression campaign-form campaign-schedule campaign log mailbox dashboard") {
		if ways["pages/admin/"+name+".html"] == 0 {
			t.Errorf("no way to the help from %s", name)
		}
	}
}

// Whoever comes may read: nobody in particular, someone of the team in their
// language at the brand they come from, and someone without any brand.
func TestReadingTheHelp(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	nobody := w.browser()
	nobody.mustShow("/admin/sign-in?lang=fa", `<a href="/help?lang=fa">`)
	got := nobody.mustShow("/help", "Your first day, step by step", `<a href="/help/words">`, `<a href="/admin/sign-in">`)
	if strings.Contains(got.body, "Baharan") || strings.Contains(got.body, "/admin/b/") {
		t.Error("a stranger reads of a brand")
	}
	nobody.mustShow("/help/topics?lang=fa", `dir="rtl"`, "موضوع‌ها و قول", `href="/help/first-day?lang=fa"`, `<h2 id="promise"`)
	nobody.mustShow("/help/complaints?brand=baharan&lang=fa", `href="/help/words?lang=fa#interval"`) // of no brand of theirs
	nobody.mustShow("/help/sending", `href="https://support.google.com/mail/answer/81126" rel="noopener noreferrer"`)
	for _, path := range []string{"/help/nothing", "/help/words.md", "/help/..%2fwords"} {
		if got := nobody.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, got.status)
		}
	}

	mina := w.in(email)
	mina.mustShow("/help/topics", `Was this about`, `href="/admin/b/baharan/topics">Topics</a>`, `<a href="/help" aria-current="page">Help</a>`)
	mina.mustShow(campaignsPage, `<a class="help" href="/help/campaigns" aria-label="Help: Campaigns">`)
	mina.mustShow(overview+"/topics", `<a class="help" href="/help/topics" aria-label="Help: Topics">`, `<a href="/help">Help</a>`)
	w.role(w.mina, w.marble, account.Reader)
	mina.mustShow("/admin/b/marble/topics", `href="/help/topics?brand=marble"`)
	got = mina.mustShow("/help/people?brand=marble", `href="/help/topics?brand=marble"`, `href="/admin/b/marble/topics"`)
	if strings.Contains(got.body, `/admin/b/marble/people"`) {
		t.Error("a reader is led to people")
	}
	w.newUser("new@baharan.example", "New", "fa")
	w.in("new@baharan.example").mustShow("/help", "راهنما", `href="/admin"`)
}

func TestLookingForHelp(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.browser()
	b.mustShow("/help?q=quarantine", `href="/help/import#quarantine"`, `<mark>quarantine</mark>`)
	b.mustShow("/help?lang=fa&q=%D9%82%D8%B1%D9%86%D8%B7%DB%8C%D9%86%D9%87", `href="/help/import?lang=fa#quarantine"`, `name="lang" value="fa"`)
	b.mustShow("/help?q=%3Cscript%3Exyzzy", "Nothing has all of these words", `value="&lt;script&gt;xyzzy"`, "Your first day, step by step")
	b.mustShow("/help?q="+strings.Repeat("x", 5000), "Nothing has all of these words")
}

// Every page of the help, at the address that it is reached at, is light, and
// every address in it that is ours answers.
func TestHelpIsLightAndLeadsOn(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	asked := map[string]bool{}
	address := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`)
	for _, lang := range i18n.Languages {
		for todo := []string{"/help?lang=" + lang}; len(todo) > 0; todo = todo[1:] {
			path, id, within := strings.Cut(strings.ReplaceAll(todo[0], "&amp;", "&"), "#")
			got := b.mustShow(path)
			if within && !strings.Contains(got.body, `id="`+id+`"`) {
				t.Errorf("%s has no %s", path, id)
			}
			if !strings.HasPrefix(path, "/help") {
				continue
			}
			if len(got.body) > 60_000 {
				t.Errorf("%s weighs %d bytes", path, len(got.body))
			}
			for _, m := range address.FindAllStringSubmatch(got.body, -1) {
				if to := m[1]; !asked[to] && !strings.HasPrefix(to, "/api/") && (!strings.HasPrefix(to, "/admin/") || strings.HasPrefix(to, "/admin/b/")) {
					asked[to] = true
					todo = append(todo, to)
				}
			}
		}
	}
	if len(asked) < 60 {
		t.Errorf("only %d addresses found: the search is broken", len(asked))
	}
}

// The help is sound in a browser, and found as one types.
func TestHelpPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.sound("help-nobody", lang, "/help?lang="+lang)
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"help-found": "/help?q=dkim&lang=", "help-forms": "/help/forms?lang=", "help-words": "/help/words?lang="} {
			p.sound(name, lang, path+lang)
		}
		if os.Getenv("ASSENT_PICTURES") != "" {
			for name, path := range map[string]string{"help-from-topics": overview + "/topics?lang=", "help-from-topic": overview + "/topics/new?lang=", "help-from-overview": overview + "?lang="} {
				p.sound(name, lang, path+lang)
			}
		}
	}
	p := w.tab()
	p.open("/help")
	p.until("document.querySelector('#f-q')")
	p.do(chromedp.SendKeys("#f-q", "warm-up"))
	p.until("document.querySelector('.hits mark') && location.search.includes('q=warm-up')")
}

// No file of the help is out of sight of the tests above.
func TestEveryHelpFileIsAPage(t *testing.T) {
	for _, lang := range i18n.Languages {
		names, err := fs.Glob(templates.FS, "help/"+lang+"/*")
		if err != nil {
			t.Fatal(err)
		}
		book, err := help.Read(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			slug := strings.TrimSuffix(filepath.Base(name), ".md")
			if !slices.ContainsFunc(book.Pages, func(p help.Page) bool { return p.Slug == slug }) {
				t.Errorf("%s is no page", name)
			}
		}
	}
}

// Every page that one gets to from the side navigation leads to a place in the
// help that is there, and so does every page below it that is an action's own.
func TestEverySectionLeadsToTheHelp(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	way := regexp.MustCompile(`<a class="help" href="/help/([^"]+)"`)
	book, err := help.Read("en")
	w.must(err)
	pages := []string{"/topics/new", "/forms/new", "/imports/new", "/suppressions/new", "/campaigns/new", "/sequences/new", "/offers/new", "/sending/test", "/sending/domain"}
	for _, s := range sections {
		pages = append(pages, s.path)
	}
	for _, path := range pages {
		found := way.FindAllStringSubmatch(b.mustShow(overview+path).body, -1)
		if len(found) == 0 {
			t.Errorf("no way to the help from %q", path)
		}
		for _, m := range found {
			if !book.Has(m[1]) {
				t.Errorf("%q leads to %s, which is not there", path, m[1])
			}
		}
	}
}

// What a help page prints in bold is a name on a page: of a button, a menu, a
// field, a role. Each is in the catalogue of its language, so that a name which
// is changed there does not go stale here. What is only stressed is in italics.
func TestNamesInTheHelpAreThoseOfThePages(t *testing.T) {
	bold := regexp.MustCompile(`\*\*([^*]+)\*\*`)
	for _, lang := range i18n.Languages {
		names := map[string]bool{}
		catalogues, err := filepath.Glob("../../i18n/locales/" + lang + "/*.json")
		if err != nil || len(catalogues) == 0 {
			t.Fatal("no catalogues", err)
		}
		for _, name := range catalogues {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]any
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(name, err)
			}
			for _, v := range all {
				if s, is := v.(string); is {
					names[strings.ToLower(s)] = true
				}
			}
		}
		pages, err := fs.Glob(templates.FS, "help/"+lang+"/*.md")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, page := range pages {
			text, err := fs.ReadFile(templates.FS, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range bold.FindAllStringSubmatch(string(text), -1) {
				if n++; !names[strings.ToLower(m[1])] {
					t.Errorf("%s speaks of %q, and no page does", page, m[1])
				}
			}
		}
		if n < 40 {
			t.Errorf("%s: only %d names found: the search is broken", lang, n)
		}
	}
}
