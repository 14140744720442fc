// Package mailauth looks at a domain as the receivers of its mail do: who may
// send for it (SPF, RFC 7208), which keys sign for it (DKIM, RFC 6376 and 8463),
// and what it asks to be done with the rest (DMARC, RFC 9989).
//
// What it reads was written by others: no record, however hostile, makes it ask
// more than the standards allow, go round in circles, or panic. When the DNS
// does not answer, the finding is Unknown, and never “missing”.
package mailauth
