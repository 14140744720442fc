package admin

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/tracking"
	"assent/internal/web"
)

// mailings is what was counted of campaigns and may be shown again.
type mailings struct {
	lists     memo[string, map[uuid.UUID]delivery.Counts]
	audiences memo[audienceKey, campaign.Audience]
	progress  memo[progressKey, progress]
}

type audienceKey struct {
	brand, topic uuid.UUID
	tag          string
}

// progressKey names a campaign as it was left by whoever changed it last.
type progressKey struct {
	edition uuid.UUID
	changed time.Time
}

// progress is how far a campaign has come.
type progress struct {
	Counts  delivery.Counts
	Reasons []delivery.ReasonCount
	Flow    delivery.Flow // of its stream; zero where nothing is on the way
	Tracked tracking.Report
}

// mailing is a campaign as its page shows it.
type mailing struct {
	campaign.Campaign
	Texts      []delivery.Text
	Topics     []consent.Topic
	Rate       int
	Audience   campaign.Audience // before it is frozen
	Progress   progress          // after
	Recallable bool
}

// mailing reads a campaign and counts what concerns it.
func (d *desk) mailing(id uuid.UUID) (m mailing, err error) {
	err = d.read(func(tx *store.Tx) error {
		if m.Campaign, err = campaign.Find(tx, d.brand.ID, id); err != nil {
			return err
		}
		if m.Texts, err = delivery.Contents(tx, d.brand.ID, m.ContentID); err != nil {
			return err
		}
		if m.Topics, err = consent.AllTopics(tx, d.brand.ID); err != nil {
			return err
		}
		rates, err := delivery.StreamRates(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		m.Rate = rates[id]
		m.Recallable = m.State == campaign.Scheduled || m.onTheWay() && m.RecallUntil != nil && tx.Now().Before(*m.RecallUntil)
		if m.State == campaign.Draft || m.State == campaign.Scheduled {
			m.Audience, err = d.h.mailings.audiences.of(audienceKey{d.brand.ID, m.TopicID, m.Tag}, func() (campaign.Audience, error) {
				return campaign.AudienceOf(tx, d.brand.ID, m.TopicID, m.Tag)
			})
			return err
		}
		m.Progress, err = d.h.mailings.progress.of(progressKey{m.EditionID, m.UpdatedAt}, func() (progress, error) { return progressOf(tx, m.Campaign) })
		return err
	})
	return m, err
}

func (m mailing) onTheWay() bool {
	return m.State == campaign.Freezing || m.State == campaign.Sending || m.State == campaign.Paused
}

// moves: it changes by itself.
func (m mailing) moves() bool { return m.onTheWay() || m.State == campaign.Scheduled }

func progressOf(tx *store.Tx, c campaign.Campaign) (p progress, err error) {
	if p.Counts, err = delivery.SourceCounts(tx, c.BrandID, c.EditionID); err != nil {
		return p, err
	}
	if p.Reasons, err = delivery.Reasons(tx, c.BrandID, c.EditionID); err != nil {
		return p, err
	}
	if p.Counts.Sent > 0 {
		if p.Tracked, err = tracking.Stats(tx, c.BrandID, c.EditionID); err != nil {
			return p, err
		}
	}
	if p.Counts.Settled() && c.State != campaign.Freezing && c.State != campaign.Sending {
		return p, nil
	}
	flows, err := delivery.Flows(tx, c.BrandID)
	if i := slices.IndexFunc(flows, func(f delivery.Flow) bool { return f.ID == c.ID }); i >= 0 {
		p.Flow = flows[i]
		p.Flow.Oldest = nil
	}
	return p, err
}

// fingerprint names what is shown of it.
func (m mailing) fingerprint() string { return fingerprintOf(m) }

// campaignLive tells a campaign's page that it is out of date.
func campaignLive(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.watch(func() (string, error) {
		m, err := d.mailing(id)
		return m.fingerprint(), err
	})
}

// ReasonLine is a number of people or mails, and why.
type ReasonLine struct {
	Text string
	N    int64
	Do   string // what one can do about it; may be empty
}

// CampaignAct is something that may be done with it now.
type CampaignAct struct {
	ID, Label, To, Tone, Ask string
	Sheet                    Sheet
}

// Rate is a part of a whole, with the interval that it likely lies in where it
// is a sample.
type Rate struct{ Label, Text, Base string }

// Preview is the mail in one language.
type Preview struct {
	Tabs               []Tab // View is the language
	Subject, Preheader string
	Dir, Lang          string
	HTML               string // address
	To                 string // address to ask for another reader at; empty: the visitor sees no people
	Pick               string // address that finds them as one types
	As                 string // the address typed
	For                string // whose values stand in it; empty: nobody's
	Unknown            bool   // nobody has the address typed
	Readers            []string
	Wrong              string // why it cannot be drawn; may be empty
}

// CampaignPage is the page admin/campaign.
type CampaignPage struct {
	Frame
	Title, State, Tone string
	When               string
	Topic, Tag         string
	Rate               int
	Lead, More         string // the answer, and what follows from it
	Fault              string
	Edit               string
	Live               string
	Acts               []CampaignAct

	Draft    bool
	Planned  bool // its audience is counted, and may change
	People   int64
	Out      []ReasonLine
	Counted  bool
	Counts   States
	Reached  []Rate
	Held     []ReasonLine
	Skipped  []ReasonLine
	Failed   []ReasonLine
	Doubtful []ReasonLine

	Brief   campaign.Brief
	Briefed bool // somebody wrote one
	Preview Preview
	Pace    *Sheet // nil: it cannot be changed here

	Test     *Sheet // nil: the visitor may not
	Speaks   []Choice
	Schedule *Sheet
	Whens    []Choice
	ZoneName string
	UILang   string // chosen for this page; may be empty
}

func showCampaign(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.drawCampaign(id, http.StatusOK, nil, "")
}

// drawCampaign draws the page of a campaign; with a test that could not be sent
// as it was filled in, or what could not be done.
func (d *desk) drawCampaign(id uuid.UUID, status int, test *Sheet, fault string) error {
	m, err := d.mailing(id)
	if err != nil {
		return err
	}
	page := CampaignPage{Frame: d.frame("campaigns"), Title: m.Name, State: d.l.T("admin.campaign.state." + string(m.State)), Tone: campaignTones[m.State],
		When: d.campaignWhen(m.Campaign), Topic: topicName(d, m.Topics, m.TopicID), Tag: m.Tag, Rate: m.Rate, Fault: fault, Draft: m.State == campaign.Draft,
		ZoneName: d.brand.TimeZone, UILang: chosenLanguage(d.c)}
	if m.moves() {
		page.Live = d.to(campaignPath(m.Campaign)+"/live", "seen", m.fingerprint())
	}
	page.Lead, page.More = d.campaignLead(m)
	if page.Draft || m.State == campaign.Scheduled {
		if err := d.planned(m, &page); err != nil {
			return err
		}
	} else {
		d.reported(m, &page)
	}
	if d.may(account.Marketer) {
		page.Acts = d.campaignActs(m)
		d.paceForm(m, &page)
		d.draftForms(m, test, &page)
	}
	page.Brief, page.Briefed = m.Brief, m.Brief != campaign.Brief{}
	if page.Preview, err = d.preview(m); err != nil {
		return err
	}
	return d.drawAs(status, "campaign", page)
}

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

// campaignLead is what the page begins with.
func (d *desk) campaignLead(m mailing) (lead, more string) {
	zone, n := d.brand.Location(), m.Progress.Counts
	key := "admin.campaign.lead." + string(m.State)
	switch m.State {
	case campaign.Draft:
		lead = d.l.N(key, m.Audience.People)
	case campaign.Scheduled:
		lead = d.l.N(key, m.Audience.People, "Time", d.l.DateTime(*m.ScheduledAt, zone))
		more = d.l.T("admin.campaign.more.scheduled")
	default:
		lead = d.l.N(key, n.Total, "Sent", d.l.Number(n.Sent))
	}
	switch {
	case m.onTheWay() && m.Recallable:
		more = d.l.T("admin.campaign.more.recall", "Time", d.l.Time(*m.RecallUntil, zone))
	case m.State == campaign.Sending && m.Progress.Flow.PausedFor != "":
		more = d.l.T("admin.campaign.more.stopped", "Why", reason(d.l, m.Progress.Flow.PausedFor))
	case m.State == campaign.Paused:
		more = d.l.T("admin.campaign.more.paused")
	case m.State == campaign.Cancelled && n.Queued+n.Claimed > 0:
		more = d.l.N("admin.campaign.more.cancelled", n.Queued+n.Claimed)
	}
	return lead, more
}

// planned fills in who would get it, and who of the topic not.
func (d *desk) planned(m mailing, page *CampaignPage) error {
	page.Planned, page.People = true, m.Audience.People
	counted, err := d.h.counts.of(d.c.Request().Context(), d.brand.ID)
	if err != nil {
		return err
	}
	for _, why := range slices.SortedFunc(maps.Keys(m.Audience.Out), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.Audience.Out[b], m.Audience.Out[a]), strings.Compare(a, b))
	}) {
		page.Out = append(page.Out, ReasonLine{Text: d.whyOut(why), N: m.Audience.Out[why]})
	}
	for _, t := range counted.Topics {
		if t.Topic.ID != m.TopicID {
			continue
		}
		if t.Asked > 0 {
			page.Out = append(page.Out, ReasonLine{Text: reason(d.l, consent.ReasonRequested), N: t.Asked})
		}
		if t.Withdrawn > 0 {
			page.Out = append(page.Out, ReasonLine{Text: reason(d.l, consent.ReasonWithdrawn), N: t.Withdrawn})
		}
	}
	return nil
}

