package provider

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"assent/configs"
)

// Load reads the program's table, and over it the file at path, if any is
// given. An error is one line that names the file, the line and the field.
func Load(path string) (*Table, error) {
	d := draft{rows: map[string]row{}, suffixes: map[string]string{}}
	if err := d.read("providers.yaml", configs.Providers); err != nil {
		return nil, err
	}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the table of providers: %w", err)
		}
		if err := d.read(path, text); err != nil {
			return nil, err
		}
	}
	return d.table(), nil
}

// row is a line of the table while it may still be changed: nil inherits.
type row struct {
	each          *bool
	connections   *int
	perConnection *int
	perSecond     *float64
	idle          *time.Duration
	tls           *TLS
}

// over gives r with what is set in other.
func (r row) over(other row) row {
	return row{
		pick(other.each, r.each), pick(other.connections, r.connections), pick(other.perConnection, r.perConnection),
		pick(other.perSecond, r.perSecond), pick(other.idle, r.idle), pick(other.tls, r.tls),
	}
}

func pick[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}

func (r row) limits() Limits {
	return Limits{*r.connections, *r.perConnection, *r.perSecond, *r.idle, *r.tls}
}

// draft is the table while it is read.
type draft struct {
	standard row
	rows     map[string]row
	suffixes map[string]string
	rules    []Rule
	warmUp   WarmUp
}

func (d *draft) table() *Table {
	t := &Table{Default: d.standard.limits(), WarmUp: d.warmUp, groups: map[string]Provider{}, suffixes: maps.Clone(d.suffixes), rules: d.rules}
	for group, r := range d.rows {
		t.groups[group] = Provider{Group: group, Each: r.each != nil && *r.each, Limits: d.standard.over(r).limits()}
	}
	return t
}

// fault is what is wrong at a place of a file.
type fault struct {
	line int
	said string
}

func (f *fault) Error() string { return fmt.Sprintf("%d: %s", f.line, f.said) }

func wrong(n *yaml.Node, format string, args ...any) error {
	return &fault{n.Line, fmt.Sprintf(format, args...)}
}

func (d *draft) read(file string, text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		said, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
		return fmt.Errorf("%s is not YAML: %s", file, said)
	}
	if len(doc.Content) == 0 { // nothing but comments
		return nil
	}
	err := fields(doc.Content[0], "the file", map[string]field{
		"default":   func(n *yaml.Node) error { return d.readDefault(n) },
		"providers": func(n *yaml.Node) error { return list(n, "providers", d.readProvider) },
		"replies":   func(n *yaml.Node) error { return d.readReplies(n) },
		"warm_up":   func(n *yaml.Node) error { return d.readWarmUp(n) },
	})
	if err != nil {
		return fmt.Errorf("%s:%w", file, err)
	}
	return nil
}

func (d *draft) readDefault(n *yaml.Node) error {
	var r row
	known := r.fields()
	delete(known, "each")
	if err := fields(n, "default", known); err != nil {
		return err
	}
	d.standard = d.standard.over(r)
	return nil
}

// readProvider takes a row in. Its MX names say which groups it changes, unless
// it names its group: then they move there, and bring along what held for them.
func (d *draft) readProvider(n *yaml.Node) error {
	var r row
	var group string
	var mx []string
	known := r.fields()
	known["group"] = func(n *yaml.Node) error { return text(n, "group", &group) }
	known["mx"] = func(n *yaml.Node) error {
		return list(n, "mx", func(n *yaml.Node) error { return suffix(n, &mx) })
	}
	if err := fields(n, "a provider", known); err != nil {
		return err
	}
	changed, from := map[string]bool{}, ""
	for _, name := range mx {
		from = first(from, d.suffixes[name])
	}
	if _, there := d.rows[group]; there {
		changed[group] = true
	} else if len(mx) == 0 {
		return wrong(n, "the provider names no mx, and its group %q is none of ours", group)
	}
	for _, name := range mx {
		now := first(group, d.suffixes[name], name)
		if _, there := d.rows[now]; !there && group != "" {
			d.rows[now] = d.rows[from]
		}
		d.suffixes[name], changed[now] = now, true
	}
	for g := range changed {
		d.rows[g] = d.rows[g].over(r)
	}
	return nil
}

