package widget_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestSize(t *testing.T) {
	source, err := os.ReadFile("widget.js")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.DefaultCompression)
	z.Write(source)
	z.Close()
	t.Logf("widget.js: %d bytes, %d gzipped", len(source), packed.Len())
	if packed.Len() > 12<<10 {
		t.Errorf("widget.js is %d bytes gzipped, more than 12 KB", packed.Len())
	}
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "console.", "cookie ="} {
		if bytes.Contains(source, []byte(word)) {
			t.Errorf("widget.js contains %q", word)
		}
	}
}

func TestDrawsUnderAStrictPolicy(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)

	p.equal("[...one('form').querySelectorAll('label')].map(l => l.textContent)", `["E-mail address *","Your name",`+
		`"Send me the readers’ letter","Tell me about offers for customers","You may see that I open the letters","You may see which links I follow"]`)
	p.equal("all('legend').map(l => l.textContent)", `["What may we send you?","Only if you like; the letters come without it too"]`)
	p.equal("all('input[type=checkbox]').map(b => b.checked)", "[false,false,false,false]")
	p.is("all('input, select').every(i => i.labels.length === 1 || i.closest('[aria-hidden=true]'))")
	p.is("shown(one('h2')) && shown(one('button[type=submit]'))")
	p.is("getComputedStyle(one('button[type=submit]')).backgroundColor === 'rgb(14, 122, 95)'") // the sheet is in force
	p.is("hosts()[0].previousElementSibling.localName === 'script'")
	p.is("!shown(document.querySelector('a'))")
	p.is("document.querySelectorAll('style, link').length === 0 && all('style, [style]').length === 0")
	p.quiet()
	if len(s.others) > 0 {
		t.Errorf("asked for more than it needs: %q", s.others)
	}
	if c := s.gets[0].Header.Get("Cookie"); c != "" {
		t.Errorf("sent a cookie: %q", c)
	}
}

func TestLanguage(t *testing.T) {
	for name, c := range map[string]struct{ lang, body, want string }{
		"of the page":                {"fa", snippet(formA), "fa"},
		"of the nearest element":     {"en", `<section lang="fa-IR">` + snippet(formA) + `</section>`, "fa"},
		"of the script before both":  {"fa", `<section lang="fa">` + snippet(formA, `data-lang="en"`) + `</section>`, "en"},
		"none said, the form's own":  {"", snippet(formA), ""},
		"with a region and capitals": {"EN-GB", snippet(formA), "en"},
	} {
		t.Run(name, func(t *testing.T) {
			s, host := start(t, hostPage(c.lang, c.body))
			open(t, host).ready(1)
			if got := s.gets[0].URL.Query().Get("lang"); got != c.want {
				t.Errorf("asked for %q, want %q", got, c.want)
			}
		})
	}
}

func TestSeveralOnOnePage(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)+"<p>between</p>"+snippet(formB, `data-lang="fa"`)+"<p>again</p>"+snippet(formA)))
	p := open(t, host)
	p.ready(3)

	p.equal("hosts().map((h, n) => one('.assent', n).dir)", `["ltr","rtl","ltr"]`)
	p.is("[...document.querySelectorAll('a')].length === 3 && [...document.querySelectorAll('a')].every(a => !shown(a))")
	p.click("one('input[type=email]', 2)")
	p.keys("third@example.org")
	p.click("one('input[name=\"topic:news\"]', 2)")
	p.equal("hosts().map((h, n) => one('input[type=email]', n).value)", `["","","third@example.org"]`)
	p.equal("hosts().map((h, n) => all(':checked', n).length)", "[0,0,1]")
	p.click("one('button[type=submit]', 2)")
	p.until("one('.done', 2)")
	p.is("one('form', 0) && one('form', 1) && !one('form', 2)")
	p.quiet()
	posts, _ := s.sent()
	if len(posts) != 1 || posts[0].Get("email") != "third@example.org" {
		t.Errorf("posts: %v", posts)
	}
	if s.tokens != 3 {
		t.Errorf("%d tokens for 3 widgets: each needs its own", s.tokens)
	}
}

