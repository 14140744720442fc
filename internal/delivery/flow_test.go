package delivery

import (
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/store"
)

func TestFlowsSayWhatHoldsMailsBack(t *testing.T) {
	each(t, func(w *world) {
		flows := func() (all []Flow) {
			w.write(func(tx *store.Tx) (err error) { all, err = Flows(tx, w.brand.ID); return err })
			return all
		}
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		source := w.campaign(ana, bob)
		if f := flows(); len(f) != 1 || f[0].ID != source || f[0].Waiting != 2 || f[0].Oldest == nil {
			t.Fatalf("%+v", f)
		}
		now := w.db.Now().In(w.brand.Location())
		from, until := now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04")
		w.change(brand.Change{QuietFrom: &from, QuietUntil: &until})
		w.deliver("bulk")
		if f := flows(); len(f) != 1 || f[0].Later != 2 || f[0].HeldFor[reasonQuiet] != 2 || f[0].Oldest != nil {
			t.Fatalf("%+v", f)
		}
		w.pass(2 * time.Hour)
		w.deliver("bulk")
		if f := flows(); len(f) != 0 {
			t.Errorf("all is sent, and these flow: %+v", f)
		}
		w.write(func(tx *store.Tx) error { return PauseStream(tx, w.brand.ID, source) })
		if f := flows(); len(f) != 1 || f[0].PausedAt == nil || f[0].Sent != 2 {
			t.Errorf("%+v", f)
		}
	})
}
