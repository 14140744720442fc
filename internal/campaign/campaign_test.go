package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// From the draft to the last mail: who gets it, in which language, when.
func TestCampaignFromDraftToSent(t *testing.T) {
	each(t, func(w *world) {
		english, persian, left, never := w.personOf(w.brand, "english", "en", ""), w.person("persian"), w.person("left"), w.person("never")
		for _, s := range []subscriber.Subscriber{english, persian, left} {
			w.give(s)
		}
		w.withdraw(left)
		c := w.draft("")
		at := w.db.Now().Add(time.Hour)
		w.do(campaign.Schedule, c.ID, at)
		if next := w.work(c.ID); next == nil || !next.Equal(at) {
			w.Fatalf("to be called again at %v, want %s", next, at)
		}
		w.mustBe(c.ID, campaign.Scheduled)
		w.pass(time.Hour)
		if next := w.work(c.ID); next == nil {
			w.Fatal("over before anything was sent")
		}
		w.mustBe(c.ID, campaign.Sending)
		for s, want := range map[*subscriber.Subscriber]string{&english: "en", &persian: "fa", &left: "", &never: ""} {
			if got := strings.Join(w.languages(*s), " "); got != want {
				w.Errorf("%s has mails in %q, want %q", s.Name, got, want)
			}
		}
		if n := w.settle(c.ID, delivery.Sent); n != 2 {
			w.Fatalf("%d due when the audience is frozen an hour after the schedule, want 2", n)
		}
		if next := w.work(c.ID); next != nil {
			w.Fatalf("to be called again at %s", next)
		}
		if c := w.mustBe(c.ID, campaign.Sent); c.FinishedAt == nil {
			w.Error("no time of its end")
		}
		if n := w.counts(c.ID); n.Sent != 2 || n.Total != 2 {
			w.Errorf("counts %+v", n)
		}
	})
}

func (w *world) languages(s subscriber.Subscriber) (all []string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT language FROM messages WHERE subscriber_id = ?", s.ID).Scan(&all).Error
	})
	return all
}

// Within the minute everything is called back, and the draft can be sent again,
// to everybody, once.
func TestRecallWithinTheMinute(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(20)
		c := w.scheduled("")
		w.work(c.ID)
		w.mustBe(c.ID, campaign.Sending)
		w.pass(time.Minute - time.Microsecond)
		if n := w.count("SELECT count(*) FROM messages WHERE due_at <= ?", w.db.Now()); n != 0 {
			w.Fatalf("%d could have been sent within the minute", n)
		}
		w.must(campaign.Recall, c.ID)
		again := w.mustBe(c.ID, campaign.Draft)
		if again.EditionID == c.EditionID || again.FrozenAfter != nil || again.ScheduledAt != nil {
			w.Fatalf("called back as %+v", again)
		}
		w.pass(time.Hour)
		w.work(c.ID)
		if n := w.count("SELECT count(*) FROM messages WHERE state <> 'skipped'"); n != 0 {
			w.Fatalf("%d are still to be sent", n)
		}
		w.do(campaign.Schedule, c.ID, w.db.Now())
		w.work(c.ID)
		if n := w.counts(c.ID); n.Queued != 20 || n.Total != 20 {
			w.Fatalf("the second time %+v", n)
		}
		w.pass(time.Minute)
		if err := w.move(campaign.Recall, c.ID); !problem.Is(err, problem.Conflict) {
			w.Fatalf("called back after the minute: %v", err)
		}
		if n := w.counts(c.ID); n.Queued != 20 {
			w.Fatalf("a recall that was refused left %+v", n)
		}
	})
}

// Another machine's clock was ahead, and one mail is out: the rest is stopped.
func TestRecallThatComesTooLateStopsTheRest(t *testing.T) {
	each(t, func(w *world) {
		people := w.crowd(5)
		c := w.scheduled("")
		w.work(c.ID)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'sent' WHERE subscriber_id = ?", people[0].ID)
			if err == nil {
				err = w.clear(tx)
			}
			return err
		})
		w.must(campaign.Recall, c.ID)
		w.mustBe(c.ID, campaign.Cancelled)
		if n := w.counts(c.ID); n.Sent != 1 || n.Skipped != 4 || n.Total != 5 {
			w.Fatalf("counts %+v", n)
		}
	})
}

