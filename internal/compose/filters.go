package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/liquid/values"
	"github.com/osteele/tuesday"
	yaml "gopkg.in/yaml.v2"
)

// filter is one word after a bar. It never panics on any input, and what it
// makes is bounded by what it is given and by maxValue.
type filter func(r *run, in any, args []any) (any, error)

// filterTable holds every filter there is; a template that names another does
// not compile.
var filterTable = func() map[string]filter {
	t := map[string]filter{
		"default": defaultFilter, "json": func(_ *run, in any, _ []any) (any, error) { return asJSON(in), nil },
		"date": dateFilter, "size": sizeFilter,
		"newline_to_br": func(r *run, in any, _ []any) (any, error) {
			s := show(in)
			if !r.isTrusted(s) && r.escaping {
				s = html.EscapeString(s)
			}
			s = strings.ReplaceAll(s, "\n", "<br />\n")
			r.trust(s)
			return s, nil
		},
		"escape":      trusting(html.EscapeString),
		"escape_once": trusting(func(s string) string { return html.EscapeString(html.UnescapeString(s)) }),
		"slice":       sliceFilter, "truncate": truncateFilter, "truncatewords": truncateWordsFilter,
		"split": splitFilter, "join": joinFilter,
	}
	maps.Copy(t, textFilters)
	maps.Copy(t, numberFilters)
	maps.Copy(t, listFilters)
	for name, f := range outlets {
		t[name] = f.filter
	}
	return t
}()

// onText lifts a function of one string.
func onText(f func(string) string) filter {
	return func(_ *run, in any, _ []any) (any, error) { return f(show(in)), nil }
}

// trusting is onText for what makes HTML of text.
func trusting(f func(string) string) filter {
	return func(r *run, in any, _ []any) (any, error) {
		if in == nil {
			return nil, nil
		}
		s := f(show(in))
		r.trust(s)
		return s, nil
	}
}

// withText lifts a function of a string and its arguments.
func withText(want int, f func(s string, args []string) string) filter {
	return func(_ *run, in any, args []any) (any, error) {
		texts := make([]string, want)
		for i := range texts {
			texts[i] = show(arg(args, i))
		}
		return f(show(in), texts), nil
	}
}

// replacing is withText for filters that can make a long string of a short one.
func replacing(want int, f func(s string, args []string) string) filter {
	return func(r *run, in any, args []any) (any, error) {
		s, old, with := show(in), show(arg(args, 0)), ""
		if want > 1 {
			with = show(arg(args, 1))
		}
		if n := strings.Count(s, old); len(s)+n*len(with) > maxValue {
			return nil, errTooMuch
		}
		return f(s, []string{old, with}), nil
	}
}

var tagsRE = regexp.MustCompile(`(?is)<script.*?</script>|<style.*?</style>|<!--.*?-->|<[^>]*>`)

var textFilters = map[string]filter{
	"upcase":         onText(strings.ToUpper),
	"downcase":       onText(strings.ToLower),
	"capitalize":     onText(capitalize),
	"strip":          onText(strings.TrimSpace),
	"lstrip":         onText(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
	"rstrip":         onText(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),
	"strip_newlines": onText(func(s string) string { return strings.NewReplacer("\r\n", "", "\n", "").Replace(s) }),
	"strip_html":     onText(func(s string) string { return tagsRE.ReplaceAllString(s, "") }),
	"url_encode":     onText(url.QueryEscape),
	"url_decode": func(_ *run, in any, _ []any) (any, error) {
		s, err := url.QueryUnescape(show(in))
		if err != nil {
			return nil, fmt.Errorf("decode a URL: %w", err)
		}
		return clean(s), nil
	},
	"append":        withText(1, func(s string, a []string) string { return s + a[0] }),
	"prepend":       withText(1, func(s string, a []string) string { return a[0] + s }),
	"remove":        withText(1, func(s string, a []string) string { return strings.ReplaceAll(s, a[0], "") }),
	"remove_first":  withText(1, func(s string, a []string) string { return strings.Replace(s, a[0], "", 1) }),
	"remove_last":   withText(1, func(s string, a []string) string { return replaceLast(s, a[0], "") }),
	"replace":       replacing(2, func(s string, a []string) string { return strings.ReplaceAll(s, a[0], a[1]) }),
	"replace_first": withText(2, func(s string, a []string) string { return strings.Replace(s, a[0], a[1], 1) }),
	"replace_last":  withText(2, func(s string, a []string) string { return replaceLast(s, a[0], a[1]) }),
}

func replaceLast(s, old, with string) string {
	at := strings.LastIndex(s, old)
	if at < 0 {
		return s
	}
	return s[:at] + with + s[at+len(old):]
}

func capitalize(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + strings.ToLower(s[n:])
}

func defaultFilter(_ *run, in any, args []any) (any, error) {
	if in == nil || in == false || values.IsEmpty(in) {
		return arg(args, 0), nil
	}
	return in, nil
}

func sizeFilter(_ *run, in any, _ []any) (any, error) {
	switch v := in.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case []any:
		return len(v), nil
	case yaml.MapSlice:
		return len(v), nil
	case values.Range:
		return max(v.Len(), 0), nil
	}
	return 0, nil
}

