package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"assent/internal/problem"
	"assent/internal/store"
)

// A token is 32 random bytes in base64url. Only its SHA-256 is stored, so a copy
// of the database opens nothing.
const tokenBytes = 32

func newToken() (token string, hash []byte) {
	raw := make([]byte, tokenBytes)
	rand.Read(raw) // never fails (crypto/rand, Go 1.24)
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, tokenHash(token)
}

// The code that makes the first account stands in the table installation, one
// row for each process that printed one.
const (
	codePrefix = "first-account-code:"
	firstMade  = "first-account"
	codeLife   = 7 * 24 * time.Hour
)

// FirstCode makes a code with which the first account can be made, while there
// is none; needed is false when there is. It is for whoever can read what the
// program prints: it counts for seven days, and until the account is made.
func FirstCode(tx *store.Tx) (code string, needed bool, err error) {
	n, err := Count(tx)
	if err != nil || n > 0 {
		return "", false, err
	}
	old := tx.Now().Add(-codeLife).UTC().Format(time.RFC3339)
	if _, err := tx.Run("DELETE FROM installation WHERE key LIKE ? AND value < ?", codePrefix+"%", old); err != nil {
		return "", false, fmt.Errorf("forget old codes: %w", err)
	}
	code, hash := newToken()
	_, err = tx.Run("INSERT INTO installation (key, value) VALUES (?, ?)", codePrefix+hex.EncodeToString(hash), tx.Now().UTC().Format(time.RFC3339))
	if err != nil {
		return "", false, fmt.Errorf("keep the code for the first account: %w", err)
	}
	return code, true, nil
}

// CheckFirst tells whether the code may make the first account. It fails with
// problem.Gone when there is an account, and problem.Forbidden when the code is
// not one that was printed.
func CheckFirst(tx *store.Tx, code string) error {
	n, err := Count(tx)
	if err != nil {
		return err
	}
	if n > 0 {
		return problem.New(problem.Gone, "account.first-made")
	}
	var rows []struct{ Key, Value string }
	if err := tx.Raw("SELECT key, value FROM installation WHERE key LIKE ?", codePrefix+"%").Scan(&rows).Error; err != nil {
		return fmt.Errorf("read the codes for the first account: %w", err)
	}
	sum, good, oldest := sha256.Sum256([]byte(code)), 0, tx.Now().Add(-codeLife).UTC().Format(time.RFC3339)
	for _, r := range rows {
		known, err := hex.DecodeString(strings.TrimPrefix(r.Key, codePrefix))
		if err == nil && r.Value >= oldest {
			good |= subtle.ConstantTimeCompare(known, sum[:])
		}
	}
	if good != 1 {
		return problem.New(problem.Forbidden, "account.first-code")
	}
	return nil
}

// AddFirst makes the first account: once, however many ask at the same time.
// It fails as CheckFirst does, and ends every code.
func (d *Door) AddFirst(ctx context.Context, code string, n NewUser) (User, error) {
	if err := d.db.Read(ctx, func(tx *store.Tx) error { return CheckFirst(tx, code) }); err != nil {
		return User{}, err // before a password is hashed for whoever asks
	}
	u, err := d.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	err = d.db.Write(ctx, func(tx *store.Tx) error {
		// The row is what the second waits for, and then finds.
		made, err := tx.Run("INSERT INTO installation (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", firstMade, tx.Now().UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("begin the first account: %w", err)
		}
		if made == 0 {
			return problem.New(problem.Gone, "account.first-made")
		}
		if err := CheckFirst(tx, code); err != nil {
			return err
		}
		if _, err := tx.Run("DELETE FROM installation WHERE key LIKE ?", codePrefix+"%"); err != nil {
			return fmt.Errorf("end the codes for the first account: %w", err)
		}
		return u.add(tx)
	})
	return u, err
}
