package jobs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"assent/internal/store"
	"assent/internal/testkit"
)

// bench is a database and a Redis for one test.
type bench struct {
	*testing.T
	db    *store.DB
	redis string
	moved atomic.Int64
}

func prepare(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(context.Background())
}

// each runs the test on SQLite with the embedded Redis and on PostgreSQL with a real one.
func each(t *testing.T, test func(b *bench)) {
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) {
		b := &bench{T: t, redis: "embedded"}
		db, err := store.Open(t.Context(), url, store.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(b.moved.Load())) }})
		b.must(err)
		b.db = db
		t.Cleanup(func() { db.Close() })
		if db.Dialect() == store.Postgres {
			b.redis = testkit.Redis(t)
		}
		test(b)
	})
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) doorbell() *Doorbell {
	d, err := OpenDoorbell(b.redis)
	b.must(err)
	b.Cleanup(d.Close)
	return d
}

// start runs a process's worth of work; stop ends it.
func (b *bench) start(d *Doorbell, kinds ...Kind) (r *Runner, stop func()) {
	r = New(Options{DB: b.db, Doorbell: d, Kinds: kinds, Concurrency: 8, Sending: 2, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	b.must(r.Start())
	var once sync.Once
	stop = func() { once.Do(r.Stop) }
	b.Cleanup(stop)
	return r, stop
}

func (b *bench) schedule(kind, key string, in time.Duration) {
	b.Helper()
	b.must(b.db.Write(context.Background(), func(tx *store.Tx) error {
		return Schedule(tx, kind, key, QueueService, tx.Now().Add(in))
	}))
}

func (b *bench) eventually(what string, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(25 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%s: not within 25 s", what)
		}
	}
}

func (b *bench) job(kind, key string) (j Job) {
	b.Helper()
	b.must(b.db.Read(context.Background(), func(tx *store.Tx) error { return tx.Where("kind = ? AND key = ?", kind, key).Take(&j).Error }))
	return j
}

func always(n int) func(*store.Tx) (int, error) {
	return func(*store.Tx) (int, error) { return n, nil }
}

func counting(n *atomic.Int64) func(context.Context, string) (*time.Time, error) {
	return func(context.Context, string) (*time.Time, error) { n.Add(1); return nil, nil }
}

func TestDueWorkIsDoneOnceAndEarlyWorkNot(t *testing.T) {
	each(t, func(b *bench) {
		var n, early atomic.Int64
		b.start(b.doorbell(), Kind{Name: "now", Queue: QueueService, Handle: counting(&n)}, Kind{Name: "later", Queue: QueueService, Handle: counting(&early)})
		b.schedule("now", "a", 0)
		b.schedule("later", "a", 72*time.Hour)
		b.eventually("the work is done", func() bool { return b.job("now", "a").State == "done" })
		time.Sleep(2 * lookEvery)
		if n.Load() != 1 || early.Load() != 0 {
			t.Errorf("done %d times and %d too early, want 1 and 0", n.Load(), early.Load())
		}
		b.moved.Store(int64(73 * time.Hour))
		b.eventually("three days later the rest is done", func() bool { return early.Load() == 1 })
	})
}

func TestABellIsHeardAtOnce(t *testing.T) {
	each(t, func(b *bench) {
		var n atomic.Int64
		b.start(b.doorbell(), Kind{Name: "ask", Queue: QueueConfirm, Handle: counting(&n)})
		began := time.Now()
		b.schedule("ask", "a", 0)
		b.eventually("done", func() bool { return n.Load() == 1 })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// Redis forgets everything while work is waiting in it.
func TestFlushedRedisLosesNothing(t *testing.T) {
	each(t, func(b *bench) {
		d := b.doorbell()
		var done sync.Map
		kind := Kind{Name: "k", Queue: QueueService, Handle: func(_ context.Context, key string) (*time.Time, error) {
			time.Sleep(20 * time.Millisecond)
			done.Store(key, true)
			return nil, nil
		}}
		const n = 60
		b.start(d, kind)
		for i := range n {
			b.schedule("k", string(rune('A'+i)), 0)
			if i%20 == 10 {
				b.must(d.client.FlushAll(context.Background()).Err())
			}
		}
		b.eventually("all is done", func() bool {
			count := 0
			done.Range(func(any, any) bool { count++; return true })
			return count == n
		})
	})
}

func TestAFailureIsTriedAgainLater(t *testing.T) {
	each(t, func(b *bench) {
		var tries atomic.Int64
		b.start(b.doorbell(), Kind{Name: "k", Queue: QueueService, Handle: func(context.Context, string) (*time.Time, error) {
			switch tries.Add(1) {
			case 1:
				return nil, errors.New("not today")
			case 2:
				panic("nor tomorrow")
			}
			return nil, nil
		}})
		b.schedule("k", "a", 0)
		b.eventually("the first try", func() bool { return b.job("k", "a").Attempts == 1 })
		if j := b.job("k", "a"); j.LastError != "not today" || !j.DueAt.After(b.db.Now().Add(-time.Second)) {
			t.Errorf("after the failure: %+v", j)
		}
		b.eventually("done in the end", func() bool { return b.job("k", "a").State == "done" })
	})
}

// The handler of an older epoch changes nothing, whatever it says at the end.
func TestALateHandlerCountsNotAnyMore(t *testing.T) {
	each(t, func(b *bench) {
		b.schedule("k", "a", 0)
		var first, second []Job
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) (err error) { first, err = claim(tx, []string{"k"}, 10); return err }))
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE jobs SET lease_until = " + tx.LeaseIn(-time.Second))
			return err
		}))
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) (err error) { second, err = claim(tx, []string{"k"}, 10); return err }))
		if len(first) != 1 || len(second) != 1 || second[0].Epoch != first[0].Epoch+1 {
			t.Fatalf("claimed %+v, then %+v", first, second)
		}
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error { return finish(tx, first[0], nil, nil) }))
		if j := b.job("k", "a"); j.State != "running" {
			t.Errorf("the first handler ended the work of the second: %s", j.State)
		}
		err := b.db.Write(context.Background(), func(tx *store.Tx) error { return extend(tx, first[0].ID, first[0].Epoch) })
		if !errors.Is(err, errStale) {
			t.Errorf("the first handler may go on: %v", err)
		}
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error { return finish(tx, second[0], nil, nil) }))
		if j := b.job("k", "a"); j.State != "done" {
			t.Errorf("the second handler's end does not count: %s", j.State)
		}
	})
}

