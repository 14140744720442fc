package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/ledger"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

const origin = "news.example/log"

var (
	begin = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	ring  = func() *link.Ring {
		r, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
		if err != nil {
			panic(err)
		}
		return r
	}()
)

// world is a brand on a database, and the folder beside it.
type world struct {
	testing.TB
	db      *store.DB
	offset  atomic.Int64
	outside ledger.Outside
	brand   brand.Brand
	news    consent.Topic
	people  []subscriber.Subscriber
}

func prepare(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "ledger", prepare, func(t *testing.T, url string) {
		w := &world{TB: t}
		w.db = w.open(url)
		var err error
		w.outside, err = ledger.OpenOutside(t.TempDir())
		w.must(err)
		w.write(func(tx *store.Tx) (err error) {
			w.brand, err = brand.Create(tx, brand.New{Slug: "marble", Name: "Marble & Sons", PostalAddress: "1 Hill\nTown",
				SenderEmail: "hello@marble.example", Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Europe/Berlin", Jurisdiction: "DE"})
			if err != nil {
				return err
			}
			if err = consent.PrepareBrand(tx, w.brand); err != nil {
				return err
			}
			w.news, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "news",
				Texts: map[string]consent.TopicText{"en": {Name: "News", Wording: "Yes, send me news."}}})
			if err != nil {
				return err
			}
			return ledger.Begin(tx, origin)
		})
		test(w)
	})
}

func (w *world) open(url string) *store.DB {
	w.Helper()
	db, err := store.Open(w.Context(), url, store.Options{Ring: ring, Clock: func() time.Time {
		return begin.Add(time.Duration(w.offset.Add(int64(time.Microsecond))))
	}})
	w.must(err)
	w.Cleanup(func() { db.Close() })
	return db
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	w.must(w.db.Write(context.Background(), f))
}

// keeper does what Start does, without a life of its own.
func (w *world) keeper(db *store.DB, outside ledger.Outside) *ledger.Keeper {
	return &ledger.Keeper{Options: ledger.Options{DB: db, Outside: outside, Origin: origin, Log: slog.New(slog.DiscardHandler)}}
}

func (w *world) step() {
	w.Helper()
	w.must(w.keeper(w.db, w.outside).Step(w.Context()))
}

func (w *world) person(n int) subscriber.Subscriber {
	w.Helper()
	a, err := subscriber.ParseAddress(fmt.Sprintf("person-%d@example.org", n))
	w.must(err)
	var s subscriber.Subscriber
	w.write(func(tx *store.Tx) error {
		s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"})
		return err
	})
	return s
}

// signUp has so many people ask for the news and confirm, and change their language.
func (w *world) signUp(n int) {
	w.Helper()
	for range n {
		s := w.person(len(w.people))
		w.people = append(w.people, s)
		w.say(s, consent.Requested)
		w.say(s, consent.Given)
		w.write(func(tx *store.Tx) error {
			_, err := consent.RecordChange(tx, consent.Change{Brand: w.brand, Subscriber: s.ID, Kind: consent.ChangedLanguage,
				Method: consent.MethodPreferences, Evidence: map[string]any{"ip": "192.0.2.7"}})
			return err
		})
	}
}

func (w *world) say(s subscriber.Subscriber, state consent.State) consent.Event {
	w.Helper()
	var e consent.Event
	w.write(func(tx *store.Tx) (err error) {
		e, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.news, State: state, Method: consent.MethodForm,
			Wording: "Yes, send me news.", Evidence: map[string]any{"ip": "192.0.2.7"}})
		return err
	})
	return e
}

func (w *world) log() (l ledger.Log) {
	w.Helper()
	return w.logOf(w.db)
}

func (w *world) logOf(db *store.DB) (l ledger.Log) {
	w.Helper()
	w.must(db.Read(w.Context(), func(tx *store.Tx) (err error) { l, err = ledger.Growing(tx); return err }))
	return l
}

func (w *world) audit(db *store.DB) ledger.Report {
	w.Helper()
	kept, err := w.outside.Kept()
	w.must(err)
	r, err := ledger.Audit(w.Context(), db, kept, nil)
	w.must(err)
	return r
}

// behind runs statements that the database would refuse the program.
func (w *world) behind(statements ...string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		if tx.Dialect() == store.Postgres {
			statements = append([]string{"SET LOCAL session_replication_role = replica"}, statements...)
		} else {
			var triggers []string
			if err := tx.Raw("SELECT name FROM sqlite_master WHERE type = 'trigger'").Scan(&triggers).Error; err != nil {
				return err
			}
			for _, name := range triggers {
				if _, err := tx.Run("DROP TRIGGER " + name); err != nil {
					return err
				}
			}
			if _, err := tx.Run("PRAGMA defer_foreign_keys = ON"); err != nil {
				return err
			}
		}
		for _, s := range statements {
			if _, err := tx.Run(s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

func eventually(w *world, what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("it never comes true that " + what)
		}
	}
}

func (w *world) adjust(s subscriber.Subscriber, a consent.Adjustment) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Adjust(tx, w.brand, s.ID, w.news, a, map[string]any{"ip": "192.0.2.7"})
		return err
	})
}

func (w *world) suppress(s subscriber.Subscriber, reason string) []byte {
	w.Helper()
	w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, reason, "") })
	return s.AddressHash
}
