package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// world is a brand with two topics, on a database whose clock the test moves.
type world struct {
	testing.TB
	db            *store.DB
	moved         atomic.Int64
	brand         brand.Brand
	letter, offer consent.Topic
}

func prepare(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(context.Background()), db.Close())
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	w := &world{TB: t}
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	w.must(err)
	w.db, err = store.Open(t.Context(), url, store.Options{Ring: ring, Clock: func() time.Time { return start.Add(time.Duration(w.moved.Load())) }})
	w.must(err)
	t.Cleanup(func() { w.db.Close() })
	w.write(func(tx *store.Tx) (err error) {
		w.brand, err = brand.Create(tx, brand.New{Slug: "baharan", Name: "Baharan", PostalAddress: "12 Enghelab", SenderEmail: "post@baharan.example",
			Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran"})
		if err != nil {
			return err
		}
		if err := consent.PrepareBrand(tx, w.brand); err != nil {
			return err
		}
		texts := map[string]consent.TopicText{"en": {Name: "Letter", Wording: "Yes, write to me."}}
		if w.letter, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "letter", Texts: texts}); err != nil {
			return err
		}
		w.offer, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "offer", Texts: texts, ValidDays: 365})
		return err
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(f func(*store.Tx) error) {
	w.Helper()
	w.must(w.db.Write(w.Context(), f))
}

// bring uploads a file and guesses what is in it; shown completes the plan.
func (w *world) bring(text string, e Evidence, topics ...consent.Topic) Import {
	w.Helper()
	i, err := Upload(w.Context(), w.db, w.brand, nil, "list.csv", strings.NewReader(text))
	w.must(err)
	w.write(func(tx *store.Tx) error {
		if err := Keep(tx, i); err != nil {
			return err
		}
		kept, err := Find(tx, w.brand.ID, i.ID)
		if err != nil {
			return err
		}
		h, err := Look(tx, kept)
		if err != nil {
			return err
		}
		p := h.Plan
		p.Evidence = e
		for n, c := range p.Columns {
			if c.Use == Skip && c.Attribute != "" {
				p.Columns[n].Use = Attribute
			}
		}
		for _, t := range topics {
			p.Topics = append(p.Topics, t.ID)
		}
		return Start(tx, w.brand.ID, i.ID, p)
	})
	return i
}

func (w *world) work(i Import) Import {
	w.Helper()
	_, err := Work(w.Context(), w.db, i.ID.String())
	w.must(err)
	return w.now(i)
}

func (w *world) now(i Import) (now Import) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { now, err = Find(tx, w.brand.ID, i.ID); return err })
	return now
}

func (w *world) refusals(i Import) (all []Refusal) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { all, err = Refusals(tx, i, -1, 500); return err })
	return all
}

func (w *world) person(email string) (s subscriber.Subscriber, known bool) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		hash, err := w.brand.AddressHash(tx, a.Normal)
		if err != nil {
			return err
		}
		found, err := subscriber.ByHashes(tx, w.brand.ID, [][]byte{hash})
		s, known = found[string(hash)]
		return err
	})
	return s, known
}

// may is "yes", why not, or "unknown".
func (w *world) may(email string, t consent.Topic) (answer string) {
	w.Helper()
	s, known := w.person(email)
	if !known {
		return "unknown"
	}
	w.write(func(tx *store.Tx) error {
		a, err := consent.May(tx, w.brand, s.ID, t.ID)
		if answer = a.Reason; a.Allowed {
			answer = "yes"
		}
		return err
	})
	return answer
}

// says is what somebody said of the letter themself.
func (w *world) says(email string, states ...consent.State) subscriber.Subscriber {
	w.Helper()
	var s subscriber.Subscriber
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		if s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a}); err != nil {
			return err
		}
		for _, state := range states {
			if _, err := consent.Record(tx, consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.letter, State: state, Method: consent.MethodForm, Wording: "Yes.", Evidence: map[string]any{"ip": "192.0.2.1"}}); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

// told is the counts in short: rows = recorded + allowed + left + waiting + dropped + refused; fresh known unread.
func (c Counts) told() string {
	return fmt.Sprintf("%d=%d+%d+%d+%d+%d+%d; %d %d %d", c.RowsRead, c.Recorded, c.Allowed, c.LeftBefore, c.Waiting, c.Dropped, c.Refused, c.Fresh, c.Known, c.Unread)
}

func (w *world) mustCome(i Import, want string) {
	w.Helper()
	if got := w.now(i).Counts.told(); got != want {
		w.Errorf("came %s, want %s\n%+v", got, want, w.refusals(i))
	}
}

func (w *world) count(of string, args ...any) (n int64) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw("SELECT count(*) FROM "+of, args...).Scan(&n).Error })
	return n
}

var shown = Evidence{Basis: consent.BasisImport, Day: "2026-05-01", Source: "the old system", Language: "en"}

var nobody = uuid.UUID{}
