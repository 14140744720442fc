package tracking

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/store"
)

// row is a hit as the statements see it: one element of a JSON array, so that a
// group of any size is one parameter on both databases.
type row struct {
	N       int       `json:"n"`
	ID      uuid.UUID `json:"id"`
	At      string    `json:"at"`
	Source  uuid.UUID `json:"s"`
	Message uuid.UUID `json:"m"`
	Kind    Kind      `json:"k"`
	Link    int       `json:"l"`
	Agent   string    `json:"ua"`
	Network string    `json:"net"`
	Machine string    `json:"why"`
	Brand   uuid.UUID `json:"b"` // of the message, as look found it
	Person  uuid.UUID `json:"p"`
}

// groupTable is the array as a table, with its one parameter.
func groupTable(tx *store.Tx) string {
	return tx.Pick(
		`jsonb_to_recordset(CAST(? AS jsonb)) AS v(n int, id uuid, at timestamptz, s uuid, m uuid, k text, l int, ua text, net text, why text, b uuid, p uuid)`,
		`(SELECT value->>'n' AS n, value->>'id' AS id, value->>'at' AS at, value->>'s' AS s, value->>'m' AS m, value->>'k' AS k,
			value->>'l' AS l, value->>'ua' AS ua, value->>'net' AS net, value->>'why' AS why,
			value->>'b' AS b, value->>'p' AS p FROM json_each(?)) AS v`)
}

// timeText is how SQLite's driver writes a time, which PostgreSQL reads too.
const timeText = "2006-01-02 15:04:05.999999999-07:00"

func (c *call) row(n int) row {
	return row{
		N: n, ID: store.NewID(c.at), At: c.at.UTC().Format(timeText), Source: c.message.Source, Message: c.message.ID,
		Kind: c.kind, Link: c.link, Agent: c.visitor.UserAgent, Network: c.visitor.Network,
	}
}

func encode(all []row) (string, error) {
	text, err := json.Marshal(all)
	return string(text), err
}

// found is what is known of the mail that a hit names.
type found struct {
	N            int
	BrandID      uuid.UUID
	SubscriberID *uuid.UUID
	SettledAt    *time.Time
	Tracked      bool // the mail went out with the permission for this kind
	Dated        bool // the brand keeps the day of the last open only
	TimeZone     string
	Opened       bool
	URL          string
}

// write records one group: what is known of its mails, the labels, the hits
// that are permitted, and their facts. A repeat after a deadlock starts anew.
func write(tx *store.Tx, group []*call) error {
	if len(group) == 0 {
		return nil
	}
	for _, c := range group {
		c.known, c.target, c.recorded = false, "", false
	}
	if err := lock(tx, group); err != nil {
		return err
	}
	mails, err := look(tx, group)
	if err != nil {
		return err
	}
	why := make([][]string, len(group))
	for i, c := range group {
		if c.known {
			why[i] = label(c, mails[i])
		}
	}
	if err := labelBursts(tx, group, why); err != nil {
		return err
	}
	if err := insert(tx, group, mails, why); err != nil {
		return err
	}
	if err := date(tx, group, mails, why); err != nil {
		return err
	}
	return tell(tx, group, mails, why)
}

// lock lets one process at a time write hits of a mail, so that its first open
// is told once. SQLite has one writer.
func lock(tx *store.Tx, group []*call) error {
	if tx.Dialect() != store.Postgres {
		return nil
	}
	keys := make([]string, 0, len(group))
	for _, c := range group {
		keys = append(keys, fmt.Sprint(lockKey(c.message)))
	}
	slices.Sort(keys)
	_, err := tx.Run(`SELECT pg_advisory_xact_lock(k) FROM (SELECT k FROM unnest(CAST(? AS bigint[])) AS k ORDER BY k) AS keys`,
		"{"+strings.Join(slices.Compact(keys), ",")+"}")
	if err != nil {
		return fmt.Errorf("lock the mails: %w", err)
	}
	return nil
}

