package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Fault is a row that is not what the log says, or a log that is not what was
// signed.
type Fault struct {
	Place int64  // in the log; -1 where it has none
	Table string // and key of the row
	Key   string
	What  string // in words, for the operator
}

func (f Fault) String() string {
	at := ""
	if f.Place >= 0 {
		at = fmt.Sprintf(" (entry %d of the log)", f.Place)
	}
	return fmt.Sprintf("%s %s%s: %s", f.Table, f.Key, at, f.What)
}

// Report is what an audit found.
type Report struct {
	Log     Log   // that grows
	Entries int64 // compared
	Pending int64 // events that have no place yet
	Erased  int64 // entries whose evidence was destroyed with its person's key
	Faults  []Fault
}

// faultsMost is how many faults an audit tells; the first is among them.
const faultsMost = 100

// Audit compares the database with its log, all of it as of one moment: every
// event with its leaf, every leaf with the tree, the tree with the signed
// checkpoints and with the one kept outside, evidence with what the leaves
// commit to, wordings with their hashes, permissions with the events they stand
// on, objections with theirs; and it looks for events that the log never got. Faults come in the order of
// the log, those without a place last. Logs that a restore ended are not compared:
// their events stand in the one that grows. progress may be nil. It costs about 30 µs
// an event, and reads as much as a backup does.
func Audit(ctx context.Context, db *store.DB, kept *Head, progress func(done, of int64)) (r Report, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		r, err = audit(tx, kept, progress)
		return err
	})
	return r, err
}

func audit(tx *store.Tx, kept *Head, progress func(done, of int64)) (Report, error) {
	all, err := All(tx)
	if err != nil {
		return Report{}, err
	}
	a := auditor{tx: tx, progress: progress}
	for _, l := range all {
		if l.EndedAt == nil {
			a.Log = l
		}
	}
	if a.Log.Origin == "" {
		return a.Report, problem.New(problem.NotFound, "ledger.no-log")
	}
	if err := a.tree(a.Log); err != nil {
		return a.Report, err
	}
	if kept != nil && !slices.ContainsFunc(all, func(l Log) bool { return l.EndedAt != nil && l.Origin == kept.Origin }) {
		if err := tilesOf(tx, a.Log.Number).follows(a.Log, *kept); err != nil {
			a.fault(math.MaxInt64, "logs", a.Log.Origin, err.Error())
		}
	}
	for _, look := range []func() error{a.unlogged, a.permissions, a.objections, a.wordings} {
		if err := look(); err != nil {
			return a.Report, err
		}
	}
	slices.SortStableFunc(a.Faults, func(x, y Fault) int { // -1 last, and an event before its evidence
		if c := cmp.Compare(uint64(x.Place), uint64(y.Place)); c != 0 || x.Place < 0 {
			return c
		}
		return cmp.Compare(len(x.Table), len(y.Table))
	})
	if len(a.Faults) > faultsMost {
		a.Faults = a.Faults[:faultsMost]
	}
	return a.Report, nil
}

type auditor struct {
	Report
	tx       *store.Tx
	progress func(done, of int64)
}

func (a *auditor) fault(place int64, table, key, what string) {
	if place == math.MaxInt64 {
		place = -1
	}
	a.Faults = append(a.Faults, Fault{place, table, key, what})
}

const auditAtOnce = 8 * tileWidth

