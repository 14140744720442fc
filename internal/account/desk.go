package account

import (
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Draft is what somebody has typed into a form and not saved yet. It outlives
// the session, the tab and the browser.
type Draft struct {
	UserID  uuid.UUID  `gorm:"primaryKey"`
	Page    string     `gorm:"primaryKey"` // the address of the form
	Fields  url.Values `gorm:"serializer:json"`
	SavedAt time.Time
}

const (
	draftMost = 512 << 10 // bytes of a draft's fields
	draftLife = 90 * 24 * time.Hour
	formLife  = 48 * time.Hour // longer than a page stays open and is sent again
)

// KeepDraft keeps what was typed, in place of what was kept for the page before.
func KeepDraft(tx *store.Tx, user uuid.UUID, page string, fields url.Values) error {
	if len(page) > 500 || len(fields.Encode()) > draftMost {
		return problem.New(problem.TooLarge, "problem.too-large")
	}
	if err := tx.Save(&Draft{UserID: user, Page: page, Fields: fields, SavedAt: tx.Now()}).Error; err != nil {
		return fmt.Errorf("keep a draft: %w", err)
	}
	return nil
}

// DraftOf is what was typed; ok is false where there is none.
func DraftOf(tx *store.Tx, user uuid.UUID, page string) (d Draft, ok bool, err error) {
	found := tx.Where("user_id = ? AND page = ?", user, page).Limit(1).Find(&d)
	if found.Error != nil {
		return d, false, fmt.Errorf("look for a draft: %w", found.Error)
	}
	return d, found.RowsAffected > 0, nil
}

// DropDraft forgets what was typed: it was saved, or is not wanted.
func DropDraft(tx *store.Tx, user uuid.UUID, page string) error {
	if _, err := tx.Run("DELETE FROM drafts WHERE user_id = ? AND page = ?", user, page); err != nil {
		return fmt.Errorf("forget a draft: %w", err)
	}
	return nil
}

// sentForm is a form that was sent, and where it led.
type sentForm struct {
	UserID uuid.UUID `gorm:"primaryKey"`
	Once   uuid.UUID `gorm:"primaryKey"`
	Next   string
	SentAt time.Time
}

// BeginForm takes a form in hand that is sent. One that was sent already tells
// where it led, and is not to be done again: a second click, or the page sent
// again. Of two at once the second waits here for the first.
func BeginForm(tx *store.Tx, user, once uuid.UUID) (next string, again bool, err error) {
	n, err := tx.Run("INSERT INTO sent_forms (user_id, once, next, sent_at) VALUES (?, ?, '', ?) ON CONFLICT (user_id, once) DO NOTHING", user, once, tx.Now())
	if err != nil {
		return "", false, fmt.Errorf("take a form in hand: %w", err)
	}
	if n > 0 {
		return "", false, nil
	}
	var f sentForm
	if err := tx.Where("user_id = ? AND once = ?", user, once).Take(&f).Error; err != nil {
		return "", false, fmt.Errorf("look where a form led: %w", err)
	}
	return f.Next, true, nil
}

// EndForm notes where a form led, in the transaction that began it.
func EndForm(tx *store.Tx, user, once uuid.UUID, next string) error {
	if _, err := tx.Run("UPDATE sent_forms SET next = ? WHERE user_id = ? AND once = ?", next, user, once); err != nil {
		return fmt.Errorf("note where a form led: %w", err)
	}
	return nil
}

// Deed is who did what at a brand: an entry of the audit log, which only grows.
type Deed struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	UserID    *uuid.UUID // nil: a program did, with the key
	KeyID     *uuid.UUID
	At        time.Time
	What      string         // "campaign.schedule": the words are admin.did.* of the catalogue
	SubjectID *uuid.UUID     // to whom or what
	Detail    map[string]any `gorm:"serializer:json"`
}

// Note writes a deed into the log, in the transaction that did it.
func Note(tx *store.Tx, d Deed) error {
	d.ID, d.At = tx.NewID(), tx.Now()
	if d.Detail == nil {
		d.Detail = map[string]any{}
	}
	if err := tx.Create(&d).Error; err != nil {
		return fmt.Errorf("note who did what: %w", err)
	}
	return nil
}

// Deeds lists the log of a brand, the newest first, before the one named; the
// nil id is from the beginning.
func Deeds(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Deed, error) {
	q := tx.Where("brand_id = ?", brandID)
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	var all []Deed
	if err := q.Order("id DESC").Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return all, nil
}

// sweepDesk forgets old drafts and forms, and what can no longer be taken back.
func sweepDesk(tx *store.Tx) error {
	for query, before := range map[string]time.Time{
		"DELETE FROM drafts WHERE saved_at < ?":    tx.Now().Add(-draftLife),
		"DELETE FROM sent_forms WHERE sent_at < ?": tx.Now().Add(-formLife),
		"DELETE FROM undos WHERE made_at < ?":      tx.Now().Add(-undoLife),
	} {
		if _, err := tx.Run(query, before); err != nil {
			return fmt.Errorf("forget old drafts and forms: %w", err)
		}
	}
	return nil
}
