package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

const campaignsPage = overview + "/campaigns"

// letterFields are a campaign as the form sends it.
func (w *world) letterFields(more ...string) []string {
	return append([]string{"name", "Autumn <letter>", "topic", w.topic.ID.String(), "content.en.subject", "Hello {{ subscriber.first_name }}",
		"content.en.preheader", "Of autumn", "content.en.html", "<p>Dear {{ subscriber.name }}</p>", "content.fa.subject", "سلام", "content.fa.html", "<p>سلام {{ subscriber.name }}</p>"}, more...)
}

// makeCampaign makes a draft through the pages, and gives its address.
func (b *browser) makeCampaign(more ...string) string {
	b.Helper()
	got := b.submit(campaignsPage+"/new", b.fill(campaignsPage+"/new", b.letterFields(more...)...))
	if got.status != http.StatusSeeOther || !strings.HasSuffix(got.location, "?did=campaign.create") {
		b.Fatalf("made: %d to %s\n%s", got.status, got.location, got.body)
	}
	return strings.TrimSuffix(got.location, "?did=campaign.create")
}

// deed sends the form of a button on a campaign's page.
func (b *browser) deed(page, what string) answer {
	b.Helper()
	body := b.mustShow(page, `action="`+page+`/`+what+`"`).body
	_, form, _ := strings.Cut(body, `action="`+page+`/`+what+`"`)
	return b.submit(page+"/"+what, url.Values{"page": {field(form, "page")}, "once": {field(form, "once")}})
}

func (b *browser) mustDo(page, what string) {
	b.Helper()
	if got := b.deed(page, what); got.status != http.StatusSeeOther || got.location != page+"?did=campaign."+what {
		b.Fatalf("%s: %d to %s\n%s", what, got.status, got.location, got.body)
	}
}

// planAt goes through the page that asks, and schedules.
func (b *browser) planAt(page, when string) {
	b.Helper()
	ask := page + "/schedule?" + when
	form := b.fill(ask)
	values, err := url.ParseQuery(when)
	b.must(err)
	for name := range values {
		form.Set(name, values.Get(name))
	}
	if got := b.submit(page+"/schedule", form); got.status != http.StatusSeeOther || got.location != page+"?did=campaign.schedule" {
		b.Fatalf("scheduled: %d to %s\n%s", got.status, got.location, got.body)
	}
}

func campaignID(page string) uuid.UUID {
	return uuid.MustParse(page[strings.LastIndexByte(page, '/')+1:])
}

// work does what the worker would.
func (w *world) work(page string) {
	w.Helper()
	_, err := campaign.Work(w.Context(), w.db, campaignID(page).String())
	w.must(err)
}

// settle gives all that is queued of a campaign an end.
func (w *world) settle(page string, state delivery.State, reason string, most int) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := tx.Run(`UPDATE messages SET state = ?, reason = ?, settled_at = ? WHERE id IN
			(SELECT id FROM messages WHERE stream_id = ? AND state = 'queued' ORDER BY id LIMIT ?)`, state, reason, tx.Now(), campaignID(page), most)
		if err != nil {
			return err
		}
		_, err = tx.Run("DELETE FROM outbox WHERE id IN (SELECT id FROM messages WHERE state <> 'queued')")
		return err
	})
}

