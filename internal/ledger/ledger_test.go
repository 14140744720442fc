package ledger_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"assent/internal/consent"
	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/testkit"
)

// Everything here is checked by other people's code: the tree by
// transparency-dev/merkle, notes and proofs by transparency-dev/formats.

func (w *world) checkpoint(l ledger.Log, text string) *flog.Checkpoint {
	w.Helper()
	v, err := note.NewVerifier(l.Verifier)
	w.must(err)
	c, _, _, err := flog.ParseCheckpoint([]byte(text), l.Origin, v)
	w.must(err)
	return c
}

func (w *world) entries(l ledger.Log) (leaves [][]byte) {
	w.Helper()
	for n := int64(0); n*256 < l.ShownSize; n++ {
		path := fmt.Sprintf("tile/entries/%03d", n)
		if rest := l.ShownSize - n*256; rest < 256 {
			path += fmt.Sprintf(".p/%d", rest)
		}
		var b []byte
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { b, err = l.Tile(tx, path); return err }))
		for len(b) > 0 {
			size := int(binary.BigEndian.Uint16(b))
			leaves, b = append(leaves, b[2:2+size]), b[2+size:]
		}
	}
	return leaves
}

func TestEveryEventGetsItsPlaceAndAProof(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(200) // 600 events: three tiles
		w.step()
		l := w.log()
		if l.Size != 600 || l.ShownSize != 600 {
			w.Fatalf("the log has %d entries, and shows %d; want 600", l.Size, l.ShownSize)
		}
		c := w.checkpoint(l, l.Shown)
		leaves := w.entries(l)
		h := rfc6962.DefaultHasher
		var events []uuid.UUID
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) error {
			return tx.Raw("SELECT event_id FROM log_entries WHERE log = 1 ORDER BY place").Scan(&events).Error
		}))
		for i := 0; i < 600; i += 37 {
			var p ledger.Proof
			w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { p, err = ledger.Prove(tx, events[i]); return err }))
			var read proof.TLogProof
			w.must(read.Unmarshal(p.Text()))
			hashes := make([][]byte, len(read.Hashes))
			for j := range hashes {
				hashes[j] = read.Hashes[j][:]
			}
			got := w.checkpoint(l, string(read.Checkpoint))
			if err := mproof.VerifyInclusion(h, read.Index, got.Size, h.HashLeaf(leaves[i]), hashes, got.Hash); err != nil || read.Index != uint64(i) {
				w.Errorf("entry %d is proved at %d: %v", i, read.Index, err)
			}
			if !bytes.Contains(leaves[i], []byte(events[i].String())) {
				w.Errorf("entry %d is not that of its event", i)
			}
		}
		if c.Size != 600 {
			w.Errorf("the checkpoint is of size %d", c.Size)
		}
		if r := w.audit(w.db); len(r.Faults) > 0 || r.Entries != 600 {
			w.Errorf("an audit of what nobody touched compares %d and finds %v", r.Entries, r.Faults)
		}
	})
}

func TestAnEventComesAfterTheOneItFollows(t *testing.T) {
	each(t, func(w *world) {
		s := w.person(1)
		var given consent.Event
		w.write(func(tx *store.Tx) error { // an import is bulk, and waits
			events, _, err := consent.GrantAll(tx, []consent.Act{{Brand: w.brand, Subscriber: s.ID, Topic: w.news, Method: consent.MethodImport,
				Basis: consent.BasisImport, Evidence: map[string]any{"source": "fair"}}})
			given = events[0]
			return err
		})
		left := w.say(s, consent.Withdrawn)
		var events []uuid.UUID
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) (err error) { events, err = ledger.Take(tx, 1); return err }))
		if !slices.Equal(events, []uuid.UUID{given.ID, left.ID}) {
			w.Errorf("the log has %v, want the permission and then its withdrawal: %v, %v", events, given.ID, left.ID)
		}
	})
}

