package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/store"
)

func keyActions() []action {
	return []action{
		look("/keys", account.Owner, apiKeys),
		act("/keys", account.Owner, makeKey),
		act("/keys/:id/revoke", account.Owner, revokeKey),
	}
}

// KeyLine is a key of the brand.
type KeyLine struct {
	Name          string
	Scopes        []string
	Made          time.Time
	Used, Revoked *time.Time
	Revoke, Ask   string // empty: it is revoked
	Sheet         Sheet
}

// ScopeLine is what a key may do to one kind of thing.
type ScopeLine struct {
	Label       string
	Read, Write string // scopes; empty: there is none
}

// Keys is the page admin/keys.
type Keys struct {
	Frame
	Keys   []KeyLine
	Sheet  Sheet
	Scopes []ScopeLine
	Secret string // of the key that was just made: shown this once
	API    string
}

func apiKeys(d *desk) error {
	s, err := d.sheet("/keys", url.Values{}, "")
	if err != nil {
		return err
	}
	return drawKeys(d, "")(http.StatusOK, s)
}

func drawKeys(d *desk, secret string) func(int, Sheet) error {
	return func(status int, s Sheet) error {
		page := Keys{Frame: d.frame("keys"), Sheet: s, Scopes: d.scopeLines(), Secret: secret, API: apiPath}
		var all []account.Key
		err := d.read(func(tx *store.Tx) (err error) { all, err = account.Keys(tx, &d.brand.ID); return err })
		if err != nil {
			return err
		}
		slices.Reverse(all) // the newest first, the revoked last
		slices.SortStableFunc(all, func(a, b account.Key) int {
			return bit(a.RevokedAt != nil) - bit(b.RevokedAt != nil)
		})
		for _, k := range all {
			line := KeyLine{Name: k.Name, Scopes: k.Scopes, Made: k.CreatedAt, Used: k.LastUsedAt, Revoked: k.RevokedAt, Sheet: Sheet{Once: store.NewID(d.h.DB.Now())}}
			if k.RevokedAt == nil {
				line.Revoke, line.Ask = d.to("/keys/"+k.ID.String()+"/revoke"), d.l.T("admin.keys.ask", "Name", k.Name)
			}
			page.Keys = append(page.Keys, line)
		}
		return d.drawAs(status, "keys", page)
	}
}

func bit(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// scopeLines are what a brand's key may be allowed: all but what is for keys of
// the whole installation.
func (d *desk) scopeLines() (all []ScopeLine) {
	for _, scope := range account.Scopes {
		kind, what, ok := strings.Cut(scope, ":")
		if !ok || kind == "nodes" {
			continue
		}
		label := d.l.T("admin.keys.kind." + kind)
		if len(all) == 0 || all[len(all)-1].Label != label {
			all = append(all, ScopeLine{Label: label})
		}
		if line := &all[len(all)-1]; what == "read" {
			line.Read = scope
		} else {
			line.Write = scope
		}
	}
	return all
}

// brandScope tells whether a brand's own key may have the scope.
func brandScope(scope string) bool { return !strings.HasPrefix(scope, "nodes:") }

// makeKey makes a key and shows its secret in the answer, for it stands nowhere
// else: there is no page to go on to that could show it again.
func makeKey(d *desk) error {
	secret := ""
	next, again, err := d.perform("key.create", func(tx *store.Tx, form *Sheet) (done, error) {
		n := account.NewKey{BrandID: &d.brand.ID, Name: form.Value("name"), Scopes: slices.DeleteFunc(slices.Clone(form.Values["scopes"]), func(s string) bool { return !brandScope(s) })}
		if form.Has("all", "yes") {
			n.Scopes = []string{"*"}
		}
		k, s, err := account.MakeKey(tx, n)
		secret = s
		return done{subject: k.ID, next: "/keys", detail: map[string]any{"name": k.Name, "scopes": k.Scopes}}, err
	})
	if err != nil {
		return d.redraw(err, drawKeys(d, ""))
	}
	if again {
		return d.c.Redirect(http.StatusSeeOther, strings.Replace(next, "did=key.create", "did=key.again", 1))
	}
	return drawKeys(d, secret)(http.StatusOK, Sheet{Action: d.to("/keys"), Page: d.c.Request().URL.Path, Values: url.Values{}, Once: store.NewID(d.h.DB.Now())})
}

func revokeKey(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	return d.change("key.revoke", func(tx *store.Tx, _ *Sheet) (done, error) {
		k, err := account.Revoke(tx, &d.brand.ID, id)
		return done{subject: id, next: "/keys", detail: map[string]any{"name": k.Name}}, err
	})
}

// onceOf reads the number of a form; nil where it has none.
func onceOf(values url.Values) uuid.UUID {
	id, _ := uuid.Parse(values.Get("once"))
	return id
}
