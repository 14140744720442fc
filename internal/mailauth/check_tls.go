package mailauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"time"
)

// expirySoon is when a certificate ought to have been renewed.
const expirySoon = 14 * 24 * time.Hour

// checkTLS looks how the connection to a relay is secured.
func (c *Checker) checkTLS(ctx context.Context, r Relay) Finding {
	f := Finding{Part: TLS, Args: []any{"Relay", r.Host}}
	state, err := r.TLS(ctx)
	if err != nil {
		f.Found = []string{strings.Join(strings.Fields(err.Error()), " ")}
		return f.as(Unknown, "mailauth.tls.unreachable")
	}
	ill := Warning
	if r.Must {
		ill = Wrong
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		if onThisMachine(r.Host) {
			return f.as(OK, "mailauth.tls.local")
		}
		return f.as(ill, "mailauth.tls.missing")
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(c.Clock())
	f.Args = append(f.Args, "Version", tls.VersionName(state.Version), "Days", int(left/(24*time.Hour)), "Until", leaf.NotAfter.UTC().Format(time.DateOnly))
	f.Found = leaf.DNSNames
	switch {
	case state.Version < tls.VersionTLS12: // RFC 8996
		return f.as(ill, "mailauth.tls.old")
	case left < 0:
		return f.as(ill, "mailauth.tls.expired")
	case leaf.VerifyHostname(r.Host) != nil:
		return f.as(ill, "mailauth.tls.name")
	case !c.trusted(state.PeerCertificates):
		return f.as(ill, "mailauth.tls.untrusted")
	case left < expirySoon:
		return f.as(Warning, "mailauth.tls.expiring")
	}
	return f.as(OK, "mailauth.tls.ok")
}

func (c *Checker) trusted(chain []*x509.Certificate) bool {
	between := x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: between, CurrentTime: c.Clock()})
	return err == nil
}

// onThisMachine is a host whose mail crosses no wire.
func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
