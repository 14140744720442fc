package delivery

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

func TestAMailReachesItsReaderWithItsProof(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.campaign(ana)
		w.deliver("bulk")

		m := w.mustBe(source, Sent, "")
		if m.ConsentEventID == nil || m.SMTPCode != 250 || m.SettledAt == nil {
			t.Errorf("the proof is not whole: %+v", m)
		}
		if m.TracksOpens || m.TracksClicks {
			t.Error("nobody allowed tracking")
		}
		got := w.smtp.To("ana@example.org")
		if len(got) != 1 {
			t.Fatalf("%d mails, want 1", len(got))
		}
		head := got[0].Header
		for name, want := range map[string]string{"Subject": "Hello ana@example.org", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} {
			if v, _ := head.Text(name); v != want {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
		for _, l := range got[0].Links {
			if bytes.Contains([]byte(l), []byte("/l/")) || bytes.Contains([]byte(l), []byte("/o/")) {
				t.Errorf("tracked without permission: %s", l)
			}
		}
		w.write(func(tx *store.Tx) error {
			page, _, err := event.Timeline(tx, w.brand.ID, ana.ID, "", 10)
			if err == nil && (len(page) == 0 || page[0].Kind != event.MailSent) {
				t.Errorf("the timeline does not begin with the mail: %+v", page)
			}
			return err
		})
	})
}

func TestTrackingNeedsItsOwnPermission(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		w.allowTracking(ana)
		source := w.campaign(ana)
		w.deliver("bulk")
		m := w.mustBe(source, Sent, "")
		if !m.TracksOpens || !m.TracksClicks {
			t.Error("the row does not say what the mail holds")
		}
		got := w.smtp.To("ana@example.org")[0]
		got.Link(t, "/l/")
		if !bytes.Contains([]byte(got.HTML), []byte("/o/")) {
			t.Error("no pixel, though it is allowed")
		}
	})
}

func TestWithdrawalOvertakesTheQueue(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		source := w.campaign(ana)
		stays := w.campaign(bob)
		w.leave(ana)
		w.deliver("bulk")
		w.mustBe(source, Skipped, consent.ReasonWithdrawn)
		w.mustBe(stays, Sent, "")
		if got := w.smtp.To("ana@example.org"); len(got) != 0 {
			t.Errorf("she left, and got %d mails", len(got))
		}
	})
}

// A message that was claimed before the person left does not begin a second after.
func TestWithdrawalOvertakesAClaim(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.campaign(ana)
		b, err := w.engine.next(context.Background(), "bulk")
		w.must(err)
		if len(b.messages) != 1 {
			t.Fatalf("claimed %d, want 1", len(b.messages))
		}
		w.leave(ana)
		time.Sleep(askAfter + 10*time.Millisecond)
		w.carry(context.Background(), job{b, b.messages[0]})
		w.settle()
		if got := w.smtp.To("ana@example.org"); len(got) != 0 {
			t.Fatal("a mail began more than 500 ms after she had left")
		}
		w.deliver("bulk")
		w.mustBe(source, Skipped, consent.ReasonWithdrawn)
	})
}

func TestPausedAndClosedStreamsSendNothing(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.campaign(ana)
		w.write(func(tx *store.Tx) error { return PauseStream(tx, w.brand.ID, source) })
		w.deliver("bulk")
		w.mustBe(source, Queued, "")
		w.write(func(tx *store.Tx) error { return ResumeStream(tx, w.brand.ID, source) })

		b, err := w.engine.next(context.Background(), "bulk")
		w.must(err)
		w.write(func(tx *store.Tx) error { return CloseStream(tx, w.brand.ID, source, "cancelled") })
		time.Sleep(askAfter + 10*time.Millisecond)
		w.carry(context.Background(), job{b, b.messages[0]})
		w.settle()
		w.deliver("bulk")
		w.mustBe(source, Skipped, "cancelled")
		if got := w.smtp.Mails(); len(got) != 0 {
			t.Errorf("%d mails left a paused or cancelled campaign", len(got))
		}
		if err := w.db.Write(context.Background(), func(tx *store.Tx) error { return PauseStream(tx, uuid.New(), source) }); err == nil {
			t.Error("another brand paused the stream")
		}
	})
}

