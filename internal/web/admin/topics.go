package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

func topicActions() []action {
	return []action{
		look("/topics", account.Reader, topics),
		look("/topics/new", account.Marketer, newTopic),
		act("/topics/new", account.Marketer, createTopic),
		look("/topics/:id", account.Marketer, editTopic),
		act("/topics/:id", account.Marketer, saveTopic),
		act("/topics/:id/archive", account.Marketer, archiveTopic(true)),
		act("/topics/:id/offer", account.Marketer, archiveTopic(false)),
	}
}

// TopicLine is one topic in the list.
type TopicLine struct {
	Topic
	URL      string // empty: the visitor may not change it
	Wording  string
	Valid    int        // days that a permission lasts; 0: until it is taken back
	Months   int        // or calendar months
	Soft     bool       // about own similar products
	Changed  *time.Time // people are asked again since then
	Tracking bool       // it is of tracking: no mail is sent for it
	Archived *time.Time
}

// Topics is the page admin/topics.
type Topics struct {
	Frame
	Topics []TopicLine
	New    string // address; empty: the visitor may not
}

// topics shows the topics as they are now, with counts that may be a minute old.
func topics(d *desk) error {
	n, err := d.h.counts.of(d.c.Request().Context(), d.brand.ID)
	if err != nil {
		return err
	}
	counted := map[uuid.UUID]topicNumbers{}
	for _, t := range n.Topics {
		counted[t.Topic.ID] = t
	}
	var all []consent.Topic
	err = d.read(func(tx *store.Tx) (err error) { all, err = consent.AllTopics(tx, d.brand.ID); return err })
	if err != nil {
		return err
	}
	page := Topics{Frame: d.frame("topics")}
	for _, t := range all {
		words, count := t.In(d.brand, d.l.Lang()), counted[t.ID]
		one := TopicLine{Wording: words.Wording, Valid: t.ValidDays, Months: t.ValidMonths, Soft: t.OwnSimilar, Changed: t.ChangedAt, Tracking: t.Purpose != consent.Marketing, Archived: t.ArchivedAt,
			Topic: Topic{Name: words.Name, Promise: promise(d.l, t), Given: count.Given, Asked: count.Asked, Withdrawn: count.Withdrawn}}
		if d.may(account.Marketer) && t.Purpose == consent.Marketing {
			one.URL = d.to("/topics/" + t.ID.String())
		}
		page.Topics = append(page.Topics, one)
	}
	if d.may(account.Marketer) {
		page.New = d.to("/topics/new")
	}
	return d.draw("topics", page)
}

// TopicForm is the page admin/topic: a new one, or one to change.
type TopicForm struct {
	Frame
	Sheet    Sheet
	Title    string
	New      bool
	Texts    []LanguageFields
	Archived bool
	Changes  []Choice // what a change may be; none: it is new
	Archive  string   // address to stop offering it at, or to offer it again; empty: it is new
	Back     string
}

// LanguageFields are the fields that there are once for each language of a brand.
type LanguageFields struct {
	Code, Name, Dir string
	First           bool // the brand's own: it must be filled in
}

// languageFields are those of the brand, its own language first.
func (d *desk) languageFields() []LanguageFields {
	all := []LanguageFields{d.languageField(d.brand.Language)}
	for _, code := range d.brand.Languages {
		if code != d.brand.Language {
			all = append(all, d.languageField(code))
		}
	}
	all[0].First = true
	return all
}

func (d *desk) languageField(code string) LanguageFields {
	l := i18n.For(code)
	return LanguageFields{Code: code, Name: l.T("admin.language"), Dir: l.Dir()}
}

func newTopic(d *desk) error {
	sheet, err := d.sheet("/topics/new", url.Values{}, "")
	if err != nil {
		return err
	}
	return drawNewTopic(d)(http.StatusOK, sheet)
}

func drawNewTopic(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		return d.drawAs(status, "topic", TopicForm{Frame: d.frame("topics"), Sheet: s, New: true, Title: d.l.T("admin.topic.new"), Texts: d.languageFields(), Back: d.to("/topics")})
	}
}

