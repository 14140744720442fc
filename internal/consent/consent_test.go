package consent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Every state and everything that can be said in it: what stands afterwards,
// and whether an event was written. "!" is problem.Conflict.
func TestTheStateMachine(t *testing.T) {
	const table = `
		from         requested    given      renewed    refused      withdrawn    expired      invalidated
		-            requested+   given+     given+     refused+     -            !            !
		requested    requested+   given+     given+     refused+     withdrawn+   expired+     invalidated+
		given        given        renewed+   renewed+   withdrawn+   withdrawn+   expired+     invalidated+
		renewed      renewed      renewed+   renewed+   withdrawn+   withdrawn+   expired+     invalidated+
		refused      requested+   given+     given+     refused      refused      !            !
		withdrawn    requested+   given+     given+     withdrawn    withdrawn    !            !
		expired      requested+   given+     given+     refused+     withdrawn+   expired      !
		invalidated  requested+   given+     given+     refused+     invalidated  !            invalidated`
	ways := map[string][]consent.State{"-": nil, "requested": {consent.Requested}, "given": {consent.Given},
		"renewed": {consent.Given, consent.Given}, "refused": {consent.Refused}, "withdrawn": {consent.Given, consent.Withdrawn},
		"expired": {consent.Given, consent.Expired}, "invalidated": {consent.Given, consent.Invalidated}}
	each(t, func(w *world) {
		lines := strings.Split(strings.TrimSpace(table), "\n")
		asked := strings.Fields(lines[0])[1:]
		for _, line := range lines[1:] {
			cells := strings.Fields(line)
			for i, want := range cells[1:] {
				s := w.person(w.brand, fmt.Sprintf("%s.%s@example.org", strings.Replace(cells[0], "-", "none", 1), asked[i]))
				for _, state := range ways[cells[0]] {
					w.mustRecord(w.act(s, state))
				}
				before := len(w.history(s))
				e, err := w.record(w.act(s, consent.State(asked[i])))
				got := string(e.State)
				if problem.Is(err, problem.Conflict) {
					got = "!"
				} else if err != nil {
					w.Fatal(err)
				} else if got == "" {
					got = "-"
				}
				wrote := len(w.history(s)) - before
				if wrote != map[bool]int{true: 1}[e.Fresh] {
					w.Errorf("%s, then %s: %d events written, Fresh %v", cells[0], asked[i], wrote, e.Fresh)
				}
				if e.Fresh {
					got += "+"
				}
				if got != want {
					w.Errorf("%s, then %s: %s, want %s", cells[0], asked[i], got, want)
				}
				w.mustAgree(s)
			}
		}
	})
}

