package sequence_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/subscriber"
)

var day = 24 * time.Hour

// The way of one person: confirm, welcome at once, the second mail three days
// later at nine in their own zone, the third a month after that, and the end.
func TestDripFromConfirmToTheEnd(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 3, Until: "09:00"}), send(w.mail), wait(sequence.Wait{Months: 1}), send(w.mail))
		ana := w.personOf(w.brand, "ana", "en", "Europe/Berlin")

		w.advance()
		if got := w.parts(ana); got != nil {
			w.Fatalf("mailed before anything was confirmed: %v", got)
		}
		w.give(ana)
		w.mustHave(ana) // the enrollment is there, the mail waits for the worker
		w.advance()
		w.mustHave(ana, "0 en queued")
		e := w.enrollment(ana)
		if want := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC); !e.DueAt.Equal(want) || e.Step != 2 { // from 07:44 in Berlin
			w.Fatalf("waits before step %d until %s, want 2 and %s", e.Step, e.DueAt, want)
		}
		w.pass(3 * day)
		if n := w.advance(); n != 0 {
			w.Fatal("moved an hour too early")
		}
		w.pass(2 * time.Hour)
		w.advance()
		w.mustHave(ana, "0 en queued", "2 en queued")
		w.pass(31 * day)
		w.advance()
		w.advance()
		w.mustHave(ana, "0 en queued", "2 en queued", "4 en queued")
		if e := w.enrollment(ana); e.State != "done" || e.EndedAt == nil {
			w.Fatalf("enrollment is %+v, want it done", e)
		}
		w.mustHaveFacts(ana, event.SequenceEnrolled, sequence.AdvancedKind, sequence.AdvancedKind, sequence.AdvancedKind, event.SequenceEnded)
		w.mustStand(q, sequence.Standing{Done: 1, Total: 1})
	})
}

func (w *world) mustHave(s subscriber.Subscriber, want ...string) {
	w.Helper()
	if got := w.parts(s); !slices.Equal(got, want) {
		w.Fatalf("messages %q, want %q", got, want)
	}
}

func (w *world) mustHaveFacts(s subscriber.Subscriber, want ...string) {
	w.Helper()
	var got []string
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT kind FROM events WHERE subscriber_id = ? AND kind LIKE 'sequence.%' ORDER BY at, kind DESC", s.ID).Scan(&got).Error
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Fatalf("facts %q, want %q", got, want)
	}
}

func (w *world) mustStand(q sequence.Sequence, want sequence.Standing) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		got, err := sequence.Standings(tx, q.BrandID, q.ID)
		if want.Ended == nil {
			want.Ended = map[string]int64{}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.Fatalf("stands at %+v, want %+v", got, want)
		}
		return err
	})
}

func TestEnrolledOnce(t *testing.T) {
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		ana := w.person("ana")
		w.give(ana)
		w.give(ana) // a renewal
		w.advance()
		w.withdraw(ana)
		w.give(ana) // again, a year on: given, not renewed
		w.pass(400 * day)
		w.advance()
		w.mustHave(ana, "0 fa queued")
		if e := w.enrollment(ana); e.State != "ended" || e.Reason != consent.ReasonWithdrawn {
			w.Fatalf("enrollment %+v, want it ended by the withdrawal", e)
		}
	})
}

// For each way a permission can end, the enrollment ends with it, in the same
// transaction; and six weeks later nothing has been queued.
func TestEndsWithThePermission(t *testing.T) {
	ways := map[string]func(w *world, s subscriber.Subscriber){
		consent.ReasonWithdrawn: func(w *world, s subscriber.Subscriber) { w.withdraw(s) },
		consent.ReasonInvalidated: func(w *world, s subscriber.Subscriber) {
			w.write(func(tx *store.Tx) error {
				_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Invalidated, Method: consent.MethodNotMe})
				return err
			})
		},
		consent.ReasonExpired: func(w *world, s subscriber.Subscriber) {
			w.write(func(tx *store.Tx) error {
				_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Expired, Method: consent.MethodLapse, Entity: consent.EntityController})
				return err
			})
		},
	}
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail), wait(sequence.Wait{Weeks: 5}), send(w.mail))
		for reason, end := range ways {
			s, stays := w.person("leaves-"+reason), w.person("stays-"+reason)
			w.give(s)
			w.give(stays)
			w.advance()
			end(w, s)
			if e := w.enrollment(s); e.State != "ended" || e.Reason != reason {
				w.Fatalf("%s: enrollment is %s for %q", reason, e.State, e.Reason)
			}
			for range 42 {
				w.pass(day)
				w.advance()
			}
			w.mustHave(s, "0 fa queued")
			w.mustHave(stays, "0 fa queued", "2 fa queued", "4 fa queued")
		}
	})
}

