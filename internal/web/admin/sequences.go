package admin

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/web"
)

func sequenceActions() []action {
	k := sequenceKind()
	return []action{
		look("/sequences", account.Reader, k.list),
		look("/sequences/new", account.Marketer, newSequence),
		act("/sequences/new", account.Marketer, createSequence),
		look("/sequences/:id", account.Reader, k.show()),
		behind(http.MethodGet, "/sequences/:id/live", account.Reader, live((*desk).journey)),
		look("/sequences/:id/letter", account.Reader, showLetter),
		look("/sequences/:id/preview", account.Reader, previewLetter),
		look("/sequences/:id/people", account.Analyst, whoWaits),
		look("/sequences/:id/edit", account.Marketer, editSequence),
		act("/sequences/:id/edit", account.Marketer, saveSequence),
		look("/sequences/:id/enroll", account.Marketer, askEnroll),
		act("/sequences/:id/enroll", account.Marketer, k.move("enroll", sequence.AskEnroll)),
		act("/sequences/:id/start", account.Marketer, k.move("start", sequence.Start)),
		act("/sequences/:id/pause", account.Marketer, k.move("pause", sequence.Pause)),
		act("/sequences/:id/resume", account.Marketer, k.move("resume", goOn(sequence.Lock, func(s sequence.Sequence) bool { return s.State == sequence.Running },
			sequence.Resume, problem.New(problem.Conflict, "sequence.state.running")))),
		act("/sequences/:id/end", account.Marketer, k.move("end", sequence.End)),
	}
}

func sequenceKind() kind[sequence.Sequence] {
	return kind[sequence.Sequence]{name: "sequence", help: "sequences", columns: []string{"#letters", "#under-way", "#joined"}, some: sequence.Some,
		of: func(s sequence.Sequence) item {
			return item{ID: s.ID, Topic: s.TopicID, Name: s.Name, State: string(s.State)}
		},
		cells: func(d *desk, tx *store.Tx, found []sequence.Sequence) (func(sequence.Sequence) []Cell, error) {
			counts, err := d.sequenceTallies(tx, found)
			if err != nil {
				return nil, err
			}
			written := map[uuid.UUID]int{}
			for _, s := range found {
				todo, err := sequence.Steps(tx, d.brand.ID, s.ID, s.Version)
				if err != nil {
					return nil, err
				}
				written[s.ID] = letters(todo)
			}
			return func(s sequence.Sequence) []Cell {
				n := counts[s.ID]
				return []Cell{{Text: d.l.Number(int64(written[s.ID]))}, {Text: d.l.Number(n.Active)}, {Text: d.l.Number(n.Total)}}
			}, nil
		},
		draw: (*desk).drawSequence}
}

// sequenceTallies counts those on the page together, and by whoever looks first.
func (d *desk) sequenceTallies(tx *store.Tx, all []sequence.Sequence) (map[uuid.UUID]sequence.Tally, error) {
	key := ""
	for _, s := range all {
		key += s.ID.String()
	}
	return d.h.journeys.lists.of(key, func() (map[uuid.UUID]sequence.Tally, error) { return sequence.Tallies(tx, d.brand.ID, all) })
}

func sequencePath(id uuid.UUID) string { return sequenceKind().path(id) }

func letters(steps []sequence.Step) (n int) {
	for _, s := range steps {
		if s.Send != nil {
			n++
		}
	}
	return n
}

// SequenceForm is the page admin/sequence-form: a new one, or one to change.
// Without steps it offers what to begin with.
type SequenceForm struct {
	Frame
	Sheet     Sheet
	Title     string
	Topics    []Choice
	TopicName string // of one that is there already, which keeps its topic
	Steps     []StepFields
	Units     []Choice
	Template  string // address to begin from the template at
	Empty     string // address to begin with one empty letter at
	Told      string // what saving means for those under way; may be empty
	Back      string
}

// StepFields are the fields of one step of the form: a letter with the wait
// before it, or a wait alone.
type StepFields struct {
	I           int    // counted from 0
	Name        string // of its fields
	Title       string
	Letter      bool
	First, Last bool
	Focus       string // "step", "up" or "down": what was done to it just now
	Texts       []LanguageFields
}

