package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
	"assent/internal/testkit"
)

// The two migrations are written by hand, twice. This reads what the databases
// made of them, as sentences, and wants the same sentences from both.
func TestBothSchemasAgree(t *testing.T) {
	pg := facts(t, open(t, testkit.PostgresTemplate(t, "store", migrate), nil))
	lite := facts(t, open(t, testkit.SQLiteTemplate(t, "store", migrate), nil))
	for kind, least := range map[string]int{"table": 35, "column": 250, "key": 30, "unique": 15, "foreign": 40, "check": 15, "index": 20} {
		n := 0
		for _, f := range pg {
			if strings.HasPrefix(f, kind+" ") {
				n++
			}
		}
		if n < least {
			t.Errorf("only %d sentences on %s: the reading is broken", n, kind)
		}
	}
	same(t, pg, lite)
}

func same(t *testing.T, a, b []string) {
	t.Helper()
	for _, f := range a {
		if !slices.Contains(b, f) {
			t.Errorf("only the first says: %s", f)
		}
	}
	for _, f := range b {
		if !slices.Contains(a, f) {
			t.Errorf("only the second says: %s", f)
		}
	}
}

// facts tells a schema in sentences: tables, columns with type, nullability and
// whether they have a default, primary, unique and foreign keys, the number of
// checks, and indexes. PostgreSQL's partitions are left out.
func facts(t *testing.T, db *store.DB) (all []string) {
	t.Helper()
	must(t, db.Read(context.Background(), func(tx *store.Tx) error {
		read := postgresFacts
		if tx.Dialect() == store.SQLite {
			read = sqliteFacts
		}
		var err error
		all, err = read(tx)
		return err
	}))
	slices.Sort(all)
	return all
}

const postgresTables = `SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'goose_db_version'`

func postgresFacts(tx *store.Tx) (all []string, err error) {
	err = tx.Raw(`WITH t AS (` + postgresTables + `),
		cols AS (SELECT i.indexrelid, string_agg(a.attname, ',' ORDER BY k.n) AS names
			FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, n)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num GROUP BY i.indexrelid)
		SELECT 'table ' || relname FROM t
		UNION ALL SELECT 'column ' || t.relname || '.' || a.attname || ' ' ||
			CASE format_type(a.atttypid, a.atttypmod) WHEN 'uuid' THEN 'text' WHEN 'jsonb' THEN 'text' WHEN 'bytea' THEN 'blob'
				WHEN 'timestamp with time zone' THEN 'datetime' WHEN 'bigint' THEN 'integer' ELSE format_type(a.atttypid, a.atttypmod) END ||
			CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || CASE WHEN a.atthasdef THEN ' default' ELSE '' END
			FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT CASE WHEN i.indisprimary THEN 'key ' WHEN k.oid IS NOT NULL THEN 'unique ' ELSE 'index ' || c.relname || ' ' END ||
			t.relname || ' (' || cols.names || ')' ||
			CASE WHEN k.oid IS NULL AND i.indisunique AND NOT i.indisprimary THEN ' unique' ELSE '' END || CASE WHEN i.indpred IS NOT NULL THEN ' partial' ELSE '' END
			FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid JOIN cols ON cols.indexrelid = i.indexrelid
			LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
		UNION ALL SELECT 'foreign ' || t.relname || ' (' ||
			(SELECT string_agg(a.attname, ',' ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY AS u(num, n) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num) ||
			') to ' || k.confrelid::regclass || ' (' ||
			(SELECT string_agg(a.attname, ',' ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY AS u(num, n) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num) || ')'
			FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f'
		UNION ALL SELECT 'check ' || t.relname || ' ' || count(*) FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'c' GROUP BY t.relname`).
		Scan(&all).Error
	return all, err
}

var (
	comment = regexp.MustCompile(`--[^\n]*`)
	check   = regexp.MustCompile(`\bCHECK\s*\(`)
)

