package testkit

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"
)

// openSQL opens a database of either kind.
func openSQL(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func prepareOne(t *testing.T, runs *int) func(string) error {
	return func(url string) error {
		*runs++
		db := openSQL(t, url)
		_, err := db.Exec("CREATE TABLE thing (n integer); INSERT INTO thing VALUES (1)")
		return errors.Join(err, db.Close())
	}
}

func TestEveryDatabaseIsTheTestsOwn(t *testing.T) {
	for range 2 {
		EachDatabase(t, func(t *testing.T, url string) {
			db := openSQL(t, url)
			defer db.Close()
			if _, err := db.Exec("CREATE TABLE only_here (n integer)"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPreparedDatabasesAreClonesOfOne(t *testing.T) {
	runs := 0
	prepare := prepareOne(t, &runs)
	for range 3 {
		EachPrepared(t, "one", prepare, func(t *testing.T, url string) {
			db := openSQL(t, url)
			defer db.Close()
			var n int
			if err := db.QueryRow("SELECT count(*) FROM thing").Scan(&n); err != nil || n != 1 {
				t.Fatalf("%d rows, %v", n, err)
			}
			if _, err := db.Exec("INSERT INTO thing VALUES (2)"); err != nil {
				t.Error(err)
			}
		})
	}
	if runs != 2 {
		t.Errorf("prepared %d times, want once a kind", runs)
	}
}

func TestPostgresSurvivesAKill(t *testing.T) {
	pg := PostgresServer(t, Durable(), PostgresSetting("work_mem", "5MB"))
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pg.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE kept (n integer); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	var fsync, memory string
	if err := conn.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('work_mem')").Scan(&fsync, &memory); err != nil || fsync != "on" || memory != "5MB" {
		t.Errorf("fsync %s, work_mem %s, %v", fsync, memory, err)
	}
	pid := pg.PID()
	if len(childrenOf(pid)) == 0 {
		t.Error("a running server has children")
	}
	pg.Kill()
	if err := conn.Ping(ctx); err == nil || pg.PID() != 0 {
		t.Error("the server still answers")
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	again, err := pgx.Connect(ctx, pg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close(ctx) }()
	var n int
	if err := again.QueryRow(ctx, "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("after the kill: %d, %v", n, err)
	}
	pg.Stop()
	if err := again.Ping(ctx); err == nil {
		t.Error("a stopped server still answers")
	}
}

func redisClient(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		t.Fatal(err)
	}
	client := opt.MakeRedisClient().(redis.UniversalClient)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestRedisDatabasesAreApart(t *testing.T) {
	ctx := context.Background()
	a, b := redisClient(t, Redis(t)), redisClient(t, Redis(t))
	if err := a.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Exists(ctx, "k").Result(); err != nil || n != 0 {
		t.Errorf("another test's key is there: %d, %v", n, err)
	}
}

func TestRedisServerForgets(t *testing.T) {
	ctx := context.Background()
	server := RedisServer(t)
	client := redisClient(t, server.URL)
	set := func() {
		t.Helper()
		if err := client.Set(ctx, "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustBeEmpty := func(after string) {
		t.Helper()
		if n, err := client.Exists(ctx, "k").Result(); err != nil || n != 0 {
			t.Errorf("after %s: %d, %v", after, n, err)
		}
	}
	set()
	if err := server.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	mustBeEmpty("a flush")
	for name, end := range map[string]func(){"a kill": server.Kill, "a stop": server.Stop} {
		set()
		end()
		if err := client.Ping(ctx).Err(); err == nil {
			t.Errorf("it answers after %s", name)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		mustBeEmpty(name)
	}
}

// TestNothingOutlivesTheProcess runs this test binary again, kills it by
// SIGKILL, and looks for what it left.
func TestNothingOutlivesTheProcess(t *testing.T) {
	if tell := os.Getenv("ASSENT_TEST_CHILD"); tell != "" {
		Postgres(t)
		Redis(t)
		pg, _ := sharedPostgres()
		rd, _ := sharedRedis()
		if err := os.WriteFile(tell, []byte(pg+"\n"+rd), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		t.Fatal("nobody killed this process")
	}
	tell := filepath.Join(t.TempDir(), "folders")
	child := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheProcess$")
	child.Env = append(os.Environ(), "ASSENT_TEST_CHILD="+tell)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var folders []string
	within(t, 30*time.Second, "the child's servers", func() bool {
		raw, err := os.ReadFile(tell)
		folders = strings.Fields(string(raw))
		return err == nil && len(folders) == 2
	})
	_ = child.Process.Kill()
	_ = child.Wait()
	for _, dir := range folders {
		within(t, 10*time.Second, dir+" to go", func() bool {
			_, err := os.Stat(dir)
			return errors.Is(err, os.ErrNotExist) && len(processesNaming(dir)) == 0
		})
	}
}

// processesNaming lists the processes with text in their command line.
func processesNaming(text string) []string {
	var found []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		if raw, err := os.ReadFile(line); err == nil && strings.Contains(string(raw), text) {
			found = append(found, string(raw))
		}
	}
	return found
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}
