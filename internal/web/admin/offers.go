package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
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
		look("/offers/:id/edit", account.Marketer, ofID(editOffer)),
		act("/offers/:id/edit", account.Marketer, ofID(saveOffer)),
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
	return kind[offer.Offer]{name: "offer", help: "offers", columns: []string{"gives", "#issued"}, some: offer.Some,
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

func offerPath(id uuid.UUID) string { return offerKind().path(id) }

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

// OfferForm is the page admin/offer-form: a new one, or one to change. Of one
// that was started Fixed says what stays as people were told.
type OfferForm struct {
	Frame
	Sheet  Sheet
	Title  string
	Text   string
	Fixed  []OfferFact
	Terms  []OfferText // of one that was started
	Topics []Choice
	Kinds  []Choice
	Texts  []LanguageFields
	Back   string
}

// OfferFact is what an offer is, in words.
type OfferFact struct{ Label, Value string }

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
		page := OfferForm{Title: d.l.T("admin.offer.new"), Text: d.l.T("admin.offer.form-text"), Texts: mailLanguages(d.brand, nil), Back: d.to("/offers")}
		return d.drawOfferForm(status, page, s, uuid.Nil)
	}
}

// drawOfferForm shows the form with what may be chosen: of the topics those that
// are offered, and the one that is chosen already.
func (d *desk) drawOfferForm(status int, page OfferForm, s Sheet, chosen uuid.UUID) error {
	for _, kind := range []offer.ValueKind{offer.Percent, offer.Amount, offer.Gift} {
		page.Kinds = append(page.Kinds, Choice{Value: string(kind), Label: d.l.T("admin.offer.kind." + string(kind)), Hint: d.l.T("admin.offer.kind-hint." + string(kind))})
	}
	var err error
	if page.Topics, err = d.mayChoose(chosen); err != nil {
		return err
	}
	s.labelTheirs(page.Topics, page.Kinds)
	page.Frame, page.Sheet = d.frame("offers"), s
	return d.drawAs(status, "offer-form", page)
}

func createOffer(d *desk) error {
	err := d.change("offer.create", func(tx *store.Tx, form *Sheet) (done, error) {
		wrong := problem.New(problem.Invalid, "problem.invalid")
		n := offerOf(form, wrong)
		texts := textsIn(form, "content.", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, err
		}
		var err error
		if n.Content, err = delivery.SaveContent(tx, d.brand.ID, texts); err != nil {
			return done{}, err
		}
		o, err := offer.Create(tx, d.brand, n)
		return done{subject: o.ID, next: offerPath(o.ID), detail: map[string]any{"name": o.Name}}, err
	})
	return d.redraw(d.atFields(err), drawNewOffer(d))
}

// editOffer shows one to change; what has ended, its page.
func editOffer(d *desk, id uuid.UUID) error {
	o, texts, err := d.offerAt(id)
	if err != nil {
		return err
	}
	if o.State == offer.Ended {
		return web.SeeOther(d.c, d.to(offerPath(id)))
	}
	sheet, err := d.sheet(offerPath(id)+"/edit", offerValues(o, texts), offerVersion(o))
	if err != nil {
		return err
	}
	return d.drawOfferEdit(o, texts, http.StatusOK, sheet)
}

