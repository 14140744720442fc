// Package provider knows what mailbox providers bear: how many connections and
// messages, which of their refusals ask us to slow down, and how a new sender
// is made known to them. All of it is data: configs/providers.yaml, and over it
// a file of the operator's own. See there for what the rows mean.
package provider

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TLS says whether mail may go out in clear.
type TLS string

// The ways (RFC 3207). Opportunistic encrypts where the server offers it, with
// whatever certificate it has (RFC 7435).
const (
	Required      TLS = "required"
	Opportunistic TLS = "opportunistic"
)

// Limits is what one destination bears.
type Limits struct {
	Connections   int           // at once, from all nodes together
	PerConnection int           // messages
	PerSecond     float64       // messages, over all nodes; 0 is without limit
	Idle          time.Duration // of a connection, until it is closed
	TLS           TLS
}

// Provider is who takes the mail of many domains.
type Provider struct {
	Group string
	Each  bool // each set of its MX hosts is a destination of its own
	Limits
}

// Effect is what a refusal does to the pace.
type Effect string

// The effects.
const (
	Ignore Effect = "ignore"
	Pause  Effect = "pause" // nothing goes there for Rule.For
	Slow   Effect = "slow"  // at most Rule.PerMinute for Rule.For
	Halve  Effect = "halve"
)

// Rule is what a refusal means.
type Rule struct {
	Group     string // "" is everywhere
	Effect    Effect
	Sender    bool // it is about the brand that sends, not about our address
	Times     int  // within an hour, before it counts
	PerMinute float64
	For       time.Duration

	fits *regexp.Regexp
}

// Pattern is the regular expression that the rule's refusals fit; it tells two rules apart.
func (r Rule) Pattern() string {
	if r.fits == nil {
		return ""
	}
	return r.fits.String()
}

// Table is all of it, whole and checked. It never changes.
type Table struct {
	Default Limits
	WarmUp  WarmUp

	groups   map[string]Provider
	suffixes map[string]string // MX name → group
	rules    []Rule
}

// Of finds the provider that runs an MX host. ok is false for a host of nobody
// we know; the default limits hold there.
func (t *Table) Of(host string) (p Provider, ok bool) {
	for name := strings.ToLower(strings.TrimSuffix(host, ".")); name != ""; {
		if group, known := t.suffixes[name]; known {
			return t.groups[group], true
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return Provider{Limits: t.Default}, false
}

// Groups lists the providers by name.
func (t *Table) Groups() []Provider {
	return slices.SortedFunc(maps.Values(t.groups), func(a, b Provider) int { return strings.Compare(a.Group, b.Group) })
}

// Judge says what a refusal means for the pace towards a group ("" where it is
// no provider of the table). text is the server's words, its enhanced code
// among them.
func (t *Table) Judge(group string, code int, text string) Rule {
	line := fmt.Sprintf("%d %s", code, text)
	for _, r := range t.rules {
		if (r.Group == "" || r.Group == group) && r.fits.MatchString(line) {
			return r
		}
	}
	return Rule{Effect: Ignore}
}

// WarmUp is how a sender that nobody knows may grow.
type WarmUp struct {
	PerHour []int         // mails, a row for each day
	Idle    time.Duration // silence after which it has to begin again
}

// Day is one day of a warm-up.
type Day struct {
	Number  int // 1 is the first
	Of      int
	PerHour int
}

// At tells where a warm-up that began at a time stands now; warm means that it
// is over. One that is still to begin stands at its first day.
func (w WarmUp) At(began, now time.Time) (d Day, warm bool) {
	days := max(0, int(now.Sub(began)/(24*time.Hour)))
	if days >= len(w.PerHour) {
		return Day{}, true
	}
	return Day{Number: days + 1, Of: len(w.PerHour), PerHour: w.PerHour[days]}, false
}
