// Package delivery sends what was queued, once, and only to those who still allow it.
//
//	          claim, and the gate says yes        250
//	queued ─────────────────────────► claimed ─────────► sent
//	 │  ▲                                │ │ │    5yz
//	 │  │ 4yz, no connection: due later  │ │ └─────────► failed   (so do 4yz, once its patience ends)
//	 │  └────────────────────────────────┘ │  no answer after the final dot
//	 │    put back, not begun: due as it was└───────────► uncertain (confirmations and service mail: queued again)
//	 └─ the gate says no, or the source was cancelled ──► skipped, with the reason
//
// What the gate or the throttle holds back goes the way of 4yz: due when quiet
// hours end, when a promise has room again, or when its receiver takes more.
//
// A claim is one statement that takes due rows and asks consent's question of
// each; a claim older than half a second is asked again before its next mail
// begins, so a withdrawal overtakes the queue. A claim belongs to a node, the
// process whose journal notes every mail before its final dot and after the
// answer. It ends by an outcome, by being put back, or, when the process dies,
// by the journal: whoever takes the folder over settles what it left. So after
// kill -9 at any point none is lost and none is sent twice; those between dot
// and answer, at most one a connection, are uncertain.
package delivery

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Kind says which rules a message stands under.
type Kind string

// The kinds. Only marketing needs a consent; the others carry no advertising
// and no tracking.
const (
	Marketing Kind = "marketing"
	Confirm   Kind = "confirm" // double opt-in: the question itself
	Service   Kind = "service" // about the relation: a changed address, …
	Test      Kind = "test"    // to the team, never to a subscriber
)

// State is where a message stands; see the package comment for the ways
// between them.
type State string

// The states. Queued and claimed are on the way, the other four are final. The
// row of a claimed message says queued; its row in the outbox names the node.
const (
	Queued    State = "queued"
	Claimed   State = "claimed"
	Sent      State = "sent"
	Failed    State = "failed"
	Skipped   State = "skipped"
	Uncertain State = "uncertain"
)

// Message is one mail to one person, from the moment it is decided until long
// after it was sent: the row is the proof of who allowed it.
type Message struct {
	ID             uuid.UUID
	SourceID       uuid.UUID
	BrandID        uuid.UUID
	StreamID       uuid.UUID
	SubscriberID   *uuid.UUID
	Part           int
	Kind           Kind
	TopicID        *uuid.UUID
	ConsentEventID *uuid.UUID
	ContentID      *uuid.UUID
	Template       string
	Language       string
	Recipient      string
	Data           map[string]any `gorm:"serializer:json"`
	State          State
	Reason         string
	DueAt          time.Time
	Attempt        int
	TracksOpens    bool
	TracksClicks   bool
	SMTPCode       int    `gorm:"column:smtp_code"`
	SMTPReply      string `gorm:"column:smtp_reply"`
	CreatedAt      time.Time
	SettledAt      *time.Time
}

// Ref is the name that links carry.
func (m Message) Ref() link.Message { return link.Message{Source: m.SourceID, ID: m.ID} }

// WhyKey is where a message's Data keeps by what rule its person was chosen, and
// what was known of them then: for "why did I get this?", not for the text.
const WhyKey = "_why"

// Received are the marketing and other mails that reached a person, or may have,
// newest first, after the one named; uuid.Nil is from the beginning. It reads the
// person's messages by messages_person.
func Received(tx *store.Tx, brandID, subscriberID, before uuid.UUID, limit int) ([]Message, error) {
	g := tx.Where("subscriber_id = ? AND brand_id = ? AND state IN ('sent', 'uncertain') AND recipient = ''", subscriberID, brandID)
	if before != uuid.Nil {
		g = g.Where("id < ?", before)
	}
	var all []Message
	if err := g.Order("id DESC").Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list what a person received: %w", err)
	}
	return all, nil
}

// PlaceInPromise is which mail of the topic a sent one was within the days that
// ended with it: 1 is the first. It reads the person's messages by messages_person.
func PlaceInPromise(tx *store.Tx, m Message, days int) (n int, err error) {
	if m.SettledAt == nil || m.SubscriberID == nil || m.TopicID == nil {
		return 0, nil
	}
	err = tx.Raw(`SELECT count(*) FROM messages WHERE subscriber_id = ? AND brand_id = ? AND topic_id = ? AND state IN ('sent', 'uncertain')
		AND settled_at <= ? AND settled_at > ?`, *m.SubscriberID, m.BrandID, *m.TopicID, *m.SettledAt, m.SettledAt.AddDate(0, 0, -days)).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count the mails of a promise: %w", err)
	}
	return n, nil
}

