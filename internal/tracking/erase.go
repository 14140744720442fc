package tracking

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Erase takes network and program out of what a person opened and followed; that
// it was, and when, stays under the pseudonym for what was counted of it. It
// reads hits_person.
func Erase(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	if _, err := tx.Run("UPDATE hits SET user_agent = '', network = '' WHERE subscriber_id = ? AND brand_id = ?", subscriberID, brandID); err != nil {
		return fmt.Errorf("erase what a person opened: %w", err)
	}
	return nil
}