// A permission that runs out by its date alone, with no event yet, and an
// address that is suppressed: the step is reached, and ends the enrollment.
func TestStepWithoutPermissionEnds(t *testing.T) {
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Days: 10}), send(w.mail))
		lapses, bounces := w.person("lapses"), w.person("bounces")
		until := w.db.Now().Add(5 * day)
		w.write(func(tx *store.Tx) error {
			_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: lapses.ID, Topic: w.topic, State: consent.Given,
				Method: consent.MethodDoubleOptIn, Wording: "Send me news.", ValidUntil: &until})
			return err
		})
		w.give(bounces)
		w.advance()
		w.write(func(tx *store.Tx) error {
			return consent.Suppress(tx, w.brand, bounces.AddressHash, consent.HardBounce, "5.1.1")
		})
		w.pass(11 * day)
		w.advance()
		for s, reason := range map[*subscriber.Subscriber]string{&lapses: consent.ReasonExpired, &bounces: consent.ReasonSuppressed + consent.HardBounce} {
			w.mustHave(*s, "0 fa queued")
			if e := w.enrollment(*s); e.State != "ended" || e.Reason != reason {
				w.Fatalf("%s: enrollment is %s for %q, want %q", s.Name, e.State, e.Reason, reason)
			}
		}
	})
}

// A skipped mail ends its enrollment where the permission is gone, and only there.
func TestSkippedMailEndsTheEnrollment(t *testing.T) {
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		complains, lapses, full, other := w.person("complains"), w.person("lapses"), w.person("full"), w.person("other")
		until := w.db.Now().Add(time.Hour)
		w.write(func(tx *store.Tx) error {
			_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: lapses.ID, Topic: w.topic, State: consent.Given,
				Method: consent.MethodDoubleOptIn, Wording: "Send me news.", ValidUntil: &until})
			return err
		})
		for _, s := range []subscriber.Subscriber{complains, full, other} {
			w.give(s)
		}
		w.advance()
		w.pass(2 * time.Hour)
		w.write(func(tx *store.Tx) error {
			return consent.Suppress(tx, w.brand, complains.AddressHash, consent.Complaint, "")
		})
		for s, want := range map[*subscriber.Subscriber]string{&complains: consent.ReasonSuppressed + consent.Complaint, &lapses: consent.ReasonExpired, &full: ""} {
			source, stranger := w.enrollment(*s).ID, uuid.New()
			w.write(func(tx *store.Tx) error {
				for _, source := range []*uuid.UUID{&stranger, nil, &source} {
					err := event.Record(tx, event.Event{BrandID: w.brand.ID, SubscriberID: &s.ID, Kind: event.MailSkipped, SourceID: source})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if e := w.enrollment(*s); (e.State == "ended") != (want != "") || e.Reason != want {
				w.Errorf("%s: the enrollment is %s for %q, want %q", s.Name, e.State, e.Reason, want)
			}
		}
		if e := w.enrollment(other); e.State != "active" {
			w.Errorf("another's enrollment is %s", e.State)
		}
	})
}

func TestEditKeepsTheVersionOfThoseUnderWay(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		old, young := w.person("old"), w.person("young")
		w.give(old)
		w.advance()
		w.write(func(tx *store.Tx) (err error) {
			q, err = sequence.Edit(tx, w.brand, q.ID, sequence.Change{Steps: steps(wait(sequence.Wait{Days: 2}), send(w.mail))})
			return err
		})
		if q.Version != 2 {
			w.Fatalf("version %d after an edit", q.Version)
		}
		w.give(young)
		w.mustStand(q, sequence.Standing{Waiting: []sequence.Waiting{{Version: 1, Step: 2, People: 1}, {Version: 2, Step: 1, People: 1}}, Active: 2, Total: 2})
		w.pass(day)
		w.advance()
		w.mustHave(old, "0 fa queued", "2 fa queued")
		w.mustHave(young)
		w.pass(day)
		w.advance()
		w.mustHave(old, "0 fa queued", "2 fa queued")
		w.mustHave(young, "1 fa queued")
		var was []sequence.Step
		w.write(func(tx *store.Tx) (err error) {
			was, err = sequence.Steps(tx, w.brand.ID, q.ID, 1)
			return err
		})
		if len(was) != 3 {
			w.Fatalf("version 1 has %d steps now", len(was))
		}
	})
}

