// Package receipt is what a person holds of a consent, and a brand of many: what
// was said, in which words, how it is known, and the proof that the log has it.
//
// A receipt is made from the ledger whenever it is asked for and never stored, so
// it is there for every event there ever was, also after everything was taken
// back. It opens what the leaf commits to, salt and all, so whoever holds it can
// have it checked by anybody. Once the person is erased it says only what the log
// says, for nothing else is left.
//
// A receipt is made to be shown to others. So nothing in it lets its holder act
// for the person, but for taking the permission back; and the brand's own copy
// has not even that.
package receipt

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/ledger"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

// Receipt is one event of the ledger with all that belongs to it.
type Receipt struct {
	Brand      brand.Brand
	Subscriber subscriber.Subscriber
	Topic      consent.Topic
	Event      consent.Event
	Entity     string          // who acted: one of consent's Entity constants
	Wording    string          // the exact words; empty: none were ever shown
	Said       consent.Event   // whose words they are: the event's, or of one before
	Evidence   *consent.Proof  // nil once it was destroyed at the person's wish
	Proof      *ledger.Proof   // nil: the log has not shown the event yet
	Record     []consent.Event // all of the person and topic, oldest first
	At         time.Time       // when the receipt was made
	Staff      bool            // the brand's copy: no address in it acts for the person
}

// Of reads the receipt of an event, whoever's it is: its id comes from a signed
// link. An event that is not there is problem.NotFound.
func Of(tx *store.Tx, event uuid.UUID) (Receipt, error) {
	e, err := consent.EventOf(tx, event)
	if err != nil {
		return Receipt{}, err
	}
	b, err := brand.Find(tx, e.BrandID)
	if err != nil {
		return Receipt{}, err
	}
	s, err := subscriber.Find(tx, b.ID, e.SubscriberID)
	if err != nil {
		return Receipt{}, err
	}
	history, err := consent.History(tx, b.ID, s.ID)
	if err != nil {
		return Receipt{}, err
	}
	return read(tx, b, s, e, history)
}

// ForStaff reads the brand's copy of the receipt of a person's event; what is
// another person's or another brand's is problem.NotFound.
func ForStaff(tx *store.Tx, b brand.Brand, person, event uuid.UUID) (Receipt, error) {
	e, err := consent.FindEvent(tx, b.ID, event)
	if err != nil {
		return Receipt{}, err
	}
	if e.SubscriberID != person {
		return Receipt{}, problem.New(problem.NotFound, "link.unknown")
	}
	r, err := Of(tx, event)
	r.Staff = true
	return r, err
}

// OfPerson reads the brand's copies of all receipts of a person, oldest first;
// another brand's is problem.NotFound.
func OfPerson(tx *store.Tx, b brand.Brand, person uuid.UUID) ([]Receipt, error) {
	s, err := subscriber.Find(tx, b.ID, person)
	if err != nil {
		return nil, err
	}
	history, err := consent.History(tx, b.ID, s.ID)
	if err != nil {
		return nil, err
	}
	all := make([]Receipt, len(history))
	for i, e := range history {
		if all[i], err = read(tx, b, s, e, history); err != nil {
			return nil, err
		}
		all[i].Staff = true
	}
	return all, nil
}

