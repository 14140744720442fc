package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// orders: what was bought, as the shop tells it. A purchase is no consent.
func (h *house) orders() {
	writeAs(h, action{http.MethodPost, "/orders", "recordOrder", "orders:write", "orders", "Record an order",
		"For an address, or for a subscriber you know; an address nobody knows becomes a subscriber without any permission. Idempotent by number: 201 the first time, 200 when it is there already, 409 when another order has the number.", http.StatusCreated, false}, recordOrder)
	read(h, action{http.MethodGet, "/orders", "listOrders", "orders:read", "orders", "List orders", "By number.", 0, false}, listOrders)
}

type orderNew struct {
	Number       string     `json:"number" maxLength:"100" doc:"The shop's own." example:"10293"`
	Email        string     `json:"email,omitempty" maxLength:"320" doc:"Of who bought; or subscriber_id." example:"ana@example.org"`
	SubscriberID *uuid.UUID `json:"subscriber_id,omitempty" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	PlacedAt     time.Time  `json:"placed_at" example:"2026-11-20T14:05:00Z"`
	Total        moneyBody  `json:"total"`
	Items        int        `json:"items" minimum:"0" maximum:"1000000" doc:"How many things were bought." example:"3"`
}

type orderAnswer struct {
	ID           uuid.UUID `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-00000000000b"`
	Number       string    `json:"number" example:"10293"`
	SubscriberID uuid.UUID `json:"subscriber_id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000004"`
	PlacedAt     time.Time `json:"placed_at" example:"2026-11-20T14:05:00Z"`
	Total        moneyBody `json:"total"`
	Items        int       `json:"items" example:"3"`
	CreatedAt    time.Time `json:"created_at" example:"2026-11-22T09:00:00Z"`
}

func showOrder(o offer.Order) orderAnswer {
	return orderAnswer{ID: o.ID, Number: o.Number, SubscriberID: o.SubscriberID, PlacedAt: o.PlacedAt.UTC(), Total: moneyBody{o.Total, o.Currency}, Items: o.Items, CreatedAt: o.CreatedAt.UTC()}
}

func recordOrder(tx *store.Tx, c caller, in *struct{ Body orderNew }) (orderAnswer, int, error) {
	n := in.Body
	if (n.Email == "") == (n.SubscriberID == nil) {
		return orderAnswer{}, 0, fieldProblem("email", "api.field.email-or-subscriber")
	}
	order := offer.NewOrder{Number: n.Number, Email: n.Email, PlacedAt: n.PlacedAt.UTC().Truncate(time.Microsecond), Total: n.Total.Amount, Currency: n.Total.Currency, Items: n.Items}
	if n.SubscriberID != nil {
		order.Subscriber = *n.SubscriberID
	}
	o, fresh, err := offer.RecordOrder(tx, c.brand, order)
	status := http.StatusOK
	if fresh {
		status = http.StatusCreated
	}
	return showOrder(o), status, err
}

// listOrders reads the unique index (brand, number) from the cursor on.
func listOrders(tx *store.Tx, c caller, in *struct {
	Paging
	Subscriber uuid.UUID `query:"subscriber_id" format:"uuid" doc:"Of this person." example:"019a1f5c-7c00-7000-8000-000000000004"`
}) (list[orderAnswer], error) {
	q := tx.Where("brand_id = ?", c.brand.ID)
	if in.Cursor != "" {
		after, err := fromCursor(in.Cursor)
		if err != nil || !web.IsText(string(after)) {
			return list[orderAnswer]{}, badCursor()
		}
		q = q.Where("number > ?", string(after))
	}
	if in.Subscriber != uuid.Nil {
		q = q.Where("subscriber_id = ?", in.Subscriber)
	}
	var found []offer.Order
	if err := q.Order("number").Limit(in.Limit + 1).Find(&found).Error; err != nil {
		return list[orderAnswer]{}, fmt.Errorf("list orders: %w", err)
	}
	return page(found, in.Limit, func(o offer.Order) string { return cursorForm.EncodeToString([]byte(o.Number)) }, showOrder), nil
}

func fieldProblem(name, key string, args ...any) error {
	return problem.InvalidField(name, key, args...)
}
