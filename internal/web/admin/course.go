package admin

import (
	"slices"
	"time"

	"assent/internal/campaign"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/tracking"
)

// What a campaign's mails led to over time: hour by hour in its first two days,
// day by day in its first thirty.
const (
	courseHours = 48
	courseDays  = 30
)

// left is who took their permission back by a link of the mail itself.
const left = "left-by-mail"

// courseThings are what is drawn, by what is counted of a stream.
var courseThings = map[string]string{event.StreamSent: sent, event.StreamOpened: firstOpen, event.StreamClicked: firstClick, event.StreamLeft: left}

// course is what became of a campaign's mails over time, by the hour and by the
// day; empty where nothing was sent.
type course struct {
	Left int64 // took their permission back by a link of the mail

	n map[string][]int64 // by what: in each of the hours, then in each of the days
}

// in is what happened in the first hours or days.
func (k course) in(by string, most int) series {
	s, first := series{n: map[string][]int64{}, all: map[string]int64{}}, 0
	if by == "days" {
		first = courseHours
	}
	for what, all := range k.n {
		s.n[what] = all[first : first+most]
		for _, n := range s.n[what] {
			s.all[what] += n
		}
	}
	return s
}

// courseBy is "hours" or "days": what the address asks for, else the hours while
// there are not more of them than are drawn.
func (d *desk) courseBy(began time.Time) string {
	if by := d.c.QueryParam("by"); by == "hours" || by == "days" {
		return by
	}
	if d.h.DB.Now().Sub(began) > courseHours*time.Hour {
		return "days"
	}
	return "hours"
}

// courseSpans are the hours, or the days of a zone, from the first mail on.
func courseSpans(began time.Time, zone *time.Location, by string) (all []event.Span) {
	if by == "days" {
		y, m, day := began.In(zone).Date()
		for i := range courseDays {
			all = append(all, event.Span{From: time.Date(y, m, day+i, 0, 0, 0, 0, zone), To: time.Date(y, m, day+i+1, 0, 0, 0, 0, zone)})
		}
		return all
	}
	first := began.Add(-time.Duration(began.In(zone).Minute()) * time.Minute) // it lies on a quarter; not by its hour's name, which two hours of a year share
	for i := range courseHours {
		all = append(all, event.Span{From: first.Add(time.Duration(i) * time.Hour), To: first.Add(time.Duration(i+1) * time.Hour)})
	}
	return all
}

// courseBins are those that have begun, as they are called; none where there was
// no mail.
func (d *desk) courseBins(began time.Time, by string) (all []bin) {
	if began.IsZero() {
		return nil
	}
	zone, now := d.brand.Location(), d.h.DB.Now()
	for _, span := range courseSpans(began, zone, by) {
		switch {
		case span.From.After(now):
			return all
		case by == "days":
			all = append(all, bin{span, d.l.ShortDate(span.From, zone), d.l.Date(span.From, zone)})
		default:
			all = append(all, bin{span, d.l.Time(span.From, zone), d.l.DateTime(span.From, zone)})
		}
	}
	return all
}

// courseOf counts what became of a campaign's mails in each hour and day, and in
// all of its time. Its cost does not grow with its mails: it reads the quarters
// of an hour of its stream, and the brand's hits that are not folded in yet.
func courseOf(tx *store.Tx, c campaign.Campaign, began time.Time, zone *time.Location) (k course, err error) {
	spans := slices.Concat(courseSpans(began, zone, "hours"), courseSpans(began, zone, "days"))
	bins := len(spans)
	spans = append(spans, event.Span{From: began, To: tx.Now().Add(24 * time.Hour)})
	err = event.Steady(tx, func(upto time.Time) error {
		sums, err := event.StreamSums(tx, c.BrandID, c.ID, spans)
		if err != nil {
			return err
		}
		more, err := tracking.UnfoldedOf(tx, upto, c.BrandID, c.ID, spans)
		k = course{n: map[string][]int64{}}
		for _, x := range slices.Concat(sums, more) {
			what := courseThings[x.Kind]
			if x.Span == bins {
				if what == left {
					k.Left += x.N
				}
				continue
			}
			if k.n[what] == nil {
				k.n[what] = make([]int64, bins)
			}
			k.n[what][x.Span] += x.N
		}
		return err
	})
	return k, err
}

// drawCourse puts the pictures on the page of a campaign of which something was
// sent: the mails by themselves, or what people did would lie flat beneath them.
func (d *desk) drawCourse(m mailing, page *CampaignPage) {
	if len(m.bins) == 0 {
		return
	}
	drawn := m.Progress.in(m.by, len(m.bins))
	page.Course = []Plot{d.plot("answers", m.bins, drawn, lineOf{firstOpen, "yes"}, lineOf{firstClick, "yes dash"}, lineOf{left, "no"}),
		d.plot("mails", m.bins, drawn, lineOf{sent, "ink"})}
	for _, by := range []string{"hours", "days"} {
		page.Spans = append(page.Spans, Tab{View: d.l.T("admin.campaign.by-" + by), URL: d.to(campaignPath(m.Campaign), "by", by), Current: by == m.by})
	}
}
