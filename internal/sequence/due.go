package sequence

import (
	"fmt"

	"assent/internal/store"
)

// Due reports whether any enrollment waits to be moved on now: one look into
// enrollments_due.
func Due(tx *store.Tx) (yes bool, err error) {
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM enrollments e JOIN sequences q ON q.id = e.sequence_id
		WHERE e.state = 'active' AND e.due_at <= ? AND q.state IN ('running', 'ended'))`, tx.Now()).Scan(&yes).Error
	if err != nil {
		return false, fmt.Errorf("look for due enrollments: %w", err)
	}
	return yes, nil
}