func TestHeadsThatWereShownAreConsistent(t *testing.T) {
	each(t, func(w *world) {
		var heads []*flog.Checkpoint
		for _, n := range []int{1, 1, 3, 80, 90, 2} {
			w.signUp(n)
			w.step()
			l := w.log()
			heads = append(heads, w.checkpoint(l, l.Shown))
		}
		leaves := w.entries(w.log())
		for _, c := range heads {
			if root := rootOf(leaves[:c.Size]); !bytes.Equal(root, c.Hash) {
				w.Errorf("the head of size %d is not that of the entries", c.Size)
			}
		}
	})
}

func (w *world) eventAt(place int64) uuid.UUID {
	w.Helper()
	var ids []uuid.UUID
	w.must(w.db.Read(w.Context(), func(tx *store.Tx) error {
		return tx.Raw("SELECT event_id FROM log_entries WHERE place = ?", place).Scan(&ids).Error
	}))
	return ids[0]
}

// rootOf computes the tree head of RFC 6962 §2.1 by its definition.
func rootOf(leaves [][]byte) []byte {
	h := rfc6962.DefaultHasher
	if len(leaves) == 1 {
		return h.HashLeaf(leaves[0])
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return h.HashChildren(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

func TestTwoKeepersGrowOneLog(t *testing.T) {
	each(t, func(w *world) {
		other, err := ledger.OpenOutside(t.TempDir())
		w.must(err)
		var all sync.WaitGroup
		for _, outside := range []ledger.Outside{w.outside, other} {
			k, err := ledger.Start(w.Context(), ledger.Options{DB: w.db, Outside: outside, Origin: origin})
			w.must(err)
			defer k.Stop()
		}
		for n := range 8 {
			all.Go(func() {
				for i := range 20 {
					s := w.person(1000*n + i)
					w.say(s, consent.Requested)
					w.say(s, consent.Given)
				}
			})
		}
		all.Wait()
		eventually(w, "every event is in the log and shown", func() bool { l := w.log(); return l.ShownSize == 320 })
		l := w.log()
		if root := rootOf(w.entries(l)); !bytes.Equal(root, l.Root) {
			w.Error("the head is not that of the entries")
		}
		eventually(w, "both folders have the newest checkpoint", func() bool {
			a, errA := w.outside.Kept()
			b, errB := other.Kept()
			w.must(errA)
			w.must(errB)
			return a != nil && b != nil && a.Size == 320 && b.Size == 320
		})
	})
}

// TestKilledBetweenSteps stands where the process may die: after the tree grew
// and before the checkpoint is kept, and after it is kept and before it is shown.
func TestKilledBetweenSteps(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(3)
		w.step()
		w.signUp(2)
		_, err := ledger.Grow(w.keeper(w.db, w.outside), w.Context()) // and no more
		w.must(err)
		if l := w.log(); l.Size != 15 || l.ShownSize != 9 {
			w.Fatalf("the log has %d and shows %d, want 15 and 9", l.Size, l.ShownSize)
		}
		kept, err := w.outside.Kept()
		w.must(err)
		if kept.Size != 9 {
			w.Errorf("what is kept is of size %d", kept.Size)
		}
		w.step() // another process comes
		if l := w.log(); l.ShownSize != 15 || l.Stopped != "" {
			w.Errorf("the log shows %d, stopped for %q", l.ShownSize, l.Stopped)
		}
		w.signUp(1)
		_, err = ledger.Grow(w.keeper(w.db, w.outside), w.Context())
		w.must(err)
		w.must(ledger.Keep(w.outside, w.log())) // kept, and not shown
		w.signUp(1)
		w.step()
		if l := w.log(); l.ShownSize != 21 || l.Stopped != "" {
			w.Errorf("the log shows %d, stopped for %q", l.ShownSize, l.Stopped)
		}
	})
}

// copyOf is the database as it is now, restored elsewhere.
func (w *world) copyOf() *store.DB {
	w.Helper()
	var b bytes.Buffer
	_, err := w.db.Backup(w.Context(), &b)
	w.must(err)
	to := w.open("sqlite:" + filepath.Join(w.TempDir(), "copy.db"))
	w.must(to.Migrate(w.Context()))
	_, err = to.Restore(w.Context(), &b)
	w.must(err)
	return to
}

func TestAnOlderDatabaseIsNotSignedOn(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(5)
		w.step()
		yesterday := w.copyOf()
		w.must(yesterday.ResumeSending(w.Context()))
		w.must(yesterday.Write(w.Context(), func(tx *store.Tx) error { // as if it were put back by other means
			_, err := tx.Run("UPDATE logs SET stopped = ''")
			return err
		}))
		left := w.people[2]
		w.say(left, consent.Withdrawn)
		w.signUp(1)
		w.step()

		k := w.keeper(yesterday, w.outside)
		w.must(k.Step(w.Context()))
		w.must(k.Step(w.Context()))
		l := w.logOf(yesterday)
		if l.Size != 15 || !strings.Contains(l.Stopped, "older") {
			w.Errorf("the copy has %d entries, and is stopped for %q", l.Size, l.Stopped)
		}
		if _, paused, err := yesterday.SendingPaused(w.Context()); !paused || err != nil {
			w.Errorf("mail goes out from a database that is older than the world: %v", err)
		}
		if r := w.audit(yesterday); len(r.Faults) == 0 {
			w.Error("an audit sees nothing")
		}

		// What somebody must do, knowing it.
		kept, err := w.outside.Kept()
		w.must(err)
		restraints, err := w.outside.Restraints()
		w.must(err)
		w.must(yesterday.Write(w.Context(), func(tx *store.Tx) error {
			if _, err := ledger.Restart(tx, kept, origin, "a disk was lost"); err != nil {
				return err
			}
			n, err := ledger.Reconcile(tx, l.SignedAt.UTC(), restraints)
			if n.Withdrawals != 1 {
				w.Errorf("entered again: %+v, want 1 withdrawal", n)
			}
			return err
		}))
		w.must(k.Step(w.Context()))
		again := w.logOf(yesterday)
		if again.Origin == l.Origin || again.ShownSize != 1+15+1 || again.Stopped != "" {
			w.Errorf("the new log is %s, shows %d, stopped for %q", again.Origin, again.ShownSize, again.Stopped)
		}
		w.must(yesterday.Read(w.Context(), func(tx *store.Tx) error {
			may, err := consent.May(tx, w.brand, left.ID, w.news.ID)
			if may.Allowed {
				w.Error("somebody who left since the backup may be mailed")
			}
			return err
		}))
		if r := w.audit(yesterday); len(r.Faults) > 0 {
			w.Errorf("an audit of the new log finds %v", r.Faults)
		}
		if _, paused, _ := yesterday.SendingPaused(w.Context()); !paused {
			w.Error("sending resumed by itself")
		}
	})
}

