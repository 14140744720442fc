package signup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// changed writes a change beside the permissions into the ledger.
func (p Preferences) changed(tx *store.Tx, kind string, fields []string, method string, evidence map[string]any) error {
	_, err := consent.RecordChange(tx, consent.Change{Brand: p.Brand, Subscriber: p.Subscriber.ID, Kind: kind, Fields: fields,
		Method: method, Evidence: evidence})
	return err
}

// Often has a topic, by its slug, write no more often than the promise says;
// see consent.Adjust.
func Often(tx *store.Tx, brandID, subscriberID uuid.UUID, slug string, promise consent.Promise, seen Seen) error {
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return err
	}
	for _, c := range p.Choices {
		if c.Topic.Slug == slug && !c.Tracking() {
			_, err := consent.Adjust(tx, p.Brand, subscriberID, c.Topic, consent.Adjustment{Promise: &promise}, seen.evidence())
			return err
		}
	}
	return problem.InvalidField("topic", "problem.field.choice")
}

// Rest is a pause that a person wants: no mail on a topic, or on all that they
// allow, before a day. The zero Rest of a topic ends its pause.
type Rest struct {
	Topic string // slug; empty: all that they allow
	Days  int    // from today
	Until string // or this day, as people type it: see i18n.ParseDay
	End   bool   // no pause any more
}

// Hold has the topics rest, or go on. It is over as the day begins where the
// person lives. A day that is none, that is not after today or more than a year
// away is problem.Invalid for the field "until".
func Hold(tx *store.Tx, brandID, subscriberID uuid.UUID, r Rest, seen Seen) error {
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return err
	}
	until, err := r.until(tx, p)
	if err != nil {
		return err
	}
	some := false
	for _, c := range p.Choices {
		if c.Tracking() || !c.On || r.Topic != "" && c.Topic.Slug != r.Topic {
			continue
		}
		some = true
		_, err := consent.Adjust(tx, p.Brand, subscriberID, c.Topic, consent.Adjustment{Pause: &consent.Pause{Until: until}}, seen.evidence())
		if err != nil {
			return err
		}
	}
	if !some {
		return problem.InvalidField("topic", "problem.field.choice")
	}
	return nil
}

func (r Rest) until(tx *store.Tx, p Preferences) (time.Time, error) {
	if r.End {
		return time.Time{}, nil
	}
	zone := p.Subscriber.Location(p.Brand)
	year, month, day := tx.Now().In(zone).Date()
	if r.Days > 0 {
		return time.Date(year, month, day+min(r.Days, consent.PauseMax), 0, 0, 0, 0, zone).UTC(), nil
	}
	var ok bool
	if year, month, day, ok = i18n.ParseDay(r.Until); !ok {
		return time.Time{}, problem.InvalidField("until", "consent.pause")
	}
	return time.Date(year, month, day, 0, 0, 0, 0, zone).UTC(), nil
}

// Known is what a person may correct, and what else is known of them.
type Known struct {
	Fields []KnownField
	Others []KnownField // nobody asks for them any more, or a shop knows them
	Tags   []string
}

// KnownField is one thing known of a person.
type KnownField struct {
	Field
	Value string
}

// KnownOf is what is known of the person of a page. Correctable is the name, the
// zone, and what the brand's forms ask that still take sign-ups.
func (p Preferences) KnownOf(tx *store.Tx) (k Known, err error) {
	asked, err := askedFields(tx, p.Brand)
	if err != nil {
		return k, err
	}
	s := p.Subscriber
	k.Fields = []KnownField{{Field{Name: "name", Type: "text"}, s.Name}}
	left := maps.Clone(s.Attributes)
	for _, f := range asked {
		k.Fields = append(k.Fields, KnownField{f, plainly(left[f.Name])})
		delete(left, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		k.Others = append(k.Others, KnownField{Field{Name: name}, plainly(left[name])})
	}
	k.Tags, err = subscriber.Tags(tx, p.Brand.ID, s.ID)
	return k, err
}

// plainly is an attribute as a person reads it.
func plainly(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

const formsAsked = 50 // the newest forms, whose fields people may correct

// askedFields are the fields besides the name of the forms that take sign-ups,
// each once.
func askedFields(tx *store.Tx, b brand.Brand) (all []Field, err error) {
	forms, err := Newest(tx, b.ID, uuid.Nil, formsAsked)
	if err != nil {
		return nil, err
	}
	for _, form := range forms {
		if form.ClosedAt != nil {
			continue
		}
		spec, err := SpecOf(tx, form.ID, form.Version)
		if err != nil {
			return nil, err
		}
		for _, f := range spec.Fields {
			if f.Name != "name" && !slices.ContainsFunc(all, func(o Field) bool { return o.Name == f.Name }) {
				all = append(all, f)
			}
		}
	}
	return all, nil
}

// Correct sets what a person says of themself (GDPR art. 16): name, time zone
// ("time_zone"), and what KnownOf lets them correct; an empty value forgets it,
// and what is not named stays. Nothing changed: nothing written.
func Correct(tx *store.Tx, brandID, subscriberID uuid.UUID, values map[string]string, seen Seen) error {
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return err
	}
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return err
	}
	k, err := p.KnownOf(tx)
	if err != nil {
		return err
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	c := subscriber.Change{Attributes: map[string]any{}}
	var names, fields []string
	for _, f := range k.Fields {
		typed, named := values[f.Name]
		if !named || strings.TrimSpace(typed) == f.Value {
			continue
		}
		f.Required = false
		value := f.read(wrong, typed)
		names = append(names, f.Name)
		switch {
		case f.Name == "name":
			c.Name, fields = &value, append(fields, "name")
			continue
		case value == "":
			c.Attributes[f.Name] = nil
		case f.Type == "number":
			c.Attributes[f.Name], _ = strconv.ParseFloat(value, 64) // read has seen that it is one
		default:
			c.Attributes[f.Name] = value
		}
		fields = append(fields, "attributes")
	}
	if zone, named := values["time_zone"]; named && strings.TrimSpace(zone) != p.Subscriber.TimeZone {
		zone = strings.TrimSpace(zone)
		c.TimeZone, names, fields = &zone, append(names, "time_zone"), append(fields, "time-zone")
	}
	if err := wrong.OrNil(); err != nil || len(fields) == 0 {
		return err
	}
	if _, err := subscriber.Update(tx, p.Brand, subscriberID, c); err != nil {
		return err
	}
	evidence := seen.evidence()
	evidence["fields"] = names // which attributes is nobody's business but theirs: the log says only that some were
	slices.Sort(fields)
	return p.changed(tx, consent.ChangedProfile, slices.Compact(fields), consent.MethodPreferences, evidence)
}

// Object takes everything back and has the person left out of scoring and groups
// from then on (GDPR art. 21); see consent.Object.
func Object(tx *store.Tx, brandID, subscriberID uuid.UUID, seen Seen) error {
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return err
	}
	return consent.Object(tx, b, subscriberID, consent.MethodPreferences, seen.evidence())
}
