package store

import (
	"archive/tar"
	"bufio"
	"bytes"
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
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
	moderncsqlite "modernc.org/sqlite"

	"assent/internal/problem"
)

// sendingPausedKey is the row of installation that holds sending back.
const sendingPausedKey = "sending-paused"

// Restore fills a migrated, empty database from what Backup wrote, of either
// kind of database. It is one transaction, in which every row, count and hash
// is checked before the end: after any error, or a crash, the database is as
// empty as before. It holds a few MiB in memory.
//
// Marketing mail that was due by now may have gone out since the backup was taken:
// it becomes uncertain, and is not sent a second time. Confirmation and service
// mail is queued again, under its old Message-ID; all nodes count as lost.
// Withdrawals made since the backup are unknown here, so sending is paused
// (SendingPaused) until a person has entered them and calls ResumeSending.
//
// It fails with problem.Conflict for a database with rows, and for a backup of
// another schema version; with problem.Malformed for a file that is torn,
// changed, no backup, or whose rows the database does not take.
func (db *DB) Restore(ctx context.Context, r io.Reader) (Summary, error) {
	if err := db.CheckSchema(ctx); err != nil {
		return Summary{}, err
	}
	var tables []table
	var s Summary
	err := db.Read(ctx, func(tx *Tx) (err error) {
		if err := tx.Raw("SELECT max(version_id) FROM goose_db_version").Scan(&s.Schema).Error; err != nil {
			return err
		}
		tables, err = readTables(tx)
		return err
	})
	if err != nil {
		return Summary{}, fmt.Errorf("restore the database: %w", err)
	}
	in, err := openUnarchive(r)
	if err != nil {
		return Summary{}, err
	}
	if s, err = in.readManifest(s.Schema, tables); err != nil {
		return Summary{}, err
	}
	err = db.writer.WithContext(ctx).Connection(func(g *gorm.DB) error {
		conn, ok := g.Statement.ConnPool.(*sql.Conn)
		if !ok {
			return fmt.Errorf("%T is no connection", g.Statement.ConnPool)
		}
		return g.Transaction(func(g *gorm.DB) error {
			s.Tables, err = readBackup(&Tx{DB: g, db: db, now: db.Now()}, conn, in, tables, s.TakenAt)
			return err
		})
	})
	if err != nil {
		return Summary{}, refusal(ended(ctx, err), "")
	}
	return s, nil
}

func readBackup(tx *Tx, conn *sql.Conn, in *unarchive, tables []table, takenAt time.Time) ([]TableSummary, error) {
	if err := takeEmpty(tx, tables); err != nil {
		return nil, err
	}
	var found []TableSummary
	for _, t := range tables {
		rows := &rowReader{in: in, table: t, sum: sha256.New(), values: make([]any, len(t.columns))}
		load := loadSQLite
		if tx.Dialect() == Postgres {
			load = loadPostgres
		}
		if err := load(tx, conn, rows); err != nil {
			return nil, err
		}
		found = append(found, TableSummary{Name: t.name, Rows: rows.n, SHA256: hex.EncodeToString(rows.sum.Sum(nil))})
	}
	if err := in.readSums(found); err != nil {
		return nil, err
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	if err := settleRestored(tx, takenAt); err != nil {
		return nil, fmt.Errorf("settle what was under way at the time of the backup: %w", err)
	}
	return found, nil
}

// takeEmpty keeps writers off the tables and looks whether they are empty.
func takeEmpty(tx *Tx, tables []table) error {
	if tx.Dialect() == Postgres {
		names := make([]string, len(tables))
		for i, t := range tables {
			names[i] = quoted(t.name)
		}
		if _, err := tx.Run("LOCK TABLE " + strings.Join(names, ", ") + " IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock the tables: %w", err)
		}
	}
	for _, t := range tables {
		var taken bool
		if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM " + quoted(t.name) + ")").Scan(&taken).Error; err != nil {
			return fmt.Errorf("look into table %s: %w", t.name, err)
		}
		if taken {
			return problem.New(problem.Conflict, "store.not-empty", "Table", t.name)
		}
	}
	return nil
}

// loadSQLite inserts row by row: within one transaction that is the quickest way.
func loadSQLite(tx *Tx, _ *sql.Conn, rows *rowReader) error {
	t := rows.table
	if !t.refersToItself() {
		return insertRows(tx, rows)
	}
	drop, err := allowForward(tx, t)
	if err != nil {
		return err
	}
	if err := insertRows(tx, rows); err != nil {
		return err
	}
	return drop()
}

