package delivery

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// Values of R's prop.test(k, n, correct = FALSE)$conf.int.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		k, n      int64
		low, high float64
	}{{0, 10, 0, 0.2775}, {5, 10, 0.2366, 0.7634}, {10, 10, 0.7225, 1}, {1, 100, 0.00177, 0.05449}, {30, 1000, 0.02109, 0.04252}, {0, 0, 0, 1}} {
		low, high := Interval(c.k, c.n)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.5f to %.5f, want %.5f to %.5f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

func TestBreakersJudge(t *testing.T) {
	for _, c := range []struct {
		tally
		stop, warn string
	}{
		{tally{Hard: 1}, "", ""},          // the first of all
		{tally{Sent: 2, Hard: 3}, "", ""}, // three of the first five
		{tally{Hard: 9}, "", ""},
		{tally{Sent: 97, Hard: 3}, "", ""},                        // as is usual
		{tally{Sent: 940, Hard: 60}, "", BreakerBounces},          // 3.9 % at least
		{tally{Sent: 900, Hard: 100}, BreakerBounces, ""},         // 7.3 % at least
		{tally{Sent: 40, Hard: 10}, BreakerBounces, ""},           // in the first 50
		{tally{Sent: 499, Complaints: 40}, "", ""},                // too few mails to say
		{tally{Sent: 500, Complaints: 2}, "", ""},                 // two people
		{tally{Sent: 600, Complaints: 3}, "", BreakerComplaints},  // 0.17 % at least
		{tally{Sent: 1000, Complaints: 9}, BreakerComplaints, ""}, // 0.32 % at least
		{tally{Sent: 1e6, Complaints: 900}, "", ""},
		{tally{Sent: 1e6, Refusals: refusalRun - 1}, "", ""},
		{tally{Sent: 1e6, Refusals: refusalRun}, BreakerRefusals, ""},
	} {
		if stop, warn := c.judge(); stop != c.stop || warn != c.warn {
			low := atLeast(c.Hard, c.Sent+c.Hard, sure)
			t.Errorf("%+v: stop %q, warn %q, want %q and %q (bounces at least %.4f)", c.tally, stop, warn, c.stop, c.warn, low)
		}
	}
}

// A stream that is judged again and again, and is just at the threshold, goes on;
// one well above it does not come far.
func TestABreakerBearsBeingAskedOften(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		share        float64
		least, most  int // of 200 streams are stopped
		within, sent int
	}{{0.05, 0, 6, 0, 20_000}, {0.10, 200, 200, 3000, 20_000}} {
		stopped := 0
		for range 200 {
			var t tally
			for range c.sent / batch {
				for range batch {
					if chance.Float64() < c.share {
						t.Hard++
					} else {
						t.Sent++
					}
				}
				if stop, _ := t.judge(); stop != "" {
					if c.within == 0 || int(t.Sent+t.Hard) <= c.within {
						stopped++
					}
					break
				}
			}
		}
		if stopped < c.least || stopped > c.most {
			t.Errorf("at %.0f %% %d of 200 streams are stopped, want %d to %d", 100*c.share, stopped, c.least, c.most)
		}
	}
}

// told gives the facts of a kind about streams.
func (w *world) told(kind string) (all []event.Event) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Where("kind = ? AND brand_id = ?", kind, w.brand.ID).Find(&all).Error
	})
	return all
}

func (w *world) crowd(n int, prefix string) (people []subscriber.Subscriber) {
	for i := range n {
		people = append(people, w.person(fmt.Sprintf("%s%d@example.org", prefix, i)))
	}
	return people
}

func (w *world) stream(id uuid.UUID) (s Stream) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { s, err = FindStream(tx, w.brand.ID, id); return err })
	return s
}

func TestTooManyBouncesStopAStream(t *testing.T) {
	each(t, func(w *world) {
		for i := range 12 {
			w.smtp.Script(fmt.Sprintf("gone%d@example.org", i), testkit.Refuse(550, "5.1.1 no such user"))
		}
		bad, other := w.as(w.campaign(w.crowd(12, "gone")...), OriginSequence), w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		s := w.stream(bad)
		if s.PausedAt == nil || s.PausedFor != BreakerBounces {
			t.Fatalf("the stream goes on: %+v", s)
		}
		if told := w.told(event.SendingPaused); len(told) != 1 || told[0].Data["reason"] != BreakerBounces {
			t.Errorf("told %+v", told)
		}
		w.mustBe(other, Sent, "")

		later := w.person("later@example.org")
		like := w.message(bad)
		w.write(func(tx *store.Tx) error { return queueFor(tx, w, like, later) })
		w.deliver("bulk")
		if got := w.smtp.To("later@example.org"); len(got) != 0 {
			t.Error("a stopped stream sent a mail")
		}
		w.write(func(tx *store.Tx) error { return ResumeStream(tx, w.brand.ID, bad) })
		w.deliver("bulk")
		if s := w.stream(bad); s.PausedAt != nil || s.PausedFor != "" {
			t.Errorf("stopped again for what was counted before it was resumed: %+v", s)
		}
		if got := w.smtp.To("later@example.org"); len(got) != 1 {
			t.Errorf("%d mails after it was resumed, want 1", len(got))
		}
	})
}

func TestARunOfPolicyRefusalsStopsAStream(t *testing.T) {
	each(t, func(w *world) {
		for i := range refusalRun {
			w.smtp.Script(fmt.Sprintf("p%d@example.org", i), testkit.RefuseData(554, "5.7.1 blocked"))
		}
		source := w.as(w.campaign(w.crowd(refusalRun, "p")...), OriginSequence)
		w.deliver("bulk")
		if s := w.stream(source); s.PausedFor != BreakerRefusals {
			t.Errorf("the stream goes on: %+v", s)
		}
		if n := w.counts(source).Failed; n != refusalRun {
			t.Errorf("%d failed, want %d", n, refusalRun)
		}
	})
}

