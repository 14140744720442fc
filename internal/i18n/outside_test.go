package i18n

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"assent/templates"
)

// own are the words that are no text of a language: our name, and the names of
// the languages in themselves, which are the same everywhere.
var own = []string{"Assent", "English", "فارسی"}

// told are the attributes that are read out or shown.
var told = []string{"title", "alt", "placeholder", "aria-label", "aria-description", "aria-roledescription", "aria-valuetext", "label", "summary", "data-label", "data-ask", "data-lost"}

// No page and no mail says anything that is not in the catalogue, and so in one
// language only: between its tags, and in what is read out, stand actions alone.
func TestNoPageSpeaksPastTheCatalogue(t *testing.T) {
	seen := 0
	err := fs.WalkDir(templates.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "static/") || !strings.HasSuffix(name, ".html") && !strings.HasSuffix(name, ".txt") {
			return err
		}
		seen++
		text, err := fs.ReadFile(templates.FS, name)
		if err != nil {
			return err
		}
		for _, said := range literals(string(text)) {
			t.Errorf("%s says %q: take it from the catalogue", name, said)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 40 {
		t.Errorf("only %d pages and mails found: the search is broken", seen)
	}
}

var (
	remark = regexp.MustCompile(`(?s)\{\{-?\s*/\*.*?\*/\s*-?\}\}`)
	action = regexp.MustCompile("(?s)\\{\\{(?:\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`|[^}\"`]|\\}[^}])*\\}\\}")
)

// apart stands where an action did, and is no letter.
const apart = "\u2060"

var part = regexp.MustCompile(`(?s)\{\{-?\s*define "([^"]+)"\s*-?\}\}([^<]*?)\{\{-?\s*end\s*-?\}\}(\s*\{\{-?\s*define|\s*$)`)

// fragments leaves out the parts of a template that are no text but a piece of a
// tag, such as the name of a class: they have no tag in them, and are no title.
func fragments(text string) string {
	for {
		at := part.FindStringSubmatchIndex(text)
		if at == nil {
			return text
		}
		body := ""
		if name := text[at[2]:at[3]]; name == "title" {
			body = text[at[4]:at[5]]
		}
		text = text[:at[0]] + body + "<hr>" + text[at[6]:] // the tag keeps what follows from joining
	}
}

// literals are the words of a template that stand in it as they are: its text,
// and that of attributes that are read out.
func literals(text string) (said []string) {
	text = fragments(remark.ReplaceAllString(text, ""))
	text = action.ReplaceAllString(text, " "+apart+" ")
	add := func(s string) {
		for s := range strings.SplitSeq(s, apart) {
			if s = strings.TrimSpace(s); speaks(s) && !slices.Contains(own, strings.Trim(s, " ·.")) {
				said = append(said, s)
			}
		}
	}
	skip := 0 // within what nobody reads
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return said
		case html.TextToken:
			if skip == 0 {
				add(string(z.Text()))
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if tag.Data == "style" || tag.Data == "script" {
				if kind == html.StartTagToken {
					skip++
				} else {
					skip--
				}
			}
			for _, a := range tag.Attr {
				if slices.Contains(told, a.Key) {
					add(a.Val)
				}
			}
		}
	}
}

// speaks reports whether there is a letter in it.
func speaks(s string) bool { return strings.ContainsFunc(html.UnescapeString(s), unicode.IsLetter) }

