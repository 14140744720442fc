package admin

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
)

// sender is what sends mail, to a server of the test's own.
func (w *world) sender() (server *testkit.SMTPServer, deliver func()) {
	w.Helper()
	server = testkit.SMTP(w.TB)
	at := netip.MustParseAddrPort(server.Addr)
	e, err := delivery.Start(w.Context(), delivery.Options{DB: w.db, Renderer: delivery.NewRenderer(w.db, w.urls), DataDir: w.TempDir(), Log: slog.New(slog.DiscardHandler),
		Servers: []delivery.Server{{Host: at.Addr().String(), Port: int(at.Port()), TLS: delivery.TLSNone, Connections: 2, Hello: "assent.test"}}})
	w.must(err)
	w.Cleanup(e.Stop)
	return server, func() { w.must(e.Deliver(w.Context(), "bulk")) }
}

// watched lets opens and clicks of a person be seen.
func (w *world) watched(s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.AllTopics(tx, w.brand.ID)
		for _, t := range all {
			if err == nil && (t.Slug == "opens" || t.Slug == "clicks") {
				_, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: t, State: consent.Given, Method: consent.MethodForm, Language: "en", Wording: "See it."})
			}
		}
		return err
	})
}

// mailsOf are the mails of a campaign that were sent.
func (w *world) mailsOf(page string) (all []link.Message) {
	w.Helper()
	var rows []struct{ SourceID, ID uuid.UUID }
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT source_id, id FROM messages WHERE stream_id = ? AND state = 'sent' ORDER BY id", campaignID(page)).Scan(&rows).Error
	})
	for _, r := range rows {
		all = append(all, link.Message{Source: r.SourceID, ID: r.ID})
	}
	return all
}

var (
	stateLine = regexp.MustCompile(`<span class="chip[^"]*">(queued|being sent|sent|left out|refused|uncertain)</span></dt><dd class="num">([\d,]+)</dd>`)
	sumLine   = regexp.MustCompile(`<div class="sum"><dt>[^<]*</dt><dd class="num">([\d,]+)</dd>`)
	plotSum   = regexp.MustCompile(`viewBox="0 0 28 10"[^>]*>.*?</svg> ([a-z ]+) <b class="num">([\d,]+)</b>`)
	whyLine   = regexp.MustCompile(`<dd class="num">([\d,]+)</dd>`)
)