// Draft is a mail to be queued.
type Draft struct {
	Source, Stream uuid.UUID
	Brand          uuid.UUID
	Subscriber     *uuid.UUID // nil for a test only
	Part           int        // step or variant within the source
	Kind           Kind
	Topic          *uuid.UUID // marketing only
	ConsentEvent   *uuid.UUID // marketing only: the event in force now
	Content        *uuid.UUID // or Template
	Template       string     // a system mail of package compose
	Language       string
	Recipient      string         // "" is the subscriber's address at the time of sending
	Data           map[string]any // values for the template
	Due            time.Time
}

// Queue writes the message into the outbox. It is idempotent: a second draft
// with the same source, subscriber and part is not written, and fresh is false.
// The database refuses a marketing draft without consent, and one whose
// consent is another person's, topic's or brand's.
func Queue(tx *store.Tx, d Draft) (id uuid.UUID, fresh bool, err error) {
	m := Message{
		ID: tx.NewID(), SourceID: d.Source, BrandID: d.Brand, StreamID: d.Stream, SubscriberID: d.Subscriber,
		Part: d.Part, Kind: d.Kind, TopicID: d.Topic, ConsentEventID: d.ConsentEvent, ContentID: d.Content,
		Template: d.Template, Language: d.Language, Recipient: d.Recipient, Data: d.Data,
		State: Queued, DueAt: d.Due.UTC().Truncate(time.Microsecond), CreatedAt: tx.Now(),
	}
	if m.Data == nil {
		m.Data = map[string]any{}
	}
	r := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&m)
	if r.Error != nil {
		return uuid.Nil, false, fmt.Errorf("queue a message: %w", r.Error)
	}
	if r.RowsAffected == 1 {
		_, err := tx.Change("INSERT INTO outbox (stream_id, due_at, id, source_id) VALUES (?, ?, ?, ?)", m.StreamID, m.DueAt, m.ID, m.SourceID)
		if err != nil {
			return uuid.Nil, false, fmt.Errorf("queue a message: %w", err)
		}
		tx.AfterCommit(ringer(tx))
		return m.ID, true, nil
	}
	var there Message
	err = tx.Where("source_id = ? AND subscriber_id = ? AND part = ?", d.Source, d.Subscriber, d.Part).Take(&there).Error
	return there.ID, false, err
}

// Enqueue puts the messages of a source that a statement has written for a
// range of subscribers, after the first and up to the last, into the outbox. It
// is repeatable. Cost: the range of the source's unique key, and the outbox's key.
func Enqueue(tx *store.Tx, source, after, upTo uuid.UUID) error {
	_, err := tx.Change(`INSERT INTO outbox (stream_id, due_at, id, source_id) SELECT stream_id, due_at, id, source_id FROM messages
		WHERE source_id = ? AND subscriber_id > ? AND subscriber_id <= ? AND state = 'queued' ON CONFLICT DO NOTHING`, source, after, upTo)
	if err != nil {
		return fmt.Errorf("put messages into the outbox: %w", err)
	}
	return nil
}

// FindMessage reads one message by the name in its links. Whoever holds such a
// name was sent it or may see the brand; the caller checks which.
func FindMessage(tx *store.Tx, ref link.Message) (Message, error) {
	var m Message
	if err := tx.Where("source_id = ? AND id = ?", ref.Source, ref.ID).Take(&m).Error; err != nil {
		return m, store.Found(err, "delivery.message-unknown")
	}
	page := []Message{m}
	return page[0], sayClaimed(tx, page)
}

