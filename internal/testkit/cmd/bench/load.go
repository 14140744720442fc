package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// load is what came of asking for a while.
type load struct {
	name string
	c    int
	took time.Duration
	each []time.Duration // sorted
}

// press has c clients ask one after the other for a while; do gets a number of
// its own. The first error ends the run: a wrong answer is no throughput.
func press(tb testing.TB, name string, c int, d time.Duration, do func(i int64) error) load {
	tb.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var first error
	var crew sync.WaitGroup
	l := load{name: name, c: c}
	began := time.Now()
	end := began.Add(d)
	for range c {
		crew.Go(func() {
			var mine []time.Duration
			var err error
			for t := time.Now(); err == nil && t.Before(end); {
				err = do(next.Add(1) - 1)
				now := time.Now()
				mine = append(mine, now.Sub(t))
				t = now
			}
			mu.Lock()
			defer mu.Unlock()
			l.each = append(l.each, mine...)
			if first == nil {
				first = err
			}
		})
	}
	crew.Wait()
	l.took = time.Since(began)
	if first != nil {
		tb.Fatalf("%s: %v", name, first)
	}
	sort.Slice(l.each, func(i, j int) bool { return l.each[i] < l.each[j] })
	return l
}

// perSecond is requests answered a second.
func (l load) perSecond() float64 { return float64(len(l.each)) / l.took.Seconds() }

func (l load) quantile(q float64) float64 {
	return l.each[int(float64(len(l.each)-1)*q)].Seconds() * 1000
}

func (l load) String() string {
	return fmt.Sprintf("%s: c=%d n=%d rps=%.0f p50_ms=%.1f p99_ms=%.1f max_ms=%.1f", l.name, l.c, len(l.each), l.perSecond(), l.quantile(.5), l.quantile(.99), l.quantile(1))
}

// visitor keeps its connections open and follows no redirect.
func visitor(c int) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: c, MaxConnsPerHost: c, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0"

// ask sends a request as a reader's mail program would.
func ask(client *http.Client, req *http.Request) (*http.Response, []byte, error) {
	req.Header.Set("User-Agent", agent)
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

func readJSON(raw []byte, out any) error {
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("read %s: %w", raw, err)
	}
	return nil
}
