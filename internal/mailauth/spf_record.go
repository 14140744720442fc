package mailauth

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Result is what SPF says of an address (RFC 7208 §2.6).
type Result string

// The results.
const (
	SPFNone      Result = "none" // no record
	SPFPass      Result = "pass"
	SPFFail      Result = "fail"
	SPFSoftFail  Result = "softfail"
	SPFNeutral   Result = "neutral"
	SPFTempError Result = "temperror" // the DNS did not answer
	SPFPermError Result = "permerror" // a record cannot be understood, or asks for too much
)

// spfRecord is an SPF record, read.
type spfRecord struct {
	mechanisms []mechanism
	redirect   *domainSpec
}

// mechanism is one of a record's, in order.
type mechanism struct {
	kind   string // all, include, a, mx, ptr, ip4, ip6, exists
	result Result // of who matches
	domain *domainSpec
	net    netip.Prefix // ip4, ip6
	bits4  int          // a, mx: how much of an address must agree
	bits6  int
}

// badTerm is the part of a record that cannot be read.
type badTerm string

func (b badTerm) Error() string { return "cannot read " + strconv.Quote(string(b)) }

// isSPF tells an SPF record from other texts (RFC 7208 §4.5).
func isSPF(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) && (len(txt) == len(version) || txt[len(version)] == ' ')
}

