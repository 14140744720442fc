package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

func campaignActions() []action {
	k := campaignKind()
	return []action{
		look("/campaigns", account.Reader, k.list),
		look("/campaigns/new", account.Marketer, newCampaign),
		act("/campaigns/new", account.Marketer, createCampaign),
		look("/campaigns/:id", account.Reader, k.show()),
		behind(http.MethodGet, "/campaigns/:id/live", account.Reader, live((*desk).mailing)),
		look("/campaigns/:id/preview", account.Reader, previewCampaign),
		look("/campaigns/:id/edit", account.Marketer, editCampaign),
		act("/campaigns/:id/edit", account.Marketer, saveCampaign),
		act("/campaigns/:id/copy", account.Marketer, copyCampaign),
		act("/campaigns/:id/pace", account.Marketer, paceCampaign),
		act("/campaigns/:id/test", account.Marketer, testCampaign),
		look("/campaigns/:id/schedule", account.Marketer, askSchedule),
		act("/campaigns/:id/schedule", account.Marketer, scheduleCampaign),
		act("/campaigns/:id/recall", account.Marketer, k.move("recall", campaign.Recall)),
		act("/campaigns/:id/pause", account.Marketer, k.move("pause", campaign.Pause)),
		act("/campaigns/:id/resume", account.Marketer, k.move("resume", resumeCampaign)),
		act("/campaigns/:id/cancel", account.Marketer, k.move("cancel", campaign.Cancel)),
	}
}

var resumeCampaign = goOn(campaign.Lock, func(c campaign.Campaign) bool { return c.State == campaign.Sending }, campaign.Resume,
	problem.New(problem.Conflict, "campaign.state.sending"))

func campaignKind() kind[campaign.Campaign] {
	return kind[campaign.Campaign]{name: "campaign", help: "campaigns", columns: []string{"when", "#sent"}, some: campaign.List,
		of: func(c campaign.Campaign) item {
			return item{ID: c.ID, Topic: c.TopicID, Name: c.Name, Tag: c.Tag, State: string(c.State)}
		},
		cells: func(d *desk, tx *store.Tx, found []campaign.Campaign) (func(campaign.Campaign) []Cell, error) {
			counts, err := d.countCampaigns(tx, found)
			return func(c campaign.Campaign) []Cell {
				n := counts[c.EditionID]
				sent := Cell{Text: d.l.T("admin.campaign.of", "N", d.l.Number(n.Sent), "All", d.l.Number(n.Total))}
				if c.State == campaign.Draft || c.State == campaign.Scheduled {
					sent = Cell{Text: d.l.T("admin.campaign.not-yet"), Soft: true}
				}
				return []Cell{{Text: d.campaignWhen(c)}, sent}
			}, err
		},
		draw: func(d *desk, id uuid.UUID, status int, fault string) error {
			return d.drawCampaign(id, status, nil, fault)
		}}
}

// countCampaigns counts those that have messages. Those on the page are counted
// together, and by whoever looks first.
func (d *desk) countCampaigns(tx *store.Tx, all []campaign.Campaign) (map[uuid.UUID]delivery.Counts, error) {
	var editions []uuid.UUID
	key := ""
	for _, c := range all {
		if c.State != campaign.Draft && c.State != campaign.Scheduled {
			editions = append(editions, c.EditionID)
			key += c.EditionID.String() + versionOf(c.UpdatedAt)
		}
	}
	return d.h.mailings.lists.of(key, func() (map[uuid.UUID]delivery.Counts, error) {
		return delivery.CountsOf(tx, d.brand.ID, editions...)
	})
}

// campaignWhen says what happened last, or will happen next, and when.
func (d *desk) campaignWhen(c campaign.Campaign) string {
	at := c.UpdatedAt
	switch {
	case c.FinishedAt != nil:
		at = *c.FinishedAt
	case c.State != campaign.Draft && c.ScheduledAt != nil:
		at = *c.ScheduledAt
	}
	return d.l.T("admin.campaign.when."+string(c.State), "Time", d.l.DateTime(at, d.brand.Location()))
}

func campaignPath(c campaign.Campaign) string { return campaignKind().path(c.ID) }

func topicName(d *desk, topics []consent.Topic, id uuid.UUID) string {
	i := slices.IndexFunc(topics, func(t consent.Topic) bool { return t.ID == id })
	if i < 0 {
		return ""
	}
	return topics[i].In(d.brand, d.l.Lang()).Name
}

// CampaignForm is the page admin/campaign-form: a new one, or a draft to change.
type CampaignForm struct {
	Frame
	Sheet  Sheet
	Title  string
	Topics []Choice
	Texts  []LanguageFields
	Back   string
	Who    Who
}

