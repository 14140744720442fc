package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/web"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

// illustrate gives every body of the description an example, put together from
// those of its fields.
func illustrate(o *huma.OpenAPI) {
	for _, op := range operations(o) {
		if op.RequestBody != nil {
			for _, m := range op.RequestBody.Content {
				m.Example = example(o, m.Schema)
			}
		}
		for status, r := range op.Responses {
			for _, m := range r.Content {
				if status[0] == '2' {
					m.Example = example(o, m.Schema)
				}
			}
		}
	}
}

func operations(o *huma.OpenAPI) []*huma.Operation {
	var all []*huma.Operation
	for _, item := range o.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	order := map[string]int{http.MethodGet: 1, http.MethodPost: 0, http.MethodPatch: 2}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Path != all[j].Path {
			return all[i].Path < all[j].Path
		}
		return order[all[i].Method] < order[all[j].Method]
	})
	return all
}

func resolve(o *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return o.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// example makes a value of the schema from the examples in it. Where a schema
// holds itself there would be no end; ours do not.
func example(o *huma.OpenAPI, s *huma.Schema) any {
	s = resolve(o, s)
	switch {
	case s == nil:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Type == huma.TypeArray:
		return []any{example(o, s.Items)}
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		v := map[string]any{}
		for name, p := range s.Properties {
			v[name] = example(o, p)
		}
		return v
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return map[string]any{"en": example(o, of)}
		}
		return map[string]any{}
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == huma.TypeInteger, s.Type == huma.TypeNumber:
		return 0
	case s.Type == huma.TypeBoolean:
		return false
	}
	return ""
}

// The page in the terms of its template.
type docsView struct {
	Style  template.CSS
	Server string
	Groups []docsGroup
	Kinds  []docsKind
}

type docsGroup struct {
	Name    string
	Actions []docsAction
}

type docsAction struct {
	ID, Method, Path, Summary, More, Scope string
	Parameters                             []docsField
	Body, Answer                           []docsField
	BodyExample, AnswerExample             string
	Status                                 string
}

type docsField struct {
	Name, Type, About string
	Required          bool
}

type docsKind struct{ Name, Text string }

// docs renders the description as a page once; it loads nothing from anywhere,
// and its one style sheet stands in it under its hash.
func docs(o *huma.OpenAPI) (echo.HandlerFunc, error) {
	t, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, fmt.Errorf("parse the page of the API: %w", err)
	}
	v := docsView{Style: template.CSS(docsStyle), Server: o.Servers[0].URL, Kinds: docsKinds()}
	for _, op := range operations(o) {
		a, err := docsOf(o, op)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(v.Groups, func(g docsGroup) bool { return g.Name == op.Tags[0] })
		if i < 0 {
			v.Groups = append(v.Groups, docsGroup{Name: op.Tags[0]})
			i = len(v.Groups) - 1
		}
		v.Groups[i].Actions = append(v.Groups[i].Actions, a)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, v); err != nil {
		return nil, fmt.Errorf("draw the page of the API: %w", err)
	}
	sum := sha256.Sum256([]byte(docsStyle))
	policy := strings.Replace(web.PagePolicy, "style-src 'self'", "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", 1)
	return func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy)
		return c.HTMLBlob(http.StatusOK, page.Bytes())
	}, nil
}

func docsOf(o *huma.OpenAPI, op *huma.Operation) (docsAction, error) {
	a := docsAction{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, More: op.Description, Scope: op.Security[0]["key"][0]}
	for _, p := range op.Parameters {
		f := docsFieldOf(o, p.Name+" in "+p.In, p.Schema, p.Required)
		if p.Description != "" {
			f.About = p.Description
		}
		a.Parameters = append(a.Parameters, f)
	}
	var err error
	if op.RequestBody != nil {
		if a.Body, a.BodyExample, err = docsBody(o, op.RequestBody.Content["application/json"]); err != nil {
			return a, err
		}
	}
	for status, r := range op.Responses {
		if m := r.Content["application/json"]; status[0] == '2' && m != nil {
			a.Status = status
			if a.Answer, a.AnswerExample, err = docsBody(o, m); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

func docsBody(o *huma.OpenAPI, m *huma.MediaType) ([]docsField, string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m.Example); err != nil {
		return nil, "", fmt.Errorf("write an example: %w", err)
	}
	return docsFields(o, "", m.Schema), b.String(), nil
}

// docsFields lists the fields of an object, those of what it holds below them.
func docsFields(o *huma.OpenAPI, prefix string, s *huma.Schema) []docsField {
	s = resolve(o, s)
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := slices.Contains(s.Required, names[i]), slices.Contains(s.Required, names[j])
		if a != b {
			return a
		}
		return names[i] < names[j]
	})
	var fields []docsField
	for _, name := range names {
		p := s.Properties[name]
		fields = append(fields, docsFieldOf(o, prefix+name, p, slices.Contains(s.Required, name)))
		inner, step := resolve(o, p), "/"
		if inner.Type == huma.TypeArray {
			inner, step = resolve(o, inner.Items), "/…/"
		} else if of, ok := inner.AdditionalProperties.(*huma.Schema); ok {
			inner, step = resolve(o, of), "/…/"
		}
		if len(inner.Properties) > 0 {
			fields = append(fields, docsFields(o, prefix+name+step, inner)...)
		}
	}
	return fields
}

func docsFieldOf(o *huma.OpenAPI, name string, s *huma.Schema, required bool) docsField {
	f := docsField{Name: name, About: s.Description, Required: required}
	r := resolve(o, s)
	f.Type = r.Type
	if r.Format != "" {
		f.Type += ", " + r.Format
	}
	if len(r.Enum) > 0 {
		words := make([]string, len(r.Enum))
		for i, v := range r.Enum {
			words[i] = fmt.Sprint(v)
		}
		f.Type = strings.Join(words, " | ")
	}
	if r.MaxLength != nil {
		f.Type += fmt.Sprintf(", ≤ %d characters", *r.MaxLength)
	}
	return f
}

func docsKinds() []docsKind {
	var kinds []docsKind
	for k := problem.Internal; k <= problem.Unavailable; k++ {
		kinds = append(kinds, docsKind{Name: k.String(), Text: i18n.For("en").T("problem." + k.String())})
	}
	return kinds
}