// Settle says what became of an uncertain message, by somebody who has looked it
// up at the mail server: Sent or Failed. It is not sent again in either case; a
// failed one gives its slot under a promise back. Any other state of it is
// problem.Conflict.
func Settle(tx *store.Tx, brandID uuid.UUID, ref link.Message, as State) error {
	if as != Sent && as != Failed {
		return problem.InvalidField("as", "problem.field.choice")
	}
	m, err := FindMessage(tx, ref)
	if err != nil {
		return err
	}
	if m.BrandID != brandID {
		return unknownMessage()
	}
	n, err := tx.Run("UPDATE messages SET state = ?, reason = 'settled by a person', settled_at = ? WHERE source_id = ? AND id = ? AND state = 'uncertain'",
		as, tx.Now(), ref.Source, ref.ID)
	if err != nil {
		return fmt.Errorf("settle a message: %w", err)
	}
	if n == 0 {
		return problem.New(problem.Conflict, "delivery.not-uncertain")
	}
	if as == Sent {
		return countMails(tx, []Message{m})
	}
	if err := giveBack(tx, []*claimed{{Message: m, slotted: m.TopicID != nil}}); err != nil {
		return err
	}
	return note(tx, m, event.MailFailed, map[string]any{"reason": "settled by a person"})
}

func unknownMessage() error { return problem.New(problem.NotFound, "delivery.message-unknown") }

// Query narrows a list of messages; zero fields do not.
type Query struct {
	Source, Stream, Subscriber uuid.UUID
	State                      State
	Before                     uuid.UUID // the page after this id, newest first
	Limit                      int
}

