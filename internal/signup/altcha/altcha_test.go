package altcha

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

const secret = "a secret of thirty-two bytes, ok"

var now = time.Date(2026, 11, 22, 6, 44, 0, 0, time.UTC)

// TestTheirLibraryAgrees holds us to npm altcha-lib 2.8.0: it has verified and
// solved challenges of ours, and made and solved some of its own. The file was
// written by testdata/vectors.mjs, which tells how.
func TestTheirLibraryAgrees(t *testing.T) {
	text, err := os.ReadFile("testdata/altcha-lib.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Ours, Theirs []struct {
			Challenge Challenge
			Solution  Solution
			Verified  bool
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Ours) < 2 || len(all.Theirs) < 2 {
		t.Fatal("no vectors")
	}
	for i, v := range append(all.Ours, all.Theirs...) {
		if i < len(all.Ours) && !v.Verified {
			t.Errorf("%d: their library does not take our challenge", i)
		}
		p, err := Check([]byte(secret), Payload(v.Challenge, v.Solution), "form-a", now)
		if err != nil || p.Level != v.Challenge.Parameters.Data.Level {
			t.Errorf("%d: %+v %v", i, p, err)
		}
		own, err := Solve(v.Challenge)
		if err != nil || own.Counter != v.Solution.Counter || own.DerivedKey != v.Solution.DerivedKey {
			t.Errorf("%d: solved otherwise: %+v %v", i, own, err)
		}
	}
}

// TestNothingOfAChallengeCanBeExchanged changes each part, and moves bytes from
// one to its neighbour (CVE-2025-68113).
func TestNothingOfAChallengeCanBeExchanged(t *testing.T) {
	make := func(what string, level, cost int, until time.Time) (Challenge, Solution) {
		c, err := New([]byte(secret), what, level, Effort{Cost: cost, Tries: 40}, until)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Solve(c)
		if err != nil {
			t.Fatal(err)
		}
		return c, s
	}
	until := now.Add(time.Hour)
	c, s := make("form-a", 2, 30, until)
	other, otherS := make("form-a", 1, 30, until)
	if _, err := Check([]byte(secret), Payload(c, s), "form-a", now); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Challenge, s *Solution){
		"cost":      func(c *Challenge, _ *Solution) { c.Parameters.Cost = 1 },
		"for":       func(c *Challenge, _ *Solution) { c.Parameters.Data.For = "form-b" },
		"level":     func(c *Challenge, _ *Solution) { c.Parameters.Data.Level = 9 },
		"expiry":    func(c *Challenge, _ *Solution) { c.Parameters.ExpiresAt += 3600 },
		"length":    func(c *Challenge, _ *Solution) { c.Parameters.KeyLength = 16 },
		"prefix":    func(c *Challenge, _ *Solution) { c.Parameters.KeyPrefix = c.Parameters.KeyPrefix[:2] },
		"nonce":     func(c *Challenge, _ *Solution) { c.Parameters.Nonce = other.Parameters.Nonce },
		"splice":    func(c *Challenge, _ *Solution) { p := &c.Parameters; p.Salt, p.Nonce = p.Salt[2:], p.Nonce+p.Salt[:2] },
		"algorithm": func(c *Challenge, _ *Solution) { c.Parameters.Algorithm = "SHA-256" },
		"signature": func(c *Challenge, _ *Solution) { c.Signature = other.Signature },
		"counter":   func(_ *Challenge, s *Solution) { s.Counter++ },
		"key":       func(_ *Challenge, s *Solution) { s.DerivedKey = otherS.DerivedKey },
		"half key":  func(_ *Challenge, s *Solution) { s.DerivedKey = s.DerivedKey[:32] },
		"no work": func(c *Challenge, s *Solution) { // the right key of a number that is not the one
			key, err := c.Parameters.derive(0)
			if err != nil {
				t.Fatal(err)
			}
			s.Counter, s.DerivedKey = 0, hex.EncodeToString(key)
		},
	} {
		c, s := c, s
		change(&c, &s)
		if _, err := Check([]byte(secret), Payload(c, s), "form-a", now); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	for want, check := range map[error]func() error{
		ErrExpired: func() error { return second(Check([]byte(secret), Payload(c, s), "form-a", until.Add(2*time.Second))) },
		ErrOther:   func() error { return second(Check([]byte(secret), Payload(c, s), "form-b", now)) },
		ErrForged:  func() error { return second(Check([]byte(strings.ToUpper(secret)), Payload(c, s), "form-a", now)) },
		ErrBroken:  func() error { return second(Check([]byte(secret), "%", "form-a", now)) },
	} {
		if err := check(); !errors.Is(err, want) {
			t.Errorf("%v instead of %v", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzCheck(f *testing.F) {
	f.Add("eyJjaGFsbGVuZ2UiOnt9fQ==")
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"challenge":{"parameters":{"cost":-1,"nonce":"zz"},"signature":"00"},"solution":{"counter":1e9}}`)))
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := Check([]byte(secret), payload, "form-a", now); err == nil {
			t.Error("what was not made here is taken")
		}
	})
}
