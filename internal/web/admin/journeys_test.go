package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
	"golang.org/x/net/html"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

const (
	sequencesPage = overview + "/sequences"
	offersPage    = overview + "/offers"
)

// join has whoever confirms a topic join its sequences, as the program does.
func (w *world) join() {
	for _, kind := range []string{event.ConsentGiven, event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated, event.ConsentRefused} {
		event.ListenAll(w.db, kind, sequence.OnConsent)
	}
}

// advance does what the worker would.
func (w *world) advance() {
	w.Helper()
	_, _, err := sequence.Advance(w.Context(), w.db)
	w.must(err)
}

// typed are the fields of the form of a page that goes to an address, as they stand there.
func (b *browser) typed(body, action string) url.Values {
	b.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	b.must(err)
	v := url.Values{}
	var walk func(n *html.Node, in bool)
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	walk = func(n *html.Node, in bool) {
		if n.Type == html.ElementNode {
			switch n.Data {
			case "form":
				in = attr(n, "action") == action
			case "input":
				if kind := attr(n, "type"); in && (kind != "radio" && kind != "checkbox" || strings.Contains(fmt.Sprint(n.Attr), "checked")) {
					v.Add(attr(n, "name"), attr(n, "value"))
				}
			case "textarea":
				if in && n.FirstChild != nil {
					v.Add(attr(n, "name"), n.FirstChild.Data)
				} else if in {
					v.Add(attr(n, "name"), "")
				}
			case "select":
				if in {
					v.Add(attr(n, "name"), chosen(n, attr))
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, in)
		}
	}
	walk(doc, false)
	return v
}

func chosen(n *html.Node, attr func(*html.Node, string) string) (value string) {
	for o := n.FirstChild; o != nil; o = o.NextSibling {
		if o.Type == html.ElementNode && (value == "" || strings.Contains(fmt.Sprint(o.Attr), "selected")) {
			value = attr(o, "value")
		}
	}
	return value
}

// welcome makes the sequence of the template through the pages, and gives its address.
func (b *browser) welcome() string {
	b.Helper()
	form := b.typed(b.mustShow(sequencesPage+"/new?from=welcome").body, sequencesPage+"/new")
	got := b.submit(sequencesPage+"/new", form)
	if got.status != http.StatusSeeOther {
		b.Fatalf("made: %d\n%s", got.status, got.body)
	}
	return strings.TrimSuffix(got.location, "?did=sequence.create")
}

// push sends the form of a button, and goes on to where it was done.
func (b *browser) push(page, what, did string) {
	b.Helper()
	if got := b.deed(page, what); got.status != http.StatusSeeOther || got.location != page+"?did="+did {
		b.Fatalf("%s: %d to %s\n%s", what, got.status, got.location, got.body)
	}
}

// From the template to the last letter: rearranged without saving, made once,
// started, somebody confirms and is seen, moves on, another leaves.
func TestASequenceThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		w.join()
		w.person(w.brand, w.topic, "before@example.org", consent.Given)
		b := w.in(email)
		b.mustShow(sequencesPage, "No sequence yet", "New sequence")
		b.mustShow(sequencesPage+"/new", "Welcome in three letters", "from=welcome")
		form := b.typed(b.mustShow(sequencesPage+"/new?from=welcome", "Letter 3", "خوش آمدید").body, sequencesPage+"/new")

		// Buttons that rearrange save nothing, and lose nothing that was typed.
		form.Set("steps.0.content.en.subject", "First <of> all")
		form.Set("do", "add")
		added := b.submit(sequencesPage+"/new", form)
		if added.status != http.StatusOK || !strings.Contains(added.body, "Letter 4") || !strings.Contains(added.body, "First &lt;of&gt; all") {
			w.Fatalf("a letter added: %d\n%s", added.status, added.body)
		}
		form = b.typed(added.body, sequencesPage+"/new")
		form.Set("do", "up-1")
		form = b.typed(b.submit(sequencesPage+"/new", form).body, sequencesPage+"/new")
		if got := form.Get("steps.1.content.en.subject"); got != "First <of> all" {
			w.Errorf("moved up, the second letter is %q", got)
		}
		form.Set("do", "up-1")
		form = b.typed(b.submit(sequencesPage+"/new", form).body, sequencesPage+"/new")
		form.Set("do", "remove-3")
		form = b.typed(b.submit(sequencesPage+"/new", form).body, sequencesPage+"/new")
		b.mustShow(sequencesPage, "No sequence yet")

		// What is wrong is told where it is wrong.
		bad := url.Values{}
		for name, values := range form {
			bad[name] = values
		}
		bad.Set("steps.1.content.en.html", "{% if %}")
		bad.Set("steps.2.wait.until", "25:00")
		bad.Set("steps.0.wait.amount", "many")
		wrong := b.submit(sequencesPage+"/new", bad)
		for _, at := range []string{"steps.1.content.en.html", "steps.0.wait.amount"} {
			if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, `href="#f-`+at+`"`) {
				w.Errorf("a fault is not told at %s: %d\n%s", at, wrong.status, wrong.body)
			}
		}
		bad.Set("steps.1.content.en.html", "<p>x</p>")
		bad.Set("steps.0.wait.amount", "")
		bad.Set("once", uuid.NewString())
		if wrong = b.submit(sequencesPage+"/new", bad); wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, `href="#f-steps.2.wait.until"`) {
			w.Errorf("an hour that is none: %d\n%s", wrong.status, wrong.body)
		}

		var clicks sync.WaitGroup
		for range 4 {
			clicks.Go(func() {
				if got := b.submit(sequencesPage+"/new", form); got.status != http.StatusSeeOther {
					w.Errorf("made: %d\n%s", got.status, got.body)
				}
			})
		}
		clicks.Wait()
		listed := b.mustShow(sequencesPage, "draft").body
		if n := strings.Count(listed, "<bdi>Welcome in three letters</bdi>"); n != 1 {
			w.Fatalf("clicked four times, %d sequences", n)
		}
		_, rest, _ := strings.Cut(listed, `<th scope="row"><a href="`)
		page, _, _ := strings.Cut(rest, `"`)
		b.mustShow(page, "A draft: nobody has joined", "First &lt;of&gt; all", "at once, when they confirm", "3 days later, then at 09:00 where they live", "a week later")
		b.mustShow(page+"/letter?version=1&step=0&in=fa", "Letter 1 of 3", "خوش آمدید", `lang="fa"`, "The letter after")
		if got := b.mustShow(page+"/preview?version=1&step=0&in=fa", "سارا نمونه"); !strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox") {
			w.Error("the preview is not fenced in")
		}

		b.push(page, "start", "sequence.start")
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Requested, consent.Given)
		b.mustShow(page, "One person is under way.", "one waits here", "0 people’s turn has come")
		b.mustShow(page+"/people?version=1&step=0", "sara@example.org", "due now")
		w.advance()
		b.mustShow(page, "0.0%", "0 of 1 whose turn has come", "on the way")
		w.settleAll(page, delivery.Sent)
		b.mustShow(page, "100.0%", "1 of 1 whose turn has come", "The one who got it does not let it be seen")

		// Who allowed it before joins only when asked for, and the number is said before.
		b.mustShow(page+"/enroll", "One person who allows it would join, with version 1.", "The first letter goes to them at once.")
		got := b.submit(page+"/enroll", b.fill(page+"/enroll"))
		if got.location != page+"?did=sequence.enroll" {
			w.Fatalf("asked to enroll: %d to %s\n%s", got.status, got.location, got.body)
		}
		_, err := sequence.Work(w.Context(), w.db, campaignID(page).String())
		w.must(err)
		b.mustShow(page+"/enroll", "Everybody who allows it has joined already.")
		b.mustShow(page, "2 people are under way.")

		w.write(func(tx *store.Tx) error {
			_, err := consent.Withdraw(tx, w.brand, sara.ID, []uuid.UUID{w.topic.ID}, consent.MethodOneClick, nil)
			return err
		})
		b.mustShow(page, "One person is under way. Of 2 who joined, 0 have all letters behind them and 1 left before.", "left here", "permission taken back")
		b.push(page, "pause", "sequence.pause")
		b.mustShow(page, "Nobody moves on.")
		b.push(page, "resume", "sequence.resume")
		b.push(page, "pause", "sequence.pause")
		b.push(page, "end", "sequence.end")
		b.mustShow(page, "Ended.")
		if body := b.get(page).body; strings.Contains(body, "/edit") || strings.Contains(body, "/enroll") {
			w.Error("what has ended may be changed")
		}
	})
}

