package app

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// town is a running program with a brand whose form anybody may try to abuse.
type town struct {
	*testing.T
	*App
	brand brand.Brand
	form  signup.Form
	base  string
}

func newTown(t *testing.T, environ ...string) *town {
	a := startApp(t, environ...)
	t.Cleanup(func() { a.Close() })
	if _, err := a.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &town{T: t, App: a, base: "http://" + a.Addr()}
	err := a.DB.Write(t.Context(), func(tx *store.Tx) (err error) {
		if w.brand, err = brand.BySlug(tx, "baharan"); err != nil {
			return err
		}
		w.form, err = signup.Create(tx, w.brand, "Abused", signup.Spec{Topics: []string{"letters"}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *town) count(sql string, args ...any) (n int) {
	read(w.T, w.App, func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error })
	return n
}

func (w *town) requests() (all []signup.Request) {
	read(w.T, w.App, func(tx *store.Tx) error {
		return tx.Where("form_id = ?", w.form.ID).Order("created_at, id").Find(&all).Error
	})
	return all
}

func (w *town) token() string {
	answer, err := http.Get(w.base + "/f/" + w.form.ID.String())
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	page, _ := io.ReadAll(answer.Body)
	return hidden(string(page), "token")
}

// sign sends the form and tells how long the answer took.
func (w *town) sign(client *http.Client, token, email, from string) (time.Duration, int) {
	body := url.Values{"token": {token}, "email": {email}, "topic:letters": {"1"}, signup.Honeypot: {""}}
	r, err := http.NewRequestWithContext(w.Context(), "POST", w.base+"/f/"+w.form.ID.String(), strings.NewReader(body.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept-Language", "en")
	if from != "" {
		r.Header.Set("X-Forwarded-For", from)
	}
	begun := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		w.Error(err)
		return 0, 0
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	return time.Since(begun), answer.StatusCode
}

// TestTheBrowserDoesTheWork: the widget of npm altcha solves our challenge under
// our policy, in a worker, and a look at the question by a browser that runs
// scripts confirms nothing.
func TestTheBrowserDoesTheWork(t *testing.T) {
	w := newTown(t, "ASSENT_SIGNUP_PROOF=suspicion", "ASSENT_SIGNUP_MIN_FILL=0s")
	tab := testkit.Browser(t)
	var mu sync.Mutex
	var said []string
	err := chromedp.Listen(tab, func(e any) {
		if e, ok := e.(*log.EventEntryAdded); ok {
			mu.Lock()
			said = append(said, e.Entry.Text)
			mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "fa"} {
		err := chromedp.Do(tab, chromedp.Navigate(w.base+"/f/"+w.form.ID.String()+"?lang="+lang),
			chromedp.SendKeys(`#f-email`, lang+"@example.org"), chromedp.Click(`input[name="topic:letters"]`), chromedp.Click(`.btn.yes.big`),
			chromedp.WaitVisible(`altcha-widget`))
		solved := false
		for deadline := time.Now().Add(time.Minute); err == nil && !solved && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			solved, err = chromedp.Run(tab, chromedp.Evaluate[bool](`!!document.querySelector('input[name=altcha]')?.value`))
		}
		if err != nil || !solved {
			mu.Lock()
			t.Fatalf("%s: %v; the browser said %q", lang, err, said)
		}
		if dir := os.Getenv("ASSENT_PICTURES"); dir != "" {
			testkit.Screenshot(t, tab, dir+"/prove-"+lang+".png", 390)
		}
		for _, v := range testkit.Axe(t, tab) {
			t.Errorf("%s: %s", lang, v)
		}
		if err := chromedp.Do(tab, chromedp.Click(`.btn.yes.big`), chromedp.WaitNotPresent(`altcha-widget`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ?", w.form.ID); n != 2 {
		t.Errorf("%d sign-ups", n)
	}
	if n := w.count("SELECT count(*) FROM spent_proofs"); n != 2 {
		t.Errorf("%d proofs used", n)
	}
	for _, s := range said {
		if strings.Contains(s, "Content Security Policy") {
			t.Errorf("the policy refuses: %s", s)
		}
	}
	if err := chromedp.Do(tab, chromedp.Navigate(w.URLs.Confirm(w.requests()[0].ID)), chromedp.WaitVisible(`button[value=yes]`), chromedp.Sleep(3*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ? AND state = 'confirmed'", w.form.ID); n != 0 {
		t.Errorf("%d confirmed by looking", n)
	}
	if err := chromedp.Do(tab, chromedp.Click(`button[value=yes]`), chromedp.WaitNotPresent(`button[value=yes]`)); err != nil {
		t.Fatal(err)
	}
	if n := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ? AND state = 'confirmed'", w.form.ID); n != 1 {
		t.Errorf("%d confirmed by the button", n)
	}
}

// abuseSizes are the numbers of the everyday suite, and of make judge-abuse.
func abuseSizes() (scans, bomb, samples int) {
	if os.Getenv("ASSENT_JUDGE_ABUSE") != "" {
		return 1000, 10_000, 400
	}
	return 60, 40, 30
}

// abuseSure is how unlikely a difference in time must be by chance before it is
// one: the everyday suite runs often, beside other work.
func abuseSure() float64 {
	if os.Getenv("ASSENT_JUDGE_ABUSE") != "" {
		return 0.01
	}
	return 1e-5
}

// TestAbuse is what is shown of a form under abuse, in the running program: what
// scanners do confirms nothing, a bomb is one mail, and the time of an answer
// does not tell who the address belongs to. make judge-abuse runs it in full.
func TestAbuse(t *testing.T) {
	testkit.EachDatabase(t, func(t *testing.T, database string) {
		scans, bomb, samples := abuseSizes()
		w := newTown(t, "ASSENT_DATABASE_URL="+database, "ASSENT_SIGNUP_MIN_FILL=0s", "ASSENT_TRUSTED_PROXIES=127.0.0.1/32",
			"ASSENT_SIGNUP_PER_IP=1000000", "ASSENT_SIGNUP_PER_FORM=1000000", "ASSENT_SIGNUP_PER_NETWORK=1000000", "ASSENT_SIGNUP_PER_DOMAIN=1000000")
		// The guard of the form would see that hardly anybody confirms, and ask for proof.
		err := w.DB.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE forms SET guard_at = ? WHERE id = ?", tx.Now().Add(24*time.Hour), w.form.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Timeout: 30 * time.Second}
		token := w.token()

		var work sync.WaitGroup
		for i := range 8 {
			work.Go(func() {
				for n := i; n < bomb; n += 8 {
					w.sign(client, token, "victim@bomb.example", fmt.Sprintf("198.%d.%d.%d", 18+n%2, n/250%250, n%250+1))
				}
			})
		}
		work.Wait()
		asked := w.requests()
		mails := w.count("SELECT count(*) FROM messages WHERE subscriber_id = ?", asked[0].SubscriberID)
		if len(asked) != 1 || mails != 1 {
			t.Errorf("%d sign-ups for one address: %d requests, %d mails", bomb, len(asked), mails)
		}

		for i := range scans {
			r, _ := http.NewRequestWithContext(t.Context(), []string{"GET", "HEAD", "OPTIONS"}[i%3], w.URLs.Confirm(asked[0].ID), nil)
			if answer, err := client.Do(r); err != nil {
				t.Fatal(err)
			} else {
				answer.Body.Close()
			}
		}
		confirmed := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ? AND state = 'confirmed'", w.form.ID)
		if confirmed != 0 {
			t.Errorf("%d confirmed by %d looks", confirmed, scans)
		}

		took := w.timings(client, samples)
		least, line := 1.0, ""
		for _, who := range people[1:] {
			d, p := kolmogorovSmirnov(took["new"], took[who])
			line += fmt.Sprintf(" %s:D=%.3f,p=%.3f", who, d, p)
			least = min(least, p)
		}
		if least <= abuseSure() {
			t.Errorf("the time tells who it is:%s", line)
		}
		fmt.Printf("database=%s scans=%d confirmed=%d bomb=%d mails=%d samples=%d ks:%s p_least=%.3f\n",
			strings.SplitN(database, ":", 2)[0], scans, confirmed, bomb, mails, samples, line, least)
	})
}

var people = []string{"new", "pending", "confirmed", "suppressed"}

// timings measures the four kinds of address, in a random order.
func (w *town) timings(client *http.Client, samples int) map[string][]float64 {
	token := w.token()
	for i := range samples {
		for _, who := range people[1:] {
			if _, status := w.sign(client, token, fmt.Sprintf("%s%d@time.example", who, i), ""); status != http.StatusOK {
				w.Fatalf("%s%d: %d", who, i, status)
			}
		}
	}
	err := w.DB.Write(w.Context(), func(tx *store.Tx) error {
		for i := range samples {
			for _, who := range people[2:] {
				a, err := subscriber.ParseAddress(fmt.Sprintf("%s%d@time.example", who, i))
				if err != nil {
					return err
				}
				s, err := subscriber.ByAddress(tx, w.brand, a)
				if err != nil {
					return err
				}
				var r signup.Request
				if err := tx.Where("subscriber_id = ?", s.ID).Take(&r).Error; err != nil {
					return err
				}
				if _, err := signup.Confirm(tx, r.ID, signup.Seen{}); err != nil {
					return err
				}
				if who == "suppressed" {
					if err := consent.Suppress(tx, w.brand, s.AddressHash, consent.Complaint, ""); err != nil {
						return err
					}
				}
			}
		}
		// a day later, or those who had a mail would all be over their limit
		_, err := tx.Run("DELETE FROM confirmation_mails")
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	for deadline := time.Now().Add(time.Duration(samples) * time.Second / 6); w.count("SELECT count(*) FROM outbox") > 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	for i := range 40 { // until the beat is found
		w.sign(client, token, fmt.Sprintf("warm%d@time.example", i), "")
	}
	type one struct {
		who string
		i   int
	}
	var all []one
	for i := range samples {
		for _, who := range people {
			all = append(all, one{who, i})
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	before, took := len(w.requests()), map[string][]float64{}
	for _, o := range all {
		d, status := w.sign(client, token, fmt.Sprintf("%s%d@time.example", o.who, o.i), "")
		if status != http.StatusOK {
			w.Fatalf("%s: %d", o.who, status)
		}
		took[o.who] = append(took[o.who], d.Seconds())
	}
	if n := len(w.requests()) - before; n != samples {
		w.Errorf("%d new requests from %d new people, %d pending, confirmed and suppressed", n, samples, 3*samples)
	}
	return took
}

// kolmogorovSmirnov is the two-sample test: the greatest distance of the two
// empirical distributions, and the probability of so great a one by chance, by
// Kolmogorov's series with Stephens's correction for finite samples (Press et
// al., Numerical Recipes, 3rd ed., 14.3.3).
func kolmogorovSmirnov(a, b []float64) (d, p float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] <= x {
			i++
		}
		for j < len(b) && b[j] <= x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)*len(b)) / float64(len(a)+len(b)))
	l := (n + 0.12 + 0.11/n) * d
	if l < 0.2 {
		return d, 1
	}
	sign := 2.0
	for k := 1.0; k <= 100; k++ {
		p += sign * math.Exp(-2*k*k*l*l)
		sign = -sign
	}
	return d, min(1, max(0, p))
}

// TestTheTestOfTimesCanFail: two that are alike, and two that are a little apart.
// For D = 0.115 of 400 and 400 the table says p = 0.01 (1.63 √(2/400)).
func TestTheTestOfTimesCanFail(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(shift float64) (all []float64) {
		for range 400 {
			all = append(all, r.NormFloat64()+shift)
		}
		return all
	}
	if _, p := kolmogorovSmirnov(draw(0), draw(0)); p < 0.05 {
		t.Errorf("alike, and p = %g", p)
	}
	if _, p := kolmogorovSmirnov(draw(0), draw(0.4)); p > 0.001 {
		t.Errorf("apart, and p = %g", p)
	}
	steps := func(n int) (all []float64) {
		for i := range 400 {
			all = append(all, float64(i+n))
		}
		return all
	}
	if d, p := kolmogorovSmirnov(steps(0), steps(46)); math.Abs(d-0.115) > 1e-9 || p < 0.008 || p > 0.012 {
		t.Errorf("D = %g, p = %g", d, p)
	}
}

// TestTheWidgetLeadsToTheHostedPage: a sign-up by a widget that looks like a
// program's goes on where the work is done, with what was typed and no box ticked.
func TestTheWidgetLeadsToTheHostedPage(t *testing.T) {
	w := newTown(t, "ASSENT_SIGNUP_PROOF=suspicion", "ASSENT_SIGNUP_MIN_FILL=0s")
	site := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(out, `<!doctype html><html lang="fa"><title>Shop</title><body><script src="%s/widget.js" data-form="%s" async></script>`, w.base, w.form.ID)
	}))
	t.Cleanup(site.Close)
	tab := testkit.Browser(t)
	const inside = `[...document.querySelectorAll('*')].map(e => e.shadowRoot).find(r => r)`
	until := func(what, expression string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			if ok, err := chromedp.Run(tab, chromedp.Evaluate[bool](expression)); err == nil && ok {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	if err := chromedp.Do(tab, chromedp.Navigate(site.URL)); err != nil {
		t.Fatal(err)
	}
	until("the widget draws nothing", `!!`+inside+`?.querySelector('input[type=email]')`)
	until("it cannot be filled in", `(() => { const r = `+inside+`; r.querySelector('input[type=email]').value = 'sara@example.org';
		r.querySelector('.box input').click(); r.querySelector('button[type=submit]').click(); return true })()`)
	until("it leads nowhere", `!!`+inside+`?.querySelector('a.act')`)
	if n := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ?", w.form.ID); n != 0 {
		t.Errorf("%d sign-ups without work", n)
	}
	until("the link cannot be followed", `(() => { `+inside+`.querySelector('a.act').click(); return true })()`)
	until("the hosted page has not what was typed", `document.querySelector('#f-email')?.value === 'sara@example.org' && document.documentElement.lang === 'fa'`)
	until("a box is ticked", `!document.querySelector('input[type=checkbox][name^="topic:"]:checked')`)
	if err := chromedp.Do(tab, chromedp.Click(`input[name="topic:letters"]`)); err != nil {
		t.Fatal(err)
	}
	until("the work is not done", `!!document.querySelector('input[name=altcha]')?.value`)
	if err := chromedp.Do(tab, chromedp.Click(`.btn.yes.big`), chromedp.WaitNotPresent(`altcha-widget`)); err != nil {
		t.Fatal(err)
	}
	if n := w.count("SELECT count(*) FROM signup_requests WHERE form_id = ?", w.form.ID); n != 1 {
		t.Errorf("%d sign-ups with it", n)
	}
}
