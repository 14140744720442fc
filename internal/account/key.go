package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Scopes of an API key: what is done to which kind of thing, or everything.
// brands:write and the nodes scopes are for keys of the whole installation.
var Scopes = []string{
	"*",
	"brands:read", "brands:write",
	"topics:read", "topics:write",
	"forms:read", "forms:write",
	"subscribers:read", "subscribers:write", "subscribers:export",
	"consents:read", "consents:write",
	"sequences:read", "sequences:write",
	"offers:read", "offers:write",
	"orders:read", "orders:write",
	"campaigns:read", "campaigns:write",
	"messages:read",
	"events:read",
	"suppressions:read", "suppressions:write",
	"keys:read", "keys:write",
	"nodes:read", "nodes:write",
}

// Key is what a program signs in with. Its secret is shown once, when it is made.
type Key struct {
	ID         uuid.UUID
	BrandID    *uuid.UUID // nil: of the installation
	Name       string
	Hash       []byte   // SHA-256 of the secret
	Scopes     []string `gorm:"serializer:json"`
	CreatedAt  time.Time
	LastUsedAt *time.Time // to the minute
	RevokedAt  *time.Time
}

// TableName keeps the table's name apart from the type's.
func (Key) TableName() string { return "api_keys" }

// May reports whether the key has the scope, by name or through "*".
func (k Key) May(scope string) bool {
	return slices.Contains(k.Scopes, "*") || slices.Contains(k.Scopes, scope)
}

const (
	keyPrefix = "ak_"
	keySize   = 32 // random bytes
	usedEvery = time.Minute
	keyLength = len(keyPrefix) + 43
)

// NewKey is what it takes to make a key.
type NewKey struct {
	BrandID *uuid.UUID // nil: of the installation
	Name    string
	Scopes  []string
}

// MakeKey makes a key and gives its secret, which is stored nowhere.
func MakeKey(tx *store.Tx, n NewKey) (Key, string, error) {
	name, err := checkName("name", n.Name)
	if err != nil {
		return Key{}, "", err
	}
	if len(n.Scopes) == 0 {
		return Key{}, "", problem.InvalidField("scopes", "problem.field.required")
	}
	for i, scope := range n.Scopes {
		if !slices.Contains(Scopes, scope) {
			return Key{}, "", problem.InvalidField(fmt.Sprintf("scopes/%d", i), "account.field.scope")
		}
	}
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails (crypto/rand, Go 1.24)
	secret := keyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	k := Key{ID: tx.NewID(), BrandID: n.BrandID, Name: name, Hash: keyHash(secret), Scopes: n.Scopes, CreatedAt: tx.Now()}
	err = tx.Create(&k).Error
	if store.BrokenReference(err) {
		return Key{}, "", problem.New(problem.NotFound, "account.membership-unknown").Because(err)
	}
	if err != nil {
		return Key{}, "", fmt.Errorf("make a key: %w", err)
	}
	return k, secret, nil
}

func keyHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// KeyOf gives the key of a secret. An unknown, misspelt or revoked one is
// problem.Unauthorized "account.key-unknown"; what has not the shape of a key
// costs no query. The look-up is by hash, so its time tells nothing of a secret.
func KeyOf(tx *store.Tx, secret string) (Key, error) {
	unknown := problem.New(problem.Unauthorized, "account.key-unknown")
	if len(secret) != keyLength || !strings.HasPrefix(secret, keyPrefix) {
		return Key{}, unknown
	}
	hash := keyHash(secret)
	var k Key
	err := tx.Where("hash = ?", hash).Take(&k).Error
	if store.Missing(err) {
		return Key{}, unknown
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up a key: %w", err)
	}
	if k.RevokedAt != nil || subtle.ConstantTimeCompare(k.Hash, hash) != 1 {
		return Key{}, unknown
	}
	return k, nil
}

// Stale reports that the key's last use is not noted yet for the minute of now.
func (k Key) Stale(now time.Time) bool {
	return k.LastUsedAt == nil || now.Sub(*k.LastUsedAt) >= usedEvery
}

// Used notes that the key was used, at most once a minute.
func Used(tx *store.Tx, id uuid.UUID) error {
	_, err := tx.Run("UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
		tx.Now(), id, tx.Now().Add(-usedEvery))
	if err != nil {
		return fmt.Errorf("note the use of a key: %w", err)
	}
	return nil
}

// Keys lists the keys of a brand, or with nil those of the installation, oldest
// first, the revoked among them. A revoked key stays: the history names it.
func Keys(tx *store.Tx, brandID *uuid.UUID) ([]Key, error) {
	q := tx.Order("id").Where("brand_id IS NULL")
	if brandID != nil {
		q = tx.Order("id").Where("brand_id = ?", *brandID)
	}
	var all []Key
	if err := q.Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}

// Revoke ends a key of a brand, or with nil of the installation; repeatable.
// Another brand's key is problem.NotFound.
func Revoke(tx *store.Tx, brandID *uuid.UUID, id uuid.UUID) (Key, error) {
	q := tx.Where("id = ? AND brand_id IS NULL", id)
	if brandID != nil {
		q = tx.Where("id = ? AND brand_id = ?", id, *brandID)
	}
	var k Key
	if err := q.Take(&k).Error; err != nil {
		return Key{}, store.Found(err, "account.key-not-found")
	}
	if k.RevokedAt != nil {
		return k, nil
	}
	now := tx.Now()
	k.RevokedAt = &now
	if _, err := tx.Run("UPDATE api_keys SET revoked_at = ? WHERE id = ?", now, id); err != nil {
		return Key{}, fmt.Errorf("revoke a key: %w", err)
	}
	return k, nil
}
