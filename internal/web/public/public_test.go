package public

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/signup"
	"assent/internal/store"
)

func TestEveryAnswerToASignUpIsTheSame(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		w.subscribe("confirmed@example.org", "news")
		w.do("POST", form, filled(w.token(), "pending@example.org", "news"))
		s := w.subscribe("complained@example.org", "news")
		w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, consent.Complaint, "") })
		w.pass(25 * time.Hour)
		token := w.token()
		for _, accept := range []string{"text/html", "application/json"} {
			var first *httptest.ResponseRecorder
			for _, who := range []string{"new-" + accept[:4], "pending", "confirmed", "complained"} {
				rec := w.do("POST", form, filled(token, who+"@example.org", "news"), "Accept", accept)
				rec.Header().Del("X-Request-Id") // random for everybody
				if first == nil {
					first = rec
					if rec.Code != 200 {
						w.Fatalf("%d %s", rec.Code, rec.Body)
					}
					continue
				}
				if rec.Code != first.Code || !bytes.Equal(rec.Body.Bytes(), first.Body.Bytes()) || !maps.EqualFunc(rec.Header(), first.Header(), slices.Equal) {
					w.Errorf("%s is answered otherwise: %d %v\n%s", who, rec.Code, rec.Header(), rec.Body)
				}
			}
		}
	})
}

// TestTheTimeOfASignUpTellsNothing compares how long the answers take. It
// interleaves the kinds of people, so that the machine's moods meet all alike,
// and measures up to three times: a mood passes, a leak stays.
func TestTheTimeOfASignUpTellsNothing(t *testing.T) {
	const rounds = 25
	people := []string{"new", "pending", "confirmed", "complained"}
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		for i := range rounds {
			s := w.subscribe(fmt.Sprintf("complained%d@example.org", i), "news", "offers")
			w.write(func(tx *store.Tx) error { return consent.Suppress(tx, w.brand, s.AddressHash, consent.Complaint, "") })
			w.subscribe(fmt.Sprintf("confirmed%d@example.org", i), "news", "offers")
		}
		measure := func(try int) (ratios map[string]float64, even bool) {
			w.pass(31 * 24 * time.Hour)
			for i := range rounds {
				w.do("POST", form, filled(w.token(), fmt.Sprintf("pending%d@example.org", i), "news", "offers"))
			}
			w.pass(25 * time.Hour)
			token := w.token()
			took := map[string][]float64{}
			for i := range rounds {
				for _, who := range people {
					address := fmt.Sprintf("%s%d@example.org", who, i)
					if who == "new" {
						address = fmt.Sprintf("new%d-%d@example.org", try, i)
					}
					body := filled(token, address, "news", "offers")
					begun := time.Now()
					w.do("POST", form, body)
					took[who] = append(took[who], time.Since(begun).Seconds())
				}
			}
			ratios, even = map[string]float64{}, true
			slices.Sort(took["new"])
			for _, who := range people[1:] {
				slices.Sort(took[who])
				ratios[who] = took[who][rounds/2] / took["new"][rounds/2]
				even = even && ratios[who] > 0.75 && ratios[who] < 1.4
			}
			return ratios, even
		}
		var ratios map[string]float64
		for try := range 3 {
			var even bool
			if ratios, even = measure(try); even {
				w.Logf("medians as shares of a new one's: %v", ratios)
				return
			}
		}
		w.Errorf("medians as shares of a new one's: %v", ratios)
	})
}

