package compose

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osteele/liquid/render"
)

// job is the making of one mail of a frame. An error of any of its methods says
// that the mail is to be made the slow way, which knows whether it is one for
// somebody to read.
type job struct {
	frame *Frame
	env   *Envelope
	scope
	vars map[string]any // data as the engine wants it, made when it is asked for
	run  run
	work []byte

	subject, preheader string
}

var jobs = sync.Pool{New: func() any { return new(job) }}

// maxSpliced is how long, in bytes, the parts may be for the bounds that a
// template is held to (maxPart, maxValue) to be out of reach.
const (
	maxSpliced = maxPart / 2
	maxShown   = maxValue / 8
)

// splice writes the mail after dst.
func (f *Frame) splice(dst []byte, env *Envelope, data map[string]any) (out []byte, err error) {
	if f.slow {
		return dst, errUncut
	}
	j := jobs.Get().(*job)
	j.frame, j.env, j.data, j.run.now = f, env, data, env.Date
	defer func() {
		if c := recover(); c != nil {
			out, err = dst, errUncut
		}
		j.begin(false) // a job in the pool keeps nobody's data
		clear(j.turns[:cap(j.turns)])
		j.frame, j.env, j.data, j.turns, j.vars, j.subject, j.preheader = nil, nil, nil, j.turns[:0], nil, "", ""
		jobs.Put(j)
	}()
	if !isMessageID(env.MessageID) || env.Date.IsZero() || !env.plainAddresses() {
		return dst, errUncut
	}
	email, err := ASCIIAddress(env.To.Email)
	if err != nil {
		return dst, err
	}
	if err := j.words(); err != nil {
		return dst, err
	}
	return j.message(dst, email)
}

// begin begins a part.
func (j *job) begin(escaping bool) {
	j.run.begin(escaping)
	j.slots = [maxSlots]variable{}
}

// message puts the pieces together.
func (j *job) message(dst []byte, email string) (out []byte, err error) {
	out = dst
	var line [40]byte
	boundary := appendBoundary(line[:0], j.env.MessageID)
	for _, p := range j.frame.pieces {
		out = append(out, p.shared...)
		switch p.then {
		case dateSlot:
			out = append(out, "Date: "...)
			out = j.env.Date.UTC().AppendFormat(out, time.RFC1123Z)
			out = append(out, "\r\n"...)
		case messageIDSlot:
			out = j.field(out, "Message-ID", append(append(append(j.work[:0], '<'), j.env.MessageID...), '>'))
		case subjectSlot:
			if needsWords(j.subject) {
				out = j.field(out, "Subject", appendWords(j.work[:0], j.subject))
			} else {
				out = appendField(out, "Subject", j.subject)
			}
		case toSlot:
			out = j.field(out, "To", appendPhrase(j.work[:0], j.env.To.Name, email))
		case leaveSlot:
			out = j.field(out, "List-Unsubscribe", append(append(append(j.work[:0], '<'), j.env.Leave...), '>'))
		case boundarySlot:
			out = append(out, boundary...)
		case textSlot:
			if out, err = j.text(out); err != nil {
				return dst, err
			}
		case htmlSlot:
			if out, err = j.html(out); err != nil {
				return dst, err
			}
		}
	}
	return out, nil
}

// field writes a header field whose value stands in the work space.
func (j *job) field(dst []byte, name string, value []byte) []byte {
	j.work = value
	return appendField(dst, name, value)
}

// words fills subject and preheader.
func (j *job) words() (err error) {
	all := j.frame.programs
	j.begin(false)
	if j.subject, err = j.string(all.subject); err != nil {
		return err
	}
	if j.subject = oneLine(j.subject, maxSubject); j.subject == "" {
		return errUncut
	}
	j.begin(false)
	j.preheader, err = j.string(all.preheader)
	j.preheader = oneLine(j.preheader, maxSubject)
	return err
}

// html writes the HTML part after dst.
func (j *job) html(dst []byte) ([]byte, error) {
	j.begin(true)
	key := j.links()
	if j.env.PixelURL != "" {
		key |= hasPixel
	}
	if j.preheader != "" {
		key |= hasPreheader
	}
	if j.env.Link != nil {
		key |= hasClicks
	}
	steps, err := ready(&j.frame.pages[key], key, j.frame.page)
	if err != nil {
		return dst, err
	}
	p := pen{out: dst}
	if err := j.write(&p, steps); err != nil {
		return dst, err
	}
	return p.out, p.finish(len(dst))
}

// text writes the text part after dst.
func (j *job) text(dst []byte) ([]byte, error) {
	made := j.frame.compiled.made
	for key := j.links(); ; key |= hasWhole {
		j.begin(false)
		steps, err := ready(&j.frame.texts[key], key, j.frame.text)
		if err != nil {
			return dst, err
		}
		p := pen{out: dst, tidy: made}
		if err = j.write(&p, steps); err == nil {
			err = p.finish(len(dst))
		}
		if err == nil || key&hasWhole != 0 || !p.odd || !made {
			return p.out, err
		}
	}
}

// links are the addresses that the person's mail has, as a key.
func (j *job) links() (key int) {
	for i, url := range [...]string{j.env.Leave, j.env.Preferences, j.env.Why, j.env.View} {
		if url != "" {
			key |= 1 << i
		}
	}
	return key
}

// ready gives the program for a key, made when it is first asked for.
func ready(at *atomic.Pointer[sheetProgram], key int, make func(key int) (program, error)) (program, error) {
	p := at.Load()
	if p == nil {
		steps, err := make(key)
		if err != nil {
			return nil, err
		}
		p = &sheetProgram{steps}
		at.Store(p)
	}
	if p.steps == nil {
		return nil, errUncut
	}
	return p.steps, nil
}

