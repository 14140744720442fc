package admin

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// CheckLine is something that was looked at before a campaign goes out.
type CheckLine struct {
	Tone, Grade string // Grade is the tone in words
	Text, More  string
	URL, Label  string // where it is mended; empty: nowhere here, or not by this visitor
}

// Checks are all of them, those that are well apart.
type Checks struct {
	Lead  string
	Lasts string // how long it takes, where that is well; one of Fine
	Look  []CheckLine
	Fine  []CheckLine
	Mend  bool // some must be mended before it can be scheduled
}

// fieldsKey names who is asked for the fields of a text.
type fieldsKey struct {
	topic, content uuid.UUID
	tag            string
}

var gradeTones = map[campaign.Grade]string{campaign.Mend: "no", campaign.Look: "ask", campaign.Fine: "yes"}
var gradeWords = map[campaign.Grade]string{campaign.Mend: "mend", campaign.Look: "look", campaign.Fine: "fine"}

// checks looks at a draft before it goes out at a time.
func (d *desk) checks(m mailing, at time.Time) (*Checks, error) {
	p := campaign.Preflight{Language: d.brand.Language, Audience: m.Audience, Texts: m.Texts, Drawn: map[string]campaign.Drawn{},
		Caught: d.h.Out.Catcher, NoWay: !d.h.Out.Catcher && d.h.Out.Direct == nil && len(d.h.Out.Servers) == 0}
	ctx := d.c.Request().Context()
	for _, t := range m.Texts {
		shown, err := d.h.renderer.Preview(ctx, delivery.Sample{BrandID: d.brand.ID, TopicID: m.TopicID, ContentID: m.ContentID, Language: t.Language, Person: sample(t.Language)})
		if _, expected := problem.Of(err); expected {
			continue
		}
		if err != nil {
			return nil, err
		}
		p.Drawn[t.Language] = campaign.Drawn{Subject: shown.Subject, Size: len(shown.HTML)}
	}
	var err error
	if _, p.Halted, err = d.h.DB.SendingPaused(ctx); err != nil {
		return nil, err
	}
	if err := d.read(func(tx *store.Tx) error { return d.askPreflight(tx, m, &p) }); err != nil {
		return nil, err
	}
	p.Lasts = campaign.Lasts(m.Audience.People, at, func(at time.Time) int { return d.paceAt(m.Rate, at) })
	return d.checkLines(m, p), nil
}

// askPreflight fills in what the database knows.
func (d *desk) askPreflight(tx *store.Tx, m mailing, p *campaign.Preflight) (err error) {
	if fields := campaign.Fields(m.Texts); len(fields) > 0 && m.Audience.People > 0 {
		p.Nobodys, err = d.h.mailings.nobodys.of(fieldsKey{m.TopicID, m.ContentID, m.Tag}, func() ([]string, error) {
			return campaign.Nobodys(tx, d.brand.ID, m.TopicID, m.Tag, fields)
		})
		if err != nil {
			return err
		}
	}
	keys, err := brand.DKIMKeys(tx, d.brand.ID)
	if err != nil {
		return err
	}
	p.Unsigned = d.brand.SignedBy != brand.SignedByRelay &&
		!slices.ContainsFunc(keys, func(k brand.DKIMKey) bool { return k.Active && k.Domain == d.brand.SenderDomain() })
	return tx.Raw("SELECT count(*) FROM streams WHERE brand_id = ? AND paused_at IS NOT NULL AND paused_for <> '' AND closed = ''", d.brand.ID).Scan(&p.Stopped).Error
}

// paceAt is how many mails of a campaign may go in the hour that begins then; 0
// is no limit.
func (d *desk) paceAt(rate int, at time.Time) int {
	most := 0
	limit := func(n int) {
		if n > 0 && (most == 0 || n < most) {
			most = n
		}
	}
	limit(rate)
	limit(d.brand.RatePerHour)
	if began := d.brand.WarmUpFrom; began != nil {
		if day, warm := d.h.WarmUp.At(*began, at); !warm {
			limit(day.PerHour)
		}
	}
	return most
}

