package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"assent/internal/testkit"
)

const (
	connections = 40
	patience    = 10 * time.Minute
)

// installation is the running program with PostgreSQL, Redis, a mail server and
// a brand with people.
type installation struct {
	testing.TB
	sink     *testkit.SinkProcess
	dump     string
	services []*testkit.Service
	options  testkit.ServiceOptions
	api      testkit.API
	form     string
	ids      []string // of the people
	index    map[string]int
}

const topic = "letter"

// setting is what is particular about one.
type setting struct {
	atData  float64        // percent of the connections that are cut at DATA
	promise map[string]any // of the topic
	direct  []string       // settings under which mail goes straight to the receivers
}

func install(tb testing.TB, set setting) *installation {
	i := &installation{TB: tb, dump: tb.TempDir(), index: map[string]int{}}
	i.sink = testkit.Sink(tb, "-dump-dir", i.dump, "-dump-max", fmt.Sprint(leavers))
	pg, redis := testkit.PostgresServer(tb, testkit.Durable()), testkit.RedisServer(tb)
	server := i.sink.URL
	switch {
	case set.direct != nil:
		server = "mx://?hello=mail.faults.example"
		set.direct = append(set.direct, "ASSENT_MX_PORT="+portOf(tb, i.sink.Addr))
	case set.atData > 0:
		server = testkit.CutAtData(tb, i.sink.Addr, set.atData).URL
	}
	i.options = testkit.ServiceOptions{Database: pg.URL, Redis: redis.URL, SMTP: fmt.Sprintf("%s&connections=%d", server, connections), TestClock: true,
		PublicURL: "https://mail.faults.example", Env: append(set.direct, "ASSENT_SIGNUP_PER_IP=100000", "ASSENT_SIGNUP_PER_FORM=100000", "ASSENT_SIGNUP_PER_NETWORK=100000", "ASSENT_SIGNUP_PER_DOMAIN=100000", "ASSENT_SIGNUP_PROOF=off", "ASSENT_SIGNUP_MIN_FILL=0s")}
	i.services = []*testkit.Service{testkit.NewService(tb, i.options)}
	i.api = testkit.API{Base: i.services[0].Base, Key: i.services[0].Key(tb)}
	i.must("/brands", map[string]any{"slug": "faults", "name": "Faults", "postal_address": "1 Street", "sender_email": "post@faults.example", "signed_by": "relay",
		"language": "en", "time_zone": "UTC"}, nil)
	i.api.Brand = "faults"
	t := map[string]any{"slug": topic, "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": "Yes, write to me."}}}
	for name, value := range set.promise {
		t[name] = value
	}
	i.must("/topics", t, nil)
	var made struct{ ID string }
	i.must("/forms", map[string]any{"name": "Form", "topics": []string{topic}}, &made)
	i.form = made.ID
	return i
}

func (i *installation) must(path string, body, out any) {
	i.Helper()
	i.api.Must(i, "POST", path, body, out)
}

func address(n int) string { return fmt.Sprintf("reader%d@example.org", n) }

// people brings n with permission; tag names some of them.
func (i *installation) people(n int, tag func(n int) string) {
	i.ids = i.api.People(i, n, func(n int) map[string]any {
		row := map[string]any{"email": address(n), "name": fmt.Sprintf("Reader %d", n), "consents": testkit.Consents(n, topic)}
		if tag != nil && tag(n) != "" {
			row["tags"] = []string{tag(n)}
		}
		return row
	})
	for n, id := range i.ids {
		i.index[id] = n
	}
}

// pass moves the clock of every worker on.
func (i *installation) pass(d time.Duration) {
	for _, s := range i.services {
		s.Pass(i, d)
	}
}

// sent is a campaign.
type sent struct {
	id, source, subject string
}

