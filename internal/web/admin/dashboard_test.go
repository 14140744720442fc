package admin

import (
	"bufio"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// crowd gives a brand people of every sort, and says how it counts.
func (w *world) crowd() numbers {
	w.Helper()
	for i := range 3 {
		w.person(w.brand, w.topic, fmt.Sprintf("yes%d@example.org", i), consent.Requested, consent.Given)
	}
	w.person(w.brand, w.topic, "asked@example.org", consent.Requested)
	w.person(w.brand, w.topic, "left@example.org", consent.Given, consent.Withdrawn)
	blocked := w.person(w.brand, w.topic, "blocked@example.org", consent.Given)
	w.write(func(tx *store.Tx) error {
		return consent.Suppress(tx, w.brand, blocked.AddressHash, consent.HardBounce, "550")
	})
	return numbers{People: 6, Writable: 3, New: 5, Left: 1}
}

// The dashboard's numbers are those that the rule for one person gives.
func TestNumbers(t *testing.T) {
	each(t, func(w *world) {
		want := w.crowd()
		sent, queued := w.person(w.brand, w.topic, "one@example.org", consent.Given), w.person(w.brand, w.topic, "two@example.org", consent.Given)
		settled, waiting, held := w.mail(w.brand, w.topic, sent), w.mail(w.brand, w.topic, queued), w.mail(w.brand, w.topic, queued)
		w.write(func(tx *store.Tx) error {
			for _, x := range []string{"UPDATE messages SET state = 'sent' WHERE source_id = ?", "DELETE FROM outbox WHERE source_id = ?"} {
				if _, err := tx.Run(x, settled); err != nil {
					return err
				}
			}
			return delivery.PauseStream(tx, w.brand.ID, held)
		})
		w.pass(90 * time.Second)
		h := house{counts: counter{db: w.db}}
		got, err := h.counts.of(w.Context(), w.brand.ID)
		w.must(err)
		if got.People != want.People+2 || got.Writable != want.Writable+2 || got.New != want.New+2 || got.Left != want.Left {
			w.Errorf("people %d writable %d new %d left %d", got.People, got.Writable, got.New, got.Left)
		}
		if got.Messages != (States{Queued: 2, Sent: 1}) || got.Messages.Total() != 3 {
			w.Errorf("messages %+v", got.Messages)
		}
		if len(got.Topics) != 3 || got.Topics[0].Given != 6 || got.Topics[0].Asked != 1 || got.Topics[0].Withdrawn != 1 {
			w.Errorf("topics %+v", got.Topics)
		}
		if len(got.Queues) != 1 || got.Queues[0].Queue != "bulk" || got.Queues[0].Waiting != 1 || got.Queues[0].Held != 1 || got.Queues[0].Active+got.Queues[0].Later != 0 {
			w.Errorf("queues %+v", got.Queues)
		}
		var due time.Time
		w.write(func(tx *store.Tx) error {
			var m delivery.Message
			err := tx.Where("source_id = ?", waiting).Take(&m).Error
			due = m.DueAt
			return err
		})
		if got.Queues[0].Oldest != due.Unix() {
			w.Errorf("the oldest was due at %d, not %d", got.Queues[0].Oldest, due.Unix())
		}
		w.byHand(got.Writable)
	})
}

// byHand asks the rule for one person about each.
func (w *world) byHand(writable int64) {
	w.Helper()
	var n int64
	w.write(func(tx *store.Tx) error {
		var all []subscriber.Subscriber
		if err := tx.Where("brand_id = ?", w.brand.ID).Find(&all).Error; err != nil {
			return err
		}
		for _, s := range all {
			may, err := consent.May(tx, w.brand, s.ID, w.topic.ID)
			if err != nil {
				return err
			}
			if may.Allowed {
				n++
			}
		}
		return nil
	})
	if n != writable {
		w.Errorf("%d may be written to by the rule, %d by the dashboard", n, writable)
	}
}

// A permission for being tracked is none for being written to, and what is past
// its window is not counted as of these days.
func TestNumbersLeaveOut(t *testing.T) {
	each(t, func(w *world) {
		var opens consent.Topic
		w.write(func(tx *store.Tx) (err error) { opens, _, err = consent.TrackingTopics(tx, w.brand.ID); return err })
		w.person(w.brand, opens, "watched@example.org", consent.Given)
		w.mail(w.brand, w.topic, w.person(w.brand, w.topic, "old@example.org", consent.Given))
		w.pass(31 * 24 * time.Hour)
		n, err := (&counter{db: w.db}).of(w.Context(), w.brand.ID)
		w.must(err)
		if n.People != 2 || n.Writable != 1 || n.New != 0 || n.Messages.Total() != 0 {
			w.Errorf("%+v", n)
		}
		if len(n.Queues) != 1 || n.Queues[0].Waiting != 1 {
			w.Errorf("what still waits is gone: %+v", n.Queues)
		}
	})
}

// The page begins with how many may be written to, in the user's language.
func TestDashboard(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		b := w.in(email)
		page := b.mustShow(overview, "may be written to today", "of 6 people", "Letter of Baharan", "at most 2 mails in 30 days",
			"Permission taken back: Letter of Baharan", "left@example.org", "Address stopped", "there is no such mailbox")
		if strings.Contains(page.body, "Marble") || strings.Contains(page.body, `class="brands"`) {
			w.Error("there is a switch between one brand, or another brand in sight")
		}
		if answer, topics := strings.Index(page.body, `<b class="num">3</b>`), strings.Index(page.body, "Letter of Baharan"); answer < 0 || answer > topics {
			w.Error("the page does not begin with its answer")
		}
		fa := b.mustShow("/admin/b/baharan?lang=fa", `dir="rtl"`, "از ۶ نفر", "نامهٔ Baharan", "اجازه پس گرفته شد", `href="/admin/b/baharan?lang=fa"`, "برند Baharan")
		if strings.Contains(fa.body, "admin.") {
			w.Error("a text is missing in Persian")
		}
		w.role(w.newUser("sara@baharan.example", "سارا", "fa"), w.brand, account.Analyst)
		w.in("sara@baharan.example").mustShow(overview, `lang="fa"`, "left@example.org")
	})
}

