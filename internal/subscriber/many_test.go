package subscriber_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func TestEnsureAll(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		told := 0
		event.ListenAll(w.db, event.SubscriberCreated, func(_ *store.Tx, facts []event.Event) error { told += len(facts); return nil })
		all := []subscriber.New{
			{Address: w.address("bob@example.org"), Name: "Bob"},
			{Address: w.address("ANA@example.org"), Name: "A stranger"},
			{Address: w.address("Bob@example.org"), Name: "Bob again"},
			{Address: w.address("eve@example.org"), Name: "Eve\nBcc: x"},
			{Address: w.address("cleo@example.org"), Language: "fa", Attributes: map[string]any{"n": 1}},
		}
		var out []subscriber.Outcome
		w.write(func(tx *store.Tx) (err error) { out, err = subscriber.EnsureAll(tx, w.brand, all); return err })
		fresh := ""
		for _, o := range out {
			fresh += fmt.Sprint(o.Fresh, o.Refused != nil, " ")
		}
		if fresh != "true false false false false false false true true false " || told != 2 {
			t.Errorf("outcomes %s, told of %d", fresh, told)
		}
		if out[1].ID != ana.ID || out[1].Name != "" || out[2].ID != out[0].ID || out[2].Name != "Bob" || out[3].ID != uuid.Nil || out[4].Language != "fa" {
			t.Errorf("people %+v", out)
		}
		w.write(func(tx *store.Tx) error {
			page, _, err := subscriber.List(tx, w.brand.ID, subscriber.Filter{}, "", 10)
			if len(page) != 3 {
				t.Errorf("%d people", len(page))
			}
			return err
		})
	})
}

// Calls at once with the same addresses in opposite orders make each person once.
func TestEnsureAllAtOnce(t *testing.T) {
	each(t, func(w *world) {
		var there, back []subscriber.New
		for i := range 50 {
			there = append(there, subscriber.New{Address: w.address(fmt.Sprintf("p%d@example.org", i))})
			back = append([]subscriber.New{there[i]}, back...)
		}
		var mu sync.Mutex
		made := map[uuid.UUID]int{}
		var calls sync.WaitGroup
		for i := range 6 {
			calls.Go(func() {
				var out []subscriber.Outcome
				err := w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
					out, err = subscriber.EnsureAll(tx, w.brand, [][]subscriber.New{there, back}[i%2])
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, o := range out {
					if o.Fresh {
						made[o.ID]++
					}
				}
			})
		}
		calls.Wait()
		if len(made) != 50 {
			t.Errorf("%d people were made", len(made))
		}
		for id, n := range made {
			if n != 1 {
				t.Errorf("%s was made %d times", id, n)
			}
		}
	})
}

func TestUpdateAll(t *testing.T) {
	each(t, func(w *world) {
		ana, bob, cleo := w.person("ana@example.org"), w.person("bob@example.org"), w.person("cleo@example.org")
		erased := w.person("erased@example.org")
		other := w.newBrand("other")
		name, bad, fa := "Ana", "a\nb", "fa"
		city := func(v any) map[string]any { return map[string]any{"city": v} }
		var out []subscriber.Outcome
		var told []string
		event.Listen(w.db, event.SubscriberChanged, func(_ *store.Tx, e event.Event) error { told = append(told, fmt.Sprint(e.Data["fields"])); return nil })
		w.write(func(tx *store.Tx) (err error) {
			_, err = tx.Run("UPDATE subscribers SET erased_at = ? WHERE id = ?", tx.Now(), erased.ID)
			w.must(err)
			out, err = subscriber.UpdateAll(tx, w.brand,
				[]uuid.UUID{bob.ID, ana.ID, ana.ID, ana.ID, cleo.ID, erased.ID, uuid.New()},
				[]subscriber.Change{{Language: &fa}, {Name: &name, Attributes: city("Leeds")}, {Name: &bad}, {Attributes: city(nil)}, {}, {Name: &name}, {Name: &name}})
			return err
		})
		var kinds []string
		for _, o := range out {
			p, _ := problem.Of(o.Refused)
			if p == nil {
				kinds = append(kinds, fmt.Sprint(o.Fresh))
			} else {
				kinds = append(kinds, p.Kind.String())
			}
		}
		if got := strings.Join(kinds, " "); got != "true true invalid true false gone not-found" {
			t.Errorf("outcomes %s", got)
		}
		if got := strings.Join(told, " "); got != "[language] [name attributes] [attributes]" {
			t.Errorf("told %s", got)
		}
		w.write(func(tx *store.Tx) error {
			a, err := subscriber.Find(tx, w.brand.ID, ana.ID)
			w.must(err)
			b, err := subscriber.Find(tx, w.brand.ID, bob.ID)
			w.must(err)
			if a.Name != "Ana" || len(a.Attributes) != 0 || a.Email != "ana@example.org" || b.Language != "fa" || !bytes.Equal(a.AddressHash, ana.AddressHash) {
				t.Errorf("they are %+v and %+v", a, b)
			}
			theirs, err := subscriber.UpdateAll(tx, other, []uuid.UUID{ana.ID}, []subscriber.Change{{Name: &fa}})
			if err == nil && !problem.Is(theirs[0].Refused, problem.NotFound) {
				t.Errorf("another brand changed somebody: %+v", theirs)
			}
			return err
		})
	})
}

// Everybody's key is their own, made once, and never for someone erased.
func TestSealAll(t *testing.T) {
	each(t, func(w *world) {
		ana, bob, erased := w.person("ana@example.org"), w.person("bob@example.org"), w.person("erased@example.org")
		ids, plain := []uuid.UUID{ana.ID, bob.ID, ana.ID}, [][]byte{[]byte("a"), []byte("b"), []byte("c")}
		var sealed [][]byte
		for range 2 {
			w.write(func(tx *store.Tx) (err error) {
				if sealed, err = subscriber.SealAll(tx, ids, plain); err != nil {
					return err
				}
				for i, id := range ids {
					if got, err := subscriber.Open(tx, id, sealed[i]); err != nil || !bytes.Equal(got, plain[i]) {
						t.Errorf("%d opens as %q, %v", i, got, err)
					}
				}
				if _, err := subscriber.Open(tx, bob.ID, sealed[0]); err == nil {
					t.Error("one person's key opens another's")
				}
				return nil
			})
		}
		err := w.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE subscribers SET erased_at = ? WHERE id = ?", tx.Now(), erased.ID)
			w.must(err)
			_, err = subscriber.SealAll(tx, []uuid.UUID{ana.ID, erased.ID}, plain[:2])
			return err
		})
		if !problem.Is(err, problem.Gone) {
			t.Errorf("for someone erased: %v", err)
		}
	})
}
