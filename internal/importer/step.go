package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/consent"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/subscriber"
)

const (
	actsAtOnce = 4000            // permissions of one transaction, at most
	atAStretch = 4 * time.Minute // then others of the line have their turn
)

// Work is the handler of JobKind: it reads an import on until it is done or
// stopped. It may be killed at any point and called again, by any number of
// workers at once: they take turns.
func Work(ctx context.Context, db *store.DB, key string) (next *time.Time, err error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return nil, fmt.Errorf("read the key of an import's work: %w", err)
	}
	for began := time.Now(); ; {
		again := false
		err := db.Write(ctx, func(tx *store.Tx) (err error) { again, err = step(tx, id); return err })
		if err != nil || !again {
			return nil, err
		}
		if time.Since(began) > atAStretch {
			now := db.Now()
			return &now, nil
		}
	}
}

// step does some rows, and leaves its place with them.
func step(tx *store.Tx, id uuid.UUID) (again bool, err error) {
	i, err := one(tx, tx.ForUpdate(), id)
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	if err != nil || !i.Works() {
		return false, err
	}
	r, err := newReader(tx, i)
	if err != nil {
		return false, err
	}
	if i.State == Releasing {
		return r.release(tx)
	}
	return r.readSome(tx)
}

func newReader(tx *store.Tx, i Import) (*reader, error) {
	b, err := brand.Find(tx, i.BrandID)
	if err != nil {
		return nil, err
	}
	r := &reader{Import: i, brand: b, now: tx.Now()}
	for _, id := range i.Plan.Topics {
		t, err := consent.FindTopic(tx, b.ID, id)
		if err != nil {
			return nil, err
		}
		r.topics = append(r.topics, t)
	}
	return r, nil
}

// atOnce is how many rows one transaction takes.
func (r *reader) atOnce() int { return max(1, actsAtOnce/max(2, len(r.topics))) }

// readSome reads the next rows of the file.
func (r *reader) readSome(tx *store.Tx) (again bool, err error) {
	t := newTable(r.open(tx), r.Separator[0])
	var entries []*entry
	var refusals []*Refusal
	line, over := r.Line, false
	for n := 0; len(entries)+len(refusals) < r.atOnce() && n < 10*r.atOnce(); n++ { // empty rows count, too
		cells, fault, err := t.next()
		if over = errors.Is(err, io.EOF); over {
			break
		}
		if err != nil {
			return false, err
		}
		line++
		switch {
		case line == 1 && r.Plan.Header || fault == "" && empty(cells):
		case fault != "":
			refusals = append(refusals, r.refuse(line, -1, "", fault))
		default:
			e, f := r.read(line, cells)
			if f != nil {
				refusals = append(refusals, f)
			} else {
				entries = append(entries, e)
			}
		}
	}
	n := Counts{RowsRead: int64(len(entries) + len(refusals)), Unread: int64(len(refusals)), Refused: int64(len(refusals))}
	did, err := r.take(tx, entries, &refusals)
	if err != nil {
		return false, err
	}
	n.add(did)
	if err := report(tx, r.ID, refusals); err != nil {
		return false, err
	}
	if err := count(tx, r.ID, n, r.Place+t.offset, line); err != nil || !over {
		return err == nil, err
	}
	return false, finish(tx, r.ID)
}

// count adds to what came of the rows, and leaves the place in the file.
func count(tx *store.Tx, id uuid.UUID, n Counts, place, line int64) error {
	_, err := tx.Run(`UPDATE imports SET rows_read = rows_read + ?, fresh = fresh + ?, known = known + ?, unread = unread + ?, recorded = recorded + ?,
		allowed = allowed + ?, left_before = left_before + ?, waiting = waiting + ?, dropped = dropped + ?, refused = refused + ?, place = ?, line = ?, updated_at = ? WHERE id = ?`,
		n.RowsRead, n.Fresh, n.Known, n.Unread, n.Recorded, n.Allowed, n.LeftBefore, n.Waiting, n.Dropped, n.Refused, place, line, tx.Now(), id)
	if err != nil {
		return fmt.Errorf("count what came of an import: %w", err)
	}
	return nil
}

// take does rows: of each address first the one that shows most, then what is
// left of the rows, which finds the person as that one left them.
func (r *reader) take(tx *store.Tx, all []*entry, refusals *[]*Refusal) (n Counts, err error) {
	first := make(map[string]*entry, len(all))
	for _, e := range all {
		normal := e.person.Address.Normal
		if f := first[normal]; f == nil || !r.shows(f) && r.shows(e) {
			first[normal] = e
		}
	}
	turns := [2][]*entry{make([]*entry, 0, len(first)), nil}
	for _, e := range all {
		at := 0
		if first[e.person.Address.Normal] != e {
			at = 1
		}
		turns[at] = append(turns[at], e)
	}
	for _, turn := range turns {
		if len(turn) == 0 {
			continue
		}
		did, err := r.turn(tx, turn, refusals)
		if err != nil {
			return n, err
		}
		n.add(did)
	}
	return n, nil
}

