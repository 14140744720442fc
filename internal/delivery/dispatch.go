package delivery

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
	"assent/internal/delivery/throttle"
)

// Reasons why a mail that may go waits.
const (
	reasonPace = "throttled" // a destination, relay or warm-up takes no more for now
	reasonBusy = "connections-busy"
)

// way is how a mail leaves: over which line, and under which limits.
type way struct {
	line   *line
	route  route.Route      // of a direct mail
	limits []throttle.Limit // of its destination; the first is the brand's own there
}

// pace is what an engine knows of speed.
type pace struct {
	throttle *throttle.Throttle
	table    *provider.Table
	warmUp   *time.Time // when the address we send from began; nil: it is known
	source   string     // that address

	mu    sync.Mutex
	rests map[uuid.UUID]time.Time // streams that have no room until then
}

// limitsOf are the limits that people set for a stream and its brand, and the
// warm-up of a brand that nobody knows. Mail that people wait for has none.
func (p *pace) limitsOf(s dueStream, now time.Time) (all []throttle.Limit) {
	if s.Queue != OriginCampaign.queue() {
		return nil
	}
	for _, of := range []func() (throttle.Limit, bool){
		func() (throttle.Limit, bool) { return throttle.Stream(s.ID, s.RatePerHour) },
		func() (throttle.Limit, bool) { return throttle.Brand(s.BrandID, s.BrandRate) },
		func() (throttle.Limit, bool) {
			return throttle.WarmUp(s.BrandID.String(), p.table.WarmUp, s.WarmUpFrom, now)
		},
	} {
		if l, ok := of(); ok {
			all = append(all, l)
		}
	}
	return all
}

// room asks for how many mails of a stream there is room now. Where there is
// none the stream rests.
func (p *pace) room(ctx context.Context, s uuid.UUID, limits []throttle.Limit) int {
	if len(limits) == 0 {
		return batch
	}
	g := p.throttle.Take(ctx, throttle.Want{Limits: limits, N: batch, UpTo: true})[0]
	if g.N == 0 {
		p.rest(s, min(max(g.Wait, 10*time.Millisecond), time.Minute))
	}
	return g.N
}

// rest leaves a stream alone for a while.
func (p *pace) rest(s uuid.UUID, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rests == nil {
		p.rests = map[uuid.UUID]time.Time{}
	}
	p.rests[s] = time.Now().Add(d)
}

// giveBack returns room that was asked for and not used.
func (p *pace) giveBack(ctx context.Context, limits []throttle.Limit, n int) {
	if len(limits) > 0 && n > 0 {
		p.throttle.Return(ctx, throttle.Want{Limits: limits, N: n})
	}
}

// resting are the streams without room, as far as is known.
func (p *pace) resting() []uuid.UUID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []uuid.UUID
	for id, until := range p.rests {
		if time.Now().After(until) {
			delete(p.rests, id)
		} else {
			all = append(all, id)
		}
	}
	return all
}

// dispatch finds each message of a bundle its way, lets through what the
// destinations take now, and gives those. The others are settled already: put
// off to when there is room, or refused where the name system says that there
// is nobody.
func (e *Engine) dispatch(ctx context.Context, b *bundle) []*claimed {
	var ready []*claimed
	if e.pool.direct == nil {
		for _, m := range b.messages {
			m.way.line = e.pool.turn()
			if l, ok := throttle.Relay(m.way.line.name, m.way.line.perSecond); ok {
				m.way.limits = []throttle.Limit{l}
			}
		}
		ready = b.messages
	} else {
		ready = e.findRoutes(ctx, b)
	}
	return e.throttle(ctx, b, ready)
}