func TestAHeldLeaseIsNotTaken(t *testing.T) {
	each(t, func(b *bench) {
		b.schedule("k", "a", 0)
		for i, want := range []int{1, 0} {
			var got []Job
			b.must(b.db.Write(context.Background(), func(tx *store.Tx) (err error) { got, err = claim(tx, []string{"k"}, 10); return err }))
			if len(got) != want {
				t.Errorf("claim %d took %d, want %d", i, len(got), want)
			}
		}
	})
}

// Several processes plan the same periodic work; it is done once a slot.
func TestPeriodicWorkIsDoneOnceASlot(t *testing.T) {
	each(t, func(b *bench) {
		var n atomic.Int64
		kind := Kind{Name: "hourly", Queue: QueueService, Every: time.Hour, Handle: counting(&n)}
		base := time.Now().Truncate(time.Hour).Add(30 * time.Minute)
		b.moved.Store(int64(time.Until(base)))
		d := b.doorbell()
		for range 3 {
			b.start(d, kind)
		}
		b.eventually("the first slot", func() bool { return n.Load() >= 1 })
		time.Sleep(3 * lookEvery)
		if n.Load() != 1 {
			t.Fatalf("one slot was done %d times", n.Load())
		}
		for range 3 {
			b.must(b.db.Write(context.Background(), func(tx *store.Tx) error { return plan(tx, []Kind{kind}) }))
		}
		time.Sleep(3 * lookEvery)
		if n.Load() != 1 {
			t.Errorf("planned again, it was done %d times", n.Load())
		}
	})
}

func TestWorkThatIsNotReadyIsNotRung(t *testing.T) {
	each(t, func(b *bench) {
		var n atomic.Int64
		var ready atomic.Bool
		b.start(b.doorbell(), Kind{Name: "lane", Queue: QueueBulk, Lanes: always(1), Ready: func(context.Context) (bool, error) { return ready.Load(), nil },
			Handle: func(context.Context, string) (*time.Time, error) {
				n.Add(1)
				ready.Store(false)
				now := b.db.Now()
				return &now, nil
			}})
		time.Sleep(3 * lookEvery)
		if n.Load() != 0 {
			t.Error("rung though nothing was ready")
		}
		ready.Store(true)
		b.eventually("rung when ready", func() bool { return n.Load() == 1 })
		ready.Store(true)
		b.eventually("a lane works for ever", func() bool { return n.Load() >= 2 })
	})
}

