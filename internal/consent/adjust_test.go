package consent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func (w *world) adjust(s subscriber.Subscriber, t consent.Topic, a consent.Adjustment) (e consent.Event, err error) {
	err = w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
		e, err = consent.Adjust(tx, w.brand, s.ID, t, a, map[string]any{"ip": "192.0.2.9"})
		return err
	})
	return e, err
}

func TestLessOftenNeverMoreThanPromised(t *testing.T) {
	each(t, func(w *world) {
		weekly := w.topic(w.brand, consent.NewTopic{Slug: "weekly", PromiseMax: 3, PromiseDays: 7, ValidDays: 100})
		ana := w.person(w.brand, "ana@example.org")
		a := w.act(ana, consent.Given)
		a.Topic, a.Method = weekly, consent.MethodDoubleOptIn
		given := w.mustRecord(a)
		w.pass(24 * time.Hour)

		more, none := consent.Promise{Max: 4, Days: 7}, consent.Promise{}
		for _, p := range []consent.Promise{more, none, {Max: 1, Days: 1}, {Max: 2, Days: 3}, {Max: -1, Days: 7}, {Max: 1}} {
			if _, err := w.adjust(ana, weekly, consent.Adjustment{Promise: &p}); !problem.Is(err, problem.Invalid) {
				w.Errorf("%+v of 3 in 7 days: %v", p, err)
			}
		}
		less := consent.Promise{Max: 1, Days: 30}
		e, err := w.adjust(ana, weekly, consent.Adjustment{Promise: &less})
		w.must(err)
		if e.State != consent.Renewed || e.Method != consent.MethodFrequency || e.PromiseMax != 1 || e.PromiseDays != 30 || e.ValidUntil == nil ||
			!e.ValidUntil.Equal(*given.ValidUntil) || !bytes.Equal(e.WordingHash, given.WordingHash) || e.Basis != given.Basis {
			w.Errorf("less often: %+v", e)
		}
		if again, err := w.adjust(ana, weekly, consent.Adjustment{Promise: &less}); err != nil || again.Fresh || again.ID != e.ID {
			w.Errorf("the same again writes %+v, %v", again, err)
		}
		more = consent.Promise{Max: 9, Days: 7} // the brand promises less from now on than it did
		w.write(func(tx *store.Tx) error {
			_, err := consent.UpdateTopic(tx, w.brand, weekly.ID, consent.TopicChange{PromiseMax: &more.Max})
			return err
		})
		if _, err := w.adjust(ana, weekly, consent.Adjustment{Promise: &more}); !problem.Is(err, problem.Invalid) {
			w.Errorf("a topic that promises more now, to one who was promised less: %v", err)
		}
		stated := w.act(ana, consent.Given) // a shop states the permission anew: her bounds stay
		stated.Topic, stated.Method, stated.Entity = weekly, consent.MethodAPI, consent.EntityOperator
		if e := w.mustRecord(stated); e.PromiseMax != 1 || e.PromiseDays != 30 {
			w.Errorf("a shop makes it %d in %d days", e.PromiseMax, e.PromiseDays)
		}
		back := consent.Promise{Max: 1, Days: 30}
		if e, err = w.adjust(ana, weekly, consent.Adjustment{Promise: &back}); err != nil || e.PromiseDays != 30 {
			w.Errorf("what stands: %+v, %v", e, err)
		}
		bo := w.person(w.brand, "bo@example.org")
		a.Subscriber = bo.ID
		w.mustRecord(a)
		week := consent.Promise{Max: 1, Days: 7}
		_, err = w.adjust(bo, weekly, consent.Adjustment{Promise: &week})
		w.must(err)
		full := consent.Promise{Max: 3, Days: 7}
		if e, err = w.adjust(bo, weekly, consent.Adjustment{Promise: &full}); err != nil || e.PromiseMax != 3 {
			w.Errorf("back to what was promised: %+v, %v", e, err)
		}
		w.write(func(tx *store.Tx) error {
			from, err := consent.Origin(tx, e)
			if from.Method != consent.MethodDoubleOptIn {
				w.Errorf("it goes back to %+v", from)
			}
			return err
		})
		w.mustAgree(ana)
		w.mustAgree(bo)

		if _, err := w.adjust(w.person(w.brand, "no@example.org"), weekly, consent.Adjustment{Promise: &week}); !problem.Is(err, problem.Conflict) {
			w.Errorf("of what was never allowed: %v", err)
		}
		other := w.newBrand("other")
		w.write(func(tx *store.Tx) error {
			if _, err := consent.Adjust(tx, other, ana.ID, weekly, consent.Adjustment{Promise: &week}, nil); !problem.Is(err, problem.NotFound) {
				w.Errorf("by another brand: %v", err)
			}
			return nil
		})
	})
}

