package app

import (
	"context"

	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

const fingerprintKey = "secret-fingerprint"

// CheckSecret stops a process whose secrets are not those the database was
// sealed with: it could open nothing, and its links would not be known to the
// others. The first process to come writes the mark. When the ring has a new
// first key, the mark moves on, as long as the ring still has the old one.
func CheckSecret(ctx context.Context, db *store.DB, ring *link.Ring) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Run("INSERT INTO installation (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", fingerprintKey, ring.Fingerprint()); err != nil {
			return err
		}
		var known string
		if err := tx.Raw("SELECT value FROM installation WHERE key = ?"+tx.ForUpdate(), fingerprintKey).Scan(&known).Error; err != nil {
			return err
		}
		if !ring.Knows(known) {
			return problem.New(problem.Conflict, "app.secret-differs")
		}
		_, err := tx.Run("UPDATE installation SET value = ? WHERE key = ?", ring.Fingerprint(), fingerprintKey)
		return err
	})
}
