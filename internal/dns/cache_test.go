package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// table answers MX questions and counts them.
type table struct {
	Resolver
	asked atomic.Int32
	mx    func(name string) ([]*net.MX, error)
	takes time.Duration
}

func (r *table) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	r.asked.Add(1)
	select {
	case <-time.After(r.takes):
		return r.mx(name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func one(string) ([]*net.MX, error) { return []*net.MX{{Host: "mx.test.", Pref: 10}}, nil }

func TestAnswersAreKeptForTheirTime(t *testing.T) {
	for name, c := range map[string]struct {
		fails error
		keeps time.Duration
	}{
		"good":    {nil, 5 * time.Minute},
		"failed":  {errors.New("no answer"), 30 * time.Second},
		"missing": {&net.DNSError{IsNotFound: true}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := &table{mx: func(n string) ([]*net.MX, error) {
					if c.fails != nil {
						return nil, c.fails
					}
					return one(n)
				}}
				r := NewCache(from)
				ask := func() { _, _ = r.LookupMX(t.Context(), "Example.org") }
				ask()
				time.Sleep(c.keeps - time.Second)
				_, err := r.LookupMX(t.Context(), "example.org.")
				if from.asked.Load() != 1 || !errors.Is(err, c.fails) {
					t.Errorf("asked %d times within its time; %v", from.asked.Load(), err)
				}
				time.Sleep(2 * time.Second)
				ask()
				if from.asked.Load() != 2 {
					t.Errorf("asked %d times after its time", from.asked.Load())
				}
			})
		})
	}
}

func TestManyAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &table{mx: one, takes: time.Second}
		r := NewCache(from)
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { // asks first, and gives up: the others get their answer nevertheless
			if _, err := r.LookupMX(impatient, "example.org"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("gave up with %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				mx, err := r.LookupMX(t.Context(), "example.org")
				if err != nil || len(mx) != 1 || mx[0].Host != "mx.test." {
					t.Errorf("%v, %v", mx, err)
					return
				}
				mx[0].Host = "changed" // its own copy
			})
		}
		all.Wait()
		if from.asked.Load() != 1 {
			t.Errorf("asked %d times", from.asked.Load())
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &table{mx: one}
		r := NewCache(from)
		for i := range keepMost + 100 {
			if _, err := r.LookupMX(t.Context(), fmt.Sprintf("d%d.test", i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.known); n > keepMost {
			t.Errorf("keeps %d answers", n)
		}
		time.Sleep(keepGood + time.Second)
		for i := range keepMost {
			_, _ = r.LookupMX(t.Context(), fmt.Sprintf("later%d.test", i))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for q := range r.known {
			if q.name == fmt.Sprintf("d%d.test", keepMost+99) {
				t.Error("what is over was kept though room was needed")
			}
		}
	})
}
