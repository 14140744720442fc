package ledger

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Restraint is something that holds mail to somebody back, as it is kept outside
// the database: by ids and the keyed hash of the address, never by address or
// name. Kind says which of its fields mean something.
type Restraint struct {
	Kind    string    `json:"kind,omitempty"` // empty: a withdrawal
	Event   uuid.UUID `json:"event,omitzero"`
	Brand   uuid.UUID `json:"brand"`
	Subject uuid.UUID `json:"subject,omitzero"`
	Topic   uuid.UUID `json:"topic,omitzero"`
	State   string    `json:"state,omitempty"`
	Method  string    `json:"method,omitempty"`
	At      time.Time `json:"at"`

	// of bounds
	PromiseMax  int        `json:"promise_max,omitempty"`
	PromiseDays int        `json:"promise_days,omitempty"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`

	// of a suppression
	AddressHash []byte `json:"address_hash,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// The kinds of restraints.
const (
	kindWithdrawal  = ""
	kindBounds      = "bounds"         // less often, or a pause; the last of a person and topic stands
	kindObjection   = consent.Objected // GDPR art. 21
	kindSuppression = "suppression"    // of an address, for any reason
)

// restraintsOf are those that stand in the log from a place on. It reads the key
// of log_entries.
func restraintsOf(tx *store.Tx, l Log, from int64) ([]Restraint, error) {
	var all []Restraint
	err := tx.Raw(`SELECT c.id AS event, c.brand_id AS brand, c.subscriber_id AS subject, c.topic_id AS topic, c.state, c.method, c.occurred_at AS at,
			c.promise_max, c.promise_days, c.paused_until
		FROM log_entries e JOIN consent_events c ON c.id = e.event_id
		WHERE e.log = ? AND e.place >= ? AND e.place < ?
			AND (c.state IN ('withdrawn', 'refused', 'invalidated') OR c.state = 'renewed' AND c.method IN (?, ?)) ORDER BY e.place`,
		l.Number, from, l.Size, consent.MethodFrequency, consent.MethodPause).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read of the log what holds mail back: %w", err)
	}
	var objections []Restraint
	err = tx.Raw(`SELECT c.kind, c.id AS event, c.brand_id AS brand, c.subscriber_id AS subject, c.method, c.occurred_at AS at
		FROM log_entries e JOIN change_events c ON c.id = e.event_id
		WHERE e.log = ? AND e.place >= ? AND e.place < ? AND c.kind = ? ORDER BY e.place`,
		l.Number, from, l.Size, consent.Objected).Scan(&objections).Error
	if err != nil {
		return nil, fmt.Errorf("read the objections of the log: %w", err)
	}
	all = append(all, objections...)
	for i, x := range all {
		all[i].At = x.At.UTC()
		switch {
		case consent.State(x.State) == consent.Renewed:
			all[i].Kind = kindBounds
		case x.Kind == kindWithdrawal:
			all[i].PromiseMax, all[i].PromiseDays, all[i].PausedUntil = 0, 0, nil
		}
	}
	return all, nil
}

const (
	// suppressionsEvery is how often suppressions are looked for: a bounce or a
	// complaint is no entry of the log that would ring.
	suppressionsEvery = 5 * time.Second
	// suppressionsOverlap is how far back a look goes behind the newest one that
	// was seen: a transaction that began before it may have ended since.
	suppressionsOverlap = 10 * time.Minute
	suppressionsAtOnce  = 1000
)

// suppressionsSeen is what one process has kept outside of the suppressions.
type suppressionsSeen struct {
	until time.Time
	keys  map[string]time.Time // those of the overlap
}

func (k *Keeper) watchSuppressions(ctx context.Context) {
	var seen *suppressionsSeen
	for {
		var err error
		if seen == nil {
			seen, err = k.suppressionsKept()
		}
		if err == nil {
			err = k.keepSuppressions(ctx, seen)
		}
		if err != nil && ctx.Err() == nil {
			k.Log.Warn("suppressions are not kept outside the database", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(suppressionsEvery):
		}
	}
}

// suppressionsKept goes on from what the folder has.
func (k *Keeper) suppressionsKept() (*suppressionsSeen, error) {
	all, err := k.Outside.Restraints()
	if err != nil {
		return nil, err
	}
	seen := &suppressionsSeen{keys: map[string]time.Time{}}
	for _, r := range all {
		if r.Kind == kindSuppression {
			seen.add(r)
		}
	}
	seen.drop()
	return seen, nil
}

func (s *suppressionsSeen) add(r Restraint) {
	s.keys[r.name()] = r.At
	if r.At.After(s.until) {
		s.until = r.At
	}
}

func (s *suppressionsSeen) drop() {
	for name, at := range s.keys {
		if at.Before(s.until.Add(-suppressionsOverlap)) {
			delete(s.keys, name)
		}
	}
}

func (r Restraint) name() string {
	return fmt.Sprintf("%s %x %s %s", r.Brand, r.AddressHash, r.Reason, r.At.UTC().Format(time.RFC3339Nano))
}

// keepSuppressions writes outside the suppressions that are not there yet, by the
// index of suppressions on their time.
func (k *Keeper) keepSuppressions(ctx context.Context, seen *suppressionsSeen) error {
	from, after := seen.until.Add(-suppressionsOverlap), []byte{0}
	if seen.until.IsZero() {
		from = time.Unix(0, 0).UTC()
	}
	for {
		var page []Restraint
		err := k.DB.Read(ctx, func(tx *store.Tx) error {
			page = nil
			return tx.Raw(`SELECT brand_id AS brand, address_hash, reason, created_at AS at FROM suppressions
				WHERE created_at >= ? AND (created_at > ? OR address_hash >= ?) ORDER BY created_at, address_hash LIMIT ?`,
				from, from, after, suppressionsAtOnce).Scan(&page).Error
		})
		if err != nil {
			return fmt.Errorf("read suppressions: %w", err)
		}
		var fresh []Restraint
		for _, r := range page {
			r.Kind, r.At = kindSuppression, r.At.UTC()
			if _, ok := seen.keys[r.name()]; !ok {
				fresh = append(fresh, r)
			}
		}
		if err := k.Outside.add(fresh); err != nil {
			return err
		}
		for _, r := range fresh {
			seen.add(r)
		}
		if len(page) < suppressionsAtOnce {
			seen.drop()
			return nil
		}
		last := page[len(page)-1]
		if last.At.Equal(from) && bytes.Equal(last.AddressHash, after) {
			return fmt.Errorf("more than %d suppressions of one address at one moment", suppressionsAtOnce)
		}
		from, after = last.At.UTC(), last.AddressHash
	}
}

// add writes restraints that no checkpoint covers.
func (o Outside) add(some []Restraint) error {
	if len(some) == 0 {
		return nil
	}
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return o.append(some)
}

// Reconciled is how many of each were entered again.
type Reconciled struct{ Withdrawals, Bounds, Objections, Suppressions int }

// Reconcile enters again what holds mail back and was said after the database's
// copy was made. copied is when the copy was last signed: of suppressions, which
// are no entries of the log, those from after it are entered, and one that staff
// lifted between then and the copy comes back. What the copy does not know of,
// a brand or a person, has nothing to be held back. Where in doubt less mail goes.
func Reconcile(tx *store.Tx, copied time.Time, all []Restraint) (n Reconciled, err error) {
	r := reconciler{tx: tx, copied: copied, brands: map[uuid.UUID]*brand.Brand{}, n: &n}
	last := map[[2]uuid.UUID]uuid.UUID{} // the bounds that stand
	for _, x := range all {
		if x.Kind == kindBounds {
			last[[2]uuid.UUID{x.Subject, x.Topic}] = x.Event
		}
	}
	for _, x := range all {
		if x.Kind == kindBounds && last[[2]uuid.UUID{x.Subject, x.Topic}] != x.Event {
			continue
		}
		if err := r.enter(x); err != nil {
			return n, err
		}
	}
	return n, nil
}

type reconciler struct {
	tx     *store.Tx
	copied time.Time
	brands map[uuid.UUID]*brand.Brand // nil: the copy has no such brand
	n      *Reconciled
}

func (r *reconciler) enter(x Restraint) error {
	b, err := r.brand(x.Brand)
	if b == nil || err != nil {
		return err
	}
	if x.Kind == kindSuppression {
		return r.suppress(*b, x)
	}
	known, err := said(r.tx, x)
	if err != nil || known {
		return err
	}
	from := map[string]any{"event": x.Event.String(), "method": x.Method, "at": x.At}
	switch x.Kind {
	case kindWithdrawal:
		var events []consent.Event
		events, err = consent.Withdraw(r.tx, *b, x.Subject, []uuid.UUID{x.Topic}, consent.MethodReconciled, from)
		r.n.Withdrawals += len(events)
	case kindObjection:
		err = r.object(*b, x, from)
	case kindBounds:
		err = r.bound(*b, x, from)
	}
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Gone) {
		return nil
	}
	return err
}

func (r *reconciler) object(b brand.Brand, x Restraint, from map[string]any) error {
	s, err := subscriber.Find(r.tx, b.ID, x.Subject)
	if err != nil || s.ObjectedAt != nil {
		return err
	}
	r.n.Objections++
	return consent.Object(r.tx, b, x.Subject, consent.MethodReconciled, from)
}

// bound gives a permission the bounds it had. A permission that is over by now, or
// that the copy has in other words, which promise less already, keeps its own.
func (r *reconciler) bound(b brand.Brand, x Restraint, from map[string]any) error {
	t, err := consent.FindTopic(r.tx, b.ID, x.Topic)
	if err != nil {
		return err
	}
	for _, a := range x.adjustments(r.tx.Now()) {
		e, err := consent.Adjust(r.tx, b, x.Subject, t, a, from)
		if problem.Is(err, problem.Conflict) || problem.Is(err, problem.Invalid) {
			continue
		}
		if err != nil {
			return err
		}
		if e.OccurredAt.Equal(r.tx.Now()) { // what stood already writes nothing
			r.n.Bounds++
		}
	}
	return nil
}

func (r Restraint) adjustments(now time.Time) (all []consent.Adjustment) {
	if r.Method == consent.MethodFrequency || r.PromiseMax > 0 {
		all = append(all, consent.Adjustment{Promise: &consent.Promise{Max: r.PromiseMax, Days: r.PromiseDays}})
	}
	if r.PausedUntil == nil {
		return append(all, consent.Adjustment{Pause: &consent.Pause{}})
	}
	if r.PausedUntil.After(now) {
		all = append(all, consent.Adjustment{Pause: &consent.Pause{Until: *r.PausedUntil}})
	}
	return all
}

func (r *reconciler) suppress(b brand.Brand, x Restraint) error {
	if !x.At.After(r.copied) {
		return nil
	}
	known, err := consent.Suppressions(r.tx, b.ID, x.AddressHash)
	if err != nil {
		return err
	}
	for _, s := range known {
		if s.Reason == x.Reason {
			return nil
		}
	}
	if err := consent.Suppress(r.tx, b, x.AddressHash, x.Reason, consent.MethodReconciled); err != nil {
		return err
	}
	r.n.Suppressions++
	return nil
}

func (r *reconciler) brand(id uuid.UUID) (*brand.Brand, error) {
	if b, ok := r.brands[id]; ok {
		return b, nil
	}
	b, err := brand.Find(r.tx, id)
	if problem.Is(err, problem.NotFound) {
		r.brands[id] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.brands[id] = &b
	return &b, nil
}

// said reports whether the database has what was said, or something that was said
// of the same after it.
func said(tx *store.Tx, x Restraint) (bool, error) {
	var known bool
	err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM consent_events WHERE id = ?) OR EXISTS (SELECT 1 FROM change_events WHERE id = ?)
		OR EXISTS (SELECT 1 FROM permissions WHERE subscriber_id = ? AND topic_id = ? AND since > ?)`, x.Event, x.Event, x.Subject, x.Topic, x.At).Scan(&known).Error
	if err != nil {
		return false, fmt.Errorf("look for what was said: %w", err)
	}
	return known, nil
}
