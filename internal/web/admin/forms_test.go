package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/i18n"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/testkit"
)

const formsPage = overview + "/forms"

// footerFields are a form as the designer sends it.
func footerFields(more ...string) []string {
	return append([]string{"name", "Footer <of> the shop", "topics", "letter", "tracking", "opens", "texts.en.title", "Letters & tea", "texts.en.button", "Yes, ask me",
		"texts.fa.title", "نامه و چای", "fields.0.name", "name", "fields.0.type", "text",
		"fields.1.name", "tea", "fields.1.type", "select", "fields.1.required", "yes", "fields.1.labels.en", "Which tea?", "fields.1.options", "green\nblack", "fields.1.choices.en", "Green\n", "fields.1.choices.fa", "سبز\nسیاه",
		"origins", "https://Shop.example/\n"}, more...)
}

// makeForm makes a form through the pages, and gives its address.
func (b *browser) makeForm(more ...string) string {
	b.Helper()
	got := b.submit(formsPage+"/new", b.fill(formsPage+"/new", footerFields(more...)...))
	if got.status != http.StatusSeeOther || !strings.HasSuffix(got.location, "?did=form.create") {
		b.Fatalf("made: %d to %s\n%s", got.status, got.location, got.body)
	}
	return strings.TrimSuffix(got.location, "?did=form.create")
}

func formID(page string) string { return page[strings.LastIndexByte(page, '/')+1:] }

// signUp signs somebody up on the hosted page, and confirms or not.
func (w *world) signUp(form, email string, confirm bool) {
	w.Helper()
	b := w.browser()
	page := b.mustShow("/f/" + form).body
	w.pass(3 * time.Second)
	got := b.submit("/f/"+form, url.Values{"token": {field(page, "token")}, "lang": {"en"}, "email": {email}, "tea": {"green"}, "topic:letter": {"1"}})
	if got.status != http.StatusOK || !strings.Contains(got.body, "Please look into your mailbox") {
		w.Fatalf("signed up: %d\n%s", got.status, got.body)
	}
	if !confirm {
		return
	}
	var last []uuid.UUID
	w.must(w.db.Read(w.Context(), func(tx *store.Tx) error {
		return tx.Raw("SELECT id FROM signup_requests WHERE form_id = ? ORDER BY id DESC LIMIT 1", uuid.MustParse(form)).Scan(&last).Error
	}))
	ask := strings.TrimPrefix(w.urls.Confirm(last[0]), w.url)
	if got := b.submit(ask, url.Values{"answer": {"yes"}}); got.status != http.StatusOK && got.status != http.StatusSeeOther {
		w.Fatalf("confirmed: %d\n%s", got.status, got.body)
	}
}