func TestSignUpInPersianSendsExactlyTheTickedBoxes(t *testing.T) {
	s, host := start(t, hostPage("fa", snippet(formA)))
	p := open(t, host)
	p.ready(1)
	p.is("one('.assent').dir === 'rtl' && one('.assent').lang === 'fa'")
	p.is("one('.box input').getBoundingClientRect().x > one('.box label').getBoundingClientRect().x")

	p.click("one('input[type=email]')")
	p.keys("sara@example.org")
	p.click("one('input[name=name]')")
	p.keys("سارا")
	p.click("all('.box .note')[0]") // the whole row is the target, not the words alone
	p.click("all('.box label')[2]")
	p.equal("all(':checked').map(b => b.name)", `["topic:news","topic:opens"]`)
	p.click("one('button[type=submit]')")
	p.until("one('.done')")

	p.is("one('.done').getAttribute('role') === 'status' && root().activeElement === one('.done')")
	p.is("shown(one('.done')) && one('.done').textContent.startsWith('یک قدم')")
	p.quiet()
	posts, heads := s.sent()
	want := url.Values{
		"email": {"sara@example.org"}, "name": {"سارا"}, "topic:news": {"on"}, "topic:opens": {"on"}, "website": {""},
		"token": {"token-1"}, "lang": {"fa"}, "widget": {"1"},
		"page": {strings.SplitN(host, "?", 2)[0]},
	}
	if len(posts) != 1 || !maps.EqualFunc(posts[0], want, slices.Equal) {
		t.Errorf("\n got %v\nwant %v", posts, want)
	}
	h := heads[0]
	if got := h.Get("Content-Type"); !strings.HasPrefix(got, "application/x-www-form-urlencoded") {
		t.Errorf("Content-Type %q", got)
	}
	if h.Get("Accept") != "application/json" || h.Get("Cookie") != "" {
		t.Errorf("Accept %q, Cookie %q", h.Get("Accept"), h.Get("Cookie"))
	}
	if len(s.others) > 0 {
		t.Errorf("not a simple request: %q", s.others)
	}
}

func TestKeyboardOnly(t *testing.T) {
	s, host := start(t, hostPage("en", `<a id="before" href="#top">before</a>`+snippet(formA)+`<a id="after" href="#top">after</a>`))
	p := open(t, host)
	p.ready(1)
	eval[any](p, "document.querySelector('#before').focus()")

	var order []string
	for range 10 {
		p.keys(kb.Tab)
		order = append(order, eval[string](p, "((a = document.activeElement.shadowRoot ? root().activeElement : document.activeElement) => a.name || a.id || a.localName)()"))
		if order[len(order)-1] == "after" {
			break
		}
		p.is("!root().activeElement || getComputedStyle(root().activeElement).outlineStyle === 'solid'") // focus can be seen
	}
	if got := strings.Join(order, " "); got != "email name topic:news topic:offers topic:opens topic:clicks button a after" {
		t.Fatalf("order of focus: %s", got)
	}

	eval[any](p, "document.querySelector('#before').focus()")
	p.keys(kb.Tab + "kim@example.org" + kb.Tab + "Kim" + kb.Tab + kb.Tab + " ")
	p.equal("all(':checked').map(b => b.name)", `["topic:offers"]`)
	p.back()
	p.back()
	p.keys("berly" + kb.Enter)
	p.until("one('.done')")
	p.is("root().activeElement === one('.done') && getComputedStyle(one('.done')).outlineStyle === 'solid'")
	p.quiet()
	posts, _ := s.sent()
	if len(posts) != 1 || posts[0].Get("topic:offers") != "on" || posts[0].Has("topic:news") || posts[0].Get("email") != "kim@example.org" {
		t.Errorf("posts: %v", posts)
	}
}

