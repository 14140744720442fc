package offer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Mail is a mail to be queued: it brings one person their code.
type Mail struct {
	Brand        uuid.UUID
	Source       uuid.UUID // the offer's issue
	Stream       uuid.UUID // the offer
	Subscriber   uuid.UUID
	Topic        uuid.UUID
	ConsentEvent uuid.UUID // the event in force
	Content      uuid.UUID
	Language     string         // one the content has
	Data         map[string]any // offer.code, title, terms, value, expires_at, as people read them; and why it is theirs
	Due          time.Time
}

// Outbox queues a mail in the transaction that made its code. An error undoes
// both.
type Outbox func(tx *store.Tx, m Mail) error

// Code is what one person redeems.
type Code struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	OfferID      uuid.UUID
	SubscriberID uuid.UUID
	Code         string
	IssuedAt     time.Time
	ExpiresAt    time.Time // the end of the last day on which it holds, in the person's zone
	RedeemedAt   *time.Time
	RedeemedFor  string // the order's number
}

// TableName implements gorm's Tabler.
func (Code) TableName() string { return "offer_codes" }

// issueBatch is how many codes one transaction makes at most.
const issueBatch = 200

// Issue gives a code to everybody who has earned one, has permission for the
// offer's topic, and has none yet, until the budget is used up. It works in
// transactions of up to 200 and may be stopped and called again, daily for
// instance, and by several at once. An offer that is not running gives none.
// It tells how many codes it made, beside an error too.
func Issue(ctx context.Context, db *store.DB, id uuid.UUID, outbox Outbox) (issued int, err error) {
	for after := uuid.Nil; ; {
		people, err := candidates(ctx, db, id, after)
		if err != nil || len(people) == 0 {
			return issued, err
		}
		var n int
		var open bool
		err = db.Write(ctx, func(tx *store.Tx) (err error) {
			n, open, err = issue(tx, id, people, outbox)
			return err
		})
		if err != nil {
			return issued, fmt.Errorf("issue offer %s: %w", id, err)
		}
		issued += n
		if !open || len(people) < issueBatch {
			return issued, nil
		}
		after = people[len(people)-1]
	}
}

// candidates looks for the next who may be given a code, without holding
// anything: whether they still may is asked again when the code is made.
func candidates(ctx context.Context, db *store.DB, id, after uuid.UUID) (people []uuid.UUID, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		o, err := find(tx, "WHERE id = ?", id)
		if err != nil || o.State != Running || o.Issued >= o.Budget {
			return err
		}
		from, args := o.eligible(tx.Now())
		return tx.Raw("SELECT p.subscriber_id"+from+" AND p.subscriber_id > ? ORDER BY p.subscriber_id LIMIT ?",
			append(args, after, issueBatch)...).Scan(&people).Error
	})
	if err != nil {
		return nil, fmt.Errorf("look for whom an offer is: %w", err)
	}
	return people, nil
}

// eligible is the FROM and WHERE of those who may be given a code at now.
//
// permissions_in_force (topic, subscriber) is read in order; for each person
// there the keys of subscriber, suppressions and offer_codes are looked at, and
// the person's few entries of orders_person for each of the two ways in that
// count orders: a few µs a person.
func (o Offer) eligible(now time.Time) (from string, args []any) {
	var ways []string
	args = []any{o.TopicID, o.BrandID, now, o.ID}
	if o.MinMonths > 0 {
		ways, args = append(ways, "s.customer_since <= ?"), append(args, monthsBefore(now, o.MinMonths))
	}
	if o.MinOrders > 0 {
		ways = append(ways, "(SELECT count(*) FROM orders r WHERE r.brand_id = s.brand_id AND r.subscriber_id = s.id) >= ?")
		args = append(args, o.MinOrders)
	}
	if o.MinValue > 0 {
		ways = append(ways, "(SELECT coalesce(sum(r.total), 0) FROM orders r WHERE r.brand_id = s.brand_id AND r.subscriber_id = s.id AND r.currency = ?) >= ?")
		args = append(args, o.Currency, o.MinValue)
	}
	return ` FROM permissions p JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
		WHERE p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed') AND ` + consent.EligibleSQL + `
		AND NOT EXISTS (SELECT 1 FROM offer_codes c WHERE c.offer_id = ? AND c.subscriber_id = p.subscriber_id)
		AND (` + strings.Join(ways, " OR ") + `)`, args
}

// ordersSQL is what somebody s has ordered, and in a currency for how much in all.
const ordersSQL = `(SELECT count(*) FROM orders r WHERE r.brand_id = s.brand_id AND r.subscriber_id = s.id) AS orders,
	(SELECT coalesce(sum(r.total), 0) FROM orders r WHERE r.brand_id = s.brand_id AND r.subscriber_id = s.id AND r.currency = ?) AS worth`

