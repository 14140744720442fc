package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"assent/internal/i18n"
	"assent/internal/testkit"
)

// hands are somebody's on the keyboard, and eyes that find things by what they
// are called. They never touch a mouse, and no script helps them; at every stop
// they see where they are.
type hands struct {
	*testing.T
	tab   context.Context
	l     *i18n.Localizer
	keys  *int
	last  place
	stops map[string]bool // places whose look was found good
}

// place is where the focus is.
type place struct {
	Tag, Type, Name, Mark string
	Value                 string
	Checked               bool
	Seen                  string // why it cannot be seen; empty: it can
}

func (p place) String() string { return fmt.Sprintf("<%s %s> %q", p.Tag, p.Type, p.Name) }

// whereJS describes the focused element. A place of its own is told by a mark,
// so that a trap is noticed.
const whereJS = `(() => {
	const e = document.activeElement, said = (x) => (x?.textContent || '').replace(/\s+/g, ' ').trim();
	if (!e || e === document.body || e === document.documentElement) return JSON.stringify({Tag: 'body'});
	const spoken = (x) => { const c = x.cloneNode(true); for (const y of c.querySelectorAll('small, .hint, .wrong, .box-more, [aria-hidden=true]')) y.remove(); return said(c); };
	const name = e.getAttribute('aria-label') || said(document.getElementById(e.getAttribute('aria-labelledby'))) || (e.labels?.length ? spoken(e.labels[0]) : '') || e.title || spoken(e);
	e.__mark ||= String(window.__marks = (window.__marks || 0) + 1);
	const shows = (x) => { const s = getComputedStyle(x); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 && s.outlineColor !== 'rgba(0, 0, 0, 0)' || s.boxShadow !== 'none'; };
	let seen = '';
	const r = e.getBoundingClientRect(), box = e.closest('label');
	if (e.tagName !== 'IFRAME' && e.id !== 'main') {
		if (!shows(e) && !(box && shows(box))) seen = 'it has no ring';
		else if (Math.max(r.width, box?.getBoundingClientRect().width || 0) < 4 || Math.max(r.height, box?.getBoundingClientRect().height || 0) < 4) seen = 'it is too small: ' + r.width + ' by ' + r.height;
		else if (r.bottom < 0 || r.top > innerHeight || r.right < 0 || r.left > innerWidth) seen = 'it is out of the window';
		else if (Number(getComputedStyle(e).opacity) < .3 && !(box && shows(box))) seen = 'it is transparent';
	}
	return JSON.stringify({Tag: e.tagName.toLowerCase(), Type: e.type || '', Name: name, Mark: location.pathname + '#' + e.__mark, Value: e.value === undefined ? '' : String(e.value), Checked: !!e.checked, Seen: seen});
})()`

func newHands(t *testing.T, tab context.Context, lang string, keys *int) *hands {
	return &hands{T: t, tab: tab, l: i18n.For(lang), keys: keys, stops: map[string]bool{}}
}

func evaluate[T any](h *hands, expression string) (v T) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.tab, 10*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		h.Fatalf("look at the page: %v", err)
	}
	return v
}

func (h *hands) press(keys string) {
	h.Helper()
	*h.keys += len([]rune(keys))
	ctx, cancel := context.WithTimeout(h.tab, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.KeyEvent(keys)); err != nil {
		h.Fatalf("press %q: %v", keys, err)
	}
}

// front is what the window's keys for the next tab do, which no page hears.
func (h *hands) front() {
	h.Helper()
	if _, err := chromedp.Call(h.tab, page.BringToFront, cdp.Empty{}); err != nil {
		h.Fatal(err)
	}
}

func (h *hands) shiftTab() {
	h.Helper()
	*h.keys++
	if err := chromedp.Do(h.tab, chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))); err != nil {
		h.Fatal(err)
	}
}

func (h *hands) until(what, condition string) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(15 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(h.tab, 10*time.Second)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		cancel()
		if err == nil && yes {
			return
		}
	}
	h.Fatalf("%s: never %s at %s: %s", what, condition, h.last, evaluate[string](h, "location.href + ' ' + document.body.innerText"))
}

