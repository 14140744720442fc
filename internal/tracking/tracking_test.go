package tracking_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
)

type world struct {
	testing.TB
	db      *store.DB
	clock   atomic.Int64
	brand   brand.Brand
	topics  map[string]consent.Topic // by slug
	source  uuid.UUID
	content uuid.UUID
}

func prepare(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	if err := db.Migrate(context.Background()); err != nil {
		return err
	}
	return db.Close()
}

func each(t *testing.T, test func(w *world)) {
	testkit.EachPrepared(t, "tracking", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, topics: map[string]consent.Topic{}}
	w.clock.Store(time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC).UnixMicro())
	w.db, err = store.Open(context.Background(), url, store.Options{Ring: ring, Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.write(func(tx *store.Tx) error {
		w.brand, err = brand.Create(tx, brand.New{Slug: "b", Name: "B", PostalAddress: "A", SenderEmail: "a@b.example", Language: "en", TimeZone: "UTC"})
		if err != nil {
			return err
		}
		if err := consent.PrepareBrand(tx, w.brand); err != nil {
			return err
		}
		if _, err := consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "news", Texts: map[string]consent.TopicText{"en": {Name: "News", Wording: "News, please."}}}); err != nil {
			return err
		}
		all, err := consent.Topics(tx, w.brand.ID)
		if err != nil {
			return err
		}
		for _, t := range all {
			w.topics[t.Slug] = t
		}
		w.source = tx.NewID()
		if err := delivery.OpenStream(tx, w.brand.ID, delivery.OriginCampaign, w.source); err != nil {
			return err
		}
		var page strings.Builder
		for i := range 6 {
			fmt.Fprintf(&page, `<a href="https://shop.example/%d">x</a>`, i)
		}
		w.content, err = delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{Language: "en", Subject: "S", HTML: page.String()}})
		return err
	})
	return w
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(context.Background(), f); err != nil {
		w.Fatal(err)
	}
}

// person allows what is named, besides the news.
func (w *world) person(name string, allows ...string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(name + "@example.org")
		if err != nil {
			return err
		}
		if s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a}); err != nil {
			return err
		}
		for _, slug := range append([]string{"news"}, allows...) {
			if err := w.record(tx, s, slug, consent.Given); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func (w *world) record(tx *store.Tx, s subscriber.Subscriber, slug string, state consent.State) error {
	_, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topics[slug], State: state, Method: consent.MethodPreferences, Wording: "Yes."})
	return err
}

// mail is one that the mail server took just now, with the tracking its reader allowed.
func (w *world) mail(s subscriber.Subscriber) (m link.Message) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.Permissions(tx, w.brand.ID, s.ID)
		if err != nil {
			return err
		}
		on := map[uuid.UUID]consent.Permission{}
		for _, p := range all {
			on[p.TopicID] = p
		}
		news := w.topics["news"].ID
		event := on[news].EventID
		var mails int
		if err := tx.Raw("SELECT count(*) FROM messages").Scan(&mails).Error; err != nil {
			return err
		}
		id, _, err := delivery.Queue(tx, delivery.Draft{Source: w.source, Stream: w.source, Brand: w.brand.ID, Subscriber: &s.ID, Part: mails,
			Kind: delivery.Marketing, Topic: &news, ConsentEvent: &event, Content: &w.content, Language: "en", Due: tx.Now()})
		if err != nil {
			return err
		}
		m = link.Message{Source: w.source, ID: id}
		_, err = tx.Run("UPDATE messages SET state = 'sent', settled_at = ?, tracks_opens = ?, tracks_clicks = ? WHERE source_id = ? AND id = ?",
			tx.Now(), on[w.topics["opens"].ID].InForce(tx.Now()), on[w.topics["clicks"].ID].InForce(tx.Now()), m.Source, m.ID)
		if err == nil {
			_, err = tx.Run("DELETE FROM outbox WHERE id = ?", m.ID)
		}
		return err
	})
	return m
}

func (w *world) recorder() *tracking.Recorder {
	r := tracking.NewRecorder(w.db, tracking.Options{})
	w.Cleanup(r.Close)
	return r
}

func (w *world) hits() (all []tracking.Hit) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Order("at, link, id").Find(&all).Error })
	return all
}

func (w *world) facts(kind string) (n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT count(*) FROM events WHERE kind = ?", kind).Scan(&n).Error
	})
	return n
}

