package main

import (
	"context"
	"fmt"
	"time"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/dns"
	"assent/internal/i18n"
	"assent/internal/mailauth"
	"assent/internal/problem"
	"assent/internal/store"
)

type dkimCommand struct {
	Brand string `help:"Slug of the brand." required:"" placeholder:"SLUG"`

	List     dkimList     `cmd:"" help:"List the keys, and whether their records are published."`
	Add      dkimAdd      `cmd:"" help:"Make a key and print the record to publish. It signs nothing yet."`
	Activate dkimActivate `cmd:"" help:"Have a key sign, in place of the active one of its algorithm. Its record must be published."`
	Retire   dkimRetire   `cmd:"" help:"Have a key sign no more."`
	Remove   dkimRemove   `cmd:"" help:"Forget a key that never signed, or whose record need not be kept any more."`
}

// dnsTime bounds the question whether a record is published.
const dnsTime = 10 * time.Second

// workshop is what the commands about one brand's keys work with.
type workshop struct {
	db    *store.DB
	dns   dns.Resolver
	brand brand.Brand
}

// open opens the database and finds the brand.
func (d *dkimCommand) open(ctx context.Context, c *cli) (*workshop, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, s, true)
	if err != nil {
		return nil, err
	}
	w := &workshop{db: db, dns: dns.New(s.DNS).Fresh()}
	err = db.Read(ctx, func(tx *store.Tx) (err error) {
		w.brand, err = brand.BySlug(tx, d.Brand)
		return err
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return w, nil
}

// key finds a key by its selector; of two domains with the same, that of the
// sender's domain now.
func (w *workshop) key(tx *store.Tx, selector string) (brand.DKIMKey, error) {
	all, err := brand.DKIMKeys(tx, w.brand.ID)
	if err != nil {
		return brand.DKIMKey{}, err
	}
	var found *brand.DKIMKey
	for i, k := range all {
		if k.Selector == selector && (found == nil || k.Domain == w.brand.SenderDomain()) {
			found = &all[i]
		}
	}
	if found == nil {
		return brand.DKIMKey{}, problem.New(problem.NotFound, "brand.dkim.unknown")
	}
	return *found, nil
}

type dkimList struct{}

// Run lists the keys, each with what the DNS shows of it.
func (*dkimList) Run(ctx context.Context, c *cli) error {
	w, err := c.DKIM.open(ctx, c)
	if err != nil {
		return err
	}
	defer w.db.Close()
	var all []brand.DKIMKey
	err = w.db.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = brand.DKIMKeys(tx, w.brand.ID)
		return err
	})
	if err != nil {
		return err
	}
	if w.brand.SignedBy == brand.SignedByRelay {
		fmt.Println("The relay signs this brand’s mail; no key here does.")
	}
	if len(all) == 0 {
		fmt.Printf("No keys yet. Make one: assent dkim add --brand %s\n", w.brand.Slug)
	}
	for _, k := range all {
		bounded, cancel := context.WithTimeout(ctx, dnsTime)
		w.show(bounded, k)
		cancel()
	}
	return nil
}

// show prints a key in a line, what the DNS shows of it, and what to publish.
func (w *workshop) show(ctx context.Context, k brand.DKIMKey) {
	name := k.Domain + "  " + k.Selector + "  " + k.Algorithm
	until := k.KeepUntil()
	switch {
	case until == nil:
		fmt.Printf("%s  %s\n", name, k.State())
	case w.db.Now().Before(*until):
		fmt.Printf("%s  retired; keep its record until %s\n", name, until.Format(time.DateOnly))
	default:
		fmt.Printf("%s  retired; its record may go, and then the key: assent dkim remove %s --brand %s\n", name, k.Selector, w.brand.Slug)
		return
	}
	f := mailauth.CheckKey(ctx, w.dns, k.Public())
	fmt.Printf("    %s\n", i18n.For("en").T(f.Key, f.Args...))
	if f.Record != nil {
		fmt.Printf("    publish: %s\n", f.Record.Zone())
	}
}

