package signup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/event"
	"assent/internal/i18n"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
	"assent/internal/tracking"
)

// Asking is a question by mail whether a permission stands, with one button to
// answer it. The question, its mail and what keeps it from being asked twice
// are written in one transaction: it is asked once, whoever dies when.
//
//	       ┌─yes──► yes   (the consent is renewed, or given)
//	open ──┼─no───► no    (it is withdrawn, or refused)
//	       ├─time─► over  (silent: it expires; renewal: the consent ends by itself; purpose: it stays held)
//	       └─left─► over  (all of it was taken back: an old link brings nobody back)
type Asking struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	Kind         string
	Language     string
	Boxes        []Concern `gorm:"serializer:json"`
	ImportID     *uuid.UUID
	State        string
	AskedAt      time.Time
	DueAt        *time.Time // what follows where nobody answers follows then; nil: nothing does
	AnsweredAt   *time.Time
}

// The kinds of questions.
const (
	AskRenewal = "renewal" // it ends soon
	AskPurpose = "purpose" // what was agreed to has changed
	AskSilent  = "silent"  // nothing was heard for long
	AskImport  = "import"  // there is no evidence of it; see AskImported
)

// Where an asking stands.
const (
	AskingOpen = "open"
	AskingYes  = "yes"
	AskingNo   = "no"
	AskingOver = "over"
	AskingLeft = "left" // only shown: over, because the person left after it was asked
)

// Concern is one permission that is asked about, in the words of the question.
type Concern struct {
	Topic   uuid.UUID  `json:"topic"`
	Wording string     `json:"wording"`
	Event   *uuid.UUID `json:"event,omitempty"` // the consent; nil: there is none
}

// importAskLife is how long a question about an import can be answered.
const importAskLife = 30 * 24 * time.Hour

// AskDue asks those whose permissions end soon, and those who agreed to what
// has changed since, at most about limit of them, and tells how many it asked.
func AskDue(tx *store.Tx, set Settings, limit int) (int, error) {
	found, err := endingSoon(tx, limit)
	if err != nil {
		return 0, err
	}
	if len(found) < limit {
		held, err := heldByChange(tx, limit-len(found))
		if err != nil {
			return 0, err
		}
		found = append(found, held...)
	}
	n := 0
	seen := map[candidate]bool{}
	for _, c := range found {
		if seen[c] {
			continue
		}
		seen[c] = true
		asked, err := askOf(tx, set, c)
		if err != nil {
			return n, err
		}
		if asked {
			n++
		}
	}
	return n, nil
}

// candidate is somebody who may have to be asked.
type candidate struct {
	BrandID, SubscriberID uuid.UUID
	Kind                  string `gorm:"-"`
}

// mayBeAsked narrows permissions p of subscribers s to those that may be asked
// about: in force, of somebody whom mail reaches, and who has not asked for quiet
// until after the time that it takes as its one value. Who has is asked once it is
// over, if there is something left to ask about.
const mayBeAsked = `p.state IN ('given', 'renewed') AND (p.paused_until IS NULL OR p.paused_until <= ?) AND s.erased_at IS NULL AND s.objected_at IS NULL AND NOT EXISTS (SELECT 1 FROM suppressions x
	WHERE x.brand_id = s.brand_id AND x.address_hash = s.address_hash)`

// endingSoon reads permissions_ending as far as each topic looks ahead.
func endingSoon(tx *store.Tx, limit int) (all []candidate, err error) {
	var days []int
	if err := tx.Raw("SELECT DISTINCT renew_days FROM topics WHERE renew_days > 0 AND purpose = 'marketing' ORDER BY renew_days").Scan(&days).Error; err != nil {
		return nil, fmt.Errorf("look who asks before the end: %w", err)
	}
	for _, d := range days {
		var rows []candidate
		err := tx.Raw(`SELECT p.brand_id, p.subscriber_id FROM permissions p JOIN topics t ON t.id = p.topic_id JOIN subscribers s ON s.id = p.subscriber_id
			WHERE p.valid_until > ? AND p.valid_until <= ? AND p.since <= ? AND t.renew_days = ? AND t.purpose = 'marketing' AND t.archived_at IS NULL AND `+mayBeAsked+`
			AND NOT EXISTS (SELECT 1 FROM asked_consents a WHERE a.event_id = p.event_id AND a.why = 'renewal') ORDER BY p.valid_until LIMIT ?`,
			tx.Now(), tx.Now().AddDate(0, 0, d), tx.Now().Add(-settled(d)), d, tx.Now(), limit-len(all)).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("look for permissions that end soon: %w", err)
		}
		for _, c := range rows {
			c.Kind = AskRenewal
			all = append(all, c)
		}
		if len(all) >= limit {
			break
		}
	}
	return all, nil
}

