package mailauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"assent/internal/i18n"
)

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	edKey   = Key{Domain: "shop.example", Selector: "e1", Algorithm: "ed25519", Public: edPublic, Active: true}
	rsaKey1 = Key{Domain: "shop.example", Selector: "r1", Algorithm: "rsa", Public: rsaPublic, Active: true}
)

// well is a zone in which nothing is missing.
func well() []string {
	return []string{
		"shop.example TXT v=spf1 ip4:198.51.100.7 a:relay.example -all", "shop.example TXT something else", "shop.example MX mx.shop.example", "mx.shop.example A 198.51.100.8",
		"r1._domainkey.shop.example TXT " + rsaKey1.Record().Value, "e1._domainkey.shop.example TXT " + edKey.Record().Value,
		"_dmarc.shop.example TXT v=DMARC1; p=quarantine", "198.51.100.7 PTR mail.shop.example", "mail.shop.example A 198.51.100.7", "relay.example A 203.0.113.5",
	}
}

func sender() Sender {
	return Sender{Domain: "shop.example", Local: "news", Keys: []Key{rsaKey1, edKey}}
}

// without leaves out the lines that begin so.
func without(lines []string, begin string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, begin) })
}

func said(found []Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.State)+" "+f.Key)
	}
	return strings.Join(all, "\n")
}

