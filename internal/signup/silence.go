package signup

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// walkEvery is how often all people of a brand are looked at for their silence.
const walkEvery = 24 * time.Hour

// AskTheSilent goes on with the look for people who were silent for as many months
// as their brand says, and asks each once whether they still want what they
// allowed. Where something shows when they are there (they let themselves be
// seen, or they bought or followed something once) their permissions end unless
// they answer in time; of the others nobody can tell, and they are only asked.
// It looks at most at limit people, leaves its place with what it did, and
// tells how many it looked at.
func AskTheSilent(tx *store.Tx, set Settings, limit int) (looked int, err error) {
	var brands []brand.Brand
	if err := tx.Raw("SELECT * FROM brands WHERE silent_months > 0 ORDER BY id").Scan(&brands).Error; err != nil {
		return 0, fmt.Errorf("look for brands that ask the silent: %w", err)
	}
	for _, b := range brands {
		n, err := askSilentOf(tx, set, b, limit-looked)
		if looked += n; err != nil || looked >= limit {
			return looked, err
		}
	}
	return looked, nil
}

func askSilentOf(tx *store.Tx, set Settings, b brand.Brand, limit int) (int, error) {
	_, err := tx.Run("INSERT INTO silence_walks (brand_id, place, due_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", b.ID, uuid.Nil, tx.Now())
	if err != nil {
		return 0, fmt.Errorf("begin to look for the silent: %w", err)
	}
	var walk []struct {
		Place uuid.UUID
		DueAt time.Time
	}
	err = tx.Raw("SELECT place, due_at FROM silence_walks WHERE brand_id = ?"+tx.ForUpdate(), b.ID).Scan(&walk).Error
	if err != nil || len(walk) == 0 || walk[0].DueAt.After(tx.Now()) {
		return 0, err
	}
	since := consent.DayOf(tx.Now(), b.Location()).In(b.Location()).AddDate(0, -b.SilentMonths, 0)
	var ids []uuid.UUID
	err = tx.Raw(`SELECT DISTINCT p.subscriber_id FROM permissions p JOIN topics t ON t.id = p.topic_id JOIN subscribers s ON s.id = p.subscriber_id
		WHERE p.brand_id = ? AND p.subscriber_id > ? AND p.since <= ? AND (p.valid_until IS NULL OR p.valid_until > ?) AND t.purpose = 'marketing' AND `+mayBeAsked+`
		AND NOT EXISTS (SELECT 1 FROM asked_consents a WHERE a.event_id = p.event_id AND a.why = 'silent')
		ORDER BY p.subscriber_id LIMIT ?`, b.ID, walk[0].Place, since, tx.Now(), tx.Now(), limit).Scan(&ids).Error
	if err != nil {
		return 0, fmt.Errorf("look for the silent: %w", err)
	}
	alive, err := livedSince(tx, b.ID, ids, since)
	if err != nil {
		return 0, err
	}
	shows, err := showLife(tx, b.ID, ids, since)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if alive[id] {
			continue
		}
		if err := askSilent(tx, set, b, id, since, shows[id]); err != nil {
			return 0, err
		}
	}
	place, due := uuid.Nil, tx.Now().Add(walkEvery)
	if len(ids) == limit {
		place, due = ids[len(ids)-1], tx.Now()
	}
	if _, err := tx.Run("UPDATE silence_walks SET place = ?, due_at = ? WHERE brand_id = ?", place, due, b.ID); err != nil {
		return 0, fmt.Errorf("leave the place in the look for the silent: %w", err)
	}
	return len(ids), nil
}

func askSilent(tx *store.Tx, set Settings, b brand.Brand, id uuid.UUID, since time.Time, judged bool) error {
	s, err := subscriber.Lock(tx, b.ID, id)
	if err != nil || s.ErasedAt != nil || s.ObjectedAt != nil {
		return err
	}
	q := asking{Asking: Asking{ID: tx.NewID(), BrandID: b.ID, SubscriberID: id, Kind: AskSilent, Language: b.Offers(s.Language), State: AskingOpen, AskedAt: tx.Now()}, brand: b, who: s}
	if judged {
		due := tx.Now().AddDate(0, 0, b.SilentDays)
		q.DueAt = &due
	}
	err = q.gather(tx, func(t consent.Topic, p consent.Permission) (string, bool) { return AskSilent, !p.Since.After(since) })
	if err != nil || len(q.Boxes) == 0 {
		return err
	}
	return q.send(tx, set)
}

// own are the ways in which people say something themselves.
var own = []string{consent.MethodDoubleOptIn, consent.MethodPreferences, consent.MethodRenewal, consent.MethodRePermission, consent.MethodOneClick,
	consent.MethodUnsubscribe, consent.MethodForm, consent.MethodSingleOptIn, consent.MethodPaper, consent.MethodPhone}

// livedSince tells who showed that they are there after a time: they opened or
// followed something, where they may be seen, bought, or said something.
func livedSince(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID, since time.Time) (map[uuid.UUID]bool, error) {
	return those(tx, ids, `SELECT s.id FROM subscribers s WHERE s.brand_id = ? AND s.id IN (?) AND (
		EXISTS (SELECT 1 FROM hits h WHERE h.subscriber_id = s.id AND h.at > ? AND h.machine = '')
		OR EXISTS (SELECT 1 FROM last_opens d WHERE d.brand_id = s.brand_id AND d.subscriber_id = s.id AND d.day >= ?)
		OR EXISTS (SELECT 1 FROM orders o WHERE o.brand_id = s.brand_id AND o.subscriber_id = s.id AND o.placed_at > ?)
		OR EXISTS (SELECT 1 FROM consent_events e WHERE e.brand_id = s.brand_id AND e.subscriber_id = s.id AND e.occurred_at > ? AND e.method IN (?)))`,
		brandID, ids, since, since.Format(time.DateOnly), since, since, own)
}

// showLife tells of whom one can tell whether they are there: all the while
// they let themselves be seen, or they bought or followed something once.
func showLife(tx *store.Tx, brandID uuid.UUID, ids []uuid.UUID, since time.Time) (map[uuid.UUID]bool, error) {
	return those(tx, ids, `SELECT s.id FROM subscribers s WHERE s.brand_id = ? AND s.id IN (?) AND (
		EXISTS (SELECT 1 FROM permissions p JOIN topics t ON t.id = p.topic_id WHERE p.subscriber_id = s.id AND p.brand_id = s.brand_id AND t.purpose IN ('opens', 'clicks')
			AND p.state IN ('given', 'renewed') AND p.since <= ? AND (p.valid_until IS NULL OR p.valid_until > ?))
		OR EXISTS (SELECT 1 FROM hits h WHERE h.subscriber_id = s.id AND h.machine = '')
		OR EXISTS (SELECT 1 FROM orders o WHERE o.brand_id = s.brand_id AND o.subscriber_id = s.id))`,
		brandID, ids, since, tx.Now())
}

func those(tx *store.Tx, ids []uuid.UUID, query string, args ...any) (map[uuid.UUID]bool, error) {
	all := map[uuid.UUID]bool{}
	if len(ids) == 0 {
		return all, nil
	}
	var found []uuid.UUID
	if err := tx.Raw(query, args...).Scan(&found).Error; err != nil {
		return nil, fmt.Errorf("look for signs of life: %w", err)
	}
	for _, id := range found {
		all[id] = true
	}
	return all, nil
}
