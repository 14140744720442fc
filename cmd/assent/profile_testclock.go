//go:build testclock

package main

import (
	"log/slog"
	"net/http"
	_ "net/http/pprof"
	"os"
)

// The build for tests and benchmarks can be profiled while it runs, at the
// loopback address in ASSENT_TEST_PPROF.
func init() {
	addr := os.Getenv("ASSENT_TEST_PPROF")
	if addr == "" {
		return
	}
	go func() {
		slog.Error("the profile is not served", "error", http.ListenAndServe(addr, nil))
	}()
}
