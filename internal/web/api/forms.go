package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/signup"
	"assent/internal/store"
)

// forms: what a visitor signs up with, on a hosted page, in the widget, or by a
// plain HTML form.
func (h *house) forms() {
	write(h, action{http.MethodPost, "/forms", "createForm", "forms:write", "forms", "Make a sign-up form",
		"Each topic and each tracking permission is a box of its own, never ticked beforehand.", http.StatusCreated, false}, h.createForm)
	write(h, action{http.MethodPost, "/forms/{id}/versions", "editForm", "forms:write", "forms", "Make a new version of a form",
		"Visitors who have the older version on their screen may still send it; what they saw is what is kept.", http.StatusCreated, false}, h.editForm)
	read(h, action{http.MethodGet, "/forms", "listForms", "forms:read", "forms", "List the forms", "", 0, false}, h.listForms)
	read(h, action{http.MethodGet, "/forms/{id}", "getForm", "forms:read", "forms", "Get a form", "", 0, false}, h.getForm)
	write(h, action{http.MethodPost, "/forms/{id}/close", "closeForm", "forms:write", "forms", "Close a form",
		"Nothing is taken by it any more. What was asked before can still be confirmed.", 0, false}, h.closeForm)
	write(h, action{http.MethodPost, "/forms/{id}/open", "openForm", "forms:write", "forms", "Open a closed form again", "", 0, false}, h.openForm)
}

type formOption struct {
	Value  string            `json:"value" maxLength:"200" example:"green"`
	Labels map[string]string `json:"labels,omitempty" example:"{\"en\":\"Green\",\"fa\":\"سبز\"}"`
}

type formField struct {
	Name     string            `json:"name" maxLength:"64" doc:"name is the person's name; any other is the attribute of that name." example:"name"`
	Type     string            `json:"type" enum:"text,tel,url,number,date,select" example:"text"`
	Required bool              `json:"required,omitempty" example:"false"`
	Labels   map[string]string `json:"labels,omitempty" doc:"By language." example:"{\"en\":\"Your name\",\"fa\":\"نام شما\"}"`
	Options  []formOption      `json:"options,omitempty" maxItems:"200" doc:"Of a select."`
}

type formText struct {
	Title    string `json:"title,omitempty" maxLength:"200" example:"Letters about tea"`
	Intro    string `json:"intro,omitempty" maxLength:"2000" example:"Twice a month, no more."`
	Button   string `json:"button,omitempty" maxLength:"100" example:"Ask me by mail"`
	Message  string `json:"message,omitempty" maxLength:"2000" doc:"Shown after a sign-up." example:"Please look into your mailbox."`
	Redirect string `json:"redirect,omitempty" maxLength:"1000" doc:"An address to go to instead of the message." example:"https://north-tea.example/thanks"`
}

type formSpec struct {
	Name     string              `json:"name" maxLength:"200" doc:"For the team; visitors never see it." example:"Footer of the shop"`
	Fields   []formField         `json:"fields,omitempty" maxItems:"50" doc:"Besides the e-mail address, which is always asked first."`
	Topics   []string            `json:"topics" maxItems:"50" doc:"Slugs of topics, a box each, in this order." example:"[\"letters\"]"`
	Tracking []string            `json:"tracking,omitempty" maxItems:"2" enum:"opens,clicks" doc:"Tracking permissions to ask for, a box each." example:"[\"opens\",\"clicks\"]"`
	Single   bool                `json:"single,omitempty" doc:"Single opt-in: nobody is asked to confirm, and each permission is marked as such. Refused where the law of the brand does not allow it." example:"false"`
	Origins  []string            `json:"origins,omitempty" maxItems:"100" doc:"Of pages that may hold the widget; empty: all." example:"[\"https://north-tea.example\"]"`
	Texts    map[string]formText `json:"texts,omitempty" doc:"By language; what is missing has a default."`
}

