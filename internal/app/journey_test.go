package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"assent/internal/testkit"
)

// journey is one person's way through the running service: everything is made
// through pages and API, nothing by writing to the database.
type journey struct {
	*testing.T
	service *testkit.Service
	smtp    *testkit.SMTPServer
	api     testkit.API
	tab     context.Context

	form, sequence, offer, person string
}

const sara = "sara@example.org"

// pairs runs the test on SQLite with everything in one process, and on
// PostgreSQL with Redis.
func pairs(t *testing.T, test func(t *testing.T, o testkit.ServiceOptions)) {
	t.Run("sqlite", func(t *testing.T) { test(t, testkit.ServiceOptions{}) })
	t.Run("postgres", func(t *testing.T) {
		test(t, testkit.ServiceOptions{Database: testkit.Postgres(t), Redis: testkit.Redis(t)})
	})
}

// From the widget on somebody's page to goodbye, and six weeks of silence.
func TestTheWholeWay(t *testing.T) {
	pairs(t, func(t *testing.T, o testkit.ServiceOptions) {
		j := &journey{T: t, smtp: testkit.SMTP(t)}
		o.SMTP, o.TestClock = j.smtp.URL, true
		j.service = testkit.NewService(t, o)
		j.api = testkit.API{Base: j.service.Base, Key: j.service.Key(t)}
		j.tab = testkit.Browser(t)
		j.setUp()
		j.signUpInPersian()
		j.confirm()
		j.readTheSecondMail()
		j.earnAndRedeem()
		j.leaveOneTopic()
		j.leaveEverything()
		j.hearNothingMore()
	})
}

func texts(subject, html string) []map[string]any {
	return []map[string]any{
		{"language": "en", "subject": subject, "html": html},
		{"language": "fa", "subject": subject + " فارسی", "html": html},
	}
}

func (j *journey) setUp() {
	j.api.Must(j, "POST", "/brands", map[string]any{"slug": "baharan", "name": "Baharan Books", "postal_address": "12 Enghelab Street, Tehran",
		"sender_email": "post@baharan.example", "language": "en", "languages": []string{"en", "fa"}, "time_zone": "Asia/Tehran",
		"texts": map[string]any{"fa": map[string]any{"name": "کتاب بهاران"}}}, nil)
	j.api.Brand = "baharan"
	for slug, name := range map[string]string{"letter": "Readers’ letter", "offers": "Offers"} {
		j.api.Must(j, "POST", "/topics", map[string]any{"slug": slug, "promise_max": 3, "promise_days": 7, "texts": map[string]any{
			"en": map[string]any{"name": name, "wording": "Yes, send me " + name + "."},
			"fa": map[string]any{"name": name + " فارسی", "wording": "بله، " + name + " را برایم بفرستید."}}}, nil)
	}
	var made struct{ ID string }
	j.api.Must(j, "POST", "/forms", map[string]any{"name": "Footer", "topics": []string{"letter", "offers"}, "tracking": []string{"opens", "clicks"},
		"fields": []map[string]any{{"name": "name", "type": "text"}}}, &made)
	j.form = made.ID
	j.api.Must(j, "POST", "/sequences", map[string]any{"name": "Welcome", "topic": "letter", "steps": []map[string]any{
		{"send": map[string]any{"texts": texts("Welcome", "<p>Hello {{ subscriber.name }}</p>")}},
		{"wait": map[string]any{"days": 3}},
		{"send": map[string]any{"texts": texts("Three books", `<p>Begin <a href="`+j.service.Base+`/healthz">here</a>.</p>`)}},
	}}, &made)
	j.sequence = made.ID
	j.api.Must(j, "POST", "/sequences/"+made.ID+"/start", nil, nil)
	j.api.Must(j, "POST", "/offers", map[string]any{"name": "Thanks", "topic": "offers", "valid_days": 30, "budget": 10,
		"texts": map[string]any{"en": map[string]any{"title": "A gift", "terms": "Once."}, "fa": map[string]any{"title": "هدیه", "terms": "یک بار."}},
		"value": map[string]any{"kind": "percent", "percent": 15}, "for": map[string]any{"orders": 3},
		"mail": texts("Your gift", "<p>Your code: <b>{{ offer.code }}</b></p>")}, &made)
	j.offer = made.ID
	j.api.Must(j, "POST", "/offers/"+made.ID+"/start", nil, nil)
}

