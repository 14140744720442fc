package tracking

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/store"
)

// firstSQL are the mails that a person opened, or followed a link of, for the
// first time at the hits it is asked for; %s narrows those. What a person did is
// as in Report: no hit that is labelled as a machine's. A burst is labelled
// within seconds, long before a quarter is folded in.
const firstSQL = `(SELECT h.brand_id, h.source_id, h.message_id, h.kind, min(h.at) AS at FROM hits h
	WHERE %[1]s AND h.machine = '' AND NOT EXISTS (SELECT 1 FROM hits b WHERE b.source_id = h.source_id AND b.message_id = h.message_id
		AND b.kind = h.kind AND b.machine = '' AND %[2]s)
	GROUP BY h.brand_id, h.source_id, h.message_id, h.kind)`

// foldedSQL is countedSQL of firstSQL.
const foldedSQL = `CASE f.kind WHEN 'open' THEN m.tracks_opens ELSE m.tracks_clicks END`

// Fold counts the mails that a person opened, or followed a link of, for the
// first time in [from, to): once for when that was, of the brand and of the
// stream, and once for when the mail was sent, so that the mails of a day and
// those of them that were answered are of the same mails. It is for event.Fold.
//
// Cost: the hits of the time, by their key, and for each the earlier ones of its
// mail, by hits_message.
func Fold(tx *store.Tx, from, to time.Time) error {
	var rows []struct {
		BrandID, StreamID uuid.UUID
		Kind              string
		Sent              int64 // when, in seconds since 1970
		N                 int64
	}
	err := tx.Raw(`SELECT f.brand_id, f.kind, `+sentQuarter(tx)+` AS sent, m.stream_id, count(*) AS n
		FROM `+fmt.Sprintf(firstSQL, "h.at >= ? AND h.at < ?", "b.at < ?")+` f JOIN messages m ON m.source_id = f.source_id AND m.id = f.message_id
		WHERE m.state = 'sent' AND m.settled_at IS NOT NULL AND `+foldedSQL+` GROUP BY 1, 2, 3, 4`, from, to, from).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("fold in opens and clicks: %w", err)
	}
	all := make([]event.Tally, 0, 2*len(rows))
	streams := make([]event.StreamTally, len(rows))
	for i, r := range rows {
		streams[i] = event.StreamTally{BrandID: r.BrandID, StreamID: r.StreamID, At: from, Kind: streamKinds[r.Kind], N: r.N}
		all = append(all, event.Tally{BrandID: r.BrandID, At: from, Kind: event.FirstHit, Source: r.Kind, N: r.N},
			event.Tally{BrandID: r.BrandID, At: time.Unix(r.Sent, 0), Kind: event.SentThen, Source: r.Kind, N: r.N})
	}
	if err := event.Add(tx, all); err != nil {
		return err
	}
	return event.AddStreams(tx, streams)
}

// streamKinds are what hits count for of a stream.
var streamKinds = map[string]string{string(Open): event.StreamOpened, string(Click): event.StreamClicked}

// sentQuarter is when a mail was sent. SQLite's driver knows a time by the type
// of its column, so it is a number.
func sentQuarter(tx *store.Tx) string {
	return tx.Pick("CAST(floor(extract(epoch FROM m.settled_at) / 900) AS bigint) * 900", "unixepoch(m.settled_at) / 900 * 900")
}

// Unfolded counts what Fold would, of a brand's hits since upto: those that are
// not folded in yet. See event.Steady.
func Unfolded(tx *store.Tx, upto time.Time, brandID uuid.UUID, spans []event.Span) (sums []event.Sum, err error) {
	if len(spans) == 0 {
		return nil, nil
	}
	from, args := event.SpanRows(tx, spans)
	answered := `(SELECT f.kind, f.at, m.settled_at AS sent_at FROM ` + fmt.Sprintf(firstSQL, "h.brand_id = ? AND h.at >= ?", "b.at < ?") + ` f
		JOIN messages m ON m.source_id = f.source_id AND m.id = f.message_id WHERE m.state = 'sent' AND m.settled_at IS NOT NULL AND ` + foldedSQL + `) x`
	since := []any{brandID, upto, upto}
	err = tx.Raw(`SELECT d.n AS span, '`+event.FirstHit+`' AS kind, x.kind AS source, count(*) AS n FROM `+answered+` CROSS JOIN `+from+`
			WHERE x.at >= d.since AND x.at < d.until GROUP BY d.n, x.kind
		UNION ALL SELECT d.n AS span, '`+event.SentThen+`' AS kind, x.kind AS source, count(*) AS n FROM `+answered+` CROSS JOIN `+from+`
			WHERE x.sent_at >= d.since AND x.sent_at < d.until GROUP BY d.n, x.kind`,
		slices.Concat(since, args, since, args)...).Scan(&sums).Error
	if err != nil {
		return nil, fmt.Errorf("count opens and clicks: %w", err)
	}
	return sums, nil
}

// UnfoldedOf counts what Fold would of one stream of the brand, of the hits since
// upto. It costs what Unfolded costs: the brand's hits of the last half hour.
func UnfoldedOf(tx *store.Tx, upto time.Time, brandID, streamID uuid.UUID, spans []event.Span) (sums []event.Sum, err error) {
	if len(spans) == 0 {
		return nil, nil
	}
	from, args := event.SpanRows(tx, spans)
	err = tx.Raw(`SELECT d.n AS span, CASE f.kind WHEN 'open' THEN '`+event.StreamOpened+`' ELSE '`+event.StreamClicked+`' END AS kind, count(*) AS n
		FROM `+fmt.Sprintf(firstSQL, "h.brand_id = ? AND h.at >= ?", "b.at < ?")+` f
		JOIN messages m ON m.source_id = f.source_id AND m.id = f.message_id CROSS JOIN `+from+`
		WHERE m.stream_id = ? AND m.state = 'sent' AND m.settled_at IS NOT NULL AND `+foldedSQL+` AND f.at >= d.since AND f.at < d.until GROUP BY d.n, f.kind`,
		slices.Concat([]any{brandID, upto, upto}, args, []any{streamID})...).Scan(&sums).Error
	if err != nil {
		return nil, fmt.Errorf("count opens and clicks of a stream: %w", err)
	}
	return sums, nil
}
