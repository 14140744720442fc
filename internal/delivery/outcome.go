package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
	bookAtOnce = 500
	bookEvery  = 100 * time.Millisecond
)

// book writes outcomes into the database, many at once. While the database is
// away they wait in memory and in the journal.
type book struct {
	db   *store.DB
	node uuid.UUID
	jour *journal
	hand *hand
	met  *metrics
	log  *slog.Logger
	in   chan outcome
	done chan struct{}
	stop chan struct{} // closed when nothing is waited for any longer
	once sync.Once
}

func openBook(db *store.DB, node uuid.UUID, j *journal, h *hand, m *metrics, log *slog.Logger) *book {
	b := &book{db: db, node: node, jour: j, hand: h, met: m, log: log, in: make(chan outcome, 4*bookAtOnce), done: make(chan struct{}), stop: make(chan struct{})}
	go b.run()
	return b
}

// enter hands an outcome over; it waits when the database is far behind, which
// holds the senders back. When the process stops and the database is away, what
// was answered is in the journal, and what was not is found there to be so.
func (b *book) enter(o outcome) {
	o.reply = o.unnamed(o.reply)
	select {
	case b.in <- o:
	case <-b.stop:
	}
}

// giveUp ends all waiting for the database.
func (b *book) giveUp() { b.once.Do(func() { close(b.stop) }) }

// closing is what the last outcomes get to be written at a stop.
const closing = 2 * time.Second

// close writes what is left. What the database does not take within the time
// stays in the journal for the next start.
func (b *book) close() {
	close(b.in)
	select {
	case <-b.done:
	case <-time.After(closing):
		b.giveUp()
		<-b.done
	}
}

func (b *book) run() {
	defer close(b.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-b.stop:
			cancel()
		case <-b.done:
		}
	}()
	for first := range b.in {
		page := b.gather(first)
		if !b.insist(ctx, page) {
			continue // it is being stopped: the journal has them
		}
		b.met.booked(page)
		b.hand.letGo(refs(page)...)
		if err := b.jour.settled(page); err != nil {
			b.log.Warn("the journal could not be shortened", "error", err)
		}
	}
}

