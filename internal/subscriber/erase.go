package subscriber

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"assent/internal/brand"
	"assent/internal/store"
)

// Forgotten is somebody who is being erased, as they were, for the rooms that
// keep something of them.
type Forgotten struct {
	Brand brand.Brand
	Subscriber
	Words []string // their addresses, now and before, in small letters: they may stand in what others wrote
}

// Forget begins to forget somebody: addresses are those they are known to have
// had beside their own.
func (s Subscriber) Forget(b brand.Brand, addresses ...string) Forgotten {
	f := Forgotten{Brand: b, Subscriber: s}
	for _, a := range append(addresses, s.Email) {
		f.Words = append(f.Words, strings.ToLower(a))
		if parsed, err := ParseAddress(a); err == nil {
			f.Words = append(f.Words, parsed.Normal)
		}
	}
	slices.Sort(f.Words)
	f.Words = slices.DeleteFunc(slices.Compact(f.Words), func(w string) bool { return w == "" })
	return f
}

// An address ends where neither its local part nor its domain goes on: who is
// ana@x.example is not diana@x.example.
const (
	before = `(^|[^a-z0-9._+-])`
	after  = `([^a-z0-9-]|$)`
)

var globbed = strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]")

// In tells whether one of their addresses, or their id, stands in a text.
func (f Forgotten) In(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, f.ID.String()) || slices.ContainsFunc(f.Words, func(w string) bool {
		return regexp.MustCompile(before + regexp.QuoteMeta(w) + after).MatchString(text)
	})
}

// Stands is the condition that one of their addresses stands in a column of
// text or JSON, in letters of either case, plain or as an address of the web has it.
func (f Forgotten) Stands(tx *store.Tx, column string) (where string, args []any) {
	var parts []string
	escape := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)
	for _, w := range f.Words {
		parts = append(parts, tx.Pick("lower(CAST("+column+" AS text)) ~ ?", "(' ' || lower(CAST("+column+" AS text)) || ' ') GLOB ?"))
		args = append(args, tx.Pick(before+regexp.QuoteMeta(w)+after, "*[^a-z0-9._+-]"+globbed.Replace(w)+"[^a-z0-9-]*"))
		for _, spelled := range slices.Compact([]string{strings.ReplaceAll(w, "@", "%40"), strings.ToLower(url.QueryEscape(w))}) {
			parts = append(parts, "lower(CAST("+column+` AS text)) LIKE ? ESCAPE '\'`)
			args = append(args, "%"+escape.Replace(spelled)+"%")
		}
	}
	if len(parts) == 0 {
		return "1 = 0", nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// Erase empties the row of somebody, gives it another hash in place of their
// address's, and destroys what is sealed under their key by destroying the key,
// with notes, tags and whoever looks after them. The row stays: its id is the
// pseudonym in the ledger. It belongs to an erasure; see package privacy.
func Erase(tx *store.Tx, f Forgotten) error {
	hash := make([]byte, 32)
	rand.Read(hash) // never fails (crypto/rand, Go 1.24)
	for _, x := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM notes WHERE subscriber_id = ?", []any{f.ID}},
		{"DELETE FROM carers WHERE subscriber_id = ?", []any{f.ID}},
		{"DELETE FROM subscriber_tags WHERE subscriber_id = ?", []any{f.ID}},
		{"DELETE FROM subject_keys WHERE subscriber_id = ?", []any{f.ID}},
		{"UPDATE subscribers SET email = '', address_hash = ?, name = '', time_zone = '', attributes = '{}', customer_since = NULL, updated_at = ?, erased_at = ? WHERE id = ? AND brand_id = ?",
			[]any{hash, tx.Now(), tx.Now(), f.ID, f.BrandID}},
	} {
		if _, err := tx.Run(x.sql, x.args...); err != nil {
			return fmt.Errorf("erase a subscriber: %w", err)
		}
	}
	return nil
}
