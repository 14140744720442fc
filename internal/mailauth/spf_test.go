package mailauth

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The zone of RFC 7208 appendix A.
func rfcZone(record string) *zone {
	return newZone("example.com TXT "+record, "example.com A 192.0.2.10", "example.com A 192.0.2.11",
		"example.com MX mail-a.example.com", "example.com MX mail-b.example.com", "example.org MX mail-c.example.org",
		"amy.example.com A 192.0.2.65", "bob.example.com A 192.0.2.66", "mail-a.example.com A 192.0.2.129", "mail-b.example.com A 192.0.2.130", "mail-c.example.org A 192.0.2.140",
		"192.0.2.10 PTR example.com", "192.0.2.11 PTR example.com", "192.0.2.65 PTR amy.example.com", "192.0.2.66 PTR bob.example.com",
		"192.0.2.129 PTR mail-a.example.com", "192.0.2.130 PTR mail-b.example.com", "192.0.2.140 PTR mail-c.example.org", "10.0.0.4 PTR bob.example.com")
}

func TestTheExamplesOfSPF(t *testing.T) {
	every := []string{"192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130", "192.0.2.140", "10.0.0.4", "192.0.2.141"}
	for record, passes := range map[string]string{
		"v=spf1 +all":                         strings.Join(every, " "),
		"v=spf1 a -all":                       "192.0.2.10 192.0.2.11",
		"v=spf1 a:example.org -all":           "",
		"v=spf1 mx -all":                      "192.0.2.129 192.0.2.130",
		"v=spf1 mx:example.org -all":          "192.0.2.140",
		"v=spf1 mx mx:example.org -all":       "192.0.2.129 192.0.2.130 192.0.2.140",
		"v=spf1 mx/30 mx:example.org/30 -all": "192.0.2.129 192.0.2.130 192.0.2.140 192.0.2.141",
		"v=spf1 ptr -all":                     "192.0.2.10 192.0.2.11 192.0.2.65 192.0.2.66 192.0.2.129 192.0.2.130",
		"v=spf1 ip4:192.0.2.128/28 -all":      "192.0.2.129 192.0.2.130 192.0.2.140 192.0.2.141",
	} {
		for _, ip := range every {
			want := SPFFail
			if slices.Contains(strings.Fields(passes), ip) {
				want = SPFPass
			}
			if got := CheckSPF(t.Context(), rfcZone(record), netip.MustParseAddr(ip), "strong-bad", "example.com", "mail.example.com"); got != want {
				t.Errorf("%s: %s for %s, want %s", record, got, ip, want)
			}
		}
	}
}

