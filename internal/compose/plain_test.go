package compose

import (
	"strings"
	"testing"
)

// TestTextIsMadeOnce compares the text that is made from the template with the
// one that is made from the finished HTML.
func TestTextIsMadeOnce(t *testing.T) {
	people := map[string]map[string]any{
		"full": {"name": "Sara <b> & Co", "vip": true, "url": "https://u.example/?a=1&b=é", "note": "one\ntwo", "blank": " ",
			"books": []any{map[string]any{"id": 1, "title": "Owl &amp; Co", "price": 5}, map[string]any{"id": 2, "title": "<X>"}}},
		"empty": {},
	}
	for what, source := range map[string]string{
		"greeting":       `<h1>Hello{% if name %}, {{ name }}{% endif %}!</h1><p>Intro.</p>`,
		"branches":       "<p>a</p>\n{% if vip %}\n<p>You are <b>in</b>.</p>\n{% else %}\n<p>Come in.</p>\n{% endif %}\n{% unless vip %}<p>u</p>{% endunless %}<p>c</p>",
		"rows":           `<table>{% for b in books %}<tr class="{% cycle 'a', 'b' %}"><td>{{ b.title }}</td><td>{{ b.price }}</td></tr>` + "\n{% endfor %}</table>",
		"cells":          `<table><tr><td>{{ name }}</td><td>{{ vip }}</td><td>c</td></tr></table>`,
		"list":           "<ul>\n{% for b in books %}\n<li><a href=\"https://x.example/?b={{ b.id }}\">{{ b.title }}</a></li>\n{% endfor %}\n</ul><p>end</p>",
		"address":        `<p>a <a href="{{ url }}">here</a> <a href="mailto:a@{{ name }}">write</a></p>`,
		"no words":       `<p>a <a href="https://x.example/{{ url }}"></a>b</p>`,
		"picture":        `<p><a href="https://x.example"><img src="{{ url }}" alt="the {{ name }}"></a></p>`,
		"line breaks":    `<p>x {{ note | newline_to_br }}</p>`,
		"escaped":        `<p>{{ name | escape }} {{ books[0].title | escape_once }}</p>`,
		"unseen":         `<style>p{color:{{ name }}}</style><p style="color:{{ name }}" {% if vip %} {% endif %}>a<!-- {{ name }} --></p>`,
		"variables":      `{% assign who = name | default: "you" %}<p>Dear {{ who }},</p>{% case vip %}{% when true %}<p>in</p>{% else %}<p>out</p>{% endcase %}`,
		"trimmed":        "<p>\n  {{- name -}}\n  , hello</p>",
		"raw":            `<p>{% raw %}{{ name }} {% if %}{% endraw %} &#123;&#123; x }}</p>`,
		"a brace before": `<p>{<b></b>{{ name }}{</p>`,
		"one thing left": `<p>{{ name }}</p>`,
		"white space":    `<p>a {{ blank }} b</p><p>{{ blank }}</p>c`,
	} {
		c := mustCompile(t, Content{Subject: "s", HTML: source})
		if c.text == nil {
			t.Errorf("%s: the text is not made once", what)
			continue
		}
		for who, values := range people {
			filled, err := c.fill(envelope("en"), values)
			if err != nil {
				t.Fatal(err)
			}
			if want := textFromHTML(replaceMarks(filled.html, c.html.links, nil)); strings.TrimSpace(filled.text) != want {
				t.Errorf("%s, %s:\n%q, want\n%q", what, who, filled.text, want)
			}
		}
	}
}

// TestAnAddressShownIsWrittenOnce is where the two differ, for the better.
func TestAnAddressShownIsWrittenOnce(t *testing.T) {
	c := mustCompile(t, Content{Subject: "s", HTML: `<a href="{{ url }}">{{ url }}</a>; <a href="mailto:{{ m }}">{{ m }}</a>; <a href="https://x.example/{{ m }}">https://x.example/{{ m }}</a>`})
	filled, err := c.fill(envelope("en"), map[string]any{"url": "https://u.example/é", "m": "a@b.c"})
	if want := "https://u.example/é; a@b.c; https://x.example/a@b.c"; err != nil || filled.text != want {
		t.Errorf("%q, want %q, %v", filled.text, want, err)
	}
}

// TestTornTextIsMadeForEachPerson is what cannot be made once.
func TestTornTextIsMadeForEachPerson(t *testing.T) {
	for what, source := range map[string]string{
		"HTML in a variable":           `{% capture x %}<b>{{ name }}</b>{% endcapture %}<p>{{ x }}</p>`,
		"HTML of a value, changed":     `<p>{{ name | newline_to_br | append: "!" }}</p>`,
		"a variable set out of sight":  `<p style="{% assign x = name %}">a</p>{{ x }}`,
		"a link that ends in a branch": `<a href="{{ url }}">{% if name %}a</a>{% else %}b</a>{% endif %}`,
		"HTML in a cycle":              `{% for i in (1..2) %}{% cycle "<b>", "</b>" %}x{% endfor %}`,
		"a block half out of sight":    `<head>{% if name %}</head><p>x</p>{% endif %}`,
	} {
		c := mustCompile(t, Content{Subject: "s", HTML: source})
		if c.text != nil {
			t.Errorf("%s: the text is made once", what)
		}
		env, values := envelope("en"), map[string]any{"name": "a <b>\nb", "url": "https://u.example"}
		want, err := c.Message(env, values)
		if err != nil {
			t.Fatal(err)
		}
		if _, text, _ := parts(t, want); !strings.HasPrefix(text, "x") && !strings.HasPrefix(text, "a") && !strings.HasPrefix(text, "b") {
			t.Errorf("%s: %q", what, text)
		}
		if got, err := mustFrame(t, c, env).Append(nil, env, values); err != nil || string(got) != string(want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTextIsTidyWhereItIsJoined tries what people's values can do to the lines
// of a text that is made once.
func TestTextIsTidyWhereItIsJoined(t *testing.T) {
	values := []string{"", " ", "x", " x", "x ", "a\nb", "\n", " \n\n\n x", "a  b", "a\tb", strings.Repeat("w ", 37), "é"}
	for _, source := range []string{
		`<p>start</p>{{ a }}<p>{{ b }}</p>{{ a }} c<p>{{ a }}</p><p>{{ b }}</p><p>end</p>`,
		`<p>start {{ a }} {{ b }} x<br>{{ a | newline_to_br }}<br>{{ b | newline_to_br }} y</p><p>end</p>`,
		`<p>start{% if a %}<p>{{ a }}</p> {% endif %} {% if b == "x" %}<p>y</p>{% endif %}<p>end</p>`,
		`<p>start</p>{% for l in list %}<p>{{ l }}</p> {{ a }} <br>{% endfor %}{{ b }}<p>end</p>`,
		`<p>start<br>{{ a }}<br>{{ b }}<br>{{ a }}<br>{{ b }}<br>end</p>`, `{{ a }}<p>{{ b }}</p>`, ` <p>{{ a }}</p> x {{ b }}`, `{{ a }} <p>end</p>`,
	} {
		c := mustCompile(t, Content{Subject: "s", HTML: source})
		f := mustFrame(t, c, envelope("en"))
		for _, a := range values {
			for _, b := range values {
				env, values := envelope("en"), map[string]any{"a": a, "b": b, "list": []any{b, a}}
				want, err := c.Message(env, values)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := f.splice(nil, &env, values); err != nil || string(got) != string(want) {
					t.Fatalf("%s with %q, %q: %v\n%s", source, a, b, err, difference(want, got))
				}
			}
		}
	}
}
