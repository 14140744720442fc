package store

import (
	"errors"
	"fmt"
)

// Attempt runs f in a savepoint: where f fails, what it wrote is undone with
// its hooks for AfterCommit, and the transaction goes on. The error is f's.
func (tx *Tx) Attempt(f func() error) error {
	if _, err := tx.Run("SAVEPOINT attempt"); err != nil {
		return fmt.Errorf("begin an attempt: %w", err)
	}
	hooks := len(tx.after)
	if err := f(); err != nil {
		tx.after = tx.after[:hooks]
		if _, failed := tx.Run("ROLLBACK TO SAVEPOINT attempt"); failed != nil {
			return errors.Join(err, failed)
		}
		_, failed := tx.Run("RELEASE SAVEPOINT attempt") // or it would stand before an outer one of the name
		return errors.Join(err, failed)
	}
	_, err := tx.Run("RELEASE SAVEPOINT attempt")
	return err
}
