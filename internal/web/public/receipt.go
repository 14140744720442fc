package public

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"assent/internal/consent"
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

// tones are the colours of the states of consent.
var tones = map[consent.State]string{consent.Given: "yes", consent.Renewed: "yes", consent.Requested: "ask"}

func toneOf(s consent.State) string { return cmp.Or(tones[s], "no") }

func (h *house) receiptPage(c echo.Context, r receipt.Receipt, done string) error {
	l := speak(c, r.Brand.Offers(cmp.Or(r.Subscriber.Language, r.Event.Language)))
	token, _, _ := strings.Cut(c.Param("token"), ".")
	page := Receipt{
		Frame: frame(c, r.Brand), Action: here(c, "token"), State: string(r.Event.State), Tone: toneOf(r.Event.State), At: r.Event.OccurredAt,
		Topic: r.Topic.In(r.Brand, l.Lang()).Name, Erased: r.Erased(), Stands: r.Stands(), Open: r.Open(), Mark: r.Mark(), Number: r.ID().String(),
		Words: r.Wording, WordsLang: r.Said.Language, WordsDir: i18n.For(r.Said.Language).Dir(), Earlier: r.Said.ID != r.Event.ID,
		Method: wordOf(l, "public.why.method.", r.Event.Method), Basis: wordOf(l, "public.receipt.basis.", r.Event.Basis), By: wordOf(l, "public.receipt.by.", r.Entity),
		Postal: r.Brand.In(l.Lang()).PostalAddress, Contact: cmp.Or(r.Brand.ReplyTo, r.Brand.SenderEmail), Jurisdiction: r.Brand.Jurisdiction,
		JSON: token + ".json", Log: "/log",
	}
	if base := strings.TrimSuffix(h.URLs.Base.Path, "/"); base != "" {
		page.Log = base + page.Log
	}
	if done != "" {
		page.Done = l.T(done)
	}
	if r.Event.PromiseMax > 0 {
		page.Promise = signup.Promise(l, consent.Topic{PromiseMax: r.Event.PromiseMax, PromiseDays: r.Event.PromiseDays})
	}
	if r.Event.ValidUntil != nil {
		page.Until = *r.Event.ValidUntil
	}
	if r.Event.FormVersion != nil {
		page.FormVersion = *r.Event.FormVersion
	}
	if r.Evidence != nil {
		page.Email = r.Evidence.Address
		tellTrail(&page, l, r)
	}
	for _, e := range r.Later() {
		page.Later = append(page.Later, ReceiptStep{At: e.OccurredAt, Tone: toneOf(e.State), State: string(e.State), Method: wordOf(l, "public.why.method.", e.Method), URL: h.URLs.Receipt(e.ID)})
	}
	hash := r.LeafHash()
	page.Fingerprint = hex.EncodeToString(hash[:])
	if p := r.Proof; p != nil {
		page.Logged, page.Origin, page.Index, page.Size, page.Checkpoint, page.Proof = true, p.Log.Origin, p.Index, p.Size, p.Checkpoint, token+".tlog-proof"
		if p.Log.SignedAt != nil {
			page.SignedAt = *p.Log.SignedAt
		}
	}
	return web.Page(c, http.StatusOK, "public/receipt", page)
}

// wordOf puts a stored word into those of the catalogue; one that it lacks stands
// as it is stored.
func wordOf(l *i18n.Localizer, prefix, stored string) string {
	if l.Has(prefix + stored) {
		return l.T(prefix + stored)
	}
	return stored
}

// toldElsewhere are the values of the evidence that the page has a place of its own for,
// and those that are ours alone.
var toldElsewhere = []string{"email", "page", "asked_at", "ip", "confirmed_at", "confirm_ip", "delay_s", "request", "form", "form_version", "user"}

// tellTrail tells how the yes came about: asked, and confirmed, by whom, and
// what else shows it.
func tellTrail(page *Receipt, l *i18n.Localizer, r receipt.Receipt) {
	page.Page = r.Text("page")
	page.AskedAt, page.AskedIP = r.Time("asked_at"), r.Text("ip")
	page.ConfirmedAt, page.ConfirmedIP = r.Time("confirmed_at"), r.Text("confirm_ip")
	if d := r.Delay(); d > 0 {
		page.Delay = lasted(l, d)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Evidence.Evidence)) {
		if slices.Contains(toldElsewhere, name) {
			continue
		}
		if v := plainValue(r.Evidence.Evidence[name]); v != "" {
			page.Evidence = append(page.Evidence, Shown{Name: wordOf(l, "public.receipt.evidence.", name), Value: v, Code: !strings.ContainsFunc(v, isRTL)})
		}
	}
}

func lasted(l *i18n.Localizer, d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return l.N("public.receipt.seconds", int64(d.Seconds()))
	case d < 2*time.Hour:
		return l.N("public.receipt.minutes", int64(d.Minutes()))
	}
	return l.N("public.receipt.hours", int64(d.Hours()))
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

// isRTL: a letter of a script that is written from right to left.
func isRTL(r rune) bool { return unicode.In(r, unicode.Arabic, unicode.Hebrew) }

// plainValue writes a value of the evidence down.
func plainValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = plainValue(one)
		}
		return strings.Join(parts, "\n")
	}
	return fmt.Sprint(v)
}
