package consent

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// schema names the form of a leaf; another form gets another number.
const schema = "urn:assent:consent-event:1"

const saltSize = 32

// timeForm is RFC 3339 in UTC with the microseconds that the databases keep.
const timeForm = "2006-01-02T15:04:05.000000Z"

// leaf is the public part of an event, for the log: nothing in it tells who
// the person is once evidence, salt and key are destroyed. Fields are those of
// ISO/IEC TS 27560 and DPV, named for readers.
type leaf struct { // fields stand in the order of their names, here and below: see canonical
	CollectionMethod   string      `json:"collection_method"`
	ControllerRef      uuid.UUID   `json:"controller_ref"`
	Entity             leafEntity  `json:"entity"`
	EventID            uuid.UUID   `json:"event_id"`
	EventState         State       `json:"event_state"`
	EventTime          string      `json:"event_time"`
	EventType          string      `json:"event_type"`
	EvidenceCommitment string      `json:"evidence_commitment"`
	Jurisdiction       string      `json:"jurisdiction"`
	Notice             leafNotice  `json:"notice"`
	PreviousEvent      *uuid.UUID  `json:"prev_event_of_record"`
	Purposes           []purpose   `json:"purposes"`
	RecordID           uuid.UUID   `json:"record_id"` // the same for all events of one person and topic
	Schema             string      `json:"schema"`
	Subject            uuid.UUID   `json:"subject"`
	ValidUntil         *string     `json:"valid_until"`
	Wording            leafWording `json:"wording"`
}

type leafEntity struct {
	Kind string `json:"kind"`
}

type leafNotice struct {
	Language string `json:"lang"`
	URL      string `json:"url"`
}

type leafWording struct {
	FormID      *uuid.UUID `json:"form_id"`
	FormVersion *int       `json:"form_version"`
	Locale      string     `json:"locale"`
	SHA256      *string    `json:"sha256"` // hex, of the exact words
}

type purpose struct {
	ID          uuid.UUID `json:"id"` // the topic
	Kind        string    `json:"kind"`
	LawfulBasis string    `json:"lawful_basis"`
	PausedUntil string    `json:"paused_until,omitempty"`
	PromiseDays int       `json:"promise_days,omitempty"`
	PromiseMax  int       `json:"promise_max,omitempty"`
	State       State     `json:"state"`
}

// commit gives e its leaf and returns what the leaf commits to: a random salt
// and the private part in canonical JSON.
func (p person) commit(e *Event, a Act) (salt, private []byte, err error) {
	if salt, private, err = conceal(p.Email, a.told()); err != nil {
		return nil, nil, err
	}
	e.Leaf, err = canonical(newLeaf(*e, a, p.brand, commitment(salt, private)))
	if err != nil {
		return nil, nil, fmt.Errorf("write the leaf: %w", err)
	}
	return salt, private, nil
}

// conceal makes what a leaf commits to of an address and the evidence.
func conceal(address string, evidence map[string]any) (salt, private []byte, err error) {
	if evidence == nil {
		evidence = map[string]any{}
	}
	private, err = canonical(map[string]any{"address": address, "evidence": evidence})
	if err != nil {
		return nil, nil, problem.InvalidField("evidence", "consent.evidence-unreadable").Because(err)
	}
	salt = make([]byte, saltSize)
	rand.Read(salt) // never fails (crypto/rand, Go 1.24)
	return salt, private, nil
}

func newLeaf(e Event, a Act, b brand.Brand, evidence string) leaf {
	l := leaf{
		Schema: schema, EventID: e.ID, RecordID: RecordID(e.SubscriberID, e.TopicID),
		EventType: e.Basis, EventState: e.State, EventTime: e.OccurredAt.Format(timeForm),
		Entity: leafEntity{a.Entity}, Subject: e.SubscriberID, ControllerRef: e.BrandID,
		Notice:  leafNotice{URL: b.In(e.Language).PrivacyURL, Language: e.Language},
		Wording: leafWording{FormID: e.FormID, FormVersion: e.FormVersion, Locale: e.Language},
		Purposes: []purpose{{ID: e.TopicID, Kind: a.Topic.Purpose, State: e.State, LawfulBasis: "consent",
			PromiseMax: e.PromiseMax, PromiseDays: e.PromiseDays}},
		Jurisdiction: b.Jurisdiction, CollectionMethod: e.Method,
		EvidenceCommitment: evidence, PreviousEvent: e.PreviousID,
	}
	if e.ValidUntil != nil {
		until := e.ValidUntil.Format(timeForm)
		l.ValidUntil = &until
	}
	if e.PausedUntil != nil {
		l.Purposes[0].PausedUntil = e.PausedUntil.Format(timeForm)
	}
	if e.WordingHash != nil {
		sum := hex.EncodeToString(e.WordingHash)
		l.Wording.SHA256 = &sum
	}
	return l
}

// RecordID names all events of one person and topic together (UUIDv5 of both).
func RecordID(subscriberID, topicID uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(subscriberID, topicID[:])
}

// canonical is RFC 8785 of a map, or of a struct whose fields stand in the order
// of their names.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if plain(text) {
		return text, nil
	}
	return jcs.Transform(text)
}

