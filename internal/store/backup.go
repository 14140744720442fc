package store

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"assent/internal/problem"
)

// A backup is a gzipped tar, the same for both databases:
//
//	manifest.json            what it is: format, schema, time, tables with their columns
//	brands/000001.ndjson     rows, one JSON object a line; some MiB a file
//	brands/000002.ndjson     …
//	…                        tables follow so that rows refer to earlier ones
//	sums.json                SHA-256 of the manifest; rows and SHA-256 of every table
//
// An object has all columns of its table in the manifest's order. Values:
//
//	null
//	true, false
//	123                              integers of 64 bits, all digits
//	"2026-11-22T10:00:00.000000Z"    times
//	{"base64":"AP8="}                bytes, and text that is no UTF-8
//	"…"                              text, UUIDs, JSON documents
const (
	backupProgram = "assent"
	backupFormat  = 1
	backupTime    = "2006-01-02T15:04:05.000000Z"
	manifestName  = "manifest.json"
	sumsName      = "sums.json"

	partSize = 4 << 20  // a file of rows ends with the row that reaches it
	rowLimit = 64 << 20 // longer rows are neither written nor read
)

// Summary tells what a backup holds.
type Summary struct {
	TakenAt time.Time // just before the snapshot: what was committed later may not be in it
	Schema  int64     // version of the schema
	From    Dialect   // the database it was taken from
	Tables  []TableSummary
}

// TableSummary is one table of a backup.
type TableSummary struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of its files, one after another; hexadecimal
}

// Rows counts the rows of all tables.
func (s Summary) Rows() (n int64) {
	for _, t := range s.Tables {
		n += t.Rows
	}
	return n
}

type manifest struct {
	Program string          `json:"program"`
	Format  int             `json:"format"`
	Schema  int64           `json:"schema"`
	From    Dialect         `json:"dialect"`
	TakenAt time.Time       `json:"taken_at"`
	Tables  []manifestTable `json:"tables"`
}

type manifestTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

type sums struct {
	Manifest string         `json:"manifest"`
	Tables   []TableSummary `json:"tables"`
}

// Backup writes one consistent snapshot of all tables to w while others go on
// reading and writing. It holds a few MiB in memory, whatever the size of the
// database; on SQLite the write-ahead log cannot shrink until it is done.
//
// The secret ring is not in it: keep ASSENT_SECRET, or the secret file of the
// data folder, beside the backup, or what is stored sealed stays closed for
// ever. The ring's fingerprint is in it, so a service started with another
// secret notices. The sums find accidents; they do not stop a forger, for whom
// a backup is as good as the database: keep it as safe.
//
// A schema older than the program is backed up as it is, a newer one refused
// with problem.Conflict. After an error what was written to w is worthless.
func (db *DB) Backup(ctx context.Context, w io.Writer) (Summary, error) {
	v, err := db.checkNotNewer(ctx)
	if err != nil {
		return Summary{}, err
	}
	if v.Current == 0 {
		return Summary{}, problem.New(problem.Conflict, "store.schema-older", "Current", v.Current, "Known", v.Known)
	}
	var s Summary
	err = db.snapshot(ctx, func(tx *Tx) error {
		s, err = writeBackup(tx, w)
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("back up the database: %w", err)
	}
	return s, nil
}

// snapshot is Read, but all queries of f see one and the same moment. SQLite's
// transactions are so by nature.
func (db *DB) snapshot(ctx context.Context, f func(*Tx) error) error {
	var options []*sql.TxOptions
	if db.dialect == Postgres {
		options = append(options, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	}
	return ended(ctx, db.reader.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		return f(&Tx{DB: g, db: db, now: db.Now()})
	}, options...))
}

func writeBackup(tx *Tx, w io.Writer) (Summary, error) {
	s := Summary{TakenAt: tx.Now(), From: tx.Dialect()}
	if err := tx.Raw("SELECT max(version_id) FROM goose_db_version").Scan(&s.Schema).Error; err != nil {
		return s, fmt.Errorf("read the schema's version: %w", err)
	}
	tables, err := readTables(tx)
	if err != nil {
		return s, err
	}
	out, err := newArchive(w, s.TakenAt)
	if err != nil {
		return s, err
	}
	m := manifest{Program: backupProgram, Format: backupFormat, Schema: s.Schema, From: s.From, TakenAt: s.TakenAt, Tables: listed(tables)}
	manifestSum, err := out.addJSON(manifestName, m)
	if err != nil {
		return s, err
	}
	for _, t := range tables {
		sum, err := out.addTable(tx, t)
		if err != nil {
			return s, fmt.Errorf("table %s: %w", t.name, err)
		}
		s.Tables = append(s.Tables, sum)
	}
	if _, err := out.addJSON(sumsName, sums{Manifest: manifestSum, Tables: s.Tables}); err != nil {
		return s, err
	}
	return s, out.close()
}