// dateLayouts are tried in this order.
var dateLayouts = []string{
	time.RFC3339, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04", "2006-01-02", time.RFC1123Z, time.RFC1123, "January 2, 2006", "Jan 2, 2006", "2 January 2006", "2 Jan 2006", time.ANSIC,
}

// dateFilter formats with strftime; "now" and "today" are the mail's own date.
// What is no date comes back as it is.
func dateFilter(r *run, in any, args []any) (any, error) {
	format := show(arg(args, 0))
	if in == nil || format == "" {
		return in, nil
	}
	var when time.Time
	switch v := in.(type) {
	case int:
		when = time.Unix(int64(v), 0).UTC()
	case string:
		var ok bool
		if when, ok = parseDate(v, r.now); !ok {
			return in, nil
		}
	default:
		return in, nil
	}
	s, err := tuesday.Strftime(format, when)
	if err != nil {
		return nil, fmt.Errorf("format a date: %w", err)
	}
	return s, nil
}

func parseDate(s string, now time.Time) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if strings.EqualFold(s, "now") || strings.EqualFold(s, "today") {
		return now, true
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, false
}

func sliceFilter(_ *run, in any, args []any) (any, error) {
	start, err := whole(arg(args, 0))
	if err != nil {
		return nil, err
	}
	n := 1
	if len(args) > 1 {
		if n, err = whole(args[1]); err != nil {
			return nil, err
		}
	}
	if list, ok := in.([]any); ok {
		from, to := span(len(list), start, n)
		return slices.Clone(list[from:to]), nil
	}
	letters := []rune(show(in))
	from, to := span(len(letters), start, n)
	return string(letters[from:to]), nil
}

// span is the part [from, to) of size things that a slice means.
func span(size, start, n int) (from, to int) {
	if start < 0 {
		start += size
	}
	if start < 0 || start >= size || n <= 0 {
		return 0, 0
	}
	return start, start + min(n, size-start)
}

func truncateFilter(_ *run, in any, args []any) (any, error) {
	if in == nil {
		return nil, nil
	}
	n, end, err := limitAndEnd(args, 50)
	if err != nil {
		return nil, err
	}
	letters := []rune(show(in))
	if len(letters) <= n {
		return string(letters), nil
	}
	keep := max(n-utf8.RuneCountInString(end), 0)
	return string(letters[:min(keep, len(letters))]) + end, nil
}

func truncateWordsFilter(_ *run, in any, args []any) (any, error) {
	if in == nil {
		return nil, nil
	}
	n, end, err := limitAndEnd(args, 15)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(show(in))
	if n = max(n, 1); len(words) <= n {
		return show(in), nil
	}
	return strings.Join(words[:n], " ") + end, nil
}

func limitAndEnd(args []any, n int) (int, string, error) {
	end := "..."
	if len(args) > 1 {
		end = show(args[1])
	}
	if len(args) == 0 {
		return n, end, nil
	}
	n, err := whole(args[0])
	return n, end, err
}

func splitFilter(_ *run, in any, args []any) (any, error) {
	s, sep := show(in), show(arg(args, 0))
	var parts []string
	switch {
	case s == "":
	case sep == " ":
		parts = strings.Fields(s)
	default:
		if parts = strings.SplitN(s, sep, maxItems+1); len(parts) > maxItems {
			return nil, errTooMuch
		}
	}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, nil
}