// where tells where the focus is, and that it can be seen there.
func (h *hands) where() (p place) {
	h.Helper()
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the page may still scroll there
		p = place{}
		if err := json.Unmarshal([]byte(evaluate[string](h, whereJS)), &p); err != nil {
			h.Fatal(err)
		}
		if p.Seen == "" || h.stops[p.Mark] || time.Now().After(end) {
			break
		}
	}
	if p.Seen != "" && !h.stops[p.Mark] {
		h.Errorf("%s at %s cannot be seen: %s", p, evaluate[string](h, "location.pathname"), p.Seen)
	}
	h.stops[p.Mark] = true
	return p
}

const stopsMost = 250

// to tabs to what is called so.
func (h *hands) to(name string, tags ...string) {
	h.Helper()
	h.find(func() { h.press(kb.Tab) }, name, tags...)
}

// back tabs to it backwards, which is shorter where it stands above.
func (h *hands) back(name string, tags ...string) {
	h.Helper()
	h.find(h.shiftTab, name, tags...)
}

func (h *hands) find(next func(), name string, tags ...string) {
	h.Helper()
	var passed []string
	ends, same := 0, 0
	for range stopsMost {
		next()
		p := h.where()
		if p.Mark == h.last.Mark && p.Tag != "iframe" && p.Tag != "body" {
			if same++; same > 1 {
				h.Fatalf("trapped in %s", p)
			}
		}
		h.last = p
		if p.Tag == "body" {
			if ends++; ends > 3 {
				break
			}
			continue
		}
		passed = append(passed, p.String())
		if p.Name != name {
			continue
		}
		for _, tag := range tags {
			if tag == p.Tag {
				return
			}
		}
		if len(tags) == 0 {
			return
		}
	}
	h.Fatalf("Tab does not lead to %q at %s, which ended %d times; it leads by %s", name, evaluate[string](h, "location.pathname"), ends, strings.Join(passed, ", "))
}

func (h *hands) word(key string, args ...any) string { return h.l.T(key, args...) }

// fill types into the field of that name.
func (h *hands) fill(key, text string, args ...any) {
	h.Helper()
	h.to(h.word(key, args...), "input", "textarea")
	h.press(text)
	if got := h.where(); got.Value != text {
		h.Errorf("%s holds %q after typing %q", got, got.Value, text)
	}
}

// enter presses the link or button of that name, and waits for the page that it
// leads to.
func (h *hands) enter(key string, args ...any) {
	h.Helper()
	h.to(h.word(key, args...), "a", "button")
	h.leave(kb.Enter)
}

func (h *hands) leave(key string) {
	h.Helper()
	evaluate[bool](h, "window.__before = true")
	h.press(key)
	h.arrive()
}

func (h *hands) arrive() {
	h.Helper()
	h.until("another page", "!window.__before && document.readyState === 'complete'")
	h.last = place{}
	if faults := evaluate[string](h, "document.getElementById('faults')?.innerText || ''"); faults != "" {
		h.Fatalf("%s finds fault: %s", evaluate[string](h, "location.pathname"), faults)
	}
	if over := evaluate[int](h, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
		h.Errorf("%s runs %d points over the edge", evaluate[string](h, "location.pathname"), over)
	}
}

// skip passes the navigation, as the first stop of a page offers to.
func (h *hands) skip() {
	h.Helper()
	h.press(kb.Tab)
	if p := h.where(); p.Name != h.word("admin.skip") {
		h.Fatalf("the first stop of %s is %s", evaluate[string](h, "location.pathname"), p)
	}
	h.press(kb.Enter)
	h.until("to the content", "document.activeElement.id === 'main'")
	h.last = place{}
}

// tick sets the box of that name.
func (h *hands) tick(name string) {
	h.Helper()
	h.to(name, "input")
	if h.last.Checked {
		return
	}
	h.press(" ")
	if !h.where().Checked {
		h.Errorf("Space does not tick %s", h.last)
	}
}

