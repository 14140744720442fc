package brand

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"assent/internal/i18n"
	"assent/internal/problem"
)

var (
	slugForm         = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	jurisdictionForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)
)

const (
	nameMax    = 120
	addressMax = 400
	urlMax     = 500
)

// check tidies b and reports everything that is wrong with it at once.
func (b *Brand) check() error {
	p := problem.New(problem.Invalid, "problem.invalid")
	if !slugForm.MatchString(b.Slug) {
		p.Field("slug", "brand.slug")
	}
	if b.SenderName == "" {
		b.SenderName = b.Name
	}
	b.Name = line(p, "name", b.Name, true)
	b.SenderName = line(p, "sender_name", b.SenderName, true)
	b.PostalAddress = lines(p, "postal_address", b.PostalAddress, true)
	b.SenderEmail = email(p, "sender_email", b.SenderEmail, true)
	b.ReplyTo = email(p, "reply_to", b.ReplyTo, false)
	b.Website = address(p, "website", b.Website)
	b.PrivacyURL = address(p, "privacy_url", b.PrivacyURL)
	b.checkLanguages(p)
	if _, err := time.LoadLocation(b.TimeZone); err != nil || b.TimeZone == "" || b.TimeZone == "Local" {
		p.Field("time_zone", "brand.time-zone")
	}
	if b.Jurisdiction != "" && !jurisdictionForm.MatchString(b.Jurisdiction) {
		p.Field("jurisdiction", "brand.jurisdiction")
	}
	if b.SignedBy != SignedByUs && b.SignedBy != SignedByRelay {
		p.Field("signed_by", "problem.field.choice")
	}
	if b.CapMax < 0 || b.CapDays < 0 || b.CapMax > capMaxMost || b.CapDays > capDaysMost || (b.CapMax == 0) != (b.CapDays == 0) {
		p.Field("cap_max", "brand.cap", "Days", capDaysMost)
	}
	if (b.QuietFrom == "") != (b.QuietUntil == "") || b.QuietFrom != "" && (!isClock(b.QuietFrom) || !isClock(b.QuietUntil) || b.QuietFrom == b.QuietUntil) {
		p.Field("quiet_from", "brand.quiet")
	}
	if b.SilentMonths < 0 || b.SilentMonths > silentMonthsMost || b.SilentDays < 7 || b.SilentDays > silentDaysMost {
		p.Field("silent_months", "brand.silent", "Months", silentMonthsMost, "Days", silentDaysMost)
	}
	if b.RatePerHour < 0 || b.RatePerHour > RateMost {
		p.Field("rate_per_hour", "problem.field.rate", "Max", RateMost)
	}
	return p.OrNil()
}

// RateMost is the highest pace that can be set, in mails an hour; whoever wants
// more wants none.
const RateMost = 100_000_000

// The most of a cap; delivery forgets slots after longer than the days.
const (
	capMaxMost  = 1000
	capDaysMost = 366

	silentMonthsMost = 60
	silentDaysMost   = 180
)

func isClock(s string) bool {
	_, err := time.Parse("15:04", s)
	return err == nil && len(s) == 5
}

func (b *Brand) checkLanguages(p *problem.Error) {
	if len(b.Languages) == 0 && b.Language != "" {
		b.Languages = []string{b.Language}
	}
	b.Languages = slices.Clone(b.Languages)
	for i, l := range b.Languages {
		if !slices.Contains(i18n.Languages, l) {
			p.Field("languages", "brand.language.unknown", "Language", l)
		}
		if slices.Contains(b.Languages[:i], l) {
			p.Field("languages", "brand.language.twice", "Language", l)
		}
	}
	if !slices.Contains(b.Languages, b.Language) {
		p.Field("language", "brand.language.default")
	}
	texts := make(map[string]Text, len(b.Texts))
	for lang, t := range b.Texts {
		field := "texts/" + lang
		if !slices.Contains(b.Languages, lang) {
			p.Field(field, "brand.language.unknown", "Language", lang)
			continue
		}
		texts[lang] = Text{
			Name:          line(p, field+"/name", t.Name, false),
			PostalAddress: lines(p, field+"/postal_address", t.PostalAddress, false),
			SenderName:    line(p, field+"/sender_name", t.SenderName, false),
			PrivacyURL:    address(p, field+"/privacy_url", t.PrivacyURL),
		}
	}
	b.Texts = texts
}

// line is text that goes into a header: one line, no control characters.
func line(p *problem.Error, field, s string, required bool) string {
	return text(p, field, s, required, nameMax, "")
}

// lines is text of several lines, each ended by \n.
func lines(p *problem.Error, field, s string, required bool) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return text(p, field, s, required, addressMax, "\n")
}

func text(p *problem.Error, field, s string, required bool, max int, allowed string) string {
	if !utf8.ValidString(s) {
		p.Field(field, "problem.field.utf8")
		return ""
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	switch {
	case s == "" && required:
		p.Field(field, "problem.field.required")
	case utf8.RuneCountInString(s) > max:
		p.Field(field, "problem.field.too-long", "Max", max)
	case strings.ContainsFunc(s, func(r rune) bool { return breaks(r) && !strings.ContainsRune(allowed, r) }):
		p.Field(field, "problem.field.line-break")
	}
	return s
}

// breaks tells control characters and Unicode's own line ends.
func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// email is an address to write from: plain ASCII before the @, since not every
// receiver takes RFC 6531, and a domain with a dot in A-labels.
func email(p *problem.Error, field, s string, required bool) string {
	s = strings.TrimSpace(s)
	if s == "" {
		if required {
			p.Field(field, "problem.field.required")
		}
		return ""
	}
	local, domain, ok := cutLast(s)
	ascii, err := idna.Lookup.ToASCII(strings.ToLower(domain))
	if !ok || err != nil || !strings.Contains(ascii, ".") {
		p.Field(field, "brand.email")
		return s
	}
	whole := local + "@" + ascii
	parsed, err := mail.ParseAddress(whole)
	if err != nil || parsed.Address != whole || parsed.Name != "" || strings.ContainsAny(local, "\"\\ ") || !plainASCII(local) || len(whole) > 254 {
		p.Field(field, "brand.email")
		return s
	}
	return whole
}

func cutLast(s string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func plainASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// address is a web address that a mail may show: https or http, with a host and no password.
func address(p *problem.Error, field, s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || len(s) > urlMax || strings.ContainsFunc(s, unicode.IsSpace) {
		p.Field(field, "brand.url")
	}
	return s
}
