package i18n

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"assent/internal/problem"
)

func TestForFallsBackToEnglish(t *testing.T) {
	for in, want := range map[string]string{
		"en": "en", "fa": "fa", "fa-IR": "fa", "FA_ir": "fa", "en-GB": "en", "": "en", "de": "en", "../fa": "en",
	} {
		if got := For(in).Lang(); got != want {
			t.Errorf("For(%q) speaks %s, want %s", in, got, want)
		}
	}
	if For("fa") != For("fa-IR") {
		t.Error("a language has two localizers")
	}
	if For("en").Dir() != "ltr" || For("fa").Dir() != "rtl" {
		t.Error("wrong direction")
	}
}

func TestMatch(t *testing.T) {
	both := []string{"en", "fa"}
	for _, c := range []struct {
		header  string
		offered []string
		want    string
	}{
		{"fa-IR,fa;q=0.9,en;q=0.8", both, "fa"},
		{"en-US,en;q=0.9", both, "en"},
		{"de-DE,de;q=0.9,fa;q=0.2", both, "fa"},
		{"de", both, "en"},
		{"de", []string{"fa", "en"}, "fa"},
		{"", []string{"fa", "en"}, "fa"},
		{"\x00;;q=,,", both, "en"},
		{strings.Repeat("fa,", 400), both, "en"},
		{"fa", nil, "en"},
		{"en;q=0, fa", both, "fa"},
	} {
		if got := Match(c.header, c.offered); got != c.want {
			t.Errorf("Match(%.30q, %v) = %s, want %s", c.header, c.offered, got, c.want)
		}
	}
}

func TestDatesInBothCalendars(t *testing.T) {
	tehran, err := time.LoadLocation("Asia/Tehran")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at     string
		loc    *time.Location
		en, fa string
	}{
		{"2026-11-22T06:44:00Z", tehran, "22 November 2026, 10:14", "۱ آذر ۱۴۰۵، ساعت ۱۰:۱۴"},
		{"2026-03-20T20:29:00Z", tehran, "20 March 2026, 23:59", "۲۹ اسفند ۱۴۰۴، ساعت ۲۳:۵۹"},
		{"2026-03-20T20:30:00Z", tehran, "21 March 2026, 00:00", "۱ فروردین ۱۴۰۵، ساعت ۰۰:۰۰"},
		{"2025-03-20T00:00:00Z", nil, "20 March 2025, 00:00", "۳۰ اسفند ۱۴۰۳، ساعت ۰۰:۰۰"}, // 1403 is a leap year
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := For("en").DateTime(at, c.loc); got != c.en {
			t.Errorf("%s in English: %q, want %q", c.at, got, c.en)
		}
		if got := For("fa").DateTime(at, c.loc); got != c.fa {
			t.Errorf("%s in Persian: %q, want %q", c.at, got, c.fa)
		}
	}
	if s := For("fa").Date(time.Time{}, nil) + For("fa").DateTime(time.Time{}, nil); s != "" {
		t.Errorf("no time is written as %q", s)
	}
	if got := For("fa").Date(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), nil); got != "۹۹۹۹-۰۱-۰۱" {
		t.Errorf("a day outside the Jalali tables: %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64][2]string{
		0:        {"0", "۰"},
		999:      {"999", "۹۹۹"},
		1000:     {"1,000", "۱٬۰۰۰"},
		48210:    {"48,210", "۴۸٬۲۱۰"},
		-1234567: {"-1,234,567", "\u200e−۱٬۲۳۴٬۵۶۷"},
	} {
		if en, fa := For("en").Number(n), For("fa").Number(n); en != want[0] || fa != want[1] {
			t.Errorf("%d is written %q and %q, want %q", n, en, fa, want)
		}
	}
	if got := For("fa").Digits("AB-1405 ٣"); got != "AB-۱۴۰۵ ۳" {
		t.Errorf("Persian digits: %q", got)
	}
	if got := For("en").Digits("۱۴۰۵ ٣"); got != "1405 3" {
		t.Errorf("English digits: %q", got)
	}
}

