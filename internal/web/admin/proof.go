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
	"assent/internal/problem"
	"assent/internal/receipt"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/web"
)

// proofActions save what proves permissions. They are posts, for what was saved,
// and by whom, is written into the log of deeds before the first byte leaves.
func proofActions() []action {
	return []action{
		look("/people/:id/receipts/:event", account.Analyst, showReceipt),
		look("/people/:id/receipts/:event/:form", account.Analyst, saveReceipt),
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
			URL: d.receiptAt(s.ID)(e.ID)})
	}
	if len(history) > 0 {
		page.Proof = d.to("/people/" + s.ID.String() + "/proof")
	}
}

// ReceiptPage is the page admin/receipt: the brand's copy of what a person holds.
// Nothing on it acts for the person.
type ReceiptPage struct {
	Frame
	receipt.Paper
	Brand   string
	Privacy string // address of the privacy notice; may be empty
	Action  string // always empty: nothing is taken back here
	Back    string // the person
}

// receiptAt gives the addresses of the receipts of a person at the desk.
func (d *desk) receiptAt(person uuid.UUID) func(event uuid.UUID) string {
	return func(event uuid.UUID) string {
		return d.to("/people/" + person.String() + "/receipts/" + event.String())
	}
}

func (d *desk) receipt() (r receipt.Receipt, err error) {
	person, err := d.id("id")
	if err != nil {
		return r, err
	}
	event, err := d.id("event")
	if err != nil {
		return r, err
	}
	err = d.read(func(tx *store.Tx) (err error) { r, err = receipt.ForStaff(tx, d.brand, person, event); return err })
	return r, err
}

func showReceipt(d *desk) error {
	r, err := d.receipt()
	if err != nil {
		return err
	}
	at, text := d.receiptAt(r.Subscriber.ID), d.brand.In(d.l.Lang())
	page := ReceiptPage{Frame: d.frame("people"), Paper: r.Tell(d.l, at), Brand: text.Name, Privacy: text.PrivacyURL, Back: d.to("/people/"+r.Subscriber.ID.String()) + "#proof"}
	page.JSON, page.Log = at(r.Event.ID)+"/json", d.h.URLs.Page("/log")
	if page.Logged {
		page.Proof = at(r.Event.ID) + "/tlog-proof"
	}
	return d.draw("receipt", page)
}

// saveReceipt saves one receipt, or its proof (C2SP tlog-proof).
func saveReceipt(d *desk) error {
	r, err := d.receipt()
	if err != nil {
		return err
	}
	kind, body := "application/json", []byte(nil)
	switch form := d.c.Param("form"); {
	case form == "json":
		if body, err = r.JSON(d.h.URLs); err != nil {
			return err
		}
	case form == "tlog-proof" && r.Proof != nil:
		kind, body = "text/plain; charset=utf-8", r.Proof.Text()
	case form == "tlog-proof":
		return problem.New(problem.Unavailable, "ledger.not-yet")
	default:
		return problem.New(problem.NotFound, "link.unknown")
	}
	d.c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+r.FileName()+"."+d.c.Param("form")+`"`)
	return d.c.Blob(http.StatusOK, kind, body)
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
