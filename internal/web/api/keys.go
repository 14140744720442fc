package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/store"
)

// keys: what programs sign in with. They are made on the command line, where
// the secret is shown once; here they are seen and revoked.
func (h *house) keys() {
	read(h, action{http.MethodGet, "/keys", "listKeys", "keys:read", "keys", "List the brand's keys", "Without their secrets, the revoked among them.", 0, false}, listKeys)
	write(h, action{http.MethodPost, "/keys/{id}/revoke", "revokeKey", "keys:write", "keys", "Revoke a key",
		"At once and for good. Repeatable.", 0, false}, revokeKey)
}

type keyAnswer struct {
	ID         uuid.UUID  `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000010"`
	Name       string     `json:"name" example:"Shop"`
	Scopes     []string   `json:"scopes" example:"[\"orders:write\"]"`
	CreatedAt  time.Time  `json:"created_at" example:"2026-11-22T09:00:00Z"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"To the minute." example:"2026-11-22T09:14:00Z"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty" example:"2026-12-01T09:00:00Z"`
}

func showKey(k account.Key) keyAnswer {
	return keyAnswer{ID: k.ID, Name: k.Name, Scopes: k.Scopes, CreatedAt: k.CreatedAt.UTC(), LastUsedAt: utc(k.LastUsedAt), RevokedAt: utc(k.RevokedAt)}
}

func listKeys(tx *store.Tx, c caller, _ *noInput) (list[keyAnswer], error) {
	found, err := account.Keys(tx, &c.brand.ID)
	return all(found, showKey), err
}

func revokeKey(tx *store.Tx, c caller, in *ByID) (keyAnswer, error) {
	k, err := account.Revoke(tx, &c.brand.ID, in.ID)
	return showKey(k), err
}
