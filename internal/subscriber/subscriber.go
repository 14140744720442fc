// Package subscriber holds the people a brand writes to: the address, what the
// shop knows of them, tags, and the key of their own under which everything
// personal about them is sealed.
//
// A person is one row per brand, found by the keyed hash of the address's
// normal form; two sign-ups at once make one person. The id doubles as the
// pseudonym in the consent ledger, which is why a row is never deleted:
// erasing empties it, replaces the hash, and destroys the key. After that Seal
// and Open answer problem.Gone.
package subscriber

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Subscriber is one person at one brand.
type Subscriber struct {
	ID            uuid.UUID
	BrandID       uuid.UUID
	Email         string // as typed; empty once erased
	AddressHash   []byte // brand.AddressHash of the normal form
	Name          string
	Language      string         // one the brand offered when it was set
	TimeZone      string         // IANA name; empty: the brand's
	Attributes    map[string]any `gorm:"serializer:json"` // string, float64 or bool
	CustomerSince *time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ErasedAt      *time.Time
	ObjectedAt    *time.Time // GDPR art. 21: neither mail nor scoring nor segments since
}

// New is what Ensure makes a subscriber from. Language is brought to the
// nearest that the brand offers.
type New struct {
	Address       Address
	Name          string
	Language      string
	TimeZone      string
	Attributes    map[string]any
	CustomerSince *time.Time
}

// Change is what Update sets; nil leaves a field as it is. In Attributes a nil
// value removes the attribute, and those not named stay.
type Change struct {
	Name          *string
	Language      *string
	TimeZone      *string
	Attributes    map[string]any
	CustomerSince *time.Time
}

// Find reads a subscriber of the brand; problem.NotFound for another brand's.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Subscriber, error) {
	return one(tx, "", "id = ?", brandID, id)
}

// Lock is Find holding the row until the end of the transaction: whoever
// changes something that hangs on a person takes this lock before reading what
// the change depends on. It lets rows that refer to the person be inserted.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Subscriber, error) {
	return one(tx, lockClause(tx), "id = ?", brandID, id)
}

// lockClause is weaker than FOR UPDATE, which would wait for every message
// being queued to the person (their foreign keys hold FOR KEY SHARE).
func lockClause(tx *store.Tx) string { return tx.Pick(" FOR NO KEY UPDATE", "") }

// ByAddress finds the subscriber with the address; problem.NotFound when there is none.
func ByAddress(tx *store.Tx, b brand.Brand, a Address) (Subscriber, error) {
	hash, err := b.AddressHash(tx, a.Normal)
	if err != nil {
		return Subscriber{}, err
	}
	return one(tx, "", "address_hash = ?", b.ID, hash)
}

func one(tx *store.Tx, lock, where string, brandID uuid.UUID, arg any) (Subscriber, error) {
	var rows []Subscriber
	err := tx.Raw("SELECT * FROM subscribers WHERE brand_id = ? AND "+where+lock, brandID, arg).Scan(&rows).Error
	if err != nil {
		return Subscriber{}, fmt.Errorf("read subscriber: %w", err)
	}
	if len(rows) == 0 {
		return Subscriber{}, problem.New(problem.NotFound, "subscriber.unknown")
	}
	return rows[0].utc(), nil
}

func (s Subscriber) utc() Subscriber {
	s.CreatedAt, s.UpdatedAt = s.CreatedAt.UTC(), s.UpdatedAt.UTC()
	s.CustomerSince, s.ErasedAt, s.ObjectedAt = utcOf(s.CustomerSince), utcOf(s.ErasedAt), utcOf(s.ObjectedAt)
	return s
}

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}

// Ensure finds the subscriber with the address or makes one. Someone who is
// there is returned as they are: what a stranger types about them changes
// nothing. Two calls at once make one row, and created is true for one of them.
func Ensure(tx *store.Tx, b brand.Brand, n New) (s Subscriber, created bool, err error) {
	made, err := EnsureAll(tx, b, []New{n})
	if err != nil {
		return Subscriber{}, false, err
	}
	return made[0].Subscriber, made[0].Fresh, made[0].Refused
}

func (n New) subscriber(b brand.Brand) (Subscriber, error) {
	s := Subscriber{BrandID: b.ID, Email: n.Address.Typed, Name: n.Name, Language: b.Offers(n.Language),
		TimeZone: n.TimeZone, Attributes: n.Attributes, CustomerSince: utcOf(n.CustomerSince)}
	if s.Email == "" || n.Address.Normal == "" {
		return s, problem.InvalidField("email", "problem.field.required")
	}
	if s.Attributes == nil {
		s.Attributes = map[string]any{}
	}
	return s, s.check()
}

