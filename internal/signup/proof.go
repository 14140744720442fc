package signup

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Proof is something a visitor did that is dear to programs. It is good once.
type Proof struct {
	By    string // ByWork or ByPatience
	Name  []byte
	Until time.Time // nobody takes it later
}

// What a proof is of.
const (
	ByWork     = "work"     // of the browser; see Work
	ByPatience = "patience" // of whoever has no scripts; see Wait
)

// Spend uses a proof up, in the transaction of the sign-up that it is for: a
// sign-up that fails leaves it. A second use is problem.Conflict
// "signup.proof.spent".
func Spend(tx *store.Tx, p Proof) error {
	n, err := tx.Run("INSERT INTO spent_proofs (expires_at, proof) VALUES (?, ?) ON CONFLICT DO NOTHING", p.Until, p.Name)
	if err != nil {
		return fmt.Errorf("use up a proof: %w", err)
	}
	if n == 0 {
		return problem.New(problem.Conflict, "signup.proof.spent")
	}
	return nil
}

// SweepProofs forgets those that nobody would take any more.
func SweepProofs(tx *store.Tx) error {
	if _, err := tx.Run("DELETE FROM spent_proofs WHERE expires_at < ?", tx.Now().Add(-time.Hour)); err != nil {
		return fmt.Errorf("forget used proofs: %w", err)
	}
	return nil
}

// Wait is the way round without scripts: a while to wait, by our clock, and a
// plain question to answer meanwhile. It is no match for a program written for
// it, so whoever offers it allows few of them.
type Wait struct {
	Form  uuid.UUID `json:"form"`
	Begun time.Time `json:"begun"`
	A     int       `json:"a"`
	B     int       `json:"b"`
	Name  []byte    `json:"name"`
}

const (
	// WaitTime is how long it takes at least.
	WaitTime = 20 * time.Second
	waitLife = 30 * time.Minute
	waitSeal = "waiting instead of work"
)

// NewWait begins to wait at a form.
func NewWait(form uuid.UUID, now time.Time) (Wait, error) {
	var r [18]byte
	if _, err := rand.Read(r[:]); err != nil {
		return Wait{}, fmt.Errorf("draw a question: %w", err)
	}
	return Wait{Form: form, Begun: now.UTC(), A: 2 + int(r[16])%8, B: 2 + int(r[17])%8, Name: r[:16]}, nil
}

// Seal is what goes into the page and comes back; nothing can be read in it.
func (w Wait) Seal(set Settings) (string, error) {
	plain, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("encode a wait: %w", err)
	}
	sealed, err := set.URLs.Ring.Seal(waitSeal, plain, nil)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// ReadWait opens what came back; ok is false for what is not ours, of another
// form, or too old.
func ReadWait(set Settings, form uuid.UUID, sealed string, now time.Time) (w Wait, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return w, false
	}
	plain, err := set.URLs.Ring.Open(waitSeal, raw, nil)
	if err != nil || json.Unmarshal(plain, &w) != nil {
		return Wait{}, false
	}
	return w, w.Form == form && now.Sub(w.Begun) < waitLife
}

// Over reports whether they have waited long enough.
func (w Wait) Over(now time.Time) bool { return now.Sub(w.Begun) >= WaitTime }

// Right reports whether the answer is right, in the digits of any of our languages.
func (w Wait) Right(answer string) bool {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= '۰' && r <= '۹':
			return '0' + r - '۰'
		case r >= '٠' && r <= '٩':
			return '0' + r - '٠'
		}
		return r
	}, strings.TrimSpace(answer))
	n, err := strconv.Atoi(plain)
	return err == nil && n == w.A+w.B
}

// Proof is that they waited.
func (w Wait) Proof() Proof {
	return Proof{By: ByPatience, Name: w.Name, Until: w.Begun.Add(waitLife)}
}
