package i18n_test

import (
	"slices"
	"testing"

	"assent/internal/i18n"
)

func TestSortIsThatOfTheAlphabet(t *testing.T) {
	for _, c := range []struct {
		lang string
		want []string
	}{
		{"en", []string{"ana", "Åsa", "Bo", "Émile", "Eva", "zoe", "Zoe 2"}},
		// by code point پ, چ, ژ, گ and ی come last, and ک of another keyboard after them
		{"fa", []string{"بهار", "پریا", "تارا", "جواد", "چنگیز", "زهرا", "ژاله", "سارا", "کاوه", "گلی", "لادن", "می‌خک", "میخک‌ها", "یاس"}},
	} {
		got := slices.Clone(c.want)
		slices.Reverse(got)
		i18n.Sort(c.lang, got, func(s string) string { return s })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q\nwant %q", c.lang, got, c.want)
		}
		if slices.IsSorted(c.want) {
			t.Errorf("%s: bytes sort these as well", c.lang)
		}
	}
}

func TestSortOfAlikeNamesStands(t *testing.T) {
	type person struct {
		name string
		n    int
	}
	all := []person{{"Sara", 1}, {"sara", 2}, {"Sara", 3}}
	i18n.Sort("en", all, func(p person) string { return p.name })
	if want := []person{{"Sara", 1}, {"Sara", 3}, {"sara", 2}}; !slices.Equal(all, want) {
		t.Errorf("%v, not %v", all, want)
	}
}
