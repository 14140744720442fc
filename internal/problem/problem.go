// Package problem gives every expected failure a kind and a message key.
//
// Domain code returns a problem; the edge (package web) turns it into an HTTP
// status and a sentence in the reader's language, and nowhere else does. An
// error that is no problem is a fault of ours: it is logged and shown as
// Internal, without its text.
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what a failure means to the one who asked.
type Kind int

// The kinds, with the HTTP status the edge gives them.
const (
	Internal     Kind = iota // 500: our fault
	Invalid                  // 422: the input is wrong; Fields says where
	Malformed                // 400: the request could not be read at all
	Unauthorized             // 401: who are you?
	Forbidden                // 403: you may not
	NotFound                 // 404: no such thing, or not yours
	Conflict                 // 409: the state does not allow it
	Gone                     // 410: it was, and is over
	TooLarge                 // 413: more than is accepted
	TooMany                  // 429: later
	Unavailable              // 503: a part we need is away; try again
)

var names = [...]string{"internal", "invalid", "malformed", "unauthorized", "forbidden", "not-found", "conflict", "gone", "too-large", "too-many", "unavailable"}

// String is the kind's stable name, used in problem type URIs and logs.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// Field is one wrong part of the input.
type Field struct {
	Name string // JSON pointer-like path without a leading slash: "topics/0/slug"
	Key  string // message key in the catalogue
	Args []any  // name, value, name, value…
}

// Error is a failure that someone can act on.
type Error struct {
	Kind   Kind
	Key    string  // message key in the catalogue
	Args   []any   // name, value, name, value…
	Fields []Field // what was wrong where, for Invalid

	cause error
}

// New makes a problem; args are name, value pairs for the message.
func New(kind Kind, key string, args ...any) *Error {
	return &Error{Kind: kind, Key: key, Args: args}
}

// InvalidField is the common case of one wrong field.
func InvalidField(name, key string, args ...any) *Error {
	return New(Invalid, "problem.invalid").Field(name, key, args...)
}

// Field adds one wrong part and returns the same problem.
func (e *Error) Field(name, key string, args ...any) *Error {
	e.Fields = append(e.Fields, Field{Name: name, Key: key, Args: args})
	return e
}

// OrNil is e when it has any field, else nil: the end of a validation.
func (e *Error) OrNil() error {
	if e == nil || len(e.Fields) == 0 {
		return nil
	}
	return e
}

// Because keeps the error that led here, for the log only.
func (e *Error) Because(err error) *Error {
	e.cause = err
	return e
}

// Error is for logs; people read the catalogue's text.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Kind, e.Key)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " [%s: %s]", f.Name, f.Key)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unwrap gives the error that led here.
func (e *Error) Unwrap() error { return e.cause }

// Of finds the problem in err's chain.
func Of(err error) (*Error, bool) {
	var p *Error
	ok := errors.As(err, &p)
	return p, ok
}

// Is reports whether err is a problem of the kind.
func Is(err error, kind Kind) bool {
	p, ok := Of(err)
	return ok && p.Kind == kind
}
