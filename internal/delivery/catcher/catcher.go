// Package catcher is the catch-all mailbox: a real SMTP server on this machine
// that takes every mail and passes none on, for demonstrations and for trying
// things out. What it took is looked at under /mailbox.
//
// It promises that no mail leaves: it has no client. It keeps the newest mails
// only, in memory, bounded in number and bytes; all are gone with the process.
package catcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"assent/internal/problem"
)

// Options for New; a zero number means its standard.
type Options struct {
	Mails int              // kept at most; 500
	Bytes int              // of their sources together, at most; 64 MiB
	Clock func() time.Time // when a mail came; nil is the real clock
}

const (
	usualMails  = 500
	usualBytes  = 64 << 20
	mailMax     = 10 << 20 // bytes of one mail
	subscribers = 16       // ids that a slow watcher may be behind before it misses some
)

// Mailbox is the server and what it took. It is safe for concurrent use.
type Mailbox struct {
	options Options
	server  *smtp.Server

	mu       sync.Mutex
	addr     string
	last     uint64
	bytes    int
	mails    []Mail // oldest first
	watchers map[chan uint64]struct{}
}

// Mail is one mail as it came in.
type Mail struct {
	ID      uint64    // counts up from 1
	At      time.Time // when it came
	From    string    // envelope sender; empty for a notification
	To      []string  // envelope recipients
	Subject string    // decoded
	Source  []byte    // all of it; not to be changed
}

// New makes an empty mailbox; Serve opens it.
func New(o Options) *Mailbox {
	if o.Mails <= 0 {
		o.Mails = usualMails
	}
	if o.Bytes <= 0 {
		o.Bytes = usualBytes
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	m := &Mailbox{options: o, watchers: map[chan uint64]struct{}{}}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: m}, nil }))
	m.server.Domain = "localhost"
	m.server.MaxMessageBytes = mailMax
	m.server.MaxRecipients = 100
	m.server.ReadTimeout, m.server.WriteTimeout = 5*time.Minute, time.Minute
	m.server.ErrorLog = silent{}
	return m
}

// silent: what a client did wrong is told to the client.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Listen opens a port of this machine; 0 takes any free one. Anything but a
// loopback address is refused: strangers could fill the mailbox, and read it.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("open the catch-all mailbox: %w", err)
	}
	return l, nil
}

// Serve takes mails from the listener until Close.
func (m *Mailbox) Serve(l net.Listener) error {
	m.mu.Lock()
	m.addr = l.Addr().String()
	m.mu.Unlock()
	if err := m.server.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve the catch-all mailbox: %w", err)
	}
	return nil
}

// Addr is where it listens, host:port; empty before Serve.
func (m *Mailbox) Addr() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addr
}

// Shutdown lets the transactions under way end, within ctx, and closes.
func (m *Mailbox) Shutdown(ctx context.Context) error {
	if err := m.server.Shutdown(ctx); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return errors.Join(err, m.server.Close())
	}
	return nil
}

// List gives the mails whose recipient or subject holds the words, without
// their sources, the newest first; empty words give all.
func (m *Mailbox) List(words string) []Mail {
	words = strings.ToLower(strings.TrimSpace(words))
	m.mu.Lock()
	defer m.mu.Unlock()
	found := []Mail{}
	for i := len(m.mails) - 1; i >= 0; i-- {
		mail := m.mails[i]
		if words == "" || strings.Contains(strings.ToLower(mail.Subject+"\n"+strings.Join(mail.To, "\n")), words) {
			mail.Source = nil
			found = append(found, mail)
		}
	}
	return found
}

// Find gives one mail. One that never was, or was pushed out by newer ones, is
// problem.NotFound "mailbox.unknown".
func (m *Mailbox) Find(id uint64) (Mail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mails) > 0 && id >= m.mails[0].ID && id <= m.last {
		return m.mails[id-m.mails[0].ID], nil
	}
	return Mail{}, problem.New(problem.NotFound, "mailbox.unknown")
}

// Forget takes away what came for, or speaks of, any of the addresses, given in
// small letters. Their places stay, empty.
func (m *Mailbox) Forget(addresses []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, mail := range m.mails {
		source := strings.ToLower(strings.Join(mail.To, "\n") + "\n" + string(mail.Source))
		if slices.ContainsFunc(addresses, func(a string) bool { return strings.Contains(source, a) }) {
			m.bytes -= len(mail.Source)
			m.mails[i] = Mail{ID: mail.ID, At: mail.At, From: mail.From}
		}
	}
}

// Subscribe gives the ids of the mails that come from now on, until cancel. A
// watcher that does not keep up misses ids; it does not hold the mails up.
func (m *Mailbox) Subscribe() (ids <-chan uint64, cancel func()) {
	c := make(chan uint64, subscribers)
	m.mu.Lock()
	m.watchers[c] = struct{}{}
	m.mu.Unlock()
	return c, func() {
		m.mu.Lock()
		delete(m.watchers, c)
		m.mu.Unlock()
	}
}

// keep adds a mail and pushes out the oldest that no longer fit.
func (m *Mailbox) keep(mail Mail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	mail.ID = m.last
	m.mails = append(m.mails, mail)
	m.bytes += len(mail.Source)
	for len(m.mails) > 1 && (len(m.mails) > m.options.Mails || m.bytes > m.options.Bytes) {
		m.bytes -= len(m.mails[0].Source)
		m.mails[0] = Mail{} // the array outlives the slice's beginning
		m.mails = m.mails[1:]
	}
	for c := range m.watchers {
		select {
		case c <- mail.ID:
		default:
		}
	}
}

// session is one SMTP connection.
type session struct {
	box  *Mailbox
	from string
	to   []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data answers when the mail is kept.
func (s *session) Data(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.box.keep(Mail{At: s.box.options.Clock(), From: s.from, To: s.to, Subject: subject(source), Source: source})
	return nil
}
