package event

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Erase takes out of a person's facts what ties them to records elsewhere, or
// was said by others: numbers of orders, codes, and what mail servers answered.
// The facts stay, under the pseudonym, for what was counted of them. It reads
// events_person.
func Erase(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	_, err := tx.Run(`UPDATE events SET data = `+tx.Pick(
		`data - 'number' - 'order' - 'order_id' - 'code' - 'reply' - 'placed_at' - 'total'`,
		`json_remove(data, '$.number', '$.order', '$.order_id', '$.code', '$.reply', '$.placed_at', '$.total')`)+`
		WHERE subscriber_id = ? AND brand_id = ?`, subscriberID, brandID)
	if err != nil {
		return fmt.Errorf("erase a person's facts: %w", err)
	}
	return nil
}
