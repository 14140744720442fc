package link

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"

	"assent/internal/problem"

	"github.com/google/uuid"
)

// Kind is what a token is for; a token of one kind is unknown to every other.
// The numbers are in mails that lie in mailboxes for years: none is ever given
// to something else.
type Kind byte

// The kinds of tokens.
const (
	Confirm       Kind = 1  // a double opt-in request: its id
	Leave         Kind = 2  // one-click and visible unsubscribe: a message
	Preferences   Kind = 3  // the preference page: brand, subscriber
	Why           Kind = 4  // "why did I get this?": a message
	View          Kind = 5  // view in browser: a message
	Pixel         Kind = 6  // an open: a message
	Click         Kind = 7  // a link of a mail: a message and the link's number
	FormToken     Kind = 8  // a form as it was shown: what the form's room puts in
	Receipt       Kind = 9  // a consent receipt: the event's id
	AddressChange Kind = 10 // a change of address to be confirmed: the request's id
	Invite        Kind = 11 // an invitation by a friend: its id
	Keep          Kind = 16 // a question whether a permission stands: its id

	AnonymousPixel Kind = 20 // the image that all mails of a campaign share: the campaign
	AnonymousClick Kind = 21 // a link that they share: the campaign, the text and its language, and the link's number
)

const (
	macSize  = 16  // 128 bits: 2⁶⁴ tries at one a nanosecond are 585 years
	tokenMax = 512 // characters; longer input is not looked at
	idSize   = len(uuid.UUID{})
)

// encoding refuses non-zero trailing bits, so a token has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// unknown is all that a bad token learns, whatever was wrong with it.
func unknown() error { return problem.New(problem.NotFound, "link.unknown") }

// Sign makes the token of a payload: base64url without padding of payload and
// MAC. The payload is readable by whoever holds the token. A payload of more
// than 368 bytes makes a token that Verify refuses for its length.
func (r *Ring) Sign(kind Kind, payload []byte) string {
	raw := make([]byte, 0, 96)
	raw = append(raw, payload...)
	return encoding.EncodeToString(r.keys[0].sum(raw, kind, payload))
}

