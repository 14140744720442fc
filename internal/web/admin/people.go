package admin

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

func peopleActions() []action {
	return []action{
		look("/people", account.Analyst, people),
		act("/people/bulk", account.Marketer, askBulk),
		act("/people/tags", account.Marketer, tagMany),
		act("/people/export", account.Marketer, exportPeople),
		look("/people/:id", account.Analyst, showPerson),
		act("/people/:id/notes", account.Analyst, writeNote),
		act("/people/:id/notes/remove", account.Analyst, removeNote),
		act("/people/:id/carer", account.Marketer, entrustPerson),
		act("/people/:id/tags", account.Marketer, tagPerson),
		act("/people/:id/tags/remove", account.Marketer, untagPerson),
		act("/people/:id/withdraw", account.Marketer, withdrawFor),
		act("/people/:id/withdraw-all", account.Marketer, withdrawAllFor),
		look("/suppressions", account.Analyst, suppressions),
		look("/suppressions/new", account.Marketer, newSuppression),
		act("/suppressions/new", account.Marketer, addSuppression),
		act("/suppressions/lift", account.Owner, liftSuppression),
	}
}

// peopleAtOnce is how many people stand on a page.
const peopleAtOnce = 50

// People is the page admin/people.
type People struct {
	Frame
	Total       int64 // of the brand; may be a minute old
	Filter      Sheet
	Language    string // chosen in the address; empty: none
	Topics      []Choice
	Stands      []Choice
	Filtered    bool
	All         string // address of the list without a filter
	Forms       string // address
	People      []PersonLine
	First, Next string // addresses; empty: there is none
	Bulk        string // addresses; empty: the visitor may not
	Export      string
	Once        uuid.UUID
}

// PersonLine is one person in the list.
type PersonLine struct {
	ID               uuid.UUID
	URL, Email, Name string
	Since            time.Time
	Tags             []string
	Permissions      []PermissionChip // in the order of the topics
}

// PermissionChip is where a person stands with a topic. Tone is a colour of
// permission.
type PermissionChip struct{ Topic, State, Tone string }

// stands are the states that one can ask for.
var stands = map[string][]consent.State{
	"given": {consent.Given, consent.Renewed},
	"asked": {consent.Requested},
	"taken": {consent.Withdrawn, consent.Refused},
}

// peopleQuery is what the address of the list asks for.
type peopleQuery struct {
	search, tag, topic, stand, mine, cursor string
}

func (d *desk) peopleQuery() peopleQuery {
	return peopleQuery{d.asked("q", 320), d.asked("tag", 64), d.asked("topic", 36), d.asked("stand", 10), d.asked("mine", 5), d.asked("after", 36)}
}

// asked is a value of the address, of so many characters at most; what is no
// text is none.
func (d *desk) asked(name string, most int) string {
	v := strings.TrimSpace(d.c.QueryParam(name))
	if !web.IsText(v) {
		return ""
	}
	if r := []rune(v); len(r) > most {
		v = string(r[:most])
	}
	return v
}

// people shows those whom the brand knows, the newest first.
func people(d *desk) error {
	n, err := d.h.counts.of(d.c.Request().Context(), d.brand.ID)
	if err != nil {
		return err
	}
	q := d.peopleQuery()
	page := People{Frame: d.frame("people"), Total: n.People, Language: chosenLanguage(d.c), All: d.to("/people"), Forms: d.to("/forms"),
		Filter:   Sheet{Action: brandPath + d.brand.Slug + "/people", Values: url.Values{"q": {q.search}, "tag": {q.tag}, "topic": {q.topic}, "stand": {q.stand}, "mine": {q.mine}}},
		Filtered: q.search+q.tag+q.topic+q.stand+q.mine != ""}
	if d.may(account.Marketer) {
		page.Bulk, page.Export, page.Once = d.to("/people/bulk"), d.to("/people/export"), store.NewID(d.h.DB.Now())
	}
	err = d.read(func(tx *store.Tx) error {
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		page.Topics, page.Stands = d.topicChoices(topics), d.standChoices()
		found, next, err := d.find(tx, q, topics)
		if err != nil {
			return err
		}
		if next != "" {
			page.Next = d.to("/people", "q", q.search, "tag", q.tag, "topic", q.topic, "stand", q.stand, "mine", q.mine, "after", next)
		}
		page.People, err = d.personLines(tx, found, topics)
		return err
	})
	if err != nil {
		return err
	}
	if q.cursor != "" {
		page.First = d.to("/people", "q", q.search, "tag", q.tag, "topic", q.topic, "stand", q.stand, "mine", q.mine)
	}
	return d.draw("people", page)
}

