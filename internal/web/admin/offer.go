package admin

import (
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/offer"
	"assent/internal/store"
	"assent/internal/web"
)

// redeemed is how far an offer has come.
type redeemed struct {
	Totals offer.Totals
	Until  *time.Time
	Bought []offer.Bought
	Counts delivery.Counts
}

// given is an offer as its page shows it.
type given struct {
	offer.Offer
	redeemed
	Texts     []delivery.Text
	Topic     string
	Eligible  int64 // would be given a code now; counted where the offer may begin or go on
	Stopped   string
	StoppedAt time.Time
}

// given reads an offer and counts what concerns it.
func (d *desk) given(id uuid.UUID) (g given, err error) {
	err = d.read(func(tx *store.Tx) error {
		if g.Offer, err = offer.Find(tx, d.brand.ID, id); err != nil {
			return err
		}
		if g.Texts, err = delivery.Contents(tx, d.brand.ID, g.ContentID); err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		g.Topic = topicName(d, topics, g.TopicID)
		if g.Stopped, g.StoppedAt, err = breakOf(tx, d.brand.ID, id); err != nil {
			return err
		}
		key := offerKeyOf(g.Offer)
		if g.State == offer.Draft || g.State == offer.Paused {
			g.Eligible, err = d.h.journeys.earned.of(key, func() (int64, error) { return offer.Eligible(tx, d.brand.ID, id) })
			if err != nil {
				return err
			}
		}
		g.redeemed, err = d.h.journeys.offers.of(key, func() (redeemed, error) { return countOffer(tx, d.brand.ID, g.Offer) })
		return err
	})
	return g, err
}

func countOffer(tx *store.Tx, brandID uuid.UUID, o offer.Offer) (r redeemed, err error) {
	if o.Issued == 0 {
		r.Totals.Budget = int64(o.Budget)
		return r, nil
	}
	if r.Totals, err = offer.Count(tx, brandID, o.ID); err != nil {
		return r, err
	}
	if r.Until, err = offer.LastUntil(tx, brandID, o.ID); err != nil {
		return r, err
	}
	if r.Bought, err = offer.BoughtWith(tx, brandID, o.ID); err != nil {
		return r, err
	}
	r.Counts, err = delivery.SourceCounts(tx, brandID, o.IssueID)
	return r, err
}

// OfferPage is the page admin/offer.
type OfferPage struct {
	Frame
	Title, State, Tone string
	Topic, Worth, For  string
	Lead, More         string
	Fault              string
	Live               string
	Edit               string // address; empty: not now, or not this visitor
	Acts               []Act
	Budget, Issued     int64
	Left               int64 // of the budget
	Redeemed, Expired  int64
	Open               int64 // codes that hold, and were not redeemed
	Rates              []Rate
	ValidDays          int
	Until              *time.Time
	UntilPast          bool
	Given              []GivenLine
	Counts             States
	Codes              string // address of the codes; empty: the visitor may not
	Terms              []OfferText
	Preview            Preview
	Redeem             *Sheet // nil: the visitor may not, or there is no code yet
	Anyway             bool   // the order is somebody else's: it takes a tick more
}

// GivenLine is what was given away, or what it was given for.
type GivenLine struct{ Label, Value, Base string }

// OfferText is what the offer is called and its terms, in one language.
type OfferText struct{ Name, Lang, Dir, Title, Terms string }

