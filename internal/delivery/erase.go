package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"assent/internal/store"
	"assent/internal/subscriber"
)

// ReasonErased is why what was queued to somebody erased is skipped.
const ReasonErased = "erased"

// Erase skips what is queued to somebody and takes from all that they were sent
// what is personal: the values used, the address where it was another one, and
// the servers' words. What a node has in hand already is let go at its next
// question, or ends in this same second; its row holds nothing of them then
// either. So it is with mails to the team that speak of their address.
//
// Cost: the person's rows, by messages_person, and those of the brand's mails to
// its team, by messages_stream.
func Erase(tx *store.Tx, f subscriber.Forgotten) error {
	const theirs = " WHERE subscriber_id = ? AND brand_id = ?"
	if err := skipErased(tx, theirs, f.ID, f.BrandID); err != nil {
		return err
	}
	if _, err := tx.Run("UPDATE messages SET data = '{}', recipient = '', smtp_reply = ''"+theirs, f.ID, f.BrandID); err != nil {
		return fmt.Errorf("erase the mails to a person: %w", err)
	}
	if _, err := tx.Run("DELETE FROM slots WHERE subscriber_id = ?", f.ID); err != nil {
		return fmt.Errorf("erase the slots of a person: %w", err)
	}
	return eraseOfTeam(tx, f)
}

// skipErased skips what of the messages is queued and in no node's hand.
func skipErased(tx *store.Tx, where string, args ...any) error {
	_, err := tx.Run(`DELETE FROM outbox WHERE node_id IS NULL AND (stream_id, due_at, id) IN (
		SELECT stream_id, due_at, id FROM messages`+where+` AND state = 'queued')`, args...)
	if err != nil {
		return fmt.Errorf("let nobody take up what was queued: %w", err)
	}
	_, err = tx.Run(`UPDATE messages SET state = 'skipped', reason = ?, settled_at = ?`+where+` AND state = 'queued' AND NOT EXISTS (
		SELECT 1 FROM outbox o WHERE o.stream_id = messages.stream_id AND o.due_at = messages.due_at AND o.id = messages.id)`,
		append([]any{ReasonErased, tx.Now()}, args...)...)
	if err != nil {
		return fmt.Errorf("skip what was queued: %w", err)
	}
	return nil
}

// eraseOfTeam takes them out of mails to the team: of those that speak of them,
// and of those that went to an address of theirs. One that a node has in hand is
// left without a recipient, and so goes to nobody should it come back.
func eraseOfTeam(tx *store.Tx, f subscriber.Forgotten) error {
	stream, err := BrandStream(tx, f.BrandID, OriginTest)
	if err != nil {
		return err
	}
	said, args := f.Stands(tx, "data")
	sent, to := f.Stands(tx, "recipient")
	where, args := " WHERE stream_id = ? AND ("+said+" OR "+sent+")", append(append([]any{stream}, args...), to...)
	if err := skipErased(tx, where, args...); err != nil {
		return err
	}
	_, err = tx.Run("UPDATE messages SET data = '{}', smtp_reply = '', recipient = CASE WHEN state = 'queued' OR "+sent+" THEN '' ELSE recipient END"+where,
		append(slices.Clone(to), args...)...)
	if err != nil {
		return fmt.Errorf("erase a person from mails to the team: %w", err)
	}
	return nil
}

// Unname takes a value out of the mails of a source that have it, and skips those
// of them that are queued: it names somebody who is erased, and to whom they do not
// go. One that a node has in hand may still leave, without the value.
func Unname(tx *store.Tx, brandID, source uuid.UUID, value string) error {
	where := " WHERE source_id = ? AND brand_id = ? AND " + tx.Pick("data ->> CAST(? AS text)", "json_extract(data, '$.' || ?)") + " IS NOT NULL"
	if err := skipErased(tx, where, source, brandID, value); err != nil {
		return err
	}
	without := tx.Pick("data - CAST(? AS text)", "json_remove(data, '$.' || ?)")
	if _, err := tx.Run("UPDATE messages SET data = "+without+where, value, source, brandID, value); err != nil {
		return fmt.Errorf("take a name out of a mail: %w", err)
	}
	return nil
}

// AddressesOf are those that somebody's mails went to beside the one they have.
func AddressesOf(tx *store.Tx, s subscriber.Subscriber) (all []string, err error) {
	err = tx.Raw("SELECT DISTINCT recipient FROM messages WHERE subscriber_id = ? AND brand_id = ? AND recipient <> ''", s.ID, s.BrandID).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("look for a person's addresses: %w", err)
	}
	return all, nil
}

// recipientMark stands for the address in a server's words.
const recipientMark = "<recipient>"

// unnamed takes the recipient's address, and the part before its @, out of a
// server's words: they are kept in the journal, in facts and in the log, where
// nothing of a person may stand that cannot be erased. Words that tell what the
// answer means stay, though somebody be called so.
func (m *claimed) unnamed(r reply) reply {
	for _, address := range []string{m.Recipient, m.Email} {
		local, _, ok := strings.Cut(address, "@")
		if !ok || !strings.Contains(strings.ToLower(r.text), strings.ToLower(local)) {
			continue
		}
		r.text = withoutWord(r.text, address)
		if a, err := subscriber.ParseAddress(address); err == nil {
			r.text = withoutWord(r.text, a.Normal)
		}
		short := r
		short.text = withoutWord(r.text, local)
		if len(local) > 2 && short.hard() == r.hard() && short.policy() == r.policy() {
			r = short
		}
	}
	return r
}

// withoutWord puts the mark in place of a word, in letters of either case.
func withoutWord(text, word string) string {
	lower, small := strings.ToLower(text), strings.ToLower(word)
	if len(lower) != len(text) || len(small) != len(word) {
		return strings.ReplaceAll(text, word, recipientMark) // letters whose capitals have another length
	}
	var b strings.Builder
	for {
		i := strings.Index(lower, small)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		b.WriteString(recipientMark)
		text, lower = text[i+len(word):], lower[i+len(small):]
	}
}
