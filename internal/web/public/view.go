package public

import (
	"html"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// view shows a mail in the browser, in the version and with the values that
// were sent; ?part=body is the mail's own HTML, for the frame on the page.
func (h *house) view(c echo.Context) error {
	ref, err := h.URLs.ReadView(c.Param("token"))
	if err != nil {
		return err
	}
	var m signup.Mail
	err = h.read(c, func(tx *store.Tx) (err error) {
		m, err = signup.LookAtMail(tx, ref)
		return err
	})
	if err != nil {
		return err
	}
	body, err := h.View(c.Request().Context(), m.Message)
	if err != nil {
		return err
	}
	if c.QueryParam("part") == "body" {
		return web.Mail(c, string(body))
	}
	speak(c, m.Language())
	page := View{
		Frame: frame(c, m.Brand), Subject: title(body), From: m.Brand.In(m.Message.Language).SenderName,
		Body: c.Param("token") + "?part=body", Why: h.URLs.Why(ref),
	}
	if m.Message.SettledAt != nil {
		page.At = *m.Message.SettledAt
	}
	if m.Topic != nil {
		page.Leave = h.URLs.Leave(ref)
	}
	if m.Subscriber != nil {
		page.Preferences = h.URLs.Preferences(m.Brand.ID, m.Subscriber.ID)
	}
	return web.Page(c, http.StatusOK, "public/view", page)
}

var titleTag = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// title is the subject that the mail was sent with: every mail's HTML has it as its title.
func title(body []byte) string {
	if m := titleTag.FindSubmatch(body); m != nil {
		return strings.TrimSpace(html.UnescapeString(string(m[1])))
	}
	return ""
}
