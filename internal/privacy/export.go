package privacy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Export is all that a brand keeps of somebody, for themself (GDPR art. 15 and
// 20). Times are RFC 3339 in UTC. Besides what is named here it has a chapter for
// each Part that tells one. Fields are added, never renamed.
type Export struct {
	Format     string           `json:"format"` // "urn:assent:personal-data:1"
	At         time.Time        `json:"at"`
	Controller Controller       `json:"controller"`
	Person     Person           `json:"person"`
	Now        []Permission     `json:"permissions"`
	Ledger     []Event          `json:"consent_events"`
	Changes    []Changed        `json:"changes"`
	Silenced   []Suppressed     `json:"suppressions"`
	Notes      []Note           `json:"notes"`
	Requests   []Case           `json:"requests"`
	More       map[string]any   `json:"more"` // by the name of the part
	Events     []map[string]any `json:"events"`
}

// Controller is who keeps it.
type Controller struct {
	Name          string `json:"name"`
	PostalAddress string `json:"postal_address"`
	Email         string `json:"email"`
	Website       string `json:"website,omitempty"`
	Privacy       string `json:"privacy,omitempty"`
}

// Person is the record itself.
type Person struct {
	ID            uuid.UUID      `json:"id"` // the pseudonym in the ledger
	Email         string         `json:"email"`
	Name          string         `json:"name"`
	Language      string         `json:"language"`
	TimeZone      string         `json:"time_zone,omitempty"`
	Attributes    map[string]any `json:"attributes"`
	Tags          []string       `json:"tags"`
	CustomerSince *time.Time     `json:"customer_since,omitempty"`
	ObjectedAt    *time.Time     `json:"objected_at,omitempty"` // to mail, scoring and groups
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
}

// Permission is where they stand with a topic.
type Permission struct {
	Topic       string     `json:"topic"`
	State       string     `json:"state"`
	Since       time.Time  `json:"since"`
	ValidUntil  *time.Time `json:"valid_until,omitempty"`
	PromiseMax  int        `json:"promise_max,omitempty"`
	PromiseDays int        `json:"promise_days,omitempty"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	SaidAt      *time.Time `json:"said_at,omitempty"` // where that was before since
	EventID     uuid.UUID  `json:"event_id"`
}

// Event is an entry of the ledger with its evidence and what the leaf commits to.
type Event struct {
	ID         uuid.UUID       `json:"id"`
	Topic      string          `json:"topic"`
	State      string          `json:"state"`
	Basis      string          `json:"basis"`
	Method     string          `json:"method"`
	At         time.Time       `json:"at"`
	ValidUntil *time.Time      `json:"valid_until,omitempty"`
	Words      string          `json:"words,omitempty"` // exactly as shown
	Language   string          `json:"language"`
	Address    string          `json:"address,omitempty"`
	Evidence   map[string]any  `json:"evidence,omitempty"`
	Salt       []byte          `json:"salt,omitempty"`
	Leaf       json.RawMessage `json:"leaf"`
}

// Changed is an entry of the ledger about a change.
type Changed struct {
	ID     uuid.UUID       `json:"id"`
	Kind   string          `json:"kind"`
	Method string          `json:"method"`
	At     time.Time       `json:"at"`
	Leaf   json.RawMessage `json:"leaf"`
}

// Suppressed is why they get no mail.
type Suppressed struct {
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// Note is what the team wrote down about them.
type Note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Case is what they asked for.
type Case struct {
	ID       uuid.UUID  `json:"id"`
	Kind     string     `json:"kind"`
	Way      string     `json:"way"`
	OpenedAt time.Time  `json:"opened_at"`
	DueAt    time.Time  `json:"due_at"`
	ClosedAt *time.Time `json:"closed_at,omitempty"`
	Outcome  string     `json:"outcome,omitempty"`
	Acts     []CaseAct  `json:"acts"`
}

// CaseAct is what was done about it.
type CaseAct struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Text string    `json:"text,omitempty"`
}

// Format names the form of an export.
const Format = "urn:assent:personal-data:1"

// Tell gathers all that is kept of somebody, and writes into the ledger that it
// was handed over. Who is erased is problem.Gone: there is nothing.
func Tell(tx *store.Tx, b brand.Brand, id uuid.UUID, method, entity string) (x Export, err error) {
	s, err := find(tx, b, id)
	if err != nil {
		return x, err
	}
	if x, err = gather(tx, b, s); err != nil {
		return x, err
	}
	_, err = consent.RecordChange(tx, consent.Change{Brand: b, Subscriber: id, Kind: consent.ReceivedTheirOwn, Method: method, Entity: entity})
	return x, err
}

func gather(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) (x Export, err error) {
	text := b.In(s.Language)
	x = Export{Format: Format, At: tx.Now(), Controller: Controller{Name: text.Name, PostalAddress: text.PostalAddress, Email: b.SenderEmail, Website: b.Website, Privacy: text.PrivacyURL},
		Person: Person{ID: s.ID, Email: s.Email, Name: s.Name, Language: s.Language, TimeZone: s.TimeZone, Attributes: s.Attributes,
			CustomerSince: s.CustomerSince, ObjectedAt: s.ObjectedAt, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}, More: map[string]any{}}
	if x.Person.Tags, err = subscriber.Tags(tx, b.ID, s.ID); err != nil {
		return x, err
	}
	for _, add := range []func(*store.Tx, brand.Brand, subscriber.Subscriber) error{x.permissions, x.ledger, x.silence, x.notes, x.requests, x.facts} {
		if err := add(tx, b, s); err != nil {
			return x, err
		}
	}
	for _, p := range parts(tx) {
		if p.Tell == nil {
			continue
		}
		if x.More[p.Name], err = p.Tell(tx, b, s); err != nil {
			return x, err
		}
	}
	return x, nil
}

func (x *Export) permissions(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) error {
	topics, err := slugs(tx, b)
	if err != nil {
		return err
	}
	all, err := consent.Permissions(tx, b.ID, s.ID)
	x.Now = []Permission{}
	for _, p := range all {
		x.Now = append(x.Now, Permission{Topic: topics[p.TopicID], State: string(p.State), Since: p.Since, ValidUntil: p.ValidUntil,
			PromiseMax: p.PromiseMax, PromiseDays: p.PromiseDays, PausedUntil: p.PausedUntil, SaidAt: p.SaidAt, EventID: p.EventID})
	}
	return err
}

func slugs(tx *store.Tx, b brand.Brand) (map[uuid.UUID]string, error) {
	all, err := consent.AllTopics(tx, b.ID)
	if err != nil {
		return nil, err
	}
	names := make(map[uuid.UUID]string, len(all))
	for _, t := range all {
		names[t.ID] = t.Slug
	}
	return names, nil
}

func (x *Export) ledger(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) error {
	topics, err := slugs(tx, b)
	if err != nil {
		return err
	}
	history, err := consent.History(tx, b.ID, s.ID)
	if err != nil {
		return err
	}
	x.Ledger, x.Changes = []Event{}, []Changed{}
	for _, e := range history {
		one := Event{ID: e.ID, Topic: topics[e.TopicID], State: string(e.State), Basis: e.Basis, Method: e.Method, At: e.OccurredAt,
			ValidUntil: e.ValidUntil, Language: e.Language, Leaf: e.Leaf}
		if one.Words, err = consent.WordingOf(tx, e); err != nil {
			return err
		}
		proof, err := consent.EvidenceOf(tx, e.ID)
		if err != nil && !problem.Is(err, problem.Gone) {
			return err
		}
		one.Address, one.Evidence, one.Salt = proof.Address, proof.Evidence, proof.Salt
		x.Ledger = append(x.Ledger, one)
	}
	changes, err := consent.Changes(tx, b.ID, s.ID)
	for _, c := range changes {
		x.Changes = append(x.Changes, Changed{c.ID, c.Kind, c.Method, c.OccurredAt, c.Leaf})
	}
	return err
}

func (x *Export) silence(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) error {
	all, err := consent.Suppressions(tx, b.ID, s.AddressHash)
	x.Silenced = []Suppressed{}
	for _, one := range all {
		x.Silenced = append(x.Silenced, Suppressed{one.Reason, one.Detail, one.CreatedAt})
	}
	return err
}

func (x *Export) notes(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) error {
	all, err := subscriber.Notes(tx, b.ID, s.ID)
	x.Notes = []Note{}
	for _, n := range all {
		x.Notes = append(x.Notes, Note{n.At, n.Text})
	}
	return err
}

func (x *Export) requests(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) error {
	all, err := Of(tx, b.ID, s.ID)
	if err != nil {
		return err
	}
	x.Requests = []Case{}
	for _, r := range all {
		one := Case{ID: r.ID, Kind: r.Kind, Way: r.Way, OpenedAt: r.OpenedAt, DueAt: r.DueAt, ClosedAt: r.ClosedAt, Outcome: r.Outcome, Acts: []CaseAct{}}
		acts, err := Acts(tx, r)
		if err != nil {
			return err
		}
		for _, a := range acts {
			one.Acts = append(one.Acts, CaseAct{a.At, a.What, a.Text})
		}
		x.Requests = append(x.Requests, one)
	}
	return nil
}

func (x *Export) facts(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) (err error) {
	x.Events, err = Rows(tx, "SELECT kind, at, source_id, message_id, data FROM events WHERE subscriber_id = ? AND brand_id = ? ORDER BY at, id", s.ID, b.ID)
	return err
}

// Rows reads rows as JSON takes them: columns by their names, times in UTC, JSON
// as it is.
func Rows(tx *store.Tx, query string, args ...any) ([]map[string]any, error) {
	rows, err := tx.Raw(query, args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read what is kept of a person: %w", err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := []map[string]any{}
	for rows.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		one := make(map[string]any, len(names))
		for i, name := range names {
			one[name] = plain(name, values[i])
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func plain(name string, v any) any {
	switch x := v.(type) {
	case time.Time:
		return x.UTC()
	case []byte:
		v = string(x)
	}
	text, ok := v.(string)
	if !ok || name != "data" || !json.Valid([]byte(text)) {
		return v
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return json.RawMessage(text)
	}
	for field := range fields { // who has the addresses of a mail can act as the person
		if strings.HasSuffix(field, "_url") {
			delete(fields, field)
		}
	}
	return fields
}
