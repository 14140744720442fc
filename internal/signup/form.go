package signup

import (
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

// Form is a sign-up form of a brand. What it asks lies in its versions, which
// are never changed: an edit makes the next one.
type Form struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	Name      string // for the team, never shown to visitors
	Version   int    // the newest, which visitors see
	Code      string // digits: the end of its short address; see ByCode
	ClosedAt  *time.Time
	Guard     Guard
	GuardAt   *time.Time // when the guard last moved; nil: never
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Version is what a form asked between two edits.
type Version struct {
	FormID    uuid.UUID
	Version   int
	Spec      Spec `gorm:"serializer:json"`
	CreatedAt time.Time
}

// TableName implements gorm's Tabler.
func (Version) TableName() string { return "form_versions" }

// Create checks and stores a form with its first version.
func Create(tx *store.Tx, b brand.Brand, name string, spec Spec) (Form, error) {
	name, spec, err := checked(tx, b, name, spec)
	if err != nil {
		return Form{}, err
	}
	code, err := newCode(tx)
	if err != nil {
		return Form{}, err
	}
	f := Form{ID: tx.NewID(), BrandID: b.ID, Name: name, Version: 1, Code: code, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
	if err := tx.Create(&f).Error; err != nil {
		return Form{}, fmt.Errorf("create a form: %w", err)
	}
	return f, addVersion(tx, f, spec)
}

func addVersion(tx *store.Tx, f Form, spec Spec) error {
	v := Version{FormID: f.ID, Version: f.Version, Spec: spec, CreatedAt: tx.Now()}
	if err := tx.Create(&v).Error; err != nil {
		return fmt.Errorf("store version %d of a form: %w", f.Version, err)
	}
	return nil
}

// Edit gives a form another name and makes a version of the spec. Visitors who
// have the older one on their screen may still send it.
func Edit(tx *store.Tx, b brand.Brand, id uuid.UUID, name string, spec Spec) (Form, error) {
	f, err := find(tx, tx.ForUpdate(), "id = ? AND brand_id = ?", id, b.ID)
	if err != nil {
		return Form{}, err
	}
	if f.Name, spec, err = checked(tx, b, name, spec); err != nil {
		return Form{}, err
	}
	if f.Code == "" { // made by a program that knew none yet
		if f.Code, err = newCode(tx); err != nil {
			return Form{}, err
		}
	}
	f.Version++
	f.UpdatedAt = tx.Now()
	if err := tx.Save(&f).Error; err != nil {
		return Form{}, fmt.Errorf("edit a form: %w", err)
	}
	return f, addVersion(tx, f, spec)
}

// Close takes a form off: its page says so, and nothing is taken by it any
// more. What was asked before can still be confirmed. Open lets it in again.
func Close(tx *store.Tx, brandID, id uuid.UUID) (Form, error) {
	now := tx.Now()
	return setClosed(tx, brandID, id, &now)
}

// Open lets a closed form take sign-ups again.
func Open(tx *store.Tx, brandID, id uuid.UUID) (Form, error) { return setClosed(tx, brandID, id, nil) }

func setClosed(tx *store.Tx, brandID, id uuid.UUID, at *time.Time) (Form, error) {
	f, err := find(tx, tx.ForUpdate(), "id = ? AND brand_id = ?", id, brandID)
	if err != nil {
		return Form{}, err
	}
	if (f.ClosedAt == nil) == (at == nil) {
		return f, nil
	}
	f.ClosedAt, f.UpdatedAt = at, tx.Now()
	if err := tx.Save(&f).Error; err != nil {
		return Form{}, fmt.Errorf("open or close a form: %w", err)
	}
	return f, nil
}

// Find reads a brand's form; problem.NotFound "signup.form.unknown" where there
// is none, or another brand's.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Form, error) {
	return find(tx, "", "id = ? AND brand_id = ?", id, brandID)
}

// Lock is Find for whoever is about to change the form.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Form, error) {
	return find(tx, tx.ForUpdate(), "id = ? AND brand_id = ?", id, brandID)
}

func find(tx *store.Tx, lock, where string, args ...any) (Form, error) {
	var rows []Form
	if err := tx.Raw("SELECT * FROM forms WHERE "+where+lock, args...).Scan(&rows).Error; err != nil {
		return Form{}, fmt.Errorf("read a form: %w", err)
	}
	if len(rows) == 0 {
		return Form{}, problem.New(problem.NotFound, "signup.form.unknown")
	}
	f := rows[0]
	f.CreatedAt, f.UpdatedAt = f.CreatedAt.UTC(), f.UpdatedAt.UTC()
	return f, nil
}

// List gives a brand's forms by name.
func List(tx *store.Tx, brandID uuid.UUID) ([]Form, error) {
	var all []Form
	if err := tx.Where("brand_id = ?", brandID).Order("name, id").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list the forms: %w", err)
	}
	return all, nil
}

// SpecOf reads what a version of a form asks.
func SpecOf(tx *store.Tx, formID uuid.UUID, version int) (Spec, error) {
	var v Version
	err := tx.Where("form_id = ? AND version = ?", formID, version).Take(&v).Error
	if err != nil {
		return Spec{}, store.Found(err, "signup.form.unknown")
	}
	v.Spec.Texts = maps.Clone(v.Spec.Texts)
	return v.Spec, nil
}

// Newest gives a brand's forms, the newest first, made before the one named;
// the nil id is from the beginning.
func Newest(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Form, error) {
	var all []Form
	q := tx.Where("brand_id = ?", brandID)
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	if err := q.Order("id DESC").Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list the newest forms: %w", err)
	}
	return all, nil
}

// Versions gives what a form asked, the newest first, before the version named;
// 0 is from the beginning.
func Versions(tx *store.Tx, formID uuid.UUID, before, limit int) ([]Version, error) {
	var all []Version
	q := tx.Where("form_id = ?", formID)
	if before > 0 {
		q = q.Where("version < ?", before)
	}
	if err := q.Order("version DESC").Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list the versions of a form: %w", err)
	}
	return all, nil
}

// Tally counts the sign-ups that were sent under a version of a form. Who was
// refused by a limit, or took the bait, is not among them.
type Tally struct {
	FormID      uuid.UUID
	FormVersion int
	Asked       int64 // all that were sent
	Confirmed   int64
	Pending     int64 // can still be confirmed
}

// Tallies counts the sign-ups of some forms of a brand. It reads the index on
// form, version and state: as many entries as they have sign-ups.
func Tallies(tx *store.Tx, brandID uuid.UUID, forms ...uuid.UUID) ([]Tally, error) {
	var all []Tally
	if len(forms) == 0 {
		return nil, nil
	}
	err := tx.Raw(`SELECT form_id, form_version, count(*) AS asked,
		count(CASE WHEN state = 'confirmed' THEN 1 END) AS confirmed, count(CASE WHEN state = 'pending' THEN 1 END) AS pending
		FROM signup_requests WHERE brand_id = ? AND form_id IN ? GROUP BY form_id, form_version`, brandID, forms).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("count the sign-ups of forms: %w", err)
	}
	return all, nil
}
