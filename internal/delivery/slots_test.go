package delivery

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// promise has the topic promise so many mails in so many days, to those who
// allow it from now on.
func (w *world) promise(most, days int) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		w.topic, err = consent.UpdateTopic(tx, w.brand, w.topic.ID, consent.TopicChange{PromiseMax: &most, PromiseDays: &days})
		return err
	})
}

func (w *world) change(c brand.Change) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { w.brand, err = brand.Update(tx, w.brand.ID, c); return err })
}

// as makes a campaign's stream that of a sequence.
func (w *world) as(source uuid.UUID, origin Origin) uuid.UUID {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := tx.Run("UPDATE streams SET origin = ? WHERE id = ?", origin, source)
		return err
	})
	return source
}

func (w *world) slots() (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw("SELECT count(*) FROM slots").Scan(&n).Error })
	return n
}

func TestAPromiseIsKept(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		ana := w.person("ana@example.org")
		first, second, step := w.campaign(ana), w.campaign(ana), w.as(w.campaign(ana), OriginSequence)
		w.deliver("bulk")
		w.mustBe(first, Sent, "")
		w.mustBe(second, Skipped, reasonPromise)
		m := w.mustBe(step, Queued, reasonPromise)
		if wait := m.DueAt.Sub(w.db.Now()); wait < 7*24*time.Hour-time.Minute || wait > 7*24*time.Hour {
			t.Errorf("the step waits for %s, want a week from the first mail", wait)
		}
		w.pass(7*24*time.Hour - time.Hour)
		w.deliver("bulk")
		w.mustBe(step, Queued, reasonPromise)
		w.pass(2 * time.Hour)
		w.deliver("bulk")
		w.mustBe(step, Sent, "")
		if got := w.smtp.To("ana@example.org"); len(got) != 2 {
			t.Errorf("%d mails, want 2", len(got))
		}
	})
}

// A slot is lost with the mail, and kept by one that may have arrived.
func TestOnlyWhatMayHaveArrivedKeepsItsSlot(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		ana := w.person("ana@example.org")
		w.smtp.Script("ana@example.org", testkit.RefuseData(554, "5.7.1 spam").Times(1))
		refused := w.campaign(ana)
		w.deliver("bulk")
		w.mustBe(refused, Failed, "refused")
		next := w.campaign(ana)
		w.deliver("bulk")
		w.mustBe(next, Sent, "")
		if n := w.slots(); n != 1 {
			t.Errorf("%d slots, want that of the mail that was sent", n)
		}

		bob := w.person("bob@example.org")
		w.smtp.Script("bob@example.org", testkit.CutReply().Times(1))
		lost := w.campaign(bob)
		w.deliver("bulk")
		w.mustBe(lost, Uncertain, "no answer after the mail was handed over")
		later := w.campaign(bob)
		w.deliver("bulk")
		w.mustBe(later, Skipped, reasonPromise)

		var ref link.Message
		settle := func(brand uuid.UUID, as State) error {
			return w.db.Write(t.Context(), func(tx *store.Tx) error { return Settle(tx, brand, ref, as) })
		}
		ref = w.message(lost).Ref()
		if err := settle(uuid.New(), Sent); !problem.Is(err, problem.NotFound) {
			t.Errorf("another brand settles it: %v", err)
		}
		w.must(settle(w.brand.ID, Failed)) // its log says that the server never had it
		w.mustBe(lost, Failed, "settled by a person")
		if err := settle(w.brand.ID, Sent); !problem.Is(err, problem.Conflict) {
			t.Errorf("settled twice: %v", err)
		}
		freed := w.campaign(bob)
		w.deliver("bulk")
		w.mustBe(freed, Sent, "")

		eve := w.person("eve@example.org")
		held := w.campaign(eve)
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		if n := w.slots(); n != 3 {
			t.Errorf("%d slots with a claim under way, want 3", n)
		}
		w.engine.putBack(b, b.messages[0])
		w.settle()
		w.mustBe(held, Queued, "")
		if n := w.slots(); n != 2 {
			t.Errorf("%d slots after it was put back, want 2", n)
		}
	})
}

