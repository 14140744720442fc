package admin

import (
	"slices"
	"strconv"

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
