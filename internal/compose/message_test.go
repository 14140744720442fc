package compose

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"

	"assent/internal/i18n"
)

type tb interface{ Errorf(string, ...any) }

// checkWire asserts what every mail must keep to on the wire (RFC 5321 §4.5.3.1.6, 5322 §2.1.1, 2047 §2).
func checkWire(t tb, raw []byte) {
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("line %d: %d bytes: %.80q", i, len(line), line)
		}
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, word := range regexp.MustCompile(`=\?[^ ]*\?=`).FindAllString(head, -1) {
		if len(word) > 75 {
			t.Errorf("an encoded word of %d bytes: %s", len(word), word)
		}
	}
	for i := range len(head) {
		if head[i] >= 0x80 {
			t.Errorf("the header is not ASCII: %q", head)
			return
		}
	}
}

// parts reads a mail back: its header, its text and its HTML.
func parts(t testing.TB, raw []byte) (mail.Header, string, string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	var bodies []string
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		p, err := r.NextRawPart()
		if err != nil || p.Header.Get("Content-Type") != want || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatal(p, err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if _, err := r.NextPart(); !errors.Is(err, io.EOF) {
		t.Fatal("there is a third part")
	}
	return m.Header, bodies[0], bodies[1]
}

func TestEveryMailIsSoundOnTheWire(t *testing.T) {
	for name, raw := range goldenMails(t) {
		checkWire(t, raw)
		_, text, html := parts(t, raw)
		for what, s := range map[string]string{"text": text, "html": html} {
			if strings.Contains(s, "mail.") && regexp.MustCompile(`\bmail\.(confirm|already|address|alarm|trial|footer|asked|not-me)`).MatchString(s) {
				t.Errorf("%s: a text of the %s is missing from the catalogue", name, what)
			}
			if strings.Contains(s, "<no value>") || strings.Contains(s, "ZgotmplZ") || strings.Contains(s, markBegin) {
				t.Errorf("%s: the %s has a hole", name, what)
			}
		}
		lang, dir := "en", "ltr"
		if strings.HasSuffix(name, "fa") {
			lang, dir = "fa", "rtl"
		}
		if !strings.Contains(html, `<html lang="`+lang+`" dir="`+dir+`">`) {
			t.Errorf("%s: language or direction is wrong", name)
		}
	}
}

var hrefRE = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

func TestConfirmationHasNoAdvertisingAndNoTracking(t *testing.T) {
	for _, lang := range []string{"en", "fa"} {
		env := envelope(lang)
		env.PixelURL, env.Link = "https://mail.baharan.example/o/x", func(int) string { return "https://mail.baharan.example/l/x" }
		raw, err := System("confirm", lang, env, asked(lang))
		if err != nil {
			t.Fatal(err)
		}
		head, text, html := parts(t, raw)
		allowed := []string{asked(lang)["confirm_url"].(string), asked(lang)["not_me_url"].(string), env.Brand.Website, env.Brand.PrivacyURL}
		for _, m := range hrefRE.FindAllStringSubmatch(html, -1) {
			if !slices.Contains(allowed, m[1]) {
				t.Errorf("%s: a link to %s", lang, m[1])
			}
		}
		if strings.Contains(html, "<img") {
			t.Errorf("%s: a picture", lang)
		}
		for _, h := range []string{"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Precedence"} {
			if head.Get(h) != "" {
				t.Errorf("%s: %s is there", lang, h)
			}
		}
		if head.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("%s: not auto-submitted", lang)
		}
		for _, s := range []string{text, html} {
			for _, want := range append(asked(lang)["wordings"].([]string), "203.0.113.7", "baharan.example/readers", env.Brand.PostalAddress, allowed[0], allowed[1]) {
				if !strings.Contains(s, want) {
					t.Errorf("%s: it does not say %q", lang, want)
				}
			}
		}
	}
}

