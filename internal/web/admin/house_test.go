package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/testkit"
)

// empty is a world as it is after the program was started for the first time.
func emptied(t testing.TB, url string) *world {
	w := newWorld(t, url, false)
	w.write(func(tx *store.Tx) error {
		for _, table := range []string{"memberships", "users", "consent_events", "topics", "brands"} {
			if _, err := tx.Run("DELETE FROM " + table); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

func (w *world) code() (code string) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { code, _, err = account.FirstCode(tx); return err })
	return code
}

var newcomer = []string{"name", "Mina <b>", "email", "Mina@Baharan.example", "password", password, "language", "en"}

func fields(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func TestTheFirstAccount(t *testing.T) {
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) {
		w := emptied(t, url)
		b := w.browser()
		if got := b.get("/admin"); !strings.HasPrefix(got.location, signInPath) {
			t.Fatalf("/admin leads to %s", got.location)
		}
		if got := b.get(signInPath); got.location != welcomePath {
			t.Fatalf("signing in leads to %s", got.location)
		}
		w.code() // of another process
		code := w.code()
		b.mustShow(welcomePath, "it prints the address")
		for _, wrong := range []string{"x", code + "x", strings.ToUpper(code)} {
			if got := b.get(welcomePath + "?code=" + wrong); got.status != http.StatusForbidden || strings.Contains(got.body, `name="password"`) {
				t.Errorf("a wrong code: %d", got.status)
			}
			if got := b.submit(welcomePath, fields(append(newcomer, "code", wrong)...)); got.status != http.StatusForbidden {
				t.Errorf("a wrong code sent: %d", got.status)
			}
		}
		b.mustShow(welcomePath+"?code="+code, `name="password"`)
		bad := b.submit(welcomePath, fields("code", code, "name", "Mina", "email", "mina", "password", "short", "language", "en"))
		if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, `value="Mina"`) || strings.Contains(bad.body, `value="short"`) || strings.Count(bad.body, `class="wrong"`) != 2 {
			t.Errorf("wrong fields: %d\n%s", bad.status, bad.body)
		}
		var both sync.WaitGroup
		made := make(chan answer, 2)
		for i := range 2 {
			both.Go(func() {
				made <- w.browser().submit(welcomePath, fields("code", code, "name", "Mina", "email", string(rune('a'+i))+"@baharan.example", "password", password, "language", "en"))
			})
		}
		both.Wait()
		leads := []string{(<-made).location, (<-made).location}
		slices.Sort(leads)
		if !slices.Equal(leads, []string{newBrandPath, signInPath}) {
			t.Errorf("two at once lead to %q", leads)
		}
		w.write(func(tx *store.Tx) error {
			if n, err := account.Count(tx); n != 1 || err != nil {
				t.Errorf("%d accounts, %v", n, err)
			}
			if _, needed, err := account.FirstCode(tx); needed || err != nil {
				t.Error("there is still a code", err)
			}
			return nil
		})
		if got := b.get(welcomePath + "?code=" + code); got.location != signInPath {
			t.Errorf("the code outlives the account: %d to %s", got.status, got.location)
		}
		if got := b.submit(welcomePath, fields(append(newcomer, "code", code)...)); got.location != signInPath {
			t.Errorf("the code makes a second account: %d", got.status)
		}
	})
}

