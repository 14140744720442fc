package help

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"assent/internal/i18n"
)

// markdown is CommonMark with ids at headings, and without HTML: goldmark
// leaves that out, and addresses that could run something.
var markdown = goldmark.New(goldmark.WithParserOptions(parser.WithHeadingAttribute()))

// mark stands in an address of the book where what the visitor brings along goes; see Fill.
const mark = "~here~"

// Fill puts the query that stays with the visitor ("?lang=fa", or nothing) into
// the addresses of a part of a page.
func Fill(part template.HTML, query string) template.HTML {
	return template.HTML(strings.ReplaceAll(string(part), mark, template.HTMLEscapeString(query)))
}

// The shape of a page, and what breaks it.
var (
	errNoTitle   = errors.New("a page begins with a heading of level 1, and has no other")
	errHTML      = errors.New("HTML of its own")
	errPicture   = errors.New("a picture")
	errNoID      = errors.New("a heading needs an id: ## Heading {#id}")
	errTwice     = errors.New("two sections have the id")
	errLink      = errors.New("a link leads to page.md, #section or https://")
	errNoLead    = errors.New("a page has a lead before its first section")
	errNoContent = errors.New("a section has something to say")
)

var idShape = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func readPage(files fs.FS, lang string, ch chapter) (Page, error) {
	source, err := fs.ReadFile(files, "help/"+lang+"/"+ch.slug+".md")
	if err != nil {
		return Page{}, err
	}
	doc := markdown.Parser().Parse(text.NewReader(source))
	if err := tidy(doc, source); err != nil {
		return Page{}, err
	}
	p := Page{Slug: ch.slug, About: ch.about, Sorted: ch.sorted}
	if err := p.fill(doc, source); err != nil {
		return Page{}, err
	}
	if ch.sorted {
		i18n.Sort(lang, p.Sections, func(s Section) string { return s.Title })
	}
	return p, nil
}

// tidy refuses what a page may not have, and turns the links between files into
// those between pages.
func tidy(doc ast.Node, source []byte) error {
	return ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.HTMLBlock, *ast.RawHTML:
			return ast.WalkStop, errHTML
		case *ast.Image:
			return ast.WalkStop, errPicture
		case *ast.AutoLink:
			return ast.WalkContinue, outward(n, string(n.URL(source)))
		case *ast.Link:
			return ast.WalkContinue, relink(n)
		}
		return ast.WalkContinue, nil
	})
}

var fileLink = regexp.MustCompile(`^(?:([a-z-]+)\.md)?(#[a-z0-9-]+)?$`)

func relink(n *ast.Link) error {
	to := string(n.Destination)
	m := fileLink.FindStringSubmatch(to)
	if m == nil {
		return outward(n, to)
	}
	if to == "" {
		return fmt.Errorf("%w, not to nothing", errLink)
	}
	if m[1] != "" {
		n.Destination = []byte(Path + "/" + m[1] + mark + m[2])
	}
	return nil
}

// outward is a link to somebody else's page, who is not told where it was.
func outward(n ast.Node, to string) error {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%w, not to %q", errLink, to)
	}
	n.SetAttributeString("rel", []byte("noopener noreferrer"))
	return nil
}

// fill cuts the document at its headings.
func (p *Page) fill(doc ast.Node, source []byte) error {
	first, ok := doc.FirstChild().(*ast.Heading)
	if !ok || first.Level != 1 {
		return errNoTitle
	}
	p.Title = plain(first, source)
	seen := map[string]bool{}
	for n := first.NextSibling(); n != nil; n = n.NextSibling() {
		h, heading := n.(*ast.Heading)
		switch {
		case heading && h.Level == 1:
			return errNoTitle
		case heading && h.Level == 2:
			id, _ := h.AttributeString("id")
			name, _ := id.([]byte)
			if !idShape.Match(name) {
				return fmt.Errorf("%q: %w", plain(h, source), errNoID)
			}
			if seen[string(name)] {
				return fmt.Errorf("%w %s", errTwice, name)
			}
			seen[string(name)] = true
			p.Sections = append(p.Sections, Section{ID: string(name), Title: plain(h, source)})
		default:
			if err := p.add(n, source); err != nil {
				return err
			}
		}
	}
	return p.complete()
}

// add puts a block at the end of the page.
func (p *Page) add(n ast.Node, source []byte) error {
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, source, n); err != nil {
		return err
	}
	body := template.HTML(b.String()) // by goldmark, of our own files, without HTML of their own
	if len(p.Sections) == 0 {
		p.Lead += body
		p.lead = strings.TrimSpace(p.lead + " " + plain(n, source))
		return nil
	}
	s := &p.Sections[len(p.Sections)-1]
	s.Body += body
	s.text = strings.TrimSpace(s.text + " " + plain(n, source))
	return nil
}

func (p *Page) complete() error {
	if p.lead == "" {
		return errNoLead
	}
	for _, s := range p.Sections {
		if s.text == "" {
			return fmt.Errorf("%s: %w", s.ID, errNoContent)
		}
	}
	return nil
}

// plain is what can be read of a part of a page.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Segment.Value(source))
				if n.SoftLineBreak() || n.HardLineBreak() {
					b.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		case *ast.FencedCodeBlock:
			if entering {
				b.Write(n.Lines().Value(source))
			}
		default:
			if !entering && n.Type() == ast.TypeBlock {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

var placeIn = regexp.MustCompile(`href="(?:` + Path + `/([a-z-]+)` + mark + `)?(#[a-z0-9-]+)?"`)

// places are where the page's links within the book lead.
func (p Page) places() []string {
	var all []string
	body := string(p.Lead)
	for _, s := range p.Sections {
		body += string(s.Body)
	}
	for _, m := range placeIn.FindAllStringSubmatch(body, -1) {
		slug := m[1]
		if slug == "" {
			slug = p.Slug
		}
		all = append(all, slug+m[2])
	}
	return all
}
