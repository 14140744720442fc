package alarm_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/alarm"
	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

func prepare(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// world is two brands and a clock that can be moved.
type world struct {
	*testing.T
	db          *store.DB
	mine, other brand.Brand
	ahead       atomic.Int64
	raised      atomic.Int64 // that were told
	ended       atomic.Int64
	noise       atomic.Int64 // facts beside each sending that are nobody's trouble, of each kind
}

var start = time.Date(2026, 11, 22, 10, 5, 0, 0, time.UTC)

func each(t *testing.T, test func(w *world)) {
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) {
		w := &world{T: t}
		ring, err := link.NewRing(bytes.Repeat([]byte("k"), 32))
		w.must(err)
		w.db, err = store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time { return start.Add(time.Duration(w.ahead.Load())) }})
		w.must(err)
		t.Cleanup(func() { w.db.Close() })
		for _, slug := range []string{"mine", "other"} {
			w.write(func(tx *store.Tx) error {
				b, err := brand.Create(tx, brand.New{Slug: slug, Name: slug, PostalAddress: "12 Enghelab, Tehran", SenderEmail: "post@" + slug + ".example",
					Language: "en", Languages: []string{"en"}, TimeZone: "Asia/Tehran"})
				if slug == "mine" {
					w.mine = b
				} else {
					w.other = b
				}
				return err
			})
		}
		event.Listen(w.db, event.AlarmRaised, func(*store.Tx, event.Event) error { w.raised.Add(1); return nil })
		event.Listen(w.db, event.AlarmEnded, func(*store.Tx, event.Event) error { w.ended.Add(1); return nil })
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(f func(*store.Tx) error) {
	w.Helper()
	w.must(w.db.Write(w.Context(), f))
}

func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// send has a brand send so many mails now, of which so many lead to a complaint,
// to leaving, or fail.
func (w *world) send(b brand.Brand, sent, complain, leave, fail int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		err := event.Add(tx, []event.Tally{{BrandID: b.ID, At: tx.Now(), Kind: event.MailSent, Source: "marketing", N: int64(sent)},
			{BrandID: b.ID, At: tx.Now(), Kind: event.MailSent, Source: "test", N: 100_000}}) // tests make nothing look better
		if err != nil {
			return err
		}
		var facts []event.Event
		person := uuid.New()
		add := func(n int, kind string, data map[string]any) {
			for range n {
				facts = append(facts, event.Event{BrandID: b.ID, SubscriberID: &person, Kind: kind, Data: data})
			}
		}
		add(complain, event.AddressSuppressed, map[string]any{"reason": "complaint"})
		add(leave, event.ConsentWithdrawn, map[string]any{"method": "one-click", "topic": "letter", "topic_id": uuid.NewString()})
		if noise := min(30, int(w.noise.Load())); noise > 0 {
			add(noise, event.ConsentWithdrawn, map[string]any{"method": "operator", "topic": "letter"}) // by the team: nobody left
			add(noise, event.ConsentWithdrawn, map[string]any{"method": "preferences", "topic": "opens"})
			add(noise, event.AddressSuppressed, map[string]any{"reason": "manual"})
		}
		add(fail, event.MailFailed, map[string]any{"reason": "hard bounce"})
		return event.RecordAll(tx, facts)
	})
}

func (w *world) look() {
	w.Helper()
	w.must(event.Fold(w.Context(), w.db))
	w.must(alarm.Watch(w.Context(), w.db))
}

func (w *world) open(b brand.Brand) (all []alarm.Alarm) {
	w.Helper()
	w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { all, err = alarm.Opened(tx, b.ID); return err }))
	return all
}

// month is thirty usual days: 1,000 mails each, 4 leave, 10 fail, and a
// complaint every other day.
func (w *world) month() {
	w.Helper()
	for day := range 32 {
		for _, b := range []brand.Brand{w.mine, w.other} {
			w.send(b, 1000, day%2, 4, 10)
		}
		w.pass(24 * time.Hour)
	}
	w.noise.Store(30)
}