// hostPage is somebody's web site, on another origin, with a strict policy.
func (j *journey) hostPage() string {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src "+j.service.Base+"; connect-src "+j.service.Base)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="fa" dir="rtl"><title>میزبان</title><h1>میزبان</h1>
			<script src="%s/widget.js" data-form="%s" async></script><a href="%s/f/%s" data-assent-link>عضویت</a></html>`,
			j.service.Base, j.form, j.service.Base, j.form)
	}))
	j.Cleanup(host.Close)
	return strings.Replace(host.URL, "127.0.0.1", "localhost", 1)
}

func (j *journey) signUpInPersian() {
	j.do(chromedp.Navigate(j.hostPage()))
	const root = `document.querySelector('assent-form').shadowRoot`
	j.until(`document.querySelector('assent-form')?.shadowRoot?.querySelector('input[name=email]')`)
	time.Sleep(2500 * time.Millisecond) // a person takes longer than this, too
	j.js(`(() => { const r = ` + root + `;
		if ([...r.querySelectorAll('input[type=checkbox]')].some(b => b.checked)) throw 'a box is ticked';
		r.querySelector('input[name=email]').value = '` + sara + `';
		r.querySelector('input[name=name]').value = 'سارا';
		for (const n of ['topic:letter', 'topic:offers', 'topic:opens', 'topic:clicks']) r.querySelector('input[name="' + n + '"]').click();
		r.querySelector('button[type=submit]').click(); })()`)
	j.until(root + `.querySelector('[role=status]')?.textContent.trim()`)

	mail := j.smtp.WaitTo(j, sara, 1, 20*time.Second)[0]
	if !strings.Contains(mail.HTML, `dir="rtl"`) || strings.Contains(mail.HTML, "/o/") {
		j.Error("the confirmation is not Persian, or is tracked")
	}
	for range 3 { // a scanner opens the link
		j.get(mail.Link(j, "/c/"))
	}
	j.person = j.find().ID
	j.mustBe(map[string]string{"letter": "requested", "offers": "requested", "opens": "requested", "clicks": "requested"})
}

func (j *journey) confirm() {
	mail := j.smtp.To(sara)[0]
	j.do(chromedp.Navigate(mail.Link(j, "/c/")))
	j.mustBe(map[string]string{"letter": "requested"})
	j.do(chromedp.Click(`button[value=yes]`))
	j.until(`document.readyState === 'complete' && !document.querySelector('button[value=yes]')`)
	j.mustBe(map[string]string{"letter": "given", "offers": "given", "opens": "given", "clicks": "given"})
	welcome := j.smtp.WaitTo(j, sara, 2, 20*time.Second)[1]
	if welcome.Subject != "Welcome فارسی" || !strings.Contains(welcome.HTML, "سارا") {
		j.Errorf("the welcome is %q: %s", welcome.Subject, welcome.HTML)
	}
}

func (j *journey) readTheSecondMail() {
	j.smtp.StaysAt(j, 2, 2*time.Second)
	j.service.Pass(j, 3*24*time.Hour)
	second := j.smtp.WaitTo(j, sara, 3, 30*time.Second)[2]
	if second.Subject != "Three books فارسی" {
		j.Errorf("after three days came %q", second.Subject)
	}
	at := strings.Index(second.HTML, j.service.Base+"/o/")
	if at < 0 {
		j.Fatal("no pixel, though it was allowed")
	}
	pixel, _, _ := strings.Cut(second.HTML[at:], `"`)
	j.get(pixel)
	j.do(chromedp.Navigate(second.Link(j, "/l/")))
	j.until(`location.pathname === '/healthz'`)
	j.happened("mail.opened", "mail.clicked", "mail.sent", "consent.given", "sequence.enrolled")
}

func (j *journey) earnAndRedeem() {
	before := len(j.smtp.To(sara))
	for i := range 3 {
		j.api.Must(j, "POST", "/orders", map[string]any{"number": fmt.Sprint(1000 + i), "email": sara, "placed_at": j.service.Now().UTC().Format(time.RFC3339),
			"total": map[string]any{"amount": 2300, "currency": "EUR"}, "items": 1}, nil)
	}
	j.service.Pass(j, 61*time.Minute)
	mail := j.smtp.WaitTo(j, sara, before+1, 30*time.Second)[before]
	_, rest, _ := strings.Cut(mail.HTML, "Your code: <b>")
	code, _, ok := strings.Cut(rest, "</b>")
	if !ok || mail.Subject != "Your gift فارسی" {
		j.Fatalf("no code in %q: %s", mail.Subject, mail.HTML)
	}
	for i, want := range []int{http.StatusOK, http.StatusConflict, http.StatusConflict} {
		got, err := j.api.Do("POST", "/offers/"+j.offer+"/redemptions", map[string]any{"code": code, "order": fmt.Sprintf("till-%d", i)})
		if err != nil {
			j.Fatal(err)
		}
		if got.Status != want && !(i == 0 && got.Status == http.StatusCreated) {
			j.Errorf("redemption %d: %d %s, want %d", i, got.Status, got.Body, want)
		}
	}
	j.happened("order.placed", "offer.issued", "offer.redeemed", "offer.refused")
}

