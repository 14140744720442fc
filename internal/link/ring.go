// Package link makes the secrets that leave the house: signed public addresses
// and sealed values, both from one ring of keys.
//
// A token is its payload followed by a MAC over kind and payload, so a forged
// or damaged one is refused without a query. Tokens carry no expiry; what they
// name decides whether it is still open. The newest key of the ring signs and
// seals; every key of the ring still verifies and opens, so a key is changed by
// putting a new one in front and taken away when nothing under it matters.
//
// Keys come from each secret by HKDF-SHA256 (RFC 5869) with an info string per
// use, so what is made for one use means nothing to another.
package link

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"
)

const (
	secretMin = 32 // bytes of a secret, at least
	keyIDSize = 4
	keySize   = 32
)

// ErrSealed says that a sealed value cannot be opened: no key of the ring made
// it, it was made under another label or for other associated data, or it was
// changed.
var ErrSealed = errors.New("sealed value does not open")

// Ring is the installation's keys, newest first. It is safe for concurrent use
// and prints as its fingerprint.
type Ring struct{ keys []*key }

// key is one secret of the ring, reduced to what HKDF needs.
type key struct {
	prk []byte
	id  [keyIDSize]byte
	mac sync.Pool // keyed HMAC-SHA256 states for links
}

// NewRing makes a ring from secrets, newest first; each has at least 32 bytes
// and none appears twice. The secrets are not kept.
func NewRing(secrets ...[]byte) (*Ring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("ring of keys is empty")
	}
	r := &Ring{}
	seen := map[string]bool{}
	for i, s := range secrets {
		if len(s) < secretMin {
			return nil, fmt.Errorf("key %d of the ring has %d bytes, fewer than %d", i+1, len(s), secretMin)
		}
		if seen[string(s)] {
			return nil, fmt.Errorf("key %d of the ring is there twice", i+1)
		}
		seen[string(s)] = true
		k, err := newKey(s)
		if err != nil {
			return nil, fmt.Errorf("key %d of the ring: %w", i+1, err)
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func newKey(secret []byte) (*key, error) {
	prk, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return nil, err
	}
	k := &key{prk: prk}
	copy(k.id[:], k.expand("id", ""))
	links := k.expand("link", "")
	k.mac.New = func() any { return hmac.New(sha256.New, links) }
	return k, nil
}

// expand derives the key of one use; use and label are told apart by a byte
// that no use contains.
func (k *key) expand(use, label string) []byte {
	out, err := hkdf.Expand(sha256.New, k.prk, "assent "+use+"\x00"+label, keySize)
	if err != nil { // only a length over 255 hashes fails, and ours is one hash
		panic(err)
	}
	return out
}

// Derive gives 32 bytes that depend on the newest key and the label only; they
// change when the newest key does.
func (r *Ring) Derive(label string) []byte { return r.keys[0].expand("derive", label) }

// Fingerprint names the newest key without giving it away: 16 hex digits.
func (r *Ring) Fingerprint() string { return r.keys[0].fingerprint() }

// Knows reports whether any key of the ring has the fingerprint, so that an
// installation whose key was changed by the book is told apart from a node
// that holds another installation's keys.
func (r *Ring) Knows(fingerprint string) bool {
	for _, k := range r.keys {
		if k.fingerprint() == fingerprint {
			return true
		}
	}
	return false
}

func (k *key) fingerprint() string { return hex.EncodeToString(k.expand("fingerprint", "")[:8]) }

// String keeps the keys out of logs.
func (r *Ring) String() string { return "ring " + r.Fingerprint() }

// GoString keeps the keys out of %#v.
func (r *Ring) GoString() string { return r.String() }

// Seal encrypts plain with AES-256-GCM under the newest key and the label; aad
// is bound to the result but not in it. The result is key id (4 bytes), random
// nonce (12), ciphertext and tag (16). Random nonces allow 2³² values a label
// and key (NIST SP 800-38D §8.3).
func (r *Ring) Seal(label string, plain, aad []byte) ([]byte, error) {
	k := r.keys[0]
	gcm, err := k.gcm(label)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", label, err)
	}
	out := make([]byte, keyIDSize, keyIDSize+gcm.Overhead()+len(plain))
	copy(out, k.id[:])
	return gcm.Seal(out, nil, plain, aad), nil
}

// Open gives back what Seal got, or ErrSealed.
func (r *Ring) Open(label string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < keyIDSize {
		return nil, fmt.Errorf("open %s: %w", label, ErrSealed)
	}
	for _, k := range r.keys {
		if string(sealed[:keyIDSize]) != string(k.id[:]) {
			continue
		}
		gcm, err := k.gcm(label)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", label, err)
		}
		if plain, err := gcm.Open(nil, nil, sealed[keyIDSize:], aad); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("open %s: %w", label, ErrSealed)
}

// Newest are the bytes that all begin with which the newest key has sealed.
func (r *Ring) Newest() []byte { return append([]byte{}, r.keys[0].id[:]...) }

// Reseal brings what an older key of the ring has sealed under the newest. What
// is under it already comes back as it is; what no key opens is ErrSealed.
func (r *Ring) Reseal(label string, sealed, aad []byte) ([]byte, error) {
	plain, err := r.Open(label, sealed, aad)
	if err != nil || string(sealed[:keyIDSize]) == string(r.keys[0].id[:]) {
		return sealed, err
	}
	return r.Seal(label, plain, aad)
}

func (k *key) gcm(label string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.expand("seal", label))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sum appends the first macSize bytes of the MAC over kind and payload to out.
func (k *key) sum(out []byte, kind Kind, payload []byte) []byte {
	h := k.mac.Get().(hash.Hash)
	defer k.mac.Put(h)
	h.Reset()
	h.Write([]byte{byte(kind)})
	h.Write(payload)
	var full [sha256.Size]byte
	return append(out, h.Sum(full[:0])[:macSize]...)
}
