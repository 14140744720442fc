package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/offer"
	"assent/internal/store"
)

// offers: single-use codes for those who have earned them and allowed the mail.
func (h *house) offers() {
	write(h, action{http.MethodPost, "/offers", "createOffer", "offers:write", "offers", "Make an offer",
		"A draft. Its mail may use offer.code, offer.title, offer.terms, offer.value and offer.expires_at.", http.StatusCreated, false}, createOffer)
	read(h, action{http.MethodGet, "/offers", "listOffers", "offers:read", "offers", "List the offers", "Newest first.", 0, false}, listOffers)
	read(h, action{http.MethodGet, "/offers/{id}", "getOffer", "offers:read", "offers", "Get an offer", "With its mail and the counts of its messages.", 0, false}, getOffer)
	for _, m := range []struct {
		verb, summary, more string
		do                  func(*store.Tx, uuid.UUID, uuid.UUID, offer.Stream) (offer.Offer, error)
		stream              offer.Stream
	}{
		{"start", "Start a draft", "From now on codes are given out to whoever is eligible, until the budget is used up.", offer.Start, openOfferStream},
		{"pause", "Pause an offer", "No new codes, and the mails that are queued wait. Codes that people have go on holding.", offer.Pause, delivery.PauseStream},
		{"resume", "Resume a paused offer", "", offer.Resume, delivery.ResumeStream},
		{"end", "End an offer for good", "No new codes. Those that people have hold until they expire.", offer.End, delivery.ResumeStream},
	} {
		write(h, action{http.MethodPost, "/offers/{id}/" + m.verb, m.verb + "Offer", "offers:write", "offers", m.summary, m.more, 0, false},
			func(tx *store.Tx, c caller, in *ByID) (offerAnswer, error) {
				o, err := m.do(tx, c.brand.ID, in.ID, m.stream)
				if err != nil {
					return offerAnswer{}, err
				}
				return wholeOffer(tx, c, o)
			})
	}
	read(h, action{http.MethodGet, "/offers/{id}/codes", "listCodes", "offers:read", "offers", "List an offer's codes", "In the order they were issued.", 0, false}, listCodes)
	write(h, action{http.MethodPost, "/offers/{id}/redemptions", "redeemCode", "offers:write", "offers", "Redeem a code",
		"Once: of any number of tries at once one wins. The same order asking again gets the same answer. An unknown or another offer's code is 404, an expired one 410, a used one 409.", 0, false}, redeemCode)
}

func openOfferStream(tx *store.Tx, brandID, id uuid.UUID) error {
	return delivery.OpenStream(tx, brandID, delivery.OriginOffer, id)
}

type moneyBody struct {
	Amount   int64  `json:"amount" minimum:"0" doc:"Whole minor units." example:"1250"`
	Currency string `json:"currency" minLength:"3" maxLength:"3" doc:"ISO 4217." example:"GBP"`
}

type offerText struct {
	Title string `json:"title" maxLength:"200" example:"A thank-you for three orders"`
	Terms string `json:"terms" maxLength:"2000" example:"On your next order, once."`
}

type offerValue struct {
	Kind    string     `json:"kind" enum:"percent,amount,gift" example:"percent"`
	Percent int64      `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"Of kind percent." example:"15"`
	Amount  *moneyBody `json:"amount,omitempty" doc:"Of kind amount."`
}

type eligibility struct {
	Orders int        `json:"orders,omitempty" minimum:"0" maximum:"1000000" doc:"At least so many orders, or" example:"3"`
	Spent  *moneyBody `json:"spent,omitempty" doc:"orders worth so much together, or"`
	Months int        `json:"months,omitempty" minimum:"0" maximum:"1200" doc:"a customer for so long." example:"0"`
}

type offerNew struct {
	Name      string               `json:"name" maxLength:"200" example:"Thanks 2026"`
	Topic     string               `json:"topic" maxLength:"64" doc:"The slug of the topic whose permission the mail needs." example:"offers"`
	Texts     map[string]offerText `json:"texts" minProperties:"1" doc:"By language, the same ones as the mail's." example:"{\"en\":{\"title\":\"A thank-you\",\"terms\":\"On your next order, once.\"}}"`
	Mail      []mailText           `json:"mail" minItems:"1" maxItems:"20" doc:"The mail that brings the code, one text per language."`
	Value     offerValue           `json:"value"`
	ValidDays int                  `json:"valid_days" minimum:"1" maximum:"3650" doc:"A code holds to the end of this day after it was issued." example:"30"`
	Budget    int                  `json:"budget" minimum:"1" maximum:"100000000" doc:"Codes at most." example:"500"`
	For       eligibility          `json:"for" doc:"Whoever meets one of these."`
}

