package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"assent/internal/account"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/testkit"
)

// The way in and out: a page asks to sign in first, and is there afterwards.
func TestTheWayInAndOut(t *testing.T) {
	each(t, func(w *world) {
		b := w.browser()
		if got := b.get("/"); got.status != http.StatusSeeOther || got.location != homePath {
			w.Errorf("/ answered %d to %q", got.status, got.location)
		}
		asked := b.get("/admin/b/baharan")
		if asked.status != http.StatusSeeOther || asked.location != "/admin/sign-in?next=%2Fadmin%2Fb%2Fbaharan" {
			w.Fatalf("a stranger got %d to %q: %s", asked.status, asked.location, asked.body)
		}
		form := b.mustShow(asked.location, `name="next" value="/admin/b/baharan"`, `autocomplete="current-password"`)
		if form.header.Get("Cache-Control") != "no-store" {
			w.Errorf("the form may be kept: %v", form.header)
		}
		got := b.submit(signInPath, url.Values{"email": {" Mina@Baharan.example"}, "password": {password}, "next": {"/admin/b/baharan"}})
		if got.status != http.StatusSeeOther || got.location != "/admin/b/baharan" {
			w.Fatalf("signing in answered %d to %q", got.status, got.location)
		}
		page := b.mustShow(got.location, "Baharan", "Mina", "Sign out")
		if page.header.Get("Cache-Control") != "no-store" || page.header.Get("Content-Security-Policy") == "" {
			w.Errorf("the dashboard has the headers %v", page.header)
		}
		if again := b.get(signInPath + "?next=/mailbox"); again.location != "/mailbox" {
			w.Errorf("who is signed in is asked again: %d %q", again.status, again.location)
		}
		old := b.token()
		if out := b.submit(signOutPath, nil); out.status != http.StatusSeeOther || out.location != signInPath {
			w.Errorf("signing out answered %d to %q", out.status, out.location)
		}
		if got := w.browser().get(homePath, "Cookie", "assent="+old); got.status != http.StatusSeeOther {
			w.Errorf("the ended session still opens the dashboard: %d", got.status)
		}
		if got := b.get(signOutPath); got.status != http.StatusMethodNotAllowed {
			w.Errorf("a link signs out: %d", got.status)
		}
	})
}

// Whoever planted a token in someone's browser, or had a session there before,
// has nothing of the session that begins.
func TestSessionFixation(t *testing.T) {
	each(t, func(w *world) {
		planted := strings.Repeat("A", 43)
		victim := w.browser()
		victim.submit(signInPath, url.Values{"email": {email}, "password": {password}}, "Cookie", "assent="+planted)
		first := victim.token()
		if first == "" || first == planted {
			w.Fatalf("the session began under %q", first)
		}
		if got := w.browser().get(homePath, "Cookie", "assent="+planted); got.status != http.StatusSeeOther {
			w.Errorf("the planted token is signed in: %d", got.status)
		}
		victim.signIn(email, password)
		if second := victim.token(); second == first {
			w.Error("the token stayed at a second sign-in")
		}
		if got := w.browser().get(homePath, "Cookie", "assent="+first); got.status != http.StatusSeeOther {
			w.Errorf("the token from before is signed in: %d", got.status)
		}
		victim.mustShow(overview)
	})
}

