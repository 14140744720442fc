package delivery

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"assent/internal/event"
	"assent/internal/store"
)

// figuresNow asks anew, and gives each figure by its name and label.
func (w *world) figuresNow(f *Figures) map[string]float64 {
	w.Helper()
	f.at = time.Time{}
	r := prometheus.NewRegistry()
	w.must(r.Register(f))
	families, err := r.Gather()
	w.must(err)
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

func TestFiguresOfSending(t *testing.T) {
	each(t, func(w *world) {
		f := NewFigures(w.db)
		must := func(when string, want map[string]float64) {
			w.Helper()
			got := w.figuresNow(f)
			for name, v := range want {
				if d := got[name] - v; d < -2 || d > 30 || d != 0 && v == 0 || len(got) != 7 {
					w.Errorf("%s: %s is %v, want %v; all: %v", when, name, got[name], v, got)
				}
			}
		}
		must("at first", map[string]float64{"assent_mail_due_seconds bulk": 0, "assent_mail_nodes": 1, "assent_mail_held": 0})

		stream := w.campaign(w.person("ana@example.org"), w.person("bea@example.org"))
		w.pass(10 * time.Minute)
		w.confirmation(w.person("cleo@example.org"))
		w.pass(time.Minute)
		must("waiting", map[string]float64{"assent_mail_due_seconds bulk": 660, "assent_mail_due_seconds confirm": 60, "assent_mail_due_seconds service": 0})

		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE streams SET paused_at = ? WHERE id = ?", tx.Now(), stream)
			return err
		})
		must("paused by a person", map[string]float64{"assent_mail_streams_stopped": 0, "assent_mail_due_seconds bulk": 0, "assent_mail_due_seconds confirm": 60})
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE streams SET paused_for = ? WHERE id = ?", BreakerBounces, stream)
			return err
		})
		must("stopped by a breaker", map[string]float64{"assent_mail_streams_stopped": 1})

		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("INSERT INTO installation (key, value) VALUES ('sending-paused', 'x')")
			return err
		})
		must("held", map[string]float64{"assent_mail_held": 1})

		fact := event.Event{BrandID: w.brand.ID, Kind: event.MailUncertain, Data: map[string]any{}}
		w.write(func(tx *store.Tx) error { return event.Record(tx, fact) })
		undone := errors.New("undone")
		if err := w.db.Write(context.Background(), func(tx *store.Tx) error { return errors.Join(event.Record(tx, fact), undone) }); !errors.Is(err, undone) {
			w.Fatal(err)
		}
		if n := w.figuresNow(f)["assent_mail_uncertain_total"]; n != 1 {
			w.Errorf("uncertain: %v, want 1", n)
		}
	})
}

// TestFiguresWithoutADatabase: none is better than an old one.
func TestFiguresWithoutADatabase(t *testing.T) {
	each(t, func(w *world) {
		f := NewFigures(w.db)
		w.figuresNow(f)
		w.engine.Stop()
		w.engine = nil
		w.must(w.db.Close())
		if all := w.figuresNow(f); len(all) != 1 {
			w.Errorf("figures of a database that is away: %v", all)
		}
	})
}

func TestRoomLeft(t *testing.T) {
	if free := freeBytes(t.TempDir()); free <= 0 {
		t.Errorf("%v bytes are free", free)
	}
	if free := freeBytes("/nowhere/at/all"); free != -1 {
		t.Errorf("%v bytes are free in no folder", free)
	}
}
