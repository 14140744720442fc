package compose

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/osteele/liquid/render"
)

// scope is where names are looked up: the person's data, and the loops that are
// running.
type scope struct {
	data  map[string]any
	turns []turn
	slots [maxSlots]variable
}

// variable is what an {% assign %} sets: a value as the engine has it.
type variable struct {
	value any
	set   bool
}

// maxSlots is how many variables one part may set without the engine.
const maxSlots = 8

// turn is one time through a loop's body.
type turn struct {
	item  any // as it is in the data
	depth int // of the item in the data
	i, n  int // it is the i-th of n, from 0
}

// loop is a {% for %} over a list of the data.
type loop struct {
	list  operand
	limit int // -1: none
	cost  int // bytes of the body, which one turn costs
}

var (
	loopRE  = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_-]*)[ \t\n]+in[ \t\n]+`)
	limitRE = regexp.MustCompile(`^limit:[ \t\n]*([0-9]{1,5})[ \t\n]*$`)
)

// counts are what a loop tells of its turn, as forloop.index.
var counts = map[string]func(t *turn) any{
	"index": func(t *turn) any { return t.i + 1 }, "index0": func(t *turn) any { return t.i },
	"rindex": func(t *turn) any { return t.n - t.i }, "rindex0": func(t *turn) any { return t.n - t.i - 1 },
	"first": func(t *turn) any { return t.i == 0 }, "last": func(t *turn) any { return t.i == t.n-1 },
	"length": func(t *turn) any { return t.n },
}

// loop compiles a {% for %} whose body is plain through and through: its steps
// are a branch, and those of its else another.
func (c compiler) loop(n *render.BlockNode) (s step, ok bool) {
	name := loopRE.FindStringSubmatch(n.Args)
	if name == nil || len(n.Clauses) > 1 || c.assigned[name[1]] {
		return s, false
	}
	l := &loop{limit: -1}
	e := expression{c, n.Args[len(name[0]):]}
	if l.list, ok = e.operand(); !ok || l.list.path == nil || l.list.slot > 0 {
		return s, false
	}
	if e.space(); e.rest != "" {
		limit := limitRE.FindStringSubmatch(e.rest)
		if limit == nil {
			return s, false
		}
		l.limit, _ = strconv.Atoi(limit[1]) // digits
	}
	for _, within := range n.Body {
		if tag, is := within.(*render.TagNode); is && tag.Name == stepTag {
			if _, err := fmt.Sscan(tag.Args, &l.cost); err != nil {
				return s, false
			}
		}
	}
	s = step{kind: loopStep, loop: l, node: n}
	inner := c
	inner.loops = append(c.loops[:len(c.loops):len(c.loops)], name[1])
	for i, b := range append([]*render.BlockNode{n}, n.Clauses...) {
		if i > 0 {
			inner = c
		}
		then, ok := inner.sequence(b.Body, false)
		if !ok || then.contains(func(s *step) bool { return s.kind == engineStep }) {
			return s, false
		}
		s.branches = append(s.branches, branch{then: then})
	}
	return s, true
}

// local is the operand when its name is one that a running loop has bound.
func (c compiler) local(path []string) (o operand, bound, ok bool) {
	n := len(c.loops)
	if n > 0 && path[0] == "forloop" {
		o = operand{path: path, turn: n}
		if len(path) == 2 {
			o.count = counts[path[1]]
		}
		return o, true, o.count != nil
	}
	for ; n > 0; n-- {
		if c.loops[n-1] == path[0] {
			return operand{path: path, turn: n}, true, true
		}
	}
	return o, false, true
}

// find is the operand's value as it is in the data, and its depth there.
func (s *scope) find(o *operand) (v any, depth int) {
	if o.turn > 0 {
		t := &s.turns[o.turn-1]
		v, depth = t.item, t.depth
	} else {
		v = s.data[o.path[0]]
	}
	for _, name := range o.path[1:] {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, depth
		}
		v = m[name]
		depth++
	}
	return v, depth
}

// each does something for each turn of a loop, or for its else.
func (j *job) each(s *step, do func(program) error) error {
	list, depth := j.find(&s.loop.list)
	n, ok := length(list)
	switch {
	case !ok:
		return errUncut
	case n < 0 || depth > maxDepth:
		return nil // it is no list: not even the else is shown
	}
	if s.loop.limit >= 0 {
		n = min(n, s.loop.limit)
	}
	if n == 0 && len(s.branches) > 1 {
		return do(s.branches[1].then)
	}
	at := len(j.turns)
	j.turns = append(j.turns, turn{depth: depth + 1, n: n})
	defer func() { j.turns = j.turns[:at] }()
	for i := range n {
		j.turns[at].i, j.turns[at].item = i, item(list, i)
		if err := j.run.step(s.loop.cost); err != nil {
			return err
		}
		if err := do(s.branches[0].then); err != nil {
			return err
		}
	}
	return nil
}

// length is how many things there are to loop over, less than 0 for what is not
// looped over; ok is false for a map, whose order only the engine's copy has.
func length(v any) (n int, ok bool) {
	switch v := v.(type) {
	case []any:
		return len(v), true
	case []string:
		return len(v), true
	case []map[string]any:
		return len(v), true
	case map[string]any:
		return 0, false
	}
	return -1, true
}

func item(list any, i int) any {
	switch list := list.(type) {
	case []any:
		return list[i]
	case []string:
		return list[i]
	case []map[string]any:
		return list[i]
	}
	return nil
}
