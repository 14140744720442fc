package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"assent/internal/account"
	"assent/internal/brand"
	"assent/internal/config"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/link"
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
		{Name: "opens_and_clicks", Erase: func(tx *store.Tx, f subscriber.Forgotten) error {
			return errors.Join(tracking.Erase(tx, f.BrandID, f.ID), tracking.ForgetLastOpen(tx, f.BrandID, f.ID))
		}, Tell: rows(`SELECT h.at, h.kind, h.message_id, l.url, h.user_agent, h.network, h.machine FROM hits h
			LEFT JOIN messages m ON m.source_id = h.source_id AND m.id = h.message_id
			LEFT JOIN links l ON h.kind = 'click' AND l.content_id = m.content_id AND l.language = m.language AND l.n = h.link
			WHERE h.subscriber_id = ? AND h.brand_id = ? ORDER BY h.at, h.id`)},
		{Name: "orders", Erase: offer.Erase, Tell: rows(`SELECT number, placed_at, total, currency, items FROM orders WHERE subscriber_id = ? AND brand_id = ? ORDER BY placed_at, id`)},
		{Name: "codes", Tell: rows(`SELECT o.name AS offer, c.code, c.issued_at, c.expires_at, c.redeemed_at, c.redeemed_for FROM offer_codes c JOIN offers o ON o.id = c.offer_id
			WHERE c.subscriber_id = ? AND c.brand_id = ? ORDER BY c.issued_at, c.id`)},
		{Name: "sequences", Tell: rows(`SELECT q.name AS sequence, e.version, e.step, e.state, e.reason, e.created_at, e.ended_at FROM enrollments e JOIN sequences q ON q.id = e.sequence_id
			WHERE e.subscriber_id = ? AND e.brand_id = ? ORDER BY e.created_at, e.id`)},
		{Name: "last_open", Tell: rows("SELECT day FROM last_opens WHERE subscriber_id = ? AND brand_id = ?")},
		{Name: "questions", Tell: rows("SELECT kind, state, asked_at, due_at, answered_at FROM askings WHERE subscriber_id = ? AND brand_id = ? ORDER BY asked_at, id")},
		{Name: "ideas", Tell: rows("SELECT title, reason, state, answer, created_at, decided_at FROM ideas WHERE subscriber_id = ? AND brand_id = ? ORDER BY id")},
		{Name: "invitations", Tell: rows("SELECT sent_at FROM friend_invitations WHERE subscriber_id = ? AND brand_id = ? ORDER BY sent_at")},
		{Name: "scans", Erase: consent.EraseScans, Tell: rows("SELECT id, at FROM scans WHERE subscriber_id = ? AND brand_id = ? ORDER BY at, id")},
		{Erase: importer.Erase},
		{Erase: func(tx *store.Tx, f subscriber.Forgotten) error {
			return account.Erase(tx, f.BrandID, f.ID, func(column string) (string, []any) { return f.Stands(tx, column) })
		}},
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
	privacy.Join(a.DB, privacy.Part{Erase: func(tx *store.Tx, f subscriber.Forgotten) error {
		if a.mailbox != nil {
			tx.AfterCommit(func() { a.mailbox.Forget(f.Words) })
		}
		return nil
	}})
	return guard(a.DB, a.Settings.DataDir, a.Log)
}

func guard(db *store.DB, dataDir string, log *slog.Logger) error {
	privacy.Join(db, partsOfAll()...)
	return privacy.KeepBeside(db, dataDir, log)
}

// eraseAgain does once more what an older copy of the database undid.
func (a *App) eraseAgain(ctx context.Context) error {
	n, err := privacy.CatchUp(ctx, a.DB)
	if n > 0 {
		a.Log.Warn("this database was older than the list of erasures in the data folder; they were made again", "people", n)
	}
	return err
}

// EraseAgain erases anew, in a database that was just restored and is not served
// yet, those who stand in the data folder's list of erasures. n is how many they
// were. It can be repeated.
func EraseAgain(ctx context.Context, db *store.DB, ring *link.Ring, s config.Settings) (n int, err error) {
	listen(db, link.URLs{Base: s.PublicURL, Ring: ring})
	if err := guard(db, s.DataDir, slog.Default()); err != nil {
		return 0, err
	}
	return privacy.CatchUp(ctx, db)
}

// rewrap brings what older keys have sealed under the newest, and says so when
// there was any.
func (a *App) rewrap(ctx context.Context) error {
	r, err := Rewrap(ctx, a.DB, a.Ring)
	if r.Done > 0 || r.Closed > 0 {
		a.Log.Info("values were brought under the newest key of ASSENT_SECRET", "values", r.Done, "unreadable", r.Closed, "complete", err == nil)
	}
	return err
}

// clearErased writes the database's files anew in the day after somebody was
// erased.
func (a *App) clearErased(ctx context.Context) error {
	var any bool
	err := a.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Raw("SELECT EXISTS (SELECT 1 FROM erasures WHERE at > ?)", tx.Now().Add(-25*time.Hour)).Scan(&any).Error
	})
	if err != nil || !any {
		return err
	}
	return a.DB.Vacuum(ctx, false)
}

// warnOfRequests writes to the owners of a brand about a request that is due soon.
func (a *App) warnOfRequests(tx *store.Tx, limit int) (int, error) {
	return privacy.WarnDue(tx, limit, func(tx *store.Tx, r privacy.Request) error {
		b, err := brand.Find(tx, r.BrandID)
		if err != nil {
			return err
		}
		owners, err := account.Owners(tx, b.ID)
		if err != nil {
			return err
		}
		for _, m := range owners {
			err := delivery.TellTeam(tx, b.ID, "request-due", m.Email, m.Language, map[string]any{
				"kind": i18n.For(m.Language).T("privacy.kind." + r.Kind), "due_at": i18n.For(m.Language).Date(r.DueAt, b.Location()),
				"requests_url": a.URLs.Base.JoinPath("admin", "b", b.Slug, "requests", r.ID.String()).String()})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
