package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"assent/internal/problem"
	"assent/internal/store"
)

// How long a session lives.
const (
	idleLife  = 12 * time.Hour
	wholeLife = 7 * 24 * time.Hour
	seenEvery = 5 * time.Minute // how often a used session is written anew
	seenMost  = 500 * time.Millisecond
)

// Sessions keeps who is signed in, on the table sessions. The cookie is
// HttpOnly and SameSite=Lax, ends with the browser, and over https carries the
// __Host- prefix (RFC 6265bis §4.1.3.2); the token in it changes at sign-in.
type Sessions struct {
	db      *store.DB
	manager *scs.SessionManager
}

// NewSessions makes the sessions of a database; secure is whether the public
// address is https.
func NewSessions(db *store.DB, secure bool) *Sessions {
	m := scs.New()
	m.Store = sessionStore{db}
	m.IdleTimeout, m.Lifetime = idleLife, wholeLife
	m.Cookie = scs.SessionCookie{Name: "assent", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure}
	if secure {
		m.Cookie.Name = "__Host-assent"
	}
	return &Sessions{db: db, manager: m}
}

// Actor is who asks: a user with the roles they have.
type Actor struct {
	User        User
	Memberships []Membership
}

// Role is the actor's at a brand; empty where they have none.
func (a Actor) Role(brandID uuid.UUID) Role {
	for _, m := range a.Memberships {
		if m.BrandID == brandID {
			return m.Role
		}
	}
	return ""
}

// Load puts the session of the request's cookie into the context that is
// returned; the other methods want that context. A cookie that names no session
// is a session of nobody.
func (s *Sessions) Load(r *http.Request) (context.Context, error) {
	token := ""
	if c, err := r.Cookie(s.manager.Cookie.Name); err == nil {
		token = c.Value
	}
	ctx, err := s.manager.Load(r.Context(), token)
	if err != nil {
		return nil, fmt.Errorf("load a session: %w", err)
	}
	return ctx, nil
}

// Begin signs the user in under a new token and sets the cookie: whoever knew
// the old token knows nothing of the new one.
func (s *Sessions) Begin(ctx context.Context, w http.ResponseWriter, u User) error {
	if err := s.manager.RenewToken(ctx); err != nil {
		return fmt.Errorf("renew a session: %w", err)
	}
	s.manager.Put(ctx, "user", u.ID.String())
	s.manager.Put(ctx, "proof", proof(u))
	s.manager.Put(ctx, "seen", s.db.Now().Unix())
	token, expiry, err := s.manager.Commit(ctx)
	if err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	s.manager.WriteSessionCookie(ctx, w, token, expiry)
	return nil
}

// End signs out: the session is gone from the database and the cookie from the browser.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter) error {
	if err := s.manager.Destroy(ctx); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	s.manager.WriteSessionCookie(ctx, w, "", time.Time{})
	return nil
}

// Actor gives who is signed in. Nobody, a session that is over, and one begun
// with a password since changed are problem.Unauthorized "account.sign-in-first".
func (s *Sessions) Actor(ctx context.Context) (Actor, error) {
	first := problem.New(problem.Unauthorized, "account.sign-in-first")
	id, err := uuid.Parse(s.manager.GetString(ctx, "user"))
	if err != nil {
		return Actor{}, first
	}
	var a Actor
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if a.User, err = Find(tx, id); err != nil {
			return err
		}
		a.Memberships, err = Memberships(tx, id)
		return err
	})
	if problem.Is(err, problem.NotFound) {
		return Actor{}, first
	}
	if err != nil {
		return Actor{}, fmt.Errorf("find who is signed in: %w", err)
	}
	if subtle.ConstantTimeCompare(s.manager.GetBytes(ctx, "proof"), proof(a.User)) != 1 {
		return Actor{}, first
	}
	s.seen(ctx)
	return a, nil
}

// seen moves the idle end on, at most once in five minutes. It does not wait for
// a writer who takes long: the next visit moves it on as well.
func (s *Sessions) seen(ctx context.Context) {
	now := s.db.Now()
	if now.Sub(time.Unix(s.manager.GetInt64(ctx, "seen"), 0)) < seenEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, seenMost)
	defer cancel()
	s.manager.Put(ctx, "seen", now.Unix())
	_, _, _ = s.manager.Commit(ctx)
}

// proof ties a session to the password it began with, and to the user's epoch.
func proof(u User) []byte {
	text := "session\x00" + u.PasswordHash
	if u.SessionEpoch > 0 {
		text += "\x00" + strconv.Itoa(u.SessionEpoch)
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:16]
}

// EndSessions ends all sessions of a user, wherever they are signed in.
func EndSessions(tx *store.Tx, userID uuid.UUID) error {
	if _, err := tx.Run("UPDATE users SET session_epoch = session_epoch + 1 WHERE id = ?", userID); err != nil {
		return fmt.Errorf("end a user's sessions: %w", err)
	}
	return nil
}

// sessionStore is scs's store on our table. The token is stored as its SHA-256,
// so a copy of the table signs nobody in. An end is moved from the wall clock,
// which scs keeps, to the database's, so that both tell the same.
type sessionStore struct{ db *store.DB }

type session struct {
	TokenHash []byte `gorm:"primaryKey"`
	Data      []byte
	ExpiresAt time.Time
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func (s sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	var found session
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Where("token_hash = ? AND expires_at > ?", tokenHash(token), tx.Now()).Take(&found).Error
	})
	if store.Missing(err) {
		return nil, false, nil
	}
	return found.Data, err == nil, err
}

func (s sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	left := time.Until(expiry)
	return s.db.Write(ctx, func(tx *store.Tx) error {
		row := session{TokenHash: tokenHash(token), Data: data, ExpiresAt: tx.Now().Add(left).Truncate(time.Microsecond)}
		return tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "token_hash"}},
			DoUpdates: clause.AssignmentColumns([]string{"data", "expires_at"}),
		}).Create(&row).Error
	})
}

func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Run("DELETE FROM sessions WHERE token_hash = ?", tokenHash(token))
		return err
	})
}

// errNoContext: scs calls these only for stores that take no context.
var errNoContext = errors.New("the session store is used with a context only")

func (sessionStore) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (sessionStore) Commit(string, []byte, time.Time) error { return errNoContext }
func (sessionStore) Delete(string) error                    { return errNoContext }
