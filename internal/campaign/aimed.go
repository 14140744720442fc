package campaign

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// AimedAt are the newest campaigns that were sent, or are being sent, to people
// with one of the tags, at most limit of them. It reads the brand's campaigns by
// their key from its end.
func AimedAt(tx *store.Tx, brandID uuid.UUID, tags []string, limit int) (all []Campaign, err error) {
	if len(tags) == 0 {
		return nil, nil
	}
	err = tx.Where("brand_id = ? AND tag IN (?) AND state IN (?)", brandID, tags, []State{Freezing, Sending, Sent}).
		Order("id DESC").Limit(limit).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("look for campaigns by their tag: %w", err)
	}
	return all, nil
}