func TestPauseHoldsAndResumeGoesOn(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		ana, late := w.person("ana"), w.person("late")
		w.give(ana)
		w.advance()
		w.write(func(tx *store.Tx) error { _, err := sequence.Pause(tx, w.brand.ID, q.ID); return err })
		if n := w.count("SELECT count(*) FROM streams WHERE id = ? AND paused_at IS NOT NULL", q.ID); n != 1 {
			w.Fatal("the stream flows on")
		}
		w.give(late) // joins, and waits
		w.pass(10 * day)
		if n := w.advance(); n != 0 {
			w.Fatalf("%d moved while paused", n)
		}
		if _, next, _ := sequence.Advance(w.ctx, w.db); !next.IsZero() {
			w.Fatalf("a paused sequence is due at %s", next)
		}
		w.write(func(tx *store.Tx) error { _, err := sequence.Resume(tx, w.brand.ID, q.ID); return err })
		w.advance()
		w.mustHave(ana, "0 fa queued", "2 fa queued") // one mail, not all that fell due
		w.mustHave(late, "0 fa queued")
		w.pass(day)
		w.advance()
		w.mustHave(ana, "0 fa queued", "2 fa queued", "4 fa queued")
	})
}

func TestEndLetsNobodyGoOn(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		var people []subscriber.Subscriber
		for i := range 5 {
			people = append(people, w.person(fmt.Sprint("p", i)))
			w.give(people[i])
		}
		w.advance()
		w.write(func(tx *store.Tx) error { _, err := sequence.Pause(tx, w.brand.ID, q.ID); return err })
		w.write(func(tx *store.Tx) error { _, err := sequence.End(tx, w.brand.ID, q.ID); return err })
		w.give(w.person("too-late"))
		w.write(func(tx *store.Tx) error { // nobody's wait is over, and all are to be ended
			if yes, err := sequence.Due(tx); err != nil || !yes {
				w.Errorf("those in an ended sequence wait for their time: %v", err)
			}
			return nil
		})
		w.advance()
		w.write(func(tx *store.Tx) error {
			if yes, err := sequence.Due(tx); err != nil || yes {
				w.Errorf("there is always something to end: %v", err)
			}
			return nil
		})
		w.pass(2 * day)
		w.advance()
		for _, s := range people {
			w.mustHave(s, "0 fa queued") // the next claim of the closed stream skips it
		}
		w.write(func(tx *store.Tx) error {
			var closed string
			err := tx.Raw("SELECT closed FROM streams WHERE id = ?", q.ID).Scan(&closed).Error
			if closed != "sequence-ended" {
				w.Errorf("the stream is closed for %q", closed)
			}
			return err
		})
		w.mustStand(q, sequence.Standing{Ended: map[string]int64{"sequence-ended": 5}, Total: 5})
		err := w.try(func(tx *store.Tx) error { _, err := sequence.Resume(tx, w.brand.ID, q.ID); return err })
		if !problem.Is(err, problem.Conflict) {
			w.Fatalf("resumed an ended sequence: %v", err)
		}
	})
}

func TestExistingJoinOnlyWhenAsked(t *testing.T) {
	each(t, func(w *world) {
		yes, left, never := w.person("yes"), w.person("left"), w.person("never")
		w.give(yes)
		w.give(left)
		w.withdraw(left)
		q := w.running(send(w.mail))
		w.advance()
		w.mustHave(yes)
		for _, want := range []int{1, 0} {
			n, err := sequence.EnrollExisting(w.ctx, w.db, w.brand.ID, q.ID)
			if err != nil || n != want {
				w.Fatalf("enrolled %d, %v; want %d", n, err, want)
			}
		}
		w.advance()
		w.mustHave(yes, "0 fa queued")
		w.mustHave(left)
		w.mustHave(never)
	})
}

