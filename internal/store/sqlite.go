package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"gorm.io/gorm"
	moderncsqlite "modernc.org/sqlite"

	"assent/internal/problem"
)

// readers is how many queries may run beside the one writer.
const readers = 4

func init() {
	// The same name and meaning as the function that the PostgreSQL schema defines.
	moderncsqlite.MustRegisterScalarFunction("assent_uuid7", 1, func(_ *moderncsqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		ms, ok := args[0].(int64)
		if !ok {
			return nil, fmt.Errorf("assent_uuid7 takes Unix milliseconds, not %T", args[0])
		}
		return NewID(timeOfMillis(ms)).String(), nil
	})
}

// openSQLite opens one writer and a few readers in WAL mode. BEGIN IMMEDIATE
// keeps a transaction that reads first from failing at its first write.
func openSQLite(path string, o Options) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of the database: %w", err)
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	writer, err := openFile(path, o, 1, "synchronous(FULL)", "journal_mode(WAL)")
	if err != nil {
		unlock()
		return nil, err
	}
	reader, err := openFile(path, o, readers, "query_only(1)")
	if err != nil {
		unlock()
		return nil, err
	}
	return &DB{dialect: SQLite, writer: writer, reader: reader, close: func() error {
		var errs []error
		for _, g := range []*gorm.DB{reader, writer} {
			if conn, err := g.DB(); err == nil {
				errs = append(errs, conn.Close())
			}
		}
		unlock()
		return errors.Join(errs...)
	}}, nil
}

func openFile(path string, o Options, conns int, pragmas ...string) (*gorm.DB, error) {
	q := url.Values{"_time_format": {"sqlite"}, "_timezone": {"UTC"}}
	if conns == 1 {
		q.Set("_txlock", "immediate")
	}
	for _, p := range append([]string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(2)", "cache_size(-16000)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	g, err := gorm.Open(sqliteDialect{dsn: (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()}, gormConfig(o))
	if err != nil {
		return nil, fmt.Errorf("open SQLite file %s: %w", path, err)
	}
	conn, err := g.DB()
	if err != nil {
		return nil, fmt.Errorf("open SQLite file %s: %w", path, err)
	}
	conn.SetMaxOpenConns(conns)
	conn.SetMaxIdleConns(conns)
	return g, nil
}

// lockFile keeps a second process off the file. The lock goes with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, problem.New(problem.Conflict, "store.in-use", "File", path).Because(err)
	}
	return func() { f.Close() }, nil
}
