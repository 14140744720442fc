package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/alarm"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
)

// sentNow counts mails as the outcomes of a sender do.
func (w *world) sentNow(b brand.Brand, n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return event.Add(tx, []event.Tally{{BrandID: b.ID, At: tx.Now(), Kind: event.MailSent, Source: string(delivery.Marketing), N: n}})
	})
}

// leave has people take their permission back by the link in a mail.
func (w *world) leave(b brand.Brand, t consent.Topic, people []subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for _, s := range people {
			if _, err := consent.Withdraw(tx, b, s.ID, []uuid.UUID{t.ID}, consent.MethodOneClick, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) people(n int, prefix string) (all []subscriber.Subscriber) {
	w.Helper()
	for i := range n {
		all = append(all, w.person(w.brand, w.topic, fmt.Sprintf("%s%d@example.org", prefix, i), consent.Requested, consent.Given))
	}
	return all
}

func (w *world) watch() {
	w.Helper()
	w.must(event.Fold(w.Context(), w.db, tracking.Fold))
	w.must(alarm.Watch(w.Context(), w.db))
}

// From people who leave to the alarm on the overview, who takes it on, and its end.
func TestAnAlarmThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		people := w.people(40, "p")
		w.sentNow(w.brand, 1000)
		b := w.in(email)
		b.mustShow(overview, "Nothing needs a decision now", "No alarm is open")
		b.mustShow(overview+"/alarms", "Everything is as usual", "How an alarm comes about")
		live := b.stream(liveOf(b.mustShow(overview + "/alarms")))
		if got := next(live, quiet); got != "-" {
			w.Fatalf("nothing happened, and %q came", got)
		}
		w.leave(w.brand, w.topic, people)
		w.watch()
		if got := next(live, soon); got != "change" {
			w.Fatalf("an alarm was told as %q", got)
		}
		b.mustShow(overview, "One thing needs a decision now", "More people than usual take their permission back", "40 cases for 1,000 mails within an hour: 4.0% (between 3.0% and 5.4%)", `href="/admin/b/baharan/alarms"`)
		page := b.mustShow(overview+"/alarms", "One alarm is open.", "There is no past yet", "Open the last mail that went out", `href="/admin/b/baharan/campaigns"`, "I am looking into it").body
		b.mustShow(overview+"/alarms?lang=fa", "یک هشدار باز است.", "۴۰ مورد در برابر ۱٬۰۰۰ نامه در یک ساعت: \u061c۴٫۰٪ (میان \u061c۳٫۰٪ و \u061c۵٫۴٪)", "من پیگیری می‌کنم")

		w.role(w.newUser("reza@baharan.example", "Reza", "en"), w.brand, account.Reader)
		reader := w.in("reza@baharan.example")
		if got := reader.mustShow(overview, "More people than usual take their permission back"); strings.Contains(got.body, "/alarms") {
			w.Error("a reader is led to a page that is not theirs")
		}
		_, form, _ := strings.Cut(page, `action="`+overview+`/alarms/`)
		id, _, _ := strings.Cut(form, "/")
		to := overview + "/alarms/" + id + "/acknowledge"
		sheet := url.Values{"page": {field(form, "page")}, "once": {field(form, "once")}}
		if got := reader.submit(to, sheet); got.status != http.StatusForbidden {
			w.Errorf("a reader takes it on: %d", got.status)
		}
		w.role(w.mina, w.marble, account.Owner)
		if got := b.submit("/admin/b/marble/alarms/"+id+"/acknowledge", url.Values{"page": {"/admin/b/marble/alarms"}}); got.status != http.StatusNotFound {
			w.Errorf("at another brand: %d", got.status)
		}
		for range 2 { // a double click
			if got := b.submit(to, sheet); got.status != http.StatusSeeOther || got.location != overview+"/alarms?did=alarm.acknowledge" {
				w.Fatalf("taken on: %d to %s\n%s", got.status, got.location, got.body)
			}
		}
		taken := b.mustShow(overview+"/alarms?did=alarm.acknowledge", "The alarm is yours now.", "taken on", "<bdi>Mina</bdi>").body
		if strings.Contains(taken, "I am looking into it") {
			w.Error("it can be taken on twice")
		}
		b.mustShow(overview, "Nothing needs a decision now")
		b.mustShow(overview+"/log", "Took on the alarm")
		w.pass(25 * time.Hour)
		w.watch()
		b = w.in(email)
		b.mustShow(overview+"/alarms", "Everything is as usual", "Alarms that are over", "<bdi>Mina</bdi>")
		if theirs := b.mustShow("/admin/b/marble/alarms"); strings.Contains(theirs.body, "Alarms that are over") {
			w.Error("another brand has an alarm")
		}
	})
}

