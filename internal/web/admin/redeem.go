package admin

import (
	"net/url"
	"strings"

	"github.com/google/uuid"

	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// redeemSheet is the form to redeem a code with; anyway is a code for somebody
// else's order, which asks once more.
func (d *desk) redeemSheet(g given, typed *Sheet) (s *Sheet, anyway bool) {
	if g.Totals.Issued == 0 {
		return nil, false
	}
	if s = typed; s == nil {
		s = &Sheet{Values: url.Values{}, Once: store.NewID(d.h.DB.Now())}
	}
	s.Action, s.Drafts = d.to(offerPath(g.ID)+"/redeem"), ""
	s.Page = strings.Split(s.Action, "?")[0]
	return s, s.Wrong("anyway") != "" || s.Has("anyway", "yes")
}

// redeemCode redeems a code for an order. A refusal is a fact that stays, so it
// is told after it was written.
func redeemCode(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var refusal error
	next, again, err := d.perform("offer.redeem", func(tx *store.Tx, form *Sheet) (done, error) {
		refusal = nil // the transaction may be run again
		o, err := offer.Find(tx, d.brand.ID, id)
		if err != nil {
			return done{}, err
		}
		typed, order := form.text("code"), form.text("order")
		if typed == "" {
			return done{}, problem.InvalidField("code", "problem.field.required")
		}
		came := done{subject: id, next: offerPath(id), detail: map[string]any{"name": o.Name, "order": order}}
		c, err := offer.FindCode(tx, d.brand.ID, typed)
		if err != nil && !problem.Is(err, problem.NotFound) {
			return done{}, err
		}
		if err == nil && c.OfferID == o.ID && c.RedeemedAt == nil && !form.Has("anyway", "yes") {
			if err := d.sameBuyer(tx, c, order); err != nil {
				return done{}, err
			}
		}
		r, refused, err := offer.Redeem(tx, d.brand.ID, offer.Try{Offer: id, Code: typed, Order: order})
		switch {
		case err != nil:
			return done{}, err
		case refused != nil:
			refusal, came.what, err = d.refused(tx, o, c)
		case r.Again:
			came.what = "offer.redeem-again"
		}
		return came, err
	})
	if err == nil && again && refusedAt(next) {
		refusal, err = d.refusedBefore(id)
	}
	if err == nil && refusal == nil {
		return web.SeeOther(d.c, next)
	}
	if err == nil {
		err = refusal
	}
	return d.redraw(err, func(status int, s Sheet) error { return d.drawOffer(id, status, &s, "") })
}

// refusedAt tells whether what was asked before ended in a refusal.
func refusedAt(next string) bool {
	u, err := url.Parse(next)
	return err == nil && strings.HasPrefix(u.Query().Get("did"), "offer.refuse.")
}

// refusedBefore says once more why the code was not accepted: of a form that is
// sent twice people see the second answer.
func (d *desk) refusedBefore(id uuid.UUID) (refusal error, err error) {
	form, err := d.sent()
	if err != nil {
		return nil, err
	}
	err = d.read(func(tx *store.Tx) error {
		o, err := offer.Find(tx, d.brand.ID, id)
		if err != nil {
			return err
		}
		c, err := offer.FindCode(tx, d.brand.ID, form.text("code"))
		if err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
		refusal, _, err = d.refused(tx, o, c)
		return err
	})
	return refusal, err
}

// sameBuyer asks once more where the order is known, and of somebody else than
// the code was given to.
func (d *desk) sameBuyer(tx *store.Tx, c offer.Code, order string) error {
	o, err := offer.FindOrder(tx, d.brand.ID, order)
	if problem.Is(err, problem.NotFound) || err == nil && o.SubscriberID == c.SubscriberID {
		return nil
	}
	if err != nil {
		return err
	}
	holder, err := subscriber.Find(tx, d.brand.ID, c.SubscriberID)
	if err != nil {
		return err
	}
	buyer, err := subscriber.Find(tx, d.brand.ID, o.SubscriberID)
	if err != nil {
		return err
	}
	return problem.InvalidField("anyway", "admin.offer.other-buyer", "Holder", holder.Email, "Buyer", buyer.Email)
}

// refused says why a code was not accepted, in full: the visitor is of the team.
// what is the same without what only this page may tell.
func (d *desk) refused(tx *store.Tx, o offer.Offer, c offer.Code) (refusal error, what string, err error) {
	zone := d.brand.Location()
	switch {
	case c.ID == uuid.Nil:
		return problem.InvalidField("code", "admin.offer.refused.unknown"), "offer.refuse.unknown", nil
	case c.OfferID != o.ID:
		other, err := offer.Find(tx, d.brand.ID, c.OfferID)
		return problem.InvalidField("code", "admin.offer.refused.other", "Offer", other.Name), "offer.refuse.other", err
	case c.RedeemedAt != nil:
		return problem.InvalidField("code", "admin.offer.refused.redeemed", "Time", d.l.DateTime(*c.RedeemedAt, zone), "Order", c.RedeemedFor), "offer.refuse.redeemed", nil
	}
	return problem.InvalidField("code", "admin.offer.refused.expired", "Date", d.l.Date(offer.LastDay(c.ExpiresAt), zone)), "offer.refuse.expired", nil
}
