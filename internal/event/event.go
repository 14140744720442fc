// Package event keeps the facts of the business: one row each, written in the
// transaction in which the fact came true, and told in the same transaction to
// the rooms that listen.
//
// A listener that fails undoes the fact with everything else in its
// transaction, so a fact and its consequences are there together or not at
// all. Facts hold no addresses and no names: ids, counts and codes only, so
// that erasing a person leaves them harmless.
package event

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// The kinds of facts. They are stored and shown to API users: none is ever renamed.
const (
	ConsentRequested   = "consent.requested"
	ConsentGiven       = "consent.given"
	ConsentRenewed     = "consent.renewed"
	ConsentRefused     = "consent.refused"
	ConsentWithdrawn   = "consent.withdrawn"
	ConsentExpired     = "consent.expired"
	ConsentInvalidated = "consent.invalidated"

	SignupAsked     = "signup.asked"
	SignupConfirmed = "signup.confirmed"
	SignupDeclined  = "signup.declined"
	SignupDisowned  = "signup.disowned"
	SignupExpired   = "signup.expired"

	MailSent      = "mail.sent"
	MailFailed    = "mail.failed"
	MailSkipped   = "mail.skipped"
	MailUncertain = "mail.uncertain"
	MailOpened    = "mail.opened"
	MailClicked   = "mail.clicked"

	SendingPaused = "sending.paused" // by a circuit breaker
	SendingWarned = "sending.warned"

	AlarmRaised = "alarm.raised"
	AlarmEnded  = "alarm.ended"

	FormGuarded = "form.guarded" // visitors prove work first
	FormPaused  = "form.paused"
	FormResumed = "form.resumed"

	OrderPlaced   = "order.placed"
	OfferIssued   = "offer.issued"
	OfferRedeemed = "offer.redeemed"
	OfferRefused  = "offer.refused"

	SequenceEnrolled = "sequence.enrolled"
	SequenceEnded    = "sequence.ended"

	SubscriberCreated = "subscriber.created"
	SubscriberChanged = "subscriber.changed"
	AddressChanged    = "address.changed"
	AddressSuppressed = "address.suppressed"
	AddressLifted     = "address.lifted"
)

// Event is one fact. Data holds what JSON can hold.
type Event struct {
	ID           uuid.UUID
	At           time.Time
	BrandID      uuid.UUID
	SubscriberID *uuid.UUID // nil where the fact is about no one person
	Kind         string
	SourceID     *uuid.UUID // with MessageID: the message it is about
	MessageID    *uuid.UUID
	Data         map[string]any `gorm:"serializer:json"`
}

// TableName implements gorm's Tabler.
func (Event) TableName() string { return "events" }

// A Listener acts on facts of one kind in the facts' own transaction; its error
// rolls everything back. It gets those that were recorded together, in order.
type Listener func(*store.Tx, []Event) error

type listenersKey struct{}

type listeners map[string][]Listener

