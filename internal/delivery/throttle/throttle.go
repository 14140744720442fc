// Package throttle decides how fast mails may leave: for each provider what it
// bears and what it has lately asked for, for each brand and each stream what
// its people set, for a new sender what its warm-up allows.
//
// Every limit is a token bucket, shared by all nodes through Redis: one call of
// one script lets out a whole batch of mails, and uses Redis's clock, so those
// of the nodes may differ. Over any time, a limit lets out at most rate × time
// and one burst. A refusal that asks for patience halves a limit's pace, caps
// it or stops it, by the table of package provider; a tenth of the full pace
// comes back every minute.
//
// While Redis is away each node takes its share of the rate, by how many nodes
// live, with the slow-downs it knew of. When Redis has lost its memory, limits
// begin with what a fifth of a second brings instead of a burst, but at their
// full pace: what a provider asked for is forgotten until it asks again. Nothing has to be
// rebuilt, for a warm-up is a pace too and no count.
//
// A mail without any limit costs nothing: Redis is not asked.
package throttle

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"assent/internal/delivery/provider"
)

// Want is a number of mails with the same limits. The first limit is the one
// that Held shows them under.
type Want struct {
	Limits []Limit
	N      int  // not negative
	Urgent bool // people wait for it: a fifth of each burst is kept for such mails
	UpTo   bool // as many as there may be, at most N: having fewer reserves no turns
}

// Grant is what a Want got.
type Grant struct {
	N      int           // mails that may begin now
	By     string        // key of the limit that holds the others; "" where there are none
	Slowed bool          // a limit is below its full pace: one connection is enough
	Wait   time.Duration // until the first of the others may come
	Gap    time.Duration // between any two of them
}

// After is how long the i-th of the mails not granted, counted from 0, is to
// wait before it asks again: one behind the other, and none longer than an
// hour, unless there is a pause. Should the pace rise, they come that much later
// than they could.
func (g Grant) After(i int) time.Duration {
	return g.Wait + time.Duration(i)*g.Gap%(aheadMax*time.Microsecond)
}

const (
	patience = time.Second          // with Redis, until it counts as away
	awayTime = 5 * time.Second      // after which an absent Redis is asked again
	tag      = "{assent:throttle}:" // in every key: a cluster keeps them in one place, so one script reaches all
	indexKey = tag + "news"
	maxSaid  = 200 // bytes of a server's words
	mostKeys = 500 // of one call, so that none holds up Redis for long
)

//go:embed bucket.lua
var bucketLua string

//go:embed take.lua
var takeLua string

//go:embed slow.lua
var slowLua string

var (
	takeScript = redis.NewScript(bucketLua + takeLua)
	slowScript = redis.NewScript(bucketLua + slowLua)
)

// Options of a Throttle.
type Options struct {
	Redis redis.UniversalClient // nil: this process is the only node
	Nodes func() int            // how many live, this one included; nil is 1
	Log   *slog.Logger
}

// Throttle lets mails out. Safe for concurrent use.
type Throttle struct {
	Options
	local  local
	budget time.Duration // patience, but in tests

	mu      sync.Mutex
	away    time.Time       // until when Redis is not asked
	drained map[string]bool // used here while Redis was away: what it holds of them is spent
}

