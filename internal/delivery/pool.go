package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
)

// Direct is the way without a relay: straight to the receivers' own servers.
type Direct struct {
	Finder      *route.Finder
	Connections int    // at once, to all receivers together
	Hello       string // the name we give in EHLO
}

// pool keeps connections to mail servers: to relays, each mail to the one whose
// turn it is by weight, and to the others while that one is away or busy; or
// straight to the receivers, with a line for each group of them.
type pool struct {
	lines  []*line // relays
	shares *route.Shares
	direct *Direct
	slots  chan struct{} // a place for each connection there may be
	bulk   chan struct{} // and one for each that bulk mail may have: who waits here stands in nobody's way
	idle   atomic.Int64  // connections that wait for a mail
	nodes  atomic.Int64  // that send, this one among them; 0: not known yet
	rec    *recorder     // of a trial; nil: nothing is written down

	mu     sync.Mutex
	groups map[string]*line // of receivers
}

// line is a relay or a group of receivers, and its connections.
type line struct {
	name      string
	most      int // connections at once: of a relay to this node, of receivers to all nodes together
	perConn   int // messages on one connection
	idleFor   time.Duration
	perSecond float64
	dial      func(ctx context.Context) (*conn, error)

	mu      sync.Mutex
	idle    []*conn
	open    int
	leaving int  // of the open: they say goodbye
	urgent  int  // mails that people wait for, waiting for a connection
	slowed  bool // it asked for patience: one connection is enough
	used    time.Time
	downAt  time.Time
	reason  error
}

// conn is one SMTP connection, used by one message at a time.
type conn struct {
	line *line
	smtp *smtp.Client
	net  net.Conn // beneath, for deadlines while the client waits for an answer
	sent int
	last time.Time

	pipelines bool   // it offers PIPELINING
	sizes     bool   // it offers SIZE
	out       []byte // commands that are said and not sent, or the mail
	heard     int    // answers since the mail under way began
	first     int    // code of the first of them
	rested    bool   // it was idle before the mail under way
	bulk      bool   // it has a place of bulk mail's

	mu  sync.Mutex
	end time.Time // set when the process stops: no answer is waited for any longer
}

func newPool(servers []Server, direct *Direct) (*pool, error) {
	p := &pool{direct: direct, groups: map[string]*line{}}
	if direct != nil {
		p.places(direct.Connections, direct.Connections/10)
		return p, nil
	}
	total := 0
	var weights []int
	for _, s := range servers {
		client, err := newClient(s)
		if err != nil {
			return nil, fmt.Errorf("set up mail server %s: %w", s.Host, err)
		}
		p.lines = append(p.lines, &line{name: s.name(), most: s.Connections, perConn: perConn, idleFor: idleTime, perSecond: s.PerSecond,
			dial: func(ctx context.Context) (*conn, error) { return connect(ctx, client) }})
		weights = append(weights, max(1, s.Weight))
		total += s.Connections
	}
	if total == 0 {
		return nil, fmt.Errorf("set up mail servers: none given")
	}
	p.shares = route.NewShares(weights...)
	p.places(total, 0)
	return p, nil
}

// places are as many as there may be connections. Straight to the receivers some
// are kept free of bulk mail, for a place is taken for as long as a receiver who
// does not answer is called. A relay's come free all the time.
func (p *pool) places(n, reserved int) {
	p.slots = make(chan struct{}, n)
	p.bulk = make(chan struct{}, max(1, n-reserved))
}

// beneath is the network's connection under one that go-mail is opening. The
// client minds ctx only until it stands, and leaves it open where the greeting,
// the encryption or the sign-in fails.
type beneath struct {
	mu   sync.Mutex
	conn net.Conn
	cut  bool
}

func (b *beneath) set(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn = c; b.cut && c != nil {
		c.Close()
	}
}

func (b *beneath) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut = true; b.conn != nil {
		b.conn.Close()
	}
}

// errReached marks a failure of a server that was there.
var errReached = errors.New("the server was reached")

// connect opens, secures and authenticates a connection, within dialTime.
func connect(ctx context.Context, client *mail.Client) (*conn, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var under beneath
	stop := context.AfterFunc(dialing, under.close)
	opened, err := client.DialToSMTPClientWithContext(context.WithValue(dialing, netKey{}, &under))
	if !stop() && err == nil {
		err = dialing.Err()
	}
	if err != nil {
		under.close()
		if under.conn != nil {
			err = fmt.Errorf("%w: %w", errReached, err)
		}
		return nil, err
	}
	c := &conn{smtp: opened, net: under.conn, last: time.Now()}
	c.pipelines, _ = opened.Extension("PIPELINING")
	c.sizes, _ = opened.Extension("SIZE")
	return c, nil
}

