package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// mountDoor adds the pages of who is not signed in yet, and of who belongs to
// no brand.
func (h *house) mountDoor(e *echo.Echo) {
	e.GET(welcomePath, h.welcome)
	e.POST(welcomePath, h.limited(h.makeFirst))
	if !h.OpenMailbox { // where everybody reads the mails, a mail proves nothing
		e.GET(forgottenPath, h.forgotten)
		e.POST(forgottenPath, h.limited(h.sendReset))
	}
	e.GET(resetPath+":token", h.askReset)
	e.POST(resetPath+":token", h.limited(h.reset))
	e.GET(invitationPath+":token", h.invitation)
	e.POST(invitationPath+":token", h.limited(h.accept))
	e.GET(accountPath, h.page(h.account))
	e.POST(accountPath, h.page(h.saveAccount))
	e.GET(accountPath+"/password", h.page(func(c echo.Context, _ visit) error { return web.SeeOther(c, to(c, accountPath)) }))
	e.POST(accountPath+"/password", h.page(h.changePassword))
	e.GET(accountPath+"/sessions", h.page(func(c echo.Context, _ visit) error { return web.SeeOther(c, to(c, accountPath)) }))
	e.POST(accountPath+"/sessions", h.page(h.endSessions))
	e.GET(newBrandPath, h.page(h.newBrand))
	e.POST(newBrandPath, h.page(h.createBrand))
}

// limited holds up who tries too often from one place.
func (h *house) limited(do echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if wait, ok := h.tries.Allow(web.ClientPlace(c), h.DB.Now()); !ok {
			return web.TooMany(c, wait)
		}
		return do(c)
	}
}

// empty tells whether nobody can sign in yet.
func (h *house) empty(ctx context.Context) (bool, error) {
	if h.settled.Load() {
		return false, nil
	}
	var n int64
	err := h.DB.Read(ctx, func(tx *store.Tx) (err error) { n, err = account.Count(tx); return err })
	if n > 0 {
		h.settled.Store(true)
	}
	return err == nil && n == 0, err
}

// slip is a form of a page that belongs to no brand; what is typed into it is
// kept nowhere.
func (h *house) slip(c echo.Context, path string, values url.Values) Sheet {
	return Sheet{Action: to(c, path), Page: path, Values: values, Once: store.NewID(h.DB.Now())}
}

// back is the form as it was sent, without passwords, and what is wrong with it;
// ok is false for an error that nobody can do anything about there.
func (h *house) back(c echo.Context, form url.Values, err error) (s Sheet, status int, ok bool) {
	p, expected := problem.Of(err)
	if !expected || !slices.Contains([]problem.Kind{problem.Invalid, problem.Conflict, problem.TooMany, problem.Unavailable}, p.Kind) {
		return s, 0, false
	}
	s = h.slip(c, c.Request().URL.Path, form)
	for _, secret := range []string{"password", "old", "new"} {
		s.Values.Del(secret)
	}
	s.tell(web.Localizer(c), p, h.DB.Now())
	return s, web.Classify(err).Status, true
}

// languageChoices are the languages that we speak, each in itself.
func languageChoices() (all []Choice) {
	for _, lang := range i18n.Languages {
		all = append(all, Choice{Value: lang, Label: i18n.For(lang).T("admin.language")})
	}
	return all
}

// begin signs a user in.
func (h *house) begin(c echo.Context, u account.User) error {
	ctx, err := h.Sessions.Load(c.Request())
	if err != nil {
		return err
	}
	return h.Sessions.Begin(ctx, c.Response(), u)
}

// ---- the first account ----

// Welcome is the page admin/welcome, on which the first account is made. Without
// the code it says where that stands.
type Welcome struct {
	Sheet     Sheet
	Ask       bool // the code is good
	Wrong     bool // there was one, and it is not
	Choices   []Choice
	Languages []Language
}

// WelcomePage is the path of the page for who has the code.
func WelcomePage(code string) string { return welcomePath + "?" + url.Values{"code": {code}}.Encode() }

func (h *house) welcome(c echo.Context) error {
	code := c.QueryParam("code")
	err := h.DB.Read(c.Request().Context(), func(tx *store.Tx) error { return account.CheckFirst(tx, code) })
	return h.drawWelcome(c, err, http.StatusOK, h.slip(c, welcomePath, url.Values{"code": {code}, "language": {web.Localizer(c).Lang()}}))
}

func (h *house) drawWelcome(c echo.Context, err error, status int, s Sheet) error {
	page := Welcome{Sheet: s, Ask: err == nil, Choices: languageChoices(), Languages: languages(c, "code", s.Value("code"))}
	switch {
	case problem.Is(err, problem.Gone):
		return web.SeeOther(c, to(c, signInPath))
	case problem.Is(err, problem.Forbidden):
		if page.Wrong = s.Value("code") != ""; page.Wrong {
			status = http.StatusForbidden
		}
	case err != nil:
		return err
	}
	return web.Page(c, status, "admin/welcome", page)
}

