package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

func TestStreamRates(t *testing.T) {
	each(t, func(w *world) {
		a, b := uuid.New(), uuid.New()
		w.write(func(tx *store.Tx) error {
			for _, id := range []uuid.UUID{a, b} {
				if err := OpenStream(tx, w.brand.ID, OriginCampaign, id); err != nil {
					return err
				}
			}
			return SetStreamRate(tx, w.brand.ID, a, 3600)
		})
		rates := func(brandID uuid.UUID) (found map[uuid.UUID]int) {
			w.write(func(tx *store.Tx) (err error) { found, err = StreamRates(tx, brandID, a, b); return err })
			return found
		}
		if got := rates(w.brand.ID); len(got) != 1 || got[a] != 3600 {
			w.Errorf("%v", got)
		}
		if got := rates(uuid.New()); len(got) != 0 {
			w.Errorf("another brand sees %v", got)
		}
		for perHour, kind := range map[int]problem.Kind{-1: problem.Invalid, brand.RateMost + 1: problem.Invalid} {
			if err := w.db.Write(t.Context(), func(tx *store.Tx) error { return SetStreamRate(tx, w.brand.ID, a, perHour) }); !problem.Is(err, kind) {
				w.Errorf("%d an hour: %v", perHour, err)
			}
		}
		if err := w.db.Write(t.Context(), func(tx *store.Tx) error { return SetStreamRate(tx, uuid.New(), a, 5) }); !problem.Is(err, problem.NotFound) {
			w.Errorf("by another brand: %v", err)
		}
		w.write(func(tx *store.Tx) error { return SetStreamRate(tx, w.brand.ID, a, 0) })
		if got := rates(w.brand.ID); len(got) != 0 {
			w.Errorf("after the limit was taken away: %v", got)
		}
	})
}

// TestSilentBrandsWarmUpAnew: receivers forget who does not write for a month.
func TestSilentBrandsWarmUpAnew(t *testing.T) {
	const idle = 30 * 24 * time.Hour
	each(t, func(w *world) {
		from := func() (at *time.Time) {
			w.write(func(tx *store.Tx) error {
				if err := RestWarmUps(tx, idle); err != nil {
					return err
				}
				b, err := brand.Find(tx, w.brand.ID)
				at = b.WarmUpFrom
				return err
			})
			return at
		}
		mail := func(state State, script ...testkit.Answer) {
			email := uuid.NewString() + "@example.org"
			w.smtp.Script(email, script...)
			source := w.campaign(w.person(email))
			w.deliver("bulk")
			if got := w.message(source).State; got != state {
				w.Fatalf("the mail is %s, not %s", got, state)
			}
		}
		if at := from(); at != nil {
			w.Fatalf("a known brand is warmed up from %s", at)
		}
		begin := w.db.Now()
		w.write(func(tx *store.Tx) error {
			_, err := brand.Update(tx, w.brand.ID, brand.Change{WarmUpFrom: &begin})
			return err
		})
		w.pass(20 * 24 * time.Hour)
		if at := from(); at == nil || !at.Equal(begin) {
			w.Errorf("after 20 days of silence: %v", at)
		}
		mail(Sent)
		w.pass(29 * 24 * time.Hour)
		if at := from(); at == nil || !at.Equal(begin) {
			w.Errorf("29 days after its last mail: %v", at)
		}
		mail(Failed, testkit.Refuse(550, "5.1.1 unknown")) // nobody has received that
		w.pass(2 * 24 * time.Hour)
		if at := from(); at == nil || w.db.Now().Sub(*at) > time.Minute {
			w.Errorf("31 days after its last mail: %v", at)
		}
	})
}