// More people than one transaction takes, and everybody joins once.
func TestExistingJoinInBatches(t *testing.T) {
	each(t, func(w *world) {
		const people = 1101
		w.crowd(people)
		q := w.running(wait(sequence.Wait{Until: "09:00"}), send(w.mail))
		if n, err := sequence.EnrollExisting(w.ctx, w.db, w.brand.ID, q.ID); err != nil || n != people {
			w.Fatalf("enrolled %d, %v; want %d", n, err, people)
		}
		w.mustStand(q, sequence.Standing{Waiting: []sequence.Waiting{{1, 1, people}}, Active: people, Total: people})
	})
}

// Four workers at once, and each person is moved once: one message, one fact.
func TestWorkersMoveEachOnce(t *testing.T) {
	each(t, func(w *world) {
		const people = 600
		w.crowd(people)
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		if _, err := sequence.EnrollExisting(w.ctx, w.db, w.brand.ID, q.ID); err != nil {
			w.Fatal(err)
		}
		var group sync.WaitGroup
		moved, errs := make([]int, 4), make([]error, 4)
		for i := range 4 {
			group.Go(func() {
				for {
					n, next, err := sequence.Advance(w.ctx, w.db)
					moved[i], errs[i] = moved[i]+n, errors.Join(errs[i], err)
					if err != nil || next.After(w.db.Now()) {
						return
					}
				}
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			w.Fatal(err)
		}
		if sum := moved[0] + moved[1] + moved[2] + moved[3]; sum != people {
			w.Errorf("moved %d times in all (%v), want %d", sum, moved, people)
		}
		if n := w.count("SELECT count(*) FROM events WHERE kind = ?", sequence.AdvancedKind); n != people {
			w.Errorf("%d facts, want %d", n, people)
		}
		if n := w.count("SELECT count(*) FROM messages WHERE stream_id = ? AND part = 0", q.ID); n != people {
			w.Errorf("%d messages, want %d", n, people)
		}
		w.mustStand(q, sequence.Standing{Waiting: []sequence.Waiting{{1, 2, people}}, Active: people, Total: people})
	})
}

// An enrollment that cannot be moved is set aside, and holds up nobody.
func TestOneThatFailsHoldsUpNobody(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail))
		sick, well := w.person("sick"), w.person("well")
		w.give(sick)
		w.give(well)
		w.write(func(tx *store.Tx) error { // a step that is not there
			_, err := tx.Run("UPDATE enrollments SET step = 7 WHERE subscriber_id = ?", sick.ID)
			return err
		})
		n, next, err := sequence.Advance(w.ctx, w.db)
		if n != 1 || err == nil || !next.After(w.db.Now()) {
			w.Fatalf("moved %d, next %s, err %v", n, next, err)
		}
		w.mustHave(well, "0 fa queued")
		w.mustHave(sick)
		w.mustStand(q, sequence.Standing{Waiting: []sequence.Waiting{{1, 7, 1}}, Active: 1, Done: 1, Total: 2})
	})
}

func TestBrandsAreWalls(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail))
		other, otherTopic := w.newBrand("other")
		stranger := w.personOf(other, "stranger", "fa", "")
		w.giveTopic(other, otherTopic, stranger)
		w.advance()
		w.mustHave(stranger)
		if all := w.enrollments(stranger); len(all) != 0 {
			w.Fatal("another brand's subscriber joined")
		}
		for name, f := range map[string]func(tx *store.Tx) error{
			"find":      func(tx *store.Tx) error { _, err := sequence.Find(tx, other.ID, q.ID); return err },
			"steps":     func(tx *store.Tx) error { _, err := sequence.Steps(tx, other.ID, q.ID, 1); return err },
			"standings": func(tx *store.Tx) error { _, err := sequence.Standings(tx, other.ID, q.ID); return err },
			"pause":     func(tx *store.Tx) error { _, err := sequence.Pause(tx, other.ID, q.ID); return err },
			"end":       func(tx *store.Tx) error { _, err := sequence.End(tx, other.ID, q.ID); return err },
			"edit": func(tx *store.Tx) error {
				name := "x"
				_, err := sequence.Edit(tx, other, q.ID, sequence.Change{Name: &name})
				return err
			},
		} {
			if err := w.try(f); !problem.Is(err, problem.NotFound) {
				w.Errorf("%s: %v, want not found", name, err)
			}
		}
		if _, err := sequence.EnrollExisting(w.ctx, w.db, other.ID, q.ID); !problem.Is(err, problem.NotFound) {
			w.Errorf("enroll: %v, want not found", err)
		}
		for name, n := range map[string]sequence.New{
			"topic":        {Name: "x", Topic: w.topic.ID, Steps: steps(send(w.content(other)))},
			"steps/0/send": {Name: "x", Topic: otherTopic.ID, Steps: steps(send(w.mail))},
		} {
			err := w.try(func(tx *store.Tx) error { _, err := sequence.Create(tx, other, n); return err })
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || p.Fields[0].Name != name {
				w.Errorf("created with another brand's %s: %v", name, err)
			}
		}
	})
}