// What was said since the copy was made is known beside the database only.
func TestARestoredCopyHoldsBackWhatWasHeldBack(t *testing.T) {
	each(t, func(w *world) {
		w.write(func(tx *store.Tx) (err error) {
			w.news, err = consent.CreateTopic(tx, w.brand, consent.NewTopic{Slug: "daily", PromiseMax: 7, PromiseDays: 7,
				Texts: map[string]consent.TopicText{"en": {Name: "Daily", Wording: "Yes, send me news."}}})
			return err
		})
		w.signUp(7)
		objects, pauses, slows, left, freed, gave, stays := w.people[0], w.people[1], w.people[2], w.people[3], w.people[4], w.people[5], w.people[6]
		w.adjust(freed, consent.Adjustment{Pause: &consent.Pause{Until: begin.AddDate(0, 2, 0)}})
		lifted := w.suppress(gave, consent.Manual)
		w.must(w.keeper(w.db, w.outside).KeepSuppressions(w.Context()))
		w.write(func(tx *store.Tx) error { return consent.Lift(tx, w.brand, lifted, consent.Manual) })
		w.step()
		old := w.copyOf()

		until := begin.AddDate(0, 1, 0)
		w.write(func(tx *store.Tx) error {
			return consent.Object(tx, w.brand, objects.ID, consent.MethodPreferences, map[string]any{"ip": "192.0.2.9"})
		})
		w.adjust(pauses, consent.Adjustment{Pause: &consent.Pause{Until: begin.AddDate(0, 3, 0)}})
		w.adjust(pauses, consent.Adjustment{Pause: &consent.Pause{Until: until}})
		w.adjust(slows, consent.Adjustment{Promise: &consent.Promise{Max: 1, Days: 7}})
		w.adjust(freed, consent.Adjustment{Pause: &consent.Pause{}})
		for _, reason := range []string{consent.Left, consent.Complaint, consent.NotMe, consent.HardBounce, consent.Manual} {
			w.suppress(left, reason)
		}
		w.step()
		w.must(w.keeper(w.db, w.outside).KeepSuppressions(w.Context()))
		w.must(w.keeper(w.db, w.outside).KeepSuppressions(w.Context())) // once each, also after a start

		kept, err := w.outside.Kept()
		w.must(err)
		restraints, err := w.outside.Restraints()
		w.must(err)
		before := w.logOf(old)
		for range 2 { // a restart that is repeated enters nothing twice
			w.must(old.Write(w.Context(), func(tx *store.Tx) error {
				if _, err := ledger.Restart(tx, kept, origin, "a disk was lost"); err != nil {
					return err
				}
				n, err := ledger.Reconcile(tx, before.SignedAt.UTC(), restraints)
				w.Logf("entered again: %+v", n)
				return err
			}))
		}
		w.must(old.Read(w.Context(), func(tx *store.Tx) error {
			for name, s := range map[string]subscriber.Subscriber{"objected": objects, "paused": pauses, "reported it": left} {
				if may, err := consent.May(tx, w.brand, s.ID, w.news.ID); err != nil || may.Allowed {
					w.Errorf("somebody who %s since the copy may be mailed: %v", name, err)
				}
			}
			for name, s := range map[string]subscriber.Subscriber{"ended a pause": freed, "was let go before": gave, "did nothing": stays} {
				if may, err := consent.May(tx, w.brand, s.ID, w.news.ID); err != nil || !may.Allowed {
					w.Errorf("somebody who %s may not be mailed: %s %v", name, may.Reason, err)
				}
			}
			s, err := subscriber.Find(tx, w.brand.ID, objects.ID)
			if err != nil || s.ObjectedAt == nil {
				w.Errorf("the objection is lost: %v", err)
			}
			stops, err := consent.Suppressions(tx, w.brand.ID, left.AddressHash)
			if len(stops) != 5 || err != nil {
				w.Errorf("%d suppressions came back, want 5: %v", len(stops), err)
			}
			history, err := consent.History(tx, w.brand.ID, slows.ID)
			if e := history[len(history)-1]; err != nil || e.PromiseMax != 1 || e.PromiseDays != 7 {
				w.Errorf("less often is lost: %d in %d days, %v", e.PromiseMax, e.PromiseDays, err)
			}
			return nil
		}))
	})
}

