package testkit

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresProcess is a PostgreSQL server of one test's own.
type PostgresProcess struct {
	*Process
	URL string // of the database "assent", empty at first
}

// PostgresOption changes how a server of PostgresServer is started.
type PostgresOption func(*[]string)

// Durable makes commits reach the disk, as in production.
func Durable() PostgresOption {
	return PostgresSetting("fsync", "on")
}

// PostgresSetting sets one of the server's settings.
func PostgresSetting(name, value string) PostgresOption {
	return func(args *[]string) { *args = append(*args, "-c", name+"="+value) }
}

// PostgresServer starts a server for this test alone, which it may Kill, Stop
// and Start; fsync is off, which a killed process, unlike a machine without
// power, survives. It ends with the test.
func PostgresServer(tb testing.TB, options ...PostgresOption) *PostgresProcess {
	tb.Helper()
	return postgresIn(tb, testFolder(tb, "pg"), options...)
}

// PostgresServerOn is PostgresServer with its data on a small disk.
func PostgresServerOn(tb testing.TB, d *SmallDisk, options ...PostgresOption) *PostgresProcess {
	tb.Helper()
	return postgresIn(tb, d.folder(tb, "pg"), options...)
}

func postgresIn(tb testing.TB, dir string, options ...PostgresOption) *PostgresProcess {
	tb.Helper()
	p, err := newPostgres(dir, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Kill)
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	if err := execSQL(postgresURL(p.dir, "postgres"), "CREATE DATABASE assent"); err != nil {
		tb.Fatal(err)
	}
	return &PostgresProcess{Process: p, URL: postgresURL(p.dir, "assent")}
}

func newPostgres(dir string, options ...PostgresOption) (*Process, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, dieWithUs(true)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a PostgreSQL data folder: %w: %s", err, out)
	}
	argv := []string{filepath.Join(bin, "postgres"), "-D", data, "-k", dir}
	for _, s := range []string{"listen_addresses=", "fsync=off", "max_connections=200", "shared_buffers=64MB", "log_min_messages=warning", "dynamic_shared_memory_type=mmap"} {
		argv = append(argv, "-c", s)
	}
	for _, o := range options {
		o(&argv)
	}
	return &Process{
		name: "PostgreSQL", argv: argv, dir: dir, sysproc: dieWithUs(true), stopWith: syscall.SIGINT, // "fast": clients are cut off
		ready: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, postgresURL(dir, "postgres"))
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	}, nil
}

// postgresBin is the folder of initdb and postgres.
func postgresBin() (string, error) {
	var tried []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		tried = append(tried, strings.TrimSpace(string(out)))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	sort.Sort(sort.Reverse(sort.StringSlice(debian)))
	for _, dir := range append(tried, debian...) {
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("PostgreSQL's initdb is not installed; run: apt-get install -y postgresql")
}

func postgresURL(dir, database string) string {
	return "postgres://postgres@/" + database + "?host=" + dir
}

func execSQL(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("reach the test's PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// sharedPostgres is the server of this process, in its folder.
var sharedPostgres = sync.OnceValues(func() (string, error) {
	dir, err := ownFolder("pg")
	if err != nil {
		return "", err
	}
	p, err := newPostgres(dir)
	if err != nil {
		return "", err
	}
	return dir, p.Start()
})

var (
	databases atomic.Int64
	templates sync.Map // name → *template
)

// template is a database made ready once and cloned for every test.
type template struct {
	once sync.Once
	err  error
}

// Postgres gives the URL of a new, empty database, which goes away with the
// test. The server is one for all tests of the process.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return cloneDatabase(tb, "template1")
}

// PostgresTemplate gives the URL of a new database as prepare left the first
// one of the name: prepare runs once a process, on an empty database, and a
// clone costs some hundredths of a second. The name is of letters, digits and _.
func PostgresTemplate(tb testing.TB, name string, prepare func(url string) error) string {
	tb.Helper()
	dir, err := sharedPostgres()
	if err != nil {
		tb.Fatal(err)
	}
	name = "template_" + name
	v, _ := templates.LoadOrStore(name, &template{})
	t := v.(*template)
	t.once.Do(func() {
		if t.err = execSQL(postgresURL(dir, "postgres"), "CREATE DATABASE "+name); t.err != nil {
			return
		}
		if t.err = prepare(postgresURL(dir, name)); t.err != nil {
			return
		}
		// A database with guests cannot be cloned: send them away for good.
		if t.err = execSQL(postgresURL(dir, "postgres"), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false"); t.err != nil {
			return
		}
		t.err = execSQL(postgresURL(dir, "postgres"), "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '"+name+"'")
	})
	if t.err != nil {
		tb.Fatalf("prepare the database %s: %v", name, t.err)
	}
	return cloneDatabase(tb, name)
}

func cloneDatabase(tb testing.TB, from string) string {
	tb.Helper()
	dir, err := sharedPostgres()
	if err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("t%d", databases.Add(1))
	if err := execSQL(postgresURL(dir, "postgres"), "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := execSQL(postgresURL(dir, "postgres"), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
	})
	return postgresURL(dir, name)
}
