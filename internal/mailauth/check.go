package mailauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"assent/internal/dns"
)

// Sender is a domain that mail is sent from.
type Sender struct {
	Domain     string // of From, an A-label
	Local      string // what stands before it
	ReturnPath string // domain of MAIL FROM; empty: Domain
	Keys       []Key  // that sign, and that are to
	RelaySigns bool   // and none of Keys
}

func (s Sender) returnPath() string {
	if s.ReturnPath == "" {
		return s.Domain
	}
	return s.ReturnPath
}

// Relay is a mail server that takes the mail from us.
type Relay struct {
	Host string
	Port int
	Must bool // TLS is demanded of it, and mail waits where there is none

	// TLS begins a connection and looks how it is secured, whatever the
	// certificate; nil where no TLS is offered.
	TLS func(ctx context.Context) (*tls.ConnectionState, error)
}

// Setup is how mail leaves here.
type Setup struct {
	Relays  []Relay
	Sources []netip.Addr // own addresses that it goes to the receivers from
	Unnamed bool         // it goes to them from an address that the system chooses
	Hello   string       // the name given to them; may be empty
}

// Checker checks the domains of senders.
type Checker struct {
	DNS   dns.Resolver // without a memory: who changed a record wants to see it
	Setup Setup
	Clock func() time.Time // for certificates
	Roots *x509.CertPool   // nil: those of the system
}

// Patience bounds a whole check.
const Patience = 10 * time.Second

// Check looks at everything that receivers will look at, all at once, for at
// most Patience; what gave no answer until then is Unknown. sources are
// addresses that mail is known to come from besides those of the set-up. The
// findings come in the order of the parts.
func (c *Checker) Check(ctx context.Context, s Sender, sources ...netip.Addr) []Finding {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	with := *c
	c, with.DNS = &with, dns.NewCache(c.DNS) // one question is asked once in a check
	own := append(slices.Clone(c.Setup.Sources), sources...)
	for i := range own {
		own[i] = own[i].Unmap()
	}
	slices.SortFunc(own, netip.Addr.Compare)
	own = slices.Compact(own)
	looks := []func() []Finding{
		func() []Finding { return c.checkSPF(ctx, s, own) },
		func() []Finding { return c.checkDKIM(ctx, s) },
		func() []Finding { return c.checkDMARC(ctx, s) },
		func() []Finding { return []Finding{c.checkMX(ctx, s.Domain)} },
	}
	if c.Setup.Unnamed && len(own) == 0 {
		looks = append(looks, func() []Finding { return []Finding{Finding{Part: PTR}.as(Unknown, "mailauth.ptr.unnamed")} })
	}
	for _, ip := range own {
		looks = append(looks, func() []Finding { return []Finding{c.checkPTR(ctx, ip)} })
	}
	for _, r := range c.Setup.Relays {
		looks = append(looks, func() []Finding { return []Finding{c.checkTLS(ctx, r)} })
	}
	return together(looks, func(look func() []Finding) []Finding { return look() })
}

// together looks at all at once, and gives what was found in their order.
func together[T any](all []T, look func(T) []Finding) []Finding {
	found := make([][]Finding, len(all))
	var looks sync.WaitGroup
	for i, one := range all {
		looks.Go(func() { found[i] = look(one) })
	}
	looks.Wait()
	return slices.Concat(found...)
}

// Worst is the state of the whole: that of the finding that is worst off.
func Worst(found []Finding) State {
	worst := OK
	for _, f := range found {
		if slices.Index(severity, f.State) > slices.Index(severity, worst) {
			worst = f.State
		}
	}
	return worst
}

var severity = []State{OK, Unknown, Warning, Missing, Wrong}

