package public

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"assent/templates"
)

// script is the sign-up widget and its tag, read once.
var script = sync.OnceValues(func() (body []byte, tag string) {
	body, err := templates.FS.ReadFile("widget/widget.js")
	if err != nil {
		panic(fmt.Sprintf("read the widget: %v", err)) // it is embedded: a fault of the build
	}
	sum := sha256.Sum256(body)
	return body, `"` + hex.EncodeToString(sum[:8]) + `"`
})

// widget serves the script that other people's pages embed. Its address never
// changes, so it is asked for again soon.
func (h *house) widget(c echo.Context) error {
	body, tag := script()
	head := c.Response().Header()
	head.Set("Cache-Control", "public, max-age=600")
	head.Set("Cross-Origin-Resource-Policy", "cross-origin")
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("ETag", tag)
	if c.Request().Header.Get("If-None-Match") == tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", body)
}
