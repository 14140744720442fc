package signup

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
	"assent/internal/tracking"
)

// Why a confirmation looks like a person's, or a program's.
const (
	HumanNetwork = "same-network"   // as the sign-up: /24 of IPv4, /48 of IPv6
	HumanAgent   = "same-browser"   // by its name
	HumanTouched = "pointer-or-key" // and the page was open for two seconds
	HumanLater   = "later-than-10s" // after the mail server took the mail
	HumanSecond  = "second-step"    // the name of a topic was pressed as well
	DoubtAtOnce  = "within-10s"     // sooner than a person finds, opens and reads a mail
	DoubtNetwork = "other-network"  // than the sign-up's
	DoubtProgram = "known-program"  // it calls itself a scanner or a program
	DoubtHasty   = "open-under-2s"  // the page, by its script
	DoubtBefore  = "doubted-before" // an earlier press of the button was a program's
	noScript     = "no-script"      // says nothing: the page works without
	doubtWithin  = 10 * time.Second // design: standards §6
	secondAfter  = 2 * time.Second  // between the two steps, by our clock
	dwellLeast   = 2 * time.Second  //
)

// Human is the evidence that a person confirmed. Scanners of mail run scripts
// and send forms, so a press of the button alone does not show one. It is kept
// with the consent, and is never asked of anybody who leaves.
type Human struct {
	Verdict string // "likely", "unknown", "unverified", or "second-step"
	Score   int
	Reasons []string
	After   *time.Duration // since the mail server took the mail; nil: not known
	Doubted bool           // the second step is wanted before it counts
}

// judge weighs what is seen of whoever presses the button.
func (q Question) judge(tx *store.Tx, seen Seen) (h Human, err error) {
	say := func(reason string, score int) { h.Reasons, h.Score = append(h.Reasons, reason), h.Score+score }
	from := tracking.NetworkOf(q.trace.IP)
	elsewhere := from != "" && from != tracking.NetworkOf(seen.IP)
	switch {
	case elsewhere:
		say(DoubtNetwork, 0)
	case from != "":
		say(HumanNetwork, 2)
	}
	if q.trace.UserAgent != "" && q.trace.UserAgent == clip(seen.UserAgent, valueMax) {
		say(HumanAgent, 1)
	}
	switch {
	case !seen.Scripted:
		say(noScript, 0)
	case seen.Dwell < dwellLeast:
		say(DoubtHasty, -1)
	case seen.Touched:
		say(HumanTouched, 2)
	}
	if (tracking.Visitor{UserAgent: seen.UserAgent}).Program() {
		say(DoubtProgram, -3)
	}
	if h.After, err = q.delivered(tx); err != nil {
		return h, err
	}
	if h.After != nil && *h.After < doubtWithin {
		say(DoubtAtOnce, -2)
		h.Doubted = elsewhere || from == "" // whom a friend invited has been nowhere before
	} else if h.After != nil {
		say(HumanLater, 1)
	}
	if q.Request.DoubtedAt != nil {
		say(DoubtBefore, 0)
	}
	switch {
	case h.Doubted || h.Score < 0:
		h.Verdict = "unverified"
	case h.Score >= 2:
		h.Verdict = "likely"
	default:
		h.Verdict = "unknown"
	}
	return h, nil
}

// delivered is how long ago the mail server took the newest mail of the request.
func (q Question) delivered(tx *store.Tx) (*time.Duration, error) {
	var at []time.Time
	err := tx.Raw("SELECT settled_at FROM messages WHERE source_id = ? AND brand_id = ? AND state = 'sent' AND settled_at IS NOT NULL ORDER BY settled_at DESC LIMIT 1",
		q.Request.ID, q.Request.BrandID).Scan(&at).Error
	if err != nil {
		return nil, fmt.Errorf("find when the question was delivered: %w", err)
	}
	if len(at) == 0 {
		return nil, nil
	}
	ago := tx.Now().Sub(at[0])
	return &ago, nil
}

// settle decides whether a press of the button counts. Where it does not, that
// it was pressed is kept, and the second step is to be shown.
func (q *Question) settle(tx *store.Tx, seen Seen) (h Human, counts bool, err error) {
	if h, err = q.judge(tx, seen); err != nil {
		return h, false, err
	}
	doubted := q.Request.DoubtedAt
	if h.Doubted && doubted == nil {
		now := tx.Now()
		q.Request.DoubtedAt = &now
		if _, err := tx.Run("UPDATE signup_requests SET doubted_at = ? WHERE id = ? AND brand_id = ?", now, q.Request.ID, q.Request.BrandID); err != nil {
			return h, false, fmt.Errorf("note a hasty confirmation: %w", err)
		}
	}
	if second := doubted != nil && q.asked(seen.Second) && tx.Now().Sub(*doubted) >= secondAfter; second {
		h.Verdict, h.Doubted = "second-step", false
		h.Reasons, h.Score = append(h.Reasons, HumanSecond), h.Score+3
	}
	q.Second = h.Doubted
	return h, !h.Doubted, nil
}

// asked reports whether the request is about a topic, named by its id.
func (q Question) asked(topic string) bool {
	id, err := uuid.Parse(topic)
	if err != nil {
		return false
	}
	for _, a := range q.Request.Boxes {
		if a.Topic == id {
			return true
		}
	}
	return false
}

// Named are the topics of the request by name, for the second step.
func (q Question) Named() (all []Named) {
	for _, a := range q.Request.Boxes {
		if t, ok := q.topics[a.Topic]; ok {
			all = append(all, Named{ID: t.ID, Name: t.In(q.Brand, q.Request.Language).Name})
		}
	}
	return all
}

// Named is one of them.
type Named struct {
	ID   uuid.UUID
	Name string
}

// write puts the evidence of a person into that of the consent.
func (h Human) write(q Question, evidence map[string]any) {
	evidence["human"], evidence["human_score"], evidence["human_reasons"] = h.Verdict, h.Score, h.Reasons
	if h.After != nil {
		evidence["delivered_s"] = h.After.Seconds()
	}
	if q.Request.DoubtedAt != nil {
		evidence["human_doubted_at"] = q.Request.DoubtedAt.UTC().Format(time.RFC3339Nano)
	}
}
