package store

import (
	"encoding/base64"
	"fmt"
	"sync"
)

// LastingLabel seals lasting keys; the name of each is bound to it.
const LastingLabel = "lasting key"

// LastingPrefix begins the names, in the table installation, of lasting keys.
const LastingPrefix = "lasting-key:"

type lasting struct {
	mu   sync.Mutex
	keys map[string][]byte
}

// LastingKey is a key of the installation for one use, which stays the same when
// ASSENT_SECRET changes: what was counted under it goes on being counted. It is
// made at the first use, from the newest key there is then, and kept sealed.
func (tx *Tx) LastingKey(label string) ([]byte, error) {
	tx.db.lasting.mu.Lock()
	key, ok := tx.db.lasting.keys[label]
	tx.db.lasting.mu.Unlock()
	if ok {
		return key, nil
	}
	name := LastingPrefix + label
	kept, err := tx.lastingKey(name)
	if err != nil {
		return nil, err
	}
	if kept == "" {
		sealed, err := tx.Ring().Seal(LastingLabel, tx.Ring().Derive(label), []byte(name))
		if err != nil {
			return nil, fmt.Errorf("make a lasting key: %w", err)
		}
		if _, err := tx.Run("INSERT INTO installation (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", name, base64.StdEncoding.EncodeToString(sealed)); err != nil {
			return nil, fmt.Errorf("make a lasting key: %w", err)
		}
		if kept, err = tx.lastingKey(name); err != nil {
			return nil, err
		}
	}
	sealed, err := base64.StdEncoding.DecodeString(kept)
	if err != nil {
		return nil, fmt.Errorf("read a lasting key: %w", err)
	}
	if key, err = tx.Ring().Open(LastingLabel, sealed, []byte(name)); err != nil {
		return nil, fmt.Errorf("open a lasting key: %w", err)
	}
	tx.AfterCommit(func() {
		tx.db.lasting.mu.Lock()
		defer tx.db.lasting.mu.Unlock()
		if tx.db.lasting.keys == nil {
			tx.db.lasting.keys = map[string][]byte{}
		}
		tx.db.lasting.keys[label] = key
	})
	return key, nil
}

func (tx *Tx) lastingKey(name string) (value string, err error) {
	if err := tx.Raw("SELECT coalesce(max(value), '') FROM installation WHERE key = ?", name).Scan(&value).Error; err != nil {
		return "", fmt.Errorf("read a lasting key: %w", err)
	}
	return value, nil
}
