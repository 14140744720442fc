package tracking

import (
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase takes network and program out of what a person opened and followed; that
// it was, and when, stays under the pseudonym for what was counted of it. It
// reads hits_person.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	if _, err := tx.Run("UPDATE hits SET user_agent = '', network = '' WHERE subscriber_id = ? AND brand_id = ?", f.ID, f.BrandID); err != nil {
		return fmt.Errorf("erase what a person opened: %w", err)
	}
	return nil
}
