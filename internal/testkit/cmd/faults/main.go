// Command faults is `make faults`: campaigns to a mail server that misbehaves,
// and to people who leave meanwhile, or are owed a promise. What came of each
// person is judged by what the mail server counted and what the API says.
//
// The exit status is 1 where anything was lost or doubled, mail began more than
// a second after somebody had left, somebody got more than they were promised,
// a confirmation took longer than two seconds, or two workers did not share
// their work.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"assent/internal/testkit"
)

func main() {
	n := flag.Int("n", 20_000, "recipients of a campaign")
	only := flag.String("only", "", "only these, comma-separated: "+names())
	flag.Parse()
	var rows []row
	var notes []string
	ran := 0
	status := 0
	for _, s := range scenarios {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		ran++
		status = max(status, testkit.Standalone(s.name, func(tb testing.TB) { // each cleans up after itself
			r, note := s.run(tb, *n)
			if r.mails > 0 {
				r.name = s.title
				rows = append(rows, r)
			}
			if note != "" {
				notes = append(notes, s.title+": "+note)
			}
			tb.Logf("%s: done", s.title)
		}))
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.DiscardEmptyColumns)
	fmt.Fprintln(w, "fault\tmails\tsent\tfailed\tuncertain\tskipped\ttaken\ttwice\tlost\tsaid otherwise\tseconds\tminutes of its clock\t")
	lost, twice, otherwise := 0, 0, 0
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%.0f\t\n", r.name, r.mails, r.sent, r.failed, r.uncertain, r.skipped, r.taken, r.twice, r.lost, r.otherwise, r.took.Seconds(), r.clock.Minutes())
		lost, twice, otherwise = lost+r.lost, twice+r.twice, otherwise+r.otherwise
	}
	_ = w.Flush()
	for _, note := range notes {
		fmt.Println(note)
	}
	fmt.Printf("faults=%d lost=%d twice=%d said_otherwise=%d not_kept=%d\n", ran, lost, twice, otherwise, failedChecks)
	if ran == 0 || lost+twice+otherwise+failedChecks > 0 {
		status = 1
	}
	os.Exit(status)
}

// failedChecks counts what was promised beside the table and not kept.
var failedChecks int

// mustHold tells of a promise that was not kept; the other scenarios go on.
func mustHold(tb testing.TB, kept bool, what string, args ...any) {
	tb.Helper()
	if !kept {
		failedChecks++
		tb.Logf("NOT KEPT: "+what, args...)
	}
}

func names() string {
	all := make([]string, len(scenarios))
	for i, s := range scenarios {
		all[i] = s.name
	}
	return strings.Join(all, ", ")
}

// scenario is one thing that goes wrong.
type scenario struct {
	name, title string
	run         func(tb testing.TB, n int) (row, string)
}

var scenarios []scenario

func init() { // names() is asked for while the table is made
	scenarios = []scenario{
		{"greylist", "1 % greylisted", func(tb testing.TB, n int) (row, string) {
			return misbehaving(tb, n, 0, "reject4", "1", "reject4-times", "1")
		}},
		{"data", "1 % cut at DATA", func(tb testing.TB, n int) (row, string) { return misbehaving(tb, n, 1) }},
		{"body", "1 % cut at the end of the mail, not taken", func(tb testing.TB, n int) (row, string) {
			return misbehaving(tb, n, 0, "drop", "1", "drop-at", "data")
		}},
		{"reply", "1 % cut before the reply, taken", func(tb testing.TB, n int) (row, string) {
			return misbehaving(tb, n, 0, "drop", "1", "drop-at", "reply")
		}},
		{"refuse", "5 % refused for good", func(tb testing.TB, n int) (row, string) { return misbehaving(tb, n, 0, "reject5", "5") }},
		{"421", "421 after every 20 mails", func(tb testing.TB, n int) (row, string) { return misbehaving(tb, n, 0, "max-per-conn", "20") }},
		{"stall", "stalls for a minute", stalling},
		{"leave", "200 leave in mid-send", leaving},
		{"promise", "one mail a week promised", promised},
		{"confirm", "confirmations beside a campaign", confirming},
		{"workers", "two workers", sharing},
		{"pace", "50 mails a second to one group", pacing},
	}
}