func sqliteFacts(tx *store.Tx) (all []string, err error) {
	err = tx.Raw(`WITH t AS (SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name <> 'goose_db_version'),
		cols AS (SELECT t.name AS tab, l.name AS idx, l.origin, l."unique" AS uniq, l.partial,
				(SELECT group_concat(x.name, ',') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno) x) AS names
			FROM t JOIN pragma_index_list(t.name) l),
		refs AS (SELECT t.name AS tab, f.id, f."table" AS ref, group_concat(f."from", ',' ORDER BY f.seq) AS here, group_concat(f."to", ',' ORDER BY f.seq) AS there
			FROM t JOIN pragma_foreign_key_list(t.name) f GROUP BY t.name, f.id)
		SELECT 'table ' || name FROM t
		UNION ALL SELECT 'column ' || t.name || '.' || c.name || ' ' || lower(c.type) ||
			CASE WHEN c."notnull" THEN ' not null' ELSE '' END || CASE WHEN c.dflt_value IS NOT NULL THEN ' default' ELSE '' END
			FROM t JOIN pragma_table_xinfo(t.name) c
		UNION ALL SELECT CASE origin WHEN 'pk' THEN 'key ' WHEN 'u' THEN 'unique ' ELSE 'index ' || idx || ' ' END || tab || ' (' || names || ')' ||
			CASE WHEN origin = 'c' AND uniq THEN ' unique' ELSE '' END || CASE WHEN partial THEN ' partial' ELSE '' END FROM cols
		UNION ALL SELECT 'foreign ' || tab || ' (' || here || ') to ' || ref || ' (' || there || ')' FROM refs`).Scan(&all).Error
	if err != nil {
		return nil, err
	}
	var tables []struct{ Name, SQL string }
	if err := tx.Raw("SELECT name, sql AS sql FROM sqlite_master WHERE type = 'table'").Scan(&tables).Error; err != nil {
		return nil, err
	}
	for _, x := range tables {
		if n := len(check.FindAllString(comment.ReplaceAllString(x.SQL, ""), -1)); n > 0 && x.Name != "goose_db_version" {
			all = append(all, fmt.Sprintf("check %s %d", x.Name, n))
		}
	}
	return all, nil
}

// world is the least that a message and a consent hang on, twice.
type world struct {
	db                                       *store.DB
	brand, person, topic, event, stream      uuid.UUID
	brand2, person2, topic2, event2, stream2 uuid.UUID
	content                                  uuid.UUID
}

func seed(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{db: db}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for i, ids := range [][]*uuid.UUID{{&w.brand, &w.person, &w.topic, &w.event, &w.stream}, {&w.brand2, &w.person2, &w.topic2, &w.event2, &w.stream2}} {
		for _, id := range ids {
			*id = store.NewID(at)
		}
		brand, person, topic, event, stream := *ids[0], *ids[1], *ids[2], *ids[3], *ids[4]
		for _, x := range []struct {
			sql  string
			args []any
		}{
			{`INSERT INTO brands (id, slug, name, postal_address, sender_name, sender_email, language, languages, texts, time_zone, address_key, created_at, updated_at)
				VALUES (?, ?, 'B', 'P', 'S', 's@example.org', 'en', '["en"]', '{}', 'UTC', ?, ?, ?)`, []any{brand, fmt.Sprint("b", i), []byte{1}, at, at}},
			{`INSERT INTO subscribers (id, brand_id, email, address_hash, language, attributes, created_at, updated_at)
				VALUES (?, ?, 'a@example.org', ?, 'en', '{}', ?, ?)`, []any{person, brand, []byte{2}, at, at}},
			{`INSERT INTO topics (id, brand_id, slug, purpose, texts, created_at, updated_at) VALUES (?, ?, 'news', 'marketing', '{}', ?, ?)`, []any{topic, brand, at, at}},
			{insertEvent, []any{event, brand, person, topic, at, []byte("{}")}},
			{`INSERT INTO streams (id, brand_id, queue, origin) VALUES (?, ?, 'bulk', 'campaign')`, []any{stream, brand}},
		} {
			must(t, run(t, db, x.sql, x.args...))
		}
	}
	w.content = store.NewID(at)
	must(t, run(t, db, `INSERT INTO contents (id, language, brand_id, subject, html, created_at) VALUES (?, 'en', ?, 'S', 'H', ?)`, w.content, w.brand, at))
	return w
}

const insertEvent = `INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf)
	VALUES (?, ?, ?, ?, 'given', 'explicit', 'form', ?, 'en', ?)`

// message queues one mail of the first brand to its person.
func (w *world) message(t *testing.T, source uuid.UUID, kind string, topic, event *uuid.UUID) error {
	t.Helper()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return run(t, w.db, `INSERT INTO messages (id, source_id, brand_id, stream_id, subscriber_id, part, kind, topic_id, consent_event_id, content_id, language, data, state, due_at, created_at)
		VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, 'en', '{}', 'queued', ?, ?)`,
		store.NewID(at), source, w.brand, w.stream, w.person, kind, topic, event, w.content, at, at)
}

