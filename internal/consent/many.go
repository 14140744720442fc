package consent

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// One is many: Record and Grant are what follows for a set of one. The number
// of statements is the same for any number of acts.

// GrantAll is Grant for many acts of one brand, in their order; a person and a
// topic may be there several times. refused[i] says why act i may not be, and is
// nil where it may: where any is refused nothing is written at all.
func GrantAll(tx *store.Tx, acts []Act) (events []Event, refused []error, err error) {
	refused = make([]error, len(acts))
	if len(acts) == 0 {
		return nil, refused, nil
	}
	steps, acts := make([]step, len(acts)), slices.Clone(acts)
	for i := range acts {
		a := &acts[i]
		a.State = Given
		if a.Entity == "" {
			a.Entity = EntityOperator
		}
		if !proves(a.Evidence) {
			refused[i] = problem.New(problem.Invalid, "consent.evidence-missing").Field("evidence", "consent.evidence-missing")
		} else {
			refused[i] = a.check(tx.Now())
		}
		steps[i].act = a
	}
	if err := lockAll(tx, steps, refused); err != nil {
		return nil, nil, err
	}
	if err := refuseLeft(tx, steps, refused); err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(refused, func(err error) bool { return err != nil }) {
		return make([]Event, len(acts)), refused, nil
	}
	return moveAll(tx, steps)
}

// step is an act with the person it is about, whose row is held.
type step struct {
	*person
	act *Act
}

// place is what an event follows another in.
type place struct{ person, topic uuid.UUID }

func (s step) place() place { return place{s.ID, s.act.Topic.ID} }

