package delivery

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// swallow is a mail server that takes everything and keeps nothing.
func swallow(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go swallowAll(c)
		}
	}()
	return l.Addr().String()
}

func swallowAll(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	fmt.Fprint(c, "220 swallow\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(line[:4]) {
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		}
		fmt.Fprint(c, "250 ok\r\n")
	}
}

// BenchmarkSend is the whole way of a claimed campaign mail: gate, compose,
// journal, SMTP, book. One operation is one mail.
func BenchmarkSend(b *testing.B) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return testkit.SQLiteTemplate(b, "migrated", prepare) },
		"postgres": func() string { return testkit.PostgresTemplate(b, "migrated", prepare) },
	} {
		b.Run(name, func(b *testing.B) { benchmarkSend(b, url()) })
	}
}

func benchmarkSend(b *testing.B, url string) {
	w := newWorld(b, url)
	w.engine.Stop()
	w.server = swallow(b)
	w.start()
	source := w.campaign(w.person("first@example.org"))
	first := w.message(source)
	people := make([]subscriber.Subscriber, b.N)
	w.write(func(tx *store.Tx) error {
		for i := range people {
			a, err := subscriber.ParseAddress(fmt.Sprintf("p%d@example.org", i))
			if err != nil {
				return err
			}
			if people[i], _, err = subscriber.Ensure(tx, w.brand, subscriber.New{Address: a, Language: "en"}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, p := range people {
		w.write(func(tx *store.Tx) error { return queueFor(tx, w, first, p) })
	}
	b.ResetTimer()
	if err := w.engine.Deliver(context.Background(), "bulk"); err != nil {
		b.Fatal(err)
	}
	w.engine.lanes.Wait()
	w.settle()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	if c := w.counts(source); c.Sent != int64(b.N)+1 && c.Queued == 0 {
		b.Fatalf("%+v", c)
	}
}

func queueFor(tx *store.Tx, w *world, like Message, p subscriber.Subscriber) error {
	e, err := consent.Grant(tx, w.act(p, consent.Given))
	if err != nil {
		return err
	}
	_, _, err = Queue(tx, Draft{Source: like.SourceID, Stream: like.StreamID, Brand: w.brand.ID, Subscriber: &p.ID, Kind: Marketing,
		Topic: &w.topic.ID, ConsentEvent: &e.ID, Content: like.ContentID, Language: "en", Due: tx.Now()})
	return err
}

func BenchmarkStuff(b *testing.B) {
	raw := bytes.Repeat([]byte("A line of a letter, as long as lines of a letter are in quoted-printable.\r\n.x\r\n"), 100)
	var out []byte
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		out = stuff(out[:0], raw)
	}
}
