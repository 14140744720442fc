package testkit

import (
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"time"
)

const letter = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: a@example.org\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n2LPZhNin2YUgaHR0cDovL2EuZXhhbXBsZS9jL3RleHQu\r\n" +
	"--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"<a href=3D\"http://a.example/c/tok=\r\nen?a=3D1&amp;b=3D2\">x</a><a href=3D\"mailto:x@y\">y</a>\r\n--x--\r\n"

func post(s *SMTPServer, to ...string) error {
	return smtp.SendMail(s.Addr, nil, "bounce@example.org", to, []byte(letter))
}

func TestSMTPKeepsMailsAsReadersSeeThem(t *testing.T) {
	s := SMTP(t)
	if err := post(s, "B@example.org"); err != nil {
		t.Fatal(err)
	}
	m := s.Wait(t, 1, 5*time.Second)[0]
	if m.Err != nil || m.Subject != "Grüße" || m.From != "bounce@example.org" || !reflect.DeepEqual(m.To, []string{"B@example.org"}) {
		t.Errorf("%+v", m)
	}
	if !strings.HasPrefix(m.Text, "سلام") || !strings.Contains(m.HTML, "/c/token?a=1") || string(m.Raw) != letter {
		t.Errorf("text %q, html %q, raw %q", m.Text, m.HTML, m.Raw)
	}
	if want := []string{"http://a.example/c/token?a=1&b=2", "mailto:x@y", "http://a.example/c/text"}; !reflect.DeepEqual(m.Links, want) {
		t.Errorf("links %q", m.Links)
	}
	if got := m.Link(t, "/c/"); got != "http://a.example/c/token?a=1&b=2" {
		t.Error(got)
	}
	if len(s.To("b@EXAMPLE.org")) != 1 || len(s.To("c@example.org")) != 0 {
		t.Error("To does not go by address")
	}
	s.StaysAt(t, 1, 10*time.Millisecond)
	s.Reset()
	if len(s.Mails()) != 0 {
		t.Error("Reset keeps mails")
	}
}

func TestSMTPFollowsItsScript(t *testing.T) {
	s := SMTP(t)
	s.Script("grey@x.org", Refuse(451, "4.7.1 later").Times(2))
	s.Script("none@x.org", Refuse(550, "5.1.1 no such user"))
	s.Script("spam@x.org", RefuseData(554, "5.7.1 not wanted"))
	s.Script("cut@x.org", CutData().Times(1))
	s.Script("reply@x.org", CutReply().Times(1))

	code := func(to string, want int) {
		t.Helper()
		err := post(s, to)
		var answer *textproto.Error
		if errors.As(err, &answer) != (want >= 400) || want >= 400 && answer.Code != want || want == 250 && err != nil || want == 0 && err == nil {
			t.Errorf("%s: %v, want %d", to, err, want)
		}
	}
	code("grey@x.org", 451)
	code("GREY@x.org", 451)
	code("grey@x.org", 250)
	code("none@x.org", 550)
	code("none@x.org", 550)
	code("spam@x.org", 554)
	code("other@x.org", 250)
	code("cut@x.org", 0)
	if n := len(s.To("cut@x.org")); n != 0 {
		t.Errorf("cut at DATA, yet %d taken", n)
	}
	code("cut@x.org", 250)
	code("reply@x.org", 0)
	if n := len(s.To("reply@x.org")); n != 1 {
		t.Errorf("cut before the reply: %d taken, want 1", n)
	}
	if n := len(s.To("none@x.org")) + len(s.To("spam@x.org")); n != 0 {
		t.Errorf("%d refused mails were taken", n)
	}
	s.Script(AnyAddress, Refuse(421, "4.7.0 busy"))
	code("someone@x.org", 421)
	code("grey@x.org", 250) // its own script, used up, still comes first
}

func TestSMTPStallsAndGoesAway(t *testing.T) {
	s := SMTP(t)
	s.Script("slow@x.org", Stall(50*time.Millisecond).Times(1), StallReply(time.Hour))
	start := time.Now()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		c, err := smtp.NewClient(conn, "x")
		if err == nil {
			err = errors.Join(c.Mail("a@x.org"), c.Rcpt("slow@x.org"))
		}
		if err != nil {
			done <- err
			return
		}
		w, err := c.Data()
		if err == nil {
			_, _ = w.Write([]byte(letter))
			err = w.Close()
		}
		done <- err
	}()
	s.WaitTo(t, "slow@x.org", 1, 10*time.Second)
	if time.Since(start) < 50*time.Millisecond {
		t.Error("RCPT was answered at once")
	}
	select {
	case err := <-done:
		t.Fatalf("the reply did not stall: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	s.Down()
	if err := <-done; err == nil {
		t.Error("a server that went away said yes")
	}
	if err := post(s, "a@x.org"); err == nil {
		t.Error("a server that is down answers")
	}
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if err := post(s, "a@x.org"); err != nil {
		t.Error(err)
	}
}
