package mailauth

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"assent/internal/dns"
)

const (
	termsMax = 10 // include, a, mx, ptr, exists and redirect, in all (RFC 7208 §4.6.4)
	voidMax  = 2  // of their questions that were answered by nothing
	hostsMax = 10 // servers of one mx, names of one ptr
)

// fault is why a result is permerror, as the catalogue says it.
type fault struct {
	key  string // mailauth.spf.…
	args []any
}

// inquiry is one run of SPF's check_host() (RFC 7208 §4): its counters hold
// over all the records that the first one leads to.
type inquiry struct {
	ctx context.Context
	dns dns.Resolver
	asked

	// survey goes through everything that any address could lead to, without
	// an address: nothing matches. What depends on the address is only counted.
	survey bool

	terms, voids int
	fault        fault
	end          Result // of the outermost all; "" where there is none
	ptr          bool   // a record uses ptr

	names func() []string // of the address, which have it
	texts []string        // the records of the first domain
}

// CheckSPF says what SPF says of mail from the address for local@domain, after
// EHLO hello (RFC 7208 §4). It asks at most 122 questions: for the record, for
// ten terms with ten servers each, and for the names of the address.
func CheckSPF(ctx context.Context, r dns.Resolver, ip netip.Addr, local, domain, hello string) Result {
	return newInquiry(ctx, r, asked{ip: ip.Unmap(), local: local, sender: domain, hello: hello}).host(domain, true)
}

func newInquiry(ctx context.Context, r dns.Resolver, about asked) *inquiry {
	q := &inquiry{ctx: ctx, dns: r, asked: about}
	q.names = sync.OnceValue(q.confirmed)
	q.named = q.bestName
	return q
}

// permanent notes the first reason for a permerror.
func (q *inquiry) permanent(key string, args ...any) Result {
	if q.fault.key == "" {
		q.fault = fault{key, args}
	}
	return SPFPermError
}

// record finds a domain's SPF record; a result other than "" is that of the whole.
func (q *inquiry) record(domain string) (spfRecord, Result) {
	if !askable(domain) {
		return spfRecord{}, SPFNone
	}
	found, err := q.dns.LookupTXT(q.ctx, domain)
	if err != nil && !dns.Missing(err) {
		return spfRecord{}, SPFTempError
	}
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !isSPF(s) })
	if q.texts == nil {
		q.texts = append([]string{}, found...)
	}
	switch {
	case len(found) == 0:
		return spfRecord{}, SPFNone
	case len(found) > 1:
		return spfRecord{}, q.permanent("mailauth.spf.several", "Domain", domain)
	}
	r, err := parseSPF(found[0])
	if err != nil {
		term, _ := err.(badTerm)
		return r, q.permanent("mailauth.spf.unreadable", "Domain", domain, "Term", string(term))
	}
	return r, ""
}

// askable is a name that RFC 7208 §4.3 lets be looked up: more than one label,
// none of them empty or too long.
func askable(name string) bool {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(name) > nameMax+1 || len(labels) < 2 {
		return false
	}
	return !slices.ContainsFunc(labels, func(l string) bool { return l == "" || len(l) > 63 })
}

// host is check_host() for one domain; outermost tells whether it speaks for
// the whole, and not for an include.
func (q *inquiry) host(domain string, outermost bool) Result {
	r, result := q.record(domain)
	if result != "" {
		return result
	}
	for _, m := range r.mechanisms {
		if m.kind == "all" {
			if outermost {
				q.end = m.result
			}
			return m.result
		}
		matches, result := q.match(m, domain)
		if result != "" {
			return result
		}
		if matches {
			if outermost && q.survey {
				q.end = m.result // an include that lets everybody in
			}
			return m.result
		}
	}
	if r.redirect == nil {
		return SPFNeutral
	}
	if !q.count() {
		return SPFPermError
	}
	if _, fixed := r.redirect.fixed(); q.survey && !fixed {
		q.end = SPFFail // somewhere that depends on the address
		return SPFNeutral
	}
	to := r.redirect.expand(q.asked, domain)
	if result = q.host(to, outermost); result == SPFNone {
		return q.permanent("mailauth.spf.include-missing", "Domain", to)
	}
	return result
}

// count takes one of the terms that may be looked up.
func (q *inquiry) count() bool {
	if q.terms++; q.terms > termsMax {
		q.permanent("mailauth.spf.too-many", "Max", termsMax)
		return false
	}
	return true
}

