// Package chaos kills the running program at random moments of a campaign, with
// sign-ups going on, and judges by what the outside saw: the mail server's
// count, the API's answers, the acknowledged sign-ups, and the pages as a
// marketer sees them all the while. It never looks into the database.
package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"assent/internal/testkit"
)

// Blow is something that hits the installation and leaves it running.
type Blow struct {
	Name   string
	Strike func(tb testing.TB)
}

// Kill is SIGKILL to the program, and its next start.
func Kill(s *testkit.Service) Blow {
	return Blow{"the program is killed", func(tb testing.TB) {
		s.Kill()
		if err := s.Start(); err != nil {
			tb.Fatalf("the program does not come back: %v", err)
		}
	}}
}

// Judge is the mail server.
type Judge interface {
	Taken(tb testing.TB, subject string) map[string]int // by address, mails of one subject, or of any
	Count(tb testing.TB) int                            // of all mails
}

// Plan is one run.
type Plan struct {
	Title       string
	Services    []*testkit.Service // the first serves HTTP; all send
	Judge       Judge
	Key         string // of the installation
	People      int
	Connections int    // of each service
	Blows       []Blow // each falls at a random moment of the campaign, in a random order
	Pause       time.Duration
	Pace        func(tb testing.TB, perSecond float64) // slows the mail server, so that the campaign outlasts the blows; 0: no more. nil: it is slow enough
}

// Verdict is what came of it.
type Verdict struct {
	Kills        int
	Lost         int // had permission, were never mailed, and are not listed as uncertain; acknowledged sign-ups without their mail
	Twice        int // got the campaign more than once
	UncertainMax int // listed as uncertain after one blow
	SignUps      int // acknowledged
	Uncertain    int // in all
	Looks        int // at the pages, by a marketer
	Away         int // looks at which there was nothing to see, and a page or the browser said so
	Wrong        int // looks at numbers that did not add up, went back or claimed what was not; pages that hung, failed without words, or were never to be seen
}

// String is the line that make chaos ends with.
func (v Verdict) String() string {
	return fmt.Sprintf("kills=%d lost=%d twice=%d uncertain_max=%d looks=%d away=%d wrong=%d", v.Kills, v.Lost, v.Twice, v.UncertainMax, v.Looks, v.Away, v.Wrong)
}

// Add joins the verdicts of several runs.
func (v Verdict) Add(o Verdict) Verdict {
	return Verdict{v.Kills + o.Kills, v.Lost + o.Lost, v.Twice + o.Twice, max(v.UncertainMax, o.UncertainMax), v.SignUps + o.SignUps, v.Uncertain + o.Uncertain,
		v.Looks + o.Looks, v.Away + o.Away, v.Wrong + o.Wrong}
}

const (
	subject  = "The letter that must arrive"
	patience = 6 * time.Minute
)

// run is a plan under way.
type run struct {
	testing.TB
	Plan
	api      testkit.API
	form     string
	campaign string
	source   string

	marketer *marketer
	struck   atomic.Int64 // blows that have begun
	asked    atomic.Int64 // sign-ups, answered or not

	mu    sync.Mutex
	acked []string // addresses whose sign-up was answered with success
}

// Run carries a plan out. The services must run; Key must be of the installation.
func Run(tb testing.TB, p Plan) Verdict {
	tb.Helper()
	r := &run{TB: tb, Plan: p, api: testkit.API{Base: p.Services[0].Base, Key: p.Key}}
	began := time.Now()
	r.setUp()
	tb.Logf("%s: %d people with permission made in %s", p.Title, p.People, time.Since(began).Round(time.Second))
	r.schedule()
	stop := make(chan struct{})
	var visitors sync.WaitGroup
	for i := range 2 {
		visitors.Add(1)
		go func() { defer visitors.Done(); r.visit(i, stop) }()
	}
	looking, looked := make(chan struct{}), make(chan struct{})
	go func() { defer close(looked); r.marketer.watch(looking) }()
	v := r.strike()
	close(stop)
	visitors.Wait()
	r.waitForTheEnd()
	close(looking)
	<-looked
	r.judge(&v)
	tb.Logf("%s: %s; %d uncertain, %d sign-ups, %s", p.Title, v, v.Uncertain, v.SignUps, time.Since(began).Round(time.Second))
	return v
}

func address(i int) string { return fmt.Sprintf("reader%d@example.org", i) }

