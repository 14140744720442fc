//go:build testclock

package main

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// rereadAfter is how old what was read may be: reading for every mail would be
// a tenth of the work that benchmarks measure.
const rereadAfter = 5 * time.Millisecond

// clock is the real one, ahead by what stands in the file that
// ASSENT_TEST_CLOCK names, as a Go duration: tests move the program through
// weeks by writing there.
func clock() func() time.Time {
	type reading struct {
		at    time.Time
		ahead time.Duration
	}
	path := os.Getenv("ASSENT_TEST_CLOCK")
	var last atomic.Pointer[reading]
	return func() time.Time {
		now := time.Now()
		r := last.Load()
		if r == nil || now.Sub(r.at) > rereadAfter {
			r = &reading{now, aheadBy(path)}
			last.Store(r)
		}
		return now.Add(r.ahead)
	}
}

func aheadBy(path string) time.Duration {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	ahead, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return ahead
}
