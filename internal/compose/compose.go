// Package compose turns a template and a person into the bytes of a mail
// (RFC 5322). It is pure: the same input gives the same bytes, with no
// database, no clock and no network (only a DKIM signature holds the time).
//
// A marketer's template is Liquid, behind a fence: its data are maps, lists and
// plain values; what it puts into HTML is escaped for the place it lands in;
// files cannot be read; loops, lengths and work are bounded; whatever the
// engine does wrong comes back as a problem with the line. A template that
// cannot work is refused by [Compile], not while a campaign runs.
//
// A mail is made by [Compiled.Message] with go-mail, or spliced by [Frame.Append]
// out of what all mails of a content and a sender share, a hundred times faster
// and to the same bytes.
//
// Every mail is multipart/alternative, text first and HTML last, in UTF-8 and
// quoted-printable, to one recipient. Nothing that a person or a marketer typed
// can add a header. Marketing mail ([Compiled.Message]) always ends with who
// writes, why, and how to leave. Service mail ([System]) has no advertising, no
// pixel and no rewritten link.
package compose

import (
	"errors"
	"sync"

	"assent/internal/problem"
)

// Content is one mail as its author wrote it, in one language. All but Language
// are Liquid.
type Content struct {
	Language  string // BCP 47: the language of the footer and the direction of the layout
	Subject   string
	Preheader string // what mailbox lists show after the subject; may be empty
	HTML      string // a whole document, or a fragment that the brand's layout goes round
	Text      string // may be empty: then it is made from the HTML
}

// Compiled is a content that can be sent. It is safe for concurrent use.
type Compiled struct {
	language  string
	subject   *part
	preheader *part
	html      *part
	text      *part // nil: made of each person's HTML
	made      bool  // the text is made from the HTML
	document  bool  // the HTML is a whole document
}

// Compile reads a content. What is wrong with it is one problem of kind Invalid
// with a field ("subject", "preheader", "html" or "text") for each part that
// does not compile, whose message gives the line and the way to mend it.
func Compile(c Content) (*Compiled, error) {
	all := problem.New(problem.Invalid, "problem.invalid")
	read := func(field, source string, k kind) *part {
		p, err := compilePart(field, source, k)
		var wrong *problem.Error
		if errors.As(err, &wrong) {
			all.Fields = append(all.Fields, wrong.Fields...)
			_ = all.Because(err)
		}
		return p
	}
	out := &Compiled{
		language:  c.Language,
		subject:   read("subject", c.Subject, subjectPart),
		preheader: read("preheader", c.Preheader, plainPart),
		html:      read("html", c.HTML, htmlPart),
		document:  documentRE.MatchString(c.HTML),
	}
	if !isBlank(c.Text) {
		out.text = read("text", c.Text, plainPart)
	}
	if isBlank(c.Subject) {
		all.Field("subject", "mail.template.no-subject")
	}
	if isBlank(c.HTML) {
		all.Field("html", "mail.template.no-html")
	}
	if err := all.OrNil(); err != nil {
		return nil, err
	}
	if out.text == nil {
		out.text, out.made = out.html.shade.part(out.html.assigned), true
	}
	out.html.shade = nil
	return out, nil
}

// Links are the literal web addresses that the HTML links to, in the order of
// the document; n of Envelope.Link counts them from 0. An address that holds
// Liquid is not among them, nor is mailto:, tel:, an anchor or the footer's own.
func (c *Compiled) Links() []string { return append([]string(nil), c.html.links...) }

// rendered is a content filled for one person; the HTML still has its marks.
type rendered struct {
	subject, preheader, html, text string
}

var runs = sync.Pool{New: func() any { return new(run) }}

// fill renders all parts. Values are fenced first: control characters, structs
// and functions never reach a template.
func (c *Compiled) fill(env Envelope, values map[string]any) (out rendered, err error) {
	r := runs.Get().(*run)
	defer runs.Put(r)
	r.now = env.Date
	vars := fence(values)
	if out.subject, err = c.subject.render(r, vars); err != nil {
		return out, err
	}
	if out.preheader, err = c.preheader.render(r, vars); err != nil {
		return out, err
	}
	if out.html, err = c.html.render(r, vars); err != nil {
		return out, err
	}
	if c.text == nil {
		out.text = textFromHTML(replaceMarks(out.html, c.html.links, nil))
		return out, nil
	}
	out.text, err = c.text.render(r, vars)
	if c.made {
		out.text = tidyText(out.text)
	}
	return out, err
}

// Message makes the mail for one person, ready for signing and for the wire:
// CRLF line ends, no line over 998 bytes. Values is what the template sees.
// It fails with a problem that names the part when the template fails for these
// values, and with [ErrSMTPUTF8] or [ErrAddress] for an address.
func (c *Compiled) Message(env Envelope, values map[string]any) ([]byte, error) {
	filled, err := c.fill(env, values)
	if err != nil {
		return nil, err
	}
	if env.Language == "" {
		env.Language = c.language
	}
	html, err := c.page(env, filled, env.Link)
	if err != nil {
		return nil, err
	}
	text, err := footed(env, filled.text)
	if err != nil {
		return nil, err
	}
	return build(env, filled.subject, text, html)
}

// Head is the subject and the preheader for one person, as a mailbox lists them.
func (c *Compiled) Head(env Envelope, values map[string]any) (subject, preheader string, err error) {
	filled, err := c.fill(env, values)
	return filled.subject, filled.preheader, err
}

// PageHTML is the mail as a page for "view in browser": the same HTML without
// pixel, with the links as they were written.
func (c *Compiled) PageHTML(env Envelope, values map[string]any) ([]byte, error) {
	filled, err := c.fill(env, values)
	if err != nil {
		return nil, err
	}
	if env.Language == "" {
		env.Language = c.language
	}
	env.PixelURL, env.View = "", ""
	html, err := c.page(env, filled, nil)
	return []byte(html), err
}
