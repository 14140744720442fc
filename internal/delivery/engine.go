package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/delivery/throttle"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Engine sends what is due. One runs in each process that has the worker role.
type Engine struct {
	db       *store.DB
	renderer *Renderer
	pool     *pool
	jour     *journal
	node     uuid.UUID
	book     *book
	log      *slog.Logger
	metrics  *metrics

	mu      sync.Mutex
	turns   map[string]uuid.UUID // queue → the stream whose turn it was
	marks   map[uuid.UUID]mark   // stream → where its line was when it was last claimed from
	crashes map[uuid.UUID]int    // stream → mails over which the program panicked

	claiming sync.RWMutex // read-held by claims; held while looking for strays
	hand     hand
	doubt    atomic.Int32 // looks for strays that are still to be taken

	pace     pace
	haste    haste
	backoff  backoff
	lanes    sync.WaitGroup  // and their crews
	sending  context.Context // of the crews, which outlive the handler that hired them
	endSend  context.CancelFunc
	stopBeat context.CancelFunc
	beat     sync.WaitGroup
}

// Options of an engine.
type Options struct {
	DB       *store.DB
	Renderer *Renderer
	Servers  []Server
	Direct   *Direct // where there are no servers between us and the receivers
	Pacing   Pacing
	DataDir  string // its journal lies in DataDir/journal
	Log      *slog.Logger
}

// Pacing is what limits how fast mail leaves. Its zero value knows the limits of
// this process and the table of providers that comes with the program.
type Pacing struct {
	Throttle   *throttle.Throttle
	Table      *provider.Table
	WarmUpFrom *time.Time // when the address that direct mail is sent from began to send; nil: it is known
}

const (
	batch    = 200                    // messages of one claim
	askAfter = 500 * time.Millisecond // a claim older than this is asked again (the promise is 1 s)
	slice    = 15 * time.Second       // after which a lane gives its place up
	beatTime = 10 * time.Second
)

// Start takes over what a dead predecessor left, and opens the mail servers.
func Start(ctx context.Context, o Options) (*Engine, error) {
	p, err := newPool(o.Servers, o.Direct)
	if err != nil {
		return nil, err
	}
	j, node, err := joinNode(ctx, o.DB, filepath.Join(o.DataDir, "journal"))
	if err != nil {
		return nil, err
	}
	e := &Engine{db: o.DB, renderer: o.Renderer, pool: p, jour: j, node: node, log: o.Log, metrics: newMetrics(), turns: map[string]uuid.UUID{}, marks: map[uuid.UUID]mark{}, crashes: map[uuid.UUID]int{}}
	e.pace = pace{throttle: o.Pacing.Throttle, table: o.Pacing.Table, warmUp: o.Pacing.WarmUpFrom}
	if o.Direct != nil {
		e.pace.source = o.Direct.Finder.Source.String()
	}
	if e.pace.throttle == nil {
		e.pace.throttle = throttle.New(throttle.Options{Log: o.Log})
	}
	if e.pace.table == nil {
		if e.pace.table, err = provider.Load(""); err != nil {
			return nil, err
		}
	}
	e.book = openBook(o.DB, node, j, &e.hand, e.metrics, o.Log)
	e.sending, e.endSend = context.WithCancel(context.Background())
	beating, stop := context.WithCancel(context.Background())
	e.stopBeat = stop
	e.beat.Add(1)
	go e.keepBeating(beating)
	return e, nil
}

// Connections is how many mails can be under way at once.
func (e *Engine) Connections() int { return e.pool.size() }

// Node is this process's name among the senders.
func (e *Engine) Node() uuid.UUID { return e.node }

// stopTime is what the crews get at a stop: longer than a server has to answer
// what is under way.
const stopTime = endTime + 2*time.Second

// Stop waits for the lanes, whose contexts must have ended, and for what is
// under way, writes the last outcomes and hangs up.
func (e *Engine) Stop() {
	e.endSend()
	late := time.AfterFunc(stopTime, e.book.giveUp)
	e.lanes.Wait()
	late.Stop()
	e.stopBeat()
	e.beat.Wait()
	e.book.close()
	e.pool.close()
	e.jour.close()
}