type formAnswer struct {
	ID uuid.UUID `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000003"`
	formSpec
	Version   int        `json:"version" example:"1"`
	URL       string     `json:"url" doc:"The hosted page, and where a plain HTML form posts to." example:"https://mail.example.org/f/019a1f5c-7c00-7000-8000-000000000003"`
	ClosedAt  *time.Time `json:"closed_at,omitempty" example:"2026-12-01T09:00:00Z"`
	CreatedAt time.Time  `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt time.Time  `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

func (n formSpec) spec() signup.Spec {
	s := signup.Spec{Topics: n.Topics, Tracking: n.Tracking, Single: n.Single, Origins: n.Origins, Texts: map[string]signup.Text{}}
	for _, f := range n.Fields {
		field := signup.Field{Name: f.Name, Type: f.Type, Required: f.Required, Labels: f.Labels}
		for _, o := range f.Options {
			field.Options = append(field.Options, signup.Option(o))
		}
		s.Fields = append(s.Fields, field)
	}
	for lang, t := range n.Texts {
		s.Texts[lang] = signup.Text(t)
	}
	return s
}

// showForm reads the newest version beside the form.
func (h *house) showForm(tx *store.Tx, f signup.Form) (formAnswer, error) {
	s, err := signup.SpecOf(tx, f.ID, f.Version)
	if err != nil {
		return formAnswer{}, err
	}
	a := formAnswer{ID: f.ID, Version: f.Version, URL: h.URLs.Form(f.ID), ClosedAt: utc(f.ClosedAt), CreatedAt: f.CreatedAt.UTC(), UpdatedAt: f.UpdatedAt.UTC(),
		formSpec: formSpec{Name: f.Name, Topics: s.Topics, Tracking: s.Tracking, Single: s.Single, Origins: s.Origins}}
	for _, field := range s.Fields {
		out := formField{Name: field.Name, Type: field.Type, Required: field.Required, Labels: field.Labels}
		for _, o := range field.Options {
			out.Options = append(out.Options, formOption(o))
		}
		a.Fields = append(a.Fields, out)
	}
	for lang, t := range s.Texts {
		if a.Texts == nil {
			a.Texts = map[string]formText{}
		}
		a.Texts[lang] = formText(t)
	}
	return a, nil
}

func (h *house) createForm(tx *store.Tx, c caller, in *struct{ Body formSpec }) (formAnswer, error) {
	f, err := signup.Create(tx, c.brand, in.Body.Name, in.Body.spec())
	if err != nil {
		return formAnswer{}, err
	}
	return h.showForm(tx, f)
}

func (h *house) editForm(tx *store.Tx, c caller, in *struct {
	ByID
	Body formSpec
}) (formAnswer, error) {
	f, err := signup.Edit(tx, c.brand, in.ID, in.Body.Name, in.Body.spec())
	if err != nil {
		return formAnswer{}, err
	}
	return h.showForm(tx, f)
}

func (h *house) listForms(tx *store.Tx, c caller, _ *noInput) (list[formAnswer], error) {
	found, err := signup.List(tx, c.brand.ID)
	if err != nil {
		return list[formAnswer]{}, err
	}
	l := list[formAnswer]{Items: []formAnswer{}}
	for _, f := range found {
		a, err := h.showForm(tx, f)
		if err != nil {
			return l, err
		}
		l.Items = append(l.Items, a)
	}
	return l, nil
}

func (h *house) getForm(tx *store.Tx, c caller, in *ByID) (formAnswer, error) {
	f, err := signup.Find(tx, c.brand.ID, in.ID)
	if err != nil {
		return formAnswer{}, err
	}
	return h.showForm(tx, f)
}

func (h *house) closeForm(tx *store.Tx, c caller, in *ByID) (formAnswer, error) {
	f, err := signup.Close(tx, c.brand.ID, in.ID)
	if err != nil {
		return formAnswer{}, err
	}
	return h.showForm(tx, f)
}

func (h *house) openForm(tx *store.Tx, c caller, in *ByID) (formAnswer, error) {
	f, err := signup.Open(tx, c.brand.ID, in.ID)
	if err != nil {
		return formAnswer{}, err
	}
	return h.showForm(tx, f)
}
