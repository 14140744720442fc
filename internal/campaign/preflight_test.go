package campaign_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// sound is a campaign at which nothing is to be seen.
func sound() campaign.Preflight {
	return campaign.Preflight{Language: "en", Audience: campaign.Audience{People: 3, Languages: map[string]int64{"en": 3}},
		Texts: []delivery.Text{{Language: "en", Subject: "Hello", Preheader: "Of autumn", HTML: `<p><a href="https://example.org/">here</a><img src="https://example.org/a.png" alt=""></p>`}},
		Drawn: map[string]campaign.Drawn{"en": {Subject: "Hello", Size: 9000}}}
}

// told are the findings that are not fine.
func told(p campaign.Preflight) (all []string) {
	for _, f := range p.Findings() {
		if f.Grade != campaign.Fine {
			all = append(all, f.Check)
		}
	}
	return all
}

func TestPreflight(t *testing.T) {
	if got := told(sound()); len(got) > 0 {
		t.Fatalf("a sound campaign: %v", got)
	}
	html := func(p *campaign.Preflight, html string) { p.Texts[0].HTML = html }
	for name, c := range map[string]struct {
		spoil func(*campaign.Preflight)
		want  string
	}{
		"nobody":          {func(p *campaign.Preflight) { p.Audience.People = 0 }, "people.nobody"},
		"no text of own":  {func(p *campaign.Preflight) { p.Language = "fa" }, "languages.own"},
		"unread language": {func(p *campaign.Preflight) { p.Audience.Languages["fa"] = 1 }, "languages.missing"},
		"empty subject":   {func(p *campaign.Preflight) { p.Drawn["en"] = campaign.Drawn{Subject: " "} }, "subject.empty"},
		"71 characters":   {func(p *campaign.Preflight) { p.Drawn["en"] = campaign.Drawn{Subject: strings.Repeat("ش", 71)} }, "subject.long"},
		"70 characters":   {func(p *campaign.Preflight) { p.Drawn["en"] = campaign.Drawn{Subject: strings.Repeat("ش", 70)} }, ""},
		"no preheader":    {func(p *campaign.Preflight) { p.Texts[0].Preheader = "" }, "preheader.empty"},
		"clipped":         {func(p *campaign.Preflight) { p.Drawn["en"] = campaign.Drawn{Subject: "a", Size: 102_001} }, "size.large"},
		"not drawn":       {func(p *campaign.Preflight) { clear(p.Drawn) }, "drawn.not"},
		"nobody's field":  {func(p *campaign.Preflight) { p.Nobodys = []string{"city"} }, "drawn.nobodys"},
		"no scheme":       {func(p *campaign.Preflight) { html(p, `<a href="www.example.org">`) }, "links.none"},
		"empty link":      {func(p *campaign.Preflight) { html(p, `<a href="">`) }, "links.none"},
		"bare anchor":     {func(p *campaign.Preflight) { html(p, `<a href="#">`) }, "links.none"},
		"script":          {func(p *campaign.Preflight) { html(p, `<a href="javascript:x()">`) }, "links.none"},
		"open":            {func(p *campaign.Preflight) { html(p, `<a href="http://example.org/">`) }, "links.open"},
		"localhost":       {func(p *campaign.Preflight) { html(p, `<a href="http://localhost:8080/">`) }, "links.private"},
		"private address": {func(p *campaign.Preflight) { html(p, `<img alt="" src="https://192.168.1.4/a.png">`) }, "links.private"},
		"private v6":      {func(p *campaign.Preflight) { html(p, `<a href="https://[fd00::1]/">`) }, "links.private"},
		"office host":     {func(p *campaign.Preflight) { html(p, `<a href="https://wiki/">`) }, "links.private"},
		"mailto, anchor": {func(p *campaign.Preflight) {
			html(p, `<a href="mailto:a@example.org"><a href="#top"><a href="{{ leave_url }}">`)
		}, ""},
		"image without":    {func(p *campaign.Preflight) { html(p, `<img src="https://example.org/a.png">`) }, "images.bare"},
		"unsigned":         {func(p *campaign.Preflight) { p.Unsigned = true }, "domain.unsigned"},
		"caught":           {func(p *campaign.Preflight) { p.Caught = true }, "flow.caught"},
		"no way":           {func(p *campaign.Preflight) { p.NoWay = true }, "flow.none"},
		"halted":           {func(p *campaign.Preflight) { p.Halted = true }, "flow.halted"},
		"safeguard":        {func(p *campaign.Preflight) { p.Stopped = 1 }, "flow.stopped"},
		"a day and more":   {func(p *campaign.Preflight) { p.Lasts = 25 * time.Hour }, "time.lasts"},
		"an hour":          {func(p *campaign.Preflight) { p.Lasts = time.Hour }, ""},
		"more than a year": {func(p *campaign.Preflight) { p.Lasts = -1 }, "time.never"},
	} {
		p := sound()
		c.spoil(&p)
		if got := strings.Join(told(p), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	p := sound()
	p.Halted, p.Language = true, "fa"
	if f := p.Findings(); f[0].Grade != campaign.Mend || f[1].Grade != campaign.Look || f[len(f)-1].Grade != campaign.Fine {
		t.Errorf("the gravest are not first: %v", f)
	}
}

func TestHowLongItTakes(t *testing.T) {
	day0 := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	warm := func(at time.Time) int { // 10, then 100 an hour, then as fast as it goes
		return []int{10, 100, 0}[min(2, int(at.Sub(day0)/(24*time.Hour)))]
	}
	steady := func(rate int) func(time.Time) int { return func(time.Time) int { return rate } }
	for _, c := range []struct {
		people int64
		pace   func(time.Time) int
		want   time.Duration
	}{
		{1000, steady(0), 0}, {0, steady(5), 0}, {30, steady(60), 30 * time.Minute}, {150, steady(60), 150 * time.Minute},
		{340, warm, 25 * time.Hour}, {1 << 20, warm, 48 * time.Hour}, {1 << 40, steady(1), -1},
	} {
		if got := campaign.Lasts(c.people, day0, c.pace); got != c.want {
			t.Errorf("%d people take %v, want %v", c.people, got, c.want)
		}
	}
}

func TestFieldsOfATemplate(t *testing.T) {
	got := campaign.Fields([]delivery.Text{{Subject: "{{ subscriber.name }}", HTML: `subscriber.no {% if subscriber.city == "x" %}{{ subscriber["shoe"] | upcase }}{% endif %}`, Text: "{{subscriber.city}}"}})
	if !slices.Equal(got, []string{"city", "shoe"}) {
		t.Errorf("fields: %v", got)
	}
}

// What the database is asked before a campaign goes out, and what is refused.
func TestPreflightOfTheAudience(t *testing.T) {
	each(t, func(w *world) {
		people := w.crowd(3)
		w.write(func(tx *store.Tx) error {
			if err := subscriber.AddTags(tx, w.brand.ID, people[1].ID, "shop"); err != nil {
				return err
			}
			_, err := subscriber.Update(tx, w.brand, people[0].ID, subscriber.Change{Attributes: map[string]any{"city": "Tabriz"}})
			return err
		})
		var c campaign.Campaign
		w.write(func(tx *store.Tx) error {
			var err error
			c, err = campaign.Create(tx, w.brand, campaign.New{Name: "Spring", Topic: w.topic.ID, Texts: texts()[:1]})
			if err != nil {
				return err
			}
			a, err := campaign.AudienceOf(tx, w.brand.ID, w.topic.ID, "")
			sum := int64(0)
			for _, n := range a.Languages {
				sum += n
			}
			if a.People != 3 || sum != 3 {
				t.Errorf("the audience and its languages: %+v", a)
			}
			if err != nil {
				return err
			}
			for tag, want := range map[string]string{"": "shoe", "shop": "city shoe"} {
				none, err := campaign.Nobodys(tx, w.brand.ID, w.topic.ID, tag, []string{"city", "shoe"})
				if err != nil {
					return err
				}
				if got := strings.Join(none, " "); got != want {
					t.Errorf("nobody of %q has %q, want %q", tag, got, want)
				}
			}
			other, all := "en", []string{"en", "fa"}
			_, err = brand.Update(tx, w.brand.ID, brand.Change{Language: &other, Languages: &all})
			return err
		})
		err := w.try(func(tx *store.Tx) error {
			_, err := campaign.Schedule(tx, w.brand.ID, c.ID, tx.Now())
			return err
		})
		if p, ok := problem.Of(err); !ok || p.Kind != problem.Conflict || p.Key != "campaign.unready" {
			t.Errorf("scheduled without a text in the brand's own language: %v", err)
		}
		w.mustBe(c.ID, campaign.Draft)
	})
}