type offerAnswer struct {
	ID        uuid.UUID            `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000007"`
	Name      string               `json:"name" example:"Thanks 2026"`
	Topic     string               `json:"topic" example:"offers"`
	State     string               `json:"state" enum:"draft,running,paused,ended" example:"running"`
	Texts     map[string]offerText `json:"texts"`
	Mail      []mailText           `json:"mail,omitempty" doc:"Not in lists."`
	Value     offerValue           `json:"value"`
	ValidDays int                  `json:"valid_days" example:"30"`
	Budget    int                  `json:"budget" example:"500"`
	Issued    int                  `json:"issued" example:"73"`
	For       eligibility          `json:"for"`
	SourceID  uuid.UUID            `json:"source_id" format:"uuid" doc:"The source of its messages." example:"019a1f5c-7c00-7000-8000-00000000000a"`
	Messages  *countsAnswer        `json:"messages,omitempty" doc:"Not in lists."`
	CreatedAt time.Time            `json:"created_at" example:"2026-11-22T09:00:00Z"`
	UpdatedAt time.Time            `json:"updated_at" example:"2026-11-22T09:00:00Z"`
}

func showOffer(names map[uuid.UUID]string) func(offer.Offer) offerAnswer {
	return func(o offer.Offer) offerAnswer {
		a := offerAnswer{ID: o.ID, Name: o.Name, Topic: names[o.TopicID], State: string(o.State), Texts: map[string]offerText{}, ValidDays: o.ValidDays,
			Budget: o.Budget, Issued: o.Issued, SourceID: o.IssueID, CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(),
			Value: offerValue{Kind: string(o.ValueKind)}, For: eligibility{Orders: o.MinOrders, Months: o.MinMonths}}
		for lang, t := range o.Texts {
			a.Texts[lang] = offerText(t)
		}
		switch o.ValueKind {
		case offer.Percent:
			a.Value.Percent = o.Value
		case offer.Amount:
			a.Value.Amount = &moneyBody{o.Value, o.Currency}
		}
		if o.MinValue > 0 {
			a.For.Spent = &moneyBody{o.MinValue, o.Currency}
		}
		return a
	}
}

func wholeOffer(tx *store.Tx, c caller, o offer.Offer) (offerAnswer, error) {
	names, err := slugs(tx, c)
	if err != nil {
		return offerAnswer{}, err
	}
	a := showOffer(names)(o)
	texts, err := delivery.Contents(tx, c.brand.ID, o.ContentID)
	if err != nil {
		return a, err
	}
	a.Mail = showTexts(texts)
	counts, err := delivery.SourceCounts(tx, c.brand.ID, o.IssueID)
	a.Messages = ptr(countsAnswer(counts))
	return a, err
}

// offerOf says what the body says; both amounts are of one currency.
func (n offerNew) offerOf(topic, content uuid.UUID) (offer.New, error) {
	o := offer.New{Name: n.Name, Topic: topic, Content: content, Texts: map[string]offer.Text{}, ValueKind: offer.ValueKind(n.Value.Kind),
		ValidDays: n.ValidDays, Budget: n.Budget, MinOrders: n.For.Orders, MinMonths: n.For.Months}
	for lang, t := range n.Texts {
		o.Texts[lang] = offer.Text(t)
	}
	switch wanted := n.Value; {
	case (wanted.Kind == "percent") != (wanted.Percent > 0):
		return o, fieldProblem("value/percent", "api.field.value-kind")
	case (wanted.Kind == "amount") != (wanted.Amount != nil):
		return o, fieldProblem("value/amount", "api.field.value-kind")
	case wanted.Amount != nil:
		o.Value, o.Currency = wanted.Amount.Amount, wanted.Amount.Currency
	default:
		o.Value = wanted.Percent
	}
	if spent := n.For.Spent; spent != nil {
		if o.Currency != "" && o.Currency != spent.Currency {
			return o, fieldProblem("for/spent/currency", "api.field.one-currency")
		}
		o.MinValue, o.Currency = spent.Amount, spent.Currency
	}
	return o, nil
}

func createOffer(tx *store.Tx, c caller, in *struct{ Body offerNew }) (offerAnswer, error) {
	t, err := topicNamed(tx, c, "topic", in.Body.Topic)
	if err != nil {
		return offerAnswer{}, err
	}
	texts, err := deliveryTexts("mail", in.Body.Mail)
	if err != nil {
		return offerAnswer{}, err
	}
	content, err := delivery.SaveContent(tx, c.brand.ID, texts)
	if err != nil {
		return offerAnswer{}, under(err, "mail")
	}
	n, err := in.Body.offerOf(t.ID, content)
	if err != nil {
		return offerAnswer{}, err
	}
	o, err := offer.Create(tx, c.brand, n)
	if err != nil {
		return offerAnswer{}, err
	}
	return wholeOffer(tx, c, o)
}

