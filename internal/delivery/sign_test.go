package delivery

import (
	"bytes"
	"errors"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/store"
)

// Both active keys sign, RSA on top; a key that is not active does not, and
// where the relay signs none does.
func TestTheActiveKeysSign(t *testing.T) {
	each(t, func(w *world) {
		records := map[string]string{}
		w.write(func(tx *store.Tx) error {
			for _, selector := range []string{"rsa", "ed25519", "spare"} {
				private := rsaKey(t)
				if selector == brand.Ed25519 {
					var err error
					if private, err = compose.GenerateKey(brand.Ed25519); err != nil {
						return err
					}
				}
				k, err := brand.NewDKIMKey(tx, w.brand.ID, selector, private)
				if err != nil {
					return err
				}
				records[k.Public().Record().Name] = k.Public().Record().Value
				if selector == "spare" {
					continue
				}
				if _, err := brand.ActivateDKIM(tx, w.brand.ID, k.ID); err != nil {
					return err
				}
			}
			return nil
		})
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		got := w.smtp.To("ana@example.org")[0].Raw
		seen, err := dkim.VerifyWithOptions(bytes.NewReader(got), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if records[name] == "" {
				return nil, errors.New("asked for " + name)
			}
			return []string{records[name]}, nil
		}})
		w.must(err)
		if len(seen) != 2 || seen[0].Err != nil || seen[1].Err != nil || bytes.Index(got, []byte("a=rsa-sha256")) > bytes.Index(got, []byte("a=ed25519-sha256")) {
			t.Errorf("signed as %+v:\n%s", seen, got)
		}
	})
}

func TestTheRelaySigns(t *testing.T) {
	each(t, func(w *world) {
		relay := brand.SignedByRelay
		w.write(func(tx *store.Tx) error {
			if _, err := brand.FirstDKIMKey(tx, w.brand.ID, "s1", rsaKey(t)); err != nil {
				return err
			}
			_, err := brand.Update(tx, w.brand.ID, brand.Change{SignedBy: &relay})
			return err
		})
		w.campaign(w.person("ana@example.org"))
		w.deliver("bulk")
		if got := w.smtp.To("ana@example.org")[0].Raw; bytes.Contains(got, []byte("DKIM-Signature")) {
			t.Errorf("signed though the relay does:\n%s", got)
		}
	})
}
