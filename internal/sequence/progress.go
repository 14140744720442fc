package sequence

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Standing is how many people are where in a sequence.
type Standing struct {
	Waiting []Waiting        // before which step, of which version; only where somebody is
	Active  int64            // their sum
	Done    int64            // have the last mail behind them
	Ended   map[string]int64 // left before that, by reason
	Total   int64            // everybody who ever joined
}

// Waiting is how many people wait before one step.
type Waiting struct {
	Version int
	Step    int // counted from 0
	People  int64
}

// Standings counts the people of a sequence of the brand. Everybody is counted
// once, so the parts add up to Total. It reads the sequence's enrollments by
// their unique index (sequence, subscriber), once.
func Standings(tx *store.Tx, brandID, id uuid.UUID) (Standing, error) {
	if _, err := Find(tx, brandID, id); err != nil {
		return Standing{}, err
	}
	var rows []struct {
		State   string
		Reason  string
		Version int
		Step    int
		N       int64
	}
	err := tx.Raw(`SELECT state, reason, CASE state WHEN 'active' THEN version ELSE 0 END AS version, CASE state WHEN 'active' THEN step ELSE 0 END AS step, count(*) AS n
		FROM enrollments WHERE sequence_id = ? AND brand_id = ?
		GROUP BY 1, 2, 3, 4 ORDER BY 3, 4`, id, brandID).Scan(&rows).Error
	if err != nil {
		return Standing{}, fmt.Errorf("count the people of a sequence: %w", err)
	}
	s := Standing{Ended: map[string]int64{}}
	for _, r := range rows {
		s.Total += r.N
		switch r.State {
		case active:
			s.Active += r.N
			s.Waiting = append(s.Waiting, Waiting{r.Version, r.Step, r.N})
		case done:
			s.Done += r.N
		default:
			s.Ended[r.Reason] += r.N
		}
	}
	return s, nil
}
