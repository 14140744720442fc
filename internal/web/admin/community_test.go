package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// allows makes somebody who allows a topic.
func (w *world) allows(address string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(address)
		if err != nil {
			return err
		}
		if s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"}); err != nil {
			return err
		}
		_, err = consent.Grant(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, Basis: consent.BasisOperator, Method: "api", Wording: "Yes.", Evidence: map[string]any{"paper": "box 7"}})
		return err
	})
	return s
}

func (w *world) idea(by subscriber.Subscriber, title string) (i signup.Idea) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		i, err = signup.Propose(tx, w.brand.ID, by.ID, title, "There is none.", signup.Seen{})
		return err
	})
	return i
}

const ideasPath = overview + "/ideas"

func TestAnIdeaIsDecidedOn(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		if got := b.submit(ideasPath+"/settings", b.fill(ideasPath+"/settings", "ideas", "yes", "texts.en.intro", "Tell us.")); got.status != http.StatusSeeOther {
			w.Fatalf("turned on: %d\n%s", got.status, got.body)
		}
		if got := b.submit(ideasPath+"/settings", b.fill(ideasPath+"/settings", "invitations", "yes")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("invitations without a form: %d", got.status)
		}
		who := w.allows("reader@example.org")
		poetry, maps := w.idea(who, "Poetry <of> tea"), w.idea(who, "Maps")
		b.mustShow(ideasPath, "Poetry &lt;of&gt; tea", "Maps", "There is none.")
		page := ideasPath + "/" + poetry.ID.String()
		if got := b.submit(page+"/share", b.fill(page)); got.status != http.StatusSeeOther {
			w.Errorf("shared: %d\n%s", got.status, got.body)
		}
		b.mustShow(ideasPath+"?state=shared", "Poetry &lt;of&gt; tea")
		if got := b.submit(page, b.fill(page, "texts.en.name", "Poetry", "texts.en.wording", "")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a topic without words: %d", got.status)
		}
		if got := b.submit(page, b.fill(page, "texts.en.name", "Poetry", "texts.en.wording", "Send me poetry.")); got.status != http.StatusSeeOther {
			w.Errorf("opened: %d\n%s", got.status, got.body)
		}
		w.write(func(tx *store.Tx) error {
			topic, err := consent.TopicBySlug(tx, w.brand.ID, "poetry")
			if err != nil {
				return err
			}
			may, err := consent.May(tx, w.brand, who.ID, topic.ID)
			if may.Allowed {
				w.Error("who wished for it is signed up")
			}
			var told int
			if err := tx.Raw("SELECT count(*) FROM messages WHERE template = 'idea-opened' AND subscriber_id = ?", who.ID).Scan(&told).Error; err != nil || told != 1 {
				w.Errorf("told %d times, %v", told, err)
			}
			return err
		})
		no := ideasPath + "/" + maps.ID.String()
		if got := b.submit(no+"/answer", b.fill(no, "answer", "")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("no without a reason: %d", got.status)
		}
		if got := b.submit(no+"/answer", b.fill(no, "answer", "We cannot draw.")); got.status != http.StatusSeeOther {
			w.Errorf("no: %d\n%s", got.status, got.body)
		}
		b.mustShow(ideasPath+"?state=answered", "We cannot draw.")
		if got := b.get(ideasPath + "/" + uuid.New().String()); got.status != http.StatusNotFound {
			w.Errorf("an idea that is not there: %d", got.status)
		}
	})
}

func TestHowABrandLooksIsItsOwners(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := overview + "/tracking"
		if got := b.submit(page, b.fill(page, "last_open_only", "yes", "anonymous_counts", "yes")); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		if got := b.get(page); strings.Count(got.body, " checked") != 2 {
			w.Errorf("both are on: %s", got.body)
		}
		w.role(w.mina, w.brand, account.Marketer)
		if got := b.get(page); got.status != http.StatusOK || strings.Contains(got.body, "checkbox") {
			w.Errorf("a marketer: %d", got.status)
		}
	})
}

// The pages of ideas and of tracking are sound in both languages.
func TestIdeaPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	b.submit(ideasPath+"/settings", b.fill(ideasPath+"/settings", "ideas", "yes"))
	who := w.allows("reader@example.org")
	i := w.idea(who, "Letters from translators, and from those who read the proofs")
	w.idea(who, strings.Repeat("Verylongword", 10))
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"ideas": ideasPath + "?lang=", "ideas-none": ideasPath + "?state=opened&lang=", "idea": ideasPath + "/" + i.ID.String() + "?lang=",
			"community": ideasPath + "/settings?lang=", "tracking": overview + "/tracking?lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}
