package compose

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/osteele/liquid/values"
)

// output is a {{ value | filter: argument }} that needs no engine: a value of
// the data, or a literal, and filters in a row.
type output struct {
	value  operand
	calls  []call
	outlet outlet
	place  string // the outlet's name
}

type call struct {
	filter filter
	args   []operand
	fixed  []any // the arguments, when all are literals
}

// operand is a value of the data or a literal.
type operand struct {
	path    []string // nil: a literal
	literal any
	turn    int               // the loop that binds the path's first name, from 1 outside; 0 is the data
	slot    int               // the variable that it names if that is set, from 1
	count   func(t *turn) any // what the loop tells, instead of its item
}

var (
	pathRE    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*\??(?:\.[A-Za-z_][A-Za-z0-9_-]*\??)*`)
	quotedRE  = regexp.MustCompile(`^(?:"[^"]*"|'[^']*')`)
	literalRE = regexp.MustCompile(`^-?[0-9]+(?:\.[0-9]+)?`)
	filterRE  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*`)
	compareRE = regexp.MustCompile(`^(?:==|!=|<=|>=|<|>|contains\b)`)
)

// expression reads an expression, which the engine has compiled, from the left.
// What it does not know for sure to mean the same is not plain.
type expression struct {
	compiler
	rest string
}

func (e *expression) space() { e.rest = strings.TrimLeft(e.rest, " \t\n") }

// take takes what the pattern matches at the beginning.
func (e *expression) take(re *regexp.Regexp) string {
	s := re.FindString(e.rest)
	e.rest = e.rest[len(s):]
	return s
}

func (e *expression) takeByte(c byte) bool {
	if e.rest == "" || e.rest[0] != c {
		return false
	}
	e.rest = e.rest[1:]
	return true
}

func (e *expression) operand() (o operand, ok bool) {
	e.space()
	if s := e.take(quotedRE); s != "" {
		return operand{literal: s[1 : len(s)-1]}, true
	}
	if s := e.take(literalRE); s != "" {
		if n, err := strconv.Atoi(s); err == nil {
			return operand{literal: n}, true
		}
		f, err := strconv.ParseFloat(s, 64)
		return operand{literal: f}, err == nil && strings.Contains(s, ".")
	}
	s := e.take(pathRE)
	switch s {
	case "", "and", "or", "in", "contains":
		return o, false
	case "true", "false":
		return operand{literal: s == "true"}, true
	case "nil":
		return o, true
	}
	o.path = strings.Split(s, ".")
	switch o.path[0] {
	case "true", "false", "nil", "and", "or", "in", "contains":
		return o, false
	}
	if local, bound, ok := e.local(o.path); bound {
		if o = local; !ok || o.count != nil {
			return o, ok
		}
	}
	if e.names(o.path[0]) {
		if o.slot = e.slots[o.path[0]]; len(o.path) > 1 {
			return o, false
		}
	}
	for _, name := range o.path[1:] {
		if name == "size" || name == "first" || name == "last" {
			return o, false
		}
	}
	return o, true
}

// output reads what stands in an output as the fencer has written it:
// "(expression) | outlet".
func (c compiler) output(args string) *output {
	inner, name, ok := cutLast(args, ") | ")
	if !ok || !strings.HasPrefix(inner, "(") || outlets[name] == nil {
		return nil
	}
	e := expression{c, inner[1:]}
	o := e.chain()
	if o != nil {
		o.outlet, o.place = outlets[name], name
	}
	return o
}

// chain reads a value with its filters, to the end of the expression.
func (e *expression) chain() *output {
	o := &output{}
	var ok bool
	if o.value, ok = e.operand(); !ok {
		return nil
	}
	for e.space(); e.takeByte('|'); e.space() {
		c, ok := e.call()
		if !ok {
			return nil
		}
		o.calls = append(o.calls, c)
	}
	if e.rest != "" {
		return nil
	}
	return o
}

func cutLast(s, sep string) (before, after string, ok bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// call reads a filter with its arguments.
func (e *expression) call() (c call, ok bool) {
	e.space()
	if c.filter, ok = filterTable[e.take(filterRE)]; !ok {
		return c, false
	}
	if !e.takeByte(':') {
		return c, true
	}
	plain := true
	for {
		o, ok := e.operand()
		if !ok {
			return c, false
		}
		plain = plain && o.path == nil
		c.args = append(c.args, o)
		if e.space(); !e.takeByte(',') {
			break
		}
	}
	if plain {
		for _, o := range c.args {
			c.fixed = append(c.fixed, o.literal)
		}
	}
	return c, true
}

// of is the operand's value as a template sees it.
func (o *operand) of(s *scope) any {
	switch {
	case o.path == nil:
		return o.literal
	case o.count != nil:
		return o.count(&s.turns[o.turn-1])
	}
	if o.slot > 0 && s.slots[o.slot-1].set {
		return s.slots[o.slot-1].value
	}
	v, depth := s.find(o)
	if text, ok := v.(string); ok && depth <= maxDepth && clean(text) == text {
		return v
	}
	return fenced(v, depth)
}

// evaluate is the output's value. It costs the run what it would cost the engine.
func (o *output) evaluate(r *run, s *scope) (any, error) {
	v := o.value.of(s)
	for i := range o.calls {
		c := &o.calls[i]
		args := c.fixed
		if args == nil {
			for j := range c.args {
				args = append(args, c.args[j].of(s))
			}
		}
		var err error
		if v, err = r.apply(c.filter, v, args); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// show is the output's text and whether it is to be escaped for HTML.
func (o *output) show(r *run, s *scope) (string, bool, error) {
	v, err := o.evaluate(r, s)
	if err != nil {
		return "", false, err
	}
	if err := r.spend(weigh(v)); err != nil {
		return "", false, err
	}
	return o.outlet(r, v)
}

// condition is what an {% if %} asks: comparisons in a row, joined by and and
// or from the left.
type condition struct {
	all     []comparison
	inverse bool // it is asked by an {% unless %}
}

type comparison struct {
	join        string // "and", "or"; "" for the first
	left, right operand
	how         string // "" asks whether left is there
}

// condition reads one; nil is one that is not plain.
func (c compiler) condition(args string, inverse bool) *condition {
	e := expression{c, args}
	out := &condition{inverse: inverse}
	for {
		var one comparison
		var ok bool
		if len(out.all) > 0 {
			if one.join = e.take(filterRE); one.join != "and" && one.join != "or" {
				return nil
			}
		}
		if one.left, ok = e.operand(); !ok {
			return nil
		}
		e.space()
		if one.how = e.take(compareRE); one.how != "" {
			if one.right, ok = e.operand(); !ok {
				return nil
			}
			e.space()
		}
		if out.all = append(out.all, one); e.rest == "" {
			return out
		}
	}
}

// holds answers it.
func (c *condition) holds(s *scope) bool {
	held := false
	for i := range c.all {
		one := &c.all[i]
		if one.join == "and" && !held || one.join == "or" && held {
			continue
		}
		held = one.holds(s)
	}
	return held != c.inverse
}

func (c *comparison) holds(s *scope) bool {
	if c.how == "" {
		v := c.left.of(s)
		return v != nil && v != false
	}
	left, right := c.left.of(s), c.right.of(s)
	if a, ok := left.(string); ok && (c.how == "==" || c.how == "!=") {
		if b, ok := right.(string); ok {
			return (a == b) == (c.how == "==")
		}
	}
	a, b := c.left.ask(s, left), c.right.ask(s, right)
	switch c.how {
	case "==":
		return a.Equal(b)
	case "!=":
		return !a.Equal(b)
	case "<":
		return a.Less(b)
	case ">":
		return b.Less(a)
	case "<=":
		return a.Less(b) || a.Equal(b)
	case ">=":
		return b.Less(a) || a.Equal(b)
	}
	return a.Contains(b)
}

// ask is the operand's value v as the engine compares it.
func (o *operand) ask(s *scope, v any) values.Value {
	if len(o.path) == 1 && o.turn == 0 {
		if n, ok := nothings[o.path[0]]; ok {
			if _, taken := s.data[o.path[0]]; !taken {
				return n
			}
		}
	}
	return values.ValueOf(v)
}