func TestTagNarrowsTheAudience(t *testing.T) {
	each(t, func(w *world) {
		people := w.crowd(6)
		unasked := w.person("unasked")
		w.write(func(tx *store.Tx) error {
			for _, s := range append(people[:2:2], unasked) {
				if err := subscriber.AddTags(tx, w.brand.ID, s.ID, "vip"); err != nil {
					return err
				}
			}
			return nil
		})
		c := w.scheduled("vip")
		w.work(c.ID)
		if n := w.counts(c.ID); n.Total != 2 {
			w.Fatalf("%d of 2 with permission and the tag", n.Total)
		}
	})
}

// bigCrowd makes people with permission by three statements.
func (w *world) bigCrowd(n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		ms, now := tx.Now().UnixMilli(), tx.Now()
		at := tx.Pick("CAST(? AS timestamptz)", "?")
		_, err := tx.Run(`INSERT INTO subscribers (id, brand_id, email, address_hash, language, attributes, created_at, updated_at)
			WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)
			SELECT assent_uuid7(?), b.id, 'bulk' || n || '@example.org', `+tx.Pick("convert_to('bulk' || n, 'UTF8')", "CAST('bulk' || n AS blob)")+`,
				'fa', '{}', `+at+`, `+at+` FROM c, brands b WHERE b.id = ?`, n, ms, now, now, w.brand.ID)
		if err != nil {
			return err
		}
		_, err = tx.Run(`INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf)
			SELECT assent_uuid7(?), s.brand_id, s.id, t.id, 'given', 'explicit', 'test', `+at+`, 'fa', `+tx.Pick("convert_to('{}', 'UTF8')", "CAST('{}' AS blob)")+`
			FROM subscribers s JOIN topics t ON t.brand_id = s.brand_id AND t.id = ? WHERE s.email LIKE 'bulk%'`, ms, now, w.topic.ID)
		if err != nil {
			return err
		}
		_, err = tx.Run(`INSERT INTO permissions (subscriber_id, topic_id, brand_id, state, event_id, since)
			SELECT subscriber_id, topic_id, brand_id, state, id, occurred_at FROM consent_events WHERE topic_id = ?`, w.topic.ID)
		return err
	})
}