// drawOffer draws the page of an offer; with a code that could not be redeemed
// as it was typed, or what could not be done.
func (d *desk) drawOffer(id uuid.UUID, status int, redeem *Sheet, fault string) error {
	g, err := d.given(id)
	if err != nil {
		return err
	}
	t := g.Totals
	page := OfferPage{Frame: d.frame("offers"), Title: g.Name, State: d.l.T("admin.offer.state." + string(g.State)), Tone: stateTones[string(g.State)], Topic: g.Topic,
		Worth: g.Worth(d.l), For: d.earns(g.Offer), Fault: fault, Budget: t.Budget, Issued: t.Issued, Left: t.Budget - t.Issued, Redeemed: t.Redeemed, Expired: t.Expired,
		Open: t.Issued - t.Redeemed - t.Expired, ValidDays: g.ValidDays,
		Counts: statesOf(g.Counts)}
	if g.Until != nil {
		last := offer.LastDay(*g.Until)
		page.Until, page.UntilPast = &last, !d.h.DB.Now().Before(*g.Until)
	}
	page.Lead, page.More = d.offerLead(g)
	if g.State == offer.Running || page.Open > 0 {
		page.Live = d.to(offerPath(id)+"/live", "seen", fingerprintOf(g))
	}
	if what, refused := strings.CutPrefix(d.c.QueryParam("did"), "offer.refuse."); refused && page.Notice != "" {
		page.Fault, page.Notice = d.l.T("admin.done.offer.refuse."+what), ""
		if redeem == nil && g.Totals.Issued > 0 && d.may(account.Marketer) {
			redeem = &Sheet{Values: url.Values{}, Once: store.NewID(d.h.DB.Now()), Faults: []Fault{{"code", page.Fault}}}
			page.Fault = ""
		}
	}
	page.Rates, page.Given = d.offerRates(t), d.givenAway(g)
	page.Terms = d.terms(g.Offer, g.Texts)
	if d.may(account.Analyst) {
		page.Codes = d.to(offerPath(id) + "/codes")
	}
	if d.may(account.Marketer) {
		page.Acts = d.offerActs(g)
		if g.State != offer.Ended {
			page.Edit = d.to(offerPath(id) + "/edit")
		}
		page.Redeem, page.Anyway = d.redeemSheet(g, redeem)
	}
	page.Preview = d.previewOf(g.Texts, d.offerSample(g.Offer, d.c.QueryParam("in")),
		func(in string) string { return d.to(offerPath(id), "in", in) },
		func(in string) string { return d.to(offerPath(id)+"/preview", "in", in) })
	return d.drawAs(status, "offer", page)
}

// offerSample is the mail of an offer with a code that is none.
func (d *desk) offerSample(o offer.Offer, in string) delivery.Sample {
	if _, ok := o.Texts[in]; !ok {
		in = d.brand.Language
	}
	return delivery.Sample{BrandID: d.brand.ID, TopicID: o.TopicID, ContentID: o.ContentID, Data: o.SampleValues(d.h.DB.Now(), in, d.brand.Location())}
}

// previewOffer is the mail's own HTML, fenced in.
func previewOffer(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var o offer.Offer
	if err := d.read(func(tx *store.Tx) (err error) { o, err = offer.Find(tx, d.brand.ID, id); return err }); err != nil {
		return err
	}
	s := d.offerSample(o, d.c.QueryParam("in"))
	s.Language = d.c.QueryParam("in")
	s.Person = sample(s.Language)
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), s)
	if err != nil {
		return err
	}
	return web.Mail(d.c, string(shown.HTML))
}

// offerLead is what the page begins with.
func (d *desk) offerLead(g given) (lead, more string) {
	t := g.Totals
	switch g.State {
	case offer.Draft:
		lead = d.l.N("admin.offer.lead.draft", g.Eligible, "Budget", d.l.Number(t.Budget))
		if g.Eligible > t.Budget {
			more = d.l.N("admin.offer.more.budget", t.Budget)
		}
	default:
		lead = d.l.N("admin.offer.lead.issued", t.Issued, "Redeemed", d.l.Number(t.Redeemed), "Budget", d.l.Number(t.Budget))
	}
	switch {
	case g.Stopped != "":
		more = d.l.T("admin.offer.more.stopped", "Why", reason(d.l, g.Stopped))
	case g.State == offer.Running && t.Issued >= t.Budget:
		more = d.l.T("admin.offer.more.spent")
	case g.State == offer.Running:
		more = d.l.T("admin.offer.more.running")
	case g.State == offer.Paused:
		more = d.l.T("admin.offer.more.paused")
	case g.State == offer.Ended:
		more = d.l.T("admin.offer.more.ended")
	}
	return lead, more
}

