package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"assent/internal/testkit"
)

// place is the running program with its brand, topic and people.
type place struct {
	testing.TB
	service *testkit.Service
	api     testkit.API
	others  []string // of procstat: label=PID of database and Redis
}

const (
	topic   = "letter"
	wording = "Yes, write to me."
	makers  = 16 // API calls at once while people are made
)

// settle starts the program on a pair of database and Redis.
func settle(tb testing.TB, pair string, o testkit.ServiceOptions) *place {
	p := &place{TB: tb}
	switch pair {
	case "postgres":
		pg, redis := testkit.PostgresServer(tb, testkit.Durable()), testkit.RedisServer(tb)
		o.Database, o.Redis = pg.URL, redis.URL
		p.others = []string{fmt.Sprintf("postgres=%d", pg.PID()), fmt.Sprintf("redis=%d", redis.PID())}
	case "sqlite":
	default:
		tb.Fatalf("-pair is postgres or sqlite, not %q", pair)
	}
	p.service = testkit.NewService(tb, o)
	p.api = testkit.API{Base: p.service.Base, Key: p.service.Key(tb)}
	p.must("/brands", map[string]any{"slug": "bench", "name": "Bench", "postal_address": "1 Bench Street\nLeeds", "sender_email": "post@bench.example",
		"language": "en", "time_zone": "Europe/London"}, nil)
	p.api.Brand = "bench"
	p.must("/topics", map[string]any{"slug": topic, "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": wording}}}, nil)
	fmt.Printf("pair=%s commit_ms=%.2f (a write of 8 kB with fsync in %s) %s\n", pair, p.commitTime().Seconds()*1000, p.service.Dir, strings.Join(o.Env, " "))
	return p
}

func (p *place) must(path string, body, out any) {
	p.Helper()
	p.api.Must(p, "POST", path, body, out)
}

// commitTime is the median of what the disk takes for a small durable write:
// without it no figure of two machines can be compared.
func (p *place) commitTime() time.Duration {
	file, err := os.Create(filepath.Join(p.service.Dir, "fsync"))
	if err != nil {
		p.Fatal(err)
	}
	defer file.Close()
	var took []float64
	block := make([]byte, 8<<10)
	for i := range int64(31) {
		began := time.Now()
		if _, err := file.WriteAt(block, i*int64(len(block))); err != nil {
			p.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			p.Fatal(err)
		}
		took = append(took, time.Since(began).Seconds())
	}
	return time.Duration(median(took) * float64(time.Second))
}

// invite makes n people with permission for the topic, and for opens and clicks
// where tracked says so.
func (p *place) invite(n int, tracked func(i int) bool) {
	began := time.Now()
	err := together(n, makers, func(i int) error {
		made := struct{ ID string }{}
		if err := p.post("/subscribers", map[string]any{"email": fmt.Sprintf("reader%d@example.org", i), "name": fmt.Sprintf("Reader %d", i)}, &made); err != nil {
			return err
		}
		topics := []string{topic}
		if tracked(i) {
			topics = append(topics, "opens", "clicks")
		}
		for _, t := range topics {
			if err := p.post("/subscribers/"+made.ID+"/consents", map[string]any{"topic": t, "basis": "operator", "wording": wording,
				"evidence": map[string]any{"sheet": i}}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.Fatal(err)
	}
	p.Logf("%d people with their consents made in %s", n, time.Since(began).Round(time.Second))
}

// together does n things, at most c at once, and stops at the first error.
func together(n, c int, do func(i int) error) error {
	work, wrong := make(chan int), make(chan error, c)
	var crew sync.WaitGroup
	for range c {
		crew.Go(func() {
			for i := range work {
				if err := do(i); err != nil {
					wrong <- err
					return
				}
			}
		})
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case work <- i:
		case err = <-wrong:
		}
	}
	close(work)
	crew.Wait()
	if err == nil && len(wrong) > 0 {
		err = <-wrong
	}
	return err
}

// campaign schedules one; its mails go out after the minute of recalling.
func (p *place) campaign(subject, html string) (id string) {
	var made struct{ ID string }
	p.must("/campaigns", map[string]any{"name": subject, "topic": topic, "texts": []map[string]any{{"language": "en", "subject": subject, "html": html}}}, &made)
	p.must("/campaigns/"+made.ID+"/schedule", map[string]any{}, nil)
	return made.ID
}

// sent reports whether a campaign's mails are all settled, each of them sent.
func (p *place) sent(id string, n int) bool {
	var c struct {
		State    string
		Messages struct{ Sent, Failed, Skipped, Uncertain, Total int }
	}
	p.api.Must(p, "GET", "/campaigns/"+id, nil, &c)
	if c.State != "sent" {
		return false
	}
	if c.Messages.Sent != n || c.Messages.Total != n {
		p.Fatalf("the campaign says %+v, want %d sent", c, n)
	}
	return true
}

// until waits for something, and ends the run when it takes longer than limit.
func (p *place) until(what string, limit time.Duration, done func() bool) {
	p.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// post is API.Must for goroutines beside the main one.
func (p *place) post(path string, body, out any) error {
	got, err := p.api.Do("POST", path, body)
	if err != nil {
		return err
	}
	if got.Status != http.StatusCreated {
		return fmt.Errorf("POST %s: %d %s", path, got.Status, got.Body)
	}
	if out == nil {
		return nil
	}
	return readJSON(got.Body, out)
}

// letter is a mail of about size bytes of HTML with three links and a name.
func letter(size int) string {
	var b strings.Builder
	b.WriteString("<h1>Hello {{ subscriber.name }}</h1>")
	for n := range links {
		fmt.Fprintf(&b, `<p><a href="%s">Read part %d of this letter</a>, if you like.</p>`, target(n), n+1)
	}
	for n := 1; b.Len() < size; n++ {
		fmt.Fprintf(&b, "<p>Paragraph %d says what a paragraph of a letter says, and nobody minds.</p>", n)
	}
	return b.String()
}

const links = 3

func target(n int) string { return fmt.Sprintf("https://bench.example/letter/part-%d", n+1) }
