package admin

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/delivery/throttle"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/testkit"
)

const sendingPage = overview + "/sending"

// relayTo has the pages' mail leave by a server of the test's.
func (w *world) relayTo(addr, user, password string) {
	w.Helper()
	host, port, err := net.SplitHostPort(addr)
	w.must(err)
	n, err := strconv.Atoi(port)
	w.must(err)
	w.out.Servers[0] = delivery.Server{Host: host, Port: n, TLS: delivery.TLSNone, Connections: 4, Hello: "assent.test", User: user, Password: password}
}

// tries sends a test mail by the form.
func (b *browser) tries(to string) answer {
	b.Helper()
	return b.submit(sendingPage+"/test", b.fill(sendingPage+"/test", "to", to, "way", "0", "language", "en"))
}

func (a answer) mustSay(t testing.TB, status int, want ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d (%s), want %d: %s", a.status, a.location, status, a.body)
	}
	for _, text := range want {
		if !strings.Contains(a.body, text) {
			t.Errorf("does not say %q:\n%s", text, a.body)
		}
	}
	return a
}

func TestATestMailIsSentAndReadAloud(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		b.mustShow(sendingPage, "No mail leaves this machine.", "Send a test mail")
		b.mustShow(sendingPage+"/test", `value="`+email+`"`)
		b.tries("no address").mustSay(w, http.StatusUnprocessableEntity, "This is not an e-mail address.")
		b.tries("sara@example.org").mustSay(w, http.StatusUnprocessableEntity, "Nobody of the team has this address.")
		if n := len(w.box.List("")); n != 0 {
			w.Fatalf("%d mails went to nobody of the team", n)
		}
		form := b.fill(sendingPage+"/test", "to", email, "way", "0", "language", "en")
		b.submit(sendingPage+"/test", form).mustSay(w, http.StatusOK, "The mail server has taken the mail to "+email, "It lies in the mailbox", "EHLO assent.test", "RCPT TO:&lt;"+email+"&gt;", "It accepts the receiver.", "It has taken the mail")
		if got := b.submit(sendingPage+"/test", form); got.status != http.StatusSeeOther || got.location != sendingPage+"/test?did=sending.test" {
			w.Errorf("sent twice: %d to %s", got.status, got.location)
		}
		if got := w.box.List(""); len(got) != 1 || got[0].From != "post@baharan.example" || got[0].To[0] != email {
			w.Errorf("the mailbox holds %+v", got)
		}
		b.mustShow(overview+"/log", "Sent a test mail")
	})
}

// What goes wrong is told in plain words, and never with the password.
func TestATestMailThatIsRefused(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	server := testkit.SMTP(t)
	w.relayTo(server.Addr, "", "")
	colleague := "reza@baharan.example"
	w.role(w.newUser(colleague, "Reza", "en"), w.brand, account.Reader)
	server.Script(colleague, testkit.Refuse(550, "5.1.1 no such user here"))
	b := w.in(email)
	b.tries(colleague).mustSay(t, http.StatusOK, "The mail server does not accept the receiver.", "no such user here", "It refuses: no such mailbox")
	b = w.in(email)
	w.relayTo(server.Addr, "assent", "hunter22")
	got := b.tries(email).mustSay(t, http.StatusOK, "The line could not be encrypted")
	server.Down()
	got.body += b.tries(email).mustSay(t, http.StatusOK, "Nobody listens there.", "587").body
	if strings.Contains(got.body+b.mustShow(sendingPage, "assent").body, "hunter22") {
		t.Error("the password is shown")
	}
	if got := b.tries(email); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("a fourth at once: %d", got.status)
	}
}