func (e *Engine) keepBeating(ctx context.Context) {
	defer e.beat.Done()
	tick := time.NewTicker(beatTime)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := e.greet(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("this node could not say that it lives", "error", err)
		}
		e.pool.sweep()
		if err := e.putBackStrays(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("claims that nobody has in hand could not be put back", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// greet says that this node lives, and learns how many do.
func (e *Engine) greet(ctx context.Context) error {
	if err := sayHello(ctx, e.db, e.node); err != nil {
		return err
	}
	return e.db.Read(ctx, func(tx *store.Tx) error {
		n, err := Living(tx)
		if err == nil {
			e.pool.nodes.Store(int64(n))
		}
		return err
	})
}

// strayLooks is how often strays are looked for after a claim failed: a commit
// may come to its end in the database after its connection has.
const strayLooks = 2

// putBackStrays frees the claims of this node that none of its lanes has in
// hand. They come from a claim whose commit was done and never answered: while
// the node lives nobody else would take them over.
func (e *Engine) putBackStrays(ctx context.Context) error {
	if e.doubt.Load() <= 0 {
		return nil
	}
	e.claiming.Lock()
	defer e.claiming.Unlock()
	err := e.db.Write(ctx, func(tx *store.Tx) error {
		mine, err := claimsOf(tx, e.node)
		if err != nil {
			return err
		}
		return release(tx, e.node, slices.DeleteFunc(mine, func(m *claimed) bool { return e.hand.has(m.Ref()) }))
	})
	if err == nil {
		e.doubt.Add(-1)
	}
	return err
}

// Due reports whether a queue has anything to send now.
func (e *Engine) Due(ctx context.Context, queue string) (yes bool, err error) {
	if e.backoff.active() {
		return false, nil
	}
	err = e.db.Read(ctx, func(tx *store.Tx) error {
		_, yes, err = due(tx, queue, uuid.Nil, nil, e.pace.resting())
		return err
	})
	return yes, err
}

// Deliver works as one lane of a queue: it claims and sends, stream by stream,
// until nothing is due, its time is up, or ctx ends. Messages it has handed to
// nobody by then are put back; it does not wait for those that a slow server
// has.
func (e *Engine) Deliver(ctx context.Context, queue string) error {
	e.lanes.Add(1)
	defer e.lanes.Done()
	if queue == OriginCampaign.queue() {
		e.haste.begin()
		defer e.haste.end()
	}
	until := time.Now().Add(slice)
	lane := e.openLane(until)
	defer lane.close()
	for time.Now().Before(until) && ctx.Err() == nil && !e.backoff.active() {
		b, err := e.next(ctx, queue)
		if err != nil {
			return err
		}
		if b == nil {
			return nil
		}
		ready := e.dispatch(ctx, b)
		e.pace.giveBack(ctx, b.limits, len(b.messages)-len(ready))
		lane.send(ctx, b, ready)
	}
	return nil
}

// next claims a batch from the stream whose turn it is.
func (e *Engine) next(ctx context.Context, queue string) (*bundle, error) {
	e.mu.Lock()
	after, marks := e.turns[queue], e.freshMarks()
	e.mu.Unlock()
	b := &bundle{engine: e, queue: queue, asked: time.Now(), left: map[link.Message]*claimed{}}
	var stream dueStream
	var said answers
	var room int
	var found bool
	e.claiming.RLock()
	defer e.claiming.RUnlock()
	err := e.db.Write(ctx, func(tx *store.Tx) (err error) {
		if err := byIndex(tx); err != nil {
			return err
		}
		if stream, found, err = due(tx, queue, after, marks, e.pace.resting()); err != nil || !found {
			return err
		}
		e.pace.giveBack(ctx, b.limits, room) // of a try before
		b.limits = e.pace.limitsOf(stream, tx.Now())
		if room = e.pace.room(ctx, stream.ID, b.limits); room == 0 {
			return nil
		}
		b.messages, said, err = e.claimAfterMark(tx, stream, room)
		return err
	})
	if found { // though it failed: the other streams must not wait for this one
		e.mu.Lock()
		e.turns[queue] = stream.ID
		e.mu.Unlock()
	}
	e.pace.giveBack(ctx, b.limits, room-len(b.messages))
	if err != nil {
		e.doubt.Store(strayLooks)
		return nil, err
	}
	if !found {
		return nil, nil
	}
	e.metrics.asked(said)
	for _, m := range b.messages {
		b.left[m.Ref()] = m
		e.hand.take(m.Ref())
	}
	return b, nil
}

// mark is where a stream's line was. Until markAge it spares the claims the dead
// entries that the earlier ones left at the head of the index; what was put back
// behind the mark waits no longer than that.
type mark struct {
	place
	at time.Time
}

const markAge = time.Second

// freshMarks are the marks that are young enough, and forgets the others.
func (e *Engine) freshMarks() map[uuid.UUID]mark {
	maps.DeleteFunc(e.marks, func(_ uuid.UUID, m mark) bool { return time.Since(m.at) >= markAge })
	return maps.Clone(e.marks)
}

// claimAfterMark claims from where the last claim of this node ended, and from
// the head of the line when the mark is old or nothing is left after it.
func (e *Engine) claimAfterMark(tx *store.Tx, s dueStream, most int) (page []*claimed, a answers, err error) {
	e.mu.Lock()
	m, ok := e.marks[s.ID]
	e.mu.Unlock()
	if ok = ok && time.Since(m.at) < markAge; ok {
		if page, a, err = claim(tx, s, e.node, m.place, most); err != nil {
			return nil, a, err
		}
	}
	if len(page) == 0 {
		m.at = time.Now()
		if page, a, err = claim(tx, s, e.node, place{}, most); err != nil {
			return nil, a, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(page) < least(most) {
		delete(e.marks, s.ID)
		return page, a, nil
	}
	last := page[len(page)-1]
	e.marks[s.ID] = mark{place{last.DueAt, last.ID}, m.at}
	return page, a, nil
}

// hand counts the claims that the lanes have and the database has not settled.
// A message can be in it twice: put back by one lane, claimed by another.
type hand struct {
	mu     sync.Mutex
	claims map[link.Message]int
}

func (h *hand) take(ref link.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claims == nil {
		h.claims = map[link.Message]int{}
	}
	h.claims[ref]++
}

func (h *hand) letGo(refs ...link.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ref := range refs {
		if n := h.claims[ref]; n > 1 {
			h.claims[ref] = n - 1
		} else {
			delete(h.claims, ref)
		}
	}
}

func (h *hand) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.claims)
}

func (h *hand) has(ref link.Message) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.claims[ref] > 0
}

// bundle is a claimed batch on its way, with the age of the gate's answer.
type bundle struct {
	engine   *Engine
	queue    string
	limits   []throttle.Limit // that room was asked of
	messages []*claimed

	mu    sync.Mutex
	asked time.Time                 // before the statement that asked was sent
	left  map[link.Message]*claimed // neither begun nor put back
}

// take takes the message out of the bundle. ok is false when it is out already:
// stillMay has put it back, and another lane may have claimed it since.
func (b *bundle) take(m *claimed) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok = b.left[m.Ref()]
	delete(b.left, m.Ref())
	return ok
}

// start reports whether the message may begin now. An answer older than
// askAfter is asked for again, for all that is left of the bundle; while the
// database is silent nothing begins.
func (b *bundle) start(ctx context.Context, m *claimed) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for try := 0; time.Since(b.asked) >= askAfter; try++ {
		if try == 3 {
			return false, errors.New("the database answers too slowly to be believed")
		}
		asking := time.Now()
		var may map[link.Message]bool
		err := b.engine.db.Write(ctx, func(tx *store.Tx) (err error) {
			if err := byIndex(tx); err != nil {
				return err
			}
			may, err = stillMay(tx, b.engine.node, slices.Collect(maps.Values(b.left)))
			return err
		})
		if err != nil {
			return false, err
		}
		for ref := range b.left {
			if !may[ref] {
				b.engine.hand.letGo(ref)
				delete(b.left, ref)
			}
		}
		b.asked = asking
	}
	ref := m.Ref()
	if _, ok := b.left[ref]; !ok {
		return false, nil
	}
	delete(b.left, ref)
	m.asked = b.asked
	return true, nil
}

