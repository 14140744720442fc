package receipt

import (
	"archive/zip"
	_ "embed"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"assent/internal/i18n"
	"assent/internal/importer"
	"assent/internal/ledger"
	"assent/internal/link"
	"assent/internal/store"
)

// Program checks a receipt with its proof and the log's public key, and needs no
// code of ours: what is said of it to third parties is its source.
//
//go:embed testdata/verify/main.go
var Program string

// ProgramFile is what the program is to be called.
const ProgramFile = "main.go"

// Run is what to type to check a receipt with the program.
func Run(key string) string {
	return "go mod init verify && go mod tidy\ngo run . receipt.json receipt.tlog-proof \"" + key + "\""
}

// Audit is what to type to check the whole log at an address, which ends with a slash.
func Audit(log string) string {
	return "go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4\ncurl -so log-key.txt " + log + "key\nfsck --storage_url=" + log + " --public_key=log-key.txt"
}

// folder writes the files of a zip one after the other, all of one time.
type folder struct {
	*zip.Writer
	at time.Time
}

func (f folder) file(name string) (io.Writer, error) {
	return f.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: f.at})
}

func (f folder) put(name string, body []byte) error {
	w, err := f.file(name)
	if err == nil {
		_, err = w.Write(body)
	}
	return err
}

// WritePerson writes all receipts of a person as one zip: for each event its
// receipt, its proof and its leaf, and beside them the log's public key, the
// program that checks them, and a few words in l's language.
func WritePerson(w io.Writer, l *i18n.Localizer, urls link.URLs, all []Receipt, at time.Time) error {
	f := folder{zip.NewWriter(w), at}
	key, waiting := "", 0
	for i, r := range all {
		dir := fmt.Sprintf("%02d-%s-%s/", i+1, r.Topic.Slug, r.Event.State)
		body, err := r.JSON(urls)
		if err != nil {
			return err
		}
		if err := f.put(dir+"receipt.json", body); err != nil {
			return err
		}
		if err := f.put(dir+"leaf.json", r.Event.Leaf); err != nil {
			return err
		}
		if r.Proof == nil {
			waiting++
			continue
		}
		key = r.Proof.Log.Verifier
		if err := f.put(dir+"receipt.tlog-proof", r.Proof.Text()); err != nil {
			return err
		}
	}
	if key != "" {
		if err := f.put("log-key.txt", []byte(key+"\n")); err != nil {
			return err
		}
	}
	if err := f.put("verify/main.go", []byte(Program)); err != nil {
		return err
	}
	lines := []string{l.T("receipt.readme.person"), "", l.T("receipt.readme.folders"), l.T("receipt.readme.personal"), ""}
	if waiting > 0 {
		lines = append(lines, l.N("receipt.readme.waiting", int64(waiting)), "")
	}
	lines = append(lines, l.T("receipt.readme.check"), "    cd verify && go mod init verify && go mod tidy",
		"    go run . ../NN-…/receipt.json ../NN-…/receipt.tlog-proof \"$(cat ../log-key.txt)\"", "", urls.Page("/log"))
	if err := f.put("readme.txt", readme(lines)); err != nil {
		return err
	}
	return f.Close()
}

