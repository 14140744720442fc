package event

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// What became of the mails of one campaign, sequence or offer over time: one row
// for each quarter of an hour in which something did, however many mails there
// are. What was sent, and who left by a mail's own link, is counted in the
// transaction that makes it so; opens and clicks are folded in with the brand's.

// Kinds of what is counted of a stream.
const (
	StreamSent    = "sent"    // marketing that was taken
	StreamOpened  = "opened"  // a mail, by a person for the first time
	StreamClicked = "clicked" // a link of a mail was followed, by a person for the first time
	StreamLeft    = "left"    // somebody took their permission back by a mail's own link
)

// A StreamTally is how often something happened to the mails of a stream.
type StreamTally struct {
	BrandID, StreamID uuid.UUID
	At                time.Time // any moment of the quarter
	Kind              string
	N                 int64
}

// AddStreams is Add for streams. It too is for the end of a transaction.
func AddStreams(tx *store.Tx, all []StreamTally) error {
	sums := map[StreamTally]int64{}
	for _, t := range all {
		n := t.N
		t.At, t.N = QuarterOf(t.At), 0
		sums[t] += n
	}
	rows := make([][]any, 0, len(sums))
	for t, n := range sums {
		if n != 0 {
			rows = append(rows, []any{t.StreamID, t.BrandID, t.At, t.Kind, n})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { // in one order, so that two never wait for each other
		return cmp.Or(cmp.Compare(a[0].(uuid.UUID).String(), b[0].(uuid.UUID).String()), a[2].(time.Time).Compare(b[2].(time.Time)), cmp.Compare(a[3].(string), b[3].(string)))
	})
	_, err := tx.InsertAll("stream_quarters", "stream_id uuid, brand_id uuid, at timestamptz, kind text, n bigint", rows,
		"ON CONFLICT (stream_id, at, kind) DO UPDATE SET n = stream_quarters.n + excluded.n")
	if err != nil {
		return fmt.Errorf("count what became of mails: %w", err)
	}
	return nil
}

// StreamBegan is the quarter in which the first mail of a stream of the brand was
// sent; zero where none was. It reads one end of the key.
func StreamBegan(tx *store.Tx, brandID, streamID uuid.UUID) (time.Time, error) {
	var first []struct{ At time.Time }
	err := tx.Raw("SELECT at FROM stream_quarters WHERE stream_id = ? AND brand_id = ? ORDER BY at LIMIT 1", streamID, brandID).Scan(&first).Error
	if err != nil || len(first) == 0 {
		return time.Time{}, err
	}
	return first[0].At.UTC(), nil
}

// StreamSums counts what became of the mails of a stream of the brand in each
// span. It reads the quarters of the spans by their key.
func StreamSums(tx *store.Tx, brandID, streamID uuid.UUID, spans []Span) (sums []Sum, err error) {
	if len(spans) == 0 {
		return nil, nil
	}
	from, args := SpanRows(tx, spans)
	err = tx.Raw(`SELECT d.n AS span, q.kind, CAST(sum(q.n) AS bigint) AS n FROM `+from+` CROSS JOIN stream_quarters q
		WHERE q.stream_id = ? AND q.brand_id = ? AND q.at >= d.since AND q.at < d.until GROUP BY d.n, q.kind`,
		append(args, streamID, brandID)...).Scan(&sums).Error
	if err != nil {
		return nil, fmt.Errorf("sum up what became of mails: %w", err)
	}
	return sums, nil
}
