package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/smtp"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/delivery/catcher"
	"assent/internal/delivery/provider"
	"assent/internal/delivery/throttle"
	"assent/internal/dns"
	"assent/internal/link"
	"assent/internal/mailauth"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
	"assent/internal/tracking"
	"assent/internal/web"
	"assent/internal/web/public"
)

const (
	email    = "mina@baharan.example"
	password = "a long sentence, twice"
	overview = "/admin/b/baharan"
	often    = 50 * time.Millisecond // how often live pages look in tests
)

// world is the running pages on a database of its own: Mina, who owns the brand
// Baharan, its topic, and beside it the brand Marble, which is not hers.
type world struct {
	testing.TB
	db     *store.DB
	door   *account.Door
	mina   account.User
	brand  brand.Brand
	topic  consent.Topic
	marble brand.Brand
	box    *catcher.Mailbox
	dns    *testkit.NameServer
	out    delivery.Out    // how mail leaves: into the mailbox, unless a test says otherwise
	held   []throttle.Held // what the throttle tells
	url    string
	urls   link.URLs
	done   chan struct{}
	moved  atomic.Int64
	routes []*echo.Route // that the server knows
}

func prepare(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(context.Background())
}

// each runs the test in a new world on either database.
func each(t *testing.T, test func(w *world)) {
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) { test(newWorld(t, url, false)) })
}

func newWorld(t testing.TB, dbURL string, openMailbox bool) *world {
	w := &world{TB: t, done: make(chan struct{}), dns: testkit.DNS(t)}
	ring := w.ring()
	var err error
	w.db, err = store.Open(t.Context(), dbURL, store.Options{Ring: ring, Clock: func() time.Time { return time.Now().Add(time.Duration(w.moved.Load())) }})
	w.must(err)
	t.Cleanup(func() { w.db.Close() })
	w.door, err = account.NewDoor(w.db, account.Cost{MemoryKiB: 64, Passes: 1})
	w.must(err)
	w.brand, w.topic = w.newBrand("baharan", "Baharan")
	w.marble, _ = w.newBrand("marble", "Marble & Sons")
	w.mina = w.newUser(email, "Mina", "en")
	w.role(w.mina, w.brand, account.Owner)
	w.catch()
	w.serve(ring, openMailbox)
	return w
}

func (w *world) ring() *link.Ring {
	ring, err := link.NewRing(bytes.Repeat([]byte("k"), 32))
	w.must(err)
	return ring
}

func (w *world) catch() {
	l, err := catcher.Listen(0)
	w.must(err)
	box := catcher.New(catcher.Options{Clock: w.db.Now})
	w.box = box
	go box.Serve(l)
	w.Cleanup(func() { box.Shutdown(context.Background()) })
	for box.Addr() == "" {
		time.Sleep(time.Millisecond)
	}
	at := netip.MustParseAddrPort(box.Addr())
	w.out = delivery.Out{Servers: []delivery.Server{{Host: at.Addr().String(), Port: int(at.Port()), TLS: delivery.TLSNone, Connections: 4, Hello: "assent.test"}}, Catcher: true}
}

