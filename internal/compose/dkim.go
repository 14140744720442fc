package compose

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// Signer signs mail for one domain (RFC 6376). It is safe for concurrent use
// when its key is.
type Signer struct {
	Domain   string // d=, the domain of From or one above it, as an A-label
	Selector string // s=
	Key      crypto.Signer
}

// signedHeaders are covered whether they are there or not. Each that is listed
// once more than a mail has it is oversigned: a copy added on the way breaks
// the signature (RFC 6376 §8.15). Both headers of one-click must be covered
// (RFC 8058 §4).
var signedHeaders = []string{
	"From", "From", "To", "To", "Cc", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "Reply-To", "Reply-To", "Sender",
	"MIME-Version", "MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References",
	"List-Id", "List-Unsubscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe-Post", "List-Help",
	"Feedback-ID", "CFBL-Address", "CFBL-Feedback-ID", "Auto-Submitted",
}

// Sign gives the message with a DKIM-Signature before it: relaxed/relaxed,
// SHA-256, no l=. Nothing may be changed afterwards. The signature holds the
// time of signing (t=), the one clock in this package.
func (s *Signer) Sign(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(raw) + 1024)
	err := dkim.Sign(&out, bytes.NewReader(raw), &dkim.SignOptions{
		Domain: s.Domain, Selector: s.Selector, Signer: s.Key, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: signedHeaders,
	})
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", s.Domain, err)
	}
	return out.Bytes(), nil
}

// GenerateRSA makes a 2048-bit key (RFC 8301 §3.2) as PKCS #8 in PEM, about
// half a second of one core at worst.
func GenerateRSA() (pemPKCS8 []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a DKIM key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads what [GenerateRSA] wrote, or an Ed25519 key in the same form.
func ParseKey(pemPKCS8 []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(pemPKCS8)
	if block == nil {
		return nil, errors.New("read a DKIM key: not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read a DKIM key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read a DKIM key: a %T cannot sign", key)
	}
	return signer, nil
}

// DNSRecord is the TXT record to publish at selector._domainkey.domain (RFC
// 6376 §3.6.1, RFC 8463 §4); "" for a key that DKIM does not know. It is longer
// than 255 characters for RSA: name servers want it in several strings.
func DNSRecord(pub crypto.PublicKey) string {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return ""
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	}
	return ""
}
