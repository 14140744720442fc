package subscriber

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Outcome is what came of one of many. Refused is a problem: nothing was done
// for this one, whatever became of the others.
type Outcome struct {
	Subscriber
	Fresh   bool // made, or changed, by this call
	Refused error
}

// columns of a subscriber, without erased_at: who is erased is not written any more.
const columns = "id uuid, brand_id uuid, email text, address_hash bytea, name text, language text, time_zone text, attributes jsonb, customer_since timestamptz, created_at timestamptz, updated_at timestamptz"

func (s Subscriber) row() ([]any, error) {
	attributes, err := encode(s.Attributes)
	return []any{s.ID, s.BrandID, s.Email, s.AddressHash, s.Name, s.Language, s.TimeZone, attributes, s.CustomerSince, s.CreatedAt, s.UpdatedAt}, err
}

// EnsureAll is Ensure for many, in the same number of statements. An address
// that is there several times is one person, whom the first makes. The rows go
// in by the hash of the address, so that two calls at once do not wait for each
// other in a circle.
func EnsureAll(tx *store.Tx, b brand.Brand, all []New) ([]Outcome, error) {
	out := make([]Outcome, len(all))
	var rows [][]any
	var hashes [][]byte
	hash, err := b.AddressHasher(tx)
	if err != nil {
		return nil, err
	}
	for i, n := range all {
		s, err := n.subscriber(b)
		if err != nil {
			out[i].Refused = err
			continue
		}
		s.AddressHash = hash(n.Address.Normal)
		s.ID, s.CreatedAt, s.UpdatedAt = tx.NewID(), tx.Now(), tx.Now()
		row, err := s.row()
		if err != nil {
			return nil, err
		}
		out[i].Subscriber, out[i].Fresh = s, true
		rows, hashes = append(rows, row), append(hashes, s.AddressHash)
	}
	slices.SortStableFunc(rows, func(a, b []any) int { return bytes.Compare(a[3].([]byte), b[3].([]byte)) })
	n, err := tx.InsertAll("subscribers", columns, rows, "ON CONFLICT (brand_id, address_hash) DO NOTHING")
	if err != nil {
		return nil, fmt.Errorf("make subscribers: %w", err)
	}
	if int(n) < len(rows) {
		if err := meet(tx, b, out, hashes); err != nil {
			return nil, err
		}
	}
	return out, event.RecordAll(tx, facts(out, event.SubscriberCreated, nil))
}

// meet puts those who were there already in the place of those not made.
func meet(tx *store.Tx, b brand.Brand, out []Outcome, hashes [][]byte) error {
	there, err := byHash(tx, b.ID, hashes)
	if err != nil {
		return err
	}
	byHash := make(map[string]Subscriber, len(there))
	for _, s := range there {
		byHash[string(s.AddressHash)] = s
	}
	for i, o := range out {
		if o.Refused != nil {
			continue
		}
		s, ok := byHash[string(o.AddressHash)]
		if !ok {
			return fmt.Errorf("make subscribers: neither made nor there: %s", o.ID)
		}
		if s.ID != o.ID {
			out[i] = Outcome{Subscriber: s}
		}
	}
	return nil
}

// facts of the fresh ones; data may be nil.
func facts(out []Outcome, kind string, data []map[string]any) []event.Event {
	var all []event.Event
	for i, o := range out {
		if !o.Fresh {
			continue
		}
		e := event.Event{BrandID: o.BrandID, SubscriberID: &o.ID, Kind: kind}
		if data != nil {
			e.Data = data[i]
		}
		all = append(all, e)
	}
	return all
}

