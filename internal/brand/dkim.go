package brand

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/compose"
	"assent/internal/dns"
	"assent/internal/mailauth"
	"assent/internal/problem"
	"assent/internal/store"
)

// DKIMKey signs a brand's mail (RFC 6376, RFC 8463).
//
//	made ──ActivateDKIM──► active ──RetireDKIM, or another of its algorithm──► retired
//	  │                      ▲                                                    │  │
//	  └─RemoveDKIM           └──────────────────ActivateDKIM──────────────────────┘  └─RemoveDKIM, after KeepRecord
//
// Of each algorithm at most one key is active for a brand and a domain.
type DKIMKey struct {
	ID          uuid.UUID
	BrandID     uuid.UUID
	Domain      string
	Selector    string
	Algorithm   string // RSA or Ed25519
	PrivateKey  []byte // PEM of PKCS #8; sealed in the database, open as SigningKeys returns it, else empty
	PublicKey   string // the p= of the DNS record, base64
	Active      bool
	CreatedAt   time.Time
	ActivatedAt *time.Time // last
	RetiredAt   *time.Time
}

// The algorithms of a DKIMKey.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519"
)

// KeepRecord is how long the record of a retired key stays published: mail
// signed with it may still be under way, or wait to be read.
const KeepRecord = 7 * 24 * time.Hour

// Who signs a brand's mail.
const (
	SignedByUs    = "us"
	SignedByRelay = "relay" // the mail server that takes it from us
)

// TableName implements gorm's Tabler.
func (DKIMKey) TableName() string { return "dkim_keys" }

// State is "made", "active" or "retired".
func (k DKIMKey) State() string {
	switch {
	case k.Active:
		return "active"
	case k.RetiredAt != nil:
		return "retired"
	}
	return "made"
}

// KeepUntil is until when the record of a retired key must stay published.
func (k DKIMKey) KeepUntil() *time.Time {
	if k.RetiredAt == nil {
		return nil
	}
	until := k.RetiredAt.Add(KeepRecord)
	return &until
}

// Public is the key as the DNS has it.
func (k DKIMKey) Public() mailauth.Key {
	return mailauth.Key{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Public: k.PublicKey, Active: k.Active}
}

const dkimLabel = "dkim key"

var selectorForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// NewDKIMKey stores a private key (PEM of PKCS #8) for the domain of the
// brand's sender. It signs nothing yet. The key is made by the caller, outside
// of the transaction: RSA takes its time. An empty selector is made up; one
// that the domain has already is problem.Conflict.
func NewDKIMKey(tx *store.Tx, brandID uuid.UUID, selector string, private []byte) (DKIMKey, error) {
	b, err := one(tx, tx.ForUpdate(), "id = ?", brandID)
	if err != nil {
		return DKIMKey{}, err
	}
	k := DKIMKey{ID: tx.NewID(), BrandID: brandID, Domain: b.SenderDomain(), Selector: selector, CreatedAt: tx.Now()}
	if selector == "" {
		k.Selector = fmt.Sprintf("assent-%x", k.ID[12:])
	}
	if !selectorForm.MatchString(k.Selector) {
		return DKIMKey{}, problem.InvalidField("selector", "brand.selector")
	}
	if k.Algorithm, k.PublicKey, err = publicOf(private); err != nil {
		return DKIMKey{}, err
	}
	if tx.Ring() == nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", errNoRing)
	}
	if k.PrivateKey, err = tx.Ring().Seal(dkimLabel, private, k.ID[:]); err != nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", err)
	}
	if err := tx.Create(&k).Error; store.Duplicate(err) {
		return DKIMKey{}, problem.New(problem.Conflict, "brand.selector.taken", "Selector", k.Selector, "Domain", k.Domain).Because(err)
	} else if err != nil {
		return DKIMKey{}, fmt.Errorf("store DKIM key: %w", err)
	}
	k.PrivateKey = nil
	return k, nil
}

// FirstDKIMKey is NewDKIMKey for a brand that has no other key: it signs at
// once, whether or not its record is published yet, for unsigned mail would be
// no better.
func FirstDKIMKey(tx *store.Tx, brandID uuid.UUID, selector string, private []byte) (DKIMKey, error) {
	k, err := NewDKIMKey(tx, brandID, selector, private)
	if err != nil {
		return DKIMKey{}, err
	}
	return ActivateDKIM(tx, brandID, k.ID)
}