func TestNobodyIsGreetedByAnAdvertisement(t *testing.T) {
	for name, greeted := range map[string]bool{
		"Sara": true, "سارا": true, "Jean-Luc O’Neil": true, "نرگس\u200cخاتون": true,
		"Win at http://evil.example": false, "evil.example": false, "Win 1000": false, strings.Repeat("a", 41): false,
	} {
		v := asked("en")
		v["name"] = name
		raw, err := System("confirm", "en", envelope("en"), v)
		if err != nil {
			t.Fatal(err)
		}
		if _, text, html := parts(t, raw); strings.Contains(text, name) != greeted || strings.Contains(html, name) != greeted {
			t.Errorf("%q: greeted is not %v", name, greeted)
		}
	}
	if _, err := System("nonsense", "en", envelope("en"), nil); err == nil {
		t.Error("there is no such mail")
	}
}

// The alarm names what was counted, in the reader's digits, and what follows.
func TestTheAlarmSaysWhatWasCounted(t *testing.T) {
	v := map[string]any{"source": "Spring", "sent": 12345, "hard_bounces": 1340, "tried": 13685, "complaints": 67, "policy_refusals": 20}
	for _, c := range []struct{ reason, lang, want string }{
		{"hard-bounces", "en", "1,340 of 13,685"}, {"hard-bounces", "fa", "۱٬۳۴۰ نامه از ۱۳٬۶۸۵"},
		{"complaints", "en", "67 of 12,345"}, {"complaints", "fa", "۶۷ نفر از ۱۲٬۳۴۵"},
		{"policy-refusals", "en", "20 refusals in a row"}, {"policy-refusals", "fa", "۲۰ بار پشت سر هم"},
		{"", "en", "Spring"}, {"", "fa", "Spring"},
	} {
		for end, other := range map[string]string{"then-stopped": "then-warned", "then-warned": "then-stopped"} {
			v["reason"], v["stopped"] = c.reason, end == "then-stopped"
			raw, err := System("alarm", c.lang, envelope(c.lang), v)
			if err != nil {
				t.Fatal(err)
			}
			l := i18n.For(c.lang)
			_, text, html := parts(t, raw)
			for _, s := range []string{text, html} {
				if !strings.Contains(s, "Spring") || !strings.Contains(s, c.want) || !strings.Contains(s, l.T("mail.alarm."+end)) || strings.Contains(s, l.T("mail.alarm."+other)) || strings.Contains(s, "<no value>") {
					t.Errorf("%q, %s: %s", c.reason, end, s)
				}
			}
		}
	}
}

func TestLinksAreCountedAndReplaced(t *testing.T) {
	source := `<a href="https://a.example/?x=1&amp;y=2">a</a> <a href='http://b.example'>b</a> <a href="{{ u }}">c</a> <a href="https://c.example/{{ u }}">d</a>
<a href="mailto:x@example.org">e</a> <a href="tel:+98">f</a> <a href="#top">g</a> <area href="HTTPS://d.example/"> <link href="https://e.example/x.css"><img src="https://f.example/x.png">
{% raw %}<a href="https://g.example">{{ x }}</a>{% endraw %}<!-- <a href="https://h.example">x</a> -->`
	c := mustCompile(t, Content{Subject: "s", HTML: source})
	want := []string{"https://a.example/?x=1&y=2", "http://b.example", "HTTPS://d.example/", "https://g.example"}
	if !slices.Equal(c.Links(), want) {
		t.Fatalf("%q", c.Links())
	}
	env := envelope("en")
	env.Link = func(n int) string { return "https://mail.baharan.example/l/" + string(rune('0'+n)) + `?"&` }
	raw, err := c.Message(env, map[string]any{"u": "u.example"})
	if err != nil {
		t.Fatal(err)
	}
	_, text, html := parts(t, raw)
	for n, link := range want {
		if strings.Contains(html, link) || !strings.Contains(html, "/l/"+string(rune('0'+n))+"?&#34;&amp;") {
			t.Errorf("link %d was not replaced in %s", n, html)
		}
	}
	for _, link := range []string{env.Leave, env.Preferences, env.Why, env.View, "mailto:x@example.org", "https://c.example/u.example", "https://e.example/x.css", "https://f.example/x.png"} {
		if !strings.Contains(html, `"`+link+`"`) {
			t.Errorf("%s was touched", link)
		}
	}
	if strings.Contains(text, "/l/") || !strings.Contains(text, "<https://a.example/?x=1&y=2>") {
		t.Errorf("the text's links were touched: %s", text)
	}
	env.PixelURL = "https://mail.baharan.example/o/x"
	page, err := c.PageHTML(env, map[string]any{"u": "u.example"})
	if err != nil || strings.Contains(string(page), "/l/") || strings.Contains(string(page), "/o/") || strings.Contains(string(page), env.View) || !strings.Contains(string(page), "https://a.example/?x=1&amp;y=2") {
		t.Errorf("the page is %s, %v", page, err)
	}
}

