package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// Probe asks a mail server all that comes before a message: it dials, greets,
// secures the connection as set, signs in where there is a user, and says
// goodbye. Nothing is sent. It tells what the server agreed to; an error is
// that of the first step that failed, and dialing is bounded by ctx and by half
// a minute.
func Probe(ctx context.Context, s Server) (string, error) {
	client, err := newClient(s)
	if err != nil {
		return "", fmt.Errorf("set up mail server %s: %w", s.Host, err)
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return "", err
	}
	defer (&conn{smtp: c}).quit()
	said := []string{secured(c)}
	if s.User != "" {
		said = append(said, "signed in as "+s.User)
	}
	for _, name := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE"} {
		if ok, value := c.Extension(name); ok {
			said = append(said, strings.TrimSpace(name+" "+value))
		}
	}
	return strings.Join(said, ", "), c.Noop()
}

func secured(c *smtp.Client) string {
	state, err := c.GetTLSConnectionState()
	if errors.Is(err, smtp.ErrNonTLSConnection) {
		return "in clear"
	}
	if err != nil {
		return "TLS"
	}
	return tls.VersionName(state.Version)
}
