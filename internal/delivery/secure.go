package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Secured looks how a mail server secures a connection, for who wants to judge
// it: TLS is begun where it is offered, in any version and with any certificate.
// It is nil where none is offered. Nobody signs in, and nothing is sent. The
// whole is bounded by ctx and by half a minute.
func Secured(ctx context.Context, s Server) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	// Nothing is trusted to this connection: its certificate is what is looked at.
	lenient := &tls.Config{ServerName: s.Host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(dialTime), mail.WithoutNoop(), mail.WithTLSConfig(lenient),
		mail.WithTLSPolicy(mail.TLSOpportunistic), mail.WithDialContextFunc(lookAt(s, lenient))}
	if s.TLS == TLSImplicit {
		options = append(options, mail.WithSSL())
	}
	if s.Hello != "" {
		options = append(options, mail.WithHELO(s.Hello))
	}
	client, err := mail.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("set up mail server %s: %w", s.Host, err)
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, err
	}
	defer (&conn{smtp: c}).quit()
	state, err := c.GetTLSConnectionState()
	if errors.Is(err, smtp.ErrNonTLSConnection) {
		return nil, nil
	}
	return state, err
}

// lookAt dials, and cuts the connection when ctx ends, in whatever step it is.
func lookAt(s Server, config *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		if s.TLS != TLSImplicit {
			return c, nil
		}
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return secure, nil
	}
}
