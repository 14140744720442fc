package mailauth

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"assent/internal/dns"
)

// Key is a DKIM key whose record ought to be published.
type Key struct {
	Domain, Selector string
	Algorithm        string // rsa, ed25519
	Public           string // the p= of its record, base64
	Active           bool   // signs mail already
}

// Record is what to publish for the key (RFC 6376 §3.6.1, RFC 8463 §4).
func (k Key) Record() Record {
	return Record{Name: k.Selector + "._domainkey." + k.Domain, Type: "TXT", Value: "v=DKIM1; k=" + k.Algorithm + "; p=" + k.Public}
}

// KeyRecord is a published DKIM key, read.
type KeyRecord struct {
	Algorithm string // rsa, ed25519, or what else k= says
	Public    []byte // empty: revoked
	Testing   bool   // t=y: receivers treat the mail as if unsigned
	Hashes    []string
	Services  []string
}

// ParseKeyRecord reads the TXT record of a DKIM key (RFC 6376 §3.6.1). It is
// an error where a receiver would not use the key; a revoked one is none.
func ParseKeyRecord(txt string) (KeyRecord, error) {
	tags, err := parseTags(txt)
	if err != nil {
		return KeyRecord{}, err
	}
	for i, t := range tags {
		if t.name == "v" && (i > 0 || t.value != "DKIM1") {
			return KeyRecord{}, errors.New("v= is not DKIM1, or not first")
		}
	}
	public, ok := tagged(tags, "p")
	if !ok {
		return KeyRecord{}, errors.New("no p=")
	}
	r := KeyRecord{Algorithm: "rsa"}
	if k, ok := tagged(tags, "k"); ok {
		r.Algorithm = k
	}
	public = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(public)
	if r.Public, err = base64.StdEncoding.DecodeString(public); err != nil {
		return KeyRecord{}, fmt.Errorf("p= is not base64: %w", err)
	}
	if t, ok := tagged(tags, "t"); ok {
		r.Testing = slices.Contains(words(t), "y")
	}
	if h, ok := tagged(tags, "h"); ok {
		r.Hashes = words(h)
	}
	if s, ok := tagged(tags, "s"); ok {
		r.Services = words(s)
	}
	return r, nil
}

// usable reports whether mail signed with SHA-256 may be verified with it.
func (r KeyRecord) usable() bool {
	hashes := len(r.Hashes) == 0 || slices.Contains(r.Hashes, "sha256")
	return hashes && (len(r.Services) == 0 || slices.Contains(r.Services, "*") || slices.Contains(r.Services, "email"))
}

// is reports whether it is the key k. An RSA key has two spellings (RFC 6376
// erratum 3017).
func (r KeyRecord) is(k Key) bool {
	want, err := base64.StdEncoding.DecodeString(k.Public)
	if err != nil || r.Algorithm != k.Algorithm {
		return false
	}
	if k.Algorithm == "ed25519" {
		return len(want) == ed25519.PublicKeySize && slices.Equal(want, r.Public)
	}
	a, b := rsaKey(want), rsaKey(r.Public)
	return a != nil && b != nil && a.Equal(b)
}

func rsaKey(der []byte) *rsa.PublicKey {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		public, _ := key.(*rsa.PublicKey)
		return public
	}
	public, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil
	}
	return public
}

// CheckKey looks whether a key's record is published, as receivers will.
func CheckKey(ctx context.Context, r dns.Resolver, k Key) Finding {
	record := k.Record()
	f := Finding{Part: DKIM, Args: []any{"Name", record.Name, "Selector", k.Selector}, Record: &record}
	found, err := r.LookupTXT(ctx, record.Name)
	f.Found = found
	switch {
	case dns.Missing(err) || err == nil && len(found) == 0:
		return f.as(Missing, "mailauth.dkim.missing")
	case err != nil:
		return f.as(Unknown, "mailauth.dns")
	case len(found) > 1: // RFC 6376 §3.6.2.2: the result is undefined
		return f.as(Wrong, "mailauth.dkim.several")
	}
	published, err := ParseKeyRecord(found[0])
	switch {
	case err != nil:
		return f.as(Wrong, "mailauth.dkim.unreadable")
	case len(published.Public) == 0:
		return f.as(Wrong, "mailauth.dkim.revoked")
	case !published.is(k):
		return f.as(Wrong, "mailauth.dkim.other-key")
	case !published.usable():
		return f.as(Wrong, "mailauth.dkim.not-for-mail")
	case published.Testing:
		return f.as(Warning, "mailauth.dkim.testing")
	case !k.Active:
		return f.as(OK, "mailauth.dkim.ready")
	}
	return f.as(OK, "mailauth.dkim.ok")
}
