// Package store opens the database and runs transactions on it.
//
// It promises: a write is committed to disk when Write returns nil
// (PostgreSQL synchronous_commit=on, SQLite synchronous=FULL); hooks given to
// AfterCommit run only then, and never twice; a transaction that PostgreSQL
// ends for a deadlock or a serialization failure is run again from the start.
// PostgreSQL and SQLite are equals: the same Go code, the same schema, and one
// conformance suite.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"assent/internal/link"
	"assent/internal/problem"
)

// Dialect names the database spoken to.
type Dialect string

// The two databases.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Options for Open. The zero value is right for production.
type Options struct {
	Clock    func() time.Time // business time; nil is the real clock
	MaxConns int              // PostgreSQL pool size; 0 is 20
	Ring     *link.Ring       // opens what is stored sealed; nil where nothing sealed is touched
}

// DB is an open database.
type DB struct {
	dialect Dialect
	writer  *gorm.DB
	reader  *gorm.DB
	pool    *pgxpool.Pool // PostgreSQL only
	clock   func() time.Time
	ring    *link.Ring
	close   func() error

	attached map[any]any
	lasting  lasting
}

// Open opens url: "sqlite:PATH" or "postgres://…". It does not migrate. A
// second process on one SQLite file is refused with problem.Conflict.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	scheme, rest, _ := strings.Cut(url, ":")
	var db *DB
	var err error
	switch scheme {
	case "sqlite":
		db, err = openSQLite(rest, o)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, url, o)
	default:
		return nil, fmt.Errorf("database URL must begin with sqlite: or postgres://, not %q", scheme+":")
	}
	if err != nil {
		return nil, err
	}
	db.clock, db.ring, db.attached = o.Clock, o.Ring, map[any]any{}
	return db, nil
}

// Attach keeps a value with the database for the packages above, under a key
// type of their own. It is for the start of the program, before any transaction.
func (db *DB) Attach(key, value any) { db.attached[key] = value }

// Attached gives what Attach kept, or nil.
func (db *DB) Attached(key any) any { return db.attached[key] }

// Close ends all connections and gives up the lock on a SQLite file.
func (db *DB) Close() error { return db.close() }

// Dialect tells which database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Pool is PostgreSQL's own pool, shared with GORM, for COPY; nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Now is the business time, in UTC and whole microseconds, the precision that
// both databases keep.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	conn, err := db.reader.DB()
	if err != nil {
		return err
	}
	return conn.PingContext(ctx)
}

// Tx is one transaction with its own fixed time. It embeds GORM's session, so
// models are created and found through it.
type Tx struct {
	*gorm.DB
	db    *DB
	now   time.Time
	after []func()
}

// Now is the time of the transaction: the same at every call.
func (tx *Tx) Now() time.Time { return tx.now }

// NewID makes a UUIDv7 (RFC 9562 §5.7) whose time is the transaction's.
func (tx *Tx) NewID() uuid.UUID { return NewID(tx.now) }

// Dialect tells which database this is.
func (tx *Tx) Dialect() Dialect { return tx.db.dialect }

// Ring opens and seals what the database holds in secret.
func (tx *Tx) Ring() *link.Ring { return tx.db.ring }

// Attached gives what Attach kept with the database, or nil.
func (tx *Tx) Attached(key any) any { return tx.db.attached[key] }

// Context is the context that the transaction lives under.
func (tx *Tx) Context() context.Context { return tx.Statement.Context }

// AfterCommit runs f once the transaction is on disk, and not at all if it is
// rolled back. f must be quick and must not fail in a way that matters.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Pick chooses between two spellings of a statement.
func (tx *Tx) Pick(postgres, sqlite string) string {
	if tx.Dialect() == Postgres {
		return postgres
	}
	return sqlite
}

// Run executes a statement with ? placeholders and tells how many rows it touched.
func (tx *Tx) Run(statement string, args ...any) (int64, error) {
	r := tx.DB.Exec(statement, args...)
	return r.RowsAffected, r.Error
}

