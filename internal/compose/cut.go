package compose

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/osteele/liquid/render"
)

// cutter makes the steps of a part out of the part as it looks with a
// placeholder for each thing that differs between people.
type cutter struct {
	prefix string // begins a placeholder, and is nowhere else
	steps  []step // what the placeholders stand for
}

// place gives the placeholder of a step. It is letters and digits, which no
// escaping changes.
func (c *cutter) place(s step) string {
	c.steps = append(c.steps, s)
	return c.prefix + strconv.Itoa(len(c.steps)-1) + "q"
}

// prefixNotIn gives a prefix for placeholders. Its first letter is in it once,
// so that what stands before one cannot make another.
func prefixNotIn(s string) string {
	for n := 0; ; n++ {
		if prefix := "zq" + strconv.Itoa(n) + "x"; !strings.Contains(s, prefix) {
			return prefix
		}
	}
}

// cut gives the part's steps.
func (c *cutter) cut(s string) (out program) {
	for {
		before, rest, found := strings.Cut(s, c.prefix)
		if before = lineEnds(before); before != "" {
			out = append(out, step{kind: textStep, ready: newSegment(before)})
		}
		if !found {
			return out
		}
		digits, after, _ := strings.Cut(rest, "q")
		n, _ := strconv.Atoi(digits) // place has written it
		out, s = append(out, c.steps[n]), after
	}
}

// lineEnds is the text with the line ends that mime/quotedprintable makes of its
// carriage returns. In what all mails share they are only in what the brand says
// of itself, and a letter of the layout's comes before the next cut.
func lineEnds(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	b := make([]byte, 0, len(s))
	cr := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n' && cr:
			cr = false
		case c == '\n' || c == '\r':
			b = append(b, '\n')
			cr = cr || c == '\r'
		default:
			b = append(b, c)
			cr = cr && needs[c]&needsCode != 0
		}
	}
	return string(b)
}

// withLinks are the steps with the links of their texts: literal, or each
// person's own.
func (c *cutter) withLinks(steps program, links []string, tracked bool) program {
	out := make(program, 0, len(steps))
	for _, s := range steps {
		switch s.kind {
		case textStep:
			out = append(out, c.cut(replaceMarks(s.text, links, c.link(tracked)))...)
			continue
		case branchStep, loopStep:
			ways := make([]branch, len(s.branches))
			for i, b := range s.branches {
				ways[i] = branch{b.when, c.withLinks(b.then, links, tracked)}
			}
			s.branches = ways
		}
		out = append(out, s)
	}
	return out
}

// link is what replaceMarks asks for each link.
func (c *cutter) link(tracked bool) func(n int) string {
	if !tracked {
		return nil
	}
	return func(n int) string { return c.place(step{kind: linkStep, n: n}) }
}

// skeleton is a part with placeholders for all but its text.
func (c *cutter) skeleton(steps program, links []string, tracked bool) string {
	var b strings.Builder
	for i, s := range steps {
		if s.kind == textStep {
			b.WriteString(s.text)
		} else {
			b.WriteString(c.place(c.withLinks(steps[i:i+1], links, tracked)[0]))
		}
	}
	return b.String()
}

// owns is the envelope with placeholders for what is a person's own.
func (c *cutter) owns(env Envelope, key int) Envelope {
	for _, own := range []struct {
		has  int
		kind stepKind
		to   *string
	}{
		{hasLeave, leaveStep, &env.Leave}, {hasPreferences, preferencesStep, &env.Preferences}, {hasWhy, whyStep, &env.Why},
		{hasView, viewStep, &env.View}, {hasPixel, pixelStep, &env.PixelURL},
	} {
		if *own.to = ""; key&own.has != 0 {
			*own.to = c.place(step{kind: own.kind})
		}
	}
	return env
}

// page makes the HTML part for a kind of people; no steps is one that cannot be cut.
func (f *Frame) page(key int) (program, error) {
	steps, links := f.programs.html, f.compiled.html.links
	if f.compiled.document && !shapedByText(steps, true) {
		return nil, nil
	}
	plain, err := f.compiled.page(f.common, rendered{html: steps.literal()}, nil)
	if err != nil {
		return nil, err
	}
	c := &cutter{prefix: prefixNotIn(plain)}
	tracked := key&hasClicks != 0
	body := c.skeleton(steps, links, tracked)
	if f.compiled.document && !c.plainBodyTag(body) {
		return nil, nil
	}
	filled := rendered{subject: c.place(step{kind: titleStep}), html: body}
	if key&hasPreheader != 0 {
		filled.preheader = c.place(step{kind: preheaderStep})
	}
	whole, err := f.compiled.page(c.owns(f.common, key), filled, c.link(tracked))
	if err != nil {
		return nil, err
	}
	return c.cut(whole), nil
}

