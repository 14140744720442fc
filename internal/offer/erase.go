package offer

import (
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase takes the shop's numbers out of a person's orders, and their codes out
// of the offers: both would lead back to them. What was paid, and that a code
// was given and redeemed, stays under the pseudonym for the sums. A code that
// was not redeemed ends.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE orders SET number = 'erased-' || CAST(id AS text) WHERE brand_id = ? AND subscriber_id = ?", []any{f.BrandID, f.ID}},
		{"UPDATE offer_codes SET code = 'erased-' || CAST(id AS text), redeemed_for = '' WHERE brand_id = ? AND subscriber_id = ?", []any{f.BrandID, f.ID}},
		{"UPDATE offer_codes SET expires_at = ? WHERE brand_id = ? AND subscriber_id = ? AND redeemed_at IS NULL AND expires_at > ?", []any{tx.Now(), f.BrandID, f.ID, tx.Now()}},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase what a person bought: %w", err)
		}
	}
	return nil
}