// wrong says which controls are marked and what their description reads, in order.
const wrong = `all('[aria-invalid=true]').map(c => [c.name,
	c.getAttribute('aria-describedby').split(' ').map(id => root().getElementById(id).textContent).join(' | ')])`

func TestWrongAnswersAreShownWhereTheyAre(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)

	p.click("one('button[type=submit]')")
	p.equal(wrong, `[["email","Please fill this in."],["topic:news","Once a week at most | Please choose at least one."],["topic:offers","Twice a month at most | Please choose at least one."]]`)
	p.is("root().activeElement === one('[name=email]') && shown(root().getElementById('field-0-error'))")
	p.keys("nobody")
	p.is("!one('[name=email]').hasAttribute('aria-invalid')") // typing takes the blame away
	p.click("all('.box')[0]")
	p.is("all('[aria-invalid]').length === 0 && one('[name=\"topic:news\"]').getAttribute('aria-describedby') === 'topics-0-note'")
	p.keys(kb.Tab)
	p.click("one('button[type=submit]')")
	p.equal(wrong, `[["email","This address is not complete."]]`)
	if posts, _ := s.sent(); len(posts) != 0 {
		t.Fatalf("posted what it knew to be wrong: %v", posts)
	}

	s.answers(func(w http.ResponseWriter, r *http.Request) {
		answer(w, 422, object{"title": "Two answers need another look.", "errors": []object{
			{"field": "name", "message": "A name has no line breaks."}, {"field": "email", "message": "This domain takes no mail."},
			{"field": "token", "message": "The form was open too long."},
		}})
	})
	p.click("one('[name=email]')")
	p.keys("@example.invalid")
	p.click("one('button[type=submit]')")
	p.until("all('[aria-invalid=true]').length === 2")
	p.equal(wrong, `[["email","This domain takes no mail."],["name","A name has no line breaks."]]`)
	p.is("root().activeElement === one('[name=email]')")
	p.equal("[one('[role=alert]').textContent, one('[name=email]').value, all(':checked').length]", `["The form was open too long.","nobody@example.invalid",1]`)

	s.answers(func(w http.ResponseWriter, r *http.Request) {
		answer(w, 422, object{"title": "Something is missing.", "token": "renewed", "errors": []object{{"field": "boxes", "message": "Choose a topic."}}})
	})
	p.click("one('button[type=submit]')")
	p.until("one('[name=\"topic:news\"]').getAttribute('aria-invalid') === 'true'")
	p.is("root().activeElement === one('[name=\"topic:news\"]') && one('[role=alert]').textContent === ''")
	s.answers(nil)
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	p.equal("seen.events.map(e => e.name)", `["ready","submit","error","submit","error","submit","success"]`)
	p.quiet()
	if posts, _ := s.sent(); posts[2].Get("token") != "renewed" {
		t.Errorf("the renewed token was not used: %v", posts[2])
	}
}

func TestServerTroubleKeepsWhatWasTyped(t *testing.T) {
	const usual = "That did not go through. Please try again in a moment."
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("all('.box')[1]")

	for _, c := range []struct {
		name, want string
		post       http.HandlerFunc
	}{
		{"too many", "Please wait a minute.", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 429, object{"title": "Please wait a minute."})
		}},
		{"too many, without words", usual, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }},
		{"server error", usual, func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, object{"title": "Internal Server Error"}) }},
		{"not JSON", usual, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>ok</h1>") }},
		{"null", usual, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "null") }},
		{"errors of another shape", usual, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(422)
			fmt.Fprint(w, `{"errors":[null,7,{"field":3}]}`)
		}},
		{"line cut", usual, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.answers(c.post)
			before, _ := s.sent()
			eval[any](p, "one('[role=alert]').textContent = ''")
			p.click("one('button[type=submit]')")
			p.until(fmt.Sprintf("one('[role=alert]').textContent === %q", c.want))
			p.is("shown(one('[role=alert]')) && !one('button[type=submit]').disabled && !one('form').hasAttribute('aria-busy')")
			p.equal("[one('[name=email]').value, all(':checked').map(b => b.name), one('button[type=submit]').textContent]",
				`["ana@example.org",["topic:offers"],"Subscribe"]`)
			p.is("root().activeElement === one('button[type=submit]')")
			// Chromium itself repeats a request when a kept-alive connection dies before an answer.
			if after, _ := s.sent(); len(after) != len(before)+1 && c.name != "line cut" {
				t.Errorf("%d posts, want one", len(after)-len(before))
			}
		})
	}
	s.answers(nil)
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	p.quiet()
}

