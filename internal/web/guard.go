package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"assent/internal/link"
	"assent/internal/problem"
)

// PagePolicy is the Content-Security-Policy of every answer that sets no other:
// nothing comes from elsewhere, nothing runs that stands in the page itself, no
// form goes elsewhere, and nobody frames us.
const PagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// headers sets what every answer carries. A handler may set any of them anew.
func headers(https bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Content-Security-Policy", PagePolicy)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-store")
			if https {
				h.Set("Strict-Transport-Security", "max-age=31536000")
			}
			return next(c)
		}
	}
}

// bounds limits the body, and refuses an address that is no text, in its path
// or behind its question mark: no database takes it.
func bounds(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !IsText(r.URL.Path) || !textQuery(r.URL) {
			return problem.New(problem.Malformed, "problem.malformed")
		}
		most := bodyMax(r.URL.Path)
		if r.ContentLength > most {
			return problem.New(problem.TooLarge, "problem.too-large")
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(c.Response(), r.Body, most)
		}
		return next(c)
	}
}

func bodyMax(path string) int64 {
	if larger, ok := largerBodies[path]; ok {
		return larger
	}
	if strings.HasPrefix(path, "/api/v1/subscribers/") && strings.HasSuffix(path, "/statements") {
		return PictureMax
	}
	if rest, ok := strings.CutPrefix(path, "/admin/b/"); ok {
		_, below, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(below, "people/") && strings.HasSuffix(below, "/permission") {
			return PictureMax
		}
		if larger, ok := uploads[below]; ok {
			return larger
		}
	}
	return BodyMax
}

// UploadMax is the most that a file which the team brings may have, in bytes,
// with the form around it.
const UploadMax = 201 << 20

// PictureMax is the same for a picture. One that is too large is taken all the
// same up to here, to be refused in words, beside what else was typed.
const PictureMax = 8 << 20

// uploads are the forms of a brand that take a file.
var uploads = map[string]int64{"imports/new": UploadMax, "settings": PictureMax}

// largerBodies are the addresses that take more than BodyMax, in bytes. None of
// them reads a body before it knows who sends it.
var largerBodies = map[string]int64{"/api/v1/subscribers/batch": 8 << 20}

func textQuery(u *url.URL) bool {
	for name, values := range u.Query() {
		for _, v := range append(values, name) {
			if !IsText(v) {
				return false
			}
		}
	}
	return true
}

// IsText reports whether s is UTF-8 without the null character, which no
// database column takes.
func IsText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// openPosts are the posts that carry no cookie and come from anywhere: forms on
// other people's sites, one-click unsubscribes (RFC 8058 §3.2), and what is
// answered by a signed address.
var openPosts = []string{"/f/", "/c/", "/k/", "/u/", "/p/", "/r/"}

// sameOrigin refuses a changing request that a browser makes for another origin.
func sameOrigin(urls link.URLs) (echo.MiddlewareFunc, error) {
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(urls.Base.Scheme + "://" + urls.Base.Host); err != nil {
		return nil, fmt.Errorf("trust our own origin: %w", err)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			for _, prefix := range openPosts {
				if strings.HasPrefix(r.URL.Path, prefix) {
					return next(c)
				}
			}
			if err := guard.Check(r); err != nil {
				return problem.New(problem.Forbidden, "web.cross-origin").Because(err)
			}
			return next(c)
		}
	}, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
