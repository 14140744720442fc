package public

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showTracking is a person's page about being observed. It changes nothing.
func (h *house) showTracking(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	var q signup.TrackingQuestion
	err = h.read(c, func(tx *store.Tx) (err error) { q, err = signup.AboutTracking(tx, brandID, personID); return err })
	if err != nil {
		return err
	}
	return h.trackingPage(c, http.StatusOK, q, func(*Tracking) {})
}

// answerTracking takes the answer to one of the two questions, or that they are
// left for later, which leaves them unanswered.
func (h *house) answerTracking(c echo.Context) error {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	slug, said, _ := strings.Cut(values.Get("tracking"), ":")
	if slug == "later" {
		var q signup.TrackingQuestion
		err = h.read(c, func(tx *store.Tx) (err error) { q, err = signup.AboutTracking(tx, brandID, personID); return err })
		if err != nil {
			return err
		}
		return h.trackingPage(c, http.StatusOK, q, func(page *Tracking) { page.Later = true })
	}
	if said != "yes" && said != "no" {
		return problem.InvalidField("tracking", "problem.field.choice")
	}
	var q signup.TrackingQuestion
	err = h.write(c, func(tx *store.Tx) (err error) {
		q, err = signup.AnswerTracking(tx, brandID, personID, slug, said == "yes", values.Get("words"), seen(c))
		return err
	})
	if err != nil {
		return err
	}
	return h.trackingPage(c, http.StatusOK, q, func(page *Tracking) { page.Saved = true })
}

func (h *house) trackingPage(c echo.Context, status int, q signup.TrackingQuestion, change func(*Tracking)) error {
	q = q.Speak(speak(c, q.Subscriber.Language).Lang())
	page := Tracking{Frame: frame(c, q.Brand), Email: q.Subscriber.Email, Preferences: h.URLs.Preferences(q.Brand.ID, q.Subscriber.ID)}
	page.Ask = h.trackingAsk(c, q, trackingHere(c))
	for _, choice := range q.Tracking() {
		page.Stand = append(page.Stand, shownTracking(choice))
	}
	change(&page)
	return web.Page(c, status, "public/tracking", page)
}

// trackingHere is the page's own address, relative to itself.
func trackingHere(c echo.Context) string {
	if lang := c.QueryParam("lang"); lang != "" {
		return "tracking?" + url.Values{"lang": {lang}}.Encode()
	}
	return "tracking"
}

// trackingAsk is what is asked now, in the language of the page.
func (h *house) trackingAsk(c echo.Context, q signup.TrackingQuestion, action string) TrackingAsk {
	q = q.Speak(web.Localizer(c).Lang())
	ask := TrackingAsk{Action: action, Words: q.Words()}
	for _, choice := range q.Asked() {
		ask.Asked = append(ask.Asked, shownTracking(choice))
	}
	return ask
}

func shownTracking(c signup.Choice) TrackingChoice {
	shown := TrackingChoice{Slug: c.Topic.Slug, Title: c.Name, Description: c.Description, Wording: c.Label, On: c.On,
		No: c.State == consent.Refused || c.State == consent.Withdrawn}
	if c.On {
		shown.Since = c.Since
	}
	return shown
}
