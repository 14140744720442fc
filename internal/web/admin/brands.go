package admin

import (
	"cmp"
	"golang.org/x/text/unicode/norm"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

func settingsActions() []action {
	return []action{
		look("/settings", account.Owner, settings),
		act("/settings", account.Owner, saveSettings),
	}
}

// mayMakeBrands: who owns one, and while there is none whoever is signed in.
func (v visit) mayMakeBrands() bool {
	return v.first || slices.ContainsFunc(v.Memberships, func(m account.Membership) bool { return m.Role == account.Owner })
}

// zones are offered for the time zone; any other of the IANA's can be typed.
var zones = strings.Fields(`Asia/Tehran Asia/Kabul Asia/Dushanbe Asia/Dubai Asia/Baghdad Asia/Riyadh Asia/Baku Asia/Yerevan Asia/Tbilisi Asia/Karachi Asia/Kolkata
	Asia/Tashkent Asia/Almaty Asia/Dhaka Asia/Bangkok Asia/Jakarta Asia/Singapore Asia/Kuala_Lumpur Asia/Manila Asia/Shanghai Asia/Hong_Kong Asia/Taipei Asia/Seoul Asia/Tokyo Asia/Jerusalem
	Europe/London Europe/Dublin Europe/Lisbon Europe/Madrid Europe/Paris Europe/Brussels Europe/Amsterdam Europe/Berlin Europe/Vienna Europe/Zurich Europe/Rome Europe/Copenhagen Europe/Oslo
	Europe/Stockholm Europe/Helsinki Europe/Tallinn Europe/Riga Europe/Vilnius Europe/Warsaw Europe/Prague Europe/Budapest Europe/Belgrade Europe/Sofia Europe/Bucharest Europe/Athens
	Europe/Istanbul Europe/Kyiv Europe/Moscow Africa/Cairo Africa/Casablanca Africa/Lagos Africa/Nairobi Africa/Johannesburg
	America/New_York America/Toronto America/Chicago America/Denver America/Phoenix America/Los_Angeles America/Vancouver America/Anchorage America/Mexico_City America/Bogota America/Lima
	America/Santiago America/Sao_Paulo America/Argentina/Buenos_Aires Pacific/Honolulu Pacific/Auckland Australia/Perth Australia/Adelaide Australia/Brisbane Australia/Sydney UTC`)

// BrandForm is the pages admin/brand-new and admin/settings.
type BrandForm struct {
	Frame
	Sheet   Sheet
	Texts   []LanguageFields
	Choices []Choice // languages
	Zones   []string
	Logo    web.Logo
	Name    string // in the language of the page, for who does not see the logo
	Most    int    // megabytes of a file with a logo
	Slug    string // of one that is; empty: it is new
	Domain  string // that it writes from
	Rules   string // what the law lets it do
	Another string // address to make another brand at
	Back    string
}

// brandForm fills in what both pages have. The language that the form says is
// the brand's own comes first.
func brandForm(c echo.Context, f Frame, s Sheet) BrandForm {
	page := BrandForm{Frame: f, Sheet: s, Choices: languageChoices(), Zones: zones}
	own := s.Value("language")
	for _, lang := range i18n.Languages {
		l := i18n.For(lang)
		one := LanguageFields{Code: lang, Name: l.T("admin.language"), Dir: l.Dir()}
		if one.First = lang == own; one.First {
			page.Texts = slices.Insert(page.Texts, 0, one)
		} else {
			page.Texts = append(page.Texts, one)
		}
	}
	return page
}

func (h *house) newBrand(c echo.Context, v visit) error {
	own := web.Localizer(c).Lang()
	return h.drawNewBrand(c, v, http.StatusOK, h.slip(c, newBrandPath, url.Values{"language": {own}, "languages": {own}}))
}

func (h *house) drawNewBrand(c echo.Context, v visit, status int, s Sheet) error {
	if !v.mayMakeBrands() {
		return problem.New(problem.Forbidden, "admin.forbidden", "Role", web.Localizer(c).T("admin.role.owner"))
	}
	page := brandForm(c, h.frame(c, v, time.UTC), s)
	if !v.first {
		page.Back = to(c, homePath)
	}
	return web.Page(c, status, "admin/brand-new", page)
}

// createBrand makes a brand with its tracking permissions and its first key, as
// the API does; who makes it owns it. The key is made before the transaction,
// which would hold up other writers.
func (h *house) createBrand(c echo.Context, v visit) error {
	if !v.mayMakeBrands() {
		return h.drawNewBrand(c, v, http.StatusForbidden, Sheet{})
	}
	if wait, ok := h.letters.Allow("brand-maker:"+v.User.ID.String(), h.DB.Now()); !ok {
		return web.TooMany(c, wait) // a key costs much, and each brand may write to strangers
	}
	values, err := web.Form(c)
	if err != nil {
		return err
	}
	form := h.slip(c, newBrandPath, values)
	form.Once = onceOf(values)
	in := brandOf(&form)
	private, err := compose.GenerateKey(brand.RSA)
	if err != nil {
		return err
	}
	next, _, err := h.once(c.Request().Context(), v.User.ID, &form, func(tx *store.Tx) (string, error) {
		b, err := brand.Create(tx, brand.New{Slug: in.slug, Name: in.own.Name, PostalAddress: in.own.PostalAddress, SenderName: in.own.SenderName,
			SenderEmail: form.text("sender_email"), Language: in.language, Languages: in.languages, Texts: in.texts, TimeZone: form.text("time_zone")})
		if err != nil {
			return "", in.name(err)
		}
		if err := consent.PrepareBrand(tx, b); err != nil {
			return "", err
		}
		if _, err := brand.FirstDKIMKey(tx, b.ID, "", private); err != nil {
			return "", err
		}
		if err := account.Grant(tx, v.User.ID, b.ID, account.Owner); err != nil {
			return "", err
		}
		return to(c, brandPath+b.Slug+"/setup", "did", "brand.create"), account.Note(tx, account.Deed{BrandID: b.ID, UserID: &v.User.ID, What: "brand.create", SubjectID: &b.ID, Detail: map[string]any{"name": b.Slug}})
	})
	if s, status, ok := h.back(c, values, err); ok {
		return h.drawNewBrand(c, v, status, s)
	}
	if err != nil {
		return err
	}
	return web.SeeOther(c, next)
}

// brandInput is what the form says of a brand in its languages.
type brandInput struct {
	slug      string
	language  string
	languages []string
	own       brand.Text            // in its own language
	texts     map[string]brand.Text // in the others that it offers
}

// brandOf reads the fields. The brand's own language is always offered; what is
// written in one that is not is left out.
func brandOf(form *Sheet) brandInput {
	in := brandInput{slug: form.text("slug"), language: form.text("language"), languages: []string{}, texts: map[string]brand.Text{}}
	for _, lang := range i18n.Languages {
		if lang != in.language && !form.Has("languages", lang) {
			continue
		}
		in.languages = append(in.languages, lang)
		field := func(name string) string { return form.text("texts." + lang + "." + name) }
		text := brand.Text{Name: field("name"), PostalAddress: field("postal_address"), SenderName: field("sender_name"), PrivacyURL: field("privacy_url")}
		if lang == in.language {
			in.own = text
		} else if text != (brand.Text{}) {
			in.texts[lang] = text
		}
	}
	if in.slug == "" {
		in.slug = slugOf(in)
	}
	return in
}

// slugOf makes a short name of the brand's name.
func slugOf(in brandInput) string {
	names := []string{in.own.Name}
	for _, lang := range slices.Sorted(maps.Keys(in.texts)) {
		names = append(names, in.texts[lang].Name)
	}
	return slugFrom(names)
}

// slugFrom makes a short name of the first of the names that has Latin letters,
// without the marks above them, or else of the first that has digits; empty where
// none has either.
func slugFrom(names []string) (digits string) {
	for _, name := range names {
		var b strings.Builder
		for _, r := range norm.NFD.String(strings.ToLower(name)) {
			switch {
			case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
				b.WriteRune(r)
			case r != '’' && r != '\'' && !unicode.Is(unicode.Mn, r):
				b.WriteByte(' ')
			}
		}
		slug := strings.Join(strings.Fields(b.String()), "-")
		slug = strings.Trim(slug[:min(len(slug), 40)], "-")
		if strings.ContainsFunc(slug, func(r rune) bool { return 'a' <= r && r <= 'z' }) {
			return slug
		}
		digits = cmp.Or(digits, slug)
	}
	return digits
}

// name moves what is wrong to the fields of the form: those of a brand itself
// stand under its own language.
func (in brandInput) name(err error) error {
	p, ok := problem.Of(err)
	if !ok {
		return err
	}
	for i, f := range p.Fields {
		if slices.Contains([]string{"name", "postal_address", "sender_name", "privacy_url"}, f.Name) {
			p.Fields[i].Name = "texts/" + in.language + "/" + f.Name
		}
		if f.Name == "slug" && in.slug == "" {
			p.Fields[i].Key = "admin.brand.slug-needed"
		}
	}
	return err
}

func brandValues(b brand.Brand) url.Values {
	v := url.Values{"language": {b.Language}, "languages": b.Languages, "sender_email": {b.SenderEmail}, "reply_to": {b.ReplyTo}, "website": {b.Website},
		"jurisdiction": {b.Jurisdiction}, "time_zone": {b.TimeZone}, "quiet_from": {b.QuietFrom}, "quiet_until": {b.QuietUntil}}
	texts := maps.Clone(b.Texts)
	if texts == nil {
		texts = map[string]brand.Text{}
	}
	texts[b.Language] = b.In(b.Language)
	for lang, t := range texts {
		v.Set("texts."+lang+".name", t.Name)
		v.Set("texts."+lang+".postal_address", t.PostalAddress)
		v.Set("texts."+lang+".sender_name", t.SenderName)
		v.Set("texts."+lang+".privacy_url", t.PrivacyURL)
	}
	for name, n := range map[string]int{"cap_max": b.CapMax, "cap_days": b.CapDays, "silent_months": b.SilentMonths, "silent_days": b.SilentDays} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	return v
}

func settings(d *desk) error {
	s, err := d.sheet("/settings", brandValues(d.brand), versionOf(d.brand.UpdatedAt))
	if err != nil {
		return err
	}
	return drawSettings(d)(http.StatusOK, s)
}

func drawSettings(d *desk) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := brandForm(d.c, d.frame("settings"), s)
		page.Sheet.Files, page.Most = true, brand.LogoFileMax>>20
		page.Logo, page.Name = web.LogoOf(d.brand), d.brand.In(d.l.Lang()).Name
		page.Rules = d.rules()
		page.Slug, page.Domain, page.Back, page.Another = d.brand.Slug, d.brand.SenderDomain(), d.to(""), to(d.c, newBrandPath)
		if s.Changed {
			page.Sheet.Version = versionOf(d.brand.UpdatedAt)
			page.Sheet.Theirs = d.theirs(brandValues(d.brand), s.Values, "admin.brand.field.")
		}
		return d.drawAs(status, "settings", page)
	}
}

