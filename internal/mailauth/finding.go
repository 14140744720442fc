package mailauth

// State is how well a part is.
type State string

// The states, from well to ill. Unknown is when the DNS or a server did not
// answer: that part may be well.
const (
	OK      State = "ok"
	Unknown State = "unknown"
	Warning State = "warning"
	Missing State = "missing"
	Wrong   State = "wrong"
)

// Part is what a finding is about.
type Part string

// The parts.
const (
	SPF   Part = "spf"
	DKIM  Part = "dkim"
	DMARC Part = "dmarc"
	MX    Part = "mx"
	PTR   Part = "ptr"
	TLS   Part = "tls"
)

// Finding is what was seen at one part.
type Finding struct {
	Part   Part
	State  State
	Key    string   // of the catalogue: what was seen; Key.fix: what to do, where anything is
	Args   []any    // name, value, name, value… for both texts
	Found  []string // records as they stand in the DNS, or what a server said
	Record *Record  // to publish, as far as it is known
}

// as completes a finding. What is well, or could not be seen, asks for nothing to be published.
func (f Finding) as(s State, key string) Finding {
	f.State, f.Key = s, key
	if s == OK || s == Unknown {
		f.Record = nil
	}
	return f
}