// plainAddresses reports whether the person's links are written everywhere as
// they are.
func (env *Envelope) plainAddresses() bool {
	origin := "" // of the link before, which is that of all
	for _, url := range [...]string{env.Leave, env.Preferences, env.Why, env.View, env.PixelURL} {
		if url == "" {
			continue
		}
		if origin == "" || !strings.HasPrefix(url, origin) {
			if origin = plainOrigin(url); origin == "" {
				return false
			}
		}
		for i := len(origin); i < len(url); i++ {
			if !isUnreserved[url[i]] {
				return false
			}
		}
		if len(url) > maxURL {
			return false
		}
	}
	return !env.OneClick || strings.HasPrefix(env.Leave, "https://")
}

// plainOrigin is the beginning of a web address up to its path: a scheme, a host
// of small letters and digits, a port. It is "" for one that is not so plain.
func plainOrigin(url string) string {
	rest, ok := strings.CutPrefix(url, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(url, "http://"); !ok {
			return ""
		}
	}
	host, port := 0, false
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == '/' && host > 0:
			return url[:len(url)-len(rest)+i+1]
		case c >= '0' && c <= '9' && port:
		case c == ':' && !port:
			port = true
		case !port && (c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z'):
			host++
		default:
			return ""
		}
	}
	return ""
}

var isUnreserved = func() (t [256]bool) {
	for c := range t {
		t[c] = c != '_' && isLetter(byte(c)) || c >= '0' && c <= '9' || strings.ContainsRune("-._~/", rune(c))
	}
	return t
}()

// write writes a part by its steps.
func (j *job) write(p *pen, steps program) error {
	for i := range steps {
		s := &steps[i]
		switch s.kind {
		case textStep:
			p.segment(&s.ready)
			p.tidy = p.tidy && !s.last
		case outputStep:
			text, escape, err := s.output.show(&j.run, &j.scope)
			if err != nil || len(text) > maxShown {
				return errUncut
			}
			if escape {
				p.text(text, asHTML)
			} else {
				p.text(text, asPlain)
			}
		case assignStep:
			if err := j.assign(s); err != nil {
				return err
			}
		case branchStep:
			if err := j.write(p, s.taken(&j.scope)); err != nil {
				return err
			}
		case loopStep:
			if err := j.each(s, func(body program) error { return j.write(p, body) }); err != nil {
				return err
			}
		case engineStep:
			text, err := j.engine(s.node)
			if err != nil {
				return err
			}
			p.text(replaceMarks(text, j.frame.compiled.html.links, j.env.Link), asPlain)
		case wholeTextStep:
			text, err := j.wholeText()
			if err != nil {
				return err
			}
			p.text(text, asPlain)
		default:
			j.own(p, s)
		}
	}
	return nil
}

// own writes what is the person's own.
func (j *job) own(p *pen, s *step) {
	switch s.kind {
	case linkStep:
		p.text(j.env.Link(s.n), asHTML)
	case titleStep:
		p.text(j.subject, asSheet)
	case preheaderStep:
		p.text(j.preheader, asSheet)
	case leaveStep:
		coded(p, j.env.Leave)
	case preferencesStep:
		coded(p, j.env.Preferences)
	case whyStep:
		coded(p, j.env.Why)
	case viewStep:
		coded(p, j.env.View)
	case pixelStep:
		coded(p, j.env.PixelURL)
	}
	p.ends = 0
}

func (j *job) assign(s *step) error {
	v, err := s.output.evaluate(&j.run, &j.scope)
	j.slots[s.n-1] = variable{v, true}
	return err
}

// taken are the steps of the way that the data lead.
func (s *step) taken(in *scope) program {
	for i := range s.branches {
		if b := &s.branches[i]; b.when == nil || b.when.holds(in) {
			return b.then
		}
	}
	return nil
}

// string fills a part that is not written as it is.
func (j *job) string(steps program) (string, error) {
	if len(steps) == 0 {
		return "", nil
	}
	if len(steps) == 1 && steps[0].kind == textStep {
		return steps[0].text, nil
	}
	out, err := j.fill(j.work[:0], steps)
	j.work = out
	if err != nil || len(out) > maxSpliced {
		return "", errUncut
	}
	return string(out), nil
}

func (j *job) fill(dst []byte, steps program) ([]byte, error) {
	for i := range steps {
		s := &steps[i]
		var text string
		var err error
		switch s.kind {
		case textStep:
			text = s.text
		case outputStep:
			if text, _, err = s.output.show(&j.run, &j.scope); len(text) > maxShown {
				err = errUncut
			}
		case assignStep:
			err = j.assign(s)
		case branchStep:
			dst, err = j.fill(dst, s.taken(&j.scope))
		case loopStep:
			err = j.each(s, func(body program) (err error) {
				dst, err = j.fill(dst, body)
				return err
			})
		case engineStep:
			text, err = j.engine(s.node)
		}
		if err != nil {
			return dst, err
		}
		dst = append(dst, text...)
	}
	return dst, nil
}

func (j *job) wholeText() (string, error) {
	text, err := j.string(j.frame.programs.text)
	if j.frame.compiled.made {
		text = tidyText(text)
	}
	return strings.TrimSpace(text), err
}

// engine lets the engine render a node.
func (j *job) engine(node render.Node) (string, error) {
	if j.vars == nil {
		j.vars = fence(j.data)
		j.run.bind(j.vars)
	}
	var out capped
	if err := j.run.engine(node, &out, j.vars); err != nil {
		return "", errUncut
	}
	return out.String(), nil
}
