package public

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// why tells on what permission a mail rests, by which rule its reader was
// chosen, and what was used to write it.
func (h *house) why(c echo.Context) error {
	ref, err := h.URLs.ReadWhy(c.Param("token"))
	if err != nil {
		return err
	}
	var r signup.Reason
	var from offer.Offer
	err = h.read(c, func(tx *store.Tx) (err error) {
		if r, err = signup.Why(tx, ref); err != nil || r.Origin != delivery.OriginOffer {
			return err
		}
		from, err = offer.Find(tx, r.Brand.ID, r.Message.StreamID)
		if problem.Is(err, problem.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	l := speak(c, r.Language())
	page := Why{Frame: frame(c, r.Brand), Words: r.Words, Page: r.Page, Data: data(r.Message), Subject: h.subject(c, r.Message)}
	if r.Message.SettledAt != nil && r.Message.State == delivery.Sent {
		page.SentAt = *r.Message.SettledAt
	}
	if r.Topic != nil {
		page.Topic, page.Now, page.Leave = r.Topic.Name, r.Topic.On, h.URLs.Leave(ref)
	} else {
		page.Service = service(l, r)
	}
	if r.Consent != nil {
		page.Given, page.GivenAt, page.Method = true, r.Consent.OccurredAt, r.Consent.Method
		page.Receipt = h.URLs.Receipt(r.Event)
	}
	if r.Place > 0 {
		page.Place = l.T("public.why.place", "Place", r.Place, "Max", r.Promise.Max, "Days", r.Promise.Days)
	}
	if r.Subscriber != nil {
		page.Email, page.Preferences = r.Subscriber.Email, h.URLs.Preferences(r.Brand.ID, r.Subscriber.ID)
		page.Cause, page.Matched = cause(l, r, from, page.Zone)
	} else {
		page.Data, page.Subject = nil, ""
	}
	return web.Page(c, http.StatusOK, "public/why", page)
}

// service says why a mail came that is about no topic.
func service(l *i18n.Localizer, r signup.Reason) string {
	if slices.Contains(ownMails, r.Message.Template) {
		return l.T("public.why.service."+r.Message.Template, "Brand", r.Brand.In(l.Lang()).Name)
	}
	return l.T("public.why.service")
}

// cause puts into words by which rule the reader of a mail was chosen, and what
// of them it looked at: as it was kept with the mail when it was made.
func cause(l *i18n.Localizer, r signup.Reason, from offer.Offer, zone *time.Location) (text string, matched []Datum) {
	if r.Topic == nil {
		return "", nil
	}
	kept, _ := r.Message.Data[delivery.WhyKey].(map[string]any)
	switch r.Origin {
	case delivery.OriginCampaign:
		if tag, _ := kept["tag"].(string); tag != "" {
			return l.T("public.why.campaign-tag", "Topic", r.Topic.Name, "Tag", tag), []Datum{{l.T("public.why.tag"), tag}}
		}
		return l.T("public.why.campaign", "Topic", r.Topic.Name), nil
	case delivery.OriginSequence:
		if kept == nil {
			return l.T("public.why.sequence-bare", "Topic", r.Topic.Name), nil
		}
		at := day(l, kept["joined"], zone)
		return l.T("public.why.sequence", "Topic", r.Topic.Name, "Mail", whole(kept["mail"]), "Mails", whole(kept["mails"]), "At", at),
			[]Datum{{l.T("public.why.joined"), at}}
	case delivery.OriginOffer:
		rule := offer.Offer{MinMonths: whole(kept["min_months"]), MinOrders: whole(kept["min_orders"]), MinValue: int64(whole(kept["min_value"]))}
		rule.Currency, _ = kept["currency"].(string)
		title := titleOf(from, l.Lang(), r.Brand.Language)
		if kept == nil {
			return l.T("public.why.offer-bare", "Title", title), nil
		}
		if since := day(l, kept["customer_since"], zone); since != "" {
			matched = append(matched, Datum{l.T("public.about.customer"), since})
		}
		if rule.MinOrders > 0 {
			matched = append(matched, Datum{l.T("public.rule.your-orders"), l.Number(int64(whole(kept["orders"])))})
		}
		if rule.MinValue > 0 {
			matched = append(matched, Datum{l.T("public.rule.your-value"), offer.Money(l, int64(whole(kept["value"])), rule.Currency)})
		}
		return l.T("public.why.offer", "Title", title, "Rule", rules(l, rule)), matched
	}
	return "", nil
}

// whole is a number as it comes back from JSON.
func whole(v any) int {
	n, _ := v.(float64)
	return int(n)
}

func day(l *i18n.Localizer, v any, zone *time.Location) string {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	return l.Date(at, zone)
}

// data are the values that the mail was written with, without its links.
func data(m delivery.Message) []Datum {
	all := named("", m.Data)
	slices.SortFunc(all, func(a, b Datum) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func named(before string, values map[string]any) (all []Datum) {
	for name, value := range values {
		if strings.HasSuffix(name, "_url") || value == "" || name == delivery.WhyKey {
			continue
		}
		text := fmt.Sprint(value)
		switch value := value.(type) {
		case map[string]any:
			all = append(all, named(before+name+".", value)...)
			continue
		case []any:
			parts := make([]string, len(value))
			for i, v := range value {
				parts[i] = fmt.Sprint(v)
			}
			text = strings.Join(parts, "\n")
		}
		all = append(all, Datum{Name: before + name, Value: text})
	}
	return all
}
