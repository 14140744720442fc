package consent

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Promise is how often mail comes at most: Max mails in any Days days. The zero
// Promise promises nothing.
type Promise struct{ Max, Days int }

// Within reports whether who keeps p keeps o as well: of p's mails no more fall
// into any window of o than o allows.
func (p Promise) Within(o Promise) bool {
	if o.Max == 0 {
		return true
	}
	return p.Max > 0 && p.Max*((o.Days+p.Days-1)/p.Days) <= o.Max
}

// In puts the promise into words of l's language; one that promises nothing has none.
func (p Promise) In(l *i18n.Localizer) string {
	if p.Max == 0 {
		return ""
	}
	for days, key := range map[int]string{1: "day", 7: "week", 30: "month", 31: "month", 365: "year"} {
		if p.Days == days {
			return l.N("signup.promise."+key, int64(p.Max))
		}
	}
	return l.N("signup.promise.days", int64(p.Max), "Days", p.Days)
}

// PauseMax is the longest pause, in days.
const PauseMax = 366

// Adjustment is what a person changes of a permission without taking it back;
// nil leaves it as it is.
type Adjustment struct {
	Promise *Promise
	Pause   *Pause
}

// Pause asks for no mail before a time; the zero time lifts one.
type Pause struct{ Until time.Time }

// apply gives an event all of the one before it but what changes.
func (a Adjustment) apply(e, last Event) Event {
	e.ValidUntil, e.WordingHash, e.FormID, e.FormVersion = last.ValidUntil, last.WordingHash, last.FormID, last.FormVersion
	e.PromiseMax, e.PromiseDays, e.PausedUntil = last.PromiseMax, last.PromiseDays, last.PausedUntil
	if a.Promise != nil {
		e.PromiseMax, e.PromiseDays = a.Promise.Max, a.Promise.Days
	}
	if a.Pause != nil {
		e.PausedUntil = nil
		if !a.Pause.Until.IsZero() {
			e.PausedUntil = utcOf(&a.Pause.Until)
		}
	}
	return e
}

// keepBounds: staff and shops renew what the person bounded, and the bounds stay.
func (e *Event) keepBounds(last Event) {
	if now := (Promise{e.PromiseMax, e.PromiseDays}); last.PromiseMax > 0 && !now.Within(Promise{last.PromiseMax, last.PromiseDays}) {
		e.PromiseMax, e.PromiseDays = last.PromiseMax, last.PromiseDays
	}
	e.PausedUntil = last.PausedUntil
}

// adjusting tells the events that only changed how often and from when.
func adjusting(e Event) bool { return e.Method == MethodFrequency || e.Method == MethodPause }