func TestOneSignUpHoweverOftenItIsPressed(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	release := make(chan struct{})
	s.answers(func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer(w, 200, object{"ok": true, "message": "Thank you."})
	})
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("all('.box')[0]")
	p.click("one('button[type=submit]')")
	p.until("one('form').getAttribute('aria-busy') === 'true'")
	p.is("one('button[type=submit]').disabled && one('button[type=submit]').textContent === 'Sending…'")
	p.is("one('[role=status]').textContent === 'Sending…'")
	p.click("one('button[type=submit]')")
	p.click("one('[name=email]')")
	p.keys(kb.Enter)
	eval[any](p, "one('form').dispatchEvent(new SubmitEvent('submit', {cancelable: true})), 0")
	close(release)
	p.until("one('.done')")
	p.equal("seen.events.map(e => e.name)", `["ready","submit","success"]`)
	if posts, _ := s.sent(); len(posts) != 1 {
		t.Errorf("%d posts, want one", len(posts))
	}
	p.quiet()
}

func TestTheLinkStaysWhenAnythingFails(t *testing.T) {
	text := func(body string) func(http.ResponseWriter, *http.Request, object) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ object) bool { fmt.Fprint(w, body); return true }
	}
	status := func(code int) func(http.ResponseWriter, *http.Request, object) bool {
		return func(w http.ResponseWriter, _ *http.Request, spec object) bool { answer(w, code, spec); return true }
	}
	for name, c := range map[string]struct {
		spec   func(http.ResponseWriter, *http.Request, object) bool
		before string
		body   string
	}{
		"unknown form":      {spec: status(404)},
		"server error":      {spec: status(500)},
		"not JSON":          {spec: text("<h1>hello</h1>")},
		"half a JSON":       {spec: text(`{"form":"`)},
		"null":              {spec: text("null")},
		"another shape":     {spec: text(`{"token":"t","button":"b","fields":"many"}`)},
		"a field is null":   {spec: text(`{"token":"t","button":"b","fields":[null]}`)},
		"boxes of any kind": {spec: text(`{"token":"t","button":"b","fields":[],"boxes":7}`)},
		"line cut":          {spec: func(http.ResponseWriter, *http.Request, object) bool { panic(http.ErrAbortHandler) }},
		"origin not allowed": {spec: func(w http.ResponseWriter, _ *http.Request, _ object) bool {
			w.Header().Del("Access-Control-Allow-Origin")
			return false
		}},
		"no answer": {spec: func(_ http.ResponseWriter, r *http.Request, _ object) bool {
			<-r.Context().Done()
			return true
		}},
		"a browser of yesterday":  {before: "delete Document.prototype.adoptedStyleSheets;"},
		"shadow roots refused":    {before: "Element.prototype.attachShadow = () => { throw new Error('no') };"},
		"fetch replaced by host":  {before: "window.fetch = () => { throw new Error('no') };"},
		"no form named":           {body: `<script src="ASSENT/widget.js" async></script><a href="ASSENT/f/x" data-assent-link>Subscribe by e-mail</a>`},
		"a form nobody could own": {body: snippet("../../x?y#z"), spec: status(404)},
	} {
		t.Run(name, func(t *testing.T) {
			if c.body == "" {
				c.body = snippet(formA)
			}
			s, host := start(t, hostPage("en", c.body))
			s.spec = c.spec
			p := open(t, host, c.before)
			if name == "no answer" {
				p.is("hosts().length === 1 && shown(document.querySelector('a'))") // meanwhile, too
			}
			p.until("performance.getEntriesByType('resource').some(e => e.name.endsWith('/widget.js')) && hosts().length === 0")
			time.Sleep(50 * time.Millisecond)
			p.is("hosts().length === 0 && shown(document.querySelector('a'))")
			p.equal("seen.events", "[]")
			p.quiet()
		})
	}
}

