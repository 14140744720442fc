package delivery

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
)

var address = regexp.MustCompile(`https?://[^\s"'<>)\]]+`)

// addressesOf are all addresses in a mail, header and both parts, a pixel's too.
func addressesOf(got testkit.Mail) (all []string) {
	for fields := got.Header.Fields(); fields.Next(); {
		all = append(all, address.FindAllString(fields.Value(), -1)...)
	}
	all = append(all, address.FindAllString(strings.ReplaceAll(got.HTML, "&amp;", "&"), -1)...)
	all = append(all, address.FindAllString(got.Text, -1)...)
	slices.Sort(all)
	return slices.Compact(all)
}

// perPerson are the addresses in one mail that the other has not.
func perPerson(a, b []string) (all []string) {
	for _, u := range a {
		if !slices.Contains(b, u) {
			all = append(all, u)
		}
	}
	return all
}

// same sends one campaign to two people and gives what the mail server got.
func (w *world) same(a, b subscriber.Subscriber) (first, second testkit.Mail, source uuid.UUID) {
	w.Helper()
	source = w.campaign(a, b)
	w.deliver("bulk")
	last := func(s subscriber.Subscriber) testkit.Mail {
		all := w.smtp.To(s.Email)
		if len(all) == 0 {
			w.Fatalf("no mail for %s", s.Email)
		}
		return all[len(all)-1]
	}
	return last(a), last(b), source
}

// The mail of somebody without a permission to be observed holds no address of
// their own but those to leave, to choose, to see why and to see the mail in a
// browser, whatever the brand's way to look at opens and clicks is.
func TestAMailWithoutPermissionHasNoAddressOfItsOwn(t *testing.T) {
	each(t, func(w *world) {
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		own := regexp.MustCompile(`^https://mail\.test/[upwv]/`)
		for _, mode := range []struct{ dated, anonymous bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
			w.write(func(tx *store.Tx) error {
				_, err := brand.Update(tx, w.brand.ID, brand.Change{LastOpenOnly: &mode.dated, AnonymousCounts: &mode.anonymous})
				return err
			})
			w.engine.renderer.forget()
			first, second, _ := w.same(ana, bob)
			one, other := addressesOf(first), addressesOf(second)
			if len(one) < 5 || len(one) != len(other) {
				t.Fatalf("%v: %d addresses and %d", mode, len(one), len(other))
			}
			kinds := map[string]int{}
			for _, u := range perPerson(one, other) {
				if !own.MatchString(u) {
					t.Errorf("%v: an address of her own: %s", mode, u)
				}
				kinds[u[len("https://mail.test"):][:3]]++
			}
			if fmt.Sprint(kinds) != "map[/p/:1 /u/:1 /v/:1 /w/:1]" {
				t.Errorf("%v: of her own are %v", mode, kinds)
			}
			if got := strings.Contains(first.HTML, "/o/"); got != mode.anonymous {
				t.Errorf("%v: a pixel: %v", mode, got)
			}
			if got := strings.Contains(first.HTML, "https://baharan.example/new"); got == mode.anonymous {
				t.Errorf("%v: the link as it was written: %v", mode, got)
			}
		}
	})
}

// forget has brands and their frames read anew.
func (r *Renderer) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.senders)
}

// What lies in a mailbox already tells nothing any more once the permission is
// taken back: neither as a hit, nor as a day, nor among what is counted without
// telling anybody apart.
func TestAnOldPixelAddsNoRow(t *testing.T) {
	each(t, func(w *world) {
		yes := true
		ana, bob := w.person("ana@example.org"), w.person("bob@example.org")
		opens, clicks := w.allowTracking(ana)
		w.write(func(tx *store.Tx) error {
			_, err := brand.Update(tx, w.brand.ID, brand.Change{AnonymousCounts: &yes})
			return err
		})
		mine, shared, source := w.same(ana, bob)
		recorder := tracking.NewRecorder(w.db, tracking.Options{})
		defer recorder.Close()
		base, _ := url.Parse("https://mail.test")
		urls := link.URLs{Base: base, Ring: testRing(t)}
		token := func(m testkit.Mail, path string) string {
			_, rest, _ := strings.Cut(m.HTML, "https://mail.test"+path)
			return rest[:strings.IndexAny(rest, `"'`)]
		}
		ref, err := urls.ReadPixel(token(mine, "/o/"))
		w.must(err)
		if _, err := urls.ReadPixel(token(shared, "/o/")); err == nil {
			t.Fatal("he has a pixel of his own")
		}
		clicked, n, err := urls.ReadClick(token(mine, "/l/"))
		w.must(err)
		visitor := tracking.Visitor{UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0"}
		hit := func() {
			t.Helper()
			w.must(recorder.Open(context.Background(), ref, visitor))
			_, err := recorder.Click(context.Background(), clicked, n, visitor)
			w.must(err)
		}
		rows := func() (n int) {
			w.write(func(tx *store.Tx) error {
				return tx.Raw("SELECT (SELECT count(*) FROM hits) + (SELECT count(*) FROM last_opens) + (SELECT count(*) FROM anonymous_hits) + (SELECT count(*) FROM events WHERE kind IN ('mail.opened', 'mail.clicked'))").Scan(&n).Error
			})
			return n
		}
		hit()
		if got := rows(); got != 4 {
			t.Fatalf("%d rows while she allows it, want 2 hits and 2 facts", got)
		}
		w.write(func(tx *store.Tx) error {
			_, err := consent.Withdraw(tx, w.brand, ana.ID, []uuid.UUID{opens.ID, clicks.ID}, consent.MethodPreferences, map[string]any{"ip": "192.0.2.1"})
			return err
		})
		hit()
		w.write(func(tx *store.Tx) error {
			_, err := brand.Update(tx, w.brand.ID, brand.Change{LastOpenOnly: &yes})
			return err
		})
		hit()
		if got := rows(); got != 4 {
			t.Errorf("%d rows after she took it back, want the 4 of before", got)
		}
		var counted tracking.Report
		w.write(func(tx *store.Tx) (err error) { counted, err = tracking.Stats(tx, w.brand.ID, source); return err })
		if counted.Sent != 2 || counted.Opens.Tracked != 1 || counted.Opens.UniqueHuman+counted.Opens.Unique > 2 {
			t.Errorf("%+v", counted)
		}
	})
}

// Where a brand keeps the day of the last open only, whoever allows opens has a
// pixel, and their mail is none of which opens are counted.
func TestAMailWhoseOpensAreDatedIsNotCounted(t *testing.T) {
	each(t, func(w *world) {
		yes := true
		ana := w.person("ana@example.org")
		w.allowTracking(ana)
		w.write(func(tx *store.Tx) error {
			_, err := brand.Update(tx, w.brand.ID, brand.Change{LastOpenOnly: &yes})
			return err
		})
		source := w.campaign(ana)
		w.deliver("bulk")
		m := w.mustBe(source, Sent, "")
		if m.TracksOpens || !m.TracksClicks {
			t.Errorf("opens %v, clicks %v", m.TracksOpens, m.TracksClicks)
		}
		if !strings.Contains(w.smtp.To("ana@example.org")[0].HTML, "/o/") {
			t.Error("no pixel, though it is allowed")
		}
	})
}
