package admin

import (
	"io"
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
	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/testkit"
)

// field reads the value of a hidden input.
func field(page, name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return m[1]
}

// fill takes a form as a page shows it, with fields of its own.
func (b *browser) fill(path string, fields ...string) url.Values {
	b.Helper()
	page := b.mustShow(path).body
	v := url.Values{}
	for _, name := range []string{"page", "version", "once"} {
		v.Set(name, field(page, name))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v
}

// Every action × every role × a stranger's session: who may, may; who may not is
// told so; and at another brand there is nothing.
func TestWhoMayWhat(t *testing.T) {
	each(t, func(w *world) {
		roles := []account.Role{account.Reader, account.Analyst, account.Marketer, account.Owner}
		visitors := map[account.Role]*browser{}
		for _, r := range roles {
			u := w.newUser(string(r)+"@baharan.example", string(r), "en")
			w.role(u, w.brand, r)
			visitors[r] = w.in(string(r) + "@baharan.example")
		}
		stranger := w.newUser("owner@marble.example", "Stranger", "en")
		w.role(stranger, w.marble, account.Owner)
		outside, nobody := w.in("owner@marble.example"), w.browser()
		for _, a := range actions() {
			path := overview + strings.ReplaceAll(a.path, ":id", uuid.NewString())
			for _, r := range roles {
				if got, may := visitors[r].asks(a.method, path).StatusCode, r.Includes(a.least); may == (got == http.StatusForbidden) || got >= 500 {
					w.Errorf("%s %s as %s: %d", a.method, a.path, r, got)
				}
			}
			if got := outside.asks(a.method, path).StatusCode; got != http.StatusNotFound {
				w.Errorf("%s %s from another brand: %d", a.method, a.path, got)
			}
			if got := nobody.asks(a.method, path).StatusCode; got != http.StatusUnauthorized && (a.silent || got != http.StatusSeeOther) {
				w.Errorf("%s %s as nobody: %d", a.method, a.path, got)
			}
		}
	})
}

// asks sends the request and waits for the first line of the answer only: a live one does
// not end by itself.
func (b *browser) asks(method, path string) *http.Response {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, nil)
	b.must(err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got, err := b.client.Do(r)
	b.must(err)
	got.Body.Close()
	return got
}

// Whom the pages that belong to no brand are for: anybody, who is signed in, who
// owns a brand, or who owns all that there are. A page that is not in the table
// has not been thought of.
func TestWhoMayWhatOutsideABrand(t *testing.T) {
	const anybody, member, owner, ownerOfAll = 0, 1, 2, 3
	least := map[string]int{
		"GET /": anybody, "GET " + signInPath: anybody, "POST " + signInPath: anybody, "POST " + signOutPath: anybody,
		"GET " + welcomePath: anybody, "POST " + welcomePath: anybody, "GET " + forgottenPath: anybody, "POST " + forgottenPath: anybody,
		"GET " + resetPath + ":token": anybody, "POST " + resetPath + ":token": anybody,
		"GET " + invitationPath + ":token": anybody, "POST " + invitationPath + ":token": anybody,
		"GET " + helpPath: anybody, "GET " + helpPath + "/:page": anybody,
		"GET " + homePath: member, "GET " + accountPath: member, "POST " + accountPath: member,
		"GET " + accountPath + "/password": member, "POST " + accountPath + "/password": member,
		"GET " + accountPath + "/sessions": member, "POST " + accountPath + "/sessions": member,
		"GET " + newBrandPath: owner, "POST " + newBrandPath: owner,
		"GET " + mailboxPath: ownerOfAll, "GET " + mailboxPath + "/live": ownerOfAll, "GET " + mailboxPath + "/:id": ownerOfAll, "GET " + mailboxPath + "/:id/html": ownerOfAll,
	}
	each(t, func(w *world) {
		ours := func(path string) bool {
			return path == "/" || slices.ContainsFunc([]string{homePath, helpPath, mailboxPath}, func(at string) bool { return path == at || strings.HasPrefix(path, at+"/") })
		}
		w.role(w.newUser("reader@baharan.example", "Reader", "en"), w.brand, account.Reader)
		all := w.newUser("all@baharan.example", "Owner of all", "en")
		w.role(all, w.brand, account.Owner)
		w.role(all, w.marble, account.Owner)
		people := []string{"", "reader@baharan.example", email, "all@baharan.example"}
		browsers := map[string]*browser{"": w.browser()}
		seen := 0
		for _, route := range w.routes {
			if !ours(route.Path) || strings.HasPrefix(route.Path, brandPath+":brand") {
				continue
			}
			name := route.Method + " " + route.Path
			need, known := least[name]
			if !known {
				w.Errorf("%s: for whom?", name)
				continue
			}
			seen++
			path := strings.NewReplacer(":token", "none", ":id", "99", ":page", "start").Replace(route.Path)
			for who, email := range people {
				if browsers[email] == nil {
					w.pass(15 * time.Minute) // or it is too often from one place
					browsers[email] = w.in(email)
				}
				got := browsers[email].asks(route.Method, path)
				if email != "" && route.Method == http.MethodPost && (route.Path == signOutPath || strings.HasPrefix(route.Path, accountPath)) {
					browsers[email] = nil // it may have ended the session
				}
				asked := got.StatusCode == http.StatusUnauthorized && route.Path != signInPath || got.StatusCode == http.StatusSeeOther && strings.HasPrefix(got.Header.Get("Location"), signInPath+"?next=")
				refused := got.StatusCode == http.StatusForbidden
				switch {
				case got.StatusCode >= 500:
					w.Errorf("%s as %q: %d", name, email, got.StatusCode)
				case who == anybody && need > anybody && !asked, who > anybody && who < need && !refused, who >= need && (asked || refused):
					w.Errorf("%s as %q: %d to %q", name, email, got.StatusCode, got.Header.Get("Location"))
				}
			}
		}
		if seen != len(least) {
			w.Errorf("%d of %d pages are there", seen, len(least))
		}
	})
}

func TestATopicIsMadeOnceAndChanged(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		bad := b.submit(overview+"/topics/new", b.fill(overview+"/topics/new", "slug", "news", "texts.en.name", "News", "promise_max", "many"))
		if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, "This is not a whole number.") || !strings.Contains(bad.body, `value="News"`) {
			w.Fatalf("a wrong number: %d\n%s", bad.status, bad.body)
		}
		if got := w.browser().submit(overview+"/topics/"+w.topic.ID.String()+"/archive", url.Values{}); got.location != "/admin/sign-in?next="+url.QueryEscape(overview+"/topics/"+w.topic.ID.String()) {
			w.Errorf("a form sent by nobody leads to %s", got.location)
		}
		form := b.fill(overview+"/topics/new", "texts.en.name", "News <of> the shop", "texts.en.wording", "Send me news.", "promise_max", "۲", "promise_days", "7")
		var clicks sync.WaitGroup
		for range 4 { // several clicks at once
			clicks.Go(func() {
				got := b.submit(overview+"/topics/new", form)
				if got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, overview+"/topics?did=topic.create") {
					w.Errorf("made: %d to %s\n%s", got.status, got.location, got.body)
				}
			})
		}
		clicks.Wait()
		b.mustShow(overview+"/topics?did=topic.create", "The topic is made.", "News &lt;of&gt; the shop", "Send me news.", "at most 2 mails in 7 days")
		var news consent.Topic
		slugs := func(want string) {
			w.write(func(tx *store.Tx) (err error) { news, err = consent.TopicBySlug(tx, w.brand.ID, want); return err })
		}
		for name, slug := range map[string]string{"News: of the shop!": "news-of-the-shop-2", "خبرها": "topic", "Café de l’Müller": "cafe-de-lmuller", "تخفیف 50": "50"} {
			made := b.submit(overview+"/topics/new", b.fill(overview+"/topics/new", "texts.en.name", name, "texts.en.wording", "Send me news."))
			if made.status != http.StatusSeeOther {
				w.Errorf("%q: %d\n%s", name, made.status, made.body)
			}
			slugs(slug)
		}
		slugs("news-of-the-shop")
		page := overview + "/topics/" + news.ID.String()

		// Two people edit it: the second sees what the first wrote before it is replaced.
		mine, theirs := b.fill(page, "texts.en.name", "My news", "texts.en.wording", "Send me news."), b.fill(page, "texts.en.name", "Their news", "texts.en.wording", "Send me news.")
		if got := b.submit(page, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		asked := b.submit(page, mine)
		if asked.status != http.StatusConflict || !strings.Contains(asked.body, "Their news") || !strings.Contains(asked.body, `value="My news"`) {
			w.Fatalf("an edit that would overwrite another's unseen: %d\n%s", asked.status, asked.body)
		}
		mine.Set("version", field(asked.body, "version"))
		mine.Set("once", field(asked.body, "once"))
		if got := b.submit(page, mine); got.status != http.StatusSeeOther {
			w.Fatalf("saved after having seen: %d\n%s", got.status, got.body)
		}
		b.mustShow(overview+"/topics", "My news")
		if got := b.submit(page+"/archive", url.Values{"page": {page + "/archive"}}); got.status != http.StatusSeeOther {
			w.Errorf("archived: %d\n%s", got.status, got.body)
		}
		log := b.mustShow(overview+"/log", "Stopped offering the topic", "Changed the topic", "Made the topic", "Mina").body
		if n := strings.Count(log, "Made the topic"); n != 5 {
			w.Errorf("five topics, one of them by a double click, stand %d times in the log", n)
		}
	})
}

