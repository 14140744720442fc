package consent

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Answer to "may we?". Event is the permission's event where there is one.
type Answer struct {
	Allowed bool
	Reason  string // empty when allowed, else one of the Reason constants, or ReasonSuppressed + a suppression's reason
	Event   uuid.UUID
}

// Why not. They are stored with skipped messages and shown to API users.
const (
	ReasonErased      = "erased"
	ReasonSuppressed  = "suppressed:" // and the suppression's reason
	ReasonNone        = "no-consent"
	ReasonRequested   = "consent-requested" // asked, never confirmed
	ReasonRefused     = "consent-refused"
	ReasonWithdrawn   = "consent-withdrawn"
	ReasonExpired     = "consent-expired"
	ReasonInvalidated = "consent-invalidated"
	ReasonPaused      = "paused"          // by the person, until a day that they named
	ReasonObjected    = "objected"        // GDPR art. 21
	ReasonChanged     = "changed-purpose" // it was said before what people agree to changed
)

// clockSQL is the time now as a table, so that it is asked for once; p.since
// only tells PostgreSQL its type.
const clockSQL = `(SELECT coalesce(?, p.since) AS now) c`

// EligibleSQL is the rule of May as a condition over permissions p joined to
// their subscribers s; its one ? is the time now. Each row costs one look at
// the key of suppressions.
const EligibleSQL = `(p.state IN ('given', 'renewed') AND (p.valid_until IS NULL AND p.paused_until IS NULL
		OR (SELECT (p.valid_until IS NULL OR p.valid_until > c.now) AND (p.paused_until IS NULL OR p.paused_until <= c.now) FROM ` + clockSQL + `))
	AND s.erased_at IS NULL AND s.objected_at IS NULL AND NOT EXISTS (SELECT 1 FROM suppressions x
		WHERE x.brand_id = s.brand_id AND x.address_hash = s.address_hash)
	AND NOT ` + changedSQL + `)`

// changedSQL: the permission p was said before what its topic is about changed,
// and holds for what was. One look at the key of topics.
const changedSQL = `EXISTS (SELECT 1 FROM topics w WHERE w.id = p.topic_id AND w.changed_at > coalesce(p.said_at, p.since))`

// ReasonSQL is the Reason of May as an expression over subscribers s left
// joined to their permission p; empty when allowed. Its one ? is the time now.
const ReasonSQL = `(CASE WHEN s.erased_at IS NOT NULL THEN 'erased'
	WHEN s.objected_at IS NOT NULL THEN 'objected'
	WHEN EXISTS (SELECT 1 FROM suppressions x WHERE x.brand_id = s.brand_id AND x.address_hash = s.address_hash)
	THEN 'suppressed:' || (SELECT min(x.reason) FROM suppressions x WHERE x.brand_id = s.brand_id AND x.address_hash = s.address_hash)
	WHEN p.state IS NULL THEN 'no-consent'
	WHEN p.state NOT IN ('given', 'renewed') THEN 'consent-' || p.state
	WHEN p.valid_until IS NULL AND p.paused_until IS NULL AND NOT ` + changedSQL + ` THEN ''
	ELSE (SELECT CASE WHEN p.valid_until <= c.now THEN 'consent-expired' WHEN p.paused_until > c.now THEN 'paused'
		WHEN ` + changedSQL + ` THEN 'changed-purpose' ELSE '' END FROM ` + clockSQL + `) END)`

// May reports whether the brand may send marketing on the topic to the person
// now (or, for a tracking topic, learn what it is about). A person or topic of
// another brand is problem.NotFound.
func May(tx *store.Tx, b brand.Brand, subscriberID, topicID uuid.UUID) (Answer, error) {
	s, err := subscriber.Find(tx, b.ID, subscriberID)
	if err != nil {
		return Answer{}, err
	}
	var rows []Permission
	t, err := FindTopic(tx, b.ID, topicID)
	if err != nil {
		return Answer{}, err
	}
	err = tx.Raw(`SELECT p.* FROM topics t LEFT JOIN permissions p ON p.topic_id = t.id AND p.subscriber_id = ?
		WHERE t.brand_id = ? AND t.id = ?`, s.ID, b.ID, topicID).Scan(&rows).Error
	if err != nil {
		return Answer{}, fmt.Errorf("read the permission: %w", err)
	}
	if len(rows) == 0 {
		return Answer{}, problem.New(problem.NotFound, "consent.topic.unknown")
	}
	p := rows[0].utc()
	a := Answer{Event: p.EventID}
	if s.ErasedAt != nil {
		a.Reason = ReasonErased
		return a, nil
	}
	if s.ObjectedAt != nil {
		a.Reason = ReasonObjected
		return a, nil
	}
	reason, suppressed, err := Suppressed(tx, b.ID, s.AddressHash, MarketingMail)
	if err != nil {
		return Answer{}, err
	}
	switch {
	case suppressed:
		a.Reason = ReasonSuppressed + reason
	case p.State == none:
		a.Reason = ReasonNone
	case !InForce(p.State):
		a.Reason = "consent-" + string(p.State)
	case !p.InForce(tx.Now()):
		a.Reason = ReasonExpired
	case p.Paused(tx.Now()):
		a.Reason = ReasonPaused
	case t.ChangedSince(p):
		a.Reason = ReasonChanged
	default:
		a.Allowed = true
	}
	return a, nil
}

// ChangedSince reports that what people agree to changed after a permission was
// said, which holds for what was: the rule of changedSQL.
func (t Topic) ChangedSince(p Permission) bool {
	said := p.Since
	if p.SaidAt != nil {
		said = *p.SaidAt
	}
	return t.ChangedAt != nil && t.ChangedAt.After(said)
}
