package offer

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Standing is an offer that runs, by its rule, and where a person stands with it.
type Standing struct {
	Offer
	CustomerSince *time.Time
	Orders        int
	Worth         int64 // of their orders in the offer's currency, in minor units
	Meets         bool  // one of the rule's conditions
	Has           bool  // a code of it was theirs already
}

// StandingsOf tells a person by which rules running offers choose, and what is
// known of them that the rules look at. Each offer costs a look at their orders.
func StandingsOf(tx *store.Tx, brandID, subscriberID uuid.UUID) (all []Standing, err error) {
	var offers []Offer
	if err := tx.Where("brand_id = ? AND state = ?", brandID, Running).Order("id").Limit(standingsMax).Find(&offers).Error; err != nil {
		return nil, fmt.Errorf("read the running offers: %w", err)
	}
	for _, o := range offers {
		s := Standing{Offer: o}
		var rows []struct {
			CustomerSince *time.Time
			Orders        int
			Worth         int64
			Has           bool
		}
		err := tx.Raw(`SELECT s.customer_since, `+ordersSQL+`, EXISTS (SELECT 1 FROM offer_codes c WHERE c.offer_id = ? AND c.subscriber_id = s.id) AS has
			FROM subscribers s WHERE s.brand_id = ? AND s.id = ?`, o.Currency, o.ID, brandID, subscriberID).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("ask where somebody stands with an offer: %w", err)
		}
		if len(rows) == 0 {
			return nil, nil
		}
		s.CustomerSince, s.Orders, s.Worth, s.Has = rows[0].CustomerSince, rows[0].Orders, rows[0].Worth, rows[0].Has
		s.Meets = o.MinMonths > 0 && s.CustomerSince != nil && !s.CustomerSince.After(monthsBefore(tx.Now(), o.MinMonths)) ||
			o.MinOrders > 0 && s.Orders >= o.MinOrders || o.MinValue > 0 && s.Worth >= o.MinValue
		all = append(all, s)
	}
	return all, nil
}

const standingsMax = 50
