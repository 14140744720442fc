package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/store"
)

// The windows of the dashboard. Messages are counted by when they were queued.
const (
	permissionDays = 7
	messageDays    = 30
	happenings     = 200 // facts read, before runs of the same are folded into one line
)

// numbers is what the dashboard counts of one brand.
type numbers struct {
	People, Writable, New, Left int64
	Topics                      []topicNumbers
	Messages                    States
	Queues                      []queueNumbers
}

// topicNumbers is where people stand with one topic.
type topicNumbers struct {
	Topic                   consent.Topic
	Given, Asked, Withdrawn int64
}

// queueNumbers is what is on the way in one queue. Oldest is when the first of
// the waiting was due, in seconds since 1970; 0 where none waits.
type queueNumbers struct {
	Queue                        string
	Waiting, Active, Later, Held int64
	Oldest                       int64
}

// counter counts each brand once for all who look at it. A count is kept for
// twenty times as long as it took, a minute at most: however large a brand and
// however many look, counting takes one connection for a twentieth of the time.
// Where counting takes longer than a blink, only the first to look waits for it:
// others are shown the count before, and the new one when it is there.
type counter struct {
	db     *store.DB
	mu     sync.Mutex
	brands map[uuid.UUID]*tally
}

const (
	keepTimes   = 20
	keepLongest = time.Minute
	blink       = 250 * time.Millisecond
	countMost   = 2 * time.Minute
)

// tally is a brand's last count. Its times are of the machine's clock: they
// measure work, not business.
type tally struct {
	turn chan struct{} // whose turn it is to count

	mu      sync.Mutex
	numbers numbers
	took    time.Duration // 0: never counted
	until   time.Time     // kept until then
}

// kept is the last count; fresh tells whether it may still be shown, stale
// whether it may be while a new one is made.
func (t *tally) kept(now time.Time) (n numbers, fresh, stale bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.numbers, now.Before(t.until), t.took > blink
}

func (c *counter) tally(brandID uuid.UUID) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.brands == nil {
		c.brands = map[uuid.UUID]*tally{}
	}
	if c.brands[brandID] == nil {
		c.brands[brandID] = &tally{turn: make(chan struct{}, 1)}
	}
	return c.brands[brandID]
}

// of gives a brand's numbers; the caller has made sure that it may.
func (c *counter) of(ctx context.Context, brandID uuid.UUID) (numbers, error) {
	t := c.tally(brandID)
	n, fresh, stale := t.kept(time.Now())
	if fresh {
		return n, nil
	}
	if stale {
		select {
		case t.turn <- struct{}{}:
			c.inTurn(ctx, brandID, t) // what fails here is tried again at the next look
		default: // somebody is at it
		}
		return n, nil
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return numbers{}, ctx.Err()
	}
	if n, fresh, _ := t.kept(time.Now()); fresh { // who had the turn before us counted
		<-t.turn
		return n, nil
	}
	select {
	case got := <-c.inTurn(ctx, brandID, t):
		return got.numbers, got.err
	case <-ctx.Done():
		return numbers{}, ctx.Err()
	}
}

// renewed is what came of a count.
type renewed struct {
	numbers
	err error
}

// inTurn counts and gives the turn back. The count goes on when nobody waits for
// it any more: the next to look has it.
func (c *counter) inTurn(ctx context.Context, brandID uuid.UUID, t *tally) <-chan renewed {
	counted := make(chan renewed, 1)
	go func() {
		defer func() { <-t.turn }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countMost)
		defer cancel()
		n, err := c.renew(ctx, brandID, t)
		counted <- renewed{n, err}
	}()
	return counted
}

