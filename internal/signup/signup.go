// Package signup is the way in and the way through: forms and their versions,
// the double opt-in, and what a person can set and leave by the links in their
// mail.
//
// It promises:
//   - nothing that a visitor types changes anything about a person before the
//     button of the confirmation page was pressed, from a link that only the
//     mailbox has;
//   - Ask does the same work, in the same number of statements, for an address
//     that is new, waiting, confirmed or suppressed, and answers the same;
//   - an address gets one confirmation mail in 24 hours and three in 30 days,
//     over all brands of the installation, and a mailbox with many tags five and
//     fifteen; where no mail may go out, nothing is kept of the sign-up;
//   - every answer can be given again and then changes nothing.
//
// A request:
//
//	         ┌─yes──► confirmed
//	pending ─┼─no───► declined ──yes──► confirmed
//	         ├─not me► disowned
//	         └─time──► expired ──again──► (a new request)
//
// All transitions go through (*Request).move.
package signup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/event"
	"assent/internal/link"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Settings are what the operator can set. See Defaults.
type Settings struct {
	URLs      link.URLs
	MinFill   time.Duration // sooner than this after the form was shown, it was no person
	TokenLife time.Duration // a form on a screen can be sent so long
	AskLife   time.Duration // a request can be confirmed so long
	Limits    []Limit       // of confirmation mails to one address, over all brands
	Mailbox   []Limit       // the same to all addresses that differ only after a + (RFC 5233), which are one mailbox
}

// Limit allows so many mails within a rolling time.
type Limit struct {
	Mails  int
	Within time.Duration
}

// Defaults are the settings for production.
func Defaults(urls link.URLs) Settings {
	return Settings{
		URLs: urls, MinFill: 2 * time.Second, TokenLife: 24 * time.Hour, AskLife: 72 * time.Hour,
		Limits:  []Limit{{1, 24 * time.Hour}, {3, 30 * 24 * time.Hour}},
		Mailbox: []Limit{{5, 24 * time.Hour}, {15, 30 * 24 * time.Hour}},
	}
}

// State is where a request stands.
type State string

// The states.
const (
	Pending   State = "pending"
	Confirmed State = "confirmed"
	Declined  State = "declined"
	Disowned  State = "disowned"
	Expired   State = "expired"
)

// Request is one sign-up on its way to a confirmation.
type Request struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	FormID       uuid.UUID
	FormVersion  int
	SubscriberID uuid.UUID
	Language     string
	State        State
	Boxes        []Asked `gorm:"serializer:json"`
	Via          string  // how they found the form, one of the ways; empty where nobody knows
	Sealed       []byte  // of trace, under the person's key; nil once it is of no more use
	CreatedAt    time.Time
	ExpiresAt    time.Time
	AnsweredAt   *time.Time
}

// TableName implements gorm's Tabler.
func (Request) TableName() string { return "signup_requests" }

// Asked is one box that was ticked, with what it said.
type Asked struct {
	Topic   uuid.UUID `json:"topic"`
	Wording string    `json:"wording"`
}

// trace is what is personal about a request.
type trace struct {
	Email     string         `json:"email"`
	Name      string         `json:"name,omitempty"`
	Fields    map[string]any `json:"fields,omitempty"`
	Page      string         `json:"page,omitempty"`
	IP        string         `json:"ip,omitempty"`
	UserAgent string         `json:"user_agent,omitempty"`
	Inviter   string         `json:"inviter,omitempty"`  // who invited them, as they are called; then nobody has asked for themselves
	Unticked  []Asked        `json:"unticked,omitempty"` // boxes of tracking that were shown and left empty
}

func (t trace) evidence(r Request) map[string]any {
	e := map[string]any{
		"request": r.ID.String(), "email": t.Email, "page": t.Page, "ip": t.IP, "user_agent": t.UserAgent,
		"form": r.FormID.String(), "form_version": r.FormVersion, "asked_at": r.CreatedAt.Format(time.RFC3339Nano),
	}
	if r.Via != "" {
		e["via"] = r.Via
	}
	if t.Inviter != "" {
		e["invited_by"] = t.Inviter
	}
	if t.Name != "" {
		e["name"] = t.Name
	}
	for name, value := range t.Fields {
		e["field:"+name] = value
	}
	return e
}

func (t trace) seal(tx *store.Tx, id uuid.UUID) ([]byte, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode a sign-up: %w", err)
	}
	return subscriber.Seal(tx, id, plain)
}

// trace opens what was sealed; it is empty once that was destroyed.
func (r Request) trace(tx *store.Tx) (trace, error) {
	var t trace
	if r.Sealed == nil {
		return t, nil
	}
	plain, err := subscriber.Open(tx, r.SubscriberID, r.Sealed)
	if problem.Is(err, problem.Gone) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(plain, &t)
}

// move is the only way from one state to another; the fact of it is told.
func (r *Request) move(tx *store.Tx, to State) error {
	now := tx.Now()
	r.State, r.AnsweredAt = to, &now
	if to == Expired || to == Disowned {
		r.Sealed = nil
	}
	_, err := tx.Run("UPDATE signup_requests SET state = ?, answered_at = ?, sealed = ? WHERE id = ? AND brand_id = ?",
		r.State, r.AnsweredAt, r.Sealed, r.ID, r.BrandID)
	if err != nil {
		return fmt.Errorf("move a sign-up request to %s: %w", to, err)
	}
	kind := map[State]string{Confirmed: event.SignupConfirmed, Declined: event.SignupDeclined, Disowned: event.SignupDisowned, Expired: event.SignupExpired}[to]
	return event.Record(tx, event.Event{BrandID: r.BrandID, SubscriberID: &r.SubscriberID, Kind: kind, SourceID: &r.ID,
		Data: r.told()})
}

