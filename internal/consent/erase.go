package consent

import (
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase destroys salts and evidence of all that somebody ever said, and the
// servers' words with their suppressions. The events, with their leaves, stay:
// without salt, evidence and key they say nothing of who it was (EDPB 02/2025).
// So do the suppressions, by the keyed hash of the address.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM consent_evidence WHERE subscriber_id = ?", []any{f.ID}},
		{"DELETE FROM change_evidence WHERE subscriber_id = ?", []any{f.ID}},
		{"UPDATE suppressions SET detail = '' WHERE brand_id = ? AND address_hash = ? AND reason <> ?", []any{f.BrandID, f.AddressHash, Left}},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase what somebody said: %w", err)
		}
	}
	return nil
}
