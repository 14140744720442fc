package dns_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"assent/internal/dns"
	"assent/internal/testkit"
)

func TestQuestionsReachTheNameServer(t *testing.T) {
	zone := testkit.DNS(t)
	zone.MX("example.org", "20 b.mx.test", "10 a.mx.test")
	zone.Host("a.mx.test", "192.0.2.1", "2001:db8::1")
	long := "v=DKIM1; p=" + strings.Repeat("A", 3000) // more than a packet
	zone.TXT("k._domainkey.example.org", long)
	zone.PTR("192.0.2.1", "a.mx.test")
	r := dns.New(zone.Addr)
	ctx := t.Context()

	if mx, err := r.LookupMX(ctx, "example.org"); err != nil || len(mx) != 2 || mx[0].Host != "a.mx.test." || mx[0].Pref != 10 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if found, err := r.LookupNetIP(ctx, "ip4", "a.mx.test"); err != nil || !slices.Equal(found, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("A: %v, %v", found, err)
	}
	if found, err := r.LookupNetIP(ctx, "ip6", "a.mx.test."); err != nil || len(found) != 1 || found[0].String() != "2001:db8::1" {
		t.Errorf("AAAA: %v, %v", found, err)
	}
	if texts, err := r.LookupTXT(ctx, "k._domainkey.example.org"); err != nil || len(texts) != 1 || texts[0] != long {
		t.Errorf("TXT: %d texts, %v", len(texts), err)
	}
	if names, err := r.LookupAddr(ctx, "192.0.2.1"); err != nil || !slices.Equal(names, []string{"a.mx.test."}) {
		t.Errorf("PTR: %v, %v", names, err)
	}
}

func TestMissingIsNotBroken(t *testing.T) {
	zone := testkit.DNS(t)
	zone.Host("only-a.test", "192.0.2.1")
	zone.Break("broken.test")
	r := dns.New(zone.Addr)
	for name, missing := range map[string]bool{"nothing.test": true, "only-a.test": true, "broken.test": false, "not a name": true} {
		_, err := r.LookupMX(t.Context(), name)
		if err == nil || dns.Missing(err) != missing {
			t.Errorf("%s: %v, missing %v", name, err, dns.Missing(err))
		}
	}
	silent := dns.New("127.0.0.1:1") // nobody listens there
	if _, err := silent.LookupTXT(t.Context(), "example.org"); err == nil || dns.Missing(err) {
		t.Errorf("a silent server says %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dns.New(zone.Addr).LookupMX(ended, "nothing.test"); err == nil || dns.Missing(err) {
		t.Errorf("a question that was given up says %v", err)
	}
}

// TestNamesAreAbsolute sees that no search list is tried.
func TestNamesAreAbsolute(t *testing.T) {
	zone := testkit.DNS(t)
	r := dns.New(zone.Addr)
	_, _ = r.LookupTXT(t.Context(), "short")
	if n := zone.Asked("short"); n != 1 {
		t.Errorf("asked %d times for the name itself", n)
	}
	if mx, err := r.LookupMX(t.Context(), "short"); len(mx) != 0 || !dns.Missing(err) {
		t.Errorf("%v, %v", mx, err)
	}
}
