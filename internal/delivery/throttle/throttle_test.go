package throttle

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/testkit"
)

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is nodes that share one Redis, or one node alone, under a clock that
// the test moves.
type world struct {
	nodes []*Throttle
	at    time.Time
	redis *miniredis.Miniredis // nil: alone

	expires bool
}

func newWorld(t tb, nodes int, shared bool) *world {
	w := &world{at: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	if shared {
		w.expires = true
		w.redis = miniredis.NewMiniRedis()
		w.redis.SetTime(w.at)
	}
	for range nodes {
		o := Options{}
		if shared {
			o.Redis = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", // never dialled
				Dialer: func(context.Context, string, string) (net.Conn, error) { return w.redis.Dial() }})
		}
		th := New(o)
		th.budget = time.Minute       // a busy machine is no absent Redis
		skew := rand.Float64() * 1e12 // the nodes' own clocks are days apart
		th.local.clock = func() float64 { return skew + float64(w.at.UnixMicro()) }
		w.nodes = append(w.nodes, th)
	}
	return w
}

func (w *world) close() {
	for _, n := range w.nodes {
		if n.Redis != nil {
			n.Redis.Close()
		}
	}
	if w.redis != nil {
		w.redis.Close()
	}
}

func (w *world) pass(d time.Duration) {
	w.at = w.at.Add(d)
	if w.redis != nil {
		w.redis.SetTime(w.at)
		if w.expires {
			w.redis.FastForward(d)
		}
	}
}

func (w *world) take(node int, want Want) Grant {
	return w.nodes[node].Take(context.Background(), want)[0]
}

func (w *world) paceOf(t tb, l Limit) float64 {
	t.Helper()
	all, err := w.nodes[0].Held(context.Background())
	if err != nil {
		t.Fatalf("held: %v", err)
	}
	for _, h := range all {
		if h.Key == l.Key {
			return h.Now
		}
	}
	return l.Rate
}

// both runs a test with Redis and without.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	for name, shared := range map[string]bool{"shared": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			nodes := 2
			if !shared {
				nodes = 1
			}
			w := newWorld(t, nodes, shared)
			defer w.close()
			f(t, w)
		})
	}
}

var hundred = Limit{Key: "group/google", Rate: 100}

func rule(t tb, group string, code int, text string) Setback {
	t.Helper()
	table, err := provider.Load("")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return Setback{Limit: hundred, Rule: table.Judge(group, code, text), Said: fmt.Sprintf("%d %s", code, text)}
}

// TestNeverMoreThanTheRate: over any time a limit lets out at most rate × time
// and one burst, whoever asks, whenever, for however many.
func TestNeverMoreThanTheRate(t *testing.T) {
	for name, shared := range map[string]bool{"shared": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				nodes, steps := 2, 12
				if !shared {
					nodes, steps = 1, 60
				}
				w := newWorld(t, nodes, shared)
				defer w.close()
				limit := Limit{Key: "brand/x", Rate: rapid.SampledFrom([]float64{20.0 / 3600, 0.3, 1, 7, 50, 1000}).Draw(t, "rate")}
				type out struct {
					at time.Time
					n  int
				}
				var all []out
				for range rapid.IntRange(1, steps).Draw(t, "steps") {
					w.pass(time.Duration(rapid.OneOf(rapid.Int64Range(0, 3_000_000), rapid.Int64Range(0, 3_600_000_000)).Draw(t, "pass")) * time.Microsecond)
					want := Want{Limits: []Limit{limit}, N: rapid.IntRange(1, 300).Draw(t, "n"), Urgent: rapid.Bool().Draw(t, "urgent"), UpTo: rapid.Bool().Draw(t, "up to")}
					node := rapid.IntRange(0, nodes-1).Draw(t, "node")
					g := w.take(node, want)
					if g.N < 0 || g.N > want.N || (g.N < want.N) != (g.By == limit.Key) || g.N < want.N && g.Gap <= 0 || g.Wait < 0 {
						t.Fatalf("%+v for %+v", g, want)
					}
					if back := rapid.IntRange(0, g.N).Draw(t, "back"); back > 0 {
						w.nodes[node].Return(context.Background(), Want{Limits: []Limit{limit}, N: back})
						g.N -= back
					}
					all = append(all, out{w.at, g.N})
				}
				for i := range all {
					sum := 0
					for _, o := range all[i:] {
						sum += o.n
						if most := limit.Rate*o.at.Sub(all[i].at).Seconds() + limit.burst(); float64(sum) > most+1e-3 {
							t.Fatalf("%d mails in %s at %v/s and a burst of %v", sum, o.at.Sub(all[i].at), limit.Rate, limit.burst())
						}
					}
				}
			})
		})
	}
}