func TestAnotherTreeIsNotSignedOn(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(4)
		early := w.copyOf()
		w.must(early.Write(w.Context(), func(tx *store.Tx) error { _, err := tx.Run("UPDATE logs SET stopped = ''"); return err }))
		w.step()
		other, err := ledger.OpenOutside(t.TempDir())
		w.must(err)
		w.must(early.Write(w.Context(), func(tx *store.Tx) error { // other events than the world knows of
			_, err := tx.Run("DELETE FROM log_pending WHERE event_id IN (SELECT event_id FROM log_pending ORDER BY event_id LIMIT 1)")
			return err
		}))
		w.must(w.keeper(early, other).Step(w.Context()))
		w.must(early.Write(w.Context(), func(tx *store.Tx) error {
			_, err := tx.Run("INSERT INTO log_pending SELECT TRUE, id FROM consent_events x WHERE NOT EXISTS (SELECT 1 FROM log_entries e WHERE e.event_id = x.id)")
			return err
		}))
		w.must(w.keeper(early, other).Step(w.Context())) // as many entries, in another order
		w.must(w.keeper(early, w.outside).Step(w.Context()))
		if l := w.logOf(early); l.Size != 12 || !strings.Contains(l.Stopped, "another tree") {
			w.Errorf("%d entries, stopped for %q", l.Size, l.Stopped)
		}
	})
}