// numbersOf are the numbers of a campaign's page: the states, their sum, the sums
// of the picture, and of the reasons.
func numbersOf(t testing.TB, body string) (n map[string]int64) {
	t.Helper()
	n = map[string]int64{}
	read := func(s string) int64 {
		x, err := strconv.ParseInt(strings.ReplaceAll(s, ",", ""), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, m := range stateLine.FindAllStringSubmatch(body, -1) {
		n[m[1]] = read(m[2])
	}
	if m := sumLine.FindStringSubmatch(body); m != nil {
		n["all"] = read(m[1])
	}
	for _, m := range plotSum.FindAllStringSubmatch(body, -1) {
		n["drawn "+m[1]] = read(m[2])
	}
	for _, card := range strings.Split(body, `<section class="card">`) {
		for what, title := range map[string]string{"left out": "Left out, and why", "refused": "Refused, and why", "uncertain": "Uncertain"} {
			if strings.HasPrefix(card, "<h2>"+title+"</h2>") {
				for _, m := range whyLine.FindAllStringSubmatch(card, -1) {
					n["why "+what] += read(m[1])
				}
			}
		}
	}
	return n
}

// While a campaign is being sent, whoever looks sees numbers that add up, also
// where each count is kept for a while, and looked at hour by hour and day by day:
// each recipient is in one state, the picture has as many
// mails as were sent, and the reasons are as many as what they explain.
func TestNumbersAddUpWhileACampaignIsSent(t *testing.T) {
	each(t, func(w *world) {
		const people = 60
		kept(w, 0)
		b := w.in(email)
		server, deliver := w.sender()
		for i, s := range w.people(people, "p") {
			answer := testkit.StallReply(120 * time.Millisecond)
			switch {
			case i%10 == 3:
				answer = testkit.Refuse(550, "5.1.1 no such mailbox")
			case i == 25:
				answer = testkit.CutReply()
			}
			server.Script(s.Email, answer)
		}
		page := b.makeCampaign()
		b.planAt(page, "when=now")
		w.work(page)
		w.pass(2 * time.Minute)
		w.write(func(tx *store.Tx) error {
			for _, i := range []int{50, 55, 59} {
				a, err := subscriber.ParseAddress(fmt.Sprintf("p%d@example.org", i))
				if err != nil {
					return err
				}
				s, err := subscriber.ByAddress(tx, w.brand, a)
				if err != nil {
					return err
				}
				if _, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.topic.ID}, consent.MethodPreferences, nil); err != nil {
					return err
				}
			}
			return nil
		})
		var sending sync.WaitGroup
		sending.Go(deliver)
		between, last := 0, map[string]int64{}
		looks := 0
		look := func() {
			looks++
			n := numbersOf(w, b.mustShow(page+[]string{"", "?by=days", "?by=hours"}[looks%3]).body)
			if got := n["queued"] + n["being sent"] + n["sent"] + n["left out"] + n["refused"] + n["uncertain"]; got != people || n["all"] != people {
				w.Errorf("of %d people %d are in a state, and %d in all: %v", people, got, n["all"], n)
			}
			if n["drawn sent"] != n["sent"] {
				w.Errorf("%d are sent, and %d drawn", n["sent"], n["drawn sent"])
			}
			for _, what := range []string{"left out", "refused", "uncertain"} {
				if n["why "+what] != n[what] {
					w.Errorf("%s: %d, with reasons for %d", what, n[what], n["why "+what])
				}
			}
			if n["sent"] < last["sent"] {
				w.Errorf("%d are sent, after %d were", n["sent"], last["sent"])
			}
			if n["sent"] > last["sent"] && n["queued"]+n["being sent"] > 0 {
				between++
			}
			last = n
		}
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
			if look(); last["queued"]+last["being sent"] == 0 {
				break
			}
		}
		sending.Wait()
		if between < 2 {
			w.Errorf("only %d looks saw more while it was being sent", between)
		}
		if last["refused"] != 6 || last["uncertain"] != 1 || last["left out"] != 3 || last["sent"] != people-10 {
			w.Errorf("in the end %v", last)
		}
		b.mustShow(page, "say on its page what became of it", "state=uncertain", "There is nothing to mend")
	})
}

// The picture has what happened when it happened: the same before and after the
// quarters are folded, by the hour and by the day; a machine opens nothing, and
// another campaign's mails are not in it.
func TestTheCourseOfACampaign(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		_, deliver := w.sender()
		for _, s := range w.people(8, "p") {
			w.watched(s)
		}
		page, other := b.makeCampaign(), b.makeCampaign("name", "Another")
		if strings.Contains(b.mustShow(page).body, "plot-answers") {
			w.Error("a draft has a picture")
		}
		for _, p := range []string{page, other} {
			b.planAt(p, "when=now")
			w.work(p)
			w.pass(2 * time.Minute)
			deliver()
		}
		var mails []link.Message
		for end := time.Now().Add(20 * time.Second); len(mails) < 8 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			mails = w.mailsOf(page)
		}
		r := tracking.NewRecorder(w.db, tracking.Options{})
		w.Cleanup(r.Close)
		person, machine := tracking.Visitor{UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}, tracking.Visitor{UserAgent: "python-requests/2.32"}
		w.pass(3 * time.Hour)
		for _, i := range []int{0, 0, 1, 2} {
			w.must(r.Open(w.Context(), mails[i], person))
		}
		w.must(r.Open(w.Context(), mails[3], machine))
		leave := func(ref link.Message) {
			w.write(func(tx *store.Tx) error {
				_, err := signup.LeaveTopic(tx, ref, consent.MethodOneClick, signup.Seen{IP: "192.0.2.7"})
				return err
			})
		}
		leave(mails[5])
		leave(mails[5]) // who has left leaves no more
		check := func(when string, opened, left int64) {
			w.Helper()
			for _, by := range []string{"", "?by=days", "?by=hours"} {
				n := numbersOf(w, b.mustShow(page+by).body)
				if n["drawn sent"] != 8 || n["drawn opened"] != opened || n["drawn left"] != left {
					w.Errorf("%s%s: %v", when, by, n)
				}
			}
			if n := numbersOf(w, b.mustShow(other).body); n["drawn opened"] != 0 || n["drawn left"] != 0 {
				w.Errorf("%s: another campaign has %v", when, n)
			}
		}
		check("before any fold", 3, 1)
		b.mustShow(page, "Left by this mail", "1 of 8", "3 of 8 who let it be seen")
		w.pass(time.Hour)
		w.must(event.Fold(w.Context(), w.db, tracking.Fold))
		check("folded", 3, 1)
		w.must(r.Open(w.Context(), mails[0], person))
		w.must(r.Open(w.Context(), mails[4], person))
		check("on top", 4, 1)
		w.pass(40 * time.Minute)
		w.must(event.Fold(w.Context(), w.db, tracking.Fold))
		check("all folded", 4, 1)
		body := b.mustShow(page + "?by=hours").body
		_, table, _ := strings.Cut(body, `id="plot-answers-numbers"`)
		var opens []string
		for _, m := range regexp.MustCompile(`data-label="opened" data-n="(\d+)"`).FindAllStringSubmatch(table, -1) {
			opens = append(opens, m[1])
		}
		if got := strings.Join(opens, " "); !strings.Contains(got, "3 1") || !strings.HasPrefix(got, "0 0") {
			w.Errorf("hour by hour %s were opened", got)
		}
	})
}

