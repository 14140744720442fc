package admin

import (
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/web"
)

// section is a line of the side navigation, by the address below the brand.
type section struct {
	name, path string
	least      account.Role
	group      string // a heading goes before the first of a group
}

// sections are all pages that one gets to from everywhere, in their order.
var sections = []section{
	{"overview", "", account.Reader, ""},
	{"setup", "/setup", account.Marketer, ""}, // while steps are left
	{"alarms", "/alarms", account.Marketer, ""},
	{"topics", "/topics", account.Reader, "permission"},
	{"forms", "/forms", account.Reader, "permission"},
	{"tracking", "/tracking", account.Reader, "permission"},
	{"ideas", "/ideas", account.Reader, "people"},
	{"people", "/people", account.Analyst, "people"},
	{"imports", "/imports", account.Analyst, "people"},
	{"suppressions", "/suppressions", account.Analyst, "people"},
	{"requests", "/requests", account.Analyst, "people"},
	{"campaigns", "/campaigns", account.Reader, "mail"},
	{"sequences", "/sequences", account.Reader, "mail"},
	{"offers", "/offers", account.Reader, "mail"},
	{"messages", "/messages", account.Analyst, "mail"},
	{"sending", "/sending", account.Marketer, "mail"},
	{"settings", "/settings", account.Owner, "house"},
	{"team", "/team", account.Owner, "house"},
	{"keys", "/keys", account.Owner, "house"},
	{"queues", "/queues", account.Owner, "house"},
	{"log", "/log", account.Owner, "house"},
	{"parts", "/parts", account.Owner, "house"},
}

// frame is what stands around a page of the brand; current is its section.
func (d *desk) frame(current string) Frame {
	f := d.h.frame(d.c, d.visit, d.brand.Location())
	f.HelpQuery = helpQuery(d.c, d.visit, d.brand)
	extra := f.Nav
	f.Nav = nil
	group := ""
	for _, s := range sections {
		if !d.may(s.least) || s.name == "setup" && !d.settingUp && current != "setup" {
			continue
		}
		item := NavItem{Label: d.l.T("admin.nav." + s.name), URL: d.to(s.path), Current: s.name == current}
		if s.group != group {
			group = s.group
			item.Heading = d.l.T("admin.nav.group." + group)
		}
		f.Nav = append(f.Nav, item)
	}
	f.Nav = append(f.Nav, extra...)
	if d.settingUp && current == "overview" {
		f.Setup = d.to("/setup")
	}
	f.Brands = d.brandLines()
	if f.Notice = d.told(); f.Notice != "" {
		f.Undo, f.NoticeTone = d.undoable(), noticeTone(d.c.QueryParam("did"))
	}
	return f
}

// brandLines is the switch between the user's brands.
func (d *desk) brandLines() []NavItem {
	if len(d.brands) < 2 {
		return nil
	}
	var all []NavItem
	for _, b := range d.brands {
		all = append(all, NavItem{Label: b.In(d.l.Lang()).Name, URL: to(d.c, brandPath+b.Slug), Current: b.ID == d.brand.ID})
	}
	return all
}

// told is what the form did that led here: one of the sentences of the
// catalogue, for whoever makes up an address can choose among those only.
func (d *desk) told() string { return told(d.c) }

// noticeTone is the colour of a notice: of what was done, none of its own; of
// what was not, that of what waits for somebody.
func noticeTone(did string) string {
	if strings.Contains(did, ".refuse.") || strings.HasPrefix(did, "undo.") {
		return "ask"
	}
	return ""
}

func told(c echo.Context) string {
	did := c.QueryParam("did")
	l, key := web.Localizer(c), "admin.done."+did
	if strings.HasPrefix(did, "undo.") { // it was not: the refusal's own words
		key = "account." + did
	}
	if !l.Has(key) {
		return ""
	}
	return l.T(key)
}

// drawAs answers with a page and a status.
func (d *desk) drawAs(status int, page string, data any) error {
	return web.Page(d.c, status, "admin/"+page, data)
}
