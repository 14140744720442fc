package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/web"
)

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
