package compose

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"sync"
	texttemplate "text/template"

	"assent/internal/i18n"
	"assent/templates"
)

// Marks stand for the literal links of a template; clean keeps these two
// characters out of everything else.
const markBegin, markEnd = "\x02", "\x03"

func linkMark(n int) string { return markBegin + strconv.Itoa(n) + markEnd }

// replaceMarks puts the links back, or what link gives for them.
func replaceMarks(s string, links []string, link func(n int) string) string {
	if !strings.Contains(s, markBegin) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 64*len(links))
	for {
		before, rest, found := strings.Cut(s, markBegin)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits, after, _ := strings.Cut(rest, markEnd)
		if n, err := strconv.Atoi(digits); err == nil && n < len(links) {
			to := links[n]
			if link != nil {
				to = link(n)
			}
			b.WriteString(html.EscapeString(to))
		}
		s = after
	}
}

var (
	documentRE = regexp.MustCompile(`(?i)<(?:!doctype|html|body)\b`)
	bodyRE     = regexp.MustCompile(`(?i)<body\b(?:[^>"']|"[^"]*"|'[^']*')*>`)
)

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// sheet is what the layout and the footer are filled with.
type sheet struct {
	Lang, Dir, Title, Preheader string
	Body                        template.HTML
	Text                        string // the text part's body
	Brand                       Brand
	Topic                       string
	Leave, Preferences, Why     string
	View, Pixel                 string
	Service                     bool // a system mail: no permission stands behind it
	V                           map[string]any
}

func (env Envelope) sheet(title, preheader string) sheet {
	l := i18n.For(env.Language)
	return sheet{
		Lang: l.Lang(), Dir: l.Dir(), Title: title, Preheader: preheader, Brand: env.Brand, Topic: oneLine(env.Topic, maxName),
		Leave: env.Leave, Preferences: env.Preferences, Why: env.Why, View: env.View, Pixel: env.PixelURL,
	}
}

// button is one link that asks to be pressed.
type button struct{ To, Label string }

// voice is the templates of one language, their t bound to its catalogue.
type voice struct {
	html *template.Template
	text *texttemplate.Template
}

var voices = sync.OnceValue(func() map[string]voice {
	all := make(map[string]voice, len(i18n.Languages))
	for _, lang := range i18n.Languages {
		speak := map[string]any{"t": i18n.For(lang).T, "button": func(to any, label string) button { return button{fmt.Sprint(to), label} }}
		all[lang] = voice{
			html: template.Must(template.New("").Funcs(speak).ParseFS(templates.FS, "mail/*.html")),
			text: texttemplate.Must(texttemplate.New("").Funcs(speak).ParseFS(templates.FS, "mail/*.txt")),
		}
	}
	return all
})

func write(name string, s sheet) (string, error) {
	var b bytes.Buffer
	v := voices()[s.Lang]
	var err error
	if strings.HasSuffix(name, ".txt") {
		err = v.text.ExecuteTemplate(&b, name, s)
	} else {
		err = v.html.ExecuteTemplate(&b, name, s)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return b.String(), nil
}

// page is the HTML part: the layout round a fragment, or the whole document
// with the preheader at its beginning and the footer at its end.
func (c *Compiled) page(env Envelope, filled rendered, link func(n int) string) (string, error) {
	body := replaceMarks(filled.html, c.html.links, link)
	s := env.sheet(oneLine(filled.subject, maxSubject), oneLine(filled.preheader, maxSubject))
	if !c.document {
		s.Body = template.HTML(body) // escaped place by place when it was rendered
		return write("layout.html", s)
	}
	foot, err := write("footer.html", s)
	if err != nil {
		return "", err
	}
	at := lastTag(body, "</body")
	if at < 0 {
		at = lastTag(body, "</html")
	}
	if at < 0 {
		at = len(body)
	}
	body = body[:at] + foot + body[at:]
	if s.Preheader == "" {
		return body, nil
	}
	pre, err := write("preheader.html", s)
	if err != nil {
		return "", err
	}
	if span := bodyRE.FindStringIndex(body); span != nil {
		return body[:span[1]] + pre + body[span[1]:], nil
	}
	return body, nil
}

// lastTag finds the last place of an ASCII tag in any case, -1 when it is not there.
func lastTag(s, tag string) int {
	for i := len(s) - len(tag); i >= 0; i-- {
		if s[i] == '<' && strings.EqualFold(s[i:i+len(tag)], tag) {
			return i
		}
	}
	return -1
}

// footed is the text part with its footer.
func footed(env Envelope, text string) (string, error) {
	s := env.sheet("", "")
	s.Text = strings.TrimSpace(text)
	return write("layout.txt", s)
}