// lockKey is 64 bits of the random part of the message's id.
func lockKey(m link.Message) int64 {
	var key uint64
	for _, b := range m.ID[8:] {
		key = key<<8 | uint64(b)
	}
	return int64(key)
}

// look finds the mails and the links of a group, by the primary keys of both,
// and whether a mail was opened before, by the index hits_message.
func look(tx *store.Tx, group []*call) ([]found, error) {
	all := make([]row, len(group))
	for i, c := range group {
		all[i] = c.row(i)
	}
	param, err := encode(all)
	if err != nil {
		return nil, err
	}
	var got []found
	err = tx.Raw(`SELECT v.n, m.brand_id, m.subscriber_id, m.settled_at, COALESCE(l.url, '') AS url,
			m.state = 'queued' OR CASE v.k WHEN 'open' THEN m.tracks_opens ELSE m.tracks_clicks END AS tracked,
			v.k = 'open' AND b.last_open_only AS dated, b.time_zone,
			v.k = 'open' AND EXISTS (SELECT 1 FROM hits h WHERE h.source_id = m.source_id AND h.message_id = m.id AND h.kind = 'open') AS opened
		FROM `+groupTable(tx)+`
		JOIN messages m ON m.source_id = v.s AND m.id = v.m
		JOIN brands b ON b.id = m.brand_id
		LEFT JOIN links l ON v.k = 'click' AND l.content_id = m.content_id AND l.language = m.language AND l.n = v.l`, param).Scan(&got).Error
	if err != nil {
		return nil, fmt.Errorf("look up the mails: %w", err)
	}
	mails := make([]found, len(group))
	for _, f := range got {
		mails[f.N] = f
		group[f.N].known, group[f.N].target = true, f.URL
	}
	return mails, nil
}

func label(c *call, f found) []string {
	why := c.visitor.signs()
	if instant(c.at, f.SettledAt) {
		why = append(why, ByInstant)
	}
	return why
}

// labelBursts labels the clicks of the group that belong to a burst, and those
// stored just before it.
func labelBursts(tx *store.Tx, group []*call, why [][]string) error {
	index := map[*call]int{}
	clicks := map[link.Message][]step{}
	for i, c := range group {
		if c.kind == Click && c.target != "" {
			index[c] = i
			clicks[c.message] = append(clicks[c.message], step{c.at, c.link, c})
		}
	}
	if len(clicks) == 0 {
		return nil
	}
	if err := addStored(tx, group, clicks); err != nil {
		return err
	}
	for message, steps := range clicks {
		var first, last time.Time
		for i, burst := range bursts(steps) {
			if !burst {
				continue
			}
			if first.IsZero() {
				first = steps[i].at
			}
			last = steps[i].at
			if steps[i].hit != nil {
				why[index[steps[i].hit]] = append(why[index[steps[i].hit]], ByBurst)
			}
		}
		if first.IsZero() {
			continue
		}
		if _, err := tx.Run(`UPDATE hits SET machine = CASE machine WHEN '' THEN ? ELSE machine || ? END
			WHERE source_id = ? AND message_id = ? AND kind = 'click' AND at BETWEEN ? AND ? AND machine NOT LIKE ?`,
			ByBurst, ","+ByBurst, message.Source, message.ID, first, last, "%"+ByBurst+"%"); err != nil {
			return fmt.Errorf("label a burst: %w", err)
		}
	}
	return nil
}

// addStored adds the clicks of the last seconds to those of the group.
func addStored(tx *store.Tx, group []*call, clicks map[link.Message][]step) error {
	since := slices.MinFunc(group, func(a, b *call) int { return a.at.Compare(b.at) }).at
	wanted := make([]row, 0, len(clicks))
	for message := range clicks {
		wanted = append(wanted, row{Source: message.Source, Message: message.ID, At: since.Format(timeText)})
	}
	param, err := encode(wanted)
	if err != nil {
		return err
	}
	var stored []Hit
	err = tx.Raw(`SELECT h.source_id, h.message_id, h.link, h.at FROM `+groupTable(tx)+`
		JOIN hits h ON h.source_id = v.s AND h.message_id = v.m WHERE h.kind = 'click' AND h.at >= ?`,
		param, since.Add(-burstWithin)).Scan(&stored).Error
	if err != nil {
		return fmt.Errorf("look up earlier clicks: %w", err)
	}
	for _, h := range stored {
		m := link.Message{Source: h.SourceID, ID: h.MessageID}
		clicks[m] = append(clicks[m], step{h.At, h.Link, nil})
	}
	return nil
}