func TestAPauseIsAnEventAndEndsByItself(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		w.mustRecord(w.act(ana, consent.Given))
		for _, d := range []time.Duration{0, -time.Hour, 400 * 24 * time.Hour} {
			_, err := w.adjust(ana, w.news, consent.Adjustment{Pause: &consent.Pause{Until: start.Add(d)}})
			if !problem.Is(err, problem.Invalid) {
				w.Errorf("a pause of %s: %v", d, err)
			}
		}
		until := start.Add(10 * 24 * time.Hour)
		e, err := w.adjust(ana, w.news, consent.Adjustment{Pause: &consent.Pause{Until: until}})
		w.must(err)
		var leaf struct {
			Purposes []struct {
				PausedUntil string `json:"paused_until"`
			}
		}
		w.must(json.Unmarshal(e.Leaf, &leaf))
		if e.PausedUntil == nil || leaf.Purposes[0].PausedUntil != "2026-12-02T10:00:00.000000Z" || !consent.CheckLeaf(e) {
			w.Errorf("the event of a pause: %+v, %s", e, e.Leaf)
		}
		for what, forged := range map[string]func(consent.Event) consent.Event{
			"no pause":         func(e consent.Event) consent.Event { e.PausedUntil = nil; return e },
			"another pause":    func(e consent.Event) consent.Event { e.PausedUntil = &start; return e },
			"another promise":  func(e consent.Event) consent.Event { e.PromiseMax = 5; return e },
			"another interval": func(e consent.Event) consent.Event { e.PromiseDays = 5; return e },
		} {
			if consent.CheckLeaf(forged(e)) {
				w.Errorf("the leaf stands for a row with %s", what)
			}
		}
		w.mustAgree(ana)
		if got := w.may(ana); got.Allowed || got.Reason != consent.ReasonPaused {
			w.Errorf("in the pause: %+v", got)
		}
		stated := w.act(ana, consent.Given)
		stated.Method, stated.Entity = consent.MethodAPI, consent.EntityOperator
		w.mustRecord(stated)
		if got := w.may(ana); got.Reason != consent.ReasonPaused {
			w.Errorf("a shop ends her pause: %+v", got)
		}
		w.pass(10*24*time.Hour - time.Microsecond)
		if got := w.may(ana); got.Allowed {
			w.Errorf("a moment before its end: %+v", got)
		}
		w.pass(time.Microsecond)
		if got := w.may(ana); !got.Allowed {
			w.Errorf("at its end: %+v", got)
		}
		until = until.Add(24 * time.Hour)
		_, err = w.adjust(ana, w.news, consent.Adjustment{Pause: &consent.Pause{Until: until}})
		w.must(err)
		e, err = w.adjust(ana, w.news, consent.Adjustment{Pause: &consent.Pause{}})
		if err != nil || e.PausedUntil != nil || !e.Fresh || !w.may(ana).Allowed {
			w.Errorf("lifted: %+v, %v", e, err)
		}
		w.mustAgree(ana)
	})
}

