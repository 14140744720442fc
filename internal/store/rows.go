package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Rows are values for a statement that is about many rows at once. In the
// statement they are one derived table: PostgreSQL gets an array a column, which
// costs it nothing to parse however many there are; SQLite gets one JSON text.
type Rows struct {
	names, types []string
	columns      []any // []uuid.UUID, []time.Time, []int64, []string or []bool, all as long
}

// UUIDs adds a column of ids.
func (r Rows) UUIDs(name string, v []uuid.UUID) Rows { return r.with(name, "uuid[]", v) }

// Times adds a column of times.
func (r Rows) Times(name string, v []time.Time) Rows { return r.with(name, "timestamptz[]", v) }

// Ints adds a column of whole numbers.
func (r Rows) Ints(name string, v []int64) Rows { return r.with(name, "bigint[]", v) }

// Texts adds a column of texts.
func (r Rows) Texts(name string, v []string) Rows { return r.with(name, "text[]", v) }

// Bools adds a column of truths.
func (r Rows) Bools(name string, v []bool) Rows { return r.with(name, "boolean[]", v) }

func (r Rows) with(name, kind string, v any) Rows {
	r.names, r.types, r.columns = append(r.names, name), append(r.types, kind), append(r.columns, v)
	return r
}

// As gives the rows as an item of FROM under an alias, and its arguments. It is
// for Select and Change.
func (tx *Tx) As(alias string, r Rows) (from string, args []any, err error) {
	if tx.Dialect() == Postgres {
		marks := make([]string, len(r.types))
		for i, kind := range r.types {
			marks[i] = "CAST(? AS " + kind + ")"
			args = append(args, bare(r.columns[i]))
		}
		return "unnest(" + strings.Join(marks, ", ") + ") AS " + alias + " (" + strings.Join(r.names, ", ") + ")", args, nil
	}
	picks := make([]string, len(r.names))
	for i, name := range r.names {
		picks[i] = fmt.Sprintf("value ->> %d AS %s", i, name)
	}
	text, err := json.Marshal(r.across())
	if err != nil {
		return "", nil, fmt.Errorf("write rows for a statement: %w", err)
	}
	return "(SELECT " + strings.Join(picks, ", ") + " FROM json_each(?)) AS " + alias, []any{string(text)}, nil
}

// bare gives ids as plain bytes: as what they are the driver would ask each to
// write itself as a text, and read that.
func bare(column any) any {
	ids, ok := column.([]uuid.UUID)
	if !ok {
		return column
	}
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// across turns columns into rows, with times as SQLite's driver stores them.
func (r Rows) across() [][]any {
	rows := [][]any{}
	put := func(i int, v any) {
		if i == len(rows) {
			rows = append(rows, make([]any, 0, len(r.columns)))
		}
		rows[i] = append(rows[i], v)
	}
	for _, column := range r.columns {
		switch column := column.(type) {
		case []uuid.UUID:
			for i, v := range column {
				put(i, v)
			}
		case []time.Time:
			for i, v := range column {
				put(i, v.UTC().Format(sqliteTime))
			}
		case []int64:
			for i, v := range column {
				put(i, v)
			}
		case []string:
			for i, v := range column {
				put(i, v)
			}
		case []bool:
			for i, v := range column {
				put(i, v)
			}
		}
	}
	return rows
}

// sqliteTime is how the driver writes a time (its _time_format=sqlite).
const sqliteTime = "2006-01-02 15:04:05.999999999-07:00"

// Select runs a query of a hot path past GORM: ? placeholders, and arguments as
// the driver takes them, slices too. The caller closes the rows.
func (tx *Tx) Select(statement string, args ...any) (*sql.Rows, error) {
	return tx.plain().QueryContext(tx.Context(), tx.numbered(statement), args...)
}

// Change runs a statement of a hot path past GORM and tells how many rows it touched.
func (tx *Tx) Change(statement string, args ...any) (int64, error) {
	r, err := tx.plain().ExecContext(tx.Context(), tx.numbered(statement), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (tx *Tx) plain() gorm.ConnPool { return tx.Statement.ConnPool }

// numberedStatements keeps statements with numbered placeholders; there are as many as the
// program's text holds.
var numberedStatements sync.Map

// numbered spells ? as $1, $2, … for PostgreSQL.
func (tx *Tx) numbered(statement string) string {
	if tx.Dialect() != Postgres {
		return statement
	}
	if s, ok := numberedStatements.Load(statement); ok {
		return s.(string)
	}
	var b strings.Builder
	n := 0
	for _, part := range strings.SplitAfter(statement, "?") {
		before, found := strings.CutSuffix(part, "?")
		b.WriteString(before)
		if found {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		}
	}
	numberedStatements.Store(statement, b.String())
	return b.String()
}

// Analyze has PostgreSQL look at a table anew, after so much was written to it
// that plans made before would be wrong. SQLite's plans need none.
func (db *DB) Analyze(ctx context.Context, table string) error {
	if db.dialect != Postgres {
		return nil
	}
	_, err := db.pool.Exec(ctx, "ANALYZE "+table)
	return err
}
