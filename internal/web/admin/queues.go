package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"assent/internal/account"
	"assent/internal/delivery"
	"assent/internal/i18n"
	"assent/internal/jobs"
	"assent/internal/problem"
	"assent/internal/store"
)

func queueActions() []action {
	return []action{
		look("/queues", account.Owner, queues),
		behind(http.MethodGet, "/queues/live", account.Owner, queuesLive),
		act("/queues/nodes/:id/lost", account.Owner, loseNode),
	}
}

// lanes are the kinds of work that never end: they are due all the time, and
// what waits for them are mails.
var lanes = []string{"deliver-confirm", "deliver-service", "deliver-bulk", "sequences"}

const (
	nodesSince = 30 * 24 * time.Hour // nodes that were not heard of for longer are not shown
	tooLate    = time.Minute         // work that is due for longer is late
)

// houseWork is what is counted for the page: the brand's mails on the way, and
// to who owns every brand the work and the nodes that all share.
type houseWork struct {
	Queues []queueNumbers
	Jobs   []jobs.Standing
	Nodes  []delivery.Post
}

// JobLine is how one kind of work stands.
type JobLine struct {
	Name                        string
	Lane                        bool
	Due, Running, Later, Failed int64
	Late                        bool
	Said                        string
	Again                       *time.Time
}

// NodeLine is a process that sends.
type NodeLine struct {
	Host, ID    string
	State, Tone string
	Text        string
	Since       time.Time
	InHand      int64
	Lost        string // address; empty: it cannot be declared lost
	Ask         string
	Once        uuid.UUID
}

// Queues is the page admin/queues.
type Queues struct {
	Frame
	Live       string
	Lead, More string
	Tone       string
	Fault      string
	Queues     []Queue
	Whole      bool // the visitor owns every brand: they see what these share
	Jobs       []JobLine
	Nodes      []NodeLine
}

// work counts what the visitor may see.
func (d *desk) work() (w houseWork, err error) {
	key := d.brand.ID
	if d.all {
		key = uuid.NewSHA1(key, []byte("whole"))
	}
	return d.h.houses.of(key, func() (w houseWork, err error) {
		err = d.read(func(tx *store.Tx) error {
			if w.Queues, err = countQueues(tx, d.brand.ID); err != nil || !d.all {
				return err
			}
			if w.Jobs, err = jobs.Standings(tx); err != nil {
				return err
			}
			w.Nodes, err = delivery.Posts(tx, nodesSince)
			return err
		})
		return w, err
	})
}

func queues(d *desk) error { return d.drawQueues(http.StatusOK, "") }

func (d *desk) drawQueues(status int, fault string) error {
	w, err := d.work()
	if err != nil {
		return err
	}
	now := d.h.DB.Now()
	page := Queues{Frame: d.frame("queues"), Fault: fault, Whole: d.all, Live: d.to("/queues/live", "seen", w.fingerprint(now)), Queues: queueLines(d.l, w.Queues, now)}
	for _, j := range w.Jobs {
		page.Jobs = append(page.Jobs, d.jobLine(j, now))
	}
	for _, n := range w.Nodes {
		page.Nodes = append(page.Nodes, d.nodeLine(n))
	}
	d.queuesLead(w, &page, now)
	return d.drawAs(status, "queues", page)
}

// queuesLead is the answer: whether anything stands still that should not.
func (d *desk) queuesLead(w houseWork, page *Queues, now time.Time) {
	var waiting int64
	var oldest time.Duration
	for i, q := range w.Queues {
		waiting += q.Waiting
		oldest = max(oldest, page.Queues[i].Oldest)
	}
	page.Lead, page.Tone = d.l.T("admin.queues.lead.nothing"), "yes"
	if waiting > 0 {
		page.Lead, page.Tone = d.l.N("admin.queues.lead.waiting", waiting, "Age", d.ago(oldest)), "ask"
	}
	if !d.all {
		page.More = d.l.T("admin.queues.more.own")
		return
	}
	failing := int64(0)
	for _, j := range w.Jobs {
		failing += j.Failing
	}
	alive := slices.ContainsFunc(w.Nodes, delivery.Post.Alive)
	switch {
	case !alive:
		page.More, page.Tone = d.l.T("admin.queues.more.nobody"), "no"
	case failing > 0:
		page.More, page.Tone = d.l.N("admin.queues.more.failing", failing), "no"
	default:
		page.More = d.l.T("admin.queues.more.well")
	}
}

