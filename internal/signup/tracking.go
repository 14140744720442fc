package signup

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// trackingRest is for how many months nobody is asked for a tracking permission
// again, whether they said no or nothing (CNIL 2026-042).
const trackingRest = 6

// questionStands is for how long after a confirmation its page, when it comes twice,
// still holds the question that it held.
const questionStands = time.Hour

// TrackingQuestion is what somebody may be asked about opens and clicks.
type TrackingQuestion struct {
	Preferences           // in whose Words the answer is given
	Ask         []string  // slugs of what is asked now; empty: nothing
	At          time.Time // when it was put
}

// Speak puts the question in another language.
func (q TrackingQuestion) Speak(lang string) TrackingQuestion {
	q.Preferences = q.Preferences.Speak(lang)
	return q
}

// Asked are the choices that are asked now.
func (q TrackingQuestion) Asked() (all []Choice) {
	for _, c := range q.Choices {
		if slices.Contains(q.Ask, c.Topic.Slug) {
			all = append(all, c)
		}
	}
	return all
}

// Tracking are the choices about being observed, asked or not.
func (q TrackingQuestion) Tracking() (all []Choice) {
	for _, c := range q.Choices {
		if c.Box.Tracking() {
			all = append(all, c)
		}
	}
	return all
}

// remembered are when somebody was last asked, by topic.
func remembered(tx *store.Tx, brandID, subscriberID uuid.UUID) (map[uuid.UUID]time.Time, error) {
	var rows []struct {
		TopicID uuid.UUID
		AskedAt time.Time
	}
	err := tx.Raw("SELECT topic_id, asked_at FROM tracking_questions WHERE subscriber_id = ? AND brand_id = ?", subscriberID, brandID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read when somebody was asked about tracking: %w", err)
	}
	all := map[uuid.UUID]time.Time{}
	for _, r := range rows {
		all[r.TopicID] = r.AskedAt.UTC()
	}
	return all, nil
}

// remember notes that somebody was asked now.
func remember(tx *store.Tx, brandID, subscriberID, topic uuid.UUID) error {
	_, err := tx.Run(`INSERT INTO tracking_questions (subscriber_id, topic_id, brand_id, asked_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (subscriber_id, topic_id) DO UPDATE SET asked_at = excluded.asked_at`, subscriberID, topic, brandID, tx.Now())
	if err != nil {
		return fmt.Errorf("remember a question about tracking: %w", err)
	}
	return nil
}

// mayAsk tells whether somebody may be asked for a tracking permission now: who
// has none, has not been asked for half a year, and has not said no in that time.
func (c Choice) mayAsk(now, asked time.Time) bool {
	if !c.Box.Tracking() || c.On || c.State == consent.Requested || c.Topic.ArchivedAt != nil {
		return false
	}
	last := asked
	if c.State != "" && c.Since.After(last) {
		last = c.Since
	}
	return last.IsZero() || !last.AddDate(0, trackingRest, 0).After(now)
}

