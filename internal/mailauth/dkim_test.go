package mailauth

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"testing"

	"assent/internal/dns"
)

// answers is what the DNS says to every question for a text.
type answers struct {
	dns.Resolver
	found []string
	err   error
	asked []string
}

func (a *answers) LookupTXT(_ context.Context, name string) ([]string, error) {
	a.asked = append(a.asked, name)
	return a.found, a.err
}

// The keys of RFC 8463 appendix A, whose RSA key is in the other spelling than ours.
const (
	edPublic  = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	rsaPublic = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)

func TestCheckKey(t *testing.T) {
	ed := Key{Domain: "football.example.com", Selector: "brisbane", Algorithm: "ed25519", Public: edPublic, Active: true}
	rsa := Key{Domain: "football.example.com", Selector: "test", Algorithm: "rsa", Public: rsaPublic, Active: true}
	der, err := base64.StdEncoding.DecodeString(rsaPublic)
	if err != nil {
		t.Fatal(err)
	}
	const head = 22 // bytes of SubjectPublicKeyInfo before the RSAPublicKey of a 1024-bit key
	otherSpelling := base64.StdEncoding.EncodeToString(der[head:])
	for name, x := range map[string]struct {
		key   Key
		found []string
		err   error
		state State
		text  string
	}{
		"RFC 8463's Ed25519":    {ed, []string{"v=DKIM1; k=ed25519; p=" + edPublic}, nil, OK, "mailauth.dkim.ok"},
		"RFC 8463's RSA":        {rsa, []string{"v=DKIM1; k=rsa; p=" + rsaPublic}, nil, OK, "mailauth.dkim.ok"},
		"ours":                  {rsa, []string{rsa.Record().Value}, nil, OK, "mailauth.dkim.ok"},
		"the other spelling":    {rsa, []string{"p=" + otherSpelling}, nil, OK, "mailauth.dkim.ok"},
		"folded":                {rsa, []string{"v=DKIM1 ;\r\n p = " + rsaPublic[:40] + " \t" + rsaPublic[40:] + "; n=what ; "}, nil, OK, "mailauth.dkim.ok"},
		"strict, for mail":      {rsa, []string{"v=DKIM1; h=sha1:sha256; s=email; t=s; p=" + rsaPublic}, nil, OK, "mailauth.dkim.ok"},
		"not active yet":        {Key{Domain: ed.Domain, Selector: ed.Selector, Algorithm: ed.Algorithm, Public: ed.Public}, []string{ed.Record().Value}, nil, OK, "mailauth.dkim.ready"},
		"nothing":               {rsa, nil, &net.DNSError{IsNotFound: true}, Missing, "mailauth.dkim.missing"},
		"an empty answer":       {rsa, nil, nil, Missing, "mailauth.dkim.missing"},
		"no answer":             {rsa, nil, &net.DNSError{IsTimeout: true}, Unknown, "mailauth.dns"},
		"a server's fault":      {rsa, nil, errors.New("servfail"), Unknown, "mailauth.dns"},
		"two":                   {rsa, []string{rsa.Record().Value, "p=" + rsaPublic}, nil, Wrong, "mailauth.dkim.several"},
		"revoked":               {rsa, []string{"v=DKIM1; k=rsa; p="}, nil, Wrong, "mailauth.dkim.revoked"},
		"no p":                  {rsa, []string{"v=DKIM1; k=rsa"}, nil, Wrong, "mailauth.dkim.unreadable"},
		"not DKIM":              {rsa, []string{"v=spf1 -all"}, nil, Wrong, "mailauth.dkim.unreadable"},
		"a later version":       {rsa, []string{"v=DKIM2; p=" + rsaPublic}, nil, Wrong, "mailauth.dkim.unreadable"},
		"the version not first": {rsa, []string{"p=" + rsaPublic + "; v=DKIM1"}, nil, Wrong, "mailauth.dkim.unreadable"},
		"p twice":               {rsa, []string{"p=" + rsaPublic + "; p=" + rsaPublic}, nil, Wrong, "mailauth.dkim.unreadable"},
		"not base64":            {rsa, []string{"p=***"}, nil, Wrong, "mailauth.dkim.unreadable"},
		"bytes":                 {rsa, []string{"p=\xff"}, nil, Wrong, "mailauth.dkim.unreadable"},
		"cut by the provider":   {rsa, []string{"v=DKIM1; k=rsa; p=" + rsaPublic[:100]}, nil, Wrong, "mailauth.dkim.other-key"},
		"another key":           {ed, []string{"k=ed25519; p=" + strings.Replace(edPublic, "11q", "21q", 1)}, nil, Wrong, "mailauth.dkim.other-key"},
		"another algorithm":     {ed, []string{"p=" + edPublic}, nil, Wrong, "mailauth.dkim.other-key"},
		"for SHA-1":             {rsa, []string{"h=sha1; p=" + rsaPublic}, nil, Wrong, "mailauth.dkim.not-for-mail"},
		"for something else":    {rsa, []string{"s=tlsrpt; p=" + rsaPublic}, nil, Wrong, "mailauth.dkim.not-for-mail"},
		"for a test":            {rsa, []string{"t=s : y; p=" + rsaPublic}, nil, Warning, "mailauth.dkim.testing"},
	} {
		r := &answers{found: x.found, err: x.err}
		f := CheckKey(t.Context(), r, x.key)
		if f.Part != DKIM || f.State != x.state || f.Key != x.text {
			t.Errorf("%s: %s %s, want %s %s", name, f.State, f.Key, x.state, x.text)
		}
		if len(r.asked) != 1 || r.asked[0] != x.key.Selector+"._domainkey.football.example.com" {
			t.Errorf("%s: asked for %v", name, r.asked)
		}
		if publish := x.state != OK && x.state != Unknown; publish != (f.Record != nil) || publish && f.Record.Value != x.key.Record().Value {
			t.Errorf("%s: to be published is %v", name, f.Record)
		}
	}
}

func TestZone(t *testing.T) {
	for value, want := range map[string]string{
		"v=spf1 -all":            `a.example. IN TXT "v=spf1 -all"`,
		`a"b\c`:                  `a.example. IN TXT "a\"b\\c"`,
		strings.Repeat("x", 255): `a.example. IN TXT "` + strings.Repeat("x", 255) + `"`,
		strings.Repeat("x", 511): `a.example. IN TXT "` + strings.Repeat("x", 255) + `" "` + strings.Repeat("x", 255) + `" "x"`,
	} {
		if got := (Record{"a.example", "TXT", value}).Zone(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if got := (Record{"a.example", "MX", "10 mx.a.example."}).Zone(); got != "a.example. IN MX 10 mx.a.example." {
		t.Error(got)
	}
}

func FuzzParseKeyRecord(f *testing.F) {
	for _, s := range []string{"v=DKIM1; k=ed25519; p=" + edPublic, "v=DKIM1; p=", "t=y:s;p=AAAA;;", "p = A A A A ", ";", "p=\xff", "=", "p=QQ==;h=sha256 : sha1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseKeyRecord(s)
		if err != nil {
			return
		}
		// What is understood is understood alike when it is written anew.
		again, err := ParseKeyRecord("v=DKIM1; k=" + r.Algorithm + "; p=" + base64.StdEncoding.EncodeToString(r.Public))
		if err != nil || string(again.Public) != string(r.Public) || again.Algorithm != r.Algorithm {
			t.Errorf("%q is %+v, and again %+v, %v", s, r, again, err)
		}
	})
}