var phone = tracking.Visitor{UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1", Network: "192.0.2.0/24"}

var ctx = context.Background()

func (w *world) open(r *tracking.Recorder, m link.Message, v tracking.Visitor) {
	w.Helper()
	if err := r.Open(ctx, m, v); err != nil {
		w.Fatal(err)
	}
}

func (w *world) click(r *tracking.Recorder, m link.Message, n int, v tracking.Visitor) {
	w.Helper()
	to, err := r.Click(ctx, m, n, v)
	if err != nil || to != fmt.Sprintf("https://shop.example/%d", n) {
		w.Fatalf("%q, %v", to, err)
	}
}

func TestHitsAreOnDiskWhenAnswered(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		var wg sync.WaitGroup
		var mails []link.Message
		for i := range 20 {
			mails = append(mails, w.mail(w.person(fmt.Sprint("p", i), "opens", "clicks")))
		}
		w.pass(time.Hour)
		for _, m := range mails {
			for range 3 {
				wg.Go(func() { w.open(r, m, phone) })
				wg.Go(func() { w.click(r, m, 2, phone) })
			}
		}
		wg.Wait()
		hits := w.hits()
		if len(hits) != 120 || w.facts("mail.opened") != 20 || w.facts("mail.clicked") != 60 {
			w.Errorf("%d hits, %d opened, %d clicked", len(hits), w.facts("mail.opened"), w.facts("mail.clicked"))
		}
		for _, h := range hits {
			if h.Machine != "" || h.Network != "192.0.2.0/24" || h.UserAgent != phone.UserAgent || h.BrandID != w.brand.ID {
				w.Fatalf("%+v", h)
			}
		}
	})
}

// TestWithdrawnPermissionRecordsNothing: pixel and link work on, and leave no trace.
func TestWithdrawnPermissionRecordsNothing(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		both, neither, opens := w.person("both", "opens", "clicks"), w.person("neither"), w.person("opens", "opens")
		mails := map[string]link.Message{"both": w.mail(both), "neither": w.mail(neither), "opens": w.mail(opens)}
		w.pass(time.Hour)
		for _, m := range mails {
			w.open(r, m, phone)
			w.click(r, m, 1, phone)
		}
		if n := len(w.hits()); n != 3 { // an open and a click of one, an open of the other
			w.Errorf("%d hits, 3 were permitted", n)
		}
		w.write(func(tx *store.Tx) error { return w.record(tx, both, "opens", consent.Withdrawn) })
		w.write(func(tx *store.Tx) error { return w.record(tx, both, "clicks", consent.Withdrawn) })
		w.open(r, mails["both"], phone)
		w.click(r, mails["both"], 1, phone)
		if n := len(w.hits()); n != 3 {
			w.Errorf("%d hits after the withdrawal", n)
		}
		w.write(func(tx *store.Tx) error { return w.record(tx, neither, "opens", consent.Given) })
		w.open(r, mails["neither"], phone)
		if n := len(w.hits()); n != 3 {
			w.Error("a mail that was sent untracked is tracked")
		}
		if n := w.facts("mail.opened") + w.facts("mail.clicked"); n != 3 {
			w.Errorf("%d facts", n)
		}
	})
}

func TestUnknownMailsAndLinks(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		m := w.mail(w.person("p", "opens", "clicks"))
		gone := link.Message{Source: uuid.New(), ID: uuid.New()}
		mixed := link.Message{Source: uuid.New(), ID: m.ID}
		for _, ref := range []link.Message{gone, mixed} {
			if err := r.Open(ctx, ref, phone); err != nil {
				w.Error(err)
			}
			if to, err := r.Click(ctx, ref, 0, phone); to != "" || !problem.Is(err, problem.NotFound) {
				w.Errorf("%q, %v", to, err)
			}
		}
		if to, err := r.Click(ctx, m, 99, phone); to != "" || !problem.Is(err, problem.NotFound) {
			w.Errorf("a link that the mail has not: %q, %v", to, err)
		}
		if n := len(w.hits()); n != 0 {
			w.Errorf("%d hits of nothing", n)
		}
	})
}

