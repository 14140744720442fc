package signup

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

func (w *world) try(f func(tx *store.Tx) error) error {
	return w.db.Write(context.Background(), f)
}

// community lets the brand's subscribers do everything.
func (w *world) community() {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return SaveCommunity(tx, w.brand, Community{Ideas: true, Invitations: true, FormID: &w.form.ID, Texts: map[string]string{"en": "Tell us."}})
	})
}

// reader is somebody who has confirmed the news.
func (w *world) reader(email string) subscriber.Subscriber {
	w.Helper()
	w.ask(email, "news")
	w.confirm(email)
	return w.person(email)
}

func (w *world) propose(who subscriber.Subscriber, title string) (i Idea, err error) {
	w.pass(time.Minute)
	err = w.try(func(tx *store.Tx) (err error) {
		i, err = Propose(tx, w.brand.ID, who.ID, title, "Because.", Seen{IP: "192.0.2.1"})
		return err
	})
	return i, err
}

func (w *world) second(who subscriber.Subscriber, i Idea, yes bool) error {
	w.pass(time.Second)
	return w.try(func(tx *store.Tx) error { return Second(tx, w.brand.ID, who.ID, i.ID, yes, Seen{}) })
}

func (w *world) changes(who subscriber.Subscriber) (kinds string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.Changes(tx, w.brand.ID, who.ID)
		for _, c := range all {
			kinds += c.Kind + " "
		}
		return err
	})
	return strings.TrimSpace(kinds)
}

// An idea is seen by the brand first, then by all; each seconds it once; opened, it
// is a topic that nobody has allowed, and whoever wished for it is told once.
func TestAnIdeaBecomesATopicThatNobodyHasAllowed(t *testing.T) {
	each(t, func(w *world) {
		sara, ali, mina, gone := w.reader("sara@example.org"), w.reader("ali@example.org"), w.reader("mina@example.org"), w.reader("gone@example.org")
		if _, err := w.propose(sara, "Translators"); !problem.Is(err, problem.NotFound) {
			w.Errorf("a brand that asks for no ideas: %v", err)
		}
		w.community()
		i, err := w.propose(sara, "Letters from translators")
		if err != nil {
			w.Fatal(err)
		}
		if err := w.second(ali, i, true); !problem.Is(err, problem.NotFound) {
			w.Errorf("seconded before the brand has read it: %v", err)
		}
		page := func(who subscriber.Subscriber) (p IdeasPage) {
			w.write(func(tx *store.Tx) (err error) { p, err = Ideas(tx, w.brand.ID, who.ID, "en"); return err })
			return p
		}
		if p := page(ali); len(p.Shared) != 0 || p.Intro != "Tell us." || !p.Member {
			w.Errorf("%+v", p.Shared)
		}
		w.write(func(tx *store.Tx) error { _, err := ShareIdea(tx, w.brand, i.ID); return err })
		for range 2 {
			for _, who := range []subscriber.Subscriber{ali, mina, gone} {
				if err := w.second(who, i, true); err != nil {
					w.Error(err)
				}
			}
		}
		if p := page(ali); len(p.Shared) != 1 || p.Shared[0].Seconds != 4 || !p.Shared[0].Seconded {
			w.Errorf("%+v", p.Shared)
		}
		if err := w.second(mina, i, false); err != nil {
			w.Error(err)
		}
		if got := w.changes(sara) + "; " + w.changes(ali) + "; " + w.changes(mina); got != "proposed; seconded; seconded seconded-no-more" {
			w.Errorf("in the ledger: %s", got)
		}
		w.write(func(tx *store.Tx) error { return LeaveAll(tx, w.brand.ID, gone.ID, Seen{}) })
		var topic consent.Topic
		w.write(func(tx *store.Tx) (err error) {
			_, topic, err = OpenIdea(tx, w.set, w.brand, i.ID, consent.NewTopic{Slug: "translators",
				Texts: map[string]consent.TopicText{"en": {Name: "Translators", Wording: "Send me letters from translators."}}})
			return err
		})
		w.write(func(tx *store.Tx) error {
			n, err := TellIdeas(tx, w.set, 100)
			if n != 0 {
				w.Errorf("%d are told again", n)
			}
			return err
		})
		told := map[uuid.UUID]int{}
		for _, m := range w.mails("idea-opened") {
			told[*m.SubscriberID]++
			if m.Kind != delivery.Service || m.Data["wish"] != "Letters from translators" || m.Data["source"] != "Translators" {
				w.Errorf("%+v", m)
			}
		}
		if len(told) != 2 || told[sara.ID] != 1 || told[ali.ID] != 1 {
			w.Errorf("told: %v", told)
		}
		if n := w.count("SELECT count(*) FROM permissions WHERE topic_id = ?", topic.ID); n != 0 {
			w.Errorf("%d permissions that nobody gave", n)
		}
		if err := w.second(mina, i, true); !problem.Is(err, problem.NotFound) {
			w.Errorf("seconded what is there: %v", err)
		}
		if err := w.try(func(tx *store.Tx) error { _, err := AnswerIdea(tx, w.brand, i.ID, "No."); return err }); !problem.Is(err, problem.Conflict) {
			w.Errorf("answered what is opened: %v", err)
		}
	})
}