// ago is a length of time in the largest unit that fits.
func (d *desk) ago(t time.Duration) string { return ago(d.l, t) }

func ago(l *i18n.Localizer, t time.Duration) string {
	switch {
	case t >= 48*time.Hour:
		return l.N("admin.queues.days", int64(t/(24*time.Hour)))
	case t >= 2*time.Hour:
		return l.N("admin.queues.hours", int64(t/time.Hour))
	case t >= 2*time.Minute:
		return l.N("admin.queues.minutes", int64(t/time.Minute))
	}
	return l.N("admin.queues.seconds", int64(t/time.Second))
}

func (d *desk) jobLine(j jobs.Standing, now time.Time) JobLine {
	line := JobLine{Name: d.word("admin.queues.kind.", j.Kind), Lane: slices.Contains(lanes, j.Kind), Due: j.Due, Running: j.Running, Later: j.Later, Failed: j.Failing, Said: j.Said, Again: j.Again}
	line.Late = !line.Lane && j.Oldest != nil && now.Sub(*j.Oldest) > tooLate
	return line
}

// nodeState is alive, silent or lost.
func nodeState(n delivery.Post) string {
	switch {
	case n.LostAt != nil:
		return "lost"
	case n.Alive():
		return "alive"
	}
	return "silent"
}

func (d *desk) nodeLine(n delivery.Post) NodeLine {
	state := nodeState(n)
	line := NodeLine{Host: n.Host, ID: n.ID.String(), State: d.l.T("admin.queues.node." + state), Tone: map[string]string{"alive": "yes", "silent": "ask", "lost": "no"}[state],
		Since: n.StartedAt.UTC(), InHand: n.InHand, Text: d.l.T("admin.queues.node-text."+state, "Age", d.ago(n.Silent))}
	if state == "silent" {
		line.Lost, line.Once = d.to("/queues/nodes/"+line.ID+"/lost"), store.NewID(d.h.DB.Now())
		line.Ask = d.l.N("admin.queues.ask-lost", n.InHand, "Host", n.Host)
	}
	return line
}

// fingerprint names what is shown: while it stays, so does the page. How long
// something has waited is part of it only as to whether that is too long.
func (w houseWork) fingerprint(now time.Time) string {
	type work struct {
		jobs.Standing
		Late bool
	}
	type node struct {
		ID     uuid.UUID
		State  string
		InHand int64
	}
	shown := struct {
		Queues []queueNumbers
		Jobs   []work
		Nodes  []node
	}{Queues: w.Queues}
	for _, j := range w.Jobs {
		late := j.Oldest != nil && now.Sub(*j.Oldest) > tooLate
		if j.Oldest = nil; slices.Contains(lanes, j.Kind) {
			late = false
		}
		shown.Jobs = append(shown.Jobs, work{j, late})
	}
	for _, n := range w.Nodes {
		shown.Nodes = append(shown.Nodes, node{n.ID, nodeState(n), n.InHand})
	}
	return fingerprintOf(shown)
}

// queuesLive tells the page that it is out of date.
func queuesLive(d *desk) error {
	return d.watch(func(now *desk) (string, error) {
		w, err := now.work()
		return w.fingerprint(now.h.DB.Now()), err
	})
}

// loseNode declares a process lost. The mails in its hands are of every brand,
// so it is for who owns them all; to others there are no processes here.
func loseNode(d *desk) error {
	id, err := d.id("id")
	if err != nil {
		return err
	}
	if !d.all {
		return problem.New(problem.NotFound, "delivery.node-unknown")
	}
	err = d.change("node.lost", func(tx *store.Tx, _ *Sheet) (done, error) {
		posts, err := delivery.Posts(tx, nodesSince)
		if err != nil {
			return done{}, err
		}
		i := slices.IndexFunc(posts, func(p delivery.Post) bool { return p.ID == id })
		if i >= 0 && posts[i].Alive() {
			return done{}, problem.New(problem.Conflict, "admin.queues.lives")
		}
		n, err := delivery.DeclareLost(tx, id)
		return done{subject: id, next: "/queues", detail: map[string]any{"messages": n}}, err
	})
	return d.redraw(err, func(status int, s Sheet) error { return d.drawQueues(status, s.Fault) })
}
