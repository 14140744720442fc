package receipt

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"assent/internal/i18n"
)

// constants are those of the packages that write into the ledger whose names begin
// with a word.
func constants(t *testing.T, begin string) (values []string) {
	t.Helper()
	for _, room := range []string{"consent", "signup", "privacy"} {
		files, err := filepath.Glob("../" + room + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s: %v", room, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, begin) && len(v.Values) == 1 {
					if l, ok := v.Values[0].(*ast.BasicLit); ok && l.Kind == token.STRING {
						s, _ := strconv.Unquote(l.Value)
						values = append(values, s)
					}
				}
				return true
			})
		}
	}
	return values
}

// How an entry of the ledger came about, by whom and on what ground is told in words.
func TestWhatTheLedgerSaysHasWords(t *testing.T) {
	for begin, words := range map[string]struct {
		prefix string
		least  int
	}{"Method": {"public.why.method.", 20}, "Basis": {"public.receipt.basis.", 6}, "Entity": {"public.receipt.by.", 4}} {
		all := constants(t, begin)
		if len(all) < words.least {
			t.Errorf("only %d constants %s…: %v", len(all), begin, all)
		}
		for _, value := range all {
			for _, lang := range []string{"en", "fa"} {
				if !i18n.For(lang).Has(words.prefix + value) {
					t.Errorf("%s: no word for %s%s", lang, words.prefix, value)
				}
			}
		}
	}
}
