package public

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/link"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
	"assent/internal/web"
)

// world is the public face of an installation with one brand.
type world struct {
	testing.TB
	db       *store.DB
	urls     link.URLs
	clock    atomic.Int64
	brand    brand.Brand
	news     consent.Topic
	offers   consent.Topic
	form     signup.Form
	content  uuid.UUID
	recorder *tracking.Recorder
	http     http.Handler
}

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

func each(t *testing.T, test func(w *world)) {
	testkit.EachPrepared(t, "public", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("https://mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, urls: link.URLs{Base: base, Ring: ring}}
	w.clock.Store(time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC).UnixMicro())
	w.db, err = store.Open(context.Background(), database, store.Options{Ring: ring, Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.write(w.furnish)
	w.recorder = tracking.NewRecorder(w.db, tracking.Options{})
	t.Cleanup(w.recorder.Close)
	w.http = w.strict(1_000_000, 1_000_000)
	return w
}

// strict serves the world with limits for sign-ups.
func (w *world) strict(perIP, perForm int) http.Handler {
	w.Helper()
	return w.serve(w.deps(perIP, perForm))
}

func (w *world) deps(perIP, perForm int) Deps {
	return Deps{DB: w.db, URLs: w.urls, Signup: signup.Defaults(w.urls), Recorder: w.recorder, PerIP: perIP, PerForm: perForm,
		View: func(context.Context, delivery.Message) ([]byte, error) {
			return []byte("<!doctype html><title>Tea &amp; books</title><p>Hello<script>alert(1)</script>"), nil
		}}
}

func (w *world) serve(d Deps) http.Handler {
	w.Helper()
	e, err := web.New(web.Options{URLs: w.urls, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), ErrorPage: ErrorPage})
	if err != nil {
		w.Fatal(err)
	}
	Mount(e, d)
	return e
}

func (w *world) furnish(tx *store.Tx) (err error) {
	w.brand, err = brand.Create(tx, brand.New{
		Slug: "baharan", Name: "Baharan Books", PostalAddress: "12 Enghelab Street\nTehran", SenderEmail: "letters@baharan.example",
		Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran", PrivacyURL: "https://baharan.example/privacy",
	})
	if err != nil {
		return err
	}
	if err := consent.PrepareBrand(tx, w.brand); err != nil {
		return err
	}
	for slug, t := range map[string]*consent.Topic{"news": &w.news, "offers": &w.offers} {
		*t, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: slug, PromiseMax: 1, PromiseDays: 7, Texts: map[string]consent.TopicText{
			"en": {Name: "The " + slug, Wording: "Send me the " + slug + "."}, "fa": {Name: "نامه " + slug, Wording: "نامه را بفرستید: " + slug},
		}})
		if err != nil {
			return err
		}
	}
	w.form, err = signup.Create(tx, w.brand, "Front page", signup.Spec{
		Fields: []signup.Field{{Name: "name"}}, Topics: []string{"news", "offers"}, Tracking: []string{"opens", "clicks"},
	})
	if err != nil {
		return err
	}
	w.content, err = delivery.SaveContent(tx, w.brand.ID, []delivery.Text{{
		Language: "en", Subject: "Hello", HTML: `<p><a href="https://baharan.example/a?x=1&amp;y=2">one</a> <a href="https://baharan.example/b">two</a></p>`,
	}})
	return err
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) write(f func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(context.Background(), f); err != nil {
		w.Fatal(err)
	}
}

// do makes a request; headers are name, value pairs.
func (w *world) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Accept-Language", "en")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.http.ServeHTTP(rec, r)
	return rec
}

// path is a public address as the server sees it.
func path(address string) string { return strings.TrimPrefix(address, "https://mail.example.org") }

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token takes the form's token from the hosted page, after the time a person needs.
func (w *world) token() string {
	w.Helper()
	page := w.do("GET", "/f/"+w.form.ID.String(), "")
	m := tokenField.FindStringSubmatch(page.Body.String())
	if page.Code != 200 || m == nil {
		w.Fatalf("the form's page: %d %s", page.Code, page.Body)
	}
	w.pass(3 * time.Second)
	return m[1]
}