func TestSPF(t *testing.T) {
	many := func(n int, format string) []string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return all
	}
	chain := func(n int) []string { // includes one in another, and the last lets everybody in
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("c%d.example TXT v=spf1 include:c%d.example -all", i, i+1))
		}
		return append(all, fmt.Sprintf("c%d.example TXT v=spf1 +all", n))
	}
	for name, x := range map[string]struct {
		record string
		zone   []string
		ip     string
		want   Result
	}{
		"nothing":                   {"", nil, "192.0.2.1", SPFNone},
		"no end":                    {"v=spf1", nil, "192.0.2.1", SPFNeutral},
		"any case":                  {"V=SPF1 IP4:192.0.2.1 -ALL", nil, "192.0.2.1", SPFPass},
		"soft":                      {"v=spf1 ~all", nil, "192.0.2.1", SPFSoftFail},
		"neutral":                   {"v=spf1 ?all", nil, "192.0.2.1", SPFNeutral},
		"mapped":                    {"v=spf1 ip4:192.0.2.1 -all", nil, "::ffff:192.0.2.1", SPFPass},
		"six":                       {"v=spf1 ip6:2001:db8::/32 -all", nil, "2001:db8::1", SPFPass},
		"six is not four":           {"v=spf1 ip4:0.0.0.0/0 -all", nil, "2001:db8::1", SPFFail},
		"a of six":                  {"v=spf1 a:h.example//64 -all", []string{"h.example AAAA 2001:db8::9"}, "2001:db8::1", SPFPass},
		"a with a length":           {"v=spf1 a:h.example/24 -all", []string{"h.example A 192.0.2.9"}, "192.0.2.1", SPFPass},
		"another version":           {"v=spf10 +all", nil, "192.0.2.1", SPFNone},
		"a word that is none":       {"v=spf1 ipv4:192.0.2.1 -all", nil, "192.0.2.1", SPFPermError},
		"wrong after the match":     {"v=spf1 ip4:192.0.2.1 nonsense", nil, "192.0.2.1", SPFPermError},
		"all with more":             {"v=spf1 -all:x.example", nil, "192.0.2.1", SPFPermError},
		"length of 33":              {"v=spf1 a/33 -all", nil, "192.0.2.1", SPFPermError},
		"a zero before":             {"v=spf1 ip4:192.0.2.0/024 -all", nil, "192.0.2.1", SPFPermError},
		"an unknown modifier":       {"v=spf1 ip4:192.0.2.1 moo=%{d} -all", nil, "192.0.2.1", SPFPass},
		"redirect twice":            {"v=spf1 redirect=a.example redirect=a.example", nil, "192.0.2.1", SPFPermError},
		"redirect":                  {"v=spf1 redirect=b.example", []string{"b.example TXT v=spf1 ip4:192.0.2.1 -all"}, "192.0.2.1", SPFPass},
		"redirect to nothing":       {"v=spf1 redirect=b.example", nil, "192.0.2.1", SPFPermError},
		"redirect after all":        {"v=spf1 -all redirect=b.example", nil, "192.0.2.1", SPFFail},
		"include that refuses":      {"v=spf1 include:b.example ~all", []string{"b.example TXT v=spf1 -all"}, "192.0.2.1", SPFSoftFail},
		"include that allows":       {"v=spf1 -include:b.example +all", []string{"b.example TXT v=spf1 ip4:192.0.2.1 -all"}, "192.0.2.1", SPFFail},
		"include of nothing":        {"v=spf1 include:b.example ~all", []string{"b.example TXT hello"}, "192.0.2.1", SPFPermError},
		"include not answered":      {"v=spf1 include:b.example ~all", []string{"b.example FAIL"}, "192.0.2.1", SPFTempError},
		"a not answered":            {"v=spf1 a:b.example ~all", []string{"b.example FAIL"}, "192.0.2.1", SPFTempError},
		"two records":               {"v=spf1 +all", []string{"a.example TXT v=spf1 +all"}, "192.0.2.1", SPFPermError},
		"a text beside":             {"v=spf1 +all", []string{"a.example TXT hello"}, "192.0.2.1", SPFPass},
		"itself":                    {"v=spf1 include:a.example -all", nil, "192.0.2.1", SPFPermError},
		"redirected to itself":      {"v=spf1 redirect=a.example", nil, "192.0.2.1", SPFPermError},
		"two that include another":  {"v=spf1 include:b.example -all", []string{"b.example TXT v=spf1 include:a.example -all"}, "192.0.2.1", SPFPermError},
		"ten includes":              {"v=spf1 include:c0.example -all", chain(9), "192.0.2.1", SPFPass},
		"eleven includes":           {"v=spf1 include:c0.example -all", chain(10), "192.0.2.1", SPFPermError},
		"ten terms":                 {"v=spf1" + strings.Repeat(" a:h.example", 10) + " -all", []string{"h.example A 192.0.2.9"}, "192.0.2.1", SPFFail},
		"eleven terms":              {"v=spf1" + strings.Repeat(" a:h.example", 11) + " -all", []string{"h.example A 192.0.2.9"}, "192.0.2.1", SPFPermError},
		"two voids":                 {"v=spf1 a:x.example mx:y.example -all", nil, "192.0.2.1", SPFFail},
		"three voids":               {"v=spf1 a:x.example mx:y.example exists:z.example -all", nil, "192.0.2.1", SPFPermError},
		"ten servers":               {"v=spf1 mx -all", append(many(10, "a.example MX m%d.example"), "m9.example A 192.0.2.1"), "192.0.2.1", SPFPass},
		"eleven servers":            {"v=spf1 mx -all", append(many(11, "a.example MX m%d.example"), "m9.example A 192.0.2.1"), "192.0.2.1", SPFPermError},
		"null MX":                   {"v=spf1 mx -all", []string{"a.example MX "}, "192.0.2.1", SPFFail},
		"names beyond ten":          {"v=spf1 ptr -all", append(many(10, "192.0.2.1 PTR n%d.example.org"), "192.0.2.1 PTR x.a.example", "x.a.example A 192.0.2.1"), "192.0.2.1", SPFFail},
		"a macro":                   {"v=spf1 exists:%{ir}.%{l1r+}._spf.%{d} -all", []string{"1.2.0.192.ana._spf.a.example A 127.0.0.2"}, "192.0.2.1", SPFPass},
		"the best name":             {"v=spf1 exists:%{p}.x.example -all", []string{"192.0.2.1 PTR other.example", "192.0.2.1 PTR m.a.example", "other.example A 192.0.2.1", "m.a.example A 192.0.2.1", "m.a.example.x.example A 127.0.0.2"}, "192.0.2.1", SPFPass},
		"a capital":                 {"v=spf1 exists:%{S}.x.example -all", []string{"ana%2bb%40a.example.x.example A 127.0.0.2"}, "192.0.2.1", SPFPass},
		"a macro that is none":      {"v=spf1 exists:%{z}.x.example -all", nil, "192.0.2.1", SPFPermError},
		"a macro that is not ended": {"v=spf1 exists:%{d -all", nil, "192.0.2.1", SPFPermError},
		"none of the parts":         {"v=spf1 exists:%{d0}.x.example -all", nil, "192.0.2.1", SPFPermError},
		"a name of numbers":         {"v=spf1 a:111.222.33.44 -all", nil, "192.0.2.1", SPFPermError},
		"bytes":                     {"v=spf1 a:\xff.example -all", nil, "192.0.2.1", SPFPermError},
	} {
		z := newZone(x.zone...)
		if x.record != "" {
			z.add("a.example TXT " + x.record)
		}
		if got := CheckSPF(t.Context(), z, netip.MustParseAddr(x.ip), "ana+b", "a.example", "mail.a.example"); got != x.want {
			t.Errorf("%s: %s, want %s; asked %v", name, got, x.want, z.asked)
		}
	}
	for _, domain := range []string{"", "example", "a..example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example"} {
		z := newZone(domain + " TXT v=spf1 +all")
		if got := CheckSPF(t.Context(), z, netip.MustParseAddr("192.0.2.1"), "ana", domain, "h"); got != SPFNone || len(z.asked) != 0 {
			t.Errorf("%q: %s, asked %v", domain, got, z.asked)
		}
	}
}

