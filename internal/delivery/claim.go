package delivery

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/store"
)

// claimed is a message that this process may send, with what its mail needs,
// read in the statement that let it through the gate.
type claimed struct {
	Message
	Epoch       int64 // of the claim: tells it from the claims before
	Email       string
	Name        string
	TimeZone    string
	Attributes  map[string]any
	AddressHash []byte

	gate    gateAnswer
	dated   bool // its opens leave the day of the last, and are not counted
	shared  bool // it carries what all mails of its campaign share, where it may not carry its own
	slotted bool // it has a slot under a promise or cap, or may have
	way     way
	asked   time.Time // when the gate was asked whose answer let it begin
}

// gateAnswer is what the gate said of a message.
type gateAnswer struct {
	reason        string     // why not; "" is yes
	event         *uuid.UUID // the consent in force
	opens, clicks bool       // may be observed

	promiseMax, promiseDays int       // what the consent allows: so many mails in so many days; 0 is no promise
	pausedUntil             time.Time // zero: not, or not known
}

// due finds a stream of the queue that has something to send, beginning after
// another one, so that streams take turns. A closed one is emptied though it is
// paused. Of streams with a mark only what comes after it is looked at, and those that rest are left out. After a
// restore nothing is due until a person says so.
//
// Cost: the first entry in the outbox's key of each stream that is asked. The
// subquery is one value and not EXISTS, which PostgreSQL would turn into a join
// that reads the whole outbox.
func due(tx *store.Tx, queue string, after uuid.UUID, marks map[uuid.UUID]mark, resting []uuid.UUID) (s dueStream, ok bool, err error) {
	from, args, err := tx.As("k", rowsOfMarks(marks, resting))
	if err != nil {
		return s, false, err
	}
	for _, first := range []uuid.UUID{after, uuid.Nil} {
		var found uuid.NullUUID
		err := one(tx, &found, `SELECT st.id FROM streams st LEFT JOIN `+from+` ON k.stream_id = st.id
			WHERE st.queue = ? AND NOT coalesce(k.rests, false) AND (st.paused_at IS NULL OR st.closed <> '') AND st.id > ?
			AND (SELECT o.due_at FROM outbox o WHERE o.stream_id = st.id AND o.node_id IS NULL
				AND (o.due_at, o.id) > (coalesce(k.due_at, ?), coalesce(k.id, ?)) ORDER BY o.due_at, o.id LIMIT 1) <= ?
			AND NOT EXISTS (SELECT 1 FROM installation WHERE key = 'sending-paused')
			ORDER BY st.id LIMIT 1`, append(args, queue, first, time.Time{}, uuid.Nil, tx.Now())...)
		if err != nil {
			return s, false, fmt.Errorf("look for due messages: %w", err)
		}
		if found.Valid {
			s, err = readStream(tx, found.UUID)
			return s, err == nil, err
		}
		if first == uuid.Nil {
			break
		}
	}
	return s, false, nil
}

// one reads the first column of the first row, if there is any.
func one(tx *store.Tx, into any, query string, args ...any) error {
	rows, err := tx.Select(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(into); err != nil {
			return err
		}
	}
	return rows.Err()
}

func rowsOfMarks(marks map[uuid.UUID]mark, resting []uuid.UUID) store.Rows {
	var streams, ids []uuid.UUID
	var dues []time.Time
	var rests []bool
	for _, id := range resting {
		streams, dues, ids, rests = append(streams, id), append(dues, time.Time{}), append(ids, uuid.Nil), append(rests, true)
	}
	for id, m := range marks {
		if !slices.Contains(resting, id) {
			streams, dues, ids, rests = append(streams, id), append(dues, m.due), append(ids, m.id), append(rests, false)
		}
	}
	return store.Rows{}.UUIDs("stream_id", streams).Times("due_at", dues).UUIDs("id", ids).Bools("rests", rests)
}