func TestBehindTheProgramsBack(t *testing.T) {
	tests := map[string]struct {
		sql  []string
		want string // of the first fault; %s is the event at place 7
	}{
		"a row is changed":                     {[]string{"UPDATE consent_events SET basis = 'operator' WHERE id = '%s'"}, "consent_events %s (entry 7 of the log): the row says something else"},
		"row and leaf are changed":             {[]string{"UPDATE consent_events SET leaf = CAST('{}' AS %b) WHERE id = '%s'"}, "consent_events %s (entry 7 of the log): another event"},
		"a row is deleted":                     {[]string{"DELETE FROM consent_events WHERE id = '%s'"}, "consent_events %s (entry 7 of the log): the event was deleted"},
		"a row and its entry are deleted":      {[]string{"DELETE FROM consent_events WHERE id = '%s'", "DELETE FROM log_entries WHERE event_id = '%s'"}, "log_entries ? (entry 7 of the log): the entry was deleted"},
		"a row is inserted":                    {[]string{"INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf) SELECT '%n', brand_id, subscriber_id, topic_id, 'given', basis, method, occurred_at, language, leaf FROM consent_events WHERE id = '%s'"}, "consent_events %n: it was inserted without the log"},
		"a row and its entry are inserted":     {[]string{"INSERT INTO consent_events (id, brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf) SELECT '%n', brand_id, subscriber_id, topic_id, state, basis, method, occurred_at, language, leaf FROM consent_events WHERE id = '%s'", "INSERT INTO log_entries (log, place, event_id) VALUES (1, 33, '%n')"}, "log_entries 33 %n: it stands where the signed log has nothing"},
		"two entries change places":            {[]string{"UPDATE log_entries SET place = -1 WHERE place = 7", "UPDATE log_entries SET place = 7 WHERE place = 9", "UPDATE log_entries SET place = 9 WHERE place = -1"}, "(entry 7 of the log): another event"},
		"a tile is changed":                    {[]string{"UPDATE log_tiles SET hashes = (SELECT root FROM logs) WHERE level = 0"}, "log_tiles"},
		"evidence is changed":                  {[]string{"UPDATE consent_evidence SET salt = (SELECT root FROM logs) WHERE event_id = '%s'"}, "evidence of consent_events %s (entry 7 of the log): it is not what"},
		"evidence is deleted":                  {[]string{"DELETE FROM consent_evidence WHERE event_id = '%s'"}, "evidence of consent_events %s (entry 7 of the log): it was deleted"},
		"a permission is changed":              {[]string{"UPDATE permissions SET state = 'given' WHERE subscriber_id = (SELECT subscriber_id FROM consent_events WHERE id = '%s')"}, "permissions"},
		"a permission stands on an old event":  {[]string{"UPDATE permissions SET event_id = '%s', state = 'given', since = (SELECT occurred_at FROM consent_events WHERE id = '%s') WHERE subscriber_id = (SELECT subscriber_id FROM consent_events WHERE id = '%s')"}, "permissions"},
		"a permission was said after it began": {[]string{"UPDATE permissions SET said_at = '2100-01-01 00:00:00+00:00'"}, "permissions"},
		"an objection is lost":                 {[]string{"UPDATE subscribers SET objected_at = NULL"}, "subscribers %o: whether they object"},
		"an objection is made up":              {[]string{"UPDATE subscribers SET objected_at = updated_at"}, "subscribers"},
		"the words are changed":                {[]string{"UPDATE wordings SET text = 'No.'"}, "wordings"},
		"the checkpoint is changed":            {[]string{"UPDATE logs SET shown = replace(shown, '33', '29')"}, "logs " + origin},
		"a pending event is deleted":           {[]string{"INSERT INTO log_pending (bulk, event_id) VALUES (TRUE, '%n')"}, "consent_events %n: the event was deleted before"},
		"a change of a record is changed":      {[]string{"UPDATE change_events SET kind = 'address' WHERE id = (SELECT event_id FROM log_entries WHERE place = 8)"}, "change_events"},
		"tree, tiles and checkpoint are older": {[]string{"UPDATE logs SET size = 20, shown_size = 20"}, "log_tiles " + origin},
	}
	each(t, func(w *world) {
		for range 10 {
			w.signUp(1)
			w.step()
		}
		for _, s := range w.people {
			w.say(s, consent.Requested) // nothing: in force
		}
		if r := w.audit(w.db); len(r.Faults) > 0 {
			w.Fatalf("before: %v", r.Faults)
		}
		id := w.eventAt(7)
		left, objects := w.people[2], w.people[5]
		w.say(left, consent.Withdrawn)
		w.write(func(tx *store.Tx) error {
			return consent.Object(tx, w.brand, objects.ID, consent.MethodPreferences, nil)
		})
		w.step()
		for name, x := range tests {
			fresh := uuid.Must(uuid.NewV7()).String()
			fill := strings.NewReplacer("%s", id.String(), "%o", objects.ID.String(), "%n", fresh, "%b", map[store.Dialect]string{store.Postgres: "bytea", store.SQLite: "blob"}[w.db.Dialect()])
			got := w.tampered(x.sql, fill)
			if len(got) == 0 || !strings.Contains(got[0].String(), fill.Replace(x.want)) {
				w.Errorf("%s: an audit names %v first, want %q", name, got, fill.Replace(x.want))
			}
		}
		if r := w.audit(w.db); len(r.Faults) > 0 {
			w.Errorf("after all was taken back: %v", r.Faults)
		}
	})
}

