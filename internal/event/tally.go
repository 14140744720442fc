package event

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/problem"
	"assent/internal/store"
)

// How often what happened, so that nobody has to read a year of facts to draw
// it: one row for each brand, quarter of an hour, kind and source. The days of
// every time zone begin with a quarter of an hour, so the sums of any day, of
// any zone, are exact.
//
// A quarter is folded in once it is over and settled, by whoever has the lock of
// the row in folds, and that row moves on in the same transaction: each fact is
// counted once, whatever dies and whoever works beside. What is not folded in
// yet is counted from the facts themselves at each look. What has no rows of its
// own in time order, the mails that were sent, is counted by [Add] in the
// transaction that makes it so.

// Kinds that are only counted, beside those of facts.
const (
	SentWatched = "mail.sent-watched" // marketing that may be observed; source: open or click
	FirstHit    = "mail.first-hit"    // a mail was opened, or a link of it followed, by a person for the first time; source: open or click
	SentThen    = "mail.sent-then"    // sent then, and answered until now; source: open or click
)

// Tracking is the source of consents that are about being observed.
const Tracking = "tracking"

// Quarter is the length of what is counted together.
const Quarter = 15 * time.Minute

// settled is how long after its end a quarter is folded in: a transaction that
// began within it is over by then. Nothing here is open for so long.
const settled = Quarter

// QuarterOf is when the quarter began that t lies in.
func QuarterOf(t time.Time) time.Time { return t.UTC().Truncate(Quarter) }

// QuarterSQL is QuarterOf of an expression.
func QuarterSQL(tx *store.Tx, of string) string {
	return tx.Pick("date_bin('15 minutes', "+of+", TIMESTAMPTZ '2000-01-01 00:00:00+00')",
		"strftime('%Y-%m-%d %H:', "+of+") || printf('%02d:00+00:00', strftime('%M', "+of+") / 15 * 15)")
}

// A Tally is how often something happened in a quarter.
type Tally struct {
	BrandID             uuid.UUID
	At                  time.Time // any moment of the quarter
	Kind, Source, Topic string
	N                   int64
}

// Add counts what happened, in the transaction that made it happen. The rows of
// a quarter are the same for all who add to them: it is for the end of a
// transaction.
func Add(tx *store.Tx, all []Tally) error {
	type key struct {
		brand               uuid.UUID
		at                  int64
		kind, source, topic string
	}
	sums := map[key]int64{}
	for _, t := range all {
		sums[key{t.BrandID, QuarterOf(t.At).Unix(), t.Kind, t.Source, t.Topic}] += t.N
	}
	rows := make([][]any, 0, len(sums))
	for k, n := range sums {
		if n != 0 {
			rows = append(rows, []any{k.brand, time.Unix(k.at, 0).UTC(), k.kind, k.source, k.topic, n})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { // in one order, so that two never wait for each other
		return cmp.Or(cmp.Compare(a[0].(uuid.UUID).String(), b[0].(uuid.UUID).String()), a[1].(time.Time).Compare(b[1].(time.Time)),
			cmp.Compare(a[2].(string)+"/"+a[3].(string)+"/"+a[4].(string), b[2].(string)+"/"+b[3].(string)+"/"+b[4].(string)))
	})
	_, err := tx.InsertAll("quarters", "brand_id uuid, at timestamptz, kind text, source text, topic text, n bigint", rows,
		"ON CONFLICT (brand_id, at, kind, source, topic) DO UPDATE SET n = quarters.n + excluded.n")
	if err != nil {
		return fmt.Errorf("count what happened: %w", err)
	}
	return nil
}

// counted are the kinds of facts that are folded in. A mail to nobody of the
// brand's people is a test, and counts nowhere.
const counted = `(e.kind LIKE 'consent.%' OR e.kind LIKE 'signup.%' OR e.kind IN ('subscriber.created', 'address.suppressed')
	OR e.kind IN ('mail.failed', 'mail.skipped', 'mail.uncertain') AND e.subscriber_id IS NOT NULL)`

// sourceSQL tells how a consent came about, by the way that the person came
// where one is known, and why a mail or an address failed.
const sourceSQL = `CASE WHEN e.kind LIKE 'consent.%' THEN
		CASE WHEN e.data->>'topic' IN ('opens', 'clicks') THEN '` + Tracking + `' ELSE coalesce(e.data->>'via', e.data->>'method', '') END
	WHEN e.kind LIKE 'mail.%' OR e.kind = 'address.suppressed' THEN coalesce(e.data->>'reason', '') ELSE '' END`

const topicSQL = `CASE WHEN e.kind LIKE 'consent.%' THEN coalesce(e.data->>'topic_id', '') ELSE '' END`

// foldSQL reads the facts of a quarter by their key, of all brands at once.
// Its arguments are from, from, to.
const foldSQL = `INSERT INTO quarters (brand_id, at, kind, source, topic, n)
	SELECT e.brand_id, CAST(? AS timestamptz), e.kind, ` + sourceSQL + `, ` + topicSQL + `, count(*) FROM events e
	WHERE e.at >= ? AND e.at < ? AND ` + counted + ` GROUP BY 1, 3, 4, 5
	ON CONFLICT (brand_id, at, kind, source, topic) DO UPDATE SET n = quarters.n + excluded.n`

// foldedAtOnce is how many quarters one transaction folds in: a day.
const foldedAtOnce = 96

// Fold folds in every quarter that is over and settled. more count what they
// have rows of, in the same transaction: each is given a quarter at a time.
func Fold(ctx context.Context, db *store.DB, more ...func(tx *store.Tx, from, to time.Time) error) error {
	for {
		n := 0
		err := db.Write(ctx, func(tx *store.Tx) (err error) { n, err = foldSome(tx, more); return err })
		if err != nil {
			return fmt.Errorf("fold in what happened: %w", err)
		}
		if n < foldedAtOnce {
			return nil
		}
	}
}

func foldSome(tx *store.Tx, more []func(*store.Tx, time.Time, time.Time) error) (n int, err error) {
	from, err := lockFold(tx)
	if err != nil {
		return 0, err
	}
	limit := QuarterOf(tx.Now().Add(-settled))
	for ; n < foldedAtOnce && from.Before(limit); n++ {
		to := from.Add(Quarter)
		if _, err := tx.Run(tx.Pick(foldSQL, strings.Replace(foldSQL, "CAST(? AS timestamptz)", "?", 1)), from, from, to); err != nil {
			return 0, err
		}
		for _, f := range more {
			if err := f(tx, from, to); err != nil {
				return 0, err
			}
		}
		from = to
	}
	if n == 0 {
		return 0, nil
	}
	_, err = tx.Run("UPDATE folds SET upto = ? WHERE what = 'events'", from)
	return n, err
}

// lockFold gives the end of what is folded in, and keeps others from moving it.
// The first of all begins with the first fact there is.
func lockFold(tx *store.Tx) (time.Time, error) {
	upto, err := Folded(tx)
	if err != nil {
		return upto, err
	}
	if upto.IsZero() {
		var first []Event
		if err := tx.Order("at").Limit(1).Find(&first).Error; err != nil {
			return upto, err
		}
		upto = QuarterOf(tx.Now().Add(-settled))
		if len(first) > 0 && first[0].At.Before(upto) {
			upto = QuarterOf(first[0].At)
		}
		if _, err := tx.Run("INSERT INTO folds (what, upto) VALUES ('events', ?) ON CONFLICT (what) DO NOTHING", upto); err != nil {
			return upto, err
		}
	}
	var row struct{ Upto time.Time }
	err = tx.Raw("SELECT upto FROM folds WHERE what = 'events'" + tx.ForUpdate()).Scan(&row).Error
	return row.Upto.UTC(), err
}

// Folded is until when everything is folded in; zero: nothing is yet.
func Folded(tx *store.Tx) (time.Time, error) {
	var rows []struct{ Upto time.Time }
	if err := tx.Raw("SELECT upto FROM folds WHERE what = 'events'").Scan(&rows).Error; err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0].Upto.UTC(), nil
}

