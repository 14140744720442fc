package consent_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

func eachBench(b *testing.B, bench func(b *testing.B, w *world)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, newWorld(b, testkit.SQLiteTemplate(b, "consent", prepare))) })
	b.Run("postgres", func(b *testing.B) { bench(b, newWorld(b, testkit.PostgresTemplate(b, "consent", prepare))) })
}

// A confirmation: the person, the event with leaf and evidence, the permission.
func BenchmarkRecord(b *testing.B) {
	eachBench(b, func(b *testing.B, w *world) {
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				a, err := subscriber.ParseAddress(fmt.Sprintf("p%d@example.org", n.Add(1)))
				if err != nil {
					b.Fatal(err)
				}
				err = w.db.Write(b.Context(), func(tx *store.Tx) error {
					s, _, err := subscriber.Ensure(tx, w.brand, subscriber.New{Address: a})
					if err != nil {
						return err
					}
					_, err = consent.Record(tx, w.act(s, consent.Given))
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkMay(b *testing.B) {
	eachBench(b, func(b *testing.B, w *world) {
		s := w.person(w.brand, "ana@example.org")
		w.mustRecord(w.act(s, consent.Given))
		b.ResetTimer()
		for range b.N {
			if !w.may(s).Allowed {
				b.Fatal("given, and may not")
			}
		}
	})
}
