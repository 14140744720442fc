package offer_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// world is a brand with a topic on a database of the test's own, and a clock
// that the test moves.
type world struct {
	*testing.T
	ctx   context.Context
	db    *store.DB
	clock *atomic.Int64 // Unix microseconds
	brand brand.Brand
	topic consent.Topic
	mail  uuid.UUID // a content in English and Persian

	orders int
}

// morning is when every test begins: a Sunday, 10:14 in Tehran.
var morning = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)

// each runs a test on both databases.
func each(t *testing.T, test func(w *world)) {
	prepare := func(url string) error {
		db, err := store.Open(context.Background(), url, store.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Migrate(context.Background())
	}
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), clock: new(atomic.Int64)}
	w.clock.Store(morning.UnixMicro())
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w.db, err = store.Open(w.ctx, url, store.Options{Ring: ring, Clock: func() time.Time { return time.UnixMicro(w.clock.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.brand, w.topic = w.newBrand("narenj")
	w.mail = w.content(w.brand)
	return w
}

func (w *world) newBrand(slug string) (b brand.Brand, topic consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: slug, PostalAddress: "1 Valiasr, Tehran", SenderEmail: "hello@" + slug + ".example",
			Language: "fa", Languages: []string{"fa", "en"}, TimeZone: "Asia/Tehran"})
		if err != nil {
			return err
		}
		topic, err = consent.CreateTopic(tx, b, consent.NewTopic{Slug: "news", Texts: map[string]consent.TopicText{"fa": {Name: "خبرها", Wording: "خبرها را برایم بفرستید."}}})
		return err
	})
	return b, topic
}

func (w *world) content(b brand.Brand) (id uuid.UUID) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		id, err = delivery.SaveContent(tx, b.ID, []delivery.Text{
			{Language: "fa", Subject: "سلام", HTML: "<p>سلام</p>"}, {Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}})
		return err
	})
	return id
}

// write commits f or ends the test.
func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.ctx, f); err != nil {
		w.Fatal(err)
	}
}

// try is write for what may be refused.
func (w *world) try(f func(tx *store.Tx) error) error { return w.db.Write(w.ctx, f) }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) person(name string) subscriber.Subscriber {
	w.Helper()
	return w.personOf(w.brand, name, "fa", "")
}

func (w *world) personOf(b brand.Brand, name, language, zone string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		address, err := subscriber.ParseAddress(name + "@example.org")
		if err != nil {
			return err
		}
		s, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: address, Name: name, Language: language, TimeZone: zone})
		return err
	})
	return s
}

// give confirms the world's topic.
func (w *world) give(s subscriber.Subscriber) {
	w.Helper()
	w.giveTopic(w.brand, w.topic, s)
}

func (w *world) giveTopic(b brand.Brand, topic consent.Topic, s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Record(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: topic, State: consent.Given,
			Method: consent.MethodDoubleOptIn, Wording: "Send me news."})
		return err
	})
}

func (w *world) withdraw(s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.topic.ID}, consent.MethodOneClick, nil)
		return err
	})
}

// buy records orders of a value in minor units.
func (w *world) buy(s subscriber.Subscriber, totals ...int64) {
	w.Helper()
	for _, total := range totals {
		w.orders++
		w.write(func(tx *store.Tx) error {
			_, _, err := offer.RecordOrder(tx, w.brand, offer.NewOrder{Number: fmt.Sprint("N-", w.orders), Subscriber: s.ID,
				PlacedAt: tx.Now(), Total: total, Currency: "EUR", Items: 1})
			return err
		})
	}
}

// spring is an offer for those with three orders or more.
func (w *world) spring() offer.New {
	return offer.New{Name: "Spring", Topic: w.topic.ID, Content: w.mail,
		Texts:     map[string]offer.Text{"fa": {Title: "سپاس بهاری", Terms: "هر نفر یک بار."}, "en": {Title: "Spring thanks", Terms: "Once per person."}},
		ValueKind: offer.Percent, Value: 15, ValidDays: 30, Budget: 1000, MinOrders: 3}
}

func open(tx *store.Tx, brandID, id uuid.UUID) error {
	return delivery.OpenStream(tx, brandID, delivery.OriginOffer, id)
}

func (w *world) running(n offer.New) (o offer.Offer) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		if o, err = offer.Create(tx, w.brand, n); err != nil {
			return err
		}
		o, err = offer.Start(tx, w.brand.ID, o.ID, open)
		return err
	})
	return o
}

// outbox is what the program does: it queues the mail.
func outbox(tx *store.Tx, m offer.Mail) error {
	_, _, err := delivery.Queue(tx, delivery.Draft{Source: m.Source, Stream: m.Stream, Brand: m.Brand, Subscriber: &m.Subscriber, Kind: delivery.Marketing,
		Topic: &m.Topic, ConsentEvent: &m.ConsentEvent, Content: &m.Content, Language: m.Language, Data: m.Data, Due: m.Due})
	return err
}

func (w *world) issue(o offer.Offer) int {
	w.Helper()
	n, err := offer.Issue(w.ctx, w.db, o.ID, outbox)
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) codes(s subscriber.Subscriber) (codes []offer.Code) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { codes, err = offer.CodesOf(tx, w.brand.ID, s.ID); return err })
	return codes
}

func (w *world) totals(o offer.Offer) (t offer.Totals) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { t, err = offer.Count(tx, o.BrandID, o.ID); return err })
	return t
}

func (w *world) redeem(o offer.Offer, code, order string) (r offer.Redemption, refusal *problem.Error) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		r, refusal, err = offer.Redeem(tx, o.BrandID, offer.Try{Offer: o.ID, Code: code, Order: order})
		return err
	})
	return r, refusal
}

// facts lists the reasons or orders of an offer's facts of a kind, on a
// person's timeline or, for uuid.Nil, on nobody's.
func (w *world) facts(kind string, person uuid.UUID, of string) (all []string) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		var rows []event.Event
		q := tx.Where("kind = ? AND brand_id = ?", kind, w.brand.ID)
		if person == uuid.Nil {
			q = q.Where("subscriber_id IS NULL")
		} else {
			q = q.Where("subscriber_id = ?", person)
		}
		err := q.Order("id").Find(&rows).Error
		for _, r := range rows {
			all = append(all, fmt.Sprint(r.Data[of]))
		}
		return err
	})
	return all
}

func (w *world) count(sql string, args ...any) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error })
	return n
}

// crowd makes people with permission and three orders each.
func (w *world) crowd(n int) (people []subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for i := range n {
			address, err := subscriber.ParseAddress(fmt.Sprintf("crowd%d@example.org", i))
			if err != nil {
				return err
			}
			s, _, err := subscriber.Ensure(tx, w.brand, subscriber.New{Address: address})
			if err != nil {
				return err
			}
			_, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Given,
				Method: consent.MethodDoubleOptIn, Wording: "Send me offers."})
			if err != nil {
				return err
			}
			for k := range 3 {
				_, err := tx.Run(`INSERT INTO orders (id, brand_id, number, subscriber_id, placed_at, total, currency, items, created_at)
					VALUES (?, ?, ?, ?, ?, 1000, 'EUR', 1, ?)`, tx.NewID(), w.brand.ID, fmt.Sprintf("C-%d-%d", i, k), s.ID, tx.Now(), tx.Now())
				if err != nil {
					return err
				}
			}
			people = append(people, s)
		}
		return nil
	})
	return people
}