// TestTheRateIsReached: where there is enough to send, a limit lets out what it may.
func TestTheRateIsReached(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for _, rate := range []float64{20.0 / 3600, 0.5, 50, 999} {
			limit := Limit{Key: fmt.Sprintf("stream/%v", rate), Rate: rate}
			span := 20 * time.Second
			if rate < 1 {
				span = time.Duration(100/rate) * time.Second
			}
			sum, step := 0, span/200
			for i := range 200 {
				w.pass(step)
				sum += w.take(i%len(w.nodes), Want{Limits: []Limit{limit}, N: 500}).N
			}
			if want := rate * span.Seconds(); float64(sum) < 0.9*want || float64(sum) > 1.1*want {
				t.Errorf("%v/s: %d mails in %s, not %.0f", rate, sum, span, want)
			}
		}
	})
}

// TestTwins holds the script and its Go twin against each other.
func TestTwins(t *testing.T) {
	table, err := provider.Load("")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		lua, twin := newWorld(t, 1, true), newWorld(t, 1, false)
		defer lua.close()
		lua.expires = false // the twin forgets later
		limits := []Limit{hundred, {Key: "sender/b/google", Rate: 100, covered: true}, {Key: "brand/b", Rate: 0.01}, {Key: "stream/s", Rate: 3}, {Key: "warm-up/b", Rate: 20.0 / 3600}}
		pick := rapid.SliceOfNDistinct(rapid.SampledFrom(limits), 1, 4, func(l Limit) string { return l.Key })
		for i := range rapid.IntRange(1, 15).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, rapid.SampledFrom([]int64{1e4, 1e6, 1e8}).Draw(t, "scale")).Draw(t, "pass")) * time.Microsecond
			lua.pass(d)
			twin.pass(d)
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				words := rapid.SampledFrom([]string{"4.7.0 slow down", "4.7.0 [TS02] x", "4.7.0 [TSS04] x", "5.7.1 [BL21] x", "4.7.1 greylisted"}).Draw(t, "words")
				code := 421
				if strings.HasPrefix(words, "5") {
					code = 553
				}
				s := Setback{Limit: rapid.SampledFrom(limits).Draw(t, "limit"), Rule: table.Judge("yahoo", code, words), Said: words}
				a, b := lua.nodes[0].Slow(context.Background(), s), twin.nodes[0].Slow(context.Background(), s)
				if a != b {
					t.Fatalf("step %d, %s: the script says %v, its twin %v", i, words, a, b)
				}
				continue
			}
			var wants []Want
			for range rapid.IntRange(1, 4).Draw(t, "wants") {
				wants = append(wants, Want{Limits: pick.Draw(t, "limits"), N: rapid.IntRange(1, 300).Draw(t, "n"),
					Urgent: rapid.Bool().Draw(t, "urgent"), UpTo: rapid.Bool().Draw(t, "up to")})
			}
			a, b := lua.nodes[0].Take(context.Background(), wants...), twin.nodes[0].Take(context.Background(), wants...)
			for j := range wants {
				// What is kept in the record is rounded, so a time may differ by a little.
				near := func(x, y time.Duration) bool {
					return math.Abs(float64(x-y)) <= 2e6+1e-5*math.Abs(float64(x))
				}
				if a[j].N != b[j].N || a[j].Slowed != b[j].Slowed || !near(a[j].Wait, b[j].Wait) || !near(a[j].Gap, b[j].Gap) {
					t.Fatalf("step %d, %+v:\nscript %+v\ntwin   %+v", i, wants[j], a[j], b[j])
				}
			}
		}
	})
}

