package public

import (
	"context"
	"slices"
	"sync"
	"time"

	"assent/internal/signup"
)

// pace hides what a sign-up cost. The work of Ask is the same for everybody,
// but what is taken back needs no disk; so an answer that kept less waits for
// as long as such answers were lately the quicker ones, by their medians. New
// people, who are the many, wait for nothing. Programs that took the bait are
// not among those measured: their quick answers would make the others wait.
type pace struct {
	mu     sync.Mutex
	recent map[signup.Kept]*ring
}

// ring holds the latest durations, before any wait.
type ring struct {
	took [32]time.Duration
	n    int // ever noted
}

func (r *ring) median() time.Duration {
	if r == nil || r.n == 0 {
		return 0
	}
	sorted := slices.Clone(r.took[:min(r.n, len(r.took))])
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// note keeps how long an answer took, and tells how long it is to wait.
func (p *pace) note(kept signup.Kept, took time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recent == nil {
		p.recent = map[signup.Kept]*ring{}
	}
	r := p.recent[kept]
	if r == nil {
		r = &ring{}
		p.recent[kept] = r
	}
	r.took[r.n%len(r.took)] = took
	r.n++
	return p.recent[signup.KeptAll].median() - r.median()
}

// keep holds an answer whose work began at begun.
func (p *pace) keep(ctx context.Context, begun time.Time, kept signup.Kept) {
	if kept == signup.KeptBait {
		return
	}
	wait := p.note(kept, time.Since(begun))
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
