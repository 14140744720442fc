// Package route says where the mails to a domain go when no relay stands
// between: to which hosts, in which order, together with which other domains,
// and under which limits. For mails that go through relays it deals them out.
//
// It fails with a *Failure, permanent only where the name system said so
// itself: a domain that does not exist, or that takes no mail. A name server
// that is silent or broken is always temporary.
package route

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"assent/internal/delivery/provider"
	"assent/internal/dns"
)

// Route is where a domain's mails go. It is shared: who has one changes nothing in it.
type Route struct {
	Group    string // destinations with the same limits and connections: a provider, or a set of MX hosts
	Provider string // for provider.Table.Judge; "" where we know none
	Hosts    []Host // best first
	provider.Limits
}

// Host takes mail for a domain.
type Host struct {
	Name string // without a dot at its end; or an address
	Pref uint16 // smaller is better
}

// Failure is a domain that mail cannot be brought to, now or ever, in the words
// a mail server would use.
type Failure struct {
	Code   int    // 4yz or 5yz
	Status string // the enhanced code (RFC 3463)
	Text   string

	cause error
}

// Error is "CODE STATUS text".
func (f *Failure) Error() string { return fmt.Sprintf("%d %s %s", f.Code, f.Status, f.Text) }

// Unwrap gives what the name system said.
func (f *Failure) Unwrap() error { return f.cause }

// Permanent reports that trying again is of no use.
func (f *Failure) Permanent() bool { return f.Code >= 500 }

// Options of a Finder.
type Options struct {
	DNS       dns.Resolver
	Providers *provider.Table
	Port      int            // that hosts listen at; 0 is 25
	Allow     []netip.Prefix // addresses that are not public, and may be sent to nevertheless
	Source    netip.Addr     // the address we send from; invalid: the system's choice
}

// Finder finds routes and remembers them. Safe for concurrent use.
type Finder struct {
	Options
	own map[netip.Addr]bool // this machine's

	mu    sync.RWMutex
	known map[string]found
}

// found is a route or a failure, for a time.
type found struct {
	route Route
	err   error
	until time.Time
}

const (
	keep     = time.Minute // beside the resolver's own memory
	keepMost = 50_000      // domains
	mostMX   = 20          // hosts of a domain that count
	atOnce   = 32          // domains that are looked up at a time
)

// New makes a Finder.
func New(o Options) *Finder {
	if o.Port == 0 {
		o.Port = 25
	}
	return &Finder{Options: o, own: ownAddresses(), known: map[string]found{}}
}

// Find gives the route of a domain, in ASCII, or of an address literal in
// brackets. Any error but that of ctx is a *Failure.
func (f *Finder) Find(ctx context.Context, domain string) (Route, error) {
	domain = fold(domain)
	if r, ok := f.remembered(domain, time.Now()); ok {
		return r.route, r.err
	}
	r := found{until: time.Now().Add(keep)}
	r.route, r.err = f.look(ctx, domain)
	if r.err != nil && ctx.Err() != nil { // our impatience says nothing of the domain
		return Route{}, ctx.Err()
	}
	f.remember(domain, r)
	return r.route, r.err
}

// Result is what Find says.
type Result struct {
	Route
	Err error
}

// FindAll finds the routes of many domains side by side.
func (f *Finder) FindAll(ctx context.Context, domains []string) map[string]Result {
	all := make(map[string]Result, len(domains))
	var unknown []string
	now := time.Now()
	for _, d := range domains {
		if _, twice := all[d]; twice {
			continue
		}
		r, ok := f.remembered(fold(d), now)
		if all[d] = (Result{r.route, r.err}); !ok {
			unknown = append(unknown, d)
		}
	}
	var mu sync.Mutex
	var running sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, d := range unknown {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			r, err := f.Find(ctx, d)
			mu.Lock()
			defer mu.Unlock()
			all[d] = Result{r, err}
		})
	}
	running.Wait()
	return all
}

func fold(domain string) string { return strings.ToLower(strings.TrimSuffix(domain, ".")) }

func (f *Finder) remembered(domain string, now time.Time) (found, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r, ok := f.known[domain]
	return r, ok && now.Before(r.until)
}

func (f *Finder) remember(domain string, r found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= keepMost {
		clear(f.known) // the resolver still knows most of it
	}
	f.known[domain] = r
}