// TestScannersConfirmNothing: a thousand looks of every kind, and nothing has changed.
func TestScannersConfirmNothing(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news", "opens", "clicks")
		w.pass(25 * time.Hour)
		w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "reza@example.org", "news"))
		ref := w.mail(s, w.news)
		question := path(w.urls.Confirm(w.request().ID))
		pages := []string{question, question + "?answer=notme", question + "?answer=yes", path(w.urls.Leave(ref)), path(w.urls.Preferences(w.brand.ID, s.ID)), path(w.urls.Why(ref)), path(w.urls.View(ref)), "/f/" + w.form.ID.String()}
		before := w.ledger()
		for i := range 1000 {
			method := []string{"GET", "HEAD", "OPTIONS"}[i%3]
			rec := w.do(method, pages[i%len(pages)], "", "User-Agent", "Barracuda Sentinel", "Sec-Purpose", "prefetch")
			if rec.Code >= 400 {
				w.Fatalf("%s %s: %d %s", method, pages[i%len(pages)], rec.Code, rec.Body)
			}
			if len(rec.Result().Cookies()) > 0 {
				w.Fatal("a public page sets a cookie")
			}
		}
		if after := w.ledger(); after != before {
			w.Errorf("scanners changed something:\n%s\n%s", before, after)
		}
		if rec := w.do("GET", question, ""); rec.Header().Get("Referrer-Policy") != "no-referrer" || rec.Header().Get("Cache-Control") != "no-store" ||
			!strings.Contains(rec.Header().Get("X-Robots-Tag"), "noindex") || !strings.Contains(rec.Body.String(), `name="answer" value="yes"`) {
			w.Errorf("%v\n%s", rec.Header(), rec.Body)
		}
	})
}

// TestOneClickLeavesOneTopic is RFC 8058 §3.1 in both encodings.
func TestOneClickLeavesOneTopic(t *testing.T) {
	each(t, func(w *world) {
		for i, encode := range []func() (body, kind string){
			func() (string, string) {
				return "List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"
			},
			func() (string, string) {
				var b bytes.Buffer
				m := multipart.NewWriter(&b)
				m.WriteField("List-Unsubscribe", "One-Click")
				m.Close()
				return b.String(), m.FormDataContentType()
			},
		} {
			s := w.subscribe(fmt.Sprintf("sara%d@example.org", i), "news", "offers", "opens")
			ref := w.mail(s, w.news)
			w.pass(400 * 24 * time.Hour)
			archived := true
			w.write(func(tx *store.Tx) error {
				_, err := consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Archived: &archived})
				return err
			})
			body, kind := encode()
			for range 2 {
				rec := w.do("POST", path(w.urls.Leave(ref)), body, "Content-Type", kind, "Origin", "https://webmail.example", "Sec-Fetch-Site", "cross-site")
				if rec.Code != 200 || rec.Header().Get("Location") != "" || rec.Header().Get("Set-Cookie") != "" {
					w.Fatalf("%s: %d %v", kind, rec.Code, rec.Header())
				}
				if got := w.allowed(s); got != "offers" && got != "offers opens" {
					w.Errorf("%s: %q is still allowed", kind, got)
				}
			}
			if n := w.count("SELECT count(*) FROM consent_events WHERE subscriber_id = ? AND state = 'withdrawn' AND method = 'one-click'", s.ID); n != 1 {
				w.Errorf("%s: %d withdrawals", kind, n)
			}
			archived = false
			w.write(func(tx *store.Tx) error {
				_, err := consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Archived: &archived})
				return err
			})
		}
		s := w.subscribe("all@example.org", "news", "offers", "opens")
		if rec := w.do("POST", path(w.urls.Leave(w.mail(s, w.news))), "leave=all"); rec.Code != 200 || w.allowed(s) != "" {
			w.Errorf("leave everything: %d, %q", rec.Code, w.allowed(s))
		}
	})
}

func TestUnknownAndTamperedTokens(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news", "clicks", "opens")
		ref := w.mail(s, w.news)
		gone := link.Message{Source: uuid.New(), ID: uuid.New()}
		before := w.ledger()
		good := map[string]string{
			"/c/": w.urls.Confirm(w.request().ID), "/u/": w.urls.Leave(ref), "/p/": w.urls.Preferences(w.brand.ID, s.ID), "/w/": w.urls.Why(ref),
			"/v/": w.urls.View(ref), "/o/": w.urls.Pixel(ref), "/l/": w.urls.Click(ref, 0),
		}
		bad := []string{"x", strings.Repeat("A", 2000), "%00", "%ff", "..%2f"}
		for prefix, address := range good {
			token := strings.TrimPrefix(path(address), prefix)
			flipped := token[:len(token)-5] + "AAAAA"
			for _, tok := range append(bad, flipped) {
				for _, method := range []string{"GET", "POST"} {
					rec := w.do(method, prefix+tok, "answer=yes&do=leave")
					if rec.Code != 404 && rec.Code != 400 && rec.Code != 405 || rec.Header().Get("Location") != "" {
						w.Errorf("%s %s%.20s: %d", method, prefix, tok, rec.Code)
					}
				}
			}
			for other := range good {
				if other == prefix {
					continue
				}
				if rec := w.do("GET", other+token, ""); rec.Code != 404 {
					w.Errorf("a token of %s opens %s: %d", prefix, other, rec.Code)
				}
			}
		}
		for _, address := range []string{w.urls.Leave(gone), w.urls.Why(gone), w.urls.View(gone), w.urls.Click(gone, 0), w.urls.Click(ref, 9),
			w.urls.Confirm(uuid.New()), w.urls.Preferences(w.brand.ID, uuid.New()), w.urls.Preferences(uuid.New(), s.ID)} {
			if rec := w.do("GET", path(address), ""); rec.Code != 404 || rec.Header().Get("Location") != "" {
				w.Errorf("%s: %d", address, rec.Code)
			}
		}
		if after := w.ledger(); after != before {
			w.Errorf("bad tokens changed something:\n%s\n%s", before, after)
		}
	})
}

