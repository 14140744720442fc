package sequence

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery"
	"assent/internal/store"
)

// Story is one version of a sequence, told step by step.
type Story struct {
	Version  int
	Joined   int64 // everybody who began with this version
	Active   int64
	Done     int64
	Left     int64
	Chapters []Chapter
}

// Chapter is a mail of a version with the waits before it, and what became of
// those who came there. Reached = Waiting + those who left + the mails, and the
// mails add up to their total.
type Chapter struct {
	Step    int // counted from 0, as it stands in the version
	Waits   []Wait
	Content uuid.UUID
	Reached int64
	Waiting int64
	Left    map[string]int64 // by reason
	Mails   delivery.Counts  // what is in the hands of a worker counts as queued
	Reasons []delivery.ReasonCount
	Opens   Seen
	Clicks  Seen
}

// Seen is of how many mails a person is known to have opened them, or followed a
// link: of those sent to somebody who allowed that to be seen.
type Seen struct{ People, Of int64 }

// Versions are those in which anybody is under way, and the newest, the newest first.
func (s Standing) Versions(newest int) []int {
	all := []int{newest}
	for i := len(s.Waiting) - 1; i >= 0; i-- {
		if v := s.Waiting[i].Version; v != all[len(all)-1] && v != newest {
			all = append(all, v)
		}
	}
	return all
}

// Tell tells the version of a sequence of the brand. A version that it does not
// have is problem.NotFound.
//
// It costs one walk through enrollments_standing, and two through the sequence's
// messages by messages_stream, joined to their enrollments where there is more
// than one version: with 200,000 people and three mails each that is seconds, so
// the caller keeps what was counted.
func Tell(tx *store.Tx, brandID, id uuid.UUID, version int) (Story, error) {
	q, err := Find(tx, brandID, id)
	if err != nil {
		return Story{}, err
	}
	todo, err := steps(tx, id, version)
	if err != nil {
		return Story{}, err
	}
	join, where, args := "", "m.stream_id = ?", []any{id}
	if q.Version > 1 { // the messages do not know their version, the enrollments do
		join = "JOIN enrollments e ON e.id = m.source_id"
		where, args = where+" AND e.sequence_id = ? AND e.version = ?", append(args, id, version)
	}
	s, at := Story{Version: version, Chapters: Chapters(todo)}, map[int]int{} // chapter by step
	for i, c := range s.Chapters {
		at[c.Step] = i
	}
	if err := s.people(tx, id, at); err != nil {
		return Story{}, err
	}
	if err := s.mails(tx, join, where, args, at); err != nil {
		return Story{}, err
	}
	return s, s.seen(tx, join, where, args, at)
}

// Chapters are the mails of a version with the waits before them, and nothing
// counted yet.
func Chapters(todo []Step) (all []Chapter) {
	var waits []Wait
	for i, step := range todo {
		if step.Wait != nil {
			waits = append(waits, *step.Wait)
			continue
		}
		all = append(all, Chapter{Step: i, Waits: waits, Content: *step.Send, Left: map[string]int64{}})
		waits = nil
	}
	return all
}

// people fills in who came where.
func (s *Story) people(tx *store.Tx, id uuid.UUID, at map[int]int) error {
	all, err := stands(tx, id)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Version != s.Version {
			continue
		}
		s.Joined += r.N
		for i := range s.Chapters {
			if c := &s.Chapters[i]; c.Step <= r.Step {
				c.Reached += r.N
			}
		}
		switch r.State {
		case active:
			s.Active += r.N
			if i, ok := at[r.Step]; ok {
				s.Chapters[i].Waiting += r.N
			}
		case done:
			s.Done += r.N
		default:
			s.Left += r.N
			if i, ok := at[r.Step]; ok {
				s.Chapters[i].Left[r.Reason] += r.N
			}
		}
	}
	return nil
}