// Who is who would get what is filled in now, and who would not.
type Who struct {
	Ask  string // address of the page, which tells it of another topic and tag
	Lead string // empty: there is no topic
	Out  []ReasonLine
}

// who counts it by the topic and tag of the address, else of the form.
func (d *desk) who(s Sheet, topics []Choice) (w Who, err error) {
	if len(topics) == 0 {
		return w, nil
	}
	w.Ask = s.Action
	wanted, tag := s.Value("topic"), s.Value("tag")
	if q := d.c.QueryParams(); q.Has("topic") {
		wanted, tag = d.asked("topic", 64), d.asked("tag", 64)
	}
	topic, err := uuid.Parse(wanted)
	if err != nil || !slices.ContainsFunc(topics, func(c Choice) bool { return c.Value == topic.String() }) {
		topic = uuid.MustParse(topics[0].Value) // as a browser chooses
	}
	var a campaign.Audience
	err = d.read(func(tx *store.Tx) error { a, err = d.audience(tx, topic, strings.TrimSpace(tag)); return err })
	if err != nil {
		return w, err
	}
	w.Lead = d.l.N("admin.campaign.lead.draft", a.People)
	w.Out, err = d.leftOut(a, topic)
	return w, err
}

// mailLanguages are the languages that a mail is written in: the brand's own
// first, then its others, then what there is a text in beside those.
func mailLanguages(b brand.Brand, texts []delivery.Text) (all []LanguageFields) {
	codes := append([]string{b.Language}, b.Languages...)
	for _, t := range texts {
		codes = append(codes, t.Language)
	}
	seen := map[string]bool{}
	for _, code := range codes {
		if seen[code] {
			continue
		}
		seen[code] = true
		field := LanguageFields{Code: code, Name: code, Dir: "auto", First: code == b.Language}
		if slices.Contains(i18n.Languages, code) {
			field.Name, field.Dir = i18n.For(code).T("admin.language"), i18n.For(code).Dir()
		}
		all = append(all, field)
	}
	return all
}

func newCampaign(d *desk) error {
	sheet, err := d.sheet("/campaigns/new", url.Values{}, "")
	if err != nil {
		return err
	}
	return drawNewCampaign(d)(http.StatusOK, sheet)
}

func drawNewCampaign(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := CampaignForm{Title: d.l.T("admin.campaign.new"), Back: d.to("/campaigns"), Texts: mailLanguages(d.brand, nil)}
		return d.drawCampaignForm(status, page, s, uuid.Nil)
	}
}

// mayChoose are the topics that mail may be about: those that are offered, and
// the one that is chosen already.
func (d *desk) mayChoose(chosen uuid.UUID) (topics []Choice, err error) {
	err = d.read(func(tx *store.Tx) error {
		all, err := consent.AllTopics(tx, d.brand.ID)
		for _, t := range all {
			if t.Purpose == consent.Marketing && (t.ArchivedAt == nil || t.ID == chosen) {
				topics = append(topics, Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name})
			}
		}
		return err
	})
	return topics, err
}

// drawCampaignForm shows the form with the topics that may be chosen: those
// that are offered, and the one that is chosen already.
func (d *desk) drawCampaignForm(status int, page CampaignForm, s Sheet, chosen uuid.UUID) error {
	var err error
	if page.Topics, err = d.mayChoose(chosen); err != nil {
		return err
	}
	s.labelTheirs(page.Topics)
	if page.Who, err = d.who(s, page.Topics); err != nil {
		return err
	}
	page.Frame, page.Sheet = d.frame("campaigns"), s
	return d.drawAs(status, "campaign-form", page)
}

func createCampaign(d *desk) error {
	err := d.change("campaign.create", func(tx *store.Tx, form *Sheet) (done, error) {
		n, wrong := campaignOf(form)
		if wrong != nil {
			return done{}, wrong
		}
		c, err := campaign.Create(tx, d.brand, n)
		return done{subject: c.ID, next: campaignPath(c), detail: map[string]any{"name": c.Name}}, err
	})
	return d.redraw(d.atFields(err), drawNewCampaign(d))
}

// campaign is the one that the address names, with its texts.
func (d *desk) campaign() (c campaign.Campaign, texts []delivery.Text, err error) {
	id, err := d.id("id")
	if err != nil {
		return c, nil, err
	}
	err = d.read(func(tx *store.Tx) error {
		if c, err = campaign.Find(tx, d.brand.ID, id); err != nil {
			return err
		}
		texts, err = delivery.Contents(tx, d.brand.ID, c.ContentID)
		return err
	})
	return c, texts, err
}