// checkDKIM looks at each key's record, and whether the right ones sign.
func (c *Checker) checkDKIM(ctx context.Context, s Sender) []Finding {
	if s.RelaySigns {
		return []Finding{Finding{Part: DKIM, Args: []any{"Domain", s.Domain}}.as(Unknown, "mailauth.dkim.relay")}
	}
	found := together(s.Keys, func(k Key) []Finding {
		f := CheckKey(ctx, c.DNS, k)
		if f.State == Missing && !k.Active {
			f = f.as(Warning, "mailauth.dkim.pending")
		}
		return []Finding{f}
	})
	algorithms := map[string]bool{}
	for _, k := range s.Keys {
		algorithms[k.Algorithm] = algorithms[k.Algorithm] || k.Active
	}
	about := Finding{Part: DKIM, Args: []any{"Domain", s.Domain}}
	switch {
	case !algorithms["rsa"] && !algorithms["ed25519"]:
		found = append(found, about.as(Missing, "mailauth.dkim.none"))
	case !algorithms["rsa"]:
		found = append(found, about.as(Warning, "mailauth.dkim.no-rsa"))
	}
	return found
}

// checkMX looks whether replies and bounces can come back (RFC 5321 §5.1, RFC 7505).
func (c *Checker) checkMX(ctx context.Context, domain string) Finding {
	f := Finding{Part: MX, Args: []any{"Domain", domain}}
	servers, err := c.DNS.LookupMX(ctx, domain)
	if err != nil && !dns.Missing(err) {
		return f.as(Unknown, "mailauth.dns")
	}
	if len(servers) == 0 {
		found, err := c.DNS.LookupNetIP(ctx, "ip", domain)
		switch {
		case err != nil && !dns.Missing(err):
			return f.as(Unknown, "mailauth.dns")
		case len(found) == 0:
			return f.as(Missing, "mailauth.mx.missing")
		}
		return f.as(Warning, "mailauth.mx.no-record")
	}
	unanswered := false
	for _, s := range servers {
		host := strings.TrimSuffix(s.Host, ".")
		f.Found = append(f.Found, host)
		if host == "" {
			f.Found = nil
			return f.as(Wrong, "mailauth.mx.null")
		}
	}
	for _, host := range f.Found[:min(len(f.Found), hostsMax)] {
		found, err := c.DNS.LookupNetIP(ctx, "ip", host)
		if len(found) > 0 {
			return f.as(OK, "mailauth.mx.ok")
		}
		unanswered = unanswered || err != nil && !dns.Missing(err)
	}
	if unanswered {
		return f.as(Unknown, "mailauth.dns")
	}
	return f.as(Wrong, "mailauth.mx.lost")
}

// checkPTR looks whether an address has a name that has the address, which
// large receivers ask for.
func (c *Checker) checkPTR(ctx context.Context, ip netip.Addr) Finding {
	ours := askable(c.Setup.Hello) && slices.Contains(c.Setup.Sources, ip)
	f := Finding{Part: PTR, Args: []any{"Address", ip.String(), "Hello", c.Setup.Hello}}
	if ours {
		f.Record = &Record{Name: reverse(ip), Type: "PTR", Value: c.Setup.Hello + "."}
	}
	if !public(ip) {
		return f.as(Unknown, "mailauth.ptr.private")
	}
	names, err := c.DNS.LookupAddr(ctx, ip.String())
	switch {
	case err != nil && !dns.Missing(err):
		return f.as(Unknown, "mailauth.dns")
	case len(names) == 0:
		return f.as(Missing, "mailauth.ptr.missing")
	}
	confirmed, hello := false, !ours
	for _, name := range names[:min(len(names), hostsMax)] {
		f.Found = append(f.Found, strings.TrimSuffix(name, "."))
		if confirms(ctx, c.DNS, strings.TrimSuffix(name, "."), ip) {
			confirmed = true
			hello = hello || sameName(name, c.Setup.Hello)
		}
	}
	f.Args = append(f.Args, "Name", f.Found[0])
	switch {
	case !confirmed && ctx.Err() != nil:
		return f.as(Unknown, "mailauth.dns")
	case !confirmed:
		return f.as(Wrong, "mailauth.ptr.unconfirmed")
	case !hello:
		return f.as(Warning, "mailauth.ptr.hello")
	}
	return f.as(OK, "mailauth.ptr.ok")
}

// public reports whether the world can be reached from an address.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip)
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// reverse is the name that an address's names stand at (RFC 1035 §3.5, RFC 3596 §2.5).
func reverse(ip netip.Addr) string {
	parts, zone := strings.Split(dotted(ip), "."), ".in-addr.arpa"
	if ip.Is6() {
		zone = ".ip6.arpa"
	}
	slices.Reverse(parts)
	return strings.Join(parts, ".") + zone
}