// settleAll gives all that is queued of a sequence or an offer an end.
func (w *world) settleAll(page string, state delivery.State) {
	w.Helper()
	w.settle(page, state, "", 1000)
	w.pass(time.Second)
}

// Whoever is under way stays on their version, which is said before; of two who
// edit at once the second sees what the first wrote.
func TestASequenceIsEditedSafely(t *testing.T) {
	each(t, func(w *world) {
		w.join()
		b := w.in(email)
		page := b.welcome()
		edit := page + "/edit"
		b.mustShow(edit, "Nobody has joined yet")
		b.push(page, "start", "sequence.start")
		w.person(w.brand, w.topic, "sara@example.org", consent.Given)
		body := b.mustShow(edit, "One person is under way and goes on with the letters they began with.", "become version 2").body
		mine, theirs := b.typed(body, edit), b.typed(b.mustShow(edit).body, edit)

		// A name alone is no version.
		theirs.Set("name", "Their welcome")
		if got := b.submit(edit, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("renamed: %d\n%s", got.status, got.body)
		}
		if shown := b.mustShow(page, "version 1").body; strings.Contains(shown, "version 2") {
			w.Error("a name made a version")
		}
		mine.Set("steps.1.content.en.subject", "My question")
		asked := b.submit(edit, mine)
		if asked.status != http.StatusConflict || !strings.Contains(asked.body, "Their welcome") || !strings.Contains(asked.body, `value="My question"`) {
			w.Fatalf("an edit that would overwrite another's unseen: %d\n%s", asked.status, asked.body)
		}
		if got := b.submit(edit, b.typed(asked.body, edit)); got.location != page+"?did=sequence.change" {
			w.Fatalf("saved after having seen: %d to %s\n%s", got.status, got.location, got.body)
		}
		w.person(w.brand, w.topic, "ali@example.org", consent.Given)
		b.mustShow(page, "version 2", "version 1", "My question", "Each person goes on with the version they began with.")
		old := b.mustShow(page+"?version=1", "May we ask you something?").body
		if strings.Contains(old, "My question") {
			w.Error("the old version has the new letter")
		}
		b.mustShow(page+"/people?version=2&step=0", "ali@example.org")
		if got := b.get(page + "?version=3"); got.status != http.StatusNotFound {
			w.Errorf("a version that is not there: %d", got.status)
		}
		if got := b.get(page + "/people?version=1&step=1"); got.status != http.StatusNotFound { // a wait
			w.Errorf("a letter that is not there: %d", got.status)
		}
	})
}