// From the first word to the last mail: made once, looked at, scheduled, called
// back, scheduled again, paused, and told truly at the end.
func TestACampaignThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		b.mustShow(campaignsPage, "No campaign yet", "New campaign")
		bad := b.submit(campaignsPage+"/new", b.fill(campaignsPage+"/new", w.letterFields("name", "", "content.en.html", "{% if %}", "rate_per_hour", "-1")...))
		if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, `href="#f-name"`) || !strings.Contains(bad.body, "Of autumn") {
			w.Fatalf("a campaign without a name: %d\n%s", bad.status, bad.body)
		}
		if bad = b.submit(campaignsPage+"/new", b.fill(campaignsPage+"/new", "name", "x", "topic", w.topic.ID.String(), "content.fa.subject", "س", "content.fa.html", "<p>س</p>")); !strings.Contains(bad.body, `href="#f-content.en.subject"`) {
			w.Errorf("no text in the brand's own language: %d\n%s", bad.status, bad.body)
		}
		page := b.makeCampaign("rate_per_hour", "۵۰۰۰")
		b.mustShow(page, "3 people would get it now.", "asked, never confirmed", "permission taken back", "address stopped", "Autumn &lt;letter&gt;", "Hello Sara", "5,000 mails an hour", "Send a test")
		preview := b.mustShow(page+"/preview?in=fa", "سلام")
		if csp := preview.header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") {
			w.Errorf("the preview is not fenced in: %q", csp)
		}
		if got := b.get(page + "/preview?in=de"); got.status != http.StatusNotFound {
			w.Errorf("a preview in a language there is no text in: %d", got.status)
		}

		ask := page + "/schedule?when=later&day=2027-01-05&time=09:30"
		b.mustShow(ask, "3 people will get this on 5 January 2027 at 09:30.")
		for _, wrong := range []string{"day=2020-01-05&time=09:30", "day=2027-02-30&time=09:30", "day=2027-01-05&time=25:00", ""} {
			if got := b.get(page + "/schedule?when=later&" + wrong); got.status != http.StatusUnprocessableEntity || strings.Contains(got.body, "Schedule it") {
				w.Errorf("scheduled for %q: %d", wrong, got.status)
			}
		}
		b.planAt(page, "when=later&day=۱۴۰۵/۱۰/۱۵&time=۰۹:۳۰") // 5 January 2027
		b.mustShow(page+"?did=campaign.schedule", "3 people will get this: 5 January 2027, 09:30.", "You can still call it back.")
		if got := b.submit(page+"/edit", url.Values{"page": {page + "/edit"}, "name": {"other"}}); got.status == http.StatusSeeOther {
			w.Error("what is scheduled was changed")
		}
		b.mustDo(page, "recall")
		b.mustShow(page, "3 people would get it now.")

		b.planAt(page, "when=now")
		w.work(page)
		b.mustShow(page, "0 of 3 are sent.", "Until then it can be called back whole.", `action="`+page+`/recall"`)
		w.pass(2 * time.Minute)
		if got := b.get(page); strings.Contains(got.body, page+"/recall") {
			w.Error("it is offered to call back what may have begun")
		}
		late := b.submit(page+"/recall", url.Values{"page": {page + "/recall"}})
		if late.status != http.StatusConflict || !strings.Contains(late.body, "The time for calling this campaign back is over") {
			w.Errorf("called back too late: %d\n%s", late.status, late.body)
		}
		b.mustDo(page, "pause")
		b.mustShow(page, "Stopped at 0 of 3.", "Nothing more goes out until you let it go on.")
		b.mustDo(page, "resume")
		w.settle(page, delivery.Sent, "", 1)
		w.settle(page, delivery.Skipped, "consent-withdrawn", 1)
		w.settle(page, delivery.Failed, "hard bounce", 1)
		w.work(page)
		b.mustShow(page, "Sent to 1 of 3 people.", "33.3%", "1 of 3", "Left out, and why", "permission taken back", "there is no such mailbox")
		b.mustShow(campaignsPage, "1 of 3", "Letter of Baharan")
		log := b.mustShow(overview+"/log", "Made the campaign", "Scheduled the campaign", "Called the campaign back", "Paused the campaign", "Let the campaign go on").body
		if n := strings.Count(log, "Scheduled the campaign"); n != 2 {
			w.Errorf("%d times scheduled in the log", n)
		}
	})
}

// Nobody overwrites another's text unseen, and nobody sends what they have not seen.
// A circuit breaker may stop a campaign twice; whoever looked into it lets it go
// on twice, and it does.
func TestACampaignThatStoppedTwiceGoesOnTwice(t *testing.T) {
	each(t, func(w *world) {
		w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		b := w.in(email)
		page := b.makeCampaign(w.letterFields()...)
		b.planAt(page, "when=now")
		w.work(page)
		w.pass(2 * time.Minute)
		for range 2 {
			w.pass(time.Minute)
			w.write(func(tx *store.Tx) error { return delivery.PauseStream(tx, w.brand.ID, campaignID(page)) })
			b.mustDo(page, "resume")
			w.write(func(tx *store.Tx) error {
				s, err := delivery.FindStream(tx, w.brand.ID, campaignID(page))
				if s.PausedAt != nil {
					w.Error("the stream stands still, and the page says that it goes on")
				}
				return err
			})
		}
	})
}

