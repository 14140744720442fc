package testkit

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// tabLimit bounds what one test does in its tab.
const tabLimit = 3 * time.Minute

// sharedBrowser is the browser of this process: a headless Chromium with a
// profile of its own, which chromedp lets die with us. The shell is Chromium
// without the window around the page, which nobody sees here and which costs
// as much as the page.
var sharedBrowser = sync.OnceValues(func() (context.Context, error) {
	bin, err := exec.LookPath("chromium")
	if shell, wrong := program("chromium-headless-shell", "chromium-headless-shell"); wrong == nil {
		bin = shell
	} else if err != nil {
		return nil, wrong
	}
	profile, err := ownFolder("chromium")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(profile, 0, 0); err != nil {
			return nil, err
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", "en-US"), chromedp.WSURLReadTimeout(startLimit))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(allocator)
	return browser, chromedp.Do(browser)
})

// Browser gives a tab with cookies and storage of its own, which closes with
// the test and is good for three minutes. The browser is one for all tests of
// the process.
func Browser(tb testing.TB) context.Context {
	tb.Helper()
	browser, err := sharedBrowser()
	if err != nil {
		tb.Fatalf("start the browser: %v", err)
	}
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	tb.Cleanup(closeTab)
	if err := chromedp.Do(tab); err != nil { // without a limit: the first call's is the browser's
		tb.Fatalf("open a tab: %v", err)
	}
	limited, cancel := context.WithTimeout(tab, tabLimit)
	tb.Cleanup(cancel)
	return limited
}

// Screenshot writes the whole page, laid out for a window of the width in CSS
// pixels, as PNG.
func Screenshot(tb testing.TB, ctx context.Context, path string, width int64) {
	tb.Helper()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		tb.Fatalf("make the window %d wide: %v", width, err)
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tb.Fatalf("take a screenshot: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		tb.Fatal(err)
	}
}

//go:embed axe/axe.min.js
var axe string

// Violation is a rule of accessibility that the page breaks.
type Violation struct {
	ID     string          `json:"id"`     // axe's name of the rule
	Impact string          `json:"impact"` // minor, moderate, serious, critical
	Help   string          `json:"help"`
	Nodes  []ViolationNode `json:"nodes"`
}

// ViolationNode is a place where the rule is broken.
type ViolationNode struct {
	Target  string `json:"target"` // selector; " >> " enters a shadow root
	HTML    string `json:"html"`
	Summary string `json:"summary"`
}

// String is one line a place.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s", v.ID, v.Impact, v.Help)
	for _, n := range v.Nodes {
		fmt.Fprintf(&b, "\n  %s: %s: %s", n.Target, n.HTML, strings.Join(strings.Fields(n.Summary), " "))
	}
	return b.String()
}

const runAxe = `axe.run(document, {
	runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice']},
	resultTypes: ['violations'], iframes: false,
}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact || '', help: v.help,
	nodes: v.nodes.map(n => ({target: n.target.map(t => Array.isArray(t) ? t.join(' >> ') : t).join(' | '),
		html: n.html, summary: n.failureSummary || ''}))}))))`

// Axe checks the page as it stands now against WCAG 2.2 A and AA and against
// axe-core's best practices, open shadow roots included, frames not.
func Axe(tb testing.TB, ctx context.Context) []Violation {
	tb.Helper()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](axe+";0")); err != nil {
		tb.Fatalf("bring axe into the page: %v", err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](runAxe, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("run axe: %v", err)
	}
	var found []Violation
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		tb.Fatalf("read axe's answer: %v", err)
	}
	return found
}
