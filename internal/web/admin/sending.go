package admin

import (
	"math"
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
	"assent/internal/delivery"
	"assent/internal/delivery/throttle"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/web"
)

func sendingActions() []action {
	return []action{
		look("/sending", account.Marketer, sending),
		behind(http.MethodGet, "/sending/live", account.Marketer, sendingLive),
		look("/sending/test", account.Marketer, askTrial),
		act("/sending/test", account.Marketer, tryMail),
		look("/sending/domain", account.Marketer, askDomain),
		act("/sending/domain", account.Marketer, checkDomain),
		act("/sending/streams/:id/pause", account.Marketer, moveStream("pause")),
		act("/sending/streams/:id/resume", account.Marketer, moveStream("resume")),
		act("/sending/streams/:id/priority", account.Marketer, rankStream),
		act("/sending/rate", account.Owner, setRate),
		act("/sending/warm-up/start", account.Owner, startWarmUp),
		act("/sending/warm-up/stop", account.Owner, stopWarmUp),
		act("/sending/dkim", account.Owner, makeDKIMKey),
		act("/sending/dkim/:id/check", account.Marketer, checkKey),
		act("/sending/dkim/:id/activate", account.Owner, activateKey),
		act("/sending/dkim/:id/retire", account.Owner, retireKey),
		act("/sending/dkim/:id/remove", account.Owner, removeKey),
	}
}

// WayLine is a way that mail leaves by.
type WayLine struct {
	Name, Secure, User string // never a password
	Connections        int
	Share              string // of the mails; empty: it is the only one
	Rate               string
}

// StreamLine is something that mails come from, and how it stands.
type StreamLine struct {
	ID                    string
	Name, URL, Origin     string
	State, Tone, Why      string
	Waiting, Active       int64
	Later                 int64
	Waits                 []ReasonLine // of those later: why
	Paced                 []string     // of those waiting: by what
	Oldest                *time.Time
	Rate                  int
	Priority              int
	Pause, Resume, Rank   string // addresses; empty: it cannot be now
	AskResume             string
	PauseOnce, ResumeOnce uuid.UUID
	RankOnce              uuid.UUID
}

// LimitLine is a limit that is in force.
type LimitLine struct {
	Text, Now, Full string
	State, Tone     string
	Said            string
	Times           int64
}

// WarmUpBox is how far the sender has come in being known.
type WarmUpBox struct {
	Lead, More  string
	Tone        string
	On          bool // it goes on, or is to begin
	Start, Stop string
	Ask         string
	Sheet       Sheet
	StopOnce    uuid.UUID
}

// Sending is the page admin/sending.
type Sending struct {
	Frame
	Lead, More   string
	Fault        string
	Halted       bool
	Catcher      bool
	Ways         []WayLine
	Test, Domain string
	Live         string
	Streams      []StreamLine
	Limits       []LimitLine
	Unknown      bool // what is held back cannot be asked now
	RatePerHour  int
	Rate         *Sheet // nil: the visitor may not
	Warm         WarmUpBox
	Sender       string // its domain
	RelaySigns   bool
	Keys         []DKIMKeyLine
	NewKey       *Sheet
	Algorithms   []Choice
}

func sending(d *desk) error { return d.drawSending(http.StatusOK, nil, "") }

