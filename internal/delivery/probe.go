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
	said := agreed(c)
	if s.User != "" {
		said = append(said, "signed in as "+s.User)
	}
	return strings.Join(said, ", "), c.Noop()
}

// Probe does the same at the best of a domain's own mail hosts that can be
// reached, as mails to it would be sent; a *route.Failure is the domain's fault.
func (d *Direct) Probe(ctx context.Context, domain string) (string, error) {
	r, err := d.Finder.Find(ctx, domain)
	if err != nil {
		return "", err
	}
	c, err := (&pool{direct: d}).reach(ctx, r)
	if err != nil {
		return "", err
	}
	defer c.quit()
	return strings.Join(agreed(c.smtp), ", "), c.smtp.Noop()
}

// agreed is how a connection is secured, and what the server can do.
func agreed(c *smtp.Client) []string {
	said := []string{secured(c)}
	for _, name := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE"} {
		if ok, value := c.Extension(name); ok {
			said = append(said, strings.TrimSpace(name+" "+value))
		}
	}
	return said
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