// insist writes a page, however long the database is away; false when ctx ends.
func (b *book) insist(ctx context.Context, page []outcome) bool {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := b.db.Write(ctx, func(tx *store.Tx) error { return record(tx, b.node, page) })
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		b.log.Warn("outcomes could not be written; they are kept and tried again", "outcomes", len(page), "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

// gather waits a moment for company.
func (b *book) gather(first outcome) []outcome {
	page := append(make([]outcome, 0, bookAtOnce), first)
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
// the timeline, and what follows from it. It is repeatable: only claims that
// the node still holds are touched.
func record(tx *store.Tx, node uuid.UUID, page []outcome) error {
	if err := byIndex(tx); err != nil {
		return err
	}
	var sent []outcome
	held := map[*claimed]bool{}
	var back []*claimed
	var later []deferred
	for _, o := range page {
		switch o.verdict {
		case accepted:
			sent = append(sent, o)
		case returned:
			back = append(back, o.claimed)
		case delayed:
			later = append(later, deferred{o.claimed, o.until, o.text})
		default:
			mine, err := recordOne(tx, node, o)
			if err != nil {
				return err
			}
			held[o.claimed] = mine
		}
	}
	if err := release(tx, node, back); err != nil {
		return err
	}
	if err := putOff(tx, node, later); err != nil {
		return err
	}
	n, err := recordSent(tx, node, sent)
	if err != nil {
		return err
	}
	whole := n == int64(len(sent)) // else the page is written a second time
	// In the order of the page: what was accepted between two refusals ends their row.
	err = watch(tx, slices.DeleteFunc(slices.Clone(page), func(o outcome) bool {
		return !held[o.claimed] && (o.verdict != accepted || !whole)
	}))
	if err != nil || n == 0 {
		return err
	}
	if !whole {
		if sent, err = justSent(tx, sent); err != nil {
			return err
		}
	}
	return countSent(tx, sent)
}

// countSent counts mails for those who look at the numbers of a day, or of a
// campaign. It comes last: pages of one brand wait for each other from here on.
func countSent(tx *store.Tx, sent []outcome) error {
	mails := make([]Message, len(sent))
	for i, o := range sent {
		mails[i] = o.Message
	}
	return countMails(tx, mails)
}

// countMails counts mails that are sent now.
func countMails(tx *store.Tx, mails []Message) error {
	all := make([]event.Tally, 0, len(mails))
	var streams []event.StreamTally
	for _, m := range mails {
		all = append(all, talliesOf(tx, m)...)
		if m.Kind == Marketing {
			streams = append(streams, event.StreamTally{BrandID: m.BrandID, StreamID: m.StreamID, At: tx.Now(), Kind: event.StreamSent, N: 1})
		}
	}
	if err := event.Add(tx, all); err != nil {
		return err
	}
	return event.AddStreams(tx, streams)
}

// talliesOf is what a mail counts for that was sent now.
func talliesOf(tx *store.Tx, m Message) []event.Tally {
	all := []event.Tally{{BrandID: m.BrandID, At: tx.Now(), Kind: event.MailSent, Source: string(m.Kind), N: 1}}
	for source, watched := range map[string]bool{"open": m.TracksOpens, "click": m.TracksClicks} {
		if watched {
			all = append(all, event.Tally{BrandID: m.BrandID, At: tx.Now(), Kind: event.SentWatched, Source: source, N: 1})
		}
	}
	return all
}

// justSent are those of a page that this transaction has written as sent: the
// others are no longer the node's.
func justSent(tx *store.Tx, page []outcome) (mine []outcome, err error) {
	for _, o := range page {
		var n int64
		err := tx.Raw("SELECT count(*) FROM messages WHERE source_id = ? AND id = ? AND state = 'sent' AND settled_at = ?", o.SourceID, o.ID, tx.Now()).Scan(&n).Error
		if err != nil {
			return nil, fmt.Errorf("read what was sent: %w", err)
		}
		if n == 1 {
			mine = append(mine, o)
		}
	}
	return mine, nil
}

// recordSent writes all accepted mails by two statements. That a mail was sent
// is told by its row: event.Timeline reads it there.
//
// Cost: the key of the outbox and of messages, and no other index where the new
// version of a row finds place in its page.
func recordSent(tx *store.Tx, node uuid.UUID, page []outcome) (n int64, err error) {
	if len(page) == 0 {
		return 0, nil
	}
	of := make([]*claimed, len(page))
	replies, opens, clicks := make([]string, len(page)), make([]bool, len(page)), make([]bool, len(page))
	for i, o := range page {
		of[i], replies[i], opens[i], clicks[i] = o.claimed, o.text, o.TracksOpens, o.TracksClicks
	}
	from, args, err := tx.As("t", rowsOf(of).Texts("reply", replies).Bools("opens", opens).Bools("clicks", clicks))
	if err != nil {
		return 0, err
	}
	if tx.Dialect() == store.Postgres {
		n, err = tx.Change(`WITH gone AS (DELETE FROM outbox o USING `+heldRows(tx, from)+` t WHERE o.ctid = t.at
				RETURNING t.source_id, t.id, t.reply, t.opens, t.clicks)
			`+sentSQL+` FROM gone t WHERE messages.source_id = t.source_id AND messages.id = t.id`, append(args, node, tx.Now())...)
	} else {
		n, err = tx.Change(sentSQL+` FROM `+heldRows(tx, from)+` t
			WHERE messages.source_id = t.source_id AND messages.id = t.id`, append(append([]any{tx.Now()}, args...), node)...)
		if err == nil {
			_, err = tx.Change("DELETE FROM outbox WHERE rowid IN (SELECT h.at FROM "+heldRows(tx, from)+" h)", append(args, node)...)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("write what was sent: %w", err)
	}
	return n, keepSlots(tx, of)
}

// sentSQL is what acceptance changes; its ? is the time now.
const sentSQL = `UPDATE messages SET state = 'sent', reason = '', settled_at = ?, smtp_code = 250, smtp_reply = t.reply,
	tracks_opens = t.opens, tracks_clicks = t.clicks`

// recordOne settles a message that was not accepted; mine is false when the
// claim is no longer the node's.
func recordOne(tx *store.Tx, node uuid.UUID, o outcome) (mine bool, err error) {
	change, fact := o.consequence(tx.Now())
	due, again := change["due_at"]
	var held int64
	if again {
		held, err = tx.Change("UPDATE outbox SET node_id = NULL, due_at = ? WHERE "+heldSQL, append([]any{due}, o.held(node)...)...)
	} else {
		held, err = tx.Change("DELETE FROM outbox WHERE "+heldSQL, o.held(node)...)
	}
	if err != nil {
		return false, fmt.Errorf("write an outcome: %w", err)
	}
	if held == 0 {
		return false, nil
	}
	if o.verdict == unknown && !again {
		err = keepSlots(tx, []*claimed{o.claimed})
	} else {
		err = giveBack(tx, []*claimed{o.claimed})
	}
	if err != nil {
		return false, err
	}
	change["smtp_code"], change["smtp_reply"] = o.code, o.text
	if !again {
		change["tracks_opens"], change["tracks_clicks"] = o.TracksOpens, o.TracksClicks
	}
	if err := tx.Model(&Message{}).Where("source_id = ? AND id = ?", o.SourceID, o.ID).Updates(change).Error; err != nil {
		return false, fmt.Errorf("write an outcome: %w", err)
	}
	if fact == "" {
		return true, nil
	}
	if o.hard() && o.SubscriberID != nil && o.Recipient == "" {
		if err := suppress(tx, o); err != nil {
			return false, err
		}
	}
	return true, note(tx, o.Message, fact, map[string]any{"reason": change["reason"], "code": o.code, "reply": o.text})
}

// consequence is the transition out of claimed; fact is empty while the
// message stays on the way, which its due time tells.
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
	return map[string]any{"reason": "put off", "due_at": due, "attempt": o.Attempt + 1}, ""
}

// suppress keeps an address that does not exist from being written to again.
func suppress(tx *store.Tx, o outcome) error {
	b, err := brand.Find(tx, o.BrandID)
	if err != nil {
		return err
	}
	return consent.Suppress(tx, b, o.AddressHash, consent.HardBounce, o.text)
}
