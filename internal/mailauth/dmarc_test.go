package mailauth

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDMARC(t *testing.T) {
	plain := policy{psd: "u"}
	with := func(change func(*policy)) policy {
		p := plain
		change(&p)
		return p
	}
	for text, want := range map[string]policy{
		"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com": with(func(p *policy) { p.p = "none" }),
		"v=DMARC1;p=reject":                       with(func(p *policy) { p.p = "reject" }),
		"v = DMARC1 ; sp=none ; p = Quarantine ;": with(func(p *policy) { p.p, p.sp = "quarantine", "none" }),
		"v=DMARC1":                                    plain,
		"v=DMARC1; rua=mailto:a@b.example":            plain,
		"v=DMARC1; psd=n; adkim=s; aspf=s; t=y":       {psd: "n", strictD: true, strictS: true, testing: true},
		"v=DMARC1; adkim=r; aspf=r; t=n; psd=y":       {psd: "y"},
		"v=DMARC1; p=none; pct=20; rf=afrf; ri=86400": with(func(p *policy) { p.p, p.gone = "none", []string{"pct", "rf", "ri"} }),
		"v=DMARC1; p=none; colour=red; np=reject":     with(func(p *policy) { p.p = "none" }),
		"v=DMARC1; p=all":                             with(func(p *policy) { p.badTags = []string{"p=all"} }),
		"v=DMARC1; p=none; p=reject":                  with(func(p *policy) { p.p, p.badTags = "none", []string{"p=reject"} }),
		"v=DMARC1; p=none; what is this; adkim=x":     with(func(p *policy) { p.p, p.badTags = "none", []string{"what is this", "adkim=x"} }),
		"v=DMARC1; p=none; rua=mailto:ا@b.example":    with(func(p *policy) { p.p, p.badTags = "none", []string{"rua=mailto:ا@b.example"} }),
	} {
		want.text = text
		if got, ok := parseDMARC(text); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q\ngot  %+v %v\nwant %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC2; p=none", "v=DMARC1.0; p=none", "v=spf1 -all", " ; v=DMARC1"} {
		if p, ok := parseDMARC(text); ok {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}

func TestTidied(t *testing.T) {
	for text, want := range map[string]string{
		"v=DMARC1":                              "v=DMARC1; p=none",
		"v = DMARC1;p=all; PCT = 0;rua=x;ri=1;": "v=DMARC1; p=none; rua=x",
		"v=DMARC1; sp=none; p=reject; rf=afrf":  "v=DMARC1; sp=none; p=reject",
	} {
		p, ok := parseDMARC(text)
		if got := p.tidied(); !ok || got != want {
			t.Errorf("%s is tidied to %s", text, got)
		}
		if again, ok := parseDMARC(want); !ok || again.p == "" || again.gone != nil {
			t.Errorf("%s is not tidy", want)
		}
	}
}

func TestSteps(t *testing.T) {
	for domain, want := range map[string]string{
		"example.com":                    "example.com com",
		"com":                            "com",
		"a.mail.example.com":             "a.mail.example.com mail.example.com example.com com",
		"a.b.c.d.e.f.g.h":                "a.b.c.d.e.f.g.h b.c.d.e.f.g.h c.d.e.f.g.h d.e.f.g.h e.f.g.h f.g.h g.h h",
		"mail.a.b.c.d.e.f.g.example.com": "mail.a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com d.e.f.g.example.com e.f.g.example.com f.g.example.com g.example.com example.com com",
	} {
		if got := strings.Join(steps(domain), " "); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

// The examples of RFC 9989 §4.10.2, and what lies around them.
func TestTheTreeIsWalked(t *testing.T) {
	for name, x := range map[string]struct {
		from, zone          string // domain=text, separated by |
		organization, holds string
		asks                string
	}{
		"nothing":                {"a.mail.example.com", "", "a.mail.example.com", "", ""},
		"two above":              {"a.mail.example.com", "mail.example.com=v=DMARC1; p=reject|example.com=v=DMARC1; p=quarantine", "example.com", "example.com", "quarantine"},
		"psd=n":                  {"a.mail.example.com", "mail.example.com=v=DMARC1; p=reject; psd=n|example.com=v=DMARC1; p=none", "mail.example.com", "mail.example.com", "reject"},
		"a suffix alone":         {"a.mail.example.com", "com=v=DMARC1; p=reject; psd=y", "example.com", "com", "reject"},
		"a suffix above":         {"a.mail.example.com", "example.com=v=DMARC1; p=none|com=v=DMARC1; p=reject; psd=y", "example.com", "example.com", "none"},
		"its own first":          {"mail.example.com", "mail.example.com=v=DMARC1; p=none; sp=reject|example.com=v=DMARC1; p=reject", "example.com", "mail.example.com", "none"},
		"for what is below":      {"mail.example.com", "example.com=v=DMARC1; p=reject; sp=quarantine", "example.com", "example.com", "quarantine"},
		"without a policy":       {"example.com", "example.com=v=DMARC1; rua=mailto:a@b.example", "example.com", "example.com", "none"},
		"a suffix that sends":    {"gov.example", "gov.example=v=DMARC1; p=reject; psd=y", "gov.example", "gov.example", "reject"},
		"far up":                 {"mail.a.b.c.d.e.f.g.example.com", "c.d.e.f.g.example.com=v=DMARC1; p=reject; psd=n", "c.d.e.f.g.example.com", "c.d.e.f.g.example.com", "reject"},
		"between, and not asked": {"mail.a.b.c.d.e.f.g.example.com", "b.c.d.e.f.g.example.com=v=DMARC1; p=reject; psd=n", "mail.a.b.c.d.e.f.g.example.com", "", ""},
		"two at one name":        {"example.com", "example.com=v=DMARC1; p=none|example.com=v=DMARC1; p=reject", "example.com", "", ""},
		"a text beside":          {"example.com", "example.com=hello|example.com=v=DMARC1; p=none", "example.com", "example.com", "none"},
	} {
		z := newZone()
		for line := range strings.SplitSeq(x.zone, "|") {
			if domain, text, ok := strings.Cut(line, "="); ok {
				z.add("_dmarc." + domain + " TXT " + text)
			}
		}
		w, err := walkTree(t.Context(), z, x.from)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := w.holds()
		if w.organization() != x.organization || ok != (x.holds != "") || p.domain != x.holds || ok && p.asks(x.from) != x.asks {
			t.Errorf("%s: of %s, %q holds and asks for %s", name, w.organization(), p.domain, p.asks(x.from))
		}
	}
	if _, err := walkTree(t.Context(), newZone("_dmarc.com FAIL"), "example.com"); err == nil {
		t.Error("no answer was taken for none")
	}
}

func TestAWalkIsShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "com", "x-y"}), 1, 40).Draw(t, "labels")
		domain := strings.Join(labels, ".")
		z := newZone()
		for i := range labels {
			if text := rapid.SampledFrom([]string{"", "v=DMARC1; psd=y", "v=DMARC1; p=reject", "v=DMARC1;;;", "x"}).Draw(t, "text"); text != "" {
				z.add("_dmarc." + strings.Join(labels[i:], ".") + " TXT " + text)
			}
		}
		w, err := walkTree(context.Background(), z, domain)
		if err != nil || len(z.asked) > walkMax || z.asked[0] != "_dmarc."+domain+" TXT" || len(slices.Compact(slices.Sorted(slices.Values(z.asked)))) != len(z.asked) {
			t.Fatalf("%v: asked %v", err, z.asked)
		}
		if o := w.organization(); !below(domain, o) {
			t.Fatalf("%s belongs to %s", domain, o)
		}
		if p, ok := w.holds(); ok && !below(domain, p.domain) {
			t.Fatalf("%s holds for %s", p.domain, domain)
		}
	})
}

func FuzzParseDMARC(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none; rua=mailto:a@example.com", "v=DMARC1;p=reject;pct=0", "v = DMARC1 ; sp", "v=DMARC1;;;p=;=x", "v=DMARC1; t=y; psd=n; adkim=s", "v=DMARC1; \xff=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseDMARC(s)
		if !ok {
			return
		}
		if ask := p.asks("a.example"); !slices.Contains([]string{"none", "quarantine", "reject"}, ask) || p.text != s {
			t.Errorf("%q asks for %q", s, ask)
		}
		for _, f := range judgePolicy(p, "a.example") {
			if f.Key == "" || f.Part != DMARC {
				t.Errorf("%q: %s", s, fmt.Sprint(f))
			}
		}
	})
}
