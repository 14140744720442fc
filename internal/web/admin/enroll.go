package admin

import (
	"net/http"

	"assent/internal/sequence"
	"assent/internal/store"
	"assent/internal/web"
)

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