// Another brand has none of it, and only those who may see people do.
func TestJourneysStayWithTheirBrand(t *testing.T) {
	each(t, func(w *world) {
		w.join()
		b := w.in(email)
		page, gift := b.welcome(), w.offered(b)
		w.role(w.mina, w.marble, account.Owner)
		for _, path := range []string{page, page + "/edit", page + "/enroll", page + "/letter?version=1&step=0", page + "/preview?version=1&step=0&in=en", page + "/people?version=1&step=0", page + "/live",
			gift, gift + "/codes", gift + "/preview?in=en", gift + "/live"} {
			if got := b.get(strings.Replace(path, "/baharan/", "/marble/", 1)); got.status != http.StatusNotFound {
				w.Errorf("%s at another brand: %d", path, got.status)
			}
		}
		for _, path := range []string{page + "/start", page + "/end", page + "/edit", gift + "/start", gift + "/redeem"} {
			elsewhere := strings.Replace(path, "/baharan/", "/marble/", 1)
			if got := b.submit(elsewhere, url.Values{"page": {elsewhere}, "code": {"x"}, "order": {"1"}}); got.status != http.StatusNotFound {
				w.Errorf("POST %s at another brand: %d", path, got.status)
			}
		}
		b.push(page, "start", "sequence.start")
		w.person(w.brand, w.topic, "sara@example.org", consent.Given)
		reader := w.in2("reader@baharan.example", account.Reader)
		for _, path := range []string{page, gift} {
			if body := reader.mustShow(path).body; strings.Contains(body, "sara@") || strings.Contains(body, "/people?") || strings.Contains(body, "/codes\"") || strings.Contains(body, "<button id=\"act") {
				w.Errorf("a reader is shown too much at %s", path)
			}
		}
		if got := reader.get(page + "/people?version=1&step=0"); got.status != http.StatusForbidden {
			w.Errorf("a reader sees who waits: %d", got.status)
		}
	})
}