func TestTheThreeAnswers(t *testing.T) {
	each(t, func(w *world) {
		for answer, want := range map[string]struct{ state, allowed, page string }{
			"yes":   {"confirmed", "news", "Thank you"},
			"no":    {"declined", "", "we won’t write"},
			"notme": {"disowned", "", "Thank you for telling us"},
		} {
			w.pass(25 * time.Hour)
			w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), answer+"@example.org", "news"))
			r := w.request()
			for range 2 {
				rec := w.do("POST", path(w.urls.Confirm(r.ID)), "answer="+answer, "Origin", "null")
				if rec.Code != 200 || !strings.Contains(rec.Body.String(), want.page) {
					w.Errorf("%s: %d\n%s", answer, rec.Code, rec.Body)
				}
			}
			if got := w.request(); string(got.State) != want.state || w.allowed(w.person(r.SubscriberID)) != want.allowed {
				w.Errorf("%s: %s, %q allowed", answer, got.State, w.allowed(w.person(r.SubscriberID)))
			}
			if rec := w.do("POST", path(w.urls.Confirm(r.ID)), "answer=perhaps"); rec.Code != 422 {
				w.Errorf("another answer: %d", rec.Code)
			}
		}
		w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "late@example.org", "news"))
		late := path(w.urls.Confirm(w.request().ID))
		w.pass(73 * time.Hour)
		for _, method := range []string{"GET", "POST"} {
			if rec := w.do(method, late, "answer=yes"); rec.Code != http.StatusGone || !strings.Contains(rec.Body.String(), `value="again"`) {
				w.Errorf("%s after the time: %d\n%s", method, rec.Code, rec.Body)
			}
		}
		mails := w.count("SELECT count(*) FROM messages")
		if rec := w.do("POST", late, "answer=again"); rec.Code != 200 || w.count("SELECT count(*) FROM messages") != mails+1 {
			w.Errorf("ask again: %d\n%s", rec.Code, rec.Body)
		}
		if rec := w.do("POST", late, "answer=again"); rec.Code != http.StatusTooManyRequests && rec.Code != http.StatusConflict {
			w.Errorf("ask again twice a day: %d", rec.Code)
		}
		if w.count("SELECT count(*) FROM messages") != mails+1 {
			w.Error("a second mail went out")
		}
	})
}

