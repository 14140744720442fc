//go:build testclock

package main

import (
	"os"
	"strings"
	"time"
)

// clock is the real one, ahead by what stands in the file that
// ASSENT_TEST_CLOCK names, as a Go duration: tests move the program through
// weeks by writing there.
func clock() func() time.Time {
	path := os.Getenv("ASSENT_TEST_CLOCK")
	return func() time.Time {
		text, err := os.ReadFile(path)
		if err != nil {
			return time.Now()
		}
		ahead, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			return time.Now()
		}
		return time.Now().Add(ahead)
	}
}
