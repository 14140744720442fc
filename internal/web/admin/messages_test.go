package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/jobs"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/testkit"
)

const messagesPage = overview + "/messages"

// messageOf is the one message of a source.
func (w *world) messageOf(source uuid.UUID) (m delivery.Message) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		found, _, err := delivery.Search(tx, w.brand.ID, delivery.Wanted{Source: source}, 1)
		m = found[0]
		return err
	})
	return m
}

// end settles the messages of a source as the senders would.
func (w *world) end(source uuid.UUID, state delivery.State, reason string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := tx.Run("UPDATE messages SET state = ?, reason = ?, settled_at = ?, smtp_code = 250, smtp_reply = '2.0.0 queued as 4F1' WHERE source_id = ?", state, reason, tx.Now(), source)
		if err != nil {
			return err
		}
		_, err = tx.Run("DELETE FROM outbox WHERE source_id = ?", source)
		return err
	})
}

func TestMailsAreFoundAndExplained(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		b.mustShow(messagesPage, "No mail has been decided yet.")
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		ali := w.person(w.brand, w.topic, "ali@example.org", consent.Requested, consent.Given)
		sent, left := w.mail(w.brand, w.topic, sara), w.mail(w.brand, w.topic, ali)
		w.end(sent, delivery.Sent, "")
		w.end(left, delivery.Skipped, "consent-withdrawn")
		waits := w.mail(w.brand, w.topic, sara)
		body := b.mustShow(messagesPage, "sara@example.org", "ali@example.org", "permission taken back", "queued").body
		if strings.Index(body, w.messageOf(waits).ID.String()) > strings.Index(body, w.messageOf(sent).ID.String()) {
			w.Error("the newest is not first")
		}
		for _, c := range []struct{ query, has, not string }{
			{"?state=skipped", "ali@example.org", "sara@example.org"},
			{"?state=sent", "sara@example.org", "ali@example.org"},
			{"?q=ALI@example.org", "ali@example.org</bdi></a>", "sara@example.org"},
			{"?stream=" + left.String(), "ali@example.org", "sara@example.org"},
			{"?source=" + left.String(), "ali@example.org", "sara@example.org"},
			{"?kind=test", "There is no such mail.", "ali@example.org"},
			{"?q=nobody@example.org", "Nobody whom the brand knows has this address.", "ali@example.org"},
			{"?q=nobody", `id="e-q"`, "ali@example.org"},
		} {
			if body := b.mustShow(messagesPage+c.query, c.has).body; strings.Contains(body, c.not) {
				w.Errorf("%s shows %s", c.query, c.not)
			}
		}
		for _, query := range []string{"?stream=x", "?before=x", "?source=1"} {
			if got := b.get(messagesPage + query); got.status != http.StatusBadRequest {
				w.Errorf("%s: %d", query, got.status)
			}
		}

		page := overview + messagePath(w.messageOf(sent))
		b.mustShow(page, "The mail server has taken it and answers for it.", "2.0.0 queued as 4F1", "Send me the letter.", `href="`+overview+"/people/"+sara.ID.String()+`"`, "The mail server took it", "Decided and queued")
		mail := b.mustShow(page+"/mail", "Hello")
		if csp := mail.header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") {
			w.Errorf("the mail is not fenced in: %q", csp)
		}
		// What only the reader may do, nobody of the team does by this page.
		base, err := url.Parse(w.url)
		w.must(err)
		urls, m := link.URLs{Base: base, Ring: w.ring()}, w.messageOf(sent)
		theirs, err := delivery.NewRenderer(w.db, urls).View(w.Context(), m)
		w.must(err)
		for _, own := range []string{urls.Leave(m.Ref()), urls.Preferences(w.brand.ID, sara.ID)} {
			if !strings.Contains(string(theirs), own) || strings.Contains(mail.body, own) {
				w.Errorf("the reader's own link %s is in theirs: %v, and is shown to the team: %v", own, strings.Contains(string(theirs), own), strings.Contains(mail.body, own))
			}
		}

		// Another brand's are not there, whoever asks.
		w.role(w.mina, w.marble, account.Owner)
		for _, path := range []string{"", "/mail"} {
			if got := b.get("/admin/b/marble" + messagePath(w.messageOf(sent)) + path); got.status != http.StatusNotFound {
				w.Errorf("another brand shows %q: %d", path, got.status)
			}
		}
		b.mustNotShow("/admin/b/marble/messages", "sara@example.org")
		b.mustNotShow("/admin/b/marble/messages?stream="+sent.String(), "sara@example.org")
	})
}