// again puts a message that start let begin, and that did not, back into the
// bundle. It was not among those that were asked for since, so the answer is as
// old for all as it is for this one.
func (b *bundle) again(m *claimed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left[m.Ref()] = m
	if m.asked.Before(b.asked) {
		b.asked = m.asked
	}
}

// courier brings one message after the other to the server.
type courier struct {
	engine *Engine
	mail   []byte // the last one's bytes, whose place the next takes
}

// carry brings one message to the server, from the last question to the
// outcome. It is the only way out of claimed but for putting back. What is left
// when the lane has to stop is put back.
func (co *courier) carry(ctx context.Context, j job) {
	e := co.engine
	if ctx.Err() != nil || e.backoff.active() {
		e.putBack(j.bundle, j.claimed)
		return
	}
	mail, err := co.write(ctx, j.claimed)
	if err != nil {
		e.unfit(ctx, j, err)
		return
	}
	for {
		c := e.connection(ctx, j)
		if c == nil {
			return
		}
		may, err := j.start(ctx, j.claimed)
		if err != nil || !may {
			e.pool.put(c, true)
			if err != nil {
				e.putBack(j.bundle, j.claimed)
			}
			return
		}
		r, healthy := c.send(ctx, mail, func() error { return e.jour.begin(j.claimed) })
		r = j.unnamed(r)
		heeded := false
		if r.verdict == hungUp {
			if heeded = e.heed(ctx, j.claimed, r); !heeded {
				e.pool.put(c, healthy)
				e.metrics.outcomes.WithLabelValues(verdictNames[hungUp]).Inc()
				j.again(j.claimed)
				continue
			}
			r.verdict = postponed
		}
		if err := e.jour.end(j.claimed, r); err != nil {
			e.log.Warn("the journal could not be written", "error", err)
		}
		e.book.enter(outcome{j.claimed, r})
		e.pool.put(c, healthy) // not before the journal has the end: so no more are uncertain than there are connections
		if !heeded {
			e.heed(ctx, j.claimed, r)
		}
		return
	}
}