// offerFields are an offer as the form sends it.
func (w *world) offerFields(more ...string) []string {
	return append([]string{"name", "Thanks <2026>", "topic", w.topic.ID.String(), "value_kind", "amount", "value", "۱۲٫۵۰", "currency", "eur", "budget", "۲", "valid_days", "30", "min_orders", "1",
		"texts.en.title", "A thank-you", "texts.en.terms", "On your next order, once.", "texts.fa.title", "سپاس", "texts.fa.terms", "یک بار."}, more...)
}

// offered makes an offer through the pages, and gives its address.
func (w *world) offered(b *browser, more ...string) string {
	b.Helper()
	form := b.typed(b.mustShow(offersPage+"/new").body, offersPage+"/new")
	fields := w.offerFields(more...)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	got := b.submit(offersPage+"/new", form)
	if got.status != http.StatusSeeOther || !strings.HasSuffix(got.location, "?did=offer.create") {
		b.Fatalf("made: %d to %s\n%s", got.status, got.location, got.body)
	}
	return strings.TrimSuffix(got.location, "?did=offer.create")
}

// buys is an order of somebody who allows the topic.
func (w *world) buys(email, number string) (s subscriber.Subscriber) {
	w.Helper()
	s = w.person(w.brand, w.topic, email, consent.Given)
	w.orders(s, number)
	return s
}

func (w *world) orders(s subscriber.Subscriber, number string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, _, err := offer.RecordOrder(tx, w.brand, offer.NewOrder{Number: number, Subscriber: s.ID, PlacedAt: tx.Now(), Total: 4000, Currency: "EUR", Items: 1})
		return err
	})
}

// give does what the worker would.
func (w *world) give(page string) {
	w.Helper()
	_, err := offer.Work(w.Context(), w.db, campaignID(page), func(tx *store.Tx, m offer.Mail) error {
		_, _, err := delivery.Queue(tx, delivery.Draft{Source: m.Source, Stream: m.Stream, Brand: m.Brand, Subscriber: &m.Subscriber, Kind: delivery.Marketing,
			Topic: &m.Topic, ConsentEvent: &m.ConsentEvent, Content: &m.Content, Language: m.Language, Data: m.Data, Due: m.Due})
		return err
	})
	w.must(err)
}

func (w *world) theirCode(s subscriber.Subscriber) (code string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		codes, err := offer.CodesOf(tx, w.brand.ID, s.ID)
		if err == nil && len(codes) > 0 {
			code = codes[0].Code
		}
		return err
	})
	return code
}

func (b *browser) redeem(page, code, order string, more ...string) answer {
	b.Helper()
	form := b.typed(b.mustShow(page).body, page+"/redeem")
	form.Set("code", code)
	form.Set("order", order)
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.submit(page+"/redeem", form)
}