// LeaseNow is the SQL of the database's own clock. Leases between machines use
// it, since their clocks may differ; it is never moved by a test's clock.
func (tx *Tx) LeaseNow() string {
	return tx.Pick("clock_timestamp()", "strftime('%Y-%m-%d %H:%M:%f+00:00','now')")
}

// LeaseIn is the SQL of the database's clock plus d.
func (tx *Tx) LeaseIn(d time.Duration) string {
	s := d.Seconds()
	return tx.Pick(fmt.Sprintf("clock_timestamp() + make_interval(secs => %f)", s),
		fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%f+00:00','now','%+f seconds')", s))
}

// SkipLocked is the locking clause of a claim; SQLite has one writer and needs none.
func (tx *Tx) SkipLocked() string { return tx.Pick(" FOR UPDATE SKIP LOCKED", "") }

// ForUpdate locks the rows read until the end of the transaction.
func (tx *Tx) ForUpdate() string { return tx.Pick(" FOR UPDATE", "") }

const writeTries = 5

// Write runs f in a transaction that commits when f returns nil.
func (db *DB) Write(ctx context.Context, f func(*Tx) error) error {
	for try := 1; ; try++ {
		after, err := db.run(ctx, db.writer, f, nil)
		if err != nil && try < writeTries && retryable(err) && wait(ctx, try) {
			continue
		}
		if err != nil {
			return err
		}
		for _, hook := range after {
			hook()
		}
		return nil
	}
}

// wait pauses before another try, longer each time and never twice the same, so
// that those who met do not meet again; false when ctx ends first.
func wait(ctx context.Context, try int) bool {
	most := 5 * time.Millisecond << try
	timer := time.NewTimer(most/2 + rand.N(most))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Read runs f in a transaction for reading only; on SQLite it does not wait for
// the writer. The database refuses a write in it. All that f reads is of one
// moment, so that what is counted by several statements adds up.
func (db *DB) Read(ctx context.Context, f func(*Tx) error) error {
	var o *sql.TxOptions // SQLite's reader is opened for reading only
	if db.dialect == Postgres {
		o = &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	_, err := db.run(ctx, db.reader, f, o)
	return err
}

func (db *DB) run(ctx context.Context, session *gorm.DB, f func(*Tx) error, o *sql.TxOptions) ([]func(), error) {
	var options []*sql.TxOptions
	if o != nil {
		options = append(options, o)
	}
	var after []func()
	err := session.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		tx := &Tx{DB: g, db: db, now: db.Now()}
		if err := f(tx); err != nil {
			return err
		}
		after = tx.after
		return nil
	}, options...)
	if err = ended(ctx, err); err != nil && unreachable(err) {
		err = away{err}
	}
	return after, err
}

// ended has an error that follows from the end of ctx say so: a driver may only
// tell that its connection is closed, or its transaction over.
func ended(ctx context.Context, err error) error {
	if over := ctx.Err(); err != nil && over != nil && !errors.Is(err, over) {
		return fmt.Errorf("%w: %w", over, err)
	}
	return err
}

// retryable: deadlock_detected, serialization_failure (PostgreSQL manual, appendix A).
func retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// Missing reports that a row looked for is not there.
func Missing(err error) bool { return errors.Is(err, gorm.ErrRecordNotFound) }

// Duplicate reports that a unique key is taken already.
func Duplicate(err error) bool { return errors.Is(err, gorm.ErrDuplicatedKey) }

// BrokenReference reports that a foreign key points at nothing, for example at another brand's row.
func BrokenReference(err error) bool { return errors.Is(err, gorm.ErrForeignKeyViolated) }

// Found turns a missing row into problem.NotFound with key, and leaves other errors as they are.
func Found(err error, key string) error {
	if Missing(err) {
		return problem.New(problem.NotFound, key).Because(err)
	}
	return err
}

func gormConfig(o Options) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard,
		NowFunc:                func() time.Time { return o.Clock().UTC().Truncate(time.Microsecond) },
	}
}