func read(tx *store.Tx, b brand.Brand, s subscriber.Subscriber, e consent.Event, history []consent.Event) (r Receipt, err error) {
	r = Receipt{Brand: b, Subscriber: s, Event: e, Said: e, At: tx.Now()}
	before := map[uuid.UUID]consent.Event{}
	for _, x := range history {
		if x.TopicID == e.TopicID {
			r.Record, before[x.ID] = append(r.Record, x), x
		}
	}
	if r.Topic, err = consent.FindTopic(tx, b.ID, e.TopicID); err != nil {
		return r, err
	}
	if r.Entity, err = e.Entity(); err != nil {
		return r, err
	}
	for r.Said.WordingHash == nil && r.Said.PreviousID != nil {
		r.Said = before[*r.Said.PreviousID]
	}
	if r.Wording, err = consent.WordingOf(tx, r.Said); err != nil {
		return r, err
	}
	opened, err := consent.EvidenceOf(tx, e.ID)
	if err == nil {
		r.Evidence = &opened
	} else if !problem.Is(err, problem.Gone) {
		return r, err
	}
	p, err := ledger.Prove(tx, e.ID)
	switch {
	case err == nil:
		r.Proof = &p
	case problem.Is(err, problem.Unavailable), problem.Is(err, problem.NotFound): // not yet, or no log yet
	default:
		return r, err
	}
	return r, nil
}

// Erased reports that the person has gone: only the log's own words are left.
func (r Receipt) Erased() bool { return r.Subscriber.ErasedAt != nil || r.Evidence == nil }

// Later are the events that came after the receipt's.
func (r Receipt) Later() []consent.Event {
	for i, e := range r.Record {
		if e.ID == r.Event.ID {
			return r.Record[i+1:]
		}
	}
	return nil
}

// Open reports whether there is something to take back now: the newest event of
// the record permits, or asks, and the person is still there.
func (r Receipt) Open() bool {
	if r.Erased() || len(r.Record) == 0 {
		return false
	}
	last := r.Record[len(r.Record)-1]
	return last.State == consent.Requested || r.Stands()
}

// Stands reports whether the record permits now.
func (r Receipt) Stands() bool {
	if len(r.Record) == 0 || r.Subscriber.ErasedAt != nil {
		return false
	}
	last := r.Record[len(r.Record)-1]
	return consent.InForce(last.State) && (last.ValidUntil == nil || last.ValidUntil.After(r.At))
}

// ID is the receipt's own name, in the shape that Kantara asks for: a UUID of
// version 4. Its random bits are the SHA-256 of a fixed text and the event's id,
// so a receipt that is fetched again is the same one.
func (r Receipt) ID() uuid.UUID {
	sum := sha256.Sum256(append([]byte("assent consent receipt\n"), r.Event.ID[:]...))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// Text is a value of the evidence that is text; empty where there is none.
func (r Receipt) Text(name string) string {
	if r.Evidence == nil {
		return ""
	}
	s, _ := r.Evidence.Evidence[name].(string)
	return s
}

// stated tells that the evidence is what others say of it: the service has seen
// none of it itself, whatever names it goes by.
func (r Receipt) stated() bool { return r.Entity == consent.EntityOperator }

// Time is a value of the evidence that is a time; zero where there is none.
func (r Receipt) Time(name string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, r.Text(name))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// Delay is how long the question of a double opt-in waited for its answer.
func (r Receipt) Delay() time.Duration {
	if r.Evidence == nil {
		return 0
	}
	s, _ := r.Evidence.Evidence["delay_s"].(float64)
	return time.Duration(s * float64(time.Second))
}

// Mark says what a receipt has to admit, as a word: "" for a yes that the person
// confirmed from their own mailbox; "single" for one that nobody confirmed;
// "paper", "import" and "operator" for what others wrote down; "implied" for what
// no yes stands behind; "" for what is no permission.
func (r Receipt) Mark() string {
	if !consent.InForce(r.Event.State) {
		return ""
	}
	switch {
	case r.Event.Basis == consent.BasisImpliedPurchase || r.Event.Basis == consent.BasisImpliedInquiry || r.Event.Basis == "soft-opt-in":
		return "implied"
	case r.Event.Method == consent.MethodImport:
		return "import"
	case r.Event.Method == "paper" || r.Event.Method == "phone":
		return "paper"
	case r.Entity != consent.EntitySubject:
		return "operator"
	case r.Event.Method == consent.MethodForm || r.Event.Method == "single-opt-in":
		return "single"
	}
	return ""
}