// tampered audits within a transaction that is taken back.
func (w *world) tampered(statements []string, fill *strings.Replacer) (faults []ledger.Fault) {
	w.Helper()
	kept, err := w.outside.Kept()
	w.must(err)
	undo := fmt.Errorf("taken back")
	err = w.db.Write(context.Background(), func(tx *store.Tx) error {
		if tx.Dialect() == store.Postgres {
			if _, err := tx.Run("SET LOCAL session_replication_role = replica"); err != nil {
				return err
			}
		} else {
			var triggers []string
			if err := tx.Raw("SELECT name FROM sqlite_master WHERE type = 'trigger'").Scan(&triggers).Error; err != nil {
				return err
			}
			for _, name := range triggers {
				if _, err := tx.Run("DROP TRIGGER " + name); err != nil {
					return err
				}
			}
			if _, err := tx.Run("PRAGMA defer_foreign_keys = ON"); err != nil {
				return err
			}
		}
		for _, s := range statements {
			if _, err := tx.Run(fill.Replace(s)); err != nil {
				return fmt.Errorf("%s: %w", fill.Replace(s), err)
			}
		}
		r, err := ledger.AuditTx(tx, kept)
		if err != nil {
			return err
		}
		faults = r.Faults
		return undo
	})
	if err != undo {
		w.Fatal(err)
	}
	return faults
}

