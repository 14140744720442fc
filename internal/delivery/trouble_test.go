package delivery

import (
	"context"
	"net"
	"net/textproto"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/testkit"
)

func poolOf(t *testing.T, addresses ...string) *pool {
	t.Helper()
	var servers []Server
	for _, a := range addresses {
		host, port, _ := net.SplitHostPort(a)
		n, _ := strconv.Atoi(port)
		servers = append(servers, Server{Host: host, Port: n, TLS: TLSNone, Connections: 1})
	}
	p, err := newPool(servers, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// An answer that belongs to another command is no delivery, at whatever point it comes.
func TestAnAnswerOutOfStepIsNoDelivery(t *testing.T) {
	for _, code := range []int{211, 220, 250, 354, 600} {
		r, healthy := (&conn{}).afterFailure(&textproto.Error{Code: code, Msg: "what?"})
		if r.verdict != unanswered || healthy {
			t.Errorf("%d before the final dot: verdict %d, healthy %t", code, r.verdict, healthy)
		}
	}
}

// The end of a stop holds, whatever is waited for when it comes.
func TestAStopIsNotHeldUpByASlowAnswer(t *testing.T) {
	server := testkit.SMTP(t)
	server.Script("ana@example.org", testkit.StallReply(20*time.Second))
	p := poolOf(t, server.Addr)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := p.get(ctx, p.turn(), false)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	mail := parcel{from: "post@example.net", to: "ana@example.org", raw: []byte("Subject: x\r\n\r\nx\r\n")}
	r, healthy := c.send(ctx, mail, func() error {
		cancel()
		time.Sleep(100 * time.Millisecond)
		return nil
	})
	p.put(c, healthy)
	if took := time.Since(began); took > endTime+3*time.Second {
		t.Errorf("waited %s for the answer, %s were left", took, endTime)
	}
	if r.verdict != unknown || healthy {
		t.Errorf("the server may have it: verdict %d, healthy %t", r.verdict, healthy)
	}
}

// While one server is away, the others' being busy is no reason to stop sending.
func TestABusyServerIsWaitedForWhileAnotherIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := l.Addr().String()
	l.Close()
	server := testkit.SMTP(t)
	p := poolOf(t, away, server.Addr)
	first, err := p.get(t.Context(), p.turn(), false)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { p.put(first, true) })
	second, err := p.get(t.Context(), p.turn(), false)
	if err != nil {
		t.Fatalf("no connection, though one came free: %v", err)
	}
	p.put(second, true)

	p = poolOf(t, away)
	if _, err := p.get(t.Context(), p.turn(), false); err == nil {
		t.Error("a connection to nowhere")
	}
}

// What was put back by the second question belongs to whoever claims it next.
func TestALaneDoesNotPutBackWhatAnotherHas(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		source := w.campaign(ana, bob)
		old, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		w.write(func(tx *store.Tx) error { return PauseStream(tx, w.brand.ID, source) })
		time.Sleep(askAfter + 10*time.Millisecond)
		w.carry(t.Context(), job{old, old.messages[0]})
		w.write(func(tx *store.Tx) error { return ResumeStream(tx, w.brand.ID, source) })

		fresh, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		if len(fresh.messages) != 2 {
			t.Fatalf("claimed %d again, want 2", len(fresh.messages))
		}
		for _, m := range old.messages {
			w.engine.putBack(old, m)
		}
		w.settle()
		if c := w.counts(source); c.Claimed != 2 {
			t.Fatalf("the first lane freed what the second is about to send: %+v", c)
		}
		for _, m := range fresh.messages {
			w.carry(t.Context(), job{fresh, m})
		}
		w.settle()
		w.deliver("bulk")
		if got := w.smtp.Mails(); len(got) != 2 {
			t.Errorf("%d mails, want 2", len(got))
		}
	})
}

// A claim whose commit was done and never answered is put back by the living
// node; what a lane has in hand is not.
func TestAClaimWithoutAnswerIsNotStuck(t *testing.T) {
	each(t, func(w *world) {
		held := w.campaign(w.person("ana@example.org"))
		if _, err := w.engine.next(t.Context(), "bulk"); err != nil {
			t.Fatal(err)
		}
		lost := w.campaign(w.person("bob@example.org"))
		w.write(func(tx *store.Tx) error {
			s, ok, err := due(tx, "bulk", uuid.Nil, nil, nil)
			if err != nil || !ok {
				t.Fatalf("nothing is due: %v", err)
			}
			_, _, err = claim(tx, s, w.engine.node, place{}, batch)
			return err
		})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.engine.next(gone, "bulk"); err == nil {
			t.Fatal("claimed without a database")
		}
		w.must(w.engine.putBackStrays(t.Context()))
		w.mustBe(lost, Queued, "")
		w.mustBe(held, Claimed, "")
	})
}

// Tracking that is no longer allowed does not go out with an old claim.
func TestAnOldClaimForgetsTracking(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		opens, clicks := w.allowTracking(ana)
		source := w.campaign(ana)
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		w.write(func(tx *store.Tx) error {
			_, err := consent.Withdraw(tx, w.brand, ana.ID, []uuid.UUID{opens.ID, clicks.ID}, consent.MethodPreferences, nil)
			return err
		})
		time.Sleep(askAfter + 10*time.Millisecond)
		w.carry(t.Context(), job{b, b.messages[0]})
		w.settle()
		w.deliver("bulk")
		if m := w.mustBe(source, Sent, ""); m.TracksOpens || m.TracksClicks {
			t.Error("the mail that went is tracked")
		}
		if got := w.smtp.Mails(); len(got) != 1 {
			t.Errorf("%d mails, want 1", len(got))
		}
	})
}

// A mail that waited for days in a paused campaign is as young as any other.
func TestAPauseDoesNotAge(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana@example.org")
		w.smtp.Script("ana@example.org", testkit.Refuse(451, "4.7.1 come back").Times(1))
		source := w.campaign(ana)
		w.pass(30 * 24 * time.Hour)
		w.deliver("bulk")
		w.mustBe(source, Queued, "put off")
		w.pass(time.Hour)
		w.deliver("bulk")
		w.mustBe(source, Sent, "")
	})
}

func TestHandCountsEachClaim(t *testing.T) {
	var h hand
	ref := link.Message{Source: uuid.New(), ID: uuid.New()}
	h.letGo(ref)
	h.take(ref)
	h.take(ref)
	h.letGo(ref)
	if !h.has(ref) {
		t.Error("one of two claims is left, and not seen")
	}
	h.letGo(ref)
	if h.has(ref) || len(h.claims) != 0 {
		t.Error("what was let go is kept")
	}
}
