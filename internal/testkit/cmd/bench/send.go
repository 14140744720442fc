package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"assent/internal/testkit"
)

// sendBench measures a campaign's way to the mail server, in several profiles.
type sendBench struct {
	n        int
	runs     int
	profiles string
	cpu      string
	slow     string

	grounds map[string]*ground // by pair
	table   []result
}

// profile is one way to send.
type profile struct {
	name    string
	pair    string
	mails   func(n int) int
	rtt     string
	signed  bool   // by us; else the relay signs
	against string // a mode of rawsend, or bare signatures
}

const (
	connections = 40
	closing     = 2 // that the mail server counts for a moment after it has hung up
	signatures  = "signatures"
)

var profiles = []profile{
	{"main", "postgres", func(n int) int { return n }, "0s", false, "netsmtp"},
	{"rtt5", "postgres", func(n int) int { return max(1, n/2) }, "5ms", false, "pipeline"},
	{"rtt50", "postgres", func(n int) int { return min(n, 8000) }, "50ms", false, "pipeline"}, // for some 20 s
	{"dkim", "postgres", func(n int) int { return max(1, n/4) }, "0s", true, signatures},
	{"embedded", "sqlite", func(n int) int { return min(n, 30_000) }, "0s", false, "netsmtp"},
	{"million", "postgres", func(int) int { return 1_000_000 }, "0s", false, "netsmtp"},
}

