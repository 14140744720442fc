package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"assent/internal/delivery/catcher"
	"assent/internal/testkit"
)

// newcomer does with the demo what README.md tells.
type newcomer struct {
	*testing.T
	app  *App
	demo Demo
	tab  context.Context
	base string
}

const ana = "ana@example.org"

// TestTenMinutesWithTheDemo is the README's walk. With ASSENT_PICTURES=FOLDER
// it leaves a picture of each page there.
func TestTenMinutesWithTheDemo(t *testing.T) {
	a := startApp(t)
	defer a.Close()
	d, err := a.Demo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := &newcomer{T: t, app: a, demo: d, tab: testkit.Browser(t), base: "http://" + a.Addr()}
	n.lookAround()
	n.signUp()
	n.confirm()
	n.choose()
	n.earn()
	n.leave()
}

// lookAround opens what the demo prints, in both languages.
func (n *newcomer) lookAround() {
	for _, lang := range []string{"en", "fa"} {
		n.visit("/demo?lang=" + lang)
		n.until(`document.querySelectorAll('assent-form').length === 2`)
		n.until(`document.querySelector('assent-form').shadowRoot.querySelector('input[name=email]')`)
		n.look("shop." + lang)
		n.visit("/f/" + n.demo.Letters.String() + "?lang=" + lang)
		n.look("form." + lang)
	}
}

func (n *newcomer) signUp() {
	n.visit("/demo?lang=en")
	const root = `document.querySelector('assent-form').shadowRoot`
	n.until(root + `.querySelector('input[name=email]')`)
	time.Sleep(2500 * time.Millisecond) // what is sent sooner was typed by no person
	n.js(`(() => { const r = ` + root + `;
		r.querySelector('input[name=email]').value = '` + ana + `';
		r.querySelector('input[name=name]').value = 'Ana';
		for (const x of ['topic:letters', 'topic:offers', 'topic:clicks']) r.querySelector('input[name="' + x + '"]').click();
		r.querySelector('button[type=submit]').click(); })()`)
	n.until(root + `.querySelector('[role=status]')?.textContent.includes('Almost there')`)
}

func (n *newcomer) confirm() {
	asked := n.mail(1)
	n.visit(fmt.Sprintf("/mailbox/%d", asked.ID))
	n.look("mailbox.question")
	n.visit(n.link(asked, "/c/"))
	n.look("confirm.en")
	n.js(`document.querySelector('button[value=yes]').click()`)
	n.until(`document.readyState === 'complete' && !document.querySelector('button[value=yes]')`)
	welcome := n.mail(2)
	if welcome.Subject != "Welcome to Baharan Books, Ana" {
		n.Errorf("the welcome is %q", welcome.Subject)
	}
	n.visit(fmt.Sprintf("/mailbox/%d", welcome.ID))
	n.look("mailbox.welcome")
	n.visit(n.link(welcome, "/l/"))
	n.until(`location.pathname === '/demo'`)
}

func (n *newcomer) choose() {
	n.visit(n.link(n.mail(2), "/p/"))
	n.look("preferences.en")
	n.visit(n.link(n.mail(2), "/p/") + "?lang=fa")
	n.look("preferences.fa")
	n.visit(n.link(n.mail(2), "/w/"))
	n.look("why.en")
}

