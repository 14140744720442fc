package public

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"assent/internal/consent"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
)

// showLeave is the page behind the visible unsubscribe link and behind the
// List-Unsubscribe header. It changes nothing.
func (h *house) showLeave(c echo.Context) error {
	ref, err := h.URLs.ReadLeave(c.Param("token"))
	if err != nil {
		return err
	}
	var m signup.Mail
	err = h.read(c, func(tx *store.Tx) (err error) {
		m, err = signup.LookAtMail(tx, ref)
		return err
	})
	if err != nil {
		return err
	}
	speak(c, m.Language())
	page := Leave{Frame: frame(c, m.Brand), Action: here(c, "token")}
	if m.Subscriber != nil {
		page.Email, page.Preferences = m.Subscriber.Email, h.URLs.Preferences(m.Brand.ID, m.Subscriber.ID)
	}
	if m.Topic != nil {
		page.Topic, page.Promise, page.On = m.Topic.Name, m.Topic.Note, m.Topic.On
	}
	return web.Page(c, http.StatusOK, "public/leave", page)
}

// leave takes the one-click post of a mail program (RFC 8058 §3.1: both form
// encodings, no redirect, no cookie, no context) and the buttons of the page.
// Whatever the body says, a post here means to leave: all of it where it says
// so, else the mail's topic.
func (h *house) leave(c echo.Context) error {
	ref, err := h.URLs.ReadLeave(c.Param("token"))
	if err != nil {
		return err
	}
	values, err := web.Form(c)
	if err != nil {
		values = nil // unreadable: the post itself is clear enough
	}
	method := consent.MethodUnsubscribe
	if values.Get("List-Unsubscribe") == "One-Click" {
		method = consent.MethodOneClick
	}
	all := values.Get("leave") == "all"
	var m signup.Mail
	var still []Standing
	err = h.write(c, func(tx *store.Tx) (err error) {
		if m, err = signup.LeaveTopic(tx, ref, method, seen(c)); err != nil || m.Subscriber == nil {
			return err
		}
		if all {
			return signup.LeaveAll(tx, m.Brand.ID, m.Subscriber.ID, seen(c))
		}
		still, err = standing(tx, m)
		return err
	})
	if err != nil {
		return err
	}
	speak(c, m.Language())
	page := LeaveDone{Frame: frame(c, m.Brand), Still: still}
	if m.Subscriber != nil {
		page.Email, page.Preferences = m.Subscriber.Email, h.URLs.Preferences(m.Brand.ID, m.Subscriber.ID)
	}
	if m.Topic != nil && !all {
		page.Topic = m.Topic.Name
	}
	return web.Page(c, http.StatusOK, "public/leave-done", page)
}

// standing are the topics that the person still gets.
func standing(tx *store.Tx, m signup.Mail) ([]Standing, error) {
	p, err := signup.Preference(tx, m.Brand.ID, m.Subscriber.ID)
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, c := range p.Choices {
		if c.On && !c.Tracking() {
			all = append(all, Standing{Name: c.Name, Promise: c.Note})
		}
	}
	return all, nil
}
