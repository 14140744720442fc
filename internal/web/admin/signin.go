package admin

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/problem"
	"assent/internal/web"
)

// askSignIn shows the form, unless there is nothing to ask.
func (h *house) askSignIn(c echo.Context) error {
	next := local(c.QueryParam("next"))
	ctx, err := h.Sessions.Load(c.Request())
	if err != nil {
		return err
	}
	if _, err = h.Sessions.Actor(ctx); err == nil {
		return web.SeeOther(c, next)
	}
	if !problem.Is(err, problem.Unauthorized) {
		return err
	}
	empty, err := h.empty(c.Request().Context())
	if err != nil {
		return err
	}
	if empty {
		return web.SeeOther(c, to(c, welcomePath))
	}
	page := h.signInPage(c, next)
	page.Told = told(c)
	return web.Page(c, http.StatusOK, "admin/signin", page)
}

func (h *house) signInPage(c echo.Context, next string) SignIn {
	page := SignIn{Action: to(c, signInPath), Next: next, Help: to(c, helpPath), Languages: languages(c, "next", next)}
	if !h.OpenMailbox {
		page.Forgotten = to(c, forgottenPath)
	}
	return page
}

// signIn lets in who knows an address and its password. What was wrong is told
// in one sentence that does not say which half it was.
func (h *house) signIn(c echo.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	ctx, err := h.Sessions.Load(c.Request())
	if err != nil {
		return err
	}
	user, err := h.Door.SignIn(ctx, account.Attempt{Email: form.Get("email"), Password: form.Get("password"), IP: web.ClientIP(c)})
	if err != nil {
		return h.refused(c, err, form.Get("email"), local(form.Get("next")))
	}
	if err := h.Sessions.Begin(ctx, c.Response(), user); err != nil {
		return err
	}
	return web.SeeOther(c, local(form.Get("next")))
}

// refused shows the form again, and when another try makes sense.
func (h *house) refused(c echo.Context, err error, email, next string) error {
	f := web.Classify(err)
	if f.Problem.Kind == problem.Internal {
		return err
	}
	if wait := minutes(f.Problem); wait > 0 {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(60*wait))
	}
	page := h.signInPage(c, next)
	page.Email = email
	page.Error, _ = web.Localizer(c).Problem(f.Problem)
	return web.Page(c, f.Status, "admin/signin", page)
}

// minutes is how long a lock-out still lasts; 0 where there is none.
func minutes(p *problem.Error) int {
	for i := 0; i+1 < len(p.Args); i += 2 {
		if n, ok := p.Args[i+1].(int); ok && p.Args[i] == "Minutes" {
			return n
		}
	}
	return 0
}

// signOut ends the session; without one it comes to the same.
func (h *house) signOut(c echo.Context) error {
	ctx, err := h.Sessions.Load(c.Request())
	if err != nil {
		return err
	}
	if err := h.Sessions.End(ctx, c.Response()); err != nil {
		return err
	}
	return web.SeeOther(c, to(c, signInPath))
}