func TestUrgentMailsFindRoom(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		bulk := Want{Limits: []Limit{hundred}, N: 1000}
		for range 50 {
			w.take(0, bulk)
			w.pass(100 * time.Millisecond)
		}
		w.take(0, bulk)
		for i := range 30 { // thirty people sign up at once
			if g := w.take(0, Want{Limits: []Limit{hundred}, N: 1, Urgent: true}); g.N != 1 {
				t.Fatalf("the %d. confirmation has to wait %s", i+1, g.Wait)
			}
		}
	})
}

func TestEveryLimitCounts(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		group, brand, stream := Limit{Key: "group/g", Rate: 50}, Limit{Key: "brand/b", Rate: 10}, Limit{Key: "stream/s", Rate: 4}
		all := []Limit{group, brand, stream}
		w.take(0, Want{Limits: all, N: 1})
		w.pass(10 * time.Second)
		g := w.take(0, Want{Limits: all, N: 100})
		if g.N != 7 || g.By != "stream/s" || g.Wait != 250*time.Millisecond || g.Gap != 250*time.Millisecond {
			t.Fatalf("of 8, 20 and 100 in the three buckets: %+v", g) // one of the 8 is kept for the urgent
		}
		if g := w.take(0, Want{Limits: []Limit{brand}, N: 100}); g.N != 9 { // 20, less 7, less 4 kept
			t.Errorf("the brand's bucket gives %d", g.N)
		}
		// What was not let out was taken from none of them.
		if g := w.take(0, Want{Limits: []Limit{group}, N: 100}); g.N != 73 {
			t.Errorf("the group's bucket gives %d", g.N)
		}
	})
}

// TestHeldMailsGetTheirTurns: the mails of a large batch come back one after
// the other, not all at once and over again.
func TestHeldMailsGetTheirTurns(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		want := Want{Limits: []Limit{hundred}, N: 200}
		w.take(0, want)
		turn := map[int64]int{} // by second
		for range 50 {
			g := w.take(0, want)
			for i := range want.N - g.N {
				turn[int64(g.After(i)/time.Second)]++
			}
		}
		if len(turn) < 98 {
			t.Errorf("10,000 mails at 100/s come back within %d seconds", len(turn))
		}
		for s, n := range turn {
			if n > 102 {
				t.Errorf("%d mails come back in second %d", n, s)
			}
		}
		for range 300 {
			if g := w.take(0, want); g.After(want.N-g.N-1) > time.Hour {
				t.Fatalf("the last waits %s", g.After(want.N-g.N-1))
			}
		}
		// Asking what there may be reserves no turns; only that nothing was left is told.
		g := w.take(0, Want{Limits: []Limit{{Key: "brand/fresh", Rate: 0.5}}, N: 200, UpTo: true})
		again := w.take(0, Want{Limits: []Limit{{Key: "brand/fresh", Rate: 0.5}}, N: 200, UpTo: true})
		if g.N != 1 || again.N != 0 || again.Wait != 2*time.Second {
			t.Errorf("up to 200: %+v, %+v", g, again)
		}
		held, err := w.nodes[0].Held(t.Context())
		if err != nil || len(held) != 2 || held[0].Key != "brand/fresh" || held[0].Times != 1 || held[0].Ahead != 0 || held[1].Key != hundred.Key {
			t.Errorf("%+v, %v", held, err)
		}
	})
}

