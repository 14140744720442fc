package consent

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Why an address gets no mail.
const (
	HardBounce = "hard-bounce" // the mailbox is not there
	Complaint  = "complaint"   // it was reported as spam
	NotMe      = "not-me"      // its owner says somebody else typed it
	Left       = "left"        // "leave everything"
	Manual     = "manual"      // staff stopped it
)

// MailKind is what a mail is for, in the words of messages.kind.
type MailKind string

// The kinds of mail.
const (
	MarketingMail MailKind = "marketing"
	ConfirmMail   MailKind = "confirm"
	ServiceMail   MailKind = "service"
	TestMail      MailKind = "test"
)

// rule says for how long after it was set a suppression stops a kind of mail.
type rule time.Duration

const always rule = -1

// stops is the table of reason by kind; a kind that is not named goes.
// Marketing is stopped by every reason, which EligibleSQL relies on.
var stops = map[string]map[MailKind]rule{
	HardBounce: {MarketingMail: always, ConfirmMail: always, ServiceMail: always, TestMail: always},
	Complaint:  {MarketingMail: always, ConfirmMail: always},
	NotMe:      {MarketingMail: always, ConfirmMail: rule(notMeRest)},
	Left:       {MarketingMail: always},
	Manual:     {MarketingMail: always, ConfirmMail: always, ServiceMail: always, TestMail: always},
}

// Suppression is one reason why an address gets no mail.
type Suppression struct {
	BrandID     uuid.UUID
	AddressHash []byte
	Reason      string
	Detail      string
	CreatedAt   time.Time
}

// Suppress stops mail to an address for a reason, whether or not the brand has
// a subscriber with it, and outlives the subscriber's erasure. Again for the
// same reason: the detail and the time are the new ones, so not-me counts its
// 30 days from the last time it was said. detail is a code or a server's
// reply, without anything personal.
func Suppress(tx *store.Tx, b brand.Brand, addressHash []byte, reason, detail string) error {
	if _, ok := stops[reason]; !ok {
		return problem.InvalidField("reason", "problem.field.choice")
	}
	_, err := tx.Run(`INSERT INTO suppressions (brand_id, address_hash, reason, detail, created_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (brand_id, address_hash, reason) DO UPDATE SET detail = excluded.detail, created_at = excluded.created_at`,
		b.ID, addressHash, reason, detail, tx.Now())
	if err != nil {
		return fmt.Errorf("suppress an address: %w", err)
	}
	return tell(tx, b.ID, addressHash, event.AddressSuppressed, reason)
}

// Lift takes a suppression back. One that is not there is no fault.
func Lift(tx *store.Tx, b brand.Brand, addressHash []byte, reason string) error {
	if _, ok := stops[reason]; !ok {
		return problem.InvalidField("reason", "problem.field.choice")
	}
	return lift(tx, b.ID, addressHash, reason)
}

// Liftable reports whether staff may lift a suppression: what they or a mail
// server said. What the person said only they take back.
func Liftable(reason string) bool { return reason == Manual || reason == HardBounce }

func lift(tx *store.Tx, brandID uuid.UUID, addressHash []byte, reasons ...string) error {
	var lifted []string
	err := tx.Raw("DELETE FROM suppressions WHERE brand_id = ? AND address_hash = ? AND reason IN (?) RETURNING reason",
		brandID, addressHash, reasons).Scan(&lifted).Error
	if err != nil {
		return fmt.Errorf("lift a suppression: %w", err)
	}
	for _, reason := range lifted {
		if err := tell(tx, brandID, addressHash, event.AddressLifted, reason); err != nil {
			return err
		}
	}
	return nil
}

// tell puts the fact on the timeline of whoever has the address.
func tell(tx *store.Tx, brandID uuid.UUID, addressHash []byte, kind, reason string) error {
	var ids []uuid.UUID
	err := tx.Raw("SELECT id FROM subscribers WHERE brand_id = ? AND address_hash = ?", brandID, addressHash).Scan(&ids).Error
	if err != nil {
		return fmt.Errorf("find whose address it is: %w", err)
	}
	e := event.Event{BrandID: brandID, Kind: kind, Data: map[string]any{"reason": reason}}
	if len(ids) > 0 {
		e.SubscriberID = &ids[0]
	}
	return event.Record(tx, e)
}

