// Command ledger judges the log of consent from outside: `make judge-ledger`.
//
// Fifty writers record events through the API of the running program, on
// PostgreSQL and on SQLite. What the log makes of them is judged by code that is
// not the program's: fsck of tessera over HTTP, transparency-dev/merkle for
// inclusion and, in a witness that countersigns, for consistency. Then rows are
// changed, deleted, inserted and reordered behind the program's back, and an
// older copy of the database is put in its place.
//
// The last line is events=… fsck=… proofs=… tampered=… named=…; a wrong answer
// ends the run with status 1.
package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"assent/internal/testkit"
)

func main() { os.Exit(run()) }

func run() int {
	j := &judge{}
	flag.IntVar(&j.events, "events", 100_000, "events to be recorded on PostgreSQL; SQLite gets a tenth")
	flag.IntVar(&j.writers, "writers", 50, "writers at a time")
	flag.StringVar(&j.fsck, "fsck", "fsck", "the program fsck of github.com/transparency-dev/tessera")
	flag.Parse()
	status := testkit.Standalone("judge-ledger", func(tb testing.TB) {
		for _, pair := range []struct {
			name string
			n    int
		}{{"postgres", j.events}, {"sqlite", j.events / 10}} {
			j.judge(tb, pair.name, pair.n)
		}
	})
	fsck := "ok"
	if j.unsound {
		fsck = "BAD"
	}
	fmt.Printf("events=%d fsck=%s proofs=%d tampered=%d named=%d\n", j.recorded, fsck, j.proofs, j.tampered, j.named)
	return status
}
