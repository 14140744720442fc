package chaos

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"assent/internal/i18n"
	"assent/internal/testkit"
)

const (
	lookEvery = 250 * time.Millisecond
	lookMost  = 10 * time.Second // a page that takes longer hangs
	oldest    = time.Minute      // of a count that a page may show
	wrongMost = 20               // told in full
	few       = 2000             // recipients
)

// marketer has an account made as anybody would make it, and looks at the pages
// while everything dies around her. She takes no number on trust: what does not
// add up, goes back, or claims what the mail server never took, is wrong.
type marketer struct {
	testing.TB
	judge    Judge
	services []*testkit.Service
	client   *http.Client
	brand    string // path of its pages
	campaign string // path below it
	people   int
	most     func() int // mails that may be uncertain by now
	others   func() int // mails, at the most, that the mail server took beside the campaign's
	words    *i18n.Localizer

	looks, away, wrong int
	good               map[string]int // looks that showed the page, by page
	slowest            time.Duration
	at                 int                         // the service that answered last
	seen               map[string]map[string]int64 // by page, the numbers that only grow
	frozen             bool                        // a look has shown that all recipients are known
	accepted           []moment
}

// moment is how many mails the mail server had taken by then.
type moment struct {
	at time.Time
	n  int64
}

// newMarketer makes the first account at the printed address, and her brand.
func newMarketer(r *run, slug string) *marketer {
	r.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.Fatal(err)
	}
	m := &marketer{TB: r, judge: r.Judge, services: r.Services, people: r.People, words: i18n.For("en"),
		seen: map[string]map[string]int64{}, good: map[string]int{}, client: &http.Client{Jar: jar, Timeout: lookMost}}
	m.brand = r.Services[0].Own(r, m.client, slug, "Chaos")
	return m
}

// watch looks at one page after the other until stop.
func (m *marketer) watch(stop <-chan struct{}) {
	pages := []func(){m.lookAtCampaign, m.lookAtOverview, m.lookAtCampaign, m.lookAtQueues}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(lookEvery):
		}
		pages[i%len(pages)]()
	}
}

// get is a look at one page: nil when there is none to see. She asks the next
// process when one does not answer.
func (m *marketer) get(path string) *html.Node {
	m.looks++
	for range m.services {
		began := time.Now()
		res, err := m.client.Get(m.services[m.at%len(m.services)].Base + m.brand + path)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil {
				m.slowest = max(m.slowest, time.Since(began))
				return m.read(path, res, body)
			}
		}
		if os.IsTimeout(err) {
			m.accuse(path, "hangs: %v", err)
			return nil
		}
		m.at++
	}
	m.away++
	return nil
}

// read tells a page from one that says that there is none just now, which has to
// say so in words, and what to do.
func (m *marketer) read(path string, res *http.Response, body []byte) *html.Node {
	doc, err := html.Parse(bytes.NewReader(body))
	switch {
	case err != nil:
		m.accuse(path, "is no page: %v", err)
	case res.Request.URL.Path != m.brand+path:
		m.accuse(path, "leads to %s", res.Request.URL)
	case res.StatusCode == http.StatusServiceUnavailable:
		m.away++
		for _, key := range []string{"public.error.title.unavailable", "public.error.do.unavailable"} {
			if !strings.Contains(text(doc), m.words.T(key)) {
				m.accuse(path, "is away without words: %s", body)
			}
		}
	case res.StatusCode != http.StatusOK:
		m.accuse(path, "answers %s: %s", res.Status, text(doc))
	default:
		m.good[path]++
		return doc
	}
	return nil
}

func (m *marketer) accuse(path, why string, args ...any) {
	m.wrong++
	if m.wrong <= wrongMost {
		m.Logf("the page %q %s", cmp.Or(path, "of the overview"), fmt.Sprintf(why, args...))
	}
}

var mailStates = []string{"queued", "claimed", "sent", "skipped", "failed", "uncertain"}