func createTopic(d *desk) error {
	err := d.change("topic.create", func(tx *store.Tx, form *Sheet) (done, error) {
		n, wrong := topicOf(form)
		if wrong != nil {
			return done{}, wrong
		}
		slug := strings.TrimSpace(form.Value("slug"))
		if slug == "" {
			if slug, wrong = d.freeSlug(tx, n.Texts); wrong != nil {
				return done{}, wrong
			}
		}
		t, err := consent.CreateTopic(tx, d.brand, consent.NewTopic{Slug: slug, Texts: n.Texts,
			PromiseMax: n.PromiseMax, PromiseDays: n.PromiseDays, ValidDays: n.ValidDays, Position: n.Position})
		return done{subject: t.ID, next: "/topics", detail: map[string]any{"name": t.Slug}}, err
	})
	return d.redraw(err, drawNewTopic(d))
}

// freeSlug makes a short name that no topic of the brand has: of a name in Latin
// letters, the brand's own language first, or else of the word itself.
func (d *desk) freeSlug(tx *store.Tx, texts map[string]consent.TopicText) (string, error) {
	names := []string{texts[d.brand.Language].Name}
	for _, lang := range slices.Sorted(maps.Keys(texts)) {
		names = append(names, texts[lang].Name)
	}
	first := cmp.Or(slugFrom(names), "topic")
	for n, slug := 1, first; ; slug = fmt.Sprintf("%s-%d", first, n) {
		_, err := consent.TopicBySlug(tx, d.brand.ID, slug)
		if problem.Is(err, problem.NotFound) {
			return slug, nil
		}
		if err != nil {
			return "", err
		}
		n++
	}
}

func editTopic(d *desk) error {
	t, err := d.topic()
	if err != nil {
		return err
	}
	sheet, err := d.sheet("/topics/"+t.ID.String(), topicValues(t), versionOf(t.UpdatedAt))
	if err != nil {
		return err
	}
	return drawTopic(d, t)(http.StatusOK, sheet)
}

func drawTopic(d *desk, t consent.Topic) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := TopicForm{Frame: d.frame("topics"), Sheet: s, Title: t.In(d.brand, d.l.Lang()).Name, Texts: d.languageFields(),
			Archived: t.ArchivedAt != nil, Archive: d.to("/topics/" + t.ID.String() + "/archive"), Back: d.to("/topics")}
		if page.Archived {
			page.Archive = d.to("/topics/" + t.ID.String() + "/offer")
		}
		for _, what := range []string{"words", "purpose"} {
			page.Changes = append(page.Changes, Choice{what, d.l.T("admin.topic.change." + what), d.l.T("admin.topic.change-hint." + what)})
		}
		if page.Sheet.Value("change") == "" {
			page.Sheet.Values = maps.Clone(page.Sheet.Values)
			page.Sheet.Values.Set("change", "words")
		}
		if s.Changed {
			page.Sheet.Version = versionOf(t.UpdatedAt)
			page.Sheet.Theirs = d.theirs(topicValues(t), s.Values, "admin.topic.field.")
		}
		return d.drawAs(status, "topic", page)
	}
}

func saveTopic(d *desk) error {
	t, err := d.topic()
	if err != nil {
		return err
	}
	err = d.change("topic.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := consent.LockTopic(tx, d.brand.ID, t.ID)
		if err != nil {
			return done{}, err
		}
		if t = now; form.current(now.UpdatedAt) != nil {
			return done{}, errChanged()
		}
		n, wrong := topicOf(form)
		if wrong != nil {
			return done{}, wrong
		}
		_, err = consent.UpdateTopic(tx, d.brand, t.ID, consent.TopicChange{Texts: &n.Texts, PromiseMax: &n.PromiseMax, PromiseDays: &n.PromiseDays, ValidDays: &n.ValidDays,
			ValidMonths: &n.ValidMonths, RenewDays: n.RenewDays, OwnSimilar: &n.OwnSimilar, AsksAgain: form.Value("change") == "purpose"})
		return done{subject: t.ID, next: "/topics", detail: map[string]any{"name": t.Slug}}, err
	})
	return d.redraw(err, drawTopic(d, t))
}

