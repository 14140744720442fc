// Package consent answers one question, "may we?", and can show why.
//
// What a person said is a row of consent_events that is never changed and
// never deleted (the database refuses both). What is in force is a projection
// of it, one row of permissions per person and topic. Every transition goes
// through one function, under a lock on the person's row, so that two
// confirmations at once, or a confirmation and a withdrawal, follow one
// another and the projection is always the last event's.
//
//	            ┌─requested──┐ (asked again)
//	            ▼            │
//	 (none) ─► requested ────┘──refused──► refused ─┐
//	   │          │                                 │
//	   │          └─given─┐                         │ requested, given
//	   │                  ▼                         ▼ (a new yes)
//	   └────given───► given ─► renewed ◄──┐    ┌─ the same from withdrawn,
//	                      │       │  └given┘   │  expired, invalidated
//	                      ▼       ▼            │
//	             withdrawn · expired · invalidated
//
//	requested also ends as withdrawn (they left), expired (nobody answered)
//	or invalidated ("not me"); expired also becomes withdrawn: a no is kept
//	even when it comes late.
//
// In force are given and renewed, until valid_until. What the diagram lacks
// writes nothing or is refused:
//   - given while in force becomes renewed;
//   - requested while in force writes nothing: a stranger who types an address
//     into a form takes nothing away;
//   - refused while in force is a withdrawal: a no is a no;
//   - a no where there is nothing to say no to writes nothing;
//   - expired and invalidated of what is not open are problem.Conflict.
//
// A permission found past its valid_until is first written down as expired.
package consent

import (
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
)

// State is where a consent stands, in the words of ISO/IEC TS 27560.
type State string

// The states.
const (
	Requested   State = "requested"
	Given       State = "given"
	Renewed     State = "renewed"
	Refused     State = "refused"
	Withdrawn   State = "withdrawn"
	Expired     State = "expired"
	Invalidated State = "invalidated"
)

// InForce reports whether the state permits, as long as it has not run out.
func InForce(s State) bool { return s == Given || s == Renewed }

// What a consent rests on.
const (
	BasisExplicit        = "explicit"         // a statement or a clear affirmative act
	BasisImpliedPurchase = "implied-purchase" // a purchase, where the law lets that do
	BasisImpliedInquiry  = "implied-inquiry"  // an inquiry, likewise
	BasisImport          = "import"           // brought along from another system
	BasisOperator        = "operator"         // stated by staff, for example from a form on paper
	BasisSoftOptIn       = "soft-opt-in"      // a sale, own similar products, a way out at any time: see Sale
)

// How an event came about. Rooms above may add their own words, in lower case
// with hyphens.
const (
	MethodForm           = "form"             // a form was sent; not yet confirmed
	MethodDoubleOptIn    = "double-opt-in"    // the button of the confirmation page
	MethodPreferences    = "preferences"      // the preference page
	MethodOneClick       = "one-click"        // RFC 8058
	MethodUnsubscribe    = "unsubscribe-page" // the visible link and its button
	MethodReceipt        = "receipt"          // the button of a receipt
	MethodComplaint      = "complaint"        // a feedback report
	MethodAPI            = "api"
	MethodImport         = "import"
	MethodOperator       = "operator"
	MethodLapse          = "lapse" // time passed
	MethodNotMe          = "not-me"
	MethodRequestExpired = "request-expired"
	MethodReconciled     = "reconciled"    // said before, and lost from the database when a backup was restored
	MethodFrequency      = "frequency"     // how often: see Adjust
	MethodPause          = "pause"         // until when not: see Adjust
	MethodSingleOptIn    = "single-opt-in" // a form was sent, and nobody confirmed: see Law
	MethodPaper          = "paper"         // signed, with the team
	MethodPhone          = "phone"         // said, to the team
	MethodRenewal        = "renewal"       // the button of a page that asked whether it stands
	MethodRePermission   = "re-permission" // the same, of somebody who was asked once by mail: a double opt-in
	MethodSunset         = "sunset"        // silent for long, asked, and silent still
)

// Who acted.
const (
	EntitySubject         = "subject"
	EntityController      = "controller" // the brand, or time
	EntityOperator        = "operator"   // staff or a shop on the person's behalf
	EntityMailboxProvider = "mailbox-provider"
)

// Act is something that was said or done about one topic.
type Act struct {
	Brand      brand.Brand
	Subscriber uuid.UUID
	Topic      Topic
	State      State
	Basis      string // BasisExplicit when empty
	Method     string
	Language   string // of the wording; the person's when empty
	Wording    string // the exact words shown; needed for what a person asks or gives

	FormID      *uuid.UUID
	FormVersion int
	ValidUntil  *time.Time // nil: see Topic.Until, which also bounds it for an implied consent
	SaidAt      *time.Time // when it was said, or the purchase or inquiry was, where that is not now
	Sale        *Sale      // of a soft opt-in
	Entity      string     // EntitySubject when empty
	Via         string     // how the person found the way to say so, a word like a method; may be empty. It is counted, and proves nothing
	Evidence    map[string]any

	adjusts *Adjustment // what changes of the permission that stands, see Adjust
}

// Event is one entry of the ledger.
type Event struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	TopicID      uuid.UUID
	State        State
	Basis        string
	Method       string
	OccurredAt   time.Time // grows strictly along the events of one person and topic
	ValidUntil   *time.Time
	WordingHash  []byte // SHA-256 of the words shown; nil where none were
	Language     string
	FormID       *uuid.UUID
	FormVersion  *int
	PromiseMax   int
	PromiseDays  int
	PausedUntil  *time.Time // no mail before, though it is allowed
	PreviousID   *uuid.UUID
	Leaf         []byte // RFC 8785 canonical JSON, final; see Leaf
	Fresh        bool   `gorm:"-"` // this call wrote it; false: it stood already
}

// TableName implements gorm's Tabler.
func (Event) TableName() string { return "consent_events" }

// Permission is what is in force now for one person and topic.
type Permission struct {
	SubscriberID uuid.UUID `gorm:"primaryKey"`
	TopicID      uuid.UUID `gorm:"primaryKey"`
	BrandID      uuid.UUID
	State        State
	EventID      uuid.UUID
	Since        time.Time
	ValidUntil   *time.Time
	PromiseMax   int
	PromiseDays  int
	PausedUntil  *time.Time
	SaidAt       *time.Time // when it was said, where that was before Since
}

// Paused reports whether the person wants no mail on the topic at the time now,
// though they may allow it.
func (p Permission) Paused(now time.Time) bool {
	return p.PausedUntil != nil && p.PausedUntil.After(now)
}

// InForce reports whether the permission permits at the time now. It knows
// nothing of suppressions: see May.
func (p Permission) InForce(now time.Time) bool {
	return InForce(p.State) && (p.ValidUntil == nil || p.ValidUntil.After(now))
}
