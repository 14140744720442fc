package sequence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// AdvancedKind is the fact that an enrollment left a step with a mail in the
// outbox. Its data names the sequence, the version and the step.
const AdvancedKind = "sequence.advanced"

const (
	advanceBatch = 200              // enrollments a call moves
	setAside     = 15 * time.Minute // for an enrollment that could not be moved
)

// Advance moves up to 200 due enrollments one step each, of running sequences
// only, and ends those left of ended ones. Any number of workers may call it at
// once: each enrollment is moved by one of them (FOR UPDATE SKIP LOCKED).
//
// n is how many were dealt with, and next when something is due, not after now
// where more is waiting already; it is zero where nobody waits at all. An enrollment that
// fails is set aside for a quarter of an hour, so that it holds up nobody else,
// and its error is in err beside what was done for the others.
func Advance(ctx context.Context, db *store.DB) (n int, next time.Time, err error) {
	due, err := dueSequences(ctx, db)
	if err != nil {
		return 0, time.Time{}, err
	}
	ready := slices.DeleteFunc(slices.Clone(due), func(d dueSequence) bool { return d.DueAt.After(db.Now()) })
	var failed error
	for i, d := range ready {
		moved, err := advance(ctx, db, d, max(1, (advanceBatch-n)/(len(ready)-i)))
		n, failed = n+moved, errors.Join(failed, err)
		if ctx.Err() != nil {
			return n, time.Time{}, failed
		}
	}
	if n > 0 {
		if due, err = dueSequences(ctx, db); err != nil {
			return n, time.Time{}, errors.Join(failed, err)
		}
	}
	for _, d := range due {
		if next.IsZero() || d.DueAt.Before(next) {
			next = d.DueAt
		}
	}
	return n, next, failed
}

// dueSequence is a sequence and when the first of its enrollments is due.
type dueSequence struct {
	ID      uuid.UUID
	BrandID uuid.UUID
	State   State
	DueAt   time.Time
}

// dueSequences gives the sequences in which somebody waits to be moved, or to
// be ended. It costs one probe of enrollments_due (sequence, due; active only)
// for each sequence that runs or has ended; those waiting in a paused one cost
// nothing, however many they are.
func dueSequences(ctx context.Context, db *store.DB) (due []dueSequence, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		return tx.Raw(`SELECT s.id, s.brand_id, s.state, e.due_at FROM sequences s
			JOIN enrollments e ON e.id = (SELECT w.id FROM enrollments w
				WHERE w.sequence_id = s.id AND w.state = 'active' ORDER BY w.due_at LIMIT 1)
			WHERE s.state IN ('running', 'ended') ORDER BY e.due_at, s.id`).Scan(&due).Error
	})
	if err != nil {
		return nil, fmt.Errorf("find sequences that are due: %w", err)
	}
	for i, d := range due {
		if now := db.Now(); d.State == Ended && d.DueAt.After(now) {
			due[i].DueAt = now
		}
	}
	return due, nil
}

// advance moves up to limit enrollments of one sequence in one transaction. If
// that fails it tries them one by one, and sets aside those that fail alone.
func advance(ctx context.Context, db *store.DB, d dueSequence, limit int) (int, error) {
	var ids []uuid.UUID
	moved, err := advanceSome(ctx, db, d, limit, nil, &ids)
	if err == nil || ctx.Err() != nil || len(ids) == 0 {
		return moved, err
	}
	var failed error
	for _, id := range ids {
		n, err := advanceSome(ctx, db, d, 1, &id, nil)
		moved += n
		if err == nil {
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("enrollment %s: %w", id, err))
		err = db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Run("UPDATE enrollments SET due_at = ? WHERE id = ? AND state = 'active'", tx.Now().Add(setAside), id)
			return err
		})
		if err != nil { // then it is the database, and not the enrollment
			return moved, errors.Join(failed, err)
		}
	}
	return moved, failed
}

