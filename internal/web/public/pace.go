package public

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"assent/internal/signup"
)

// pace hides what a sign-up cost. The work of Ask is the same for everybody, but
// what is taken back needs no disk. So all answers leave on a beat that is the
// same for everybody: as many beats after they came as their work took, begun
// ones counted whole, and a random part of a beat later. The beat is longer than
// nearly all answers lately took, whosever they were, so nearly all leave after
// one: what they took is not to be seen in it. Those that take longer, because a
// machine stumbles, leave one or two beats later, and whoever is new, waiting,
// confirmed or suppressed stumbles alike. Programs that took the bait leave at
// once and are not measured.
type pace struct {
	mu   sync.Mutex
	took [256]time.Duration // the latest, before any wait
	n    int                // ever noted
}

const (
	beatLeast = 12 * time.Millisecond
	beatMost  = 500 * time.Millisecond
	beatFirst = 64 * time.Millisecond // while nothing is known
	beatRoom  = 1.5                   // times what nearly all took
)

// note keeps how long the work of an answer took, and gives the beat.
func (p *pace) note(took time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%len(p.took)] = took
	p.n++
	if p.n < 16 {
		return max(beatFirst, p.beat())
	}
	return p.beat()
}

// beat is longer than 49 in 50 answers of late.
func (p *pace) beat() time.Duration {
	sorted := slices.Clone(p.took[:min(p.n, len(p.took))])
	slices.Sort(sorted)
	nearly := sorted[len(sorted)*49/50]
	return min(max(time.Duration(beatRoom*float64(nearly)), beatLeast), beatMost)
}

// wait is how long an answer whose work took so long still waits on a beat.
func wait(took, beat time.Duration) time.Duration {
	beats := took/beat + 1
	return beats*beat - took + rand.N(beat/2)
}

// keep holds an answer whose work began at begun.
func (p *pace) keep(ctx context.Context, begun time.Time, kept signup.Kept) {
	if kept == signup.KeptBait {
		return
	}
	took := time.Since(begun)
	timer := time.NewTimer(wait(took, p.note(took)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
