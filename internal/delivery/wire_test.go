package delivery

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// script is a mail server that says what a test wants, and keeps what it hears.
type script struct {
	addr  string
	heard chan string // one group of commands, or one mail, at a time

	before func() // each answer, after what it answers was heard; nil: nothing
}

// play greets, offers the extensions, and answers the n-th thing it hears with
// the n-th answer: a group of commands that came in one piece is one thing, and
// so is a mail.
func play(t *testing.T, extensions []string, answers ...string) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &script{addr: l.Addr().String(), heard: make(chan string, 100)}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		fmt.Fprint(c, "220 script\r\n")
		r.ReadString('\n') // EHLO
		lines := append([]string{"script"}, extensions...)
		for i, e := range lines {
			sign := "-"
			if i == len(lines)-1 {
				sign = " "
			}
			fmt.Fprint(c, "250"+sign+e+"\r\n")
		}
		for _, a := range answers {
			s.heard <- hear(r)
			if s.before != nil {
				s.before()
			}
			fmt.Fprint(c, a)
		}
		close(s.heard)
	}()
	return s
}

// hear reads what came in one piece.
func hear(r *bufio.Reader) string {
	all, err := r.ReadString('\n')
	for err == nil && r.Buffered() > 0 {
		var line string
		line, err = r.ReadString('\n')
		all += line
	}
	return all
}

func (s *script) send(t *testing.T, raw string) (r reply, healthy, begun bool) {
	t.Helper()
	p := poolOf(t, s.addr)
	c, err := p.get(t.Context(), p.turn(), false)
	if err != nil {
		t.Fatal(err)
	}
	mail := parcel{from: "post@example.net", to: "ana@example.org", raw: []byte(raw)}
	r, healthy = c.send(t.Context(), mail, func() error { begun = true; return nil })
	p.put(c, false)
	return r, healthy, begun
}

func TestCommandsGoInOneFlightWhereTheServerTakesThem(t *testing.T) {
	s := play(t, []string{"PIPELINING", "SIZE 1000000"}, "250 a\r\n250-b\r\n250 b\r\n354 go on\r\n", "250-2.0.0 taken\r\n250 as 1\r\n")
	r, healthy, _ := s.send(t, "Subject: x\r\n\r\n.dot\r\nx\r\n..\r\n")
	if r.verdict != accepted || !healthy || r.text != "2.0.0 taken as 1" {
		t.Errorf("%+v, healthy %t", r, healthy)
	}
	if got, want := <-s.heard, "MAIL FROM:<post@example.net> SIZE=27\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if got, want := <-s.heard, "Subject: x\r\n\r\n..dot\r\nx\r\n...\r\n.\r\n"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestCommandsWaitWhereTheServerDoesNot(t *testing.T) {
	s := play(t, nil, "250 a\r\n", "251 forwarded\r\n", "354 go on\r\n", "250 ok\r\n")
	r, healthy, _ := s.send(t, "Subject: x\r\n\r\nx\r\n")
	if r.verdict != accepted || !healthy {
		t.Errorf("%+v, healthy %t", r, healthy)
	}
	for _, want := range []string{"MAIL FROM:<post@example.net>\r\n", "RCPT TO:<ana@example.org>\r\n", "DATA\r\n", "Subject: x\r\n\r\nx\r\n.\r\n"} {
		if got := <-s.heard; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

// What a server may answer to a group or a mail, and what it means.
func TestAnswers(t *testing.T) {
	const fine = "250 a\r\n250 b\r\n354 c\r\n"
	for name, c := range map[string]struct {
		answers []string
		verdict verdict
		code    int
		healthy bool
		begun   bool
	}{
		"nobody there":            {[]string{"250 a\r\n550 5.1.1 no\r\n503 no one\r\n", "250 reset\r\n"}, refused, 550, true, false},
		"later":                   {[]string{"250 a\r\n451 4.7.1 grey\r\n554 no one\r\n", "250 reset\r\n"}, postponed, 451, true, false},
		"no sender":               {[]string{"550 5.7.1 not you\r\n503 b\r\n503 c\r\n", "250 reset\r\n"}, refused, 550, true, false},
		"no data":                 {[]string{"250 a\r\n250 b\r\n452 full\r\n", "250 reset\r\n"}, postponed, 452, true, false},
		"refused, and go on":      {[]string{"250 a\r\n550 5.1.1 no\r\n354 go on\r\n"}, refused, 550, false, false},
		"closing":                 {[]string{"250 a\r\n421 4.7.0 too many\r\n"}, postponed, 421, false, false},
		"closing after a refusal": {[]string{"250 a\r\n450 no\r\n421 bye\r\n"}, postponed, 421, false, false},
		"gone in the group":       {[]string{"250 a\r\n"}, unanswered, 0, false, false},
		"nonsense":                {[]string{"250 a\r\nhello\r\n354 c\r\n"}, unanswered, 0, false, false},
		"out of step":             {[]string{"354 a\r\n250 b\r\n354 c\r\n"}, unanswered, 354, false, false},
		"mixed codes":             {[]string{"250-a\r\n550 b\r\n354 c\r\n250 d\r\n"}, unanswered, 0, false, false},
		"taken":                   {[]string{fine, "250 2.0.0 ok\r\n"}, accepted, 250, true, true},
		"refused for its words":   {[]string{fine, "554 5.7.1 spam\r\n", "250 reset\r\n"}, refused, 554, true, true},
		"put off for its words":   {[]string{fine, "421 4.7.0 later\r\n"}, postponed, 421, false, true},
		"no word":                 {[]string{fine, ""}, unknown, 0, false, true},
		"a wrong word":            {[]string{fine, "354 what\r\n"}, unknown, 354, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, []string{"PIPELINING"}, c.answers...)
			r, healthy, begun := s.send(t, "Subject: x\r\n\r\nx\r\n")
			if r.verdict != c.verdict || r.code != c.code || healthy != c.healthy || begun != c.begun {
				t.Errorf("verdict %d, code %d, healthy %t, begun %t; want %+v (%s)", r.verdict, r.code, healthy, begun, c, strings.TrimSpace(r.text))
			}
		})
	}
}