// first is the first word that is not empty.
func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// suffix is the name of an MX host, or the end of some, in whole labels.
func suffix(n *yaml.Node, mx *[]string) error {
	var name string
	if err := text(n, "mx", &name); err != nil {
		return err
	}
	name = strings.ToLower(strings.Trim(name, "."))
	if !hostForm.MatchString(name) {
		return wrong(n, "mx has %q, which is no name of a host", n.Value)
	}
	*mx = append(*mx, name)
	return nil
}

var hostForm = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (r *row) fields() map[string]field {
	return map[string]field{
		"each": func(n *yaml.Node) error { r.each = new(bool); return yes(n, "each", r.each) },
		"connections": func(n *yaml.Node) error {
			r.connections = new(int)
			return whole(n, "connections", 10_000, r.connections)
		},
		"messages_per_connection": func(n *yaml.Node) error {
			r.perConnection = new(int)
			return whole(n, "messages_per_connection", 1_000_000, r.perConnection)
		},
		"messages_per_second": func(n *yaml.Node) error {
			r.perSecond = new(float64)
			return number(n, "messages_per_second", 0, r.perSecond)
		},
		"idle": func(n *yaml.Node) error { r.idle = new(time.Duration); return duration(n, "idle", r.idle) },
		"tls": func(n *yaml.Node) error {
			r.tls = new(TLS)
			return oneOf(n, "tls", r.tls, Required, Opportunistic)
		},
	}
}

// readReplies puts the rules of this file before those that are there.
func (d *draft) readReplies(n *yaml.Node) error {
	var rules []Rule
	err := list(n, "replies", func(n *yaml.Node) error {
		r, err := d.readRule(n)
		rules = append(rules, r)
		return err
	})
	d.rules = append(rules, d.rules...)
	return err
}

func (d *draft) readRule(n *yaml.Node) (Rule, error) {
	r := Rule{Times: 1}
	var effects []Effect
	does := func(e Effect) { effects = append(effects, e) }
	flag := func(name string, e Effect) field {
		return func(n *yaml.Node) error {
			on := false
			if err := yes(n, name, &on); err != nil || !on {
				return err
			}
			does(e)
			return nil
		}
	}
	var length time.Duration
	err := fields(n, "a reply", map[string]field{
		"fits":     func(n *yaml.Node) error { return pattern(n, "fits", &r.fits) },
		"group":    func(n *yaml.Node) error { return d.ofOurs(n, &r.Group) },
		"times":    func(n *yaml.Node) error { return whole(n, "times", 10_000, &r.Times) },
		"concerns": func(n *yaml.Node) error { return concerns(n, &r.Sender) },
		"ignore":   flag("ignore", Ignore),
		"halve":    flag("halve", Halve),
		"pause":    func(n *yaml.Node) error { does(Pause); return duration(n, "pause", &r.For) },
		"messages_per_minute": func(n *yaml.Node) error {
			does(Slow)
			return number(n, "messages_per_minute", 0.01, &r.PerMinute)
		},
		"for": func(n *yaml.Node) error { return duration(n, "for", &length) },
	})
	switch {
	case err != nil:
		return r, err
	case r.fits == nil:
		return r, wrong(n, "a reply says not what it fits")
	case len(effects) != 1:
		return r, wrong(n, "a reply needs one of ignore, pause, messages_per_minute and halve")
	case (effects[0] == Slow) != (length > 0):
		return r, wrong(n, "messages_per_minute and for belong together")
	}
	r.Effect, r.For = effects[0], r.For+length
	return r, nil
}

