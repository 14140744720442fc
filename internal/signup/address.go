package signup

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// AddressChange is a wish to be written to at another address. It comes true
// only by the link in the mail to the new one.
type AddressChange struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	Email        string // the new one, as typed
	AddressHash  []byte
	CreatedAt    time.Time
	ExpiresAt    time.Time
	ConfirmedAt  *time.Time
}

// url is the address of the page where a change is confirmed: it shares /c/ with
// the double opt-in, and the kind of the token tells them apart.
func (a AddressChange) url(urls link.URLs) string {
	return urls.Base.JoinPath("c", urls.SignIDs(link.AddressChange, a.ID)).String()
}

// changesPerDay are the changes that a person may ask for in 24 hours: each
// writes to an address that somebody typed.
const changesPerDay = 3

// ChangeAddress writes the wish down and tells both addresses: the new one is
// asked, the old one is told and can stop it on the preference page. An earlier
// wish that is still open ends. Where the new address may not be written to (it
// is suppressed, or had its share of mails) it is not asked, and that shows in
// nothing that the person sees. The address they have already is
// problem.Invalid, the fourth wish in a day problem.TooMany.
func ChangeAddress(tx *store.Tx, set Settings, brandID, subscriberID uuid.UUID, typed string) error {
	address, err := subscriber.ParseAddress(typed)
	if err != nil {
		return err
	}
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return err
	}
	key, err := addressKey(tx, address.Normal)
	if err != nil {
		return err
	}
	if err := lockAddress(tx, key); err != nil {
		return err
	}
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return err
	}
	a := AddressChange{
		ID: tx.NewID(), BrandID: brandID, SubscriberID: subscriberID, Email: address.Typed,
		CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(set.AskLife),
	}
	if a.AddressHash, err = p.Brand.AddressHash(tx, address.Normal); err != nil {
		return err
	}
	if string(a.AddressHash) == string(p.Subscriber.AddressHash) {
		return problem.InvalidField("email", "signup.address.same")
	}
	if err := a.write(tx); err != nil {
		return err
	}
	_, stopped, err := consent.Suppressed(tx, brandID, a.AddressHash, consent.ConfirmMail)
	if err != nil {
		return err
	}
	may, err := set.mayMail(tx, key)
	if err != nil {
		return err
	}
	toOld, toNew, err := a.mails(tx, set, p)
	if err != nil {
		return err
	}
	if _, _, err := delivery.Queue(tx, toOld); err != nil {
		return err
	}
	return attempt(tx, "address", may && !stopped, func() error {
		if err := countMail(tx, key); err != nil {
			return err
		}
		_, _, err := delivery.Queue(tx, toNew)
		return err
	})
}

// write stores the wish in place of the one that is open. It reads and keeps to
// the index address_changes_person.
func (a AddressChange) write(tx *store.Tx) error {
	var today int
	err := tx.Raw("SELECT count(*) FROM address_changes WHERE subscriber_id = ? AND brand_id = ? AND created_at > ?",
		a.SubscriberID, a.BrandID, tx.Now().Add(-24*time.Hour)).Scan(&today).Error
	if err != nil {
		return fmt.Errorf("count changes of address: %w", err)
	}
	if today >= changesPerDay {
		return problem.New(problem.TooMany, "signup.address.later")
	}
	if err := endChanges(tx, a.BrandID, a.SubscriberID); err != nil {
		return err
	}
	if err := tx.Create(&a).Error; err != nil {
		return fmt.Errorf("store a change of address: %w", err)
	}
	return nil
}

// The parts of a change's two mails.
const (
	partOld = 0
	partNew = 1
)

func (a AddressChange) mails(tx *store.Tx, set Settings, p Preferences) (toOld, toNew delivery.Draft, err error) {
	stream, err := delivery.BrandStream(tx, a.BrandID, delivery.OriginService)
	if err != nil {
		return toOld, toNew, err
	}
	l := i18n.For(p.Subscriber.Language)
	asked := l.DateTime(tx.Now(), p.Subscriber.Location(p.Brand))
	draft := delivery.Draft{
		Source: a.ID, Stream: stream, Brand: a.BrandID, Subscriber: &a.SubscriberID, Kind: delivery.Service,
		Language: p.Subscriber.Language, Due: tx.Now(),
	}
	toOld, toNew = draft, draft
	toOld.Part, toOld.Template, toOld.Recipient = partOld, "address-old", p.Subscriber.Email
	toOld.Data = map[string]any{"name": p.Subscriber.Name, "new_address": a.Email, "requested_at": asked,
		"not_me_url": set.URLs.Preferences(a.BrandID, a.SubscriberID)}
	toNew.Part, toNew.Template, toNew.Recipient = partNew, "address-new", a.Email
	toNew.Data = map[string]any{"name": p.Subscriber.Name, "old_address": p.Subscriber.Email, "requested_at": asked,
		"confirm_url": a.url(set.URLs), "not_me_url": a.url(set.URLs) + "?answer=notme"}
	return toOld, toNew, nil
}

