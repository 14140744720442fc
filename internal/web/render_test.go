package web

import (
	"bytes"
	"html/template"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"assent/internal/i18n"
	"assent/templates"
)

func site(pages map[string]string) fstest.MapFS {
	files := fstest.MapFS{
		"pages/_mark.html":    {Data: []byte(`{{define "mark"}}*{{end}}`)},
		"pages/a/layout.html": {Data: []byte(`{{define "layout"}}<html lang="{{lang}}" dir="{{dir}}">{{template "mark"}}{{template "main" .}}</html>{{end}}`)},
	}
	for name, text := range pages {
		files["pages/a/"+name+".html"] = &fstest.MapFile{Data: []byte(`{{define "main"}}` + text + `{{end}}`)}
	}
	return files
}

func drawn(t *testing.T, lang, text string, data any) (string, error) {
	t.Helper()
	r, err := NewRenderer(site(map[string]string{"p": text}))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	err = r.Render(&b, "a/p", i18n.For(lang), data)
	if err != nil && b.Len() > 0 {
		t.Errorf("half a page was written: %q", &b)
	}
	return b.String(), err
}

func TestRenderSpeaksTheLanguage(t *testing.T) {
	for lang, want := range map[string]string{
		"en": `<html lang="en" dir="ltr">*48,210 1405 There is nothing here.</html>`,
		"fa": `<html lang="fa" dir="rtl">*۴۸٬۲۱۰ ۱۴۰۵ اینجا چیزی نیست.</html>`,
	} {
		got, err := drawn(t, lang, `{{num .}} {{digits "1405"}} {{t "problem.not-found"}}`, 48210)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", lang, got, err, want)
		}
	}
}

// Values are escaped, alone and inside a sentence, with and without a mark
// around another value of it; nobody can smuggle in the stand-in for one.
func TestRenderEscapes(t *testing.T) {
	evil := "<script>alert(1)</script>\uE0001\uE001"
	for _, text := range []string{
		`{{.}}`,
		`{{ltr .}}{{auto .}}{{strong .}}`,
		`{{t "public.confirm.title-name" "Name" .}}`,
		`{{t "public.confirm.title-name" "Name" (auto .)}}`,
		`{{t "public.confirm.asked-page" "At" . "Page" (ltr .) "Email" .}}`,
		`<a href="{{.}}" title="{{t "public.confirm.title-name" "Name" .}}">x</a>`,
	} {
		got, err := drawn(t, "en", text, evil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if strings.Contains(got, "<script") {
			t.Errorf("%s lets marks through: %s", text, got)
		}
		if n := strings.Count(got, "<bdi"); n != strings.Count(got, "</bdi>") || strings.Count(text, "asked-page")*n > 1 {
			t.Errorf("%s: the marks are out of step: %s", text, got)
		}
	}
}

func TestMarksStandInsideTheSentence(t *testing.T) {
	got, err := sentence([]any{"Email", template.HTML("<bdi>a&amp;b</bdi>"), "N", 1200}, func(a []any) string {
		return i18n.For("fa").T("problem.field.too-long", "Max", a[3]) + " <" + a[1].(string) + ">"
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := got.(template.HTML); !ok || !strings.HasSuffix(string(s), "&lt;<bdi>a&amp;b</bdi>&gt;") || !strings.Contains(string(s), "۱٬۲۰۰") {
		t.Errorf("got %q", got)
	}
}

func TestRenderFailsWhole(t *testing.T) {
	for text, data := range map[string]any{
		`before {{.Missing}}`:                  struct{}{},
		`before {{asset "no-such-file.css"}}`:  nil,
		`before {{t "problem.invalid" "odd"}}`: nil,
		`before {{num .}}`:                     "12",
		`before {{n "x" 1.5}}`:                 nil,
		`before {{index . "k"}}{{.k}}`:         map[string]string{"j": ""},
	} {
		if got, err := drawn(t, "en", text, data); err == nil {
			t.Errorf("%s drew %q", text, got)
		}
	}
	r, err := NewRenderer(templates.FS)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Render(&bytes.Buffer{}, "public/no-such-page", i18n.For("en"), nil); err == nil {
		t.Error("a page that is not there was drawn")
	}
}

func TestNewRendererRefusesBrokenPages(t *testing.T) {
	for name, text := range map[string]string{
		"unclosed": `{{if .}}`, "unknown function": `{{safe .}}`, "unescaped": `{{html_ .}}`,
	} {
		if _, err := NewRenderer(site(map[string]string{"p": text})); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	lost := site(map[string]string{"p": `x`})
	delete(lost, "pages/a/layout.html")
	if _, err := NewRenderer(lost); err == nil {
		t.Error("pages without a layout: parsed")
	}
	if _, err := NewRenderer(fstest.MapFS{}); err == nil {
		t.Error("no pages at all: parsed")
	}
}

// What the strict policy of the pages forbids must not be in them.
func TestPagesKeepToThePolicy(t *testing.T) {
	for _, pattern := range []string{"pages/*.html", "pages/*/*.html"} {
		names, err := fs.Glob(templates.FS, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		for _, name := range names {
			text, err := templates.FS.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"<style", " style=", " onclick=", " onload=", " onsubmit=", "javascript:", "http://", "https://"} {
				if bytes.Contains(bytes.ToLower(text), []byte(bad)) {
					t.Errorf("%s has %q", name, bad)
				}
			}
			if n := bytes.Count(text, []byte("<script")); n != bytes.Count(text, []byte("<script src=")) {
				t.Errorf("%s has a script of its own", name)
			}
		}
	}
}

func BenchmarkRender(b *testing.B) {
	r, err := NewRenderer(templates.FS)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	view := struct {
		Brand, Website, Address, Privacy, Email string
		Languages                               []struct{}
	}{Brand: "Baharan", Email: "sara@example.org"}
	for b.Loop() {
		out.Reset()
		if err := r.Render(&out, "public/notme-done", i18n.For("fa"), view); err != nil {
			b.Fatal(err)
		}
	}
}