// drawSending shows how mail leaves; with a form that could not be done as it
// was filled in, by its address, or what could not be done.
func (d *desk) drawSending(status int, wrong *Sheet, fault string) error {
	page := Sending{Frame: d.frame("sending"), Fault: fault, Catcher: d.h.Out.Catcher, Ways: d.ways(), Test: d.to("/sending/test"), Domain: d.to("/sending/domain"),
		Sender: d.brand.SenderDomain(), RelaySigns: d.brand.SignedBy == brand.SignedByRelay, RatePerHour: d.brand.RatePerHour}
	if wrong != nil && page.Fault == "" && len(wrong.Faults) == 0 {
		page.Fault = wrong.Fault
	}
	page.Lead, page.More = d.sendingLead()
	ctx := d.c.Request().Context()
	held, err := d.h.Held(ctx)
	page.Unknown = err != nil
	if _, page.Halted, err = d.h.DB.SendingPaused(ctx); err != nil {
		return err
	}
	err = d.read(func(tx *store.Tx) (err error) {
		if page.Streams, err = d.streamLines(tx, held); err != nil {
			return err
		}
		seen, err := d.flowsPrint(tx)
		if err != nil {
			return err
		}
		page.Live = d.to("/sending/live", "seen", seen)
		if page.Keys, err = d.keyLines(tx); err != nil {
			return err
		}
		page.Limits, err = d.limitLines(tx, held)
		return err
	})
	if err != nil {
		return err
	}
	page.Warm = d.warmUp()
	if d.may(account.Owner) {
		rate := ""
		if d.brand.RatePerHour > 0 {
			rate = strconv.Itoa(d.brand.RatePerHour)
		}
		page.Rate = d.small("/sending/rate", url.Values{"rate_per_hour": {rate}}, wrong)
		page.NewKey = d.small("/sending/dkim", url.Values{"algorithm": {brand.RSA}}, wrong)
		page.Algorithms = []Choice{{brand.RSA, "RSA", d.l.T("admin.sending.dkim.rsa")}, {brand.Ed25519, "Ed25519", d.l.T("admin.sending.dkim.ed25519")}}
		page.Warm.Sheet = *d.small("/sending/warm-up/start", url.Values{"day": {d.l.Day(d.h.DB.Now(), d.brand.Location())}}, wrong)
	}
	return d.drawAs(status, "sending", page)
}

// small is a form on a page with others: as it was sent, if it is the one that
// was wrong.
func (d *desk) small(action string, stored url.Values, wrong *Sheet) *Sheet {
	s := Sheet{Action: d.to(action), Page: brandPath + d.brand.Slug + action, Values: stored}
	if wrong != nil && wrong.Page == s.Page {
		s.Values, s.Faults = wrong.Values, wrong.Faults
	}
	s.Version, s.Once = versionOf(d.brand.UpdatedAt), store.NewID(d.h.DB.Now())
	return &s
}

// again shows the page again with what could not be done; what nobody can do
// anything about there is given back.
func (d *desk) again(err error) error {
	p, expected := problem.Of(err)
	if expected && p.Kind == problem.Unavailable {
		return d.drawSending(web.Classify(err).Status, nil, d.l.T(p.Key, p.Args...))
	}
	return d.redraw(err, func(status int, s Sheet) error {
		if s.Changed {
			return d.drawSending(status, nil, d.l.T("admin.sending.changed"))
		}
		return d.drawSending(status, &s, "")
	})
}

// sendingLead is the answer that the page begins with.
func (d *desk) sendingLead() (lead, more string) {
	out := d.h.Out
	switch {
	case out.Catcher:
		return d.l.T("admin.sending.lead.catcher"), d.l.T("admin.sending.more.catcher")
	case out.Direct != nil:
		return d.l.T("admin.sending.lead.direct"), d.l.T("admin.sending.more.direct")
	case len(out.Servers) == 0:
		return d.l.T("admin.sending.lead.none"), ""
	}
	return d.l.N("admin.sending.lead.relays", int64(len(out.Servers)), "Name", out.Servers[0].Host), d.l.T("admin.sending.more.relays")
}

func (d *desk) ways() (all []WayLine) {
	out := d.h.Out
	sum := 0
	for _, s := range out.Servers {
		sum += max(1, s.Weight)
	}
	for i, s := range out.Servers {
		w := WayLine{Name: out.Ways()[i], Secure: d.l.T("admin.sending.secure." + string(s.TLS)), User: s.User, Connections: s.Connections}
		if len(out.Servers) > 1 {
			w.Share = d.percent(int64(max(1, s.Weight)), int64(sum))
		}
		if s.PerSecond > 0 {
			w.Rate = d.perHour(s.PerSecond)
		}
		all = append(all, w)
	}
	if out.Direct != nil {
		all = append(all, WayLine{Name: d.l.T("admin.sending.direct"), Secure: d.l.T("admin.sending.secure.direct"), Connections: out.Direct.Connections})
	}
	return all
}

