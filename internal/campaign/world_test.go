package campaign_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/link"
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

// texts is a mail in both languages.
func texts() []delivery.Text {
	return []delivery.Text{{Language: "fa", Subject: "سلام", HTML: "<p>سلام</p>"}, {Language: "en", Subject: "Hello", HTML: "<p>Hello {{ subscriber.name }}</p>"}}
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

// crowd makes people with permission for the world's topic.
func (w *world) crowd(n int) (people []subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		for i := range n {
			address, err := subscriber.ParseAddress(fmt.Sprintf("crowd%d@example.org", i))
			if err != nil {
				return err
			}
			s, _, err := subscriber.Ensure(tx, w.brand, subscriber.New{Address: address, Language: []string{"fa", "en"}[i%2]})
			if err != nil {
				return err
			}
			_, err = consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: consent.Given,
				Method: consent.MethodDoubleOptIn, Wording: "Send me news."})
			if err != nil {
				return err
			}
			people = append(people, s)
		}
		return nil
	})
	return people
}

func (w *world) count(sql string, args ...any) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error })
	return n
}

func (w *world) draft(tag string) (c campaign.Campaign) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		c, err = campaign.Create(tx, w.brand, campaign.New{Name: "Spring", Topic: w.topic.ID, Tag: tag, Texts: texts()})
		return err
	})
	return c
}

// scheduled is due now.
func (w *world) scheduled(tag string) campaign.Campaign {
	w.Helper()
	c := w.draft(tag)
	w.do(campaign.Schedule, c.ID, w.db.Now())
	return w.find(c.ID)
}

func (w *world) do(f func(*store.Tx, uuid.UUID, uuid.UUID, time.Time) (campaign.Campaign, error), id uuid.UUID, at time.Time) {
	w.Helper()
	w.write(func(tx *store.Tx) error { _, err := f(tx, w.brand.ID, id, at); return err })
}

type verb = func(*store.Tx, uuid.UUID, uuid.UUID) (campaign.Campaign, error)

func (w *world) move(f verb, id uuid.UUID) error {
	return w.try(func(tx *store.Tx) error { _, err := f(tx, w.brand.ID, id); return err })
}

func (w *world) must(f verb, id uuid.UUID) {
	w.Helper()
	if err := w.move(f, id); err != nil {
		w.Fatal(err)
	}
}

func (w *world) find(id uuid.UUID) (c campaign.Campaign) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { c, err = campaign.Find(tx, w.brand.ID, id); return err })
	return c
}

func (w *world) mustBe(id uuid.UUID, want campaign.State) campaign.Campaign {
	w.Helper()
	c := w.find(id)
	if c.State != want {
		w.Fatalf("the campaign is %s, want %s", c.State, want)
	}
	return c
}

func (w *world) counts(id uuid.UUID) (n delivery.Counts) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { n, err = campaign.Counts(tx, w.brand.ID, id); return err })
	if sum := n.Queued + n.Claimed + n.Sent + n.Failed + n.Skipped + n.Uncertain; sum != n.Total {
		w.Fatalf("counts do not add up: %+v", n)
	}
	return n
}

// work is one call of the campaign's job.
func (w *world) work(id uuid.UUID) (next *time.Time) {
	w.Helper()
	next, err := campaign.Work(w.ctx, w.db, id.String())
	if err != nil {
		w.Fatal(err)
	}
	return next
}

// clear takes what was settled by hand out of the outbox.
func (w *world) clear(tx *store.Tx) error {
	_, err := tx.Run("DELETE FROM outbox WHERE id IN (SELECT id FROM messages WHERE state <> 'queued')")
	return err
}

// settle is what the mail server's answer does to all that is queued and due.
func (w *world) settle(id uuid.UUID, state delivery.State) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		n, err = tx.Run("UPDATE messages SET state = ?, settled_at = ? WHERE stream_id = ? AND state = 'queued' AND due_at <= ?", state, tx.Now(), id, tx.Now())
		if err == nil {
			err = w.clear(tx)
		}
		return err
	})
	return n
}
