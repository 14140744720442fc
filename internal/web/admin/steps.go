package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
)

// formStep is one step as a form holds it: its fields by what follows
// "steps.N." in their names.
type formStep map[string][]string

func (f formStep) isLetter() bool { return url.Values(f).Get("kind") != "wait" }

// formSteps are the steps of a form, in their order.
type formSteps []formStep

// formStepsMost is one more than a sequence can hold, so that too many are
// refused and told, and not cut off.
const formStepsMost = 101

// stepsIn reads the steps of a form.
func stepsIn(v url.Values) (steps formSteps) {
	at := map[int]formStep{}
	for name, values := range v {
		rest, is := strings.CutPrefix(name, "steps.")
		number, field, whole := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if !is || !whole || err != nil || i < 0 || i >= formStepsMost {
			continue
		}
		if at[i] == nil {
			at[i] = formStep{}
		}
		at[i][field] = values
	}
	for i := range formStepsMost {
		if at[i] != nil {
			steps = append(steps, at[i])
		}
	}
	return steps
}

// put writes the steps into the values of a form in place of those there.
func (steps formSteps) put(v url.Values) url.Values {
	out := url.Values{}
	for name, values := range v {
		if !strings.HasPrefix(name, "steps.") && !strings.HasPrefix(name, "focus.") && name != "do" {
			out[name] = values
		}
	}
	for i, step := range steps {
		for field, values := range step {
			out[fmt.Sprintf("steps.%d.%s", i, field)] = values
		}
	}
	return out
}

// rearrange does what a button says: "add", "remove-1", "up-1" or "down-1". at
// is where the eye should be then, and focus on what; at is -1 for nowhere.
func (steps formSteps) rearrange(do string) (now formSteps, at int, focus string) {
	what, number, _ := strings.Cut(do, "-")
	i, err := strconv.Atoi(number)
	now = slices.Clone(steps)
	switch {
	case what == "add" && len(now) < formStepsMost-1:
		return append(now, formStep{"kind": {"letter"}, "wait.amount": {"3"}, "wait.unit": {"days"}}), len(now), "step"
	case err != nil || i < 0 || i >= len(now):
		return now, -1, ""
	case what == "remove":
		now = slices.Delete(now, i, i+1)
		return now, min(i, len(now)-1), "step"
	case what == "up" && i > 0:
		now[i-1], now[i] = now[i], now[i-1]
		return now, i - 1, "up"
	case what == "down" && i < len(now)-1:
		now[i+1], now[i] = now[i], now[i+1]
		return now, i + 1, "down"
	}
	return now, i, "step"
}

// waitUnits are the units of a wait.
var waitUnits = []string{"minutes", "hours", "days", "weeks", "months"}

func amountOf(w *sequence.Wait, unit string) *int {
	return map[string]*int{"minutes": &w.Minutes, "hours": &w.Hours, "days": &w.Days, "weeks": &w.Weeks, "months": &w.Months}[unit]
}

// values are a sequence as its form shows it. A wait goes with the letter after
// it; one that another wait follows stands alone.
func (w written) values() url.Values {
	var steps formSteps
	for i, s := range w.Todo {
		if s.Wait != nil {
			if i+1 == len(w.Todo) || w.Todo[i+1].Wait != nil {
				steps = append(steps, formStep{"kind": {"wait"}}.wait(*s.Wait))
			}
			continue
		}
		step := formStep{"kind": {"letter"}}.wait(sequence.Wait{})
		if i > 0 && w.Todo[i-1].Wait != nil {
			step.wait(*w.Todo[i-1].Wait)
		}
		steps = append(steps, step.mail(w.Mails[*s.Send]))
	}
	return steps.put(url.Values{"name": {w.Name}})
}

func (f formStep) wait(w sequence.Wait) formStep {
	f["wait.unit"] = []string{"days"}
	for _, unit := range waitUnits {
		if n := *amountOf(&w, unit); n > 0 {
			f["wait.amount"], f["wait.unit"] = []string{strconv.Itoa(n)}, []string{unit}
		}
	}
	f["wait.until"] = []string{w.Until}
	return f
}

func (f formStep) mail(texts []delivery.Text) formStep {
	putMail(url.Values(f), texts)
	return f
}

// putMail puts a mail in its languages among the values of a form, where
// textsIn reads it.
func putMail(v url.Values, texts []delivery.Text) {
	for _, t := range texts {
		for i, value := range []string{t.Subject, t.Preheader, t.HTML, t.Text} {
			v.Set("content."+t.Language+"."+mailParts[i], value)
		}
	}
}

