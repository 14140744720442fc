package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/testkit"
	"assent/internal/web"
	"assent/internal/web/admin"
)

// gallery serves the samples at /NAME?lang=…, under the real policy and with the
// real static files.
func gallery(t *testing.T) *httptest.Server {
	t.Helper()
	e := house(t)
	e.GET("/show/:name", func(c echo.Context) error {
		for _, s := range samples(web.Localizer(c).Lang()) {
			if s.name == c.Param("name") {
				return web.Page(c, http.StatusOK, s.page, s.data)
			}
		}
		return echo.ErrNotFound
	})
	e.GET("/body", func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'; sandbox")
		return c.HTML(http.StatusOK, `<!doctype html><html lang="en"><title>mail</title><body><h1>Dear Sara</h1><p>A gift for you.</p></body></html>`)
	})
	e.GET("/live", func(c echo.Context) error {
		if _, err := web.Stream(c); err != nil {
			return err
		}
		<-c.Request().Context().Done()
		return nil
	})
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}

func house(t *testing.T) *echo.Echo {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	e, err := web.New(web.Options{URLs: link.URLs{Base: base, Ring: ring}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// refusals is what the browser refused by the policy; it runs before the page.
const refusals = `window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.effectiveDirective + ' ' + e.blockedURI));`

// tooSmall are the things to press that are less than 44 px high. Links within
// a sentence are excepted (WCAG 2.2, 2.5.8), and boxes count with their label.
const tooSmall = `JSON.stringify([...document.querySelectorAll('button, select, input:not([type=hidden], [type=checkbox], [type=radio]), label.box, .btn, nav a, .mails a')]
	.filter(n => n.checkVisibility() && !n.closest('.unseen') && n.getBoundingClientRect().height < 43.5)
	.map(n => n.outerHTML.slice(0, 80) + ' ' + n.getBoundingClientRect().height))`

// overEdge are the things that stick out of the page at either side.
const overEdge = `JSON.stringify(document.documentElement.scrollWidth <= innerWidth ? [] : [...document.body.querySelectorAll('*')]
	.filter(n => { const r = n.getBoundingClientRect(); return (r.right > innerWidth + 1 || r.left < -1) && !n.closest('.scroll, .unseen, nav, pre') })
	.map(n => n.outerHTML.slice(0, 80)))`

// TestEveryLook shows every page in a browser in both languages, light and
// dark, on a desk and on a phone: axe-core finds nothing, nothing runs over the
// edge, everything that is pressed is large enough, the policy refuses nothing.
// Edges and marks do not depend on the colours, nor the contrast on the
// language, so that two of the four ways show all there is; with ASSENT_PICTURES
// set to a folder it goes all four, and leaves a picture of each page there.
func TestEveryLook(t *testing.T) {
	s := gallery(t)
	for _, lang := range i18n.Languages {
		for _, scheme := range []string{"light", "dark"} {
			all := (lang == "fa") == (scheme == "dark")
			if !all && os.Getenv("ASSENT_PICTURES") == "" {
				continue
			}
			t.Run(lang+"-"+scheme, func(t *testing.T) {
				tab := openTab(t, scheme)
				for _, sample := range looks(lang) {
					address := s.URL + "/show/" + sample.name + "?lang=" + lang
					if err := chromedp.Do(tab, chromedp.EmulateViewport(390, 900), chromedp.Navigate(address)); err != nil {
						t.Fatal(err)
					}
					name := sample.name + "-" + lang + "-" + scheme
					see(t, tab, name, 390)
					if all {
						for _, v := range testkit.Axe(t, tab) {
							t.Errorf("%s: %s", name, v)
						}
					}
					see(t, tab, name, 1280)
				}
			})
		}
	}
}

// TestAReceiptPrints: black on white, without what can only be pressed, on two
// pages of A4 at most; also for those who prefer the dark.
func TestAReceiptPrints(t *testing.T) {
	s := gallery(t)
	tab := openTab(t, "dark")
	for _, lang := range i18n.Languages {
		err := chromedp.Do(tab, chromedp.EmulateViewport(794, 1123), chromedp.Navigate(s.URL+"/show/receipt?lang="+lang), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print",
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
		for what, script := range map[string]string{
			"shown that should not be": `JSON.stringify([...document.querySelectorAll('.answers, .languages, .on-screen')].filter(e => e.getClientRects().length).map(e => e.className))`,
			"not black on white":       `JSON.stringify([...document.querySelectorAll('main *')].filter(e => e.getClientRects().length).flatMap(e => { const c = getComputedStyle(e); return c.color === 'rgb(0, 0, 0)' && ['rgba(0, 0, 0, 0)', 'rgb(255, 255, 255)'].includes(c.backgroundColor) ? [] : [e.tagName + '.' + e.className + ' ' + c.color + ' on ' + c.backgroundColor]; }))`,
		} {
			if got := ask(t, tab, script); got != "[]" {
				t.Errorf("%s: %s: %s", lang, what, got)
			}
		}
		if got := ask(t, tab, `String(document.querySelector('.letter').scrollHeight <= 2 * 1047 && document.documentElement.scrollWidth <= innerWidth)`); got != "true" {
			t.Errorf("%s: it does not fit two pages of A4: %s px high", lang, ask(t, tab, `String(document.querySelector('.letter').scrollHeight)`))
		}
		if dir := os.Getenv("ASSENT_PICTURES"); dir != "" {
			picture(t, tab, filepath.Join(dir, "receipt-printed-"+lang+".png"), 794)
		}
	}
}

// looks leaves out samples that differ from another in words only.
func looks(lang string) (some []sample) {
	for _, s := range samples(lang) {
		switch {
		case strings.HasPrefix(s.name, "error-") && s.name != "error-not-found",
			slices.Contains([]string{"confirm-bare", "confirm-lapsed", "confirm-already", "declined", "address-not-me", "address-done", "why-unknown",
				"receipt-paper", "receipt-import", "receipt-implied", "receipt-requested-event", "receipt-renewed-event", "receipt-refused-event", "receipt-expired-event", "receipt-invalidated-event", "preferences-hard-bounce", "preferences-not-me", "preferences-manual"}, s.name):
			continue
		}
		some = append(some, s)
	}
	return some
}

func openTab(t *testing.T, scheme string) context.Context {
	t.Helper()
	tab := testkit.Browser(t)
	err := chromedp.Do(tab, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: refusals}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// see judges the page that is open at a width, and keeps a picture.
func see(t *testing.T, tab context.Context, name string, width int64) {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, width)
	if err := chromedp.Do(tab, chromedp.EmulateViewport(width, 900)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if n := ask(t, tab, `document.fonts.ready.then(f => String([...f].filter(x => x.status === 'loaded').length))`); n != "1" {
		t.Errorf("%s: %s fonts came", name, n)
	}
	for what, script := range map[string]string{"over the edge": overEdge, "refused": `JSON.stringify(refused)`, "too small to press": tooSmall} {
		if got := ask(t, tab, script); got != "[]" {
			t.Errorf("%s: %s: %s", name, what, got)
		}
	}
	if dir := os.Getenv("ASSENT_PICTURES"); dir != "" {
		picture(t, tab, filepath.Join(dir, name+".png"), width)
	}
}

// picture is of the whole page: the window is made as high as that.
func picture(t *testing.T, tab context.Context, file string, width int64) {
	t.Helper()
	high, err := strconv.ParseInt(ask(t, tab, `String(Math.max(innerHeight, document.documentElement.scrollHeight))`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(tab, chromedp.EmulateViewport(width, high)); err != nil {
		t.Fatal(err)
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, png, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// ask evaluates a script that gives a text, or promises one.
func ask(t *testing.T, tab context.Context, script string) string {
	t.Helper()
	got, err := chromedp.Run(tab, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("evaluate %.60s: %v", script, err)
	}
	return got
}

// An event of the stream brings the new mail into the list; the focus stays
// where it was, and what lies outside the region is not touched.
func TestLiveRegionFollowsItsStream(t *testing.T) {
	var mails atomic.Int64
	came := make(chan struct{}, 1)
	e := house(t)
	e.GET("/box", func(c echo.Context) error {
		view := admin.Mailbox{Action: "/box", Live: "/live"}
		for n := mails.Load(); n >= 0; n-- {
			view.Mails = append(view.Mails, admin.Mail{URL: fmt.Sprintf("/box/%d", n), Subject: fmt.Sprintf("mail %d", n), To: "sara@example.org", At: asked})
		}
		return web.Page(c, http.StatusOK, "admin/mailbox", view)
	})
	e.GET("/live", func(c echo.Context) error {
		send, err := web.Stream(c)
		if err != nil {
			return err
		}
		for {
			select {
			case <-c.Request().Context().Done():
				return nil
			case <-came:
				if err := send("mail", "1"); err != nil {
					return err
				}
			}
		}
	})
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	tab := openTab(t, "light")
	if err := chromedp.Do(tab, chromedp.Navigate(s.URL+"/box")); err != nil {
		t.Fatal(err)
	}
	ask(t, tab, `document.getElementById('f-q').value = 'typed'; document.querySelector('.mails a').focus(); ''`)
	mails.Store(1)
	came <- struct{}{}
	got := ""
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end) && got != "2"; time.Sleep(20 * time.Millisecond) {
		got = ask(t, tab, `String(document.querySelectorAll('.mails li').length)`)
	}
	if got != "2" {
		t.Fatalf("the list has %s mails", got)
	}
	if got := ask(t, tab, `document.activeElement.getAttribute('href') + ' ' + document.getElementById('f-q').value`); got != "/box/0 typed" {
		t.Errorf("after the refresh focus and field are %q", got)
	}
}
