package delivery

import (
	"encoding/base64"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"assent/internal/link"
	"assent/internal/store"
)

// TeamMail is a mail to somebody of the team, or who is to be: an invitation, or
// the way to a new password.
type TeamMail struct {
	Brand    uuid.UUID // in whose name it goes
	Template string    // a system mail of package compose
	To       string
	Language string
	Data     map[string]any
	Link     string // whoever has it, may; it is stored sealed and stands nowhere but in the mail
}

const (
	sealedLink = "sealed_link"
	linkLabel  = "link of a mail to the team"
)

// WriteToTeam queues the mail. It goes before bulk mail, and for an hour.
func WriteToTeam(tx *store.Tx, m TeamMail) error {
	stream, err := BrandStream(tx, m.Brand, OriginTest)
	if err != nil {
		return err
	}
	source := tx.NewID()
	sealed, err := tx.Ring().Seal(linkLabel, []byte(m.Link), source[:])
	if err != nil {
		return fmt.Errorf("seal the link of a mail: %w", err)
	}
	data := maps.Clone(m.Data)
	if data == nil {
		data = map[string]any{}
	}
	data[sealedLink] = base64.StdEncoding.EncodeToString(sealed)
	_, _, err = Queue(tx, Draft{Source: source, Stream: stream, Brand: m.Brand, Kind: Test, Template: m.Template,
		Language: m.Language, Recipient: m.To, Data: data, Due: tx.Now()})
	return err
}

// OpenLink is the link that stands sealed in a mail to the team; empty where
// there is none.
func OpenLink(ring *link.Ring, m Message) (string, error) {
	text, ok := m.Data[sealedLink].(string)
	if !ok {
		return "", nil
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("read the link of a mail: %w", err)
	}
	plain, err := ring.Open(linkLabel, sealed, m.SourceID[:])
	if err != nil {
		return "", fmt.Errorf("open the link of a mail: %w", err)
	}
	return string(plain), nil
}

// systemData are the values of a system mail, with its link where it has one.
func (r *Renderer) systemData(m Message) (map[string]any, error) {
	to, err := OpenLink(r.URLs.Ring, m)
	if err != nil || to == "" {
		return m.Data, err
	}
	data := maps.Clone(m.Data)
	delete(data, sealedLink)
	data["link_url"] = to
	return data, nil
}