// What is typed is there after the session ended, on another browser, until it is
// saved or thrown away.
func TestWhatIsTypedIsKept(t *testing.T) {
	each(t, func(w *world) {
		b, page := w.in(email), overview+"/topics/new"
		form := b.fill(page, "texts.en.name", "Half a name")
		if got := b.submit(overview+"/drafts", form); got.status != http.StatusOK || !strings.Contains(got.body, "Kept as a draft at") {
			w.Fatalf("kept: %d %s", got.status, got.body)
		}
		w.pass(time.Minute)
		later := w.in(email)
		later.mustShow(page, `value="Half a name"`, "have not saved yet")
		if other := w.in2("second@baharan.example", account.Owner); strings.Contains(other.mustShow(page).body, "Half a name") {
			w.Error("somebody else sees the draft")
		}
		if got := later.submit(overview+"/drafts", url.Values{"page": {page}, "drop": {"1"}}); got.status != http.StatusSeeOther || got.location != page {
			w.Errorf("thrown away: %d to %s", got.status, got.location)
		}
		if strings.Contains(later.mustShow(page).body, "Half a name") {
			w.Error("it is still there")
		}
		for _, elsewhere := range []string{"/admin/b/marble/topics/new", "https://evil.example/", "//evil.example", ""} {
			got := later.submit(overview+"/drafts", url.Values{"page": {elsewhere}, "drop": {"1"}})
			if elsewhere != "" && got.status != http.StatusBadRequest {
				w.Errorf("a draft of %q: %d", elsewhere, got.status)
			}
		}
	})
}

