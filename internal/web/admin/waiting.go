package admin

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/sequence"
	"assent/internal/store"
)

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
