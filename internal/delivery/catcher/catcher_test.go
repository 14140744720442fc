package catcher

import (
	"context"
	"fmt"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"assent/internal/problem"
)

const letter = "From: Shop <shop@example.org>\r\n" +
	"To: ana@example.org\r\n" +
	"Subject: =?UTF-8?B?2LPZhNin2YU=?= =?UTF-8?Q?_Ana?=\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative;\r\n boundary=\"b\"\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nD=C3=A9j=C3=A0 =\r\nvu\r\n" +
	"--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>caf\xe9</p>\r\n" +
	"--b--\r\n"

func open(t *testing.T, o Options) *Mailbox {
	t.Helper()
	m := New(o)
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for m.Addr() == "" {
		time.Sleep(time.Millisecond)
	}
	return m
}

func send(t *testing.T, m *Mailbox, to, source string) {
	t.Helper()
	if err := smtp.SendMail(m.Addr(), nil, "shop@example.org", []string{to}, []byte(source)); err != nil {
		t.Fatal(err)
	}
}

func TestTakesAMailApart(t *testing.T) {
	came := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	m := open(t, Options{Clock: func() time.Time { return came }})
	send(t, m, "ana@example.org", letter)

	all := m.List("")
	if len(all) != 1 || all[0].Subject != "سلام Ana" || all[0].To[0] != "ana@example.org" || all[0].From != "shop@example.org" || !all[0].At.Equal(came) || all[0].Source != nil {
		t.Fatalf("the list is %+v", all)
	}
	mail, err := m.Find(all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	p := mail.Read()
	if p.Text != "Déjà vu" || p.HTML != "<p>café</p>" {
		t.Errorf("text %q, html %q", p.Text, p.HTML)
	}
	if len(p.Headers) != 5 || p.Headers[2] != (Header{"Subject", "سلام Ana"}) || p.Headers[4].Value != `multipart/alternative; boundary="b"` {
		t.Errorf("headers %q", p.Headers)
	}
	if string(mail.Source) != letter {
		t.Errorf("the source was changed: %q", mail.Source)
	}
}

func TestListFinds(t *testing.T) {
	m := open(t, Options{})
	send(t, m, "ana@example.org", letter)
	send(t, m, "Bo@example.org", "Subject: News\r\n\r\nHello\r\n")
	for words, want := range map[string]int{"": 2, "ANA": 1, "bo@": 1, " news ": 1, "nothing": 0, "سلام": 1} {
		if got := len(m.List(words)); got != want {
			t.Errorf("%q finds %d mails, want %d", words, got, want)
		}
	}
}

func TestKeepsTheNewest(t *testing.T) {
	m := New(Options{Mails: 3, Bytes: 1000})
	for i := range 5 {
		m.keep(Mail{Subject: fmt.Sprint(i), Source: make([]byte, 10)})
	}
	if all := m.List(""); len(all) != 3 || all[0].Subject != "4" || all[2].Subject != "2" {
		t.Fatalf("kept %+v", all)
	}
	for id, known := range map[uint64]bool{0: false, 1: false, 2: false, 3: true, 5: true, 6: false, 1 << 63: false} {
		if _, err := m.Find(id); (err == nil) != known || err != nil && !problem.Is(err, problem.NotFound) {
			t.Errorf("mail %d: %v", id, err)
		}
	}
	m.keep(Mail{Subject: "big", Source: make([]byte, 990)})
	if all := m.List(""); len(all) != 2 || all[0].Subject != "big" || m.bytes != 1000 {
		t.Errorf("after a big mail: %d mails of %d bytes", len(all), m.bytes)
	}
}

func TestWatchersHearAndNeverHoldUp(t *testing.T) {
	m := New(Options{})
	ids, cancel := m.Subscribe()
	idle, cancelIdle := m.Subscribe()
	defer cancelIdle()
	for range 3 * subscribers {
		m.keep(Mail{})
		<-ids
	}
	if len(idle) != subscribers {
		t.Errorf("a slow watcher has %d ids waiting", len(idle))
	}
	cancel()
	m.keep(Mail{})
	if len(ids) != 0 {
		t.Error("a watcher that left still hears")
	}
}

func TestParallelMails(t *testing.T) {
	m := open(t, Options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := smtp.SendMail(m.Addr(), nil, "", []string{fmt.Sprintf("p%d@example.org", i)}, []byte(letter)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(m.List("")); n != 20 {
		t.Errorf("%d mails, want 20", n)
	}
}

func TestRefusesAHugeMail(t *testing.T) {
	m := open(t, Options{})
	err := smtp.SendMail(m.Addr(), nil, "", []string{"ana@example.org"}, []byte("Subject: x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 900)+"\r\n", 12000)))
	if err == nil || len(m.List("")) != 0 {
		t.Errorf("a mail over the limit: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{letter, "", "\r\n", "Subject: =?x?Q?=FF?=\r\n\r\n\xff", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n", "Content-Type: text/html; charset=unheard-of\r\n\r\nx"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		p := Mail{Source: source}.Read()
		if !utf8.ValidString(p.HTML) || !utf8.ValidString(p.Text) || !utf8.ValidString(subject(source)) {
			t.Error("what was read is no text")
		}
		for _, h := range p.Headers {
			if strings.ContainsAny(h.Value, "\r\n") || !utf8.ValidString(h.Value) {
				t.Errorf("header %q", h)
			}
		}
	})
}
