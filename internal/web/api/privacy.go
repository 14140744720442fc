package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/privacy"
	"assent/internal/store"
)

// privacy: what is kept of somebody, handed over or erased.
func (h *house) privacy() {
	write(h, action{http.MethodPost, "/subscribers/{id}/export", "exportSubscriber", "subscribers:export", "subscribers", "Take out all that is kept of a subscriber",
		"For the person themself (GDPR art. 15 and 20): profile, permissions, the ledger with words and evidence, mails, opens and clicks, orders, codes, notes and requests. That it was had is written into the ledger.", 0, false}, exportSubscriber)
	write(h, action{http.MethodPost, "/subscribers/{id}/erase", "eraseSubscriber", "subscribers:write", "subscribers", "Erase a subscriber",
		"Everything is withdrawn, what is queued is skipped, and all that is personal is erased, at once and for good; the address stays suppressed by its keyed hash. Repeatable. A request under data-protection law that is open for it is closed.", 0, false}, eraseSubscriber)
}

// exportAnswer is a privacy.Export.
type exportAnswer struct {
	Format string         `json:"format" doc:"The form of data." example:"urn:assent:personal-data:1"`
	Data   privacy.Export `json:"data" doc:"All that is kept."`
}

type erasedAnswer struct {
	ID       uuid.UUID `json:"id" format:"uuid" doc:"The pseudonym that stays in the ledger." example:"019a1f5c-7c00-7000-8000-000000000004"`
	ErasedAt time.Time `json:"erased_at" example:"2027-01-01T09:00:00Z"`
}

func exportSubscriber(tx *store.Tx, c caller, in *ByID) (exportAnswer, error) {
	x, err := privacy.Tell(tx, c.brand, in.ID, consent.MethodAPI, consent.EntityOperator)
	return exportAnswer{x.Format, x}, err
}

func eraseSubscriber(tx *store.Tx, c caller, in *ByID) (erasedAnswer, error) {
	at, err := privacy.ErasedAt(tx, c.brand, in.ID, consent.MethodAPI, consent.EntityOperator)
	return erasedAnswer{in.ID, at}, err
}
