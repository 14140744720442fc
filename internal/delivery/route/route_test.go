package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"assent/internal/delivery/provider"
	"assent/internal/dns"
	"assent/internal/testkit"
)

func finder(t testing.TB, zone *testkit.NameServer, change ...func(*Options)) *Finder {
	t.Helper()
	providers, err := provider.Load("")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{DNS: dns.New(zone.Addr), Providers: providers}
	for _, c := range change {
		c(&o)
	}
	f := New(o)
	clear(f.own) // whatever this machine's are
	return f
}

func targets(t testing.TB, f *Finder, domain string) (to []string, err error) {
	t.Helper()
	r, err := f.Find(t.Context(), domain)
	if err != nil {
		return nil, err
	}
	for target, err := range f.Targets(t.Context(), r) {
		if err != nil {
			return to, err
		}
		to = append(to, target.Host+" "+target.Addr.String())
	}
	return to, nil
}

func TestRoutes(t *testing.T) {
	zone := testkit.DNS(t)
	zone.Host("mx1.test", "192.0.2.1", "2001:db8::1")
	zone.Host("mx2.test", "192.0.2.2", "192.0.2.22")
	zone.Host("gmail-smtp-in.l.google.com", "192.0.2.9")
	zone.MX("ordered.test", "20 mx2.test", "10 MX1.test")
	zone.Host("ordered.test", "192.0.2.99") // an address beside the MX counts for nothing
	zone.Host("plain.test", "192.0.2.3")
	zone.MX("gmail.com", "5 gmail-smtp-in.l.google.com", "10 mx1.test")
	zone.MX("null.test", "0 .")
	zone.Host("null.test", "192.0.2.99")
	zone.MX("half.test", "5 gone.test", "10 mx1.test")
	zone.MX("gone-mx.test", "5 gone.test")
	zone.Host("gone-mx.test", "192.0.2.99") // no way round an MX that is there (RFC 5321 §5.1)
	zone.MX("broken-mx.test", "5 broken.test")
	zone.Break("broken.test")
	zone.TXT("text.test", "no mail here")
	zone.MX("byaddress.test", "10 192.0.2.4")
	f := finder(t, zone)

	for domain, want := range map[string]struct {
		to     string
		group  string
		fails  string // the beginning of the failure
		suffix string
	}{
		"ordered.test":       {to: "mx1.test 192.0.2.1:25, mx1.test [2001:db8::1]:25, mx2.test 192.0.2.2:25, mx2.test 192.0.2.22:25", group: "mx1.test+1~"},
		"ORDERED.test.":      {to: "mx1.test 192.0.2.1:25, mx1.test [2001:db8::1]:25, mx2.test 192.0.2.2:25, mx2.test 192.0.2.22:25", group: "mx1.test+1~"},
		"plain.test":         {to: "plain.test 192.0.2.3:25", group: "plain.test"},
		"gmail.com":          {to: "gmail-smtp-in.l.google.com 192.0.2.9:25, mx1.test 192.0.2.1:25, mx1.test [2001:db8::1]:25", group: "google"},
		"half.test":          {to: "mx1.test 192.0.2.1:25, mx1.test [2001:db8::1]:25", group: "gone.test+1~"},
		"byaddress.test":     {to: "192.0.2.4 192.0.2.4:25", group: "192.0.2.4"},
		"[192.0.2.5]":        {to: "192.0.2.5 192.0.2.5:25", group: "192.0.2.5"},
		"[IPv6:2001:db8::5]": {to: "2001:db8::5 [2001:db8::5]:25", group: "2001:db8::5"},
		"null.test":          {fails: "556 5.1.10 "},
		"nothing.test":       {fails: "550 5.1.2 "},
		"text.test":          {fails: "550 5.1.2 "},
		"broken.test":        {fails: "451 4.4.3 "},
		"broken-mx.test":     {fails: "451 4.4.3 "},
		"gone-mx.test":       {fails: "451 4.4.4 "},
		"[192.0.2.5":         {fails: "553 5.1.3 "},
		"[2001:db8::5]":      {fails: "553 5.1.3 "},
		"[ipv6:192.0.2.5]":   {fails: "553 5.1.3 "},
		"[]":                 {fails: "553 5.1.3 "},
		"[localhost]":        {fails: "553 5.1.3 "},
	} {
		to, err := targets(t, f, domain)
		if got := strings.Join(to, ", "); got != want.to {
			t.Errorf("%s goes to %s, want %s", domain, got, want.to)
		}
		var failure *Failure
		if (err != nil) != (want.fails != "") || err != nil && (!strings.HasPrefix(err.Error(), want.fails) || !errors.As(err, &failure) || failure.Permanent() != (want.fails[0] == '5')) {
			t.Errorf("%s: %v, want %s", domain, err, want.fails)
		}
		if r, err := f.Find(t.Context(), domain); err == nil && want.group != "" && !strings.HasPrefix(r.Group, want.group) {
			t.Errorf("%s is in group %q, want %s", domain, r.Group, want.group)
		}
	}
}