// tree audits a log with its rows.
func (a *auditor) tree(l Log) error {
	stored, leaves := newCourse(), newCourse()
	var wrong []Fault
	for from := int64(0); from < l.Size; from += auditAtOnce {
		to := min(from+auditAtOnce, l.Size)
		entries, err := a.entries(l, from, to)
		if err != nil {
			return err
		}
		tiles, err := a.level0(l, from, to)
		if err != nil {
			return err
		}
		for i := range int(to - from) {
			e, h := entries[i], tiles[i]
			stored.add(h)
			leaves.add(e.hash)
			if what := e.wrong(h); what != "" && len(wrong) <= faultsMost {
				wrong = append(wrong, Fault{from + int64(i), e.table, e.key(), what})
			}
		}
		if err := a.evidence(from, entries); err != nil {
			return err
		}
		a.Entries = to
		if a.progress != nil {
			a.progress(to, l.Size)
		}
	}
	root, err := hash(l.Root)
	if err != nil {
		return err
	}
	if stored.root() != root {
		what := "the hashes of the tree are not those that were signed"
		if leaves.root() == root {
			wrong, what = nil, what+"; the events are"
		}
		a.fault(math.MaxInt64, "log_tiles", l.Origin, what)
	}
	a.Faults = append(a.Faults, wrong...)
	if err := a.levels(l, stored); err != nil {
		return err
	}
	if err := a.beyond(l); err != nil {
		return err
	}
	if l.Checkpoint != "" {
		a.head(l, l.Checkpoint, l.Size)
	}
	if l.Shown != "" {
		a.head(l, l.Shown, l.ShownSize)
	}
	return nil
}

// head checks a signature, and that what is signed is the log's own size.
func (a *auditor) head(l Log, checkpoint string, size int64) {
	h, err := OpenCheckpoint(checkpoint, l.Verifier)
	if err == nil && h.Size != size {
		err = fmt.Errorf("the checkpoint is of size %d, the log says %d", h.Size, size)
	}
	if err == nil {
		err = tilesOf(a.tx, l.Number).follows(l, h)
	}
	if err != nil {
		a.fault(math.MaxInt64, "logs", l.Origin, err.Error())
	}
}

// audited is an entry of the log with its row.
type audited struct {
	id     uuid.UUID
	table  string // empty: no row has the id
	event  *consent.Event
	change *consent.ChangeEvent
	hash   tlog.Hash
}

func (e audited) key() string {
	if e.id == uuid.Nil {
		return "?"
	}
	return e.id.String()
}

// wrong says what is wrong with the row, where the tree has a hash for it.
func (e audited) wrong(h tlog.Hash) string {
	switch {
	case e.id == uuid.Nil:
		return "the entry was deleted"
	case e.event == nil && e.change == nil:
		return "the event was deleted"
	case e.hash != h:
		return "another event than was logged: it was changed, or put in another's place"
	case e.event != nil && !consent.CheckLeaf(*e.event), e.change != nil && !consent.CheckChange(*e.change):
		return "the row says something else than its entry in the log"
	}
	return ""
}

// entries reads a part of the log with its rows; what is missing is empty.
func (a *auditor) entries(l Log, from, to int64) ([]audited, error) {
	all := make([]audited, to-from)
	for i := range all {
		all[i].table = "log_entries"
	}
	var places []struct {
		Place   int64
		EventID uuid.UUID
	}
	err := a.tx.Raw("SELECT place, event_id FROM log_entries WHERE log = ? AND place >= ? AND place < ?", l.Number, from, to).Scan(&places).Error
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	var ids [][]any
	for _, p := range places {
		all[p.Place-from].id, all[p.Place-from].table = p.EventID, "consent_events"
		ids = append(ids, []any{p.EventID})
	}
	if len(ids) == 0 {
		return all, nil
	}
	var events []consent.Event
	var changes []consent.ChangeEvent
	list, args := a.tx.Rows("v", "id uuid", ids)
	if err := a.tx.Raw("SELECT e.* FROM "+list+" JOIN consent_events e ON e.id = v.id", args...).Scan(&events).Error; err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	if err := a.tx.Raw("SELECT e.* FROM "+list+" JOIN change_events e ON e.id = v.id", args...).Scan(&changes).Error; err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	byID := make(map[uuid.UUID]int, len(all))
	for i, e := range all {
		byID[e.id] = i
	}
	for i, e := range events {
		x := &all[byID[e.ID]]
		x.event, x.hash = &events[i], tlog.RecordHash(e.Leaf)
	}
	for i, e := range changes {
		x := &all[byID[e.ID]]
		x.change, x.table, x.hash = &changes[i], "change_events", tlog.RecordHash(e.Leaf)
	}
	return all, nil
}