func TestCreateSaysWhatIsWrong(t *testing.T) {
	each(t, func(w *world) {
		var english uuid.UUID
		w.write(func(tx *store.Tx) (err error) {
			english, err = delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}})
			if err != nil {
				return err
			}
			return consent.PrepareBrand(tx, w.brand)
		})
		var opens consent.Topic
		w.write(func(tx *store.Tx) (err error) {
			opens, err = consent.TopicBySlug(tx, w.brand.ID, consent.OpensSlug)
			return err
		})
		good := steps(send(w.mail))
		for name, c := range map[string]struct {
			n     sequence.New
			field string
		}{
			"no name":          {sequence.New{Topic: w.topic.ID, Steps: good}, "name"},
			"two lines":        {sequence.New{Name: "a\r\nBcc: x", Topic: w.topic.ID, Steps: good}, "name"},
			"not text":         {sequence.New{Name: "a\xff", Topic: w.topic.ID, Steps: good}, "name"},
			"a tracking topic": {sequence.New{Name: "a", Topic: opens.ID, Steps: good}, "topic"},
			"no topic":         {sequence.New{Name: "a", Steps: good}, "topic"},
			"no mail":          {sequence.New{Name: "a", Topic: w.topic.ID, Steps: steps(send(uuid.New()))}, "steps/0/send"},
			"one language":     {sequence.New{Name: "a", Topic: w.topic.ID, Steps: steps(send(english))}, "steps/0/send"},
			"no steps":         {sequence.New{Name: "a", Topic: w.topic.ID}, "steps"},
		} {
			err := w.try(func(tx *store.Tx) error { _, err := sequence.Create(tx, w.brand, c.n); return err })
			if p, ok := problem.Of(err); !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != c.field {
				w.Errorf("%s: %v, want a fault at %s", name, err, c.field)
			}
		}
		if n := w.count("SELECT count(*) FROM sequences"); n != 0 {
			w.Errorf("%d sequences were left behind", n)
		}
	})
}

// crowd makes people with permission, in few transactions.
func (w *world) crowd(n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for i := range n {
			address, err := subscriber.ParseAddress(fmt.Sprintf("crowd%d@example.org", i))
			if err != nil {
				return err
			}
			s, _, err := subscriber.Ensure(tx, w.brand, subscriber.New{Address: address})
			if err != nil {
				return err
			}
			_, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Given,
				Method: consent.MethodDoubleOptIn, Wording: "Send me news."})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// The story adds up at every step: who came there waits, left, or has a mail;