func (h *hands) reads(text string) {
	h.Helper()
	h.until("reading", "document.body.innerText.includes("+quoted(text)+")")
}

func quoted(text string) string {
	raw, _ := json.Marshal(text)
	return string(raw)
}

// From an empty installation to a campaign that arrived, by keyboard alone: in
// either language the same keys, by the names that things have there.
func TestByKeyboardAlone(t *testing.T) {
	for _, lang := range i18n.Languages {
		t.Run(lang, func(t *testing.T) {
			began := time.Now()
			keys := 0
			k := newKeyboard(t, lang, &keys)
			up := time.Since(began)
			k.account()
			k.brand()
			k.sending()
			k.topic()
			k.form()
			k.sequence()
			k.subscriber()
			k.campaign()
			t.Logf("%d keys, %s, and %s for the program to come up", keys, (time.Since(began) - up).Round(100*time.Millisecond), up.Round(100*time.Millisecond))
		})
	}
}

// The pages' main jobs at 200 %: half as many points across, twice as large, and
// nothing to be pushed sideways. The navigation is behind a button then.
func TestAtTwiceTheSize(t *testing.T) {
	keys := 0
	k := newKeyboard(t, "en", &keys)
	k.large = true
	if err := chromedp.Do(k.tab, chromedp.EmulateViewport(640, 450, chromedp.EmulateScale(2))); err != nil {
		t.Fatal(err)
	}
	k.mainJobs()
}

