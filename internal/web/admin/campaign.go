package admin

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/tracking"
)

// mailings is what was counted of campaigns and may be shown again.
type mailings struct {
	lists     memo[string, map[uuid.UUID]delivery.Counts]
	audiences memo[audienceKey, campaign.Audience]
	progress  memo[progressKey, progress]
	nobodys   memo[fieldsKey, []string]
}

type audienceKey struct {
	brand, topic uuid.UUID
	tag          string
}

// progressKey names a campaign as it was left by whoever changed it last. Its
// counts and its course are kept as one, and whoever looks sees the same: what is
// drawn adds up with what is said beside it.
type progressKey struct {
	edition uuid.UUID
	changed time.Time
	zone    string // its days are of
}

// progress is how far a campaign has come.
type progress struct {
	Counts  delivery.Counts
	Reasons []delivery.ReasonCount
	Flow    delivery.Flow // of its stream; zero where nothing is on the way
	Tracked tracking.Report
	Shared  tracking.Anonymous
	course
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

	by   string // hours or days: how its course is drawn
	bins []bin  // that are drawn of it
}

// mailing reads a campaign and counts what concerns it, all of it at one moment:
// what a page shows adds up while mails are on their way.
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
			m.Audience, err = d.audience(tx, m.TopicID, m.Tag)
			return err
		}
		began, err := event.StreamBegan(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		m.by = d.courseBy(began)
		m.bins = d.courseBins(began, m.by)
		m.Progress, err = d.h.mailings.progress.of(progressKey{m.EditionID, m.UpdatedAt, d.brand.TimeZone}, func() (progress, error) {
			p, err := progressOf(tx, m.Campaign)
			if err == nil && !began.IsZero() {
				p.course, err = courseOf(tx, m.Campaign, began, d.brand.Location())
			}
			return p, err
		})
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
		if p.Shared, err = tracking.AnonymousOf(tx, c.BrandID, c.ID); err != nil {
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

// ReasonLine is a number of people or mails, and why.
type ReasonLine struct {
	Text string
	N    int64
	Do   string // what one can do about it; may be empty
}

// Rate is a part of a whole, with the interval that it likely lies in where it
// is a sample.
type Rate struct{ Label, Text, Base string }

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
	Acts               []Act

	Draft    bool
	Planned  bool // its audience is counted, and may change
	People   int64
	Out      []ReasonLine
	Checks   *Checks // nil: it is no draft, or the visitor may not act
	Counted  bool
	Counts   States
	Reached  []Rate
	Unseen   string // how many mails are in no rate of opens and clicks; may be empty
	Shared   []Rate // what was counted without telling anybody apart: no rates
	TooFew   bool   // it is not shown, for it could point at somebody
	Course   []Plot // none where nothing was sent yet
	Spans    []Tab  // View is how the course is cut
	Held     []ReasonLine
	Skipped  []ReasonLine
	Failed   []ReasonLine
	Doubtful []ReasonLine
	See      map[string]string // addresses of the mails in a state; empty: the visitor sees no people

	Proof     string // address that saves who got it, by which consent; empty: the visitor sees no people, or nothing was sent
	ProofText string

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

// drawCampaign draws the page of a campaign; with a test that could not be sent
// as it was filled in, or what could not be done.
func (d *desk) drawCampaign(id uuid.UUID, status int, test *Sheet, fault string) error {
	m, err := d.mailing(id)
	if err != nil {
		return err
	}
	page := CampaignPage{Frame: d.frame("campaigns"), Title: m.Name, State: d.l.T("admin.campaign.state." + string(m.State)), Tone: stateTones[string(m.State)],
		When: d.campaignWhen(m.Campaign), Topic: topicName(d, m.Topics, m.TopicID), Tag: m.Tag, Rate: m.Rate, Fault: fault, Draft: m.State == campaign.Draft,
		ZoneName: d.brand.TimeZone, UILang: chosenLanguage(d.c)}
	if m.moves() || m.State == campaign.Draft || m.FinishedAt != nil && d.h.DB.Now().Sub(*m.FinishedAt) < courseHours*time.Hour {
		page.Live = d.to(campaignPath(m.Campaign)+"/live", "seen", fingerprintOf(m), "by", m.by)
	}
	page.Lead, page.More = d.campaignLead(m)
	if page.Draft || m.State == campaign.Scheduled {
		if err := d.planned(m, &page); err != nil {
			return err
		}
	} else {
		d.reported(m, &page)
		d.drawCourse(m, &page)
	}
	if d.mayCheck(m) {
		if page.Checks, err = d.checks(m, d.h.DB.Now()); err != nil {
			return err
		}
	}
	if d.may(account.Marketer) {
		page.Acts = d.campaignActs(m)
		d.paceForm(m, &page)
		d.draftForms(m, test, &page)
	}
	if n := m.Progress.Counts.Sent; n > 0 && d.may(account.Analyst) {
		page.Proof, page.ProofText = d.to(campaignPath(m.Campaign)+"/proof"), d.l.N("admin.campaign.proof-text", n)
	}
	page.Brief, page.Briefed = m.Brief, m.Brief != campaign.Brief{}
	if page.Preview, err = d.preview(m); err != nil {
		return err
	}
	return d.drawAs(status, "campaign", page)
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
	var err error
	page.Out, err = d.leftOut(m.Audience, m.TopicID)
	return err
}

// leftOut are those who have to do with a topic and are not in an audience, by reason.
func (d *desk) leftOut(a campaign.Audience, topic uuid.UUID) (out []ReasonLine, err error) {
	counted, err := d.h.counts.of(d.c.Request().Context(), d.brand.ID)
	if err != nil {
		return nil, err
	}
	for _, why := range slices.SortedFunc(maps.Keys(a.Out), func(x, y string) int {
		return cmp.Or(cmp.Compare(a.Out[y], a.Out[x]), strings.Compare(x, y))
	}) {
		out = append(out, ReasonLine{Text: d.whyOut(why), N: a.Out[why]})
	}
	for _, t := range counted.Topics {
		if t.Topic.ID != topic {
			continue
		}
		if t.Asked > 0 {
			out = append(out, ReasonLine{Text: reason(d.l, consent.ReasonRequested), N: t.Asked})
		}
		if t.Withdrawn > 0 {
			out = append(out, ReasonLine{Text: reason(d.l, consent.ReasonWithdrawn), N: t.Withdrawn})
		}
	}
	return out, nil
}

// audience counts who would get a campaign, and by whoever looks first.
func (d *desk) audience(tx *store.Tx, topic uuid.UUID, tag string) (campaign.Audience, error) {
	return d.h.mailings.audiences.of(audienceKey{d.brand.ID, topic, tag}, func() (campaign.Audience, error) {
		return campaign.AudienceOf(tx, d.brand.ID, topic, tag)
	})
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
	page.Counted, page.See = true, map[string]string{}
	if d.may(account.Analyst) {
		for _, state := range []delivery.State{delivery.Queued, delivery.Skipped, delivery.Failed, delivery.Uncertain} {
			page.See[string(state)] = d.to("/messages", "source", m.EditionID.String(), "state", string(state))
		}
	}
	page.Counts = statesOf(n)
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
	page.Reached = d.reached(m.Progress)
	page.Unseen = d.unseen(m.Progress)
	page.Shared, page.TooFew = d.shared(m.Progress)
	if !m.onTheWay() && n.Settled() {
		return
	}
	for _, why := range slices.Sorted(maps.Keys(m.Progress.Flow.HeldFor)) {
		page.Held = append(page.Held, ReasonLine{Text: d.mailReason(why), N: m.Progress.Flow.HeldFor[why], Do: d.heldAdvice(why)})
	}
}

func statesOf(n delivery.Counts) States {
	return States{Queued: n.Queued, Claimed: n.Claimed, Sent: n.Sent, Failed: n.Failed, Skipped: n.Skipped, Uncertain: n.Uncertain}
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
	for _, r := range []struct {
		key   string
		n, of int64
	}{{"admin.campaign.rate.left", p.Left, p.Counts.Sent}, {"admin.campaign.rate.refused", p.Counts.Failed, p.Counts.Sent + p.Counts.Failed}} {
		if r.of > 0 && r.n <= r.of {
			all = append(all, d.rate(r.key, r.n, r.of))
		}
	}
	return all
}

// unseen says of how many mails opens and clicks cannot be known.
func (d *desk) unseen(p progress) string {
	opens, clicks := p.Tracked.Opens.Untracked(p.Tracked.Sent), p.Tracked.Clicks.Untracked(p.Tracked.Sent)
	if opens+clicks == 0 {
		return ""
	}
	said := d.l.T("admin.campaign.untracked", "Sent", d.l.Number(p.Tracked.Sent), "Opens", d.l.Number(opens), "Clicks", d.l.Number(clicks))
	if d.brand.LastOpenOnly {
		said += " " + d.l.T("admin.campaign.untracked-dated")
	}
	return said
}

// fewest is how many must share what is counted without telling them apart.
const fewest = 10

// shared are the counts of what all share who allow nothing: never parts of a
// whole, for nobody is counted once.
func (d *desk) shared(p progress) (all []Rate, tooFew bool) {
	a := p.Shared
	if a == (tracking.Anonymous{}) {
		return nil, false
	}
	for _, c := range []struct {
		key         string
		n, machines int64
		share       int64
	}{{"opens", a.Opens, a.OpensByMachines, p.Tracked.Opens.Untracked(p.Tracked.Sent)}, {"clicks", a.Clicks, a.ClicksByMachines, p.Tracked.Clicks.Untracked(p.Tracked.Sent)}} {
		if c.share < fewest {
			tooFew = tooFew || c.n > 0
			continue
		}
		all = append(all, Rate{d.l.T("admin.campaign.anonymous." + c.key), d.l.Number(c.n),
			d.l.T("admin.campaign.anonymous-note", "N", d.l.Number(c.n), "Machines", d.l.Number(c.machines))})
	}
	return all, tooFew
}

func (d *desk) percent(n, of int64) string { return d.share(float64(n) / float64(of)) }

// share writes a part of one in percent, with one decimal.
func (d *desk) share(x float64) string {
	tenths := int64(math.Round(x * 1000))
	return d.l.T("admin.campaign.percent", "Whole", tenths/10, "Tenth", tenths%10)
}

// campaignActs are what may be done in its state. A circuit breaker that stops it
// again is another state, though nobody has changed the campaign.
func (d *desk) campaignActs(m mailing) []Act {
	state, stopped := versionOf(m.UpdatedAt), false
	if at := m.Progress.Flow.PausedAt; m.State == campaign.Sending && at != nil {
		state, stopped = state+versionOf(*at), true
	}
	b, n := campaignKind().buttons(d, m.ID, state), m.Progress.Counts
	if m.Recallable {
		b.add("recall", "yes", "")
	}
	switch {
	case m.State == campaign.Paused || stopped:
		b.add("resume", "yes", d.l.N("admin.campaign.ask.resume", n.Queued+n.Claimed))
	case m.State == campaign.Sending || m.State == campaign.Freezing:
		b.add("pause", "", "")
	}
	if m.State != campaign.Draft { // may be copied again: only a second click is the same
		b.add("copy", "", "", versionOf(d.h.DB.Now().Truncate(time.Minute)))
	}
	if m.moves() {
		ask := d.l.T("admin.campaign.ask.cancel-scheduled")
		if m.onTheWay() {
			ask = d.l.N("admin.campaign.ask.cancel", n.Queued+n.Claimed, "Sent", d.l.Number(n.Sent))
		}
		b.add("cancel", "no", ask)
	}
	return b.all
}