// askTracking puts the question to somebody who has just confirmed, and remembers
// that it was put: each of the two by itself, none answered beforehand.
func askTracking(tx *store.Tx, brandID, subscriberID uuid.UUID) (*TrackingQuestion, error) {
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return nil, err
	}
	asked, err := remembered(tx, brandID, subscriberID)
	if err != nil {
		return nil, err
	}
	q := &TrackingQuestion{Preferences: p, At: tx.Now()}
	for _, c := range p.Choices {
		if !c.mayAsk(tx.Now(), asked[c.Topic.ID]) {
			continue
		}
		q.Ask = append(q.Ask, c.Topic.Slug)
		if err := remember(tx, brandID, subscriberID, c.Topic.ID); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// stillAsked is what a confirmation asked a moment ago and nobody has answered.
func stillAsked(tx *store.Tx, brandID, subscriberID uuid.UUID, at time.Time) (*TrackingQuestion, error) {
	p, err := Preference(tx, brandID, subscriberID)
	if err != nil {
		return nil, err
	}
	asked, err := remembered(tx, brandID, subscriberID)
	if err != nil {
		return nil, err
	}
	q := &TrackingQuestion{Preferences: p, At: at}
	for _, c := range p.Choices {
		if c.Box.Tracking() && !c.On && asked[c.Topic.ID].Equal(at) && !(c.State != "" && !c.Since.Before(at)) && tx.Now().Sub(at) < questionStands {
			q.Ask = append(q.Ask, c.Topic.Slug)
		}
	}
	return q, nil
}

// AboutTracking is the page that a person has about being observed. It asks
// nothing: it shows where they stand.
func AboutTracking(tx *store.Tx, brandID, subscriberID uuid.UUID) (TrackingQuestion, error) {
	p, err := Preference(tx, brandID, subscriberID)
	return TrackingQuestion{Preferences: p, At: tx.Now()}, err
}

// AnswerTracking takes a yes or a no to one of the two, by slug, in the words
// named. A yes is given by the person's own act; a no is kept as a refusal, or
// takes back what they allowed. Repeatable. A yes to words that have changed since
// they were shown is problem.Conflict "signup.form.stale".
func AnswerTracking(tx *store.Tx, brandID, subscriberID uuid.UUID, slug string, yes bool, words string, seen Seen) (TrackingQuestion, error) {
	q, err := AboutTracking(tx, brandID, subscriberID)
	if err != nil {
		return q, err
	}
	if _, err := subscriber.Lock(tx, brandID, subscriberID); err != nil {
		return q, err
	}
	lang, _, _ := strings.Cut(words, ":")
	p := q.Preferences.Speak(lang)
	i := slices.IndexFunc(p.Choices, func(c Choice) bool { return c.Topic.Slug == slug && c.Box.Tracking() })
	if i < 0 {
		return q, problem.InvalidField("answer", "problem.field.choice")
	}
	c := p.Choices[i]
	switch {
	case yes && c.On:
	case yes && p.Words() != words:
		return q, problem.New(problem.Conflict, "signup.form.stale")
	case yes:
		err = p.give(tx, c, seen)
	default:
		e := seen.evidence()
		e["email"] = p.Subscriber.Email
		_, err = consent.Record(tx, consent.Act{Brand: p.Brand, Subscriber: subscriberID, Topic: c.Topic, State: consent.Refused,
			Method: consent.MethodPreferences, Language: p.Language, Wording: c.Wording(), Evidence: e})
		if err == nil {
			err = remember(tx, brandID, subscriberID, c.Topic.ID)
		}
	}
	if err != nil {
		return q, err
	}
	asked, err := remembered(tx, brandID, subscriberID)
	if err != nil {
		return q, err
	}
	q, err = AboutTracking(tx, brandID, subscriberID)
	for _, c := range q.Choices { // what was asked with it and is still open
		if at := asked[c.Topic.ID]; err == nil && c.Box.Tracking() && !c.On && c.Topic.Slug != slug && !at.IsZero() && tx.Now().Sub(at) < questionStands && !(c.State != "" && !c.Since.Before(at)) {
			q.Ask = append(q.Ask, c.Topic.Slug)
		}
	}
	return q, err
}

// refuseUnticked remembers the tracking boxes that were left empty on a form
// whose sign-up is now confirmed: they were asked, and said no. What the person
// allows already stands: a box is empty for everybody, or it would tell who is
// subscribed.
func (q Question) refuseUnticked(tx *store.Tx, evidence map[string]any) error {
	if len(q.trace.Unticked) == 0 {
		return nil
	}
	if _, err := subscriber.Lock(tx, q.Brand.ID, q.Subscriber.ID); err != nil {
		return err
	}
	all, err := consent.Permissions(tx, q.Brand.ID, q.Subscriber.ID)
	if err != nil {
		return err
	}
	stands := map[uuid.UUID]consent.Permission{}
	for _, p := range all {
		stands[p.TopicID] = p
	}
	left := slices.Clone(q.trace.Unticked)
	slices.SortFunc(left, func(a, b Asked) int { return bytes.Compare(a.Topic[:], b.Topic[:]) })
	for _, a := range left {
		topic, ok := q.topics[a.Topic]
		p := stands[a.Topic]
		if !ok || p.InForce(tx.Now()) || p.State == consent.Requested {
			continue
		}
		_, err := consent.Record(tx, consent.Act{
			Brand: q.Brand, Subscriber: q.Subscriber.ID, Topic: topic, State: consent.Refused, Method: consent.MethodForm,
			Language: q.Request.Language, Wording: a.Wording, FormID: &q.Request.FormID, FormVersion: q.Request.FormVersion, Via: q.Request.Via, Evidence: evidence,
		})
		if err != nil {
			return err
		}
		if err := remember(tx, q.Brand.ID, q.Subscriber.ID, a.Topic); err != nil {
			return err
		}
	}
	return nil
}

// unticked are the boxes of tracking that a visitor left empty.
func (s Sheet) unticked(e entry) (all []Asked) {
	for _, b := range s.Boxes {
		if b.Tracking() && !slices.ContainsFunc(e.boxes, func(t Box) bool { return t.Topic.ID == b.Topic.ID }) {
			all = append(all, Asked{Topic: b.Topic.ID, Wording: b.Wording()})
		}
	}
	return all
}
