package admin

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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
	"assent/internal/web"
)

// journeys is what was counted of sequences and offers and may be shown again.
// offerKey names an offer in a state, and tells whether it has given no code yet:
// each code that it gives changes the offer, and no number much.
type offerKey struct {
	id    uuid.UUID
	state offer.State
	none  bool
}

type journeys struct {
	lists   memo[string, map[uuid.UUID]sequence.Tally]
	stories memo[storyKey, chronicle]
	joining memo[storyKey, int64]
	offers  memo[offerKey, redeemed]
	earned  memo[offerKey, int64]
}

// storyKey names a sequence, or an offer, as it was left by whoever changed it last.
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

// fingerprintOf names what is shown of something.
func fingerprintOf(shown any) string {
	raw, err := json.Marshal(shown)
	if err != nil {
		panic(fmt.Sprintf("what a page shows is no JSON: %v", err)) // numbers, texts and times
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// watch tells a page that it is out of date, when what look names is not that of
// ?seen= or of the telling before. The session and the role are asked for at
// every look.
func (d *desk) watch(look func() (string, error)) error {
	if _, err := look(); err != nil {
		return err
	}
	seen := d.c.QueryParam("seen")
	return d.h.stream(d.c, nil, func() (changed bool, err error) {
		v, err := d.h.visit(d.c)
		if err != nil {
			return false, err
		}
		if _, err := d.h.desk(d.c, v); err != nil {
			return false, err
		}
		now, err := look()
		if err != nil {
			return false, err
		}
		before := seen
		seen = now
		return seen != before, nil
	})
}

func sequenceLive(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.watch(func() (string, error) {
		j, err := d.journey(id)
		return fingerprintOf(j), err
	})
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
	Acts               []CampaignAct
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

func showSequence(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.drawSequence(id, http.StatusOK, "")
}

// drawSequence draws the page of a sequence, with what could not be done.
func (d *desk) drawSequence(id uuid.UUID, status int, fault string) error {
	j, err := d.journey(id)
	if err != nil {
		return err
	}
	here := sequencePath(id)
	page := SequencePage{Frame: d.frame("sequences"), Title: j.Name, State: d.l.T("admin.sequence.state." + string(j.State)), Tone: sequenceTones[j.State],
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
	l := StoryLetter{Here: c.Waiting, Reached: c.Reached, Written: c.Mails.Total, Way: c.Mails.Queued + c.Mails.Claimed,
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

// letterRates are the rates of a letter: of those who came to it, and of those
// who let themselves be observed.
func (d *desk) letterRates(c sequence.Chapter) (all []Rate, untracked string) {
	if c.Reached > 0 {
		all = append(all, Rate{d.l.T("admin.sequence.rate.sent"), d.percent(c.Mails.Sent, c.Reached),
			d.l.T("admin.sequence.of-reached", "N", d.l.Number(c.Mails.Sent), "All", d.l.Number(c.Reached))})
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

// doable is a button that does something to a sequence or an offer; its form is
// that of the state it was shown in, so sent twice it is done once.
func (d *desk) doable(here string, id uuid.UUID, state, what, label, tone, ask string) CampaignAct {
	to := d.to(here + "/" + what)
	page := strings.Split(to, "?")[0]
	return CampaignAct{ID: "act-" + what, Label: label, To: to, Tone: tone, Ask: ask,
		Sheet: Sheet{Action: to, Page: page, Version: state, Once: uuid.NewSHA1(d.User.ID, []byte(what+id.String()+state))}}
}

// sequenceActs are what may be done in its state.
func (d *desk) sequenceActs(j journey) (all []CampaignAct) {
	state := versionOf(j.UpdatedAt)
	if j.Stopped != "" {
		state += versionOf(j.StoppedAt)
	}
	add := func(what, tone, ask string) {
		all = append(all, d.doable(sequencePath(j.ID), j.ID, state, what, d.l.T("admin.sequence.do."+what), tone, ask))
	}
	active := j.Standing.Active
	switch {
	case j.State == sequence.Draft:
		add("start", "yes", d.l.T("admin.sequence.ask.start", "Topic", j.Topic))
	case j.State == sequence.Paused || j.State == sequence.Running && j.Stopped != "":
		add("resume", "yes", d.l.N("admin.sequence.ask.resume", active))
	case j.State == sequence.Running:
		add("pause", "", "")
	}
	if j.State != sequence.Ended {
		add("end", "no", d.l.N("admin.sequence.ask.end", active))
	}
	return all
}

// moveSequence takes it from state to state.
func moveSequence(what string) func(*desk) error {
	do := map[string]func(*store.Tx, uuid.UUID, uuid.UUID) (sequence.Sequence, error){
		"start": sequence.Start, "pause": sequence.Pause, "resume": resumeSequence, "end": sequence.End}[what]
	return func(d *desk) error {
		id, err := d.id("id")
		if err != nil {
			return err
		}
		err = d.change("sequence."+what, func(tx *store.Tx, _ *Sheet) (done, error) {
			s, err := do(tx, d.brand.ID, id)
			return done{subject: id, next: sequencePath(id), detail: map[string]any{"name": s.Name}}, err
		})
		return d.redraw(err, func(status int, s Sheet) error { return d.drawSequence(id, status, s.Fault) })
	}
}

// resumeSequence goes on with what a person stopped, or a circuit breaker.
func resumeSequence(tx *store.Tx, brandID, id uuid.UUID) (sequence.Sequence, error) {
	s, err := sequence.Lock(tx, brandID, id)
	if err != nil {
		return s, err
	}
	if s.State != sequence.Running {
		return sequence.Resume(tx, brandID, id)
	}
	return s, resumeStopped(tx, brandID, id, problem.New(problem.Conflict, "sequence.state.running"))
}

// resumeStopped lets flow again what a circuit breaker stopped; otherwise it is
// refused with the given problem.
func resumeStopped(tx *store.Tx, brandID, id uuid.UUID, otherwise error) error {
	stream, err := delivery.FindStream(tx, brandID, id)
	if err != nil {
		return err
	}
	if stream.PausedAt == nil {
		return otherwise
	}
	return delivery.ResumeStream(tx, brandID, id)
}

// EnrollPage is the page admin/sequence-enroll: who would join, before they do.
type EnrollPage struct {
	Frame
	Title      string
	Lead, More string
	People     int64
	Sheet      Sheet
	Back       string
}

func askEnroll(d *desk) error {
	return d.drawEnroll(http.StatusOK, Sheet{})
}

func (d *desk) drawEnroll(status int, s Sheet) error {
	q, err := d.sequenceAt()
	if err != nil {
		return err
	}
	if q.State != sequence.Running && q.State != sequence.Paused {
		return web.SeeOther(d.c, d.to(sequencePath(q.ID)))
	}
	var n int64
	var todo []sequence.Step
	err = d.read(func(tx *store.Tx) error {
		if todo, err = sequence.Steps(tx, d.brand.ID, q.ID, q.Version); err != nil {
			return err
		}
		n, err = d.h.journeys.joining.of(storyKey{q.ID, q.Version, q.UpdatedAt}, func() (int64, error) { return sequence.MayJoin(tx, d.brand.ID, q.ID) })
		return err
	})
	if err != nil {
		return err
	}
	path := sequencePath(q.ID)
	page := EnrollPage{Frame: d.frame("sequences"), Title: q.Name, People: n, Back: d.to(path), Sheet: s,
		Lead: d.l.N("admin.sequence.would-join", n, "Version", int64(q.Version)), More: d.l.T("admin.sequence.would-join-more")}
	if n == 0 {
		page.Lead, page.More = d.l.T("admin.sequence.nobody-joins"), ""
	} else if todo[0].Wait == nil && q.State == sequence.Running {
		page.More = d.l.T("admin.sequence.would-join-now") + " " + page.More
	}
	page.Sheet.Action, page.Sheet.Page, page.Sheet.Once = d.to(path+"/enroll"), d.c.Request().URL.Path, store.NewID(d.h.DB.Now())
	page.Sheet.Drafts = ""
	return d.drawAs(status, "sequence-enroll", page)
}

func enrollExisting(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	err = d.change("sequence.enroll", func(tx *store.Tx, _ *Sheet) (done, error) {
		s, err := sequence.AskEnroll(tx, d.brand.ID, id)
		return done{subject: id, next: sequencePath(id), detail: map[string]any{"name": s.Name}}, err
	})
	return d.redraw(err, func(status int, s Sheet) error { return d.drawSequence(id, status, s.Fault) })
}

// LetterPage is the page admin/sequence-letter: one letter of a version, as its
// reader would see it.
type LetterPage struct {
	Frame
	Title         string // of the sequence
	Name          string // which letter
	Waits         []string
	Preview       Preview
	Before, After string // addresses of its neighbours; may be empty
	Back          string
}

// versionAsked is the version that the address names.
func (d *desk) versionAsked() (int, error) {
	n, err := strconv.ParseInt(d.c.QueryParam("version"), 10, 32) // as far as the column reaches
	return int(n), err
}

// letterAt is the letter that the address names: the n-th of so many.
func (d *desk) letterAt() (j written, chapters []sequence.Chapter, n, version int, err error) {
	s, err := d.sequenceAt()
	if err != nil {
		return j, nil, 0, 0, err
	}
	if version = s.Version; d.c.QueryParam("version") != "" {
		if version, err = d.versionAsked(); err != nil {
			return j, nil, 0, 0, problem.New(problem.NotFound, "sequence.version-unknown")
		}
	}
	if err := d.read(func(tx *store.Tx) (err error) { j, err = d.writtenIn(tx, s, version); return err }); err != nil {
		return j, nil, 0, 0, err
	}
	chapters = sequence.Chapters(j.Todo)
	n = slices.IndexFunc(chapters, func(c sequence.Chapter) bool { return strconv.Itoa(c.Step) == d.c.QueryParam("step") })
	if n < 0 {
		return j, nil, 0, 0, problem.New(problem.NotFound, "delivery.content-unknown")
	}
	return j, chapters, n, version, nil
}

func showLetter(d *desk) error {
	j, chapters, n, version, err := d.letterAt()
	if err != nil {
		return err
	}
	at := func(n int, in string) string {
		return d.to(sequencePath(j.ID)+"/letter", "version", strconv.Itoa(version), "step", strconv.Itoa(chapters[n].Step), "in", in)
	}
	c := chapters[n]
	page := LetterPage{Frame: d.frame("sequences"), Title: j.Name, Name: d.l.T("admin.sequence.letter-of", "N", int64(n+1), "All", int64(len(chapters))),
		Back: d.to(sequencePath(j.ID), "version", d.c.QueryParam("version"))}
	page.Waits = d.waitsBefore(n, c)
	if n > 0 {
		page.Before = at(n-1, d.c.QueryParam("in"))
	}
	if n < len(chapters)-1 {
		page.After = at(n+1, d.c.QueryParam("in"))
	}
	page.Preview = d.previewOf(j.Mails[c.Content], delivery.Sample{TopicID: j.TopicID, ContentID: c.Content},
		func(in string) string { return at(n, in) },
		func(in string) string {
			return d.to(sequencePath(j.ID)+"/preview", "version", strconv.Itoa(version), "step", strconv.Itoa(c.Step), "in", in)
		})
	return d.draw("sequence-letter", page)
}

// previewLetter is the letter's own HTML, fenced in.
func previewLetter(d *desk) error {
	j, chapters, n, _, err := d.letterAt()
	if err != nil {
		return err
	}
	in := d.c.QueryParam("in")
	shown, err := d.h.renderer.Preview(d.c.Request().Context(), delivery.Sample{BrandID: d.brand.ID, TopicID: j.TopicID, ContentID: chapters[n].Content, Language: in, Person: sample(in)})
	if err != nil {
		return err
	}
	return web.Mail(d.c, string(shown.HTML))
}

// WaitingLine is somebody who waits before a letter.
type WaitingLine struct {
	URL, Email, Name string
	Due, Since       time.Time
	Late             bool // it is due, and not done yet
}

// WaitingPage is the page admin/sequence-people: who waits before a letter.
type WaitingPage struct {
	Frame
	Title, Name string
	State       string // why nobody moves; may be empty
	People      []WaitingLine
	First, Next string
	Back        string
}

// waitersAtOnce is how many people stand on a page.
const waitersAtOnce = 50

func whoWaits(d *desk) error {
	j, chapters, n, version, err := d.letterAt()
	if err != nil {
		return err
	}
	here, step := sequencePath(j.ID)+"/people", chapters[n].Step
	pairs := []string{"version", strconv.Itoa(version), "step", strconv.Itoa(step)}
	after := cursorOf(d.asked("after", 100))
	page := WaitingPage{Frame: d.frame("sequences"), Title: j.Name, Name: d.l.T("admin.sequence.letter-of", "N", int64(n+1), "All", int64(len(chapters))), Back: d.to(sequencePath(j.ID), "version", d.c.QueryParam("version"))}
	if j.State == sequence.Paused {
		page.State = d.l.T("admin.sequence.nobody-moves")
	}
	var found []sequence.Here
	err = d.read(func(tx *store.Tx) (err error) {
		found, err = sequence.WhoWaits(tx, d.brand.ID, j.ID, version, step, after, waitersAtOnce+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(found) > waitersAtOnce {
		found = found[:waitersAtOnce]
		last := found[waitersAtOnce-1]
		page.Next = d.to(here, append(pairs, "after", last.DueAt.Format(time.RFC3339Nano)+"_"+last.Enrollment.String())...)
	}
	if after.ID != uuid.Nil {
		page.First = d.to(here, pairs...)
	}
	now := d.h.DB.Now()
	for _, p := range found {
		page.People = append(page.People, WaitingLine{URL: d.to("/people/" + p.SubscriberID.String()), Email: p.Email, Name: p.Name, Due: p.DueAt, Since: p.Since, Late: p.DueAt.Before(now)})
	}
	return d.draw("sequence-people", page)
}

// cursorOf reads where a page of people who wait begins; what is none is the beginning.
func cursorOf(text string) (a sequence.After) {
	due, id, _ := strings.Cut(text, "_")
	at, err := time.Parse(time.RFC3339Nano, due)
	if err != nil {
		return a
	}
	if a.ID, err = uuid.Parse(id); err == nil {
		a.Due = at
	}
	return a
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