func TestAConsentIsKeptWithAllThatProvesIt(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "Ana@Example.org")
		var told []event.Event
		event.Listen(w.db, event.ConsentGiven, func(_ *store.Tx, e event.Event) error { told = append(told, e); return nil })
		form := uuid.MustParse("018f0000-0000-7000-8000-000000000001")
		a := w.act(s, consent.Given)
		a.Method, a.FormID, a.FormVersion, a.Language = consent.MethodDoubleOptIn, &form, 3, "fa"
		a.Wording, a.Evidence["delay_s"] = "بله، خبرها را <بفرستید> & ممنون", 41
		e := w.mustRecord(a)

		w.write(func(tx *store.Tx) error {
			stored, err := consent.FindEvent(tx, w.brand.ID, e.ID)
			w.must(err)
			words, err := consent.WordingOf(tx, stored)
			w.must(err)
			proof, err := consent.EvidenceOf(tx, e.ID)
			w.must(err)
			if words != a.Wording || proof.Address != "Ana@Example.org" || proof.Evidence["ip"] != "192.0.2.7" || proof.Evidence["delay_s"] != 41.0 {
				w.Errorf("kept %q, %+v", words, proof)
			}
			if !consent.CheckLeaf(stored) || !consent.VerifyEvidence(stored, proof.Salt, proof.Private) {
				w.Error("the leaf does not hold what it was made from")
			}
			if !consent.VerifyEvidence(stored, proof.Salt, append([]byte(" "), proof.Private...)) {
				w.Error("another spelling of the same evidence is not taken")
			}
			other := strings.Replace(string(proof.Private), "192.0.2.7", "192.0.2.8", 1)
			if consent.VerifyEvidence(stored, proof.Salt, []byte(other)) || consent.VerifyEvidence(stored, make([]byte, 32), proof.Private) ||
				consent.VerifyEvidence(stored, nil, proof.Private) || consent.VerifyEvidence(stored, proof.Salt, nil) {
				w.Error("evidence or salt that is not the event's is taken")
			}
			for name, changed := range map[string]consent.Event{
				"state": with(stored, func(e *consent.Event) { e.State = consent.Withdrawn }),
				"time":  with(stored, func(e *consent.Event) { e.OccurredAt = e.OccurredAt.Add(time.Microsecond) }),
				"topic": with(stored, func(e *consent.Event) { e.TopicID = e.ID }),
				"words": with(stored, func(e *consent.Event) { e.WordingHash = nil }),
				"leaf":  with(stored, func(e *consent.Event) { e.Leaf = append([]byte(" "), e.Leaf...) }),
			} {
				if consent.CheckLeaf(changed) {
					w.Errorf("a changed %s is not noticed", name)
				}
			}
			return nil
		})

		var leaf map[string]any
		w.must(json.Unmarshal(e.Leaf, &leaf))
		for field, want := range map[string]any{"schema": "urn:assent:consent-event:1", "event_id": e.ID.String(), "subject": s.ID.String(),
			"event_state": "given", "event_type": "explicit", "event_time": "2026-11-22T10:00:00.000000Z", "collection_method": "double-opt-in",
			"jurisdiction": "DE", "prev_event_of_record": nil, "valid_until": nil, "controller_ref": w.brand.ID.String()} {
			if leaf[field] != want {
				w.Errorf("leaf %s: %v, want %v", field, leaf[field], want)
			}
		}
		for _, personal := range []string{"ana", "192.0.2", "Firefox", "خبر"} {
			if strings.Contains(strings.ToLower(string(e.Leaf)), strings.ToLower(personal)) {
				w.Errorf("the leaf tells %q: %s", personal, e.Leaf)
			}
		}
		if len(told) != 1 || told[0].Data["topic_id"] != w.news.ID.String() || *told[0].SubscriberID != s.ID {
			w.Errorf("the listener got %+v", told)
		}
	})
}

func with(e consent.Event, f func(*consent.Event)) consent.Event { f(&e); return e }

// Erasure destroys key, salt and evidence. The ledger's entry stays whole, and
// says nothing of a person any more.
func TestErasureLeavesTheLeafValid(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		e := w.mustRecord(w.act(s, consent.Given))
		var before consent.Proof
		w.write(func(tx *store.Tx) (err error) { before, err = consent.EvidenceOf(tx, e.ID); return err })

		w.write(func(tx *store.Tx) error { // the key alone is enough
			_, err := tx.Run("DELETE FROM subject_keys WHERE subscriber_id = ?", s.ID)
			return err
		})
		w.write(func(tx *store.Tx) error {
			if _, err := consent.EvidenceOf(tx, e.ID); !problem.Is(err, problem.Gone) {
				w.Errorf("evidence without its key: %v", err)
			}
			return nil
		})
		w.write(func(tx *store.Tx) error {
			if _, err := tx.Run("DELETE FROM consent_evidence WHERE subscriber_id = ?", s.ID); err != nil {
				return err
			}
			_, err := tx.Run("UPDATE subscribers SET email = '', name = '', address_hash = ?, erased_at = ? WHERE id = ?", []byte("gone"), tx.Now(), s.ID)
			return err
		})
		w.write(func(tx *store.Tx) error {
			if _, err := consent.EvidenceOf(tx, e.ID); !problem.Is(err, problem.Gone) {
				w.Errorf("evidence that was erased: %v", err)
			}
			if _, err := subscriber.Seal(tx, s.ID, []byte("x")); !problem.Is(err, problem.Gone) {
				w.Errorf("sealing for someone erased: %v", err)
			}
			if _, err := consent.Record(tx, w.act(s, consent.Given)); !problem.Is(err, problem.Gone) {
				w.Errorf("a consent of someone erased: %v", err)
			}
			return nil
		})
		w.mustAgree(s)
		stored := w.history(s)[0]
		if !consent.CheckLeaf(stored) || !consent.VerifyEvidence(stored, before.Salt, before.Private) {
			w.Error("the leaf is not valid after erasure")
		}
		if a := w.may(s); a.Allowed || a.Reason != consent.ReasonErased {
			w.Errorf("may mail someone erased: %+v", a)
		}
	})
}