func newSequence(d *desk) error {
	stored := url.Values{}
	switch d.c.QueryParam("from") {
	case "welcome":
		stored = d.welcome()
	case "empty":
		stored = formSteps{formStep{"kind": {"letter"}}.wait(sequence.Wait{})}.put(stored)
	}
	sheet, err := d.sheet("/sequences/new", stored, "")
	if err != nil {
		return err
	}
	return drawNewSequence(d)(http.StatusOK, sheet)
}

func drawNewSequence(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := SequenceForm{Title: d.l.T("admin.sequence.new"), Back: d.to("/sequences"), Told: d.l.T("admin.sequence.told-new"),
			Template: d.to("/sequences/new", "from", "welcome"), Empty: d.to("/sequences/new", "from", "empty")}
		return d.drawSequenceForm(status, page, s, nil)
	}
}

// drawSequenceForm shows the form with the topics that may be chosen.
func (d *desk) drawSequenceForm(status int, page SequenceForm, s Sheet, texts []delivery.Text) error {
	var err error
	if page.Topics, err = d.mayChoose(uuid.Nil); err != nil {
		return err
	}
	for _, unit := range waitUnits {
		page.Units = append(page.Units, Choice{Value: unit, Label: d.l.T("admin.sequence.unit." + unit)})
	}
	page.Frame, page.Sheet = d.frame("sequences"), s
	page.Steps = d.stepFields(s.Values, mailLanguages(d.brand, texts))
	return d.drawAs(status, "sequence-form", page)
}

// stepFields names the steps of a form as they are read: first letter, second
// letter, with the waits among them.
func (d *desk) stepFields(v url.Values, texts []LanguageFields) (all []StepFields) {
	steps, letter := stepsIn(v), int64(0)
	for i, step := range steps {
		f := StepFields{I: i, Name: "steps." + strconv.Itoa(i), Letter: step.isLetter(), First: i == 0, Last: i == len(steps)-1,
			Title: d.l.T("admin.sequence.wait-alone"), Texts: texts, Focus: v.Get("focus." + strconv.Itoa(i))}
		if f.Letter {
			letter++
			f.Title = d.l.T("admin.sequence.letter", "N", letter)
		}
		all = append(all, f)
	}
	return all
}

func createSequence(d *desk) error {
	if again, err := d.rearranged(drawNewSequence(d)); again || err != nil {
		return err
	}
	err := d.change("sequence.create", func(tx *store.Tx, form *Sheet) (done, error) {
		steps, wrong := d.stepsOf(tx, form, nil)
		if wrong != nil {
			return done{}, wrong
		}
		topic, _ := uuid.Parse(form.Value("topic"))
		s, err := sequence.Create(tx, d.brand, sequence.New{Name: form.text("name"), Topic: topic, Steps: steps})
		return done{subject: s.ID, next: sequencePath(s.ID), detail: map[string]any{"name": s.Name}}, d.atSteps(err)
	})
	return d.redraw(err, drawNewSequence(d))
}

// sequenceAt is the one that the address names.
func (d *desk) sequenceAt() (s sequence.Sequence, err error) {
	id, err := d.id("id")
	if err != nil {
		return s, err
	}
	err = d.read(func(tx *store.Tx) (err error) { s, err = sequence.Find(tx, d.brand.ID, id); return err })
	return s, err
}

// written is a version of a sequence with its mails, and how many are under way.
type written struct {
	sequence.Sequence
	Todo   []sequence.Step
	Mails  map[uuid.UUID][]delivery.Text
	Topic  string
	Active int64
	Total  int64
}

func (d *desk) written(tx *store.Tx, s sequence.Sequence) (w written, err error) {
	if w, err = d.writtenIn(tx, s, s.Version); err != nil {
		return w, err
	}
	standing, err := sequence.Standings(tx, d.brand.ID, s.ID)
	w.Active, w.Total = standing.Active, standing.Total
	return w, err
}

// writtenIn is a version of a sequence with its mails; nobody is counted.
func (d *desk) writtenIn(tx *store.Tx, s sequence.Sequence, version int) (w written, err error) {
	w.Sequence, w.Mails = s, map[uuid.UUID][]delivery.Text{}
	if w.Todo, err = sequence.Steps(tx, d.brand.ID, s.ID, version); err != nil {
		return w, err
	}
	for _, step := range w.Todo {
		if step.Send == nil || w.Mails[*step.Send] != nil {
			continue
		}
		if w.Mails[*step.Send], err = delivery.Contents(tx, d.brand.ID, *step.Send); err != nil {
			return w, err
		}
	}
	topics, err := consent.AllTopics(tx, d.brand.ID)
	if err != nil {
		return w, err
	}
	w.Topic = topicName(d, topics, s.TopicID)
	return w, err
}

