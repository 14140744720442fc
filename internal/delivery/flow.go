package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Flow is a stream and how it stands.
type Flow struct {
	Stream
	RatePerHour int
	Waiting     int64            // due, and not claimed
	Active      int64            // in the hands of a worker
	Later       int64            // due later
	HeldFor     map[string]int64 // of those due later: why they were put off
	Oldest      *time.Time       // when the oldest of the waiting was due
	Sent        int64            // since the stream began or was resumed, as the circuit breaker counts
	HardBounces int64
	Complaints  int64
	Refusals    int64 // over policy, in a row
}

// Streams lists a brand's streams: those of its confirmations, service and test
// mails first, then the newest campaigns, sequences and offers.
func Streams(tx *store.Tx, brandID uuid.UUID, limit int) (all []Stream, err error) {
	err = tx.Where("brand_id = ?", brandID).Order("CASE WHEN origin IN ('confirm', 'service', 'test') THEN 0 ELSE 1 END, id DESC").Limit(limit).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	return all, nil
}

// Flows lists the streams of a brand of which something is on the way, or that
// are paused. It reads the outbox of the brand.
func Flows(tx *store.Tx, brandID uuid.UUID) ([]Flow, error) {
	var rows []struct {
		Stream      `gorm:"embedded"`
		RatePerHour int
		Reason      string
		Waiting     int64
		Active      int64
		Later       int64
		Oldest      *int64
		Sent        int64
		Hard        int64
		Complaints  int64
		Refusals    int64
	}
	now := tx.Now()
	err := tx.Raw(`SELECT st.*, coalesce(q.reason, '') AS reason, coalesce(q.waiting, 0) AS waiting, coalesce(q.active, 0) AS active,
			coalesce(q.later, 0) AS later, q.oldest, coalesce(t.sent, 0) AS sent, coalesce(t.hard, 0) AS hard,
			coalesce(t.complaints, 0) AS complaints, coalesce(t.refusals, 0) AS refusals
		FROM streams st LEFT JOIN tallies t ON t.stream_id = st.id
		LEFT JOIN (SELECT o.stream_id, CASE WHEN o.due_at > ? THEN (SELECT m.reason FROM messages m WHERE m.source_id = o.source_id AND m.id = o.id) ELSE '' END AS reason,
				sum(CASE WHEN o.node_id IS NULL AND o.due_at <= ? THEN 1 ELSE 0 END) AS waiting,
				sum(CASE WHEN o.node_id IS NOT NULL THEN 1 ELSE 0 END) AS active,
				sum(CASE WHEN o.node_id IS NULL AND o.due_at > ? THEN 1 ELSE 0 END) AS later,
				`+tx.Pick("CAST(floor(extract(epoch FROM min(o.due_at))) AS bigint)", "unixepoch(min(o.due_at))")+` AS oldest
			FROM streams s JOIN outbox o ON o.stream_id = s.id
			WHERE s.brand_id = ? GROUP BY o.stream_id, 2) q ON q.stream_id = st.id
		WHERE st.brand_id = ? AND (q.stream_id IS NOT NULL OR st.paused_at IS NOT NULL) ORDER BY st.id DESC`,
		now, now, now, brandID, brandID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list what flows: %w", err)
	}
	var all []Flow
	for _, r := range rows {
		if len(all) == 0 || all[len(all)-1].ID != r.ID {
			all = append(all, Flow{Stream: r.Stream, RatePerHour: r.RatePerHour, HeldFor: map[string]int64{},
				Sent: r.Sent, HardBounces: r.Hard, Complaints: r.Complaints, Refusals: r.Refusals})
		}
		f := &all[len(all)-1]
		f.Waiting, f.Active, f.Later = f.Waiting+r.Waiting, f.Active+r.Active, f.Later+r.Later
		if r.Reason != "" {
			f.HeldFor[r.Reason] += r.Later
		}
		if r.Oldest != nil && r.Waiting > 0 {
			at := time.Unix(*r.Oldest, 0).UTC()
			f.Oldest = &at
		}
	}
	return all, nil
}
