package delivery

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// world is a brand with a topic, a mail server and an engine, on a database of
// its own, with a clock that the test moves.
type world struct {
	testing.TB
	db     *store.DB
	smtp   *testkit.SMTPServer
	brand  brand.Brand
	topic  consent.Topic
	engine *Engine
	server string // host:port of the mail server
	dir    string
	moved  atomic.Int64

	options func(*Options) // what start is to change
}

func testRing(tb testing.TB) *link.Ring {
	tb.Helper()
	ring, err := link.NewRing(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		tb.Fatal(err)
	}
	return ring
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
	testkit.EachPrepared(t, "migrated", prepare, func(t *testing.T, url string) { test(newWorld(t, url)) })
}

func newWorld(t testing.TB, dbURL string) *world {
	w := &world{TB: t, smtp: testkit.SMTP(t), dir: t.TempDir()}
	w.server = w.smtp.Addr
	db, err := store.Open(t.Context(), dbURL, store.Options{Ring: testRing(t), Clock: w.clock})
	w.must(err)
	w.db = db
	w.write(func(tx *store.Tx) (err error) {
		w.brand, err = brand.Create(tx, brand.New{Slug: "baharan", Name: "Baharan", PostalAddress: "12 Enghelab, Tehran",
			SenderEmail: "post@baharan.example", Language: "en", Languages: []string{"en", "fa"}, TimeZone: "Asia/Tehran"})
		if err != nil {
			return err
		}
		if err = consent.PrepareBrand(tx, w.brand); err != nil {
			return err
		}
		w.topic, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "letter",
			Texts: map[string]consent.TopicText{"en": {Name: "Letter", Wording: "Send me the letter."}}})
		return err
	})
	w.start()
	t.Cleanup(func() {
		if w.engine != nil {
			w.engine.Stop()
		}
		db.Close()
	})
	return w
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.moved.Load())) }

func (w *world) pass(d time.Duration) { w.moved.Add(int64(d)) }

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

func (w *world) start() {
	host, port, _ := net.SplitHostPort(w.server)
	n, _ := strconv.Atoi(port)
	base, _ := url.Parse("https://mail.test")
	urls := link.URLs{Base: base, Ring: testRing(w)}
	o := Options{DB: w.db, Renderer: NewRenderer(w.db, urls), DataDir: w.dir,
		Servers: []Server{{Host: host, Port: n, TLS: TLSNone, Connections: 4}}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	if w.options != nil {
		w.options(&o)
	}
	e, err := Start(context.Background(), o)
	w.must(err)
	w.engine = e
}

// person has given permission for the topic.
func (w *world) person(email string) subscriber.Subscriber {
	w.Helper()
	var s subscriber.Subscriber
	w.write(func(tx *store.Tx) error {
		a, err := subscriber.ParseAddress(email)
		if err != nil {
			return err
		}
		if s, _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"}); err != nil {
			return err
		}
		_, err = consent.Grant(tx, w.act(s, consent.Given))
		return err
	})
	return s
}

func (w *world) act(s subscriber.Subscriber, state consent.State) consent.Act {
	return consent.Act{Brand: w.brand, Subscriber: s.ID, Topic: w.topic, State: state, Basis: consent.BasisOperator, Method: "api",
		Language: "en", Wording: "Send me the letter.", Entity: "operator", Evidence: map[string]any{"paper": "box 7"}}
}

// allowTracking grants both tracking permissions, and gives their topics.
func (w *world) allowTracking(s subscriber.Subscriber) (opens, clicks consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) {
		if opens, clicks, err = consent.TrackingTopics(tx, w.brand.ID); err != nil {
			return err
		}
		for _, topic := range []consent.Topic{opens, clicks} {
			act := w.act(s, consent.Given)
			act.Topic = topic
			if _, err := consent.Grant(tx, act); err != nil {
				return err
			}
		}
		return nil
	})
	return opens, clicks
}

func (w *world) leave(s subscriber.Subscriber) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		_, err := consent.Withdraw(tx, w.brand, s.ID, []uuid.UUID{w.topic.ID}, consent.MethodOneClick, map[string]any{"ip": "192.0.2.1"})
		return err
	})
}

// campaign queues one mail to each, and gives its source.
func (w *world) campaign(people ...subscriber.Subscriber) uuid.UUID {
	w.Helper()
	source := store.NewID(w.db.Now())
	w.write(func(tx *store.Tx) error {
		content, err := SaveContent(tx, w.brand.ID, []Text{{Language: "en", Subject: "Hello {{ subscriber.email }}", HTML: `<p>Read <a href="https://baharan.example/new">what is new</a></p>`}})
		if err != nil {
			return err
		}
		if err := OpenStream(tx, w.brand.ID, OriginCampaign, source); err != nil {
			return err
		}
		for _, p := range people {
			may, err := consent.May(tx, w.brand, p.ID, w.topic.ID)
			if err != nil {
				return err
			}
			_, _, err = Queue(tx, Draft{Source: source, Stream: source, Brand: w.brand.ID, Subscriber: &p.ID, Kind: Marketing,
				Topic: &w.topic.ID, ConsentEvent: &may.Event, Content: &content, Language: "en", Due: tx.Now()})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return source
}

func (w *world) confirmation(p subscriber.Subscriber) uuid.UUID {
	w.Helper()
	source := store.NewID(w.db.Now())
	w.write(func(tx *store.Tx) error {
		stream, err := BrandStream(tx, w.brand.ID, OriginConfirm)
		if err != nil {
			return err
		}
		_, _, err = Queue(tx, Draft{Source: source, Stream: stream, Brand: w.brand.ID, Subscriber: &p.ID, Kind: Confirm, Template: "confirm",
			Language: "en", Due: tx.Now(), Data: map[string]any{"confirm_url": "https://mail.test/c/x", "wordings": []string{"Send me the letter."}}})
		return err
	})
	return source
}

// deliver runs a lane until nothing is due, and waits for the book.
func (w *world) deliver(queue string) {
	w.Helper()
	w.must(w.engine.Deliver(context.Background(), queue))
	w.settle()
}

func (w *world) carry(ctx context.Context, j job) {
	j.way.line = w.engine.pool.turn()
	(&courier{engine: w.engine}).carry(ctx, j)
}

// settle closes the book and opens a new one, so that all is written.
func (w *world) settle() {
	w.engine.lanes.Wait()
	w.engine.book.close()
	w.engine.book = openBook(w.db, w.engine.node, w.engine.jour, &w.engine.hand, w.engine.metrics, w.engine.log)
}

// message is the one message of a source.
func (w *world) message(source uuid.UUID) (m Message) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		page, err := ListMessages(tx, w.brand.ID, Query{Source: source, Limit: 1})
		if err == nil {
			m = page[0]
		}
		return err
	})
	return m
}

func (w *world) mustBe(source uuid.UUID, state State, reason string) Message {
	w.Helper()
	m := w.message(source)
	if m.State != state || m.Reason != reason {
		w.Fatalf("the message is %s (%q), want %s (%q); the server said %d %q", m.State, m.Reason, state, reason, m.SMTPCode, m.SMTPReply)
	}
	return m
}

func (w *world) counts(source uuid.UUID) (c Counts) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { c, err = SourceCounts(tx, w.brand.ID, source); return err })
	return c
}

func rsaKey(tb testing.TB) []byte {
	tb.Helper()
	key, err := compose.GenerateRSA()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