func TestKeysAndTheDomain(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		b.mustShow(sendingPage, "There is no key yet")
		if got := b.submit(sendingPage+"/dkim", b.fill(sendingPage, "algorithm", "dsa")); got.status != http.StatusUnprocessableEntity {
			w.Errorf("an algorithm that is none: %d", got.status)
		}
		if got := b.submit(sendingPage+"/dkim", b.fill(sendingPage, "algorithm", "ed25519", "selector", "news")); got.location != sendingPage+"?did=sending.dkim-make" {
			w.Fatalf("made: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(sendingPage, "news._domainkey.baharan.example", "k=ed25519", "made, signs nothing yet")
		var key brand.DKIMKey
		w.write(func(tx *store.Tx) error {
			all, err := brand.DKIMKeys(tx, w.brand.ID)
			key = all[0]
			return err
		})
		act := func(what string, fields ...string) answer {
			form := url.Values{"once": {uuid.NewString()}}
			for i := 0; i+1 < len(fields); i += 2 {
				form.Set(fields[i], fields[i+1])
			}
			return b.submit(sendingPage+"/dkim/"+key.ID.String()+"/"+what, form)
		}
		act("activate").mustSay(w, http.StatusConflict, "There is no record at")
		w.dns.TXT("news._domainkey.baharan.example", key.Public().Record().Value)
		if got := act("check"); got.location != sendingPage+"?did=sending.dkim-check" {
			w.Errorf("published: %d to %s\n%s", got.status, got.location, got.body)
		}
		if got := act("activate", "force", "yes"); got.location != sendingPage+"?did=sending.dkim-activate" {
			w.Errorf("activated: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(sendingPage, "Signs since")
		act("remove").mustSay(w, http.StatusConflict, "Retire it first.")
		act("retire").mustSay(w, http.StatusConflict, "No RSA key would be left")
		if got := act("retire", "force", "yes"); got.location != sendingPage+"?did=sending.dkim-retire" {
			w.Errorf("retired: %d to %s\n%s", got.status, got.location, got.body)
		}
		w.pass(8 * 24 * time.Hour)
		b = w.in(email)
		if got := act("remove"); got.location != sendingPage+"?did=sending.dkim-remove" {
			w.Errorf("removed: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(overview+"/log", "Made a DKIM key", "Had a DKIM key sign", "Retired a DKIM key", "Removed a DKIM key")

		b.submit(sendingPage+"/domain", b.fill(sendingPage+"/domain", "sources", "here")).mustSay(w, http.StatusUnprocessableEntity, "This is not a network address.")
		b.submit(sendingPage+"/domain", b.fill(sendingPage+"/domain", "sources", "192.0.2.25")).mustSay(w, http.StatusOK, "There is no DMARC record for", "_dmarc.baharan.example", "v=DMARC1", "What to do:")
	})
}

func TestPaceAndWarmUpThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		b.mustShow(sendingPage, "The brand has set itself no pace", "The sender counts as known.")
		old := b.fill(sendingPage)
		b.submit(sendingPage+"/rate", b.fill(sendingPage, "rate_per_hour", "many")).mustSay(w, http.StatusUnprocessableEntity, "This is not a whole number.")
		if got := b.submit(sendingPage+"/rate", b.fill(sendingPage, "rate_per_hour", "۵۰۰۰")); got.location != sendingPage+"?did=sending.rate" {
			w.Fatalf("set: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(sendingPage, "at most 5,000 mails an hour")
		old.Set("rate_per_hour", "7")
		old.Set("once", uuid.NewString())
		b.submit(sendingPage+"/rate", old).mustSay(w, http.StatusConflict, "Somebody else changed the brand", "at most 5,000 mails an hour")
		b.submit(sendingPage+"/warm-up/start", b.fill(sendingPage, "day", "soon")).mustSay(w, http.StatusUnprocessableEntity, "Please give a day")
		b.submit(sendingPage+"/warm-up/start", b.fill(sendingPage, "day", "2099-01-01")).mustSay(w, http.StatusUnprocessableEntity, "within a year of today")
		if got := b.submit(sendingPage+"/warm-up/start", b.fill(sendingPage, "day", i18n.For("en").Day(w.db.Now(), w.brand.Location()))); got.location != sendingPage+"?did=sending.warm-up-start" {
			w.Fatalf("begun: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(sendingPage, "Day 1 of 3: at most 50 mails an hour today.")
		w.pass(25 * time.Hour)
		b = w.in(email)
		b.mustShow(sendingPage, "Day 2 of 3: at most 100 mails an hour today.")
		if got := b.submit(sendingPage+"/warm-up/stop", b.fill(sendingPage)); got.location != sendingPage+"?did=sending.warm-up-stop" {
			w.Errorf("ended: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(sendingPage, "The sender counts as known.")
	})
}

// What is on the way is seen, paused, ranked and let go on; what a safeguard
// stopped says why, and what paces it; other brands' limits are nobody's business.
func TestStreamsThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.makeCampaign()
		b.planAt(page, "when=now")
		w.work(page)
		w.pass(2 * time.Minute)
		stream, theirs := campaignID(page).String(), uuid.NewString()
		w.held = []throttle.Held{{Key: "stream/" + stream, PerSecond: 2, Now: 2, Times: 3}, {Key: "sender/" + w.brand.ID.String() + "/google", PerSecond: 100, Now: 50, Said: "4.7.28 unusual rate", Since: -1},
			{Key: "sender/" + theirs + "/yahoo", PerSecond: 100, Now: 1, Since: -1}, {Key: "brand/" + theirs, PerSecond: 7, Now: 7}, {Key: "group/google", PerSecond: 100, Now: 100, Said: "of another brand", Since: -1}}
		b.mustShow(sendingPage, "Autumn &lt;letter&gt;", "held back by its own pace", "what \u2068google\u2069 takes from this brand", "4.7.28 unusual rate", "180,000 an hour")
		if body := b.get(sendingPage).body; strings.Contains(body, "yahoo") || strings.Contains(body, "of another brand") || strings.Contains(body, "25,200") {
			w.Error("the limits of another brand are shown")
		}
		do := func(what string, fields ...string) answer {
			form := url.Values{"once": {uuid.NewString()}}
			for i := 0; i+1 < len(fields); i += 2 {
				form.Set(fields[i], fields[i+1])
			}
			return b.submit(sendingPage+"/streams/"+stream+"/"+what, form)
		}
		do("resume").mustSay(w, http.StatusConflict, "It goes out already.")
		for _, what := range []string{"pause", "resume"} {
			if got := do(what); got.location != sendingPage+"?did=sending."+what {
				w.Fatalf("%s: %d to %s\n%s", what, got.status, got.location, got.body)
			}
			want := map[string]string{"pause": "Somebody of the team paused it.", "resume": "goes out"}[what]
			b.mustShow(sendingPage, want)
			state := map[string]string{"pause": "paused", "resume": "being sent"}[what]
			b.mustShow(page, state)
		}
		do("priority", "priority", "12").mustSay(w, http.StatusConflict, "from −9 to 9")
		if got := do("priority", "priority", "5"); got.status != http.StatusSeeOther {
			w.Errorf("ranked: %d\n%s", got.status, got.body)
		}
		b.mustShow(sendingPage, `value="5"`)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE streams SET paused_at = ?, paused_for = 'complaints' WHERE id = ?", tx.Now(), campaignID(page))
			return err
		})
		b.mustShow(sendingPage, "stopped by a safeguard", "too many reports as spam", "3 mails go out as soon as they can.")
		if got := do("resume"); got.status != http.StatusSeeOther {
			w.Errorf("resumed: %d\n%s", got.status, got.body)
		}
		if got := b.submit(sendingPage+"/streams/"+uuid.NewString()+"/pause", url.Values{}); got.status != http.StatusNotFound {
			w.Errorf("a stream of nobody: %d", got.status)
		}
	})
}

// ways of a session that looks on: a marketer sees all of it, and changes none of
// what is the owner's.
func TestAMarketerSeesHowMailLeaves(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in2("marketer@baharan.example", account.Marketer)
	b.mustShow(sendingPage, "No mail leaves this machine.", "The sender counts as known.")
	for _, of := range []string{"Make the key", "Begin a warm-up</button>", "/sending/rate"} {
		b.mustNotShow(sendingPage, of)
	}
	b.tries("marketer@baharan.example").mustSay(t, http.StatusOK, "The mail server has taken the mail")
}

func TestSendingPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	w.crowd()
	b := w.in(email)
	page := b.makeCampaign("name", "Books for the long night", "rate_per_hour", "5000")
	b.planAt(page, "when=now")
	w.work(page)
	w.pass(2 * time.Minute)
	w.settle(page, delivery.Uncertain, "no answer after the mail was handed over", 1)
	w.settle(page, delivery.Sent, "", 1)
	b.submit(sendingPage+"/dkim", b.fill(sendingPage, "algorithm", "ed25519", "selector", "news-2026"))
	b.submit(sendingPage+"/warm-up/start", b.fill(sendingPage, "day", i18n.For("en").Day(w.db.Now(), w.brand.Location())))
	w.held = []throttle.Held{{Key: "stream/" + campaignID(page).String(), PerSecond: 1.4, Now: 1.4, Times: 3}, {Key: "sender/" + w.brand.ID.String() + "/google", PerSecond: 100, Now: 50, Said: "4.7.28 our system has detected an unusual rate of unsolicited mail", Since: -1}}
	var uncertain delivery.Message
	w.write(func(tx *store.Tx) error {
		all, _, err := delivery.Search(tx, w.brand.ID, delivery.Wanted{Stream: campaignID(page)}, 10)
		for _, m := range all {
			if m.State == delivery.Uncertain {
				uncertain = m
			}
		}
		if err != nil {
			return err
		}
		_, err = tx.Run("INSERT INTO jobs (id, kind, key, queue, due_at, state, attempts, last_error, created_at, updated_at) VALUES (?, 'offer', 'x', 'bulk', ?, 'waiting', 3, 'no connection to the shop', ?, ?)", uuid.New(), tx.Now(), tx.Now(), tx.Now())
		return err
	})
	w.node("mail-1.baharan.example", 0)
	w.node("mail-2.baharan.example", 3*time.Hour)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"sending": sendingPage + "?lang=", "sending-empty": "/admin/b/marble/sending?lang=",
			"messages": overview + "/messages?lang=", "messages-wrong": overview + "/messages?q=nobody&lang=",
			"message-uncertain": overview + messagePath(uncertain) + "?lang=", "queues": overview + "/queues?lang="} {
			p.sound(name, lang, path+lang)
		}
		p.soundAfter("sending-tried", lang, sendingPage+"/test?lang="+lang, "document.querySelector('.spoken li')")
		p.soundAfter("sending-checked", lang, sendingPage+"/domain?lang="+lang, "document.querySelector('.finding')")
	}
	w.relayTo("127.0.0.1:1", "", "")
	p := w.tab()
	p.signInByKeyboard(homePath)
	p.soundAfter("sending-failed", "fa", sendingPage+"/test?lang=fa", "document.querySelector('.spoken .no')")
}

