// Package account knows who works with the service: people who sign in, what
// each may do at which brand, their sessions, and the keys of programs.
//
// It promises: a password is kept only as an Argon2id hash, a session and a key
// only as a SHA-256 hash of a random token; a sign-in tells nothing about
// whether an address has an account, by words or by time; an attempt is counted
// before its password is looked at, so parallel guesses get no more tries than
// guesses in a row.
//
// The tables of this package span brands on purpose; what a person or key
// reaches is what a [Membership] or [Key.BrandID] says, and callers carry that
// brand into every query.
package account

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"assent/internal/problem"
	"assent/internal/store"
)

// User is a person who may sign in.
type User struct {
	ID           uuid.UUID
	Email        string // lower case
	Name         string
	PasswordHash string // Argon2id, encoded with its parameters
	Language     string // BCP 47
	SessionEpoch int    // a session begun under another is over
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Role is what a person may do at a brand; each includes the ones after it.
type Role string

// The roles, the mightiest first.
const (
	Owner    Role = "owner"    // everything, and who else may what
	Marketer Role = "marketer" // writes and sends
	Analyst  Role = "analyst"  // reads, people included
	Reader   Role = "reader"   // reads sums, no people
)

var ranks = map[Role]int{Reader: 1, Analyst: 2, Marketer: 3, Owner: 4}

// Valid reports whether the role is one of the four.
func (r Role) Valid() bool { return ranks[r] > 0 }

// Includes reports whether who has r may do what least allows.
func (r Role) Includes(least Role) bool {
	return r.Valid() && least.Valid() && ranks[r] >= ranks[least]
}

// Membership is a role at a brand.
type Membership struct {
	UserID  uuid.UUID `gorm:"primaryKey"`
	BrandID uuid.UUID `gorm:"primaryKey"`
	Role    Role
}

const (
	emailMax = 254 // characters (RFC 5321 §4.5.3.1.3, less the angle brackets)
	nameMax  = 200
)

// Grant gives the user the role at the brand, in place of any other there.
func Grant(tx *store.Tx, userID, brandID uuid.UUID, role Role) error {
	if !role.Valid() {
		return problem.InvalidField("role", "problem.field.choice")
	}
	m := Membership{UserID: userID, BrandID: brandID, Role: role}
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "brand_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"role"}),
	}).Create(&m).Error
	if store.BrokenReference(err) {
		return problem.New(problem.NotFound, "account.membership-unknown").Because(err)
	}
	if err != nil {
		return fmt.Errorf("grant a role: %w", err)
	}
	return nil
}

// Memberships are the user's, the oldest brand first.
func Memberships(tx *store.Tx, userID uuid.UUID) ([]Membership, error) {
	var all []Membership
	if err := tx.Where("user_id = ?", userID).Order("brand_id").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list a user's roles: %w", err)
	}
	return all, nil
}

// InCharge are the people who decide about sending at a brand: its owners and marketers.
func InCharge(tx *store.Tx, brandID uuid.UUID) ([]User, error) {
	return who(tx, brandID, Owner, Marketer)
}

// Owners are those of the brand, by their address.
func Owners(tx *store.Tx, brandID uuid.UUID) ([]User, error) { return who(tx, brandID, Owner) }

func who(tx *store.Tx, brandID uuid.UUID, roles ...Role) ([]User, error) {
	var all []User
	err := tx.Where("id IN (SELECT user_id FROM memberships WHERE brand_id = ? AND role IN (?))", brandID, roles).
		Order("email").Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list who is in charge: %w", err)
	}
	return all, nil
}

// OfTheTeam tells whether the address is that of a user with a role at the brand.
func OfTheTeam(tx *store.Tx, brandID uuid.UUID, email string) (yes bool, err error) {
	err = tx.Raw("SELECT EXISTS (SELECT 1 FROM users u JOIN memberships m ON m.user_id = u.id WHERE u.email = ? AND m.brand_id = ?)", fold(email), brandID).Scan(&yes).Error
	if err != nil {
		return false, fmt.Errorf("ask whether somebody is of the team: %w", err)
	}
	return yes, nil
}

// Names are those of everybody who has, or had, to do with a brand: its members,
// and who stands in its log.
func Names(tx *store.Tx, brandID uuid.UUID) (map[uuid.UUID]string, error) {
	var all []User
	err := tx.Where(`id IN (SELECT user_id FROM memberships WHERE brand_id = ?) OR id IN (SELECT user_id FROM deeds WHERE brand_id = ?)`, brandID, brandID).
		Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list the names of a brand's people: %w", err)
	}
	names := make(map[uuid.UUID]string, len(all))
	for _, u := range all {
		names[u.ID] = u.Name
	}
	return names, nil
}

// Find gives a user by id.
func Find(tx *store.Tx, id uuid.UUID) (User, error) {
	var u User
	err := tx.Where("id = ?", id).Take(&u).Error
	return u, store.Found(err, "account.user-unknown")
}

// ByEmail gives a user by the address typed, however it is cased.
func ByEmail(tx *store.Tx, email string) (User, error) {
	var u User
	err := tx.Where("email = ?", fold(email)).Take(&u).Error
	return u, store.Found(err, "account.user-unknown")
}

// Count is how many people may sign in; a house with none is still to be set up.
func Count(tx *store.Tx) (int64, error) {
	var n int64
	if err := tx.Model(&User{}).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count users: %w", err)
	}
	return n, nil
}

func fold(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// checkEmail wants a bare addr-spec that net/mail reads back unchanged.
func checkEmail(email string) (string, error) {
	e := fold(email)
	if e == "" {
		return "", problem.InvalidField("email", "problem.field.required")
	}
	if len(e) > emailMax {
		return "", problem.InvalidField("email", "problem.field.too-long", "Max", emailMax)
	}
	a, err := mail.ParseAddress(e)
	if err != nil || a.Address != e || a.Name != "" {
		return "", problem.InvalidField("email", "account.field.email")
	}
	return e, nil
}

// checkName wants one line of text.
func checkName(field, name string) (string, error) {
	n := strings.TrimSpace(name)
	switch {
	case n == "":
		return "", problem.InvalidField(field, "problem.field.required")
	case !utf8.ValidString(n):
		return "", problem.InvalidField(field, "problem.field.utf8")
	case utf8.RuneCountInString(n) > nameMax:
		return "", problem.InvalidField(field, "problem.field.too-long", "Max", nameMax)
	case strings.IndexFunc(n, unicode.IsControl) >= 0:
		return "", problem.InvalidField(field, "problem.field.line-break")
	}
	return n, nil
}