func TestWithoutPermissionNoTracker(t *testing.T) {
	raw, err := mustCompile(t, letters["en"]).Message(envelope("en"), reader("en"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, html := parts(t, raw); strings.Contains(html, "<img") || !strings.Contains(html, "https://baharan.example/new?from=letter&amp;week=47") {
		t.Error("a pixel, or a link that is not the author's")
	}
}

func TestDocumentsKeepTheirShape(t *testing.T) {
	c := mustCompile(t, Content{Subject: "s", Preheader: "pre", Language: "fa",
		HTML: `<!doctype html><html><BODY bgcolor="#fff" data-x="a>b"><p>Hello</p></BODY></html>`})
	env := envelope("fa")
	env.PixelURL = "https://mail.baharan.example/o/x"
	raw, err := c.Message(env, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, html := parts(t, raw)
	order := []string{`data-x="a>b">`, ">pre<", "<p>Hello</p>", env.Leave, env.PixelURL, "</BODY></html>"}
	at := 0
	for _, s := range order {
		i := strings.Index(html[at:], s)
		if i < 0 {
			t.Fatalf("%q is not in its place in %s", s, html)
		}
		at += i
	}
	if strings.Count(html, env.Leave) != 1 || strings.Count(strings.ToLower(html), "<body") != 1 {
		t.Error("the footer or the body is there twice")
	}
}

func TestOneClickOnlyOverHTTPS(t *testing.T) {
	c := mustCompile(t, letters["en"])
	for leave, want := range map[string]bool{"https://m.example/u/1": true, "http://m.example/u/1": false} {
		env := envelope("en")
		env.Leave = leave
		raw, err := c.Message(env, nil)
		if err != nil {
			t.Fatal(err)
		}
		head, text, html := parts(t, raw)
		if got := head.Get("List-Unsubscribe") == "<"+leave+">" && head.Get("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"; got != want {
			t.Errorf("%s: %q", leave, head)
		}
		if !want && (head.Get("List-Unsubscribe") != "" || head.Get("List-Unsubscribe-Post") != "") {
			t.Errorf("%s: half of it is there", leave)
		}
		if !strings.Contains(text, leave) || !strings.Contains(html, leave) {
			t.Error("no visible way to leave")
		}
	}
}

func TestTextFromHTML(t *testing.T) {
	for source, want := range map[string]string{
		`<table><tr><td>a</td><td class="x">b</td></tr><tr><th>c</th><td>d</td></tr></table>`:                       "a | b\nc | d",
		`<head><title>x</title></head><body><p style="x">One</p><p>Two<br>three</p></body>`:                         "One\n\nTwo\nthree",
		`<a href="https://a.example/?x=1&amp;y=2">here</a> &amp; <a href="https://b.example">https://b.example</a>`: "here <https://a.example/?x=1&y=2> & https://b.example",
		`<img alt="A cat" src="x"><style>p{}</style><!-- no --><p>می‌خوانم</p>`:                                     "A cat\n\nمی‌خوانم",
		`1 &lt; 2 &lt;b&gt;`: "1 < 2 <b>",
	} {
		if got := textFromHTML(source); got != want {
			t.Errorf("%s\n got  %q\n want %q", source, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for email, want := range map[string]string{
		"a@example.org": "a@example.org", "A.b+c@Example.ORG": "A.b+c@Example.ORG", "x@پست.ایران": "x@xn--pgbr8t.xn--mgba3a4f16a",
		"x@bücher.example": "x@xn--bcher-kva.example", `"a b"@example.org`: `"a b"@example.org`, "a@under_score.example": "a@under_score.example",
	} {
		if got, err := ASCIIAddress(email); err != nil || !strings.EqualFold(got, want) {
			t.Errorf("%s: %q, %v", email, got, err)
		}
	}
	for _, email := range []string{"", "a", "@example.org", "a@", "a@b@c d", "a\r\nBcc: x@example.org@example.org", "a@example.org\r\nBcc: x@y.z", "a@exa\x00mple.org",
		"a, b@example.org", "a <b@example.org>", strings.Repeat("a", 65) + "@example.org", "a@" + strings.Repeat("b.", 130) + "org", "a@\u202eexample.org"} {
		if got, err := ASCIIAddress(email); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %q, %v", email, got, err)
		}
	}
	if _, err := ASCIIAddress("سارا@example.org"); !errors.Is(err, ErrSMTPUTF8) {
		t.Error(err)
	}
	env := envelope("en")
	env.To.Email = "سارا@example.org"
	if _, err := System("confirm", "en", env, nil); !errors.Is(err, ErrSMTPUTF8) {
		t.Error(err)
	}
}

func TestNothingTypedAddsAHeader(t *testing.T) {
	c := mustCompile(t, Content{Subject: "{{ s }}", HTML: "<p>x</p>"})
	plain, err := c.Message(envelope("en"), map[string]any{"s": "x"})
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := parts(t, plain)
	rapid.Check(t, func(r *rapid.T) {
		env := envelope("en")
		piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r\nBcc: x@example.org", "\nX: y", "\r", "\x00", "=?utf-8?q?a?=", "\u202e", "\"", "\\", "<a@b>", ",", "کتاب", strings.Repeat("x", 1100), strings.Repeat("ک", 500)}))
		value := func(name string) string {
			return strings.Join(rapid.SliceOfN(piece, 0, 5).Draw(r, name), rapid.SampledFrom([]string{"", " ", "  "}).Draw(r, name+" between"))
		}
		env.From.Name, env.To.Name, env.ReplyTo.Name, env.Topic, env.Language = value("from"), value("to"), value("reply"), value("topic"), value("language")
		subject := value("subject")
		raw, err := c.Message(env, map[string]any{"s": subject})
		if oneLine(clean(subject), maxSubject) == "" {
			if err == nil {
				r.Fatalf("a mail without a subject")
			}
			return
		}
		if err != nil {
			r.Fatal(err)
		}
		checkWire(r, raw)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			r.Fatal(err)
		}
		for key, values := range m.Header {
			if len(values) != 1 || want[key] == nil {
				r.Fatalf("%s is there %d times", key, len(values))
			}
		}
		words := new(mime.WordDecoder)
		got, err := words.DecodeHeader(m.Header.Get("Subject"))
		if err != nil || got != oneLine(clean(subject), maxSubject) {
			r.Fatalf("subject %q came back as %q, %v", subject, got, err)
		}
		for key, a := range map[string]Address{"From": env.From, "To": env.To, "Reply-To": env.ReplyTo} {
			list, err := m.Header.AddressList(key)
			if err != nil || len(list) != 1 || list[0].Address != a.Email || list[0].Name != oneLine(a.Name, maxName) {
				r.Fatalf("%s: %q came back as %v, %v", key, a.Name, list, err)
			}
		}
	})
}

func TestSameInputSameBytes(t *testing.T) {
	first := goldenMails(t)
	for name, raw := range goldenMails(t) {
		if !bytes.Equal(raw, first[name]) {
			t.Errorf("%s differs from itself", name)
		}
	}
	for _, id := range []string{"", "x", "a@b@c", "a@b\r\nX: y", "<a@b>", "@b", "a@", "a b@c", "a@\u00e9", strings.Repeat("a", 250) + "@b"} {
		env := envelope("en")
		env.MessageID = id
		if _, err := mustCompile(t, letters["en"]).Message(env, nil); err == nil {
			t.Errorf("%q was taken for a message id", id)
		}
	}
}

func verify(t *testing.T, raw []byte, pub crypto.PublicKey) error {
	t.Helper()
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{DNSRecord(pub)}, nil }})
	if err != nil {
		return err
	}
	if len(checks) != 1 {
		t.Fatalf("%d signatures", len(checks))
	}
	return checks[0].Err
}