// settled is how old a permission must be before somebody is asked about its
// end: nobody is asked on the day that they said yes.
func settled(renewDays int) time.Duration { return time.Duration(renewDays) * 12 * time.Hour }

// heldByChange reads permissions_in_force of the topics that changed.
func heldByChange(tx *store.Tx, limit int) (all []candidate, err error) {
	var changed []consent.Topic
	if err := tx.Raw("SELECT * FROM topics WHERE changed_at IS NOT NULL AND archived_at IS NULL").Scan(&changed).Error; err != nil {
		return nil, fmt.Errorf("look for topics that changed: %w", err)
	}
	for _, t := range changed {
		var rows []candidate
		err := tx.Raw(`SELECT p.brand_id, p.subscriber_id FROM permissions p JOIN subscribers s ON s.id = p.subscriber_id
			WHERE p.topic_id = ? AND p.brand_id = ? AND coalesce(p.said_at, p.since) < ? AND (p.valid_until IS NULL OR p.valid_until > ?) AND `+mayBeAsked+`
			AND NOT EXISTS (SELECT 1 FROM asked_consents a WHERE a.event_id = p.event_id AND a.why = ?) ORDER BY p.subscriber_id LIMIT ?`,
			t.ID, t.BrandID, *t.ChangedAt, tx.Now(), tx.Now(), whyPurpose(t), limit-len(all)).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("look for permissions under other words: %w", err)
		}
		for _, c := range rows {
			c.Kind = AskPurpose
			all = append(all, c)
		}
		if len(all) >= limit {
			break
		}
	}
	return all, nil
}

// whyPurpose names a change of what people agree to.
func whyPurpose(t consent.Topic) string {
	return AskPurpose + ":" + t.ChangedAt.UTC().Format("20060102T150405.000000")
}

// askOf asks somebody about all of theirs that are due, in one mail: what was
// found is looked at anew under the lock on the person.
func askOf(tx *store.Tx, set Settings, c candidate) (asked bool, err error) {
	b, err := brand.Find(tx, c.BrandID)
	if err != nil {
		return false, err
	}
	s, err := subscriber.Lock(tx, b.ID, c.SubscriberID)
	if err != nil || s.ErasedAt != nil || s.ObjectedAt != nil {
		return false, err
	}
	q := asking{Asking: Asking{ID: tx.NewID(), BrandID: b.ID, SubscriberID: s.ID, Kind: c.Kind, Language: b.Offers(s.Language), State: AskingOpen, AskedAt: tx.Now()}, brand: b, who: s}
	if err := q.gather(tx, func(t consent.Topic, p consent.Permission) (string, bool) {
		if c.Kind == AskPurpose {
			if !t.ChangedSince(p) {
				return "", false
			}
			return whyPurpose(t), true
		}
		due := t.RenewDays > 0 && p.ValidUntil != nil && !p.ValidUntil.After(tx.Now().AddDate(0, 0, t.RenewDays)) && !p.Since.After(tx.Now().Add(-settled(t.RenewDays)))
		return AskRenewal, due
	}); err != nil || len(q.Boxes) == 0 {
		return false, err
	}
	return true, q.send(tx, set)
}

// asking is one that is being written.
type asking struct {
	Asking
	brand brand.Brand
	who   subscriber.Subscriber
	whys  []string // beside the boxes
	until *time.Time
}

