package admin

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/consent"
	"assent/internal/delivery"
	"assent/internal/store"
)

// A kind is of what sends mail: campaigns, sequences and offers. All are listed
// alike, the newest first, and moved on by the buttons of their page.
type kind[T any] struct {
	name    string   // "campaign": the pages are at /campaigns, the words at admin.campaign
	help    string   // place in the help
	columns []string // words of those after the name and the state; "#" before is a number
	some    func(tx *store.Tx, brandID, before uuid.UUID, limit int) ([]T, error)
	of      func(T) item
	cells   func(d *desk, tx *store.Tx, found []T) (func(T) []Cell, error)
	draw    func(d *desk, id uuid.UUID, status int, fault string) error
}

// item is what every kind has.
type item struct {
	ID, Topic uuid.UUID
	Name, Tag string
	State     string
}

// stateTones are the colours of the states: what runs or is sent was allowed,
// what is on the way or paused waits.
var stateTones = map[string]string{"scheduled": "ask", "freezing": "ask", "sending": "ask", "sent": "yes", "cancelled": "no", "running": "yes", "paused": "ask", "ended": "no"}

// Line is one thing in a list.
type Line struct {
	Name, URL   string
	Topic, Tag  string
	State, Tone string
	Cells       []Cell
}

// Cell is what stands in one of the last columns.
type Cell struct {
	Text, Under string
	Soft        bool
}

// Column is the head of cells.
type Column struct {
	Label string
	Num   bool
}

// List is the page admin/list: the newest first.
type List struct {
	Frame
	Title, Text, None string
	Help              string // address
	Name, State       string // heads of the first two columns
	Columns           []Column
	Lines             []Line
	Make              string // what the button says that begins a new one
	New               string // address; empty: the visitor may not
	First, Next       string
}

// linesAtOnce is how many stand on a page of a list.
const linesAtOnce = 25

func (k kind[T]) path(id uuid.UUID) string { return "/" + k.name + "s/" + id.String() }

