package mailauth

import "strings"

// Record is a DNS record to publish.
type Record struct {
	Name  string // absolute, without the dot at the end
	Type  string // TXT, MX, PTR
	Value string // of a TXT record: its strings put together
}

// stringMax is what one string of a TXT record holds (RFC 1035 §3.3.14).
const stringMax = 255

// Strings is the value of a TXT record in pieces that DNS can hold.
func (r Record) Strings() []string {
	all, rest := []string{}, r.Value
	for len(rest) > stringMax {
		all, rest = append(all, rest[:stringMax]), rest[stringMax:]
	}
	return append(all, rest)
}

// Zone is the record as a line of a zone file (RFC 1035 §5.1), its strings of
// at most 255 characters each, as name servers and many providers' pages want
// them.
func (r Record) Zone() string {
	var b strings.Builder
	b.WriteString(r.Name + ". IN " + r.Type + " ")
	if r.Type != "TXT" {
		b.WriteString(r.Value)
		return b.String()
	}
	for i, s := range r.Strings() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`)
	}
	return b.String()
}