// TestGroups sees who shares limits and connections, and who does not.
func TestGroups(t *testing.T) {
	zone := testkit.DNS(t)
	zone.MX("one.test", "10 a.mx.test", "20 b.mx.test")
	zone.MX("two.test", "5 b.mx.test", "5 a.mx.test") // the same hosts, in another order
	zone.MX("three.test", "10 a.mx.test")
	zone.MX("four.test", "10 a.mx.test", "20 b.mx.test", "30 c.mx.test")
	zone.MX("gmail.com", "5 gmail-smtp-in.l.google.com")
	zone.MX("workspace.test", "1 aspmx.l.google.com", "5 alt1.aspmx.l.google.com")
	zone.MX("eu.test", "10 eu-smtp-inbound-1.mimecast.com", "10 eu-smtp-inbound-2.mimecast.com")
	zone.MX("eu2.test", "10 eu-smtp-inbound-2.mimecast.com", "10 eu-smtp-inbound-1.mimecast.com")
	zone.MX("us.test", "10 us-smtp-inbound-1.mimecast.com", "10 us-smtp-inbound-2.mimecast.com")
	f := finder(t, zone)
	group := func(domain string) Route {
		r, err := f.Find(t.Context(), domain)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, same := range [][2]string{{"gmail.com", "workspace.test"}, {"eu.test", "eu2.test"}} {
		if a, b := group(same[0]), group(same[1]); a.Group != b.Group || a.Limits != b.Limits {
			t.Errorf("%s is in %q, %s in %q", same[0], a.Group, same[1], b.Group)
		}
	}
	if group("one.test").Group[len("a.mx.test"):] != group("two.test").Group[len("a.mx.test"):] {
		t.Errorf("the same hosts are in %q and %q", group("one.test").Group, group("two.test").Group)
	}
	different := []string{"one.test", "three.test", "four.test", "gmail.com", "eu.test", "us.test"}
	for i, a := range different {
		for _, b := range different[:i] {
			if group(a).Group == group(b).Group {
				t.Errorf("%s and %s share %q", a, b, group(a).Group)
			}
		}
	}
	if r := group("gmail.com"); r.Provider != "google" || r.Connections != 5 || r.TLS != provider.Required {
		t.Errorf("gmail.com: %+v", r)
	}
	if r := group("eu.test"); r.Provider != "mimecast" || !strings.HasPrefix(r.Group, "mimecast:eu-smtp") || r.PerConnection != 100 {
		t.Errorf("eu.test: %+v", r)
	}
	if r := group("one.test"); r.Provider != "" || r.Connections != 10 {
		t.Errorf("one.test: %+v", r)
	}
}

func TestEqualHostsShareTheLoad(t *testing.T) {
	zone := testkit.DNS(t)
	zone.MX("busy.test", "10 a.test", "10 b.test", "10 c.test", "20 last.test")
	for i, h := range []string{"a.test", "b.test", "c.test", "last.test"} {
		zone.Host(h, fmt.Sprintf("192.0.2.%d", i+1))
	}
	f := finder(t, zone)
	first := map[string]int{}
	for range 300 {
		to, err := targets(t, f, "busy.test")
		if err != nil || len(to) != 4 || !strings.HasPrefix(to[3], "last.test") {
			t.Fatalf("%v, %v", to, err)
		}
		first[to[0]]++
	}
	if len(first) != 3 {
		t.Fatalf("first come %v", first)
	}
	for to, n := range first {
		if n < 60 || n > 140 {
			t.Errorf("%s comes first %d of 300 times", to, n)
		}
	}
}

// TestStrangersDoNotOpenOurNetwork: an MX record is a stranger's word.
func TestStrangersDoNotOpenOurNetwork(t *testing.T) {
	zone := testkit.DNS(t)
	addresses := []string{"127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fd00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:100.64.0.1",
		"::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::1"}
	for i, a := range addresses {
		zone.Host(fmt.Sprintf("mx%d.test", i), a)
		zone.MX(fmt.Sprintf("d%d.test", i), fmt.Sprintf("10 mx%d.test", i))
	}
	zone.Host("own.test", "192.0.2.77")
	zone.Host("mixed.test", "127.0.0.1", "192.0.2.1")
	zone.Host("nat.test", "64:ff9b::c000:201") // 192.0.2.1
	f := finder(t, zone)
	f.own[netip.MustParseAddr("192.0.2.77")] = true
	for i, a := range addresses {
		domains := []string{literal(a), fmt.Sprintf("d%d.test", i), fmt.Sprintf("mx%d.test", i)}
		if strings.HasPrefix(a, "::ffff:") {
			domains = domains[:1] // no resolver takes such a record for an IPv6 address
		}
		for _, domain := range domains {
			if to, err := targets(t, f, domain); len(to) != 0 || err == nil || !strings.HasPrefix(err.Error(), "550 5.4.4 ") {
				t.Errorf("%s at %s: %v, %v", domain, a, to, err)
			}
		}
	}
	if to, err := targets(t, f, "own.test"); len(to) != 0 || err == nil {
		t.Errorf("our own address: %v, %v", to, err)
	}
	if to, err := targets(t, f, "mixed.test"); err != nil || !slices.Equal(to, []string{"mixed.test 192.0.2.1:25"}) {
		t.Errorf("one address of ours and one not: %v, %v", to, err)
	}
	if to, err := targets(t, f, "nat.test"); err != nil || len(to) != 1 {
		t.Errorf("a public address behind NAT64: %v, %v", to, err)
	}

	allowed := finder(t, zone, func(o *Options) {
		o.Allow, o.Port = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.77/32")}, 2525
	})
	allowed.own[netip.MustParseAddr("192.0.2.77")] = true
	if to, err := targets(t, allowed, "d0.test"); err != nil || !slices.Equal(to, []string{"mx0.test 127.0.0.1:2525"}) {
		t.Errorf("allowed: %v, %v", to, err)
	}
	if to, err := targets(t, allowed, "own.test"); err != nil || len(to) != 1 {
		t.Errorf("an own address that is allowed: %v, %v", to, err)
	}
	if to, err := targets(t, allowed, "d2.test"); len(to) != 0 || err == nil {
		t.Errorf("allowing loopback allows %v", to)
	}
}

func literal(addr string) string {
	if strings.Contains(addr, ":") {
		return "[IPv6:" + addr + "]"
	}
	return "[" + addr + "]"
}

func TestTheSourceChoosesTheNetwork(t *testing.T) {
	zone := testkit.DNS(t)
	zone.Host("both.test", "192.0.2.1", "2001:db8::1")
	zone.Host("six.test", "2001:db8::6")
	four := finder(t, zone, func(o *Options) { o.Source = netip.MustParseAddr("192.0.2.50") })
	six := finder(t, zone, func(o *Options) { o.Source = netip.MustParseAddr("2001:db8::50") })
	if to, err := targets(t, four, "both.test"); err != nil || len(to) != 1 || !strings.Contains(to[0], "192.0.2.1") {
		t.Errorf("from an IPv4 address: %v, %v", to, err)
	}
	if to, err := targets(t, six, "both.test"); err != nil || len(to) != 1 || !strings.Contains(to[0], "2001:db8::1") {
		t.Errorf("from an IPv6 address: %v, %v", to, err)
	}
	if to, err := targets(t, four, "six.test"); len(to) != 0 || err == nil || !strings.HasPrefix(err.Error(), "451 4.4.4 ") {
		t.Errorf("a host we have no way to: %v, %v", to, err)
	}
}

func TestManyAddressesAreNotAllTried(t *testing.T) {
	zone := testkit.DNS(t)
	for i := range 30 {
		zone.MX("many.test", fmt.Sprintf("%d mx%d.test", i, i))
		zone.Host(fmt.Sprintf("mx%d.test", i), fmt.Sprintf("192.0.2.%d", i+1))
	}
	f := finder(t, zone)
	if to, err := targets(t, f, "many.test"); err != nil || len(to) != mostTargets {
		t.Errorf("%d targets, %v", len(to), err)
	}
	r, _ := f.Find(t.Context(), "many.test")
	for range f.Targets(t.Context(), r) {
		break // the first one answered
	}
	if n := zone.Asked("mx29.test"); n != 0 {
		t.Errorf("a host that was not needed was looked up %d times", n)
	}
}

// halfBroken answers that there is no MX, and nothing of addresses.
type halfBroken struct{ dns.Resolver }

func (halfBroken) LookupMX(context.Context, string) ([]*net.MX, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

func (halfBroken) LookupNetIP(_ context.Context, network, _ string) ([]netip.Addr, error) {
	if network == "ip4" {
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func TestHalfAnAnswerIsNoRefusal(t *testing.T) {
	f := finder(t, testkit.DNS(t), func(o *Options) { o.DNS = halfBroken{} })
	if _, err := f.Find(t.Context(), "example.org"); err == nil || !strings.HasPrefix(err.Error(), "451 4.4.3 ") {
		t.Errorf("no MX, and an address that could not be looked up: %v", err)
	}
}

func TestFindAll(t *testing.T) {
	zone := testkit.DNS(t)
	var domains []string
	for i := range 100 {
		domains = append(domains, fmt.Sprintf("d%d.test", i), fmt.Sprintf("D%d.test", i))
		zone.Host(domains[2*i], "192.0.2.1")
	}
	zone.Break("broken.test")
	domains = append(domains, "broken.test", "nothing.test", "d0.test")
	f := finder(t, zone)
	for range 2 { // the second time from memory
		all := f.FindAll(t.Context(), domains)
		if len(all) != 202 {
			t.Fatalf("%d results", len(all))
		}
		for domain, r := range all {
			if bad := domain == "broken.test" || domain == "nothing.test"; (r.Err != nil) != bad || !bad && r.Group != strings.ToLower(domain) {
				t.Errorf("%s: %+v", domain, r)
			}
		}
	}
	if n := zone.Asked("d5.test"); n > 3 { // MX, A, AAAA
		t.Errorf("asked %d times about one domain", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if r := f.FindAll(ended, []string{"later.test"})["later.test"]; !errors.Is(r.Err, context.Canceled) {
		t.Errorf("after the end: %v", r.Err)
	}
	if _, err := f.Find(t.Context(), "later.test"); err == nil || !strings.HasPrefix(err.Error(), "550 5.1.2") {
		t.Errorf("our impatience was remembered as the domain's: %v", err)
	}
}

func TestShares(t *testing.T) {
	s := NewShares(5, 1, 2)
	all := func(int) bool { return true }
	count := func(n int, can func(int) bool) (got [3]int) {
		for range n {
			got[s.Next(can)]++
		}
		return got
	}
	for range 3 {
		if got := count(8, all); got != [3]int{5, 1, 2} {
			t.Errorf("of 8 mails: %v", got)
		}
	}
	if got := count(300, func(i int) bool { return i != 0 }); got[0] != 0 || got[1] < 99 || got[1] > 101 {
		t.Errorf("while the first is away: %v", got)
	}
	if got := count(800, all); got[0] < 498 || got[0] > 505 || got[1] < 98 || got[1] > 102 {
		t.Errorf("when it is back: %v", got)
	}
	if i := s.Next(func(int) bool { return false }); i != -1 {
		t.Errorf("with none: %d", i)
	}
	even, last := NewShares(1, 1), -1
	for range 10 {
		i := even.Next(all)
		if i == last {
			t.Error("the same server twice in a row")
		}
		last = i
	}
}

func BenchmarkFind(b *testing.B) {
	zone := testkit.DNS(b)
	zone.MX("example.org", "10 mx1.test", "20 mx2.test")
	f := finder(b, zone)
	for b.Loop() {
		if _, err := f.Find(b.Context(), "example.org"); err != nil {
			b.Fatal(err)
		}
	}
}
