package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// Invitation asks somebody to a brand's team, by a link in a mail. Of an address
// there is one open invitation at a brand.
//
//	open ──► accepted          by whoever holds the link, as the invited address
//	  ├────► revoked           by an owner, or with the role of who invited
//	  └────► over after 7 days, until it is sent again
type Invitation struct {
	ID         uuid.UUID
	BrandID    uuid.UUID
	Email      string // lower case
	Role       Role
	Language   string // of the mail
	TokenHash  []byte
	InvitedBy  uuid.UUID
	CreatedAt  time.Time
	SentAt     time.Time
	ExpiresAt  time.Time
	AcceptedAt *time.Time
	RevokedAt  *time.Time
}

const (
	invitationLife = 7 * 24 * time.Hour
	invitationKept = 90 * 24 * time.Hour // after its end
	// InvitationsOpen is how many may be open at a brand at once.
	InvitationsOpen = 100
)

// NewInvitation is what it takes to invite.
type NewInvitation struct {
	BrandID  uuid.UUID
	Email    string
	Role     Role
	Language string
	By       uuid.UUID
}

// Invite makes an invitation and gives the token of its link, which is stored
// nowhere. An open one to the address is replaced, its link with it. Who is of
// the team already is problem.Invalid.
func Invite(tx *store.Tx, n NewInvitation) (Invitation, string, error) {
	email, err := checkEmail(n.Email)
	if err != nil {
		return Invitation{}, "", err
	}
	p := problem.New(problem.Invalid, "problem.invalid")
	if !n.Role.Valid() {
		p.Field("role", "problem.field.choice")
	}
	if !slices.Contains(i18n.Languages, n.Language) {
		p.Field("language", "problem.field.choice")
	}
	member, err := OfTheTeam(tx, n.BrandID, email)
	if err != nil {
		return Invitation{}, "", err
	}
	if member {
		p.Field("email", "account.of-the-team")
	}
	if err := p.OrNil(); err != nil {
		return Invitation{}, "", err
	}
	var open int64
	if err := tx.Raw("SELECT count(*) FROM invitations WHERE brand_id = ? AND accepted_at IS NULL AND revoked_at IS NULL AND email <> ?", n.BrandID, email).Scan(&open).Error; err != nil {
		return Invitation{}, "", fmt.Errorf("count open invitations: %w", err)
	}
	if open >= InvitationsOpen {
		return Invitation{}, "", problem.New(problem.Conflict, "account.invitations-many", "Max", InvitationsOpen)
	}
	token, hash := newToken()
	_, err = tx.Run(`INSERT INTO invitations (id, brand_id, email, role, language, token_hash, invited_by, created_at, sent_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (brand_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL
		DO UPDATE SET role = excluded.role, language = excluded.language, token_hash = excluded.token_hash, invited_by = excluded.invited_by, sent_at = excluded.sent_at, expires_at = excluded.expires_at`,
		tx.NewID(), n.BrandID, email, n.Role, n.Language, hash, n.By, tx.Now(), tx.Now(), tx.Now().Add(invitationLife))
	if err != nil {
		return Invitation{}, "", fmt.Errorf("invite somebody: %w", err)
	}
	i, err := invitationBy(tx, "", "token_hash = ?", hash)
	return i, token, err
}

// InviteAgain renews an open invitation: another link, seven more days. The link
// before it no longer opens anything.
func InviteAgain(tx *store.Tx, brandID, id, by uuid.UUID) (Invitation, string, error) {
	i, err := openInvitation(tx, brandID, id)
	if err != nil {
		return Invitation{}, "", err
	}
	return Invite(tx, NewInvitation{BrandID: brandID, Email: i.Email, Role: i.Role, Language: i.Language, By: by})
}

// RevokeInvitation ends an open invitation; its link opens nothing any more.
func RevokeInvitation(tx *store.Tx, brandID, id uuid.UUID) (Invitation, error) {
	i, err := openInvitation(tx, brandID, id)
	if err != nil {
		return Invitation{}, err
	}
	if _, err := tx.Run("UPDATE invitations SET revoked_at = ? WHERE id = ?", tx.Now(), id); err != nil {
		return Invitation{}, fmt.Errorf("revoke an invitation: %w", err)
	}
	return i, nil
}

// Invitations are those of a brand that wait, the newest first; those whose time
// is over are among them, for they can be sent again.
func Invitations(tx *store.Tx, brandID uuid.UUID) ([]Invitation, error) {
	var all []Invitation
	err := tx.Raw("SELECT * FROM invitations WHERE brand_id = ? AND accepted_at IS NULL AND revoked_at IS NULL ORDER BY sent_at DESC, id DESC LIMIT ?", brandID, InvitationsOpen).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	return all, nil
}