func (h *house) makeFirst(c echo.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	u, err := h.Door.AddFirst(c.Request().Context(), form.Get("code"), account.NewUser{Name: form.Get("name"), Email: form.Get("email"), Password: form.Get("password"), Language: form.Get("language")})
	if s, status, ok := h.back(c, form, err); ok {
		return h.drawWelcome(c, nil, status, s)
	}
	if err != nil {
		return h.drawWelcome(c, err, http.StatusOK, h.slip(c, welcomePath, url.Values{"code": {form.Get("code")}}))
	}
	if err := h.begin(c, u); err != nil {
		return err
	}
	return web.SeeOther(c, to(c, newBrandPath))
}

// ---- a forgotten password ----

// Forgotten is the page admin/forgotten.
type Forgotten struct {
	Sheet     Sheet
	Sent      bool // it was asked for; whether there is such an account is not said
	Back      string
	Languages []Language
}

func (h *house) forgotten(c echo.Context) error {
	return web.Page(c, http.StatusOK, "admin/forgotten", Forgotten{Sheet: h.slip(c, forgottenPath, url.Values{}), Back: to(c, signInPath), Languages: languages(c)})
}

// evenly is how long the answer takes, whether there is such an account or not.
const evenly = 500 * time.Millisecond

// sendReset writes to the address, if it has an account. Its answer, and the time
// that takes, are the same if it has none.
func (h *house) sendReset(c echo.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	ctx, due := c.Request().Context(), time.NewTimer(evenly)
	defer due.Stop()
	err = h.DB.Write(ctx, func(tx *store.Tx) error { return h.reminder(tx, c, form.Get("email")) })
	select {
	case <-due.C:
	case <-ctx.Done():
	}
	if err != nil {
		return err
	}
	page := Forgotten{Sheet: h.slip(c, forgottenPath, url.Values{"email": {form.Get("email")}}), Sent: true, Back: to(c, signInPath), Languages: languages(c)}
	return web.Page(c, http.StatusOK, "admin/forgotten", page)
}

