package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	maillog "github.com/wneessen/go-mail/log"

	"assent/internal/delivery/route"
	"assent/internal/i18n"
	"assent/internal/store"
)

// Trial is one mail to somebody of the team that is sent while they wait, over a
// connection of its own that is opened as those of the pool are, with every word
// written down. It is queued nowhere and counts nowhere.
type Trial struct {
	Server   *Server // the relay to go by; nil: straight to the receiver
	Direct   *Direct
	BrandID  uuid.UUID
	To       string
	Language string
}

// Out is how mail leaves: by one of several servers, or straight to the
// receivers. The zero value is not at all.
type Out struct {
	Servers []Server
	Direct  *Direct
	Catcher bool // the one server is the mailbox of this machine
}

// Ways names them, as Trial takes them by their place.
func (o Out) Ways() (all []string) {
	for _, s := range o.Servers {
		all = append(all, s.name())
	}
	if o.Direct != nil {
		all = append(all, "MX")
	}
	return all
}

// Trial is one by the way at a place of Ways; ok is false where there is none.
func (o Out) Trial(way int, brandID uuid.UUID, to, language string) (t Trial, ok bool) {
	t = Trial{BrandID: brandID, To: to, Language: language}
	switch {
	case way < 0:
		return t, false
	case way < len(o.Servers):
		t.Server = &o.Servers[way]
		return t, true
	}
	t.Direct = o.Direct
	return t, o.Direct != nil && way == len(o.Servers)
}

// trialTime is how long a trial may take until nothing more is waited for; what
// is under way then has endTime left.
const trialTime = 15 * time.Second

// Step is a part of an SMTP conversation.
type Step string

// The steps, in their order.
const (
	StepCall    Step = "call"    // who is called
	StepConnect Step = "connect" // the line stands
	StepGreet   Step = "greet"
	StepHello   Step = "hello"
	StepStart   Step = "starttls"
	StepSecure  Step = "secure" // it is encrypted from here on
	StepLogin   Step = "login"
	StepFrom    Step = "from"
	StepTo      Step = "to"
	StepData    Step = "data"
	StepMail    Step = "mail"
	StepQuit    Step = "quit"
	StepBreak   Step = "break" // it ended here, without an answer
	StepOther   Step = "other"
)

// Speaker is who said a line.
type Speaker string

// The speakers. A note is what neither said: that the line stands, that it broke.
const (
	Ours   Speaker = "ours"
	Theirs Speaker = "theirs"
	Noted  Speaker = "noted"
)

// Line is something that was said, or happened. An answer bears the step of what
// it answers, and its code.
type Line struct {
	By   Speaker
	Step Step
	Text string // without what signs in
	Code int
}

// Refused tells of an answer that is a no, for now or for good.
func (l Line) Refused() bool { return l.Code >= 400 }

// Trouble is what kept a mail from being taken.
type Trouble string

// The troubles.
const (
	TroubleName        Trouble = "name"        // the server's name leads nowhere
	TroubleConnect     Trouble = "connect"     // nobody listens there
	TroubleSilence     Trouble = "silence"     // no answer in time
	TroubleCertificate Trouble = "certificate" // it is not who it should be
	TroubleTLS         Trouble = "tls"         // no encryption, and it is demanded
	TroubleLogin       Trouble = "login"       // user or password
	TroubleSender      Trouble = "sender"
	TroubleRelaying    Trouble = "relaying" // it takes no mail for others from us
	TroubleRecipient   Trouble = "recipient"
	TroublePolicy      Trouble = "policy"
	TroubleLater       Trouble = "later" // 4yz
	TroubleRefused     Trouble = "refused"
	TroubleBreak       Trouble = "break"     // the line broke
	TroubleUncertain   Trouble = "uncertain" // after the mail was handed over
)

// Transcript is what was said, and what came of it.
type Transcript struct {
	Lines   []Line
	Taken   bool    // 250 after the mail
	Trouble Trouble // where it was not taken
}