func TestTextsAndPlurals(t *testing.T) {
	all, err := load(catalogue(
		`{"x.plain":"Hello","x.max":"At most {{.Max}} for {{.Who}}","x.n":{"one":"{{.Count}} mail","other":"{{.Count}} mails"},"x.english":"Only {{.A}}"}`,
		`{"x.plain":"سلام","x.max":"حداکثر {{.Max}} برای {{.Who}}","x.n":{"one":"یک نامه","other":"{{.Count}} نامه"}}`))
	if err != nil {
		t.Fatal(err)
	}
	en, fa := all["en"], all["fa"]
	for _, c := range [][2]string{
		{en.T("x.plain"), "Hello"},
		{fa.T("x.plain"), "سلام"},
		{en.T("x.max", "Max", 1200, "Who", "a3"), "At most 1,200 for a3"},
		{fa.T("x.max", "Max", int64(1200), "Who", "a3"), "حداکثر ۱٬۲۰۰ برای a3"},
		{en.N("x.n", 1), "1 mail"},
		{en.N("x.n", 2000), "2,000 mails"},
		{en.N("x.n", 0), "0 mails"},
		{fa.N("x.n", 0), "۰ نامه"},
		{fa.N("x.n", 1), "یک نامه"},
		{fa.N("x.n", 2000), "۲٬۰۰۰ نامه"},
		{en.T("x.missing"), "x.missing"},
		{fa.T("x.missing", "A", 1), "x.missing"},
		{fa.T("x.english", "A", "b"), "Only b"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
	if fa.Has("x.english") || !en.Has("x.english") || en.Has("x.missing") {
		t.Error("Has does not tell the languages apart")
	}
}

func TestLoadRefusesBrokenCatalogues(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no text":   catalogue(`{"a.b":5}`, `{}`),
		"bad json":  catalogue(`{"a.b":`, `{}`),
		"no folder": {"locales/en/x.json": {Data: []byte(`{}`)}},
		"twice": {"locales/en/x.json": {Data: []byte(`{"a.b":"c"}`)}, "locales/en/y.json": {Data: []byte(`{"a.b":"d"}`)},
			"locales/fa/x.json": {Data: []byte(`{}`)}},
	} {
		if _, err := load(files); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

func catalogue(en, fa string) fstest.MapFS {
	return fstest.MapFS{"locales/en/x.json": {Data: []byte(en)}, "locales/fa/x.json": {Data: []byte(fa)}}
}

func TestProblemTexts(t *testing.T) {
	err := fmt.Errorf("save: %w", problem.InvalidField("name", "problem.field.too-long", "Max", 1000).
		Field("name", "problem.field.utf8").Field("email", "problem.field.required"))
	title, fields := For("fa").Problem(err)
	if title != For("fa").T("problem.invalid") || len(fields) != 2 {
		t.Fatalf("got %q and %v", title, fields)
	}
	if !strings.Contains(fields["name"], "۱٬۰۰۰") {
		t.Errorf("the first fault of a field is not the one told: %q", fields["name"])
	}
	title, fields = For("en").Problem(errors.New("pq: secret detail"))
	if title != For("en").T("problem.internal") || fields != nil {
		t.Errorf("an unexpected error is told as %q %v", title, fields)
	}
}

func TestLocalizerIsSharedSafely(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 200 {
				l := For("fa")
				_ = l.T("problem.field.too-long", "Max", n+1000)
				_ = l.DateTime(time.Unix(int64(n)*86400, 0), nil)
			}
		})
	}
	wg.Wait()
}

func BenchmarkPlainText(b *testing.B) {
	for b.Loop() {
		_ = For("fa").T("problem.not-found")
	}
}

func BenchmarkTextWithNumber(b *testing.B) {
	for b.Loop() {
		_ = For("fa").T("problem.field.too-long", "Max", 1200)
	}
}
