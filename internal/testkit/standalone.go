package testkit

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// Standalone runs f outside of `go test`, for programs that measure: the parts
// of this package take tb as they take a test. It returns the exit status:
// 0, or 1 after an Error or Fatal. Clean-ups run in every case.
func Standalone(name string, f func(tb testing.TB)) int {
	ctx, cancel := context.WithCancel(context.Background())
	p := &run{name: name, ctx: ctx}
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		defer p.finish(cancel)
		f(p)
	}()
	<-done
	if p.Failed() {
		return 1
	}
	return 0
}

// run is a testing.TB that prints to standard error. What it does not define
// itself is not to be called on it.
type run struct {
	testing.TB
	name string
	ctx  context.Context

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (r *run) finish(cancel func()) {
	if reason := recover(); reason != nil {
		r.Errorf("panic: %v\n%s", reason, stack())
	}
	cancel()
	for {
		r.mu.Lock()
		if len(r.cleanups) == 0 {
			r.mu.Unlock()
			return
		}
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = slices.Delete(r.cleanups, len(r.cleanups)-1, len(r.cleanups))
		r.mu.Unlock()
		last()
	}
}

func stack() []byte {
	text := make([]byte, 16<<10)
	return text[:runtime.Stack(text, false)]
}

func (r *run) Name() string             { return r.name }
func (r *run) Helper()                  {}
func (r *run) Context() context.Context { return r.ctx }

func (r *run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *run) TempDir() string {
	dir, err := os.MkdirTemp("", "assent-run-")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *run) Log(args ...any)                 { fmt.Fprintln(os.Stderr, args...) }
func (r *run) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (r *run) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *run) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *run) Error(args ...any) {
	r.Log(args...)
	r.Fail()
}

func (r *run) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.Fail()
}

func (r *run) Fatal(args ...any) {
	r.Log(args...)
	r.FailNow()
}

func (r *run) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.FailNow()
}

// A program that cannot measure has failed; there is nothing else it would do.
func (r *run) Skip(args ...any)                 { r.Fatal(args...) }
func (r *run) Skipf(format string, args ...any) { r.Fatalf(format, args...) }
func (r *run) SkipNow()                         { r.FailNow() }
func (r *run) Skipped() bool                    { return false }