// level0 reads the hashes of the leaves; one that is missing is zero.
func (a *auditor) level0(l Log, from, to int64) ([]tlog.Hash, error) {
	all := make([]tlog.Hash, to-from)
	var rows []struct {
		N      int64
		Hashes []byte
	}
	err := a.tx.Raw("SELECT n, hashes FROM log_tiles WHERE log = ? AND level = 0 AND n >= ? AND n <= ?", l.Number, from/tileWidth, (to-1)/tileWidth).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the tiles: %w", err)
	}
	for _, r := range rows {
		for i := range len(r.Hashes) / tlog.HashSize {
			if at := r.N*tileWidth + int64(i) - from; at >= 0 && at < to-from {
				all[at] = tlog.Hash(r.Hashes[i*tlog.HashSize:])
			}
		}
	}
	return all, nil
}

// levels compares the tiles above the leaves with what the leaves make of them.
func (a *auditor) levels(l Log, c *course) error {
	for level := 1; l.Size>>(tileHeight*level) > 0; level++ {
		count := l.Size >> (tileHeight * level)
		for n := int64(0); n*tileWidth < count; n++ {
			b, err := tilesOf(a.tx, l.Number).read(tileID{level, n})
			if err != nil {
				return err
			}
			want := c.hashes(level, n*tileWidth, min(count, (n+1)*tileWidth))
			if !bytes.Equal(b, want) {
				a.fault(math.MaxInt64, "log_tiles", fmt.Sprintf("%s level %d tile %d", l.Origin, level, n), "its hashes are not those of the leaves below")
				return nil
			}
		}
	}
	return nil
}

// beyond looks for entries that the checkpoint does not cover.
func (a *auditor) beyond(l Log) error {
	var rows []struct {
		Place   int64
		EventID uuid.UUID
	}
	err := a.tx.Raw("SELECT place, event_id FROM log_entries WHERE log = ? AND (place >= ? OR place < 0) ORDER BY place LIMIT 10", l.Number, l.Size).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("look beyond the log: %w", err)
	}
	for _, r := range rows {
		a.fault(math.MaxInt64, "log_entries", fmt.Sprintf("%d %s", r.Place, r.EventID), "it stands where the signed log has nothing")
	}
	return nil
}

// evidence checks what the entries commit to, as long as its person's key exists.
func (a *auditor) evidence(from int64, entries []audited) error {
	var ids [][]any
	at := map[uuid.UUID]int{}
	for i, e := range entries {
		if e.event != nil || e.change != nil && e.change.SubscriberID != nil {
			ids, at[e.id] = append(ids, []any{e.id}), i
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		EventID, SubscriberID uuid.UUID
		Salt, Sealed          []byte
	}
	list, args := a.tx.Rows("v", "id uuid", ids)
	err := a.tx.Raw(`SELECT x.* FROM `+list+` JOIN consent_evidence x ON x.event_id = v.id
		UNION ALL SELECT x.* FROM `+list+` JOIN change_evidence x ON x.event_id = v.id`, append(args, args...)...).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("read the evidence: %w", err)
	}
	people, sealed := make([]uuid.UUID, len(rows)), make([][]byte, len(rows))
	for i, r := range rows {
		people[i], sealed[i] = r.SubscriberID, r.Sealed
	}
	plain, err := subscriber.OpenAll(a.tx, people, sealed)
	if err != nil {
		return err
	}
	for i, r := range rows {
		e := entries[at[r.EventID]]
		delete(at, r.EventID)
		ok := plain[i] != nil && e.holds(r.SubscriberID, r.Salt, plain[i])
		if !ok {
			a.fault(from+int64(slices.IndexFunc(entries, func(x audited) bool { return x.id == r.EventID })), "evidence of "+e.table, e.key(), "it is not what the log commits to")
		}
	}
	return a.destroyed(from, entries, at)
}

func (e audited) holds(person uuid.UUID, salt, private []byte) bool {
	if e.event != nil {
		return e.event.SubscriberID == person && consent.VerifyEvidence(*e.event, salt, private)
	}
	return *e.change.SubscriberID == person && consent.VerifyChange(*e.change, salt, private)
}