// A reader sees sums and no people.
func TestReaderSeesNoAddresses(t *testing.T) {
	each(t, func(w *world) {
		w.crowd()
		w.role(w.newUser("reza@baharan.example", "Reza", "en"), w.brand, account.Reader)
		b := w.in("reza@baharan.example")
		page := b.mustShow(overview, "of 6 people", "Permission taken back: Letter of Baharan")
		if strings.Contains(page.body, "example.org") {
			w.Error("an address is shown")
		}
		if strings.Contains(page.body, "/mailbox") {
			w.Error("the mailbox is offered to who may not open it")
		}
		if got := b.get(mailboxPath); got.status != http.StatusForbidden {
			w.Errorf("the mailbox answered %d", got.status)
		}
	})
}

// Brands are walls: nothing of another brand is counted, named or reachable.
func TestBrandsAreWalls(t *testing.T) {
	each(t, func(w *world) {
		_, topic := w.marble, w.topicOf()
		for i := range 7 {
			p := w.person(w.marble, topic, fmt.Sprintf("secret%d@marble.example", i), consent.Given)
			w.mail(w.marble, topic, p)
		}
		b := w.in(email)
		page := b.mustShow(overview, "of 0 people", "Nothing yet")
		for _, theirs := range []string{"secret", "Marble", "marble", `>7<`} {
			if strings.Contains(page.body, theirs) {
				w.Errorf("the dashboard shows %q of another brand", theirs)
			}
		}
		for _, path := range []string{"/admin/b/marble", "/admin/b/marble/live", "/admin/b/nowhere"} {
			if got := b.get(path); got.status != http.StatusNotFound || strings.Contains(got.body, "Marble") {
				w.Errorf("%s answered %d", path, got.status)
			}
		}
		w.role(w.mina, w.marble, account.Reader)
		b.mustShow(overview, "of 0 people", `href="/admin/b/marble"`)
		if theirs := b.mustShow("/admin/b/marble", "of 7 people"); strings.Contains(theirs.body, "secret") {
			w.Error("a reader there sees addresses, as an owner here")
		}
	})
}

// topicOf is Marble's letter.
func (w *world) topicOf() (t consent.Topic) {
	w.Helper()
	w.write(func(tx *store.Tx) (err error) { t, err = consent.TopicBySlug(tx, w.marble.ID, "letter"); return err })
	return t
}

// stream listens to server-sent events and gives their names but pings, until it ends.
func (b *browser) stream(path string) (names <-chan string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	b.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", b.url+path, nil)
	b.must(err)
	client := *b.client
	client.Timeout = 0
	got, err := client.Do(r)
	b.must(err)
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/event-stream" {
		b.Fatalf("%s answered %d %v", path, got.StatusCode, got.Header)
	}
	c := make(chan string, 64)
	go func() {
		defer close(c)
		defer got.Body.Close()
		for lines := bufio.NewScanner(got.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok && name != "ping" {
				c <- name
			}
		}
	}()
	return c
}

