package delivery

import (
	"errors"
	"math/rand/v2"
	"net/textproto"
	"regexp"
	"strings"
	"time"
)

// verdict is what one try came to.
type verdict int

const (
	accepted   verdict = iota // 250 after the final dot: the server has it
	refused                   // 5yz: it will never take it
	postponed                 // 4yz: it may take it later
	unanswered                // the connection broke before the final dot: the server has nothing
	unknown                   // the connection broke after it: the server may have it
	returned                  // it was never begun: back into the queue as it was
	delayed                   // it was never begun: back into the queue, for later
	hungUp                    // it was never begun, for the connection had ended: over another, at once
)

// reply is the server's last word on a message.
type reply struct {
	verdict verdict
	code    int       // 250, 451, 550 …; 0 when there was none
	text    string    // the server's words, or the error
	until   time.Time // of delayed
}

// maxReply keeps a talkative server from filling the table.
const maxReply = 500

// judge reads a clean refusal out of an error. Anything else, an answer that
// does not belong here too, means that the connection is out of step or gone:
// it is unanswered, for a broken network is never a bounce, and no delivery.
func judge(err error) (r reply, clean bool) {
	var e *textproto.Error
	if !errors.As(err, &e) {
		return reply{verdict: unanswered, text: clip(err.Error())}, false
	}
	r = reply{verdict: unanswered, code: e.Code, text: clip(e.Msg)}
	switch {
	case e.Code == 421: // the server closes the connection (RFC 5321 §4.2.2)
		r.verdict = postponed
		return r, false
	case e.Code >= 400 && e.Code < 500:
		r.verdict = postponed
	case e.Code >= 500 && e.Code < 600:
		r.verdict = refused
	default:
		return r, false
	}
	return r, true
}

func clip(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > maxReply {
		s = strings.ToValidUTF8(s[:maxReply], "")
	}
	return s
}

var (
	// Bad mailbox, bad domain, bad syntax, moved, null MX (RFC 3463 §3.2, RFC 7505 §4).
	hardStatus  = regexp.MustCompile(`^5\.1\.(1|2|3|6|10)\b`)
	enhanced    = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)
	unknownUser = regexp.MustCompile(`(?i)user unknown|unknown (user|recipient|mailbox|local)|no such (user|recipient|mailbox|person)|(user|recipient|mailbox|address|account) (does not|doesn't|not) (exist|found)|invalid (mailbox|recipient)|has moved`)
)

// hard reports that the address itself is bad for good: it is suppressed. A
// refusal over policy, reputation or content is not (standards: only unknown
// user, unknown host and moved are hard); it says more of the sender.
func (r reply) hard() bool {
	if r.verdict != refused {
		return false
	}
	if enhanced.MatchString(r.text) {
		return hardStatus.MatchString(r.text)
	}
	return (r.code == 550 || r.code == 551 || r.code == 553) && unknownUser.MatchString(r.text)
}

// policy reports a refusal that says more of the sender than of the address:
// over policy, reputation or content (RFC 3463 §3.8, X.7.X).
func (r reply) policy() bool {
	return r.verdict == refused && !r.hard() && (policyStatus.MatchString(r.text) || r.code == 554 && !enhanced.MatchString(r.text))
}

var policyStatus = regexp.MustCompile(`^5\.7\.\d{1,3}\b`)

// schedule is when a message that was put off is tried again: RFC 5321
// §4.5.4.1 asks for patience, an asked-for confirmation for haste.
type schedule struct {
	waits []time.Duration // the last one repeats
	life  time.Duration   // of waiting between tries; then it has failed. What is paused or not tried does not age
}

var schedules = map[Kind]schedule{
	Confirm:   {minutes(1, 3, 10, 20, 40), 6 * time.Hour},
	Service:   {minutes(2, 5, 15, 30, 60), 24 * time.Hour},
	Marketing: {minutes(5, 15, 30, 60, 120, 240), 72 * time.Hour},
	Test:      {minutes(1, 3, 10), time.Hour},
}

func minutes(n ...int) (d []time.Duration) {
	for _, m := range n {
		d = append(d, time.Duration(m)*time.Minute)
	}
	return d
}

// next is when to try again after so many tries, at least one, with ±20 % so
// that those put off together do not come back together; ok is false when its
// life is over.
func (s schedule) next(tries int, now time.Time) (due time.Time, ok bool) {
	var wait, waited time.Duration
	for i := range tries {
		wait = s.waits[min(i, len(s.waits)-1)]
		waited += wait
	}
	wait += time.Duration((rand.Float64()*0.4 - 0.2) * float64(wait))
	return now.Add(wait).Truncate(time.Microsecond), waited <= s.life
}
