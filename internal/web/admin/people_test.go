package admin

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// known is the person of the brand with the address.
func (w *world) known(email string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err == nil {
			s, err = subscriber.ByAddress(tx, w.brand, a)
		}
		return err
	})
	return s
}

// stop suppresses an address for a reason.
func (w *world) stop(b brand.Brand, email, reason, detail string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		hash, err := b.AddressHash(tx, a.Normal)
		if err != nil {
			return err
		}
		return consent.Suppress(tx, b, hash, reason, detail)
	})
}

// folks are people of whom there is much to see.
func (w *world) folks() {
	w.Helper()
	sara := w.known("sara@example.org")
	left := w.person(w.brand, w.topic, "left@example.org", consent.Requested, consent.Given)
	w.person(w.brand, w.topic, "a.very.long.address.that.a.narrow.window.has.to.break@subdomain.example.org", consent.Requested)
	w.stop(w.brand, "nobody@example.org", consent.HardBounce, "550 5.1.1 no such user")
	w.stop(w.brand, "stopped@example.org", consent.Manual, "ticket 1043")
	w.write(func(tx *store.Tx) error {
		name := "سارا <b>احمدی</b>"
		if _, err := subscriber.Update(tx, w.brand, sara.ID, subscriber.Change{Name: &name}); err != nil {
			return err
		}
		if err := subscriber.AddTags(tx, w.brand.ID, sara.ID, "loyal", "شعر"); err != nil {
			return err
		}
		if _, _, err := offer.RecordOrder(tx, w.brand, offer.NewOrder{Number: "10293", Subscriber: sara.ID, PlacedAt: tx.Now().Add(-time.Hour), Total: 2350, Currency: "EUR", Items: 2}); err != nil {
			return err
		}
		_, err := consent.WithdrawAll(tx, w.brand, left.ID, consent.MethodUnsubscribe, nil)
		return err
	})
}

// press sends a form that has nothing but its fields.
func (b *browser) press(path string, fields ...string) answer {
	b.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return b.submit(path, v)
}

func (b *browser) mustNotShow(path string, not ...string) {
	b.Helper()
	page := b.mustShow(path).body
	for _, text := range not {
		if strings.Contains(page, text) {
			b.Errorf("%s shows %q", path, text)
		}
	}
}

func TestPeopleAreFound(t *testing.T) {
	each(t, func(w *world) {
		w.in(email).mustShow(overview+"/people", "Nobody is known here yet")
		w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		w.person(w.brand, w.topic, "ali@example.org", consent.Requested)
		w.person(w.brand, w.topic, "gone@example.org", consent.Requested, consent.Given, consent.Withdrawn)
		w.person(w.brand, w.topic, "none@example.org")
		foreign := w.person(w.marble, w.topic, "theirs@marble.example")
		ali := w.known("ali@example.org")
		w.write(func(tx *store.Tx) error { return subscriber.AddTags(tx, w.brand.ID, ali.ID, "loyal") })
		b := w.in(email)
		list := overview + "/people"
		b.mustShow(list, "sara@example.org", "ali@example.org", "gone@example.org", "none@example.org", "never asked", "loyal", `chip yes`, `chip ask`, `chip no`)
		for query, want := range map[string]string{
			"?q=sar": "sara@", "?q=SARA@example.org": "sara@", "?tag=loyal": "ali@", "?stand=given": "sara@", "?stand=asked": "ali@", "?stand=taken": "gone@",
			"?stand=given&topic=" + w.topic.ID.String(): "sara@", "?q=ample.org&stand=asked": "ali@",
		} {
			page := b.mustShow(list+query, want).body
			for _, who := range []string{"sara@example.org", "ali@example.org", "gone@example.org", "none@example.org", "theirs@"} {
				if !strings.HasPrefix(who, want) && strings.Contains(page, ">"+who+"<") {
					w.Errorf("%s finds %s", query, who)
				}
			}
		}
		for _, query := range []string{"?tag=nothing", "?stand=strange", "?topic=strange", "?q=%25", "?q=theirs@marble.example", "?q=%00", "?stand=given&topic=" + foreign.ID.String()} {
			if query != "?q=%00" {
				b.mustShow(list+query, "Nobody fits this")
			} else if got := b.get(list + query); got.status >= 500 {
				w.Errorf("%s: %d", query, got.status)
			}
		}
		if got := b.get(list + "?after=elsewhere"); got.status != http.StatusBadRequest {
			w.Errorf("a cursor that is none: %d", got.status)
		}
		reader := w.in2("reader@baharan.example", account.Reader)
		for _, path := range []string{list, list + "/" + w.known("sara@example.org").ID.String(), overview + "/suppressions"} {
			if got := reader.get(path); got.status != http.StatusForbidden {
				w.Errorf("a reader at %s: %d", path, got.status)
			}
		}
		for _, path := range []string{"", "/tags", "/tags/remove", "/withdraw", "/withdraw-all"} {
			at := list + "/" + foreign.ID.String() + path
			got := b.press(at, "tags", "x", "topic", w.topic.ID.String())
			if path == "" {
				got = b.get(at)
			}
			if got.status != http.StatusNotFound {
				w.Errorf("another brand's person at %q: %d", path, got.status)
			}
		}
	})
}