// A wrong address and a wrong password are one answer; the fifth in a row locks,
// says for how long in the visitor's language, and keeps its word.
func TestRefusalAndLockOut(t *testing.T) {
	each(t, func(w *world) {
		b := w.browser()
		wrong, nobody := b.signIn(email, "not it, not it"), b.signIn("nobody@baharan.example", "not it, not it")
		said := i18n.For("en").T("account.sign-in-failed")
		for _, got := range []answer{wrong, nobody} {
			if got.status != http.StatusUnauthorized || !strings.Contains(got.body, said) || !strings.Contains(got.body, `role="alert"`) {
				w.Errorf("%d %s", got.status, got.body)
			}
		}
		if a, b := strings.ReplaceAll(wrong.body, email, "X"), strings.ReplaceAll(nobody.body, "nobody@baharan.example", "X"); a != b {
			w.Errorf("the answers differ:\n%s\n%s", a, b)
		}
		if strings.Contains(wrong.body, "not it") {
			w.Error("the password is in the page")
		}
		for range 3 {
			b.signIn(email, "not it, not it")
		}
		locked := b.submit(signInPath+"?lang=fa", url.Values{"email": {email}, "password": {password}, "next": {"/mailbox"}})
		if locked.status != http.StatusTooManyRequests || locked.header.Get("Retry-After") != "60" ||
			!strings.Contains(locked.body, i18n.For("fa").T("account.locked", "Minutes", 1)) {
			w.Fatalf("%d %v %s", locked.status, locked.header, locked.body)
		}
		for _, kept := range []string{`value="` + email + `"`, `value="/mailbox"`, `action="/admin/sign-in?lang=fa"`} {
			if !strings.Contains(locked.body, kept) {
				w.Errorf("the form lost %s", kept)
			}
		}
		w.pass(61 * time.Second)
		if got := b.signIn(email, password); got.status != http.StatusSeeOther {
			w.Errorf("after the wait: %d %s", got.status, got.body)
		}
	})
}

func TestAnotherOriginCannotPost(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	for _, path := range []string{signInPath, signOutPath} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			got := b.submit(path, url.Values{"email": {email}, "password": {password}}, header...)
			if got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s with %v answered %d, cookies %q", path, header, got.status, got.header["Set-Cookie"])
			}
		}
	}
	b.mustShow(overview) // and is still signed in
}

func TestNextStaysHere(t *testing.T) {
	for next, want := range map[string]string{
		"/admin/b/x?lang=fa": "/admin/b/x?lang=fa", "/mailbox/3?view=text": "/mailbox/3?view=text", "/a/%2F%2Fevil": "/a/%2F%2Fevil",
		"": homePath, "admin": homePath, "//evil.example": homePath, "///evil.example": homePath, "https://evil.example/": homePath,
		"/\\evil.example": homePath, "\\\\evil.example": homePath, "/\t/evil.example": homePath, "\t//evil.example": homePath, "/\n/evil": homePath,
		"javascript:alert(1)": homePath, "/admin/sign-in?next=/": homePath, "/admin/sign-in": homePath, "http:/evil": homePath, "/%zz": homePath,
		" //evil.example": homePath, "/\x00/evil": homePath,
	} {
		if got := local(next); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	for _, next := range []string{"//evil.example", "/\\evil.example", "https://evil.example"} {
		got := w.browser().submit(signInPath, url.Values{"email": {email}, "password": {password}, "next": {next}})
		if got.location != homePath {
			t.Errorf("%q leads to %q", next, got.location)
		}
		if shown := w.browser().get(signInPath + "?next=" + url.QueryEscape(next)); strings.Contains(shown.body, "evil") {
			t.Errorf("%q is in the form", next)
		}
	}
}

func FuzzNextStaysHere(f *testing.F) {
	for _, seed := range []string{"/admin", "//evil", "/\\evil", "/\t/evil", "https://evil", "/?a=//b", "/%2f/evil"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://ours.example/admin/sign-in")
	f.Fuzz(func(t *testing.T, next string) {
		to, err := base.Parse(local(next))
		if err != nil || to.Host != "ours.example" || to.Scheme != "https" || strings.ContainsAny(local(next), "\\\t\r\n") {
			t.Errorf("%q leads to %v (%v)", next, to, err)
		}
	})
}

// A session ends when the password changes, and a role that is taken counts at once.
func TestWhatWasTakenIsGone(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("DELETE FROM memberships WHERE user_id = ?", w.mina.ID)
			return err
		})
		b.mustShow(homePath, "has no brand yet")
		if got := b.get("/admin/b/baharan"); got.status != http.StatusNotFound {
			w.Errorf("the brand that was taken answered %d", got.status)
		}
		w.role(w.mina, w.brand, account.Reader)
		b.mustShow("/admin/b/baharan")
		w.must(w.door.SetPassword(w.Context(), email, "another long sentence"))
		if got := b.get(homePath); got.status != http.StatusSeeOther {
			w.Errorf("the session outlives its password: %d", got.status)
		}
	})
}
