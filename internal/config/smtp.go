package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// StartTLS says whether a connection that begins in clear is to be encrypted.
type StartTLS string

// The ways to start TLS (RFC 3207). Required refuses to go on in clear.
const (
	Required      StartTLS = "required"
	Opportunistic StartTLS = "opportunistic"
	None          StartTLS = "none"
)

// SMTP is one mail server of the pool.
type SMTP struct {
	Scheme      string // smtp, smtps (TLS from the first byte, RFC 8314), or catcher (the built-in mailbox)
	User        string // empty: no authentication
	Password    string
	Host        string // empty for catcher
	Port        int    // 0 for catcher
	Connections int    // at once, at most
	StartTLS    StartTLS
}

const (
	smtpFix          = "give catcher, or smtp://user:password@host:587?connections=10&starttls=required (several with spaces between), special characters of the password as %XX"
	mostConnections  = 1000
	usualConnections = 10
)

// Catcher reports whether mails go to the built-in mailbox and nowhere else.
func (m SMTP) Catcher() bool { return m.Scheme == "catcher" }

// Addr is host:port.
func (m SMTP) Addr() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// String leaves the password out.
func (m SMTP) String() string {
	if m.Catcher() {
		return m.Scheme
	}
	u := url.URL{Scheme: m.Scheme, Host: m.Addr(), RawQuery: fmt.Sprintf("connections=%d&starttls=%s", m.Connections, m.StartTLS)}
	if m.User != "" {
		u.User = url.UserPassword(m.User, "xxxxx")
	}
	return u.String()
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
		if m.Catcher() && len(s.SMTPURLs) > 1 {
			return wrong("mixes catcher with mail servers", "give catcher alone, or mail servers alone")
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

// ParseSMTP reads one SMTP URL. Ports are 587 for smtp and 465 for smtps unless
// given (RFC 8314 §3.3); TLS is required, but only opportunistic towards this
// very machine.
func ParseSMTP(text string) (SMTP, *Error) {
	if text == "catcher" {
		return SMTP{Scheme: "catcher", Connections: usualConnections, StartTLS: None}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return SMTP{}, wrong("is not a URL", smtpFix)
	}
	m := SMTP{Scheme: u.Scheme, Host: u.Hostname(), Connections: usualConnections, StartTLS: Required}
	switch m.Scheme {
	case "smtp":
		m.Port = 587
	case "smtps":
		m.Port, m.StartTLS = 465, None
	default:
		return SMTP{}, wrong("is neither smtp, smtps nor catcher", smtpFix)
	}
	if m.Host == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return SMTP{}, wrong("names no host, or something after it", smtpFix)
	}
	if m.Scheme == "smtp" && loopback(m.Host) {
		m.StartTLS = Opportunistic
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return SMTP{}, wrong(fmt.Sprintf("has the port %q", port), "give a port from 1 to 65535")
		}
		m.Port = int(n)
	}
	if u.User != nil {
		m.User = u.User.Username()
		m.Password, _ = u.User.Password()
		if m.User == "" || m.Password == "" {
			return SMTP{}, wrong("has a user without a password, or the reverse", smtpFix)
		}
	}
	return m, m.options(u.RawQuery)
}

// options reads what stands behind the question mark.
func (m *SMTP) options(query string) *Error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return wrong("has options that cannot be read", smtpFix)
	}
	for name, values := range q {
		value := values[len(values)-1]
		switch name {
		case "connections":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > mostConnections {
				return wrong(fmt.Sprintf("has connections=%q", value), fmt.Sprintf("give a number from 1 to %d", mostConnections))
			}
			m.Connections = n
		case "starttls":
			m.StartTLS = StartTLS(value)
			if m.StartTLS != Required && m.StartTLS != Opportunistic && m.StartTLS != None {
				return wrong(fmt.Sprintf("has starttls=%q", value), "give required, opportunistic or none")
			}
			if m.Scheme == "smtps" && m.StartTLS != None {
				return wrong("has starttls with smtps, which is encrypted from the start", "leave starttls out, or use smtp")
			}
		default:
			return wrong(fmt.Sprintf("has the option %q", name), "the options are connections and starttls")
		}
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