// speaks makes sure that a finding can be told in both languages, with
// everything that its texts ask for.
func speaks(t *testing.T, f Finding) {
	t.Helper()
	for _, lang := range i18n.Languages {
		l := i18n.For(lang)
		texts := []string{f.Key}
		if f.State != OK {
			texts = append(texts, f.Key+".fix")
		}
		for _, key := range texts {
			if text := l.T(key, f.Args...); !l.Has(key) || strings.Contains(text, "<no value>") || text == key {
				t.Errorf("%s says of %s: %q", lang, key, text)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	source := netip.MustParseAddr("198.51.100.7")
	direct := Setup{Sources: []netip.Addr{source}, Hello: "mail.shop.example"}
	for name, x := range map[string]struct {
		zone   []string
		setup  Setup
		sender func(*Sender)
		extra  []netip.Addr
		want   []string // in any order; what is ok may be left out
		worst  State
	}{
		"all well":            {well(), direct, nil, nil, []string{"ok mailauth.spf.ok", "ok mailauth.spf.source-pass", "ok mailauth.dkim.ok", "ok mailauth.dmarc.ok", "ok mailauth.dmarc.aligned", "ok mailauth.mx.ok", "ok mailauth.ptr.ok"}, OK},
		"nothing":             {nil, direct, nil, nil, []string{"missing mailauth.spf.missing", "missing mailauth.dkim.missing", "missing mailauth.dkim.missing", "missing mailauth.dmarc.missing", "missing mailauth.mx.missing", "missing mailauth.ptr.missing"}, Missing},
		"no answer":           {[]string{"shop.example FAIL", "_dmarc.shop.example FAIL", "r1._domainkey.shop.example FAIL", "e1._domainkey.shop.example FAIL", "198.51.100.7 FAIL"}, direct, nil, nil, []string{"unknown mailauth.dns", "unknown mailauth.dns", "unknown mailauth.dns", "unknown mailauth.dns", "unknown mailauth.dns", "unknown mailauth.dns"}, Unknown},
		"not ours":            {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 ip4:198.51.100.99 ~all"), direct, nil, nil, []string{"wrong mailauth.spf.source-fail"}, Wrong},
		"asked for":           {append(well(), "198.51.100.9 PTR x.example"), Setup{}, nil, []netip.Addr{netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("::ffff:198.51.100.9")}, []string{"wrong mailauth.spf.source-fail", "wrong mailauth.ptr.unconfirmed"}, Wrong},
		"another name":        {well(), Setup{Sources: []netip.Addr{source}, Hello: "other.example"}, nil, nil, []string{"warning mailauth.ptr.hello"}, Warning},
		"a name of one label": {well(), Setup{Sources: []netip.Addr{source}, Hello: "localhost"}, nil, nil, []string{"ok mailauth.ptr.ok"}, OK},
		"private":             {well(), Setup{}, nil, []netip.Addr{netip.MustParseAddr("10.0.0.1")}, []string{"unknown mailauth.ptr.private"}, Unknown},
		"unnamed":             {well(), Setup{Unnamed: true, Hello: "mail.shop.example"}, nil, nil, []string{"unknown mailauth.ptr.unnamed"}, Unknown},
		"relay lost":          {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 -all"), Setup{Relays: []Relay{{Host: "relay.example", TLS: offersNone}}}, nil, nil, []string{"warning mailauth.spf.relay-fail", "warning mailauth.tls.missing"}, Warning},
		"relay":               {well(), Setup{Relays: []Relay{{Host: "relay.example", Must: true, TLS: offersNone}}}, nil, nil, []string{"ok mailauth.spf.relay-pass", "wrong mailauth.tls.missing"}, Wrong},
		"own relay":           {well(), Setup{Relays: []Relay{{Host: "127.0.0.1", TLS: offersNone}}}, nil, nil, []string{"ok mailauth.tls.local"}, OK},
		"relay gone":          {well(), Setup{Relays: []Relay{{Host: "127.0.0.1", TLS: func(context.Context) (*tls.ConnectionState, error) { return nil, errors.New("refused") }}}}, nil, nil, []string{"unknown mailauth.tls.unreachable"}, Unknown},
		"relay signs":         {without(well(), "r1."), Setup{}, func(s *Sender) { s.RelaySigns = true }, nil, []string{"unknown mailauth.dkim.relay", "ok mailauth.dmarc.aligned"}, Unknown},
		"no key":              {well(), Setup{}, func(s *Sender) { s.Keys = nil }, nil, []string{"missing mailauth.dkim.none"}, Missing},
		"only Ed25519":        {well(), Setup{}, func(s *Sender) { s.Keys = s.Keys[1:] }, nil, []string{"warning mailauth.dkim.no-rsa"}, Warning},
		"a new key": {well(), Setup{}, func(s *Sender) {
			s.Keys = append(s.Keys, Key{Domain: "shop.example", Selector: "r2", Algorithm: "rsa", Public: rsaPublic})
		}, nil, []string{"warning mailauth.dkim.pending"}, Warning},
		"bounces elsewhere":       {append(well(), "bounce.example TXT v=spf1 -all"), Setup{}, func(s *Sender) { s.ReturnPath = "bounce.example" }, nil, []string{"warning mailauth.dmarc.spf-unaligned"}, Warning},
		"bounces below":           {append(well(), "b.shop.example TXT v=spf1 -all"), Setup{}, func(s *Sender) { s.ReturnPath = "b.shop.example" }, nil, []string{"ok mailauth.dmarc.aligned"}, OK},
		"bounces below, strictly": {append(without(well(), "_dmarc."), "b.shop.example TXT v=spf1 -all", "_dmarc.shop.example TXT v=DMARC1; p=none; aspf=s"), Setup{}, func(s *Sender) { s.ReturnPath = "b.shop.example" }, nil, []string{"warning mailauth.dmarc.spf-unaligned"}, Warning},
		"signed elsewhere":        {append(well(), "r1._domainkey.sign.example TXT "+rsaKey1.Record().Value), Setup{}, func(s *Sender) { s.Keys = []Key{rsaKey1}; s.Keys[0].Domain = "sign.example" }, nil, []string{"warning mailauth.dmarc.dkim-unaligned"}, Warning},
		"all elsewhere": {append(well(), "r1._domainkey.sign.example TXT "+rsaKey1.Record().Value, "b.example TXT v=spf1 -all"), Setup{}, func(s *Sender) {
			s.Keys, s.ReturnPath = []Key{rsaKey1}, "b.example"
			s.Keys[0].Domain = "sign.example"
		}, nil, []string{"wrong mailauth.dmarc.unaligned"}, Wrong},
		"two policies": {append(well(), "_dmarc.shop.example TXT v=DMARC1; p=none"), Setup{}, nil, nil, []string{"wrong mailauth.dmarc.several"}, Wrong},
		"odd policy":   {append(without(well(), "_dmarc."), "_dmarc.shop.example TXT v=DMARC1; pct=50; p=all; t=y"), Setup{}, nil, nil, []string{"warning mailauth.dmarc.bad-tags", "warning mailauth.dmarc.no-policy", "warning mailauth.dmarc.gone", "warning mailauth.dmarc.testing"}, Warning},
		"null MX":      {append(without(well(), "shop.example MX"), "shop.example MX "), Setup{}, nil, nil, []string{"wrong mailauth.mx.null"}, Wrong},
		"no MX":        {append(without(well(), "shop.example MX"), "shop.example A 198.51.100.7"), Setup{}, nil, nil, []string{"warning mailauth.mx.no-record"}, Warning},
		"lost MX":      {without(well(), "mx.shop.example"), Setup{}, nil, nil, []string{"wrong mailauth.mx.lost"}, Wrong},
		"MX no answer": {append(well(), "mx.shop.example FAIL"), Setup{}, nil, nil, []string{"unknown mailauth.dns"}, Unknown},
		"open":         {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 +all"), Setup{}, nil, nil, []string{"wrong mailauth.spf.open"}, Wrong},
		"open inside":  {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 include:x.example -all", "x.example TXT v=spf1 +all"), Setup{}, nil, nil, []string{"wrong mailauth.spf.open"}, Wrong},
		"no end":       {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 a:relay.example ptr"), Setup{}, nil, nil, []string{"warning mailauth.spf.no-end", "warning mailauth.spf.ptr"}, Warning},
		"two SPF":      {append(well(), "shop.example TXT v=spf1 -all"), direct, nil, nil, []string{"wrong mailauth.spf.several"}, Wrong},
		"broken SPF":   {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 include: -all"), direct, nil, nil, []string{"wrong mailauth.spf.unreadable"}, Wrong},
		"lost include": {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 include:x.example -all"), direct, nil, nil, []string{"wrong mailauth.spf.include-missing"}, Wrong},
		"deep SPF":     {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 include:x.example -all", "x.example TXT v=spf1 include:x.example"), Setup{}, nil, nil, []string{"wrong mailauth.spf.too-many"}, Wrong},
		"void SPF":     {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 a:x.example a:y.example a:z.example -all"), Setup{}, nil, nil, []string{"wrong mailauth.spf.void"}, Wrong},
		"by macros":    {append(without(well(), "shop.example TXT v=spf1"), "shop.example TXT v=spf1 exists:%{i}.x.example include:%{d}.y.example redirect=%{d}.z.example"), Setup{}, nil, nil, []string{"ok mailauth.spf.ok"}, OK},
	} {
		t.Run(name, func(t *testing.T) {
			s := sender()
			if x.sender != nil {
				x.sender(&s)
			}
			c := &Checker{DNS: newZone(x.zone...), Setup: x.setup, Clock: func() time.Time { return noon }}
			found := c.Check(t.Context(), s, x.extra...)
			rest := strings.Split(said(found), "\n")
			for _, want := range x.want {
				i := slices.Index(rest, want)
				if i < 0 {
					t.Fatalf("no %s in\n%s", want, said(found))
				}
				rest = slices.Delete(rest, i, i+1)
			}
			for _, r := range rest {
				if !strings.HasPrefix(r, "ok ") {
					t.Errorf("and %s in\n%s", r, said(found))
				}
			}
			if Worst(found) != x.worst {
				t.Errorf("as a whole %s", Worst(found))
			}
			for _, f := range found {
				speaks(t, f)
			}
		})
	}
}

func offersNone(context.Context) (*tls.ConnectionState, error) { return nil, nil }

// What is to be published makes it well.
func TestTheRecordsToPublish(t *testing.T) {
	setup := Setup{Sources: []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}, Hello: "mail.shop.example",
		Relays: []Relay{{Host: "relay.example", TLS: offersNone}, {Host: "203.0.113.77", TLS: offersNone}, {Host: "127.0.0.1", TLS: offersNone}}}
	z := newZone("mail.shop.example A 198.51.100.7", "mail.shop.example AAAA 2001:db8::7", "relay.example A 203.0.113.5")
	c := &Checker{DNS: z, Setup: setup, Clock: func() time.Time { return noon }}
	for range 2 {
		for _, f := range c.Check(t.Context(), sender()) {
			if f.Record == nil {
				continue
			}
			switch f.Record.Type {
			case "PTR":
				for _, ip := range setup.Sources {
					if reverse(ip) == f.Record.Name {
						z.add(ip.String() + " PTR " + strings.TrimSuffix(f.Record.Value, "."))
					}
				}
			default:
				z.add(f.Record.Name + " " + f.Record.Type + " " + f.Record.Value)
			}
		}
	}
	if got := z.records["shop.example TXT"]; len(got) != 1 || got[0] != "v=spf1 ip4:198.51.100.7 ip6:2001:db8::7 a:relay.example ip4:203.0.113.77 ~all" {
		t.Errorf("published %v", got)
	}
	for _, f := range c.Check(t.Context(), sender()) {
		if f.State != OK && f.Part != MX && f.Part != TLS {
			t.Errorf("after publishing: %s %s %v", f.State, f.Key, f.Found)
		}
	}

	z = newZone("shop.example TXT V=spf1 a:relay.example redirect=x.example", "relay.example A 203.0.113.5", "x.example TXT v=spf1 -all")
	c = &Checker{DNS: z, Setup: Setup{Sources: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}, Clock: func() time.Time { return noon }}
	for _, f := range c.Check(t.Context(), sender()) {
		if f.Key == "mailauth.spf.source-fail" && f.Record.Value == "V=spf1 ip4:198.51.100.7 a:relay.example redirect=x.example" {
			return
		}
	}
	t.Error("no record that lets the address send")
}

// silent answers nothing, ever.
type silent struct{ *zone }

func (silent) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestACheckEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) (*tls.ConnectionState, error) { <-ctx.Done(); return nil, ctx.Err() }
		c := &Checker{DNS: silent{newZone(well()...)}, Setup: Setup{Relays: []Relay{{Host: "relay.example", TLS: hangs}}}, Clock: time.Now}
		start := time.Now()
		found := c.Check(t.Context(), sender())
		if took := time.Since(start); took > Patience {
			t.Errorf("took %s", took)
		}
		for _, f := range found {
			if f.State == Missing || f.State == Wrong {
				t.Errorf("silence is told as %s %s", f.State, f.Key)
			}
		}
		time.Sleep(time.Minute) // for the questions that nobody waits for any longer
	})
}

func TestOneQuestionIsAskedOnce(t *testing.T) {
	z := newZone(well()...)
	c := &Checker{DNS: z, Setup: Setup{Sources: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}, Clock: time.Now}
	c.Check(t.Context(), sender(), netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("198.51.100.10"))
	asked := 0
	for _, q := range z.asked {
		if q == "shop.example TXT" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for one record", asked)
	}
	c.Check(t.Context(), sender())
	if last := z.asked[len(z.asked)-1]; last == "" || !slices.Contains(z.asked[len(z.asked)/2:], "shop.example TXT") {
		t.Error("the second check did not look again")
	}
}

// chain makes a certificate for a name, signed by the other return value.
func chain(t *testing.T, name string, until time.Time) (leaf, authority *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	own := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.CreateCertificate(rand.Reader, own, authority, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return leaf, authority
}

func TestTLS(t *testing.T) {
	for name, x := range map[string]struct {
		host    string
		until   time.Time
		version uint16
		known   bool
		must    bool
		want    string
		days    int
	}{
		"well":         {"relay.example", noon.AddDate(0, 0, 90), tls.VersionTLS13, true, true, "ok mailauth.tls.ok", 90},
		"soon":         {"relay.example", noon.AddDate(0, 0, 13), tls.VersionTLS12, true, true, "warning mailauth.tls.expiring", 13},
		"expired":      {"relay.example", noon.Add(-time.Hour), tls.VersionTLS13, true, true, "wrong mailauth.tls.expired", 0},
		"old":          {"relay.example", noon.AddDate(1, 0, 0), tls.VersionTLS11, true, true, "wrong mailauth.tls.old", 365},
		"another name": {"other.example", noon.AddDate(1, 0, 0), tls.VersionTLS13, true, true, "wrong mailauth.tls.name", 365},
		"self-made":    {"relay.example", noon.AddDate(1, 0, 0), tls.VersionTLS13, false, true, "wrong mailauth.tls.untrusted", 365},
		"where it may": {"relay.example", noon.AddDate(1, 0, 0), tls.VersionTLS13, false, false, "warning mailauth.tls.untrusted", 365},
	} {
		leaf, authority := chain(t, "relay.example", x.until)
		roots := x509.NewCertPool()
		if x.known {
			roots.AddCert(authority)
		}
		c := &Checker{Roots: roots, Clock: func() time.Time { return noon }}
		f := c.checkTLS(t.Context(), Relay{Host: x.host, Must: x.must, TLS: func(context.Context) (*tls.ConnectionState, error) {
			return &tls.ConnectionState{Version: x.version, PeerCertificates: []*x509.Certificate{leaf, authority}}, nil
		}})
		speaks(t, f)
		if got := said([]Finding{f}); got != x.want || !slices.Contains(f.Args, any(x.days)) {
			t.Errorf("%s: %s %v", name, got, f.Args)
		}
	}
}

func TestReverse(t *testing.T) {
	for ip, want := range map[string]string{"192.0.2.3": "3.2.0.192.in-addr.arpa", "2001:db8::1": "1." + strings.Repeat("0.", 23) + "8.b.d.0.1.0.0.2.ip6.arpa"} {
		if got := reverse(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %s", ip, got)
		}
	}
}

// Every text that the source names is in both catalogues, with what to do.
func TestEveryFindingHasItsTexts(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]State{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(OK, )?"(mailauth\.[a-z.-]+)"`).FindAllStringSubmatch(string(raw), -1) {
			named[m[2]] = Warning
			if m[1] != "" {
				named[m[2]] = OK
			}
		}
	}
	if len(named) < 50 {
		t.Fatalf("only %d are named: the search is broken", len(named))
	}
	for key, state := range named {
		for _, lang := range i18n.Languages {
			l := i18n.For(lang)
			if !l.Has(key) || state != OK && !l.Has(key+".fix") {
				t.Errorf("%s has no text for %s, or none for what to do", lang, key)
			}
		}
	}
}