// Many servers take only so many mails over one connection.
func TestAConnectionThatEndedIsNoAnswerToTheNextMail(t *testing.T) {
	const fine, over = "250 a\r\n250 b\r\n354 c\r\n", "250 taken\r\n"
	for name, c := range map[string]struct {
		answers []string
		verdict verdict
	}{
		"421 at the first mail":   {[]string{"421 4.7.0 too many\r\n"}, postponed},
		"nothing at the first":    {nil, unanswered},
		"421 at the second":       {[]string{fine, over, "421 4.7.0 too many\r\n"}, hungUp},
		"nothing at the second":   {[]string{fine, over}, hungUp},
		"421 over the second":     {[]string{fine, over, "250 a\r\n421 4.7.0 slow down\r\n"}, postponed},
		"421 to each command":     {[]string{fine, over, "421 4.7.0 too many\r\n421 bye\r\n421 bye\r\n"}, hungUp},
		"nonsense at the second":  {[]string{fine, over, "hello\r\n"}, unanswered},
		"the second is put off":   {[]string{fine, over, "450 4.2.1 later\r\n503 b\r\n503 c\r\n", "250 reset\r\n"}, postponed},
		"gone after a first word": {[]string{fine, over, "250 a\r\n"}, unanswered},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, []string{"PIPELINING"}, c.answers...)
			p := poolOf(t, s.addr)
			conn, err := p.get(t.Context(), p.turn(), false)
			if err != nil {
				t.Fatal(err)
			}
			mail := parcel{from: "post@example.net", to: "ana@example.org", raw: []byte("Subject: x\r\n\r\nx\r\n")}
			begun := 0
			r, healthy := conn.send(t.Context(), mail, func() error { begun++; return nil })
			p.put(conn, healthy)
			if r.verdict == accepted {
				if conn, err = p.get(t.Context(), p.turn(), false); err != nil {
					t.Fatal(err)
				}
				r, _ = conn.send(t.Context(), mail, func() error { begun++; return nil })
				p.put(conn, false)
			}
			if r.verdict != c.verdict || begun > 1 {
				t.Errorf("verdict %d (%s) after %d began, want %d", r.verdict, r.text, begun, c.verdict)
			}
		})
	}
}

// While a connection says goodbye it counts, and no other takes its place.
func TestAConnectionCountsUntilItHasSaidGoodbye(t *testing.T) {
	answer, answered := make(chan bool), make(chan bool)
	s := play(t, []string{"PIPELINING"}, "")
	s.before = func() { <-answer; close(answered) }
	p := poolOf(t, s.addr)
	c, err := p.get(t.Context(), p.turn(), false)
	if err != nil {
		t.Fatal(err)
	}
	open := func() int {
		c.line.mu.Lock()
		defer c.line.mu.Unlock()
		return c.line.open
	}
	c.sent = c.line.perConn
	go p.put(c, true)
	if got := <-s.heard; got != "QUIT\r\n" {
		t.Errorf("heard %q", got)
	}
	if open() != 1 || len(p.slots) != 1 {
		t.Errorf("%d connections are open and %d places taken, want one each", open(), len(p.slots))
	}
	close(answer)
	<-answered
	for end := time.Now().Add(10 * time.Second); open() != 0 || len(p.slots) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open and %d places taken, want none", open(), len(p.slots))
		}
	}
}
