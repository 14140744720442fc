package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"assent/internal/brand"
	"assent/internal/config"
	"assent/internal/delivery"
	"assent/internal/dns"
	"assent/internal/i18n"
	"assent/internal/mailauth"
	"assent/internal/store"
)

// checker looks at senders' domains with the mail going out as it is set.
func checker(s config.Settings, clock func() time.Time) *mailauth.Checker {
	c := &mailauth.Checker{DNS: dns.New(s.DNS).Fresh(), Clock: clock}
	all := servers(s)
	for i, m := range s.SMTP {
		switch {
		case m.Catcher():
		case m.Direct() && m.Source.IsValid():
			c.Setup.Sources = append(c.Setup.Sources, m.Source)
			c.Setup.Hello = m.Hello
		case m.Direct():
			c.Setup.Unnamed = true
		default:
			c.Setup.Relays = append(c.Setup.Relays, mailauth.Relay{Host: m.Host, Must: all[i].TLS == delivery.TLSRequired || all[i].TLS == delivery.TLSImplicit,
				TLS: func(ctx context.Context) (*tls.ConnectionState, error) { return delivery.Secured(ctx, all[i]) }})
		}
	}
	if len(c.Setup.Sources) > 0 && c.Setup.Hello == "" {
		c.Setup.Hello = s.PublicURL.Hostname()
	}
	return c
}

// examineDomains looks at the domain of each brand's sender, one brand after
// the other. It says nothing where the database cannot be read, which is told
// elsewhere, and where mail never leaves.
func examineDomains(ctx context.Context, s config.Settings) []Finding {
	if !slices.ContainsFunc(s.SMTP, func(m config.SMTP) bool { return !m.Catcher() }) {
		return nil
	}
	senders, err := readSenders(ctx, s)
	if err != nil {
		return nil
	}
	c := checker(s, time.Now)
	var found []Finding
	for _, one := range senders {
		found = append(found, domainFindings(one.slug, c.Check(ctx, one.Sender))...)
	}
	return found
}

type brandSender struct {
	slug string
	mailauth.Sender
}

func readSenders(ctx context.Context, s config.Settings) (all []brandSender, err error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	db, _, err := OpenDB(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if _, ready := examineSchema(ctx, db); !ready {
		return nil, errors.New("no schema to read")
	}
	return all, db.Read(ctx, func(tx *store.Tx) error {
		brands, err := brand.List(tx)
		if err != nil {
			return err
		}
		for _, b := range brands {
			sender, err := brand.MailSender(tx, b)
			if err != nil {
				return err
			}
			all = append(all, brandSender{b.Slug, sender})
		}
		return nil
	})
}

// domainFindings puts what is not well on a line each, and what is on one.
func domainFindings(slug string, found []mailauth.Finding) []Finding {
	words := i18n.For("en")
	var well []string
	var all []Finding
	for _, f := range found {
		if f.State == mailauth.OK {
			if name := strings.ToUpper(string(f.Part)); !slices.Contains(well, name) {
				well = append(well, name)
			}
			continue
		}
		fix := words.T(f.Key+".fix", f.Args...)
		if f.Record != nil {
			fix += " Record: " + f.Record.Zone()
		}
		said := fmt.Sprintf("%s: %s: %s", slug, strings.ToUpper(string(f.Part)), words.T(f.Key, f.Args...))
		if f.State == mailauth.Missing || f.State == mailauth.Wrong {
			all = append(all, Finding{Part: "domain", Detail: fix, Err: errors.New(said)})
		} else {
			all = append(all, Finding{Part: "domain", Detail: said + " " + fix, Warning: true})
		}
	}
	if len(well) > 0 {
		all = append(all, Finding{Part: "domain", Detail: slug + ": well: " + strings.Join(well, ", ")})
	}
	return all
}
