package admin

import (
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/offer"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// CodeRow is one code in the list.
type CodeRow struct {
	Code, Person, Email, Name string
	State, Tone, Order        string
	Issued, Until             time.Time
	Redeemed                  *time.Time
}

// OfferCodes is the page admin/offer-codes.
type OfferCodes struct {
	Frame
	Title       string
	Filter      Sheet
	Language    string // chosen in the address; empty: none
	All         string
	Codes       []CodeRow
	First, Next string
	Back        string
}

// codesAtOnce is how many codes stand on a page.
const codesAtOnce = 50

func offerCodes(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	search := d.asked("q", 320)
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	here := offerPath(id) + "/codes"
	page := OfferCodes{Frame: d.frame("offers"), All: d.to(here), Back: d.to(offerPath(id)), Language: chosenLanguage(d.c),
		Filter: Sheet{Action: strings.Split(d.to(here), "?")[0], Values: url.Values{"q": {search}}}}
	err = d.read(func(tx *store.Tx) error {
		o, err := offer.Find(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		page.Title = o.Name
		found, err := d.findCodes(tx, id, search, before)
		if err != nil {
			return err
		}
		if len(found) > codesAtOnce {
			found = found[:codesAtOnce]
			page.Next = d.to(here, "before", found[codesAtOnce-1].ID.String())
		}
		for _, c := range found {
			page.Codes = append(page.Codes, d.codeRow(c, tx.Now()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != uuid.Nil {
		page.First = d.to(here)
	}
	return d.draw("offer-codes", page)
}

// findCodes looks for a whole code, or the code of a whole address; without a
// search for a page of all.
func (d *desk) findCodes(tx *store.Tx, id uuid.UUID, search string, before uuid.UUID) ([]offer.Holder, error) {
	q := offer.CodeQuery{Before: before, Limit: codesAtOnce + 1}
	a, err := subscriber.ParseAddress(search)
	if search == "" || err != nil {
		q.Code = search
		return offer.Codes(tx, d.brand.ID, id, q)
	}
	var whole subscriber.Filter
	if whole.AddressHash, err = d.brand.AddressHash(tx, a.Normal); err != nil {
		return nil, err
	}
	people, _, err := subscriber.List(tx, d.brand.ID, whole, "", 1)
	if err != nil || len(people) == 0 {
		return nil, err
	}
	q.Person = people[0].ID
	return offer.Codes(tx, d.brand.ID, id, q)
}

// codeRow tells a code as it stands at the time now.
func (d *desk) codeRow(c offer.Holder, now time.Time) CodeRow {
	row := CodeRow{Code: c.Code.Code, Person: d.to("/people/" + c.SubscriberID.String()), Email: c.Email, Name: c.Name, Order: c.RedeemedFor,
		State: d.l.T("admin.offer.code.open"), Tone: "ask", Issued: c.IssuedAt, Until: offer.LastDay(c.ExpiresAt), Redeemed: c.RedeemedAt}
	switch {
	case c.RedeemedAt != nil:
		row.State, row.Tone = d.l.T("admin.offer.code.redeemed"), "yes"
	case !c.ExpiresAt.After(now):
		row.State, row.Tone = d.l.T("admin.offer.code.expired"), "no"
	}
	return row
}