func TestMachinesAreLabelledAndKept(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		for i, c := range []struct {
			v     tracking.Visitor
			after time.Duration
			want  string
		}{
			{phone, time.Hour, ""},
			{phone, 4999 * time.Millisecond, "instant"},
			{phone, 5 * time.Second, ""},
			{tracking.Visitor{UserAgent: "Mozilla/5.0"}, time.Hour, "bare-agent"},
			{tracking.Visitor{}, time.Hour, "bare-agent"},
			{tracking.Visitor{UserAgent: phone.UserAgent, Head: true}, time.Hour, "head"},
			{tracking.Visitor{UserAgent: phone.UserAgent, Prefetch: true}, time.Hour, "prefetch"},
			{tracking.Visitor{UserAgent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, time.Hour, "scanner"},
			{tracking.Visitor{UserAgent: "python-requests/2.32"}, time.Second, "scanner,instant"},
			{tracking.Visitor{UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"}, time.Hour, "prefetch"},
			{tracking.Visitor{UserAgent: "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"}, time.Hour, ""},
			{tracking.Visitor{UserAgent: "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"}, time.Hour, ""},
		} {
			m := w.mail(w.person(fmt.Sprint("p", i), "opens"))
			w.pass(c.after)
			w.open(r, m, c.v)
			all := w.hits()
			if h := all[len(all)-1]; len(all) != i+1 || h.Machine != c.want {
				w.Errorf("%q after %s: %q of %d, want %q", c.v.UserAgent, c.after, h.Machine, len(all), c.want)
			}
		}
		report := w.report()
		if f := report.Opens; f != (tracking.Figures{Tracked: 12, Total: 12, Unique: 12, TotalHuman: 4, UniqueHuman: 4}) {
			w.Errorf("%+v", f)
		}
	})
}

func (w *world) report() (r tracking.Report) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		r, err = tracking.Stats(tx, w.brand.ID, w.source)
		return err
	})
	return r
}

// TestABurstOfLinksIsAMachine, also where its first clicks were stored before
// the third told on them.
func TestABurstOfLinksIsAMachine(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		labels := func(m link.Message) (all []string) {
			for _, h := range w.hits() {
				if h.MessageID == m.ID {
					all = append(all, h.Machine)
				}
			}
			return all
		}
		burst := w.mail(w.person("burst", "clicks"))
		slow := w.mail(w.person("slow", "clicks"))
		same := w.mail(w.person("same", "clicks"))
		w.pass(time.Hour)
		for i := range 4 {
			w.click(r, burst, i, phone)
			w.click(r, same, 1, phone)
			w.pass(time.Second)
		}
		for i := range 4 {
			w.click(r, slow, i, phone)
			w.pass(1600 * time.Millisecond)
		}
		if got := labels(burst); !slices.Equal(got, []string{"burst", "burst", "burst", "burst"}) {
			w.Errorf("four links in three seconds: %q", got)
		}
		for _, m := range []link.Message{slow, same} {
			if got := labels(m); !slices.Equal(got, []string{"", "", "", ""}) {
				w.Errorf("a person: %q", got)
			}
		}
		if f := w.report().Clicks; f != (tracking.Figures{Tracked: 3, Total: 12, Unique: 3, TotalHuman: 8, UniqueHuman: 2}) {
			w.Errorf("%+v", f)
		}
	})
}

