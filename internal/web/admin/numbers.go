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
type counter struct {
	db     *store.DB
	mu     sync.Mutex
	brands map[uuid.UUID]*tally
}

const (
	keepTimes   = 20
	keepLongest = time.Minute
)

// tally is a brand's last count; who has its turn may read and change it.
type tally struct {
	turn    chan struct{}
	numbers numbers
	until   time.Time // on the machine's clock: it measures work, not business
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
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return numbers{}, ctx.Err()
	}
	began := time.Now()
	if began.Before(t.until) {
		return t.numbers, nil
	}
	var n numbers
	if err := c.db.Read(ctx, func(tx *store.Tx) (err error) { n, err = count(tx, brandID); return err }); err != nil {
		return numbers{}, fmt.Errorf("count for the dashboard: %w", err)
	}
	t.numbers = n
	t.until = time.Now().Add(min(keepTimes*time.Since(began), keepLongest))
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

// topicsSQL reads the brand's permissions once, from end to end: some 0.2 s for
// a million rows.
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

// writableSQL is the rule of consent.May over everybody who gave a permission
// for one of the topics, found by permissions_in_force; each costs one look at
// the person and one at the suppressions.
const writableSQL = `SELECT count(DISTINCT p.subscriber_id) FROM permissions p
	JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
	WHERE p.brand_id = ? AND p.topic_id IN (?) AND ` + consent.EligibleSQL

// movesSQL reads the consent events since an id, by their key: the id begins
// with the time, so the cost is that of the days asked for.
const movesSQL = `SELECT state, count(*) AS n FROM consent_events
	WHERE id >= ? AND brand_id = ? AND topic_id IN (?) AND state IN ('given', 'withdrawn') GROUP BY state`

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
	return nil
}

// queuesSQL reads what is on the way: queued by messages_due, claimed by
// messages_claimed. Jobs are of the whole house and would show other brands'
// work, so work waiting is counted in the brand's own mails.
func queuesSQL(tx *store.Tx) string {
	return `SELECT queue, sum(waiting) AS waiting, sum(active) AS active, sum(later) AS later, sum(held) AS held,
		coalesce(min(oldest), 0) AS oldest FROM (
		SELECT t.queue, 0 AS active,
			sum(CASE WHEN t.paused_at IS NULL AND m.due_at <= ? THEN 1 ELSE 0 END) AS waiting,
			sum(CASE WHEN t.paused_at IS NULL AND m.due_at > ? THEN 1 ELSE 0 END) AS later,
			sum(CASE WHEN t.paused_at IS NOT NULL THEN 1 ELSE 0 END) AS held,
			` + tx.Pick("CAST(floor(extract(epoch FROM min(CASE WHEN t.paused_at IS NULL THEN m.due_at END))) AS bigint)",
		"unixepoch(min(CASE WHEN t.paused_at IS NULL THEN m.due_at END))") + ` AS oldest
			FROM streams t JOIN messages m ON m.stream_id = t.id
			WHERE t.brand_id = ? AND m.state = 'queued' GROUP BY t.queue
		UNION ALL
		SELECT t.queue, count(*) AS active, 0, 0, 0, NULL
			FROM messages m JOIN streams t ON t.id = m.stream_id
			WHERE t.brand_id = ? AND m.state = 'claimed' GROUP BY t.queue
		) q GROUP BY queue ORDER BY min(CASE queue WHEN 'confirm' THEN 1 WHEN 'service' THEN 2 ELSE 3 END)`
}

func countQueues(tx *store.Tx, brandID uuid.UUID) (rows []queueNumbers, err error) {
	return rows, tx.Raw(queuesSQL(tx), tx.Now(), tx.Now(), brandID, brandID).Scan(&rows).Error
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
