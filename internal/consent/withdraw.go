package consent

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Withdraw ends the person's permissions for the topics, and requests for them
// that are still open. Where there is nothing to withdraw nothing is written,
// so it can be repeated; the events are those that this call wrote. A topic of
// another brand is problem.NotFound. GDPR art. 7(3).
func Withdraw(tx *store.Tx, b brand.Brand, subscriberID uuid.UUID, topicIDs []uuid.UUID, method string, evidence map[string]any) ([]Event, error) {
	p, err := lock(tx, b, subscriberID)
	if err != nil {
		return nil, err
	}
	return p.withdraw(tx, topicIDs, method, evidence)
}

// WithdrawAll is Withdraw for every topic, tracking included, and suppresses
// the address as left: no marketing until its owner confirms anew.
func WithdrawAll(tx *store.Tx, b brand.Brand, subscriberID uuid.UUID, method string, evidence map[string]any) ([]Event, error) {
	p, err := lock(tx, b, subscriberID)
	if err != nil {
		return nil, err
	}
	all, err := Permissions(tx, b.ID, subscriberID)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(all))
	for i, perm := range all {
		ids[i] = perm.TopicID
	}
	events, err := p.withdraw(tx, ids, method, evidence)
	if err != nil {
		return nil, err
	}
	return events, Suppress(tx, b, p.AddressHash, Left, method)
}

// withdraw goes by topic id, so that the events of one call have one order.
func (p person) withdraw(tx *store.Tx, topicIDs []uuid.UUID, method string, evidence map[string]any) ([]Event, error) {
	ids := slices.Clone(topicIDs)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var events []Event
	for _, id := range slices.Compact(ids) {
		t, err := FindTopic(tx, p.brand.ID, id)
		if err != nil {
			return nil, err
		}
		a := Act{Brand: p.brand, Subscriber: p.ID, Topic: t, State: Withdrawn, Method: method,
			Entity: entityOf(method), Evidence: evidence}
		if err := a.check(tx.Now()); err != nil {
			return nil, err
		}
		e, err := p.move(tx, a)
		if err != nil {
			return nil, err
		}
		if e.Fresh && e.State == Withdrawn {
			events = append(events, e)
		}
	}
	return events, nil
}

// entityOf: who it is that withdraws in each way. Staff and shops pass on what
// the person told them, which does not bind the person later.
func entityOf(method string) string {
	switch method {
	case MethodComplaint:
		return EntityMailboxProvider
	case MethodAPI, MethodOperator, MethodImport:
		return EntityOperator
	case MethodLapse:
		return EntityController
	}
	return EntitySubject
}

