package compose

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/osteele/liquid/parser"
)

// When the author gives no text, it is made from the HTML once: the template's
// outputs and tags stand in the document as words, the document is turned into
// text, and they are put back. So the text is a template as the author's own
// would be. Where that cannot be, because the template makes HTML of its data or
// a block is torn apart on the way, the text is made of the finished HTML, for
// each person anew.

// shade is an HTML template with its outputs and tags as words.
type shade struct {
	html  []byte
	words []word
	open  []int // for each open block its last tag: the one that began it, or an else
	trim  bool  // the next literal text loses the blanks it begins with
	torn  bool  // the template makes HTML of its data
}

// word stands for one output or tag.
type word struct {
	source string // as it is in a text: a tag, or an output's expression
	outlet string // of an output
	tag    string // "" for an output
	block  int    // the tag that began the block this one is a tag of, -1 for none
	within int    // the last tag of the block it stands in, -1 for none
}

// Two characters of the private use area hold a word's number.
const wordBegin, wordEnd = "\ue001", "\ue002"

// literal adds what the author wrote between outputs and tags.
func (s *shade) literal(text string) {
	if s.trim {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		s.trim = false
	}
	for _, mark := range []string{cellMark, wordBegin, wordEnd} {
		text = strings.ReplaceAll(text, mark, "")
	}
	s.html = append(s.html, text...)
}

func (s *shade) word(t parser.Token, w word) {
	if dash(t.Source, 2) != "" {
		s.html = bytes.TrimRightFunc(s.html, unicode.IsSpace)
	}
	s.html = append(s.html, wordBegin+strconv.Itoa(len(s.words))+wordEnd...)
	s.words = append(s.words, w)
	s.trim = dash(t.Source, len(t.Source)-3) != ""
}

// top is the last tag of the innermost block.
func (s *shade) top() int {
	if n := len(s.open); n > 0 {
		return s.open[n-1]
	}
	return -1
}

// output adds an output that stands in a place. A filter that makes HTML of a
// text is left out, if nothing comes after it.
func (s *shade) output(t parser.Token, at place) {
	args, out := t.Args, wordsOut
	switch at {
	case inURL:
		out = bareURLOut
	case inURLRest:
		out = bareRestOut
	}
	if before, last, found := cutLast(args, "|"); found {
		switch strings.TrimSpace(last) {
		case "newline_to_br":
			args, out = before, plainOut
		case "escape":
			args = before
		case "escape_once":
			args, out = before, readOut
		}
	}
	s.torn = s.torn || makesHTML(args)
	s.word(t, word{source: args, outlet: out, block: -1, within: s.top()})
}

// tag adds a tag, with what the fencer puts after it.
func (s *shade) tag(t parser.Token, args, after string) {
	s.torn = s.torn || t.Name == "capture" || makesHTML(args) || t.Name == "cycle" && strings.ContainsAny(args, "<&")
	w := word{source: "{% " + t.Name + " " + args + " %}" + after, tag: t.Name, block: -1, within: s.top()}
	n := len(s.open) - 1
	switch {
	case known[t.Name]:
		w.block = len(s.words)
		s.open = append(s.open, w.block)
	case t.Name == "else", t.Name == "elsif", t.Name == "when":
		w.block = s.words[s.open[n]].block
		s.open[n] = len(s.words)
	case strings.HasPrefix(t.Name, "end"):
		w.block = s.words[s.open[n]].block
		s.open = s.open[:n]
	}
	s.word(t, w)
}

// makesHTML reports whether an expression may make HTML of its value. It may
// also be wrong: a text that is made for each person is right too.
func makesHTML(expression string) bool {
	return strings.Contains(expression, "newline_to_br") || strings.Contains(expression, "escape")
}

// part is the text's template, nil when there is no making one. A mistake in it
// is one in the HTML, for the author has written no text.
func (s *shade) part(assigned []string) *part {
	if s.torn {
		return nil
	}
	source, ok := s.restore(makeText(string(s.html), s.words))
	if !ok {
		return nil
	}
	root, err := grammar.Compile(source, parser.SourceLoc{LineNo: 1})
	if err != nil {
		return nil
	}
	return &part{kind: plainPart, field: "html", root: root, assigned: assigned}
}

