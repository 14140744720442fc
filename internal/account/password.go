package account

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"

	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
)

// Cost is what one password costs Argon2id (RFC 9106), at parallelism 1.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
}

// Standard is above what OWASP's password storage sheet asks for (19 MiB, t=2,
// p=1), and low enough for two at once on a small machine.
var Standard = Cost{MemoryKiB: 32 * 1024, Passes: 3}

func (c Cost) params() argon2id.Params {
	return argon2id.Params{Memory: c.MemoryKiB, Iterations: c.Passes, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

const (
	passwordMin = 12   // characters
	passwordMax = 1024 // bytes: Argon2id takes any length, a form should not
	hashers     = 2    // at once: 64 MiB at most
	hashWait    = 5 * time.Second
)

// Door lets people in. It bounds how many passwords are hashed at once, so a
// crowd of guesses costs time and not memory. It is safe for concurrent use.
type Door struct {
	db      *store.DB
	hashing chan struct{}
	cost    argon2id.Params
	nobody  string // a hash to compare with when there is no account
}

// NewDoor makes the door of a database. Passwords are hashed at the cost given:
// Standard, but for tests, where nobody guesses.
func NewDoor(db *store.DB, cost Cost) (*Door, error) {
	d := &Door{db: db, hashing: make(chan struct{}, hashers), cost: cost.params()}
	var err error
	if d.nobody, err = argon2id.CreateHash("the password of nobody", &d.cost); err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return d, nil
}

// turn waits for a place among the hashers; when none comes free in time the
// answer is problem.Unavailable.
func (d *Door) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case d.hashing <- struct{}{}:
		return func() { <-d.hashing }, nil
	case <-ctx.Done():
		return nil, problem.New(problem.Unavailable, "account.busy").Because(ctx.Err())
	}
}

func (d *Door) hash(ctx context.Context, password string) (string, error) {
	done, err := d.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	h, err := argon2id.CreateHash(password, &d.cost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return h, nil
}

// matches takes as long whether hash is someone's or nobody's.
func (d *Door) matches(ctx context.Context, password, hash string) (bool, error) {
	done, err := d.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if hash == "" {
		_, err = argon2id.ComparePasswordAndHash(password, d.nobody)
		return false, err
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	return ok, nil
}

// NewUser is what it takes to add a person.
type NewUser struct {
	Email    string
	Name     string
	Password string // 12 characters or more
	Language string // BCP 47; empty is English
}

// AddUser adds a person, who may do nothing anywhere until a role is granted.
// An address that has an account already is problem.Conflict.
func (d *Door) AddUser(ctx context.Context, n NewUser) (User, error) {
	u, err := d.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	return u, d.db.Write(ctx, u.add)
}

// prepare checks the person and hashes the password, which takes long and is
// done in no transaction.
func (d *Door) prepare(ctx context.Context, n NewUser) (u User, err error) {
	p := problem.New(problem.Invalid, "problem.invalid")
	note := func(err error) {
		if wrong, ok := problem.Of(err); ok {
			p.Fields = append(p.Fields, wrong.Fields...)
		}
	}
	u.Name, err = checkName("name", n.Name)
	note(err)
	u.Email, err = checkEmail(n.Email)
	note(err)
	note(checkPassword(n.Password, u.Email))
	u.Language = cmp.Or(n.Language, "en")
	if !slices.Contains(i18n.Languages, u.Language) {
		p.Field("language", "problem.field.choice")
	}
	if err := p.OrNil(); err != nil {
		return User{}, err
	}
	u.PasswordHash, err = d.hash(ctx, n.Password)
	return u, err
}

// add stores a person who was prepared.
func (u *User) add(tx *store.Tx) error {
	u.ID, u.CreatedAt, u.UpdatedAt = tx.NewID(), tx.Now(), tx.Now()
	err := tx.Create(u).Error
	if store.Duplicate(err) {
		return problem.New(problem.Conflict, "account.user-exists").Because(err)
	}
	if err != nil {
		return fmt.Errorf("add a user: %w", err)
	}
	return nil
}

// SetPassword gives the person a new password, ends all their sessions with it,
// and forgets the failures counted against their address.
func (d *Door) SetPassword(ctx context.Context, email, password string) error {
	if err := checkPassword(password, fold(email)); err != nil {
		return err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.db.Write(ctx, func(tx *store.Tx) error {
		u, err := ByEmail(tx, email)
		if err != nil {
			return err
		}
		if _, err := tx.Run("UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, tx.Now(), u.ID); err != nil {
			return fmt.Errorf("set a password: %w", err)
		}
		return u.unlock(tx)
	})
}

// unlock ends what a new password ends: the failures counted against the
// address, and the links by which a forgotten one could be set.
func (u User) unlock(tx *store.Tx) error {
	if _, err := tx.Run("DELETE FROM password_resets WHERE user_id = ?", u.ID); err != nil {
		return fmt.Errorf("end the links for a new password: %w", err)
	}
	return forget(tx, failureKeys(tx, u.Email, "")[0])
}

// Describe changes how a user is called, and the language that the pages speak
// to them.
func Describe(tx *store.Tx, userID uuid.UUID, name, language string) error {
	name, err := checkName("name", name)
	if err != nil {
		return err
	}
	if !slices.Contains(i18n.Languages, language) {
		return problem.InvalidField("language", "problem.field.choice")
	}
	if _, err := tx.Run("UPDATE users SET name = ?, language = ?, updated_at = ? WHERE id = ?", name, language, tx.Now(), userID); err != nil {
		return fmt.Errorf("change a user: %w", err)
	}
	return nil
}

func checkPassword(password, email string) error {
	switch {
	case !utf8.ValidString(password):
		return problem.InvalidField("password", "problem.field.utf8")
	case utf8.RuneCountInString(password) < passwordMin:
		return problem.InvalidField("password", "problem.field.too-short", "Min", passwordMin)
	case len(password) > passwordMax:
		return problem.InvalidField("password", "problem.field.too-long", "Max", passwordMax)
	case strings.EqualFold(password, email):
		return problem.InvalidField("password", "account.field.password-is-email")
	}
	return nil
}