// shows: the row has all that shows a permission.
func (r *reader) shows(e *entry) bool { return e.evidence.or(r.Plan.Evidence).lacks() == "" }

// turn judges rows, and does what is to be done.
func (r *reader) turn(tx *store.Tx, all []*entry, refusals *[]*Refusal) (n Counts, err error) {
	before, err := r.look(tx, all)
	if err != nil {
		return n, err
	}
	var granted, allowed, waiting []*entry
	for i, e := range all {
		if e.known.ID == uuid.Nil {
			n.Fresh++
		} else {
			n.Known++
		}
		inForce, left := false, ""
		for t, topic := range r.topics {
			switch b := before[i][t]; {
			case b.InForce:
				inForce = true
			case b.Left != "":
				left = b.Left
			case e.stillValid(topic, r.now):
				e.open = append(e.open, topic)
			}
		}
		switch {
		case len(e.open) > 0 && r.shows(e):
			granted = append(granted, e)
		case len(e.open) > 0:
			waiting = append(waiting, e)
		case inForce:
			allowed = append(allowed, e)
		default:
			n.LeftBefore++
			*refusals = append(*refusals, r.left(e, left))
		}
	}
	n.Waiting += int64(len(waiting))
	if err := r.keepWaiting(tx, waiting); err != nil {
		return n, err
	}
	n.Allowed += int64(len(allowed))
	if err := r.fill(tx, allowed); err != nil {
		return n, err
	}
	did, err := r.grant(tx, granted, refusals)
	n.add(did)
	return n, err
}

func (r *reader) left(e *entry, why string) *Refusal {
	f := r.refuse(e.line, r.column(Email), e.person.Address.Typed, why)
	f.Left = true
	return f
}

// look finds who is known, and what they said before.
func (r *reader) look(tx *store.Tx, all []*entry) ([][]consent.Before, error) {
	hashes, who := make([][]byte, len(all)), make([]subscriber.Subscriber, len(all))
	hash, err := r.brand.AddressHasher(tx)
	if err != nil {
		return nil, err
	}
	for i, e := range all {
		e.hash = hash(e.person.Address.Normal)
		hashes[i], e.open = e.hash, nil
	}
	known, err := subscriber.ByHashes(tx, r.brand.ID, hashes)
	if err != nil {
		return nil, err
	}
	for i, e := range all {
		if e.known = known[string(e.hash)]; e.known.ID == uuid.Nil {
			e.known.AddressHash = e.hash
		}
		who[i] = e.known
	}
	return consent.BeforeAll(tx, r.brand, r.topics, who)
}

var errAgain = errors.New("some rows were refused")

// grant brings people in with their permissions. What was true a moment ago may
// not be any more: where some are refused, what was begun is undone, and the
// others are done anew.
func (r *reader) grant(tx *store.Tx, all []*entry, refusals *[]*Refusal) (n Counts, err error) {
	for len(all) > 0 {
		var kept []*entry
		err := tx.Attempt(func() (err error) {
			var refused map[*entry]error
			if refused, err = r.try(tx, all); err != nil {
				return err
			}
			kept = kept[:0]
			for _, e := range all {
				why, is := refused[e]
				if !is {
					kept = append(kept, e)
					continue
				}
				r.tell(e, why, &n, refusals)
			}
			if len(refused) > 0 {
				return errAgain
			}
			return nil
		})
		if err == nil {
			n.Recorded += int64(len(all))
			return n, nil
		}
		if !errors.Is(err, errAgain) {
			return n, err
		}
		all = kept
	}
	return n, nil
}

// tell counts a row that was refused when it was done.
func (r *reader) tell(e *entry, why error, n *Counts, refusals *[]*Refusal) {
	p, _ := problem.Of(why)
	if p.Key == "consent.left-before" {
		n.LeftBefore++
		*refusals = append(*refusals, r.left(e, fmt.Sprint(p.Args[1])))
		return
	}
	n.Refused++
	*refusals = append(*refusals, r.refuse(e.line, -1, e.person.Address.Typed, p.Key, p.Args...))
}

