package importer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"assent/internal/consent"
	"assent/internal/store"
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
				before := used(w)
				b.StartTimer()
				if got := w.work(i); got.Recorded != rows {
					b.Fatal(got.told())
				}
				b.ReportMetric((used(w)-before).Seconds()*1e6/rows, "cpu-µs/row") // of this program and its database
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// used is the processor time of this process and of PostgreSQL's for its
// database: on a machine that others use too the clock says little.
func used(w *world) time.Duration {
	var self syscall.Rusage
	w.must(syscall.Getrusage(syscall.RUSAGE_SELF, &self))
	all := time.Duration(self.Utime.Nano() + self.Stime.Nano())
	if w.db.Dialect() != store.Postgres {
		return all
	}
	var pids []int
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").Scan(&pids).Error
	})
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, ticks := range fields[11:13] {
			n, _ := strconv.ParseInt(ticks, 10, 64)
			all += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return all
}