// readStream reads a stream with what its brand sets.
func readStream(tx *store.Tx, id uuid.UUID) (s dueStream, err error) {
	err = tx.Raw(`SELECT st.*, b.cap_max, b.cap_days, b.quiet_from, b.quiet_until, b.time_zone, b.rate_per_hour AS brand_rate, b.warm_up_from, b.last_open_only, b.anonymous_counts
		FROM streams st JOIN brands b ON b.id = st.brand_id WHERE st.id = ?`, id).Scan(&s).Error
	if err != nil {
		return s, fmt.Errorf("read a stream: %w", err)
	}
	return s, nil
}

// place is a place in a stream's line.
type place struct {
	due time.Time
	id  uuid.UUID
}

// takeSQL claims due rows of a stream, in the order they are due, and skips
// those that another worker is just claiming.
//
// Cost: a range of the outbox's key, and no other index: what changes is in
// none, so PostgreSQL keeps the new version of the row in the old one's page.
const takeSQL = `UPDATE outbox SET node_id = ?, epoch = outbox.epoch + 1
	FROM (SELECT stream_id, due_at, id FROM outbox
		WHERE stream_id = ? AND node_id IS NULL AND due_at <= ? AND (due_at, id) > (?, ?)
		ORDER BY due_at, id LIMIT %d%s) d
	WHERE outbox.stream_id = d.stream_id AND outbox.due_at = d.due_at AND outbox.id = d.id
	RETURNING outbox.source_id, outbox.id, outbox.due_at, outbox.epoch`

// mailSQL reads messages t with what their mails need and what the gate says of
// each. The rule is consent's, and so is the reason where it says no.
//
// Cost: a few look-ups by primary key each, in messages, subscribers,
// permissions and suppressions.
const mailSQL = `SELECT t.source_id, t.id, t.due_at, t.epoch, m.stream_id, m.brand_id, m.subscriber_id, m.kind, m.topic_id, m.consent_event_id, m.content_id,
		m.template, m.language, m.recipient, m.data, m.attempt, m.tracks_opens, m.tracks_clicks,
		coalesce(s.email, ''), coalesce(s.name, ''), coalesce(s.time_zone, ''), coalesce(s.attributes, '{}'), s.address_hash,
		p.event_id, CASE WHEN m.kind <> 'marketing' THEN '' ELSE ` + consent.ReasonSQL + ` END,
		m.kind = 'marketing' AND coalesce(po.state IN ('given', 'renewed') AND (po.valid_until IS NULL OR po.valid_until > ?), false),
		m.kind = 'marketing' AND coalesce(pc.state IN ('given', 'renewed') AND (pc.valid_until IS NULL OR pc.valid_until > ?), false),
		coalesce(p.promise_max, 0), coalesce(p.promise_days, 0), p.paused_until
	FROM %s JOIN messages m ON m.source_id = t.source_id AND m.id = t.id
	LEFT JOIN subscribers s ON s.id = m.subscriber_id
	LEFT JOIN permissions p ON p.subscriber_id = m.subscriber_id AND p.topic_id = m.topic_id
	LEFT JOIN permissions po ON po.subscriber_id = m.subscriber_id
		AND po.topic_id = (SELECT id FROM topics WHERE brand_id = ? AND purpose = 'opens')
	LEFT JOIN permissions pc ON pc.subscriber_id = m.subscriber_id
		AND pc.topic_id = (SELECT id FROM topics WHERE brand_id = ? AND purpose = 'clicks')
	ORDER BY t.due_at, t.id`

var (
	claimSQL = map[int]string{}
	seizeSQL = map[int]string{}
)

// The number of rows stands in the statement, for PostgreSQL plans for many
// where it does not know it. There are few such numbers: powers of two, and a
// whole batch.
func init() {
	for n := 1; n <= batch; n++ {
		if n == least(n) {
			claimSQL[n] = "WITH t AS (" + fmt.Sprintf(takeSQL, n, " FOR UPDATE SKIP LOCKED") + ") " + fmt.Sprintf(mailSQL, "t")
			seizeSQL[n] = fmt.Sprintf(takeSQL, n, "")
		}
	}
}

// least is the largest number of rows to claim that is not above most.
func least(most int) int {
	if most >= batch {
		return batch
	}
	return 1 << (bits.Len(uint(most)) - 1)
}

