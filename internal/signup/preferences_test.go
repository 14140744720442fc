package signup

import (
	"context"
	"testing"

	"assent/internal/consent"
	"assent/internal/problem"
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

// What is agreed to is what was read: words that changed in between are shown
// first, and leaving never waits for that.
func TestAChoiceInOtherWordsIsShownAnew(t *testing.T) {
	each(t, func(w *world) {
		w.ask("ana@example.org", "news")
		w.confirm("ana@example.org")
		ana := w.person("ana@example.org")
		var shown string
		look := func() {
			w.write(func(tx *store.Tx) error {
				p, err := Preference(tx, w.brand.ID, ana.ID)
				shown = p.Speak("fa").Words()
				return err
			})
		}
		save := func(topics map[string]bool) error {
			return w.db.Write(context.Background(), func(tx *store.Tx) error {
				return second(Save(tx, w.brand.ID, ana.ID, Wish{Topics: topics, Words: shown}, Seen{}))
			})
		}
		look()
		texts := w.offers.Texts
		texts["fa"] = consent.TopicText{Name: "نامه", Wording: "همه چیز را برایم بفرستید."}
		w.write(func(tx *store.Tx) error {
			return second(consent.UpdateTopic(tx, w.brand, w.offers.ID, consent.TopicChange{Texts: &texts}))
		})
		if err := save(map[string]bool{"news": true, "offers": true}); !problem.Is(err, problem.Conflict) {
			t.Errorf("words that were never shown are agreed to: %v", err)
		}
		if err := save(map[string]bool{"news": false}); err != nil || w.allowed("ana@example.org") != "" {
			t.Errorf("leaving waits for the words: %v", err)
		}
		look()
		if err := save(map[string]bool{"offers": true}); err != nil || w.allowed("ana@example.org") != "offers" {
			t.Errorf("the words as they are: %v, %q", err, w.allowed("ana@example.org"))
		}
	})
}