// states reads the list of numbers that ends with the word for their sum.
func (m *marketer) states(path string, doc *html.Node, sum string) (n map[string]int64, ok bool) {
	for _, list := range find(doc, func(e *html.Node) bool { return e.Data == "dl" && hasClass(e, "states") }) {
		shown := map[string]int64{}
		for _, row := range find(list, func(e *html.Node) bool { return e.Data == "div" }) {
			term, value := find(row, named("dt")), find(row, named("dd"))
			if len(term) != 1 || len(value) != 1 {
				continue
			}
			if v, err := number(text(value[0])); err == nil {
				shown[strings.TrimSpace(text(term[0]))] = v
			}
		}
		total, is := shown[m.words.T(sum)]
		if !is {
			continue
		}
		n = map[string]int64{"total": total}
		var all int64
		for _, s := range mailStates {
			v, is := shown[m.words.T("admin.state."+s)]
			if !is || v < 0 {
				m.accuse(path, "shows %d %s: %v", v, s, shown)
			}
			n[s] = v
			all += v
		}
		if all != total {
			m.accuse(path, "does not add up: %v", shown)
		}
		return n, true
	}
	m.accuse(path, "shows no numbers")
	return nil, false
}

// rises: what was counted as settled stays settled.
func (m *marketer) rises(path string, n map[string]int64, names ...string) {
	if m.seen[path] == nil {
		m.seen[path] = map[string]int64{}
	}
	for _, name := range names {
		if n[name] < m.seen[path][name] {
			m.accuse(path, "shows %d %s after %d", n[name], name, m.seen[path][name])
		}
		m.seen[path][name] = max(m.seen[path][name], n[name])
	}
}

// claims: a mail counted as sent was taken by the mail server before. The other
// way round it holds of a moment ago only, for pages keep a costly count for a
// while, and a mail just taken may still be in the hands of who sends it.
func (m *marketer) claims(path string, n map[string]int64, before, after int64) {
	if n["sent"] > after {
		m.accuse(path, "shows %d sent, and the mail server took %d", n["sent"], after)
	}
	if n["uncertain"] > int64(m.most()) {
		m.accuse(path, "shows %d uncertain, where %d may be", n["uncertain"], m.most())
	}
	now := time.Now()
	m.accepted = append(m.accepted, moment{now, before})
	for len(m.accepted) > 1 && now.Sub(m.accepted[1].at) > oldest {
		m.accepted = m.accepted[1:]
	}
	if old := m.accepted[0]; path == m.campaign && now.Sub(old.at) > oldest && n["sent"]+n["claimed"]+n["uncertain"] < old.n {
		m.accuse(path, "accounts for less than the %d mails that the mail server took a minute ago: %v", old.n, n)
	}
}

// taken is how many mails of the campaign the mail server took, at the most:
// each is counted now and then, and always where they are few.
func (m *marketer) taken() int64 {
	if m.people > few && m.looks%100 > 3 {
		return int64(m.judge.Count(m))
	}
	n := 0
	for _, times := range m.judge.Taken(m, subject) {
		n += times
	}
	return int64(n)
}

func (m *marketer) lookAtCampaign() {
	before := int64(m.judge.Count(m) - m.others())
	doc := m.get(m.campaign)
	if doc == nil {
		return
	}
	n, ok := m.states(m.campaign, doc, "admin.campaign.intended")
	if !ok {
		return
	}
	m.claims(m.campaign, n, before, m.taken())
	m.rises(m.campaign, n, "sent", "skipped", "total")
	said := text(doc)
	if !strings.Contains(said, m.words.T("admin.campaign.state.freezing")) && strings.Contains(said, m.words.T("admin.campaign.state.sending")) {
		m.frozen = true
	}
	if m.frozen && n["total"] != int64(m.people) {
		m.accuse(m.campaign, "counts %d recipients of %d", n["total"], m.people)
	}
	if bar := find(doc, named("progress")); len(bar) > 0 && attribute(bar[0], "value") != strconv.FormatInt(n["sent"], 10) {
		m.accuse(m.campaign, "has a bar at %s, and %d sent", attribute(bar[0], "value"), n["sent"])
	}
}

