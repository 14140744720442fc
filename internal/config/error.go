package config

import (
	"errors"
	"slices"
	"strings"
)

// Error is a wrong or missing setting. Its text is one line without secrets.
type Error struct {
	Setting string // as the person wrote it: ASSENT_LISTEN, or listen in FILE
	Problem string // what is wrong, a phrase with the setting as its subject
	Fix     string // what to do
	Cause   error  // what the system said, if anything
}

// Error is "SETTING problem (cause): fix".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Setting + " " + e.Problem)
	if e.Cause != nil {
		b.WriteString(" (" + oneLine(e.Cause).Error() + ")")
	}
	b.WriteString(": " + e.Fix)
	return b.String()
}

// Unwrap gives what the system said.
func (e *Error) Unwrap() error { return e.Cause }

// wrong is an Error whose setting the caller fills in.
func wrong(what, fix string) *Error { return &Error{Problem: what, Fix: fix} }

func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// nearest is the known name at most a third of its letters away.
func nearest(name string) (string, bool) {
	best, at := "", 1<<30
	for _, d := range table {
		if n := distance(strings.ToLower(name), d.name); n < at {
			best, at = d.name, n
		}
	}
	return best, at <= max(2, len(best)/3)
}

// distance counts the letters to insert, delete or change to make b of a
// (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func known(name string) bool {
	return slices.ContainsFunc(table, func(d setting) bool { return d.name == name })
}
