package ledger

import (
	"context"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Grow is the first of a keeper's steps alone.
func Grow(k *Keeper, ctx context.Context) (int, error) { return k.grow(ctx) }

// Keep is the second.
func Keep(o Outside, l Log) error { return o.keep(l, nil, nil) }

// AuditTx is Audit within a transaction.
func AuditTx(tx *store.Tx, kept *Head) (Report, error) { return audit(tx, kept, nil) }

// Take is what would be placed next, if so many were at a time.
func Take(tx *store.Tx, most int) (ids []uuid.UUID, err error) {
	entries, err := take(tx, most)
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids, err
}

// KeepSuppressions is one look at them.
func (k *Keeper) KeepSuppressions(ctx context.Context) error {
	seen, err := k.suppressionsKept()
	if err != nil {
		return err
	}
	return k.keepSuppressions(ctx, seen)
}

// AddSignature keeps what a witness has signed.
func AddSignature(tx *store.Tx, l Log, signature string) error { return addSignature(tx, l, signature) }
