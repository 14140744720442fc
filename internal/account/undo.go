package account

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"assent/internal/problem"
	"assent/internal/store"
)

// Undo is an act that can be taken back: by whoever did it, once, within an
// hour, and as long as what it changed is as the act left it.
type Undo struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	UserID    uuid.UUID
	What      string            // the act, as in the audit log
	SubjectID *uuid.UUID        // to whom or what; nil: to many, or to no row
	Next      string            // the page that it led to, below the brand
	State     string            // of the subject after the act
	Fields    map[string]string `gorm:"serializer:json"` // what it was before, and its name
	People    []byte            // whom an act upon many changed: see Pack
	MadeAt    time.Time
	TakenAt   *time.Time
}

// undoLife is how long an act can be taken back.
const undoLife = time.Hour

// UndoMost is how many people an act may have changed that can be taken back.
const UndoMost = 100_000

// Pack writes people down, 16 bytes each.
func Pack(ids []uuid.UUID) []byte {
	packed := make([]byte, 0, 16*len(ids))
	for _, id := range ids {
		packed = append(packed, id[:]...)
	}
	return packed
}

// Whom are the people that Pack wrote down.
func (u Undo) Whom() []uuid.UUID {
	ids := make([]uuid.UUID, len(u.People)/16)
	for i := range ids {
		copy(ids[i][:], u.People[16*i:])
	}
	return ids
}

// KeepUndo keeps what an act needs to be taken back, in the transaction that did it.
func KeepUndo(tx *store.Tx, u Undo) (uuid.UUID, error) {
	u.ID, u.MadeAt = tx.NewID(), tx.Now()
	if u.Fields == nil {
		u.Fields = map[string]string{}
	}
	if err := tx.Create(&u).Error; err != nil {
		return uuid.Nil, fmt.Errorf("keep what can be taken back: %w", err)
	}
	return u.ID, nil
}

// UndoOf is an act of the user's that can be taken back. Another's, or another
// brand's, is problem.NotFound; after an hour it is problem.Gone, and one that
// was taken back problem.Conflict.
func UndoOf(tx *store.Tx, brandID, userID, id uuid.UUID) (u Undo, err error) {
	return undoOf(tx.DB, tx.Now(), brandID, userID, id)
}

// Undoable is UndoOf without the people: it only tells that there is a way back.
func Undoable(tx *store.Tx, brandID, userID, id uuid.UUID) (u Undo, err error) {
	return undoOf(tx.Omit("people"), tx.Now(), brandID, userID, id)
}

func undoOf(from *gorm.DB, now time.Time, brandID, userID, id uuid.UUID) (u Undo, err error) {
	err = from.Where("id = ? AND brand_id = ? AND user_id = ?", id, brandID, userID).Take(&u).Error
	switch {
	case err != nil:
		return u, store.Found(err, "account.undo.unknown")
	case u.TakenAt != nil:
		return u, problem.New(problem.Conflict, "account.undo.taken")
	case !now.Before(u.MadeAt.Add(undoLife)):
		return u, problem.New(problem.Gone, "account.undo.late")
	}
	return u, nil
}

// TakeBack marks an act as taken back. Of two at once one does.
func TakeBack(tx *store.Tx, u Undo) error {
	n, err := tx.Run("UPDATE undos SET taken_at = ?, people = NULL WHERE id = ? AND taken_at IS NULL", tx.Now(), u.ID)
	if err != nil {
		return fmt.Errorf("take back an act: %w", err)
	}
	if n == 0 {
		return problem.New(problem.Conflict, "account.undo.taken")
	}
	return nil
}