func TestPreferences(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		page := path(w.urls.Preferences(w.brand.ID, s.ID))
		rec := w.do("POST", page, "do=save&shown=topic:news&shown=topic:offers&shown=topic:opens&topic:offers=1&topic:opens=1&language=fa")
		if rec.Code != 200 || w.allowed(s) != "offers opens" || w.person(s.ID).Language != "fa" || !strings.Contains(rec.Body.String(), `dir="rtl"`) {
			w.Errorf("save: %d, %q, %s", rec.Code, w.allowed(s), w.person(s.ID).Language)
		}
		if n := w.count("SELECT count(*) FROM consent_events WHERE method = 'preferences' AND state = 'given' AND wording_hash IS NOT NULL"); n != 2 {
			w.Errorf("%d consents given with their words", n)
		}
		before := w.ledger()
		w.do("POST", page, "do=save&shown=topic:news&shown=topic:offers&topic:offers=1")
		if after := w.ledger(); after != before {
			w.Errorf("saving what is there changed something:\n%s\n%s", before, after)
		}
		if rec := w.do("POST", page, "do=save&shown=topic:secret&topic:secret=1"); rec.Code != 422 {
			w.Errorf("a topic that is not there: %d", rec.Code)
		}
		if rec := w.do("POST", page, "do=address&email=nonsense"); rec.Code != 422 || !strings.Contains(rec.Body.String(), "nonsense") {
			w.Errorf("a wrong address: %d", rec.Code)
		}
		w.do("POST", page, "do=address&email=sara.new@example.org")
		var change signup.AddressChange
		w.write(func(tx *store.Tx) error { return tx.Take(&change).Error })
		if n := w.count("SELECT count(*) FROM messages WHERE source_id = ? AND template IN ('address-old', 'address-new') AND recipient <> ''", change.ID); n != 2 {
			w.Errorf("%d mails about the new address", n)
		}
		if w.person(s.ID).Email != "sara@example.org" {
			w.Error("the address moved before it was confirmed")
		}
		move := "/c/" + w.urls.SignIDs(link.AddressChange, change.ID)
		if rec := w.do("GET", move, ""); rec.Code != 200 || w.person(s.ID).Email != "sara@example.org" {
			w.Errorf("looking at the change: %d", rec.Code)
		}
		if rec := w.do("POST", move, "answer=yes"); rec.Code != 200 || w.person(s.ID).Email != "sara.new@example.org" || w.allowed(s) != "offers opens" {
			w.Errorf("the change: %d, %s, %q", rec.Code, w.person(s.ID).Email, w.allowed(s))
		}
		if rec := w.do("POST", page, "do=leave"); rec.Code != 200 || w.allowed(s) != "" {
			w.Errorf("leave everything: %d, %q", rec.Code, w.allowed(s))
		}
	})
}

// TestChoicesAreMadeInTheWordsShown: the page names its words, and shows them
// anew where they have changed before they are agreed to.
func TestChoicesAreMadeInTheWordsShown(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		page := path(w.urls.Preferences(w.brand.ID, s.ID)) + "?lang=fa"
		words := regexp.MustCompile(`name="words" value="([^"]+)"`)
		m := words.FindStringSubmatch(w.do("GET", page, "").Body.String())
		if m == nil || !strings.HasPrefix(m[1], "fa:") {
			w.Fatalf("the page names its words as %q", m)
		}
		turnOn := url.Values{"do": {"save"}, "words": {m[1]}, "shown": {"topic:offers"}, "topic:offers": {"1"}}.Encode()
		texts := w.offers.Texts
		texts["fa"] = consent.TopicText{Name: "نامه", Wording: "همه چیز را بفرستید."}
		w.write(func(tx *store.Tx) error {
			_, err := consent.UpdateTopic(tx, w.brand, w.offers.ID, consent.TopicChange{Texts: &texts})
			return err
		})
		before := w.ledger()
		rec := w.do("POST", page, turnOn)
		if rec.Code != 409 || !strings.Contains(rec.Body.String(), texts["fa"].Wording) || w.ledger() != before {
			w.Errorf("%d %s", rec.Code, rec.Body)
		}
		if again := words.FindStringSubmatch(rec.Body.String()); again == nil || again[1] == m[1] {
			w.Errorf("the new words have the old name %q", again)
		}
	})
}