func (d *desk) perHour(perSecond float64) string {
	return d.l.N("admin.sending.per-hour", int64(math.Round(perSecond*3600)))
}

// streamsAtOnce is how many streams stand on the page; the rest of what is on
// the way is told by its number.
const streamsAtOnce = 100

// flows are counted by whoever looks first.
func (d *desk) flows(tx *store.Tx) ([]delivery.Flow, error) {
	return d.h.flows.of(d.brand.ID, func() ([]delivery.Flow, error) { return delivery.Flows(tx, d.brand.ID) })
}

// flowsPrint names what is on the way, and which streams stand still.
func (d *desk) flowsPrint(tx *store.Tx) (string, error) {
	flows, err := d.flows(tx)
	if err != nil {
		return "", err
	}
	streams, err := delivery.Streams(tx, d.brand.ID, streamsAtOnce)
	if err != nil {
		return "", err
	}
	shown := slices.Clone(flows[:min(len(flows), streamsAtOnce)])
	for i := range shown { // what is not on the page is no news
		shown[i].Sent, shown[i].HardBounces, shown[i].Complaints, shown[i].Refusals = 0, 0, 0, 0
	}
	return fingerprintOf([]any{shown, streams}), nil
}

// sendingLive tells the page that what is on the way has changed.
func sendingLive(d *desk) error {
	return d.watch(func(now *desk) (shown string, err error) {
		err = now.read(func(tx *store.Tx) error { shown, err = now.flowsPrint(tx); return err })
		return shown, err
	})
}

