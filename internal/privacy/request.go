package privacy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// What somebody can ask for.
const (
	Access      = "access"      // GDPR art. 15, LGPD art. 18 II
	Portability = "portability" // GDPR art. 20
	Correction  = "correction"  // GDPR art. 16
	Erasure     = "erasure"     // GDPR art. 17
	Objection   = "objection"   // GDPR art. 21(2)
)

// Kinds are all that can be asked for, in the order in which they are shown.
var Kinds = []string{Access, Portability, Correction, Erasure, Objection}

// How a request comes.
const (
	WayPreferences = "preferences" // by the link in their mail, which proves the mailbox
	WayLetter      = "letter"
	WayPhone       = "phone"
	WayMail        = "mail"
	WayDesk        = "desk"
)

// Ways are those that staff can state.
var Ways = []string{WayLetter, WayPhone, WayMail, WayDesk}

// What came of a request.
const (
	Done      = "done"
	Refused   = "refused"
	Withdrawn = "withdrawn" // by the person, or nothing is left to answer
)

// What was done about a request.
const (
	Opened   = "opened"
	Noted    = "noted"
	Extended = "extended"
	Exported = "exported" // their data were handed over
	Objected = "objected" // nothing is sent any more
	Answered = "answered" // the person was written to
	Closed   = "closed"
)

// Request is what somebody asked for, and until when it is to be answered.
type Request struct {
	ID           uuid.UUID
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	Kind         string
	Way          string
	OpenedAt     time.Time
	DueAt        time.Time
	ExtendedAt   *time.Time
	WarnedAt     *time.Time
	ClosedAt     *time.Time
	Outcome      string // empty: open
}

// Overdue tells that it was not answered in time.
func (r Request) Overdue(now time.Time) bool { return r.ClosedAt == nil && now.After(r.DueAt) }

// Act is something that was done about a request.
type Act struct {
	ID        uuid.UUID
	RequestID uuid.UUID
	At        time.Time
	What      string
	UserID    *uuid.UUID // nil: the person, or the program
	Sealed    []byte
	Text      string `gorm:"-"` // empty: nothing was written, or it was erased
}

// TableName implements gorm's Tabler.
func (Act) TableName() string { return "request_acts" }

// Opening is a request that comes in.
type Opening struct {
	Subscriber uuid.UUID
	Kind, Way  string
	Identity   string // how it was made sure who asks; not needed where the way proves the mailbox
	Text       string // in their words; may be empty
	UserID     *uuid.UUID
	ReceivedAt time.Time // when it reached the brand: the clock runs from then; zero is now
}

const textMax = 4000

// Open writes a request down, and starts its clock. One of the kind that is open
// already is given back, for asking twice asks for the same. Of staff it is
// asked how they know who asks. An objection takes effect at once: see
// consent.Object.
func Open(tx *store.Tx, b brand.Brand, o Opening) (r Request, fresh bool, err error) {
	if err := o.check(tx.Now()); err != nil {
		return r, false, err
	}
	s, err := subscriber.Lock(tx, b.ID, o.Subscriber)
	if err != nil {
		return r, false, err
	}
	if s.ErasedAt != nil {
		return r, false, problem.New(problem.Gone, "subscriber.erased")
	}
	var open []Request
	if err := tx.Where("subscriber_id = ? AND brand_id = ? AND kind = ? AND closed_at IS NULL", s.ID, b.ID, o.Kind).Find(&open).Error; err != nil {
		return r, false, fmt.Errorf("look for an open request: %w", err)
	}
	if len(open) > 0 {
		if o.Kind == Objection {
			if err := object(tx, b, open[0], o.UserID); err != nil {
				return r, false, err
			}
		}
		return open[0].utc(), false, act(tx, open[0], Noted, o.UserID, strings.TrimSpace(o.Identity+"\n\n"+o.Text))
	}
	from := o.ReceivedAt
	if from.IsZero() {
		from = tx.Now()
	}
	r = Request{ID: tx.NewID(), BrandID: b.ID, SubscriberID: s.ID, Kind: o.Kind, Way: o.Way, OpenedAt: from.UTC().Truncate(time.Microsecond), DueAt: due(b, from)}
	if err := tx.Create(&r).Error; err != nil {
		return r, false, fmt.Errorf("open a request: %w", err)
	}
	if err := act(tx, r, Opened, o.UserID, strings.TrimSpace(o.Identity+"\n\n"+o.Text)); err != nil {
		return r, false, err
	}
	if err := r.tell(tx, b, consent.RequestOpened, o.UserID); err != nil {
		return r, false, err
	}
	if o.Kind == Objection {
		err = object(tx, b, r, o.UserID)
	}
	return r, true, err
}

