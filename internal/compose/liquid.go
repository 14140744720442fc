package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/tags"

	"assent/internal/problem"
)

// The fence around a template. A marketer's mistake, or malice, costs at most
// these; none of them is near what an honest mail needs.
const (
	maxSource  = 256 << 10 // bytes of one part as written
	maxPart    = 512 << 10 // bytes of one part as rendered
	maxValue   = 128 << 10 // bytes of one string made on the way
	maxItems   = 10_000    // items of one list made on the way
	maxRange   = 1_000     // numbers in a range that is more than a loop's
	maxSteps   = 10_000    // turns of all loops of one part together
	maxWork    = 4 << 20   // bytes looped over and filtered in one part
	maxNesting = 32        // blocks within blocks
)

// kind is where the output of a part goes, which decides its escaping.
type kind int

const (
	plainPart kind = iota
	htmlPart
	subjectPart
)

// part is one compiled template. It is safe for concurrent use.
type part struct {
	kind  kind
	field string // "subject", "preheader", "html", "text": named in problems
	root  render.Node
	links []string // literal http(s) hrefs, in document order; HTML only

	assigned []string // the variables that it sets
	shade    *shade   // HTML only
}

// Names that only the rewritten source speaks; a template that says them is refused.
const (
	stepTag  = "__step" // one turn of a loop
	markTag  = "__mark" // a capture made in HTML is HTML
	plainOut = "__plain"
	htmlOut  = "__html"
	valueOut = "__value"
	urlOut   = "__url"
	restOut  = "__rest"
	cssOut   = "__css"

	wordsOut    = "__words" // these: in a text made of HTML
	bareURLOut  = "__bareurl"
	bareRestOut = "__barerest"
	readOut     = "__read"
	linkOut     = "__link"
	linkRestOut = "__linkrest"
	cellOut     = "__cell"
)

// runKey finds the run among a render's variables; no template can spell it.
const runKey = "\x00run"

// grammar is the language: the tags of osteele/liquid that mail has use for,
// without files and tables, and two of ours.
var grammar = func() render.Config {
	c := render.NewConfig()
	tags.AddStandardTags(c)
	c.AddTag("include", func(string) (func(io.Writer, render.Context) error, error) {
		return nil, errors.New("include is not available")
	})
	c.AddTag(stepTag, func(size string) (func(io.Writer, render.Context) error, error) {
		n := 0
		if _, err := fmt.Sscan(size, &n); err != nil {
			return nil, fmt.Errorf("read the size of a loop's body: %w", err)
		}
		return func(_ io.Writer, ctx render.Context) error {
			return ctx.Get(runKey).(*run).step(n)
		}, nil
	})
	c.AddTag(markTag, func(name string) (func(io.Writer, render.Context) error, error) {
		return func(_ io.Writer, ctx render.Context) error {
			s, _ := ctx.Get(name).(string)
			r := ctx.Get(runKey).(*run)
			r.trust(s)
			return r.spend(len(s))
		}, nil
	})
	return c
}()

// compilePart reads one template. The error is a problem.Field's key and args,
// wrapped as *problem.Error of kind Invalid with that one field.
func compilePart(field, source string, k kind) (p *part, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, problem.InvalidField(field, "mail.template.unreadable", "Line", 1).Because(fmt.Errorf("panic: %v", r))
		}
	}()
	if len(source) > maxSource {
		return nil, problem.InvalidField(field, "mail.template.too-long", "Max", maxSource/1024)
	}
	f := &fencer{field: field, kind: k}
	rewritten, err := f.rewrite(clean(source))
	if err != nil {
		return nil, err
	}
	root, perr := grammar.Compile(rewritten, parser.SourceLoc{LineNo: 1})
	if perr != nil {
		return nil, problem.InvalidField(field, "mail.template.unreadable", "Line", max(perr.LineNumber(), 1)).Because(perr)
	}
	return &part{kind: k, field: field, root: root, links: f.links, assigned: f.assigned, shade: &f.shade}, nil
}

// render fills the template. Whatever goes wrong, be it a panic of the engine,
// is a problem that names the part and, when known, the line.
func (p *part) render(r *run, vars map[string]any) (out string, err error) {
	defer func() {
		if c := recover(); c != nil {
			out, err = "", p.failed(1, fmt.Errorf("panic: %v", c))
		}
	}()
	r.begin(p.kind == htmlPart)
	r.bind(vars)
	buf := &capped{}
	rerr := r.engine(p.root, buf, vars)
	if rerr == nil {
		return buf.String(), nil
	}
	return "", p.failed(rerr.LineNumber(), rerr)
}