// byIndex keeps PostgreSQL to the keys of the tables for the rest of the
// transaction. It keeps its plans, and those made while the outbox was empty
// would read the whole of it when it is full.
func byIndex(tx *store.Tx) error {
	if tx.Dialect() != store.Postgres {
		return nil
	}
	_, err := tx.Change("SET LOCAL enable_seqscan = off")
	return err
}

// heldRows gives, of the rows t of an item of FROM, those that are claims of a
// node still, which is its one ?; at is where they lie in the outbox. PostgreSQL
// is made to look each up by its key: from what the table looked like yesterday
// it would conclude that a node has one claim, and read them all to find it.
func heldRows(tx *store.Tx, from string) string {
	const key = "o.stream_id = t.stream_id AND o.due_at = t.due_at AND o.id = t.id"
	return tx.Pick(
		"(SELECT t.*, h.at FROM "+from+" CROSS JOIN LATERAL (SELECT o.ctid AS at, o.epoch, o.node_id FROM outbox o WHERE "+key+" OFFSET 0) h WHERE h.epoch = t.epoch AND h.node_id = ?)",
		"(SELECT t.*, o.rowid AS at FROM "+from+" JOIN outbox o ON "+key+" AND o.epoch = t.epoch WHERE o.node_id = ?)")
}

// claim asks "may we?" of up to a batch of due messages of a stream after a place in
// its line, in the statement that claims them, and skips those it refuses, with
// the reason, their event and its consequences.
func claim(tx *store.Tx, s dueStream, node uuid.UUID, after place, most int) (through []*claimed, a answers, err error) {
	asked, err := take(tx, s, node, after, least(most))
	if err != nil {
		return nil, a, fmt.Errorf("claim due messages: %w", err)
	}
	var not []*claimed
	var paused []deferred
	for _, m := range asked {
		if s.Closed != "" {
			m.gate.reason = s.Closed
		}
		switch {
		case m.gate.reason == "":
			through = append(through, m)
		case m.gate.reason == consent.ReasonPaused && s.Origin == OriginSequence:
			paused = append(paused, deferred{m, m.gate.pausedUntil, consent.ReasonPaused})
		default:
			not = append(not, m)
		}
	}
	if s.Queue == OriginConfirm.queue() || s.Queue == OriginService.queue() {
		if through, not, err = askService(tx, through, not); err != nil {
			return nil, a, err
		}
	}
	through, used, later, err := allot(tx, s, through)
	if err != nil {
		return nil, a, err
	}
	not, later = append(not, used...), append(later, paused...)
	if err := skip(tx, node, not); err != nil {
		return nil, a, err
	}
	if err := putOff(tx, node, later); err != nil {
		return nil, a, err
	}
	a.passed = len(through)
	for _, m := range not {
		a.skip(m.gate.reason)
	}
	for _, d := range later {
		a.put(d.reason)
	}
	return through, a, stand(tx, s, through)
}

