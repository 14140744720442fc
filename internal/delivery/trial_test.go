package delivery

import (
	"encoding/base64"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"assent/internal/testkit"
)

// try sends one mail of the brand to somebody of the team.
func (w *world) try(t Trial) Transcript {
	w.Helper()
	t.BrandID, t.Language = w.brand.ID, "fa"
	if t.To == "" {
		t.To = "mina@baharan.example"
	}
	began := time.Now()
	said, err := w.engine.renderer.Try(w.Context(), t)
	w.must(err)
	if took := time.Since(began); took > 20*time.Second {
		w.Errorf("it took %s", took)
	}
	return said
}

func (w *world) relay() *Server {
	host, port, _ := net.SplitHostPort(w.server)
	n, _ := strconv.Atoi(port)
	return &Server{Host: host, Port: n, TLS: TLSNone, Connections: 1, Hello: "assent.test"}
}

// spoken is the conversation as one can read it: who, which step, which code.
func spoken(t Transcript) string {
	var all []string
	for _, l := range t.Lines {
		one := string(l.By) + ":" + string(l.Step)
		if l.Code > 0 {
			one += ":" + strconv.Itoa(l.Code)
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

const upToMail = "noted:call noted:connect theirs:greet:220 ours:hello theirs:hello:250 "

// A mail that is taken: every word of it, in order, and the mail is there.
func TestATrialIsWrittenDown(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	said := w.try(Trial{Server: w.relay()})
	if want := upToMail + "ours:from ours:to ours:data theirs:from:250 theirs:to:250 theirs:data:354 ours:mail theirs:mail:250 ours:quit theirs:quit:221"; spoken(said) != want || !said.Taken || said.Trouble != "" {
		t.Errorf("taken %v, trouble %q:\n%s\nwant\n%s", said.Taken, said.Trouble, spoken(said), want)
	}
	got := w.smtp.Wait(t, 1, 5*time.Second)
	if len(got) != 1 || got[0].From != "post@baharan.example" || got[0].To[0] != "mina@baharan.example" || !strings.Contains(got[0].Text, "نامهٔ آزمایشی") {
		t.Errorf("the server has %+v", got)
	}
	if texts := strings.Join(texts(said), "\n"); !strings.Contains(texts, "EHLO assent.test") || !strings.Contains(texts, "RCPT TO:<mina@baharan.example>") || strings.Contains(texts, "نامه") {
		t.Errorf("said\n%s", texts)
	}
}

func texts(t Transcript) (all []string) {
	for _, l := range t.Lines {
		all = append(all, l.Text)
	}
	return all
}

func TestATrialThatIsNotTaken(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	for name, c := range map[string]struct {
		answer  testkit.Answer
		trouble Trouble
		ends    string
	}{
		"no such person":    {testkit.Refuse(550, "5.1.1 no such user"), TroubleRecipient, "theirs:to:550"},
		"not for others":    {testkit.Refuse(554, "5.7.1 relay access denied"), TroubleRelaying, "theirs:to:554"},
		"later":             {testkit.Refuse(451, "4.7.1 greylisted"), TroubleLater, "theirs:to:451"},
		"over its policy":   {testkit.RefuseData(550, "5.7.26 unauthenticated"), TroublePolicy, "theirs:mail:550"},
		"over its content":  {testkit.RefuseData(552, "5.3.4 too big"), TroubleRefused, "theirs:mail:552"},
		"cut after the dot": {testkit.CutReply(), TroubleUncertain, "noted:break"},
	} {
		w.smtp.Script("mina@baharan.example", c.answer.Times(1))
		if said := w.try(Trial{Server: w.relay()}); said.Taken || said.Trouble != c.trouble || !strings.Contains(spoken(said), c.ends) {
			t.Errorf("%s: %q\n%s", name, said.Trouble, spoken(said))
		}
	}
	w.smtp.Down()
	if said := w.try(Trial{Server: w.relay()}); said.Trouble != TroubleConnect || spoken(said) != "noted:call noted:break" {
		t.Errorf("nobody there: %q\n%s", said.Trouble, spoken(said))
	}
	gone := w.relay()
	gone.Host = "no-such-host.invalid"
	if said := w.try(Trial{Server: gone}); said.Trouble != TroubleName && said.Trouble != TroubleSilence {
		t.Errorf("no such host: %q\n%s", said.Trouble, spoken(said))
	}
}

// Nobody reads a password off a transcript, nor does the server's echo show it.
func TestATrialKeepsThePassword(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	for name, c := range map[string]struct {
		tls        TLSMode
		serves     bool
		mechanisms []string
		password   string
		trouble    Trouble
		has        string
	}{
		"right, after STARTTLS": {TLSRequired, true, []string{sasl.Plain}, "right", "", "ours:starttls theirs:starttls:220 noted:secure ours:hello theirs:hello:250 ours:login theirs:login:235"},
		"right, by LOGIN":       {TLSRequired, true, []string{sasl.Login}, "right", "", "theirs:login:235"},
		"right, implicit TLS":   {TLSImplicit, true, []string{sasl.Plain}, "right", "", "noted:connect noted:secure ours:hello theirs:hello:250 ours:login theirs:login:235"},
		"wrong":                 {TLSRequired, true, []string{sasl.Plain}, "s3cret-and-wrong", TroubleLogin, "theirs:login:535"},
		"in clear":              {TLSNone, false, []string{sasl.Plain}, "right", TroubleTLS, "noted:break"},
		"no TLS there":          {TLSRequired, false, []string{sasl.Plain}, "right", TroubleTLS, "noted:break"},
	} {
		p := &probed{mechanisms: c.mechanisms}
		s := p.serve(t, c.serves, c.tls == TLSImplicit)
		s.TLS, s.User, s.Password = c.tls, "assent", c.password
		said := w.try(Trial{Server: &s})
		if said.Trouble != c.trouble || said.Taken != (c.trouble == "") || !strings.Contains(spoken(said), c.has) {
			t.Errorf("%s: %q\n%s", name, said.Trouble, spoken(said))
		}
		for _, text := range texts(said) {
			if strings.Contains(text, c.password) && c.password != "right" || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(c.password))) ||
				strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("\x00assent\x00"+c.password))) {
				t.Errorf("%s: a line shows the password: %q", name, text)
			}
		}
	}
	s := (&probed{}).serve(t, true, false)
	s.at = netip.AddrPortFrom(netip.MustParseAddr(s.Host), uint16(s.Port))
	s.Host, s.TLS = "foreign.example", TLSRequired // not among the certificate's names
	if said := w.try(Trial{Server: &s}); said.Trouble != TroubleCertificate || strings.Contains(spoken(said), "noted:secure") {
		t.Errorf("a foreign certificate: %q\n%s", said.Trouble, spoken(said))
	}
}

// Straight to the receiver a trial goes where any mail to them would.
func TestATrialGoesStraightToItsReceiver(t *testing.T) {
	w := newWorld(t, testkit.SQLiteTemplate(t, "migrated", prepare))
	names := w.straight("")
	names.MX("null.example", "0 .")
	d := w.engine.pool.direct
	if said := w.try(Trial{Direct: d, To: "mina@example.org"}); !said.Taken || !strings.HasPrefix(said.Lines[0].Text, "mx.example.org:") || len(w.smtp.To("mina@example.org")) != 1 {
		t.Errorf("trouble %q\n%s", said.Trouble, spoken(said))
	}
	if said := w.try(Trial{Direct: d, To: "mina@null.example"}); said.Trouble != TroubleName {
		t.Errorf("a domain that takes no mail: %q\n%s", said.Trouble, spoken(said))
	}
}
