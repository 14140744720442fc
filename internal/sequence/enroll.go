package sequence

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/jobs"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Enrollment is one person's way through a sequence. Its id is the source of
// their messages.
type Enrollment struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SequenceID   uuid.UUID
	Version      int
	SubscriberID uuid.UUID
	Step         int // the one it waits before, counted from 0
	State        string
	Reason       string // why it ended
	DueAt        time.Time
	CreatedAt    time.Time
	EndedAt      *time.Time
}

// The states of an enrollment, and the reasons for its end that are our own;
// the others are consent's answers.
const (
	active = "active"
	done   = "done"
	ended  = "ended"

	reasonDone          = "done"
	reasonSequenceEnded = "sequence-ended"
)

// OnConsent is the listener of the consent kinds: a topic given enrolls the
// person in the topic's sequences, and a permission that ends ends their
// enrollments, both in the transaction of the event. A renewal does neither, but
// where it ends a pause sooner those that waited for its end go on now. What was
// brought along from another system enrolls nobody, and nobody is enrolled in a
// sequence twice. Where a topic has no sequence, any number of people who give
// it cost one question.
func OnConsent(tx *store.Tx, facts []event.Event) error {
	joining := map[[2]uuid.UUID][]uuid.UUID{} // by brand and topic
	var order [][2]uuid.UUID
	for _, e := range facts {
		if e.SubscriberID == nil {
			continue
		}
		topic, err := uuid.Parse(fmt.Sprint(e.Data["topic_id"]))
		if err != nil {
			return fmt.Errorf("read the topic of %s: %w", e.Kind, err)
		}
		switch e.Kind {
		case event.ConsentRenewed:
			if err := wake(tx, e, topic); err != nil {
				return err
			}
		case event.ConsentGiven:
			if e.Data["method"] == consent.MethodImport {
				continue // a welcome is for who has just come
			}
			of := [2]uuid.UUID{e.BrandID, topic}
			if joining[of] == nil {
				order = append(order, of)
			}
			joining[of] = append(joining[of], *e.SubscriberID)
		case event.ConsentWithdrawn, event.ConsentExpired, event.ConsentInvalidated, event.ConsentRefused:
			if err := leave(tx, e.BrandID, *e.SubscriberID, topic, "consent-"+strings.TrimPrefix(e.Kind, "consent.")); err != nil {
				return err
			}
		}
	}
	for _, of := range order {
		if err := join(tx, of[0], joining[of], of[1]); err != nil {
			return err
		}
	}
	return nil
}

// OnMessage is the listener of mail.skipped: if a mail of ours was skipped and
// the permission is gone, and not only in question, the enrollment ends, in the gate's transaction. Why
// the gate skipped it is not asked; whether the person may be mailed is. A mail
// of anything else costs one look at the primary key of enrollments.
func OnMessage(tx *store.Tx, e event.Event) error {
	if e.SourceID == nil || e.SubscriberID == nil {
		return nil
	}
	var topics []uuid.UUID
	err := tx.Raw(`SELECT q.topic_id FROM enrollments n JOIN sequences q ON q.brand_id = n.brand_id AND q.id = n.sequence_id
		WHERE n.id = ? AND n.brand_id = ? AND n.state = 'active'`, *e.SourceID, e.BrandID).Scan(&topics).Error
	if err != nil || len(topics) == 0 {
		return err
	}
	b, err := brand.Find(tx, e.BrandID)
	if err != nil {
		return err
	}
	answer, err := consent.May(tx, b, *e.SubscriberID, topics[0])
	if err != nil || answer.Allowed || answer.Reason == consent.ReasonPaused || answer.Reason == consent.ReasonChanged {
		return err
	}
	return end(tx, answer.Reason, "id = ? AND brand_id = ?", *e.SourceID, e.BrandID)
}

// join enrolls people in all running and paused sequences of a topic.
// sequences_trigger (topic, those two states) finds them: few, mostly one.
func join(tx *store.Tx, brandID uuid.UUID, people []uuid.UUID, topic uuid.UUID) error {
	var sequences []Sequence
	err := tx.Raw("SELECT * FROM sequences WHERE topic_id = ? AND brand_id = ? AND state IN ('running', 'paused') ORDER BY id",
		topic, brandID).Scan(&sequences).Error
	if err != nil || len(sequences) == 0 {
		return err
	}
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return err
	}
	todo := make([][]Step, len(sequences))
	for i, q := range sequences {
		if todo[i], err = steps(tx, q.ID, q.Version); err != nil {
			return err
		}
	}
	for _, person := range people {
		s, err := subscriber.Find(tx, brandID, person)
		if err != nil {
			return err
		}
		for i, q := range sequences {
			if _, err := enroll(tx, q, todo[i], person, s.Location(b)); err != nil {
				return err
			}
		}
	}
	return nil
}

