// Command chaos is `make chaos`: a campaign of 100,000 while the program is
// killed, PostgreSQL, Redis with its data, and all of them at once; while
// PostgreSQL is away for a minute, and the disk is full for one; with one file
// for a database; and with two workers. Sign-ups go on all the while. The last
// line is the verdict; the exit status is 1 when anything was lost or doubled,
// more became uncertain at one blow than there are connections, or the pages
// showed something wrong to the marketer who looks at them all the while.
//
// The full disk is a small one in memory, which only root can mount.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assent/internal/testkit"
	"assent/internal/testkit/chaos"
)

const connections = 40

func main() {
	people := flag.Int("people", 100_000, "recipients of the main campaigns; the others have a fifth")
	kills := flag.Int("kills", 20, "kills of the program in a main campaign")
	only := flag.String("only", "", "only these, of worker, parts, disk, sqlite, workers; comma-separated")
	flag.Parse()
	var sum chaos.Verdict
	var table []string
	status := 0
	for _, r := range runs(*people, *kills) {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), r.name) {
			continue
		}
		status = max(status, testkit.Standalone("chaos", func(tb testing.TB) { // each cleans up after itself
			began := time.Now()
			v := r.run(tb)
			table = append(table, fmt.Sprintf("%-8s %s; %d uncertain in all, %d sign-ups, %s", r.name, v, v.Uncertain, v.SignUps, time.Since(began).Round(time.Second)))
			sum = sum.Add(v)
		}))
	}
	if len(table) == 0 || sum.Lost > 0 || sum.Twice > 0 || sum.UncertainMax > connections || sum.Wrong > 0 {
		status = 1
	}
	for _, line := range table {
		fmt.Println(line)
	}
	fmt.Println(sum)
	os.Exit(status)
}

type oneRun struct {
	name string
	run  func(tb testing.TB) chaos.Verdict
}

func runs(people, kills int) []oneRun {
	return []oneRun{
		{"worker", func(tb testing.TB) chaos.Verdict {
			p := newParts(tb, nil, connections, 1)
			return p.plan("the program is killed", people, slices.Repeat([]chaos.Blow{chaos.Kill(p.services[0])}, kills))
		}},
		{"parts", func(tb testing.TB) chaos.Verdict {
			p := newParts(tb, nil, connections, 1)
			blows := slices.Repeat([]chaos.Blow{p.databaseKilled(0), p.redisKilled(), p.everythingKilled()}, max(1, kills/4))
			return p.plan("PostgreSQL, Redis and everything are killed", people, append(blows, p.databaseKilled(time.Minute)))
		}},
		{"disk", func(tb testing.TB) chaos.Verdict {
			p := newParts(tb, testkit.Disk(tb, "disk", 1024), connections, 1)
			return p.plan("the disk is full for a minute", people/5, []chaos.Blow{chaos.Kill(p.services[0]), p.diskFull(time.Minute), chaos.Kill(p.services[0])})
		}},
		{"sqlite", func(tb testing.TB) chaos.Verdict {
			disk := testkit.Disk(tb, "disk", 1024)
			p := &parts{TB: tb, disk: disk, sink: testkit.Sink(tb), connections: connections}
			p.serve(testkit.ServiceOptions{Disk: disk})
			return p.plan("everything in one process", people/5, append(slices.Repeat([]chaos.Blow{chaos.Kill(p.services[0])}, max(1, kills/2)), p.diskFull(time.Minute)))
		}},
		{"workers", func(tb testing.TB) chaos.Verdict {
			p := newParts(tb, nil, connections/2, 2)
			return p.plan("one of two workers is killed", people/5, slices.Repeat([]chaos.Blow{chaos.Kill(p.services[0]), chaos.Kill(p.services[1])}, max(1, kills/4)))
		}},
	}
}

// parts is an installation.
type parts struct {
	testing.TB
	sink        *testkit.SinkProcess
	database    *testkit.PostgresProcess
	redis       *testkit.RedisProcess
	disk        *testkit.SmallDisk
	services    []*testkit.Service
	connections int // of each service
}

func newParts(tb testing.TB, disk *testkit.SmallDisk, connections, services int) *parts {
	p := &parts{TB: tb, disk: disk, sink: testkit.Sink(tb), redis: testkit.RedisServer(tb), connections: connections}
	if disk == nil {
		p.database = testkit.PostgresServer(tb, testkit.Durable())
	} else {
		p.database = testkit.PostgresServerOn(tb, disk, testkit.PostgresSetting("max_wal_size", "96MB"))
	}
	for range services {
		p.serve(testkit.ServiceOptions{Database: p.database.URL, Redis: p.redis.URL, Disk: disk})
	}
	return p
}

func (p *parts) serve(o testkit.ServiceOptions) {
	o.SMTP = fmt.Sprintf("%s&connections=%d", p.sink.URL, p.connections)
	o.TestClock = true
	o.Env = []string{"ASSENT_SIGNUP_PER_IP=100000", "ASSENT_SIGNUP_PER_FORM=100000", "ASSENT_SIGNUP_PER_NETWORK=100000", "ASSENT_SIGNUP_PER_DOMAIN=100000", "ASSENT_SIGNUP_PROOF=off", "ASSENT_SIGNUP_MIN_FILL=0s"}
	p.services = append(p.services, testkit.NewService(p, o))
}

func (p *parts) plan(title string, people int, blows []chaos.Blow) chaos.Verdict {
	judge := chaos.Sink{SinkProcess: p.sink}
	return chaos.Run(p, chaos.Plan{Title: title, Services: p.services, Judge: judge, Key: p.services[0].Key(p), People: people,
		Connections: p.connections, Blows: blows, Pause: 2 * time.Second, Pace: judge.Pace(p.connections * len(p.services))})
}

func (p *parts) databaseKilled(away time.Duration) chaos.Blow {
	name := "PostgreSQL is killed"
	if away > 0 {
		name = fmt.Sprintf("PostgreSQL is away for %s", away)
	}
	return chaos.Blow{Name: name, Strike: func(tb testing.TB) {
		p.database.Kill()
		time.Sleep(away)
		start(tb, p.database.Process)
	}}
}

func (p *parts) redisKilled() chaos.Blow {
	return chaos.Blow{Name: "Redis is killed, its data gone", Strike: func(tb testing.TB) {
		p.redis.Kill()
		start(tb, p.redis.Process)
	}}
}

func (p *parts) everythingKilled() chaos.Blow {
	return chaos.Blow{Name: "everything is killed at once", Strike: func(tb testing.TB) {
		var blow sync.WaitGroup
		all := []*testkit.Process{p.database.Process, p.redis.Process, p.services[0].Process}
		for _, one := range all {
			blow.Go(one.Kill)
		}
		blow.Wait()
		for _, one := range all {
			start(tb, one)
		}
	}}
}

// diskFull is the disk of the database and of the journal. A PostgreSQL that
// gives up is started again when there is room, as a supervisor would.
func (p *parts) diskFull(full time.Duration) chaos.Blow {
	return chaos.Blow{Name: fmt.Sprintf("the disk is full for %s", full), Strike: func(tb testing.TB) {
		p.disk.Fill(tb)
		time.Sleep(full)
		p.disk.Free(tb)
		if p.database != nil {
			start(tb, p.database.Process)
		}
		start(tb, p.services[0].Process)
	}}
}

func start(tb testing.TB, p *testkit.Process) {
	tb.Helper()
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
}
