package offer

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Order is something bought.
type Order struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	Number       string // the shop's own
	SubscriberID uuid.UUID
	PlacedAt     time.Time
	Total        int64  // minor units
	Currency     string // ISO 4217
	Items        int
	CreatedAt    time.Time
}

// NewOrder is an order as a shop reports it: for an address, or for a
// subscriber it knows.
type NewOrder struct {
	Number     string
	Email      string
	Subscriber uuid.UUID
	PlacedAt   time.Time
	Total      int64
	Currency   string
	Items      int
}

const (
	maxNumber = 100
	maxItems  = 1_000_000
	clockSkew = 24 * time.Hour // how far ahead of us a shop's clock may be
)

// RecordOrder keeps an order. It is idempotent by number: the same order again
// is answered with what stands, and fresh is false; another order under the same number
// is problem.Conflict, and the first stands. An address nobody knows becomes a
// subscriber, without any permission: a purchase is no consent. The person is a
// customer since the earliest of their orders.
func RecordOrder(tx *store.Tx, b brand.Brand, n NewOrder) (o Order, fresh bool, err error) {
	if err := n.check(tx.Now()); err != nil {
		return Order{}, false, err
	}
	s, err := n.person(tx, b)
	if err != nil {
		return Order{}, false, err
	}
	o = Order{ID: tx.NewID(), BrandID: b.ID, Number: n.Number, SubscriberID: s, PlacedAt: n.PlacedAt,
		Total: n.Total, Currency: n.Currency, Items: n.Items, CreatedAt: tx.Now()}
	rows, err := tx.Run(`INSERT INTO orders (id, brand_id, number, subscriber_id, placed_at, total, currency, items, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (brand_id, number) DO NOTHING`,
		o.ID, o.BrandID, o.Number, o.SubscriberID, o.PlacedAt, o.Total, o.Currency, o.Items, o.CreatedAt)
	if err != nil {
		return Order{}, false, fmt.Errorf("record an order: %w", err)
	}
	if rows == 0 {
		o, err = sameOrder(tx, o)
		return o, false, err
	}
	if err := customerSince(tx, b, o); err != nil {
		return Order{}, false, err
	}
	return o, true, event.Record(tx, event.Event{BrandID: b.ID, SubscriberID: &o.SubscriberID, Kind: event.OrderPlaced,
		Data: map[string]any{"order_id": o.ID, "number": o.Number, "placed_at": o.PlacedAt, "total": o.Total, "currency": o.Currency, "items": o.Items}})
}

// FindOrder reads an order of the brand by the shop's number.
func FindOrder(tx *store.Tx, brandID uuid.UUID, number string) (Order, error) {
	var found []Order
	if err := tx.Raw("SELECT * FROM orders WHERE brand_id = ? AND number = ?", brandID, number).Scan(&found).Error; err != nil {
		return Order{}, fmt.Errorf("find an order: %w", err)
	}
	if len(found) == 0 {
		return Order{}, problem.New(problem.NotFound, "offer.order-unknown")
	}
	o := found[0]
	o.PlacedAt, o.CreatedAt = o.PlacedAt.UTC(), o.CreatedAt.UTC()
	return o, nil
}

// OrdersOf gives a person's orders, the newest first, at most limit. It reads
// orders_person backwards.
func OrdersOf(tx *store.Tx, brandID, person uuid.UUID, limit int) ([]Order, error) {
	orders := []Order{}
	err := tx.Raw("SELECT * FROM orders WHERE brand_id = ? AND subscriber_id = ? ORDER BY placed_at DESC, id DESC LIMIT ?", brandID, person, limit).Scan(&orders).Error
	if err != nil {
		return nil, fmt.Errorf("read a person's orders: %w", err)
	}
	for i := range orders {
		orders[i].PlacedAt, orders[i].CreatedAt = orders[i].PlacedAt.UTC(), orders[i].CreatedAt.UTC()
	}
	return orders, nil
}

// sameOrder compares an order with the one that has its number already.
func sameOrder(tx *store.Tx, o Order) (Order, error) {
	was, err := FindOrder(tx, o.BrandID, o.Number)
	if err != nil {
		return Order{}, err
	}
	same := o
	same.ID, same.CreatedAt = was.ID, was.CreatedAt
	if same != was {
		return Order{}, problem.New(problem.Conflict, "offer.order-other", "Number", o.Number)
	}
	return was, nil
}

// customerSince holds the person's row while it compares, so that of two orders
// at once the earlier counts.
func customerSince(tx *store.Tx, b brand.Brand, o Order) error {
	s, err := subscriber.Lock(tx, b.ID, o.SubscriberID)
	if err != nil {
		return err
	}
	if s.CustomerSince != nil && !o.PlacedAt.Before(*s.CustomerSince) {
		return nil
	}
	_, err = subscriber.Update(tx, b, s.ID, subscriber.Change{CustomerSince: &o.PlacedAt})
	return err
}

// person finds or makes the subscriber who ordered.
func (n NewOrder) person(tx *store.Tx, b brand.Brand) (uuid.UUID, error) {
	if n.Email == "" {
		s, err := subscriber.Find(tx, b.ID, n.Subscriber)
		return s.ID, err
	}
	address, err := subscriber.ParseAddress(n.Email)
	if err != nil {
		return uuid.Nil, err
	}
	s, _, err := subscriber.Ensure(tx, b, subscriber.New{Address: address})
	return s.ID, err
}

// check tidies n and says all that is wrong with it.
func (n *NewOrder) check(now time.Time) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	n.Number = words(p, "number", n.Number, maxNumber, false)
	n.PlacedAt = n.PlacedAt.UTC().Truncate(time.Microsecond)
	if (n.Email == "") == (n.Subscriber == uuid.Nil) {
		p.Field("email", "offer.order-person")
	}
	if n.PlacedAt.Year() < 1970 || n.PlacedAt.After(now.Add(clockSkew)) {
		p.Field("placed_at", "offer.order-time")
	}
	between(p, "total", n.Total, 0, maxMoney)
	between(p, "items", n.Items, 0, maxItems)
	if !isCurrency(n.Currency) {
		p.Field("currency", "offer.currency")
	}
	return p.OrNil()
}

func orderNumber(field, s string) (string, error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	s = words(p, field, s, maxNumber, false)
	return s, p.OrNil()
}