// whyOut is a reason of an audience in words.
func (d *desk) whyOut(why string) string {
	if why == campaign.ReasonTag {
		return d.l.T("admin.campaign.no-tag")
	}
	return reason(d.l, why)
}

// reported fills in what became of the mails.
func (d *desk) reported(m mailing, page *CampaignPage) {
	n := m.Progress.Counts
	page.Counted = true
	page.Counts = States{Queued: n.Queued, Claimed: n.Claimed, Sent: n.Sent, Failed: n.Failed, Skipped: n.Skipped, Uncertain: n.Uncertain}
	for _, r := range m.Progress.Reasons {
		line := ReasonLine{Text: d.mailReason(r.Reason), N: r.N}
		switch r.State {
		case delivery.Skipped:
			page.Skipped = append(page.Skipped, line)
		case delivery.Failed:
			page.Failed = append(page.Failed, line)
		case delivery.Uncertain:
			page.Doubtful = append(page.Doubtful, line)
		}
	}
	if !m.onTheWay() && n.Settled() {
		page.Reached = d.reached(m.Progress)
		return
	}
	for _, why := range slices.Sorted(maps.Keys(m.Progress.Flow.HeldFor)) {
		page.Held = append(page.Held, ReasonLine{Text: d.mailReason(why), N: m.Progress.Flow.HeldFor[why], Do: d.heldAdvice(why)})
	}
	page.Reached = d.reached(m.Progress)
}

