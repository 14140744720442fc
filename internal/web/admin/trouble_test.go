package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// network has the browser see a network that is away, or slow by so many
// milliseconds.
func (p *tab) network(away bool, latency float64) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Offline: away, Latency: latency, DownloadThroughput: -1, UploadThroughput: -1}}})
		return err
	}))
}

// made is how often a campaign of the name is there.
func (w *world) made(name string) int {
	w.Helper()
	return strings.Count(w.in(email).mustShow(campaignsPage).body, ">"+name+"<")
}

const save = "form[data-draft] .answers .btn.yes"

const nameField = "document.getElementById('f-name')"

// What is typed while the network is away is told, not lost, and kept as soon as
// it is back; a page that is left in the meantime has it when it is opened again.
func TestTypingWithoutANetwork(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	p, page := w.tab(), campaignsPage+"/new"
	p.signInByKeyboard(page)
	p.network(true, 0)
	p.do(focus("#f-name"), keys("Typed in a tunnel"))
	p.until("document.querySelector('.saved.no')?.textContent.includes('cannot be reached')")
	if strings.Contains(w.in(email).mustShow(page).body, "Typed in a tunnel") {
		t.Fatal("the network was not away")
	}
	p.do(keys(", and on"))
	p.network(false, 0)
	p.until("document.querySelector('.saved:not(.no)')?.textContent.includes('Kept as a draft')")
	w.in(email).mustShow(page, "Typed in a tunnel, and on")

	p.network(true, 0)
	p.do(focus("#f-name"), keys(", and away"))
	p.until("document.querySelector('.saved.no')")
	p.network(false, 0)
	p.open(campaignsPage)
	p.open(page)
	p.until(nameField + "?.value === 'Typed in a tunnel, and on, and away'")
}

// While an answer is slow, however many clicks make one thing. Going back from
// what was made leads to an empty form, and from what was refused to what was typed.
func TestASlowAnswerAndTheWayBack(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	p, page := w.tab(), campaignsPage+"/new"
	p.signInByKeyboard(page)
	write := func(name, rate string) {
		t.Helper()
		eval[int](p, nameField+".value = '"+name+"'; document.getElementById('f-rate_per_hour').value = '"+rate+"'; "+
			"for (const [id, v] of [['subject', 'Hello'], ['html', '<p>Hello</p>']]) document.getElementById('f-content.en.' + id).value = v; 0")
	}
	write("Slow", "")
	p.network(false, 800)
	eval[int](p, "for (const wait of [0, 0, 150, 400]) setTimeout(() => document.querySelector('"+save+"').click(), wait); 0")
	p.until("location.search.includes('did=campaign.create')")
	p.network(false, 0)
	if n := w.made("Slow"); n != 1 {
		t.Errorf("%d are made by three clicks", n)
	}
	eval[int](p, "history.back(), 0")
	p.until("location.pathname === '" + page + "' && " + nameField + "?.value === ''") // what is made is no draft: nothing waits there to be sent again

	write("Half", "many")
	eval[int](p, "document.querySelector('"+save+"').click(), 0")
	p.until("document.getElementById('faults') && " + nameField + ".value === 'Half'")
	eval[int](p, "history.back(), 0")
	p.until("location.pathname === '" + page + "' && !document.getElementById('faults') && " + nameField + "?.value === 'Half'")
}

// Names of 300 letters, with markup, without a place to break and from right to
// left are refused in words, with what was typed, or shown whole: nothing runs
// over the edge of a phone, and nothing of theirs becomes a part of the page.
func TestNamesThatNobodyExpects(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	b := w.in(email)
	sara := w.person(w.brand, w.topic, "sara@example.org")
	person := overview + "/people/" + sara.ID.String()
	const markup = `"><script>document.title='ran'</script><b id="theirs">`
	rtl := "\u202e" + strings.Repeat("بهار", 10) + "abc"
	var shown []string
	for _, name := range []string{strings.Repeat("w", 300), markup + strings.Repeat("W", 60), rtl, strings.Repeat("م", 110)} {
		topic := b.fill(overview+"/topics/new", "slug", "t"+string(rune('a'+len(shown))), "texts.en.name", name, "texts.en.wording", "Send me "+name)
		campaign := b.fill(campaignsPage+"/new", w.letterFields("name", name)...)
		offer := b.typed(b.mustShow(offersPage+"/new").body, offersPage+"/new")
		for fields := w.offerFields("name", name); len(fields) > 1; fields = fields[2:] {
			offer.Set(fields[0], fields[1])
		}
		for _, c := range []struct {
			to   string
			form url.Values
		}{{overview + "/topics/new", topic}, {campaignsPage + "/new", campaign}, {offersPage + "/new", offer},
			{person + "/notes", url.Values{"text": {name + name}, "page": {person}}}, {person + "/tags", url.Values{"tags": {name}, "page": {person}}}} {
			got := b.submit(c.to, c.form)
			switch {
			case got.status == http.StatusSeeOther:
				shown = append(shown, got.location)
			case got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `id="faults"`) && !strings.Contains(got.body, `class="wrong"`):
				t.Errorf("%s with %.20q: %d", c.to, name, got.status)
			case strings.Contains(got.body, "<script>document.title"):
				t.Errorf("%s has their script", c.to)
			}
		}
		if len([]rune(name)) <= 200 {
			w.write(func(tx *store.Tx) error {
				_, err := subscriber.Update(tx, w.brand, sara.ID, subscriber.Change{Name: &name})
				return err
			})
			shown = append(shown, person+"?", overview+"/people?")
		}
	}
	if len(shown) < 12 {
		t.Errorf("only %q could be made", shown)
	}
	p := w.tab()
	p.signInByKeyboard(homePath)
	p.do(chromedp.EmulateViewport(390, 900))
	for _, lang := range i18n.Languages {
		for _, path := range append(shown, overview+"/topics?", campaignsPage+"?", offersPage+"?") {
			p.open(path + "&lang=" + lang)
			if over := eval[int](p, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
				t.Errorf("%s runs %d pixels over the edge", path, over)
			}
			if eval[bool](p, "document.title === 'ran' || !!document.getElementById('theirs')") {
				t.Errorf("%s runs what a name says", path)
			}
		}
	}
}

// Whoever opens the first page for the first time gets less than 150 kB, its
// letters, scripts and pictures included, in either language.
func TestTheFirstPageIsLight(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.full()
	for _, lang := range i18n.Languages {
		p := w.tab()
		p.signInByKeyboard(overview + "?lang=" + lang)
		p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
			return err
		}))
		p.open(overview + "?lang=" + lang)
		p.until("document.readyState == 'complete' && document.fonts.status == 'loaded'")
		const sum = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].filter(e => !e.name.includes('/live')).reduce((n, e) => n + e.transferSize, 0)"
		if n := eval[float64](p, sum); n < 30_000 || n >= 150_000 {
			t.Errorf("the first page in %s is %.0f bytes: %s", lang, n, eval[string](p, "JSON.stringify(performance.getEntriesByType('resource').map(e => [e.name, e.transferSize]))"))
		} else {
			t.Logf("the first page in %s is %.0f bytes", lang, n)
		}
	}
}
