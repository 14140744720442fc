package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/templates"
)

// asset is a static file with the tag that its content gives it.
type asset struct {
	body []byte
	kind string
	tag  string // the first 16 hex digits of its SHA-256
}

// assets are the files of templates/static, read once; a fault there is one of the build.
var assets = sync.OnceValue(func() map[string]asset {
	all, err := readAssets(templates.FS)
	if err != nil {
		panic("read the static files: " + err.Error())
	}
	return all
})

// kinds that the machine's own table of types may lack.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
}

func readAssets(files fs.FS) (map[string]asset, error) {
	all := map[string]asset{}
	err := fs.WalkDir(files, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".md") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		kind := kinds[path.Ext(name)]
		if kind == "" {
			kind = mime.TypeByExtension(path.Ext(name))
		}
		if kind == "" {
			kind = "application/octet-stream"
		}
		sum := sha256.Sum256(body)
		all[strings.TrimPrefix(name, "static/")] = asset{body, kind, hex.EncodeToString(sum[:8])}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return all, err
}

// Asset is the address of a static file, which changes with its content and may
// be kept for ever. A file that is not there gets an address that is not found.
func Asset(name string) string {
	if a, ok := assets()[name]; ok {
		return "/static/" + name + "?v=" + a.tag
	}
	return "/static/" + name
}

// static serves the files: for ever under the address that Asset gives, and
// asked for again under any other.
func static(c echo.Context) error {
	a, ok := assets()[c.Param("*")]
	if !ok {
		return problem.New(problem.NotFound, "problem.not-found")
	}
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-cache")
	if c.QueryParam("v") == a.tag {
		h.Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
	}
	h.Set("ETag", `"`+a.tag+`"`)
	if c.Request().Header.Get("If-None-Match") == `"`+a.tag+`"` {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, a.kind, a.body)
}
