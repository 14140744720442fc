package public

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/privacy"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// theirs is whose link it is that a page below the preference page was opened by.
func (h *house) theirs(c echo.Context) (p signup.Preferences, l *i18n.Localizer, err error) {
	brandID, personID, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return p, nil, err
	}
	err = h.read(c, func(tx *store.Tx) (err error) {
		p, err = signup.Preference(tx, brandID, personID)
		return err
	})
	if err != nil {
		return p, nil, err
	}
	return p, speak(c, p.Subscriber.Language), nil
}

// below is the address of a page below the preference page, relative to its
// neighbours, in the visitor's language.
func below(c echo.Context, page string) string {
	if lang := c.QueryParam("lang"); lang != "" {
		return page + "?" + url.Values{"lang": {lang}}.Encode()
	}
	return page
}

// showData says what is kept of somebody, and offers it. It changes nothing.
func (h *house) showData(c echo.Context) error {
	p, l, err := h.theirs(c)
	if err != nil {
		return err
	}
	page := PersonalData{Frame: frame(c, p.Brand), Email: p.Subscriber.Email, Action: below(c, "data"), Ask: below(c, "request"), Forget: below(c, "forget"),
		Preferences: h.URLs.Preferences(p.Brand.ID, p.Subscriber.ID)}
	err = h.read(c, func(tx *store.Tx) error {
		all, err := privacy.Of(tx, p.Brand.ID, p.Subscriber.ID)
		for _, r := range all {
			page.Requests = append(page.Requests, shownRequest(l, r))
		}
		return err
	})
	if err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "public/data", page)
}

func shownRequest(l *i18n.Localizer, r privacy.Request) Asked {
	a := Asked{Kind: l.T("privacy.kind." + r.Kind), At: r.OpenedAt, Due: r.DueAt, State: l.T("privacy.open"), Open: r.ClosedAt == nil}
	if r.ClosedAt != nil {
		a.Closed, a.State = *r.ClosedAt, l.T("privacy.outcome."+r.Outcome)
	}
	return a
}

// giveData hands over all that is kept, as a file, and writes that into the ledger.
func (h *house) giveData(c echo.Context) error {
	p, _, err := h.theirs(c)
	if err != nil {
		return err
	}
	if p := h.one(c); !p.OK {
		return web.TooMany(c, p.Wait)
	}
	var x privacy.Export
	err = h.write(c, func(tx *store.Tx) (err error) {
		x, err = privacy.Tell(tx, p.Brand, p.Subscriber.ID, consent.MethodPreferences, consent.EntitySubject)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return fmt.Errorf("write what is kept of a person: %w", err)
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+p.Brand.Slug+`-my-data.json"`)
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSONCharsetUTF8, text)
}

// showForget says what is erased, and what stays and why. It changes nothing.
func (h *house) showForget(c echo.Context) error {
	p, _, err := h.theirs(c)
	if err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "public/forget", Forget{Frame: frame(c, p.Brand), Email: p.Subscriber.Email, Action: below(c, "forget"),
		Data: below(c, "data"), Preferences: h.URLs.Preferences(p.Brand.ID, p.Subscriber.ID)})
}

// forget erases somebody at their word: it is a request that is done at once.
// Pressed twice it says the same.
func (h *house) forget(c echo.Context) error {
	p, _, err := h.theirs(c)
	if problem.Is(err, problem.Gone) {
		return h.forgotten(c)
	}
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	if values.Get("do") != "forget" {
		return problem.InvalidField("do", "problem.field.choice")
	}
	err = h.write(c, func(tx *store.Tx) error {
		_, _, err := privacy.Open(tx, p.Brand, privacy.Opening{Subscriber: p.Subscriber.ID, Kind: privacy.Erasure, Way: privacy.WayPreferences})
		if err != nil {
			return err
		}
		return privacy.Erase(tx, p.Brand, p.Subscriber.ID, consent.MethodPreferences, consent.EntitySubject)
	})
	if problem.Is(err, problem.Gone) { // by another click at once
		err = nil
	}
	if err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "public/forgotten", Forgotten{Frame: frame(c, p.Brand)})
}

func (h *house) forgotten(c echo.Context) error {
	brandID, _, err := h.URLs.ReadPreferences(c.Param("token"))
	if err != nil {
		return err
	}
	var b brand.Brand
	if err := h.read(c, func(tx *store.Tx) (err error) { b, err = brand.Find(tx, brandID); return err }); err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "public/forgotten", Forgotten{Frame: frame(c, b)})
}

// showAsk is the form for what the pages cannot do by themselves.
func (h *house) showAsk(c echo.Context) error { return h.askPage(c, http.StatusOK, "", "", nil) }

func (h *house) askPage(c echo.Context, status int, kind, text string, wrong map[string]string) error {
	p, l, err := h.theirs(c)
	if err != nil {
		return err
	}
	page := AskForm{Frame: frame(c, p.Brand), Email: p.Subscriber.Email, Action: below(c, "request"), Data: below(c, "data"), Text: text,
		KindError: wrong["kind"], TextError: wrong["text"]}
	if kind == "" {
		kind = c.QueryParam("kind")
	}
	for _, k := range []string{privacy.Correction, privacy.Objection, privacy.Access, privacy.Portability} {
		page.Kinds = append(page.Kinds, Ask{Value: k, Label: l.T("privacy.kind." + k), Hint: l.T("privacy.kind." + k + ".text"), Selected: k == kind})
	}
	return web.Page(c, status, "public/request", page)
}

// openRequest opens a request.
func (h *house) openRequest(c echo.Context) error {
	p, l, err := h.theirs(c)
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	if p := h.one(c); !p.OK {
		return web.TooMany(c, p.Wait)
	}
	var r privacy.Request
	err = h.write(c, func(tx *store.Tx) (err error) {
		r, _, err = privacy.Open(tx, p.Brand, privacy.Opening{Subscriber: p.Subscriber.ID, Kind: values.Get("kind"), Way: privacy.WayPreferences, Text: values.Get("text")})
		return err
	})
	if problem.Is(err, problem.Invalid) {
		_, said := l.Problem(err)
		return h.askPage(c, http.StatusUnprocessableEntity, values.Get("kind"), values.Get("text"), said)
	}
	if err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "public/request-done", AskDone{Frame: frame(c, p.Brand), Asked: shownRequest(l, r), Objected: r.Kind == privacy.Objection,
		Preferences: h.URLs.Preferences(p.Brand.ID, p.Subscriber.ID)})
}