func joinFilter(_ *run, in any, args []any) (any, error) {
	sep := " "
	if len(args) > 0 {
		sep = show(args[0])
	}
	list, err := items(in)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, item := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		if b.WriteString(show(item)); b.Len() > maxValue {
			return nil, errTooMuch
		}
	}
	return b.String(), nil
}

var errDivision = errors.New("divided by 0")

var numberFilters = map[string]filter{
	"plus":     arithmetic(func(a, b int) int { return a + b }, func(a, b float64) float64 { return a + b }),
	"minus":    arithmetic(func(a, b int) int { return a - b }, func(a, b float64) float64 { return a - b }),
	"times":    arithmetic(func(a, b int) int { return a * b }, func(a, b float64) float64 { return a * b }),
	"at_least": arithmetic(func(a, b int) int { return max(a, b) }, math.Max),
	"at_most":  arithmetic(func(a, b int) int { return min(a, b) }, math.Min),
	"divided_by": dividing(func(a, b int) int {
		return int(math.Floor(float64(a) / float64(b)))
	}, func(a, b float64) float64 { return a / b }),
	"modulo": dividing(func(a, b int) int { return ((a % b) + b) % b }, func(a, b float64) float64 { return a - b*math.Floor(a/b) }),
	"abs": func(_ *run, in any, _ []any) (any, error) {
		if n, ok := number(in).(int); ok {
			return max(n, -n), nil
		}
		return math.Abs(float(number(in))), nil
	},
	"ceil":  func(_ *run, in any, _ []any) (any, error) { return toInt(math.Ceil(float(number(in)))), nil },
	"floor": func(_ *run, in any, _ []any) (any, error) { return toInt(math.Floor(float(number(in)))), nil },
	"round": func(_ *run, in any, args []any) (any, error) {
		places, err := whole(arg(args, 0))
		if err != nil {
			return nil, err
		}
		f := float(number(in))
		if places = min(places, 15); places <= 0 {
			return toInt(math.Round(f)), nil
		}
		p := math.Pow10(places)
		return math.Round(f*p) / p, nil
	},
}

func arithmetic(ints func(a, b int) int, floats func(a, b float64) float64) filter {
	return func(_ *run, in any, args []any) (any, error) {
		a, b := number(in), number(arg(args, 0))
		if x, ok := a.(int); ok {
			if y, ok := b.(int); ok {
				return ints(x, y), nil
			}
		}
		return floats(float(a), float(b)), nil
	}
}

func dividing(ints func(a, b int) int, floats func(a, b float64) float64) filter {
	f := arithmetic(ints, floats)
	return func(r *run, in any, args []any) (any, error) {
		if float(number(arg(args, 0))) == 0 {
			return nil, errDivision
		}
		return f(r, in, args)
	}
}

// number reads a value as Liquid does: an int, a float64, or 0.
func number(v any) any {
	switch v := v.(type) {
	case int, float64:
		return v
	case string:
		s := numberRE.FindString(v)
		if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f
		}
	}
	return 0
}

var numberRE = regexp.MustCompile(`^\s*-?\d+(?:\.\d+)?`)

func float(v any) float64 {
	if n, ok := v.(int); ok {
		return float64(n)
	}
	f, _ := v.(float64)
	return f
}

// toInt keeps what no int can hold inside it.
func toInt(f float64) int {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int(f)
}

// whole reads an argument that counts something.
func whole(v any) (int, error) {
	switch n := number(v).(type) {
	case int:
		if s, ok := v.(string); ok && numberRE.FindString(s) == "" {
			return 0, fmt.Errorf("%q is no number", s)
		}
		return n, nil
	case float64:
		return toInt(n), nil
	}
	return 0, nil
}

func arg(args []any, i int) any {
	if i < len(args) {
		return args[i]
	}
	return nil
}

func asJSON(v any) string {
	b, err := json.Marshal(plain(v))
	if err != nil {
		return ""
	}
	return string(b)
}

// plain is v as encoding/json knows it.
func plain(v any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		m := make(map[string]any, len(v))
		for _, item := range v {
			m[fmt.Sprint(item.Key)] = plain(item.Value)
		}
		return m
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case values.Range:
		return show(v)
	}
	return v
}