// A Span is a stretch of time, from its first moment to before its last. Both
// are at quarters of an hour; the end of the last may lie ahead.
type Span struct{ From, To time.Time }

// A Sum is how often something happened in one of the spans that were asked for.
type Sum struct {
	Span                int // which
	Kind, Source, Topic string
	N                   int64
}

// steadyTries is how often a count is begun anew: a fold moves on every few minutes.
const steadyTries = 5

// Steady runs a count of what is folded in until upto, and of the facts from
// then on, and runs it again where a fold came between: it would have missed
// something, or counted it twice. upto is a value and no part of a statement, so
// that PostgreSQL knows how few facts there are after it.
func Steady(tx *store.Tx, count func(upto time.Time) error) error {
	upto, err := Folded(tx)
	for try := 1; err == nil; try++ {
		if err = count(upto); err != nil {
			break
		}
		before := upto
		if upto, err = Folded(tx); err == nil && upto.Equal(before) {
			return nil
		}
		if try == steadyTries {
			return problem.New(problem.Unavailable, "problem.unavailable")
		}
	}
	return fmt.Errorf("sum up what happened: %w", err)
}

// Sums is SumsSince, of one moment.
func Sums(tx *store.Tx, brandID uuid.UUID, spans []Span) (sums []Sum, err error) {
	err = Steady(tx, func(upto time.Time) error { sums, err = SumsSince(tx, upto, brandID, spans); return err })
	return sums, err
}

// SumsSince counts what happened at a brand in each span; they may overlap. It
// costs the quarters of the spans, by their key, and the facts that are not
// folded in yet, those since upto, by events_brand.
func SumsSince(tx *store.Tx, upto time.Time, brandID uuid.UUID, spans []Span) (sums []Sum, err error) {
	if len(spans) == 0 {
		return nil, nil
	}
	from, args := SpanRows(tx, spans)
	err = tx.Raw(`SELECT d.n AS span, q.kind, q.source, q.topic, CAST(sum(q.n) AS bigint) AS n FROM `+from+` CROSS JOIN quarters q
			WHERE q.brand_id = ? AND q.at >= d.since AND q.at < d.until GROUP BY d.n, q.kind, q.source, q.topic
		UNION ALL SELECT d.n AS span, q.kind, q.source, q.topic, CAST(sum(q.n) AS bigint) AS n FROM `+from+` CROSS JOIN (
				SELECT `+QuarterSQL(tx, "e.at")+` AS at, e.kind, `+sourceSQL+` AS source, `+topicSQL+` AS topic, count(*) AS n FROM events e
				WHERE e.brand_id = ? AND e.at >= ? AND `+counted+` GROUP BY 1, 2, 3, 4) q
			WHERE q.at >= d.since AND q.at < d.until GROUP BY d.n, q.kind, q.source, q.topic`,
		slices.Concat(args, []any{brandID}, args, []any{brandID, upto})...).Scan(&sums).Error
	if err != nil {
		return nil, fmt.Errorf("sum up what happened: %w", err)
	}
	return sums, nil
}

// SpanRows are spans as the table d of a statement: n, since, until.
func SpanRows(tx *store.Tx, spans []Span) (from string, args []any) {
	rows := make([][]any, len(spans))
	for i, s := range spans {
		rows[i] = []any{i, s.From.UTC(), s.To.UTC()}
	}
	return tx.Rows("d", "n int, since timestamptz, until timestamptz", rows)
}