func TestWithdrawing(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		if events := w.withdraw(s, consent.MethodOneClick); len(events) != 0 {
			w.Errorf("nothing to withdraw, and %d events", len(events))
		}
		w.mustRecord(w.act(s, consent.Given))
		if a := w.may(s); !a.Allowed {
			w.Fatalf("given, and %+v", a)
		}
		if events := w.withdraw(s, consent.MethodOneClick); len(events) != 1 || events[0].State != consent.Withdrawn {
			w.Errorf("withdrawing: %+v", events)
		}
		if a := w.may(s); a.Allowed || a.Reason != consent.ReasonWithdrawn {
			w.Errorf("withdrawn, and %+v", a)
		}
		if events := w.withdraw(s, consent.MethodOneClick); len(events) != 0 {
			w.Errorf("withdrawing again: %d events", len(events))
		}
		w.mustAgree(s)

		other := w.newBrand("other")
		theirs := w.topic(other, consent.NewTopic{Slug: "news"})
		err := w.db.Write(w.Context(), func(tx *store.Tx) error {
			_, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{theirs.ID}, consent.MethodOneClick, nil)
			return err
		})
		if !problem.Is(err, problem.NotFound) {
			w.Errorf("withdrawing another brand's topic: %v", err)
		}
	})
}

func TestLeavingEverythingHoldsUntilConfirmedAnew(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		offers := w.topic(w.brand, consent.NewTopic{Slug: "offers"})
		var opens consent.Topic
		w.write(func(tx *store.Tx) (err error) { opens, _, err = consent.TrackingTopics(tx, w.brand.ID); return err })
		for _, topic := range []consent.Topic{w.news, offers, opens} {
			a := w.act(s, consent.Given)
			a.Topic = topic
			w.mustRecord(a)
		}
		var events []consent.Event
		leave := func(tx *store.Tx) (err error) {
			events, err = consent.WithdrawAll(tx, w.brand, s.ID, consent.MethodUnsubscribe, nil)
			return err
		}
		w.write(leave)
		if len(events) != 3 {
			w.Errorf("leaving 3 topics: %d events", len(events))
		}
		w.write(leave)
		if len(events) != 0 {
			w.Errorf("leaving again: %d events", len(events))
		}
		w.mustAgree(s)

		form := w.act(s, consent.Given) // a single click on a form proves no mailbox
		w.mustRecord(form)
		if a := w.may(s); a.Allowed || a.Reason != "suppressed:left" {
			w.Errorf("after leaving, a form without confirmation: %+v", a)
		}
		form.Method = consent.MethodDoubleOptIn
		w.mustRecord(form)
		if a := w.may(s); !a.Allowed {
			w.Errorf("after leaving, confirmed anew: %+v", a)
		}
	})
}

