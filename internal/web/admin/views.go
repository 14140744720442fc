// Package admin is what the team sees: who may be written to, what is on the
// way, and in a demonstration the mailbox that catches every mail.
package admin

import "time"

// Frame is what stands around every page of the team but the sign-in.
type Frame struct {
	User       string // who is signed in; empty: nobody, as at the demo's mailbox
	UserID     string // empty: nobody
	Nav        []NavItem
	Brands     []NavItem  // of the user, to switch between; empty where there is no choice
	Languages  []Language // to see this page in
	SignOut    string     // address to post to; empty where nobody is signed in
	Zone       *time.Location
	NoticeTone string    // "ask": it is not what was asked for
	Notice     string    // may be empty
	Undo       *UndoLine // takes back what the notice tells; nil: it stays
	Setup      string    // address; empty: everything is set up, or this is not the overview
	HelpQuery  string    // what stays with the visitor in the help; see HelpAt
	Reading    bool      // this is a page of the help
}

// Language is one choice of the language switch.
type Language struct {
	Code    string
	Name    string // in the language itself
	URL     string // this page in it
	Current bool
}

// NavItem is one line of the side navigation.
type NavItem struct {
	Label   string
	URL     string
	Current bool
	Count   int64  // shown from 1 on
	Heading string // stands before it; may be empty
}

// SignIn is the page admin/signin. It posts email, password and next.
type SignIn struct {
	Action string
	Email  string // as typed
	Error  string // one sentence; never says which half was wrong
	Next   string // where to go then, a path of this service
	Told   string // what was done before; may be empty

	Forgotten string // address, for who does not know the password
	Help      string // address

	Languages []Language
}

// States counts messages by state. Queued and Claimed are on the way, the
// others are final, and all six add up to the total.
type States struct {
	Queued, Claimed, Sent, Failed, Skipped, Uncertain int64
}

// Total is the sum of all states.
func (s States) Total() int64 {
	return s.Queued + s.Claimed + s.Sent + s.Failed + s.Skipped + s.Uncertain
}

// Topic counts where people stand with a topic.
type Topic struct {
	Name                    string
	Promise                 string // may be empty
	Given, Asked, Withdrawn int64
	Moves                   TopicMoves // in the time that is looked back over
}

// Happening is one line of what happened last.
type Happening struct {
	At    time.Time
	Tone  string // "yes", "ask", "no", or empty: see the colours of permission
	Who   string // an address, or empty
	Text  string // what, as a sentence
	Extra string // may be empty
}

// Queue is how one queue of mails stands. Held is what waits because someone
// paused where it comes from.
type Queue struct {
	Name                         string
	Waiting, Active, Later, Held int64
	Oldest                       time.Duration // that the first waiting mail has waited
	Age                          string        // the same in words
}

// Dashboard is the page admin/dashboard. Live names the stream of events after
// which the page fetches itself anew.
type Dashboard struct {
	Frame
	Brand    string
	Now      time.Time
	People   int64
	Writable int64 // who may be written to today, for at least one topic
	New      int64 // permissions given in the last seven days
	Left     int64 // permissions taken back in the last seven days
	Messages States
	Topics   []Topic
	Events   []Happening
	Queues   []Queue
	Live     string

	Decisions []Decision
	Windows   []Tab  // View is what the link says
	Over      string // the time that is looked back over
	Growth    Plot
	Sending   Plot
	Leaving   Plot
	Rates     []Rate
	Unwatched string // how many mails are in no rate of opens and clicks; may be empty
}

// Mail is one line of the mailbox.
type Mail struct {
	URL      string
	From     string
	To       string
	Subject  string
	At       time.Time
	Selected bool
}

// Header is one header field, decoded.
type Header struct{ Name, Value string }

// Letter is the mail that is open.
type Letter struct {
	From, To, Subject string
	At                time.Time
	View              string // "html", "text", "headers" or "source"
	Tabs              []Tab
	HTML              string // address of the HTML part for a sandboxed iframe; empty: none
	Text              string
	Headers           []Header
	Source            string
}

// Tab is one way to look at the mail that is open.
type Tab struct {
	View    string // as Letter.View
	URL     string
	Current bool
}

// Mailbox is the page admin/mailbox: all mail caught on this machine, newest first.
type Mailbox struct {
	Frame
	Address  string // where the catching SMTP server listens
	Search   string // words that the list is narrowed by
	Action   string // address of the list
	Language string // chosen for this page and to be kept while searching; may be empty
	Mails    []Mail
	Selected *Letter
	Live     string // stream of events: a mail came
}
