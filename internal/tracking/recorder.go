package tracking

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Options of a Recorder; the zero value is right for production.
type Options struct {
	Batch   int           // hits in one transaction at most; 0 is 256
	Timeout time.Duration // for one transaction; 0 is 5 s
}

// Recorder takes hits from many requests at once and commits them in groups.
// It is safe for concurrent use. Close it when no more requests come.
type Recorder struct {
	db      *store.DB
	batch   int
	timeout time.Duration

	in   chan *call
	done chan struct{}

	mu     sync.RWMutex // held for reading by senders, for writing by Close
	closed bool
}

// call is one hit on its way, and where its answer goes.
type call struct {
	kind    Kind
	message link.Message
	link    int
	visitor Visitor
	at      time.Time
	shared  *link.Shared // a hit of nobody's, of what all mails of a campaign share; then message is empty

	known    bool   // the mail exists
	target   string // where the link leads
	recorded bool
	err      error
	answered chan struct{}
}

// errClosed says that the recorder takes nothing more.
var errClosed = errors.New("the recorder is closed")

// NewRecorder starts a recorder; it ends with Close.
func NewRecorder(db *store.DB, o Options) *Recorder {
	if o.Batch <= 0 {
		o.Batch = 256
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	r := &Recorder{db: db, batch: o.Batch, timeout: o.Timeout, in: make(chan *call, 4*o.Batch), done: make(chan struct{})}
	go r.run()
	return r
}

// Close takes no more hits, commits those it has, and returns when they are
// answered. It may be called more than once.
func (r *Recorder) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.in)
	}
	r.mu.Unlock()
	<-r.done
}

// Open records that the mail's pixel was loaded, if its receiver allows opens
// to be seen. It returns once that is on disk. A mail that is no longer there
// is no failure; problem.Unavailable says that nothing was stored.
func (r *Recorder) Open(ctx context.Context, m link.Message, v Visitor) error {
	c, err := r.record(ctx, Open, m, 0, v)
	if err != nil {
		return err
	}
	return c.err
}

// Click records that link n of the mail was followed, if its receiver allows
// clicks to be seen, and gives the address the link leads to once that is on
// disk. It fails with problem.NotFound "tracking.link.unknown" when the mail or
// the link does not exist, and with problem.Unavailable when nothing was stored.
func (r *Recorder) Click(ctx context.Context, m link.Message, n int, v Visitor) (string, error) {
	c, err := r.record(ctx, Click, m, n, v)
	switch {
	case err != nil:
		return "", err
	case c.err != nil:
		return "", c.err
	case c.target == "":
		return "", unknownLink()
	}
	return c.target, nil
}

func unknownLink() error { return problem.New(problem.NotFound, "tracking.link.unknown") }

func away(err error) error { return problem.New(problem.Unavailable, "tracking.away").Because(err) }

// SharedOpen counts that the pixel was loaded which all mails of a campaign
// share, if its brand counts so. Nothing of the visitor is kept but whether they
// say themselves that they are a machine.
func (r *Recorder) SharedOpen(ctx context.Context, stream uuid.UUID, v Visitor) error {
	c, err := r.hand(ctx, &call{kind: Open, shared: &link.Shared{Stream: stream}, visitor: v})
	if err != nil {
		return err
	}
	return c.err
}

// SharedClick is SharedOpen for a link, and gives the address it leads to as
// Click does, counted or not.
func (r *Recorder) SharedClick(ctx context.Context, s link.Shared, v Visitor) (string, error) {
	c, err := r.hand(ctx, &call{kind: Click, shared: &s, visitor: v})
	switch {
	case err != nil:
		return "", err
	case c.err != nil:
		return "", c.err
	case c.target == "":
		return "", unknownLink()
	}
	return c.target, nil
}

// SharedTarget is Target for a shared link.
func SharedTarget(ctx context.Context, db *store.DB, s link.Shared) (string, error) {
	c := &call{kind: Click, shared: &s}
	err := db.Read(ctx, func(tx *store.Tx) error { return lookShared(tx, []*call{c}) })
	if err != nil {
		return "", away(err)
	}
	if c.target == "" {
		return "", unknownLink()
	}
	return c.target, nil
}

func (r *Recorder) record(ctx context.Context, kind Kind, m link.Message, n int, v Visitor) (*call, error) {
	return r.hand(ctx, &call{kind: kind, message: m, link: n, visitor: v})
}

// hand hands one hit in and waits for its group. A caller that goes away does
// not take its hit back.
func (r *Recorder) hand(ctx context.Context, c *call) (*call, error) {
	c.visitor.UserAgent = cleanAgent(c.visitor.UserAgent)
	c.at, c.answered = r.db.Now(), make(chan struct{})
	if err := r.send(ctx, c); err != nil {
		return nil, err
	}
	select {
	case <-c.answered:
		return c, nil
	case <-ctx.Done():
		return nil, away(ctx.Err())
	}
}

func (r *Recorder) send(ctx context.Context, c *call) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return away(errClosed)
	}
	select {
	case r.in <- c:
		return nil
	case <-ctx.Done():
		return away(ctx.Err())
	}
}

// run commits one group after the other until the recorder is closed.
func (r *Recorder) run() {
	defer close(r.done)
	for first := range r.in {
		group := r.gather(first)
		err := r.commit(group)
		for _, c := range group {
			if err != nil {
				c.err = away(err)
			}
			close(c.answered)
		}
	}
}

// gather takes what has come in meanwhile, without waiting for more.
func (r *Recorder) gather(first *call) []*call {
	group := []*call{first}
	for len(group) < r.batch {
		select {
		case c, ok := <-r.in:
			if !ok {
				return group
			}
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

func (r *Recorder) commit(group []*call) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	var own, shared []*call
	for _, c := range group {
		if c.shared != nil {
			shared = append(shared, c)
		} else {
			own = append(own, c)
		}
	}
	return r.db.Write(ctx, func(tx *store.Tx) error {
		if err := write(tx, own); err != nil {
			return err
		}
		return writeShared(tx, shared)
	})
}

// Target gives the address that link n of a mail leads to, and records nothing:
// for the page that offers the plain link while recording fails.
func Target(ctx context.Context, db *store.DB, m link.Message, n int) (string, error) {
	c := &call{kind: Click, message: m, link: n}
	err := db.Read(ctx, func(tx *store.Tx) error {
		c.at = tx.Now()
		_, err := look(tx, []*call{c})
		return err
	})
	if err != nil {
		return "", away(err)
	}
	if c.target == "" {
		return "", unknownLink()
	}
	return c.target, nil
}