func (w *world) serve(ring *link.Ring, openMailbox bool) {
	server := httptest.NewUnstartedServer(nil)
	base, err := url.Parse("http://" + server.Listener.Addr().String())
	w.must(err)
	urls := link.URLs{Base: base, Ring: ring}
	e, err := web.New(web.Options{URLs: urls, Log: slog.New(slog.NewTextHandler(testLog{w.TB}, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	w.must(err)
	w.must(Mount(e, Deps{DB: w.db, URLs: urls, Door: w.door, Sessions: account.NewSessions(w.db, false), Preview: public.Preview,
		Mailbox: w.box, OpenMailbox: openMailbox, Done: w.done, Every: often, Out: w.out,
		Held:        func(context.Context) ([]throttle.Held, error) { return w.held, nil },
		Checker:     &mailauth.Checker{DNS: dns.New(w.dns.Addr).Fresh(), Clock: w.db.Now, Setup: mailauth.Setup{Relays: []mailauth.Relay{{Host: "127.0.0.1", TLS: offersNoTLS}}}},
		GenerateKey: compose.GenerateKey, WarmUp: provider.WarmUp{PerHour: []int{50, 100, 200}, Idle: 30 * 24 * time.Hour}}))
	settings := signup.Defaults(urls)
	settings.MinFill = 0
	recorder := tracking.NewRecorder(w.db, tracking.Options{})
	w.Cleanup(recorder.Close)
	public.Mount(e, public.Deps{Prove: public.ProveNever, DB: w.db, URLs: urls, Signup: settings, Recorder: recorder, PerIP: 1000, PerForm: 1000})
	server.Config = web.Server(e)
	server.Start()
	w.Cleanup(server.Close)
	w.url, w.urls, w.routes = server.URL, urls, e.Routes()
}

func offersNoTLS(context.Context) (*tls.ConnectionState, error) { return nil, nil }

// testLog fails the test for whatever is logged: nothing here is our own fault.
type testLog struct{ testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.Errorf("logged: %s", line)
	return len(line), nil
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(f func(*store.Tx) error) {
	w.Helper()
	w.must(w.db.Write(context.Background(), f))
}

func (w *world) pass(d time.Duration) { w.moved.Add(int64(d)) }

func (w *world) newBrand(slug, name string) (b brand.Brand, t consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		b, err = brand.Create(tx, brand.New{Slug: slug, Name: name, PostalAddress: "12 Enghelab, Tehran", SenderEmail: "post@" + slug + ".example",
			Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran", Texts: map[string]brand.Text{"fa": {Name: "برند " + name}}})
		if err != nil {
			return err
		}
		if err := consent.PrepareBrand(tx, b); err != nil {
			return err
		}
		t, err = consent.CreateTopic(tx, b, consent.NewTopic{Slug: "letter", PromiseMax: 2, PromiseDays: 30, Texts: map[string]consent.TopicText{
			"en": {Name: "Letter of " + name, Wording: "Send me the letter."}, "fa": {Name: "نامهٔ " + name, Wording: "نامه را برایم بفرستید."}}})
		return err
	})
	return b, t
}

func (w *world) newUser(email, name, lang string) account.User {
	w.Helper()
	u, err := w.door.AddUser(context.Background(), account.NewUser{Email: email, Name: name, Password: password, Language: lang})
	w.must(err)
	return u
}

func (w *world) role(u account.User, b brand.Brand, r account.Role) {
	w.Helper()
	w.write(func(tx *store.Tx) error { return account.Grant(tx, u.ID, b.ID, r) })
}

// person is someone whose permission for the topic is in the state.
func (w *world) person(b brand.Brand, t consent.Topic, email string, states ...consent.State) (s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		if s, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: a, Language: "en"}); err != nil {
			return err
		}
		for _, state := range states {
			_, err := consent.Record(tx, consent.Act{Brand: b, Subscriber: s.ID, Topic: t, State: state, Method: consent.MethodForm,
				Language: "en", Wording: "Send me the letter.", Evidence: map[string]any{"ip": "192.0.2.7"}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

// mail queues one mail to the person in a new campaign.
func (w *world) mail(b brand.Brand, t consent.Topic, s subscriber.Subscriber) (source uuid.UUID) {
	w.Helper()
	source = store.NewID(w.db.Now())
	w.write(func(tx *store.Tx) error {
		content, err := delivery.SaveContent(tx, b.ID, []delivery.Text{{Language: "en", Subject: "Hello", HTML: "<p>Hello</p>"}})
		if err != nil {
			return err
		}
		if err := delivery.OpenStream(tx, b.ID, delivery.OriginCampaign, source); err != nil {
			return err
		}
		may, err := consent.May(tx, b, s.ID, t.ID)
		if err != nil {
			return err
		}
		_, _, err = delivery.Queue(tx, delivery.Draft{Source: source, Stream: source, Brand: b.ID, Subscriber: &s.ID, Kind: delivery.Marketing,
			Topic: &t.ID, ConsentEvent: &may.Event, Content: &content, Language: "en", Due: tx.Now()})
		return err
	})
	return source
}

// post has the mailbox catch a mail.
func (w *world) post(to, subject, contentType, body string) {
	w.Helper()
	text := fmt.Sprintf("From: Baharan <post@baharan.example>\r\nTo: %s\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n%s\r\n", to, subject, contentType, body)
	w.must(smtp.SendMail(w.box.Addr(), nil, "bounce@baharan.example", []string{to}, []byte(text)))
}

// browser is a client with cookies of its own, which follows no redirect.
type browser struct {
	*world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &browser{w, &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	status   int
	location string
	header   http.Header
	body     string
	undo     string // the query that the location went on with, where what was done can be taken back
}

var undoQuery = regexp.MustCompile(`&undo=[0-9a-f-]{36}`)

func (b *browser) ask(method, path string, body io.Reader, headers ...string) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, body)
	b.must(err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := b.client.Do(r)
	b.must(err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	b.must(err)
	location := got.Header.Get("Location")
	return answer{got.StatusCode, undoQuery.ReplaceAllString(location, ""), got.Header, string(text), undoQuery.FindString(location)}
}

func (b *browser) get(path string, headers ...string) answer {
	b.Helper()
	return b.ask("GET", path, nil, headers...)
}

func (b *browser) submit(path string, form url.Values, headers ...string) answer {
	b.Helper()
	return b.ask("POST", path, strings.NewReader(form.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func (b *browser) signIn(email, password string) answer {
	b.Helper()
	return b.submit(signInPath, url.Values{"email": {email}, "password": {password}})
}

// in is a browser in which the user is signed in.
func (w *world) in(email string) *browser {
	w.Helper()
	b := w.browser()
	if got := b.signIn(email, password); got.status != http.StatusSeeOther || got.location != homePath {
		w.Fatalf("signing in answered %d to %q: %s", got.status, got.location, got.body)
	}
	return b
}

func (b *browser) token() string {
	u, _ := url.Parse(b.url)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "assent" {
			return c.Value
		}
	}
	return ""
}

func (b *browser) mustShow(path string, want ...string) answer {
	b.Helper()
	got := b.get(path)
	if got.status != http.StatusOK {
		b.Fatalf("%s answered %d (%s): %s", path, got.status, got.location, got.body)
	}
	for _, text := range want {
		if !strings.Contains(got.body, text) {
			b.Errorf("%s does not show %q", path, text)
		}
	}
	return got
}
