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

// stand is how many enrollments of a version stand at a step in a state. The
// step is the one they wait before, or left at; past the last, they are done.
type stand struct {
	Version, Step int
	State, Reason string
	N             int64
}

// stands counts the enrollments of a sequence that the caller has found to be
// the brand's. It reads enrollments_standing (sequence, version, step, state,
// reason) once: 200,000 people cost some 80 ms.
func stands(tx *store.Tx, id uuid.UUID) (all []stand, err error) {
	err = tx.Raw(`SELECT version, step, state, reason, count(*) AS n FROM enrollments WHERE sequence_id = ?
		GROUP BY version, step, state, reason ORDER BY version, step, state, reason`, id).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("count the people of a sequence: %w", err)
	}
	return all, nil
}

// Standings counts the people of a sequence of the brand. Everybody is counted
// once, so the parts add up to Total.
func Standings(tx *store.Tx, brandID, id uuid.UUID) (Standing, error) {
	if _, err := Find(tx, brandID, id); err != nil {
		return Standing{}, err
	}
	all, err := stands(tx, id)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Ended: map[string]int64{}}
	for _, r := range all {
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

// Tally is how many people of a sequence are under way, and how many joined it ever.
type Tally struct{ Active, Total int64 }

// Tallies counts the people of several sequences of the brand at once, each by
// its range of enrollments_standing.
func Tallies(tx *store.Tx, brandID uuid.UUID, of []Sequence) (map[uuid.UUID]Tally, error) {
	var ids []uuid.UUID
	for _, s := range of {
		if s.BrandID == brandID {
			ids = append(ids, s.ID)
		}
	}
	all := map[uuid.UUID]Tally{}
	if len(ids) == 0 {
		return all, nil
	}
	var rows []struct {
		SequenceID    uuid.UUID
		Active, Total int64
	}
	err := tx.Raw(`SELECT sequence_id, sum(CASE state WHEN 'active' THEN 1 ELSE 0 END) AS active, count(*) AS total
		FROM enrollments WHERE sequence_id IN (?) GROUP BY sequence_id`, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count the people of sequences: %w", err)
	}
	for _, r := range rows {
		all[r.SequenceID] = Tally{r.Active, r.Total}
	}
	return all, nil
}