func TestStopTellsHandlersAndWaits(t *testing.T) {
	each(t, func(b *bench) {
		var began, ended atomic.Bool
		_, stop := b.start(b.doorbell(), Kind{Name: "long", Queue: QueueBulk, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			began.Store(true)
			<-ctx.Done()
			ended.Store(true)
			return nil, ctx.Err()
		}})
		b.schedule("long", "a", 0)
		b.eventually("it began", began.Load)
		at := time.Now()
		stop()
		if !ended.Load() || time.Since(at) > 9*time.Second {
			t.Errorf("stop took %s, the handler ended: %v", time.Since(at), ended.Load())
		}
		if j := b.job("long", "a"); j.State != "waiting" {
			t.Errorf("work cut off is %s, want waiting", j.State)
		}
	})
}

// Bulk work that fills all its places keeps nobody who waits for a confirmation.
func TestBulkWorkKeepsNoConfirmationWaiting(t *testing.T) {
	each(t, func(b *bench) {
		var busy, asked atomic.Int64
		b.start(b.doorbell(),
			Kind{Name: "heavy", Queue: QueueBulk, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
				busy.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			Kind{Name: "ask", Queue: QueueConfirm, Handle: counting(&asked)})
		for i := range 40 {
			b.must(b.db.Write(context.Background(), func(tx *store.Tx) error {
				return Schedule(tx, "heavy", string(rune('A'+i)), QueueBulk, tx.Now())
			}))
		}
		b.eventually("bulk work is everywhere", func() bool { return busy.Load() >= 8 })
		began := time.Now()
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error { return Schedule(tx, "ask", "a", QueueConfirm, tx.Now()) }))
		b.eventually("the confirmation", func() bool { return asked.Load() == 1 })
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it waited %s", took)
		}
	})
}

// Each process takes as many lanes of bulk mail as it has places for, and no
// process takes all.
func TestProcessesShareTheSendingLanes(t *testing.T) {
	each(t, func(b *bench) {
		d := b.doorbell()
		var at [2]atomic.Int64
		for i := range at {
			b.start(d, Kind{Name: "lane", Queue: QueueSending, Lanes: always(4), Handle: func(ctx context.Context, _ string) (*time.Time, error) {
				at[i].Add(1)
				defer at[i].Add(-1)
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		}
		b.eventually("both have theirs", func() bool { return at[0].Load() == 2 && at[1].Load() == 2 })
		time.Sleep(2 * lookEvery)
		if n, m := at[0].Load(), at[1].Load(); n != 2 || m != 2 {
			t.Errorf("%d and %d lanes, want 2 each", n, m)
		}
	})
}

func TestThereAreAsManyLanesAsThereAreToBe(t *testing.T) {
	each(t, func(b *bench) {
		lanes := func() (keys []string) {
			b.must(b.db.Read(context.Background(), func(tx *store.Tx) error {
				return tx.Raw("SELECT key FROM jobs WHERE kind = 'lane' ORDER BY key").Scan(&keys).Error
			}))
			return keys
		}
		for _, n := range []int{2, 4, 1, 0} {
			b.must(b.db.Write(context.Background(), func(tx *store.Tx) error {
				return plan(tx, []Kind{{Name: "lane", Queue: QueueSending, Lanes: always(n)}})
			}))
			if got, want := lanes(), []string{"1", "2", "3", "4"}[:n]; !slices.Equal(got, want) {
				t.Errorf("lanes %q, want %q", got, want)
			}
		}
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error { return Schedule(tx, "lane", "1", QueueBulk, tx.Now()) }))
		b.must(b.db.Write(context.Background(), func(tx *store.Tx) error {
			return plan(tx, []Kind{{Name: "lane", Queue: QueueSending, Lanes: always(1)}})
		}))
		if q := b.job("lane", "1").Queue; q != QueueSending {
			t.Errorf("a lane of before waits in %q", q)
		}
	})
}
