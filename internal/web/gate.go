package web

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bucket allows so many things within a time, all of them at once after a rest.
type Bucket struct {
	Key string // what it counts, for example "ip/192.0.2.1"
	N   int    // 0: no limit
	Per time.Duration
}

// Gate lets things through that several buckets have room for. With a Redis all
// processes share the buckets; while it does not answer, each process counts for
// itself, and nobody is kept waiting for it. A key leaves the process only under
// a keyed hash, and is forgotten once its bucket is full again.
type Gate struct {
	redis  redis.UniversalClient
	secret []byte

	mu     sync.Mutex
	away   time.Time // until when Redis is not asked
	recent *list.List
	known  map[string]*list.Element
}

const (
	gateTag      = "{assent:gate}:" // a cluster keeps them in one place
	gatePatience = 250 * time.Millisecond
	gateAway     = 5 * time.Second
	gateKnown    = 100_000 // buckets that one process counts
)

//go:embed gate.lua
var gateLua string

// gateScript is the generic cell rate algorithm: a bucket is the time at which it
// will be full again, and a thing puts that off by what it costs.
var gateScript = redis.NewScript(gateLua)

// NewGate makes a Gate; r may be nil.
func NewGate(r redis.UniversalClient, secret []byte) *Gate {
	return &Gate{redis: r, secret: secret, recent: list.New(), known: map[string]*list.Element{}}
}

// Pass is what came of asking.
type Pass struct {
	OK   bool
	Wait time.Duration // until all have room
	Used []float64     // of each bucket, from 0 to 1, this thing with it
}

// Take takes one thing from each bucket, or from none.
func (g *Gate) Take(ctx context.Context, now time.Time, buckets ...Bucket) Pass {
	keys, costs := make([]string, len(buckets)), make([]any, 0, 2*len(buckets))
	for i, b := range buckets {
		cost, holds := b.cell()
		keys[i], costs = g.name(b.Key), append(costs, cost, holds)
	}
	if full, ok := g.ask(ctx, keys, costs); ok {
		return pass(buckets, full)
	}
	return pass(buckets, g.alone(now, keys, costs))
}

// cell is what a thing costs and a bucket holds, in microseconds; nought costs nothing.
func (b Bucket) cell() (cost, holds int64) {
	if b.N <= 0 {
		return 0, 0
	}
	cost = max(1, b.Per.Microseconds()/int64(b.N))
	return cost, cost * int64(b.N)
}

// pass reads for each bucket how many microseconds it is from full: more than it
// holds is too much.
func pass(buckets []Bucket, full []int64) Pass {
	p := Pass{OK: true, Used: make([]float64, len(buckets))}
	for i, b := range buckets {
		_, holds := b.cell()
		if holds == 0 {
			continue
		}
		p.Used[i] = min(1, float64(full[i])/float64(holds))
		if over := full[i] - holds; over > 0 {
			p.OK, p.Wait = false, max(p.Wait, time.Duration(over)*time.Microsecond)
		}
	}
	return p
}

func (g *Gate) name(key string) string {
	h := hmac.New(sha256.New, g.secret)
	h.Write([]byte(key))
	return gateTag + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

func (g *Gate) ask(ctx context.Context, keys []string, costs []any) ([]int64, bool) {
	if g.redis == nil || len(keys) == 0 {
		return nil, false
	}
	g.mu.Lock()
	away := time.Now().Before(g.away)
	g.mu.Unlock()
	if away {
		return nil, false
	}
	type answer struct {
		full []int64
		err  error
	}
	done := make(chan answer, 1) // a client waits for a silent server as long as it is set to; we do not
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatePatience)
	go func() {
		defer cancel()
		full, err := gateScript.Run(asking, g.redis, keys, costs...).Int64Slice()
		done <- answer{full, err}
	}()
	late := time.NewTimer(gatePatience)
	defer late.Stop()
	var a answer
	select {
	case a = <-done:
	case <-late.C:
		a.err = context.DeadlineExceeded
	}
	if a.err == nil && len(a.full) == len(keys) {
		return a.full, true
	}
	g.mu.Lock()
	g.away = time.Now().Add(gateAway)
	g.mu.Unlock()
	slog.WarnContext(ctx, "the limits of sign-ups cannot reach Redis; this process counts for itself", "error", a.err)
	return nil, false
}

// cell is a bucket of this process.
type cell struct {
	key  string
	full time.Time // when it will be
}

// alone is the script for this process.
func (g *Gate) alone(now time.Time, keys []string, costs []any) []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	full, room := make([]int64, len(keys)), true
	cells := make([]*cell, len(keys))
	for i, key := range keys {
		cost, holds := costs[2*i].(int64), costs[2*i+1].(int64)
		if holds == 0 {
			continue
		}
		cells[i] = g.cell(key)
		full[i] = max(0, cells[i].full.Sub(now).Microseconds()) + cost
		room = room && full[i] <= holds
	}
	if room {
		for i, c := range cells {
			if c != nil {
				c.full = now.Add(time.Duration(full[i]) * time.Microsecond)
			}
		}
	}
	return full
}

func (g *Gate) cell(key string) *cell {
	if at, ok := g.known[key]; ok {
		g.recent.MoveToFront(at)
		return at.Value.(*cell)
	}
	if g.recent.Len() >= gateKnown {
		last := g.recent.Back()
		delete(g.known, last.Value.(*cell).key)
		g.recent.Remove(last)
	}
	c := &cell{key: key}
	g.known[key] = g.recent.PushFront(c)
	return c
}
