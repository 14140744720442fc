package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"assent/internal/store"
)

// Options of a Runner.
type Options struct {
	DB          *store.DB
	Doorbell    *Doorbell
	Kinds       []Kind
	Concurrency int // handlers at once of bulk work, and as many again of what people wait for
	Sending     int // lanes of bulk mail at once; 0: this process takes none
	Log         *slog.Logger
}

// Runner is the relay and the workers of one process.
type Runner struct {
	Options
	kinds   map[string]Kind
	client  *asynq.Client
	servers []*asynq.Server // one's places are never taken by the work of another
	bell    chan struct{}
	planAt  time.Time

	stop context.CancelFunc
	done sync.WaitGroup
}

const (
	lookEvery   = 300 * time.Millisecond // how long due work waits when no bell rings
	planEvery   = 10 * time.Second
	claimAtOnce = 100
	taskTimeout = 10 * time.Minute
	drainTime   = 6 * time.Second
	taskType    = "job"
)

// New builds a runner and hangs its bell in the database, so that Schedule and
// others wake it as soon as they commit.
func New(o Options) *Runner {
	r := &Runner{Options: o, kinds: map[string]Kind{}, bell: make(chan struct{}, 1)}
	for _, k := range o.Kinds {
		r.kinds[k.Name] = k
	}
	o.DB.Attach(bellKey{}, func() { r.Ring() })
	r.client = asynq.NewClientFromRedisClient(o.Doorbell.client)
	r.servers = []*asynq.Server{
		r.newServer(map[string]int{QueueConfirm: weightConfirm, QueueService: weightService}, r.Concurrency),
		r.newServer(map[string]int{QueueBulk: 1}, r.Concurrency),
	}
	if r.Sending > 0 {
		r.servers = append(r.servers, r.newServer(map[string]int{QueueSending: 1}, r.Sending))
	}
	return r
}

func (r *Runner) newServer(queues map[string]int, places int) *asynq.Server {
	return asynq.NewServerFromRedisClient(r.Doorbell.client, asynq.Config{
		Concurrency:              places,
		Queues:                   queues,
		TaskCheckInterval:        100 * time.Millisecond,
		DelayedTaskCheckInterval: time.Minute, // nothing is parked in Redis
		ShutdownTimeout:          drainTime,
		Logger:                   quiet{r.Log},
		LogLevel:                 asynq.WarnLevel,
		ErrorHandler:             asynq.ErrorHandlerFunc(func(context.Context, *asynq.Task, error) {}), // logged by perform
	})
}

// Ring wakes the relay; it never blocks.
func (r *Runner) Ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// Start begins to relay and to work.
func (r *Runner) Start() error {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	for _, server := range r.servers {
		if err := server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error { return r.perform(ctx, t) })); err != nil {
			stop()
			return fmt.Errorf("start the workers: %w", err)
		}
	}
	r.done.Add(1)
	go r.relay(ctx)
	return nil
}

// Stop ends the relay, tells the handlers to end, and waits for them, at most
// about six seconds.
func (r *Runner) Stop() {
	r.stop()
	r.done.Wait()
	var ending sync.WaitGroup
	for _, server := range r.servers {
		ending.Go(server.Shutdown)
	}
	ending.Wait()
}

// relay claims due rows and rings for each.
func (r *Runner) relay(ctx context.Context) {
	defer r.done.Done()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		full, err := r.look(ctx)
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("work could not be relayed; trying again", "error", err)
		}
		if full && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.bell:
		}
	}
}