func TestHostileStylesStayOutside(t *testing.T) {
	hostile := `(() => { const s = new CSSStyleSheet();
		s.replaceSync('body * { display: none !important; visibility: hidden !important; color: red !important; opacity: 1; text-transform: uppercase; letter-spacing: 1em; ' +
			'line-height: 0; font-size: 3px; font-style: italic; text-align: end; text-indent: -999px; white-space: nowrap; cursor: none }');
		document.adoptedStyleSheets = [s]; })()`
	s, host := start(t, `<!doctype html><html lang="en"><title>Host</title><body>`+snippet(formA)+`</body></html>`)
	p := open(t, host)
	p.ready(1)
	look := `JSON.stringify([...root().querySelectorAll('*')].map(n => { const c = getComputedStyle(n), b = n.getBoundingClientRect();
		return [n.localName, c.color, c.fontSize, c.textTransform, c.letterSpacing, c.lineHeight, c.textAlign, c.whiteSpace, c.fontStyle, c.cursor, c.visibility, b.width, b.height] }))`
	calm := eval[string](p, look)
	eval[any](p, hostile)
	p.is("getComputedStyle(hosts()[0]).color === 'rgb(255, 0, 0)'") // it does reach the host element
	p.is("shown(one('h2')) && shown(one('[name=email]')) && shown(one('button[type=submit]'))")
	if got := eval[string](p, look); got != calm {
		t.Errorf("the page's styles reached inside:\n got %s\nwant %s", got, calm)
	}
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("all('.box')[0]")
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	p.quiet()
	if posts, _ := s.sent(); len(posts) != 1 {
		t.Errorf("%d posts, want one", len(posts))
	}
}

func TestMarkupIsText(t *testing.T) {
	const evil = `<img src=x onerror="seen.errors.push('ran')"><b>bold</b>`
	s, host := start(t, hostPage("en", snippet(formA)))
	s.spec = func(_ http.ResponseWriter, _ *http.Request, spec object) bool {
		for _, key := range []string{"title", "intro", "brand", "button", "boxes_legend", "tracking_legend"} {
			spec[key] = evil
		}
		spec["fields"] = append(spec["fields"].([]object), object{"name": "city", "type": "select", "label": evil,
			"options": []object{{"value": evil, "label": evil}}})
		spec["fields"].([]object)[1]["type"] = "file" // not a kind of field a form can have
		spec["boxes"].([]object)[0]["label"], spec["boxes"].([]object)[0]["note"] = evil, evil
		spec["privacy"] = object{"label": evil, "url": "javascript:seen.errors.push('ran')"}
		spec["texts"].(object)["choose_one"] = evil
		return false
	}
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"ok": true, "message": evil, "redirect": "javascript:seen.errors.push('ran')"})
	})
	p := open(t, host)
	p.ready(1)
	p.is("all('img, b, script').length === 0 && one('h2').textContent.startsWith('<img') && one('option[value^=\"<img\"]').textContent.startsWith('<img')")
	p.is("one('[name=name]').type === 'text'")
	p.is("all('a').length === 0") // an address that is not http(s) is no link
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("one('button[type=submit]')")
	p.is("root().getElementById('topics-error').textContent.startsWith('<img')")
	p.click("all('.box')[0]")
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	p.is("all('img, b').length === 0 && one('.done').textContent.startsWith('<img')")
	time.Sleep(50 * time.Millisecond)
	p.quiet()
}

