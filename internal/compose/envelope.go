package compose

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"assent/internal/problem"
)

// Address is a name, which may be empty, and an e-mail address.
type Address struct {
	Name  string
	Email string // local@domain; the domain may be in any script
}

// Brand is who writes: the controller, as the law wants it named.
type Brand struct {
	Name          string
	PostalAddress string // may have several lines
	Website       string // imprint; "" = no link
	PrivacyURL    string // "" = no link
	Logo          Logo   // stands for the name above what the layout goes round
}

// Logo is a picture of the brand: the same for all readers, so that nobody is
// told from another by it.
type Logo struct {
	URL           string // "" = none
	Width, Height int    // as it is shown, in CSS pixels
}

// Envelope is all of a mail but its words.
type Envelope struct {
	From    Address
	To      Address
	ReplyTo Address // zero = none

	MessageID string    // id@domain without angle brackets; also decides the MIME boundary
	Date      time.Time // of the Date header, and what "now" means in a template
	Language  string    // "en", "fa", …; "" = that of the content

	Brand Brand
	Topic string // what the person allowed, in their language

	Leave       string // the address of "unsubscribe"
	Preferences string
	Why         string
	View        string // "view in browser"; "" = no such link

	// OneClick says that Leave answers the POST of RFC 8058. Its headers are
	// written only when Leave is an https address too.
	OneClick      bool
	ListID        string // RFC 2919, without angle brackets; "" = none
	FeedbackID    string // campaign:brand:kind:sender; "" = none
	AutoSubmitted bool   // RFC 3834: Auto-Submitted: auto-generated
	Bulk          bool   // Precedence: bulk

	PixelURL string             // "" = no pixel
	Link     func(n int) string // where link n of Compiled.Links leads; nil = untouched
}

// ErrSMTPUTF8 is an address whose local part is not ASCII: it needs a server
// with SMTPUTF8 (RFC 6531), which is not asked for; the local part is never
// changed. ErrAddress is one that cannot stand in a header at all.
var (
	ErrSMTPUTF8 = errors.New("the local part needs SMTPUTF8")
	ErrAddress  = errors.New("not an address")
)

// Lengths, in characters, of what people write into headers.
const (
	maxName    = 120
	maxSubject = 400
	maxURL     = 900 // a header line holds 998
)

// domains maps as IDNA 2008 lookup does, but takes the underscores that are in use.
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.BidiRule(), idna.CheckHyphens(true), idna.VerifyDNSLength(true))

// header is the address as a From or To holds it, the domain as an A-label (RFC 5890).
func (a Address) header() (string, error) {
	email, err := ASCIIAddress(a.Email)
	if err != nil {
		return "", err
	}
	return string(appendPhrase(nil, a.Name, email)), nil
}

// ASCIIAddress is the address as SMTP without extensions takes it in RCPT TO:
// the domain as an A-label, a local part with odd characters in quotes (RFC
// 5321 §4.1.2, §4.5.3.1 for the lengths). It fails with a problem of kind
// Invalid that is [ErrSMTPUTF8] or [ErrAddress].
func ASCIIAddress(email string) (string, error) {
	if isPlainAddress(email) {
		return email, nil
	}
	return careful(email)
}

// careful is ASCIIAddress for any address.
func careful(email string) (string, error) {
	at := strings.LastIndexByte(email, '@')
	bad := func(cause error) error {
		return problem.New(problem.Invalid, "mail.address.invalid").Because(fmt.Errorf("%w: %v", ErrAddress, cause))
	}
	if at < 1 || !utf8.ValidString(email) || email != clean(email) || strings.ContainsAny(email, "\n\t<>") {
		return "", bad(errors.New("malformed"))
	}
	local, domain := email[:at], email[at+1:]
	for i := range len(local) {
		if local[i] >= 0x80 {
			return "", problem.New(problem.Invalid, "mail.address.smtputf8").Because(ErrSMTPUTF8)
		}
	}
	ascii, err := domains.ToASCII(domain)
	if strings.HasPrefix(domain, "[") {
		ascii, err = domain, nil
	}
	if err != nil {
		return "", bad(err)
	}
	parsed, err := mail.ParseAddress("<" + local + "@" + ascii + ">")
	if err != nil {
		return "", bad(err)
	}
	if len(local) > 64 || len(ascii) > 255 || len(parsed.Address) > 254 || parsed.Address != clean(parsed.Address) {
		return "", bad(errors.New("too long"))
	}
	return strings.Trim((&mail.Address{Address: parsed.Address}).String(), "<>"), nil
}

// isPlainAddress knows the addresses that most people have, which stand
// everywhere as they are: a dot-atom, and a domain of small letters, digits and
// hyphens that needs no IDNA.
func isPlainAddress(email string) bool {
	at := strings.IndexByte(email, '@')
	if at < 1 || at > 64 || len(email) > 254 {
		return false
	}
	for i := range at {
		c := email[i]
		if c == '.' && (i == 0 || i == at-1 || email[i-1] == '.') {
			return false
		}
		if c != '.' && !(isLetter(c) || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^`{|}~", c) >= 0) {
			return false
		}
	}
	label := 0 // characters of the label so far
	for i := at + 1; i < len(email); i++ {
		switch c := email[i]; {
		case c == '.':
			if label == 0 || email[i-1] == '-' {
				return false
			}
			label = 0
			continue
		case c == '-':
			if label == 0 || label == 3 && email[i-1] == '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'z':
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && email[len(email)-1] != '-'
}

// oneLine is text fit for a header: no control characters, no line ends, none
// of the characters that turn the direction of what follows (they can show a
// sender as another), at most so many characters.
func oneLine(s string, most int) string {
	if isOneLine(s, most) {
		return s
	}
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029:
			return ' '
		case c < 0x20 || c >= 0x7f && c < 0xa0 || isBidi(c) || c == 0xfeff || c >= 0xfff9 && c <= 0xfffb:
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > most {
		s = strings.TrimSpace(string([]rune(s)[:most-1])) + "…"
	}
	return s
}

// isOneLine reports whether oneLine has nothing to do.
func isOneLine(s string, most int) bool {
	n, blank := 0, true
	for i := 0; i < len(s); n++ {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f || c == ' ' && blank {
				return false
			}
			blank = c == ' '
			i++
			continue
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && size == 1 || c < 0xa0 || isBidi(c) || c == 0xfeff || c >= 0xfff9 && c <= 0xfffb || unicode.IsSpace(c) {
			return false
		}
		blank = false
		i += size
	}
	return n <= most && (!blank || n == 0)
}

// isBidi tells the characters with the property Bidi_Control (UAX #9).
func isBidi(c rune) bool {
	return c == 0x61c || c == 0x200e || c == 0x200f || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}
