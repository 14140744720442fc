package sequence

import (
	"time"

	"assent/internal/problem"
)

// Wait is a pause between two mails: an amount of time, an hour of the day to
// wait for, or first the one and then the other. At most one of the amounts is
// set.
//
// Minutes and hours are lengths of time. Days, weeks and months are counted on
// the person's calendar, so the hour of the day stays the same over a change of
// the clocks, and a month after 31 January is the last day of February.
type Wait struct {
	Minutes int    `json:"minutes,omitempty"`
	Hours   int    `json:"hours,omitempty"`
	Days    int    `json:"days,omitempty"`
	Weeks   int    `json:"weeks,omitempty"`
	Months  int    `json:"months,omitempty"`
	Until   string `json:"until,omitempty"` // "09:00" in the person's zone
}

// The longest wait of each unit: two years, or a month where it is counted in minutes.
const (
	maxMinutes = 30 * 24 * 60
	maxHours   = 2 * 366 * 24
	maxDays    = 2 * 366
	maxWeeks   = 2 * 53
	maxMonths  = 24
)

// End is the moment at which a wait that begins at from is over, for a person
// in loc, in UTC. It is never before from. An hour that the clocks skip is over when
// they have skipped it; one that comes twice is over at its first coming.
func (w Wait) End(from time.Time, loc *time.Location) time.Time {
	t := from.Add(time.Duration(w.Minutes)*time.Minute + time.Duration(w.Hours)*time.Hour).In(loc)
	if days := w.Days + 7*w.Weeks; days != 0 || w.Months != 0 {
		t = onCalendar(t, w.Months, days)
	}
	if w.Until != "" {
		t = nextHour(t, w.Until)
	}
	if t.Before(from) { // a zone that moved its date line may repeat a day
		t = from
	}
	return t.UTC()
}

// onCalendar goes on by months, staying within the month it arrives in, and then by days.
func onCalendar(t time.Time, months, days int) time.Time {
	year, month, day := t.Date()
	first := time.Date(year, month+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	hour, minute, second := t.Clock()
	wall := time.Date(first.Year(), first.Month(), min(day, last)+days, hour, minute, second, t.Nanosecond(), time.UTC)
	return onTheClock(wall, t.Location())
}

// nextHour is the first moment, at or after t, at which the clock shows hhmm;
// hhmm has been validated.
func nextHour(t time.Time, hhmm string) time.Time {
	hour, _ := time.Parse(hourLayout, hhmm)
	year, month, day := t.Date()
	for ; ; day++ {
		wall := time.Date(year, month, day, hour.Hour(), hour.Minute(), 0, 0, time.UTC)
		if then := onTheClock(wall, t.Location()); !then.Before(t) {
			return then
		}
	}
}

const hourLayout = "15:04"

// onTheClock is the first moment at which the clocks of loc show what wall, a
// time in UTC, says. If they never do, because they were put forward over it,
// it is the moment of that change. (time.Date leaves both cases open.)
func onTheClock(wall time.Time, loc *time.Location) time.Time {
	year, month, day := wall.Date()
	hour, minute, second := wall.Clock()
	t := time.Date(year, month, day, hour, minute, second, wall.Nanosecond(), loc)
	begins, ends := t.ZoneBounds()
	_, offset := t.Zone()
	switch shown := t.UTC().Add(time.Duration(offset) * time.Second); {
	case shown.After(wall):
		return begins
	case shown.Before(wall):
		return ends
	}
	if !begins.IsZero() {
		_, before := begins.Add(-1).Zone()
		if earlier := t.Add(time.Duration(offset-before) * time.Second); before > offset && earlier.Before(begins) {
			return earlier
		}
	}
	return t
}

// check adds what is wrong with the wait to p, under the field's name.
func (w Wait) check(p *problem.Error, name string) {
	amounts := 0
	for _, a := range []struct {
		unit   string
		n, max int
	}{{"minutes", w.Minutes, maxMinutes}, {"hours", w.Hours, maxHours}, {"days", w.Days, maxDays}, {"weeks", w.Weeks, maxWeeks}, {"months", w.Months, maxMonths}} {
		if a.n < 0 || a.n > a.max {
			p.Field(name+"/"+a.unit, "sequence.wait.amount", "Max", a.max)
		}
		if a.n != 0 {
			amounts++
		}
	}
	if amounts > 1 {
		p.Field(name, "sequence.wait.one-unit")
	}
	if amounts == 0 && w.Until == "" {
		p.Field(name, "sequence.wait.empty")
	}
	if w.Until != "" && !isHour(w.Until) {
		p.Field(name+"/until", "sequence.wait.until")
	}
}

func isHour(s string) bool {
	t, err := time.Parse(hourLayout, s)
	return err == nil && t.Format(hourLayout) == s
}