// Made, started, given to those who have earned it, redeemed once and refused
// with its reason, until it ends.
func TestAnOfferThroughThePages(t *testing.T) {
	each(t, func(w *world) {
		sara, ali := w.buys("sara@example.org", "A-1"), w.buys("ali@example.org", "A-2")
		w.buys("late@example.org", "A-3")
		w.person(w.brand, w.topic, "never@example.org", consent.Given)
		b := w.in(email)
		b.mustShow(offersPage, "No offer yet", "New offer")
		form := b.typed(b.mustShow(offersPage+"/new", "offer.code", "سپاس از شما").body, offersPage+"/new")
		bad := b.submit(offersPage+"/new", form)
		for _, at := range []string{"name", "budget", "min_orders", "texts.en.title", "value"} {
			if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, `href="#f-`+at+`"`) {
				w.Errorf("a fault is not told at %s: %d", at, bad.status)
			}
		}
		page := w.offered(b)
		b.mustShow(page, "Thanks &lt;2026&gt;", "€12.50", "3 people have earned it now.", "Only 2 of them get a code", "at least one order")
		if got := b.mustShow(page+"/preview?in=fa", "XXXX-XXXX-XXXX", "۱۲٫۵۰"); !strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox") {
			w.Error("the preview is not fenced in")
		}
		b.push(page, "start", "offer.start")
		w.give(page)
		b.mustShow(page, "2 of 2 codes are given, 0 redeemed.", "The budget is used up", "100.0%")
		code := w.theirCode(sara)
		b.mustShow(page+"/codes", code, "sara@example.org", "ali@example.org", "can be redeemed")
		for search, want := range map[string]string{strings.ToLower(strings.ReplaceAll(code, "-", " ")): "sara@example.org", "SARA@example.org": code} {
			if body := b.mustShow(page+"/codes?q="+url.QueryEscape(search), want).body; strings.Contains(body, "ali@example.org") {
				w.Errorf("a search for %q finds others", search)
			}
		}
		b.mustShow(page+"/codes?q=nobody", "No code of this offer fits.")

		if got := b.redeem(page, "NOSUCHCODE", "A-9"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "We know no such code.") || !strings.Contains(got.body, `value="NOSUCHCODE"`) {
			w.Errorf("no code at all: %d\n%s", got.status, got.body)
		}
		other := w.offered(b, "name", "Other", "budget", "5")
		b.push(other, "start", "offer.start")
		w.give(other)
		if got := b.redeem(other, code, "A-9"); !strings.Contains(got.body, "This code is of another offer: Thanks &lt;2026&gt;.") {
			w.Errorf("the code of another offer: %d\n%s", got.status, got.body)
		}
		// The order of somebody else asks once more, and redeems nothing before.
		strange := b.redeem(page, code, "A-2")
		if strange.status != http.StatusUnprocessableEntity || !strings.Contains(strange.body, "given to sara@example.org, and the order is of ali@example.org") || !strings.Contains(strange.body, `name="anyway"`) {
			w.Errorf("somebody else's order: %d\n%s", strange.status, strange.body)
		}
		b.mustShow(page, "0 redeemed.")
		if got := b.redeem(page, code, "A-1"); got.location != page+"?did=offer.redeem" {
			w.Fatalf("redeemed: %d to %s\n%s", got.status, got.location, got.body)
		}
		if got := b.redeem(page, code, "A-1"); got.location != page+"?did=offer.redeem-again" {
			w.Errorf("redeemed again for the same order: %d to %s", got.status, got.location)
		}
		again := b.redeem(page, code, "A-7")
		if again.status != http.StatusUnprocessableEntity || !strings.Contains(again.body, "redeemed already") || !strings.Contains(again.body, "for the order A-1.") {
			w.Errorf("redeemed for another order: %d\n%s", again.status, again.body)
		}
		b.mustShow(page, "2 of 2 codes are given, 1 redeemed.", "50.0%", "1 of 2 codes given", "€12.50", "for 1 of 1 redeemed codes", "€40")
		if got := b.redeem(page, w.codeOf(page, ali), "A-1", "anyway", "yes"); got.location != page+"?did=offer.redeem" {
			w.Errorf("redeemed for somebody else's order, having been asked: %d\n%s", got.status, got.body)
		}
		b.mustShow(page+"/codes", "for the order <bdi dir=\"ltr\">A-1</bdi>", "redeemed")
		w.pass(40 * 24 * time.Hour)
		b = w.in(email)
		if got := b.redeem(other, w.codeOf(other, ali), "A-8"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "This code has expired. Its last day was") {
			w.Errorf("an expired code: %d\n%s", got.status, got.body)
		}
		if n := w.refusals(); n != 4 {
			w.Errorf("%d refusals are on record, want 4", n)
		}
		b.push(page, "end", "offer.end")
		b.mustShow(page, "No further code is given.")
		log := b.mustShow(overview+"/log", "Tried a code that is none", "Redeemed a code of the offer").body
		if strings.Contains(log, code) {
			w.Error("the log has a whole code")
		}
	})
}

