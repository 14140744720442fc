package signup

import (
	"crypto/rand"
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase ends what a person was asked and had not answered, and takes from their
// requests and changes of address what is personal. The keyed counts of
// confirmation mails stay their thirty days, or erasing oneself would open a
// mailbox to bombing.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	hash := make([]byte, 32)
	rand.Read(hash) // never fails (crypto/rand, Go 1.24)
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE signup_requests SET state = 'expired', answered_at = ? WHERE subscriber_id = ? AND brand_id = ? AND state = 'pending'", []any{tx.Now(), f.ID, f.BrandID}},
		{"UPDATE friend_invitations SET request_id = NULL WHERE request_id IN (SELECT id FROM signup_requests WHERE subscriber_id = ? AND brand_id = ?)", []any{f.ID, f.BrandID}},
		{"UPDATE signup_requests SET sealed = NULL WHERE subscriber_id = ? AND brand_id = ?", []any{f.ID, f.BrandID}},
		{"UPDATE address_changes SET email = '', address_hash = ?, expires_at = CASE WHEN expires_at < ? THEN expires_at ELSE ? END WHERE subscriber_id = ? AND brand_id = ?",
			[]any{hash, tx.Now(), tx.Now(), f.ID, f.BrandID}},
		{"DELETE FROM asked_consents WHERE asking_id IN (SELECT id FROM askings WHERE subscriber_id = ? AND brand_id = ?)", []any{f.ID, f.BrandID}},
		{"DELETE FROM askings WHERE subscriber_id = ? AND brand_id = ?", []any{f.ID, f.BrandID}},
		{"DELETE FROM tracking_questions WHERE subscriber_id = ? AND brand_id = ?", []any{f.ID, f.BrandID}},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase a person's sign-ups: %w", err)
		}
	}
	return ForgetCommunity(tx, f.BrandID, f.ID)
}

// AddressesOf are those that a person asked to be written to, and had.
func AddressesOf(tx *store.Tx, s subscriber.Subscriber) (all []string, err error) {
	err = tx.Raw("SELECT DISTINCT email FROM address_changes WHERE subscriber_id = ? AND brand_id = ? AND confirmed_at IS NOT NULL AND email <> ''", s.ID, s.BrandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("look for a person's addresses: %w", err)
	}
	return all, nil
}