func (d *desk) drawOfferEdit(o offer.Offer, texts []delivery.Text, status int, s Sheet) error {
	page := OfferForm{Title: o.Name, Text: d.l.T("admin.offer.edit-text"), Back: d.to(offerPath(o.ID)), Texts: mailLanguages(d.brand, texts)}
	if o.State != offer.Draft {
		topics, err := d.mayChoose(o.TopicID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(topics, func(c Choice) bool { return c.Value == o.TopicID.String() })
		page.Text = d.l.T("admin.offer.edit-started-text")
		page.Fixed, page.Terms = []OfferFact{{d.l.T("admin.offer.gives"), o.Worth(d.l)}, {d.l.T("admin.campaign.field.topic"), topics[at].Label}}, d.terms(o, texts)
		page.Texts = slices.DeleteFunc(page.Texts, func(f LanguageFields) bool { _, there := o.Texts[f.Code]; return !there })
	}
	if s.Changed {
		stored := offerValues(o, texts)
		if o.State != offer.Draft {
			maps.DeleteFunc(stored, func(name string, _ []string) bool { return fixedValues(o).Has(name) })
		}
		s.Version, s.Theirs = offerVersion(o), d.theirs(stored, s.Values, "admin.offer.field.")
	}
	return d.drawOfferForm(status, page, s, o.TopicID)
}

// offerAt is an offer with its mail.
func (d *desk) offerAt(id uuid.UUID) (o offer.Offer, texts []delivery.Text, err error) {
	err = d.read(func(tx *store.Tx) error {
		if o, err = offer.Find(tx, d.brand.ID, id); err != nil {
			return err
		}
		texts, err = delivery.Contents(tx, d.brand.ID, o.ContentID)
		return err
	})
	return o, texts, err
}

func saveOffer(d *desk, id uuid.UUID) error {
	o, texts, err := d.offerAt(id)
	if err != nil {
		return err
	}
	err = d.change("offer.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := offer.Lock(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		o = now
		if texts, err = delivery.Contents(tx, d.brand.ID, o.ContentID); err != nil {
			return done{}, err
		}
		if o.State != offer.Ended && form.Version != offerVersion(o) {
			return done{}, errChanged()
		}
		wrong := problem.New(problem.Invalid, "problem.invalid")
		if o.State != offer.Draft { // the form does not ask for what stays
			for name, kept := range fixedValues(o) {
				form.Values[name] = kept
			}
		}
		n, mail := offerOf(form, wrong), textsIn(form, "content.", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, err
		}
		if n.Content, err = saveMail(tx, d.brand.ID, mail, map[uuid.UUID][]delivery.Text{o.ContentID: texts}); err != nil {
			return done{}, err
		}
		changed, err := offer.Update(tx, d.brand, id, n)
		return done{subject: id, next: offerPath(id), detail: map[string]any{"name": changed.Name, "budget": changed.Budget, "valid_days": changed.ValidDays}}, err
	})
	if p, is := problem.Of(err); is && p.Key == "offer.state.ended" {
		return d.drawOffer(id, http.StatusConflict, nil, d.l.T(p.Key))
	}
	return d.redraw(d.atFields(err), func(status int, s Sheet) error { return d.drawOfferEdit(o, texts, status, s) })
}

// offerVersion names what the form changes: codes that are given, or a pause, are no edit.
func offerVersion(o offer.Offer) string {
	return fingerprintOf([]any{offerValues(o, nil), o.ContentID, o.State == offer.Draft})
}

// offerValues are an offer as its form has it.
func offerValues(o offer.Offer, texts []delivery.Text) url.Values {
	v := fixedValues(o)
	v.Set("name", o.Name)
	for name, n := range map[string]int{"budget": o.Budget, "valid_days": o.ValidDays, "min_orders": o.MinOrders, "min_months": o.MinMonths} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	if o.MinValue > 0 {
		v.Set("min_value", offer.TypedMoney(o.MinValue, o.Currency))
	}
	putMail(v, texts)
	return v
}

// fixedValues are those that stay once it was started.
func fixedValues(o offer.Offer) url.Values {
	v := url.Values{"topic": {o.TopicID.String()}, "value_kind": {string(o.ValueKind)}}
	if o.Currency != "" {
		v.Set("currency", o.Currency)
	}
	switch o.ValueKind {
	case offer.Percent:
		v.Set("value", strconv.FormatInt(o.Value, 10))
	case offer.Amount:
		v.Set("value", offer.TypedMoney(o.Value, o.Currency))
	}
	for lang, text := range o.Texts {
		v.Set("texts."+lang+".title", text.Title)
		v.Set("texts."+lang+".terms", text.Terms)
	}
	return v
}

// terms are the words of an offer, in the languages that it has.
func (d *desk) terms(o offer.Offer, texts []delivery.Text) (all []OfferText) {
	for _, field := range mailLanguages(d.brand, texts) {
		if text, ok := o.Texts[field.Code]; ok {
			all = append(all, OfferText{Name: field.Name, Lang: field.Code, Dir: field.Dir, Title: text.Title, Terms: text.Terms})
		}
	}
	return all
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
