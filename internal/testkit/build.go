package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Absent is why a test may skip: it needs what lies beside the checkout. The
// report refuses every skip that does not say it.
const Absent = "../shared is absent"

var builds sync.Map // what → func() (path string, err error)

// build runs go build once a process and gives the program's path.
func build(what string, dir func() (string, error), args ...string) (string, error) {
	v, _ := builds.LoadOrStore(what, sync.OnceValues(func() (string, error) {
		from, err := dir()
		if err != nil {
			return "", err
		}
		to, err := ownFolder("bin")
		if err != nil {
			return "", err
		}
		if err := os.Chmod(to, 0o755); err != nil {
			return "", err
		}
		path := filepath.Join(to, what[:strings.IndexByte(what+" ", ' ')])
		cmd := exec.Command("go", append([]string{"build", "-o", path}, args...)...)
		cmd.Dir = from
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+from)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", what, err, out)
		}
		return path, nil
	}))
	return v.(func() (string, error))()
}

// Binary is the path of the assent program, built once a process for each set
// of tags.
func Binary(tb testing.TB, tags ...string) string {
	tb.Helper()
	list := strings.Join(tags, ",")
	path, err := build("assent "+list, root, "-tags="+list, "./cmd/assent")
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Data is the path of a file or folder of the shared data: in the folder that
// ASSENT_TESTDATA names, else in ../shared/data beside the checkout. Where
// there is no such folder the test skips; where only the file is missing it
// fails.
func Data(tb testing.TB, path string) string {
	tb.Helper()
	dir := os.Getenv("ASSENT_TESTDATA")
	if dir == "" {
		dir = beside(tb, "data")
	}
	full := filepath.Join(dir, path)
	if _, err := os.Stat(full); err != nil {
		tb.Fatalf("the shared data has no %s: %v", path, err)
	}
	return full
}

// beside is a folder of ../shared; the test skips when it is not there.
func beside(tb testing.TB, name string) string {
	tb.Helper()
	top, err := root()
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(top), "shared", name)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		tb.Skipf("%s: this test needs its folder %s", Absent, name)
	}
	return dir
}

// BenchTool is the path of the measuring tools of ../shared/bench, built once a
// process; the test skips when they are not there.
func BenchTool(tb testing.TB) string {
	tb.Helper()
	dir := beside(tb, "bench")
	path, err := build("bench", func() (string, error) { return dir, nil }, ".")
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