func TestTheWidgetsWay(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		rec := w.do("GET", form+".json?lang=fa", "", "Origin", "https://shop.example")
		var got struct {
			Token, Lang, Dir, Honeypot, Button string
			Fields                             []struct{ Name, Type string }
			Boxes                              []struct{ Name, Kind, Label, Note string }
			Texts                              map[string]string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
			w.Fatalf("%d %s", rec.Code, rec.Body)
		}
		if got.Lang != "fa" || got.Dir != "rtl" || len(got.Boxes) != 4 || got.Boxes[3].Kind != "tracking" || got.Fields[0].Type != "email" || len(got.Texts) != 7 {
			w.Errorf("%s", rec.Body)
		}
		if strings.Contains(rec.Body.String(), "checked") || rec.Header().Get("Access-Control-Allow-Origin") != "*" || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
			w.Errorf("%v %s", rec.Header(), rec.Body)
		}
		w.pass(3 * time.Second)
		bad := w.do("POST", form, filled(got.Token, "sara@"), "Accept", "application/json", "Origin", "https://shop.example")
		if bad.Code != 422 || bad.Header().Get("Content-Type") != "application/problem+json" || bad.Header().Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(bad.Body.String(), `"field":"email"`) || !strings.Contains(bad.Body.String(), `"message":"`) {
			w.Errorf("%d %v %s", bad.Code, bad.Header(), bad.Body)
		}
		ok := w.do("POST", form, filled(got.Token, "sara@example.org", "news"), "Accept", "application/json", "Origin", "https://shop.example")
		if ok.Code != 200 || !strings.Contains(ok.Body.String(), `"ok":true`) {
			w.Errorf("%d %s", ok.Code, ok.Body)
		}
		if r := w.request(); r.Language != "fa" {
			w.Errorf("the request speaks %s", r.Language)
		}
		w.write(func(tx *store.Tx) error {
			_, err := signup.Edit(tx, w.brand, w.form.ID, "x", signup.Spec{Topics: []string{"news"}, Origins: []string{"https://Shop.example:443/"}})
			return err
		})
		for origin, want := range map[string]int{"https://shop.example": 200, "https://evil.example": 403, "http://shop.example": 403, "": 200, "https://mail.example.org": 200} {
			rec := w.do("GET", form+".json", "", "Origin", origin)
			if rec.Code != want || want == 403 && rec.Header().Get("Access-Control-Allow-Origin") != "" {
				w.Errorf("origin %q: %d %v", origin, rec.Code, rec.Header())
			}
			before := w.ledger()
			if rec := w.do("POST", form, filled(got.Token, "new@example.org", "news"), "Origin", origin, "Accept", "application/json"); want == 403 && (rec.Code != 403 || w.ledger() != before) {
				w.Errorf("post from %q: %d", origin, rec.Code)
			}
		}
	})
}

// TestChangedWordsAreReadBeforeTheyAreAgreedTo: no tick and no token goes over
// to words that were not on the screen.
func TestChangedWordsAreReadBeforeTheyAreAgreedTo(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		told := func(token string) (d struct {
			Token string
			Stale bool
		}) {
			rec := w.do("POST", form, filled(token, "sara@example.org", "news"), "Accept", "application/json")
			if err := json.Unmarshal(rec.Body.Bytes(), &d); err != nil || rec.Code != 409 {
				w.Fatalf("%d %s", rec.Code, rec.Body)
			}
			return d
		}
		ticked := func(token string) bool {
			rec := w.do("POST", form, filled(token, "sara@example.org", "news"))
			if rec.Code != 409 || tokenField.FindString(rec.Body.String()) == "" || strings.Contains(rec.Body.String(), token) {
				w.Errorf("%d %s", rec.Code, rec.Body)
			}
			return strings.Contains(rec.Body.String(), " checked")
		}
		before := w.ledger()
		token := w.token()
		w.pass(25 * time.Hour)
		if d := told(token); d.Token == "" || d.Stale {
			w.Errorf("an old form with the same words: %+v", d)
		}
		if !ticked(token) {
			w.Error("what was ticked beside the same words is forgotten")
		}
		token = w.token()
		texts := w.news.Texts
		texts["en"] = consent.TopicText{Name: "News", Wording: "Send me everything, always."}
		w.write(func(tx *store.Tx) error {
			_, err := consent.UpdateTopic(tx, w.brand, w.news.ID, consent.TopicChange{Texts: &texts})
			return err
		})
		if d := told(token); d.Token != "" || !d.Stale {
			w.Errorf("a token for words that were never shown: %+v", d)
		}
		if ticked(token) {
			w.Error("a box beside new words is ticked beforehand")
		}
		if after := w.ledger(); after != before {
			w.Errorf("stored something:\n%s\n%s", before, after)
		}
	})
}

func TestTheHostedPageIsNamedInTheEvidence(t *testing.T) {
	each(t, func(w *world) {
		v := url.Values{"token": {w.token()}, "email": {"sara@example.org"}, "topic:news": {"on"}, signup.Honeypot: {""}}
		if rec := w.do("POST", "/f/"+w.form.ID.String(), v.Encode()); rec.Code != 200 {
			w.Fatalf("%d %s", rec.Code, rec.Body)
		}
		r := w.request()
		w.write(func(tx *store.Tx) error {
			q, err := signup.Look(tx, r.ID)
			if want := w.urls.Form(w.form.ID); q.Page != want {
				w.Errorf("asked on %q, want %q", q.Page, want)
			}
			return err
		})
	})
}

