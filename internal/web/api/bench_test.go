package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"assent/internal/testkit"
)

// A thousand people a call with one consent, and with three.
func BenchmarkBatch(b *testing.B) {
	for _, topics := range [][]string{{"letters"}, {"letters", "opens", "clicks"}} {
		for name, dsn := range map[string]func(testing.TB) string{
			"postgres": func(tb testing.TB) string { return testkit.PostgresTemplate(tb, "migrated", migrate) },
			"sqlite":   func(tb testing.TB) string { return testkit.SQLiteTemplate(tb, "migrated", migrate) },
		} {
			b.Run(fmt.Sprintf("%s-%d", name, len(topics)), func(b *testing.B) {
				w := open(b, dsn(b))
				h := w.house(w.key(nil, "*"), "north-tea")
				var n atomic.Int64
				b.SetParallelism(2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						postThousand(b, h, int(n.Add(1)), topics)
					}
				})
				b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "people/s")
			})
		}
	}
}

func postThousand(b *testing.B, h house, call int, topics []string) {
	rows := make([]map[string]any, 1000)
	for i := range rows {
		var consents []map[string]any
		for _, t := range topics {
			consents = append(consents, map[string]any{"topic": t, "basis": "operator", "wording": "Yes, write to me.", "evidence": map[string]any{"sheet": i}})
		}
		rows[i] = map[string]any{"email": fmt.Sprintf("p%d-%d@example.org", call, i), "name": "Ana", "language": "en",
			"attributes": map[string]any{"city": "Leeds"}, "consents": consents}
	}
	raw, err := json.Marshal(map[string]any{"subscribers": rows})
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest("POST", "/api/v1/subscribers/batch", strings.NewReader(string(raw)))
	req.Header.Set("Authorization", "Bearer "+h.key)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.e.ServeHTTP(rec, req)
	var got struct{ Created int }
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 || got.Created != 1000 {
		b.Fatalf("%d %.300s", rec.Code, rec.Body)
	}
}
