package api

import (
	"encoding/hex"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// consents: the ledger of what people said. It only grows.
func (h *house) consents() {
	write(h, action{http.MethodPost, "/subscribers/{id}/consents", "recordConsent", "consents:write", "consents", "Record a consent",
		"For shops and desks: a permission given elsewhere, with the basis it rests on and the evidence for it. Refused without evidence, after the person themself said no, and while their address is suppressed: then only they can take that back.",
		http.StatusCreated, false}, recordConsent)
	write(h, action{http.MethodPost, "/subscribers/{id}/statements", "recordStatement", "consents:write", "consents", "Record a permission on paper or by telephone",
		"What the person signed or said to your staff: who took it down, when and where, the exact words, for which topics, and a scan (PNG, JPEG or PDF, up to 5 MB) that is destroyed with the person's data. The ledger says that an operator stated it.",
		http.StatusCreated, false}, recordStatement)
	read(h, action{http.MethodGet, "/subscribers/{id}/consents", "listConsents", "consents:read", "consents", "List a person's consents",
		"All entries of the ledger, oldest first, each with its leaf: the exact line that goes into the log.", 0, false}, listConsents)
	read(h, action{http.MethodGet, "/subscribers/{id}/consents/{event}", "getConsent", "consents:read", "consents", "Get a consent with its evidence",
		"With the words that were shown, the evidence and its salt. After erasure the evidence is gone.", 0, false}, getConsent)
	write(h, action{http.MethodPost, "/subscribers/{id}/consents/withdraw", "withdrawConsents", "consents:write", "consents", "Withdraw consents",
		"What the person told you elsewhere: named topics, or everything. Repeatable; only what was written now is answered.", 0, false}, withdrawConsents)
}

type consentNew struct {
	Topic      string         `json:"topic" maxLength:"64" doc:"The topic's slug." example:"letters"`
	Basis      string         `json:"basis" enum:"explicit,implied-purchase,implied-inquiry,soft-opt-in,import,operator" example:"operator"`
	Wording    string         `json:"wording" maxLength:"5000" doc:"The exact words that were agreed to." example:"Yes, write to me about new teas."`
	Language   string         `json:"language,omitempty" maxLength:"35" doc:"Of the wording; the person's, if left out." example:"en"`
	ValidUntil *time.Time     `json:"valid_until,omitempty" doc:"The topic's duration, if left out." example:"2027-11-22T09:00:00Z"`
	SaidOn     string         `json:"said_on,omitempty" maxLength:"10" doc:"The day it was said, as 2026-03-15; for implied-purchase and implied-inquiry the day of the purchase or inquiry, which they need: they end two years or six months later, to the day." example:"2026-11-21"`
	Sale       *consentSale   `json:"sale,omitempty" doc:"What a soft opt-in rests on."`
	Evidence   map[string]any `json:"evidence" doc:"What shows it: where, when, who took it, a copy's number." example:"{\"place\":\"Leeds shop\",\"card\":\"A-1043\",\"signed_on\":\"2026-11-21\"}"`
}

type consentSale struct {
	Ref     string    `json:"sale_ref" maxLength:"500" doc:"The order's number, or another name of the sale. An order of the person with this number goes into the evidence." example:"10293"`
	Product string    `json:"product" maxLength:"500" doc:"What was bought." example:"First flush, 100 g"`
	Offered time.Time `json:"offered_opt_out_at" doc:"When the way out was offered as the address was taken." example:"2026-11-20T14:05:00Z"`
}

type consentAnswer struct {
	ID          uuid.UUID  `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000009"`
	Topic       string     `json:"topic" doc:"The topic's slug." example:"letters"`
	State       string     `json:"state" enum:"requested,given,renewed,refused,withdrawn,expired,invalidated" example:"given"`
	Basis       string     `json:"basis" example:"operator"`
	Method      string     `json:"method" example:"api"`
	At          time.Time  `json:"at" example:"2026-11-22T09:00:00Z"`
	ValidUntil  *time.Time `json:"valid_until,omitempty" example:"2028-11-21T09:00:00Z"`
	Language    string     `json:"language" example:"en"`
	WordingHash string     `json:"wording_hash,omitempty" doc:"SHA-256 of the words shown, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	FormID      *uuid.UUID `json:"form_id,omitempty" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000003"`
	FormVersion *int       `json:"form_version,omitempty" example:"1"`
	PreviousID  *uuid.UUID `json:"previous_id,omitempty" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000008"`
	Leaf        string     `json:"leaf" doc:"RFC 8785 canonical JSON, byte for byte as it is logged. It names nobody." example:"{\"state\":\"given\"}"`
}

type consentProof struct {
	consentAnswer
	Wording  string         `json:"wording,omitempty" example:"Yes, write to me about new teas."`
	Address  string         `json:"address,omitempty" doc:"As it was then; empty once erased." example:"ana@example.org"`
	Evidence map[string]any `json:"evidence,omitempty"`
	Salt     string         `json:"salt,omitempty" doc:"In hex: HMAC-SHA-256 of private under it is the leaf's commitment." example:"00112233445566778899aabbccddeeff"`
	Private  string         `json:"private,omitempty" doc:"RFC 8785 canonical JSON that the leaf commits to." example:"{\"address\":\"ana@example.org\"}"`
	Erased   bool           `json:"erased" doc:"The evidence was destroyed at the person's wish." example:"false"`
}

func showConsent(names map[uuid.UUID]string) func(consent.Event) consentAnswer {
	return func(e consent.Event) consentAnswer {
		a := consentAnswer{ID: e.ID, Topic: names[e.TopicID], State: string(e.State), Basis: e.Basis, Method: e.Method, At: e.OccurredAt.UTC(),
			ValidUntil: utc(e.ValidUntil), Language: e.Language, FormID: e.FormID, FormVersion: e.FormVersion, PreviousID: e.PreviousID, Leaf: string(e.Leaf)}
		a.WordingHash = hex.EncodeToString(e.WordingHash)
		return a
	}
}

// act is what the body states about somebody.
func (n consentNew) act(tx *store.Tx, c caller, id uuid.UUID, t consent.Topic) (a consent.Act, err error) {
	a = consent.Act{
		Brand: c.brand, Subscriber: id, Topic: t, State: consent.Given, Basis: n.Basis, Method: consent.MethodAPI,
		Language: n.Language, Wording: n.Wording, ValidUntil: utc(n.ValidUntil), Entity: consent.EntityOperator, Evidence: maps.Clone(n.Evidence),
	}
	if n.SaidOn != "" {
		day, err := consent.ReadDay("said_on", n.SaidOn, c.brand.Location(), tx.Now())
		if err != nil {
			return a, err
		}
		a.SaidAt = &day
	}
	if n.Sale == nil {
		return a, nil
	}
	a.Sale = &consent.Sale{Ref: n.Sale.Ref, Product: n.Sale.Product, Offered: n.Sale.Offered.UTC().Truncate(time.Microsecond)}
	order, err := offer.FindOrder(tx, c.brand.ID, n.Sale.Ref)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Invalid) {
		return a, nil
	}
	if err == nil && order.SubscriberID == id {
		if a.Evidence == nil {
			a.Evidence = map[string]any{}
		}
		a.Evidence["order"] = order.ID.String()
	}
	return a, err
}

