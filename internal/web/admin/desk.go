package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// brandPath is where the pages of a brand begin; its slug follows.
const brandPath = "/admin/b/"

// action is a page of a brand, or something that is done there. Each may be
// done from a role on; to the others, and at another brand, it is not there.
type action struct {
	method string
	path   string // below the brand
	least  account.Role
	do     func(*desk) error
	silent bool // no person sees the answer: who is not signed in is told so, and led nowhere
	long   bool // a file that is written as long as it is read
}

// look is a page that may be looked at.
func look(path string, least account.Role, do func(*desk) error) action {
	return action{method: http.MethodGet, path: path, least: least, do: do}
}

// file is what is looked at elsewhere.
func file(path string, least account.Role, do func(*desk) error) action {
	return action{method: http.MethodGet, path: path, least: least, do: do, long: true}
}

// act is a form that is sent.
func act(path string, least account.Role, do func(*desk) error) action {
	return action{method: http.MethodPost, path: path, least: least, do: do}
}

// behind is what a page asks for by itself.
func behind(method, path string, least account.Role, do func(*desk) error) action {
	return action{method: method, path: path, least: least, do: do, silent: true}
}

// actions are all that there are.
func actions() []action {
	return slices.Concat(overviewActions(), alarmActions(), setupActions(), topicActions(), trackingActions(), communityActions(), peopleActions(), requestActions(), importActions(), permissionActions(), campaignActions(), sequenceActions(), offerActions(), formActions(), paperActions(), settingsActions(), teamActions(), keyActions(), auditActions(), sendingActions(), messageActions(), queueActions(), undoActions(), pickActions(), partsActions(), proofActions())
}

// desk is one visit to a page of a brand.
type desk struct {
	visit
	c     echo.Context
	h     *house
	l     *i18n.Localizer
	brand brand.Brand
	role  account.Role
	least account.Role // that the action asks for

	settingUp bool // steps are left that the visitor can take
}

// at asks who comes, and whether they may, before the action.
func (h *house) at(a action) echo.HandlerFunc {
	enter := func(c echo.Context, v visit) error {
		d, err := h.desk(c, v)
		if err != nil {
			return err
		}
		if !d.role.Includes(a.least) {
			return problem.New(problem.Forbidden, "admin.forbidden", "Role", d.l.T("admin.role."+string(a.least)))
		}
		d.least = a.least
		return a.do(d)
	}
	return func(c echo.Context) error {
		v, err := h.visit(c)
		if problem.Is(err, problem.Unauthorized) && !a.silent {
			return web.SeeOther(c, to(c, signInPath, "next", a.page(c)))
		}
		if err != nil {
			return err
		}
		speak(c, v)
		if a.method == http.MethodGet && !a.silent && !a.long {
			asked := c.Request()
			ctx, cancel := context.WithTimeout(asked.Context(), pageMost)
			c.SetRequest(asked.WithContext(ctx))
			defer func() { cancel(); c.SetRequest(asked) }() // whoever tells a failure asks whether the visitor left
		}
		return enter(c, v)
	}
}

// page is where to go after signing in: this page, and of a form the one that it
// stands on.
func (a action) page(c echo.Context) string {
	if a.method == http.MethodGet {
		return c.Request().URL.RequestURI()
	}
	below, here := a.path, c.Request().URL.Path
	for below != "/" {
		if slices.ContainsFunc(actions(), func(b action) bool { return b.method == http.MethodGet && b.path == below }) {
			return here
		}
		below, here = path.Dir(below), path.Dir(here)
	}
	return here
}

// desk is the visit at the brand that the address names. A brand at which they
// have no role is not there.
func (h *house) desk(c echo.Context, v visit) (*desk, error) {
	slug := c.Param("brand")
	i := slices.IndexFunc(v.brands, func(b brand.Brand) bool { return b.Slug == slug })
	if i < 0 {
		return nil, problem.New(problem.NotFound, "brand.unknown")
	}
	b := v.brands[i]
	d := &desk{visit: v, c: c, h: h, l: web.Localizer(c), brand: b, role: v.Role(b.ID)}
	var err error
	d.settingUp, err = h.settingUp(c.Request().Context(), b, d.role)
	return d, err
}

// to is the address of a page of the brand: path below it, then name, value
// pairs as in the function to.
func (d *desk) to(path string, pairs ...string) string {
	return to(d.c, brandPath+d.brand.Slug+path, pairs...)
}

// id is the id in the address; one that is none is not there.
func (d *desk) id(name string) (uuid.UUID, error) { return web.ID(d.c, name) }

