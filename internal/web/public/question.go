package public

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showQuestion is the page behind the link of a confirmation mail. It changes
// nothing, whoever and whatever opens it. The same path asks the new mailbox of
// a change of address; the kind of the token tells them apart.
func (h *house) showQuestion(c echo.Context) error {
	id, err := h.URLs.ReadConfirm(c.Param("token"))
	if err != nil {
		return h.showMove(c)
	}
	var q signup.Question
	err = h.read(c, func(tx *store.Tx) (err error) {
		q, err = signup.Look(tx, id)
		return err
	})
	if err != nil {
		return err
	}
	speak(c, q.Request.Language)
	return h.questionPage(c, q)
}

func (h *house) questionPage(c echo.Context, q signup.Question) error {
	switch q.Stands() {
	case signup.Confirmed:
		if c.QueryParam("answer") == "notme" && q.Single {
			break
		}
		return web.Page(c, http.StatusOK, "public/confirm-already", h.confirmed(c, q))
	case signup.Disowned:
		return web.Page(c, http.StatusOK, "public/notme-done", NotMe{Frame: frame(c, q.Brand), Email: q.Subscriber.Email})
	case signup.Expired:
		return h.expired(c, q)
	}
	return web.Page(c, http.StatusOK, "public/confirm", Confirm{
		Frame: frame(c, q.Brand), Action: here(c, "token"), Name: q.Name(), Email: q.Subscriber.Email, At: q.Request.CreatedAt,
		Page: q.Page, Words: q.Words(), Until: q.Request.ExpiresAt, NotMe: c.QueryParam("answer") == "notme", By: q.Inviter(),
	})
}

func (h *house) confirmed(c echo.Context, q signup.Question) ConfirmDone {
	d := ConfirmDone{
		Frame: frame(c, q.Brand), Name: q.Name(), Email: q.Subscriber.Email, Words: q.Words(),
		Preferences: h.URLs.Preferences(q.Brand.ID, q.Subscriber.ID),
	}
	d.Receipts = h.receiptsOf(c, q)
	if q.Request.AnsweredAt != nil {
		d.At = *q.Request.AnsweredAt
	}
	if q.Tracking != nil {
		d.Ask = h.trackingAsk(c, *q.Tracking, "../p/"+h.URLs.SignIDs(link.Preferences, q.Brand.ID, q.Subscriber.ID)+"/tracking")
	}
	return d
}

// receiptsOf leads to what was confirmed, as far as it still stands. A page that
// thanks is shown even where they cannot be read.
func (h *house) receiptsOf(c echo.Context, q signup.Question) (links []ReceiptLink) {
	err := h.read(c, func(tx *store.Tx) error {
		links = nil
		all, err := consent.Permissions(tx, q.Brand.ID, q.Subscriber.ID)
		if err != nil {
			return err
		}
		for _, box := range q.Request.Boxes {
			for _, p := range all {
				if p.TopicID != box.Topic || !consent.InForce(p.State) {
					continue
				}
				t, err := consent.FindTopic(tx, q.Brand.ID, p.TopicID)
				if err != nil {
					return err
				}
				links = append(links, ReceiptLink{Topic: t.In(q.Brand, web.Localizer(c).Lang()).Name, URL: h.URLs.Receipt(p.EventID)})
			}
		}
		return nil
	})
	if err != nil {
		web.Log(c, web.Classify(err))
		return nil
	}
	return links
}

func (h *house) expired(c echo.Context, q signup.Question) error {
	return web.Page(c, http.StatusGone, "public/confirm-expired", Expired{Frame: frame(c, q.Brand), Action: here(c, "token")})
}

