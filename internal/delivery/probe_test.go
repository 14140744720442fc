package delivery

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// certificate is trusted by this test process, for 127.0.0.1 and localhost.
var certificate tls.Certificate

// TestMain makes the certificate before anything reads the machine's own list.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "assent-delivery-")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := trust(filepath.Join(dir, "root.pem")); err != nil {
			log.Fatal(err)
		}
		return m.Run()
	}())
}

func trust(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail server of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return errors.Join(os.Setenv("SSL_CERT_FILE", path), os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// probed is a mail server that lets one user in and counts who begins a mail.
type probed struct {
	mechanisms []string
	mails      atomic.Int64
}

func (p *probed) AuthMechanisms() []string { return p.mechanisms }

func (p *probed) Auth(mechanism string) (sasl.Server, error) {
	judge := func(user, password string) error {
		if user != "assent" || password != "right" {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	if mechanism == sasl.Login {
		return &login{judge: judge}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return judge(user, password) }), nil
}

// login is the server's side of AUTH LOGIN, which go-sasl leaves out.
type login struct {
	judge func(user, password string) error
	user  *string
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.judge(*l.user, string(response))
}

func (p *probed) Mail(string, *smtp.MailOptions) error { p.mails.Add(1); return nil }
func (p *probed) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (p *probed) Data(io.Reader) error                 { return nil }
func (p *probed) Reset()                               {}
func (p *probed) Logout() error                        { return nil }

// serve starts the server; with implicit, TLS from the first byte.
func (p *probed) serve(t *testing.T, withTLS, implicit bool) Server {
	t.Helper()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return p, nil }))
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "mx.test", true, log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if withTLS {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if implicit {
		ln = tls.NewListener(ln, s.TLSConfig)
	}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	return Server{Host: "127.0.0.1", Port: port, TLS: TLSNone, Connections: 1, Hello: "assent.test"}
}

func TestProbeTellsWhatTheServerAgreedTo(t *testing.T) {
	for name, c := range map[string]struct {
		tls        TLSMode
		serves     bool // TLS
		mechanisms []string
		user, pass string
		says       string // "" is a failure
		fails      string
	}{
		"in clear":                     {TLSNone, false, nil, "", "", "in clear", ""},
		"opportunistic without TLS":    {TLSOpportunistic, false, nil, "", "", "in clear", ""},
		"opportunistic with TLS":       {TLSOpportunistic, true, nil, "", "", "TLS 1.3", ""},
		"required":                     {TLSRequired, true, nil, "", "", "TLS 1.3", ""},
		"required, not offered":        {TLSRequired, false, nil, "", "", "", "STARTTLS"},
		"implicit":                     {TLSImplicit, true, nil, "", "", "TLS 1.3", ""},
		"signed in after STARTTLS":     {TLSRequired, true, []string{sasl.Plain}, "assent", "right", "signed in as assent", ""},
		"signed in by LOGIN":           {TLSRequired, true, []string{sasl.Login}, "assent", "right", "signed in as assent", ""},
		"signed in under implicit TLS": {TLSImplicit, true, []string{sasl.Plain}, "assent", "right", "signed in as assent", ""},
		"LOGIN under implicit TLS":     {TLSImplicit, true, []string{sasl.Login}, "assent", "right", "signed in as assent", ""},
		"wrong password":               {TLSRequired, true, []string{sasl.Plain}, "assent", "wrong", "", "535"},
		"a password in clear":          {TLSNone, false, []string{sasl.Plain}, "assent", "right", "", "authentication mechanism"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &probed{mechanisms: c.mechanisms}
			s := p.serve(t, c.serves, c.tls == TLSImplicit)
			s.TLS, s.User, s.Password = c.tls, c.user, c.pass
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			said, err := Probe(ctx, s)
			if (err == nil) != (c.says != "") || !strings.Contains(said, c.says) || err != nil && !strings.Contains(fmt.Sprint(err), c.fails) {
				t.Errorf("said %q, %v", said, err)
			}
			if n := p.mails.Load(); n != 0 {
				t.Errorf("%d mails were begun", n)
			}
		})
	}
}

func TestProbeRefusesAForeignCertificate(t *testing.T) {
	s := (&probed{}).serve(t, true, false)
	s.at = netip.AddrPortFrom(netip.MustParseAddr(s.Host), uint16(s.Port))
	s.Host, s.TLS = "foreign.example", TLSRequired // not among the certificate's names
	if said, err := Probe(t.Context(), s); err == nil || strings.Contains(said, "TLS") {
		t.Errorf("said %q, %v", said, err)
	}
}

func TestProbeTellsOfAServerThatIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	if said, err := Probe(t.Context(), Server{Host: "127.0.0.1", Port: port, TLS: TLSNone}); err == nil {
		t.Errorf("said %q", said)
	}
}