// TestBaitIsNotMeasured: what programs do must not move the time of people's answers.
func TestBaitIsNotMeasured(t *testing.T) {
	var p pace
	p.note(10 * time.Millisecond)
	for range 64 {
		p.keep(context.Background(), time.Now(), signup.KeptBait)
	}
	if p.n != 1 {
		t.Errorf("%d answers are measured, want 1", p.n)
	}
}

// TestAPlainPostFromAnywhere is a form in plain HTML on somebody's page.
func TestAPlainPostFromAnywhere(t *testing.T) {
	each(t, func(w *world) {
		before := w.ledger()
		rec := w.do("POST", "/f/"+w.form.ID.String(), filled("", "sara@example.org", "news"), "Origin", "https://blog.example")
		body := rec.Body.String()
		if rec.Code != 200 || !strings.Contains(body, `value="sara@example.org"`) || strings.Contains(body, " checked") || tokenField.FindString(body) == "" {
			w.Errorf("%d %s", rec.Code, body)
		}
		if after := w.ledger(); after != before {
			w.Errorf("stored something:\n%s\n%s", before, after)
		}
		for name, post := range map[string]struct {
			body, kind string
			want       int
		}{
			"oversize":      {strings.Repeat("a=b&", 1<<19), "application/x-www-form-urlencoded", 413},
			"bad escape":    {"email=%zz", "application/x-www-form-urlencoded", 400},
			"not UTF-8":     {"email=%ff%fe", "application/x-www-form-urlencoded", 400},
			"bad multipart": {"--x", "multipart/form-data; boundary=x", 400},
			"CR and LF":     {filled(w.token(), "sara@example.org\r\nBcc: all@example.org", "news"), "application/x-www-form-urlencoded", 422},
		} {
			if rec := w.do("POST", "/f/"+w.form.ID.String(), post.body, "Content-Type", post.kind); rec.Code != post.want {
				w.Errorf("%s: %d, want %d", name, rec.Code, post.want)
			}
		}
		if after := w.ledger(); after != before {
			w.Errorf("stored something:\n%s\n%s", before, after)
		}
		tampered := filled("_"+w.token()[1:], "sara@example.org", "news")
		if rec := w.do("POST", "/f/"+w.form.ID.String(), tampered); rec.Code != 404 || tokenField.FindString(rec.Body.String()) == "" || w.ledger() != before {
			w.Errorf("a tampered token: %d", rec.Code)
		}
	})
}

func TestPixelAndLink(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news", "opens", "clicks")
		ref := w.mail(s, w.news)
		open := func() {
			w.Helper()
			if rec := w.do("GET", path(w.urls.Pixel(ref)), "", "User-Agent", "Thunderbird/140"); rec.Code != 200 || !bytes.Equal(rec.Body.Bytes(), dot) || rec.Header().Get("Cache-Control") != "no-store" {
				w.Fatalf("pixel: %d", rec.Code)
			}
		}
		click := func() {
			w.Helper()
			if rec := w.do("GET", path(w.urls.Click(ref, 0)), "", "User-Agent", "Thunderbird/140"); rec.Code != 302 || rec.Header().Get("Location") != "https://baharan.example/a?x=1&y=2" {
				w.Fatalf("link: %d %s", rec.Code, rec.Header().Get("Location"))
			}
		}
		open()
		open()
		click()
		if n := w.count("SELECT count(*) FROM hits WHERE machine = ''"); n != 3 {
			w.Errorf("%d hits on disk when answered", n)
		}
		if n := w.count("SELECT count(*) FROM events WHERE kind IN ('mail.opened', 'mail.clicked')"); n != 2 {
			w.Errorf("%d facts on the timeline", n)
		}
		w.do("POST", path(w.urls.Preferences(w.brand.ID, s.ID)), "do=save&shown=topic:opens&shown=topic:clicks")
		open()
		click()
		if n := w.count("SELECT count(*) FROM hits"); n != 3 {
			w.Errorf("%d hits after the withdrawal", n)
		}
		w.recorder.Close()
		rec := w.do("GET", path(w.urls.Click(ref, 0)), "")
		if rec.Code != 503 || rec.Header().Get("Location") != "" || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `href="https://baharan.example/a?x=1&amp;y=2"`) {
			w.Errorf("while recording fails: %d\n%s", rec.Code, rec.Body)
		}
	})
}