func TestNothingIsServedThatIsNotShown(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(1)
		_, err := ledger.Grow(w.keeper(w.db, w.outside), w.Context())
		w.must(err)
		l := w.log()
		for _, path := range []string{"tile/0/000.p/1", "tile/entries/000.p/1", "tile/0/000", "tile/1/000", "tile/entries/0", "tile/0/x000/000",
			"tile/0/000.p/0", "tile/0/000.p/256", "tile/8/000", "tile/-1/000", "tile/0/999999999999999999999", "tile/00/000", "tile", "x", ""} {
			err := w.db.Read(w.Context(), func(tx *store.Tx) error { _, err := l.Tile(tx, path); return err })
			if !problem.Is(err, problem.NotFound) {
				w.Errorf("%q before it is shown: %v", path, err)
			}
		}
		id := w.eventAt(0)
		err = w.db.Read(w.Context(), func(tx *store.Tx) error { _, err := ledger.Prove(tx, id); return err })
		if !problem.Is(err, problem.Unavailable) {
			w.Errorf("proved before it is shown: %v", err)
		}
		w.step()
		l = w.log()
		w.must(w.db.Read(w.Context(), func(tx *store.Tx) error { _, err := l.Tile(tx, "tile/0/000.p/3"); return err }))
	})
}

func TestAWitnessCountersignsWhatFollows(t *testing.T) {
	each(t, func(w *world) {
		witness := testkit.StartWitness(t)
		witness.Trust(t, w.log().Verifier)
		who, err := ledger.ParseWitness(witness.Setting())
		w.must(err)
		k, err := ledger.Start(w.Context(), ledger.Options{DB: w.db, Outside: w.outside, Origin: origin, Witnesses: []ledger.Witness{who}})
		w.must(err)
		defer k.Stop()
		w.signUp(2)
		eventually(w, "the first head is countersigned", func() bool { return strings.Count(w.log().Shown, "\n— ") == 2 })
		w.signUp(3)
		eventually(w, "the next follows from it", func() bool { return witness.Followed() > 0 && strings.Count(w.log().Shown, "\n— ") == 2 })
		w.checkpoint(w.log(), w.log().Shown)
		if r := w.audit(w.db); len(r.Faults) > 0 {
			w.Errorf("an audit of a countersigned log finds %v", r.Faults)
		}
	})
}

// A witness that signs the same head again, at another time, takes the place of its
// own signature and of nobody else's.
func TestACosignatureTakesThePlaceOfItsOwn(t *testing.T) {
	each(t, func(w *world) {
		w.signUp(2)
		w.step()
		line := func(name string, key, rest byte) string {
			return "— " + name + " " + base64.StdEncoding.EncodeToString(bytes.Join([][]byte{{1, 2, 3, key}, bytes.Repeat([]byte{rest}, 72)}, nil)) + "\n"
		}
		for _, signature := range []string{line("w", 1, 1), line("w", 2, 1), line("v", 1, 1), line("w", 1, 2), line("w", 1, 2)} {
			w.write(func(tx *store.Tx) error { return ledger.AddSignature(tx, w.log(), signature) })
		}
		shown := w.log().Shown
		if strings.Count(shown, "\n— ") != 4 || strings.Contains(shown, line("w", 1, 1)) || !strings.HasSuffix(shown, line("w", 2, 1)+line("v", 1, 1)+line("w", 1, 2)) {
			w.Errorf("shown is\n%s", shown)
		}
		if _, err := ledger.OpenCheckpoint(shown, w.log().Verifier); err != nil {
			w.Error(err)
		}
	})
}

func TestAWitnessIsNamedWithItsKey(t *testing.T) {
	for _, text := range []string{"", "https://witness.example", "ftp://witness.example w+00000000+BAAA", "https://witness.example w+00000000+BAAA",
		"https://witness.example w+00000000+" + "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, err := ledger.ParseWitness(text); err == nil {
			t.Errorf("%q is taken for a witness", text)
		}
	}
}
