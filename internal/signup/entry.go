package signup

import (
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"assent/internal/problem"
	"assent/internal/subscriber"
)

// Honeypot is the name of the field that people do not see and programs fill.
const Honeypot = "website"

// Submission is a form as it came back. Nothing in it is trusted.
type Submission struct {
	Token     string            // of Sheet.Token
	Values    map[string]string // by field name; a ticked box by its Name, with any value
	Page      string            // the address of the page it was shown on
	Via       string            // how the visitor found it; see Via
	IP        string
	UserAgent string
	Signs     []string // that it may be a program; for the evidence
	Proof     string   // what was proved for it; for the evidence
}

// entry is a submission that was understood.
type entry struct {
	address subscriber.Address
	name    string
	fields  map[string]any // the others: text, or the number of a number field
	boxes   []Box          // ticked
	page    string
	via     string
	ip      string
	agent   string
	signs   []string
	proof   string
}

// read checks what was typed and reports everything that is wrong at once.
// What is wrong never depends on who the address belongs to.
func (s Sheet) read(in Submission) (entry, error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	e := entry{fields: map[string]any{}, page: pageOf(in.Page), via: Via(in.Via), ip: in.IP, agent: clip(in.UserAgent, valueMax), signs: in.Signs, proof: in.Proof}
	var err error
	if e.address, err = subscriber.ParseAddress(in.Values["email"]); err != nil {
		wrong, ok := problem.Of(err)
		if !ok {
			return entry{}, err
		}
		p.Fields = append(p.Fields, wrong.Fields...)
	}
	for _, f := range s.Spec.Fields {
		value := f.read(p, in.Values[f.Name])
		switch {
		case f.Name == "name":
			e.name = value
		case value == "":
		case f.Type == "number":
			e.fields[f.Name], _ = strconv.ParseFloat(value, 64) // read has seen that it is one
		default:
			e.fields[f.Name] = value
		}
	}
	topic := false
	for _, b := range s.Boxes {
		if in.Values[b.Name()] != "" {
			e.boxes = append(e.boxes, b)
			topic = topic || !b.Tracking()
		}
	}
	if !topic {
		p.Field("topics", "signup.choose-one")
	}
	return e, p.OrNil()
}

var telephone = regexp.MustCompile(`^[+0-9۰-۹٠-٩() ./-]{3,40}$`)

func (f Field) read(p *problem.Error, typed string) string {
	max := valueMax
	if f.Name == "name" {
		max = nameMax
	}
	value := line(p, f.Name, typed, max, f.Required)
	if value == "" {
		return ""
	}
	ok := true
	switch f.Type {
	case "select":
		ok = slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == value })
	case "number":
		n, err := strconv.ParseFloat(value, 64)
		ok = err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	case "date":
		_, err := time.Parse(time.DateOnly, value)
		ok = err == nil
	case "tel":
		ok = telephone.MatchString(value)
	case "url":
		u, err := url.Parse(value)
		ok = err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
	}
	if !ok {
		p.Field(f.Name, "signup.field."+f.Type)
	}
	return value
}

// pageOf keeps of a page's address what says where something was asked, and
// not the query, which may hold anything. What is no address is nothing.
func pageOf(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return ""
	}
	return clip((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), urlMax)
}

// shownPage is what of a page's address stands in a mail. Anybody can claim any
// page in a post, so only one of ours or of the brand's is told in full; of
// another it is the host, in which no advertisement has room.
func shownPage(page, own, website string) string {
	u, err := url.Parse(page)
	if err != nil {
		return ""
	}
	site, err := url.Parse(website)
	if u.Host == own || (err == nil && u.Host == site.Host) {
		return page
	}
	return u.Host
}

func clip(s string, max int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > max {
		s = s[:max]
	}
	return strings.ToValidUTF8(s, "")
}