func TestCampaignsOfTwoPeople(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeCampaign()
		edit := page + "/edit"
		mine, theirs := b.fill(edit, w.letterFields("name", "Mine")...), b.fill(edit, w.letterFields("name", "Theirs", "content.en.subject", "Their subject")...)
		plan := b.fill(page + "/schedule?when=now")
		plan.Set("when", "now")
		w.pass(time.Second)
		if got := b.submit(edit, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		asked := b.submit(edit, mine)
		if asked.status != http.StatusConflict || !strings.Contains(asked.body, "Their subject") || !strings.Contains(asked.body, `value="Mine"`) {
			w.Fatalf("an edit that would overwrite another's unseen: %d\n%s", asked.status, asked.body)
		}
		blind := b.submit(page+"/schedule", plan)
		if blind.status != http.StatusConflict || !strings.Contains(blind.body, "Somebody changed this campaign after you looked at it.") {
			w.Fatalf("scheduled what was not seen: %d\n%s", blind.status, blind.body)
		}
		mine.Set("version", field(asked.body, "version"))
		mine.Set("once", field(asked.body, "once"))
		for range 2 { // a double click
			if got := b.submit(edit, mine); got.status != http.StatusSeeOther {
				w.Fatalf("saved after having seen: %d\n%s", got.status, got.body)
			}
		}
		b.mustShow(page, "Mine")
		b.mustShow(edit, `value="Mine"`, "Dear {{ subscriber.name }}")
	})
}

// A reader looks; to another brand there is nothing; a test goes to the team alone.
func TestWhoMaySendCampaigns(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		page := b.makeCampaign()
		reader := w.in2("reader@baharan.example", account.Reader)
		shown := reader.mustShow(page, "would get it now", "How it looks").body
		for _, not := range []string{"/schedule", "/edit", "/test"} {
			if strings.Contains(shown, page+not) {
				w.Errorf("a reader is offered %s", not)
			}
		}
		if strings.Contains(reader.mustShow(campaignsPage, "Autumn").body, "New campaign") {
			w.Error("a reader is offered to make a campaign")
		}
		for _, path := range []string{"/edit", "/test", "/schedule", "/cancel", "/recall"} {
			if got := reader.submit(page+path, url.Values{"page": {page + path}}); got.status != http.StatusForbidden {
				w.Errorf("a reader at %s: %d", path, got.status)
			}
		}
		w.role(w.mina, w.marble, account.Owner)
		other := strings.Replace(page, "/baharan/", "/marble/", 1)
		for _, path := range []string{"", "/edit", "/schedule?when=now", "/preview?in=en", "/live"} {
			if got := b.get(other + path); got.status != http.StatusNotFound {
				w.Errorf("another brand's campaign%s: %d", path, got.status)
			}
		}
		for _, path := range []string{"/edit", "/test", "/schedule", "/recall", "/pause", "/resume", "/cancel"} {
			if got := b.submit(other+path, url.Values{"page": {other + path}}); got.status != http.StatusNotFound {
				w.Errorf("another brand's campaign, sent to %s: %d", path, got.status)
			}
		}
		tests := func() (n int64) {
			w.write(func(tx *store.Tx) error {
				return tx.Raw("SELECT count(*) FROM messages WHERE kind = 'test'").Scan(&n).Error
			})
			return n
		}
		to := func(address string) answer {
			form := url.Values{"page": {page + "/test"}, "to": {address}, "language": {"fa"}}
			return b.submit(page+"/test", form)
		}
		if got := to("sara@example.org, " + email); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "A test goes only to members") || tests() != 0 {
			w.Errorf("a test to a stranger: %d, %d queued\n%s", got.status, tests(), got.body)
		}
		if got := to(email + "، reader@baharan.example"); got.status != http.StatusSeeOther || tests() != 2 {
			w.Errorf("a test to the team: %d, %d queued\n%s", got.status, tests(), got.body)
		}
	})
}

// The people of a campaign are those of its tag whom the rule allows.
func TestAudienceOfATag(t *testing.T) {
	each(t, func(w *world) {
		vip := w.person(w.brand, w.topic, "vip@example.org", consent.Given)
		w.person(w.brand, w.topic, "plain@example.org", consent.Given)
		w.write(func(tx *store.Tx) error { return subscriber.AddTags(tx, w.brand.ID, vip.ID, "vip") })
		b := w.in(email)
		page := b.makeCampaign("tag", "vip")
		b.mustShow(page, "One person would get it now.", "allow it, but do not have the tag")
		b.planAt(page, "when=now")
		w.work(page)
		b.mustShow(page, "0 of one is sent.")
	})
}

