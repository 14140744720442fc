package compose

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osteele/liquid/values"
	yaml "gopkg.in/yaml.v2"
)

// outlet is how an output is written in one kind of place: the text of the
// value as the template left it, and whether HTML's own characters are still to
// be escaped in that. It pays for what it reads.
type outlet func(r *run, in any) (s string, escape bool, err error)

// outlets end every output, one for each place. Those of the last two
// lines serve a text that is made of HTML.
var outlets = map[string]outlet{
	plainOut: plainOutlet, htmlOut: htmlOutlet, valueOut: valueOutlet, urlOut: urlOutlet, restOut: restOutlet, cssOut: cssOutlet,
	wordsOut: wordsOutlet, readOut: readOutlet, cellOut: within(" | ", wordsOutlet, ""),
	bareURLOut: bare(urlOutlet), bareRestOut: bare(restOutlet), linkOut: within(" <", urlOutlet, ">"), linkRestOut: within(" <", restOutlet, ">"),
}

// filter is the outlet as the engine calls it: it gives exactly the bytes that
// are written.
func (f outlet) filter(r *run, in any, _ []any) (any, error) {
	s, escape, err := f(r, in)
	if err != nil {
		return nil, err
	}
	if escape {
		s = html.EscapeString(s)
	}
	return s, nil
}

func plainOutlet(r *run, in any) (string, bool, error) {
	s := show(in)
	return s, false, r.spend(len(s))
}

// htmlOutlet serves text and quoted attribute values alike: quotes are escaped
// too. What the template itself made as HTML keeps its tags; its quotes are
// then no danger in text, and in a value they are escaped like the rest.
func htmlOutlet(r *run, in any) (string, bool, error) {
	s := show(in)
	return s, !r.isTrusted(s), r.spend(len(s))
}

func valueOutlet(r *run, in any) (string, bool, error) {
	s := r.untrusted(in)
	return s, true, r.spend(len(s))
}

// urlOutlet serves a URL whose scheme may still be open: one that a mail should
// not follow becomes a fragment that leads nowhere.
func urlOutlet(r *run, in any) (string, bool, error) {
	s := strings.TrimSpace(r.untrusted(in))
	if at := strings.IndexAny(s, ":/?#"); at >= 0 && s[at] == ':' && !isSafeScheme(strings.ToLower(strings.Map(visible, s[:at]))) {
		s = "#"
	}
	return tidyURL(s), true, r.spend(len(s))
}

func restOutlet(r *run, in any) (string, bool, error) {
	s := r.untrusted(in)
	return tidyURL(s), true, r.spend(len(s))
}

// cssOutlet keeps what a colour, a length or a font's name is made of.
func cssOutlet(r *run, in any) (string, bool, error) {
	s := show(in)
	keep := func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c > 0x9f && !isBidi(c):
			return c
		case strings.ContainsRune(" #.,%-_", c):
			return c
		}
		return -1
	}
	return strings.Map(keep, s), false, r.spend(len(s))
}

// wordsOutlet shows a value in a text as HTML does: white space is one space.
func wordsOutlet(r *run, in any) (string, bool, error) {
	s := show(in)
	if err := r.spend(len(s)); err != nil {
		return "", false, err
	}
	if !strings.ContainsAny(s, "\n\t") && !strings.Contains(s, "  ") {
		return s, false, nil
	}
	return spacesRE.ReplaceAllString(s, " "), false, nil
}

// readOutlet shows what the entities in a value mean.
func readOutlet(r *run, in any) (string, bool, error) {
	return wordsOutlet(r, html.UnescapeString(show(in)))
}

var spacesRE = regexp.MustCompile(`[ \t\n]+`)

// bare is the outlet where there is no HTML to escape for.
func bare(f outlet) outlet {
	return func(r *run, in any) (string, bool, error) {
		s, _, err := f(r, in)
		return s, false, err
	}
}

// within is the outlet, without HTML, with something round what it writes.
func within(before string, f outlet, after string) outlet {
	return func(r *run, in any) (string, bool, error) {
		s, _, err := f(r, in)
		if s != "" {
			s = before + s + after
		}
		return s, false, err
	}
}

// untrusted is the value as text, also when the template has made HTML of it.
func (r *run) untrusted(in any) string {
	s := show(in)
	if r.isTrusted(s) {
		return html.UnescapeString(s)
	}
	return s
}

// isSafeScheme tells the schemes that a link in a mail may have.
func isSafeScheme(scheme string) bool {
	return slices.Contains([]string{"https", "http", "mailto", "tel", "sms", "cid"}, scheme)
}

// tidyURL percent-encodes the characters that RFC 3986 has no place for; what
// is encoded already stays.
func tidyURL(s string) string {
	at := 0
	for at < len(s) && isURLByte(s[at]) {
		at++
	}
	if at == len(s) {
		return s
	}
	b := []byte(s[:at])
	for ; at < len(s); at++ {
		if c := s[at]; isURLByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

const upperHex = "0123456789ABCDEF"

func isURLByte(c byte) bool {
	return c > 0x20 && c < 0x7f && strings.IndexByte("\"'<>\\^`{|}", c) < 0
}

func visible(c rune) rune {
	if c <= ' ' {
		return -1
	}
	return c
}

// show writes a value as Liquid does: nothing for nil, 1.0 for a whole float,
// a list as its items run together.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return showFloat(v)
	case []any:
		var b strings.Builder
		for _, item := range v {
			if b.Len() > maxValue {
				break
			}
			b.WriteString(show(item))
		}
		return b.String()
	case values.Range:
		if v.Len() <= 0 {
			return ""
		}
		return fmt.Sprintf("%d..%d", v.Index(0), v.Index(v.Len()-1))
	case yaml.MapSlice, map[string]any:
		return asJSON(v)
	case time.Time:
		return v.Format("2006-01-02 15:04:05 -0700")
	}
	return ""
}

func showFloat(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return ""
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.ContainsRune(s, '.') {
		s += ".0"
	}
	return s
}

// fence copies the data so that a template finds only what it is meant to:
// strings without control characters, numbers, booleans, lists and maps. Maps
// below the top keep the order of their keys, so that a loop over one is the
// same every time. A struct, a pointer or a function is not there.
func fence(v map[string]any) map[string]any {
	out := make(map[string]any, len(v)+2)
	for k, item := range v {
		out[k] = fenced(item, 0)
	}
	return out
}

// maxDepth is how many maps and lists may lie within one another.
const maxDepth = 8

func fenced(v any, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case string:
		return clean(v)
	case bool, int:
		return v
	case int64:
		return int(v)
	case int32:
		return int(v)
	case uint32:
		return int(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v) // JSON knows one kind of number
		}
		return v
	case time.Time:
		return v.Format(time.RFC3339)
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = clean(s)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = fenced(item, depth+1)
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = fenced(item, depth+1)
		}
		return out
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		out := make(yaml.MapSlice, 0, len(v))
		for _, k := range keys {
			out = append(out, yaml.MapItem{Key: k, Value: fenced(v[k], depth+1)})
		}
		return out
	}
	return nil
}
