package mailauth

import (
	"context"
	"strings"
)

// checkDMARC looks for the policy that holds for From, and whether what SPF and
// DKIM vouch for is the same organization.
func (c *Checker) checkDMARC(ctx context.Context, s Sender) []Finding {
	w, err := walkTree(ctx, c.DNS, s.Domain)
	f := Finding{Part: DMARC, Args: []any{"Domain", s.Domain, "Name", "_dmarc." + s.Domain}}
	if err != nil {
		return []Finding{f.as(Unknown, "mailauth.dns")}
	}
	p, ok := w.holds()
	if len(w.several) > 0 && (!ok || w.several[0] == s.Domain) {
		f.Args = []any{"Name", "_dmarc." + w.several[0]}
		return []Finding{f.as(Wrong, "mailauth.dmarc.several")}
	}
	if !ok {
		f.Found = w.others
		f.Record = &Record{Name: "_dmarc." + s.Domain, Type: "TXT", Value: "v=DMARC1; p=none"}
		return []Finding{f.as(Missing, "mailauth.dmarc.missing")}
	}
	return append(judgePolicy(p, s.Domain), c.checkAlignment(ctx, s, w, p)...)
}

// judgePolicy tells what is odd about a record, or what it asks for.
func judgePolicy(p policy, domain string) []Finding {
	name := "_dmarc." + p.domain
	tidy := &Record{Name: name, Type: "TXT", Value: p.tidied()}
	var found []Finding
	say := func(s State, key string, publish *Record, args ...any) {
		f := Finding{Part: DMARC, Found: []string{p.text}, Args: append([]any{"Name", name}, args...), Record: publish}
		found = append(found, f.as(s, key))
	}
	if len(p.badTags) > 0 {
		say(Warning, "mailauth.dmarc.bad-tags", nil, "Tags", strings.Join(p.badTags, "; "))
	}
	if p.p == "" {
		say(Warning, "mailauth.dmarc.no-policy", tidy)
	}
	if len(p.gone) > 0 {
		say(Warning, "mailauth.dmarc.gone", tidy, "Tags", strings.Join(p.gone, ", "))
	}
	if p.testing {
		say(Warning, "mailauth.dmarc.testing", nil)
	}
	if found == nil {
		say(OK, "mailauth.dmarc.ok", nil, "Policy", p.asks(domain))
	}
	return found
}

// checkAlignment compares the domains that sign, and that of the return path,
// with that of From (RFC 9989 §4.4). One that agrees is enough for DMARC.
func (c *Checker) checkAlignment(ctx context.Context, s Sender, w walk, p policy) []Finding {
	f := Finding{Part: DMARC, Args: []any{"Domain", s.Domain, "ReturnPath", s.returnPath()}}
	bySPF, err := c.aligned(ctx, w, s.returnPath(), p.strictS)
	if err != nil {
		return []Finding{f.as(Unknown, "mailauth.dns")}
	}
	byDKIM, signs := false, s.RelaySigns
	for _, k := range s.Keys {
		if !k.Active || s.RelaySigns {
			continue
		}
		signs = true
		aligned, err := c.aligned(ctx, w, k.Domain, p.strictD)
		if err != nil {
			return []Finding{f.as(Unknown, "mailauth.dns")}
		}
		byDKIM = byDKIM || aligned
	}
	byDKIM = byDKIM || s.RelaySigns // as far as can be seen from here
	switch {
	case !bySPF && !byDKIM:
		return []Finding{f.as(Wrong, "mailauth.dmarc.unaligned")}
	case !bySPF:
		return []Finding{f.as(Warning, "mailauth.dmarc.spf-unaligned")}
	case !byDKIM && signs:
		return []Finding{f.as(Warning, "mailauth.dmarc.dkim-unaligned")}
	}
	return []Finding{f.as(OK, "mailauth.dmarc.aligned")}
}

// aligned reports whether a domain is in alignment with that of the walk.
func (c *Checker) aligned(ctx context.Context, w walk, domain string, strict bool) (bool, error) {
	if sameName(domain, w.from) {
		return true, nil
	}
	if strict {
		return false, nil
	}
	other, err := walkTree(ctx, c.DNS, strings.ToLower(domain))
	return sameName(w.organization(), other.organization()), err
}
