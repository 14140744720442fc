// Command bench measures the built program on this machine.
//
//	bench web [-pair sqlite]     start, memory, sign-ups, opens and clicks: `make bench-web`
//	bench send [-profile …]      mails of a campaign against what a bare client sends: `make bench-send`
//	bench pages [-people N]      the team's pages of a brand that has grown: `make bench-pages`
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
	var measure func(tb testing.TB) string
	switch args[0] {
	case "web":
		w := &webBench{}
		flags.StringVar(&w.pair, "pair", "postgres", "postgres (with Redis), or sqlite (with everything in one process)")
		flags.IntVar(&w.people, "people", 2000, "receivers of the tracked mails that are opened and clicked")
		flags.DurationVar(&w.time, "time", seconds(5), "of each load")
		measure = w.measure
	case "send":
		s := &sendBench{}
		flags.IntVar(&s.n, "n", 100_000, "mails of the main campaign; the others have a share of it")
		flags.IntVar(&s.runs, "runs", 3, "campaigns of each profile; the figures are medians")
		flags.StringVar(&s.profiles, "profile", "main,rtt5,rtt50,dkim,embedded", "what to measure, in this order: any of "+profileNames())
		flags.StringVar(&s.cpu, "cpuprofile", "", "keep a CPU profile of the service in this file, of the first campaign")
		flags.StringVar(&s.slow, "pglog", "", "keep PostgreSQL's log in this file, with the plans of statements that take 20 ms or more")
		measure = s.measure
	case "pages":
		p := &pagesBench{}
		flags.IntVar(&p.people, "people", 200_000, "people of the brand")
		flags.IntVar(&p.campaigns, "campaigns", 5, "campaigns to all of them")
		flags.IntVar(&p.rounds, "rounds", 20, "times that each page is asked for")
		flags.StringVar(&p.slow, "pglog", "", "keep PostgreSQL's log in this file, with the plans of statements that take 50 ms or more")
		measure = p.measure
	default:
		fmt.Fprintln(os.Stderr, "usage: bench web|send|pages [flags]; bench web -h lists them")
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