// text makes the text part for a kind of people.
func (f *Frame) text(key int) (program, error) {
	steps := slices.Clone(f.programs.text)
	plain, err := footed(f.common, steps.literal())
	if err != nil {
		return nil, err
	}
	c := &cutter{prefix: prefixNotIn(plain)}
	var body string
	if key&hasWhole == 0 && steps.trim() {
		body = c.skeleton(steps, nil, false)
	} else {
		body = c.place(step{kind: wholeTextStep})
	}
	last := len(c.steps)
	whole, err := footed(c.owns(f.common, key&^hasWhole), body)
	if err != nil {
		return nil, err
	}
	out := c.cut(whole)
	if f.compiled.made {
		out.tidyUntil(last)
	}
	return out, nil
}

// literal is all text of the steps, run together.
func (p program) literal() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.text)
		for _, way := range s.branches {
			b.WriteString(way.then.literal())
		}
	}
	return b.String()
}

// trim takes the white space off both ends; ok is false when a step that writes
// something but is not text stands there.
func (p program) trim() (ok bool) {
	first := slices.IndexFunc(p, func(s step) bool { return s.kind != assignStep })
	if first < 0 {
		return true
	}
	last := len(p) - 1
	for p[last].kind == assignStep {
		last--
	}
	p[first].text = strings.TrimLeftFunc(p[first].text, unicode.IsSpace)
	p[last].text = strings.TrimRightFunc(p[last].text, unicode.IsSpace)
	return p[first].text != "" && p[last].text != "" || first == last && p[first].kind == textStep
}

// tidyUntil marks where the text made from the HTML ends, after the first n
// things that differ.
func (p program) tidyUntil(n int) {
	for i := range p {
		if p[i].kind != textStep {
			n--
		} else if n == 0 {
			p[i].last = true
			return
		}
	}
}

// The footer and the preheader of a document are put where its tags are found.
// Values have no tags, so these are in the author's text, but it may stand where
// it is not always shown.
var (
	shapeRE = regexp.MustCompile(`(?i)<(?:/?body|/html)`)
	shardRE = regexp.MustCompile(`(?i)<(?:/?(?:b(?:od?)?)?|/h(?:tm?)?)$`) // what could become one with what follows
)

// shapedByText reports whether those tags are in text that all mails share.
func shapedByText(steps program, shared bool) bool {
	for _, s := range steps {
		if shardRE.MatchString(s.text) || !shared && shapeRE.MatchString(s.text) {
			return false
		}
		for _, way := range s.branches {
			if !shapedByText(way.then, false) {
				return false
			}
		}
		if s.kind == engineStep && !shapeless(s.node) {
			return false
		}
	}
	return true
}

// shapeless reports whether a node of the engine writes no such tag.
func shapeless(n render.Node) bool {
	plain := func(s string) bool { return !shardRE.MatchString(s) && !shapeRE.MatchString(s) }
	all := func(nodes []render.Node) bool {
		return !slices.ContainsFunc(nodes, func(n render.Node) bool { return !shapeless(n) })
	}
	switch n := n.(type) {
	case *render.TextNode:
		return plain(n.Source)
	case *render.TagNode:
		return !strings.Contains(n.Args, "<")
	case *render.SeqNode:
		return all(n.Children)
	case *render.BlockNode:
		return all(n.Body) && !slices.ContainsFunc(n.Clauses, func(b *render.BlockNode) bool { return !all(b.Body) })
	case *render.ObjectNode:
		return true
	}
	return false
}

// plainBodyTag reports whether the tag that the preheader follows is found
// where it is found in every mail: it holds nothing but values.
func (c *cutter) plainBodyTag(body string) bool {
	begun := len(bodyBeginRE.FindAllStringIndex(body, 2))
	span := bodyRE.FindString(body)
	if begun == 0 {
		return true
	}
	for n, s := range c.steps {
		if strings.Contains(span, c.prefix+strconv.Itoa(n)+"q") && (s.output == nil || s.output.place == htmlOut) {
			return false
		}
	}
	return begun == 1 && span != ""
}

var bodyBeginRE = regexp.MustCompile(`(?i)<body`)
