package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/problem"
	"assent/internal/store"
)

// Proof shows that an event stands in the log, to whoever has the log's public
// key and nothing else of ours.
type Proof struct {
	Log        Log
	Index      int64
	Size       int64 // of the tree that Checkpoint signs
	Hashes     tlog.RecordProof
	Checkpoint string
}

// Prove proves that an event stands in the newest log, under the newest
// checkpoint that is shown. An event that the log has not shown yet is
// problem.Unavailable "ledger.not-yet": it is there within a second or so.
func Prove(tx *store.Tx, event uuid.UUID) (Proof, error) {
	l, err := Growing(tx)
	if err != nil {
		return Proof{}, err
	}
	var places []int64
	if err := tx.Raw("SELECT place FROM log_entries WHERE event_id = ? AND log = ?", event, l.Number).Scan(&places).Error; err != nil {
		return Proof{}, fmt.Errorf("find an event in the log: %w", err)
	}
	if len(places) == 0 || places[0] >= l.ShownSize {
		return Proof{}, problem.New(problem.Unavailable, "ledger.not-yet")
	}
	p := Proof{Log: l, Index: places[0], Size: l.ShownSize, Checkpoint: l.Shown}
	if p.Hashes, err = tlog.ProveRecord(p.Size, p.Index, tilesOf(tx, l.Number)); err != nil {
		return Proof{}, fmt.Errorf("prove an event: %w", err)
	}
	return p, nil
}

// Text is the proof as a file (C2SP tlog-proof@v1, ".tlog-proof").
func (p Proof) Text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nindex %d\n", p.Index)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n" + p.Checkpoint)
	return []byte(b.String())
}

// Newest is the newest checkpoint that is shown, for mails and pages; empty
// before the first.
func Newest(tx *store.Tx) (string, error) {
	l, err := Growing(tx)
	if problem.Is(err, problem.NotFound) {
		return "", nil
	}
	return l.Shown, err
}

// Shown is the newest log as it is shown, for many proofs under one checkpoint:
// problem.Unavailable "ledger.not-yet" before the first.
func Shown(tx *store.Tx) (Log, error) {
	l, err := Growing(tx)
	if problem.Is(err, problem.NotFound) || err == nil && l.Shown == "" {
		return l, problem.New(problem.Unavailable, "ledger.not-yet")
	}
	return l, err
}

// ProveAll is Prove for many events, under the checkpoint that l shows, however
// much the log has grown since. An event that this checkpoint does not cover is
// not among the proofs. It reads the key of log_entries' events once an event,
// and each tile once.
func (l Log) ProveAll(tx *store.Tx, events []uuid.UUID) (map[uuid.UUID]Proof, error) {
	all := make(map[uuid.UUID]Proof, len(events))
	if len(events) == 0 {
		return all, nil
	}
	var rows []struct {
		EventID uuid.UUID
		Place   int64
	}
	err := tx.Raw("SELECT event_id, place FROM log_entries WHERE event_id IN (?) AND log = ? AND place < ?", events, l.Number, l.ShownSize).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find events in the log: %w", err)
	}
	tiles := tilesOf(tx, l.Number)
	for _, r := range rows {
		p := Proof{Log: l, Index: r.Place, Size: l.ShownSize, Checkpoint: l.Shown}
		if p.Hashes, err = tlog.ProveRecord(p.Size, p.Index, tiles); err != nil {
			return nil, fmt.Errorf("prove an event: %w", err)
		}
		all[r.EventID] = p
	}
	return all, nil
}
