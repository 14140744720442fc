package testkit

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// Witness countersigns checkpoints (C2SP tlog-witness) after it has checked that
// each follows from the one before.
type Witness struct {
	server *httptest.Server
	signer *fnote.Signer
	key    string

	mu     sync.Mutex
	log    note.Verifier
	last   flog.Checkpoint
	signed int
	wrong  []string
}

// StartWitness runs one until the test ends, which fails if the witness was shown
// two logs.
func StartWitness(tb testing.TB) *Witness {
	secret, public, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Witness{}
	if w.signer, err = fnote.NewSignerForCosignatureV1(secret); err != nil {
		tb.Fatal(err)
	}
	if w.key, err = fnote.VKeyToCosignatureV1(public); err != nil {
		tb.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.answer))
	tb.Cleanup(func() {
		w.server.Close()
		for _, what := range w.wrong {
			tb.Errorf("the witness: %s", what)
		}
	})
	return w
}

// Setting is its address and key, as ASSENT_WITNESSES has them.
func (w *Witness) Setting() string { return w.server.URL + "/w " + w.key }

// Trust has it countersign the log of a public key, and no other.
func (w *Witness) Trust(tb testing.TB, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, err := note.NewVerifier(key)
	if err != nil {
		tb.Fatal(err)
	}
	w.log = v
}

// Followed is how many heads it has countersigned that follow from another.
func (w *Witness) Followed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signed
}

func (w *Witness) answer(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/w/add-checkpoint" {
		http.Error(out, "no", http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		http.Error(out, "unknown log", http.StatusNotFound)
		return
	}
	signature, status := w.add(body)
	out.WriteHeader(status)
	out.Write(signature)
}

func (w *Witness) add(body []byte) ([]byte, int) {
	head, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	var old uint64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil {
		return nil, http.StatusBadRequest
	}
	if old != w.last.Size {
		return fmt.Appendf(nil, "%d\n", w.last.Size), http.StatusConflict
	}
	cp, _, n, err := flog.ParseCheckpoint(checkpoint, w.log.Name(), w.log)
	if err != nil {
		w.wrong = append(w.wrong, err.Error())
		return nil, http.StatusForbidden
	}
	if old > 0 {
		var hashes [][]byte
		for _, l := range lines[1:] {
			h, err := base64.StdEncoding.DecodeString(l)
			if err != nil {
				return nil, http.StatusBadRequest
			}
			hashes = append(hashes, h)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, cp.Size, hashes, w.last.Hash, cp.Hash); err != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("from %d to %d: %v", old, cp.Size, err))
			return nil, http.StatusUnprocessableEntity
		}
		w.signed++
	}
	w.last = *cp
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		w.wrong = append(w.wrong, err.Error())
		return nil, http.StatusInternalServerError
	}
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return []byte(line), http.StatusOK
}