// lockAll holds the people of the steps that are not refused yet, by their ids.
func lockAll(tx *store.Tx, steps []step, refused []error) error {
	var ids []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for i, s := range steps {
		if refused[i] == nil && !seen[s.act.Subscriber] {
			seen[s.act.Subscriber] = true
			ids = append(ids, s.act.Subscriber)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	b := steps[0].act.Brand
	people, err := subscriber.LockAll(tx, b.ID, ids)
	if err != nil {
		return err
	}
	held := make(map[uuid.UUID]*person, len(people))
	for id, s := range people {
		held[id] = &person{b, s}
	}
	for i, s := range steps {
		found, ok := held[s.act.Subscriber]
		switch {
		case refused[i] != nil:
		case !ok:
			refused[i] = problem.New(problem.NotFound, "subscriber.unknown")
		case found.ErasedAt != nil:
			refused[i] = problem.New(problem.Gone, "subscriber.erased")
		default:
			steps[i].person = found
		}
	}
	return nil
}

// refuseLeft refuses what only the person can take back.
func refuseLeft(tx *store.Tx, steps []step, refused []error) error {
	var asked []step
	var hashes [][]byte
	for i, s := range steps {
		if refused[i] != nil {
			continue
		}
		if len(asked) == 0 || asked[len(asked)-1].ID != s.ID {
			hashes = append(hashes, s.AddressHash)
		}
		asked = append(asked, s)
	}
	if len(asked) == 0 {
		return nil
	}
	stopped, err := suppressionsOf(tx, asked[0].brand.ID, hashes)
	if err != nil {
		return err
	}
	said, err := lastWords(tx, asked)
	if err != nil {
		return err
	}
	for i, s := range steps {
		if refused[i] != nil {
			continue
		}
		if reason, yes := stoppedNow(stopped[string(s.AddressHash)], MarketingMail, tx.Now()); yes {
			refused[i] = leftBefore(reason)
		} else if word, ok := said[s.place()]; ok {
			refused[i] = leftBefore(string(word))
		}
	}
	return nil
}

// entry is an event that is about to be written, with all that goes with it.
type entry struct {
	step
	event         *Event
	salt, private []byte
	pause         *time.Time // that stood before
}

// moveAll is the one way from state to state, for steps of one brand in their
// order. Where any is refused nothing is written.
func moveAll(tx *store.Tx, steps []step) (events []Event, refused []error, err error) {
	events, refused = make([]Event, len(steps)), make([]error, len(steps))
	last, err := lastEvents(tx, steps)
	if err != nil {
		return nil, nil, err
	}
	written := make([]entry, 0, len(steps))
	wrong := false
	for i, s := range steps {
		before := len(written)
		written, events[i], err = s.follow(written, tx.Now(), last[s.place()])
		if _, ok := problem.Of(err); ok {
			refused[i], wrong = err, true
			continue
		} else if err != nil {
			return nil, nil, err
		}
		if len(written) > before {
			last[s.place()] = written[len(written)-1].event
		}
	}
	if wrong {
		return make([]Event, len(steps)), refused, nil
	}
	return events, refused, writeAll(tx, written)
}

// follow adds to all what a step adds to the last event of its place, if
// anything; e is the event that stands then. A permission found past its time
// is first written down as expired.
func (s step) follow(all []entry, now time.Time, last *Event) (more []entry, e Event, err error) {
	more = all
	if last != nil && lapsed(*last, now) {
		over := lapse(*s.person, s.act.Topic, *last)
		x, err := step{s.person, &over}.entry(now, last)
		if err != nil {
			return all, Event{}, err
		}
		more, last = append(more, x), x.event
	}
	var from State
	if last != nil {
		from, e = last.State, *last
		e.Fresh = len(more) > len(all)
	}
	if yields, err := s.act.yields(last, s.act.until(now)); err != nil || yields {
		return more, e, err
	}
	to, verdict := next(from, s.act.State)
	switch verdict {
	case stays:
		return more, e, nil
	case forbidden:
		return all, Event{}, problem.New(problem.Conflict, "consent.transition", "From", string(from), "To", string(s.act.State))
	}
	s.act.State = to
	x, err := s.entry(now, last)
	if err != nil {
		return all, Event{}, err
	}
	e = *x.event
	e.Fresh = true
	return append(more, x), e, nil
}

// entry is the event with its final leaf.
func (s step) entry(now time.Time, last *Event) (x entry, err error) {
	e, err := s.event(now, last, *s.act)
	if err != nil {
		return x, err
	}
	x.step, x.event = s, &e
	if last != nil && InForce(last.State) {
		x.pause = last.PausedUntil
	}
	x.salt, x.private, err = s.commit(x.event, *s.act)
	return x, err
}

// writeAll adds the events that were decided on, and all that goes with them.
func writeAll(tx *store.Tx, all []entry) error {
	if len(all) == 0 {
		return nil
	}
	for _, write := range []func(*store.Tx, []entry) error{keepWordings, addEvents, keepEvidence, project, liftAfter} {
		if err := write(tx, all); err != nil {
			return err
		}
	}
	facts := make([]event.Event, len(all))
	for i, x := range all {
		e := x.event
		facts[i] = event.Event{At: e.OccurredAt, BrandID: e.BrandID, SubscriberID: &e.SubscriberID, Kind: "consent." + string(e.State),
			Data: map[string]any{"topic_id": e.TopicID.String(), "topic": x.act.Topic.Slug, "event_id": e.ID.String(),
				"state": string(e.State), "method": e.Method, "basis": e.Basis}}
		if x.pause != nil && !sameTime(x.pause, e.PausedUntil) {
			facts[i].Data["was_paused_until"] = x.pause.Format(time.RFC3339Nano)
		}
		if x.act.Via != "" {
			facts[i].Data["via"] = x.act.Via
		}
	}
	return event.RecordAll(tx, facts)
}

// keepWordings goes by the hash: two calls at once do not wait in a circle.
func keepWordings(tx *store.Tx, all []entry) error {
	var rows [][]any
	seen := map[string]bool{}
	for _, x := range all {
		if hash := x.event.WordingHash; hash != nil && x.act.Wording != "" && !seen[string(hash)] {
			seen[string(hash)] = true
			rows = append(rows, []any{x.event.Language, hash, x.act.Wording, tx.Now()})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return bytes.Compare(a[1].([]byte), b[1].([]byte)) })
	_, err := tx.InsertAll("wordings", "language text, hash bytea, text text, created_at timestamptz", rows, "ON CONFLICT (hash) DO NOTHING")
	if err != nil {
		return fmt.Errorf("keep the words shown: %w", err)
	}
	return nil
}

const eventColumns = `id uuid, brand_id uuid, subscriber_id uuid, topic_id uuid, state text, basis text, method text, occurred_at timestamptz,
	valid_until timestamptz, wording_hash bytea, language text, form_id uuid, form_version integer, promise_max integer, promise_days integer, paused_until timestamptz, previous_id uuid, leaf bytea`

func addEvents(tx *store.Tx, all []entry) error {
	rows, events := make([][]any, len(all)), make([]pending, len(all))
	for i, x := range all {
		e := x.event
		events[i] = pending{e.ID, e.Method == MethodImport || e.Method == MethodLapse}
		rows[i] = []any{e.ID, e.BrandID, e.SubscriberID, e.TopicID, string(e.State), e.Basis, e.Method, e.OccurredAt,
			e.ValidUntil, e.WordingHash, e.Language, e.FormID, e.FormVersion, e.PromiseMax, e.PromiseDays, e.PausedUntil, e.PreviousID, e.Leaf}
	}
	if _, err := tx.InsertAll("consent_events", eventColumns, rows, ""); err != nil {
		return fmt.Errorf("record consent: %w", err)
	}
	return toLog(tx, events)
}

func keepEvidence(tx *store.Tx, all []entry) error {
	ids, private, rows := make([]uuid.UUID, len(all)), make([][]byte, len(all)), make([][]any, len(all))
	for i, x := range all {
		ids[i], private[i] = x.ID, x.private
	}
	sealed, err := subscriber.SealAll(tx, ids, private)
	if err != nil {
		return err
	}
	for i, x := range all {
		rows[i] = []any{x.event.ID, x.ID, x.salt, sealed[i]}
	}
	_, err = tx.InsertAll("consent_evidence", "event_id uuid, subscriber_id uuid, salt bytea, sealed bytea", rows, "")
	if err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	return nil
}

const permissionColumns = "subscriber_id uuid, topic_id uuid, brand_id uuid, state text, event_id uuid, since timestamptz, valid_until timestamptz, promise_max integer, promise_days integer, paused_until timestamptz, said_at timestamptz"

// project moves the permissions on, each to the last of its events. It does not
// wait for a claim of mails under way, nor a claim for it: what was claimed a
// moment before is asked again before it begins (delivery, stillMay).
func project(tx *store.Tx, all []entry) error {
	var anew, again []entry
	for _, x := range all {
		if x.saysNothingAnew() {
			again = append(again, x)
		} else {
			anew = append(anew, x)
		}
	}
	if err := projectAs(tx, anew, "excluded.said_at"); err != nil {
		return err
	}
	return projectAs(tx, again, "coalesce(permissions.said_at, permissions.since)")
}

// saysNothingAnew: an adjustment, or what staff or a shop states once more without
// saying when it was said. Such a permission is as old as it was.
func (x entry) saysNothingAnew() bool {
	return x.act.adjusts != nil || x.event.State == Renewed && x.act.Entity != EntitySubject && x.act.SaidAt == nil
}

// projectAs moves permissions on; said is when they were said, in SQL.
func projectAs(tx *store.Tx, all []entry, said string) error {
	rows := make([][]any, 0, len(all))
	at := make(map[place]int, len(all))
	for _, x := range all {
		e := x.event
		row := []any{e.SubscriberID, e.TopicID, e.BrandID, string(e.State), e.ID, e.OccurredAt, e.ValidUntil, e.PromiseMax, e.PromiseDays, e.PausedUntil, x.act.saidBefore(e)}
		if i, ok := at[x.place()]; ok {
			rows[i] = row
			continue
		}
		at[x.place()] = len(rows)
		rows = append(rows, row)
	}
	_, err := tx.InsertAll("permissions", permissionColumns, rows, `ON CONFLICT (subscriber_id, topic_id) DO UPDATE SET
		state = excluded.state, event_id = excluded.event_id, since = excluded.since, valid_until = excluded.valid_until,
		promise_max = excluded.promise_max, promise_days = excluded.promise_days, paused_until = excluded.paused_until,
		said_at = `+said)
	if err != nil {
		return fmt.Errorf("move the permissions on: %w", err)
	}
	return nil
}

// saidBefore is when a permission was said, where that was before its event.
func (a *Act) saidBefore(e *Event) *time.Time {
	if !InForce(e.State) || a.SaidAt == nil || !a.SaidAt.Before(e.OccurredAt) {
		return nil
	}
	return utcOf(a.SaidAt)
}

func liftAfter(tx *store.Tx, all []entry) error {
	for _, x := range all {
		if err := x.liftAfter(tx, *x.event); err != nil {
			return err
		}
		if x.ObjectedAt != nil && x.act.Topic.Purpose == Marketing && x.agreesAnew() {
			if err := x.endObjection(tx, x.event.Method); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastEvents gives the events that the permissions of the steps stand on; none
// for the first of a place. The locks on the people's rows keep them the last.
// It looks once a place into the key of permissions, whatever the planner
// knows of the tables (OFFSET 0: it does not join them its own way).
func lastEvents(tx *store.Tx, steps []step) (map[place]*Event, error) {
	from, args := placesOf(tx, steps)
	var rows []Event
	err := tx.Raw(tx.Pick(`SELECT e.* FROM `+from+` CROSS JOIN LATERAL (SELECT e.* FROM permissions p JOIN consent_events e ON e.id = p.event_id
			WHERE p.subscriber_id = v.person AND p.topic_id = v.topic AND p.brand_id = v.brand OFFSET 0) AS e`,
		`SELECT e.* FROM `+from+` CROSS JOIN permissions p ON p.subscriber_id = v.person AND p.topic_id = v.topic AND p.brand_id = v.brand
			CROSS JOIN consent_events e ON e.id = p.event_id`), args...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the permissions: %w", err)
	}
	last := make(map[place]*Event, len(rows))
	for _, e := range rows {
		e = e.utc()
		last[place{e.SubscriberID, e.TopicID}] = &e
	}
	return last, nil
}

// placesOf is the steps' places as the table v, each once.
func placesOf(tx *store.Tx, steps []step) (from string, args []any) {
	rows := make([][]any, 0, len(steps))
	seen := make(map[place]bool, len(steps))
	for _, s := range steps {
		if !seen[s.place()] {
			seen[s.place()] = true
			rows = append(rows, []any{s.brand.ID, s.ID, s.act.Topic.ID})
		}
	}
	return tx.Rows("v", "brand uuid, person uuid, topic uuid", rows)
}

// lastWords is what the people themselves said no with, where they have said no
// yes since: neither requests that nobody answered nor what staff wrote down
// blot it out. It reads the history of each place by the ledger's key.
func lastWords(tx *store.Tx, steps []step) (map[place]State, error) {
	from, args := placesOf(tx, steps)
	const said = `SELECT e.subscriber_id, e.topic_id, e.id, e.state, e.leaf, e.occurred_at FROM consent_events e WHERE e.brand_id = v.brand
		AND e.subscriber_id = v.person AND e.topic_id = v.topic AND e.state IN ('given', 'renewed', 'refused', 'withdrawn', 'invalidated')`
	var rows []Event
	err := tx.Raw(tx.Pick(`SELECT e.* FROM `+from+` CROSS JOIN LATERAL (`+said+` OFFSET 0) AS e ORDER BY e.occurred_at DESC`,
		`SELECT e.subscriber_id, e.topic_id, e.id, e.state, e.leaf, e.occurred_at FROM `+from+` CROSS JOIN consent_events e
			ON e.brand_id = v.brand AND e.subscriber_id = v.person AND e.topic_id = v.topic
			WHERE e.state IN ('given', 'renewed', 'refused', 'withdrawn', 'invalidated') ORDER BY e.occurred_at DESC`), args...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the last words: %w", err)
	}
	words, settled := map[place]State{}, map[place]bool{}
	for _, e := range rows {
		at := place{e.SubscriberID, e.TopicID}
		if settled[at] {
			continue
		}
		if InForce(e.State) {
			settled[at] = true
			continue
		}
		entity, err := e.Entity()
		if err != nil {
			return nil, err
		}
		if entity == EntitySubject || entity == EntityMailboxProvider {
			words[at], settled[at] = e.State, true
		}
	}
	return words, nil
}

// lastEvent is lastEvents for one place; nil before the first.
func lastEvent(tx *store.Tx, b brand.Brand, s subscriber.Subscriber, t Topic) (*Event, error) {
	at := step{&person{b, s}, &Act{Topic: t}}
	last, err := lastEvents(tx, []step{at})
	return last[at.place()], err
}
