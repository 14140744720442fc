package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// SQLite gives the URL of a database file that does not exist yet, in a folder
// of the test.
func SQLite(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "assent.db")
}

// EachDatabase runs the test on an empty SQLite file and on an empty PostgreSQL
// database, as subtests named sqlite and postgres; the report counts tests by
// these names.
func EachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// EachPrepared is EachDatabase on databases as prepare left them; prepare runs
// once for each kind and name, and must close what it opened.
func EachPrepared(t *testing.T, name string, prepare func(url string) error, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLiteTemplate(t, name, prepare)) })
	t.Run("postgres", func(t *testing.T) { test(t, PostgresTemplate(t, name, prepare)) })
}

var files sync.Map // name → func() (path string, err error)

// SQLiteTemplate is to SQLite what PostgresTemplate is to Postgres.
func SQLiteTemplate(tb testing.TB, name string, prepare func(url string) error) string {
	tb.Helper()
	v, _ := files.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := ownFolder("sqlite")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "assent.db")
		if err := prepare("sqlite:" + path); err != nil {
			return "", err
		}
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
			return "", errors.New("the file was left open: its log is not empty")
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return path, nil
	}))
	from, err := v.(func() (string, error))()
	if err != nil {
		tb.Fatalf("prepare the file %s: %v", name, err)
	}
	to := filepath.Join(tb.TempDir(), "assent.db")
	if err := copyFile(to, from); err != nil {
		tb.Fatal(fmt.Errorf("copy the prepared database: %w", err))
	}
	return "sqlite:" + to
}
