// Package public is what people meet who are written to: the hosted form, the
// question whether they agree, their preferences, and every way out.
//
// It promises that looking changes nothing and only a pressed button does, that
// every page works without scripts, and that no answer tells whether an address
// is known.
package public

import (
	"time"

	"assent/internal/signup"
	"assent/internal/web"
)

// Frame is what stands around every public page. Every view has one.
type Frame struct {
	Brand     string   // its name in the page's language
	Address   string   // postal, its lines joined for one line; may be empty
	Website   string   // may be empty
	Logo      web.Logo // stands for the name at the head
	Privacy   string   // address of the privacy notice; may be empty
	Zone      *time.Location
	Languages []Language // offered here; the switch is shown from two on
	Preview   bool       // the team looks at it: its links open beside it
	Theme     string     // "light" or "dark", whatever the visitor prefers; empty: what they prefer
}

// Language is one choice of the language switch.
type Language struct {
	Code    string
	Name    string // in the language itself
	URL     string // this page in it
	Current bool
}

// Box is one thing that a person can allow.
type Box struct {
	Name    string // of the input
	Wording string // the exact words of the consent
	Promise string // how often at most; part of what is kept; may be empty
	Checked bool   // only ever what the person ticked in the post that is shown again
}

// Option is one choice of a select.
type Option struct {
	Value, Label string
	Selected     bool
}

// Field is one input of a form.
type Field struct {
	Name         string
	Label        string
	Type         string // of the input element, or "select"
	Value        string
	Autocomplete string // a token of the HTML standard; may be empty
	Hint         string
	Error        string
	Required     bool
	MaxLength    int      // 0: none
	Options      []Option // of a select
}

// Fault is one line of the summary of what was wrong.
type Fault struct {
	Field string // name of the input, or "topics"
	Text  string
}

// Form is the page public/form: the hosted sign-up form. It posts to Action.
type Form struct {
	Frame
	Action      string
	Title       string
	Intro       string
	Button      string
	Token       string // goes back as the input "token"
	Honeypot    string // name of the input that people never see
	Fields      []Field
	Topics      []Box
	Tracking    []Box
	TopicsError string
	Faults      []Fault // in the order of the page
	Prove       *Prove  // nil: nothing is asked for
}

// FormWidget is the page public/form-widget: a page as somebody else may have
// one, with the widget in it, for the team to look at.
type FormWidget struct {
	Frame
	Form string // id
	Mode string // as data-mode of the widget
	Spec string // JSON: what the widget would fetch
}

// FormDone is the page public/form-done, the same for every address.
type FormDone struct {
	Frame
	Message string // of the form; empty: the catalogue's
	Form    string // address of the form
}

// Confirm is the page public/confirm: the question behind the link of a
// confirmation mail. It posts answer=yes, no or notme to Action.
type Confirm struct {
	Frame
	Action string
	Name   string // may be empty
	Email  string
	At     time.Time // when it was asked
	Page   string    // where; may be empty
	Words  []string  // of each ticked box; a promise stands on a line of its own
	Until  time.Time // when the question lapses
	NotMe  bool      // the link was "it wasn't me": that answer comes first
}

// ConfirmSecond is the page public/confirm-second, after a yes that programs
// give: one more press, of what it is about. It posts answer=yes with "topic" to
// Action.
type ConfirmSecond struct {
	Frame
	Action string
	Email  string
	Topics []signup.Named
}

// ConfirmDone is the page public/confirm-done, after a yes. With Already it is
// public/confirm-already, for whoever opens the link again.
type ConfirmDone struct {
	Frame
	Name        string // may be empty
	Email       string
	At          time.Time // when it was confirmed
	Words       []string
	Preferences string
}

// Declined is the page public/declined, after a no.
type Declined struct {
	Frame
	Again string    // the question, which may still be answered otherwise; may be empty
	Until time.Time // until when
}

// NotMe is the page public/notme-done: the address is left alone from now on.
type NotMe struct {
	Frame
	Email string
}

// Expired is the page public/confirm-expired. It posts answer=again to Action.
type Expired struct {
	Frame
	Action string // empty: see Form
	Form   string // where to ask again; empty where that form is gone
}

// Leave is the page public/leave behind the unsubscribe link. It posts
// leave=topic or leave=all to Action.
type Leave struct {
	Frame
	Action      string
	Email       string
	Topic       string // name; empty where the mail was about none
	Promise     string // may be empty
	On          bool   // the topic is allowed now
	Preferences string
}

// Standing is a topic that a person still gets.
type Standing struct {
	Name    string
	Promise string // may be empty
}

// LeaveDone is the page public/leave-done.
type LeaveDone struct {
	Frame
	Email       string
	Topic       string // that was stopped; empty: everything was
	Still       []Standing
	Preferences string
}

// Choice is a topic, or a tracking permission, on the preference page.
type Choice struct {
	Name        string // of the checkbox
	Title       string
	Description string    // may be empty
	Wording     string    // the words that turning it on agrees to
	Promise     string    // may be empty
	On          bool      // as it is now
	Since       time.Time // when it was given; zero: not on, or not known
	Until       time.Time // when it ends by itself; zero: never
	Receipt     string    // address of the receipt; may be empty
}

// Preferences is the page public/preferences. Its forms post to Action with
// do=save (a hidden input "shown" for each choice, a checkbox by its name,
// "language"), do=address ("email"), do=address-stop, and do=leave.
type Preferences struct {
	Frame
	Action     string
	Words      string // names the words shown; goes back as the input "words" with do=save
	Email      string
	Saved      string // what was just done, to be told politely; may be empty
	Topics     []Choice
	Tracking   []Choice
	Speaks     []Option // languages to be written to in; shown from two on
	NewEmail   string   // as typed, when it was wrong
	EmailError string
	Waiting    string // a new address that is not confirmed yet; may be empty
	Stopped    string // why nothing is sent whatever is ticked: "hard-bounce", "complaint", "not-me", "manual", or empty
}

// Datum is something known about a person that a mail made use of.
type Datum struct{ Name, Value string }

// Why is the page public/why: on what permission a mail rests.
type Why struct {
	Frame
	Email       string // empty once the person is erased
	Subject     string
	SentAt      time.Time // zero: not sent yet
	Topic       string    // empty for service mail
	Cause       string    // the campaign, sequence or offer that wrote, and its rule; may be empty
	Given       bool      // a consent is known
	GivenAt     time.Time
	Method      string // consent.Method…
	Page        string // where; may be empty
	Words       string // the exact words; may be empty
	Now         bool   // it still stands
	Receipt     string // may be empty
	Data        []Datum
	Leave       string
	Preferences string
}

// View is the page public/view: a frame around a mail shown in the browser.
type View struct {
	Frame
	Subject     string
	From        string
	At          time.Time
	Body        string // address of the mail's own HTML, for a sandboxed iframe
	Why         string
	Leave       string
	Preferences string
}

// AddressConfirm is the page public/address-confirm, which asks the new mailbox.
// It posts answer=yes or notme to Action.
type AddressConfirm struct {
	Frame
	Action string
	Email  string // the new one
	Old    string
	At     time.Time
	Until  time.Time
	NotMe  bool // the link was "it wasn't me"
}

// AddressDone is the page public/address-done.
type AddressDone struct {
	Frame
	Email       string
	Preferences string
}

// Error is the page public/error: a failure, told as a person would.
type Error struct {
	Frame            // may be empty: then nobody's name stands above it
	Status    int    // of HTTP
	Kind      string // problem.Kind's name
	Text      string // what happened
	Details   []string
	RequestID string
}
