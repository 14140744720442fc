package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// TLSMode says how a connection to a mail server is secured.
type TLSMode string

// The modes: TLS from the first byte (RFC 8314), STARTTLS or nothing (RFC 3207).
const (
	TLSImplicit      TLSMode = "implicit"
	TLSRequired      TLSMode = "required"
	TLSOpportunistic TLSMode = "opportunistic"
	TLSNone          TLSMode = "none"
)

// Server is a mail server that takes our mail.
type Server struct {
	Host        string
	Port        int
	User        string // "" is no authentication
	Password    string
	TLS         TLSMode
	Connections int    // at once, at most
	Hello       string // the name we give in EHLO; "" is the machine's
}

const (
	stepTime   = 2 * time.Minute  // for every answer but the last (RFC 5321 §4.5.3.2)
	finalTime  = 10 * time.Minute // after the final dot (RFC 5321 §4.5.3.2.6)
	dialTime   = 30 * time.Second
	idleTime   = 20 * time.Second      // servers hang up on the idle
	perConn    = 1000                  // messages on one connection
	downFor    = 5 * time.Second       // a server that could not be reached is left alone for so long
	busyWait   = 20 * time.Millisecond // between two looks for a free connection while a server is away
	quitTime   = time.Second
	endTime    = 4 * time.Second // what a message under way gets when the process stops
	maxBackoff = 30 * time.Second
)

// errNoServer says that no mail server could be reached.
var errNoServer = errors.New("no mail server can be reached")

// pool keeps connections to the mail servers; a later server is used while the
// ones before it are away or busy.
type pool struct {
	lines []*line
	slots chan struct{}
}

// line is one server and its idle connections.
type line struct {
	Server
	client *mail.Client
	mu     sync.Mutex
	idle   []*conn
	open   int
	downAt time.Time
	reason error
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
	out       []byte // commands that are said and not sent

	mu  sync.Mutex
	end time.Time // set when the process stops: no answer is waited for any longer
}

func newPool(servers []Server) (*pool, error) {
	p := &pool{}
	total := 0
	for _, s := range servers {
		client, err := newClient(s)
		if err != nil {
			return nil, fmt.Errorf("set up mail server %s: %w", s.Host, err)
		}
		p.lines = append(p.lines, &line{Server: s, client: client})
		total += s.Connections
	}
	if total == 0 {
		return nil, fmt.Errorf("set up mail servers: none given")
	}
	p.slots = make(chan struct{}, total)
	return p, nil
}

func newClient(s Server) (*mail.Client, error) {
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(dialTime), mail.WithoutNoop(), mail.WithDialContextFunc(dial)}
	if s.Hello != "" {
		options = append(options, mail.WithHELO(s.Hello))
	}
	switch s.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL(), mail.WithDialContextFunc(dialTLS(s.Host)))
	case TLSRequired:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLSOpportunistic:
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.TLS == TLSImplicit || s.TLS == TLSRequired {
		options = append(options, mail.WithTLSConfig(&tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}))
	}
	if s.User != "" {
		options = append(options, authentication(s.TLS), mail.WithUsername(s.User), mail.WithPassword(s.Password))
	}
	return mail.NewClient(s.Host, options...)
}

// authentication lets go-mail choose, which it does by whether it secured the
// connection itself. Where TLS was there before it, it would take that for a
// clear one, and refuse PLAIN and LOGIN, which most servers have nothing besides.
func authentication(mode TLSMode) mail.Option {
	if mode == TLSImplicit {
		return mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthCramMD5, mail.SMTPAuthPlain, mail.SMTPAuthLogin)
	}
	return mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover)
}

// netKey carries a *net.Conn through a dial, to keep what go-mail hides.
type netKey struct{}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if at, ok := ctx.Value(netKey{}).(*net.Conn); ok {
		*at = c
	}
	return c, err
}

func dialTLS(host string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return secure, nil
	}
}

// size is how many connections there may be at once.
func (p *pool) size() int { return cap(p.slots) }

// get gives a connection that is ready for a message, waiting for a free one.
// errNoServer means that nothing was begun.
func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		c, busy, err := p.try(ctx)
		if c != nil {
			return c, nil
		}
		if busy { // the slot was that of a server which is away
			select {
			case <-time.After(busyWait):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		<-p.slots
		return nil, err
	}
}

// try asks each server once; busy tells that one could be reached, and has all
// its connections in use.
func (p *pool) try(ctx context.Context) (c *conn, busy bool, err error) {
	var reasons []error
	for _, l := range p.lines {
		c, err := l.take(ctx)
		switch {
		case c != nil:
			return c, false, nil
		case err != nil:
			reasons = append(reasons, fmt.Errorf("%s: %w", l.Host, err))
		default:
			busy = true
		}
	}
	return nil, busy, fmt.Errorf("%w: %w", errNoServer, errors.Join(reasons...))
}

// take gives an idle connection or a new one; nil, nil when the line is busy.
func (l *line) take(ctx context.Context) (*conn, error) {
	l.mu.Lock()
	for len(l.idle) > 0 {
		c := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		if time.Since(c.last) < idleTime && c.sent < perConn {
			l.mu.Unlock()
			return c, nil
		}
		l.open--
		go c.quit()
	}
	if time.Since(l.downAt) < downFor {
		l.mu.Unlock()
		return nil, l.reason
	}
	if l.open >= l.Connections {
		l.mu.Unlock()
		return nil, nil
	}
	l.open++
	l.mu.Unlock()

	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var beneath net.Conn
	client, err := l.client.DialToSMTPClientWithContext(context.WithValue(dialing, netKey{}, &beneath))
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
	c := &conn{line: l, smtp: client, net: beneath, last: time.Now()}
	c.pipelines, _ = client.Extension("PIPELINING")
	c.sizes, _ = client.Extension("SIZE")
	return c, nil
}

// put gives a connection back. A broken one, or one out of step, is closed: its
// next answer would belong to the message before.
func (p *pool) put(c *conn, healthy bool) {
	c.last = time.Now()
	c.line.mu.Lock()
	if healthy && c.sent < perConn {
		c.line.idle = append(c.line.idle, c)
	} else {
		c.line.open--
		if healthy {
			go c.quit()
		} else {
			c.smtp.Close()
		}
	}
	c.line.mu.Unlock()
	<-p.slots
}

// close hangs up politely on all idle connections.
func (p *pool) close() {
	var wait sync.WaitGroup
	for _, l := range p.lines {
		l.mu.Lock()
		for _, c := range l.idle {
			wait.Add(1)
			go func() { defer wait.Done(); c.quit() }()
		}
		l.open -= len(l.idle)
		l.idle = nil
		l.mu.Unlock()
	}
	wait.Wait()
}

func (c *conn) quit() {
	if c.smtp.UpdateDeadline(quitTime) == nil && c.smtp.Quit() == nil {
		return
	}
	c.smtp.Close()
}
