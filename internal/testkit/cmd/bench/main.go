// Command bench measures the built program on this machine.
//
//	bench web [-pair sqlite]     start, memory, sign-ups, opens and clicks: `make bench-web`
//	bench send [-n 20000 …]      mails of a campaign against what net/smtp could send: `make bench-send`
//
// Everything is made through the API and asked from outside. PostgreSQL commits
// to the disk, with fsync on. The programs that ask and that take the mails run
// on the same cores, so the figures are those of a service that has to share.
// What was done is on standard error, the figures on standard output; the last
// line is the one to compare. A wrong answer ends the run with status 1.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"assent/internal/testkit"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 {
		args = []string{""}
	}
	flags := flag.NewFlagSet("bench "+args[0], flag.ExitOnError)
	pair := flags.String("pair", "postgres", "postgres (with Redis), or sqlite (with everything in one process)")
	var measure func(tb testing.TB) string
	switch args[0] {
	case "web":
		w := &webBench{pair: pair}
		flags.IntVar(&w.people, "people", 2000, "receivers of the tracked mails that are opened and clicked")
		flags.DurationVar(&w.time, "time", seconds(5), "of each load")
		measure = w.measure
	case "send":
		s := &sendBench{pair: pair}
		flags.IntVar(&s.n, "n", 20_000, "mails of a campaign")
		flags.IntVar(&s.runs, "runs", 3, "campaigns; the figures are medians")
		flags.StringVar(&s.rtt, "rtt", "0s", "network round trip that the mail server pretends")
		flags.BoolVar(&s.dkim, "dkim", true, "sign the mails (off: send from a domain without a key)")
		measure = s.measure
	default:
		fmt.Fprintln(os.Stderr, "usage: bench web|send [flags]; bench web -h lists them")
		return 2
	}
	_ = flags.Parse(args[1:])
	last := ""
	status := testkit.Standalone(flags.Name(), func(tb testing.TB) { last = measure(tb) })
	if last != "" {
		fmt.Println(last)
	}
	return status
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
