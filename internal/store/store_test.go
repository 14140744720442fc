package store_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/testkit"
)

// childURL names the database that a child process of the test shall open.
const childURL = "ASSENT_TEST_STORE_CHILD"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		db, err := store.Open(context.Background(), url, store.Options{})
		if err != nil {
			fmt.Println("refused:", err)
			os.Exit(3)
		}
		db.Close()
		fmt.Println("opened")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func migrate(url string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// each runs the test on both databases with the schema in place.
func each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	testkit.EachPrepared(t, "store", migrate, func(t *testing.T, url string) { test(t, open(t, url, nil)) })
}

func open(t *testing.T, url string, clock func() time.Time) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *store.DB, sql string, args ...any) error {
	t.Helper()
	return db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Run(sql, args...)
		return err
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *store.DB, sql string, args ...any) (n int) {
	t.Helper()
	must(t, db.Read(t.Context(), func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error }))
	return n
}

func TestWriteCommitsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		stop := errors.New("stop")
		ran := 0
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() { ran++ })
			if _, err := tx.Run("INSERT INTO installation (key, value) VALUES ('a', '1')"); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) || ran != 0 {
			t.Fatalf("err %v, hooks run %d; want the function's own error and no hook", err, ran)
		}
		if n := count(t, db, "SELECT count(*) FROM installation WHERE key = 'a'"); n != 0 {
			t.Fatal("a row of a transaction that failed is there")
		}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() {
				ran++
				if n := count(t, db, "SELECT count(*) FROM installation WHERE key = 'a'"); n != 1 {
					t.Error("the hook ran before the row could be seen")
				}
			})
			_, err := tx.Run("INSERT INTO installation (key, value) VALUES ('a', '1')")
			return err
		}))
		if ran != 1 {
			t.Fatalf("the hook ran %d times", ran)
		}
	})
}

func TestAPanicRollsBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		func() {
			defer func() { recover() }()
			db.Write(t.Context(), func(tx *store.Tx) error {
				tx.Run("INSERT INTO installation (key, value) VALUES ('p', '1')")
				panic("a fault")
			})
		}()
		if n := count(t, db, "SELECT count(*) FROM installation WHERE key = 'p'"); n != 0 {
			t.Fatal("a row of a transaction that panicked is there")
		}
		must(t, run(t, db, "INSERT INTO installation (key, value) VALUES ('p', '2')")) // the connection is free again
	})
}

func TestReadersDoNotSeeHalfATransaction(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Run("INSERT INTO installation (key, value) VALUES ('h', '1')"); err != nil {
				return err
			}
			if n := count(t, db, "SELECT count(*) FROM installation WHERE key = 'h'"); n != 0 {
				t.Error("another transaction sees what is not committed")
			}
			return nil
		}))
	})
}

// Two transactions take two rows in opposite order. PostgreSQL ends one of
// them; Write runs it again, and both are done, each hook once.
func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		db := open(t, testkit.PostgresTemplate(t, "store", migrate), nil)
		must(t, run(t, db, "INSERT INTO installation (key, value) VALUES ('x', '0'), ('y', '0')"))
		var tries, hooks atomic.Int64
		var both sync.WaitGroup
		both.Add(2)
		swap := func(first, second string) error {
			met := false
			return db.Write(t.Context(), func(tx *store.Tx) error {
				tries.Add(1)
				tx.AfterCommit(func() { hooks.Add(1) })
				if met {
					time.Sleep(200 * time.Millisecond) // or the one that won might be overtaken, and lose the next time
				}
				add := "UPDATE installation SET value = CAST(CAST(value AS integer) + 1 AS text) WHERE key = ?"
				if _, err := tx.Run(add, first); err != nil {
					return err
				}
				if !met {
					met = true
					both.Done()
					both.Wait()
				}
				_, err := tx.Run(add, second)
				return err
			})
		}
		errs := make(chan error, 2)
		go func() { errs <- swap("x", "y") }()
		go func() { errs <- swap("y", "x") }()
		must(t, errors.Join(<-errs, <-errs))
		if tries.Load() != 3 || hooks.Load() != 2 {
			t.Fatalf("tries %d, hooks %d; want 3 and 2", tries.Load(), hooks.Load())
		}
		if n := count(t, db, "SELECT count(*) FROM installation WHERE value = '2'"); n != 2 {
			t.Fatal("an addition was lost or done twice")
		}
	})
}

