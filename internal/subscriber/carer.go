package subscriber

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Entrust makes a member of the brand's team the one who looks after a person;
// uuid.Nil is nobody. Who is no member is not known there: problem.Invalid.
func Entrust(tx *store.Tx, brandID, id, userID uuid.UUID) error {
	if _, err := Lock(tx, brandID, id); err != nil {
		return err
	}
	if userID == uuid.Nil {
		_, err := tx.Run("DELETE FROM carers WHERE subscriber_id = ? AND brand_id = ?", id, brandID)
		return err
	}
	n, err := tx.Run(`INSERT INTO carers (subscriber_id, brand_id, user_id, since) SELECT ?, m.brand_id, m.user_id, ? FROM memberships m
		WHERE m.brand_id = ? AND m.user_id = ? ON CONFLICT (subscriber_id) DO UPDATE SET user_id = excluded.user_id, since = excluded.since`,
		id, tx.Now(), brandID, userID)
	if err != nil {
		return fmt.Errorf("entrust a person to somebody: %w", err)
	}
	if n == 0 {
		return problem.InvalidField("carer", "subscriber.carer.unknown")
	}
	return nil
}

// CarerOf is who looks after a person; uuid.Nil is nobody.
func CarerOf(tx *store.Tx, brandID, id uuid.UUID) (userID uuid.UUID, err error) {
	var found []uuid.UUID
	if err := tx.Raw("SELECT user_id FROM carers WHERE subscriber_id = ? AND brand_id = ?", id, brandID).Scan(&found).Error; err != nil {
		return uuid.Nil, fmt.Errorf("ask who looks after a person: %w", err)
	}
	if len(found) > 0 {
		userID = found[0]
	}
	return userID, nil
}

// InCareOf are the people whom somebody looks after.
func InCareOf(userID uuid.UUID) Condition {
	return Condition{SQL: "EXISTS (SELECT 1 FROM carers k WHERE k.subscriber_id = subscribers.id AND k.brand_id = subscribers.brand_id AND k.user_id = ?)", Args: []any{userID}}
}