func listOffers(tx *store.Tx, c caller, _ *noInput) (list[offerAnswer], error) {
	names, err := slugs(tx, c)
	if err != nil {
		return list[offerAnswer]{}, err
	}
	found, err := offer.List(tx, c.brand.ID)
	return all(found, showOffer(names)), err
}

func getOffer(tx *store.Tx, c caller, in *ByID) (offerAnswer, error) {
	o, err := offer.Find(tx, c.brand.ID, in.ID)
	if err != nil {
		return offerAnswer{}, err
	}
	return wholeOffer(tx, c, o)
}

type codeAnswer struct {
	Code         string     `json:"code" example:"TEA-7K2M-9QXP"`
	SubscriberID uuid.UUID  `json:"subscriber_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	IssuedAt     time.Time  `json:"issued_at" example:"2026-11-22T09:00:00Z"`
	ExpiresAt    time.Time  `json:"expires_at" example:"2026-12-22T23:59:59Z"`
	RedeemedAt   *time.Time `json:"redeemed_at,omitempty" example:"2026-12-01T10:00:00Z"`
	RedeemedFor  string     `json:"redeemed_for,omitempty" doc:"The order's number." example:"10293"`
}

func showCode(c offer.Code) codeAnswer {
	return codeAnswer{Code: c.Code, SubscriberID: c.SubscriberID, IssuedAt: c.IssuedAt.UTC(), ExpiresAt: c.ExpiresAt.UTC(), RedeemedAt: utc(c.RedeemedAt), RedeemedFor: c.RedeemedFor}
}

// listCodes reads the offer's codes by id, which grows with the time of issue;
// the unique index (offer, subscriber) bounds what is read.
func listCodes(tx *store.Tx, c caller, in *struct {
	ByID
	Paging
}) (list[codeAnswer], error) {
	after, err := readID(in.Cursor)
	if err != nil {
		return list[codeAnswer]{}, err
	}
	if _, err := offer.Find(tx, c.brand.ID, in.ID); err != nil {
		return list[codeAnswer]{}, err
	}
	var found []offer.Code
	err = tx.Where("brand_id = ? AND offer_id = ? AND id > ?", c.brand.ID, in.ID, after).Order("id").Limit(in.Limit + 1).Find(&found).Error
	if err != nil {
		return list[codeAnswer]{}, fmt.Errorf("list an offer's codes: %w", err)
	}
	return page(found, in.Limit, func(c offer.Code) string { return idCursor(c.ID) }, showCode), nil
}

type redemptionTry struct {
	Code  string `json:"code" maxLength:"100" doc:"As typed." example:"TEA-7K2M-9QXP"`
	Order string `json:"order" maxLength:"100" doc:"The shop's own number of the order." example:"10293"`
}

type redemptionAnswer struct {
	OfferID      uuid.UUID  `json:"offer_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000007"`
	SubscriberID uuid.UUID  `json:"subscriber_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	Code         string     `json:"code" example:"TEA-7K2M-9QXP"`
	Order        string     `json:"order" example:"10293"`
	RedeemedAt   time.Time  `json:"redeemed_at" example:"2026-12-01T10:00:00Z"`
	Value        offerValue `json:"value"`
}

// redeemCode answers a refusal after what it leaves behind is committed.
func redeemCode(tx *store.Tx, c caller, in *struct {
	ByID
	Body redemptionTry
}) (redemptionAnswer, error) {
	r, refusal, err := offer.Redeem(tx, c.brand.ID, offer.Try{Offer: in.ID, Code: in.Body.Code, Order: in.Body.Order})
	if err != nil {
		return redemptionAnswer{}, err
	}
	if refusal != nil {
		return redemptionAnswer{}, refused{refusal}
	}
	a := redemptionAnswer{OfferID: r.OfferID, SubscriberID: r.SubscriberID, Code: r.Code, Order: r.Order, RedeemedAt: r.At.UTC(), Value: offerValue{Kind: string(r.ValueKind)}}
	switch r.ValueKind {
	case offer.Percent:
		a.Value.Percent = r.Value
	case offer.Amount:
		a.Value.Amount = &moneyBody{r.Value, r.Currency}
	}
	return a, nil
}
