//go:build !testclock

package main

import "time"

// clock is the real one. Only a build with the tag testclock has another.
func clock() func() time.Time { return time.Now }