func TestEvents(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("all('.box')[0]")
	eval[any](p, "window.stopSubmit = true")
	p.click("one('button[type=submit]')")
	time.Sleep(100 * time.Millisecond)
	if posts, _ := s.sent(); len(posts) != 0 {
		t.Fatalf("the page said no and it was posted: %v", posts)
	}
	p.is("!one('button[type=submit]').disabled && one('[name=email]').value === 'ana@example.org'")

	eval[any](p, "window.stopSubmit = false")
	p.click("one('button[type=submit]')")
	p.until("seen.events.length === 4")
	detail := fmt.Sprintf(`{"form":"%s","version":3}`, formA)
	var want []string
	for _, name := range []string{"ready", "submit", "submit", "success"} {
		want = append(want, fmt.Sprintf(`{"name":%q,"detail":%s,"on":"assent-form","cancelable":%v}`, name, detail, name == "submit"))
	}
	p.equal("seen.events", "["+strings.Join(want, ",")+"]")
	p.quiet()
}

func TestAListenerThatThrowsHarmsOnlyItself(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host, "addEventListener('assent:ready', () => { throw new Error('mine') })", "addEventListener('assent:submit', () => { throw new Error('mine') })")
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org" + kb.Tab + kb.Tab + " " + kb.Enter)
	p.until("one('.done')")
	p.equal("seen.errors", `["error: Uncaught Error: mine","error: Uncaught Error: mine"]`)
	if posts, _ := s.sent(); len(posts) != 1 {
		t.Errorf("%d posts, want one", len(posts))
	}
}

func TestRedirectAfterSuccess(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"ok": true, "message": "Thank you.", "redirect": strings.SplitN(host, "/readers", 2)[0] + "/thanks"})
	})
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org" + kb.Tab + kb.Tab + " " + kb.Enter)
	p.until("location.pathname === '/thanks'")
}

func TestDialogIsRememberedAndDoesNotNag(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA, `data-mode="button"`, `data-open-after="0.05"`)))
	p := open(t, host)
	p.ready(1)
	p.is("!shown(document.querySelector('a')) && one('.act').textContent === 'Get our letters'")
	p.until("one('dialog').open")
	p.keys(kb.Escape)
	p.until("!one('dialog').open && seen.events.length > 1")
	p.equal("seen.events.map(e => e.name)", `["ready","dismiss"]`)
	p.equal("Object.keys(localStorage)", fmt.Sprintf(`["assent:%s:closed"]`, formA))

	p.do(chromedp.Reload())
	p.ready(1)
	time.Sleep(200 * time.Millisecond)
	p.is("!one('dialog').open && one('.act').classList.contains('quiet')") // it stays, and keeps quiet
	p.click("one('.act')")
	p.until("one('dialog').open")
	p.is("root().activeElement && one('dialog').contains(root().activeElement)")
	p.click("one('.close')")
	p.until("!one('dialog').open && seen.events.length > 1")
	p.is("root().activeElement === one('.act')") // focus goes back where it came from

	eval[any](p, fmt.Sprintf("localStorage.setItem('assent:%s:closed', Date.now() - 31 * 24 * 3600e3)", formA))
	p.do(chromedp.Reload())
	p.ready(1)
	p.until("one('dialog').open") // a month later it may ask again
	p.click("one('[name=email]')")
	p.keys("ana@example.org" + kb.Tab + kb.Tab + " " + kb.Enter)
	p.until("one('.done') && one('dialog').open && root().activeElement === one('.done')")
	p.is("Date.now() - localStorage.getItem(localStorage.key(0)) < 60e3") // remembered before it is closed
	p.keys(kb.Escape)
	p.until("!one('dialog').open")
	p.equal("seen.events.map(e => e.name)", `["ready","submit","success"]`) // closing after the thanks is no refusal
	p.do(chromedp.Reload())
	p.ready(1)
	time.Sleep(200 * time.Millisecond)
	p.is("!one('dialog').open") // who signed up is not asked again
	p.quiet()
	if posts, _ := s.sent(); len(posts) != 1 {
		t.Errorf("%d posts, want one", len(posts))
	}
}

