// Package dns asks the name system what mail needs of it: where a domain takes
// its mail, what it publishes of its senders, and who an address says it is.
//
// Names are absolute: the search list of the machine is never tried, so
// "example" is not "example.my-office.test". Answers are kept for five minutes
// and failures for half a minute, whatever their records say, which spares a
// campaign a question per mail and lets a repaired zone through soon.
package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Resolver answers questions; *net.Resolver is one. A name that ends in a dot
// is absolute. See Missing for what an error says.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// New asks the name server at host:port, or those of the system where server is
// empty, and keeps what they answer.
func New(server string) *Cache {
	return NewCache(direct(server))
}

// direct asks each time. The system's C library is never used: it would tell no
// difference between "no such name" and "no answer".
func direct(server string) Resolver {
	r := &net.Resolver{PreferGo: true}
	if server != "" {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		}
	}
	return absolute{r}
}

// Missing reports that the name system answered, and that there is no such name
// or no record of the kind asked for. Any other error says nothing about the
// name: no server answered, or one could not.
func Missing(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound && !e.IsTemporary && !e.IsTimeout
}

// absolute keeps a resolver from trying the names of the search list.
type absolute struct{ Resolver }

func (a absolute) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return a.Resolver.LookupMX(ctx, rooted(name))
}

func (a absolute) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return a.Resolver.LookupTXT(ctx, rooted(name))
}

func (a absolute) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return a.Resolver.LookupNetIP(ctx, network, host)
	}
	return a.Resolver.LookupNetIP(ctx, network, rooted(host))
}

func rooted(name string) string { return strings.TrimSuffix(name, ".") + "." }