// endChanges closes the wishes of a person that are still open.
func endChanges(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	_, err := tx.Run(`UPDATE address_changes SET expires_at = ? WHERE subscriber_id = ? AND brand_id = ?
		AND confirmed_at IS NULL AND expires_at > ?`, tx.Now(), subscriberID, brandID, tx.Now())
	if err != nil {
		return fmt.Errorf("end changes of address: %w", err)
	}
	return nil
}

func openChange(tx *store.Tx, brandID, subscriberID uuid.UUID) (*AddressChange, error) {
	var rows []AddressChange
	err := tx.Raw(`SELECT * FROM address_changes WHERE subscriber_id = ? AND brand_id = ?
		AND confirmed_at IS NULL AND expires_at > ? ORDER BY created_at DESC LIMIT 1`, subscriberID, brandID, tx.Now()).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find a change of address: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// StopChange ends a change of address that waits, for the person who did not
// ask for it. Repeatable.
func StopChange(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	return endChanges(tx, brandID, subscriberID)
}

// Move is a change of address as its page shows it to the new mailbox.
type Move struct {
	Change     AddressChange
	Brand      brand.Brand
	Subscriber subscriber.Subscriber
	Expired    bool
}

// LookAtMove reads a change of address for its page.
func LookAtMove(tx *store.Tx, id uuid.UUID) (Move, error) { return readMove(tx, "", id) }

func readMove(tx *store.Tx, lock string, id uuid.UUID) (Move, error) {
	var rows []AddressChange
	if err := tx.Raw("SELECT * FROM address_changes WHERE id = ?"+lock, id).Scan(&rows).Error; err != nil {
		return Move{}, fmt.Errorf("read a change of address: %w", err)
	}
	if len(rows) == 0 {
		return Move{}, problem.New(problem.NotFound, "link.unknown")
	}
	m := Move{Change: rows[0]}
	p, err := Preference(tx, m.Change.BrandID, m.Change.SubscriberID)
	m.Brand, m.Subscriber = p.Brand, p.Subscriber
	m.Expired = m.Change.ConfirmedAt == nil && !tx.Now().Before(m.Change.ExpiresAt)
	return m, err
}

// ConfirmMove gives the person the new address, by its own mailbox's word. What
// they allowed goes with them. Repeatable. A change whose time is over, or that
// was stopped, is problem.Gone "signup.address.expired"; an address that
// another subscriber has by now is problem.Conflict.
func ConfirmMove(tx *store.Tx, id uuid.UUID) (Move, error) {
	m, err := readMove(tx, tx.ForUpdate(), id)
	if err != nil || m.Change.ConfirmedAt != nil {
		return m, err
	}
	if m.Expired {
		return m, problem.New(problem.Gone, "signup.address.expired")
	}
	address, err := subscriber.ParseAddress(m.Change.Email)
	if err != nil {
		return m, err
	}
	if m.Subscriber, err = subscriber.ChangeAddress(tx, m.Brand, m.Subscriber.ID, address); err != nil {
		return m, err
	}
	now := tx.Now()
	m.Change.ConfirmedAt = &now
	_, err = tx.Run("UPDATE address_changes SET confirmed_at = ? WHERE id = ? AND brand_id = ?", now, id, m.Brand.ID)
	if err != nil {
		return m, fmt.Errorf("confirm a change of address: %w", err)
	}
	p := Preferences{Brand: m.Brand, Subscriber: m.Subscriber}
	return m, p.changed(tx, consent.ChangedAddress, []string{"address"}, consent.MethodDoubleOptIn, map[string]any{"change_id": m.Change.ID.String()})
}

// DisownMove ends a change for the owner of the new mailbox, who knows nothing
// of it; their address is left alone by the brand from then on. Repeatable, and
// problem.Conflict "signup.address.moved" once the address was confirmed.
func DisownMove(tx *store.Tx, id uuid.UUID) (Move, error) {
	m, err := readMove(tx, tx.ForUpdate(), id)
	if err != nil {
		return m, err
	}
	if m.Change.ConfirmedAt != nil {
		return m, problem.New(problem.Conflict, "signup.address.moved")
	}
	if !m.Expired {
		if err := endChanges(tx, m.Brand.ID, m.Subscriber.ID); err != nil {
			return m, err
		}
		m.Expired = true
	}
	return m, consent.Suppress(tx, m.Brand, m.Change.AddressHash, consent.NotMe, "address-change")
}
