package consent

import (
	"strings"
	"time"

	"assent/internal/i18n"
	"assent/internal/problem"
)

// Law is what a place lets a brand do, where places differ. What is not said of
// a place is not done there.
type Law struct {
	Single string // single opt-in: why it is allowed; empty: it is not
	Soft   string // the soft opt-in of customers, likewise
	Asking string // one mail that asks for a permission there is no evidence of, likewise
}

// laws by ISO 3166 country. A double opt-in is asked of everybody else: courts
// of Germany and Austria want it as proof (BGH I ZR 164/09), and elsewhere
// whoever sends bears the burden of proof (GDPR art. 7(1)). A mail that asks for
// consent is advertising itself in the EU and the UK (BGH VI ZR 721/15, ICO v.
// Flybe and Honda 2017) and a commercial electronic message in Canada (CASL s.1(3)).
var laws = map[string]Law{
	"AU": {Single: "Spam Act 2003 s.16, Sch. 2"},
	"BR": {Single: "LGPD art. 8"},
	"CA": {Single: "CASL ss. 6, 10(1), 13"},
	"CH": {Soft: "UWG art. 3(1)(o)"},
	"GB": {Single: "PECR reg. 22(2)", Soft: "PECR reg. 22(3)"},
	"IR": {Single: "Electronic Commerce Law 1382 art. 55", Asking: "Electronic Commerce Law 1382 arts. 53–55"},
	"NZ": {Single: "Unsolicited Electronic Messages Act 2007 s.9"},
	"US": {Single: "15 USC 7704", Asking: "15 USC 7704(a)"},
	"AT": {Soft: "TKG 2021 § 174(4)"},
	"DE": {Soft: "UWG § 7(3)"},
	"ES": {Single: "LSSI art. 21(1)", Soft: "LSSI art. 21(2)"},
	"FR": {Single: "CPCE art. L34-5", Soft: "CPCE art. L34-5"},
	"IE": {Single: "S.I. 336/2011 reg. 13", Soft: "S.I. 336/2011 reg. 13(11)"},
	"IT": {Soft: "D.Lgs. 196/2003 art. 130(4)"},
	"NL": {Single: "Telecommunicatiewet art. 11.7", Soft: "Telecommunicatiewet art. 11.7(3)"},
}

func init() {
	for _, code := range strings.Fields("BE BG CY CZ DK EE FI GR HR HU IS LI LT LU LV MT NO PT RO SE SI SK") {
		laws[code] = Law{Soft: "Directive 2002/58/EC art. 13(2)"}
	}
}

// LawOf gives the law of a jurisdiction, an ISO 3166 code; a part of a country
// has that of the country. Of a place that is not known it allows nothing.
func LawOf(jurisdiction string) Law {
	country, _, _ := strings.Cut(jurisdiction, "-")
	return laws[country]
}

// Implied reports a basis that the law takes from what somebody did, and that
// ends by itself.
func Implied(basis string) bool { return basis == BasisImpliedPurchase || basis == BasisImpliedInquiry }

// weak reports a basis that is no yes of the person's.
func weak(basis string) bool { return Implied(basis) || basis == BasisSoftOptIn }

// ImpliedMonths is how long an implied consent lasts (CASL s.10(10)): two years
// from a purchase, six months from an inquiry.
var ImpliedMonths = map[string]int{BasisImpliedPurchase: 24, BasisImpliedInquiry: 6}

// After is the end of the day that lies so many calendar months after the day of
// t in a zone: the first moment that is not within any more. Where the month is
// too short it is its last day.
func After(t time.Time, months int, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	if last := time.Date(y, m+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC); d > last.Day() {
		d = last.Day()
	}
	return dayBegins(y, m+time.Month(months), d+1, zone)
}

// DayOf is the first moment of the day of t in a zone.
func DayOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return dayBegins(y, m, d, zone)
}

// ReadDay is the first moment in a zone of a day written as 2026-03-15; problem.Invalid
// of the field otherwise, and for one that is still to come.
func ReadDay(field, text string, zone *time.Location, now time.Time) (time.Time, error) {
	y, m, d, ok := i18n.ParseDay(strings.TrimSpace(text))
	if !ok {
		return time.Time{}, problem.InvalidField(field, "consent.day")
	}
	day := dayBegins(y, m, d, zone)
	if day.After(now) {
		return time.Time{}, problem.InvalidField(field, "consent.said-future")
	}
	return day, nil
}

