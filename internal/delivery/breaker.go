package delivery

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/store"
)

// A circuit breaker stops a stream of marketing mail before it ruins the name of
// its sender: when too many of its addresses do not exist, when too many people
// report it as spam, or when one refusal over policy follows another. It counts
// from the start of the stream, or from the last time a person resumed it.
//
// The first two are judged by the lower end of an interval and from a least
// number, so that three bad addresses among the first five stop nothing, and 20
// among 100 do. A stream is judged after every batch, hundreds of times: an end
// of 95 % would sooner or later stop a stream that is just at the threshold, so
// stopping asks for 99.9 %.

// tally is what a breaker counts of a stream.
type tally struct {
	StreamID   uuid.UUID `gorm:"primaryKey"`
	Sent       int64
	Hard       int64 // hard bounces
	Complaints int64
	Refusals   int64  // over policy or reputation, in a row
	Warned     string // of what people were warned last
}

// Why a breaker warns or stops; also the keys of what people are told.
const (
	BreakerBounces    = "hard-bounces"
	BreakerComplaints = "complaints"
	BreakerRefusals   = "policy-refusals"
)

// Thresholds: shares as the large mailbox providers publish them or act on
// them, and the smallest numbers they are judged from.
const (
	bounceStop, bounceWarn       = 0.05, 0.02
	complaintStop, complaintWarn = 0.003, 0.001
	leastBounces                 = 10
	leastSent                    = 500 // for complaints
	leastComplaints              = 3
	refusalRun                   = 20
)

// Of intervals, in standard deviations.
const (
	likely = 1.96 // 95 %
	sure   = 3.29 // 99.9 %
)

// Interval is the Wilson score interval of k among n at 95 % (Wilson 1927, J. Am.
// Stat. Assoc. 22:209, eq. for the roots); 0 to 1 where n is 0.
func Interval(k, n int64) (low, high float64) { return interval(k, n, likely) }

func interval(k, n int64, z float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	p, m, z2 := float64(k)/float64(n), float64(n), z*z
	middle := p + z2/(2*m)
	spread := z * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	return max(0, (middle-spread)/(1+z2/m)), min(1, (middle+spread)/(1+z2/m))
}

func atLeast(k, n int64, z float64) float64 {
	low, _ := interval(k, n, z)
	return low
}

// judge tells whether the stream must stop, or people should be warned, and why.
func (t tally) judge() (stop, warn string) {
	tried := t.Sent + t.Hard
	enough := t.Sent >= leastSent && t.Complaints >= leastComplaints
	switch {
	case t.Refusals >= refusalRun:
		return BreakerRefusals, ""
	case t.Hard >= leastBounces && atLeast(t.Hard, tried, sure) > bounceStop:
		return BreakerBounces, ""
	case enough && atLeast(t.Complaints, t.Sent, sure) > complaintStop:
		return BreakerComplaints, ""
	case t.Hard >= leastBounces && atLeast(t.Hard, tried, likely) > bounceWarn:
		return "", BreakerBounces
	case enough && atLeast(t.Complaints, t.Sent, likely) > complaintWarn:
		return "", BreakerComplaints
	}
	return "", ""
}

// counted is what a page of outcomes adds to the tally of a stream.
type counted struct {
	brand      uuid.UUID
	sent, hard int64
	refusals   int64 // in a row, at the end of the page
	accepted   bool  // a row of refusals before the page is over
}

// countPage sums up a page, in its order, for each stream of marketing.
func countPage(page []outcome) map[uuid.UUID]*counted {
	by := map[uuid.UUID]*counted{}
	for _, o := range page {
		if o.Kind != Marketing || o.verdict != accepted && o.verdict != refused {
			continue
		}
		c := by[o.StreamID]
		if c == nil {
			c = &counted{brand: o.BrandID}
			by[o.StreamID] = c
		}
		switch {
		case o.verdict == accepted:
			c.sent, c.refusals, c.accepted = c.sent+1, 0, true
		case o.hard():
			c.hard++
		case o.policy():
			c.refusals++
		}
	}
	return by
}

// watch adds a page to the tallies, and stops the streams that must stop: in the
// transaction of the outcomes, so no other page is sent on an old judgement.
func watch(tx *store.Tx, page []outcome) error {
	for stream, c := range countPage(page) {
		if err := add(tx, c.brand, tally{StreamID: stream, Sent: c.sent, Hard: c.hard, Refusals: c.refusals}, c.accepted); err != nil {
			return err
		}
	}
	return nil
}