func (o *Opening) check(now time.Time) error {
	p := problem.New(problem.Invalid, "problem.invalid")
	o.Identity, o.Text = strings.TrimSpace(o.Identity), strings.TrimSpace(strings.ReplaceAll(o.Text, "\r\n", "\n"))
	if !slices.Contains(Kinds, o.Kind) {
		p.Field("kind", "problem.field.choice")
	}
	if o.Way != WayPreferences && !slices.Contains(Ways, o.Way) {
		p.Field("way", "problem.field.choice")
	}
	if o.Way != WayPreferences && o.Identity == "" {
		p.Field("identity", "privacy.identity")
	}
	if o.ReceivedAt.After(now) {
		p.Field("received", "privacy.received")
	}
	for name, text := range map[string]string{"identity": o.Identity, "text": o.Text} {
		if utf8.RuneCountInString(text) > textMax || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			p.Field(name, "problem.field.too-long", "Max", textMax)
		}
	}
	return p.OrNil()
}

// due is until when a request is to be answered: a month after it came (GDPR art.
// 12(3)), in Brazil 15 days (LGPD art. 19 II). A month ends on the day of the same
// number, or the month's last (Regulation 1182/71 art. 3(2)(c)).
func due(b brand.Brand, from time.Time) time.Time {
	if brazilian(b) {
		return from.UTC().AddDate(0, 0, 15).Truncate(time.Microsecond)
	}
	return months(from, 1)
}

func months(from time.Time, n int) time.Time {
	from = from.UTC().Truncate(time.Microsecond)
	to := from.AddDate(0, n, 0)
	if to.Day() != from.Day() {
		to = to.AddDate(0, 0, -to.Day())
	}
	return to
}

// Extendable tells whether there is more time to be had.
func Extendable(b brand.Brand, r Request, now time.Time) bool {
	return r.ClosedAt == nil && r.ExtendedAt == nil && !r.Overdue(now) && !brazilian(b)
}

// Extend gives a request two more months, once and before it is due, for a reason
// that the person is told (GDPR art. 12(3)). The law of Brazil knows none of it.
func Extend(tx *store.Tx, b brand.Brand, id, userID uuid.UUID, reason string) (Request, error) {
	r, err := lock(tx, b, id)
	if err != nil {
		return r, err
	}
	if strings.TrimSpace(reason) == "" {
		return r, problem.InvalidField("reason", "problem.field.required")
	}
	if !Extendable(b, r, tx.Now()) {
		return r, problem.New(problem.Conflict, "privacy.not-extendable")
	}
	now := tx.Now()
	r.DueAt, r.ExtendedAt, r.WarnedAt = months(r.DueAt, 2), &now, nil
	if _, err := tx.Run("UPDATE requests SET due_at = ?, extended_at = ?, warned_at = NULL WHERE id = ? AND brand_id = ?", r.DueAt, r.ExtendedAt, r.ID, b.ID); err != nil {
		return r, fmt.Errorf("extend a request: %w", err)
	}
	return r, act(tx, r, Extended, &userID, reason)
}

// Write notes something about a request: what was done, or what was said.
func Write(tx *store.Tx, b brand.Brand, id uuid.UUID, what string, userID *uuid.UUID, text string) (Request, error) {
	r, err := lock(tx, b, id)
	if err != nil {
		return r, err
	}
	if what == Noted && strings.TrimSpace(text) == "" {
		return r, problem.InvalidField("text", "problem.field.required")
	}
	return r, act(tx, r, what, userID, text)
}

// Close ends a request. A closed one is problem.Conflict. Who is refused is told
// why (GDPR art. 12(4)).
func Close(tx *store.Tx, b brand.Brand, id uuid.UUID, outcome string, userID *uuid.UUID, answer string) (Request, error) {
	r, err := lock(tx, b, id)
	if err != nil {
		return r, err
	}
	if !slices.Contains([]string{Done, Refused, Withdrawn}, outcome) {
		return r, problem.InvalidField("outcome", "problem.field.choice")
	}
	if outcome == Refused && strings.TrimSpace(answer) == "" {
		return r, problem.InvalidField("answer", "privacy.refusal")
	}
	if utf8.RuneCountInString(answer) > textMax {
		return r, problem.InvalidField("answer", "problem.field.too-long", "Max", textMax)
	}
	if r.ClosedAt != nil {
		return r, problem.New(problem.Conflict, "privacy.closed")
	}
	if outcome == Done {
		if err := r.wasDone(tx); err != nil {
			return r, err
		}
	}
	return r.close(tx, b, outcome, userID, answer)
}

