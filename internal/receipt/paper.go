package receipt

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/i18n"
)

// Paper is what a receipt says to people, in words: the person's page and the
// brand's own draw it alike.
type Paper struct {
	Number      string // of the receipt
	State       string // of the event: consent.State
	Tone        string // yes, ask or no
	Topic       string
	At          time.Time
	Erased      bool   // the person is: only what the log has is told
	Stands      bool   // it permits now
	Open        bool   // there is something to take back
	Mark        string // see Receipt.Mark
	Email       string // as it was then; empty once erased
	Words       string // the exact words; empty: none were shown
	WordsLang   string
	WordsDir    string
	Earlier     bool   // the words belong to an event before
	Promise     string // may be empty
	Method      string
	Basis       string
	By          string
	Page        string // where; may be empty
	FormVersion int    // 0: no form of ours
	AskedAt     time.Time
	AskedIP     string
	ConfirmedAt time.Time
	ConfirmedIP string
	Delay       string
	Evidence    []Shown // what else shows it, or all that does where it is stated
	Stated      bool    // by others: the service has seen none of it
	Until       time.Time
	Postal      string // its lines as they are
	Contact     string // e-mail
	// ISO 3166; may be empty
	Jurisdiction string
	Later        []Step
	Logged       bool // the log has shown it
	Origin       string
	Index, Size  int64
	SignedAt     time.Time
	Fingerprint  string // hex
	Checkpoint   string
	JSON, Proof  string // addresses; empty: there is none
	Log          string
}

// Shown is something that shows how a consent came about.
type Shown struct {
	Name, Value string
	Code        bool // for machines: written from left to right
}

// Step is what came after.
type Step struct {
	At     time.Time
	Tone   string
	State  string
	Method string
	URL    string // of its own receipt
}

// tones are the colours of the states of consent.
var tones = map[consent.State]string{consent.Given: "yes", consent.Renewed: "yes", consent.Requested: "ask"}

// ToneOf is the colour of a state: yes, ask or no.
func ToneOf(s consent.State) string { return cmp.Or(tones[s], "no") }

// Tell puts the receipt into words of l's language; address is where the receipt
// of an event is. The addresses of its own files are the caller's to add.
func (r Receipt) Tell(l *i18n.Localizer, address func(event uuid.UUID) string) Paper {
	p := Paper{
		State: string(r.Event.State), Tone: ToneOf(r.Event.State), At: r.Event.OccurredAt,
		Topic: r.topic(l.Lang()), Erased: r.Erased(), Stands: r.Stands(), Open: r.Open(), Mark: r.Mark(), Number: r.ID().String(),
		Words: r.Wording, WordsLang: r.Said.Language, WordsDir: i18n.For(r.Said.Language).Dir(), Earlier: r.Said.ID != r.Event.ID,
		Method: wordOf(l, "public.why.method.", r.Event.Method), Basis: wordOf(l, "public.receipt.basis.", r.Event.Basis), By: wordOf(l, "public.receipt.by.", r.Entity),
		Postal: r.Brand.In(l.Lang()).PostalAddress, Contact: r.replies(), Jurisdiction: r.Brand.Jurisdiction,
	}
	if r.Event.PromiseMax > 0 {
		p.Promise = consent.Promise{Max: r.Event.PromiseMax, Days: r.Event.PromiseDays}.In(l)
	}
	if r.Event.ValidUntil != nil {
		p.Until = *r.Event.ValidUntil
	}
	if r.Event.FormVersion != nil {
		p.FormVersion = *r.Event.FormVersion
	}
	if r.Evidence != nil {
		p.Email = r.Evidence.Address
		p.tellTrail(l, r)
	}
	for _, e := range r.Later() {
		p.Later = append(p.Later, Step{At: e.OccurredAt, Tone: ToneOf(e.State), State: string(e.State), Method: wordOf(l, "public.why.method.", e.Method), URL: address(e.ID)})
	}
	hash := r.LeafHash()
	p.Fingerprint = hex.EncodeToString(hash[:])
	if x := r.Proof; x != nil {
		p.Logged, p.Origin, p.Index, p.Size, p.Checkpoint = true, x.Log.Origin, x.Index, x.Size, x.Checkpoint
		if x.Log.SignedAt != nil {
			p.SignedAt = *x.Log.SignedAt
		}
	}
	return p
}

// wordOf puts a stored word into those of the catalogue; one that it lacks stands
// as it is stored.
func wordOf(l *i18n.Localizer, prefix, stored string) string {
	if l.Has(prefix + stored) {
		return l.T(prefix + stored)
	}
	return stored
}

// toldElsewhere are the values of the evidence that a receipt has a place of its own for,
// and those that are ours alone.
var toldElsewhere = []string{"email", "page", "asked_at", "ip", "confirmed_at", "confirm_ip", "delay_s", "request", "form", "form_version", "user"}

// tellTrail tells how the yes came about: asked, and confirmed, by whom, and
// what else shows it. What others state is told as theirs, and never as the
// question and answer that the service has seen itself.
func (p *Paper) tellTrail(l *i18n.Localizer, r Receipt) {
	if p.Stated = r.stated(); p.Stated {
		p.tellEvidence(l, r, []string{"user"})
		return
	}
	p.Page = r.Text("page")
	p.AskedAt, p.AskedIP = r.Time("asked_at"), r.Text("ip")
	p.ConfirmedAt, p.ConfirmedIP = r.Time("confirmed_at"), r.Text("confirm_ip")
	if d := r.Delay(); d > 0 {
		p.Delay = lasted(l, d)
	}
	p.tellEvidence(l, r, toldElsewhere)
}

func (p *Paper) tellEvidence(l *i18n.Localizer, r Receipt, without []string) {
	for _, name := range slices.Sorted(maps.Keys(r.Evidence.Evidence)) {
		if slices.Contains(without, name) {
			continue
		}
		if v := plainValue(r.Evidence.Evidence[name]); v != "" {
			word := wordOf(l, "public.receipt.evidence.", strings.TrimPrefix(name, "field:"))
			if at, err := time.Parse(time.RFC3339, v); err == nil {
				p.Evidence = append(p.Evidence, Shown{Name: word, Value: momentOf(l, at.In(r.Brand.Location()))})
				continue
			}
			p.Evidence = append(p.Evidence, Shown{Name: word, Value: v, Code: !strings.ContainsFunc(v, isRTL)})
		}
	}
}

// momentOf is a time in its zone; midnight is a day.
func momentOf(l *i18n.Localizer, at time.Time) string {
	if at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0 {
		return l.Date(at, at.Location())
	}
	return l.DateTime(at, at.Location())
}

func lasted(l *i18n.Localizer, d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return l.N("public.receipt.seconds", int64(d.Seconds()))
	case d < 2*time.Hour:
		return l.N("public.receipt.minutes", int64(d.Minutes()))
	}
	return l.N("public.receipt.hours", int64(d.Hours()))
}

// isRTL: a letter of a script that is written from right to left.
func isRTL(r rune) bool { return unicode.In(r, unicode.Arabic, unicode.Hebrew) }

// plainValue writes a value of the evidence down.
func plainValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = plainValue(one)
		}
		return strings.Join(parts, "\n")
	}
	return fmt.Sprint(v)
}
