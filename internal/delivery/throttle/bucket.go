package throttle

import (
	"math"
	"sync"
	"time"

	"assent/internal/delivery/provider"
)

// local is the throttle of one node alone, by the same rules as the scripts:
// while Redis is away, or where there is none.
type local struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	said    map[string]*tally
	swept   float64
	clock   func() float64 // microseconds; nil is the machine's
}

// bucket is the twin of bucket.lua; see there. Times are microseconds.
type bucket struct {
	rate, burst    float64
	tokens, stamp  float64
	ahead          float64
	factor, halved float64
	paused         float64
	cap, capped    float64
	granted, held  int64
	heldAt         float64
	by, said       string
	free           bool // no record yet, and another limit as strict
}

// tally counts how often a rule's refusal was said within its hour.
type tally struct {
	n     int
	until float64
}

const (
	minute   = 60e6
	hour     = 60 * minute
	least    = 1.0 / 60
	recovers = 0.1 / minute
	aheadMax = 30 * minute
	forget   = 5 * minute
	keepMost = 20_000 // buckets, until those without news are forgotten
)

var began = time.Now()

// now counts from long before the process began, so that what never happened,
// at 0, is long ago.
func (l *local) now() float64 {
	if l.clock != nil {
		return l.clock()
	}
	return 1e15 + float64(time.Since(began).Microseconds())
}

func (b *bucket) share(at float64) float64 {
	return min(1, b.factor+max(0, at-b.halved)*recovers)
}

func (b *bucket) pace(at float64) float64 {
	rate := b.rate * b.share(at)
	if at < b.capped {
		rate = min(rate, b.cap)
	}
	return max(rate, min(b.rate, b.cap, least))
}

func (b *bucket) size(now float64) float64 {
	return max(1, b.burst*b.pace(now)/b.rate)
}

// pass brings the bucket up to now.
func (b *bucket) pass(now float64) {
	if from := max(b.stamp, b.paused); now > from {
		b.tokens += (now - from) * min(b.pace(from), b.pace(now)) / 1e6
	}
	b.tokens = min(b.tokens, b.size(now))
	b.stamp = max(b.stamp, now)
}

func (b *bucket) slowed(now float64) bool {
	return b.share(now) < 1 || now < b.capped || now < b.paused
}

func (b *bucket) reserve(now float64, urgent bool) float64 {
	if s := b.size(now); !urgent && s >= 5 {
		return math.Floor(s / 5)
	}
	return 0
}

func (b *bucket) room(now float64, urgent bool) int {
	if b.free {
		return math.MaxInt
	}
	if now < b.paused {
		return 0
	}
	return int(max(0, math.Floor(b.tokens-b.reserve(now, urgent)+1e-6)))
}

func (b *bucket) wait(now float64, urgent bool) float64 {
	if b.free {
		return 0
	}
	if now < b.paused {
		return b.paused - now
	}
	return max(0, 1+b.reserve(now, urgent)-b.tokens) / b.pace(now) * 1e6
}

// find gives the bucket of a limit, up to date; a new one is nearly empty, or
// empty where others may just have used what it held.
func (l *local) find(now float64, limit Limit, nodes int, empty bool) *bucket {
	b := l.buckets[limit.Key]
	fresh := b == nil
	if fresh {
		b = &bucket{stamp: now, factor: 1, cap: limit.Rate}
	}
	b.rate, b.burst = limit.Rate/float64(nodes), limit.burst()/float64(nodes)
	if fresh && !empty {
		b.tokens = b.reserve(now, false) + max(1, b.burst/10)
	}
	if b.free = fresh && limit.covered; b.free {
		b.tokens = b.burst
	}
	b.pass(now)
	return b
}

// take is take.lua for one of some nodes; away is while there is a Redis, and
// it does not answer.
func (l *local) take(c *call, nodes int, away bool) []Grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	buckets := make([]*bucket, len(c.limits))
	for i, limit := range c.limits {
		buckets[i] = l.find(now, limit, nodes, away)
	}
	grants := make([]Grant, len(c.wants))
	for i, w := range c.wants {
		grants[i] = c.takeOne(now, w, c.which[i], buckets)
	}
	for i, b := range buckets {
		if !b.free {
			l.buckets[c.limits[i].Key] = b
		}
	}
	return grants
}