// rules says what the law of the brand's jurisdiction allows, and by what.
func (d *desk) rules() string {
	law := consent.LawOf(d.brand.Jurisdiction)
	or := func(s string) string { return cmp.Or(s, d.l.T("admin.brand.rules-no")) }
	return d.l.T("admin.brand.rules-text", "Single", or(law.Single), "Soft", or(law.Soft), "Asking", or(law.Asking))
}

// logoSent takes the picture out of a form that comes with one: nil where it
// does not. What is wrong with it is told beside what is wrong with the rest.
func (d *desk) logoSent() (made *brand.Logo, wrong, err error) {
	if !web.HasFiles(d.c) {
		return nil, nil, nil
	}
	err = web.Upload(d.c, func(field, _ string, file io.Reader) error {
		if field == "logo" && made == nil && wrong == nil {
			body, err := io.ReadAll(io.LimitReader(file, brand.LogoFileMax+1))
			if err != nil {
				return err
			}
			l, err := brand.ReadLogo(body)
			if err != nil && !problem.Is(err, problem.Invalid) {
				return err
			}
			made, wrong = &l, err
		}
		_, err := io.Copy(io.Discard, file) // it is answered when the browser is done talking
		return err
	})
	return made, wrong, err
}

// both is one problem of two, of which either may be nil.
func both(a, b error) error {
	p, ok := problem.Of(a)
	q, also := problem.Of(b)
	if !ok || !also || p.Kind != problem.Invalid || q.Kind != problem.Invalid {
		return cmp.Or(a, b)
	}
	for _, f := range q.Fields {
		p.Field(f.Name, f.Key, f.Args...)
	}
	return p
}