func (i *installation) campaign(subject, tag string) sent {
	i.Helper()
	var made struct {
		ID       string `json:"id"`
		SourceID string `json:"source_id"`
	}
	i.must("/campaigns", map[string]any{"name": subject, "topic": topic, "tag": tag, "texts": []map[string]any{{"language": "en", "subject": subject,
		"html": "<p>Hello {{ subscriber.name }}, <a href='https://faults.example/'>read on</a>.</p>"}}}, &made)
	i.must("/campaigns/"+made.ID+"/schedule", map[string]any{}, nil)
	return sent{made.ID, made.SourceID, subject}
}

type counts struct {
	State    string
	Messages struct{ Queued, Claimed, Sent, Failed, Skipped, Uncertain, Total int }
}

func (i *installation) counts(c sent) (n counts) {
	i.api.Must(i, "GET", "/campaigns/"+c.id, nil, &n)
	return n
}

func (i *installation) until(what string, every time.Duration, done func() bool) {
	i.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(every) {
		if time.Now().After(end) {
			i.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// finish waits for the end of a campaign, and lets a minute pass whenever
// nothing was mailed for two seconds: what was put off is due then.
func (i *installation) finish(c sent) counts {
	var n counts
	seen, since := int64(-1), time.Now()
	i.until("the campaign ends", 200*time.Millisecond, func() bool {
		if now := i.sink.QuickStats(i).Messages; now != seen {
			seen, since = now, time.Now()
			return false
		}
		if time.Since(since) < 2*time.Second {
			return false
		}
		n = i.counts(c)
		if n.State == "paused" { // as a breaker does
			mustHold(i, false, "%s was stopped: %+v", c.subject, n.Messages)
			i.must("/campaigns/"+c.id+"/resume", nil, nil)
		}
		if n.State == "sent" && n.Messages.Queued+n.Messages.Claimed == 0 {
			return true
		}
		since = time.Now()
		i.pass(time.Minute)
		return false
	})
	return n
}

// row is a line of the table.
type row struct {
	name                                    string
	mails, sent, failed, uncertain, skipped int // by the API
	taken, twice, lost, otherwise           int // by the mail server, and by comparing both
	took                                    time.Duration
	clock                                   time.Duration // that passed for the program
}

// judge compares what the API says of everybody with what the mail server took.
// Lost is who has permission, was not mailed and is not listed as failed,
// skipped or uncertain; said otherwise, who is listed as failed or skipped, and
// was mailed.
func (i *installation) judge(c sent, took time.Duration) row {
	i.Helper()
	n := i.counts(c)
	r := row{mails: n.Messages.Total, sent: n.Messages.Sent, failed: n.Messages.Failed, uncertain: n.Messages.Uncertain, skipped: n.Messages.Skipped, took: took, clock: i.services[0].Ahead()}
	listed := map[int]string{}
	for _, state := range []string{"failed", "skipped", "uncertain"} {
		i.listed(c, state, listed)
	}
	got := i.taken(c.subject)
	for p := range i.ids {
		times, state := got[address(p)].Count, listed[p]
		if times > 0 {
			r.taken++
		}
		switch {
		case times > 1:
			r.twice++
		case times == 0 && state == "":
			r.lost++
		case times > 0 && (state == "failed" || state == "skipped"):
			r.otherwise++
		}
	}
	return r
}

func (i *installation) taken(subject string) map[string]testkit.Delivery {
	got := map[string]testkit.Delivery{}
	for _, d := range i.sink.Recipients(i) {
		if d.Key == subject {
			got[d.Recipient] = d
		}
	}
	return got
}

// listed notes the people whose mail is in a state.
func (i *installation) listed(c sent, state string, into map[int]string) {
	i.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				SubscriberID string `json:"subscriber_id"`
			}
			Next string
		}
		i.api.Must(i, http.MethodGet, "/messages?limit=200&state="+state+"&source_id="+c.source+"&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, m := range page.Items {
			into[i.index[m.SubscriberID]] = state
		}
		if cursor = page.Next; cursor == "" {
			return
		}
	}
}

// get is API.Must without a test to end, for what may fail meanwhile.
func (i *installation) get(path string, out any) error {
	got, err := i.api.Do(http.MethodGet, path, nil)
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d", path, got.Status)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(got.Body, out)
}
