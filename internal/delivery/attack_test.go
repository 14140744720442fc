package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/dns"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// A page of put-back mails whose commit was not answered is written again, after
// a newer claim: that one keeps its slot.
func TestWhatIsPutBackTwiceKeepsTheNextClaimsSlot(t *testing.T) {
	each(t, func(w *world) {
		w.promise(1, 7)
		w.campaign(w.person("ana@example.org"))
		old, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		page := []outcome{{old.messages[0], reply{verdict: returned}}}
		again := func() { w.write(func(tx *store.Tx) error { return record(tx, w.engine.node, page) }) }
		again()
		if n := w.slots(); n != 0 {
			t.Fatalf("%d slots after it was put back", n)
		}
		if _, err := w.engine.next(t.Context(), "bulk"); err != nil {
			t.Fatal(err)
		}
		again()
		if n := w.slots(); n != 1 {
			t.Errorf("%d slots, want that of the second claim", n)
		}
	})
}

// A page of outcomes that is written a second time is counted once.
func TestABreakerCountsAPageOnce(t *testing.T) {
	each(t, func(w *world) {
		source := w.campaign(w.crowd(3, "p")...)
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		page := []outcome{{b.messages[0], reply{verdict: accepted, code: 250}}, {b.messages[1], reply{verdict: refused, code: 554, text: "5.7.1 no"}},
			{b.messages[2], reply{verdict: refused, code: 550, text: "5.1.1 nobody"}}}
		for range 2 {
			w.write(func(tx *store.Tx) error { return record(tx, w.engine.node, page) })
		}
		w.write(func(tx *store.Tx) error {
			var got tally
			err := tx.Where("stream_id = ?", source).Take(&got).Error
			if got.Sent != 1 || got.Hard != 1 || got.Refusals != 1 {
				t.Errorf("counted %+v", got)
			}
			return err
		})
	})
}

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

func TestAServerThatSaysNothingHoldsNoStopUp(t *testing.T) {
	p := poolOf(t, silent(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	if _, err := p.get(ctx, p.turn(), false); err == nil {
		t.Error("a connection to a server that says nothing")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a stop waited %s for its greeting", took)
	}
}

// A lane gives its place up though a server has not answered; the mail goes on.
func TestALaneDoesNotWaitForASlowServer(t *testing.T) {
	each(t, func(w *world) {
		w.smtp.Script("ana@example.org", testkit.StallReply(2*time.Second))
		source := w.campaign(w.person("ana@example.org"))
		began := time.Now()
		w.must(w.engine.Deliver(t.Context(), "bulk"))
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("the lane waited %s", took)
		}
		w.settle()
		w.mustBe(source, Sent, "")
	})
}

func TestIdleConnectionsToReceiversEnd(t *testing.T) {
	each(t, func(w *world) {
		w.straight("")
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		p := w.engine.pool
		if n := p.idle.Load(); n != 1 {
			t.Fatalf("%d idle connections, want 1", n)
		}
		for _, l := range p.groups {
			l.idleFor, l.used = 0, time.Now().Add(-2*forgetAfter)
		}
		p.sweep()
		for end := time.Now().Add(10 * time.Second); len(p.groups) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p.sweep() // again, until the goodbye is heard
		}
		if n := p.idle.Load(); n != 0 || len(p.groups) != 0 {
			t.Errorf("%d idle connections and %d receivers are kept", n, len(p.groups))
		}
	})
}

// A mail that cannot be made for a reason of its brand's stops nobody else's.
func TestABrokenMailRestsItsStreamOnly(t *testing.T) {
	each(t, func(w *world) {
		broken := w.campaign(w.person("ana@example.org"))
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		w.engine.unfit(t.Context(), job{b, b.messages[0]}, errors.New("the key cannot be opened"))
		other := w.campaign(w.person("bob@example.org"))
		w.deliver("bulk")
		w.mustBe(broken, Queued, "")
		w.mustBe(other, Sent, "")
	})
}

// A mail over a connection that the server ended meanwhile goes over another, at once.
func TestAnEndedConnectionCostsNoDelay(t *testing.T) {
	each(t, func(w *world) {
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		for _, c := range w.engine.pool.lines[0].idle {
			w.must(c.net.Close())
		}
		next := w.campaign(w.person("bob@example.org"))
		w.deliver("bulk")
		w.mustBe(next, Sent, "")
	})
}

// Whoever left while their mail's first connection ended is not written to over
// another, though others of the batch were asked for meanwhile.
func TestAMailThatBeginsAgainIsAskedForAgain(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		w.campaign(ana, bob)
		b, err := w.engine.next(t.Context(), "bulk")
		w.must(err)
		first, second := b.messages[0], b.messages[1]
		begin := func(m *claimed) bool {
			may, err := b.start(t.Context(), m)
			w.must(err)
			return may
		}
		if !begin(first) {
			t.Fatal("the first may not begin")
		}
		time.Sleep(askAfter)
		w.leave(map[uuid.UUID]subscriber.Subscriber{ana.ID: ana, bob.ID: bob}[*first.SubscriberID])
		if !begin(second) {
			t.Fatal("the second may not begin")
		}
		b.again(first)
		if begin(first) {
			t.Error("a mail begins to somebody who has left")
		}
	})
}

