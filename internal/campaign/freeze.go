package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/store"
)

const (
	freezeChunk = 5000            // permissions that one transaction looks at
	finishPause = 2 * time.Second // between two looks whether all is settled
)

// Work is the handler of JobKind: it takes a campaign as far as it can go now,
// and tells when to call again, nil when there is nothing left to do or a
// person must act first. It may be stopped at any point and called again, by
// any number of workers.
func Work(ctx context.Context, db *store.DB, key string) (next *time.Time, err error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return nil, fmt.Errorf("read the key of a campaign's work: %w", err)
	}
	if err := Freeze(ctx, db, id); err != nil {
		return nil, err
	}
	err = db.Write(ctx, func(tx *store.Tx) error {
		next = nil
		c, err := find(tx, "WHERE id = ?", id)
		if err != nil {
			return err
		}
		switch c.State {
		case Scheduled:
			next = c.ScheduledAt
		case Sending:
			next, err = finish(tx, c)
		}
		return err
	})
	return next, err
}

// Freeze writes the messages of a campaign whose time has come: one for each
// person who has permission now, and the tag where there is one. Before its time, and while it is
// paused, recalled or over, it does nothing.
//
// It works in transactions of 5,000 permissions, each of which leaves its place
// on the campaign's row with its messages; so it goes on after a crash, and two
// at once take turns. Whoever has permission when their chunk is reached is in.
func Freeze(ctx context.Context, db *store.DB, id uuid.UUID) error {
	chunks := 0
	for more := true; more; chunks++ {
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			more, err = freezeSome(tx, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("freeze the audience of campaign %s: %w", id, err)
		}
	}
	if chunks < 2 {
		return nil
	}
	// The claims' plans were made for a small outbox.
	return db.Analyze(ctx, "outbox")
}

// freezeSome freezes one chunk. It holds the campaign's row, so a recall, pause
// or cancel comes before the chunk or after it.
func freezeSome(tx *store.Tx, id uuid.UUID) (more bool, err error) {
	c, err := find(tx, "WHERE id = ?"+tx.ForUpdate(), id)
	if err != nil {
		return false, err
	}
	switch {
	case c.State == Scheduled && !c.ScheduledAt.After(tx.Now()):
		_, err := move(tx, c.BrandID, id, Freezing, "", nil, Scheduled)
		return err == nil, err
	case c.State != Freezing:
		return false, nil
	}
	upTo, more, err := chunkEnd(tx, c)
	if err != nil {
		return false, err
	}
	if err := queueChunk(tx, c, upTo); err != nil {
		return false, err
	}
	if !more {
		_, err = move(tx, c.BrandID, id, Sending, "frozen_at = ?", []any{tx.Now()}, Freezing)
		return false, err
	}
	_, err = tx.Run("UPDATE campaigns SET frozen_after = ? WHERE id = ? AND brand_id = ?", upTo, id, c.BrandID)
	return true, err
}

// lastID is after every subscriber.
var lastID = uuid.Max

func (c Campaign) place() uuid.UUID {
	if c.FrozenAfter == nil {
		return uuid.Nil
	}
	return *c.FrozenAfter
}

// chunkEnd is the subscriber with whom the next chunk of permissions ends;
// more is false when it is the last. It reads 5,000 entries of
// permissions_in_force (topic, subscriber) and no row: about a millisecond.
func chunkEnd(tx *store.Tx, c Campaign) (upTo uuid.UUID, more bool, err error) {
	var ends []uuid.UUID
	err = tx.Raw(`SELECT p.subscriber_id FROM permissions p
		WHERE p.topic_id = ? AND p.state IN ('given', 'renewed') AND p.subscriber_id > ?
		ORDER BY p.subscriber_id LIMIT 1 OFFSET ?`, c.TopicID, c.place(), freezeChunk-1).Scan(&ends).Error
	if err != nil {
		return lastID, false, fmt.Errorf("measure a chunk: %w", err)
	}
	if len(ends) == 0 {
		return lastID, false, nil
	}
	return ends[0], true, nil
}