// byHash looks once an address into the unique key (brand, hash), whatever the
// planner knows of the table: for a list of hashes it would rather read all of
// the brand's people, each time (OFFSET 0: it does not join them its own way).
func byHash(tx *store.Tx, brandID uuid.UUID, hashes [][]byte) ([]Subscriber, error) {
	wanted := make([][]any, len(hashes))
	for i, h := range hashes {
		wanted[i] = []any{h}
	}
	from, args := tx.Rows("v", "hash bytea", wanted)
	var rows []Subscriber
	err := tx.Raw(tx.Pick(`SELECT s.* FROM `+from+` CROSS JOIN LATERAL (SELECT * FROM subscribers s WHERE s.brand_id = ? AND s.address_hash = v.hash OFFSET 0) AS s`,
		`SELECT s.* FROM `+from+` CROSS JOIN subscribers s ON s.brand_id = ? AND s.address_hash = v.hash`), append(args, brandID)...).Scan(&rows).Error
	return inUTC(rows, err)
}

// some reads subscribers of the brand by their ids.
func some(tx *store.Tx, lock string, brandID uuid.UUID, ids []uuid.UUID) ([]Subscriber, error) {
	var rows []Subscriber
	err := tx.Raw("SELECT * FROM subscribers WHERE brand_id = ? AND id IN (?) ORDER BY id"+lock, brandID, ids).Scan(&rows).Error
	return inUTC(rows, err)
}

func inUTC(rows []Subscriber, err error) ([]Subscriber, error) {
	if err != nil {
		return nil, fmt.Errorf("read subscribers: %w", err)
	}
	for i := range rows {
		rows[i] = rows[i].utc()
	}
	return rows, nil
}

// LockAll is Lock for many, in the order of their ids. Who is not of the brand
// is not in the answer.
func LockAll(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID) (map[uuid.UUID]Subscriber, error) {
	rows, err := some(tx, lockClause(tx), brandID, ids)
	found := make(map[uuid.UUID]Subscriber, len(rows))
	for _, s := range rows {
		found[s.ID] = s
	}
	return found, err
}

// UpdateAll is Update for many, in the same number of statements: changes[i] for
// ids[i], one after the other where a person is there several times.
func UpdateAll(tx *store.Tx, b brand.Brand, ids []uuid.UUID, changes []Change) ([]Outcome, error) {
	people, err := LockAll(tx, b.ID, ids)
	if err != nil {
		return nil, err
	}
	out, data := make([]Outcome, len(ids)), make([]map[string]any, len(ids))
	changed := map[uuid.UUID]bool{}
	for i, id := range ids {
		s, ok := people[id]
		switch {
		case !ok:
			out[i].Refused = problem.New(problem.NotFound, "subscriber.unknown")
			continue
		case s.ErasedAt != nil:
			out[i].Refused = gone()
			continue
		}
		fields := s.apply(b, changes[i])
		if len(fields) > 0 {
			if err := s.check(); err != nil {
				out[i].Refused = err
				continue
			}
			s.UpdatedAt = tx.Now()
			people[id], changed[id], data[i] = s, true, map[string]any{"fields": fields}
		}
		out[i].Subscriber, out[i].Fresh = s, len(fields) > 0
	}
	var rows [][]any
	for id := range changed {
		row, err := people[id].row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	_, err = tx.InsertAll("subscribers", columns, rows, `ON CONFLICT (id) DO UPDATE SET name = excluded.name, language = excluded.language,
		time_zone = excluded.time_zone, attributes = excluded.attributes, customer_since = excluded.customer_since, updated_at = excluded.updated_at`)
	if err != nil {
		return nil, fmt.Errorf("update subscribers: %w", err)
	}
	return out, event.RecordAll(tx, facts(out, event.SubscriberChanged, data))
}

// Check says what is wrong with somebody and their tags, as Ensure and AddTags
// would, without asking the database.
func (n New) Check(b brand.Brand, tags []string) error {
	if _, err := n.subscriber(b); err != nil {
		return err
	}
	_, err := cleanTags(tags)
	return err
}

// ByHashes finds the subscribers with the addresses, by their keyed hash. It
// reads a unique key once an address.
func ByHashes(tx *store.Tx, brandID uuid.UUID, hashes [][]byte) (map[string]Subscriber, error) {
	if len(hashes) == 0 {
		return map[string]Subscriber{}, nil
	}
	rows, err := byHash(tx, brandID, hashes)
	found := make(map[string]Subscriber, len(rows))
	for _, s := range rows {
		found[string(s.AddressHash)] = s
	}
	return found, err
}