// What is kept of a campaign's course is small, however many mails it had, and
// found by its key.
func TestACourseCostsTheSameForAMillionMails(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	page := b.makeCampaign()
	id := campaignID(page)
	w.write(func(tx *store.Tx) error {
		var all []event.StreamTally
		for i := range 30 * 96 {
			for _, kind := range []string{event.StreamSent, event.StreamOpened, event.StreamClicked, event.StreamLeft} {
				all = append(all, event.StreamTally{BrandID: w.brand.ID, StreamID: id, At: tx.Now().Add(-time.Duration(i) * event.Quarter), Kind: kind, N: 350})
			}
		}
		return event.AddStreams(tx, all)
	})
	w.must(w.db.Read(t.Context(), func(tx *store.Tx) error {
		began, err := event.StreamBegan(tx, w.brand.ID, id)
		if err != nil {
			return err
		}
		d := &desk{h: &house{Deps: Deps{DB: w.db}}, l: i18n.For("fa"), brand: w.brand}
		for by, most := range map[string]int{"hours": courseHours, "days": courseDays + 1} {
			bins := d.courseBins(began, by)
			if len(bins) > most || len(bins) < 28 {
				t.Errorf("%d %s are drawn", len(bins), by)
			}
			var spans []event.Span
			for _, x := range bins {
				spans = append(spans, x.Span)
			}
			from := time.Now()
			sums, err := event.StreamSums(tx, w.brand.ID, id, spans)
			if err != nil || len(sums) == 0 {
				t.Fatalf("%d sums, %v", len(sums), err)
			}
			if took := time.Since(from); took > time.Second {
				t.Errorf("the %s took %s", by, took)
			}
		}
		var plan []struct{ Detail string }
		if err := tx.Raw("EXPLAIN QUERY PLAN SELECT at FROM stream_quarters WHERE stream_id = ? AND brand_id = ? AND at >= ? AND at < ?", id, w.brand.ID, began, began).Scan(&plan).Error; err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(plan), "SEARCH stream_quarters USING") {
			t.Errorf("the plan is %v", plan)
		}
		return nil
	}))
	if got := b.get(page + "?" + url.Values{"by": {"years"}}.Encode()); got.status != 200 {
		t.Errorf("a span that is none: %d", got.status)
	}
}

// An hour that comes twice a year is drawn twice, and no hour is without a place.
func TestTheCourseThroughTheNightThatSummerTimeEnds(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 10, 25, 0, 15, 0, 0, time.UTC) // 02:15, for the first time
	db, err := store.Open(t.Context(), testkit.SQLiteTemplate(t, "migrated", prepare), store.Options{Ring: (&world{TB: t}).ring(), Clock: func() time.Time { return began.Add(10 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &desk{h: &house{Deps: Deps{DB: db}}, l: i18n.For("en"), brand: brand.Brand{TimeZone: berlin.String()}}
	bins := d.courseBins(began, "hours")
	if len(bins) != 1 || bins[0].From.After(began) || !bins[0].To.After(began) {
		t.Errorf("bins %+v", bins)
	}
}
