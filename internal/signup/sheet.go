package signup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
)

// Sheet is a form as one visitor sees it: one version, in one language, with
// the topics' wordings as they are now.
type Sheet struct {
	Form     Form
	Version  int // of the spec; older than the form's for what was on a screen before an edit
	Spec     Spec
	Brand    brand.Brand
	Language string // one that the brand offers
	Text     Text   // with the defaults filled in
	Boxes    []Box
}

// Box is one thing a visitor can allow. It is never ticked beforehand.
type Box struct {
	Topic consent.Topic
	Label string // the wording beside the box
	Note  string // the promise under it; may be empty
}

// Name is the box's name in a form post.
func (b Box) Name() string { return "topic:" + b.Topic.Slug }

// Tracking reports a box that allows opens or clicks to be seen.
func (b Box) Tracking() bool { return b.Topic.Purpose != consent.Marketing }

// Wording is all that the box says, which is what is kept as having been shown.
func (b Box) Wording() string {
	if b.Note == "" {
		return b.Label
	}
	return b.Label + "\n" + b.Note
}

// Show makes the form's sheet for a visitor who would like the language. An
// unknown form is problem.NotFound, a closed one problem.Gone "signup.form.closed",
// a paused one problem.Unavailable "signup.form.resting".
func Show(tx *store.Tx, form uuid.UUID, lang string) (Sheet, error) {
	f, b, err := public(tx, form)
	if err != nil {
		return Sheet{}, err
	}
	return show(tx, f, b, f.Version, lang)
}

// public finds a form by its id alone, as its page does, and its brand.
func public(tx *store.Tx, form uuid.UUID) (Form, brand.Brand, error) {
	f, err := find(tx, "", "id = ?", form)
	if err != nil {
		return Form{}, brand.Brand{}, err
	}
	b, err := brand.Find(tx, f.BrandID)
	if err != nil {
		return Form{}, brand.Brand{}, err
	}
	if f.ClosedAt != nil {
		return f, b, problem.New(problem.Gone, "signup.form.closed", "Brand", b.In(b.Language).Name)
	}
	if f.Guard == GuardedPause {
		return f, b, resting(b.In(b.Language).Name)
	}
	return f, b, nil
}

func show(tx *store.Tx, f Form, b brand.Brand, version int, lang string) (Sheet, error) {
	spec, err := SpecOf(tx, f.ID, version)
	if err != nil {
		return Sheet{}, err
	}
	return lay(tx, Sheet{Form: f, Version: version, Spec: spec, Brand: b}, lang)
}

// Draft makes the sheet of a form that is still being written. Nothing of the
// spec is checked: what cannot be shown is left out. The sheet is of no form,
// and no answer to it is ever taken.
func Draft(tx *store.Tx, b brand.Brand, spec Spec, lang string) (Sheet, error) {
	return lay(tx, Sheet{Form: Form{BrandID: b.ID}, Spec: spec, Brand: b}, lang)
}

// lay gives a sheet its words and its boxes.
func lay(tx *store.Tx, s Sheet, lang string) (Sheet, error) {
	topics, err := consent.Topics(tx, s.Brand.ID)
	if err != nil {
		return Sheet{}, err
	}
	s.Language = s.Brand.Offers(lang)
	l := i18n.For(s.Language)
	s.Text = s.Spec.Texts[s.Language].Or(UsualText(s.Brand, s.Language))
	for _, slug := range append(slices.Clone(s.Spec.Topics), s.Spec.Tracking...) {
		i := slices.IndexFunc(topics, func(t consent.Topic) bool { return t.Slug == slug })
		if i < 0 {
			continue // archived since: not offered any more
		}
		t := topics[i]
		s.Boxes = append(s.Boxes, Box{Topic: t, Label: t.In(s.Brand, s.Language).Wording, Note: Promise(l, t)})
	}
	return s, nil
}

// UsualText is what a form of the brand says in a language where it says
// nothing of its own.
func UsualText(b brand.Brand, lang string) Text {
	l := i18n.For(lang)
	return Text{
		Title:   l.T("signup.default.title", "Brand", b.In(lang).Name),
		Intro:   l.T("signup.default.intro"),
		Button:  l.T("signup.default.button"),
		Message: l.T("signup.default.message"),
	}
}

