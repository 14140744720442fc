package signup

import (
	"testing"

	"assent/internal/consent"
	"assent/internal/store"
)

// The page may be read in another language than the person's; what is agreed to
// then is kept in the words that were shown.
func TestAChoiceIsKeptInTheWordsThatWereShown(t *testing.T) {
	each(t, func(w *world) {
		w.ask("ana@example.org", "news")
		w.confirm("ana@example.org")
		ana := w.person("ana@example.org")
		var shown string
		w.write(func(tx *store.Tx) error {
			p, err := Preference(tx, w.brand.ID, ana.ID)
			if err != nil {
				return err
			}
			topics := map[string]bool{}
			for _, c := range p.Speak("fa").Choices {
				if !c.On && !c.Tracking() {
					topics[c.Topic.Slug], shown = true, c.Wording()
					break
				}
			}
			_, err = Save(tx, w.brand.ID, ana.ID, Wish{Topics: topics, Words: "fa"}, Seen{IP: "192.0.2.1"})
			return err
		})
		w.write(func(tx *store.Tx) error {
			all, err := consent.History(tx, w.brand.ID, ana.ID)
			if err != nil {
				return err
			}
			kept := false
			for _, e := range all {
				words, err := consent.WordingOf(tx, e)
				if err != nil {
					return err
				}
				kept = kept || e.Language == "fa" && e.State == consent.Given && words == shown
			}
			if !kept || shown == "" {
				t.Errorf("what was shown, %q, is not kept", shown)
			}
			return err
		})
	})
}