func saveSettings(d *desk) error {
	logo, wrongLogo, err := d.logoSent() // before the transaction, which would hold up other writers
	if err != nil {
		return err
	}
	err = d.change("brand.change", func(tx *store.Tx, form *Sheet) (done, error) {
		now, err := brand.Lock(tx, d.brand.ID)
		if err != nil {
			return done{}, err
		}
		if d.brand = now; form.current(now.UpdatedAt) != nil {
			return done{}, errChanged()
		}
		in, wrong := brandOf(form), problem.New(problem.Invalid, "problem.invalid")
		capMax, capDays := form.whole("cap_max", wrong), form.whole("cap_days", wrong)
		silentMonths, silentDays := form.whole("silent_months", wrong), form.whole("silent_days", wrong)
		if err := wrong.OrNil(); err != nil {
			return done{}, both(err, wrongLogo)
		}
		var answerIn *int // left as it was where nothing is said
		if silentDays > 0 {
			answerIn = &silentDays
		}
		field := func(name string) *string { s := form.text(name); return &s }
		clock := func(name string) *string { s := i18n.ASCIIDigits(form.text(name)); return &s }
		_, err = brand.Update(tx, d.brand.ID, brand.Change{Name: &in.own.Name, PostalAddress: &in.own.PostalAddress, SenderName: &in.own.SenderName, PrivacyURL: &in.own.PrivacyURL,
			SenderEmail: field("sender_email"), ReplyTo: field("reply_to"), Website: field("website"), Jurisdiction: field("jurisdiction"), TimeZone: field("time_zone"),
			Language: &in.language, Languages: &in.languages, Texts: &in.texts, CapMax: &capMax, CapDays: &capDays, SilentMonths: &silentMonths, SilentDays: answerIn, QuietFrom: clock("quiet_from"), QuietUntil: clock("quiet_until")})
		if err = both(in.name(err), wrongLogo); err != nil {
			return done{}, err
		}
		switch {
		case logo != nil:
			err = brand.SetLogo(tx, d.brand.ID, *logo)
		case form.Value("logo_remove") != "":
			err = brand.RemoveLogo(tx, d.brand.ID)
		}
		return done{subject: d.brand.ID, next: "/settings", detail: map[string]any{"name": d.brand.Slug}}, err
	})
	return d.redraw(err, drawSettings(d))
}
