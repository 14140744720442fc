package app

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"assent/internal/link"
	"assent/internal/store"
)

// sealedColumn is where something lies that ASSENT_SECRET has sealed.
type sealedColumn struct {
	table, column string
	key           []string // the table's primary key
	kinds         []string // of its columns: uuid, bigint, integer, text
	label         string
	bound         func(key []any) []byte // what it is bound to
}

// sealedColumns is the table of all of them, but for the links in mails to the
// team, which are of no use after a day, and lasting keys. TestNothingSealedIsForgotten
// holds it against the labels in the code.
var sealedColumns = []sealedColumn{
	{"subject_keys", "sealed_key", []string{"subscriber_id"}, []string{"uuid"}, "subject key", firstID},
	{"brands", "address_key", []string{"id"}, []string{"uuid"}, "brand address key", firstID},
	{"dkim_keys", "private_key", []string{"id"}, []string{"uuid"}, "dkim key", firstID},
	{"logs", "key", []string{"origin"}, []string{"text"}, "log key", func(k []any) []byte { return []byte(k[0].(string)) }},
	{"import_parts", "sealed", []string{"import_id", "n"}, []string{"uuid", "integer"}, "import file", numbered},
	{"import_waiting", "sealed", []string{"import_id", "line"}, []string{"uuid", "bigint"}, "import row", numbered},
	{"import_refusals", "sealed", []string{"import_id", "line"}, []string{"uuid", "bigint"}, "import report", numbered},
}

func firstID(k []any) []byte {
	id := k[0].(uuid.UUID)
	return id[:]
}

func numbered(k []any) []byte {
	return binary.BigEndian.AppendUint64(firstID(k), uint64(k[1].(int64)))
}

// rewrapAtOnce is how many values one transaction brings under the newest key.
const rewrapAtOnce = 500

// Rewrapped is what one pass came to.
type Rewrapped struct {
	Done   int // values brought under the newest key
	Closed int // that no key of the ring opens: they were lost before
}

// Rewrap brings all that is sealed under an older key of the ring under the
// newest, a batch in a transaction, while the service runs: what is sealed
// meanwhile is sealed by the newest key, as long as every node has it in front.
// It can be stopped and begun again at any time. When it ends without an error,
// and with nothing closed, no value needs the older keys any more; links in mails
// that they signed still do.
func Rewrap(ctx context.Context, db *store.DB, ring *link.Ring) (r Rewrapped, err error) {
	for _, c := range sealedColumns {
		if err := c.rewrap(ctx, db, ring, &r); err != nil {
			return r, fmt.Errorf("bring %s.%s under the newest key: %w", c.table, c.column, err)
		}
	}
	return r, db.Write(ctx, func(tx *store.Tx) error { return rewrapLasting(tx, &r) })
}

func (c sealedColumn) rewrap(ctx context.Context, db *store.DB, ring *link.Ring, r *Rewrapped) error {
	var after []any
	for {
		var page []sealedValue
		var done, closed int
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			done, closed = 0, 0
			if page, err = c.page(tx, after); err != nil {
				return err
			}
			for _, v := range page {
				fresh, err := ring.Reseal(c.label, v.sealed, c.bound(v.key))
				if errors.Is(err, link.ErrSealed) {
					closed++
					continue
				}
				if err != nil {
					return err
				}
				n, err := tx.Run("UPDATE "+c.table+" SET "+c.quoted()+" = ? WHERE "+strings.Join(c.key, " = ? AND ")+" = ? AND "+c.quoted()+" = ?",
					append(append([]any{fresh}, v.key...), v.sealed)...) // not where it was erased, or changed, meanwhile
				if err != nil {
					return err
				}
				done += int(n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.Done, r.Closed = r.Done+done, r.Closed+closed
		if len(page) < rewrapAtOnce {
			return nil
		}
		after = page[len(page)-1].key
	}
}

func (c sealedColumn) quoted() string { return `"` + c.column + `"` }

type sealedValue struct {
	key    []any
	sealed []byte
}

// page reads the next values that are not under the newest key, by the table's
// key. A single byte stands where there is no key: a log of which only the head is known.
func (c sealedColumn) page(tx *store.Tx, after []any) (page []sealedValue, err error) {
	names := strings.Join(c.key, ", ")
	where, args := "length("+c.quoted()+") > 1 AND substr("+c.quoted()+", 1, 4) <> ?", []any{tx.Ring().Newest()}
	if after != nil {
		where += " AND (" + names + ") > (?" + strings.Repeat(", ?", len(c.key)-1) + ")"
		args = append(args, after...)
	}
	rows, err := tx.Raw("SELECT "+names+", "+c.quoted()+" FROM "+c.table+" WHERE "+where+" ORDER BY "+names+" LIMIT ?", append(args, rewrapAtOnce)...).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v := sealedValue{key: make([]any, len(c.key))}
		into := make([]any, len(c.key)+1)
		for i, kind := range c.kinds {
			switch kind {
			case "uuid":
				into[i] = &uuid.UUID{}
			case "text":
				into[i] = new(string)
			default:
				into[i] = new(int64)
			}
		}
		into[len(c.key)] = &v.sealed
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i := range v.key {
			switch x := into[i].(type) {
			case *uuid.UUID:
				v.key[i] = *x
			case *string:
				v.key[i] = *x
			case *int64:
				v.key[i] = *x
			}
		}
		page = append(page, v)
	}
	return page, rows.Err()
}

func rewrapLasting(tx *store.Tx, r *Rewrapped) error {
	var all []struct{ Key, Value string }
	if err := tx.Raw("SELECT key, value FROM installation WHERE key LIKE ?", store.LastingPrefix+"%").Scan(&all).Error; err != nil {
		return fmt.Errorf("read the lasting keys: %w", err)
	}
	for _, one := range all {
		sealed, err := base64.StdEncoding.DecodeString(one.Value)
		if err != nil {
			return fmt.Errorf("read %s: %w", one.Key, err)
		}
		fresh, err := tx.Ring().Reseal(store.LastingLabel, sealed, []byte(one.Key))
		if errors.Is(err, link.ErrSealed) {
			r.Closed++
			continue
		}
		if err != nil {
			return err
		}
		value := base64.StdEncoding.EncodeToString(fresh)
		if value == one.Value {
			continue
		}
		if _, err := tx.Run("UPDATE installation SET value = ? WHERE key = ?", value, one.Key); err != nil {
			return fmt.Errorf("write %s: %w", one.Key, err)
		}
		r.Done++
	}
	return nil
}
