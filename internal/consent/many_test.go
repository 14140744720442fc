package consent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func (w *world) grantAll(acts []consent.Act) (events []consent.Event, refused []error) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { events, refused, err = consent.GrantAll(tx, acts); return err })
	return events, refused
}

func (w *world) stated(s subscriber.Subscriber, topic consent.Topic) consent.Act {
	return consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: topic, Basis: consent.BasisOperator, Method: consent.MethodAPI,
		Wording: "Yes, send me news.", Evidence: map[string]any{"card": s.Email}}
}

// One call may hold a person and a topic several times, and find a permission
// that has run out: the ledger is the same chain as from one call each.
func TestGrantAllIsAChain(t *testing.T) {
	each(t, func(w *world) {
		short := w.topic(w.brand, consent.NewTopic{Slug: "short", ValidDays: 2, PromiseMax: 1, PromiseDays: 7})
		ana, bob := w.person(w.brand, "ana@example.org"), w.person(w.brand, "bob@example.org")
		w.grantAll([]consent.Act{w.stated(ana, short)})
		w.pass(72 * time.Hour) // and it has run out
		told := 0
		event.ListenAll(w.db, event.ConsentGiven, func(_ *store.Tx, facts []event.Event) error { told += len(facts); return nil })
		events, refused := w.grantAll([]consent.Act{w.stated(bob, w.news), w.stated(ana, short), w.stated(ana, w.news), w.stated(ana, short), w.stated(bob, w.news)})
		var states []string
		for i, e := range events {
			if refused[i] != nil || !e.Fresh {
				t.Errorf("act %d: %v, %+v", i, refused[i], e)
			}
			states = append(states, string(e.State))
		}
		if got := strings.Join(states, " "); got != "given given given renewed renewed" || told != 3 {
			t.Errorf("states %s, told of %d given", got, told)
		}
		w.mustAgree(ana)
		w.mustAgree(bob)
		states = nil
		for _, e := range w.history(ana) {
			if e.TopicID != short.ID {
				continue
			}
			states = append(states, string(e.State))
			w.write(func(tx *store.Tx) error {
				p, err := consent.EvidenceOf(tx, e.ID)
				if e.State != consent.Expired && p.Evidence["card"] != "ana@example.org" || p.Address != "ana@example.org" || !consent.VerifyEvidence(e, p.Salt, p.Private) {
					t.Errorf("the evidence of %s is %+v", e.State, p)
				}
				return err
			})
		}
		if got := strings.Join(states, " "); got != "given expired given renewed" {
			t.Errorf("the ledger says %s", got)
		}
	})
}

// Where one act is refused, each says why, and nothing is written.
func TestGrantAllRefuses(t *testing.T) {
	each(t, func(w *world) {
		other := w.newBrand("other")
		theirs := w.topic(other, consent.NewTopic{Slug: "theirs"})
		fine, left, blocked, erased := w.person(w.brand, "fine@example.org"), w.person(w.brand, "left@example.org"), w.person(w.brand, "blocked@example.org"), w.person(w.brand, "erased@example.org")
		w.mustRecord(w.act(left, consent.Given))
		w.withdraw(left, consent.MethodOneClick)
		w.write(func(tx *store.Tx) error {
			if _, err := tx.Run("UPDATE subscribers SET erased_at = ? WHERE id = ?", tx.Now(), erased.ID); err != nil {
				return err
			}
			return consent.Suppress(tx, w.brand, blocked.AddressHash, consent.HardBounce, "")
		})
		past := start.Add(-time.Hour)
		with := func(s subscriber.Subscriber, change func(*consent.Act)) consent.Act {
			a := w.stated(s, w.news)
			change(&a)
			return a
		}
		acts := []consent.Act{
			w.stated(fine, w.news),
			with(fine, func(a *consent.Act) { a.Evidence = map[string]any{"card": " "} }),
			w.stated(left, w.news),
			w.stated(blocked, w.news),
			w.stated(erased, w.news),
			with(fine, func(a *consent.Act) { a.Subscriber = uuid.New() }),
			with(fine, func(a *consent.Act) { a.Topic = theirs }),
			with(fine, func(a *consent.Act) { a.Basis = "mood" }),
		}
		want := "fine consent.evidence-missing consent.left-before consent.left-before subscriber.erased subscriber.unknown consent.topic.unknown problem.invalid"
		events, refused := w.grantAll(acts)
		if got := keys(refused); got != want {
			t.Errorf("refused %s\n   want %s", got, want)
		}
		// What only the last step finds.
		_, refused = w.grantAll([]consent.Act{w.stated(fine, w.news), with(fine, func(a *consent.Act) { a.ValidUntil = &past }),
			with(fine, func(a *consent.Act) { a.Evidence = map[string]any{"n": func() {}} })})
		if got := keys(refused); got != "fine problem.invalid problem.invalid" {
			t.Errorf("refused %s", got)
		}
		for _, e := range events {
			if e.ID != uuid.Nil {
				t.Errorf("an event came of it: %+v", e)
			}
		}
		if h := w.history(fine); len(h) != 0 {
			t.Errorf("beside refused acts %d were written", len(h))
		}
		for i, a := range acts { // and each for itself is refused the same way
			err := w.db.Write(context.Background(), func(tx *store.Tx) error { _, err := consent.Grant(tx, a); return err })
			if got := keys([]error{err}); got != strings.Fields(want)[i] {
				t.Errorf("by itself act %d is %s", i, got)
			}
		}
		if w.may(fine).Allowed != true || w.may(left).Allowed {
			t.Error("the permissions are not what was granted")
		}
	})
}

func keys(refused []error) string {
	var all []string
	for _, err := range refused {
		if p, ok := problem.Of(err); ok {
			all = append(all, p.Key)
		} else if err == nil {
			all = append(all, "fine")
		} else {
			all = append(all, fmt.Sprint(err))
		}
	}
	return strings.Join(all, " ")
}
