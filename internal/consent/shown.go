package consent

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Shown are words that people saw beside a box of a form, and ticked.
type Shown struct {
	FormVersion int
	TopicID     uuid.UUID
	WordingHash []byte
	Language    string
	Text        string
}

// ShownBy gives the different words that were ticked under the versions from to
// to of a form, by version, at most limit of them. It skips through the index on form, version, topic and
// words, one step for each that it finds, however many people ticked them.
func ShownBy(tx *store.Tx, brandID, formID uuid.UUID, from, to, limit int) (all []Shown, err error) {
	last := Shown{FormVersion: from, WordingHash: []byte{}} // before every hash
	for len(all) < limit {
		var next []Shown
		err := tx.Raw(`SELECT e.form_version, e.topic_id, e.wording_hash, w.language, w.text FROM (
			SELECT form_version, topic_id, wording_hash FROM consent_events
			WHERE form_id = ? AND brand_id = ? AND form_version <= ? AND wording_hash IS NOT NULL AND (form_version, topic_id, wording_hash) > (?, ?, ?)
			ORDER BY form_version, topic_id, wording_hash LIMIT 1) AS e JOIN wordings w ON w.hash = e.wording_hash`,
			formID, brandID, to, last.FormVersion, last.TopicID, last.WordingHash).Scan(&next).Error
		if err != nil {
			return nil, fmt.Errorf("read the words of a form: %w", err)
		}
		if len(next) == 0 {
			break
		}
		last = next[0]
		all = append(all, last)
	}
	return all, nil
}