// listed is what the manifest says of the tables.
func listed(tables []table) []manifestTable {
	all := make([]manifestTable, len(tables))
	for i, t := range tables {
		all[i] = manifestTable{Name: t.name, Columns: t.names()}
	}
	return all
}

// archive writes the files of a backup.
type archive struct {
	gz  *gzip.Writer
	tar *tar.Writer
	at  time.Time
}

// newArchive compresses lightly: the snapshot, which holds up both databases'
// tidying, is over sooner.
func newArchive(w io.Writer, at time.Time) (*archive, error) {
	gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	return &archive{gz: gz, tar: tar.NewWriter(gz), at: at}, nil
}

func (a *archive) add(name string, body []byte) error {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(body)), ModTime: a.at.Truncate(time.Second), Format: tar.FormatUSTAR}
	if err := a.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := a.tar.Write(body); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (a *archive) addJSON(name string, value any) (sum string, err error) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	body = append(body, '\n')
	digest := sha256.Sum256(body)
	return hex.EncodeToString(digest[:]), a.add(name, body)
}

func (a *archive) close() error {
	if err := errors.Join(a.tar.Close(), a.gz.Close()); err != nil {
		return fmt.Errorf("end the file: %w", err)
	}
	return nil
}

// addTable writes a table's rows as they come, a part at a time.
func (a *archive) addTable(tx *Tx, t table) (TableSummary, error) {
	s := TableSummary{Name: t.name}
	rows, err := tx.Raw("SELECT " + t.columnList() + " FROM " + quoted(t.name)).Rows()
	if err != nil {
		return s, err
	}
	defer rows.Close()
	p := parts{archive: a, table: t.name, sum: sha256.New()}
	values, places := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return s, err
		}
		if err := p.addRow(t, values); err != nil {
			return s, fmt.Errorf("row %d: %w", s.Rows+1, err)
		}
		s.Rows++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return s, err
	}
	err = p.flush()
	s.SHA256 = hex.EncodeToString(p.sum.Sum(nil))
	return s, err
}

// parts cuts a table's rows into files.
type parts struct {
	archive *archive
	table   string
	n       int
	buf     []byte
	sum     hash.Hash
}

func partName(table string, n int) string { return fmt.Sprintf("%s/%06d.ndjson", table, n) }

func (p *parts) addRow(t table, values []any) error {
	start := len(p.buf)
	for i, c := range t.columns {
		p.buf = append(p.buf, c.lead...)
		var err error
		if p.buf, err = appendValue(p.buf, c.kind, values[i]); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	p.buf = append(p.buf, "}\n"...)
	if n := len(p.buf) - start; n > rowLimit {
		return fmt.Errorf("%d bytes are too long", n)
	}
	if len(p.buf) < partSize {
		return nil
	}
	return p.flush()
}

func (p *parts) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	p.n++
	p.sum.Write(p.buf)
	err := p.archive.add(partName(p.table, p.n), p.buf)
	p.buf = p.buf[:0]
	return err
}

// appendValue writes what the database gave as JSON.
func appendValue(dst []byte, k kind, value any) ([]byte, error) {
	if value == nil {
		return append(dst, "null"...), nil
	}
	switch v := value.(type) {
	case bool:
		if k == kindBool {
			return strconv.AppendBool(dst, v), nil
		}
	case int64:
		switch k {
		case kindInt, kindInt32:
			return strconv.AppendInt(dst, v, 10), nil
		case kindBool:
			return strconv.AppendBool(dst, v != 0), nil
		}
	case time.Time:
		if v = v.UTC(); k == kindTime && v.Year() >= 0 && v.Year() <= 9999 {
			return append(v.AppendFormat(append(dst, '"'), backupTime), '"'), nil
		} else if (k == kindDate || k == kindDay) && v.Year() >= 0 && v.Year() <= 9999 {
			return append(v.AppendFormat(append(dst, '"'), time.DateOnly), '"'), nil
		}
	case string:
		switch k {
		case kindText, kindUUID, kindJSON:
			return appendText(dst, v), nil
		}
	case []byte:
		switch k {
		case kindText, kindUUID, kindJSON:
			return appendText(dst, string(v)), nil
		case kindBytes:
			return appendBytes(dst, v), nil
		}
	}
	return dst, fmt.Errorf("a value of type %T is none of this column's", value)
}

func appendBytes(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, `{"base64":"`...), v), `"}`...)
}

