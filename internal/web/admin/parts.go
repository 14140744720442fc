package admin

import (
	"net/http"
	"net/url"
	"time"

	"assent/internal/account"
)

func partsActions() []action {
	return []action{look("/parts", account.Reader, parts)}
}

// Choice is one of several.
type Choice struct{ Value, Label, Hint string }

// Parts is the page admin/parts: everything that pages are made of, once.
type Parts struct {
	Frame
	Sheet, Wrong, Changed Sheet
	Choices               []Choice
	Now                   time.Time
}

func parts(d *desk) error {
	words := func(name string) string { return d.l.T("admin.parts." + name) }
	here := d.to("/parts")
	filled := url.Values{"name": {words("name")}, "choice": {"second"}, "box": {"yes"}}
	page := Parts{
		Frame: d.frame("parts"), Now: d.h.DB.Now(),
		Sheet:   Sheet{Action: here, Values: filled, KeptAt: d.h.DB.Now(), Drafts: d.to("/drafts"), Page: here},
		Wrong:   Sheet{Action: here, Values: url.Values{}, Faults: []Fault{{"wrong", words("wrong")}}},
		Changed: Sheet{Action: here, Changed: true, Theirs: []Theirs{{words("label"), words("name")}}},
		Choices: []Choice{{"first", words("first"), words("hint")}, {"second", words("second"), ""}},
	}
	page.Notice = words("notice")
	return d.drawAs(http.StatusOK, "parts", page)
}
