package offer

import (
	"crypto/rand"
	"strings"
)

// alphabet has 32 signs, five bits each; 0 and O, 1 and I, which people mix up,
// are not among them.
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

const (
	codeSigns  = 12 // 60 bits from crypto/rand
	groupSigns = 4
	prefixMax  = 3
	codeMax    = 64 // of what is typed; longer is no code
)

// newCode makes a code such as NAR-7Q2K-4MXD-H8TE: a prefix that shows whose it
// is, and 60 random bits.
func newCode(slug string) string {
	var random [codeSigns]byte
	rand.Read(random[:]) // never fails (crypto/rand, Go 1.24)
	signs := make([]byte, codeSigns)
	for i, r := range random {
		signs[i] = alphabet[r%32]
	}
	return grouped(prefix(slug) + string(signs))
}

// prefix is the first few signs of the brand's slug that the alphabet has.
func prefix(slug string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(slug) {
		if b.Len() < prefixMax && strings.ContainsRune(alphabet, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// grouped sets hyphens: after the prefix, and after each four signs.
func grouped(signs string) string {
	head := len(signs) - codeSigns
	groups := []string{}
	if head > 0 {
		groups = append(groups, signs[:head])
	}
	for i := head; i < len(signs); i += groupSigns {
		groups = append(groups, signs[i:i+groupSigns])
	}
	return strings.Join(groups, "-")
}

// readCode gives a code as it is stored from what somebody typed: in any case,
// with or without hyphens and spaces, with Persian or Arabic digits. ok is
// false for what cannot be a code.
func readCode(typed string) (code string, ok bool) {
	if len(typed) > codeMax {
		return "", false
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r >= '۰' && r <= '۹':
			r = '0' + r - '۰'
		case r >= '٠' && r <= '٩':
			r = '0' + r - '٠'
		case r == ' ', r == '-', r == '\u2010', r == '\u2011', r == '\u2013', r == '\u00a0', r == '\u200c', r == '\u200e', r == '\u200f':
			continue
		}
		if !strings.ContainsRune(alphabet, r) {
			return "", false
		}
		b.WriteRune(r)
	}
	if n := b.Len(); n < codeSigns || n > codeSigns+prefixMax {
		return "", false
	}
	return grouped(b.String()), true
}

// hint is the end of a code, enough to recognise it by and not to redeem it.
func hint(code string) string {
	return "…" + code[max(0, len(code)-groupSigns):]
}
