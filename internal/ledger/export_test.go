package ledger

import (
	"context"

	"assent/internal/store"
)

// Grow is the first of a keeper's steps alone.
func Grow(k *Keeper, ctx context.Context) (int, error) { return k.grow(ctx) }

// Keep is the second.
func Keep(o Outside, l Log) error { return o.keep(l, nil) }

// AuditTx is Audit within a transaction.
func AuditTx(tx *store.Tx, kept *Head) (Report, error) { return audit(tx, kept, nil) }
