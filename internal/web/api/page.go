package api

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
)

// list is one page of a list.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Pass it as cursor for the next page; not there on the last." example:"AZ3p0000cACAAAAAAAAAAQ"`
}

// Paging is how a list is asked for. It is exported for huma, which sees no
// embedded type that is not.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most." example:"50"`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next of the page before; empty for the first." example:"AZ3p0000cACAAAAAAAAAAQ"`
}

var cursorForm = base64.RawURLEncoding.Strict()

// fromCursor takes one spelling of each cursor: the decoder would skip line ends.
func fromCursor(cursor string) ([]byte, error) {
	raw, err := cursorForm.DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") {
		return nil, badCursor()
	}
	return raw, nil
}

func badCursor() error { return problem.New(problem.Malformed, "api.cursor") }

// idCursor and readID make and read a cursor that is an id. It is a place in
// the asker's own list and nothing else, so it needs no signature.
func idCursor(id uuid.UUID) string { return cursorForm.EncodeToString(id[:]) }

func readID(cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	raw, err := fromCursor(cursor)
	if err != nil || len(raw) != len(uuid.UUID{}) {
		return uuid.Nil, badCursor()
	}
	return uuid.UUID(raw), nil
}

// timeCursor and readTime are the same for lists by time and id.
func timeCursor(at time.Time, id uuid.UUID) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro()))
	return cursorForm.EncodeToString(append(raw, id[:]...))
}

func readTime(cursor string) (time.Time, uuid.UUID, error) {
	raw, err := fromCursor(cursor)
	if err != nil || len(raw) != 8+len(uuid.UUID{}) {
		return time.Time{}, uuid.Nil, badCursor()
	}
	micro := int64(binary.BigEndian.Uint64(raw))
	if micro < 0 || micro > 253402300799e6 { // to the year 9999
		return time.Time{}, uuid.Nil, badCursor()
	}
	return time.UnixMicro(micro).UTC(), uuid.UUID(raw[8:]), nil
}

// page cuts a list of which one more than the limit was read.
func page[S, T any](rows []S, limit int, cursor func(S) string, show func(S) T) list[T] {
	l := list[T]{Items: make([]T, 0, min(len(rows), limit))}
	if len(rows) > limit {
		rows = rows[:limit]
		l.Next = cursor(rows[limit-1])
	}
	for _, r := range rows {
		l.Items = append(l.Items, show(r))
	}
	return l
}

// all makes one page of a whole list.
func all[S, T any](rows []S, show func(S) T) list[T] {
	return page(rows, len(rows), nil, show)
}

// noInput is an action that is told by its path alone.
type noInput struct{}

// ByID is an action on one thing.
type ByID struct {
	ID uuid.UUID `path:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000001"`
}

// utc brings a time to UTC and the precision that is stored.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}
