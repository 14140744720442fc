package compose

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Frame is a content made ready for one sender: what all its mails share is
// built once by go-mail, encoded, and cut where people differ. It is safe for
// concurrent use.
//
// A mail of a frame has the bytes of [Compiled.Message]. What cannot be cut
// without knowing the person goes that way, which is slower by a hundred times.
type Frame struct {
	compiled *Compiled
	common   Envelope // what all mails share; nothing of a person
	programs *programs
	whole    int     // hasWhole when every text is
	pieces   []piece // the message but for its two parts
	slow     bool    // every mail is made by Message

	pages [1 << pageBits]atomic.Pointer[sheetProgram]
	texts [1 << textBits]atomic.Pointer[sheetProgram]
}

// sheetProgram is a part of the mails of all people who have the same things in
// it; nil steps cannot be cut.
type sheetProgram struct{ steps program }

// programs are a content's templates as steps.
type programs struct {
	subject, preheader, html, text program
}

// What a person's mail may have or not have; each way is a page of its own.
const (
	hasLeave = 1 << iota
	hasPreferences
	hasWhy
	hasView
	hasPixel
	hasPreheader
	hasClicks

	hasWhole = 1 << 4 // of a text: it is filled, and then encoded as a whole
	textBits = 5
	pageBits = 7
)

// errUncut says that a mail has to be made the slow way. It stays in here.
var errUncut = errors.New("cannot be cut")

// Frame makes the content ready for a sender. It reads From, ReplyTo, Language,
// Brand, Topic, OneClick, ListID, FeedbackID, AutoSubmitted and Bulk, and fails
// as Message would for these.
func (c *Compiled) Frame(common Envelope) (*Frame, error) {
	f := &Frame{compiled: c, common: Envelope{}.sharing(common)}
	if f.common.Language == "" {
		f.common.Language = c.language
	}
	probe := f.common
	probe.To, probe.MessageID, probe.Date = Address{Email: "probe@probe.invalid"}, "probe@probe.invalid", time.Unix(0, 0)
	probe.Leave = "https://probe.invalid/"
	raw, err := build(probe, "probe", probeBody, probeBody)
	if err != nil {
		return nil, fmt.Errorf("frame a mail: %w", err)
	}
	if f.pieces, err = cutMessage(string(raw), boundary(probe.MessageID)); err != nil {
		return nil, err
	}
	f.programs = c.programs()
	f.slow = c.text == nil
	return f, nil
}

// probeBody is both parts of the message that is cut.
const probeBody = "x"

// sharing is the envelope with what all mails of a frame share.
func (env Envelope) sharing(common Envelope) Envelope {
	env.From, env.ReplyTo, env.Language, env.Brand, env.Topic = common.From, common.ReplyTo, common.Language, common.Brand, common.Topic
	env.OneClick, env.ListID, env.FeedbackID = common.OneClick, common.ListID, common.FeedbackID
	env.AutoSubmitted, env.Bulk = common.AutoSubmitted, common.Bulk
	return env
}

// programs compiles all parts.
func (c *Compiled) programs() *programs {
	all := &programs{subject: c.subject.program(), preheader: c.preheader.program(), html: c.html.program()}
	if c.text != nil {
		all.text = c.text.program()
	}
	return all
}

// piece is a stretch of the message that all mails share, and what comes after.
type piece struct {
	shared string
	then   slot
}

// slot is what differs between two mails of a frame.
type slot int

const (
	noSlot slot = iota
	dateSlot
	messageIDSlot
	subjectSlot
	toSlot
	leaveSlot
	boundarySlot
	textSlot
	htmlSlot
)

// ownFields are the header fields that differ.
var ownFields = map[string]slot{
	"Date": dateSlot, "Message-ID": messageIDSlot, "Subject": subjectSlot, "To": toSlot, "List-Unsubscribe": leaveSlot,
}

// cutMessage cuts a message that go-mail has built with a text and an HTML of
// one letter: out of the header the fields that differ, out of the body its
// boundary and the two parts.
func cutMessage(raw, boundary string) (pieces []piece, err error) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	var shared strings.Builder
	put := func(s slot) {
		pieces = append(pieces, piece{shared.String(), s})
		shared.Reset()
	}
	own := noSlot
	for line := range strings.SplitAfterSeq(head+"\r\n", "\r\n") {
		if line != "" && line[0] != ' ' {
			name, _, _ := strings.Cut(line, ":")
			if own = ownFields[name]; own != noSlot {
				put(own)
			}
		}
		if own == noSlot {
			shared.WriteString(line)
		}
	}
	between := strings.Split(shared.String()+"\r\n"+body, boundary)
	shared.Reset()
	if len(between) != 5 {
		return nil, fmt.Errorf("cut a mail: its boundary is there %d times", len(between)-1)
	}
	for n, s := range between {
		if part := n - 2; part == 0 || part == 1 {
			about, content, _ := strings.Cut(s, "\r\n\r\n")
			if content != probeBody+"\r\n--" {
				return nil, fmt.Errorf("cut a mail: part %d holds %q", part, content)
			}
			shared.WriteString(about + "\r\n\r\n")
			put(textSlot + slot(part))
			s = content[len(probeBody):]
		}
		if shared.WriteString(s); n < len(between)-1 {
			put(boundarySlot)
		}
	}
	put(noSlot)
	return pieces, nil
}

// Append writes the mail for one person after dst: the bytes that
// [Compiled.Message] makes when env has what the frame's mails share, and its
// errors. What env says about that is not looked at. On an error it gives dst as
// it was.
func (f *Frame) Append(dst []byte, env Envelope, values map[string]any) ([]byte, error) {
	env = env.sharing(f.common)
	if out, err := f.splice(dst, &env, values); err == nil {
		return out, nil
	}
	raw, err := f.compiled.Message(env, values)
	if err != nil {
		return dst, err
	}
	return append(dst, raw...), nil
}