// The pages' main jobs in a browser that runs no scripts.
func TestWithoutScripts(t *testing.T) {
	keys := 0
	k := newKeyboard(t, "en", &keys)
	k.plain = true
	if _, err := chromedp.Call(k.tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	k.mainJobs()
}

type keyboard struct {
	*hands
	service *testkit.Service
	smtp    *testkit.SMTPServer
	large   bool // at 200 %
	plain   bool // no scripts run
}

func newKeyboard(t *testing.T, lang string, keys *int) *keyboard {
	k := &keyboard{hands: newHands(t, testkit.Browser(t), lang, keys), smtp: testkit.SMTP(t)}
	k.service = testkit.NewService(t, testkit.ServiceOptions{SMTP: k.smtp.URL, TestClock: true, Env: []string{"ASSENT_SIGNUP_MIN_FILL=0s"}})
	return k
}

// mainJobs: an account, a brand, out and in again, a topic, and a campaign to
// somebody who allows it.
func (k *keyboard) mainJobs() {
	k.account()
	k.brand()
	k.nav("admin.sign-out")
	k.fill("admin.signin.email", "mina@baharan.example")
	k.fill("admin.signin.password", keyboardPassword)
	k.enter("admin.signin.button")
	k.topic()
	api := testkit.API{Base: k.service.Base, Key: k.service.Key(k), Brand: "baharan"}
	api.People(k, 1, func(int) map[string]any {
		return map[string]any{"email": keyboardReader, "consents": testkit.Consents(0, "letter")}
	})
	k.campaign()
	k.Logf("%d keys", *k.keys)
}

// nav goes to a page of the navigation; where that is behind a button, Escape
// closes it, with the focus on the button.
func (k *keyboard) nav(key string) {
	k.Helper()
	if k.large {
		const open = "document.getElementById('ways').matches(':popover-open')"
		k.to(k.word("admin.menu"), "button")
		k.press(kb.Enter)
		k.until("the navigation opens", open)
		k.press(kb.Tab)
		k.where()
		k.press(kb.Escape)
		k.until("Escape closes it", "!"+open)
		if p := k.where(); p.Name != k.word("admin.menu") {
			k.Errorf("after Escape the focus is on %s", p)
		}
		k.press(kb.Enter)
		k.until("the navigation opens again", open)
	}
	k.enter(key)
}

const keyboardReader, keyboardPassword = "sara@example.org", testkit.Password

// account opens the printed address, chooses the language there, and makes the account.
func (k *keyboard) account() {
	if err := chromedp.Do(k.tab, chromedp.Navigate(k.service.Welcome(k).String())); err != nil {
		k.Fatal(err)
	}
	k.until("the page", "document.readyState === 'complete'")
	if k.l.Lang() != i18n.Languages[0] {
		k.to(k.word("admin.language"), "a")
		k.leave(kb.Enter)
	}
	k.fill("admin.account.field.name", "Mina")
	k.fill("admin.account.field.email", "mina@baharan.example")
	k.fill("admin.account.field.password", keyboardPassword)
	k.enter("admin.welcome.button")
}

func (k *keyboard) brand() {
	k.skip()
	k.fill("admin.brand.field.name", "Baharan")
	k.fill("admin.brand.field.postal_address", "12 Enghelab Street")
	k.fill("admin.brand.field.sender_email", "post@baharan.example")
	if k.plain { // else the browser knows it
		k.fill("admin.brand.field.time_zone", "UTC")
	}
	k.enter("admin.brand.make")
	k.reads(k.word("admin.setup.sending"))
}

// step goes to the set-up page, and from there to what is next.
func (k *keyboard) step(name string) {
	k.Helper()
	if at := evaluate[string](k.hands, "location.pathname"); !strings.HasSuffix(at, "/setup") {
		k.nav("admin.nav.setup")
	}
	k.skip()
	k.enter("admin.setup." + name + ".do")
}

func (k *keyboard) sending() {
	k.step("sending")
	k.skip()
	k.enter("admin.sending.trial.title")
	k.skip()
	k.fill("admin.sending.trial.to", "mina@baharan.example")
	k.enter("admin.sending.trial.send")
	k.smtp.WaitTo(k, "mina@baharan.example", 1, 20*time.Second)
	k.reads(k.word("admin.sending.trial.went"))
}

func (k *keyboard) topic() {
	k.nav("admin.nav.topics")
	k.skip()
	k.enter("admin.topic.new")
	k.skip()
	k.fill("admin.topic.field.name", "Letter")
	k.fill("admin.topic.field.wording", "Send me the letter.")
	k.fill("admin.topic.field.promise_max", "2")
	k.fill("admin.topic.field.promise_days", "30")
	k.enter("admin.form.save")
}

func (k *keyboard) form() {
	k.step("form")
	k.skip()
	k.fill("admin.forms.field.name", "Footer")
	k.tick("Letter")
	k.enter("admin.form.save")
}

// again goes to the list, until the campaign stands there as sent.
func (k *keyboard) again() {
	k.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		k.nav("admin.nav.campaigns")
		k.skip()
		if evaluate[string](k.hands, "document.querySelector('.campaigns .chip').textContent") == k.word("admin.campaign.state.sent") {
			return
		}
	}
	k.Error("the campaign is never sent")
}

// sequence begins from the template, and is asked before it starts: Escape is
// no, and leads back to where it was asked.
func (k *keyboard) sequence() {
	k.step("sequence")
	k.skip()
	k.enter("admin.sequence.template.begin")
	k.skip()
	k.enter("admin.form.save")
	k.skip()
	k.to(k.word("admin.sequence.do.start"), "button")
	if evaluate[bool](k.hands, "document.activeElement.hasAttribute('data-ask')") {
		k.press(kb.Enter)
		k.until("it is asked", "document.getElementById('ask').open && document.activeElement.closest('#ask')")
		k.where()
		k.press(kb.Escape)
		k.until("Escape is no", "!document.getElementById('ask').open")
		if p := k.where(); p.Name != k.word("admin.sequence.do.start") {
			k.Errorf("after Escape the focus is on %s", p)
		}
		k.press(kb.Enter)
		k.until("it is asked again", "document.getElementById('ask').open")
		k.last = place{}
		k.to(k.word("admin.sequence.do.start"), "button")
	}
	k.leave(kb.Enter)
}

