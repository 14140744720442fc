package subscriber_test

import (
	"encoding/json"
	"net/mail"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"assent/internal/problem"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60)
	for raw, want := range map[string]string{
		"ana@example.org":                   "ana@example.org",
		"  Ana.B+News@Example.ORG\t":        "ana.b+news@example.org",
		"\u200eana@example.org\u200f":       "ana@example.org", // marks of direction come with copied Persian text
		"ana@BÜCHER.example":                "ana@xn--bcher-kva.example",
		"ana@xn--bcher-kva.example":         "ana@xn--bcher-kva.example",
		"jose\u0301@example.org":            "josé@example.org", // composed
		"JOSÉ@example.org":                  "josé@example.org",
		"علی@مثال.ایران":                    "علی@xn--mgbh0fb.xn--mgba3a4f16a",
		"a@1.example":                       "a@1.example",
		"o'hara@example.org":                "o'hara@example.org",
		"a@" + long + ".org":                "a@" + long + ".org",
		strings.Repeat("l", 64) + "@ex.org": strings.Repeat("l", 64) + "@ex.org",
	} {
		a, err := subscriber.ParseAddress(raw)
		if err != nil || a.Normal != want {
			t.Errorf("%q: %q, %v; want %q", raw, a.Normal, err, want)
		}
	}
	for raw, key := range map[string]string{
		"":                                  "problem.field.required",
		" \t":                               "problem.field.required",
		"\xff@example.org":                  "problem.field.utf8",
		"ana":                               "subscriber.address.shape",
		"@example.org":                      "subscriber.address.shape",
		"ana@":                              "subscriber.address.shape",
		"ana@b@example.org":                 "subscriber.address.shape",
		"ana@example.org\r\nBcc: x@y.org":   "subscriber.address.characters",
		"ana@example.org\n":                 "subscriber.address.characters",
		"an a@example.org":                  "subscriber.address.characters",
		"an\x00a@example.org":               "subscriber.address.characters",
		"an\u200da@example.org":             "subscriber.address.characters", // looks like another address
		"an\u202ea@example.org":             "subscriber.address.characters",
		`"ana"@example.org`:                 "subscriber.address.local",
		"ana..b@example.org":                "subscriber.address.local",
		".ana@example.org":                  "subscriber.address.local",
		"ana.@example.org":                  "subscriber.address.local",
		"ana<b>@example.org":                "subscriber.address.local",
		"ana,b@example.org":                 "subscriber.address.local",
		"ana@[192.0.2.1]":                   "subscriber.address.domain",
		"ana@192.0.2.1":                     "subscriber.address.domain",
		"ana@-example.org":                  "subscriber.address.domain",
		"ana@exam_ple.org":                  "subscriber.address.domain",
		"ana@example..org":                  "subscriber.address.domain",
		"ana@example.org.":                  "subscriber.address.domain",
		"ana@gmail":                         "subscriber.address.dot",
		strings.Repeat("l", 65) + "@ex.org": "subscriber.address.long",
		"ana@" + strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + "." + strings.Repeat("d", 60) + ".example": "subscriber.address.long",
	} {
		_, err := subscriber.ParseAddress(raw)
		p, ok := problem.Of(err)
		if !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != "email" || p.Fields[0].Key != key {
			t.Errorf("%q: %v, want %s", raw, err, key)
		}
	}
}

// The published addresses: what is valid there is taken and all else refused,
// but for what is named here with its reason.
func TestParseAddressOnPublishedOnes(t *testing.T) {
	raw, err := os.ReadFile(testkit.Data(t, "addresses/tests.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{
		"test@io":  "no mail goes to a domain without a dot (RFC 7085)",
		"test@org": "no mail goes to a domain without a dot (RFC 7085)",
	}
	taken := map[string]string{
		" test@iana.org": "white space around is what copying leaves",
		"test@iana.org ": "white space around is what copying leaves",
	}
	valid := 0
	for _, x := range all {
		_, err := subscriber.ParseAddress(x[0])
		want := x[1] == "valid"
		if want {
			valid++
		}
		if _, ok := refused[x[0]]; ok || strings.ContainsRune(x[0], '\U000103ff') { // a character that Unicode has not assigned
			want = false
		}
		if _, ok := taken[x[0]]; ok {
			want = true
		}
		if (err == nil) != want {
			t.Errorf("%q (%s): %v", x[0], x[1], err)
		}
	}
	if len(all) < 200 || valid < 20 {
		t.Errorf("only %d addresses, %d of them valid", len(all), valid)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"ana@example.org", "علی@مثال.ایران", "a@b\r\n.org", "\"a b\"@c.org", "a@xn--a.org", "ß@ß.de", "İ@İ.org", "a@\u200d.org", "Å@Å.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := subscriber.ParseAddress(raw)
		if err != nil {
			if !problem.Is(err, problem.Invalid) {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		for _, s := range []string{a.Typed, a.Normal} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) ||
				strings.ContainsAny(s, "<>()[],;:\"\\") || strings.Count(s, "@") != 1 {
				t.Fatalf("%q gives %q", raw, s)
			}
		}
		if len(a.Normal) > 254 || !norm.NFC.IsNormalString(a.Normal) {
			t.Fatalf("%q gives %q", raw, a.Normal)
		}
		if p, err := mail.ParseAddress(a.Normal); err != nil || p.Address != a.Normal || p.Name != "" {
			t.Fatalf("%q gives %q, which net/mail reads as %v, %v", raw, a.Normal, p, err)
		}
		for _, s := range []string{a.Typed, a.Normal} { // normal is the same from either
			again, err := subscriber.ParseAddress(s)
			if err != nil || again.Normal != a.Normal {
				t.Fatalf("%q gives %q, which gives %q, %v", raw, s, again.Normal, err)
			}
		}
	})
}

func BenchmarkParseAddress(b *testing.B) {
	for b.Loop() {
		if _, err := subscriber.ParseAddress(" Ana.Benedetti+news@Example.org"); err != nil {
			b.Fatal(err)
		}
	}
}
