package main

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// event is a line of `go test -json` (cmd/test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

type outcome int

const (
	running outcome = iota
	passed
	failed
	skipped
)

// test is one test or subtest.
type test struct {
	pkg, name string
	out       strings.Builder
	end       outcome
	parent    bool
}

// report gathers events and prints as they come what a reader waits for.
type report struct {
	absent string // what the output of an accepted skip contains
	out    io.Writer

	tests    map[string]*test // "package\x00name"
	pkgOut   map[string]*strings.Builder
	pkgFails []string // packages that failed without a failing test
	failedIn map[string]bool
	builds   map[string]bool
}

func newReport(absent string, out io.Writer) *report {
	return &report{absent: absent, out: out, tests: map[string]*test{}, pkgOut: map[string]*strings.Builder{}, failedIn: map[string]bool{}, builds: map[string]bool{}}
}

func (r *report) add(e event) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Action == "build-fail":
		r.builds[e.ImportPath] = true
	case e.Test != "":
		r.addTest(e)
	case e.Action == "output":
		r.outputOf(e.Package).WriteString(e.Output)
	case e.Action == "pass":
		fmt.Fprintf(r.out, "ok    %-36s %6.1fs\n", e.Package, e.Elapsed)
	case e.Action == "fail":
		fmt.Fprintf(r.out, "FAIL  %-36s %6.1fs\n", e.Package, e.Elapsed)
		if !r.failedIn[e.Package] {
			r.pkgFails = append(r.pkgFails, e.Package)
			fmt.Fprint(r.out, indent(r.outputOf(e.Package).String()))
			r.showUnfinished(e.Package)
		}
	}
}

func (r *report) outputOf(pkg string) *strings.Builder {
	if r.pkgOut[pkg] == nil {
		r.pkgOut[pkg] = &strings.Builder{}
	}
	return r.pkgOut[pkg]
}

func (r *report) addTest(e event) {
	t := r.test(e.Package, e.Test)
	switch e.Action {
	case "output":
		t.out.WriteString(e.Output)
	case "pass":
		t.end = passed
		t.out.Reset()
	case "skip":
		t.end = skipped
	case "fail":
		t.end = failed
		r.failedIn[e.Package] = true
		if !t.parent || len(strings.TrimSpace(t.out.String())) > 0 {
			fmt.Fprintf(r.out, "\n--- FAIL: %s %s (%.2fs)\n%s", t.pkg, t.name, e.Elapsed, indent(t.out.String()))
		}
	}
}

func (r *report) test(pkg, name string) *test {
	key := pkg + "\x00" + name
	if t := r.tests[key]; t != nil {
		return t
	}
	t := &test{pkg: pkg, name: name}
	r.tests[key] = t
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		r.test(pkg, name[:i]).parent = true
	}
	return t
}

// failsBelow reports whether a subtest of the test did not pass: then the test
// itself says nothing new.
func (r *report) failsBelow(t *test) bool {
	for _, sub := range r.tests {
		if sub.pkg == t.pkg && strings.HasPrefix(sub.name, t.name+"/") && (sub.end == failed || sub.end == running) {
			return true
		}
	}
	return false
}

// showUnfinished prints what the tests said that were under way when their
// package ended: the panic or the time-out is there.
func (r *report) showUnfinished(pkg string) {
	for _, t := range r.sorted() {
		if t.pkg == pkg && t.end == running && t.out.Len() > 0 {
			fmt.Fprintf(r.out, "\n--- UNFINISHED: %s %s\n%s", t.pkg, t.name, indent(t.out.String()))
		}
	}
}

func (r *report) sorted() []*test {
	all := make([]*test, 0, len(r.tests))
	for _, t := range r.tests {
		all = append(all, t)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].pkg+"\x00"+all[i].name < all[j].pkg+"\x00"+all[j].name })
	return all
}

// tally counts outcomes.
type tally struct{ passed, failed, skipped int }

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// close prints the end of the report; waitErr is how the test command ended.
// It reports whether all is well.
func (r *report) close(waitErr error) bool {
	databases := map[string]*tally{"sqlite": {}, "postgres": {}, "no database": {}}
	var all tally
	ok := true
	for _, t := range r.sorted() {
		if t.parent && (t.end != failed || r.failsBelow(t)) {
			continue
		}
		on := databases[database(t.name)]
		switch t.end {
		case passed:
			all.passed++
			on.passed++
		case skipped:
			all.skipped++
			on.skipped++
			if !strings.Contains(t.out.String(), r.absent) {
				ok = false
				fmt.Fprintf(r.out, "\n--- SKIPPED WITHOUT LEAVE: %s %s\n%s", t.pkg, t.name, indent(t.out.String()))
			}
		default: // a test that never ended has failed with its package
			all.failed++
			on.failed++
		}
	}
	all.failed += len(r.pkgFails)
	if waitErr != nil && all.failed == 0 {
		ok = false
		fmt.Fprintf(r.out, "\nthe test command failed: %v\n", waitErr)
	}
	if all.passed == 0 {
		ok = false
		fmt.Fprintln(r.out, "\nno test passed")
	}
	fmt.Fprintf(r.out, "\non SQLite: %s\non PostgreSQL: %s\non no database, or on both at once: %s\n", databases["sqlite"], databases["postgres"], databases["no database"])
	fmt.Fprintln(r.out, all)
	return ok && all.failed == 0
}

// database is the one a test ran on, by an element of its name; a repeated
// subtest has #01 and so on behind it.
func database(name string) string {
	for _, kind := range []string{"sqlite", "postgres"} {
		if slices.ContainsFunc(strings.Split(name, "/"), func(e string) bool { return e == kind || strings.HasPrefix(e, kind+"#") }) {
			return kind
		}
	}
	return "no database"
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "=== ") { // RUN, PAUSE, CONT, NAME
			continue
		}
		b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}
