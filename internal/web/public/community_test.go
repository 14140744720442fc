package public

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/link"
	"assent/internal/signup"
	"assent/internal/store"
)

// After a yes the question about opens and clicks is there once, with a button
// for either answer to each; looking at its page changes nothing.
func TestTheTrackingQuestionAfterAYes(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error {
			_, err := signup.Edit(tx, w.brand, w.form.ID, "F", signup.Spec{Topics: []string{"news"}})
			return err
		})
		w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), "sara@example.org", "news"))
		r := w.request()
		page := w.do("POST", path(w.urls.Confirm(r.ID)), "answer=yes").Body.String()
		preferences := path(w.urls.Preferences(w.brand.ID, r.SubscriberID))
		for _, want := range []string{`value="opens:yes"`, `value="opens:no"`, `value="clicks:yes"`, `value="clicks:no"`, `value="later"`, `action="..` + preferences + `/tracking"`} {
			if !strings.Contains(page, want) {
				w.Errorf("%s is not on the page", want)
			}
		}
		if regexp.MustCompile(`<input[^>]* checked`).MatchString(page) {
			w.Error("an answer is given beforehand")
		}
		words := url.QueryEscape(regexp.MustCompile(`name="words" value="([^"]+)"`).FindStringSubmatch(page)[1])
		before := w.ledger()
		if rec := w.do("GET", preferences+"/tracking", ""); rec.Code != 200 || w.ledger() != before {
			w.Errorf("looked at: %d, %s", rec.Code, w.ledger())
		}
		if rec := w.do("POST", preferences+"/tracking", "tracking=later"); rec.Code != 200 || w.ledger() != before {
			w.Errorf("left for later: %d, %s", rec.Code, w.ledger())
		}
		if rec := w.do("POST", preferences+"/tracking", "tracking=opens:yes&words="+words); rec.Code != 200 {
			w.Errorf("yes: %d\n%s", rec.Code, rec.Body)
		}
		if rec := w.do("POST", preferences+"/tracking", "tracking=clicks:no&words="+words); rec.Code != 200 {
			w.Errorf("no: %d", rec.Code)
		}
		if got := w.allowed(w.person(r.SubscriberID)); got != "news opens" {
			w.Errorf("allows %q", got)
		}
		if n := w.count("SELECT count(*) FROM consent_events WHERE state = 'refused'"); n != 1 {
			w.Errorf("%d refusals are remembered", n)
		}
		for _, bad := range []string{"tracking=news:yes", "tracking=opens", "tracking=opens:perhaps", ""} {
			if rec := w.do("POST", preferences+"/tracking", bad); rec.Code != http.StatusUnprocessableEntity {
				w.Errorf("%q: %d", bad, rec.Code)
			}
		}
		if rec := w.do("POST", preferences+"/tracking", "tracking=clicks:yes&words=en:00"); rec.Code != http.StatusConflict {
			w.Errorf("a yes to other words: %d", rec.Code)
		}
	})
}

// The pixel and the links that all mails of a campaign share lead on, and are
// counted by the hour where the brand counts so.
func TestSharedPixelAndLink(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		ref := w.mail(s, w.news)
		var content struct{ ContentID, StreamID uuid.UUID }
		w.write(func(tx *store.Tx) error {
			yes := true
			if _, err := brand.Update(tx, w.brand.ID, brand.Change{AnonymousCounts: &yes}); err != nil {
				return err
			}
			return tx.Raw("SELECT content_id, stream_id FROM messages WHERE id = ?", ref.ID).Scan(&content).Error
		})
		stream, text := content.StreamID, content.ContentID
		if rec := w.do("GET", path(w.urls.AnonymousPixel(stream)), ""); rec.Code != 200 || rec.Header().Get("Content-Type") != "image/gif" {
			w.Errorf("pixel: %d %v", rec.Code, rec.Header())
		}
		rec := w.do("GET", path(w.urls.AnonymousClick(link.Shared{Stream: stream, Content: text, Language: "en", N: 0})), "")
		if rec.Code != http.StatusFound || rec.Header().Get("Location") == "" || strings.Contains(rec.Header().Get("Location"), "mail.example.org") {
			w.Errorf("link: %d %v", rec.Code, rec.Header())
		}
		if n, hits := w.count("SELECT count(*) FROM anonymous_hits"), w.count("SELECT count(*) FROM hits"); n != 2 || hits != 0 {
			w.Errorf("%d rows of counts, %d of somebody's", n, hits)
		}
	})
}

