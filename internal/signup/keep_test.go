package signup

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func (w *world) allowing(email string) (s subscriber.Subscriber) {
	w.Helper()
	a, err := subscriber.ParseAddress(email)
	if err != nil {
		w.Fatal(err)
	}
	w.write(func(tx *store.Tx) (err error) {
		if s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"}); err != nil {
			return err
		}
		_, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.news, State: consent.Given, Method: consent.MethodDoubleOptIn, Wording: "Send me the news."})
		return err
	})
	return s
}

func (w *world) askDue() (n int) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { n, err = AskDue(tx, w.set, 100); return err })
	return n
}

func (w *world) changeTopic(c consent.TopicChange) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		w.news, err = consent.UpdateTopic(tx, w.brand, w.news.ID, c)
		return err
	})
}

func (w *world) asking(s subscriber.Subscriber) (a Asking) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT * FROM askings WHERE subscriber_id = ? ORDER BY asked_at DESC LIMIT 1", s.ID).Scan(&a).Error
	})
	return a
}

func (w *world) answerAsking(a Asking, yes bool) (s Standing) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		s, err = AnswerAsking(tx, a.ID, yes, Seen{IP: "192.0.2.9", UserAgent: "Test"})
		return err
	})
	return s
}

func (w *world) last(s subscriber.Subscriber) (e consent.Event) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.History(tx, w.brand.ID, s.ID)
		if len(all) > 0 {
			e = all[len(all)-1]
		}
		return err
	})
	return e
}

func (w *world) mayNews(s subscriber.Subscriber) (a consent.Answer) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { a, err = consent.May(tx, w.brand, s.ID, w.news.ID); return err })
	return a
}

// TestARenewalIsAskedOnce: two weeks before the end, by however many workers,
// and never again for the same consent; years pass.
func TestARenewalIsAskedOnce(t *testing.T) {
	each(t, func(w *world) {
		months := 12
		w.changeTopic(consent.TopicChange{ValidMonths: &months})
		ana, ben, cem := w.allowing("ana@example.org"), w.allowing("ben@example.org"), w.allowing("cem@example.org")
		end := consent.After(start, 12, w.brand.Location())
		w.clock.Store(end.AddDate(0, 0, -14).Add(-time.Minute).UnixMicro())
		if n := w.askDue(); n != 0 {
			w.Fatalf("%d asked too early", n)
		}
		w.pass(2 * time.Minute)
		w.write(func(tx *store.Tx) error {
			_, err := consent.WithdrawAll(tx, w.brand, cem.ID, consent.MethodPreferences, nil)
			return err
		})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				err := w.db.Write(context.Background(), func(tx *store.Tx) error { _, err := AskDue(tx, w.set, 100); return err })
				if err != nil {
					w.Error(err)
				}
			})
		}
		group.Wait()
		if n := len(w.mails("renewal")); n != 2 {
			w.Fatalf("%d mails to two people", n)
		}
		if n := w.askDue(); n != 0 {
			w.Fatalf("%d asked twice", n)
		}
		s := w.answerAsking(w.asking(ana), true)
		e := w.last(ana)
		if s.Asking.State != AskingYes || e.State != consent.Renewed || e.Method != consent.MethodRenewal || e.WordingHash == nil || !e.ValidUntil.Equal(consent.After(w.now(), 12, w.brand.Location())) {
			w.Fatalf("%s: %+v", s.Asking.State, e)
		}
		if w.answerAsking(w.asking(ana), true); w.last(ana).ID != e.ID {
			w.Fatal("a second answer changed something")
		}
		w.clock.Store(end.Add(-time.Minute).UnixMicro())
		if a := w.mayNews(ben); !a.Allowed {
			w.Fatalf("the last minute: %+v", a)
		}
		w.clock.Store(end.UnixMicro())
		if a := w.mayNews(ben); a.Allowed || a.Reason != consent.ReasonExpired {
			w.Fatalf("the day after: %+v", a)
		}
		w.write(func(tx *store.Tx) error { _, err := consent.ExpireDue(tx, 100); return err })
		if s := w.answerAsking(w.asking(ben), true); s.Asking.State != AskingOver || w.last(ben).State != consent.Expired {
			w.Fatalf("after the end: %s, %s", s.Asking.State, w.last(ben).State)
		}
		for range 3 * 73 { // ana is asked once a consent, and never answers again; three years pass
			w.pass(5 * 24 * time.Hour)
			w.askDue()
			w.write(func(tx *store.Tx) error { _, err := consent.ExpireDue(tx, 100); return err })
		}
		if a := w.asking(ana); a.Kind != AskRenewal || len(w.mails("renewal")) != 3 {
			w.Fatalf("the renewed consent: %d mails", len(w.mails("renewal")))
		}
	})
}

