package web

import (
	"html"
	"net/http"

	"github.com/labstack/echo/v4"
)

// errorPage tells a failure as a page.
func errorPage(c echo.Context, f Failure) error {
	l := Localizer(c)
	title, detail := html.EscapeString(l.T("problem."+f.Problem.Kind.String())), html.EscapeString(l.T(f.Problem.Key, f.Problem.Args...))
	return c.HTML(f.Status, `<!doctype html><html lang="`+l.Lang()+`" dir="`+l.Dir()+`"><meta charset="utf-8"><title>`+title+`</title><h1>`+http.StatusText(f.Status)+`</h1><p>`+detail+`</p>`)
}
