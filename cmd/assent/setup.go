package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"assent/internal/account"
	"assent/internal/app"
	"assent/internal/brand"
	"assent/internal/config"
	"assent/internal/store"
)

// database opens it for one command.
func (c *cli) database(ctx context.Context, migrated bool) (*store.DB, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	return openDatabase(ctx, s, migrated)
}

func openDatabase(ctx context.Context, s config.Settings, migrated bool) (*store.DB, error) {
	db, ring, err := app.OpenDB(ctx, s, clock())
	if err != nil || !migrated {
		return db, err
	}
	if err := db.CheckSchema(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if err := app.CheckSecret(ctx, db, ring); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Bring the schema up to date. Several may run at once."`
	Status migrateStatus `cmd:"" help:"Show where the schema stands."`
}

type migrateUp struct{}

// Run migrates.
func (*migrateUp) Run(ctx context.Context, c *cli) error {
	db, err := c.database(ctx, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	return printVersion(ctx, db)
}

type migrateStatus struct{}

// Run shows the schema's version.
func (*migrateStatus) Run(ctx context.Context, c *cli) error {
	db, err := c.database(ctx, false)
	if err != nil {
		return err
	}
	defer db.Close()
	return printVersion(ctx, db)
}

func printVersion(ctx context.Context, db *store.DB) error {
	v, err := db.SchemaVersion(ctx)
	if err == nil {
		fmt.Printf("schema: %d of %d\n", v.Current, v.Known)
	}
	return err
}

type userCommand struct {
	Add userAdd `cmd:"" help:"Add a person, or give one a role at another brand. The password is read from the terminal or the first line of the input."`
}

type userAdd struct {
	Email    string `arg:"" help:"Address to sign in with."`
	Name     string `help:"How to call the person." placeholder:"NAME"`
	Brand    string `help:"Slug of the brand; every brand there is when empty." placeholder:"SLUG"`
	Role     string `help:"What the person may do: owner, marketer, analyst, reader." default:"owner" enum:"owner,marketer,analyst,reader"`
	Language string `help:"en or fa." default:"en" enum:"en,fa"`
}

// Run adds the user.
func (u *userAdd) Run(ctx context.Context, c *cli) error {
	db, err := c.database(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	if u.Name == "" {
		u.Name, _, _ = strings.Cut(u.Email, "@")
	}
	fmt.Fprint(os.Stderr, "Password (12 characters or more): ")
	password, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && password == "" {
		return fmt.Errorf("read the password: %w", err)
	}
	door, err := account.NewDoor(db, account.Standard)
	if err != nil {
		return err
	}
	user, err := door.AddUser(ctx, account.NewUser{Email: u.Email, Name: u.Name, Password: strings.TrimRight(password, "\r\n"), Language: u.Language})
	if err != nil {
		return err
	}
	var brands []brand.Brand
	err = db.Write(ctx, func(tx *store.Tx) error {
		if brands, err = brandsOf(tx, u.Brand); err != nil {
			return err
		}
		for _, b := range brands {
			if err := account.Grant(tx, user.ID, b.ID, account.Role(u.Role)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range brands {
		fmt.Printf("%s is %s of %s\n", user.Email, u.Role, b.Slug)
	}
	return nil
}

func brandsOf(tx *store.Tx, slug string) ([]brand.Brand, error) {
	if slug == "" {
		return brand.List(tx)
	}
	b, err := brand.BySlug(tx, slug)
	return []brand.Brand{b}, err
}

type keyCommand struct {
	Add keyAdd `cmd:"" help:"Make a key and print it; it is shown this once."`
}

type keyAdd struct {
	Name   string   `arg:"" help:"What the key is for."`
	Brand  string   `help:"Slug of the brand; empty makes a key of the installation, which may make brands." placeholder:"SLUG"`
	Scopes []string `help:"What it may do; see the API's page." default:"*"`
}

// Run makes the key.
func (k *keyAdd) Run(ctx context.Context, c *cli) error {
	db, err := c.database(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	var secret string
	err = db.Write(ctx, func(tx *store.Tx) error {
		n := account.NewKey{Name: k.Name, Scopes: k.Scopes}
		if k.Brand != "" {
			b, err := brand.BySlug(tx, k.Brand)
			if err != nil {
				return err
			}
			n.BrandID = &b.ID
		}
		_, secret, err = account.MakeKey(tx, n)
		return err
	})
	if err == nil {
		fmt.Println(secret)
	}
	return err
}
