package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/testkit"
)

// tab is a real browser at the pages.
type tab struct {
	*world
	ctx context.Context
}

func (w *world) tab() *tab {
	w.Helper()
	return &tab{w, testkit.Browser(w.TB)}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatalf("drive the browser: %v", err)
	}
}

func (p *tab) open(path string) {
	p.Helper()
	p.do(chromedp.Navigate(p.url + path))
}

func eval[T any](p *tab, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

func (p *tab) until(condition string) {
	p.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		cancel()
		if err == nil && yes { // an error: the page went away while it was asked
			return
		}
	}
	p.Fatalf("never became true: %s\n%s", condition, eval[string](p, "location.href + document.body.innerText"))
}

// signInByKeyboard does what a person without a mouse does.
func (p *tab) signInByKeyboard(path string) {
	p.Helper()
	p.open(path)
	p.until("document.querySelector('#f-email')")
	p.do(chromedp.Focus("#f-email"))
	p.do(chromedp.KeyEvent(email + kb.Tab + password + kb.Enter))
	p.until("!document.querySelector('#f-email') && document.querySelector('main h1')")
}

// full is a world in which there is something to see.
func (w *world) full() {
	w.Helper()
	w.role(w.mina, w.marble, account.Owner)
	w.crowd()
	sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
	w.mail(w.brand, w.topic, sara)
	w.write(func(tx *store.Tx) error {
		for range 3 {
			if err := event.Record(tx, event.Event{BrandID: w.brand.ID, SubscriberID: &sara.ID, Kind: event.MailSent}); err != nil {
				return err
			}
		}
		return event.Record(tx, event.Event{BrandID: w.brand.ID, SubscriberID: &sara.ID, Kind: event.MailClicked,
			Data: map[string]any{"url": "https://baharan.example/books/the-conference-of-the-birds?edition=illustrated"}})
	})
	w.post("ali@example.org", "A long subject that a narrow window has to break over several lines, as mails have them", "text/plain; charset=utf-8", "only text")
	w.post("sara@example.org", "=?utf-8?q?=D8=B3=D9=84=D8=A7=D9=85?=", `multipart/alternative; boundary="x"`, twoParts)
}

// Every page is sound in both languages, on a desk and on a phone: axe-core
// finds nothing, and nothing runs over the edge. With ASSENT_PICTURES set to a
// folder it leaves a picture of each there.
func TestPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.full()
	w.folks()
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.sound("signin", lang, "/admin/sign-in?lang="+lang)
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"dashboard": "/admin/b/baharan?lang=", "empty-dashboard": "/admin/b/marble?lang=", "mailbox": "/mailbox?lang=",
			"topics": "/admin/b/baharan/topics?lang=", "no-topics": "/admin/b/marble/topics?lang=", "topic-new": "/admin/b/baharan/topics/new?lang=",
			"topic": "/admin/b/baharan/topics/" + w.topic.ID.String() + "?lang=", "log": "/admin/b/baharan/log?lang=", "parts": "/admin/b/baharan/parts?lang=",
			"people": "/admin/b/baharan/people?lang=", "no-people": "/admin/b/marble/people?lang=", "people-none": "/admin/b/baharan/people?q=nobody&lang=",
			"person": "/admin/b/baharan/people/" + p.known("sara@example.org").ID.String() + "?lang=", "person-left": "/admin/b/baharan/people/" + p.known("left@example.org").ID.String() + "?lang=",
			"suppressions": "/admin/b/baharan/suppressions?lang=", "no-suppressions": "/admin/b/marble/suppressions?lang=", "suppression-free": "/admin/b/baharan/suppressions?q=free@example.org&lang=",
			"suppression-new": "/admin/b/baharan/suppressions/new?lang=",
			"mail-html":       "/mailbox/2?lang=", "mail-text": "/mailbox/1?lang=", "mail-headers": "/mailbox/2?view=headers&lang=", "mail-source": "/mailbox/2?view=source&lang=",
			"mail-none": "/mailbox?q=nothing&lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}

func (p *tab) sound(name, lang, path string) {
	p.Helper()
	p.open(path)
	p.looks(name, lang, path)
}

// looks is sound for the page that is open: English in light and Persian in dark,
// each at both widths, and each judged by axe at one of them. With
// ASSENT_PICTURES it is all eight looks, each judged.
func (p *tab) looks(name, lang, path string) {
	p.Helper()
	folder := os.Getenv("ASSENT_PICTURES")
	for _, scheme := range []string{"light", "dark"} {
		if folder == "" && (lang == "fa") != (scheme == "dark") {
			continue
		}
		p.media("", scheme)
		for _, width := range []int64{1280, 390} {
			p.do(chromedp.EmulateViewport(width, 900))
			p.until("document.readyState === 'complete' && !document.getAnimations().some((a) => a instanceof CSSTransition)")
			if got := eval[string](p, "document.documentElement.lang"); got != lang {
				p.Errorf("%s speaks %s", path, got)
			}
			if over := eval[int](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
				p.Errorf("%s at %d runs %d pixels over the edge", path, width, over)
			}
			if folder != "" || (lang == "en") == (width == 1280) {
				for _, v := range testkit.Axe(p.TB, p.ctx) {
					p.Errorf("%s at %d in %s: %s", path, width, scheme, v)
				}
			}
			if folder != "" {
				time.Sleep(300 * time.Millisecond) // for the mail in its frame to be drawn
				testkit.Screenshot(p.TB, p.ctx, filepath.Join(folder, fmt.Sprintf("%s-%s-%s-%d.png", name, lang, scheme, width)), width)
			}
		}
	}
}