// wasDone refuses to say that it was done where nothing was: an erasure ends with
// erasing, which closes it by itself, and access with their data handed over.
func (r Request) wasDone(tx *store.Tx) error {
	switch r.Kind {
	case Erasure:
		return problem.InvalidField("outcome", "privacy.not-erased")
	case Access, Portability:
		var n int64
		if err := tx.Raw("SELECT count(*) FROM request_acts WHERE request_id = ? AND what = ?", r.ID, Exported).Scan(&n).Error; err != nil {
			return fmt.Errorf("look what was done: %w", err)
		}
		if n == 0 {
			return problem.InvalidField("outcome", "privacy.not-exported")
		}
	}
	return nil
}

func (r Request) close(tx *store.Tx, b brand.Brand, outcome string, userID *uuid.UUID, text string) (Request, error) {
	now := tx.Now()
	r.ClosedAt, r.Outcome = &now, outcome
	if _, err := tx.Run("UPDATE requests SET closed_at = ?, outcome = ? WHERE id = ? AND brand_id = ?", r.ClosedAt, r.Outcome, r.ID, b.ID); err != nil {
		return r, fmt.Errorf("close a request: %w", err)
	}
	if err := act(tx, r, Closed, userID, text); err != nil {
		return r, err
	}
	return r, r.tell(tx, b, consent.RequestClosed, userID)
}

// closeErased ends what somebody has asked for who is about to be erased.
func closeErased(tx *store.Tx, b brand.Brand, id uuid.UUID, method string) error {
	var open []Request
	if err := tx.Where("subscriber_id = ? AND brand_id = ? AND closed_at IS NULL", id, b.ID).Order("id").Find(&open).Error; err != nil {
		return fmt.Errorf("look for open requests: %w", err)
	}
	for _, r := range open {
		outcome := Withdrawn
		if r.Kind == Erasure {
			outcome = Done
		}
		if _, err := r.close(tx, b, outcome, nil, ""); err != nil {
			return err
		}
	}
	return nil
}

func eraseRequests(tx *store.Tx, id uuid.UUID) error {
	_, err := tx.Run("UPDATE request_acts SET sealed = NULL WHERE request_id IN (SELECT id FROM requests WHERE subscriber_id = ?)", id)
	if err != nil {
		return fmt.Errorf("erase what was written about requests: %w", err)
	}
	return nil
}

// tell writes into the ledger that a request was opened or closed.
func (r Request) tell(tx *store.Tx, b brand.Brand, kind string, userID *uuid.UUID) error {
	method, entity := consent.MethodPreferences, consent.EntitySubject
	if userID != nil || r.Way != WayPreferences {
		method, entity = consent.MethodOperator, consent.EntityOperator
	}
	evidence := map[string]any{"request": r.ID.String(), "way": r.Way}
	if userID != nil {
		evidence["user"] = userID.String()
	}
	_, err := consent.RecordChange(tx, consent.Change{Brand: b, Subscriber: r.SubscriberID, Kind: kind, Fields: []string{r.Kind}, Method: method, Entity: entity, Evidence: evidence})
	return err
}

// object has the person left out of mail, scoring and segments (GDPR art. 21).
func object(tx *store.Tx, b brand.Brand, r Request, userID *uuid.UUID) error {
	method := consent.MethodPreferences
	if r.Way != WayPreferences {
		method = consent.MethodOperator
	}
	if err := consent.Object(tx, b, r.SubscriberID, method, map[string]any{"request": r.ID.String()}); err != nil {
		return err
	}
	return act(tx, r, Objected, userID, "")
}

func act(tx *store.Tx, r Request, what string, userID *uuid.UUID, text string) error {
	a := Act{ID: tx.NewID(), RequestID: r.ID, At: tx.Now(), What: what, UserID: userID}
	if text = strings.TrimSpace(text); text != "" {
		if utf8.RuneCountInString(text) > 2*textMax {
			return problem.InvalidField("text", "problem.field.too-long", "Max", textMax)
		}
		var err error
		if a.Sealed, err = subscriber.Seal(tx, r.SubscriberID, []byte(text)); err != nil {
			return err
		}
	}
	if err := tx.Create(&a).Error; err != nil {
		return fmt.Errorf("note what was done about a request: %w", err)
	}
	return nil
}

// Find reads a request of the brand.
func Find(tx *store.Tx, brandID, id uuid.UUID) (Request, error) { return one(tx, "", brandID, id) }

func lock(tx *store.Tx, b brand.Brand, id uuid.UUID) (Request, error) {
	return one(tx, tx.ForUpdate(), b.ID, id)
}

