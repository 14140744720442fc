package public

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"assent/internal/signup"
	"assent/internal/web"
)

// previewFence is what a form may do that the team looks at: be read and tried,
// in a frame of ours. It sends no form, moves no page and asks nothing of anyone;
// its links open beside it.
const (
	previewFence = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; " +
		"sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
	widgetFence = previewFence + " allow-scripts; script-src 'self'"
)

// Preview shows a form as a visitor would see it, and as nobody can send it: on
// its hosted page ("page"), by the widget within a page ("inline") or behind a
// button ("button"), or what is told after a sign-up ("done"). No token is made
// for it and nothing is kept. The theme is "light", "dark" or empty for the
// visitor's own; in gives the address of the same look in another language,
// and may be nil.
func Preview(c echo.Context, s signup.Sheet, view, theme string, in func(lang string) string) error {
	web.SetLanguage(c, s.Language)
	l := web.Localizer(c)
	f := frame(c, s.Brand)
	f.Preview, f.Theme = true, theme
	if in == nil {
		f.Languages = nil
	}
	for i := range f.Languages {
		f.Languages[i].URL = in(f.Languages[i].Code)
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", previewFence)
	switch view {
	case "done":
		said := s.Text.Message
		if s.Text.Redirect != "" {
			said = l.T("public.form-preview.redirect", "URL", s.Text.Redirect)
		}
		return web.Page(c, http.StatusOK, "public/form-done", FormDone{Frame: f, Message: said})
	case "inline", "button":
		spec, err := json.Marshal(describe(s, "preview", ""))
		if err != nil {
			return fmt.Errorf("describe a form: %w", err)
		}
		header.Set("Content-Security-Policy", widgetFence)
		return web.Page(c, http.StatusOK, "public/form-widget", FormWidget{Frame: f, Form: s.Form.ID.String(), Mode: view, Spec: string(spec)})
	}
	page := formView(l, s, nil)
	page.Frame = f
	return web.Page(c, http.StatusOK, "public/form", page)
}
