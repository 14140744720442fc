package delivery

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"assent/internal/event"
	"assent/internal/store"
)

// Figures are what the database says of sending as a whole, for Prometheus.
// Every process shows them, whether it sends or not, so that they are there
// when nobody sends any more; all processes say the same, but for the count of
// uncertain messages, which is of those this process made so. While the
// database cannot be asked there are none, rather than old ones.
type Figures struct {
	db        *store.DB
	uncertain prometheus.Counter

	mu   sync.Mutex
	last sending
	at   time.Time // of the machine's clock
}

// sending is how sending stands.
type sending struct {
	due     map[string]time.Duration // queue → since when its oldest mail is due
	stopped int                      // streams
	nodes   int
	held    bool // after a restore
}

const (
	figuresKept = 5 * time.Second // so that who may ask often costs no more
	figuresTime = 5 * time.Second // for asking
)

var (
	dueFigure     = prometheus.NewDesc("assent_mail_due_seconds", "For how long the mail that waits longest has been due, by queue; 0 where none waits. Streams that are paused are left out.", []string{"queue"}, nil)
	stoppedFigure = prometheus.NewDesc("assent_mail_streams_stopped", "Campaigns, sequences and offers that a circuit breaker paused, and nobody has resumed.", nil, nil)
	nodesFigure   = prometheus.NewDesc("assent_mail_nodes", "Processes that send and were heard of within the last half minute.", nil, nil)
	heldFigure    = prometheus.NewDesc("assent_mail_held", "1 while nothing is sent after a restore, until a person says so.", nil, nil)
)

// NewFigures begins to count uncertain messages; the rest is asked for when
// somebody looks.
func NewFigures(db *store.DB) *Figures {
	f := &Figures{db: db, uncertain: prometheus.NewCounter(prometheus.CounterOpts{Name: "assent_mail_uncertain_total",
		Help: "Messages that became uncertain: handed over, and nobody knows whether they were taken."})}
	event.Listen(db, event.MailUncertain, func(tx *store.Tx, _ event.Event) error {
		tx.AfterCommit(f.uncertain.Inc)
		return nil
	})
	return f
}

// Describe and Collect make it a prometheus.Collector.
func (f *Figures) Describe(to chan<- *prometheus.Desc) {
	f.uncertain.Describe(to)
	for _, d := range []*prometheus.Desc{dueFigure, stoppedFigure, nodesFigure, heldFigure} {
		to <- d
	}
}

// Collect asks the database, or gives what it said a moment ago.
func (f *Figures) Collect(to chan<- prometheus.Metric) {
	f.uncertain.Collect(to)
	s, err := f.ask()
	if err != nil {
		return // the others say enough: /readyz, and that these are missing
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for queue, since := range s.due {
		gauge(dueFigure, since.Seconds(), queue)
	}
	gauge(stoppedFigure, float64(s.stopped))
	gauge(nodesFigure, float64(s.nodes))
	held := 0.0
	if s.held {
		held = 1
	}
	gauge(heldFigure, held)
}

func (f *Figures) ask() (sending, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) < figuresKept {
		return f.last, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), figuresTime)
	defer cancel()
	var s sending
	err := f.db.Read(ctx, func(tx *store.Tx) (err error) { s, err = readSending(tx); return err })
	if err == nil {
		f.last, f.at = s, time.Now()
	}
	return s, err
}

// oldestSQL finds since when the first of each queue is due, in seconds since
// 1970. It costs what due costs: one look at the outbox's key for each stream.
func oldestSQL(tx *store.Tx) string {
	first := "(SELECT o.due_at FROM outbox o WHERE o.stream_id = st.id AND o.node_id IS NULL ORDER BY o.due_at, o.id LIMIT 1)"
	return `SELECT queue, min(since) AS since FROM (SELECT st.queue, ` + tx.Pick("CAST(floor(extract(epoch FROM "+first+")) AS bigint)", "unixepoch("+first+")") + ` AS since
		FROM streams st WHERE st.paused_at IS NULL OR st.closed <> '') d WHERE since <= ? GROUP BY queue`
}

func readSending(tx *store.Tx) (s sending, err error) {
	s.due = map[string]time.Duration{}
	for _, o := range []Origin{OriginConfirm, OriginService, OriginCampaign} {
		s.due[o.queue()] = 0
	}
	var oldest []struct {
		Queue string
		Since int64
	}
	if err = tx.Raw(oldestSQL(tx), tx.Now().Unix()).Scan(&oldest).Error; err != nil {
		return s, fmt.Errorf("look for what waits longest: %w", err)
	}
	for _, o := range oldest {
		s.due[o.Queue] = tx.Now().Sub(time.Unix(o.Since, 0)).Truncate(time.Second)
	}
	if err = one(tx, &s.stopped, "SELECT count(*) FROM streams WHERE paused_at IS NOT NULL AND paused_for <> '' AND closed = ''"); err != nil {
		return s, fmt.Errorf("count the stopped streams: %w", err)
	}
	if err = one(tx, &s.held, "SELECT EXISTS (SELECT 1 FROM installation WHERE key = 'sending-paused')"); err != nil {
		return s, fmt.Errorf("ask whether sending is held: %w", err)
	}
	s.nodes, err = Living(tx)
	return s, err
}

// freeBytes is what this process may still write where its journal lies; -1
// where that cannot be told.
func freeBytes(dir string) float64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return -1
	}
	return float64(disk.Bavail) * float64(disk.Bsize)
}