// restore puts outputs and tags back; ok is false when one is not where it
// belongs: in its block, between the tags it stood between. Outputs and whole
// blocks may be lost, for a text has no attributes; what sets a variable may not.
func (s *shade) restore(text string) (source string, ok bool) {
	var b strings.Builder
	var open []int
	seen := make([]bool, len(s.words))
	for {
		before, rest, found := strings.Cut(text, wordBegin)
		if !found {
			b.WriteString(quoteLiquid(text))
			break
		}
		digits, after, _ := strings.Cut(rest, wordEnd)
		n, err := strconv.Atoi(digits)
		if err != nil || n >= len(s.words) || seen[n] {
			return "", false
		}
		w := s.words[n]
		before, after = w.embrace(before, after)
		seen[n], text = true, after
		b.WriteString(quoteLiquid(before))
		if w.tag == "" {
			b.WriteString("{{ (" + w.source + ") | " + w.outlet + " }}")
		} else {
			b.WriteString(w.source)
		}
		top := -1
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		switch {
		case top != w.within:
			return "", false
		case w.block == n:
			open = append(open, n)
		case w.block >= 0 && strings.HasPrefix(w.tag, "end"):
			open = open[:len(open)-1]
		case w.block >= 0:
			open[len(open)-1] = n
		}
	}
	for n, w := range s.words {
		if w.block >= 0 && seen[n] != seen[w.block] || w.block < 0 && w.tag != "" && w.tag != "cycle" && !seen[n] {
			return "", false
		}
	}
	return b.String(), len(open) == 0
}

// embrace takes what an output stands between into the output where it would be
// odd to read with nothing in it: a link's address, a cell that is not a row's
// first.
func (w *word) embrace(before, after string) (string, string) {
	switch {
	case (w.outlet == bareURLOut || w.outlet == bareRestOut) && strings.HasSuffix(before, " <") && strings.HasPrefix(after, ">"):
		w.outlet = map[string]string{bareURLOut: linkOut, bareRestOut: linkRestOut}[w.outlet]
		return strings.TrimSuffix(before, " <"), after[1:]
	case w.outlet == wordsOut && strings.HasSuffix(before, " | ") && (after == "" || after[0] == '\n' || strings.HasPrefix(after, " | ")):
		w.outlet = cellOut
		return strings.TrimSuffix(before, " | "), after
	}
	return before, after
}

// quoteLiquid keeps text from being read as Liquid: a brace is an output.
func quoteLiquid(s string) string {
	return strings.ReplaceAll(s, "{", `{{ ("{") | `+plainOut+" }}")
}

// tidyText puts a filled text in order: no blanks at either end of a line, no
// two in a row, and one empty line at most.
func tidyText(s string) string {
	out := make([]byte, 0, len(s))
	ends, blank := 0, false
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t':
			blank = true
		case '\n':
			if ends < 2 {
				out = append(out, c)
			}
			ends++
			blank = false
		default:
			if blank && ends == 0 && len(out) > 0 {
				out = append(out, ' ')
			}
			out = append(out, c)
			ends, blank = 0, false
		}
	}
	return string(out)
}

// sameWords compares a link's words and its address, whose outputs differ in
// their numbers only.
func sameWords(a, b string, words []word) bool {
	if a == b || len(words) == 0 {
		return a == b
	}
	return slices.Equal(expand(a, words), expand(b, words))
}

// expand is a text in pieces: literal text and what outputs show in turn.
func expand(s string, words []word) (pieces []string) {
	for {
		before, rest, found := strings.Cut(s, wordBegin)
		if pieces = append(pieces, before); !found {
			return pieces
		}
		digits, after, _ := strings.Cut(rest, wordEnd)
		if n, err := strconv.Atoi(digits); err == nil && n < len(words) {
			digits = words[n].source + words[n].tag
		}
		pieces, s = append(pieces, digits), after
	}
}
