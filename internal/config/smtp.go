package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StartTLS says whether a connection that begins in clear is to be encrypted.
type StartTLS string

// The ways to start TLS (RFC 3207). Required refuses to go on in clear.
const (
	Required      StartTLS = "required"
	Opportunistic StartTLS = "opportunistic"
	None          StartTLS = "none"
)

// SMTP is one way out for mail: a mail server of the pool, or none between us
// and the receivers.
type SMTP struct {
	Scheme      string // smtp, smtps (TLS from the first byte, RFC 8314), mx (straight to the receivers), or catcher (the built-in mailbox)
	User        string // empty: no authentication
	Password    string
	Host        string // empty for catcher and mx
	Port        int    // 0 for catcher and mx
	Connections int    // at once, at most; with mx to all receivers together
	StartTLS    StartTLS
	Weight      int        // its share of the mails among the servers of the pool
	PerSecond   float64    // mails it takes, over all nodes; 0 is without limit
	Hello       string     // the name we give in EHLO; empty: that of the public URL
	Source      netip.Addr // the address we send from (mx only); invalid: the system's choice
	WarmUpFrom  time.Time  // when that address began to send (mx only); zero: it is known
}

const (
	smtpFix          = "give catcher, mx://?hello=mail.example.org, or smtp://user:password@host:587?connections=10&starttls=required (several with spaces between), special characters of the password as %XX"
	mostConnections  = 1000
	usualConnections = 10
	directOnes       = 100 // connections to receivers
	mostWeight       = 1000
	mostPerSecond    = 100_000
)

// Catcher reports whether mails go to the built-in mailbox and nowhere else.
func (m SMTP) Catcher() bool { return m.Scheme == "catcher" }

// Direct reports whether mails go straight to their receivers' servers.
func (m SMTP) Direct() bool { return m.Scheme == "mx" }

// Addr is host:port.
func (m SMTP) Addr() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// String leaves the password out.
func (m SMTP) String() string {
	if m.Catcher() {
		return m.Scheme
	}
	u := url.URL{Scheme: m.Scheme, Host: m.Addr(), RawQuery: m.query()}
	if m.Direct() {
		return m.Scheme + "://?" + m.query()
	}
	if m.User != "" {
		u.User = url.UserPassword(m.User, "xxxxx")
	}
	return u.String()
}

// query is what stands behind the question mark, without what nobody gave.
func (m SMTP) query() string {
	q := url.Values{"connections": {strconv.Itoa(m.Connections)}}
	for name, value := range map[string]string{"starttls": string(m.StartTLS), "hello": m.Hello} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if m.Weight != 1 {
		q.Set("weight", strconv.Itoa(m.Weight))
	}
	if m.PerSecond > 0 {
		q.Set("rate", strconv.FormatFloat(m.PerSecond, 'g', -1, 64))
	}
	if m.Source.IsValid() {
		q.Set("source", m.Source.String())
	}
	if !m.WarmUpFrom.IsZero() {
		q.Set("warm_up_from", m.WarmUpFrom.Format(time.DateOnly))
	}
	return q.Encode()
}

// GoString is String, so that %#v tells no more.
func (m SMTP) GoString() string { return m.String() }

// MarshalText is String, so that encoders tell no more.
func (m SMTP) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func parseSMTPs(s *Settings, text string) error {
	s.SMTPURLs, s.SMTP = strings.Fields(text), nil
	for i, one := range s.SMTPURLs {
		m, err := ParseSMTP(one)
		if err != nil {
			err.Problem = fmt.Sprintf("(server %d) %s", i+1, err.Problem)
			return err
		}
		s.SMTP = append(s.SMTP, m)
		if (m.Catcher() || m.Direct()) && len(s.SMTPURLs) > 1 {
			return wrong("mixes "+m.Scheme+" with mail servers", "give "+m.Scheme+" alone, or mail servers alone")
		}
	}
	return nil
}

func showSMTPs(s Settings) string {
	shown := make([]string, len(s.SMTP))
	for i, m := range s.SMTP {
		shown[i] = m.String()
	}
	return strings.Join(shown, ",")
}

// ParseSMTP reads one way out. Ports are 587 for smtp and 465 for smtps unless
// given (RFC 8314 §3.3); TLS is required, but only opportunistic towards this
// very machine.
func ParseSMTP(text string) (SMTP, *Error) {
	if text == "catcher" {
		return SMTP{Scheme: "catcher", Connections: usualConnections, StartTLS: None, Weight: 1}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return SMTP{}, wrong("is not a URL", smtpFix)
	}
	m := SMTP{Scheme: u.Scheme, Host: u.Hostname(), Connections: usualConnections, StartTLS: Required, Weight: 1}
	switch m.Scheme {
	case "smtp":
		m.Port = 587
	case "smtps":
		m.Port, m.StartTLS = 465, None
	case "mx":
		m.Connections, m.StartTLS = directOnes, ""
		if u.Host != "" || u.User != nil || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
			return SMTP{}, wrong("names a host, though with mx each mail's receiver does", "give mx:// with options behind a question mark, such as mx://?hello=mail.example.org&source=192.0.2.1")
		}
		return m, m.options(u.RawQuery)
	default:
		return SMTP{}, wrong("is neither smtp, smtps, mx nor catcher", smtpFix)
	}
	return m, m.server(u)
}