// Of two that wait for a connection, what people wait for goes first.
func TestWhatPeopleWaitForGoesFirst(t *testing.T) {
	each(t, func(w *world) {
		w.straight("default:\n  connections: 1\n")
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		p := w.engine.pool
		var l *line
		for _, l = range p.groups {
		}
		c, err := p.get(t.Context(), l, false)
		w.must(err)
		served := make(chan *conn)
		go func() {
			c, err := p.get(t.Context(), l, true)
			if err != nil {
				t.Error(err)
			}
			served <- c
		}()
		wanted := func() int {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.urgent
		}
		for wanted() == 0 {
			time.Sleep(time.Millisecond)
		}
		p.put(c, true)
		if taken, err := l.take(t.Context(), p, false); taken != nil || err != nil {
			t.Fatalf("bulk mail took the connection (%v)", err)
		}
		p.put(<-served, true)
	})
}

// A fault of the program at one mail fails that mail, and nothing else.
func TestAPanicFailsOneMail(t *testing.T) {
	each(t, func(w *world) {
		source, right := w.campaign(w.person("ana@example.org")), w.engine.renderer
		w.engine.log = slog.New(slog.DiscardHandler)
		w.engine.renderer = nil
		w.deliver("bulk")
		if m := w.mustBe(source, Failed, "could not be made into a mail"); !strings.Contains(m.SMTPReply, "not sent: panic") {
			t.Errorf("the row says %q", m.SMTPReply)
		}
		asked := w.confirmation(w.person("cyr@example.org"))
		w.deliver("confirm")
		w.mustBe(asked, Queued, "put off")
		many := w.campaign(w.crowd(crashesMost+5, "many")...)
		w.deliver("bulk")
		if c := w.counts(many); c.Failed != crashesMost || c.Queued != 5 {
			t.Errorf("of a stream whose mails all crash: %+v", c)
		}
		w.engine.renderer = right
		other := w.campaign(w.person("bob@example.org"))
		w.deliver("bulk")
		w.mustBe(other, Sent, "")
	})
}

// What a receiver bears is shared out among the nodes.
func TestNodesShareTheConnectionsToAReceiver(t *testing.T) {
	each(t, func(w *world) {
		w.straight("default:\n  connections: 5\n")
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		p := w.engine.pool
		for _, l := range p.groups {
			for nodes, want := range map[int64]int{0: 4, 1: 4, 2: 2, 9: 1} { // this node may have four
				p.nodes.Store(nodes)
				if n := p.share(l); n != want {
					t.Errorf("one of %d nodes may have %d connections, want %d", nodes, n, want)
				}
			}
		}
		w.must(sayHello(t.Context(), w.db, store.NewID(time.Now())))
		w.must(w.engine.greet(t.Context()))
		if n := p.nodes.Load(); n != 2 {
			t.Errorf("it knows of %d nodes, want 2", n)
		}
	})
}

// halfSecured offers STARTTLS and cannot do it; in clear it takes a mail.
func halfSecured(t *testing.T) (addr string, took chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	took = make(chan string, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go halfSecure(c, took)
		}
	}()
	return l.Addr().String(), took
}

func halfSecure(c net.Conn, took chan string) {
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 half\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word := strings.ToUpper(strings.Fields(line + " x")[0]); word {
		case "EHLO":
			fmt.Fprint(c, "250-half\r\n250 STARTTLS\r\n")
		case "STARTTLS":
			fmt.Fprint(c, "220 go on\r\nthis is no handshake\r\n")
			return
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			fmt.Fprint(c, "250 taken\r\n")
			took <- "a mail"
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

func TestBrokenEncryptionIsDoneWithoutWhereNothingAsksForIt(t *testing.T) {
	addr, took := halfSecured(t)
	names := testkit.DNS(t)
	names.Host("mx.example.org", "127.0.0.1")
	names.MX("example.org", "10 mx.example.org")
	table, err := provider.Load("")
	if err != nil {
		t.Fatal(err)
	}
	finder := route.New(route.Options{DNS: dns.New(names.Addr), Providers: table, Port: int(netip.MustParseAddrPort(addr).Port()),
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	p, err := newPool(nil, &Direct{Connections: 2, Hello: "mail.example.net", Finder: finder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	r, err := finder.Find(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.get(t.Context(), p.toward(r), false)
	if err != nil {
		t.Fatal(err)
	}
	answer, healthy := c.send(t.Context(), parcel{from: "post@example.net", to: "ana@example.org", raw: []byte("Subject: x\r\n\r\nx\r\n")}, func() error { return nil })
	p.put(c, healthy)
	if answer.verdict != accepted || <-took == "" {
		t.Errorf("not taken: %+v", answer)
	}

	r.TLS, r.Group = provider.Required, "strict"
	if _, err := p.get(t.Context(), p.toward(r), false); err == nil {
		t.Error("in clear, where encryption is asked for")
	}
}