// The freeze is stopped between chunks and in the middle of one, again and
// again, by several workers; then it goes on, and takes each person once.
func TestFreezeGoesOnWhereItWasKilled(t *testing.T) {
	each(t, func(w *world) {
		const people = 12_345
		w.bigCrowd(people)
		c := w.scheduled("")

		first, stop := context.WithCancel(w.ctx)
		stopped := make(chan error)
		go func() { stopped <- campaign.Freeze(first, w.db, c.ID) }()
		w.until(func() bool { return w.frozen(c.ID) })
		stop()
		err := <-stopped
		if frozen := w.counts(c.ID).Total; err == nil || frozen == 0 || frozen%5000 != 0 {
			w.Fatalf("stopped after %d with %v, which is no whole number of chunks", frozen, err)
		}

		for i := range 6 { // and killed at any moment
			short, stop := context.WithTimeout(w.ctx, time.Duration(i)*3*time.Millisecond)
			err = campaign.Freeze(short, w.db, c.ID)
			stop()
		}
		var group sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			group.Go(func() { errs[i] = campaign.Freeze(w.ctx, w.db, c.ID) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			w.Fatal(err)
		}
		w.mustBe(c.ID, campaign.Sending)
		if n := w.counts(c.ID); n.Queued != people || n.Total != people {
			w.Errorf("counts %+v, want %d", n, people)
		}
		if n := w.count("SELECT count(DISTINCT subscriber_id) FROM messages WHERE source_id = ?", c.EditionID); n != people {
			w.Errorf("%d people, want %d", n, people)
		}
	})
}

// People who were brought a moment ago are in no statistics. The freeze looks
// each of them up all the same, and compares nobody with everybody.
func TestAFreezeNeedsNoStatistics(t *testing.T) {
	each(t, func(w *world) {
		if w.db.Dialect() != store.Postgres {
			return // SQLite's planner goes by the indexes alone
		}
		const people = 2000
		w.bigCrowd(people)
		before := w.rowsRead()
		c := w.scheduled("")
		if err := campaign.Freeze(w.ctx, w.db, c.ID); err != nil {
			w.Fatal(err)
		}
		if n := w.counts(c.ID).Total; n != people {
			w.Fatalf("%d are in the audience", n)
		}
		var read int64
		w.until(func() bool { // a connection tells the server what it read when it is told to, or after a while
			w.count("SELECT count(pg_stat_force_next_flush())")
			read = w.rowsRead() - before
			return read >= people
		})
		if read > 20*people {
			w.Errorf("%d rows of subscribers were read for %d people", read, people)
		}
	})
}

func (w *world) rowsRead() int64 {
	w.Helper()
	return w.count("SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) FROM pg_stat_user_tables WHERE relname = 'subscribers'")
}

// frozen reads beside the writer, whether a chunk is committed.
func (w *world) frozen(id uuid.UUID) (some bool) {
	w.Helper()
	err := w.db.Read(w.ctx, func(tx *store.Tx) error {
		return tx.Raw("SELECT count(*) > 0 FROM campaigns WHERE id = ? AND frozen_after IS NOT NULL", id).Scan(&some).Error
	})
	if err != nil {
		w.Fatal(err)
	}
	return some
}

func (w *world) until(done func() bool) {
	w.Helper()
	for range 30_000 {
		if done() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.Fatal("it never came to that")
}

func TestPauseInTheFreezeAndAfter(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(3)
		c := w.scheduled("")
		w.write(func(tx *store.Tx) error { // the first thing a freeze does
			_, err := tx.Run("UPDATE campaigns SET state = 'freezing' WHERE id = ?", c.ID)
			return err
		})
		w.must(campaign.Pause, c.ID)
		if next := w.work(c.ID); next != nil {
			w.Fatalf("a paused campaign asks to be called at %s", next)
		}
		if n := w.counts(c.ID); n.Total != 0 {
			w.Fatalf("%d frozen while paused", n.Total)
		}
		w.must(campaign.Resume, c.ID)
		w.mustBe(c.ID, campaign.Freezing)
		w.work(c.ID)
		w.mustBe(c.ID, campaign.Sending)
		w.must(campaign.Pause, c.ID)
		if n := w.count("SELECT count(*) FROM streams WHERE id = ? AND paused_at IS NOT NULL", c.ID); n != 1 {
			w.Fatal("the stream flows on")
		}
		w.settle(c.ID, delivery.Sent)
		w.work(c.ID)
		w.mustBe(c.ID, campaign.Paused) // never finished behind one's back
		w.must(campaign.Resume, c.ID)
		w.mustBe(c.ID, campaign.Sending)
		if n := w.count("SELECT count(*) FROM jobs WHERE kind = ? AND key = ? AND state = 'waiting'", campaign.JobKind, c.ID.String()); n != 1 {
			w.Fatal("nobody is asked to go on")
		}
	})
}

