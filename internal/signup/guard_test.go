package signup

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// TestAFormIsGuardedWhileHardlyAnybodyConfirms goes the whole way of a guard.
func TestAFormIsGuardedWhileHardlyAnybodyConfirms(t *testing.T) {
	each(t, func(w *world) {
		n := 0
		sign := func(asked, confirmed int) {
			for i := range asked {
				n++
				email := fmt.Sprintf("p%d@example.org", n)
				w.ask(email, "news")
				if i < confirmed {
					w.confirm(email)
				}
			}
			w.handOver()
			w.pass(guardPatience)
		}
		watch := func() Guard {
			w.write(WatchForms)
			var f Form
			w.write(func(tx *store.Tx) (err error) { f, err = Find(tx, w.brand.ID, w.form.ID); return err })
			return f.Guard
		}
		sign(guardLeast-1, 0)
		if g := watch(); g != Unguarded {
			w.Fatalf("%d sign-ups say nothing, and it is %q", guardLeast-1, g)
		}
		sign(6, 6)
		if g := watch(); g != Unguarded {
			w.Fatalf("six of 55 confirmed, and it is %q", g)
		}
		w.pass(guardWindow)
		sign(guardLeast, 2)
		if g := watch(); g != GuardProof {
			w.Fatalf("two of fifty confirmed, and it is %q", g)
		}
		sign(guardLeast, 0)
		if g := watch(); g != GuardProof {
			w.Fatalf("at once: %q", g)
		}
		w.pass(guardHarder)
		if g := watch(); g != GuardedPause {
			w.Fatalf("still nobody confirms, and it is %q", g)
		}
		_, err := w.send(w.submission("", "x@example.org", "news"))
		if err == nil {
			w.Error("a paused form takes sign-ups")
		}
		err = second(w.sheetOf())
		if p, ok := problem.Of(err); !ok || p.Kind != problem.Unavailable || p.Key != "signup.form.resting" {
			w.Errorf("a paused form answers %v", err)
		}
		w.pass(guardRest)
		if g := watch(); g != GuardProof {
			w.Fatalf("six hours later: %q", g)
		}
		w.pass(guardWindow)
		if g := watch(); g != Unguarded {
			w.Fatalf("as usual again: %q", g)
		}
		sign(guardLeast, 0)
		watch()
		w.pass(time.Second)
		w.write(func(tx *store.Tx) error { return second(Resume(tx, w.brand.ID, w.form.ID)) })
		if g := watch(); g != Unguarded {
			w.Fatalf("what a person resumed is held to what was before: %q", g)
		}
		w.write(func(tx *store.Tx) error {
			if err := second(Resume(tx, tx.NewID(), w.form.ID)); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand resumes: %v", err)
			}
			var kinds []string
			err := tx.Raw("SELECT kind FROM events WHERE kind LIKE 'form.%' ORDER BY id").Scan(&kinds).Error
			if want := []string{event.FormGuarded, event.FormPaused, event.FormGuarded, event.FormResumed, event.FormGuarded, event.FormResumed}; !slices.Equal(kinds, want) {
				w.Errorf("told %v", kinds)
			}
			return err
		})
	})
}

// TestOnlyWhoCouldAnswerIsCounted holds that neither mail on its way nor an
// invitation moves a guard.
func TestOnlyWhoCouldAnswerIsCounted(t *testing.T) {
	each(t, func(w *world) {
		watch := func() (g Guard) {
			w.write(WatchForms)
			w.write(func(tx *store.Tx) error {
				return tx.Raw("SELECT guard FROM forms WHERE id = ?", w.form.ID).Scan(&g).Error
			})
			return g
		}
		for i := range guardLeast {
			w.ask(fmt.Sprintf("p%d@example.org", i), "news")
		}
		w.pass(guardPatience)
		if g := watch(); g != Unguarded {
			w.Fatalf("no mail has gone, and it is %q", g)
		}
		w.handOver()
		if g := watch(); g != Unguarded {
			w.Fatalf("the mails went this moment, and it is %q", g)
		}
		w.pass(guardPatience)
		by := func(via string) {
			w.write(func(tx *store.Tx) error { return second(tx.Run("UPDATE signup_requests SET via = ?", via)) })
		}
		by(ByFriend)
		if g := watch(); g != Unguarded {
			w.Fatalf("friends were invited, and it is %q", g)
		}
		by("")
		if g := watch(); g != GuardProof {
			w.Fatalf("fifty had their mail and nobody confirmed, and it is %q", g)
		}
	})
}

