package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// events: what happened, of a person and of the brand.
func (h *house) events() {
	read(h, action{http.MethodGet, "/events", "listEvents", "events:read", "events", "List what happened", "Newest first.", 0, false}, listEvents)
	read(h, action{http.MethodGet, "/subscribers/{id}/events", "listTimeline", "events:read", "events", "List what happened with a person", "Newest first.", 0, false}, listTimeline)
}

type eventAnswer struct {
	ID           uuid.UUID      `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000f"`
	At           time.Time      `json:"at" example:"2026-11-22T09:00:00Z"`
	Kind         string         `json:"kind" example:"consent.given"`
	SubscriberID *uuid.UUID     `json:"subscriber_id,omitempty" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	SourceID     *uuid.UUID     `json:"source_id,omitempty" format:"uuid" doc:"With message_id: the message it is about." example:"019a1f5c-7c00-7000-8000-00000000000d"`
	MessageID    *uuid.UUID     `json:"message_id,omitempty" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000e"`
	Data         map[string]any `json:"data" example:"{\"topic\":\"letters\"}"`
}

func showEvent(e event.Event) eventAnswer {
	a := eventAnswer{ID: e.ID, At: e.At.UTC(), Kind: e.Kind, SubscriberID: e.SubscriberID, SourceID: e.SourceID, MessageID: e.MessageID, Data: e.Data}
	if a.Data == nil {
		a.Data = map[string]any{}
	}
	return a
}

// listEvents reads the index events_brand backwards: the cost is that of the
// page, and with a kind that of the events passed over.
func listEvents(tx *store.Tx, c caller, in *struct {
	Paging
	Kind string `query:"kind" maxLength:"64" example:"mail.clicked"`
}) (list[eventAnswer], error) {
	q := tx.Where("brand_id = ?", c.brand.ID)
	if in.Kind != "" {
		q = q.Where("kind = ?", in.Kind)
	}
	if in.Cursor != "" {
		at, id, err := readTime(in.Cursor)
		if err != nil {
			return list[eventAnswer]{}, err
		}
		q = q.Where("(at, id) < (?, ?)", at, id)
	}
	var found []event.Event
	if err := q.Order("at DESC, id DESC").Limit(in.Limit + 1).Find(&found).Error; err != nil {
		return list[eventAnswer]{}, fmt.Errorf("list events: %w", err)
	}
	return page(found, in.Limit, func(e event.Event) string { return timeCursor(e.At, e.ID) }, showEvent), nil
}

func listTimeline(tx *store.Tx, c caller, in *struct {
	ByID
	Paging
}) (list[eventAnswer], error) {
	if _, err := subscriber.Find(tx, c.brand.ID, in.ID); err != nil {
		return list[eventAnswer]{}, err
	}
	found, next, err := event.Timeline(tx, c.brand.ID, in.ID, in.Cursor, in.Limit)
	l := all(found, showEvent)
	l.Next = next
	return l, err
}
