package alarm_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/alarm"
	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/store"
)

// observed has a brand send so many mails now whose readers let themselves be
// observed, of which so many are opened, and half as many followed, sooner or later.
func (w *world) observed(b brand.Brand, sent, opened int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		tally := func(kind, source string, n int) event.Tally {
			return event.Tally{BrandID: b.ID, At: tx.Now(), Kind: kind, Source: source, N: int64(n)}
		}
		return event.Add(tx, []event.Tally{tally(event.MailSent, "marketing", 3*sent), // most are not observed, and say nothing
			tally(event.SentWatched, "open", sent), tally(event.SentThen, "open", opened),
			tally(event.SentWatched, "click", sent/4), tally(event.SentThen, "click", opened/8)})
	})
}

func (w *world) signUp(b brand.Brand, n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		person := uuid.New()
		var facts []event.Event
		for range n {
			facts = append(facts, event.Event{BrandID: b.ID, SubscriberID: &person, Kind: event.SignupAsked})
		}
		return event.RecordAll(tx, facts)
	})
}

// Mail that nobody opens any more is one alarm, a day after it went out, at the
// brand that it is of, with what it was counted from. It ends with the next that
// is opened, however long that takes, for a day without mail shows nothing; and
// after two weeks without any.
func TestMailThatIsNotOpened(t *testing.T) {
	each(t, func(w *world) {
		for range 33 {
			w.observed(w.mine, 600, 200)
			w.observed(w.other, 600, 200)
			w.pass(24 * time.Hour)
		}
		w.look()
		w.observed(w.mine, 600, 30)
		w.observed(w.other, 600, 120) // fewer, and not far fewer
		for range 4 {
			w.pass(5 * time.Hour)
			w.look()
		}
		if w.raised.Load() > 0 {
			t.Fatalf("it is judged before they had a day: %+v", w.open(w.mine))
		}
		w.pass(6 * time.Hour)
		w.look()
		w.look()
		got := w.open(w.mine)
		if len(got) != 1 || got[0].Kind != alarm.Opens || got[0].Seen != 30 || got[0].SeenOf != 600 || got[0].Usual < 5500 || got[0].UsualOf < 17_000 || w.raised.Load() != 1 {
			t.Fatalf("%d told, open are %+v", w.raised.Load(), got)
		}
		if got := w.open(w.other); len(got) > 0 {
			t.Errorf("at the other brand %+v", got)
		}
		silent := func(days int) {
			t.Helper()
			for day := range days {
				w.pass(24 * time.Hour)
				w.look()
				if got := w.open(w.mine); len(got) != 1 || got[0].LastSeen != 30 || got[0].LastSeenOf != 600 || w.ended.Load() != 0 {
					t.Fatalf("%d days without mail: %+v, %d ended", day+1, got, w.ended.Load())
				}
			}
		}
		silent(6)
		w.observed(w.mine, 150, 50) // too few to say
		silent(1)
		w.observed(w.mine, 600, 190)
		w.pass(26 * time.Hour)
		w.look()
		if len(w.open(w.mine)) > 0 || w.ended.Load() != 1 {
			t.Errorf("a usual day later: %+v, %d ended", w.open(w.mine), w.ended.Load())
		}

		w.ended.Store(0)
		w.observed(w.mine, 600, 30)
		w.pass(26 * time.Hour)
		w.look()
		silent(13)
		w.pass(24 * time.Hour)
		w.look()
		if len(w.open(w.mine)) > 0 || w.ended.Load() != 1 {
			t.Errorf("two weeks without mail: %+v, %d ended", w.open(w.mine), w.ended.Load())
		}
	})
}

// Sign-ups that came every day and come no more are an alarm: after a day where
// there were many, after a week where there were some, and not where there were few.
func TestSignUpsThatStop(t *testing.T) {
	each(t, func(w *world) {
		for range 45 {
			w.signUp(w.mine, 20)
			w.signUp(w.other, 4)
			w.pass(12 * time.Hour)
			w.signUp(w.mine, 20)
			w.signUp(w.other, 4)
			w.pass(12 * time.Hour)
		}
		w.look()
		w.pass(10 * time.Hour)
		w.look()
		if w.raised.Load() > 0 {
			t.Fatalf("a quiet night is %+v", w.open(w.mine))
		}
		w.pass(6 * time.Hour)
		w.look()
		got := w.open(w.mine)
		if len(got) != 1 || got[0].Kind != alarm.Signups || got[0].Span != alarm.Day || got[0].Seen != 0 || got[0].Usual < 1100 || len(w.open(w.other)) > 0 {
			t.Fatalf("open are %+v, at the other brand %+v", got, w.open(w.other))
		}
		w.pass(3 * 24 * time.Hour)
		w.look()
		if len(w.open(w.mine)) != 1 || len(w.open(w.other)) != 0 {
			t.Errorf("days later open are %+v, at the other brand %+v", w.open(w.mine), w.open(w.other))
		}
		w.signUp(w.mine, 1)
		w.look()
		if len(w.open(w.mine)) != 0 || w.ended.Load() != 1 {
			t.Errorf("somebody came, and it is still silent: %+v", w.open(w.mine))
		}
		w.pass(4 * 24 * time.Hour)
		w.look()
		if got := w.open(w.other); len(got) != 1 || got[0].Span != alarm.Week {
			t.Errorf("a week without: %+v", got)
		}
	})
}