// filter is what the list is narrowed by.
func (d *desk) filter(tx *store.Tx, q peopleQuery, topics []consent.Topic) subscriber.Filter {
	f := subscriber.Filter{Tag: q.tag, Search: q.search, Newest: true}
	var where []subscriber.Condition
	if q.topic != "" || q.stand != "" {
		where = append(where, consent.Stand(meant(topics, q.topic), standing(q.stand), tx.Now()))
	}
	if q.mine != "" {
		where = append(where, subscriber.InCareOf(d.User.ID))
	}
	f.Where = subscriber.All(where...)
	return f
}

// find looks a whole address up by its hash, and else for what is a part of
// one, or of a name.
func (d *desk) find(tx *store.Tx, q peopleQuery, topics []consent.Topic) ([]subscriber.Subscriber, string, error) {
	f := d.filter(tx, q, topics)
	f.Search = ""
	if a, err := subscriber.ParseAddress(q.search); err == nil && q.cursor == "" {
		whole := f
		if whole.AddressHash, err = d.brand.AddressHash(tx, a.Normal); err != nil {
			return nil, "", err
		}
		if found, next, err := subscriber.List(tx, d.brand.ID, whole, "", peopleAtOnce); err != nil || len(found) > 0 {
			return found, next, err
		}
	}
	f.Search = q.search
	return subscriber.List(tx, d.brand.ID, f, q.cursor, peopleAtOnce)
}

// meant are the topics of a filter: one, or all that mail is sent on.
func meant(topics []consent.Topic, id string) (ids []uuid.UUID) {
	for _, t := range topics {
		if id == "" && t.Purpose == consent.Marketing || t.ID.String() == id {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func standing(name string) []consent.State {
	if name == "" {
		return slices.Concat(stands["given"], stands["asked"], stands["taken"], []consent.State{consent.Expired, consent.Invalidated})
	}
	return stands[name]
}

func (d *desk) topicChoices(topics []consent.Topic) []Choice {
	all := []Choice{{Value: "", Label: d.l.T("admin.people.any-topic")}}
	for _, t := range topics {
		all = append(all, Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name})
	}
	return all
}

func (d *desk) standChoices() []Choice {
	return []Choice{{Value: "", Label: d.l.T("admin.people.any-stand")}, {Value: "given", Label: d.l.T("admin.people.stand.given")},
		{Value: "asked", Label: d.l.T("admin.people.stand.asked")}, {Value: "taken", Label: d.l.T("admin.people.stand.taken")}}
}

func (d *desk) personLines(tx *store.Tx, found []subscriber.Subscriber, topics []consent.Topic) ([]PersonLine, error) {
	return d.personLinesFor(tx, found, topics, d.chip)
}

func (d *desk) sortTags(tags []string) {
	i18n.Sort(d.l.Lang(), tags, func(tag string) string { return tag })
}

// personLinesFor is personLines with a way of one's own to tell where they stand.
func (d *desk) personLinesFor(tx *store.Tx, found []subscriber.Subscriber, topics []consent.Topic, chip func(consent.Topic, consent.Permission, time.Time) PermissionChip) ([]PersonLine, error) {
	ids := make([]uuid.UUID, len(found))
	for i, s := range found {
		ids[i] = s.ID
	}
	tags, err := subscriber.TagsOf(tx, d.brand.ID, ids)
	if err != nil {
		return nil, err
	}
	for _, of := range tags {
		d.sortTags(of)
	}
	permissions, err := consent.PermissionsOf(tx, d.brand.ID, ids)
	if err != nil {
		return nil, err
	}
	lines := make([]PersonLine, len(found))
	for i, s := range found {
		lines[i] = PersonLine{ID: s.ID, URL: d.to("/people/" + s.ID.String()), Email: s.Email, Name: s.Name, Since: s.CreatedAt, Tags: tags[s.ID]}
		for _, t := range topics {
			for _, p := range permissions[s.ID] {
				if p.TopicID == t.ID && t.Purpose == consent.Marketing {
					lines[i].Permissions = append(lines[i].Permissions, chip(t, p, tx.Now()))
				}
			}
		}
	}
	return lines, nil
}

// chip tells where somebody stands with a topic at the time now. A permission
// that has run out is told so, whether or not it is written down yet.
func (d *desk) chip(t consent.Topic, p consent.Permission, now time.Time) PermissionChip {
	state, tone := p.State, "no"
	switch {
	case p.InForce(now):
		tone = "yes"
	case consent.InForce(p.State):
		state = consent.Expired
	case p.State == consent.Requested:
		tone = "ask"
	}
	return PermissionChip{Topic: t.In(d.brand, d.l.Lang()).Name, State: d.l.T("admin.consent." + string(state)), Tone: tone}
}

// person is the one whom the address names.
func (d *desk) person() (s subscriber.Subscriber, err error) {
	id, err := d.id("id")
	if err != nil {
		return s, err
	}
	err = d.read(func(tx *store.Tx) (err error) { s, err = subscriber.Find(tx, d.brand.ID, id); return err })
	return s, err
}

// tagPerson gives somebody a tag.
func tagPerson(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	err = d.onBehalf("people.tag", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, _ map[string]any) (string, error) {
		tag := form.text("tags")
		return tag, subscriber.AddTags(tx, d.brand.ID, s.ID, tag)
	})
	return d.redraw(err, drawPerson(d, s))
}

// writeNote writes something down about somebody.
func writeNote(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	err = d.onBehalf("people.note", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, _ map[string]any) (string, error) {
		_, err := subscriber.WriteNote(tx, d.brand.ID, s.ID, d.User.ID, form.text("note"))
		return "", err
	})
	return d.redraw(err, drawPerson(d, s))
}

