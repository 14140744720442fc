package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

// SetStreamRate sets how many mails of a stream may leave in an hour; 0 is no
// limit. A mail already claimed is not held back by it.
func SetStreamRate(tx *store.Tx, brandID, id uuid.UUID, perHour int) error {
	if perHour < 0 || perHour > brand.RateMost {
		return problem.InvalidField("rate_per_hour", "problem.field.rate", "Max", brand.RateMost)
	}
	n, err := tx.Run("UPDATE streams SET rate_per_hour = ? WHERE id = ? AND brand_id = ?", perHour, id, brandID)
	if err != nil {
		return fmt.Errorf("set the pace of a stream: %w", err)
	}
	if n == 0 {
		return problem.New(problem.NotFound, "delivery.stream-unknown")
	}
	return nil
}

// StreamRates gives the mails an hour of those of the streams that have a limit.
func StreamRates(tx *store.Tx, brandID uuid.UUID, ids ...uuid.UUID) (map[uuid.UUID]int, error) {
	rates := map[uuid.UUID]int{}
	if len(ids) == 0 {
		return rates, nil
	}
	var rows []struct {
		ID          uuid.UUID
		RatePerHour int
	}
	err := tx.Raw("SELECT id, rate_per_hour FROM streams WHERE brand_id = ? AND id IN (?) AND rate_per_hour > 0", brandID, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the pace of streams: %w", err)
	}
	for _, r := range rows {
		rates[r.ID] = r.RatePerHour
	}
	return rates, nil
}

// RestWarmUps moves the warm-up of brands that sent nothing for so long to now:
// receivers have forgotten them, and they begin anew whenever they send again.
// It looks for their youngest mails by messages_stream, whose ids begin with
// the time they were made; once a day is enough.
func RestWarmUps(tx *store.Tx, idle time.Duration) error {
	since := tx.Now().Add(-idle)
	_, err := tx.Run(`UPDATE brands SET warm_up_from = ?, updated_at = ? WHERE warm_up_from < ? AND NOT EXISTS (
		SELECT 1 FROM streams st JOIN messages m ON m.stream_id = st.id AND m.id > ?
		WHERE st.brand_id = brands.id AND m.state = 'sent')`, tx.Now(), tx.Now(), since, store.FirstID(since))
	if err != nil {
		return fmt.Errorf("begin the warm-up of silent brands anew: %w", err)
	}
	return nil
}
