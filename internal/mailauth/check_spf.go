package mailauth

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"assent/internal/dns"
)

// relayHosts is how many addresses of a relay are looked at.
const relayHosts = 4

// checkSPF looks at the record of the return path, through all that it leads
// to, and at what it says of each address that mail comes from.
func (c *Checker) checkSPF(ctx context.Context, s Sender, sources []netip.Addr) []Finding {
	domain := s.returnPath()
	q := newInquiry(ctx, c.DNS, asked{local: s.Local, sender: domain, hello: c.Setup.Hello})
	q.survey = true
	result := q.host(domain, true)
	f := Finding{Part: SPF, Found: q.texts, Args: []any{"Domain", domain, "Terms", q.terms, "Max", termsMax}}
	switch result {
	case SPFTempError:
		return []Finding{f.as(Unknown, "mailauth.dns")}
	case SPFNone:
		f.Record = c.firstSPF(domain, sources)
		return []Finding{f.as(Missing, "mailauth.spf.missing")}
	case SPFPermError:
		f.Args = q.fault.args
		return []Finding{f.as(Wrong, q.fault.key)}
	}
	return slices.Concat(judgeSPF(q, f),
		together(sources, func(ip netip.Addr) []Finding { return c.checkSource(ctx, s, ip, q.texts[0]) }),
		together(c.Setup.Relays, func(r Relay) []Finding { return c.checkRelay(ctx, s, r) }))
}

// judgeSPF judges a record that can be read.
func judgeSPF(q *inquiry, f Finding) []Finding {
	var found []Finding
	switch q.end {
	case SPFPass:
		found = append(found, f.as(Wrong, "mailauth.spf.open"))
	case "", SPFNeutral:
		found = append(found, f.as(Warning, "mailauth.spf.no-end"))
	}
	if q.ptr {
		found = append(found, f.as(Warning, "mailauth.spf.ptr"))
	}
	if found == nil {
		found = append(found, f.as(OK, "mailauth.spf.ok"))
	}
	return found
}

// checkSource asks for one address, as a receiver does.
func (c *Checker) checkSource(ctx context.Context, s Sender, ip netip.Addr, text string) []Finding {
	if !public(ip) {
		return nil // checkPTR says so
	}
	domain := s.returnPath()
	q := newInquiry(ctx, c.DNS, asked{ip: ip, local: s.Local, sender: domain, hello: c.Setup.Hello})
	result := q.host(domain, true)
	f := Finding{Part: SPF, Args: []any{"Domain", domain, "Address", ip.String(), "Result", string(result)}}
	switch result {
	case SPFPass:
		return []Finding{f.as(OK, "mailauth.spf.source-pass")}
	case SPFTempError:
		return []Finding{f.as(Unknown, "mailauth.dns")}
	case SPFPermError:
		f.Args = q.fault.args
		return []Finding{f.as(Wrong, q.fault.key)}
	}
	const version = len("v=spf1")
	f.Record = &Record{Name: domain, Type: "TXT", Value: text[:version] + " " + addressTerm(ip) + text[version:]}
	return []Finding{f.as(Wrong, "mailauth.spf.source-fail")}
}

// checkRelay asks for the addresses that a relay takes mail at. It may send
// from others, so that only one who asks it can say that something is wrong. Of
// a relay on this machine or in its own network nothing can be said.
func (c *Checker) checkRelay(ctx context.Context, s Sender, r Relay) []Finding {
	f := Finding{Part: SPF, Args: []any{"Domain", s.returnPath(), "Relay", r.Host}}
	found, err := c.addressesOf(ctx, r.Host)
	if err != nil {
		return []Finding{f.as(Unknown, "mailauth.dns")}
	}
	found = slices.DeleteFunc(found, func(ip netip.Addr) bool { return !public(ip.Unmap()) })
	if len(found) == 0 {
		return nil
	}
	for _, ip := range found[:min(len(found), relayHosts)] {
		switch CheckSPF(ctx, c.DNS, ip, s.Local, s.returnPath(), r.Host) {
		case SPFPass:
			return []Finding{f.as(OK, "mailauth.spf.relay-pass")}
		case SPFTempError:
			return []Finding{f.as(Unknown, "mailauth.dns")}
		}
	}
	return []Finding{f.as(Warning, "mailauth.spf.relay-fail")}
}

// addressesOf is a host's addresses, or the address that it is.
func (c *Checker) addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	found, err := c.DNS.LookupNetIP(ctx, "ip", host)
	if dns.Missing(err) {
		return nil, nil
	}
	return found, err
}

func addressTerm(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4:" + ip.String()
	}
	return "ip6:" + ip.String()
}

// firstSPF is a record that lets our addresses and relays send; nil where
// there is none to name.
func (c *Checker) firstSPF(domain string, sources []netip.Addr) *Record {
	var terms []string
	for _, ip := range sources {
		if public(ip) {
			terms = append(terms, addressTerm(ip))
		}
	}
	for _, r := range c.Setup.Relays {
		ip, err := netip.ParseAddr(r.Host)
		switch {
		case err == nil && public(ip.Unmap()):
			terms = append(terms, addressTerm(ip.Unmap()))
		case err != nil && askable(r.Host):
			terms = append(terms, "a:"+r.Host)
		}
	}
	if len(terms) == 0 {
		return nil
	}
	return &Record{Name: domain, Type: "TXT", Value: "v=spf1 " + strings.Join(terms, " ") + " ~all"}
}
