package compose

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
)

// A program is a template as the steps that fill it. What the engine does with
// plain outputs and conditions is done here without it, to the same bytes; all
// else is a node that the engine renders.
type program []step

type step struct {
	kind     stepKind
	text     string
	n        int // of a link; of the variable that is set, from 1
	output   *output
	branches []branch
	loop     *loop
	node     render.Node
	ready    segment // the text, encoded, in a program that writes a mail's part
	last     bool    // where the tidy text ends
}

type stepKind int

const (
	textStep stepKind = iota
	outputStep
	assignStep
	branchStep
	loopStep
	engineStep

	// In a part of a mail, beside those: what is the person's own.
	linkStep
	titleStep
	preheaderStep
	leaveStep
	preferencesStep
	whyStep
	viewStep
	pixelStep
	wholeTextStep // the text part's body, filled and encoded as one
)

// branch is one way through an {% if %}.
type branch struct {
	when *condition // nil: else
	then program
}

// compiler reads the engine's tree of one part.
type compiler struct {
	assigned map[string]bool // the variables that the template sets
	slots    map[string]int  // their numbers, from 1; nil: they are the engine's
	loops    []string        // the variables of the loops round what is read
}

// program gives the steps of a part.
func (p *part) program() program {
	whole := program{{kind: engineStep, node: p.root}}
	root, ok := p.root.(*render.SeqNode)
	if !ok {
		return whole
	}
	c := compiler{assigned: map[string]bool{}, slots: map[string]int{}}
	for _, name := range p.assigned {
		c.assigned[name] = true
		if _, means := nothings[name]; c.slots[name] == 0 && !means && name != "forloop" {
			c.slots[name] = len(c.slots) + 1
		}
	}
	if len(c.slots) <= maxSlots {
		if steps, ok := c.sequence(root.Children, true); ok && !steps.contains(func(s *step) bool { return s.kind == engineStep && c.touches(s.node) }) {
			return steps
		}
	}
	c.slots = nil
	if steps, ok := c.sequence(root.Children, true); ok {
		return steps
	}
	return whole
}

// contains reports whether any step, within others too, is such a one.
func (p program) contains(such func(s *step) bool) bool {
	for i := range p {
		if such(&p[i]) {
			return true
		}
		for _, way := range p[i].branches {
			if way.then.contains(such) {
				return true
			}
		}
	}
	return false
}

// sequence compiles nodes in a row; ok is false when white space control
// reaches from one node into another.
func (c compiler) sequence(nodes []render.Node, root bool) (steps program, ok bool) {
	if !trimsOnlyText(nodes, root) {
		return nil, false
	}
	// what lies between the setting of a variable of the engine's and its last use
	// is one step, for only then does the engine keep it
	first := -1
	if c.slots == nil {
		first = slices.IndexFunc(nodes, c.touches)
	}
	for i := 0; i < len(nodes); i++ {
		if i == first {
			last := i
			for k := i + 1; k < len(nodes); k++ {
				if c.touches(nodes[k]) {
					last = k
				}
			}
			if !trimsOnlyTextBelow(nodes[i : last+1]) {
				return nil, false
			}
			steps, i = append(steps, step{kind: engineStep, node: &render.SeqNode{Children: nodes[i : last+1]}}), last
			continue
		}
		switch n := nodes[i].(type) {
		case *render.TrimNode:
		case *render.TextNode:
			s, _ := trimmed(nodes, i)
			steps = steps.add(s)
		case *render.RawNode:
			var b bytes.Buffer
			if err := render.Render(n, &b, nil, grammar); err != nil {
				return nil, false
			}
			steps = steps.add(b.String())
		case *render.ObjectNode:
			if s := c.object(n); s.kind == textStep {
				steps = steps.add(s.text)
			} else {
				steps = append(steps, s)
			}
		case *render.BlockNode:
			s, ok := c.block(n)
			if !ok {
				return nil, false
			}
			steps = append(steps, s)
		case *render.TagNode:
			if n.Name != stepTag { // that is a loop's own
				steps = append(steps, c.tag(n))
			}
		default:
			steps = append(steps, step{kind: engineStep, node: n})
		}
	}
	return steps, true
}

// touches reports whether a node sets or uses a variable that the template sets.
func (c compiler) touches(n render.Node) bool {
	switch n := n.(type) {
	case *render.ObjectNode:
		return c.names(n.Args)
	case *render.TagNode:
		return c.names(n.Args)
	case *render.SeqNode:
		return slices.ContainsFunc(n.Children, c.touches)
	case *render.BlockNode:
		within := func(b *render.BlockNode) bool { return c.names(b.Args) || slices.ContainsFunc(b.Body, c.touches) }
		return within(n) || slices.ContainsFunc(n.Clauses, within)
	}
	return false
}

