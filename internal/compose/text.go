package compose

import (
	"regexp"
	"strings"

	"github.com/k3a/html2text"
	"golang.org/x/net/html"
)

// textFromHTML makes the text part out of the HTML. The converter knows only
// bare tags and runs cells together, so it is given a plainer document: blocks
// are paragraphs, cells have a bar between them, pictures are their alt texts,
// and a link whose text is its address is only the address.
func textFromHTML(source string) string {
	for _, mark := range []string{cellMark, wordBegin, wordEnd} {
		source = strings.ReplaceAll(source, mark, "")
	}
	return makeText(source, nil)
}

// makeText is textFromHTML for a document that holds words.
func makeText(source string, words []word) string {
	text := html2text.HTML2TextWithOptions(plainHTML(source, words),
		html2text.WithUnixLineBreaks(), html2text.WithLinksInnerText(), html2text.WithListSupport())
	text = lineEndRE.ReplaceAllString(text, "\n")
	text = cellsRE.ReplaceAllString(text, " | ")
	return strings.TrimSpace(emptyRE.ReplaceAllString(text, "\n\n"))
}

// cellMark stands between two cells; it is of the private use area.
const cellMark = "\ue000"

var (
	lineEndRE = regexp.MustCompile(`[ \t` + cellMark + `]*\n[ \t` + cellMark + `]*`)
	cellsRE   = regexp.MustCompile(`[ ` + cellMark + `]*` + cellMark + `[ ` + cellMark + `]*`)
	emptyRE   = regexp.MustCompile(`\n{3,}`)
)

// silent elements have nothing to read.
var silent = map[string]bool{"head": true, "script": true, "style": true, "title": true, "template": true}

func plainHTML(source string, words []word) string {
	p := plainer{z: html.NewTokenizer(strings.NewReader(source)), words: words}
	for {
		switch p.z.Next() {
		case html.ErrorToken:
			p.closeLink()
			return p.out.String()
		case html.TextToken:
			if p.muted == 0 {
				p.text(string(p.z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(p.z.Token())
		case html.EndTagToken:
			p.end(p.z.Token().Data)
		}
	}
}

// plainer copies a document with only the tags that the converter reads.
type plainer struct {
	z      *html.Tokenizer
	out    strings.Builder
	words  []word // that stand in the document
	muted  int    // depth of silent elements
	href   string // of the open link
	inLink strings.Builder
}

func (p *plainer) text(s string) {
	if p.href != "" {
		p.inLink.WriteString(s)
		return
	}
	p.out.WriteString(html.EscapeString(s))
}

func (p *plainer) start(t html.Token) {
	if silent[t.Data] {
		if t.Type == html.StartTagToken {
			p.muted++
		}
		return
	}
	if p.muted > 0 {
		return
	}
	switch t.Data {
	case "a":
		p.closeLink()
		for _, a := range t.Attr {
			if a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				p.href = strings.TrimSpace(a.Val)
			}
		}
	case "img":
		for _, a := range t.Attr {
			if a.Key == "alt" {
				p.text(a.Val)
			}
		}
	case "br":
		p.out.WriteString("<br>")
	case "li", "ul", "ol":
		p.out.WriteString("<" + t.Data + ">")
	case "p", "h1", "h2", "h3", "h4", "h5", "h6", "div", "table", "section", "article", "header", "footer", "blockquote", "hr", "pre":
		p.out.WriteString("<p>")
	}
}

func (p *plainer) end(name string) {
	if silent[name] {
		p.muted = max(p.muted-1, 0)
		return
	}
	if p.muted > 0 {
		return
	}
	switch name {
	case "a":
		p.closeLink()
	case "td", "th":
		p.out.WriteString(cellMark)
	case "tr":
		p.out.WriteString("<br>")
	case "li", "ul", "ol":
		p.out.WriteString("</" + name + ">")
	case "p", "h1", "h2", "h3", "h4", "h5", "h6", "div", "table", "section", "article", "header", "footer", "blockquote", "pre":
		p.out.WriteString("</p>")
	}
}

// closeLink writes the link that is open: its words, then where it leads.
func (p *plainer) closeLink() {
	if p.href == "" {
		return
	}
	words := strings.TrimSpace(p.inLink.String())
	to := strings.TrimPrefix(p.href, "mailto:")
	switch {
	case words == "":
	case sameWords(words, p.href, p.words) || sameWords(words, to, p.words):
		p.out.WriteString(html.EscapeString(words))
	default:
		p.out.WriteString(`<a href="` + html.EscapeString(to) + `">` + html.EscapeString(words) + `</a>`)
	}
	p.href = ""
	p.inLink.Reset()
}