// server reads what stands before the question mark.
func (m *SMTP) server(u *url.URL) *Error {
	if m.Host == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return wrong("names no host, or something after it", smtpFix)
	}
	if m.Scheme == "smtp" && loopback(m.Host) {
		m.StartTLS = Opportunistic
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return wrong(fmt.Sprintf("has the port %q", port), "give a port from 1 to 65535")
		}
		m.Port = int(n)
	}
	if u.User != nil {
		m.User = u.User.Username()
		m.Password, _ = u.User.Password()
		if m.User == "" || m.Password == "" {
			return wrong("has a user without a password, or the reverse", smtpFix)
		}
	}
	return m.options(u.RawQuery)
}

// options reads what stands behind the question mark.
func (m *SMTP) options(query string) *Error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return wrong("has options that cannot be read", smtpFix)
	}
	readers := map[string]func(string) *Error{"connections": m.setConnections, "hello": m.setHello, "rate": m.setRate}
	if m.Direct() {
		readers["source"], readers["warm_up_from"] = m.setSource, m.setWarmUp
	} else {
		readers["starttls"], readers["weight"] = m.setStartTLS, m.setWeight
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		read, ok := readers[name]
		if !ok {
			return wrong(fmt.Sprintf("has the option %q", name), "the options of "+m.Scheme+" are "+strings.Join(slices.Sorted(maps.Keys(readers)), ", "))
		}
		if err := read(q[name][len(q[name])-1]); err != nil {
			return err
		}
	}
	if m.WarmUpFrom.IsZero() || m.Source.IsValid() {
		return nil
	}
	return wrong("has warm_up_from without source", "name the address that is new, such as source=192.0.2.1")
}

func (m *SMTP) setConnections(value string) *Error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > mostConnections {
		return wrong(fmt.Sprintf("has connections=%q", value), fmt.Sprintf("give a number from 1 to %d", mostConnections))
	}
	m.Connections = n
	return nil
}

func (m *SMTP) setStartTLS(value string) *Error {
	m.StartTLS = StartTLS(value)
	if m.StartTLS != Required && m.StartTLS != Opportunistic && m.StartTLS != None {
		return wrong(fmt.Sprintf("has starttls=%q", value), "give required, opportunistic or none")
	}
	if m.Scheme == "smtps" && m.StartTLS != None {
		return wrong("has starttls with smtps, which is encrypted from the start", "leave starttls out, or use smtp")
	}
	return nil
}

func (m *SMTP) setWeight(value string) *Error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > mostWeight {
		return wrong(fmt.Sprintf("has weight=%q", value), fmt.Sprintf("give a number from 1 to %d; a server with weight=2 gets twice as many mails as one with weight=1", mostWeight))
	}
	m.Weight = n
	return nil
}

func (m *SMTP) setRate(value string) *Error {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n > 0 && n <= mostPerSecond) {
		return wrong(fmt.Sprintf("has rate=%q", value), fmt.Sprintf("give the mails a second, up to %d", mostPerSecond))
	}
	m.PerSecond = n
	return nil
}

// helloForm is a name with a dot in it (RFC 5321 §4.1.1.1), or an address in brackets.
var helloForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$|^\[[0-9A-Za-z.:]+\]$`)

func (m *SMTP) setHello(value string) *Error {
	if !helloForm.MatchString(value) || len(value) > 253 {
		return wrong(fmt.Sprintf("has hello=%q", value), "give the full name of this machine, the one its address resolves to, such as mail.example.org")
	}
	m.Hello = value
	return nil
}

func (m *SMTP) setSource(value string) *Error {
	a, err := netip.ParseAddr(value)
	if err != nil || a.IsUnspecified() || a.Zone() != "" {
		return wrong(fmt.Sprintf("has source=%q", value), "give an address of this machine, such as 192.0.2.1")
	}
	m.Source = a.Unmap()
	return nil
}

func (m *SMTP) setWarmUp(value string) *Error {
	at, err := time.Parse(time.DateOnly, value)
	if err != nil {
		return wrong(fmt.Sprintf("has warm_up_from=%q", value), "give the day the address began to send, such as 2026-11-30")
	}
	m.WarmUpFrom = at
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
