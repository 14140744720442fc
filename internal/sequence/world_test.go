package sequence_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// world is a brand with a topic on a database of the test's own, and a clock
// that the test moves.
type world struct {
	*testing.T
	ctx   context.Context
	db    *store.DB
	clock *atomic.Int64 // Unix microseconds
	brand brand.Brand
	topic consent.Topic
	mail  uuid.UUID // a content in English and Persian
}

// morning is when every test begins: a Sunday, 10:14 in Tehran.
var morning = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)

// each runs a test on both databases.
func each(t *testing.T, test func(w *world)) {
	prepare := func(url string) error {
		db, err := store.Open(context.Background(), url, store.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	}
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), clock: new(atomic.Int64)}
	w.clock.Store(morning.UnixMicro())
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w.db, err = store.Open(w.ctx, url, store.Options{Ring: ring, Clock: func() time.Time { return time.UnixMicro(w.clock.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	for _, kind := range []string{event.ConsentGiven, event.ConsentRenewed, event.ConsentRefused, event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated} {
		event.ListenAll(w.db, kind, sequence.OnConsent)
	}
	event.Listen(w.db, event.MailSkipped, sequence.OnMessage)
	w.brand, w.topic = w.newBrand("narenj")
	w.mail = w.content(w.brand)
	return w
}

func (w *world) newBrand(slug string) (b brand.Brand, topic consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: slug, PostalAddress: "1 Valiasr, Tehran", SenderEmail: "hello@" + slug + ".example",
			Language: "fa", Languages: []string{"fa", "en"}, TimeZone: "Asia/Tehran"})
		if err != nil {
			return err
		}
		topic, err = consent.CreateTopic(tx, b, consent.NewTopic{Slug: "news", Texts: map[string]consent.TopicText{"fa": {Name: "خبرها", Wording: "خبرها را برایم بفرستید."}}})
		return err
	})
	return b, topic
}

func (w *world) content(b brand.Brand) (id uuid.UUID) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		id, err = delivery.SaveContent(tx, b.ID, []delivery.Text{
			{Language: "fa", Subject: "سلام", HTML: "<p>سلام</p>"}, {Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}})
		return err
	})
	return id
}

// write commits f or ends the test.
func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.ctx, f); err != nil {
		w.Fatal(err)
	}
}

// try is write for what may be refused.
func (w *world) try(f func(tx *store.Tx) error) error { return w.db.Write(w.ctx, f) }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) person(name string) subscriber.Subscriber {
	w.Helper()
	return w.personOf(w.brand, name, "fa", "")
}

func (w *world) personOf(b brand.Brand, name, language, zone string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		address, err := subscriber.ParseAddress(name + "@example.org")
		if err != nil {
			return err
		}
		s, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: address, Name: name, Language: language, TimeZone: zone})
		return err
	})
	return s
}

// give confirms the world's topic.
func (w *world) give(s subscriber.Subscriber) {
	w.Helper()
	w.giveTopic(w.brand, w.topic, s)
}

func (w *world) giveTopic(b brand.Brand, topic consent.Topic, s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Record(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: topic, State: consent.Given,
			Method: consent.MethodDoubleOptIn, Wording: "Send me news."})
		return err
	})
}

func (w *world) withdraw(s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.topic.ID}, consent.MethodOneClick, nil)
		return err
	})
}

func send(id uuid.UUID) sequence.Step          { return sequence.Step{Send: &id} }
func wait(x sequence.Wait) sequence.Step       { return sequence.Step{Wait: &x} }
func steps(s ...sequence.Step) []sequence.Step { return s }

// running makes a sequence on the world's topic and starts it.
func (w *world) running(s ...sequence.Step) (q sequence.Sequence) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		if q, err = sequence.Create(tx, w.brand, sequence.New{Name: "Welcome", Topic: w.topic.ID, Steps: s}); err != nil {
			return err
		}
		q, err = sequence.Start(tx, w.brand.ID, q.ID)
		return err
	})
	return q
}

// advance moves all that is due now.
func (w *world) advance() (moved int) {
	w.Helper()
	for range 1000 {
		n, next, err := sequence.Advance(w.ctx, w.db)
		if err != nil {
			w.Fatal(err)
		}
		if moved += n; next.IsZero() || next.After(w.db.Now()) {
			return moved
		}
	}
	w.Fatal("something stays due")
	return 0
}

// parts lists the steps a person has had queued, with the language, in order.
func (w *world) parts(s subscriber.Subscriber) (list []string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		var rows []struct {
			Part     int
			Language string
			State    string
		}
		err := tx.Raw("SELECT part, language, state FROM messages WHERE subscriber_id = ? ORDER BY created_at, part", s.ID).Scan(&rows).Error
		for _, r := range rows {
			list = append(list, fmt.Sprintf("%d %s %s", r.Part, r.Language, r.State))
		}
		return err
	})
	return list
}

func (w *world) enrollments(s subscriber.Subscriber) (all []sequence.Enrollment) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Where("subscriber_id = ?", s.ID).Order("id").Find(&all).Error
	})
	return all
}

// enrollment is the only one a person has.
func (w *world) enrollment(s subscriber.Subscriber) sequence.Enrollment {
	w.Helper()
	all := w.enrollments(s)
	if len(all) != 1 {
		w.Fatalf("%d enrollments, want one", len(all))
	}
	return all[0]
}

func (w *world) count(sql string, args ...any) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error })
	return n
}
