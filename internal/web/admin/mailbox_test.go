package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"assent/internal/account"
	"assent/internal/testkit"
)

const twoParts = "--x\r\nContent-Type: text/plain\r\n\r\nin words\r\n--x\r\nContent-Type: text/html\r\n\r\n<!doctype html><p>in colour</p>\r\n--x--"

// A mail is found in the list and read in every way, without a script.
func TestReadingTheMailbox(t *testing.T) {
	each(t, func(w *world) {
		w.role(w.mina, w.marble, account.Owner)
		b := w.in(email)
		b.mustShow(mailboxPath, "No mail yet", w.box.Addr())
		w.post("sara@example.org", "May we write to you?", `multipart/alternative; boundary="x"`, twoParts)
		w.post("ali@example.org", "=?utf-8?q?=D8=B3=D9=84=D8=A7=D9=85_<b>?=", "text/plain; charset=utf-8", "only text")
		list := b.mustShow(mailboxPath, `href="/mailbox/1"`, `href="/mailbox/2"`, "May we write to you?", "سلام &lt;b&gt;", "Choose a mail")
		if strings.Index(list.body, "/mailbox/2") > strings.Index(list.body, "/mailbox/1") {
			w.Error("the newest mail is not the first")
		}
		if found := b.mustShow(mailboxPath+"?q=SARA", `value="SARA"`, `href="/mailbox/1?q=SARA"`); strings.Contains(found.body, "/mailbox/2") {
			w.Error("the search found too much")
		}
		b.mustShow(mailboxPath+"?q=nothing", "No mail has these words.")
		b.mustShow("/mailbox/1", `src="/mailbox/1/html"`, `sandbox="allow-popups allow-popups-to-escape-sandbox"`, "Baharan &lt;post@baharan.example&gt;")
		b.mustShow("/mailbox/1?view=text", "in words", `href="/mailbox/1?view=source"`)
		b.mustShow("/mailbox/1?view=headers", "Subject", "Mime-Version", "1.0")
		b.mustShow("/mailbox/1?view=source", "--x", "&lt;p&gt;in colour&lt;/p&gt;")
		b.mustShow("/mailbox/1?view=nonsense&lang=fa", `src="/mailbox/1/html"`, "سرآیندها", `href="/mailbox/1?lang=fa&amp;view=text"`)
		if plain := b.mustShow("/mailbox/2", "only text"); strings.Contains(plain.body, "<iframe") {
			w.Error("a mail without HTML has a frame")
		}
		for _, path := range []string{"/mailbox/3", "/mailbox/0", "/mailbox/01", "/mailbox/+1", "/mailbox/99999999999999999999", "/mailbox/x", "/mailbox/3/html"} {
			if got := b.get(path); got.status != http.StatusNotFound {
				w.Errorf("%s answered %d", path, got.status)
			}
		}
	})
}

func TestMailboxIsClosed(t *testing.T) {
	each(t, func(w *world) {
		w.post("sara@example.org", "secret", "text/html", "<p>secret</p>")
		for _, path := range []string{"/mailbox", "/mailbox/1", "/mailbox/1/html", "/mailbox/1?view=source"} {
			got := w.browser().get(path)
			if got.status != http.StatusSeeOther || got.location != signInPath+"?next="+url.QueryEscape(path) || strings.Contains(got.body, "secret") {
				w.Errorf("%s answered a stranger %d to %q: %s", path, got.status, got.location, got.body)
			}
		}
		if got := w.browser().get("/mailbox/live"); got.status != http.StatusUnauthorized {
			w.Errorf("the stream answered a stranger %d", got.status)
		}
		// Mina has no role at Marble, whose mails are here too.
		w.role(w.newUser("both@baharan.example", "Both", "en"), w.brand, account.Owner)
		for _, path := range []string{"/mailbox", "/mailbox/1", "/mailbox/1/html", "/mailbox/live"} {
			if got := w.in("both@baharan.example").get(path); got.status != http.StatusForbidden || strings.Contains(got.body, "secret") {
				w.Errorf("%s answered %d to who knows one brand of two", path, got.status)
			}
		}
	})
}

