package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SinkProcess is the counting mail sink of ../shared/bench.
type SinkProcess struct {
	*Process
	Addr string // SMTP, host:port
	URL  string // as in ASSENT_SMTP_URL, without options but starttls
	HTTP string // base address of its counters
}

// Sink builds and starts the sink on free loopback ports; args are flags of
// `bench smtpsink`, such as -latency 5ms. It ends with the test, and the test
// skips where ../shared/bench is absent.
func Sink(tb testing.TB, args ...string) *SinkProcess {
	tb.Helper()
	bin, dir := BenchTool(tb), testFolder(tb, "sink")
	addr, web := FreeAddress(tb), FreeAddress(tb)
	s := &SinkProcess{Addr: addr, URL: "smtp://" + addr + "?starttls=none", HTTP: "http://" + web}
	s.Process = &Process{
		name: "the mail sink", dir: dir, sysproc: dieWithUs(false), stopWith: syscall.SIGTERM,
		argv: append([]string{bin, "smtpsink", "-addr", addr, "-http", web}, args...),
		ready: func(ctx context.Context) error {
			_, err := s.ask(ctx, http.MethodGet, "/stats?quick=1")
			return err
		},
	}
	tb.Cleanup(s.Kill)
	if err := s.Start(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// FreeAddress is a loopback port that nobody listens on now.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (s *SinkProcess) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.HTTP+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("the sink answers %s: %s", res.Status, body)
	}
	return body, err
}

func (s *SinkProcess) must(tb testing.TB, method, path string) []byte {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	body, err := s.ask(ctx, method, path)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// Delivery is one pair of a recipient and the key header's value (Subject).
type Delivery struct {
	Recipient   string // in small letters
	Key         string
	Count       int
	First, Last time.Time // when the sink accepted it
}

// Recipients is everything the sink has taken since the last Reset.
func (s *SinkProcess) Recipients(tb testing.TB) []Delivery {
	tb.Helper()
	var found []Delivery
	lines := bufio.NewScanner(strings.NewReader(string(s.must(tb, http.MethodGet, "/recipients"))))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 5 {
			tb.Fatalf("the sink's line %q has not 5 fields", lines.Text())
		}
		var n [3]int64
		for i := range n {
			v, err := strconv.ParseInt(f[i+2], 10, 64)
			if err != nil {
				tb.Fatalf("the sink's line %q: %v", lines.Text(), err)
			}
			n[i] = v
		}
		found = append(found, Delivery{Recipient: f[0], Key: f[1], Count: int(n[0]), First: time.Unix(0, n[1]), Last: time.Unix(0, n[2])})
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}

// SinkStats is what the sink counted since the last Reset.
type SinkStats struct {
	Messages    int64   `json:"messages"`
	Distinct    int64   `json:"distinct_recipients"`
	Pairs       int64   `json:"distinct_pairs"`
	Duplicates  int64   `json:"duplicate_deliveries"`
	Bytes       int64   `json:"bytes"`
	Seconds     float64 `json:"seconds"` // from the first to the last message
	PerSecond   float64 `json:"messages_per_second"`
	Rejected4   int64   `json:"rejected_4xx"`
	Rejected5   int64   `json:"rejected_5xx"`
	Dropped     int64   `json:"dropped_connections"`
	Protocol    int64   `json:"protocol_errors"`
	Open        int64   `json:"connections_open"`
	OpenMost    int64   `json:"connections_max"`
	Connections int64   `json:"connections_total"`
}

// Stats counts everything, which walks all pairs.
func (s *SinkProcess) Stats(tb testing.TB) SinkStats {
	tb.Helper()
	return s.stats(tb, "/stats")
}

// QuickStats reads the counters only: Distinct and Pairs stay 0.
func (s *SinkProcess) QuickStats(tb testing.TB) SinkStats {
	tb.Helper()
	return s.stats(tb, "/stats?quick=1")
}

func (s *SinkProcess) stats(tb testing.TB, path string) SinkStats {
	tb.Helper()
	var st SinkStats
	if err := json.Unmarshal(s.must(tb, http.MethodGet, path), &st); err != nil {
		tb.Fatalf("read the sink's counters: %v", err)
	}
	return st
}

// Reset forgets everything counted.
func (s *SinkProcess) Reset(tb testing.TB) {
	tb.Helper()
	s.must(tb, http.MethodPost, "/reset")
}

// Config changes the faults while the sink runs: name, value pairs such as
// "latency", "5ms", "reject4", "1".
func (s *SinkProcess) Config(tb testing.TB, pairs ...string) {
	tb.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	s.must(tb, http.MethodPost, "/config?"+q.Encode())
}