func TestManyPeopleInPages(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error {
			for i := range peopleAtOnce + 3 {
				a, err := subscriber.ParseAddress("p" + strings.Repeat("x", i) + "@example.org")
				if err != nil {
					return err
				}
				if _, _, err := subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"}); err != nil {
					return err
				}
			}
			return nil
		})
		b, seen := w.in(email), map[string]bool{}
		page := b.mustShow(overview + "/people?q=example.org").body
		for pages := 1; ; pages++ {
			lines := strings.Split(page, `<a href="`+overview+"/people/")[1:]
			for _, line := range lines {
				seen[line[:36]] = true
			}
			at := strings.Index(page, `" rel="next"`)
			if at < 0 {
				if pages != 2 || len(lines) != 3 || len(seen) != peopleAtOnce+3 {
					w.Errorf("%d pages, %d lines on the last, %d people", pages, len(lines), len(seen))
				}
				return
			}
			start := strings.LastIndex(page[:at], `href="`) + len(`href="`)
			page = b.mustShow(strings.ReplaceAll(page[start:at], "&amp;", "&")).body
		}
	})
}

func TestAPersonIsTheirPermission(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		w.mail(w.brand, w.topic, sara)
		b := w.in(email)
		at := overview + "/people/" + sara.ID.String()
		b.mustShow(at, "One permission in force", "Send me the letter.", "a form was sent", "a clear yes of the person", "at most 2 mails in 30 days", "192.0.2.7",
			"Permission given: Letter of Baharan", "Permission asked for: Letter of Baharan", "No tags yet", "They take it back")

		// Tags: one is added once, however often it is sent; a wrong one is told where it was typed.
		form := url.Values{"tags": {"<loyal> و پایدار"}, "page": {at + "/tags"}, "once": {store.NewID(w.db.Now()).String()}}
		for range 2 {
			if got := b.submit(at+"/tags", form); got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, at+"?did=people.tag") {
				w.Fatalf("tagged: %d to %s\n%s", got.status, got.location, got.body)
			}
		}
		b.mustShow(at+"?did=people.tag", "The tag is added.", "&lt;loyal&gt; و پایدار")
		long := strings.Repeat("t", 65)
		if got := b.press(at+"/tags", "tags", long); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `value="`+long+`"`) || !strings.Contains(got.body, `id="e-tags"`) {
			w.Errorf("a tag too long: %d\n%s", got.status, got.body)
		}
		if got := b.press(at+"/tags/remove", "tags", "<loyal> و پایدار"); got.status != http.StatusSeeOther {
			w.Errorf("untagged: %d\n%s", got.status, got.body)
		}
		b.mustShow(at, "No tags yet")

		// An analyst looks and changes nothing.
		analyst := w.in2("analyst@baharan.example", account.Analyst)
		analyst.mustNotShow(at, "They take it back", "name=\"tags\"")
		if got := analyst.press(at+"/withdraw", "topic", w.topic.ID.String()); got.status != http.StatusForbidden {
			w.Errorf("an analyst takes back: %d", got.status)
		}

		// A permission taken back on their behalf: the ledger says that the team did.
		if got := b.press(at+"/withdraw", "topic", w.topic.ID.String()); got.status != http.StatusSeeOther {
			w.Fatalf("taken back: %d\n%s", got.status, got.body)
		}
		b.mustShow(at, "No permission in force", "taken back", "told by the team on the person’s behalf", "Send me the letter.", "Permission taken back: Letter of Baharan")
		b.mustNotShow(at, "They take it back")
		w.write(func(tx *store.Tx) error {
			history, err := consent.History(tx, w.brand.ID, sara.ID)
			if err != nil {
				return err
			}
			last := history[len(history)-1]
			if who, err := last.Entity(); err != nil || who != consent.EntityOperator || last.Method != consent.MethodOperator || last.State != consent.Withdrawn {
				w.Errorf("the ledger ends with %s by %s (%s), %v", last.State, who, last.Method, err)
			}
			if proof, err := consent.EvidenceOf(tx, last.ID); err != nil || proof.Evidence["user"] != w.mina.ID.String() {
				w.Errorf("the evidence is %v, %v", proof.Evidence, err)
			}
			return nil
		})
		log := b.mustShow(overview+"/log", "Gave a person the tag", "Removed from a person the tag", "Took back on a person’s behalf").body
		if strings.Contains(log, "sara@example.org") || strings.Count(log, "Gave a person the tag") != 1 {
			w.Error("the log names the person, or a double click twice")
		}
	})
}

