package api

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// suppressions: addresses that get no mail, and why.
func (h *house) suppressions() {
	write(h, action{http.MethodPost, "/suppressions", "addSuppression", "suppressions:write", "suppressions", "Stop mail to an address",
		"As manual, no mail of any kind goes to it; as complaint, only service mail. The address need not be known.", http.StatusCreated, false}, addSuppression)
	read(h, action{http.MethodGet, "/suppressions", "listSuppressions", "suppressions:read", "suppressions", "List what is suppressed",
		"An address is shown where a subscriber has it; else only its keyed hash is kept.", 0, false}, listSuppressions)
	write(h, action{http.MethodPost, "/suppressions/lift", "liftSuppression", "suppressions:write", "suppressions", "Lift a suppression",
		"What staff or a mail server said can be taken back here. What the person said can only be taken back by them.", 0, false}, liftSuppression)
}

type suppressionNew struct {
	Email  string `json:"email" maxLength:"320" example:"ana@example.org"`
	Reason string `json:"reason,omitempty" enum:"manual,complaint" default:"manual" doc:"complaint: it was reported as spam; counted against what sent it last." example:"manual"`
	Detail string `json:"detail,omitempty" maxLength:"200" doc:"A code, without anything personal." example:"ticket 1043"`
}

type suppressionAnswer struct {
	Email       string    `json:"email,omitempty" example:"ana@example.org"`
	AddressHash string    `json:"address_hash" doc:"HMAC-SHA-256 under the brand's key, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Reason      string    `json:"reason" enum:"hard-bounce,complaint,not-me,left,manual" example:"manual"`
	Detail      string    `json:"detail,omitempty" example:"ticket 1043"`
	CreatedAt   time.Time `json:"created_at" example:"2026-11-22T09:00:00Z"`
}

func addSuppression(tx *store.Tx, c caller, in *struct{ Body suppressionNew }) (suppressionAnswer, error) {
	hash, err := hashOf(tx, c, in.Body.Email)
	if err != nil {
		return suppressionAnswer{}, err
	}
	reason := cmp.Or(in.Body.Reason, consent.Manual)
	if err := consent.Suppress(tx, c.brand, hash, reason, in.Body.Detail); err != nil {
		return suppressionAnswer{}, err
	}
	return suppressionAnswer{Email: in.Body.Email, AddressHash: fmt.Sprintf("%x", hash), Reason: reason, Detail: in.Body.Detail, CreatedAt: tx.Now()}, nil
}

func hashOf(tx *store.Tx, c caller, email string) ([]byte, error) {
	a, err := subscriber.ParseAddress(email)
	if err != nil {
		return nil, err
	}
	return c.brand.AddressHash(tx, a.Normal)
}

func listSuppressions(tx *store.Tx, c caller, in *Paging) (list[suppressionAnswer], error) {
	var hash []byte
	reason := ""
	if in.Cursor != "" {
		raw, err := fromCursor(in.Cursor)
		if err != nil || len(raw) < 33 || !web.IsText(string(raw[32:])) {
			return list[suppressionAnswer]{}, badCursor()
		}
		hash, reason = raw[:32], string(raw[32:])
	}
	found, err := consent.ListSuppressions(tx, c.brand.ID, hash, reason, in.Limit+1)
	if err != nil {
		return list[suppressionAnswer]{}, err
	}
	return page(found, in.Limit, func(r consent.Stopped) string {
		return cursorForm.EncodeToString(append(append([]byte{}, r.AddressHash...), r.Reason...))
	}, func(r consent.Stopped) suppressionAnswer {
		return suppressionAnswer{Email: r.Email, AddressHash: fmt.Sprintf("%x", r.AddressHash), Reason: r.Reason, Detail: r.Detail, CreatedAt: r.CreatedAt.UTC()}
	}), nil
}

type liftBody struct {
	Email  string `json:"email" maxLength:"320" example:"ana@example.org"`
	Reason string `json:"reason" enum:"hard-bounce,complaint,not-me,left,manual" example:"manual"`
}

type liftAnswer struct {
	Lifted bool `json:"lifted" doc:"Whether there was one." example:"true"`
}

func liftSuppression(tx *store.Tx, c caller, in *struct{ Body liftBody }) (liftAnswer, error) {
	if !consent.Liftable(in.Body.Reason) {
		return liftAnswer{}, problem.New(problem.Conflict, "api.suppression-theirs")
	}
	hash, err := hashOf(tx, c, in.Body.Email)
	if err != nil {
		return liftAnswer{}, err
	}
	there, err := consent.Suppressions(tx, c.brand.ID, hash)
	if err != nil {
		return liftAnswer{}, err
	}
	a := liftAnswer{}
	for _, s := range there {
		a.Lifted = a.Lifted || s.Reason == in.Body.Reason
	}
	return a, consent.Lift(tx, c.brand, hash, in.Body.Reason)
}
