package delivery

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/store"
)

// A slot is a mail's place under a promise: a consent may state how many mails
// in how many days it allows, and a brand may cap all its topics together. The
// gate takes the slot in the transaction of the claim, holding the person's row,
// so two workers with two campaigns cannot take the last one both. A mail that
// was sent or is uncertain keeps its slot until the window has passed; any other
// end gives it back. Mails under no promise and no cap cost nothing here.
type slot struct {
	SubscriberID uuid.UUID
	TopicID      uuid.UUID
	ID           uuid.UUID // the message
	TakenAt      time.Time
}

// dueStream is a stream with what its brand sets besides the consents.
type dueStream struct {
	Stream     `gorm:"embedded"`
	CapMax     int // marketing mails to one person …
	CapDays    int // … in so many days, over all topics; 0 is no cap
	QuietFrom  string
	QuietUntil string // "HH:MM" in the person's zone; "" is no quiet time
	TimeZone   string // the brand's

	RatePerHour int        // mails of the stream; 0 is no limit
	BrandRate   int        // of the brand
	WarmUpFrom  *time.Time // when the brand began to send as an unknown

	LastOpenOnly    bool // see brand.Brand
	AnonymousCounts bool
}

// Reasons of the gate about time.
const (
	reasonPromise = "promise-used"
	reasonCap     = "cap-used"
	reasonQuiet   = "quiet-hours"
	reasonYields  = "yields-to-priority"
)

// yieldFor is how long a mail waits for another of higher priority that wants
// the same slot.
const yieldFor = time.Minute

// deferred is a message that may go, but not now.
type deferred struct {
	*claimed
	until  time.Time
	reason string
}

// allot lets those through that have a slot, or need none, outside of quiet
// hours. A campaign's mail whose promise is used up is refused, for it is news
// of today; a sequence's or offer's waits for the next free slot.
func allot(tx *store.Tx, s dueStream, page []*claimed) (through, not []*claimed, later []deferred, err error) {
	var asked []*claimed
	brandZone := brand.Zone(s.TimeZone)
	for _, m := range page {
		if until, quiet := s.quiet(tx.Now().In(m.location(brandZone))); quiet && m.Kind == Marketing {
			later = append(later, deferred{m, until, reasonQuiet})
		} else if m.Kind == Marketing && (m.gate.promiseMax > 0 || s.CapMax > 0) {
			asked = append(asked, m)
		} else {
			through = append(through, m)
		}
	}
	if len(asked) == 0 {
		return through, nil, later, nil
	}
	u, err := readUse(tx, s, asked)
	if err != nil {
		return nil, nil, nil, err
	}
	var taken []slot
	for _, m := range asked {
		free, reason := u.free(s, m)
		switch {
		case reason == "":
			through = append(through, m)
			m.slotted = true
			taken = append(taken, u.take(m))
		case reason == reasonYields || s.Origin != OriginCampaign:
			later = append(later, deferred{m, free, reason})
		default:
			m.gate.reason = reason
			not = append(not, m)
		}
	}
	if len(taken) > 0 {
		if err := tx.CreateInBatches(&taken, bookAtOnce).Error; err != nil {
			return nil, nil, nil, fmt.Errorf("take slots: %w", err)
		}
	}
	return through, not, later, nil
}

// quiet tells whether it is quiet time at a local time, and when that ends.
func (s dueStream) quiet(local time.Time) (until time.Time, yes bool) {
	from, err := time.Parse("15:04", s.QuietFrom)
	end, err2 := time.Parse("15:04", s.QuietUntil)
	if err != nil || err2 != nil || from.Equal(end) {
		return time.Time{}, false
	}
	at := func(t time.Time, day int) time.Time {
		return time.Date(local.Year(), local.Month(), local.Day()+day, t.Hour(), t.Minute(), 0, 0, local.Location())
	}
	for _, day := range []int{-1, 0} { // the night that began yesterday, and today's
		begins, ends := at(from, day), at(end, day)
		if !ends.After(begins) {
			ends = at(end, day+1)
		}
		if !local.Before(begins) && local.Before(ends) {
			return ends.UTC(), true
		}
	}
	return time.Time{}, false
}

