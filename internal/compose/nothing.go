package compose

import (
	"regexp"
	"strings"

	"github.com/osteele/liquid/values"
	yaml "gopkg.in/yaml.v2"
)

// nothingIn is what empty and blank stand for in a condition. The engine asks
// the left side of a comparison, so nothingFirst puts it there.
type nothingIn struct{ blank bool }

// nothings are the two of them, by name.
var nothings = map[string]nothingIn{"empty": {}, "blank": {blank: true}}

// Equal reports whether there is nothing in the other value: no character, no
// item; for blank also nil, false and white space.
func (n nothingIn) Equal(other values.Value) bool {
	switch v := other.Interface().(type) {
	case string:
		return v == "" || n.blank && strings.TrimSpace(v) == ""
	case []any:
		return len(v) == 0
	case yaml.MapSlice:
		return len(v) == 0
	case nil:
		return n.blank
	case bool:
		return n.blank && !v
	}
	return false
}

// The rest of values.Value: nothing has no size, no parts and no order.

func (nothingIn) Interface() any                          { return nil }
func (nothingIn) Int() int                                { return 0 }
func (nothingIn) Less(values.Value) bool                  { return false }
func (nothingIn) Contains(values.Value) bool              { return false }
func (nothingIn) IndexValue(values.Value) values.Value    { return values.ValueOf(nil) }
func (nothingIn) PropertyValue(values.Value) values.Value { return values.ValueOf(nil) }
func (nothingIn) Test() bool                              { return false }

var (
	nothingRE = regexp.MustCompile(`([A-Za-z_][\w.-]*|\x00)(\s*(?:==|!=)\s*)(empty|blank)\b`)
	stringRE  = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

// nothingFirst turns "x == empty" round. Quoted strings are taken out of its way.
func nothingFirst(condition string) string {
	if !strings.Contains(condition, "empty") && !strings.Contains(condition, "blank") {
		return condition
	}
	kept := stringRE.FindAllString(condition, -1)
	turned := nothingRE.ReplaceAllString(stringRE.ReplaceAllString(condition, "\x00"), "$3$2$1")
	for _, s := range kept {
		turned = strings.Replace(turned, "\x00", s, 1)
	}
	return turned
}