func (k kind[T]) list(d *desk) error {
	before, _ := uuid.Parse(d.c.QueryParam("before"))
	words, path := "admin."+k.name, "/"+k.name+"s"
	page := List{Frame: d.frame(k.name + "s"), Title: d.l.T(words + "s.title"), Text: d.l.T(words + "s.text"), None: d.l.T(words + "s.none"), Make: d.l.T(words + ".new"),
		Name: d.l.T(words + ".field.name"), State: d.l.T(words + ".state")}
	page.Help = page.HelpAt(k.help)
	for _, column := range k.columns {
		key, num := strings.CutPrefix(column, "#")
		page.Columns = append(page.Columns, Column{d.l.T(words + "." + key), num})
	}
	err := d.read(func(tx *store.Tx) error {
		found, err := k.some(tx, d.brand.ID, before, linesAtOnce+1)
		if err != nil {
			return err
		}
		if len(found) > linesAtOnce {
			found = found[:linesAtOnce]
			page.Next = d.to(path, "before", k.of(found[linesAtOnce-1]).ID.String())
		}
		topics, err := consent.AllTopics(tx, d.brand.ID)
		if err != nil {
			return err
		}
		cells, err := k.cells(d, tx, found)
		if err != nil {
			return err
		}
		for _, one := range found {
			of := k.of(one)
			page.Lines = append(page.Lines, Line{Name: of.Name, URL: d.to(k.path(of.ID)), Topic: topicName(d, topics, of.Topic), Tag: of.Tag,
				State: d.l.T(words + ".state." + of.State), Tone: stateTones[of.State], Cells: cells(one)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != uuid.Nil {
		page.First = d.to(path)
	}
	if d.may(account.Marketer) {
		page.New = d.to(path + "/new")
	}
	return d.draw("list", page)
}

// ofID is what is done with the thing that the address names.
func ofID(do func(d *desk, id uuid.UUID) error) func(*desk) error {
	return func(d *desk) error {
		id, err := d.id("id")
		if err != nil {
			return err
		}
		return do(d, id)
	}
}

func (k kind[T]) show() func(*desk) error {
	return ofID(func(d *desk, id uuid.UUID) error { return k.draw(d, id, http.StatusOK, "") })
}

// live tells the page of a thing that it is out of date.
func live[V any](read func(d *desk, id uuid.UUID) (V, error)) func(*desk) error {
	return ofID(func(d *desk, id uuid.UUID) error {
		return d.watch(func(now *desk) (string, error) {
			shown, err := read(now, id)
			return fingerprintOf(shown), err
		})
	})
}

// Act is a button that does something with what its page shows.
type Act struct {
	ID, Label, To, Tone, Ask string
	Sheet                    Sheet
}

// buttons are what may be done with a thing now. Each form's mark is that of the
// state it was shown in: sent twice it is done once, and the page of a thing that
// only counts on stays as it is.
type buttons struct {
	d                 *desk
	kind, path, state string
	id                uuid.UUID
	all               []Act
}

func (k kind[T]) buttons(d *desk, id uuid.UUID, state string) *buttons {
	return &buttons{d: d, kind: k.name, path: k.path(id), state: state, id: id}
}

// add adds a button; more tells its form from that of another moment in the same state.
func (b *buttons) add(what, tone, ask string, more ...string) {
	to := b.d.to(b.path + "/" + what)
	seed := what + b.id.String() + b.state + strings.Join(more, "")
	b.all = append(b.all, Act{ID: "act-" + what, Label: b.d.l.T("admin." + b.kind + ".do." + what), To: to, Tone: tone, Ask: ask,
		Sheet: Sheet{Action: to, Page: strings.Split(to, "?")[0], Version: b.state, Once: uuid.NewSHA1(b.d.User.ID, []byte(seed))}})
}

// move is what a button does that takes a thing from state to state.
func (k kind[T]) move(what string, do func(tx *store.Tx, brandID, id uuid.UUID) (T, error)) func(*desk) error {
	return ofID(func(d *desk, id uuid.UUID) error {
		return k.change(d, id, what, func(tx *store.Tx, _ *Sheet) (done, error) {
			moved, err := do(tx, d.brand.ID, id)
			return done{detail: map[string]any{"name": k.of(moved).Name}}, err
		})
	})
}

// change does something with a thing, and goes on to its page; what cannot be
// done is told there.
func (k kind[T]) change(d *desk, id uuid.UUID, what string, do func(tx *store.Tx, form *Sheet) (done, error)) error {
	err := d.change(k.name+"."+what, func(tx *store.Tx, form *Sheet) (done, error) {
		came, err := do(tx, form)
		if came.subject == uuid.Nil {
			came.subject, came.next = id, k.path(id)
		}
		return came, err
	})
	return d.redraw(err, func(status int, s Sheet) error {
		fault := s.Fault
		for _, f := range s.Faults {
			fault = f.Text
		}
		return k.draw(d, id, status, fault)
	})
}

// goOn lets go on what a person stopped, or, where it runs, a circuit breaker;
// one that nothing stopped is refused.
func goOn[T any](find func(tx *store.Tx, brandID, id uuid.UUID) (T, error), runs func(T) bool, resume func(tx *store.Tx, brandID, id uuid.UUID) (T, error), refused error) func(*store.Tx, uuid.UUID, uuid.UUID) (T, error) {
	return func(tx *store.Tx, brandID, id uuid.UUID) (T, error) {
		one, err := find(tx, brandID, id)
		if err != nil {
			return one, err
		}
		if !runs(one) {
			return resume(tx, brandID, id)
		}
		stream, err := delivery.FindStream(tx, brandID, id)
		if err == nil && stream.PausedAt == nil {
			err = refused
		}
		if err != nil {
			return one, err
		}
		return one, delivery.ResumeStream(tx, brandID, id)
	}
}