// editCampaign shows a draft to change; what is no draft any more, its page.
func editCampaign(d *desk) error {
	c, texts, err := d.campaign()
	if err != nil {
		return err
	}
	if c.State != campaign.Draft {
		return web.SeeOther(d.c, d.to(campaignPath(c)))
	}
	stored, err := d.campaignValues(c, texts)
	if err != nil {
		return err
	}
	sheet, err := d.sheet(campaignPath(c)+"/edit", stored, versionOf(c.UpdatedAt))
	if err != nil {
		return err
	}
	return drawCampaignEdit(d, c, texts)(http.StatusOK, sheet)
}

func drawCampaignEdit(d *desk, c campaign.Campaign, texts []delivery.Text) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := CampaignForm{Title: c.Name, Back: d.to(campaignPath(c)), Texts: mailLanguages(d.brand, texts)}
		if s.Changed {
			stored, err := d.campaignValues(c, texts)
			if err != nil {
				return err
			}
			s.Version = versionOf(c.UpdatedAt)
			s.Theirs = d.theirs(stored, s.Values, "admin.campaign.field.")
		}
		return d.drawCampaignForm(status, page, s, c.TopicID)
	}
}

func saveCampaign(d *desk) error {
	c, texts, err := d.campaign()
	if err != nil {
		return err
	}
	err = d.change("campaign.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := campaign.Lock(tx, d.brand.ID, c.ID)
		if err != nil {
			return done{}, err
		}
		if form.current(now.UpdatedAt) != nil && now.State == campaign.Draft {
			c = now
			if texts, err = delivery.Contents(tx, d.brand.ID, c.ContentID); err != nil {
				return done{}, err
			}
			return done{}, errChanged()
		}
		n, wrong := campaignOf(form)
		if wrong != nil {
			return done{}, wrong
		}
		_, err = campaign.Update(tx, d.brand, c.ID, campaign.Change{Name: &n.Name, Topic: &n.Topic, Tag: &n.Tag, RatePerHour: &n.RatePerHour, Brief: &n.Brief, Texts: n.Texts})
		return done{subject: c.ID, next: campaignPath(c), detail: map[string]any{"name": n.Name}}, err
	})
	return d.redraw(d.atFields(err), drawCampaignEdit(d, c, texts))
}

// Lengths of the parts of a mail, in characters, as the API takes them.
var partMost = map[string]int{"subject": 998, "preheader": 500, "html": 500_000, "text": 500_000}

// mailParts are the fields of a mail in one language, in their order.
var mailParts = []string{"subject", "preheader", "html", "text"}

// campaignOf reads the fields of a campaign.
func campaignOf(form *Sheet) (n campaign.New, err error) {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	n.Name, n.Tag, n.RatePerHour = form.text("name"), form.text("tag"), form.whole("rate_per_hour", wrong)
	n.Topic, _ = uuid.Parse(form.Value("topic"))
	n.Brief = campaign.Brief{Audience: form.text("brief.audience"), Pledge: form.text("brief.pledge"), Reason: form.text("brief.reason")}
	n.Texts = textsIn(form, "content.", wrong)
	return n, wrong.OrNil()
}

func (d *desk) campaignValues(c campaign.Campaign, texts []delivery.Text) (url.Values, error) {
	v := url.Values{"name": {c.Name}, "topic": {c.TopicID.String()}, "tag": {c.Tag},
		"brief.audience": {c.Brief.Audience}, "brief.pledge": {c.Brief.Pledge}, "brief.reason": {c.Brief.Reason}}
	putMail(v, texts)
	err := d.read(func(tx *store.Tx) error {
		rates, err := delivery.StreamRates(tx, d.brand.ID, c.ID)
		if rates[c.ID] > 0 {
			v.Set("rate_per_hour", strconv.Itoa(rates[c.ID]))
		}
		return err
	})
	return v, err
}

// atFields names the inputs that a problem is told at: one of a mail where
// mailField says, words that are missing as a whole at their title, an address
// of a test at the field of all.
func (d *desk) atFields(err error) error {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return err
	}
	named := *p
	named.Fields = slices.Clone(p.Fields)
	for i, f := range named.Fields {
		switch parts := strings.Split(f.Name, "/"); {
		case parts[0] == "content":
			named.Fields[i].Name = d.mailField(f.Name)
		case len(parts) == 2 && parts[0] == "texts":
			named.Fields[i].Name += "/title"
		case parts[0] == "to":
			named.Fields[i].Name = "to"
		}
	}
	return &named
}