func TestAnObjectionStandsUntilThePersonAgreesAnew(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(w.brand, "ana@example.org")
		w.mustRecord(w.act(ana, consent.Given))
		for range 2 {
			w.write(func(tx *store.Tx) error { return consent.Object(tx, w.brand, ana.ID, consent.MethodPreferences, nil) })
		}
		kinds := func() (all string) {
			w.write(func(tx *store.Tx) error {
				changes, err := consent.Changes(tx, w.brand.ID, ana.ID)
				for _, c := range changes {
					all += c.Kind + " "
				}
				return err
			})
			return all
		}
		if got := w.may(ana); got.Reason != consent.ReasonObjected || kinds() != "objection " {
			w.Errorf("objected: %+v, %s", got, kinds())
		}
		for _, reason := range []string{consent.Left} { // staff lift nothing of it
			w.write(func(tx *store.Tx) error { return consent.Lift(tx, w.brand, ana.AddressHash, reason) })
		}
		stated := w.act(ana, consent.Given)
		stated.Method, stated.Entity = consent.MethodAPI, consent.EntityOperator
		w.mustRecord(stated)
		if got := w.may(ana); got.Reason != consent.ReasonObjected {
			w.Errorf("after a shop's word: %+v", got)
		}
		w.write(func(tx *store.Tx) error {
			var eligible int
			err := tx.Raw("SELECT count(*) FROM permissions p JOIN subscribers s ON s.id = p.subscriber_id WHERE s.id = ? AND "+consent.EligibleSQL, ana.ID, tx.Now()).Scan(&eligible).Error
			if eligible != 0 {
				w.Error("a set takes in who objected")
			}
			return err
		})
		w.write(func(tx *store.Tx) error {
			opens, _, err := consent.TrackingTopics(tx, w.brand.ID)
			w.must(err)
			a := w.act(ana, consent.Given)
			a.Topic, a.Method = opens, consent.MethodPreferences
			_, err = consent.Record(tx, a)
			return err
		})
		if got := w.may(ana); got.Reason != consent.ReasonObjected {
			w.Errorf("after allowing to be counted only: %+v", got)
		}
		w.pass(time.Second)
		yes := w.act(ana, consent.Given)
		yes.Method = consent.MethodDoubleOptIn
		w.mustRecord(yes)
		if got := w.may(ana); !got.Allowed || kinds() != "objection objection-lifted " {
			w.Errorf("agreed anew: %+v, %s", got, kinds())
		}
		other := w.newBrand("other")
		err := w.db.Write(context.Background(), func(tx *store.Tx) error {
			return consent.Object(tx, other, ana.ID, consent.MethodPreferences, nil)
		})
		if !problem.Is(err, problem.NotFound) {
			w.Errorf("at another brand: %v", err)
		}
	})
}

func TestPromisesWithinOthers(t *testing.T) {
	for _, x := range []struct {
		p, of consent.Promise
		yes   bool
	}{
		{consent.Promise{Max: 1, Days: 30}, consent.Promise{Max: 1, Days: 7}, true},
		{consent.Promise{Max: 2, Days: 30}, consent.Promise{Max: 1, Days: 7}, false}, // both in one week
		{consent.Promise{Max: 1, Days: 7}, consent.Promise{Max: 1, Days: 30}, false},
		{consent.Promise{Max: 1, Days: 7}, consent.Promise{Max: 5, Days: 30}, true},
		{consent.Promise{Max: 1, Days: 7}, consent.Promise{Max: 4, Days: 30}, false}, // five fit into 30 days
		{consent.Promise{}, consent.Promise{Max: 1, Days: 7}, false},
		{consent.Promise{Max: 1, Days: 7}, consent.Promise{}, true},
	} {
		if got := x.p.Within(x.of); got != x.yes {
			t.Errorf("%+v within %+v: %v", x.p, x.of, got)
		}
	}
	if got := consent.Slower(consent.Promise{Max: 3, Days: 7}); len(got) != 5 || got[0] != (consent.Promise{Max: 2, Days: 7}) {
		t.Errorf("slower than three a week: %v", got)
	}
}
