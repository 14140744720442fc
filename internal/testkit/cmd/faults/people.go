package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assent/internal/testkit"
)

const (
	leavers  = 200
	lateness = time.Second // after which no mail may begin to somebody who left
)

// leaving: half of 200 leave by the one-click post of their mail program, half
// on the preference page, while the campaign goes out to them.
func leaving(tb testing.TB, n int) (row, string) {
	i := install(tb, setting{})
	every := max(1, n/leavers)
	i.people(n, func(p int) string {
		if p%every == 0 && p/every < leavers {
			return "leaver"
		}
		return ""
	})
	before := i.campaign("The letter before", "leaver")
	i.pass(61 * time.Second)
	i.finish(before)
	ways := i.ways()
	began := time.Now()
	c := i.campaign("Letter", "")
	i.sink.Config(tb, "latency", "40ms") // some 1,000 mails a second
	i.pass(61 * time.Second)
	i.until("a quarter is sent", 20*time.Millisecond, func() bool { return i.sink.QuickStats(tb).Messages > int64(len(ways)+n/4) })
	left := i.leave(ways)
	i.finish(c)
	r := i.judge(c, time.Since(began))
	got := i.taken(c.subject)
	late, spared, worst := 0, 0, time.Duration(0)
	for who, at := range left {
		d, mailed := got[who]
		if !mailed {
			spared++
			continue
		}
		after := d.First.Sub(at)
		worst = max(worst, after)
		if after > lateness {
			late++
		}
	}
	mustHold(tb, late == 0, "%d of %d were mailed more than a second after they had left, %s at worst", late, len(left), worst)
	mustHold(tb, len(left) == leavers && spared > leavers/4, "%d left, and %d of them before their mail: that shows nothing", len(left), spared)
	return r, fmt.Sprintf("%d left, %d before their mail; mailed more than %s after: %d; at most %s after", len(left), spared, lateness, late, worst.Round(time.Millisecond))
}

// way is where somebody leaves.
type way struct{ oneClick, preferences string }

// ways reads the mails that the sink kept.
func (i *installation) ways() map[string]way {
	files, _ := filepath.Glob(filepath.Join(i.dump, "*.eml"))
	found := map[string]way{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			i.Fatal(err)
		}
		m := testkit.ReadMail(raw)
		if m.Err != nil {
			i.Fatalf("read a mail: %v", m.Err)
		}
		here := func(link string) string {
			u, err := url.Parse(link)
			if err != nil {
				i.Fatal(err)
			}
			return i.api.Base + u.Path
		}
		leave, _, _ := strings.Cut(strings.TrimPrefix(m.Header.Get("List-Unsubscribe"), "<"), ">")
		found[m.Header.Get("X-Sink-Rcpt")] = way{here(leave), here(m.Link(i, "/p/"))}
	}
	if len(found) != leavers {
		i.Fatalf("%d people know where to leave, want %d", len(found), leavers)
	}
	return found
}

// leave has everybody go, some at once, and notes when each was answered.
func (i *installation) leave(ways map[string]way) map[string]time.Time {
	var mu sync.Mutex
	left := map[string]time.Time{}
	who := make(chan string)
	var crew sync.WaitGroup
	for range 8 {
		crew.Go(func() {
			for w := range who {
				address, form := ways[w].oneClick, url.Values{"List-Unsubscribe": {"One-Click"}}
				if len(w)%2 == 0 {
					address, form = ways[w].preferences, url.Values{"do": {"leave"}}
				}
				if err := testkit.Post(address, form); err != nil {
					i.Logf("%s could not leave: %v", w, err)
					continue
				}
				mu.Lock()
				left[w] = time.Now()
				mu.Unlock()
			}
		})
	}
	all := make([]string, 0, len(ways))
	for w := range ways {
		all = append(all, w)
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	for _, w := range all {
		who <- w
	}
	close(who)
	crew.Wait()
	return left
}

// promised: two campaigns and a sequence want to write to the same people at
// the same time, through two workers; the topic promises one mail a week.
func promised(tb testing.TB, n int) (row, string) {
	n = max(1, n/2)
	i := install(tb, setting{promise: map[string]any{"promise_max": 1, "promise_days": 7}})
	i.people(n, nil)
	i.services = append(i.services, testkit.NewService(tb, i.options))
	var made struct{ ID string }
	i.must("/sequences", map[string]any{"name": "Sequence", "topic": topic, "steps": []map[string]any{{"send": map[string]any{"texts": []map[string]any{
		{"language": "en", "subject": "Sequence", "html": "<p>Hello</p>"}}}}}}, &made)
	first, second := i.campaign("First", ""), i.campaign("Second", "")
	i.must("/sequences/"+made.ID+"/start", nil, nil)
	i.must("/sequences/"+made.ID+"/enroll-existing", nil, nil)
	i.pass(61 * time.Second)
	i.finish(first)
	i.finish(second)
	mailed := map[string]int{}
	by := map[string]int{}
	for _, d := range i.sink.Recipients(tb) {
		mailed[d.Recipient] += d.Count
		by[d.Key] += d.Count
	}
	more, none := 0, 0
	for p := range n {
		switch m := mailed[address(p)]; {
		case m > 1:
			more++
		case m == 0:
			none++
		}
	}
	mustHold(tb, more == 0, "%d people got more than the one mail they were promised", more)
	mustHold(tb, none == 0, "%d people got none of three mails", none)
	sources := 0
	for _, count := range by {
		if count > 0 {
			sources++
		}
	}
	return row{}, fmt.Sprintf("%d people, %d mails of %d sources (%v); with more than one: %d; with none: %d", n, len(mailed), sources, by, more, none)
}

// confirming: people sign up while a campaign goes out as fast as it can.
func confirming(tb testing.TB, n int) (row, string) {
	n *= 2
	i := install(tb, setting{})
	i.people(n, nil)
	c := i.campaign("Letter", "")
	i.sink.Config(tb, "latency", "20ms") // some 2,000 mails a second
	i.pass(61 * time.Second)
	i.until("the first mails", 20*time.Millisecond, func() bool { return i.sink.QuickStats(tb).Messages > 100 })
	began := time.Now()
	asked := map[string]time.Time{}
	for k := 0; i.sink.QuickStats(tb).Messages < int64(n*3/4); k++ {
		who := fmt.Sprintf("visitor%d@example.net", k)
		if err := testkit.SignUp(i.api.Base, i.form, who, topic); err != nil {
			tb.Fatalf("sign-up: %v", err)
		}
		asked[who] = time.Now()
		time.Sleep(50 * time.Millisecond)
	}
	i.finish(c)
	r := i.judge(c, time.Since(began))
	var waited []time.Duration
	for _, d := range i.sink.Recipients(tb) {
		if at, ok := asked[d.Recipient]; ok {
			waited = append(waited, d.First.Sub(at))
		}
	}
	slices.Sort(waited)
	mustHold(tb, len(waited) == len(asked) && len(waited) > 20, "%d of %d sign-ups got their mail", len(waited), len(asked))
	if len(waited) == 0 {
		return r, "no confirmation came"
	}
	worst := waited[len(waited)-1]
	mustHold(tb, worst <= 2*time.Second, "a confirmation took %s", worst)
	return r, fmt.Sprintf("%d sign-ups; half of the mails within %s, all within %s", len(waited), max(0, waited[len(waited)/2]).Round(time.Millisecond), worst.Round(time.Millisecond))
}
