package admin

import (
	"fmt"
	"net/http"
	"strings"

	"rsc.io/qr"

	"assent/internal/account"
	"assent/internal/i18n"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

func paperActions() []action {
	return []action{
		look("/forms/:id/code.svg", account.Reader, codeSVG),
		look("/forms/:id/code.png", account.Reader, codePNG),
		look("/forms/:id/card", account.Reader, formCard),
	}
}

// Paper is the way from paper to a form: a code to scan, and an address to type.
type Paper struct {
	Address          string // as people type it
	SVG, PNG         string // addresses of the code
	File             string // name of a file with the code, without its ending
	Card             string // address
	Asked, Confirmed int64  // sign-ups that came this way
}

// paper is the way to a form from paper.
func (d *desk) paper(f signup.Form) Paper {
	here := formPath(f)
	return Paper{Address: typedAs(d.h.URLs.Short(f.Code)), SVG: d.to(here + "/code.svg"), PNG: d.to(here + "/code.png"), File: d.brand.Slug + "-" + f.Code, Card: d.to(here + "/card")}
}

// typedAs is a web address as people type it: browsers know how it begins.
func typedAs(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return rest
}

// codeOf is the code of the form that the address names. A quarter of what it
// shows may be spoilt, and it can still be read.
func codeOf(d *desk) (*qr.Code, error) {
	f, err := d.form()
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(d.h.URLs.Short(f.Code), qr.Q)
	if err != nil {
		return nil, fmt.Errorf("draw the code of a form: %w", err)
	}
	return code, nil
}

const (
	codeMargin = 4 // modules that stay white around a code (ISO/IEC 18004 §6.3.8)
	pngModule  = 16
)

func codeSVG(d *desk) error {
	code, err := codeOf(d)
	if err != nil {
		return err
	}
	d.c.Response().Header().Set("Content-Security-Policy", web.PictureFence)
	return d.c.Blob(http.StatusOK, "image/svg+xml", drawCode(code))
}

// drawCode draws each run of black modules as one rectangle.
func drawCode(code *qr.Code) []byte {
	side := code.Size + 2*codeMargin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`,
		side*pngModule, side*pngModule, side, side, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+codeMargin, y+codeMargin, run, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return []byte(b.String())
}

func codePNG(d *desk) error {
	code, err := codeOf(d)
	if err != nil {
		return err
	}
	code.Scale = pngModule
	d.c.Response().Header().Set("Content-Security-Policy", web.PictureFence)
	return d.c.Blob(http.StatusOK, "image/png", code.PNG())
}

// Card is a card to print, in one language.
type Card struct {
	LanguageFields
	Brand  string
	Title  string
	Topics []CardTopic
	Scan   string // what to do with the code
	Type   string // and with the address
	After  string // what happens then
}

// CardTopic is what somebody who follows the card is asked for.
type CardTopic struct{ Name, Promise string }

// FormCard is the page admin/form-card.
type FormCard struct {
	Frame
	Title  string
	Closed bool
	Paper  Paper
	Logo   web.Logo
	Tabs   []Tab // languages; none where there is one only
	Cards  []Card
	Back   string
}

// formCard shows the card in the language of ?in=, else in all that the brand
// speaks.
func formCard(d *desk) error {
	f, spec, err := d.formAndSpec()
	if err != nil {
		return err
	}
	page := FormCard{Frame: d.frame("forms"), Title: f.Name, Closed: f.ClosedAt != nil, Paper: d.paper(f), Logo: web.LogoOf(d.brand), Back: d.to(formPath(f)) + "#paper"}
	all, in := d.languageFields(), d.asked("in", 10)
	known := false
	for _, lang := range all {
		known = known || lang.Code == in
	}
	if len(all) > 1 {
		page.Tabs = append(page.Tabs, Tab{View: d.l.T("admin.card.all"), URL: d.to(formPath(f) + "/card"), Current: !known})
	}
	err = d.read(func(tx *store.Tx) error {
		for _, lang := range all {
			if len(all) > 1 {
				page.Tabs = append(page.Tabs, Tab{View: i18n.For(lang.Code).T("admin.language"), URL: d.to(formPath(f)+"/card", "in", lang.Code), Current: lang.Code == in})
			}
			if known && lang.Code != in {
				continue
			}
			sheet, err := signup.Draft(tx, d.brand, spec, lang.Code)
			if err != nil {
				return err
			}
			page.Cards = append(page.Cards, card(lang, sheet))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.draw("form-card", page)
}

// card says what the form says, in the language of its reader.
func card(lang LanguageFields, s signup.Sheet) Card {
	l := i18n.For(lang.Code)
	out := Card{LanguageFields: lang, Brand: s.Brand.In(lang.Code).Name, Title: s.Text.Title,
		Scan: l.T("admin.card.scan"), Type: l.T("admin.card.type"), After: l.T("admin.card.after")}
	for _, b := range s.Boxes {
		if !b.Tracking() {
			out.Topics = append(out.Topics, CardTopic{b.Topic.In(s.Brand, lang.Code).Name, b.Note})
		}
	}
	return out
}