// What is usual is none, at any hour of the day after the mails.
func TestWhatIsUsualIsNoAlarm(t *testing.T) {
	each(t, func(w *world) {
		w.month()
		w.send(w.mine, 1000, 1, 6, 14)
		for range 8 {
			w.look()
			w.pass(7 * time.Hour)
		}
		if got := w.open(w.mine); len(got) > 0 || w.raised.Load() > 0 {
			t.Errorf("usual days are %+v", got)
		}
	})
}

// A rise is one alarm, however often and by how many it is looked at, at the
// brand that it happened at, with what it was counted from; it ends by itself.
func TestARiseIsOneAlarmAndEnds(t *testing.T) {
	for kind, rise := range map[alarm.Kind][3]int{alarm.Complaints: {25, 4, 10}, alarm.Leavers: {0, 60, 10}, alarm.Failures: {0, 4, 120}} {
		t.Run(string(kind), func(t *testing.T) {
			each(t, func(w *world) {
				w.month()
				w.look()
				w.send(w.mine, 1000, rise[0], rise[1], rise[2])
				w.send(w.other, 1000, 0, 4, 10)
				var looks sync.WaitGroup
				for range 3 {
					looks.Go(func() {
						if err := alarm.Watch(t.Context(), w.db); err != nil {
							t.Error(err)
						}
					})
				}
				looks.Wait()
				w.pass(5 * time.Minute)
				w.look()
				got := w.open(w.mine)
				if len(got) != 1 || got[0].Kind != kind || w.raised.Load() != 1 || len(w.open(w.other)) > 0 {
					t.Fatalf("%d told, open are %+v, at the other brand %+v", w.raised.Load(), got, w.open(w.other))
				}
				a := got[0]
				if a.SeenOf < 1000 || a.SeenOf > 3200 || a.UsualOf < 28_000 || a.UsualOf > 33_000 || a.Seen < 20 || a.Usual == 0 {
					t.Errorf("counted %+v", a)
				}
				w.pass(13 * time.Hour)
				w.look()
				if len(w.open(w.mine)) != 1 {
					t.Error("it is over within the day")
				}
				w.pass(12 * time.Hour)
				w.send(w.mine, 1000, 0, 4, 10)
				w.look()
				if len(w.open(w.mine)) != 0 || w.ended.Load() != 1 {
					t.Errorf("a usual day later: %+v, %d ended", w.open(w.mine), w.ended.Load())
				}
				w.send(w.mine, 1000, 3*rise[0], 3*rise[1], 3*rise[2])
				w.look()
				if w.raised.Load() != 1 {
					t.Error("it is raised again although it has just ended")
				}
				w.pass(7 * time.Hour)
				w.look()
				if w.raised.Load() != 2 {
					t.Errorf("hours after the end it was told %d times", w.raised.Load())
				}
			})
		})
	}
}

// A brand without a past is held to what is too high elsewhere.
func TestAYoungBrand(t *testing.T) {
	each(t, func(w *world) {
		w.send(w.mine, 120, 0, 60, 60) // too few to say
		w.send(w.other, 1000, 1, 8, 30)
		w.look()
		if w.raised.Load() > 0 {
			t.Errorf("raised %+v %+v", w.open(w.mine), w.open(w.other))
		}
		w.send(w.other, 1000, 0, 60, 0)
		w.look()
		if got := w.open(w.other); len(got) != 1 || got[0].Kind != alarm.Leavers || got[0].UsualOf != 0 {
			t.Errorf("raised %+v", got)
		}
	})
}