// From the first word to the counts of its versions: made once, seen by
// visitors, edited, and each version keeps what people said yes to.
func TestAFormThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		b.mustShow(formsPage, "There is no form yet", "New form")
		bad := b.submit(formsPage+"/new", b.fill(formsPage+"/new", footerFields("name", "", "fields.1.name", "Email!", "fields.1.options", "", "fields.1.choices.en", "", "fields.1.choices.fa", "", "origins", "nowhere", "texts.en.redirect", "javascript:x", "topics", "none")...))
		if bad.status != http.StatusUnprocessableEntity {
			w.Fatalf("a form that is wrong: %d\n%s", bad.status, bad.body)
		}
		for _, at := range []string{"name", "fields.1.name", "fields.1.options", "origins", "texts.en.redirect", "topics"} {
			if !strings.Contains(bad.body, `href="#f-`+at+`"`) || !strings.Contains(bad.body, `id="f-`+at+`"`) {
				w.Errorf("nothing leads to %s", at)
			}
		}
		if !strings.Contains(bad.body, "Letters &amp; tea") {
			w.Error("what was typed is lost")
		}

		page := b.makeForm()
		hosted := "/f/" + formID(page)
		b.mustShow(page+"?did=form.create", "The form is made and open.", "Footer &lt;of&gt; the shop", "Nobody has signed up here yet.", w.url+hosted, "/widget.js&#34; data-form=&#34;"+formID(page), "data-mode=&#34;button&#34;",
			"Yes, ask me&lt;/a&gt;", "https://shop.example", "Letter of Baharan")
		b.mustShow(hosted, "Letters &amp; tea", "Send me the letter.", "Yes, ask me", "Which tea?", ">Green<", ">black<")
		b.mustShow(hosted+"?lang=fa", "نامه و چای", "سیاه", "نامه را برایم بفرستید.")

		w.signUp(formID(page), "sara@example.org", true)
		w.signUp(formID(page), "ali@example.org", false)
		b.mustShow(page, "1 of 2 sign-ups were confirmed.", "One more can still be confirmed.", "Send me the letter.")
		b.mustShow(formsPage, "1 of 2", "open", "Letter of Baharan")

		edit := page + "/edit"
		b.mustShow(edit, "keep the words they saw", "So far one person.", `value="Yes, ask me"`, `value="tea"`, "green\nblack", "Green")
		if got := b.submit(edit, b.fill(edit, footerFields("texts.en.title", "Only tea")...)); got.location != page+"?did=form.change" {
			w.Fatalf("edited: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(hosted, "Only tea")
		w.signUp(formID(page), "bob@example.org", true)
		versions := b.mustShow(page, "2 of 3 sign-ups were confirmed.", "Version 2", "Version 1", "Only tea", "Letters &amp; tea").body
		if _, after, _ := strings.Cut(versions, "Version 2"); !regexp.MustCompile(`(?s)^.*?1 of 1 sign-ups.*Version 1.*1 of 2 sign-ups`).MatchString(after) {
			w.Error("the counts by version are not those")
		}
		b.mustShow(page+"/preview?look.version=1", "Letters &amp; tea")
		b.mustShow(page+"/preview", "Only tea")
		if got := b.get(page + "/preview?look.version=7"); got.status != http.StatusNotFound {
			w.Errorf("a version that there is not: %d", got.status)
		}

		if got := b.deedOf(page, "close"); got.location != page+"?did=form.close" {
			w.Fatalf("closed: %d to %s\n%s", got.status, got.location, got.body)
		}
		if got := b.get(hosted); got.status != http.StatusGone {
			w.Errorf("a closed form: %d", got.status)
		}
		b.mustShow(page, "closed", "The form is closed. Wherever it stands", "Only tea")
		b.mustShow(page+"/preview?look.view=inline", "form-preview.js", "Only tea")
		if got := b.deedOf(page, "open"); got.location != page+"?did=form.open" {
			w.Fatalf("opened: %d to %s", got.status, got.location)
		}
		b.mustShow(hosted, "Only tea")
		b.mustShow(overview+"/log", "Made the form", "Changed the form", "Closed the form", "Opened the form again")
	})
}

// deedOf sends the form of a button on a page.
func (b *browser) deedOf(page, what string) answer {
	b.Helper()
	_, form, ok := strings.Cut(b.mustShow(page).body, `action="`+page+`/`+what+`"`)
	if !ok {
		b.Fatalf("%s offers no %s", page, what)
	}
	return b.submit(page+"/"+what, url.Values{"page": {field(form, "page")}, "once": {field(form, "once")}})
}

// Nobody overwrites another's form unseen; what is typed outlives the session;
// and a button that arranges the fields saves nothing.
func TestFormsOfTwoPeople(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeForm()
		edit := page + "/edit"
		mine, theirs := b.fill(edit, footerFields("name", "Mine")...), b.fill(edit, footerFields("name", "Theirs", "texts.en.title", "Their heading", "fields.1.labels.en", "Their question")...)
		w.pass(time.Second)
		if got := b.submit(edit, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		asked := b.submit(edit, mine)
		if asked.status != http.StatusConflict || !strings.Contains(asked.body, "Their heading") || !strings.Contains(asked.body, "Their question") || !strings.Contains(asked.body, `value="Mine"`) {
			w.Fatalf("an edit over another's: %d\n%s", asked.status, asked.body)
		}
		mine.Set("version", field(asked.body, "version"))
		mine.Set("once", field(asked.body, "once"))
		if got := b.submit(edit, mine); got.status != http.StatusSeeOther {
			w.Fatalf("saved after having seen: %d\n%s", got.status, got.body)
		}
		if got := b.submit(edit, mine); got.location != page+"?did=form.change" {
			w.Errorf("sent twice: %d to %s", got.status, got.location)
		}
		b.mustShow(page, "Mine", "Version 3")
		if strings.Contains(b.get(page).body, "Version 4") {
			w.Error("a double click made two versions")
		}

		draft := b.fill(edit, footerFields("texts.en.title", "Half a heading")...)
		if got := b.submit(overview+"/drafts", draft); got.status != http.StatusOK {
			w.Fatalf("kept: %d %s", got.status, got.body)
		}
		later := w.in(email)
		later.mustShow(edit, `value="Half a heading"`, "have not saved yet")
		later.mustShow(edit+"/preview", "Half a heading")
		if other := w.in2("second@baharan.example", account.Marketer); strings.Contains(other.mustShow(edit+"/preview").body, "Half a heading") {
			w.Error("somebody else sees the draft")
		}

		long := strings.Repeat("ن", 300)
		got := b.submit(edit, b.fill(edit, footerFields("name", long)...))
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, long) {
			w.Errorf("a name of 300 characters: %d", got.status)
		}
		form := b.fill(edit, footerFields("arrange", "up.1")...)
		up := b.submit(edit, form)
		if up.status != http.StatusOK || !regexp.MustCompile(`name="fields.0.name"[^>]*value="tea"`).MatchString(up.body) || !strings.Contains(up.body, "green\nblack") {
			w.Errorf("arranged: %d\n%s", up.status, up.body)
		}
		for what, want := range map[string]int{"more.": 3, "more.name": 3, "drop.0": 1, "drop.9": 2, "up.x": 2} {
			form.Set("arrange", what)
			if n := strings.Count(b.submit(edit, form).body, `class="language ask-more"`); n != want {
				w.Errorf("%s leaves %d fields", what, n)
			}
		}
		if strings.Contains(b.get(page).body, "Version 4") {
			w.Error("arranging saved something")
		}
	})
}

