package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	jalaali "github.com/jalaali/go-jalaali"

	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/tracking"
)

// windows are the stretches of time that the overview can look back over, by
// what stands in its address.
var windows = []string{"7", "30", "90", "365"}

const usualWindow = "30"

// bin is one point of a plot.
type bin struct {
	event.Span
	short, long string // its name on the axis, and in full
}

// bins cut a window into days, weeks or the months of the reader's calendar,
// the newest last. They are of the brand's zone, and whole but for the newest.
func (d *desk) bins(window string) (all []bin) {
	zone, now := d.brand.Location(), d.h.DB.Now()
	y, m, day := now.In(zone).Date()
	midnight := func(back int) time.Time { return time.Date(y, m, day-back, 0, 0, 0, 0, zone) }
	if window == "365" {
		return d.months(12)
	}
	days, step := 30, 1
	switch window {
	case "7":
		days = 7
	case "90":
		days, step = 91, 7
	}
	for back := days - step; back >= 0; back -= step {
		from := midnight(back + step - 1)
		if step == 1 {
			from = midnight(back)
		}
		b := bin{Span: event.Span{From: from, To: midnight(back - 1)}, short: d.l.ShortDate(from, zone), long: d.l.Date(from, zone)}
		if step > 1 {
			b.From, b.long = midnight(back+step-1), d.l.T("admin.plot.week", "From", d.l.Date(midnight(back+step-1), zone), "To", d.l.Date(midnight(back), zone))
			b.short = d.l.ShortDate(b.From, zone)
		}
		all = append(all, b)
	}
	return all
}

// months are the last of the reader's calendar, this one among them.
func (d *desk) months(n int) (all []bin) {
	zone := d.brand.Location()
	y, m, day := d.h.DB.Now().In(zone).Date()
	first := func(back int) time.Time { return time.Date(y, m-time.Month(back), 1, 0, 0, 0, 0, zone) }
	if jy, jm, _, err := jalaali.ToJalaali(y, m, day); d.l.Lang() == "fa" && err == nil {
		first = func(back int) time.Time {
			month := jy*12 + int(jm) - 1 - back
			gy, gm, gd, err := jalaali.ToGregorian(month/12, jalaali.Month(month%12+1), 1)
			if err != nil { // centuries away
				return time.Date(y, m-time.Month(back), 1, 0, 0, 0, 0, zone)
			}
			return time.Date(gy, gm, gd, 0, 0, 0, 0, zone)
		}
	}
	for back := n - 1; back >= 0; back-- {
		b := bin{Span: event.Span{From: first(back), To: first(back - 1)}}
		b.short, b.long = d.l.Month(b.From, zone), d.l.MonthYear(b.From, zone)
		all = append(all, b)
	}
	return all
}

// series is what happened in each bin of a window.
type series struct {
	n   map[string][]int64 // by what; see things
	all map[string]int64   // in all bins
	by  map[uuid.UUID]*TopicMoves
}

// TopicMoves is what people said to one topic.
type TopicMoves struct{ Asked, Given, Taken int64 }

// What is counted for the overview.
const (
	signups    = "signups"
	byForm     = "form"
	byAPI      = "api"
	byImport   = "import"
	byHand     = "hand"
	byPaper    = signup.Paper
	taken      = "taken"
	complained = "complained"
	sent       = "sent"
	tried      = "tried" // sent, of every kind but tests
	notTaken   = "refused"
	firstOpen  = "opened"  // first, then
	firstClick = "clicked" // first, then
	mayOpen    = "may-open"
	mayClick   = "may-click"
	sentOpened = "sent-opened" // of the mails sent then
	sentClick  = "sent-clicked"
)

// cameBy tells from which source a permission came, by how it was given.
var cameBy = map[string]string{
	consent.MethodForm: byForm, consent.MethodDoubleOptIn: byForm, consent.MethodPreferences: byForm,
	consent.MethodAPI: byAPI, consent.MethodImport: byImport, consent.MethodOperator: byHand,
	signup.Paper: byPaper, // whatever form it led to
}

// thing names what a sum counts for; empty: nothing here.
func thing(s event.Sum) string {
	marketing := s.Source != event.Tracking
	switch {
	case s.Kind == event.SignupAsked:
		return signups
	case s.Kind == event.ConsentGiven && marketing:
		return cmp.Or(cameBy[s.Source], byHand)
	case s.Kind == event.ConsentWithdrawn && marketing:
		return taken
	case s.Kind == event.AddressSuppressed && s.Source == consent.Complaint:
		return complained
	case s.Kind == event.MailSent && s.Source == string(delivery.Marketing):
		return sent
	case s.Kind == event.MailFailed:
		return notTaken
	}
	return map[string]string{event.FirstHit + "/open": firstOpen, event.FirstHit + "/click": firstClick, event.SentWatched + "/open": mayOpen,
		event.SentWatched + "/click": mayClick, event.SentThen + "/open": sentOpened, event.SentThen + "/click": sentClick}[s.Kind+"/"+s.Source]
}

func (s *series) add(sums []event.Sum, bins int) {
	for _, x := range sums {
		if x.Kind == event.MailSent && x.Source != string(delivery.Test) {
			s.all[tried] += x.N
		}
		what := thing(x)
		if what != "" {
			if s.n[what] == nil {
				s.n[what] = make([]int64, bins)
			}
			s.n[what][x.Span] += x.N
			s.all[what] += x.N
		}
		topic, err := uuid.Parse(x.Topic)
		if err != nil {
			continue
		}
		if s.by[topic] == nil {
			s.by[topic] = &TopicMoves{}
		}
		switch x.Kind {
		case event.ConsentRequested:
			s.by[topic].Asked += x.N
		case event.ConsentGiven:
			s.by[topic].Given += x.N
		case event.ConsentWithdrawn, event.ConsentRefused:
			s.by[topic].Taken += x.N
		}
	}
}