// checkLines are the findings in words.
func (d *desk) checkLines(m mailing, p campaign.Preflight) *Checks {
	c := &Checks{}
	for _, f := range p.Findings() {
		line := CheckLine{Tone: gradeTones[f.Grade], Grade: d.l.T("admin.preflight.grade." + gradeWords[f.Grade])}
		key := "admin.preflight." + strings.ReplaceAll(f.Check, ".", "-")
		n := f.N
		switch f.Check {
		case "size.large":
			n = int64(math.Ceil(float64(n) / 1000))
		case "time.lasts":
			key, n = roughly(time.Duration(n) * time.Second)
		}
		args := []any{"Language", d.languageName(f.Language), "Own", d.languageName(p.Language)}
		if line.Text = d.l.T(key, args...); n > 0 {
			line.Text = d.l.N(key, n, args...)
		}
		if more := key + "-more"; d.l.Has(more) {
			line.More = d.l.T(more)
		}
		if len(f.What) > 0 {
			line.More = strings.TrimSpace(d.some(f.What) + " " + line.More)
		}
		if f.Grade == campaign.Fine {
			if c.Fine = append(c.Fine, line); strings.HasPrefix(f.Check, "time") {
				c.Lasts = line.Text
			}
			continue
		}
		line.URL, line.Label = d.mendAt(m, f)
		c.Look, c.Mend = append(c.Look, line), c.Mend || f.Grade == campaign.Mend
	}
	c.Lead = d.l.N("admin.preflight.lead", int64(len(c.Look)))
	switch {
	case c.Mend:
		c.Lead = d.l.T("admin.preflight.lead-mend")
	case len(c.Look) == 0:
		c.Lead = d.l.T("admin.preflight.lead-fine")
	}
	return c
}

// roughly is how long something takes, in minutes, hours or days.
func roughly(t time.Duration) (key string, n int64) {
	switch {
	case t < 2*time.Hour:
		return "admin.preflight.time-minutes", int64(math.Ceil(t.Minutes()))
	case t < 48*time.Hour:
		return "admin.preflight.time-hours", int64(math.Round(t.Hours()))
	}
	return "admin.preflight.time-days", int64(math.Round(t.Hours() / 24))
}

// namedAtOnce is how many addresses or fields are named of those found.
const namedAtOnce = 3

// some are the first of what was found, each isolated.
func (d *desk) some(what []string) string {
	var named []string
	for _, w := range what[:min(len(what), namedAtOnce)] {
		if r := []rune(w); len(r) > 80 {
			w = string(r[:80]) + "…"
		}
		if w == "" {
			continue
		}
		named = append(named, "\u2068"+w+"\u2069")
	}
	if len(what) > namedAtOnce {
		named = append(named, "…")
	}
	return strings.Join(named, d.l.T("admin.preflight.and"))
}

// languageName is what a language is called on the page, isolated.
func (d *desk) languageName(code string) string { return "\u2068" + d.l.Language(code) + "\u2069" }

// mendAt is where one mends what was found.
func (d *desk) mendAt(m mailing, f campaign.Finding) (url, label string) {
	sort, _, _ := strings.Cut(f.Check, ".")
	edit := func(part string) string {
		if !slices.ContainsFunc(mailLanguages(d.brand, m.Texts), func(l LanguageFields) bool { return l.Code == f.Language }) {
			return d.to(campaignPath(m.Campaign) + "/edit")
		}
		return d.to(campaignPath(m.Campaign)+"/edit") + "#f-content." + f.Language + "." + part
	}
	switch sort {
	case "people":
		url = d.to(campaignPath(m.Campaign)+"/edit") + "#f-topic"
	case "languages", "subject":
		url = edit("subject")
	case "preheader":
		url = edit("preheader")
	case "drawn", "links", "images", "size":
		url = edit("html")
	case "domain":
		url = d.placed("sending", "#dkim")
	case "flow":
		url = d.placed("sending", "#streams")
	case "time":
		url = d.placed("sending", "#pace")
	}
	if url == "" {
		return "", ""
	}
	return url, d.l.T("admin.preflight.mend." + sort)
}

// placed is a place on a page of the brand; empty where the visitor may not go.
func (d *desk) placed(page, at string) string {
	url := d.place(page)
	if url == "" {
		return ""
	}
	return url + at
}

// mayCheck: the checks are for those who can act on them.
func (d *desk) mayCheck(m mailing) bool { return m.State == campaign.Draft && d.may(account.Marketer) }
