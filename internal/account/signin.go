package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gorm.io/gorm/clause"

	"assent/internal/problem"
	"assent/internal/store"
)

// The lock-out: the fifth failure in a row locks for a minute, each further one
// for twice as long, an hour at most. An hour without a failure starts anew.
const (
	freeFailures = 5
	firstLock    = time.Minute
	longestLock  = time.Hour
	forgetAfter  = time.Hour
)

// failure counts what went wrong at one address or from one network place. The
// key is a keyed hash, so the table names nobody.
type failure struct {
	Key         string `gorm:"primaryKey"`
	Failures    int
	LockedUntil *time.Time
	UpdatedAt   time.Time
}

func (failure) TableName() string { return "sign_in_failures" }

// Attempt is one try to sign in.
type Attempt struct {
	Email    string
	Password string
	IP       netip.Addr // of the client; an IPv6 client counts by its /64
}

// SignIn gives the user whose address and password these are.
//
// A wrong address and a wrong password are one answer: problem.Unauthorized
// "account.sign-in-failed". Too many failures at an address or from a network
// place are problem.TooMany "account.locked" with Minutes, whoever asks, the
// rightful owner included; the first success forgets an address's failures, and
// takes back its own count from the place.
func (d *Door) SignIn(ctx context.Context, a Attempt) (User, error) {
	var u User
	var keys []string
	err := d.db.Write(ctx, func(tx *store.Tx) error {
		keys = failureKeys(tx, a.Email, place(a.IP))
		if err := count(tx, keys); err != nil {
			return err
		}
		var err error
		if u, err = ByEmail(tx, a.Email); problem.Is(err, problem.NotFound) {
			u, err = User{}, nil
		}
		return err
	})
	if err != nil {
		return User{}, signInError(err)
	}
	if len(a.Password) > passwordMax {
		a.Password, u = "", User{}
	}
	ok, err := d.matches(ctx, a.Password, u.PasswordHash)
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, problem.New(problem.Unauthorized, "account.sign-in-failed")
	}
	err = d.db.Write(ctx, func(tx *store.Tx) error {
		if err := forget(tx, keys[0]); err != nil {
			return err
		}
		return takeBack(tx, keys[1:])
	})
	if err != nil {
		return User{}, fmt.Errorf("forget sign-in failures: %w", err)
	}
	return u, nil
}

func signInError(err error) error {
	if _, ok := problem.Of(err); ok {
		return err
	}
	return fmt.Errorf("look at a sign-in: %w", err)
}

// place is the network place that failures are counted at.
func place(ip netip.Addr) string {
	ip = ip.Unmap()
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// failureKeys names the address and, if there is one, the place.
func failureKeys(tx *store.Tx, email, place string) []string {
	secret := tx.Ring().Derive("sign-in failures")
	named := func(what, value string) string {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(what + "\x00" + value))
		return what + ":" + hex.EncodeToString(h.Sum(nil))
	}
	keys := []string{named("address", fold(email))}
	if place != "" {
		keys = append(keys, named("place", place))
	}
	return keys
}

// count takes the attempt as failed until it is shown to be good, or refuses it
// while a lock holds. Keys are locked in their order, address before place.
func count(tx *store.Tx, keys []string) error {
	now := tx.Now()
	rows := make([]failure, len(keys))
	for i, key := range keys {
		fresh := failure{Key: key, UpdatedAt: now}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
			return err
		}
		if err := tx.Raw("SELECT * FROM sign_in_failures WHERE key = ?"+tx.ForUpdate(), key).Take(&rows[i]).Error; err != nil {
			return err
		}
		if until := rows[i].LockedUntil; until != nil && now.Before(*until) {
			minutes := int((until.Sub(now) + time.Minute - 1) / time.Minute)
			return problem.New(problem.TooMany, "account.locked", "Minutes", minutes)
		}
	}
	for _, f := range rows {
		if now.Sub(f.UpdatedAt) > forgetAfter {
			f.Failures = 0
		}
		f.Failures++
		f.UpdatedAt, f.LockedUntil = now, nil
		if d := lockFor(f.Failures); d > 0 {
			until := now.Add(d)
			f.LockedUntil = &until
		}
		if err := tx.Save(&f).Error; err != nil {
			return err
		}
	}
	return nil
}

// lockFor is how long so many failures in a row lock.
func lockFor(failures int) time.Duration {
	if failures < freeFailures {
		return 0
	}
	d := firstLock
	for n := freeFailures; n < failures && d < longestLock; n++ {
		d *= 2
	}
	return min(d, longestLock)
}

func forget(tx *store.Tx, key string) error {
	_, err := tx.Run("DELETE FROM sign_in_failures WHERE key = ?", key)
	return err
}

// takeBack undoes one count at the places: who has an account must not be able
// to wipe out the failures of others beside them.
func takeBack(tx *store.Tx, keys []string) error {
	for _, key := range keys {
		_, err := tx.Run(`UPDATE sign_in_failures SET failures = failures - 1,
			locked_until = CASE WHEN failures - 1 < ? THEN NULL ELSE locked_until END
			WHERE key = ? AND failures > 0`, freeFailures, key)
		if err != nil {
			return err
		}
	}
	return nil
}

// Sweep deletes sessions that are over and failures that are forgotten; it is
// for a daily job.
func Sweep(tx *store.Tx) error {
	if _, err := tx.Run("DELETE FROM sessions WHERE expires_at <= ?", tx.Now()); err != nil {
		return fmt.Errorf("delete ended sessions: %w", err)
	}
	_, err := tx.Run("DELETE FROM sign_in_failures WHERE updated_at < ? AND (locked_until IS NULL OR locked_until < ?)",
		tx.Now().Add(-forgetAfter), tx.Now())
	if err != nil {
		return fmt.Errorf("delete forgotten sign-in failures: %w", err)
	}
	return errors.Join(sweepLinks(tx), sweepDesk(tx))
}
