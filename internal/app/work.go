package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/alarm"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/importer"
	"assent/internal/jobs"
	"assent/internal/offer"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/tracking"
	"assent/internal/web/api"
)

// concurrency is how many handlers of bulk work run at once, and as many of
// what people wait for: the lanes of work(), and some to spare.
const concurrency = 8

// sendingLanes is how many lanes of bulk mail each process has: two, so that one
// claims while the other's batch leaves.
const sendingLanes = 2

// sweepAtOnce is how many rows one transaction of a sweep touches.
const sweepAtOnce = 200

// work is all that happens in the background.
func (a *App) work() []jobs.Kind {
	lanes := func(n int) func(*store.Tx) (int, error) {
		return func(*store.Tx) (int, error) { return n, nil }
	}
	send := func(queue, line string, open func(*store.Tx) (int, error)) jobs.Kind {
		return jobs.Kind{Name: "deliver-" + queue, Queue: line, Lanes: open,
			Ready:  func(ctx context.Context) (bool, error) { return a.engine.Due(ctx, queue) },
			Handle: func(ctx context.Context, _ string) (*time.Time, error) { return a.now(), a.engine.Deliver(ctx, queue) }}
	}
	return []jobs.Kind{
		send(jobs.QueueConfirm, jobs.QueueConfirm, lanes(2)),
		send(jobs.QueueService, jobs.QueueService, lanes(1)),
		send(jobs.QueueBulk, jobs.QueueSending, sendingLanesOfAll),
		{Name: "sequences", Queue: jobs.QueueBulk, Lanes: lanes(2), Ready: a.enrollmentsDue, Handle: a.advance},
		{Name: sequence.JobKind, Queue: jobs.QueueBulk, Handle: func(ctx context.Context, key string) (*time.Time, error) { return sequence.Work(ctx, a.DB, key) }},
		{Name: campaign.JobKind, Queue: jobs.QueueBulk, Handle: func(ctx context.Context, key string) (*time.Time, error) { return campaign.Work(ctx, a.DB, key) }},
		{Name: importer.JobKind, Queue: jobs.QueueBulk, Handle: func(ctx context.Context, key string) (*time.Time, error) { return importer.Work(ctx, a.DB, key) }},
		{Name: "forget-imports", Queue: jobs.QueueService, Every: time.Hour, Handle: a.sweep(importer.Sweep)},
		{Name: offer.JobKind, Queue: jobs.QueueBulk, Handle: a.issue},
		{Name: "expire-consents", Queue: jobs.QueueService, Every: time.Minute, Handle: a.sweep(consent.ExpireDue)},
		{Name: "ask-to-renew", Queue: jobs.QueueService, Every: time.Minute, Handle: a.some(func(tx *store.Tx) error {
			_, err := signup.AskDue(tx, a.signupSettings(), sweepAtOnce)
			return err
		})},
		{Name: "ask-the-silent", Queue: jobs.QueueService, Every: time.Minute, Handle: a.some(func(tx *store.Tx) error {
			_, err := signup.AskTheSilent(tx, a.signupSettings(), sweepAtOnce)
			return err
		})},
		{Name: "ask-imported", Queue: jobs.QueueService, Every: time.Minute, Handle: a.sweep(func(tx *store.Tx, limit int) (int, error) {
			more, err := signup.AskImported(tx, a.signupSettings())
			if more {
				return limit, err // there may be another import
			}
			return 0, err
		})},
		{Name: "end-questions", Queue: jobs.QueueService, Every: 10 * time.Minute, Handle: a.sweep(signup.SweepAskings)},
		{Name: "forget-slots", Queue: jobs.QueueService, Every: time.Hour, Handle: a.sweep(delivery.SweepSlots)},
		{Name: "expire-requests", Queue: jobs.QueueService, Every: 10 * time.Minute, Handle: a.sweep(func(tx *store.Tx, limit int) (int, error) {
			return signup.Sweep(tx, a.signupSettings(), limit)
		})},
		{Name: "tell-of-ideas", Queue: jobs.QueueService, Every: time.Minute, Handle: a.sweep(func(tx *store.Tx, limit int) (int, error) {
			return signup.TellIdeas(tx, a.signupSettings(), limit)
		})},
		{Name: "fold-counts", Queue: jobs.QueueService, Every: 5 * time.Minute, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, event.Fold(ctx, a.DB, tracking.Fold)
		}},
		{Name: "watch-for-alarms", Queue: jobs.QueueService, Every: alarm.Every, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, alarm.Watch(ctx, a.DB)
		}},
		{Name: "lose-silent-nodes", Queue: jobs.QueueService, Every: time.Minute, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, delivery.LoseSilent(ctx, a.DB, a.Settings.NodeLostAfter)
		}},
		{Name: "make-partitions", Queue: jobs.QueueService, Every: 24 * time.Hour, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, a.DB.MakePartitions(ctx)
		}},
		{Name: "rest-warm-ups", Queue: jobs.QueueService, Every: 24 * time.Hour, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, a.DB.Write(ctx, func(tx *store.Tx) error { return delivery.RestWarmUps(tx, a.pacing.WarmUp.Idle) })
		}},
		{Name: "rewrap-secrets", Queue: jobs.QueueService, Every: time.Hour, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, a.rewrap(ctx)
		}},
		{Name: "warn-of-requests", Queue: jobs.QueueService, Every: time.Hour, Handle: a.sweep(a.warnOfRequests)},
		{Name: "clear-erased", Queue: jobs.QueueService, Every: 24 * time.Hour, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, a.clearErased(ctx)
		}},
		{Name: "forget-old-keys", Queue: jobs.QueueService, Every: time.Hour, Handle: func(ctx context.Context, _ string) (*time.Time, error) {
			return nil, a.DB.Write(ctx, func(tx *store.Tx) error {
				if err := account.Sweep(tx); err != nil {
					return err
				}
				return api.Sweep(tx)
			})
		}},
	}
}

