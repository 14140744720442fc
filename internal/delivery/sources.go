package delivery

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// reasonsMost is how many different reasons are told of one source.
const reasonsMost = 50

// ReasonCount is how many messages of a source ended in a state for a reason.
type ReasonCount struct {
	State  State
	Reason string
	N      int64
}

// Reasons tells why messages of a source were left out, refused or are
// uncertain, the most frequent first. It reads the source by the primary key.
func Reasons(tx *store.Tx, brandID, sourceID uuid.UUID) (all []ReasonCount, err error) {
	err = tx.Raw(`SELECT state, reason, count(*) AS n FROM messages
		WHERE source_id = ? AND brand_id = ? AND state IN ('skipped', 'failed', 'uncertain')
		GROUP BY state, reason ORDER BY n DESC, state, reason LIMIT ?`, sourceID, brandID, reasonsMost).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("count the reasons of a source: %w", err)
	}
	return all, nil
}

// CountsOf counts several sources at once, each by its range of the primary key.
// What is claimed counts as queued.
func CountsOf(tx *store.Tx, brandID uuid.UUID, sources ...uuid.UUID) (map[uuid.UUID]Counts, error) {
	all := map[uuid.UUID]Counts{}
	if len(sources) == 0 {
		return all, nil
	}
	var rows []struct {
		SourceID uuid.UUID
		State    State
		N        int64
	}
	err := tx.Raw("SELECT source_id, state, count(*) AS n FROM messages WHERE source_id IN (?) AND brand_id = ? GROUP BY source_id, state", sources, brandID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count the messages of sources: %w", err)
	}
	for _, r := range rows {
		c := all[r.SourceID]
		c.Add(r.State, r.N)
		all[r.SourceID] = c
	}
	return all, nil
}
