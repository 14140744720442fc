package store

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// variablesMax is how many parameters SQLite takes in one statement
// (https://www.sqlite.org/limits.html §9).
const variablesMax = 32766

// InsertAll writes rows into a table with as few statements as there can be,
// and tells how many were written. columns are names with their PostgreSQL
// types, as in "id uuid, name text"; a row has a value for each, nil for NULL.
// conflict is empty or an ON CONFLICT clause.
//
// PostgreSQL gets one array a column, so that the statement and what it costs
// to plan stay the same for any number of rows; SQLite gets rows of values.
func (tx *Tx) InsertAll(table, columns string, rows [][]any, conflict string) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	names, _ := columnsOf(columns)
	into := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") "
	if tx.Dialect() == Postgres && len(rows) > 1 {
		from, args := tx.Rows("v", columns, rows)
		return tx.Run(into+"SELECT * FROM "+from+" "+conflict, args...)
	}
	var written int64
	for most := variablesMax / len(names); len(rows) > 0; {
		part := rows[:min(most, len(rows))]
		rows = rows[len(part):]
		n, err := tx.Run(into+"VALUES "+marks(len(part), len(names))+" "+conflict, flat(part)...)
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// Rows is rows of values as a table for FROM, named alias, with the arguments
// of its placeholders; columns are as for InsertAll. SQLite takes 32,766 values.
func (tx *Tx) Rows(alias, columns string, rows [][]any) (from string, args []any) {
	names, types := columnsOf(columns)
	if tx.Dialect() == Postgres {
		return fmt.Sprintf("unnest(%s) AS %s(%s)", arraysOf(types), alias, strings.Join(names, ", ")), turned(rows, len(names))
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("column%d AS %s", i+1, name) // what SQLite calls the columns of VALUES
	}
	return fmt.Sprintf("(SELECT %s FROM (VALUES %s)) AS %s", strings.Join(names, ", "), marks(len(rows), len(types)), alias), flat(rows)
}

func columnsOf(list string) (names, types []string) {
	for column := range strings.SplitSeq(list, ",") {
		name, kind, _ := strings.Cut(strings.TrimSpace(column), " ")
		names, types = append(names, name), append(types, kind)
	}
	return names, types
}

func arraysOf(types []string) string {
	arrays := make([]string, len(types))
	for i, t := range types {
		arrays[i] = fmt.Sprintf("CAST(? AS %s[])", t)
	}
	return strings.Join(arrays, ", ")
}

// turned makes an array of each column. pgx sends it in binary.
func turned(rows [][]any, columns int) []any {
	args := make([]any, columns)
	for c := range columns {
		cells := make([]any, len(rows))
		for r, row := range rows {
			cells[r] = cell(row[c])
		}
		args[c] = pgtype.Array[any]{Elements: cells, Dims: []pgtype.ArrayDimension{{Length: int32(len(cells)), LowerBound: 1}}, Valid: true}
	}
	return args
}

// cell spares pgx the way through the text of a UUID.
func cell(v any) any {
	switch id := v.(type) {
	case uuid.UUID:
		return pgtype.UUID{Bytes: id, Valid: true}
	case *uuid.UUID:
		if id == nil {
			return nil
		}
		return pgtype.UUID{Bytes: *id, Valid: true}
	}
	return v
}

// marks is ( ?, ?), ( ?, ?): GORM would spread bytes that follow a parenthesis.
func marks(rows, columns int) string {
	row := "( " + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	return strings.TrimSuffix(strings.Repeat(row+", ", rows), ", ")
}

func flat(rows [][]any) []any {
	all := make([]any, 0, len(rows)*len(rows[0]))
	for _, row := range rows {
		all = append(all, row...)
	}
	return all
}
