package consent

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// NewestReaders are the addresses of the newest people who allow a topic, with a
// tag where one is named; at most limit of them. It walks permissions_in_force
// from its end, or the people of the tag.
func NewestReaders(tx *store.Tx, brandID, topicID uuid.UUID, tag string, limit int) (emails []string, err error) {
	const may = ` JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
		WHERE p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed') AND (p.valid_until IS NULL OR p.valid_until > ?) AND s.erased_at IS NULL`
	q := tx.Raw("SELECT s.email FROM permissions p"+may+" ORDER BY p.subscriber_id DESC LIMIT ?", topicID, brandID, tx.Now(), limit)
	if tag != "" {
		q = tx.Raw("SELECT s.email FROM subscriber_tags t JOIN permissions p ON p.subscriber_id = t.subscriber_id"+may+
			" AND t.brand_id = ? AND t.tag = ? ORDER BY t.subscriber_id DESC LIMIT ?", topicID, brandID, tx.Now(), brandID, tag, limit)
	}
	if err := q.Scan(&emails).Error; err != nil {
		return nil, fmt.Errorf("find some readers of a topic: %w", err)
	}
	return emails, nil
}
