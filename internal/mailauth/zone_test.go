package mailauth

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// zone is all that the DNS knows: a line for each record, "name TYPE value".
// The type FAIL has every question about the name go unanswered.
type zone struct {
	mu      sync.Mutex
	records map[string][]string // "name TYPE" → values
	names   map[string]bool
	asked   []string
}

func newZone(lines ...string) *zone {
	z := &zone{records: map[string][]string{}, names: map[string]bool{}}
	for _, line := range lines {
		z.add(line)
	}
	return z
}

func (z *zone) add(line string) {
	parts := strings.SplitN(line, " ", 3)
	name := strings.ToLower(parts[0])
	value := ""
	if len(parts) > 2 {
		value = parts[2]
	}
	z.names[name] = true
	z.records[name+" "+parts[1]] = append(z.records[name+" "+parts[1]], value)
}

var errNoAnswer = &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}

func (z *zone) look(ctx context.Context, name, kind string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, name+" "+kind)
	if _, broken := z.records[name+" FAIL"]; broken {
		return nil, errNoAnswer
	}
	if to := z.records[name+" CNAME"]; len(to) == 1 {
		name = strings.ToLower(to[0])
	}
	found := z.records[name+" "+kind]
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return found, nil
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return z.look(ctx, name, "TXT")
}

func (z *zone) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	found, err := z.look(ctx, name, "MX")
	var all []*net.MX
	for _, host := range found {
		all = append(all, &net.MX{Host: host + ".", Pref: 10})
	}
	return all, err
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	for kind, of := range map[string]string{"A": "ip4", "AAAA": "ip6"} {
		if network != "ip" && network != of {
			continue
		}
		found, err := z.look(ctx, host, kind)
		if err != nil && !errors.As(err, new(*net.DNSError)) || errors.Is(err, errNoAnswer) {
			return nil, err
		}
		for _, a := range found {
			all = append(all, netip.MustParseAddr(a))
		}
	}
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

func (z *zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	found, err := z.look(ctx, addr, "PTR")
	var all []string
	for _, name := range found {
		all = append(all, name+".")
	}
	return all, err
}
