// Command postfix is `make postfix`: mails of a campaign to a real mail server,
// Debian's Postfix, first as the relay that takes them, which hands them on to
// another as the receivers' own (MX), and then straight to that one. What lies
// in the mailbox is read, and its signatures are verified by dkimpy and opendkim.
//
// It takes root (Postfix does) and Debian's postfix, python3-dkim,
// opendkim-tools. All of it is on loopback addresses; the machine's own mail
// server, if there is one, is left alone.
package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"assent/internal/testkit"
)

func main() {
	n := flag.Int("n", 1000, "mails of each way")
	flag.Parse()
	var lines []string
	status := testkit.Standalone("postfix", func(tb testing.TB) {
		for _, direct := range []bool{false, true} {
			lines = append(lines, deliver(tb, *n, direct))
		}
	})
	for _, l := range lines {
		fmt.Println(l)
	}
	os.Exit(status)
}
