package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
)

func offerActions() []action {
	k := offerKind()
	on := func(do func(*store.Tx, uuid.UUID, uuid.UUID, offer.Stream) (offer.Offer, error), stream offer.Stream) func(*store.Tx, uuid.UUID, uuid.UUID) (offer.Offer, error) {
		return func(tx *store.Tx, brandID, id uuid.UUID) (offer.Offer, error) { return do(tx, brandID, id, stream) }
	}
	return []action{
		look("/offers", account.Reader, k.list),
		look("/offers/new", account.Marketer, newOffer),
		act("/offers/new", account.Marketer, createOffer),
		look("/offers/:id", account.Reader, k.show()),
		behind(http.MethodGet, "/offers/:id/live", account.Reader, live((*desk).given)),
		look("/offers/:id/preview", account.Reader, previewOffer),
		look("/offers/:id/codes", account.Analyst, offerCodes),
		act("/offers/:id/redeem", account.Marketer, redeemCode),
		act("/offers/:id/start", account.Marketer, k.move("start", on(offer.Start, openOffer))),
		act("/offers/:id/pause", account.Marketer, k.move("pause", on(offer.Pause, delivery.PauseStream))),
		act("/offers/:id/resume", account.Marketer, k.move("resume", goOn(offer.Find, func(o offer.Offer) bool { return o.State == offer.Running },
			on(offer.Resume, delivery.ResumeStream), problem.New(problem.Conflict, "offer.state.running")))),
		act("/offers/:id/end", account.Marketer, k.move("end", on(offer.End, delivery.ResumeStream))),
	}
}

func openOffer(tx *store.Tx, brandID, id uuid.UUID) error {
	return delivery.OpenStream(tx, brandID, delivery.OriginOffer, id)
}

func offerKind() kind[offer.Offer] {
	return kind[offer.Offer]{name: "offer", columns: []string{"gives", "#issued"}, some: offer.Some,
		of: func(o offer.Offer) item {
			return item{ID: o.ID, Topic: o.TopicID, Name: o.Name, State: string(o.State)}
		},
		cells: func(d *desk, _ *store.Tx, _ []offer.Offer) (func(offer.Offer) []Cell, error) {
			return func(o offer.Offer) []Cell {
				issued := d.l.T("admin.offer.of", "N", d.l.Number(int64(o.Issued)), "All", d.l.Number(int64(o.Budget)))
				return []Cell{{Text: o.Worth(d.l), Under: d.earns(o)}, {Text: issued}}
			}, nil
		},
		draw: func(d *desk, id uuid.UUID, status int, fault string) error {
			return d.drawOffer(id, status, nil, fault)
		}}
}

func offerPath(id uuid.UUID) string { return "/offers/" + id.String() }

// earns says who has earned an offer: whoever meets one of these.
func (d *desk) earns(o offer.Offer) string {
	var ways []string
	if o.MinOrders > 0 {
		ways = append(ways, d.l.N("admin.offer.for.orders", int64(o.MinOrders)))
	}
	if o.MinValue > 0 {
		ways = append(ways, d.l.T("admin.offer.for.value", "Value", offer.Money(d.l, o.MinValue, o.Currency)))
	}
	if o.MinMonths > 0 {
		ways = append(ways, d.l.N("admin.offer.for.months", int64(o.MinMonths)))
	}
	return strings.Join(ways, d.l.T("admin.offer.for.or"))
}

// OfferForm is the page admin/offer-form.
type OfferForm struct {
	Frame
	Sheet  Sheet
	Topics []Choice
	Kinds  []Choice
	Texts  []LanguageFields
	Back   string
}

func newOffer(d *desk) error {
	sheet, err := d.sheet("/offers/new", d.offerBegun(), "")
	if err != nil {
		return err
	}
	return drawNewOffer(d)(http.StatusOK, sheet)
}

// offerBegun is what a new offer begins with: a mail that names what is given,
// in the brand's languages.
func (d *desk) offerBegun() url.Values {
	v := url.Values{"value_kind": {string(offer.Percent)}, "valid_days": {d.l.Number(30)}}
	for _, field := range d.languageFields() {
		if !slices.Contains(i18n.Languages, field.Code) {
			continue
		}
		l, of := i18n.For(field.Code), "content."+field.Code+"."
		say := func(part string) string {
			return l.T("admin.offer.template."+part, "Person", `{{ subscriber.name | default: "`+l.T("admin.sequence.template.friend")+`" }}`,
				"Value", "{{ offer.value }}", "Code", "{{ offer.code }}", "Until", "{{ offer.expires_at }}", "Title", "{{ offer.title }}", "Terms", "{{ offer.terms }}", "Brand", "{{ brand.name }}")
		}
		v.Set(of+"subject", say("subject"))
		v.Set(of+"html", "<p>"+strings.ReplaceAll(say("text"), "\n\n", "</p>\n<p>")+"</p>")
	}
	return v
}