func readme(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// Sending is one mail that was sent, with the consent it went out on.
type Sending struct {
	Message    uuid.UUID
	Subscriber uuid.UUID
	Email      string // empty once erased
	SentAt     time.Time
	Topic      uuid.UUID
	Event      uuid.UUID
	State      string
	SaidAt     time.Time
	Leaf       []byte
	Proof      *ledger.Proof `gorm:"-"` // nil: the checkpoint does not cover the event
}

// Sendings are the marketing mails of a source that were sent until a time, by
// their ids from after on, each with its proof under what log shows. They walk
// the key of messages, and look up three keys a mail.
func Sendings(tx *store.Tx, brandID, source uuid.UUID, log ledger.Log, until time.Time, after uuid.UUID, limit int) ([]Sending, error) {
	var all []Sending
	err := tx.Raw(`SELECT m.id AS message, m.subscriber_id AS subscriber, s.email, m.settled_at AS sent_at, m.topic_id AS topic,
			m.consent_event_id AS event, e.state, e.occurred_at AS said_at, e.leaf
		FROM messages m JOIN subscribers s ON s.id = m.subscriber_id JOIN consent_events e ON e.id = m.consent_event_id
		WHERE m.source_id = ? AND m.id > ? AND m.brand_id = ? AND m.kind = 'marketing' AND m.state = 'sent' AND m.settled_at <= ?
		ORDER BY m.id LIMIT ?`, source, after, brandID, until, limit).Scan(&all).Error
	if err != nil {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	ids := make([]uuid.UUID, len(all))
	for i, s := range all {
		ids[i] = s.Event
	}
	proofs, err := log.ProveAll(tx, ids)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		if p, ok := proofs[s.Event]; ok {
			all[i].Proof = &p
		}
	}
	return all, nil
}

// Campaign is what WriteCampaign is told.
type Campaign struct {
	Name   string
	Log    ledger.Log
	At     time.Time
	Topics map[uuid.UUID]string // slugs
	// Next gives the mails after one, some at a time; none: that was all. It is
	// asked for all of them twice, and must answer alike.
	Next func(after uuid.UUID) ([]Sending, error)
}

// WriteCampaign writes who got a campaign's mail, and by which consent each, as
// one zip: a table, the proofs of all under one checkpoint, and the checkpoint
// and public key at its top. However many they are, it holds as many as Next
// gives at a time.
func WriteCampaign(w io.Writer, l *i18n.Localizer, urls link.URLs, c Campaign) error {
	f := folder{zip.NewWriter(w), c.At}
	about := readme([]string{l.T("receipt.readme.campaign", "Campaign", c.Name), "", l.T("receipt.readme.mails"), l.T("receipt.readme.proofs"), l.T("receipt.readme.personal"), "",
		l.T("receipt.readme.campaign-check"), "", urls.Page("/log")})
	for _, top := range []struct {
		name string
		body []byte
	}{{"readme.txt", about}, {"checkpoint", []byte(c.Log.Shown)}, {"log-key.txt", []byte(c.Log.Verifier + "\n")}} {
		if err := f.put(top.name, top.body); err != nil {
			return err
		}
	}
	if err := c.mails(f); err != nil {
		return err
	}
	if err := c.proofs(f); err != nil {
		return err
	}
	return f.Close()
}

func (c Campaign) mails(f folder) error {
	w, err := f.file("mails.csv")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\uFEFF"); err != nil { // for spreadsheets
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"message_id", "email", "subscriber_id", "sent_at", "topic", "consent_event_id", "consent_state", "consent_at", "log_index", "leaf_sha256"}); err != nil {
		return err
	}
	err = c.each(func(s Sending) error {
		index := ""
		if s.Proof != nil {
			index = fmt.Sprint(s.Proof.Index)
		}
		hash := LeafHash(s.Leaf)
		return out.Write([]string{s.Message.String(), importer.Plain(s.Email), s.Subscriber.String(), s.SentAt.UTC().Format(timeForm), c.Topics[s.Topic], s.Event.String(),
			s.State, s.SaidAt.UTC().Format(timeForm), index, hex.EncodeToString(hash[:])})
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return err
}

// Line is a line of proofs.ndjson.
type Line struct {
	Event  string   `json:"event"`
	Index  int64    `json:"index"`
	Leaf   []byte   `json:"leaf_b64"`
	Hashes [][]byte `json:"hashes"` // from the leaf up (RFC 6962 §2.1.1)
}

func (c Campaign) proofs(f folder) error {
	w, err := f.file("proofs.ndjson")
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	return c.each(func(s Sending) error {
		if s.Proof == nil {
			return nil
		}
		return enc.Encode(s.Line())
	})
}

// Line is the proof of the consent that the mail went out on.
func (s Sending) Line() Line {
	line := Line{Event: s.Event.String(), Index: s.Proof.Index, Leaf: s.Leaf, Hashes: [][]byte{}}
	for _, h := range s.Proof.Hashes {
		line.Hashes = append(line.Hashes, h[:])
	}
	return line
}

func (c Campaign) each(do func(Sending) error) error {
	for after := uuid.Nil; ; {
		some, err := c.Next(after)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, s := range some {
			if err := do(s); err != nil {
				return err
			}
		}
		after = some[len(some)-1].Message
	}
}
