package route

import (
	"context"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	"assent/internal/dns"
)

// Target is one address of a host.
type Target struct {
	Host string // for its certificate
	Addr netip.AddrPort
}

// mostTargets is how many addresses of a route are tried at most (RFC 5321
// §5.1 asks for two).
const mostTargets = 10

// Targets gives the addresses of a route in the order in which they are to be
// tried: by preference, hosts of the same preference in an order of their own
// each time, so that they share the load. Names are looked up on the way.
//
// Where there is none at all, it gives a *Failure, once. Addresses that are not
// public, or this machine's own, are left out: an MX record is a stranger's
// word, and must not open a connection into our own network.
func (f *Finder) Targets(ctx context.Context, r Route) iter.Seq2[Target, error] {
	return func(yield func(Target, error) bool) {
		given, refused := 0, netip.Addr{}
		var failed error
		for _, h := range shuffled(r.Hosts) {
			addrs, err := f.addresses(ctx, h.Name, f.networks()...)
			if err != nil {
				failed = err
				continue
			}
			for _, addr := range addrs {
				if addr = addr.Unmap(); !f.may(addr) {
					refused = addr
					continue
				}
				if given++; !yield(Target{h.Name, netip.AddrPortFrom(addr, uint16(f.Port))}, nil) || given == mostTargets {
					return
				}
			}
		}
		if given == 0 {
			yield(Target{}, nowhere(ctx, r, failed, refused))
		}
	}
}

// nowhere says why a route has no target. What a stranger's records say of our
// own network is final, but for a name that could not be looked up.
func nowhere(ctx context.Context, r Route, failed error, refused netip.Addr) error {
	host := r.Hosts[0].Name
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil && dns.Missing(failed):
		return &Failure{451, "4.4.4", "the mail host " + host + " has no address", failed}
	case failed != nil:
		return &Failure{451, "4.4.3", "the name servers of the mail host " + host + " do not answer", failed}
	case refused.IsValid():
		return &Failure{550, "5.4.4", "the mail host " + host + " is said to be at " + refused.String() + ", which is no public address", nil}
	}
	return &Failure{451, "4.4.4", "the mail host " + host + " has no address we can reach", nil}
}

// shuffled is the hosts with those of the same preference in random order.
func shuffled(hosts []Host) []Host {
	order := slices.Clone(hosts)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(a, b Host) int { return int(a.Pref) - int(b.Pref) })
	return order
}

// closed are the networks beside those that netip knows, which no mail host of
// the public Internet is in (RFC 6890 and its registries).
var closed = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// nat64 carries an IPv4 address in its last four bytes (RFC 6052 §2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// may reports whether mail may be sent to an address.
func (f *Finder) may(addr netip.Addr) bool {
	if nat64.Contains(addr) {
		whole := addr.As16()
		addr = netip.AddrFrom4([4]byte(whole[12:]))
	}
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(f.Allow, in) {
		return true
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !slices.ContainsFunc(closed, in) && !f.own[addr]
}

// ownAddresses are those of this machine's interfaces: a mail host that is here
// would make mail go round in circles (RFC 5321 §5.1).
func ownAddresses() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	found, err := net.InterfaceAddrs()
	if err != nil { // the other rules hold nevertheless
		return own
	}
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own[p.Addr().Unmap()] = true
		}
	}
	return own
}