func TestRefusalsHalveThePace(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		slow := func() bool { return w.nodes[0].Slow(t.Context(), rule(t, "", 421, "4.7.0 too fast")) }
		pace := func(want float64) {
			t.Helper()
			if got := w.paceOf(t, hundred); math.Abs(got-want) > 0.01 {
				t.Fatalf("the pace is %v, not %v", got, want)
			}
		}
		if !slow() {
			t.Fatal("the first refusal changes nothing")
		}
		pace(50)
		if slow() {
			t.Error("mails under way halve it again")
		}
		w.pass(59 * time.Second)
		if slow() {
			t.Error("within the minute")
		}
		pace(50 + 10*59.0/60)
		w.pass(time.Second)
		pace(60)
		if !slow() {
			t.Error("after the minute it does not count")
		}
		pace(30)
		w.pass(2 * time.Minute)
		pace(50)
		if g := w.take(0, Want{Limits: []Limit{hundred}, N: 500}); !g.Slowed || g.N > 100 {
			t.Errorf("while slowed: %+v", g)
		}
		w.pass(5 * time.Minute)
		pace(100)
		if g := w.take(0, Want{Limits: []Limit{hundred}, N: 1}); g.Slowed {
			t.Error("still slowed after it has come back")
		}
		for range 40 { // a refusal a minute finds a balance, and never the end
			slow()
			w.pass(time.Minute)
		}
		pace(20)
		tiny := Limit{Key: "group/tiny", Rate: 0.05}
		for range 3 {
			w.nodes[0].Slow(t.Context(), Setback{Limit: tiny, Rule: provider.Rule{Effect: provider.Halve, Times: 1}})
			w.pass(61 * time.Second)
		}
		if got := w.paceOf(t, tiny); got < 1.0/60 {
			t.Errorf("slower than one a minute: %v", got)
		}
	})
}

func TestRefusalsPauseAndCap(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		want := Want{Limits: []Limit{hundred}, N: 500}
		w.nodes[0].Slow(t.Context(), rule(t, "yahoo", 421, "4.7.0 [TS02] unusual"))
		if got := w.paceOf(t, hundred); math.Abs(got-1.0/60) > 1e-6 {
			t.Fatalf("the cap is %v", got)
		}
		sum := 0
		for range 30 {
			for range 3 {
				sum += w.take(0, want).N
				w.pass(20 * time.Second)
			}
		}
		if sum < 28 || sum > 31 {
			t.Errorf("%d mails in 30 minutes at one a minute", sum)
		}
		w.pass(2 * time.Minute)
		if got := w.paceOf(t, hundred); got < 50 || got > 75 {
			t.Errorf("after the cap the pace is %v: it begins at half", got)
		}

		w.nodes[0].Slow(t.Context(), rule(t, "yahoo", 421, "4.7.0 [TSS04] deferred"))
		w.take(0, want)
		w.pass(time.Hour + 59*time.Minute)
		g := w.take(0, want)
		if g.N != 0 || g.Wait < 69*time.Second || g.Wait > 71*time.Second || // behind the 500
			g.By != hundred.Key || !g.Slowed {
			t.Errorf("in the pause: %+v", g)
		}
		held, err := w.nodes[0].Held(t.Context())
		if err != nil || len(held) != 1 || held[0].Now != 0 || held[0].Pause < 59*time.Second || held[0].Said != "421 4.7.0 [TSS04] deferred" || held[0].Times == 0 {
			t.Errorf("%+v, %v", held, err)
		}
		w.pass(61 * time.Second)
		if g := w.take(0, want); g.N == 0 || g.N > 51 {
			t.Errorf("after the pause a burst of %d: it begins with what came in since", g.N)
		}
	})
}

func TestSomeRefusalsCountWhenTheyAreRepeated(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		s := rule(t, "yahoo", 553, "5.7.1 [BL21] listed")
		if s.Times != 5 {
			t.Fatalf("%+v", s)
		}
		for i := range 4 {
			if w.nodes[i%len(w.nodes)].Slow(t.Context(), s) {
				t.Fatalf("the %d. time counts", i+1)
			}
			w.pass(time.Minute)
		}
		if !w.nodes[0].Slow(t.Context(), s) {
			t.Error("the fifth time counts not")
		}
		w.pass(3 * time.Hour)
		if w.nodes[0].Slow(t.Context(), s) {
			t.Error("those of an hour ago still count")
		}
		if w.nodes[0].Slow(t.Context(), rule(t, "", 452, "4.2.2 full")) {
			t.Error("a refusal that says nothing of the pace slows it")
		}
	})
}