// ofOurs is the name of a group that the table has.
func (d *draft) ofOurs(n *yaml.Node, group *string) error {
	if err := text(n, "group", group); err != nil {
		return err
	}
	if _, there := d.rows[*group]; !there {
		return wrong(n, "group %q is none of the providers above", *group)
	}
	return nil
}

func concerns(n *yaml.Node, sender *bool) error {
	var whom string
	if err := oneOf(n, "concerns", &whom, "sender", "address"); err != nil {
		return err
	}
	*sender = whom == "sender"
	return nil
}

func (d *draft) readWarmUp(n *yaml.Node) error {
	var w WarmUp
	err := fields(n, "warm_up", map[string]field{
		"idle": func(n *yaml.Node) error { return duration(n, "idle", &w.Idle) },
		"per_hour": func(n *yaml.Node) error {
			return list(n, "per_hour", func(n *yaml.Node) error {
				w.PerHour = append(w.PerHour, 0)
				return whole(n, "per_hour", 1<<31-1, &w.PerHour[len(w.PerHour)-1])
			})
		},
	})
	if err == nil && (w.Idle == 0 || len(w.PerHour) == 0) {
		err = wrong(n, "warm_up needs both idle and per_hour")
	}
	d.warmUp = w
	return err
}

// field reads the value of one.
type field func(n *yaml.Node) error

// fields reads a mapping whose names are known, each at most once.
func fields(n *yaml.Node, what string, known map[string]field) error {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return wrong(n, "%s is no list of name: value", what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		read, ok := known[name]
		if !ok {
			return wrong(n.Content[i], "%q is no field of %s; they are %s", name, what, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if seen[name] {
			return wrong(n.Content[i], "%s is given twice", name)
		}
		seen[name] = true
		if err := read(target(n.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

func list(n *yaml.Node, what string, each func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return wrong(n, "%s is no list", what)
	}
	for _, one := range n.Content {
		if err := each(target(one)); err != nil {
			return err
		}
	}
	return nil
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func text(n *yaml.Node, name string, to *string) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return wrong(n, "%s needs a text", name)
	}
	*to = n.Value
	return nil
}

func yes(n *yaml.Node, name string, to *bool) error {
	if n.Decode(to) != nil {
		return wrong(n, "%s is %q: give true or false", name, n.Value)
	}
	return nil
}

func whole(n *yaml.Node, name string, most int, to *int) error {
	v, err := strconv.Atoi(n.Value)
	if err != nil || v < 1 || v > most {
		return wrong(n, "%s is %q: give a whole number from 1 to %d", name, n.Value, most)
	}
	*to = v
	return nil
}

// mostPerTime keeps rates where counting with them is exact.
const mostPerTime = 1_000_000

func number(n *yaml.Node, name string, least float64, to *float64) error {
	v, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !(v >= least && v <= mostPerTime) { // so written, NaN is refused too
		return wrong(n, "%s is %q: give a number from %v to %d", name, n.Value, least, mostPerTime)
	}
	*to = v
	return nil
}

func duration(n *yaml.Node, name string, to *time.Duration) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < time.Second || v > 365*24*time.Hour {
		return wrong(n, "%s is %q: give a time with its unit, such as 90s, 30m or 2h", name, n.Value)
	}
	*to = v
	return nil
}

func oneOf[T ~string](n *yaml.Node, name string, to *T, choices ...T) error {
	if v := T(n.Value); slices.Contains(choices, v) {
		*to = v
		return nil
	}
	return wrong(n, "%s is %q: give one of %v", name, n.Value, choices)
}

func pattern(n *yaml.Node, name string, to **regexp.Regexp) error {
	r, err := regexp.Compile(n.Value)
	if err != nil || n.Value == "" {
		return wrong(n, "%s is no regular expression: %q", name, n.Value)
	}
	*to = r
	return nil
}