// What a draft is looked at for is told with where to mend it, and what surely
// makes it wrong cannot be scheduled.
func TestADraftIsLookedAtBeforeItGoes(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.makeCampaign("content.en.subject", strings.Repeat("a", 71), "content.en.preheader", "", "rate_per_hour", "1",
			"content.en.html", `<p>Dear {{ subscriber.shoe }} <a href="http://localhost/x">here</a> <a href="www.example.org">there</a><img src="https://example.org/a.png">`+strings.Repeat("autumn ", 15_000)+"</p>")
		told := []string{"71 characters", "Gmail cuts it off", "<small>\u2068shoe\u2069", "\u2068www.example.org\u2069", "your own network", "no text for those who do not see it", "A link in \u2068English\u2069 leads nowhere.", "There is no line beside the subject in \u2068English\u2069", "takes about 3 hours",
			page + "/edit#f-content.en.subject", page + "/edit#f-content.en.html"}
		b.mustShow(page, told...)
		b.mustShow(page+"/schedule?when=now", append(told, "Schedule it")...)
		reader := w.in2("reader@baharan.example", account.Reader).mustShow(page, "would get it now").body
		if strings.Contains(reader, "71 characters") {
			w.Error("a reader, who can mend nothing, is shown what is to be mended")
		}
		plain := b.makeCampaign("content.fa.subject", "", "content.fa.html", "")
		blind := b.fill(plain + "/schedule?when=now")
		w.write(func(tx *store.Tx) error {
			fa, all := "fa", []string{"en", "fa"}
			_, err := brand.Update(tx, w.brand.ID, brand.Change{Language: &fa, Languages: &all})
			return err
		})
		asked := b.mustShow(plain+"/schedule?when=now", "Something must be mended", "There is no text in \u2068Persian\u2069", "must be mended").body
		if strings.Contains(asked, "Schedule it") {
			w.Error("what must be mended can be scheduled")
		}
		blind.Set("when", "now")
		if got := b.submit(plain+"/schedule", blind); got.status != http.StatusConflict || !strings.Contains(got.body, "no text in the brand") {
			w.Errorf("scheduled what must be mended: %d\n%s", got.status, got.body)
		}
	})
}

// The list is cut into pages, the newest first.
func TestCampaignsByPages(t *testing.T) {
	each(t, func(w *world) {
		for range linesAtOnce + 1 {
			w.pass(time.Second)
			w.write(func(tx *store.Tx) error {
				_, err := campaign.Create(tx, w.brand, campaign.New{Name: "Letter", Topic: w.topic.ID, Texts: []delivery.Text{{Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}}})
				return err
			})
		}
		b := w.in(email)
		first := b.mustShow(campaignsPage, "Older").body
		_, rest, _ := strings.Cut(first, `class="btn" href="`)
		next, _, _ := strings.Cut(rest, `"`)
		second := b.mustShow(next, "To the beginning").body
		if a, z := strings.Count(first, "<bdi>Letter</bdi>"), strings.Count(second, "<bdi>Letter</bdi>"); a != linesAtOnce || z != 1 {
			w.Errorf("%d and %d on the pages", a, z)
		}
	})
}

// The page of a campaign counts on by itself, and a question that is open stays.
func TestACampaignIsWatchedLive(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.makeCampaign()
		b.planAt(page, "when=now")
		w.work(page)
		p := w.tab()
		p.signInByKeyboard(page)
		p.until("document.querySelector('.answer-text').textContent.includes('0 of 3')")
		w.settle(page, delivery.Sent, "", 2)
		p.until("document.querySelector('.answer-text').textContent.includes('2 of 3') && document.querySelector('.answer progress').value === 2")
		eval[bool](p, "document.getElementById('act-cancel').click() || true")
		p.until("document.getElementById('ask').open && document.getElementById('ask').innerText.includes('One')  || document.getElementById('ask').open && document.getElementById('ask').innerText.includes('one')")
		w.settle(page, delivery.Sent, "", 1)
		p.until("document.querySelector('.answer-text').textContent.includes('3 of 3')")
		eval[bool](p, "document.querySelector('#ask [value=yes]').click() || true")
		p.until("document.querySelector('.answer-text').textContent.includes('Called off')")
	})
}