// take claims and reads: in one round trip to PostgreSQL. SQLite, which is none
// away, has no writing in a WITH.
func take(tx *store.Tx, s dueStream, node uuid.UUID, after place, n int) ([]*claimed, error) {
	now := tx.Now()
	if tx.Dialect() == store.Postgres {
		return scanMails(tx.Select(claimSQL[n], node, s.ID, now, after.due, after.id, now, now, now, s.BrandID, s.BrandID))
	}
	rows, err := tx.Select(seizeSQL[n], node, s.ID, now, after.due, after.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var taken []*claimed
	for rows.Next() {
		m := &claimed{Message: Message{StreamID: s.ID}}
		if err := rows.Scan(&m.SourceID, &m.ID, (*instant)(&m.DueAt), &m.Epoch); err != nil {
			return nil, err
		}
		taken = append(taken, m)
	}
	if err := rows.Err(); err != nil || len(taken) == 0 {
		return nil, err
	}
	return readMails(tx, s.BrandID, taken)
}

// readMails reads what the mails of messages need, all of one brand; of each it
// wants the source, the id, the due time and the epoch.
func readMails(tx *store.Tx, brandID uuid.UUID, of []*claimed) ([]*claimed, error) {
	from, args, err := tx.As("t", rowsOf(of))
	if err != nil {
		return nil, err
	}
	now := tx.Now()
	args = append([]any{now, now, now}, append(args, brandID, brandID)...)
	read, err := scanMails(tx.Select(fmt.Sprintf(mailSQL, from), args...))
	for _, m := range read {
		m.slotted = of[0].slotted
	}
	return read, err
}

// rowsOf is the claims as rows for a statement: the key of the outbox, the
// source and the epoch.
func rowsOf(of []*claimed) store.Rows {
	n := len(of)
	streams, sources, ids := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	dues, epochs := make([]time.Time, n), make([]int64, n)
	for i, m := range of {
		streams[i], sources[i], ids[i], dues[i], epochs[i] = m.StreamID, m.SourceID, m.ID, m.DueAt, m.Epoch
	}
	return store.Rows{}.UUIDs("stream_id", streams).Times("due_at", dues).UUIDs("id", ids).UUIDs("source_id", sources).Ints("epoch", epochs)
}

// instant reads a time from either database; SQLite gives text where a column
// was computed.
type instant time.Time

// Scan implements sql.Scanner.
func (i *instant) Scan(v any) error {
	switch v := v.(type) {
	case time.Time:
		*i = instant(v.UTC())
		return nil
	case string:
		t, err := time.Parse("2006-01-02 15:04:05.999999999-07:00", v)
		*i = instant(t.UTC())
		return err
	}
	return fmt.Errorf("a %T is no time", v)
}

// maybe is an instant, or the zero time where the database has none.
type maybe time.Time

// Scan implements sql.Scanner.
func (i *maybe) Scan(v any) error {
	if v == nil {
		*i = maybe{}
		return nil
	}
	return (*instant)(i).Scan(v)
}

func scanMails(rows *sql.Rows, err error) ([]*claimed, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*claimed
	for rows.Next() {
		m := &claimed{}
		var data, attributes sql.RawBytes
		err := rows.Scan(&m.SourceID, &m.ID, (*instant)(&m.DueAt), &m.Epoch, &m.StreamID, &m.BrandID, &m.SubscriberID, &m.Kind, &m.TopicID,
			&m.ConsentEventID, &m.ContentID, &m.Template, &m.Language, &m.Recipient, &data, &m.Attempt, &m.TracksOpens, &m.TracksClicks,
			&m.Email, &m.Name, &m.TimeZone, &attributes, &m.AddressHash, &m.gate.event, &m.gate.reason, &m.gate.opens, &m.gate.clicks,
			&m.gate.promiseMax, &m.gate.promiseDays, (*maybe)(&m.gate.pausedUntil))
		if err != nil {
			return nil, err
		}
		if m.Data, err = object(data); err != nil {
			return nil, fmt.Errorf("read the values of message %s: %w", m.ID, err)
		}
		if m.Attributes, err = object(attributes); err != nil {
			return nil, fmt.Errorf("read the attributes of subscriber %s: %w", m.SubscriberID, err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

func object(raw []byte) (out map[string]any, err error) {
	if len(raw) <= len("{}") {
		return nil, nil
	}
	return out, json.Unmarshal(raw, &out)
}

// stand has each message stand on the gate's answer: on the consent in force,
// which is written where it is another than when the message was made, and with
// the tracking that is allowed, which is written with the outcome.
//
// Where a brand keeps the day of the last open only, the mail is none whose opens
// are counted. What a campaign counts without telling anybody apart is for
// campaigns only: a step of a sequence may go to one person in an hour.
func stand(tx *store.Tx, s dueStream, through []*claimed) error {
	for _, m := range through {
		m.TracksOpens, m.TracksClicks = m.gate.opens && !s.LastOpenOnly, m.gate.clicks
		m.dated, m.shared = m.gate.opens && s.LastOpenOnly, s.AnonymousCounts && s.Origin == OriginCampaign
		if m.Kind != Marketing || m.ConsentEventID != nil && *m.ConsentEventID == *m.gate.event {
			continue
		}
		m.ConsentEventID = m.gate.event
		if _, err := tx.Run("UPDATE messages SET consent_event_id = ? WHERE source_id = ? AND id = ?", m.gate.event, m.SourceID, m.ID); err != nil {
			return fmt.Errorf("write the consent in force: %w", err)
		}
	}
	return nil
}

// askService asks of confirmations and service mails whether the address is
// suppressed for their kind.
func askService(tx *store.Tx, rows, not []*claimed) (through, refused []*claimed, err error) {
	for _, m := range rows {
		if m.Email == "" && (m.SubscriberID != nil || m.Recipient == "") { // erased since it was claimed, and put back
			m.gate.reason = ReasonErased
			not = append(not, m)
			continue
		}
		reason, suppressed, err := consent.Suppressed(tx, m.BrandID, m.AddressHash, consent.MailKind(m.Kind))
		if err != nil {
			return nil, nil, err
		}
		if !suppressed || m.SubscriberID == nil || m.Recipient != "" {
			through = append(through, m)
			continue
		}
		m.gate.reason = "suppressed:" + reason
		not = append(not, m)
	}
	return through, not, nil
}

// skip ends claimed messages that the gate refused.
func skip(tx *store.Tx, node uuid.UUID, page []*claimed) error {
	for _, m := range page {
		held, err := letGo(tx, node, m)
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		_, err = tx.Run("UPDATE messages SET state = 'skipped', reason = ?, settled_at = ? WHERE source_id = ? AND id = ?",
			m.gate.reason, tx.Now(), m.SourceID, m.ID)
		if err != nil {
			return fmt.Errorf("skip a message: %w", err)
		}
		if err := note(tx, m.Message, event.MailSkipped, map[string]any{"reason": m.gate.reason}); err != nil {
			return err
		}
	}
	return nil
}

// heldSQL tells the rows of the outbox that are still the claim's.
const heldSQL = "stream_id = ? AND due_at = ? AND id = ? AND node_id = ? AND epoch = ?"

func (m *claimed) held(node uuid.UUID) []any {
	return []any{m.StreamID, m.DueAt, m.ID, node, m.Epoch}
}

// letGo takes a claimed message out of the outbox; held is false when it is no
// longer this claim's.
func letGo(tx *store.Tx, node uuid.UUID, m *claimed) (held bool, err error) {
	n, err := tx.Change("DELETE FROM outbox WHERE "+heldSQL, m.held(node)...)
	if err != nil {
		return false, fmt.Errorf("settle a message: %w", err)
	}
	return n == 1, nil
}

// note leaves the fact on the person's timeline and lets others act on it.
func note(tx *store.Tx, m Message, kind string, data map[string]any) error {
	if m.SubscriberID == nil {
		return nil
	}
	return event.Record(tx, event.Event{BrandID: m.BrandID, SubscriberID: m.SubscriberID, Kind: kind, SourceID: &m.SourceID, MessageID: &m.ID, Data: data})
}

// stillMay asks the gate's question again of claimed messages, and gives those
// that may still begin as they were made. The rest go back into the queue, where
// the next claim skips them with its reason, or makes them without the tracking
// that is no longer allowed, or to the address that is now the person's.
func stillMay(tx *store.Tx, node uuid.UUID, of []*claimed) (map[link.Message]bool, error) {
	rows := rowsOf(of)
	opens, clicks, addresses := make([]bool, len(of)), make([]bool, len(of)), make([]string, len(of))
	for i, m := range of {
		opens[i], clicks[i], addresses[i] = m.TracksOpens || m.dated, m.TracksClicks, m.Email
	}
	from, args, err := tx.As("t", rows.Bools("opens", opens).Bools("clicks", clicks).Texts("email", addresses))
	if err != nil {
		return nil, err
	}
	now := tx.Now()
	asked, err := tx.Select(`SELECT t.source_id, t.id FROM `+heldRows(tx, from)+` t
		JOIN streams st ON st.id = t.stream_id
		JOIN messages m ON m.source_id = t.source_id AND m.id = t.id
		LEFT JOIN subscribers s ON s.id = m.subscriber_id
		LEFT JOIN permissions p ON p.subscriber_id = m.subscriber_id AND p.topic_id = m.topic_id
		WHERE st.paused_at IS NULL AND st.closed = '' AND coalesce(s.email, '') = t.email
			AND (m.kind <> 'marketing' OR (`+consent.EligibleSQL+`))
			AND (NOT t.opens OR `+allowsSQL("m", consent.Opens)+`) AND (NOT t.clicks OR `+allowsSQL("m", consent.Clicks)+`)`,
		append(args, node, now, now, now)...)
	if err != nil {
		return nil, fmt.Errorf("ask again before sending: %w", err)
	}
	defer asked.Close()
	may := map[link.Message]bool{}
	for asked.Next() {
		var ref link.Message
		if err := asked.Scan(&ref.Source, &ref.ID); err != nil {
			return nil, fmt.Errorf("ask again before sending: %w", err)
		}
		may[ref] = true
	}
	if err := asked.Err(); err != nil {
		return nil, fmt.Errorf("ask again before sending: %w", err)
	}
	var not []*claimed
	for _, m := range of {
		if !may[m.Ref()] {
			not = append(not, m)
		}
	}
	return may, release(tx, node, not)
}

// allowsSQL asks whether the person of a row allows what a purpose of tracking
// is about; its one ? is the time now.
func allowsSQL(row, purpose string) string {
	return `EXISTS (SELECT 1 FROM permissions t JOIN topics tt ON tt.id = t.topic_id WHERE t.subscriber_id = ` + row + `.subscriber_id
		AND tt.purpose = '` + purpose + `' AND t.state IN ('given', 'renewed') AND (t.valid_until IS NULL OR t.valid_until > ?))`
}

// release puts claimed messages back, as if they had not been taken.
func release(tx *store.Tx, node uuid.UUID, of []*claimed) error {
	if len(of) == 0 {
		return nil
	}
	from, args, err := tx.As("t", rowsOf(of))
	if err != nil {
		return err
	}
	rows, err := tx.Select("UPDATE outbox SET node_id = NULL FROM "+heldRows(tx, from)+" h WHERE outbox."+tx.Pick("ctid", "rowid")+" = h.at RETURNING outbox.id",
		append(args, node)...)
	if err != nil {
		return fmt.Errorf("put claimed messages back: %w", err)
	}
	freed := map[uuid.UUID]bool{}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return fmt.Errorf("put claimed messages back: %w", err)
		}
		freed[id] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("put claimed messages back: %w", err)
	}
	// Only theirs: what is put back a second time may have been claimed again since.
	return giveBack(tx, slices.DeleteFunc(slices.Clone(of), func(m *claimed) bool { return !freed[m.ID] }))
}

// claimsOf lists what a node has claimed, as far as the outbox tells. It reads
// the whole outbox: for when a node has gone, or may have.
func claimsOf(tx *store.Tx, node uuid.UUID) ([]*claimed, error) {
	rows, err := tx.Select("SELECT o.stream_id, st.brand_id, o.due_at, o.id, o.source_id, o.epoch FROM outbox o JOIN streams st ON st.id = o.stream_id WHERE o.node_id = ? ORDER BY st.brand_id, o.due_at, o.id", node)
	if err != nil {
		return nil, fmt.Errorf("list a node's claims: %w", err)
	}
	defer rows.Close()
	var all []*claimed
	for rows.Next() {
		m := &claimed{slotted: true}
		if err := rows.Scan(&m.StreamID, &m.BrandID, (*instant)(&m.DueAt), &m.ID, &m.SourceID, &m.Epoch); err != nil {
			return nil, fmt.Errorf("list a node's claims: %w", err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// location is the person's zone, or the brand's.
func (m *claimed) location(brandZone *time.Location) *time.Location {
	if m.TimeZone == "" {
		return brandZone
	}
	return brand.Zone(m.TimeZone)
}

// to is where the mail goes.
func (m *claimed) to() string {
	if m.Recipient != "" {
		return m.Recipient
	}
	return m.Email
}

// person is what a template knows of the subscriber.
func (m *claimed) person() map[string]any {
	first, _, _ := strings.Cut(m.Name, " ")
	p := make(map[string]any, len(m.Attributes)+4)
	for k, v := range m.Attributes {
		p[k] = v
	}
	p["email"], p["name"], p["first_name"], p["language"] = m.Email, m.Name, first, m.Language
	return p
}
