package compose

import "strings"

// pen writes quoted-printable text (RFC 2045 §6.7) with the bytes that
// mime/quotedprintable gives for the same text, but takes what is ready as it
// is. A line's encoding depends on nothing outside the line, so whole lines
// that all mails share are encoded once.
type pen struct {
	out []byte
	col int // characters of the line so far, at most lineMax

	// tidy says that this is a text made of HTML (see tidyText): no blank before
	// a line's end, at most one empty line. What would need going back sets odd.
	tidy bool
	ends int  // line ends just written, 2 standing for more
	odd  bool // what was written is not to be used
}

const lineMax = 75 // beside the "=" of a soft line break

// What a byte needs, by the place it is written to.
const (
	needsCode  = 1 << iota // "=XX"
	needsLine              // it is a line's end
	needsHTML              // an entity, as html.EscapeString does
	needsSheet             // an entity, as html/template does
	needsCare              // a carriage return: only the slow way knows
)

// Ways of writing a text: which needs are heeded.
const (
	asPlain = needsCode | needsLine | needsCare
	asHTML  = asPlain | needsHTML
	asSheet = asHTML | needsSheet
)

var needs = func() (t [256]uint8) {
	for c := range t {
		if (c < ' ' || c > '~' || c == '=') && c != '\t' {
			t[c] = needsCode
		}
	}
	t['\n'], t['\r'] = needsLine, needsCare
	for _, c := range `&'<>"` {
		t[c] = needsHTML
	}
	t['+'] = needsSheet
	return t
}()

var entities = [256]string{'&': "&amp;", '\'': "&#39;", '<': "&lt;", '>': "&gt;", '"': "&#34;", '+': "&#43;"}

// finish ends the part that began at from. It fails when the part is not to be
// used.
func (p *pen) finish(from int) error {
	p.shut()
	if p.odd || len(p.out)-from > maxSpliced {
		return errUncut
	}
	return nil
}

// coded writes a part of a line that is encoded but for soft line breaks: every
// "=" in it begins an "=XX".
func coded[T ~string | ~[]byte](p *pen, s T) {
	for {
		room := lineMax - p.col
		if len(s) <= room {
			p.out = append(p.out, s...)
			p.col += len(s)
			return
		}
		switch {
		case room > 0 && s[room-1] == '=':
			room--
		case room > 1 && s[room-2] == '=':
			room -= 2
		}
		p.out = append(p.out, s[:room]...)
		p.out = append(p.out, "=\r\n"...)
		s, p.col = s[room:], 0
	}
}

// text writes a text in one of the ways above.
func (p *pen) text(s string, way uint8) {
	p.odd = p.odd || p.tidy && s != "" && (p.blank(s[0]) || untidy(s))
	for len(s) > 0 {
		n := 0
		for n < len(s) && needs[s[n]]&way == 0 {
			n++
		}
		if n > 0 {
			coded(p, s[:n])
			p.ends = 0
		}
		if n == len(s) {
			return
		}
		switch c := s[n]; needs[c] & way {
		case needsLine:
			p.line()
		case needsCare:
			p.odd = true
		case needsCode:
			if p.col > lineMax-3 {
				p.out = append(p.out, "=\r\n"...)
				p.col = 0
			}
			p.out = append(p.out, '=', upperHex[c>>4], upperHex[c&15])
			p.col += 3
			p.ends = 0
		default:
			coded(p, entities[c])
			p.ends = 0
		}
		s = s[n+1:]
	}
}

// line ends a line. A blank cannot stand at its end as it is.
func (p *pen) line() {
	if p.tidy && p.ends == 2 {
		return
	}
	p.shut()
	p.out = append(p.out, "\r\n"...)
	p.col, p.ends = 0, min(p.ends+1, 2)
}

// shut encodes the last character of the line when it is a blank.
func (p *pen) shut() {
	if p.col == 0 {
		return
	}
	c := p.out[len(p.out)-1]
	if c != ' ' && c != '\t' {
		return
	}
	p.odd = p.odd || p.tidy
	p.out = p.out[:len(p.out)-1]
	p.col--
	coded(p, []string{"=20", "=09"}[c&1])
}

// segment is a text that all mails share: encoded once, but for where its first
// and last lines break, which what stands before decides.
type segment struct {
	head   []byte // up to the first line end, encoded but for soft line breaks
	lines  []byte // from the first line end to the last, on the wire as it is
	tail   []byte // like head
	broken bool   // there is a line end
	lead   int    // line ends it begins with
	trail  int    // line ends it ends with, 2 standing for more
	only   bool   // it is nothing but line ends
}

// newSegment encodes a text without carriage returns.
func newSegment(s string) segment {
	first, last := -1, -1
	lead := 0
	for i := range len(s) {
		if s[i] != '\n' {
			continue
		}
		if first < 0 {
			first = i
		}
		if lead == i {
			lead++
		}
		last = i
	}
	if first < 0 {
		return segment{head: escapeLine(s, false)}
	}
	p := pen{}
	p.text(s[first:last+1], asPlain)
	g := segment{head: escapeLine(s[:first], true), lines: p.out, tail: escapeLine(s[last+1:], false), broken: true, lead: lead, only: lead == len(s)}
	for i := len(s); i > 0 && s[i-1] == '\n' && g.trail < 2; i-- {
		g.trail++
	}
	return g
}

// escapeLine encodes a part of a line but for soft line breaks; closed says that
// a line end follows.
func escapeLine(s string, closed bool) []byte {
	out := make([]byte, 0, len(s)+len(s)/8)
	for i := range len(s) {
		c := s[i]
		if needs[c]&needsCode != 0 || closed && i == len(s)-1 && (c == ' ' || c == '\t') {
			out = append(out, '=', upperHex[c>>4], upperHex[c&15])
			continue
		}
		out = append(out, c)
	}
	return out
}

// segment writes a shared text.
func (p *pen) segment(g *segment) {
	p.odd = p.odd || p.tidy && len(g.head) > 0 && p.blank(g.head[0])
	coded(p, g.head)
	if !g.broken {
		if len(g.head) > 0 {
			p.ends = 0
		}
		return
	}
	skip := 0
	if len(g.head) == 0 {
		p.shut()
		if p.tidy {
			skip = max(p.ends+g.lead-2, 0)
		}
	}
	p.out = append(p.out, g.lines[2*skip:]...)
	p.col = 0
	coded(p, g.tail)
	switch {
	case g.only:
		p.ends = min(p.ends+g.lead, 2)
	default:
		p.ends = g.trail
	}
}

// blank reports whether c is a blank where a tidy text has none: where a line
// begins, or after another.
func (p *pen) blank(c byte) bool {
	if c != ' ' && c != '\t' {
		return false
	}
	if p.col == 0 {
		return true
	}
	before := p.out[len(p.out)-1]
	return before == ' ' || before == '\t'
}

// untidy reports whether tidyText would take a blank from within the text.
func untidy(s string) bool {
	return strings.Contains(s, "  ") || strings.Contains(s, "\t") || strings.Contains(s, " \n") || strings.Contains(s, "\n ")
}