// in2 signs somebody new in.
func (w *world) in2(email string, r account.Role) *browser {
	w.Helper()
	w.role(w.newUser(email, "Second", "en"), w.brand, r)
	return w.in(email)
}

// The form keeps itself as somebody types, and asks before what is for good.
func TestTypingKeepsADraft(t *testing.T) {
	each(t, func(w *world) {
		p := w.tab()
		p.signInByKeyboard(overview + "/topics/new")
		p.do(focus("#f-texts\\.en\\.name"), keys("Typed and not saved"))
		p.until("document.querySelector('.saved').textContent.includes('Kept as a draft')")
		p.open(overview + "/topics/new")
		p.until("document.querySelector('#f-texts\\\\.en\\\\.name').value === 'Typed and not saved'")
	})
}

// What is typed after the session has ended is there after signing in again, in
// the same form.
func TestTypingAfterTheSessionHasEnded(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	p := w.tab()
	p.signInByKeyboard(overview + "/topics/new")
	eval[string](p, "fetch('/admin/sign-out', {method: 'POST'}).then(() => { document.body.dataset.out = 'yes' }), ''")
	p.until("document.body.dataset.out")
	p.do(focus("#f-texts\\.en\\.name"), keys("Typed too late"))
	p.until("document.querySelector('.saved.no')")
	p.open(overview + "/topics/new")
	p.until("document.querySelector('#f-email')")
	p.do(focus("#f-email"))
	p.do(keys(email + kb.Tab + password + kb.Enter))
	p.until("document.querySelector('#f-texts\\\\.en\\\\.name')?.value === 'Typed too late'")
}

