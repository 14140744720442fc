package delivery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Pages through messages of several streams give each once, newest first, and
// none of another brand; a filter finds what ListMessages finds.
func TestSearchPagesThroughAllStreams(t *testing.T) {
	each(t, func(w *world) {
		var people []subscriber.Subscriber
		for i := range searchFirst + 4 { // more than a chunk of one stream
			people = append(people, w.person(fmt.Sprintf("p%d@example.org", i)))
		}
		var sources []uuid.UUID
		for range 3 {
			w.pass(time.Minute)
			sources = append(sources, w.campaign(people...))
			w.pass(time.Minute)
			w.confirmation(people[0])
		}
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'uncertain' WHERE source_id = ? AND subscriber_id = ?", sources[0], people[3].ID)
			return err
		})
		search := func(q Wanted, limit int) (all []Message) {
			for range 200 {
				var page []Message
				var next uuid.UUID
				w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { page, next, err = Search(tx, w.brand.ID, q, limit); return err }))
				all = append(all, page...)
				if next == uuid.Nil {
					return all
				}
				q.Before = next
			}
			t.Fatal("the pages do not end")
			return nil
		}
		listed := func(q Query) (all []Message) {
			q.Limit = 100
			w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { all, err = ListMessages(tx, w.brand.ID, q); return err }))
			return all
		}
		ids := func(page []Message) (all []uuid.UUID) {
			for _, m := range page {
				all = append(all, m.ID)
			}
			return all
		}
		if all := listed(Query{}); len(all) != 3*(searchFirst+5) {
			t.Fatalf("%d messages", len(all))
		}
		for name, c := range map[string]struct {
			q    Wanted
			want []Message
		}{
			"all":       {Wanted{}, listed(Query{})},
			"a stream":  {Wanted{Stream: sources[1]}, listed(Query{Stream: sources[1]})},
			"a source":  {Wanted{Source: sources[2]}, listed(Query{Source: sources[2]})},
			"a person":  {Wanted{Subscriber: people[0].ID}, listed(Query{Subscriber: people[0].ID})},
			"a state":   {Wanted{State: Uncertain}, listed(Query{State: Uncertain})},
			"a kind":    {Wanted{Kind: Confirm}, slices.DeleteFunc(listed(Query{}), func(m Message) bool { return m.Kind != Confirm })},
			"elsewhere": {Wanted{Stream: uuid.New()}, nil},
		} {
			for _, limit := range []int{1, 2, 4, 50} {
				if got := search(c.q, limit); !slices.Equal(ids(got), ids(c.want)) {
					t.Errorf("%s by %d: %v, want %v", name, limit, ids(got), ids(c.want))
				}
			}
		}
		var none []Message
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) {
			none, _, err = Search(tx, uuid.New(), Wanted{Stream: sources[0]}, 50)
			return err
		}))
		if len(none) > 0 {
			t.Errorf("another brand sees %d", len(none))
		}
	})
}
