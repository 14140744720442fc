package catcher

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // other people's character sets
	"github.com/emersion/go-message/textproto"
)

// Parts is a mail taken apart for reading.
type Parts struct {
	Headers []Header // in their order, unfolded and decoded
	HTML    string   // the first text/html part
	Text    string   // the first text/plain part
}

// Header is one header field.
type Header struct{ Name, Value string }

const partMax = 4 << 20 // bytes of one part that are read

// Read takes a mail apart (RFC 5322, RFC 2045–2047). It takes any bytes: what
// cannot be read is left out, and the source stays to be looked at.
func (m Mail) Read() Parts {
	entity, err := message.Read(bytes.NewReader(m.Source))
	if entity == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return Parts{}
	}
	p := Parts{}
	for f := entity.Header.Fields(); f.Next(); {
		value, err := f.Text()
		if err != nil {
			value = f.Value()
		}
		p.Headers = append(p.Headers, Header{Name: f.Key(), Value: text(strings.Join(strings.Fields(value), " "))})
	}
	_ = entity.Walk(func(_ []int, e *message.Entity, err error) error { // a broken part ends the walk; what was read stays
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return err
		}
		p.take(e)
		return nil
	})
	return p
}

// take keeps the first part of each kind; attachments are none.
func (p *Parts) take(e *message.Entity) {
	kind, _, err := e.Header.ContentType()
	if err != nil || kind == "" {
		kind = "text/plain"
	}
	if disposition, _, _ := e.Header.ContentDisposition(); strings.EqualFold(disposition, "attachment") {
		return
	}
	into := &p.Text
	if kind == "text/html" {
		into = &p.HTML
	} else if kind != "text/plain" {
		return
	}
	if *into != "" {
		return
	}
	body, err := io.ReadAll(io.LimitReader(e.Body, partMax))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && len(body) == 0 {
		return
	}
	*into = text(string(body))
}

func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// subject reads no more than the header.
func subject(source []byte) string {
	h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(source)))
	if err != nil {
		return ""
	}
	header := message.Header{Header: h}
	s, err := header.Text("Subject")
	if err != nil {
		s = header.Get("Subject")
	}
	return text(strings.Join(strings.Fields(s), " "))
}
