package app

import (
	"context"
	"slices"

	"assent/internal/account"
	"assent/internal/store"
	"assent/internal/web/admin"
)

// FirstAccount is the address at which the first account is made, with a code
// that is known nowhere else; empty where there is an account, or no pages.
func (a *App) FirstAccount(ctx context.Context) (page string, err error) {
	if !slices.Contains(a.Roles, RoleWeb) {
		return "", nil
	}
	err = a.DB.Write(ctx, func(tx *store.Tx) error {
		code, needed, err := account.FirstCode(tx)
		if needed {
			page = a.URLs.Page(admin.WelcomePage(code))
		}
		return err
	})
	return page, err
}