func TestACodeIsValidForAWeek(t *testing.T) {
	w := emptied(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	code := w.code()
	w.pass(8 * 24 * time.Hour)
	if got := w.browser().get(welcomePath + "?code=" + code); got.status != http.StatusForbidden {
		t.Errorf("an old code: %d", got.status)
	}
}

// newBrand is what is filled in on the page of a new brand.
var newBrandFields = []string{"language", "en", "languages", "en", "languages", "fa", "texts.en.name", "North Tea’s", "texts.en.postal_address", "1 Tea Street\r\nLeeds",
	"texts.fa.name", "چای شمال", "sender_email", "post@north.example", "time_zone", "Europe/London"}

// From nothing to a brand, by keyboard alone.
func TestFromNothingToABrand(t *testing.T) {
	w := emptied(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	p := w.tab()
	p.open(welcomePath + "?code=" + w.code())
	p.do(chromedp.Focus("#f-name"))
	p.do(chromedp.KeyEvent("Mina" + kb.Tab + email + kb.Tab + password + kb.Enter))
	p.until("location.pathname === '" + newBrandPath + "'")
	p.do(chromedp.Focus("input[name='texts.en.name']"))
	p.do(chromedp.KeyEvent("North Tea" + kb.Tab + "1 Tea Street"))
	p.do(chromedp.Focus("#f-sender_email"))
	p.do(chromedp.KeyEvent("post@north.example" + kb.Enter))
	p.until("location.pathname === '/admin/b/north-tea/setup'")
	p.until("document.body.innerText.includes('The brand is made.')")
}

func TestABrandIsMadeAndSet(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		form := b.fill(newBrandPath, newBrandFields...)
		form["languages"] = []string{"en", "fa"}
		wrong := b.fill(newBrandPath, "language", "fa", "texts.fa.name", "چای", "sender_email", "nobody", "time_zone", "Mars/Olympus")
		got := b.submit(newBrandPath, wrong)
		for _, want := range []string{"choose a short name in Latin", "no address that mail can be sent from", "time zone by its full name", `id="e-texts.fa.postal_address"`, `value="چای"`} {
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
				w.Errorf("%d: the page does not say %q", got.status, want)
			}
		}
		for range 2 {
			if got := b.submit(newBrandPath, form); got.location != "/admin/b/north-teas/setup?did=brand.create" {
				w.Fatalf("made: %d to %s\n%s", got.status, got.location, got.body)
			}
		}
		w.write(func(tx *store.Tx) error {
			made, err := brand.BySlug(tx, "north-teas")
			if err != nil || made.Texts["fa"].Name != "چای شمال" || made.PostalAddress != "1 Tea Street\nLeeds" || made.SenderName != "North Tea’s" {
				w.Errorf("%+v %v", made, err)
			}
			keys, err := brand.SigningKeys(tx, made)
			if len(keys) != 1 || err != nil {
				w.Errorf("%d keys sign, %v", len(keys), err)
			}
			return err
		})
		if got := b.submit(newBrandPath, b.fill(newBrandPath, append(newBrandFields, "slug", "north-teas")...)); got.status != http.StatusConflict || !strings.Contains(got.body, "already") {
			w.Errorf("a short name in use: %d", got.status)
		}
		page := "/admin/b/north-teas/settings"
		mine, theirs := b.fill(page, newBrandFields...), b.fill(page, append(newBrandFields, "cap_max", "۴", "cap_days", "30", "quiet_from", "21:00", "quiet_until", "08:00", "reply_to", "care@north.example", "texts.en.privacy_url", "https://north.example/p")...)
		theirs["languages"] = []string{"en", "fa"}
		theirs.Set("texts.en.name", "Northern Tea")
		if got := b.submit(page, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		if got := b.submit(page, mine); got.status != http.StatusConflict || !strings.Contains(got.body, "Northern Tea") {
			w.Errorf("an edit over another's: %d", got.status)
		}
		b.mustShow(page, `value="Northern Tea"`, `value="4"`, `value="21:00"`, `value="care@north.example"`, `value="چای شمال"`)
		b.mustShow("/admin/b/north-teas/log", "Changed the settings of the brand", "Made the brand")

		w.role(w.newUser("m@baharan.example", "M", "en"), w.brand, account.Marketer)
		m := w.in("m@baharan.example")
		if got := m.get(newBrandPath); got.status != http.StatusForbidden {
			w.Errorf("a marketer at the page of a new brand: %d", got.status)
		}
		if got := m.submit(newBrandPath, form); got.status != http.StatusForbidden {
			w.Errorf("a marketer makes a brand: %d", got.status)
		}
		if got := w.browser().submit(newBrandPath, form); !strings.HasPrefix(got.location, signInPath) {
			w.Errorf("nobody makes a brand: %d", got.status)
		}
	})
}

// letter is the newest mail of a kind to an address, and the path of its link.
func (w *world) letter(template, to string) (m delivery.Message, link string) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		if err = tx.Where("template = ? AND recipient = ?", template, to).Order("id DESC").Take(&m).Error; err != nil {
			return err
		}
		link, err = delivery.OpenLink(tx.Ring(), m)
		return err
	})
	token := link[strings.LastIndexByte(link, '/')+1:]
	if stored := fmt.Sprint(m); len(token) != 43 || strings.Contains(stored, token) {
		w.Fatalf("the link %q stands in %s", link, stored)
	}
	return m, strings.TrimPrefix(link, w.url)
}