// A day is chosen by keyboard in the calendar of the page's language, and
// written as it could have been typed.
func TestADayIsChosen(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	p := w.tab()
	p.signInByKeyboard(overview + "/parts")
	for _, c := range []struct{ lang, typed, keys, want string }{
		{"en", "2027-01-31", kb.ArrowRight + kb.PageDown + kb.ArrowDown + kb.Enter, "2027-03-08"},
		{"fa", "۱۴۰۵/۱۲/۲۹", kb.ArrowLeft + kb.Enter, "۱۴۰۶/۰۱/۰۱"}, // 1405 is no leap year; leftward is onward
		{"fa", "۱۴۰۶/۰۶/۳۱", kb.PageDown + kb.End + kb.Enter, "۱۴۰۶/۰۷/۳۰"},
		{"fa", "1403/12/30", kb.ArrowUp + kb.Enter, "۱۴۰۳/۱۲/۲۳"}, // a leap year
	} {
		p.open(overview + "/parts?lang=" + c.lang)
		p.until("document.querySelector('[data-day-of]') && !document.querySelector('[data-day-of]').hidden")
		p.do(focus("#f-day"), keys(c.typed), focus("[data-day-of]"), keys(kb.Enter))
		p.until("document.querySelector('.days[open]') && document.activeElement.dataset.t")
		p.do(keys(c.keys))
		p.until("!document.querySelector('.days[open]')")
		if got := eval[string](p, "document.getElementById('f-day').value"); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.lang, c.typed, got, c.want)
		}
	}
}

func focus(selector string) chromedp.Action[chromedp.Void] { return chromedp.Focus(selector) }

func keys(text string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(text) }

// Who is removed while a form is on its way does nothing more by it.
func TestAFormThatComesAfterItsSender(t *testing.T) {
	each(t, func(w *world) {
		second := w.newUser("second@baharan.example", "Second", "en")
		w.role(second, w.brand, account.Owner)
		b := w.in("second@baharan.example")
		coming, going := io.Pipe()
		answered := make(chan answer)
		go func() {
			answered <- b.ask(http.MethodPost, overview+"/topics/new", coming, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		}()
		form := url.Values{"page": {overview + "/topics/new"}, "slug": {"late"}, "texts.en.name": {"Late"}, "texts.en.wording": {"Yes."}}.Encode()
		if _, err := io.WriteString(going, form[:20]); err != nil { // the handler reads by now
			w.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		w.write(func(tx *store.Tx) error { return account.RemoveMember(tx, w.brand.ID, second.ID) })
		if _, err := io.WriteString(going, form[20:]); err != nil {
			w.Fatal(err)
		}
		going.Close()
		if got := <-answered; got.status != http.StatusNotFound {
			w.Errorf("done after its sender was removed: %d to %s", got.status, got.location)
		}
		if strings.Contains(w.in(email).mustShow(overview+"/topics").body, "Late") {
			w.Error("the topic is there")
		}
	})
}