// Adjust writes down that a person wants less than they allowed, or all of it
// again: the permission is renewed in the same words and until the same day,
// with another promise or pause. More than was promised when they gave it is
// problem.Invalid "consent.promise-more", a pause that is over or longer than
// PauseMax days "consent.pause"; what is not in force cannot be adjusted
// (problem.Conflict "consent.not-in-force"). What stands already writes nothing.
func Adjust(tx *store.Tx, b brand.Brand, subscriberID uuid.UUID, t Topic, a Adjustment, evidence map[string]any) (Event, error) {
	if t.BrandID != b.ID || t.Purpose != Marketing {
		return Event{}, problem.New(problem.NotFound, "consent.topic.unknown")
	}
	p, err := lock(tx, b, subscriberID)
	if err != nil {
		return Event{}, err
	}
	last, err := lastEvent(tx, b, p.Subscriber, t)
	if err != nil {
		return Event{}, err
	}
	if last == nil || !InForce(last.State) || lapsed(*last, tx.Now()) {
		return Event{}, problem.New(problem.Conflict, "consent.not-in-force")
	}
	given, err := Origin(tx, *last)
	if err != nil {
		return Event{}, err
	}
	if a.Promise != nil && *a.Promise != (Promise{given.PromiseMax, given.PromiseDays}) &&
		(a.Promise.Max < 1 || a.Promise.Days < 1 || !a.Promise.Within(Promise{given.PromiseMax, given.PromiseDays})) {
		return Event{}, problem.InvalidField("promise", "consent.promise-more")
	}
	if a.Pause != nil && !a.Pause.Until.IsZero() && (!a.Pause.Until.After(tx.Now()) || a.Pause.Until.After(tx.Now().AddDate(0, 0, PauseMax))) {
		return Event{}, problem.InvalidField("until", "consent.pause")
	}
	wanted := a.apply(*last, *last)
	if wanted.PromiseMax == last.PromiseMax && wanted.PromiseDays == last.PromiseDays && sameTime(wanted.PausedUntil, last.PausedUntil) {
		return *last, nil
	}
	method := MethodPause
	if a.Promise != nil {
		method = MethodFrequency
	}
	return p.move(tx, Act{Brand: b, Subscriber: subscriberID, Topic: t, State: Renewed, Basis: last.Basis, Method: method,
		Language: last.Language, Entity: EntitySubject, Evidence: evidence, adjusts: &a})
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// Origin is the event in which a permission was given, in whose words: e itself,
// or the one before it that was more than an adjustment.
func Origin(tx *store.Tx, e Event) (Event, error) {
	for adjusting(e) && e.PreviousID != nil {
		before, err := FindEvent(tx, e.BrandID, *e.PreviousID)
		if err != nil {
			return e, fmt.Errorf("go back to where a permission was given: %w", err)
		}
		e = before
	}
	return e, nil
}

// Lineage are an event and those before it as far as Origin: one permission, and
// what was adjusted of it.
func Lineage(tx *store.Tx, brandID, id uuid.UUID) (line []uuid.UUID, err error) {
	for {
		e, err := FindEvent(tx, brandID, id)
		if err != nil {
			return nil, fmt.Errorf("go back to where a permission was given: %w", err)
		}
		if line = append(line, e.ID); !adjusting(e) || e.PreviousID == nil {
			return line, nil
		}
		id = *e.PreviousID
	}
}

// Object records an objection (GDPR art. 21): everything is withdrawn, and the
// person is left out of mail, scoring and segments until they themself agree to
// something anew. Repeatable.
func Object(tx *store.Tx, b brand.Brand, subscriberID uuid.UUID, method string, evidence map[string]any) error {
	if _, err := WithdrawAll(tx, b, subscriberID, method, evidence); err != nil {
		return err
	}
	fresh, err := subscriber.SetObjection(tx, b.ID, subscriberID, true)
	if err != nil || !fresh {
		return err
	}
	_, err = RecordChange(tx, Change{Brand: b, Subscriber: subscriberID, Kind: Objected, Method: method, Entity: entityOf(method), Evidence: evidence})
	return err
}

// agreesAnew: by the person's own act, and one that only they can do.
func (x entry) agreesAnew() bool {
	return InForce(x.event.State) && (x.event.Method == MethodDoubleOptIn || x.event.Method == MethodPreferences)
}

// endObjection: who agrees to something anew objects no more.
func (p person) endObjection(tx *store.Tx, method string) error {
	fresh, err := subscriber.SetObjection(tx, p.brand.ID, p.ID, false)
	if err != nil || !fresh {
		return err
	}
	_, err = RecordChange(tx, Change{Brand: p.brand, Subscriber: p.ID, Kind: ObjectionLifted, Method: method})
	return err
}

// Slower are promises to choose from that are within a given one, the most mail
// first; what was given itself is not among them.
func Slower(given Promise) []Promise {
	all := []Promise{{5, 7}, {3, 7}, {2, 7}, {1, 7}, {2, 30}, {1, 30}, {1, 90}}
	return slices.DeleteFunc(all, func(p Promise) bool { return p == given || !p.Within(given) || given.Within(p) })
}
