package public

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/internal/tracking"
	"assent/internal/web"
)

// dot is a transparent GIF of one pixel, always the same.
var dot = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// pixel answers the image in a mail once its loading is on disk, for those who
// allow that; for all others it is the same image, and nothing is noted.
func (h *house) pixel(c echo.Context) error {
	status := http.StatusOK
	ref, err := h.URLs.ReadPixel(c.Param("token"))
	if err == nil {
		err = h.Recorder.Open(c.Request().Context(), ref, visitor(c))
	} else if stream, is := h.URLs.ReadAnonymousPixel(c.Param("token")); is == nil {
		err = h.Recorder.SharedOpen(c.Request().Context(), stream, visitor(c))
	} else {
		return err
	}
	if err != nil {
		f := web.Classify(err)
		web.Log(c, f)
		status = f.Status
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter)
	}
	c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return c.Blob(status, "image/gif", dot)
}

const retryAfter = "5" // seconds

// follow leads to where the link of the mail was stored to lead, once that is
// on disk for those who allow it. When it cannot be stored, nothing pretends
// that it was: the answer says so, and offers the plain link.
func (h *house) follow(c echo.Context) error {
	ctx := c.Request().Context()
	ref, n, err := h.URLs.ReadClick(c.Param("token"))
	note := func() (string, error) { return h.Recorder.Click(ctx, ref, n, visitor(c)) }
	plainly := func() (string, error) { return tracking.Target(ctx, h.DB, ref, n) }
	if err != nil {
		shared, is := h.URLs.ReadAnonymousClick(c.Param("token"))
		if is != nil {
			return err
		}
		note = func() (string, error) { return h.Recorder.SharedClick(ctx, shared, visitor(c)) }
		plainly = func() (string, error) { return tracking.SharedTarget(ctx, h.DB, shared) }
	}
	to, err := note()
	if err == nil {
		return c.Redirect(http.StatusFound, to)
	}
	if !problem.Is(err, problem.Unavailable) {
		return err
	}
	c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter)
	plain, lost := plainly()
	if lost != nil {
		return err
	}
	web.Log(c, web.Classify(err))
	return web.Page(c, http.StatusServiceUnavailable, "public/link", Link{URL: plain})
}

func visitor(c echo.Context) tracking.Visitor {
	r := c.Request()
	purpose := strings.ToLower(r.Header.Get("Sec-Purpose") + " " + r.Header.Get("Purpose") + " " + r.Header.Get("X-Purpose") + " " + r.Header.Get("X-Moz"))
	return tracking.Visitor{
		UserAgent: r.UserAgent(), Network: tracking.NetworkOf(web.ClientIP(c).String()), Head: r.Method == http.MethodHead,
		Prefetch: strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "prerender") || strings.Contains(purpose, "preview"),
	}
}

// Link is the page public/link: where a link leads, while it cannot be noted.
type Link struct {
	Frame
	URL string
}
