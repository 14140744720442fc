package signup

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// world is an installation with one brand, two topics and a form.
type world struct {
	testing.TB
	db     *store.DB
	set    Settings
	clock  atomic.Int64 // Unix microseconds
	brand  brand.Brand
	news   consent.Topic
	offers consent.Topic
	form   Form
}

var start = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)

func prepare(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	if err := db.Migrate(context.Background()); err != nil {
		return err
	}
	return db.Close()
}

// each runs a test in a new world on both databases.
func each(t *testing.T, test func(w *world)) {
	testkit.EachPrepared(t, "signup", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t}
	w.clock.Store(start.UnixMicro())
	w.db, err = store.Open(context.Background(), url, store.Options{Ring: ring, Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.set = Defaults(link.URLs{Base: mustURL("https://mail.example.org"), Ring: ring})
	w.write(func(tx *store.Tx) error {
		w.brand = w.newBrand(tx, "baharan")
		w.news = w.topic(tx, w.brand, "news", 1, 7)
		w.offers = w.topic(tx, w.brand, "offers", 2, 30)
		w.form, err = Create(tx, w.brand, "Front page", Spec{
			Fields: []Field{
				{Name: "name", Type: "text"},
				{Name: "city", Type: "select", Labels: map[string]string{"en": "City"}, Options: []Option{{Value: "tehran"}, {Value: "shiraz"}}},
				{Name: "books", Type: "number", Labels: map[string]string{"en": "Books a year"}},
			},
			Topics: []string{"news", "offers"}, Tracking: []string{"opens", "clicks"},
			Texts: map[string]Text{"en": {Message: "Thank you. Please look into your mailbox."}},
		})
		return err
	})
	return w
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(context.Background(), f); err != nil {
		w.Fatal(err)
	}
}

func (w *world) newBrand(tx *store.Tx, slug string) brand.Brand {
	b, err := brand.Create(tx, brand.New{
		Slug: slug, Name: "Baharan Books", PostalAddress: "12 Enghelab Street\nTehran", SenderName: "Baharan Books",
		SenderEmail: "letters@" + slug + ".example.org", Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran",
	})
	if err == nil {
		err = consent.PrepareBrand(tx, b)
	}
	if err != nil {
		w.Fatal(err)
	}
	return b
}

func (w *world) topic(tx *store.Tx, b brand.Brand, slug string, most, days int) consent.Topic {
	t, err := consent.CreateTopic(tx, b, consent.NewTopic{
		Slug: slug, PromiseMax: most, PromiseDays: days,
		Texts: map[string]consent.TopicText{
			"en": {Name: strings.ToUpper(slug), Wording: "Send me the " + slug + "."},
			"fa": {Name: "نامه", Wording: "نامه را برایم بفرستید."},
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// sheet is the form on a visitor's screen, and its token.
func (w *world) sheet(form uuid.UUID, lang string) (Sheet, string) {
	w.Helper()
	var s Sheet
	w.write(func(tx *store.Tx) (err error) {
		s, err = Show(tx, form, lang)
		return err
	})
	return s, s.Token(w.set.URLs.Ring, w.now())
}

// submission is a form filled in with an address and the boxes of slugs.
func (w *world) submission(token, email string, slugs ...string) Submission {
	in := Submission{Token: token, Values: map[string]string{"email": email, "name": "Sara"},
		Page: "https://shop.example/readers?utm=1", IP: "192.0.2.7", UserAgent: "Test/1.0"}
	for _, s := range slugs {
		in.Values["topic:"+s] = "on"
	}
	return in
}

// ask signs an address up, as a person does: the form is shown, a while passes, it is sent.
func (w *world) ask(email string, slugs ...string) Outcome {
	w.Helper()
	_, token := w.sheet(w.form.ID, "en")
	w.pass(3 * time.Second)
	o, err := w.send(w.submission(token, email, slugs...))
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) send(in Submission) (o Outcome, err error) {
	err = w.db.Write(context.Background(), func(tx *store.Tx) error {
		o, err = Ask(tx, w.set, w.form.ID, in)
		return err
	})
	return o, err
}

// confirm presses the button of the newest mail.
func (w *world) confirm(email string) Request {
	w.Helper()
	r := w.request(email)
	w.write(func(tx *store.Tx) error {
		_, err := Confirm(tx, r.ID, Seen{IP: "198.51.100.9", UserAgent: "Phone/2"})
		return err
	})
	return w.request(email)
}

// person finds who has the address.
func (w *world) person(email string) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		s, err = subscriber.ByAddress(tx, w.brand, a)
		return err
	})
	return s
}

// request is the newest one of the address.
func (w *world) request(email string) (r Request) {
	w.Helper()
	who := w.person(email)
	w.write(func(tx *store.Tx) error {
		return tx.Where("subscriber_id = ?", who.ID).Order("created_at DESC, id DESC").Take(&r).Error
	})
	return r
}

// mails are the queued mails of a template to everybody, oldest first.
func (w *world) mails(template string) (found []delivery.Message) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		return tx.Where("template = ?", template).Order("created_at, id").Find(&found).Error
	})
	return found
}

// allowed are the slugs of the topics that may be written about now.
func (w *world) allowed(email string) string {
	w.Helper()
	who := w.person(email)
	var on []string
	w.write(func(tx *store.Tx) error {
		topics, err := consent.Topics(tx, w.brand.ID)
		if err != nil {
			return err
		}
		for _, t := range topics {
			answer, err := consent.May(tx, w.brand, who.ID, t.ID)
			if err != nil {
				return err
			}
			if answer.Allowed {
				on = append(on, t.Slug)
			}
		}
		return nil
	})
	return strings.Join(on, " ")
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Raw(sql, args...).Scan(&n).Error })
	return n
}

// everything counts what a sign-up could leave behind.
func (w *world) everything() string {
	w.Helper()
	out := ""
	for _, table := range []string{"subscribers", "subject_keys", "signup_requests", "consent_events", "consent_evidence", "permissions", "messages", "confirmation_mails", "events", "wordings"} {
		out += fmt.Sprintf("%s=%d ", table, w.count("SELECT count(*) FROM "+table))
	}
	return out
}

// newWorldFuzz is a world for tests that are not about databases.
func newWorldFuzz(tb testing.TB) *world {
	tb.Helper()
	return newWorld(tb, testkit.SQLiteTemplate(tb, "signup", prepare))
}

func benchDatabases(tb testing.TB) map[string]string {
	tb.Helper()
	return map[string]string{
		"sqlite":   testkit.SQLiteTemplate(tb, "signup", prepare),
		"postgres": testkit.PostgresTemplate(tb, "signup", prepare),
	}
}
