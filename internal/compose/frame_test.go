package compose

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// bulletin is a letter of about 4 KB with a name and three links.
func bulletin(greeting string) Content {
	var b strings.Builder
	b.WriteString(`<h1 style="margin:0 0 16px;font-size:24px;line-height:1.4">` + greeting + "</h1>\n")
	for i := range 9 {
		fmt.Fprintf(&b, `<p style="margin:0 0 16px">Shelf %d by the window holds what came in this week, and the small lamp is on again until six. `+
			`We have read most of it and wrote on the cards what we thought; ask us for the rest, and do bring back the ladder.</p>`+"\n", i)
		if i%3 == 1 {
			fmt.Fprintf(&b, `<p style="margin:0 0 16px"><a href="https://baharan.example/shelf/%d?from=letter&amp;week=47" style="color:#0e7a5f">Go and see shelf %d</a></p>`+"\n", i, i)
		}
	}
	return Content{Language: "en", Subject: "New on the shelves, {{ subscriber.name }}", Preheader: "And one essay.", HTML: b.String()}
}

var greetings = map[string]string{
	"name":   "Good morning, {{ subscriber.name }}",
	"if":     "Good morning{% if subscriber.name != blank %}, {{ subscriber.name }}{% else %}, reader{% endif %}",
	"for":    "Good morning{% for n in subscriber.names %}, {{ n }}{% endfor %}",
	"assign": `{% assign first = subscriber.name | split: " " | first %}Good morning, {{ first }}`,
	"engine": `Good morning, {{ subscriber.names[0] }}{% case brand.name %}{% when "Baharan" %} again{% endcase %}`,
}

func bulletinFor(name string) (Envelope, map[string]any) {
	env := envelope("en")
	token := "/AZOhwnseoAADc3Rhcm8vqzVxN2JhaGFyYW4xMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1"
	env.To = Address{name, "sara@example.org"}
	env.Leave, env.Why, env.View = "https://mail.baharan.example/u"+token, "https://mail.baharan.example/w"+token, "https://mail.baharan.example/v"+token
	env.Preferences, env.PixelURL = "https://mail.baharan.example/p"+token, "https://mail.baharan.example/o"+token
	click := "https://mail.baharan.example/l" + token
	env.Link = func(int) string { return click }
	return env, map[string]any{"subscriber": map[string]any{"name": name, "names": []any{name, "Nima"}}, "brand": map[string]any{"name": "Baharan"}}
}

func mustFrame(t testing.TB, c *Compiled, common Envelope) *Frame {
	t.Helper()
	f, err := c.Frame(common)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFrameBulletin(t *testing.T) {
	for what, greeting := range greetings {
		c := mustCompile(t, bulletin(greeting))
		for _, name := range []string{"Sara Kamali", "", "سارا کمالی", "O'Neil & <b>"} {
			env, values := bulletinFor(name)
			f := mustFrame(t, c, env)
			want, err := c.Message(env, values)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.splice(nil, &env, values)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s: %v\n%s", what, name, err, difference(want, got))
			}
		}
	}
}

// TestFrameServesManyAtOnce has them all ask for pages that are not yet made.
func TestFrameServesManyAtOnce(t *testing.T) {
	c := mustCompile(t, bulletin(greetings["assign"]))
	common, values := bulletinFor("Sara Kamali")
	f := mustFrame(t, c, common)
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			env := common
			for bit, url := range []*string{&env.PixelURL, &env.View, &env.Why, &env.Preferences} {
				if n>>bit&1 == 0 {
					*url = ""
				}
			}
			if n&16 == 0 {
				env.Link = nil
			}
			want, wrong := c.Message(env, values)
			if got, err := f.splice(nil, &env, values); err != nil || wrong != nil || !bytes.Equal(got, want) {
				t.Errorf("%d: %v, %v: %s", n, err, wrong, difference(want, got))
			}
		})
	}
	all.Wait()
}

// difference shows where two mails part.
func difference(want, got []byte) string {
	n := 0
	for n < min(len(want), len(got)) && want[n] == got[n] {
		n++
	}
	return fmt.Sprintf("want %.300q\ngot  %.300q", want[max(n-80, 0):], got[max(n-80, 0):])
}

func BenchmarkFrameAppend(b *testing.B) {
	for what, greeting := range greetings {
		c := mustCompile(b, bulletin(greeting))
		env, values := bulletinFor("Sara Kamali")
		f := mustFrame(b, c, env)
		var dst []byte
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = f.splice(dst[:0], &env, values); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
