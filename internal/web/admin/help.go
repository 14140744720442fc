package admin

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/web"
	"assent/internal/web/admin/help"
)

const helpPath = help.Path

// HelpLink is a page of the help in a list.
type HelpLink struct {
	URL, Title, Summary string
	Current             bool
}

// HelpFound is a place in which the words that were looked for stand.
type HelpFound struct {
	URL, Title, Page string // Page is empty where Title is the page's
	Excerpt          []help.Piece
}

// Help is the page admin/help: what there is to read, and the search.
type Help struct {
	Frame
	Action string
	Keep   []Choice // what the search brings along
	Search string
	Found  []HelpFound
	Pages  []HelpLink
}

// HelpSection is a part of a help page.
type HelpSection struct {
	ID, Title string
	Body      template.HTML
}

// HelpPage is the page admin/help-page.
type HelpPage struct {
	Frame
	Title         string
	Lead          template.HTML
	Sections      []HelpSection
	Words         bool // it says what the words mean
	Before, After *HelpLink
	Pages         []HelpLink
	About         []NavItem // pages of the brand that it explains
	All           string    // address of the start page
}

// HelpAt is the address of a place in the help, such as "topics#promise".
func (f Frame) HelpAt(place string) string { return helpAt(place, f.HelpQuery) }

func helpAt(place, query string) string {
	slug, id, within := strings.Cut(place, "#")
	at := helpPath
	if slug != "" {
		at += "/" + slug
	}
	at += query
	if within {
		at += "#" + id
	}
	return at
}

// helpQuery is what stays with the visitor on the way through the help: the
// language that was chosen, and the brand, where there is a choice.
func helpQuery(c echo.Context, v visit, b brand.Brand) string {
	if len(v.brands) < 2 {
		return to(c, "")
	}
	return to(c, "", "brand", b.Slug)
}

// reader draws a help page for whoever comes: nothing in the help is secret.
func (h *house) reader(draw func(echo.Context, Frame, *desk) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		v, err := h.visit(c)
		if err != nil && !problem.Is(err, problem.Unauthorized) {
			return err
		}
		speak(c, v)
		d := h.reading(c, v)
		if d == nil {
			return draw(c, h.frame(c, v, time.UTC), nil)
		}
		return draw(c, d.frame("help"), d)
	}
}

// reading is the visit at the brand that the visitor comes from, else at the
// oldest of theirs; nil for who has none.
func (h *house) reading(c echo.Context, v visit) *desk {
	if len(v.brands) == 0 {
		return nil
	}
	i := slices.IndexFunc(v.brands, func(b brand.Brand) bool { return b.Slug == c.QueryParam("brand") })
	if i < 0 {
		i = slices.IndexFunc(v.brands, func(b brand.Brand) bool { return b.ID == v.Memberships[0].BrandID })
	}
	b := v.brands[max(0, i)]
	return &desk{visit: v, c: c, h: h, l: web.Localizer(c), brand: b, role: v.Role(b.ID)}
}

// helpStart is the contents, or what was looked for.
func helpStart(c echo.Context, f Frame, _ *desk) error {
	book, err := help.Read(web.Localizer(c).Lang())
	if err != nil {
		return err
	}
	page := Help{Frame: f, Action: helpPath, Search: strings.TrimSpace(c.QueryParam("q")), Pages: helpLinks(book, f.HelpQuery, "")}
	kept, _ := url.ParseQuery(strings.TrimPrefix(f.HelpQuery, "?"))
	for _, name := range []string{"brand", "lang"} {
		if v := kept.Get(name); v != "" {
			page.Keep = append(page.Keep, Choice{Value: v, Label: name})
		}
	}
	for _, hit := range book.Search(page.Search) {
		one := HelpFound{URL: f.HelpAt(hit.Slug), Title: hit.Page, Excerpt: hit.Excerpt}
		if hit.ID != "" {
			one.URL, one.Title, one.Page = f.HelpAt(hit.Slug+"#"+hit.ID), hit.Title, hit.Page
		}
		page.Found = append(page.Found, one)
	}
	return web.Page(c, http.StatusOK, "admin/help", page)
}

func helpLinks(book *help.Book, query, current string) []HelpLink {
	var all []HelpLink
	for _, p := range book.Pages {
		all = append(all, HelpLink{URL: helpAt(p.Slug, query), Title: p.Title, Summary: p.Summary(), Current: p.Slug == current})
	}
	return all
}

// helpPage is one page of the book.
func helpPage(c echo.Context, f Frame, d *desk) error {
	book, err := help.Read(web.Localizer(c).Lang())
	if err != nil {
		return err
	}
	p, ok := book.Page(c.Param("page"))
	if !ok {
		return problem.New(problem.NotFound, "problem.not-found")
	}
	page := HelpPage{Frame: f, Title: p.Title, Lead: help.Fill(p.Lead, f.HelpQuery), Words: p.Sorted, Pages: helpLinks(book, f.HelpQuery, p.Slug), All: f.HelpAt("")}
	for _, s := range p.Sections {
		page.Sections = append(page.Sections, HelpSection{ID: s.ID, Title: s.Title, Body: help.Fill(s.Body, f.HelpQuery)})
	}
	for i, l := range page.Pages {
		if !l.Current {
			continue
		}
		if i > 0 {
			page.Before = &page.Pages[i-1]
		}
		if i+1 < len(page.Pages) {
			page.After = &page.Pages[i+1]
		}
	}
	if d != nil {
		page.About = d.explained(p.About)
	}
	return web.Page(c, http.StatusOK, "admin/help-page", page)
}

// explained are the pages of the brand that a help page is about, as far as the
// visitor may see them.
func (d *desk) explained(names []string) []NavItem {
	var all []NavItem
	for _, name := range names {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i >= 0 && d.may(sections[i].least) {
			all = append(all, NavItem{Label: d.l.T("admin.nav." + name), URL: d.to(sections[i].path)})
		}
	}
	return all
}
