package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func prepare(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

func each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	testkit.EachPrepared(t, "event", prepare, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), url, store.Options{Clock: func() time.Time { return start }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		test(t, db)
	})
}

func timeline(t *testing.T, db *store.DB, brand, person uuid.UUID, limit int) (kinds []string) {
	t.Helper()
	cursor := ""
	for {
		var page []event.Event
		err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
			page, cursor, err = event.Timeline(tx, brand, person, cursor, limit)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("%d facts on a page of %d", len(page), limit)
		}
		for _, e := range page {
			kinds = append(kinds, e.Kind)
		}
		if cursor == "" {
			return kinds
		}
	}
}

// Facts of one moment and of several months (partitions, on PostgreSQL) come
// newest first, each once, whatever the size of the page.
func TestTimeline(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		brand, other, ana, bob := uuid.New(), uuid.New(), uuid.New(), uuid.New()
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			for i := range 9 {
				e := event.Event{BrandID: brand, SubscriberID: &ana, Kind: fmt.Sprintf("k%d", i), At: start.AddDate(0, i/3, 0).Add(time.Duration(i%3/2) * time.Microsecond)}
				e.ID = uuid.MustParse(fmt.Sprintf("018f0000-0000-7000-8000-00000000000%d", i))
				if err := event.Record(tx, e); err != nil {
					return err
				}
			}
			return errors.Join(event.Record(tx, event.Event{BrandID: brand, SubscriberID: &bob, Kind: "bob"}),
				event.Record(tx, event.Event{BrandID: other, SubscriberID: &ana, Kind: "other"}),
				event.Record(tx, event.Event{BrandID: brand, Kind: "nobody"}))
		})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields("k8 k7 k6 k5 k4 k3 k2 k1 k0")
		for _, limit := range []int{1, 2, 4, 9, 100} {
			if got := timeline(t, db, brand, ana, limit); !slices.Equal(got, want) {
				t.Errorf("pages of %d: %v", limit, got)
			}
		}
		if got := timeline(t, db, other, bob, 10); got != nil {
			t.Errorf("another brand sees %v", got)
		}
		for _, bad := range []string{"x", ".", "zz.018f0000-0000-7000-8000-000000000001", "-1." + ana.String(), "zzzzzzzzzzzz." + ana.String(), "10.x"} {
			err := db.Read(t.Context(), func(tx *store.Tx) error { _, _, err := event.Timeline(tx, brand, ana, bad, 5); return err })
			if bad == "zz.018f0000-0000-7000-8000-000000000001" {
				if err != nil {
					t.Errorf("a cursor of the year 1970: %v", err)
				}
				continue
			}
			if !problem.Is(err, problem.Malformed) {
				t.Errorf("cursor %q: %v", bad, err)
			}
		}
	})
}

func TestAFactKeepsWhatItWasGiven(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		brand, ana, source, message := uuid.New(), uuid.New(), uuid.New(), uuid.New()
		var got []event.Event
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			err := event.Record(tx, event.Event{BrandID: brand, SubscriberID: &ana, Kind: event.MailSent, SourceID: &source, MessageID: &message,
				Data: map[string]any{"n": 3, "reply": "250 2.0.0 پذیرفته"}})
			if err != nil {
				return err
			}
			got, _, err = event.Timeline(tx, brand, ana, "", 5)
			return err
		})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		e := got[0]
		if e.ID.Version() != 7 || !e.At.Equal(start) || *e.SourceID != source || *e.MessageID != message || e.Data["n"] != 3.0 || e.Data["reply"] != "250 2.0.0 پذیرفته" {
			t.Errorf("kept %+v", e)
		}
	})
}

func TestListenersShareTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		brand, ana := uuid.New(), uuid.New()
		var order []string
		note := func(name string) func(*store.Tx, event.Event) error {
			return func(tx *store.Tx, e event.Event) error {
				order = append(order, name)
				if seen, _, err := event.Timeline(tx, brand, ana, "", 5); err != nil || len(seen) != 1 || seen[0].ID != e.ID {
					t.Errorf("listener %s sees %v, %v", name, seen, err)
				}
				return nil
			}
		}
		event.Listen(db, event.OrderPlaced, note("first"))
		event.Listen(db, event.OrderPlaced, note("second"))
		event.Listen(db, event.MailOpened, note("other kind"))
		refuse := errors.New("refused")
		event.Listen(db, event.OfferIssued, func(*store.Tx, event.Event) error { return refuse })
		record := func(kind string) error {
			return db.Write(t.Context(), func(tx *store.Tx) error {
				return event.Record(tx, event.Event{BrandID: brand, SubscriberID: &ana, Kind: kind})
			})
		}
		if err := record(event.OrderPlaced); err != nil || strings.Join(order, ",") != "first,second" {
			t.Errorf("called %v, %v", order, err)
		}
		if err := record(event.OfferIssued); !errors.Is(err, refuse) {
			t.Errorf("a listener that refuses: %v", err)
		}
		if got := timeline(t, db, brand, ana, 5); strings.Join(got, ",") != event.OrderPlaced {
			t.Errorf("facts: %v; the refused one must be gone", got)
		}
	})
}

// Many facts at once are one call for who listens to all of them.
func TestRecordAll(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		brand := uuid.New()
		var calls []string
		event.ListenAll(db, event.OrderPlaced, func(_ *store.Tx, facts []event.Event) error {
			for _, e := range facts {
				if e.ID == uuid.Nil || !e.At.Equal(start) {
					t.Errorf("told of %+v", e)
				}
				calls = append(calls, fmt.Sprint(e.Data["n"]))
			}
			calls = append(calls, "|")
			return nil
		})
		event.Listen(db, event.OrderPlaced, func(_ *store.Tx, e event.Event) error {
			calls = append(calls, fmt.Sprint("one", e.Data["n"]))
			return nil
		})
		person := uuid.New()
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			var facts []event.Event
			for n, kind := range []string{event.OrderPlaced, event.MailSent, event.OrderPlaced} {
				facts = append(facts, event.Event{BrandID: brand, SubscriberID: &person, Kind: kind, Data: map[string]any{"n": n}})
			}
			return errors.Join(event.RecordAll(tx, nil), event.RecordAll(tx, facts))
		})
		if got := strings.Join(calls, " "); err != nil || got != "0 2 | one0 one2" {
			t.Errorf("called %s, %v", got, err)
		}
		if got := timeline(t, db, brand, person, 9); len(got) != 3 {
			t.Errorf("facts: %v", got)
		}
	})
}

// The listeners belong to one database, not to the process.
func TestListenersOfAnotherDatabaseAreNotCalled(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		second, err := store.Open(t.Context(), testkit.SQLiteTemplate(t, "event", prepare), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		event.Listen(second, event.OrderPlaced, func(*store.Tx, event.Event) error {
			t.Error("called for another database's fact")
			return nil
		})
		err = db.Write(t.Context(), func(tx *store.Tx) error {
			return event.Record(tx, event.Event{BrandID: uuid.New(), Kind: event.OrderPlaced})
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	db, err := store.Open(f.Context(), testkit.SQLiteTemplate(f, "event", prepare), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	for _, s := range []string{"", "1.018f0000-0000-7000-8000-000000000001", "-1.x", "1.{018f0000-0000-7000-8000-000000000001}", "9999999999999.urn:uuid:018f0000-0000-7000-8000-000000000001", "1' OR '1'='1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		err := db.Read(context.Background(), func(tx *store.Tx) error {
			_, _, err := event.Timeline(tx, uuid.Nil, uuid.Nil, cursor, 5)
			return err
		})
		if err != nil && !problem.Is(err, problem.Malformed) {
			t.Fatalf("%q: %v", cursor, err)
		}
	})
}
