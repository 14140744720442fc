package compose

import (
	"strconv"
	"strings"

	"github.com/osteele/liquid/parser"

	"assent/internal/problem"
)

// fencer rewrites a template so that the engine can only do what mail needs:
// every output gets the escaping of the place it stands in, every loop counts
// its turns, and what is unknown, unclosed or out of bounds is refused with its
// line. Literal links become marks that a message replaces.
type fencer struct {
	field  string
	kind   kind
	out    strings.Builder
	scan   scanner // where in the HTML we are
	blocks []block
	links  []string
	line   int

	shade    shade    // of the HTML, for the text made from it
	assigned []string // the variables that the template sets
}

// block is an open {% if %}, {% for %} and so on.
type block struct {
	name     string
	line     int
	variable string  // of a capture
	before   scanner // the place the block began in
	after    *scanner
	begun    bool // a case: its first when has been read
	sawElse  bool
}

func (f *fencer) refuse(key string, args ...any) error {
	return problem.InvalidField(f.field, key, append([]any{"Line", f.line}, args...)...)
}

// rewrite gives the source that the engine compiles.
func (f *fencer) rewrite(source string) (string, error) {
	tokens := parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil)
	sizes := bodySizes(tokens)
	f.line = 1
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.SourceLoc.LineNo > 0 {
			f.line = t.SourceLoc.LineNo
		}
		var err error
		switch t.Type {
		case parser.TextTokenType:
			err = f.text(t.Source)
		case parser.ObjTokenType:
			err = f.object(t)
		case parser.TagTokenType:
			switch t.Name {
			case "raw", "comment":
				i, err = f.verbatim(tokens, i)
			default:
				err = f.tag(t, sizes[i])
			}
		}
		if err != nil {
			return "", err
		}
	}
	if n := len(f.blocks); n > 0 {
		f.line = f.blocks[n-1].line
		return "", f.refuse("mail.template.unclosed-block", "Tag", f.blocks[n-1].name)
	}
	return f.out.String(), nil
}

// text copies what stands between the tags, following it through the HTML.
func (f *fencer) text(s string) error {
	if at := strings.Index(s, "{{"); at >= 0 {
		f.line += strings.Count(s[:at], "\n")
		return f.refuse("mail.template.unclosed-output")
	}
	if at := strings.Index(s, "{%"); at >= 0 {
		f.line += strings.Count(s[:at], "\n")
		return f.refuse("mail.template.unclosed-tag")
	}
	return f.copy(s)
}

func (f *fencer) copy(s string) error {
	if f.kind != htmlPart {
		f.out.WriteString(s)
		return nil
	}
	f.shade.literal(s)
	done, begun := 0, -1
	for i := 0; i < len(s); i++ {
		f.scan.next(s[i])
		switch f.scan.event {
		case valueBegins:
			begun = i + 1
		case schemeEnds, valueEnds:
			if scheme, ok := f.scan.refused(); !ok {
				f.line += strings.Count(s[:i], "\n")
				return f.refuse("mail.template.scheme", "Scheme", scheme)
			}
			if f.scan.event == schemeEnds {
				continue
			}
			if begun >= 0 && f.scan.isLink() {
				f.out.WriteString(s[done:begun])
				f.out.WriteString(linkMark(len(f.links)))
				f.links = append(f.links, unescapeURL(s[begun:i]))
				done = i
			}
			begun = -1
		}
	}
	f.out.WriteString(s[done:])
	return nil
}

// verbatim takes a comment, which is dropped, or a raw block, which is kept,
// and gives the index of its last token.
func (f *fencer) verbatim(tokens []parser.Token, from int) (int, error) {
	name := tokens[from].Name
	for i := from + 1; i < len(tokens); i++ {
		t := tokens[i]
		if t.Type == parser.TagTokenType && t.Name == "end"+name {
			if name == "raw" {
				f.out.WriteString("{% endraw %}")
			}
			return i, nil
		}
		if name == "comment" {
			continue
		}
		if i == from+1 {
			f.out.WriteString("{% raw %}")
		}
		if err := f.copy(t.Source); err != nil {
			return i, err
		}
	}
	return from, f.refuse("mail.template.unclosed-block", "Tag", name)
}