func publicOf(private []byte) (algorithm, public string, err error) {
	key, err := compose.ParseKey(private)
	if err != nil {
		return "", "", problem.InvalidField("private_key", "brand.dkim.unreadable").Because(err)
	}
	switch key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = RSA
	case ed25519.PublicKey:
		algorithm = Ed25519
	default:
		return "", "", problem.InvalidField("private_key", "brand.dkim.unreadable")
	}
	_, public, _ = strings.Cut(compose.DNSRecord(key.Public()), "p=")
	return algorithm, public, nil
}

// DKIMKeys lists a brand's keys without their private halves, newest first,
// those of domains among them that it wrote from before.
func DKIMKeys(tx *store.Tx, brandID uuid.UUID) ([]DKIMKey, error) {
	var all []DKIMKey
	err := tx.Omit("private_key").Where("brand_id = ?", brandID).Order("created_at DESC, id DESC").Find(&all).Error
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, wrap("list DKIM keys", err)
}

// FindDKIMKey gives a key without its private half; problem.NotFound when the
// brand has no such key.
func FindDKIMKey(tx *store.Tx, brandID, id uuid.UUID) (DKIMKey, error) {
	var k DKIMKey
	err := tx.Omit("private_key").Where("brand_id = ? AND id = ?", brandID, id).Take(&k).Error
	return k.utc(), wrap("read DKIM key", store.Found(err, "brand.dkim.unknown"))
}

func (k DKIMKey) utc() DKIMKey {
	k.CreatedAt = k.CreatedAt.UTC()
	for _, at := range []**time.Time{&k.ActivatedAt, &k.RetiredAt} {
		if *at != nil {
			u := (*at).UTC()
			*at = &u
		}
	}
	return k
}

// PublishedDKIM asks the DNS for the record of a key that is about to sign. Not
// found, or another: problem.Conflict; no answer: problem.Unavailable. A record
// that only marks a test is good enough.
func PublishedDKIM(ctx context.Context, r dns.Resolver, k DKIMKey) error {
	f := mailauth.CheckKey(ctx, r, k.Public())
	name := k.Public().Record().Name
	switch f.State {
	case mailauth.Missing:
		return problem.New(problem.Conflict, "brand.dkim.unpublished", "Name", name)
	case mailauth.Wrong:
		return problem.New(problem.Conflict, "brand.dkim.published-otherwise", "Name", name)
	case mailauth.Unknown:
		return problem.New(problem.Unavailable, "brand.dkim.unseen", "Name", name)
	}
	return nil
}

// ActivateDKIM has a key sign from now on, in place of the active one of its
// algorithm, which is retired. Who calls it has asked PublishedDKIM, or been
// told to go without. A key that is active already stays so.
func ActivateDKIM(tx *store.Tx, brandID, id uuid.UUID) (DKIMKey, error) {
	b, k, err := lockDKIM(tx, brandID, id)
	if err != nil || k.Active {
		return k, err
	}
	if k.Domain != b.SenderDomain() {
		return DKIMKey{}, problem.New(problem.Conflict, "brand.dkim.other-domain", "Domain", k.Domain, "Sender", b.SenderDomain())
	}
	_, err = tx.Run("UPDATE dkim_keys SET active = ?, retired_at = ? WHERE brand_id = ? AND domain = ? AND algorithm = ? AND active",
		false, tx.Now(), brandID, k.Domain, k.Algorithm)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("retire DKIM keys: %w", err)
	}
	if _, err := tx.Run("UPDATE dkim_keys SET active = ?, activated_at = ?, retired_at = NULL WHERE id = ?", true, tx.Now(), id); err != nil {
		return DKIMKey{}, fmt.Errorf("activate DKIM key: %w", err)
	}
	return FindDKIMKey(tx, brandID, id)
}