func TestASecondProcessIsRefusedTheFile(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		url := testkit.SQLiteTemplate(t, "store", migrate)
		child := func() string {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childURL+"="+url)
			out, _ := cmd.CombinedOutput()
			return string(out)
		}
		db := open(t, url, nil)
		if out := child(); !strings.Contains(out, "refused: conflict: store.in-use") {
			t.Fatalf("a second process got: %s", out)
		}
		if _, err := store.Open(t.Context(), url, store.Options{}); !problem.Is(err, problem.Conflict) {
			t.Fatalf("a second opening in one process got: %v", err)
		}
		must(t, run(t, db, "INSERT INTO installation (key, value) VALUES ('z', '1')")) // and did no harm
		must(t, db.Close())
		if out := child(); !strings.Contains(out, "opened") {
			t.Fatalf("after the first had closed, the second got: %s", out)
		}
	})
}

func TestANewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, db.CheckSchema(t.Context()))
		v, err := db.SchemaVersion(t.Context())
		must(t, err)
		must(t, run(t, db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", v.Known+1, true))
		before := facts(t, db)
		for name, err := range map[string]error{"Migrate": db.Migrate(t.Context()), "CheckSchema": db.CheckSchema(t.Context())} {
			p, ok := problem.Of(err)
			if !ok || p.Kind != problem.Conflict || p.Key != "store.schema-newer" {
				t.Errorf("%s on a newer schema: %v", name, err)
			}
		}
		same(t, before, facts(t, db))
	})
}

func TestAnEmptyDatabaseIsOlder(t *testing.T) {
	testkit.EachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url, nil)
		if p, ok := problem.Of(db.CheckSchema(t.Context())); !ok || p.Key != "store.schema-older" {
			t.Fatalf("an empty database: %v", p)
		}
		must(t, db.Migrate(t.Context()))
		must(t, db.Migrate(t.Context()))
		must(t, db.CheckSchema(t.Context()))
	})
}

func TestMigratingAtOnce(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		url := testkit.Postgres(t)
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() { errs <- migrate(url) }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// Times go in from any zone and any precision, come back as the same
// microsecond, and sort as times although SQLite keeps them as text.
func TestTimesSurviveAndCompare(t *testing.T) {
	tehran := time.FixedZone("", 3*3600+1800)
	base := time.Date(2026, 3, 20, 20, 29, 59, 0, time.UTC)
	moments := []time.Time{ // in order
		time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		base,
		base.Add(time.Microsecond),
		base.Add(100 * time.Millisecond).In(tehran),
		base.Add(123456 * time.Microsecond),
		base.Add(200 * time.Millisecond).In(time.FixedZone("", -11*3600)),
		base.Add(time.Second).In(tehran),
		time.Date(2100, 1, 1, 0, 0, 0, 0, tehran),
	}
	each(t, func(t *testing.T, db *store.DB) {
		for i, m := range moments {
			must(t, run(t, db, "INSERT INTO sign_in_failures (key, failures, locked_until, updated_at) VALUES (?, ?, ?, ?)", fmt.Sprint(i), i, m, m))
		}
		var rows []struct {
			Failures    int
			LockedUntil *time.Time
			UpdatedAt   time.Time
		}
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Raw("SELECT * FROM sign_in_failures ORDER BY updated_at").Scan(&rows).Error
		}))
		for i, r := range rows {
			if r.Failures != i || !r.UpdatedAt.Equal(moments[i]) || !r.LockedUntil.Equal(moments[i]) {
				t.Errorf("at place %d: moment %d, %v; want %v", i, r.Failures, r.UpdatedAt, moments[i])
			}
			for j, m := range moments {
				n := count(t, db, "SELECT count(*) FROM sign_in_failures WHERE failures = ? AND updated_at <= ?", j, moments[i])
				if want := !m.After(moments[i]); (n == 1) != want {
					t.Errorf("%v <= %v: %v", m, moments[i], n == 1)
				}
			}
		}
	})
}

