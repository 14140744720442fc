package brand

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// DKIMKey signs a brand's mail (RFC 6376).
type DKIMKey struct {
	ID         uuid.UUID
	BrandID    uuid.UUID
	Domain     string
	Selector   string
	Algorithm  string // rsa, ed25519
	PrivateKey []byte // PEM of PKCS #8; sealed in the database, open as ActiveDKIM returns it
	PublicKey  string // the p= of the DNS record, base64
	Active     bool
	CreatedAt  time.Time
}

// TableName implements gorm's Tabler.
func (DKIMKey) TableName() string { return "dkim_keys" }

const dkimLabel = "dkim key"

var selectorForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// NewDKIMKey stores a private key (PEM of PKCS #8) for the domain of the
// brand's sender, and makes it the active one of its algorithm. The key is made
// by the caller, outside of the transaction: RSA takes its time. A selector
// that the domain has already is problem.Conflict.
func NewDKIMKey(tx *store.Tx, brandID uuid.UUID, selector string, private []byte, public string) (DKIMKey, error) {
	b, err := one(tx, tx.ForUpdate(), "id = ?", brandID)
	if err != nil {
		return DKIMKey{}, err
	}
	if !selectorForm.MatchString(selector) {
		return DKIMKey{}, problem.InvalidField("selector", "brand.selector")
	}
	algorithm, err := algorithmOf(private)
	if err != nil {
		return DKIMKey{}, err
	}
	if tx.Ring() == nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", errNoRing)
	}
	k := DKIMKey{ID: tx.NewID(), BrandID: brandID, Domain: b.SenderDomain(), Selector: selector,
		Algorithm: algorithm, PublicKey: public, Active: true, CreatedAt: tx.Now()}
	if k.PrivateKey, err = tx.Ring().Seal(dkimLabel, private, k.ID[:]); err != nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", err)
	}
	if _, err := tx.Run("UPDATE dkim_keys SET active = ? WHERE brand_id = ? AND domain = ? AND algorithm = ? AND active", false, brandID, k.Domain, algorithm); err != nil {
		return DKIMKey{}, fmt.Errorf("retire DKIM keys: %w", err)
	}
	if err := tx.Create(&k).Error; store.Duplicate(err) {
		return DKIMKey{}, problem.New(problem.Conflict, "brand.selector.taken", "Selector", selector, "Domain", k.Domain).Because(err)
	} else if err != nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", err)
	}
	k.PrivateKey = private
	return k, nil
}

func algorithmOf(private []byte) (string, error) {
	block, _ := pem.Decode(private)
	if block == nil {
		return "", problem.InvalidField("private_key", "brand.dkim.unreadable")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", problem.InvalidField("private_key", "brand.dkim.unreadable").Because(err)
	}
	switch key.(type) {
	case *rsa.PrivateKey:
		return "rsa", nil
	case ed25519.PrivateKey:
		return "ed25519", nil
	}
	return "", problem.InvalidField("private_key", "brand.dkim.unreadable")
}

// ActiveDKIM is the key that signs a brand's mail now: the active one for the
// domain the brand writes from, RSA before Ed25519, which fewer receivers know.
// ok is false where there is none; the mail then goes unsigned.
func ActiveDKIM(tx *store.Tx, brandID uuid.UUID) (k DKIMKey, ok bool, err error) {
	b, err := Find(tx, brandID)
	if err != nil {
		return DKIMKey{}, false, err
	}
	var keys []DKIMKey
	err = tx.Where("brand_id = ? AND domain = ? AND active", brandID, b.SenderDomain()).
		Order("algorithm DESC, created_at DESC").Limit(1).Find(&keys).Error
	if err != nil || len(keys) == 0 {
		return DKIMKey{}, false, wrap("read DKIM key", err)
	}
	if tx.Ring() == nil {
		return DKIMKey{}, false, fmt.Errorf("read DKIM key: %w", errNoRing)
	}
	k = keys[0]
	if k.PrivateKey, err = tx.Ring().Open(dkimLabel, k.PrivateKey, k.ID[:]); err != nil {
		return DKIMKey{}, false, fmt.Errorf("open DKIM key %s of %s: %w", k.Selector, k.Domain, err)
	}
	return k, true, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// SenderDomain is the domain the brand writes from, in lower-case A-labels.
func (b Brand) SenderDomain() string {
	return b.SenderEmail[strings.LastIndexByte(b.SenderEmail, '@')+1:]
}