// may tells whether the visitor has the role, or one above it.
func (d *desk) may(least account.Role) bool { return d.role.Includes(least) }

// read reads in one transaction.
func (d *desk) read(f func(*store.Tx) error) error { return d.h.DB.Read(d.c.Request().Context(), f) }

// draw answers with a page.
func (d *desk) draw(page string, data any) error {
	return web.Page(d.c, http.StatusOK, "admin/"+page, data)
}

// done is what came of a form: what it was about, and the page to go to.
type done struct {
	what    string    // that came of it, where it is not what was asked
	subject uuid.UUID // nil: the brand
	next    string    // below the brand
	away    bool      // the visitor may not be at the brand any more: they go home
	detail  map[string]any
	back    *account.Undo // what taking it back needs, where only the act itself knows it; see backwards
}

// change does what a form asks, in one transaction: once however often the form
// is sent, with an entry in the audit log, and without the draft of what is now
// saved. Then it goes on to a page, which tells what was done.
//
// A failure that somebody can do something about is given back; a page with the
// form tells it (see redraw).
func (d *desk) change(what string, do func(tx *store.Tx, form *Sheet) (done, error)) error {
	next, _, err := d.perform(what, do)
	if err != nil {
		return err
	}
	return web.SeeOther(d.c, next)
}

// perform is change without its answer; again is true where the form was sent
// before, and nothing done.
func (d *desk) perform(what string, do func(tx *store.Tx, form *Sheet) (done, error)) (next string, again bool, err error) {
	form, err := d.sent()
	if err != nil {
		return "", false, err
	}
	return d.h.once(d.c.Request().Context(), d.User.ID, form, func(tx *store.Tx) (string, error) {
		if err := d.still(tx); err != nil {
			return "", err
		}
		was, err := d.whatWas(tx, what, form)
		if err != nil {
			return "", err
		}
		came, err := do(tx, form)
		if err != nil {
			return "", err
		}
		what := cmp.Or(came.what, what)
		deed := account.Deed{BrandID: d.brand.ID, UserID: &d.User.ID, What: what, Detail: came.detail}
		if came.subject != uuid.Nil {
			deed.SubjectID = &came.subject
		}
		if err := account.Note(tx, deed); err != nil {
			return "", err
		}
		if err := account.DropDraft(tx, d.User.ID, form.Page); err != nil {
			return "", err
		}
		if came.away {
			return to(d.c, homePath), nil
		}
		back, err := d.keepBack(tx, what, came, was)
		return d.to(came.next, "did", what, "undo", back), err
	})
}

// once does what a form asks in one transaction, and once however often it is
// sent; it gives the address to go to.
func (h *house) once(ctx context.Context, user uuid.UUID, form *Sheet, do func(*store.Tx) (string, error)) (next string, again bool, err error) {
	err = h.DB.Write(ctx, func(tx *store.Tx) (err error) {
		again = false // a transaction may be tried twice
		if form.Once != uuid.Nil {
			if next, again, err = account.BeginForm(tx, user, form.Once); err != nil || again {
				return err
			}
		}
		if next, err = do(tx); err != nil || form.Once == uuid.Nil {
			return err
		}
		return account.EndForm(tx, user, form.Once, next)
	})
	return next, again, err
}

// still asks again, in the transaction that writes, whether the visitor may: a
// form can take long to come, and who was removed meanwhile does nothing more.
func (d *desk) still(tx *store.Tx) error {
	role, err := account.LockRole(tx, d.brand.ID, d.User.ID)
	if err != nil || role.Includes(d.least) {
		return err
	}
	return problem.New(problem.NotFound, "brand.unknown")
}

// errNoForm is a bug of ours: a page posts nothing that can be read.
var errNoForm = errors.New("the form names no page of its own")

// sent is the form that was sent.
func (d *desk) sent() (*Sheet, error) {
	values, err := web.Form(d.c)
	if err != nil {
		return nil, err
	}
	s := &Sheet{Action: d.c.Request().URL.Path, Values: values, Version: values.Get("version"), Page: values.Get("page")}
	if s.Page == "" {
		s.Page = s.Action
	}
	if !strings.HasPrefix(s.Page, brandPath+d.brand.Slug+"/") && s.Page != brandPath+d.brand.Slug {
		return nil, problem.New(problem.Malformed, "problem.malformed").Because(errNoForm)
	}
	s.Once, _ = uuid.Parse(values.Get("once"))
	return s, nil
}
