package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"assent/internal/testkit"
)

// promised is a service with a brand, a topic that promises one mail a week, and
// a reader who confirmed: all of it by API and pages.
func promised(t *testing.T, o testkit.ServiceOptions, owner *http.Client) *journey {
	j := &journey{T: t, smtp: testkit.SMTP(t)}
	o.SMTP, o.TestClock, o.Env = j.smtp.URL, true, []string{"ASSENT_SIGNUP_MIN_FILL=0s"}
	j.service = testkit.NewService(t, o)
	j.api = testkit.API{Base: j.service.Base, Key: j.service.Key(t)}
	if owner != nil {
		j.service.Own(t, owner, "baharan", "Baharan Books")
	} else {
		j.makeBrand()
	}
	j.api.Brand = "baharan"
	words := map[string]any{"en": map[string]any{"name": "Readers’ letter", "wording": "Yes, send me the letter."}}
	if owner == nil {
		words["fa"] = map[string]any{"name": "نامهٔ خوانندگان", "wording": "بله، نامه را برایم بفرستید."}
	}
	j.api.Must(j, "POST", "/topics", map[string]any{"slug": "letter", "promise_max": 1, "promise_days": 7, "texts": words}, nil)
	var made struct{ ID string }
	j.api.Must(j, "POST", "/forms", map[string]any{"name": "Footer", "topics": []string{"letter"}, "tracking": []string{"opens"},
		"fields": []map[string]any{{"name": "name", "type": "text"}}}, &made)
	if err := testkit.SignUp(j.service.Base, made.ID, sara, "letter"); err != nil {
		t.Fatal(err)
	}
	question := j.smtp.WaitTo(j, sara, 1, 20*time.Second)[0]
	if err := testkit.Post(question.Link(j, "/c/"), url.Values{"answer": {"yes"}}); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j *journey) makeBrand() {
	j.api.Must(j, "POST", "/brands", map[string]any{"slug": "baharan", "name": "Baharan Books", "postal_address": "12 Enghelab Street, Tehran",
		"sender_email": "post@baharan.example", "language": "en", "languages": []string{"en", "fa"}, "time_zone": "Asia/Tehran",
		"texts": map[string]any{"fa": map[string]any{"name": "کتاب بهاران"}}}, nil)
}

// send makes a campaign in the first of our languages and has it sent, and waits until nothing of it is on the way.
func (j *journey) send(name string, languages int) (id string) {
	j.Helper()
	var made struct{ ID string }
	j.api.Must(j, "POST", "/campaigns", map[string]any{"name": name, "topic": "letter", "texts": texts(name, "<p>Hello</p>")[:languages]}, &made)
	j.api.Must(j, "POST", "/campaigns/"+made.ID+"/schedule", map[string]any{}, nil)
	j.service.Pass(j, 10*time.Minute) // it can be recalled for a while
	var c struct{ State string }
	for end := time.Now().Add(30 * time.Second); c.State != "sent"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			j.Fatalf("%s is %s", name, c.State)
		}
		j.api.Must(j, "GET", "/campaigns/"+made.ID, nil, &c)
	}
	return made.ID
}

// A promise of one mail a week against five campaigns in two days: one is sent,
// four are left out with the reason, and the campaigns' pages say so.
func TestOneMailAWeekAgainstFiveCampaigns(t *testing.T) {
	pairs(t, func(t *testing.T, o testkit.ServiceOptions) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		j := promised(t, o, client)
		var campaigns []string
		for i := range 5 {
			campaigns = append(campaigns, j.send(fmt.Sprintf("News %d", i+1), 1))
			j.service.Pass(j, 9*time.Hour)
		}
		j.smtp.StaysAt(j, 2, time.Second) // our question, and one letter
		res, err := client.PostForm(j.service.Base+"/admin/sign-in", url.Values{"email": {"mina@baharan.example"}, "password": {testkit.Password}})
		if err != nil { // two days have passed since she was seen
			t.Fatal(err)
		}
		res.Body.Close()
		for i, id := range campaigns {
			page := j.body(client, "/admin/b/baharan/campaigns/"+id)
			if !strings.Contains(page, fmt.Sprintf("News %d", i+1)) {
				t.Fatalf("this is not the page of campaign %d: %.2000s", i+1, page)
			}
			if refused := strings.Contains(page, "had as many mails as were promised"); refused != (i > 0) {
				t.Errorf("the page of campaign %d says that the promise was used up: %t", i+1, refused)
			}
			var list struct {
				Items []struct{ State, Reason string }
			}
			j.api.Must(j, "GET", "/messages?stream_id="+id, nil, &list)
			want := "skipped promise-used"
			if i == 0 {
				want = "sent "
			}
			if len(list.Items) != 1 || list.Items[0].State+" "+list.Items[0].Reason != want {
				t.Errorf("campaign %d: %+v, want %s", i+1, list.Items, want)
			}
		}
	})
}

