package consent_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// world is a brand with a topic on a database whose clock the test moves.
type world struct {
	testing.TB
	db     *store.DB
	offset atomic.Int64 // nanoseconds since start
	brand  brand.Brand
	news   consent.Topic
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
	testkit.EachPrepared(t, "consent", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	w := &world{TB: t}
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	w.must(err)
	w.db, err = store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time {
		return start.Add(time.Duration(w.offset.Load()))
	}})
	w.must(err)
	t.Cleanup(func() { w.db.Close() })
	w.brand = w.newBrand("marble")
	w.news = w.topic(w.brand, consent.NewTopic{Slug: "news"})
	return w
}

func (w *world) newBrand(slug string) (b brand.Brand) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: "Marble & Sons", PostalAddress: "1 Hill\nTown",
			SenderEmail: "hello@marble.example", PrivacyURL: "https://marble.example/privacy",
			Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Europe/Berlin", Jurisdiction: "DE"})
		if err != nil {
			return err
		}
		return consent.PrepareBrand(tx, b)
	})
	return b
}

func (w *world) topic(b brand.Brand, n consent.NewTopic) (t consent.Topic) {
	w.Helper()
	n.Texts = map[string]consent.TopicText{"en": {Name: "News", Wording: "Yes, send me news."}}
	w.write(func(tx *store.Tx) (err error) { t, err = consent.CreateTopic(tx, b, n); return err })
	return t
}

func (w *world) person(b brand.Brand, email string) (s subscriber.Subscriber) {
	w.Helper()
	a, err := subscriber.ParseAddress(email)
	w.must(err)
	w.write(func(tx *store.Tx) (err error) {
		s, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: a, Language: "en"})
		return err
	})
	return s
}

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

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

func (w *world) act(s subscriber.Subscriber, state consent.State) consent.Act {
	return consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.news, State: state, Method: consent.MethodForm,
		Wording: "Yes, send me news.", Evidence: map[string]any{"ip": "192.0.2.7", "user_agent": "Firefox"}}
}

func (w *world) record(a consent.Act) (e consent.Event, err error) {
	err = w.db.Write(context.Background(), func(tx *store.Tx) (err error) { e, err = consent.Record(tx, a); return err })
	return e, err
}

func (w *world) mustRecord(a consent.Act) consent.Event {
	w.Helper()
	e, err := w.record(a)
	w.must(err)
	return e
}

func (w *world) withdraw(s subscriber.Subscriber, method string) (events []consent.Event) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		events, err = consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.news.ID}, method, nil)
		return err
	})
	return events
}

func (w *world) may(s subscriber.Subscriber) (a consent.Answer) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { a, err = consent.May(tx, w.brand, s.ID, w.news.ID); return err })
	return a
}

func (w *world) history(s subscriber.Subscriber) (all []consent.Event) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { all, err = consent.History(tx, w.brand.ID, s.ID); return err })
	return all
}

func (w *world) permissions(s subscriber.Subscriber) (all []consent.Permission) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { all, err = consent.Permissions(tx, w.brand.ID, s.ID); return err })
	return all
}

// mustAgree holds the projection against the ledger: the permission is the last
// event of its topic, and the events are a chain.
func (w *world) mustAgree(s subscriber.Subscriber) {
	w.Helper()
	last := map[uuid.UUID]consent.Event{}
	for _, e := range w.history(s) {
		before, ok := last[e.TopicID]
		switch {
		case !ok && e.PreviousID != nil, ok && (e.PreviousID == nil || *e.PreviousID != before.ID):
			w.Fatalf("event %s (%s) does not follow the one before it", e.ID, e.State)
		case ok && !e.OccurredAt.After(before.OccurredAt):
			w.Fatalf("event %s (%s) is not later than the one before it", e.ID, e.State)
		case !consent.CheckLeaf(e):
			w.Fatalf("the leaf of %s is not that of its row: %s", e.ID, e.Leaf)
		}
		last[e.TopicID] = e
	}
	perms := w.permissions(s)
	if len(perms) != len(last) {
		w.Fatalf("%d permissions for %d topics", len(perms), len(last))
	}
	for _, p := range perms {
		e := last[p.TopicID]
		if p.EventID != e.ID || p.State != e.State || !p.Since.Equal(e.OccurredAt) {
			w.Fatalf("the permission says %s by %s, the ledger %s by %s", p.State, p.EventID, e.State, e.ID)
		}
	}
}
