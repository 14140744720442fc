package offer

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Try is a code that somebody wants to redeem for an order.
type Try struct {
	Offer uuid.UUID
	Code  string // as typed
	Order string // the shop's own number; it need not be recorded yet
}

// Redemption is a code that was redeemed.
type Redemption struct {
	OfferID      uuid.UUID
	SubscriberID uuid.UUID
	Code         string
	Order        string
	At           time.Time
	ValueKind    ValueKind
	Value        int64 // percent, or minor units
	Currency     string
	Again        bool // the same order had redeemed it before; nothing was written
}

// Why a redemption was refused, as the fact offer.refused says it.
const (
	refusedUnknown  = "unknown"
	refusedForeign  = "another-offer"
	refusedExpired  = "expired"
	refusedRedeemed = "redeemed-already"
)

// Redeem redeems a code, once. The same order asking again gets the same answer.
//
// A refusal is a fact, and stays: it is no err, so that the transaction commits
// with the event offer.refused in it, and the caller answers with refusal
// afterwards. It is NotFound offer.code-unknown for a code that is not the
// offer's, Conflict offer.redeemed-already for one that another order has used,
// and Gone offer.expired. err, on the other hand, is a wrong call (an offer of
// another brand, no order number) or a fault, and leaves nothing.
//
// Of any number at once one wins: the row is won by compare-and-set, through
// the unique index (brand, code).
func Redeem(tx *store.Tx, brandID uuid.UUID, t Try) (r Redemption, refusal *problem.Error, err error) {
	o, err := Find(tx, brandID, t.Offer)
	if err != nil {
		return r, nil, err
	}
	if t.Order, err = orderNumber("order", t.Order); err != nil {
		return r, nil, err
	}
	code, ok := readCode(t.Code)
	if !ok {
		refusal, err = o.refuse(tx, t, nil, refusedUnknown)
		return r, refusal, err
	}
	won, err := tx.Run(`UPDATE offer_codes SET redeemed_at = ?, redeemed_for = ?
		WHERE brand_id = ? AND code = ? AND offer_id = ? AND redeemed_at IS NULL AND expires_at > ?`,
		tx.Now(), t.Order, brandID, code, o.ID, tx.Now())
	if err != nil {
		return r, nil, fmt.Errorf("redeem a code: %w", err)
	}
	var found []Code
	if err := tx.Raw("SELECT * FROM offer_codes WHERE brand_id = ? AND code = ?", brandID, code).Scan(&found).Error; err != nil {
		return r, nil, fmt.Errorf("find a code: %w", err)
	}
	switch {
	case len(found) == 0:
		refusal, err = o.refuse(tx, t, nil, refusedUnknown)
	case found[0].OfferID != o.ID:
		refusal, err = o.refuse(tx, t, nil, refusedForeign)
	case won == 1:
		r = o.redemption(found[0])
		err = o.record(tx, event.OfferRedeemed, &r.SubscriberID, map[string]any{"order": r.Order, "code": hint(r.Code)})
	case found[0].RedeemedAt != nil && found[0].RedeemedFor == t.Order:
		r = o.redemption(found[0])
		r.Again = true
	case found[0].RedeemedAt != nil:
		refusal, err = o.refuse(tx, t, &found[0], refusedRedeemed)
	default:
		refusal, err = o.refuse(tx, t, &found[0], refusedExpired)
	}
	return r, refusal, err
}

func (o Offer) redemption(c Code) Redemption {
	return Redemption{OfferID: o.ID, SubscriberID: c.SubscriberID, Code: c.Code, Order: c.RedeemedFor, At: c.RedeemedAt.UTC(),
		ValueKind: o.ValueKind, Value: o.Value, Currency: o.Currency}
}

// refuse writes the fact, on the timeline of whose code it is where that is
// known, and gives the answer.
func (o Offer) refuse(tx *store.Tx, t Try, c *Code, reason string) (*problem.Error, error) {
	data := map[string]any{"order": t.Order, "reason": reason}
	var person *uuid.UUID
	answer := problem.New(problem.NotFound, "offer.code-unknown")
	if c != nil {
		person, data["code"] = &c.SubscriberID, hint(c.Code)
	}
	switch reason {
	case refusedExpired:
		answer = problem.New(problem.Gone, "offer.expired")
	case refusedRedeemed:
		answer = problem.New(problem.Conflict, "offer.redeemed-already")
	}
	return answer, o.record(tx, event.OfferRefused, person, data)
}

func (o Offer) record(tx *store.Tx, kind string, person *uuid.UUID, data map[string]any) error {
	data["offer_id"] = o.ID
	return event.Record(tx, event.Event{BrandID: o.BrandID, SubscriberID: person, Kind: kind, SourceID: &o.IssueID, Data: data})
}

// Totals is how far an offer has come.
type Totals struct {
	Budget, Issued, Redeemed, Expired int64 // expired: unredeemed, and over
}

// Count counts the codes of an offer of the brand, by the index (offer,
// subscriber), once through.
func Count(tx *store.Tx, brandID, id uuid.UUID) (Totals, error) {
	o, err := Find(tx, brandID, id)
	if err != nil {
		return Totals{}, err
	}
	t := Totals{Budget: int64(o.Budget)}
	err = tx.Raw(`SELECT count(*) AS issued, count(redeemed_at) AS redeemed,
			coalesce(sum(CASE WHEN redeemed_at IS NULL AND expires_at <= ? THEN 1 ELSE 0 END), 0) AS expired
		FROM offer_codes WHERE offer_id = ? AND brand_id = ?`, tx.Now(), id, brandID).Scan(&t).Error
	if err != nil {
		return Totals{}, fmt.Errorf("count the codes of an offer: %w", err)
	}
	t.Budget = int64(o.Budget)
	return t, nil
}

// CodesOf gives the codes a person of the brand was issued, newest first.
func CodesOf(tx *store.Tx, brandID, person uuid.UUID) ([]Code, error) {
	codes := []Code{}
	err := tx.Raw(`SELECT c.* FROM offers o JOIN offer_codes c ON c.offer_id = o.id AND c.subscriber_id = ?
		WHERE o.brand_id = ? ORDER BY c.id DESC`, person, brandID).Scan(&codes).Error
	if err != nil {
		return nil, fmt.Errorf("read a person's codes: %w", err)
	}
	return codes, nil
}