// look asks the name system (RFC 5321 §5.1).
func (f *Finder) look(ctx context.Context, domain string) (Route, error) {
	if literal, is := strings.CutPrefix(domain, "["); is {
		return f.literal(literal)
	}
	mx, err := f.DNS.LookupMX(ctx, domain)
	switch {
	case len(mx) > 0: // some may have been unreadable
	case err == nil || dns.Missing(err):
		return f.withoutMX(ctx, domain)
	default:
		return Route{}, &Failure{451, "4.4.3", "the name servers of " + domain + " do not answer", err}
	}
	hosts := make([]Host, 0, len(mx))
	for _, one := range mx {
		if name := fold(one.Host); name != "" {
			hosts = append(hosts, Host{name, one.Pref})
		}
	}
	if len(hosts) == 0 { // RFC 7505 §4
		return Route{}, &Failure{556, "5.1.10", domain + " takes no mail (null MX)", nil}
	}
	slices.SortStableFunc(hosts, func(a, b Host) int { return int(a.Pref) - int(b.Pref) })
	return f.to(hosts[:min(len(hosts), mostMX)]), nil
}

// withoutMX is a domain that is its own host, if it has an address.
func (f *Finder) withoutMX(ctx context.Context, domain string) (Route, error) {
	addrs, err := f.addresses(ctx, domain, "ip4", "ip6") // whether or not we can reach them from here
	switch {
	case len(addrs) > 0:
		return f.to([]Host{{Name: domain}}), nil
	case dns.Missing(err):
		return Route{}, &Failure{550, "5.1.2", "there is no domain " + domain + " that takes mail", err}
	default:
		return Route{}, &Failure{451, "4.4.3", "the name servers of " + domain + " do not answer", err}
	}
}

// literal is an address in place of a domain (RFC 5321 §4.1.3).
func (f *Finder) literal(text string) (Route, error) {
	text, closed := strings.CutSuffix(text, "]")
	v6, isV6 := strings.CutPrefix(text, "ipv6:")
	addr, err := netip.ParseAddr(v6)
	if !closed || err != nil || addr.Zone() != "" || addr.Is6() != isV6 {
		return Route{}, &Failure{553, "5.1.3", "[" + text + " is no address", err}
	}
	return f.to([]Host{{Name: addr.String()}}), nil
}

// to is the route to hosts in their order.
func (f *Finder) to(hosts []Host) Route {
	p, known := f.Providers.Of(hosts[0].Name)
	r := Route{Group: p.Group, Provider: p.Group, Hosts: hosts, Limits: p.Limits}
	switch {
	case !known:
		r.Group = site(hosts)
	case p.Each:
		r.Group += ":" + site(hosts)
	}
	return r
}

// site names a set of hosts, whatever their preferences: one by its name, more
// by the best, their number and a hash.
func site(hosts []Host) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	best := slices.MinFunc(hosts, func(a, b Host) int {
		if a.Pref != b.Pref {
			return int(a.Pref) - int(b.Pref)
		}
		return strings.Compare(a.Name, b.Name)
	}).Name
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 {
		return best
	}
	h := fnv.New32a()
	for _, n := range names {
		h.Write([]byte(n + "\n"))
	}
	return fmt.Sprintf("%s+%d~%08x", best, len(names)-1, h.Sum32())
}

// addresses gives a host's, network by network. It fails only when there is
// none; dns.Missing then says that there can be none.
func (f *Finder) addresses(ctx context.Context, host string, networks ...string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	var all []netip.Addr
	var missing, failed error
	for _, network := range networks {
		addrs, err := f.DNS.LookupNetIP(ctx, network, host)
		if dns.Missing(err) {
			missing = err
		} else if err != nil {
			failed = err
		}
		all = append(all, addrs...)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case failed != nil:
		return nil, failed
	case missing != nil:
		return nil, missing
	}
	return nil, errors.New("no address, and no reason")
}

// networks are the kinds of address that can be reached from ours, IPv4 first:
// that is where senders are known by.
func (f *Finder) networks() []string {
	switch {
	case f.Source.Is4():
		return []string{"ip4"}
	case f.Source.IsValid():
		return []string{"ip6"}
	}
	return []string{"ip4", "ip6"}
}