// version names what the form changes: starting or pausing is no edit.
func (w written) version() string { return strconv.Itoa(w.Version) + " " + w.Name }

func (w written) texts() (all []delivery.Text) {
	for _, mail := range w.Mails {
		all = append(all, mail...)
	}
	return all
}

// editSequence shows one to change; what has ended, its page.
func editSequence(d *desk) error {
	s, err := d.sequenceAt()
	if err != nil {
		return err
	}
	if s.State == sequence.Ended {
		return web.SeeOther(d.c, d.to(sequencePath(s.ID)))
	}
	var w written
	if err := d.read(func(tx *store.Tx) (err error) { w, err = d.written(tx, s); return err }); err != nil {
		return err
	}
	sheet, err := d.sheet(sequencePath(s.ID)+"/edit", w.values(), w.version())
	if err != nil {
		return err
	}
	return drawSequenceEdit(d, w)(http.StatusOK, sheet)
}

func drawSequenceEdit(d *desk, w written) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := SequenceForm{Title: w.Name, Back: d.to(sequencePath(w.ID)), TopicName: w.Topic, Told: d.toldOfVersions(w)}
		if s.Changed {
			s.Version = w.version()
			s.Theirs = d.theirSteps(w, s.Values)
		}
		return d.drawSequenceForm(status, page, s, w.texts())
	}
}

// toldOfVersions says before saving whom new steps are for.
func (d *desk) toldOfVersions(w written) string {
	next := int64(w.Version + 1)
	switch {
	case w.Active > 0:
		return d.l.N("admin.sequence.told-under-way", w.Active, "Version", next)
	case w.Total > 0:
		return d.l.T("admin.sequence.told-later", "Version", next)
	}
	return d.l.T("admin.sequence.told-nobody")
}

func saveSequence(d *desk) error {
	s, err := d.sequenceAt()
	if err != nil {
		return err
	}
	var w written
	if err := d.read(func(tx *store.Tx) (err error) { w, err = d.written(tx, s); return err }); err != nil {
		return err
	}
	if again, err := d.rearranged(drawSequenceEdit(d, w)); again || err != nil {
		return err
	}
	err = d.change("sequence.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := sequence.Lock(tx, d.brand.ID, s.ID)
		if err != nil {
			return done{}, err
		}
		if w, err = d.written(tx, now); err != nil {
			return done{}, err
		}
		if now.State != sequence.Ended && form.Version != w.version() {
			return done{}, errChanged()
		}
		steps, wrong := d.stepsOf(tx, form, w.Mails)
		if wrong != nil {
			return done{}, wrong
		}
		name := form.text("name")
		change := sequence.Change{Name: &name}
		if !sameSteps(steps, w.Todo) {
			change.Steps = steps
		}
		_, err = sequence.Edit(tx, d.brand, s.ID, change)
		return done{subject: s.ID, next: sequencePath(s.ID), detail: map[string]any{"name": name}}, d.atSteps(err)
	})
	return d.redraw(err, func(status int, s Sheet) error { return drawSequenceEdit(d, w)(status, s) })
}

// rearranged answers a button that adds, takes away or moves a step: the form
// again, and nothing is saved.
func (d *desk) rearranged(draw func(int, Sheet) error) (again bool, err error) {
	form, err := d.sent()
	if err != nil {
		return false, err
	}
	do := form.Value("do")
	if do == "" {
		return false, nil
	}
	steps, at, focus := stepsIn(form.Values).rearrange(do)
	form.Values = steps.put(form.Values)
	if at >= 0 {
		form.Values.Set("focus."+strconv.Itoa(at), focus)
	}
	if form.Once == uuid.Nil {
		return true, problem.New(problem.Malformed, "problem.malformed").Because(errNoForm)
	}
	form.Drafts = d.to("/drafts")
	return true, draw(http.StatusOK, *form)
}
