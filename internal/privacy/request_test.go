package privacy_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/privacy"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// start is the last day of a long month: a month later there is no such day.
var start = time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)

// world is a brand with somebody on a database whose clock the test moves.
type world struct {
	testing.TB
	db    *store.DB
	moved atomic.Int64
	brand brand.Brand
	ana   subscriber.Subscriber
	mina  uuid.UUID // of the team
}

func prepare(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "privacy", prepare, func(t *testing.T, url string) {
		w := &world{TB: t}
		ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		w.db, err = store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time { return start.Add(time.Duration(w.moved.Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.db.Close() })
		door, err := account.NewDoor(w.db, account.Cost{MemoryKiB: 64, Passes: 1})
		if err != nil {
			t.Fatal(err)
		}
		mina, err := door.AddUser(t.Context(), account.NewUser{Email: "mina@marble.example", Name: "Mina", Password: "a long sentence, twice", Language: "en"})
		if err != nil {
			t.Fatal(err)
		}
		w.mina = mina.ID
		w.brand = w.newBrand("marble", "DE")
		w.ana = w.person(w.brand, "ana@example.org")
		test(w)
	})
}

func (w *world) newBrand(slug, place string) (b brand.Brand) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: "Marble", PostalAddress: "1 Hill", SenderEmail: "hello@marble.example", Language: "en",
			TimeZone: "Europe/Berlin", Jurisdiction: place})
		if err != nil {
			return err
		}
		return consent.PrepareBrand(tx, b)
	})
	return b
}

func (w *world) person(b brand.Brand, email string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err == nil {
			s, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: a})
		}
		return err
	})
	return s
}

func (w *world) try(f func(tx *store.Tx) error) error { return w.db.Write(w.Context(), f) }

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.try(f); err != nil {
		w.Fatal(err)
	}
}

// at moves the clock.
func (w *world) at(t time.Time) { w.moved.Store(int64(t.Sub(start))) }

func (w *world) open(kind string) (r privacy.Request, fresh bool) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		r, fresh, err = privacy.Open(tx, w.brand, privacy.Opening{Subscriber: w.ana.ID, Kind: kind, Way: privacy.WayPreferences, Text: "Please."})
		return err
	})
	return r, fresh
}

func (w *world) close(r privacy.Request, outcome, text string) error {
	return w.try(func(tx *store.Tx) error {
		_, err := privacy.Close(tx, w.brand, r.ID, outcome, nil, text)
		return err
	})
}

// field is what is said to be wrong, and where.
func field(err error) string {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return ""
	}
	return p.Fields[0].Name + " " + p.Fields[0].Key
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

// The clock runs a month, to the day of the same number or the month's last; it is
// extended by two once, before its end, for a reason; Brazil has 15 days and no more.
func TestTheClockOfARequest(t *testing.T) {
	each(t, func(w *world) {
		r, fresh := w.open(privacy.Access)
		if day(r.DueAt) != "2027-02-28" || !fresh {
			w.Errorf("due on %s, %v", r.DueAt, fresh)
		}
		if again, fresh := w.open(privacy.Access); fresh || again.ID != r.ID {
			w.Error("asking twice opens two")
		}
		extend := func(reason string) (e privacy.Request, err error) {
			err = w.try(func(tx *store.Tx) (err error) {
				e, err = privacy.Extend(tx, w.brand, r.ID, w.mina, reason)
				return err
			})
			return e, err
		}
		if _, err := extend(" "); field(err) != "reason problem.field.required" {
			w.Errorf("without a reason: %v", err)
		}
		if e, err := extend("Many mails."); err != nil || day(e.DueAt) != "2027-04-28" {
			w.Errorf("extended to %s, %v", e.DueAt, err)
		}
		if _, err := extend("More."); !problem.Is(err, problem.Conflict) {
			w.Errorf("extended twice: %v", err)
		}
		late, _ := w.open(privacy.Correction)
		w.at(late.DueAt.Add(time.Second))
		if r = late; !late.Overdue(w.db.Now()) {
			w.Error("it is not overdue")
		}
		if _, err := extend("Late."); !problem.Is(err, problem.Conflict) {
			w.Errorf("extended after its end: %v", err)
		}

		w.at(start)
		w.brand = w.newBrand("rio", "BR-SP")
		w.ana = w.person(w.brand, "ana@example.org")
		if r, _ = w.open(privacy.Access); day(r.DueAt) != "2027-02-15" {
			w.Errorf("in Brazil due on %s", r.DueAt)
		}
		if _, err := extend("Many mails."); !problem.Is(err, problem.Conflict) {
			w.Errorf("in Brazil extended: %v", err)
		}
	})
}