// subscriber signs up on the public form, which opens in a tab of its own, and
// confirms by the link in the mail.
func (k *keyboard) subscriber() {
	k.step("person")
	k.skip()
	k.to("Footer", "a")
	k.leave(kb.Enter)
	k.skip()
	k.to(k.word("admin.forms.open-hosted"), "a")
	opened := chromedp.WaitNewTarget(k.tab, func(info *target.Info) bool { return strings.Contains(info.URL, "/f/") })
	k.press(kb.Enter)
	var id target.ID
	select {
	case id = <-opened:
	case <-time.After(20 * time.Second):
		k.Fatal("no tab opens")
	}
	tab, cancel := chromedp.NewContext(k.tab, chromedp.WithTargetID(id))
	sara := newHands(k.T, tab, k.l.Lang(), k.keys)
	sara.front()
	sara.until("the form", "document.readyState === 'complete' && document.querySelector('form')")
	sara.to(sara.word("signup.field.email"), "input")
	sara.press(keyboardReader)
	sara.tick("Send me the letter.")
	sara.to(sara.word("signup.default.button"), "button")
	sara.leave(kb.Enter)
	mail := k.smtp.WaitTo(k, keyboardReader, 1, 20*time.Second)[0]
	if err := chromedp.Do(tab, chromedp.Navigate(mail.Link(k, "/c/"))); err != nil {
		k.Fatal(err)
	}
	sara.until("the question", "document.readyState === 'complete'")
	sara.last = place{}
	sara.enter("public.confirm.yes")
	k.smtp.WaitTo(k, keyboardReader, 2, 20*time.Second) // the first letter of the sequence
	cancel()
	k.front()
	k.last = k.where() // where the marketer left off
}

func (k *keyboard) campaign() {
	k.nav("admin.nav.campaigns")
	k.skip()
	k.enter("admin.campaign.new")
	if kept := evaluate[bool](k.hands, "document.querySelector('form[data-kept]') !== null"); kept == k.plain {
		k.Errorf("scripts run: %t", kept)
	}
	k.skip()
	k.fill("admin.campaign.field.name", "News of spring")
	for _, part := range []string{"audience", "pledge", "reason"} {
		k.fill("admin.campaign.brief."+part, "Readers of books")
	}
	k.fill("admin.campaign.field.subject", "Spring")
	k.fill("admin.campaign.field.html", "<p>Hello {{ subscriber.name }}</p>")
	k.enter("admin.form.save")
	k.skip()
	k.to(k.word("admin.campaign.later"), "input")
	k.press(kb.ArrowDown)
	if p := k.where(); p.Name != k.word("admin.campaign.now") || !p.Checked {
		k.Errorf("the arrow leads to %s", p)
	}
	k.back(k.word("admin.skip"), "a") // nobody is held in a group, either way
	k.fill("admin.campaign.as", keyboardReader)
	k.enter("admin.campaign.as-show")
	k.reads(k.word("admin.campaign.as-for", "Name", keyboardReader))
	k.back(k.word("admin.campaign.later"), "input")
	k.press(kb.ArrowDown)
	k.last = k.where()
	k.enter("admin.campaign.go-on")
	k.skip()
	k.reads(k.word("admin.campaign.more.before"))
	k.enter("admin.campaign.schedule-it")
	k.skip()
	k.to(k.word("admin.campaign.do.cancel"), "button")
	before, keys := k.where(), *k.keys
	mails := len(k.smtp.To(keyboardReader))
	k.service.Pass(k, 61*time.Second)
	k.smtp.WaitTo(k, keyboardReader, mails+1, 30*time.Second)
	if k.plain { // nothing moves by itself; to look again is a key
		k.again()
		return
	}
	k.until("it is sent, and the page says so of itself", "document.querySelector('#campaign-live .chip').textContent === "+quoted(k.word("admin.campaign.state.sent")))
	if p := k.where(); p.Tag == "body" {
		k.Errorf("the page moved on behind %s, and the focus is lost", before)
	}
	k.to(k.word("admin.campaign.do.copy"), "button") // Tab goes on where the button was
	if *k.keys-keys > 3 {
		k.Errorf("from there it takes %d keys to the button beside it", *k.keys-keys)
	}
}