// destroyed: only the evidence of somebody erased may be gone.
func (a *auditor) destroyed(from int64, entries []audited, gone map[uuid.UUID]int) error {
	if len(gone) == 0 {
		return nil
	}
	var rows [][]any
	for id, i := range gone {
		person := uuid.Nil
		if e := entries[i]; e.event != nil {
			person = e.event.SubscriberID
		} else {
			person = *e.change.SubscriberID
		}
		rows = append(rows, []any{id, person})
	}
	var erased []uuid.UUID
	list, args := a.tx.Rows("v", "id uuid, person uuid", rows)
	if err := a.tx.Raw("SELECT v.id FROM "+list+" JOIN subscribers s ON s.id = v.person WHERE s.erased_at IS NOT NULL AND EXISTS (SELECT 1 FROM change_events x WHERE x.subscriber_id = s.id AND x.kind = '"+consent.Erased+"')", args...).Scan(&erased).Error; err != nil {
		return fmt.Errorf("look who was erased: %w", err)
	}
	for _, id := range erased {
		delete(gone, id)
		a.Erased++
	}
	for id, i := range gone {
		a.fault(from+int64(i), "evidence of "+entries[i].table, id.String(), "it was deleted, and its person was not erased")
	}
	return nil
}

// unlogged looks for events that the log never got, and for what it was left and
// is not there.
func (a *auditor) unlogged() error {
	for _, table := range []string{"consent_events", "change_events"} {
		var ids []uuid.UUID
		err := a.tx.Raw(`SELECT x.id FROM `+table+` x WHERE NOT EXISTS (SELECT 1 FROM log_entries e WHERE e.event_id = x.id AND e.log = ?)
			AND NOT EXISTS (SELECT 1 FROM log_pending p WHERE p.event_id = x.id AND p.bulk IN (TRUE, FALSE)) ORDER BY x.id LIMIT ?`,
			a.Log.Number, faultsMost).Scan(&ids).Error
		if err != nil {
			return fmt.Errorf("look for events that are not in the log: %w", err)
		}
		for _, id := range ids {
			a.fault(math.MaxInt64, table, id.String(), "it was inserted without the log")
		}
	}
	if err := a.tx.Raw("SELECT count(*) FROM log_pending").Scan(&a.Pending).Error; err != nil {
		return fmt.Errorf("count what is pending: %w", err)
	}
	var ids []uuid.UUID
	err := a.tx.Raw(`SELECT p.event_id FROM log_pending p WHERE NOT EXISTS (SELECT 1 FROM consent_events x WHERE x.id = p.event_id)
		AND NOT EXISTS (SELECT 1 FROM change_events x WHERE x.id = p.event_id) LIMIT ?`, faultsMost).Scan(&ids).Error
	if err != nil {
		return fmt.Errorf("look for pending events: %w", err)
	}
	for _, id := range ids {
		a.fault(math.MaxInt64, "consent_events", id.String(), "the event was deleted before the log took it")
	}
	return nil
}

// permissions looks for permissions that are not what their last event says.
func (a *auditor) permissions() error {
	var rows []struct{ SubscriberID, TopicID uuid.UUID }
	err := a.tx.Raw(`SELECT p.subscriber_id, p.topic_id FROM permissions p LEFT JOIN consent_events e ON e.id = p.event_id
		WHERE e.id IS NULL OR p.state <> e.state OR p.since <> e.occurred_at OR p.valid_until IS DISTINCT FROM e.valid_until
			OR p.paused_until IS DISTINCT FROM e.paused_until OR p.promise_max <> e.promise_max OR p.promise_days <> e.promise_days OR p.brand_id <> e.brand_id
			OR p.subscriber_id <> e.subscriber_id OR p.topic_id <> e.topic_id OR p.said_at > p.since
			OR EXISTS (SELECT 1 FROM consent_events n WHERE n.brand_id = p.brand_id AND n.subscriber_id = p.subscriber_id AND n.topic_id = p.topic_id
				AND n.occurred_at > e.occurred_at)
		ORDER BY p.subscriber_id, p.topic_id LIMIT ?`, faultsMost).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("compare the permissions with their events: %w", err)
	}
	for _, r := range rows {
		a.fault(math.MaxInt64, "permissions", r.SubscriberID.String()+" "+r.TopicID.String(), "it is not what the last event says")
	}
	err = a.tx.Raw(`SELECT DISTINCT e.subscriber_id, e.topic_id FROM consent_events e
		WHERE NOT EXISTS (SELECT 1 FROM permissions p WHERE p.subscriber_id = e.subscriber_id AND p.topic_id = e.topic_id) LIMIT ?`, faultsMost).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("look for permissions that are gone: %w", err)
	}
	for _, r := range rows {
		a.fault(math.MaxInt64, "permissions", r.SubscriberID.String()+" "+r.TopicID.String(), "it was deleted, and there are events of it")
	}
	return nil
}

