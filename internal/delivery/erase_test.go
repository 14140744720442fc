package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// What waits for the team and speaks of somebody erased, or goes to an address of
// theirs, goes to nobody; what was sent keeps nothing of them; the rest stays.
func TestMailsToTheTeamForgetThem(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@x.example")
		stream := uuid.Nil
		queue := func(to, about string) (source uuid.UUID) {
			w.write(func(tx *store.Tx) (err error) {
				if stream, err = BrandStream(tx, w.brand.ID, OriginTest); err != nil {
					return err
				}
				source = tx.NewID()
				_, _, err = Queue(tx, Draft{Source: source, Stream: stream, Brand: w.brand.ID, Kind: Test, Template: "request-due", Language: "en",
					Recipient: to, Data: map[string]any{"about": about}, Due: tx.Now().Add(time.Hour)})
				return err
			})
			return source
		}
		speaks, reaches, other := queue("mina@baharan.example", "of ANA@x.example."), queue("ana@x.example", ""), queue("mina@baharan.example", "of diana@x.example")
		held := queue("mina@baharan.example", "ana@x.example")
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE outbox SET node_id = ? WHERE id = (SELECT id FROM messages WHERE source_id = ?)", tx.NewID(), held)
			return err
		})
		w.write(func(tx *store.Tx) error { return Erase(tx, ana.Forget(w.brand)) })
		w.mustBe(speaks, Skipped, ReasonErased)
		w.mustBe(reaches, Skipped, ReasonErased)
		if m := w.mustBe(other, Queued, ""); m.Data["about"] != "of diana@x.example" || m.Recipient != "mina@baharan.example" {
			t.Errorf("about another: %+v", m)
		}
		if m := w.mustBe(held, Claimed, ""); len(m.Data) != 0 || m.Recipient != "" {
			t.Errorf("in hand: %+v", m)
		}
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE outbox SET node_id = NULL WHERE id = (SELECT id FROM messages WHERE source_id = ?)", held)
			return err
		})
		w.pass(2 * time.Hour)
		w.deliver("service")
		w.mustBe(held, Skipped, ReasonErased)
		if got := w.smtp.To("ana@x.example"); len(got) != 0 {
			t.Errorf("%d mails to somebody erased", len(got))
		}
	})
}

// The name of somebody erased goes out of what was sent in it, and nothing more is
// sent; what the receiver has asked for themself goes its way.
func TestANameIsTakenOutOfAMail(t *testing.T) {
	each(t, func(w *world) {
		ben := w.person("ben@x.example")
		source := store.NewID(w.db.Now())
		for part, data := range []map[string]any{{"by": "Ana", "ip": "192.0.2.1"}, {"by": "Ana"}, {"ip": "192.0.2.2"}} {
			w.write(func(tx *store.Tx) error {
				stream, err := BrandStream(tx, w.brand.ID, OriginConfirm)
				if err != nil {
					return err
				}
				if part == 1 { // the first was sent
					if _, err := tx.Run("DELETE FROM outbox"); err != nil {
						return err
					}
					if _, err := tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE source_id = ?", tx.Now(), source); err != nil {
						return err
					}
				}
				_, _, err = Queue(tx, Draft{Source: source, Stream: stream, Brand: w.brand.ID, Subscriber: &ben.ID, Part: part, Kind: Confirm, Template: "invite",
					Language: "en", Data: data, Due: tx.Now().Add(time.Hour)})
				return err
			})
		}
		w.write(func(tx *store.Tx) error { return Unname(tx, w.brand.ID, source, "by") })
		w.write(func(tx *store.Tx) error {
			all, err := ListMessages(tx, w.brand.ID, Query{Source: source, Limit: 5})
			if err != nil {
				return err
			}
			states := map[int]State{}
			for _, m := range all {
				states[m.Part] = m.State
				if m.Data["by"] != nil {
					t.Errorf("part %d says %v", m.Part, m.Data)
				}
				if m.Part == 0 && m.Data["ip"] != "192.0.2.1" {
					t.Errorf("more is gone than the name: %v", m.Data)
				}
			}
			if states[0] != Sent || states[1] != Skipped || states[2] != Queued {
				t.Errorf("they stand at %v", states)
			}
			return nil
		})
	})
}