// enroll writes the enrollment, due when the waits before the first mail are
// over, and its fact. Someone who was enrolled before is left alone.
func enroll(tx *store.Tx, q Sequence, todo []Step, person uuid.UUID, loc *time.Location) (bool, error) {
	step, due := ahead(todo, 0, tx.Now(), loc)
	id := tx.NewID()
	n, err := tx.Run(`INSERT INTO enrollments (id, brand_id, sequence_id, version, subscriber_id, step, state, due_at, created_at)
		VALUES (?, ?, ?, ?, ?, ?, 'active', ?, ?) ON CONFLICT (sequence_id, subscriber_id) DO NOTHING`,
		id, q.BrandID, q.ID, q.Version, person, step, due, tx.Now())
	if err != nil {
		return false, fmt.Errorf("enroll in a sequence: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	return true, event.Record(tx, event.Event{BrandID: q.BrandID, SubscriberID: &person, Kind: event.SequenceEnrolled,
		SourceID: &id, Data: map[string]any{"sequence_id": q.ID, "version": q.Version}})
}

// leave ends the person's enrollments in the sequences of a topic.
// enrollments_person finds them: one person's, few. What they have queued is
// skipped by the send gate, which asks for the permission again.
func leave(tx *store.Tx, brandID, person, topic uuid.UUID, reason string) error {
	return end(tx, reason, `subscriber_id = ? AND brand_id = ?
		AND sequence_id IN (SELECT id FROM sequences WHERE topic_id = ? AND brand_id = ?)`, person, brandID, topic, brandID)
}

// wake has the enrollments of a person that waited for the end of a pause go on
// now: whether they may is asked as they do. enrollments_person finds them.
func wake(tx *store.Tx, e event.Event, topic uuid.UUID) error {
	was, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e.Data["was_paused_until"]))
	if err != nil {
		return nil
	}
	_, err = tx.Run(`UPDATE enrollments SET due_at = ? WHERE subscriber_id = ? AND brand_id = ? AND state = 'active' AND due_at = ?
		AND sequence_id IN (SELECT id FROM sequences WHERE topic_id = ? AND brand_id = ?)`, tx.Now(), *e.SubscriberID, e.BrandID, was.UTC(), topic, e.BrandID)
	if err != nil {
		return fmt.Errorf("go on before the end of a pause: %w", err)
	}
	return nil
}

// end is the one way out of an enrollment that is not its last step: it ends
// the active ones that match, and writes the fact for each.
func end(tx *store.Tx, reason, where string, args ...any) error {
	var gone []Enrollment
	err := tx.Raw("UPDATE enrollments SET state = 'ended', reason = ?, ended_at = ? WHERE state = 'active' AND "+where+" RETURNING *",
		append([]any{reason, tx.Now()}, args...)...).Scan(&gone).Error
	if err != nil {
		return fmt.Errorf("end enrollments: %w", err)
	}
	for _, e := range gone {
		if err := recordEnd(tx, e, reason); err != nil {
			return err
		}
	}
	return nil
}

func recordEnd(tx *store.Tx, e Enrollment, reason string) error {
	return event.Record(tx, event.Event{BrandID: e.BrandID, SubscriberID: &e.SubscriberID, Kind: event.SequenceEnded,
		SourceID: &e.ID, Data: map[string]any{"sequence_id": e.SequenceID, "step": e.Step, "reason": reason}})
}

// joinBatch is how many permissions one transaction of EnrollExisting looks at.
const joinBatch = 500