// next is the next event, "" when the stream ended, "-" when nothing came for so long.
func next(c <-chan string, wait time.Duration) string {
	select {
	case name := <-c:
		return name
	case <-time.After(wait):
		return "-"
	}
}

const soon, quiet = 10 * time.Second, 10 * often

func liveOf(page answer) string {
	_, after, _ := strings.Cut(page.body, `data-live="`)
	path, _, _ := strings.Cut(after, `"`)
	return strings.ReplaceAll(path, "&amp;", "&")
}

// A page is told when it is out of date, and only then; what happened before it
// began to listen is told too. The stream ends with the session.
func TestDashboardLive(t *testing.T) {
	each(t, func(w *world) {
		b := w.in(email)
		live := liveOf(b.mustShow(overview))
		events := b.stream(live)
		if got := next(events, quiet); got != "-" {
			w.Fatalf("nothing happened, and %q came", got)
		}
		w.person(w.marble, w.topicOf(), "secret@marble.example", consent.Given)
		if got := next(events, quiet); got != "-" {
			w.Fatalf("another brand's sign-up was told: %q", got)
		}
		w.person(w.brand, w.topic, "sara@example.org", consent.Given)
		if got := next(events, soon); got != "change" {
			w.Fatalf("a sign-up was told as %q", got)
		}
		if late := next(b.stream(live), soon); late != "change" {
			w.Fatalf("what happened before listening was told as %q", late)
		}
		for next(events, quiet) == "change" { // counts that were kept are made anew
		}
		b.submit(signOutPath, nil)
		if got := next(events, soon); got != "" {
			w.Fatalf("after signing out came %q", got)
		}
		if got := b.get(live); got.status != http.StatusUnauthorized {
			w.Errorf("the stream of nobody answered %d", got.status)
		}
	})
}

func TestStoppingServerEndsStreams(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	w.role(w.mina, w.marble, account.Owner)
	b := w.in(email)
	dashboard, mailbox := b.stream(liveOf(b.mustShow(overview))), b.stream("/mailbox/live?after=0")
	close(w.done)
	if next(dashboard, soon) != "" || next(mailbox, soon) != "" {
		t.Error("a stream outlives the server")
	}
}

// However many look at once, each brand is counted by one at a time, and not
// again before the count is twenty times as old as it took.
func TestCountsAreShared(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare), false)
	c := &counter{db: w.db}
	if _, err := c.of(t.Context(), w.brand.ID); err != nil {
		t.Fatal(err)
	}
	w.person(w.brand, w.topic, "sara@example.org", consent.Given)
	c.tally(w.brand.ID).until = time.Now().Add(time.Hour)
	if n, _ := c.of(t.Context(), w.brand.ID); n.People != 0 {
		t.Error("a count that is to be kept was made anew")
	}
	c.tally(w.brand.ID).until = time.Now()
	if n, _ := c.of(t.Context(), w.brand.ID); n.People != 1 {
		t.Error("an old count was kept")
	}
	if n, _ := c.of(t.Context(), w.marble.ID); n.People != 0 {
		t.Error("a brand has the count of another")
	}
	slow := c.tally(w.brand.ID)
	w.person(w.brand, w.topic, "ali@example.org", consent.Given)
	slow.until, slow.took = time.Now(), 2*blink
	if n, _ := c.of(t.Context(), w.brand.ID); n.People != 1 {
		t.Error("a slow count is waited for although there is one from before")
	}
	for n := int64(1); n != 2; time.Sleep(time.Millisecond) {
		slow.turn <- struct{}{} // after whoever counts
		now, _, _ := slow.kept(time.Now())
		n = now.People
		<-slow.turn
	}
	slow.turn <- struct{}{}
	slow.until, slow.took = time.Now(), 0
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.of(gone, w.brand.ID); err == nil {
		t.Error("who left waits for the count")
	}
}