func TestIdeasHaveTheirBounds(t *testing.T) {
	each(t, func(w *world) {
		w.community()
		sara := w.reader("sara@example.org")
		for title, reason := range map[string]string{"": "x", "x": "", strings.Repeat("x", 121): "x", "y": strings.Repeat("x", 501), "a\nb": "x"} {
			err := w.try(func(tx *store.Tx) error {
				_, err := Propose(tx, w.brand.ID, sara.ID, title, reason, Seen{})
				return err
			})
			if !problem.Is(err, problem.Invalid) {
				w.Errorf("%.5q because %.5q: %v", title, reason, err)
			}
		}
		var first Idea
		for n := range 3 {
			i, err := w.propose(sara, fmt.Sprint("Idea ", n))
			if err != nil {
				w.Fatal(err)
			}
			if n == 0 {
				first = i
			}
		}
		if _, err := w.propose(sara, "A fourth"); !problem.Is(err, problem.Conflict) {
			w.Errorf("a fourth: %v", err)
		}
		if err := w.try(func(tx *store.Tx) error { _, err := AnswerIdea(tx, w.brand, first.ID, ""); return err }); !problem.Is(err, problem.Invalid) {
			w.Errorf("no without a reason: %v", err)
		}
		w.write(func(tx *store.Tx) error {
			_, err := AnswerIdea(tx, w.brand, first.ID, "We know too little of it.")
			return err
		})
		if _, err := w.propose(sara, "A fourth"); err != nil {
			w.Errorf("after an answer there is room: %v", err)
		}
		w.write(func(tx *store.Tx) error {
			p, err := Ideas(tx, w.brand.ID, sara.ID, "en")
			if len(p.Mine) != 4 || p.Mine[3].Answer != "We know too little of it." {
				w.Errorf("%+v", p.Mine)
			}
			return err
		})
		var other brand.Brand
		w.write(func(tx *store.Tx) error { other = w.newBrand(tx, "other"); return nil })
		if err := w.try(func(tx *store.Tx) error { _, err := ShareIdea(tx, other, first.ID); return err }); !problem.Is(err, problem.NotFound) {
			w.Errorf("another brand shares it: %v", err)
		}
		w.write(func(tx *store.Tx) error { return LeaveAll(tx, w.brand.ID, sara.ID, Seen{}) })
		if _, err := w.propose(sara, "From outside"); !problem.Is(err, problem.Conflict) {
			w.Errorf("who has left: %v", err)
		}
		w.write(func(tx *store.Tx) error { return ForgetCommunity(tx, w.brand.ID, sara.ID) })
		if n := w.count("SELECT count(*) FROM ideas WHERE subscriber_id IS NOT NULL") + w.count("SELECT count(*) FROM idea_seconds"); n != 0 {
			w.Errorf("%d rows of hers are left", n)
		}
	})
}