func filled(token, email string, slugs ...string) string {
	v := url.Values{"token": {token}, "email": {email}, "name": {"Sara"}, "page": {"https://shop.example/readers"}, "website": {""}}
	for _, s := range slugs {
		v.Set("topic:"+s, "on")
	}
	return v.Encode()
}

// subscribe makes a person who confirmed topics, tracking among them if named.
func (w *world) subscribe(email string, slugs ...string) subscriber.Subscriber {
	w.Helper()
	if rec := w.do("POST", "/f/"+w.form.ID.String(), filled(w.token(), email, slugs...)); rec.Code != 200 {
		w.Fatalf("sign-up: %d %s", rec.Code, rec.Body)
	}
	r := w.request()
	if rec := w.do("POST", path(w.urls.Confirm(r.ID)), "answer=yes"); rec.Code != 200 {
		w.Fatalf("confirm: %d %s", rec.Code, rec.Body)
	}
	return w.person(r.SubscriberID)
}

func (w *world) person(id uuid.UUID) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		s, err = subscriber.Find(tx, w.brand.ID, id)
		return err
	})
	return s
}

// request is the newest sign-up of anybody.
func (w *world) request() (r signup.Request) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return tx.Order("created_at DESC, id DESC").Take(&r).Error })
	return r
}

// mail is a marketing mail that was sent to the person an hour ago.
func (w *world) mail(s subscriber.Subscriber, topic consent.Topic) (ref link.Message) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		all, err := consent.Permissions(tx, w.brand.ID, s.ID)
		if err != nil {
			return err
		}
		d := delivery.Draft{Source: tx.NewID(), Stream: tx.NewID(), Brand: w.brand.ID, Subscriber: &s.ID, Kind: delivery.Marketing,
			Topic: &topic.ID, Content: &w.content, Language: "en", Due: tx.Now(), Data: map[string]any{"code": "TEA-1"}}
		for _, p := range all {
			if p.TopicID == topic.ID {
				d.ConsentEvent = &p.EventID
			}
		}
		if err := delivery.OpenStream(tx, w.brand.ID, delivery.OriginCampaign, d.Stream); err != nil {
			return err
		}
		id, _, err := delivery.Queue(tx, d)
		if err != nil {
			return err
		}
		ref = link.Message{Source: d.Source, ID: id}
		_, err = tx.Run("UPDATE messages SET state = 'sent', settled_at = ?, tracks_opens = ?, tracks_clicks = ? WHERE id = ? AND source_id = ?",
			tx.Now(), true, true, id, d.Source)
		if err == nil {
			_, err = tx.Run("DELETE FROM outbox WHERE id = ?", id)
		}
		return err
	})
	w.pass(time.Hour)
	return ref
}

func (w *world) allowed(s subscriber.Subscriber) string {
	w.Helper()
	var on []string
	w.write(func(tx *store.Tx) error {
		topics, err := consent.Topics(tx, w.brand.ID)
		if err != nil {
			return err
		}
		for _, t := range topics {
			a, err := consent.May(tx, w.brand, s.ID, t.ID)
			if err != nil {
				return err
			}
			if a.Allowed {
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

// ledger tells all that a request could change.
func (w *world) ledger() string {
	w.Helper()
	out := ""
	for _, table := range []string{"subscribers", "signup_requests", "consent_events", "suppressions", "messages", "hits", "events", "address_changes"} {
		out += fmt.Sprintf("%s=%d ", table, w.count("SELECT count(*) FROM "+table))
	}
	return out + fmt.Sprintf("answered=%d", w.count("SELECT count(*) FROM signup_requests WHERE answered_at IS NOT NULL"))
}
