package compose

import (
	"bytes"
	"html"
	"mime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// hard are values that have broken mails before, somewhere.
var hard = []string{
	"", " ", "Sara", "سارا", "نرگس\u200cخاتون", "Jean-Luc O'Neil", "👩🏽‍🚀 اسپیس", strings.Repeat("x", 240), strings.Repeat("ک", 200), strings.Repeat("n", 600),
	"a\nb", "a\n\n\n\nb", "\ttab\t", "a  b", " x ", "trailing ", "trailing\t", "\n", `"quoted" 'and' \ `, "<b>bold</b>", "<script>alert(1)</script>", "</body>", "<body>", "{{ x }}", "{% if x %}", "}}", "%}",
	"=?utf-8?q?a?=", "=?", "a=b=3D", "a\r\nBcc: x@example.org", "\r", "a\rb", "\n.", ".", "..\n.", "\u202eevil", "\u2066x\u2069", "\u2028", "\xff\xfe", "\xed\xa0\x80", "a\x00b", "\x02" + "0\x03", "\ue001" + "0\ue002",
	"javascript:alert(1)", "https://a.example/?q=1&r=ü b+c", "//x", "red;x:url(y)", "zq0x1q", "a+b", "&amp;", "&lt;br&gt;", "--b", "\u00a0", "\u0085", "\u3000x",
}

var someName = rapid.OneOf(rapid.SampledFrom(hard), rapid.String(), rapid.StringN(0, 90, -1))

// grow draws a template of the grammar below; place is where it stands.
type grower struct {
	*rapid.T
	html   bool
	simple bool // only what is cut into steps
	bare   bool // no filter that makes HTML
}

func (g grower) pick(from ...string) string { return rapid.SampledFrom(from).Draw(g.T, "pick") }

func (g grower) value() string {
	v := g.pick("name", "person.first_name", "person.city", "person.nobody", "n", "person.n", "f", "t", "'lit <&>'", `"dq"`, "42", "-1.50", "nil", "true", "list", "person", "x", "x.title", "b.title", "forloop.index", "forloop.rindex0", "set", "unset", "deep.a.b.c.d.e.f.g.h.i")
	if !g.simple {
		v = g.pick(v, v, "list[0]", "person.size", "list.first", "list.size", "empty", "(1..3)", "blank", "set.size", "set[0]", "name.size")
	}
	return v
}

func (g grower) output() string {
	s := g.value()
	for range rapid.IntRange(0, 2).Draw(g.T, "filters") {
		if g.bare {
			s += " | " + g.pick("upcase", "default: 'you'", "truncate: 5", "append: person.city", "default: person.city", "size", "plus: 1")
			continue
		}
		s += " | " + g.pick("upcase", "default: 'you'", "truncate: 5", "append: person.city", "escape", "newline_to_br", "date: '%Y'", "escape_once",
			"default: person.city", "replace: 'a', '<b>'", "size", "plus: 1", "split: ' ' | join: '-'", "strip_html", "url_encode", "capitalize", "slice: 0, 3", "json")
	}
	dash := func() string {
		if g.simple {
			return ""
		}
		return g.pick("", "", "", "-")
	}
	return "{{" + dash() + " " + s + " " + dash() + "}}"
}

func (g grower) condition() string {
	one := func() string {
		return g.pick(g.value(), g.value()+" "+g.pick("==", "!=", "<", ">", "<=", ">=", "contains")+" "+g.value(), g.value()+" != blank", "person.first_name == empty", "name == ''")
	}
	s := one()
	for range rapid.IntRange(0, 2).Draw(g.T, "joined") {
		s += " " + g.pick("and", "or") + " " + one()
	}
	return s
}

func (g grower) text() string {
	return g.pick("Hello", " ", "\n", "\n\n", "a  b", "می‌خوانم", "x=1", strings.Repeat("w", 80), "don't", ".", "\n.\n", "é\n", " \n", "\t\n", "5 + 5", "&amp;", "&nbsp;", "zq0x", "{", "100%", "-- \n")
}

func (g grower) element(depth int) string {
	if !g.html {
		return g.text()
	}
	in := func() string { return g.grow(depth - 1) }
	linked := in
	if g.bare { // a link within a link, in a branch, tears the text apart
		linked = g.text
	}
	switch g.pick("p", "a", "a2", "a3", "a4", "img", "td", "li", "style", "title", "comment", "mso", "br", "attr") {
	case "p":
		return "<p>" + in() + "</p>\n"
	case "a":
		return `<a href="https://a.example/` + g.pick("", "x?y=1&amp;z=2", "ü") + `">` + linked() + "</a>"
	case "a2":
		return `<a href="` + g.output() + `">` + linked() + "</a>"
	case "a3":
		return `<a href="https://b.example/` + g.output() + `" style="color:` + g.output() + `">` + g.output() + "</a>"
	case "a4":
		o := g.output()
		return `<a href="mailto:` + o + `">` + o + "</a>"
	case "img":
		return `<img src="https://c.example/` + g.output() + `" alt="` + g.output() + `">`
	case "td":
		return "<table><tr><td>" + in() + "</td><td>" + in() + "</td></tr></table>"
	case "li":
		return "<ul><li>" + in() + "</li>\n<li>" + in() + "</li></ul>\n"
	case "style":
		return "<style>.x{color:" + g.output() + "}</style>"
	case "comment":
		return "<!-- " + g.output() + " -->"
	case "mso":
		return "<!--[if mso]><p>" + g.output() + "</p><![endif]-->"
	case "br":
		return "<br>\n"
	case "attr":
		return `<p title="` + g.output() + `" {% if name %} {% endif %}>` + g.text() + "</p>"
	}
	return "<title>" + g.output() + "</title>"
}

func (g grower) block(depth int) string {
	in := func() string { return g.grow(depth - 1) }
	d := func() string {
		if g.simple {
			return ""
		}
		return g.pick("", "", "", "", "-")
	}
	if rapid.IntRange(0, 4).Draw(g.T, "assign") == 0 {
		v, filter := g.value(), g.pick("", " | upcase", " | default: set", " | append: set", " | size", " | split: ' '")
		return "{% assign " + g.pick("set", "set", "unset") + " = " + v + filter + " %}"
	}
	if rapid.IntRange(0, 2).Draw(g.T, "loop") == 0 {
		list := g.pick("list", "person.books", "tags", "shelves", "b.tags", "nobody", "deep.a.b.c.d.e.f.g.h.i")
		if !g.bare { // in a loop that binds the name to a map, it is one, and only the engine loops over those
			list = g.pick(list, "name")
		}
		if !g.simple {
			list = g.pick(list, list, "x", "deep.a.b.c.d.e.f.g.h", "person")
		}
		return "{% for " + g.pick("x", "b", "name", "empty") + " in " + list + g.pick("", "", " limit: 1", " limit:0") + " %}" +
			in() + g.pick("{{ x }}", "{{ b.title }}", "{% if forloop.first %}1{% endif %}", "{{ forloop.length }}") + in() + g.pick("", "{% else %}"+in()) + "{% endfor %}"
	}
	switch {
	case g.simple || rapid.Bool().Draw(g.T, "if"):
		s := "{%" + d() + " if " + g.condition() + " " + d() + "%}" + in()
		for range rapid.IntRange(0, 1).Draw(g.T, "elsif") {
			s += "{%" + d() + " elsif " + g.condition() + " " + d() + "%}" + in()
		}
		return s + g.pick("", "{% else %}"+in(), "{%"+d()+" else "+d()+"%}"+in()) + "{%" + d() + " endif " + d() + "%}"
	}
	return g.pick(
		"{% unless "+g.condition()+" %}"+in()+"{% else %}"+in()+"{% endunless %}",
		"{% for x in list %}"+in()+"{{ x }}{% cycle 'a', 'b' %}{% else %}none{% endfor %}",
		"{%- for x in list -%} "+in()+" {%- endfor -%}",
		"{% for name in list %}"+in()+"{% endfor %}",
		"{% assign set = name | append: '!' %}", "{%- assign set = person.n | plus: 1 -%}",
		"{% assign set = set | append: 'z' %}{{ set }}",
		"{% capture set %}"+in()+"{% endcapture %}{{ set }}",
		"{% case person.city %}{% when 'Tehran', 'Rasht' %}"+in()+"{% else %}"+in()+"{% endcase %}",
		"{% raw %}{{ name }}{% endraw %}", "{% comment %}{{ name }}{% endcomment %}",
	)
}

func (g grower) grow(depth int) string {
	var b strings.Builder
	for range rapid.IntRange(0, 4).Draw(g.T, "pieces") {
		switch k := rapid.IntRange(0, 9).Draw(g.T, "kind"); {
		case k < 3:
			b.WriteString(g.text())
		case k < 6:
			b.WriteString(g.output())
		case k < 8 && depth > 0:
			b.WriteString(g.element(depth))
		case depth > 0:
			b.WriteString(g.block(depth))
		}
	}
	return b.String()
}

func (g grower) content() Content {
	c := Content{Language: g.pick("en", "fa"), Subject: "s" + grower{T: g.T, simple: g.simple, bare: g.bare}.grow(1)}
	if rapid.Bool().Draw(g.T, "preheader") {
		c.Preheader = grower{T: g.T, simple: g.simple, bare: g.bare}.grow(1)
	}
	if rapid.Bool().Draw(g.T, "text") {
		c.Text = grower{T: g.T, simple: g.simple, bare: g.bare}.grow(2)
	}
	c.HTML = "<p>" + g.grow(3) + "</p>"
	if rapid.Bool().Draw(g.T, "document") {
		body := g.pick("<body>", "<BODY bgcolor='x' data-y=\"a>b\">", `<body style="color:`+g.output()+`">`, "")
		if !g.simple {
			body = g.pick(body, body, "{% if name %}<body>{% else %}<body class='x'>{% endif %}", "<body {% if name %} {% endif %}>", "<body>{% if name %}</body>{% endif %}")
		}
		c.HTML = "<!doctype html><html><head>" + g.pick("", "<title>x</title>", "<style>p{}</style>") + "</head>" + body + c.HTML + g.pick("</body></html>", "</BODY>", "</html>", "", "</body> ", "</body>\t")
	}
	return c
}

func (g grower) person() map[string]any {
	v := func(what string) any { return someName.Draw(g.T, what) }
	m := map[string]any{"name": v("name"), "n": rapid.IntRange(-5, 2000).Draw(g.T, "n"), "f": 1.5, "t": rapid.Bool().Draw(g.T, "t"), "list": []any{v("l1"), v("l2"), 3}}
	m["person"] = map[string]any{"first_name": v("first"), "city": rapid.SampledFrom([]any{"Tehran", "Rasht", nil, "", "<Paris>"}).Draw(g.T, "city"), "n": 7, "nested": map[string]any{"a": 1},
		"books": []any{map[string]any{"title": v("title"), "tags": []string{"a", "b"}}, nil, "x", map[string]any{"title": 5}}}
	m["tags"], m["shelves"] = []string{v("tag").(string), ""}, []map[string]any{{"title": v("shelf"), "tags": []any{"c"}}, {}}
	var deep any = []any{v("deep")}
	for c := 'i'; c >= 'a'; c-- {
		deep = map[string]any{string(c): deep}
	}
	m["deep"] = deep
	if rapid.IntRange(0, 9).Draw(g.T, "no list") == 0 {
		delete(m, "list")
	}
	if rapid.IntRange(0, 9).Draw(g.T, "odd person") == 0 {
		m["person"] = v("person")
	}
	return m
}

func (g grower) envelope(common Envelope) Envelope {
	env := envelope("en").sharing(common)
	one := func(what, url string) string {
		if rapid.IntRange(0, 5).Draw(g.T, what) == 0 {
			return ""
		}
		return url + g.pick("tok_en-1", "t", strings.Repeat("Az09", 30))
	}
	base := g.pick("https://mail.baharan.example", "https://mail.baharan.example:8443/a/b", "http://127.0.0.1:8080", "https://x.example/a+b", "https://x.example/?a&b=", "HTTPS://X.example")
	env.Leave, env.Preferences, env.Why, env.View, env.PixelURL = one("leave", base+"/u/"), one("preferences", base+"/p/"), one("why", base+"/w/"), one("view", base+"/v/"), one("pixel", base+"/o/")
	if rapid.Bool().Draw(g.T, "clicks") {
		to := base + "/l/" + g.pick("tok", `?"&'+`, "", "\r")
		env.Link = func(n int) string { return to + string(rune('a'+n%26)) }
	}
	env.To = Address{Name: someName.Draw(g.T, "to"), Email: g.pick("sara@example.org", "A.b+c@Example.ORG", "x@پست.ایران", `"a  b"@example.org`, "nobody", "a_b@ex.org", "ü@example.org")}
	env.MessageID = g.pick("0193a1c2-7b1e-7000-8000-000000000001@baharan.example", "a@b", strings.Repeat("i", 80)+"@long.example", "bad id@x", "")
	env.Date = rapid.SampledFrom([]time.Time{someDay, someDay.In(time.FixedZone("x", 12600)), time.Date(31, 1, 1, 0, 0, 0, 0, time.UTC), {}}).Draw(g.T, "date")
	return env
}

func (g grower) common() Envelope {
	lang := g.pick("en", "fa", "")
	env := envelope(lang)
	env.From.Name = someName.Draw(g.T, "from")
	env.Topic = g.pick("Readers’ letter", "", "a\r\nb")
	env.Brand.PostalAddress = g.pick("12 Enghelab", "", "a\r\nb", "a\rb", "x\n\n\ny", "é\r")
	env.Brand.Logo = Logo{g.pick("", "", "https://mail.example/logo/0f.png"), 192, 64}
	env.Brand.Name = g.pick("Baharan", "zq0x7q", "<b> & Co", "\r", "Caf\r\u00e9\nx")
	env.OneClick, env.Bulk, env.AutoSubmitted = rapid.Bool().Draw(g.T, "one click"), rapid.Bool().Draw(g.T, "bulk"), rapid.Bool().Draw(g.T, "auto")
	if rapid.Bool().Draw(g.T, "no reply to") {
		env.ReplyTo = Address{}
	}
	return env
}

// TestAppendIsMessage is the rule that frames stand on.
func TestAppendIsMessage(t *testing.T) {
	spliced, all := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		g := grower{T: r, html: true, simple: rapid.Bool().Draw(r, "simple")}
		content := g.content()
		c, err := Compile(content)
		if err != nil {
			return
		}
		common := g.common()
		f, err := c.Frame(common)
		if err != nil {
			r.Fatal(err)
		}
		for range 3 {
			env, values := g.envelope(common), g.person()
			want, wrong := c.Message(env, values)
			env.From, env.Topic, env.ListID, env.Bulk = Address{Email: "x@x.example"}, "x", "x", !env.Bulk // not looked at
			got, err := f.Append([]byte("before"), env, values)
			if wrong != nil {
				if err == nil || err.Error() != wrong.Error() || string(got) != "before" {
					r.Fatalf("%v, want %v", err, wrong)
				}
				continue
			}
			if err != nil || !bytes.HasPrefix(got, []byte("before")) || !bytes.Equal(got[6:], want) {
				r.Fatalf("%v\n%+v\n%s", err, content, difference(want, got[6:]))
			}
			all++
			if _, err := f.splice(nil, &env, values); err == nil { // with the other sender's, for it is inside
				spliced++
			}
		}
	})
	t.Logf("%d of %d mails were spliced", spliced, all)
}