// reminder queues the mail, in the name of a brand that the user works for, or
// of the oldest. Before there is a brand no mail can be sent.
func (h *house) reminder(tx *store.Tx, c echo.Context, email string) error {
	u, token, ok, err := account.AskReset(tx, email)
	if err != nil || !ok {
		return err
	}
	all, err := brand.List(tx)
	if err != nil || len(all) == 0 {
		return err
	}
	b := slices.MinFunc(all, func(a, b brand.Brand) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	roles, err := account.Memberships(tx, u.ID)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(all, func(b brand.Brand) bool { return len(roles) > 0 && b.ID == roles[0].BrandID }); i >= 0 {
		b = all[i]
	}
	return delivery.WriteToTeam(tx, delivery.TeamMail{Brand: b.ID, Template: "reset", To: u.Email, Language: u.Language, Link: h.URLs.Page(resetPath + token),
		Data: map[string]any{"requested_at": i18n.For(u.Language).DateTime(tx.Now(), b.Location()), "ip": web.ClientIP(c).String()}})
}

// Reset is the page admin/reset: a new password by a link.
type Reset struct {
	Sheet     Sheet
	Email     string
	Over      string // why the link opens nothing; empty: it does
	Again     string // address to ask for another
	Languages []Language
}

func (h *house) askReset(c echo.Context) error {
	return h.drawReset(c, http.StatusOK, h.slip(c, c.Request().URL.Path, url.Values{}))
}

func (h *house) drawReset(c echo.Context, status int, s Sheet) error {
	page := Reset{Sheet: s, Again: to(c, forgottenPath), Languages: languages(c)}
	var u account.User
	err := h.DB.Read(c.Request().Context(), func(tx *store.Tx) (err error) { u, err = account.ResetOf(tx, c.Param("token")); return err })
	page.Email = u.Email
	if p, ok := problem.Of(err); ok && p.Kind == problem.Gone {
		status, page.Over = http.StatusGone, web.Localizer(c).T(p.Key)
	} else if err != nil {
		return err
	}
	return web.Page(c, status, "admin/reset", page)
}

func (h *house) reset(c echo.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	err = h.Door.Reset(c.Request().Context(), c.Param("token"), form.Get("password"))
	if s, status, ok := h.back(c, form, err); ok {
		return h.drawReset(c, status, s)
	}
	if problem.Is(err, problem.Gone) {
		return h.drawReset(c, http.StatusGone, h.slip(c, c.Request().URL.Path, url.Values{}))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(c, to(c, signInPath, "did", "account.reset"))
}

// ---- an invitation ----

// InvitationPage is the page admin/invitation.
type InvitationPage struct {
	Sheet              Sheet
	Over               string // why it opens nothing; empty: it does
	Brand, Email, Role string
	By, RoleText       string
	Ways               string // "new": make an account, "accept", "sign-in", "other": somebody else is signed in
	As                 string // who is signed in
	SignIn, SignOut    string
	Home               string
	Choices            []Choice
	Languages          []Language
}

func (h *house) invitation(c echo.Context) error {
	return h.drawInvitation(c, http.StatusOK, h.slip(c, c.Request().URL.Path, url.Values{}))
}

// actor is who is signed in; ok is false for nobody.
func (h *house) actor(c echo.Context) (a account.Actor, ok bool, err error) {
	ctx, err := h.Sessions.Load(c.Request())
	if err != nil {
		return a, false, err
	}
	a, err = h.Sessions.Actor(ctx)
	if problem.Is(err, problem.Unauthorized) {
		return a, false, nil
	}
	return a, err == nil, err
}

func (h *house) drawInvitation(c echo.Context, status int, s Sheet) error {
	a, in, err := h.actor(c)
	if err != nil {
		return err
	}
	var i account.Invitation
	var b brand.Brand
	var by account.User
	known := false
	err = h.DB.Read(c.Request().Context(), func(tx *store.Tx) (err error) {
		if i, err = account.InvitationOf(tx, c.Param("token")); err != nil {
			return err
		}
		if b, err = brand.Find(tx, i.BrandID); err != nil {
			return err
		}
		if by, err = account.Find(tx, i.InvitedBy); err != nil {
			return err
		}
		_, err = account.ByEmail(tx, i.Email)
		known = err == nil
		if problem.Is(err, problem.NotFound) {
			err = nil
		}
		return err
	})
	if p, ok := problem.Of(err); ok && (p.Kind == problem.Gone || p.Kind == problem.NotFound) {
		page := InvitationPage{Over: web.Localizer(c).T(p.Key), Home: to(c, homePath), Languages: languages(c)}
		return web.Page(c, web.Classify(err).Status, "admin/invitation", page)
	}
	if err != nil {
		return err
	}
	if chosenLanguage(c) == "" {
		web.SetLanguage(c, i.Language)
	}
	l := web.Localizer(c)
	if s.Value("language") == "" {
		s.Values.Set("language", l.Lang())
	}
	page := InvitationPage{Sheet: s, Brand: b.In(l.Lang()).Name, Email: i.Email, By: by.Name, Role: l.T("admin.role." + string(i.Role)), RoleText: l.T("admin.role-text." + string(i.Role)),
		SignIn: to(c, signInPath, "next", c.Request().URL.Path), SignOut: to(c, signOutPath), Choices: languageChoices(), Languages: languages(c)}
	switch {
	case in && a.User.Email == i.Email:
		page.Ways = "accept"
	case in:
		page.Ways, page.As = "other", a.User.Email
	case known:
		page.Ways = "sign-in"
	default:
		page.Ways = "new"
	}
	return web.Page(c, status, "admin/invitation", page)
}

// accept joins the team: as who is signed in, or with an account that is made.
func (h *house) accept(c echo.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	a, in, err := h.actor(c)
	if err != nil {
		return err
	}
	ctx, token, next := c.Request().Context(), c.Param("token"), ""
	joined := func(tx *store.Tx, u account.User, i account.Invitation) error {
		b, err := brand.Find(tx, i.BrandID)
		if err != nil {
			return err
		}
		next = to(c, brandPath+b.Slug, "did", "team.join")
		return account.Note(tx, account.Deed{BrandID: b.ID, UserID: &u.ID, What: "team.join", SubjectID: &i.ID, Detail: map[string]any{"name": u.Email}})
	}
	if in {
		err = h.DB.Write(ctx, func(tx *store.Tx) error {
			i, err := account.Accept(tx, token, a.User)
			if err != nil {
				return err
			}
			return joined(tx, a.User, i)
		})
	} else {
		n := account.NewUser{Name: form.Get("name"), Password: form.Get("password"), Language: form.Get("language")}
		if a.User, err = h.Door.AddInvited(ctx, token, n, joined); err == nil {
			err = h.begin(c, a.User)
		}
	}
	if s, status, ok := h.back(c, form, err); ok {
		return h.drawInvitation(c, status, s)
	}
	if problem.Is(err, problem.Gone) || problem.Is(err, problem.NotFound) {
		return h.drawInvitation(c, http.StatusGone, h.slip(c, c.Request().URL.Path, url.Values{}))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(c, next)
}
