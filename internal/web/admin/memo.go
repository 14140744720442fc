package admin

import (
	"sync"
	"time"
)

// memo keeps what took long to count for twenty times as long as it took, a
// minute at most, so that many who look cost little more than one. What was
// quick is counted anew each time. A count never gives way to one that began
// before it: what was seen to rise does not fall. Its times are of the machine's
// clock.
type memo[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	began time.Time // of counting
	until time.Time
}

const (
	memoQuick = 50 * time.Millisecond
	memoMost  = 1000 // entries
	memoTurn  = 10 * time.Second
)

func (m *memo[K, V]) of(key K, count func() (V, error)) (V, error) {
	began := time.Now()
	m.mu.Lock()
	old, ok := m.kept[key]
	fresh := ok && began.Before(old.until)
	if ok && !fresh { // whoever comes first counts; the others see the last count meanwhile
		m.kept[key] = remembered[V]{old.value, old.began, began.Add(memoTurn)}
	}
	m.mu.Unlock()
	if fresh {
		return old.value, nil
	}
	value, err := count()
	if err != nil {
		return value, err
	}
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	if newer, ok := m.kept[key]; ok && newer.began.After(began) {
		return newer.value, nil
	}
	if took < memoQuick {
		took = 0
	}
	if m.kept == nil || len(m.kept) >= memoMost {
		m.kept = map[K]remembered[V]{}
	}
	m.kept[key] = remembered[V]{value, began, time.Now().Add(min(keepTimes*took, keepLongest))}
	return value, nil
}
