package app_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"assent/internal/testkit"
)

// inCharge makes the first account at the printed address, and the brand Baharan.
func inCharge(t *testing.T, service *testkit.Service) *visitor {
	t.Helper()
	v := newVisitor(t, service.Base)
	service.Own(t, v.client, "baharan", "Baharan")
	return v
}

// campaignOf makes people who allow a topic, and a campaign to them.
func campaignOf(t *testing.T, api testkit.API, people int) (id string) {
	t.Helper()
	api.Must(t, "POST", "/topics", map[string]any{"slug": "letter", "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": "Yes."}}}, nil)
	api.People(t, people, func(i int) map[string]any {
		return map[string]any{"email": "reader" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + "@example.org", "consents": testkit.Consents(i, "letter")}
	})
	var made struct{ ID string }
	api.Must(t, "POST", "/campaigns", map[string]any{"name": "News", "topic": "letter", "texts": []map[string]any{{"language": "en", "subject": "News", "html": "<p>Hello</p>"}}}, &made)
	return made.ID
}

// The numbers move by themselves at a process that sends nothing.
func TestLiveNumbersOfAProcessThatDoesNotSend(t *testing.T) {
	const people = 150
	mail := testkit.SMTP(t)
	mail.Script(testkit.AnyAddress, testkit.StallReply(30*time.Millisecond).Times(1<<30))
	o := testkit.ServiceOptions{Database: testkit.Postgres(t), Redis: testkit.Redis(t), SMTP: mail.URL + "&connections=1", TestClock: true}
	sender := testkit.NewService(t, o)
	o.Args = []string{"--roles=web"}
	shower := testkit.NewService(t, o)
	mina := inCharge(t, sender)
	mina.base = shower.Base
	api := testkit.API{Base: sender.Base, Key: sender.Key(t), Brand: "baharan"}
	page := "/admin/b/baharan/campaigns/" + campaignOf(t, api, people)
	api.Must(t, "POST", strings.TrimPrefix(page, "/admin/b/baharan")+"/schedule", map[string]any{}, nil)

	body, _ := mina.at(page, nil)
	live := regexp.MustCompile(`id="campaign-live"[^>]* data-live="([^"]+)"`).FindStringSubmatch(body)
	if live == nil {
		t.Fatalf("nothing on the page is live: %s", body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, shower.Base+strings.ReplaceAll(live[1], "&amp;", "&"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := (&http.Client{Jar: mina.client.Jar}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	var changes atomic.Int64
	go func() {
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if lines.Text() == "event: change" {
				changes.Add(1)
			}
		}
	}()
	sender.Pass(t, 61*time.Second)
	shower.Pass(t, 61*time.Second)
	sent := regexp.MustCompile(`>sent</span></dt><dd class="num">([\d,]+)</dd>`)
	between := map[string]bool{}
	for end := time.Now().Add(60 * time.Second); ; {
		told := changes.Load()
		body, _ = mina.at(page, nil)
		got := sent.FindStringSubmatch(body)
		if got != nil {
			between[got[1]] = true
		}
		if got != nil && got[1] == "150" {
			break
		}
		for changes.Load() == told {
			if time.Now().After(end) {
				t.Fatalf("after %d changes nothing more is told: %s", told, body)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if changes.Load() < 3 || len(between) < 3 {
		t.Errorf("the page was told of %d changes, and showed %v", changes.Load(), between)
	}
}

// While PostgreSQL is away a page says so, soon and in words, whether it is down
// or only silent; while Redis is, the pages are there. What was shown before is
// shown after, and nobody has to sign in again.
func TestPagesWhileADatabaseIsAway(t *testing.T) {
	database, redis := testkit.PostgresServer(t), testkit.RedisServer(t)
	service := testkit.NewService(t, testkit.ServiceOptions{Database: database.URL, Redis: redis.URL, SMTP: testkit.SMTP(t).URL})
	mina := inCharge(t, service)
	api := testkit.API{Base: service.Base, Key: service.Key(t), Brand: "baharan"}
	pages := []string{"", "/queues", "/sending"}
	all := func(when string, status int, most time.Duration, words ...string) {
		t.Helper()
		for _, page := range pages {
			began := time.Now()
			res, err := mina.client.Get(service.Base + "/admin/b/baharan" + page)
			if err != nil {
				t.Errorf("%s, %q: %v", when, page, err)
				continue
			}
			text, err := io.ReadAll(res.Body)
			res.Body.Close()
			if took := time.Since(began); err != nil || res.StatusCode != status || res.Request.URL.Path != "/admin/b/baharan"+page || took > most {
				t.Errorf("%s, %q answers %d at %s after %s, %v: %.300s", when, page, res.StatusCode, res.Request.URL, took, err, text)
			}
			t.Logf("%s, %q took %s", when, page, time.Since(began).Round(time.Millisecond))
			for _, word := range words {
				if !strings.Contains(string(text), word) {
					t.Errorf("%s, %q does not say %q", when, page, word)
				}
			}
		}
	}
	const soon = 8 * time.Second // on a busy machine; four seconds are allowed for
	away := []string{"We are away for a moment", "Please try again in a minute. Nothing was lost."}
	back := func(p *testkit.Process) {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if res, err := mina.client.Get(service.Base + "/readyz"); err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return
				}
			}
		}
	}
	all("at first", http.StatusOK, soon, "Sign out")
	redis.Freeze()
	all("with Redis silent", http.StatusOK, soon, "Sign out")
	redis.Thaw()
	redis.Kill()
	all("with Redis down", http.StatusOK, soon, "Sign out")
	back(redis.Process)
	database.Freeze()
	all("with PostgreSQL silent", http.StatusServiceUnavailable, soon, away...)
	database.Thaw()
	back(database.Process)
	all("with PostgreSQL heard again", http.StatusOK, soon, "Sign out")
	database.Kill()
	all("with PostgreSQL down", http.StatusServiceUnavailable, soon, away...)
	back(database.Process)
	all("with PostgreSQL back", http.StatusOK, soon, "Sign out")

	// An open page says that it stands still, and goes on by itself.
	keys := 0
	eyes := newHands(t, testkit.Browser(t), "en", &keys)
	if err := chromedp.Do(eyes.tab, chromedp.Navigate(service.Base+"/admin/sign-in")); err != nil {
		t.Fatal(err)
	}
	eyes.until("the page", "document.readyState === 'complete'")
	eyes.fill("admin.signin.email", "mina@baharan.example")
	eyes.fill("admin.signin.password", testkit.Password)
	eyes.enter("admin.signin.button")
	const said = "document.getElementById('live-away').textContent"
	if told := evaluate[string](eyes, said); told != "" {
		t.Errorf("nothing is away, and the page says %q", told)
	}
	database.Kill()
	eyes.until("it says that it stands still", said+" === "+quoted(eyes.word("admin.live.away")))
	back(database.Process)
	eyes.until("it takes that back", said+" === ''")
	api.Must(t, "POST", "/topics", map[string]any{"slug": "letter", "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": "Yes."}}}, nil)
	api.People(t, 1, func(int) map[string]any {
		return map[string]any{"email": "sara@example.org", "consents": testkit.Consents(0, "letter")}
	})
	eyes.until("it goes on", "document.querySelector('.figure b').textContent === '1'")
}