func TestAnUncertainMailIsSettled(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		source := w.mail(w.brand, w.topic, sara)
		w.end(source, delivery.Uncertain, "no answer after the mail was handed over")
		m := w.messageOf(source)
		page := overview + messagePath(m)
		w.in2("analyst@baharan.example", account.Analyst).mustNotShow(page, "The server has it")
		b := w.in(email)
		b.mustShow(page, "nobody knows whether the server has it", m.MessageID("baharan.example"), "The server has it")
		if got := b.submit(page+"/settle", url.Values{"as": {"skipped"}, "once": {uuid.NewString()}}); got.status != http.StatusUnprocessableEntity {
			w.Errorf("settled as something else: %d", got.status)
		}
		form := b.fill(page, "as", "sent")
		for range 2 {
			if got := b.submit(page+"/settle", form); got.location != page+"?did=message.settle" {
				w.Fatalf("settled: %d to %s\n%s", got.status, got.location, got.body)
			}
		}
		b.mustShow(page, "The mail server has taken it")
		b.mustNotShow(page, "The server has it")
		form.Set("once", uuid.NewString())
		if got := b.submit(page+"/settle", form); got.status != http.StatusConflict {
			w.Errorf("settled again: %d", got.status)
		}
	})
}

func TestMailsInPages(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	for i := range messagesAtOnce + 3 {
		w.mail(w.brand, w.topic, w.person(w.brand, w.topic, fmt.Sprintf("p%d@example.org", i), consent.Requested, consent.Given))
	}
	b := w.in(email)
	first := b.mustShow(messagesPage).body
	href := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(first)
	if n := strings.Count(first, "@example.org"); n != messagesAtOnce || href == nil {
		t.Fatalf("%d on the first page, the next at %v", n, href)
	}
	second := b.mustShow(strings.ReplaceAll(href[1], "&amp;", "&"), "To the beginning").body
	if n := strings.Count(second, "@example.org"); n != 3 || strings.Contains(second, `rel="next"`) {
		t.Errorf("%d on the second page", n)
	}
}

const queuesPage = overview + "/queues"

// node enters a process that was heard of so long ago.
func (w *world) node(host string, silent time.Duration) (id uuid.UUID) {
	w.Helper()
	id = uuid.New()
	w.write(func(tx *store.Tx) error {
		_, err := tx.Run("INSERT INTO nodes (id, host, boot_id, started_at, seen_at) VALUES (?, ?, 'x', "+tx.LeaseIn(-24*time.Hour)+", "+tx.LeaseIn(-silent)+")", id, host)
		return err
	})
	return id
}

// An owner of one brand among several sees the brand's own queue; who owns all
// sees the work and the processes, and may declare a silent one lost.
func TestQueuesAndTheHouse(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		source := w.mail(w.brand, w.topic, sara)
		alive, silent := w.node("mail-1.example", 0), w.node("mail-2.example", 3*time.Hour)
		w.write(func(tx *store.Tx) error {
			if _, err := tx.Run("UPDATE outbox SET node_id = ? WHERE source_id = ?", silent, source); err != nil {
				return err
			}
			if err := jobs.Schedule(tx, "offer", "x", jobs.QueueBulk, tx.Now().Add(-time.Hour)); err != nil {
				return err
			}
			_, err := tx.Run("UPDATE jobs SET attempts = 2, last_error = 'the shop <is> away' WHERE key = 'x'")
			return err
		})
		b := w.in(email)
		b.mustShow(queuesPage, "Who owns all of them sees those here too.", "Marketing mails")
		for _, of := range []string{"mail-1.example", "mail-2.example", "the shop"} {
			b.mustNotShow(queuesPage, of)
		}
		lose := func(id uuid.UUID) answer {
			return b.submit(queuesPage+"/nodes/"+id.String()+"/lost", url.Values{"once": {uuid.NewString()}})
		}
		if got := lose(silent); got.status != http.StatusNotFound {
			w.Errorf("the owner of one brand declares a process of all lost: %d", got.status)
		}

		w.role(w.mina, w.marble, account.Owner)
		b.mustShow(queuesPage, "mail-1.example", "mail-2.example", "not heard from for 3 hours", "the shop &lt;is&gt; away", "Giving out the codes of offers", "One piece of work has failed", "mail-2.example had one mail in hand.")
		lose(alive).mustSay(w, http.StatusConflict, "This process is alive")
		if got := lose(uuid.New()); got.status != http.StatusNotFound {
			w.Errorf("a process that is none: %d", got.status)
		}
		if got := lose(silent); got.location != queuesPage+"?did=node.lost" {
			w.Fatalf("declared lost: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(queuesPage, "declared lost; last heard from")
		if m := w.messageOf(source); m.State != delivery.Uncertain {
			w.Errorf("the mail in its hands is %s", m.State)
		}
		b.mustShow(overview+"/log", "Declared a sending process lost")
	})
}

func TestQueuesAreWatchedLive(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	p := w.tab()
	p.signInByKeyboard(queuesPage)
	p.until("document.querySelector('.answer-text').textContent.includes('No mail of the brand waits.')")
	w.mail(w.brand, w.topic, w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given))
	p.until("document.querySelector('.answer-text').textContent.includes('One mail of the brand has waited')")
}