func (c *call) takeOne(now float64, w Want, which []int, buckets []*bucket) (g Grant) {
	granted := w.N
	for _, i := range which {
		if w.N > 0 {
			granted = min(granted, buckets[i].room(now, w.Urgent))
		}
	}
	for _, i := range which {
		b := buckets[i]
		b.tokens = min(b.size(now), b.tokens-float64(granted))
		b.granted += int64(granted)
		g.Slowed = g.Slowed || b.slowed(now)
	}
	g.N = max(0, granted)
	if granted == w.N {
		return g
	}
	by, wait := -1, 0.0
	for _, i := range which {
		if one := buckets[i].wait(now, w.Urgent); by < 0 || one > wait+1000 {
			by, wait = i, one
		}
	}
	b := buckets[by]
	gap := 1e6 / b.pace(now)
	g.By = c.limits[by].Key
	if !w.UpTo {
		wait = b.hold(now, w.N-granted, wait, gap)
		if subject := buckets[which[0]]; subject != b {
			subject.held, subject.heldAt, subject.by, subject.free = subject.held+int64(w.N-granted), now, g.By, false
		}
	} else if granted == 0 { // it keeps whoever asked waiting, and reserves no turns
		b.held, b.heldAt, b.by = b.held+1, now, ""
	}
	g.Wait, g.Gap = microseconds(int64(wait+0.5)), microseconds(int64(gap+0.5))
	return g
}

// hold gives n mails their times behind those that wait already.
func (b *bucket) hold(now float64, n int, wait, gap float64) float64 {
	first := max(now+wait, b.ahead)
	if first > now+max(wait, aheadMax) {
		first = now + max(wait, aheadMax/2)
	}
	b.ahead = first + min(float64(n)*gap, aheadMax)
	b.held, b.heldAt, b.by = b.held+int64(n), now, ""
	return first - now
}

// slow is slow.lua.
func (l *local) slow(s Setback) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if s.Times > 1 && !l.enough(now, s) {
		return false
	}
	b := l.find(now, s.Limit, 1, false)
	b.free, l.buckets[s.Key] = false, b
	till := now + float64(s.For.Microseconds())
	switch s.Effect {
	case provider.Halve:
		half := max(b.share(now)/2, min(1, least/b.rate))
		if now-b.halved < minute || half >= b.share(now) {
			return false
		}
		b.factor, b.halved = half, now
	case provider.Pause:
		b.paused = max(b.paused, till)
		b.factor, b.halved = min(b.share(now), 0.5), max(b.halved, till)
	default:
		if now >= b.capped {
			b.cap = s.PerMinute / 60
		}
		b.cap, b.capped = min(b.cap, s.PerMinute/60), max(b.capped, till)
		b.factor, b.halved = min(b.share(now), 0.5), max(b.halved, till)
	}
	b.tokens, b.said = min(b.tokens, 1), s.Said
	return true
}

func (l *local) enough(now float64, s Setback) bool {
	key := s.Pattern() + "\t" + s.Key
	t := l.said[key]
	if t == nil || now >= t.until {
		t = &tally{until: now + hour}
		l.said[key] = t
	}
	t.n++
	return t.n >= s.Times
}

// learn keeps what Redis said of limits that are below their pace, for the time
// when it is away, and forgets the rest. said is the pace in millionths of a
// mail a second and the pause in microseconds, of each.
func (l *local) learn(limits []Limit, said []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for i, limit := range limits {
		pace, pause := float64(said[2*i])/1e6, float64(said[2*i+1])
		if pace >= limit.Rate*0.999 && pause <= 0 {
			delete(l.buckets, limit.Key)
			continue
		}
		l.buckets[limit.Key] = &bucket{rate: limit.Rate, burst: limit.burst(), stamp: now, cap: limit.Rate,
			factor: min(1, pace/limit.Rate), halved: now + pause, paused: now + pause}
	}
}

// sweep forgets what has no news when there is too much.
func (l *local) sweep(now float64) {
	if len(l.buckets)+len(l.said) < keepMost || now < l.swept+minute {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if now-b.stamp > forget && !b.slowed(now) && now-b.heldAt > hour {
			delete(l.buckets, key)
		}
	}
	for key, t := range l.said {
		if now >= t.until {
			delete(l.said, key)
		}
	}
}
