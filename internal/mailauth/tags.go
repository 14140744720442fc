package mailauth

import (
	"errors"
	"fmt"
	"strings"
)

// tag is one name=value of the records of DKIM and DMARC.
type tag struct{ name, value string }

var errTag = errors.New("not a list of name=value; …")

// parseTags reads the list of RFC 6376 §3.2, which RFC 9989 §4.7 takes over. A
// broken or repeated tag is an error; what was read before it is given too.
func parseTags(s string) ([]tag, error) {
	var all []tag
	parts := strings.Split(s, ";")
	for i, part := range parts {
		part = strings.Trim(part, whiteSpace)
		if part == "" {
			if i < len(parts)-1 && strings.Trim(strings.Join(parts[i:], ""), whiteSpace) != "" {
				return all, errTag // only the end may be empty
			}
			break
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.Trim(name, whiteSpace), strings.Trim(value, whiteSpace)
		if !ok || !tagName(name) || !tagValue(value) {
			return all, errTag
		}
		for _, t := range all {
			if t.name == name {
				return all, fmt.Errorf("the tag %s twice", name)
			}
		}
		all = append(all, tag{name, value})
	}
	return all, nil
}

const whiteSpace = " \t\r\n"

func tagName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func tagValue(s string) bool {
	for _, c := range []byte(s) {
		if (c < '!' || c > '~') && !strings.ContainsRune(whiteSpace, rune(c)) {
			return false
		}
	}
	return true
}

// tagged gives a tag's value.
func tagged(all []tag, name string) (string, bool) {
	for _, t := range all {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// words splits a list such as t=y:s, white space apart.
func words(s string) []string {
	all := strings.Split(s, ":")
	for i := range all {
		all[i] = strings.Trim(all[i], whiteSpace)
	}
	return all
}
