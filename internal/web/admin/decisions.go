package admin

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/alarm"
	"assent/internal/campaign"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/importer"
	"assent/internal/store"
)

// Decision is something that waits for somebody to decide it.
type Decision struct {
	Tone  string // "no": it does harm or stands still; "ask": it waits
	Text  string // one sentence, with its numbers
	More  string // may be empty
	URL   string // where it is decided; empty: the visitor may not
	Label string // of the link
}

// matters are all that can wait for a decision, the gravest first. Each says
// what there is of it at the brand now, at the cost of an index or of a few rows.
var matters = []func(*desk, *store.Tx, numbers) ([]Decision, error){alarming, askedFor, stopped, uncertain, pausedCampaigns, quarantined, untried}

// decisions are what needs somebody now.
func (d *desk) decisions(tx *store.Tx, n numbers) (all []Decision, err error) {
	for _, matter := range matters {
		some, err := matter(d, tx, n)
		if err != nil {
			return nil, fmt.Errorf("ask what needs a decision: %w", err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// alarming are the open alarms that nobody has taken on.
func alarming(d *desk, tx *store.Tx, _ numbers) (all []Decision, err error) {
	open, err := alarm.Opened(tx, d.brand.ID)
	if err != nil {
		return nil, err
	}
	for _, a := range open {
		if a.AcknowledgedAt != nil {
			continue
		}
		line := d.alarmLine(a, nil)
		all = append(all, Decision{"no", line.Title, line.Numbers, d.place("alarms"), d.l.T("admin.decide.alarm")})
	}
	return all, nil
}

// stoppedSQL reads the brand's streams, of which there is one for each campaign,
// sequence and offer.
const stoppedSQL = `SELECT st.id, st.origin, st.paused_for,
		coalesce((SELECT c.name FROM campaigns c WHERE c.id = st.id), (SELECT q.name FROM sequences q WHERE q.id = st.id), (SELECT f.name FROM offers f WHERE f.id = st.id), '') AS name
	FROM streams st WHERE st.brand_id = ? AND st.paused_at IS NOT NULL AND st.paused_for <> '' AND st.closed = '' ORDER BY st.paused_at DESC LIMIT 20`

// waitingIn counts what waits in a stream, and by whoever looks first.
func (d *desk) waitingIn(tx *store.Tx, stream uuid.UUID) (int64, error) {
	return d.h.waiting.of(stream, func() (n int64, err error) {
		err = tx.Raw("SELECT count(*) FROM outbox WHERE stream_id = ?", stream).Scan(&n).Error
		return n, err
	})
}

// stopped are the streams that a circuit breaker has stopped.
func stopped(d *desk, tx *store.Tx, _ numbers) (all []Decision, err error) {
	var rows []struct {
		ID        uuid.UUID
		Origin    delivery.Origin
		PausedFor string
		Name      string
	}
	if err := tx.Raw(stoppedSQL, d.brand.ID).Scan(&rows).Error; err != nil {
		return nil, err
	}
	for _, r := range rows {
		waiting, err := d.waitingIn(tx, r.ID)
		if err != nil {
			return nil, err
		}
		url := ""
		switch r.Origin {
		case delivery.OriginCampaign:
			url = d.to("/campaigns/" + r.ID.String())
		case delivery.OriginSequence:
			url = d.to("/sequences/" + r.ID.String())
		case delivery.OriginOffer:
			url = d.to("/offers/" + r.ID.String())
		}
		all = append(all, Decision{"no", d.l.T("admin.decide.stopped", "Name", r.Name, "Why", reason(d.l, r.PausedFor)),
			d.l.N("admin.decide.stopped-more", waiting), url, d.l.T("admin.decide.look")})
	}
	return all, nil
}

// uncertain are mails of which nobody knows whether they arrived.
func uncertain(d *desk, _ *store.Tx, n numbers) ([]Decision, error) {
	if n.Messages.Uncertain == 0 {
		return nil, nil
	}
	url := d.place("messages")
	if url == "" {
		url = d.place("campaigns")
	}
	return []Decision{{"no", d.l.N("admin.decide.uncertain", n.Messages.Uncertain), d.l.T("admin.decide.uncertain-more"), url, d.l.T("admin.decide.look")}}, nil
}

// pausedCampaigns are those that somebody stopped on the way.
func pausedCampaigns(d *desk, tx *store.Tx, _ numbers) (all []Decision, err error) {
	var rows []struct {
		ID        uuid.UUID
		Name      string
		UpdatedAt time.Time
	}
	err = tx.Raw("SELECT id, name, updated_at FROM campaigns WHERE brand_id = ? AND state = ? ORDER BY updated_at DESC LIMIT 20", d.brand.ID, campaign.Paused).Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		var breaker int64
		if err := tx.Raw("SELECT count(*) FROM streams WHERE id = ? AND paused_for <> '' AND paused_at IS NOT NULL", r.ID).Scan(&breaker).Error; err != nil {
			return nil, err
		}
		if breaker > 0 {
			continue // told already
		}
		waiting, err := d.waitingIn(tx, r.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, Decision{"ask", d.l.T("admin.decide.paused", "Name", r.Name, "Time", d.l.DateTime(r.UpdatedAt, d.brand.Location())),
			d.l.N("admin.decide.paused-more", waiting), d.to("/campaigns/" + r.ID.String()), d.l.T("admin.decide.go-on")})
	}
	return all, nil
}

// untried: nothing was ever sent from here.
func untried(d *desk, tx *store.Tx, _ numbers) ([]Decision, error) {
	var yes bool
	if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM quarters WHERE brand_id = ? AND kind = ?)", d.brand.ID, event.MailSent).Scan(&yes).Error; err != nil || yes {
		return nil, err
	}
	return []Decision{{"ask", d.l.T("admin.decide.untried"), d.l.T("admin.decide.untried-more"), d.place("sending"), d.l.T("admin.decide.try")}}, nil
}

// importsLooked is how many of the newest imports are asked for rows that wait.
const importsLooked = 20

// quarantined are the imports with rows that nobody has given evidence for.
func quarantined(d *desk, tx *store.Tx, _ numbers) (all []Decision, err error) {
	found, err := importer.List(tx, d.brand.ID, uuid.Nil, importsLooked)
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		if i.Waiting == 0 || i.State == importer.Running || i.State == importer.Releasing {
			continue
		}
		one := Decision{Tone: "ask", Text: d.l.N("admin.decide.quarantined", i.Waiting, "Name", i.Name), More: d.l.T("admin.decide.quarantined-more"), Label: d.l.T("admin.decide.evidence")}
		if d.may(account.Marketer) {
			one.URL = d.to("/imports/" + i.ID.String())
		}
		all = append(all, one)
	}
	return all, nil
}