func (w *world) letters(template, to string) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT count(*) FROM messages WHERE template = ? AND recipient = ?", template, to).Scan(&n).Error
	})
	return n
}

const teamPage = overview + "/team"

func (b *browser) invites(address string, role account.Role) (link string) {
	b.Helper()
	if got := b.submit(teamPage, b.fill(teamPage, "email", address, "role", string(role), "language", "fa")); got.location != teamPage+"?did=team.invite" {
		b.Fatalf("invited: %d to %s\n%s", got.status, got.location, got.body)
	}
	_, link = b.letter("invitation", strings.ToLower(address))
	return link
}

func TestAnInvitation(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		link := b.invites("Sara@Example.org", account.Analyst)
		m, _ := w.letter("invitation", "sara@example.org")
		if m.Language != "fa" || m.Kind != delivery.Test || m.Data["by"] != "Mina" {
			w.Errorf("%+v", m)
		}
		b.mustShow(teamPage, "sara@example.org", "waiting", "Analyst")
		if got := b.submit(teamPage, b.fill(teamPage, "email", email, "role", "reader", "language", "en")); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "of the team already") {
			w.Errorf("inviting oneself: %d", got.status)
		}

		guest := w.browser()
		guest.mustShow(link, "به گروه", `lang="fa"`, `name="password"`)
		guest.mustShow(link+"?lang=en", "Join the team of", "Mina", "Analyst")
		if got := guest.submit(link, fields("name", "Sara", "password", "short", "language", "fa")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a short password: %d", got.status)
		}
		got := guest.submit(link, fields("name", "Sara", "password", password, "language", "en", "email", "else@example.org"))
		if got.location != overview+"?did=team.join" {
			w.Fatalf("accepted: %d to %s\n%s", got.status, got.location, got.body)
		}
		guest.mustShow(overview+"?did=team.join", "Welcome to the team.")
		if got := guest.get(overview + "/settings"); got.status != http.StatusForbidden {
			w.Errorf("an analyst at the settings: %d", got.status)
		}
		if got := w.browser().get(link); got.status != http.StatusGone {
			w.Errorf("an accepted invitation: %d", got.status)
		}
		if got := w.browser().submit(link, fields("name", "Eve", "password", password, "language", "en")); got.status != http.StatusGone {
			w.Errorf("an invitation accepted twice: %d", got.status)
		}
		if got := w.browser().get(invitationPath + "unknown"); got.status != http.StatusNotFound {
			w.Errorf("an unknown invitation: %d", got.status)
		}
		b.mustShow(overview+"/log", "Joined the team as", "sara@example.org", "Invited")

		// Who has an account signs in first, and as the one who was invited.
		w.role(w.newUser("owner@marble.example", "Stranger", "en"), w.marble, account.Owner)
		link = b.invites("owner@marble.example", account.Marketer)
		w.browser().mustShow(link+"?lang=en", "has an account here already", "/admin/sign-in?")
		if got := w.browser().submit(link, fields("name", "Eve", "password", password, "language", "en")); got.status != http.StatusConflict {
			w.Errorf("somebody else's account is made anew: %d", got.status)
		}
		if got := guest.submit(link, url.Values{}); got.status != http.StatusForbidden {
			w.Errorf("accepted by another: %d", got.status)
		}
		guest.mustShow(link+"?lang=en", "you are signed in as")
		stranger := w.in("owner@marble.example")
		if got := stranger.submit(link, url.Values{}); got.location != overview+"?did=team.join" {
			w.Errorf("accepted by who has an account: %d", got.status)
		}
	})
}