func TestACapIsOverAllTopics(t *testing.T) {
	each(t, func(w *world) {
		two, days := 2, 30
		w.change(brand.Change{CapMax: &two, CapDays: &days})
		ana := w.person("ana@example.org")
		sources := []uuid.UUID{w.campaign(ana)}
		letter := w.topic
		w.write(func(tx *store.Tx) (err error) {
			w.topic, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "shop", Texts: map[string]consent.TopicText{"en": {Name: "Shop", Wording: "Offers too."}}})
			if err == nil {
				_, err = consent.Grant(tx, w.act(ana, consent.Given))
			}
			return err
		})
		sources = append(sources, w.campaign(ana))
		w.topic = letter
		sources = append(sources, w.campaign(ana))
		w.deliver("bulk")
		sent, refused := 0, 0
		for _, s := range sources {
			switch m := w.message(s); {
			case m.State == Sent:
				sent++
			case m.State == Skipped && m.Reason == reasonCap:
				refused++
			}
		}
		if sent != 2 || refused != 1 {
			t.Errorf("%d sent and %d refused, want 2 and 1", sent, refused)
		}
	})
}

func TestQuietHours(t *testing.T) {
	at := func(zone, local string) time.Time {
		loc, _ := time.LoadLocation(zone)
		when, err := time.ParseInLocation("2006-01-02 15:04", local, loc)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct{ from, until, zone, now, end string }{
		{"21:00", "08:00", "Asia/Tehran", "2026-11-23 20:59", ""},
		{"21:00", "08:00", "Asia/Tehran", "2026-11-23 21:00", "2026-11-24 08:00"},
		{"21:00", "08:00", "Asia/Tehran", "2026-11-24 07:59", "2026-11-24 08:00"},
		{"21:00", "08:00", "Asia/Tehran", "2026-11-24 08:00", ""},
		{"12:00", "14:00", "Europe/Berlin", "2026-11-23 13:00", "2026-11-23 14:00"},
		{"12:00", "14:00", "Europe/Berlin", "2026-11-23 14:00", ""},
		{"01:00", "03:00", "Europe/Berlin", "2026-10-25 01:30", "2026-10-25 03:00"}, // an hour longer that night
		{"", "", "Europe/Berlin", "2026-11-23 03:00", ""},
	} {
		until, yes := dueStream{QuietFrom: c.from, QuietUntil: c.until}.quiet(at(c.zone, c.now))
		if yes != (c.end != "") || yes && !until.Equal(at(c.zone, c.end)) {
			t.Errorf("%s–%s at %s: quiet %t until %s, want %q", c.from, c.until, c.now, yes, until, c.end)
		}
	}
	each(t, func(w *world) {
		now := w.db.Now().In(w.brand.Location())
		from, until := now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04")
		w.change(brand.Change{QuietFrom: &from, QuietUntil: &until})
		ana := w.person("ana@example.org")
		source, asked := w.campaign(ana), w.confirmation(ana)
		w.deliver("bulk")
		w.deliver("confirm")
		w.mustBe(source, Queued, reasonQuiet)
		w.mustBe(asked, Sent, "")
		w.pass(2 * time.Hour)
		w.deliver("bulk")
		w.mustBe(source, Sent, "")
	})
}

func TestThePreferredMailGetsTheSlot(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		ana := w.person("ana@example.org")
		usual, urgent := w.campaign(ana), w.campaign(ana)
		w.write(func(tx *store.Tx) error { return SetPriority(tx, w.brand.ID, urgent, 5) })
		w.deliver("bulk")
		w.mustBe(urgent, Sent, "")
		if m := w.message(usual); m.State == Sent {
			t.Fatal("the slot went to the other")
		}
		w.pass(2 * time.Minute)
		w.deliver("bulk")
		w.mustBe(usual, Skipped, reasonPromise)
	})
}