func TestTheTransactionsTimeStandsStill(t *testing.T) {
	testkit.EachPrepared(t, "store", migrate, func(t *testing.T, url string) {
		at := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.FixedZone("", 3600))
		db := open(t, url, func() time.Time { at = at.Add(time.Second); return at })
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			first := tx.Now()
			if first != tx.Now() || first.Location() != time.UTC || first.Nanosecond()%1000 != 0 {
				t.Errorf("the time of a transaction: %v, then %v", first, tx.Now())
			}
			id := tx.NewID()
			if s, n := id.Time().UnixTime(); time.Unix(s, n).UnixMilli() != first.UnixMilli() {
				t.Errorf("an id of %v says %v", first, time.Unix(s, n))
			}
			return nil
		}))
	})
}

func TestLeasesTakeTheDatabasesClock(t *testing.T) {
	testkit.EachPrepared(t, "store", migrate, func(t *testing.T, url string) {
		db := open(t, url, func() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) })
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			insert := func(key, lease string) error {
				_, err := tx.Run("INSERT INTO sign_in_failures (key, failures, locked_until, updated_at) VALUES (?, 0, "+lease+", ?)", key, tx.Now())
				return err
			}
			must(t, insert("past", tx.LeaseIn(-1500*time.Millisecond)))
			must(t, insert("now", tx.LeaseNow()))
			must(t, insert("soon", tx.LeaseIn(90*time.Second)))
			var over []string
			must(t, tx.Raw("SELECT key FROM sign_in_failures WHERE locked_until <= "+tx.LeaseNow()+" ORDER BY locked_until").Scan(&over).Error)
			if strings.Join(over, " ") != "past now" {
				t.Errorf("leases over: %v", over)
			}
			var at time.Time
			must(t, tx.Raw("SELECT locked_until FROM sign_in_failures WHERE key = 'soon'").Scan(&at).Error)
			if d := time.Until(at); d < 60*time.Second || d > 91*time.Second {
				t.Errorf("a lease of 90 s ends in %v", d)
			}
			return nil
		}))
	})
}

func TestIDsSortByTime(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var last uuid.UUID
	for i := range 5000 {
		at := start.Add(time.Duration(i) * time.Microsecond)
		id := store.NewID(at)
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%v is version %d, variant %v", id, id.Version(), id.Variant())
		}
		if bytes.Compare(last[:], id[:]) >= 0 || last.String() >= id.String() {
			t.Fatalf("%v of %v does not sort after %v", id, at, last)
		}
		if first := store.FirstID(at); bytes.Compare(first[:], id[:]) > 0 {
			t.Fatalf("%v sorts before the first id of its moment, %v", id, first)
		}
		last = id
	}
	if store.NewID(start) == store.NewID(start) {
		t.Fatal("two ids of one moment are the same")
	}
}

// assent_uuid7 is PostgreSQL's SQL and SQLite's Go; rows made by either sort by time.
func TestIDsMadeBySQL(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			seen := map[uuid.UUID]bool{}
			for range 50 {
				var text string
				must(t, tx.Raw("SELECT CAST(assent_uuid7(?) AS text)", at.UnixMilli()).Scan(&text).Error)
				id := uuid.MustParse(text)
				before, after := store.FirstID(at), store.FirstID(at.Add(time.Millisecond))
				if id.Version() != 7 || id.Variant() != uuid.RFC4122 || seen[id] ||
					bytes.Compare(id[:], before[:]) < 0 || bytes.Compare(id[:], after[:]) >= 0 {
					t.Fatalf("id %v of %v", id, at)
				}
				seen[id] = true
			}
			return nil
		}))
	})
}

