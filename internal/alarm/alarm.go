// Package alarm notices when complaints, leavers or failures rise above what is
// usual at a brand, or when it falls silent around it, and keeps that in mind
// until it is over.
//
// Every few minutes the last hour and the last day are compared with the thirty
// days before. Let k of n mails have had it now, and k0 of n0 then. If the rate
// were the same, k would be binomial among k+k0 with probability n/(n+n0), for
// two Poisson counts given their sum (Przyborowski and Wilenski 1940, Biometrika
// 31:313). It is an alarm when so many or more had a probability below one in a
// million, and the rate is at least twice the usual: with many mails, small
// differences are certain and mean nothing.
//
// Silence is judged by the other tail of the same rule. Of the mails that went
// out between 48 and 24 hours ago, and whose readers let themselves be observed,
// so few were opened (or followed) that chance alone would bring so few less
// than once in a million looks, and at most half of the usual rate. They have had
// a day for it, when most that will be answered are; those of the thirty days
// had longer, which half the rate allows for. Opens are no rare events, and
// scatter less than Poisson counts: the rule is slower for it, never quicker. A
// brand needs a past for it: nobody else's rate says what its readers do.
//
// Sign-ups fall silent when not a single one came within 24 hours, or within a
// week, and half of the usual would have left so long without one less than once
// in a million: half, because a weekend brings fewer than a working day. So the
// day notices a brand with 28 a day or more, the week one with five.
//
// A brand is looked at 288 times a day, by two spans, for three kinds that rise,
// and by one or two for three that fall: a million looks a year at most. Were
// they independent, and nothing but chance at work, there would be a false alarm
// a year; they overlap nearly whole, so there are far fewer. After an alarm has
// ended its kind stays quiet for six hours.
//
// A silence of mails is over when mails are answered again. Who writes once a
// week has shown nothing the day after, so it stays open until enough went out
// to say, for two weeks at the most.
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
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/event"
	"assent/internal/problem"
	"assent/internal/store"
)

// Kind is what is far from usual.
type Kind string

// The kinds of alarms.
const (
	Complaints Kind = "complaints" // reports as spam, of mails sent
	Leavers    Kind = "leavers"    // permissions taken back by the people themselves, of mails sent
	Failures   Kind = "failures"   // mails refused for good, of those tried
	Opens      Kind = "opens"      // far fewer mails opened, of those that may be observed
	Clicks     Kind = "clicks"     // far fewer mails with a link followed, of those that may be observed
	Signups    Kind = "signups"    // none any more, of hours
)

// Kinds are all of them, the gravest first.
var Kinds = []Kind{Complaints, Failures, Leavers, Signups, Opens, Clicks}

// Silence tells whether it is too little of something that alarms.
func (k Kind) Silence() bool { return k == Opens || k == Clicks || k == Signups }

// Span is how much of the past an alarm judges.
type Span string

// The spans; the shorter one notices sooner, the longer one more.
const (
	Hour Span = "hour"
	Day  Span = "day"
	Week Span = "week" // of sign-ups only
)

var spans = []Span{Hour, Day, Week}

// Every is how often a brand should be looked at; the rule's false alarms are
// counted for it.
const Every = 5 * time.Minute

const (
	chanceMost = 1e-6 // of an alarm by chance, at one look
	chanceOver = 1e-2 // above it what is seen is usual again
	timesUsual = 2.0
	leastMails = 200  // fewer say nothing
	leastPast  = 1000 // mails that silence needs to know what is usual
	history    = 30 * 24 * time.Hour
	normMails  = 1000
	quietAfter = 6 * time.Hour
)

// answering is how long after a mail most complain or leave: what they do in a
// span may be about the mails of so long before it. Counting all of those makes
// the rule slower to see a rise, never quicker.
const answering = 48 * time.Hour

// ripening is how long a mail has had to be opened before it is judged.
const ripening = 24 * time.Hour

// foldedWithin is how far the counting of hits may lag for silence to be judged.
const foldedWithin = time.Hour

// unheard is how long an alarm stays open while too few mails go out to say
// whether they are answered again.
const unheard = 14 * 24 * time.Hour

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
	Seen, SeenOf   int64 // when it began; of so many mails, and of sign-ups of so many hours
	Usual, UsualOf int64 // in the thirty days before that
	LastSeen       int64 // at the last look
	LastSeenOf     int64
	AcknowledgedBy *uuid.UUID
	AcknowledgedAt *time.Time
	EndedAt        *time.Time
}

// Open tells whether it is not over.
func (a Alarm) Open() bool { return a.EndedAt == nil }

// unsure tells whether too few mails went out to say that they are answered again.
func (a Alarm) unsure(f Figures, now time.Time) bool {
	return (a.Kind == Opens || a.Kind == Clicks) && f.SeenOf < leastMails && now.Sub(a.BeganAt) < unheard
}

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

// below is what part of the usual rate is seen.
func (f Figures) below() float64 {
	return float64(f.Seen) / float64(f.SeenOf) / (float64(f.Usual) / float64(f.UsualOf))
}

// chanceFew is the probability of so few or fewer by chance.
func (f Figures) chanceFew(usual float64) float64 {
	n := float64(f.Seen) + usual
	return tail(usual, n, float64(f.UsualOf)/float64(f.SeenOf+f.UsualOf))
}

