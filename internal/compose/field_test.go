package compose

import (
	"bytes"
	"mime"
	"strings"
	"testing"

	gomail "github.com/wneessen/go-mail"
	"pgregory.net/rapid"
)

// TestPlainAddressesNeedNoCare holds the short way to the careful one.
func TestPlainAddressesNeedNoCare(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?`), rapid.StringOfN(rapid.RuneFrom([]rune("ab-._0")), 1, 12, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("aZ9-.!#$%&'*+/=?^_`{|}~ \"\\<>,;:@()[]éک\t\n\x00\x7f")), 0, 8, -1),
		rapid.SampledFrom([]string{"xn--pgbr8t", "xn--a", "a--b", "ab--c", "abc--d", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a.", 100), "-a", "a-", "1", "127.0.0.1", "[127.0.0.1]", "com", ""}),
	)
	rapid.Check(t, func(r *rapid.T) {
		email := part.Draw(r, "local") + rapid.SampledFrom([]string{"@", "@", "@", "", "@@"}).Draw(r, "at") + strings.Join(rapid.SliceOfN(part, 1, 4).Draw(r, "domain"), ".")
		if !isPlainAddress(email) {
			return
		}
		if got, err := careful(email); err != nil || got != email {
			r.Fatalf("%q is %q, %v", email, got, err)
		}
	})
	for _, email := range []string{"sara@example.org", "a.b+c=d@mail.example.co.uk", "1@2.3", "x_y@a-b.example"} {
		if !isPlainAddress(email) {
			t.Errorf("%s is not plain", email)
		}
	}
}

// TestFieldsFoldAsGoMailFolds compares the bytes of a field with go-mail's.
func TestFieldsFoldAsGoMailFolds(t *testing.T) {
	word := rapid.OneOf(rapid.StringMatching(`[!-~]{0,30}`), rapid.StringMatching(`[!-~]{55,80}`), rapid.SampledFrom([]string{"", "a", strings.Repeat("x", 1000)}))
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom([]string{"To", "Subject", "Message-ID", "List-Unsubscribe"}).Draw(r, "name")
		value := strings.Join(rapid.SliceOfN(word, 0, 30).Draw(r, "words"), " ")
		m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
		m.SetGenHeader(gomail.Header(name), value)
		m.SetBodyString(gomail.TypeTextPlain, "x")
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err != nil {
			r.Fatal(err)
		}
		if got := appendField(nil, name, value); !bytes.Contains(append([]byte("\r\n"), b.Bytes()...), append([]byte("\r\n"), got...)) {
			r.Fatalf("%q is not in %q", got, b.String())
		}
	})
}

// TestWordsAreWholeAndShort asserts RFC 2047 §2 of what stands in a header.
func TestWordsAreWholeAndShort(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := oneLine(someName.Draw(r, "text"), maxSubject)
		if !needsWords(s) {
			if strings.Contains(s, "=?") || strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
				r.Fatalf("%q stands as it is", s)
			}
			for _, word := range strings.Split(s, " ") {
				if len(word) > 60 {
					r.Fatalf("%q cannot be folded", word)
				}
			}
			return
		}
		decoder, back := new(mime.WordDecoder), ""
		for _, word := range strings.Split(string(appendWords(nil, s)), " ") {
			one, err := decoder.Decode(word) // a character cut in two would not be UTF-8
			if err != nil || len(word) > 75 || strings.ContainsRune(one, '\uFFFD') != strings.ContainsRune(s, '\uFFFD') && strings.ContainsRune(one, '\uFFFD') {
				r.Fatalf("%q of %q: %v", word, s, err)
			}
			back += one
		}
		if back != s {
			r.Fatalf("%q came back as %q", s, back)
		}
	})
}

// TestOneLineKnowsWhatIsOne holds the question to the answer.
func TestOneLineKnowsWhatIsOne(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, most := someName.Draw(r, "text"), rapid.SampledFrom([]int{3, maxName, maxSubject}).Draw(r, "most")
		line := oneLine(s, most)
		if isOneLine(s, most) != (line == s) || !isOneLine(line, most) {
			r.Fatalf("%q is %q", s, line)
		}
	})
}
