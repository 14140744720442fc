package signup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// Paper is what a sign-up is marked with that began with a printed code, or with
// the short address beside it.
const Paper = "paper"

// ways are what a sign-up can be marked with. Anybody can claim one: it is for
// counting, and proves nothing.
var ways = []string{Paper}

// Via is the way that an address claims, and empty where there is no such way.
func Via(claimed string) string {
	if slices.Contains(ways, claimed) {
		return claimed
	}
	return ""
}

// A form's code is the end of the address that people type from paper: digits
// only, which every keyboard has, and as few as there are forms for.
const (
	codeDigits    = 6 // of the first million forms, less those that begin with 0
	codeDigitsMax = 12
	codeTries     = 20 // at each length
)

var errNoCode = errors.New("no short address was free")

// newCode draws a code that no form has.
func newCode(tx *store.Tx) (string, error) {
	least := int64(1)
	for range codeDigits - 1 {
		least *= 10
	}
	for digits := codeDigits; digits <= codeDigitsMax; digits++ {
		for range codeTries {
			code := strconv.FormatInt(least+rand.Int64N(9*least), 10)
			_, err := find(tx, "", "code = ? AND code <> ''", code)
			if problem.Is(err, problem.NotFound) {
				return code, nil
			}
			if err != nil {
				return "", err
			}
		}
		least *= 10
	}
	return "", fmt.Errorf("draw a code: %w", errNoCode)
}

// ByCode finds the form that a code names, however its digits were typed: in any
// script, with gaps between them. problem.NotFound "signup.form.unknown" where
// there is none.
func ByCode(tx *store.Tx, typed string) (Form, error) {
	code := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.\u00a0\u200c\u200e\u200f", r) {
			return -1
		}
		return r
	}, i18n.ASCIIDigits(typed))
	if n, err := strconv.ParseInt(code, 10, 64); err != nil || n <= 0 || len(code) > codeDigitsMax {
		return Form{}, problem.New(problem.NotFound, "signup.form.unknown")
	}
	return find(tx, "", "code = ? AND code <> ''", code)
}

// ViaTally counts the sign-ups at a form that came a way: all that were sent,
// and those that were confirmed. It reads the index signup_requests_via, which
// holds those alone that came any known way.
func ViaTally(tx *store.Tx, b brand.Brand, form uuid.UUID, via string) (asked, confirmed int64, err error) {
	var row struct{ Asked, Confirmed int64 }
	err = tx.Raw(`SELECT count(*) AS asked, count(CASE WHEN state = 'confirmed' THEN 1 END) AS confirmed FROM signup_requests
		WHERE brand_id = ? AND form_id = ? AND via = ? AND via <> ''`, b.ID, form, via).Scan(&row).Error
	if err != nil {
		return 0, 0, fmt.Errorf("count the sign-ups of a way: %w", err)
	}
	return row.Asked, row.Confirmed, nil
}