// Ideas and invitations are reached from the page of choices where the brand has
// them; their pages change nothing when they are looked at, and the answer to an
// invitation is the same for every address.
func TestIdeasAndInvitations(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("sara@example.org", "news")
		w.subscribe("ali@example.org", "news")
		page := path(w.urls.Preferences(w.brand.ID, s.ID))
		if rec := w.do("GET", page, ""); strings.Contains(rec.Body.String(), "/ideas") {
			w.Error("a way to ideas that there are not")
		}
		if rec := w.do("GET", page+"/ideas", ""); rec.Code != http.StatusNotFound {
			w.Errorf("ideas where there are none: %d", rec.Code)
		}
		w.write(func(tx *store.Tx) error {
			return signup.SaveCommunity(tx, w.brand, signup.Community{Ideas: true, Invitations: true, FormID: &w.form.ID})
		})
		if rec := w.do("GET", page, ""); !strings.Contains(rec.Body.String(), page[len("/p/"):]+"/ideas") || !strings.Contains(rec.Body.String(), page[len("/p/"):]+"/invite") {
			w.Error("no way to the pages")
		}
		before := w.ledger()
		for _, below := range []string{"/ideas", "/invite", "/tracking"} {
			if rec := w.do("GET", page+below, ""); rec.Code != 200 || w.ledger() != before {
				w.Errorf("%s: %d", below, rec.Code)
			}
		}
		if rec := w.do("POST", page+"/ideas", "do=propose&title=&reason="); rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), `id="e-title"`) {
			w.Errorf("nothing proposed: %d\n%s", rec.Code, rec.Body)
		}
		if rec := w.do("POST", page+"/ideas", "do=propose&title=Poetry&reason=There+is+none"); rec.Code != 200 || !strings.Contains(rec.Body.String(), "Poetry") {
			w.Errorf("proposed: %d\n%s", rec.Code, rec.Body)
		}
		if rec := w.do("POST", page+"/ideas", "do=second&idea=x"); rec.Code != http.StatusNotFound {
			w.Errorf("seconded what is not there: %d", rec.Code)
		}
		w.pass(40 * 24 * time.Hour)
		answers := map[string]int{}
		for _, email := range []string{"new@example.org", "ali@example.org", "sara@example.org", "new@example.org"} {
			rec := w.do("POST", page+"/invite", url.Values{"name": {"Sara"}, "email": {email}, "topic:news": {"1"}}.Encode())
			left := regexp.MustCompile(`You can invite [^<]+`)
			answers[left.ReplaceAllString(strings.ReplaceAll(rec.Body.String(), email, "…"), "")]++
			if rec.Code != 200 {
				w.Errorf("%s: %d\n%s", email, rec.Code, rec.Body)
			}
		}
		if len(answers) > 2 { // sara's own address stands at the head of the page
			w.Errorf("%d different answers", len(answers))
		}
		if n := w.count("SELECT count(*) FROM messages WHERE template = 'invite'"); n != 1 {
			w.Errorf("%d mails", n)
		}
		if rec := w.do("POST", page+"/invite", "name=Buy+at+x.example&email=b@example.org&topic:news=1"); rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), `id="e-name"`) {
			w.Errorf("an advertisement: %d", rec.Code)
		}
		if rec := w.do("GET", path(w.urls.Confirm(w.request().ID)), ""); !strings.Contains(rec.Body.String(), "Sara") {
			w.Errorf("the question does not say who invited: %s", rec.Body)
		}
	})
}