// removeNote removes one that the visitor wrote.
func removeNote(d *desk) error {
	return d.onBehalf("people.unnote", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, _ map[string]any) (string, error) {
		id, err := uuid.Parse(form.Value("note"))
		if err != nil {
			return "", problem.New(problem.NotFound, "subscriber.note.unknown")
		}
		return "", subscriber.RemoveNote(tx, d.brand.ID, s.ID, d.User.ID, id)
	})
}

// entrustPerson says who of the team looks after somebody.
func entrustPerson(d *desk) error {
	s, err := d.person()
	if err != nil {
		return err
	}
	err = d.onBehalf("people.carer", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, _ map[string]any) (string, error) {
		id, err := d.colleague(tx, form.text("carer"))
		if err != nil {
			return "", err
		}
		return "", subscriber.Entrust(tx, d.brand.ID, s.ID, id)
	})
	return d.redraw(err, drawPerson(d, s))
}

func untagPerson(d *desk) error {
	return d.onBehalf("people.untag", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, _ map[string]any) (string, error) {
		tag := form.text("tags")
		return tag, subscriber.RemoveTags(tx, d.brand.ID, s.ID, tag)
	})
}

// withdrawFor writes down that somebody took a permission back and told the team
// so. Who of the team it was stands in the evidence.
func withdrawFor(d *desk) error {
	return d.onBehalf("people.withdraw", func(tx *store.Tx, s subscriber.Subscriber, form *Sheet, evidence map[string]any) (string, error) {
		id, err := uuid.Parse(form.Value("topic"))
		if err != nil {
			return "", problem.New(problem.NotFound, "consent.topic.unknown")
		}
		t, err := consent.FindTopic(tx, d.brand.ID, id)
		if err != nil {
			return "", err
		}
		_, err = consent.Withdraw(tx, d.brand, s.ID, []uuid.UUID{t.ID}, consent.MethodOperator, evidence)
		return t.Slug, err
	})
}

// withdrawAllFor is withdrawFor for everything that the person allowed.
func withdrawAllFor(d *desk) error {
	return d.onBehalf("people.withdraw-all", func(tx *store.Tx, s subscriber.Subscriber, _ *Sheet, evidence map[string]any) (string, error) {
		_, err := consent.WithdrawAll(tx, d.brand, s.ID, consent.MethodOperator, evidence)
		return "", err
	})
}

// onBehalf changes something about a person, who stays as they are meanwhile. do
// names what it was done to.
func (d *desk) onBehalf(what string, do func(*store.Tx, subscriber.Subscriber, *Sheet, map[string]any) (string, error)) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change(what, func(tx *store.Tx, form *Sheet) (done, error) {
		s, err := subscriber.Lock(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		name, err := do(tx, s, form, map[string]any{"user": d.User.ID.String()})
		return done{subject: s.ID, next: "/people/" + s.ID.String(), detail: map[string]any{"name": name}}, err
	})
}