func TestEverythingIsTakenBack(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		b := w.in(email)
		at := overview + "/people/" + sara.ID.String()
		if got := b.press(at + "/withdraw-all"); got.status != http.StatusSeeOther {
			w.Fatalf("taken back: %d\n%s", got.status, got.body)
		}
		b.mustShow(at, "No permission in force", "left everything", "Only they can undo this.", "Address stopped")
		w.write(func(tx *store.Tx) error {
			if may, err := consent.May(tx, w.brand, sara.ID, w.topic.ID); err != nil || may.Allowed {
				w.Errorf("may be written to: %v, %v", may, err)
			}
			return nil
		})
	})
}

// One line of time, cut into pages, without a gap.
func TestALongLifeIsToldInPages(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		for range factsAtOnce {
			w.pass(time.Minute)
			w.write(func(tx *store.Tx) error {
				a := consent.Act{Brand: w.brand, Subscriber: sara.ID, Topic: w.topic, State: consent.Given, Method: consent.MethodForm, Language: "en", Wording: "Send me the letter."}
				_, err := consent.Record(tx, a)
				return err
			})
		}
		b := w.in(email)
		at := overview + "/people/" + sara.ID.String()
		page := b.mustShow(at, "Permission given anew").body
		if strings.Contains(page, "Permission asked for") || strings.Count(page, `<time datetime`) < factsAtOnce {
			w.Error("the first page is not of the newest")
		}
		next := strings.Index(page, `" rel="next"`)
		if next < 0 {
			w.Fatal("there is no second page")
		}
		href := page[strings.LastIndex(page[:next], `href="`)+len(`href="`) : next]
		b.mustShow(strings.TrimSuffix(strings.ReplaceAll(href, "&amp;", "&"), "#time"), "Permission asked for: Letter of Baharan", "To the beginning")
		if got := b.get(at + "?before=strange"); got.status != http.StatusBadRequest {
			w.Errorf("a cursor that is none: %d", got.status)
		}
	})
}

func TestAnAddressIsStoppedAndFreed(t *testing.T) {
	each(t, func(w *world) {
		b, list := w.in(email), overview+"/suppressions"
		b.mustShow(list, "No address is stopped.")
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		if got := b.submit(list+"/new", b.fill(list+"/new", "email", "no address", "reason", "manual")); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `value="no address"`) {
			w.Errorf("no address: %d\n%s", got.status, got.body)
		}
		if got := b.submit(list+"/new", b.fill(list+"/new", "email", "sara@example.org", "reason", "left")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a reason that is not the team's to give: %d", got.status)
		}
		for _, address := range []string{"Sara@Example.org", "stranger@example.org"} {
			if got := b.submit(list+"/new", b.fill(list+"/new", "email", address, "reason", "manual", "detail", "ticket 1043")); got.status != http.StatusSeeOther {
				w.Fatalf("stopped: %d\n%s", got.status, got.body)
			}
		}
		b.mustShow(list, "sara@example.org", "an address we do not keep", "stopped by hand", "ticket 1043", "Free it again")
		b.mustNotShow(list, "stranger@example.org")
		b.mustShow(list+"?q=STRANGER@example.org", "stopped by hand")
		b.mustShow(list+"?q=free@example.org", "Nothing stands against")
		b.mustShow(list+"?q=nothing", `id="e-q"`)
		b.mustShow(overview+"/people/"+sara.ID.String(), "No mail", "The team stopped it")

		// A marketer stops and does not free; what the person said, nobody frees.
		w.stop(w.brand, "left@example.org", consent.Left, "")
		found := b.mustShow(list + "?q=sara@example.org").body
		hash := field(found, "hash")
		marketer := w.in2("marketer@baharan.example", account.Marketer)
		marketer.mustNotShow(list, "Free it again")
		if got := marketer.press(list+"/lift", "hash", hash, "reason", "manual"); got.status != http.StatusForbidden {
			w.Errorf("a marketer frees: %d", got.status)
		}
		if got := b.press(list+"/lift", "hash", hash, "reason", "left"); got.status != http.StatusConflict {
			w.Errorf("what the person said is freed: %d", got.status)
		}
		for _, wrong := range []string{"", "xyz", hash[:62], hash + "00"} {
			if got := b.press(list+"/lift", "hash", wrong, "reason", "manual"); got.status != http.StatusNotFound {
				w.Errorf("the hash %q: %d", wrong, got.status)
			}
		}
		if got := b.press(list+"/lift", "hash", hash, "reason", "manual"); got.status != http.StatusSeeOther {
			w.Fatalf("freed: %d\n%s", got.status, got.body)
		}
		b.mustShow(list+"?q=sara@example.org", "Nothing stands against")
		b.mustShow(overview+"/people/"+sara.ID.String(), "Address free again")
		if log := b.mustShow(overview+"/log", "Stopped mail to an address", "Freed a stopped address").body; strings.Contains(log, "@example.org") {
			w.Error("the log names an address")
		}
	})
}