// handOver lets every mail that waits be taken by its receiver.
// TestTooManyStrangersGuardAForm: where nobody has to confirm, those tell who say
// that it was not they.
func TestTooManyStrangersGuardAForm(t *testing.T) {
	each(t, func(w *world) {
		place := "CA"
		w.write(func(tx *store.Tx) (err error) {
			if w.brand, err = brand.Update(tx, w.brand.ID, brand.Change{Jurisdiction: &place}); err != nil {
				return err
			}
			w.form, err = Create(tx, w.brand, "Single", Spec{Topics: []string{"news"}, Single: true})
			return err
		})
		for i := range guardLeast {
			w.ask(fmt.Sprintf("p%d@example.org", i), "news")
		}
		w.handOver()
		w.pass(guardPatience)
		for i, want := range []Guard{Unguarded, Unguarded, Unguarded, Unguarded, GuardProof} { // one in ten
			r := w.request(fmt.Sprintf("p%d@example.org", i))
			w.write(func(tx *store.Tx) error { return second(Disown(tx, r.ID, Seen{})) })
			w.write(WatchForms)
			var f Form
			w.write(func(tx *store.Tx) (err error) { f, err = Find(tx, w.brand.ID, w.form.ID); return err })
			if f.Guard != want {
				w.Fatalf("%d of %d say that it was not they, and it is %q", i+1, guardLeast, f.Guard)
			}
		}
	})
}

func (w *world) handOver() {
	w.write(func(tx *store.Tx) error {
		return second(tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE state = 'queued'", tx.Now()))
	})
}

func (w *world) sheetOf() (s Sheet, err error) {
	err = w.db.Read(context.Background(), func(tx *store.Tx) (err error) { s, err = Show(tx, w.form.ID, "en"); return err })
	return s, err
}

func TestUsedProofsAreForgotten(t *testing.T) {
	each(t, func(w *world) {
		p := Proof{By: ByWork, Name: []byte{1}, Until: w.now().Add(time.Minute)}
		w.write(func(tx *store.Tx) error { return Spend(tx, p) })
		w.write(func(tx *store.Tx) error {
			if err := Spend(tx, p); !problem.Is(err, problem.Conflict) {
				w.Errorf("twice: %v", err)
			}
			return nil
		})
		w.write(func(tx *store.Tx) error { return second(Sweep(tx, w.set, 10)) })
		if w.count("SELECT count(*) FROM spent_proofs") != 1 {
			w.Error("forgotten while it is good")
		}
		w.pass(2 * time.Hour)
		w.write(func(tx *store.Tx) error { return second(Sweep(tx, w.set, 10)) })
		if w.count("SELECT count(*) FROM spent_proofs") != 0 {
			w.Error("kept for ever")
		}
	})
}

func TestTargetDomains(t *testing.T) {
	for email, want := range map[string]string{
		"a@x.y.example.co.uk": "example.co.uk", "a@GMAIL.com": "gmail.com wide", "a@yahoo.fr": "yahoo.fr wide",
		"a@gmail.com.evil.example": "evil.example", "no address": "",
	} {
		got, wide := TargetDomain(email)
		if wide {
			got += " wide"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", email, got, want)
		}
	}
}

// TestTheEvidenceOfAPerson reads what is kept of who confirmed.
func TestTheEvidenceOfAPerson(t *testing.T) {
	each(t, func(w *world) {
		for i, c := range []struct {
			seen  Seen
			after time.Duration
			want  string
		}{
			{Seen{IP: "192.0.2.200", UserAgent: "Test/1.0", Scripted: true, Dwell: 5 * time.Second, Touched: true}, time.Minute, "likely 6"},
			{Seen{IP: "203.0.113.1", UserAgent: "Phone/2"}, time.Minute, "unknown 1"},
			{Seen{IP: "192.0.2.9", UserAgent: "Test/1.0"}, 3 * time.Second, "unknown 1"},
			{Seen{IP: "203.0.113.1", UserAgent: "python-requests/2", Scripted: true}, time.Minute, "unverified -3"},
			{Seen{IP: "203.0.113.1", UserAgent: "Phone/2"}, 3 * time.Second, "unverified -2 again"},
		} {
			email := fmt.Sprintf("p%d@example.org", i)
			w.ask(email, "news")
			r := w.request(email)
			w.write(func(tx *store.Tx) error {
				return second(tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE source_id = ?", tx.Now(), r.ID))
			})
			w.pass(c.after)
			w.write(func(tx *store.Tx) error {
				q, err := Look(tx, r.ID)
				if err != nil {
					return err
				}
				h, err := q.judge(tx, c.seen)
				got := fmt.Sprint(h.Verdict, " ", h.Score)
				if h.Doubted {
					got += " again"
				}
				if got != c.want {
					w.Errorf("%d: %s %v, want %s", i, got, h.Reasons, c.want)
				}
				evidence := map[string]any{}
				h.write(q, evidence)
				if evidence["human"] != h.Verdict || evidence["delivered_s"] != c.after.Seconds() {
					w.Errorf("%d: %v", i, evidence)
				}
				return err
			})
		}
	})
}
