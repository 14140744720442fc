package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// messages: every mail to every person, and what became of it.
func (h *house) messages() {
	read(h, action{http.MethodGet, "/messages", "listMessages", "messages:read", "messages", "List messages", "Newest first.", 0, false}, listMessages)
	read(h, action{http.MethodGet, "/messages/{source}/{id}", "getMessage", "messages:read", "messages", "Get a message",
		"A message is named by its source (a campaign's edition, an enrollment, an offer's issue) and its id.", 0, false}, getMessage)
	write(h, action{http.MethodPost, "/messages/{source}/{id}/settle", "settleMessage", "campaigns:write", "messages", "Settle an uncertain message",
		"By what the log of the mail server says of its message_id. It is not sent again in either case.", 0, false}, settleMessage)
}

type messageAnswer struct {
	ID             uuid.UUID      `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000e"`
	SourceID       uuid.UUID      `json:"source_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000d"`
	StreamID       uuid.UUID      `json:"stream_id" format:"uuid" doc:"The campaign, sequence or offer it flows from." example:"019a1f5c-7c00-7000-8000-00000000000c"`
	SubscriberID   *uuid.UUID     `json:"subscriber_id,omitempty" format:"uuid" doc:"Not there for a test." example:"019a1f5c-7c00-7000-8000-000000000004"`
	Kind           string         `json:"kind" enum:"marketing,confirm,service,test" example:"marketing"`
	Part           int            `json:"part" doc:"The step of a sequence." example:"0"`
	Language       string         `json:"language" example:"en"`
	ConsentEventID *uuid.UUID     `json:"consent_event_id,omitempty" format:"uuid" doc:"The consent in force when it was claimed." example:"019a1f5c-7c00-7000-8000-000000000009"`
	State          string         `json:"state" enum:"queued,claimed,sent,failed,skipped,uncertain" example:"sent"`
	Reason         string         `json:"reason,omitempty" doc:"Why it was skipped or failed." example:"consent-withdrawn"`
	WhatToDo       string         `json:"what_to_do,omitempty" doc:"Only of an uncertain one." example:"Look for message_id in the log of the mail server that took it, then settle it as sent or failed (POST …/settle)."`
	MessageID      string         `json:"message_id" doc:"As in the mail's header and the logs of mail servers." example:"019a1f5c7c007000800000000000000e@north-tea.example"`
	SMTPCode       int            `json:"smtp_code,omitempty" example:"250"`
	SMTPReply      string         `json:"smtp_reply,omitempty" example:"2.0.0 queued as 4F1"`
	TracksOpens    bool           `json:"tracks_opens" doc:"Only where the person allowed it." example:"false"`
	TracksClicks   bool           `json:"tracks_clicks" example:"false"`
	Data           map[string]any `json:"data,omitempty" doc:"The values used. Not in lists."`
	DueAt          time.Time      `json:"due_at" example:"2026-11-23T08:00:00Z"`
	CreatedAt      time.Time      `json:"created_at" example:"2026-11-23T08:00:00Z"`
	SettledAt      *time.Time     `json:"settled_at,omitempty" example:"2026-11-23T08:00:09Z"`
}

// uncertainAdvice is what a person can do about a message of which nobody knows
// whether the mail server took it.
const uncertainAdvice = "Look for message_id in the log of the mail server that took it, then settle it as sent or failed (POST …/settle). It is not sent again by itself: the person may have it already."

func showMessage(b brand.Brand) func(delivery.Message) messageAnswer {
	return func(m delivery.Message) messageAnswer {
		a := messageOf(m)
		a.MessageID = m.MessageID(b.SenderDomain())
		if m.State == delivery.Uncertain {
			a.WhatToDo = uncertainAdvice
		}
		return a
	}
}

func messageOf(m delivery.Message) messageAnswer {
	return messageAnswer{ID: m.ID, SourceID: m.SourceID, StreamID: m.StreamID, SubscriberID: m.SubscriberID, Kind: string(m.Kind), Part: m.Part, Language: m.Language,
		ConsentEventID: m.ConsentEventID, State: string(m.State), Reason: m.Reason, SMTPCode: m.SMTPCode, SMTPReply: m.SMTPReply,
		TracksOpens: m.TracksOpens, TracksClicks: m.TracksClicks, DueAt: m.DueAt.UTC(), CreatedAt: m.CreatedAt.UTC(), SettledAt: utc(m.SettledAt)}
}

func listMessages(tx *store.Tx, c caller, in *struct {
	Paging
	Source     uuid.UUID `query:"source_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000d"`
	Stream     uuid.UUID `query:"stream_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000c"`
	Subscriber uuid.UUID `query:"subscriber_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	State      string    `query:"state" enum:"queued,claimed,sent,failed,skipped,uncertain" example:"sent"`
}) (list[messageAnswer], error) {
	before, err := readID(in.Cursor)
	if err != nil {
		return list[messageAnswer]{}, err
	}
	found, err := delivery.ListMessages(tx, c.brand.ID, delivery.Query{
		Source: in.Source, Stream: in.Stream, Subscriber: in.Subscriber, State: delivery.State(in.State), Before: before, Limit: in.Limit + 1,
	})
	return page(found, in.Limit, func(m delivery.Message) string { return idCursor(m.ID) }, showMessage(c.brand)), err
}

func getMessage(tx *store.Tx, c caller, in *struct {
	Source uuid.UUID `path:"source" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000d"`
	ID     uuid.UUID `path:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000e"`
}) (messageAnswer, error) {
	m, err := delivery.FindMessage(tx, link.Message{Source: in.Source, ID: in.ID})
	if err != nil {
		return messageAnswer{}, err
	}
	if m.BrandID != c.brand.ID {
		return messageAnswer{}, problem.New(problem.NotFound, "problem.not-found")
	}
	a := showMessage(c.brand)(m)
	a.Data = delivery.WithoutLinks(m.Data)
	return a, nil
}

func settleMessage(tx *store.Tx, c caller, in *struct {
	Source uuid.UUID `path:"source" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000d"`
	ID     uuid.UUID `path:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000e"`
	Body   struct {
		As string `json:"as" enum:"sent,failed" doc:"What the mail server's log says." example:"sent"`
	}
}) (messageAnswer, error) {
	ref := link.Message{Source: in.Source, ID: in.ID}
	if err := delivery.Settle(tx, c.brand.ID, ref, delivery.State(in.Body.As)); err != nil {
		return messageAnswer{}, err
	}
	m, err := delivery.FindMessage(tx, ref)
	return showMessage(c.brand)(m), err
}