// and a version tells only of those who began with it.
func TestTheStoryAddsUp(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(send(w.mail), wait(sequence.Wait{Days: 1}), send(w.mail))
		people := []subscriber.Subscriber{w.person("ana"), w.person("bob"), w.person("cem")}
		for _, s := range people {
			w.give(s)
		}
		w.advance()
		w.withdraw(people[2])
		w.write(func(tx *store.Tx) error {
			id, err := delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "fa", Subject: "نو", HTML: "<p>نو</p>"}})
			if err != nil {
				return err
			}
			q, err = sequence.Edit(tx, w.brand, q.ID, sequence.Change{Steps: steps(send(id))})
			return err
		})
		w.give(w.person("dan"))
		settle := func(s subscriber.Subscriber, state, reason string, opens bool) {
			w.write(func(tx *store.Tx) error {
				_, err := tx.Run("UPDATE messages SET state = ?, reason = ?, tracks_opens = ?, settled_at = ? WHERE subscriber_id = ?", state, reason, opens, tx.Now(), s.ID)
				return err
			})
		}
		settle(people[0], "sent", "", true)
		settle(people[1], "sent", "", false)
		settle(people[2], "skipped", "consent-withdrawn", false)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run(`INSERT INTO hits (id, at, brand_id, subscriber_id, source_id, message_id, kind, link, user_agent, network, machine)
				SELECT ?, ?, brand_id, subscriber_id, source_id, id, 'open', 0, '', '', '' FROM messages WHERE subscriber_id = ?`, tx.NewID(), tx.Now(), people[0].ID)
			return err
		})
		var old, now sequence.Story
		var stood sequence.Standing
		w.write(func(tx *store.Tx) (err error) {
			if old, err = sequence.Tell(tx, w.brand.ID, q.ID, 1); err != nil {
				return err
			}
			if now, err = sequence.Tell(tx, w.brand.ID, q.ID, 2); err != nil {
				return err
			}
			stood, err = sequence.Standings(tx, w.brand.ID, q.ID)
			return err
		})
		first, second := old.Chapters[0], old.Chapters[1]
		if old.Joined != 3 || old.Active != 2 || old.Left != 1 || now.Joined != 1 || now.Chapters[0].Waiting != 1 {
			w.Errorf("the versions tell %+v and %+v", old, now)
		}
		if first.Reached != 3 || first.Waiting != 0 || first.Mails.Sent != 2 || first.Mails.Skipped != 1 || first.Mails.Total != 3 || len(first.Reasons) != 1 ||
			first.Opens != (sequence.Seen{People: 1, Of: 1}) || first.Clicks != (sequence.Seen{}) {
			w.Errorf("the first letter: %+v", first)
		}
		if second.Reached != 3 || second.Waiting != 2 || second.Left["consent-withdrawn"] != 1 || second.Mails.Total != 0 || len(second.Waits) != 1 {
			w.Errorf("the second letter: %+v", second)
		}
		for _, c := range append(old.Chapters, now.Chapters...) {
			left := int64(0)
			for _, n := range c.Left {
				left += n
			}
			if c.Reached != c.Waiting+left+c.Mails.Total {
				w.Errorf("step %d does not add up: %+v", c.Step, c)
			}
		}
		if got := stood.Versions(2); fmt.Sprint(got) != "[2 1]" {
			w.Errorf("versions %v", got)
		}
	})
}

// Those who wait before a step come page by page, who is due first first, each once.
func TestWhoWaitsByPages(t *testing.T) {
	each(t, func(w *world) {
		q := w.running(wait(sequence.Wait{Days: 1}), send(w.mail))
		for i := range 7 {
			w.give(w.person(fmt.Sprint("p", i)))
			if i%2 == 0 {
				w.pass(time.Minute)
			}
		}
		var seen []string
		after := sequence.After{}
		for {
			var page []sequence.Here
			w.write(func(tx *store.Tx) (err error) {
				page, err = sequence.WhoWaits(tx, w.brand.ID, q.ID, 1, 1, after, 2)
				return err
			})
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				seen = append(seen, p.Name)
				after = sequence.After{Due: p.DueAt, ID: p.Enrollment}
			}
		}
		for i := 1; i+1 < len(seen); i += 2 { // these two are due at the same time
			slices.Sort(seen[i : i+2])
		}
		if fmt.Sprint(seen) != "[p0 p1 p2 p3 p4 p5 p6]" {
			w.Errorf("seen %v", seen)
		}
	})
}

// Who would join is who then joins, by the worker, and nobody twice.
func TestAskedToJoinByTheWorker(t *testing.T) {
	each(t, func(w *world) {
		w.give(w.person("ana"))
		w.give(w.person("bob"))
		gone := w.person("cem")
		w.give(gone)
		w.withdraw(gone)
		w.person("never")
		q := w.running(wait(sequence.Wait{Days: 1}), send(w.mail))
		w.give(w.person("new"))
		count := func() (n int64) {
			w.write(func(tx *store.Tx) (err error) { n, err = sequence.MayJoin(tx, w.brand.ID, q.ID); return err })
			return n
		}
		if n := count(); n != 2 {
			w.Errorf("%d would join, want 2", n)
		}
		for range 2 {
			w.write(func(tx *store.Tx) error { _, err := sequence.AskEnroll(tx, w.brand.ID, q.ID); return err })
			if _, err := sequence.Work(w.ctx, w.db, q.ID.String()); err != nil {
				w.Fatal(err)
			}
		}
		if n := w.count("SELECT count(*) FROM enrollments WHERE sequence_id = ?", q.ID); n != 3 || count() != 0 {
			w.Errorf("%d joined, %d would", n, count())
		}
		w.write(func(tx *store.Tx) error { _, err := sequence.End(tx, w.brand.ID, q.ID); return err })
		if _, err := sequence.Work(w.ctx, w.db, q.ID.String()); err != nil {
			w.Errorf("work of one that has ended: %v", err)
		}
		if err := w.try(func(tx *store.Tx) error { _, err := sequence.AskEnroll(tx, w.brand.ID, q.ID); return err }); !problem.Is(err, problem.Conflict) {
			w.Errorf("asked to join one that has ended: %v", err)
		}
	})
}

