package delivery

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what a node does. Counts are of this process since it started;
// the database says what became of each message.
type metrics struct {
	outcomes *prometheus.CounterVec // by verdict
	gate     *prometheus.CounterVec // by what the gate answered, and why
}

func newMetrics() *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_mail_tries_total",
			Help: "What tries to hand a mail over came to, by verdict."}, []string{"verdict"}),
		gate: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_mail_gate_total",
			Help: "What the gate answered for due messages: passed, skipped or later, and why."}, []string{"answer", "reason"}),
	}
	for _, name := range verdictNames { // from 0 on, or the first of a kind would be no increase
		m.outcomes.WithLabelValues(name)
	}
	return m
}

var verdictNames = map[verdict]string{accepted: "accepted", refused: "refused", postponed: "postponed",
	unanswered: "unanswered", unknown: "unknown", returned: "returned", delayed: "delayed", hungUp: "hung-up"}

func (m *metrics) booked(page []outcome) {
	var n [hungUp + 1]int
	for _, o := range page {
		n[o.verdict]++
	}
	for v, count := range n {
		if count > 0 {
			m.outcomes.WithLabelValues(verdictNames[verdict(v)]).Add(float64(count))
		}
	}
}

func (m *metrics) asked(a answers) {
	if a.passed > 0 {
		m.gate.WithLabelValues("passed", "").Add(float64(a.passed))
	}
	for reason, n := range a.skipped {
		m.gate.WithLabelValues("skipped", reason).Add(float64(n))
	}
	for reason, n := range a.later {
		m.gate.WithLabelValues("later", reason).Add(float64(n))
	}
}

// answers is what the gate said of a batch.
type answers struct {
	passed         int
	skipped, later map[string]int
}

func (a *answers) skip(reason string) {
	if a.skipped == nil {
		a.skipped = map[string]int{}
	}
	a.skipped[reason]++
}

func (a *answers) put(reason string) {
	if a.later == nil {
		a.later = map[string]int{}
	}
	a.later[reason]++
}

// Collectors are the engine's figures for Prometheus.
func (e *Engine) Collectors() []prometheus.Collector {
	return []prometheus.Collector{e.metrics.outcomes, e.metrics.gate,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_mail_in_hand", Help: "Messages claimed by this process and not settled yet."},
			func() float64 { return float64(e.hand.size()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_mail_connections", Help: "Connections to mail servers that this process may have at once."},
			func() float64 { return float64(e.pool.size()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_data_free_bytes", Help: "Room left where this process keeps its journal; without any, nothing is sent. -1 where that cannot be told."},
			func() float64 { return freeBytes(e.jour.dir) }),
	}
}
