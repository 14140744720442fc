package durable_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"assent/internal/durable"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func TestATornLineSwallowsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	must(t, durable.Append(path, []byte("one\n")))
	must(t, os.WriteFile(path, []byte("one\ntw"), 0o600)) // the disk was full, or the process killed
	must(t, durable.Append(path, []byte("three\n")))
	if got := read(t, path); got != "one\ntw\nthree\n" {
		t.Errorf("the file has %q", got)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file may be read by others: %v", info.Mode())
	}
}

func TestLinesOfManyAreWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for range 20 {
				if err := durable.Append(path, []byte(strings.Repeat(fmt.Sprint(n), 300)+"\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	lines := strings.Split(strings.TrimSuffix(read(t, path), "\n"), "\n")
	if len(lines) != 160 {
		t.Fatalf("%d lines, want 160", len(lines))
	}
	for _, l := range lines {
		if l != strings.Repeat(l[:1], 300) {
			t.Fatalf("a line is mixed: %s", l)
		}
	}
}

func TestReplaceIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	must(t, durable.Replace(path, []byte("first")))
	must(t, os.WriteFile(filepath.Join(dir, ".checkpoint-123"), []byte("hal"), 0o600)) // killed before the rename
	must(t, durable.Replace(path, []byte("second")))
	must(t, durable.Sweep(path))
	if got := read(t, path); got != "second" {
		t.Errorf("the file has %q", got)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("%d files are left, want one", len(entries))
	}
	if err := durable.Replace(filepath.Join(dir, "none", "checkpoint"), nil); err == nil {
		t.Error("a folder that is not there was written to")
	}
}