// mailReason is the reason of a message in words; one that nobody gave is told as such.
func (d *desk) mailReason(why string) string {
	if why == "" {
		return d.l.T("admin.campaign.no-reason")
	}
	if key := "admin.campaign.held." + slug(why); d.l.Has(key) {
		return d.l.T(key)
	}
	return reason(d.l, why)
}

func (d *desk) heldAdvice(why string) string {
	if key := "admin.campaign.held-do." + slug(why); d.l.Has(key) {
		return d.l.T(key)
	}
	return ""
}

// reached are the rates of a report: of what was sent, and of those who let
// themselves be observed.
func (d *desk) reached(p progress) (all []Rate) {
	if p.Counts.Total > 0 {
		all = append(all, Rate{d.l.T("admin.campaign.rate.sent"), d.percent(p.Counts.Sent, p.Counts.Total),
			d.l.T("admin.campaign.of", "N", d.l.Number(p.Counts.Sent), "All", d.l.Number(p.Counts.Total))})
	}
	for _, f := range []struct {
		key string
		tracking.Figures
	}{{"admin.campaign.rate.opened", p.Tracked.Opens}, {"admin.campaign.rate.clicked", p.Tracked.Clicks}} {
		if f.Tracked == 0 {
			continue
		}
		low, high := delivery.Interval(f.UniqueHuman, f.Tracked)
		all = append(all, Rate{d.l.T(f.key), d.percent(f.UniqueHuman, f.Tracked), d.l.T("admin.campaign.of-tracked",
			"N", d.l.Number(f.UniqueHuman), "All", d.l.Number(f.Tracked), "Low", d.share(low), "High", d.share(high))})
	}
	return all
}

func (d *desk) percent(n, of int64) string { return d.share(float64(n) / float64(of)) }

// share writes a part of one in percent, with one decimal.
func (d *desk) share(x float64) string {
	tenths := int64(math.Round(x * 1000))
	return d.l.T("admin.campaign.percent", "Whole", tenths/10, "Tenth", tenths%10)
}

