package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/testkit"
)

// Whom a field offers is of the brand, and is told to those alone who may see them.
func TestWhoIsOfferedAsOneTypes(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		granite, topic := w.newBrand("granite", "Granite")
		w.person(granite, topic, "sarah@granite.example", consent.Requested, consent.Given)
		b, reza := w.in(email), w.newUser("reza@baharan.example", "Reza", "fa")
		w.role(reza, w.brand, account.Analyst)
		for path, want := range map[string]string{
			"/pick/people?q=SAR": `[{"value":"sara@example.org","label":"sara@example.org"}]`, "/pick/people?q=nobody": `[]`,
			"/pick/team?q=re": `[{"value":"reza@baharan.example","label":"Reza","more":"reza@baharan.example"}]`, "/pick/team?q=stranger": `[]`,
		} {
			got := b.get(overview + path)
			if got.status != http.StatusOK || strings.TrimSpace(got.body) != want || got.header.Get("Cache-Control") != "no-store" {
				w.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
		reader := w.in2("reader@baharan.example", account.Reader)
		if got := reader.get(overview + "/pick/people?q=sara"); got.status != http.StatusForbidden || strings.Contains(got.body, "sara@") {
			w.Errorf("a reader is told of people: %d %s", got.status, got.body)
		}

		// Without scripts an address or a name is typed.
		page := overview + "/people/" + sara.ID.String()
		for typed, says := range map[string]string{"REZA@baharan.example": "Reza", "reza": "Reza", "Mina": "Mina"} {
			if got := b.press(page+"/carer", "carer", typed); got.status != http.StatusSeeOther {
				w.Fatalf("%s: %d\n%s", typed, got.status, got.body)
			}
			b.mustShow(page, `name="carer" type="text" value="`+strings.ToLower(says)+`@baharan.example"`)
		}
		w.role(w.newUser("reza2@baharan.example", "Reza", "en"), w.brand, account.Reader)
		for typed, says := range map[string]string{"Reza": "Several of the team have this name.", "sarah@granite.example": "choose somebody of the team"} {
			if got := b.submit(page+"/carer", url.Values{"carer": {typed}}); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, says) || !strings.Contains(got.body, `value="`+typed+`"`) {
				w.Errorf("%s: %d", typed, got.status)
			}
		}
		if got := b.press(page+"/carer", "carer", ""); got.status != http.StatusSeeOther {
			w.Errorf("nobody: %d", got.status)
		}
		b.mustShow(page, `name="carer" type="text" value=""`)
	})
}

// By keyboard alone somebody is found, chosen and saved.
func TestAPersonIsPickedByKeyboard(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
	w.role(w.newUser("reza@baharan.example", "رضا", "fa"), w.brand, account.Analyst)
	p := w.tab()
	p.signInByKeyboard(overview + "/people/" + sara.ID.String() + "?lang=fa")
	p.until(`document.querySelector('#f-carer[role=combobox]')`)
	p.do(chromedp.SendKeys("#f-carer", "رض"))
	p.until(`document.querySelector('#f-carer').getAttribute('aria-expanded') === 'true' && document.querySelectorAll('.picks [role=option]').length === 1`)
	for _, v := range testkit.Axe(p.TB, p.ctx) {
		t.Errorf("with the list open: %s", v)
	}
	p.do(chromedp.SendKeys("#f-carer", kb.Escape))
	p.until(`document.querySelector('.picks').hidden && document.querySelector('#f-carer').value === 'رض'`)
	p.do(chromedp.SendKeys("#f-carer", kb.ArrowDown))
	p.until(`!document.querySelector('.picks').hidden`)
	p.do(chromedp.SendKeys("#f-carer", kb.ArrowDown))
	p.until(`document.querySelector('#f-carer').getAttribute('aria-activedescendant') === document.querySelector('.picks [aria-selected=true]').id`)
	p.do(chromedp.SendKeys("#f-carer", kb.Enter))
	p.until(`document.querySelector('#f-carer').value === 'reza@baharan.example' && document.querySelector('.picks').hidden && !location.search.includes('did=')`)
	p.do(chromedp.SendKeys("#f-carer", kb.Enter))
	p.until(`location.search.includes('did=people.carer') && document.querySelector('.told form button')`)
	p.until(`document.readyState === 'complete' && document.querySelector('#f-carer[role=combobox]')`)
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('#f-carer').select()`))
	p.do(chromedp.SendKeys("#f-carer", "nobody like this"))
	p.until(`document.querySelector('p.picks.none:not([hidden])')`)
}

// The page of all parts, in each theme that it can be asked for.
func TestPartsAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		p.sound("parts-light", lang, overview+"/parts?theme=light&lang="+lang)
		p.sound("parts-dark", lang, overview+"/parts?theme=dark&lang="+lang)
	}
}

// The list of those who are found, open, at the width of a phone and of a desk.
func TestThePickerIsSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
	w.role(w.newUser("reza@baharan.example", "رضا", "fa"), w.brand, account.Analyst)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		p.open(overview + "/people/" + sara.ID.String() + "?lang=" + lang)
		p.until(`document.querySelector('#f-carer[role=combobox]')`)
		p.do(chromedp.Click("#f-carer"))
		p.until(`document.querySelectorAll('.picks [role=option]').length === 2`)
		p.do(chromedp.SendKeys("#f-carer", kb.ArrowDown))
		p.looks("picker", lang, "the list of those who are found")
	}
}
