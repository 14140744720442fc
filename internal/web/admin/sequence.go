package admin

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/delivery"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
)

// offerKey names an offer in a state, with all that decides who gets a code, and
// tells whether it has given none yet: each code that it gives changes the offer,
// and no number much.
type offerKey struct {
	id, topic                    uuid.UUID
	state                        offer.State
	none                         bool
	budget, minOrders, minMonths int
	minValue                     int64
	currency                     string
}

func offerKeyOf(o offer.Offer) offerKey {
	return offerKey{id: o.ID, topic: o.TopicID, state: o.State, none: o.Issued == 0,
		budget: o.Budget, minOrders: o.MinOrders, minMonths: o.MinMonths, minValue: o.MinValue, currency: o.Currency}
}

// journeys is what was counted of sequences and offers and may be shown again.
type journeys struct {
	lists   memo[string, map[uuid.UUID]sequence.Tally]
	stories memo[storyKey, chronicle]
	joining memo[storyKey, int64]
	offers  memo[offerKey, redeemed]
	earned  memo[offerKey, int64]
}

// storyKey names a version of a sequence as it was left by whoever changed it last.
type storyKey struct {
	id      uuid.UUID
	version int
	changed time.Time
}

// chronicle is a version of a sequence with its numbers.
type chronicle struct {
	Standing sequence.Standing
	Story    sequence.Story
}

// journey is a sequence as its page shows it.
type journey struct {
	written
	chronicle
	Shown     int    // the version that is shown; Todo and Mails are of it
	Stopped   string // why a safeguard stopped its mails; empty: none did
	StoppedAt time.Time
}