func (r *run) setUp() {
	r.Helper()
	var made struct {
		ID       string `json:"id"`
		SourceID string `json:"source_id"`
	}
	slug := fmt.Sprintf("chaos%d", rand.IntN(1e9))
	r.marketer = newMarketer(r, slug)
	r.api.Brand = slug
	r.api.Must(r, "POST", "/topics", map[string]any{"slug": "letter", "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": "Yes."}}}, nil)
	r.api.Must(r, "POST", "/forms", map[string]any{"name": "Form", "topics": []string{"letter"}}, &made)
	r.form = made.ID
	r.api.People(r, r.People, func(i int) map[string]any {
		return map[string]any{"email": address(i), "consents": testkit.Consents(i, "letter")}
	})
	r.api.Must(r, "POST", "/campaigns", map[string]any{"name": "Chaos", "topic": "letter",
		"texts": []map[string]any{{"language": "en", "subject": subject, "html": "<p>Hello {{ subscriber.email }}, <a href='https://chaos.example/'>read on</a>.</p>"}}}, &made)
	r.campaign, r.source = made.ID, made.SourceID
	r.marketer.campaign = "/campaigns/" + made.ID
	r.marketer.most = func() int { return int(r.struck.Load()) * r.Connections * len(r.Services) }
	r.marketer.others = func() int { return int(r.asked.Load()) }
}

// schedule starts the campaign, and passes the minute of recalling.
func (r *run) schedule() {
	r.Helper()
	r.api.Must(r, "POST", "/campaigns/"+r.campaign+"/schedule", map[string]any{}, nil)
	r.api.Must(r, "GET", "/campaigns/"+r.campaign, nil, &struct{}{})
	r.pace(len(r.Blows))
	r.pass(61 * time.Second)
	r.until("the first mails are on their way", func() bool { return r.Judge.Count(r) > r.People/50 })
}

// pass moves the clocks of all services on.
func (r *run) pass(d time.Duration) {
	for _, s := range r.Services {
		s.Pass(r, d)
	}
}

// pace spreads the mails that are left over the blows that are left.
func (r *run) pace(blows int) {
	if r.Pace == nil {
		return
	}
	rate := 0.0
	if blows > 0 {
		left := max(0, r.People-r.Judge.Count(r))
		rate = float64(left) / (float64(blows+1) * (r.Pause + restart).Seconds())
	}
	r.Pace(r, rate)
}

// restart is what a blow takes by itself, about.
const restart = time.Second

// strike has the blows fall, and lets the program work for a while after each.
func (r *run) strike() (v Verdict) {
	blows := slices.Clone(r.Blows)
	rand.Shuffle(len(blows), func(i, j int) { blows[i], blows[j] = blows[j], blows[i] })
	before := r.uncertain()
	for i, b := range blows {
		r.pace(len(blows) - i)
		sent, began := r.Judge.Count(r), time.Now()
		r.until("mails go out again", func() bool { return r.Judge.Count(r) > sent+r.Connections })
		idle := time.Since(began)
		time.Sleep(r.Pause/4 + rand.N(r.Pause*3/2))
		if c, ok := r.counts(); ok && c.State == "sent" {
			r.Fatalf("%s: the campaign was over before blow %d of %d", r.Title, i+1, len(blows))
		}
		struck := r.Judge.Count(r)
		r.struck.Add(1)
		b.Strike(r)
		v.Kills++
		now := r.uncertain()
		r.Logf("%s: %s; %d became uncertain; mails went out again %s after the blow before, and %d since", r.Title, b.Name, now-before, idle.Round(10*time.Millisecond), struck-sent)
		v.UncertainMax, before = max(v.UncertainMax, now-before), now
	}
	r.pace(0)
	return v
}

// uncertain asks the API; while a part is away it asks again.
func (r *run) uncertain() int {
	n := 0
	r.until("the API tells the counts", func() bool {
		c, ok := r.counts()
		n = c.Messages.Uncertain
		return ok
	})
	return n
}

type campaignAnswer struct {
	State    string
	Messages struct{ Queued, Claimed, Sent, Failed, Skipped, Uncertain, Total int }
}

func (r *run) counts() (c campaignAnswer, ok bool) {
	got, err := r.api.Do("GET", "/campaigns/"+r.campaign, nil)
	if err != nil || got.Status != http.StatusOK {
		return c, false
	}
	return c, json.Unmarshal(got.Body, &c) == nil
}

func (r *run) until(what string, done func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c, _ := r.counts()
			r.Fatalf("%s: %s: not within %s; the campaign is %+v", r.Title, what, patience, c)
		}
	}
}

