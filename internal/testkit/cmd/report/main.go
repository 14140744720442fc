// Command report runs a `go test -json` command, shows what failed and what
// each package took, and ends with how many tests ran on each database and a
// last line "N passed, N failed, N skipped".
//
//	report go test -json ./...
//
// A test counts when it has no subtests, or fails when they pass. A package that
// does not build, panics or runs out of time counts as one failure. A skip is
// accepted only where its output says testkit.Absent; any other is a failure, and
// so is a run without a single test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// absent is testkit.Absent; a test holds them equal, and this program builds
// without the browser and servers of testkit.
const absent = "../shared is absent"

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: report go test -json PACKAGES")
		os.Exit(2)
	}
	ok, err := follow(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// follow runs the command to its end and reports whether all is well.
func follow(argv []string, out io.Writer) (bool, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("run %s: %w", argv[0], err)
	}
	r := newReport(absent, out)
	readErr := r.read(pipe)
	waitErr := cmd.Wait()
	if readErr != nil {
		return false, fmt.Errorf("read the test events: %w", readErr)
	}
	return r.close(waitErr), nil
}

// read takes events until the end; a line that is none (the go command's own
// words) is passed on.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				r.out.Write(line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