func TestDialogWithoutAStore(t *testing.T) {
	_, host := start(t, hostPage("en", snippet(formA, `data-mode="button"`)))
	p := open(t, host, "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError') }});")
	p.ready(1)
	p.is("!one('dialog').open && !one('.act').classList.contains('quiet')")
	p.click("one('.act')")
	p.until("one('dialog').open")
	p.do(chromedp.MouseClickXY(5, 5)) // beside the dialog
	p.until("!one('dialog').open && seen.events.length > 1")
	p.equal("seen.events.map(e => e.name)", `["ready","dismiss"]`)
	p.quiet()
}

func TestScriptsThatComeLaterAndMount(t *testing.T) {
	s, host := start(t, hostPage("en", `<div id="later"></div><div id="mounted" lang="fa"></div>`))
	p := open(t, host)
	inject := fmt.Sprintf(`(() => { const s = document.createElement('script');
		s.src = %q; s.dataset.form = %q; document.querySelector('#later').append(s); return new Promise(r => s.onload = () => { s.remove(); r(1) }) })()`,
		s.origin+"/widget.js", formA)
	eval[int](p, inject)
	p.ready(1)
	p.is("hosts()[0].parentElement.id === 'later'") // although its script has gone

	before := eval[string](p, "Object.keys(window).filter(k => /assent/i.test(k)).join()")
	if before != "Assent" || eval[string](p, "Object.keys(Assent).join()") != "mount" {
		t.Errorf("global names: %s", before)
	}
	eval[any](p, "window.first = Assent, 0")
	eval[int](p, inject)
	p.ready(2)
	p.is("Assent === first")

	p.is(fmt.Sprintf("(await Assent.mount(document.querySelector('#mounted'), {form: %q})) === hosts()[2]", formB))
	p.ready(3)
	p.is("hosts()[2].parentElement.id === 'mounted' && one('.assent', 2).dir === 'rtl'")
	for _, call := range []string{"Assent.mount()", "Assent.mount(null, {form: 'x'})", "Assent.mount(document.body)", "Assent.mount('#mounted', {form: 'x'})",
		"Assent.mount(document.body, null)"} {
		p.equal("(await "+call+")", "null")
	}
	p.quiet()
}

func TestAnotherScriptOwnsTheName(t *testing.T) {
	_, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host, "Object.defineProperty(window, 'Assent', {value: 'mine', writable: false});")
	p.ready(1)
	p.is("window.Assent === 'mine'")
	p.quiet()
}

