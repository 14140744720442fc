package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	keepGood   = 5 * time.Minute
	keepFailed = 30 * time.Second
	keepMost   = 20_000           // answers
	patience   = 15 * time.Second // for one question, however long those who wait for it would
)

// Cache is a Resolver that remembers. A question that many ask at once is asked
// once. Safe for concurrent use.
type Cache struct {
	from Resolver

	mu    sync.Mutex
	known map[question]*answer
}

type question struct{ kind, name string }

// answer is one that came, or is under way until done is closed.
type answer struct {
	done  chan struct{}
	until time.Time // zero while under way
	value any
	err   error
}

// NewCache remembers what another resolver answers.
func NewCache(from Resolver) *Cache {
	return &Cache{from: from, known: map[question]*answer{}}
}

// Fresh is the resolver behind the cache, for who has just changed a record and
// wants to see it.
func (c *Cache) Fresh() Resolver { return c.from }

// LookupMX gives the mail exchangers of a domain, best first. The host "." is a
// domain that takes no mail (RFC 7505).
func (c *Cache) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	found, err := ask(ctx, c, question{"MX", name}, func(ctx context.Context) ([]*net.MX, error) { return c.from.LookupMX(ctx, name) })
	own := make([]*net.MX, len(found)) // the caller may change what it is given
	for i, mx := range found {
		own[i] = &net.MX{Host: mx.Host, Pref: mx.Pref}
	}
	return own, err
}

// LookupTXT gives the texts of a name, the strings of each joined.
func (c *Cache) LookupTXT(ctx context.Context, name string) ([]string, error) {
	found, err := ask(ctx, c, question{"TXT", name}, func(ctx context.Context) ([]string, error) { return c.from.LookupTXT(ctx, name) })
	return slices.Clone(found), err
}

// LookupNetIP gives the addresses of a host; network is ip, ip4 or ip6.
func (c *Cache) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := ask(ctx, c, question{network, host}, func(ctx context.Context) ([]netip.Addr, error) { return c.from.LookupNetIP(ctx, network, host) })
	return slices.Clone(found), err
}

// LookupAddr gives the names of an address.
func (c *Cache) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	found, err := ask(ctx, c, question{"PTR", addr}, func(ctx context.Context) ([]string, error) { return c.from.LookupAddr(ctx, addr) })
	return slices.Clone(found), err
}

// ask gives what is known, or waits for whoever asks already, or asks. Who ends
// the waiting by its context does not end the question for the others.
func ask[T any](ctx context.Context, c *Cache, q question, look func(context.Context) (T, error)) (T, error) {
	q.name = strings.ToLower(strings.TrimSuffix(q.name, "."))
	a, mine := c.find(q)
	if mine {
		go func() {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			value, err := look(asking)
			c.keep(a, value, err)
		}()
	}
	select {
	case <-a.done:
		value, _ := a.value.(T)
		return value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// find gives the answer to a question; mine means that the caller has to fill it.
func (c *Cache) find(q question) (a *answer, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if a = c.known[q]; a != nil && (a.until.IsZero() || now.Before(a.until)) {
		return a, false
	}
	if len(c.known) >= keepMost {
		c.makeRoom(now)
	}
	a = &answer{done: make(chan struct{})}
	c.known[q] = a
	return a, true
}

func (c *Cache) keep(a *answer, value any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life := keepGood
	if err != nil {
		life = keepFailed
	}
	a.value, a.err, a.until = value, err, time.Now().Add(life)
	close(a.done)
}

// makeRoom forgets what is over, and if that is little, any tenth of the rest.
func (c *Cache) makeRoom(now time.Time) {
	for q, a := range c.known {
		if !a.until.IsZero() && !now.Before(a.until) {
			delete(c.known, q)
		}
	}
	for q, a := range c.known {
		if len(c.known) <= keepMost*9/10 {
			return
		}
		if !a.until.IsZero() {
			delete(c.known, q)
		}
	}
}