// write makes the mail. A panic over one person's values is an error like
// another: it ends neither the process nor the mails of all the others.
func (co *courier) write(ctx context.Context, m *claimed) (mail parcel, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &crash{p, debug.Stack()}
		}
	}()
	if mail, err = co.engine.renderer.parcel(ctx, m, co.mail[:0]); err == nil {
		co.mail = mail.raw
	}
	return mail, err
}

// crash is a panic as an error.
type crash struct {
	value any
	stack []byte
}

func (c *crash) Error() string { return fmt.Sprintf("panic: %v", c.value) }

// connection gives one to the receivers of a message, or settles the message:
// then it is nil.
func (e *Engine) connection(ctx context.Context, j job) *conn {
	c, err := e.pool.get(ctx, j.way.line, j.queue != OriginCampaign.queue())
	switch {
	case err == nil:
		e.backoff.reset()
		return c
	case ctx.Err() != nil:
		e.putBack(j.bundle, j.claimed)
	case e.pool.direct != nil:
		e.unreached(j, err)
	default:
		e.log.Warn("mail waits: no mail server can be reached", "error", err)
		e.backoff.longer()
		e.putBack(j.bundle, j.claimed)
	}
	return nil
}

// unreached is a mail whose receivers could not be connected to.
func (e *Engine) unreached(j job, err error) {
	var failure *route.Failure
	if errors.As(err, &failure) {
		e.nowhere(context.Background(), j.bundle, j.claimed, failure)
	} else if j.take(j.claimed) {
		e.book.enter(outcome{j.claimed, reply{verdict: unanswered, text: clip(err.Error())}})
	}
}

// restFor is how long a stream waits of which a mail could not be made.
const restFor = 30 * time.Second

// unfit is a message that cannot be made into a mail: its template fails for
// these values, or its address is none. Other failures put it back.
func (e *Engine) unfit(ctx context.Context, j job, err error) {
	var c *crash
	if errors.As(err, &c) {
		e.crashed(j, c)
		return
	}
	if _, expected := problem.Of(err); !expected {
		if ctx.Err() == nil {
			e.log.Error("a mail could not be made; its stream waits", "message", j.ID, "stream", j.StreamID, "error", err)
			e.pace.rest(j.StreamID, restFor)
		}
		e.putBack(j.bundle, j.claimed)
		return
	}
	if j.take(j.claimed) {
		e.book.enter(outcome{j.claimed, reply{verdict: refused, text: clip("not sent: " + err.Error())}})
	}
}

// crashesMost is how many mails of a stream may fail for a fault of the program
// before the fault counts as the stream's.
const crashesMost = 20

// crashed is a message over which the program panicked. Marketing has failed; but
// where a stream's mails fail one after the other, the stream waits for a program
// without the fault. Mail that people wait for is tried again.
func (e *Engine) crashed(j job, c *crash) {
	e.mu.Lock()
	e.crashes[j.StreamID]++
	n := e.crashes[j.StreamID]
	e.mu.Unlock()
	if n == 1 {
		e.log.Error("a mail could not be made for a fault in the program", "message", j.ID, "stream", j.StreamID, "error", c, "stack", string(c.stack))
	}
	if n > crashesMost {
		e.log.Error("too many mails could not be made for a fault in the program; their stream waits", "stream", j.StreamID, "error", c)
		e.pace.rest(j.StreamID, restFor)
		e.putBack(j.bundle, j.claimed)
		return
	}
	r := reply{verdict: refused, text: clip("not sent: " + c.Error())}
	if j.Kind == Confirm || j.Kind == Service {
		r.verdict = postponed
	}
	if j.take(j.claimed) {
		e.book.enter(outcome{j.claimed, r})
	}
}

// putBack frees a message that has not begun and is still the bundle's, with the
// other outcomes: while the database is away it waits with them.
func (e *Engine) putBack(b *bundle, m *claimed) {
	if b.take(m) {
		e.book.enter(outcome{m, reply{verdict: returned}})
	}
}

// backoff holds all lanes while no server can be reached.
type backoff struct {
	mu    sync.Mutex
	until time.Time
	wait  time.Duration
}

func (b *backoff) active() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.until)
}

func (b *backoff) longer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.until) {
		return
	}
	b.wait = min(max(2*b.wait, time.Second), maxBackoff)
	b.until = time.Now().Add(b.wait)
}

func (b *backoff) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.wait = time.Time{}, 0
}
