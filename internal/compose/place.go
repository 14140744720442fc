package compose

import (
	"html"
	"slices"
	"strings"
)

// place is what an output would land in, which decides how it is escaped.
type place int

const (
	inText    place = iota // between tags
	inValue                // in a quoted attribute value, a title or a comment
	inURL                  // in a quoted URL whose scheme may still be open
	inURLRest              // in a quoted URL after its scheme or first slash
	inStyle                // in a style sheet or a style attribute
	inScript               // in a script or an event handler
	inTag                  // anywhere else inside a tag: nothing may be put there
)

// scanner follows HTML byte by byte as far as escaping needs: it knows tags,
// quoted values, comments and raw text (HTML Living Standard §13.2.5), and
// nothing of the tree. Conditional comments are seen through, for what is in
// them is HTML to the one program that reads it.
type scanner struct {
	state   state
	quote   byte
	closing bool
	tag     []byte // lower case
	attr    []byte // lower case
	value   []byte // literal bytes of the value so far
	tail    []byte // last bytes of a comment or of raw text, lower case
	whole   bool   // the value has only literal bytes so far
	settled bool   // a scheme can no longer begin
	event   event  // what the last byte meant
}

type (
	state int
	event int
)

const (
	sText state = iota
	sOpen
	sName
	sTag
	sAttr
	sAfterAttr
	sBeforeValue
	sQuoted
	sUnquoted
	sDeclaration
	sComment
	sConditional
	sRaw
)

const (
	nothing event = iota
	valueBegins
	valueEnds
	schemeEnds
)

func (s *scanner) copy() scanner {
	c := *s
	c.tag, c.attr = slices.Clone(s.tag), slices.Clone(s.attr)
	c.value, c.tail = slices.Clone(s.value), slices.Clone(s.tail)
	return c
}

// same reports whether what follows means the same in both places.
func (s *scanner) same(o *scanner) bool {
	if s.state != o.state {
		return false
	}
	if s.state == sText {
		return true
	}
	return s.quote == o.quote && s.closing == o.closing && string(s.tag) == string(o.tag) && string(s.attr) == string(o.attr)
}

// merge keeps the more careful of two ways here.
func (s *scanner) merge(o *scanner) {
	s.settled = s.settled && o.settled
	s.whole = s.whole && o.whole
}

// output notes that something not literal stands here.
func (s *scanner) output() { s.whole = false }

func (s *scanner) place() place {
	switch s.state {
	case sText:
		return inText
	case sComment, sConditional:
		return inValue
	case sRaw:
		switch string(s.tag) {
		case "script":
			return inScript
		case "style":
			return inStyle
		}
		return inValue
	case sQuoted:
		switch {
		case strings.HasPrefix(string(s.attr), "on"):
			return inScript
		case string(s.attr) == "style":
			return inStyle
		case string(s.attr) == "srcset" || string(s.attr) == "srcdoc":
			return inTag
		case !s.isURL():
			return inValue
		case s.settled:
			return inURLRest
		}
		return inURL
	}
	return inTag
}

func (s *scanner) isURL() bool {
	switch string(s.attr) {
	case "href", "src", "action", "formaction", "background", "poster", "cite", "longdesc", "data", "xlink:href":
		return true
	}
	return false
}

// isLink reports whether the value just ended is a literal web address that a
// person can follow.
func (s *scanner) isLink() bool {
	if !s.whole || string(s.attr) != "href" || s.closing || string(s.tag) != "a" && string(s.tag) != "area" {
		return false
	}
	u := strings.ToLower(unescapeURL(string(s.value)))
	return strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://")
}

// refused is the scheme that the value begins with, if a mail may not hold it
// there; ok is false then. The value may have come to its end or to its colon.
func (s *scanner) refused() (scheme string, ok bool) {
	if !s.isURL() {
		return "", true
	}
	v := html.UnescapeString(string(s.value))
	at := strings.IndexAny(v, ":/?#")
	if at < 0 || v[at] != ':' {
		return "", true
	}
	scheme = strings.ToLower(strings.Map(visible, v[:at]))
	return scheme, isSafeScheme(scheme) || scheme == "data" && string(s.attr) == "src"
}

func unescapeURL(raw string) string { return strings.TrimSpace(html.UnescapeString(raw)) }