// permittedSQL asks whether the person of a row allows its kind now; its one ? is
// the time.
const permittedSQL = `(SELECT count(*) FROM permissions p WHERE p.subscriber_id = v.p AND p.brand_id = v.b
				AND p.topic_id = (SELECT t.id FROM topics t WHERE t.brand_id = v.b AND t.slug = CASE v.k WHEN 'open' THEN 'opens' ELSE 'clicks' END)
				AND p.state IN ('given', 'renewed') AND (p.valid_until IS NULL OR p.valid_until > ?)) = 1
		AND (SELECT count(*) FROM subscribers s WHERE s.brand_id = v.b AND s.id = v.p AND s.erased_at IS NULL) = 1`

// insert stores the hits of those who allow it. The permission is asked in the
// statement that stores, by scalar subqueries: each is a look-up in the index of
// a key for every hit, whatever the planner knows of the tables. (Written as
// joins, PostgreSQL began at the subscribers where it had no statistics yet, and
// 32 hits took 3 s.)
func insert(tx *store.Tx, group []*call, mails []found, why [][]string) error {
	wanted := make([]row, 0, len(group))
	for i, c := range group {
		f := mails[i]
		if !c.known || !f.Tracked || f.Dated || f.SubscriberID == nil || (c.kind == Click && c.target == "") {
			continue
		}
		r := c.row(i)
		r.Machine, r.Brand, r.Person = strings.Join(why[i], ","), f.BrandID, *f.SubscriberID
		wanted = append(wanted, r)
	}
	if len(wanted) == 0 {
		return nil
	}
	param, err := encode(wanted)
	if err != nil {
		return err
	}
	var stored []uuid.UUID
	err = tx.Raw(`INSERT INTO hits (id, at, brand_id, subscriber_id, source_id, message_id, kind, link, user_agent, network, machine)
		SELECT v.id, v.at, v.b, v.p, v.s, v.m, v.k, v.l, v.ua, v.net, v.why
		FROM `+groupTable(tx)+`
		WHERE `+permittedSQL+`
		RETURNING id`, param, tx.Now()).Scan(&stored).Error
	if err != nil {
		return fmt.Errorf("store the hits: %w", err)
	}
	byID := make(map[uuid.UUID]int, len(wanted))
	for _, w := range wanted {
		byID[w.ID] = w.N
	}
	for _, id := range stored {
		group[byID[id]].recorded = true
	}
	return nil
}

// tell puts the stored hits on the timeline: a mail's first open, and every click.
func tell(tx *store.Tx, group []*call, mails []found, why [][]string) error {
	opened := map[link.Message]bool{}
	for i, c := range group {
		if !c.recorded {
			continue
		}
		e := event.Event{
			At: c.at, BrandID: mails[i].BrandID, SubscriberID: mails[i].SubscriberID,
			SourceID: &c.message.Source, MessageID: &c.message.ID, Data: map[string]any{},
		}
		if len(why[i]) > 0 {
			e.Data["machine"] = strings.Join(why[i], ",")
		}
		switch c.kind {
		case Open:
			if mails[i].Opened || opened[c.message] {
				continue
			}
			opened[c.message] = true
			e.Kind = event.MailOpened
		case Click:
			e.Kind, e.Data["link"], e.Data["url"] = event.MailClicked, c.link, c.target
		}
		if err := event.Record(tx, e); err != nil {
			return err
		}
	}
	return nil
}
