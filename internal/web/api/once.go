package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/internal/store"
)

const (
	idempotencyHeader = "Idempotency-Key"
	idempotencyMax    = 255
	idempotencyLife   = 24 * time.Hour
)

// once is a request that wants its effect once; without a key it wants nothing.
type once struct {
	key         string
	fingerprint []byte // SHA-256 of method, path, brand and body
}

// onceOf reads the header, and the body of a request that has it, to know the
// request again.
func onceOf(c echo.Context, brand uuid.UUID) (once, error) {
	r := c.Request()
	values := r.Header.Values(idempotencyHeader)
	if r.Method != http.MethodPost || len(values) == 0 {
		return once{}, nil
	}
	key, ok := idempotencyKey(values)
	if !ok {
		return once{}, problem.InvalidField("header/"+idempotencyHeader, "api.idempotency-key", "Max", idempotencyMax)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return once{}, fmt.Errorf("read the body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00", r.Method, r.URL.RequestURI(), brand)
	h.Write(body)
	return once{key: key, fingerprint: h.Sum(nil)}, nil
}

// idempotencyKey takes one key of visible ASCII, bare or as the quoted string
// of draft-ietf-httpapi-idempotency-key-header §2.1: both spell one key.
func idempotencyKey(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	key := values[0]
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	if key == "" || len(key) > idempotencyMax {
		return "", false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' || key[i] == '"' || key[i] == '\\' {
			return "", false
		}
	}
	return key, true
}

// kept is an answer that was given before. It travels as an error, so that the
// transaction that found it ends without an effect, and is written as it is.
type kept struct {
	status int
	body   []byte
}

func (kept) Error() string                  { return "answered before" }
func (k kept) GetStatus() int               { return k.status }
func (kept) ContentType(string) string      { return "application/json" }
func (k kept) MarshalJSON() ([]byte, error) { return k.body, nil }

// idempotencyRow is a request and its answer. The row is written first and
// filled last, in the transaction of the effect: who comes second waits at the
// primary key until the first has committed, and then finds the answer, or
// takes the turn of a first that failed.
type idempotencyRow struct {
	Owner       string
	Key         string
	Fingerprint []byte
	Status      int
	Body        []byte
	CreatedAt   time.Time
}

func (idempotencyRow) TableName() string { return "idempotency_keys" }

// refused is an answer of no that leaves a fact behind: what the action wrote
// stays, and the key is free again.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// perform is the one place where the API writes.
func perform[T any](ctx context.Context, db *store.DB, do func(*store.Tx) (T, int, error)) (*answer[T], error) {
	c := callerOf(ctx)
	out := &answer[T]{}
	var no error
	err := db.Write(ctx, func(tx *store.Tx) (err error) {
		no = nil
		if err := c.claim(tx); err != nil {
			return err
		}
		out.Body, out.Status, err = do(tx)
		if r := (refused{}); errors.As(err, &r) {
			no = r.error
			return c.release(tx)
		}
		if err != nil {
			return err
		}
		return c.keep(tx, out.Status, out.Body)
	})
	if err = errors.Join(err, no); err != nil {
		return nil, err
	}
	return out, nil
}

// claim takes the key for this request, or fails with the answer kept under it.
func (c caller) claim(tx *store.Tx) error {
	if c.once.key == "" {
		return nil
	}
	owner := c.key.ID.String()
	if _, err := tx.Run("DELETE FROM idempotency_keys WHERE owner = ? AND key = ? AND created_at <= ?", owner, c.once.key, tx.Now().Add(-idempotencyLife)); err != nil {
		return fmt.Errorf("forget an old request: %w", err)
	}
	n, err := tx.Run("INSERT INTO idempotency_keys (owner, key, fingerprint, status, body, created_at) VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
		owner, c.once.key, c.once.fingerprint, []byte{}, tx.Now())
	if err != nil {
		return fmt.Errorf("take an idempotency key: %w", err)
	}
	if n == 1 {
		return nil
	}
	return c.keptAnswer(tx)
}

// keptAnswer is the answer to the same request as a kept; to another request
// under the same key it is problem.Invalid.
func (c caller) keptAnswer(tx *store.Tx) error {
	var row idempotencyRow
	if err := tx.Where("owner = ? AND key = ?", c.key.ID.String(), c.once.key).Take(&row).Error; err != nil {
		return fmt.Errorf("find what was answered: %w", err)
	}
	if !bytes.Equal(row.Fingerprint, c.once.fingerprint) {
		return problem.New(problem.Invalid, "api.idempotency-mismatch").Field("header/"+idempotencyHeader, "api.idempotency-mismatch")
	}
	return kept{row.Status, row.Body}
}

// asked fails with the kept answer, if there is one, before work that is too
// dear to do twice.
func (c caller) asked(tx *store.Tx) error {
	if c.once.key == "" {
		return nil
	}
	err := c.keptAnswer(tx)
	if store.Missing(err) {
		return nil
	}
	return err
}

func (c caller) release(tx *store.Tx) error {
	if c.once.key == "" {
		return nil
	}
	if _, err := tx.Run("DELETE FROM idempotency_keys WHERE owner = ? AND key = ?", c.key.ID.String(), c.once.key); err != nil {
		return fmt.Errorf("free an idempotency key: %w", err)
	}
	return nil
}

func (c caller) keep(tx *store.Tx, status int, body any) error {
	if c.once.key == "" {
		return nil
	}
	var b bytes.Buffer
	if err := strictJSON.Marshal(&b, body); err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	n, err := tx.Run("UPDATE idempotency_keys SET status = ?, body = ? WHERE owner = ? AND key = ?", status, bytes.TrimSpace(b.Bytes()), c.key.ID.String(), c.once.key)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows", n)
	}
	if err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return nil
}

// Sweep forgets requests that are older than their keys live; for a daily job.
func Sweep(tx *store.Tx) error {
	if _, err := tx.Run("DELETE FROM idempotency_keys WHERE created_at <= ?", tx.Now().Add(-idempotencyLife)); err != nil {
		return fmt.Errorf("forget old requests: %w", err)
	}
	return nil
}

var _ json.Marshaler = kept{}