func TestLiteralsAreFound(t *testing.T) {
	for text, want := range map[string][]string{
		`{{define "title"}}Welcome{{end}}`:                                                             {"Welcome"},
		`{{define "width"}}wide{{end}}{{define "main"}}<p>Hi</p>{{end}}`:                               {"Hi"},
		`{{define "main"}}Hello <b>{{.}}</b>{{end}}`:                                                   {"Hello"},
		`<p>Hello {{.Name}}</p>`:                                                                       {"Hello"},
		`<p>{{t "a.b" "N" "}}"}}</p>{{/* a remark <p>with</p> */}}`:                                    nil,
		"{{define `x`}}<a href=\"/mail\" class=\"btn\">{{.}}</a>{{end}}":                               nil,
		`<input placeholder="Your name" value="{{.}}" name="q">`:                                       {"Your name"},
		`<img alt="{{t "a"}} of us" src="a.png">`:                                                      {"of us"},
		`<style>p { color: red }</style><title>{{.T}} · Assent</title>`:                                nil,
		`<span aria-hidden="true">·</span>&nbsp;&middot; 12`:                                           nil,
		`{{if .A}}<b>سلام</b>{{end}}`:                                                                  {"سلام"},
		`{{with .A}}{{$x := printf "e-%s" .}}<p {{if eq .A "y"}}aria-label="{{.}} now"{{end}}>{{end}}`: {"now"},
	} {
		if got := literals(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestSpokenWordsAreFound(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
		import "a b"
		type page struct { Title string `+"`json:\"a title\"`"+` }
		var bad = errors.New("not for people")
		func f() { d.l.T("a.b", "N", "x y"); tx.Raw("a b c"); x := page{Title: "Good morning"}; c.String(200, "All is well"); y := "سلام بر شما"; z := "one" }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, lit := range spoken(file) {
		got = append(got, lit.Value)
	}
	if !slices.Equal(got, []string{`"Good morning"`, `"All is well"`, `"سلام بر شما"`}) {
		t.Errorf("found %q", got)
	}
}

// No handler speaks past the catalogue either: in the rooms that draw pages, a
// text of several words goes to nobody but the log, the database or a
// developer.
func TestNoHandlerSpeaksPastTheCatalogue(t *testing.T) {
	files := token.NewFileSet()
	seen := 0
	for _, room := range []string{"web", "web/admin", "web/public", "web/admin/help"} {
		names, err := filepath.Glob(filepath.Join(house, "internal", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			seen++
			parsed, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, lit := range spoken(parsed) {
				t.Errorf("%s says %s: take it from the catalogue", files.Position(lit.Pos()), lit.Value)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d files found: the search is broken", seen)
	}
}

// unheard are the calls whose texts no visitor gets, by the function's name.
var unheard = []string{"Errorf", "New", "panic", "Raw", "Run", "Exec", "Where", "Order", "Select", "Joins", "Group", "Having", "Model", "Table",
	"ErrorContext", "WarnContext", "InfoContext", "DebugContext", "Error", "Warn", "Info", "Debug", "Log", "LogAttrs", "MustCompile", "T", "N", "Set", "Add", "SetAttributeString",
	"Fields"} // names of zones and the like, one after the other

// spoken are the literals of a file that read like words for people: two or
// more of them, or a letter of Persian.
func spoken(file *ast.File) (all []*ast.BasicLit) {
	var walk func(n ast.Node, heard bool)
	walk = func(root ast.Node, heard bool) {
		ast.Inspect(root, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				if n.Tag != nil {
					walk(n.Type, heard)
					return false
				}
			case *ast.CallExpr:
				if n != root && heard && slices.Contains(unheard, nameOf(n.Fun)) {
					return false
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING && heard && reads(n.Value) {
					all = append(all, n)
				}
			}
			return true
		})
	}
	walk(file, true)
	return all
}

func nameOf(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

var (
	markup  = regexp.MustCompile(`<[^>]*(?:>|$)|%[a-z]`)
	words   = regexp.MustCompile(`\p{L}{2,}[,:;]? \p{L}+`)
	nothing = regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH) |\b(FROM|AS|WHEN|ORDER BY)\b|; charset=|max-age=|'none'|^<!doctype|^assent |^(?:ink|yes|no|ask) (?:dash|dot)$|^ ?(?:sandbox )?allow-|^Time to answer a request, by route`)
)

func reads(literal string) bool {
	s, err := strconv.Unquote(literal)
	if err != nil {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Arabic, r) }) && words.MatchString(s) {
		return true
	}
	s = strings.TrimSpace(markup.ReplaceAllString(s, ""))
	return words.MatchString(s) && !nothing.MatchString(s)
}