// Someone signs in by keyboard, watches a sign-up arrive without doing anything,
// and goes on to a mail that comes while they look.
func TestWatchingItLive(t *testing.T) {
	each(t, func(w *world) {
		w.role(w.mina, w.marble, account.Owner)
		p := w.tab()
		p.signInByKeyboard(homePath)
		p.until("document.querySelector('.figure b').textContent === '0'")
		w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		p.until("document.querySelector('.figure b').textContent === '1' && document.body.innerText.includes('sara@example.org')")
		p.do(chromedp.Click(`a[href="/mailbox"]`))
		p.until("location.pathname === '/mailbox'")
		w.post("sara@example.org", "Just now", "text/html", "<p>hello</p>")
		p.until("[...document.querySelectorAll('.mails a')].some(a => a.innerText.includes('Just now'))")
		p.do(chromedp.Click(".mails a"))
		p.until("document.querySelector('iframe.mail-body')")
	})
}

// elsewhere is a server of somebody else, which notes what is asked of it.
type elsewhere struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newElsewhere(t *testing.T) *elsewhere {
	e := &elsewhere{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.asked = append(e.asked, r.URL.Path)
		e.mu.Unlock()
		if r.URL.Path == "/pixel.gif" {
			w.Header().Set("Content-Type", "image/gif")
			w.Write([]byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>elsewhere</title>elsewhere")
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *elsewhere) was(path string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.asked, path)
}

const hostile = `<!doctype html><html><head><base href="EVIL/base/" target="_top">
<meta http-equiv="refresh" content="0; url=EVIL/refresh"><link rel="stylesheet" href="EVIL/style.css"><style>@import url(EVIL/import.css); p { color: red }</style>
<script>document.title='ran'; fetch('EVIL/inline')</script><script src="EVIL/script.js"></script></head>
<body onload="fetch('EVIL/onload')"><p id="p">styled</p><img src="EVIL/pixel.gif" onerror="fetch('EVIL/onerror')"><img src="x" onerror="top.location='EVIL/top'">
<iframe src="EVIL/frame"></iframe><object data="EVIL/object"></object><embed src="EVIL/embed">
<form id="form" action="EVIL/form" method="post"><button id="send" style="position:absolute;left:20px;top:280px;width:200px;height:40px;background:#ddd">send</button></form>
<a id="out" href="EVIL/out" style="position:absolute;left:20px;top:340px;width:200px;height:40px;background:#ddd">out</a>
<a id="top" href="EVIL/by-top" target="_top" style="position:absolute;left:20px;top:160px;width:200px;height:40px;background:#ddd">top</a>
<a id="self" href="EVIL/by-self" target="_self" style="position:absolute;left:20px;top:220px;width:200px;height:40px;background:#ddd">self</a>
<a id="js" href="javascript:top.location='EVIL/js'" style="position:absolute;left:20px;top:100px;width:200px;height:40px;background:#ddd">js</a>
<svg><script>top.location='EVIL/svg'</script></svg></body></html>`

// A hostile mail runs nothing, sends nothing, moves neither our page nor its own
// frame; its pictures load, and a plain link opens a page of its own.
func TestHostileMailStaysInside(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	evil := newElsewhere(t)
	w.post("sara@example.org", "win", "text/html; charset=utf-8", strings.ReplaceAll(hostile, "EVIL", evil.URL))
	p := w.tab()
	p.signInByKeyboard(homePath)
	p.do(chromedp.EmulateViewport(1280, 1400))
	p.open("/mailbox/1")
	for end := time.Now().Add(10 * time.Second); !evil.was("/pixel.gif") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if !evil.was("/pixel.gif") {
		t.Fatal("the mail's picture was not loaded")
	}
	time.Sleep(500 * time.Millisecond) // time for what must not happen
	for at := range 5 {                // js, top, self, send, out; each in a frame that the one before cannot have broken
		p.open("/mailbox/1")
		p.press(100 + 60*at)
	}
	for end := time.Now().Add(10 * time.Second); !evil.was("/out") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	time.Sleep(500 * time.Millisecond)
	evil.mu.Lock()
	defer evil.mu.Unlock()
	for _, path := range evil.asked {
		if path != "/pixel.gif" && path != "/out" && path != "/favicon.ico" {
			t.Errorf("the mail reached %s", path)
		}
	}
	if !slices.Contains(evil.asked, "/out") {
		t.Errorf("the plain link did not open; only %q was asked for", evil.asked)
	}
	if at := eval[string](p, "location.href"); at != w.url+"/mailbox/1" {
		t.Errorf("our page is at %s", at)
	}
}

// press clicks into the frame so many pixels from its top.
func (p *tab) press(top int) {
	p.Helper()
	p.until("document.readyState === 'complete'")
	time.Sleep(200 * time.Millisecond)
	x := eval[float64](p, "document.querySelector('iframe').getBoundingClientRect().left") + 100
	y := eval[float64](p, "document.querySelector('iframe').getBoundingClientRect().top") + float64(top) + 20
	p.do(chromedp.MouseClickXY(x, y))
	time.Sleep(200 * time.Millisecond)
}