func TestASequenceWaitsForTheEndOfAPause(t *testing.T) {
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Hours: 24}), send(w.mail), wait(sequence.Wait{Hours: 24}), send(w.mail))
		sara := w.person("sara")
		w.give(sara)
		w.advance()
		pause := func(until time.Time) {
			w.write(func(tx *store.Tx) error {
				_, err := consent.Adjust(tx, w.brand, sara.ID, w.topic, consent.Adjustment{Pause: &consent.Pause{Until: until}}, nil)
				return err
			})
		}
		end := time.UnixMicro(w.clock.Load()).Add(72 * time.Hour).UTC()
		pause(end)
		w.pass(25 * time.Hour)
		w.advance()
		if e := w.enrollment(sara); e.State != "active" || !e.DueAt.Equal(end) || len(w.parts(sara)) != 1 {
			t.Fatalf("in the pause: %+v, %v", e, w.parts(sara))
		}
		w.pass(48 * time.Hour)
		w.advance()
		if len(w.parts(sara)) != 2 {
			t.Errorf("after the pause: %v", w.parts(sara))
		}
		pause(time.UnixMicro(w.clock.Load()).Add(72 * time.Hour))
		w.pass(25 * time.Hour)
		w.advance()
		if len(w.parts(sara)) != 2 {
			t.Errorf("in the second pause: %v", w.parts(sara))
		}
		pause(time.Time{})
		w.advance()
		if e := w.enrollment(sara); len(w.parts(sara)) != 3 || e.State != "done" {
			t.Errorf("after it was lifted: %+v, %v", e, w.parts(sara))
		}
	})
}

// What people agreed to changed: nobody is mailed until they have said yes to it,
// and then their course goes on where it was. A no ends it.
func TestASequenceWaitsForTheAnswerToAChange(t *testing.T) {
	each(t, func(w *world) {
		w.running(send(w.mail), wait(sequence.Wait{Hours: 24}), send(w.mail))
		sara, ben := w.person("sara"), w.person("ben")
		w.give(sara)
		w.give(ben)
		w.advance()
		w.pass(time.Hour)
		w.write(func(tx *store.Tx) (err error) {
			w.topic, err = consent.UpdateTopic(tx, w.brand, w.topic.ID, consent.TopicChange{AsksAgain: true,
				Texts: &map[string]consent.TopicText{
					"en": {Name: "Letter", Wording: "Send me the letter and what partners say."}, "fa": {Name: "نامه", Wording: "نامه و گفته‌های همکاران را برایم بفرستید."}}})
			return err
		})
		w.pass(25 * time.Hour)
		w.advance()
		for _, s := range []subscriber.Subscriber{sara, ben} {
			if e := w.enrollment(s); e.State != "active" || len(w.parts(s)) != 1 {
				t.Fatalf("asked anew: %+v, %v", e, w.parts(s))
			}
		}
		w.give(sara)
		w.write(func(tx *store.Tx) error {
			_, err := consent.WithdrawAll(tx, w.brand, ben.ID, consent.MethodPreferences, nil)
			return err
		})
		w.pass(25 * time.Hour)
		w.advance()
		if e := w.enrollment(sara); e.State != "done" || len(w.parts(sara)) != 2 {
			t.Errorf("after a yes: %+v, %v", e, w.parts(sara))
		}
		if e := w.enrollment(ben); e.State != "ended" || len(w.parts(ben)) != 1 {
			t.Errorf("after a no: %+v, %v", e, w.parts(ben))
		}
	})
}
