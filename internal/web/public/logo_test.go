package public

import (
	"bytes"
	"image"
	"image/png"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/signup"
	"assent/internal/store"
)

// setLogo gives the brand a logo of 400 by 100.
func (w *world) setLogo() brand.Logo {
	w.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 400, 100))); err != nil {
		w.Fatal(err)
	}
	l, err := brand.ReadLogo(b.Bytes())
	if err != nil {
		w.Fatal(err)
	}
	w.write(func(tx *store.Tx) (err error) {
		if err = brand.SetLogo(tx, w.brand.ID, l); err == nil {
			w.brand, err = brand.Find(tx, w.brand.ID)
		}
		return err
	})
	return l
}

func TestTheLogoIsServed(t *testing.T) {
	each(t, func(w *world) {
		l := w.setLogo()
		at := "/logo/" + w.brand.LogoHash + ".png"
		rec := w.do("GET", at, "")
		if rec.Code != 200 || !bytes.Equal(rec.Body.Bytes(), l.PNG) {
			w.Fatalf("%d, %d bytes", rec.Code, rec.Body.Len())
		}
		for name, want := range map[string]string{"Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "Set-Cookie": ""} {
			if got := rec.Header().Get(name); got != want {
				w.Errorf("%s is %q", name, got)
			}
		}
		if rec := w.do("GET", at, "", "If-None-Match", rec.Header().Get("ETag")); rec.Code != 304 {
			w.Errorf("asked again: %d", rec.Code)
		}
		if rec := w.do("HEAD", at, ""); rec.Code != 200 {
			w.Errorf("HEAD: %d", rec.Code)
		}
		for _, p := range []string{"/logo/" + strings.Repeat("0", 32) + ".png", "/logo/" + w.brand.LogoHash, "/logo/" + w.brand.LogoHash + ".svg", "/logo/.png", "/logo/x.png", "/logo/"} {
			if rec := w.do("GET", p, ""); rec.Code != 404 || strings.Contains(rec.Header().Get("Cache-Control"), "immutable") {
				w.Errorf("%s: %d %s", p, rec.Code, rec.Header().Get("Cache-Control"))
			}
		}
	})
}

// Every page that speaks in the brand's name shows its picture, with its name for
// who does not see it.
func TestTheLogoOnEveryPage(t *testing.T) {
	each(t, func(w *world) {
		form := "/f/" + w.form.ID.String()
		if page := w.do("GET", form, "").Body.String(); strings.Contains(page, "<img") {
			w.Error("a picture before there is one")
		}
		w.setLogo()
		img := `<img class="logo" src="/logo/` + w.brand.LogoHash + `.png" width="240" height="60" alt="Baharan Books">`
		mustShow := func(what string, rec *httptest.ResponseRecorder) {
			w.Helper()
			if rec.Code != 200 || strings.Count(rec.Body.String(), img) != 1 {
				w.Errorf("%s: %d without the logo\n%s", what, rec.Code, rec.Body)
			}
		}
		mustShow("form", w.do("GET", form, ""))
		mustShow("form in Persian", w.do("GET", form+"?lang=fa", ""))
		token := w.token()
		mustShow("wrong form", func() *httptest.ResponseRecorder {
			rec := w.do("POST", form, filled(token, "no address", "news"))
			rec.Code -= 222
			return rec
		}())
		mustShow("form done", w.do("POST", form, filled(token, "sara@example.org", "news")))
		r := w.request()
		mustShow("confirm", w.do("GET", path(w.urls.Confirm(r.ID)), ""))
		mustShow("confirmed", w.do("POST", path(w.urls.Confirm(r.ID)), "answer=yes"))
		s := w.person(r.SubscriberID)
		mustShow("preferences", w.do("GET", path(w.urls.Preferences(w.brand.ID, s.ID)), ""))
		ref := w.mail(s, w.news)
		mustShow("why", w.do("GET", path(w.urls.Why(ref)), ""))
		mustShow("leave", w.do("GET", path(w.urls.Leave(ref)), ""))
		mustShow("left", w.do("POST", path(w.urls.Leave(ref)), "leave=topic"))
	})
}

var action = regexp.MustCompile(`method="post" action="([^"]+)"`)