// gather puts in the permissions that which picks and that were not asked about.
func (q *asking) gather(tx *store.Tx, which func(consent.Topic, consent.Permission) (why string, due bool)) error {
	topics, err := consent.Topics(tx, q.BrandID)
	if err != nil {
		return err
	}
	permissions, err := consent.Permissions(tx, q.BrandID, q.SubscriberID)
	if err != nil {
		return err
	}
	for _, t := range topics {
		for _, p := range permissions {
			if t.Purpose != consent.Marketing || p.TopicID != t.ID || !p.InForce(tx.Now()) {
				continue
			}
			why, due := which(t, p)
			if !due {
				continue
			}
			if before, err := askedBefore(tx, p, why); err != nil || before {
				if err != nil {
					return err
				}
				continue
			}
			box := Box{Topic: t, Label: t.In(q.brand, q.Language).Wording, Note: Promise(i18n.For(q.Language), t)}
			id := p.EventID
			q.Boxes, q.whys = append(q.Boxes, Concern{t.ID, box.Wording(), &id}), append(q.whys, why)
			if p.ValidUntil != nil && (q.until == nil || p.ValidUntil.Before(*q.until)) {
				q.until = p.ValidUntil
			}
		}
	}
	return nil
}

// askedBefore reports whether somebody was asked about a permission: "once"
// counts from the event in which it was given, so that who asks for less mail is
// not asked anew. What stands now is marked as well, for those who look.
func askedBefore(tx *store.Tx, p consent.Permission, why string) (bool, error) {
	line, err := consent.Lineage(tx, p.BrandID, p.EventID)
	if err != nil {
		return false, err
	}
	var askings []uuid.UUID
	if err := tx.Raw("SELECT asking_id FROM asked_consents WHERE event_id IN (?) AND why = ?", line, why).Scan(&askings).Error; err != nil {
		return false, fmt.Errorf("look whether it was asked: %w", err)
	}
	if len(askings) == 0 {
		return false, nil
	}
	_, err = tx.Run("INSERT INTO asked_consents (event_id, why, asking_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", p.EventID, why, askings[0])
	if err != nil {
		return false, fmt.Errorf("remember that it was asked: %w", err)
	}
	return true, nil
}

// send writes the question and queues its mail, which is of the service and
// holds nothing but it.
func (q *asking) send(tx *store.Tx, set Settings) error {
	if err := tx.Create(&q.Asking).Error; err != nil {
		return fmt.Errorf("ask whether a permission stands: %w", err)
	}
	for i, b := range q.Boxes {
		if b.Event == nil {
			continue
		}
		if _, err := tx.Run("INSERT INTO asked_consents (event_id, why, asking_id) VALUES (?, ?, ?)", *b.Event, q.whys[i], q.ID); err != nil {
			return fmt.Errorf("remember what was asked: %w", err)
		}
	}
	origin, kind, template := delivery.OriginService, delivery.Service, q.Kind
	if q.Kind == AskImport {
		origin, kind, template = delivery.OriginConfirm, delivery.Confirm, "permission"
	}
	stream, err := delivery.BrandStream(tx, q.BrandID, origin)
	if err != nil {
		return err
	}
	data := map[string]any{"name": q.who.Name, "wordings": q.wordings(), "confirm_url": set.URLs.Keep(q.ID)}
	if q.until != nil {
		data["until"] = i18n.For(q.Language).Date(q.until.Add(-time.Microsecond), q.brand.Location()) // the last day
	}
	if q.Kind == AskSilent && q.DueAt != nil {
		data["until"] = i18n.For(q.Language).Date(*q.DueAt, q.brand.Location())
	}
	if q.Kind != AskImport {
		data["preferences_url"] = set.URLs.Preferences(q.BrandID, q.SubscriberID)
	}
	_, fresh, err := delivery.Queue(tx, delivery.Draft{Source: q.ID, Stream: stream, Brand: q.BrandID, Subscriber: &q.SubscriberID,
		Kind: kind, Template: template, Language: q.Language, Data: data, Due: tx.Now()})
	if err == nil && !fresh {
		err = errors.New("the mail of a question was queued before")
	}
	return err
}

func (a Asking) wordings() []string {
	all := make([]string, len(a.Boxes))
	for i, b := range a.Boxes {
		all[i] = b.Wording
	}
	return all
}