// Listen has f called at every fact of the kind, in the order of the calls to
// Listen. It is for the start of the program, before the first transaction.
func Listen(db *store.DB, kind string, f func(*store.Tx, Event) error) {
	ListenAll(db, kind, func(tx *store.Tx, facts []Event) error {
		for _, e := range facts {
			if err := f(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListenAll is Listen for who can act on many facts at less cost than on each.
func ListenAll(db *store.DB, kind string, f Listener) {
	all, ok := db.Attached(listenersKey{}).(listeners)
	if !ok {
		all = listeners{}
		db.Attach(listenersKey{}, all)
	}
	all[kind] = append(all[kind], f)
}

// Record writes the fact and calls those who listen to its kind. ID and At are
// filled where they are empty, At with the transaction's time.
func Record(tx *store.Tx, e Event) error { return RecordAll(tx, []Event{e}) }

// RecordAll is Record for many facts, in one statement. A listener is called
// once with all of its kind.
func RecordAll(tx *store.Tx, facts []Event) error {
	if len(facts) == 0 {
		return nil
	}
	var kinds []string
	byKind := make(map[string][]Event, 1)
	rows := make([][]any, len(facts))
	for i, e := range facts {
		if e.At.IsZero() {
			e.At = tx.Now()
		}
		if e.ID == uuid.Nil {
			e.ID = store.NewID(e.At)
		}
		if e.Data == nil {
			e.Data = map[string]any{}
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			return fmt.Errorf("record %s: %w", e.Kind, err)
		}
		rows[i] = []any{e.ID, e.At, e.BrandID, e.SubscriberID, e.Kind, e.SourceID, e.MessageID, string(data)}
		if _, ok := byKind[e.Kind]; !ok {
			kinds = append(kinds, e.Kind)
		}
		byKind[e.Kind] = append(byKind[e.Kind], e)
	}
	_, err := tx.InsertAll("events", "id uuid, at timestamptz, brand_id uuid, subscriber_id uuid, kind text, source_id uuid, message_id uuid, data jsonb", rows, "")
	if err != nil {
		return fmt.Errorf("record %s: %w", strings.Join(kinds, ", "), err)
	}
	all, _ := tx.Attached(listenersKey{}).(listeners)
	for _, kind := range kinds {
		for _, f := range all[kind] {
			if err := f(tx, byKind[kind]); err != nil {
				return fmt.Errorf("act on %s: %w", kind, err)
			}
		}
	}
	return nil
}

const pageMax = 200

// Timeline gives a person's facts, newest first, at most limit (1 to 200) at
// once. before is empty for the first page, else what next was; next is empty
// after the last. A cursor that was not made here is problem.Malformed.
//
// That a mail was sent is no row here: the message's own row is the fact. The
// cost is that of the page, by events_person, and of the person's messages, by
// messages_person.
func Timeline(tx *store.Tx, brandID, subscriberID uuid.UUID, before string, limit int) (page []Event, next string, err error) {
	limit = min(max(limit, 1), pageMax)
	at, id := farAhead, uuid.Max
	if before != "" {
		if at, id, err = readCursor(before); err != nil {
			return nil, "", err
		}
	}
	err = tx.Where("brand_id = ? AND subscriber_id = ? AND (at, id) < (?, ?)", brandID, subscriberID, at, id).
		Order("at DESC, id DESC").Limit(limit + 1).Find(&page).Error
	if err != nil {
		return nil, "", fmt.Errorf("read the timeline: %w", err)
	}
	sent, err := mails(tx, brandID, subscriberID, at, id, limit+1)
	if err != nil {
		return nil, "", err
	}
	page = append(page, sent...)
	slices.SortFunc(page, func(a, b Event) int {
		return cmp.Or(b.At.Compare(a.At), bytes.Compare(b.ID[:], a.ID[:]))
	})
	if len(page) > limit {
		page = page[:limit]
		next = cursor(page[limit-1])
	}
	for i := range page {
		page[i].At = page[i].At.UTC()
	}
	return page, next, nil
}

// About gives the facts about one message to a person, oldest first, but that it
// was sent, which is no row. It reads the person's facts since a time before the
// first of them, by events_person.
func About(tx *store.Tx, brandID, subscriberID, sourceID, messageID uuid.UUID, since time.Time) (all []Event, err error) {
	err = tx.Where("brand_id = ? AND subscriber_id = ? AND at >= ? AND source_id = ? AND message_id = ?", brandID, subscriberID, since, sourceID, messageID).
		Order("at, id").Limit(pageMax).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read the facts about a message: %w", err)
	}
	for i := range all {
		all[i].At = all[i].At.UTC()
	}
	return all, nil
}

// farAhead is after every fact.
var farAhead = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// mails are the person's sent messages, as facts.
func mails(tx *store.Tx, brandID, subscriberID uuid.UUID, at time.Time, id uuid.UUID, limit int) ([]Event, error) {
	var rows []struct {
		ID, SourceID uuid.UUID
		SettledAt    time.Time
	}
	err := tx.Raw(`SELECT id, source_id, settled_at FROM messages WHERE subscriber_id = ? AND brand_id = ? AND state = 'sent'
		AND (settled_at, id) < (?, ?) ORDER BY settled_at DESC, id DESC LIMIT ?`, subscriberID, brandID, at, id, limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the mails of the timeline: %w", err)
	}
	facts := make([]Event, len(rows))
	for i, r := range rows {
		facts[i] = Event{ID: r.ID, At: r.SettledAt, BrandID: brandID, SubscriberID: &subscriberID, Kind: MailSent,
			SourceID: &r.SourceID, MessageID: &r.ID, Data: map[string]any{}}
	}
	return facts, nil
}

func cursor(e Event) string {
	return strconv.FormatInt(e.At.UnixMicro(), 36) + "." + e.ID.String()
}

func readCursor(s string) (time.Time, uuid.UUID, error) {
	at, id, _ := strings.Cut(s, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	if err != nil || micros < 0 || micros > 253402300799_999999 { // the end of the year 9999
		return time.Time{}, uuid.Nil, problem.New(problem.Malformed, "problem.malformed")
	}
	u, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}, uuid.Nil, problem.New(problem.Malformed, "problem.malformed").Because(err)
	}
	return time.UnixMicro(micros).UTC(), u, nil
}