// A draft is changed freely; what was started only so that nobody loses by it.
// Of two who edit at once the second sees what the first wrote; a code that is
// given meanwhile is no edit.
func TestAnOfferIsEditedSafely(t *testing.T) {
	each(t, func(w *world) {
		sara := w.buys("sara@example.org", "A-1")
		b := w.in(email)
		page := w.offered(b, "budget", "1")
		edit := page + "/edit"
		form := func(body string, more ...string) url.Values {
			v := b.typed(body, edit)
			for i := 0; i+1 < len(more); i += 2 {
				v.Set(more[i], more[i+1])
			}
			return v
		}
		b.mustShow(page, `href="`+edit+`"`)
		got := b.submit(edit, form(b.mustShow(edit, "Nobody has a code yet", `value="12.50"`, `value="A thank-you"`).body, "value", "۱۵", "value_kind", "percent", "texts.en.title", "Thank you"))
		if got.location != page+"?did=offer.change" {
			w.Fatalf("a draft: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(page, "15%", "Thank you")
		stale := form(b.mustShow(edit).body, "value", "20") // opened before it was started
		b.push(page, "start", "offer.start")
		if got := b.submit(edit, stale); got.status != http.StatusConflict || !strings.Contains(got.body, "It was started.") {
			w.Errorf("a form from before the start: %d\n%s", got.status, got.body)
		}

		mine, theirs := form(b.mustShow(edit, "It was started.", "What people were told, and so stays").body, "name", "Mine", "budget", "3"), form(b.mustShow(edit).body, "name", "Theirs", "budget", "2")
		if mine.Has("value") || mine.Has("texts.en.title") {
			w.Error("the form asks for what cannot be changed")
		}
		w.give(page) // one code: the offer's row is written
		code := w.theirCode(sara)
		if got := b.submit(edit, theirs); got.status != http.StatusSeeOther {
			w.Fatalf("saved: %d\n%s", got.status, got.body)
		}
		asked := b.submit(edit, mine)
		if asked.status != http.StatusConflict || !strings.Contains(asked.body, "<dd dir=\"auto\">Theirs</dd>") || !strings.Contains(asked.body, `value="Mine"`) {
			w.Fatalf("an edit that would overwrite another's unseen: %d\n%s", asked.status, asked.body)
		}
		if got := b.submit(edit, form(asked.body)); got.location != page+"?did=offer.change" {
			w.Fatalf("saved after having seen: %d to %s\n%s", got.status, got.location, got.body)
		}
		b.mustShow(page, "Mine", "One of 3 codes is given")
		for _, less := range [][]string{{"budget", "2"}, {"valid_days", "29"}, {"min_orders", "2"}, {"min_orders", ""}} {
			got := b.submit(edit, form(b.mustShow(edit).body, less...))
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `href="#f-`+less[0]+`"`) {
				w.Errorf("%v: %d\n%s", less, got.status, got.body)
			}
		}
		if got := b.submit(edit, form(b.mustShow(edit).body, "value", "99", "value_kind", "percent", "texts.en.title", "Changed")); got.status != http.StatusSeeOther {
			w.Errorf("what the form does not ask for: %d", got.status)
		}
		b.mustShow(page, "15%", "Thank you")
		if w.theirCode(sara) != code {
			w.Error("a code that was given has changed")
		}
		reader := w.in2("reader@baharan.example", account.Reader)
		if strings.Contains(reader.mustShow(page).body, edit) || reader.get(edit).status != http.StatusForbidden {
			w.Error("a reader may change an offer")
		}
		w.role(w.mina, w.marble, account.Owner)
		if got := b.get(strings.Replace(edit, "/baharan/", "/marble/", 1)); got.status != http.StatusNotFound {
			w.Errorf("another brand's offer: %d", got.status)
		}
		late := form(b.mustShow(edit).body, "name", "Late")
		b.push(page, "end", "offer.end")
		if got := b.submit(edit, late); got.status != http.StatusConflict || !strings.Contains(got.body, "This offer has ended.") {
			w.Errorf("what has ended: %d\n%s", got.status, got.body)
		}
		if got := b.get(edit); got.location != page {
			w.Errorf("the form of what has ended: %d to %s", got.status, got.location)
		}
		b.mustShow(overview+"/log", "Changed the offer")
	})
}

func (w *world) codeOf(page string, s subscriber.Subscriber) (code string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT code FROM offer_codes WHERE offer_id = ? AND subscriber_id = ?", campaignID(page), s.ID).Scan(&code).Error
	})
	return code
}

