package link

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"assent/internal/problem"

	"github.com/google/uuid"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, secretMin) }

func ring(t testing.TB, secrets ...[]byte) *Ring {
	t.Helper()
	r, err := NewRing(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	one = uuid.MustParse("0193a000-0000-7000-8000-000000000001")
	two = uuid.MustParse("0193a000-0000-7000-8000-000000000002")
	msg = Message{Source: one, ID: two}
)

func urls(t testing.TB, base string, r *Ring) URLs {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return URLs{Base: b, Ring: r}
}

// reader is one kind of public address, its path, and its reader brought to one shape.
type reader struct {
	kind Kind
	path string
	make func(URLs) string
	read func(*Ring, string) (any, error)
	want any
}

func readers() []reader {
	id := func(f func(*Ring, string) (uuid.UUID, error)) func(*Ring, string) (any, error) {
		return func(r *Ring, s string) (any, error) { return f(r, s) }
	}
	message := func(f func(*Ring, string) (Message, error)) func(*Ring, string) (any, error) {
		return func(r *Ring, s string) (any, error) { return f(r, s) }
	}
	return []reader{
		{Confirm, "/c/", func(u URLs) string { return u.Confirm(one) }, id((*Ring).ReadConfirm), one},
		{Leave, "/u/", func(u URLs) string { return u.Leave(msg) }, message((*Ring).ReadLeave), msg},
		{Why, "/w/", func(u URLs) string { return u.Why(msg) }, message((*Ring).ReadWhy), msg},
		{View, "/v/", func(u URLs) string { return u.View(msg) }, message((*Ring).ReadView), msg},
		{Pixel, "/o/", func(u URLs) string { return u.Pixel(msg) }, message((*Ring).ReadPixel), msg},
		{Receipt, "/r/", func(u URLs) string { return u.Receipt(one) }, id((*Ring).ReadReceipt), one},
		{Preferences, "/p/", func(u URLs) string { return u.Preferences(one, two) }, func(r *Ring, s string) (any, error) {
			b, p, err := r.ReadPreferences(s)
			return [2]uuid.UUID{b, p}, err
		}, [2]uuid.UUID{one, two}},
		{Click, "/l/", func(u URLs) string { return u.Click(msg, 300) }, func(r *Ring, s string) (any, error) {
			m, n, err := r.ReadClick(s)
			return fmt.Sprint(m, n), err
		}, fmt.Sprint(msg, 300)},
		{AnonymousPixel, "/o/", func(u URLs) string { return u.AnonymousPixel(one) }, id((*Ring).ReadAnonymousPixel), one},
		{AnonymousClick, "/l/", func(u URLs) string { return u.AnonymousClick(Shared{one, two, "fa", 300}) }, func(r *Ring, s string) (any, error) {
			return r.ReadAnonymousClick(s)
		}, Shared{one, two, "fa", 300}},
		{AddressChange, "/x/", func(u URLs) string { return u.at("/x/", u.SignIDs(AddressChange, one)) }, id((*Ring).ReadAddressChange), one},
	}
}

func TestEveryAddressReadsBackByItsOwnReaderOnly(t *testing.T) {
	u := urls(t, "https://mail.example.org/news/", ring(t, secret(1)))
	for _, a := range readers() {
		addr := a.make(u)
		token, ok := strings.CutPrefix(addr, "https://mail.example.org/news"+a.path)
		if !ok || strings.ContainsAny(token, "=+/ ") {
			t.Errorf("address %q is not under %s or not base64url without padding", addr, a.path)
		}
		for _, b := range readers() {
			got, err := b.read(u.Ring, token)
			if b.kind == a.kind {
				if err != nil || !reflect.DeepEqual(got, b.want) {
					t.Errorf("kind %d: read %v, %v; want %v", b.kind, got, err, b.want)
				}
				continue
			}
			mustBeUnknown(t, fmt.Sprintf("token of kind %d read as %d", a.kind, b.kind), err)
		}
	}
}

func mustBeUnknown(t *testing.T, what string, err error) {
	t.Helper()
	p, ok := problem.Of(err)
	if !ok || p.Kind != problem.NotFound || p.Key != "link.unknown" {
		t.Errorf("%s: got %v, want not-found link.unknown", what, err)
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	u := urls(t, "https://a.example", ring(t, secret(1), secret(2)))
	for _, a := range readers() {
		token := strings.TrimPrefix(a.make(u), "https://a.example"+a.path)
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(raw) * 8 {
			raw[bit/8] ^= 1 << (bit % 8)
			_, err := a.read(u.Ring, base64.RawURLEncoding.EncodeToString(raw))
			mustBeUnknown(t, fmt.Sprintf("kind %d, bit %d of the bytes", a.kind, bit), err)
			raw[bit/8] ^= 1 << (bit % 8)
		}
		for bit := range len(token) * 8 {
			text := []byte(token)
			text[bit/8] ^= 1 << (bit % 8)
			_, err := a.read(u.Ring, string(text))
			mustBeUnknown(t, fmt.Sprintf("kind %d, bit %d of the text", a.kind, bit), err)
		}
	}
}

func TestOtherSpellingsOfATokenAreRefused(t *testing.T) {
	r := ring(t, secret(1))
	token := r.SignIDs(Preferences, one, two) // 48 bytes: no spare bits
	odd := r.Sign(Click, append(append(one[:], two[:]...), 7))
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", odd[len(odd)-1])
	for name, s := range map[string]string{
		"line end":     token[:10] + "\n" + token[10:],
		"return":       token + "\r",
		"padding":      odd + "==",
		"cut":          token[:len(token)-4],
		"longer":       token + "AAAA",
		"empty":        "",
		"only a MAC":   r.Sign(Preferences, nil),
		"huge":         strings.Repeat("A", 1<<20),
		"standard 64":  "+/+/" + token,
		"spare bits":   odd[:len(odd)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]),
		"nul":          token + "\x00",
		"not ascii":    "پیوند",
		"number long":  r.Sign(Click, append(append(append([]byte{}, one[:]...), two[:]...), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1)),
		"number huge":  r.signClick(msg, -1),
		"number twice": r.Sign(Click, append(append(append([]byte{}, one[:]...), two[:]...), 1, 2)),
	} {
		_, _, err := r.ReadPreferences(s)
		mustBeUnknown(t, name+" as preferences", err)
		_, _, err = r.ReadClick(s)
		mustBeUnknown(t, name+" as click", err)
	}
	if _, _, err := r.ReadClick(odd); err != nil {
		t.Errorf("the untouched token: %v", err)
	}
}

func TestKeyRotation(t *testing.T) {
	before := ring(t, secret(1))
	after := ring(t, secret(2), secret(1))
	gone := ring(t, secret(2))
	old := before.SignIDs(Confirm, one)
	sealed, err := before.Seal("evidence", []byte("words"), []byte("row"))
	if err != nil {
		t.Fatal(err)
	}

	if id, err := after.ReadConfirm(old); err != nil || id != one {
		t.Errorf("a link of the old key: %v, %v", id, err)
	}
	if plain, err := after.Open("evidence", sealed, []byte("row")); err != nil || string(plain) != "words" {
		t.Errorf("a value of the old key: %q, %v", plain, err)
	}
	_, err = gone.ReadConfirm(old)
	mustBeUnknown(t, "a link of a key that was taken away", err)
	if _, err := gone.Open("evidence", sealed, []byte("row")); !errors.Is(err, ErrSealed) {
		t.Errorf("a value of a key that was taken away: %v", err)
	}
	if _, err := before.ReadConfirm(after.SignIDs(Confirm, one)); err == nil {
		t.Error("the new ring still signs with the old key")
	}
	if bytes.Equal(before.Derive("x"), after.Derive("x")) || !bytes.Equal(gone.Derive("x"), after.Derive("x")) {
		t.Error("Derive does not follow the newest key")
	}
	if !after.Knows(before.Fingerprint()) || gone.Knows(before.Fingerprint()) || before.Knows(after.Fingerprint()) {
		t.Error("Knows is not about the keys of the ring")
	}
}

func TestUsesAndLabelsAreApart(t *testing.T) {
	r := ring(t, secret(1))
	sealed, err := r.Seal("a", []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Seal("a", []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed, again) {
		t.Error("two seals of one value are equal: the nonce is not random")
	}
	for name, try := range map[string]func() ([]byte, error){
		"other label": func() ([]byte, error) { return r.Open("b", sealed, []byte("aad")) },
		"other aad":   func() ([]byte, error) { return r.Open("a", sealed, []byte("aae")) },
		"no aad":      func() ([]byte, error) { return r.Open("a", sealed, nil) },
		"empty":       func() ([]byte, error) { return r.Open("a", nil, []byte("aad")) },
		"key id only": func() ([]byte, error) { return r.Open("a", sealed[:4], []byte("aad")) },
	} {
		if plain, err := try(); !errors.Is(err, ErrSealed) || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	for bit := range len(sealed) * 8 {
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := r.Open("a", sealed, []byte("aad")); !errors.Is(err, ErrSealed) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
	made := map[string]string{}
	for name, k := range map[string][]byte{
		"derive a": r.Derive("a"), "derive b": r.Derive("b"), "derive empty": r.Derive(""),
		"seal a": r.keys[0].expand("seal", "a"), "link": r.keys[0].expand("link", ""),
	} {
		if other, ok := made[string(k)]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		made[string(k)] = name
	}
}

func TestRingRefusesBadSecretsAndHidesGoodOnes(t *testing.T) {
	for name, secrets := range map[string][][]byte{
		"none": nil, "short": {secret(1)[:31]}, "second short": {secret(1), nil}, "twice": {secret(1), secret(2), secret(1)},
	} {
		if _, err := NewRing(secrets...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := ring(t, secret('k'))
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%v %+v %#v %s", r, r, r, r)} {
		if strings.Contains(s, "kkk") || strings.Contains(s, fmt.Sprint(r.keys[0].prk)) || !strings.Contains(s, r.Fingerprint()) {
			t.Errorf("the ring prints as %s", s)
		}
	}
}

func TestFormAndScheme(t *testing.T) {
	u := urls(t, "http://localhost:8080", ring(t, secret(1)))
	if got := u.Form(one); got != "http://localhost:8080/f/"+one.String() {
		t.Error(got)
	}
	if u.HTTPS() || !urls(t, "https://a.example", u.Ring).HTTPS() {
		t.Error("HTTPS does not follow the scheme")
	}
	if id, err := ReadForm(one.String()); err != nil || id != one {
		t.Error(id, err)
	}
	for _, s := range []string{"", "x", strings.ToUpper(one.String()), "{" + one.String() + "}", "urn:uuid:" + one.String(), strings.ReplaceAll(one.String(), "-", "")} {
		_, err := ReadForm(s)
		mustBeUnknown(t, s, err)
	}
}

// FuzzReaders feeds every reader foreign text: none panics, and whatever one
// accepts is exactly what its writer would have made.
func FuzzReaders(f *testing.F) {
	r := ring(f, secret(1), secret(2))
	for _, a := range readers() {
		addr := a.make(urls(f, "https://a.example", r))
		f.Add(strings.TrimPrefix(addr, "https://a.example"+a.path))
	}
	f.Add(one.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range readers() {
			if _, err := a.read(r, s); err != nil {
				mustBeUnknown(t, s, err)
			} else if want := a.make(urls(t, "https://a.example", r)); !strings.HasSuffix(want, a.path+s) {
				t.Errorf("kind %d accepted %q, which was never signed", a.kind, s)
			}
		}
		if id, err := ReadForm(s); err == nil && id.String() != s {
			t.Errorf("form %q read as %s", s, id)
		}
		if _, err := r.Open("x", []byte(s), nil); !errors.Is(err, ErrSealed) {
			t.Errorf("opened %q: %v", s, err)
		}
	})
}

func BenchmarkClickURL(b *testing.B) {
	u := urls(b, "https://mail.example.org", ring(b, secret(1)))
	b.ReportAllocs()
	for i := range b.N {
		u.Click(msg, i%8)
	}
}

func BenchmarkReadPixel(b *testing.B) {
	r := ring(b, secret(1), secret(2))
	good := r.SignIDs(Pixel, one, two)
	forged := good[:len(good)-1] + "A"
	for name, token := range map[string]string{"good": good, "forged": forged} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				_, _ = r.ReadPixel(token)
			}
		})
	}
}
