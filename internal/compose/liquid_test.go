package compose

import (
	"strings"
	"testing"
	"time"

	"assent/internal/i18n"
	"assent/internal/problem"
)

func renderHTML(t testing.TB, source string, values map[string]any) (string, error) {
	t.Helper()
	p, err := compilePart("html", source, htmlPart)
	if err != nil {
		return "", err
	}
	out, err := p.render(&run{now: someDay}, fence(values))
	return replaceMarks(out, p.links, nil), err
}

func TestOutputIsEscapedForItsPlace(t *testing.T) {
	values := map[string]any{
		"x": `<b>"A" & 'B'</b>`, "js": " java\tscript:alert(1)", "web": "https://a.example/?q=1&r=ü b", "path": `a"b<c`,
		"css": "red;background:url(javascript:1)", "frag": ":alert(1)", "nul": "a\x00b\x02c",
	}
	for name, c := range map[string]struct{ source, want string }{
		"text":                      {`<p>{{ x }}</p>`, `<p>&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;</p>`},
		"attribute":                 {`<p title="{{ x }}">`, `<p title="&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;">`},
		"single quotes":             {`<p title='{{ x }}'>`, `<p title='&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;'>`},
		"title":                     {`<title>{{ x }}</title>`, `<title>&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;</title>`},
		"comment":                   {`<!-- {{ '-->' }} -->`, `<!-- --&gt; -->`},
		"conditional comment":       {`<!--[if mso]><a href="{{ js }}">x</a><![endif]-->`, `<!--[if mso]><a href="#">x</a><![endif]-->`},
		"script scheme":             {`<a href="{{ js }}">x</a>`, `<a href="#">x</a>`},
		"script scheme in an image": {`<img src="{{ js }}">`, `<img src="#">`},
		"scheme in two parts":       {`<a href="{{ 'javascript' }}{{ frag }}">x</a>`, `<a href="javascript#">x</a>`},
		"web address":               {`<a href="{{ web }}">x</a>`, `<a href="https://a.example/?q=1&amp;r=%C3%BC%20b">x</a>`},
		"rest of an address":        {`<a href="https://b.example/{{ path }}">x</a>`, `<a href="https://b.example/a%22b%3Cc">x</a>`},
		"colon in the rest":         {`<a href="https://b.example/{{ js | strip }}">x</a>`, `<a href="https://b.example/java%09script:alert(1)">x</a>`},
		"style":                     {`<p style="color:{{ css }}">`, `<p style="color:redbackgroundurljavascript1">`},
		"control characters":        {`{{ nul }}`, `abc`},
		"plain after a branch":      {`<a href="{% if x %}https://b.example/{% else %}{{ js }}{% endif %}{{ js }}">`, `<a href="https://b.example/#">`},
		"captured HTML stays":       {`{% capture c %}<i>{{ x }}</i>{% endcapture %}{{ c }}`, `<i>&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;</i>`},
		"captured HTML in a value":  {`{% capture c %}a&amp;b{% endcapture %}<p title="{{ c }}">`, `<p title="a&amp;b">`},
		"captured then changed":     {`{% capture c %}<i>{% endcapture %}{{ c | append: '!' }}`, `&lt;i&gt;!`},
		"captured compares":         {`{% capture c %}yes{% endcapture %}{% if c == 'yes' %}same{% endif %}`, `same`},
		"escape once":               {`{{ '<' | escape }}`, `&lt;`},
		"line breaks":               {`{{ lines | newline_to_br }}`, ``},
		"unknown variable":          {`[{{ nobody.at.all }}]`, `[]`},
		"raw":                       {`{% raw %}{{ x }}{% endraw %}`, `{{ x }}`},
		"white space control":       {"a {{- 'b' -}} c", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := renderHTML(t, c.source, values)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	got, err := renderHTML(t, `{{ lines | newline_to_br }}`, map[string]any{"lines": "<a>\nb"})
	if err != nil || got != "&lt;a&gt;<br />\nb" {
		t.Errorf("newline_to_br gives %q, %v", got, err)
	}
}

func TestTextAndSubjectAreNotEscaped(t *testing.T) {
	c := mustCompile(t, Content{Subject: "{{ x }}", HTML: "<p>{{ x }}</p>", Text: "{{ x }}"})
	out, err := c.fill(Envelope{Date: someDay}, map[string]any{"x": "A & <B>"})
	if err != nil || out.subject != "A & <B>" || out.text != "A & <B>" || out.html != "<p>A &amp; &lt;B&gt;</p>" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestCompileRefuses(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{ x | nonsense }}": "mail.template.unknown-filter",
		"a\n{{ x | __html }}":   "mail.template.unknown-filter",
		"a\n{{ __x }}":          "mail.template.reserved",
		"a\n{% include 'x' %}":  "mail.template.unknown-tag",
		"a\n{% render 'x' %}":   "mail.template.unknown-tag",
		"a\n{% __step 0 %}":     "mail.template.unknown-tag",
		"a\n{{ x":               "mail.template.unclosed-output",
		"a\n{% if x":            "mail.template.unclosed-tag",
		"a\n{% if x %}":         "mail.template.unclosed-block",
		"a\n{% endif %}":        "mail.template.stray",
		"a\n{% else %}":         "mail.template.stray",
		"a\n{% for i in x %}{% endif %}{% endfor %}": "mail.template.stray",
		"a\n{{ 'x }}":                                                         "mail.template.quote",
		"a\n{{ x == }}":                                                       "mail.template.unreadable",
		"a\n{{ 99999999999999999999 }}":                                       "mail.template.unreadable",
		"a\n{{ (1..2000) | join }}":                                           "mail.template.range",
		"a\n{{ (1..x) | join }}":                                              "mail.template.range",
		"a\n{% for i in (1..99999) %}{% endfor %}":                            "mail.template.range",
		"a\n{% for i in (1..x) | reverse %}{% endfor %}":                      "mail.template.range",
		"a\n{% capture 'x' %}{% endcapture %}":                                "mail.template.capture",
		"a\n<a href={{ x }}>":                                                 "mail.template.in-tag",
		"a\n<{{ x }}>":                                                        "mail.template.in-tag",
		"a\n<p {{ x }}>":                                                      "mail.template.in-tag",
		"a\n<script>{{ x }}</script>":                                         "mail.template.in-script",
		"a\n<p onclick=\"{{ x }}\">":                                          "mail.template.in-script",
		"a\n<a href=\"javascript:x\">":                                        "mail.template.scheme",
		"a\n<a href=\"java&#115;cript&#58;x\">":                               "mail.template.scheme",
		"a\n<a href=\"javascript&#58alert(1)\">":                              "mail.template.scheme",
		"a\n{% if x %}<a title=\"{% endif %}":                                 "mail.template.branches",
		"a\n{% if x %}<p>{% else %}<p title='{% endif %}":                     "mail.template.branches",
		"a\n{% case x %}{% when 1 %}{% else %}<p title='{% endcase %}{{ x }}": "mail.template.branches",
		"a\n{% for i in x %}<p title='{% else %}<p title='{% endfor %}":       "mail.template.branches",
		"a\n" + strings.Repeat("{% if x %}", 40):                              "mail.template.too-deep",
		strings.Repeat("x", maxSource+1):                                      "mail.template.too-long",
	} {
		_, err := Compile(Content{Subject: "s", HTML: source})
		p, ok := problem.Of(err)
		if !ok || p.Kind != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Name != "html" || p.Fields[0].Key != want {
			t.Errorf("%.60q gives %v, want %s", source, err, want)
			continue
		}
		if want != "mail.template.too-long" && want != "mail.template.unreadable" && p.Fields[0].Args[1] != 2 {
			t.Errorf("%.60q is said to be in line %v", source, p.Fields[0].Args[1])
		}
		for _, lang := range i18n.Languages {
			if _, fields := i18n.For(lang).Problem(err); strings.Contains(fields["html"], "mail.template") || strings.Contains(fields["html"], "no value") {
				t.Errorf("%s has no words for %s: %q", lang, want, fields["html"])
			}
		}
	}
}

func TestCompileNamesEveryWrongPart(t *testing.T) {
	_, err := Compile(Content{Subject: "{{ x", HTML: "{{ y | no }}", Text: "{% no %}"})
	p, ok := problem.Of(err)
	if !ok || len(p.Fields) != 3 {
		t.Fatalf("%v", err)
	}
	if _, err := Compile(Content{}); !problem.Is(err, problem.Invalid) {
		t.Errorf("an empty content gives %v", err)
	}
}

func TestNoTemplateMakesTooMuch(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	values := map[string]any{"n": 2_000_000_000, "big": big, "list": make([]any, 5000)}
	for name, source := range map[string]string{
		"long loop":      `{% for i in (1..n) %}x{% endfor %}`,
		"nested loops":   `{% for i in (1..5000) %}{% for j in (1..5000) %}{% endfor %}{% endfor %}`,
		"doubling":       `{% assign x = big %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}`,
		"doubling twice": `{% for i in (1..60) %}{% capture x %}{{ x }}{{ x }}yy{% endcapture %}{% endfor %}{{ x }}`,
		"replacing":      `{{ big | replace: 'x', big }}`,
		"joining":        `{{ list | join: big }}`,
		"long output":    `{% for i in (1..100) %}{{ big }}{% endfor %}`,
		"many filters":   `{% for i in (1..9000) %}{{ big | upcase | downcase | size }}{% endfor %}`,
		"long text":      `{% for i in (1..9000) %}` + big + `{% endfor %}`,
		"captured text":  `{% for i in (1..9000) %}{% capture x %}` + big + `{% endcapture %}{% endfor %}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got, err := renderHTML(t, source, values)
			p, ok := problem.Of(err)
			if !ok || p.Fields[0].Key != "mail.template.too-much" || got != "" {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestTemplatesSeeOnlyPlainData(t *testing.T) {
	secret := struct{ Password string }{"hunter2"}
	got, err := renderHTML(t, `[{{ s.Password }}{{ p.Password }}{{ f }}{{ s }}]`, map[string]any{"s": secret, "p": &secret, "f": func() string { return "x" }})
	if err != nil || got != "[]" {
		t.Errorf("%q, %v", got, err)
	}
	for range 20 {
		got, err = renderHTML(t, `{% for x in m %}{{ x[0] }}={{ x[1] }};{% endfor %}`, map[string]any{"m": map[string]any{"c": 3, "a": 1.0, "b": "2"}})
		if err != nil || got != "a=1;b=2;c=3;" {
			t.Fatalf("a loop over a map gives %q, %v", got, err)
		}
	}
}

func TestTemplateFailureNamesTheLine(t *testing.T) {
	c := mustCompile(t, Content{Subject: "s", HTML: "a\nb\n{{ 1 | divided_by: x }}"})
	_, err := c.Message(envelope("en"), nil)
	p, ok := problem.Of(err)
	if !ok || p.Fields[0].Name != "html" || p.Fields[0].Key != "mail.template.failed" || p.Fields[0].Args[1] != 3 {
		t.Errorf("%v", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{{ x }}", `<a href="{{ x }}">{{ y | slice: 9 }}</a>`, "{% for i in (1..9) %}{{ i }}{% else %}{% endfor %}", "{{ '' | slice: 9 }}",
		"{% capture a %}<b>{{ x }}{% endcapture %}{{ a }}", "{{ x | truncate: 1, 'abcdef' }}", "{{- x -}}", "{% raw %}{{{% endraw %}", "{{%assign x = 1}}",
		`<!--[if mso]>{{ x }}<![endif]--><style>{{ x }}</style>`, "{% case x %}{% when 1 %}a{% else %}b{% endcase %}", "{{ (1..3) | join: x | date: '%Y' }}",
		"{% cycle 'a' %}", "{% for forloop in (1..2) %}{% cycle 'a' %}{% endfor %}", "{{ x | uniq | sort | first }}", "{{ x | round: -400 | modulo: 0 }}",
	} {
		f.Add(s, "<script>alert(1)</script>\"'")
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		c, err := Compile(Content{Subject: "s " + source, HTML: source, Text: source})
		if err != nil {
			if !problem.Is(err, problem.Invalid) {
				t.Fatalf("%v is no problem for the author", err)
			}
			return
		}
		for _, text := range append(c.Links(), "") {
			if strings.Contains(text, "\x02") {
				t.Error("a mark came through")
			}
		}
		raw, err := c.Message(envelope("en"), map[string]any{"x": value, "y": []any{value, 1, nil}, "z": map[string]any{"x": value}})
		if err != nil {
			if !problem.Is(err, problem.Invalid) {
				t.Fatalf("%v is no problem for the author", err)
			}
			return
		}
		checkWire(t, raw)
		if html, err := renderHTML(t, source, map[string]any{"x": value}); err == nil && !strings.Contains(source, "<script") &&
			!strings.Contains(source, "{%") && strings.Contains(html, "<script") {
			t.Errorf("a value became a tag: %q", html)
		}
	})
}