// use is what the people of a page have had of their promises.
type use struct {
	now    time.Time
	slots  map[uuid.UUID][]slot // by person, oldest first
	rivals map[pair]bool        // who wants the same slot with a higher priority
}

type pair struct{ subscriber, topic uuid.UUID }

// readUse locks the people of a page, in the order of their ids so that two
// workers do not wait for each other, and reads their slots. The lock and the
// reading are two statements: the second sees what the worker before has
// committed.
func readUse(tx *store.Tx, s dueStream, page []*claimed) (*use, error) {
	u := &use{now: tx.Now(), slots: map[uuid.UUID][]slot{}, rivals: map[pair]bool{}}
	var people []uuid.UUID
	for _, m := range page {
		people = append(people, *m.SubscriberID)
	}
	slices.SortFunc(people, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	people = slices.Compact(people)
	if tx.Dialect() == store.Postgres {
		if _, err := tx.Run("SELECT 1 FROM subscribers WHERE id IN (?) ORDER BY id FOR NO KEY UPDATE", people); err != nil {
			return nil, fmt.Errorf("lock the people of a page: %w", err)
		}
	}
	var had []slot
	if err := tx.Where("subscriber_id IN (?)", people).Order("taken_at").Find(&had).Error; err != nil {
		return nil, fmt.Errorf("read slots: %w", err)
	}
	for _, x := range had {
		u.slots[x.SubscriberID] = append(u.slots[x.SubscriberID], x)
	}
	var rivals []struct{ SubscriberID, TopicID uuid.UUID }
	err := tx.Raw(`SELECT m.subscriber_id, m.topic_id FROM streams st JOIN outbox o ON o.stream_id = st.id
		JOIN messages m ON m.source_id = o.source_id AND m.id = o.id AND m.stream_id = o.stream_id AND m.due_at = o.due_at
		WHERE st.brand_id = ? AND st.priority > ? AND st.paused_at IS NULL AND st.closed = '' AND o.due_at <= ? AND o.node_id IS NULL
			AND m.subscriber_id IN (?)`, s.BrandID, s.Priority, tx.Now(), people).Scan(&rivals).Error
	if err != nil {
		return nil, fmt.Errorf("look for mails of higher priority: %w", err)
	}
	for _, r := range rivals {
		u.rivals[pair{r.SubscriberID, r.TopicID}] = true
		u.rivals[pair{r.SubscriberID, uuid.Nil}] = true
	}
	return u, nil
}

// free tells whether a mail may take a slot now; else why not, and when one is
// free. A mail counts in the days after it, by the rolling window.
func (u *use) free(s dueStream, m *claimed) (at time.Time, reason string) {
	at = u.now
	ask := func(most, days int, topic uuid.UUID, why string) {
		if most <= 0 || days <= 0 {
			return
		}
		window := time.Duration(days) * 24 * time.Hour
		var used []time.Time
		for _, x := range u.slots[*m.SubscriberID] {
			if (topic == uuid.Nil || x.TopicID == topic) && x.TakenAt.Add(window).After(u.now) {
				used = append(used, x.TakenAt)
			}
		}
		wanted := u.rivals[pair{*m.SubscriberID, topic}]
		switch {
		case len(used) >= most:
			if end := used[len(used)-most].Add(window); end.After(at) {
				at = end
			}
			reason = why
		case wanted && len(used)+1 >= most && reason == "":
			at, reason = u.now.Add(yieldFor), reasonYields
		}
	}
	ask(m.gate.promiseMax, m.gate.promiseDays, *m.TopicID, reasonPromise)
	ask(s.CapMax, s.CapDays, uuid.Nil, reasonCap)
	return at, reason
}

func (u *use) take(m *claimed) slot {
	x := slot{SubscriberID: *m.SubscriberID, TopicID: *m.TopicID, ID: m.ID, TakenAt: u.now}
	u.slots[x.SubscriberID] = append(u.slots[x.SubscriberID], x)
	return x
}

// putOff gives deferred messages back to the outbox, for later.
func putOff(tx *store.Tx, node uuid.UUID, page []deferred) error {
	for _, d := range page {
		until := d.until.UTC().Truncate(time.Microsecond)
		n, err := tx.Change("UPDATE outbox SET node_id = NULL, due_at = ? WHERE "+heldSQL, append([]any{until}, d.held(node)...)...)
		if err == nil && n == 1 {
			_, err = tx.Change("UPDATE messages SET due_at = ?, reason = ? WHERE source_id = ? AND id = ?", until, d.reason, d.SourceID, d.ID)
		}
		if err == nil && n == 1 {
			err = giveBack(tx, []*claimed{d.claimed})
		}
		if err != nil {
			return fmt.Errorf("put a message off: %w", err)
		}
	}
	return nil
}

// OnRenewed is the listener of consent.renewed: what waits for the end of a pause
// that is over sooner is due now, and the gate asks again. It reads the person's
// messages by messages_person.
func OnRenewed(tx *store.Tx, e event.Event) error {
	topic, err := uuid.Parse(fmt.Sprint(e.Data["topic_id"]))
	if e.Data["was_paused_until"] == nil || e.SubscriberID == nil || err != nil {
		return nil
	}
	var waiting []Message
	err = tx.Raw(`SELECT stream_id, source_id, id, due_at FROM messages WHERE subscriber_id = ? AND brand_id = ? AND topic_id = ?
		AND state = 'queued' AND reason = ?`, *e.SubscriberID, e.BrandID, topic, consent.ReasonPaused).Scan(&waiting).Error
	if err != nil {
		return fmt.Errorf("look for what a pause holds: %w", err)
	}
	for _, m := range waiting {
		n, err := tx.Run("UPDATE outbox SET due_at = ? WHERE stream_id = ? AND due_at = ? AND id = ? AND node_id IS NULL", tx.Now(), m.StreamID, m.DueAt, m.ID)
		if err == nil && n == 1 {
			_, err = tx.Run("UPDATE messages SET due_at = ? WHERE source_id = ? AND id = ?", tx.Now(), m.SourceID, m.ID)
		}
		if err != nil {
			return fmt.Errorf("wake what a pause held: %w", err)
		}
	}
	if len(waiting) > 0 {
		tx.AfterCommit(ringer(tx))
	}
	return nil
}

const slotSQL = "subscriber_id = ? AND topic_id = ? AND id = ?"

func (m *claimed) slot() []any { return []any{m.SubscriberID, m.TopicID, m.ID} }

// giveBack frees the slots of messages that did not go.
func giveBack(tx *store.Tx, page []*claimed) error {
	for _, m := range page {
		if !m.slotted {
			continue
		}
		if _, err := tx.Change("DELETE FROM slots WHERE "+slotSQL, m.slot()...); err != nil {
			return fmt.Errorf("give a slot back: %w", err)
		}
	}
	return nil
}

// keepSlots has the window begin when the mails went, not when they were claimed.
func keepSlots(tx *store.Tx, page []*claimed) error {
	for _, m := range page {
		if !m.slotted {
			continue
		}
		if _, err := tx.Change("UPDATE slots SET taken_at = ? WHERE "+slotSQL, append([]any{tx.Now()}, m.slot()...)...); err != nil {
			return fmt.Errorf("keep a slot: %w", err)
		}
	}
	return nil
}

// longestWindow is longer than any promise or cap.
const longestWindow = 400 * 24 * time.Hour

// SweepSlots forgets slots that no window reaches any more, at most limit.
func SweepSlots(tx *store.Tx, limit int) (int, error) {
	n, err := tx.Run(`DELETE FROM slots WHERE id IN (SELECT id FROM slots WHERE taken_at < ? ORDER BY taken_at LIMIT ?)`,
		tx.Now().Add(-longestWindow), limit)
	if err != nil {
		return 0, fmt.Errorf("forget old slots: %w", err)
	}
	return int(n), nil
}
