package signup

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/problem"
	"assent/internal/store"
)

// Community is what a brand lets its subscribers do with one another. The zero
// value is nothing.
type Community struct {
	BrandID     uuid.UUID `gorm:"primaryKey"`
	Ideas       bool      // propose topics, and second them
	Invitations bool      // invite friends
	FormID      *uuid.UUID
	Texts       map[string]string `gorm:"serializer:json"` // language → a few words above the ideas
	UpdatedAt   time.Time
}

const introMax = 500 // characters above the ideas

// CommunityOf reads it; a brand that never said anything has the zero value.
func CommunityOf(tx *store.Tx, brandID uuid.UUID) (Community, error) {
	return communityOf(tx, brandID, "")
}

// LockCommunity is CommunityOf for who is about to change it. The brand's row is
// held, for there may be none of its own yet.
func LockCommunity(tx *store.Tx, brandID uuid.UUID) (Community, error) {
	if _, err := brand.Lock(tx, brandID); err != nil {
		return Community{}, err
	}
	return communityOf(tx, brandID, tx.ForUpdate())
}

func communityOf(tx *store.Tx, brandID uuid.UUID, lock string) (Community, error) {
	var rows []Community
	if err := tx.Raw("SELECT * FROM communities WHERE brand_id = ?"+lock, brandID).Scan(&rows).Error; err != nil {
		return Community{}, fmt.Errorf("read what subscribers may do: %w", err)
	}
	if len(rows) == 0 {
		return Community{BrandID: brandID}, nil
	}
	rows[0].UpdatedAt = rows[0].UpdatedAt.UTC()
	return rows[0], nil
}

// SaveCommunity sets it. Invitations need a form whose words they ask in: without
// one it is problem.Invalid; a form of another brand too.
func SaveCommunity(tx *store.Tx, b brand.Brand, c Community) error {
	wrong := problem.New(problem.Invalid, "problem.invalid")
	if c.FormID != nil {
		f, err := Find(tx, b.ID, *c.FormID)
		if problem.Is(err, problem.NotFound) || err == nil && f.ClosedAt != nil {
			wrong.Field("form", "problem.field.choice")
		} else if err != nil {
			return err
		}
	} else if c.Invitations {
		wrong.Field("form", "problem.field.required")
	}
	texts := map[string]string{}
	for lang, s := range c.Texts {
		if s = lines(wrong, "texts/"+lang, s, introMax); s != "" {
			texts[lang] = s
		}
	}
	if err := wrong.OrNil(); err != nil {
		return err
	}
	c.BrandID, c.Texts, c.UpdatedAt = b.ID, texts, tx.Now()
	if err := tx.Save(&c).Error; err != nil {
		return fmt.Errorf("set what subscribers may do: %w", err)
	}
	return nil
}

// member tells whether somebody is one of those that the brand may write to: only
// they take part.
func member(tx *store.Tx, p Preferences) error {
	_, stopped, err := consent.Suppressed(tx, p.Brand.ID, p.Subscriber.AddressHash, consent.MarketingMail)
	if err != nil {
		return err
	}
	for _, c := range p.Choices {
		if !c.Box.Tracking() && c.On && !stopped {
			return nil
		}
	}
	return problem.New(problem.Conflict, "signup.community.not-member", "Brand", p.Brand.In(p.Language).Name)
}

// ForgetCommunity takes away what ties somebody to ideas and invitations: what
// they proposed and nobody else has seen goes with them; what others have seconded
// stays, of nobody. Addresses that were invited stay as keyed hashes, and the mails
// to them lose the name of who invited; it stands in the sealed evidence of those
// who were asked, and is theirs.
func ForgetCommunity(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	var asked []uuid.UUID
	err := tx.Raw("SELECT request_id FROM friend_invitations WHERE subscriber_id = ? AND brand_id = ? AND request_id IS NOT NULL", subscriberID, brandID).Scan(&asked).Error
	if err != nil {
		return fmt.Errorf("look whom somebody invited: %w", err)
	}
	for _, id := range asked {
		if err := delivery.Unname(tx, brandID, id, invitedBy); err != nil {
			return err
		}
	}
	for _, sql := range []string{
		"DELETE FROM idea_seconds WHERE subscriber_id = ? AND brand_id = ?",
		"DELETE FROM ideas WHERE subscriber_id = ? AND brand_id = ? AND state = 'proposed'",
		"UPDATE ideas SET subscriber_id = NULL WHERE subscriber_id = ? AND brand_id = ?",
		"DELETE FROM friend_invitations WHERE subscriber_id = ? AND brand_id = ?",
	} {
		if _, err := tx.Run(sql, subscriberID, brandID); err != nil {
			return fmt.Errorf("forget somebody's ideas and invitations: %w", err)
		}
	}
	return nil
}

// invitedKeys name an address, and its domain, for ever.
func invitedKeys(tx *store.Tx, normal string) (address, domain []byte, err error) {
	key, err := tx.LastingKey("invited addresses")
	if err != nil {
		return nil, nil, err
	}
	sum := func(what, value string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(what + "\x00" + value))
		return h.Sum(nil)
	}
	_, host, _ := strings.Cut(normal, "@")
	return sum("address", mailbox(normal)), sum("domain", host)[:16], nil
}
