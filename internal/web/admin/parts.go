package admin

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/delivery"
)

func partsActions() []action {
	return []action{look("/parts", account.Reader, parts)}
}

// Choice is one of several.
type Choice struct{ Value, Label, Hint string }

// Parts is the page admin/parts: everything that pages are made of, once in each
// of its states.
type Parts struct {
	Frame
	Sheet, Wrong, Changed Sheet
	Choices               []Choice
	Now                   time.Time
	Theme                 string // "light" or "dark"; empty: as the visitor's system has it
	Themes                []Tab
	Pick                  string // address that finds those of the team
	Rates                 []Rate
	Back                  UndoLine
	Plot                  Plot
	Here                  string
}

func parts(d *desk) error {
	words := func(name string) string { return d.l.T("admin.parts." + name) }
	here := d.to("/parts")
	faults := []Fault{{"wrong", words("wrong")}}
	for _, name := range []string{"wrong-day", "wrong-time", "wrong-long", "wrong-choice", "wrong-radio", "wrong-person"} {
		faults = append(faults, Fault{name, words("wrong")})
	}
	filled := url.Values{"name": {words("name")}, "choice": {"second"}, "radio": {"first"}, "box": {"yes"}, "person": {d.User.Email}, "time": {d.l.Digits("09:00")}}
	page := Parts{
		Frame: d.frame("parts"), Now: d.h.DB.Now(), Pick: d.to("/pick/team"), Here: here, Plot: d.samplePlot(),
		Sheet:   Sheet{Action: here, Values: filled, KeptAt: d.h.DB.Now(), Drafts: d.to("/drafts"), Page: here},
		Wrong:   Sheet{Action: here, Values: url.Values{"wrong-day": {"31.31"}, "wrong-time": {"25:00"}, "wrong-person": {words("name")}}, Faults: faults},
		Changed: Sheet{Theirs: []Theirs{{words("label"), words("name")}}},
		Choices: []Choice{{"first", words("first"), words("hint")}, {"second", words("second"), ""}},
		Back:    UndoLine{To: here, Page: here, Once: uuid.Nil},
	}
	for _, r := range [][2]int64{{412, 1870}, {3, 14}, {0, 9}} {
		low, high := delivery.Interval(r[0], r[1])
		page.Rates = append(page.Rates, Rate{words("rate"), d.fine(float64(r[0]) / float64(r[1])),
			d.l.T("admin.rate.base", "N", d.l.Number(r[0]), "All", d.l.Number(r[1]), "Low", d.fine(low), "High", d.fine(high))})
	}
	asked := d.asked("theme", 10)
	for _, theme := range []string{"", "light", "dark"} {
		page.Themes = append(page.Themes, Tab{View: words("theme." + cmp.Or(theme, "own")), URL: d.to("/parts", "theme", theme), Current: theme == asked})
		if theme == asked {
			page.Theme = theme
		}
	}
	page.Notice = words("notice")
	return d.drawAs(http.StatusOK, "parts", page)
}

// samplePlot is a picture of numbers that nobody counted.
func (d *desk) samplePlot() Plot {
	words := func(name string) string { return d.l.T("admin.parts." + name) }
	p := Plot{ID: "plot-parts", Title: words("plot"), Text: words("plot-text"), Ticks: "0|" + d.l.Number(0) + ";20|" + d.l.Number(20) + ";40|" + d.l.Number(40),
		Lines: []PlotLine{{Label: d.l.T("admin.dashboard.given"), Look: "yes"}, {Label: d.l.T("admin.dashboard.withdrawn"), Look: "no"}}}
	for i, n := range []int64{12, 18, 15, 24, 33, 29, 38} {
		at := d.h.DB.Now().AddDate(0, 0, i-7)
		cells := []PlotCell{{p.Lines[0].Label, n}, {p.Lines[1].Label, n / 6}}
		for k, c := range cells {
			p.Lines[k].Sum += c.N
		}
		day := d.l.Date(at, d.brand.Location())
		p.Bins = append(p.Bins, PlotBin{Short: d.l.Number(int64(i + 1)), Long: day, Cells: cells})
	}
	return p
}
