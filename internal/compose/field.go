package compose

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	fieldMax   = 76 // characters of a header's line, as go-mail has it
	wordsBytes = 36 // bytes of text in one encoded word, which then has 60 characters
)

// appendField writes one header field, folded between words as go-mail folds it.
func appendField[T ~string | ~[]byte](dst []byte, name string, value T) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	room := fieldMax - 2 - len(name) - 2
	for {
		n := 0
		for n < len(value) && value[n] != ' ' {
			n++
		}
		if room-n <= 1 {
			if dst[len(dst)-1] == ' ' {
				dst = dst[:len(dst)-1]
			}
			dst = append(dst, "\r\n "...)
			room = fieldMax - 3
		}
		dst = append(dst, value[:n]...)
		if n == len(value) {
			return append(dst, "\r\n"...)
		}
		dst = append(dst, ' ')
		room -= n + 1
		value = value[n+1:]
	}
}

// needsWords reports whether a header's text has to stand in encoded words: it
// is not plain ASCII, has a word too long for a line, or looks like an encoded
// word, so that it is read as what was written.
func needsWords(s string) bool {
	word := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x7f || c == '=' && strings.HasPrefix(s[i+1:], "?"):
			return true
		case c == ' ':
			word = 0
		default:
			if word++; word > 60 {
				return true
			}
		}
	}
	return false
}

// appendWords writes a text in encoded words of at most 75 characters that each
// hold whole characters (RFC 2047 §2), short enough for the first to stand on
// the line of the field's name.
func appendWords(dst []byte, s string) []byte {
	for first := true; len(s) > 0; first = false {
		n := min(len(s), wordsBytes)
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		if !first {
			dst = append(dst, ' ')
		}
		dst = append(dst, "=?utf-8?b?"...)
		var word [wordsBytes]byte
		dst = base64.StdEncoding.AppendEncode(dst, word[:copy(word[:], s[:n])])
		dst = append(dst, "?="...)
		s = s[n:]
	}
	return dst
}

// appendPhrase writes an address as a From or To holds it, email being ASCII
// already: a name of plain ASCII in quotes and any other in encoded words, which
// net/mail would let hold what a phrase must not (RFC 2047 §5).
func appendPhrase(dst []byte, name, email string) []byte {
	name = oneLine(name, maxName)
	switch {
	case name == "":
		return append(append(append(dst, '<'), email...), '>')
	case needsWords(name):
		dst = appendWords(dst, name)
	default:
		dst = append(dst, '"')
		for i := range len(name) {
			if name[i] == '\\' || name[i] == '"' {
				dst = append(dst, '\\')
			}
			dst = append(dst, name[i])
		}
		dst = append(dst, '"')
	}
	dst = append(dst, " <"...)
	return append(append(dst, email...), '>')
}