func one(tx *store.Tx, lock string, brandID, id uuid.UUID) (Request, error) {
	var rows []Request
	if err := tx.Raw("SELECT * FROM requests WHERE brand_id = ? AND id = ?"+lock, brandID, id).Scan(&rows).Error; err != nil {
		return Request{}, fmt.Errorf("read a request: %w", err)
	}
	if len(rows) == 0 {
		return Request{}, problem.New(problem.NotFound, "privacy.request-unknown")
	}
	return rows[0].utc(), nil
}

func (r Request) utc() Request {
	in := func(t *time.Time) *time.Time {
		if t == nil {
			return nil
		}
		u := t.UTC()
		return &u
	}
	r.OpenedAt, r.DueAt, r.ExtendedAt, r.WarnedAt, r.ClosedAt = r.OpenedAt.UTC(), r.DueAt.UTC(), in(r.ExtendedAt), in(r.WarnedAt), in(r.ClosedAt)
	return r
}

// Place is where a page of requests begins: after this one.
type Place struct {
	At time.Time
	ID uuid.UUID
}

// ListOpen gives the open requests, what is due first first, those after a place,
// at most limit, by requests_open.
func ListOpen(tx *store.Tx, brandID uuid.UUID, after Place, limit int) ([]Request, error) {
	return list(tx, "brand_id = ? AND closed_at IS NULL AND (due_at, id) > (?, ?)", "due_at, id", limit, brandID, after.At, after.ID)
}

// ListClosed gives those that are closed, the newest first, those before one.
func ListClosed(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]Request, error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	return list(tx, "brand_id = ? AND closed_at IS NOT NULL AND id < ?", "id DESC", limit, brandID, before)
}

// Of are the requests of somebody, the newest first.
func Of(tx *store.Tx, brandID, subscriberID uuid.UUID) ([]Request, error) {
	return list(tx, "brand_id = ? AND subscriber_id = ?", "id DESC", 100, brandID, subscriberID)
}

func list(tx *store.Tx, where, order string, limit int, args ...any) (all []Request, err error) {
	if err := tx.Where(where, args...).Order(order).Limit(limit).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	for i := range all {
		all[i] = all[i].utc()
	}
	return all, nil
}

// Acts are what was done about a request, in order.
func Acts(tx *store.Tx, r Request) ([]Act, error) {
	var all []Act
	if err := tx.Where("request_id = ?", r.ID).Order("id").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("read what was done about a request: %w", err)
	}
	for i, a := range all {
		all[i].At = a.At.UTC()
		if a.Sealed == nil {
			continue
		}
		plain, err := subscriber.Open(tx, r.SubscriberID, a.Sealed)
		if err != nil && !problem.Is(err, problem.Gone) {
			return nil, err
		}
		all[i].Text = string(plain)
	}
	return all, nil
}

// Soon is how long before its end the owners are told of a request.
const Soon = 5 * 24 * time.Hour

// Waiting counts the open requests of a brand that are due soon, and those that
// are overdue already.
func Waiting(tx *store.Tx, brandID uuid.UUID) (soon, overdue int64, err error) {
	var n struct{ Soon, Overdue int64 }
	err = tx.Raw(`SELECT count(*) AS soon, coalesce(sum(CASE WHEN due_at < ? THEN 1 ELSE 0 END), 0) AS overdue FROM requests
		WHERE brand_id = ? AND closed_at IS NULL AND due_at < ?`, tx.Now(), brandID, tx.Now().Add(Soon)).Scan(&n).Error
	if err != nil {
		return 0, 0, fmt.Errorf("count requests: %w", err)
	}
	return n.Soon - n.Overdue, n.Overdue, nil
}

// WarnDue has tell called once for each open request that is due soon, at most
// limit of them, and gives how many there were.
func WarnDue(tx *store.Tx, limit int, tell func(*store.Tx, Request) error) (int, error) {
	var all []Request
	err := tx.Raw("SELECT * FROM requests WHERE closed_at IS NULL AND warned_at IS NULL AND due_at < ? ORDER BY due_at LIMIT ?"+tx.SkipLocked(), tx.Now().Add(Soon), limit).Scan(&all).Error
	if err != nil {
		return 0, fmt.Errorf("look for requests that are due: %w", err)
	}
	for _, r := range all {
		if err := tell(tx, r.utc()); err != nil {
			return 0, err
		}
		if _, err := tx.Run("UPDATE requests SET warned_at = ? WHERE id = ?", tx.Now(), r.ID); err != nil {
			return 0, fmt.Errorf("note that the owners were told: %w", err)
		}
	}
	return len(all), nil
}

// brazilian: the country's law holds in its states too.
func brazilian(b brand.Brand) bool {
	country, _, _ := strings.Cut(b.Jurisdiction, "-")
	return strings.EqualFold(country, "BR")
}
