package importer

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// The pace at which people are asked, in mails an hour.
const (
	AskUsual = 500
	askMost  = 10_000
)

// Ask has the people of the rows that wait asked for themselves, once, at a
// pace: see signup.AskImported. Where the law does not allow such a mail it is
// problem.Conflict "import.ask.law".
func Ask(tx *store.Tx, b brand.Brand, id uuid.UUID, perHour int) error {
	i, err := Lock(tx, b.ID, id)
	if err != nil {
		return err
	}
	if i.State != Done || i.Waiting == 0 {
		return problem.New(problem.Conflict, "import.none-waiting")
	}
	if consent.LawOf(b.Jurisdiction).Asking == "" {
		return problem.New(problem.Conflict, "import.ask.law")
	}
	if perHour < 1 || perHour > askMost {
		return problem.InvalidField("per_hour", "import.ask.pace", "Most", askMost)
	}
	if _, err := tx.Run("UPDATE imports SET ask_per_hour = ?, ask_next_at = ?, updated_at = ? WHERE id = ?", perHour, tx.Now(), tx.Now(), id); err != nil {
		return fmt.Errorf("begin to ask the people of an import: %w", err)
	}
	return nil
}

// StopAsking asks no more people of an import. Who was asked can still answer.
func StopAsking(tx *store.Tx, brandID, id uuid.UUID) error {
	if _, err := Lock(tx, brandID, id); err != nil {
		return err
	}
	if _, err := tx.Run("UPDATE imports SET ask_next_at = NULL, updated_at = ? WHERE id = ?", tx.Now(), id); err != nil {
		return fmt.Errorf("stop asking the people of an import: %w", err)
	}
	return nil
}

// Turn is some rows of an import whose people may be asked now.
type Turn struct {
	Import Import
	Most   int // to ask
	Rows   []AskRow
}

// AskRow is somebody of a row that waits.
type AskRow struct {
	Line   int64
	Person subscriber.New
	Tags   []string
}

const (
	askEvery = time.Minute
	askSpare = 50 // rows beyond those to ask, for who must not be asked today
)

// NextTurn gives an import whose people are asked, held until the transaction
// ends; ok is false where none is due.
func NextTurn(tx *store.Tx) (t Turn, ok bool, err error) {
	var due []Import
	err = tx.Raw("SELECT * FROM imports WHERE ask_next_at <= ? AND state = ? ORDER BY ask_next_at LIMIT 1"+tx.SkipLocked(), tx.Now(), Done).Scan(&due).Error
	if err != nil || len(due) == 0 {
		return t, false, err
	}
	t.Import = due[0].utc()
	t.Most = max(1, int(int64(t.Import.AskPerHour)*int64(askEvery)/int64(time.Hour)))
	rows, err := waitingAfter(tx, t.Import.ID, -1, t.Most+askSpare)
	if err != nil {
		return t, false, err
	}
	for _, row := range rows {
		k, err := unseal(tx, t.Import.ID, row.Line, row.Sealed)
		if err != nil {
			return t, false, err
		}
		e, err := k.entry(row.Line)
		if _, is := problem.Of(err); is {
			e = &entry{line: row.Line} // it names nobody
		} else if err != nil {
			return t, false, err
		}
		t.Rows = append(t.Rows, AskRow{row.Line, e.person, e.tags})
	}
	return t, true, nil
}

// EndTurn takes the rows that are done with from those that wait, of which so
// many were asked, and says when the next turn is.
func EndTurn(tx *store.Tx, t Turn, done []int64, asked int) error {
	if len(done) > 0 {
		if _, err := tx.Run("DELETE FROM import_waiting WHERE import_id = ? AND line IN (?)", t.Import.ID, done); err != nil {
			return fmt.Errorf("take rows whose people were asked: %w", err)
		}
	}
	wait := askEvery
	if pace := time.Hour / time.Duration(t.Import.AskPerHour); pace > wait {
		wait = pace
	}
	next := tx.Now().Add(wait)
	until := &next
	if len(t.Rows) == len(done) && len(done) < t.Most+askSpare {
		until = nil
	}
	_, err := tx.Run("UPDATE imports SET waiting = waiting - ?, dropped = dropped + ?, asked = asked + ?, ask_next_at = ?, updated_at = ? WHERE id = ?",
		len(done), len(done), asked, until, tx.Now(), t.Import.ID)
	if err != nil {
		return fmt.Errorf("count whom an import asked: %w", err)
	}
	return nil
}
