package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"time"
)

// parcel is a mail ready for the wire: lines end in CRLF, the last one too.
type parcel struct {
	from, to string // as MAIL and RCPT take them, without angle brackets
	raw      []byte
}

// send carries one message over a connection that go-mail has opened, secured
// and signed in. begin is called when the server has agreed to take the mail,
// and before a byte of it goes out; if it fails the message is not sent. healthy
// tells whether the connection may carry another. When ctx ends, the server has
// endTime left to answer.
//
// The verdict is hungUp where the connection was idle before, and the server ended
// it since, with 421 or without a word: many take only so many mails over one, and
// leave none idle for long. That says nothing of this mail, which may go over another.
func (c *conn) send(ctx context.Context, p parcel, begin func() error) (r reply, healthy bool) {
	c.sent++
	c.heard = 0
	stop := context.AfterFunc(ctx, c.hurry)
	defer func() { healthy = stop() && healthy }()
	if err := c.offer(p); err != nil {
		r, healthy = c.afterFailure(err)
		if c.rested && c.gone(err) && ctx.Err() == nil {
			r.verdict = hungUp
		}
		return r, healthy
	}
	if err := begin(); err != nil {
		return reply{verdict: unanswered, text: clip(err.Error())}, false
	}
	if err := c.body(p.raw); err != nil {
		// The dot is the end of what is written: an error means that it did not go out.
		return reply{verdict: unanswered, text: clip(err.Error())}, false
	}
	_ = c.within(finalTime)
	code, text, err := c.answer()
	if err == nil && code == 250 {
		return reply{verdict: accepted, code: 250, text: clip(text)}, true
	}
	r, clean := judge(said(code, text, err))
	if r.verdict == unanswered {
		r.verdict = unknown
	}
	return r, clean
}

// gone tells of a failed offer that the connection's end was the first thing heard.
func (c *conn) gone(err error) bool {
	if c.heard > 0 {
		return c.first == 421
	}
	var broken net.Error
	return errors.Is(err, io.EOF) || errors.As(err, &broken) && !broken.Timeout()
}

// offer says who writes to whom, and that the mail follows. Where the server
// takes commands in a group (PIPELINING, RFC 2920 §3.1), all three go out at
// once, DATA at the end of the group; else each waits for the answer to the one
// before.
func (c *conn) offer(p parcel) error {
	if err := c.within(stepTime); err != nil {
		return err
	}
	c.out = c.out[:0]
	c.say("MAIL FROM:<", p.from, ">")
	if c.sizes { // RFC 1870 §3: so that a mail too large is refused before it is sent
		c.out = strconv.AppendInt(append(c.out[:len(c.out)-2], " SIZE="...), int64(len(p.raw)), 10)
		c.out = append(c.out, "\r\n"...)
	}
	if !c.pipelines {
		if err := c.ask(250); err != nil {
			return err
		}
	}
	c.say("RCPT TO:<", p.to, ">")
	if !c.pipelines {
		if err := c.ask(250); err != nil {
			return err
		}
		c.say("DATA")
		return c.ask(354)
	}
	c.say("DATA")
	return c.ask(250, 250, 354)
}

func (c *conn) say(words ...string) {
	for _, w := range words {
		c.out = append(c.out, w...)
	}
	c.out = append(c.out, "\r\n"...)
}

// ask sends the commands that were said, reads the answer to each, and gives the
// first that is not as wanted. A server that says 354 to a DATA whose group it
// refused waits for a mail: there the connection is out of step.
func (c *conn) ask(want ...int) error {
	if _, err := c.smtp.Text.W.Write(c.out); err != nil {
		return err
	}
	if err := c.smtp.Text.W.Flush(); err != nil {
		return err
	}
	c.out = c.out[:0]
	var refusal error
	for _, w := range want {
		code, text, err := c.answer()
		if err != nil && refusal != nil { // it said why, and hung up
			return errors.Join(errOutOfStep, refusal)
		}
		if err != nil {
			return err
		}
		switch {
		case code == w || w == 250 && code == 251: // 251: it forwards (RFC 5321 §3.4)
			if refusal != nil && w == 354 {
				return errors.Join(errOutOfStep, refusal)
			}
		case refusal == nil:
			refusal = &textproto.Error{Code: code, Msg: text}
		case code == 421:
			return &textproto.Error{Code: code, Msg: text}
		}
	}
	return refusal
}

// errOutOfStep marks a refusal after which the connection is of no more use.
var errOutOfStep = errors.New("the connection is out of step")

// body writes the mail and the dot that ends it, in one piece. Lines that begin
// with a dot get another (RFC 5321 §4.5.2).
func (c *conn) body(raw []byte) error {
	if err := c.within(stepTime); err != nil {
		return err
	}
	c.out = append(stuff(c.out[:0], raw), ".\r\n"...)
	if _, err := c.smtp.Text.W.Write(c.out); err != nil {
		return err
	}
	return c.smtp.Text.W.Flush()
}

// stuff appends a mail whose lines end in CRLF to out, and a dot before each
// that a line begins with.
func stuff(out, raw []byte) []byte {
	out = slices.Grow(out, len(raw)+64)
	for len(raw) > 0 {
		if raw[0] == '.' {
			out = append(out, '.')
		}
		end := bytes.IndexByte(raw, '\n') + 1
		if end == 0 {
			end = len(raw)
		}
		out, raw = append(out, raw[:end]...), raw[end:]
	}
	return out
}

const maxAnswerLines = 100

// answer reads one reply of the server, of one line or several (RFC 5321 §4.2.1).
func (c *conn) answer() (code int, text string, err error) {
	for range maxAnswerLines {
		line, err := c.smtp.Text.R.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return 0, "", errors.New("the server's answer has no code: " + clip(string(line)))
		}
		n, err := strconv.Atoi(string(line[:3]))
		if err != nil || n < 100 || code != 0 && n != code || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return 0, "", errors.New("the server's answer has no code: " + clip(string(line)))
		}
		code = n
		more := len(line) > 3 && line[3] == '-'
		if len(line) > 4 && len(text) < 2*maxReply {
			if text != "" {
				text += " "
			}
			text += string(line[4:])
		}
		if !more {
			if c.heard++; c.heard == 1 {
				c.first = code
			}
			return code, text, nil
		}
	}
	return 0, "", errors.New("the server's answer does not end")
}

// said is an answer as an error.
func said(code int, text string, err error) error {
	if err != nil {
		return err
	}
	return &textproto.Error{Code: code, Msg: text}
}

// within bounds the wait for the next answer, and never moves it beyond the end
// of a stop: the client's own UpdateDeadline would, and so hold the stop up.
func (c *conn) within(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Add(d)
	if !c.end.IsZero() && c.end.Before(at) {
		at = c.end
	}
	return c.net.SetDeadline(at)
}

// hurry leaves what is under way endTime, whatever it waits for.
func (c *conn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = time.Now().Add(endTime)
	c.net.SetDeadline(c.end)
}

// afterFailure judges a failure before the mail went out: the server has nothing.
// After a clean refusal the transaction is reset for the next message.
func (c *conn) afterFailure(err error) (reply, bool) {
	r, clean := judge(err)
	if !clean || errors.Is(err, errOutOfStep) {
		return r, false
	}
	return r, c.smtp.Reset() == nil
}