func TestManyStoppedInPages(t *testing.T) {
	each(t, func(w *world) {
		for i := range suppressionsAtOnce + 2 {
			w.stop(w.brand, "p"+strings.Repeat("x", i)+"@example.org", consent.Manual, "")
		}
		w.stop(w.marble, "theirs@example.org", consent.Manual, "of another brand")
		b := w.in(email)
		page := b.mustShow(overview + "/suppressions").body
		if n := strings.Count(page, "stopped by hand"); n != suppressionsAtOnce {
			w.Errorf("%d on the first page", n)
		}
		next := strings.Index(page, `" rel="next"`)
		if next < 0 {
			w.Fatal("there is no second page")
		}
		href := page[strings.LastIndex(page[:next], `href="`)+len(`href="`) : next]
		second := b.mustShow(href, "To the beginning").body
		if n := strings.Count(second, "stopped by hand"); n != 2 || strings.Contains(page+second, "of another brand") {
			w.Errorf("%d on the second page, or another brand's", n)
		}
		if got := b.get(overview + "/suppressions?after=strange"); got.status != http.StatusBadRequest {
			w.Errorf("a cursor that is none: %d", got.status)
		}
	})
}

// What is typed narrows the list without a button, and a list that is asked for
// after the session has ended leads to signing in instead of vanishing.
func TestPeopleAreFoundAsOneTypes(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	for _, who := range []string{"sara", "ali", "reza"} {
		w.person(w.brand, w.topic, who+"@example.org", consent.Requested, consent.Given)
	}
	p := w.tab()
	p.signInByKeyboard("/admin/b/baharan/people")
	p.until("document.querySelectorAll('#found tbody tr').length == 3")
	p.do(chromedp.SendKeys("#f-q", "sara"))
	p.until("document.querySelectorAll('#found tbody tr').length == 1 && location.search.includes('q=sara') && document.activeElement.id == 'f-q'")
	if told := eval[string](p, "document.getElementById('found-told').textContent"); told != "One person on this page." {
		t.Errorf("who listens is told %q", told)
	}
	eval[string](p, "fetch('/admin/sign-out', {method: 'POST'}).then(() => { document.body.dataset.out = 'yes' }), ''")
	p.until("document.body.dataset.out")
	p.do(chromedp.SendKeys("#f-q", "h"))
	p.until("document.querySelector('#f-email')")
}