func (w *world) invite(by subscriber.Subscriber, email, name string, slugs ...string) (kept Kept, err error) {
	err = w.try(func(tx *store.Tx) (err error) {
		kept, err = Invite(tx, w.set, w.brand.ID, by.ID, Invitation{Email: email, Name: name, Topics: slugs}, Seen{IP: "192.0.2.1"})
		return err
	})
	return kept, err
}

// A friend gets one mail ever, which names who invites, and hears from the brand
// only after a yes; every address gets the same answer.
func TestAFriendIsAskedOnce(t *testing.T) {
	each(t, func(w *world) {
		w.community()
		sara, ali := w.reader("sara@example.org"), w.reader("ali@example.org")
		w.ask("left@example.org", "news")
		w.confirm("left@example.org")
		w.write(func(tx *store.Tx) error {
			return LeaveAll(tx, w.brand.ID, w.personIn(tx, "left@example.org").ID, Seen{})
		})
		w.pass(40 * 24 * time.Hour)
		if _, err := w.invite(sara, "friend@example.org", "Sara", "news"); err != nil {
			w.Fatal(err)
		}
		mails := w.mails("invite")
		if len(mails) != 1 || mails[0].Kind != delivery.Confirm || mails[0].Data["by"] != "Sara" || mails[0].Data["ip"] != "" || mails[0].Data["page"] != "" || mails[0].Data["name"] != "" {
			w.Fatalf("%+v", mails)
		}
		if w.allowed("friend@example.org") != "" {
			w.Error("a permission that nobody gave")
		}
		for _, again := range []string{"friend@example.org", "Friend+two@example.org", "ali@example.org", "left@example.org"} {
			if kept, err := w.invite(ali, again, "Ali", "news"); err != nil || kept != KeptNothing {
				w.Errorf("%s: %v, %v", again, kept, err)
			}
		}
		if n := len(w.mails("invite")) + len(w.mails("already")); n != 1 {
			w.Errorf("%d mails", n)
		}
		w.write(func(tx *store.Tx) error {
			history, err := consent.History(tx, w.brand.ID, w.personIn(tx, "friend@example.org").ID)
			if err != nil || len(history) != 1 || history[0].State != consent.Requested || history[0].Method != MethodInvitation {
				w.Errorf("%+v, %v", history, err)
				return err
			}
			proof, err := consent.EvidenceOf(tx, history[0].ID)
			if proof.Evidence["invited_by"] != "Sara" || proof.Evidence["ip"] != "" {
				w.Errorf("%v", proof.Evidence)
			}
			return err
		})
		w.confirm("friend@example.org")
		if got := w.allowed("friend@example.org"); got != "news" {
			w.Errorf("after a yes: %q", got)
		}
		if got := w.changes(sara) + "; " + w.changes(ali); got != "invited; invited invited invited invited" {
			w.Errorf("in the ledger: %s", got)
		}
		if _, err := w.invite(sara, "never@example.org", "Sara", "offers"); err != nil {
			w.Error(err)
		}
		if err := w.answer("never@example.org", notMe); err != nil {
			w.Error(err)
		}
		if n := w.count("SELECT count(*) FROM suppressions WHERE reason = 'not-me'"); n != 1 {
			w.Errorf("%d addresses that are left alone", n)
		}
	})
}

