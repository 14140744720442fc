package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/problem"
	"assent/internal/store"
)

// Demo is what a newcomer needs to look around.
type Demo struct {
	Email    string // to sign in with
	Password string
	Key      string    // of the API, for the demo's brand
	Letters  uuid.UUID // the form with every topic
	Short    uuid.UUID // the form with one topic
	Offer    uuid.UUID
}

const (
	demoSlug  = "baharan"
	demoEmail = "admin@baharan.example"
	demoKey   = "Demo"
)

// The names by which a kept data folder is recognized.
const (
	demoLetters = "Every letter"
	demoShort   = "Readers’ letter only"
	demoThanks  = "Thank you for coming back"
)

// Demo makes a brand with all that belongs to it, once: on a data folder that
// has it already it makes a new password and a new key, and nothing else. It
// goes through the same functions as pages and API do; no mail is queued to
// anybody whose permission is not on record.
func (a *App) Demo(ctx context.Context) (Demo, error) {
	there, err := a.hasDemo(ctx)
	if err != nil {
		return Demo{}, err
	}
	dkim := make(chan dkimKey, 1)
	if !there {
		go func() { pem, err := compose.GenerateRSA(); dkim <- dkimKey{pem, err} }()
	}
	password := newPassword()
	user, err := a.demoUser(ctx, password)
	if err != nil {
		return Demo{}, err
	}
	if !there {
		key := <-dkim
		if key.err != nil {
			return Demo{}, key.err
		}
		err = a.DB.Write(ctx, func(tx *store.Tx) error { return a.furnish(tx, key.pem) })
		if err != nil {
			return Demo{}, fmt.Errorf("furnish the demo: %w", err)
		}
	}
	d := Demo{Email: user.Email, Password: password}
	return d, a.DB.Write(ctx, func(tx *store.Tx) error { return d.open(tx, user) })
}

func (a *App) hasDemo(ctx context.Context) (yes bool, err error) {
	err = a.DB.Read(ctx, func(tx *store.Tx) error {
		_, err := brand.BySlug(tx, demoSlug)
		if problem.Is(err, problem.NotFound) {
			return nil
		}
		yes = err == nil
		return err
	})
	return yes, err
}

// dkimKey is a key on its way out of the goroutine that makes it.
type dkimKey struct {
	pem []byte
	err error
}

// newPassword is 80 random bits, in four groups that can be typed.
func newPassword() string {
	s := strings.ToLower(rand.Text()[:16])
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

// demoUser makes the owner's account, or gives it the password.
func (a *App) demoUser(ctx context.Context, password string) (account.User, error) {
	user, err := a.door.AddUser(ctx, account.NewUser{Email: demoEmail, Name: "Leila Baharan", Password: password})
	if !problem.Is(err, problem.Conflict) {
		return user, err
	}
	if err := a.door.SetPassword(ctx, demoEmail, password); err != nil {
		return account.User{}, err
	}
	return user, a.DB.Read(ctx, func(tx *store.Tx) (err error) { user, err = account.ByEmail(tx, demoEmail); return err })
}

// open lets the user in, puts a new key in the place of the one that an
// earlier start printed, and finds what is worth looking at.
func (d *Demo) open(tx *store.Tx, user account.User) error {
	b, err := brand.BySlug(tx, demoSlug)
	if err != nil {
		return err
	}
	if err := account.Grant(tx, user.ID, b.ID, account.Owner); err != nil {
		return err
	}
	if d.Key, err = newDemoKey(tx, b); err != nil {
		return err
	}
	if d.Letters, d.Short, err = demoForm(tx, b); err != nil {
		return err
	}
	d.Offer, err = demoOffer(tx, b)
	return err
}

func newDemoKey(tx *store.Tx, b brand.Brand) (string, error) {
	keys, err := account.Keys(tx, &b.ID)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.Name != demoKey {
			continue
		}
		if _, err := account.Revoke(tx, &b.ID, k.ID); err != nil {
			return "", err
		}
	}
	_, secret, err := account.MakeKey(tx, account.NewKey{BrandID: &b.ID, Name: demoKey, Scopes: []string{"*"}})
	return secret, err
}

// Print says where to look. base is the address that the pages are served at,
// without a slash at the end.
func (d Demo) Print(w io.Writer, base string) {
	fmt.Fprintf(w, `
Assent runs with a demo brand, Baharan Books. Nothing leaves this machine: every mail lands in the mailbox.

  A shop's page with the sign-up     %[1]s/demo        %[1]s/demo?lang=fa
  The mailbox                        %[1]s/mailbox
  The same form as a page            %[1]s/f/%[2]s
                                     %[1]s/f/%[2]s?lang=fa
  A short form                       %[1]s/f/%[3]s
  Sign in                            %[1]s/admin
                                     %[4]s  %[5]s
  The API, explained                 %[1]s/api/docs

  export BASE=%[1]s KEY=%[6]s OFFER=%[7]s
  curl -H "Authorization: Bearer $KEY" "$BASE/api/v1/subscribers?limit=3"

Try this first: open the shop's page, sign up with any address you can think of, then confirm it in the mailbox.
Ctrl-C ends the demo.
`, base, d.Letters, d.Short, d.Email, d.Password, d.Key, d.Offer)
}
