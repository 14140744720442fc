package admin

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// undoForm is where a page offers to take back what led to it, and what is sent
// there; empty: it offers nothing.
func (b *browser) undoForm(got answer) (to string, form url.Values) {
	b.Helper()
	if got.status != http.StatusSeeOther {
		b.Fatalf("the act: %d\n%s", got.status, got.body)
	}
	page := b.mustShow(got.location + got.undo).body
	_, rest, ok := strings.Cut(page, `method="post" action="`+overview+`/undo/`)
	if !ok {
		return "", nil
	}
	to, rest, _ = strings.Cut(rest, `"`)
	return overview + "/undo/" + to, url.Values{"page": {field(rest, "page")}, "once": {field(rest, "once")}}
}

// mustUndo takes back by the button of the notice what an act has done.
func (b *browser) mustUndo(got answer) {
	b.Helper()
	to, form := b.undoForm(got)
	if to == "" {
		b.Fatalf("%s%s offers nothing to take back", got.location, got.undo)
	}
	back := b.submit(to, form)
	if back.status != http.StatusSeeOther || !strings.HasSuffix(back.location, "?did=undo") {
		b.Fatalf("taken back: %d to %s\n%s", back.status, back.location, back.body)
	}
	b.mustShow(back.location, "That is taken back.")
	b.mustNotShow(got.location+got.undo, `/undo/`)
}

// mustStay takes back what cannot be any more: the page says why, and offers it no more.
func (b *browser) mustStay(to string, form url.Values, did, says string) {
	b.Helper()
	back := b.submit(to, form)
	if back.status != http.StatusSeeOther || !strings.HasSuffix(back.location, "?did=undo."+did) {
		b.Fatalf("taken back: %d to %s\n%s", back.status, back.location, back.body)
	}
	b.mustShow(back.location, says, `class="told ask"`)
}

func (w *world) hasTag(s subscriber.Subscriber, tag string) (has bool) {
	w.Helper()
	w.must(w.db.Read(context.Background(), func(tx *store.Tx) error {
		tags, err := subscriber.Tags(tx, s.BrandID, s.ID)
		has = slices.Contains(tags, tag)
		return err
	}))
	return has
}