func TestAChangedPurposeIsAskedOnce(t *testing.T) {
	each(t, func(w *world) {
		ana, ben := w.allowing("ana@example.org"), w.allowing("ben@example.org")
		w.pass(time.Hour)
		texts := map[string]consent.TopicText{"en": {Name: "News", Wording: "Send me the news and what partners say."}}
		w.changeTopic(consent.TopicChange{Texts: &texts})
		if n := w.askDue(); n != 0 {
			w.Fatalf("%d asked of a change of words", n)
		}
		w.changeTopic(consent.TopicChange{Texts: &texts, AsksAgain: true})
		if n := w.askDue(); n != 2 || w.askDue() != 0 {
			w.Fatalf("%d asked", n)
		}
		if a := w.mayNews(ana); a.Reason != consent.ReasonChanged {
			w.Fatalf("%+v", a)
		}
		w.answerAsking(w.asking(ana), true)
		if a := w.mayNews(ana); !a.Allowed {
			w.Fatalf("after a yes: %+v", a)
		}
		w.answerAsking(w.asking(ben), false)
		if a := w.mayNews(ben); a.Reason != consent.ReasonWithdrawn {
			w.Fatalf("after a no: %+v", a)
		}
	})
}

// TestWhoIsSilentIsAskedAndSomeEnd: of whom nothing can be known, nothing ends.
func TestWhoIsSilentIsAskedAndSomeEnd(t *testing.T) {
	each(t, func(w *world) {
		ana, ben, cem := w.allowing("ana@example.org"), w.allowing("ben@example.org"), w.allowing("cem@example.org")
		walk := func() {
			for range 3 {
				w.write(func(tx *store.Tx) error { _, err := AskTheSilent(tx, w.set, 2); return err })
			}
		}
		w.write(func(tx *store.Tx) error {
			opens, _, err := consent.TrackingTopics(tx, w.brand.ID)
			if err != nil {
				return err
			}
			for _, s := range []subscriber.Subscriber{ana, cem} {
				if _, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: opens, State: consent.Given, Method: consent.MethodPreferences, Wording: "See."}); err != nil {
					return err
				}
			}
			return nil
		})
		w.pass(400 * 24 * time.Hour)
		walk()
		if n := len(w.mails("silent")); n != 0 {
			w.Fatalf("%d asked, though nobody asked for it", n)
		}
		w.write(func(tx *store.Tx) (err error) {
			months, days := 12, 30
			w.brand, err = brand.Update(tx, w.brand.ID, brand.Change{SilentMonths: &months, SilentDays: &days})
			if err != nil {
				return err
			}
			_, err = tx.Run(`INSERT INTO hits (id, at, brand_id, subscriber_id, source_id, message_id, kind, user_agent, network) VALUES (?, ?, ?, ?, ?, ?, 'open', '', '')`,
				tx.NewID(), tx.Now().AddDate(0, -2, 0), w.brand.ID, cem.ID, tx.NewID(), tx.NewID())
			return err
		})
		walk()
		if n := len(w.mails("silent")); n != 2 {
			w.Fatalf("%d asked", n)
		}
		w.pass(31 * 24 * time.Hour)
		walk()
		w.write(func(tx *store.Tx) error { _, err := SweepAskings(tx, 100); return err })
		if e := w.last(ana); e.State != consent.Expired || e.Method != consent.MethodSunset {
			w.Errorf("who may be seen: %s by %s", e.State, e.Method)
		}
		if a := w.mayNews(ben); !a.Allowed {
			w.Errorf("who may not be seen: %+v", a)
		}
		if a := w.mayNews(cem); !a.Allowed {
			w.Errorf("who opened: %+v", a)
		}
		if n := len(w.mails("silent")); n != 2 {
			w.Errorf("%d mails", n)
		}
	})
}

