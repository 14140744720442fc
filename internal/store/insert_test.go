package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Every type and every NULL comes back as it went in, for one row and for many.
func TestInsertAll(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		const columns = "id uuid, at timestamptz, brand_id uuid, subscriber_id uuid, kind text, source_id uuid, message_id uuid, data jsonb"
		type fact struct {
			ID           uuid.UUID
			At           time.Time
			SubscriberID *uuid.UUID
			SourceID     *uuid.UUID
			Kind, Data   string
		}
		at := time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)
		for _, n := range []int{0, 1, 2, 5000} { // 5,000 rows have more values than SQLite takes at once
			person, rows := uuid.New(), make([][]any, n)
			for i := range rows {
				rows[i] = []any{store.NewID(at), at, person, &person, fmt.Sprintf("k'%d,\"{}\\", i), nil, (*uuid.UUID)(nil), `{"a": 1}`}
			}
			var found []fact
			must(t, db.Write(t.Context(), func(tx *store.Tx) error {
				written, err := tx.InsertAll("events", columns, rows, "")
				if err != nil || int(written) != n {
					return fmt.Errorf("%d of %d written: %w", written, n, err)
				}
				return tx.Raw("SELECT * FROM events WHERE brand_id = ?", person).Scan(&found).Error
			}))
			if len(found) != n {
				t.Fatalf("%d of %d are there", len(found), n)
			}
			kinds := map[string]bool{}
			for _, f := range found {
				kinds[f.Kind] = true
				if !f.At.Equal(at) || *f.SubscriberID != person || f.SourceID != nil || f.Data != `{"a": 1}` {
					t.Fatalf("kept %+v", f)
				}
			}
			for i := range n {
				if !kinds[rows[i][4].(string)] {
					t.Fatalf("row %d of %d is not there", i, n)
				}
			}
		}
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			rows := [][]any{{"a", "1"}, {"b", "2"}, {"a", "3"}}
			if n, err := tx.InsertAll("installation", "key text, value text", rows, "ON CONFLICT (key) DO NOTHING"); err != nil || n != 2 {
				t.Errorf("%d of two names written, %v", n, err)
			}
			return nil
		}))
	})
}

func TestAnAttemptIsUndone(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		stop := errors.New("stop")
		hooks := ""
		must(t, db.Write(t.Context(), func(tx *store.Tx) error {
			put := func(key string) error {
				tx.AfterCommit(func() { hooks += key })
				_, err := tx.Run("INSERT INTO installation (key, value) VALUES (?, '1')", key)
				return err
			}
			must(t, put("a"))
			if err := tx.Attempt(func() error { return errors.Join(put("b"), stop) }); !errors.Is(err, stop) {
				t.Errorf("the attempt ends with %v", err)
			}
			must(t, tx.Attempt(func() error { return put("c") }))
			for key, end := range map[string]error{"e": nil, "f": stop} { // one within another
				err := tx.Attempt(func() error {
					must(t, put(key))
					if err := tx.Attempt(func() error { return errors.Join(put("d"), stop) }); !errors.Is(err, stop) {
						t.Errorf("the inner attempt ends with %v", err)
					}
					return end
				})
				if !errors.Is(err, end) {
					t.Errorf("the outer attempt ends with %v", err)
				}
			}
			return nil
		}))
		var kept string
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Raw("SELECT string_agg(key, '') FROM (SELECT key FROM installation WHERE value = '1' ORDER BY key) k").Scan(&kept).Error
		}))
		if kept != "ace" || hooks != "ace" {
			t.Errorf("kept %q, hooks %q, want ace", kept, hooks)
		}
	})
}