func TestCancelKeepsWhatWasSent(t *testing.T) {
	each(t, func(w *world) {
		people := w.crowd(4)
		c := w.scheduled("")
		w.work(c.ID)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'sent' WHERE subscriber_id = ?", people[0].ID)
			if err == nil {
				err = w.clear(tx)
			}
			return err
		})
		w.pass(2 * time.Minute)
		w.must(campaign.Cancel, c.ID)
		if n := w.count("SELECT count(*) FROM streams WHERE id = ? AND closed <> ''", c.ID); n != 1 {
			w.Fatal("the stream flows on")
		}
		w.settle(c.ID, delivery.Skipped) // as the next claims do
		if n := w.counts(c.ID); n.Sent != 1 || n.Skipped != 3 || n.Total != 4 {
			w.Fatalf("counts %+v", n)
		}
		w.work(c.ID)
		w.mustBe(c.ID, campaign.Cancelled)
		for name, f := range map[string]verb{"pause": campaign.Pause, "resume": campaign.Resume, "cancel": campaign.Cancel} {
			if err := w.move(f, c.ID); !problem.Is(err, problem.Conflict) {
				w.Errorf("%s after cancel: %v", name, err)
			}
		}
	})
}

// What is deferred is still queued: the campaign is not over.
func TestFinishWaitsForTheDeferred(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(3)
		c := w.scheduled("")
		w.work(c.ID)
		w.pass(2 * time.Minute)
		w.write(func(tx *store.Tx) error {
			for _, table := range []string{"outbox", "messages"} {
				_, err := tx.Run("UPDATE "+table+" SET due_at = ? WHERE CAST(id AS text) = (SELECT min(CAST(id AS text)) FROM messages)", tx.Now().Add(time.Hour))
				if err != nil {
					return err
				}
			}
			return nil
		})
		w.settle(c.ID, delivery.Sent)
		if next := w.work(c.ID); next == nil {
			w.Fatal("over, with one deferred")
		}
		w.mustBe(c.ID, campaign.Sending)
		w.pass(2 * time.Hour)
		w.settle(c.ID, delivery.Failed)
		w.work(c.ID)
		w.mustBe(c.ID, campaign.Sent)
	})
}

func TestNobodyToMail(t *testing.T) {
	each(t, func(w *world) {
		c := w.scheduled("")
		if next := w.work(c.ID); next != nil {
			w.Fatalf("to be called again at %s", next)
		}
		w.mustBe(c.ID, campaign.Sent)
	})
}

func TestOnlyADraftChanges(t *testing.T) {
	each(t, func(w *world) {
		c := w.draft("")
		name := "Summer"
		change := func() error {
			return w.try(func(tx *store.Tx) error {
				_, err := campaign.Update(tx, w.brand, c.ID, campaign.Change{Name: &name, Texts: texts()})
				return err
			})
		}
		if err := change(); err != nil {
			w.Fatal(err)
		}
		if now := w.find(c.ID); now.Name != name || now.ContentID == c.ContentID {
			w.Fatalf("changed to %+v", now)
		}
		w.do(campaign.Schedule, c.ID, w.db.Now().Add(time.Hour))
		if err := change(); !problem.Is(err, problem.Conflict) {
			w.Fatalf("changed after it was scheduled: %v", err)
		}
	})
}

func TestThePaceChangesUntilTheEnd(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(2)
		pace := func(id uuid.UUID) (n int) {
			w.write(func(tx *store.Tx) error {
				rates, err := delivery.StreamRates(tx, w.brand.ID, id)
				n = rates[id]
				return err
			})
			return n
		}
		change := func(id uuid.UUID, c campaign.Change) error {
			return w.try(func(tx *store.Tx) error { _, err := campaign.Update(tx, w.brand, id, c); return err })
		}
		var made campaign.Campaign
		w.write(func(tx *store.Tx) (err error) {
			made, err = campaign.Create(tx, w.brand, campaign.New{Name: "Slow", Topic: w.topic.ID, RatePerHour: 100, Texts: texts()})
			return err
		})
		if got := pace(made.ID); got != 100 {
			w.Errorf("made with 100 an hour, it has %d", got)
		}
		c := w.draft("")
		if got := pace(c.ID); got != 0 {
			w.Errorf("a campaign without a pace has %d", got)
		}
		rate, name, wrong := 50, "Summer", -1
		if err := change(c.ID, campaign.Change{RatePerHour: &rate, Name: &name}); err != nil || pace(c.ID) != 50 || w.find(c.ID).Name != name {
			w.Errorf("a draft: %v, %d an hour", err, pace(c.ID))
		}
		if err := change(c.ID, campaign.Change{RatePerHour: &wrong}); !problem.Is(err, problem.Invalid) {
			w.Errorf("a wrong pace: %v", err)
		}
		w.do(campaign.Schedule, c.ID, w.db.Now())
		if got := pace(c.ID); got != 50 {
			w.Errorf("after it was scheduled the pace is %d", got)
		}
		rate = 60
		if err := change(c.ID, campaign.Change{RatePerHour: &rate}); err != nil || pace(c.ID) != 60 {
			w.Errorf("on its way: %v, %d an hour", err, pace(c.ID))
		}
		if err := change(c.ID, campaign.Change{RatePerHour: &rate, Name: &name}); !problem.Is(err, problem.Conflict) {
			w.Errorf("the name with it: %v", err)
		}
		w.write(func(tx *store.Tx) error { _, err := campaign.Cancel(tx, w.brand.ID, c.ID); return err })
		if err := change(c.ID, campaign.Change{RatePerHour: &rate}); !problem.Is(err, problem.Conflict) {
			w.Errorf("after its end: %v", err)
		}
	})
}