// EnrollExisting lets those join who have permission for the topic already. It
// works through them in transactions of up to 500, and may be stopped and
// called again: whoever is enrolled stays as they are. It tells how many it
// enrolled. A sequence that is not running or paused is problem.Conflict.
func EnrollExisting(ctx context.Context, db *store.DB, brandID, id uuid.UUID) (enrolled int, err error) {
	for after := uuid.Nil; ; {
		var n int
		var last uuid.UUID
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			n, last, err = enrollSome(tx, brandID, id, after)
			return err
		})
		if err != nil {
			return enrolled, err
		}
		enrolled, after = enrolled+n, last
		if after == uuid.Nil {
			return enrolled, nil
		}
	}
}

// enrollSome enrolls from the next permissions of the topic after a subscriber;
// last is the subscriber to go on after, or uuid.Nil at the end. The partial
// index permissions_in_force (topic, subscriber) is read in its order.
func enrollSome(tx *store.Tx, brandID, id, after uuid.UUID) (n int, last uuid.UUID, err error) {
	q, err := find(tx, brandID, id, holding(tx))
	if err != nil {
		return 0, uuid.Nil, err
	}
	if q.State != Running && q.State != Paused {
		return 0, uuid.Nil, problem.New(problem.Conflict, "sequence.state."+string(q.State))
	}
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return 0, uuid.Nil, err
	}
	todo, err := steps(tx, q.ID, q.Version)
	if err != nil {
		return 0, uuid.Nil, err
	}
	var people []subscriber.Subscriber
	err = tx.Raw(`SELECT s.id, s.time_zone FROM permissions p JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
		WHERE p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed') AND p.subscriber_id > ? AND `+consent.EligibleSQL+`
		ORDER BY p.subscriber_id LIMIT ?`, q.TopicID, brandID, after, tx.Now(), joinBatch).Scan(&people).Error
	if err != nil {
		return 0, uuid.Nil, fmt.Errorf("find who may join a sequence: %w", err)
	}
	for _, s := range people {
		joined, err := enroll(tx, q, todo, s.ID, s.Location(b))
		if err != nil {
			return 0, uuid.Nil, err
		}
		if joined {
			n++
		}
	}
	if len(people) < joinBatch {
		return n, uuid.Nil, nil
	}
	return n, people[len(people)-1].ID, nil
}

// JobKind is the work of EnrollExisting, asked for by AskEnroll: see Work. Its
// key is the sequence's id.
const JobKind = "enroll"

// AskEnroll has those who have permission already join, by the worker: see
// EnrollExisting. Asked again while it is under way it begins anew, which
// enrolls nobody twice.
func AskEnroll(tx *store.Tx, brandID, id uuid.UUID) (Sequence, error) {
	q, err := Find(tx, brandID, id)
	if err != nil {
		return Sequence{}, err
	}
	if q.State != Running && q.State != Paused {
		return Sequence{}, problem.New(problem.Conflict, "sequence.state."+string(q.State))
	}
	return q, jobs.Schedule(tx, JobKind, id.String(), jobs.QueueBulk, tx.Now())
}

// Work is the handler of JobKind. A sequence that stopped for good meanwhile is
// no failure: nobody joins it.
func Work(ctx context.Context, db *store.DB, key string) (next *time.Time, err error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return nil, fmt.Errorf("read which sequence people join: %w", err)
	}
	var q []Sequence
	err = db.Read(ctx, func(tx *store.Tx) error { return tx.Raw("SELECT * FROM sequences WHERE id = ?", id).Scan(&q).Error })
	if err != nil || len(q) == 0 {
		return nil, err
	}
	_, err = EnrollExisting(ctx, db, q[0].BrandID, id)
	if problem.Is(err, problem.Conflict) {
		return nil, nil
	}
	return nil, err
}

// MayJoin counts who would join by EnrollExisting now: who has permission, and
// never joined. It reads the topic's permissions in force, and for each the keys
// of subscribers, suppressions and enrollments.
func MayJoin(tx *store.Tx, brandID, id uuid.UUID) (n int64, err error) {
	q, err := Find(tx, brandID, id)
	if err != nil {
		return 0, err
	}
	err = tx.Raw(`SELECT count(*) FROM permissions p JOIN subscribers s ON s.brand_id = p.brand_id AND s.id = p.subscriber_id
		WHERE p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed') AND `+consent.EligibleSQL+`
		AND NOT EXISTS (SELECT 1 FROM enrollments e WHERE e.sequence_id = ? AND e.subscriber_id = p.subscriber_id)`,
		q.TopicID, brandID, tx.Now(), id).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count who may join a sequence: %w", err)
	}
	return n, nil
}
