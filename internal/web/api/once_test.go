package api_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
	"assent/internal/testkit"
	"assent/internal/web/api"
)

func migrated(t testing.TB) string {
	t.Helper()
	return testkit.SQLiteTemplate(t, "migrated", migrate)
}

// Any number of the same request at once have one effect and one answer.
func TestHundredDuplicatesOneEffect(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		before := len(h.get("/campaigns?limit=200").items())
		body := map[string]any{"name": "Once", "topic": "letters", "texts": []any{map[string]any{"language": "en", "subject": "S & <b>", "html": "H"}}}
		answers := make([]response, 100)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = h.post("/campaigns", body, "Idempotency-Key", "the-same") })
		}
		wg.Wait()
		for i, a := range answers {
			if a.status != 201 || !bytes.Equal(bytes.TrimSpace(a.raw), bytes.TrimSpace(answers[0].raw)) || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("answer %d is %d %s %s, the first %s", i, a.status, a.header.Get("Content-Type"), a.raw, answers[0].raw)
			}
		}
		if n := len(h.get("/campaigns?limit=200").items()); n != before+1 {
			t.Errorf("%d campaigns were made, want one", n-before)
		}
	})
}

func TestIdempotencyKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		id := uuid.MustParse(h.brand)
		topic := func(slug string) map[string]any {
			return map[string]any{"slug": slug, "texts": map[string]any{"en": map[string]any{"name": "N", "wording": "W"}}}
		}
		first := h.post("/topics", topic("one"), "Idempotency-Key", "k1").must(201)
		if again := h.post("/topics", topic("one"), "Idempotency-Key", `"k1"`).must(201); again.str("id") != first.str("id") {
			t.Error("the key in quotes is another one")
		}
		h.post("/topics", topic("two"), "Idempotency-Key", "k1").problem(422, "api.idempotency-mismatch")
		h.post("/forms", topic("one"), "Idempotency-Key", "k1").must(422)
		h.post("/topics", topic("one"), "Idempotency-Key", "k2").problem(409, "consent.topic.taken")
		for _, bad := range []string{"", "a b", "ü", string(bytes.Repeat([]byte("k"), 256))} {
			h.post("/topics", topic("three"), "Idempotency-Key", bad).problem(422, "problem.invalid")
		}

		// What failed is not kept: the same request may succeed later.
		h.post("/campaigns/"+h.campaign+"/pause", nil, "Idempotency-Key", "k3").must(409)
		h.post("/campaigns/"+h.campaign+"/schedule", map[string]any{}).must(200)
		h.post("/campaigns/"+h.campaign+"/cancel", nil, "Idempotency-Key", "k3").must(200)

		// Another key of the same brand has its own.
		w.ask(w.key(&id, "*"), "POST", "/topics", topic("four"), "Idempotency-Key", "k1").must(201)

		w.now.Add((24 * time.Hour).Microseconds())
		h.post("/topics", topic("five"), "Idempotency-Key", "k1").must(201)
		w.now.Add((24 * time.Hour).Microseconds())
		if err := w.db.Write(context.Background(), api.Sweep); err != nil {
			t.Fatal(err)
		}
		err := w.db.Read(context.Background(), func(tx *store.Tx) error {
			var n int64
			err := tx.Raw("SELECT count(*) FROM idempotency_keys").Scan(&n).Error
			if n != 0 {
				t.Errorf("%d keys outlive the sweep", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A brand is made once though its key is made outside of the transaction.
func TestBrandIsMadeOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.key(nil, "*")
		body := map[string]any{"slug": "north-tea", "name": "N", "postal_address": "A", "sender_email": "a@north.example", "language": "en", "time_zone": "UTC"}
		var ids sync.Map
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ids.Store(w.ask(root, "POST", "/brands", body, "Idempotency-Key", "b").must(201).str("id"), true)
			})
		}
		wg.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if n != 1 || len(w.ask(root, "GET", "/brands", nil).items()) != 1 {
			t.Errorf("%d brands were answered", n)
		}
		if dns := w.ask(root, "GET", "/brand", nil, "Assent-Brand", "north-tea").object()["dns"].([]any); len(dns) != 1 {
			t.Errorf("dns %v", dns)
		}
	})
}

// Of a hundred who redeem one code at once, one wins; the others are told why,
// and the refusals are facts.
func TestOneWinsTheCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		h := w.house(w.key(nil, "*"), "north-tea")
		code := h.issue()
		path := "/offers/" + h.offer + "/redemptions"
		var won, lost atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				order := fmt.Sprint(1000 + i)
				switch r := h.post(path, map[string]any{"code": code, "order": order}, "Idempotency-Key", "r"+order); r.status {
				case 200:
					won.Add(1)
					winner.Store(order)
				case 409:
					r.problem(409, "offer.redeemed-already")
					lost.Add(1)
				default:
					t.Errorf("order %s got %d: %s", order, r.status, r.raw)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 99 {
			t.Fatalf("%d won and %d lost", won.Load(), lost.Load())
		}
		order := winner.Load().(string)
		for _, headers := range [][]string{nil, {"Idempotency-Key", "r" + order}} {
			if got := h.post(path, map[string]any{"code": code, "order": order}, headers...).must(200).object(); got["order"] != order {
				t.Errorf("the winner asking again gets %v", got)
			}
		}
		if n := len(h.get("/events?kind=offer.refused&limit=200").items()); n != 99 {
			t.Errorf("%d refusals are kept, want 99", n)
		}
		h.post(path, map[string]any{"code": "NO-SUCH-CODE", "order": "1"}).problem(404, "offer.code-unknown")
		if got := h.get("/offers/" + h.offer + "/codes").items()[0]; got["redeemed_for"] != order {
			t.Errorf("the code is %v", got)
		}
	})
}

func BenchmarkRecordOrder(b *testing.B) {
	w := open(b, migrated(b))
	h := w.house(w.key(nil, "*"), "north-tea")
	n := 0
	for b.Loop() {
		n++
		h.post("/orders", map[string]any{"number": fmt.Sprint("b", n), "email": "ana@example.org", "placed_at": "2026-11-20T10:00:00Z", "total": map[string]any{"amount": 1, "currency": "GBP"}, "items": 1}).must(201)
	}
}

func BenchmarkGetSubscriber(b *testing.B) {
	w := open(b, migrated(b))
	h := w.house(w.key(nil, "*"), "north-tea")
	for b.Loop() {
		h.get("/subscribers/" + h.person).must(200)
	}
}