func TestRefusalsAndDelays(t *testing.T) {
	each(t, func(w *world) {
		hard, soft, grey := w.person("hard@example.org"), w.person("soft@example.org"), w.person("grey@example.org")
		w.smtp.Script("hard@example.org", testkit.Refuse(550, "5.1.1 no such user"))
		w.smtp.Script("soft@example.org", testkit.RefuseData(554, "5.7.1 looks like spam").Times(1))
		w.smtp.Script("grey@example.org", testkit.Refuse(451, "4.7.1 come back").Times(2))
		hardly, softly, greyly := w.campaign(hard), w.campaign(soft), w.campaign(grey)
		w.deliver("bulk")

		w.mustBe(hardly, Failed, "hard bounce")
		w.mustBe(softly, Failed, "refused")
		m := w.mustBe(greyly, Queued, "put off")
		if wait := m.DueAt.Sub(w.db.Now()); wait < 3*time.Minute || wait > 7*time.Minute {
			t.Errorf("tried again in %s, want about 5 min", wait)
		}
		again := w.campaign(soft)
		never := w.campaign(hard)
		w.pass(10 * time.Minute)
		w.deliver("bulk")
		w.pass(30 * time.Minute)
		w.deliver("bulk")
		w.mustBe(greyly, Sent, "")
		w.mustBe(again, Sent, "") // a refused mail says nothing about the address
		w.mustBe(never, Skipped, "suppressed:"+consent.HardBounce)
		if got := w.smtp.To("grey@example.org"); len(got) != 1 {
			t.Errorf("the greylisted got %d mails, want 1", len(got))
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		w.smtp.Script("ana@example.org", testkit.Refuse(451, "4.3.0 later").Times(1000))
		source := w.campaign(ana)
		for range 40 {
			w.deliver("bulk")
			w.pass(5 * time.Hour)
		}
		w.mustBe(source, Failed, "put off until its time was over")
	})
}

// The connection breaks after the final dot: marketing is never tried again,
// an asked-for confirmation is, under the same Message-ID.
func TestNoAnswerIsUncertain(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		w.smtp.Script("ana@example.org", testkit.CutReply().Times(1))
		source := w.campaign(ana)
		w.deliver("bulk")
		w.mustBe(source, Uncertain, "no answer after the mail was handed over")
		w.pass(100 * time.Hour)
		w.deliver("bulk")
		if got := w.smtp.To("ana@example.org"); len(got) != 1 {
			t.Errorf("%d mails, want 1", len(got))
		}

		w.smtp.Reset()
		w.smtp.Script("ana@example.org", testkit.CutReply().Times(1))
		asked := w.confirmation(ana)
		w.deliver("confirm")
		w.mustBe(asked, Queued, "put off")
		w.pass(2 * time.Minute)
		w.deliver("confirm")
		w.mustBe(asked, Sent, "")
		got := w.smtp.To("ana@example.org")
		if len(got) != 2 {
			t.Fatalf("%d confirmations, want 2", len(got))
		}
		first, _ := got[0].Header.MessageID()
		second, _ := got[1].Header.MessageID()
		if first != second {
			t.Errorf("another Message-ID at the second try: %s, %s", first, second)
		}
	})
}

// The connection breaks before the final dot: the server has nothing, and the
// mail goes out later, once.
func TestACutBeforeTheDotLosesNothing(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		w.smtp.Script("ana@example.org", testkit.CutData().Times(1))
		source := w.campaign(ana)
		w.deliver("bulk")
		for range 3 {
			w.pass(10 * time.Minute)
			w.deliver("bulk")
		}
		if m := w.message(source); m.State != Sent && m.State != Uncertain {
			t.Fatalf("the message is %s", m.State)
		}
		if got := w.smtp.To("ana@example.org"); len(got) > 1 {
			t.Errorf("%d mails, want at most 1", len(got))
		}
	})
}

func TestAMailServerAwayForAnHour(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.campaign(ana)
		w.smtp.Down()
		w.deliver("bulk")
		w.mustBe(source, Queued, "")
		if w.message(source).Attempt != 0 {
			t.Error("a server that is away counts as a try of the message")
		}
		w.must(w.smtp.Up())
		w.pass(time.Hour)
		for deadline := time.Now().Add(15 * time.Second); w.message(source).State == Queued && time.Now().Before(deadline); {
			w.deliver("bulk")
			time.Sleep(100 * time.Millisecond)
		}
		w.mustBe(source, Sent, "")
	})
}