// Try sends the mail and tells how that went. That it was not taken is no error:
// an error is ours, such as a mail that could not be made. It takes some twenty
// seconds at most, or until ctx ends.
func (r *Renderer) Try(ctx context.Context, t Trial) (Transcript, error) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	p, err := r.trialParcel(ctx, t)
	if err != nil {
		return Transcript{}, fmt.Errorf("make a mail to try: %w", err)
	}
	rec := &recorder{}
	c, err := t.dial(ctx, rec)
	if err != nil {
		rec.broke(err)
		return rec.transcript(troubleOf(err, rec)), nil
	}
	rec.listen(c)
	said, healthy := c.send(ctx, p, func() error { rec.body(len(p.raw)); return nil })
	if healthy {
		c.quit()
	} else {
		c.smtp.Close()
	}
	if said.code == 0 {
		rec.broke(errors.New(said.text))
	}
	if said.verdict == accepted {
		return rec.transcript(""), nil
	}
	return rec.transcript(troubleWith(said, rec)), nil
}

// trialParcel is the mail, as any of the brand's: by its sender, with its keys.
func (r *Renderer) trialParcel(ctx context.Context, t Trial) (parcel, error) {
	way := "MX"
	if t.Server != nil {
		way = t.Server.name()
	}
	s, err := r.sender(ctx, t.BrandID)
	if err != nil {
		return parcel{}, err
	}
	now := r.DB.Now()
	m := &claimed{Message: Message{ID: store.NewID(now), BrandID: t.BrandID, Kind: Test, Template: "trial", Language: t.Language, Recipient: t.To,
		Data: map[string]any{"source": way, "requested_at": i18n.For(t.Language).DateTime(now, s.Location())}}}
	return r.parcel(ctx, m, nil)
}

// dial opens the connection as the pool would.
func (t Trial) dial(ctx context.Context, rec *recorder) (*conn, error) {
	if t.Server != nil {
		s := *t.Server
		s.rec = rec
		client, err := newClient(s)
		if err != nil {
			return nil, err
		}
		rec.call(s)
		return connect(ctx, client)
	}
	domain := t.To[strings.LastIndexByte(t.To, '@')+1:]
	way, err := t.Direct.Finder.Find(ctx, domain)
	if err != nil {
		return nil, err
	}
	return (&pool{direct: t.Direct, rec: rec}).reach(ctx, way)
}

// troubleOf is what kept the connection from standing.
func troubleOf(err error, rec *recorder) Trouble {
	var named *net.DNSError
	var routed *route.Failure
	var certificate *tls.CertificateVerificationError
	var said *textproto.Error
	var network net.Error
	switch {
	case errors.As(err, &certificate), errors.As(err, &x509.HostnameError{}), errors.As(err, &x509.UnknownAuthorityError{}):
		return TroubleCertificate
	case errors.As(err, &named) && !named.IsTimeout, errors.As(err, &routed):
		return TroubleName
	case errors.As(err, &said) && said.Code >= 400 && said.Code < 500:
		return TroubleLater
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return TroubleSilence
	case strings.Contains(err.Error(), "authentication mechanism") && !rec.reached(StepSecure):
		return TroubleTLS // a password does not go over it in clear
	case rec.reached(StepLogin), strings.Contains(err.Error(), "SMTP AUTH"), strings.Contains(err.Error(), "authentication mechanism"):
		return TroubleLogin
	case rec.reached(StepStart) && !rec.reached(StepSecure), strings.Contains(err.Error(), "STARTTLS"), isTLS(err):
		return TroubleTLS
	case !rec.reached(StepConnect):
		return TroubleConnect
	case errors.As(err, &said):
		return TroubleRefused
	}
	return TroubleBreak
}

func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &record) || errors.As(err, &alert)
}

// relaying are the words of servers that take mail for their own only.
var relaying = regexp.MustCompile(`(?i)relay|authenticat`)

// troubleWith is what the server said against the mail.
func troubleWith(r reply, rec *recorder) Trouble {
	at := rec.refusedAt()
	switch {
	case r.verdict == unknown:
		return TroubleUncertain
	case r.verdict == postponed:
		return TroubleLater
	case r.verdict != refused:
		return TroubleBreak
	case r.code == 530 || r.code == 535:
		return TroubleLogin
	case at == StepTo && relaying.MatchString(r.text):
		return TroubleRelaying
	case at == StepFrom:
		return TroubleSender
	case at == StepTo:
		return TroubleRecipient
	case r.policy():
		return TroublePolicy
	}
	return TroubleRefused
}

