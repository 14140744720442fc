package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"assent/internal/problem"
	"assent/internal/store"
)

// Options for Start.
type Options struct {
	DB        *store.DB
	Outside   Outside
	Origin    string    // of the first log, see OriginOf
	Witnesses []Witness // who countersign; may be none
	Log       *slog.Logger
}

// Keeper grows the log for as long as the process lives. Any number of processes
// may have one.
type Keeper struct {
	Options
	bell chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
	told string // the reason that was last logged
}

const (
	// pace is how often a process looks for what others left to the log: half of
	// what a person's act may wait for its checkpoint, and more.
	pace = 250 * time.Millisecond
	// gather is how long acts are gathered into one checkpoint.
	gather = 50 * time.Millisecond
	// retry is the pause after a failure.
	retry = time.Second
)

// Start begins the first log, where there is none, and keeps it growing. Before it
// returns, a database that is older than what is kept outside is halted. It fails
// when the folder outside cannot be written.
func Start(ctx context.Context, o Options) (*Keeper, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := o.Outside.forget(o.DB.Now().Add(-restraintsKept)); err != nil {
		return nil, err
	}
	if err := o.DB.Write(ctx, func(tx *store.Tx) error { return Begin(tx, o.Origin) }); err != nil {
		return nil, err
	}
	if err := look(ctx, o); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &Keeper{Options: o, bell: make(chan struct{}, 1), stop: stop}
	k.done.Go(func() { k.run(running) })
	k.done.Go(func() { k.watchSuppressions(running) })
	if len(o.Witnesses) > 0 {
		k.done.Go(func() { k.countersign(running) })
	}
	return k, nil
}

// look compares the database with what is kept outside it, before the process
// does anything else: mail from an older copy would go to people who left.
func look(ctx context.Context, o Options) error {
	k := &Keeper{Options: o}
	return o.DB.Write(ctx, func(tx *store.Tx) error {
		l, err := Growing(tx)
		if err != nil || l.Stopped != "" {
			return err
		}
		kept, err := k.kept(tx)
		if err != nil || kept == nil {
			return err
		}
		err = tilesOf(tx, l.Number).follows(l, *kept)
		if err == nil || errors.Is(err, errUnread) {
			return err
		}
		return halt(tx, l, err.Error())
	})
}

// Ring says that there is something for the log.
func (k *Keeper) Ring() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// Stop ends it. What is pending waits in the database.
func (k *Keeper) Stop() {
	k.stop()
	k.done.Wait()
}

func (k *Keeper) run(ctx context.Context) {
	for {
		pause := pace
		if err := k.Step(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("the log does not grow", "err", err)
			pause = retry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-k.bell:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
	}
}

// Step gives what is pending its places, until nothing is, and keeps and shows
// the checkpoint of it. It also keeps what another process has shown.
func (k *Keeper) Step(ctx context.Context) error {
	for {
		idle, err := k.idle(ctx)
		if err != nil || idle {
			return err
		}
		n, err := k.grow(ctx)
		if err := errors.Join(err, k.keepShown(ctx)); err != nil || n < growMost {
			return err
		}
	}
}

// idle reports whether there is nothing to do: nothing pending, and the folder
// has the newest checkpoint. It is what an idle process asks, again and again.
func (k *Keeper) idle(ctx context.Context) (yes bool, err error) {
	kept, err := k.Outside.Kept()
	if err != nil {
		return false, err
	}
	err = k.DB.Read(ctx, func(tx *store.Tx) error {
		l, err := Growing(tx)
		if err != nil {
			return err
		}
		var waiting bool
		if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM log_pending)").Scan(&waiting).Error; err != nil {
			return fmt.Errorf("look what the log is to take: %w", err)
		}
		same := l.Size == 0 && kept == nil || kept != nil && kept.Origin == l.Origin && kept.Size == l.Size && bytes.Equal(kept.Root[:], l.Root)
		yes = l.Stopped != "" || !waiting && same && l.ShownSize == l.Size
		k.tell(l)
		return nil
	})
	return yes, err
}

// tell logs once why the log is stopped.
func (k *Keeper) tell(l Log) {
	if l.Stopped != k.told {
		k.told = l.Stopped
		if l.Stopped != "" {
			k.Log.Error("the log is stopped and nothing is sent; see `assent ledger restart --help`", "why", l.Stopped)
		}
	}
}

func (k *Keeper) grow(ctx context.Context) (n int, err error) {
	var l Log
	var kept *Head
	err = k.DB.Write(ctx, func(tx *store.Tx) error {
		if kept, err = k.kept(tx); err != nil {
			return err
		}
		l, n, err = grow(tx, kept)
		return err
	})
	if errors.Is(err, errStopped) {
		why := strings.TrimPrefix(err.Error(), errStopped.Error()+": ")
		return 0, k.DB.Write(ctx, func(tx *store.Tx) error { return halt(tx, l, why) })
	}
	if problem.Is(err, problem.NotFound) { // another process holds it
		return 0, nil
	}
	return n, err
}

// kept is the head that the growing log has to follow: none where what is kept
// is of a log that was ended by a person's will.
func (k *Keeper) kept(tx *store.Tx) (*Head, error) {
	h, err := k.Outside.Kept()
	if err != nil || h == nil {
		return nil, err
	}
	ended, err := endedOrigins(tx)
	if err != nil || slices.Contains(ended, h.Origin) {
		return nil, err
	}
	return h, nil
}

// endedOrigins are the logs that a person's will has ended.
func endedOrigins(tx *store.Tx) (names []string, err error) {
	all, err := All(tx)
	for _, l := range all {
		if l.EndedAt != nil {
			names = append(names, l.Origin)
		}
	}
	return names, err
}

// keepShown keeps the newest checkpoint outside the database, and only then lets
// the world see it.
func (k *Keeper) keepShown(ctx context.Context) error {
	var l Log
	var some []Restraint
	var ended []string
	var differs error
	err := k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if l, err = Growing(tx); err != nil || l.Checkpoint == "" || l.Stopped != "" {
			return err
		}
		kept, err := k.kept(tx)
		if err != nil {
			return err
		}
		if ended, err = endedOrigins(tx); err != nil {
			return err
		}
		from := int64(0)
		if kept != nil {
			if differs = tilesOf(tx, l.Number).follows(l, *kept); errors.Is(differs, errUnread) {
				return differs
			} else if differs != nil {
				return nil
			}
			from = kept.Size
		}
		some, err = restraintsOf(tx, l, from)
		return err
	})
	if err == nil && differs != nil {
		return k.DB.Write(ctx, func(tx *store.Tx) error { return halt(tx, l, differs.Error()) })
	}
	if err != nil || l.Checkpoint == "" || l.Stopped != "" {
		return err
	}
	if err := k.Outside.keep(l, ended, some); err != nil {
		return err
	}
	if l.ShownSize == l.Size {
		return nil
	}
	return k.DB.Write(ctx, func(tx *store.Tx) error { return show(tx, l) })
}
