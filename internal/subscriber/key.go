package subscriber

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

const keyLabel = "subject key"

var errNoRing = errors.New("the database was opened without the ring that opens its secrets")

// Seal encrypts what is personal with AES-256-GCM under the person's own key,
// which is made when it is first needed. Destroying the row of subject_keys
// makes all of it unreadable at once (GDPR art. 17). For someone erased it
// fails with problem.Gone: no new key is made.
func Seal(tx *store.Tx, id uuid.UUID, plain []byte) ([]byte, error) {
	key, ok, err := subjectKey(tx, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		if key, err = makeKey(tx, id); err != nil {
			return nil, err
		}
	}
	gcm, err := sealer(key)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, plain, id[:]), nil
}

// Open gives back what Seal got. Once the key is destroyed it fails with
// problem.Gone; bytes that were sealed for someone else are an error.
func Open(tx *store.Tx, id uuid.UUID, sealed []byte) ([]byte, error) {
	key, ok, err := subjectKey(tx, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, gone()
	}
	gcm, err := sealer(key)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nil, sealed, id[:])
	if err != nil {
		return nil, fmt.Errorf("open what was sealed for subscriber %s: %w", id, err)
	}
	return plain, nil
}

func subjectKey(tx *store.Tx, id uuid.UUID) (key []byte, ok bool, err error) {
	var sealed [][]byte
	if err := tx.Raw("SELECT sealed_key FROM subject_keys WHERE subscriber_id = ?", id).Scan(&sealed).Error; err != nil {
		return nil, false, fmt.Errorf("read subject key: %w", err)
	}
	if len(sealed) == 0 {
		return nil, false, nil
	}
	if tx.Ring() == nil {
		return nil, false, fmt.Errorf("open subject key: %w", errNoRing)
	}
	key, err = tx.Ring().Open(keyLabel, sealed[0], id[:])
	if err != nil {
		return nil, false, fmt.Errorf("open subject key of %s: %w", id, err)
	}
	return key, true, nil
}

// makeKey gives the person a key, or gives the one that another transaction
// made first. The shared lock waits for an erasure under way; after it there
// is no key to be had.
func makeKey(tx *store.Tx, id uuid.UUID) ([]byte, error) {
	if tx.Ring() == nil {
		return nil, fmt.Errorf("make subject key: %w", errNoRing)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand, Go 1.24)
	sealed, err := tx.Ring().Seal(keyLabel, key, id[:])
	if err != nil {
		return nil, fmt.Errorf("make subject key: %w", err)
	}
	rows, err := tx.Run(`INSERT INTO subject_keys (subscriber_id, sealed_key)
		SELECT id, ? FROM subscribers WHERE id = ? AND erased_at IS NULL`+tx.Pick(" FOR SHARE", "")+`
		ON CONFLICT (subscriber_id) DO NOTHING`, sealed, id)
	if err != nil {
		return nil, fmt.Errorf("make subject key: %w", err)
	}
	if rows == 1 {
		return key, nil
	}
	key, ok, err := subjectKey(tx, id)
	if err == nil && !ok {
		return nil, gone()
	}
	return key, err
}

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use subject key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