// soundAfter is sound for what a form of a page answers with.
func (p *tab) soundAfter(name, lang, path, then string) {
	p.Helper()
	p.open(path)
	eval[bool](p, "document.querySelector('form.sheet').requestSubmit() || true")
	p.until(then)
	p.looks(name, lang, path)
}

// What waits in each stream is counted on, and what is being typed stays.
func TestSendingIsWatchedLive(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.crowd()
	b := w.in(email)
	page := b.makeCampaign()
	b.planAt(page, "when=now")
	w.work(page)
	w.pass(2 * time.Minute)
	p := w.tab()
	p.signInByKeyboard(sendingPage)
	id := campaignID(page).String()
	waits := func(n string) string {
		return "document.getElementById('rank-" + id + "')?.closest('tr').querySelector('td.num').firstChild.textContent === '" + n + "'"
	}
	p.until(waits("3"))
	eval[bool](p, "(() => { const f = document.getElementById('rank-"+id+"'); f.focus(); f.value = '7'; return true; })()")
	w.settle(page, delivery.Sent, "", 1)
	p.until(waits("2") + " && document.activeElement.id === 'rank-" + id + "' && document.activeElement.value === '7'")
	b.mustDo(page, "pause")
	p.until("document.getElementById('resume-" + id + "') && document.getElementById('rank-" + id + "').value === '7'")
}
