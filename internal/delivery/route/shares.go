package route

import "sync"

// Shares deals mails out to servers by their weights, evenly: of weights 2 and
// 1 every third mail goes to the second. Safe for concurrent use.
type Shares struct {
	mu     sync.Mutex
	weight []int
	credit []int
}

// NewShares begins with a weight, at least 1, for each server.
func NewShares(weights ...int) *Shares {
	return &Shares{weight: weights, credit: make([]int, len(weights))}
}

// Next is the server whose turn it is among those that can take a mail now; the
// others' shares go to these. It is -1 where there is none.
func (s *Shares) Next(can func(i int) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	best, total := -1, 0
	for i, w := range s.weight {
		if !can(i) {
			continue
		}
		s.credit[i] += w
		total += w
		if best < 0 || s.credit[i] > s.credit[best] {
			best = i
		}
	}
	if best >= 0 {
		s.credit[best] -= total
	}
	return best
}