func drawNewOffer(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := OfferForm{Frame: d.frame("offers"), Sheet: s, Texts: mailLanguages(d.brand, nil), Back: d.to("/offers")}
		for _, kind := range []offer.ValueKind{offer.Percent, offer.Amount, offer.Gift} {
			page.Kinds = append(page.Kinds, Choice{Value: string(kind), Label: d.l.T("admin.offer.kind." + string(kind)), Hint: d.l.T("admin.offer.kind-hint." + string(kind))})
		}
		err := d.read(func(tx *store.Tx) error {
			all, err := consent.AllTopics(tx, d.brand.ID)
			for _, t := range all {
				if t.Purpose == consent.Marketing && t.ArchivedAt == nil {
					page.Topics = append(page.Topics, Choice{Value: t.ID.String(), Label: t.In(d.brand, d.l.Lang()).Name})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		return d.drawAs(status, "offer-form", page)
	}
}

func createOffer(d *desk) error {
	err := d.change("offer.create", func(tx *store.Tx, form *Sheet) (done, error) {
		wrong := problem.New(problem.Invalid, "problem.invalid")
		n := offerOf(form, wrong)
		texts := textsIn(form, "content.", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, err
		}
		for _, t := range texts {
			n.Languages = append(n.Languages, t.Language)
		}
		var err error
		if n.Content, err = delivery.SaveContent(tx, d.brand.ID, texts); err != nil {
			return done{}, err
		}
		o, err := offer.Create(tx, d.brand, n)
		return done{subject: o.ID, next: offerPath(o.ID), detail: map[string]any{"name": o.Name}}, err
	})
	return d.redraw(d.atOffer(err), drawNewOffer(d))
}

// atOffer names the inputs that a fault of an offer is told at.
func (d *desk) atOffer(err error) error {
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) == 0 {
		return err
	}
	named := *p
	named.Fields = slices.Clone(p.Fields)
	for i, f := range named.Fields {
		switch parts := strings.Split(f.Name, "/"); {
		case parts[0] == "content":
			named.Fields[i].Name = d.mailField(f.Name)
		case len(parts) == 2 && parts[0] == "texts":
			named.Fields[i].Name += "/title"
		}
	}
	return &named
}

// offerOf reads the fields of an offer, but for its mail.
func offerOf(form *Sheet, wrong *problem.Error) offer.New {
	n := offer.New{Name: form.text("name"), Texts: map[string]offer.Text{}, ValueKind: offer.ValueKind(form.Value("value_kind")),
		Currency: strings.ToUpper(form.text("currency")), ValidDays: form.whole("valid_days", wrong), Budget: form.whole("budget", wrong),
		MinOrders: form.whole("min_orders", wrong), MinMonths: form.whole("min_months", wrong)}
	n.Topic, _ = uuid.Parse(form.Value("topic"))
	n.MinValue = form.money("min_value", n.Currency, wrong)
	switch n.ValueKind {
	case offer.Percent:
		n.Value = int64(form.whole("value", wrong))
	case offer.Amount:
		n.Value = form.money("value", n.Currency, wrong)
	}
	for name := range form.Values {
		rest, is := strings.CutPrefix(name, "texts.")
		lang, _, whole := strings.Cut(rest, ".")
		if !is || !whole {
			continue
		}
		text := offer.Text{Title: form.text("texts." + lang + ".title"), Terms: form.text("texts." + lang + ".terms")}
		if text != (offer.Text{}) {
			n.Texts[lang] = text
		}
	}
	return n
}

// money is an amount of a field in minor units; empty is 0. What is none is put
// among what is wrong.
func (s *Sheet) money(name, currency string, wrong *problem.Error) int64 {
	typed := s.text(name)
	if typed == "" {
		return 0
	}
	n, ok := offer.ParseMoney(typed, currency)
	if !ok {
		wrong.Field(name, "admin.offer.no-money")
	}
	return n
}