// visit signs people up, one after the other, and keeps who was told that it worked.
func (r *run) visit(visitor int, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		who := fmt.Sprintf("visitor%d-%d@example.net", visitor, n)
		r.asked.Add(1)
		if testkit.SignUp(r.api.Base, r.form, who, "letter") == nil {
			r.mu.Lock()
			r.acked = append(r.acked, who)
			r.mu.Unlock()
		}
	}
}

// waitForTheEnd also lets the time pass for which something was put off.
func (r *run) waitForTheEnd() {
	r.Helper()
	moved := time.Now()
	r.until("the campaign ends", func() bool {
		if time.Since(moved) > 2*time.Second {
			moved = time.Now()
			r.pass(time.Minute)
		}
		c, ok := r.counts()
		return ok && c.State == "sent" && c.Messages.Queued+c.Messages.Claimed == 0
	})
	r.pass(10 * time.Minute)
}

// judge compares who should have been mailed with what the mail server took.
func (r *run) judge(v *Verdict) {
	r.Helper()
	taken := r.Judge.Taken(r, subject)
	unsure := r.uncertainAddresses()
	v.Uncertain, v.SignUps = len(unsure), len(r.acked)
	for i := range r.People {
		who := address(i)
		switch n := taken[who]; {
		case n > 1:
			v.Twice++
			r.Logf("%s: %s got the campaign %d times", r.Title, who, n)
		case n == 0 && !unsure[who]:
			v.Lost++
			r.Logf("%s: %s was lost", r.Title, who)
		}
	}
	v.Lost += r.lostConfirmations()
	r.marketer.finish(len(taken), len(unsure))
	m := r.marketer
	for _, path := range []string{"", "/queues", m.campaign} {
		if m.good[path] == 0 {
			m.accuse(path, "was never to be seen")
		}
	}
	v.Looks, v.Away, v.Wrong = m.looks, m.away, m.wrong
}

// lostConfirmations waits for the mails that acknowledged sign-ups promised.
func (r *run) lostConfirmations() (lost int) {
	const confirmation = "confirm"
	missing := func() (m []string) {
		got := r.Judge.Taken(r, "")
		for _, who := range r.acked {
			if got[who] == 0 {
				m = append(m, who)
			}
		}
		return m
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end) && len(missing()) > 0; time.Sleep(time.Second) {
	}
	for _, who := range missing() {
		r.Logf("%s: %s was told to look into the mailbox, and no %s mail came", r.Title, who, confirmation)
		lost++
	}
	return lost
}

// uncertainAddresses are those that the API lists as uncertain.
func (r *run) uncertainAddresses() map[string]bool {
	r.Helper()
	all := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				SubscriberID string `json:"subscriber_id"`
			}
			Next string `json:"next"`
		}
		r.api.Must(r, "GET", "/messages?limit=200&state=uncertain&source_id="+r.source+"&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, m := range page.Items {
			var s struct{ Email string }
			r.api.Must(r, "GET", "/subscribers/"+m.SubscriberID, nil, &s)
			all[s.Email] = true
		}
		if page.Next == "" {
			return all
		}
		cursor = page.Next
	}
}

// Sink judges by the bench's mail server.
type Sink struct{ *testkit.SinkProcess }

// Taken implements Judge; "" is any subject.
func (s Sink) Taken(tb testing.TB, subject string) map[string]int {
	got := map[string]int{}
	for _, d := range s.Recipients(tb) {
		if subject == "" || d.Key == subject {
			got[d.Recipient] += d.Count
		}
	}
	return got
}

// Count implements Judge.
func (s Sink) Count(tb testing.TB) int { return int(s.QuickStats(tb).Messages) }

// Pace is for Plan: the sink takes so long over each mail that so many
// connections get perSecond across.
func (s Sink) Pace(connections int) func(tb testing.TB, perSecond float64) {
	return func(tb testing.TB, perSecond float64) {
		latency := time.Duration(0)
		if perSecond > 0 {
			latency = time.Duration(float64(connections) / perSecond * float64(time.Second))
		}
		s.Config(tb, "latency", min(latency, time.Second).String())
	}
}

// Mailbox judges by the mail server inside the test's process.
type Mailbox struct{ *testkit.SMTPServer }

// Taken implements Judge; "" is any subject.
func (m Mailbox) Taken(_ testing.TB, subject string) map[string]int {
	got := map[string]int{}
	for _, mail := range m.Mails() {
		if subject == "" || mail.Subject == subject {
			for _, to := range mail.To {
				got[to]++
			}
		}
	}
	return got
}

// Count implements Judge.
func (m Mailbox) Count(testing.TB) int { return len(m.Mails()) }