func TestWhichLinkIsHidden(t *testing.T) {
	script := `<script src="ASSENT/widget.js" data-form="` + formA + `" async></script>`
	stubborn := `addEventListener('DOMContentLoaded', () => { const s = new CSSStyleSheet();
		s.replaceSync('a { display: inline-block !important }'); document.adoptedStyleSheets = [s]; });`
	other := `<a id="other" href="ASSENT/f/` + formB + `" data-assent-link>other form</a> <a id="home" href="/">home</a>`
	for name, c := range map[string]struct{ body, hidden string }{
		"directly after":             {snippet(formA), "0"},
		"unmarked, directly after":   {script + ` <a href="ASSENT/f/` + formA + `">x</a>`, "0"},
		"in a paragraph":             {script + `<p><a href="ASSENT/f/` + formA + `">x</a></p>`, "0"},
		"marked whole":               {script + `<p data-assent-link>or <a href="ASSENT/f/` + formA + `">x</a></p>`, "0"},
		"before the script":          {`<a href="ASSENT/f/` + formA + `" data-assent-link>x</a>` + script, "0"},
		"after a noscript":           {script + `<noscript>no</noscript><a href="/x" data-assent-link>x</a>`, "0"},
		"two widgets, two links":     {strings.Repeat(script, 2) + strings.Repeat(`<a href="ASSENT/f/`+formA+`" data-assent-link>x</a>`, 2), "0,1"},
		"none, the next is not ours": {`<a href="/">x</a>` + script + `<p><a href="/y">y</a></p>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, host := start(t, hostPage("en", "<div>"+c.body+"</div>"+other))
			p := open(t, host, stubborn)
			p.ready(strings.Count(c.body, "<script"))
			p.is("shown(document.querySelector('#other')) && shown(document.querySelector('#home'))")
			p.equal("[...document.querySelectorAll('div a')].map((a, i) => shown(a) ? null : i).filter(i => i !== null).join()", `"`+c.hidden+`"`)
			p.quiet()
		})
	}
}

func TestAPageLeftOpenGetsAFreshToken(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	if s.tokens != 1 {
		t.Fatalf("%d tokens for a young page", s.tokens)
	}
	eval[any](p, "(now => { Date.now = () => now() + 31 * 60e3 })(Date.now), 0")
	p.click("one('[name=name]')")
	p.until("performance.getEntriesByType('resource').filter(e => e.name.includes('.json')).length === 2")
	p.click("one('[name=email]')")
	p.keys("ana@example.org" + kb.Tab + kb.Tab + " " + kb.Enter)
	p.until("one('.done')")
	if posts, _ := s.sent(); posts[0].Get("token") != "token-2" {
		t.Errorf("sent %q", posts[0].Get("token"))
	}
	p.quiet()
}

// TestChangedWordsAreShownBeforeTheyAreSent: neither coming back nor sending
// again puts a tick beside words that were not on the screen.
func TestChangedWordsAreShownBeforeTheyAreSent(t *testing.T) {
	s, host := start(t, hostPage("en", snippet(formA)))
	p := open(t, host)
	p.ready(1)
	p.click("one('[name=email]')")
	p.keys("ana@example.org")
	p.click("all('.box')[1]")
	s.mu.Lock()
	s.spec = func(_ http.ResponseWriter, _ *http.Request, spec object) bool {
		spec["boxes"].([]object)[1]["label"] = "Send me everything"
		return false
	}
	s.mu.Unlock()
	eval[any](p, "(now => { Date.now = () => now() + 31 * 60e3 })(Date.now), 0")
	p.click("one('[name=name]')")
	p.until("performance.getEntriesByType('resource').filter(e => e.name.includes('.json')).length === 2")
	s.answers(func(w http.ResponseWriter, r *http.Request) {
		answer(w, 409, object{"title": "The words have changed.", "stale": true})
	})
	p.click("one('button[type=submit]')")
	p.until("one('[role=alert]').textContent === 'The words have changed.'")
	if posts, _ := s.sent(); posts[0].Get("token") != "token-1" {
		t.Errorf("sent %q for the words of token-1", posts[0].Get("token"))
	}
	p.is("all('.box')[1].textContent.includes('Send me everything') && !one('button[type=submit]').disabled")
	p.equal("[one('[name=email]').value, all(':checked').length]", `["ana@example.org",0]`)
	s.answers(nil)
	p.click("all('.box')[1]")
	p.click("one('button[type=submit]')")
	p.until("one('.done')")
	if posts, _ := s.sent(); len(posts) != 2 || posts[1].Get("token") != "token-3" || posts[1].Get("topic:offers") != "on" {
		t.Errorf("sent %v", posts)
	}
	p.quiet()
}
