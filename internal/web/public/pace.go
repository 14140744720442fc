package public

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pace hides what a sign-up cost. The work of Ask is the same for everybody,
// but what is taken back needs no disk; so an answer that kept less waits as
// long as one that kept all took lately: as one of those, drawn at random. New
// people, who are the many, wait for nothing.
type pace struct {
	mu     sync.Mutex
	recent [16]time.Duration
	n      int // ever noted
}

// note keeps how long a sign-up took that kept everything.
func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[p.n%len(p.recent)] = took
	p.n++
}

// draw is how long one of the recent ones took; 0 before the first.
func (p *pace) draw() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return 0
	}
	return p.recent[rand.IntN(min(p.n, len(p.recent)))]
}

// keep holds an answer whose work began at begun.
func (p *pace) keep(ctx context.Context, begun time.Time, whole bool) {
	if whole {
		p.note(time.Since(begun))
		return
	}
	wait := time.NewTimer(p.draw() - time.Since(begun))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
