package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
	return []action{
		look("/campaigns", account.Reader, campaigns),
		look("/campaigns/new", account.Marketer, newCampaign),
		act("/campaigns/new", account.Marketer, createCampaign),
		look("/campaigns/:id", account.Reader, showCampaign),
		behind(http.MethodGet, "/campaigns/:id/live", account.Reader, campaignLive),
		look("/campaigns/:id/preview", account.Reader, previewCampaign),
		look("/campaigns/:id/edit", account.Marketer, editCampaign),
		act("/campaigns/:id/edit", account.Marketer, saveCampaign),
		act("/campaigns/:id/copy", account.Marketer, copyCampaign),
		act("/campaigns/:id/pace", account.Marketer, paceCampaign),
		act("/campaigns/:id/test", account.Marketer, testCampaign),
		look("/campaigns/:id/schedule", account.Marketer, askSchedule),
		act("/campaigns/:id/schedule", account.Marketer, scheduleCampaign),
		act("/campaigns/:id/recall", account.Marketer, moveCampaign("recall")),
		act("/campaigns/:id/pause", account.Marketer, moveCampaign("pause")),
		act("/campaigns/:id/resume", account.Marketer, moveCampaign("resume")),
		act("/campaigns/:id/cancel", account.Marketer, moveCampaign("cancel")),
	}
}

// campaignsAtOnce is how many campaigns stand on a page of the list.
const campaignsAtOnce = 25

// CampaignLine is one campaign in the list.
type CampaignLine struct {
	Name, URL   string
	Topic, Tag  string
	State, Tone string
	When        string
	Counted     bool // it has messages, or will have
	Sent, Total int64
}

// Campaigns is the page admin/campaigns: the newest first.
type Campaigns struct {
	Frame
	Campaigns   []CampaignLine
	New         string // address; empty: the visitor may not
	First, Next string
}

func campaigns(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	page := Campaigns{Frame: d.frame("campaigns")}
	err := d.read(func(tx *store.Tx) error {
		found, err := campaign.List(tx, d.brand.ID, before, campaignsAtOnce)
		if err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		counts, err := d.countCampaigns(tx, found)
		if err != nil {
			return err
		}
		for _, c := range found {
			page.Campaigns = append(page.Campaigns, d.campaignLine(c, topics, counts[c.EditionID]))
		}
		if len(found) == campaignsAtOnce {
			page.Next = d.to("/campaigns", "before", found[len(found)-1].ID.String())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != uuid.Nil {
		page.First = d.to("/campaigns")
	}
	if d.may(account.Marketer) {
		page.New = d.to("/campaigns/new")
	}
	return d.draw("campaigns", page)
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

// campaignTones are the colours of the states: what is sent was allowed, what
// is on the way waits.
var campaignTones = map[campaign.State]string{campaign.Scheduled: "ask", campaign.Freezing: "ask", campaign.Sending: "ask",
	campaign.Sent: "yes", campaign.Cancelled: "no"}

func (d *desk) campaignLine(c campaign.Campaign, topics []consent.Topic, n delivery.Counts) CampaignLine {
	return CampaignLine{Name: c.Name, URL: d.to(campaignPath(c)), Topic: topicName(d, topics, c.TopicID), Tag: c.Tag,
		State: d.l.T("admin.campaign.state." + string(c.State)), Tone: campaignTones[c.State], When: d.campaignWhen(c),
		Counted: c.State != campaign.Draft && c.State != campaign.Scheduled, Sent: n.Sent, Total: n.Total}
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

func campaignPath(c campaign.Campaign) string { return "/campaigns/" + c.ID.String() }

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

// drawCampaignForm shows the form with the topics that may be chosen: those
// that are offered, and the one that is chosen already.
func (d *desk) drawCampaignForm(status int, page CampaignForm, s Sheet, chosen uuid.UUID) error {
	err := d.read(func(tx *store.Tx) error {
		all, err := consent.AllTopics(tx, d.brand.ID)
		for _, t := range all {
			if t.Purpose == consent.Marketing && (t.ArchivedAt == nil || t.ID == chosen) {
				page.Topics = append(page.Topics, Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, t := range s.Theirs {
		if at := slices.IndexFunc(page.Topics, func(c Choice) bool { return c.Value == t.Value }); at >= 0 {
			s.Theirs[i].Value = page.Topics[at].Label
		}
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
	return d.redraw(atFields(err), drawNewCampaign(d))
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
	return d.redraw(atFields(err), drawCampaignEdit(d, c, texts))
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
	for _, t := range texts {
		for i, value := range []string{t.Subject, t.Preheader, t.HTML, t.Text} {
			v.Set("content."+t.Language+"."+mailParts[i], value)
		}
	}
	err := d.read(func(tx *store.Tx) error {
		rates, err := delivery.StreamRates(tx, d.brand.ID, c.ID)
		if rates[c.ID] > 0 {
			v.Set("rate_per_hour", strconv.Itoa(rates[c.ID]))
		}
		return err
	})
	return v, err
}

// atFields names the inputs that a problem is told at: a text that is missing
// as a whole is told at its subject, an address of a test at the field of all.
func atFields(err error) error {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return err
	}
	named := *p
	named.Fields = slices.Clone(p.Fields)
	for i, f := range named.Fields {
		parts := strings.Split(f.Name, "/")
		switch {
		case len(parts) == 2 && parts[0] == "content":
			named.Fields[i].Name += "/subject"
		case len(parts) == 2 && parts[0] == "texts":
			named.Fields[i].Name += "/title"
		case parts[0] == "to":
			named.Fields[i].Name = "to"
		}
	}
	return &named
}

// moment is the time of a form: now, or the day and the minute in the brand's zone.
func moment(form url.Values, now time.Time, zone *time.Location) (at time.Time, err error) {
	if form.Get("when") == "now" {
		return now, nil
	}
	wrong := problem.New(problem.Invalid, "problem.invalid")
	y, m, day, ok := i18n.ParseDay(form.Get("day"))
	if !ok {
		wrong.Field("day", "admin.campaign.no-day")
	}
	clock, bad := time.Parse("15:04", i18n.ASCIIDigits(strings.TrimSpace(form.Get("time"))))
	if bad != nil {
		wrong.Field("time", "admin.campaign.no-time")
	}
	if err := wrong.OrNil(); err != nil {
		return at, err
	}
	at = time.Date(y, m, day, clock.Hour(), clock.Minute(), 0, 0, zone)
	if at.Before(now) {
		return at, problem.InvalidField("time", "admin.campaign.past")
	}
	return at, nil
}