// object rewrites one {{ output }}.
func (f *fencer) object(t parser.Token) error {
	if err := f.expression(t.Args, false); err != nil {
		return err
	}
	out := plainOut
	if f.kind == htmlPart {
		switch f.scan.place() {
		case inText:
			out = htmlOut
		case inValue:
			out = valueOut
		case inURL:
			out = urlOut
		case inURLRest:
			out = restOut
		case inStyle:
			out = cssOut
		case inScript:
			return f.refuse("mail.template.in-script", "Near", t.Source)
		default:
			return f.refuse("mail.template.in-tag", "Near", t.Source)
		}
		f.shade.output(t, f.scan.place())
		f.scan.output()
	}
	f.out.WriteString("{{" + dash(t.Source, 2) + " (" + t.Args + ") | " + out + " " + dash(t.Source, len(t.Source)-3) + "}}")
	return nil
}

// dash keeps the whitespace control that stands at the place.
func dash(source string, at int) string {
	if source[at] == '-' {
		return "-"
	}
	return ""
}

// known are the tags of a template, and whether they open a block.
var known = map[string]bool{
	"assign": false, "break": false, "continue": false, "cycle": false, "else": false, "elsif": false, "when": false,
	"if": true, "unless": true, "case": true, "for": true, "capture": true,
}

// tag rewrites one {% tag %}; size is the length of a loop's body.
func (f *fencer) tag(t parser.Token, size int) error {
	end := strings.HasPrefix(t.Name, "end") && known[t.Name[3:]]
	if _, ok := known[t.Name]; !ok && !end {
		return f.refuse("mail.template.unknown-tag", "Tag", t.Name)
	}
	if err := f.expression(t.Args, t.Name == "for"); err != nil {
		return err
	}
	f.scan.output()
	source, args, after := t.Source, t.Args, ""
	if t.Name == "if" || t.Name == "elsif" || t.Name == "unless" {
		source, args = nothingFirst(source), nothingFirst(args)
	}
	switch {
	case end:
		return f.close(t)
	case known[t.Name]:
		if len(f.blocks) == maxNesting {
			return f.refuse("mail.template.too-deep", "Max", maxNesting)
		}
		b := block{name: t.Name, line: f.line, before: f.scan.copy()}
		if t.Name == "capture" {
			b.variable = strings.TrimSpace(t.Args)
			if !isName(b.variable) {
				return f.refuse("mail.template.capture")
			}
			source = strings.Replace(source, t.Args, b.variable, 1)
			f.scan = scanner{}
			f.assigned = append(f.assigned, b.variable)
		}
		f.blocks = append(f.blocks, b)
		if t.Name == "for" {
			after = "{% " + stepTag + " " + strconv.Itoa(size) + " %}"
		}
	case t.Name == "else" || t.Name == "elsif" || t.Name == "when":
		if err := f.branch(t.Name); err != nil {
			return err
		}
	case t.Name == "assign":
		f.assigned = append(f.assigned, identifier(t.Args))
	case t.Name == "break" || t.Name == "continue":
		if f.kind == htmlPart && f.scan.place() != inText {
			return f.refuse("mail.template.in-tag", "Near", t.Source)
		}
	}
	f.out.WriteString(source + after)
	f.shade.tag(t, args, after)
	return nil
}

// branch ends one way through a block and begins the next.
func (f *fencer) branch(name string) error {
	n := len(f.blocks)
	if n == 0 || f.blocks[n-1].name == "capture" {
		return f.refuse("mail.template.stray", "Tag", name)
	}
	b := &f.blocks[n-1]
	b.sawElse = b.sawElse || name == "else"
	// what stands between a case and its first when is never shown
	if b.name != "case" || b.begun {
		if err := f.join(b); err != nil {
			return err
		}
	}
	b.begun = true
	f.scan = b.before.copy()
	return nil
}