// told is what the facts about a request say of it.
func (r Request) told() map[string]any {
	data := map[string]any{"form": r.FormID, "version": r.FormVersion}
	if r.Via != "" {
		data["via"] = r.Via
	}
	return data
}

func readRequest(tx *store.Tx, lock string, id uuid.UUID) (Request, error) {
	var rows []Request
	if err := tx.Raw("SELECT * FROM signup_requests WHERE id = ?"+lock, id).Scan(&rows).Error; err != nil {
		return Request{}, fmt.Errorf("read a sign-up request: %w", err)
	}
	if len(rows) == 0 {
		return Request{}, problem.New(problem.NotFound, "link.unknown")
	}
	r := rows[0]
	r.CreatedAt, r.ExpiresAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC()
	return r, nil
}

func (r Request) topics(tx *store.Tx) (map[uuid.UUID]consent.Topic, error) {
	all, err := consent.AllTopics(tx, r.BrandID)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]consent.Topic, len(all))
	for _, t := range all {
		byID[t.ID] = t
	}
	return byID, nil
}

// addressKey names an address over all brands, and nobody outside can make it.
// It begins with a name of the mailbox, so that the addresses of one lie together.
func addressKey(tx *store.Tx, normal string) ([]byte, error) {
	secret, err := tx.LastingKey("confirmation mails")
	if err != nil {
		return nil, err
	}
	half := func(what, value string) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(what + "\x00" + value))
		return h.Sum(nil)[:keyHalf]
	}
	return append(half("mailbox", mailbox(normal)), half("address", normal)...), nil
}

const keyHalf = 16 // bytes

// mailbox is the address without what follows a + before the @.
func mailbox(normal string) string {
	local, domain, _ := strings.Cut(normal, "@")
	if bare, _, tagged := strings.Cut(local, "+"); tagged && bare != "" {
		local = bare
	}
	return local + "@" + domain
}

// lockAddress lets one sign-up with the mailbox at a time through, at whatever
// brand; SQLite has one writer.
func lockAddress(tx *store.Tx, key []byte) error {
	var one int
	err := tx.Raw(tx.Pick("SELECT 1 FROM (SELECT pg_advisory_xact_lock(?)) AS held", "SELECT 1 WHERE ? IS NOT NULL"),
		int64(binary.BigEndian.Uint64(key))).Scan(&one).Error
	if err != nil {
		return fmt.Errorf("lock an address: %w", err)
	}
	return nil
}

// mayMail reports whether the limits allow another confirmation mail now. It
// reads the primary key over the addresses of the mailbox.
func (set Settings) mayMail(tx *store.Tx, key []byte) (bool, error) {
	low := append(bytes.Clone(key[:keyHalf]), make([]byte, keyHalf)...)
	high := append(bytes.Clone(key[:keyHalf]), bytes.Repeat([]byte{0xff}, keyHalf)...)
	var sent []struct {
		AddressKey []byte
		SentAt     time.Time
	}
	err := tx.Raw("SELECT address_key, sent_at FROM confirmation_mails WHERE address_key >= ? AND address_key <= ? AND sent_at > ?",
		low, high, tx.Now().Add(-set.longest())).Scan(&sent).Error
	if err != nil {
		return false, fmt.Errorf("count confirmation mails: %w", err)
	}
	var toMailbox, toAddress []time.Time
	for _, m := range sent {
		toMailbox = append(toMailbox, m.SentAt)
		if bytes.Equal(m.AddressKey, key) {
			toAddress = append(toAddress, m.SentAt)
		}
	}
	return allow(set.Limits, toAddress, tx.Now()) && allow(set.Mailbox, toMailbox, tx.Now()), nil
}

// allow reports whether the limits leave room for one more mail.
func allow(limits []Limit, sent []time.Time, now time.Time) bool {
	for _, l := range limits {
		n := 0
		for _, at := range sent {
			if at.After(now.Add(-l.Within)) {
				n++
			}
		}
		if n >= l.Mails {
			return false
		}
	}
	return true
}

// longest is how far back any limit looks.
func (set Settings) longest() time.Duration {
	longest := time.Duration(0)
	for _, l := range append(slices.Clone(set.Limits), set.Mailbox...) {
		longest = max(longest, l.Within)
	}
	return longest
}

func countMail(tx *store.Tx, key []byte) error {
	_, err := tx.Run("INSERT INTO confirmation_mails (sent_at, address_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
		tx.Now(), key) // GORM would spread bytes that follow a parenthesis
	if err != nil {
		return fmt.Errorf("count a confirmation mail: %w", err)
	}
	return nil
}

// Sweep ends the requests that were not answered in time, at most limit of
// them, and forgets the counts that no limit looks at any more. It tells how
// many requests it ended, so that the caller knows when to come again.
func Sweep(tx *store.Tx, set Settings, limit int) (int, error) {
	var late []Request
	err := tx.Raw("SELECT * FROM signup_requests WHERE state = 'pending' AND expires_at <= ? ORDER BY expires_at LIMIT ?"+tx.SkipLocked(),
		tx.Now(), limit).Scan(&late).Error
	if err != nil {
		return 0, fmt.Errorf("find late sign-up requests: %w", err)
	}
	for _, r := range late {
		if err := r.expire(tx); err != nil {
			return 0, err
		}
	}
	if _, err := tx.Run("DELETE FROM confirmation_mails WHERE sent_at <= ?", tx.Now().Add(-set.longest())); err != nil {
		return 0, fmt.Errorf("forget old confirmation mails: %w", err)
	}
	return len(late), nil
}
