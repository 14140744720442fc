package account

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// Member is somebody of a brand's team.
type Member struct {
	User
	Role Role
}

// Members are the people of a brand's team, the oldest account first: who shows
// them sorts them, for a name's place is a matter of language. A team is small.
func Members(tx *store.Tx, brandID uuid.UUID) ([]Member, error) {
	var all []Member
	err := tx.Raw(`SELECT u.*, m.role FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.brand_id = ? ORDER BY u.id`, brandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list a team: %w", err)
	}
	return all, nil
}

// LockRole is the role that a user has at a brand, held until the end of the
// transaction; empty: none.
func LockRole(tx *store.Tx, brandID, userID uuid.UUID) (Role, error) {
	var found []Role
	if err := tx.Raw("SELECT role FROM memberships WHERE user_id = ? AND brand_id = ?"+tx.ForUpdate(), userID, brandID).Scan(&found).Error; err != nil {
		return "", fmt.Errorf("ask for a role: %w", err)
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// ChangeRole gives somebody of the team another role. Who is none of it is
// problem.NotFound; the last owner stays one (problem.Conflict).
func ChangeRole(tx *store.Tx, brandID, userID uuid.UUID, role Role) (before Role, err error) {
	if !role.Valid() {
		return "", problem.InvalidField("role", "problem.field.choice")
	}
	if before, err = leaves(tx, brandID, userID, role); err != nil {
		return "", err
	}
	if _, err := tx.Run("UPDATE memberships SET role = ? WHERE brand_id = ? AND user_id = ?", role, brandID, userID); err != nil {
		return "", fmt.Errorf("change a role: %w", err)
	}
	if role == Owner {
		return before, nil
	}
	return before, revokeOf(tx, brandID, userID)
}

// RemoveMember takes somebody's role at the brand: at once, for every session of
// theirs asks anew what they may. Who has no role anywhere any more is signed
// out. What they had invited others to is revoked. It fails as ChangeRole does.
func RemoveMember(tx *store.Tx, brandID, userID uuid.UUID) error {
	if _, err := leaves(tx, brandID, userID, ""); err != nil {
		return err
	}
	if _, err := tx.Run("DELETE FROM memberships WHERE brand_id = ? AND user_id = ?", brandID, userID); err != nil {
		return fmt.Errorf("take a role: %w", err)
	}
	if err := revokeOf(tx, brandID, userID); err != nil {
		return err
	}
	left, err := Memberships(tx, userID)
	if err != nil || len(left) > 0 {
		return err
	}
	return EndSessions(tx, userID)
}

// leaves locks the team, so that of two owners who remove each other one stays,
// and refuses to take the last owner's role.
func leaves(tx *store.Tx, brandID, userID uuid.UUID, to Role) (Role, error) {
	var team []Membership
	err := tx.Raw("SELECT * FROM memberships WHERE brand_id = ? ORDER BY user_id"+tx.ForUpdate(), brandID).Scan(&team).Error
	if err != nil {
		return "", fmt.Errorf("lock a team: %w", err)
	}
	var has Role
	others := 0
	for _, m := range team {
		switch {
		case m.UserID == userID:
			has = m.Role
		case m.Role == Owner:
			others++
		}
	}
	if has == "" {
		return "", problem.New(problem.NotFound, "account.not-of-the-team")
	}
	if has == Owner && to != Owner && others == 0 {
		return "", problem.New(problem.Conflict, "account.last-owner")
	}
	return has, nil
}