// New makes a Throttle. It does not wait for Redis.
func New(o Options) *Throttle {
	if o.Nodes == nil {
		o.Nodes = func() int { return 1 }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Throttle{Options: o, budget: patience, local: local{buckets: map[string]*bucket{}, said: map[string]*tally{}}, drained: map[string]bool{}}
}

// Take lets mails out, all or some of each want, in the order of the wants.
// Where all wants are without limit nobody is asked.
func (t *Throttle) Take(ctx context.Context, wants ...Want) []Grant {
	grants := make([]Grant, len(wants))
	var asked []Want
	var at []int
	for i, w := range wants {
		if len(w.Limits) == 0 || w.N <= 0 {
			grants[i].N = max(w.N, 0)
			continue
		}
		asked, at = append(asked, w), append(at, i)
	}
	for i, g := range t.settle(ctx, asked) {
		grants[at[i]] = g
	}
	return grants
}

// Return gives back what was granted and not begun. It never gives more room
// than there was.
func (t *Throttle) Return(ctx context.Context, wants ...Want) {
	var back []Want
	for _, w := range wants {
		if len(w.Limits) > 0 && w.N > 0 {
			w.N = -w.N
			back = append(back, w)
		}
	}
	t.settle(ctx, back)
}

// settle asks Redis, in parts where there are very many limits, or this node.
func (t *Throttle) settle(ctx context.Context, wants []Want) []Grant {
	var grants []Grant
	for len(wants) > 0 {
		c := newCall(wants)
		part, err := t.ask(ctx, c)
		if err != nil {
			part = t.alone(c)
		}
		grants = append(grants, part...)
		wants = wants[len(c.wants):]
	}
	return grants
}

// errAlone says that this node decides by itself.
var errAlone = errors.New("no Redis to ask")

func (t *Throttle) ask(ctx context.Context, c *call) ([]Grant, error) {
	if !t.near() {
		return nil, errAlone
	}
	t.mu.Lock()
	args := c.args(t.drained)
	t.mu.Unlock()
	said, err := t.run(ctx, takeScript, c.keys(), args)
	if err != nil {
		return nil, err
	}
	numbers, err := integers(said, 5*len(c.wants)+2*len(c.limits))
	if err != nil {
		t.leave(err)
		return nil, err
	}
	t.mu.Lock()
	for _, l := range c.limits {
		delete(t.drained, l.Key)
	}
	t.mu.Unlock()
	t.local.learn(c.limits, numbers[5*len(c.wants):])
	return c.grants(numbers), nil
}

// alone lets mails out by this node's own buckets.
func (t *Throttle) alone(c *call) []Grant {
	nodes := 1
	if t.Redis != nil {
		nodes = max(1, t.Nodes())
		t.mu.Lock()
		for _, l := range c.limits {
			t.drained[l.Key] = true
		}
		t.mu.Unlock()
	}
	return t.local.take(c, nodes, t.Redis != nil)
}

// near reports whether Redis is worth asking.
func (t *Throttle) near() bool {
	if t.Redis == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().After(t.away)
}

// run runs a script within the budget. A client waits for a silent server as
// long as it is set to, so it is not waited for: what a late call takes is lost,
// which lets out less and never more.
func (t *Throttle) run(ctx context.Context, s *redis.Script, keys []string, args []any) (any, error) {
	type answer struct {
		said any
		err  error
	}
	done := make(chan answer, 1)
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.budget)
	go func() {
		defer cancel()
		said, err := s.Run(asking, t.Redis, keys, args...).Result()
		done <- answer{said, err}
	}()
	var a answer
	late := time.NewTimer(t.budget)
	defer late.Stop()
	select {
	case a = <-done:
	case <-late.C:
		a.err = context.DeadlineExceeded
	}
	if a.err != nil {
		t.leave(a.err)
	}
	return a.said, a.err
}

// leave notes that Redis is away, for a while.
func (t *Throttle) leave(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.away) {
		t.away = now.Add(awayTime)
		t.Log.Warn("the throttle cannot reach Redis; this node keeps to its share", "error", err)
	}
}

// Setback is a refusal that asks for another pace.
type Setback struct {
	Limit
	provider.Rule
	Said string // the server's words
}

// Slow obeys a refusal. changed is false where it changed nothing: it was not
// said often enough yet, or the pace was halved less than a minute ago, which
// answers to the mails that were under way then.
func (t *Throttle) Slow(ctx context.Context, s Setback) (changed bool) {
	if s.Effect == provider.Ignore || s.Limit.Rate <= 0 {
		return false
	}
	s.Said = oneLine(s.Said)
	if t.near() {
		h := fnv.New64a()
		h.Write([]byte(s.Pattern()))
		keys := []string{tag + s.Key, indexKey, tag + "said/" + strconv.FormatUint(h.Sum64(), 36) + "/" + s.Key}
		said, err := t.run(ctx, slowScript, keys, []any{s.Limit.Rate, s.burst(), string(s.Effect), s.Times,
			s.For.Microseconds(), s.PerMinute / 60, s.Said})
		if n, is := said.(int64); err == nil && is {
			return n == 1
		}
	}
	return t.local.slow(s)
}

// oneLine is a server's words as the record can hold them.
func oneLine(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "")
	}
	return s
}

// integers reads an answer of exactly n numbers.
func integers(said any, n int) ([]int64, error) {
	list, _ := said.([]any)
	if len(list) != n {
		return nil, fmt.Errorf("the throttle's script answers %d numbers, not %d", len(list), n)
	}
	numbers := make([]int64, n)
	for i, one := range list {
		v, ok := one.(int64)
		if !ok {
			return nil, fmt.Errorf("the throttle's script answers %T", one)
		}
		numbers[i] = v
	}
	return numbers, nil
}