// Or fills what is empty from d, but the redirect.
func (t Text) Or(d Text) Text {
	pick := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	return Text{Title: pick(t.Title, d.Title), Intro: pick(t.Intro, d.Intro), Button: pick(t.Button, d.Button), Message: pick(t.Message, d.Message), Redirect: t.Redirect}
}

// Promise says how often a topic writes at most, or nothing where it promises nothing.
func Promise(l *i18n.Localizer, t consent.Topic) string {
	return consent.Promise{Max: t.PromiseMax, Days: t.PromiseDays}.In(l)
}

// Outcome is what a visitor is told after a sign-up, whoever they are.
type Outcome struct {
	Language string
	Message  string
	Redirect string // empty: the message

	// Kept is for whoever evens out the time of the answer, and is never told.
	Kept Kept
}

// Kept is how much of the work of a sign-up stayed.
type Kept int

// What can stay.
const (
	KeptNothing Kept = iota
	KeptMail         // another mail to somebody who is confirmed, or has been asked
	KeptAll          // a new request and its mail
	KeptBait         // a program took the bait: no address was looked at, so there is nothing to even out
)

func (s Sheet) outcome() Outcome {
	return Outcome{Language: s.Language, Message: s.Text.Message, Redirect: s.Text.Redirect}
}

// words is a digest of the boxes as they were shown, so that an answer to other
// words is noticed.
func (s Sheet) words() []byte { return digest(s.Boxes) }

func digest(boxes []Box) []byte {
	h := sha256.New()
	for _, b := range boxes {
		h.Write(b.Topic.ID[:])
		binary.Write(h, binary.BigEndian, uint64(len(b.Wording())))
		h.Write([]byte(b.Wording()))
	}
	return h.Sum(nil)[:wordsSize]
}

const wordsSize = 12

// ticket is what a form token says: which form was shown, in which version,
// language and words, and when.
type ticket struct {
	form    uuid.UUID
	version int
	at      time.Time // whole milliseconds
	words   []byte
	lang    string
}

// Token is put into the form and comes back with the answer.
func (s Sheet) Token(ring *link.Ring, now time.Time) string {
	p := append([]byte(nil), s.Form.ID[:]...)
	p = binary.BigEndian.AppendUint32(p, uint32(s.Version))
	p = binary.BigEndian.AppendUint64(p, uint64(now.UnixMilli()))
	p = append(p, s.words()...)
	return ring.Sign(link.FormToken, append(p, s.Language...))
}

// Renew gives the token for a form that is shown once more after an answer under
// the token old: old itself, whose time goes on, until that is over. It reports
// whether the sheet says what was shown under old, in version, language and
// words; only then do ticks still stand beside the words that they were made for.
func (s Sheet) Renew(set Settings, old string, now time.Time) (token string, same bool) {
	t, err := readTicket(set.URLs.Ring, old)
	same = err == nil && t.form == s.Form.ID && t.version == s.Version && t.lang == s.Language && bytes.Equal(t.words, s.words())
	if same && t.fresh(set, now) {
		return old, true
	}
	return s.Token(set.URLs.Ring, now), same
}

// fresh reports whether the form may still be sent; a minute is given to
// servers whose clocks differ.
func (t ticket) fresh(set Settings, now time.Time) bool {
	age := now.Sub(t.at)
	return age <= set.TokenLife && age >= -time.Minute
}

// readTicket fails with problem.NotFound "link.unknown" for what was not signed here.
func readTicket(ring *link.Ring, token string) (ticket, error) {
	p, err := ring.Verify(link.FormToken, token)
	if err != nil {
		return ticket{}, err
	}
	const fixed = 16 + 4 + 8 + wordsSize
	if len(p) <= fixed || len(p) > fixed+16 {
		return ticket{}, problem.New(problem.NotFound, "link.unknown")
	}
	return ticket{
		form:    uuid.UUID(p[:16]),
		version: int(binary.BigEndian.Uint32(p[16:])),
		at:      time.UnixMilli(int64(binary.BigEndian.Uint64(p[20:]))).UTC(),
		words:   bytes.Clone(p[28 : 28+wordsSize]),
		lang:    string(p[fixed:]),
	}, nil
}