// What may be seen of a form, and by whom: a preview takes nothing and runs
// nothing of what was typed, and another brand's form is not there.
func TestFormPreviewIsInert(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeForm()
		evil := `<script>top.x=1</script>"><img src=x onerror=alert(1)>`
		for _, view := range []string{"page", "inline", "button", "done"} {
			form := b.fill(formsPage+"/new", footerFields("texts.fa.title", evil, "texts.fa.message", evil, "fields.1.labels.fa", evil, "look.view", view, "look.in", "fa", "look.theme", "dark")...)
			got := b.submit(formsPage+"/new/preview", form)
			csp := got.header.Get("Content-Security-Policy")
			if got.status != http.StatusOK || strings.Contains(got.body, "<img src=x") || strings.Contains(got.body, "<script>") || !strings.Contains(got.body, `data-theme="dark"`) || !strings.Contains(got.body, `lang="fa"`) {
				w.Errorf("%s: %d\n%s", view, got.status, got.body)
			}
			if strings.Contains(csp, "allow-forms") || strings.Contains(csp, "connect-src") || !strings.Contains(csp, "form-action 'none'") || !strings.Contains(csp, "sandbox") ||
				strings.Contains(csp, "allow-scripts") != (view == "inline" || view == "button") {
				w.Errorf("%s is fenced by %q", view, csp)
			}
			if token := field(got.body, "token"); token != "" {
				w.Errorf("%s has the token %q", view, token)
			}
		}
		if strings.Contains(b.mustShow(formsPage).body, "Letters") || b.get(formsPage+"/new/preview").status != http.StatusOK {
			w.Error("a look at a form has kept something")
		}

		elsewhere := strings.Replace(page, "/baharan/", "/marble/", 1)
		w.role(w.mina, w.marble, account.Owner)
		for _, path := range []string{"", "/edit", "/preview", "/edit/preview"} {
			if got := b.get(elsewhere + path); got.status != http.StatusNotFound {
				w.Errorf("another brand's form%s: %d", path, got.status)
			}
		}
		for _, path := range []string{"/edit", "/close", "/open"} {
			if got := b.submit(elsewhere+path, url.Values{"page": {elsewhere + path}, "name": {"x"}}); got.status != http.StatusNotFound {
				w.Errorf("another brand's form%s: %d", path, got.status)
			}
		}
		reader := w.in2("reader@baharan.example", account.Reader)
		seen := reader.mustShow(page, "Nobody has signed up here yet.").body
		if strings.Contains(seen, page+"/edit") || strings.Contains(seen, page+"/close") {
			w.Error("a reader is offered to change it")
		}
	})
}