func (w *world) refusals() (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Raw("SELECT count(*) FROM events WHERE kind = ?", event.OfferRefused).Scan(&n).Error
	})
	return n
}

// A click more redeems nothing more, and a refusal is told to it as one.
func TestACodeIsRedeemedOnceHoweverOftenClicked(t *testing.T) {
	each(t, func(w *world) {
		sara := w.buys("sara@example.org", "A-1")
		b := w.in(email)
		page := w.offered(b)
		b.push(page, "start", "offer.start")
		w.give(page)
		form := b.typed(b.mustShow(page).body, page+"/redeem")
		form.Set("code", w.theirCode(sara))
		form.Set("order", "A-1")
		for range 3 {
			if got := b.submit(page+"/redeem", form); got.location != page+"?did=offer.redeem" {
				w.Errorf("clicked: %d to %s", got.status, got.location)
			}
		}
		form = b.typed(b.mustShow(page).body, page+"/redeem")
		form.Set("code", w.theirCode(sara))
		form.Set("order", "A-5")
		b.submit(page+"/redeem", form)
		got := b.submit(page+"/redeem", form)
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `value="`+form.Get("code")+`"`) || !strings.Contains(got.body, `href="#f-code"`) || !strings.Contains(got.body, "redeemed already") {
			w.Fatalf("a refusal clicked twice: %d to %s\n%s", got.status, got.location, got.body)
		}
		shown := b.mustShow(page+"?did=offer.refuse.redeemed", `href="#f-code">The code was not accepted: it was redeemed already.`).body
		if strings.Contains(shown, `class="told`) {
			w.Error("a refusal is told far from its field")
		}
		if n := w.refusals(); n != 1 {
			w.Errorf("%d refusals", n)
		}
	})
}

// A person at the keyboard begins with the template, adds a letter, saves,
// starts it, and sees somebody come, in either language.
func TestASequenceByKeyboard(t *testing.T) {
	each(t, func(w *world) {
		w.join()
		for i, lang := range i18n.Languages {
			l := i18n.For(lang)
			p := w.tab()
			p.signInByKeyboard(sequencesPage + "/new?lang=" + lang)
			p.enter(`a[href*="from=welcome"]`)
			p.until("document.querySelectorAll('fieldset.chapter').length === 3")
			p.enter(`#f-steps\.add`)
			p.until("document.querySelectorAll('fieldset.chapter').length === 4 && document.activeElement.id === 'f-steps.3' && location.search.includes('from=welcome')")
			p.until("document.querySelector('.saved').textContent !== ''") // the draft has it
			p.enter(`#remove-3`)
			p.until("document.querySelectorAll('fieldset.chapter').length === 3 && document.activeElement.id === 'f-steps.2' && !document.querySelector('.htmx-settling, .htmx-swapping')")
			p.enter(`#f-name`)
			p.until("document.querySelector('ol.story') && document.body.innerText.includes('" + l.T("admin.sequence.lead.draft") + "')")
			p.enter(`#act-start`)
			p.until("document.getElementById('ask').open")
			p.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
			p.until("document.getElementById('act-pause')")
			if strings.Contains(w.in(email).mustShow(sequencesPage+"/new").body, `class="told ask kept"`) {
				w.Error("a draft is left of what was saved")
			}
			w.person(w.brand, w.topic, fmt.Sprintf("new%d@example.org", i), consent.Given)
			p.until("document.querySelector('.story .here').innerText === '" + l.N("admin.sequence.waiting", 1) + "'")
		}
	})
}