func TestCreateSaysWhatIsWrong(t *testing.T) {
	each(t, func(w *world) {
		_, foreign := w.newBrand("other")
		english := texts()[1:]
		broken := texts()
		broken[1].Subject = "{{ subscriber.name"
		for name, c := range map[string]struct {
			n     campaign.New
			field string
		}{
			"no name":          {campaign.New{Topic: w.topic.ID, Texts: texts()}, "name"},
			"two lines":        {campaign.New{Name: "a\nb", Topic: w.topic.ID, Texts: texts()}, "name"},
			"long tag":         {campaign.New{Name: "a", Tag: strings.Repeat("x", 65), Topic: w.topic.ID, Texts: texts()}, "tag"},
			"foreign topic":    {campaign.New{Name: "a", Topic: foreign.ID, Texts: texts()}, "topic"},
			"no text":          {campaign.New{Name: "a", Topic: w.topic.ID}, "content/fa"},
			"default language": {campaign.New{Name: "a", Topic: w.topic.ID, Texts: english}, "content/fa"},
			"does not compile": {campaign.New{Name: "a", Topic: w.topic.ID, Texts: broken}, "content/en/subject"},
		} {
			err := w.try(func(tx *store.Tx) error { _, err := campaign.Create(tx, w.brand, c.n); return err })
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || p.Fields[0].Name != c.field {
				w.Errorf("%s: %v, want a fault at %s", name, err, c.field)
			}
		}
	})
}

func TestTestMailGoesToTheTeamOnly(t *testing.T) {
	each(t, func(w *world) {
		c := w.draft("")
		member := func(address string) (bool, error) { return address == "ana@narenj.example", nil }
		test := func(language string, to ...string) error {
			return w.try(func(tx *store.Tx) error { return campaign.Test(tx, w.brand.ID, c.ID, language, to, member) })
		}
		for name, c := range map[string]struct {
			err   error
			field string
		}{
			"a stranger":  {test("en", "ana@narenj.example", "customer@example.org"), "to/1"},
			"nobody":      {test("en"), "to"},
			"a multitude": {test("en", slices.Repeat([]string{"ana@narenj.example"}, 11)...), "to"},
			"no such":     {test("de", "ana@narenj.example"), "language"},
		} {
			if p, ok := problem.Of(c.err); !ok || p.Kind != problem.Invalid || p.Fields[0].Name != c.field {
				w.Errorf("%s: %v, want a fault at %s", name, c.err, c.field)
			}
		}
		if n := w.count("SELECT count(*) FROM messages"); n != 0 {
			w.Fatalf("%d tests were queued", n)
		}
		if err := test("en", "ana@narenj.example"); err != nil {
			w.Fatal(err)
		}
		n := w.count(`SELECT count(*) FROM messages m JOIN streams s ON s.id = m.stream_id WHERE m.kind = 'test' AND m.subscriber_id IS NULL
			AND m.recipient = 'ana@narenj.example' AND m.language = 'en' AND s.origin = 'test'`)
		if n != 1 || w.counts(c.ID).Total != 0 {
			w.Errorf("%d tests, counts %+v", n, w.counts(c.ID))
		}
	})
}