func TestComplaintsCountAgainstWhatWasSentLast(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.as(w.campaign(ana), OriginSequence)
		w.deliver("bulk")
		event.Listen(w.db, event.AddressSuppressed, OnSuppressed)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE tallies SET sent = 1000, complaints = 8 WHERE stream_id = ?", source)
			if err != nil {
				return err
			}
			if err := consent.Suppress(tx, w.brand, ana.AddressHash, consent.Manual, ""); err != nil {
				return err
			}
			return nil
		})
		if s := w.stream(source); s.PausedAt != nil {
			t.Fatal("stopped over a suppression that is no complaint")
		}
		w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, ana.AddressHash, consent.Complaint, "") })
		if s := w.stream(source); s.PausedFor != BreakerComplaints {
			t.Errorf("the stream goes on: %+v", s)
		}

		over := w.campaign(ana)
		w.write(func(tx *store.Tx) error {
			return add(tx, w.brand.ID, tally{StreamID: over, Sent: 1000, Complaints: 20}, false)
		})
		if s := w.stream(over); s.PausedFor == "" { // it has a mail on the way
			t.Error("a campaign with a mail on the way goes on")
		}
		done := w.campaign()
		w.write(func(tx *store.Tx) error {
			return add(tx, w.brand.ID, tally{StreamID: done, Sent: 1000, Complaints: 20}, false)
		})
		if s := w.stream(done); s.PausedFor != "" {
			t.Error("a campaign that is over was paused")
		}
	})
}

func TestAlarmsReachTheTeam(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.person("ana@example.org"))
		e := event.Event{BrandID: w.brand.ID, Kind: event.SendingPaused, SourceID: &source,
			Data: map[string]any{"reason": BreakerBounces, "hard_bounces": int64(12), "tried": int64(80)}}
		w.write(func(tx *store.Tx) error {
			if err := Alarm(tx, e, "olive@baharan.example", "en", "Letter 12"); err != nil {
				return err
			}
			return Alarm(tx, e, "mina@baharan.example", "fa", "نامهٔ ۱۲")
		})
		w.deliver("service")
		for to, want := range map[string]string{"olive@baharan.example": "Letter 12", "mina@baharan.example": "نامهٔ ۱۲"} {
			got := w.smtp.To(to)
			if len(got) != 1 {
				t.Fatalf("%s got %d mails", to, len(got))
			}
			if !strings.Contains(got[0].Text, want) || !strings.Contains(got[0].HTML, want) || !strings.Contains(got[0].Text, "80") && to[0] == 'o' {
				t.Errorf("the alarm says\n%s", got[0].Text)
			}
		}
	})
}

// Refusals with mails accepted between them are no row, in whatever page they stand.
func TestAcceptedMailsEndARowOfRefusals(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.crowd(2*refusalRun, "p")...)
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		var page []outcome
		for i, m := range b.messages {
			r := reply{verdict: accepted, code: 250}
			if i%2 == 0 {
				r = reply{verdict: refused, code: 554, text: "5.7.1 no"}
			}
			page = append(page, outcome{m, r})
		}
		w.write(func(tx *store.Tx) error { return record(tx, w.engine.node, page) })
		if s := w.stream(source); s.PausedFor != "" {
			t.Errorf("stopped for %s", s.PausedFor)
		}
	})
}

// What is counted of mails that were sent is what their rows say, also of those
// that a person has settled, and each once.
func TestSentMailsAreCountedOnce(t *testing.T) {
	each(t, func(w *world) {
		watched := w.person("watched@example.org")
		w.allowTracking(watched)
		people := append(w.crowd(5, "p"), watched)
		w.smtp.Script("p0@example.org", testkit.Refuse(550, "5.1.1 no such user"))
		w.campaign(people...)
		w.confirmation(people[1])
		w.deliver("bulk")
		w.deliver("confirm")
		w.deliver("bulk")
		doubtful := w.message(w.campaign(people[2]))
		w.write(func(tx *store.Tx) error {
			if _, err := tx.Run("UPDATE messages SET state = 'uncertain' WHERE id = ?", doubtful.ID); err != nil {
				return err
			}
			_, err := tx.Run("DELETE FROM outbox WHERE id = ?", doubtful.ID)
			return err
		})
		w.write(func(tx *store.Tx) error { return Settle(tx, w.brand.ID, doubtful.Ref(), Sent) })
		got, want := map[string]int64{}, map[string]int64{}
		w.write(func(tx *store.Tx) error {
			now := event.QuarterOf(tx.Now())
			sums, err := event.Sums(tx, w.brand.ID, []event.Span{{From: now.Add(-event.Quarter), To: now.Add(event.Quarter)}})
			for _, s := range sums {
				if s.Kind == event.MailSent || s.Kind == event.SentWatched {
					got[s.Kind+" "+s.Source] = s.N
				}
			}
			if err != nil {
				return err
			}
			var rows []Message
			err = tx.Where("state = 'sent' AND brand_id = ?", w.brand.ID).Find(&rows).Error
			for _, m := range rows {
				want[event.MailSent+" "+string(m.Kind)]++
				if m.TracksOpens {
					want[event.SentWatched+" open"]++
				}
				if m.TracksClicks {
					want[event.SentWatched+" click"]++
				}
			}
			return err
		})
		if !maps.Equal(got, want) || want[event.MailSent+" marketing"] != 6 || want[event.MailSent+" confirm"] != 1 || want[event.SentWatched+" open"] != 1 {
			t.Errorf("counted %v, the rows say %v", got, want)
		}
	})
}
