package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/testkit"
	"assent/internal/tracking"
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
	for _, table := range []string{"subscribers", "consent_events", "permissions", "messages", "events", "hits", "quarters"} {
		if _, err := w.db.Pool().Exec(context.Background(), "VACUUM ANALYZE "+table); err != nil {
			w.Fatal(err)
		}
	}
}

// BenchmarkOverview answers with the overview of a brand with 200,000 people, a
// million mails and half a million facts over a year, of which a part is of the
// last minutes and not folded in yet.
func BenchmarkOverview(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchOverview(b, testkit.SQLiteTemplate(b, "migrated", prepare)) })
	b.Run("postgres", func(b *testing.B) { benchOverview(b, testkit.PostgresTemplate(b, "migrated", prepare)) })
}

func benchOverview(b *testing.B, url string) {
	w := newWorld(b, url, false)
	w.year()
	v := w.in(email)
	for _, window := range windows {
		b.Run(window, func(b *testing.B) {
			var slowest, all []time.Duration
			for b.Loop() {
				began := time.Now()
				if got := v.get(overview + "?for=" + window); got.status != http.StatusOK {
					b.Fatal(got.status)
				}
				all = append(all, time.Since(began))
			}
			slices.Sort(all)
			slowest = all[len(all)*99/100:]
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(slowest[0].Microseconds())/1000, "p99-ms")
		})
		b.Run(window+"-counted", func(b *testing.B) { // as the first to look
			d := &desk{h: &house{Deps: Deps{DB: w.db}}, l: i18n.For("en"), brand: w.brand}
			for b.Loop() {
				d.h.histories = memo[seriesKey, series]{}
				if s, err := d.history(context.Background(), window, d.bins(window)); err != nil || s.all[byForm] == 0 {
					b.Fatal(s.all, err)
				}
			}
		})
	}
}

// year writes a brand's year by hand.
func (w *world) year() {
	w.Helper()
	const people, mails, facts = 200_000, 1_000_000, 500_000
	source := w.mail(w.brand, w.topic, w.person(w.brand, w.topic, "first@example.org", "given"))
	began := time.Now()
	w.write(func(tx *store.Tx) error {
		series := func(n int) string {
			return tx.Pick(fmt.Sprintf("generate_series(2, %d) AS g(i)", n), fmt.Sprintf("(WITH RECURSIVE g(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM g WHERE i < %d) SELECT i FROM g)", n))
		}
		prefix := tx.NewID().String()[:24]
		idOf := func(expr string) string {
			return tx.Pick("CAST('"+prefix+"' || lpad(to_hex("+expr+"), 12, '0') AS uuid)", "printf('"+prefix+"%012x', "+expr+")")
		}
		person := idOf(fmt.Sprintf("2 + i %% %d", people-1))
		at, uid, hash := tx.Pick("CAST(? AS timestamptz)", "?"), tx.Pick("CAST(? AS uuid)", "?"), tx.Pick("CAST(CAST(i AS text) AS bytea)", "CAST(i AS blob)")
		ago := func(n int) string { // spread over the year before now
			return tx.Pick(fmt.Sprintf("CAST(? AS timestamptz) - make_interval(secs => i * 31536000.0 / %d)", n), fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%S+00:00', ?, '-' || (i * 31536000 / %d) || ' seconds')", n))
		}
		now, brand, topic := tx.Now(), w.brand.ID, w.topic.ID
		if tx.Dialect() == store.SQLite {
			if err := tx.Exec("PRAGMA temp_store = MEMORY").Error; err != nil {
				return err
			}
		}
		for _, s := range []struct {
			sql  string
			args []any
		}{
			{"INSERT INTO subscribers (id, brand_id, email, address_hash, language, attributes, created_at, updated_at) SELECT " + idOf("i") + ", " + uid + ", 'p@example.org', " + hash + ", 'en', '{}', " + at + ", " + at + " FROM " + series(people), []any{brand, now, now}},
			{"INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf) SELECT " + idOf("i") + ", " + uid + ", " + idOf("i") + ", " + uid + ", 'given', 'consent', 'form', " + at + ", 'en', " + hash + " FROM " + series(people), []any{brand, topic, now}},
			{"INSERT INTO permissions (subscriber_id, topic_id, brand_id, state, event_id, since) SELECT " + idOf("i") + ", " + uid + ", " + uid + ", 'given', " + idOf("i") + ", " + at + " FROM " + series(people), []any{topic, brand, now}},
			{"INSERT INTO messages (id, source_id, brand_id, stream_id, subscriber_id, part, kind, topic_id, consent_event_id, content_id, language, data, state, due_at, created_at, settled_at, tracks_opens, tracks_clicks) " +
				"SELECT " + idOf("i") + ", source_id, brand_id, stream_id, " + person + fmt.Sprintf(", 1 + i / %d", people-1) + ", kind, topic_id, " + person + ", content_id, language, data, 'sent', due_at, created_at, " + ago(mails) + ", true, true FROM messages, " + series(mails) + " WHERE source_id = " + uid, []any{now, source}},
			{"UPDATE messages SET state = 'sent', settled_at = " + at + " WHERE source_id = " + uid + " AND state = 'queued'", []any{now, source}},
			{"DELETE FROM outbox WHERE source_id = " + uid, []any{source}},
			{"INSERT INTO events (id, at, brand_id, subscriber_id, kind, data) SELECT " + idOf("i") + ", " + ago(facts) + ", " + uid + ", " + person +
				", CASE i % 5 WHEN 0 THEN 'consent.withdrawn' WHEN 1 THEN 'signup.asked' WHEN 2 THEN 'mail.failed' ELSE 'consent.given' END, '{\"topic\":\"letter\",\"topic_id\":\"" + topic.String() + "\",\"method\":\"form\",\"reason\":\"hard bounce\"}' FROM " + series(facts), []any{now, brand}},
			{"INSERT INTO events (id, at, brand_id, subscriber_id, kind, data) SELECT " + idOf(fmt.Sprintf("i + %d", facts)) + ", " + at + ", " + uid + ", " + person + ", 'consent.given', '{\"topic\":\"letter\",\"topic_id\":\"" + topic.String() + "\",\"method\":\"form\"}' FROM " + series(10_000), []any{now, brand}},
			{"INSERT INTO hits (id, at, brand_id, subscriber_id, source_id, message_id, kind, link, user_agent, network) SELECT " + idOf("i") + ", " + ago(facts) + ", " + uid + ", " + person + ", " + uid + ", " + idOf("i") + ", 'open', 0, '', '' FROM " + series(facts), []any{now, brand, source}},
			{"INSERT INTO quarters (brand_id, at, kind, source, topic, n) SELECT brand_id, " + event.QuarterSQL(tx, "settled_at") + ", 'mail.sent', kind, '', count(*) FROM messages WHERE state = 'sent' GROUP BY 1, 2, 4", nil},
			{"INSERT INTO quarters (brand_id, at, kind, source, topic, n) SELECT brand_id, " + event.QuarterSQL(tx, "settled_at") + ", 'mail.sent-watched', 'open', '', count(*) FROM messages WHERE state = 'sent' GROUP BY 1, 2", nil},
		} {
			if _, err := tx.Run(s.sql, s.args...); err != nil {
				return fmt.Errorf("%s: %w", s.sql[:40], err)
			}
		}
		return nil
	})
	w.Logf("written in %s", time.Since(began).Round(time.Second))
	w.analyze()
	began = time.Now()
	w.must(event.Fold(context.Background(), w.db, tracking.Fold))
	w.Logf("a year folded in %s", time.Since(began).Round(time.Second))
	w.analyze()
}