// plain reports that text, as Go's encoder writes it, is canonical already:
// where all is ASCII both sort names alike (by bytes, and by UTF-16), nothing is
// escaped, and the numbers are whole and short enough for every notation.
func plain(text []byte) bool {
	quoted, digits := false, 0
	for _, c := range text {
		switch {
		case c >= 0x80 || c == '\\':
			return false
		case c == '"':
			quoted = !quoted
		case quoted:
		case c >= '0' && c <= '9':
			if digits++; digits > 15 {
				return false
			}
			continue
		case c == '.' || c == '+' || c == '-' || c == 'E' || c == 'e' && digits > 0:
			return false
		}
		digits = 0
	}
	return true
}

func commitment(salt, private []byte) string {
	h := hmac.New(sha256.New, salt)
	h.Write(private)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// VerifyEvidence reports whether private (JSON, in any spelling of the same
// value) and salt are what the event's leaf commits to: HMAC-SHA-256 under the
// salt over the canonical JSON. It needs nothing but its arguments.
func VerifyEvidence(e Event, salt, private []byte) bool {
	var l leaf
	return json.Unmarshal(e.Leaf, &l) == nil && committed(l.EvidenceCommitment, salt, private)
}

func committed(to string, salt, private []byte) bool {
	form, err := jcs.Transform(private)
	return err == nil && len(salt) == saltSize && hmac.Equal([]byte(commitment(salt, form)), []byte(to))
}

// CheckLeaf reports whether the leaf is in canonical form and says the same as
// the event's row. It needs neither evidence nor key, and so outlives erasure.
func CheckLeaf(e Event) bool {
	form, err := jcs.Transform(e.Leaf)
	var l leaf
	if err != nil || !bytes.Equal(form, e.Leaf) || json.Unmarshal(e.Leaf, &l) != nil {
		return false
	}
	e = e.utc()
	var until *string
	if e.ValidUntil != nil {
		s := e.ValidUntil.Format(timeForm)
		until = &s
	}
	paused := ""
	if e.PausedUntil != nil {
		paused = e.PausedUntil.Format(timeForm)
	}
	return l.Schema == schema && l.EventID == e.ID && l.EventState == e.State && l.Subject == e.SubscriberID &&
		l.ControllerRef == e.BrandID && l.RecordID == RecordID(e.SubscriberID, e.TopicID) &&
		l.EventTime == e.OccurredAt.Format(timeForm) && same(l.ValidUntil, until) && same(l.PreviousEvent, e.PreviousID) &&
		len(l.Purposes) == 1 && l.Purposes[0].ID == e.TopicID && l.Purposes[0].State == e.State &&
		l.Notice.Language == e.Language && l.Wording.Locale == e.Language && same(l.Wording.FormID, e.FormID) && same(l.Wording.FormVersion, e.FormVersion) &&
		l.Purposes[0].PromiseMax == e.PromiseMax && l.Purposes[0].PromiseDays == e.PromiseDays && l.Purposes[0].PausedUntil == paused &&
		l.wordingHash() == hex.EncodeToString(e.WordingHash) && l.CollectionMethod == e.Method && l.EventType == e.Basis
}

func (l leaf) wordingHash() string {
	if l.Wording.SHA256 == nil {
		return ""
	}
	return *l.Wording.SHA256
}

func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// Entity is who acted: one of the Entity constants.
func (e Event) Entity() (string, error) {
	var l leaf
	if err := json.Unmarshal(e.Leaf, &l); err != nil {
		return "", fmt.Errorf("read leaf %s: %w", e.ID, err)
	}
	return l.Entity.Kind, nil
}

// Proof is the erasable half of an event.
type Proof struct {
	Address  string         // as it was typed
	Evidence map[string]any // as Record got it, numbers as float64
	Salt     []byte
	Private  []byte // canonical JSON of address and evidence, what the leaf commits to
}

// EvidenceOf opens the evidence of an event; problem.Gone once it was erased.
// The id must come from an event of the brand that asks: see FindEvent and History.
func EvidenceOf(tx *store.Tx, eventID uuid.UUID) (Proof, error) {
	var rows []struct {
		SubscriberID uuid.UUID
		Salt, Sealed []byte
	}
	err := tx.Raw("SELECT subscriber_id, salt, sealed FROM consent_evidence WHERE event_id = ?", eventID).Scan(&rows).Error
	if err != nil {
		return Proof{}, fmt.Errorf("read evidence: %w", err)
	}
	if len(rows) == 0 {
		return Proof{}, problem.New(problem.Gone, "consent.evidence-erased")
	}
	p := Proof{Salt: rows[0].Salt}
	if p.Private, err = subscriber.Open(tx, rows[0].SubscriberID, rows[0].Sealed); err != nil {
		return Proof{}, err
	}
	var parts struct {
		Address  string         `json:"address"`
		Evidence map[string]any `json:"evidence"`
	}
	if err := json.Unmarshal(p.Private, &parts); err != nil {
		return Proof{}, fmt.Errorf("read evidence of %s: %w", eventID, err)
	}
	p.Address, p.Evidence = parts.Address, parts.Evidence
	return p, nil
}