func add(tx *store.Tx, brandID uuid.UUID, t tally, anew bool) error {
	var now tally
	err := tx.Raw(`INSERT INTO tallies (stream_id, sent, hard, complaints, refusals) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (stream_id) DO UPDATE SET sent = tallies.sent + excluded.sent, hard = tallies.hard + excluded.hard,
			complaints = tallies.complaints + excluded.complaints,
			refusals = CASE WHEN ? THEN 0 ELSE tallies.refusals END + excluded.refusals
		RETURNING *`, t.StreamID, t.Sent, t.Hard, t.Complaints, t.Refusals, anew).Scan(&now).Error
	if err != nil {
		return fmt.Errorf("count for the circuit breaker: %w", err)
	}
	stop, warn := now.judge()
	switch {
	case stop != "":
		return trip(tx, brandID, now, stop)
	case warn != "" && warn != now.Warned:
		if _, err := tx.Run("UPDATE tallies SET warned = ? WHERE stream_id = ?", warn, now.StreamID); err != nil {
			return fmt.Errorf("note a warning: %w", err)
		}
		return now.tell(tx, brandID, event.SendingWarned, warn)
	}
	return nil
}

// trip pauses the stream, unless it is paused already, and says so. Of a
// campaign nothing of which is left there is nothing to pause.
func trip(tx *store.Tx, brandID uuid.UUID, t tally, why string) error {
	n, err := tx.Run(`UPDATE streams SET paused_at = ?, paused_for = ? WHERE id = ? AND brand_id = ? AND paused_at IS NULL
		AND (origin <> 'campaign' OR EXISTS (SELECT 1 FROM outbox o WHERE o.stream_id = streams.id))`, tx.Now(), why, t.StreamID, brandID)
	if err != nil {
		return fmt.Errorf("pause a stream: %w", err)
	}
	if n == 0 {
		return nil
	}
	return t.tell(tx, brandID, event.SendingPaused, why)
}

func (t tally) tell(tx *store.Tx, brandID uuid.UUID, kind, why string) error {
	return event.Record(tx, event.Event{BrandID: brandID, Kind: kind, SourceID: &t.StreamID, Data: map[string]any{
		"stream": t.StreamID.String(), "reason": why, "sent": t.Sent, "hard_bounces": t.Hard, "tried": t.Sent + t.Hard,
		"complaints": t.Complaints, "policy_refusals": t.Refusals}})
}

// OnSuppressed counts a complaint against the stream that last sent the person
// marketing mail.
func OnSuppressed(tx *store.Tx, e event.Event) error {
	if e.Data["reason"] != consent.Complaint || e.SubscriberID == nil {
		return nil
	}
	var before []event.Event
	err := tx.Where("subscriber_id = ? AND kind = ? AND at > ? AND id <> ?", *e.SubscriberID, event.AddressSuppressed, tx.Now().AddDate(0, 0, -30), e.ID).Find(&before).Error
	if err != nil {
		return fmt.Errorf("look for earlier complaints: %w", err)
	}
	if slices.ContainsFunc(before, func(b event.Event) bool { return b.Data["reason"] == consent.Complaint }) {
		return nil // the same one, reported again
	}
	var last uuid.NullUUID
	err = one(tx, &last, `SELECT stream_id FROM messages WHERE subscriber_id = ? AND brand_id = ? AND kind = 'marketing' AND state = 'sent'
		AND settled_at > ? ORDER BY settled_at DESC LIMIT 1`, *e.SubscriberID, e.BrandID, tx.Now().AddDate(0, 0, -30))
	if err != nil {
		return fmt.Errorf("find the mail that was complained of: %w", err)
	}
	if !last.Valid {
		return nil
	}
	return add(tx, e.BrandID, tally{StreamID: last.UUID, Complaints: 1}, false)
}

// Alarm queues a mail to somebody of the team about a stream that a breaker has
// stopped or warns of. name is the campaign's, sequence's or offer's.
func Alarm(tx *store.Tx, e event.Event, to, language, name string) error {
	return toTeam(tx, e, "alarm", to, language, map[string]any{"source": name, "stopped": e.Kind == event.SendingPaused})
}

// AlarmOfRise queues a mail to somebody of the team about what has risen at
// their brand; page is where it is shown.
func AlarmOfRise(tx *store.Tx, e event.Event, to, language, page string) error {
	return toTeam(tx, e, "rise", to, language, map[string]any{"alarms_url": page})
}

// AlarmOfForm queues a mail to somebody of the team about a form that was paused;
// page is where it can be resumed.
func AlarmOfForm(tx *store.Tx, e event.Event, to, language, name, page string) error {
	return toTeam(tx, e, "paused", to, language, map[string]any{"source": name, "link_url": page})
}

// toTeam queues a mail about a fact.
func toTeam(tx *store.Tx, e event.Event, template, to, language string, data map[string]any) error {
	stream, err := BrandStream(tx, e.BrandID, OriginTest)
	if err != nil {
		return err
	}
	for k, v := range e.Data {
		data[k] = v
	}
	_, _, err = Queue(tx, Draft{Source: tx.NewID(), Stream: stream, Brand: e.BrandID, Kind: Test, Template: template,
		Language: language, Recipient: to, Data: data, Due: tx.Now()})
	return err
}
