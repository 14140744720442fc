package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"assent/internal/problem"
)

//go:embed migrations
var migrations embed.FS

// Version is where a database's schema stands.
type Version struct {
	Current int64 // of the database
	Known   int64 // the newest this program has
}

func (db *DB) goose() (*goose.Provider, error) {
	folder, err := fs.Sub(migrations, "migrations/"+string(db.dialect))
	if err != nil {
		return nil, err
	}
	conn, err := db.writer.DB()
	if err != nil {
		return nil, err
	}
	var options []goose.ProviderOption
	dialect := goose.DialectSQLite3
	if db.dialect == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, conn, folder, options...)
}

// Migrate brings the schema up to date; several may call it at once. A schema
// newer than the program is refused with problem.Conflict and left alone.
func (db *DB) Migrate(ctx context.Context) error {
	if _, err := db.checkNotNewer(ctx); err != nil {
		return err
	}
	p, err := db.goose()
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return db.MakePartitions(ctx)
}

// CheckSchema refuses a schema that is newer than the program, or older.
func (db *DB) CheckSchema(ctx context.Context) error {
	v, err := db.checkNotNewer(ctx)
	if err != nil {
		return err
	}
	if v.Current < v.Known {
		return problem.New(problem.Conflict, "store.schema-older", "Current", v.Current, "Known", v.Known)
	}
	return nil
}

func (db *DB) checkNotNewer(ctx context.Context) (Version, error) {
	v, err := db.SchemaVersion(ctx)
	if err != nil {
		return v, err
	}
	if v.Current > v.Known {
		return v, problem.New(problem.Conflict, "store.schema-newer", "Current", v.Current, "Known", v.Known)
	}
	return v, nil
}

// SchemaVersion reads where the schema stands; an empty database is at 0.
func (db *DB) SchemaVersion(ctx context.Context) (Version, error) {
	p, err := db.goose()
	if err != nil {
		return Version{}, fmt.Errorf("read the migrations: %w", err)
	}
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return Version{}, fmt.Errorf("read the schema's version: %w", err)
	}
	sources := p.ListSources()
	return Version{Current: current, Known: sources[len(sources)-1].Version}, nil
}

// monthsAhead is how many partitions exist before they are needed.
const monthsAhead = 3

// MakePartitions makes the partitions of this month and the next ones. It is
// repeatable. A month whose rows already lie in the default partition (made
// while no partition was there) stays there: nothing is lost, only slower.
func (db *DB) MakePartitions(ctx context.Context) error {
	if db.dialect != Postgres {
		return nil
	}
	now := db.Now()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range monthsAhead + 1 {
		from, to := first.AddDate(0, i, 0), first.AddDate(0, i+1, 0)
		if err := db.makeMonth(ctx, from, to); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) makeMonth(ctx context.Context, from, to time.Time) error {
	first, last := from.Format(time.RFC3339), to.Format(time.RFC3339)
	for _, p := range []partition{
		{"messages", "source_id", FirstID(from).String(), FirstID(to).String(), " WITH (fillfactor = 50)"}, // as messages_default
		{"hits", "at", first, last, ""},
		{"events", "at", first, last, ""},
	} {
		if err := db.makePartition(ctx, p, from.Format("_2006_01")); err != nil {
			return fmt.Errorf("make a partition of %s: %w", p.table, err)
		}
	}
	return nil
}

// partition is a table's part from a value of its key up to another.
type partition struct {
	table, key, from, to string
	with                 string // how it is stored
}

// makePartition takes a lock first, so that two processes do not collide.
func (db *DB) makePartition(ctx context.Context, p partition, suffix string) error {
	name := p.table + suffix
	return db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Run("SELECT pg_advisory_xact_lock(hashtext(?))", "assent partitions"); err != nil {
			return err
		}
		var there bool
		if err := tx.Raw("SELECT to_regclass(?) IS NOT NULL", name).Scan(&there).Error; err != nil || there {
			return err
		}
		var taken bool
		if err := tx.Raw(fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s_default WHERE %s >= ? AND %s < ?)", p.table, p.key, p.key), p.from, p.to).Scan(&taken).Error; err != nil || taken {
			return err
		}
		_, err := tx.Run(fmt.Sprintf("CREATE TABLE %s PARTITION OF %s FOR VALUES FROM ('%s') TO ('%s')%s", name, p.table, p.from, p.to, p.with))
		return err
	})
}

func timeOfMillis(ms int64) time.Time { return time.UnixMilli(ms) }