// monthsBefore is the same day of the month n months ago, or the last day of
// that month where it has no such day.
func monthsBefore(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()-time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// winner is somebody who gets a code.
type winner struct {
	subscriber.Subscriber
	EventID uuid.UUID
	Orders  int
	Worth   int64
}

// whyKey is delivery.WhyKey, on whose floor this room stands.
const whyKey = "_why"

// why is what the mail keeps of the rule that its person was chosen by, and of
// what was known of them: no more than the rule asks for.
func (o Offer) why(w winner) map[string]any {
	why := map[string]any{}
	if o.MinMonths > 0 {
		why["min_months"] = o.MinMonths
		if w.CustomerSince != nil {
			why["customer_since"] = w.CustomerSince.UTC().Format(time.RFC3339)
		}
	}
	if o.MinOrders > 0 {
		why["min_orders"], why["orders"] = o.MinOrders, w.Orders
	}
	if o.MinValue > 0 {
		why["min_value"], why["value"], why["currency"] = o.MinValue, w.Worth, o.Currency
	}
	return why
}

// issue is one transaction: it holds the offer's row, so that the budget is
// counted by one at a time, asks again who may, and makes codes and mails. open
// is false when the offer has stopped or its budget is used up.
func issue(tx *store.Tx, id uuid.UUID, people []uuid.UUID, outbox Outbox) (n int, open bool, err error) {
	o, err := find(tx, "WHERE id = ?"+tx.ForUpdate(), id)
	if err != nil || o.State != Running || o.Issued >= o.Budget {
		return 0, false, err
	}
	b, err := brand.Find(tx, o.BrandID)
	if err != nil {
		return 0, false, err
	}
	var winners []winner
	from, args := o.eligible(tx.Now())
	err = tx.Raw("SELECT s.id, s.language, s.time_zone, s.customer_since, p.event_id, "+ordersSQL+from+" AND p.subscriber_id IN (?) ORDER BY p.subscriber_id LIMIT ?",
		append(append([]any{o.Currency}, args...), people, o.Budget-o.Issued)...).Scan(&winners).Error
	if err != nil {
		return 0, false, fmt.Errorf("ask again for whom an offer is: %w", err)
	}
	if len(winners) == 0 {
		return 0, true, nil
	}
	if err := o.give(tx, b, winners, outbox); err != nil {
		return 0, false, err
	}
	_, err = tx.Run("UPDATE offers SET issued = issued + ?, updated_at = ? WHERE id = ? AND brand_id = ?", len(winners), tx.Now(), o.ID, o.BrandID)
	if err != nil {
		return 0, false, fmt.Errorf("count the codes of an offer: %w", err)
	}
	return len(winners), o.Issued+len(winners) < o.Budget, nil
}

// give makes a code for each, queues its mail and writes the fact.
func (o Offer) give(tx *store.Tx, b brand.Brand, winners []winner, outbox Outbox) error {
	codes := make([]Code, len(winners))
	for i, w := range winners {
		codes[i] = Code{ID: tx.NewID(), BrandID: o.BrandID, OfferID: o.ID, SubscriberID: w.ID, Code: newCode(b.Slug),
			IssuedAt: tx.Now(), ExpiresAt: o.expiry(tx.Now(), w.Location(b))}
	}
	if err := tx.Create(&codes).Error; err != nil {
		return fmt.Errorf("make codes: %w", err)
	}
	for i, w := range winners {
		lang := o.speak(w.Language, b.Language)
		values := o.values(codes[i], lang, w.Location(b))
		values[whyKey] = o.why(w)
		err := outbox(tx, Mail{Brand: o.BrandID, Source: o.IssueID, Stream: o.ID, Subscriber: w.ID, Topic: o.TopicID,
			ConsentEvent: w.EventID, Content: o.ContentID, Language: lang, Data: values, Due: tx.Now()})
		if err != nil {
			return fmt.Errorf("queue the mail of a code: %w", err)
		}
		err = event.Record(tx, event.Event{BrandID: o.BrandID, SubscriberID: &w.ID, Kind: event.OfferIssued, SourceID: &o.IssueID,
			Data: map[string]any{"offer_id": o.ID, "code": hint(codes[i].Code), "expires_at": codes[i].ExpiresAt}})
		if err != nil {
			return err
		}
	}
	return nil
}

// expiry is the end of the last day on which a code issued now holds: so it
// holds as long as the date in its mail says, where the person lives.
func (o Offer) expiry(now time.Time, loc *time.Location) time.Time {
	year, month, day := now.In(loc).Date()
	return time.Date(year, month, day+o.ValidDays+1, 0, 0, 0, 0, loc).UTC()
}

// LastDay is a moment of the last day on which a code holds that expires then:
// what is said of a code is that day, never the one that begins as it expires.
func LastDay(expires time.Time) time.Time { return expires.UTC().Add(-time.Second) }

// values is what the template knows of the offer, as the person reads it. The
// code keeps its Latin signs: it is typed into shops.
func (o Offer) values(c Code, lang string, loc *time.Location) map[string]any {
	l, text := i18n.For(lang), o.Texts[lang]
	return map[string]any{"offer": map[string]any{
		"code":       c.Code,
		"title":      text.Title,
		"terms":      text.Terms,
		"value":      o.Worth(l),
		"expires_at": l.Date(LastDay(c.ExpiresAt), loc),
	}}
}

// speak chooses the person's language where the offer has it, else the brand's,
// else, should the brand have changed its own, the first there is.
func (o Offer) speak(person, brand string) string {
	for _, lang := range []string{person, brand} {
		if _, ok := o.Texts[lang]; ok {
			return lang
		}
	}
	return slices.Min(slices.Collect(maps.Keys(o.Texts)))
}
