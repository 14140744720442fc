package public

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/signup"
	"assent/internal/tracking"
	"assent/internal/web"
)

// Prove is what a visitor does first where a sign-up may be a program's: the
// browser works for a while, or, without scripts, the visitor waits and answers a
// plain question.
type Prove struct {
	Challenge string // JSON for the ALTCHA widget; empty: there is none to solve
	Settings  string // JSON: how the widget looks and what it says
	Done      string // a proof that is good still; goes back as the input "altcha"
	Wait      string // sealed; goes back as the input "wait"; empty: they do not wait
	Seconds   int    // to wait
	Question  string
	Answer    string // as it was typed
	Note      string // what was amiss with the last try; may be empty
}

// How proofs are asked for.
const (
	ProveSuspicious = "suspicion" // of what looks like a program's; also ""
	ProveAlways     = "always"
	ProveNever      = "off" // but at a form whose guard asks for them
)

// suspect weighs what a sign-up looks like. client is what the buckets of
// the address and the network said, and domain that of the mail's domain.
func (h *house) suspect(c echo.Context, form signup.Form, values url.Values, client, domain web.Pass) signup.Suspicion {
	if h.Prove == ProveNever && form.Guard == signup.Unguarded {
		return signup.Suspicion{}
	}
	var signs []string
	say := func(sign string, yes bool) {
		if yes {
			signs = append(signs, sign)
		}
	}
	bait, shown := values[signup.Honeypot]
	say(signup.SignNoLanguage, c.Request().Header.Get("Accept-Language") == "")
	say(signup.SignAddress, client.Used[0] > 0.5)
	say(signup.SignNetwork, client.Used[1] > 0.5)
	say(signup.SignDomain, domain.Used[0] > 0.5)
	say(signup.SignDomainFull, !domain.OK)
	say(signup.SignForm, form.Guard != signup.Unguarded)
	say(signup.SignQuick, signup.Quick(h.Signup, values.Get("token"), h.DB.Now()))
	say(signup.SignBait, !shown || strings.TrimSpace(strings.Join(bait, "")) != strings.Join(bait, ""))
	say(signup.SignAgent, tracking.Visitor{UserAgent: c.Request().UserAgent()}.Program())
	s := signup.Suspect(signs...)
	if h.Prove == ProveAlways {
		s.Level = max(1, s.Level)
	}
	return s
}

// proof reads what the visitor proved. ok is false where it is not enough; then
// note says why, where they tried.
func (h *house) proof(c echo.Context, form uuid.UUID, values url.Values, level int) (p signup.Proof, note string, ok bool) {
	now := h.DB.Now()
	// A page was made for the level of a moment ago; one more since is no reason to work twice.
	if p, ok := signup.ReadWork(h.Signup, form, values.Get("altcha"), max(1, level-1), now); ok {
		return p, "", true
	}
	if values.Get("wait") == "" {
		return p, "", false
	}
	w, ok := signup.ReadWait(h.Signup, form, values.Get("wait"), now)
	switch {
	case !ok:
		return p, "public.prove.wait-late", false
	case !w.Over(now):
		return p, "public.prove.wait-more", false
	case !w.Right(values.Get("answer")):
		return p, "public.prove.wait-wrong", false
	}
	hour := func(key string, n int) web.Bucket { return web.Bucket{Key: key, N: n, Per: time.Hour} }
	few := h.gate.Take(c.Request().Context(), now, hour("wait-ip/"+web.ClientPlace(c), waitsPerIP),
		hour("wait-network/"+web.ClientNetwork(c), waitsPerNetwork), hour("wait-form/"+form.String(), waitsPerForm))
	if !few.OK {
		return p, "public.prove.wait-many", false
	}
	return w.Proof(), "", true
}

// So many an hour go the way without scripts.
const (
	waitsPerIP      = 3
	waitsPerNetwork = 10
	waitsPerForm    = 30
)