// look is one round of the relay; full says that more may be due.
func (r *Runner) look(ctx context.Context) (full bool, err error) {
	ready, err := r.ready(ctx)
	if err != nil {
		return false, err
	}
	var claimed []Job
	err = r.DB.Write(ctx, func(tx *store.Tx) error {
		if now := time.Now(); now.Sub(r.planAt) > planEvery {
			if err := plan(tx, r.Kinds); err != nil {
				return err
			}
			tx.AfterCommit(func() { r.planAt = now })
		}
		claimed, err = claim(tx, ready, claimAtOnce)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, j := range claimed {
		if err := r.ring(ctx, j); err != nil {
			return false, errors.Join(err, r.giveBack(ctx, claimed))
		}
	}
	return len(claimed) == claimAtOnce, nil
}

// ready lists the kinds that may be claimed now. A test's clock may have moved
// by days since the last look, so nothing is remembered.
func (r *Runner) ready(ctx context.Context) ([]string, error) {
	var names []string
	for _, k := range r.Kinds {
		if k.Ready != nil {
			yes, err := k.Ready(ctx)
			if err != nil {
				return nil, fmt.Errorf("ask whether %s has work: %w", k.Name, err)
			}
			if !yes {
				continue
			}
		}
		names = append(names, k.Name)
	}
	return names, nil
}

// task is all that travels through Redis.
type task struct {
	ID    uuid.UUID `json:"id"`
	Epoch int64     `json:"epoch"`
}

func (r *Runner) ring(ctx context.Context, j Job) error {
	payload, err := json.Marshal(task{j.ID, j.Epoch})
	if err != nil {
		return err
	}
	_, err = r.client.EnqueueContext(ctx, asynq.NewTask(taskType, payload),
		asynq.TaskID(fmt.Sprintf("%s:%s:%d", j.Kind, j.ID, j.Epoch)),
		asynq.Queue(j.Queue), asynq.MaxRetry(0), asynq.Timeout(taskTimeout))
	if err != nil {
		return fmt.Errorf("ring for %s: %w", j.Kind, err)
	}
	return nil
}

// giveBack frees what could not be rung, so that it is tried at the next look
// and not only when its lease lapses. Those rung already lose nothing: their
// handlers find another epoch.
func (r *Runner) giveBack(ctx context.Context, claimed []Job) error {
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		for _, j := range claimed {
			if _, err := tx.Run("UPDATE jobs SET state = 'waiting', lease_until = NULL WHERE id = ? AND epoch = ? AND state = 'running'", j.ID, j.Epoch); err != nil {
				return err
			}
		}
		return nil
	})
}

// perform does one rung row: take it, work under a renewed lease, write the end.
func (r *Runner) perform(ctx context.Context, t *asynq.Task) error {
	var rung task
	if err := json.Unmarshal(t.Payload(), &rung); err != nil {
		return fmt.Errorf("read a task: %w", err)
	}
	var j Job
	err := r.DB.Write(ctx, func(tx *store.Tx) error {
		if err := extend(tx, rung.ID, rung.Epoch); err != nil {
			return err
		}
		return tx.Where("id = ?", rung.ID).Take(&j).Error
	})
	if errors.Is(err, errStale) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take up work: %w", err)
	}
	next, failure := r.handle(ctx, j)
	if failure != nil && ctx.Err() == nil {
		r.Log.Warn("work failed; it will be tried again", "kind", j.Kind, "key", j.Key, "attempt", j.Attempts+1, "error", failure)
	}
	// The end is written though the process is stopping: another may go on at once.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.DB.Write(ending, func(tx *store.Tx) error { return finish(tx, j, next, failure) }); err != nil {
		return fmt.Errorf("write the end of %s: %w", j.Kind, err)
	}
	r.Ring()
	return nil
}

// handle runs the kind's handler and renews the lease beside it. A handler that
// lost its row is told to stop.
func (r *Runner) handle(ctx context.Context, j Job) (next *time.Time, err error) {
	k, known := r.kinds[j.Kind]
	if !known {
		return nil, fmt.Errorf("this program does not know work of kind %q", j.Kind)
	}
	ctx, cancel := context.WithCancel(ctx)
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		r.renew(ctx, cancel, j)
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		cancel()
		<-renewing
	}()
	return k.Handle(ctx, j.Key)
}

func (r *Runner) renew(ctx context.Context, lost context.CancelFunc, j Job) {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.DB.Write(ctx, func(tx *store.Tx) error { return extend(tx, j.ID, j.Epoch) })
		if errors.Is(err, errStale) {
			lost()
			return
		}
	}
}

// quiet gives asynq's words to the program's log.
type quiet struct{ log *slog.Logger }

func (q quiet) Debug(a ...any) { q.log.Debug(fmt.Sprint(a...)) }
func (q quiet) Info(a ...any)  { q.log.Debug(fmt.Sprint(a...)) }
func (q quiet) Warn(a ...any)  { q.log.Warn(fmt.Sprint(a...)) }
func (q quiet) Error(a ...any) { q.log.Warn(fmt.Sprint(a...)) }
func (q quiet) Fatal(a ...any) { q.log.Error(fmt.Sprint(a...)) }
