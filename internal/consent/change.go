package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// changeSchema names the form of a leaf about a change.
const changeSchema = "urn:assent:change-event:1"

// The kinds of changes.
const (
	ChangedLanguage  = "language"
	ChangedProfile   = "profile" // name, time zone, attributes
	ChangedAddress   = "address"
	Objected         = "objection"        // GDPR art. 21(2): neither mail nor scoring nor segments
	ObjectionLifted  = "objection-lifted" // by the person
	Erased           = "erasure"          // GDPR art. 17
	RequestOpened    = "request-opened"   // under data-protection law
	RequestClosed    = "request-closed"
	ReceivedTheirOwn = "export" // GDPR art. 15 and 20
)

// Change is something of a person's record that was changed, or done with it,
// beside their permissions.
type Change struct {
	Brand      brand.Brand
	Subscriber uuid.UUID
	Kind       string   // a word; rooms above may add their own
	Fields     []string // what was changed, without values: names that say nothing of a person; may be empty
	Method     string   // see Method…
	Entity     string   // EntitySubject when empty
	Evidence   map[string]any
}

// ChangeEvent is the entry of the ledger for a change.
type ChangeEvent struct {
	ID           uuid.UUID
	BrandID      *uuid.UUID // nil with SubscriberID: an entry of the log about itself
	SubscriberID *uuid.UUID
	Kind         string
	Method       string
	OccurredAt   time.Time
	Leaf         []byte // RFC 8785 canonical JSON, final
}

// TableName implements gorm's Tabler.
func (ChangeEvent) TableName() string { return "change_events" }

type changeLeaf struct { // in the order of the names, see canonical
	CollectionMethod   string     `json:"collection_method"`
	ControllerRef      uuid.UUID  `json:"controller_ref"`
	Entity             leafEntity `json:"entity"`
	EventID            uuid.UUID  `json:"event_id"`
	EventTime          string     `json:"event_time"`
	EvidenceCommitment string     `json:"evidence_commitment"`
	Fields             []string   `json:"fields"`
	Kind               string     `json:"kind"`
	Schema             string     `json:"schema"`
	Subject            uuid.UUID  `json:"subject"`
}

// RecordChange writes a change into the ledger, with its evidence sealed under
// the person's key. The change itself is the caller's, in the same transaction.
// For someone erased it fails with problem.Gone.
func RecordChange(tx *store.Tx, c Change) (ChangeEvent, error) {
	if c.Entity == "" {
		c.Entity = EntitySubject
	}
	if err := c.check(); err != nil {
		return ChangeEvent{}, err
	}
	p, err := lock(tx, c.Brand, c.Subscriber)
	if err != nil {
		return ChangeEvent{}, err
	}
	e := ChangeEvent{ID: tx.NewID(), BrandID: &p.brand.ID, SubscriberID: &p.ID, Kind: c.Kind, Method: c.Method, OccurredAt: tx.Now()}
	salt, private, err := conceal(p.Email, c.Evidence)
	if err != nil {
		return ChangeEvent{}, err
	}
	fields := slices.Clone(c.Fields)
	slices.Sort(fields)
	if fields == nil {
		fields = []string{}
	}
	e.Leaf, err = canonical(changeLeaf{CollectionMethod: c.Method, ControllerRef: p.brand.ID, Entity: leafEntity{c.Entity}, EventID: e.ID,
		EventTime: e.OccurredAt.Format(timeForm), EvidenceCommitment: commitment(salt, private), Fields: fields, Kind: c.Kind,
		Schema: changeSchema, Subject: p.ID})
	if err != nil {
		return ChangeEvent{}, fmt.Errorf("write the leaf: %w", err)
	}
	sealed, err := subscriber.Seal(tx, p.ID, private)
	if err != nil {
		return ChangeEvent{}, err
	}
	if err := tx.Create(&e).Error; err != nil {
		return ChangeEvent{}, fmt.Errorf("record a change: %w", err)
	}
	_, err = tx.Run("INSERT INTO change_evidence (event_id, subscriber_id, salt, sealed) VALUES (?, ?, ?, ?)", e.ID, p.ID, salt, sealed)
	if err != nil {
		return ChangeEvent{}, fmt.Errorf("keep evidence: %w", err)
	}
	return e, toLog(tx, []pending{{e.ID, false}})
}

func (c Change) check() error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if !word.MatchString(c.Kind) {
		p.Field("kind", "consent.method")
	}
	if !word.MatchString(c.Method) {
		p.Field("method", "consent.method")
	}
	for _, f := range c.Fields {
		if !word.MatchString(f) {
			p.Field("fields", "consent.method")
		}
	}
	return p.OrNil()
}

// CheckChange is CheckLeaf for a change. An entry of the log about itself says
// what it says.
func CheckChange(e ChangeEvent) bool {
	form, err := jcs.Transform(e.Leaf)
	if err != nil || !bytes.Equal(form, e.Leaf) {
		return false
	}
	if e.SubscriberID == nil {
		return true
	}
	var l changeLeaf
	return json.Unmarshal(e.Leaf, &l) == nil && e.BrandID != nil && l.Schema == changeSchema && l.EventID == e.ID && l.Subject == *e.SubscriberID &&
		l.ControllerRef == *e.BrandID && l.Kind == e.Kind && l.CollectionMethod == e.Method && l.EventTime == e.OccurredAt.UTC().Format(timeForm)
}

// VerifyChange is VerifyEvidence for a change.
func VerifyChange(e ChangeEvent, salt, private []byte) bool {
	var l changeLeaf
	return json.Unmarshal(e.Leaf, &l) == nil && committed(l.EvidenceCommitment, salt, private)
}

// Changes are a person's, oldest first.
func Changes(tx *store.Tx, brandID, subscriberID uuid.UUID) ([]ChangeEvent, error) {
	var all []ChangeEvent
	err := tx.Where("brand_id = ? AND subscriber_id = ?", brandID, subscriberID).Order("occurred_at, id").Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	for i := range all {
		all[i].OccurredAt = all[i].OccurredAt.UTC()
	}
	return all, nil
}

// pending is an event on its way into the log.
type pending struct {
	id   uuid.UUID
	bulk bool // not what a person waits for
}

type bellKey struct{}

// HangBell has ring called after every commit that leaves something for the log.
func HangBell(db *store.DB, ring func()) { db.Attach(bellKey{}, ring) }

// toLog leaves events for the log: it gives them their place in its own time.
func toLog(tx *store.Tx, all []pending) error {
	rows := make([][]any, len(all))
	for i, p := range all {
		rows[i] = []any{p.bulk, p.id}
	}
	if _, err := tx.InsertAll("log_pending", "bulk boolean, event_id uuid", rows, ""); err != nil {
		return fmt.Errorf("leave events for the log: %w", err)
	}
	if ring, ok := tx.Attached(bellKey{}).(func()); ok {
		tx.AfterCommit(ring)
	}
	return nil
}