// What is folded in of a day's mails is what the report of those mails says:
// machines left out, each mail once, whenever it was opened, and the same
// before, between and after the folds.
func TestFoldedOpensAreThoseOfTheReport(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		var mails []link.Message
		sentAt := w.now()
		for i := range 6 {
			mails = append(mails, w.mail(w.person(fmt.Sprint("p", i), "opens", "clicks")))
		}
		check := func(when string, openedNow int64) {
			w.Helper()
			report := w.report()
			day := event.QuarterOf(sentAt)
			spans := []event.Span{{From: day, To: day.Add(event.Quarter)}, {From: event.QuarterOf(w.now()), To: event.QuarterOf(w.now()).Add(event.Quarter)}}
			got := map[string]int64{}
			w.write(func(tx *store.Tx) error {
				return event.Steady(tx, func(upto time.Time) error {
					clear(got)
					sums, err := event.SumsSince(tx, upto, w.brand.ID, spans)
					if err != nil {
						return err
					}
					more, err := tracking.Unfolded(tx, upto, w.brand.ID, spans)
					for _, s := range slices.Concat(sums, more) {
						got[fmt.Sprintf("%d %s %s", s.Span, s.Kind, s.Source)] += s.N
					}
					return err
				})
			})
			if got["0 mail.sent-then open"] != report.Opens.UniqueHuman || got["0 mail.sent-then click"] != report.Clicks.UniqueHuman || got["1 mail.first-hit open"] != openedNow {
				w.Errorf("%s: %v; the report says %d and %d, and %d now", when, got, report.Opens.UniqueHuman, report.Clicks.UniqueHuman, openedNow)
			}
		}
		fold := func() {
			w.Helper()
			if err := event.Fold(w.Context(), w.db, tracking.Fold); err != nil {
				w.Fatal(err)
			}
		}
		machine := tracking.Visitor{UserAgent: "python-requests/2.32"}
		w.pass(time.Hour)
		w.open(r, mails[0], phone)
		w.open(r, mails[0], phone) // again: once
		w.open(r, mails[1], machine)
		for i := range 4 {
			w.click(r, mails[2], i, phone) // a burst: a machine, also where it was stored before
			w.pass(100 * time.Millisecond)
		}
		w.click(r, mails[3], 1, phone)
		check("before any fold", 1)
		w.pass(time.Hour)
		fold()
		check("folded in", 0)
		w.open(r, mails[0], phone)
		w.open(r, mails[1], phone) // a person, after the machine
		w.open(r, mails[4], phone)
		w.click(r, mails[3], 2, phone)
		check("on top of what is folded in", 2)
		w.pass(time.Hour)
		fold()
		fold()
		check("all folded in", 0)
	})
}

// TestWhileTheDatabaseIsAwayNothingIsPretended: a hit that is not on disk is answered so.
func TestWhileTheDatabaseIsAwayNothingIsPretended(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		m := w.mail(w.person("p", "opens", "clicks"))
		w.pass(time.Hour)
		w.write(func(tx *store.Tx) error { return tx.Exec("ALTER TABLE hits RENAME TO hidden").Error })
		if err := r.Open(ctx, m, phone); !problem.Is(err, problem.Unavailable) {
			w.Errorf("open: %v", err)
		}
		if to, err := r.Click(ctx, m, 1, phone); to != "" || !problem.Is(err, problem.Unavailable) {
			w.Errorf("click: %q, %v", to, err)
		}
		w.write(func(tx *store.Tx) error { return tx.Exec("ALTER TABLE hidden RENAME TO hits").Error })
		w.click(r, m, 1, phone)
		if n := len(w.hits()); n != 1 {
			w.Errorf("%d hits, one was answered as stored", n)
		}
		r.Close()
		if _, err := r.Click(ctx, m, 1, phone); !problem.Is(err, problem.Unavailable) {
			w.Errorf("a closed recorder: %v", err)
		}
		if to, err := tracking.Target(ctx, w.db, m, 1); to != "https://shop.example/1" || err != nil {
			w.Errorf("the plain link: %q, %v", to, err)
		}
		if n := len(w.hits()); n != 1 {
			w.Errorf("%d hits after the close", n)
		}
	})
}

// TestCloseAnswersWhatCameIn: nobody who handed a hit in is left without an answer.
func TestCloseAnswersWhatCameIn(t *testing.T) {
	each(t, func(w *world) {
		r := tracking.NewRecorder(w.db, tracking.Options{Batch: 8})
		m := w.mail(w.person("p", "clicks"))
		w.pass(time.Hour)
		var stored atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := r.Click(ctx, m, 1, phone)
				if err == nil {
					stored.Add(1)
				} else if !problem.Is(err, problem.Unavailable) {
					w.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		r.Close()
		r.Close()
		wg.Wait()
		if n := int64(len(w.hits())); n != stored.Load() {
			w.Errorf("%d hits on disk, %d were answered as stored", n, stored.Load())
		}
	})
}

func TestReportsStopAtTheBrand(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		m := w.mail(w.person("p", "opens"))
		w.pass(time.Hour)
		w.open(r, m, phone)
		w.write(func(tx *store.Tx) error {
			foreign, err := tracking.Stats(tx, uuid.New(), w.source)
			if err != nil || foreign != (tracking.Report{}) {
				w.Errorf("another brand reads %+v, %v", foreign, err)
			}
			stream, err := tracking.StreamStats(tx, w.brand.ID, w.source)
			if err != nil || stream.Sent != 1 || stream.Opens.Unique != 1 {
				w.Errorf("by stream: %+v, %v", stream, err)
			}
			return nil
		})
	})
}

func TestNetworkOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::5": "2001:db8:1::/48",
		"fe80::1%eth0": "fe80::/48", "": "", "nonsense": "", "192.0.2.77, 10.0.0.1": "",
	} {
		if got := tracking.NetworkOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzAgents: no header, however odd, keeps a hit from being stored, and none is stored as it must not be.
func FuzzAgents(f *testing.F) {
	w := newWorld(f, testkit.SQLiteTemplate(f, "tracking", prepare))
	r := w.recorder()
	m := w.mail(w.person("p", "opens"))
	w.pass(time.Hour)
	for _, s := range []string{"", "Mozilla/5.0", "\xff\xfe", "a\x00b", strings.Repeat("é", 300), "'); DROP TABLE hits; --", `{"n":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		if err := r.Open(ctx, m, tracking.Visitor{UserAgent: agent}); err != nil {
			t.Fatal(err)
		}
		var h tracking.Hit
		if err := w.db.Write(ctx, func(tx *store.Tx) error { return tx.Order("id DESC").Take(&h).Error }); err != nil {
			t.Fatal(err)
		}
		if len(h.UserAgent) > 400 || strings.ToValidUTF8(h.UserAgent, "?") != h.UserAgent || strings.ContainsRune(h.UserAgent, 0) {
			t.Errorf("stored %q", h.UserAgent)
		}
	})
}

func BenchmarkRecorder(b *testing.B) {
	for name, url := range map[string]string{
		"sqlite": testkit.SQLiteTemplate(b, "tracking", prepare), "postgres": testkit.PostgresTemplate(b, "tracking", prepare),
	} {
		w := newWorld(b, url)
		r := w.recorder()
		var mails []link.Message
		for i := range 200 {
			mails = append(mails, w.mail(w.person(fmt.Sprint("p", i), "opens", "clicks")))
		}
		w.pass(time.Hour)
		for kind, hit := range map[string]func(m link.Message) error{
			"open":  func(m link.Message) error { return r.Open(ctx, m, phone) },
			"click": func(m link.Message) error { _, err := r.Click(ctx, m, 1, phone); return err },
		} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetParallelism(16)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := hit(mails[n.Add(1)%200]); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hits/s")
			})
		}
	}
}

func (w *world) set(c brand.Change) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { w.brand, err = brand.Update(tx, w.brand.ID, c); return err })
}

// lastOpens are the rows as the table has them: person and day.
func (w *world) lastOpens() (all []string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT " + tx.Pick("CAST(day AS text)", "day || ''") + " FROM last_opens ORDER BY 1").Scan(&all).Error
	})
	return all
}

// Where a brand keeps the day of the last open only, that is all there is: one
// row a person, written over, without a time, and no hit and no fact; by a
// machine there is nothing, and none without the permission, nor after it.
func TestOfAnOpenOnlyTheDayIsKept(t *testing.T) {
	each(t, func(w *world) {
		yes, zone := true, "Asia/Tehran"
		w.set(brand.Change{LastOpenOnly: &yes, TimeZone: &zone})
		r := w.recorder()
		ana, bob, dina := w.person("ana", "opens", "clicks"), w.person("bob"), w.person("dina", "opens")
		of, not, robot := w.mail(ana), w.mail(bob), w.mail(dina)
		w.pass(time.Hour)
		w.open(r, of, phone)
		w.open(r, not, phone)
		w.open(r, robot, tracking.Visitor{UserAgent: "python-requests/2.32"})
		if got := w.lastOpens(); !slices.Equal(got, []string{"2026-11-22"}) {
			w.Fatalf("kept: %q", got)
		}
		w.pass(24 * time.Hour)
		w.open(r, of, phone)
		w.pass(13 * time.Hour) // 20:44 in UTC, and the next day in Tehran
		w.open(r, of, phone)
		w.open(r, of, phone)
		if got := w.lastOpens(); !slices.Equal(got, []string{"2026-11-24"}) {
			w.Errorf("kept: %q", got)
		}
		if n := len(w.hits()); n != 0 || w.facts("mail.opened") != 0 {
			w.Errorf("%d hits, %d facts, where only a day is kept", n, w.facts("mail.opened"))
		}
		w.click(r, of, 1, phone)
		if n := len(w.hits()); n != 1 {
			w.Errorf("%d hits of a click that is allowed", n)
		}
		w.write(func(tx *store.Tx) error {
			for s, want := range map[uuid.UUID]string{ana.ID: "2026-11-24", bob.ID: "0001-01-01", dina.ID: "0001-01-01"} {
				if day, err := tracking.LastOpenDate(tx, w.brand, s); err != nil || day.Format(time.DateOnly) != want {
					w.Errorf("last seen on %s, %v; want %s", day, err, want)
				}
			}
			return w.record(tx, ana, "opens", consent.Withdrawn)
		})
		w.pass(48 * time.Hour)
		w.open(r, of, phone)
		if got := w.lastOpens(); !slices.Equal(got, []string{"2026-11-24"}) {
			w.Errorf("an open after the withdrawal: %q", got)
		}
		w.write(func(tx *store.Tx) error { return tracking.ForgetLastOpen(tx, w.brand.ID, ana.ID) })
		if got := w.lastOpens(); len(got) != 0 {
			w.Errorf("still kept: %q", got)
		}
	})
}

// What all mails of a campaign share is counted by the hour, raw, machines beside,
// and only while the brand counts so; its links lead on in any case.
func TestSharedHitsAreCountedAndNobodysAre(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		m := w.mail(w.person("p"))
		link1 := link.Shared{Stream: w.source, Content: w.content, Language: "en", N: 1}
		hit := func() {
			w.Helper()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					if err := r.SharedOpen(ctx, w.source, phone); err != nil {
						w.Error(err)
					}
				})
				wg.Go(func() {
					if to, err := r.SharedClick(ctx, link1, tracking.Visitor{UserAgent: "curl/8"}); err != nil || to != "https://shop.example/1" {
						w.Errorf("%q, %v", to, err)
					}
				})
				wg.Go(func() { w.open(r, m, phone) }) // in the same groups
			}
			wg.Wait()
		}
		counted := func() (a tracking.Anonymous, rows int) {
			w.Helper()
			w.write(func(tx *store.Tx) (err error) {
				if err := tx.Raw("SELECT count(*) FROM anonymous_hits").Scan(&rows).Error; err != nil {
					return err
				}
				a, err = tracking.AnonymousOf(tx, w.brand.ID, w.source)
				return err
			})
			return a, rows
		}
		hit()
		if a, rows := counted(); rows != 0 || a != (tracking.Anonymous{}) {
			w.Errorf("counted though the brand does not: %+v", a)
		}
		yes := true
		w.set(brand.Change{AnonymousCounts: &yes})
		hit()
		w.pass(time.Hour)
		hit()
		if a, rows := counted(); rows != 4 || a != (tracking.Anonymous{Opens: 6, Clicks: 6, ClicksByMachines: 6}) {
			w.Errorf("%+v in %d rows", a, rows)
		}
		if n := len(w.hits()); n != 0 {
			w.Errorf("%d hits of somebody", n)
		}
		if _, err := r.SharedClick(ctx, link.Shared{Stream: w.source, Content: w.content, Language: "en", N: 99}, phone); !problem.Is(err, problem.NotFound) {
			w.Error("a link that is not there:", err)
		}
		if err := r.SharedOpen(ctx, uuid.New(), phone); err != nil {
			w.Error("a campaign that is gone:", err)
		}
		if to, err := tracking.SharedTarget(ctx, w.db, link1); err != nil || to != "https://shop.example/1" {
			w.Errorf("%q, %v", to, err)
		}
	})
}

// No rate has more above its line than below: what was fetched of mails that are
// not known to be sent, or were sent untracked, is in no figure.
func TestOnlyMailsThatCountAreCounted(t *testing.T) {
	each(t, func(w *world) {
		r := w.recorder()
		known, lost := w.mail(w.person("known", "opens", "clicks")), w.mail(w.person("lost", "opens", "clicks"))
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'uncertain' WHERE id = ?", lost.ID)
			return err
		})
		w.mail(w.person("private"))
		w.pass(time.Hour)
		for _, m := range []link.Message{known, lost} {
			w.open(r, m, phone)
			w.click(r, m, 1, phone)
		}
		f := tracking.Figures{Tracked: 1, Total: 1, Unique: 1, TotalHuman: 1, UniqueHuman: 1}
		if got := w.report(); got != (tracking.Report{Sent: 2, Opens: f, Clicks: f}) || got.Opens.Untracked(got.Sent) != 1 {
			w.Errorf("%+v", got)
		}
		if len(w.hits()) != 4 {
			w.Error("a hit is gone")
		}
	})
}
