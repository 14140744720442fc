package account

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Erase takes a person out of what the team left behind at work: drafts, ways
// back, where forms led, and the details of the audit log about them. Who did
// what to whom stays there, by pseudonym. Accounts of the team are no records of
// subscribers, and stay. stands is the condition that an address of theirs stands
// in a column.
func Erase(tx *store.Tx, brandID, subscriberID uuid.UUID, stands func(column string) (where string, args []any)) error {
	fields, inFields := stands("fields")
	next, inNext := stands("next")
	detail, inDetail := stands("detail")
	id := "%" + subscriberID.String() + "%"
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM drafts WHERE page LIKE ? OR " + fields, append([]any{id}, inFields...)},
		{"DELETE FROM undos WHERE brand_id = ? AND (subject_id = ? OR next LIKE ? OR " + fields + ")", append([]any{brandID, subscriberID, id}, inFields...)},
		{"UPDATE sent_forms SET next = '/admin' WHERE " + next, inNext},
		{"UPDATE deeds SET detail = '{}' WHERE brand_id = ? AND (subject_id = ? OR " + detail + ")", append([]any{brandID, subscriberID}, inDetail...)},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase a person from the team's desk: %w", err)
		}
	}
	return nil
}