func recordConsent(tx *store.Tx, c caller, in *struct {
	ByID
	Body consentNew
}) (consentAnswer, error) {
	n := in.Body
	if _, err := subscriber.Find(tx, c.brand.ID, in.ID); err != nil {
		return consentAnswer{}, err
	}
	t, err := topicNamed(tx, c, "topic", n.Topic)
	if err != nil {
		return consentAnswer{}, err
	}
	a, err := n.act(tx, c, in.ID, t)
	if err != nil {
		return consentAnswer{}, err
	}
	e, err := consent.Grant(tx, a)
	if err != nil {
		return consentAnswer{}, err
	}
	return showConsent(map[uuid.UUID]string{t.ID: t.Slug})(e), nil
}

type statementNew struct {
	Topics   []string `json:"topics" minItems:"1" maxItems:"50" doc:"Slugs." example:"[\"letters\"]"`
	Method   string   `json:"method" enum:"paper,phone" example:"paper"`
	SaidOn   string   `json:"said_on" maxLength:"10" doc:"The day, where the brand is." example:"2026-11-21"`
	Place    string   `json:"place" maxLength:"500" doc:"Where: a shop, a fair, the number called." example:"Leeds shop"`
	Words    string   `json:"words" maxLength:"5000" doc:"The exact words that were printed, or read out." example:"Yes, write to me about new teas."`
	Language string   `json:"language,omitempty" maxLength:"35" doc:"Of the words; the person's, if left out." example:"en"`
	By       string   `json:"by" maxLength:"200" doc:"Who of your staff took it down." example:"Ana, counter 2"`
	Scan     []byte   `json:"scan,omitempty" contentEncoding:"base64" doc:"In base64." example:"iVBORw0KGgo="`
}

