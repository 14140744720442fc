package public

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// post presses a button of a page of the person's centre.
func (w *world) post(s subscriber.Subscriber, page string, pairs ...string) (int, string) {
	w.Helper()
	w.pass(time.Second)
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	rec := w.do("POST", path(w.urls.Preferences(w.brand.ID, s.ID))+page, v.Encode())
	return rec.Code, rec.Body.String()
}

func (w *world) look(s subscriber.Subscriber, page string) string {
	w.Helper()
	before := w.ledger()
	rec := w.do("GET", path(w.urls.Preferences(w.brand.ID, s.ID))+page, "")
	if rec.Code != 200 {
		w.Errorf("%s: %d %s", page, rec.Code, rec.Body)
	}
	if w.ledger() != before {
		w.Errorf("looking at %s changes %s into %s", page, before, w.ledger())
	}
	return rec.Body.String()
}

func (w *world) permission(s subscriber.Subscriber, t consent.Topic) (found consent.Permission) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.Permissions(tx, w.brand.ID, s.ID)
		for _, p := range all {
			if p.TopicID == t.ID {
				found = p
			}
		}
		return err
	})
	return found
}

// changes are the kinds of what the ledger has beside permissions.
func (w *world) changes(s subscriber.Subscriber) (all string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		found, err := consent.Changes(tx, w.brand.ID, s.ID)
		for _, e := range found {
			all += e.Kind + " "
		}
		return err
	})
	return all
}

func holds(w *world, what, page string, texts ...string) {
	w.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			w.Errorf("%s lacks %q: %s", what, text, page)
		}
	}
}

func TestLessOftenAndPauses(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("ana@example.org", "news", "offers")
		holds(w, "the page", w.look(s, ""), "You get mail on 2 topics, at most 2 mails a week.")
		holds(w, "how often", w.look(s, "/often"), `value="1/30"`, `value="1/7" checked`)
		for _, more := range []string{"2/7", "0/0", "1/1", "x", "", "1/0", "9223372036854775807/30"} {
			if code, _ := w.post(s, "/often", "do", "often", "topic", "topic:news", "promise", more); code != 422 || w.permission(s, w.news).PromiseDays != 7 {
				w.Errorf("more than promised, %s: %d", more, code)
			}
		}
		if code, body := w.post(s, "/often", "do", "often", "topic", "topic:news", "promise", "1/30"); code != 200 || w.permission(s, w.news).PromiseDays != 30 {
			w.Errorf("less often: %d %s", code, body)
		}
		holds(w, "the page", w.look(s, ""), "As you asked: Once a month at most")
		if code, _ := w.post(s, "/often", "do", "often", "topic", "topic:news", "promise", "1/7"); code != 200 || w.permission(s, w.news).PromiseDays != 7 {
			w.Errorf("back to the promise: %d", code)
		}
		for _, day := range []string{"", "tomorrow", "2026-11-22", "2028-01-01", "2026-13-40"} {
			if code, body := w.post(s, "/often", "do", "pause", "topic", "", "for", "day", "until", day); code != 422 || !strings.Contains(body, `id="e-until"`) {
				w.Errorf("until %q: %d", day, code)
			}
		}
		// 1405-09-10 is 2026-12-01, which begins at 20:30 the day before in UTC.
		if code, body := w.post(s, "/often?lang=fa", "do", "pause", "topic", "", "for", "day", "until", "۱۴۰۵/۰۹/۱۰"); code != 200 || !strings.Contains(body, "۱۰ آذر ۱۴۰۵") {
			w.Errorf("a pause in Persian: %d %s", code, body)
		}
		for _, topic := range []consent.Topic{w.news, w.offers} {
			p := w.permission(s, topic)
			if p.PausedUntil == nil || p.PausedUntil.Format(time.RFC3339) != "2026-11-30T20:30:00Z" || p.State != consent.Renewed {
				w.Errorf("%s: %+v", topic.Slug, p)
			}
		}
		if got := w.allowed(s); got != "" {
			w.Errorf("in the pause: %s", got)
		}
		holds(w, "the page", w.look(s, ""), "You get no mail before ")
		if code, _ := w.post(s, "/often", "do", "resume", "topic", "topic:news"); code != 200 || w.allowed(s) != "news" {
			w.Errorf("lifted: %d, %s", code, w.allowed(s))
		}
		if code, _ := w.post(s, "/often", "do", "resume", "topic", "topic:opens"); code != 422 {
			w.Errorf("a tracking permission has no pause: %d", code)
		}
		if code, _ := w.post(s, "/often", "do", "pause", "topic", "topic:news", "for", "7"); code != 200 || w.permission(s, w.news).PausedUntil.Format(time.RFC3339) != "2026-11-28T20:30:00Z" {
			w.Errorf("a week: %d, %+v", code, w.permission(s, w.news))
		}
		for _, page := range []string{"/often", "/about", "/groups", "/mails"} {
			if rec := w.do("GET", "/p/x"+page, ""); rec.Code != 404 {
				w.Errorf("a made-up token at %s: %d", page, rec.Code)
			}
		}
	})
}

