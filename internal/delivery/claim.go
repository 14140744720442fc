package delivery

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/store"
)

// claimed is a message that this process may send, with what its mail needs,
// read in the transaction that let it through the gate.
type claimed struct {
	Message
	Email       string
	Name        string
	TimeZone    string
	Attributes  map[string]any `gorm:"serializer:json"`
	AddressHash []byte
	TopicTexts  map[string]consent.TopicText `gorm:"serializer:json"`
}

// due finds a stream of the queue that has something to send, beginning after
// another one, so that streams take turns. Served by messages_due: one probe a
// stream. After a restore nothing is due until a person says so.
func due(tx *store.Tx, queue string, after uuid.UUID) (s Stream, ok bool, err error) {
	for _, from := range []uuid.UUID{after, uuid.Nil} {
		r := tx.Raw(`SELECT st.* FROM streams st WHERE st.queue = ? AND st.paused_at IS NULL AND st.id > ?
			AND EXISTS (SELECT 1 FROM messages m WHERE m.stream_id = st.id AND m.state = 'queued' AND m.due_at <= ?)
			AND NOT EXISTS (SELECT 1 FROM installation WHERE key = 'sending-paused')
			ORDER BY st.id LIMIT 1`, queue, from, tx.Now()).Scan(&s)
		if r.Error != nil {
			return s, false, fmt.Errorf("look for due messages: %w", r.Error)
		}
		if r.RowsAffected == 1 {
			return s, true, nil
		}
		if from == uuid.Nil {
			break
		}
	}
	return s, false, nil
}

// gateSQL asks "may we?" of every due row in the statement that claims it. The
// rule is consent's, and so is the reason where it says no. Locks rows in the
// order they are due and skips those another worker has.
//
// What may be observed is settled here too, before the mail exists: a hit can
// come back sooner than the outcome is booked.
//
// Cost: messages_due for the rows, then a few primary key look-ups each in
// subscribers, permissions and suppressions.
func gateSQL(tx *store.Tx) string {
	return `WITH due AS (
		SELECT source_id, id, subscriber_id, topic_id, kind FROM messages
		WHERE stream_id = ? AND state = 'queued' AND due_at <= ? ORDER BY due_at, id LIMIT ?` + tx.SkipLocked() + `
	), asked AS (
		SELECT d.source_id, d.id, p.event_id, CASE
			WHEN st.closed <> '' THEN st.closed
			WHEN d.kind <> 'marketing' THEN ''
			ELSE ` + consent.ReasonSQL + ` END AS reason,
			d.kind = 'marketing' AND ` + allowsSQL("d", consent.Opens) + ` AS opens,
			d.kind = 'marketing' AND ` + allowsSQL("d", consent.Clicks) + ` AS clicks
		FROM due d JOIN streams st ON st.id = ?
		LEFT JOIN subscribers s ON s.id = d.subscriber_id
		LEFT JOIN permissions p ON p.subscriber_id = d.subscriber_id AND p.topic_id = d.topic_id
	)
	UPDATE messages SET
		state = CASE WHEN a.reason = '' THEN 'claimed' ELSE 'skipped' END,
		reason = a.reason, tracks_opens = a.opens, tracks_clicks = a.clicks,
		node_id = CASE WHEN a.reason = '' THEN ` + tx.Pick("CAST(? AS uuid)", "?") + ` END,
		settled_at = CASE WHEN a.reason = '' THEN NULL ELSE ` + tx.Pick("CAST(? AS timestamptz)", "?") + ` END,
		consent_event_id = CASE WHEN a.reason = '' AND messages.kind = 'marketing' THEN a.event_id ELSE messages.consent_event_id END
	FROM asked a WHERE messages.source_id = a.source_id AND messages.id = a.id
	RETURNING messages.source_id, messages.id, messages.brand_id, messages.subscriber_id, messages.state, messages.reason`
}

// allowsSQL asks whether the person of a row allows what a purpose of tracking
// is about; its one ? is the time now.
func allowsSQL(row, purpose string) string {
	return `EXISTS (SELECT 1 FROM permissions t JOIN topics tt ON tt.id = t.topic_id WHERE t.subscriber_id = ` + row + `.subscriber_id
		AND tt.purpose = '` + purpose + `' AND t.state IN ('given', 'renewed') AND (t.valid_until IS NULL OR t.valid_until > ?))`
}

// claim lets up to limit due messages of a stream through the gate, and skips
// those it refuses, with the reason, their event and its consequences. A paused
// stream gives nothing.
func claim(tx *store.Tx, s Stream, node uuid.UUID, limit int) ([]*claimed, error) {
	var paused bool
	if err := tx.Raw("SELECT paused_at IS NOT NULL FROM streams WHERE id = ?", s.ID).Scan(&paused).Error; err != nil || paused {
		return nil, err
	}
	now := tx.Now()
	var asked []Message
	err := tx.Raw(gateSQL(tx), s.ID, now, limit, now, now, now, s.ID, node, now).Scan(&asked).Error
	if err != nil {
		return nil, fmt.Errorf("claim due messages: %w", err)
	}
	var through []link.Message
	for _, m := range asked {
		if m.State == Claimed {
			through = append(through, m.Ref())
		} else if err := note(tx, m, event.MailSkipped, nil); err != nil {
			return nil, err
		}
	}
	ready, err := read(tx, through)
	if err != nil {
		return nil, err
	}
	if s.Queue == OriginConfirm.queue() || s.Queue == OriginService.queue() {
		return askService(tx, ready)
	}
	return ready, nil
}

