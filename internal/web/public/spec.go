package public

import (
	"strings"

	"assent/internal/i18n"
	"assent/internal/signup"
)

// spec is a form as the widget draws it; templates/widget/README.md tells the
// protocol. No box in it can be ticked beforehand.
type spec struct {
	Form           string            `json:"form"`
	Version        int               `json:"version"`
	Lang           string            `json:"lang"`
	Dir            string            `json:"dir"`
	Brand          string            `json:"brand"`
	Title          string            `json:"title"`
	Intro          string            `json:"intro"`
	Fields         []specField       `json:"fields"`
	BoxesLegend    string            `json:"boxes_legend"`
	TrackingLegend string            `json:"tracking_legend"`
	Boxes          []specBox         `json:"boxes"`
	Honeypot       string            `json:"honeypot"`
	Token          string            `json:"token"`
	Button         string            `json:"button"`
	Privacy        *specLink         `json:"privacy,omitempty"`
	Link           string            `json:"link"`
	Texts          map[string]string `json:"texts"`
}

type specField struct {
	Name         string       `json:"name"`
	Type         string       `json:"type"`
	Label        string       `json:"label"`
	Required     bool         `json:"required,omitempty"`
	Autocomplete string       `json:"autocomplete,omitempty"`
	MaxLength    int          `json:"maxlength,omitempty"`
	Options      []specOption `json:"options,omitempty"`
}

type specOption struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

type specBox struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // topic, tracking
	Label string `json:"label"`
	Note  string `json:"note,omitempty"`
}

type specLink struct {
	Label string `json:"label"`
	URL   string `json:"url"`
}

var widgetTexts = []string{"sending", "error", "close", "open", "required", "invalid_email", "choose_one"}

// describe tells the widget what to draw. The token comes back with the answer,
// and link is the hosted page.
func describe(s signup.Sheet, token, link string) spec {
	l := i18n.For(s.Language)
	text := s.Brand.In(s.Language)
	out := spec{
		Form: s.Form.ID.String(), Version: s.Version, Lang: l.Lang(), Dir: l.Dir(), Brand: text.Name,
		Title: s.Text.Title, Intro: s.Text.Intro, Button: s.Text.Button, Honeypot: signup.Honeypot,
		BoxesLegend: l.T("public.form.topics"), TrackingLegend: l.T("signup.widget.tracking"),
		Token: token, Link: link, Texts: map[string]string{}, Boxes: []specBox{},
	}
	for _, f := range fields(l, s, nil) {
		field := specField{Name: f.Name, Type: f.Type, Label: f.Label, Required: f.Required, Autocomplete: f.Autocomplete, MaxLength: f.MaxLength}
		for _, o := range f.Options {
			field.Options = append(field.Options, specOption{Value: o.Value, Label: o.Label})
		}
		out.Fields = append(out.Fields, field)
	}
	for _, b := range s.Boxes {
		kind := "topic"
		if b.Tracking() {
			kind = "tracking"
		}
		out.Boxes = append(out.Boxes, specBox{Name: b.Name(), Kind: kind, Label: b.Label, Note: b.Note})
	}
	for _, name := range widgetTexts {
		out.Texts[name] = l.T("signup.widget." + strings.ReplaceAll(name, "_", "-"))
	}
	if text.PrivacyURL != "" {
		out.Privacy = &specLink{Label: l.T("public.privacy"), URL: text.PrivacyURL}
	}
	return out
}
