package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/compose"
	"assent/internal/delivery/throttle"
	"assent/internal/dns"
	"assent/internal/link"
	"assent/internal/mailauth"
	"assent/internal/store"
	"assent/internal/testkit"
	"assent/internal/web"
	"assent/internal/web/api"
)

// world is the API on a database with its own clock.
type world struct {
	t        testing.TB
	db       *store.DB
	e        *echo.Echo
	dns      *testkit.NameServer
	throttle *throttle.Throttle
	now      atomic.Int64 // microseconds
}

func migrate(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	if err := db.Migrate(context.Background()); err != nil {
		return err
	}
	return db.Close()
}

// aKey is one RSA key for all brands of the tests: making one takes its time.
var aKey = func() []byte {
	key, err := compose.GenerateRSA()
	if err != nil {
		panic(err)
	}
	return key
}()

func keyOf(algorithm string) ([]byte, error) {
	if algorithm == "rsa" {
		return aKey, nil
	}
	return compose.GenerateKey(algorithm)
}

// checker looks at the world's own DNS; mail leaves it by a relay on this machine.
func (w *world) checker() *mailauth.Checker {
	offersNone := func(context.Context) (*tls.ConnectionState, error) { return nil, nil }
	return &mailauth.Checker{DNS: dns.New(w.dns.Addr).Fresh(), Clock: w.db.Now, Setup: mailauth.Setup{Relays: []mailauth.Relay{{Host: "127.0.0.1", TLS: offersNone}}}}
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	testkit.EachPrepared(t, "migrated", migrate, func(t *testing.T, dsn string) { test(t, open(t, dsn)) })
}

