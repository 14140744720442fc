package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"assent/internal/testkit"
)

// sharing: one worker, and then two, each with its connections, to a server 50
// ms away.
func sharing(tb testing.TB, n int) (row, string) {
	small := max(1, min(n, 12_000)/2)
	i := install(tb, setting{})
	i.people(2*small, func(p int) string {
		if p < small {
			return "half"
		}
		return ""
	})
	i.sink.Config(tb, "rtt", "50ms")
	rate := func(subject, tag string) float64 {
		i.sink.Reset(tb)
		c := i.campaign(subject, tag)
		i.pass(61 * time.Second)
		i.finish(c)
		return i.sink.Stats(tb).PerSecond
	}
	one := rate("One worker", "half")
	i.services = append(i.services, testkit.NewService(tb, i.options))
	i.services[1].Pass(tb, i.services[0].Ahead())
	two := rate("Two workers", "")
	mustHold(tb, two >= 1.6*one, "two workers send %.0f a second, one %.0f", two, one)
	return row{}, fmt.Sprintf("at 50 ms one sends %.0f a second, two %.0f: %.2f ×", one, two, two/one)
}

// pacing: a group of receivers bears 50 mails a second, and two workers write to
// it with all they have.
func pacing(tb testing.TB, n int) (row, string) {
	const perSecond = 50.0
	names := testkit.DNS(tb)
	names.MX("example.org", "10 mx.example.org")
	names.Host("mx.example.org", "127.0.0.1")
	providers := filepath.Join(tb.TempDir(), "providers.yaml")
	table := fmt.Sprintf("providers:\n  - group: slow\n    mx: [mx.example.org]\n    messages_per_second: %.0f\n", perSecond)
	if err := os.WriteFile(providers, []byte(table), 0o644); err != nil {
		tb.Fatal(err)
	}
	n = max(1, min(n/10, 2000))
	i := install(tb, setting{direct: []string{"ASSENT_DNS=" + names.Addr, "ASSENT_PROVIDERS=" + providers, "ASSENT_MX_ALLOW=127.0.0.0/8"}})
	i.people(n, nil)
	i.services = append(i.services, testkit.NewService(tb, i.options))
	c := i.campaign("Letter", "")
	i.pass(61 * time.Second)
	began := time.Now()
	i.finish(c)
	r := i.judge(c, time.Since(began))
	rate := i.sink.Stats(tb).PerSecond
	mustHold(tb, rate > 0.9*perSecond && rate < 1.1*perSecond, "two workers send %.1f a second to a group that bears %.0f", rate, perSecond)
	return r, fmt.Sprintf("two workers send %.1f a second where %.0f are allowed", rate, perSecond)
}

// portOf is the port of host:port.
func portOf(tb testing.TB, addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	return port
}