func recordStatement(tx *store.Tx, c caller, in *struct {
	ByID
	Body statementNew
}) (list[consentAnswer], error) {
	none, n := list[consentAnswer]{}, in.Body
	if _, err := subscriber.Find(tx, c.brand.ID, in.ID); err != nil {
		return none, err
	}
	day, err := consent.ReadDay("said_on", n.SaidOn, c.brand.Location(), tx.Now())
	if err != nil {
		return none, err
	}
	names, err := slugs(tx, c)
	if err != nil {
		return none, err
	}
	s := consent.Statement{Brand: c.brand, Subscriber: in.ID, Method: n.Method, SaidAt: day, Place: n.Place, Words: n.Words,
		Language: n.Language, By: n.By, Key: c.key.ID.String(), Scan: n.Scan}
	for _, slug := range n.Topics {
		t, err := topicNamed(tx, c, "topics", slug)
		if err != nil {
			return none, err
		}
		s.Topics = append(s.Topics, t)
	}
	written, err := consent.RecordStatement(tx, s)
	return all(written, showConsent(names)), err
}

func listConsents(tx *store.Tx, c caller, in *ByID) (list[consentAnswer], error) {
	if _, err := subscriber.Find(tx, c.brand.ID, in.ID); err != nil {
		return list[consentAnswer]{}, err
	}
	names, err := slugs(tx, c)
	if err != nil {
		return list[consentAnswer]{}, err
	}
	found, err := consent.History(tx, c.brand.ID, in.ID)
	return all(found, showConsent(names)), err
}

func getConsent(tx *store.Tx, c caller, in *struct {
	ByID
	Event uuid.UUID `path:"event" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000009"`
}) (consentProof, error) {
	e, err := consent.FindEvent(tx, c.brand.ID, in.Event)
	if err != nil {
		return consentProof{}, err
	}
	if e.SubscriberID != in.ID {
		return consentProof{}, problem.New(problem.NotFound, "problem.not-found")
	}
	names, err := slugs(tx, c)
	if err != nil {
		return consentProof{}, err
	}
	a := consentProof{consentAnswer: showConsent(names)(e)}
	if a.Wording, err = consent.WordingOf(tx, e); err != nil {
		return a, err
	}
	p, err := consent.EvidenceOf(tx, e.ID)
	if problem.Is(err, problem.Gone) {
		a.Erased = true
		return a, nil
	}
	a.Address, a.Evidence, a.Salt, a.Private = p.Address, p.Evidence, hex.EncodeToString(p.Salt), string(p.Private)
	return a, err
}

type withdrawal struct {
	Topics     []string       `json:"topics,omitempty" maxItems:"100" doc:"Slugs of topics." example:"[\"letters\"]"`
	Everything bool           `json:"everything,omitempty" doc:"All topics and tracking; the address gets no marketing until its owner confirms anew." example:"false"`
	Evidence   map[string]any `json:"evidence,omitempty" example:"{\"said\":\"by telephone\"}"`
}

func withdrawConsents(tx *store.Tx, c caller, in *struct {
	ByID
	Body withdrawal
}) (list[consentAnswer], error) {
	none := list[consentAnswer]{}
	if _, err := subscriber.Lock(tx, c.brand.ID, in.ID); err != nil {
		return none, err
	}
	if in.Body.Everything == (len(in.Body.Topics) > 0) {
		return none, problem.InvalidField("topics", "api.field.topics-or-everything")
	}
	names, err := slugs(tx, c)
	if err != nil {
		return none, err
	}
	if in.Body.Everything {
		written, err := consent.WithdrawAll(tx, c.brand, in.ID, consent.MethodAPI, in.Body.Evidence)
		return all(written, showConsent(names)), err
	}
	var ids []uuid.UUID
	for _, slug := range in.Body.Topics {
		t, err := topicNamed(tx, c, "topics", slug)
		if err != nil {
			return none, err
		}
		ids = append(ids, t.ID)
	}
	written, err := consent.Withdraw(tx, c.brand, in.ID, ids, consent.MethodAPI, in.Body.Evidence)
	return all(written, showConsent(names)), err
}
