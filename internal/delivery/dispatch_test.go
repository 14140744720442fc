package delivery

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/delivery/throttle"
	"assent/internal/dns"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// straight has the world send to the receivers' own servers, all of which are
// the one mail server, under the limits of a table laid over ours.
func (w *world) straight(table string) *testkit.NameServer {
	w.Helper()
	w.engine.Stop()
	names := testkit.DNS(w)
	at := netip.MustParseAddrPort(w.server)
	path := filepath.Join(w.TempDir(), "providers.yaml")
	w.must(os.WriteFile(path, []byte(table), 0o600))
	read, err := provider.Load(path)
	w.must(err)
	w.options = func(o *Options) {
		o.Servers = nil
		o.Pacing = Pacing{Table: read, Throttle: throttle.New(throttle.Options{})}
		o.Direct = &Direct{Connections: 4, Hello: "mail.baharan.example", Finder: route.New(route.Options{DNS: dns.New(names.Addr), Providers: read,
			Port: int(at.Port()), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})}
	}
	w.start()
	names.Host("mx.example.org", "127.0.0.1")
	names.MX("example.org", "10 mx.example.org")
	return names
}

func TestMailGoesStraightToItsReceivers(t *testing.T) {
	each(t, func(w *world) {
		names := w.straight("")
		names.MX("null.example", "0 .")
		names.Break("broken.example")
		names.Host("only-a.example", "127.0.0.1")
		names.Host("inside.example", "10.0.0.7")
		sources := map[string]uuid.UUID{}
		var missing subscriber.Subscriber
		for _, domain := range []string{"example.org", "only-a.example", "null.example", "missing.example", "broken.example", "inside.example"} {
			ana := w.person("ana@" + domain)
			sources[domain] = w.campaign(ana)
			if domain == "missing.example" {
				missing = ana
			}
		}
		w.deliver("bulk")
		w.mustBe(sources["example.org"], Sent, "")
		w.mustBe(sources["only-a.example"], Sent, "")
		if m := w.mustBe(sources["null.example"], Failed, "hard bounce"); m.SMTPCode != 556 || !strings.HasPrefix(m.SMTPReply, "5.1.10") {
			t.Errorf("a domain that takes no mail: %d %q", m.SMTPCode, m.SMTPReply)
		}
		w.mustBe(sources["missing.example"], Failed, "hard bounce")
		w.mustBe(sources["broken.example"], Queued, "put off")
		w.mustBe(sources["inside.example"], Failed, "refused")
		w.write(func(tx *store.Tx) error {
			may, err := consent.May(tx, w.brand, missing.ID, w.topic.ID)
			if may.Reason != "suppressed:"+consent.HardBounce {
				t.Errorf("who does not exist may be written to: %+v", may)
			}
			return err
		})
		if got := len(w.smtp.Mails()); got != 2 {
			t.Errorf("%d mails, want 2", got)
		}
	})
}

func TestAReceiverThatIsAwayIsTriedLater(t *testing.T) {
	each(t, func(w *world) {
		w.straight("")
		w.smtp.Down()
		source := w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		w.mustBe(source, Queued, "put off")
		w.must(w.smtp.Up())
		w.pass(10 * time.Minute)
		for _, l := range w.engine.pool.groups {
			l.downAt = time.Time{} // as after downFor
		}
		w.deliver("bulk")
		w.mustBe(source, Sent, "")
	})
}

func TestADestinationGetsNoMoreThanItBears(t *testing.T) {
	each(t, func(w *world) {
		w.straight("default:\n  messages_per_second: 20\n")
		source := w.campaign(w.crowd(12, "p")...)
		w.deliver("bulk")
		c := w.counts(source)
		if c.Sent < 1 || c.Sent > 10 || c.Queued != 12-c.Sent {
			t.Fatalf("at twenty a second: %+v", c)
		}
		w.write(func(tx *store.Tx) error {
			var held []Message
			err := tx.Where("source_id = ? AND state = 'queued'", source).Order("due_at").Find(&held).Error
			for _, m := range held {
				if m.Reason != reasonPace {
					t.Errorf("held for %q", m.Reason)
				}
			}
			if span := held[len(held)-1].DueAt.Sub(held[0].DueAt); span < 50*time.Millisecond {
				t.Errorf("the held come back within %s", span)
			}
			return err
		})
		limits, err := w.engine.Held(t.Context())
		w.must(err)
		if len(limits) == 0 || limits[0].Sent == 0 {
			t.Errorf("nothing is said to be held: %+v", limits)
		}
		for range 20 {
			w.pass(time.Second)
			time.Sleep(100 * time.Millisecond)
			w.deliver("bulk")
			if w.counts(source).Queued == 0 {
				break
			}
		}
		if c := w.counts(source); c.Sent != 12 {
			t.Errorf("in the end: %+v", c)
		}
	})
}

func TestAReceiverThatAsksForPatienceGetsIt(t *testing.T) {
	each(t, func(w *world) {
		w.straight("default:\n  messages_per_second: 50\n")
		w.smtp.Script("ana@example.org", testkit.Refuse(421, "4.7.0 too many messages, slow down").Times(1))
		source := w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		w.mustBe(source, Queued, "put off")
		limits, err := w.engine.Held(t.Context())
		w.must(err)
		slowed := false
		for _, l := range limits {
			slowed = slowed || l.Now < l.PerSecond && strings.Contains(l.Said, "slow down")
		}
		if !slowed {
			t.Errorf("no limit was slowed: %+v", limits)
		}
	})
}

func TestAStreamKeepsItsPace(t *testing.T) {
	each(t, func(w *world) {
		slow, fast := w.campaign(w.crowd(10, "slow")...), w.campaign(w.crowd(10, "fast")...)
		w.write(func(tx *store.Tx) error { return SetStreamRate(tx, w.brand.ID, slow, 3600) })
		began := time.Now()
		w.deliver("bulk")
		c := w.counts(slow)
		if most := int64(3 + time.Since(began).Seconds()); c.Sent < 1 || c.Sent > most || c.Queued != 10-c.Sent {
			t.Errorf("at one a second, after %s: %+v", time.Since(began), c)
		}
		if c := w.counts(fast); c.Sent != 10 {
			t.Errorf("the other waits too: %+v", c)
		}
		if yes, err := w.engine.Due(t.Context(), "bulk"); yes || err != nil {
			t.Errorf("what has no room is due: %v, %v", yes, err)
		}
		time.Sleep(1100 * time.Millisecond)
		if yes, err := w.engine.Due(t.Context(), "bulk"); !yes || err != nil {
			t.Errorf("with room again nothing is due: %v, %v", yes, err)
		}
	})
}

func TestRelaysShareByWeight(t *testing.T) {
	one, two := testkit.SMTP(t), testkit.SMTP(t)
	p := poolOf(t, one.Addr, two.Addr)
	p.shares = route.NewShares(3, 1)
	turns := map[string]int{}
	for range 40 {
		turns[p.turn().name]++
	}
	if turns[one.Addr] != 30 || turns[two.Addr] != 10 {
		t.Errorf("turns %v, want 30 and 10", turns)
	}
}