// Everything that can be taken back is as it was then, and the log says both.
func TestWhatWasDoneIsTakenBack(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		at := overview + "/people/" + sara.ID.String()

		untried := slices.Collect(maps.Keys(backwards))
		back := func(got answer) {
			w.Helper()
			b.mustUndo(got)
			at, err := url.Parse(got.location)
			w.must(err)
			untried = slices.DeleteFunc(untried, func(what string) bool { return what == at.Query().Get("did") })
		}

		topic := overview + "/topics/" + w.topic.ID.String()
		back(b.press(topic + "/archive"))
		b.mustNotShow(overview+"/topics", "not offered")
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) error {
			now, err := consent.FindTopic(tx, w.brand.ID, w.topic.ID)
			if now.ArchivedAt != nil {
				w.Error("the topic stays archived")
			}
			return err
		}))

		form := b.makeForm()
		back(b.deedOf(form, "close"))
		b.mustShow(form, `action="`+form+`/close"`)
		b.deedOf(form, "close")
		back(b.deedOf(form, "open"))
		b.mustShow(form, `action="`+form+`/open"`)

		b.press(topic + "/archive")
		back(b.press(topic + "/offer"))
		b.mustShow(overview+"/topics", "not offered")
		b.press(topic + "/offer")

		letter := b.makeCampaign()
		b.planAt(letter, "when=now")
		w.work(letter)
		back(b.deed(letter, "pause"))
		b.mustShow(letter, `action="`+letter+`/pause"`)
		back(b.press(sendingPage+"/streams/"+campaignID(letter).String()+"/pause", "page", sendingPage))
		b.mustNotShow(sendingPage, "Somebody of the team paused it.")

		offer, sequence := w.offered(b), b.welcome()
		for _, page := range []string{offer, sequence} {
			b.deed(page, "start")
			back(b.deed(page, "pause"))
			b.mustShow(page, `action="`+page+`/pause"`)
		}

		back(b.press(at+"/tags", "tags", "tea"))
		if w.hasTag(sara, "tea") {
			w.Error("the tag stays")
		}
		b.press(at+"/tags", "tags", "tea")
		if got := b.press(at+"/tags", "tags", "tea"); got.undo != "" {
			w.Error("a tag that was there before can be taken back")
		}
		back(b.press(at+"/tags/remove", "tags", "tea"))
		if !w.hasTag(sara, "tea") {
			w.Error("the tag is gone")
		}
		back(b.press(at+"/carer", "carer", w.mina.ID.String()))
		b.mustNotShow(at, "Mina looks after")

		list := overview + "/suppressions"
		back(b.submit(list+"/new", b.fill(list+"/new", "email", "typo@example.org", "reason", "manual", "detail", "ticket")))
		b.mustShow(list+"?q=typo@example.org", "Nothing stands against")
		if got := b.submit(list+"/new", b.fill(list+"/new", "email", "angry@example.org", "reason", "complaint")); got.undo != "" {
			w.Error("a complaint can be taken back")
		}
		b.submit(list+"/new", b.fill(list+"/new", "email", "old@example.org", "reason", "manual", "detail", "ticket 7"))
		hash := field(b.mustShow(list+"?q=old@example.org").body, "hash")
		back(b.press(list+"/lift", "hash", hash, "reason", "manual"))
		b.mustShow(list+"?q=old@example.org", "stopped by hand", "ticket 7")

		reza := w.newUser("reza@baharan.example", "Reza", "en")
		w.role(reza, w.brand, account.Analyst)
		back(b.press(teamPage+"/"+reza.ID.String()+"/role", "page", teamPage, "role", "owner"))
		w.must(w.db.Write(w.Context(), func(tx *store.Tx) error {
			role, err := account.LockRole(tx, w.brand.ID, reza.ID)
			if role != account.Analyst {
				w.Errorf("Reza is %s", role)
			}
			return err
		}))

		everybody := overview + "/people/tags"
		back(b.press(everybody, "new-tag", "autumn", "whom", "found"))
		b.press(everybody, "new-tag", "autumn", "whom", "found")
		back(b.press(everybody, "do", "untag", "new-tag", "autumn", "whom", "found"))
		if !w.hasTag(sara, "autumn") {
			w.Error("the tag of many is gone")
		}
		if len(untried) > 0 {
			w.Errorf("nobody took back %s", untried)
		}

		// What a person took back, the team does not give again.
		if got := b.press(at+"/withdraw", "topic", w.topic.ID.String()); got.status != http.StatusSeeOther || got.undo != "" {
			w.Errorf("a withdrawal: %d, %q", got.status, got.undo)
		}
		b.mustShow(overview+"/log", "Took back: Stopped offering the topic", "Took back: Closed the form", "Took back: Gave a person the tag")
	})
}

// A pause is taken back while it is the same pause.
func TestAPauseIsTakenBack(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.welcome()
		b.deed(page, "start")
		b.mustUndo(b.deed(page, "pause"))
		b.mustShow(page, `action="`+page+`/pause"`)
		to, form := b.undoForm(b.deed(page, "pause"))
		w.pass(time.Second)
		b.deed(page, "resume")
		w.pass(time.Second)
		b.deed(page, "pause") // another pause, by anybody
		b.mustStay(to, form, "changed", "changed since")
		b.mustShow(page, `action="`+page+`/resume"`)
	})
}

// Of many who get a tag, or lose it, only those are changed back whom the act changed.
func TestManyTagsAreTakenBack(t *testing.T) {
	each(t, func(w *world) {
		had := w.person(w.brand, w.topic, "had@example.org", consent.Requested, consent.Given)
		var others []subscriber.Subscriber
		for i := range 7 {
			others = append(others, w.person(w.brand, w.topic, fmt.Sprintf("p%d@example.org", i), consent.Requested, consent.Given))
		}
		b := w.in(email)
		b.press(overview+"/people/"+had.ID.String()+"/tags", "tags", "autumn")
		got := b.press(overview+"/people/tags", "new-tag", "autumn", "whom", "found")
		later := w.person(w.brand, w.topic, "later@example.org", consent.Requested, consent.Given)
		b.press(overview+"/people/"+later.ID.String()+"/tags", "tags", "autumn")
		b.mustUndo(got)
		if !w.hasTag(had, "autumn") || !w.hasTag(later, "autumn") || w.hasTag(others[0], "autumn") || w.hasTag(others[6], "autumn") {
			w.Error("a tag is taken from the wrong people")
		}
		b.mustUndo(b.press(overview+"/people/tags", "do", "untag", "new-tag", "autumn", "whom", "found"))
		if !w.hasTag(had, "autumn") || !w.hasTag(later, "autumn") || w.hasTag(others[0], "autumn") {
			w.Error("a tag is given to the wrong people")
		}
		if got := b.press(overview+"/people/tags", "do", "untag", "new-tag", "nobody has it", "whom", "found"); got.undo != "" {
			w.Error("nothing was done, and can be taken back")
		}
		to, form := b.undoForm(b.press(overview+"/people/tags", "new-tag", "winter", "whom", "ticked", "id", others[0].ID.String()))
		b.press(overview+"/people/"+others[0].ID.String()+"/tags/remove", "tags", "winter")
		b.mustStay(to, form, "changed", "changed since")
	})
}