// journey reads a sequence and counts what concerns it, of the version that the
// address names, else of the newest.
func (d *desk) journey(id uuid.UUID) (j journey, err error) {
	err = d.read(func(tx *store.Tx) error {
		s, err := sequence.Find(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		if j.Shown = s.Version; d.c.QueryParam("version") != "" {
			if j.Shown, err = d.versionAsked(); err != nil {
				return problem.New(problem.NotFound, "sequence.version-unknown")
			}
		}
		if j.written, err = d.writtenIn(tx, s, j.Shown); err != nil {
			return err
		}
		if j.Stopped, j.StoppedAt, err = breakOf(tx, d.brand.ID, id); err != nil {
			return err
		}
		j.chronicle, err = d.h.journeys.stories.of(storyKey{id, j.Shown, s.UpdatedAt}, func() (t chronicle, err error) {
			if t.Standing, err = sequence.Standings(tx, d.brand.ID, id); err != nil {
				return t, err
			}
			t.Story, err = sequence.Tell(tx, d.brand.ID, id, j.Shown)
			return t, err
		})
		return err
	})
	return j, err
}

// breakOf tells why, and when, a circuit breaker stopped what flows from a
// sequence or an offer; empty where none did.
func breakOf(tx *store.Tx, brandID, id uuid.UUID) (why string, at time.Time, err error) {
	stream, err := delivery.FindStream(tx, brandID, id)
	if problem.Is(err, problem.NotFound) || err == nil && stream.PausedAt == nil {
		return "", at, nil
	}
	if err != nil {
		return "", at, err
	}
	return stream.PausedFor, *stream.PausedAt, nil
}

// SequencePage is the page admin/sequence: the story of one version.
type SequencePage struct {
	Frame
	Title, State, Tone string
	Topic              string
	Lead, More         string
	Fault              string
	Edit, Enroll       string // addresses; empty: not now, or not this visitor
	Live               string
	Acts               []Act
	Version            string
	Versions           []Tab // View is the version; empty where there is one only
	Letters            []StoryLetter
	Joined, Done, Left int64
}

// StoryLetter is a step of the story: the waits before it, and what became of
// those who came there.
type StoryLetter struct {
	Waits       []string
	Here        int64  // wait before it now
	People      string // address of who they are; empty: nobody, or not this visitor
	Title       string // its subject
	Lang, Dir   string
	URL         string // the letter itself
	Reached     int64
	Written     int64
	Rates       []Rate
	Way         int64 // mails that are on their way
	Skipped     []ReasonLine
	Refused     []ReasonLine
	Doubtful    []ReasonLine
	Gone        []ReasonLine // people who left while they waited here
	GoneSum     int64
	SkippedSum  int64
	RefusedSum  int64
	DoubtfulSum int64
	Untracked   string // why there is no rate of opens; may be empty
}

// drawSequence draws the page of a sequence, with what could not be done.
func (d *desk) drawSequence(id uuid.UUID, status int, fault string) error {
	j, err := d.journey(id)
	if err != nil {
		return err
	}
	here := sequencePath(id)
	page := SequencePage{Frame: d.frame("sequences"), Title: j.Name, State: d.l.T("admin.sequence.state." + string(j.State)), Tone: stateTones[string(j.State)],
		Topic: j.Topic, Fault: fault, Joined: j.Story.Joined, Done: j.Story.Done, Left: j.Story.Left,
		Version: d.l.T("admin.sequence.version", "N", int64(j.Shown))}
	page.Lead, page.More = d.sequenceLead(j)
	if j.State == sequence.Running || j.State == sequence.Paused || j.Standing.Active > 0 {
		page.Live = d.to(here+"/live", "seen", fingerprintOf(j), "version", d.c.QueryParam("version"))
	}
	if versions := j.Standing.Versions(j.Version); len(versions) > 1 || j.Shown != j.Version {
		if !slices.Contains(versions, j.Shown) {
			versions = append(versions, j.Shown)
		}
		for _, v := range versions {
			page.Versions = append(page.Versions, Tab{View: d.l.T("admin.sequence.version", "N", int64(v)), URL: d.to(here, "version", strconv.Itoa(v)), Current: v == j.Shown})
		}
	}
	for n, c := range j.Story.Chapters {
		page.Letters = append(page.Letters, d.storyLetter(j, n, c))
	}
	if d.may(account.Marketer) {
		page.Acts = d.sequenceActs(j)
		if j.State != sequence.Ended {
			page.Edit = d.to(here + "/edit")
		}
		if j.State == sequence.Running || j.State == sequence.Paused {
			page.Enroll = d.to(here + "/enroll")
		}
	}
	return d.drawAs(status, "sequence", page)
}

// sequenceLead is what the page begins with.
func (d *desk) sequenceLead(j journey) (lead, more string) {
	s := j.Standing
	switch j.State {
	case sequence.Draft:
		return d.l.T("admin.sequence.lead.draft"), d.l.T("admin.sequence.more.draft", "Topic", j.Topic)
	case sequence.Running:
		more = d.l.T("admin.sequence.more.running", "Topic", j.Topic)
	case sequence.Paused:
		more = d.l.T("admin.sequence.more.paused", "Topic", j.Topic)
	}
	if j.Stopped != "" {
		more = d.l.T("admin.sequence.more.stopped", "Why", reason(d.l, j.Stopped))
	}
	left := s.Total - s.Active - s.Done
	if j.State == sequence.Ended && s.Active == 0 {
		return d.l.T("admin.sequence.lead.all-gone", "All", s.Total, "Done", s.Done, "Left", left), ""
	}
	return d.l.N("admin.sequence.lead."+string(j.State), s.Active, "All", d.l.Number(s.Total), "Done", d.l.Number(s.Done), "Left", d.l.Number(left)), more
}

// storyLetter tells a letter of the story.
func (d *desk) storyLetter(j journey, n int, c sequence.Chapter) StoryLetter {
	here, step, version := sequencePath(j.ID), strconv.Itoa(c.Step), strconv.Itoa(j.Shown)
	l := StoryLetter{Here: c.Waiting, Reached: c.Reached - c.Waiting, Written: c.Mails.Total, Way: c.Mails.Queued + c.Mails.Claimed,
		URL: d.to(here+"/letter", "version", version, "step", step)}
	l.Title, l.Lang, l.Dir = d.subject(j, c.Content)
	l.Waits = d.waitsBefore(n, c)
	if d.may(account.Analyst) && c.Waiting > 0 {
		l.People = d.to(here+"/people", "version", version, "step", step)
	}
	for _, why := range slices.SortedFunc(maps.Keys(c.Left), func(a, b string) int { return cmp.Or(cmp.Compare(c.Left[b], c.Left[a]), strings.Compare(a, b)) }) {
		l.Gone, l.GoneSum = append(l.Gone, ReasonLine{Text: d.mailReason(why), N: c.Left[why]}), l.GoneSum+c.Left[why]
	}
	for _, r := range c.Reasons {
		line := ReasonLine{Text: d.mailReason(r.Reason), N: r.N}
		switch r.State {
		case delivery.Skipped:
			l.Skipped, l.SkippedSum = append(l.Skipped, line), l.SkippedSum+r.N
		case delivery.Failed:
			l.Refused, l.RefusedSum = append(l.Refused, line), l.RefusedSum+r.N
		case delivery.Uncertain:
			l.Doubtful, l.DoubtfulSum = append(l.Doubtful, line), l.DoubtfulSum+r.N
		}
	}
	l.Rates, l.Untracked = d.letterRates(c)
	return l
}

// letterRates are the rates of a letter: of those whose time for it came, and of
// those who let themselves be observed.
func (d *desk) letterRates(c sequence.Chapter) (all []Rate, untracked string) {
	if due := c.Reached - c.Waiting; due > 0 {
		all = append(all, Rate{d.l.T("admin.sequence.rate.sent"), d.percent(c.Mails.Sent, due),
			d.l.T("admin.sequence.of-reached", "N", d.l.Number(c.Mails.Sent), "All", d.l.Number(due))})
	}
	for _, f := range []struct {
		key string
		sequence.Seen
	}{{"admin.sequence.rate.opened", c.Opens}, {"admin.sequence.rate.clicked", c.Clicks}} {
		if f.Of == 0 {
			continue
		}
		low, high := delivery.Interval(f.People, f.Of)
		all = append(all, Rate{d.l.T(f.key), d.percent(f.People, f.Of), d.l.T("admin.sequence.of-tracked", "N", d.l.Number(f.People), "All", d.l.Number(f.Of),
			"Sent", d.l.Number(c.Mails.Sent), "Low", d.share(low), "High", d.share(high))})
	}
	if c.Mails.Sent > 0 && c.Opens.Of == 0 && c.Clicks.Of == 0 {
		untracked = d.l.N("admin.sequence.untracked", c.Mails.Sent)
	}
	return all, untracked
}

// subject is what a letter is called: its subject in the visitor's language
// where it has one, else in the brand's, as somebody made up would read it.
func (d *desk) subject(j journey, content uuid.UUID) (subject, lang, dir string) {
	texts := j.Mails[content]
	for _, field := range mailLanguages(d.brand, texts) {
		for _, t := range texts {
			if t.Language == field.Code && (subject == "" || t.Language == d.l.Lang()) {
				subject, lang, dir = t.Subject, t.Language, field.Dir
			}
		}
	}
	if !strings.Contains(subject, "{") {
		return subject, lang, dir
	}
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), delivery.Sample{BrandID: d.brand.ID, TopicID: j.TopicID, ContentID: content, Language: lang, Person: sample(lang)})
	if err == nil && shown.Subject != "" {
		subject = shown.Subject
	}
	return subject, lang, dir
}