// match asks one mechanism; a result other than "" ends the whole.
func (q *inquiry) match(m mechanism, domain string) (bool, Result) {
	if m.kind == "ip4" || m.kind == "ip6" {
		return !q.survey && m.net.Contains(q.ip), ""
	}
	if !q.count() {
		return false, SPFPermError
	}
	q.ptr = q.ptr || m.kind == "ptr"
	if _, fixed := m.domain.fixed(); q.survey && (m.domain != nil && !fixed || m.kind == "ptr") {
		return false, ""
	}
	name := m.domain.expand(q.asked, domain)
	switch m.kind {
	case "include":
		return q.include(name)
	case "a":
		return q.hasAddress(name, m)
	case "mx":
		return q.hasMX(name, m)
	case "ptr":
		return q.hasName(name), ""
	}
	found, result := q.addresses("ip4", name) // exists
	return len(found) > 0 && !q.survey, result
}

func (q *inquiry) include(name string) (bool, Result) {
	switch result := q.host(name, false); result {
	case SPFPass:
		return true, ""
	case SPFTempError, SPFPermError:
		return false, result
	case SPFNone:
		return false, q.permanent("mailauth.spf.include-missing", "Domain", name)
	}
	return false, ""
}

// network is the kind of address that is asked for.
func (q *inquiry) network() string {
	switch {
	case q.survey:
		return "ip"
	case q.ip.Is4():
		return "ip4"
	}
	return "ip6"
}

// addresses looks a host up, and counts where there is nothing (RFC 7208 §4.6.4).
func (q *inquiry) addresses(network, name string) ([]netip.Addr, Result) {
	if !askable(name) {
		return nil, ""
	}
	found, err := q.dns.LookupNetIP(q.ctx, network, name)
	if err != nil && !dns.Missing(err) {
		return nil, SPFTempError
	}
	if len(found) == 0 {
		return nil, q.void(name)
	}
	return found, ""
}

func (q *inquiry) void(name string) Result {
	if q.voids++; q.voids > voidMax {
		return q.permanent("mailauth.spf.void", "Max", voidMax, "Name", name)
	}
	return ""
}

func (q *inquiry) hasAddress(name string, m mechanism) (bool, Result) {
	found, result := q.addresses(q.network(), name)
	return q.within(found, m), result
}

// within reports whether the address agrees with one of those found, as far as
// the mechanism wants.
func (q *inquiry) within(found []netip.Addr, m mechanism) bool {
	if q.survey {
		return false
	}
	bits := m.bits4
	if q.ip.Is6() {
		bits = m.bits6
	}
	return slices.ContainsFunc(found, func(a netip.Addr) bool {
		p, err := a.Unmap().Prefix(bits)
		return err == nil && p.Contains(q.ip)
	})
}

func (q *inquiry) hasMX(name string, m mechanism) (bool, Result) {
	if !askable(name) {
		return false, ""
	}
	servers, err := q.dns.LookupMX(q.ctx, name)
	if err != nil && !dns.Missing(err) {
		return false, SPFTempError
	}
	if len(servers) == 0 {
		return false, q.void(name)
	}
	if len(servers) > hostsMax {
		return false, q.permanent("mailauth.spf.many-mx", "Domain", name, "Max", hostsMax)
	}
	if q.survey {
		return false, ""
	}
	for _, s := range servers {
		host := strings.TrimSuffix(s.Host, ".")
		if !askable(host) {
			continue
		}
		found, err := q.dns.LookupNetIP(q.ctx, q.network(), host)
		if err != nil && !dns.Missing(err) {
			return false, SPFTempError
		}
		if q.within(found, m) {
			return true, ""
		}
	}
	return false, ""
}

// hasName is the ptr mechanism (RFC 7208 §5.5).
func (q *inquiry) hasName(domain string) bool {
	return slices.ContainsFunc(q.names(), func(name string) bool { return below(name, domain) })
}

// confirmed are the names of the address that have it. No failure of the DNS counts.
func (q *inquiry) confirmed() []string {
	names, err := q.dns.LookupAddr(q.ctx, q.ip.String())
	if err != nil {
		return nil
	}
	var all []string
	for _, name := range names[:min(len(names), hostsMax)] {
		name = strings.TrimSuffix(name, ".")
		if confirms(q.ctx, q.dns, name, q.ip) {
			all = append(all, name)
		}
	}
	return all
}

// bestName is what %{p} stands for: the domain itself, else a name in it, else any.
func (q *inquiry) bestName(domain string) string {
	best := "unknown"
	for _, name := range q.names() {
		switch {
		case strings.EqualFold(name, domain):
			return name
		case below(name, domain) && !below(best, domain), best == "unknown":
			best = name
		}
	}
	return best
}

// below is the domain or a name in it.
func below(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// confirms reports whether a name of an address has that address.
func confirms(ctx context.Context, r dns.Resolver, name string, ip netip.Addr) bool {
	if !askable(name) {
		return false
	}
	network := "ip6"
	if ip.Is4() {
		network = "ip4"
	}
	found, err := r.LookupNetIP(ctx, network, name)
	return err == nil && slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap() == ip })
}