// advanceSome is one transaction: claim, then move each. claimed, where given,
// is told whom it claimed, also when it fails.
func advanceSome(ctx context.Context, db *store.DB, d dueSequence, limit int, only *uuid.UUID, claimed *[]uuid.UUID) (moved int, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		q, err := find(tx, d.BrandID, d.ID, holding(tx))
		if err != nil || q.State != Running && q.State != Ended {
			return err
		}
		batch, err := claim(tx, q, limit, only)
		if err != nil {
			return err
		}
		if claimed != nil {
			*claimed = (*claimed)[:0]
			for _, e := range batch {
				*claimed = append(*claimed, e.ID)
			}
		}
		moved = len(batch)
		if q.State == Ended {
			return endAll(tx, batch)
		}
		return moveAll(tx, q, batch)
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

// claim locks due enrollments of a sequence until the end of the transaction,
// passing over those that another worker holds. Of an ended sequence all are
// due. enrollments_due gives them in order: the cost is that of the batch.
func claim(tx *store.Tx, q Sequence, limit int, only *uuid.UUID) ([]Enrollment, error) {
	where, args := "sequence_id = ? AND brand_id = ? AND state = 'active'", []any{q.ID, q.BrandID}
	if q.State != Ended {
		where, args = where+" AND due_at <= ?", append(args, tx.Now())
	}
	if only != nil {
		where, args = where+" AND id = ?", append(args, *only)
	}
	var batch []Enrollment
	err := tx.Raw("SELECT * FROM enrollments WHERE "+where+" ORDER BY due_at LIMIT ?"+tx.SkipLocked(), append(args, limit)...).Scan(&batch).Error
	if err != nil {
		return nil, fmt.Errorf("claim due enrollments: %w", err)
	}
	return batch, nil
}

func endAll(tx *store.Tx, batch []Enrollment) error {
	for _, e := range batch {
		if err := end(tx, reasonSequenceEnded, "id = ? AND brand_id = ?", e.ID, e.BrandID); err != nil {
			return err
		}
	}
	return nil
}

// moving is what one batch of one sequence knows in common.
type moving struct {
	q         Sequence
	b         brand.Brand
	steps     map[int][]Step                // by version
	languages map[uuid.UUID]map[string]bool // of each content
	people    map[uuid.UUID]person          // by subscriber
}

// person is somebody in a batch, with the event that allows mailing them, or
// the reason why nothing does.
type person struct {
	subscriber.Subscriber
	EventID     *uuid.UUID
	Reason      string
	PausedUntil *time.Time
}

func moveAll(tx *store.Tx, q Sequence, batch []Enrollment) error {
	if len(batch) == 0 {
		return nil
	}
	b, err := brand.Find(tx, q.BrandID)
	if err != nil {
		return err
	}
	m := moving{q: q, b: b, steps: map[int][]Step{}, languages: map[uuid.UUID]map[string]bool{}}
	if m.people, err = ask(tx, q, batch); err != nil {
		return err
	}
	for _, e := range batch {
		if err := m.one(tx, e); err != nil {
			return err
		}
	}
	return nil
}

// ask asks consent's question for a whole batch at once, by the primary keys of
// subscribers and permissions.
func ask(tx *store.Tx, q Sequence, batch []Enrollment) (map[uuid.UUID]person, error) {
	ids := make([]uuid.UUID, len(batch))
	for i, e := range batch {
		ids[i] = e.SubscriberID
	}
	var rows []person
	err := tx.Raw(`SELECT s.id, s.language, s.time_zone, p.event_id, p.paused_until, `+consent.ReasonSQL+` AS reason
		FROM subscribers s LEFT JOIN permissions p ON p.subscriber_id = s.id AND p.topic_id = ?
		WHERE s.brand_id = ? AND s.id IN (?)`, tx.Now(), q.TopicID, q.BrandID, ids).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("ask whom a sequence may mail: %w", err)
	}
	people := make(map[uuid.UUID]person, len(rows))
	for _, r := range rows {
		people[r.ID] = r
	}
	return people, nil
}

