package compose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"
)

// keysForTests are one of each algorithm; making an RSA key takes its time.
var keysForTests = sync.OnceValue(func() [2]crypto.Signer {
	var keys [2]crypto.Signer
	for i, algorithm := range []string{"rsa", "ed25519"} {
		made, err := GenerateKey(algorithm)
		if err != nil {
			panic(err)
		}
		if keys[i], err = ParseKey(made); err != nil {
			panic(err)
		}
	}
	return keys
})

func both() Signers {
	keys := keysForTests()
	return Signers{{Domain: "baharan.example", Selector: "r1", Key: keys[0]}, {Domain: "baharan.example", Selector: "e1", Key: keys[1]}}
}

// judged is what another's verifier says of the signatures, from the top.
func judged(raw []byte) ([]*dkim.Verification, error) {
	keys := keysForTests()
	return dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		switch name {
		case "r1._domainkey.baharan.example":
			return []string{DNSRecord(keys[0].Public())}, nil
		case "e1._domainkey.baharan.example":
			return []string{DNSRecord(keys[1].Public())}, nil
		}
		return nil, fmt.Errorf("asked for %s", name)
	}})
}

func TestTwoSignatures(t *testing.T) {
	for name, raw := range goldenMails(t) {
		signed, err := both().Sign(raw)
		if err != nil {
			t.Fatal(err)
		}
		checkWire(t, signed)
		fields := signed[:len(signed)-len(raw)]
		rsaAt, edAt := bytes.Index(fields, []byte("a=rsa-sha256; c=relaxed/relaxed;")), bytes.Index(fields, []byte("a=ed25519-sha256; c=relaxed/relaxed;"))
		if !bytes.HasSuffix(signed, raw) || bytes.Count(fields, []byte("DKIM-Signature: v=1;")) != 2 || rsaAt < 0 || edAt < rsaAt || bytes.Contains(fields, []byte(" l=")) {
			t.Errorf("%s: signed as\n%s", name, fields)
		}
		for line := range bytes.Lines(fields) {
			if len(line) > foldAt+len("\r\n") {
				t.Errorf("%s: a line of %d: %s", name, len(line), line)
			}
		}
		seen, err := judged(signed)
		if err != nil || len(seen) != 2 || seen[0].Err != nil || seen[1].Err != nil {
			t.Fatalf("%s: %v, %+v", name, err, seen)
		}
		for _, v := range seen {
			if strings.Join(v.HeaderKeys, ":") != strings.Join(signedHeaders, ":") {
				t.Errorf("%s: covers %v", name, v.HeaderKeys)
			}
		}
		broken, err := judged(bytes.Replace(signed, []byte("To: "), []byte("To: x"), 1))
		if err != nil || len(broken) != 2 || broken[0].Err == nil || broken[1].Err == nil {
			t.Errorf("%s: another To, and still %v, %+v", name, err, broken)
		}
	}
}

// fragments draws text of the bytes that make a difference to canonical forms.
func fragments(t *rapid.T, label string) string {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{" ", "  ", "\t", " \t ", "\r\n", "\r\n\r\n", "\n", " \r\n", "\t\r\n ", ".", "=", "a", "سلام", "\x00", "\xff", ":", "List-Unsubscribe:", "From"}), 0, 40)
	return strings.Join(words.Draw(t, label), "")
}

// What is signed here verifies elsewhere, whatever the mail looks like: field
// names in any case and folded anyhow, fields twice, bodies of nothing but
// white space, or without an end.
func TestRandomMailsVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var mail strings.Builder
		mail.WriteString("From: a@baharan.example\r\n")
		for range rapid.IntRange(0, 8).Draw(t, "fields") {
			name := rapid.SampledFrom([]string{"To", "SUBJECT", "list-unsubscribe", "List-Unsubscribe-Post", "X-Other", "Reply-To ", "date", "Content-Type", "A-Name-Longer-Than-Any-That-Is-Signed-Here"}).Draw(t, "name")
			value := strings.NewReplacer("\r\n", "\r\n ", "\n", "\r\n\t").Replace(fragments(t, "value"))
			mail.WriteString(name + ":" + value + "\r\n")
		}
		mail.WriteString("\r\n" + fragments(t, "body"))
		signed, err := both().Sign([]byte(mail.String()))
		if err != nil {
			t.Fatal(err)
		}
		seen, err := judged(signed)
		if err != nil || len(seen) != 2 || seen[0].Err != nil || seen[1].Err != nil {
			t.Fatalf("%v, %+v of %q", err, seen, signed)
		}
	})
}

