package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/campaign"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// draftForms are what a draft is tried and scheduled with.
func (d *desk) draftForms(m mailing, test *Sheet, page *CampaignPage) {
	path := d.to(campaignPath(m.Campaign))
	if page.Draft {
		page.Edit = d.to(campaignPath(m.Campaign) + "/edit")
		tomorrow := d.h.DB.Now().AddDate(0, 0, 1)
		page.Schedule = &Sheet{Action: d.to(campaignPath(m.Campaign) + "/schedule"), Values: url.Values{"when": {"later"},
			"day": {d.l.Day(tomorrow, d.brand.Location())}, "time": {d.l.Digits("09:00")}}}
		page.Whens = d.whens()
	}
	if page.Test = test; test == nil {
		to := d.to(campaignPath(m.Campaign) + "/test")
		page.Test = &Sheet{Action: to, Page: strings.Split(path, "?")[0] + "/test", Once: store.NewID(d.h.DB.Now()),
			Values: url.Values{"to": {d.User.Email}, "language": {d.brand.Language}}}
	}
	for _, t := range mailLanguages(d.brand, m.Texts) {
		if slices.ContainsFunc(m.Texts, func(x delivery.Text) bool { return x.Language == t.Code }) {
			page.Speaks = append(page.Speaks, Choice{Value: t.Code, Label: t.Name})
		}
	}
}

func (d *desk) whens() []Choice {
	return []Choice{{"later", d.l.T("admin.campaign.later"), ""}, {"now", d.l.T("admin.campaign.now"), d.l.T("admin.campaign.now-hint")}}
}

// SchedulePage is the page admin/campaign-schedule: what will happen, before it does.
type SchedulePage struct {
	Frame
	Title    string
	Lead     string // who gets it when; empty: the time has to be mended first
	More     string
	Sheet    Sheet
	Whens    []Choice
	Ask      string // address to ask with another time
	Back     string
	Out      []ReasonLine
	Checks   *Checks
	People   int64
	ZoneName string
	UILang   string
}

// askSchedule says what will happen at the time of the address.
func askSchedule(d *desk) error {
	return d.drawSchedule(http.StatusOK, Sheet{Values: d.c.QueryParams()})
}

func (d *desk) drawSchedule(status int, s Sheet) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	m, err := d.mailing(id)
	if err != nil {
		return err
	}
	if m.State != campaign.Draft {
		return web.SeeOther(d.c, d.to(campaignPath(m.Campaign)))
	}
	path := campaignPath(m.Campaign)
	page := SchedulePage{Frame: d.frame("campaigns"), Title: m.Name, Whens: d.whens(), Ask: d.to(path + "/schedule"), Back: d.to(path),
		ZoneName: d.brand.TimeZone, UILang: chosenLanguage(d.c)}
	s.Action, s.Page = d.to(path+"/schedule"), d.c.Request().URL.Path
	s.Once, s.Version, s.Drafts, s.Changed = store.NewID(d.h.DB.Now()), versionOf(m.UpdatedAt), "", false
	at, wrong := moment(s.Values, d.h.DB.Now(), d.brand.Location())
	if p, ok := problem.Of(wrong); ok {
		s.Faults = nil
		for _, f := range p.Fields {
			s.Faults = append(s.Faults, Fault{f.Name, d.l.T(f.Key, f.Args...)})
		}
		status = http.StatusUnprocessableEntity
		page.Sheet = s
		return d.drawAs(status, "campaign-schedule", page)
	}
	var filled CampaignPage
	if err := d.planned(m, &filled); err != nil {
		return err
	}
	page.People, page.Out = filled.People, filled.Out
	if page.Checks, err = d.checks(m, at); err != nil {
		return err
	}
	zone := d.brand.Location()
	key := "admin.campaign.will-get"
	if s.Values.Get("when") == "now" {
		key = "admin.campaign.will-get-now"
	}
	page.Lead = d.l.N(key, page.People, "Time", d.l.Time(at, zone), "Date", d.l.Date(at, zone))
	page.More = d.l.T("admin.campaign.more.before")
	page.Sheet = s
	return d.drawAs(status, "campaign-schedule", page)
}

func scheduleCampaign(d *desk) error {
	c, _, err := d.campaign()
	if err != nil {
		return err
	}
	err = d.change("campaign.schedule", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := campaign.Lock(tx, d.brand.ID, c.ID)
		if err != nil {
			return done{}, err
		}
		if now.State == campaign.Draft && form.current(now.UpdatedAt) != nil {
			return done{}, problem.New(problem.Conflict, "admin.campaign.changed-since")
		}
		at, err := moment(form.Values, tx.Now(), d.brand.Location())
		if err != nil {
			return done{}, err
		}
		_, err = campaign.Schedule(tx, d.brand.ID, c.ID, at)
		return done{subject: c.ID, next: campaignPath(c), detail: map[string]any{"name": c.Name}}, err
	})
	return d.redraw(err, d.drawSchedule)
}

// paceForm is how the pace of what is on its way, or will be, is changed.
func (d *desk) paceForm(m mailing, page *CampaignPage) {
	if !m.moves() {
		return
	}
	to := d.to(campaignPath(m.Campaign) + "/pace")
	page.Pace = &Sheet{Action: to, Page: strings.Split(to, "?")[0], Once: store.NewID(d.h.DB.Now()), Values: url.Values{}}
	if m.Rate > 0 {
		page.Pace.Values.Set("rate_per_hour", d.l.Digits(strconv.Itoa(m.Rate)))
	}
}

// paceCampaign changes how fast it goes.
func paceCampaign(d *desk) error {
	return ofID(func(d *desk, id uuid.UUID) error {
		return campaignKind().change(d, id, "pace", func(tx *store.Tx, form *Sheet) (done, error) {
			wrong := problem.New(problem.Invalid, "problem.invalid")
			rate := form.whole("rate_per_hour", wrong)
			if err := wrong.OrNil(); err != nil {
				return done{}, err
			}
			c, err := campaign.Update(tx, d.brand, id, campaign.Change{RatePerHour: &rate})
			return done{detail: map[string]any{"name": c.Name, "rate_per_hour": rate}}, err
		})
	})(d)
}

// copyCampaign begins a new one from one there is.
func copyCampaign(d *desk) error {
	return ofID(func(d *desk, id uuid.UUID) error {
		return campaignKind().change(d, id, "copy", func(tx *store.Tx, _ *Sheet) (done, error) {
			c, err := campaign.Find(tx, d.brand.ID, id)
			if err != nil {
				return done{}, err
			}
			name := []rune(d.l.T("admin.campaign.copy-name", "Name", c.Name))
			made, err := campaign.Copy(tx, d.brand, id, string(name[:min(len(name), 200)]))
			return done{subject: made.ID, next: campaignPath(made) + "/edit", detail: map[string]any{"name": c.Name}}, err
		})
	})(d)
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
