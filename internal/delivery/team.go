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

// TellTeam queues a mail to somebody of the team in the name of a brand.
func TellTeam(tx *store.Tx, brandID uuid.UUID, template, to, language string, data map[string]any) error {
	stream, err := BrandStream(tx, brandID, OriginTest)
	if err != nil {
		return err
	}
	_, _, err = Queue(tx, Draft{Source: tx.NewID(), Stream: stream, Brand: brandID, Kind: Test, Template: template,
		Language: language, Recipient: to, Data: data, Due: tx.Now()})
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

// everSentLooks is how many of the newest mails of a stream are looked at.
const everSentLooks = 50

// EverSent tells whether a mail of the brand was ever accepted by a mail server:
// a marketing mail, or one of the newest confirmations, service and test mails.
// Its cost is bounded, by the indexes on streams and messages.
func EverSent(tx *store.Tx, brandID uuid.UUID) (yes bool, err error) {
	err = tx.Raw("SELECT EXISTS (SELECT 1 FROM tallies t JOIN streams s ON s.id = t.stream_id WHERE s.brand_id = ? AND t.sent > 0)", brandID).Scan(&yes).Error
	for _, origin := range []Origin{OriginConfirm, OriginTest, OriginService} {
		if err != nil || yes {
			break
		}
		err = tx.Raw("SELECT EXISTS (SELECT 1 FROM (SELECT state FROM messages WHERE stream_id = ? ORDER BY id DESC LIMIT ?) newest WHERE state = 'sent')",
			brandStream(brandID, origin), everSentLooks).Scan(&yes).Error
	}
	if err != nil {
		return false, fmt.Errorf("ask whether a brand ever sent: %w", err)
	}
	return yes, nil
}