// Who comes by the printed code is counted as such to the end: at the form, in
// the evidence, and in the facts; who comes otherwise is not.
func TestFromPaperToPermission(t *testing.T) {
	each(t, func(w *world) {
		if len(w.form.Code) != 6 || w.urls.Short(w.form.Code) != "https://mail.example.org/s/"+w.form.Code {
			w.Fatalf("the short address is %s", w.urls.Short(w.form.Code))
		}
		rec := w.do("GET", path(w.urls.Short(w.form.Code)), "")
		to := rec.Header().Get("Location")
		if rec.Code != 302 || to != "/f/"+w.form.ID.String()+"?via=paper" {
			w.Fatalf("%d to %q", rec.Code, to)
		}
		if code := w.do("GET", "/s/"+url.PathEscape("۱"+w.form.Code[1:]), "").Code; (code == 302) != (w.form.Code[0] == '1') {
			w.Errorf("digits of another script: %d", code)
		}
		for _, typed := range []string{persian(w.form.Code), w.form.Code[:3] + " " + w.form.Code[3:], w.form.Code[:3] + "-" + w.form.Code[3:]} {
			if rec := w.do("GET", "/s/"+url.PathEscape(typed), ""); rec.Header().Get("Location") != to {
				w.Errorf("typed as %q: %d", typed, rec.Code)
			}
		}
		for _, bad := range []string{"000000", "x", "-1", "0", w.form.Code + "0", strings.Repeat("9", 400), w.form.ID.String()} {
			if rec := w.do("GET", "/s/"+bad, ""); rec.Code != 404 {
				w.Errorf("%s: %d", bad, rec.Code)
			}
		}

		send := func(page, email string) signup.Request {
			w.Helper()
			body := w.do("GET", page, "").Body.String()
			at, token := action.FindStringSubmatch(body), tokenField.FindStringSubmatch(body)
			if at == nil || token == nil {
				w.Fatalf("no form at %s", page)
			}
			w.pass(3e9)
			post := "/f/" + strings.ReplaceAll(at[1], "&amp;", "&")
			if rec := w.do("POST", post, filled(token[1], "nobody", "news")); rec.Code != 422 || !strings.Contains(rec.Body.String(), `action="`+at[1]+`"`) {
				w.Errorf("what was wrong lost the way: %d", rec.Code)
			}
			if rec := w.do("POST", post, filled(token[1], email, "news", "opens")); rec.Code != 200 {
				w.Fatalf("%d %s", rec.Code, rec.Body)
			}
			r := w.request()
			if rec := w.do("POST", path(w.urls.Confirm(r.ID)), "answer=yes"); rec.Code != 200 {
				w.Fatalf("confirmed: %d", rec.Code)
			}
			return r
		}
		if body := w.do("GET", to, "").Body.String(); !strings.Contains(body, `href="?lang=fa&amp;via=paper"`) {
			w.Error("the other language forgets the way")
		}
		if r := send(to+"&lang=fa", "sara@example.org"); r.Via != signup.Paper || w.via(r) != "paper paper paper" {
			w.Errorf("from paper: %q, %q", r.Via, w.via(r))
		}
		w.pass(25 * 3600e9)
		for i, page := range []string{"/f/" + w.form.ID.String(), "/f/" + w.form.ID.String() + "?via=%3Cb%3E", "/f/" + w.form.ID.String() + "?via=import"} {
			if r := send(page, string(rune('a'+i))+"@example.org"); r.Via != "" || w.via(r) != " double-opt-in double-opt-in" {
				w.Errorf("%s: %q, %q", page, r.Via, w.via(r))
			}
		}
		w.write(func(tx *store.Tx) error {
			if asked, confirmed, err := signup.ViaTally(tx, w.brand, w.form.ID, signup.Paper); err != nil || asked != 1 || confirmed != 1 {
				w.Errorf("%d and %d came from paper: %v", asked, confirmed, err)
			}
			sums, err := event.Sums(tx, w.brand.ID, []event.Span{{From: event.QuarterOf(tx.Now()).AddDate(0, 0, -3), To: event.QuarterOf(tx.Now()).Add(event.Quarter)}})
			n := map[string]int64{}
			for _, s := range sums {
				if s.Kind == event.ConsentGiven {
					n[s.Source] += s.N
				}
			}
			if n["paper"] != 1 || n[consent.MethodDoubleOptIn] != 3 || n[event.Tracking] != 4 {
				w.Errorf("given by source: %v", n)
			}
			return err
		})
	})
}

func persian(digits string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '۰' }, digits)
}

// via is the way that a sign-up came: of its evidence, and of the facts of the
// request and of what was given.
func (w *world) via(r signup.Request) string {
	w.Helper()
	var told []string
	w.write(func(tx *store.Tx) error {
		all, err := consent.Permissions(tx, w.brand.ID, r.SubscriberID)
		if err != nil {
			return err
		}
		var of uuid.UUID
		for _, p := range all {
			if p.TopicID == w.news.ID {
				of = p.EventID
			}
		}
		proof, err := consent.EvidenceOf(tx, of)
		if err != nil {
			return err
		}
		evidence, _ := proof.Evidence["via"].(string)
		told = append(told, evidence)
		for _, kind := range []string{event.SignupConfirmed, event.ConsentGiven} {
			var facts []event.Event
			if err := tx.Where("subscriber_id = ? AND kind = ?", r.SubscriberID, kind).Order("at DESC, id DESC").Find(&facts).Error; err != nil || len(facts) == 0 {
				w.Fatalf("%s: %v", kind, err)
			}
			way, ok := facts[0].Data["via"].(string)
			if !ok {
				way = consent.MethodDoubleOptIn
			}
			told = append(told, way)
		}
		return nil
	})
	return strings.Join(told, " ")
}
