package widget_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// looks are the ways a visitor may meet the widget.
var looks = func() (all []look) {
	for _, lang := range []string{"en", "fa"} {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 390} {
				all = append(all, look{lang, scheme, width})
			}
		}
	}
	return all
}()

type look struct {
	lang, scheme string
	width        int64
}

// TestEveryLook goes through the widget's states in both languages, light and
// dark, on a desk and on a phone: axe-core finds nothing, nothing runs over the
// edge, everything that is pressed is large enough. With ASSENT_PICTURES set to
// a folder it leaves a picture of each state there for people to judge.
func TestEveryLook(t *testing.T) {
	for _, l := range looks {
		t.Run(fmt.Sprintf("%s-%s-%d", l.lang, l.scheme, l.width), func(t *testing.T) {
			inline(t, l)
			dialog(t, l)
		})
	}
}

func inline(t *testing.T, l look) {
	s, host := start(t, shopPage(l.lang, snippet(formA)))
	p := open(t, host, dress)
	p.view(l.width, 900, l.scheme)
	p.ready(1)
	p.sound(l, "1-empty")

	p.click("one('button[type=submit]')")
	p.sound(l, "2-wrong")

	p.click("one('[name=email]')")
	p.keys("sara@example.org" + kb.Tab + kb.Tab + " " + kb.Tab + " ")
	p.sound(l, "3-filled")

	s.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	p.click("one('button[type=submit]')")
	p.until("one('[role=alert]').textContent")
	p.sound(l, "4-trouble")

	s.answers(nil)
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	p.sound(l, "5-done")
}

func dialog(t *testing.T, l look) {
	_, host := start(t, shopPage(l.lang, snippet(formA, `data-mode="button"`)))
	p := open(t, host, dress)
	p.view(l.width, 900, l.scheme)
	p.ready(1)
	p.sound(l, "6-button")
	p.click("one('.act')")
	p.until("one('dialog').open")
	p.sound(l, "7-dialog")
	p.click("one('.close')")
	p.until("!one('dialog').open && one('.act').classList.contains('quiet')")
	p.sound(l, "8-quiet")
}

// sound holds what every state of the widget must keep to.
func (p *page) sound(l look, state string) {
	p.t.Helper()
	if dir := os.Getenv("ASSENT_PICTURES"); dir != "" {
		p.picture(filepath.Join(dir, fmt.Sprintf("%s-%s-%d-%s.png", l.lang, l.scheme, l.width, state)))
	}
	p.is("document.documentElement.scrollWidth <= innerWidth")
	p.equal(`all('.assent, .assent *').filter(n => shown(n) && !n.closest('.bait, .unseen') && n.scrollWidth > n.clientWidth + 1 && n.clientWidth)
		.map(n => n.outerHTML.slice(0, 80))`, "[]")
	p.equal(`all('button, input, select, .box, .fine a').filter(n => shown(n) && !n.closest('.bait') && n.type !== 'checkbox' &&
		n.getBoundingClientRect().height < 44).map(n => n.outerHTML.slice(0, 60) + n.getBoundingClientRect().height)`, "[]")
	p.axe()
}

func (p *page) picture(file string) {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(file, shot, 0o644)
	}
	if err != nil {
		p.t.Fatalf("take a picture: %v", err)
	}
}

// shopPage is a page as a bookshop might have it; its clothes come by dress, through the CSSOM:
// no style sheet of its own survives the strict policy it is served under.
func shopPage(lang, snippet string) string {
	title, text := "Letters from the shop", `A house of books has many rooms, and most of them are quiet. Once a week we write down what arrived,
what we could not put down, and who comes to read on Thursday evening.`
	if lang == "fa" {
		title, text = "نامه‌هایی از کتاب‌فروشی", `خانهٔ کتاب اتاق‌های بسیار دارد و بیشترشان خاموش‌اند. هفته‌ای یک بار می‌نویسیم چه رسیده است،
کدام را نتوانستیم زمین بگذاریم، و پنجشنبه شب چه کسی برایمان می‌خواند.`
	}
	dir := map[string]string{"en": "ltr", "fa": "rtl"}[lang]
	return strings.NewReplacer("LANG", lang, "DIR", dir, "TITLE", title, "TEXT", text, "SNIPPET", snippet).Replace(
		`<!doctype html><html lang="LANG" dir="DIR"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>TITLE</title><body><main><h1>TITLE</h1><p>TEXT</p>SNIPPET<p>TEXT</p></main></body></html>`)
}

// dress gives the shop's page its own clothes.
const dress = `
document.addEventListener('DOMContentLoaded', () => {
	const s = new CSSStyleSheet();
	s.replaceSync("body { margin: 0; font: 1rem/1.7 Vazirmatn, system-ui, sans-serif; background: light-dark(#faf9f5, #14171c); color: light-dark(#1f2630, #e8e6e0) }" +
		"main { max-inline-size: 42rem; margin: 0 auto; padding: 2rem 1.25rem } h1 { line-height: 1.4 } p { margin: 0 0 1.5rem } assent-form { margin-block-end: 1.5rem }");
	document.adoptedStyleSheets = [s];
});`