func (j *journey) leaveOneTopic() {
	leave := j.smtp.To(sara)[2].Link(j, "/u/")
	res, err := http.Post(leave, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		j.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Request.URL.String() != leave || len(res.Cookies()) > 0 {
		j.Errorf("one-click answers %d at %s with %d cookies", res.StatusCode, res.Request.URL, len(res.Cookies()))
	}
	j.mustBe(map[string]string{"letter": "withdrawn", "offers": "given", "opens": "given"})
}

func (j *journey) leaveEverything() {
	j.do(chromedp.Navigate(j.smtp.To(sara)[2].Link(j, "/p/")))
	j.do(chromedp.Click(`button[value=leave]`))
	j.until(`document.readyState === 'complete' && !document.querySelector('input[type=checkbox]:checked')`)
	j.mustBe(map[string]string{"letter": "withdrawn", "offers": "withdrawn", "opens": "withdrawn", "clicks": "withdrawn"})
}

func (j *journey) hearNothingMore() {
	so := len(j.smtp.Mails())
	var campaign struct{ ID string }
	j.api.Must(j, "POST", "/campaigns", map[string]any{"name": "After all", "topic": "letter", "texts": texts("Are you there?", "<p>Hello</p>")}, &campaign)
	j.api.Must(j, "POST", "/campaigns/"+campaign.ID+"/schedule", map[string]any{}, nil)
	for range 6 {
		j.service.Pass(j, 7*24*time.Hour)
		time.Sleep(700 * time.Millisecond)
	}
	j.smtp.StaysAt(j, so, 2*time.Second)
	var state struct{ State string }
	for deadline := time.Now().Add(20 * time.Second); state.State != "sent"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			j.Fatalf("the campaign nobody allowed is %s", state.State)
		}
		j.api.Must(j, "GET", "/campaigns/"+campaign.ID, nil, &state)
	}
	j.smtp.StaysAt(j, so, time.Second)
}

type personAnswer struct {
	ID          string
	Permissions []struct{ Topic, State string }
}

func (j *journey) find() personAnswer {
	j.Helper()
	var list struct{ Items []personAnswer }
	j.api.Must(j, "GET", "/subscribers?email="+url.QueryEscape(sara), nil, &list)
	if len(list.Items) != 1 {
		j.Fatalf("%d subscribers with the address, want 1", len(list.Items))
	}
	return list.Items[0]
}

// mustBe compares the states of permissions.
func (j *journey) mustBe(want map[string]string) {
	j.Helper()
	var p personAnswer
	j.api.Must(j, "GET", "/subscribers/"+j.person, nil, &p)
	got := map[string]string{}
	for _, permission := range p.Permissions {
		got[permission.Topic] = permission.State
	}
	for topic, state := range want {
		if got[topic] != state {
			j.Errorf("%s is %q, want %q", topic, got[topic], state)
		}
	}
}

// happened looks for facts on the person's timeline.
func (j *journey) happened(kinds ...string) {
	j.Helper()
	var all struct{ Items []struct{ Kind string } }
	j.api.Must(j, "GET", "/subscribers/"+j.person+"/events?limit=100", nil, &all)
	seen := map[string]bool{}
	for _, e := range all.Items {
		seen[e.Kind] = true
	}
	for _, kind := range kinds {
		if !seen[kind] {
			j.Errorf("%s is not on the timeline: %v", kind, all.Items)
		}
	}
}

func (j *journey) get(link string) {
	j.Helper()
	res, err := http.Get(link)
	if err != nil {
		j.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		j.Errorf("GET %s: %s", link, res.Status)
	}
}

func (j *journey) do(steps ...chromedp.Action[chromedp.Void]) {
	j.Helper()
	ctx, cancel := context.WithTimeout(j.tab, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		j.Fatalf("drive the browser: %v", err)
	}
}

func (j *journey) js(expression string) {
	j.Helper()
	j.do(chromedp.Evaluate[chromedp.Void](expression + ";0"))
}

func (j *journey) until(condition string) {
	j.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(j.tab, 10*time.Second)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		cancel()
		if err == nil && yes {
			return
		}
	}
	text, _ := chromedp.Run(j.tab, chromedp.Evaluate[string](`document.documentElement.outerHTML + (document.querySelector('assent-form')?.shadowRoot?.innerHTML || '')`))
	j.Fatalf("never became true: %s\n%s", condition, text)
}
