package api

import (
	"context"
	"net/http"

	"assent/internal/delivery/throttle"
	"assent/internal/store"
)

// limits: what paces sending, and what has lately held mails back.
func (h *house) limits() {
	read(h, action{http.MethodGet, "/limits", "listLimits", "nodes:read", "nodes", "List what paces sending",
		"Limits of receivers, relays, brands, campaigns and warm-ups that let a mail out lately, with what a receiver's server said when it asked for patience. Shared by all nodes.", 0, true},
		func(tx *store.Tx, _ caller, _ *noInput) (list[limitAnswer], error) {
			held, err := h.Held(tx.Context())
			return all(held, showLimit), err
		})
}

// Held tells the limits that the nodes share; see throttle.Throttle.
type Held func(ctx context.Context) ([]throttle.Held, error)

type limitAnswer struct {
	Kind       string  `json:"kind" enum:"group,sender,brand,stream,warm-up,relay" doc:"group: a set of receivers that share their mail servers; sender: one brand there." example:"group"`
	About      string  `json:"about" doc:"The receivers, relay, brand or stream." example:"google"`
	PerSecond  float64 `json:"per_second" doc:"At full pace." example:"100"`
	Now        float64 `json:"now" doc:"Its pace now; 0 while it pauses." example:"50"`
	PauseFor   float64 `json:"pause_for,omitempty" doc:"Seconds still to go of a pause." example:"0"`
	SlowFor    float64 `json:"slow_for,omitempty" doc:"Seconds until the pace begins to rise again." example:"31.5"`
	Said       string  `json:"said,omitempty" doc:"The server's words that slowed it." example:"4.7.28 unusual rate of mail"`
	Sent       int64   `json:"sent" doc:"Mails let out lately." example:"48000"`
	HeldTimes  int64   `json:"held_times" doc:"How often a mail had to wait, or a whole stream." example:"120"`
	HeldBy     string  `json:"held_by,omitempty" doc:"The other limit that made it wait." example:"brand/019a1f5c-7c00-7000-8000-000000000001"`
	AheadFor   float64 `json:"ahead_for,omitempty" doc:"Seconds until the last of those that wait may come." example:"12"`
	HeldBefore float64 `json:"held_before,omitempty" doc:"Seconds since a mail last had to wait." example:"3"`
}

func showLimit(l throttle.Held) limitAnswer {
	return limitAnswer{Kind: l.Kind(), About: l.About(), PerSecond: l.PerSecond, Now: l.Now, PauseFor: l.Pause.Seconds(), SlowFor: l.Slow.Seconds(),
		Said: l.Said, Sent: l.Sent, HeldTimes: l.Times, HeldBy: l.By, AheadFor: l.Ahead.Seconds(), HeldBefore: max(0, l.Since.Seconds())}
}
