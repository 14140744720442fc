package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"assent/internal/i18n"
)

// Renderer draws the pages under templates/pages. A page is named by its path
// there without the ending, "public/form"; it is drawn inside the layout.html of
// its folder, with every file at hand whose name begins with "_", of its folder
// and of the top one. Every file is parsed when the Renderer is made; a page is
// put together of them when it is first drawn, once for each language. It is
// safe for concurrent use.
type Renderer struct {
	pages map[string]map[string]func() (*template.Template, error) // language → page
}

// NewRenderer parses every page of files (as in templates.FS). A page that
// cannot be parsed, or a folder without a layout, is an error.
func NewRenderer(files fs.FS) (*Renderer, error) {
	names, err := pageNames(files)
	if err != nil {
		return nil, err
	}
	parsed := make(map[string]*template.Template) // by file
	r := &Renderer{pages: make(map[string]map[string]func() (*template.Template, error), len(i18n.Languages))}
	for _, lang := range i18n.Languages {
		l := i18n.For(lang)
		r.pages[lang] = make(map[string]func() (*template.Template, error), len(names))
		for _, name := range names {
			parts, err := partsOf(files, name, parsed, l)
			if err != nil {
				return nil, fmt.Errorf("parse the page %s: %w", name, err)
			}
			r.pages[lang][name] = sync.OnceValues(func() (*template.Template, error) { return assemble(name, parts, l) })
		}
	}
	return r, nil
}

// Names lists the pages there are, in no order.
func (r *Renderer) Names() []string {
	var all []string
	for name := range r.pages[i18n.Languages[0]] {
		all = append(all, name)
	}
	return all
}

// Render draws a page in a language. It writes only when the whole page could be
// drawn, so that a fault on the way never leaves half a page behind.
func (r *Renderer) Render(w io.Writer, page string, l *i18n.Localizer, data any) error {
	made := r.pages[l.Lang()][page]
	if made == nil {
		return fmt.Errorf("draw the page %s: there is none", page)
	}
	t, err := made()
	if err != nil {
		return fmt.Errorf("put the page %s together: %w", page, err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", data); err != nil {
		return fmt.Errorf("draw the page %s: %w", page, err)
	}
	_, err = b.WriteTo(w)
	return err
}

func pageNames(files fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(files, "pages", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		if err != nil || d.IsDir() || path.Ext(name) != ".html" || base == "layout.html" || base[0] == '_' {
			return err
		}
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html"))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}
	return names, nil
}

// partsOf are the files of a page in their order, each parsed at most once.
func partsOf(files fs.FS, name string, parsed map[string]*template.Template, l *i18n.Localizer) (parts []*template.Template, err error) {
	folder := path.Join("pages", path.Dir(name))
	var all []string
	for _, pattern := range []string{"pages/_*.html", folder + "/_*.html"} {
		found, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	for _, file := range append(all, folder+"/layout.html", "pages/"+name+".html") {
		if parsed[file] == nil {
			if parsed[file], err = template.New(file).Funcs(functions(l)).ParseFS(files, file); err != nil {
				return nil, err
			}
		}
		parts = append(parts, parsed[file])
	}
	return parts, nil
}

// assemble makes a page of its files. What one file defines, a later one may
// define otherwise.
func assemble(name string, parts []*template.Template, l *i18n.Localizer) (*template.Template, error) {
	page := template.New(name).Funcs(functions(l)).Option("missingkey=error")
	for _, part := range parts {
		for _, t := range part.Templates() {
			if t.Tree == nil {
				continue
			}
			if _, err := page.AddParseTree(t.Name(), t.Tree.Copy()); err != nil {
				return nil, err
			}
		}
	}
	return page, nil
}

// functions are what a page may call. There is none that lets text through
// unescaped: what needs a mark around a value inside a sentence wraps the value
// with ltr, auto or strong, and t escapes all around it.
func functions(l *i18n.Localizer) template.FuncMap {
	return template.FuncMap{
		"t": func(key string, args ...any) (any, error) {
			return sentence(args, func(a []any) string { return l.T(key, a...) })
		},
		"n": func(key string, count any, args ...any) (any, error) {
			n, err := whole(count)
			if err != nil {
				return nil, err
			}
			return sentence(args, func(a []any) string { return l.N(key, n, a...) })
		},
		"date":     l.Date,
		"datetime": l.DateTime,
		"time":     l.Time,
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"num": func(v any) (string, error) {
			n, err := whole(v)
			return l.Number(n), err
		},
		"list":     func(values ...any) []any { return values },
		"pack":     pack,
		"digits":   l.Digits,
		"dir":      l.Dir,
		"lang":     l.Lang,
		"language": l.Language,
		"asset":    assetURL,
		"ltr":      func(s string) template.HTML { return wrap(`<bdi dir="ltr">`, s, `</bdi>`) },
		"auto":     func(s string) template.HTML { return wrap(`<bdi>`, s, `</bdi>`) },
		"strong":   func(s string) template.HTML { return wrap(`<b><bdi>`, s, `</bdi></b>`) },
	}
}

// pack gives a part of a page its values, as name, value pairs. A name that is
// not packed is asked for by index.
func pack(pairs ...any) (map[string]any, error) {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, is := pairs[i].(string)
		if !is || i+1 == len(pairs) {
			return nil, fmt.Errorf("pack wants names and values, not %v", pairs)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

func assetURL(name string) (string, error) {
	if _, ok := assets()[name]; !ok {
		return "", fmt.Errorf("there is no static file %s", name)
	}
	return Asset(name), nil
}

func wrap(before, text, after string) template.HTML {
	return template.HTML(before + template.HTMLEscapeString(text) + after)
}

// sentence fills a text of the catalogue. Where values carry marks of their own
// (template.HTML, which only wrap makes), the text and all other values are
// escaped, and the marked ones put in afterwards: a stand-in of two private
// characters around a number holds their places until then.
func sentence(args []any, fill func([]any) string) (any, error) {
	if len(args)%2 != 0 {
		return nil, fmt.Errorf("a name without a value among %d arguments", len(args))
	}
	var marked []string
	plain := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case template.HTML:
			stand := "\uE000" + strconv.Itoa(i) + "\uE001"
			marked = append(marked, stand, string(v))
			plain[i] = stand
		case string:
			plain[i] = strings.NewReplacer("\uE000", "", "\uE001", "").Replace(v)
		default:
			plain[i] = a
		}
	}
	text := fill(plain)
	if marked == nil {
		return text, nil
	}
	return template.HTML(strings.NewReplacer(marked...).Replace(template.HTMLEscapeString(text))), nil
}

func whole(v any) (int64, error) {
	switch n := v.(type) {
	case int:
		return int64(n), nil
	case int64:
		return n, nil
	case int32:
		return int64(n), nil
	}
	return 0, fmt.Errorf("%T is no whole number", v)
}
