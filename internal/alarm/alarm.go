// Package alarm notices when complaints, leavers or failures rise above what is
// usual at a brand, and keeps that in mind until it is over.
//
// Every few minutes the last hour and the last day are compared with the thirty
// days before. Let k of n mails have had it now, and k0 of n0 then. If the rate
// were the same, k would be binomial among k+k0 with probability n/(n+n0), for
// two Poisson counts given their sum (Przyborowski and Wilenski 1940, Biometrika
// 31:313). It is an alarm when so many or more had a probability below one in a
// million, and the rate is at least twice the usual: with many mails, small
// differences are certain and mean nothing.
//
// A brand is looked at 288 times a day, by two spans, for three kinds: 630,000
// looks a year. Were they independent, and nothing but chance at work, there
// would be a false alarm in 19 months; they overlap nearly whole, so there are
// far fewer. After an alarm has ended its kind stays quiet for six hours.
//
// A young brand has no usual yet. So every brand is taken to have sent a
// thousand mails more in the thirty days, with the rate that is called too high
// elsewhere: see norms.
//
// States of an alarm, of which there is one open of a kind at a brand at most:
//
//	open ──► ended      as usual again
//	open ──► open       somebody has acknowledged it: it is theirs now
package alarm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Kind is what has risen.
type Kind string

// The kinds of alarms.
const (
	Complaints Kind = "complaints" // reports as spam, of mails sent
	Leavers    Kind = "leavers"    // permissions taken back by the people themselves, of mails sent
	Failures   Kind = "failures"   // mails refused for good, of those tried
)

// Kinds are all of them, the gravest first.
var Kinds = []Kind{Complaints, Failures, Leavers}

// Span is how much of the past an alarm judges.
type Span string

// The spans; the shorter one notices sooner, the longer one more.
const (
	Hour Span = "hour"
	Day  Span = "day"
)

// Every is how often a brand should be looked at; the rule's false alarms are
// counted for it.
const Every = 5 * time.Minute

const (
	chanceMost = 1e-6 // of an alarm by chance, at one look
	chanceOver = 1e-2 // above it what is seen is usual again
	timesUsual = 2.0
	leastMails = 200 // fewer say nothing
	history    = 30 * 24 * time.Hour
	normMails  = 1000
	quietAfter = 6 * time.Hour
)

// answering is how long after a mail most complain or leave: what they do in a
// span may be about the mails of so long before it. Counting all of those makes
// the rule slower to see a rise, never quicker.
const answering = 48 * time.Hour

// norms are the rates that a brand without a past is held to. Complaints: what
// Google asks senders to stay below (Email sender guidelines, 2024: 0.1 %).
// Failures: where our own circuit breakers begin to warn. Leavers: about twice
// the 0.2 to 0.3 % that mail services publish as the mean.
var norms = map[Kind]float64{Complaints: 0.001, Failures: 0.02, Leavers: 0.005}

// Alarm is one, from when it rose until it was over.
type Alarm struct {
	ID             uuid.UUID
	BrandID        uuid.UUID
	Kind           Kind
	Span           Span
	BeganAt        time.Time
	Seen, SeenOf   int64 // when it began
	Usual, UsualOf int64 // in the thirty days before that
	LastSeen       int64 // at the last look
	LastSeenOf     int64
	AcknowledgedBy *uuid.UUID
	AcknowledgedAt *time.Time
	EndedAt        *time.Time
}

// Open tells whether it is not over.
func (a Alarm) Open() bool { return a.EndedAt == nil }

// Figures is what is compared.
type Figures struct {
	Seen, SeenOf   int64
	Usual, UsualOf int64
}

// base are the usual figures with those of the norm added.
func (f Figures) base(k Kind) (n, of float64) {
	return float64(f.Usual) + normMails*norms[k], float64(f.UsualOf) + normMails
}

// above is how many times the usual rate is seen.
func (f Figures) above(k Kind) float64 {
	n, of := f.base(k)
	return float64(f.Seen) / float64(f.SeenOf) / (n / of)
}

// chance is the probability of so many or more by chance.
func (f Figures) chance(k Kind) float64 {
	n, of := f.base(k)
	return tail(float64(f.Seen), float64(f.Seen)+n, float64(f.SeenOf)/(float64(f.SeenOf)+of))
}

// Rises tells whether the figures are an alarm.
func (f Figures) Rises(k Kind) bool {
	return f.SeenOf >= leastMails && f.above(k) >= timesUsual && f.chance(k) < chanceMost
}

// Rests tells whether the figures are usual again.
func (f Figures) Rests(k Kind) bool {
	return f.SeenOf < leastMails || f.above(k) < timesUsual || f.chance(k) > chanceOver
}

