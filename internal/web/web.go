// Package web is the house's one door to HTTP: Echo's set-up, what every
// request goes through, how errors become answers, and how pages are drawn.
//
// It promises: every answer carries its security headers, and no personal page
// is kept by a cache; a request that changes something from another origin is
// refused, but for the cookie-less public posts; whatever fails is told in the
// visitor's language, as a page or as a problem document (RFC 9457), and logged
// once, by route and never by address, so that no token is in a log.
//
// Echo stays in this package and those below it.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"assent/internal/link"
	"assent/templates"
)

// Options for New.
type Options struct {
	URLs           link.URLs
	TrustedProxies []netip.Prefix              // whose X-Forwarded-For is believed; none: nobody's
	Log            *slog.Logger                // nil: slog.Default()
	Metrics        string                      // who may read /metrics: "local" (also ""), "direct", "open" or "off"
	Registry       *prometheus.Registry        // nil: one of its own; others may add to it
	Ready          func(context.Context) error // asked by /readyz; nil: always ready
	ErrorPage      ErrorPage                   // tells failures to people; nil: one plain sentence
}

// BodyMax is the most that a request may bring, in bytes; see largerBodies.
const BodyMax = 1 << 20

// New makes the Echo that all routes are mounted on. It serves /healthz,
// /readyz, /metrics and /static already.
func New(o Options) (*echo.Echo, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	pages, err := NewRenderer(templates.FS)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = extractor(o.TrustedProxies)
	edge := &edge{log: o.Log, urls: o.URLs, pages: pages, errors: o.ErrorPage}
	e.HTTPErrorHandler = edge.handle
	e.Pre(edge.begin)
	meter, err := newMeter(o.Registry)
	if err != nil {
		return nil, err
	}
	origins, err := sameOrigin(o.URLs)
	if err != nil {
		return nil, err
	}
	e.Use(meter.measure, rescue, headers(o.URLs.HTTPS()), bounds, origins)
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", ready(o.Ready))
	if o.Metrics != "off" {
		e.GET("/metrics", metrics(o.Registry, o.Metrics))
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, "/static/*", static)
	return e, nil
}

// Server gives the handler its timeouts. An answer that streams lifts its own
// write deadline; see Stream.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
}

func extractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		options = append(options, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

func ready(ask func(context.Context) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		if ask != nil {
			ctx, cancel := context.WithTimeout(c.Request().Context(), 5*time.Second)
			defer cancel()
			if err := ask(ctx); err != nil {
				return unavailable(err)
			}
		}
		return c.String(http.StatusOK, "ready\n")
	}
}

// IsAPI reports whether the request is a program's: it asks below /api, or
// wants JSON and no page.
func IsAPI(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}
