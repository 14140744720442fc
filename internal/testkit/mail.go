package testkit

import (
	"bytes"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"
	"golang.org/x/net/html"
)

// Mail is a message as a server took it.
type Mail struct {
	From string   // of the envelope
	To   []string // of the envelope
	At   time.Time
	Raw  []byte // lines end in CR LF

	Header  mail.Header // Text(name) decodes
	Subject string      // decoded
	Text    string      // the text/plain part, decoded
	HTML    string      // the text/html part, decoded
	Links   []string    // of the HTML, then of the text, each once
	Err     error       // the message could not be read to its end
}

// Link is the first link whose path begins with prefix, such as "/c/"; the test
// fails when there is none.
func (m Mail) Link(tb testing.TB, prefix string) string {
	tb.Helper()
	for _, l := range m.Links {
		if u, err := url.Parse(l); err == nil && strings.HasPrefix(u.Path, prefix) {
			return l
		}
	}
	tb.Fatalf("the mail %q has no link to %s, only %q", m.Subject, prefix, m.Links)
	return ""
}

// ReadMail reads a message; what cannot be read is in Err.
func ReadMail(raw []byte) Mail {
	m := Mail{Raw: raw}
	r, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		m.Err = err
		return m
	}
	m.Header = r.Header
	m.Subject, _ = r.Header.Subject()
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			m.Err = err
			break
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			m.Err = err
			break
		}
		inline, ok := part.Header.(*mail.InlineHeader)
		if !ok {
			continue
		}
		switch kind, _, _ := inline.ContentType(); kind {
		case "text/plain", "":
			m.Text += string(body)
		case "text/html":
			m.HTML += string(body)
		}
	}
	m.Links = links(m.HTML, m.Text)
	return m
}

var inText = regexp.MustCompile(`https?://[^\s<>"]+`)

func links(page, text string) []string {
	var found []string
	seen := map[string]bool{}
	add := func(l string) {
		if l != "" && !seen[l] {
			seen[l] = true
			found = append(found, l)
		}
	}
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		token := z.Token()
		for _, a := range token.Attr {
			if token.Data == "a" && a.Key == "href" {
				add(a.Val)
			}
		}
	}
	for _, l := range inText.FindAllString(text, -1) {
		add(strings.TrimRight(l, ".,;:!?)"))
	}
	return found
}