func TestWhatTheOperatorStates(t *testing.T) {
	each(t, func(w *world) {
		grant := func(s subscriber.Subscriber, evidence map[string]any) (e consent.Event, err error) {
			err = w.db.Write(w.Context(), func(tx *store.Tx) error {
				e, err = consent.Grant(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.news, Basis: consent.BasisOperator,
					Method: consent.MethodAPI, Evidence: evidence})
				return err
			})
			return e, err
		}
		paper := map[string]any{"document": "card 17, desk 2"}
		ana := w.person(w.brand, "ana@example.org")
		for _, nothing := range []map[string]any{nil, {}, {"document": "  "}, {"document": nil}, {"": "x"}} {
			if _, err := grant(ana, nothing); !hasKey(err, "consent.evidence-missing") {
				w.Errorf("evidence %v: %v", nothing, err)
			}
		}
		if n := len(w.history(ana)); n != 0 {
			w.Fatalf("%d events without evidence", n)
		}
		e, err := grant(ana, paper)
		w.must(err)
		if who, _ := e.Entity(); who != consent.EntityOperator || e.State != consent.Given || !w.may(ana).Allowed {
			w.Errorf("granted: %+v by %s", e, who)
		}
		if e, err = grant(ana, paper); err != nil || e.State != consent.Renewed {
			w.Errorf("granted again: %v %v", e.State, err)
		}

		w.withdraw(ana, consent.MethodAPI) // the shop's own mistake: the shop may take it back
		_, err = grant(ana, paper)
		w.must(err)
		w.withdraw(ana, consent.MethodOneClick) // the person's own no
		for _, then := range []func(){func() {}, func() { w.mustRecord(w.act(ana, consent.Requested)) }, func() { w.withdraw(ana, consent.MethodAPI) }} {
			then() // neither a stranger with a form nor the shop blots it out
			if _, err := grant(ana, paper); !hasKey(err, "consent.left-before") {
				w.Errorf("after their own no: %v", err)
			}
		}
		yes := w.act(ana, consent.Given)
		yes.Method = consent.MethodDoubleOptIn
		w.mustRecord(yes)
		_, err = grant(ana, paper)
		w.must(err)

		bob := w.person(w.brand, "bob@example.org")
		w.mustRecord(w.act(bob, consent.Requested))
		w.mustRecord(w.act(bob, consent.Refused))
		if _, err := grant(bob, paper); !hasKey(err, "consent.left-before") {
			w.Errorf("after a refusal: %v", err)
		}
		for _, reason := range []string{consent.HardBounce, consent.Complaint, consent.NotMe, consent.Left, consent.Manual} {
			s := w.person(w.brand, reason+"@example.org")
			w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, reason, "") })
			if _, err := grant(s, paper); !hasKey(err, "consent.left-before") {
				w.Errorf("suppressed as %s: %v", reason, err)
			}
			if len(w.history(s)) != 0 {
				w.Errorf("suppressed as %s, and an event", reason)
			}
		}
	})
}

func hasKey(err error, key string) bool {
	p, ok := problem.Of(err)
	return ok && p.Key == key
}

func TestAConsentRunsOut(t *testing.T) {
	each(t, func(w *world) {
		w.news = w.topic(w.brand, consent.NewTopic{Slug: "weekly", ValidDays: 30, PromiseMax: 2, PromiseDays: 7})
		ana, bob := w.person(w.brand, "ana@example.org"), w.person(w.brand, "bob@example.org")
		e := w.mustRecord(w.act(ana, consent.Given))
		w.mustRecord(w.act(bob, consent.Given))
		if e.ValidUntil == nil || !e.ValidUntil.Equal(start.AddDate(0, 0, 30)) || e.PromiseMax != 2 || e.PromiseDays != 7 {
			w.Fatalf("given for 30 days: %+v", e)
		}
		w.pass(30*24*time.Hour - time.Microsecond)
		if a := w.may(ana); !a.Allowed {
			w.Errorf("a moment before the end: %+v", a)
		}
		w.pass(time.Microsecond)
		if a := w.may(ana); a.Allowed || a.Reason != consent.ReasonExpired {
			w.Errorf("at the end: %+v", a)
		}
		if e := w.mustRecord(w.act(ana, consent.Given)); e.State != consent.Given { // not renewed: it had ended
			w.Errorf("a new yes after the end: %s", e.State)
		}
		states := []string{}
		for _, e := range w.history(ana) {
			states = append(states, string(e.State))
		}
		if strings.Join(states, " ") != "given expired given" {
			w.Errorf("the ledger says: %v", states)
		}
		expire := func() (n int) {
			w.write(func(tx *store.Tx) (err error) { n, err = consent.ExpireDue(tx, 10); return err })
			return n
		}
		if n, again := expire(), expire(); n != 1 || again != 0 {
			w.Errorf("written down as expired: %d, then %d; want only bob's", n, again)
		}
		if p := w.permissions(bob)[0]; p.State != consent.Expired {
			w.Errorf("bob's permission: %s", p.State)
		}
		w.mustAgree(ana)
		w.mustAgree(bob)
	})
}

