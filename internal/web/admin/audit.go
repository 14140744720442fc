package admin

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/store"
)

func auditActions() []action {
	return []action{
		look("/log", account.Owner, auditLog),
		behind(http.MethodPost, "/drafts", account.Marketer, keepDraft),
	}
}

// deedsAtOnce is how many entries of the log stand on a page.
const deedsAtOnce = 100

// DeedLine is who did what.
type DeedLine struct {
	At   time.Time
	Who  string
	Text string // what, as a sentence
	Name string // of what it was done to; may be empty
}

// AuditLog is the page admin/log: who did what, the newest first.
type AuditLog struct {
	Frame
	Deeds       []DeedLine
	First, Next string // addresses; empty: there is none
}

func auditLog(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	page := AuditLog{Frame: d.frame("log")}
	err := d.read(func(tx *store.Tx) error {
		deeds, err := account.Deeds(tx, d.brand.ID, before, deedsAtOnce)
		if err != nil {
			return err
		}
		users, err := account.Names(tx, d.brand.ID)
		if err != nil {
			return err
		}
		for _, e := range deeds {
			line := DeedLine{At: e.At, Who: d.l.T("admin.log.program"), Text: d.l.T("admin.did." + e.What), Name: text(e.Detail["name"])}
			if act := text(e.Detail["act"]); e.What == "undo" && d.l.Has("admin.did."+act) {
				line.Text = d.l.T("admin.did.undo-of", "Act", d.l.T("admin.did."+act))
			}
			if e.UserID != nil {
				line.Who = users[*e.UserID]
			}
			page.Deeds = append(page.Deeds, line)
		}
		if len(deeds) == deedsAtOnce {
			page.Next = d.to("/log", "before", deeds[len(deeds)-1].ID.String())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != uuid.Nil {
		page.First = d.to("/log")
	}
	return d.draw("log", page)
}
