package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"assent/internal/testkit"
)

// webBench measures what people do with pages and mails.
type webBench struct {
	pair   string
	people int
	time   time.Duration

	*place
	mail *testkit.SMTPServer
}

const (
	starts       = 5
	signUpsAtA   = 8
	hitsAtATime  = 32
	trackedTitle = "The tracked letter"
)

func (b *webBench) measure(tb testing.TB) string {
	b.mail = testkit.SMTP(tb)
	b.place = settle(tb, b.pair, testkit.ServiceOptions{SMTP: b.mail.URL,
		Env: []string{"ASSENT_SIGNUP_PER_IP=10000000", "ASSENT_SIGNUP_PER_FORM=10000000", "ASSENT_SIGNUP_PER_NETWORK=10000000", "ASSENT_SIGNUP_PER_DOMAIN=10000000", "ASSENT_SIGNUP_PROOF=off", "ASSENT_SIGNUP_MIN_FILL=0s"}})
	var form struct{ ID string }
	b.must("/forms", map[string]any{"name": "Footer", "topics": []string{topic}, "fields": []map[string]any{{"name": "name", "type": "text"}}}, &form)
	b.invite(b.people, func(int) bool { return true }, nil)
	startMS := b.starts()
	idle := b.idle()
	b.campaign(trackedTitle, letter(1000), "")
	signUps := b.signUps(form.ID)
	pixels, clicks := b.tracked()
	opens := b.opens(pixels)
	b.mustHaveHappened("mail.opened")
	followed := b.clicks(clicks)
	b.mustHaveHappened("mail.clicked")
	return fmt.Sprintf("start_ms=%.0f idle_mb=%.1f signup_rps=%.0f open_rps=%.0f click_rps=%.0f",
		startMS, idle, signUps.perSecond(), opens.perSecond(), followed.perSecond())
}

// starts is the median of the milliseconds from exec to /readyz, asked every
// 10 ms, on the data of the people made before.
func (b *webBench) starts() float64 {
	var took []float64
	for range starts {
		b.service.Stop()
		began := time.Now()
		if err := b.service.Start(); err != nil {
			b.Fatal(err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	fmt.Printf("starts_ms=%.0f\n", took)
	return median(took)
}

// idle is the resident memory five seconds after a start, in MB of 2^20 bytes.
func (b *webBench) idle() float64 {
	time.Sleep(5 * time.Second)
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.service.PID()))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest + " ?")[0], 64)
	if err != nil {
		b.Fatalf("read the service's memory: %v", err)
	}
	return kb / 1024
}

