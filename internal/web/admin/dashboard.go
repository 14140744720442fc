package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/store"
	"assent/internal/web"
)

func overviewActions() []action {
	return []action{
		look("", account.Reader, dashboard),
		behind(http.MethodGet, "/live", account.Reader, dashboardLive),
	}
}

// home leads to the first brand of the visitor, or says that there is none.
func (h *house) home(c echo.Context, v visit) error {
	b, ok, err := v.at(c)
	if err != nil {
		return err
	}
	if ok {
		return web.SeeOther(c, to(c, brandPath+b.Slug))
	}
	if v.mayMakeBrands() {
		return web.SeeOther(c, to(c, newBrandPath))
	}
	page := Dashboard{Frame: h.frame(c, v, time.UTC), Now: h.DB.Now()}
	page.Notice = web.Localizer(c).T("admin.dashboard.no-brand")
	return web.Page(c, http.StatusOK, "admin/dashboard", page)
}

// dashboard tells how a brand stands today.
func dashboard(d *desk) error {
	n, facts, err := d.h.look(d.c, d.brand)
	if err != nil {
		return err
	}
	window := d.c.QueryParam("for")
	if !slices.Contains(windows, window) {
		window = usualWindow
	}
	bins := d.bins(window)
	past, err := d.history(d.c.Request().Context(), window, bins)
	if err != nil {
		return err
	}
	waits, err := d.waits(n)
	if err != nil {
		return err
	}
	page := Dashboard{
		Frame: d.frame("overview"), Brand: d.brand.In(d.l.Lang()).Name, Now: d.h.DB.Now(),
		People: n.People, Writable: n.Writable, New: n.New, Left: n.Left, Messages: n.Messages,
		Topics: topicLines(d.l, d.brand, n.Topics), Queues: queueLines(d.l, n.Queues, d.h.DB.Now()),
		Events: happened(d.l, facts, topicNames(d.brand, d.l.Lang(), n.Topics), d.may(account.Analyst)),
		Live:   d.to("/live", "seen", fingerprint(n, facts, waits)), Decisions: waits,
	}
	for i, t := range n.Topics {
		if moves := past.by[t.Topic.ID]; moves != nil {
			page.Topics[i].Moves = *moves
		}
	}
	for _, w := range windows {
		page.Windows = append(page.Windows, Tab{View: d.l.T("admin.window." + w), URL: d.to("", "for", w), Current: w == window})
	}
	page.Over = d.l.T("admin.window.over." + window)
	page.Growth = d.plot("growth", bins, past, lineOf{signups, "ask"}, lineOf{byForm, "yes"}, lineOf{byPaper, "yes dash"}, lineOf{byAPI, "ink dash"}, lineOf{byImport, "ink dot"}, lineOf{byHand, "soft"}, lineOf{taken, "no"})
	page.Sending = d.plot("sending", bins, past, lineOf{sent, "ink"}, lineOf{firstOpen, "yes"}, lineOf{firstClick, "yes dash"})
	page.Leaving = d.plot("leaving", bins, past, lineOf{taken, "no"}, lineOf{complained, "no dash"}, lineOf{notTaken, "ink dot"})
	page.Rates, page.Unwatched = d.rates(past), d.unwatched(past)
	return d.draw("dashboard", page)
}

// look reads what the page shows.
func (h *house) look(c echo.Context, b brand.Brand) (n numbers, facts []fact, err error) {
	ctx := c.Request().Context()
	if n, err = h.counts.of(ctx, b.ID); err != nil {
		return numbers{}, nil, err
	}
	err = h.DB.Read(ctx, func(tx *store.Tx) (err error) { facts, err = last(tx, b.ID, happenings); return err })
	return n, facts, err
}

// waits are what needs a decision.
func (d *desk) waits(n numbers) (all []Decision, err error) {
	err = d.read(func(tx *store.Tx) (err error) { all, err = d.decisions(tx, n); return err })
	return all, err
}

// fingerprint names what is shown: while it stays, so does the page. How long
// the oldest mail has waited is not part of it, or the page would never rest.
func fingerprint(n numbers, facts []fact, waits []Decision) string {
	newest := ""
	if len(facts) > 0 {
		newest = facts[0].ID.String()
	}
	return fingerprintOf(struct {
		numbers
		Newest string
		Waits  []Decision
	}{n, newest, waits})
}

func topicNames(b brand.Brand, lang string, topics []topicNumbers) map[string]string {
	names := map[string]string{}
	for _, t := range topics {
		names[t.Topic.ID.String()] = t.Topic.In(b, lang).Name
	}
	return names
}

func topicLines(l *i18n.Localizer, b brand.Brand, topics []topicNumbers) []Topic {
	lines := make([]Topic, len(topics))
	for i, t := range topics {
		lines[i] = Topic{Name: t.Topic.In(b, l.Lang()).Name, Promise: promise(l, t.Topic), Given: t.Given, Asked: t.Asked, Withdrawn: t.Withdrawn}
	}
	return lines
}

// promise is how often at most a topic's mails come.
func promise(l *i18n.Localizer, t consent.Topic) string {
	if t.PromiseMax == 0 {
		return ""
	}
	return l.N("admin.dashboard.promise", int64(t.PromiseMax), "Days", t.PromiseDays)
}

func queueLines(l *i18n.Localizer, queues []queueNumbers, now time.Time) []Queue {
	lines := make([]Queue, len(queues))
	for i, q := range queues {
		lines[i] = Queue{Name: l.T("admin.queue." + q.Queue), Waiting: q.Waiting, Active: q.Active, Later: q.Later, Held: q.Held}
		if due := time.Unix(q.Oldest, 0); q.Waiting > 0 && due.Before(now) {
			lines[i].Oldest = now.Sub(due)
			lines[i].Age = ago(l, lines[i].Oldest)
		}
	}
	return lines
}