type dkimAdd struct {
	Algorithm string `help:"rsa, which everybody understands, or ed25519, to sign beside it." default:"rsa" enum:"rsa,ed25519"`
	Selector  string `help:"Names the key in the DNS; made up when empty." placeholder:"NAME"`
}

// Run makes a key.
func (a *dkimAdd) Run(ctx context.Context, c *cli) error {
	w, err := c.DKIM.open(ctx, c)
	if err != nil {
		return err
	}
	defer w.db.Close()
	private, err := compose.GenerateKey(a.Algorithm)
	if err != nil {
		return err
	}
	var k brand.DKIMKey
	err = w.db.Write(ctx, func(tx *store.Tx) (err error) {
		k, err = brand.NewDKIMKey(tx, w.brand.ID, a.Selector, private)
		return err
	})
	if err != nil {
		return err
	}
	r := k.Public().Record()
	fmt.Printf("Publish this record:\n  name   %s\n  type   %s\n  value  %s\nThe same as a line of a zone file:\n  %s\nThen have it sign:\n  assent dkim activate %s --brand %s\n",
		r.Name, r.Type, r.Value, r.Zone(), k.Selector, w.brand.Slug)
	return nil
}

type dkimActivate struct {
	Selector string `arg:"" help:"Selector of the key."`
	Force    bool   `help:"Do it though the DNS does not show the record."`
}

// Run activates a key.
func (a *dkimActivate) Run(ctx context.Context, c *cli) error {
	w, err := c.DKIM.open(ctx, c)
	if err != nil {
		return err
	}
	defer w.db.Close()
	var k brand.DKIMKey
	if err := w.db.Read(ctx, func(tx *store.Tx) (err error) { k, err = w.key(tx, a.Selector); return err }); err != nil {
		return err
	}
	if !a.Force && !k.Active {
		bounded, cancel := context.WithTimeout(ctx, dnsTime)
		defer cancel()
		if err := brand.PublishedDKIM(bounded, w.dns, k); err != nil {
			return err
		}
	}
	err = w.db.Write(ctx, func(tx *store.Tx) (err error) {
		k, err = brand.ActivateDKIM(tx, w.brand.ID, k.ID)
		return err
	})
	if err == nil {
		fmt.Printf("%s signs the mail of %s from now on.\n", k.Selector, k.Domain)
	}
	return err
}

type dkimRetire struct {
	Selector string `arg:"" help:"Selector of the key."`
	Force    bool   `help:"Do it though no RSA key is left to sign."`
}

// Run retires a key.
func (r *dkimRetire) Run(ctx context.Context, c *cli) error {
	w, err := c.DKIM.open(ctx, c)
	if err != nil {
		return err
	}
	defer w.db.Close()
	var k brand.DKIMKey
	err = w.db.Write(ctx, func(tx *store.Tx) (err error) {
		if k, err = w.key(tx, r.Selector); err != nil {
			return err
		}
		k, err = brand.RetireDKIM(tx, w.brand.ID, k.ID, r.Force)
		return err
	})
	if err == nil {
		fmt.Printf("%s signs no more. Keep its record until %s, for mail that is under way; then take it away and run: assent dkim remove %s --brand %s\n",
			k.Selector, k.KeepUntil().Format(time.DateOnly), k.Selector, w.brand.Slug)
	}
	return err
}

type dkimRemove struct {
	Selector string `arg:"" help:"Selector of the key."`
}

// Run removes a key.
func (r *dkimRemove) Run(ctx context.Context, c *cli) error {
	w, err := c.DKIM.open(ctx, c)
	if err != nil {
		return err
	}
	defer w.db.Close()
	err = w.db.Write(ctx, func(tx *store.Tx) error {
		k, err := w.key(tx, r.Selector)
		if err != nil {
			return err
		}
		return brand.RemoveDKIM(tx, w.brand.ID, k.ID)
	})
	if err == nil {
		fmt.Printf("%s is removed.\n", r.Selector)
	}
	return err
}
