package public

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/brand"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// logo serves the picture of a brand, under an address that says what it shows,
// and so may be kept for ever. It is the same for everybody, and who asked for it
// is not written down.
func (h *house) logo(c echo.Context) error {
	hash, ok := strings.CutSuffix(c.Param("hash"), ".png")
	if !ok {
		return problem.New(problem.NotFound, "problem.not-found")
	}
	var body []byte
	err := h.read(c, func(tx *store.Tx) (err error) { body, err = brand.LogoPNG(tx, hash); return err })
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
	header.Set("Content-Security-Policy", web.PictureFence)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // mail is read on other sites
	header.Set("ETag", `"`+hash+`"`)
	if c.Request().Header.Get("If-None-Match") == `"`+hash+`"` {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, "image/png", body)
}
