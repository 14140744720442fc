package main

import (
	"bytes"
	"fmt"
	"net"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"assent/internal/testkit"
)

const (
	domain  = "postfix.example" // the brand's
	subject = "Grüße, سلام, and a subject that is long enough to be folded more than once on its way"
)

// place is an installation before Postfix.
type place struct {
	testing.TB
	names   *testkit.NameServer
	mx      *testkit.PostfixProcess
	service *testkit.Service
	api     testkit.API
	direct  bool
}

// deliver sends a campaign, and tells what came of it.
func deliver(tb testing.TB, n int, direct bool) string {
	p := &place{TB: tb, names: testkit.DNS(tb), direct: direct}
	p.mx = testkit.Postfix(tb, testkit.PostfixOptions{Host: "127.0.0.2", TLS: true})
	host, port, err := net.SplitHostPort(p.mx.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	p.names.MX("example.org", "10 mx.example.org")
	p.names.Host("mx.example.org", host)
	way := "the MX"
	o := testkit.ServiceOptions{TestClock: true, PublicURL: "https://mail.postfix.example", Env: []string{"ASSENT_DNS=" + p.names.Addr},
		SMTP: "mx://?hello=mail.postfix.example&connections=10"}
	if direct {
		o.Env = append(o.Env, "ASSENT_MX_PORT="+port, "ASSENT_MX_ALLOW=127.0.0.0/8")
	} else {
		way = "a relay"
		relay := testkit.Postfix(tb, testkit.PostfixOptions{Host: "127.0.0.1", Next: p.mx.Addr})
		o.SMTP = "smtp://" + relay.Addr + "?starttls=none&connections=10"
	}
	p.service = testkit.NewService(tb, o)
	p.api = testkit.API{Base: p.service.Base, Key: p.service.Key(tb)}
	p.brand()
	p.api.People(tb, n, func(i int) map[string]any {
		return map[string]any{"email": address(i), "name": names[i%len(names)], "consents": testkit.Consents(i, "letter", "opens", "clicks")}
	})
	began := time.Now()
	p.campaign(n)
	files := p.mx.Kept()
	if len(files) != n {
		tb.Fatalf("%d mails lie in the mailbox, want %d", len(files), n)
	}
	seen := map[string]bool{}
	for _, f := range files {
		who := p.read(f)
		if seen[who] {
			tb.Fatalf("%s has the mail twice", who)
		}
		seen[who] = true
	}
	python, signatures := p.dkimpy(files)
	opendkim := p.opendkim(files)
	return fmt.Sprintf("through %s: mails=%d of %d, each once; headers as they should be: %d; signatures verified by dkimpy %d of %d, mails by opendkim %d of %d; %s",
		way, len(files), n, len(seen), python, signatures, opendkim, n, time.Since(began).Round(time.Second))
}

var names = []string{"Ana", "آنا رضایی", "Zoë O'Hara, Jr.", "A name \"with\" <marks> & more", "Ελένη 🌿", ""}

func address(i int) string { return fmt.Sprintf("reader%d@example.org", i) }

// brand makes one that signs with a key of each kind, published first.
func (p *place) brand() {
	p.api.Must(p, "POST", "/brands", map[string]any{"slug": "postfix", "name": "Postfix & Söhne", "postal_address": "1 Street\nLeeds", "sender_email": "post@" + domain,
		"language": "en", "time_zone": "UTC"}, nil)
	p.api.Brand = "postfix"
	p.api.Must(p, "POST", "/topics", map[string]any{"slug": "letter", "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": "Yes."}}}, nil)
	var second struct{ ID string }
	p.api.Must(p, "POST", "/brand/dkim-keys", map[string]any{"algorithm": "ed25519"}, &second)
	var keys struct {
		Items []struct{ DNS struct{ Name, Value string } }
	}
	p.api.Must(p, "GET", "/brand/dkim-keys", nil, &keys)
	if len(keys.Items) != 2 {
		p.Fatalf("the brand has %d keys, want 2", len(keys.Items))
	}
	for _, k := range keys.Items {
		p.names.TXT(k.DNS.Name, k.DNS.Value)
	}
	p.api.Must(p, "POST", "/brand/dkim-keys/"+second.ID+"/activate", nil, nil) // it looks the record up
}

func (p *place) campaign(n int) {
	var made struct{ ID string }
	p.api.Must(p, "POST", "/campaigns", map[string]any{"name": "Letter", "topic": "letter", "texts": []map[string]any{{"language": "en", "subject": subject,
		"html": "<h1>Hello {{ subscriber.name }}</h1>\n<p>. a line that begins with a dot</p>\n.\n<p>سلام <a href='https://" + domain + "/a?b=c&amp;d=e'>read on</a> " + strings.Repeat("word ", 400) + "</p>"}}}, &made)
	p.api.Must(p, "POST", "/campaigns/"+made.ID+"/schedule", map[string]any{}, nil)
	p.service.Pass(p, 61*time.Second)
	var c struct {
		State    string
		Messages struct{ Sent, Total int }
	}
	for end := time.Now().Add(5 * time.Minute); len(p.mx.Kept()) < n || c.State != "sent"; time.Sleep(300 * time.Millisecond) {
		p.api.Must(p, "GET", "/campaigns/"+made.ID, nil, &c)
		if time.Now().After(end) {
			p.Fatalf("%d of %d mails came, and the campaign says %+v; Postfix said:\n%.3000s", len(p.mx.Kept()), n, c, p.mx.Log())
		}
	}
	if c.Messages.Sent != n || c.Messages.Total != n {
		p.Fatalf("the campaign says %+v, want %d sent", c, n)
	}
}

// read holds a mail of the mailbox against what is claimed of it, and gives who
// got it.
func (p *place) read(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		p.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		p.Fatalf("read %s: %v", file, err)
	}
	wrong := func(what string, args ...any) {
		p.Helper()
		p.Fatalf("%s\nThe mail is\n%.3000s", fmt.Sprintf(what, args...), raw)
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Return-Path", "Delivered-To"} {
		if n := len(m.Header[name]); n != 1 {
			wrong("the header %s is there %d times", name, n)
		}
	}
	for name, want := range map[string]int{"Dkim-Signature": 2, "Received": map[bool]int{true: 1, false: 2}[p.direct], "X-Mailer": 0} {
		if n := len(m.Header[name]); n != want {
			wrong("the header %s is there %d times, want %d", name, n, want)
		}
	}
	who := m.Header.Get("Delivered-To")
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != who {
		wrong("it was delivered to %s, and says %v (%v)", who, to, err)
	}
	if p.direct && !strings.Contains(m.Header.Get("Received"), "using TLSv1.3") {
		wrong("the server offers TLS, and the mail came without")
	}
	if got := m.Header.Get("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" || !strings.HasPrefix(m.Header.Get("List-Unsubscribe"), "<https://mail.postfix.example/u/") {
		wrong("it offers no one-click")
	}
	whole := testkit.ReadMail(raw)
	if whole.Err != nil || whole.Subject != subject || !strings.Contains(whole.HTML, "\n.\n") && !strings.Contains(whole.HTML, ". a line that begins with a dot") || !strings.Contains(whole.Text, "Hello") {
		wrong("its parts are %v, %q:\n%s", whole.Err, whole.Subject, whole.Text)
	}
	return who
}
