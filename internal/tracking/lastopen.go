package tracking

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/store"
)

// What is kept of opens for clean lists alone (CNIL 2026-042: the day of the
// last one, written over). A brand that wants no more than that has no hits of
// opens, and so no figures of them; which person it was is shown to nobody.

// date keeps the day of an open at brands that keep no more of it: by a person,
// who allows opens to be seen, one row a person, written over.
func date(tx *store.Tx, group []*call, mails []found, why [][]string) error {
	days := map[uuid.UUID]row{}
	for i, c := range group {
		f := mails[i]
		if !c.known || !f.Dated || c.kind != Open || f.SubscriberID == nil || len(why[i]) > 0 {
			continue
		}
		r := c.row(i)
		r.Brand, r.Person = f.BrandID, *f.SubscriberID
		r.At = c.at.In(brand.Zone(f.TimeZone)).Format(time.DateOnly)
		if before, ok := days[r.Person]; !ok || before.At < r.At {
			days[r.Person] = r
		}
	}
	if len(days) == 0 {
		return nil
	}
	all := make([]row, 0, len(days))
	for _, r := range days {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return bytes.Compare(a.Person[:], b.Person[:]) })
	param, err := encode(all)
	if err != nil {
		return err
	}
	_, err = tx.Run(`INSERT INTO last_opens (subscriber_id, brand_id, day)
		SELECT v.p, v.b, `+tx.Pick("CAST(v.at AS date)", "v.at")+` FROM `+groupTable(tx)+` WHERE `+permittedSQL+`
		ON CONFLICT (subscriber_id) DO UPDATE SET day = excluded.day WHERE last_opens.day < excluded.day`, param, tx.Now())
	if err != nil {
		return fmt.Errorf("keep the day of the last open: %w", err)
	}
	return nil
}

// LastOpenDate is the day, in the brand's zone, on which a person was last seen
// to open one of the brand's mails; zero where none is known, which says nothing
// of somebody who allows no opens to be seen. It is for keeping lists clean: no
// page shows it. It costs a row by its key, and the newest of the person's hits
// by hits_person.
func LastOpenDate(tx *store.Tx, b brand.Brand, subscriberID uuid.UUID) (time.Time, error) {
	var kept []struct{ Day time.Time }
	err := tx.Raw("SELECT day FROM last_opens WHERE subscriber_id = ? AND brand_id = ?", subscriberID, b.ID).Scan(&kept).Error
	if err != nil {
		return time.Time{}, fmt.Errorf("read the day of the last open: %w", err)
	}
	var hits []Hit
	err = tx.Where("subscriber_id = ? AND brand_id = ? AND kind = 'open' AND machine = ''", subscriberID, b.ID).Order("at DESC").Limit(1).Find(&hits).Error
	if err != nil {
		return time.Time{}, fmt.Errorf("read the last open: %w", err)
	}
	var day time.Time
	if len(kept) > 0 {
		y, m, d := kept[0].Day.Date()
		day = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	if len(hits) > 0 {
		y, m, d := hits[0].At.In(b.Location()).Date()
		if seen := time.Date(y, m, d, 0, 0, 0, 0, time.UTC); seen.After(day) {
			day = seen
		}
	}
	return day, nil
}

// ForgetLastOpen takes the day away that was kept of somebody, when the
// permission that it stood on is gone.
func ForgetLastOpen(tx *store.Tx, brandID, subscriberID uuid.UUID) error {
	if _, err := tx.Run("DELETE FROM last_opens WHERE subscriber_id = ? AND brand_id = ?", subscriberID, brandID); err != nil {
		return fmt.Errorf("forget the day of the last open: %w", err)
	}
	return nil
}
