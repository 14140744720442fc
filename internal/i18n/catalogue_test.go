package i18n

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"assent/templates"
)

const house = "../.." // the checkout

// Every text is there in every language, as text or as plural as in English,
// and asks for the same values.
func TestLanguagesHaveTheSameTexts(t *testing.T) {
	en := texts(t, "en")
	for _, lang := range Languages[1:] {
		other := texts(t, lang)
		for _, key := range slices.Sorted(maps.Keys(en)) {
			if _, ok := other[key]; !ok {
				t.Errorf("%s: %s is missing", lang, key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(other)) {
			a, ok := en[key]
			if !ok {
				t.Errorf("en: %s is missing", key)
				continue
			}
			b := other[key]
			if len(a) != len(b) {
				t.Errorf("%s: %s has the forms %v, in English %v", lang, key, slices.Sorted(maps.Keys(b)), slices.Sorted(maps.Keys(a)))
			}
			if x, y := asks(a), asks(b); !slices.Equal(x, y) {
				t.Errorf("%s: %s asks for %v, in English for %v", lang, key, y, x)
			}
		}
	}
}

// No text is left untranslated: what is written in Persian has Persian letters,
// unless it is a name or a code that has none in English either.
func TestPersianIsPersian(t *testing.T) {
	persian, english := regexp.MustCompile(`\p{Arabic}`), texts(t, "en")
	bare := regexp.MustCompile(`\{\{[^}]*\}\}|[^a-z]`)
	for key, forms := range texts(t, "fa") {
		for form, text := range forms {
			if strings.ContainsAny(text, "يك") {
				t.Errorf("%s has Arabic letters for Persian ones: %q", key, text)
			}
			if !persian.MatchString(text) && bare.ReplaceAllString(english[key][form], "") != "" {
				t.Errorf("%s is not in Persian: %q", key, text)
			}
		}
	}
}

func texts(t *testing.T, lang string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	files, err := fs.Glob(locales, "locales/"+lang+"/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no catalogues for %s: %v", lang, err)
	}
	for _, name := range files {
		raw, err := fs.ReadFile(locales, name)
		if err != nil {
			t.Fatal(err)
		}
		var file map[string]any
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, value := range file {
			all[key] = map[string]string{}
			switch v := value.(type) {
			case string:
				all[key]["other"] = v
			case map[string]any:
				for form, text := range v {
					all[key][form], _ = text.(string)
				}
			}
			for form, text := range all[key] {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s: %s (%s) is empty", name, key, form)
				}
			}
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// asks names the values a text wants, in any of its forms; the count of a
// plural may be a word.
func asks(forms map[string]string) []string {
	wanted := map[string]bool{}
	for _, text := range forms {
		for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
			wanted[m[1]] = true
		}
	}
	if len(forms) > 1 {
		delete(wanted, "Count")
	}
	return slices.Sorted(maps.Keys(wanted))
}

// A key in the source is room.thing, of small letters, digits and hyphens.
var keyShape = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9_-]+)+$`)

// Every key that the program or a page names is in the catalogue, and is named
// as what it is: a plural with N, a text with T.
func TestEveryKeyNamedIsThere(t *testing.T) {
	plural := map[string]bool{}
	for key, forms := range texts(t, "en") {
		plural[key] = len(forms) > 1
	}
	named := append(keysInGo(t), keysInPages(t)...)
	if len(named) < 300 {
		t.Fatalf("only %d keys found: the search is broken", len(named))
	}
	for _, k := range named {
		isPlural, ok := plural[k.key]
		switch {
		case !ok:
			t.Errorf("%s names %s, which no catalogue has", k.at, k.key)
		case isPlural != k.plural:
			t.Errorf("%s names %s as plural: %v; in the catalogue: %v", k.at, k.key, k.plural, isPlural)
		}
	}
}

type use struct {
	key, at string
	plural  bool
}

// keyAt says which argument of a call is a key, by the function's name.
var keyAt = map[string]int{"New": 1, "InvalidField": 1, "Field": 1, "T": 0, "N": 0}

func keysInGo(t *testing.T) (named []use) {
	files := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join(house, "internal"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if key, verb := keyOf(call); key != "" {
				named = append(named, use{key, files.Position(call.Pos()).String(), verb == "N"})
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// keyOf is the literal key that a call names, and the name of the function.
func keyOf(call *ast.CallExpr) (key, verb string) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	i, ok := keyAt[f.Sel.Name]
	if !ok || len(call.Args) <= i {
		return "", ""
	}
	if of, named := f.X.(*ast.Ident); f.Sel.Name == "New" && (!named || of.Name != "problem") {
		return "", ""
	}
	lit, ok := call.Args[i].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil || !keyShape.MatchString(s) {
		return "", ""
	}
	return s, f.Sel.Name
}

var keyInPage = regexp.MustCompile(`[{(\s](t|n)\s+"([^"]+)"`)

func keysInPages(t *testing.T) (named []use) {
	err := fs.WalkDir(templates.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || (!strings.HasSuffix(name, ".html") && !strings.HasSuffix(name, ".txt")) || strings.Contains(name, "vendor") {
			return err
		}
		text, err := fs.ReadFile(templates.FS, name)
		if err != nil {
			return err
		}
		for _, m := range keyInPage.FindAllSubmatch(text, -1) {
			named = append(named, use{string(m[2]), name, string(m[1]) == "n"})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// The search itself sees what is wrong.
func TestKeySearchFinds(t *testing.T) {
	expr, err := parser.ParseExpr(`problem.New(problem.Gone, "a.b").Field("x", "c.d", "N", l.N("e.f", 1))`)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(expr, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if key, _ := keyOf(call); key != "" {
				found = append(found, key)
			}
		}
		return true
	})
	slices.Sort(found)
	if !slices.Equal(found, []string{"a.b", "c.d", "e.f"}) {
		t.Errorf("found %v", found)
	}
	if m := keyInPage.FindStringSubmatch(`{{if .X}}{{t "public.a" "N" (num 1)}}`); m == nil || m[2] != "public.a" {
		t.Errorf("found %v", m)
	}
	if _, err := os.Stat(filepath.Join(house, "go.mod")); err != nil {
		t.Errorf("the checkout is elsewhere: %v", err)
	}
}
