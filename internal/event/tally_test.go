package event_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/testkit"
)

// happening is a fact of the test, as a plain count sees it.
type happening struct {
	at                  time.Time
	brand               uuid.UUID
	kind, source, topic string
}

// days are the brand's last days in a zone, as spans.
func days(zone *time.Location, today time.Time, n int) (spans []event.Span) {
	y, m, d := today.In(zone).Date()
	for i := range n {
		spans = append(spans, event.Span{From: time.Date(y, m, d-n+1+i, 0, 0, 0, 0, zone), To: time.Date(y, m, d-n+2+i, 0, 0, 0, 0, zone)})
	}
	return spans
}

// The numbers of a day are those of a plain count of its facts, in every zone,
// before and after they are folded in, however often and by how many at once.
func TestSumsAreThoseOfAPlainCount(t *testing.T) {
	testkit.EachPrepared(t, "event", prepare, func(t *testing.T, url string) {
		var ahead atomic.Int64
		db, err := store.Open(t.Context(), url, store.Options{Clock: func() time.Time { return start.Add(time.Duration(ahead.Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		mine, other, person, topic := uuid.New(), uuid.New(), uuid.New(), uuid.NewString()
		chance := rand.New(rand.NewPCG(3, 4))
		var all []happening
		record := func(at time.Time) {
			h := happening{at: at, brand: []uuid.UUID{mine, mine, other}[chance.IntN(3)]}
			e := event.Event{At: at, BrandID: h.brand, SubscriberID: &person, Data: map[string]any{}}
			switch chance.IntN(5) {
			case 0:
				e.Kind, h.source, h.topic = event.ConsentGiven, "double-opt-in", topic
				e.Data = map[string]any{"topic": "letter", "topic_id": topic, "method": "double-opt-in"}
			case 1:
				e.Kind, h.source, h.topic = event.ConsentWithdrawn, event.Tracking, topic
				e.Data = map[string]any{"topic": "opens", "topic_id": topic, "method": "preferences"}
			case 2:
				e.Kind, h.source = event.MailFailed, "hard bounce"
				e.Data["reason"] = "hard bounce"
			case 3:
				e.Kind = event.SignupAsked
			case 4: // a test mail: it counts nowhere
				e.Kind, e.SubscriberID = event.MailFailed, nil
			}
			h.kind = e.Kind
			if e.SubscriberID != nil {
				all = append(all, h)
			}
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return event.Record(tx, e) }); err != nil {
				t.Fatal(err)
			}
		}
		check := func(when string) {
			t.Helper()
			for _, zone := range []string{"UTC", "Asia/Tehran", "Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland"} {
				loc, err := time.LoadLocation(zone)
				if err != nil {
					t.Fatal(err)
				}
				spans := days(loc, db.Now(), 6)
				spans = append(spans, event.Span{From: spans[0].From, To: spans[5].To}) // they may overlap
				var got []event.Sum
				err = db.Read(t.Context(), func(tx *store.Tx) (err error) { got, err = event.Sums(tx, mine, spans); return err })
				if err != nil {
					t.Fatal(err)
				}
				if want, have := plain(all, mine, spans), added(got); !slices.Equal(have, want) {
					t.Errorf("%s in %s: %v, want %v", when, zone, have, want)
				}
			}
		}
		for range 120 {
			record(start.Add(-time.Duration(chance.Int64N(int64(96 * time.Hour)))).Truncate(time.Microsecond))
		}
		record(start.Add(-24 * time.Hour).Truncate(event.Quarter)) // at the very beginning of a quarter
		check("before any fold")
		fold := func() {
			var wait sync.WaitGroup
			for range 3 {
				wait.Go(func() {
					if err := event.Fold(t.Context(), db); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
		fold()
		check("folded by three at once")
		fold()
		check("folded again")
		for range 20 {
			ahead.Add(int64(11 * time.Minute))
			record(db.Now())
			if chance.IntN(2) == 0 {
				fold()
			}
		}
		check("while time goes on")
		ahead.Add(int64(2 * time.Hour))
		fold()
		check("when all is folded in")
		var left int64
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			upto, err := event.Folded(tx)
			if err != nil {
				return err
			}
			return tx.Raw("SELECT count(*) FROM events WHERE at >= ?", upto).Scan(&left).Error
		}); err != nil || left != 0 {
			t.Errorf("%d facts are left to fold, %v", left, err)
		}
	})
}

func plain(all []happening, brand uuid.UUID, spans []event.Span) []string {
	n := map[string]int64{}
	for i, s := range spans {
		for _, h := range all {
			if h.brand == brand && !h.at.Before(s.From) && h.at.Before(s.To) {
				n[fmt.Sprintf("%d %s %s %s", i, h.kind, h.source, h.topic)]++
			}
		}
	}
	return sorted(n)
}

func added(sums []event.Sum) []string {
	n := map[string]int64{}
	for _, s := range sums {
		n[fmt.Sprintf("%d %s %s %s", s.Span, s.Kind, s.Source, s.Topic)] += s.N
	}
	return sorted(n)
}

func sorted(n map[string]int64) (lines []string) {
	for k, v := range n {
		lines = append(lines, fmt.Sprint(k, " ", v))
	}
	slices.Sort(lines)
	return lines
}

// What is added at once and in parts is the same; nothing is added for nothing.
func TestAdd(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		brand := uuid.New()
		add := func(n int64, at time.Time) event.Tally {
			return event.Tally{BrandID: brand, At: at, Kind: event.MailSent, Source: "marketing", N: n}
		}
		for _, all := range [][]event.Tally{{add(2, start), add(3, start.Add(time.Minute))}, {add(5, start.Add(14*time.Minute+59*time.Second))}, {add(0, start)}, nil, {add(7, start.Add(event.Quarter))}} {
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return event.Add(tx, all) }); err != nil {
				t.Fatal(err)
			}
		}
		var got []event.Sum
		err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
			got, err = event.Sums(tx, brand, []event.Span{{start, start.Add(event.Quarter)}, {start, start.Add(time.Hour)}})
			return err
		})
		if want := []string{"0 mail.sent marketing  10", "1 mail.sent marketing  17"}; err != nil || !slices.Equal(added(got), want) {
			t.Errorf("%v, %v", added(got), err)
		}
	})
}
