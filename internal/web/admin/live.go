package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"assent/internal/problem"
	"assent/internal/web"
)

// pingEvery keeps proxies from ending a stream on which nothing happens, which
// they do after a minute or so. The page does not listen to it.
const pingEvery = 25 * time.Second

// fingerprintOf names what is shown of something.
func fingerprintOf(shown any) string {
	raw, err := json.Marshal(shown)
	if err != nil {
		panic(fmt.Sprintf("what a page shows is no JSON: %v", err)) // numbers, texts and times
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// watch tells a page that it is out of date, when what look names is not that of
// ?seen= or of the telling before. The session and the role are asked for at
// every look, so the stream ends with them.
func (d *desk) watch(look func(now *desk) (string, error)) error {
	if _, err := look(d); err != nil {
		return err
	}
	seen := d.c.QueryParam("seen")
	return d.h.stream(d.c, nil, func() (changed bool, err error) {
		v, err := d.h.visit(d.c)
		if err != nil {
			return false, err
		}
		now, err := d.h.desk(d.c, v)
		if err != nil {
			return false, err
		}
		if !now.may(d.least) {
			return false, problem.New(problem.Forbidden, "problem.forbidden")
		}
		shown, err := look(now)
		if err != nil {
			return false, err
		}
		before := seen
		seen = shown
		return seen != before, nil
	})
}

// dashboardLive tells a dashboard that it is out of date: the brand's numbers or
// newest events are others.
func dashboardLive(d *desk) error {
	return d.watch(func(now *desk) (string, error) {
		n, facts, err := now.h.look(now.c, now.brand)
		if err != nil {
			return "", err
		}
		waits, err := now.waits(n)
		return fingerprint(n, facts, waits), err
	})
}

// mailboxLive tells the mailbox that a mail came since ?after=.
func (h *house) mailboxLive(c echo.Context) error {
	if err := h.mayRead(c); err != nil {
		return err
	}
	came, cancel := h.Mailbox.Subscribe()
	defer cancel()
	after := mailID(c.QueryParam("after"))
	return h.stream(c, came, func() (changed bool, err error) {
		if err := h.mayRead(c); err != nil {
			return false, err
		}
		before := after
		after = h.newest()
		return after != before, nil
	})
}

// stream sends the event "change" whenever look finds one, at the beginning, at
// every wake and every so often, until the client is gone, look fails, or the
// server stops.
func (h *house) stream(c echo.Context, wake <-chan uint64, look func() (changed bool, err error)) error {
	send, err := web.Stream(c)
	if err != nil {
		return err
	}
	if err := send("ping", ""); err != nil { // so that the headers go out
		return err
	}
	ctx := c.Request().Context()
	ticks, pings := time.NewTicker(h.Every), time.NewTicker(pingEvery)
	defer ticks.Stop()
	defer pings.Stop()
	for {
		changed, err := look()
		if over(ctx, err) {
			return nil
		}
		if err == nil && changed {
			err = send("change", "")
		}
		if err != nil {
			return err
		}
		if again, err := h.wait(ctx, wake, ticks.C, pings.C, send); !again {
			return err
		}
	}
}

// wait comes back when it is time to look again.
func (h *house) wait(ctx context.Context, wake <-chan uint64, tick, ping <-chan time.Time, send func(event, data string) error) (again bool, err error) {
	for {
		select {
		case <-wake:
			return true, nil
		case <-tick:
			return true, nil
		case <-ping:
			if err := send("ping", ""); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, nil
		case <-h.Done:
			return false, nil
		}
	}
}

// over: the client left, or may not look any more. That is how streams end.
func over(ctx context.Context, err error) bool {
	return ctx.Err() != nil || problem.Is(err, problem.Unauthorized) || problem.Is(err, problem.Forbidden) || problem.Is(err, problem.NotFound)
}