func insertRows(tx *Tx, rows *rowReader) error {
	t := rows.table
	insert := "INSERT INTO " + quoted(t.name) + " (" + t.columnList() + ") VALUES (?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	stmt, err := tx.Statement.ConnPool.PrepareContext(tx.Context(), insert)
	if err != nil {
		return fmt.Errorf("restore table %s: %w", t.name, err)
	}
	defer stmt.Close()
	for rows.more() {
		for rows.Next() {
			if _, err := stmt.ExecContext(tx.Context(), rows.values...); err != nil {
				return refusal(err, t.name)
			}
		}
	}
	return rows.err
}

// allowForward lets rows of a table refer to rows of it that come later, from
// here to the commit. While one waits, SQLite asks at every insert who waits for
// this row, and would read the whole table for the answer: drop takes away the
// index that saves it from that.
func allowForward(tx *Tx, t table) (drop func() error, err error) {
	wrap := func(err error) error { return fmt.Errorf("restore table %s: %w", t.name, err) }
	if _, err := tx.Run("PRAGMA defer_foreign_keys = ON"); err != nil {
		return nil, wrap(err)
	}
	var columns []string
	err = tx.Raw(`SELECT '"' || group_concat("from", '", "' ORDER BY seq) || '"' FROM pragma_foreign_key_list(?) WHERE "table" = ? GROUP BY id`, t.name, t.name).Scan(&columns).Error
	if err != nil {
		return nil, wrap(err)
	}
	name := func(i int) string { return quoted(fmt.Sprintf("restoring_%s_%d", t.name, i)) }
	for i, list := range columns {
		if _, err := tx.Run("CREATE INDEX " + name(i) + " ON " + quoted(t.name) + " (" + list + ")"); err != nil {
			return nil, wrap(err)
		}
	}
	return func() error {
		for i := range columns {
			if _, err := tx.Run("DROP INDEX " + name(i)); err != nil {
				return wrap(err)
			}
		}
		return nil
	}, nil
}

// loadPostgres copies a part at a time, since the server keeps every row's
// checks of foreign keys in memory until the end of a statement. A table that
// refers to itself is one statement: only at its end are all rows there.
func loadPostgres(tx *Tx, conn *sql.Conn, rows *rowReader) error {
	t := rows.table
	rows.together = t.refersToItself()
	for rows.more() {
		err := conn.Raw(func(driver any) error {
			c, ok := driver.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("%T is no connection to PostgreSQL", driver)
			}
			_, err := c.Conn().CopyFrom(tx.Context(), pgx.Identifier{t.name}, t.names(), rows)
			return err
		})
		if rows.err != nil {
			return rows.err
		}
		if err != nil {
			return refusal(err, t.name)
		}
	}
	return rows.err
}

// refusal makes a problem of what the database says against the data, and
// leaves other errors and problems as they are.
func refusal(err error, table string) error {
	if _, ok := problem.Of(err); ok {
		return err
	}
	var pg *pgconn.PgError
	var lite *moderncsqlite.Error
	var reference, data bool
	switch {
	case errors.As(err, &pg): // classes "data exception", "integrity constraint violation"
		reference, data = pg.Code == "23503", strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")
	case errors.As(err, &lite): // the low byte is the primary code: SQLITE_CONSTRAINT, SQLITE_MISMATCH
		reference, data = lite.Code() == sqliteForeignKey, lite.Code()&0xff == 19 || lite.Code()&0xff == 20
	}
	switch {
	case reference:
		return problem.New(problem.Malformed, "store.backup-reference").Because(err)
	case data:
		return problem.New(problem.Malformed, "store.backup-refused", "Table", table).Because(err)
	}
	if table != "" {
		return fmt.Errorf("restore table %s: %w", table, err)
	}
	return fmt.Errorf("restore the database: %w", err)
}

// settleRestored ends what was under way, and pauses sending from the moment on
// after which withdrawals may be missing. That of an earlier restore which
// nobody had settled when the backup was taken goes on.
func settleRestored(tx *Tx, takenAt time.Time) error {
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{`UPDATE messages SET state = 'uncertain', reason = 'restored from a backup', settled_at = ?
			WHERE state = 'queued' AND kind NOT IN ('confirm', 'service') AND due_at <= ?`, []any{tx.Now(), tx.Now()}},
		{`INSERT INTO slots (subscriber_id, topic_id, id, taken_at) SELECT m.subscriber_id, m.topic_id, m.id, ` + tx.Pick("CAST(? AS timestamptz)", "?") + ` FROM messages m
			JOIN brands b ON b.id = m.brand_id LEFT JOIN permissions p ON p.subscriber_id = m.subscriber_id AND p.topic_id = m.topic_id
			WHERE m.state = 'uncertain' AND m.reason = 'restored from a backup' AND m.kind = 'marketing' AND (b.cap_max > 0 OR p.promise_max > 0)
			ON CONFLICT DO NOTHING`, []any{tx.Now()}},
		{`DELETE FROM outbox WHERE (source_id, id) IN (SELECT source_id, id FROM messages WHERE state = 'uncertain')`, nil},
		{`UPDATE outbox SET node_id = NULL WHERE node_id IS NOT NULL`, nil},
		{`UPDATE nodes SET lost_at = ` + tx.LeaseNow() + ` WHERE lost_at IS NULL`, nil},
		{`UPDATE logs SET stopped = 'restored from a backup' WHERE ended_at IS NULL AND stopped = ''`, nil},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return err
		}
	}
	return tx.PauseSending(takenAt)
}

