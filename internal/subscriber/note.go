package subscriber

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// noteMax is the longest note, in characters.
const noteMax = 4000

// notesMax is how many notes of a person are read at once, the newest first.
const notesMax = 200

// Note is what somebody of the team wrote down about a person.
type Note struct {
	ID     uuid.UUID
	UserID uuid.UUID // who wrote it
	At     time.Time
	Text   string
}

// noteRow is a Note as it is stored: sealed under the person's own key, so that
// erasing the person erases it.
type noteRow struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	UserID       uuid.UUID
	At           time.Time
	Sealed       []byte
}

// TableName is where notes lie.
func (noteRow) TableName() string { return "notes" }

// WriteNote writes down text of 1 to 4000 characters about the person. About
// someone erased nothing is written any more: problem.Gone.
func WriteNote(tx *store.Tx, brandID, id, userID uuid.UUID, text string) (Note, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if n := utf8.RuneCountInString(text); n == 0 || n > noteMax || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return Note{}, problem.InvalidField("note", "subscriber.note", "Max", noteMax)
	}
	if _, err := Lock(tx, brandID, id); err != nil {
		return Note{}, err
	}
	sealed, err := Seal(tx, id, []byte(text))
	if err != nil {
		return Note{}, err
	}
	row := noteRow{ID: store.NewID(tx.Now()), BrandID: brandID, SubscriberID: id, UserID: userID, At: tx.Now(), Sealed: sealed}
	if err := tx.Create(&row).Error; err != nil {
		return Note{}, fmt.Errorf("write a note: %w", err)
	}
	return Note{row.ID, userID, row.At, text}, nil
}

// Notes gives what was written down about the person, the newest first, 200 at
// most; of someone erased there is nothing.
func Notes(tx *store.Tx, brandID, id uuid.UUID) ([]Note, error) {
	var rows []noteRow
	if err := tx.Where("subscriber_id = ? AND brand_id = ?", id, brandID).Order("id DESC").Limit(notesMax).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	notes := make([]Note, 0, len(rows))
	for _, r := range rows {
		plain, err := Open(tx, id, r.Sealed)
		if problem.Is(err, problem.Gone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		notes = append(notes, Note{r.ID, r.UserID, r.At.UTC(), string(plain)})
	}
	return notes, nil
}

// RemoveNote removes one that userID wrote about the person; of anybody else's it
// says problem.NotFound.
func RemoveNote(tx *store.Tx, brandID, id, userID, note uuid.UUID) error {
	n, err := tx.Run("DELETE FROM notes WHERE id = ? AND brand_id = ? AND subscriber_id = ? AND user_id = ?", note, brandID, id, userID)
	if err != nil {
		return fmt.Errorf("remove a note: %w", err)
	}
	if n == 0 {
		return problem.New(problem.NotFound, "subscriber.note.unknown")
	}
	return nil
}