// recorder writes a conversation down. go-mail tells it what is said until
// somebody is signed in, and hides what signs in; the rest it hears itself.
type recorder struct {
	mu      sync.Mutex
	lines   []Line
	waits   []Step // what was said and not answered yet
	secret  []string
	secures bool // STARTTLS is agreed, and the handshake is to come
	deaf    bool // the sign-in failed: what go-mail says after it tells nothing
	silent  bool // under TLS from the first byte nothing is heard beneath
	greeted bool

	heard, spoken []byte // of lines that are not whole
	mailing       bool
}

// masked stands for what signs in.
const masked = "••••••••"

// authMark is what go-mail gives for it.
const authMark = "<SMTP auth data redacted>"

func (r *recorder) call(s Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits, r.heard, r.spoken = nil, nil, nil
	r.secures, r.deaf, r.greeted, r.silent = false, false, false, s.TLS == TLSImplicit
	r.secret = nil
	if s.Password != "" {
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + s.User + "\x00" + s.Password))
		r.secret = []string{s.Password, plain, base64.StdEncoding.EncodeToString([]byte(s.Password))}
	}
	r.add(Line{By: Noted, Step: StepCall, Text: s.name()})
}

func (r *recorder) add(l Line) {
	for _, s := range r.secret {
		l.Text = strings.ReplaceAll(l.Text, s, masked)
	}
	l.Text = clip(l.Text)
	r.lines = append(r.lines, l)
}

// under notes that the line stands, and hears the greeting on it.
func (r *recorder) under(c net.Conn) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(Line{By: Noted, Step: StepConnect, Text: c.RemoteAddr().String()})
	if r.silent {
		return c
	}
	return &greeting{Conn: c, rec: r}
}

// secured notes that the line is encrypted.
func (r *recorder) secured(c *tls.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(Line{By: Noted, Step: StepSecure, Text: tls.VersionName(c.ConnectionState().Version)})
}

// greeting is a connection on which the server's first words are heard.
type greeting struct {
	net.Conn
	rec *recorder
}

func (g *greeting) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.rec.greet(b[:n])
	return n, err
}

func (r *recorder) greet(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.greeted {
		return
	}
	r.heard = append(r.heard, b...)
	if l, whole := r.answer(StepGreet); whole {
		r.greeted, r.heard = true, nil
		r.add(l)
	}
}

// answer takes a whole answer of one line or several from what was heard.
func (r *recorder) answer(step Step) (l Line, whole bool) {
	l = Line{By: Theirs, Step: step}
	var text []string
	for rest := r.heard; ; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return l, false
		}
		one := strings.TrimRight(string(rest[:end]), "\r")
		rest = rest[end+1:]
		text = append(text, one)
		if len(one) < 4 || one[3] != '-' {
			fmt.Sscanf(one, "%3d", &l.Code)
			l.Text, r.heard = strings.Join(text, " "), rest
			return l, true
		}
	}
}

// Debugf implements go-mail's Logger.
func (r *recorder) Debugf(l maillog.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.greeted = true
	if r.deaf {
		return
	}
	text := strings.ReplaceAll(fmt.Sprintf(l.Format, l.Messages...), authMark, masked)
	if l.Direction == maillog.DirClientToServer {
		step := stepOf(text)
		if strings.Contains(text, masked) {
			step, text = StepLogin, "AUTH "+masked
		}
		r.waits = []Step{step}
		r.add(Line{By: Ours, Step: step, Text: text})
		return
	}
	line := Line{By: Theirs, Step: r.answered(), Text: text}
	fmt.Sscanf(text, "%3d", &line.Code)
	if r.secures { // what was answered came through the encryption
		r.secures = false
		at := len(r.lines) - 1
		r.lines = slices.Insert(r.lines, at, Line{By: Noted, Step: StepSecure})
	}
	r.secures = line.Step == StepStart && line.Code == 220
	r.deaf = line.Step == StepLogin && line.Refused()
	r.add(line)
}

