package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/net/html"

	"assent/internal/testkit"
)

// pagesBench measures the team's pages of a brand that has grown: it signs in,
// follows every link it finds, and asks for each page many times over.
type pagesBench struct {
	people    int
	campaigns int
	rounds    int
	slow      string

	*place
	sink   *testkit.SinkProcess
	client *http.Client
}

const (
	pagesUser     = "owner@bench.example"
	pagesPassword = "a long enough password"
	samplesOfKind = 2    // pages asked for of those that differ in ids only
	hitMails      = 2000 // of which the opens and clicks are
	buyers        = 3000
)

// kindOfPage is the pages that differ in ids and in the values of a filter only.
type kindOfPage struct {
	name      string
	addresses []string
	bytes     int
	took      []time.Duration
}

func (b *pagesBench) measure(tb testing.TB) string {
	b.grow(tb)
	b.signIn()
	kinds := b.walk()
	b.ask(kinds)
	if b.slow != "" {
		if err := os.WriteFile(b.slow, b.database.Log(), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return b.print(kinds)
}

// grow makes the brand: people with and without permission, a sequence that they
// wait in, campaigns to all of them, opens and clicks, orders, codes, and some
// who leave.
func (b *pagesBench) grow(tb testing.TB) {
	dump := tb.TempDir()
	b.sink = testkit.Sink(tb, "-dump-dir", dump, "-dump-max", fmt.Sprint(hitMails))
	var log []testkit.PostgresOption
	if b.slow != "" {
		for name, value := range map[string]string{"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "50", "auto_explain.log_analyze": "on", "log_min_messages": "log"} {
			log = append(log, testkit.PostgresSetting(name, value))
		}
	}
	b.place = settle(tb, "postgres", testkit.ServiceOptions{SMTP: fmt.Sprintf("%s&connections=%d", b.sink.URL, connections), TestClock: true}, log...)
	b.api.Must(b, "PATCH", "/brand", map[string]any{"signed_by": "relay"}, nil) // signatures would take longest, and no page shows them
	for _, slug := range []string{"books", "evenings"} {
		b.must("/topics", map[string]any{"slug": slug, "texts": map[string]any{"en": map[string]any{"name": slug, "wording": wording}}}, nil)
	}
	text := []map[string]any{{"language": "en", "subject": "Welcome, {{ subscriber.name }}", "html": letter(letterSize)}}
	var sequence, offer, form struct{ ID string }
	b.must("/sequences", map[string]any{"name": "Welcome", "topic": "evenings", "steps": []map[string]any{{"wait": map[string]any{"days": 3}}, {"send": map[string]any{"texts": text}},
		{"wait": map[string]any{"days": 7}}, {"send": map[string]any{"texts": text}}}}, &sequence)
	b.must("/sequences/"+sequence.ID+"/start", nil, nil)
	b.must("/forms", map[string]any{"name": "Footer", "topics": []string{topic, "books"}, "fields": []map[string]any{{"name": "name", "type": "text"}}}, &form)
	b.must("/offers", map[string]any{"name": "Thanks", "topic": "books", "texts": map[string]any{"en": map[string]any{"title": "Thanks", "terms": "Once."}},
		"mail": text, "value": map[string]any{"kind": "percent", "percent": 10}, "valid_days": 30, "budget": buyers, "for": map[string]any{"orders": 1}}, &offer)
	began := time.Now()
	ids := b.api.People(b, b.people, func(i int) map[string]any {
		topics := []string{topic}
		if i%2 == 0 {
			topics = append(topics, "opens", "clicks")
		}
		if i%3 == 0 {
			topics = append(topics, "books")
		}
		if i%4 == 0 {
			topics = append(topics, "evenings")
		}
		row := map[string]any{"email": fmt.Sprintf("reader%d@example.org", i), "name": fmt.Sprintf("Reader %d", i), "tags": []string{"all", fmt.Sprintf("shelf-%d", i%50)}}
		row["consents"] = testkit.Consents(i, topics...)
		return row
	})
	b.Logf("%d people made in %s", b.people, time.Since(began).Round(time.Second))
	for i := range min(buyers, b.people) {
		b.must("/orders", map[string]any{"number": fmt.Sprintf("A-%d", i), "subscriber_id": ids[i*3%b.people], "placed_at": b.service.Now().Add(-time.Hour).UTC().Format(time.RFC3339),
			"total": map[string]any{"amount": 1000 + i, "currency": "GBP"}, "items": 1 + i%5}, nil)
	}
	b.must("/offers/"+offer.ID+"/start", nil, nil)
	for n := range b.campaigns {
		b.sink.Reset(b)
		began := time.Now()
		id := b.campaign(fmt.Sprintf("Letter %d", n+1), letter(letterSize), "")
		b.service.Pass(b, 61*time.Second)
		b.until("the campaign is sent", 3*time.Minute+time.Duration(b.people)*20*time.Millisecond, func() bool { return b.sent(id, b.people) })
		b.Logf("%d mails of campaign %d sent in %s", b.people, n+1, time.Since(began).Round(time.Second))
	}
	b.hit(dump)
	for i := range min(500, b.people) {
		b.must("/subscribers/"+ids[len(ids)-1-i]+"/consents/withdraw", map[string]any{"topics": []string{topic}, "evidence": map[string]any{"ticket": i}}, nil)
	}
	for i := range min(2000, b.people) {
		b.must("/suppressions", map[string]any{"email": fmt.Sprintf("gone%d@example.net", i), "reason": "manual", "detail": "asked by phone"}, nil)
	}
	b.must("/campaigns", map[string]any{"name": "A draft", "topic": "books", "texts": []map[string]any{{"language": "en", "subject": "Draft", "html": letter(letterSize)}}}, nil)
}

// hit opens the mails that the mail server kept, and clicks their links.
func (b *pagesBench) hit(folder string) {
	client := visitor(hitsAtATime)
	hits := 0
	for _, m := range dumped(b, folder) {
		for _, address := range regexp.MustCompile(regexp.QuoteMeta(b.service.Base)+`/[ol]/[^"&\s]+`).FindAllString(m, -1) {
			req, err := http.NewRequest(http.MethodGet, address, nil)
			if err != nil {
				b.Fatal(err)
			}
			if res, body, err := ask(client, req); err != nil || res.StatusCode >= 400 {
				b.Fatalf("%s: %v %.200s", address, err, body)
			}
			hits++
		}
	}
	b.Logf("%d opens and clicks", hits)
	if hits == 0 {
		b.Fatal("no mail has a link to follow")
	}
}

func (b *pagesBench) signIn() {
	if _, err := b.service.Run(pagesPassword+"\n", "user", "add", pagesUser); err != nil {
		b.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	b.client = &http.Client{Jar: jar, Timeout: 2 * time.Minute}
	res, err := b.client.PostForm(b.service.Base+"/admin/sign-in", url.Values{"email": {pagesUser}, "password": {pagesPassword}})
	if err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || strings.HasSuffix(res.Request.URL.Path, "sign-in") {
		b.Fatalf("signing in led to %s: %s", res.Request.URL, res.Status)
	}
}

// get asks for a page; took is until its last byte. A page that is none (a
// picture, a file) has no body here.
func (b *pagesBench) get(address string) (body []byte, took time.Duration) {
	req, err := http.NewRequest(http.MethodGet, b.service.Base+address, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	began := time.Now()
	res, body, err := ask(b.client, req)
	took = time.Since(began)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("GET %s: %v %.500s", address, err, body)
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return nil, took
	}
	return body, took
}

var ids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// kindOf names what an address is one of: ids and the values of a query left out.
func kindOf(address *url.URL) string {
	name := ids.ReplaceAllString(address.Path, ":id")
	if keys := slices.Sorted(maps.Keys(address.Query())); len(keys) > 0 {
		name += "?" + strings.Join(keys, "&")
	}
	return name
}

// walk follows the links of the pages from the overview on.
func (b *pagesBench) walk() []*kindOfPage {
	kinds, seen := map[string]*kindOfPage{}, map[string]bool{}
	next := []string{"/admin/b/bench", "/admin/b/bench/people?q=reader123", "/admin/b/bench/people?q=reader1234@example.org", "/admin/b/bench/people?q=Reader+77",
		"/admin/b/bench/people?tag=shelf-7&stand=given", "/admin/b/bench/people?stand=taken", "/admin/b/bench/people?q=nobody-has-this"}
	for len(next) > 0 {
		address := next[0]
		next = next[1:]
		at, err := url.Parse(address)
		if err != nil || seen[address] {
			continue
		}
		seen[address] = true
		if at.Query().Has("lang") && at.Query().Get("lang") != "fa" {
			continue
		}
		kind := kindOf(at)
		if strings.HasSuffix(at.Path, "/people") && at.Query().Get("q") != "" {
			kind += " " + at.Query().Get("q")
		}
		k := kinds[kind]
		if k == nil {
			k = &kindOfPage{name: kind}
			kinds[kind] = k
		}
		if len(k.addresses) == samplesOfKind {
			continue
		}
		body, _ := b.get(address)
		if body == nil {
			delete(kinds, kind)
			continue
		}
		k.addresses, k.bytes = append(k.addresses, address), max(k.bytes, len(body))
		next = append(next, linksOf(body, at)...)
	}
	return slices.SortedFunc(maps.Values(kinds), func(a, b *kindOfPage) int { return strings.Compare(a.name, b.name) })
}

// linksOf are the addresses of pages of the team that a page leads to.
func linksOf(page []byte, at *url.URL) (found []string) {
	tree, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return nil
	}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" && n.Data != "iframe" {
			continue
		}
		for _, a := range n.Attr {
			if a.Key != "href" && a.Key != "src" {
				continue
			}
			to, err := at.Parse(a.Val)
			if err == nil && to.Host == "" && (strings.HasPrefix(to.Path, "/admin/") || strings.HasPrefix(to.Path, "/help")) {
				to.Fragment = ""
				found = append(found, to.String())
			}
		}
	}
	return found
}

