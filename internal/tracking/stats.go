package tracking

import (
	"fmt"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Figures are the opens, or the clicks, of some mails. Unique counts mails, so
// with one mail a person it counts people; the human figures leave out the hits
// that are labelled as a machine's.
type Figures struct {
	Tracked     int64 // mails sent with this permission: the base of every rate
	Total       int64
	Unique      int64
	TotalHuman  int64
	UniqueHuman int64
}

// Untracked are the mails of a number sent of which nothing can be known, since
// their receivers do not allow it.
func (f Figures) Untracked(sent int64) int64 { return sent - f.Tracked }

// Report is what came back from some mails.
type Report struct {
	Sent   int64 // mails that the mail server took
	Opens  Figures
	Clicks Figures
}

// Stats gives the figures of one source: a campaign edition, an enrollment, an
// offer issue. It reads the source's messages and hits by their indexes.
func Stats(tx *store.Tx, brandID, sourceID uuid.UUID) (Report, error) {
	return report(tx, "m.source_id = ?", brandID, sourceID)
}

// StreamStats gives the figures of everything that flowed from one campaign,
// sequence or offer.
func StreamStats(tx *store.Tx, brandID, streamID uuid.UUID) (Report, error) {
	return report(tx, "m.stream_id = ?", brandID, streamID)
}

// countedSQL tells the hits h of mails m that count: of what went out with the
// permission. A hit of a mail that nobody knows to have been sent is kept, and in
// no figure, or there would be more opens than mails.
const countedSQL = `CASE h.kind WHEN 'open' THEN m.tracks_opens ELSE m.tracks_clicks END`

func report(tx *store.Tx, which string, brandID, id uuid.UUID) (Report, error) {
	var sent struct{ Sent, Opens, Clicks int64 }
	err := tx.Raw(`SELECT count(*) AS sent, COALESCE(sum(CASE WHEN m.tracks_opens THEN 1 ELSE 0 END), 0) AS opens,
			COALESCE(sum(CASE WHEN m.tracks_clicks THEN 1 ELSE 0 END), 0) AS clicks
		FROM messages m WHERE `+which+` AND m.brand_id = ? AND m.state = 'sent'`, id, brandID).Scan(&sent).Error
	if err != nil {
		return Report{}, fmt.Errorf("count the mails sent: %w", err)
	}
	var hits []struct {
		Kind                                   Kind
		Total, Unique, TotalHuman, UniqueHuman int64
	}
	err = tx.Raw(`SELECT h.kind, count(*) AS total, count(DISTINCT h.message_id) AS "unique",
			sum(CASE WHEN h.machine = '' THEN 1 ELSE 0 END) AS total_human,
			count(DISTINCT CASE WHEN h.machine = '' THEN h.message_id END) AS unique_human
		FROM messages m JOIN hits h ON h.source_id = m.source_id AND h.message_id = m.id AND h.brand_id = m.brand_id
		WHERE `+which+` AND m.brand_id = ? AND m.state = 'sent' AND `+countedSQL+` GROUP BY h.kind`, id, brandID).Scan(&hits).Error
	if err != nil {
		return Report{}, fmt.Errorf("count the hits: %w", err)
	}
	s := Report{Sent: sent.Sent, Opens: Figures{Tracked: sent.Opens}, Clicks: Figures{Tracked: sent.Clicks}}
	for _, h := range hits {
		f := &s.Opens
		if h.Kind == Click {
			f = &s.Clicks
		}
		f.Total, f.Unique, f.TotalHuman, f.UniqueHuman = h.Total, h.Unique, h.TotalHuman, h.UniqueHuman
	}
	return s, nil
}