// read gets what the mails need: the person and the topic.
func read(tx *store.Tx, refs []link.Message) ([]*claimed, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	sources, ids := keys(refs)
	var rows []*claimed
	err := tx.Raw(`SELECT m.*, coalesce(s.email, '') AS email, coalesce(s.name, '') AS name, coalesce(s.time_zone, '') AS time_zone,
			coalesce(s.attributes, '{}') AS attributes, s.address_hash, coalesce(tp.texts, '{}') AS topic_texts
		FROM messages m LEFT JOIN subscribers s ON s.id = m.subscriber_id LEFT JOIN topics tp ON tp.id = m.topic_id
		WHERE m.source_id IN (?) AND m.id IN (?) ORDER BY m.due_at, m.id`, sources, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read claimed messages: %w", err)
	}
	return rows, nil
}

// askService asks of confirmations and service mails whether the address is
// suppressed for their kind.
func askService(tx *store.Tx, rows []*claimed) ([]*claimed, error) {
	var ready []*claimed
	for _, m := range rows {
		reason, suppressed, err := consent.Suppressed(tx, m.BrandID, m.AddressHash, consent.MailKind(m.Kind))
		if err != nil {
			return nil, err
		}
		if !suppressed || m.SubscriberID == nil || m.Recipient != "" {
			ready = append(ready, m)
			continue
		}
		m.Reason = "suppressed:" + reason
		if err := skip(tx, m.Message); err != nil {
			return nil, err
		}
	}
	return ready, nil
}

// skip ends a claimed message that the gate turned out not to let through.
func skip(tx *store.Tx, m Message) error {
	_, err := tx.Run(`UPDATE messages SET state = 'skipped', reason = ?, settled_at = ?, node_id = NULL
		WHERE source_id = ? AND id = ? AND state = 'claimed'`, m.Reason, tx.Now(), m.SourceID, m.ID)
	if err != nil {
		return fmt.Errorf("skip a message: %w", err)
	}
	return note(tx, m, event.MailSkipped, nil)
}

// note leaves the fact on the person's timeline and lets others act on it.
func note(tx *store.Tx, m Message, kind string, data map[string]any) error {
	if m.SubscriberID == nil {
		return nil
	}
	if data == nil {
		data = map[string]any{"reason": m.Reason}
	}
	return event.Record(tx, event.Event{BrandID: m.BrandID, SubscriberID: m.SubscriberID, Kind: kind, SourceID: &m.SourceID, MessageID: &m.ID, Data: data})
}

// stillMay asks the gate's question again of claimed messages, and gives those
// that may still begin as they were made. The rest go back into the queue, where
// the next claim skips them with its reason, or makes them without the tracking
// that is no longer allowed.
func stillMay(tx *store.Tx, node uuid.UUID, refs []link.Message) (map[link.Message]bool, error) {
	sources, ids := keys(refs)
	var rows []Message
	err := tx.Raw(`SELECT m.source_id, m.id FROM messages m JOIN streams st ON st.id = m.stream_id
		LEFT JOIN subscribers s ON s.id = m.subscriber_id
		LEFT JOIN permissions p ON p.subscriber_id = m.subscriber_id AND p.topic_id = m.topic_id
		WHERE m.source_id IN (?) AND m.id IN (?) AND m.state = 'claimed' AND m.node_id = ?
			AND st.paused_at IS NULL AND st.closed = ''
			AND (m.kind <> 'marketing' OR (`+consent.EligibleSQL+`))
			AND (NOT m.tracks_opens OR `+allowsSQL("m", consent.Opens)+`) AND (NOT m.tracks_clicks OR `+allowsSQL("m", consent.Clicks)+`)`,
		sources, ids, node, tx.Now(), tx.Now(), tx.Now()).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("ask again before sending: %w", err)
	}
	may := map[link.Message]bool{}
	for _, m := range rows {
		may[m.Ref()] = true
	}
	var not []link.Message
	for _, ref := range refs {
		if !may[ref] {
			not = append(not, ref)
		}
	}
	return may, release(tx, node, not)
}

// release puts claimed messages back, as if they had not been taken.
func release(tx *store.Tx, node uuid.UUID, refs []link.Message) error {
	if len(refs) == 0 {
		return nil
	}
	sources, ids := keys(refs)
	_, err := tx.Run(`UPDATE messages SET state = 'queued', node_id = NULL
		WHERE source_id IN (?) AND id IN (?) AND state = 'claimed' AND node_id = ?`, sources, ids, node)
	if err != nil {
		return fmt.Errorf("put claimed messages back: %w", err)
	}
	return nil
}

// keys splits references for a statement; the sources let PostgreSQL look into
// their partitions only.
func keys(refs []link.Message) (sources, ids []uuid.UUID) {
	seen := map[uuid.UUID]bool{}
	for _, r := range refs {
		if !seen[r.Source] {
			seen[r.Source] = true
			sources = append(sources, r.Source)
		}
		ids = append(ids, r.ID)
	}
	return sources, ids
}

// location is the person's zone, or the brand's.
func (m *claimed) location(brandZone *time.Location) *time.Location {
	if m.TimeZone != "" {
		if loc, err := time.LoadLocation(m.TimeZone); err == nil {
			return loc
		}
	}
	return brandZone
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
	p := map[string]any{"email": m.Email, "name": m.Name, "first_name": first, "language": m.Language}
	for k, v := range m.Attributes {
		if _, fixed := p[k]; !fixed {
			p[k] = v
		}
	}
	return p
}