// RFC 7208 §7.4.
func TestMacros(t *testing.T) {
	four := asked{ip: netip.MustParseAddr("192.0.2.3"), local: "strong-bad", sender: "email.example.com", hello: "mail.example.com"}
	six := four
	six.ip = netip.MustParseAddr("2001:db8::cb01")
	for s, want := range map[string]string{
		"%{s}": "strong-bad@email.example.com", "%{o}": "email.example.com", "%{d}": "email.example.com", "%{d4}": "email.example.com", "%{d3}": "email.example.com",
		"%{d2}": "example.com", "%{d1}": "com", "%{dr}": "com.example.email", "%{d2r}": "example.email", "%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad",
		"%{lr-}": "bad.strong", "%{l1r-}": "strong", "%{h}": "mail.example.com", "a%%b%_c%-d.example": "a%b c%20d.example",
		"%{ir}.%{v}._spf.%{d2}":             "3.2.0.192.in-addr._spf.example.com",
		"%{lr-}.lp._spf.%{d2}":              "bad.strong.lp._spf.example.com",
		"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}":   "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
		"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}":  "3.2.0.192.in-addr.strong.lp._spf.example.com",
		"%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
	} {
		spec, err := parseSpec(s)
		if err != nil || !spec.domain {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if got := spec.expand(four, "email.example.com"); got != want {
			t.Errorf("%s is %s, want %s", s, got, want)
		}
	}
	spec, err := parseSpec("%{ir}.%{v}._spf.%{d2}")
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.expand(six, "email.example.com"); got != "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com" {
		t.Error(got)
	}
	long, err := parseSpec("%{l}.example")
	if err != nil {
		t.Fatal(err)
	}
	four.local = strings.Repeat("abcdefghi.", 30) + "x"
	if got := long.expand(four, "d.example"); len(got) > nameMax || !strings.HasSuffix(got, "abcdefghi.x.example") || !strings.HasPrefix(got, "abcdefghi.") {
		t.Errorf("cut to %d: %s", len(got), got)
	}
}

// hostile is a DNS in which whoever wants to be asked for ever has written: few
// names, that lead to one another by every means there is.
type hostile struct {
	*zone
	servers int
	wild    bool // every host has an address
}

func (h hostile) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := h.zone.LookupNetIP(ctx, network, host)
	if h.wild {
		return []netip.Addr{netip.MustParseAddr("192.0.2.77")}, nil
	}
	return found, err
}

