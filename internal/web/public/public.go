package public

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"assent/internal/brand"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/signup"
	"assent/internal/store"
	"assent/internal/tracking"
	"assent/internal/web"
)

// Deps is what the public pages need.
type Deps struct {
	DB       *store.DB
	URLs     link.URLs
	Signup   signup.Settings
	Recorder *tracking.Recorder
	// View draws a mail as its reader got it: an HTML page, without pixel and
	// with its links as they were written.
	View    func(ctx context.Context, m delivery.Message) ([]byte, error)
	PerIP   int // sign-ups a minute from one address; an IPv6 client counts by its /64
	PerForm int // sign-ups a minute at one form

	PerNetwork int                   // sign-ups a minute from a /24 of IPv4 or a /48 of IPv6; 0: no limit
	PerDomain  int                   // sign-ups a minute for addresses of one domain, before each proves work; 0: no limit
	Redis      redis.UniversalClient // shares the limits with other processes; nil: there are none
	Prove      string                // when visitors prove work: ProveSuspicious, ProveAlways or ProveNever
}

// house has the handlers.
type house struct {
	Deps
	gate *web.Gate
	pace pace
}

// Mount puts the public routes on e: /widget.js, /logo, /s, /f, /c, /k, /u, /p, /w, /v, /r, /o, /l, /log and /schema.
func Mount(e *echo.Echo, d Deps) {
	h := &house{Deps: d, gate: web.NewGate(d.Redis, d.URLs.Ring.Derive("signup-limits"))}
	look := []string{http.MethodGet, http.MethodHead}
	e.Match(look, "/widget.js", h.widget)
	e.Match(look, "/logo/:hash", h.logo)
	e.Match(look, "/s/:code", h.short)
	e.Match(look, "/f/:form", h.showForm)
	e.POST("/f/:form", h.sendForm)
	e.OPTIONS("/f/:form", h.preflight)

	e.Match(look, "/log", h.theLog)
	e.Match(look, "/log/*", h.log)
	e.Match(look, "/schema/:name/:version", h.schema)

	e.Match(look, "/c/:token", h.showQuestion, private)
	e.POST("/c/:token", h.answerQuestion, private)
	e.Match(look, "/k/:token", h.showKeep, private)
	e.POST("/k/:token", h.answerKeep, private)
	e.Match(look, "/u/:token", h.showLeave, private)
	e.POST("/u/:token", h.leave, private)
	e.Match(look, "/p/:token", h.showPreferences, private)
	e.POST("/p/:token", h.setPreferences, private)
	h.mountCentre(e, look)
	e.Match(look, "/p/:token/data", h.showData, private)
	e.POST("/p/:token/data", h.giveData, private)
	e.Match(look, "/p/:token/forget", h.showForget, private)
	e.POST("/p/:token/forget", h.forget, private)
	e.Match(look, "/p/:token/request", h.showAsk, private)
	e.POST("/p/:token/request", h.openRequest, private)
	e.Match(look, "/p/:token/tracking", h.showTracking, private)
	e.POST("/p/:token/tracking", h.answerTracking, private)
	e.Match(look, "/p/:token/ideas", h.showIdeas, private)
	e.POST("/p/:token/ideas", h.setIdeas, private)
	e.Match(look, "/p/:token/invite", h.showInvite, private)
	e.POST("/p/:token/invite", h.sendInvite, private)
	e.Match(look, "/w/:token", h.why, private)
	e.Match(look, "/v/:token", h.view, private)
	e.Match(look, "/r/:token", h.receipt, private)
	e.POST("/r/:token", h.takeBack, private)
	e.Match(look, "/o/:token", h.pixel, private)
	e.Match(look, "/l/:token", h.follow, private)
}

// private keeps pages that a token opens out of search engines and caches; the
// address itself is a secret, and no referrer gives it away.
func private(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		return next(c)
	}
}

// ErrorPage tells a failure of a public page; it is for web.Options.
func ErrorPage(_ echo.Context, e web.ErrorText) (page string, data any) {
	return "public/error", Error{Frame: Frame{Zone: time.UTC}, Status: e.Status, Kind: e.Kind, Text: e.Text, Details: e.Details, RequestID: e.RequestID}
}

// speak makes the page speak a language, unless the visitor chose another one.
func speak(c echo.Context, lang string) *i18n.Localizer {
	if c.QueryParam("lang") == "" {
		web.SetLanguage(c, lang)
	}
	return web.Localizer(c)
}

// frame is what stands around a page of the brand.
func frame(c echo.Context, b brand.Brand) Frame {
	l := web.Localizer(c)
	text := b.In(l.Lang())
	f := Frame{
		Brand: text.Name, Address: strings.Join(strings.Split(text.PostalAddress, "\n"), l.T("public.comma")),
		Website: b.Website, Privacy: text.PrivacyURL, Zone: b.Location(), Logo: web.LogoOf(b),
	}
	for _, lang := range b.Languages {
		f.Languages = append(f.Languages, Language{
			Code: lang, Name: i18n.For(lang).T("signup.language"), URL: "?lang=" + lang, Current: lang == l.Lang(),
		})
	}
	return f
}

// seen is who makes the request, for the evidence of an answer.
func seen(c echo.Context) signup.Seen {
	return signup.Seen{IP: web.ClientIP(c).String(), UserAgent: c.Request().UserAgent()}
}

// here is the page's own address in its language, relative to itself, so that it holds behind
// any proxy. A token and a form's id need no escaping.
func here(c echo.Context, param string) string {
	if lang := c.QueryParam("lang"); lang != "" {
		return c.Param(param) + "?" + url.Values{"lang": {lang}}.Encode()
	}
	return c.Param(param)
}

func (h *house) read(c echo.Context, f func(tx *store.Tx) error) error {
	return h.DB.Read(c.Request().Context(), f)
}

func (h *house) write(c echo.Context, f func(tx *store.Tx) error) error {
	return h.DB.Write(c.Request().Context(), f)
}
