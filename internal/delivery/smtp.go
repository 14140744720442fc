package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	mail "github.com/wneessen/go-mail"
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
	Connections int     // at once, at most
	Hello       string  // the name we give in EHLO; "" is the machine's
	Weight      int     // its share of the mails among the servers; 0 is 1
	PerSecond   float64 // mails it takes, over all nodes; 0 is without limit

	at      netip.AddrPort // where Host listens, looked up already; invalid: it is not
	source  netip.Addr     // the address we send from; invalid: the system's choice
	lenient bool           // any certificate will do: of a stranger none can be asked
	rec     *recorder      // writes down what is said; nil: nobody does
}

// name is host:port, as the throttle knows the server.
func (s Server) name() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

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

func newClient(s Server) (*mail.Client, error) {
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(dialTime), mail.WithoutNoop(), mail.WithDialContextFunc(s.dial)}
	if s.Hello != "" {
		options = append(options, mail.WithHELO(s.Hello))
	}
	switch s.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL(), mail.WithDialContextFunc(s.dialTLS))
	case TLSRequired:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLSOpportunistic:
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.TLS == TLSImplicit || s.TLS == TLSRequired || s.lenient {
		options = append(options, mail.WithTLSConfig(&tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.lenient}))
	}
	if s.rec != nil {
		options = append(options, mail.WithLogger(s.rec), mail.WithDebugLog())
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

// netKey carries a *beneath through a dial, to keep what go-mail hides.
type netKey struct{}

func (s Server) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	if s.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.source, 0))
	}
	if s.at.IsValid() {
		addr = s.at.String()
	}
	c, err := d.DialContext(ctx, network, addr)
	if s.rec != nil && err == nil {
		c = s.rec.under(c)
	}
	if under, ok := ctx.Value(netKey{}).(*beneath); ok && err == nil {
		under.set(c)
	}
	return c, err
}

func (s Server) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := s.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	if s.rec != nil {
		s.rec.secured(secure)
	}
	return secure, nil
}