func (h hostile) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	if _, err := h.zone.LookupMX(ctx, name); err != nil && h.servers == 0 {
		return nil, err
	}
	var all []*net.MX
	for i := range h.servers {
		all = append(all, &net.MX{Host: fmt.Sprintf("m%d.%s", i, name)})
	}
	return all, nil
}

func (h hostile) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	_, _ = h.zone.LookupAddr(ctx, addr)
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("n%d.a.example.", i))
	}
	return all, nil
}

func TestNoRecordAsksForMoreThanIsAllowed(t *testing.T) {
	names := []string{"a.example", "b.example", "c.example", "x.y.a.example"}
	rapid.Check(t, func(t *rapid.T) {
		z := hostile{newZone(), rapid.IntRange(0, 12).Draw(t, "servers"), rapid.Bool().Draw(t, "wild")}
		term := rapid.Custom(func(t *rapid.T) string {
			kind := rapid.SampledFrom([]string{"include:%s", "redirect=%s", "a:%s", "mx:%s", "ptr:%s", "exists:%s", "exists:%%{p}.%s", "a:%%{p}.%%{p}.%%{p}.%s", "?include:%s", "exp=%s", "ip4:192.0.2.9", "a", "mx/0//0", "include:%%{d}", "-all"}).Draw(t, "kind")
			if strings.Contains(kind, "%s") {
				return fmt.Sprintf(kind, rapid.SampledFrom(names).Draw(t, "to"))
			}
			return strings.ReplaceAll(kind, "%%", "%")
		})
		for _, name := range names {
			for range rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(t, "records") {
				z.add(name + " TXT v=spf1 " + strings.Join(rapid.SliceOfN(term, 0, 15).Draw(t, "terms"), " "))
			}
			if rapid.Bool().Draw(t, "host") {
				z.add(name + " A 192.0.2.77")
			}
		}
		CheckSPF(context.Background(), z, netip.MustParseAddr("192.0.2.1"), "ana", "a.example", "h.example")
		if n := len(z.asked); n > 122 {
			t.Fatalf("%d questions: %v", n, z.asked)
		}
		z.asked = nil
		q := newInquiry(context.Background(), z, asked{local: "ana", sender: "a.example"})
		q.survey = true
		q.host("a.example", true)
		if n := len(z.asked); n > 122 {
			t.Fatalf("%d questions of a survey: %v", n, z.asked)
		}
	})
}

// Names of an address are looked up once, however many macros want them.
func TestNamesAreAskedForOnce(t *testing.T) {
	z := hostile{newZone("a.example TXT v=spf1" + strings.Repeat(" a:%{p}.%{p}.%{p}.b.example", 10) + " -all"), 0, true}
	if got := CheckSPF(t.Context(), z, netip.MustParseAddr("192.0.2.1"), "ana", "a.example", "h.example"); got != SPFFail || len(z.asked) > 1+1+hostsMax+10 {
		t.Errorf("%s after %d questions", got, len(z.asked))
	}
}

func FuzzParseSPF(f *testing.F) {
	for _, s := range []string{"v=spf1 mx/30 mx:example.org/30//64 -all", "v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d} -all", "v=spf1 redirect=_spf.example.com exp=e.%{d}", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
		"V=SPF1", "v=spf1 a:/24", "v=spf1 %", "v=spf1 a=b:c/d", "v=spf1 ptr:%{d2", "v=spf1 mx:a.b/", "v=spf1 -"} {
		f.Add(s)
	}
	who := asked{ip: netip.MustParseAddr("2001:db8::1"), local: "a", sender: "b.example", named: func(string) string { return "unknown" }}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseSPF(s)
		if err != nil {
			return
		}
		specs := []*domainSpec{r.redirect}
		for _, m := range r.mechanisms {
			specs = append(specs, m.domain)
			if m.bits4 < 0 || m.bits4 > 32 || m.bits6 < 0 || m.bits6 > 128 || m.result == "" {
				t.Errorf("%q has %+v", s, m)
			}
		}
		for _, spec := range specs {
			if name := spec.expand(who, "b.example"); askable(name) && len(name) > nameMax {
				t.Errorf("%q asks for a name of %d", s, len(name))
			}
		}
		// An address is looked up in no more than the record's own terms.
		z := newZone("b.example TXT " + s)
		CheckSPF(t.Context(), z, who.ip, "a", "b.example", "h")
		if len(z.asked) > 122 {
			t.Errorf("%q asks %d questions", s, len(z.asked))
		}
	})
}
