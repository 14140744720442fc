package main

import (
	"testing"
	"time"
)

// misbehaving is a campaign to a mail server with a fault.
func misbehaving(tb testing.TB, n int, atData float64, fault ...string) (row, string) {
	i := install(tb, setting{atData: atData})
	i.people(n, nil)
	i.sink.Config(tb, fault...)
	began := time.Now()
	c := i.campaign("Letter", "")
	i.pass(61 * time.Second)
	i.finish(c)
	return i.judge(c, time.Since(began)), ""
}

// stalling: the server answers no mail for a minute, in the middle of it.
func stalling(tb testing.TB, n int) (row, string) {
	i := install(tb, setting{})
	i.people(n, nil)
	began := time.Now()
	c := i.campaign("Letter", "")
	i.sink.Config(tb, "latency", "10ms") // or it might be over before it stalls
	i.pass(61 * time.Second)
	i.until("a tenth is sent", 20*time.Millisecond, func() bool { return i.sink.QuickStats(tb).Messages > int64(n/10) })
	i.sink.Config(tb, "latency", "60s")
	time.Sleep(5 * time.Second) // every connection has met it
	i.sink.Config(tb, "latency", "0s")
	i.finish(c)
	return i.judge(c, time.Since(began)), ""
}