// offerRates are of the budget, and of those who have a code.
func (d *desk) offerRates(t offer.Totals) (all []Rate) {
	if t.Budget > 0 {
		all = append(all, Rate{d.l.T("admin.offer.rate.issued"), d.percent(t.Issued, t.Budget),
			d.l.T("admin.offer.of-budget", "N", d.l.Number(t.Issued), "All", d.l.Number(t.Budget))})
	}
	if t.Issued > 0 {
		low, high := delivery.Interval(t.Redeemed, t.Issued)
		all = append(all, Rate{d.l.T("admin.offer.rate.redeemed"), d.percent(t.Redeemed, t.Issued),
			d.l.T("admin.offer.of-issued", "N", d.l.Number(t.Redeemed), "All", d.l.Number(t.Issued), "Low", d.share(low), "High", d.share(high))})
	}
	return all
}

// givenAway says what the redeemed codes cost. Of a percentage only the shop
// knows; what it reported of the orders is told, and how many it reported.
func (d *desk) givenAway(g given) (all []GivenLine) {
	n := g.Totals.Redeemed
	if n == 0 {
		return nil
	}
	if g.ValueKind == offer.Amount {
		all = append(all, GivenLine{d.l.T("admin.offer.discount"), offer.Money(d.l, n*g.Value, g.Currency),
			d.l.N("admin.offer.discount-amount", n, "Value", g.Worth(d.l))})
	}
	if g.ValueKind == offer.Gift {
		all = append(all, GivenLine{d.l.T("admin.offer.gifts"), d.l.Number(n), d.l.T("admin.offer.gifts-base")})
	}
	for _, b := range g.Bought {
		base := d.l.T("admin.offer.bought-base", "N", d.l.Number(b.Orders), "All", d.l.Number(n))
		all = append(all, GivenLine{d.l.T("admin.offer.bought"), offer.Money(d.l, b.Total, b.Currency), base})
		if g.ValueKind == offer.Percent {
			all = append(all, GivenLine{d.l.T("admin.offer.discount"), offer.Money(d.l, b.Total*g.Value/100, b.Currency), d.l.T("admin.offer.discount-percent", "Value", g.Worth(d.l))})
		}
	}
	if len(g.Bought) == 0 && g.ValueKind == offer.Percent {
		all = append(all, GivenLine{d.l.T("admin.offer.discount"), d.l.T("admin.offer.discount-unknown"), d.l.T("admin.offer.discount-unknown-base")})
	}
	return all
}

// offerActs are what may be done in its state.
func (d *desk) offerActs(g given) []Act {
	state := versionOf(g.UpdatedAt)
	if g.Stopped != "" {
		state += versionOf(g.StoppedAt)
	}
	b, left := offerKind().buttons(d, g.ID, state), g.Totals.Budget-g.Totals.Issued
	switch {
	case g.State == offer.Draft:
		b.add("start", "yes", d.l.N("admin.offer.ask.start", min(g.Eligible, left), "Budget", d.l.Number(left)))
	case g.State == offer.Paused:
		b.add("resume", "yes", d.l.N("admin.offer.ask.start", min(g.Eligible, left), "Budget", d.l.Number(left)))
	case g.State == offer.Running && g.Stopped != "":
		b.add("resume", "yes", d.l.T("admin.offer.ask.resume"))
	case g.State == offer.Running:
		b.add("pause", "", "")
	}
	if g.State != offer.Ended {
		b.add("end", "no", d.l.N("admin.offer.ask.end", g.Totals.Issued-g.Totals.Redeemed-g.Totals.Expired))
	}
	return b.all
}
