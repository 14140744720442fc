package subscriber

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

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
	sealed, err := SealAll(tx, []uuid.UUID{id}, [][]byte{plain})
	if err != nil {
		return nil, err
	}
	return sealed[0], nil
}

// SealAll is Seal for many: plain[i] under the key of ids[i]. A person may be
// there several times.
func SealAll(tx *store.Tx, ids []uuid.UUID, plain [][]byte) ([][]byte, error) {
	keys, err := keysOf(tx, ids)
	if err != nil {
		return nil, err
	}
	sealers := make(map[uuid.UUID]cipher.AEAD, len(keys))
	sealed := make([][]byte, len(ids))
	for i, id := range ids {
		gcm, ok := sealers[id]
		if !ok {
			if gcm, err = sealer(keys[id]); err != nil {
				return nil, err
			}
			sealers[id] = gcm
		}
		sealed[i] = gcm.Seal(nil, nil, plain[i], id[:])
	}
	return sealed, nil
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

// OpenAll is Open for many: sealed[i] under the key of ids[i]. What cannot be
// opened, for its key is destroyed or it was changed, is nil.
func OpenAll(tx *store.Tx, ids []uuid.UUID, sealed [][]byte) ([][]byte, error) {
	keys, err := subjectKeys(tx, ids)
	if err != nil {
		return nil, err
	}
	plain := make([][]byte, len(ids))
	for i, id := range ids {
		if keys[id] == nil {
			continue
		}
		gcm, err := sealer(keys[id])
		if err != nil {
			return nil, err
		}
		plain[i], _ = gcm.Open(nil, nil, sealed[i], id[:]) // nil where it does not open
	}
	return plain, nil
}

func subjectKey(tx *store.Tx, id uuid.UUID) (key []byte, ok bool, err error) {
	found, err := subjectKeys(tx, []uuid.UUID{id})
	key, ok = found[id]
	return key, ok, err
}

// subjectKeys gives the keys there are. It reads the primary key of
// subject_keys, once a person.
func subjectKeys(tx *store.Tx, ids []uuid.UUID) (map[uuid.UUID][]byte, error) {
	var rows []struct {
		SubscriberID uuid.UUID
		SealedKey    []byte
	}
	if err := tx.Raw("SELECT subscriber_id, sealed_key FROM subject_keys WHERE subscriber_id IN (?)", ids).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read subject keys: %w", err)
	}
	keys := make(map[uuid.UUID][]byte, len(ids))
	for _, r := range rows {
		if tx.Ring() == nil {
			return nil, fmt.Errorf("open subject key: %w", errNoRing)
		}
		key, err := tx.Ring().Open(keyLabel, r.SealedKey, r.SubscriberID[:])
		if err != nil {
			return nil, fmt.Errorf("open subject key of %s: %w", r.SubscriberID, err)
		}
		keys[r.SubscriberID] = key
	}
	return keys, nil
}

// keysOf gives everybody a key, or gives the one that another transaction made
// first. The shared lock waits for an erasure under way; after it there is no
// key to be had.
func keysOf(tx *store.Tx, ids []uuid.UUID) (map[uuid.UUID][]byte, error) {
	keys, err := subjectKeys(tx, ids)
	if err != nil {
		return nil, err
	}
	var lacking []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, id := range ids {
		if keys[id] == nil && !seen[id] {
			seen[id] = true
			lacking = append(lacking, id)
		}
	}
	if len(lacking) == 0 {
		return keys, nil
	}
	slices.SortFunc(lacking, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	made, all, err := makeKeys(tx, lacking)
	if err != nil {
		return nil, err
	}
	if !all {
		if made, err = subjectKeys(tx, lacking); err != nil {
			return nil, err
		}
	}
	for _, id := range lacking {
		if made[id] == nil {
			return nil, gone()
		}
		keys[id] = made[id]
	}
	return keys, nil
}

// makeKeys tells whether all keys it made are the ones that are stored now.
func makeKeys(tx *store.Tx, ids []uuid.UUID) (keys map[uuid.UUID][]byte, all bool, err error) {
	if tx.Ring() == nil {
		return nil, false, fmt.Errorf("make subject key: %w", errNoRing)
	}
	keys = make(map[uuid.UUID][]byte, len(ids))
	rows := make([][]any, len(ids))
	for i, id := range ids {
		key := make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand, Go 1.24)
		sealed, err := tx.Ring().Seal(keyLabel, key, id[:])
		if err != nil {
			return nil, false, fmt.Errorf("make subject key: %w", err)
		}
		keys[id], rows[i] = key, []any{id, sealed}
	}
	from, args := tx.Rows("v", "id uuid, sealed bytea", rows)
	n, err := tx.Run(`INSERT INTO subject_keys (subscriber_id, sealed_key)
		SELECT s.id, v.sealed FROM `+from+` JOIN subscribers s ON s.id = v.id WHERE s.erased_at IS NULL`+tx.Pick(" FOR SHARE OF s", "")+`
		ON CONFLICT (subscriber_id) DO NOTHING`, args...)
	if err != nil {
		return nil, false, fmt.Errorf("make subject key: %w", err)
	}
	return keys, int(n) == len(ids), nil
}

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use subject key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
