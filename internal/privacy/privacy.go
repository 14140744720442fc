// Package privacy is what people can ask of a brand under data-protection law:
// all that is kept of them, to be forgotten, and the requests themselves with
// their clock.
//
// Erasing promises: in one transaction everything is withdrawn, what is queued is
// skipped, key, salts and evidence are destroyed, and every room takes out of its
// tables what is personal. What stays is the keyed hash of the address among the
// suppressions, so that they are not written to, and their events in the ledger
// under a pseudonym that leads to nobody. Erasing again changes nothing.
//
// An erasure outlives the database: its pseudonym and time stand in a file of the
// data folder too. Whoever starts on an older copy of the database erases anew
// those who are in the file, before anything is sent.
//
// Which rooms keep something of a person is a table, Part, which app fills:
// privacy stands beside them and imports none.
package privacy

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// MethodRestore is how an erasure comes about that was made before, and undone
// by an older copy of the database.
const MethodRestore = "restore"

// Part is what a room keeps of people.
type Part struct {
	Name string // of its chapter in an export; empty: it has nothing to tell
	// Erase takes out all that is personal, or that leads to the person. It is
	// repeatable.
	Erase func(*store.Tx, subscriber.Forgotten) error
	// Tell gives all that is kept of somebody, as JSON takes it.
	Tell func(*store.Tx, brand.Brand, subscriber.Subscriber) (any, error)
	// Addresses are those that somebody had, or has, beside their own.
	Addresses func(*store.Tx, subscriber.Subscriber) ([]string, error)
}

type partsKey struct{}

// Join has the parts asked at every erasure and export, in their order. It is for
// the start of the program, before the first transaction.
func Join(db *store.DB, all ...Part) {
	before, _ := db.Attached(partsKey{}).([]Part)
	db.Attach(partsKey{}, append(slices.Clone(before), all...))
}

func parts(tx *store.Tx) []Part {
	all, _ := tx.Attached(partsKey{}).([]Part)
	return all
}

// Erase forgets somebody. method is how it came about, a word as in the ledger.
// Who is erased already stays so. GDPR art. 17, LGPD art. 18 VI.
//
// Its cost grows with what they were sent and did, by indexes of theirs, and with
// the brand's imports that are not done.
func Erase(tx *store.Tx, b brand.Brand, id uuid.UUID, method, entity string) error {
	s, err := subscriber.Lock(tx, b.ID, id)
	if err != nil {
		return err
	}
	if s.ErasedAt != nil {
		return note(tx, s.ID, *s.ErasedAt)
	}
	if _, err := consent.WithdrawAll(tx, b, id, method, nil); err != nil {
		return err
	}
	if err := closeErased(tx, b, id, method); err != nil {
		return err
	}
	if _, err := consent.RecordChange(tx, consent.Change{Brand: b, Subscriber: id, Kind: consent.Erased, Method: method, Entity: entity}); err != nil {
		return err
	}
	f, err := forgotten(tx, b, s)
	if err != nil {
		return err
	}
	for _, p := range parts(tx) {
		if p.Erase == nil {
			continue
		}
		if err := p.Erase(tx, f); err != nil {
			return err
		}
	}
	if err := eraseRequests(tx, id); err != nil {
		return err
	}
	if err := event.Erase(tx, b.ID, id); err != nil {
		return err
	}
	if err := consent.Erase(tx, f); err != nil {
		return err
	}
	if err := subscriber.Erase(tx, f); err != nil {
		return err
	}
	return note(tx, id, tx.Now())
}

func forgotten(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) (subscriber.Forgotten, error) {
	var addresses []string
	for _, p := range parts(tx) {
		if p.Addresses == nil {
			continue
		}
		some, err := p.Addresses(tx, s)
		if err != nil {
			return subscriber.Forgotten{}, err
		}
		addresses = append(addresses, some...)
	}
	return s.Forget(b, addresses...), nil
}

// note writes the erasure down, in the database now and in the file after the commit.
func note(tx *store.Tx, id uuid.UUID, at time.Time) error {
	if _, err := tx.Run("INSERT INTO erasures (subscriber_id, at) VALUES (?, ?) ON CONFLICT (subscriber_id) DO NOTHING", id, at); err != nil {
		return fmt.Errorf("note an erasure: %w", err)
	}
	if beside, ok := tx.Attached(besideKey{}).(*beside); ok {
		tx.AfterCommit(func() { beside.write(erasure{id, at}) })
	}
	return nil
}

// find is somebody at a brand who is not erased; problem.Gone where they are.
func find(tx *store.Tx, b brand.Brand, id uuid.UUID) (subscriber.Subscriber, error) {
	s, err := subscriber.Find(tx, b.ID, id)
	if err == nil && s.ErasedAt != nil {
		err = problem.New(problem.Gone, "subscriber.erased")
	}
	return s, err
}

// ErasedAt is Erase, and tells when it was.
func ErasedAt(tx *store.Tx, b brand.Brand, id uuid.UUID, method, entity string) (time.Time, error) {
	if err := Erase(tx, b, id, method, entity); err != nil {
		return time.Time{}, err
	}
	s, err := subscriber.Find(tx, b.ID, id)
	if err != nil {
		return time.Time{}, err
	}
	return *s.ErasedAt, nil
}
