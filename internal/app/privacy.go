package app

import (
	"context"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/importer"
	"assent/internal/offer"
	"assent/internal/privacy"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/tracking"
	"assent/internal/web/api"
)

// partsOfAll is the table of what rooms keep of people: how it is erased, and
// told to the person themself. A room that keeps something new of people belongs
// here; TestNothingOfThemIsLeft finds it where it does not.
func partsOfAll() []privacy.Part {
	return []privacy.Part{
		{Name: "mails", Erase: delivery.Erase, Addresses: delivery.AddressesOf, Tell: rows(`SELECT m.id, m.kind, m.state, m.reason, m.template, c.subject, m.language, m.recipient, m.data,
			m.consent_event_id, m.created_at, m.settled_at, m.smtp_code, m.smtp_reply FROM messages m LEFT JOIN contents c ON c.id = m.content_id AND c.language = m.language
			WHERE m.subscriber_id = ? AND m.brand_id = ? ORDER BY m.created_at, m.id`)},
		{Name: "sign_ups", Erase: signup.Erase, Addresses: signup.AddressesOf, Tell: rows(`SELECT id, form_id, form_version, language, state, via, created_at, answered_at
			FROM signup_requests WHERE subscriber_id = ? AND brand_id = ? ORDER BY created_at, id`)},
		{Name: "changes_of_address", Tell: rows(`SELECT id, email, created_at, expires_at, confirmed_at FROM address_changes WHERE subscriber_id = ? AND brand_id = ? ORDER BY created_at, id`)},
		{Name: "opens_and_clicks", Erase: tracking.Erase, Tell: rows(`SELECT h.at, h.kind, h.message_id, l.url, h.user_agent, h.network, h.machine FROM hits h
			LEFT JOIN messages m ON m.source_id = h.source_id AND m.id = h.message_id
			LEFT JOIN links l ON h.kind = 'click' AND l.content_id = m.content_id AND l.language = m.language AND l.n = h.link
			WHERE h.subscriber_id = ? AND h.brand_id = ? ORDER BY h.at, h.id`)},
		{Name: "orders", Erase: offer.Erase, Tell: rows(`SELECT number, placed_at, total, currency, items FROM orders WHERE subscriber_id = ? AND brand_id = ? ORDER BY placed_at, id`)},
		{Name: "codes", Tell: rows(`SELECT o.name AS offer, c.code, c.issued_at, c.expires_at, c.redeemed_at, c.redeemed_for FROM offer_codes c JOIN offers o ON o.id = c.offer_id
			WHERE c.subscriber_id = ? AND c.brand_id = ? ORDER BY c.issued_at, c.id`)},
		{Name: "sequences", Tell: rows(`SELECT q.name AS sequence, e.version, e.step, e.state, e.reason, e.created_at, e.ended_at FROM enrollments e JOIN sequences q ON q.id = e.sequence_id
			WHERE e.subscriber_id = ? AND e.brand_id = ? ORDER BY e.created_at, e.id`)},
		{Erase: importer.Erase},
		{Erase: account.Erase},
		{Erase: api.Erase},
	}
}

// rows is a chapter that a question answers, with the person and the brand in it.
func rows(query string) func(*store.Tx, brand.Brand, subscriber.Subscriber) (any, error) {
	return func(tx *store.Tx, b brand.Brand, s subscriber.Subscriber) (any, error) {
		return privacy.Rows(tx, query, s.ID, b.ID)
	}
}

// guard joins who keeps something of people, and the list of erasures of the data folder.
func (a *App) guard() error {
	privacy.Join(a.DB, partsOfAll()...)
	privacy.Join(a.DB, privacy.Part{Erase: func(tx *store.Tx, f subscriber.Forgotten) error {
		if a.mailbox != nil {
			tx.AfterCommit(func() { a.mailbox.Forget(f.Words) })
		}
		return nil
	}})
	return privacy.KeepBeside(a.DB, a.Settings.DataDir, a.Log)
}

// eraseAgain does once more what an older copy of the database undid.
func (a *App) eraseAgain(ctx context.Context) error {
	n, err := privacy.CatchUp(ctx, a.DB)
	if n > 0 {
		a.Log.Warn("this database was older than the list of erasures in the data folder; they were made again", "people", n)
	}
	return err
}
