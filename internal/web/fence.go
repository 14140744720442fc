package web

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/html"
)

// fencePolicy is what a mail may do when it is shown: be styled and load
// pictures. It has no origin of its own and runs nothing (HTML standard §7.1.5:
// without allow-scripts there are no scripts, and no refresh by meta either); it
// sends no forms and moves no page. Its links open beside us, in a page that is
// not fenced in. Frames of others may not hold it.
const fencePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src * data:; style-src 'unsafe-inline'; " +
	"font-src https: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// Mail answers with a mail's own HTML, fenced in, for a frame on a page of ours.
func Mail(c echo.Context, mail string) error {
	c.Response().Header().Set("Content-Security-Policy", fencePolicy)
	return c.HTMLBlob(http.StatusOK, fence(mail))
}

// openBeside comes before any <base> of the mail's own, and the first one with a
// target counts.
const openBeside = `<base target="_blank">`

// fence has the mail's links open in a new page. The mark is put behind a
// document type that the mail begins with, so that it is laid out as its author
// meant; the parser lays it into the head by itself, and takes the attributes of
// the <html> that follows.
func fence(mail string) []byte {
	at := afterDoctype(mail)
	var b bytes.Buffer
	b.Grow(len(mail) + len(openBeside))
	b.WriteString(mail[:at])
	b.WriteString(openBeside)
	b.WriteString(mail[at:])
	return b.Bytes()
}

// afterDoctype is where the document type ends; 0 where there is none.
func afterDoctype(mail string) int {
	z := html.NewTokenizer(strings.NewReader(mail))
	for at := 0; ; {
		kind := z.Next()
		raw := z.Raw()
		at += len(raw)
		switch kind {
		case html.DoctypeToken:
			return at
		case html.CommentToken:
		case html.TextToken:
			if len(bytes.TrimSpace(raw)) > 0 {
				return 0
			}
		default:
			return 0
		}
	}
}