// PauseSending holds all sending back until ResumeSending, since withdrawals made
// after a time may be missing. An earlier time that is there already stays.
func (tx *Tx) PauseSending(since time.Time) error {
	if before, paused, err := sendingPaused(tx); err != nil {
		return err
	} else if paused && before.Before(since) {
		return nil
	}
	_, err := tx.Run(`INSERT INTO installation (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		sendingPausedKey, since.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return fmt.Errorf("pause sending: %w", err)
	}
	return nil
}

// SendingPaused tells whether a restore holds all sending back, and since when
// withdrawals may be missing: the time of the backup.
func (db *DB) SendingPaused(ctx context.Context) (since time.Time, paused bool, err error) {
	err = db.Read(ctx, func(tx *Tx) error {
		since, paused, err = sendingPaused(tx)
		return err
	})
	return since, paused, err
}

func sendingPaused(tx *Tx) (since time.Time, paused bool, err error) {
	var values []string
	if err := tx.Raw("SELECT value FROM installation WHERE key = ?", sendingPausedKey).Scan(&values).Error; err != nil {
		return since, false, fmt.Errorf("read whether sending is paused: %w", err)
	}
	if len(values) == 0 {
		return since, false, nil
	}
	if since, err = time.Parse(time.RFC3339Nano, values[0]); err != nil {
		return since, true, fmt.Errorf("read since when sending is paused: %w", err)
	}
	return since, true, nil
}

// ResumeSending ends the pause that a restore begins; repeatable. Only a person
// may say so, when the withdrawals made since the backup are entered.
func (db *DB) ResumeSending(ctx context.Context) error {
	return db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Run("DELETE FROM installation WHERE key = ?", sendingPausedKey); err != nil {
			return fmt.Errorf("resume sending: %w", err)
		}
		return nil
	})
}

// unarchive reads the files of a backup, of which one is at hand.
type unarchive struct {
	src  *source
	rest *bufio.Reader
	gz   *gzip.Reader
	tar  *tar.Reader

	name string // the file at hand; empty at the end
	sum  string // of the manifest
}

// source keeps a failure to read apart from a fault of what was read.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func openUnarchive(r io.Reader) (*unarchive, error) {
	u := &unarchive{src: &source{Reader: r}}
	u.rest = bufio.NewReaderSize(u.src, 64<<10)
	gz, err := gzip.NewReader(u.rest)
	if err != nil {
		return nil, u.foreign(err)
	}
	gz.Multistream(false)
	u.gz, u.tar = gz, tar.NewReader(gz)
	return u, nil
}

func (u *unarchive) foreign(err error) error {
	if u.src.err != nil {
		return fmt.Errorf("read the backup: %w", u.src.err)
	}
	return problem.New(problem.Malformed, "store.backup-foreign").Because(err)
}

func (u *unarchive) broken(err error) error {
	if u.src.err != nil {
		return fmt.Errorf("read the backup: %w", u.src.err)
	}
	at := u.name
	if at == "" {
		at = "…"
	}
	return problem.New(problem.Malformed, "store.backup-broken", "At", at).Because(err)
}

// next goes on to the next file.
func (u *unarchive) next() error {
	h, err := u.tar.Next()
	if err == io.EOF {
		u.name = ""
		return nil
	}
	if err != nil {
		return u.broken(err)
	}
	u.name = h.Name
	if h.Typeflag != tar.TypeReg {
		return u.broken(fmt.Errorf("a file of type %q", h.Typeflag))
	}
	return nil
}

// readJSON reads the whole file at hand; no field may be unknown.
func (u *unarchive) readJSON(value any) (body []byte, err error) {
	const limit = 1 << 20
	body, err = io.ReadAll(io.LimitReader(u.tar, limit+1))
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, errors.New("too long")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return body, nil
}

// readManifest refuses what cannot be restored here, before anything is written.
func (u *unarchive) readManifest(schema int64, tables []table) (Summary, error) {
	h, err := u.tar.Next()
	if err != nil || h.Name != manifestName {
		return Summary{}, u.foreign(err)
	}
	u.name = manifestName
	var first struct {
		Program string `json:"program"`
		Format  int    `json:"format"`
	}
	var raw json.RawMessage
	body, err := u.readJSON(&raw)
	if err != nil {
		return Summary{}, u.broken(err)
	}
	if err := json.Unmarshal(raw, &first); err != nil || first.Program != backupProgram {
		return Summary{}, u.foreign(err)
	}
	if first.Format != backupFormat {
		return Summary{}, problem.New(problem.Conflict, "store.backup-format", "Format", first.Format, "Known", backupFormat)
	}
	var m manifest
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Summary{}, u.broken(err)
	}
	digest := sha256.Sum256(body)
	u.sum = hex.EncodeToString(digest[:])
	s := Summary{TakenAt: m.TakenAt, Schema: m.Schema, From: m.From}
	switch {
	case m.Schema > schema:
		return s, problem.New(problem.Conflict, "store.backup-newer", "Schema", m.Schema, "Known", schema)
	case m.Schema < schema:
		return s, problem.New(problem.Conflict, "store.backup-older", "Schema", m.Schema, "Known", schema)
	case m.TakenAt.IsZero() || kinds[m.From] == nil:
		return s, u.broken(errors.New("no time, or an unknown database"))
	}
	if name := difference(m.Tables, listed(tables)); name != "" {
		return s, problem.New(problem.Conflict, "store.backup-shape", "Table", name)
	}
	return s, u.next()
}

// difference names the first table that is not the same in both lists.
func difference(a, b []manifestTable) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return b[i].Name
		case i >= len(b) || a[i].Name != b[i].Name || !slices.Equal(a[i].Columns, b[i].Columns):
			return a[i].Name
		}
	}
	return ""
}

// readSums compares what was read with what was written.
func (u *unarchive) readSums(found []TableSummary) error {
	if u.name != sumsName {
		return u.broken(errors.New("not the file that is due"))
	}
	var s sums
	if _, err := u.readJSON(&s); err != nil {
		return u.broken(err)
	}
	if s.Manifest != u.sum {
		u.name = manifestName
		return u.broken(errors.New("the sum differs"))
	}
	for i, t := range found {
		if i >= len(s.Tables) || s.Tables[i] != t {
			u.name = t.Name
			return u.broken(errors.New("rows or the sum differ"))
		}
	}
	if !reflect.DeepEqual(s.Tables, found) {
		return u.broken(errors.New("sums of more tables"))
	}
	return nil
}

// end wants nothing more, neither in the archive nor behind it; gzip compares
// its own sum there.
func (u *unarchive) end() error {
	if err := u.next(); err != nil {
		return err
	}
	if u.name != "" {
		return u.broken(errors.New("a file too many"))
	}
	if n, err := io.CopyN(io.Discard, u.gz, 1); n != 0 || err != io.EOF {
		return u.broken(errors.Join(errors.New("more behind the end of the archive"), err))
	}
	if _, err := u.rest.ReadByte(); err != io.EOF {
		return u.broken(errors.New("more behind the end of the file"))
	}
	return nil
}

// rowReader reads the rows of one table. It is a pgx.CopyFromSource.
type rowReader struct {
	in       *unarchive
	table    table
	together bool // Next goes on from part to part, and does not stop between them

	part   int
	lines  *bufio.Scanner
	sum    hash.Hash
	n      int64
	values []any
	err    error
}

// more opens the table's next part, if there is one.
func (r *rowReader) more() bool {
	if r.err != nil || r.in.name != partName(r.table.name, r.part+1) {
		return false
	}
	r.part++
	r.lines = bufio.NewScanner(io.TeeReader(r.in.tar, r.sum))
	r.lines.Buffer(make([]byte, 0, 64<<10), rowLimit)
	r.lines.Split(wholeLines)
	return true
}

// wholeLines is bufio.ScanLines for lines that all end in LF.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// Next reads the next row into values.
func (r *rowReader) Next() bool {
	for r.err == nil {
		if r.lines.Scan() {
			r.n++
			r.err = r.parse(r.lines.Bytes())
			return r.err == nil
		}
		if err := r.lines.Err(); err != nil {
			r.err = r.in.broken(err)
		} else if r.err = r.in.next(); r.err == nil && (!r.together || !r.more()) {
			return false
		}
	}
	return false
}

// Values are those of the row that Next read.
func (r *rowReader) Values() ([]any, error) { return r.values, nil }

// Err is why Next stopped, if not for the end.
func (r *rowReader) Err() error { return r.err }

func (r *rowReader) parse(line []byte) error {
	if !utf8.Valid(line) {
		return r.in.broken(fmt.Errorf("row %d is no UTF-8", r.n))
	}
	rest := line
	for i, c := range r.table.columns {
		after, ok := bytes.CutPrefix(rest, []byte(c.lead))
		if !ok {
			return r.in.broken(fmt.Errorf("row %d: field %s is not where it belongs", r.n, c.name))
		}
		value, after, err := parseValue(after)
		if err != nil {
			return r.in.broken(fmt.Errorf("row %d: field %s: %w", r.n, c.name, err))
		}
		if r.values[i], err = fit(c.kind, value); err != nil {
			return problem.New(problem.Malformed, "store.backup-refused", "Table", r.table.name).Because(fmt.Errorf("row %d: field %s: %w", r.n, c.name, err))
		}
		rest = after
	}
	if string(rest) != "}" {
		return r.in.broken(fmt.Errorf("row %d has more fields than its table", r.n))
	}
	return nil
}

// parseValue reads one value in the form that appendValue gives it: nil, bool,
// int64, string or []byte.
func parseValue(in []byte) (value any, rest []byte, err error) {
	switch {
	case bytes.HasPrefix(in, []byte("null")):
		return nil, in[4:], nil
	case bytes.HasPrefix(in, []byte("true")):
		return true, in[4:], nil
	case bytes.HasPrefix(in, []byte("false")):
		return false, in[5:], nil
	}
	if rest, ok := bytes.CutPrefix(in, []byte(`{"base64":`)); ok {
		text, rest, err := parseText(rest)
		if err != nil {
			return nil, nil, err
		}
		rest, ok := bytes.CutPrefix(rest, []byte("}"))
		if !ok {
			return nil, nil, errors.New("bytes with more fields")
		}
		v, err := base64.StdEncoding.Strict().DecodeString(text)
		return v, rest, err
	}
	if len(in) > 0 && in[0] == '"' {
		return parsed(parseText(in))
	}
	end := bytes.IndexAny(in, ",}")
	if end < 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	n, err := strconv.ParseInt(string(in[:end]), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(in[:end]) {
		return nil, nil, fmt.Errorf("%.40q is no value", in[:end])
	}
	return n, in[end:], nil
}

func parsed(text string, rest []byte, err error) (any, []byte, error) { return text, rest, err }

// parseText reads a JSON string.
func parseText(in []byte) (text string, rest []byte, err error) {
	if len(in) == 0 || in[0] != '"' {
		return "", nil, errors.New("no string")
	}
	for end := 1; end < len(in); end++ {
		switch in[end] {
		case '\\':
			end++
		case '"':
			if bytes.IndexByte(in[:end], '\\') < 0 && bytes.IndexFunc(in[:end], func(r rune) bool { return r < ' ' }) < 0 {
				return string(in[1:end]), in[end+1:], nil
			}
			err := json.Unmarshal(in[:end+1], &text)
			return text, in[end+1:], err
		}
	}
	return "", nil, io.ErrUnexpectedEOF
}

// fit makes the value of a column of it.
func fit(k kind, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case bool:
		if k == kindBool {
			return v, nil
		}
	case int64:
		if k == kindInt || k == kindInt32 && int64(int32(v)) == v {
			return v, nil
		}
	case []byte:
		switch k {
		case kindBytes:
			return v, nil
		case kindText: // no UTF-8; the database may refuse it
			return string(v), nil
		}
	case string:
		return fitText(k, v)
	}
	return nil, fmt.Errorf("a value of type %T is none of this column's", value)
}

func fitText(k kind, text string) (any, error) {
	switch k {
	case kindText:
		return text, nil
	case kindUUID:
		id, err := uuid.Parse(text)
		if err != nil || id.String() != text {
			return nil, errors.New("no UUID")
		}
		return [16]byte(id), nil
	case kindJSON:
		if !json.Valid([]byte(text)) {
			return nil, errors.New("no JSON")
		}
		return text, nil
	case kindTime:
		at, err := time.Parse(backupTime, text)
		if err != nil || at.Format(backupTime) != text {
			return nil, errors.New("no time")
		}
		return at, nil
	case kindDate, kindDay:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil || day.Format(time.DateOnly) != text {
			return nil, errors.New("no day")
		}
		if k == kindDay {
			return text, nil
		}
		return day, nil
	}
	return nil, errors.New("text is none of this column's")
}
