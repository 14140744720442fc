package mailauth

import (
	"context"
	"slices"
	"strings"

	"assent/internal/dns"
)

// policy is a DMARC policy record, read.
type policy struct {
	domain string // where it stands
	text   string

	p, sp   string // none, quarantine, reject; empty: not there
	psd     string // y, n, u
	strictD bool   // adkim=s
	strictS bool   // aspf=s
	testing bool   // t=y
	badTags []string
	gone    []string // tags of RFC 7489 that RFC 9989 has done away with
}

// parseDMARC reads a record (RFC 9989 §4.7). Texts that do not begin with the
// version are none. Unknown tags are passed over, broken ones are noted and
// count for nothing.
func parseDMARC(txt string) (policy, bool) {
	parts := strings.Split(txt, ";")
	name, version, _ := strings.Cut(parts[0], "=")
	if strings.Trim(name, blank) != "v" || strings.Trim(version, blank) != "DMARC1" {
		return policy{}, false
	}
	r := policy{text: txt, psd: "u"}
	seen := map[string]bool{"v": true}
	for _, part := range parts[1:] {
		if strings.Trim(part, blank) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.Trim(name, blank)), strings.Trim(value, blank)
		if !ok || !tagName(name) || seen[name] || !tagValue(value) {
			r.badTags = append(r.badTags, strings.Trim(part, blank))
			continue
		}
		seen[name] = true
		r.take(name, strings.ToLower(value))
	}
	return r, true
}

const blank = " \t"

// take puts one tag where it belongs.
func (r *policy) take(name, value string) {
	one := func(field *string, choices ...string) {
		if slices.Contains(choices, value) {
			*field = value
			return
		}
		r.badTags = append(r.badTags, name+"="+value)
	}
	strict := func(field *bool) {
		word := "r"
		one(&word, "r", "s")
		*field = word == "s"
	}
	switch name {
	case "p":
		one(&r.p, "none", "quarantine", "reject")
	case "sp":
		one(&r.sp, "none", "quarantine", "reject")
	case "psd":
		one(&r.psd, "y", "n", "u")
	case "adkim":
		strict(&r.strictD)
	case "aspf":
		strict(&r.strictS)
	case "t":
		word := "n"
		one(&word, "y", "n")
		r.testing = word == "y"
	case "pct", "rf", "ri":
		r.gone = append(r.gone, name)
	}
}

// asks is what the record asks to be done with mail of the domain that fails.
func (r policy) asks(domain string) string {
	if r.sp != "" && !sameName(domain, r.domain) {
		return r.sp
	}
	if r.p == "" {
		return "none" // RFC 9989 §4.7
	}
	return r.p
}

// tidied is the record with a policy, and without the tags that are gone.
func (r policy) tidied() string {
	all := []string{"v=DMARC1"}
	if r.p == "" {
		all = append(all, "p=none")
	}
	for _, part := range strings.Split(r.text, ";")[1:] {
		part = strings.Trim(part, blank)
		name, _, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.Trim(name, blank))
		if part == "" || slices.Contains(r.gone, name) || name == "p" && r.p == "" {
			continue
		}
		all = append(all, part)
	}
	return strings.Join(all, "; ")
}

// walkMax is the most questions of one walk up the tree (RFC 9989 §4.10).
const walkMax = 8

// steps are the names that a walk asks for: the domain, then what is left of it
// without its first label, and so on to the last; of a long one first all but
// the last seven labels are taken off.
func steps(domain string) []string {
	labels := strings.Split(domain, ".")
	all := []string{domain}
	for rest := labels[min(1, len(labels)):]; len(rest) > 0; rest = rest[1:] {
		if len(rest) >= walkMax {
			continue
		}
		all = append(all, strings.Join(rest, "."))
	}
	return all
}

// walk is what a walk up the tree found.
type walk struct {
	from     string
	policies []policy // from the longest name to the shortest
	several  []string // names with more than one record: none of them counts
	others   []string // texts at the first name that are no DMARC records
}

// walkTree asks for the policies that may hold for a domain. An answer that did
// not come ends it with an error.
func walkTree(ctx context.Context, r dns.Resolver, domain string) (walk, error) {
	w := walk{from: domain}
	for i, name := range steps(domain) {
		found, err := r.LookupTXT(ctx, "_dmarc."+name)
		if err != nil && !dns.Missing(err) {
			return w, err
		}
		var here []policy
		for _, txt := range found {
			if p, ok := parseDMARC(txt); ok {
				p.domain = name
				here = append(here, p)
			} else if i == 0 {
				w.others = append(w.others, txt)
			}
		}
		switch {
		case len(here) > 1:
			w.several = append(w.several, name)
		case len(here) == 1:
			w.policies = append(w.policies, here[0])
			if here[0].psd == "n" || here[0].psd == "y" && i > 0 {
				return w, nil
			}
		}
	}
	return w, nil
}

// organization is the organizational domain (RFC 9989 §4.10.2).
func (w walk) organization() string {
	for _, p := range w.policies {
		if p.psd == "n" {
			return p.domain
		}
		if p.psd == "y" && p.domain != w.from {
			return oneBelow(w.from, p.domain)
		}
	}
	if n := len(w.policies); n > 0 {
		return w.policies[n-1].domain
	}
	return w.from
}

// oneBelow is the part of a name with one label more than a domain above it.
func oneBelow(name, domain string) string {
	left := strings.TrimSuffix(name, "."+domain)
	return left[strings.LastIndexByte(left, '.')+1:] + "." + domain
}

// holds is the policy that holds for the domain: its own, else that of its
// organization, else that of the public suffix (RFC 9989 §4.10.1).
func (w walk) holds() (policy, bool) {
	organization := w.organization()
	for _, name := range []string{w.from, organization} {
		for _, p := range w.policies {
			if p.domain == name {
				return p, true
			}
		}
	}
	if n := len(w.policies); n > 0 && w.policies[n-1].psd == "y" {
		return w.policies[n-1], true
	}
	return policy{}, false
}

// sameName compares names without case and the last dot (RFC 4343).
func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