// TestSimpleLettersAreSpliced holds frames to being of use: what has only plain
// outputs and conditions in it never goes the slow way.
func TestSimpleLettersAreSpliced(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		g := grower{T: r, html: true, simple: true, bare: true}
		content := g.content()
		c, err := Compile(content)
		if err != nil {
			return
		}
		common := g.common()
		f := mustFrame(t, c, common)
		env, values := g.envelope(common), g.person()
		letter := envelope("en").sharing(common)
		env.Date, env.MessageID, env.Leave, env.Preferences, env.Why, env.View = letter.Date, letter.MessageID, letter.Leave, letter.Preferences, letter.Why, letter.View
		env.PixelURL, env.To.Email = "", letter.To.Email
		if env.Link != nil {
			env.Link = func(int) string { return letter.Why }
		}
		if _, err := c.Message(env, values); err != nil {
			return
		}
		if _, err := f.splice(nil, &env, values); err != nil {
			r.Fatalf("%+v is not spliced", content)
		}
	})
}

// TestWhatIsSplicedIsSound reads spliced mails back: whatever people are called,
// no header is added, and everything comes back as it was.
func TestWhatIsSplicedIsSound(t *testing.T) {
	c := mustCompile(t, Content{Language: "en", Subject: "For {{ name }}!", HTML: `<p title="{{ name }}">[{{ name }}]</p><p><a href="https://a.example/?n={{ name }}">x</a></p>`, Text: "Dear [{{ name }}]."})
	common := envelope("en")
	f := mustFrame(t, c, common)
	plain, err := f.splice(nil, &common, map[string]any{"name": "Sara"})
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := parts(t, plain)
	rapid.Check(t, func(r *rapid.T) {
		name := someName.Draw(r, "name")
		env := common
		env.To.Name = someName.Draw(r, "to")
		raw, err := f.splice(nil, &env, map[string]any{"name": name})
		if err != nil {
			r.Fatal(err)
		}
		checkWire(r, raw)
		head, text, body := parts(t, raw)
		for key, values := range head {
			if len(values) != 1 || len(want[key]) != 1 {
				r.Fatalf("%s is there %d times", key, len(values))
			}
		}
		if len(head) != len(want) {
			r.Fatalf("a field is missing: %v", head)
		}
		shown := clean(name)
		subject, err := new(mime.WordDecoder).DecodeHeader(head.Get("Subject"))
		if err != nil || subject != oneLine("For "+shown+"!", maxSubject) {
			r.Fatalf("subject of %q: %q, %v", name, subject, err)
		}
		if to, err := head.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "sara@example.org" || to[0].Name != oneLine(env.To.Name, maxName) {
			r.Fatalf("to %q: %v, %v", env.To.Name, to, err)
		}
		if !strings.Contains(text, "Dear ["+shown+"].") {
			r.Fatalf("the text does not say %q: %q", shown, text)
		}
		for _, want := range []string{">[" + html.EscapeString(shown) + "]<", `title="` + html.EscapeString(shown) + `"`, `href="https://a.example/?n=` + html.EscapeString(tidyURL(shown)) + `"`} {
			if !strings.Contains(body, want) {
				r.Fatalf("the HTML does not hold %q: %q", want, body)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		"<p>{{ x }}</p>", `<a href="{{ x }}">{{ x }}</a>`, "{% if x %}<p>{{ x }}</p>{% else %}-{% endif %}", "{% for i in y %}<li>{{ i }}</li>{% endfor %}",
		"{{ x -}} a {{- x }}", "{%- if x -%} a {%- endif -%}", "{% assign z = x | upcase %}{{ z }}{% if z == x %}same{% endif %}", "{% capture z %}<i>{{ x }}{% endcapture %}{{ z }}",
		"<body>{% if x %}</body>{% endif %}", "<html><body class='{{ x }}'>{{ x }}<", `<body {% if x %}title=">"{% endif %}>`, "{{ x | newline_to_br }}", "{{ x | escape | upcase }}",
		"{{ x }}\n", " {{ x }} \n\n {{ x }} ", "{% unless x == blank %}a{% endunless %}", "{% case x %}{% when 'a' %}1{% endcase %}", "{% raw %}{{ x }}{% endraw %}", "{% if x and y or z.x contains 'a' %}b{% endif %}",
		`<a href="http://a.example">{{ x }}</a><a href="http://a.example">http://a.example</a>`, "<table><tr><td>{{ x }}</td>{% if x %}<td>b</td>{% endif %}</tr></table>", "zq0x1q {{ x }}",
	} {
		f.Add(s, "<b>\"'Sara", "", true)
		f.Add(s, "", s, false)
	}
	f.Fuzz(func(t *testing.T, source, value, text string, tracked bool) {
		c, err := Compile(Content{Subject: "s " + source, Preheader: value, HTML: source, Text: text})
		if err != nil {
			return
		}
		env := envelope("fa")
		frame := mustFrame(t, c, env)
		env.To.Name = value
		if tracked {
			env.PixelURL, env.Link = "https://mail.baharan.example/o/x", func(int) string { return "https://mail.baharan.example/l/x" }
		}
		values := map[string]any{"x": value, "y": []any{value, 1, nil}, "z": map[string]any{"x": value}}
		want, wrong := c.Message(env, values)
		got, err := frame.Append(nil, env, values)
		if (err == nil) != (wrong == nil) || !bytes.Equal(got, want) {
			t.Fatalf("%v, want %v: %s", err, wrong, difference(want, got))
		}
		if spliced, err := frame.splice(nil, &env, values); err == nil && !bytes.Equal(spliced, want) {
			t.Fatalf("it is a mail, though Message says %v", wrong)
		}
	})
}

// TestFramesKnowTheBounds holds frames to the bounds of templates.
func TestFramesKnowTheBounds(t *testing.T) {
	page := strings.Repeat("x", 15<<10)
	list := make([]any, 50)
	for i := range list {
		list[i] = page
	}
	values := map[string]any{"big": strings.Repeat("x", 100<<10), "page": page, "list": list, "many": make([]any, 9000), "quotes": strings.Repeat("'", 30<<10), "semis": strings.Repeat(";", 250)}
	for what, source := range map[string]string{
		"one part":      `{% for i in list %}{{ i }}{% endfor %}`,
		"turns":         `{% for i in many %}{% for j in many %}{% endfor %}{% endfor %}`,
		"turns' bodies": `{% for i in many %}` + page + `{% endfor %}`,
		"work":          `{% for i in many %}{% if page == "" %}{{ page }}{% endif %}{{ page | size }}{% endfor %}`,
		"one value":     `{{ big | append: big }}`,
		"one output":    `{{ quotes }}`,
		"outputs":       `{% for i in many %}<p style="color:{{ semis }}">{% endfor %}`,
		"within bounds": `{% for i in list limit: 9 %}{{ i }}{% endfor %}{{ big }}`,
	} {
		for _, c := range []Content{{Subject: "s", HTML: source, Text: "t"}, {Subject: "s", HTML: "h", Text: source}, {Subject: "s" + source, HTML: "h"}} {
			compiled := mustCompile(t, c)
			env := envelope("en")
			want, wrong := compiled.Message(env, values)
			got, err := mustFrame(t, compiled, env).Append(nil, env, values)
			if (err == nil) != (wrong == nil) || !bytes.Equal(got, want) || wrong == nil && what != "within bounds" && c.Text != source && c.Subject == "s" {
				t.Errorf("%s: %v, want %v", what, err, wrong)
			}
		}
	}
}

// TestOddTemplates are those that a cut must not go through: each would come out
// wrong if what reaches across steps were overlooked.
func TestOddTemplates(t *testing.T) {
	var deep any = []any{"eight maps down", nil}
	for _, name := range strings.Split("hgfedcba", "") {
		deep = map[string]any{name: deep}
	}
	people := []map[string]any{
		{"x": "a", "y": true, "list": []any{"p ", " q", 1}, "map": map[string]any{"k": 1}, "books": []any{map[string]any{"t": []any{1}}}, "deep": deep},
		{"x": " a ", "list": []any{}}, {"x": "body", "y": true, "list": []any{"a"}}, {"x": "1\n2", "y": 1}, {"x": " y"}, {"x": 1, "empty": 1}, {},
	}
	for _, source := range []string{
		// white space control that reaches into values and blocks
		"{{ x -}}{{- x }}", "{{ x -}} {{- x }}", "{{ x -}} a {{- x }}", "a {% if y %}{{- x }}{% endif %}", "{% if y -%}{% endif %} b", "a {% for i in list %}{{- i }}{% endfor %} b",
		"a {% for i in list %}{{ i -}}{% endfor %} b", "{%- assign z = x -%} {%- assign w = z -%} {{ z }}{{ w }}", "a {% case x %}{% when 'a' %}{%- assign z = 1 -%}b{% endcase %}{{ z }}",
		"a {% raw %} r {% endraw %}{{- x }}", "{%- if y -%} b {%- else -%} c {%- endif -%}", "{{- x -}}", "a {% if y %}b{% endif %} {%- if x %}c{% endif %}", "{% comment %}{% endcomment -%} a",
		// variables
		"{{ z }}{% if y %}{% assign z = x %}{% endif %}{{ z }}{% if z == x %}s{% endif %}", "{% for i in list %}{% assign z = i %}{% endfor %}{{ z }}{{ i }}", "{% assign x = x | append: '!' %}{{ x }}",
		"{% capture z %}{{ x }}<i>{% endcapture %}{{ z }}{{ z | size }}", "{% assign z? = x %}{{ z? }}{{ z }}", "{% for z in list %}{{ z }}{% endfor %}{{ z }}", "{% assign empty = x %}{% if x == empty %}e{% endif %}",
		"{% for i in list %}{% assign forloop = x %}{{ forloop.index }}{% endfor %}", "{% for i in list %}{% assign forloop = x %}{{ forloop.index }}{{ forloop }}{% endfor %}{{ forloop }}", "{% for z in list %}{% assign z = x %}{{ z }}{% endfor %}{{ z }}", "{% assign z = list %}{% for i in z %}{{ i }}{% endfor %}{{ z.first }}",
		"{% assign z = map %}{{ z.k }}{{ z }}{% if z == map %}s{% endif %}", "{% assign z = nil %}{{ z }}{% assign x = z %}{{ x }}", "{% if y %}{% assign z = x | escape %}{% endif %}{{ z }}{{ x }}", "{% for i in list %}{% assign z = z | append: i %}{% endfor %}{{ z }}",
		"{% assign z = x == 'a' %}{{ z }}", "{% assign blank = x %}{% if y != blank %}{{ blank }}{% endif %}", "{% assign a = 1 %}{% assign b = 2 %}{% assign c = 3 %}{% assign d = 4 %}{% assign e = 5 %}{% assign f = 6 %}{% assign g = 7 %}{% assign h = 8 %}{% assign i = 9 %}{{ a }}{{ i }}",
		// where the tags of a document are
		"<html><!-- <body ' --><p>a' {{ x | newline_to_br }}</p></html>", "<html><!-- <body {% if y %}>{% endif %} --><p>a</p></html>", "<html><!-- <body{{ x }} --><body><p>a</p></body></html>",
		"<html><!-- <body{{ x }} --><p>a</p></html>", "<html><!-- <{% if y %}body{% endif %} > --><p>a</p></html>", "<html><p>a</p><!-- </{{ x }}> --></html>", "<html><p>a</p>{% for i in list %}{% cycle '</body>', 'a' %}{% endfor %}</html>",
		"<html><body><p>a</p>{% if y %}</body>{% endif %}</html>", "<html>{% for i in list %}<body class='x'>{% endfor %}<p>a</p>", "<html><!-- <body --><body><p>a</p></body></body>", "<html><body title='{{ x }}' data-a=\"'>\">a</html>",
		"<html><p>a</p>{% capture z %}</body>{% endcapture %}{{ z }}", "<html><p>a</p>{% for i in map %}</body>{% endfor %}</html>",
		// loops
		"{% for i in deep.a.b.c.d.e.f.g.h %}[{{ i }}]{% endfor %}", "{% for i in list %}{{ i.size }}{{ i[0] }}{% endfor %}", "{% for i in list %}a{% else %}b{% else %}c{% endfor %}", "{% for i in list %}{% else %}{{ i }}{{ forloop.index }}{% endfor %}",
		"{% for i in list %}{% for i in list %}{{ i }}{{ forloop.index }}{% endfor %}{{ i }}{{ forloop.index }}{% if i == blank %}b{% endif %}{% endfor %}", "{% for empty in list %}{% if empty == x or empty == 1 %}{{ empty }}{% endif %}{% endfor %}",
		"{% for i in list reversed %}{{ i }}{% endfor %}", "{% for i in list limit: 1 offset: 1 %}{{ i }}{% endfor %}", "{% for i in list limit: x %}{{ i }}{% endfor %}", "{% for i in list %}{{ forloop }}{{ forloop.nothing }}{{ forloop.length.size }}{% endfor %}",
		"{% for i in list %}{% if i == x %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in x %}{{ i }}{% else %}none{% endfor %}", "{% for i in map %}{{ i[1] }}{% endfor %}", "{% for i in map %}a{% endfor %}",
		// the engine's own ways
		"{% if x == empty %}e{% endif %}{{ empty }}", `{% for i in map %}<a href="https://a.example/?a=1&amp;b=2">{{ i[0] }}</a>{% endfor %}`, "{% if books == books %}a{% endif %}", "{% if list == books %}a{% endif %}{{ 1 | divided_by: n }}", "{{ x | upcase? }}",
		`{% if y and x == "a" or x contains "y" %}b{% elsif x == blank or x == empty %}c{% endif %}{% unless x != "a" and y %}d{% endunless %}`, "{{ x | split: ' ' | first }}{{ list.size }}{{ x.size }}{{ list.first }}", "{{ y }}{{ map }}{{ list }}",
	} {
		for _, text := range []string{"", "t"} {
			c, err := Compile(Content{Subject: "s{{ y }}", HTML: source, Text: text, Preheader: "p"})
			if err != nil {
				t.Errorf("%s: %v", source, err)
				continue
			}
			f := mustFrame(t, c, envelope("en"))
			for _, values := range people {
				env := envelope("en")
				env.Link = func(n int) string { return env.Why + `?"&` }
				want, wrong := c.Message(env, values)
				if got, err := f.Append(nil, env, values); !bytes.Equal(got, want) || (err == nil) != (wrong == nil) {
					t.Errorf("%s with %v: %v, want %v\n%s", source, values, err, wrong, difference(want, got))
				}
			}
		}
	}
}

// TestOddEnvelopes are those that Message refuses or writes otherwise.
func TestOddEnvelopes(t *testing.T) {
	c := mustCompile(t, Content{Subject: "{{ x }}", HTML: `<a href="https://a.example">{{ x }}</a>`})
	f := mustFrame(t, c, envelope("en"))
	for what, change := range map[string]func(*Envelope){
		"no host":             func(e *Envelope) { e.Leave = "https:///u/x" },
		"a user":              func(e *Envelope) { e.Leave = "https://u@h.example/u/x" },
		"a bad port":          func(e *Envelope) { e.Leave = "https://h.example:x/u/x" },
		"no path":             func(e *Envelope) { e.Leave = "https://h.example" },
		"not encrypted":       func(e *Envelope) { e.Leave = "http://h.example/u/x" },
		"no address to leave": func(e *Envelope) { e.Leave = "" },
		"long":                func(e *Envelope) { e.Leave = "https://h.example/" + strings.Repeat("x", maxURL) },
		"a query":             func(e *Envelope) { e.Why, e.Leave = "https://h.example/w?a=b&c=d", "https://h.example/u?a=%zz+" },
		"not of the web":      func(e *Envelope) { e.View = "javascript:alert(1)" },
		"a link of anything":  func(e *Envelope) { e.Link = func(int) string { return `"><script>'&` } },
		"no one":              func(e *Envelope) { e.To.Email = "" },
		"no id":               func(e *Envelope) { e.MessageID = "x y@z" },
		"no date":             func(e *Envelope) { e.Date = time.Time{} },
		"nothing odd":         func(*Envelope) {},
	} {
		for _, x := range []string{"", " ", "x"} {
			env, values := envelope("en"), map[string]any{"x": x}
			change(&env)
			want, wrong := c.Message(env, values)
			if got, err := f.Append(nil, env, values); !bytes.Equal(got, want) || (err == nil) != (wrong == nil) {
				t.Errorf("%s: %v, want %v\n%s", what, err, wrong, difference(want, got))
			}
		}
	}
}

// TestTheEnginesPartIsSplicedToo are letters of which the engine makes a part.
func TestTheEnginesPartIsSplicedToo(t *testing.T) {
	for _, source := range []string{
		"{{ list[0] }}", "{% case x %}{% when 'a' %}b{% endcase %}", "{% for i in list %}{% cycle 'a', 'b' %}{% endfor %}", "{% capture z %}{{ x }}{% endcapture %}{{ z }}", "{% assign z = list[0] %}a{{ z }}",
		"{% assign a = 1 %}{% assign b = 2 %}{% assign c = 3 %}{% assign d = 4 %}{% assign e = 5 %}{% assign f = 6 %}{% assign g = 7 %}{% assign h = 8 %}{% assign i = 9 %}{{ a }}{{ i }}", "{{ x -}}{{- x }}",
	} {
		c := mustCompile(t, Content{Subject: "s", HTML: source, Text: source})
		env, values := envelope("en"), map[string]any{"x": "a", "list": []any{"l", 2}}
		want, err := c.Message(env, values)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := mustFrame(t, c, env).splice(nil, &env, values); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n%s", source, err, difference(want, got))
		}
	}
}
