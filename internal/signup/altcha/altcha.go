// Package altcha makes and checks proofs of work of the ALTCHA protocol, version
// 2 (altcha.org/docs/v2): a browser counts up until PBKDF2 of nonce and counter
// gives a key with the prefix asked for.
//
// A challenge is stateless. All its parameters are signed together, as one
// canonical JSON text, so none can be exchanged or cut from another, as the
// undelimited fields of version 1 could (CVE-2025-68113); what it was made for is
// one of them. A proof is good until its challenge expires, and the caller is to
// take it once only: Check gives the name to remember it by.
package altcha

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Algorithm is the only one that is asked for and taken.
const Algorithm = "PBKDF2/SHA-256"

// Parameters of a challenge. The fields stand in the order of their names in
// JSON, which is the order that is signed.
type Parameters struct {
	Algorithm string `json:"algorithm"`
	Cost      int    `json:"cost"` // iterations for each number that is tried
	Data      Data   `json:"data"`
	ExpiresAt int64  `json:"expiresAt"` // Unix seconds
	KeyLength int    `json:"keyLength"` // bytes
	KeyPrefix string `json:"keyPrefix"` // hex
	Nonce     string `json:"nonce"`     // hex
	Salt      string `json:"salt"`      // hex
}

// Data is what a challenge was made for.
type Data struct {
	For   string `json:"for"`
	Level int    `json:"level"`
}

// Challenge is what the browser gets.
type Challenge struct {
	Parameters Parameters `json:"parameters"`
	Signature  string     `json:"signature"` // hex
}

// Solution is what it found.
type Solution struct {
	Counter    uint32  `json:"counter"`
	DerivedKey string  `json:"derivedKey"` // hex
	Time       float64 `json:"time,omitempty"`
}

// Effort is how much is asked for.
type Effort struct {
	Cost  int // iterations for each number
	Tries int // numbers to try, on the mean; half of it at least, one and a half at most
}

const (
	keyLength  = 32
	prefixSize = 16 // bytes: no other number has it
	payloadMax = 4096
)

// Why a proof is not taken.
var (
	ErrBroken  = errors.New("altcha: this is no proof")
	ErrForged  = errors.New("altcha: the challenge was not made here, or was changed")
	ErrOther   = errors.New("altcha: the challenge was made for something else")
	ErrExpired = errors.New("altcha: the challenge has expired")
	ErrWrong   = errors.New("altcha: the solution is wrong")
)

// New makes a challenge for something, to be solved until a time. It costs one
// derivation.
func New(secret []byte, what string, level int, e Effort, until time.Time) (Challenge, error) {
	var random [16 + 16 + 4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Challenge{}, fmt.Errorf("draw a challenge: %w", err)
	}
	counter := uint32(e.Tries/2) + binary.BigEndian.Uint32(random[32:])%uint32(max(1, e.Tries))
	return newFrom(secret, random[:16], random[16:32], counter, what, level, e, until)
}

func newFrom(secret, nonce, salt []byte, counter uint32, what string, level int, e Effort, until time.Time) (Challenge, error) {
	p := Parameters{Algorithm: Algorithm, Cost: e.Cost, Data: Data{For: what, Level: level}, ExpiresAt: until.Unix(), KeyLength: keyLength,
		Nonce: hex.EncodeToString(nonce), Salt: hex.EncodeToString(salt)}
	key, err := p.derive(counter)
	if err != nil {
		return Challenge{}, err
	}
	p.KeyPrefix = hex.EncodeToString(key[:prefixSize])
	return Challenge{Parameters: p, Signature: hex.EncodeToString(p.sign(secret))}, nil
}

// derive is the key of a number: PBKDF2 over the nonce with the number behind it.
func (p Parameters) derive(counter uint32) ([]byte, error) {
	nonce, err := hex.DecodeString(p.Nonce)
	if err != nil {
		return nil, ErrBroken
	}
	salt, err := hex.DecodeString(p.Salt)
	if err != nil {
		return nil, ErrBroken
	}
	return pbkdf2.Key(sha256.New, string(binary.BigEndian.AppendUint32(nonce, counter)), salt, p.Cost, p.KeyLength)
}

// sign covers every parameter. No value has a character that JSON of another
// language would write otherwise.
func (p Parameters) sign(secret []byte) []byte {
	text, err := json.Marshal(p)
	if err != nil {
		panic("altcha: " + err.Error()) // strings and numbers always encode
	}
	h := hmac.New(sha256.New, secret)
	h.Write(text)
	return h.Sum(nil)
}

// Proof is a solution that was checked.
type Proof struct {
	Name  []byte // to take it once only
	Level int    // that it was asked for
	Until time.Time
}

// Check reads what the widget sent: base64 of the challenge and its solution.
func Check(secret []byte, payload, what string, now time.Time) (Proof, error) {
	if len(payload) > payloadMax {
		return Proof{}, ErrBroken
	}
	text, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return Proof{}, ErrBroken
	}
	var in struct {
		Challenge Challenge `json:"challenge"`
		Solution  Solution  `json:"solution"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&in); err != nil {
		return Proof{}, ErrBroken
	}
	p := in.Challenge.Parameters
	signature, err := hex.DecodeString(in.Challenge.Signature)
	if err != nil || !hmac.Equal(signature, p.sign(secret)) {
		return Proof{}, ErrForged
	}
	switch {
	case p.Data.For != what:
		return Proof{}, ErrOther
	case now.Unix() > p.ExpiresAt:
		return Proof{}, ErrExpired
	}
	key, err := p.derive(in.Solution.Counter)
	if err != nil {
		return Proof{}, err
	}
	claimed, err := hex.DecodeString(in.Solution.DerivedKey)
	prefix, bad := hex.DecodeString(p.KeyPrefix)
	if err != nil || bad != nil || len(prefix) != prefixSize || subtle.ConstantTimeCompare(key, claimed) != 1 || !bytes.HasPrefix(key, prefix) {
		return Proof{}, ErrWrong
	}
	name, err := hex.DecodeString(p.Nonce)
	return Proof{Name: name, Level: p.Data.Level, Until: time.Unix(p.ExpiresAt, 0)}, err
}

// Payload is what the widget would send of a solution.
func Payload(c Challenge, s Solution) string {
	text, err := json.Marshal(map[string]any{"challenge": c, "solution": s})
	if err != nil {
		panic("altcha: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(text)
}

// Solve finds the solution, as the widget does, on one processor.
func Solve(c Challenge) (Solution, error) {
	prefix, err := hex.DecodeString(c.Parameters.KeyPrefix)
	if err != nil {
		return Solution{}, ErrBroken
	}
	for n := uint32(0); ; n++ {
		key, err := c.Parameters.derive(n)
		if err != nil {
			return Solution{}, err
		}
		if bytes.HasPrefix(key, prefix) {
			return Solution{Counter: n, DerivedKey: hex.EncodeToString(key)}, nil
		}
	}
}
