package admin

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// Preview is the mail in one language.
type Preview struct {
	Tabs               []Tab // View is the language
	Subject, Preheader string
	Dir, Lang          string
	HTML               string // address
	To                 string // address to ask for another reader at; empty: the visitor sees no people
	UILang             string // chosen for this page; may be empty
	Pick               string // address that finds them as one types
	As                 string // the address typed
	For                string // whose values stand in it; empty: nobody's
	Unknown            bool   // nobody has the address typed
	Readers            []string
	Wrong              string // why it cannot be drawn; may be empty
}

// preview tells how the mail looks; with the values of who has the address of
// ?as=, where the visitor may see people, and in that person's language.
func (d *desk) preview(m mailing) (Preview, error) {
	var who Preview
	s := delivery.Sample{TopicID: m.TopicID, ContentID: m.ContentID}
	if d.may(account.Analyst) {
		who.To, who.As = brandPath+d.brand.Slug+campaignPath(m.Campaign), d.asked("as", 320)
		person, found, err := d.reader(m, &who)
		if err != nil {
			return who, err
		}
		if found {
			s.Person, s.Language = person, person.Language
		}
	}
	p := d.previewOf(m.Texts, s, func(in string) string { return d.to(campaignPath(m.Campaign), "in", in, "as", who.As) },
		func(in string) string {
			pairs := []string{"in", in, "of", m.ContentID.String()}
			if s.Person.ID != uuid.Nil {
				pairs = append(pairs, "as", s.Person.ID.String())
			}
			return d.to(campaignPath(m.Campaign)+"/preview", pairs...)
		})
	p.To, p.As, p.For, p.Unknown, p.Readers = who.To, who.As, who.For, who.Unknown, who.Readers
	p.UILang, p.Pick = chosenLanguage(d.c), d.to("/pick/people")
	return p, nil
}

// readersAtOnce is how many people are offered to see a mail as.
const readersAtOnce = 8

// reader is who has the address that was typed, and who might be typed.
func (d *desk) reader(m mailing, p *Preview) (s subscriber.Subscriber, found bool, err error) {
	err = d.read(func(tx *store.Tx) error {
		var err error
		if p.Readers, err = consent.NewestReaders(tx, d.brand.ID, m.TopicID, m.Tag, readersAtOnce); err != nil || p.As == "" {
			return err
		}
		p.Unknown = true
		a, err := subscriber.ParseAddress(p.As)
		if err != nil {
			return nil // told as unknown
		}
		s, err = subscriber.ByAddress(tx, d.brand, a)
		if problem.Is(err, problem.NotFound) {
			return nil
		}
		found, p.Unknown, p.For = err == nil, false, cmp.Or(s.Name, s.Email)
		return err
	})
	return s, found, err
}

// previewCampaign is the mail's own HTML, fenced in.
func previewCampaign(d *desk) error {
	c, _, err := d.campaign()
	if err != nil {
		return err
	}
	in := d.c.QueryParam("in")
	person := sample(in)
	if as, err := uuid.Parse(d.c.QueryParam("as")); err == nil && d.may(account.Analyst) {
		if err := d.read(func(tx *store.Tx) error { person, err = subscriber.Find(tx, d.brand.ID, as); return err }); err != nil {
			return err
		}
	}
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), delivery.Sample{BrandID: d.brand.ID, TopicID: c.TopicID, ContentID: c.ContentID, Language: in, Person: person})
	if err != nil {
		return err
	}
	return web.Mail(d.c, string(shown.HTML))
}

// sample is somebody who is nobody, to show a mail with.
func sample(language string) subscriber.Subscriber {
	return subscriber.Subscriber{Name: i18n.For(language).T("admin.campaign.sample-name"), Email: "sample@example.org", Language: language}
}

// previewOf tells how a mail looks in the language of ?in=, else in that of the
// sample, else in the brand's own; as the sample's person gets it, or nobody in
// particular. at is the page in a language, and html the mail's own HTML in it.
func (d *desk) previewOf(texts []delivery.Text, s delivery.Sample, at, html func(in string) string) (p Preview) {
	want, code := cmp.Or(d.c.QueryParam("in"), s.Language), ""
	for _, t := range mailLanguages(d.brand, texts) {
		if !slices.ContainsFunc(texts, func(x delivery.Text) bool { return x.Language == t.Code }) {
			continue
		}
		if code == "" || t.Code == want {
			code, p.Dir, p.Lang = t.Code, t.Dir, t.Code
		}
		p.Tabs = append(p.Tabs, Tab{View: t.Name, URL: at(t.Code) + "#preview"})
	}
	for i, t := range p.Tabs {
		p.Tabs[i].Current = strings.Contains(t.URL, "in="+url.QueryEscape(code))
	}
	if s.BrandID, s.Language = d.brand.ID, code; s.Person.ID == uuid.Nil {
		s.Person = sample(code)
	}
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), s)
	if err != nil {
		p.Wrong = d.l.T("admin.campaign.preview-wrong")
		if wrong, ok := problem.Of(err); ok {
			p.Wrong = d.l.T(wrong.Key, wrong.Args...)
		}
		return p
	}
	p.Subject, p.Preheader = shown.Subject, shown.Preheader
	p.HTML = html(code)
	return p
}