// Values of R's pbinom(k, k + k0, n/(n + n0)), as the rule asks it.
func TestTheRuleOfSilence(t *testing.T) {
	for _, c := range []struct {
		kind alarm.Kind
		alarm.Figures
		rises, rests bool
	}{
		{alarm.Opens, alarm.Figures{}, false, true},
		{alarm.Opens, alarm.Figures{Seen: 0, SeenOf: 199, Usual: 3000, UsualOf: 10_000}, false, true}, // too few to say
		{alarm.Opens, alarm.Figures{Seen: 0, SeenOf: 5000, Usual: 300, UsualOf: 999}, false, true},    // no past to say
		{alarm.Opens, alarm.Figures{Seen: 0, SeenOf: 5000, Usual: 0, UsualOf: 9999}, false, true},     // nobody ever does
		{alarm.Opens, alarm.Figures{Seen: 61, SeenOf: 200, Usual: 3000, UsualOf: 10_000}, false, true},
		{alarm.Opens, alarm.Figures{Seen: 29, SeenOf: 200, Usual: 3000, UsualOf: 10_000}, false, false}, // pbinom(29, 3029, 200/10200) = 4.4e-06
		{alarm.Opens, alarm.Figures{Seen: 20, SeenOf: 200, Usual: 3000, UsualOf: 10_000}, true, false},
		{alarm.Opens, alarm.Figures{Seen: 16_000, SeenOf: 100_000, Usual: 900_000, UsualOf: 3_000_000}, false, true}, // certain, and more than half
		{alarm.Clicks, alarm.Figures{Seen: 0, SeenOf: 400, Usual: 300, UsualOf: 10_000}, false, false},               // rare: not yet certain
		{alarm.Clicks, alarm.Figures{Seen: 0, SeenOf: 600, Usual: 300, UsualOf: 10_000}, true, false},
		{alarm.Signups, alarm.Figures{Seen: 0, SeenOf: 24, Usual: 1000, UsualOf: 720}, true, false},
		{alarm.Signups, alarm.Figures{Seen: 1, SeenOf: 24, Usual: 100_000, UsualOf: 720}, false, true},
		{alarm.Signups, alarm.Figures{Seen: 0, SeenOf: 24, Usual: 22 * 20, UsualOf: 720}, false, false}, // a Sunday at an office
		{alarm.Signups, alarm.Figures{Seen: 0, SeenOf: 7 * 24, Usual: 100, UsualOf: 720}, false, false},
		{alarm.Signups, alarm.Figures{Seen: 0, SeenOf: 7 * 24, Usual: 150, UsualOf: 720}, true, false},
		{alarm.Signups, alarm.Figures{Seen: 0, SeenOf: 7 * 24, Usual: 30, UsualOf: 720}, false, true},
	} {
		if got, rest := c.Rises(c.kind), c.Rests(c.kind); got != c.rises || rest != c.rests {
			t.Errorf("%s %+v: rises %v, rests %v", c.kind, c.Figures, got, rest)
		}
	}
}

// Ten years of days at a brand whose mails are opened now more and now less, as
// their subjects are, raise nothing.
func TestAMailThatIsLikedLessIsNoSilence(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 8))
	days := make([]int64, 3650)
	for i := range days {
		rate := 0.22 + 0.2*chance.Float64()
		for range 500 {
			if chance.Float64() < rate {
				days[i]++
			}
		}
	}
	for i := 31; i < len(days); i++ {
		f := alarm.Figures{Seen: days[i], SeenOf: 500, UsualOf: 30 * 500}
		for _, n := range days[i-31 : i-1] {
			f.Usual += n
		}
		if f.Rises(alarm.Opens) {
			t.Fatalf("day %d: %+v", i, f)
		}
	}
}