func (m *marketer) lookAtOverview() {
	doc := m.get("")
	if doc == nil {
		return
	}
	n, ok := m.states("", doc, "admin.dashboard.total")
	if !ok {
		return
	}
	if n["sent"] > int64(m.judge.Count(m)) {
		m.accuse("", "shows %d sent, and the mail server took fewer", n["sent"])
	}
	m.rises("", n, "sent", "skipped", "total")
	for _, figure := range find(doc, func(e *html.Node) bool {
		return e.Data == "section" && attribute(e, "aria-label") == m.words.T("admin.dashboard.sent")
	}) {
		if v, err := number(text(find(figure, named("b"))[0])); err != nil || v != n["sent"] {
			m.accuse("", "says that %d were sent, and that %d were", v, n["sent"])
		}
	}
}

// lookAtQueues: no queue holds more than there are people, or less than nothing.
func (m *marketer) lookAtQueues() {
	doc := m.get("/queues")
	if doc == nil {
		return
	}
	rows := 0
	for _, row := range find(doc, named("tr")) {
		head := find(row, named("th"))
		if len(head) != 1 || !strings.Contains(text(head[0]), m.words.T("admin.queue.bulk")) {
			continue
		}
		rows++
		var all int64
		for _, cell := range find(row, named("td")) {
			v, err := number(text(cell))
			if err != nil || v < 0 {
				m.accuse("/queues", "has a number that is none: %q", text(cell))
			}
			all += v
		}
		if all > int64(m.people) {
			m.accuse("/queues", "has %d mails of %d", all, m.people)
		}
	}
	if rows > 1 || !strings.Contains(text(doc), m.words.T("admin.queues.title")) {
		m.accuse("/queues", "has %d lines of campaigns", rows)
	}
}

// finish compares the last numbers with the mail server's.
func (m *marketer) finish(taken, uncertain int) {
	var n map[string]int64
	for end := time.Now().Add(2 * oldest); ; time.Sleep(lookEvery) { // a page may show a count of a minute ago
		doc := m.get(m.campaign)
		if doc != nil {
			n, _ = m.states(m.campaign, doc, "admin.campaign.intended")
		}
		// What is uncertain was taken, or was not: nobody knows, and the page does not pretend to.
		good := n != nil && n["queued"]+n["claimed"]+n["skipped"]+n["failed"] == 0 && n["uncertain"] == int64(uncertain) &&
			n["sent"] <= int64(taken) && n["sent"]+n["uncertain"] == int64(m.people) && n["sent"]+n["uncertain"] >= int64(taken)
		if good {
			break
		}
		if time.Now().After(end) {
			m.accuse(m.campaign, "ends with %v; the mail server took %d of %d, and %d are uncertain", n, taken, m.people, uncertain)
			break
		}
	}
	m.Logf("she looked %d times; %d times nothing could be shown, and %d times something was wrong; the slowest page took %s; the last numbers: %v",
		m.looks, m.away, m.wrong, m.slowest.Round(time.Millisecond), n)
}

// ---- reading a page ----

func find(n *html.Node, is func(*html.Node) bool) (found []*html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.ElementNode && is(c) {
			found = append(found, c)
		}
		found = append(found, find(c, is)...)
	}
	return found
}

func named(name string) func(*html.Node) bool {
	return func(e *html.Node) bool { return e.Data == name }
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attribute(n, "class")), class)
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(text(c))
	}
	return b.String()
}

var errNoNumber = errors.New("no number")

func number(s string) (int64, error) {
	digits := strings.ReplaceAll(strings.TrimSpace(s), ",", "")
	if digits == "" {
		return 0, errNoNumber
	}
	return strconv.ParseInt(digits, 10, 64)
}