// Two confirmations at once, and many more, with withdrawals between them: the
// events are one chain, and the projection is its end.
func TestAtOnce(t *testing.T) {
	each(t, func(w *world) {
		for round := range 6 {
			s := w.person(w.brand, fmt.Sprintf("p%d@example.org", round))
			w.mustRecord(w.act(s, consent.Requested))
			yes := w.act(s, consent.Given)
			yes.Method = consent.MethodDoubleOptIn
			say := []func(tx *store.Tx) error{
				func(tx *store.Tx) error { _, err := consent.Record(tx, yes); return err },
				func(tx *store.Tx) error { _, err := consent.Record(tx, yes); return err },
				func(tx *store.Tx) error {
					_, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.news.ID}, consent.MethodOneClick, nil)
					return err
				},
				func(tx *store.Tx) error {
					_, err := consent.WithdrawAll(tx, w.brand, s.ID, consent.MethodUnsubscribe, nil)
					return err
				},
				func(tx *store.Tx) error { _, err := consent.Record(tx, w.act(s, consent.Requested)); return err },
			}
			w.atOnce(say...)
			w.mustAgree(s)
			given := 0
			for _, e := range w.history(s) {
				if e.State == consent.Given {
					given++
				}
			}
			if given == 0 || given > 2 {
				w.Errorf("%d times given by two confirmations", given)
			}
		}
		s := w.person(w.brand, "twice@example.org")
		confirm := func(tx *store.Tx) error { _, err := consent.Record(tx, w.act(s, consent.Given)); return err }
		w.atOnce(confirm, confirm)
		var states []consent.State
		for _, e := range w.history(s) {
			states = append(states, e.State)
		}
		if len(states) != 2 || states[0] != consent.Given || states[1] != consent.Renewed {
			w.Errorf("two confirmations at once made %v", states)
		}
		w.mustAgree(s)
	})
}

// atOnce starts the transactions together.
func (w *world) atOnce(all ...func(*store.Tx) error) {
	w.Helper()
	var ready, done sync.WaitGroup
	ready.Add(len(all))
	for _, f := range all {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			if err := w.db.Write(context.Background(), f); err != nil {
				w.Error(err)
			}
		})
	}
	done.Wait()
}

// Whoever holds the person's row has the say until they are done: a withdrawal
// that comes meanwhile waits, and is the last word.
func TestAWithdrawalWaitsAndWins(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		recorded, left := make(chan struct{}), make(chan struct{})
		var events []consent.Event
		var once sync.Once
		go func() {
			defer close(left)
			<-recorded
			err := w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
				events, err = consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.news.ID}, consent.MethodOneClick, nil)
				return err
			})
			if err != nil {
				w.Error(err)
			}
		}()
		w.write(func(tx *store.Tx) error {
			_, err := consent.Record(tx, w.act(s, consent.Given))
			once.Do(func() { close(recorded) })
			select {
			case <-left:
				w.Error("the withdrawal did not wait for the confirmation under way")
			case <-time.After(150 * time.Millisecond):
			}
			return err
		})
		<-left
		if len(events) != 1 {
			w.Errorf("the withdrawal wrote %d events", len(events))
		}
		if a := w.may(s); a.Reason != consent.ReasonWithdrawn {
			w.Errorf("after both: %+v", a)
		}
		w.mustAgree(s)
	})
}