func TestAnInvitationEnds(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		first := b.invites("sara@example.org", account.Reader)
		at := regexp.MustCompile(overview + `/team/invitations/[0-9a-f-]+/`).FindString(b.mustShow(teamPage).body)
		send := func(b *browser, path string) answer { return b.submit(path, url.Values{"page": {path}}) }
		if got := send(b, at+"again"); got.location != teamPage+"?did=team.invite-again" {
			w.Fatalf("sent again: %d %s", got.status, got.body)
		}
		_, second := w.letter("invitation", "sara@example.org")
		if first == second || w.browser().get(first).status != http.StatusNotFound || w.browser().get(second).status != http.StatusOK {
			w.Error("the first link still opens, or the second does not")
		}
		w.pass(7*24*time.Hour + time.Minute)
		b = w.in(email)
		if got := w.browser().get(second); got.status != http.StatusGone {
			w.Errorf("after seven days: %d", got.status)
		}
		b.mustShow(teamPage, "was open until")
		send(b, at+"again")
		_, third := w.letter("invitation", "sara@example.org")
		if got := send(b, at+"revoke"); got.location != teamPage+"?did=team.revoke" || w.browser().get(third).status != http.StatusGone {
			w.Errorf("taken back: %d", got.status)
		}
		w.role(w.newUser("owner@marble.example", "Stranger", "en"), w.marble, account.Owner)
		fourth := b.invites("sara@example.org", account.Reader)
		at = regexp.MustCompile(overview + `/team/invitations/[0-9a-f-]+/`).FindString(b.mustShow(teamPage).body)
		theirs := strings.Replace(at, "/b/baharan/", "/b/marble/", 1)
		if got := send(w.in("owner@marble.example"), theirs+"revoke"); got.status != http.StatusNotFound || w.browser().get(fourth).status != http.StatusOK {
			w.Errorf("another brand's owner takes it back: %d", got.status)
		}

		// With the role of who invited goes what they invited to.
		w.role(w.newUser("second@baharan.example", "Second", "en"), w.brand, account.Owner)
		theirLink := w.in("second@baharan.example").invites("ali@example.org", account.Owner)
		second2 := w.member("second@baharan.example")
		if got := b.submit(teamPage+"/"+second2.String()+"/role", url.Values{"page": {teamPage}, "role": {"marketer"}}); got.location != teamPage+"?did=team.role" {
			w.Fatalf("the role: %d %s", got.status, got.body)
		}
		if got := w.browser().get(theirLink); got.status != http.StatusGone {
			w.Errorf("what a former owner invited to: %d", got.status)
		}
	})
}

func (w *world) member(address string) (id uuid.UUID) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		u, err := account.ByEmail(tx, address)
		id = u.ID
		return err
	})
	return id
}

// Who reads the mailbox reads the links by which passwords are set: owners only.
func TestAnAnalystReadsNoLinks(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	u := w.newUser("analyst@baharan.example", "Analyst", "en")
	w.role(u, w.brand, account.Analyst)
	w.role(u, w.marble, account.Owner)
	if got := w.in("analyst@baharan.example").get(mailboxPath); got.status != http.StatusForbidden {
		t.Errorf("an analyst at the mailbox: %d", got.status)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		mine := teamPage + "/" + w.mina.ID.String()
		for path, form := range map[string]url.Values{mine + "/remove": {"page": {teamPage}}, mine + "/role": {"page": {teamPage}, "role": {"reader"}}} {
			if got := b.submit(path, form); got.status != http.StatusConflict || !strings.Contains(got.body, "needs an owner") {
				w.Errorf("%s: %d", path, got.status)
			}
		}
		b.mustShow(teamPage, "One person works here", "The only owner")
		if strings.Contains(b.mustShow(teamPage).body, mine) {
			w.Error("the page offers what cannot be")
		}
		second := w.newUser("second@baharan.example", "Second", "en")
		w.role(second, w.brand, account.Owner)
		other := w.in("second@baharan.example")
		var both sync.WaitGroup // each removes the other: one stays
		both.Go(func() { b.submit(teamPage+"/"+second.ID.String()+"/remove", url.Values{"page": {teamPage}}) })
		both.Go(func() { other.submit(mine+"/remove", url.Values{"page": {teamPage}}) })
		both.Wait()
		w.write(func(tx *store.Tx) error {
			left, err := account.Members(tx, w.brand.ID)
			if len(left) != 1 || left[0].Role != account.Owner {
				w.Errorf("%d are left", len(left))
			}
			return err
		})
		// Who was removed from everything is signed out.
		gone := 0
		for _, one := range []*browser{b, other} {
			if got := one.get(homePath); strings.HasPrefix(got.location, signInPath) {
				gone++
			}
		}
		if gone != 1 {
			w.Errorf("%d are signed out", gone)
		}
	})
}

