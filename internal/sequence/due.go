package sequence

import (
	"fmt"

	"assent/internal/store"
)

// Due reports whether any enrollment waits to be moved on now, or to be ended
// with its sequence: one probe of enrollments_due (sequence, due; active only)
// for each sequence that runs or has ended.
func Due(tx *store.Tx) (yes bool, err error) {
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM sequences q
			WHERE q.state = 'running' AND EXISTS (SELECT 1 FROM enrollments e WHERE e.sequence_id = q.id AND e.state = 'active' AND e.due_at <= ?))
		OR EXISTS (SELECT 1 FROM sequences q
			WHERE q.state = 'ended' AND EXISTS (SELECT 1 FROM enrollments e WHERE e.sequence_id = q.id AND e.state = 'active'))`, tx.Now()).Scan(&yes).Error
	if err != nil {
		return false, fmt.Errorf("look for due enrollments: %w", err)
	}
	return yes, nil
}
