package admin

import (
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"assent/internal/account"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// How often a brand may try.
const (
	trialsPerMinute = 6
	trialsAtOnce    = 3
	trialBrands     = 10_000
)

// SpokenLine is a line of an SMTP conversation, and what it means.
type SpokenLine struct {
	By    string // ours, theirs or noted
	Who   string // in words
	Text  string // as it went over the wire
	Means string
	Tone  string
}

// TrialPage is the page admin/sending-test.
type TrialPage struct {
	Frame
	Sheet    Sheet
	Back     string
	Ways     []Choice
	Speaks   []Choice // that a mail may speak
	Lead, Do string   // what came of it; empty: nothing was sent
	Tone     string
	Spoken   []SpokenLine
}

func askTrial(d *desk) error {
	return d.drawTrial(http.StatusOK, Sheet{Values: url.Values{"to": {d.User.Email}, "way": {"0"}, "language": {d.l.Lang()}}}, nil)
}

func (d *desk) drawTrial(status int, s Sheet, said *delivery.Transcript) error {
	s.Action, s.Page, s.Drafts, s.Once = d.to("/sending/test"), d.c.Request().URL.Path, "", store.NewID(d.h.DB.Now())
	page := TrialPage{Frame: d.frame("sending"), Sheet: s, Back: d.to("/sending")}
	for i, way := range d.h.Out.Ways() {
		if way == "MX" {
			way = d.l.T("admin.sending.direct")
		}
		page.Ways = append(page.Ways, Choice{Value: strconv.Itoa(i), Label: way})
	}
	for _, lang := range i18n.Languages {
		page.Speaks = append(page.Speaks, Choice{Value: lang, Label: i18n.For(lang).T("admin.language")})
	}
	if said != nil {
		d.tellTrial(*said, s.Value("to"), &page)
	}
	return d.drawAs(status, "sending-test", page)
}

// tellTrial puts a transcript into plain words.
func (d *desk) tellTrial(said delivery.Transcript, to string, page *TrialPage) {
	page.Lead, page.Do, page.Tone = d.l.T("admin.sending.trial.taken", "To", to), d.l.T("admin.sending.trial.taken-do"), "yes"
	if d.h.Out.Catcher && said.Taken {
		page.Do = d.l.T("admin.sending.trial.caught")
	}
	if !said.Taken {
		key := "admin.sending.trouble." + string(said.Trouble)
		page.Lead, page.Do, page.Tone = d.l.T(key), d.l.T(key+".do"), "no"
	}
	for _, l := range said.Lines {
		page.Spoken = append(page.Spoken, d.spoken(l))
	}
}

func (d *desk) spoken(l delivery.Line) SpokenLine {
	line := SpokenLine{By: string(l.By), Who: d.l.T("admin.sending.says." + string(l.By)), Text: l.Text}
	key := "admin.sending.step." + string(l.By) + "." + string(l.Step)
	switch {
	case l.By == delivery.Theirs && l.Refused():
		line.Tone = "no"
		if l.Code < 500 {
			line.Tone = "ask"
		}
		key = "admin.sending.no." + strconv.Itoa(l.Code)
		if !d.l.Has(key) {
			key = "admin.sending.no." + strconv.Itoa(l.Code/100) + "xx"
		}
	case l.Step == delivery.StepBreak:
		line.Tone = "no"
	case l.By == delivery.Theirs && l.Step == delivery.StepMail, l.Step == delivery.StepSecure:
		line.Tone = "yes"
	}
	if d.l.Has(key) {
		line.Means = d.l.T(key)
	}
	return line
}

// tryMail sends one mail to somebody of the team while they wait. What was
// decided is written down first, so that a second click sends no second mail;
// then the mail goes, outside of any transaction.
func tryMail(d *desk) error {
	form, err := d.sent()
	if err != nil {
		return err
	}
	trial, err := d.trialOf(form)
	if err == nil {
		err = d.sparingly(d.h.trials)
	}
	if err != nil {
		return d.redraw(err, func(status int, s Sheet) error { return d.drawTrial(status, s, nil) })
	}
	next, again, err := d.perform("sending.test", func(*store.Tx, *Sheet) (done, error) { return done{next: "/sending/test"}, nil })
	if err != nil {
		return err
	}
	if again {
		return web.SeeOther(d.c, next)
	}
	said, err := d.h.renderer.Try(d.c.Request().Context(), trial)
	if err != nil {
		return err
	}
	return d.drawTrial(http.StatusOK, *form, &said)
}

// trialOf reads the form: only who belongs to the team gets such a mail.
func (d *desk) trialOf(form *Sheet) (t delivery.Trial, err error) {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	to := form.text("to")
	if a, bad := mail.ParseAddress(to); bad != nil || a.Name != "" || a.Address != to || !strings.Contains(to, "@") {
		wrong.Field("to", "admin.sending.trial.no-address")
	} else if !strings.EqualFold(to, d.User.Email) {
		var team bool
		if err := d.read(func(tx *store.Tx) (err error) { team, err = account.OfTheTeam(tx, d.brand.ID, to); return err }); err != nil {
			return t, err
		}
		if !team {
			wrong.Field("to", "admin.sending.trial.not-team")
		}
	}
	language := form.Value("language")
	if !slices.Contains(i18n.Languages, language) {
		wrong.Field("language", "problem.field.choice")
	}
	way, bad := strconv.Atoi(form.Value("way"))
	t, ok := d.h.Out.Trial(way, d.brand.ID, to, language)
	if bad != nil || !ok {
		wrong.Field("way", "problem.field.choice")
	}
	return t, wrong.OrNil()
}