func TestAForgottenPassword(t *testing.T) {
	each(t, func(w *world) {
		b, in := w.browser(), w.in(email)
		b.mustShow(signInPath, forgottenPath)
		ask := func(address string) (answer, time.Duration) {
			began := time.Now()
			got := b.submit(forgottenPath, fields("email", address))
			return got, time.Since(began)
		}
		known, took := ask(strings.ToUpper(email))
		unknown, took2 := ask("nobody@baharan.example")
		same := func(s, address string) string {
			s = regexp.MustCompile(`name="once" value="[^"]*"`).ReplaceAllString(s, "")
			return strings.ReplaceAll(s, address, "ADDRESS")
		}
		if known.status != http.StatusOK || unknown.status != http.StatusOK || same(known.body, strings.ToUpper(email)) != same(unknown.body, "nobody@baharan.example") {
			w.Errorf("the answers differ: %d %d", known.status, unknown.status)
		}
		if took < evenly || took2 < evenly || took > evenly+300*time.Millisecond && took2 < evenly+50*time.Millisecond {
			w.Errorf("the answers took %v and %v", took, took2)
		}
		if w.letters("reset", email) != 1 || w.letters("reset", "nobody@baharan.example") != 0 {
			w.Error("the mails are not as they should be")
		}
		_, link := w.letter("reset", email)
		b.mustShow(link, email, `name="password"`)
		if got := b.submit(link, fields("password", "short")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a short password: %d", got.status)
		}
		ask(email)
		_, newer := w.letter("reset", email)
		const fresh = "another long sentence"
		if got := b.submit(link, fields("password", fresh)); got.location != signInPath+"?did=account.reset" {
			w.Fatalf("set: %d %s", got.status, got.body)
		}
		b.mustShow(signInPath+"?did=account.reset", "The password is set.")
		for _, used := range []string{link, newer, resetPath + "unknown"} {
			if got := b.get(used); got.status != http.StatusGone || strings.Contains(got.body, `name="password"`) {
				w.Errorf("a used link: %d", got.status)
			}
			if got := b.submit(used, fields("password", "yet another sentence")); got.status != http.StatusGone {
				w.Errorf("a used link sets a password: %d", got.status)
			}
		}
		if got := in.get(overview); got.status != http.StatusSeeOther {
			w.Errorf("a session outlives the password: %d", got.status)
		}
		if got := w.browser().signIn(email, fresh); got.status != http.StatusSeeOther {
			w.Errorf("the new password: %d", got.status)
		}
		for range 4 {
			ask(email)
		}
		if n := w.letters("reset", email); n > 5 {
			w.Errorf("%d mails in an hour", n)
		}
		_, link = w.letter("reset", email)
		w.pass(61 * time.Minute)
		if got := b.get(link); got.status != http.StatusGone {
			w.Errorf("after an hour: %d", got.status)
		}
		last := answer{}
		for range triesAMinute + 5 {
			last = b.submit(resetPath+"x", fields("password", fresh))
		}
		if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
			w.Errorf("many tries: %d", last.status)
		}
	})
}

func TestOnesOwnAccount(t *testing.T) {
	each(t, func(w *world) {
		b, elsewhere := w.in(email), w.in(email)
		b.mustShow(overview, accountPath)
		b.mustShow(accountPath, email, "Baharan", "Owner")
		if got := b.submit(accountPath, fields("name", "مینا", "language", "fa")); got.location != accountPath+"?did=account.change" {
			w.Fatalf("saved: %d", got.status)
		}
		b.mustShow(accountPath, "مینا", `lang="fa"`)
		if got := b.submit(accountPath, fields("name", "", "language", "xx")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("no name: %d", got.status)
		}
		if got := b.submit(accountPath+"/sessions", url.Values{}); got.location != accountPath+"?did=account.sessions" {
			w.Fatalf("ended: %d", got.status)
		}
		if got := elsewhere.get(accountPath); got.status != http.StatusSeeOther {
			w.Errorf("a session that was ended: %d", got.status)
		}
		elsewhere = w.in(email)
		const fresh = "another long sentence"
		if got := b.submit(accountPath+"/password", fields("old", "not this one, no", "password", fresh)); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, i18n.For("fa").T("admin.account.old-wrong")) {
			w.Errorf("a wrong password: %d", got.status)
		}
		if got := b.submit(accountPath+"/password", fields("old", password, "password", fresh)); got.location != accountPath+"?did=account.password" {
			w.Fatalf("set: %d %s", got.status, got.body)
		}
		b.mustShow(accountPath)
		if got := elsewhere.get(accountPath); got.status != http.StatusSeeOther {
			w.Errorf("a session outlives its password: %d", got.status)
		}
		for range 5 {
			b.submit(accountPath+"/password", fields("old", "a guess, and another", "password", fresh))
		}
		if got := b.submit(accountPath+"/password", fields("old", fresh, "password", fresh)); got.status != http.StatusTooManyRequests {
			w.Errorf("guesses do not lock: %d", got.status)
		}
	})
}