// As TestPagesAreSound, for campaigns in the states that look different.
func TestCampaignPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	w.crowd()
	b := w.in(email)
	sent, sending, draft := b.makeCampaign("name", "Letter of November"), b.makeCampaign("name", "Books for the long night"), b.makeCampaign("name", "Autumn letter", "rate_per_hour", "5000")
	for _, page := range []string{sent, sending} {
		b.planAt(page, "when=now")
		w.work(page)
	}
	w.pass(2 * time.Minute)
	w.settle(sent, delivery.Sent, "", 1)
	w.settle(sent, delivery.Skipped, "consent-withdrawn", 1)
	w.settle(sent, delivery.Uncertain, "no answer after the mail was handed over", 1)
	w.settle(sending, delivery.Sent, "", 2)
	w.work(sent)
	w.write(func(tx *store.Tx) error { // as 1,200 mails would have left them
		var all []event.StreamTally
		for i, n := range []int64{700, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} {
			at := tx.Now().Add(time.Duration(i-20) * time.Hour)
			for kind, n := range map[string]int64{event.StreamSent: n, event.StreamOpened: 90 / int64(i+1), event.StreamClicked: 30 / int64(i+1), event.StreamLeft: int64(i % 2)} {
				all = append(all, event.StreamTally{BrandID: w.brand.ID, StreamID: campaignID(sent), At: at, Kind: kind, N: n})
			}
		}
		return event.AddStreams(tx, all)
	})
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"campaigns": campaignsPage + "?lang=", "no-campaigns": "/admin/b/marble/campaigns?lang=", "campaign-new": campaignsPage + "/new?lang=",
			"campaign-draft": draft + "?lang=", "campaign-edit": draft + "/edit?lang=", "campaign-schedule": draft + "/schedule?when=later&day=2027-01-05&time=09:30&lang=",
			"campaign-schedule-wrong": draft + "/schedule?when=later&lang=", "campaign-sending": sending + "?lang=", "campaign-sent": sent + "?did=campaign.resume&lang=", "campaign-days": sent + "?by=days&lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}

// What a campaign starts from stays beside it, and the next one is begun from it.
func TestABriefStaysAndACampaignIsCopied(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.makeCampaign("brief.audience", "Readers of <b>Rumi</b>", "brief.reason", "Nobody else has it signed.", "rate_per_hour", "5000")
		b.mustShow(page, "The brief", "Readers of &lt;b&gt;Rumi&lt;/b&gt;", "Nobody else has it signed.")
		if got := b.submit(campaignsPage+"/new", b.fill(campaignsPage+"/new", w.letterFields("brief.pledge", strings.Repeat("x", 1001))...)); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `href="#f-brief.pledge"`) {
			w.Errorf("a pledge of 1,001 characters: %d", got.status)
		}
		b.planAt(page, "when=later&day=2027-01-05&time=09:30")
		got := b.submit(page+"/copy", url.Values{"page": {page + "/copy"}})
		if got.status != http.StatusSeeOther || !strings.Contains(got.location, "/edit") || strings.Contains(got.location, page) {
			w.Fatalf("copied: %d to %s", got.status, got.location)
		}
		b.mustShow(got.location, "Autumn", "(copy)", "Readers of &lt;b&gt;Rumi&lt;/b&gt;", "Nothing is sent before you schedule it.", `value="5000"`)
		once := func() string {
			_, rest, _ := strings.Cut(b.get(page).body, page+`/copy"`)
			_, rest, _ = strings.Cut(rest, `name="once" value="`)
			v, _, _ := strings.Cut(rest, `"`)
			return v
		}
		first := once()
		w.pass(2 * time.Minute)
		if first == "" || first == once() {
			w.Errorf("a campaign can be copied once only: %q", first)
		}
		if again := b.submit(page+"/pace", url.Values{"page": {page + "/pace"}, "rate_per_hour": {"many"}}); again.status != http.StatusUnprocessableEntity || !strings.Contains(again.body, "whole number") {
			w.Errorf("a pace that is no number: %d", again.status)
		}
		b.press(page+"/pace", "rate_per_hour", "۱۲۰")
		b.mustShow(page, "120 mails an hour", "Readers of")
		w.role(w.mina, w.marble, account.Owner)
		other := strings.Replace(page, "/baharan/", "/marble/", 1)
		for _, path := range []string{"/copy", "/pace"} {
			if got := b.submit(other+path, url.Values{"page": {other + path}, "rate_per_hour": {"1"}}); got.status != http.StatusNotFound {
				w.Errorf("another brand's campaign, sent to %s: %d", path, got.status)
			}
		}
	})
}

