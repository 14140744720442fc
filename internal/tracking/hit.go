// Package tracking records opens and clicks, of people who allowed it.
//
// It promises: a hit that was answered is on disk; nothing is recorded without
// a permission in force at that moment for opens, or for clicks, whatever the
// mail carries; a link leads where it was stored to lead and nowhere else, with
// or without permission; machines are labelled with the reason and never
// dropped, so that raw and human figures stand side by side.
//
// Hits are committed in groups: while one group is on its way to the disk the
// next one gathers, so a lone hit waits for nothing and a crowd shares its
// commits. When the database is away, callers get problem.Unavailable and
// nothing is pretended.
package tracking

import (
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Kind is what was done with a mail.
type Kind string

// The kinds of hits.
const (
	Open  Kind = "open"  // its pixel was loaded
	Click Kind = "click" // one of its links was followed
)

// Hit is one recorded open or click.
type Hit struct {
	ID           uuid.UUID
	At           time.Time
	BrandID      uuid.UUID
	SubscriberID uuid.UUID
	SourceID     uuid.UUID
	MessageID    uuid.UUID
	Kind         Kind
	Link         int    // which link of the content; 0 for an open
	UserAgent    string // at most 400 bytes
	Network      string // of NetworkOf
	Machine      string // why it is taken for a machine, reasons joined by commas; empty: a person
}

const agentMax = 400 // bytes kept of a user agent

// NetworkOf is as much of an address as is kept: the /24 of IPv4, the /48 of
// IPv6, and nothing for what is no address.
func NetworkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}

// cleanAgent makes a header fit to be stored: text, without NUL, not too long.
func cleanAgent(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > agentMax {
		s = s[:agentMax]
	}
	return strings.ToValidUTF8(s, "")
}