// objections looks for people whose row does not know that they objected, or says
// so of who never did: the last word about it in the ledger counts.
func (a *auditor) objections() error {
	var ids []uuid.UUID
	err := a.tx.Raw(`SELECT s.id FROM subscribers s WHERE s.erased_at IS NULL AND (s.objected_at IS NULL) = EXISTS (
			SELECT 1 FROM change_events c WHERE c.subscriber_id = s.id AND c.brand_id = s.brand_id AND c.kind = ? AND NOT EXISTS (
				SELECT 1 FROM change_events l WHERE l.subscriber_id = s.id AND l.brand_id = s.brand_id AND l.kind = ? AND l.occurred_at > c.occurred_at))
		ORDER BY s.id LIMIT ?`, consent.Objected, consent.ObjectionLifted, faultsMost).Scan(&ids).Error
	if err != nil {
		return fmt.Errorf("compare the objections with their events: %w", err)
	}
	for _, id := range ids {
		a.fault(math.MaxInt64, "subscribers", id.String(), "whether they object to mail and scoring is not what the log says")
	}
	return nil
}

// wordings compares the words shown with their hashes.
func (a *auditor) wordings() error {
	last := []byte{0}
	for {
		var rows []struct {
			Hash []byte
			Text string
		}
		if err := a.tx.Raw("SELECT hash, text FROM wordings WHERE hash > ? ORDER BY hash LIMIT 1000", last).Scan(&rows).Error; err != nil {
			return fmt.Errorf("read the words shown: %w", err)
		}
		for _, r := range rows {
			if sum := sha256.Sum256([]byte(r.Text)); !bytes.Equal(sum[:], r.Hash) {
				a.fault(math.MaxInt64, "wordings", fmt.Sprintf("%x", r.Hash), "the words are not those that were shown")
			}
		}
		if len(rows) < 1000 {
			return nil
		}
		last = rows[len(rows)-1].Hash
	}
}

// course is a tree as it grows leaf by leaf: its peaks, and the hashes that stand
// in tiles above the leaves.
type course struct {
	n      int64
	peaks  []tlog.Hash
	levels map[int][]byte // of tiles
}

func newCourse() *course { return &course{levels: map[int][]byte{}} }

func (c *course) add(h tlog.Hash) {
	height := 0
	for m := c.n; m&1 == 1; m >>= 1 {
		h = tlog.NodeHash(c.peaks[len(c.peaks)-1], h)
		c.peaks = c.peaks[:len(c.peaks)-1]
		if height++; height%tileHeight == 0 {
			c.levels[height/tileHeight] = append(c.levels[height/tileHeight], h[:]...)
		}
	}
	c.peaks = append(c.peaks, h)
	c.n++
}

func (c *course) root() tlog.Hash {
	if c.n == 0 {
		return tlog.Hash(sha256.Sum256(nil))
	}
	h := c.peaks[len(c.peaks)-1]
	for i := len(c.peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(c.peaks[i], h)
	}
	return h
}

func (c *course) hashes(level int, from, to int64) []byte {
	return c.levels[level][from*tlog.HashSize : to*tlog.HashSize]
}