// close ends a block. Every way through it must leave the HTML at the same
// kind of place, or nothing could be said about what follows.
func (f *fencer) close(t parser.Token) error {
	n := len(f.blocks)
	if n == 0 || "end"+f.blocks[n-1].name != t.Name {
		return f.refuse("mail.template.stray", "Tag", t.Name)
	}
	f.shade.tag(t, "", "")
	b := f.blocks[n-1]
	f.blocks = f.blocks[:n-1]
	if b.name == "capture" {
		isText := f.scan.place() == inText
		f.scan = b.before
		f.out.WriteString(t.Source)
		if f.kind == htmlPart {
			if !isText {
				return f.refuse("mail.template.branches", "Tag", b.name)
			}
			f.out.WriteString("{% " + markTag + " " + b.variable + " %}")
		}
		return nil
	}
	if err := f.join(&b); err != nil {
		return err
	}
	f.scan = *b.after
	if !b.sawElse || b.name == "for" { // it may also be passed over, or come again
		if !f.scan.same(&b.before) {
			return f.refuse("mail.template.branches", "Tag", b.name)
		}
		f.scan.merge(&b.before)
	}
	f.out.WriteString(t.Source)
	return nil
}

// join adds the way that ends here to those that went before.
func (f *fencer) join(b *block) error {
	here := f.scan.copy()
	if b.after == nil {
		b.after = &here
		return nil
	}
	if !b.after.same(&here) {
		return f.refuse("mail.template.branches", "Tag", b.name)
	}
	b.after.merge(&here)
	return nil
}

// expression refuses what the engine would only stumble over, for somebody,
// while a mail is made: unknown filters, endless ranges, reserved names.
func (f *fencer) expression(s string, loop bool) error {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	ranges, filters := 0, 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return f.refuse("mail.template.quote", "Near", s)
			}
			i += end + 2
		case c == ';':
			return f.refuse("mail.template.unreadable")
		case c == '|':
			filters++
			name := identifier(strings.TrimLeft(s[i+1:], " \t\n"))
			if _, ok := filterTable[name]; !ok || strings.HasPrefix(name, "__") {
				return f.refuse("mail.template.unknown-filter", "Filter", name)
			}
			i++
		case strings.HasPrefix(s[i:], ".."):
			ranges++
			if err := f.bounded(s, i, loop); err != nil {
				return err
			}
			i += 2
		case isLetter(c):
			name := identifier(s[i:])
			if strings.HasPrefix(name, "__") {
				return f.refuse("mail.template.reserved", "Name", name)
			}
			i += len(name)
		default:
			i++
		}
	}
	if ranges > 1 || loop && ranges == 1 && filters > 0 {
		return f.refuse("mail.template.range", "Max", maxRange)
	}
	return nil
}

// bounded refuses the range around the dots at i when it is longer than its
// use allows. A loop may run to a number of the data: its turns are counted.
func (f *fencer) bounded(s string, i int, loop bool) error {
	left, right := strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+2:])
	from, errFrom := strconv.Atoi(left[strings.LastIndexByte(left, '(')+1:])
	to, errTo := strconv.Atoi(right[:max(strings.IndexByte(right, ')'), 0)])
	limit := maxRange
	if loop {
		if errFrom != nil || errTo != nil {
			return nil
		}
		limit = maxSteps
	}
	if errFrom != nil || errTo != nil || to-from >= limit || from < -1<<31 || to > 1<<31 {
		return f.refuse("mail.template.range", "Max", limit)
	}
	return nil
}

// bodySizes gives, for each {% for %} token, the bytes up to its {% endfor %}:
// what one turn of the loop costs at most.
func bodySizes(tokens []parser.Token) map[int]int {
	sizes := map[int]int{}
	var open []int
	var began []int
	total := 0
	for i, t := range tokens {
		total += len(t.Source)
		if t.Type != parser.TagTokenType {
			continue
		}
		switch t.Name {
		case "for":
			open, began = append(open, i), append(began, total)
		case "endfor":
			if n := len(open); n > 0 {
				sizes[open[n-1]] = total - began[n-1]
				open, began = open[:n-1], began[:n-1]
			}
		}
	}
	return sizes
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// identifier is the one that s begins with.
func identifier(s string) string {
	if s == "" || !isLetter(s[0]) {
		return ""
	}
	n := 1
	for n < len(s) && (isLetter(s[n]) || s[n] >= '0' && s[n] <= '9' || s[n] == '-') {
		n++
	}
	return s[:n]
}

func isName(s string) bool { return s != "" && identifier(s) == s }