// campaignActs are what may be done in its state. A form's mark is that of the
// state it was shown in: sent twice it is done once, and the page of a campaign
// that only counts on stays as it is. A circuit breaker that stops it again is
// another state, though nobody has changed the campaign.
func (d *desk) campaignActs(m mailing) (all []CampaignAct) {
	stopped := ""
	if at := m.Progress.Flow.PausedAt; m.State == campaign.Sending && at != nil {
		stopped = versionOf(*at)
	}
	add := func(what, tone, ask string) {
		to := d.to(campaignPath(m.Campaign) + "/" + what)
		seed := what + m.ID.String() + versionOf(m.UpdatedAt) + stopped
		if what == "copy" { // may be done again: only a second click is the same
			seed += versionOf(d.h.DB.Now().Truncate(time.Minute))
		}
		once := uuid.NewSHA1(d.User.ID, []byte(seed))
		all = append(all, CampaignAct{ID: "act-" + what, Label: d.l.T("admin.campaign.do." + what), To: to, Tone: tone, Ask: ask,
			Sheet: Sheet{Action: to, Page: strings.Split(to, "?")[0], Once: once, Version: versionOf(m.UpdatedAt)}})
	}
	n := m.Progress.Counts
	if m.Recallable {
		add("recall", "yes", "")
	}
	switch {
	case m.State == campaign.Paused || stopped != "":
		add("resume", "yes", d.l.N("admin.campaign.ask.resume", n.Queued+n.Claimed))
	case m.State == campaign.Sending || m.State == campaign.Freezing:
		add("pause", "", "")
	}
	if m.State != campaign.Draft {
		add("copy", "", "")
	}
	if m.moves() {
		ask := d.l.T("admin.campaign.ask.cancel-scheduled")
		if m.onTheWay() {
			ask = d.l.N("admin.campaign.ask.cancel", n.Queued+n.Claimed, "Sent", d.l.Number(n.Sent))
		}
		add("cancel", "no", ask)
	}
	return all
}

// moveCampaign takes it from state to state.
func moveCampaign(what string) func(*desk) error {
	do := map[string]func(*store.Tx, uuid.UUID, uuid.UUID) (campaign.Campaign, error){
		"recall": campaign.Recall, "pause": campaign.Pause, "resume": resume, "cancel": campaign.Cancel}[what]
	return func(d *desk) error {
		id, err := d.id("id")
		if err != nil {
			return err
		}
		err = d.change("campaign."+what, func(tx *store.Tx, _ *Sheet) (done, error) {
			c, err := do(tx, d.brand.ID, id)
			return done{subject: id, next: "/campaigns/" + id.String(), detail: map[string]any{"name": c.Name}}, err
		})
		return d.redraw(err, func(status int, s Sheet) error { return d.drawCampaign(id, status, nil, s.Fault) })
	}
}

// resume goes on with what a person stopped, or a circuit breaker.
func resume(tx *store.Tx, brandID, id uuid.UUID) (campaign.Campaign, error) {
	c, err := campaign.Lock(tx, brandID, id)
	if err != nil || c.State != campaign.Sending {
		if err != nil {
			return c, err
		}
		return campaign.Resume(tx, brandID, id)
	}
	stream, err := delivery.FindStream(tx, brandID, id)
	if err != nil {
		return c, err
	}
	if stream.PausedAt == nil {
		return c, problem.New(problem.Conflict, "campaign.state.sending")
	}
	return c, delivery.ResumeStream(tx, brandID, id)
}

func testCampaign(d *desk) error {
	c, _, err := d.campaign()
	if err != nil {
		return err
	}
	err = d.change("campaign.test", func(tx *store.Tx, form *Sheet) (done, error) {
		to := strings.FieldsFunc(form.Value("to"), func(r rune) bool { return strings.ContainsRune(",;،؛ \t\r\n", r) })
		err := campaign.Test(tx, d.brand.ID, c.ID, form.Value("language"), to, func(address string) (bool, error) {
			return account.OfTheTeam(tx, d.brand.ID, address)
		})
		return done{subject: c.ID, next: campaignPath(c), detail: map[string]any{"name": c.Name}}, err
	})
	return d.redraw(atFields(err), func(status int, s Sheet) error {
		s.Drafts = ""
		return d.drawCampaign(c.ID, status, &s, "")
	})
}

// sample is somebody who is nobody, to show a mail with.
func sample(language string) subscriber.Subscriber {
	return subscriber.Subscriber{Name: i18n.For(language).T("admin.campaign.sample-name"), Email: "sample@example.org", Language: language}
}