// sendingLanesOfAll are those of every process that sends.
func sendingLanesOfAll(tx *store.Tx) (int, error) {
	n, err := delivery.Living(tx)
	return sendingLanes * max(1, n), err
}

// now makes a lane due again at once; its Ready keeps it from being rung in vain.
func (a *App) now() *time.Time {
	now := a.DB.Now()
	return &now
}

// some does a bounded piece of what need not be done at once: a mailbox is asked
// in its turn, and other mails find room between.
func (a *App) some(do func(*store.Tx) error) func(context.Context, string) (*time.Time, error) {
	return func(ctx context.Context, _ string) (*time.Time, error) { return nil, a.DB.Write(ctx, do) }
}

// sweep repeats a bounded transaction until it has nothing left to do.
func (a *App) sweep(some func(tx *store.Tx, limit int) (int, error)) func(context.Context, string) (*time.Time, error) {
	return func(ctx context.Context, _ string) (*time.Time, error) {
		for {
			n := 0
			err := a.DB.Write(ctx, func(tx *store.Tx) (err error) { n, err = some(tx, sweepAtOnce); return err })
			if err != nil || n < sweepAtOnce {
				return nil, err
			}
		}
	}
}

func (a *App) enrollmentsDue(ctx context.Context) (yes bool, err error) {
	err = a.DB.Read(ctx, func(tx *store.Tx) (err error) { yes, err = sequence.Due(tx); return err })
	return yes, err
}

// advance moves enrollments on until none is due.
func (a *App) advance(ctx context.Context, _ string) (*time.Time, error) {
	for {
		n, next, err := sequence.Advance(ctx, a.DB)
		if err != nil {
			return nil, err
		}
		if n == 0 || next.IsZero() || next.After(a.DB.Now()) {
			return a.now(), nil
		}
	}
}

// issue gives out an offer's codes, and looks for newly eligible people later.
func (a *App) issue(ctx context.Context, key string) (*time.Time, error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return nil, err
	}
	return offer.Work(ctx, a.DB, id, queueOffer)
}

// queueOffer fills the offers' outbox with the one of package delivery.
func queueOffer(tx *store.Tx, m offer.Mail) error {
	_, _, err := delivery.Queue(tx, delivery.Draft{
		Source: m.Source, Stream: m.Stream, Brand: m.Brand, Subscriber: &m.Subscriber, Kind: delivery.Marketing,
		Topic: &m.Topic, ConsentEvent: &m.ConsentEvent, Content: &m.Content, Language: m.Language, Data: m.Data, Due: m.Due})
	return err
}