// archiveTopic stops offering a topic, or offers it again; permissions stay.
func archiveTopic(yes bool) func(*desk) error {
	what := map[bool]string{true: "topic.archive", false: "topic.offer"}[yes]
	return func(d *desk) error {
		t, err := d.topic()
		if err != nil {
			return err
		}
		return d.change(what, func(tx *store.Tx, _ *Sheet) (done, error) {
			_, err := consent.UpdateTopic(tx, d.brand, t.ID, consent.TopicChange{Archived: &yes})
			return done{subject: t.ID, next: "/topics", detail: map[string]any{"name": t.Slug}}, err
		})
	}
}

// topic is the one that the address names. Those of tracking have words that
// the law and the program give them: nobody changes them here.
func (d *desk) topic() (t consent.Topic, err error) {
	id, err := d.id("id")
	if err != nil {
		return t, err
	}
	err = d.read(func(tx *store.Tx) (err error) { t, err = consent.FindTopic(tx, d.brand.ID, id); return err })
	if err == nil && t.Purpose != consent.Marketing {
		err = problem.New(problem.NotFound, "consent.topic.unknown")
	}
	return t, err
}

// topicOf reads the fields of a topic.
func topicOf(form *Sheet) (n consent.NewTopic, err error) {
	n.Texts = map[string]consent.TopicText{}
	for name := range form.Values {
		rest, is := strings.CutPrefix(name, "texts.")
		lang, _, whole := strings.Cut(rest, ".")
		if !is || !whole {
			continue
		}
		text := consent.TopicText{Name: form.text("texts." + lang + ".name"), Description: form.text("texts." + lang + ".description"), Wording: form.text("texts." + lang + ".wording")}
		if text != (consent.TopicText{}) {
			n.Texts[lang] = text
		}
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	n.PromiseMax, n.PromiseDays = form.whole("promise_max", wrong), form.whole("promise_days", wrong)
	n.ValidDays, n.ValidMonths = form.whole("valid_days", wrong), form.whole("valid_months", wrong)
	n.OwnSimilar = form.Has("own_similar", "yes")
	if form.text("renew_days") != "" {
		days := form.whole("renew_days", wrong)
		n.RenewDays = &days
	}
	return n, wrong.OrNil()
}

func topicValues(t consent.Topic) url.Values {
	v := url.Values{"slug": {t.Slug}}
	for lang, text := range t.Texts {
		v.Set("texts."+lang+".name", text.Name)
		v.Set("texts."+lang+".description", text.Description)
		v.Set("texts."+lang+".wording", text.Wording)
	}
	for name, n := range map[string]int{"promise_max": t.PromiseMax, "promise_days": t.PromiseDays, "valid_days": t.ValidDays, "valid_months": t.ValidMonths} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	v.Set("renew_days", strconv.Itoa(t.RenewDays))
	if t.OwnSimilar {
		v.Set("own_similar", "yes")
	}
	return v
}

// text is a field without the space around it, its line ends as we keep them.
func (s *Sheet) text(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(s.Values.Get(name), "\r\n", "\n"))
}

// whole is a number of a field; empty is 0. Persian and Arabic digits are read
// as they stand; what is no number is put among what is wrong.
func (s *Sheet) whole(name string, wrong *problem.Error) int {
	text := i18n.ASCIIDigits(s.text(name))
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32) // as far as the columns reach
	if err != nil {
		wrong.Field(name, "admin.form.no-number")
		return 0
	}
	return int(n)
}

// theirs are the fields in which what is stored differs from what was typed.
// Their names are in the catalogue under prefix, without what is between dots
// but the last.
func (d *desk) theirs(stored, typed url.Values, prefix string) (all []Theirs) {
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if sameValue(name, stored.Get(name), typed.Get(name)) {
			continue
		}
		label, parts := d.l.T(prefix+name[strings.LastIndexByte(name, '.')+1:]), strings.Split(name, ".")
		if len(parts) == 3 {
			label += " (" + d.l.Language(parts[1]) + ")"
		}
		all = append(all, Theirs{label, d.shown(name, stored.Get(name))})
	}
	return all
}
