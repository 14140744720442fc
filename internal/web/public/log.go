package public

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/store"
)

// log serves the log of consent to whoever wants to check it (C2SP tlog-tiles):
// /log/checkpoint and /log/tile/… of the one that grows, /log/<number>/… of each,
// also of those that a restore ended, and /log/key the public key of it. It has
// no addresses and no names; see ledger.
func (h *house) log(c echo.Context) error {
	path := c.Param("*")
	var body []byte
	fixed := false
	err := h.read(c, func(tx *store.Tx) error {
		l, rest, err := whichLog(tx, path)
		if err != nil {
			return err
		}
		switch rest {
		case "checkpoint":
			body = []byte(l.Shown)
		case "key":
			body = []byte(l.Verifier + "\n")
		default:
			fixed = true
			body, err = l.Tile(tx, rest)
		}
		return err
	})
	if err == nil && len(body) == 0 {
		err = problem.New(problem.NotFound, "ledger.no-tile")
	}
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Access-Control-Allow-Origin", "*") // it is for everybody
	if !fixed {
		header.Set(echo.HeaderCacheControl, "no-cache")
		return c.Blob(http.StatusOK, "text/plain; charset=utf-8", body)
	}
	header.Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
	return c.Blob(http.StatusOK, "application/octet-stream", body)
}

// whichLog finds the log of a path below /log/, and what is asked of it.
func whichLog(tx *store.Tx, path string) (l ledger.Log, rest string, err error) {
	first, rest, cut := strings.Cut(path, "/")
	if n, bad := strconv.ParseUint(first, 10, 31); cut && bad == nil {
		l, err = ledger.Find(tx, int(n))
		return l, rest, err
	} else if cut && errors.Is(bad, strconv.ErrRange) {
		return l, "", problem.New(problem.NotFound, "ledger.no-log")
	}
	l, err = ledger.Growing(tx)
	return l, path, err
}