// falls tells whether so little was seen that chance would bring it less often
// than most.
func (f Figures) falls(k Kind, most float64) bool {
	switch {
	case k == Signups:
		return f.Seen == 0 && f.SeenOf > 0 && f.UsualOf > 0 && f.chanceFew(float64(f.Usual)/2) < most
	case f.SeenOf < leastMails || f.UsualOf < leastPast || f.Usual == 0:
		return false
	}
	return f.below() <= 1/timesUsual && f.chanceFew(float64(f.Usual)) < most
}

// Rises tells whether the figures are an alarm.
func (f Figures) Rises(k Kind) bool {
	if k.Silence() {
		return f.falls(k, chanceMost)
	}
	return f.SeenOf >= leastMails && f.above(k) >= timesUsual && f.chance(k) < chanceMost
}

// Rests tells whether the figures are usual again.
func (f Figures) Rests(k Kind) bool {
	if k.Silence() {
		return !f.falls(k, chanceOver)
	}
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
	for _, span := range spans {
		if seen[span].Rises(k) {
			return raise(tx, brandID, k, span, seen[span])
		}
	}
	return nil
}

// follow keeps the numbers of an open alarm, or ends it: when no span shows
// anything unusual. Where there is nothing to see, the last that was seen stays.
func follow(tx *store.Tx, a Alarm, seen map[Span]Figures) error {
	now := seen[a.Span]
	if a.unsure(now, tx.Now()) {
		return nil
	}
	if slices.ContainsFunc(spans, func(s Span) bool { return !seen[s].Rests(a.Kind) }) {
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

// Look counts what is compared, of every kind and span, from the tallies alone.
func Look(tx *store.Tx, brandID uuid.UUID) (map[Kind]map[Span]Figures, error) {
	end := event.QuarterOf(tx.Now()).Add(event.Quarter)
	back := func(d time.Duration) time.Time { return end.Add(-event.Quarter - d) }
	hour, day, week := back(time.Hour), back(24*time.Hour), back(7*24*time.Hour)
	before := func(from time.Time) event.Span { return event.Span{From: from.Add(-history), To: from} }
	asked := []event.Span{
		{From: hour, To: end}, {From: hour.Add(-answering), To: end}, before(hour.Add(-answering)),
		{From: day, To: end}, {From: day.Add(-answering), To: end}, before(day.Add(-answering)),
		{From: day.Add(-ripening), To: day}, {From: week, To: end}, before(week),
	}
	sums, err := event.Sums(tx, brandID, asked)
	if err != nil {
		return nil, err
	}
	n := make([]counts, len(asked))
	for _, s := range sums {
		n[s.Span].add(s)
	}
	found := map[Kind]map[Span]Figures{}
	for _, k := range []Kind{Complaints, Leavers, Failures} {
		found[k] = map[Span]Figures{Hour: n[0].rising(k, n[1], n[2]), Day: n[3].rising(k, n[4], n[5])}
	}
	folded, err := event.Folded(tx)
	if err != nil {
		return nil, err
	}
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return nil, err
	}
	for _, k := range []Kind{Opens, Clicks} {
		if k == Opens && b.LastOpenOnly {
			continue // opens are not counted any more: that they fall silent says nothing
		}
		if folded.Before(tx.Now().Add(-foldedWithin)) {
			break // what people did in the meantime is not counted in yet
		}
		found[k] = map[Span]Figures{Day: {Seen: n[6].had[k], SeenOf: n[6].watched[k], Usual: n[5].had[k], UsualOf: n[5].watched[k]}}
	}
	found[Signups] = map[Span]Figures{
		Day:  {Seen: n[3].had[Signups], SeenOf: 24, Usual: n[5].had[Signups], UsualOf: int64(history / time.Hour)},
		Week: {Seen: n[7].had[Signups], SeenOf: 7 * 24, Usual: n[8].had[Signups], UsualOf: int64(history / time.Hour)},
	}
	return found, nil
}

// rising compares what happened in a span with the mails that it may be about,
// and with what happened before.
func (c counts) rising(k Kind, asked, before counts) Figures {
	f := Figures{Seen: c.had[k], SeenOf: asked.sent, Usual: before.had[k], UsualOf: before.sent}
	if k == Failures { // they are known at once
		f.SeenOf, f.UsualOf = c.sent+c.had[k], before.sent+before.had[k]
	}
	return f
}

// counts is what happened in a span.
type counts struct {
	sent    int64
	watched map[Kind]int64 // mails that may be observed
	had     map[Kind]int64
}

// watching are the kinds of silence by what is observed.
var watching = map[string]Kind{"open": Opens, "click": Clicks}

func (c *counts) add(s event.Sum) {
	if c.had == nil {
		c.had, c.watched = map[Kind]int64{}, map[Kind]int64{}
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
	case s.Kind == event.SignupAsked:
		c.had[Signups] += s.N
	case s.Kind == event.SentWatched:
		c.watched[watching[s.Source]] += s.N
	case s.Kind == event.SentThen:
		c.had[watching[s.Source]] += s.N
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