// answerQuestion takes the answer that a visible button gave: yes, no, not me,
// or, when the time is over, ask again. It can be given again and then changes
// nothing.
func (h *house) answerQuestion(c echo.Context) error {
	id, err := h.URLs.ReadConfirm(c.Param("token"))
	if err != nil {
		return h.answerMove(c)
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	answer, ok := map[string]func(*store.Tx, uuid.UUID, signup.Seen) (signup.Question, error){
		"yes": signup.Confirm, "no": signup.Decline, "notme": signup.Disown, "again": h.askAgain,
	}[values.Get("answer")]
	if !ok {
		return problem.InvalidField("answer", "problem.field.choice")
	}
	var q signup.Question
	err = h.write(c, func(tx *store.Tx) (err error) {
		q, err = answer(tx, id, seen(c))
		return err
	})
	if q.Brand.ID != uuid.Nil {
		speak(c, q.Request.Language)
	}
	if p, ok := problem.Of(err); ok && p.Key == "signup.expired" {
		return h.expired(c, q)
	}
	if err != nil {
		return err
	}
	return h.answered(c, q, values.Get("answer"))
}

func (h *house) askAgain(tx *store.Tx, id uuid.UUID, s signup.Seen) (signup.Question, error) {
	if err := signup.AskAgain(tx, h.Signup, id, s); err != nil {
		return signup.Question{}, err
	}
	return signup.Look(tx, id)
}

func (h *house) answered(c echo.Context, q signup.Question, answer string) error {
	switch answer {
	case "yes":
		return web.Page(c, http.StatusOK, "public/confirm-done", h.confirmed(c, q))
	case "no":
		d := Declined{Frame: frame(c, q.Brand), Until: q.Request.ExpiresAt}
		if h.DB.Now().Before(q.Request.ExpiresAt) {
			d.Again = here(c, "token")
		}
		return web.Page(c, http.StatusOK, "public/declined", d)
	case "again":
		return web.Page(c, http.StatusOK, "public/form-done", FormDone{Frame: frame(c, q.Brand)})
	}
	return web.Page(c, http.StatusOK, "public/notme-done", NotMe{Frame: frame(c, q.Brand), Email: q.Subscriber.Email})
}

// showMove asks the new mailbox of a change of address.
func (h *house) showMove(c echo.Context) error {
	id, err := h.URLs.ReadAddressChange(c.Param("token"))
	if err != nil {
		return err
	}
	var m signup.Move
	err = h.read(c, func(tx *store.Tx) (err error) {
		m, err = signup.LookAtMove(tx, id)
		return err
	})
	if err != nil {
		return err
	}
	speak(c, m.Subscriber.Language)
	switch {
	case m.Change.ConfirmedAt != nil:
		return h.moved(c, m)
	case m.Expired:
		return problem.New(problem.Gone, "signup.address.expired")
	}
	return web.Page(c, http.StatusOK, "public/address-confirm", AddressConfirm{
		Frame: frame(c, m.Brand), Action: here(c, "token"), Email: m.Change.Email, Old: m.Subscriber.Email,
		At: m.Change.CreatedAt, Until: m.Change.ExpiresAt, NotMe: c.QueryParam("answer") == "notme",
	})
}

func (h *house) moved(c echo.Context, m signup.Move) error {
	return web.Page(c, http.StatusOK, "public/address-done", AddressDone{
		Frame: frame(c, m.Brand), Email: m.Change.Email, Preferences: h.URLs.Preferences(m.Brand.ID, m.Subscriber.ID),
	})
}

func (h *house) answerMove(c echo.Context) error {
	id, err := h.URLs.ReadAddressChange(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	answer, ok := map[string]func(*store.Tx, uuid.UUID) (signup.Move, error){
		"yes": signup.ConfirmMove, "notme": signup.DisownMove,
	}[values.Get("answer")]
	if !ok {
		return problem.InvalidField("answer", "problem.field.choice")
	}
	var m signup.Move
	err = h.write(c, func(tx *store.Tx) (err error) {
		m, err = answer(tx, id)
		return err
	})
	if m.Brand.ID != uuid.Nil {
		speak(c, m.Subscriber.Language)
	}
	if err != nil {
		return err
	}
	if values.Get("answer") == "notme" {
		return web.Page(c, http.StatusOK, "public/notme-done", NotMe{Frame: frame(c, m.Brand), Email: m.Change.Email})
	}
	return h.moved(c, m)
}