// It is theirs who did it, at their brand, for an hour, once, and while it is as
// they left it and they still may.
func TestWhoTakesBackAndWhen(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		topic := overview + "/topics/" + w.topic.ID.String()
		got := b.press(topic + "/archive")
		to, form := b.undoForm(got)

		marketer := w.in2("marketer@baharan.example", account.Marketer)
		marketer.mustNotShow(got.location+got.undo, "/undo/")
		if got := marketer.submit(to, form); got.status != http.StatusNotFound {
			w.Errorf("another's act is taken back: %d", got.status)
		}
		w.role(w.mina, w.marble, account.Owner)
		if got := b.submit(strings.Replace(to, "baharan", "marble", 1), url.Values{}); got.status != http.StatusNotFound {
			w.Errorf("at another brand it is taken back: %d", got.status)
		}
		if got := b.submit(overview+"/undo/"+uuid.NewString(), url.Values{}); got.status != http.StatusNotFound {
			w.Errorf("what nobody did is taken back: %d", got.status)
		}
		if got := b.get(to); got.status == http.StatusOK || got.status == http.StatusSeeOther {
			w.Errorf("looking takes back: %d", got.status)
		}
		b.mustShow(got.location+got.undo, to) // all of that left it where it was

		var clicks sync.WaitGroup
		for range 3 {
			clicks.Go(func() {
				if got := b.submit(to, form); got.status != http.StatusSeeOther || !strings.HasSuffix(got.location, "?did=undo") {
					w.Errorf("a click: %d to %s", got.status, got.location)
				}
			})
		}
		clicks.Wait()
		if log := b.mustShow(overview + "/log").body; strings.Count(log, "Took back:") != 1 {
			w.Errorf("the log tells it %d times", strings.Count(log, "Took back:"))
		}
		b.mustStay(to, url.Values{}, "taken", "taken back already")

		to, form = b.undoForm(b.press(topic + "/archive"))
		w.pass(time.Hour)
		b.mustStay(to, form, "late", "for an hour")

		to, form = b.undoForm(b.press(topic + "/offer"))
		w.pass(time.Second)
		edit := b.fill(topic, "texts.en.name", "Letters", "texts.en.wording", "Send them.")
		if got := marketer.submit(topic, edit); got.status != http.StatusSeeOther {
			w.Fatalf("edited: %d\n%s", got.status, got.body)
		}
		b.mustStay(to, form, "changed", "changed since")

		to, form = b.undoForm(b.press(teamPage+"/"+w.userID("marketer@baharan.example").String()+"/role", "page", teamPage, "role", "owner"))
		w.role(w.mina, w.brand, account.Marketer)
		if got := b.submit(to, form); got.status != http.StatusNotFound {
			w.Errorf("a role is given back by a marketer: %d", got.status)
		}
	})
}

func (w *world) userID(email string) (id uuid.UUID) {
	w.Helper()
	w.must(w.db.Read(context.Background(), func(tx *store.Tx) error {
		members, err := account.Members(tx, w.brand.ID)
		for _, m := range members {
			if m.Email == email {
				id = m.ID
			}
		}
		return err
	}))
	return id
}

// What is done without scripts is taken back without them too; in a browser the
// button stands in the notice, in both languages.
func TestTakingBackInABrowser(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		got := b.press(overview + "/topics/" + w.topic.ID.String() + "/archive")
		p.sound("undo", lang, strings.TrimSuffix(got.location, "&lang="+lang)+got.undo+"&lang="+lang)
		p.open(got.location + got.undo + "&lang=" + lang)
		p.until(`document.querySelector('.told form button')`)
		p.do(chromedp.Click(".told form button"))
		p.until(`location.search.includes('did=undo') && document.querySelector('.told') && !document.querySelector('.told form')`)
	}
}
