package web

import (
	"bytes"
	"errors"
	"html"

	"github.com/labstack/echo/v4"

	"assent/internal/problem"
)

// ErrorText is a failure in the visitor's words.
type ErrorText struct {
	Status    int
	Kind      string   // problem.Kind's name
	Text      string   // what happened, one sentence
	Details   []string // what was wrong where, in the order of the input
	RequestID string
}

// ErrorPage names the page that tells a failure, and its data.
type ErrorPage func(c echo.Context, e ErrorText) (page string, data any)

var errNoRenderer = errors.New("this Echo was not made by web.New")

// Page answers with a page in the visitor's language; see Renderer for the name.
func Page(c echo.Context, status int, page string, data any) error {
	e, ok := c.Get(edgeKey).(*edge)
	if !ok {
		return errNoRenderer
	}
	var b bytes.Buffer
	if err := e.pages.Render(&b, page, Localizer(c), data); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Language", Localizer(c).Lang())
	c.Response().Header().Add(echo.HeaderVary, "Accept-Language")
	return c.HTMLBlob(status, b.Bytes())
}

// errorPage tells a failure as a page, and plainly where no page can be drawn.
func (e *edge) errorPage(c echo.Context, f Failure) error {
	l := Localizer(c)
	told := ErrorText{Status: f.Status, Kind: f.Problem.Kind.String(), Text: sentenceOf(c, f.Problem), RequestID: RequestID(c)}
	for _, field := range f.Problem.Fields {
		told.Details = append(told.Details, l.T(field.Key, field.Args...))
	}
	if e.errors != nil {
		page, data := e.errors(c, told)
		err := Page(c, f.Status, page, data)
		if err == nil || c.Response().Committed {
			return err
		}
		e.log.ErrorContext(c.Request().Context(), "could not draw the error page", "request", told.RequestID, "err", err)
	}
	text := html.EscapeString(told.Text)
	return c.HTML(f.Status, `<!doctype html><html lang="`+l.Lang()+`" dir="`+l.Dir()+`"><meta charset="utf-8"><title>`+text+`</title><p>`+text+`</p></html>`)
}

func sentenceOf(c echo.Context, p *problem.Error) string {
	return Localizer(c).T(p.Key, p.Args...)
}
