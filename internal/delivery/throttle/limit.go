package throttle

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"assent/internal/delivery/provider"
	"assent/internal/delivery/route"
)

// Limit is what so many mails may pass in a time.
type Limit struct {
	Key  string  // its kind, a slash, and what it is about; see the makers below
	Rate float64 // mails a second, at full pace

	covered bool // it holds nothing back before it was slowed, for another limit of the same mails is as strict
}

// burst is how many mails may leave at once after a rest: those of two seconds,
// and one in any case.
func (l Limit) burst() float64 { return max(1, 2*l.Rate) }

// unbounded is the pace of a destination without limit: more than we can send,
// and yet a pace that can be halved when it asks for that.
const unbounded = 100_000

// Brand is the pace that a brand's people set; ok is false where they set none.
func Brand(id uuid.UUID, perHour int) (l Limit, ok bool) {
	return Limit{Key: "brand/" + id.String(), Rate: float64(perHour) / 3600}, perHour > 0
}

// Stream is the pace of one campaign, sequence or offer.
func Stream(id uuid.UUID, perHour int) (l Limit, ok bool) {
	return Limit{Key: "stream/" + id.String(), Rate: float64(perHour) / 3600}, perHour > 0
}

// Group is what a destination bears of all brands together.
func Group(r route.Route) Limit {
	return Limit{Key: "group/" + r.Group, Rate: paceOf(r)}
}

// Sender is what a destination bears of one brand: as much as of all, until it
// complains of that one. It goes with Group, and before it.
func Sender(brand uuid.UUID, r route.Route) Limit {
	return Limit{Key: "sender/" + brand.String() + "/" + r.Group, Rate: paceOf(r), covered: true}
}

func paceOf(r route.Route) float64 {
	if r.PerSecond > 0 {
		return r.PerSecond
	}
	return unbounded
}

// Relay is what a relay takes, at host:port; ok is false where nothing is said of it.
func Relay(addr string, perSecond float64) (l Limit, ok bool) {
	return Limit{Key: "relay/" + addr, Rate: perSecond}, perSecond > 0
}

// WarmUp is the pace of a sender that is not known yet: a brand's id or an
// address. ok is false when it is warm, or never was to be warmed up.
func WarmUp(who string, w provider.WarmUp, began *time.Time, now time.Time) (l Limit, ok bool) {
	if began == nil {
		return Limit{}, false
	}
	day, warm := w.At(*began, now)
	return Limit{Key: "warm-up/" + who, Rate: float64(day.PerHour) / 3600}, !warm
}

// call is one question to the script: wants, and their limits, each once.
type call struct {
	wants  []Want
	limits []Limit
	which  [][]int // of each want
}

// newCall takes as many of the wants as one question holds, at least one.
func newCall(wants []Want) *call {
	c := &call{}
	at := map[string]int{}
	for _, w := range wants {
		if len(c.wants) > 0 && len(c.limits)+len(w.Limits) > mostKeys {
			break
		}
		var which []int
		for _, l := range w.Limits {
			i, there := at[l.Key]
			if !there {
				i = len(c.limits)
				at[l.Key], c.limits = i, append(c.limits, l)
			}
			which = append(which, i)
		}
		c.wants, c.which = append(c.wants, w), append(c.which, which)
	}
	return c
}

func (c *call) keys() []string {
	keys := make([]string, 0, len(c.limits)+1)
	for _, l := range c.limits {
		keys = append(keys, tag+l.Key)
	}
	return append(keys, indexKey)
}

// args is the call as take.lua reads it.
func (c *call) args(drained map[string]bool) []any {
	args := make([]any, 0, 2+3*len(c.limits)+6*len(c.wants))
	args = append(args, len(c.limits))
	for _, l := range c.limits {
		flags := 0
		if drained[l.Key] {
			flags |= 1
		}
		if l.covered {
			flags |= 2
		}
		args = append(args, strconv.FormatFloat(l.Rate, 'f', 9, 64), strconv.FormatFloat(l.burst(), 'f', 6, 64), flags)
	}
	args = append(args, len(c.wants))
	for i, w := range c.wants {
		args = append(args, w.N, w.kind(), len(c.which[i]))
		for _, l := range c.which[i] {
			args = append(args, l+1)
		}
	}
	return args
}

func (w Want) kind() (bits int) {
	if w.Urgent {
		bits |= 1
	}
	if w.UpTo {
		bits |= 2
	}
	return bits
}

// grants reads what the script answers.
func (c *call) grants(numbers []int64) []Grant {
	grants := make([]Grant, len(c.wants))
	for i := range grants {
		n := numbers[5*i:]
		grants[i] = Grant{N: int(max(0, n[0])), Wait: microseconds(n[1]), Gap: microseconds(n[2]), Slowed: n[4] != 0}
		if by := n[3]; by > 0 {
			grants[i].By = c.limits[by-1].Key
		}
	}
	return grants
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