func TestWhatIsKnownIsCorrected(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("ana@example.org", "news")
		w.write(func(tx *store.Tx) error {
			_, err := subscriber.Update(tx, w.brand, s.ID, subscriber.Change{Attributes: map[string]any{"score": 7}})
			return err
		})
		holds(w, "the page", w.look(s, "/about"), `value="Sara"`, "score", ">7<")
		if code, _ := w.post(s, "/about", "do", "about", "name", "Sara", "time_zone", "", "score", "9"); code != 200 || w.changes(s) != "" || w.person(s.ID).Attributes["score"] != 7.0 {
			w.Errorf("nothing of theirs changed: %d, %s, %v", code, w.changes(s), w.person(s.ID).Attributes)
		}
		if code, body := w.post(s, "/about", "do", "about", "name", "Ana", "time_zone", "Mars/Olympus"); code != 422 || !strings.Contains(body, `value="Ana"`) || w.person(s.ID).Name != "Sara" {
			w.Errorf("a zone that is none: %d", code)
		}
		if code, _ := w.post(s, "/about", "do", "about", "name", "Ana", "time_zone", "Europe/Berlin"); code != 200 || w.changes(s) != "profile " {
			w.Errorf("corrected: %d, %s", code, w.changes(s))
		}
		if got := w.person(s.ID); got.Name != "Ana" || got.TimeZone != "Europe/Berlin" {
			w.Errorf("kept: %+v", got)
		}
		w.post(s, "", "do", "save", "language", "fa")
		if got := w.changes(s); got != "profile language " {
			w.Errorf("another language: %s", got)
		}
	})
}

func TestGroupsAreShownAndObjectedTo(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("ana@example.org", "news")
		w.write(func(tx *store.Tx) error { return subscriber.AddTags(tx, w.brand.ID, s.ID, "tehran") })
		holds(w, "the groups", w.look(s, "/groups"), "You are in one group.", "tehran")
		if code, body := w.post(s, "/groups", "do", "object"); code != 200 || strings.Contains(body, "tehran") {
			w.Errorf("objected: %d %s", code, body)
		}
		if w.allowed(s) != "" || w.changes(s) != "objection " || w.person(s.ID).ObjectedAt == nil {
			w.Errorf("after it: %q, %q", w.allowed(s), w.changes(s))
		}
		holds(w, "the page", w.look(s, ""), "You objected, and get no mail from Baharan Books.")
		if code, _ := w.post(s, "", "do", "save", "shown", "topic:news", "topic:news", "1"); code != 200 || w.allowed(s) != "news" || w.changes(s) != "objection objection-lifted " {
			w.Errorf("agreed anew: %d, %q, %q", code, w.allowed(s), w.changes(s))
		}
	})
}