// Every kind of fact there is has words in both languages, and tones that exist.
func TestEveryFactHasWords(t *testing.T) {
	kinds := kindsOf(t, "../../event/event.go")
	if len(kinds) < 25 {
		t.Fatalf("only %d kinds were found", len(kinds))
	}
	kinds = append(kinds, "sequence.advanced")
	for _, lang := range i18n.Languages {
		l := i18n.For(lang)
		for _, kind := range kinds {
			if !l.Has("admin.event." + kind) {
				t.Errorf("%s has no words for %s", lang, kind)
			}
			if strings.HasPrefix(kind, "consent.") && !l.Has("admin.event."+kind+".topic") {
				t.Errorf("%s has no words for %s of a topic", lang, kind)
			}
		}
	}
	for kind, tone := range tones {
		if !slices.Contains(kinds, kind) || !slices.Contains([]string{"yes", "ask", "no"}, tone) {
			t.Errorf("%s has the tone %s", kind, tone)
		}
	}
}

// kindsOf reads the texts of the constants of a file.
func kindsOf(t *testing.T, path string) (kinds []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.CONST {
			ast.Inspect(d, func(n ast.Node) bool {
				if v, ok := n.(*ast.BasicLit); ok && v.Kind == token.STRING {
					kind, err := strconv.Unquote(v.Value)
					if err != nil {
						t.Fatal(err)
					}
					kinds = append(kinds, kind)
				}
				return true
			})
		}
	}
	return kinds
}

func TestHappened(t *testing.T) {
	l, at, topic := i18n.For("en"), time.Date(2026, 11, 22, 10, 14, 0, 0, time.UTC), uuid.NewString()
	one := func(kind, email string, data ...string) fact {
		f := fact{Event: event.Event{At: at, Kind: kind, Data: map[string]any{}}, Email: email}
		id := uuid.NewSHA1(uuid.Nil, []byte(email))
		f.SubscriberID = &id
		for i := 0; i+1 < len(data); i += 2 {
			f.Data[data[i]] = data[i+1]
		}
		return f
	}
	var run []fact
	for i := range happenings {
		run = append(run, one(event.MailSent, fmt.Sprintf("p%d@example.org", i)))
	}
	topics := map[string]string{topic: "Letter"}
	for _, c := range []struct {
		name  string
		facts []fact
		want  []Happening
	}{
		{"nothing", nil, nil},
		{"a topic", []fact{one(event.ConsentGiven, "a@b.c", "topic_id", topic)}, []Happening{{at, "yes", "a@b.c", "Permission given: Letter", ""}}},
		{"a topic that is archived", []fact{one(event.ConsentWithdrawn, "a@b.c", "topic_id", "x")}, []Happening{{at, "no", "a@b.c", "Permission taken back", ""}}},
		{"why", []fact{one(event.MailSkipped, "a@b.c", "reason", "suppressed: hard-bounce")},
			[]Happening{{at, "", "a@b.c", "Mail left out", "address stopped: there is no such mailbox"}}},
		{"a breaker", []fact{one(event.SendingPaused, "", "reason", delivery.BreakerComplaints)},
			[]Happening{{at, "", "", "Sending stopped by a safeguard", "too many reports as spam"}}},
		{"an alarm", []fact{one(event.AlarmRaised, "", "reason", "leavers")}, []Happening{{at, "", "", "An alarm: far from what is usual", "More people than usual take their permission back"}}},
		{"a reason without words", []fact{one(event.MailSkipped, "", "reason", "full moon")}, []Happening{{at, "", "", "Mail left out", "full moon"}}},
		{"a kind without words", []fact{one("dog.barked", "")}, []Happening{{at, "", "", "dog.barked", ""}}},
		{"a person who was added by what they did", []fact{one(event.SubscriberCreated, "a@b.c"), one(event.ConsentRequested, "a@b.c")},
			[]Happening{{at, "ask", "a@b.c", "Permission asked for", ""}}},
		{"a person who was added", []fact{one(event.SubscriberCreated, "a@b.c"), one(event.ConsentRequested, "d@e.f")},
			[]Happening{{at, "", "a@b.c", "Person added", ""}, {at, "ask", "d@e.f", "Permission asked for", ""}}},
		{"a run", []fact{one(event.MailSent, "a@b.c"), one(event.MailSent, "d@e.f"), one(event.MailOpened, "a@b.c")},
			[]Happening{{at, "", "a@b.c", "Mail sent", "and one more like it"}, {at, "", "a@b.c", "Mail opened", ""}}},
		{"a run beyond what was read", run, []Happening{{at, "", "p0@example.org", "Mail sent", "and at least 199 more like it"}}},
	} {
		if got := happened(l, c.facts, topics, true); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if got := happened(l, run[:1], topics, false); got[0].Who != "" {
		t.Errorf("who may not see people sees %q", got[0].Who)
	}
}
