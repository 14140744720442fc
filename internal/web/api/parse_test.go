package api

import (
	"strings"
	"testing"
	"unicode/utf8"

	"assent/internal/problem"
)

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer ak_x": "ak_x", "bearer ak_x": "ak_x", "BEARER ak_x": "ak_x",
		"": "", "Bearer": "", "Bearer ": "", "Basic ak_x": "", "Bearer a b": "", "Bearer  ak_x": "", "Bearer ak_x,Bearer y": "", "ak_x": "",
	} {
		got, err := bearer(header)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v", header, got, err)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	for header, want := range map[string]string{
		"a": "a", `"a"`: "a", "order-10293/1": "order-10293/1", strings.Repeat("k", 255): strings.Repeat("k", 255),
		"": "", `""`: "", "a b": "", "a\x00": "", "آ": "", `a"b`: "", `"`: "", strings.Repeat("k", 256): "",
	} {
		if got, ok := idempotencyKey([]string{header}); got != want || ok != (want != "") {
			t.Errorf("%q gives %q, %v", header, got, ok)
		}
	}
	if _, ok := idempotencyKey([]string{"a", "b"}); ok {
		t.Error("two keys are taken for one")
	}
}

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer ak_x", "", "Bearer", "bearer \x00", "Bearer\tak_x", "Basic x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := bearer(header)
		if err != nil {
			if token != "" || !problem.Is(err, problem.Unauthorized) {
				t.Errorf("%q: %q, %v", header, token, err)
			}
			return
		}
		if !strings.HasSuffix(header, " "+token) || strings.ContainsAny(token, " \t,") || len(header) != len("Bearer ")+len(token) {
			t.Errorf("%q gives %q", header, token)
		}
	})
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{"a", `"a"`, "", "a\r\nb", `"a\"b"`, "é", strings.Repeat("k", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, ok := idempotencyKey([]string{header})
		if !ok {
			return
		}
		if key == "" || len(key) > idempotencyMax || !utf8.ValidString(key) || strings.ContainsAny(key, "\x00\r\n \"\\") {
			t.Errorf("%q gives the key %q", header, key)
		}
		if again, ok := idempotencyKey([]string{`"` + key + `"`}); !ok || again != key {
			t.Errorf("%q in quotes is another key: %q", key, again)
		}
	})
}

func FuzzCursors(f *testing.F) {
	for _, s := range []string{"", "AZ3p0000cACAAAAAAAAAAQ", "AAYAAAAAAAABncfT7QAAcACAAAAAAAAAAQ", "!", "AA==", "________________________________"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if id, err := readID(cursor); err == nil && cursor != "" && idCursor(id) != cursor {
			t.Errorf("%q is read as %s", cursor, id)
		}
		if at, id, err := readTime(cursor); err == nil && (timeCursor(at, id) != cursor || at.Year() > 9999) {
			t.Errorf("%q is read as %s %s", cursor, at, id)
		}
	})
}

func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":"\u0000"}`, `{"a":"\\u0000"}`, "{\"a\":\"\xff\"}", `[1,2`, `{"\u0000":1}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if strictJSON.Unmarshal(data, &v) == nil && holds(v, "\x00") {
			t.Errorf("%q lets the null character in", data)
		}
	})
}

func holds(v any, s string) bool {
	switch x := v.(type) {
	case string:
		return strings.Contains(x, s)
	case []any:
		for _, e := range x {
			if holds(e, s) {
				return true
			}
		}
	case map[string]any:
		for k, e := range x {
			if strings.Contains(k, s) || holds(e, s) {
				return true
			}
		}
	}
	return false
}