// InvitationOf is the open invitation of a link's token. One that was never made
// is problem.NotFound; one that is over, for whatever reason, problem.Gone.
func InvitationOf(tx *store.Tx, token string) (Invitation, error) {
	return invitationOf(tx, "", token)
}

func invitationOf(tx *store.Tx, lock, token string) (Invitation, error) {
	i, err := invitationBy(tx, lock, "token_hash = ?", tokenHash(token))
	if err == nil && (i.AcceptedAt != nil || i.RevokedAt != nil || !tx.Now().Before(i.ExpiresAt)) {
		err = problem.New(problem.Gone, "account.invitation-over")
	}
	return i, err
}

// Accept gives the user the role that they were invited to, unless they have it
// or a mightier one by now. An invitation of another address is
// problem.Forbidden; otherwise it fails as InvitationOf does. It counts once.
func Accept(tx *store.Tx, token string, u User) (Invitation, error) {
	i, err := invitationOf(tx, tx.ForUpdate(), token)
	if err != nil {
		return Invitation{}, err
	}
	if i.Email != u.Email {
		return Invitation{}, problem.New(problem.Forbidden, "account.invitation-of-another")
	}
	if _, err := tx.Run("UPDATE invitations SET accepted_at = ? WHERE id = ?", tx.Now(), i.ID); err != nil {
		return Invitation{}, fmt.Errorf("accept an invitation: %w", err)
	}
	all, err := Memberships(tx, u.ID)
	if err != nil {
		return Invitation{}, err
	}
	for _, m := range all {
		if m.BrandID == i.BrandID && m.Role.Includes(i.Role) {
			return i, nil
		}
	}
	return i, Grant(tx, u.ID, i.BrandID, i.Role)
}

// AddInvited makes the account that an invitation is for, and accepts it; then
// is done in the same transaction. The address is the invitation's: whoever
// reads its mail is its owner. An address with an account is problem.Conflict.
func (d *Door) AddInvited(ctx context.Context, token string, n NewUser, then func(*store.Tx, User, Invitation) error) (User, error) {
	err := d.db.Read(ctx, func(tx *store.Tx) error {
		i, err := InvitationOf(tx, token)
		n.Email = i.Email
		return err
	})
	if err != nil {
		return User{}, err
	}
	u, err := d.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	err = d.db.Write(ctx, func(tx *store.Tx) error {
		if _, err := invitationOf(tx, tx.ForUpdate(), token); err != nil {
			return err
		}
		if err := u.add(tx); err != nil {
			return err
		}
		i, err := Accept(tx, token, u)
		if err != nil {
			return err
		}
		return then(tx, u, i)
	})
	return u, err
}

func openInvitation(tx *store.Tx, brandID, id uuid.UUID) (Invitation, error) {
	i, err := invitationBy(tx, tx.ForUpdate(), "id = ? AND brand_id = ?", id, brandID)
	if err == nil && (i.AcceptedAt != nil || i.RevokedAt != nil) {
		err = problem.New(problem.Conflict, "account.invitation-over")
	}
	return i, err
}

func invitationBy(tx *store.Tx, lock, where string, args ...any) (Invitation, error) {
	var rows []Invitation
	if err := tx.Raw("SELECT * FROM invitations WHERE "+where+lock, args...).Scan(&rows).Error; err != nil {
		return Invitation{}, fmt.Errorf("read an invitation: %w", err)
	}
	if len(rows) == 0 {
		return Invitation{}, problem.New(problem.NotFound, "account.invitation-unknown")
	}
	return rows[0], nil
}

// revokeOf ends the open invitations that a user has sent.
func revokeOf(tx *store.Tx, brandID, userID uuid.UUID) error {
	_, err := tx.Run("UPDATE invitations SET revoked_at = ? WHERE brand_id = ? AND invited_by = ? AND accepted_at IS NULL AND revoked_at IS NULL", tx.Now(), brandID, userID)
	if err != nil {
		return fmt.Errorf("revoke somebody's invitations: %w", err)
	}
	return nil
}

// sweepLinks forgets invitations and links for new passwords that are long over.
func sweepLinks(tx *store.Tx) error {
	if _, err := tx.Run("DELETE FROM invitations WHERE expires_at < ?", tx.Now().Add(-invitationKept)); err != nil {
		return fmt.Errorf("forget old invitations: %w", err)
	}
	if _, err := tx.Run("DELETE FROM password_resets WHERE expires_at < ?", tx.Now().Add(-resetLife)); err != nil {
		return fmt.Errorf("forget old links for new passwords: %w", err)
	}
	return nil
}
