package web

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter allows so many things a minute to each of many keys: a token bucket
// per key, of which at most a fixed number is remembered, the longest unused
// forgotten first. It is of this process: two processes allow twice as many.
type Limiter struct {
	mu     sync.Mutex
	limit  rate.Limit
	burst  int
	most   int
	recent *list.List // of *bucket, the newest use in front
	known  map[string]*list.Element
}

type bucket struct {
	key    string
	tokens *rate.Limiter
}

// NewLimiter allows perMinute things a minute to each key, burst of them at
// once, and remembers up to most keys (some 300 bytes each).
func NewLimiter(perMinute, burst, most int) *Limiter {
	return &Limiter{limit: rate.Limit(float64(perMinute) / 60), burst: max(1, burst), most: max(1, most), recent: list.New(), known: map[string]*list.Element{}}
}

// Allow takes a token of the key; when there is none it takes nothing and says
// after what time there will be one.
func (l *Limiter) Allow(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.bucket(key).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (l *Limiter) bucket(key string) *rate.Limiter {
	if at, ok := l.known[key]; ok {
		l.recent.MoveToFront(at)
		return at.Value.(*bucket).tokens
	}
	if l.recent.Len() >= l.most {
		last := l.recent.Back()
		delete(l.known, last.Value.(*bucket).key)
		l.recent.Remove(last)
	}
	b := &bucket{key: key, tokens: rate.NewLimiter(l.limit, l.burst)}
	l.known[key] = l.recent.PushFront(b)
	return b.tokens
}

// DomainChecks limits checks of senders' domains, each of which asks the name
// servers dozens of times: six a minute for each brand, three at once.
func DomainChecks() *Limiter { return NewLimiter(6, 3, 10_000) }
