package testkit

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Cutter stands between the program and a mail server, and cuts connections at
// the DATA command: the server never hears it, and the program knows that
// nothing of the mail was taken.
type Cutter struct {
	URL string // as in ASSENT_SMTP_URL, without options but starttls

	to      string
	percent float64
	cuts    atomic.Int64
}

// CutAtData starts a Cutter before the mail server at addr that cuts percent of
// the mails' connections. It ends with the test.
func CutAtData(tb testing.TB, addr string, percent float64) *Cutter {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cutter{URL: "smtp://" + ln.Addr().String() + "?starttls=none", to: addr, percent: percent}
	tb.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	return c
}

// Cuts counts the connections cut so far.
func (c *Cutter) Cuts() int { return int(c.cuts.Load()) }

func (c *Cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	var goAhead atomic.Bool // the server said 354
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		replies := bufio.NewReader(server)
		for {
			line, err := replies.ReadString('\n')
			if strings.HasPrefix(line, "354") {
				goAhead.Store(true)
			}
			if _, failed := io.WriteString(client, line); failed != nil || err != nil {
				return
			}
		}
	})
	c.forward(bufio.NewReader(client), server, &goAhead)
	_ = server.Close()
	back.Wait()
}

// forward passes on what the client says, until a cut. What arrives together
// goes on together.
func (c *Cutter) forward(said *bufio.Reader, server net.Conn, goAhead *atomic.Bool) {
	to := bufio.NewWriter(server)
	body := false
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			return
		}
		body = body || goAhead.Swap(false)
		switch {
		case body:
			body = line != ".\r\n"
		case strings.EqualFold(line, "DATA\r\n") && rand.Float64()*100 < c.percent:
			c.cuts.Add(1)
			return
		}
		if _, err := to.WriteString(line); err != nil {
			return
		}
		if said.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}