func TestBrandsAreWalls(t *testing.T) {
	each(t, func(w *world) {
		w.crowd(2)
		other, topic := w.newBrand("other")
		stranger := w.personOf(other, "stranger", "fa", "")
		w.giveTopic(other, topic, stranger)
		c := w.scheduled("")
		name := "x"
		for what, f := range map[string]func(tx *store.Tx) error{
			"find":     func(tx *store.Tx) error { _, err := campaign.Find(tx, other.ID, c.ID); return err },
			"counts":   func(tx *store.Tx) error { _, err := campaign.Counts(tx, other.ID, c.ID); return err },
			"schedule": func(tx *store.Tx) error { _, err := campaign.Schedule(tx, other.ID, c.ID, tx.Now()); return err },
			"recall":   func(tx *store.Tx) error { _, err := campaign.Recall(tx, other.ID, c.ID); return err },
			"pause":    func(tx *store.Tx) error { _, err := campaign.Pause(tx, other.ID, c.ID); return err },
			"resume":   func(tx *store.Tx) error { _, err := campaign.Resume(tx, other.ID, c.ID); return err },
			"cancel":   func(tx *store.Tx) error { _, err := campaign.Cancel(tx, other.ID, c.ID); return err },
			"finish":   func(tx *store.Tx) error { _, err := campaign.Finish(tx, other.ID, c.ID); return err },
			"update": func(tx *store.Tx) error {
				_, err := campaign.Update(tx, other, c.ID, campaign.Change{Name: &name})
				return err
			},
			"test": func(tx *store.Tx) error {
				return campaign.Test(tx, other.ID, c.ID, "fa", []string{"a@b.example"}, func(string) (bool, error) { return true, nil })
			},
		} {
			if err := w.try(f); !problem.Is(err, problem.NotFound) {
				w.Errorf("%s: %v, want not found", what, err)
			}
		}
		w.work(c.ID)
		if n := w.counts(c.ID); n.Total != 2 || len(w.languages(stranger)) != 0 {
			w.Errorf("counts %+v", n)
		}
	})
}

// The statement that freezes a set and the answer for one person are one rule.
func TestFreezeAsksAsMayDoes(t *testing.T) {
	each(t, func(w *world) {
		until := w.db.Now().Add(time.Hour)
		var people []subscriber.Subscriber
		for i, prepare := range []func(s subscriber.Subscriber){
			func(s subscriber.Subscriber) { w.give(s) },
			func(s subscriber.Subscriber) { w.give(s); w.withdraw(s) },
			func(s subscriber.Subscriber) { w.give(s); w.give(s) },
			func(subscriber.Subscriber) {},
			func(s subscriber.Subscriber) {
				w.give(s)
				w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, consent.Complaint, "") })
			},
			func(s subscriber.Subscriber) {
				w.write(func(tx *store.Tx) error {
					_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Given,
						Method: consent.MethodDoubleOptIn, Wording: "Send me news.", ValidUntil: &until})
					return err
				})
			},
		} {
			s := w.person(fmt.Sprint("p", i))
			prepare(s)
			people = append(people, s)
		}
		w.pass(2 * time.Hour)
		c := w.scheduled("")
		w.work(c.ID)
		for i, s := range people {
			var a consent.Answer
			w.write(func(tx *store.Tx) (err error) { a, err = consent.May(tx, w.brand, s.ID, w.topic.ID); return err })
			if got := len(w.languages(s)) == 1; got != a.Allowed {
				w.Errorf("person %d: frozen %v, allowed %v (%s)", i, got, a.Allowed, a.Reason)
			}
		}
	})
}
