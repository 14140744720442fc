package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"assent/internal/store"
)

// Witness is somebody else's service that countersigns the log's heads after it
// saw that each follows from the one before (C2SP tlog-witness): so that nobody
// can be shown another log than everybody else.
type Witness struct {
	URL      *url.URL // add-checkpoint is below it
	verifier cosigner
}

// ParseWitness reads "https://witness.example/path name+hash+key": an address,
// and the witness's public key for cosignatures (C2SP tlog-cosignature, Ed25519).
func ParseWitness(text string) (Witness, error) {
	address, key, ok := strings.Cut(strings.TrimSpace(text), " ")
	u, err := url.Parse(address)
	if !ok || err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return Witness{}, fmt.Errorf("a witness is an address and a public key, as in https://witness.example name+hash+key, not %q", text)
	}
	v, err := parseCosigner(strings.TrimSpace(key))
	if err != nil {
		return Witness{}, fmt.Errorf("the public key of the witness %s: %w", u.Host, err)
	}
	return Witness{u, v}, nil
}

// cosigner verifies cosignatures; it implements note.Verifier.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

const (
	algCosignature = 4 // Ed25519 cosignature/v1, C2SP tlog-cosignature
	timeSize       = 8 // bytes of Unix seconds before the signature
)

func parseCosigner(text string) (cosigner, error) {
	name, rest, _ := strings.Cut(text, "+")
	hash, key64, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || name == "" || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return cosigner{}, errors.New("it is not name+hash+key of an Ed25519 cosigner")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	c := cosigner{name, binary.BigEndian.Uint32(sum[:]), ed25519.PublicKey(key[1:])}
	if fmt.Sprintf("%08x", c.hash) != hash {
		return cosigner{}, errors.New("its hash does not fit the key")
	}
	return c, nil
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

// Verify checks a cosignature: the time, and the signature over it and the body.
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != timeSize+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return ed25519.Verify(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg), sig[timeSize:])
}

const (
	witnessPace = 2 * time.Second
	witnessTime = 10 * time.Second
	witnessMost = 64 << 10 // bytes of an answer
)

// countersign asks each witness for every head that is shown, for as long as the
// process lives. A witness that does not answer holds nothing up: the next head
// covers what it missed.
func (k *Keeper) countersign(ctx context.Context) {
	known := make([]int64, len(k.Witnesses)) // the size that each has seen
	done := make([]string, len(k.Witnesses))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(witnessPace):
		}
		for i, w := range k.Witnesses {
			if err := k.ask(ctx, w, &known[i], &done[i]); err != nil && ctx.Err() == nil {
				k.Log.Warn("a witness did not countersign", "witness", w.URL.Host, "err", err)
			}
		}
	}
}

// ask has one witness countersign what is shown, if that is new to it.
func (k *Keeper) ask(ctx context.Context, w Witness, known *int64, done *string) error {
	var l Log
	if err := k.DB.Read(ctx, func(tx *store.Tx) (err error) { l, err = Growing(tx); return err }); err != nil {
		return err
	}
	body, _, _ := strings.Cut(l.Shown, "\n\n")
	if l.Shown == "" || body == *done || l.Stopped != "" {
		return nil
	}
	for range 2 { // a second time, when the witness knows another size than we thought
		proof, err := k.consistency(ctx, l, *known)
		if err != nil {
			return err
		}
		signature, size, err := w.add(ctx, *known, proof, l.Shown)
		if err != nil {
			return err
		}
		if signature == "" {
			*known = size
			continue
		}
		*known, *done = l.ShownSize, body
		return k.DB.Write(ctx, func(tx *store.Tx) error { return addSignature(tx, l, signature) })
	}
	return errors.New("it says that it knows another size each time")
}

func (k *Keeper) consistency(ctx context.Context, l Log, from int64) (proof tlog.TreeProof, err error) {
	if from == 0 || from >= l.ShownSize {
		return nil, nil
	}
	err = k.DB.Read(ctx, func(tx *store.Tx) error {
		proof, err = tlog.ProveTree(l.ShownSize, from, tilesOf(tx, l.Number))
		return err
	})
	return proof, err
}

// add is the call add-checkpoint. Instead of a signature it may answer the size
// that the witness has seen.
func (w Witness) add(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint string) (signature string, size int64, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h[:]))
	}
	b.WriteString("\n" + checkpoint)
	ctx, cancel := context.WithTimeout(ctx, witnessTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL.JoinPath("add-checkpoint").String(), &b)
	if err != nil {
		return "", 0, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, witnessMost))
	if err != nil {
		return "", 0, err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return w.signature(checkpoint, string(text))
	case http.StatusConflict:
		if size, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil || size < 0 {
			return "", 0, fmt.Errorf("it answers conflict without a size: %q", text)
		}
		return "", size, nil
	}
	return "", 0, fmt.Errorf("it answers %s", answer.Status)
}

// signature takes the witness's line out of its answer, once it holds.
func (w Witness) signature(checkpoint, lines string) (string, int64, error) {
	body, _, _ := strings.Cut(checkpoint, "\n\n")
	n, err := note.Open([]byte(body+"\n\n"+lines), note.VerifierList(w.verifier))
	if err != nil {
		return "", 0, fmt.Errorf("its signature does not hold: %w", err)
	}
	s := n.Sigs[0]
	return fmt.Sprintf("— %s %s\n", s.Name, s.Base64), 0, nil
}

// addSignature puts a cosignature below the shown checkpoint, if that is still
// the one that was countersigned, in place of an earlier one by the same key.
func addSignature(tx *store.Tx, l Log, signature string) error {
	now, err := one(tx, "number = ?", tx.ForUpdate(), l.Number)
	if err != nil {
		return err
	}
	if now.ShownSize != l.ShownSize {
		return nil
	}
	text, signatures, _ := strings.Cut(now.Shown, "\n\n")
	shown := text + "\n\n"
	for line := range strings.Lines(signatures) {
		if keyOf(line) != keyOf(signature) {
			shown += line
		}
	}
	if _, err := tx.Run("UPDATE logs SET shown = ? WHERE number = ?", shown+signature, l.Number); err != nil {
		return fmt.Errorf("keep a witness's signature: %w", err)
	}
	return nil
}

// keyOf is the beginning of a signature's line that names its key: the name and
// the four bytes of its hash (C2SP signed-note).
func keyOf(line string) string {
	name, signature, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(signature, "\n"))
	if err != nil || len(raw) < 4 {
		return line
	}
	return fmt.Sprintf("%s+%08x", name, raw[:4])
}
