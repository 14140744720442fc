package admin

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// memo keeps what took long to count for twenty times as long as it took, a
// minute at most, so that many who look cost little more than one. What was
// quick is counted anew each time. While somebody counts anew, the others see
// the last count, if it was good until a minute ago. A count never gives way to
// one that began before it: what was seen to rise does not fall. Its times are
// of the machine's clock.
type memo[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]remembered[V]
}

type remembered[V any] struct {
	value    V
	began    time.Time // of counting
	until    time.Time // quick: when it was counted
	slow     bool
	counting bool // somebody counts it anew
}

const memoMost = 1000 // entries

// memoQuick is what is quick, as a time.Duration; tests have everything quick, or
// nothing.
var memoQuick atomic.Int64

func init() { memoQuick.Store(int64(50 * time.Millisecond)) }

func (m *memo[K, V]) of(key K, count func() (V, error)) (V, error) {
	began := time.Now()
	if value, ok := m.last(key, began); ok {
		return value, nil
	}
	value, err := count()
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.kept[key]
	if err != nil {
		if ok {
			old.counting = false
			m.kept[key] = old
		}
		return value, err
	}
	if ok && old.began.After(began) {
		return old.value, nil
	}
	if m.kept == nil {
		m.kept = map[K]remembered[V]{}
	}
	if len(m.kept) >= memoMost {
		maps.DeleteFunc(m.kept, func(_ K, r remembered[V]) bool { return !r.slow || began.After(r.until) })
	}
	if len(m.kept) >= memoMost {
		clear(m.kept)
	}
	now := remembered[V]{value: value, began: began, until: time.Now(), slow: int64(took) >= memoQuick.Load()}
	if now.slow {
		now.until = now.until.Add(min(keepTimes*took, keepLongest))
	}
	m.kept[key] = now
	return value, nil
}

// last is the count that is good at a time. Whoever finds that a slow one is
// over is the one to count.
func (m *memo[K, V]) last(key K, at time.Time) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.kept[key]
	switch {
	case !ok || !r.slow:
		return value, false
	case at.Before(r.until), r.counting && at.Sub(r.until) < keepLongest:
		return r.value, true
	}
	r.counting = true
	m.kept[key] = r
	return value, false
}