// try does rows; refused says which may not be.
func (r *reader) try(tx *store.Tx, all []*entry) (refused map[*entry]error, err error) {
	refused = map[*entry]error{}
	people := make([]subscriber.New, len(all))
	for i, e := range all {
		people[i] = e.person
	}
	done, err := subscriber.EnsureAll(tx, r.brand, people)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(all))
	var met []*entry
	for i, e := range all {
		if done[i].Refused != nil {
			refused[e] = done[i].Refused
			continue
		}
		ids[i] = done[i].ID
		if !done[i].Fresh {
			e.known = done[i].Subscriber
			met = append(met, e)
		}
	}
	if len(refused) > 0 {
		return refused, nil
	}
	if err := r.fillIn(tx, met); err != nil {
		return nil, err
	}
	if err := r.tag(tx, all, ids); err != nil {
		return nil, err
	}
	return refused, r.state(tx, all, ids, refused)
}

// state records the permissions.
func (r *reader) state(tx *store.Tx, all []*entry, ids []uuid.UUID, refused map[*entry]error) error {
	acts := make([]consent.Act, 0, len(all)*len(r.topics))
	of := make([]*entry, 0, cap(acts))
	for i, e := range all {
		for _, t := range e.open {
			acts, of = append(acts, r.act(e, ids[i], t)), append(of, e)
		}
	}
	_, wrong, err := consent.GrantAll(tx, acts)
	if err != nil {
		return err
	}
	for i, why := range wrong {
		if why != nil && refused[of[i]] == nil {
			refused[of[i]] = why
		}
	}
	return nil
}

// act is what a row says of a topic. The day that it was said on is evidence;
// the entry in the ledger is of now, and lasts as long as the topic's permissions
// do from that day on.
func (r *reader) act(e *entry, id uuid.UUID, t consent.Topic) consent.Act {
	said := e.evidence.or(r.Plan.Evidence)
	evidence := map[string]any{"import": r.ID.String(), "row": e.line, "given_on": said.Day, "source": said.Source}
	if r.Name != "" {
		evidence["file"] = r.Name
	}
	if r.UserID != nil {
		evidence["user"] = r.UserID.String()
	}
	act := consent.Act{Brand: r.brand, Subscriber: id, Topic: t, State: consent.Given, Basis: said.Basis, Method: consent.MethodImport,
		Language: said.Language, Wording: said.Words, ValidUntil: e.until[t.ID], Entity: consent.EntityOperator, Evidence: evidence}
	if day, err := r.begins(said.Day); err == nil {
		if day.After(r.now) { // today, of a zone whose day begins later
			day = r.now
		}
		act.SaidAt = &day
	}
	if said.Basis == consent.BasisSoftOptIn {
		act.Sale = &consent.Sale{Ref: said.SaleRef, Product: said.Product}
		if act.SaidAt != nil {
			act.Sale.Offered = *act.SaidAt
		}
	}
	return act
}

// fill is for who allows everything already: what was not known of them is
// known now, and nothing else changes.
func (r *reader) fill(tx *store.Tx, all []*entry) error {
	if err := r.fillIn(tx, all); err != nil {
		return err
	}
	ids := make([]uuid.UUID, len(all))
	for i, e := range all {
		ids[i] = e.known.ID
	}
	return r.tag(tx, all, ids)
}

// fillIn gives people what they lack; an old list does not overwrite what is
// known by now.
func (r *reader) fillIn(tx *store.Tx, all []*entry) error {
	var ids []uuid.UUID
	var changes []subscriber.Change
	given := map[string]bool{} // by rows before: a person may be there several times
	for _, e := range all {
		c, id := subscriber.Change{Attributes: map[string]any{}}, e.known.ID.String()
		if e.known.Name == "" && e.person.Name != "" && !given[id] {
			c.Name, given[id] = &e.person.Name, true
		}
		for _, name := range slices.Sorted(maps.Keys(e.person.Attributes)) {
			if _, has := e.known.Attributes[name]; !has && !given[id+name] {
				c.Attributes[name], given[id+name] = e.person.Attributes[name], true
			}
		}
		if c.Name != nil || len(c.Attributes) > 0 {
			ids, changes = append(ids, e.known.ID), append(changes, c)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := subscriber.UpdateAll(tx, r.brand, ids, changes)
	return err
}

func (r *reader) tag(tx *store.Tx, all []*entry, ids []uuid.UUID) error {
	var tagged []uuid.UUID
	var tags [][]string
	for i, e := range all {
		if len(e.tags) > 0 {
			tagged, tags = append(tagged, ids[i]), append(tags, e.tags)
		}
	}
	if len(tagged) == 0 {
		return nil
	}
	_, err := subscriber.TagAll(tx, r.brand.ID, tagged, tags)
	return err
}
