package compose

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Signer signs mail for one domain (RFC 6376, RFC 8463). It is safe for
// concurrent use when its key is.
type Signer struct {
	Domain   string // d=, the domain of From or one above it, as an A-label
	Selector string // s=
	Key      crypto.Signer
}

// Signers sign the same mail, each for itself and in this order from the top.
// With both algorithms RSA belongs first: some receivers look at no more than
// the first signature, and not all know Ed25519.
type Signers []*Signer

// signedHeaders are covered whether they are there or not. Each that is listed
// once more than a mail has it is oversigned: a copy added on the way breaks
// the signature (RFC 6376 §8.15). Both headers of one-click must be covered
// (RFC 8058 §4).
var signedHeaders = []string{
	"From", "From", "To", "To", "Cc", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "Reply-To", "Reply-To", "Sender",
	"MIME-Version", "MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References",
	"List-Id", "List-Unsubscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe-Post", "List-Help",
	"Feedback-ID", "CFBL-Address", "CFBL-Feedback-ID", "Auto-Submitted",
}

// cover is signedHeaders made ready.
type cover struct {
	order []int          // of each in turn, its place
	lower []string       // of each in turn, its name in lower case
	place map[string]int // by name in lower case
	list  string         // the folded h= of every signature
}

var signed = newCover(signedHeaders)

func newCover(names []string) cover {
	c := cover{place: map[string]int{}}
	line := " h="
	for i, name := range names {
		lower := strings.ToLower(name)
		if _, ok := c.place[lower]; !ok {
			c.place[lower] = len(c.place)
		}
		c.order, c.lower = append(c.order, c.place[lower]), append(c.lower, lower)
		if i > 0 {
			name = ":" + name
		}
		if len(line)+len(name) > foldAt {
			c.list += line + "\r\n"
			line = " "
		}
		line += name
	}
	c.list += line + ";\r\n"
	return c
}

const foldAt = 76

// Sign gives the message with the signature before it; see [Signers.Append].
func (s *Signer) Sign(raw []byte) ([]byte, error) { return Signers{s}.Sign(raw) }

// Sign gives the message with the signatures before it; see [Signers.Append].
func (all Signers) Sign(raw []byte) ([]byte, error) {
	out, err := all.Append(make([]byte, 0, len(raw)+len(all)*fieldSize), raw)
	if err != nil {
		return nil, err
	}
	return append(out, raw...), nil
}

// fieldSize is about what a DKIM-Signature takes, RSA-2048.
const fieldSize = 1280

// Append writes after dst the DKIM-Signature fields that belong before raw, a
// whole message whose lines end with CRLF: relaxed/relaxed, SHA-256, no l=. Of
// raw nothing may be changed afterwards. The message is read once, however
// many sign. The signatures hold the time of signing (t=), the one clock in
// this package. A message without a From is refused (RFC 6376 §5.4).
func (all Signers) Append(dst, raw []byte) ([]byte, error) {
	if len(all) == 0 {
		return dst, nil
	}
	d := digests.Get().(*digest)
	defer digests.Put(d)
	if err := d.read(raw); err != nil {
		return dst, fmt.Errorf("sign for %s: %w", all[0].Domain, err)
	}
	now := time.Now().Unix()
	for _, s := range all {
		var err error
		if dst, err = s.append(dst, d, now); err != nil {
			return dst, fmt.Errorf("sign for %s: %w", s.Domain, err)
		}
	}
	return dst, nil
}

func (s *Signer) append(dst []byte, d *digest, now int64) ([]byte, error) {
	var algorithm string
	options := crypto.SignerOpts(crypto.SHA256)
	switch s.Key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = "rsa-sha256"
	case ed25519.PublicKey:
		algorithm, options = "ed25519-sha256", crypto.Hash(0) // RFC 8463 §3: PureEdDSA over the hash
	default:
		return dst, fmt.Errorf("DKIM has no signature by a %T", s.Key.Public())
	}
	if !plainName(s.Domain) || !plainName(s.Selector) {
		return dst, fmt.Errorf("the domain %q or the selector %q is no name", s.Domain, s.Selector)
	}
	begin := len(dst)
	dst = append(dst, "DKIM-Signature: v=1; a="...)
	dst = append(dst, algorithm...)
	dst = append(dst, "; c=relaxed/relaxed;\r\n d="...)
	dst = append(dst, s.Domain...)
	dst = append(dst, "; s="...)
	dst = append(dst, s.Selector...)
	dst = append(dst, ";\r\n t="...)
	dst = strconv.AppendInt(dst, now, 10)
	dst = append(dst, "; bh="...)
	dst = base64.StdEncoding.AppendEncode(dst, d.body[:])
	dst = append(dst, ";\r\n"...)
	dst = append(dst, signed.list...)
	dst = append(dst, " b="...)

	d.hash.Reset()
	d.hash.Write(d.fields)
	d.line = appendRelaxed(d.line[:0], "dkim-signature", dst[begin+len("DKIM-Signature:"):])
	d.hash.Write(d.line[:len(d.line)-len("\r\n")]) // RFC 6376 §3.7: itself without its end
	signature, err := s.Key.Sign(rand.Reader, d.hash.Sum(d.line[:0]), options)
	if err != nil {
		return dst, err
	}
	return appendFolded(dst, signature), nil
}