// Standing is an asking as its page shows it.
type Standing struct {
	Asking     Asking
	Brand      brand.Brand
	Subscriber subscriber.Subscriber
	Until      *time.Time // the first end of what is asked about

	topics  map[uuid.UUID]consent.Topic
	stands  map[uuid.UUID]consent.Permission
	changed bool
}

// Words are the exact words that a yes agrees to.
func (s Standing) Words() []string { return s.Asking.wordings() }

// LookAtAsking reads the asking of a signed link, and changes nothing.
// Where the person moved to another address since, it is problem.Gone
// "signup.moved": the mailbox that was written to is no longer known to be theirs.
func LookAtAsking(tx *store.Tx, id uuid.UUID) (Standing, error) {
	s, err := readAsking(tx, "", id)
	if err != nil {
		return s, err
	}
	return s, s.Asking.sameAddress(tx)
}

// sameAddress fails where the question went to an address that the person has left.
func (a Asking) sameAddress(tx *store.Tx) error {
	moved, err := a.moved(tx)
	if err == nil && moved {
		err = problem.New(problem.Gone, "signup.moved")
	}
	return err
}

// moved reads the ledger: every change of address is written there, and stays.
func (a Asking) moved(tx *store.Tx) (moved bool, err error) {
	err = tx.Raw("SELECT EXISTS (SELECT 1 FROM change_events WHERE subscriber_id = ? AND brand_id = ? AND kind = ? AND occurred_at >= ?)",
		a.SubscriberID, a.BrandID, consent.ChangedAddress, a.AskedAt).Scan(&moved).Error
	if err != nil {
		return false, fmt.Errorf("look whether the address is the same: %w", err)
	}
	return moved, nil
}

func readAsking(tx *store.Tx, lock string, id uuid.UUID) (s Standing, err error) {
	a, err := askingBy(tx, lock, id)
	if err != nil {
		return s, err
	}
	s.Asking = a
	if s.Brand, err = brand.Find(tx, a.BrandID); err != nil {
		return s, err
	}
	if s.Subscriber, err = subscriber.Find(tx, a.BrandID, a.SubscriberID); err != nil {
		return s, err
	}
	if s.Subscriber.ErasedAt != nil {
		return s, problem.New(problem.Gone, "signup.gone")
	}
	if s.topics, err = (Request{BrandID: a.BrandID}).topics(tx); err != nil {
		return s, err
	}
	var left bool
	if s.stands, left, err = a.standing(tx, s.Brand, s.Subscriber); err != nil {
		return s, err
	}
	for _, b := range a.Boxes {
		t := s.topics[b.Topic]
		s.changed = s.changed || t.ChangedAt != nil && t.ChangedAt.After(a.AskedAt)
		p, stands := s.stands[b.Topic]
		if stands && p.ValidUntil != nil && (s.Until == nil || p.ValidUntil.Before(*s.Until)) {
			s.Until = p.ValidUntil
		}
	}
	if s.Asking.State == AskingOpen && (len(s.stands) == 0 || s.changed || a.DueAt != nil && !tx.Now().Before(*a.DueAt)) {
		s.Asking.State = AskingOver
	}
	if s.Asking.State == AskingOver && len(s.stands) == 0 && left {
		s.Asking.State = AskingLeft
	}
	return s, nil
}

// standing are the permissions that the question is still about, by topic: those
// in force, and of an import what was asked for and not answered otherwise. left:
// the person said no to some of it, objected, or had the address stopped, after
// the question; a yes to it would bring them back against their later word.
func (a Asking) standing(tx *store.Tx, b brand.Brand, who subscriber.Subscriber) (stands map[uuid.UUID]consent.Permission, left bool, err error) {
	stands = map[uuid.UUID]consent.Permission{}
	_, stopped, err := consent.Suppressed(tx, b.ID, who.AddressHash, consent.MarketingMail)
	if err != nil {
		return nil, false, err
	}
	if who.ObjectedAt != nil || stopped && a.Kind == AskImport {
		return stands, true, nil
	}
	permissions, err := consent.Permissions(tx, b.ID, who.ID)
	if err != nil {
		return nil, false, err
	}
	var refused []uuid.UUID
	err = tx.Raw("SELECT DISTINCT topic_id FROM consent_events WHERE brand_id = ? AND subscriber_id = ? AND occurred_at > ? AND state IN ('withdrawn', 'refused', 'invalidated')",
		b.ID, who.ID, a.AskedAt).Scan(&refused).Error
	if err != nil {
		return nil, false, fmt.Errorf("look who left since they were asked: %w", err)
	}
	for _, box := range a.Boxes {
		no := slices.Contains(refused, box.Topic)
		left = left || no
		for _, p := range permissions {
			if p.TopicID != box.Topic {
				continue
			}
			if p.InForce(tx.Now()) || box.Event == nil && !no && p.State == consent.Requested {
				stands[p.TopicID] = p
			}
		}
	}
	return stands, left, nil
}

