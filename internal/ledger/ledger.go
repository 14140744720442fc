// Package ledger is the log that makes the record of consent verifiable by
// anyone: a Merkle tree (RFC 6962 §2.1) over the leaves of consent events and
// changes, whose head is signed (C2SP signed-note, tlog-checkpoint) and which is
// served as tiles (C2SP tlog-tiles).
//
// An event commits with its leaf and a row of log_pending, in the transaction of
// what happened. One process at a time, whoever holds the row of logs, gives
// pending events their places:
//
//	log_pending ─► log_entries, log_tiles, logs.size, logs.checkpoint   one transaction
//	            ─► the file outside the database                       fsync
//	            ─► logs.shown, what the world may see                   a second transaction
//
// So a checkpoint is shown to nobody before it is kept outside the database, and
// whatever the process is killed in between, what was shown is never
// contradicted: a head that was signed and not shown binds nobody.
//
// It promises: two heads of one origin that were ever shown are consistent. A
// database that is older than the file outside, or whose tree is another, is not
// signed on: the log stops with the reason, and sending stops with it. Restart
// then ends the log and begins one of another origin.
//
//	(none) ─► growing ─► stopped ─► ended
//	             └──────────────────▲ a restore
package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/problem"
	"assent/internal/store"
)

// Log is one log of the installation. Only the newest grows.
type Log struct {
	Number     int
	Origin     string
	Key        []byte // sealed
	Verifier   string // the public key, as the note package reads it
	Size       int64
	Root       []byte
	Checkpoint string // signed, of Size; empty before the first
	Shown      string // the newest that anybody may see; empty before the first
	ShownSize  int64
	Stopped    string // why nothing may be signed; empty: it may
	BeganAt    time.Time
	SignedAt   *time.Time
	EndedAt    *time.Time
}

// TableName implements gorm's Tabler.
func (Log) TableName() string { return "logs" }

func (l Log) tree() (tlog.Tree, error) {
	h, err := hash(l.Root)
	return tlog.Tree{N: l.Size, Hash: h}, err
}

func hash(b []byte) (h tlog.Hash, err error) {
	if len(b) != tlog.HashSize {
		return h, fmt.Errorf("a hash has %d bytes, want %d", len(b), tlog.HashSize)
	}
	return tlog.Hash(b), nil
}

const keyLabel = "log key"

// OriginOf names the first log of an installation: its host and path, with /log.
func OriginOf(public *url.URL) string {
	return public.Host + strings.TrimSuffix(public.Path, "/") + "/log"
}

// Begin makes the first log, where there is none. It does nothing else.
func Begin(tx *store.Tx, origin string) error {
	var n int64
	if err := tx.Raw("SELECT count(*) FROM logs").Scan(&n).Error; err != nil || n > 0 {
		return err
	}
	return begin(tx, 1, origin)
}

func begin(tx *store.Tx, number int, origin string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make the log's key: %w", err)
	}
	sealed, err := tx.Ring().Seal(keyLabel, private.Seed(), []byte(origin))
	if err != nil {
		return fmt.Errorf("seal the log's key: %w", err)
	}
	verifier, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		return fmt.Errorf("name the log %q: %w", origin, err)
	}
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return err
	}
	_, err = tx.Run(`INSERT INTO logs (number, origin, key, verifier, size, root, checkpoint, shown, shown_size, began_at)
		VALUES (?, ?, ?, ?, 0, ?, '', '', 0, ?) ON CONFLICT DO NOTHING`, number, origin, sealed, verifier, empty[:], tx.Now())
	if err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	return nil
}

// Growing reads the log that grows; problem.NotFound before the first process with workers ran.
func Growing(tx *store.Tx) (Log, error) { return one(tx, "ended_at IS NULL", "") }

// Find reads a log by its number.
func Find(tx *store.Tx, number int) (Log, error) { return one(tx, "number = ?", "", number) }

// All are the logs, the oldest first.
func All(tx *store.Tx) ([]Log, error) {
	var all []Log
	if err := tx.Order("number").Find(&all).Error; err != nil {
		return nil, fmt.Errorf("read the logs: %w", err)
	}
	return all, nil
}

func one(tx *store.Tx, where, lock string, args ...any) (Log, error) {
	var rows []Log
	if err := tx.Raw("SELECT * FROM logs WHERE "+where+lock, args...).Scan(&rows).Error; err != nil {
		return Log{}, fmt.Errorf("read the log: %w", err)
	}
	if len(rows) == 0 {
		return Log{}, problem.New(problem.NotFound, "ledger.no-log")
	}
	return rows[0], nil
}

// Head is what a checkpoint says.
type Head struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// text is the body of a checkpoint (C2SP tlog-checkpoint).
func (h Head) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", h.Origin, h.Size, base64.StdEncoding.EncodeToString(h.Root[:]))
}

// ReadHead reads a checkpoint's body. It trusts whoever gives it: see OpenCheckpoint.
func ReadHead(checkpoint string) (Head, error) {
	lines := strings.SplitN(checkpoint, "\n", 4)
	if len(lines) < 4 {
		return Head{}, fmt.Errorf("a checkpoint has three lines at least, this has %d", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Head{}, fmt.Errorf("the size of a checkpoint is %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Head{}, fmt.Errorf("the root of a checkpoint: %w", err)
	}
	return Head{lines[0], size, root}, nil
}

// OpenCheckpoint reads a checkpoint that the key of verifier signed.
func OpenCheckpoint(checkpoint, verifier string) (Head, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Head{}, fmt.Errorf("read the log's public key: %w", err)
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(v))
	if err != nil {
		return Head{}, fmt.Errorf("check the checkpoint's signature: %w", err)
	}
	h, err := ReadHead(n.Text)
	if err == nil && h.Origin != v.Name() {
		err = fmt.Errorf("the checkpoint is of %q, the key of %q", h.Origin, v.Name())
	}
	return h, err
}

// signer opens the log's key.
func (l Log) signer(tx *store.Tx) (note.Signer, error) {
	seed, err := tx.Ring().Open(keyLabel, l.Key, []byte(l.Origin))
	if err != nil {
		return nil, fmt.Errorf("open the log's key: %w", err)
	}
	v, err := note.NewVerifier(l.Verifier)
	if err != nil {
		return nil, fmt.Errorf("read the log's public key: %w", err)
	}
	return signer{ed25519.NewKeyFromSeed(seed), v}, nil
}

// signer signs notes as note.NewSigner does, from a key that is never text.
type signer struct {
	key ed25519.PrivateKey
	v   note.Verifier
}

func (s signer) Name() string                    { return s.v.Name() }
func (s signer) KeyHash() uint32                 { return s.v.KeyHash() }
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }
