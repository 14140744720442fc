package importer

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// Waiting is a row that came without evidence.
type Waiting struct {
	Line        int64
	Lacks       string // basis, day, source or words
	Email, Name string
}

func (r *reader) keepWaiting(tx *store.Tx, all []*entry) error {
	rows := make([][]any, len(all))
	for i, e := range all {
		sealed, err := e.seal(tx, r.ID)
		if err != nil {
			return err
		}
		rows[i] = []any{r.ID, e.line, e.evidence.or(r.Plan.Evidence).lacks(), sealed}
	}
	if _, err := tx.InsertAll("import_waiting", "import_id uuid, line bigint, lacks text, sealed bytea", rows, ""); err != nil {
		return fmt.Errorf("let rows wait: %w", err)
	}
	return nil
}

type waitingRow struct {
	Line   int64
	Lacks  string
	Sealed []byte
}

func waitingAfter(tx *store.Tx, id uuid.UUID, after int64, limit int) (rows []waitingRow, err error) {
	err = tx.Raw("SELECT line, lacks, sealed FROM import_waiting WHERE import_id = ? AND line > ? ORDER BY line LIMIT ?", id, after, limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read rows that wait: %w", err)
	}
	return rows, nil
}

// ListWaiting gives rows that wait, those after a line, at most limit.
func ListWaiting(tx *store.Tx, i Import, after int64, limit int) ([]Waiting, error) {
	rows, err := waitingAfter(tx, i.ID, after, limit)
	if err != nil {
		return nil, err
	}
	all := make([]Waiting, len(rows))
	for n, row := range rows {
		k, err := unseal(tx, i.ID, row.Line, row.Sealed)
		if err != nil {
			return nil, err
		}
		all[n] = Waiting{row.Line, row.Lacks, k.Email, k.Name}
	}
	return all, nil
}

// Release gives all rows that wait what they lack; what a row says itself
// stands. Evidence that does not show a permission is problem.Invalid.
func Release(tx *store.Tx, brandID, id uuid.UUID, e Evidence) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Done || i.Waiting == 0 {
		return problem.New(problem.Conflict, "import.none-waiting")
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	e.check(wrong, tx.Now())
	if lacks := e.lacks(); lacks != "" && len(wrong.Fields) == 0 {
		wrong.Field(lacks, "problem.field.required")
	}
	if err := wrong.OrNil(); err != nil {
		return err
	}
	i.Plan.Evidence = e
	text, err := json.Marshal(i.Plan)
	if err != nil {
		return fmt.Errorf("keep the plan of an import: %w", err)
	}
	if _, err := tx.Run("UPDATE imports SET plan = ?, state = ?, updated_at = ? WHERE id = ?", string(text), Releasing, tx.Now(), id); err != nil {
		return fmt.Errorf("give rows evidence: %w", err)
	}
	return ring(tx, id)
}

// GiveUp drops all rows that wait: nothing of them stays.
func GiveUp(tx *store.Tx, brandID, id uuid.UUID) error {
	i, err := Lock(tx, brandID, id)
	if err != nil {
		return err
	}
	if i.State != Done || i.Waiting == 0 {
		return problem.New(problem.Conflict, "import.none-waiting")
	}
	return drop(tx, id)
}

func drop(tx *store.Tx, id uuid.UUID) error {
	if _, err := tx.Run("DELETE FROM import_waiting WHERE import_id = ?", id); err != nil {
		return fmt.Errorf("drop rows that wait: %w", err)
	}
	_, err := tx.Run("UPDATE imports SET dropped = dropped + waiting, waiting = 0, updated_at = ? WHERE id = ?", tx.Now(), id)
	if err != nil {
		return fmt.Errorf("drop rows that wait: %w", err)
	}
	return nil
}

// release does the next rows that wait. They were counted as fresh or known
// when they were read.
func (r *reader) release(tx *store.Tx) (again bool, err error) {
	rows, err := waitingAfter(tx, r.ID, -1, r.atOnce())
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		return false, move(tx, r.ID, Done, false)
	}
	var entries []*entry
	var refusals []*Refusal
	gone := Counts{Waiting: -int64(len(rows))}
	for _, row := range rows {
		k, err := unseal(tx, r.ID, row.Line, row.Sealed)
		if err != nil {
			return false, err
		}
		e, err := k.entry(row.Line)
		if p, is := problem.Of(err); is {
			refusals = append(refusals, r.refuse(row.Line, r.column(Email), k.Email, p.Fields[0].Key, p.Fields[0].Args...))
			gone.Refused++
			continue
		} else if err != nil {
			return false, err
		}
		if day := e.evidence.or(r.Plan.Evidence).Day; r.outOfTime(e, day) {
			refusals = append(refusals, r.tooOld(e, day))
			gone.Refused++
			continue
		}
		entries = append(entries, e)
	}
	// They leave first: a row whose evidence is still not whole would wait anew.
	last := rows[len(rows)-1].Line
	if _, err := tx.Run("DELETE FROM import_waiting WHERE import_id = ? AND line <= ?", r.ID, last); err != nil {
		return false, fmt.Errorf("take rows that wait: %w", err)
	}
	did, err := r.take(tx, entries, &refusals)
	if err != nil {
		return false, err
	}
	did.Fresh, did.Known = 0, 0
	gone.add(did)
	if err := report(tx, r.ID, refusals); err != nil {
		return false, err
	}
	return true, count(tx, r.ID, gone, r.Place, r.Line)
}

// Topics gives the topics of the import's plan.
func (i Import) Topics(tx *store.Tx) (all []consent.Topic, err error) {
	for _, id := range i.Plan.Topics {
		t, err := consent.FindTopic(tx, i.BrandID, id)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}