// TestSlownessOutlivesANode: what one node was told holds for all, and for those
// that come later.
func TestSlownessOutlivesANode(t *testing.T) {
	w := newWorld(t, 3, true)
	defer w.close()
	w.nodes[0].Slow(t.Context(), rule(t, "yahoo", 421, "4.7.0 [TSS05] deferred"))
	w.nodes[0].Redis.Close()
	for _, n := range []int{1, 2} {
		if g := w.take(n, Want{Limits: []Limit{hundred}, N: 5}); g.N != 0 || g.Wait < 3*time.Hour {
			t.Errorf("another node: %+v", g)
		}
	}
}

// TestLostMemoryLetsNoBurstThrough: Redis emptied again and again lets out what
// a fifth of a second brings each time, and no burst.
func TestLostMemoryLetsNoBurstThrough(t *testing.T) {
	w := newWorld(t, 1, true)
	defer w.close()
	sum := 0
	for range 20 {
		sum += w.take(0, Want{Limits: []Limit{hundred}, N: 1000}).N
		w.pass(10 * time.Millisecond)
		w.redis.FlushAll()
	}
	if sum > 20*20 {
		t.Errorf("%d mails in 20 losses of memory", sum)
	}
}

func TestNothingToAskCostsNothing(t *testing.T) {
	dead := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) {
		t.Error("Redis is asked")
		return nil, io.EOF
	}})
	defer dead.Close()
	th := New(Options{Redis: dead})
	if g := th.Take(t.Context(), Want{N: 200}, Want{N: 0, Limits: []Limit{hundred}}, Want{N: 5, Urgent: true}); g[0].N != 200 || g[1].N != 0 || g[2].N != 5 {
		t.Errorf("%+v", g)
	}
	th.Return(t.Context(), Want{N: 5})
	if th.Slow(t.Context(), Setback{Limit: hundred, Rule: provider.Rule{Effect: provider.Ignore}}) {
		t.Error("an ignored refusal slows")
	}
}

func TestLimits(t *testing.T) {
	id := uuid.MustParse("019a1f5c-7c00-7000-8000-000000000001")
	if l, ok := Brand(id, 7200); !ok || l.Rate != 2 || l.Key != "brand/"+id.String() {
		t.Errorf("%+v, %v", l, ok)
	}
	if _, ok := Brand(id, 0); ok {
		t.Error("a brand without a pace has one")
	}
	if _, ok := Stream(id, 0); ok {
		t.Error("a stream without a pace has one")
	}
	if _, ok := Relay("relay.example:587", 0); ok {
		t.Error("a relay without a pace has one")
	}
	r := route.Route{Group: "google", Limits: provider.Limits{PerSecond: 30}}
	if a, b := Group(r), Sender(id, r); a.Rate != 30 || b.Rate != 30 || a.Key == b.Key {
		t.Errorf("%+v, %+v", a, b)
	}
	if l := Group(route.Route{Group: "free"}); l.Rate != unbounded {
		t.Errorf("%+v", l)
	}
	table, _ := provider.Load("")
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	yesterday, long := now.Add(-25*time.Hour), now.Add(-100*24*time.Hour)
	if l, ok := WarmUp("b", table.WarmUp, &yesterday, now); !ok || l.Rate != 28.0/3600 {
		t.Errorf("second day: %+v, %v", l, ok)
	}
	if _, ok := WarmUp("b", table.WarmUp, &long, now); ok {
		t.Error("a warm sender is warmed up")
	}
	if _, ok := WarmUp("b", table.WarmUp, nil, now); ok {
		t.Error("a sender that is not to be warmed up is")
	}
}

// TestOneSlot: a cluster runs a script only where all its keys are together.
func TestOneSlot(t *testing.T) {
	for _, key := range append(newCall([]Want{{Limits: []Limit{hundred, {Key: "brand/{x}", Rate: 1}}, N: 1}}).keys(), tag+"said/x") {
		if !strings.HasPrefix(key, "{assent:throttle}") {
			t.Errorf("%s may be anywhere", key)
		}
	}
}

