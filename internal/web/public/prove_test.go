package public

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"assent/internal/signup"
	"assent/internal/signup/altcha"
	"assent/internal/store"
)

var (
	challengeField = regexp.MustCompile(`data-challenge="([^"]+)"`)
	waitField      = regexp.MustCompile(`name="wait" value="([^"]+)"`)
)

// robot sends a form as a program does that says what it is.
func (w *world) robot(body string, headers ...string) *httptest.ResponseRecorder {
	w.Helper()
	return w.do("POST", "/f/"+w.form.ID.String(), body, append([]string{"User-Agent", "python-requests/2.32", "Accept-Language", ""}, headers...)...)
}

func with(body string, more ...string) string {
	v, _ := url.ParseQuery(body)
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v.Encode()
}

// solved is the proof that the page asks for.
func (w *world) solved(page string) string {
	w.Helper()
	m := challengeField.FindStringSubmatch(page)
	if m == nil {
		w.Fatalf("no challenge:\n%s", page)
	}
	var c altcha.Challenge
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &c); err != nil {
		w.Fatal(err)
	}
	s, err := altcha.Solve(c)
	if err != nil {
		w.Fatal(err)
	}
	return altcha.Payload(c, s)
}

func TestWorkIsAskedOfTheSuspiciousOnly(t *testing.T) {
	each(t, func(w *world) {
		body := filled(w.token(), "sara@example.org", "news")
		before := w.ledger()
		rec := w.robot(body)
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `<altcha-widget`) || w.ledger() != before {
			w.Fatalf("a program is asked for nothing: %d %s\n%s", rec.Code, w.ledger(), rec.Body)
		}
		if strings.Contains(rec.Header().Get("Content-Security-Policy"), "unsafe") {
			w.Error("the policy is weakened for it")
		}
		proof := w.solved(rec.Body.String())
		if rec := w.robot(with(body, "email", "not an address", "altcha", proof)); rec.Code != 422 || !strings.Contains(rec.Body.String(), proof) {
			w.Errorf("a slip of the pen costs the proof: %d\n%s", rec.Code, rec.Body)
		}
		if rec := w.robot(with(body, "altcha", proof)); rec.Code != 200 || w.count("SELECT count(*) FROM signup_requests") != 1 {
			w.Fatalf("with the proof: %d\n%s", rec.Code, rec.Body)
		}
		after := w.ledger()
		if rec := w.robot(with(body, "altcha", proof, "email", "other@example.org")); !strings.Contains(rec.Body.String(), `<altcha-widget`) || w.ledger() != after {
			w.Errorf("the proof is good twice:\n%s", rec.Body)
		}
		w.write(func(tx *store.Tx) error {
			other, err := signup.Create(tx, w.brand, "Another", signup.Spec{Topics: []string{"news"}})
			if err != nil {
				return err
			}
			c, err := signup.Work(signup.Defaults(w.urls), other.ID, 3, w.now())
			if err != nil {
				return err
			}
			s, err := altcha.Solve(c)
			if _, ok := signup.ReadWork(signup.Defaults(w.urls), w.form.ID, altcha.Payload(c, s), 1, w.now()); ok {
				w.Error("a proof for one form is good at another")
			}
			return err
		})
		if rec := w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "reza@example.org", "news")); strings.Contains(rec.Body.String(), "altcha") || w.count("SELECT count(*) FROM signup_requests") != 2 {
			w.Errorf("a person is asked for work: %d\n%s", rec.Code, rec.Body)
		}
	})
}

func TestTheWayWithoutScripts(t *testing.T) {
	each(t, func(w *world) {
		body := filled(w.token(), "sara@example.org", "news")
		page := w.robot(with(body, "way", "wait")).Body.String()
		m := waitField.FindStringSubmatch(page)
		if m == nil || strings.Contains(page, "<altcha-widget") {
			w.Fatalf("no way without scripts:\n%s", page)
		}
		ticket, ok := signup.ReadWait(signup.Defaults(w.urls), w.form.ID, m[1], w.now())
		if !ok {
			w.Fatal("the ticket does not open")
		}
		answer := fmt.Sprint(ticket.A + ticket.B)
		before := w.ledger()
		if rec := w.robot(with(body, "wait", m[1], "answer", answer)); !strings.Contains(rec.Body.String(), "more patience") || w.ledger() != before {
			w.Errorf("nobody has to wait:\n%s", rec.Body)
		}
		w.pass(signup.WaitTime)
		if rec := w.robot(with(body, "wait", m[1], "answer", "99")); w.ledger() != before || !strings.Contains(rec.Body.String(), "another question") {
			w.Errorf("a wrong answer does: %s", rec.Body)
		}
		persian := strings.Map(func(r rune) rune { return r - '0' + '۰' }, answer)
		if rec := w.robot(with(body, "wait", m[1], "answer", persian)); rec.Code != 200 || w.count("SELECT count(*) FROM signup_requests") != 1 {
			w.Fatalf("%d\n%s", rec.Code, rec.Body)
		}
		after := w.ledger()
		if w.robot(with(body, "wait", m[1], "answer", answer, "email", "b@example.org")); w.ledger() != after {
			w.Error("a wait is good twice")
		}
		for i := range 5 {
			m := waitField.FindStringSubmatch(w.robot(with(body, "way", "wait")).Body.String())
			ticket, _ := signup.ReadWait(signup.Defaults(w.urls), w.form.ID, m[1], w.now())
			w.pass(signup.WaitTime)
			w.robot(with(body, "wait", m[1], "answer", fmt.Sprint(ticket.A+ticket.B), "email", fmt.Sprintf("more%d@example.org", i)))
		}
		if n := w.count("SELECT count(*) FROM signup_requests"); n > waitsPerIP {
			w.Errorf("%d went this way within the hour", n)
		}
	})
}