// tail is the probability that a binomial of n and p is at least k. n may be no
// whole number: the coefficients are those of the gamma function. k is above the
// mean wherever it is asked, so the terms fall quickly.
func tail(k, n, p float64) float64 {
	if k <= 0 {
		return 1
	}
	if k > n || p <= 0 {
		return 0
	}
	all, _ := math.Lgamma(n + 1)
	in, _ := math.Lgamma(k + 1)
	out, _ := math.Lgamma(n - k + 1)
	term := math.Exp(all - in - out + k*math.Log(p) + (n-k)*math.Log1p(-p))
	sum := term
	for i := k; i < n && (term > sum*1e-12 || i < n*p); i++ {
		term *= (n - i) / (i + 1) * p / (1 - p)
		sum += term
	}
	return min(1, sum)
}

// Watch looks at every brand, raises what rises, and ends what rests. Several
// may do so at once: an alarm is raised, and told, by one of them.
func Watch(ctx context.Context, db *store.DB) error {
	var all []brand.Brand
	if err := db.Read(ctx, func(tx *store.Tx) (err error) { all, err = brand.List(tx); return err }); err != nil {
		return err
	}
	var failed error // of one brand, which is no reason not to look at the others
	for _, b := range all {
		var figures map[Kind]map[Span]Figures
		err := db.Read(ctx, func(tx *store.Tx) (err error) { figures, err = Look(tx, b.ID); return err })
		if err == nil {
			err = db.Write(ctx, func(tx *store.Tx) error { return watch(tx, b.ID, figures) })
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("look for alarms at %s: %w", b.Slug, err))
		}
	}
	return failed
}

func watch(tx *store.Tx, brandID uuid.UUID, figures map[Kind]map[Span]Figures) error {
	open, err := Opened(tx, brandID)
	if err != nil {
		return err
	}
	for _, k := range Kinds {
		if err := decide(tx, brandID, k, figures[k], open); err != nil {
			return err
		}
	}
	return nil
}

// decide moves one kind on.
func decide(tx *store.Tx, brandID uuid.UUID, k Kind, seen map[Span]Figures, open []Alarm) error {
	for _, a := range open {
		if a.Kind == k {
			return follow(tx, a, seen)
		}
	}
	for _, span := range []Span{Hour, Day} {
		if seen[span].Rises(k) {
			return raise(tx, brandID, k, span, seen[span])
		}
	}
	return nil
}

// follow keeps the numbers of an open alarm, or ends it: when neither span
// shows anything unusual.
func follow(tx *store.Tx, a Alarm, seen map[Span]Figures) error {
	now := seen[a.Span]
	if !seen[Hour].Rests(a.Kind) || !seen[Day].Rests(a.Kind) {
		_, err := tx.Run("UPDATE alarms SET last_seen = ?, last_seen_of = ? WHERE id = ? AND ended_at IS NULL AND (last_seen <> ? OR last_seen_of <> ?)",
			now.Seen, now.SeenOf, a.ID, now.Seen, now.SeenOf)
		return err
	}
	n, err := tx.Run("UPDATE alarms SET ended_at = ?, last_seen = ?, last_seen_of = ? WHERE id = ? AND ended_at IS NULL", tx.Now(), now.Seen, now.SeenOf, a.ID)
	if err != nil || n == 0 {
		return err
	}
	return tell(tx, a, event.AlarmEnded)
}

// raise makes an alarm, unless there is one of the kind already, or there was
// one until just now.
func raise(tx *store.Tx, brandID uuid.UUID, k Kind, span Span, f Figures) error {
	var late int64
	err := tx.Raw("SELECT count(*) FROM alarms WHERE brand_id = ? AND kind = ? AND ended_at > ?", brandID, k, tx.Now().Add(-quietAfter)).Scan(&late).Error
	if err != nil || late > 0 {
		return err
	}
	a := Alarm{ID: tx.NewID(), BrandID: brandID, Kind: k, Span: span, BeganAt: tx.Now(), Seen: f.Seen, SeenOf: f.SeenOf, Usual: f.Usual, UsualOf: f.UsualOf,
		LastSeen: f.Seen, LastSeenOf: f.SeenOf}
	n, err := tx.Run(`INSERT INTO alarms (id, brand_id, kind, span, began_at, seen, seen_of, usual, usual_of, last_seen, last_seen_of)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (brand_id, kind) WHERE ended_at IS NULL DO NOTHING`,
		a.ID, a.BrandID, a.Kind, a.Span, a.BeganAt, a.Seen, a.SeenOf, a.Usual, a.UsualOf, a.LastSeen, a.LastSeenOf)
	if err != nil || n == 0 {
		return err
	}
	return tell(tx, a, event.AlarmRaised)
}