const keysPage = overview + "/keys"

func TestAKeyIsShownOnce(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		form := b.fill(keysPage, "name", "Shop <x>")
		if got := b.submit(keysPage, form); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `id="e-scopes"`) {
			w.Errorf("a key that may nothing: %d", got.status)
		}
		form["scopes"] = []string{"orders:write", "subscribers:read"}
		got := b.submit(keysPage, form)
		secret := regexp.MustCompile(`ak_[\w-]{43}`).FindString(got.body)
		if got.status != http.StatusOK || secret == "" {
			w.Fatalf("made: %d\n%s", got.status, got.body)
		}
		if again := b.submit(keysPage, form); again.location != keysPage+"?did=key.again" {
			w.Errorf("sent again: %d to %s", again.status, again.location)
		}
		if page := b.mustShow(keysPage, "Shop &lt;x&gt;", "orders:write", "never").body; strings.Contains(page, secret) {
			w.Error("the secret is shown again")
		}
		key := func() (k account.Key, err error) {
			w.write(func(tx *store.Tx) error { k, err = account.KeyOf(tx, secret); return nil })
			return k, err
		}
		k, err := key()
		if err != nil || !k.May("orders:write") || k.May("orders:read") || k.BrandID == nil || *k.BrandID != w.brand.ID {
			w.Errorf("%+v %v", k, err)
		}
		house := b.fill(keysPage, "name", "House")
		house["scopes"] = []string{"nodes:read"}
		if got := b.submit(keysPage, house); got.status != http.StatusUnprocessableEntity {
			w.Errorf("a brand's key for the installation: %d", got.status)
		}
		w.role(w.newUser("owner@marble.example", "Stranger", "en"), w.marble, account.Owner)
		theirs := "/admin/b/marble/keys/" + k.ID.String() + "/revoke"
		if got := w.in("owner@marble.example").submit(theirs, url.Values{"page": {theirs}}); got.status != http.StatusNotFound {
			w.Errorf("another brand revokes it: %d", got.status)
		}
		path := keysPage + "/" + k.ID.String() + "/revoke"
		if got := b.submit(path, url.Values{"page": {path}}); got.location != keysPage+"?did=key.revoke" {
			w.Fatalf("revoked: %d", got.status)
		}
		if _, err := key(); err == nil {
			w.Error("a revoked key opens")
		}
		b.mustShow(keysPage, "revoked")
		b.mustShow(overview+"/log", "Made the key", "Revoked the key")
	})
}