func TestASuspiciousWidgetIsLedToTheHostedPage(t *testing.T) {
	each(t, func(w *world) {
		rec := w.robot(filled(w.token(), "sara@example.org", "news"), "Accept", "application/json", "Origin", "https://shop.example")
		var said struct{ Open, Title string }
		if err := json.Unmarshal(rec.Body.Bytes(), &said); err != nil || said.Open == "" || said.Title == "" || rec.Code != 409 {
			w.Fatalf("%d %s", rec.Code, rec.Body)
		}
		if strings.Contains(said.Open, "sara") || strings.Contains(said.Open, "example.org%2F") {
			w.Errorf("the address is in the link: %s", said.Open)
		}
		page := w.do("GET", path(said.Open), "").Body.String()
		if !strings.Contains(page, `value="sara@example.org"`) || !strings.Contains(page, "<altcha-widget") {
			w.Errorf("what was typed is lost:\n%s", page)
		}
		if !strings.Contains(page, `name="topic:news" value="1"`) || regexp.MustCompile(`type="checkbox"[^>]* checked`).MatchString(page) {
			w.Errorf("a link opens the page with a box ticked:\n%s", page)
		}
		w.pass(keptLife + time.Second)
		if page := w.do("GET", path(said.Open), ""); page.Code != 200 || strings.Contains(page.Body.String(), "sara@") {
			w.Errorf("the link is good for ever: %d", page.Code)
		}
	})
}

// TestProofIsAskedOfEveryAddressAlike: new paths tell no more than the old.
func TestProofIsAskedOfEveryAddressAlike(t *testing.T) {
	each(t, func(w *world) {
		w.subscribe("confirmed@example.org", "news")
		w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "pending@example.org", "news"))
		w.pass(25 * time.Hour)
		token := w.token()
		secrets := regexp.MustCompile(`data-challenge="[^"]+"|name="(token|wait)" value="[^"]+"|>How much is [^<]+<|kept=[A-Za-z0-9_-]+|[a-z]+@example\.org`)
		for _, more := range [][]string{nil, {"way", "wait"}, {"wait", "x", "answer", "7"}, {"altcha", "e30="}} {
			for _, accept := range []string{"text/html", "application/json"} {
				var first string
				for _, who := range []string{"nobody@", "pending@", "confirmed@"} {
					rec := w.robot(with(filled(token, who+"example.org", "news"), more...), "Accept", accept)
					got := fmt.Sprint(rec.Code) + secrets.ReplaceAllString(rec.Body.String(), "")
					if accept == "application/json" {
						got = regexp.MustCompile(`"request_id":"[^"]+"`).ReplaceAllString(got, "")
					}
					if first == "" {
						first = got
					} else if got != first {
						w.Errorf("%v %s: %s is answered otherwise:\n%s\n%s", more, accept, who, first, got)
					}
				}
			}
		}
	})
}

