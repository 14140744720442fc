package account

import (
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase takes a person out of what the team left behind at work: drafts, ways
// back, where forms led, and the details of the audit log about them. Who did
// what to whom stays there, by pseudonym. Accounts of the team are no records of
// subscribers, and stay.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	draft, draftArgs := f.Stands(tx, "fields")
	undo, undoArgs := f.Stands(tx, "fields")
	next, nextArgs := f.Stands(tx, "next")
	detail, detailArgs := f.Stands(tx, "detail")
	id := "%" + f.ID.String() + "%"
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM drafts WHERE page LIKE ? OR " + draft, append([]any{id}, draftArgs...)},
		{"DELETE FROM undos WHERE brand_id = ? AND (subject_id = ? OR next LIKE ? OR " + undo + ")", append([]any{f.BrandID, f.ID, id}, undoArgs...)},
		{"UPDATE sent_forms SET next = '/admin' WHERE " + next, nextArgs},
		{"UPDATE deeds SET detail = '{}' WHERE brand_id = ? AND (subject_id = ? OR " + detail + ")", append([]any{f.BrandID, f.ID}, detailArgs...)},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase a person from the team's desk: %w", err)
		}
	}
	return nil
}