// appendText writes a JSON string that escapes no more than RFC 8259 §7 asks for.
func appendText(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		return appendBytes(dst, []byte(s))
	}
	dst = append(dst, '"')
	for {
		i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
		if i < 0 {
			return append(append(dst, s...), '"')
		}
		dst = append(dst, s[:i]...)
		if s[i] < ' ' {
			dst = fmt.Appendf(dst, `\u%04x`, s[i])
		} else {
			dst = append(dst, '\\', s[i])
		}
		s = s[i+1:]
	}
}

// kind is what a column holds, as far as the database itself knows: SQLite
// takes UUIDs and JSON for text.
type kind int

const (
	kindText kind = iota + 1
	kindUUID
	kindJSON
	kindBytes
	kindTime
	kindDate // a day, of PostgreSQL
	kindDay  // a day, of SQLite: text
	kindBool
	kindInt
	kindInt32
)

var kinds = map[Dialect]map[string]kind{
	Postgres: {"text": kindText, "uuid": kindUUID, "jsonb": kindJSON, "bytea": kindBytes, "timestamp with time zone": kindTime, "date": kindDate,
		"boolean": kindBool, "bigint": kindInt, "integer": kindInt32},
	SQLite: {"text": kindText, "blob": kindBytes, "datetime": kindTime, "date": kindDay, "boolean": kindBool, "integer": kindInt},
}

type table struct {
	name    string
	columns []column // by name
	refers  []string // the tables that its foreign keys name, perhaps itself
}

type column struct {
	name string
	kind kind
	lead string // what stands before its value in a row: brace or comma, name, colon
}

func (t table) names() []string {
	all := make([]string, len(t.columns))
	for i, c := range t.columns {
		all[i] = c.name
	}
	return all
}

func (t table) columnList() string {
	all := t.names()
	for i, name := range all {
		all[i] = quoted(name)
	}
	return strings.Join(all, ", ")
}

func (t table) refersToItself() bool { return slices.Contains(t.refers, t.name) }

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// The tables of a schema with their columns, but for goose's own, and which
// table refers to which. PostgreSQL's partitions are part of their table.
const (
	postgresColumns = `SELECT c.relname AS tab, a.attname AS name, format_type(a.atttypid, NULL) AS type
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'goose_db_version'
		ORDER BY c.relname, a.attname`
	postgresReferences = `SELECT c.relname AS tab, r.relname AS ref
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = current_schema() AND k.contype = 'f' AND NOT c.relispartition AND NOT r.relispartition`
	sqliteColumns = `SELECT t.name AS tab, c.name AS name, lower(c.type) AS type
		FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND t.name <> 'goose_db_version'
		ORDER BY t.name, c.name`
	sqliteReferences = `SELECT t.name AS tab, f."table" AS ref FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'`
)

// readTables gives all tables, those first that others refer to; two databases
// of one schema give the same.
func readTables(tx *Tx) ([]table, error) {
	var columns []struct{ Tab, Name, Type string }
	if err := tx.Raw(tx.Pick(postgresColumns, sqliteColumns)).Scan(&columns).Error; err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	var references []struct{ Tab, Ref string }
	if err := tx.Raw(tx.Pick(postgresReferences, sqliteReferences)).Scan(&references).Error; err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	var all []table
	for _, c := range columns {
		if len(all) == 0 || all[len(all)-1].name != c.Tab {
			all = append(all, table{name: c.Tab})
		}
		t := &all[len(all)-1]
		k, ok := kinds[tx.Dialect()][c.Type]
		if !ok {
			return nil, fmt.Errorf("column %s.%s has type %s, which a backup does not know", c.Tab, c.Name, c.Type)
		}
		lead := ","
		if len(t.columns) == 0 {
			lead = "{"
		}
		t.columns = append(t.columns, column{name: c.Name, kind: k, lead: lead + `"` + c.Name + `":`})
	}
	for _, r := range references {
		if i := slices.IndexFunc(all, func(t table) bool { return t.name == r.Tab }); i >= 0 {
			all[i].refers = append(all[i].refers, r.Ref)
		}
	}
	return inOrder(all)
}

// inOrder puts tables behind those they refer to, and is alphabetical otherwise.
func inOrder(tables []table) ([]table, error) {
	placed := map[string]bool{}
	var out []table
	for len(out) < len(tables) {
		i := slices.IndexFunc(tables, func(t table) bool {
			return !placed[t.name] && !slices.ContainsFunc(t.refers, func(r string) bool { return r != t.name && !placed[r] })
		})
		if i < 0 {
			return nil, errors.New("tables refer to each other in a circle")
		}
		placed[tables[i].name] = true
		out = append(out, tables[i])
	}
	return out, nil
}