// preview tells how the mail looks; with the values of who has the address of
// ?as=, where the visitor may see people, and in that person's language.
func (d *desk) preview(m mailing) (Preview, error) {
	var who Preview
	s := delivery.Sample{TopicID: m.TopicID, ContentID: m.ContentID}
	if d.may(account.Analyst) {
		who.To, who.As = brandPath+d.brand.Slug+campaignPath(m.Campaign), d.asked("as", 320)
		person, found, err := d.reader(m, &who)
		if err != nil {
			return who, err
		}
		if found {
			s.Person, s.Language = person, person.Language
		}
	}
	p := d.previewOf(m.Texts, s, func(in string) string { return d.to(campaignPath(m.Campaign), "in", in, "as", who.As) },
		func(in string) string {
			pairs := []string{"in", in, "of", m.ContentID.String()}
			if s.Person.ID != uuid.Nil {
				pairs = append(pairs, "as", s.Person.ID.String())
			}
			return d.to(campaignPath(m.Campaign)+"/preview", pairs...)
		})
	p.Pick = d.to("/pick/people")
	p.To, p.As, p.For, p.Unknown, p.Readers = who.To, who.As, who.For, who.Unknown, who.Readers
	return p, nil
}

// readersAtOnce is how many people are offered to see a mail as.
const readersAtOnce = 8

// reader is who has the address that was typed, and who might be typed.
func (d *desk) reader(m mailing, p *Preview) (s subscriber.Subscriber, found bool, err error) {
	err = d.read(func(tx *store.Tx) error {
		var err error
		if p.Readers, err = consent.NewestReaders(tx, d.brand.ID, m.TopicID, m.Tag, readersAtOnce); err != nil || p.As == "" {
			return err
		}
		p.Unknown = true
		a, err := subscriber.ParseAddress(p.As)
		if err != nil {
			return nil // told as unknown
		}
		s, err = subscriber.ByAddress(tx, d.brand, a)
		if problem.Is(err, problem.NotFound) {
			return nil
		}
		found, p.Unknown, p.For = err == nil, false, cmp.Or(s.Name, s.Email)
		return err
	})
	return s, found, err
}

// previewCampaign is the mail's own HTML, fenced in.
func previewCampaign(d *desk) error {
	c, _, err := d.campaign()
	if err != nil {
		return err
	}
	in := d.c.QueryParam("in")
	person := sample(in)
	if as, err := uuid.Parse(d.c.QueryParam("as")); err == nil && d.may(account.Analyst) {
		if err := d.read(func(tx *store.Tx) error { person, err = subscriber.Find(tx, d.brand.ID, as); return err }); err != nil {
			return err
		}
	}
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), delivery.Sample{BrandID: d.brand.ID, TopicID: c.TopicID, ContentID: c.ContentID, Language: in, Person: person})
	if err != nil {
		return err
	}
	return web.Mail(d.c, string(shown.HTML))
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
	id, err := d.id("id")
	if err != nil {
		return err
	}
	err = d.change("campaign.pace", func(tx *store.Tx, form *Sheet) (done, error) {
		wrong := problem.New(problem.Invalid, "problem.invalid")
		rate := form.whole("rate_per_hour", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, err
		}
		c, err := campaign.Update(tx, d.brand, id, campaign.Change{RatePerHour: &rate})
		return done{subject: id, next: "/campaigns/" + id.String(), detail: map[string]any{"name": c.Name, "rate_per_hour": rate}}, err
	})
	return d.redraw(err, func(status int, s Sheet) error {
		fault := s.Fault
		for _, f := range s.Faults {
			fault = f.Text
		}
		return d.drawCampaign(id, status, nil, fault)
	})
}

// copyCampaign begins a new one from one there is.
func copyCampaign(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	err = d.change("campaign.copy", func(tx *store.Tx, _ *Sheet) (done, error) {
		c, err := campaign.Find(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		name := []rune(d.l.T("admin.campaign.copy-name", "Name", c.Name))
		made, err := campaign.Copy(tx, d.brand, id, string(name[:min(len(name), 200)]))
		return done{subject: made.ID, next: campaignPath(made) + "/edit", detail: map[string]any{"name": c.Name}}, err
	})
	return d.redraw(err, func(status int, s Sheet) error { return d.drawCampaign(id, status, nil, s.Fault) })
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