// ask asks for every page in every round, in an order of its own: what a page
// finds in a cache is what the others left there.
func (b *pagesBench) ask(kinds []*kindOfPage) {
	type visit struct {
		kind    *kindOfPage
		address string
	}
	var all []visit
	for _, k := range kinds {
		for _, address := range k.addresses {
			all = append(all, visit{k, address})
		}
	}
	for range b.rounds {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, v := range all {
			_, took := b.get(v.address)
			v.kind.took = append(v.kind.took, took)
		}
	}
}

// print gives the table, the slowest first.
func (b *pagesBench) print(kinds []*kindOfPage) string {
	var all []time.Duration
	for _, k := range kinds {
		slices.Sort(k.took)
		all = append(all, k.took...)
	}
	slices.Sort(all)
	at := func(of []time.Duration, q float64) float64 { return of[int(float64(len(of)-1)*q)].Seconds() * 1000 }
	slices.SortFunc(kinds, func(a, b *kindOfPage) int { return int(at(b.took, .5)*1000) - int(at(a.took, .5)*1000) })
	fmt.Printf("\n%d people, %d mails; each page asked for %d times, one after the other\n", b.people, b.people*b.campaigns, b.rounds*samplesOfKind)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "page\tbytes\tp50_ms\tp99_ms\tmost")
	for _, k := range kinds {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\n", k.name, k.bytes, at(k.took, .5), at(k.took, .99), at(k.took, 1))
	}
	_ = w.Flush()
	return fmt.Sprintf("p50_ms=%.1f p99_ms=%.1f worst=%s:%.1f", at(all, .5), at(all, .99), strings.ReplaceAll(kinds[0].name, " ", "+"), at(kinds[0].took, .5))
}