func profileNames() string {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// ground is a pair with its people and its mail server, for all of its profiles.
type ground struct {
	*place
	sink   *testkit.SinkProcess
	dump   string
	pprof  string // where the service shows its profiles
	people int
	looked bool
}

// sending is what one campaign took.
type sending struct {
	rate   float64            // mails a second, from the first to the last at the mail server
	beside float64            // mails or signatures a second of what it is held against
	cpu    map[string]float64 // seconds per 1,000 mails: service, database, Redis
	peak   float64            // MB of the service
	bytes  int64              // of a mail
	bare   int64              // of a mail of the bare client
}

// result is the medians of a profile.
type result struct {
	profile
	sent int
	sending
	ratio, cpuSum float64
}

func (b *sendBench) measure(tb testing.TB) string {
	var wanted []profile
	for name := range strings.SplitSeq(b.profiles, ",") {
		i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
		if i < 0 {
			tb.Fatalf("there is no profile %q; there are %s", name, profileNames())
		}
		wanted = append(wanted, profiles[i])
	}
	b.grounds = map[string]*ground{}
	for _, p := range wanted {
		g := b.grounds[p.pair]
		if g == nil {
			g = b.prepare(tb, p.pair, wanted)
			b.grounds[p.pair] = g
		}
		b.table = append(b.table, b.profile(g, p))
	}
	if g := b.grounds["postgres"]; g != nil && b.slow != "" {
		if err := os.WriteFile(b.slow, g.database.Log(), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	b.print()
	m := b.table[0]
	return fmt.Sprintf("rate=%.0f ratio=%.3f cpu_per_1000=%.3f peak_mb=%.1f", m.rate, m.ratio, m.cpuSum, m.peak)
}

// prepare starts a pair with the people that its profiles need. Who takes part
// in a smaller campaign has its tag.
func (b *sendBench) prepare(tb testing.TB, pair string, wanted []profile) *ground {
	g := &ground{dump: tb.TempDir()}
	g.sink = testkit.Sink(tb, "-dump-dir", g.dump, "-dump-max", "1")
	o := testkit.ServiceOptions{SMTP: fmt.Sprintf("%s&connections=%d", g.sink.URL, connections), TestClock: true,
		PublicURL: "https://mail.bench.example"} // without https no mail may offer one-click (RFC 8058 §3.1)
	if b.cpu != "" {
		g.pprof = testkit.FreeAddress(tb)
		o.Env = append(o.Env, "ASSENT_TEST_PPROF="+g.pprof)
	}
	var log []testkit.PostgresOption
	if b.slow != "" {
		for name, value := range map[string]string{"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "20", "log_min_messages": "log"} {
			log = append(log, testkit.PostgresSetting(name, value))
		}
	}
	g.place = settle(tb, pair, o, log...)
	people, tracked := 0, 0
	var sizes []int
	for _, p := range wanted {
		if p.pair != pair {
			continue
		}
		n := p.mails(b.n)
		people, sizes = max(people, n), append(sizes, n)
		if p.name != "million" {
			tracked = max(tracked, n)
		}
	}
	g.invite(people, func(i int) bool { return i < tracked }, func(i int) (tags []string) {
		for _, n := range sizes {
			if i < n && n < people && !slices.Contains(tags, tagOf(n)) {
				tags = append(tags, tagOf(n))
			}
		}
		return tags
	})
	g.people = people
	g.service.Stop() // what bringing people took is no memory of sending
	if err := g.service.Start(); err != nil {
		tb.Fatal(err)
	}
	return g
}

func tagOf(n int) string { return fmt.Sprintf("first-%d", n) }

// profile runs one, and gives its medians.
func (b *sendBench) profile(g *ground, p profile) result {
	n := p.mails(b.n)
	by := map[bool]string{true: "us", false: "relay"}[p.signed]
	g.api.Must(g, "PATCH", "/brand", map[string]any{"signed_by": by}, nil)
	g.sink.Config(g, "rtt", p.rtt)
	time.Sleep(3 * time.Second) // a sender's settings are read anew every 2 s
	runs := b.runs
	if p.name == "million" {
		runs = 1
	}
	var all []sending
	for i := range runs {
		s := b.once(g, p, n, i)
		all = append(all, s)
		fmt.Printf("%s, run %d of %d: rate=%.0f ratio=%.3f cpu_per_1000=%.3f (of which%s) peak_mb=%.1f\n", p.name, i+1, runs, s.rate, s.rate/s.beside, s.total(), s.parts(), s.peak)
	}
	of := func(f func(sending) float64) float64 {
		var values []float64
		for _, s := range all {
			values = append(values, f(s))
		}
		return median(values)
	}
	r := result{profile: p, sent: n, sending: sending{cpu: map[string]float64{}, bytes: all[0].bytes, bare: all[0].bare}}
	r.rate, r.beside, r.peak = of(func(s sending) float64 { return s.rate }), of(func(s sending) float64 { return s.beside }), of(func(s sending) float64 { return s.peak })
	r.ratio, r.cpuSum = of(func(s sending) float64 { return s.rate / s.beside }), of(sending.total)
	for label := range all[0].cpu {
		r.cpu[label] = of(func(s sending) float64 { return s.cpu[label] })
	}
	return r
}

func (s sending) total() (sum float64) {
	for _, used := range s.cpu {
		sum += used
	}
	return sum
}

func (s sending) parts() (text string) {
	for _, label := range slices.Sorted(maps.Keys(s.cpu)) {
		text += fmt.Sprintf(" %s=%.3f", label, s.cpu[label])
	}
	return text
}

// once sends a campaign, and then measures what it is held against.
func (b *sendBench) once(g *ground, p profile, n, run int) (s sending) {
	tag := ""
	if n < g.people {
		tag = tagOf(n)
	}
	g.sink.Reset(g)
	before := g.use("-reset-peak")
	id := g.campaign(fmt.Sprintf("Letter %s %d", p.name, run+1), letter(letterSize), tag)
	g.service.Pass(g, 61*time.Second)
	if b.cpu != "" && len(b.table) == 0 && run == 0 {
		g.keepProfile(b.cpu)
	}
	limit := 3*time.Minute + time.Duration(n)*20*time.Millisecond
	g.until("the mail server has every mail", limit, func() bool { return g.sink.QuickStats(g).Messages >= int64(n) })
	g.until("the campaign is sent", limit, func() bool { return g.sent(id, n) })
	after, stats := g.use(), g.sink.Stats(g)
	if n := int64(n); stats.Messages != n || stats.Distinct != n || stats.Duplicates != 0 {
		g.Fatalf("the mail server counts %+v, want %d mails to as many people", stats, n)
	}
	if run == 0 && len(b.table) == 0 && stats.OpenMost > connections+closing { // later it counts those of the bare client too
		g.Fatalf("the service opened %d connections, and may open %d", stats.OpenMost, connections)
	}
	if run == 0 && !g.looked {
		g.looked = true
		g.look(p)
	}
	s = sending{rate: stats.PerSecond, peak: after["service"].Peak, cpu: map[string]float64{}, bytes: stats.Bytes / stats.Messages}
	for label := range after {
		s.cpu[label] = (after[label].CPU - before[label].CPU) / float64(n) * 1000
	}
	if p.against == signatures {
		s.beside = bareSignatures(g)
		return s
	}
	g.sink.Reset(g)
	s.beside, s.bare = g.raw(p.against, n, s.bytes)
	return s
}

// print gives the table.
func (b *sendBench) print() {
	fmt.Printf("\nmedians of %d; %d connections; every mail to one person, with pixel, three tracked links, name, list headers\n", b.runs, connections)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "profile\tmails\trtt\tmails/s\tbeside\t/s\tratio\tCPU-s per 1,000\tservice\tpostgres\tredis\tpeak MB\tbytes a mail\tbeside\t")
	for _, r := range b.table {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%s\t%.0f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\t%d\t%d\t\n", r.name, r.sent, r.rtt, r.rate, r.against, r.beside, r.ratio,
			r.cpuSum, r.cpu["service"], r.cpu["postgres"], r.cpu["redis"], r.peak, r.bytes, r.bare)
	}
	_ = w.Flush()
}

// bareHead is what a mail of the bare client has before its HTML.
const bareHead = 420

// raw is the rate at which the bare client gets n ready-made mails of about
// size bytes across, and their size.
func (g *ground) raw(mode string, n int, size int64) (perSecond float64, bytes int64) {
	g.Helper()
	var r struct {
		Errors   int64 `json:"errors"`
		Messages int   `json:"messages"`
	}
	g.tool(&r, "rawsend", "-mode", mode, "-conns", strconv.Itoa(connections), "-n", strconv.Itoa(n), "-size", strconv.FormatInt(size-bareHead, 10), "-addr", g.sink.Addr)
	if r.Errors > 0 || r.Messages != n {
		g.Fatalf("the bare client sent %+v, want %d mails", r, n)
	}
	stats := g.sink.QuickStats(g)
	return stats.PerSecond, stats.Bytes / max(1, stats.Messages)
}

// keepProfile fetches a CPU profile of the service, from its first mail on.
func (g *ground) keepProfile(to string) {
	g.until("the first mail", 3*time.Minute, func() bool { return g.sink.QuickStats(g).Messages > 0 })
	res, err := http.Get("http://" + g.pprof + "/debug/pprof/profile?seconds=5")
	if err != nil {
		g.Fatal(err)
	}
	defer res.Body.Close()
	file, err := os.Create(to)
	if err != nil {
		g.Fatal(err)
	}
	if _, err := file.ReadFrom(res.Body); err != nil {
		g.Fatal(err)
	}
	if err := file.Close(); err != nil {
		g.Fatal(err)
	}
	g.Logf("the profile is in %s: go tool pprof -top %s", to, filepath.Clean(to))
}
