package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// AnyAddress scripts the answers to every recipient without a script of its own.
const AnyAddress = "*"

// stage is where in a delivery an answer is given.
type stage int

const (
	atRcpt stage = iota
	atData       // the body is under way, nothing is taken
	atEnd        // the body is complete
)

// Answer is what the server does about a recipient instead of taking the mail.
type Answer struct {
	at    stage
	err   *smtp.SMTPError // nil: no refusal
	take  bool            // at the end: record the mail all the same
	cut   bool            // close the connection instead of answering
	delay time.Duration
	times int // 0: always
}

// Refuse answers RCPT with a code and a text, which may begin with an enhanced
// code: Refuse(550, "5.1.1 no such user").
func Refuse(code int, text string) Answer { return Answer{at: atRcpt, err: refusal(code, text)} }

// RefuseData takes the body and answers it with a code and a text.
func RefuseData(code int, text string) Answer { return Answer{at: atEnd, err: refusal(code, text)} }

// CutData closes the connection while the body comes in; the mail is not taken.
func CutData() Answer { return Answer{at: atData, cut: true} }

// CutReply takes the mail and closes the connection before saying so.
func CutReply() Answer { return Answer{at: atEnd, take: true, cut: true} }

// Stall waits before it answers RCPT.
func Stall(d time.Duration) Answer { return Answer{at: atRcpt, delay: d} }

// StallReply takes the mail and waits before saying so.
func StallReply(d time.Duration) Answer { return Answer{at: atEnd, take: true, delay: d} }

// Times limits an answer to n deliveries; then the next one of the script counts.
func (a Answer) Times(n int) Answer {
	a.times = n
	return a
}

func refusal(code int, text string) *smtp.SMTPError {
	e := &smtp.SMTPError{Code: code, Message: text, EnhancedCode: smtp.NoEnhancedCode}
	var c smtp.EnhancedCode
	if n, _ := fmt.Sscanf(text, "%d.%d.%d ", &c[0], &c[1], &c[2]); n == 3 {
		_, e.Message, _ = strings.Cut(text, " ")
		e.EnhancedCode = c
	}
	return e
}

// SMTPServer is a mail server on loopback that keeps what it takes and answers
// as it is told. Any user and password are accepted.
type SMTPServer struct {
	Addr string // host:port
	URL  string // as in ASSENT_SMTP_URL

	mu       sync.Mutex
	server   *smtp.Server
	closed   chan struct{} // of the present run: wakes what stalls
	mails    []Mail
	scripts  map[string][]Answer
	sessions int
	changed  chan struct{} // closed and replaced when a mail comes in
}

// SMTP starts a mail server that ends with the test.
func SMTP(tb testing.TB) *SMTPServer {
	tb.Helper()
	s := &SMTPServer{Addr: "127.0.0.1:0", scripts: map[string][]Answer{}, changed: make(chan struct{})}
	if err := s.Up(); err != nil {
		tb.Fatal(err)
	}
	s.URL = "smtp://" + s.Addr + "?starttls=none"
	tb.Cleanup(s.Down)
	return s
}

// Up starts to listen, at the same address as before.
func (s *SMTPServer) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	ln, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("start the test's mail server: %w", err)
	}
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "mx.test", true, true
	server.ReadTimeout, server.WriteTimeout = 5*time.Minute, time.Minute
	server.MaxLineLength = 64 << 10
	server.ErrorLog = log.New(io.Discard, "", 0) // a cut connection is no news here
	s.Addr, s.server, s.closed = ln.Addr().String(), server, make(chan struct{})
	go func() { _ = server.Serve(ln) }()
	return nil
}

// Down closes the port and every connection.
func (s *SMTPServer) Down() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	if server != nil {
		close(s.closed)
	}
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Script replaces what is done about an address (or AnyAddress): each answer in
// turn, as often as its Times says, and when they are used up the mail is taken.
func (s *SMTPServer) Script(address string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[strings.ToLower(address)] = answers
}

// Sessions counts the connections since the start.
func (s *SMTPServer) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Mails gives what was taken so far, in order.
func (s *SMTPServer) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// To gives what was taken for an address so far, in order; case does not count.
func (s *SMTPServer) To(address string) []Mail {
	var found []Mail
	for _, m := range s.Mails() {
		for _, to := range m.To {
			if strings.EqualFold(to, address) {
				found = append(found, m)
				break
			}
		}
	}
	return found
}

