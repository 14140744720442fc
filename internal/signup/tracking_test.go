package signup

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
)

// asked confirms the newest request and gives what is asked then.
func (w *world) asked(email string) (slugs []string) {
	w.Helper()
	r := w.request(email)
	w.write(func(tx *store.Tx) error {
		q, err := Confirm(tx, r.ID, Seen{IP: "198.51.100.9"})
		if err == nil && q.Tracking != nil {
			slugs = q.Tracking.Ask
		}
		return err
	})
	return slugs
}

// stands is the state of a tracking permission and the words and method of its
// last event.
func (w *world) stands(email, slug string) (state consent.State, words, method string) {
	w.Helper()
	who := w.person(email)
	w.write(func(tx *store.Tx) error {
		topic, err := consent.TopicBySlug(tx, w.brand.ID, slug)
		if err != nil {
			return err
		}
		history, err := consent.History(tx, w.brand.ID, who.ID)
		for _, e := range history {
			if e.TopicID == topic.ID {
				state, method = e.State, e.Method
				if words, err = consent.WordingOf(tx, e); err != nil {
					return err
				}
			}
		}
		return err
	})
	return state, words, method
}

func (w *world) track(email, slug string, yes bool) (TrackingQuestion, error) {
	w.Helper()
	who := w.person(email)
	var q TrackingQuestion
	err := w.db.Write(context.Background(), func(tx *store.Tx) error {
		p, err := AboutTracking(tx, w.brand.ID, who.ID)
		if err != nil {
			return err
		}
		q, err = AnswerTracking(tx, w.brand.ID, who.ID, slug, yes, p.Words(), Seen{IP: "198.51.100.9"})
		return err
	})
	return q, err
}

// again signs the address up once more, half a year being the measure.
func (w *world) again(email string, slugs ...string) []string {
	w.Helper()
	w.ask(email, slugs...)
	return w.asked(email)
}

// A box of tracking that was left empty on a confirmed sign-up is a no: it is in
// the ledger with its words, and for six months nobody asks again.
func TestAnEmptyTrackingBoxIsARememberedNo(t *testing.T) {
	each(t, func(w *world) {
		w.ask("sara@example.org", "news", "clicks")
		if state, _, _ := w.stands("sara@example.org", "opens"); state != "" {
			w.Errorf("%s before she has confirmed: a stranger may have sent the form", state)
		}
		if got := w.asked("sara@example.org"); len(got) != 0 {
			w.Errorf("asked %q right after she answered", got)
		}
		state, words, method := w.stands("sara@example.org", "opens")
		if state != consent.Refused || words == "" || method != consent.MethodForm {
			w.Errorf("opens: %s by %s, %q", state, method, words)
		}
		if got := w.allowed("sara@example.org"); got != "news clicks" {
			w.Errorf("allows %q", got)
		}
		// Signed up anew with the box for clicks empty: what she allows stands.
		w.pass(40 * 24 * time.Hour)
		if got := w.again("sara@example.org", "offers"); len(got) != 0 || w.allowed("sara@example.org") != "news offers clicks" && w.allowed("sara@example.org") != "offers news clicks" {
			w.Errorf("asked %q, allows %q", got, w.allowed("sara@example.org"))
		}
	})
}

// Whoever was never asked is asked once, after confirming; a no, and no answer at
// all, hold for six months; a yes may be given at any time.
func TestTheQuestionIsPutOnceInSixMonths(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error { // a form without boxes of tracking
			_, err := Edit(tx, w.brand, w.form.ID, "Front page", Spec{Topics: []string{"news", "offers"}})
			return err
		})
		both := []string{"opens", "clicks"}
		w.ask("sara@example.org", "news")
		if got := w.asked("sara@example.org"); !slices.Equal(got, both) {
			w.Fatalf("asked %q", got)
		}
		if got := w.asked("sara@example.org"); !slices.Equal(got, both) {
			w.Errorf("the button twice: asked %q", got)
		}
		q, err := w.track("sara@example.org", "opens", false)
		if err != nil || !slices.Equal(q.Ask, []string{"clicks"}) {
			w.Errorf("left to ask: %q, %v", q.Ask, err)
		}
		if got := w.asked("sara@example.org"); !slices.Equal(got, []string{"clicks"}) {
			w.Errorf("the button a third time: asked %q", got)
		}
		state, words, _ := w.stands("sara@example.org", "opens")
		if state != consent.Refused || words == "" {
			w.Errorf("%s, %q", state, words)
		}
		if got := w.allowed("sara@example.org"); got != "news" {
			w.Errorf("allows %q without a yes", got)
		}
		w.pass(150 * 24 * time.Hour)
		if got := w.again("sara@example.org", "offers"); len(got) != 0 {
			w.Errorf("asked %q after five months", got)
		}
		sara := w.person("sara@example.org")
		w.write(func(tx *store.Tx) error {
			_, err := consent.Withdraw(tx, w.brand, sara.ID, topicIDs(w, tx, "offers"), consent.MethodPreferences, nil)
			return err
		})
		w.pass(40 * 24 * time.Hour)
		if got := w.again("sara@example.org", "offers"); !slices.Equal(got, both) {
			w.Errorf("asked %q after more than six months", got)
		}
		if _, err := w.track("sara@example.org", "opens", false); err != nil { // again no: the ledger has it already, the question rests anew
			w.Error(err)
		}
		if _, err := w.track("sara@example.org", "clicks", true); err != nil || w.allowed("sara@example.org") != "news offers clicks" && w.allowed("sara@example.org") != "offers news clicks" {
			w.Errorf("%v, allows %q", err, w.allowed("sara@example.org"))
		}
		if _, err := w.track("sara@example.org", "clicks", false); err != nil {
			w.Error(err)
		}
		if state, _, _ := w.stands("sara@example.org", "clicks"); state != consent.Withdrawn {
			w.Errorf("clicks %s after a no", state)
		}
		if _, err := w.track("sara@example.org", "news", false); !problem.Is(err, problem.Invalid) {
			w.Errorf("a topic of mail by this way: %v", err)
		}
	})
}

func topicIDs(w *world, tx *store.Tx, slug string) (ids []uuid.UUID) {
	t, err := consent.TopicBySlug(tx, w.brand.ID, slug)
	if err != nil {
		w.Fatal(err)
	}
	return []uuid.UUID{t.ID}
}
