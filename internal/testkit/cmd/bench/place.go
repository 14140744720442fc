package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"assent/internal/testkit"
)

// place is the running program with its brand, topic and people.
type place struct {
	testing.TB
	service  *testkit.Service
	api      testkit.API
	database *testkit.PostgresProcess // nil with SQLite
	others   []string                 // of procstat: label=PID of database and Redis
}

const (
	topic   = "letter"
	wording = "Yes, write to me."
)

// settle starts the program on a pair of database and Redis.
func settle(tb testing.TB, pair string, o testkit.ServiceOptions, more ...testkit.PostgresOption) *place {
	p := &place{TB: tb}
	switch pair {
	case "postgres":
		pg, redis := testkit.PostgresServer(tb, append(more, testkit.Durable())...), testkit.RedisServer(tb)
		o.Database, o.Redis, p.database = pg.URL, redis.URL, pg
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
// where tracked says so; tags, where it is not nil, names them.
func (p *place) invite(n int, tracked func(i int) bool, tags func(i int) []string) {
	p.Helper()
	began, before := time.Now(), p.use()
	p.api.People(p, n, func(i int) map[string]any {
		topics := []string{topic}
		if tracked(i) {
			topics = append(topics, "opens", "clicks")
		}
		row := map[string]any{"email": fmt.Sprintf("reader%d@example.org", i), "name": fmt.Sprintf("Reader %d", i), "consents": testkit.Consents(i, topics...)}
		if tags != nil {
			row["tags"] = tags(i)
		}
		return row
	})
	took, parts := time.Since(began), ""
	for label, after := range p.use() {
		parts += fmt.Sprintf(" %s=%.3f", label, (after.CPU-before[label].CPU)/float64(n)*1000)
	}
	p.Logf("%d people with their consents made in %s, %.0f a second; CPU-seconds per 1,000:%s", n, took.Round(100*time.Millisecond), float64(n)/took.Seconds(), parts)
}

// campaign schedules one to those with the tag, or to everybody; its mails go
// out after the minute of recalling.
func (p *place) campaign(subject, html, tag string) (id string) {
	var made struct{ ID string }
	p.must("/campaigns", map[string]any{"name": subject, "topic": topic, "tag": tag, "texts": []map[string]any{{"language": "en", "subject": subject, "html": html}}}, &made)
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

// usage is what bench procstat tells of a process and its children.
type usage struct {
	CPU  float64 `json:"cpu_s"`
	Peak float64 `json:"peak_rss_mb"`
}

func (p *place) use(flags ...string) map[string]usage {
	p.Helper()
	args := append([]string{"procstat"}, flags...)
	args = append(args, "service="+strconv.Itoa(p.service.PID()))
	found := map[string]usage{}
	p.tool(&found, append(args, p.others...)...)
	return found
}

// tool runs one of ../shared/bench and reads its line of JSON.
func (p *place) tool(out any, args ...string) {
	p.Helper()
	raw, err := exec.Command(testkit.BenchTool(p), args...).Output()
	if err == nil {
		err = readJSON(raw, out)
	}
	if err != nil {
		p.Fatalf("bench %s: %v", args[0], err)
	}
}
