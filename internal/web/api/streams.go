package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/delivery/throttle"
	"assent/internal/store"
)

// streams: what mails flow from, and what holds them back.
func (h *house) streams() {
	read(h, action{http.MethodGet, "/streams", "listStreams", "messages:read", "messages", "List what is being sent",
		"Each campaign, sequence and offer with mails on the way, and what is paused; with the reasons why mails wait.", 0, false}, h.listStreams)
	write(h, action{http.MethodPatch, "/streams/{id}", "updateStream", "campaigns:write", "messages", "Say how a stream stands against others",
		"The id is that of the campaign, sequence or offer, once it was scheduled or started.", 0, false}, updateStream)
}

type streamAnswer struct {
	ID          uuid.UUID        `json:"id" format:"uuid" doc:"Of the campaign, sequence or offer." example:"019a1f5c-7c00-7000-8000-00000000000c"`
	Origin      string           `json:"origin" enum:"campaign,sequence,offer,confirm,service,test" example:"campaign"`
	PausedAt    *time.Time       `json:"paused_at,omitempty" example:"2026-11-22T09:14:00Z"`
	PausedFor   string           `json:"paused_for,omitempty" enum:"hard-bounces,complaints,policy-refusals" doc:"Set where a circuit breaker paused it." example:"hard-bounces"`
	Closed      string           `json:"closed,omitempty" doc:"Why nothing flows any more; what is left is being skipped." example:"campaign-cancelled"`
	Priority    int              `json:"priority" example:"0"`
	RatePerHour int              `json:"rate_per_hour,omitempty" doc:"0 is no limit of its own." example:"5000"`
	Waiting     int64            `json:"waiting" doc:"Due, and not yet in hand." example:"1200"`
	Active      int64            `json:"active" doc:"In the hands of a worker." example:"200"`
	Later       int64            `json:"later" doc:"Due later." example:"14"`
	HeldFor     map[string]int64 `json:"held_for,omitempty" doc:"Of those due later, how many were put off for which reason." example:"{\"quiet-hours\":14}"`
	PacedBy     []string         `json:"paced_by,omitempty" enum:"stream,brand,warm-up" doc:"Of those waiting: the limits that lately left no room; listLimits tells their pace." example:"[\"warm-up\"]"`
	Oldest      *time.Time       `json:"oldest,omitempty" doc:"When the oldest of the waiting was due." example:"2026-11-22T09:00:00Z"`
	Sent        int64            `json:"sent" doc:"Since it began, or was resumed; so are the next three, which the circuit breaker judges." example:"48000"`
	HardBounces int64            `json:"hard_bounces" example:"12"`
	Complaints  int64            `json:"complaints" example:"1"`
	Refusals    int64            `json:"policy_refusals" doc:"In a row." example:"0"`
}

func showFlow(f delivery.Flow) streamAnswer {
	return streamAnswer{ID: f.ID, Origin: string(f.Origin), PausedAt: utc(f.PausedAt), PausedFor: f.PausedFor, Closed: f.Closed, Priority: f.Priority,
		RatePerHour: f.RatePerHour, Waiting: f.Waiting, Active: f.Active, Later: f.Later, HeldFor: f.HeldFor, Oldest: f.Oldest,
		Sent: f.Sent, HardBounces: f.HardBounces, Complaints: f.Complaints, Refusals: f.Refusals}
}

func (h *house) listStreams(tx *store.Tx, c caller, _ *noInput) (list[streamAnswer], error) {
	found, err := delivery.Flows(tx, c.brand.ID)
	if err != nil {
		return list[streamAnswer]{}, err
	}
	answer := all(found, showFlow)
	held, err := h.Held(tx.Context())
	if err != nil { // Redis is away: the rest is known
		return answer, nil
	}
	for i, f := range answer.Items {
		if f.Waiting > 0 && f.PausedAt == nil && f.Closed == "" {
			answer.Items[i].PacedBy = throttle.PacedBy(held, c.brand.ID, f.ID)
		}
	}
	return answer, nil
}

type streamChange struct {
	Priority int `json:"priority" minimum:"-9" maximum:"9" doc:"Of two mails that want the same slot of a promise or cap, the one with the higher priority gets it." example:"5"`
}

func updateStream(tx *store.Tx, c caller, in *struct {
	ByID
	Body streamChange
}) (streamAnswer, error) {
	if err := delivery.SetPriority(tx, c.brand.ID, in.ID, in.Body.Priority); err != nil {
		return streamAnswer{}, err
	}
	s, err := delivery.FindStream(tx, c.brand.ID, in.ID)
	return showFlow(delivery.Flow{Stream: s}), err
}
