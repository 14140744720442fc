package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/alarm"
	"assent/internal/delivery"
	"assent/internal/store"
)

func alarmActions() []action {
	return []action{
		look("/alarms", account.Marketer, alarms),
		behind(http.MethodGet, "/alarms/live", account.Marketer, alarmsLive),
		act("/alarms/:id/acknowledge", account.Marketer, acknowledgeAlarm),
	}
}

const alarmsAtOnce = 50

// AlarmLine is one alarm, in words.
type AlarmLine struct {
	ID          string
	Title       string
	Numbers     string // what was seen when it began
	Now         string // what was seen at the last look; empty: it is over
	Usual       string
	Began       time.Time
	Ended       time.Time // zero: it is not over
	Taken       string    // who has taken it on; empty: nobody
	TakenAt     time.Time
	Do          []string // what to do, in its order
	Links       []NavItem
	Acknowledge *Sheet // nil: somebody has, or it is over
	To          string
}

// Alarms is the page admin/alarms.
type Alarms struct {
	Frame
	Lead  string
	Open  []AlarmLine
	Past  []AlarmLine
	Next  string // address; empty: there is none
	First string
	Live  string
}

func alarms(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	var open, past []alarm.Alarm
	users := map[uuid.UUID]string{}
	err := d.read(func(tx *store.Tx) (err error) {
		if open, err = alarm.Opened(tx, d.brand.ID); err != nil {
			return err
		}
		if past, err = alarm.List(tx, d.brand.ID, before, alarmsAtOnce); err != nil {
			return err
		}
		users, err = account.Names(tx, d.brand.ID)
		return err
	})
	if err != nil {
		return err
	}
	page := Alarms{Frame: d.frame("alarms"), Live: d.to("/alarms/live", "seen", alarmsSeen(open)), Lead: d.l.T("admin.alarms.quiet")}
	if len(open) > 0 {
		page.Lead = d.l.N("admin.alarms.lead", int64(len(open)))
	}
	for _, a := range open {
		page.Open = append(page.Open, d.alarmLine(a, users))
	}
	for _, a := range past {
		if !a.Open() {
			page.Past = append(page.Past, d.alarmLine(a, users))
		}
	}
	if len(past) == alarmsAtOnce {
		page.Next = d.to("/alarms", "before", past[len(past)-1].ID.String())
	}
	if before != uuid.Nil {
		page.First = d.to("/alarms")
	}
	return d.draw("alarms", page)
}

// alarmsSeen names the open alarms as they are shown.
func alarmsSeen(open []alarm.Alarm) string {
	var seen [][]any
	for _, a := range open {
		seen = append(seen, []any{a.ID, a.LastSeen, a.LastSeenOf, a.AcknowledgedAt != nil})
	}
	return fingerprintOf(seen)
}

// alarmsLive tells the page that an alarm came, moved on or went.
func alarmsLive(d *desk) error {
	return d.watch(func(now *desk) (seen string, err error) {
		err = now.read(func(tx *store.Tx) error {
			open, err := alarm.Opened(tx, now.brand.ID)
			seen = alarmsSeen(open)
			return err
		})
		return seen, err
	})
}

// alarmLine puts an alarm into words. The numbers stand with what they are of,
// and with the interval that the true rate likely lies in.
func (d *desk) alarmLine(a alarm.Alarm, users map[uuid.UUID]string) AlarmLine {
	kind := string(a.Kind)
	line := AlarmLine{ID: "alarm-" + a.ID.String(), Title: d.l.T("admin.alarm." + kind), Began: a.BeganAt,
		Numbers: d.seen(a, a.Seen, a.SeenOf), Usual: d.l.T("admin.alarm.no-usual")}
	switch {
	case a.Kind == alarm.Signups:
		line.Usual = d.l.N("admin.alarm.usual.signups", a.Usual)
	case a.UsualOf > 0:
		line.Usual = d.l.T("admin.alarm.usual", "N", d.l.Number(a.Usual), "Of", d.l.Number(a.UsualOf), "Share", d.interval(a.Usual, a.UsualOf))
	}
	if a.AcknowledgedBy != nil {
		line.Taken, line.TakenAt = users[*a.AcknowledgedBy], *a.AcknowledgedAt
		if line.Taken == "" {
			line.Taken = d.l.T("admin.alarm.somebody")
		}
	}
	if !a.Open() {
		line.Ended = *a.EndedAt
		return line
	}
	if a.LastSeen != a.Seen || a.LastSeenOf != a.SeenOf {
		line.Now = d.l.T("admin.alarm.now", "N", d.l.Number(a.LastSeen), "Of", d.l.Number(a.LastSeenOf), "Share", d.interval(a.LastSeen, a.LastSeenOf))
		if a.Kind.Silence() {
			line.Now = d.seen(a, a.LastSeen, a.LastSeenOf)
		}
	}
	for _, step := range []string{"first", "then", "last"} {
		line.Do = append(line.Do, d.l.T("admin.alarm.do."+kind+"."+step))
	}
	for _, place := range map[alarm.Kind][]string{
		alarm.Complaints: {"campaigns", "sequences", "suppressions"}, alarm.Leavers: {"campaigns", "sequences", "topics"}, alarm.Failures: {"campaigns", "messages", "sending", "suppressions"},
		alarm.Opens: {"sending", "campaigns", "sequences"}, alarm.Clicks: {"campaigns", "sequences"}, alarm.Signups: {"forms"},
	}[a.Kind] {
		if at := d.place(place); at != "" {
			line.Links = append(line.Links, NavItem{Label: d.l.T("admin.nav." + place), URL: at})
		}
	}
	if a.AcknowledgedBy == nil && d.may(account.Marketer) {
		line.To = d.to("/alarms/" + a.ID.String() + "/acknowledge")
		line.Acknowledge = &Sheet{Once: uuid.NewSHA1(d.User.ID, a.ID[:])}
	}
	return line
}

// seen writes what an alarm counted.
func (d *desk) seen(a alarm.Alarm, n, of int64) string {
	key := "admin.alarm.seen." + string(a.Span)
	switch a.Kind {
	case alarm.Signups:
		return d.l.T("admin.alarm.seen.signups." + string(a.Span)) // with one it is over
	case alarm.Opens, alarm.Clicks:
		key = "admin.alarm.seen." + string(a.Kind)
	}
	return d.l.T(key, "N", d.l.Number(n), "Of", d.l.Number(of), "Share", d.interval(n, of))
}

// interval writes a rate with its interval.
func (d *desk) interval(n, of int64) string {
	if of <= 0 || n > of {
		return d.l.T("admin.alarm.more-than-all")
	}
	low, high := delivery.Interval(n, of)
	return d.l.T("admin.alarm.share", "Share", d.fine(float64(n)/float64(of)), "Low", d.fine(low), "High", d.fine(high))
}

// place is the address of a section that the visitor may see; empty: there is none.
func (d *desk) place(name string) string {
	i := slices.IndexFunc(sections, func(s section) bool { return s.name == name && d.may(s.least) })
	if i < 0 {
		return ""
	}
	return d.to(sections[i].path)
}

func acknowledgeAlarm(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change("alarm.acknowledge", func(tx *store.Tx, _ *Sheet) (done, error) {
		a, err := alarm.Acknowledge(tx, d.brand.ID, id, d.User.ID)
		return done{subject: a.ID, next: "/alarms", detail: map[string]any{"name": d.l.T("admin.alarm." + string(a.Kind))}}, err
	})
}