// enter presses the key on what a selector finds, as somebody does who came
// there by keyboard.
func (p *tab) enter(selector string) {
	p.Helper()
	p.until(fmt.Sprintf("(document.querySelector(%[1]q)?.focus(), document.activeElement === document.querySelector(%[1]q) && document.activeElement !== null)", selector))
	p.do(chromedp.KeyEvent(kb.Enter))
}

// As TestPagesAreSound, for sequences and offers in the states that look different.
func TestJourneyPagesAreSound(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.join()
	w.role(w.mina, w.marble, account.Owner)
	w.write(func(tx *store.Tx) error {
		_, err := consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "offers", Texts: map[string]consent.TopicText{"en": {Name: "Special offers", Wording: "x"}, "fa": {Name: "پیشنهادهای ویژه", Wording: "س"}}})
		return err
	})
	b := w.in(email)
	running := b.welcome()
	b.push(running, "start", "sequence.start")
	for i := range 9 {
		w.person(w.brand, w.topic, fmt.Sprintf("first%d@example.org", i), consent.Given)
	}
	w.advance()
	w.settle(running, delivery.Sent, "", 6)
	w.settle(running, delivery.Skipped, "suppressed: hard-bounce", 1)
	w.settle(running, delivery.Failed, "refused", 1)
	w.write(func(tx *store.Tx) error {
		_, err := tx.Run("UPDATE messages SET tracks_opens = true WHERE state = 'sent' AND id IN (SELECT id FROM messages ORDER BY id LIMIT 4)")
		return err
	})
	edit := running + "/edit"
	form := b.typed(b.mustShow(edit).body, edit)
	form.Set("steps.1.content.en.subject", "What would you like to read?")
	if got := b.submit(edit, form); got.status != http.StatusSeeOther {
		t.Fatalf("edited: %d\n%s", got.status, got.body)
	}
	for i := range 3 {
		w.person(w.brand, w.topic, fmt.Sprintf("second%d@example.org", i), consent.Given)
	}
	draft := b.welcome()
	sara, ali := w.buys("sara@example.org", "A-1"), w.buys("ali@example.org", "A-2")
	gift, plan := w.offered(b, "budget", "20"), w.offered(b, "name", "For the long night")
	b.push(gift, "start", "offer.start")
	w.give(gift)
	b.redeem(gift, w.codeOf(gift, sara), "A-1")
	_ = ali
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(homePath)
		for name, path := range map[string]string{"sequences": sequencesPage + "?lang=", "no-sequences": "/admin/b/marble/sequences?lang=", "sequence-begin": sequencesPage + "/new?lang=", "sequence-new": sequencesPage + "/new?from=welcome&lang=",
			"sequence-edit": edit + "?lang=", "sequence": running + "?lang=", "sequence-old": running + "?version=1&lang=", "sequence-draft": draft + "?lang=", "sequence-letter": running + "/letter?version=1&step=0&in=" + lang + "&lang=",
			"sequence-people": running + "/people?version=1&step=2&lang=", "sequence-enroll": running + "/enroll?lang=",
			"offers": offersPage + "?lang=", "no-offers": "/admin/b/marble/offers?lang=", "offer-new": offersPage + "/new?lang=", "offer": gift + "?in=" + lang + "&lang=", "offer-draft": plan + "?lang=", "offer-edit": gift + "/edit?lang=", "offer-refused": gift + "?did=offer.refuse.expired&lang=",
			"offer-codes": gift + "/codes?lang=", "offer-codes-none": gift + "/codes?q=nobody&lang="} {
			p.sound(name, lang, path+lang)
		}
	}
}
