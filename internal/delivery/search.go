package delivery

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"assent/internal/store"
)

// Wanted narrows a search; zero fields do not.
type Wanted struct {
	Stream, Source, Subscriber uuid.UUID
	State                      State // Queued takes what is claimed in
	Kind                       Kind
	Before                     uuid.UUID // look at what is older than this id
}

const (
	searchFirst = 16    // rows of one stream that are read at first, and twice as many each time,
	searchChunk = 500   // up to so many
	searchMost  = 5_000 // rows that are looked at, until a page is given as it is
)

// Search gives up to limit of a brand's messages, newest first. next is where
// the search goes on, uuid.Nil where there is nothing more. Of a search that
// finds little, a page may be short, or empty, and next be there all the same:
// then searchMost messages were looked at, back to the one that next names.
//
// No index tells states or brands apart, for a message that is settled would
// have to be moved in it. So the brand's streams are read side by side by
// messages_stream, each a chunk at a time, and what is not wanted is passed
// over; the cost is one look at that index for each stream of the brand, and
// what is looked at. A source is read by its key, a person by messages_person.
func Search(tx *store.Tx, brandID uuid.UUID, q Wanted, limit int) (found []Message, next uuid.UUID, err error) {
	if q.Before == uuid.Nil {
		q.Before = uuid.Max
	}
	lanes, err := searchLanes(tx, brandID, q)
	if err != nil {
		return nil, uuid.Nil, err
	}
	var hits []searched
	last := uuid.Nil
	for looked := 0; len(hits) < limit && looked < searchMost; looked++ {
		one, ok, err := newest(tx, brandID, lanes)
		if err != nil {
			return nil, uuid.Nil, err
		}
		if !ok {
			last = uuid.Nil
			break
		}
		last = one.ID
		if (q.State == "" || one.State == q.State) && (q.Kind == "" || one.Kind == q.Kind) {
			hits = append(hits, one)
		}
	}
	found, err = readHits(tx, brandID, hits)
	return found, last, err
}

// searched is what a search reads of a message.
type searched struct {
	ID, SourceID uuid.UUID
	State        State
	Kind         Kind
}

// searchLane is a range of an index that is read from its newest row on.
type searchLane struct {
	column string
	key    uuid.UUID
	before uuid.UUID
	head   uuid.UUID // its newest row that was not looked at
	rows   []searched
	chunk  int // rows that were read last
	over   bool
}

// searchLanes are the ranges that hold what is wanted.
func searchLanes(tx *store.Tx, brandID uuid.UUID, q Wanted) (all []*searchLane, err error) {
	for _, by := range []struct {
		column string
		key    uuid.UUID
	}{{"subscriber_id", q.Subscriber}, {"source_id", q.Source}, {"stream_id", q.Stream}} {
		if by.key != uuid.Nil {
			return []*searchLane{{column: by.column, key: by.key, before: q.Before, head: q.Before}}, nil
		}
	}
	var heads []struct{ ID, Head uuid.NullUUID }
	err = tx.Raw(`SELECT st.id, (SELECT m.id FROM messages m WHERE m.stream_id = st.id AND m.id < ? ORDER BY m.id DESC LIMIT 1) AS head
		FROM streams st WHERE st.brand_id = ?`, q.Before, brandID).Scan(&heads).Error
	if err != nil {
		return nil, fmt.Errorf("look for the newest messages: %w", err)
	}
	for _, h := range heads {
		if h.Head.Valid {
			all = append(all, &searchLane{column: "stream_id", key: h.ID.UUID, before: q.Before, head: h.Head.UUID})
		}
	}
	return all, nil
}

// newest takes the newest row of all lanes.
func newest(tx *store.Tx, brandID uuid.UUID, lanes []*searchLane) (one searched, ok bool, err error) {
	for {
		var first *searchLane
		for _, l := range lanes {
			if !l.over && (first == nil || bytes.Compare(l.head[:], first.head[:]) > 0) {
				first = l
			}
		}
		if first == nil {
			return one, false, nil
		}
		if len(first.rows) == 0 {
			if err := first.read(tx, brandID); err != nil {
				return one, false, err
			}
			continue
		}
		one, first.rows = first.rows[0], first.rows[1:]
		first.before, first.head = one.ID, one.ID
		if len(first.rows) > 0 {
			first.head = first.rows[0].ID
		}
		return one, true, nil
	}
}

// read reads the next chunk. Until it is known what is next in a lane, its head
// is that of the row before, which no other lane's newest comes between unseen.
func (l *searchLane) read(tx *store.Tx, brandID uuid.UUID) error {
	l.chunk = min(max(searchFirst, 2*l.chunk), searchChunk)
	err := tx.Raw("SELECT id, source_id, state, kind FROM messages WHERE "+l.column+" = ? AND brand_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
		l.key, brandID, l.before, l.chunk).Scan(&l.rows).Error
	if err != nil {
		return fmt.Errorf("look for messages: %w", err)
	}
	if len(l.rows) == 0 {
		l.over = true
		return nil
	}
	l.head = l.rows[0].ID
	return nil
}

// readHits reads the messages of a page by their key, in the order of the hits.
func readHits(tx *store.Tx, brandID uuid.UUID, hits []searched) ([]Message, error) {
	if len(hits) == 0 {
		return nil, nil
	}
	at := map[uuid.UUID]int{}
	var sources, ids []uuid.UUID
	for i, h := range hits {
		at[h.ID] = i
		ids = append(ids, h.ID)
		if !slices.Contains(sources, h.SourceID) {
			sources = append(sources, h.SourceID)
		}
	}
	var found []Message
	err := tx.Where("source_id IN (?) AND id IN (?) AND brand_id = ?", sources, ids, brandID).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	slices.SortFunc(found, func(a, b Message) int { return at[a.ID] - at[b.ID] })
	return found, sayClaimed(tx, found)
}
