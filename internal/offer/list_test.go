package offer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
)

func TestMoneyAsTyped(t *testing.T) {
	for typed, want := range map[string]int64{"12": 1200, "12.5": 1250, "12.50": 1250, "۱۲٫۵۰": 1250, "1,200": 120000, "۱٬۲۰۰٫۵": 120050, " 7 ": 700} {
		if got, ok := offer.ParseMoney(typed, "EUR"); !ok || got != want {
			t.Errorf("%q is %d (%v), want %d", typed, got, ok, want)
		}
	}
	if got, ok := offer.ParseMoney("250000", "JPY"); !ok || got != 250000 {
		t.Errorf("yen have no decimals: %d", got)
	}
	for _, typed := range []string{"", "12,50", "12.505", "-1", "1e3", "x", ".", "1.", "12,5000", "99999999999999999999", "1.5.5"} {
		if got, ok := offer.ParseMoney(typed, "EUR"); ok {
			t.Errorf("%q is taken for %d", typed, got)
		}
	}
}

// The codes of an offer come newest first, page by page, and by whole code or person.
func TestCodesByPagesAndBySearch(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person("ana")
		w.give(ana)
		w.buy(ana, 1, 1, 1)
		for i := range 4 {
			s := w.person(fmt.Sprint("p", i))
			w.give(s)
			w.buy(s, 1, 1, 1)
		}
		n := w.spring()
		o, other := w.running(n), w.running(n)
		w.write(func(tx *store.Tx) error {
			if n, err := offer.Eligible(tx, w.brand.ID, o.ID); err != nil || n != 5 {
				w.Errorf("%d have earned it: %v", n, err)
			}
			return nil
		})
		w.issue(o)
		w.issue(other)
		seen, before := map[string]bool{}, uuid.Nil
		for {
			var page []offer.Holder
			w.write(func(tx *store.Tx) (err error) {
				page, err = offer.Codes(tx, w.brand.ID, o.ID, offer.CodeQuery{Before: before, Limit: 2})
				return err
			})
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				seen[c.Email], before = true, c.ID
			}
		}
		if len(seen) != 5 {
			w.Errorf("seen %v", seen)
		}
		w.write(func(tx *store.Tx) error {
			mine, err := offer.Codes(tx, w.brand.ID, o.ID, offer.CodeQuery{Person: ana.ID, Limit: 9})
			if err != nil || len(mine) != 1 || mine[0].SubscriberID != ana.ID {
				w.Fatalf("ana's: %+v, %v", mine, err)
			}
			typed := strings.ToLower(strings.ReplaceAll(mine[0].Code.Code, "-", " "))
			if found, err := offer.Codes(tx, w.brand.ID, o.ID, offer.CodeQuery{Code: typed, Limit: 9}); err != nil || len(found) != 1 || found[0].ID != mine[0].ID {
				w.Errorf("by code: %+v, %v", found, err)
			}
			if found, err := offer.Codes(tx, w.brand.ID, other.ID, offer.CodeQuery{Code: typed, Limit: 9}); err != nil || len(found) != 0 {
				w.Errorf("another offer's: %+v, %v", found, err)
			}
			if c, err := offer.FindCode(tx, w.brand.ID, typed); err != nil || c.OfferID != o.ID {
				w.Errorf("found %+v, %v", c, err)
			}
			for _, typed := range []string{"", "x", "2222-2222-2222"} {
				if _, err := offer.FindCode(tx, w.brand.ID, typed); !problem.Is(err, problem.NotFound) {
					w.Errorf("%q: %v", typed, err)
				}
			}
			if _, err := offer.FindCode(tx, uuid.New(), mine[0].Code.Code); !problem.Is(err, problem.NotFound) {
				w.Errorf("another brand's code: %v", err)
			}
			return nil
		})
	})
}