// ListMessages gives a brand's messages, newest first.
func ListMessages(tx *store.Tx, brandID uuid.UUID, q Query) ([]Message, error) {
	g := tx.Where("brand_id = ?", brandID)
	for column, id := range map[string]uuid.UUID{"source_id": q.Source, "stream_id": q.Stream, "subscriber_id": q.Subscriber} {
		if id != uuid.Nil {
			g = g.Where(column+" = ?", id)
		}
	}
	switch q.State {
	case "":
	case Queued:
		g = g.Where("state = 'queued' AND NOT " + claimedSQL)
	case Claimed:
		g = g.Where("state = 'queued' AND " + claimedSQL)
	default:
		g = g.Where("state = ?", q.State)
	}
	if q.Before != uuid.Nil {
		g = g.Where("id < ?", q.Before)
	}
	var found []Message
	if err := g.Order("id DESC").Limit(q.Limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return found, sayClaimed(tx, found)
}

// claimedSQL tells whether a node has a queued message in hand.
const claimedSQL = `EXISTS (SELECT 1 FROM outbox o WHERE o.stream_id = messages.stream_id AND o.due_at = messages.due_at
	AND o.id = messages.id AND o.node_id IS NOT NULL)`

// sayClaimed gives the queued messages that a node has in hand their state.
func sayClaimed(tx *store.Tx, page []Message) error {
	var sources, ids []uuid.UUID
	for _, m := range page {
		if m.State == Queued {
			sources, ids = append(sources, m.SourceID), append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var there []Message
	err := tx.Raw("SELECT source_id, id FROM messages WHERE source_id IN (?) AND id IN (?) AND "+claimedSQL, sources, ids).Scan(&there).Error
	if err != nil {
		return fmt.Errorf("look for claims: %w", err)
	}
	claims := map[uuid.UUID]bool{}
	for _, m := range there {
		claims[m.ID] = true
	}
	for i, m := range page {
		if claims[m.ID] {
			page[i].State = Claimed
		}
	}
	return nil
}

// Counts tells how many messages of a source stand where. They add up: every
// message is in exactly one state.
type Counts struct {
	Queued, Claimed, Sent, Failed, Skipped, Uncertain, Total int64
}

// Settled reports that nothing is on the way any more.
func (c Counts) Settled() bool { return c.Queued+c.Claimed == 0 }

// Add counts n more messages in a state.
func (c *Counts) Add(s State, n int64) {
	at := map[State]*int64{Queued: &c.Queued, Claimed: &c.Claimed, Sent: &c.Sent, Failed: &c.Failed, Skipped: &c.Skipped, Uncertain: &c.Uncertain}
	*at[s] += n
	c.Total += n
}

// SourceCounts counts one campaign edition, enrollment or offer issue, by its
// primary key's range, and while anything of it is on the way the outbox of its stream.
func SourceCounts(tx *store.Tx, brandID, sourceID uuid.UUID) (Counts, error) {
	c, err := counts(tx, "source_id", brandID, sourceID)
	if err != nil || c.Queued == 0 {
		return c, err
	}
	var stream uuid.UUID // all of a source flows in one
	if err := one(tx, &stream, "SELECT stream_id FROM messages WHERE source_id = ? AND brand_id = ? LIMIT 1", sourceID, brandID); err != nil {
		return Counts{}, fmt.Errorf("look for a source's stream: %w", err)
	}
	err = c.tellClaims(tx, "stream_id = ? AND source_id = ?", stream, sourceID)
	return c, err
}

// StreamCounts counts everything that ever flowed from a campaign, sequence or offer.
func StreamCounts(tx *store.Tx, brandID, streamID uuid.UUID) (Counts, error) {
	c, err := counts(tx, "stream_id", brandID, streamID)
	if err != nil || c.Queued == 0 {
		return c, err
	}
	err = c.tellClaims(tx, "stream_id = ?", streamID)
	return c, err
}

func counts(tx *store.Tx, column string, brandID, id uuid.UUID) (c Counts, err error) {
	var rows []struct {
		State State
		N     int64
	}
	err = tx.Raw("SELECT state, count(*) AS n FROM messages WHERE "+column+" = ? AND brand_id = ? GROUP BY state", id, brandID).Scan(&rows).Error
	if err != nil {
		return Counts{}, fmt.Errorf("count messages: %w", err)
	}
	for _, r := range rows {
		c.Add(r.State, r.N)
	}
	return c, nil
}

// tellClaims tells the claimed among the queued. It reads the outbox of a
// stream, of which the caller has found messages of the brand: joined with
// messages, whose statistics know nothing of a campaign that was just frozen, a
// count has taken half a minute.
func (c *Counts) tellClaims(tx *store.Tx, which string, args ...any) error {
	var claims int64
	if err := tx.Raw("SELECT count(*) FROM outbox WHERE node_id IS NOT NULL AND "+which, args...).Scan(&claims).Error; err != nil {
		return fmt.Errorf("count claims: %w", err)
	}
	claims = min(claims, c.Queued)
	c.Queued, c.Claimed = c.Queued-claims, c.Claimed+claims
	return nil
}

// Waiting reports whether anything of a source of a stream is on the way. It
// looks into the outbox of the stream; SourceCounts reads the whole source.
func Waiting(tx *store.Tx, brandID, streamID, sourceID uuid.UUID) (yes bool, err error) {
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM outbox o JOIN streams st ON st.id = o.stream_id
		WHERE o.stream_id = ? AND o.source_id = ? AND st.brand_id = ?)`, streamID, sourceID, brandID).Scan(&yes).Error
	if err != nil {
		return false, fmt.Errorf("look whether anything is queued: %w", err)
	}
	return yes, nil
}

// CancelSource skips what one source of a stream has queued, an enrollment for
// example. What is claimed already goes on; CloseStream stops that too.
func CancelSource(tx *store.Tx, brandID, sourceID uuid.UUID, reason string) (int64, error) {
	const mine = " WHERE source_id = ? AND brand_id = ? AND state = 'queued'"
	_, err := tx.Run(`DELETE FROM outbox WHERE node_id IS NULL AND (stream_id, due_at, id) IN (
		SELECT stream_id, due_at, id FROM messages`+mine+")", sourceID, brandID)
	if err != nil {
		return 0, fmt.Errorf("cancel what is queued: %w", err)
	}
	n, err := tx.Run("UPDATE messages SET state = 'skipped', reason = ?, settled_at = ?"+mine+` AND NOT EXISTS (
		SELECT 1 FROM outbox o WHERE o.stream_id = messages.stream_id AND o.due_at = messages.due_at AND o.id = messages.id)`,
		reason, tx.Now(), sourceID, brandID)
	if err != nil {
		return 0, fmt.Errorf("cancel what is queued: %w", err)
	}
	return n, nil
}

// Origin is what a stream's messages come from.
type Origin string

// The origins.
const (
	OriginCampaign Origin = "campaign"
	OriginSequence Origin = "sequence"
	OriginOffer    Origin = "offer"
	OriginConfirm  Origin = "confirm"
	OriginService  Origin = "service"
	OriginTest     Origin = "test"
)

// queue is the line a stream's messages wait in; see jobs.
func (o Origin) queue() string {
	switch o {
	case OriginConfirm:
		return "confirm"
	case OriginService, OriginTest:
		return "service"
	}
	return "bulk"
}

// Stream is what messages flow from, and what can be paused as one.
type Stream struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	Queue     string
	Origin    Origin
	PausedAt  *time.Time
	PausedFor string // why a circuit breaker paused it; "" where a person did
	Closed    string // why nothing flows any more; "" is open
	Priority  int    // of two mails that want the same slot of a promise, the higher gets it
}

// OpenStream makes the stream of a campaign, sequence or offer, under its id. Repeatable.
func OpenStream(tx *store.Tx, brandID uuid.UUID, origin Origin, id uuid.UUID) error {
	s := Stream{ID: id, BrandID: brandID, Queue: origin.queue(), Origin: origin}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&s).Error; err != nil {
		return fmt.Errorf("open a stream of messages: %w", err)
	}
	return nil
}

// FindStream reads a stream; another brand's is problem.NotFound.
func FindStream(tx *store.Tx, brandID, id uuid.UUID) (Stream, error) {
	var s Stream
	err := tx.Where("id = ? AND brand_id = ?", id, brandID).Take(&s).Error
	return s, store.Found(err, "delivery.stream-unknown")
}

// BrandStream is the brand's one stream of confirmations, service or test mails.
func BrandStream(tx *store.Tx, brandID uuid.UUID, origin Origin) (uuid.UUID, error) {
	id := brandStream(brandID, origin)
	return id, OpenStream(tx, brandID, origin, id)
}

func brandStream(brandID uuid.UUID, origin Origin) uuid.UUID {
	return uuid.NewSHA1(brandID, []byte(origin))
}

// PauseStream stops claims from the stream; claimed messages are asked again
// before they start, so within a second nothing of it begins.
func PauseStream(tx *store.Tx, brandID, id uuid.UUID) error {
	return pause(tx, brandID, id, tx.Now())
}

// ResumeStream lets the stream flow again, and its circuit breaker count anew.
func ResumeStream(tx *store.Tx, brandID, id uuid.UUID) error {
	tx.AfterCommit(ringer(tx))
	if err := pause(tx, brandID, id, nil); err != nil {
		return err
	}
	_, err := tx.Run("DELETE FROM tallies WHERE stream_id = ?", id)
	return err
}

// SetPriority says how a stream's mails stand against others that want the same
// slot of a promise: -9 to 9, 0 where nothing was said.
func SetPriority(tx *store.Tx, brandID, id uuid.UUID, priority int) error {
	n, err := tx.Run("UPDATE streams SET priority = ? WHERE id = ? AND brand_id = ?", priority, id, brandID)
	if err == nil && n == 0 {
		err = unknownStream()
	}
	return err
}

func unknownStream() error { return problem.New(problem.NotFound, "delivery.stream-unknown") }

// CloseStream ends a stream for good. What is queued is skipped with the reason
// by the next claims, a page at a time, however many there are; what is claimed
// and has not begun goes back to them.
func CloseStream(tx *store.Tx, brandID, id uuid.UUID, reason string) error {
	n, err := tx.Run("UPDATE streams SET closed = ? WHERE id = ? AND brand_id = ?", reason, id, brandID)
	if err != nil {
		return fmt.Errorf("close a stream: %w", err)
	}
	if n == 0 {
		return unknownStream()
	}
	tx.AfterCommit(ringer(tx))
	return nil
}

func pause(tx *store.Tx, brandID, id uuid.UUID, at any) error {
	n, err := tx.Run("UPDATE streams SET paused_at = ?, paused_for = CASE WHEN ? THEN '' ELSE paused_for END WHERE id = ? AND brand_id = ?", at, at == nil, id, brandID)
	if err == nil && n == 0 {
		err = unknownStream()
	}
	return err
}

type bellKey struct{}

// HangBell tells the package whom to wake when a message is queued. The bell
// saves waiting for the next look at the table, no more.
func HangBell(db *store.DB, ring func()) { db.Attach(bellKey{}, ring) }

func ringer(tx *store.Tx) func() {
	if ring, ok := tx.Attached(bellKey{}).(func()); ok {
		return ring
	}
	return func() {}
}

// WithoutLinks is what a mail was written with but for the addresses in it: who
// has those can confirm, choose and leave as the person.
func WithoutLinks(data map[string]any) map[string]any {
	kept := make(map[string]any, len(data))
	for name, v := range data {
		if !strings.HasSuffix(name, "_url") {
			kept[name] = v
		}
	}
	return kept
}