// seriesKey names what was counted: a window of a brand until some day, cut as
// the calendar of a language wants it.
type seriesKey struct {
	brand        uuid.UUID
	window, lang string
	until        int64
}

// history counts the window, or gives what was counted a moment ago.
func (d *desk) history(ctx context.Context, window string, bins []bin) (series, error) {
	key := seriesKey{d.brand.ID, window, d.l.Lang(), bins[len(bins)-1].To.Unix()}
	return d.h.histories.of(key, func() (s series, err error) {
		spans := make([]event.Span, len(bins))
		for i, b := range bins {
			spans[i] = b.Span
		}
		err = d.h.DB.Read(ctx, func(tx *store.Tx) error {
			return event.Steady(tx, func(upto time.Time) error {
				sums, err := event.SumsSince(tx, upto, d.brand.ID, spans)
				if err != nil {
					return err
				}
				more, err := tracking.Unfolded(tx, upto, d.brand.ID, spans)
				s = series{n: map[string][]int64{}, all: map[string]int64{}, by: map[uuid.UUID]*TopicMoves{}}
				s.add(slices.Concat(sums, more), len(bins))
				return err
			})
		})
		return s, err
	})
}

// Plot is a picture of numbers over time, with the numbers as a table.
type Plot struct {
	ID, Title, Text string
	Bins            []PlotBin
	Lines           []PlotLine
	Ticks           string // of the axis, as number|text, joined by commas
	Empty           bool   // every number is 0
}

// PlotBin is a row of the table.
type PlotBin struct {
	Short, Long string
	Cells       []PlotCell
}

// PlotCell is a number, and the line that it belongs to.
type PlotCell struct {
	Label string
	N     int64
}

// PlotLine is a column of the table. Look is a class that gives it its colour
// and its strokes; no two of a plot are told apart by colour alone.
type PlotLine struct {
	Label, Look string
	Sum         int64
}

// lineOf is one line to draw.
type lineOf struct{ what, look string }

// plot draws some of what was counted.
func (d *desk) plot(id string, bins []bin, s series, lines ...lineOf) Plot {
	p := Plot{ID: "plot-" + id, Title: d.l.T("admin.plot." + id), Text: d.l.T("admin.plot." + id + "-text"), Empty: true}
	most := int64(0)
	for i, b := range bins {
		row := PlotBin{Short: b.short, Long: b.long}
		for _, line := range lines {
			n := int64(0)
			if values := s.n[line.what]; values != nil {
				n = values[i]
			}
			most = max(most, n)
			row.Cells = append(row.Cells, PlotCell{d.l.T("admin.plot.line." + line.what), n})
		}
		p.Bins = append(p.Bins, row)
	}
	for _, line := range lines {
		p.Lines = append(p.Lines, PlotLine{d.l.T("admin.plot.line." + line.what), line.look, s.all[line.what]})
	}
	p.Empty = most == 0
	for i, tick := range ticks(most) {
		if i > 0 {
			p.Ticks += ";"
		}
		p.Ticks += strconv.FormatInt(tick, 10) + "|" + d.l.Number(tick)
	}
	return p
}

// ticks are some three to six round numbers from 0 to most, or above it.
func ticks(most int64) []int64 {
	step := int64(1)
	for unit := int64(1); ; unit *= 10 {
		i := slices.IndexFunc([]int64{1, 2, 5}, func(n int64) bool { return n*unit*5 >= most })
		if i >= 0 {
			step = []int64{1, 2, 5}[i] * unit
			break
		}
	}
	all := []int64{0}
	for all[len(all)-1] < max(most, 2) {
		all = append(all, all[len(all)-1]+step)
	}
	return all
}

// rates are the parts of wholes of a window, each with its interval.
func (d *desk) rates(s series) (all []Rate) {
	for _, r := range []struct{ key, what, of string }{
		{"admin.rate.opened", sentOpened, mayOpen}, {"admin.rate.clicked", sentClick, mayClick},
		{"admin.rate.taken", taken, sent}, {"admin.rate.complained", complained, sent}, {"admin.rate.refused", notTaken, tried},
	} {
		n, of := s.all[r.what], s.all[r.of]
		if r.what == notTaken {
			of += n // those that were taken, and those that were not
		}
		if of == 0 || n > of {
			continue
		}
		all = append(all, d.rate(r.key, n, of))
	}
	return all
}

// unwatched says how many mails of a window are in no rate of opens and clicks.
func (d *desk) unwatched(s series) string {
	all := s.all[sent]
	opens, clicks := max(0, all-s.all[mayOpen]), max(0, all-s.all[mayClick])
	if opens+clicks == 0 {
		return ""
	}
	return d.l.T("admin.rate.untracked", "Sent", d.l.Number(all), "Opens", d.l.Number(opens), "Clicks", d.l.Number(clicks))
}

// rate is a part of a whole, with its interval.
func (d *desk) rate(key string, n, of int64) Rate {
	low, high := delivery.Interval(n, of)
	return Rate{d.l.T(key), d.fine(float64(n) / float64(of)),
		d.l.T("admin.rate.base", "N", d.l.Number(n), "All", d.l.Number(of), "Low", d.fine(low), "High", d.fine(high))}
}

// fine writes a part of one in percent, the small ones with a second decimal.
func (d *desk) fine(x float64) string {
	if x >= 0.02 || x == 0 {
		return d.share(x)
	}
	hundredths := int64(x*10_000 + 0.5)
	return d.l.T("admin.rate.percent", "Whole", hundredths/100, "Hundredths", d.l.Digits(fmt.Sprintf("%02d", hundredths%100)))
}
