package app

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/brand"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// demoPolicy is what a careful shop's own page would allow: besides its own
// files, the origin of Assent for scripts and requests. Here the two are one.
const demoPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// demoPage is what demo/shop shows.
type demoPage struct {
	Other, OtherURL string // the other language: its code, and this page in it
	Letters, Short  uuid.UUID
	Books           []string // names of the demo's books, of which the catalogue has the rest
	Events          []string
}

// mountDemo puts a page of the demo's shop on e: somebody's own website, with
// the sign-up in it.
func (a *App) mountDemo(e *echo.Echo) {
	e.GET("/demo", func(c echo.Context) error {
		page := demoPage{Other: "fa", Books: []string{"rain", "soup", "lighthouse"}, Events: []string{"circle", "children", "reading"}}
		if web.Localizer(c).Lang() == page.Other {
			page.Other = "en"
		}
		page.OtherURL = "/demo?lang=" + page.Other
		if err := a.DB.Read(c.Request().Context(), page.find); err != nil {
			return err
		}
		c.Response().Header().Set("Content-Security-Policy", demoPolicy)
		return web.Page(c, http.StatusOK, "demo/shop", page)
	})
}

func (p *demoPage) find(tx *store.Tx) error {
	b, err := brand.BySlug(tx, demoSlug)
	if err != nil {
		return err
	}
	p.Letters, p.Short, err = demoForm(tx, b)
	return err
}

// demoForm finds the two forms by their names.
func demoForm(tx *store.Tx, b brand.Brand) (letters, short uuid.UUID, err error) {
	forms, err := signup.List(tx, b.ID)
	for _, f := range forms {
		switch f.Name {
		case demoLetters:
			letters = f.ID
		case demoShort:
			short = f.ID
		}
	}
	return letters, short, err
}