// A note is the team's, stays until whoever wrote it takes it away, and is read
// as it was written.
func TestNotesAndWhoLooksAfter(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		page := overview + "/people/" + sara.ID.String()
		b := w.in(email)
		b.press(page+"/notes", "note", "Rang in November.\nLikes <b>Rumi</b>.")
		b.mustShow(page, "Rang in November.", "Likes &lt;b&gt;Rumi&lt;/b&gt;.", "Nobody in particular looks after")
		if got := b.submit(page+"/notes", url.Values{"note": {" "}}); got.status != http.StatusUnprocessableEntity {
			w.Errorf("an empty note: %d", got.status)
		}
		b.press(page+"/carer", "carer", w.mina.ID.String())
		b.mustShow(page, "looks after this person.")
		b.mustShow(overview+"/people?mine=yes", "sara@example.org")
		other := w.newUser("other@example.org", "Other", "en")
		w.role(other, w.brand, account.Analyst)
		w.in("other@example.org").mustNotShow(overview+"/people?mine=yes", "sara@example.org")

		var note string
		w.write(func(tx *store.Tx) error {
			notes, err := subscriber.Notes(tx, w.brand.ID, sara.ID)
			if len(notes) != 1 || err != nil {
				w.Fatalf("notes %v, %v", notes, err)
			}
			note = notes[0].ID.String()
			if err := subscriber.RemoveNote(tx, w.marble.ID, sara.ID, w.mina.ID, notes[0].ID); !problem.Is(err, problem.NotFound) {
				w.Errorf("removed at another brand: %v", err)
			}
			return nil
		})
		if got := w.in("other@example.org").submit(page+"/notes/remove", url.Values{"note": {note}}); got.status != http.StatusNotFound {
			w.Errorf("somebody else's note is removed: %d", got.status)
		}
		b.press(page+"/notes/remove", "note", note)
		b.mustNotShow(page, "Rang in November.")
		stranger := w.newUser("stranger@example.org", "Stranger", "en")
		w.role(stranger, w.marble, account.Owner)
		if got := b.submit(page+"/carer", url.Values{"carer": {stranger.ID.String()}}); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a stranger looks after them: %d", got.status)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		w.person(w.brand, w.topic, "ali@example.org", consent.Requested, consent.Given)
		w.person(w.brand, w.topic, "reza@example.org", consent.Requested)
		b2, t2 := w.newBrand("granite", "Granite")
		theirs := w.person(b2, t2, "sara@example.org", consent.Requested, consent.Given)
		b := w.in(email)
		ask := b.submit(overview+"/people/bulk", url.Values{"do": {"tag"}, "new-tag": {"autumn"}, "whom": {"found"}, "stand": {"given"}})
		if ask.status != http.StatusOK || !strings.Contains(ask.body, "2 people get the tag") {
			w.Fatalf("asked: %d %s", ask.status, ask.body)
		}
		b.mustNotShow(overview+"/people", "autumn")
		b.press(overview+"/people/tags", "new-tag", "autumn", "whom", "found", "stand", "given")
		b.mustShow(overview+"/people?tag=autumn", "sara@example.org", "ali@example.org")
		b.mustNotShow(overview+"/people?tag=autumn", "reza@example.org")
		b.press(overview+"/people/tags", "do", "untag", "new-tag", "autumn", "whom", "ticked", "id", sara.ID.String())
		b.mustNotShow(overview+"/people?tag=autumn", "sara@example.org")
		if got := b.submit(overview+"/people/tags", url.Values{"new-tag": {strings.Repeat("x", 65)}, "whom": {"found"}}); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "1 to 64") {
			w.Errorf("too long a tag: %d", got.status)
		}
		w.write(func(tx *store.Tx) error {
			tags, err := subscriber.TagsOf(tx, b2.ID, []uuid.UUID{theirs.ID})
			if len(tags) > 0 {
				w.Errorf("another brand's people are tagged: %v", tags)
			}
			return err
		})
	})
}

// A file of people is read back by any reader of CSV, and a spreadsheet runs
// nothing of it.
func TestPeopleAsAFile(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		w.person(w.brand, w.topic, "ali@example.org", consent.Requested)
		name := `=HYPERLINK("https://evil.example"), "سارا"`
		w.write(func(tx *store.Tx) error {
			_, err := subscriber.Update(tx, w.brand, sara.ID, subscriber.Change{Name: &name})
			return err
		})
		b := w.in(email)
		got := b.submit(overview+"/people/export", url.Values{"whom": {"found"}, "stand": {"given"}})
		if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
			w.Fatalf("exported: %d %v", got.status, got.header)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(got.body, "\uFEFF"))).ReadAll()
		if err != nil || len(rows) != 2 {
			w.Fatalf("%v: %v", err, rows)
		}
		if rows[1][0] != "sara@example.org" || rows[1][1] != "'"+name || rows[1][len(rows[1])-1] != "given" {
			w.Errorf("row %q", rows[1])
		}
		b.mustShow(overview+"/log", "saved people as a file")
	})
}
