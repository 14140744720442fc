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

// course is what became of a campaign's mails over time.
type course struct {
	Left int64 // took their permission back by a link of the mail

	by    string // hours or days
	bins  []bin  // from the first mail on; none where nothing was sent
	drawn series // what happened in each
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

// courseBins are the hours, or the days of the brand's zone, from the first mail
// on until now; none where there was no mail.
func (d *desk) courseBins(began time.Time, by string) (all []bin) {
	if began.IsZero() {
		return nil
	}
	zone, now := d.brand.Location(), d.h.DB.Now()
	y, m, day := began.In(zone).Date()
	if by == "days" {
		for i := range courseDays {
			b := bin{Span: event.Span{From: time.Date(y, m, day+i, 0, 0, 0, 0, zone), To: time.Date(y, m, day+i+1, 0, 0, 0, 0, zone)}}
			if b.From.After(now) {
				break
			}
			b.short, b.long = d.l.ShortDate(b.From, zone), d.l.Date(b.From, zone)
			all = append(all, b)
		}
		return all
	}
	first := began.Add(-time.Duration(began.In(zone).Minute()) * time.Minute) // it lies on a quarter; not by its hour's name, which two hours of a year share
	for i := range courseHours {
		from := first.Add(time.Duration(i) * time.Hour)
		if from.After(now) {
			break
		}
		all = append(all, bin{event.Span{From: from, To: from.Add(time.Hour)}, d.l.Time(from, zone), d.l.DateTime(from, zone)})
	}
	return all
}

// courseOf counts what became of a campaign's mails in each bin, and in all of
// its time. Its cost does not grow with its mails: it reads the quarters of an
// hour of its stream, and the brand's hits that are not folded in yet.
func courseOf(tx *store.Tx, c campaign.Campaign, began time.Time, by string, bins []bin) (k course, err error) {
	spans := make([]event.Span, len(bins), len(bins)+1)
	for i, b := range bins {
		spans[i] = b.Span
	}
	spans = append(spans, event.Span{From: began, To: tx.Now().Add(24 * time.Hour)})
	err = event.Steady(tx, func(upto time.Time) error {
		sums, err := event.StreamSums(tx, c.BrandID, c.ID, spans)
		if err != nil {
			return err
		}
		more, err := tracking.UnfoldedOf(tx, upto, c.BrandID, c.ID, spans)
		s := series{n: map[string][]int64{}, all: map[string]int64{}}
		k = course{by: by, bins: bins, drawn: s}
		for _, x := range slices.Concat(sums, more) {
			what := courseThings[x.Kind]
			if x.Span == len(bins) {
				if what == left {
					k.Left += x.N
				}
				continue
			}
			if s.n[what] == nil {
				s.n[what] = make([]int64, len(bins))
			}
			s.n[what][x.Span] += x.N
			s.all[what] += x.N
		}
		return err
	})
	return k, err
}

// drawCourse puts the pictures on the page of a campaign of which something was
// sent: the mails by themselves, or what people did would lie flat beneath them.
func (d *desk) drawCourse(m mailing, page *CampaignPage) {
	p := m.Progress
	if len(p.bins) == 0 {
		return
	}
	page.Course = []Plot{d.plot("answers", p.bins, p.drawn, lineOf{firstOpen, "yes"}, lineOf{firstClick, "yes dash"}, lineOf{left, "no"}),
		d.plot("mails", p.bins, p.drawn, lineOf{sent, "ink"})}
	for _, by := range []string{"hours", "days"} {
		page.Spans = append(page.Spans, Tab{View: d.l.T("admin.campaign.by-" + by), URL: d.to(campaignPath(m.Campaign), "by", by), Current: by == p.by})
	}
}
