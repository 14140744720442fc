// Package public is what people meet who are written to: the hosted form, the
// question whether they agree, their preferences, and every way out.
//
// It promises that looking changes nothing and only a pressed button does, that
// every page works without scripts, and that no answer tells whether an address
// is known.
package public

import (
	"time"

	"assent/internal/delivery"
	"assent/internal/receipt"
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
	By     string    // who invited them; empty: they asked themselves
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
	Receipts    []ReceiptLink
	Preferences string
	Ask         TrackingAsk // of confirm-done; may be empty
}

// ReceiptLink leads to the receipt of a topic.
type ReceiptLink struct{ Topic, URL string }

// Keep is the page public/keep, which asks whether a permission stands and
// posts answer=yes or no to Action, and public/keep-done after the answer.
type Keep struct {
	Frame
	Action      string
	Kind        string // renewal, purpose, silent or import
	Email       string
	Words       []string
	Until       time.Time // the last day, where it ends by itself; zero: it does not
	State       string    // yes, no, over or left; empty on public/keep
	Preferences string
}

// TrackingAsk asks whether opens and clicks may be seen, each by itself. It posts
// tracking=SLUG:yes, SLUG:no or later to Action.
type TrackingAsk struct {
	Action string
	Words  string // goes back as the input "words"
	Asked  []TrackingChoice
}

// TrackingChoice is one of the two.
type TrackingChoice struct {
	Slug, Title, Description, Wording string
	On                                bool
	Since                             time.Time // when it was given; zero: it is not
	No                                bool      // they said no
}

// Tracking is the page public/tracking: where a person stands with being
// observed, and what is still asked.
type Tracking struct {
	Frame
	Email       string
	Ask         TrackingAsk
	Stand       []TrackingChoice
	Later       bool // the question was left for later just now
	Saved       bool
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
	Often       string    // how often it comes now, where the person wants it less often than promised
	Paused      time.Time // no mail before; zero: no pause
}

// Preferences is the page public/preferences. Its forms post to Action with
// do=save (a hidden input "shown" for each choice, a checkbox by its name,
// "language"), do=address ("email"), do=address-stop, and do=leave.
type Preferences struct {
	Frame
	Answer     string // where they stand, in a sentence
	Action     string
	OftenPage  string // the pages below this one
	AboutPage  string
	GroupsPage string
	MailsPage  string
	DataPage   string
	ForgetPage string
	Words      string // names the words shown; goes back as the input "words" with do=save
	Email      string
	Saved      string // what was just done, to be told politely; may be empty
	Topics     []Choice
	Tracking   []Choice
	Speaks     []Option // languages to be written to in; shown from two on
	NewEmail   string   // as typed, when it was wrong
	EmailError string
	Waiting    string // a new address that is not confirmed yet; may be empty
	Community  CommunityLinks
	Stopped    string // why nothing is sent whatever is ticked: "hard-bounce", "complaint", "not-me", "manual", or empty
}

// Often is the page public/often: less mail than was promised, and pauses. Its
// forms post to Action with do=often ("topic", "promise"), do=pause ("topic",
// empty for all; "for" in days, or "until") and do=resume ("topic").
type Often struct {
	Frame
	Action, Back    string
	Email           string
	Answer          string
	Saved, Wrong    string
	Topics          []OftenTopic
	Presets         []Option // of pauses
	For             string   // the preset as it was chosen, when something was wrong
	Until           string   // as typed, when it was wrong
	UntilError      string
	Soonest, Latest string // days that a pause may end on, as a field takes them
}

// OftenTopic is a topic that somebody allows.
type OftenTopic struct {
	Name   string // "topic:…"
	Title  string
	Now    string
	Rates  []Option
	Paused time.Time // zero: no pause
}

// About is the page public/about: what is known of a person. It posts do=about
// and the fields to Action.
type About struct {
	Frame
	Action, Back, Groups string
	Email                string
	Saved, Wrong         string
	Faults               []Fault
	Fields               []Field
	Others               []Datum // known, and not theirs to correct here
	Tags                 int     // groups that they are in
	Contact              string  // whom to write to about it
}

// Groups is the page public/groups: by which rules a person is chosen. It posts
// do=object to Action.
type Groups struct {
	Frame
	Action, Back string
	Email        string
	Saved        string
	Tags         []Group
	Offers       []Rule
	Series       []string
	Objected     time.Time // zero: no
}

// Group is a tag that somebody carries.
type Group struct {
	Name string
	Uses []string // what it was used for
}

// Rule is what an offer asks for, and what is known of the person.
type Rule struct {
	Title, Rule string
	Known       []Datum
	Meets, Has  bool
}

// Mails is the page public/mails: all that a person was sent.
type Mails struct {
	Frame
	Back         string
	Email        string
	Mails        []MailLine
	Older, Newer string // may be empty

	drawn []delivery.Message // of the lines
}

// MailLine is a mail that was sent.
type MailLine struct {
	Subject   string
	At        time.Time
	Topic     string // empty: about none
	View, Why string // View may be empty
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
	Service     string    // why a mail about no topic came
	Cause       string    // the campaign, sequence or offer that wrote, and its rule; may be empty
	Place       string    // where in the promise it stood; may be empty
	Matched     []Datum   // what was known of the person that the rule looked at
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

// Asked is something that a person asked for under data-protection law.
type Asked struct {
	Kind    string
	At, Due time.Time
	Closed  time.Time // zero: open
	State   string
	Open    bool
}

// PersonalData is the page public/data: what is kept, and how to have it. It
// posts to Action, which answers with a file.
type PersonalData struct {
	Frame
	Email       string
	Action      string
	Ask, Forget string
	Requests    []Asked
	Preferences string
}

// Forget is the page public/forget. It posts do=forget to Action.
type Forget struct {
	Frame
	Email       string
	Action      string
	Data        string
	Preferences string
}

// Forgotten is the page public/forgotten: nothing of them is left.
type Forgotten struct{ Frame }

// Ask is something that can be asked for.
type Ask struct {
	Value, Label, Hint string
	Selected           bool
}

// AskForm is the page public/request. It posts kind and text to Action.
type AskForm struct {
	Frame
	Email                string
	Action, Data         string
	Kinds                []Ask
	Text                 string
	KindError, TextError string
}

// AskDone is the page public/request-done.
type AskDone struct {
	Frame
	Asked       Asked
	Objected    bool
	Preferences string
}

// Receipt is the page public/receipt: what was said, and the proof of it. Its form
// posts to Action and takes the permission back.
type Receipt struct {
	Frame
	receipt.Paper
	Action string
	Done   string // what was just done; may be empty
}

// LogPage is the page public/log: what the log is, and how to check it.
type LogPage struct {
	Frame
	Origin     string // empty: there is none yet
	Key        string
	Size       int64
	Began      time.Time
	SignedAt   time.Time // zero: nothing was signed yet
	Checkpoint string
	Tool       string // the log's address, for programs
	Program    string // that checks a receipt
	Run, Audit string // what to type
	File       string // of the program
	Ended      []EndedLog
}

// EndedLog is a log that a restore ended.
type EndedLog struct {
	Origin string
	Size   int64
	At     time.Time
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