func TestEveryMailIsListedWithItsReason(t *testing.T) {
	each(t, func(w *world) {
		s, other := w.subscribe("ana@example.org", "news"), w.subscribe("bob@example.org", "news")
		foreign := w.mail(other, w.news)
		var refs []string
		for range mailsShown + 3 {
			refs = append(refs, path(w.urls.Why(w.mail(s, w.news))))
		}
		first := w.look(s, "/mails")
		if strings.Contains(first, path(w.urls.Why(foreign))) {
			w.Error("another's mail is listed")
		}
		at := strings.Index(first, "mails?before=")
		if at < 0 || strings.Count(first, "/w/") != mailsShown {
			w.Fatalf("the first page: %s", first)
		}
		older, _, _ := strings.Cut(first[at:], `"`)
		second := w.look(s, "/"+older)
		for i, ref := range refs {
			if strings.Contains(first, ref) == strings.Contains(second, ref) {
				w.Errorf("mail %d is not on one of the pages", i)
			}
		}
		holds(w, "the list", second, "Tea &amp; books", "/v/")
		if rec := w.do("GET", path(w.urls.Preferences(w.brand.ID, s.ID))+"/mails?before=x", ""); rec.Code != 404 {
			w.Errorf("a made-up cursor: %d", rec.Code)
		}
	})
}

func TestWhyTellsTheRuleAndThePromise(t *testing.T) {
	each(t, func(w *world) {
		s := w.subscribe("ana@example.org", "news")
		w.mail(s, w.news)
		ref := w.mail(s, w.news)
		set := func(origin delivery.Origin, data string) string {
			w.write(func(tx *store.Tx) error {
				_, err := tx.Run("UPDATE streams SET origin = ? WHERE id = (SELECT stream_id FROM messages WHERE id = ?)", origin, ref.ID)
				if err == nil {
					_, err = tx.Run("UPDATE messages SET data = "+tx.Pick("CAST(? AS jsonb)", "?")+" WHERE id = ?", data, ref.ID)
				}
				return err
			})
			return w.do("GET", path(w.urls.Why(ref)), "").Body.String()
		}
		holds(w, "of a campaign", set(delivery.OriginCampaign, `{}`), "A letter to everybody who allows The news.", "mail 2 of at most 1 in 7 days", "Tea &amp; books", "Send me the news.")
		holds(w, "for a tag", set(delivery.OriginCampaign, `{"_why":{"tag":"tehran"},"code":"TEA"}`), "in the group “tehran”", "TEA")
		holds(w, "of a sequence", set(delivery.OriginSequence, `{"_why":{"mail":2,"mails":3,"joined":"2026-11-20T10:00:00Z"}}`), "Letter 2 of 3 in a series on The news")
		page := set(delivery.OriginOffer, `{"_why":{"min_orders":3,"orders":5,"min_months":12,"customer_since":"2025-01-02T10:00:00Z"}}`)
		holds(w, "of an offer", page, "have been customers for 12 months, or have ordered 3 times", "Your orders", ">5<")
		if strings.Contains(page, "_why") {
			w.Error("the reserved key is shown")
		}
		if code, _ := w.post(s, "/often", "do", "often", "topic", "topic:news", "promise", "1/30"); code != 200 {
			w.Fatal(code)
		}
		adjusted := w.permission(s, w.news).EventID
		w.write(func(tx *store.Tx) error { // a mail of later rests on the adjusted permission; it was given by the button
			_, err := tx.Run("UPDATE messages SET consent_event_id = ? WHERE id = ?", adjusted, ref.ID)
			return err
		})
		holds(w, "after less often", w.do("GET", path(w.urls.Why(ref)), "").Body.String(), "by the button on the page that our question led to", "in 30 days", "Send me the news.")

		var asked delivery.Message
		w.write(func(tx *store.Tx) error {
			return tx.Where("template = 'confirm' AND subscriber_id = ?", s.ID).Take(&asked).Error
		})
		rec := w.do("GET", path(w.urls.Why(asked.Ref())), "")
		holds(w, "of our question", rec.Body.String(), "typed into a form of Baharan Books", "Our question whether you agree")
		if strings.Contains(rec.Body.String(), "/u/") {
			w.Error("a question cannot be unsubscribed from")
		}
	})
}
