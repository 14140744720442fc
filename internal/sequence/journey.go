package sequence

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Journey is one person's way through a sequence, as it may be told to them.
type Journey struct {
	TopicID  uuid.UUID
	Mails    int // that the version they are on has
	Had      int // that are behind them
	State    string
	JoinedAt time.Time
}

// Over reports that no mail of it comes any more.
func (j Journey) Over() bool { return j.State != active }

// JourneysOf are a person's enrollments, newest first. It reads enrollments_person.
func JourneysOf(tx *store.Tx, brandID, subscriberID uuid.UUID) (all []Journey, err error) {
	var rows []struct {
		Enrollment `gorm:"embedded"`
		TopicID    uuid.UUID
	}
	err = tx.Raw(`SELECT e.*, q.topic_id FROM enrollments e JOIN sequences q ON q.brand_id = e.brand_id AND q.id = e.sequence_id
		WHERE e.subscriber_id = ? AND e.brand_id = ? ORDER BY e.created_at DESC`, subscriberID, brandID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read a person's sequences: %w", err)
	}
	for _, r := range rows {
		todo, err := steps(tx, r.SequenceID, r.Version)
		if err != nil {
			return nil, err
		}
		j := Journey{TopicID: r.TopicID, State: r.State, JoinedAt: r.CreatedAt.UTC()}
		for _, c := range Chapters(todo) {
			j.Mails++
			if c.Step < r.Step {
				j.Had++
			}
		}
		all = append(all, j)
	}
	return all, nil
}
