package subscriber

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"assent/internal/problem"
)

const (
	nameMax       = 120
	attributesMax = 100  // attributes a person may have
	valueMax      = 1000 // characters of one
)

var attributeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// check tidies s and reports everything that is wrong with it at once.
func (s *Subscriber) check() error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if !utf8.ValidString(s.Name) {
		p.Field("name", "problem.field.utf8")
	} else {
		s.Name = strings.TrimSpace(norm.NFC.String(s.Name))
		if utf8.RuneCountInString(s.Name) > nameMax {
			p.Field("name", "problem.field.too-long", "Max", nameMax)
		}
		if strings.ContainsFunc(s.Name, breaks) {
			p.Field("name", "problem.field.line-break")
		}
	}
	if s.TimeZone != "" {
		if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
			p.Field("time_zone", "subscriber.time-zone")
		}
	}
	if len(s.Attributes) > attributesMax {
		p.Field("attributes", "subscriber.attributes.many", "Max", attributesMax)
		return p
	}
	for name, v := range s.Attributes {
		checkAttribute(p, name, v)
	}
	return p.OrNil()
}

func checkAttribute(p *problem.Error, name string, v any) {
	field := "attributes/" + name
	if !attributeName.MatchString(name) {
		p.Field("attributes", "subscriber.attribute.name")
		return
	}
	switch x := v.(type) {
	case bool:
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			p.Field(field, "problem.field.type")
		}
	case int, int64, int32:
	case string:
		switch {
		case !utf8.ValidString(x):
			p.Field(field, "problem.field.utf8")
		case utf8.RuneCountInString(x) > valueMax:
			p.Field(field, "problem.field.too-long", "Max", valueMax)
		case strings.ContainsRune(x, 0):
			p.Field(field, "subscriber.attribute.nul")
		}
	default:
		p.Field(field, "problem.field.type")
	}
}

// breaks tells control characters and Unicode's own line ends: a name goes into headers.
func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

func merge(old, change map[string]any) (merged map[string]any, changed bool) {
	merged = maps.Clone(old)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, v := range change {
		was, had := merged[name]
		if v == nil {
			delete(merged, name)
			changed = changed || had
			continue
		}
		if !had || !reflect.DeepEqual(was, number(v)) {
			merged[name], changed = number(v), true
		}
	}
	return merged, changed
}

// number makes whole numbers what they are when they come back from JSON.
func number(v any) any {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case int32:
		return float64(n)
	}
	return v
}

func encode(attributes map[string]any) (string, error) {
	text, err := json.Marshal(attributes)
	if err != nil {
		return "", fmt.Errorf("encode attributes: %w", err)
	}
	return string(text), nil
}