// ExpireDue writes down as expired the permissions whose time has run out, at
// most limit of them, and reports how many it wrote; call it again until that
// is 0. Nothing waits for it: May and EligibleSQL look at the time themselves.
// It reads the index permissions_ending.
func ExpireDue(tx *store.Tx, limit int) (int, error) {
	var due []Permission
	err := tx.Raw(`SELECT p.* FROM permissions p JOIN subscribers s ON s.id = p.subscriber_id
		WHERE p.state IN ('given', 'renewed') AND p.valid_until <= ? AND s.erased_at IS NULL
		ORDER BY p.valid_until LIMIT ?`, tx.Now(), limit).Scan(&due).Error
	if err != nil {
		return 0, fmt.Errorf("read the permissions that end: %w", err)
	}
	slices.SortFunc(due, func(a, b Permission) int {
		if c := bytes.Compare(a.SubscriberID[:], b.SubscriberID[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.TopicID[:], b.TopicID[:])
	})
	n := 0
	for _, d := range due {
		wrote, err := expire(tx, d)
		if err != nil {
			return n, err
		}
		if wrote {
			n++
		}
	}
	return n, nil
}

// expire asks again under the lock: the person may have renewed meanwhile.
func expire(tx *store.Tx, d Permission) (bool, error) {
	b, err := brand.Find(tx, d.BrandID)
	if err != nil {
		return false, err
	}
	p, err := lock(tx, b, d.SubscriberID)
	if problem.Is(err, problem.Gone) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	t, err := FindTopic(tx, b.ID, d.TopicID)
	if err != nil {
		return false, err
	}
	last, err := lastEvent(tx, b, p.Subscriber, t)
	if err != nil || last == nil || !lapsed(*last, tx.Now()) {
		return false, err
	}
	over := lapse(p, t, *last)
	x, err := step{&p, &over}.entry(tx.Now(), last)
	if err != nil {
		return false, err
	}
	return true, writeAll(tx, []entry{x})
}

func lapse(p person, t Topic, last Event) Act {
	return Act{Brand: p.brand, Subscriber: p.ID, Topic: t, State: Expired, Basis: last.Basis,
		Method: MethodLapse, Language: last.Language, Entity: EntityController}
}

// Permissions gives where the person stands with every topic they ever had to do with.
func Permissions(tx *store.Tx, brandID, subscriberID uuid.UUID) ([]Permission, error) {
	all := []Permission{}
	err := tx.Raw("SELECT * FROM permissions WHERE subscriber_id = ? AND brand_id = ? ORDER BY topic_id",
		subscriberID, brandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read permissions: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// PermissionsOf is Permissions for many people, at most 500. It reads the key of
// permissions once a person.
func PermissionsOf(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID) (map[uuid.UUID][]Permission, error) {
	of := make(map[uuid.UUID][]Permission, len(ids))
	if len(ids) == 0 {
		return of, nil
	}
	var all []Permission
	err := tx.Raw("SELECT * FROM permissions WHERE subscriber_id IN (?) AND brand_id = ?", ids, brandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read permissions: %w", err)
	}
	for _, p := range all {
		of[p.SubscriberID] = append(of[p.SubscriberID], p.utc())
	}
	return of, nil
}

// Stand narrows a list of people to those who stand with one of the topics in
// one of the states; what has run out is in force no more. Each person costs
// one look at the key of permissions.
func Stand(topics []uuid.UUID, states []State, now time.Time) subscriber.Condition {
	if len(topics) == 0 || len(states) == 0 {
		return subscriber.Condition{SQL: "1 = 0"}
	}
	return subscriber.Condition{SQL: `EXISTS (SELECT 1 FROM permissions p WHERE p.subscriber_id = subscribers.id AND p.topic_id IN (?)
		AND p.state IN (?) AND (p.state NOT IN ('given', 'renewed') OR p.valid_until IS NULL OR p.valid_until > ?))`, Args: []any{topics, states, now}}
}

func (p Permission) utc() Permission {
	p.Since, p.ValidUntil, p.PausedUntil, p.SaidAt = p.Since.UTC(), utcOf(p.ValidUntil), utcOf(p.PausedUntil), utcOf(p.SaidAt)
	return p
}

// History gives the person's ledger entries at the brand, oldest first.
func History(tx *store.Tx, brandID, subscriberID uuid.UUID) ([]Event, error) {
	all := []Event{}
	err := tx.Raw("SELECT * FROM consent_events WHERE brand_id = ? AND subscriber_id = ? ORDER BY occurred_at, id",
		brandID, subscriberID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read consent history: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// FindEvent reads one ledger entry of the brand; problem.NotFound for another brand's.
func FindEvent(tx *store.Tx, brandID, id uuid.UUID) (Event, error) {
	var rows []Event
	if err := tx.Raw("SELECT * FROM consent_events WHERE brand_id = ? AND id = ?", brandID, id).Scan(&rows).Error; err != nil {
		return Event{}, fmt.Errorf("read consent event: %w", err)
	}
	if len(rows) == 0 {
		return Event{}, problem.New(problem.NotFound, "consent.event.unknown")
	}
	return rows[0].utc(), nil
}

// EventOf is FindEvent for whoever has the event's id from a signed link.
func EventOf(tx *store.Tx, id uuid.UUID) (Event, error) {
	var brands []uuid.UUID
	if err := tx.Raw("SELECT brand_id FROM consent_events WHERE id = ?", id).Scan(&brands).Error; err != nil {
		return Event{}, fmt.Errorf("read consent event: %w", err)
	}
	if len(brands) == 0 {
		return Event{}, problem.New(problem.NotFound, "consent.event.unknown")
	}
	return FindEvent(tx, brands[0], id)
}

// WordingOf gives the exact words that hash to the event's WordingHash, and
// empty text where none were shown.
func WordingOf(tx *store.Tx, e Event) (string, error) {
	if e.WordingHash == nil {
		return "", nil
	}
	var text []string
	if err := tx.Raw("SELECT text FROM wordings WHERE hash = ?", e.WordingHash).Scan(&text).Error; err != nil {
		return "", fmt.Errorf("read the words shown: %w", err)
	}
	if len(text) == 0 {
		return "", problem.New(problem.NotFound, "consent.event.unknown")
	}
	return text[0], nil
}

// notMeRest is how long a disowned address gets no confirmation mail.
const notMeRest = 30 * 24 * time.Hour