// parseSPF reads a record (RFC 7208 §4.6.1). One wrong term makes all of it
// wrong; the error is that badTerm.
func parseSPF(txt string) (spfRecord, error) {
	var r spfRecord
	if !isSPF(txt) {
		return r, badTerm(txt)
	}
	seen := map[string]bool{}
	for term := range strings.SplitSeq(txt[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		if name, value, ok := modifier(term); ok {
			name = strings.ToLower(name)
			spec, err := parseSpec(value)
			if name == "redirect" || name == "exp" {
				if err != nil || !spec.domain || seen[name] {
					return r, badTerm(term)
				}
				seen[name] = true
			}
			if err != nil {
				return r, badTerm(term)
			}
			if name == "redirect" {
				r.redirect = spec
			}
			continue
		}
		m, ok := parseMechanism(term)
		if !ok {
			return r, badTerm(term)
		}
		r.mechanisms = append(r.mechanisms, m)
	}
	return r, nil
}

// modifier splits name=value; a mechanism has its colon or slash first.
func modifier(term string) (name, value string, ok bool) {
	i := strings.IndexAny(term, "=:/")
	if i <= 0 || term[i] != '=' || !letter(term[0]) {
		return "", "", false
	}
	for _, c := range []byte(term[:i]) {
		if !letter(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return term[:i], term[i+1:], true
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

var qualifiers = map[byte]Result{'+': SPFPass, '-': SPFFail, '~': SPFSoftFail, '?': SPFNeutral}

func parseMechanism(term string) (m mechanism, ok bool) {
	m = mechanism{result: SPFPass, bits4: 32, bits6: 128}
	if q, ok := qualifiers[term[0]]; ok {
		m.result, term = q, term[1:]
	}
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	m.kind = strings.ToLower(term[:end])
	rest := term[end:]
	switch m.kind {
	case "all":
		return m, rest == ""
	case "ip4", "ip6":
		m.net, ok = parseNetwork(m.kind, rest)
		return m, ok
	case "a", "mx":
		if rest, m.bits4, m.bits6, ok = cutBits(rest); !ok {
			return m, false
		}
	case "ptr", "include", "exists":
	default:
		return m, false
	}
	if rest == "" {
		return m, m.kind != "include" && m.kind != "exists"
	}
	if rest[0] != ':' {
		return m, false
	}
	spec, err := parseSpec(rest[1:])
	m.domain = spec
	return m, err == nil && spec.domain
}

var bitsForm = regexp.MustCompile(`^(.*?)(?:/([0-9]+))?(?://([0-9]+))?$`)

// cutBits takes the lengths of the dual-cidr (RFC 7208 §5.3) off the end.
func cutBits(s string) (rest string, bits4, bits6 int, ok bool) {
	parts := bitsForm.FindStringSubmatch(s)
	if parts == nil {
		return s, 0, 0, false
	}
	bits4, ok4 := prefixLength(parts[2], 32)
	bits6, ok6 := prefixLength(parts[3], 128)
	return parts[1], bits4, bits6, ok4 && ok6
}

// prefixLength reads a number without a leading zero; most, where there is none.
func prefixLength(s string, most int) (int, bool) {
	if s == "" {
		return most, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most && (len(s) == 1 || s[0] != '0')
}

func parseNetwork(kind, s string) (netip.Prefix, bool) {
	s, ok := strings.CutPrefix(s, ":")
	text, length, sliced := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if !ok || err != nil || addr.Zone() != "" || addr.Is4() != (kind == "ip4") {
		return netip.Prefix{}, false
	}
	bits, good := prefixLength(length, addr.BitLen())
	if !good || sliced && length == "" {
		return netip.Prefix{}, false
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}

// domainSpec is a name with macros in it (RFC 7208 §7).
type domainSpec struct {
	parts  []macro
	domain bool // ends as a name does, and so is fit to be one
}

// macro is a piece of text, or what stands for one.
type macro struct {
	text    string // where letter is 0
	letter  byte   // small
	escape  bool   // it was a capital
	keep    int    // so many parts from the right; 0 is all
	reverse bool
	delims  string
}

// fixed is the name where it has no macros.
func (d *domainSpec) fixed() (string, bool) {
	if d == nil || len(d.parts) != 1 || d.parts[0].letter != 0 {
		return "", false
	}
	return strings.TrimSuffix(d.parts[0].text, "."), true
}

var macroForm = regexp.MustCompile(`^%\{([slodiphvSLODIPHV])([0-9]*)([rR]?)([.\-+,/_=]*)\}`)

// parseSpec reads a macro-string; domain tells whether it is a domain-spec too.
func parseSpec(s string) (*domainSpec, error) {
	d, rest, literal := &domainSpec{}, s, ""
	flush := func() {
		if literal != "" {
			d.parts = append(d.parts, macro{text: literal})
			literal = ""
		}
	}
	endsInMacro := false
	for rest != "" {
		c := rest[0]
		if c != '%' {
			if c < '!' || c > '~' {
				return nil, badTerm(s)
			}
			literal, rest, endsInMacro = literal+rest[:1], rest[1:], false
			continue
		}
		endsInMacro = true
		if len(rest) > 1 && strings.IndexByte("%_-", rest[1]) >= 0 {
			literal += map[byte]string{'%': "%", '_': " ", '-': "%20"}[rest[1]]
			rest = rest[2:]
			continue
		}
		m := macroForm.FindStringSubmatch(rest)
		if m == nil {
			return nil, badTerm(s)
		}
		keep, err := strconv.Atoi("0" + m[2])
		if err != nil || keep == 0 && m[2] != "" {
			return nil, badTerm(s)
		}
		flush()
		lower := strings.ToLower(m[1])
		d.parts = append(d.parts, macro{letter: lower[0], escape: lower != m[1], keep: keep, reverse: m[3] != "", delims: m[4]})
		rest = rest[len(m[0]):]
	}
	d.domain = endsInMacro || topLevel(literal)
	flush()
	return d, nil
}

var topLevelForm = regexp.MustCompile(`\.(?:[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*|[0-9A-Za-z]+-[0-9A-Za-z-]*[0-9A-Za-z])\.?$`)

// topLevel is the domain-end of RFC 7208 §7.1.
func topLevel(literal string) bool { return topLevelForm.MatchString(literal) }

// asked is who SPF is asked about.
type asked struct {
	ip     netip.Addr
	local  string // part of the sender before the @
	sender string // its domain
	hello  string // the name given in EHLO

	named func(domain string) string // the address's name, best of those that confirm it; "unknown" without
}

const nameMax = 253

// expand fills the macros in for a domain (RFC 7208 §7.3).
func (d *domainSpec) expand(a asked, domain string) string {
	if d == nil {
		return domain
	}
	var b strings.Builder
	for _, m := range d.parts {
		b.WriteString(m.value(a, domain))
	}
	name := strings.TrimSuffix(b.String(), ".")
	for len(name) > nameMax {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

func (m macro) value(a asked, domain string) string {
	var s string
	switch m.letter {
	case 0:
		return m.text
	case 's':
		s = a.local + "@" + a.sender
	case 'l':
		s = a.local
	case 'o':
		s = a.sender
	case 'd':
		s = domain
	case 'i':
		s = dotted(a.ip)
	case 'p':
		s = a.named(domain)
	case 'v':
		s = "in-addr"
		if a.ip.Is6() {
			s = "ip6"
		}
	case 'h':
		s = a.hello
	}
	delims := m.delims
	if delims == "" {
		delims = "."
	}
	parts := strings.Split(strings.Map(func(r rune) rune {
		if strings.ContainsRune(delims, r) {
			return 0
		}
		return r
	}, s), "\x00")
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	s = strings.Join(parts, ".")
	if m.escape {
		s = escaped(s)
	}
	return s
}

// dotted is an address as macros have it: IPv6 as 32 nibbles.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789abcdef"
	raw := ip.As16()
	out := make([]byte, 0, 63)
	for i, b := range raw {
		if i > 0 {
			out = append(out, '.')
		}
		out = append(out, hex[b>>4], '.', hex[b&15])
	}
	return string(out)
}

// escaped is RFC 3986 §2.1 for all but its unreserved characters.
func escaped(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if letter(c) || digit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