func TestAcknowledge(t *testing.T) {
	each(t, func(w *world) {
		w.send(w.mine, 1000, 0, 80, 0)
		w.look()
		a := w.open(w.mine)[0]
		var users []uuid.UUID
		for range 2 {
			id := uuid.New()
			w.write(func(tx *store.Tx) error {
				_, err := tx.Run("INSERT INTO users (id, email, name, password_hash, language, created_at, updated_at) VALUES (?, ?, 'x', 'x', 'en', ?, ?)", id, id.String(), tx.Now(), tx.Now())
				return err
			})
			users = append(users, id)
		}
		err := w.db.Write(t.Context(), func(tx *store.Tx) error { _, err := alarm.Acknowledge(tx, w.other.ID, a.ID, users[0]); return err })
		if !problem.Is(err, problem.NotFound) {
			t.Errorf("another brand's: %v", err)
		}
		for _, u := range users {
			w.write(func(tx *store.Tx) (err error) { a, err = alarm.Acknowledge(tx, w.mine.ID, a.ID, u); return err })
			if a.AcknowledgedBy == nil || *a.AcknowledgedBy != users[0] {
				t.Errorf("it is of %v, not of the first", a.AcknowledgedBy)
			}
		}
		w.pass(30 * time.Hour)
		w.look()
		var list []alarm.Alarm
		w.must(w.db.Read(t.Context(), func(tx *store.Tx) (err error) { list, err = alarm.List(tx, w.mine.ID, uuid.Nil, 10); return err }))
		if len(list) != 1 || list[0].Open() || list[0].AcknowledgedAt == nil {
			t.Errorf("the list is %+v", list)
		}
	})
}

// Values of R's pbinom(k - 1, n, p, lower.tail = FALSE), as the rule asks it.
func TestTheRule(t *testing.T) {
	for _, c := range []struct {
		alarm.Figures
		rises, rests bool
	}{
		{alarm.Figures{}, false, true},
		{alarm.Figures{Seen: 150, SeenOf: 199, Usual: 100, UsualOf: 30_000}, false, true},
		{alarm.Figures{Seen: 5, SeenOf: 1000, Usual: 150, UsualOf: 30_000}, false, true},
		{alarm.Figures{Seen: 12, SeenOf: 1000, Usual: 150, UsualOf: 30_000}, false, false},              // in a hundred days one
		{alarm.Figures{Seen: 30, SeenOf: 1000, Usual: 150, UsualOf: 30_000}, true, false},               // six times as many
		{alarm.Figures{Seen: 900, SeenOf: 100_000, Usual: 15_000, UsualOf: 3_000_000}, false, true},     // certain, and little
		{alarm.Figures{Seen: 1100, SeenOf: 100_000, Usual: 15_000, UsualOf: 3_000_000}, true, false},    // certain, and much
		{alarm.Figures{Seen: 1_000_000, SeenOf: 1_000_000, Usual: 1, UsualOf: 30_000_000}, true, false}, // everybody
		{alarm.Figures{Seen: 0, SeenOf: 1_000_000, Usual: 1_000_000, UsualOf: 2_000_000}, false, true},  // nobody
	} {
		if got, rest := c.Rises(alarm.Leavers), c.Rests(alarm.Leavers); got != c.rises || rest != c.rests {
			t.Errorf("%+v: rises %v, rests %v", c.Figures, got, rest)
		}
	}
}

// A year of looks at a brand whose rates are what they are raises nothing: the
// day is judged anew every five minutes, by figures that move on with it.
func TestChanceRaisesNothing(t *testing.T) {
	chance := rand.New(rand.NewPCG(5, 6))
	const looks, perLook, rate = 288, 40, 0.004
	var past [31 * looks]int // of each look, how many left
	sum := func(from, to int) (n int64) {
		for i := from; i < to; i++ {
			n += int64(past[(i+len(past))%len(past)])
		}
		return n
	}
	draw := func() (n int) {
		for range perLook {
			if chance.Float64() < rate {
				n++
			}
		}
		return n
	}
	for i := range past {
		past[i] = draw()
	}
	raised := 0
	day, month := sum(30*looks, 31*looks), sum(0, 30*looks)
	for i := range 365 * looks {
		at := i % len(past)
		day -= int64(past[(at+30*looks)%len(past)]) // the oldest of the day becomes history
		month += int64(past[(at+30*looks)%len(past)]) - int64(past[at])
		past[at] = draw()
		day += int64(past[at])
		f := alarm.Figures{Seen: day, SeenOf: looks * perLook, Usual: month, UsualOf: 30 * looks * perLook}
		if f.Rises(alarm.Leavers) {
			raised++
		}
	}
	if raised > 0 {
		t.Errorf("%d alarms in a year by chance alone", raised)
	}
}
