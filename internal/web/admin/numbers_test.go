package admin

import (
	"context"
	"fmt"
	"testing"

	"assent/internal/store"
	"assent/internal/testkit"
)

const many = 100_000

// BenchmarkNumbers counts a brand of a hundred thousand people, each with one
// permission, one mail and one event, and reads its newest events.
func BenchmarkNumbers(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchNumbers(b, testkit.SQLiteTemplate(b, "migrated", prepare)) })
	b.Run("postgres", func(b *testing.B) { benchNumbers(b, testkit.PostgresTemplate(b, "migrated", prepare)) })
}

func benchNumbers(b *testing.B, url string) {
	w := newWorld(b, url, false)
	w.multitude()
	read := func(b *testing.B, f func(*store.Tx) error) {
		for b.Loop() {
			w.must(w.db.Read(context.Background(), f))
		}
	}
	b.Run("counts", func(b *testing.B) {
		read(b, func(tx *store.Tx) error {
			n, err := count(tx, w.brand.ID)
			if err == nil && (n.People != many || n.Writable != many || n.Messages.Sent != many || n.New != many || n.Topics[0].Given != many) {
				err = fmt.Errorf("counted %+v", n)
			}
			return err
		})
	})
	b.Run("events", func(b *testing.B) {
		read(b, func(tx *store.Tx) error {
			facts, err := last(tx, w.brand.ID, happenings)
			if err == nil && len(facts) != happenings {
				err = fmt.Errorf("read %d events", len(facts))
			}
			return err
		})
	})
}

// multitude writes the rows by hand: through the rooms it would take minutes.
func (w *world) multitude() {
	w.Helper()
	source := w.mail(w.brand, w.topic, w.person(w.brand, w.topic, "first@example.org", "given"))
	w.write(func(tx *store.Tx) error {
		series := tx.Pick("generate_series(2, ?) AS g(i)", "(WITH RECURSIVE g(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM g WHERE i < ?) SELECT i FROM g)")
		prefix := tx.NewID().String()[:24]
		id := tx.Pick("CAST('"+prefix+"' || lpad(to_hex(i), 12, '0') AS uuid)", "printf('"+prefix+"%012x', i)")
		at, uid, hash := tx.Pick("CAST(? AS timestamptz)", "?"), tx.Pick("CAST(? AS uuid)", "?"), tx.Pick("CAST(CAST(i AS text) AS bytea)", "CAST(i AS blob)")
		now, brand, topic := tx.Now(), w.brand.ID, w.topic.ID
		for _, s := range []struct {
			sql  string
			args []any
		}{
			{"INSERT INTO subscribers (id, brand_id, email, address_hash, language, attributes, created_at, updated_at) SELECT " + id + ", " + uid + ", 'p@example.org', " + hash + ", 'en', '{}', " + at + ", " + at + " FROM " + series,
				[]any{brand, now, now, many}},
			{"INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf) SELECT " + id + ", " + uid + ", " + id + ", " + uid + ", 'given', 'consent', 'form', " + at + ", 'en', " + hash + " FROM " + series,
				[]any{brand, topic, now, many}},
			{"INSERT INTO permissions (subscriber_id, topic_id, brand_id, state, event_id, since) SELECT " + id + ", " + uid + ", " + uid + ", 'given', " + id + ", " + at + " FROM " + series,
				[]any{topic, brand, now, many}},
			{"INSERT INTO messages (id, source_id, brand_id, stream_id, subscriber_id, part, kind, topic_id, consent_event_id, content_id, language, data, state, due_at, created_at, tracks_opens, tracks_clicks) " +
				"SELECT " + id + ", source_id, brand_id, stream_id, " + id + ", 0, kind, topic_id, " + id + ", content_id, language, data, 'sent', due_at, created_at, tracks_opens, tracks_clicks FROM messages, " + series + " WHERE source_id = " + uid,
				[]any{many, source}},
			{"UPDATE messages SET state = 'sent' WHERE source_id = " + uid, []any{source}},
			{"DELETE FROM outbox WHERE source_id = " + uid, []any{source}},
			{"INSERT INTO events (id, at, brand_id, subscriber_id, kind, data) SELECT " + id + ", " + at + ", " + uid + ", " + id + ", 'mail.sent', '{}' FROM " + series,
				[]any{now, brand, many}},
		} {
			if _, err := tx.Run(s.sql, s.args...); err != nil {
				return fmt.Errorf("%s: %w", s.sql[:40], err)
			}
		}
		return nil
	})
	w.analyze()
}

// analyze does what PostgreSQL's autovacuum does of itself after so many rows.
func (w *world) analyze() {
	w.Helper()
	if w.db.Dialect() != store.Postgres {
		return
	}
	for _, table := range []string{"subscribers", "consent_events", "permissions", "messages", "events"} {
		if _, err := w.db.Pool().Exec(context.Background(), "VACUUM ANALYZE "+table); err != nil {
			w.Fatal(err)
		}
	}
}
