// Checks a consent receipt: go run . receipt.json receipt.tlog-proof "the log's public key"
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type object = map[string]any

func main() {
	var receipt, leaf, private object
	var p proof.TLogProof
	must(json.Unmarshal(file(1), &receipt))
	must(p.Unmarshal(file(2)))
	key := get(note.NewVerifier(os.Args[3]))
	head, _, _, err := flog.ParseCheckpoint(p.Checkpoint, key.Name(), key) // signed by the log
	must(err)
	entry, tree := bytes(receipt, "leaf_b64"), rfc6962.DefaultHasher
	must(merkle.VerifyInclusion(tree, p.Index, head.Size, tree.HashLeaf(entry), hashes(p), head.Hash)) // in the log
	must(json.Unmarshal(entry, &leaf))
	fmt.Printf("entry %d of %s, covered by its checkpoint of size %d:\n%s\n", p.Index, key.Name(), head.Size, entry)
	if receipt["evidence_erased"] == true {
		fmt.Println("the person was erased; no more can be said")
		return
	}
	mac := hmac.New(sha256.New, bytes(receipt, "salt_b64"))
	mac.Write(bytes(receipt, "private_b64"))
	same("the evidence", base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), leaf["evidence_commitment"])
	must(json.Unmarshal(bytes(receipt, "private_b64"), &private))
	same("the address", receipt["piiPrincipalId"], private["address"])
	same("the event", receipt["events"].([]any)[0].(object)["event_id"], leaf["event_id"])
	same("the time", receipt["events"].([]any)[0].(object)["event_time"], leaf["event_time"])
	if words := leaf["wording"].(object)["sha256"]; words != nil {
		same("the words", fmt.Sprintf("%x", sha256.Sum256([]byte(receipt["wording_text"].(string)))), words)
	}
	fmt.Printf("%s\n%s\nthe receipt is true\n", bytes(receipt, "private_b64"), receipt["wording_text"])
}

func file(n int) []byte { return get(os.ReadFile(os.Args[n])) }

func bytes(receipt object, name string) []byte {
	text, _ := receipt["ledger"].(object)[name].(string)
	return get(base64.StdEncoding.DecodeString(text))
}

func hashes(p proof.TLogProof) (all [][]byte) {
	for _, h := range p.Hashes {
		all = append(all, h[:])
	}
	return all
}

func same(what string, said, logged any) {
	if said != logged {
		must(fmt.Errorf("%s of the receipt is not what the log has: %v, %v", what, said, logged))
	}
}

func get[T any](v T, err error) T { must(err); return v }

func must(err error) {
	if err != nil {
		fmt.Println("NO:", err)
		os.Exit(1)
	}
}
