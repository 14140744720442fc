package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/store"
)

// outcome is what became of a claimed message.
type outcome struct {
	*claimed
	reply
}

const (
	bookAtOnce = 200
	bookEvery  = 30 * time.Millisecond
)

// book writes outcomes into the database, many at once. While the database is
// away they wait in memory and in the journal.
type book struct {
	db   *store.DB
	node uuid.UUID
	jour *journal
	hand *hand
	log  *slog.Logger
	in   chan outcome
	done chan struct{}
}

func openBook(db *store.DB, node uuid.UUID, j *journal, h *hand, log *slog.Logger) *book {
	b := &book{db: db, node: node, jour: j, hand: h, log: log, in: make(chan outcome, 4*bookAtOnce), done: make(chan struct{})}
	go b.run()
	return b
}

// enter hands an outcome over; it waits when the database is far behind, which
// holds the senders back.
func (b *book) enter(o outcome) { b.in <- o }

// close writes what is left. What the database does not take within the time
// stays in the journal for the next start.
func (b *book) close() {
	close(b.in)
	select {
	case <-b.done:
	case <-time.After(2 * time.Second):
	}
}

func (b *book) run() {
	defer close(b.done)
	for first := range b.in {
		page := b.gather(first)
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
			err := b.db.Write(context.Background(), func(tx *store.Tx) error { return record(tx, b.node, page) })
			if err == nil {
				break
			}
			b.log.Warn("outcomes could not be written; they are kept and tried again", "outcomes", len(page), "error", err)
			time.Sleep(wait)
		}
		b.hand.letGo(refs(page)...)
		if err := b.jour.settled(refs(page)); err != nil {
			b.log.Warn("the journal could not be shortened", "error", err)
		}
	}
}

// gather waits a moment for company.
func (b *book) gather(first outcome) []outcome {
	page := []outcome{first}
	timer := time.NewTimer(bookEvery)
	defer timer.Stop()
	for len(page) < bookAtOnce {
		select {
		case o, ok := <-b.in:
			if !ok {
				return page
			}
			page = append(page, o)
		case <-timer.C:
			return page
		}
	}
	return page
}

func refs(page []outcome) []link.Message {
	out := make([]link.Message, len(page))
	for i, o := range page {
		out[i] = o.Ref()
	}
	return out
}

// record settles a page of outcomes in one transaction: the state, the fact on
// the timeline, and what follows from it. It is repeatable: only messages that
// the node still holds are touched.
func record(tx *store.Tx, node uuid.UUID, page []outcome) error {
	var sent []outcome
	var back []link.Message
	for _, o := range page {
		switch o.verdict {
		case accepted:
			sent = append(sent, o)
		case returned:
			back = append(back, o.Ref())
		default:
			if err := recordOne(tx, node, o); err != nil {
				return err
			}
		}
	}
	if err := release(tx, node, back); err != nil {
		return err
	}
	return recordSent(tx, node, sent)
}

// recordSent writes all accepted mails by one statement, and one more for
// their facts.
func recordSent(tx *store.Tx, node uuid.UUID, page []outcome) error {
	if len(page) == 0 {
		return nil
	}
	id := tx.Pick("CAST(? AS uuid)", "?")
	row := "(" + id + ", " + id + ", ?)"
	args := []any{tx.Now()}
	for _, o := range page {
		args = append(args, o.SourceID, o.ID, o.text)
	}
	args = append(args, node)
	var settled []Message
	err := tx.Raw(`UPDATE messages SET state = 'sent', reason = '', node_id = NULL, settled_at = ?, smtp_code = 250,
			smtp_reply = v.column3
		FROM (VALUES `+strings.Repeat(row+", ", len(page)-1)+row+`) v
		WHERE messages.source_id = v.column1 AND messages.id = v.column2 AND messages.state = 'claimed' AND messages.node_id = ?
		RETURNING messages.source_id, messages.id, messages.brand_id, messages.subscriber_id`, args...).Scan(&settled).Error
	if err != nil {
		return fmt.Errorf("write what was sent: %w", err)
	}
	var facts []event.Event
	for _, m := range settled {
		if m.SubscriberID != nil {
			facts = append(facts, event.Event{ID: tx.NewID(), At: tx.Now(), BrandID: m.BrandID, SubscriberID: m.SubscriberID,
				Kind: event.MailSent, SourceID: &m.SourceID, MessageID: &m.ID, Data: map[string]any{}})
		}
	}
	if len(facts) == 0 {
		return nil
	}
	return tx.CreateInBatches(&facts, bookAtOnce).Error
}

// recordOne settles a message that was not accepted.
func recordOne(tx *store.Tx, node uuid.UUID, o outcome) error {
	held := tx.Model(&Message{}).Where("source_id = ? AND id = ? AND state = 'claimed' AND node_id = ?", o.SourceID, o.ID, node)
	change, fact := o.consequence(tx.Now())
	change["smtp_code"], change["smtp_reply"], change["node_id"] = o.code, o.text, nil
	r := held.Updates(change)
	if r.Error != nil {
		return fmt.Errorf("write an outcome: %w", r.Error)
	}
	if r.RowsAffected == 0 || fact == "" {
		return nil
	}
	if o.hard() && o.SubscriberID != nil && o.Recipient == "" {
		if err := suppress(tx, o); err != nil {
			return err
		}
	}
	return note(tx, o.Message, fact, map[string]any{"reason": change["reason"], "code": o.code, "reply": o.text})
}

// consequence is the transition out of claimed; fact is empty while the
// message stays on the way.
func (o outcome) consequence(now time.Time) (change map[string]any, fact string) {
	switch o.verdict {
	case refused:
		reason := "refused"
		switch {
		case o.code == 0:
			reason = "could not be made into a mail"
		case o.hard():
			reason = "hard bounce"
		}
		return map[string]any{"state": Failed, "reason": reason, "settled_at": now}, event.MailFailed
	case unknown:
		if o.Kind == Marketing || o.Kind == Test {
			return map[string]any{"state": Uncertain, "reason": "no answer after the mail was handed over", "settled_at": now}, event.MailUncertain
		}
		// Settled by policy: a second confirmation harms less than none.
	}
	due, ok := schedules[o.Kind].next(o.Attempt+1, now)
	if !ok {
		return map[string]any{"state": Failed, "reason": "put off until its time was over", "settled_at": now}, event.MailFailed
	}
	return map[string]any{"state": Queued, "reason": "put off", "due_at": due, "attempt": o.Attempt + 1}, ""
}

// suppress keeps an address that does not exist from being written to again.
func suppress(tx *store.Tx, o outcome) error {
	b, err := brand.Find(tx, o.BrandID)
	if err != nil {
		return err
	}
	return consent.Suppress(tx, b, o.AddressHash, consent.HardBounce, o.text)
}