// names reports whether an expression names such a variable.
func (c compiler) names(expression string) bool {
	for i := 0; len(c.assigned) > 0 && i < len(expression); i++ {
		if name := identifier(expression[i:]); name != "" {
			if c.assigned[name] {
				return true
			}
			i += len(name) - 1
		}
	}
	return false
}

// add appends a text, to the one before when there is one.
func (p program) add(s string) program {
	if s == "" {
		return p
	}
	if n := len(p); n > 0 && p[n-1].kind == textStep {
		p[n-1].text += s
		return p
	}
	return append(p, step{kind: textStep, text: s})
}

func (c compiler) object(n *render.ObjectNode) step {
	o := c.output(n.Args)
	if o == nil {
		return step{kind: engineStep, node: n}
	}
	if s, ok := o.value.literal.(string); ok && len(o.calls) == 0 && o.place == plainOut {
		return step{kind: textStep, text: s}
	}
	return step{kind: outputStep, output: o}
}

// tag compiles an {% assign %} of a plain value.
func (c compiler) tag(n *render.TagNode) step {
	if name := assignRE.FindStringSubmatch(n.Args); n.Name == "assign" && name != nil && c.slots[name[1]] > 0 {
		e := expression{c, n.Args[len(name[0]):]}
		if o := e.chain(); o != nil {
			return step{kind: assignStep, n: c.slots[name[1]], output: o}
		}
	}
	return step{kind: engineStep, node: n}
}

var assignRE = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_-]*)[ \t\n]*=`)

func (c compiler) block(n *render.BlockNode) (step, bool) {
	compile := c.branches
	if n.Name == "for" {
		compile = c.loop
	}
	if s, ok := compile(n); ok {
		return s, true
	}
	return step{kind: engineStep, node: n}, trimsOnlyTextBelow([]render.Node{n})
}

// branches compiles an {% if %} or {% unless %} whose conditions are plain.
func (c compiler) branches(n *render.BlockNode) (s step, ok bool) {
	if n.Name != "if" && n.Name != "unless" {
		return s, false
	}
	s.kind = branchStep
	for _, b := range append([]*render.BlockNode{n}, n.Clauses...) {
		var way branch
		if b.Name != "else" {
			if way.when = c.condition(b.Args, b.Name == "unless"); way.when == nil {
				return s, false
			}
		}
		if way.then, ok = c.sequence(b.Body, false); !ok {
			return s, false
		}
		s.branches = append(s.branches, way)
	}
	return s, true
}

// White space control trims what the engine wrote last and what it writes next.
// Where that is the text beside it, always, it can be done beforehand.

// trimsOnlyText reports whether it is for all of the nodes.
func trimsOnlyText(nodes []render.Node, root bool) bool {
	for i, n := range nodes {
		switch n := n.(type) {
		case *render.TrimNode:
			if n.TrimDirection == parser.Left {
				if !(root && i == 0) && !isText(nodes, i-1) {
					return false
				}
			} else if next := pastSilent(nodes, i+1); !(root && next == len(nodes)) && !isText(nodes, next) {
				return false
			}
		case *render.TextNode:
			if s, both := trimmed(nodes, i); s == "" && both {
				return false
			}
		}
	}
	return true
}

// trimsOnlyTextBelow asks the same of all that the blocks among the nodes hold.
func trimsOnlyTextBelow(nodes []render.Node) bool {
	for _, n := range nodes {
		n, ok := n.(*render.BlockNode)
		if !ok {
			continue
		}
		for _, b := range append([]*render.BlockNode{n}, n.Clauses...) {
			if !trimsOnlyText(b.Body, false) || !trimsOnlyTextBelow(b.Body) {
				return false
			}
		}
	}
	return true
}

// pastSilent is the first node from i on that may write something.
func pastSilent(nodes []render.Node, i int) int {
	for i < len(nodes) {
		tag, ok := nodes[i].(*render.TagNode)
		if !ok || tag.Name != stepTag && tag.Name != markTag && tag.Name != "assign" {
			break
		}
		i++
	}
	return i
}

func isText(nodes []render.Node, i int) bool {
	if i < 0 || i >= len(nodes) {
		return false
	}
	_, ok := nodes[i].(*render.TextNode)
	return ok
}

// trimmed is the text of node i as its neighbours leave it, and whether both
// have trimmed it.
func trimmed(nodes []render.Node, i int) (s string, both bool) {
	s = nodes[i].(*render.TextNode).Source
	left, right := false, false
	before := i - 1
	for before >= 0 && pastSilent(nodes, before) > before {
		before--
	}
	if before >= 0 {
		t, ok := nodes[before].(*render.TrimNode)
		if left = ok && t.TrimDirection == parser.Right; left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
	}
	if i+1 < len(nodes) {
		t, ok := nodes[i+1].(*render.TrimNode)
		if right = ok && t.TrimDirection == parser.Left; right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
	}
	return s, left && right
}