// stepsOf reads the steps of a form and saves their mails. One that says what a
// mail of known says stays that mail, so what did not change is no new step.
func (d *desk) stepsOf(tx *store.Tx, form *Sheet, known map[uuid.UUID][]delivery.Text) (steps []sequence.Step, err error) {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	for i, f := range stepsIn(form.Values) {
		name := fmt.Sprintf("steps.%d", i)
		wait := waitIn(form, name, wrong)
		if wait != (sequence.Wait{}) || !f.isLetter() {
			steps = append(steps, sequence.Step{Wait: &wait})
		}
		if !f.isLetter() {
			continue
		}
		texts := textsIn(form, name+".content.", wrong)
		id, err := saveMail(tx, d.brand.ID, texts, known)
		if p, ok := problem.Of(err); ok && p.Kind == problem.Invalid {
			for _, field := range p.Fields {
				wrong.Field(name+"."+d.mailField(field.Name), field.Key, field.Args...)
			}
		} else if err != nil {
			return nil, err
		}
		steps = append(steps, sequence.Step{Send: &id})
	}
	return steps, wrong.OrNil()
}

// mailField is the field that a fault of a mail is told at: one of the whole
// mail, or of a whole language, at its subject.
func (d *desk) mailField(name string) string {
	switch parts := strings.Split(name, "/"); {
	case len(parts) == 1:
		return "content." + d.brand.Language + ".subject"
	case len(parts) == 2:
		return "content." + parts[1] + ".subject"
	default:
		return strings.Join(parts, ".")
	}
}

func saveMail(tx *store.Tx, brandID uuid.UUID, texts []delivery.Text, known map[uuid.UUID][]delivery.Text) (uuid.UUID, error) {
	for id, was := range known {
		if slices.Equal(was, texts) {
			return id, nil
		}
	}
	return delivery.SaveContent(tx, brandID, texts)
}

// waitIn reads the wait of a step.
func waitIn(form *Sheet, name string, wrong *problem.Error) (w sequence.Wait) {
	n := form.whole(name+".wait.amount", wrong)
	if unit := amountOf(&w, form.Value(name+".wait.unit")); unit != nil {
		*unit = n
	}
	if w.Until = i18n.ASCIIDigits(form.text(name + ".wait.until")); len(w.Until) == len("9:00") {
		w.Until = "0" + w.Until
	}
	return w
}

// textsIn reads a mail in its languages, by language. One with nothing in it is
// not there.
func textsIn(form *Sheet, prefix string, wrong *problem.Error) []delivery.Text {
	langs := map[string]bool{}
	for name := range form.Values {
		rest, is := strings.CutPrefix(name, prefix)
		if lang, _, whole := strings.Cut(rest, "."); is && whole {
			langs[lang] = true
		}
	}
	texts := []delivery.Text{}
	for lang := range langs {
		t := delivery.Text{Language: lang}
		for i, field := range []*string{&t.Subject, &t.Preheader, &t.HTML, &t.Text} {
			name := prefix + lang + "." + mailParts[i]
			*field = form.text(name)
			if most := partMost[mailParts[i]]; utf8.RuneCountInString(*field) > most {
				wrong.Field(name, "problem.field.too-long", "Max", most)
			}
			if i < 2 && strings.Contains(*field, "\n") {
				wrong.Field(name, "problem.field.line-break")
			}
		}
		if t != (delivery.Text{Language: lang}) {
			texts = append(texts, t)
		}
	}
	slices.SortFunc(texts, func(a, b delivery.Text) int { return strings.Compare(a.Language, b.Language) })
	return texts
}

func sameSteps(a, b []sequence.Step) bool {
	return slices.EqualFunc(a, b, func(x, y sequence.Step) bool {
		return (x.Wait == nil) == (y.Wait == nil) && (x.Wait == nil || *x.Wait == *y.Wait) &&
			(x.Send == nil) == (y.Send == nil) && (x.Send == nil || *x.Send == *y.Send)
	})
}

