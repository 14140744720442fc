package i18n

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// collators are kept by language: making one reads its tables, and one serves a
// single goroutine at a time.
var collators sync.Map // of *sync.Pool by language

// Sort puts all in the order in which readers of a language look a name up: by
// its alphabet, whatever the case. A space that joins (the half-space of
// Persian) counts as one that parts. Names that are alike stand by their bytes,
// so that the order is always the same.
//
// Databases do not sort so: SQLite goes by bytes, PostgreSQL by its cluster's
// locale.
func Sort[T any](lang string, all []T, name func(T) string) {
	if len(all) < 2 {
		return
	}
	pool, _ := collators.LoadOrStore(lang, &sync.Pool{New: func() any { return collate.New(language.Make(lang), collate.IgnoreCase) }})
	c := pool.(*sync.Pool).Get().(*collate.Collator)
	defer pool.(*sync.Pool).Put(c)
	slices.SortStableFunc(all, func(a, b T) int {
		x, y := name(a), name(b)
		if n := c.CompareString(spaced(x), spaced(y)); n != 0 {
			return n
		}
		return strings.Compare(x, y)
	})
}

func spaced(s string) string { return strings.ReplaceAll(s, "\u200c", " ") }