// findRoutes looks up where direct mails go.
func (e *Engine) findRoutes(ctx context.Context, b *bundle) (found []*claimed) {
	domains := make([]string, len(b.messages))
	for i, m := range b.messages {
		domains[i] = domainOf(m.to())
	}
	routes := e.pool.direct.Finder.FindAll(ctx, domains)
	for i, m := range b.messages {
		r := routes[domains[i]]
		if r.Err != nil {
			e.nowhere(ctx, b, m, r.Err)
			continue
		}
		m.way = way{line: e.pool.toward(r.Route), route: r.Route, limits: []throttle.Limit{throttle.Sender(m.BrandID, r.Route), throttle.Group(r.Route)}}
		if l, ok := throttle.WarmUp(e.pace.source, e.pace.table.WarmUp, e.pace.warmUp, e.db.Now()); ok {
			m.way.limits = append(m.way.limits, l)
		}
		found = append(found, m)
	}
	return found
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// nowhere settles a message whose domain cannot be written to, as if a mail
// server had said so.
func (e *Engine) nowhere(ctx context.Context, b *bundle, m *claimed, err error) {
	var failure *route.Failure
	switch {
	case ctx.Err() != nil:
		e.putBack(b, m)
	case !b.take(m):
	case errors.As(err, &failure) && failure.Permanent():
		e.book.enter(outcome{m, reply{verdict: refused, code: failure.Code, text: clip(failure.Status + " " + failure.Text)}})
	case errors.As(err, &failure):
		e.book.enter(outcome{m, reply{verdict: postponed, code: failure.Code, text: clip(failure.Status + " " + failure.Text)}})
	default:
		e.book.enter(outcome{m, reply{verdict: postponed, text: clip(err.Error())}})
	}
}

// throttle asks for room at the destinations, for the whole bundle at once.
func (e *Engine) throttle(ctx context.Context, b *bundle, messages []*claimed) (ready []*claimed) {
	var wants []throttle.Want
	var lines []*line
	at := map[*line]int{}
	for _, m := range messages {
		if len(m.way.limits) == 0 {
			continue
		}
		i, ok := at[m.way.line]
		if !ok {
			i = len(wants)
			at[m.way.line] = i
			lines = append(lines, m.way.line)
			wants = append(wants, throttle.Want{Limits: m.way.limits, Urgent: b.queue != OriginCampaign.queue()})
		}
		wants[i].N++
	}
	if len(wants) == 0 {
		return messages
	}
	grants := e.pace.throttle.Take(ctx, wants...)
	for i, g := range grants {
		lines[i].slow(g.Slowed)
	}
	given, held := make([]int, len(wants)), make([]int, len(wants))
	now := e.db.Now()
	for _, m := range messages {
		i, limited := at[m.way.line]
		if !limited || len(m.way.limits) == 0 || given[i] < grants[i].N {
			if limited {
				given[i]++
			}
			ready = append(ready, m)
			continue
		}
		e.delay(b, m, now.Add(grants[i].After(held[i])), reasonPace)
		held[i]++
	}
	return ready
}

// delay puts a message off that has not begun.
func (e *Engine) delay(b *bundle, m *claimed, until time.Time, reason string) {
	if b.take(m) {
		e.book.enter(outcome{m, reply{verdict: delayed, until: until, text: reason}})
	}
}

// Held lists the limits that hold mails back, or did lately, and why.
func (e *Engine) Held(ctx context.Context) ([]throttle.Held, error) { return e.pace.throttle.Held(ctx) }

// heed obeys a refusal that asks for another pace; false: it asks for none.
func (e *Engine) heed(ctx context.Context, m *claimed, r reply) bool {
	if r.code < 400 || len(m.way.limits) < 2 { // a relay's limit is what people set
		return false
	}
	rule := e.pace.table.Judge(m.way.route.Provider, r.code, r.text)
	limit := m.way.limits[1]
	if rule.Sender {
		limit = m.way.limits[0]
	}
	if e.pace.throttle.Slow(ctx, throttle.Setback{Limit: limit, Rule: rule, Said: r.text}) {
		e.log.Info("a receiver asks for patience", "limit", limit.Key, "effect", rule.Effect, "said", r.text)
	}
	return rule.Effect != provider.Ignore
}

// lane is the senders that share the work of one handler: a crew for each line,
// so that a slow receiver's mails do not stand in the way of the others'.
type lane struct {
	engine  *Engine
	until   time.Time
	crews   map[*line]chan job
	pending atomic.Int64
}

type job struct {
	*bundle
	*claimed
}

// busyFor is how long a mail waits that found its receiver's crew with more to
// do than it can begin while the claim is young.
const busyFor = 20 * time.Second

func (e *Engine) openLane(until time.Time) *lane {
	return &lane{engine: e, until: until, crews: map[*line]chan job{}}
}

// crew is the line's, hired at its first mail.
func (l *lane) crew(to *line) chan job {
	work, ok := l.crews[to]
	if ok {
		return work
	}
	hands := l.engine.pool.size()
	room := batch
	if l.engine.pool.direct != nil {
		hands = min(hands, l.engine.pool.share(to))
		room = min(batch, 20*hands)
	}
	work = make(chan job, room)
	l.crews[to] = work
	for range hands {
		l.engine.lanes.Go(func() {
			c := courier{engine: l.engine}
			for j := range work {
				c.carry(l.engine.sending, j)
				l.pending.Add(-1)
			}
		})
	}
	return work
}

// send hands messages to the crews, and returns when most of them have begun: so
// that the next are claimed meanwhile, and not long before their turn.
func (l *lane) send(ctx context.Context, b *bundle, messages []*claimed) {
	over := time.NewTimer(time.Until(l.until))
	defer over.Stop()
	for i, m := range messages {
		work := l.crew(m.way.line)
		l.pending.Add(1)
		if l.engine.pool.direct == nil {
			select {
			case work <- job{b, m}:
				continue
			case <-ctx.Done():
			case <-over.C: // a slow server: the lane gives its place up
			}
			l.pending.Add(-1)
			for _, m := range messages[i:] {
				l.engine.putBack(b, m)
			}
			return
		}
		select {
		case work <- job{b, m}:
		default:
			l.pending.Add(-1)
			l.engine.delay(b, m, l.engine.db.Now().Add(busyFor), reasonBusy)
		}
	}
	for l.engine.pool.direct != nil && l.pending.Load() > batch && ctx.Err() == nil && time.Now().Before(l.until) {
		time.Sleep(busyWait)
	}
}

// close tells the crews that nothing more comes. They finish what they have.
func (l *lane) close() {
	for _, work := range l.crews {
		close(work)
	}
}