func TestPartitionsAreMadeAheadAndOnce(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		now := time.Date(2027, 11, 30, 23, 0, 0, 0, time.UTC)
		db := open(t, testkit.PostgresTemplate(t, "store", migrate), func() time.Time { return now })
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() { errs <- db.MakePartitions(t.Context()) }()
		}
		for range cap(errs) {
			must(t, <-errs)
		}
		for _, month := range []string{"2027_11", "2027_12", "2028_01", "2028_02"} {
			if n := count(t, db, "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE ?", "%_"+month); n != 3 {
				t.Errorf("%d partitions of %s", n, month)
			}
		}
		w := seed(t, db)
		source := store.NewID(now.AddDate(0, 1, 0))
		must(t, w.message(t, source, "marketing", &w.topic, &w.event))
		if n := count(t, db, "SELECT count(*) FROM messages_2027_12"); n != 1 {
			t.Error("a message of December does not lie in December's partition")
		}
	})
}

// Who asks must be able to tell "you left" from "it failed", however the driver
// says that the transaction is over.
func TestATransactionThatIsLeftSaysSo(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for name, begin := range map[string]func(context.Context, func(*store.Tx) error) error{"read": db.Read, "write": db.Write} {
			ctx, cancel := context.WithCancel(t.Context())
			err := begin(ctx, func(tx *store.Tx) error {
				cancel()
				for {
					var n int
					if err := tx.WithContext(context.Background()).Raw("SELECT 1").Scan(&n).Error; err != nil {
						return fmt.Errorf("ask: %w", err)
					}
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			own := errors.New("no")
			if err := begin(t.Context(), func(*store.Tx) error { return own }); err != own {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// What is written between two statements of a reader is not in the second
// either: what is counted by several adds up.
func TestAReaderSeesOneMoment(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, run(t, db, "CREATE TABLE moments (n int)"))
		must(t, run(t, db, "INSERT INTO moments VALUES (1)"))
		var before, after int
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			if err := tx.Raw("SELECT count(*) FROM moments").Scan(&before).Error; err != nil {
				return err
			}
			if err := run(t, db, "INSERT INTO moments VALUES (2)"); err != nil {
				return err
			}
			return tx.Raw("SELECT count(*) FROM moments").Scan(&after).Error
		}))
		if before != 1 || after != 1 {
			t.Errorf("a reader counts %d, then %d", before, after)
		}
		if n := count(t, db, "SELECT count(*) FROM moments"); n != 2 {
			t.Errorf("%d are there", n)
		}
	})
}

func TestAwayIsNotWrong(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		if err := run(t, db, "SELECT nothing FROM nowhere"); err == nil || store.Away(err) {
			t.Errorf("a wrong statement counts as a database that is away: %v", err)
		}
		told := func(err error) error {
			return db.Read(t.Context(), func(*store.Tx) error { return err })
		}
		testAway(t, told)
	})
}

func testAway(t *testing.T, told func(error) error) {
	t.Helper()
	for _, err := range []error{&pgconn.PgError{Code: "57P03"}, &pgconn.PgError{Code: "53100"}, fmt.Errorf("load: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), driver.ErrBadConn} {
		if got := told(err); !store.Away(got) || !errors.Is(got, err) {
			t.Errorf("%v is not away", got)
		}
		if store.Away(err) {
			t.Errorf("%v is the database's, though nobody asked it", err)
		}
	}
	for _, err := range []error{nil, errors.New("x"), os.ErrNotExist, &pgconn.PgError{Code: "23505"}, problem.New(problem.NotFound, "x")} {
		if store.Away(told(err)) {
			t.Errorf("%v is away", err)
		}
	}
}