func askingBy(tx *store.Tx, lock string, id uuid.UUID) (Asking, error) {
	var rows []Asking
	if err := tx.Raw("SELECT * FROM askings WHERE id = ?"+lock, id).Scan(&rows).Error; err != nil {
		return Asking{}, fmt.Errorf("read a question: %w", err)
	}
	if len(rows) == 0 {
		return Asking{}, problem.New(problem.NotFound, "link.unknown")
	}
	a := rows[0]
	a.AskedAt = a.AskedAt.UTC()
	return a, nil
}

// AnswerAsking takes the answer of the button: yes renews what is asked about,
// in the words that were shown; no takes it back. It is repeatable, and after
// its time, or once all of it was taken back, it changes nothing.
func AnswerAsking(tx *store.Tx, id uuid.UUID, yes bool, seen Seen) (Standing, error) {
	a, err := askingBy(tx, "", id)
	if err != nil {
		return Standing{}, err
	}
	if _, err := subscriber.Lock(tx, a.BrandID, a.SubscriberID); err != nil { // before the question, as those who ask do
		return Standing{}, err
	}
	s, err := readAsking(tx, tx.ForUpdate(), id)
	if err == nil {
		err = s.Asking.sameAddress(tx)
	}
	if err != nil || s.Asking.State != AskingOpen {
		return s, err
	}
	if yes {
		if err := s.tooQuick(tx, seen); err != nil {
			return s, err
		}
	}
	evidence := seen.evidence()
	evidence["email"], evidence["asking"], evidence["asked_kind"] = s.Subscriber.Email, id.String(), s.Asking.Kind
	evidence["asked_at"], evidence["confirmed_at"] = s.Asking.AskedAt.Format(time.RFC3339Nano), tx.Now().Format(time.RFC3339Nano)
	method, state := consent.MethodRenewal, consent.Given
	if s.Asking.Kind == AskImport {
		method = consent.MethodRePermission
		if s.Asking.ImportID != nil {
			evidence["import"] = s.Asking.ImportID.String()
		}
	}
	if !yes {
		state = consent.Refused // of what is in force it is a withdrawal
	}
	boxes := slices.Clone(s.Asking.Boxes)
	slices.SortFunc(boxes, func(a, b Concern) int { return bytes.Compare(a.Topic[:], b.Topic[:]) })
	for _, b := range boxes {
		t, known := s.topics[b.Topic]
		if _, stands := s.stands[b.Topic]; !known || !stands {
			continue
		}
		_, err := consent.Record(tx, consent.Act{Brand: s.Brand, Subscriber: s.Subscriber.ID, Topic: t, State: state, Method: method,
			Language: s.Asking.Language, Wording: b.Wording, Evidence: evidence})
		if err != nil {
			return s, err
		}
	}
	return s, s.Asking.move(tx, map[bool]string{true: AskingYes, false: AskingNo}[yes])
}

// tooQuick refuses the yes of what opens mails before people do: a known program,
// and whoever presses sooner than a person reads what was just delivered
// (problem.TooMany "signup.too-quick"). Pressed again later it counts. A no is
// never kept waiting.
func (s Standing) tooQuick(tx *store.Tx, seen Seen) error {
	after, err := (Question{Request: Request{ID: s.Asking.ID, BrandID: s.Asking.BrandID}}).delivered(tx)
	if err != nil {
		return err
	}
	if after != nil && *after < doubtWithin || (tracking.Visitor{UserAgent: seen.UserAgent}).Program() {
		return problem.New(problem.TooMany, "signup.too-quick")
	}
	return nil
}