// Of each open request that is due soon the owners are told once, and again where
// its end was moved.
func TestTheOwnersAreToldOnceOfWhatIsDue(t *testing.T) {
	each(t, func(w *world) {
		r, _ := w.open(privacy.Access)
		done, _ := w.open(privacy.Correction)
		if err := w.close(done, privacy.Done, ""); err != nil {
			w.Fatal(err)
		}
		told := func() (ids []uuid.UUID) {
			w.write(func(tx *store.Tx) error {
				_, err := privacy.WarnDue(tx, 10, func(_ *store.Tx, r privacy.Request) error { ids = append(ids, r.ID); return nil })
				return err
			})
			return ids
		}
		for _, step := range []struct {
			at   time.Time
			want int
		}{{start, 0}, {r.DueAt.Add(-privacy.Soon), 0}, {r.DueAt.Add(-privacy.Soon + time.Second), 1}, {r.DueAt.Add(-time.Hour), 0}} {
			w.at(step.at)
			if ids := told(); len(ids) != step.want || step.want == 1 && ids[0] != r.ID {
				w.Errorf("at %s told of %v, want %d", step.at, ids, step.want)
			}
		}
		w.write(func(tx *store.Tx) (err error) {
			r, err = privacy.Extend(tx, w.brand, r.ID, w.mina, "Many mails.")
			return err
		})
		if ids := told(); len(ids) != 0 {
			w.Errorf("told of %v, which has two months", ids)
		}
		w.at(r.DueAt.Add(-time.Hour))
		if ids := told(); len(ids) != 1 {
			w.Errorf("its second end: told of %v", ids)
		}
	})
}

// A request ends as what was done: nothing is said to be done that was not, a no
// has its reason, and what has ended stays as it ended.
func TestARequestEndsAsWhatWasDone(t *testing.T) {
	each(t, func(w *world) {
		access, _ := w.open(privacy.Access)
		erasure, _ := w.open(privacy.Erasure)
		correction, _ := w.open(privacy.Correction)
		for _, x := range []struct {
			r                   privacy.Request
			outcome, text, want string
		}{
			{access, "lost", "", "outcome problem.field.choice"},
			{access, privacy.Done, "", "outcome privacy.not-exported"},
			{erasure, privacy.Done, "", "outcome privacy.not-erased"},
			{correction, privacy.Refused, " ", "answer privacy.refusal"},
			{correction, privacy.Refused, strings.Repeat("x", 4001), "answer problem.field.too-long"},
			{correction, privacy.Refused, "It is right as it is.", ""},
		} {
			if err := w.close(x.r, x.outcome, x.text); field(err) != x.want || x.want == "" && err != nil {
				w.Errorf("%s as %s: %v, want %s", x.r.Kind, x.outcome, err, x.want)
			}
		}
		if err := w.close(correction, privacy.Done, ""); !problem.Is(err, problem.Conflict) {
			w.Errorf("closed twice: %v", err)
		}
		other := w.newBrand("other", "DE")
		err := w.try(func(tx *store.Tx) error {
			_, err := privacy.Close(tx, other, access.ID, privacy.Withdrawn, nil, "")
			return err
		})
		if !problem.Is(err, problem.NotFound) {
			w.Errorf("closed by another brand: %v", err)
		}
		err = w.try(func(tx *store.Tx) error {
			_, _, err := privacy.Open(tx, other, privacy.Opening{Subscriber: w.ana.ID, Kind: privacy.Erasure, Way: privacy.WayPreferences})
			return err
		})
		if !problem.Is(err, problem.NotFound) {
			w.Errorf("opened at another brand: %v", err)
		}
		err = w.try(func(tx *store.Tx) error {
			_, _, err := privacy.Open(tx, w.brand, privacy.Opening{Subscriber: w.ana.ID, Kind: privacy.Objection, Way: privacy.WayPhone})
			return err
		})
		if field(err) != "identity privacy.identity" {
			w.Errorf("by telephone, by nobody knows whom: %v", err)
		}

		w.write(func(tx *store.Tx) error {
			return privacy.Erase(tx, w.brand, w.ana.ID, consent.MethodPreferences, consent.EntitySubject)
		})
		var all []privacy.Request
		w.write(func(tx *store.Tx) (err error) { all, err = privacy.Of(tx, w.brand.ID, w.ana.ID); return err })
		ends := map[string]string{}
		for _, r := range all {
			ends[r.Kind] = r.Outcome
		}
		if ends[privacy.Access] != privacy.Withdrawn || ends[privacy.Erasure] != privacy.Done || ends[privacy.Correction] != privacy.Refused {
			w.Errorf("they ended as %v", ends)
		}
		err = w.try(func(tx *store.Tx) error {
			_, _, err := privacy.Open(tx, w.brand, privacy.Opening{Subscriber: w.ana.ID, Kind: privacy.Access, Way: privacy.WayPreferences})
			return err
		})
		if !problem.Is(err, problem.Gone) {
			w.Errorf("somebody erased asks: %v", err)
		}
	})
}

// An objection takes effect as it comes in, and an export tells of it.
func TestAnObjectionTakesEffectAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.open(privacy.Objection)
		var x privacy.Export
		w.write(func(tx *store.Tx) (err error) {
			x, err = privacy.Tell(tx, w.brand, w.ana.ID, consent.MethodPreferences, consent.EntitySubject)
			return err
		})
		if x.Person.ObjectedAt == nil || len(x.Requests) != 1 || x.Requests[0].Kind != privacy.Objection {
			w.Errorf("%+v", x)
		}
	})
}
