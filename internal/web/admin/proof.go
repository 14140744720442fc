package admin

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"assent/internal/account"
	"assent/internal/campaign"
	"assent/internal/consent"
	"assent/internal/ledger"
	"assent/internal/receipt"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// proofActions save what proves permissions. They are posts, for what was saved,
// and by whom, is written into the log of deeds before the first byte leaves.
func proofActions() []action {
	return []action{
		act("/people/:id/proof", account.Analyst, saveProof),
		act("/campaigns/:id/proof", account.Analyst, saveCampaignProof),
	}
}

// ReceiptLine is an event of the ledger with its receipt.
type ReceiptLine struct {
	Topic, State, Tone string
	At                 time.Time
	URL                string
}

// receiptsShown is how many receipts stand on a person's page; the file has all.
const receiptsShown = 50

// tellReceipts leads to the receipts of a person, the newest first.
func (d *desk) tellReceipts(s subscriber.Subscriber, topics []consent.Topic, history []consent.Event, page *Person) {
	names := map[uuid.UUID]string{}
	for _, t := range topics {
		names[t.ID] = t.In(d.brand, d.l.Lang()).Name
	}
	for i := len(history) - 1; i >= 0 && len(page.Receipts) < receiptsShown; i-- {
		e, tone := history[i], "no"
		if consent.InForce(e.State) {
			tone = "yes"
		} else if e.State == consent.Requested {
			tone = "ask"
		}
		page.Receipts = append(page.Receipts, ReceiptLine{Topic: names[e.TopicID], State: d.l.T("admin.consent." + string(e.State)), Tone: tone, At: e.OccurredAt,
			URL: d.h.URLs.Receipt(e.ID)})
	}
	if len(history) > 0 {
		page.Proof = d.to("/people/" + s.ID.String() + "/proof")
	}
}

// saved writes down that proof was taken, if the visitor still may.
func (d *desk) saved(what string, subject *uuid.UUID, detail map[string]any) error {
	return d.h.DB.Write(d.c.Request().Context(), func(tx *store.Tx) error {
		if err := d.still(tx); err != nil {
			return err
		}
		return account.Note(tx, account.Deed{BrandID: d.brand.ID, UserID: &d.User.ID, What: what, SubjectID: subject, Detail: detail})
	})
}

// archive begins an answer that is a zip.
func (d *desk) archive(name string) {
	header := d.c.Response().Header()
	header.Set(echo.HeaderContentType, "application/zip")
	header.Set(echo.HeaderContentDisposition, `attachment; filename="`+name+"-"+d.h.DB.Now().UTC().Format(time.DateOnly)+`.zip"`)
	d.c.Response().WriteHeader(http.StatusOK)
}

// broken ends an answer that has begun: nobody may take a part for the whole.
func (d *desk) broken(err error) error {
	if err == nil {
		return nil
	}
	if d.c.Request().Context().Err() == nil {
		web.Log(d.c, web.Classify(err))
	}
	panic(http.ErrAbortHandler)
}

// saveProof saves the receipts of a person with their proofs.
func saveProof(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var all []receipt.Receipt
	err = d.read(func(tx *store.Tx) (err error) { all, err = receipt.OfPerson(tx, d.brand, id); return err })
	if err != nil {
		return err
	}
	if err := d.saved("people.proof", &id, map[string]any{"count": len(all)}); err != nil {
		return err
	}
	d.archive("proof-" + id.String()[:8])
	return d.broken(receipt.WritePerson(d.c.Response(), d.l, d.h.URLs, all, d.h.DB.Now()))
}

// saveCampaignProof saves who got a campaign's mail, and by which consent each. It
// reads 500 mails at a time, no transaction being open between.
func saveCampaignProof(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	var c campaign.Campaign
	p := receipt.Campaign{At: d.h.DB.Now(), Topics: map[uuid.UUID]string{}}
	err = d.read(func(tx *store.Tx) error {
		if c, err = campaign.Find(tx, d.brand.ID, id); err != nil {
			return err
		}
		if p.Log, err = ledger.Shown(tx); err != nil {
			return err
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		for _, t := range topics {
			p.Topics[t.ID] = t.Slug
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := d.saved("campaign.proof", &c.ID, map[string]any{"name": c.Name}); err != nil {
		return err
	}
	p.Name = c.Name
	control := http.NewResponseController(d.c.Response())
	p.Next = func(after uuid.UUID) (some []receipt.Sending, err error) {
		_ = control.SetWriteDeadline(time.Now().Add(exportPatience)) // not every writer has one
		err = d.read(func(tx *store.Tx) (err error) {
			some, err = receipt.Sendings(tx, d.brand.ID, c.EditionID, p.Log, p.At, after, exportAtOnce)
			return err
		})
		return some, err
	}
	d.archive("campaign-proof-" + c.ID.String()[:8])
	return d.broken(receipt.WriteCampaign(d.c.Response(), d.l, d.h.URLs, p))
}