// waitsBefore are the waits before the n-th letter, as sentences.
func (d *desk) waitsBefore(n int, c sequence.Chapter) (all []string) {
	for _, w := range c.Waits {
		all = append(all, d.waitText(w))
	}
	switch {
	case len(all) > 0:
		return all
	case n == 0:
		return []string{d.l.T("admin.sequence.wait.first")}
	}
	return []string{d.l.T("admin.sequence.wait.next")}
}

// waitText is a wait as a sentence.
func (d *desk) waitText(w sequence.Wait) string {
	text := ""
	for _, unit := range waitUnits {
		if n := *amountOf(&w, unit); n > 0 {
			text = d.l.N("admin.sequence.wait."+unit, int64(n))
		}
	}
	switch {
	case w.Until == "":
		return text
	case text == "":
		return d.l.T("admin.sequence.wait.until", "Hour", d.l.Digits(w.Until))
	}
	return d.l.T("admin.sequence.wait.then-until", "Wait", text, "Hour", d.l.Digits(w.Until))
}

// sequenceActs are what may be done in its state.
func (d *desk) sequenceActs(j journey) []Act {
	state := versionOf(j.UpdatedAt)
	if j.Stopped != "" {
		state += versionOf(j.StoppedAt)
	}
	b, active := sequenceKind().buttons(d, j.ID, state), j.Standing.Active
	switch {
	case j.State == sequence.Draft:
		b.add("start", "yes", d.l.T("admin.sequence.ask.start", "Topic", j.Topic))
	case j.State == sequence.Paused || j.State == sequence.Running && j.Stopped != "":
		b.add("resume", "yes", d.l.N("admin.sequence.ask.resume", active))
	case j.State == sequence.Running:
		b.add("pause", "", "")
	}
	if j.State != sequence.Ended {
		b.add("end", "no", d.l.N("admin.sequence.ask.end", active))
	}
	return b.all
}