// Infof, Warnf and Errorf implement go-mail's Logger; it calls none of them here.
func (*recorder) Infof(maillog.Log) {}

// Warnf is like Infof.
func (*recorder) Warnf(maillog.Log) {}

// Errorf is like Infof.
func (*recorder) Errorf(maillog.Log) {}

// answered takes the step that an answer belongs to.
func (r *recorder) answered() Step {
	if len(r.waits) == 0 {
		return StepOther
	}
	step := r.waits[0]
	r.waits = r.waits[1:]
	return step
}

var verbs = map[string]Step{"EHLO": StepHello, "HELO": StepHello, "STARTTLS": StepStart, "AUTH": StepLogin, "MAIL": StepFrom, "RCPT": StepTo, "DATA": StepData, "QUIT": StepQuit}

func stepOf(command string) Step {
	verb, _, _ := strings.Cut(command, " ")
	if step, ok := verbs[strings.ToUpper(verb)]; ok {
		return step
	}
	return StepOther
}

// listen hears what goes over an open connection from now on. Nothing is under
// way on it, so nothing is lost between.
func (r *recorder) listen(c *conn) {
	c.smtp.Text = textproto.NewConn(&tapped{c.smtp.Text, r})
}

// tapped is a connection that is listened to.
type tapped struct {
	text *textproto.Conn
	rec  *recorder
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.text.R.Read(b)
	t.rec.hear(b[:n])
	return n, err
}

func (t *tapped) Write(b []byte) (int, error) {
	t.rec.speak(b)
	n, err := t.text.W.Write(b)
	if err == nil {
		err = t.text.W.Flush()
	}
	return n, err
}

func (t *tapped) Close() error { return t.text.Close() }

var _ io.ReadWriteCloser = (*tapped)(nil)

func (r *recorder) speak(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mailing {
		return
	}
	r.spoken = append(r.spoken, b...)
	for {
		end := bytes.IndexByte(r.spoken, '\n')
		if end < 0 {
			return
		}
		text := strings.TrimRight(string(r.spoken[:end]), "\r")
		r.spoken = r.spoken[end+1:]
		r.waits = append(r.waits, stepOf(text))
		r.add(Line{By: Ours, Step: stepOf(text), Text: text})
	}
}

func (r *recorder) hear(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, b...)
	for {
		l, whole := r.answer(StepOther)
		if !whole {
			return
		}
		l.Step = r.answered()
		r.mailing = r.mailing && l.Step != StepMail
		r.add(l)
	}
}

// body notes that the mail itself follows, so many bytes of it.
func (r *recorder) body(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mailing = true
	r.waits = append(r.waits, StepMail)
	r.add(Line{By: Ours, Step: StepMail, Text: fmt.Sprintf("(%d bytes)", n)})
}

// broke notes how it ended without an answer. A refusal that go-mail keeps to
// itself is an answer all the same.
func (r *recorder) broke(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var said *textproto.Error
	if errors.As(err, &said) {
		if n := len(r.lines); n > 0 && r.lines[n-1].Code == said.Code {
			return
		}
		r.add(Line{By: Theirs, Step: r.answered(), Text: said.Error(), Code: said.Code})
		return
	}
	if r.deaf {
		return
	}
	if n := len(r.lines); r.secures && n > 0 && r.lines[n-1].By == Ours {
		r.lines = r.lines[:n-1] // the greeting that the handshake would have carried
	}
	r.add(Line{By: Noted, Step: StepBreak, Text: err.Error()})
}

// reached tells whether it came to a step.
func (r *recorder) reached(step Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.lines, func(l Line) bool { return l.Step == step })
}

// refusedAt is the step of the first no.
func (r *recorder) refusedAt() Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.By == Theirs && l.Refused() {
			return l.Step
		}
	}
	return StepOther
}

func (r *recorder) transcript(t Trouble) Transcript {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Transcript{Lines: slices.Clone(r.lines), Taken: t == "", Trouble: t}
}