func TestManyLimitsAreAskedInParts(t *testing.T) {
	node := New(Options{Redis: connect(t, testkit.Redis(t))})
	node.budget = time.Minute
	var wants []Want
	for i := range 2500 {
		wants = append(wants, Want{Limits: []Limit{{Key: fmt.Sprintf("sender/b/%d", i), Rate: 1, covered: true}, {Key: fmt.Sprintf("group/%d", i), Rate: 1}}, N: 3})
	}
	for i, g := range node.Take(t.Context(), wants...) {
		if want := fmt.Sprintf("sender/b/%d", i); g.N != 1 || g.By != want && g.By != fmt.Sprintf("group/%d", i) {
			t.Fatalf("want %d: %+v", i, g)
		}
	}
}

func TestWordsDoNotBreakTheRecord(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		s := rule(t, "", 421, "4.7.0 x")
		s.Said = "421 a\tb\r\nc\x00\xff " + strings.Repeat("é", 300)
		w.nodes[0].Slow(t.Context(), s)
		held, err := w.nodes[0].Held(t.Context())
		if err != nil || len(held) != 1 || !strings.HasPrefix(held[0].Said, "421 a b c") || len(held[0].Said) > maxSaid || strings.ContainsAny(held[0].Said, "\t\r\n\x00") {
			t.Errorf("%+v, %v", held, err)
		}
		if held[0].Kind() != "group" || held[0].About() != "google" {
			t.Errorf("%s of %s", held[0].Kind(), held[0].About())
		}
		both := []Limit{{Key: "sender/b/google", Rate: 100, covered: true}, hundred}
		w.take(0, Want{Limits: both, N: 1})
		w.pass(time.Minute)
		w.take(0, Want{Limits: both, N: 190}) // the group is at six tenths, the sender is not
		held, _ = w.nodes[0].Held(t.Context())
		if len(held) != 2 || held[1].Kind() != "sender" || held[1].By != "group/google" || held[1].Times == 0 || held[0].By != "" || held[1].Sent == 0 {
			t.Errorf("%+v", held)
		}
	})
}

// TestAForeignRecordIsNoRecord: what somebody else wrote under a bucket's key
// does not stop it for ever.
func TestAForeignRecordIsNoRecord(t *testing.T) {
	w := newWorld(t, 1, true)
	defer w.close()
	for _, text := range []string{"", "x", "1\t2", "a\tb\tc\td\t", "\t\t\t\t"} {
		w.redis.Set(tag+hundred.Key, text)
		w.redis.ZAdd(indexKey, 1, tag+hundred.Key)
		if held, err := w.nodes[0].Held(t.Context()); err != nil || len(held) != 0 {
			t.Errorf("%q is shown as %+v, %v", text, held, err)
		}
		if g := w.take(0, Want{Limits: []Limit{hundred}, N: 1}); g.N != 1 || !w.nodes[0].near() {
			t.Errorf("%q: %+v", text, g)
		}
	}
}