// personIn is person within a transaction.
func (w *world) personIn(tx *store.Tx, email string) subscriber.Subscriber {
	w.Helper()
	a, err := subscriber.ParseAddress(email)
	if err != nil {
		w.Fatal(err)
	}
	s, err := subscriber.ByAddress(tx, w.brand, a)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func TestInvitationsHaveTheirBounds(t *testing.T) {
	each(t, func(w *world) {
		w.community()
		sara := w.reader("sara@example.org")
		for what, in := range map[string]Invitation{
			"an advertisement": {"a@example.org", "Buy at cheap.example", []string{"news"}}, "no name": {"a@example.org", "", []string{"news"}},
			"no address": {"a", "Sara", []string{"news"}}, "no topic": {"a@example.org", "Sara", nil}, "tracking": {"a@example.org", "Sara", []string{"opens"}},
			"a long name": {"a@example.org", strings.Repeat("a", 41), []string{"news"}},
		} {
			if _, err := w.invite(sara, in.Email, in.Name, in.Topics...); !problem.Is(err, problem.Invalid) {
				w.Errorf("%s: %v", what, err)
			}
		}
		for n := range 5 {
			if _, err := w.invite(sara, fmt.Sprintf("f%d@example.org", n), "Sara", "news"); err != nil {
				w.Error(err)
			}
		}
		if _, err := w.invite(sara, "f5@example.org", "Sara", "news"); !problem.Is(err, problem.TooMany) {
			w.Errorf("a sixth in a day: %v", err)
		}
		w.pass(25 * time.Hour)
		if _, err := w.invite(sara, "f6@example.org", "Sara", "news"); err != nil {
			w.Errorf("the next day: %v", err)
		}
		if got := len(w.mails("invite")); got != 6 {
			w.Errorf("%d mails", got)
		}
		// A domain that was written to often enough today gets nothing, and nobody is told.
		w.write(func(tx *store.Tx) error {
			_, domain, err := invitedKeys(tx, "x@busy.example")
			for range domainLimit.Mails {
				if err == nil {
					_, err = tx.Run("INSERT INTO friend_invitations (id, brand_id, subscriber_id, domain_key, sent_at) VALUES (?, ?, ?, ?, ?)", tx.NewID(), w.brand.ID, sara.ID, domain, tx.Now())
				}
			}
			return err
		})
		ali := w.reader("ali@example.org")
		if kept, err := w.invite(ali, "x@busy.example", "Ali", "news"); err != nil || kept != KeptNothing || len(w.mails("invite")) != 6 {
			w.Errorf("%v, %v, %d mails", kept, err, len(w.mails("invite")))
		}
		w.write(func(tx *store.Tx) error {
			return SaveCommunity(tx, w.brand, Community{Ideas: true, FormID: &w.form.ID})
		})
		if _, err := w.invite(ali, "y@example.org", "Ali", "news"); !problem.Is(err, problem.NotFound) {
			w.Errorf("where nobody may: %v", err)
		}
		if err := w.try(func(tx *store.Tx) error { return SaveCommunity(tx, w.brand, Community{Invitations: true}) }); !problem.Is(err, problem.Invalid) {
			w.Errorf("invitations without words: %v", err)
		}
	})
}

// TestANameIsNoAdvertisement holds what may reach a stranger as a friend's name.
func TestANameIsNoAdvertisement(t *testing.T) {
	for _, name := range []string{"Sara", "Ana-María d’Arc", "O'Neil", "سارا علی\u200cزاده", "مریم", "Zoë"} {
		if !isName(name) {
			t.Errorf("%q is a name", name)
		}
	}
	for _, bad := range []string{
		"Win at evil.example", "t.me/x", "evil\uff0eexample", "evil\u3002example", "evil\uff61example", "evil\u2024example",
		"evil\ua4f8example", "evil\ua4fdexample", "evil\ua78fexample", "evil\u1427example", "https:\u2044\u2044x", "a@b", "a\uff20b", "call 0912", "۰۹۱۲۱۲۳", "٠٩١٢",
		"\uff10\uff19", "برنده شوید: سایت", "جایزه/اینجا", "سایت۔ایران", "Sara\nBcc", "Sara\r\nx", "Sara\u2028x", "a\u202eb", "a\u2066b", "a\u200bb", "a\u200fb",
		"a\ufeffb", "a\u00adb", "<b>x", "{{by}}", "win!", "$$$", "\U0001f381",
	} {
		if isName(bad) {
			t.Errorf("%q passes for a name", bad)
		}
	}
}
