package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"assent/internal/problem"
)

// meter counts requests by route, and times them.
type meter struct {
	seconds *prometheus.HistogramVec
}

func newMeter(r *prometheus.Registry) (*meter, error) {
	m := &meter{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "assent_http_request_seconds",
		Help:    "Time to answer a request, by route pattern and status class.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "class"})}
	for _, c := range []prometheus.Collector{m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register a metric: %w", err)
		}
	}
	return m, nil
}

// measure runs the error handler itself, so that the status it times is the one sent.
func (m *meter) measure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		class := strconv.Itoa(c.Response().Status/100) + "xx"
		m.seconds.WithLabelValues(route(c), class).Observe(time.Since(start).Seconds())
		return nil
	}
}

// metrics shows the figures to those whom the mode lets have them; all others
// are told there is nothing.
//
//	local   this machine, without a proxy between
//	direct  whoever reaches the process without a proxy between
//	open    everybody
func metrics(r *prometheus.Registry, mode string) echo.HandlerFunc {
	h := echo.WrapHandler(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return func(c echo.Context) error {
		if may := mode == "open" || direct(c.Request()) && (mode == "direct" || near(c.Request())); !may {
			return problem.New(problem.NotFound, "problem.not-found")
		}
		return h(c)
	}
}

// direct: no proxy says that it passes the request on.
func direct(r *http.Request) bool {
	for _, h := range []string{"Forwarded", echo.HeaderXForwardedFor, echo.HeaderXRealIP} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return true
}

// near: the peer is on this machine.
func near(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}