// Reset forgets the mails; scripts stay.
func (s *SMTPServer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = nil
}

// Wait returns as soon as n mails were taken, and fails the test after the limit.
func (s *SMTPServer) Wait(tb testing.TB, n int, limit time.Duration) []Mail {
	tb.Helper()
	return s.wait(tb, "", n, limit)
}

// WaitTo is Wait for the mails to one address.
func (s *SMTPServer) WaitTo(tb testing.TB, address string, n int, limit time.Duration) []Mail {
	tb.Helper()
	return s.wait(tb, address, n, limit)
}

func (s *SMTPServer) wait(tb testing.TB, address string, n int, limit time.Duration) []Mail {
	tb.Helper()
	timeout := time.After(limit)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		got := s.Mails()
		if address != "" {
			got = s.To(address)
		}
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-timeout:
			tb.Fatalf("%d mails %s after %s, want %d; all of them:%s", len(got), address, limit, n, s.list())
			return nil
		}
	}
}

// StaysAt fails the test if there are not exactly n mails for as long as d.
func (s *SMTPServer) StaysAt(tb testing.TB, n int, d time.Duration) {
	tb.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(min(20*time.Millisecond, d)) {
		if len(s.Mails()) != n {
			tb.Fatalf("%d mails, want %d and no more:%s", len(s.Mails()), n, s.list())
		}
		if time.Now().After(deadline) {
			return
		}
	}
}

func (s *SMTPServer) list() string {
	var b strings.Builder
	for _, m := range s.Mails() {
		fmt.Fprintf(&b, "\n  to %s: %s", strings.Join(m.To, ", "), m.Subject)
	}
	return b.String()
}

// next takes the answer that is due to an address at a stage.
func (s *SMTPServer) next(address string, at stage) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(address)
	if _, own := s.scripts[key]; !own {
		key = AnyAddress
	}
	script := s.scripts[key]
	if len(script) == 0 || script[0].at != at {
		return Answer{}, false
	}
	a := script[0]
	if a.times == 1 {
		s.scripts[key] = script[1:]
	} else if a.times > 1 {
		rest := append([]Answer(nil), script...)
		rest[0].times--
		s.scripts[key] = rest
	}
	return a, true
}

func (s *SMTPServer) session(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &delivery{s: s, conn: c.Conn(), closed: s.closed}, nil
}

// delivery is one connection's present mail.
type delivery struct {
	s      *SMTPServer
	conn   net.Conn
	closed chan struct{}
	from   string
	to     []string
}

var errCut = errors.New("connection cut by script")

// do carries an answer out.
func (d *delivery) do(a Answer) error {
	if a.delay > 0 {
		select {
		case <-time.After(a.delay):
		case <-d.closed: // a server that went away says nothing more
			a.cut = true
		}
	}
	if a.cut {
		_ = d.conn.Close()
		return errCut
	}
	if a.err != nil {
		return a.err
	}
	return nil
}

func (d *delivery) Reset()        { d.from, d.to = "", nil }
func (d *delivery) Logout() error { return nil }

func (d *delivery) AuthMechanisms() []string { return []string{sasl.Plain} }

func (d *delivery) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (d *delivery) Mail(from string, _ *smtp.MailOptions) error {
	d.from, d.to = from, nil
	return nil
}

func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	if a, ok := d.s.next(to, atRcpt); ok {
		if err := d.do(a); err != nil {
			return err
		}
	}
	d.to = append(d.to, to)
	return nil
}

func (d *delivery) Data(r io.Reader) error {
	for _, to := range d.to {
		if a, ok := d.s.next(to, atData); ok {
			_, _ = io.CopyN(io.Discard, r, 64)
			return d.do(a)
		}
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, to := range d.to {
		if a, ok := d.s.next(to, atEnd); ok {
			if a.take {
				d.take(raw)
			}
			return d.do(a)
		}
	}
	d.take(raw)
	return nil
}

func (d *delivery) take(raw []byte) {
	m := ReadMail(bytes.Clone(raw))
	m.From, m.To, m.At = d.from, append([]string(nil), d.to...), time.Now()
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.mails = append(d.s.mails, m)
	close(d.s.changed)
	d.s.changed = make(chan struct{})
}
