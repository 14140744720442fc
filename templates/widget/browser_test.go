package widget_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"assent/internal/testkit"
)

// page is a tab. What goes wrong in it is kept: console output, errors that
// reach window, refusals by the Content-Security-Policy, and the widget's events.
type page struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	console []string
}

// recorder runs before any script of the page and is not subject to its policy.
const recorder = `
window.seen = {errors: [], csp: [], events: []};
window.stopSubmit = false;
addEventListener('error', e => seen.errors.push('error: ' + e.message));
addEventListener('unhandledrejection', e => seen.errors.push('rejection: ' + e.reason));
addEventListener('securitypolicyviolation', e => seen.csp.push(e.effectiveDirective + ' ' + e.blockedURI));
for (const name of ['ready', 'submit', 'success', 'error', 'dismiss'])
  addEventListener('assent:' + name, e => {
    seen.events.push({name, detail: e.detail, on: e.target.localName, cancelable: e.cancelable});
    if (name === 'submit' && window.stopSubmit) e.preventDefault();
  });
window.hosts = () => [...document.querySelectorAll('assent-form')];
window.root = (n = 0) => hosts()[n] && hosts()[n].shadowRoot;
window.all = (selector, n = 0) => root(n) ? [...root(n).querySelectorAll(selector)] : [];
window.one = (selector, n = 0) => all(selector, n)[0];
window.shown = node => !!node && node.checkVisibility({visibilityProperty: true, opacityProperty: true});
`

// open loads url in a new tab with a fresh profile. Scripts in before run ahead of the page's own.
func open(t *testing.T, url string, before ...string) *page {
	t.Helper()
	p := &page{t: t, ctx: testkit.Browser(t)}
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		source := recorder + strings.Join(before, "\n")
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument,
			cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		return err
	}))
	err := chromedp.Listen(p.ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			p.console = append(p.console, "console."+string(e.Type))
		case *runtime.EventExceptionThrown:
			p.console = append(p.console, "exception: "+e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			// The browser itself notes every request that fails or is refused; no page can prevent that.
			if e.Entry.Source != cdplog.EntrySourceNetwork && !strings.HasPrefix(e.Entry.Text, "Access to fetch at") {
				p.console = append(p.console, string(e.Entry.Source)+": "+e.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.navigate(url)
	return p
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("drive the browser: %v", err)
	}
}

func (p *page) navigate(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// eval returns the value of a JavaScript expression, awaited if it is a promise.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T]("(async () => ("+expression+"))()", chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// until waits for a JavaScript condition, at most 15 seconds.
func (p *page) until(condition string) {
	p.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		cancel()
		if err == nil && yes { // an error: the page went away while it was asked
			return
		}
	}
	p.t.Fatalf("never became true: %s\n%s", condition, eval[string](p,
		"(root() || document.body).innerHTML + JSON.stringify(seen)"))
}

// is checks a JavaScript condition that must hold now.
func (p *page) is(condition string) {
	p.t.Helper()
	if !eval[bool](p, "!!("+condition+")") {
		p.t.Errorf("does not hold: %s", condition)
	}
}

// equal compares the JSON of a JavaScript expression.
func (p *page) equal(expression, want string) {
	p.t.Helper()
	if got := eval[string](p, "JSON.stringify("+expression+")"); got != want {
		p.t.Errorf("%s\n got %s\nwant %s", expression, got, want)
	}
}

// ready waits until n widgets can be used.
func (p *page) ready(n int) {
	p.t.Helper()
	p.until(fmt.Sprintf("seen.events.filter(e => e.name === 'ready').length === %d", n))
}

// click presses the left button in the middle of what the expression names, as a person would.
func (p *page) click(node string) {
	p.t.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(() => {
		const node = %s; node.scrollIntoView({block: 'center', behavior: 'instant'});
		const box = node.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, node))
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// keys types, with the Tab, Space and Enter of kb among the letters.
func (p *page) keys(text string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(text))
}

func (p *page) back() {
	p.t.Helper()
	p.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
}

// view sets the window and the colour scheme the visitor prefers.
func (p *page) view(width, height int64, scheme string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return err
	}))
}

// quiet checks that the page never noticed the widget: no error, no refusal, nothing on the console.
func (p *page) quiet() {
	p.t.Helper()
	p.equal("[seen.errors, seen.csp]", "[[],[]]")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.console) > 0 {
		p.t.Errorf("on the console: %q", p.console)
	}
}

// axe checks the page and its shadow roots for what keeps people out. That it
// could judge the contrast of every text shows that it saw the widget at all.
func (p *page) axe() {
	p.t.Helper()
	for _, violation := range testkit.Axe(p.t, p.ctx) {
		p.t.Errorf("axe: %s", violation)
	}
	p.equal("(await axe.run({runOnly: 'color-contrast'}).then(r => [r.incomplete, r.violations.length, r.passes.length]))", "[[],0,1]")
}