// one moves one enrollment over the mail it waits before, and the waits behind
// that. Without permission it ends instead.
func (m *moving) one(tx *store.Tx, e Enrollment) error {
	todo, err := m.version(tx, e.Version)
	if err != nil {
		return err
	}
	if e.Step >= len(todo) || todo[e.Step].Send == nil {
		return fmt.Errorf("version %d of sequence %s has no mail at step %d", e.Version, m.q.ID, e.Step)
	}
	who := m.people[e.SubscriberID]
	if who.Reason == consent.ReasonPaused && who.PausedUntil != nil {
		return hold(tx, e, *who.PausedUntil)
	}
	if who.Reason == consent.ReasonChanged {
		return hold(tx, e, tx.Now().Add(askedAnew))
	}
	if who.Reason != "" || who.EventID == nil {
		return end(tx, who.Reason, "id = ? AND brand_id = ?", e.ID, e.BrandID)
	}
	if err := m.queue(tx, e, todo, who); err != nil {
		return err
	}
	left := e
	e.Step, e.DueAt = ahead(todo, e.Step+1, tx.Now(), who.Location(m.b))
	e.State, e.EndedAt = active, nil
	if e.Step == len(todo) {
		now := tx.Now()
		e.State, e.Reason, e.EndedAt = done, reasonDone, &now
	}
	n, err := tx.Run(`UPDATE enrollments SET step = ?, due_at = ?, state = ?, reason = ?, ended_at = ?
		WHERE id = ? AND state = 'active' AND step = ?`, e.Step, e.DueAt, e.State, e.Reason, e.EndedAt, e.ID, left.Step)
	if err != nil {
		return fmt.Errorf("leave a step: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("enrollment %s was moved by another", e.ID)
	}
	return m.record(tx, left, e)
}

// askedAnew is how long an enrollment waits before it looks again whether the
// person has agreed to what changed.
const askedAnew = 24 * time.Hour

// hold has an enrollment wait where it is: for the end of the person's pause, or
// their answer.
func hold(tx *store.Tx, e Enrollment, until time.Time) error {
	_, err := tx.Run("UPDATE enrollments SET due_at = ? WHERE id = ? AND state = 'active' AND step = ?", until.UTC(), e.ID, e.Step)
	if err != nil {
		return fmt.Errorf("hold an enrollment: %w", err)
	}
	return nil
}

func (m *moving) record(tx *store.Tx, left, e Enrollment) error {
	err := event.Record(tx, event.Event{BrandID: e.BrandID, SubscriberID: &e.SubscriberID, Kind: AdvancedKind, SourceID: &e.ID,
		Data: map[string]any{"sequence_id": e.SequenceID, "version": e.Version, "step": left.Step}})
	if err != nil || e.State == active {
		return err
	}
	return recordEnd(tx, e, e.Reason)
}

// queue writes the mail of a step into the outbox.
func (m *moving) queue(tx *store.Tx, e Enrollment, todo []Step, who person) error {
	content, mail := *todo[e.Step].Send, 1
	all := Chapters(todo)
	for _, c := range all {
		if c.Step < e.Step {
			mail++
		}
	}
	why := map[string]any{"mail": mail, "mails": len(all), "joined": e.CreatedAt.UTC().Format(time.RFC3339)}
	languages, ok := m.languages[content]
	if !ok {
		var err error
		if languages, err = contentLanguages(tx, m.b.ID, content); err != nil {
			return err
		}
		m.languages[content] = languages
	}
	_, _, err := delivery.Queue(tx, delivery.Draft{Source: e.ID, Stream: m.q.ID, Brand: m.b.ID, Subscriber: &e.SubscriberID,
		Part: e.Step, Kind: delivery.Marketing, Topic: &m.q.TopicID, ConsentEvent: who.EventID,
		Content: &content, Language: speak(languages, who.Language, m.b.Language), Data: map[string]any{delivery.WhyKey: why}, Due: tx.Now()})
	return err
}

// speak chooses the person's language where the text has it, else the brand's,
// else, should the brand have changed its own, the first there is.
func speak(languages map[string]bool, person, brand string) string {
	switch {
	case languages[person]:
		return person
	case languages[brand]:
		return brand
	}
	return slices.Min(slices.Collect(maps.Keys(languages)))
}

func (m *moving) version(tx *store.Tx, version int) ([]Step, error) {
	if todo, ok := m.steps[version]; ok {
		return todo, nil
	}
	todo, err := steps(tx, m.q.ID, version)
	if err == nil {
		m.steps[version] = todo
	}
	return todo, err
}