// TestASingleOptIn: only where the law has it, marked, and never for who left.
func TestASingleOptIn(t *testing.T) {
	each(t, func(w *world) {
		spec := Spec{Topics: []string{"news"}, Single: true}
		w.write(func(tx *store.Tx) error {
			for _, place := range []string{"", "DE", "AT", "IT", "XX"} {
				b := w.brand
				b.Jurisdiction = place
				if _, err := Create(tx, b, "Single", spec); !problem.Is(err, problem.Invalid) {
					w.Errorf("in %q: %v", place, err)
				}
			}
			place := "CA"
			var err error
			if w.brand, err = brand.Update(tx, w.brand.ID, brand.Change{Jurisdiction: &place}); err != nil {
				return err
			}
			w.form, err = Create(tx, w.brand, "Single", spec)
			return err
		})
		send := func(email string) {
			w.Helper()
			_, token := w.sheet(w.form.ID, "en")
			in := w.submission(token, email, "news")
			w.pass(time.Minute)
			w.write(func(tx *store.Tx) error { _, err := Ask(tx, w.set, w.form.ID, in); return err })
		}
		left := w.allowing("left@example.org")
		w.write(func(tx *store.Tx) error {
			_, err := consent.WithdrawAll(tx, w.brand, left.ID, consent.MethodPreferences, nil)
			return err
		})
		send("left@example.org")
		if w.mayNews(left).Allowed || len(w.mails("confirm")) != 1 || len(w.mails("welcome")) != 0 {
			w.Fatalf("who left is back: %+v", w.mayNews(left))
		}
		send("new@example.org")
		var who subscriber.Subscriber
		w.write(func(tx *store.Tx) error {
			hash, err := w.brand.AddressHash(tx, "new@example.org")
			if err != nil {
				return err
			}
			all, err := subscriber.ByHashes(tx, w.brand.ID, [][]byte{hash})
			who = all[string(hash)]
			return err
		})
		e := w.last(who)
		if !w.mayNews(who).Allowed || e.Method != consent.MethodSingleOptIn || len(w.mails("welcome")) != 1 || len(w.mails("confirm")) != 1 {
			w.Fatalf("%+v, %d welcomes", e, len(w.mails("welcome")))
		}
		var r Request
		w.write(func(tx *store.Tx) error {
			return tx.Raw("SELECT * FROM signup_requests WHERE subscriber_id = ?", who.ID).Scan(&r).Error
		})
		w.write(func(tx *store.Tx) error { _, err := Disown(tx, r.ID, Seen{}); return err })
		if w.mayNews(who).Allowed {
			w.Error("“not me” changed nothing")
		}
	})
}

// What opens mails before people do presses within seconds of the delivery, or
// says that it is a program: neither is a yes, and a no always is.
func TestAProgramsYesIsNone(t *testing.T) {
	each(t, func(w *world) {
		months := 12
		w.changeTopic(consent.TopicChange{ValidMonths: &months})
		ana, ben := w.allowing("ana@example.org"), w.allowing("ben@example.org")
		w.clock.Store(consent.After(start, 12, w.brand.Location()).AddDate(0, 0, -13).UnixMicro())
		if n := w.askDue(); n != 2 {
			w.Fatalf("%d asked", n)
		}
		w.write(func(tx *store.Tx) error { // the mail server took them
			_, err := tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE template = 'renewal'", tx.Now())
			return err
		})
		w.pass(9 * time.Second)
		press := func(who subscriber.Subscriber, yes bool, agent string) error {
			id := w.asking(who).ID
			return w.try(func(tx *store.Tx) error {
				_, err := AnswerAsking(tx, id, yes, Seen{IP: "192.0.2.7", UserAgent: agent})
				return err
			})
		}
		before := w.last(ana).ID
		if err := press(ana, true, "Mozilla/5.0 Firefox"); !problem.Is(err, problem.TooMany) || w.last(ana).ID != before {
			w.Errorf("nine seconds after the delivery: %v", err)
		}
		if err := press(ben, false, "Mozilla/5.0 Firefox"); err != nil || w.last(ben).State != consent.Withdrawn {
			w.Errorf("a no at once: %v, %s", err, w.last(ben).State)
		}
		w.pass(2 * time.Second)
		if err := press(ana, true, "python-requests/2.32"); !problem.Is(err, problem.TooMany) || w.last(ana).ID != before {
			w.Errorf("a program: %v", err)
		}
		if err := press(ana, true, "Mozilla/5.0 Firefox"); err != nil || w.last(ana).State != consent.Renewed {
			w.Errorf("pressed again: %v, %s", err, w.last(ana).State)
		}
	})
}