func TestDKIM(t *testing.T) {
	pemKey, err := GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := ParseKey(pemKey)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := goldenMails(t)["marketing.fa"]
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey, "ed25519": edKey} {
		t.Run(name, func(t *testing.T) {
			signed, err := (&Signer{Domain: "baharan.example", Selector: "a1", Key: key}).Sign(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(signed, raw) || bytes.Contains(signed[:len(signed)-len(raw)], []byte(" l=")) {
				t.Error("the mail was changed, or only a part of it signed")
			}
			if err := verify(t, signed, key.Public()); err != nil {
				t.Fatal(err)
			}
			checkWire(t, signed)
			for what, broken := range map[string]string{
				"List-Unsubscribe changed":  strings.Replace(string(signed), "/u/leave-token", "/u/other-token", 1),
				"one-click taken away":      strings.Replace(string(signed), "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", "", 1),
				"a second From":             "From: <evil@example.org>\r\n" + string(signed),
				"a second From below":       strings.Replace(string(signed), "To: ", "From: <evil@example.org>\r\nTo: ", 1),
				"a second Reply-To":         "Reply-To: <evil@example.org>\r\n" + string(signed),
				"a Sender":                  "Sender: <evil@example.org>\r\n" + string(signed),
				"a Cc":                      "Cc: <evil@example.org>\r\n" + string(signed),
				"a second Subject":          "Subject: win\r\n" + string(signed),
				"a second List-Unsubscribe": "List-Unsubscribe: <https://evil.example>\r\n" + string(signed),
				"more body":                 string(signed) + "more\r\n",
			} {
				if broken == string(signed) {
					t.Fatalf("%s: nothing was changed", what)
				}
				if verify(t, []byte(broken), key.Public()) == nil {
					t.Errorf("%s: the signature still holds", what)
				}
			}
		})
	}
	withoutReply := envelope("en")
	withoutReply.ReplyTo = Address{}
	plain, err := mustCompile(t, letters["en"]).Message(withoutReply, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := (&Signer{Domain: "baharan.example", Selector: "a1", Key: rsaKey}).Sign(plain)
	if err != nil || verify(t, signed, rsaKey.Public()) != nil {
		t.Fatal(err)
	}
	if verify(t, append([]byte("Reply-To: <evil@example.org>\r\n"), signed...), rsaKey.Public()) == nil {
		t.Error("a Reply-To can be added")
	}
	for _, bad := range []string{"", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
	if DNSRecord("x") != "" {
		t.Error("a record for no key")
	}
}

func BenchmarkMessage(b *testing.B) {
	c := mustCompile(b, letters["en"])
	env, values := envelope("en"), reader("en")
	env.PixelURL, env.Link = "https://mail.baharan.example/o/x", func(int) string { return "https://mail.baharan.example/l/x" }
	b.ReportAllocs()
	for b.Loop() {
		raw, err := c.Message(env, values)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(raw)))
	}
}
