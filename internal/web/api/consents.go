package api

import (
	"encoding/hex"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// consents: the ledger of what people said. It only grows.
func (h *house) consents() {
	write(h, action{http.MethodPost, "/subscribers/{id}/consents", "recordConsent", "consents:write", "consents", "Record a consent",
		"For shops and desks: a permission given elsewhere, with the basis it rests on and the evidence for it. Refused without evidence, after the person themself said no, and while their address is suppressed: then only they can take that back.",
		http.StatusCreated, false}, recordConsent)
	read(h, action{http.MethodGet, "/subscribers/{id}/consents", "listConsents", "consents:read", "consents", "List a person's consents",
		"All entries of the ledger, oldest first, each with its leaf: the exact line that goes into the log.", 0, false}, listConsents)
	read(h, action{http.MethodGet, "/subscribers/{id}/consents/{event}", "getConsent", "consents:read", "consents", "Get a consent with its evidence",
		"With the words that were shown, the evidence and its salt. After erasure the evidence is gone.", 0, false}, getConsent)
	write(h, action{http.MethodPost, "/subscribers/{id}/consents/withdraw", "withdrawConsents", "consents:write", "consents", "Withdraw consents",
		"What the person told you elsewhere: named topics, or everything. Repeatable; only what was written now is answered.", 0, false}, withdrawConsents)
}

type consentNew struct {
	Topic      string         `json:"topic" maxLength:"64" doc:"The topic's slug." example:"letters"`
	Basis      string         `json:"basis" enum:"explicit,implied-purchase,implied-inquiry,import,operator" example:"operator"`
	Wording    string         `json:"wording" maxLength:"5000" doc:"The exact words that were agreed to." example:"Yes, write to me about new teas."`
	Language   string         `json:"language,omitempty" maxLength:"35" doc:"Of the wording; the person's, if left out." example:"en"`
	ValidUntil *time.Time     `json:"valid_until,omitempty" doc:"The topic's duration, if left out." example:"2027-11-22T09:00:00Z"`
	Evidence   map[string]any `json:"evidence" doc:"What shows it: where, when, who took it, a copy's number." example:"{\"place\":\"Leeds shop\",\"card\":\"A-1043\",\"signed_on\":\"2026-11-21\"}"`
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
func (n consentNew) act(c caller, id uuid.UUID, t consent.Topic) consent.Act {
	return consent.Act{
		Brand: c.brand, Subscriber: id, Topic: t, State: consent.Given, Basis: n.Basis, Method: consent.MethodAPI,
		Language: n.Language, Wording: n.Wording, ValidUntil: utc(n.ValidUntil), Entity: consent.EntityOperator, Evidence: n.Evidence,
	}
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
	e, err := consent.Grant(tx, n.act(c, in.ID, t))
	if err != nil {
		return consentAnswer{}, err
	}
	return showConsent(map[uuid.UUID]string{t.ID: t.Slug})(e), nil
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