// Somebody types a form, sees it change beside before it is saved, in each
// place, and saves; and nobody but they has seen it until then.
func TestTypingAForm(t *testing.T) {
	for _, lang := range i18n.Languages {
		t.Run(lang, func(t *testing.T) {
			w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
			p := w.tab()
			p.do(chromedp.EmulateViewport(1280, 900))
			p.signInByKeyboard(formsPage + "/new?lang=" + lang)
			title := map[string]string{"en": "Letters & <b>tea</b>", "fa": "نامه و چای"}[lang]
			const frame = `document.querySelector('#look iframe:not(.coming)')?.contentDocument`
			p.until(frame + `?.querySelector('h1') && document.documentElement.lang === '` + lang + `'`)
			before := eval[string](p, frame+`.querySelector('h1').textContent`)
			p.do(focus("#f-name"), keys("Footer"), focus("#f-texts\\."+lang+"\\.title"), keys(title))
			p.choose("look.in", lang)
			p.until(fmt.Sprintf(`%s?.querySelector('h1')?.textContent === %q`, frame, title))
			if before == title {
				t.Error("it was there before")
			}
			if at := eval[string](p, "document.activeElement.id"); at != "f-texts."+lang+".title" {
				t.Errorf("the preview took the focus: it is at %q", at)
			}
			root := frame + `?.querySelector('assent-form')?.shadowRoot`
			for _, view := range []string{"inline", "button"} {
				p.choose("look.view", view)
				p.until(fmt.Sprintf(`%s?.querySelector('h2')?.textContent === %q`, root, title))
			}
			p.until(root + `?.querySelector('dialog').open`)
			if at := eval[string](p, "document.activeElement.id"); at != "f-texts."+lang+".title" {
				t.Errorf("the dialog took the focus: it is at %q", at)
			}
			p.choose("look.theme", "dark")
			p.until(frame + `?.documentElement.dataset.theme === 'dark' && ` + root + `?.querySelector('h2')`)
			p.choose("look.width", "desk")
			p.until(frame + `?.documentElement.clientWidth > 900`)
			// What is pressed in it goes nowhere.
			p.choose("look.view", "page")
			p.until(frame + `?.querySelector('button.btn.yes')`)
			eval[bool](p, frame+`.querySelector('button.btn.yes').click() || true`)

			// Another question is asked for without the page being loaded anew.
			eval[bool](p, "document.body.dataset.same = 'yes'; document.getElementById('more-name').click() || true")
			p.until(`document.getElementById('f-fields.0.name')?.value === 'name' && document.body.dataset.same`)
			p.until(frame + `?.querySelector('#f-name')`)
			if n := p.forms(); n != 0 {
				t.Fatalf("%d forms before anything was saved", n)
			}
			p.do(focus("#f-name"), keys("\r")) // Enter saves, and presses none of the buttons before
			p.until(`location.search.includes('did=form.create')`)
			if n := p.forms(); n != 1 {
				t.Fatalf("%d forms", n)
			}
			p.until(`document.querySelectorAll('button[data-copy]:not([hidden])').length === 3`)
			p.do(chromedp.Click(`button[data-copy=f-snippet]`))
			p.until(`document.querySelector('button[data-copy]').nextElementSibling.textContent`)
			p.open(strings.TrimPrefix(eval[string](p, `document.getElementById('f-hosted').value`), w.url) + "?lang=" + lang)
			p.until(fmt.Sprintf(`document.querySelector('h1').textContent === %q && document.querySelector('#f-name')`, title))
		})
	}
}

// choose picks one of a list, as a person would.
func (p *tab) choose(name, value string) {
	p.Helper()
	eval[bool](p, fmt.Sprintf(`(() => { const s = document.querySelector('select[name="%s"]'); s.value = '%s'; return s.dispatchEvent(new Event('change', {bubbles: true})); })()`, name, value))
}

func (w *world) forms() int {
	w.Helper()
	var all []signup.Form
	w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { all, err = signup.List(tx, w.brand.ID); return err }))
	return len(all)
}

// The pages of forms are sound in both languages, on a desk and on a phone.
func TestFormPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	b := w.in(email)
	page := b.makeForm()
	w.signUp(formID(page), "sara@example.org", true)
	w.signUp(formID(page), "ali@example.org", false)
	b.submit(page+"/edit", b.fill(page+"/edit", footerFields("texts.en.title", "Letters on tea, and what is read with it")...))
	b.makeForm("name", strings.Repeat("Verylongname", 10))
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"forms": formsPage + "?lang=", "no-forms": "/admin/b/marble/forms?lang=", "form": page + "?lang=", "form-new": formsPage + "/new?lang=", "form-edit": page + "/edit?lang=",
			"form-widget": page + "?look.view=button&look.theme=dark&lang=", "form-desk": page + "?look.width=desk&lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}
