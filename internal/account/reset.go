package account

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// reset is a link by which a forgotten password is set anew, once.
type reset struct {
	TokenHash []byte `gorm:"primaryKey"`
	UserID    uuid.UUID
	CreatedAt time.Time
	ExpiresAt time.Time
}

func (reset) TableName() string { return "password_resets" }

const (
	resetLife    = time.Hour
	resetsAnHour = 3 // mails to one user, whoever asks for them
)

// AskReset makes a link for a new password and gives its token, which is stored
// nowhere. ok is false where there is nothing to send: no such account, or three
// links within the hour. Whoever asks must not be told which.
func AskReset(tx *store.Tx, email string) (u User, token string, ok bool, err error) {
	u, err = ByEmail(tx, email)
	if problem.Is(err, problem.NotFound) {
		return User{}, "", false, nil
	}
	if err != nil {
		return User{}, "", false, err
	}
	if _, err := tx.Run("UPDATE users SET updated_at = updated_at WHERE id = ?", u.ID); err != nil { // others who ask for the same wait here
		return User{}, "", false, fmt.Errorf("hold an account: %w", err)
	}
	var n int64
	if err := tx.Raw("SELECT count(*) FROM password_resets WHERE user_id = ? AND created_at > ?", u.ID, tx.Now().Add(-time.Hour)).Scan(&n).Error; err != nil {
		return User{}, "", false, fmt.Errorf("count links for a new password: %w", err)
	}
	if n >= resetsAnHour {
		return User{}, "", false, nil
	}
	token, hash := newToken()
	if err := tx.Create(&reset{TokenHash: hash, UserID: u.ID, CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(resetLife)}).Error; err != nil {
		return User{}, "", false, fmt.Errorf("make a link for a new password: %w", err)
	}
	return u, token, true, nil
}

// ResetOf is whose password the link sets. One that is unknown, used or over is
// problem.Gone.
func ResetOf(tx *store.Tx, token string) (User, error) { return resetOf(tx, "", token) }

func resetOf(tx *store.Tx, lock, token string) (User, error) {
	var rows []reset
	err := tx.Raw("SELECT * FROM password_resets WHERE token_hash = ? AND expires_at > ?"+lock, tokenHash(token), tx.Now()).Scan(&rows).Error
	if err != nil {
		return User{}, fmt.Errorf("look for a link for a new password: %w", err)
	}
	if len(rows) == 0 {
		return User{}, problem.New(problem.Gone, "account.reset-over")
	}
	return Find(tx, rows[0].UserID)
}

// Reset sets the password by the link: it ends all sessions of the user, all
// such links, and the failures counted against the address. It counts once.
func (d *Door) Reset(ctx context.Context, token, password string) error {
	var u User
	err := d.db.Read(ctx, func(tx *store.Tx) (err error) { u, err = ResetOf(tx, token); return err })
	if err != nil {
		return err
	}
	if err := checkPassword(password, u.Email); err != nil {
		return err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.db.Write(ctx, func(tx *store.Tx) error {
		if u, err = resetOf(tx, tx.ForUpdate(), token); err != nil {
			return err
		}
		if _, err := tx.Run("UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, tx.Now(), u.ID); err != nil {
			return fmt.Errorf("set a password: %w", err)
		}
		return u.unlock(tx)
	})
}