// mails fills in what became of the mails, and of how many it may be seen
// whether they were opened.
func (s *Story) mails(tx *store.Tx, join, where string, args []any, at map[int]int) error {
	var rows []struct {
		Part          int
		State         delivery.State
		Reason        string
		N             int64
		Opens, Clicks int64
	}
	err := tx.Raw(`SELECT m.part, m.state, CASE m.state WHEN 'queued' THEN '' WHEN 'sent' THEN '' ELSE m.reason END AS reason, count(*) AS n,
			sum(CASE WHEN m.state = 'sent' AND m.tracks_opens THEN 1 ELSE 0 END) AS opens, sum(CASE WHEN m.state = 'sent' AND m.tracks_clicks THEN 1 ELSE 0 END) AS clicks
		FROM messages m `+join+` WHERE `+where+` GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3`, args...).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("count the mails of a sequence: %w", err)
	}
	for _, r := range rows {
		i, ok := at[r.Part]
		if !ok {
			continue
		}
		c := &s.Chapters[i]
		c.Mails.Add(r.State, r.N)
		c.Opens.Of, c.Clicks.Of = c.Opens.Of+r.Opens, c.Clicks.Of+r.Clicks
		if r.State != delivery.Queued && r.State != delivery.Sent {
			c.Reasons = append(c.Reasons, delivery.ReasonCount{State: r.State, Reason: r.Reason, N: r.N})
		}
	}
	return nil
}

// seen fills in how many mails people opened, or followed a link of, machines
// left out: by hits_message.
func (s *Story) seen(tx *store.Tx, join, where string, args []any, at map[int]int) error {
	var rows []struct {
		Part int
		Kind string
		N    int64
	}
	err := tx.Raw(`SELECT m.part, h.kind, count(DISTINCT m.id) AS n
		FROM messages m `+join+` JOIN hits h ON h.source_id = m.source_id AND h.message_id = m.id
		WHERE `+where+` AND m.state = 'sent' AND h.machine = ''
			AND (h.kind = 'open' AND m.tracks_opens OR h.kind = 'click' AND m.tracks_clicks) GROUP BY 1, 2`, args...).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("count what came back of a sequence: %w", err)
	}
	for _, r := range rows {
		i, ok := at[r.Part]
		switch {
		case ok && r.Kind == "open":
			s.Chapters[i].Opens.People = r.N
		case ok:
			s.Chapters[i].Clicks.People = r.N
		}
	}
	return nil
}

// Here is somebody who waits before a step.
type Here struct {
	Enrollment   uuid.UUID
	SubscriberID uuid.UUID
	Email, Name  string
	DueAt        time.Time
	Since        time.Time // they joined
}

// After is where a page of people who wait begins; zero is the beginning.
type After struct {
	Due time.Time
	ID  uuid.UUID
}

// WhoWaits lists those who wait before a step of a version of a sequence of the
// brand, who is due first first. It reads a page of enrollments_standing.
func WhoWaits(tx *store.Tx, brandID, id uuid.UUID, version, step int, after After, limit int) ([]Here, error) {
	if _, err := Find(tx, brandID, id); err != nil {
		return nil, err
	}
	where, args := "", []any{id, version, step, brandID}
	if after.ID != uuid.Nil {
		where, args = " AND (e.due_at, e.id) > (?, ?)", append(args, after.Due.UTC(), after.ID)
	}
	people := []Here{}
	err := tx.Raw(`SELECT e.id AS enrollment, e.subscriber_id, e.due_at, e.created_at AS since, s.email, s.name
		FROM enrollments e JOIN subscribers s ON s.brand_id = e.brand_id AND s.id = e.subscriber_id
		WHERE e.sequence_id = ? AND e.version = ? AND e.step = ? AND e.state = 'active' AND e.reason = '' AND e.brand_id = ?`+where+`
		ORDER BY e.due_at, e.id LIMIT ?`, append(args, limit)...).Scan(&people).Error
	if err != nil {
		return nil, fmt.Errorf("list who waits in a sequence: %w", err)
	}
	for i := range people {
		people[i].DueAt, people[i].Since = people[i].DueAt.UTC(), people[i].Since.UTC()
	}
	return people, nil
}