func TestSigningRefuses(t *testing.T) {
	mail := "From: a@baharan.example\r\n\r\nHello\r\n"
	odd, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := keysForTests()[1]
	for name, x := range map[string]struct {
		signer Signer
		mail   string
	}{
		"nothing":             {Signer{"baharan.example", "e1", key}, ""},
		"no end":              {Signer{"baharan.example", "e1", key}, "From: a@baharan.example\r\n"},
		"no From":             {Signer{"baharan.example", "e1", key}, "To: a@baharan.example\r\n\r\n"},
		"another's algorithm": {Signer{"baharan.example", "e1", odd}, mail},
		"a tag for a domain":  {Signer{"baharan.example; l=0", "e1", key}, mail},
		"a line for a domain": {Signer{"baharan.example\r\nBcc: x", "e1", key}, mail},
		"no selector":         {Signer{"baharan.example", "", key}, mail},
	} {
		if out, err := x.signer.Sign([]byte(x.mail)); err == nil || out != nil {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if out, err := (Signers)(nil).Sign([]byte("To: x\r\n")); err != nil || string(out) != "To: x\r\n" {
		t.Errorf("without a key: %q, %v", out, err)
	}
	if _, err := GenerateKey("dsa"); err == nil {
		t.Error("made a key of no algorithm")
	}
}

// Many goroutines share what is kept between signatures.
func TestSigningAtOnce(t *testing.T) {
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for j := range 20 {
				raw := fmt.Appendf(nil, "From: a@baharan.example\r\nSubject: %d of %d\r\n\r\n%s\r\n", j, i, strings.Repeat("x", i*j))
				signed, err := both()[1:].Sign(raw)
				if err != nil {
					t.Error(err)
					return
				}
				if seen, err := judged(signed); err != nil || len(seen) != 1 || seen[0].Err != nil {
					t.Errorf("%v, %+v", err, seen)
				}
			}
		})
	}
	done.Wait()
}

// letterOf10KB is a mail in what DKIM has to do with it.
func letterOf10KB() []byte {
	return []byte(strings.Join([]string{"Date: Mon, 23 Nov 2026 04:44:00 +0330", "MIME-Version: 1.0", "Message-ID: <019a1f5c7c0070008000000000000001@baharan.example>",
		"Subject: =?UTF-8?q?=D9=86=D8=A7=D9=85=D9=87=D9=94_=D8=A2=D8=B0=D8=B1?=", "From: \"Baharan Books\" <letters@baharan.example>", "To: \"Ana\" <ana@example.org>",
		"List-Id: <019a1f5c-7c00-7000-8000-000000000001.baharan.example>", "List-Unsubscribe: <https://mail.baharan.example/u/AZo", " fXHwAcACAAAAAAAAAAQ>",
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click", "Feedback-ID: 000000000001:baharan:marketing:000000000002",
		"Content-Type: multipart/alternative;", " boundary=9f86d081884c7d659a2feaa0c55ad015", "", ""}, "\r\n") +
		strings.Repeat("<p style=3D\"margin:0 0 16px\">A line of a letter, about as long as they are=\r\n", 131))
}

// BenchmarkSign is beside the bare signatures, which are the least it can take.
func BenchmarkSign(b *testing.B) {
	raw, keys := letterOf10KB(), keysForTests()
	sum := sha256.Sum256(raw)
	for _, x := range []struct {
		name string
		do   func() error
	}{
		{"rsa", func() error { _, err := both()[:1].Sign(raw); return err }},
		{"rsa/bare", func() error {
			_, err := rsa.SignPKCS1v15(rand.Reader, keys[0].(*rsa.PrivateKey), crypto.SHA256, sum[:])
			return err
		}},
		{"ed25519", func() error { _, err := both()[1:].Sign(raw); return err }},
		{"ed25519/bare", func() error { ed25519.Sign(keys[1].(ed25519.PrivateKey), sum[:]); return nil }},
		{"both", func() error { _, err := both().Sign(raw); return err }},
		{"digest", func() error { d := digests.Get().(*digest); defer digests.Put(d); return d.read(raw) }},
		{"digest/bare", func() error { sum = sha256.Sum256(raw); return nil }},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := x.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