// Suppressed reports whether a kind of mail to the address is stopped now, and
// why: the first reason by name where there are several.
//
//	              marketing  confirm          service  test
//	hard-bounce   no         no               no       no
//	complaint     no         no               yes      yes
//	not-me        no         after 30 days    yes      yes
//	left          no         yes              yes      yes
//	manual        no         no               no       no
func Suppressed(tx *store.Tx, brandID uuid.UUID, addressHash []byte, kind MailKind) (reason string, yes bool, err error) {
	all, err := Suppressions(tx, brandID, addressHash)
	if err != nil {
		return "", false, err
	}
	reason, yes = stoppedNow(all, kind, tx.Now())
	return reason, yes, nil
}

// stoppedNow is the table for the suppressions of one address, by name.
func stoppedNow(all []Suppression, kind MailKind, now time.Time) (reason string, yes bool) {
	for _, s := range all {
		r, ok := stops[s.Reason][kind]
		if ok && (r == always || now.Before(s.CreatedAt.Add(time.Duration(r)))) {
			return s.Reason, true
		}
	}
	return "", false
}

// Suppressions gives all reasons why the address gets no mail, by name.
func Suppressions(tx *store.Tx, brandID uuid.UUID, addressHash []byte) ([]Suppression, error) {
	all, err := suppressionsOf(tx, brandID, [][]byte{addressHash})
	return all[string(addressHash)], err
}

// Stopped is a suppression with whoever has the address; nil and empty where
// only its keyed hash is known.
type Stopped struct {
	Suppression
	SubscriberID *uuid.UUID
	Email        string
}

// ListSuppressions gives the brand's suppressions by hash and reason, those
// after a hash and reason (none and empty: from the beginning), at most limit.
// It reads the key of suppressions; the person costs one look at a unique key
// each.
func ListSuppressions(tx *store.Tx, brandID uuid.UUID, hash []byte, reason string, limit int) ([]Stopped, error) {
	if len(hash) == 0 {
		hash = []byte{0} // below any hash; GORM makes NULL of no bytes at all
	}
	var all []Stopped
	err := tx.Raw(`SELECT x.*, s.id AS subscriber_id, coalesce(s.email, '') AS email FROM suppressions x
		LEFT JOIN subscribers s ON s.brand_id = x.brand_id AND s.address_hash = x.address_hash
		WHERE x.brand_id = ? AND x.address_hash >= ? AND (x.address_hash > ? OR x.reason > ?) ORDER BY x.address_hash, x.reason LIMIT ?`,
		brandID, hash, hash, reason, limit).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	for i := range all {
		all[i].CreatedAt = all[i].CreatedAt.UTC()
	}
	return all, nil
}

// suppressionsOf is Suppressions for many addresses, by their hash. It reads
// the key of suppressions once an address.
func suppressionsOf(tx *store.Tx, brandID uuid.UUID, hashes [][]byte) (map[string][]Suppression, error) {
	rows := make([][]any, len(hashes))
	for i, h := range hashes {
		rows[i] = []any{h}
	}
	from, args := tx.Rows("v", "hash bytea", rows)
	var all []Suppression
	err := tx.Raw(tx.Pick(`SELECT x.* FROM `+from+` CROSS JOIN LATERAL (SELECT * FROM suppressions x WHERE x.brand_id = ? AND x.address_hash = v.hash OFFSET 0) AS x`,
		`SELECT x.* FROM `+from+` CROSS JOIN suppressions x ON x.brand_id = ? AND x.address_hash = v.hash`), append(args, brandID)...).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	byHash := map[string][]Suppression{}
	for _, s := range all {
		s.CreatedAt = s.CreatedAt.UTC()
		byHash[string(s.AddressHash)] = append(byHash[string(s.AddressHash)], s)
	}
	for _, of := range byHash {
		slices.SortFunc(of, func(a, b Suppression) int { return compare(a.Reason, b.Reason) })
	}
	return byHash, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