// connect opens a client as the program would.
func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	socket, rest, _ := strings.Cut(strings.TrimPrefix(url, "redis-socket://"), "?db=")
	db := 0
	fmt.Sscan(rest, &db)
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, DB: db})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestTwoNodesOnOneRedis is the rate in real time, on a real Redis.
func TestTwoNodesOnOneRedis(t *testing.T) {
	url := testkit.Redis(t)
	limit := Limit{Key: "group/real", Rate: 400}
	var mu sync.Mutex
	var running sync.WaitGroup
	sum, begin := 0, time.Now()
	for range 2 {
		node := New(Options{Redis: connect(t, url)})
		node.budget = time.Minute
		for range 3 {
			running.Go(func() {
				for time.Since(begin) < 1500*time.Millisecond {
					g := node.Take(t.Context(), Want{Limits: []Limit{limit}, N: 7})[0]
					mu.Lock()
					sum += g.N
					mu.Unlock()
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
	running.Wait()
	took := time.Since(begin).Seconds()
	if most, few := limit.Rate*took+limit.burst(), 0.9*(limit.Rate*took-limit.burst()/5); float64(sum) > most || float64(sum) < few {
		t.Errorf("%d mails in %.2f s, not %.0f to %.0f", sum, took, few, most)
	}
}

// TestRedisAway: a node that cannot ask keeps to its share, with the slow-downs
// it knew of, and does not wait for Redis each time.
func TestRedisAway(t *testing.T) {
	server := testkit.RedisServer(t)
	node := New(Options{Redis: connect(t, server.URL), Nodes: func() int { return 4 }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	node.budget = 300 * time.Millisecond
	slowed := Limit{Key: "group/slowed", Rate: 100}
	node.Slow(t.Context(), Setback{Limit: slowed, Rule: provider.Rule{Effect: provider.Pause, For: time.Hour, Times: 1}})
	want := []Want{{Limits: []Limit{hundred}, N: 1000}, {Limits: []Limit{slowed}, N: 1000}}
	if g := node.Take(t.Context(), want...); g[0].N == 0 || g[1].N != 0 {
		t.Fatalf("%+v", g)
	}
	if held, err := node.Held(t.Context()); err != nil || len(held) != 2 || held[0].Key != hundred.Key || held[0].Times == 0 || held[1].Pause < 59*time.Minute {
		t.Errorf("%+v, %v", held, err)
	}
	server.Kill()

	begin := time.Now()
	sum := 0
	for time.Since(begin) < time.Second {
		g := node.Take(t.Context(), want...)
		sum += g[0].N
		if g[1].N != 0 || g[1].Wait < 59*time.Minute {
			t.Fatalf("the pause is forgotten: %+v", g[1])
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(begin).Seconds(); float64(sum) > 25*took || sum < 3 {
		t.Errorf("alone of four it lets out %d in %.1f s at 100/s", sum, took)
	}
	if held, err := node.Held(t.Context()); err != nil || len(held) != 2 {
		t.Errorf("%+v, %v", held, err)
	}

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if until := time.Until(node.away); until <= 0 || until > awayTime {
		t.Errorf("Redis is asked again in %s", until)
	}
	node.away = time.Now()
	if g := node.Take(t.Context(), want...); g[0].N != 0 {
		t.Errorf("what was used meanwhile is given again: %+v", g[0])
	}
}

// TestRedisSilent: one that takes connections and answers nothing is away too.
func TestRedisSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := redis.NewClient(&redis.Options{Addr: l.Addr().String()})
	defer client.Close()
	node := New(Options{Redis: client, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	node.budget = 300 * time.Millisecond
	begin := time.Now()
	for range 20 {
		node.Take(t.Context(), Want{Limits: []Limit{hundred}, N: 10})
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("20 questions took %s", took)
	}
}

func BenchmarkTake(b *testing.B) {
	batch := func(groups int) (wants []Want) {
		for i := range groups {
			wants = append(wants, Want{Limits: []Limit{{Key: fmt.Sprintf("sender/b/%d", i), Rate: 1e5, covered: true}, {Key: fmt.Sprintf("group/%d", i), Rate: 1e5}, {Key: "brand/b", Rate: 1e6}}, N: 200 / groups})
		}
		return wants
	}
	run := func(b *testing.B, th *Throttle, wants []Want) {
		for b.Loop() {
			th.Take(b.Context(), wants...)
		}
	}
	b.Run("unlimited", func(b *testing.B) { run(b, New(Options{Redis: connect(b, testkit.Redis(b))}), []Want{{N: 200}}) })
	for _, groups := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("redis/%d-groups", groups), func(b *testing.B) { run(b, New(Options{Redis: connect(b, testkit.Redis(b))}), batch(groups)) })
		b.Run(fmt.Sprintf("alone/%d-groups", groups), func(b *testing.B) { run(b, New(Options{}), batch(groups)) })
	}
}
