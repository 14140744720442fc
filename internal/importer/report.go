package importer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"

	"assent/internal/i18n"
	"assent/internal/store"
)

func report(tx *store.Tx, id uuid.UUID, all []*Refusal) error {
	rows := make([][]any, len(all))
	for i, f := range all {
		args := f.Args
		if args == nil {
			args = []any{}
		}
		text, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("report a row: %w", err)
		}
		sealed, err := tx.Ring().Seal(reportLabel, []byte(f.Value), rowName(id, f.Line))
		if err != nil {
			return err
		}
		rows[i] = []any{id, f.Line, f.Place, f.Why, string(text), f.Left, sealed}
	}
	_, err := tx.InsertAll("import_refusals", "import_id uuid, line bigint, place text, why text, args jsonb, left_it boolean, sealed bytea", rows, "")
	if err != nil {
		return fmt.Errorf("report refused rows: %w", err)
	}
	return nil
}

// Refusals gives rows of which nothing was taken, those after a line, at most
// limit, by the table's key.
func Refusals(tx *store.Tx, i Import, after int64, limit int) ([]Refusal, error) {
	var rows []struct {
		Line       int64
		Place, Why string
		Args       string
		LeftIt     bool
		Sealed     []byte
	}
	err := tx.Raw("SELECT line, place, why, args, left_it, sealed FROM import_refusals WHERE import_id = ? AND line > ? ORDER BY line LIMIT ?", i.ID, after, limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the report of an import: %w", err)
	}
	all := make([]Refusal, len(rows))
	for n, row := range rows {
		value, err := tx.Ring().Open(reportLabel, row.Sealed, rowName(i.ID, row.Line))
		if err != nil {
			return nil, fmt.Errorf("open a row of the report: %w", err)
		}
		all[n] = Refusal{Line: row.Line, Place: row.Place, Why: row.Why, Left: row.LeftIt, Value: string(value)}
		if err := json.Unmarshal([]byte(row.Args), &all[n].Args); err != nil {
			return nil, fmt.Errorf("read a row of the report: %w", err)
		}
		for k, a := range all[n].Args {
			if whole, is := a.(float64); is {
				all[n].Args[k] = int64(whole)
			}
		}
	}
	return all, nil
}

// Text says in plain words why nothing was taken of a row.
func (f Refusal) Text(l *i18n.Localizer) string {
	if !f.Left {
		return l.T(f.Why, f.Args...)
	}
	key := "import.left." + strings.ReplaceAll(f.Why, ":", ".")
	if !l.Has(key) {
		key = "import.left"
	}
	return l.T(key)
}

// WriteReport writes the rows as a file for a spreadsheet: UTF-8 with its mark,
// which Excel wants, and no cell that would be taken for a formula.
func WriteReport(w io.Writer, l *i18n.Localizer, next func(after int64) ([]Refusal, error)) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write([]string{l.T("import.report.row"), l.T("import.report.column"), l.T("import.report.value"), l.T("import.report.why")}); err != nil {
		return err
	}
	for after := int64(-1); ; {
		rows, err := next(after)
		if err != nil {
			return err
		}
		for _, f := range rows {
			if err := out.Write([]string{fmt.Sprint(f.Line), Plain(f.Place), Plain(f.Value), Plain(f.Text(l))}); err != nil {
				return err
			}
			after = f.Line
		}
		if len(rows) == 0 {
			out.Flush()
			return out.Error()
		}
	}
}

// Plain keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection).
func Plain(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