func TestNetworksAndDomainsAreLimited(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		d := w.deps(1000, 1000)
		d.PerNetwork, d.PerDomain, d.Prove = 3, 2, ProveNever
		w.http = w.serve(d)
		token := w.token()
		send := func(ip, email string) int {
			r := httptest.NewRequest("POST", form, strings.NewReader(filled(token, email, "news")))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = ip
			rec := httptest.NewRecorder()
			w.http.ServeHTTP(rec, r)
			return rec.Code
		}
		var got []int
		for i := range 4 {
			got = append(got, send(fmt.Sprintf("192.0.2.%d:1", i), fmt.Sprintf("a@a%d.example", i)))
		}
		if !slices.Equal(got, []int{200, 200, 200, 429}) {
			w.Errorf("a /24: %v", got)
		}
		got = nil
		for i := range 4 {
			got = append(got, send(fmt.Sprintf("[2001:db8:1:%d::1]:1", i), fmt.Sprintf("a@b%d.example", i)))
		}
		if !slices.Equal(got, []int{200, 200, 200, 429}) {
			w.Errorf("a /48: %v", got)
		}
		got = nil
		for i := range 3 {
			got = append(got, send(fmt.Sprintf("198.51.%d.1:1", i), fmt.Sprintf("p%d@office%d.victim.example", i, i)))
		}
		if !slices.Equal(got, []int{200, 200, 429}) {
			w.Errorf("a domain: %v", got)
		}
		got = nil
		for i := range 4 {
			got = append(got, send(fmt.Sprintf("203.0.%d.1:1", i), fmt.Sprintf("p%d@gmail.com", i)))
		}
		if !slices.Equal(got, []int{200, 200, 200, 200}) {
			w.Errorf("a large provider: %v", got)
		}
	})
}

// TestAFullDomainAsksForWorkAndRefusesNobody: whoever fills it keeps no other out.
func TestAFullDomainAsksForWorkAndRefusesNobody(t *testing.T) {
	each(t, func(w *world) {
		d := w.deps(1000, 1000)
		d.PerDomain = 4
		w.http = w.serve(d)
		token, asked := w.token(), []bool{}
		send := func(i int, more ...string) string {
			body := with(filled(token, fmt.Sprintf("p%d@victim.example", i), "news"), more...)
			return w.do("POST", "/f/"+w.form.ID.String(), body).Body.String()
		}
		for i := range 8 {
			asked = append(asked, challengeField.MatchString(send(i)))
		}
		if !slices.Equal(asked, []bool{false, false, true, true, true, true, true, true}) {
			w.Errorf("asked for work: %v", asked)
		}
		page := send(8)
		if _, ok := signup.ReadWork(signup.Defaults(w.urls), w.form.ID, w.solved(page), 2, w.now()); !ok {
			w.Error("a full domain asks for no more work than a busy one")
		}
		before := w.count("SELECT count(*) FROM signup_requests")
		if page := send(8, "altcha", w.solved(page)); w.count("SELECT count(*) FROM signup_requests") != before+1 {
			w.Errorf("with the proof:\n%s", page)
		}
	})
}

// TestAPressOfAProgramIsNoConfirmation: at once after delivery, from elsewhere.
func TestAPressOfAProgramIsNoConfirmation(t *testing.T) {
	each(t, func(w *world) {
		w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "sara@example.org", "news"))
		r := w.request()
		question := path(w.urls.Confirm(r.ID))
		w.pass(time.Minute)
		w.write(func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE messages SET state = 'sent', settled_at = ? WHERE source_id = ?", tx.Now(), r.ID)
			return err
		})
		press := func(body string) *httptest.ResponseRecorder {
			q := httptest.NewRequest("POST", question, strings.NewReader(body))
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			q.RemoteAddr = "203.0.113.9:1"
			rec := httptest.NewRecorder()
			w.http.ServeHTTP(rec, q)
			return rec
		}
		topic := "&topic=" + w.news.ID.String()
		w.pass(3 * time.Second)
		for _, body := range []string{"answer=yes&dwell=50&touched=", "answer=yes" + topic, "answer=yes&topic=" + w.offers.ID.String()} {
			if rec := press(body); rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="topic"`) {
				w.Errorf("%s: %d\n%s", body, rec.Code, rec.Body)
			}
		}
		if w.count("SELECT count(*) FROM signup_requests WHERE state = 'confirmed'") != 0 || w.count("SELECT count(*) FROM signup_requests WHERE doubted_at IS NOT NULL") != 1 {
			w.Error("a program's press counts")
		}
		w.pass(3 * time.Second)
		if rec := press("answer=yes" + topic); rec.Code != 200 || w.count("SELECT count(*) FROM signup_requests WHERE state = 'confirmed'") != 1 {
			w.Errorf("the second step: %d\n%s", rec.Code, rec.Body)
		}
		if got := w.allowed(w.person(r.SubscriberID)); got != "news" {
			w.Errorf("allowed: %q", got)
		}
	})
}

// TestLeavingIsNeverInTheWay: within a second, from anywhere, by any program.
func TestLeavingIsNeverInTheWay(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		ref := w.mail(s, w.news)
		if rec := w.do("POST", path(w.urls.Leave(ref)), "List-Unsubscribe=One-Click", "User-Agent", "python-requests/2", "Accept-Language", ""); rec.Code != 200 || w.allowed(s) != "" {
			w.Errorf("%d %q", rec.Code, w.allowed(s))
		}
	})
}