// The overview says what waits, names it, and leads there.
func TestWhatNeedsADecision(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		b.mustShow(overview, "One thing needs a decision now", "Sending has not been tried yet.")
		page := b.makeCampaign()
		b.planAt(page, "when=now")
		w.pass(time.Minute)
		w.work(page)
		w.pass(time.Hour)
		w.work(page)
		b = w.in(email)
		b.mustDo(page, "pause")
		w.sentNow(w.brand, 10)
		b.mustShow(overview, "The campaign “Autumn &lt;letter&gt;” has been paused since", "3 people still wait for it.", `href="`+page+`"`)
		w.settle(page, delivery.Uncertain, "no answer after the mail was handed over", 1)
		h := overview + "?for=7"
		for end := time.Now().Add(10 * time.Second); !strings.Contains(b.get(h).body, "Of one mail of the last thirty days nobody knows") && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		}
		b.mustShow(h, "2 things need a decision now", "Of one mail of the last thirty days nobody knows whether it arrived.")
		b.mustDo(page, "resume")
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE streams SET paused_at = ?, paused_for = ? WHERE id = ?", tx.Now(), delivery.BreakerComplaints, campaignID(page))
			return err
		})
		b.mustShow(h, "was stopped by a safeguard: too many reports as spam.", "2 mails of it wait")
		if got := b.get(overview + "?for=nonsense"); got.status != http.StatusOK || !strings.Contains(got.body, "The last 30 days") {
			w.Errorf("a time that there is not: %d", got.status)
		}
	})
}

// The numbers of the pictures are those of what happened, on the brand's days
// and in the reader's calendar, and the rates are of the same mails.
func TestThePicturesTellWhatHappened(t *testing.T) {
	each(t, func(w *world) {
		h := house{Deps: Deps{DB: w.db}}
		d := func(lang string) *desk { return &desk{h: &h, l: i18n.For(lang), brand: w.brand} }
		// Midday of a day in Tehran, so that the test may take minutes.
		now := w.db.Now().In(w.brand.Location())
		w.pass(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, now.Location()).Sub(now))
		w.people(5, "old")
		w.pass(3 * 24 * time.Hour)
		left := w.people(7, "new")[:2]
		w.leave(w.brand, w.topic, left)
		var opens consent.Topic
		w.write(func(tx *store.Tx) (err error) { opens, _, err = consent.TrackingTopics(tx, w.brand.ID); return err })
		w.person(w.brand, opens, "watched@example.org", consent.Given) // is no permission to write
		w.sentNow(w.brand, 120)
		for _, folded := range []bool{false, true} {
			if folded {
				w.pass(2 * time.Hour)
				w.must(event.Fold(w.Context(), w.db, tracking.Fold))
			}
			for window, want := range map[string]struct {
				bins, old int // how many, and which of them has the older people; -1: the newest
			}{"7": {7, 3}, "30": {30, 26}, "90": {13, -1}, "365": {12, -1}} {
				bins := d("en").bins(window)
				if len(bins) != want.bins {
					w.Fatalf("%s: %d bins", window, len(bins))
				}
				for i, b := range bins {
					if i > 0 && !b.From.Equal(bins[i-1].To) {
						w.Errorf("%s: bin %d begins at %s, the one before ends at %s", window, i, b.From, bins[i-1].To)
					}
				}
				s, err := d("en").history(w.Context(), window, bins)
				w.must(err)
				last := len(bins) - 1
				if s.all[byForm] != 12 || s.all[taken] != 2 || s.all[sent] != 120 || s.n[taken][last] != 2 || s.n[sent][last] != 120 || s.by[w.topic.ID].Given != 12 || s.by[w.topic.ID].Asked != 12 {
					w.Errorf("%s, folded %v: %+v", window, folded, s.all)
				}
				if want.old >= 0 && (s.n[byForm][want.old] != 5 || s.n[byForm][last] != 7) {
					w.Errorf("%s, folded %v: by day %v", window, folded, s.n[byForm])
				}
			}
		}
		fa := d("fa").bins("365")
		for _, b := range fa {
			if !strings.HasPrefix(i18n.For("fa").Date(b.From, w.brand.Location()), "۱ ") {
				w.Errorf("a month of the Jalali calendar begins on %s", i18n.For("fa").Date(b.From, w.brand.Location()))
			}
		}
		if s := d("fa"); s.bins("7")[6].short != i18n.For("fa").ShortDate(w.db.Now(), w.brand.Location()) {
			w.Errorf("today is %q on the axis", s.bins("7")[6].short)
		}
	})
}