// dayBegins is the first moment of a day, which is not midnight everywhere:
// clocks that are put forward at midnight begin it later.
func dayBegins(y int, m time.Month, d int, zone *time.Location) time.Time {
	want := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for t.YearDay() != want.YearDay() && t.Before(want.Add(24*time.Hour)) {
		t = t.Add(15 * time.Minute)
	}
	return t.UTC()
}

// Until is when a permission of the topic ends that was said at a time; nil is
// never. A topic has days or months; an implied consent ends at the latest when
// the law says so.
func (t Topic) Until(basis string, said time.Time, zone *time.Location) *time.Time {
	var until *time.Time
	switch {
	case t.ValidMonths > 0:
		end := After(said, t.ValidMonths, zone)
		until = &end
	case t.ValidDays > 0:
		end := said.AddDate(0, 0, t.ValidDays)
		until = &end
	}
	if months, ok := ImpliedMonths[basis]; ok {
		if end := After(said, months, zone); until == nil || end.Before(*until) {
			until = &end
		}
	}
	return utcOf(until)
}

// Sale is what a soft opt-in rests on (Directive 2002/58/EC art. 13(2)).
type Sale struct {
	Ref     string    // the order's number, or another name of the sale
	Product string    // what was bought
	Offered time.Time // when the way out was offered as the address was taken
}

// checkWay says what is missing for the basis of an act.
func (a *Act) checkWay(p *problem.Error, now time.Time) {
	if !InForce(a.State) {
		return
	}
	if a.SaidAt != nil && a.SaidAt.After(now) {
		p.Field("said_on", "consent.said-future")
	}
	if Implied(a.Basis) && a.SaidAt == nil {
		p.Field("said_on", "consent.start-missing")
	}
	if a.Basis != BasisSoftOptIn {
		return
	}
	if LawOf(a.Brand.Jurisdiction).Soft == "" {
		p.Field("basis", "consent.soft.law")
	}
	if !a.Topic.OwnSimilar {
		p.Field("topic", "consent.soft.topic")
	}
	s := a.Sale
	if s == nil {
		s = &Sale{}
	}
	if strings.TrimSpace(s.Ref) == "" {
		p.Field("sale_ref", "problem.field.required")
	}
	if strings.TrimSpace(s.Product) == "" {
		p.Field("product", "problem.field.required")
	}
	switch {
	case s.Offered.IsZero():
		p.Field("offered_opt_out_at", "problem.field.required")
	case s.Offered.After(now):
		p.Field("offered_opt_out_at", "consent.said-future")
	}
}

// told is the evidence with what the way adds to it.
func (a *Act) told() map[string]any {
	if a.SaidAt == nil && a.Sale == nil {
		return a.Evidence
	}
	all := map[string]any{}
	for name, v := range a.Evidence {
		all[name] = v
	}
	if a.SaidAt != nil {
		all["said_at"] = a.SaidAt.UTC().Format(time.RFC3339)
	}
	if a.Sale != nil {
		all["sale_ref"], all["product"], all["offered_opt_out_at"] = a.Sale.Ref, a.Sale.Product, a.Sale.Offered.UTC().Format(time.RFC3339)
	}
	return all
}

// yields reports that a step changes nothing: what stands is more than what it
// brings. A purchase takes nothing from who said yes themself, and an older one
// nothing from a newer. An operator makes no yes of a soft opt-in: problem.Conflict
// "consent.soft-stays", unless the person said it since, in words.
func (a *Act) yields(last *Event, until *time.Time) (bool, error) {
	if last == nil || !InForce(last.State) || !InForce(a.State) || a.Entity != EntityOperator {
		return false, nil
	}
	if weak(a.Basis) {
		if !weak(last.Basis) {
			return true, nil
		}
		return last.ValidUntil == nil || until != nil && !until.After(*last.ValidUntil), nil
	}
	if last.Basis == BasisSoftOptIn && (strings.TrimSpace(a.Wording) == "" || a.SaidAt == nil || a.SaidAt.Before(DayOf(last.OccurredAt, a.Brand.Location()))) {
		return false, problem.New(problem.Conflict, "consent.soft-stays")
	}
	return false, nil
}