// Verify gives a token's payload when any key of the ring signed it for the
// kind, and problem.NotFound "link.unknown" otherwise. The MACs are compared in
// constant time.
func (r *Ring) Verify(kind Kind, token string) ([]byte, error) {
	if len(token) > tokenMax || strings.ContainsAny(token, "\r\n") { // the decoder would skip line ends
		return nil, unknown()
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < macSize {
		return nil, unknown()
	}
	payload, mac := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	ok := false
	for _, k := range r.keys {
		var want [macSize]byte
		if hmac.Equal(mac, k.sum(want[:0], kind, payload)) {
			ok = true
		}
	}
	if !ok {
		return nil, unknown()
	}
	return payload, nil
}

// SignIDs makes a token of ids in a row.
func (r *Ring) SignIDs(kind Kind, ids ...uuid.UUID) string {
	payload := make([]byte, 0, 4*idSize)
	for _, id := range ids {
		payload = append(payload, id[:]...)
	}
	return r.Sign(kind, payload)
}

// ReadIDs gives the n ids of a token of SignIDs.
func (r *Ring) ReadIDs(kind Kind, token string, n int) ([]uuid.UUID, error) {
	payload, err := r.Verify(kind, token)
	if err != nil {
		return nil, err
	}
	if len(payload) != n*idSize {
		return nil, unknown()
	}
	ids := make([]uuid.UUID, n)
	for i := range ids {
		copy(ids[i][:], payload[i*idSize:])
	}
	return ids, nil
}

// Message names one mail to one person. Messages are partitioned by source, so
// the source is part of the name: a look-up touches one partition.
type Message struct{ Source, ID uuid.UUID }

func (r *Ring) readID(kind Kind, token string) (uuid.UUID, error) {
	ids, err := r.ReadIDs(kind, token, 1)
	if err != nil {
		return uuid.Nil, err
	}
	return ids[0], nil
}

func (r *Ring) readMessage(kind Kind, token string) (Message, error) {
	ids, err := r.ReadIDs(kind, token, 2)
	if err != nil {
		return Message{}, err
	}
	return Message{Source: ids[0], ID: ids[1]}, nil
}

// ReadConfirm gives the double opt-in request of a confirm token.
func (r *Ring) ReadConfirm(token string) (uuid.UUID, error) { return r.readID(Confirm, token) }

// ReadKeep gives the question of a token of Keep.
func (r *Ring) ReadKeep(token string) (uuid.UUID, error) { return r.readID(Keep, token) }

// ReadReceipt gives the consent event of a receipt token.
func (r *Ring) ReadReceipt(token string) (uuid.UUID, error) { return r.readID(Receipt, token) }

// ReadAddressChange gives the request of a change-of-address token.
func (r *Ring) ReadAddressChange(token string) (uuid.UUID, error) {
	return r.readID(AddressChange, token)
}

// ReadLeave gives the message of an unsubscribe token.
func (r *Ring) ReadLeave(token string) (Message, error) { return r.readMessage(Leave, token) }

// ReadWhy gives the message of a why token.
func (r *Ring) ReadWhy(token string) (Message, error) { return r.readMessage(Why, token) }

// ReadView gives the message of a view-in-browser token.
func (r *Ring) ReadView(token string) (Message, error) { return r.readMessage(View, token) }

// ReadPixel gives the message of a pixel token.
func (r *Ring) ReadPixel(token string) (Message, error) { return r.readMessage(Pixel, token) }

// ReadPreferences gives brand and subscriber of a preference-page token.
func (r *Ring) ReadPreferences(token string) (brand, subscriber uuid.UUID, err error) {
	ids, err := r.ReadIDs(Preferences, token, 2)
	if err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	return ids[0], ids[1], nil
}

// ReadClick gives the message of a click token and the number of the link in it.
func (r *Ring) ReadClick(token string) (Message, int, error) {
	payload, err := r.Verify(Click, token)
	if err != nil {
		return Message{}, 0, err
	}
	if len(payload) <= 2*idSize {
		return Message{}, 0, unknown()
	}
	n, used := binary.Uvarint(payload[2*idSize:])
	if used != len(payload)-2*idSize || n > math.MaxInt32 {
		return Message{}, 0, unknown()
	}
	m := Message{}
	copy(m.Source[:], payload)
	copy(m.ID[:], payload[idSize:])
	return m, int(n), nil
}

// signClick appends the link's number as a varint, so the common one costs a byte.
func (r *Ring) signClick(m Message, n int) string {
	payload := make([]byte, 0, 2*idSize+binary.MaxVarintLen64)
	payload = append(payload, m.Source[:]...)
	payload = append(payload, m.ID[:]...)
	return r.Sign(Click, binary.AppendUvarint(payload, uint64(n)))
}

// Shared names a link that all mails of a campaign in one language have: it
// says nothing of whom it was sent to.
type Shared struct {
	Stream, Content uuid.UUID
	Language        string
	N               int
}

// ReadAnonymousPixel gives the campaign of a shared pixel.
func (r *Ring) ReadAnonymousPixel(token string) (stream uuid.UUID, err error) {
	return r.readID(AnonymousPixel, token)
}

// ReadAnonymousClick gives what a shared link names.
func (r *Ring) ReadAnonymousClick(token string) (Shared, error) {
	payload, err := r.Verify(AnonymousClick, token)
	if err != nil {
		return Shared{}, err
	}
	if len(payload) < 2*idSize+1 {
		return Shared{}, unknown()
	}
	rest := payload[2*idSize:]
	n, used := binary.Uvarint(rest)
	if used <= 0 || n > math.MaxInt32 {
		return Shared{}, unknown()
	}
	s := Shared{Language: string(rest[used:]), N: int(n)}
	copy(s.Stream[:], payload)
	copy(s.Content[:], payload[idSize:])
	return s, nil
}

func (r *Ring) signShared(s Shared) string {
	payload := make([]byte, 0, 2*idSize+binary.MaxVarintLen64+len(s.Language))
	payload = append(append(payload, s.Stream[:]...), s.Content[:]...)
	payload = binary.AppendUvarint(payload, uint64(s.N))
	return r.Sign(AnonymousClick, append(payload, s.Language...))
}

// ReadForm gives the form of a form page's address. Forms are public, so their
// ids stand in the address as they are, in the one canonical spelling.
func ReadForm(id string) (uuid.UUID, error) {
	form, err := uuid.Parse(id)
	if err != nil || form.String() != id {
		return uuid.Nil, unknown()
	}
	return form, nil
}