func TestTheLedgerOnlyGrows(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		w := seed(t, db)
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		tries := map[string]func() error{
			"update": func() error {
				return run(t, db, "UPDATE consent_events SET state = 'withdrawn' WHERE id = ?", w.event)
			},
			"update of nothing": func() error { return run(t, db, "UPDATE consent_events SET leaf = leaf WHERE id = ?", w.event) },
			"delete":            func() error { return run(t, db, "DELETE FROM consent_events WHERE id = ?", w.event) },
			"upsert": func() error {
				return run(t, db, insertEvent+" ON CONFLICT (id) DO UPDATE SET state = 'withdrawn'", w.event, w.brand, w.person, w.topic, at, []byte("{}"))
			},
		}
		if db.Dialect() == store.Postgres {
			tries["truncate"] = func() error { return run(t, db, "TRUNCATE consent_events CASCADE") }
		} else {
			replace := strings.Replace(insertEvent, "INSERT", "INSERT OR REPLACE", 1)
			tries["replace"] = func() error { return run(t, db, replace, w.event, w.brand, w.person, w.topic, at, []byte("{}")) }
			tries["replace by rowid"] = func() error {
				sql := strings.Replace(strings.Replace(replace, "(id,", "(rowid, id,", 1), "VALUES (?", "VALUES (1, ?", 1)
				return run(t, db, sql, store.NewID(at), w.brand, w.person, w.topic, at, []byte("{}"))
			}
		}
		for name, try := range tries {
			if err := try(); err == nil || !strings.Contains(err.Error(), "consent events are only ever added") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := count(t, db, "SELECT count(*) FROM consent_events WHERE state = 'given' AND occurred_at < ?", at); n != 2 {
			t.Errorf("%d of 2 events are as they were", n)
		}
		must(t, run(t, db, insertEvent, store.NewID(at), w.brand, w.person, w.topic, at, []byte("{}")))
	})
}

func TestNoMarketingWithoutConsent(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		w := seed(t, db)
		source := store.NewID(time.Now())
		for name, err := range map[string]error{
			"no event":             w.message(t, source, "marketing", &w.topic, nil),
			"no topic":             w.message(t, source, "marketing", nil, &w.event),
			"neither":              w.message(t, source, "marketing", nil, nil),
			"service with content": w.message(t, source, "service", nil, nil),
			"confirm with topic":   w.message(t, source, "confirm", &w.topic, &w.event),
		} {
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "check") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := count(t, db, "SELECT count(*) FROM messages"); n != 0 {
			t.Fatalf("%d messages", n)
		}
		must(t, w.message(t, source, "marketing", &w.topic, &w.event))
		if err := w.message(t, source, "marketing", &w.topic, &w.event); !store.Duplicate(err) {
			t.Errorf("the same source, person and part again: %v", err)
		}
	})
}

func TestBrandsAreWalls(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		w := seed(t, db)
		at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		source := store.NewID(at)
		permission := `INSERT INTO permissions (subscriber_id, topic_id, brand_id, state, event_id, since) VALUES (?, ?, ?, 'given', ?, ?)`
		for name, err := range map[string]error{
			"message on another brand's event":    w.message(t, source, "marketing", &w.topic, &w.event2),
			"message on another brand's topic":    w.message(t, source, "marketing", &w.topic2, &w.event2),
			"permission on another brand's event": run(t, db, permission, w.person, w.topic, w.brand, w.event2, at),
			"permission for another brand":        run(t, db, permission, w.person, w.topic, w.brand2, w.event, at),
			"event of another brand's person":     run(t, db, insertEvent, store.NewID(at), w.brand, w.person2, w.topic, at, []byte("{}")),
			"event on another brand's topic":      run(t, db, insertEvent, store.NewID(at), w.brand, w.person, w.topic2, at, []byte("{}")),
			"tag on another brand's person":       run(t, db, "INSERT INTO subscriber_tags (brand_id, subscriber_id, tag) VALUES (?, ?, 'x')", w.brand, w.person2),
		} {
			if !store.BrokenReference(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, run(t, db, permission, w.person, w.topic, w.brand, w.event, at))
	})
}
