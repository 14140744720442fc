package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"assent/internal/testkit"
)

// sendBench measures a campaign's way to the mail server.
type sendBench struct {
	pair *string
	n    int
	runs int
	rtt  string
	dkim bool

	*place
	sink *testkit.SinkProcess
	dump string
}

const (
	connections = 40
	letterSize  = 4096
)

// sending is what one campaign took.
type sending struct {
	rate  float64 // mails a second, from the first to the last at the mail server
	ratio float64 // to net/smtp with ready-made bytes on as many connections
	cpu   float64 // seconds per 1,000 mails: service, database, Redis
	peak  float64 // MB of the service
}

func (b *sendBench) measure(tb testing.TB) string {
	b.dump = tb.TempDir()
	b.sink = testkit.Sink(tb, "-rtt", b.rtt, "-dump-dir", b.dump, "-dump-max", "1")
	b.place = settle(tb, *b.pair, testkit.ServiceOptions{SMTP: fmt.Sprintf("%s&connections=%d", b.sink.URL, connections),
		PublicURL: "https://mail.bench.example"}) // without https no mail may offer one-click (RFC 8058 §3.1)
	if !b.dkim { // a brand's key is for the domain it was made with
		b.api.Must(b, "PATCH", "/brand", map[string]any{"sender_email": "post@unsigned.example"}, nil)
	}
	b.invite(b.n, func(i int) bool { return i%2 == 0 })
	fmt.Printf("n=%d connections=%d rtt=%s dkim=%t tracked=half\n", b.n, connections, b.rtt, b.dkim)
	if b.dkim {
		fmt.Printf("a bare loop of RSA-2048 signatures takes %.3f CPU-seconds per 1,000\n", b.signatures().Seconds())
	}
	var rate, ratio, cpu, peak []float64
	for i := range b.runs {
		s := b.once(i)
		rate, ratio, cpu, peak = append(rate, s.rate), append(ratio, s.ratio), append(cpu, s.cpu), append(peak, s.peak)
	}
	return fmt.Sprintf("rate=%.0f ratio=%.3f cpu_per_1000=%.3f peak_mb=%.1f", median(rate), median(ratio), median(cpu), median(peak))
}

// once sends a campaign and then as many mails with the bare client.
func (b *sendBench) once(i int) (s sending) {
	b.sink.Reset(b)
	before := b.use("-reset-peak")
	began := time.Now()
	id := b.campaign(fmt.Sprintf("Letter %d", i+1), letter(letterSize))
	limit := 3*time.Minute + time.Duration(b.n)*20*time.Millisecond
	b.until("the campaign is sent", limit, func() bool { return b.sent(id, b.n) })
	wall := time.Since(began)
	after, stats := b.use(), b.sink.Stats(b)
	if n := int64(b.n); stats.Messages != n || stats.Distinct != n || stats.Duplicates != 0 {
		b.Fatalf("the mail server counts %+v, want %d mails to as many people", stats, n)
	}
	if i == 0 {
		b.look()
		if stats.OpenMost > connections { // later runs count those of the bare client too
			b.Fatalf("the service opened %d connections, and may open %d", stats.OpenMost, connections)
		}
	}
	s = sending{rate: stats.PerSecond, peak: after["service"].Peak}
	var parts string
	for _, label := range slices.Sorted(maps.Keys(after)) {
		used := (after[label].CPU - before[label].CPU) / float64(b.n) * 1000
		s.cpu += used
		parts += fmt.Sprintf(" %s=%.3f", label, used)
	}
	b.sink.Reset(b)
	raw, rawBytes := b.raw()
	s.ratio = s.rate / raw
	fmt.Printf("run %d: rate=%.0f ratio=%.3f cpu_per_1000=%.3f (of which%s) peak_mb=%.1f; netsmtp=%.0f; bytes a mail %d, netsmtp's %d; %.1f s from schedule to sent\n",
		i+1, s.rate, s.ratio, s.cpu, parts, s.peak, raw, stats.Bytes/stats.Messages, rawBytes, wall.Seconds())
	return s
}

// look holds the first mail against what is claimed of it.
func (b *sendBench) look() {
	files, _ := filepath.Glob(filepath.Join(b.dump, "*.eml"))
	if len(files) != 1 {
		b.Fatalf("the mail server kept %d mails, want 1", len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		b.Fatalf("read a mail: %v", err)
	}
	for name, want := range map[string]bool{"DKIM-Signature": b.dkim, "List-Unsubscribe": true, "List-Unsubscribe-Post": true, "List-Id": true} {
		if got := m.Header.Get(name) != ""; got != want {
			b.Fatalf("a mail has the header %s: %t, want %t; its headers are %v", name, got, want, m.Header)
		}
	}
}

// usage is what bench procstat tells of a process and its children.
type usage struct {
	CPU  float64 `json:"cpu_s"`
	Peak float64 `json:"peak_rss_mb"`
}

func (b *sendBench) use(flags ...string) map[string]usage {
	b.Helper()
	args := append([]string{"procstat"}, flags...)
	args = append(args, "service="+strconv.Itoa(b.service.PID()))
	found := map[string]usage{}
	b.tool(&found, append(args, b.others...)...)
	return found
}

// raw is the rate at which net/smtp gets ready-made mails across, and their size.
func (b *sendBench) raw() (perSecond float64, size int64) {
	var r struct {
		PerSecond float64 `json:"messages_per_second"`
		Errors    int64   `json:"errors"`
		Messages  int     `json:"messages"`
	}
	b.tool(&r, "rawsend", "-mode", "netsmtp", "-conns", strconv.Itoa(connections), "-n", strconv.Itoa(b.n), "-size", strconv.Itoa(letterSize), "-addr", b.sink.Addr)
	if r.Errors > 0 || r.Messages != b.n {
		b.Fatalf("the bare client sent %+v, want %d mails", r, b.n)
	}
	stats := b.sink.QuickStats(b)
	return stats.PerSecond, stats.Bytes / max(1, stats.Messages)
}

// tool runs one of ../shared/bench and reads its line of JSON.
func (b *sendBench) tool(out any, args ...string) {
	b.Helper()
	raw, err := exec.Command(testkit.BenchTool(b), args...).Output()
	if err == nil {
		err = readJSON(raw, out)
	}
	if err != nil {
		b.Fatalf("bench %s: %v", args[0], err)
	}
}

// signatures is what 1,000 bare RSA-2048 signatures take, in CPU time of ours.
func (b *sendBench) signatures() time.Duration {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a mail"))
	before := b.ownTime()
	for range 1000 {
		if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
	return b.ownTime() - before
}

// ownTime is the processor time this program has used.
func (b *sendBench) ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