// next reads one byte. Bytes of a multi-byte character are all ordinary.
func (s *scanner) next(c byte) {
	s.event = nothing
	switch s.state {
	case sText:
		if c == '<' {
			s.state = sOpen
		}
	case sOpen:
		s.open(c)
	case sName:
		s.name(c)
	case sTag, sAttr, sAfterAttr, sBeforeValue, sUnquoted:
		s.inside(c)
	case sQuoted:
		s.quoted(c)
	case sDeclaration:
		s.declaration(c)
	case sComment, sConditional:
		s.comment(c)
	case sRaw:
		s.raw(c)
	}
}

func (s *scanner) open(c byte) {
	switch {
	case isLetter(c) && c != '_':
		s.state, s.tag, s.closing = sName, append(s.tag[:0], lower(c)), false
	case c == '/':
		s.state, s.tag, s.closing = sName, s.tag[:0], true
	case c == '!' || c == '?':
		s.state, s.tail = sDeclaration, s.tail[:0]
	case c == '<':
	default:
		s.state = sText
	}
}

func (s *scanner) name(c byte) {
	switch {
	case c == '>':
		s.leave()
	case isSpace(c) || c == '/':
		s.state = sTag
	default:
		s.tag = append(s.tag, lower(c))
	}
}

// leave ends a tag: into raw text or text.
func (s *scanner) leave() {
	s.state = sText
	if s.closing {
		return
	}
	switch string(s.tag) {
	case "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes":
		s.state, s.tail = sRaw, s.tail[:0]
	}
}

func (s *scanner) inside(c byte) {
	switch {
	case c == '>':
		s.leave()
	case s.state == sBeforeValue && (c == '"' || c == '\''):
		s.state, s.quote, s.value = sQuoted, c, s.value[:0]
		s.whole, s.settled, s.event = true, false, valueBegins
	case s.state == sBeforeValue && !isSpace(c):
		s.state = sUnquoted
	case s.state == sBeforeValue:
	case s.state == sUnquoted:
		if isSpace(c) {
			s.state = sTag
		}
	case c == '=' && s.state != sTag:
		s.state = sBeforeValue
	case isSpace(c) || c == '/':
		if s.state == sAttr {
			s.state = sAfterAttr
		}
	case s.state == sAttr:
		s.attr = append(s.attr, lower(c))
	default:
		s.state, s.attr = sAttr, append(s.attr[:0], lower(c))
	}
}

func (s *scanner) quoted(c byte) {
	if c == s.quote {
		s.state, s.event = sTag, valueEnds
		return
	}
	s.value = append(s.value, c)
	if s.settled || !s.isURL() {
		return
	}
	switch c {
	case '/', '?', '#':
		// a slash within an entity (&sol;) cannot occur, and &#58; hides a colon:
		// a hash right after an ampersand settles nothing.
		if c != '#' || len(s.value) < 2 || s.value[len(s.value)-2] != '&' {
			s.settled = true
		}
	case ':':
		s.settled, s.event = true, schemeEnds
	case ';':
		if strings.HasSuffix(html.UnescapeString(string(s.value)), ":") {
			s.settled, s.event, s.whole = true, schemeEnds, false
		}
	}
}

func (s *scanner) declaration(c byte) {
	s.tail = append(s.tail, c)
	switch {
	case string(s.tail) == "--":
		s.state, s.tail = sComment, s.tail[:0]
	case c == '>':
		s.state = sText
	}
}

func (s *scanner) comment(c byte) {
	s.tail = append(s.tail, lower(c))
	if s.state == sComment && len(s.tail) == 3 && string(s.tail) == "[if" {
		s.state = sConditional
	}
	done := c == '>' && (strings.HasSuffix(string(s.tail), "-->") || string(s.tail) == ">" || string(s.tail) == "->")
	if s.state == sConditional {
		done = done || strings.HasSuffix(string(s.tail), "]>")
	}
	if done {
		s.state = sText
		return
	}
	if len(s.tail) > 16 {
		s.tail = append(s.tail[:3], s.tail[len(s.tail)-4:]...)
	}
}

func (s *scanner) raw(c byte) {
	s.tail = append(s.tail, lower(c))
	if strings.HasSuffix(string(s.tail), "</"+string(s.tag)) {
		s.state, s.closing = sTag, true
		return
	}
	if len(s.tail) > 32 {
		s.tail = append(s.tail[:0], s.tail[len(s.tail)-16:]...)
	}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }
