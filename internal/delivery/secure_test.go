package delivery

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

func TestSecuredLooksAtAnyCertificate(t *testing.T) {
	for name, x := range map[string]struct {
		mode   TLSMode
		serves bool
		offers bool
	}{
		"STARTTLS":                     {TLSRequired, true, true},
		"though none is wanted":        {TLSNone, true, true},
		"from the first byte":          {TLSImplicit, true, true},
		"none offered":                 {TLSRequired, false, false},
		"none offered, and none asked": {TLSOpportunistic, false, false},
	} {
		p := &probed{}
		s := p.serve(t, x.serves, x.mode == TLSImplicit)
		s.TLS, s.User, s.Password = x.mode, "assent", "right"
		state, err := Secured(t.Context(), s)
		if err != nil || (state != nil) != x.offers {
			t.Errorf("%s: %v, %v", name, state, err)
			continue
		}
		if state != nil && (state.Version != tls.VersionTLS13 || len(state.PeerCertificates) != 1 || state.PeerCertificates[0].Subject.CommonName != "mail server of a test") {
			t.Errorf("%s: %+v", name, state)
		}
		if p.mails.Load() != 0 {
			t.Errorf("%s: a mail was begun", name)
		}
	}
}

// A certificate that nobody would trust is shown all the same.
func TestSecuredShowsAForeignCertificate(t *testing.T) {
	trusted := certificate
	defer func() { certificate = trusted }()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"other.example"}, NotAfter: time.Now().Add(-time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, mode := range []TLSMode{TLSRequired, TLSOpportunistic, TLSImplicit} {
		s := (&probed{}).serve(t, true, mode == TLSImplicit)
		s.TLS = mode
		if state, err := Secured(t.Context(), s); err != nil || state == nil || state.PeerCertificates[0].DNSNames[0] != "other.example" {
			t.Errorf("%s: %v, %v", mode, state, err)
		}
		if said, err := Probe(t.Context(), s); err == nil && mode != TLSOpportunistic {
			t.Errorf("%s: mail would go there: %s", mode, said)
		}
	}
}

// A server that says nothing, not even hello, holds nobody up.
func TestSecuredEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, mode := range []TLSMode{TLSRequired, TLSImplicit} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		state, err := Secured(ctx, Server{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: mode})
		if err == nil || state != nil || time.Since(start) > 5*time.Second {
			t.Errorf("%s: after %s: %v, %v", mode, time.Since(start), state, err)
		}
		cancel()
	}
}
