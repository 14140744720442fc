package offer

import (
	"strings"
	"testing"
	"time"

	"assent/internal/i18n"
)

func TestCodesAreGroupedAndUnambiguous(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ slug, prefix string }{{"narenj", "NAR-"}, {"o1-shop", "SH"}, {"0-1", ""}, {"io", ""}, {"a", "A-"}} {
		for range 200 {
			code := newCode(c.slug)
			if !strings.HasPrefix(code, c.prefix) || seen[code] {
				t.Fatalf("code %s of %s", code, c.slug)
			}
			seen[code] = true
			if signs := strings.ReplaceAll(code, "-", ""); strings.ContainsAny(signs, "01IO") || len(signs)-len(prefix(c.slug)) != codeSigns {
				t.Fatalf("code %s", code)
			}
			if again, ok := readCode(code); !ok || again != code {
				t.Fatalf("%s is read as %q, %v", code, again, ok)
			}
		}
	}
}

func TestCodesAreReadAsTyped(t *testing.T) {
	const code = "NAR-7Q2K-4MXD-H8TE"
	for _, typed := range []string{code, "nar-7q2k-4mxd-h8te", "NAR7Q2K4MXDH8TE", " nar 7q2k 4mxd h8te ", "NAR-۷Q۲K-۴MXD-H۸TE",
		"nar–7q2k–4mxd–h8te", "N-A-R7Q2K4MXDH8TE", "\u200eNAR-7Q2K-4MXD-H8TE\u200f", "NAR-٧Q٢K-٤MXD-H٨TE"} {
		if got, ok := readCode(typed); !ok || got != code {
			t.Errorf("%q is read as %q, %v", typed, got, ok)
		}
	}
	for _, typed := range []string{"", "NAR", "NAR-7Q2K-4MXD", "NARE-7Q2K-4MXD-H8TE", "NAR-0Q2K-4MXD-H8TE", "NAR-7Q2K-4MXD-H8T'", strings.Repeat("A", 1000), "نارنج", "NAR_7Q2K_4MXD_H8TE"} {
		if got, ok := readCode(typed); ok {
			t.Errorf("%q is read as %q", typed, got)
		}
	}
}

func FuzzReadCode(f *testing.F) {
	for _, s := range []string{"NAR-7Q2K-4MXD-H8TE", "nar 7q2k", "۷۲۴", "\xff\xfe", "\u200e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := readCode(typed)
		if !ok {
			return
		}
		if again, ok := readCode(code); !ok || again != code {
			t.Fatalf("%q is read as %q, and that as %q", typed, code, again)
		}
		if strings.Trim(code, alphabet+"-") != "" {
			t.Fatalf("%q is read as %q", typed, code)
		}
	})
}

func TestWorthAsPeopleReadIt(t *testing.T) {
	for _, c := range []struct {
		offer  Offer
		en, fa string
	}{
		{Offer{ValueKind: Percent, Value: 15}, "15%", "۱۵٪"},
		{Offer{ValueKind: Gift}, "a gift", "یک هدیه"},
		{Offer{ValueKind: Amount, Value: 1000, Currency: "EUR"}, "€10", "۱۰ یورو"},
		{Offer{ValueKind: Amount, Value: 1205, Currency: "USD"}, "$12.05", "۱۲٫۰۵ دلار"},
		{Offer{ValueKind: Amount, Value: 123456789, Currency: "GBP"}, "£1,234,567.89", "۱٬۲۳۴٬۵۶۷٫۸۹ پوند"},
		{Offer{ValueKind: Amount, Value: 1500, Currency: "JPY"}, "JPY 1,500", "۱٬۵۰۰ JPY"},
		{Offer{ValueKind: Amount, Value: 1500, Currency: "KWD"}, "KWD 1.500", "۱٫۵۰۰ KWD"},
		{Offer{ValueKind: Amount, Value: 5, Currency: "CHF"}, "CHF 0.05", "۰٫۰۵ CHF"},
	} {
		if got := c.offer.Worth(i18n.For("en")); got != c.en {
			t.Errorf("%+v in English: %s, want %s", c.offer, got, c.en)
		}
		if got := c.offer.Worth(i18n.For("fa")); got != c.fa {
			t.Errorf("%+v in Persian: %s, want %s", c.offer, got, c.fa)
		}
	}
}

func TestMonthsBefore(t *testing.T) {
	for _, c := range []struct {
		from, want string
		n          int
	}{
		{"2026-11-22", "2026-05-22", 6}, {"2026-03-31", "2026-02-28", 1}, {"2028-03-31", "2028-02-29", 1},
		{"2026-01-31", "2025-12-31", 1}, {"2026-12-31", "2026-11-30", 1}, {"2026-02-28", "2025-02-28", 12},
	} {
		from, _ := time.Parse(time.DateOnly, c.from)
		if got := monthsBefore(from, c.n).Format(time.DateOnly); got != c.want {
			t.Errorf("%d months before %s is %s, want %s", c.n, c.from, got, c.want)
		}
	}
}

// A code holds to the end of the day that its mail names, where the person lives.
func TestExpiryIsTheEndOfTheDayNamed(t *testing.T) {
	for _, zone := range []string{"Asia/Tehran", "America/New_York", "Africa/Cairo", "Pacific/Auckland", "UTC"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		o := Offer{ValidDays: 30, Texts: map[string]Text{"en": {}}}
		for now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); now.Year() < 2027; now = now.Add(7 * time.Hour) {
			end := o.expiry(now, loc)
			last := now.In(loc).AddDate(0, 0, 30).Format("2 January 2006")
			named := o.values(Code{ExpiresAt: end}, "en", loc)["offer"].(map[string]any)["expires_at"]
			if named != last {
				t.Fatalf("issued %s: the mail says %s, want %s", now.In(loc), named, last)
			}
			if next := end.In(loc); next.Add(time.Second).Format("2 January 2006") == last && next.Hour() < 23 {
				t.Fatalf("issued %s: over at %s", now.In(loc), next)
			}
		}
	}
}

func BenchmarkReadCode(b *testing.B) {
	for b.Loop() {
		readCode("nar-7q2k-4mxd-h8te")
	}
}