// earn records three orders and has the offer look at once instead of within the hour.
func (n *newcomer) earn() {
	for i := range 3 {
		n.api("POST", "/orders", http.StatusCreated, map[string]any{"number": fmt.Sprintf("demo-%d", i+1), "email": ana, "items": 1,
			"placed_at": n.app.DB.Now(), "total": map[string]any{"amount": 2900000, "currency": "IRR"}})
	}
	offer := "/offers/" + n.demo.Offer.String()
	n.api("POST", offer+"/pause", http.StatusOK, nil)
	n.api("POST", offer+"/resume", http.StatusOK, nil)
	thanks := n.mail(3)
	code := regexp.MustCompile(`BAH-[A-Z0-9-]+`).FindString(thanks.Read().Text)
	if code == "" || !strings.Contains(thanks.Subject, "15%") {
		n.Fatalf("no code in %q: %s", thanks.Subject, thanks.Read().Text)
	}
	n.visit(fmt.Sprintf("/mailbox/%d", thanks.ID))
	n.look("mailbox.offer")
	n.api("POST", offer+"/redemptions", http.StatusOK, map[string]any{"code": code, "order": "demo-4"})
	n.api("POST", offer+"/redemptions", http.StatusConflict, map[string]any{"code": code, "order": "demo-5"})
}

func (n *newcomer) leave() {
	n.visit(n.link(n.mail(2), "/u/"))
	n.look("leave.en")
	n.js(`document.querySelector('button[value=topic]').click()`)
	n.until(`document.readyState === 'complete' && !document.querySelector('button[value=topic]')`)
	n.look("leave-done.en")
	if mails := n.app.mailbox.List(ana); len(mails) != 3 {
		n.Errorf("%d mails, want 3", len(mails))
	}
}

// mail waits for the i-th mail to Ana, counted from 1.
func (n *newcomer) mail(i int) catcher.Mail {
	n.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if mails := n.app.mailbox.List(ana); len(mails) >= i {
			m, err := n.app.mailbox.Find(mails[len(mails)-i].ID)
			if err != nil {
				n.Fatal(err)
			}
			return m
		}
	}
	n.Fatalf("mail %d never came", i)
	return catcher.Mail{}
}

// link is the path of the first address in the mail that begins with prefix.
func (n *newcomer) link(m catcher.Mail, prefix string) string {
	n.Helper()
	found := regexp.MustCompile(regexp.QuoteMeta(n.base) + `(` + regexp.QuoteMeta(prefix) + `[\w-]+)`).FindStringSubmatch(m.Read().HTML)
	if found == nil {
		n.Fatalf("%q has no %s: %s", m.Subject, prefix, m.Read().HTML)
	}
	return found[1]
}

func (n *newcomer) api(method, path string, want int, body any) {
	n.Helper()
	var sent io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			n.Fatal(err)
		}
		sent = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(n.Context(), method, n.base+"/api/v1"+path, sent)
	if err != nil {
		n.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.demo.Key)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		n.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != want {
		n.Fatalf("%s %s: %s, want %d: %s", method, path, answer.Status, want, text)
	}
}

// look judges the page, and takes pictures of it where they are asked for.
func (n *newcomer) look(name string) {
	n.Helper()
	for _, v := range testkit.Axe(n, n.tab) {
		n.Errorf("%s: %s", name, v)
	}
	wide, err := chromedp.Run(n.tab, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
	if err != nil || wide {
		n.Errorf("%s is wider than the window, %v", name, err)
	}
	folder := os.Getenv("ASSENT_PICTURES")
	if folder == "" {
		return
	}
	for _, width := range []int64{390, 1280} {
		testkit.Screenshot(n, n.tab, filepath.Join(folder, fmt.Sprintf("%s.%d.png", name, width)), width)
	}
}

func (n *newcomer) visit(path string) {
	n.Helper()
	n.do(chromedp.Navigate(n.base + path))
}

func (n *newcomer) js(expression string) {
	n.Helper()
	n.do(chromedp.Evaluate[chromedp.Void](expression + ";0"))
}

func (n *newcomer) do(step chromedp.Action[chromedp.Void]) {
	n.Helper()
	if err := chromedp.Do(n.tab, step); err != nil {
		n.Fatalf("drive the browser: %v", err)
	}
}

func (n *newcomer) until(condition string) {
	n.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if yes, err := chromedp.Run(n.tab, chromedp.Evaluate[bool]("!!("+condition+")")); err == nil && yes {
			return
		}
	}
	n.Fatalf("never became true: %s", condition)
}
