package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// Sheet is a form as a page shows it: where it goes, what stands in its fields,
// and what is wrong with them.
type Sheet struct {
	Action  string
	Page    string // the address that its draft is kept under
	Values  url.Values
	Faults  []Fault // in the order of the input
	Fault   string  // of the whole; may be empty
	Files   bool    // it takes a file
	Version string  // of what it changes, as it was read; empty: it makes something new
	Once    uuid.UUID

	Drafts  string    // address to keep what is typed at; empty: it is not kept
	KeptAt  time.Time // when the draft was kept that stands in the fields; zero: what is stored does
	Changed bool      // it was changed by somebody else meanwhile: what they wrote is in Theirs
	Theirs  []Theirs
}

// Fault is what is wrong with a field.
type Fault struct{ Name, Text string }

// Theirs is a field that somebody else has changed meanwhile.
type Theirs struct{ Label, Value string }

// labelTheirs says of what others chose what the visitor knows it by.
func (s *Sheet) labelTheirs(choices ...[]Choice) {
	all := slices.Concat(choices...)
	for i, t := range s.Theirs {
		if at := slices.IndexFunc(all, func(c Choice) bool { return c.Value == t.Value }); at >= 0 {
			s.Theirs[i].Value = all[at].Label
		}
	}
}

// Value is what stands in a field.
func (s Sheet) Value(name string) string { return s.Values.Get(name) }

// numberFields are those that take a number or an hour, by the last part of
// their names; such are read in any digits.
var numberFields = []string{"amount", "budget", "cap_days", "cap_max", "min_months", "min_orders", "min_value", "promise_days", "promise_max", "per_hour", "rate_per_hour", "renew_days", "silent_days", "silent_months", "until", "valid_days", "valid_months", "value"}

// Numeric tells whether a field takes a number, which is shown in the digits of
// the page.
func (Sheet) Numeric(name string) bool {
	return slices.Contains(numberFields, name[strings.LastIndexByte(name, '.')+1:])
}

// sameValue tells whether two values of a field are the same, in whatever digits.
func sameValue(name, a, b string) bool {
	return a == b || Sheet{}.Numeric(name) && i18n.ASCIIDigits(a) == i18n.ASCIIDigits(b)
}

// shown is a value of a field as the page shows it.
func (d *desk) shown(name, value string) string {
	if (Sheet{}).Numeric(name) {
		return d.l.Digits(value)
	}
	return value
}

// Has tells whether a box is ticked, or a choice made.
func (s Sheet) Has(name, value string) bool { return slices.Contains(s.Values[name], value) }

// Wrong is what is wrong with a field; empty is nothing.
func (s Sheet) Wrong(name string) string {
	for _, f := range s.Faults {
		if f.Name == name {
			return f.Text
		}
	}
	return ""
}

// versionOf names a state of what a form changes, by when it was last written.
func versionOf(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// errChanged says that somebody else has written what a form changes, after the
// form was read.
func errChanged() error { return problem.New(problem.Conflict, "admin.changed-meanwhile") }

// current compares the version that a form was read at with the one that is
// stored. It is asked under the lock of what is changed.
func (s *Sheet) current(stored time.Time) error {
	if s.Version != versionOf(stored) {
		return errChanged()
	}
	return nil
}

// sheet is a form to fill in, at this page. What the visitor typed here before
// and did not save stands in it in place of the stored values.
func (d *desk) sheet(action string, stored url.Values, version string) (Sheet, error) {
	s := Sheet{Action: d.to(action), Page: d.c.Request().URL.Path, Values: stored, Version: version, Once: store.NewID(d.h.DB.Now()), Drafts: d.to("/drafts")}
	err := d.read(func(tx *store.Tx) error {
		kept, ok, err := account.DraftOf(tx, d.User.ID, s.Page)
		if err != nil || !ok {
			return err
		}
		s.Values, s.KeptAt = kept.Fields, kept.SavedAt
		if v := kept.Fields.Get("version"); v != "" {
			s.Version = v // what it was typed over: somebody may have changed that since
		}
		return nil
	})
	return s, err
}

// redraw shows a form again with what was typed and what is wrong with it. An
// error that nobody can do anything about there is given back as it is.
func (d *desk) redraw(err error, draw func(status int, s Sheet) error) error {
	p, expected := problem.Of(err)
	if !expected || p.Kind != problem.Invalid && p.Kind != problem.Conflict {
		return err
	}
	form, bad := d.sent()
	if bad != nil {
		return bad
	}
	form.Drafts = d.to("/drafts")
	form.tell(d.l, p, d.h.DB.Now())
	return draw(web.Classify(err).Status, *form)
}

// tell puts what is wrong into a form that is shown again.
func (s *Sheet) tell(l *i18n.Localizer, p *problem.Error, now time.Time) {
	s.Once = store.NewID(now)
	s.Changed = p.Key == "admin.changed-meanwhile"
	if !s.Changed {
		s.Fault = l.T(p.Key, p.Args...)
	}
	for _, f := range p.Fields {
		s.Faults = append(s.Faults, Fault{fieldName(f.Name), l.T(f.Key, f.Args...)})
	}
}

// fieldName is the name of the input that a part of a request stands in:
// "texts/en/name" is texts.en.name.
func fieldName(part string) string { return strings.ReplaceAll(part, "/", ".") }

// keepDraft keeps what is being typed. The page asks for it as somebody types.
func keepDraft(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	drop := form.Values.Get("drop") != ""
	for _, name := range []string{"page", "once", "drop"} {
		form.Values.Del(name)
	}
	err = d.h.DB.Write(d.c.Request().Context(), func(tx *store.Tx) error {
		if drop {
			return account.DropDraft(tx, d.User.ID, form.Page)
		}
		return account.KeepDraft(tx, d.User.ID, form.Page, form.Values)
	})
	if err != nil {
		return err
	}
	if drop {
		return web.SeeOther(d.c, form.Page)
	}
	return d.c.String(http.StatusOK, d.l.T("admin.draft.kept", "Time", d.l.Time(d.h.DB.Now(), d.brand.Location())))
}