// queueChunk writes the messages of one chunk in one statement: the permissions
// by the same index, and for each the keys of subscribers, of suppressions and,
// where there is a tag, of subscriber_tags. It
// costs PostgreSQL some 60 µs of a busy core a person, nearly half of it for
// the four foreign keys of messages. Ids are UUIDv7 of the transaction's time,
// as Queue makes them.
func queueChunk(tx *store.Tx, c Campaign, upTo uuid.UUID) error {
	texts, err := delivery.Contents(tx, c.BrandID, c.ContentID)
	if err != nil {
		return err
	}
	b, err := brand.Find(tx, c.BrandID)
	if err != nil {
		return err
	}
	languages, otherwise := speak(texts, b.Language)
	tagged, tag := "", []any{}
	if c.Tag != "" {
		tagged = ` AND EXISTS (SELECT 1 FROM subscriber_tags g WHERE g.brand_id = p.brand_id AND g.tag = ? AND g.subscriber_id = p.subscriber_id LIMIT 1 OFFSET 0)`
		tag = append(tag, c.Tag)
	}
	why, err := c.why()
	if err != nil {
		return err
	}
	args := []any{tx.Now().UnixMilli(), c.EditionID, c.BrandID, c.ID, c.ContentID, languages, otherwise, why, c.RecallUntil, tx.Now(),
		c.TopicID, c.BrandID, c.place(), upTo, tx.Now()}
	const person = `subscribers s WHERE s.brand_id = p.brand_id AND s.id = p.subscriber_id`
	_, err = tx.Run(tx.Pick(queueSQL(`CAST(? AS uuid)`, `CAST(? AS jsonb)`, `CAST(? AS timestamptz)`, `CROSS JOIN LATERAL (SELECT * FROM `+person+` OFFSET 0) AS s WHERE TRUE`),
		queueSQL(`?`, `?`, `?`, `CROSS JOIN `+person))+tagged+
		` ON CONFLICT (source_id, subscriber_id, part) DO NOTHING`, append(args, tag...)...)
	if err != nil {
		return fmt.Errorf("queue a chunk: %w", err)
	}
	return delivery.Enqueue(tx, c.EditionID, c.place(), upTo)
}

// why is what the messages keep of the rule that people were chosen by; see delivery.WhyKey.
func (c Campaign) why() (string, error) {
	if c.Tag == "" {
		return "{}", nil
	}
	text, err := json.Marshal(map[string]any{delivery.WhyKey: map[string]any{"tag": c.Tag}})
	if err != nil {
		return "", fmt.Errorf("write down whom a campaign is for: %w", err)
	}
	return string(text), nil
}

// queueSQL reads the topic's permissions in order and looks each person up by
// their key, whatever the planner knows of the tables (that is what OFFSET 0
// keeps): people who were brought a minute ago are in no statistics, and a join
// of their thousands compared each with each.
func queueSQL(id, data, at, person string) string {
	return `INSERT INTO messages (id, source_id, brand_id, stream_id, subscriber_id, part, kind, topic_id, consent_event_id,
			content_id, language, data, state, due_at, created_at)
		SELECT assent_uuid7(?), ` + id + `, ` + id + `, ` + id + `, p.subscriber_id, 0, 'marketing', p.topic_id, p.event_id,
			` + id + `, CASE WHEN s.language IN (?) THEN s.language ELSE ? END, ` + data + `, 'queued', ` + at + `, ` + at + `
		FROM permissions p ` + person + `
			AND p.topic_id = ? AND p.brand_id = ? AND p.state IN ('given', 'renewed')
			AND p.subscriber_id > ? AND p.subscriber_id <= ? AND ` + consent.EligibleSQL
}

// speak gives the languages there are texts in, and the one for everybody else:
// the brand's, or the first there is should the brand have changed its own.
func speak(texts []delivery.Text, brand string) (languages []string, otherwise string) {
	otherwise = texts[0].Language
	for _, t := range texts {
		languages = append(languages, t.Language)
		if t.Language == brand {
			otherwise = brand
		}
	}
	return languages, otherwise
}

// finish ends a campaign of which nothing is on the way any more; else it tells
// when to look again. What was deferred is still queued, and so on the way.
func finish(tx *store.Tx, c Campaign) (next *time.Time, err error) {
	waiting, err := delivery.Waiting(tx, c.BrandID, c.ID, c.EditionID)
	if err == nil && !waiting { // only now is it worth counting everybody
		var counts delivery.Counts
		counts, err = delivery.SourceCounts(tx, c.BrandID, c.EditionID)
		waiting = !counts.Settled()
	}
	if err != nil {
		return nil, err
	}
	if waiting {
		later := tx.Now().Add(finishPause)
		if c.RecallUntil.After(later) {
			later = *c.RecallUntil
		}
		return &later, nil
	}
	_, err = move(tx, c.BrandID, c.ID, Sent, "finished_at = ?", []any{tx.Now()}, Sending)
	return nil, err
}

// Finish ends a sending campaign of the brand if nothing of it is on the way
// any more, and tells whether it is over.
func Finish(tx *store.Tx, brandID, id uuid.UUID) (bool, error) {
	c, err := Lock(tx, brandID, id)
	if err != nil {
		return false, err
	}
	if c.State != Sending {
		return c.State == Sent || c.State == Cancelled, nil
	}
	next, err := finish(tx, c)
	return err == nil && next == nil, err
}