// prove asks for a proof: on the hosted page, with what was typed; the widget is
// told the address of that page.
func (h *house) prove(c echo.Context, sheet signup.Sheet, values url.Values, level int, note string) error {
	if web.IsAPI(c.Request()) {
		return h.formProblem(c, problem.New(problem.Conflict, "signup.prove"), document{Open: h.handOver(sheet, values)})
	}
	l := web.Localizer(c)
	ask, err := h.ask(l, sheet, values, level, note)
	if err != nil {
		return err
	}
	token, same := sheet.Renew(h.Signup, values.Get("token"), h.DB.Now())
	if !same {
		values = unticked(values)
	}
	values.Set("token", token)
	return h.formPage(c, http.StatusOK, sheet, values, nil, ask)
}

// ask is a new challenge, or the wait of those who have asked for it.
func (h *house) ask(l *i18n.Localizer, sheet signup.Sheet, values url.Values, level int, note string) (*Prove, error) {
	now := h.DB.Now()
	if values.Get("way") == "wait" || values.Get("wait") != "" {
		w, ok := signup.ReadWait(h.Signup, sheet.Form.ID, values.Get("wait"), now)
		if !ok || note == "public.prove.wait-wrong" {
			var err error
			if w, err = signup.NewWait(sheet.Form.ID, now); err != nil {
				return nil, err
			}
		}
		sealed, err := w.Seal(h.Signup)
		if err != nil {
			return nil, err
		}
		p := &Prove{Wait: sealed, Seconds: int(signup.WaitTime / time.Second), Answer: values.Get("answer"),
			Question: l.T("public.prove.question", "A", l.T("public.prove.number."+string(rune('0'+w.A))), "B", l.T("public.prove.number."+string(rune('0'+w.B))))}
		if note == "public.prove.wait-wrong" {
			p.Answer = ""
		}
		if note != "" {
			p.Note = l.T(note)
		}
		return p, nil
	}
	challenge, err := signup.Work(h.Signup, sheet.Form.ID, level, now)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(challenge)
	if err != nil {
		return nil, err
	}
	strings := map[string]string{}
	for _, name := range []string{"label", "verifying", "verified", "error", "expired", "waitAlert"} {
		strings[name] = l.T("public.prove.widget." + name)
	}
	settings, err := json.Marshal(map[string]any{"strings": strings, "language": l.Lang()})
	return &Prove{Challenge: string(text), Settings: string(settings)}, err
}

// kept is what goes from the widget to the hosted page: sealed, for a short time.
type kept struct {
	Form   uuid.UUID  `json:"form"`
	At     time.Time  `json:"at"`
	Values url.Values `json:"values"`
}

const (
	keptSeal = "widget-to-page"
	keptLife = 15 * time.Minute
	keptMost = 1200 // bytes of what was typed; of more only the address goes along
)

// handOver is the address of the hosted page with what was typed, which nobody
// but us can read in it.
func (h *house) handOver(sheet signup.Sheet, values url.Values) string {
	k := kept{Form: sheet.Form.ID, At: h.DB.Now(), Values: url.Values{}}
	for name := range values {
		if name == "altcha" || name == "wait" || name == "answer" || name == "way" || name == "widget" || name == signup.Honeypot {
			continue
		}
		k.Values.Set(name, values.Get(name))
	}
	plain, err := json.Marshal(k)
	if err != nil || len(plain) > keptMost {
		k.Values = url.Values{"email": {values.Get("email")}}
		if plain, err = json.Marshal(k); err != nil || len(plain) > keptMost {
			return h.URLs.Form(sheet.Form.ID)
		}
	}
	sealed, err := h.URLs.Ring.Seal(keptSeal, plain, nil)
	if err != nil {
		return h.URLs.Form(sheet.Form.ID)
	}
	return h.URLs.Form(sheet.Form.ID) + "?" + url.Values{"lang": {sheet.Language}, "kept": {base64.RawURLEncoding.EncodeToString(sealed)}}.Encode()
}

// takeOver opens what handOver sealed; nil where it is not ours or too old: then
// the page asks for everything again. No box comes ticked: a page that a link
// opens shows choices that are still to be made (GDPR recital 32; CJEU C-673/17,
// Planet49), whoever made the link.
func (h *house) takeOver(form uuid.UUID, sealed string) url.Values {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil
	}
	plain, err := h.URLs.Ring.Open(keptSeal, raw, nil)
	var k kept
	if err != nil || json.Unmarshal(plain, &k) != nil || k.Form != form || h.DB.Now().Sub(k.At) > keptLife {
		return nil
	}
	return unticked(k.Values)
}