// toward is the line of a route: made at its first mail, and as the table of
// providers says.
func (p *pool) toward(r route.Route) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.groups[r.Group]; ok {
		l.mu.Lock()
		l.used = time.Now()
		l.mu.Unlock()
		return l
	}
	l := &line{name: r.Group, used: time.Now(), most: min(max(1, r.Connections), p.size()), perConn: max(1, r.PerConnection), idleFor: max(time.Second, r.Idle)}
	l.dial = func(ctx context.Context) (*conn, error) { return p.reach(ctx, r) }
	p.groups[r.Group] = l
	return l
}

// reach tries the addresses of a route one after the other. Where a receiver's
// encryption is broken and nothing asks for it, the mail goes in clear, as it
// would have if none were offered (RFC 7435 §3).
func (p *pool) reach(ctx context.Context, r route.Route) (*conn, error) {
	var failed []error
	for target, err := range p.direct.Finder.Targets(ctx, r) {
		if err != nil {
			return nil, err
		}
		mode := TLSOpportunistic
		if r.TLS == provider.Required {
			mode = TLSRequired
		}
		c, err := p.knock(ctx, target, mode)
		if mode == TLSOpportunistic && errors.Is(err, errReached) && ctx.Err() == nil {
			c, err = p.knock(ctx, target, TLSNone)
		}
		if err == nil {
			return c, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", target.Host, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

func (p *pool) knock(ctx context.Context, t route.Target, mode TLSMode) (*conn, error) {
	s := Server{Host: t.Host, Port: int(t.Addr.Port()), TLS: mode, Hello: p.direct.Hello, at: t.Addr, source: p.source(t.Addr.Addr()), lenient: true, rec: p.rec}
	client, err := newClient(s)
	if err != nil {
		return nil, err
	}
	if p.rec != nil {
		p.rec.call(s)
	}
	return connect(ctx, client)
}

// source is the address we send from, where it is of the receiver's family.
func (p *pool) source(to netip.Addr) netip.Addr {
	if from := p.direct.Finder.Source; from.Is4() == to.Is4() {
		return from
	}
	return netip.Addr{}
}

// size is how many connections there may be at once.
func (p *pool) size() int { return cap(p.slots) }

// turn is the relay whose turn it is.
func (p *pool) turn() *line {
	up := func(i int) bool { return !p.lines[i].down() }
	if i := p.shares.Next(up); i >= 0 {
		return p.lines[i]
	}
	return p.lines[0]
}

// get gives a connection of a line that is ready for a message, waiting for a
// free one; of relays, that of another where the one asked for is away or busy.
// Bulk mail leaves the next connection of a line to mail that people wait for.
// errNoServer means that nothing was begun.
func (p *pool) get(ctx context.Context, l *line, urgent bool) (*conn, error) {
	if urgent {
		l.wanted(1)
		defer l.wanted(-1)
	}
	for {
		if err := p.enter(ctx, urgent); err != nil {
			return nil, err
		}
		c, busy, err := p.try(ctx, l, urgent)
		if c != nil {
			c.bulk = !urgent
			return c, nil
		}
		p.leave(!urgent)
		if !busy {
			return nil, err
		}
		// The slot was that of a server which is away, or of another receiver.
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// enter waits for a place, and leave gives it back.
func (p *pool) enter(ctx context.Context, urgent bool) error {
	if !urgent {
		select {
		case p.bulk <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if !urgent {
			<-p.bulk
		}
		return ctx.Err()
	}
}

func (p *pool) leave(bulk bool) {
	<-p.slots
	if bulk {
		<-p.bulk
	}
}

// wanted counts the mails that people wait for and that wait for the line.
func (l *line) wanted(by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.urgent += by
}

// try asks the line, and the other relays, once each; busy tells that one could
// be reached, and has all its connections in use.
func (p *pool) try(ctx context.Context, first *line, urgent bool) (c *conn, busy bool, err error) {
	var reasons []error
	ask := func(l *line) *conn {
		c, err := l.take(ctx, p, urgent)
		switch {
		case c != nil:
			return c
		case err != nil:
			reasons = append(reasons, fmt.Errorf("%s: %w", l.name, err))
		default:
			busy = true
		}
		return nil
	}
	if c := ask(first); c != nil {
		return c, false, nil
	}
	for _, l := range p.lines {
		if l == first {
			continue
		}
		if c := ask(l); c != nil {
			return c, false, nil
		}
	}
	return nil, busy, fmt.Errorf("%w: %w", errNoServer, errors.Join(reasons...))
}

// down tells that the line could not be reached a moment ago.
func (l *line) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.downAt) < downFor
}

// slow has the line keep to one connection, or lets it have all again.
func (l *line) slow(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowed = yes
}

// take gives an idle connection or a new one; nil, nil when the line is busy, or
// wanted by mail that people wait for.
func (l *line) take(ctx context.Context, p *pool, urgent bool) (*conn, error) {
	l.mu.Lock()
	if !urgent && l.urgent > 0 {
		l.mu.Unlock()
		return nil, nil
	}
	for len(l.idle) > 0 {
		c := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		p.idle.Add(-1)
		if time.Since(c.last) < l.idleFor && c.sent < l.perConn {
			l.mu.Unlock()
			c.rested = true
			return c, nil
		}
		l.leaving++
		go l.retire(c) // it counts until then; whoever finds the line busy for it looks again
	}
	if time.Since(l.downAt) < downFor {
		l.mu.Unlock()
		return nil, l.reason
	}
	if l.open >= p.share(l) || l.slowed && l.open >= 1 {
		l.mu.Unlock()
		return nil, nil
	}
	l.open++
	l.mu.Unlock()

	c, err := l.dial(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.open--
		if ctx.Err() == nil {
			l.downAt, l.reason = time.Now(), err
		}
		return nil, err
	}
	l.downAt = time.Time{}
	c.line = l
	return c, nil
}

// retire says goodbye to a connection that is among the leaving. It counts until
// the server has hung up, so that a line never has more than it may have.
func (l *line) retire(c *conn) {
	c.quit()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.leaving--
}

// put gives a connection back. A broken one, or one out of step, is closed: its
// next answer would belong to the message before. One that is used up is parted
// from first, which takes a second at most.
func (p *pool) put(c *conn, healthy bool) {
	defer p.leave(c.bulk)
	c.last = time.Now()
	l := c.line
	l.mu.Lock()
	switch {
	case !healthy:
		c.smtp.Close()
		l.open--
	case c.sent < l.perConn && l.open-l.leaving <= p.share(l) && !p.crowded():
		l.idle = append(l.idle, c)
		p.idle.Add(1)
	default:
		l.leaving++
		l.mu.Unlock()
		l.retire(c)
		return
	}
	l.mu.Unlock()
}

// share is how many of a line's connections this node may have. What receivers
// bear is shared out evenly among the nodes, and each has one at least.
func (p *pool) share(l *line) int {
	if p.direct == nil {
		return l.most
	}
	return max(1, l.most/max(1, int(p.nodes.Load())))
}

// crowded tells that no more connections are to be kept for later: of relays as
// many as there may be, and so, straight to the receivers, of all of them together.
func (p *pool) crowded() bool { return p.idle.Load() >= int64(p.size()) }

// sweep hangs up on connections that nobody wanted for long, and forgets the
// receivers that have none.
func (p *pool) sweep() {
	p.mu.Lock()
	lines := append([]*line{}, p.lines...)
	for group, l := range p.groups {
		l.mu.Lock()
		if l.open == 0 && time.Since(l.used) > forgetAfter {
			delete(p.groups, group)
		}
		l.mu.Unlock()
		lines = append(lines, l)
	}
	p.mu.Unlock()
	for _, l := range lines {
		l.mu.Lock()
		l.idle = slices.DeleteFunc(l.idle, func(c *conn) bool {
			old := time.Since(c.last) >= l.idleFor
			if old {
				p.idle.Add(-1)
				l.leaving++
				go l.retire(c)
			}
			return old
		})
		l.mu.Unlock()
	}
}

// forgetAfter is longer than a lane has anything to do with a line it was given.
const forgetAfter = 15 * time.Minute

// close hangs up politely on all idle connections.
func (p *pool) close() {
	var wait sync.WaitGroup
	p.mu.Lock()
	lines := p.lines
	for _, l := range p.groups {
		lines = append(lines, l)
	}
	p.mu.Unlock()
	for _, l := range lines {
		l.mu.Lock()
		for _, c := range l.idle {
			wait.Go(c.quit)
		}
		l.open -= len(l.idle)
		l.idle = nil
		l.mu.Unlock()
	}
	wait.Wait()
}

// quit says goodbye, and waits until the server hangs up: to a server that
// counts, the connection is there until then.
func (c *conn) quit() {
	defer c.smtp.Close()
	if err := c.smtp.UpdateDeadline(quitTime); err != nil {
		return
	}
	c.out = c.out[:0]
	c.say("QUIT")
	if err := c.ask(221); err != nil {
		return
	}
	for {
		if _, _, err := c.answer(); err != nil {
			return
		}
	}
}
