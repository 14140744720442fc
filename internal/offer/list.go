package offer

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Some gives up to limit of a brand's offers, the newest first, those made
// before one where it is named.
func Some(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Offer, error) {
	q := tx.Where("brand_id = ?", brandID)
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	some := []Offer{}
	if err := q.Order("id DESC").Limit(limit).Find(&some).Error; err != nil {
		return nil, fmt.Errorf("list offers: %w", err)
	}
	return some, nil
}

// Eligible counts who would be given a code now, were there no budget. Its cost
// is that of reading the topic's permissions in force, and for each what earns
// the offer: a few µs a person.
func Eligible(tx *store.Tx, brandID, id uuid.UUID) (n int64, err error) {
	o, err := Find(tx, brandID, id)
	if err != nil {
		return 0, err
	}
	from, args := o.eligible(tx.Now())
	if err := tx.Raw("SELECT count(*)"+from, args...).Scan(&n).Error; err != nil {
		return 0, fmt.Errorf("count for whom an offer is: %w", err)
	}
	return n, nil
}

// FindCode reads a code of the brand, of whichever offer, from what somebody
// typed, by the unique index (brand, code). What is no code, and none of the
// brand's, is problem.NotFound.
func FindCode(tx *store.Tx, brandID uuid.UUID, typed string) (Code, error) {
	code, ok := readCode(typed)
	if !ok {
		return Code{}, problem.New(problem.NotFound, "offer.code-unknown")
	}
	var found []Code
	if err := tx.Raw("SELECT * FROM offer_codes WHERE brand_id = ? AND code = ?", brandID, code).Scan(&found).Error; err != nil {
		return Code{}, fmt.Errorf("find a code: %w", err)
	}
	if len(found) == 0 {
		return Code{}, problem.New(problem.NotFound, "offer.code-unknown")
	}
	return found[0].utc(), nil
}

// Holder is a code with whom it was given to.
type Holder struct {
	Code
	Email, Name string
}

// CodeQuery narrows the codes of an offer; empty fields do not.
type CodeQuery struct {
	Code   string    // whole, as typed
	Person uuid.UUID // whose
	Before uuid.UUID // the last code of the page before
	Limit  int
}

// Codes lists the codes of an offer of the brand, the newest first. It reads a
// page of offer_codes_offer (offer, id), or one row by a unique index.
func Codes(tx *store.Tx, brandID, id uuid.UUID, q CodeQuery) ([]Holder, error) {
	if _, err := Find(tx, brandID, id); err != nil {
		return nil, err
	}
	where, args := "c.offer_id = ? AND c.brand_id = ?", []any{id, brandID}
	if q.Code != "" {
		code, ok := readCode(q.Code)
		if !ok {
			return []Holder{}, nil
		}
		where, args = where+" AND c.code = ?", append(args, code)
	}
	if q.Person != uuid.Nil {
		where, args = where+" AND c.subscriber_id = ?", append(args, q.Person)
	}
	if q.Before != uuid.Nil {
		where, args = where+" AND c.id < ?", append(args, q.Before)
	}
	codes := []Holder{}
	err := tx.Raw(`SELECT c.*, s.email, s.name FROM offer_codes c JOIN subscribers s ON s.brand_id = c.brand_id AND s.id = c.subscriber_id
		WHERE `+where+" ORDER BY c.id DESC LIMIT ?", append(args, q.Limit)...).Scan(&codes).Error
	if err != nil {
		return nil, fmt.Errorf("list an offer's codes: %w", err)
	}
	for i := range codes {
		codes[i].Code = codes[i].utc()
	}
	return codes, nil
}

func (c Code) utc() Code {
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.UTC(), c.ExpiresAt.UTC()
	if c.RedeemedAt != nil {
		at := c.RedeemedAt.UTC()
		c.RedeemedAt = &at
	}
	return c
}

// Bought is what the orders were worth that codes were redeemed for, in one
// currency, as the shop reported them.
type Bought struct {
	Currency string
	Orders   int64
	Total    int64 // minor units
}

// BoughtWith adds up the orders that the codes of an offer of the brand were
// redeemed for, of those that the shop has reported. It reads the offer's codes
// and for each that was redeemed the unique index (brand, number) of orders.
func BoughtWith(tx *store.Tx, brandID, id uuid.UUID) ([]Bought, error) {
	all := []Bought{}
	err := tx.Raw(`SELECT r.currency, count(*) AS orders, sum(r.total) AS total
		FROM offer_codes c JOIN orders r ON r.brand_id = c.brand_id AND r.number = c.redeemed_for
		WHERE c.offer_id = ? AND c.brand_id = ? AND c.redeemed_at IS NOT NULL GROUP BY r.currency ORDER BY r.currency`, id, brandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("add up the orders of an offer: %w", err)
	}
	return all, nil
}

// LastUntil is when the last code of an offer of the brand expires, or did, of
// those that are not redeemed; nil where there is none. It reads the offer's
// codes once.
func LastUntil(tx *store.Tx, brandID, id uuid.UUID) (*time.Time, error) {
	var last []Code
	err := tx.Raw(`SELECT expires_at FROM offer_codes WHERE offer_id = ? AND brand_id = ? AND redeemed_at IS NULL ORDER BY expires_at DESC LIMIT 1`,
		id, brandID).Scan(&last).Error
	if err != nil {
		return nil, fmt.Errorf("look when the last code expires: %w", err)
	}
	if len(last) == 0 {
		return nil, nil
	}
	at := last[0].ExpiresAt.UTC()
	return &at, nil
}

// SampleValues is what the template of an offer's mail knows in a language, for
// somebody who is made up and a code that is none.
func (o Offer) SampleValues(now time.Time, lang string, loc *time.Location) map[string]any {
	return o.values(Code{Code: "XXXX-XXXX-XXXX", ExpiresAt: o.expiry(now, loc)}, lang, loc)
}
