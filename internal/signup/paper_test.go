package signup

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
)

var numbering = regexp.MustCompile(`(?s)UPDATE forms SET code.*?;`)

// Forms that were there before codes were have one each since.
func TestOldFormsGetCodes(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error {
			for i := range 30 {
				if _, err := Create(tx, w.brand, fmt.Sprint("Form ", i), Spec{Topics: []string{"news"}}); err != nil {
					return err
				}
			}
			migration, err := os.ReadFile("../store/migrations/" + tx.Pick("postgres", "sqlite") + "/00009_logo.sql")
			if err != nil {
				return err
			}
			for _, s := range []string{"UPDATE forms SET code = ''", strings.TrimSuffix(numbering.FindString(string(migration)), ";")} {
				if _, err := tx.Run(s); err != nil {
					return err
				}
			}
			all, err := List(tx, w.brand.ID)
			codes := map[string]bool{}
			for _, f := range all {
				codes[f.Code] = true
				if found, err := ByCode(tx, f.Code); err != nil || found.ID != f.ID || len(f.Code) != 6 {
					w.Errorf("%s is found by %q: %v", f.Name, f.Code, err)
				}
			}
			if len(codes) != 31 {
				w.Errorf("31 forms have %d codes", len(codes))
			}
			return err
		})
	})
}

// A code is one form's, of all brands; a form without one is found by none.
func TestCodesAreApart(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) error {
			other := w.newBrand(tx, "other")
			w.topic(tx, other, "news", 1, 7)
			seen := map[string]bool{w.form.Code: true}
			for range 200 {
				f, err := Create(tx, other, "One of many", Spec{Topics: []string{"news"}})
				if err != nil {
					return err
				}
				if seen[f.Code] || len(f.Code) < 6 || strings.Trim(f.Code, "0123456789") != "" || f.Code[0] == '0' {
					w.Errorf("code %q", f.Code)
				}
				seen[f.Code] = true
			}
			if f, err := Edit(tx, w.brand, w.form.ID, "Renamed", Spec{Topics: []string{"news"}}); err != nil || f.Code != w.form.Code {
				w.Errorf("an edit made %q of %q: %v", f.Code, w.form.Code, err)
			}
			if f, err := Close(tx, w.brand.ID, w.form.ID); err != nil || f.Code != w.form.Code {
				w.Errorf("closing made %q of %q: %v", f.Code, w.form.Code, err)
			}
			if _, err := tx.Run("UPDATE forms SET code = ''"); err != nil {
				return err
			}
			for _, typed := range []string{"", " ", "0", w.form.Code} {
				if _, err := ByCode(tx, typed); !problem.Is(err, problem.NotFound) {
					w.Errorf("%q finds a form: %v", typed, err)
				}
			}
			if _, err := tx.Run("UPDATE forms SET code = '100001' WHERE id = ?", w.form.ID); err != nil {
				return err
			}
			asked, confirmed, err := ViaTally(tx, brand.Brand{ID: other.ID}, w.form.ID, Paper)
			if asked+confirmed != 0 {
				w.Error("another brand's form is counted")
			}
			return err
		})
	})
}