// signUps has new addresses sign up at the form; each is owed a mail.
func (b *webBench) signUps(form string) load {
	client := visitor(signUpsAtA)
	var spec struct{ Token string }
	req, _ := http.NewRequest(http.MethodGet, b.service.Base+"/f/"+form+".json?lang=en", nil)
	_, raw, err := ask(client, req)
	if err == nil {
		err = readJSON(raw, &spec)
	}
	if err != nil || spec.Token == "" {
		b.Fatalf("no token of the form: %v: %s", err, raw)
	}
	l := press(b, "sign-ups", signUpsAtA, b.time, func(i int64) error {
		values := url.Values{"email": {fmt.Sprintf("visitor%d@example.net", i)}, "name": {fmt.Sprintf("Visitor %d", i)}, "topic:" + topic: {"on"}, "token": {spec.Token}, "lang": {"en"}}
		req, err := http.NewRequest(http.MethodPost, b.service.Base+"/f/"+form, strings.NewReader(values.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		res, body, err := ask(client, req)
		if err == nil && (res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"ok":true`))) {
			err = fmt.Errorf("%s: %s", res.Status, body)
		}
		return err
	})
	fmt.Println(l)
	began := time.Now()
	b.until("every sign-up gets its mail", 3*time.Minute, func() bool { return b.confirmations() >= len(l.each) })
	if n := b.confirmations(); n != len(l.each) {
		b.Fatalf("%d people got a mail, and %d signed up", n, len(l.each))
	}
	fmt.Printf("the last of %d confirmation mails came %.1f s after the last sign-up\n", len(l.each), time.Since(began).Seconds())
	return l
}

// confirmations counts the visitors who were mailed.
func (b *webBench) confirmations() int {
	got := map[string]bool{}
	for _, m := range b.mail.Mails() {
		if strings.HasPrefix(m.To[0], "visitor") {
			got[m.To[0]] = true
		}
	}
	return len(got)
}

// way is a link of a mail, and where it has to lead.
type way struct{ from, to string }

// tracked waits for the letter, and gives its pixels and its links: the first
// link of every mail, then the second, then the third.
func (b *webBench) tracked() (pixels []string, ways []way) {
	var letters []testkit.Mail
	b.until("the tracked letter arrives", 5*time.Minute, func() bool {
		letters = nil
		for _, m := range b.mail.Mails() {
			if m.Subject == trackedTitle {
				letters = append(letters, m)
			}
		}
		return len(letters) == b.people
	})
	for n := range links {
		for _, m := range letters {
			var mine []string
			for _, l := range m.Links {
				if strings.HasPrefix(l, b.service.Base+"/l/") {
					mine = append(mine, l)
				}
			}
			if len(mine) != links {
				b.Fatalf("a mail has %d tracked links, want %d: %q", len(mine), links, m.Links)
			}
			ways = append(ways, way{mine[n], target(n)})
		}
	}
	for _, m := range letters {
		at := strings.Index(m.HTML, b.service.Base+"/o/")
		if at < 0 {
			b.Fatalf("a mail to %q has no pixel", m.To)
		}
		pixel, _, _ := strings.Cut(m.HTML[at:], `"`)
		pixels = append(pixels, pixel)
	}
	return pixels, ways
}

func (b *webBench) opens(pixels []string) load {
	client := visitor(hitsAtATime)
	return b.hits("opens", int64(len(pixels)), func(i int64) error {
		req, err := http.NewRequest(http.MethodGet, pixels[i], nil)
		if err != nil {
			return err
		}
		res, body, err := ask(client, req)
		if err == nil && (res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/gif" || !bytes.HasPrefix(body, []byte("GIF89a"))) {
			err = fmt.Errorf("%s: %s: %q", pixels[i], res.Status, body)
		}
		return err
	})
}

func (b *webBench) clicks(ways []way) load {
	client := visitor(hitsAtATime)
	return b.hits("clicks", int64(len(ways)), func(i int64) error {
		req, err := http.NewRequest(http.MethodGet, ways[i].from, nil)
		if err != nil {
			return err
		}
		res, body, err := ask(client, req)
		if err == nil && (res.StatusCode != http.StatusFound || res.Header.Get("Location") != ways[i].to) {
			err = fmt.Errorf("%s: %s to %q, want %q: %s", ways[i].from, res.Status, res.Header.Get("Location"), ways[i].to, body)
		}
		return err
	})
}

// hits walks the addresses round and round.
func (b *webBench) hits(name string, addresses int64, do func(i int64) error) load {
	l := press(b, name, hitsAtATime, b.time, func(i int64) error { return do(i % addresses) })
	fmt.Printf("%s; %d mails, each hit %.1f times\n", l, b.people, float64(len(l.each))/float64(b.people))
	return l
}

// mustHaveHappened looks at somebody's timeline: an answer that records nothing
// would be quick.
func (b *webBench) mustHaveHappened(kind string) {
	var found struct{ Items []struct{ ID string } }
	b.api.Must(b, "GET", "/subscribers?email="+url.QueryEscape(b.mail.To("reader0@example.org")[0].To[0]), nil, &found)
	if len(found.Items) != 1 {
		b.Fatalf("%d subscribers with the address", len(found.Items))
	}
	var all struct{ Items []struct{ Kind string } }
	b.api.Must(b, "GET", "/subscribers/"+found.Items[0].ID+"/events?limit=200", nil, &all)
	for _, e := range all.Items {
		if e.Kind == kind {
			return
		}
	}
	b.Fatalf("the timeline has no %s: %v", kind, all.Items)
}