// TestAnOldMailboxRenewsNothing: after a change of address the letter in the old
// mailbox shows nothing of the person and answers nothing, neither way.
func TestAnOldMailboxRenewsNothing(t *testing.T) {
	each(t, func(w *world) {
		months := 12
		w.changeTopic(consent.TopicChange{ValidMonths: &months})
		ana := w.allowing("ana@example.org")
		w.clock.Store(consent.After(start, 12, w.brand.Location()).AddDate(0, 0, -13).UnixMicro())
		if n := w.askDue(); n != 1 {
			w.Fatalf("%d asked", n)
		}
		w.pass(time.Hour)
		w.write(func(tx *store.Tx) error { return ChangeAddress(tx, w.set, w.brand.ID, ana.ID, "new@example.org") })
		w.write(func(tx *store.Tx) error {
			var a AddressChange
			if err := tx.Raw("SELECT * FROM address_changes WHERE subscriber_id = ?", ana.ID).Scan(&a).Error; err != nil {
				return err
			}
			return second(ConfirmMove(tx, a.ID))
		})
		w.pass(time.Hour)
		a, before := w.asking(ana), w.last(ana).ID
		for _, yes := range []bool{true, false} {
			err := w.try(func(tx *store.Tx) error { return second(AnswerAsking(tx, a.ID, yes, Seen{UserAgent: "Test"})) })
			if !problem.Is(err, problem.Gone) || w.last(ana).ID != before {
				w.Errorf("yes=%t from the old mailbox: %v, %s", yes, err, w.last(ana).Method)
			}
		}
		if err := w.try(func(tx *store.Tx) error { return second(LookAtAsking(tx, a.ID)) }); !problem.Is(err, problem.Gone) {
			w.Errorf("the page for the old mailbox: %v", err)
		}
	})
}

// TestLessOftenIsNotAskedAnew: who asks for less mail after they were asked of the
// end, or of a change, keeps the permission that they were asked about.
func TestLessOftenIsNotAskedAnew(t *testing.T) {
	each(t, func(w *world) {
		months := 12
		w.changeTopic(consent.TopicChange{ValidMonths: &months})
		ana := w.allowing("ana@example.org")
		end := consent.After(start, 12, w.brand.Location())
		adjust := func() {
			w.pass(time.Hour)
			before := w.last(ana).ID
			w.write(func(tx *store.Tx) error {
				return second(consent.Adjust(tx, w.brand, ana.ID, w.news, consent.Adjustment{Pause: &consent.Pause{Until: tx.Now().Add(time.Minute)}}, nil))
			})
			if w.last(ana).ID == before {
				w.Fatal("nothing was adjusted")
			}
		}
		w.clock.Store(end.AddDate(0, 0, -40).UnixMicro())
		w.changeTopic(consent.TopicChange{AsksAgain: true, Texts: &map[string]consent.TopicText{"en": {Name: "News", Wording: "Send me the news of partners too."}}})
		if n := w.askDue(); n != 1 {
			w.Fatalf("%d asked of the change", n)
		}
		for range 2 {
			adjust()
			if n := w.askDue(); n != 0 {
				w.Fatalf("%d asked of the change again", n)
			}
		}
		w.clock.Store(end.AddDate(0, 0, -13).UnixMicro())
		if n := w.askDue(); n != 1 || len(w.mails("renewal")) != 1 {
			w.Fatalf("%d asked of the end", n)
		}
		adjust()
		w.clock.Store(end.Add(-time.Hour).UnixMicro())
		w.write(func(tx *store.Tx) error { // as though it stood for long
			_, err := tx.Run("UPDATE permissions SET since = ? WHERE subscriber_id = ?", start, ana.ID)
			return err
		})
		if n := w.askDue(); n != 0 || len(w.mails("renewal")) != 1 {
			w.Errorf("%d asked of the end again", n)
		}
	})
}

// Who wants no mail until a day is not asked before it; then they are, if it has
// not ended.
func TestNobodyIsAskedInAPause(t *testing.T) {
	each(t, func(w *world) {
		months := 12
		w.changeTopic(consent.TopicChange{ValidMonths: &months})
		ana, ben := w.allowing("ana@example.org"), w.allowing("ben@example.org")
		end := consent.After(start, 12, w.brand.Location())
		w.clock.Store(end.AddDate(0, 0, -20).UnixMicro())
		for id, until := range map[uuid.UUID]time.Time{ana.ID: end.AddDate(0, 0, -5), ben.ID: end.AddDate(0, 0, 5)} {
			w.write(func(tx *store.Tx) error {
				return second(consent.Adjust(tx, w.brand, id, w.news, consent.Adjustment{Pause: &consent.Pause{Until: until}}, nil))
			})
		}
		w.clock.Store(end.AddDate(0, 0, -13).UnixMicro())
		if n := w.askDue(); n != 0 {
			w.Fatalf("%d asked in a pause", n)
		}
		w.clock.Store(end.AddDate(0, 0, -5).Add(time.Minute).UnixMicro())
		if n := w.askDue(); n != 1 || len(w.mails("renewal")) != 1 {
			w.Fatalf("%d asked after it", n)
		}
		w.clock.Store(end.Add(time.Minute).UnixMicro())
		w.write(func(tx *store.Tx) error { _, err := consent.ExpireDue(tx, 100); return err })
		if n := w.askDue(); n != 0 || w.mayNews(ben).Allowed {
			w.Fatalf("%d asked after the end", n)
		}
	})
}
