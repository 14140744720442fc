package public

import (
	"cmp"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/i18n"
	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/receipt"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/web"
	"assent/templates"
)

// receipt shows the receipt of a consent: a page that can be printed at any time
// (BGH I ZR 164/09); with .json after the token the same for machines, and with
// .tlog-proof its proof of inclusion (C2SP tlog-proof).
func (h *house) receipt(c echo.Context) error {
	token, form, _ := strings.Cut(c.Param("token"), ".")
	event, err := h.URLs.ReadReceipt(token)
	if err != nil {
		return err
	}
	var r receipt.Receipt
	err = h.read(c, func(tx *store.Tx) (err error) { r, err = receipt.Of(tx, event); return err })
	if err != nil {
		return err
	}
	switch form {
	case "":
		return h.receiptPage(c, r, "")
	case "json":
		body, err := r.JSON(h.URLs)
		if err != nil {
			return err
		}
		return asFile(c, r.FileName()+".json", "application/json", body)
	case "tlog-proof":
		if r.Proof == nil {
			return problem.New(problem.Unavailable, "ledger.not-yet")
		}
		return asFile(c, r.FileName()+".tlog-proof", "text/plain; charset=utf-8", r.Proof.Text())
	}
	return problem.New(problem.NotFound, "link.unknown")
}

func asFile(c echo.Context, name, kind string, body []byte) error {
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+name+`"`)
	return c.Blob(http.StatusOK, kind, body)
}

// takeBack withdraws what the receipt is of. Its holder may do no more than that.
func (h *house) takeBack(c echo.Context) error {
	event, err := h.URLs.ReadReceipt(c.Param("token"))
	if err != nil {
		return err
	}
	var r receipt.Receipt
	err = h.write(c, func(tx *store.Tx) error {
		if r, err = receipt.Of(tx, event); err != nil {
			return err
		}
		if r.Open() {
			if err := signup.LeaveByReceipt(tx, r.Event, seen(c)); err != nil {
				return err
			}
		}
		r, err = receipt.Of(tx, event)
		return err
	})
	if err != nil {
		return err
	}
	return h.receiptPage(c, r, "public.receipt.taken-back")
}

func (h *house) receiptPage(c echo.Context, r receipt.Receipt, done string) error {
	l := speak(c, r.Brand.Offers(cmp.Or(r.Subscriber.Language, r.Event.Language)))
	token, _, _ := strings.Cut(c.Param("token"), ".")
	page := Receipt{Frame: frame(c, r.Brand), Action: here(c, "token"), Paper: r.Tell(l, h.URLs.Receipt)}
	page.Log, page.JSON = "/log", token+".json"
	if base := strings.TrimSuffix(h.URLs.Base.Path, "/"); base != "" {
		page.Log = base + page.Log
	}
	if page.Logged {
		page.Proof = token + ".tlog-proof"
	}
	if done != "" {
		page.Done = l.T(done)
	}
	return web.Page(c, http.StatusOK, "public/receipt", page)
}

// theLog is the page about the log, for people who want to check it.
func (h *house) theLog(c echo.Context) error {
	var logs []ledger.Log
	err := h.read(c, func(tx *store.Tx) (err error) { logs, err = ledger.All(tx); return err })
	if err != nil {
		return err
	}
	l := web.Localizer(c)
	page := LogPage{Frame: Frame{Zone: time.UTC}, Program: receipt.Program, Tool: strings.TrimSuffix(h.URLs.Base.String(), "/") + "/log/"}
	for _, lang := range i18n.Languages {
		page.Languages = append(page.Languages, Language{Code: lang, Name: i18n.For(lang).T("signup.language"), URL: "?lang=" + lang, Current: lang == l.Lang()})
	}
	for _, g := range logs {
		if g.EndedAt != nil {
			page.Ended = append(page.Ended, EndedLog{Origin: g.Origin, Size: g.ShownSize, At: *g.EndedAt})
			continue
		}
		page.Origin, page.Key, page.Size, page.Checkpoint, page.Began = g.Origin, g.Verifier, g.ShownSize, g.Shown, g.BeganAt
		if g.SignedAt != nil && g.Shown != "" {
			page.SignedAt = *g.SignedAt
		}
	}
	page.File, page.Run, page.Audit = receipt.ProgramFile, receipt.Run(page.Key), receipt.Audit(page.Tool)
	return web.Page(c, http.StatusOK, "public/log", page)
}

// schema serves what the leaves of the log and the receipts look like, as JSON Schema.
func (h *house) schema(c echo.Context) error {
	body, err := fs.ReadFile(templates.FS, "schema/"+c.Param("name")+"-"+c.Param("version"))
	if err != nil || strings.ContainsAny(c.Param("name")+c.Param("version"), `/\`) {
		return problem.New(problem.NotFound, "problem.not-found")
	}
	header := c.Response().Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set(echo.HeaderCacheControl, "public, max-age=86400")
	return c.Blob(http.StatusOK, "application/schema+json", body)
}