func tell(tx *store.Tx, a Alarm, kind string) error {
	return event.Record(tx, event.Event{BrandID: a.BrandID, Kind: kind, Data: map[string]any{"alarm": a.ID.String(), "reason": string(a.Kind), "span": string(a.Span),
		"seen": a.Seen, "seen_of": a.SeenOf, "usual": a.Usual, "usual_of": a.UsualOf}})
}

// leaving are the ways in which people themselves take a permission back.
var leaving = map[string]bool{"unsubscribe-page": true, "one-click": true, "preferences": true}

// Look counts what is compared, of every kind and span.
func Look(tx *store.Tx, brandID uuid.UUID) (map[Kind]map[Span]Figures, error) {
	end := event.QuarterOf(tx.Now()).Add(event.Quarter)
	found := map[Kind]map[Span]Figures{}
	var spans []event.Span
	of := map[Span]int{Hour: 0, Day: 3}
	for _, from := range []time.Time{end.Add(-event.Quarter - time.Hour), end.Add(-event.Quarter - 24*time.Hour)} {
		asked := from.Add(-answering)
		spans = append(spans, event.Span{From: from, To: end}, event.Span{From: asked, To: end}, event.Span{From: asked.Add(-history), To: asked})
	}
	sums, err := event.Sums(tx, brandID, spans)
	if err != nil {
		return nil, err
	}
	n := make([]counts, len(spans))
	for _, s := range sums {
		n[s.Span].add(s)
	}
	for _, k := range Kinds {
		found[k] = map[Span]Figures{}
		for span, i := range of {
			now, asked, before := n[i], n[i+1], n[i+2]
			f := Figures{Usual: before.had[k], UsualOf: before.sent, Seen: now.had[k], SeenOf: asked.sent}
			if k == Failures { // they are known at once
				f.SeenOf, f.UsualOf = now.sent+now.had[k], before.sent+before.had[k]
			}
			found[k][span] = f
		}
	}
	return found, nil
}

// counts is what happened in a span.
type counts struct {
	sent int64
	had  map[Kind]int64
}

func (c *counts) add(s event.Sum) {
	if c.had == nil {
		c.had = map[Kind]int64{}
	}
	switch {
	case s.Kind == event.MailSent && s.Source != "test":
		c.sent += s.N
	case s.Kind == event.MailFailed:
		c.had[Failures] += s.N
	case s.Kind == event.ConsentWithdrawn && leaving[s.Source]:
		c.had[Leavers] += s.N
	case s.Kind == event.AddressSuppressed && s.Source == "complaint":
		c.had[Complaints] += s.N
	}
}

// Opened are a brand's open alarms, the newest first.
func Opened(tx *store.Tx, brandID uuid.UUID) (all []Alarm, err error) {
	err = tx.Where("brand_id = ? AND ended_at IS NULL", brandID).Order("id DESC").Find(&all).Error
	return utc(all), err
}

// List gives a brand's alarms, the newest first, those before an id, or from the
// newest on where it is nil.
func List(tx *store.Tx, brandID, before uuid.UUID, limit int) (all []Alarm, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = tx.Where("brand_id = ? AND id < ?", brandID, before).Order("id DESC").Limit(limit).Find(&all).Error
	return utc(all), err
}

func utc(all []Alarm) []Alarm {
	for i := range all {
		all[i].BeganAt = all[i].BeganAt.UTC()
		for _, t := range []*time.Time{all[i].AcknowledgedAt, all[i].EndedAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
	}
	return all
}

// Acknowledge notes that somebody has taken an alarm on. The first who does is
// kept. Of another brand's it is problem.NotFound.
func Acknowledge(tx *store.Tx, brandID, id, userID uuid.UUID) (a Alarm, err error) {
	_, err = tx.Run("UPDATE alarms SET acknowledged_by = ?, acknowledged_at = ? WHERE id = ? AND brand_id = ? AND acknowledged_by IS NULL", userID, tx.Now(), id, brandID)
	if err != nil {
		return a, fmt.Errorf("acknowledge an alarm: %w", err)
	}
	var all []Alarm
	if err := tx.Where("id = ? AND brand_id = ?", id, brandID).Limit(1).Find(&all).Error; err != nil {
		return a, fmt.Errorf("acknowledge an alarm: %w", err)
	}
	if len(all) == 0 {
		return a, problem.New(problem.NotFound, "problem.not-found")
	}
	return all[0], nil
}