// renew counts anew; it is the caller's turn.
func (c *counter) renew(ctx context.Context, brandID uuid.UUID, t *tally) (n numbers, err error) {
	began := time.Now()
	if err := c.db.Read(ctx, func(tx *store.Tx) (err error) { n, err = count(tx, brandID); return err }); err != nil {
		return numbers{}, fmt.Errorf("count for the dashboard: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.numbers, t.took = n, time.Since(began)
	t.until = time.Now().Add(min(keepTimes*t.took, keepLongest))
	return n, nil
}

// count asks all that is counted, in one transaction.
func count(tx *store.Tx, brandID uuid.UUID) (n numbers, err error) {
	topics, err := consent.Topics(tx, brandID)
	if err != nil {
		return numbers{}, err
	}
	if err = countTopics(tx, brandID, topics, &n); err == nil {
		err = countPeople(tx, brandID, topics, &n)
	}
	if err == nil {
		err = countMessages(tx, brandID, &n)
	}
	if err == nil {
		n.Queues, err = countQueues(tx, brandID)
	}
	return n, err
}

// topicsSQL reads the permissions once, from end to end, for no index has those
// that are not in force: some 1.2 s of SQLite's time for a million.
const topicsSQL = `SELECT topic_id, state, count(*) AS n FROM permissions WHERE brand_id = ? GROUP BY topic_id, state`

func countTopics(tx *store.Tx, brandID uuid.UUID, topics []consent.Topic, n *numbers) error {
	var rows []struct {
		TopicID uuid.UUID
		State   consent.State
		N       int64
	}
	if err := tx.Raw(topicsSQL, brandID).Scan(&rows).Error; err != nil {
		return err
	}
	at := map[uuid.UUID]*topicNumbers{}
	n.Topics = make([]topicNumbers, len(topics))
	for i, t := range topics {
		n.Topics[i].Topic, at[t.ID] = t, &n.Topics[i]
	}
	for _, r := range rows {
		t := at[r.TopicID]
		switch {
		case t == nil: // archived
		case consent.InForce(r.State):
			t.Given += r.N
		case r.State == consent.Requested:
			t.Asked += r.N
		case r.State == consent.Withdrawn:
			t.Withdrawn += r.N
		}
	}
	return nil
}

// peopleSQL reads the keys of the brand's people (subscribers_brand_id_id_key).
const peopleSQL = `SELECT count(*) FROM subscribers WHERE brand_id = ? AND erased_at IS NULL`

// writableSQL is the rule of consent.May over the brand's people: each costs one
// look at the key of permissions and one at that of suppressions; PostgreSQL
// joins them in bulk instead.
const writableSQL = `SELECT count(*) FROM subscribers s WHERE s.brand_id = ? AND EXISTS (SELECT 1 FROM permissions p
	WHERE p.subscriber_id = s.id AND p.topic_id IN (?) AND ` + consent.EligibleSQL + `)`

// movesSQL reads the consent events since an id, by their key: the id begins
// with the time, so the cost is that of the days asked for. The wall is the
// topic's brand, for the event's own would have SQLite read all of the brand's.
const movesSQL = `SELECT e.state, count(*) AS n FROM consent_events e CROSS JOIN topics t
	WHERE e.id >= ? AND t.id = e.topic_id AND t.brand_id = ? AND t.id IN (?) AND e.state IN ('given', 'withdrawn') GROUP BY e.state`

func countPeople(tx *store.Tx, brandID uuid.UUID, topics []consent.Topic, n *numbers) error {
	if err := tx.Raw(peopleSQL, brandID).Scan(&n.People).Error; err != nil {
		return err
	}
	marketing := []uuid.UUID{uuid.Nil} // never empty: IN () is no SQL
	for _, t := range topics {
		if t.Purpose == consent.Marketing {
			marketing = append(marketing, t.ID)
		}
	}
	if err := tx.Raw(writableSQL, brandID, marketing, tx.Now()).Scan(&n.Writable).Error; err != nil {
		return err
	}
	var moves []struct {
		State consent.State
		N     int64
	}
	since := store.FirstID(tx.Now().AddDate(0, 0, -permissionDays))
	if err := tx.Raw(movesSQL, since, brandID, marketing).Scan(&moves).Error; err != nil {
		return err
	}
	for _, m := range moves {
		if m.State == consent.Given {
			n.New = m.N
		} else {
			n.Left = m.N
		}
	}
	return nil
}

// messagesSQL reads the messages of the brand's streams since an id, by
// messages_stream: the cost is that of the days asked for.
const messagesSQL = `SELECT m.state, count(*) AS n FROM streams t JOIN messages m ON m.stream_id = t.id
	WHERE t.brand_id = ? AND m.id >= ? GROUP BY m.state`

func countMessages(tx *store.Tx, brandID uuid.UUID, n *numbers) error {
	var rows []struct {
		State delivery.State
		N     int64
	}
	since := store.FirstID(tx.Now().AddDate(0, 0, -messageDays))
	if err := tx.Raw(messagesSQL, brandID, since).Scan(&rows).Error; err != nil {
		return err
	}
	s := &n.Messages
	at := map[delivery.State]*int64{delivery.Queued: &s.Queued, delivery.Claimed: &s.Claimed, delivery.Sent: &s.Sent,
		delivery.Failed: &s.Failed, delivery.Skipped: &s.Skipped, delivery.Uncertain: &s.Uncertain}
	for _, r := range rows {
		*at[r.State] = r.N
	}
	var claims int64
	err := tx.Raw(`SELECT count(*) FROM outbox o JOIN streams t ON t.id = o.stream_id WHERE t.brand_id = ? AND o.node_id IS NOT NULL AND o.id >= ?`,
		brandID, since).Scan(&claims).Error
	s.Queued, s.Claimed = s.Queued-claims, claims
	return err
}

// queuesSQL reads the outbox of the brand's streams. Jobs are of the whole house
// and would show other brands' work, so work waiting is counted in the brand's
// own mails.
func queuesSQL(tx *store.Tx) string {
	return `SELECT t.queue, sum(CASE WHEN o.node_id IS NOT NULL THEN 1 ELSE 0 END) AS active,
			sum(CASE WHEN o.node_id IS NULL AND t.paused_at IS NULL AND o.due_at <= ? THEN 1 ELSE 0 END) AS waiting,
			sum(CASE WHEN o.node_id IS NULL AND t.paused_at IS NULL AND o.due_at > ? THEN 1 ELSE 0 END) AS later,
			sum(CASE WHEN o.node_id IS NULL AND t.paused_at IS NOT NULL THEN 1 ELSE 0 END) AS held,
			coalesce(` + tx.Pick("CAST(floor(extract(epoch FROM min(CASE WHEN o.node_id IS NULL AND t.paused_at IS NULL THEN o.due_at END))) AS bigint)",
		"unixepoch(min(CASE WHEN o.node_id IS NULL AND t.paused_at IS NULL THEN o.due_at END))") + `, 0) AS oldest
		FROM streams t JOIN outbox o ON o.stream_id = t.id WHERE t.brand_id = ?
		GROUP BY t.queue ORDER BY min(CASE t.queue WHEN 'confirm' THEN 1 WHEN 'service' THEN 2 ELSE 3 END)`
}

func countQueues(tx *store.Tx, brandID uuid.UUID) (rows []queueNumbers, err error) {
	return rows, tx.Raw(queuesSQL(tx), tx.Now(), tx.Now(), brandID).Scan(&rows).Error
}

// fact is an event with the address of who it is about.
type fact struct {
	event.Event
	Email string
}

// lastSQL reads the newest of events_brand backwards: the cost is that of the
// lines asked for.
const lastSQL = `SELECT e.*, coalesce(s.email, '') AS email FROM events e
	LEFT JOIN subscribers s ON s.brand_id = e.brand_id AND s.id = e.subscriber_id
	WHERE e.brand_id = ? ORDER BY e.at DESC, e.id DESC LIMIT ?`

// last gives a brand's newest facts, the newest first.
func last(tx *store.Tx, brandID uuid.UUID, limit int) (facts []fact, err error) {
	if err := tx.Raw(lastSQL, brandID, limit).Scan(&facts).Error; err != nil {
		return nil, fmt.Errorf("read the newest events: %w", err)
	}
	for i := range facts {
		facts[i].At = facts[i].At.UTC()
	}
	return facts, nil
}