// RetireDKIM has a key sign no more. Where no RSA key would be left to sign the
// brand's mail, which many receivers then take for unsigned, it is
// problem.Conflict unless forced. A retired key stays as it is.
func RetireDKIM(tx *store.Tx, brandID, id uuid.UUID, force bool) (DKIMKey, error) {
	b, k, err := lockDKIM(tx, brandID, id)
	if err != nil || k.RetiredAt != nil {
		return k, err
	}
	if !k.Active {
		return DKIMKey{}, problem.New(problem.Conflict, "brand.dkim.never-signed")
	}
	if !force && b.SignedBy == SignedByUs && k.Domain == b.SenderDomain() {
		var left int64
		err := tx.Raw("SELECT count(*) FROM dkim_keys WHERE brand_id = ? AND domain = ? AND algorithm = ? AND active AND id <> ?", brandID, k.Domain, RSA, id).Scan(&left).Error
		if err != nil {
			return DKIMKey{}, fmt.Errorf("count DKIM keys: %w", err)
		}
		if left == 0 {
			return DKIMKey{}, problem.New(problem.Conflict, "brand.dkim.last", "Domain", k.Domain)
		}
	}
	if _, err := tx.Run("UPDATE dkim_keys SET active = ?, retired_at = ? WHERE id = ?", false, tx.Now(), id); err != nil {
		return DKIMKey{}, fmt.Errorf("retire DKIM key: %w", err)
	}
	return FindDKIMKey(tx, brandID, id)
}

// RemoveDKIM forgets a key that never signed, or one that is retired and whose
// record need not stay any longer; else it is problem.Conflict.
func RemoveDKIM(tx *store.Tx, brandID, id uuid.UUID) error {
	_, k, err := lockDKIM(tx, brandID, id)
	if err != nil {
		return err
	}
	if k.Active {
		return problem.New(problem.Conflict, "brand.dkim.in-use")
	}
	if until := k.KeepUntil(); until != nil && tx.Now().Before(*until) {
		return problem.New(problem.Conflict, "brand.dkim.keep", "Until", until.Format(time.DateOnly))
	}
	_, err = tx.Run("DELETE FROM dkim_keys WHERE id = ?", id)
	return wrap("remove DKIM key", err)
}

// lockDKIM reads a key after locking its brand, so that changes of the brand's
// keys follow one another.
func lockDKIM(tx *store.Tx, brandID, id uuid.UUID) (Brand, DKIMKey, error) {
	b, err := one(tx, tx.ForUpdate(), "id = ?", brandID)
	if err != nil {
		return b, DKIMKey{}, err
	}
	k, err := FindDKIMKey(tx, brandID, id)
	return b, k, err
}

// SigningKeys are the keys that sign a brand's mail now: the active ones for
// the domain it writes from, RSA before Ed25519, with their private halves.
// There are none where none was activated, or where the relay signs; the mail
// then goes unsigned from here.
func SigningKeys(tx *store.Tx, b Brand) ([]DKIMKey, error) {
	if b.SignedBy == SignedByRelay {
		return nil, nil
	}
	var keys []DKIMKey
	err := tx.Where("brand_id = ? AND domain = ? AND active", b.ID, b.SenderDomain()).Order("algorithm DESC").Find(&keys).Error
	if err != nil || len(keys) == 0 {
		return nil, wrap("read DKIM keys", err)
	}
	if tx.Ring() == nil {
		return nil, fmt.Errorf("read DKIM keys: %w", errNoRing)
	}
	for i := range keys {
		k := keys[i].utc()
		if k.PrivateKey, err = tx.Ring().Open(dkimLabel, k.PrivateKey, k.ID[:]); err != nil {
			return nil, fmt.Errorf("open DKIM key %s of %s: %w", k.Selector, k.Domain, err)
		}
		keys[i] = k
	}
	return keys, nil
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

// MailSender is the brand as a check of its domain knows it, with the keys that
// sign and those that are made.
func MailSender(tx *store.Tx, b Brand) (mailauth.Sender, error) {
	all, err := DKIMKeys(tx, b.ID)
	if err != nil {
		return mailauth.Sender{}, err
	}
	local, domain, _ := cutLast(b.SenderEmail)
	s := mailauth.Sender{Domain: domain, Local: local, RelaySigns: b.SignedBy == SignedByRelay}
	for _, k := range all {
		if k.Domain == domain && k.RetiredAt == nil {
			s.Keys = append(s.Keys, k.Public())
		}
	}
	return s, nil
}