func (j *journey) body(client *http.Client, path string) string {
	j.Helper()
	res, err := client.Get(j.service.Base + path)
	if err != nil {
		j.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		j.Fatalf("%s: %s %v", path, res.Status, err)
	}
	return string(page)
}

// The whole of the preference centre by keyboard alone, with scripts off; axe
// finds nothing on any of its pages, in both languages, wide and narrow.
func TestThePreferenceCentreByKeyboardAlone(t *testing.T) {
	j := promised(t, testkit.ServiceOptions{}, nil)
	j.person = j.find().ID
	j.send("News", 2)
	mail := j.smtp.WaitTo(j, sara, 2, 20*time.Second)[1]
	choices, why := mail.Link(j, "/p/"), mail.Link(j, "/w/")
	j.tab = testkit.Browser(t)
	j.allClean(choices, why)
	if _, err := chromedp.Call(j.tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}

	var keys int
	for _, lang := range []string{"en", "fa"} {
		h := newHands(t, j.tab, lang, &keys)
		open := func() {
			j.do(chromedp.Navigate(choices + "?lang=" + lang))
			h.until("the page", `document.readyState === 'complete' && document.querySelector('h1')`)
		}
		follow := func(key string) {
			open()
			h.to(h.l.T(key), "a")
			h.press(kb.Enter)
			h.until(key, `document.readyState === 'complete' && location.pathname.split('/').length === 4`)
		}
		enter := func(what string) { // and the answer is another page
			evaluate[bool](h, `document.documentElement.dataset.old = 'yes', true`)
			h.press(kb.Enter)
			h.until(what, `document.readyState === 'complete' && !document.documentElement.dataset.old && document.querySelector('.told:not(.no, .ask)')`)
		}
		name := map[string]string{"en": "Readers’ letter", "fa": "نامهٔ خوانندگان"}[lang]

		follow("public.often.title")
		h.to(h.l.T("public.often.promised", "Promise", h.l.N("signup.promise.week", 1)), "input")
		h.press(kb.ArrowDown)
		h.to(h.l.T("public.often.save-of", "Topic", name), "button")
		enter("less often")
		h.to(h.l.T("public.often.pause"), "button")
		enter("a pause")
		h.to(h.l.T("public.often.resume-of", "Topic", name), "button")
		enter("its end")

		follow("public.about.title")
		h.to(h.l.T("signup.default.name"), "input")
		h.press("Sara " + lang)
		h.to(h.l.T("public.preferences.save"), "button")
		enter("a name")

		follow("public.mails.title")
		h.to("News", "a")
		follow("public.groups.title")
		h.to(h.l.T("public.groups.object"), "button")
		enter("an objection")
		j.mustBe(map[string]string{"letter": "withdrawn"})

		open()
		h.to(name, "input")
		h.press(" ")
		h.to(h.l.T("public.preferences.save"), "button")
		enter("a yes")
		open()
		h.to(h.l.T("public.centre.download"), "a")
		h.to(h.l.T("public.centre.forget"), "a")
		h.to(h.l.T("public.preferences.leave"), "button")
		enter("leaving everything")
		j.mustBe(map[string]string{"letter": "withdrawn"})
		open()
		h.to(name, "input")
		h.press(" ")
		enter("a yes by Enter")
	}
	t.Logf("%d keys", keys)
}

// allClean has axe look at all pages of the centre, and why, wide and narrow.
func (j *journey) allClean(choices, why string) {
	j.Helper()
	for _, width := range []int64{1280, 390} {
		if err := chromedp.Do(j.tab, chromedp.EmulateViewport(width, 900)); err != nil {
			j.Fatal(err)
		}
		for _, lang := range []string{"en", "fa"} {
			for _, page := range []string{choices, choices + "/often", choices + "/about", choices + "/groups", choices + "/mails", why} {
				j.do(chromedp.Navigate(page + "?lang=" + lang))
				j.until(`document.readyState === 'complete'`)
				for _, v := range testkit.Axe(j, j.tab) {
					j.Errorf("%s %s at %d: %s", page, lang, width, v)
				}
				if over, err := chromedp.Run(j.tab, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); err != nil || over {
					j.Errorf("%s %s at %d scrolls sideways (%v)", page, lang, width, err)
				}
			}
		}
	}
}
