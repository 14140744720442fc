package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/brand"
	"assent/internal/delivery/catcher"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// views are the ways to look at a mail.
var views = []string{"html", "text", "headers", "source"}

// sourceMax is how many bytes of a source are shown.
const sourceMax = 1 << 20

// mails lists what the mailbox caught, narrowed by ?q=.
func (h *house) mails(c echo.Context, v visit) error {
	page, err := h.mailbox(c, v, 0)
	if err != nil {
		return err
	}
	return web.Page(c, http.StatusOK, "admin/mailbox", page)
}

// letter shows one mail beside the list; ?view= is how.
func (h *house) letter(c echo.Context, v visit) error {
	m, err := h.mail(c, v)
	if err != nil {
		return err
	}
	page, err := h.mailbox(c, v, m.ID)
	if err != nil {
		return err
	}
	page.Selected = opened(c, m)
	if page.Selected.View == "source" && len(m.Source) > sourceMax {
		page.Notice = web.Localizer(c).T("admin.mailbox.cut")
	}
	return web.Page(c, http.StatusOK, "admin/mailbox", page)
}

// letterHTML is the mail's own HTML, fenced in: see web.Mail. What it loads is
// loaded as in a mail program, its pixel included: this is an opened mail.
func (h *house) letterHTML(c echo.Context, v visit) error {
	m, err := h.mail(c, v)
	if err != nil {
		return err
	}
	return web.Mail(c, m.Read().HTML)
}

// mail finds the one that the address names.
func (h *house) mail(c echo.Context, v visit) (catcher.Mail, error) {
	if err := v.mayRead(); err != nil {
		return catcher.Mail{}, err
	}
	return h.Mailbox.Find(mailID(c.Param("id")))
}

// mailID reads a number as we write it; anything else is 0, which no mail has.
func mailID(s string) uint64 {
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(id, 10) != s {
		return 0
	}
	return id
}

// mayRead refuses who does not own every brand: the mailbox holds the mails of
// all, and a mail does not say whose it is. Links by which an owner's password is
// set are among them, so whoever reads it can become any user.
func (v visit) mayRead() error {
	if !v.all {
		return problem.New(problem.Forbidden, "admin.mailbox.not-all")
	}
	return nil
}

func (h *house) mayRead(c echo.Context) error {
	v, err := h.visit(c)
	if err != nil {
		return err
	}
	return v.mayRead()
}

// newest is the number of the mail that came last; 0 where none did.
func (h *house) newest() uint64 {
	if all := h.Mailbox.List(""); len(all) > 0 {
		return all[0].ID
	}
	return 0
}

func (h *house) mailbox(c echo.Context, v visit, open uint64) (Mailbox, error) {
	if err := v.mayRead(); err != nil {
		return Mailbox{}, err
	}
	zone, err := h.zone(c, v)
	if err != nil {
		return Mailbox{}, err
	}
	words := c.QueryParam("q")
	page := Mailbox{
		Frame: h.frame(c, v, zone), Address: h.Mailbox.Addr(), Search: words, Action: mailboxPath,
		Live: to(c, mailboxPath+"/live", "after", strconv.FormatUint(h.newest(), 10)),
	}
	page.Language = chosenLanguage(c)
	for _, m := range h.Mailbox.List(words) {
		page.Mails = append(page.Mails, Mail{URL: mailURL(c, m.ID, ""), From: m.From, To: strings.Join(m.To, ", "),
			Subject: m.Subject, At: m.At, Selected: m.ID == open})
	}
	return page, nil
}

// zone is where the day is told: that of the user's first brand, else of the
// first there is.
func (h *house) zone(c echo.Context, v visit) (*time.Location, error) {
	brands := v.brands
	if len(brands) == 0 {
		err := h.DB.Read(c.Request().Context(), func(tx *store.Tx) (err error) { brands, err = brand.List(tx); return err })
		if err != nil {
			return nil, err
		}
	}
	if len(brands) == 0 {
		return time.UTC, nil
	}
	return brands[0].Location(), nil
}

func mailURL(c echo.Context, id uint64, view string) string {
	return to(c, mailboxPath+"/"+strconv.FormatUint(id, 10), "view", view, "q", c.QueryParam("q"))
}

// opened takes a mail apart for the page.
func opened(c echo.Context, m catcher.Mail) *Letter {
	parts := m.Read()
	o := &Letter{From: m.From, To: strings.Join(m.To, ", "), Subject: m.Subject, At: m.At, Text: parts.Text, View: c.QueryParam("view")}
	if !slices.Contains(views, o.View) {
		o.View = views[0]
		if parts.HTML == "" && parts.Text != "" {
			o.View = "text"
		}
	}
	for _, view := range views {
		o.Tabs = append(o.Tabs, Tab{View: view, URL: mailURL(c, m.ID, view), Current: view == o.View})
	}
	for _, f := range parts.Headers {
		o.Headers = append(o.Headers, Header(f))
		if strings.EqualFold(f.Name, "From") {
			o.From = cmp.Or(f.Value, m.From)
		}
	}
	if parts.HTML != "" {
		o.HTML = mailboxPath + "/" + strconv.FormatUint(m.ID, 10) + "/html"
	}
	if o.View == "source" {
		o.Source = strings.ToValidUTF8(string(m.Source[:min(len(m.Source), sourceMax)]), "\uFFFD")
	}
	return o
}
