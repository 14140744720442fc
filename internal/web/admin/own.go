package admin

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// Own is the page admin/account: what a user says of themselves.
type Own struct {
	Frame
	Email     string
	Sheet     Sheet // name and language
	Password  Sheet
	Sessions  Sheet
	Choices   []Choice
	Brands    []NavItem // with the role as Heading
	MayBrands string    // address to make a brand at; empty: they may not
}

func (h *house) account(c echo.Context, v visit) error {
	return h.drawAccount(c, v, http.StatusOK, func(*Own) {})
}

// drawAccount draws the page, with what was wrong with one of its forms put in.
func (h *house) drawAccount(c echo.Context, v visit, status int, put func(*Own)) error {
	l := web.Localizer(c)
	page := Own{Frame: h.frame(c, v, time.UTC), Email: v.User.Email, Choices: languageChoices(),
		Sheet:    h.slip(c, accountPath, url.Values{"name": {v.User.Name}, "language": {v.User.Language}}),
		Password: h.slip(c, accountPath+"/password", url.Values{}), Sessions: h.slip(c, accountPath+"/sessions", url.Values{})}
	for _, b := range v.brands {
		page.Brands = append(page.Brands, NavItem{Label: b.In(l.Lang()).Name, URL: to(c, brandPath+b.Slug), Heading: l.T("admin.role." + string(v.Role(b.ID)))})
	}
	if v.mayMakeBrands() {
		page.MayBrands = to(c, newBrandPath)
	}
	put(&page)
	return web.Page(c, status, "admin/account", page)
}

func (h *house) saveAccount(c echo.Context, v visit) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	err = h.DB.Write(c.Request().Context(), func(tx *store.Tx) error {
		return account.Describe(tx, v.User.ID, form.Get("name"), form.Get("language"))
	})
	if s, status, ok := h.back(c, form, err); ok {
		return h.drawAccount(c, v, status, func(o *Own) { o.Sheet = s })
	}
	if err != nil {
		return err
	}
	return web.SeeOther(c, to(c, accountPath, "did", "account.change"))
}

// changePassword asks for the old one, as signing in does: wrong ones are
// counted, and lock after a few. It ends every session but this one.
func (h *house) changePassword(c echo.Context, v visit) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	_, err = h.Door.SignIn(ctx, account.Attempt{Email: v.User.Email, Password: form.Get("old"), IP: web.ClientIP(c)})
	if problem.Is(err, problem.Unauthorized) {
		err = problem.InvalidField("old", "admin.account.old-wrong")
	}
	if err == nil {
		err = h.Door.SetPassword(ctx, v.User.Email, form.Get("password"))
	}
	if s, status, ok := h.back(c, form, err); ok {
		return h.drawAccount(c, v, status, func(o *Own) { o.Password = s })
	}
	if err != nil {
		return err
	}
	return h.stay(c, v, "account.password")
}

// endSessions signs the user out everywhere else.
func (h *house) endSessions(c echo.Context, v visit) error {
	err := h.DB.Write(c.Request().Context(), func(tx *store.Tx) error { return account.EndSessions(tx, v.User.ID) })
	if err != nil {
		return err
	}
	return h.stay(c, v, "account.sessions")
}

// stay begins a session anew for who has just ended all of theirs.
func (h *house) stay(c echo.Context, v visit, did string) error {
	var u account.User
	err := h.DB.Read(c.Request().Context(), func(tx *store.Tx) (err error) { u, err = account.Find(tx, v.User.ID); return err })
	if err != nil {
		return err
	}
	if err := h.begin(c, u); err != nil {
		return err
	}
	return web.SeeOther(c, to(c, accountPath, "did", did))
}