func TestAClockThatLagsDoesNotReorder(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		first := w.mustRecord(w.act(s, consent.Given))
		w.pass(-3 * time.Second) // another process, whose clock is behind
		events := w.withdraw(s, consent.MethodOneClick)
		if len(events) != 1 || !events[0].OccurredAt.After(first.OccurredAt) {
			w.Errorf("withdrawn at %v, given at %v", events[0].OccurredAt, first.OccurredAt)
		}
		w.mustAgree(s)
	})
}

func TestAFailingListenerUndoesAll(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		event.Listen(w.db, event.ConsentGiven, func(*store.Tx, event.Event) error { return problem.New(problem.Unavailable, "problem.unavailable") })
		if _, err := w.record(w.act(s, consent.Given)); !problem.Is(err, problem.Unavailable) {
			w.Errorf("the listener's error came as %v", err)
		}
		if len(w.history(s)) != 0 || len(w.permissions(s)) != 0 {
			w.Error("something is left of a consent whose listener failed")
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(w.brand, "ana@example.org")
		other := w.newBrand("other")
		theirs, stranger := w.topic(other, consent.NewTopic{Slug: "news"}), w.person(other, "ana@example.org")
		past := start.Add(-time.Hour)
		for name, x := range map[string]struct {
			change func(*consent.Act)
			kind   problem.Kind
			key    string
		}{
			"another brand's topic":  {func(a *consent.Act) { a.Topic = theirs }, problem.NotFound, "consent.topic.unknown"},
			"another brand's person": {func(a *consent.Act) { a.Subscriber = stranger.ID }, problem.NotFound, "subscriber.unknown"},
			"no words":               {func(a *consent.Act) { a.Wording = " " }, problem.Invalid, "problem.invalid"},
			"words that are no text": {func(a *consent.Act) { a.Wording = "\xff" }, problem.Invalid, "problem.invalid"},
			"an unknown basis":       {func(a *consent.Act) { a.Basis = "hope" }, problem.Invalid, "problem.invalid"},
			"no method":              {func(a *consent.Act) { a.Method = "" }, problem.Invalid, "problem.invalid"},
			"an unknown entity":      {func(a *consent.Act) { a.Entity = "ghost" }, problem.Invalid, "problem.invalid"},
			"an unknown state":       {func(a *consent.Act) { a.State = "maybe" }, problem.Conflict, "consent.transition"},
			"over before it begins":  {func(a *consent.Act) { a.ValidUntil = &past }, problem.Invalid, "problem.invalid"},
			"evidence beyond JSON":   {func(a *consent.Act) { a.Evidence = map[string]any{"f": func() {}} }, problem.Invalid, "problem.invalid"},
		} {
			a := w.act(s, consent.Given)
			x.change(&a)
			_, err := w.record(a)
			if p, ok := problem.Of(err); !ok || p.Kind != x.kind || p.Key != x.key {
				w.Errorf("%s: %v", name, err)
			}
		}
		if len(w.history(s)) != 0 {
			w.Error("something was written")
		}
		w.write(func(tx *store.Tx) error {
			if _, err := consent.May(tx, w.brand, stranger.ID, w.news.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("may, of another brand's person: %v", err)
			}
			if _, err := consent.May(tx, w.brand, s.ID, theirs.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("may, on another brand's topic: %v", err)
			}
			e, err := consent.Record(tx, consent.Act{Brand: other, Subscriber: stranger.ID, Topic: theirs, State: consent.Given, Method: "form", Wording: "yes"})
			w.must(err)
			if _, err := consent.FindEvent(tx, w.brand.ID, e.ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand's event: %v", err)
			}
			if all, err := consent.History(tx, w.brand.ID, stranger.ID); err != nil || len(all) != 0 {
				w.Errorf("another brand's history: %d %v", len(all), err)
			}
			return nil
		})
	})
}