func open(t testing.TB, dsn string) *world {
	t.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dns: testkit.DNS(t), throttle: throttle.New(throttle.Options{})}
	w.now.Store(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).UnixMicro())
	w.db, err = store.Open(context.Background(), dsn, store.Options{Ring: ring, Clock: func() time.Time { return time.UnixMicro(w.now.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	base, _ := url.Parse("https://mail.example.org")
	urls := link.URLs{Base: base, Ring: ring}
	w.e, err = web.New(web.Options{URLs: urls, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Mount(w.e, api.Deps{DB: w.db, URLs: urls, GenerateKey: keyOf, Held: w.throttle.Held, Checker: w.checker()}); err != nil {
		t.Fatal(err)
	}
	return w
}

// key makes a key; a nil brand is the installation's.
func (w *world) key(brand *uuid.UUID, scopes ...string) string {
	w.t.Helper()
	var secret string
	err := w.db.Write(context.Background(), func(tx *store.Tx) (err error) {
		_, secret, err = account.MakeKey(tx, account.NewKey{BrandID: brand, Name: "test", Scopes: scopes})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// response is an answer of the API.
type response struct {
	t      testing.TB
	status int
	header http.Header
	raw    []byte
}

func (w *world) ask(key, method, path string, body any, headers ...string) response {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req := httptest.NewRequest(method, "/api/v1"+path, r)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.e.ServeHTTP(rec, req)
	return response{w.t, rec.Code, rec.Header(), rec.Body.Bytes()}
}

// must wants a status.
func (r response) must(status int) response {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("answered %d, want %d: %s", r.status, status, r.raw)
	}
	return r
}

func (r response) object() map[string]any {
	r.t.Helper()
	v := map[string]any{}
	if err := json.Unmarshal(r.raw, &v); err != nil {
		r.t.Fatalf("%v: %s", err, r.raw)
	}
	return v
}

func (r response) str(name string) string {
	r.t.Helper()
	s, ok := r.object()[name].(string)
	if !ok {
		r.t.Fatalf("no text %s in %s", name, r.raw)
	}
	return s
}

func (r response) items() []map[string]any {
	r.t.Helper()
	var v struct{ Items []map[string]any }
	if err := json.Unmarshal(r.raw, &v); err != nil || v.Items == nil {
		r.t.Fatalf("no items (%v) in %s", err, r.raw)
	}
	return v.Items
}

// problem wants a problem document with the code.
func (r response) problem(status int, code string) web.Document {
	r.t.Helper()
	r.must(status)
	var d web.Document
	if err := json.Unmarshal(r.raw, &d); err != nil {
		r.t.Fatalf("%v: %s", err, r.raw)
	}
	if r.header.Get("Content-Type") != web.ProblemType || d.Code != code || d.Status != status || d.Detail == "" || d.Detail == d.Code || d.Title == "" {
		r.t.Fatalf("want the problem %s, got %s %s", code, r.header.Get("Content-Type"), r.raw)
	}
	return d
}

// house is a brand with one of everything, made through the API.
type house struct {
	*world
	root, key                                                        string
	brand, topic, form, person, sequence, offer, campaign, consentID string
}

func (w *world) house(root, slug string) house {
	w.t.Helper()
	h := house{world: w, root: root}
	b := w.ask(root, "POST", "/brands", map[string]any{
		"slug": slug, "name": "North Tea", "postal_address": "1 Tea Street\nLeeds", "sender_email": "hello@" + slug + ".example",
		"language": "en", "languages": []string{"en", "fa"}, "time_zone": "Europe/London",
	}).must(201)
	h.brand = b.str("id")
	id := uuid.MustParse(h.brand)
	h.key = w.key(&id, "*")
	h.topic = h.post("/topics", map[string]any{"slug": "letters", "texts": map[string]any{
		"en": map[string]any{"name": "Letters", "wording": "Yes, write to me."}, "fa": map[string]any{"name": "نامه‌ها", "wording": "بله، برایم بنویسید."}}}).must(201).str("id")
	h.form = h.post("/forms", map[string]any{"name": "Footer", "topics": []string{"letters"}, "tracking": []string{"opens", "clicks"}}).must(201).str("id")
	h.person = h.post("/subscribers", map[string]any{"email": "ana@example.org", "name": "Ana", "tags": []string{"shop"}}).must(201).str("id")
	h.consentID = h.post("/subscribers/"+h.person+"/consents", map[string]any{
		"topic": "letters", "basis": "operator", "wording": "Yes, write to me.", "evidence": map[string]any{"card": "A-1"}}).must(201).str("id")
	texts := []map[string]any{{"language": "en", "subject": "Hello {{ subscriber.name }}", "html": "<p>Hello</p>"}, {"language": "fa", "subject": "سلام", "html": "<p>سلام</p>"}}
	h.sequence = h.post("/sequences", map[string]any{"name": "Welcome", "topic": "letters", "steps": []map[string]any{
		{"send": map[string]any{"texts": texts}}, {"wait": map[string]any{"days": 3, "until": "09:00"}}, {"send": map[string]any{"texts": texts}}}}).must(201).str("id")
	h.campaign = h.post("/campaigns", map[string]any{"name": "November", "topic": "letters", "texts": texts}).must(201).str("id")
	h.offer = h.post("/offers", map[string]any{"name": "Thanks", "topic": "letters", "valid_days": 30, "budget": 5,
		"value": map[string]any{"kind": "percent", "percent": 15}, "for": map[string]any{"orders": 1},
		"texts": map[string]any{"en": map[string]any{"title": "Thanks", "terms": "Once."}, "fa": map[string]any{"title": "سپاس", "terms": "یک بار."}},
		"mail":  []map[string]any{{"language": "en", "subject": "A code", "html": "<p>{{ offer.code }}</p>"}, {"language": "fa", "subject": "کد", "html": "<p>{{ offer.code }}</p>"}}}).must(201).str("id")
	h.post("/orders", map[string]any{"number": "1", "email": "ana@example.org", "placed_at": "2026-11-20T10:00:00Z", "total": map[string]any{"amount": 1250, "currency": "GBP"}, "items": 2}).must(201)
	return h
}

func (h house) post(path string, body any, headers ...string) response {
	h.t.Helper()
	return h.ask(h.key, "POST", path, body, headers...)
}

func (h house) get(path string) response {
	h.t.Helper()
	return h.ask(h.key, "GET", path, nil)
}

// tables counts the rows of every table that a request could touch, but for
// the traces of asking itself.
func (w *world) tables() string {
	w.t.Helper()
	var out strings.Builder
	err := w.db.Read(context.Background(), func(tx *store.Tx) error {
		for _, table := range []string{"brands", "dkim_keys", "topics", "forms", "form_versions", "subscribers", "subscriber_tags", "consent_events", "consent_evidence",
			"permissions", "suppressions", "contents", "streams", "messages", "sequences", "sequence_versions", "enrollments", "orders", "offers", "offer_codes", "campaigns", "events", "jobs", "idempotency_keys"} {
			var n int64
			if err := tx.Raw("SELECT count(*) FROM " + table).Scan(&n).Error; err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s=%d ", table, n)
		}
		for _, state := range []string{"SELECT string_agg(state, ',') FROM (SELECT state FROM campaigns UNION ALL SELECT state FROM offers UNION ALL SELECT state FROM sequences) x",
			"SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL", "SELECT string_agg(selector, ',') FROM dkim_keys WHERE active", "SELECT count(*) FROM forms WHERE closed_at IS NOT NULL", "SELECT sum(version) FROM forms",
			"SELECT string_agg(name, ',') FROM (SELECT name FROM subscribers UNION ALL SELECT name FROM campaigns UNION ALL SELECT name FROM sequences) x"} {
			var v string
			if err := tx.Raw(state).Scan(&v).Error; err != nil {
				return err
			}
			out.WriteString(v + " ")
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}