// A mail is shown as somebody of the brand would get it, to whoever may see
// people; another brand's people lend it nothing.
func TestAMailAsItsReaderGetsIt(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.makeCampaign()
		name, fa := "Shirin", "fa"
		shirin := w.person(w.brand, w.topic, "shirin@example.org", consent.Requested, consent.Given)
		w.write(func(tx *store.Tx) error {
			_, err := subscriber.Update(tx, w.brand, shirin.ID, subscriber.Change{Name: &name, Language: &fa})
			return err
		})
		b.mustShow(page+"?as=shirin@example.org", "with the values of", "Shirin", "as="+shirin.ID.String(), "in=fa", `<option value="shirin@example.org">`)
		b.mustShow(page+"/preview?in=fa&as="+shirin.ID.String(), "Shirin")
		b.mustShow(page+"?as=nobody@example.org", "Nobody here has this address")
		b2, t2 := w.newBrand("granite", "Granite")
		theirs := w.person(b2, t2, "theirs@example.org", consent.Requested, consent.Given)
		b.mustShow(page+"?as=theirs@example.org", "Nobody here has this address")
		if got := b.get(page + "/preview?in=fa&as=" + theirs.ID.String()); got.status != http.StatusNotFound {
			w.Errorf("another brand's person: %d", got.status)
		}
		rita := w.newUser("rita@example.org", "Rita", "en")
		w.role(rita, w.brand, account.Reader)
		shown := w.in("rita@example.org").mustShow(page+"?as=shirin@example.org", "How it looks").body
		if strings.Contains(shown, "Shirin") || strings.Contains(shown, "readers") {
			w.Error("who may see no people sees one in a preview")
		}
		if got := w.in("rita@example.org").get(page + "/preview?in=fa&as=" + shirin.ID.String()); strings.Contains(got.body, "Shirin") {
			w.Error("who may see no people sees one in the mail")
		}
	})
}

// Whoever does not know an address by heart picks the reader by a part of a name.
func TestTheReaderOfAPreviewIsPicked(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	name := "Shirin Azad"
	shirin := w.person(w.brand, w.topic, "shirin@example.org", consent.Requested, consent.Given)
	w.write(func(tx *store.Tx) error {
		_, err := subscriber.Update(tx, w.brand, shirin.ID, subscriber.Change{Name: &name})
		return err
	})
	b := w.in(email)
	page := b.makeCampaign()
	p := w.tab()
	p.signInByKeyboard(page)
	p.until("document.querySelector('#f-as[role=combobox]')")
	p.do(chromedp.SendKeys("#f-as", "Azad"))
	p.until("[...document.querySelectorAll('.picks [role=option]')].some(o => o.textContent.includes('Shirin Azad'))")
	p.do(chromedp.SendKeys("#f-as", kb.ArrowDown), chromedp.SendKeys("#f-as", kb.Enter))
	p.until("document.getElementById('f-as').value === 'shirin@example.org'")
	eval[bool](p, "document.getElementById('f-as')?.form.requestSubmit() || true")
	p.until("location.search.includes('as=shirin') && document.getElementById('h-as').textContent.includes('Shirin Azad')")
}

// Who would get it is told as topic and tag are chosen, and on a draft's page as
// people come and go.
func TestTheAudienceIsCountedLive(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.crowd()
	vip := w.person(w.brand, w.topic, "vip@example.org", consent.Requested, consent.Given)
	w.write(func(tx *store.Tx) error { return subscriber.AddTags(tx, w.brand.ID, vip.ID, "vip") })
	b := w.in(email)
	b.mustShow(campaignsPage+"/new", "4 people would get it now.")
	b.mustShow(campaignsPage+"/new?topic="+w.topic.ID.String()+"&tag=vip", "One person would get it now.", "allow it, but do not have the tag")
	b.mustShow(campaignsPage+"/new?topic=nonsense&tag="+strings.Repeat("x", 5000), "0 people would get it now.")
	p := w.tab()
	p.signInByKeyboard(campaignsPage + "/new")
	p.until("document.getElementById('who').textContent.includes('4 people')")
	p.do(chromedp.SendKeys("#f-name", "Kept"), chromedp.SendKeys("#f-tag", "vip"))
	p.until("document.getElementById('who').textContent.includes('One person') && document.getElementById('f-name').value === 'Kept' && document.getElementById('f-tag').value === 'vip'")
	page := b.makeCampaign()
	p.open(page)
	p.until("document.querySelector('.answer-text').textContent.includes('4 people')")
	w.person(w.brand, w.topic, "late@example.org", consent.Requested, consent.Given)
	p.until("document.querySelector('.answer-text').textContent.includes('5 people')")
}
