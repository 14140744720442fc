package public

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showKeep is the page behind the button of a mail that asks whether a
// permission stands. It changes nothing, whoever and whatever opens it.
func (h *house) showKeep(c echo.Context) error {
	id, err := h.URLs.ReadKeep(c.Param("token"))
	if err != nil {
		return err
	}
	var s signup.Standing
	err = h.read(c, func(tx *store.Tx) (err error) { s, err = signup.LookAtAsking(tx, id); return err })
	if err != nil {
		return err
	}
	return h.keepPage(c, s)
}

// answerKeep takes the answer of a visible button. Repeatable.
func (h *house) answerKeep(c echo.Context) error {
	id, err := h.URLs.ReadKeep(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	answer := values.Get("answer")
	if answer != "yes" && answer != "no" {
		return problem.InvalidField("answer", "problem.field.choice")
	}
	var s signup.Standing
	err = h.write(c, func(tx *store.Tx) (err error) {
		s, err = signup.AnswerAsking(tx, id, answer == "yes", seen(c))
		return err
	})
	if err != nil {
		return err
	}
	return h.keepPage(c, s)
}

func (h *house) keepPage(c echo.Context, s signup.Standing) error {
	speak(c, s.Asking.Language)
	page := Keep{Frame: frame(c, s.Brand), Action: here(c, "token"), Kind: s.Asking.Kind, Email: s.Subscriber.Email, Words: s.Words(),
		Preferences: h.URLs.Preferences(s.Brand.ID, s.Subscriber.ID)}
	if s.Until != nil {
		page.Until = s.Until.Add(-1) // the last day
	}
	if s.Asking.State == signup.AskingOpen {
		return web.Page(c, http.StatusOK, "public/keep", page)
	}
	page.State = s.Asking.State
	return web.Page(c, http.StatusOK, "public/keep-done", page)
}
