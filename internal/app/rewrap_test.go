package app

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"assent/internal/brand"
	"assent/internal/link"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// A secret that is changed by the book loses nothing: after the values are brought
// under the new one, the old can go, and what is counted by keyed hash is the same.
func TestTheSecretIsChanged(t *testing.T) {
	ctx := context.Background()
	old, fresh := bytes.Repeat([]byte("old0"), 8), bytes.Repeat([]byte("new1"), 8)
	ring := func(secrets ...[]byte) *link.Ring {
		r, err := link.NewRing(secrets...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	testkit.EachDatabase(t, func(t *testing.T, url string) {
		var b brand.Brand
		var who subscriber.Subscriber
		var sealed, counted []byte
		with := func(r *link.Ring, do func(tx *store.Tx) error, more func(db *store.DB)) {
			t.Helper()
			db, err := store.Open(ctx, url, store.Options{Ring: r})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			if more != nil {
				more(db)
			}
			if err := db.Write(ctx, do); err != nil {
				t.Fatal(err)
			}
		}
		address, _ := subscriber.ParseAddress("ana@example.org")
		with(ring(old), func(tx *store.Tx) (err error) {
			if b, err = brand.Create(tx, brand.New{Slug: "b", Name: "B", PostalAddress: "1 Street", SenderEmail: "b@example.org", Language: "en", TimeZone: "UTC"}); err != nil {
				return err
			}
			if who, _, err = subscriber.Ensure(tx, b, subscriber.New{Address: address, Language: "en"}); err != nil {
				return err
			}
			if sealed, err = subscriber.Seal(tx, who.ID, []byte("words")); err != nil {
				return err
			}
			counted, err = tx.LastingKey("confirmation mails")
			return err
		}, nil)
		with(ring(fresh, old), func(tx *store.Tx) error { return nil }, func(db *store.DB) {
			r, err := Rewrap(ctx, db, ring(fresh, old))
			if err != nil || r.Done != 3 || r.Closed != 0 {
				t.Errorf("the first pass: %+v, %v; want brand, person and lasting key", r, err)
			}
			if r, err = Rewrap(ctx, db, ring(fresh, old)); err != nil || r.Done != 0 {
				t.Errorf("the second pass: %+v, %v", r, err)
			}
		})
		with(ring(fresh), func(tx *store.Tx) (err error) {
			if b, err = brand.Find(tx, b.ID); err != nil {
				return err
			}
			if plain, err := subscriber.Open(tx, who.ID, sealed); err != nil || string(plain) != "words" {
				t.Errorf("without the old key: %q, %v", plain, err)
			}
			if again, err := subscriber.ByAddress(tx, b, address); err != nil || again.ID != who.ID {
				t.Errorf("the address is found as %v, %v", again.ID, err)
			}
			if key, err := tx.LastingKey("confirmation mails"); err != nil || !bytes.Equal(key, counted) {
				t.Errorf("the lasting key changed, or is lost: %v", err)
			}
			return nil
		}, nil)
		with(ring(bytes.Repeat([]byte("lost"), 8)), func(tx *store.Tx) error { return nil }, func(db *store.DB) {
			if r, err := Rewrap(ctx, db, ring(bytes.Repeat([]byte("lost"), 8))); err != nil || r.Closed != 3 {
				t.Errorf("with a key of elsewhere: %+v, %v; want all three told", r, err)
			}
		})
	})
}

// Every label that something is sealed under stands in the table, or is known to
// need no place there.
func TestNothingSealedIsForgotten(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", `[a-zA-Z]*[lL]abel *= "[^"]+"`, "--include=*.go", "--exclude=*_test.go", "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	short := []string{"link of a mail to the team", "lasting key"}
	n := 0
	for line := range strings.Lines(string(out)) {
		_, label, _ := strings.Cut(strings.TrimSpace(line), `"`)
		label = strings.TrimSuffix(label, `"`)
		n++
		if !slices.Contains(short, label) && !slices.ContainsFunc(sealedColumns, func(c sealedColumn) bool { return c.label == label }) {
			t.Errorf("what is sealed as %q is not brought under a new secret: see sealedColumns", label)
		}
	}
	if n < 8 {
		t.Errorf("only %d labels were found", n)
	}
}
