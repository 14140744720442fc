// Command chaos is `make chaos`: SIGKILL to the running program at many moments
// of a campaign of 20,000, on either pair of database and Redis, to PostgreSQL
// and Redis themselves, and to one of two workers. The last line is the verdict;
// the exit status is 1 when anything was lost or doubled.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"assent/internal/testkit"
	"assent/internal/testkit/chaos"
)

const connections = 10

func main() {
	people := flag.Int("people", 20_000, "recipients of each campaign")
	kills := flag.Int("kills", 20, "SIGKILLs to the program in each of the two main runs")
	only := flag.String("only", "", "run only this one: sqlite, postgres, parts or workers")
	flag.Parse()
	var sum chaos.Verdict
	var ran int
	status := testkit.Standalone("chaos", func(tb testing.TB) {
		for _, r := range runs(*people, *kills) {
			if *only != "" && *only != r.name {
				continue
			}
			ran++
			sum = sum.Add(r.run(tb))
		}
	})
	if ran == 0 || sum.Lost > 0 || sum.Twice > 0 || sum.UncertainMax > connections {
		status = 1
	}
	fmt.Println(sum)
	os.Exit(status)
}

type oneRun struct {
	name string
	run  func(tb testing.TB) chaos.Verdict
}

func runs(people, kills int) []oneRun {
	pause := 2 * time.Second
	return []oneRun{
		{"sqlite", func(tb testing.TB) chaos.Verdict {
			sink := slowSink(tb)
			s := service(tb, sink, testkit.ServiceOptions{})
			return chaos.Run(tb, chaos.Plan{Title: "sqlite, embedded Redis", Services: []*testkit.Service{s}, Judge: chaos.Sink{SinkProcess: sink},
				Key: s.Key(tb), People: people, Connections: connections, Kills: kills, Pause: pause})
		}},
		{"postgres", func(tb testing.TB) chaos.Verdict {
			sink := slowSink(tb)
			pg, redis := testkit.PostgresServer(tb, testkit.Durable()), testkit.RedisServer(tb)
			s := service(tb, sink, testkit.ServiceOptions{Database: pg.URL, Redis: redis.URL})
			return chaos.Run(tb, chaos.Plan{Title: "PostgreSQL, Redis", Services: []*testkit.Service{s}, Judge: chaos.Sink{SinkProcess: sink},
				Key: s.Key(tb), People: people, Connections: connections, Kills: kills, Pause: pause})
		}},
		{"parts", func(tb testing.TB) chaos.Verdict {
			sink := slowSink(tb)
			pg, redis := testkit.PostgresServer(tb, testkit.Durable()), testkit.RedisServer(tb)
			s := service(tb, sink, testkit.ServiceOptions{Database: pg.URL, Redis: redis.URL})
			return chaos.Run(tb, chaos.Plan{Title: "PostgreSQL and Redis hit too", Services: []*testkit.Service{s}, Judge: chaos.Sink{SinkProcess: sink},
				Key: s.Key(tb), People: people / 2, Connections: connections, Kills: 4, Pause: pause, Others: blows(pg, redis)})
		}},
		{"workers", func(tb testing.TB) chaos.Verdict {
			sink := slowSink(tb)
			pg, redis := testkit.PostgresServer(tb, testkit.Durable()), testkit.RedisServer(tb)
			o := testkit.ServiceOptions{Database: pg.URL, Redis: redis.URL}
			first := service(tb, sink, o)
			second := service(tb, sink, o)
			return chaos.Run(tb, chaos.Plan{Title: "two processes", Services: []*testkit.Service{first, second}, Judge: chaos.Sink{SinkProcess: sink},
				Key: first.Key(tb), People: people / 2, Connections: connections, Kills: 6, Pause: pause})
		}},
	}
}

// slowSink takes 20 ms over each mail, so that a campaign lasts long enough.
func slowSink(tb testing.TB) *testkit.SinkProcess { return testkit.Sink(tb, "-latency", "20ms") }

func service(tb testing.TB, sink *testkit.SinkProcess, o testkit.ServiceOptions) *testkit.Service {
	o.SMTP = fmt.Sprintf("%s&connections=%d", sink.URL, connections)
	o.TestClock = true
	o.Env = []string{"ASSENT_SIGNUP_PER_IP=100000", "ASSENT_SIGNUP_PER_FORM=100000", "ASSENT_SIGNUP_MIN_FILL=0s"}
	return testkit.NewService(tb, o)
}

// blows hit the parts that the program stands on.
func blows(pg *testkit.PostgresProcess, redis *testkit.RedisProcess) []chaos.Blow {
	again := func(tb testing.TB, p *testkit.Process, away time.Duration) {
		p.Kill()
		time.Sleep(away)
		if err := p.Start(); err != nil {
			tb.Fatal(err)
		}
	}
	return []chaos.Blow{
		{Name: "PostgreSQL is killed", Strike: func(tb testing.TB) { again(tb, pg.Process, time.Second) }},
		{Name: "Redis is flushed", Strike: func(tb testing.TB) {
			if err := redis.Flush(context.Background()); err != nil {
				tb.Fatal(err)
			}
		}},
		{Name: "Redis is killed, its data gone", Strike: func(tb testing.TB) { again(tb, redis.Process, 3*time.Second) }},
		{Name: "PostgreSQL is away for ten seconds", Strike: func(tb testing.TB) { again(tb, pg.Process, 10*time.Second) }},
	}
}