// Two workers, two campaigns and a sequence at once, many people: nobody gets
// more than was promised.
func TestAPromiseIsExactUnderConcurrency(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		var people []subscriber.Subscriber
		for i := range 60 {
			people = append(people, w.person(fmt.Sprintf("p%d@example.org", i)))
		}
		w.campaign(people...)
		w.campaign(people...)
		w.as(w.campaign(people...), OriginSequence)
		first := w.engine
		w.dir = t.TempDir()
		w.start()
		defer first.Stop()
		var both sync.WaitGroup
		for _, e := range []*Engine{first, w.engine} {
			for range 2 {
				both.Go(func() {
					if err := e.Deliver(context.Background(), "bulk"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		both.Wait()
		first.lanes.Wait()
		w.engine.lanes.Wait()
		for i := range people {
			if got := w.smtp.To(fmt.Sprintf("p%d@example.org", i)); len(got) > 1 {
				t.Fatalf("p%d got %d mails in a week, one was promised", i, len(got))
			}
		}
		if got := len(w.smtp.Mails()); got != 60 {
			t.Errorf("%d mails, want one each", got)
		}
	})
}

// While one worker decides over a person's last slot, another waits.
func TestTheLastSlotIsDecidedByOneAtATime(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		ana := w.person("ana@example.org")
		w.campaign(ana)
		w.campaign(ana)
		took := func(after uuid.UUID, then func()) (stream uuid.UUID, n int) {
			w.write(func(tx *store.Tx) error {
				s, ok, err := due(tx, "bulk", after, nil, nil)
				if err != nil || !ok {
					t.Errorf("nothing is due: %v", err)
					return err
				}
				page, _, err := claim(tx, s, w.engine.node, place{}, batch)
				stream, n = s.ID, len(page)
				then()
				return err
			})
			return stream, n
		}
		begun, second := make(chan uuid.UUID, 1), make(chan int)
		go func() {
			_, n := took(<-begun, func() {})
			second <- n
		}()
		stream, first := took(uuid.Nil, func() {
			var s Stream
			w.must(w.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Raw("SELECT * FROM streams ORDER BY id LIMIT 1").Scan(&s).Error }))
			begun <- s.ID
			time.Sleep(300 * time.Millisecond)
		})
		if n := <-second; first != 1 || n != 0 {
			t.Errorf("%s took %d, the other %d; want 1 and 0", stream, first, n)
		}
	})
}

// While a person wants nothing, a campaign's mail is news of another day; a
// sequence waits, and goes on as soon as the pause ends, however it ends.
func TestAPauseHoldsASequenceAndSkipsACampaign(t *testing.T) {
	each(t, func(w *world) {
		event.Listen(w.db, event.ConsentRenewed, OnRenewed)
		ana := w.person("ana@example.org")
		pause := func(until time.Time) {
			w.write(func(tx *store.Tx) error {
				_, err := consent.Adjust(tx, w.brand, ana.ID, w.topic, consent.Adjustment{Pause: &consent.Pause{Until: until}}, nil)
				return err
			})
		}
		of := func(origin Origin) uuid.UUID {
			source := w.campaign(ana)
			stream := w.message(source).StreamID
			w.write(func(tx *store.Tx) error {
				_, err := tx.Run("UPDATE streams SET origin = ? WHERE id = ?", origin, stream)
				return err
			})
			return source
		}
		end := w.db.Now().Add(48 * time.Hour).Truncate(time.Microsecond)
		news, gift, step := of(OriginCampaign), of(OriginOffer), of(OriginSequence)
		pause(end)
		w.deliver("bulk")
		w.mustBe(news, Skipped, consent.ReasonPaused)
		w.mustBe(gift, Skipped, consent.ReasonPaused)
		if m := w.mustBe(step, Queued, consent.ReasonPaused); !m.DueAt.Equal(end) {
			t.Errorf("the step is due at %s, want the end of the pause, %s", m.DueAt, end)
		}
		w.pass(47 * time.Hour)
		w.deliver("bulk")
		w.mustBe(step, Queued, consent.ReasonPaused)
		w.pass(2 * time.Hour)
		w.deliver("bulk")
		w.mustBe(step, Sent, "")

		next := of(OriginSequence)
		pause(w.db.Now().Add(48 * time.Hour))
		w.deliver("bulk")
		w.mustBe(next, Queued, consent.ReasonPaused)
		pause(time.Time{})
		w.deliver("bulk")
		w.mustBe(next, Sent, "")

		last := w.campaign(ana) // claimed before the pause: it is asked again before it begins
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		pause(w.db.Now().Add(time.Hour))
		w.write(func(tx *store.Tx) error {
			may, err := stillMay(tx, w.engine.node, b.messages)
			if len(may) != 0 {
				t.Error("a mail begins in the pause")
			}
			return err
		})
		w.deliver("bulk")
		w.mustBe(last, Skipped, consent.ReasonPaused)
	})
}
