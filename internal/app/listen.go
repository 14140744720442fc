package app

import (
	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/offer"
	"assent/internal/problem"
	"assent/internal/sequence"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/tracking"
)

// listen joins those who act on a fact to it, within the fact's transaction.
func listen(db *store.DB, urls link.URLs) {
	for _, kind := range []string{event.ConsentGiven, event.ConsentRenewed, event.ConsentRefused, event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated} {
		event.ListenAll(db, kind, sequence.OnConsent)
		if kind != event.ConsentGiven {
			event.ListenAll(db, kind, signup.OnConsent)
		}
	}
	for _, kind := range []string{event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated} {
		event.Listen(db, kind, forgetOpens)
	}
	event.Listen(db, event.MailSkipped, sequence.OnMessage)
	event.Listen(db, event.ConsentRenewed, delivery.OnRenewed)
	event.Listen(db, event.AddressSuppressed, delivery.OnSuppressed)
	event.Listen(db, event.SendingPaused, pauseSource)
	event.Listen(db, event.SendingPaused, tellInCharge)
	event.Listen(db, event.SendingWarned, tellInCharge)
	event.Listen(db, event.AlarmRaised, func(tx *store.Tx, e event.Event) error { return tellOfRise(tx, urls, e) })
}

// forgetOpens takes the day of the last open away with the permission that it
// stood on.
func forgetOpens(tx *store.Tx, e event.Event) error {
	if e.SubscriberID == nil || e.Data["topic"] != consent.OpensSlug {
		return nil
	}
	return tracking.ForgetLastOpen(tx, e.BrandID, *e.SubscriberID)
}

// tellOfRise writes to the owners and marketers of the brand about an alarm: in
// the transaction that raises it, so once.
func tellOfRise(tx *store.Tx, urls link.URLs, e event.Event) error {
	b, err := brand.Find(tx, e.BrandID)
	if err != nil {
		return err
	}
	people, err := account.InCharge(tx, e.BrandID)
	if err != nil {
		return err
	}
	for _, u := range people {
		if err := delivery.AlarmOfRise(tx, e, u.Email, u.Language, urls.Base.JoinPath("admin", "b", b.Slug, "alarms").String()); err != nil {
			return err
		}
	}
	return nil
}

// pauseSource pauses what a stream comes from when a circuit breaker has paused
// the stream, so that a person finds one thing to resume. What is over already,
// or paused, stays as it is.
func pauseSource(tx *store.Tx, e event.Event) error {
	_, origin, err := sourceOf(tx, e)
	if err != nil {
		return err
	}
	switch origin {
	case delivery.OriginCampaign:
		_, err = campaign.Pause(tx, e.BrandID, *e.SourceID)
	case delivery.OriginSequence:
		_, err = sequence.Pause(tx, e.BrandID, *e.SourceID)
	case delivery.OriginOffer:
		_, err = offer.Pause(tx, e.BrandID, *e.SourceID, delivery.PauseStream)
	}
	if problem.Is(err, problem.Conflict) {
		return nil
	}
	return err
}

// tellInCharge writes to the owners and marketers of the brand, in their language.
func tellInCharge(tx *store.Tx, e event.Event) error {
	name, _, err := sourceOf(tx, e)
	if err != nil {
		return err
	}
	people, err := account.InCharge(tx, e.BrandID)
	if err != nil {
		return err
	}
	for _, u := range people {
		if err := delivery.Alarm(tx, e, u.Email, u.Language, name); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf names the campaign, sequence or offer of a stream.
func sourceOf(tx *store.Tx, e event.Event) (name string, origin delivery.Origin, err error) {
	s, err := delivery.FindStream(tx, e.BrandID, *e.SourceID)
	if err != nil {
		return "", "", err
	}
	switch s.Origin {
	case delivery.OriginCampaign:
		c, err := campaign.Find(tx, e.BrandID, s.ID)
		return c.Name, s.Origin, err
	case delivery.OriginSequence:
		q, err := sequence.Find(tx, e.BrandID, s.ID)
		return q.Name, s.Origin, err
	case delivery.OriginOffer:
		o, err := offer.Find(tx, e.BrandID, s.ID)
		return o.Name, s.Origin, err
	}
	return "", s.Origin, nil
}
