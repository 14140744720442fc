package admin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/store"
)

// The last day of a code is the same day wherever it is told.
func TestACodesLastDayIsOneDay(t *testing.T) {
	each(t, func(w *world) {
		sara := w.buys("sara@example.org", "A-1")
		b := w.in(email)
		page := w.offered(b, "budget", "1")
		b.push(page, "start", "offer.start")
		w.give(page)
		var ends time.Time
		w.write(func(tx *store.Tx) error {
			codes, err := offer.CodesOf(tx, w.brand.ID, sara.ID)
			ends = codes[0].ExpiresAt
			return err
		})
		l, zone := i18n.For("en"), w.brand.Location()
		last, after := l.Date(ends.Add(-time.Second), zone), l.Date(ends, zone)
		if last == after {
			w.Fatal("the code does not end with a day")
		}
		for _, path := range []string{page, page + "/codes", overview + "/people/" + sara.ID.String()} {
			if body := b.mustShow(path, last).body; strings.Contains(body, after) {
				w.Errorf("%s tells the day after as well", path)
			}
		}
	})
}

// The lead and the table tell one age.
func TestQueuesTellOneAge(t *testing.T) {
	each(t, func(w *world) {
		w.mail(w.brand, w.topic, w.person(w.brand, w.topic, "sara@example.org", consent.Given))
		w.pass(69*time.Second + 700*time.Millisecond)
		b := w.in(email)
		told := regexp.MustCompile(`\d+ seconds`).FindAllString(b.mustShow(overview+"/queues", "oldest waits ").body, -1)
		if len(told) < 2 || told[0] != told[1] {
			w.Errorf("the ages are %q", told)
		}
	})
}

// How somebody left, and what they read, is told in the page's language.
func TestAPersonIsToldInThePagesLanguage(t *testing.T) {
	each(t, func(w *world) {
		sara := w.person(w.brand, w.topic, "sara@example.org", consent.Given)
		w.stop(w.brand, "sara@example.org", consent.Left, consent.MethodUnsubscribe)
		w.stop(w.brand, "sara@example.org", consent.NotMe, "confirmation-page")
		b, page := w.in(email), overview+"/people/"+sara.ID.String()
		for lang, want := range map[string][]string{"en": {"How: by the link in a mail", "reads English"}, "fa": {"چگونه: با پیوند درون نامه", "به انگلیسی می‌خواند"}} {
			body := b.mustShow(page+"?lang="+lang, want...).body
			for _, raw := range []string{"<bdi>unsubscribe-page", "<bdi>confirmation-page"} {
				if strings.Contains(body, raw) {
					w.Errorf("%s: a stored word is shown: %s", lang, raw)
				}
			}
		}
		b.mustShow(overview+"/topics/new?lang=fa", "<legend>انگلیسی", "<legend>فارسی")
		b.mustShow(overview+"/topics/new?lang=en", "<legend>English", "<legend>Persian")
		if n := strings.Count(b.mustShow(overview+"/topics").body, i18n.For("en").T("admin.topic.no-promise")); n != 0 {
			w.Errorf("%d topics of tracking promise nothing", n)
		}
	})
}

// Numbers stand in a form in the digits of the page, after a fault as well, and
// are no change for being written so.
func TestNumbersInFormsAreInThePagesDigits(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		edit := w.offered(b) + "/edit"
		got := b.mustShow(edit+"?lang=fa", `name="budget" type="text" value="۲"`, `name="valid_days" type="text" value="۳۰"`)
		form := b.typed(got.body, edit+"?lang=fa")
		form.Set("name", "")
		form.Set("budget", "7")
		wrong := b.submit(edit+"?lang=fa", form)
		if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, `name="budget" type="text" value="۷"`) {
			w.Errorf("drawn again: %d\n%s", wrong.status, wrong.body)
		}
		if !sameValue("steps.1.wait.amount", "۳", "3") || sameValue("name", "۳", "3") || sameValue("budget", "2", "3") {
			w.Error("values are not compared as numbers")
		}
		form.Set("name", "Thanks")
		if got := b.submit(edit, form); got.status != http.StatusSeeOther {
			w.Errorf("saved: %d\n%s", got.status, got.body)
		}
	})
}