// Each step of the set-up tells what is so, and the way to it goes when all are done.
func TestTheSetupKnowsWhatIsDone(t *testing.T) {
	each(t, func(w *world) {
		b, page := w.in(email), overview+"/setup"
		says := func(done ...string) {
			w.Helper()
			body := b.mustShow(page).body
			for _, name := range stepNames {
				if got, want := strings.Contains(body, i18n.For("en").T("admin.setup."+name+".done")), slices.Contains(done, name); got != want {
					w.Errorf("with %v done, %s is done: %v", done, name, got)
				}
			}
		}
		says("brand", "topic")
		b.mustShow(page, "2 of 6 steps are done", `aria-current="step"`)
		b.mustShow(overview, page, "A few steps of the set-up are left.")
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested)
		says("brand", "topic")
		w.write(func(tx *store.Tx) error {
			_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: sara.ID, Topic: w.topic, State: consent.Given, Method: consent.MethodForm,
				Language: "en", Wording: "Send me the letter.", Evidence: map[string]any{"ip": "192.0.2.7"}})
			return err
		})
		says("brand", "topic", "person")
		b.invites("ali@example.org", account.Reader)
		says("brand", "topic", "person")
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'sent' WHERE template = 'invitation'")
			return err
		})
		says("brand", "topic", "person", "sending")
		w.write(func(tx *store.Tx) error {
			_, err := signup.Create(tx, w.brand, "Footer", signup.Spec{Topics: []string{"letter"}})
			return err
		})
		says("brand", "topic", "person", "sending", "form")
		w.write(func(tx *store.Tx) error {
			content, err := delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "en", Subject: "Welcome", HTML: "<p>Hello</p>"}, {Language: "fa", Subject: "خوش آمدید", HTML: "<p>سلام</p>"}})
			if err != nil {
				return err
			}
			s, err := sequence.Create(tx, w.brand, sequence.New{Name: "Welcome", Topic: w.topic.ID, Steps: []sequence.Step{{Send: &content}}})
			if err != nil {
				return err
			}
			_, err = sequence.Start(tx, w.brand.ID, s.ID)
			return err
		})
		says(stepNames...)
		b.mustShow(page, "Everything is set up")
		if got := b.mustShow(overview).body; strings.Contains(got, page) {
			w.Error("the overview still leads to the set-up")
		}
		r := w.newUser("reader@baharan.example", "R", "en")
		w.role(r, w.marble, account.Reader)
		if got := w.in("reader@baharan.example").mustShow("/admin/b/marble").body; strings.Contains(got, "/setup") {
			w.Error("a reader is led to the set-up")
		}
	})
}

// As TestPagesAreSound, for the pages of the house.
func TestHousePagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	w.role(w.newUser("second@baharan.example", "Second of a long name that has to break somewhere", "en"), w.brand, account.Owner)
	w.role(w.newUser("sara@baharan.example", "سارا", "fa"), w.brand, account.Marketer)
	guest := b.invites("a-rather-long-address.of-somebody@example.org", account.Analyst)
	known := b.invites("owner@marble.example", account.Reader)
	w.newUser("owner@marble.example", "Stranger", "en")
	w.browser().submit(forgottenPath, fields("email", email))
	_, link := w.letter("reset", email)
	for _, scopes := range [][]string{{"*"}, {"orders:write", "subscribers:read", "consents:read", "events:read"}} {
		form := b.fill(keysPage, "name", "Shop")
		form["scopes"] = scopes
		b.submit(keysPage, form)
	}
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.sound("invitation-known", lang, known+"?lang="+lang)
		p.sound("invitation", lang, guest+"?lang="+lang)
		p.sound("invitation-over", lang, invitationPath+"x?lang="+lang)
		p.sound("forgotten", lang, forgottenPath+"?lang="+lang)
		p.sound("reset", lang, link+"?lang="+lang)
		p.sound("reset-over", lang, resetPath+"x?lang="+lang)
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"team": teamPage, "keys": keysPage, "settings": overview + "/settings", "account": accountPath, "setup": overview + "/setup", "brand-new": newBrandPath, "invitation-other": guest} {
			p.sound(name, lang, path+"?lang="+lang)
		}
		p.open(keysPage + "?lang=" + lang)
		p.do(chromedp.Focus("#f-name"))
		p.do(chromedp.KeyEvent("x"))
		eval[bool](p, "document.querySelector('[name=all]').click() || document.querySelector('.sheet').requestSubmit() || true")
		p.until("document.querySelector('#f-secret')")
		for _, v := range testkit.Axe(p.TB, p.ctx) {
			t.Errorf("a key that was made: %s", v)
		}
	}
}

func TestWelcomePagesAreSound(t *testing.T) {
	w := emptied(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	code := w.code()
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.sound("welcome", lang, welcomePath+"?code="+code+"&lang="+lang)
		p.sound("welcome-no-code", lang, welcomePath+"?lang="+lang)
		p.sound("welcome-wrong", lang, welcomePath+"?code=x&lang="+lang)
	}
}
