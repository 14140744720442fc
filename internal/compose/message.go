package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"assent/internal/problem"
)

// build writes the message: headers, text, HTML.
func build(env Envelope, subject, text, html string) ([]byte, error) {
	if !isMessageID(env.MessageID) {
		return nil, fmt.Errorf("build a mail: %q is no message id", env.MessageID)
	}
	if env.Date.IsZero() {
		return nil, fmt.Errorf("build a mail: no date")
	}
	m := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP),
		gomail.WithBoundary(boundary(env.MessageID)), gomail.WithNoDefaultUserAgent())
	if err := addresses(m, env); err != nil {
		return nil, err
	}
	if subject = oneLine(subject, maxSubject); subject == "" {
		return nil, problem.InvalidField("subject", "mail.template.no-subject")
	}
	m.SetGenHeader(gomail.HeaderSubject, encodeWords(subject))
	m.SetGenHeader(gomail.HeaderDate, env.Date.UTC().Format(time.RFC1123Z))
	m.SetGenHeader(gomail.HeaderMessageID, "<"+env.MessageID+">")
	if env.Language != "" {
		m.SetGenHeader(gomail.HeaderContentLang, headerToken(env.Language))
	}
	if err := listHeaders(m, env); err != nil {
		return nil, err
	}
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	var b bytes.Buffer
	b.Grow(len(text) + len(html)*5/4 + 2048)
	if _, err := m.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("build a mail: %w", err)
	}
	return b.Bytes(), nil
}

// addresses writes From, To and Reply-To. They go in as plain fields, for only
// then is their encoding ours.
func addresses(m *gomail.Msg, env Envelope) error {
	for _, field := range []struct {
		name    gomail.Header
		address Address
	}{{"From", env.From}, {"To", env.To}, {"Reply-To", env.ReplyTo}} {
		if field.name == "Reply-To" && field.address.Email == "" {
			continue
		}
		value, err := field.address.header()
		if err != nil {
			return fmt.Errorf("write the field %s: %w", field.name, err)
		}
		m.SetGenHeader(field.name, value)
	}
	return nil
}

// listHeaders writes the headers that mailbox providers act on, each only when
// its receiver is there (RFC 2369, 2919, 3834, 8058).
func listHeaders(m *gomail.Msg, env Envelope) error {
	if env.OneClick {
		u, err := url.Parse(env.Leave)
		if err != nil || u.Host == "" || len(env.Leave) > maxURL {
			return fmt.Errorf("build a mail: the unsubscribe address is no web address")
		}
		if u.Scheme == "https" {
			m.SetGenHeader(gomail.HeaderListUnsubscribe, "<"+tidyURL(env.Leave)+">")
			m.SetGenHeader(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
		}
	}
	if env.ListID != "" {
		m.SetGenHeader("List-Id", "<"+headerToken(env.ListID)+">")
	}
	if env.FeedbackID != "" {
		m.SetGenHeader("Feedback-ID", headerToken(env.FeedbackID))
	}
	if env.AutoSubmitted {
		m.SetGenHeader("Auto-Submitted", "auto-generated")
	}
	if env.Bulk {
		m.SetGenHeader(gomail.HeaderPrecedence, "bulk")
	}
	return nil
}

// headerToken keeps what an identifier in a header is made of.
func headerToken(s string) string {
	s = strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == ',' {
			return -1
		}
		return c
	}, s)
	return s[:min(len(s), 255)]
}

// isMessageID reports whether the id can stand between angle brackets (RFC 5322 §3.6.4).
func isMessageID(id string) bool {
	at := strings.IndexByte(id, '@')
	if at < 1 || at == len(id)-1 || len(id) >= 250 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == ',' || c == '@' && i != at {
			return false
		}
	}
	return true
}

// boundary is the same for the same message id, so that a mail made twice has
// the same bytes. No line of quoted-printable text can be it: it would have to
// hold the hash of its own message id.
func boundary(messageID string) string {
	return string(appendBoundary(nil, messageID))
}

func appendBoundary(dst []byte, messageID string) []byte {
	var b [300]byte // a message id is shorter than 250
	sum := sha256.Sum256(append(append(b[:0], "boundary "...), messageID...))
	return hex.AppendEncode(append(dst, 'b'), sum[:16])
}

// encodeWords is a header's text: as it is when that may be, else in encoded words.
func encodeWords(s string) string {
	if !needsWords(s) {
		return s
	}
	return string(appendWords(nil, s))
}