func TestAKeyIsQueuedOnce(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		source := w.campaign(ana)
		first := w.message(source)
		w.write(func(tx *store.Tx) error {
			id, fresh, err := Queue(tx, Draft{Source: source, Stream: source, Brand: w.brand.ID, Subscriber: &ana.ID, Kind: Marketing,
				Topic: first.TopicID, ConsentEvent: first.ConsentEventID, Content: first.ContentID, Language: "en", Due: tx.Now()})
			if err == nil && (fresh || id != first.ID) {
				t.Errorf("queued again as %s, want the same %s", id, first.ID)
			}
			return err
		})
		w.deliver("bulk")
		w.deliver("bulk")
		if got := w.smtp.Mails(); len(got) != 1 {
			t.Errorf("%d mails, want 1", len(got))
		}
	})
}

func TestMarketingWithoutConsentCannotBeQueued(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		m := w.message(w.campaign(ana))
		for name, d := range map[string]Draft{
			"none":      {Subscriber: &ana.ID, Topic: &w.topic.ID},
			"another's": {Subscriber: &bob.ID, Topic: &w.topic.ID, ConsentEvent: m.ConsentEventID},
		} {
			d.Source, d.Stream, d.Brand, d.Kind, d.Content, d.Language = store.NewID(w.db.Now()), m.StreamID, w.brand.ID, Marketing, m.ContentID, "en"
			err := w.db.Write(context.Background(), func(tx *store.Tx) error { _, _, err := Queue(tx, d); return err })
			if err == nil {
				t.Errorf("consent %s: queued", name)
			}
		}
	})
}

// Four lanes at once send each mail once.
func TestLanesShareAStream(t *testing.T) {
	each(t, func(w *world) {
		var people []subscriber.Subscriber
		for i := range 60 {
			people = append(people, w.person(fmt.Sprintf("p%d@example.org", i)))
		}
		source := w.campaign(people...)
		done := make(chan error, 4)
		for range cap(done) {
			go func() { done <- w.engine.Deliver(context.Background(), "bulk") }()
		}
		for range cap(done) {
			w.must(<-done)
		}
		w.settle()
		if c := w.counts(source); c.Sent != 60 || c.Total != 60 {
			t.Errorf("%+v, want 60 sent", c)
		}
		for _, p := range people {
			if got := w.smtp.To(p.Email); len(got) != 1 {
				t.Errorf("%s got %d mails", p.Email, len(got))
			}
		}
	})
}

// What a dead process left, by what its journal says.
func TestTakingOverADeadNode(t *testing.T) {
	each(t, func(w *world) {
		var sources []uuid.UUID
		for i := range 4 {
			sources = append(sources, w.campaign(w.person(fmt.Sprintf("p%d@example.org", i))))
		}
		asked := w.confirmation(w.person("asked@example.org"))
		claimed := map[uuid.UUID]*claimed{}
		for _, queue := range []string{"bulk", "bulk", "bulk", "bulk", "confirm"} {
			b, err := w.engine.next(context.Background(), queue)
			w.must(err)
			claimed[b.messages[0].SourceID] = b.messages[0]
		}
		j := w.engine.jour
		answered, begun, old := claimed[sources[0]], claimed[sources[1]], claimed[sources[2]]
		w.must(j.begin(answered))
		w.must(j.end(answered, reply{verdict: accepted, code: 250, text: "taken"}))
		w.must(j.begin(begun))
		w.must(j.begin(claimed[asked]))
		before := *old
		before.Epoch--
		w.must(j.begin(&before)) // a record of an earlier try says nothing of this one
		_, err := j.file.WriteString(`B 0193`)
		w.must(err)
		w.engine.Stop() // gives the lock up as a death would; the claims stay

		w.start()
		w.mustBe(sources[0], Sent, "")
		w.mustBe(sources[1], Uncertain, "no answer after the mail was handed over")
		w.mustBe(sources[2], Queued, "")
		w.mustBe(sources[3], Queued, "")
		w.mustBe(asked, Queued, "put off")
		if got := w.smtp.Mails(); len(got) != 0 {
			t.Errorf("taking over sent %d mails", len(got))
		}
	})
}

