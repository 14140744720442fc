package web

import (
	"bytes"
	"compress/gzip"
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
	body   []byte
	packed []byte // by gzip; nil where that saves little
	kind   string
	tag    string // the first 16 hex digits of its SHA-256
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
		packed, err := packBytes(body)
		all[strings.TrimPrefix(name, "static/")] = asset{body, packed, kind, hex.EncodeToString(sum[:8])}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return all, err
}

// packBytes packs a file, if that leaves three quarters of it at most: what is
// packed already, as fonts are, is not worth it. These files are the same for
// everybody; pages, which hold secrets, are not packed (BREACH, CVE-2013-3587).
func packBytes(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil || b.Len() > len(body)/4*3 {
		return nil, err
	}
	return b.Bytes(), nil
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
	tag, body := `"`+a.tag+`"`, a.body
	if a.packed != nil {
		h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if takesGzip(c.Request().Header.Values(echo.HeaderAcceptEncoding)) {
			h.Set(echo.HeaderContentEncoding, "gzip")
			tag, body = `"`+a.tag+`-gzip"`, a.packed
		}
	}
	h.Set("ETag", tag)
	if c.Request().Header.Get("If-None-Match") == tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, a.kind, body)
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip is named, and not
// with the weight nought.
func takesGzip(lines []string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(strings.ReplaceAll(one, " ", ""), ";q=")
			if strings.EqualFold(name, "gzip") {
				return strings.Trim(weight, "0.") != "" || weight == ""
			}
		}
	}
	return false
}
