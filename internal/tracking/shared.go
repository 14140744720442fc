package tracking

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/store"
)

// What is counted without telling anybody apart: how often the pixel and the
// links were fetched that all mails of a campaign share. Nobody can be counted
// once, for nobody is known; so these are counts and never parts of a whole.

// lookShared fills in where the links lead, by the key of links.
func lookShared(tx *store.Tx, group []*call) error {
	for _, c := range group {
		if c.target = ""; c.kind != Click {
			continue
		}
		var urls []string
		err := tx.Raw("SELECT url FROM links WHERE content_id = ? AND language = ? AND n = ?", c.shared.Content, c.shared.Language, c.shared.N).Scan(&urls).Error
		if err != nil {
			return fmt.Errorf("look up a shared link: %w", err)
		}
		if len(urls) > 0 {
			c.target = urls[0]
		}
	}
	return nil
}

type sharedHour struct {
	stream uuid.UUID
	at     int64 // in seconds since 1970
	kind   Kind
}

// writeShared counts a group, one row for each campaign and hour in it, at
// brands that count so.
func writeShared(tx *store.Tx, group []*call) error {
	if len(group) == 0 {
		return nil
	}
	if err := lookShared(tx, group); err != nil {
		return err
	}
	type sum struct{ n, machines int64 }
	sums := map[sharedHour]sum{}
	for _, c := range group {
		if c.kind == Click && c.target == "" {
			continue
		}
		k := sharedHour{c.shared.Stream, c.at.UTC().Truncate(time.Hour).Unix(), c.kind}
		s := sums[k]
		if s.n++; len(c.visitor.signs()) > 0 {
			s.machines++
		}
		sums[k] = s
	}
	keys := make([]sharedHour, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b sharedHour) int { // in one order, so that two never wait for each other
		return cmp.Or(bytes.Compare(a.stream[:], b.stream[:]), cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind))
	})
	for _, k := range keys {
		s := sums[k]
		_, err := tx.Run(`INSERT INTO anonymous_hits (stream_id, brand_id, at, kind, n, machines)
			SELECT st.id, st.brand_id, `+tx.Pick("CAST(? AS timestamptz)", "?")+`, `+tx.Pick("CAST(? AS text)", "?")+`, `+tx.Pick("CAST(? AS bigint)", "?")+`, `+tx.Pick("CAST(? AS bigint)", "?")+`
			FROM streams st JOIN brands b ON b.id = st.brand_id WHERE st.id = ? AND b.anonymous_counts
			ON CONFLICT (stream_id, at, kind) DO UPDATE SET n = anonymous_hits.n + excluded.n, machines = anonymous_hits.machines + excluded.machines`,
			time.Unix(k.at, 0).UTC(), string(k.kind), s.n, s.machines, k.stream)
		if err != nil {
			return fmt.Errorf("count without telling anybody apart: %w", err)
		}
	}
	return nil
}

// Anonymous is how often the pixel, and the links, were fetched that all mails
// of a campaign share, and how often of that by what calls itself a machine.
type Anonymous struct {
	Opens, OpensByMachines   int64
	Clicks, ClicksByMachines int64
}

// AnonymousOf sums up a campaign's hours.
func AnonymousOf(tx *store.Tx, brandID, streamID uuid.UUID) (a Anonymous, err error) {
	var rows []struct {
		Kind        Kind
		N, Machines int64
	}
	err = tx.Raw("SELECT kind, CAST(sum(n) AS bigint) AS n, CAST(sum(machines) AS bigint) AS machines FROM anonymous_hits WHERE stream_id = ? AND brand_id = ? GROUP BY kind",
		streamID, brandID).Scan(&rows).Error
	if err != nil {
		return a, fmt.Errorf("read what was counted without telling anybody apart: %w", err)
	}
	for _, r := range rows {
		if r.Kind == Open {
			a.Opens, a.OpensByMachines = r.N, r.Machines
		} else {
			a.Clicks, a.ClicksByMachines = r.N, r.Machines
		}
	}
	return a, nil
}
