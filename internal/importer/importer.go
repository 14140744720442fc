// Package importer brings in the list that a brand had before: a file of
// separated values, row by row, with what shows that the people said yes.
//
// It promises: no permission without evidence, and none to who left, refused or
// is suppressed. A row that lacks evidence waits apart, sealed, and makes nobody
// a subscriber; it is given evidence later, or dropped. Of every row it is
// counted what came of it, and the counts add up to the rows that were read.
//
//	uploading ─► ready ─► running ─────────────► done ◄──► releasing
//	    │          │        │  ▲                   ▲   what waits is given evidence
//	    ▼          ▼        ▼  │                   │
//	  (none)     (none)    stopped ────────────────┘ (not taken up again)
//
// The work goes in steps of a transaction each, which leaves its place in the
// file with the rows it did: after a crash it goes on where it was, and no row
// is done twice. The file lies in the database, sealed, in parts, so that any
// process can work on it; it is destroyed when the last row is read.
package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/jobs"
	"assent/internal/problem"
	"assent/internal/store"
)

// State is where an import stands.
type State string

// The states.
const (
	Uploading State = "uploading" // the file is coming
	Ready     State = "ready"     // it is there; nobody has said what is in it
	Running   State = "running"
	Stopped   State = "stopped"
	Releasing State = "releasing" // the rows that wait are given evidence
	Done      State = "done"
)

// Counts says what came of the rows. Recorded, Allowed, LeftBefore, Waiting,
// Dropped and Refused add up to RowsRead; so do Fresh, Known and Unread.
type Counts struct {
	RowsRead   int64
	Fresh      int64 // of somebody who was not known
	Known      int64
	Unread     int64 // could not be read: nobody was looked for
	Recorded   int64 // with a permission that is new
	Allowed    int64 // who allows it already
	LeftBefore int64 // who left, refused or is suppressed
	Waiting    int64 // without evidence
	Dropped    int64 // waited, and were given up
	Asked      int64 // of Dropped: were asked for themselves; see Ask
	Refused    int64
}

func (c *Counts) add(o Counts) {
	c.RowsRead += o.RowsRead
	c.Fresh += o.Fresh
	c.Known += o.Known
	c.Unread += o.Unread
	c.Recorded += o.Recorded
	c.Allowed += o.Allowed
	c.LeftBefore += o.LeftBefore
	c.Waiting += o.Waiting
	c.Dropped += o.Dropped
	c.Refused += o.Refused
}

// Import is one file.
type Import struct {
	ID        uuid.UUID
	BrandID   uuid.UUID
	UserID    *uuid.UUID // nil: from a terminal
	Name      string
	Hash      []byte // SHA-256 of the file as it came
	Size      int64  // bytes, as UTF-8
	Lines     int64  // line ends: about as many rows
	Separator string
	Plan      Plan `gorm:"serializer:json"`
	State     State
	Place     int64 // bytes done
	Line      int64 // rows of the sheet done
	Counts    `gorm:"embedded"`

	AskPerHour int        // how fast those who wait are asked
	AskNextAt  *time.Time // nil: they are not

	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
	UpdatedAt  time.Time
}

// JobKind is the work of imports; its key is the import's id.
const JobKind = "import"

func unknown() error { return problem.New(problem.NotFound, "import.unknown") }

// Find reads an import of the brand; problem.NotFound for another brand's, and
// while its file is coming.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Import, error) {
	i, err := one(tx, "", id)
	if err == nil && (i.BrandID != brandID || i.State == Uploading) {
		err = unknown()
	}
	return i, err
}

// Lock is Find, with the import kept as it is until the transaction ends.
func Lock(tx *store.Tx, brandID, id uuid.UUID) (Import, error) {
	i, err := one(tx, tx.ForUpdate(), id)
	if err == nil && (i.BrandID != brandID || i.State == Uploading) {
		err = unknown()
	}
	return i, err
}

func one(tx *store.Tx, lock string, id uuid.UUID) (Import, error) {
	var rows []Import
	if err := tx.Raw("SELECT * FROM imports WHERE id = ?"+lock, id).Scan(&rows).Error; err != nil {
		return Import{}, fmt.Errorf("read an import: %w", err)
	}
	if len(rows) == 0 {
		return Import{}, unknown()
	}
	return rows[0].utc(), nil
}

func (i Import) utc() Import {
	i.CreatedAt, i.UpdatedAt, i.StartedAt, i.FinishedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC(), utcOf(i.StartedAt), utcOf(i.FinishedAt)
	i.AskNextAt = utcOf(i.AskNextAt)
	return i
}

func utcOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// List gives the brand's imports, the newest first, those before an id where it
// is not nil. It reads imports_brand.
func List(tx *store.Tx, brandID, before uuid.UUID, limit int) (all []Import, err error) {
	q := tx.Where("brand_id = ? AND state <> ?", brandID, Uploading)
	if before != uuid.Nil {
		q = q.Where("(created_at, id) < (SELECT created_at, id FROM imports WHERE brand_id = ? AND id = ?)", brandID, before)
	}
	if err := q.Order("created_at DESC, id DESC").Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list imports: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// Same gives the brand's other imports of the same file that were begun, the newest first.
func Same(tx *store.Tx, i Import) (all []Import, err error) {
	err = tx.Where("brand_id = ? AND hash = ? AND id <> ? AND started_at IS NOT NULL", i.BrandID, i.Hash, i.ID).
		Order("started_at DESC").Limit(5).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("look for the same file: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// Start begins to read the file by the plan. What is missing in the plan is
// problem.Invalid; what was begun already problem.Conflict.
func Start(tx *store.Tx, brandID, id uuid.UUID, p Plan) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Ready {
		return problem.New(problem.Conflict, "import.begun")
	}
	if err := p.check(tx, brandID); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep the plan of an import: %w", err)
	}
	_, err = tx.Run("UPDATE imports SET plan = ?, state = ?, started_at = ?, updated_at = ? WHERE id = ?", string(text), Running, tx.Now(), tx.Now(), id)
	if err != nil {
		return fmt.Errorf("start an import: %w", err)
	}
	return ring(tx, id)
}

func ring(tx *store.Tx, id uuid.UUID) error {
	return jobs.Schedule(tx, JobKind, id.String(), jobs.QueueBulk, tx.Now())
}

// Stop ends the work after the rows that are being done. What is done stays.
func Stop(tx *store.Tx, brandID, id uuid.UUID) error {
	i, err := Lock(tx, brandID, id)
	switch {
	case err != nil:
		return err
	case i.State == Running:
		return move(tx, id, Stopped, false)
	case i.State == Releasing:
		return move(tx, id, Done, false)
	}
	return problem.New(problem.Conflict, "import.not-running")
}

// Resume goes on where a stopped import was.
func Resume(tx *store.Tx, brandID, id uuid.UUID) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Stopped {
		return problem.New(problem.Conflict, "import.not-stopped")
	}
	if err := move(tx, id, Running, false); err != nil {
		return err
	}
	return ring(tx, id)
}

// Leave ends a stopped import for good, and destroys the rest of the file.
func Leave(tx *store.Tx, brandID, id uuid.UUID) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Stopped {
		return problem.New(problem.Conflict, "import.not-stopped")
	}
	return finish(tx, id)
}

// Throw destroys a file of which nothing was read.
func Throw(tx *store.Tx, brandID, id uuid.UUID) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Ready {
		return problem.New(problem.Conflict, "import.begun")
	}
	return erase(tx, id)
}

// finish is the end of the file.
func finish(tx *store.Tx, id uuid.UUID) error {
	if _, err := tx.Run("DELETE FROM import_parts WHERE import_id = ?", id); err != nil {
		return fmt.Errorf("destroy a file: %w", err)
	}
	return move(tx, id, Done, true)
}

func move(tx *store.Tx, id uuid.UUID, to State, over bool) error {
	set, args := "state = ?, updated_at = ?", []any{to, tx.Now()}
	if over {
		set, args = set+", finished_at = ?", append(args, tx.Now())
	}
	if _, err := tx.Run("UPDATE imports SET "+set+" WHERE id = ?", append(args, id)...); err != nil {
		return fmt.Errorf("move an import on: %w", err)
	}
	return nil
}

// erase leaves nothing of an import that was never begun.
func erase(tx *store.Tx, id uuid.UUID) error {
	for _, table := range []string{"import_parts WHERE import_id", "imports WHERE id"} {
		if _, err := tx.Run("DELETE FROM "+table+" = ?", id); err != nil {
			return fmt.Errorf("destroy an import: %w", err)
		}
	}
	return nil
}

const (
	uploadKept = 24 * time.Hour      // a file that never came whole
	fileKept   = 30 * 24 * time.Hour // one that nobody went on with
	RowsKept   = 90 * 24 * time.Hour // what waits, and the report, after the file was read
)

// Sweep destroys what nobody came back for: files, rows that wait, and reports.
// It tells how many imports it touched.
func Sweep(tx *store.Tx, limit int) (int, error) {
	var all []Import
	now := tx.Now()
	err := tx.Raw(`SELECT * FROM imports i WHERE (state = ? AND updated_at < ?) OR (state IN (?, ?) AND updated_at < ?)
		OR (state = ? AND finished_at < ? AND (waiting > 0 OR EXISTS (SELECT 1 FROM import_refusals r WHERE r.import_id = i.id))) LIMIT ?`+tx.ForUpdate(),
		Uploading, now.Add(-uploadKept), Ready, Stopped, now.Add(-fileKept), Done, now.Add(-RowsKept), limit).Scan(&all).Error
	if err != nil {
		return 0, fmt.Errorf("look for old imports: %w", err)
	}
	for _, i := range all {
		switch i.State {
		case Uploading, Ready:
			err = erase(tx, i.ID)
		case Stopped:
			err = finish(tx, i.ID)
		default:
			if err = drop(tx, i.ID); err == nil {
				_, err = tx.Run("DELETE FROM import_refusals WHERE import_id = ?", i.ID)
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// Begun tells whether rows were read.
func (i Import) Begun() bool { return i.StartedAt != nil }

// Works tells whether it changes by itself.
func (i Import) Works() bool { return slices.Contains([]State{Running, Releasing}, i.State) }
