package store

import (
	"context"
	"fmt"
)

// Vacuum writes the tables anew, so that their files hold nothing any more of
// what was deleted or overwritten, and shortens the write-ahead log. whole is for
// when nobody works: on PostgreSQL each table is locked while it is written
// (VACUUM FULL), and needs its size again on the disk. Without, PostgreSQL
// clears what is dead and leaves the room to be written over; SQLite, which knows
// one way only, holds writers up for about a second for every 100 MiB.
func (db *DB) Vacuum(ctx context.Context, whole bool) error {
	statements := []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"}
	if db.dialect == Postgres {
		statements = []string{"VACUUM"}
		if whole {
			statements = []string{"VACUUM FULL"}
		}
		statements = append(statements, "CHECKPOINT")
	}
	for _, s := range statements {
		if err := db.writer.WithContext(ctx).Exec(s).Error; err != nil {
			if s == "CHECKPOINT" { // which a role must be allowed: PostgreSQL makes its own within minutes
				continue
			}
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