// streamLines are what is on the way, or stands still, and what paces it.
func (d *desk) streamLines(tx *store.Tx, held []throttle.Held) (all []StreamLine, err error) {
	flows, err := d.flows(tx)
	if err != nil {
		return nil, err
	}
	for _, f := range flows[:min(len(flows), streamsAtOnce)] {
		if f.Stream, err = delivery.FindStream(tx, d.brand.ID, f.ID); err != nil { // what was counted may be a minute old
			return nil, err
		}
		line, err := d.streamLine(tx, f, held)
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, nil
}

func (d *desk) streamLine(tx *store.Tx, f delivery.Flow, held []throttle.Held) (line StreamLine, err error) {
	line = StreamLine{ID: f.ID.String(), Origin: d.l.T("admin.sending.origin." + string(f.Origin)), Waiting: f.Waiting, Active: f.Active, Later: f.Later, Rate: f.RatePerHour, Priority: f.Priority}
	if line.Name, err = d.streamName(tx, f.Stream); err != nil {
		return line, err
	}
	if f.Origin == delivery.OriginCampaign {
		line.URL = d.to("/campaigns/" + f.ID.String())
	}
	if f.Waiting > 0 {
		line.Oldest = f.Oldest
	}
	for why, n := range f.HeldFor {
		line.Waits = append(line.Waits, ReasonLine{Text: d.mailReason(why), N: n})
	}
	slices.SortFunc(line.Waits, func(a, b ReasonLine) int { return strings.Compare(a.Text, b.Text) })
	state := "flows"
	switch {
	case f.Closed != "":
		state, line.Why = "closed", d.mailReason(f.Closed)
	case f.PausedAt != nil:
		state, line.Tone, line.Why = "paused", "ask", d.l.T("admin.sending.paused-by-person")
		if f.PausedFor != "" {
			state, line.Tone, line.Why = "stopped", "no", reason(d.l, f.PausedFor)
		}
	case f.Waiting > 0:
		for _, kind := range throttle.PacedBy(held, d.brand.ID, f.ID) {
			line.Paced = append(line.Paced, d.l.T("admin.sending.paced."+kind))
		}
	}
	line.State = d.l.T("admin.sending.state." + state)
	here := "/sending/streams/" + line.ID
	switch { // everybody who may see this page may do these
	case f.Closed != "":
	case f.PausedAt != nil:
		line.Resume, line.ResumeOnce = d.to(here+"/resume"), store.NewID(tx.Now())
		line.AskResume = d.l.N("admin.sending.ask-resume", f.Waiting+f.Later)
	case pausable(f.Origin):
		line.Pause, line.PauseOnce = d.to(here+"/pause"), store.NewID(tx.Now())
	}
	if f.Closed == "" && pausable(f.Origin) {
		line.Rank, line.RankOnce = d.to(here+"/priority"), store.NewID(tx.Now())
	}
	return line, nil
}

// pausable: people wait for the other mails, so nothing here stops them.
func pausable(o delivery.Origin) bool {
	return o == delivery.OriginCampaign || o == delivery.OriginSequence || o == delivery.OriginOffer
}

// streamName names the campaign, sequence or offer that mails come from, or
// says what sort of mails they are.
func (d *desk) streamName(tx *store.Tx, s delivery.Stream) (string, error) {
	switch s.Origin {
	case delivery.OriginCampaign:
		c, err := campaign.Find(tx, d.brand.ID, s.ID)
		return known(c.Name, d.l.T("admin.sending.origin.campaign"), err)
	case delivery.OriginSequence:
		q, err := sequence.Find(tx, d.brand.ID, s.ID)
		return known(q.Name, d.l.T("admin.sending.origin.sequence"), err)
	case delivery.OriginOffer:
		o, err := offer.Find(tx, d.brand.ID, s.ID)
		return known(o.Name, d.l.T("admin.sending.origin.offer"), err)
	}
	return d.l.T("admin.sending.origin." + string(s.Origin)), nil
}

// known is a name, or another where there is nothing that bears it.
func known(name, other string, err error) (string, error) {
	if problem.Is(err, problem.NotFound) {
		return other, nil
	}
	return name, err
}

// limitLines are the limits in force that concern the brand's mails: its own,
// and those of the ways that all brands share. What a receiver said may name
// another brand's mail there; it is told to who owns them all.
func (d *desk) limitLines(tx *store.Tx, held []throttle.Held) (all []LimitLine, err error) {
	for _, h := range held {
		name, mine := h.About(), false
		switch h.Kind() {
		case "brand", "warm-up":
			mine = name == d.brand.ID.String()
			if !mine {
				continue
			}
		case "sender":
			id, group, _ := strings.Cut(name, "/")
			if name, mine = group, id == d.brand.ID.String(); !mine {
				continue
			}
		case "group": // of a receiver: shown to those who are slowed by it themselves
			if !d.all && !slices.ContainsFunc(held, func(o throttle.Held) bool { return o.Key == "sender/"+d.brand.ID.String()+"/"+name }) {
				continue
			}
		case "stream":
			id, err := uuid.Parse(name)
			if err != nil {
				continue
			}
			s, err := delivery.FindStream(tx, d.brand.ID, id)
			if problem.Is(err, problem.NotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if name, err = d.streamName(tx, s); err != nil {
				return nil, err
			}
			mine = true
		}
		all = append(all, d.limitLine(h, name, mine || d.all))
	}
	return all, nil
}

// limitLine is one limit in words; the name in them is isolated, for it may run
// the other way.
func (d *desk) limitLine(h throttle.Held, name string, tell bool) LimitLine {
	line := LimitLine{Text: d.l.T("admin.sending.limit."+h.Kind(), "Name", "\u2068"+name+"\u2069"), Now: d.perHour(h.Now), Full: d.perHour(h.PerSecond), Times: h.Times}
	if h.Unbounded() {
		line.Full = d.l.T("admin.sending.unbounded")
	}
	switch {
	case h.Pause > 0:
		line.State, line.Tone, line.Now = d.l.N("admin.sending.limit-paused", int64(math.Ceil(h.Pause.Minutes()))), "no", d.l.T("admin.sending.nothing")
	case h.Now < h.PerSecond*0.99:
		line.State, line.Tone = d.l.T("admin.sending.limit-slowed"), "ask"
	case h.Lately():
		line.State, line.Tone = d.l.T("admin.sending.limit-holds"), "ask"
	default:
		line.State = d.l.T("admin.sending.limit-free")
		if h.Unbounded() {
			line.Now = line.Full
		}
	}
	if tell {
		line.Said = h.Said
	}
	return line
}

// warmUp tells how far the sender has come.
func (d *desk) warmUp() (w WarmUpBox) {
	now, zone := d.h.DB.Now(), d.brand.Location()
	began := d.brand.WarmUpFrom
	w.Start = d.to("/sending/warm-up/start")
	switch {
	case began == nil:
		w.Lead, w.More = d.l.T("admin.sending.warm.known"), d.l.T("admin.sending.warm.known-more")
	case began.After(now):
		w.On, w.Tone = true, "ask"
		w.Lead, w.More = d.l.T("admin.sending.warm.begins", "Time", d.l.DateTime(*began, zone)), d.l.T("admin.sending.warm.begins-more")
	default:
		day, warm := d.h.WarmUp.At(*began, now)
		if warm {
			w.Lead, w.More = d.l.T("admin.sending.warm.over", "Time", d.l.Date(*began, zone)), d.l.T("admin.sending.warm.over-more")
			return w
		}
		w.On, w.Tone = true, "ask"
		w.Lead = d.l.N("admin.sending.warm.day", int64(day.PerHour), "Day", d.l.Number(int64(day.Number)), "Of", d.l.Number(int64(day.Of)))
		w.More = d.l.T("admin.sending.warm.day-more", "Time", d.l.Date(*began, zone))
	}
	if w.On && d.may(account.Owner) {
		w.Stop, w.StopOnce, w.Ask = d.to("/sending/warm-up/stop"), store.NewID(now), d.l.T("admin.sending.warm.ask-stop")
	}
	return w
}

// moveStream pauses what mails come from, or lets it go on. That is a state of
// the campaign, sequence or offer, and one of the stream only where a circuit
// breaker has stopped it beneath.
func moveStream(what string) func(*desk) error {
	return func(d *desk) error {
		id, err := d.id("id")
		if err != nil {
			return err
		}
		return d.again(d.change("sending."+what, func(tx *store.Tx, _ *Sheet) (done, error) {
			s, err := delivery.FindStream(tx, d.brand.ID, id)
			if err != nil {
				return done{}, err
			}
			name, err := d.streamName(tx, s)
			if err != nil {
				return done{}, err
			}
			move := pauseSource
			if what == "resume" {
				move = resumeSource
			}
			return done{subject: id, next: "/sending", detail: map[string]any{"name": name}}, move(tx, s)
		}))
	}
}

func pauseSource(tx *store.Tx, s delivery.Stream) (err error) {
	switch s.Origin {
	case delivery.OriginCampaign:
		_, err = campaign.Pause(tx, s.BrandID, s.ID)
	case delivery.OriginSequence:
		_, err = sequence.Pause(tx, s.BrandID, s.ID)
	case delivery.OriginOffer:
		_, err = offer.Pause(tx, s.BrandID, s.ID, delivery.PauseStream)
	default:
		err = problem.New(problem.Conflict, "admin.sending.people-wait")
	}
	return err
}

func resumeSource(tx *store.Tx, s delivery.Stream) (err error) {
	if s.PausedAt == nil {
		return problem.New(problem.Conflict, "admin.sending.flows-already")
	}
	switch s.Origin {
	case delivery.OriginCampaign:
		_, err = resumeCampaign(tx, s.BrandID, s.ID)
		return err
	case delivery.OriginSequence:
		q, err := sequence.Find(tx, s.BrandID, s.ID)
		if err != nil {
			return err
		}
		if q.State == sequence.Paused {
			_, err = sequence.Resume(tx, s.BrandID, s.ID)
			return err
		}
	case delivery.OriginOffer:
		o, err := offer.Find(tx, s.BrandID, s.ID)
		if err != nil {
			return err
		}
		if o.State == offer.Paused {
			_, err = offer.Resume(tx, s.BrandID, s.ID, delivery.ResumeStream)
			return err
		}
	}
	return delivery.ResumeStream(tx, s.BrandID, s.ID)
}

// priorityMost is how far a stream may be put before or behind the others.
const priorityMost = 9

func rankStream(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.again(d.change("sending.priority", func(tx *store.Tx, form *Sheet) (done, error) {
		s, err := delivery.FindStream(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		wrong := problem.New(problem.Invalid, "admin.sending.no-priority")
		n := form.whole("priority", wrong)
		if wrong.OrNil() != nil || n < -priorityMost || n > priorityMost {
			return done{}, problem.New(problem.Conflict, "admin.sending.no-priority")
		}
		name, err := d.streamName(tx, s)
		if err != nil {
			return done{}, err
		}
		return done{subject: id, next: "/sending", detail: map[string]any{"name": name}}, delivery.SetPriority(tx, d.brand.ID, id, n)
	}))
}

// changeBrand changes what paces the brand, where nobody else has changed the
// brand since the page was read.
func (d *desk) changeBrand(what string, change func(form *Sheet) (brand.Change, error)) error {
	return d.again(d.change(what, func(tx *store.Tx, form *Sheet) (done, error) {
		c, err := change(form)
		if err != nil {
			return done{}, err
		}
		now, err := brand.Find(tx, d.brand.ID)
		if err != nil {
			return done{}, err
		}
		if form.current(now.UpdatedAt) != nil {
			d.brand = now
			return done{}, errChanged()
		}
		_, err = brand.Update(tx, d.brand.ID, c)
		return done{next: "/sending"}, err
	}))
}

func setRate(d *desk) error {
	return d.changeBrand("sending.rate", func(form *Sheet) (brand.Change, error) {
		wrong := problem.New(problem.Invalid, "problem.invalid")
		n := form.whole("rate_per_hour", wrong)
		return brand.Change{RatePerHour: &n}, wrong.OrNil()
	})
}

// startWarmUp begins on a day of the brand's zone; today is now.
func startWarmUp(d *desk) error {
	return d.changeBrand("sending.warm-up-start", func(form *Sheet) (brand.Change, error) {
		at, err := d.dayOf(form.text("day"))
		if err != nil {
			return brand.Change{}, err
		}
		return brand.Change{WarmUpFrom: &at}, nil
	})
}

// warmUpFar bounds the days that a warm-up may begin on, before and after today.
const warmUpFar = 366 * 24 * time.Hour

func (d *desk) dayOf(day string) (at time.Time, err error) {
	v := url.Values{"day": {day}, "time": {"00:00"}}
	now, zone := d.h.DB.Now(), d.brand.Location()
	at, err = moment(v, now.Add(-warmUpFar), zone)
	if p, ok := problem.Of(err); ok && len(p.Fields) > 0 && p.Fields[0].Key != "admin.campaign.no-day" || err == nil && at.After(now.Add(warmUpFar)) {
		return at, problem.InvalidField("day", "admin.sending.warm.too-far")
	}
	if err == nil && at.Before(now) && now.Sub(at) < 24*time.Hour {
		at = now
	}
	return at, err
}

func stopWarmUp(d *desk) error {
	return d.changeBrand("sending.warm-up-stop", func(*Sheet) (brand.Change, error) {
		return brand.Change{WarmUpFrom: &time.Time{}}, nil
	})
}