// engine renders a node and pays for it.
func (r *run) engine(node render.Node, to io.Writer, vars map[string]any) render.Error {
	config := grammar
	config.Config.Config = r.filters()
	return render.Render(node, to, vars, config)
}

// bind makes fenced values what a template may name.
func (r *run) bind(vars map[string]any) {
	vars[runKey] = r
	for name, n := range nothings {
		if _, taken := vars[name]; !taken {
			vars[name] = n
		}
	}
}

func (p *part) failed(line int, cause error) error {
	key := "mail.template.failed"
	if errors.Is(cause, errTooMuch) || strings.Contains(cause.Error(), errTooMuch.Error()) {
		key = "mail.template.too-much"
	}
	return problem.InvalidField(p.field, key, "Line", max(line, 1)).Because(cause)
}

// errTooMuch ends a render that went over one of its bounds.
var errTooMuch = errors.New("the template makes too much")

// capped is a buffer that holds at most maxPart bytes.
type capped struct{ bytes.Buffer }

func (c *capped) Write(b []byte) (int, error) {
	if c.Len()+len(b) > maxPart {
		return 0, errTooMuch
	}
	return c.Buffer.Write(b)
}

func (c *capped) WriteString(s string) (int, error) {
	if c.Len()+len(s) > maxPart {
		return 0, errTooMuch
	}
	return c.Buffer.WriteString(s)
}

// run is what one render may spend and what it has found out. A run fills one
// part at a time and is not safe for concurrent use; its filters are made once
// and serve all the parts it fills.
type run struct {
	now      time.Time // the mail's date, which "now" means to the date filter
	steps    int
	work     int
	escaping bool                // the part is HTML
	trusted  map[string]struct{} // strings that are HTML because the template made them so
	config   *expressions.Config
}

func (r *run) begin(escaping bool) {
	r.escaping = escaping
	r.steps, r.work = maxSteps, maxWork
	clear(r.trusted)
}

func (r *run) step(size int) error {
	if r.steps--; r.steps < 0 {
		return errTooMuch
	}
	return r.spend(size)
}

func (r *run) spend(n int) error {
	if r.work -= n + 1; r.work < 0 {
		return errTooMuch
	}
	return nil
}

// trust remembers that s is safe as HTML text. A value of the data that equals
// it is then safe too: the two are the same characters.
func (r *run) trust(s string) {
	if !r.escaping {
		return
	}
	if r.trusted == nil {
		r.trusted = make(map[string]struct{})
	}
	r.trusted[s] = struct{}{}
}

func (r *run) isTrusted(s string) bool {
	_, ok := r.trusted[s]
	return ok
}

// filters is the run's own filter table: every call is paid from its budget.
func (r *run) filters() expressions.Config {
	if r.config == nil {
		c := expressions.NewConfig()
		for name, f := range filterTable {
			c.AddFilter(name, func(in any, args ...any) (any, error) { return r.apply(f, in, args) })
		}
		r.config = &c
	}
	return *r.config
}

// apply calls a filter and pays for it.
func (r *run) apply(f filter, in any, args []any) (any, error) {
	if err := r.spend(weigh(in)); err != nil {
		return nil, err
	}
	out, err := f(r, in, args)
	if err != nil {
		return nil, err
	}
	if s, ok := out.(string); ok && len(s) > maxValue {
		return nil, errTooMuch
	}
	return out, nil
}

// weigh is about how many bytes a filter has to look at.
func weigh(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		n := 0
		for _, item := range v {
			if s, ok := item.(string); ok {
				n += len(s)
			}
			n += 8
		}
		return n
	}
	return 1
}

// clean drops what no template and no value may hold: control characters other
// than tab and newline (the marks of rewritten links are such), and bytes that
// are not UTF-8.
func clean(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return cleaned(s)
		}
	}
	return s
}

func cleaned(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexFunc(s, unwanted) < 0 {
		return s
	}
	return strings.Map(func(c rune) rune {
		if unwanted(c) {
			return -1
		}
		return c
	}, s)
}

func unwanted(c rune) bool {
	return c < 0x20 && c != '\n' && c != '\t' || c == 0x7f || c >= 0x80 && c < 0xa0
}