// Update changes what c names and writes the fact subscriber.changed with the
// names of the fields, not their values. Nothing changed: nothing written.
func Update(tx *store.Tx, b brand.Brand, id uuid.UUID, c Change) (Subscriber, error) {
	made, err := UpdateAll(tx, b, []uuid.UUID{id}, []Change{c})
	if err != nil {
		return Subscriber{}, err
	}
	return made[0].Subscriber, made[0].Refused
}

func (s *Subscriber) apply(b brand.Brand, c Change) (fields []string) {
	if c.Name != nil && *c.Name != s.Name {
		s.Name, fields = *c.Name, append(fields, "name")
	}
	if c.Language != nil {
		if l := b.Offers(*c.Language); l != s.Language {
			s.Language, fields = l, append(fields, "language")
		}
	}
	if c.TimeZone != nil && *c.TimeZone != s.TimeZone {
		s.TimeZone, fields = *c.TimeZone, append(fields, "time_zone")
	}
	if c.CustomerSince != nil && (s.CustomerSince == nil || !s.CustomerSince.Equal(*c.CustomerSince)) {
		s.CustomerSince, fields = utcOf(c.CustomerSince), append(fields, "customer_since")
	}
	if merged, changed := merge(s.Attributes, c.Attributes); changed {
		s.Attributes, fields = merged, append(fields, "attributes")
	}
	return fields
}

// ChangeAddress gives the person another address. One that another subscriber
// of the brand has is problem.Conflict. What it takes to prove the new address,
// and to tell both, is the business of signup.
func ChangeAddress(tx *store.Tx, b brand.Brand, id uuid.UUID, a Address) (Subscriber, error) {
	s, err := Lock(tx, b.ID, id)
	if err != nil {
		return Subscriber{}, err
	}
	if s.ErasedAt != nil {
		return Subscriber{}, gone()
	}
	hash, err := b.AddressHash(tx, a.Normal)
	if err != nil {
		return Subscriber{}, err
	}
	if other, err := one(tx, "", "address_hash = ?", b.ID, hash); err == nil && other.ID != id {
		return Subscriber{}, addressTaken()
	} else if err != nil && !problem.Is(err, problem.NotFound) {
		return Subscriber{}, err
	}
	s.Email, s.AddressHash, s.UpdatedAt = a.Typed, hash, tx.Now()
	_, err = tx.Run("UPDATE subscribers SET email = ?, address_hash = ?, updated_at = ? WHERE brand_id = ? AND id = ?",
		s.Email, s.AddressHash, s.UpdatedAt, b.ID, id)
	if store.Duplicate(err) {
		return Subscriber{}, addressTaken().Because(err)
	} else if err != nil {
		return Subscriber{}, fmt.Errorf("change address: %w", err)
	}
	return s, event.Record(tx, event.Event{BrandID: b.ID, SubscriberID: &s.ID, Kind: event.AddressChanged})
}

// SetObjection sets or ends a person's objection (GDPR art. 21) and tells whether
// that changed anything. The ledger's entry is the caller's: see consent.Object.
func SetObjection(tx *store.Tx, brandID, id uuid.UUID, objects bool) (fresh bool, err error) {
	var at any
	if objects {
		at = tx.Now()
	}
	n, err := tx.Run("UPDATE subscribers SET objected_at = ?, updated_at = ? WHERE brand_id = ? AND id = ? AND (objected_at IS NULL) = ?",
		at, tx.Now(), brandID, id, objects)
	if err != nil {
		return false, fmt.Errorf("keep an objection: %w", err)
	}
	return n == 1, nil
}

func addressTaken() *problem.Error {
	return problem.New(problem.Conflict, "subscriber.address.taken").Field("email", "subscriber.address.taken")
}

func gone() *problem.Error { return problem.New(problem.Gone, "subscriber.erased") }

// Location is the zone the person's day is counted in: their own, else the brand's.
func (s Subscriber) Location(b brand.Brand) *time.Location {
	if s.TimeZone != "" {
		if loc, err := time.LoadLocation(s.TimeZone); err == nil {
			return loc
		}
	}
	return b.Location()
}
