package compose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/osteele/liquid/values"
	yaml "gopkg.in/yaml.v2"
)

var listFilters = map[string]filter{
	"first": func(_ *run, in any, _ []any) (any, error) { return end(in, false), nil },
	"last":  func(_ *run, in any, _ []any) (any, error) { return end(in, true), nil },
	"reverse": onList(func(list []any, _ []any) []any {
		list = slices.Clone(list)
		slices.Reverse(list)
		return list
	}),
	"compact": onList(func(list []any, args []any) []any {
		return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return key(v, args) == nil })
	}),
	"map": onList(func(list []any, args []any) []any {
		out := make([]any, len(list))
		for i, v := range list {
			out[i] = property(v, show(arg(args, 0)))
		}
		return out
	}),
	"where": onList(func(list []any, args []any) []any {
		return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return !matches(v, args) })
	}),
	"reject": onList(func(list []any, args []any) []any {
		return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return matches(v, args) })
	}),
	"uniq": onList(func(list []any, args []any) []any {
		seen := make(map[string]bool, len(list))
		return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
			k := asJSON(key(v, args))
			was := seen[k]
			seen[k] = true
			return was
		})
	}),
	"concat": func(_ *run, in any, args []any) (any, error) {
		a, err := items(in)
		if err != nil {
			return nil, err
		}
		b, err := items(arg(args, 0))
		if err != nil {
			return nil, err
		}
		if len(a)+len(b) > maxItems {
			return nil, errTooMuch
		}
		return slices.Concat(a, b), nil
	},
	"sort": onList(func(list []any, args []any) []any {
		return sorted(list, args, func(s string) string { return s })
	}),
	"sort_natural": onList(func(list []any, args []any) []any { return sorted(list, args, strings.ToLower) }),
	"sum": func(r *run, in any, args []any) (any, error) {
		list, err := items(in)
		if err != nil {
			return nil, err
		}
		var total any = 0
		for _, v := range list {
			if total, err = numberFilters["plus"](r, total, []any{key(v, args)}); err != nil {
				return nil, err
			}
		}
		return total, nil
	},
}

func onList(f func(list, args []any) []any) filter {
	return func(_ *run, in any, args []any) (any, error) {
		list, err := items(in)
		if err != nil {
			return nil, err
		}
		return f(list, args), nil
	}
}

// items is a value as a list: nothing for nil, itself alone for one thing.
func items(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		if len(v) > maxItems {
			return nil, errTooMuch
		}
		return v, nil
	case values.Range:
		if v.Len() > maxRange {
			return nil, errTooMuch
		}
		if v.Len() <= 0 {
			return nil, nil
		}
		return v.AsArray(), nil
	}
	return []any{v}, nil
}

// end is the first or last thing of a list, nil when it has none.
func end(v any, last bool) any {
	list, err := items(v)
	if _, one := v.(string); err != nil || one || len(list) == 0 {
		return nil
	}
	if last {
		return list[len(list)-1]
	}
	return list[0]
}

// property is a field of a map, nil when it has none.
func property(v any, name string) any {
	m, ok := v.(yaml.MapSlice)
	if !ok {
		return nil
	}
	for _, item := range m {
		if item.Key == name {
			return item.Value
		}
	}
	return nil
}

// key is what a filter looks at: the thing itself, or the property it names.
func key(v any, args []any) any {
	if len(args) == 0 {
		return v
	}
	return property(v, show(args[0]))
}

func matches(v any, args []any) bool {
	p := key(v, args)
	if len(args) > 1 {
		return values.Equal(p, args[1])
	}
	return p != nil && p != false
}

// sorted orders numbers by size, all else by its text; nil comes last.
func sorted(list, args []any, fold func(string) string) []any {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y any) int {
		a, b := key(x, args), key(y, args)
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return 1
		case b == nil:
			return -1
		case isNumber(a) && isNumber(b):
			return cmp.Compare(float(a), float(b))
		}
		return strings.Compare(fold(show(a)), fold(show(b)))
	})
	return list
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64:
		return true
	}
	return false
}