func TestWhyAndView(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		ref := w.mail(s, w.news)
		body := w.do("GET", path(w.urls.Why(ref)), "").Body.String()
		for _, part := range []string{"Send me the news.", "shop.example/readers", "22 November 2026", "TEA-1", "sara@example.org"} {
			if !strings.Contains(body, part) {
				w.Errorf("why does not say %q:\n%s", part, body)
			}
		}
		page := w.do("GET", path(w.urls.View(ref)), "")
		if page.Code != 200 || !strings.Contains(page.Body.String(), "Tea &amp; books") || strings.Contains(page.Body.String(), "alert(1)") || !strings.Contains(page.Body.String(), "sandbox=") {
			w.Errorf("view: %d %s", page.Code, page.Body)
		}
		mail := w.do("GET", path(w.urls.View(ref))+"?part=body", "")
		if policy := mail.Header().Get("Content-Security-Policy"); mail.Code != 200 || !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") {
			w.Errorf("the mail itself: %d %s", mail.Code, policy)
		}
		if !strings.HasPrefix(mail.Body.String(), `<!doctype html><base target="_blank">`) {
			w.Errorf("the mail's links open in the frame, where nothing may be shown:\n%s", mail.Body)
		}
	})
}

func TestSignUpLimits(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		token := w.token()
		strict := w.strict(3, 5)
		codes := func(ip string, n int) (all []int) {
			for range n {
				r := httptest.NewRequest("POST", form, strings.NewReader(filled(token, "sara@example.org", "news")))
				r.Header.Set("Accept-Language", "en")
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.RemoteAddr = ip
				rec := httptest.NewRecorder()
				strict.ServeHTTP(rec, r)
				all = append(all, rec.Code)
				if rec.Code == 429 && rec.Header().Get("Retry-After") == "" {
					w.Error("no Retry-After")
				}
			}
			return all
		}
		if got := codes("192.0.2.1:1", 4); !slices.Equal(got, []int{200, 200, 200, 429}) {
			w.Errorf("one address: %v", got)
		}
		if got := codes("[2001:db8::1]:1", 2); !slices.Equal(got, []int{200, 200}) {
			w.Errorf("another address: %v", got)
		}
		if got := codes("198.51.100.1:1", 1); !slices.Equal(got, []int{429}) {
			w.Errorf("the form's share is used up: %v", got)
		}
		w.pass(time.Minute)
		if got := codes("192.0.2.1:1", 1); !slices.Equal(got, []int{200}) {
			w.Errorf("a minute later: %v", got)
		}
		sara := path(w.urls.Preferences(w.brand.ID, w.request().SubscriberID))
		d := w.deps(1, 100)
		w.http = w.serve(d)
		if rec := w.do("POST", sara, "do=address&email=one@example.org"); rec.Code != 200 {
			w.Errorf("a change of address: %d", rec.Code)
		}
		if rec := w.do("POST", sara, "do=address&email=two@example.org"); rec.Code != 429 || rec.Header().Get("Retry-After") == "" {
			w.Errorf("another change of address at once: %d", rec.Code)
		}
		if rec := w.do("POST", sara, "do=leave"); rec.Code != 200 {
			w.Errorf("leaving must not wait: %d", rec.Code)
		}
	})
}

func TestNoOtherMethods(t *testing.T) {
	each(t, func(w *world) {
		for _, m := range []string{"PUT", "DELETE", "PATCH"} {
			for _, p := range []string{"/widget.js", "/f/" + w.form.ID.String(), "/c/x", "/u/x", "/p/x"} {
				if rec := w.do(m, p, ""); rec.Code != 405 {
					w.Errorf("%s %s: %d", m, p, rec.Code)
				}
			}
		}
		rec := w.do("GET", "/widget.js", "")
		if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/javascript") || rec.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			w.Errorf("widget: %d %v", rec.Code, rec.Header())
		}
		if rec := w.do("GET", "/widget.js", "", "If-None-Match", rec.Header().Get("ETag")); rec.Code != 304 {
			w.Errorf("widget again: %d", rec.Code)
		}
	})
}
