package importer

import (
	"strings"
	"testing"

	"assent/internal/consent"
	"assent/internal/testkit"
)

// 200,000 rows of a new list, with a permission each and its evidence.
func BenchmarkImport(b *testing.B) {
	const rows = 200_000
	for name, dsn := range map[string]func(testing.TB) string{
		"postgres": func(tb testing.TB) string { return testkit.PostgresTemplate(tb, "migrated", prepare) },
		"sqlite":   func(tb testing.TB) string { return testkit.SQLiteTemplate(tb, "migrated", prepare) },
	} {
		b.Run(name, func(b *testing.B) {
			var text strings.Builder
			text.WriteString("email,name,language,tags,consent date,source,words,city,shop,number\n")
			for range rows {
				text.WriteString("person")
				text.WriteString(itoa(text.Len()))
				text.WriteString("@example.org,Sara Ahmadi,en,vip,2026-03-01,https://old.example/form,\"Yes, write to me.\",Leeds,north,17\n")
			}
			for range b.N {
				b.StopTimer()
				w := newWorld(b, dsn(b))
				i := w.bring(text.String(), Evidence{Basis: consent.BasisExplicit}, w.letter)
				b.StartTimer()
				if got := w.work(i); got.Recorded != rows {
					b.Fatal(got.told())
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