// plainName keeps whatever could end a tag or a line out of the field.
func plainName(s string) bool {
	for _, c := range []byte(s) {
		if c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// appendFolded writes base64 after “ b=” in lines of at most foldAt characters.
func appendFolded(dst, signature []byte) []byte {
	const most = foldAt - len(" b=")
	var buffer [1024]byte
	text := base64.StdEncoding.AppendEncode(buffer[:0], signature)
	for len(text) > most {
		dst = append(dst, text[:most]...)
		dst = append(dst, "\r\n "...)
		text = text[most:]
	}
	dst = append(dst, text...)
	return append(dst, "\r\n"...)
}

// digest is what all signatures of a message share.
type digest struct {
	body   [sha256.Size]byte
	fields []byte // the signed fields in their order, relaxed
	hash   hash.Hash
	found  []field // in the order of the message
	line   []byte
}

// field is a header field that is signed when its turn comes.
type field struct {
	place int // in signed
	value []byte
	taken bool
}

var digests = sync.Pool{New: func() any { return &digest{hash: sha256.New()} }}

var (
	errNoEnd  = errors.New("the header has no end")
	errNoFrom = errors.New("the message has no From")
)

func (d *digest) read(raw []byte) error {
	body, err := d.find(raw)
	if err != nil {
		return err
	}
	d.fields = d.fields[:0]
	for i, place := range signed.order {
		// RFC 6376 §5.4.2: of several with one name, from the bottom up.
		at := len(d.found) - 1
		for at >= 0 && (d.found[at].place != place || d.found[at].taken) {
			at--
		}
		if at < 0 {
			if i == 0 {
				return errNoFrom
			}
			continue
		}
		d.found[at].taken = true
		d.fields = appendRelaxed(d.fields, signed.lower[i], d.found[at].value)
	}
	clear(d.found) // keeps nothing of the message alive in the pool
	d.hash.Reset()
	hashRelaxed(d.hash, body)
	d.hash.Sum(d.body[:0])
	return nil
}

// find notes the fields that are signed, and gives the body.
func (d *digest) find(raw []byte) (body []byte, err error) {
	d.found = d.found[:0]
	for at := 0; ; {
		end := fieldEnd(raw, at)
		if end < 0 {
			return nil, errNoEnd
		}
		if line := bytes.TrimRight(raw[at:end], "\r\n"); len(line) == 0 {
			return raw[end:], nil
		} else if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			if place, ok := placeOf(name); ok {
				d.found = append(d.found, field{place: place, value: value})
			}
		}
		at = end
	}
}

// fieldEnd is where the field that begins at a place ends, with the lines that
// continue it; the empty line is a field of its own. It is -1 where no line ends.
func fieldEnd(raw []byte, at int) int {
	for first := at; ; {
		n := bytes.IndexByte(raw[at:], '\n')
		if n < 0 {
			return -1
		}
		empty := at == first && (n == 0 || n == 1 && raw[at] == '\r')
		at += n + 1
		if empty || at >= len(raw) || raw[at] != ' ' && raw[at] != '\t' {
			return at
		}
	}
}

// placeOf knows a field's name in any case.
func placeOf(name []byte) (int, bool) {
	var lower [32]byte
	name = bytes.TrimRight(name, " \t")
	if len(name) > len(lower) {
		return 0, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	place, ok := signed.place[string(lower[:len(name)])]
	return place, ok
}

// appendRelaxed writes a field in the form of RFC 6376 §3.4.2: unfolded, white
// space reduced to one space, and none at either end.
func appendRelaxed(dst []byte, lowerName string, value []byte) []byte {
	dst = append(dst, lowerName...)
	dst = append(dst, ':')
	begin, space := len(dst), false
	for _, c := range value {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			space = true
			continue
		}
		if space && len(dst) > begin {
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, c)
	}
	return append(dst, "\r\n"...)
}

var space, lineEnd = []byte(" "), []byte("\r\n")

// hashRelaxed writes a body in the form of RFC 6376 §3.4.4: white space reduced
// to one space, none at the end of a line, no empty lines at the end, and
// nothing at all where nothing else is there. A bare LF counts as a line end,
// as mail servers make it one. What stays as it is goes to h in one piece.
func hashRelaxed(h hash.Hash, body []byte) {
	body = bytes.TrimRight(body, " \t\r\n")
	if len(body) == 0 {
		return
	}
	from := 0
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c > ' ' {
			continue
		}
		switch c {
		case ' ', '\t':
			end := i + 1
			for body[end] == ' ' || body[end] == '\t' { // the body ends with neither
				end++
			}
			ends := body[end] == '\n' || body[end] == '\r' && body[end+1] == '\n'
			if c == ' ' && end == i+1 && !ends {
				continue
			}
			h.Write(body[from:i])
			if !ends {
				h.Write(space)
			}
			from, i = end, end-1
		case '\n':
			if i == 0 || body[i-1] != '\r' {
				h.Write(body[from:i])
				h.Write(lineEnd)
				from = i + 1
			}
		}
	}
	h.Write(body[from:])
	h.Write(lineEnd)
}

// GenerateKey makes a key for signing, as PKCS #8 in PEM: "rsa" with 2048 bits
// (RFC 8301 §3.2), which takes about half a second of one core at worst, or
// "ed25519" (RFC 8463).
func GenerateKey(algorithm string) (pemPKCS8 []byte, err error) {
	var key any
	switch algorithm {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("there is no algorithm %q", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a DKIM key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// GenerateRSA is GenerateKey("rsa").
func GenerateRSA() (pemPKCS8 []byte, err error) { return GenerateKey("rsa") }

// ParseKey reads what [GenerateKey] wrote.
func ParseKey(pemPKCS8 []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(pemPKCS8)
	if block == nil {
		return nil, errors.New("read a DKIM key: not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read a DKIM key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read a DKIM key: a %T cannot sign", key)
	}
	return signer, nil
}

// DNSRecord is the TXT record to publish at selector._domainkey.domain (RFC
// 6376 §3.6.1, RFC 8463 §4); "" for a key that DKIM does not know. It is longer
// than 255 characters for RSA: name servers want it in several strings.
func DNSRecord(pub crypto.PublicKey) string {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return ""
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	}
	return ""
}