// After a loss of power the end of the journal may be missing.
func TestARebootLeavesClaimsUncertain(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.person("ana@example.org"))
		_, err := w.engine.next(context.Background(), "bulk")
		w.must(err)
		w.engine.Stop()
		w.write(func(tx *store.Tx) error { _, err := tx.Run("UPDATE nodes SET boot_id = 'before'"); return err })
		w.start()
		w.mustBe(source, Uncertain, "no answer after the mail was handed over")
	})
}

func TestTwoProcessesHaveAJournalEach(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.person("ana@example.org"))
		_, err := w.engine.next(context.Background(), "bulk")
		w.must(err)
		first := w.engine
		w.start() // beside the first
		if w.engine.node == first.node {
			t.Fatal("two living processes share a journal")
		}
		w.mustBe(source, Claimed, "")
		first.Stop()
		folders, err := os.ReadDir(filepath.Join(w.dir, "journal"))
		w.must(err)
		if len(folders) != 2 {
			t.Errorf("%d journals, want 2", len(folders))
		}
	})
}

func TestALostNodesClaimsAreUncertain(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.person("ana@example.org"))
		b, err := w.engine.next(context.Background(), "bulk")
		w.must(err)
		w.write(func(tx *store.Tx) error { _, err := DeclareLost(tx, w.engine.node); return err })
		w.mustBe(source, Uncertain, "no answer after the mail was handed over")
		time.Sleep(askAfter + 10*time.Millisecond)
		w.carry(context.Background(), job{b, b.messages[0]}) // it was only slow
		if got := w.smtp.Mails(); len(got) != 0 {
			t.Error("a lost node began a mail")
		}
	})
}

func TestTheJournalIsShortened(t *testing.T) {
	j, _, err := openJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	kept := &claimed{Message: Message{ID: uuid.New(), SourceID: uuid.New()}}
	if err := j.begin(kept); err != nil {
		t.Fatal(err)
	}
	for range rewriteAt {
		m := &claimed{Message: Message{ID: uuid.New(), SourceID: uuid.New()}}
		if err := j.begin(m); err != nil {
			t.Fatal(err)
		}
		if err := j.settled([]outcome{{claimed: m}}); err != nil {
			t.Fatal(err)
		}
	}
	said, err := j.read()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := said[kept.Ref()]; !ok || len(said) > 2 {
		t.Errorf("%d records are left, the unsettled one among them: %v", len(said), ok)
	}
}

func TestMailsAreSigned(t *testing.T) {
	each(t, func(w *world) {
		pem := rsaKey(t)
		key, err := compose.ParseKey(pem)
		w.must(err)
		record := compose.DNSRecord(key.Public())
		w.write(func(tx *store.Tx) error {
			_, err := brand.FirstDKIMKey(tx, w.brand.ID, "s1", pem)
			return err
		})
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		got := w.smtp.To("ana@example.org")[0]
		seen, err := dkim.VerifyWithOptions(bytes.NewReader(got.Raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if name != "s1._domainkey.baharan.example" {
				t.Errorf("looked up %s", name)
			}
			return []string{record}, nil
		}})
		w.must(err)
		if len(seen) != 1 || seen[0].Err != nil {
			t.Errorf("the signature does not verify: %+v", seen)
		}
	})
}

func TestHardRefusals(t *testing.T) {
	for _, c := range []struct {
		code int
		text string
		hard bool
	}{
		{550, "5.1.1 no such user", true},
		{550, "5.1.10 null MX", true},
		{551, "user has moved", true},
		{550, "No such user here", true},
		{550, "Requested action not taken: mailbox unavailable", false},
		{554, "5.7.1 blocked, unknown user behaviour", false},
		{552, "5.2.2 mailbox full", false},
		{550, "5.7.26 unauthenticated", false},
		{0, "not sent: no such user", false},
	} {
		if got := (reply{verdict: refused, code: c.code, text: c.text}).hard(); got != c.hard {
			t.Errorf("%d %s: hard is %v", c.code, c.text, got)
		}
	}
	if (reply{verdict: postponed, code: 450, text: "5.1.1 no such user"}).hard() {
		t.Error("a delay is a hard bounce")
	}
}