func TestTicks(t *testing.T) {
	for most, want := range map[int64]string{0: "[0 1 2]", 1: "[0 1 2]", 3: "[0 1 2 3]", 7: "[0 2 4 6 8]", 48: "[0 10 20 30 40 50]", 118204: "[0 50000 100000 150000]"} {
		if got := fmt.Sprint(ticks(most)); got != want {
			t.Errorf("to %d: %s, want %s", most, got, want)
		}
	}
}

// The overview draws itself from its tables, in both languages, and leaves the
// tables to those who need them. With ASSENT_PICTURES it leaves pictures.
func TestNumbersPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.crowd()
	w.pass(24 * time.Hour)
	people := w.people(70, "p")
	w.sentNow(w.brand, 400)
	w.pass(24 * time.Hour)
	w.sentNow(w.brand, 1000)
	w.write(func(tx *store.Tx) error {
		return event.Add(tx, []event.Tally{{BrandID: w.brand.ID, At: tx.Now(), Kind: event.SentWatched, Source: "open", N: 610}, {BrandID: w.brand.ID, At: tx.Now(), Kind: event.SentThen, Source: "open", N: 204},
			{BrandID: w.brand.ID, At: tx.Now(), Kind: event.FirstHit, Source: "open", N: 204}, {BrandID: w.brand.ID, At: tx.Now(), Kind: event.FirstHit, Source: "click", N: 41}})
	})
	w.leave(w.brand, w.topic, people)
	w.watch()
	w.role(w.mina, w.marble, account.Owner)
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		p.open(overview + "?lang=" + lang)
		p.until("document.querySelectorAll('.plot-room canvas').length === 3")
		for name, path := range map[string]string{"numbers": overview + "?lang=", "numbers-year": overview + "?for=365&lang=", "alarms": overview + "/alarms?lang=", "no-alarms": "/admin/b/marble/alarms?lang="} {
			p.sound(name, lang, path+lang)
		}
		p.open(overview + "?for=7&lang=" + lang)
		p.until("document.querySelectorAll('.plot-room canvas').length === 3")
		if got := eval[string](p, "[...document.querySelectorAll('#plot-sending tbody tr:last-child td')].map(c => c.dataset.n).join()"); got != "1000,204,41" {
			t.Errorf("the table of what was sent ends with %s", got)
		}
		p.do(clickAt("#plot-growth summary"))
		p.until("document.querySelector('#plot-growth details').open")
		if lang == "fa" {
			continue
		}
		w.person(w.brand, w.topic, "late@example.org", consent.Requested, consent.Given)
		p.until("document.querySelector('#plot-growth tbody tr:last-child').textContent.includes('1') && document.querySelector('#plot-growth details').open && document.querySelectorAll('.plot-room canvas').length === 3")
	}
}

func clickAt(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(selector) }

// From sign-ups that no longer come to the alarm, with what to do, and its end.
func TestSilenceThroughThePages(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	signUp := func(n int) {
		var facts []event.Event
		for range n {
			facts = append(facts, event.Event{BrandID: w.brand.ID, Kind: event.SignupAsked})
		}
		w.write(func(tx *store.Tx) error { return event.RecordAll(tx, facts) })
	}
	opened := func(n int64) {
		w.write(func(tx *store.Tx) error {
			return event.Add(tx, []event.Tally{{BrandID: w.brand.ID, At: tx.Now(), Kind: event.SentWatched, Source: "open", N: 1000},
				{BrandID: w.brand.ID, At: tx.Now(), Kind: event.SentThen, Source: "open", N: n}})
		})
	}
	for range 33 {
		signUp(40)
		opened(300)
		w.pass(24 * time.Hour)
	}
	opened(40)
	w.pass(26 * time.Hour)
	w.watch()
	b := w.in(email)
	b.mustShow(overview, "Nobody signs up any more", "Not one sign-up within 24 hours", "Far fewer people than usual open the mail")
	b.mustShow(overview+"/alarms", "2 alarms are open.", "sign-ups in the thirty days before", "40 of 1,000 mails that may be observed were opened within a day: 4.0%", "Open the page that your form stands on", `href="/admin/b/baharan/forms"`,
		"Silence is judged too.", `<a class="help" href="/help/complaints#alarms"`)
	b.mustShow(overview+"/alarms?lang=fa", "دیگر کسی ثبت‌نام نمی‌کند", "حتی یک ثبت‌نام در ۲۴ ساعت نیامد", "بسیار کمتر از همیشه نامه را باز می‌کنند")
	signUp(1)
	opened(300)
	w.watch()
	b.mustShow(overview+"/alarms", "One alarm is open.", "Far fewer people than usual open the mail")
	w.pass(26 * time.Hour) // until these mails can be judged
	signUp(1)
	w.watch()
	b = w.in(email)
	b.mustShow(overview+"/alarms", "Everything is as usual", "Alarms that are over", "Nobody signs up any more")
}
