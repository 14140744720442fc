package compose

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

var (
	pictureRE = regexp.MustCompile(`<img\b[^>]*>`)
	someLogo  = Logo{"https://mail.baharan.example/logo/0123456789abcdef0123456789abcdef.png", 192, 64}
)

// The brand's picture stands for its name at the head of its mails, is the same
// for every reader, and costs no mail its fast way.
func TestTheLogoAtTheHead(t *testing.T) {
	compiled := mustCompile(t, letters["en"])
	common := envelope("en")
	common.Brand.Logo, common.Brand.Name = someLogo, `Baharan "Books" & <tea>`
	f, err := compiled.Frame(common)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, to := range []string{"sara@example.org", "ali@example.org"} {
		env := common
		env.To.Email, env.Leave = to, "https://mail.baharan.example/u/"+to[:3]
		fast, err := f.splice(nil, &env, reader("en"))
		if err != nil {
			t.Fatalf("not spliced: %v", err)
		}
		slow, err := compiled.Message(env, reader("en"))
		if err != nil || !bytes.Equal(fast, slow) {
			t.Errorf("the two ways differ: %v", err)
		}
		_, text, html := parts(t, fast)
		pictures := pictureRE.FindAllString(html, -1)
		if len(pictures) != 1 {
			t.Fatalf("%d pictures: %q", len(pictures), pictures)
		}
		for _, want := range []string{`src="` + someLogo.URL + `"`, `width="192"`, `height="64"`, `alt="Baharan &#34;Books&#34; &amp; &lt;tea&gt;"`} {
			if !strings.Contains(pictures[0], want) {
				t.Errorf("%s lacks %s", pictures[0], want)
			}
		}
		if strings.Contains(text, someLogo.URL) {
			t.Error("the text names the picture")
		}
		seen[pictures[0]] = true
	}
	if len(seen) != 1 {
		t.Errorf("two readers are told apart: %v", seen)
	}
}

func TestTheLogoOfServiceMail(t *testing.T) {
	for _, name := range SystemMails {
		env := envelope("fa")
		env.Brand.Logo = someLogo
		raw, err := System(name, "fa", env, asked("fa"))
		if err != nil {
			t.Fatal(err)
		}
		_, _, html := parts(t, raw)
		if pictures := pictureRE.FindAllString(html, -1); len(pictures) != 1 || !strings.Contains(pictures[0], someLogo.URL) || !strings.Contains(pictures[0], env.Brand.Name) {
			t.Errorf("%s: %q", name, pictures)
		}
	}
}

// A document that a marketer wrote whole has the head that they gave it.
func TestAWholeDocumentHasNoLogoOfOurs(t *testing.T) {
	env := envelope("en")
	env.Brand.Logo = someLogo
	raw, err := mustCompile(t, Content{Language: "en", Subject: "Hello", HTML: "<!doctype html><body><p>Hello</p></body>"}).Message(env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, html := parts(t, raw); strings.Contains(html, "<img") {
		t.Error("a picture")
	}
}
