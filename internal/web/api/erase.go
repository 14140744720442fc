package api

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// Erase empties the answers kept for who repeats a request, where they speak of
// a person. Their keys stay taken until they run out, for another request than
// this: repeated, it has no effect a second time, and answers that the key was
// used.
//
// The answers of a day are read; none is older.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	nobody := make([]byte, 32)
	rand.Read(nobody) // never fails (crypto/rand, Go 1.24)
	for _, word := range append([]string{f.ID.String(), f.Email}, f.Words...) {
		if word == "" {
			continue
		}
		_, err := tx.Run("UPDATE idempotency_keys SET body = ?, fingerprint = ? WHERE "+tx.Pick(
			"strpos(encode(body, 'hex'), ?) > 0", "instr(lower(hex(body)), ?) > 0"), []byte{}, nobody, hex.EncodeToString([]byte(word))) // as text: GORM spreads bytes that follow a parenthesis
		if err != nil {
			return fmt.Errorf("erase a person from kept answers: %w", err)
		}
	}
	return nil
}