func TestOpenMailbox(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), true)
	w.post("sara@example.org", "hello", "text/html", "<p>hello</p>")
	b := w.browser()
	if page := b.mustShow("/mailbox/1", "hello"); strings.Contains(page.body, "Sign out") {
		t.Error("nobody is offered to sign out")
	}
	b.mustShow("/mailbox/1/html", "hello")
	if got := b.get("/"); got.location != demoPath {
		t.Errorf("/ leads to %q", got.location)
	}
	if page := b.mustShow(signInPath).body; strings.Contains(page, forgottenPath) || b.get(forgottenPath).status != http.StatusNotFound {
		t.Error("a password can be set by a mail that everybody reads")
	}
	for _, path := range []string{overview, overview + "/live"} {
		if got := b.get(path); got.status == http.StatusOK {
			t.Errorf("%s is open too", path)
		}
	}
}

func TestNoMailboxNoRoute(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	w.box = nil
	w.serve(w.ring(), false)
	b := w.in(email)
	if got := b.get(mailboxPath); got.status != http.StatusNotFound {
		t.Errorf("/mailbox answered %d", got.status)
	}
	if page := b.mustShow(overview); strings.Contains(page.body, mailboxPath) {
		t.Error("a mailbox is offered that is not there")
	}
}

// The HTML of a mail carries a policy of its own, and nothing of ours.
func TestHTMLIsFenced(t *testing.T) {
	each(t, func(w *world) {
		w.role(w.mina, w.marble, account.Owner)
		w.post("sara@example.org", "x", "text/html", "<!DOCTYPE html><html><head><base href=https://evil.example target=_self></head><body>hello</body></html>")
		got := w.in(email).get("/mailbox/1/html")
		policy := got.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "img-src * data:", "style-src 'unsafe-inline'", "form-action 'none'", "base-uri 'none'",
			"frame-ancestors 'self'", "sandbox allow-popups allow-popups-to-escape-sandbox"} {
			if !strings.Contains(policy+";", rule+";") {
				w.Errorf("the policy %q lacks %q", policy, rule)
			}
		}
		for _, never := range []string{"allow-scripts", "allow-same-origin", "allow-top-navigation", "allow-forms", "script-src"} {
			if strings.Contains(policy, never) {
				w.Errorf("the policy has %q", never)
			}
		}
		if len(got.header.Values("Content-Security-Policy")) != 1 || got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" ||
			got.header.Get("Content-Type") != "text/html; charset=UTF-8" || got.header.Get("Referrer-Policy") != "no-referrer" {
			w.Errorf("headers %v", got.header)
		}
		if !strings.HasPrefix(got.body, `<!DOCTYPE html><base target="_blank">`) {
			w.Errorf("body %q", got.body)
		}
	})
}

// A mail that comes is told, and so is one that came before listening; the
// stream ends with the session.
func TestMailboxLive(t *testing.T) {
	each(t, func(w *world) {
		w.role(w.mina, w.marble, account.Owner)
		b := w.in(email)
		live := liveOf(b.mustShow(mailboxPath))
		events := b.stream(live)
		if got := next(events, quiet); got != "-" {
			w.Fatalf("no mail came, and %q was told", got)
		}
		w.post("sara@example.org", "hello", "text/plain", "hello")
		if got := next(events, soon); got != "change" {
			w.Fatalf("a mail was told as %q", got)
		}
		if got := next(b.stream(live), soon); got != "change" {
			w.Fatalf("the mail before was told as %q", got)
		}
		if got := next(events, quiet); got != "-" {
			w.Fatalf("one mail was told twice: %q", got)
		}
		b.submit(signOutPath, nil)
		if got := next(events, soon); got != "" {
			w.Fatalf("after signing out came %q", got)
		}
	})
}