// atSteps names the inputs that a fault of the sequence is told at. The domain
// counts waits as steps of their own, and the form does not.
func (d *desk) atSteps(err error) error {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return err
	}
	form, bad := d.sent()
	if bad != nil {
		return bad
	}
	places := domainSteps(form)
	named := *p
	named.Fields = slices.Clone(p.Fields)
	for i, f := range named.Fields {
		parts := strings.Split(f.Name, "/")
		if parts[0] != "steps" {
			continue
		}
		n := -1
		if len(parts) > 1 {
			n, _ = strconv.Atoi(parts[1])
		}
		if n < 0 || n >= len(places) {
			named.Fields[i].Name = "steps.add"
			continue
		}
		at := fmt.Sprintf("steps.%d.", places[n])
		switch {
		case len(parts) > 2 && parts[2] == "send":
			named.Fields[i].Name = at + "content." + d.brand.Language + ".subject"
		case len(parts) > 3 && parts[3] == "until":
			named.Fields[i].Name = at + "wait.until"
		default:
			named.Fields[i].Name = at + "wait.amount"
		}
	}
	return &named
}

// domainSteps tells of each step of the sequence which step of the form it is of.
func domainSteps(form *Sheet) (places []int) {
	nothing := problem.New(problem.Invalid, "problem.invalid")
	for i, f := range stepsIn(form.Values) {
		if wait := waitIn(form, fmt.Sprintf("steps.%d", i), nothing); wait != (sequence.Wait{}) || !f.isLetter() {
			places = append(places, i)
		}
		if f.isLetter() {
			places = append(places, i)
		}
	}
	return places
}

// theirSteps are the fields in which what is stored now differs from what was typed.
func (d *desk) theirSteps(w written, typed url.Values) (all []Theirs) {
	stored := w.values()
	if stored.Get("name") != typed.Get("name") {
		all = append(all, Theirs{d.l.T("admin.sequence.field.name"), stored.Get("name")})
	}
	theirs, mine, letter := stepsIn(stored), stepsIn(typed), int64(0)
	for i, step := range theirs {
		title := d.l.T("admin.sequence.wait-alone")
		if step.isLetter() {
			letter++
			title = d.l.T("admin.sequence.letter", "N", letter)
		}
		was := formStep{}
		if i < len(mine) {
			was = mine[i]
		}
		for _, field := range step.fields() {
			if a, b := url.Values(step).Get(field), url.Values(was).Get(field); !sameValue(field, strings.ReplaceAll(b, "\r\n", "\n"), a) {
				all = append(all, Theirs{title + " · " + d.stepLabel(field), d.shown(field, a)})
			}
		}
	}
	if len(theirs) != len(mine) {
		all = append(all, Theirs{d.l.T("admin.sequence.letters"), d.l.Number(letter)})
	}
	return all
}

func (f formStep) fields() (names []string) {
	for name := range f {
		if name != "kind" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (d *desk) stepLabel(field string) string {
	parts := strings.Split(field, ".")
	label := d.l.T("admin.sequence.field." + parts[len(parts)-1])
	if len(parts) == 3 {
		label += " (" + d.l.Language(parts[1]) + ")"
	}
	return label
}

// welcomeLetters are the letters of the template: when each comes.
var welcomeLetters = []sequence.Wait{{}, {Days: 3, Until: "09:00"}, {Weeks: 1, Until: "09:00"}}

// welcome is the template: a welcome in three letters, in the brand's languages.
func (d *desk) welcome() url.Values {
	var steps formSteps
	for i, wait := range welcomeLetters {
		step := formStep{"kind": {"letter"}}.wait(wait)
		for _, field := range d.languageFields() {
			if slices.Contains(i18n.Languages, field.Code) {
				step.mail([]delivery.Text{welcomeText(i18n.For(field.Code), field.Code, i+1)})
			}
		}
		steps = append(steps, step)
	}
	return steps.put(url.Values{"name": {d.l.T("admin.sequence.template.name")}})
}

func welcomeText(l *i18n.Localizer, lang string, n int) delivery.Text {
	say := func(part string) string {
		return l.T(fmt.Sprintf("admin.sequence.template.%d.%s", n, part), "Person", `{{ subscriber.name | default: "`+l.T("admin.sequence.template.friend")+`" }}`,
			"Brand", "{{ brand.name }}", "Topic", "{{ topic }}", "Preferences", "{{ preferences_url }}")
	}
	var html strings.Builder
	for _, paragraph := range strings.Split(say("text"), "\n\n") {
		html.WriteString("<p>" + paragraph + "</p>\n")
	}
	return delivery.Text{Language: lang, Subject: say("subject"), Preheader: say("preheader"), HTML: strings.TrimSpace(html.String())}
}
