package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	links      = 3
	letterSize = 640 // of what is written; with the layout around it a mail's HTML part has about 4 KB
)

func target(n int) string { return fmt.Sprintf("https://bench.example/letter/part-%d", n+1) }

// letter is a mail of about size bytes of HTML with three links and a name.
func letter(size int) string {
	var b strings.Builder
	b.WriteString("<h1>Hello {{ subscriber.name }}</h1>")
	for n := range links {
		fmt.Fprintf(&b, `<p><a href="%s">Read part %d of this letter</a>, if you like.</p>`, target(n), n+1)
	}
	for n := 1; b.Len() < size; n++ {
		fmt.Fprintf(&b, "<p>Paragraph %d says what a paragraph of a letter says, and nobody minds.</p>", n)
	}
	return b.String()
}

// dumped are the HTML parts of the mails that the mail server kept in a folder.
func dumped(tb testing.TB, folder string) (parts []string) {
	files, _ := filepath.Glob(filepath.Join(folder, "*.eml"))
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			tb.Fatalf("read a mail: %v", err)
		}
		part, err := htmlOf(m)
		if err != nil {
			tb.Fatalf("read the HTML of a mail: %v", err)
		}
		parts = append(parts, part)
	}
	return parts
}

// look holds the first mail against what is claimed of it.
func (g *ground) look(p profile) {
	files, _ := filepath.Glob(filepath.Join(g.dump, "*.eml"))
	if len(files) != 1 {
		g.Fatalf("the mail server kept %d mails, want 1", len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		g.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		g.Fatalf("read a mail: %v", err)
	}
	for name, want := range map[string]bool{"DKIM-Signature": p.signed, "List-Unsubscribe": true, "List-Unsubscribe-Post": true, "List-Id": true} {
		if got := m.Header.Get(name) != ""; got != want {
			g.Fatalf("a mail has the header %s: %t, want %t; its headers are %v", name, got, want, m.Header)
		}
	}
	html, err := htmlOf(m)
	if err != nil {
		g.Fatalf("read the HTML of a mail: %v", err)
	}
	tracked := p.name != "million"
	if pixel, clicks := strings.Contains(html, "/o/"), strings.Count(html, "/l/"); pixel != tracked || (clicks == links) != tracked || !strings.Contains(html, "Hello Reader ") {
		g.Fatalf("a mail has a pixel: %t, and %d tracked links:\n%s", pixel, clicks, html)
	}
	fmt.Printf("a mail has %d bytes, its HTML part %d\n", len(raw), len(html))
	if p.name == "main" && (len(html) < 3900 || len(html) > 4300) {
		g.Fatalf("the HTML part of a mail has %d bytes; the figures are for 4 KB", len(html))
	}
}

// htmlOf finds the HTML part of a mail, decoded.
func htmlOf(m *mail.Message) (string, error) {
	_, of, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	for parts := multipart.NewReader(m.Body, of["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			html, err := io.ReadAll(quotedprintable.NewReader(part))
			return string(html), err
		}
	}
}

// bareSignatures is how many RSA-2048 signatures a second the whole machine
// makes when it does nothing else.
func bareSignatures(tb testing.TB) float64 {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a mail"))
	var made atomic.Int64
	var crew sync.WaitGroup
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		crew.Go(func() {
			for time.Since(began) < 2*time.Second {
				if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
					tb.Error(err)
					return
				}
				made.Add(1)
			}
		})
	}
	crew.Wait()
	return float64(made.Load()) / time.Since(began).Seconds()
}
