package subscriber

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"assent/internal/problem"
)

// Address is an e-mail address that mail can be sent to.
type Address struct {
	Typed  string // as the person wrote it, without the white space around
	Normal string // what tells two addresses apart: NFC, lower case, domain in A-labels
}

// RFC 5321 §4.5.3.1: octets of the part before the @ and of the whole; a path
// of 256 holds two angle brackets.
const (
	localMax   = 64
	addressMax = 254
)

// domains judges and converts by IDNA 2008 (RFC 5891), with the mapping of
// UTS #46 for what people type.
var domains = idna.New(idna.MapForLookup(), idna.StrictDomainName(true), idna.VerifyDNSLength(true),
	idna.BidiRule(), idna.CheckHyphens(false), idna.Transitional(false))

// ParseAddress reads what a person typed as an address: RFC 5321 §4.1.2 with a
// dot-string before the @ (RFC 6531 adds letters of every script), and a domain
// of two labels or more. Comments, quoted strings, address literals and control
// characters are refused: no mailbox that a person signs up with needs them,
// and each has been used to smuggle something. The problem names the field email.
func ParseAddress(raw string) (Address, error) {
	if !utf8.ValidString(raw) {
		return Address{}, problem.InvalidField("email", "problem.field.utf8")
	}
	typed := norm.NFC.String(strings.TrimFunc(raw, around))
	if typed == "" {
		return Address{}, problem.InvalidField("email", "problem.field.required")
	}
	if strings.ContainsFunc(typed, unseen) {
		return Address{}, problem.InvalidField("email", "subscriber.address.characters")
	}
	local, domain, ok := strings.Cut(typed, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return Address{}, problem.InvalidField("email", "subscriber.address.shape")
	}
	if !dotString(local) {
		return Address{}, problem.InvalidField("email", "subscriber.address.local")
	}
	ascii, err := asciiDomain(domain)
	if err != nil {
		return Address{}, err
	}
	if len(local) > localMax || len(local)+1+len(ascii) > addressMax {
		return Address{}, problem.InvalidField("email", "subscriber.address.long")
	}
	normal := norm.NFC.String(strings.ToLower(local)) + "@" + ascii
	return Address{Typed: typed, Normal: normal}, nil
}

// around tells what copying leaves at the ends: spaces and marks of direction,
// but never a line end.
func around(r rune) bool {
	return r != '\r' && r != '\n' && (unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)) && !lineEnd(r)
}

func lineEnd(r rune) bool {
	return r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\v' || r == '\f'
}

// unseen tells characters that print nothing, or are none.
func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || lineEnd(r) || r == utf8.RuneError
}

// dotString is RFC 5321 §4.1.2 Dot-string over the atext of RFC 5322 §3.2.3 and RFC 6532 §3.2.
func dotString(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !atext(r) }) {
			return false
		}
	}
	return true
}

func atext(r rune) bool {
	return r >= utf8.RuneSelf || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
		strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// asciiDomain gives the A-labels. A last label of digits only is no domain
// (RFC 3696 §2), and a domain without a dot takes no mail on the public
// internet (RFC 7085).
func asciiDomain(domain string) (string, error) {
	ascii, err := domains.ToASCII(domain)
	if err != nil {
		return "", problem.InvalidField("email", "subscriber.address.domain").Because(err)
	}
	ascii = strings.ToLower(ascii)
	dot := strings.LastIndexByte(ascii, '.')
	if dot < 0 {
		return "", problem.InvalidField("email", "subscriber.address.dot")
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return "", problem.InvalidField("email", "subscriber.address.domain")
		}
	}
	if strings.Trim(ascii[dot+1:], "0123456789") == "" {
		return "", problem.InvalidField("email", "subscriber.address.domain")
	}
	return ascii, nil
}