// move is the only way from one state to another.
func (a *Asking) move(tx *store.Tx, to string) error {
	now := tx.Now()
	a.State, a.AnsweredAt = to, &now
	if _, err := tx.Run("UPDATE askings SET state = ?, answered_at = ? WHERE id = ? AND brand_id = ?", to, now, a.ID, a.BrandID); err != nil {
		return fmt.Errorf("move a question to %s: %w", to, err)
	}
	return nil
}

// OnConsent closes questions about what was taken back, or ran out: their mails
// are not sent any more.
func OnConsent(tx *store.Tx, facts []event.Event) error {
	var ids []uuid.UUID
	for _, e := range facts {
		if e.SubscriberID != nil && !slices.Contains(ids, *e.SubscriberID) {
			ids = append(ids, *e.SubscriberID)
		}
	}
	for page := range slices.Chunk(ids, 500) {
		var open []Asking
		if err := tx.Raw("SELECT * FROM askings WHERE subscriber_id IN (?) AND state = 'open'", page).Scan(&open).Error; err != nil {
			return fmt.Errorf("look for open questions: %w", err)
		}
		for _, a := range open {
			if err := a.closeIfIdle(tx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a Asking) closeIfIdle(tx *store.Tx) error {
	b, err := brand.Find(tx, a.BrandID)
	if err != nil {
		return err
	}
	who, err := subscriber.Find(tx, a.BrandID, a.SubscriberID)
	if err != nil {
		return err
	}
	if stands, _, err := a.standing(tx, b, who); err != nil || len(stands) > 0 {
		return err
	}
	if _, err := delivery.CancelSource(tx, a.BrandID, a.ID, "taken-back"); err != nil {
		return err
	}
	return a.move(tx, AskingOver)
}

// SweepAskings does what follows where nobody answered in time: of somebody
// silent the permission expires, of an import the question lapses. At most limit
// of them; it tells how many.
func SweepAskings(tx *store.Tx, limit int) (int, error) {
	var ids []uuid.UUID
	err := tx.Raw("SELECT id FROM askings WHERE state = 'open' AND due_at <= ? ORDER BY due_at LIMIT ?", tx.Now(), limit).Scan(&ids).Error
	if err != nil {
		return 0, fmt.Errorf("look for questions without an answer: %w", err)
	}
	for _, id := range ids {
		if err := lapse(tx, id); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

func lapse(tx *store.Tx, id uuid.UUID) error {
	a, err := askingBy(tx, "", id)
	if err != nil {
		return err
	}
	who, err := subscriber.Lock(tx, a.BrandID, a.SubscriberID)
	if err != nil {
		return err
	}
	if a, err = askingBy(tx, tx.ForUpdate(), id); err != nil || a.State != AskingOpen {
		return err
	}
	if who.ErasedAt != nil {
		return a.move(tx, AskingOver)
	}
	s, err := readAsking(tx, "", id)
	if err != nil {
		return err
	}
	method := consent.MethodSunset
	if a.Kind == AskImport {
		method = consent.MethodRequestExpired
	} else if alive, err := livedSince(tx, a.BrandID, []uuid.UUID{who.ID}, a.AskedAt); err != nil {
		return err
	} else if moved, err := a.moved(tx); err != nil {
		return err
	} else if moved || alive[who.ID] { // who moves is there
		return a.move(tx, AskingOver)
	}
	evidence := map[string]any{"asking": id.String(), "asked_at": a.AskedAt.Format(time.RFC3339Nano)}
	for _, b := range a.Boxes {
		p, stands := s.stands[b.Topic]
		if !stands || b.Event != nil && p.EventID != *b.Event || b.Event == nil && p.State != consent.Requested {
			continue
		}
		e, err := consent.FindEvent(tx, a.BrandID, p.EventID)
		if err != nil {
			return err
		}
		_, err = consent.Record(tx, consent.Act{Brand: s.Brand, Subscriber: who.ID, Topic: s.topics[b.Topic], State: consent.Expired, Basis: e.Basis,
			Method: method, Language: e.Language, Entity: consent.EntityController, Evidence: evidence})
		if err != nil {
			return err
		}
	}
	return a.move(tx, AskingOver)
}
