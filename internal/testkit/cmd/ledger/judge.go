package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"assent/internal/testkit"
)

// judge counts over both databases.
type judge struct {
	events, writers int
	fsck            string

	recorded, proofs, tampered, named int
	unsound                           bool
}

// court is one running program.
type court struct {
	testing.TB
	*judge
	service  *testkit.Service
	database string // URL
	postgres bool
	api      testkit.API
	key      string // of the log
	witness  *testkit.Witness
}

const (
	topic = "letter"
	words = "Yes, write to me."
)

func (j *judge) judge(tb testing.TB, pair string, n int) {
	c := &court{TB: tb, judge: j, postgres: pair == "postgres"}
	c.witness = testkit.StartWitness(tb)
	o := testkit.ServiceOptions{SMTP: testkit.SMTP(tb).URL, Env: []string{"ASSENT_WITNESSES=" + c.witness.Setting()}}
	if c.postgres {
		pg := testkit.PostgresServer(tb, testkit.Durable())
		o.Database, o.Redis = pg.URL, testkit.RedisServer(tb).URL
	}
	c.service = testkit.NewService(tb, o)
	c.database = o.Database
	if !c.postgres {
		c.database = "sqlite:" + filepath.Join(c.service.Dir, "assent.db")
	}
	c.api = testkit.API{Base: c.service.Base, Key: c.service.Key(tb)}
	c.api.Must(tb, "POST", "/brands", map[string]any{"slug": "court", "name": "Court", "postal_address": "1 Court Street\nLeeds",
		"sender_email": "post@court.example", "language": "en", "time_zone": "Europe/London"}, nil)
	c.api.Brand = "court"
	c.api.Must(tb, "POST", "/topics", map[string]any{"slug": topic, "texts": map[string]any{"en": map[string]any{"name": "Letter", "wording": words}}}, nil)
	c.key = strings.TrimSpace(string(c.get("/log/key")))
	c.witness.Trust(tb, c.key)

	ids := c.record(n)
	leaves := c.everyOneIn(ids)
	c.prove(leaves)
	c.runFsck()
	c.latency()
	c.witnessed()
	c.behind()
	c.older()
}

func (c *court) get(path string) []byte {
	c.Helper()
	res, err := http.Get(c.service.Base + path)
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.Fatalf("GET %s: %s %s %v", path, res.Status, b, err)
	}
	return b
}

// record has the writers record n events, a hundred a call, and gives their ids.
func (c *court) record(n int) []string {
	c.Helper()
	const atOnce = 100
	var mu sync.Mutex
	var ids []string
	var all sync.WaitGroup
	calls := make(chan int, n/atOnce)
	for i := range n / atOnce {
		calls <- i
	}
	close(calls)
	began := time.Now()
	for range c.writers {
		all.Go(func() {
			for call := range calls {
				got, err := c.write(call*atOnce, atOnce)
				mu.Lock()
				ids = append(ids, got...)
				if err != nil {
					c.Errorf("record: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	size := c.checkpoint().Size
	c.waitFor(uint64(len(ids)))
	fmt.Printf("postgres=%v events=%d per_s=%.0f placed_when_the_last_was_answered=%d all_placed_after_ms=%d\n", c.postgres, len(ids),
		float64(len(ids))/took.Seconds(), size, (time.Since(began) - took).Milliseconds())
	c.recorded += len(ids)
	return ids
}

func (c *court) write(from, n int) ([]string, error) {
	rows := make([]map[string]any, n)
	for i := range rows {
		rows[i] = map[string]any{"email": fmt.Sprintf("person-%07d@example.org", from+i), "language": "en",
			"consents": []map[string]any{{"topic": topic, "basis": "operator", "wording": words, "evidence": map[string]any{"card": fmt.Sprint(from + i)}}}}
	}
	a, err := c.api.Do("POST", "/subscribers/batch", map[string]any{"subscribers": rows})
	if err != nil || a.Status != http.StatusOK {
		return nil, fmt.Errorf("%d %s %w", a.Status, a.Body, err)
	}
	var got struct {
		Rows []struct{ Consents []struct{ ID string } }
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range got.Rows {
		for _, e := range r.Consents {
			ids = append(ids, e.ID)
		}
	}
	return ids, nil
}

func (c *court) checkpoint() *flog.Checkpoint {
	c.Helper()
	res, err := http.Get(c.service.Base + "/log/checkpoint")
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusNotFound {
		return &flog.Checkpoint{}
	}
	return c.open(text)
}

func (c *court) open(text []byte) *flog.Checkpoint {
	c.Helper()
	v, err := note.NewVerifier(c.key)
	if err != nil {
		c.Fatal(err)
	}
	cp, _, _, err := flog.ParseCheckpoint(text, v.Name(), v)
	if err != nil {
		c.Fatalf("the checkpoint %q: %v", text, err)
	}
	return cp
}

const patience = 2 * time.Minute

func (c *court) waitFor(size uint64) {
	c.Helper()
	for end := time.Now().Add(patience); c.checkpoint().Size < size; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("the log shows %d entries, and %d were acknowledged", c.checkpoint().Size, size)
		}
	}
}

// everyOneIn reads the log's entries and looks for every acknowledged event.
func (c *court) everyOneIn(ids []string) [][]byte {
	c.Helper()
	leaves := c.entries(c.checkpoint().Size)
	there := map[string]int{}
	for _, leaf := range leaves {
		var e struct {
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal(leaf, &e); err != nil {
			c.Fatalf("an entry of the log: %v", err)
		}
		there[e.EventID]++
	}
	for _, id := range ids {
		if there[id] != 1 {
			c.Errorf("event %s stands in the log %d times", id, there[id])
		}
	}
	if len(leaves) != len(ids) {
		c.Errorf("the log has %d entries, and %d events were acknowledged", len(leaves), len(ids))
	}
	return leaves
}

func (c *court) entries(size uint64) (leaves [][]byte) {
	c.Helper()
	for n := uint64(0); n*256 < size; n++ {
		b := c.get("/log/tile/entries/" + tilePath(n, min(256, size-n*256)))
		for len(b) > 0 {
			length := int(binary.BigEndian.Uint16(b))
			leaves, b = append(leaves, b[2:2+length]), b[2+length:]
		}
	}
	return leaves
}

func tilePath(n, width uint64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	if width < 256 {
		s += fmt.Sprintf(".p/%d", width)
	}
	return s
}

// prove checks inclusion of entries taken at random, with proofs made from the
// tiles that are served.
func (c *court) prove(leaves [][]byte) {
	c.Helper()
	const some = 1000
	h := rfc6962.DefaultHasher
	cp := c.checkpoint()
	tiles := map[string][]byte{}
	for range some {
		i := rand.Uint64N(cp.Size)
		nodes, err := proof.Inclusion(i, cp.Size)
		if err != nil {
			c.Fatal(err)
		}
		var hashes [][]byte
		for _, id := range nodes.IDs {
			hashes = append(hashes, c.node(tiles, cp.Size, uint64(id.Level), id.Index))
		}
		path, err := nodes.Rehash(hashes, h.HashChildren)
		if err == nil {
			err = proof.VerifyInclusion(h, i, cp.Size, h.HashLeaf(leaves[i]), path, cp.Hash)
		}
		if err != nil {
			c.Errorf("entry %d: %v", i, err)
			continue
		}
		c.proofs++
	}
	fmt.Printf("postgres=%v inclusion_proofs=%d\n", c.postgres, some)
}

// witnessed is how many heads the witness has countersigned, after it checked
// that each follows from the one before.
func (c *court) witnessed() {
	c.Helper()
	end := time.Now().Add(patience)
	for c.witness.Followed() == 0 && time.Now().Before(end) {
		time.Sleep(100 * time.Millisecond)
	}
	n := c.witness.Followed()
	if n == 0 {
		c.Error("the witness has countersigned nothing")
	}
	signed := c.get("/log/checkpoint")
	for !strings.Contains(string(signed), "\n— witness.example ") && time.Now().Before(end) {
		time.Sleep(100 * time.Millisecond)
		signed = c.get("/log/checkpoint")
	}
	if !strings.Contains(string(signed), "\n— witness.example ") {
		c.Errorf("the checkpoint does not have the witness's signature: %s", signed)
	}
	fmt.Printf("postgres=%v consistency_proofs_of_a_witness=%d\n", c.postgres, n)
	c.proofs += n
}

// node is the hash of a node of the tree, from the tiles.
func (c *court) node(tiles map[string][]byte, size, level, index uint64) []byte {
	c.Helper()
	tileLevel, within := level/8, level%8
	first := index << within // among the hashes of the tile's level
	n := first / 256
	width := min(256, size>>(8*tileLevel)-n*256)
	path := fmt.Sprintf("/log/tile/%d/%s", tileLevel, tilePath(n, width))
	b, ok := tiles[path]
	if !ok {
		b = c.get(path)
		tiles[path] = b
	}
	row := make([][]byte, 1<<within)
	for i := range row {
		at := (first%256 + uint64(i)) * sha256.Size
		row[i] = b[at : at+sha256.Size]
	}
	for ; len(row) > 1; row = row[:len(row)/2] {
		for i := range len(row) / 2 {
			row[i] = rfc6962.DefaultHasher.HashChildren(row[2*i], row[2*i+1])
		}
	}
	return row[0]
}

func (c *court) runFsck() {
	c.Helper()
	file := filepath.Join(c.TempDir(), "key")
	if err := os.WriteFile(file, []byte(c.key+"\n"), 0o600); err != nil {
		c.Fatal(err)
	}
	cmd := exec.Command(c.fsck, "--storage_url="+c.service.Base+"/log/", "--public_key="+file, "--ui=false", "--N=8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.unsound = true
		c.Errorf("fsck: %v\n%s", err, out)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fmt.Printf("postgres=%v fsck: %s\n", c.postgres, lines[len(lines)-1])
}

// latency is how long after its answer an act stands under a shown checkpoint,
// while nothing else happens.
func (c *court) latency() {
	c.Helper()
	var took []float64
	for i := range 40 {
		before := c.checkpoint().Size
		if _, err := c.write(10_000_000+i, 1); err != nil {
			c.Fatal(err)
		}
		began := time.Now()
		c.waitFor(before + 1)
		took = append(took, float64(time.Since(began).Milliseconds()))
	}
	slices.Sort(took)
	fmt.Printf("postgres=%v covered_ms p50=%.0f p95=%.0f max=%.0f\n", c.postgres, took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
	if took[len(took)*95/100] > 1000 {
		c.Error("an act is not covered within a second")
	}
}

// verify runs `assent ledger verify` and gives what it says, and whether it found all as it was logged.
func (c *court) verify() (string, bool) {
	out, err := c.service.Run("", "ledger", "verify")
	return out, err == nil
}

// stopped runs f while the service is stopped, and starts it again.
func (c *court) stopped(f func()) {
	c.Helper()
	c.service.Stop()
	f()
	if err := c.service.Start(); err != nil {
		c.Fatal(err)
	}
}

// behind tampers with the database and has the program's audit name the row.
func (c *court) behind() {
	c.Helper()
	c.stopped(func() {
		if out, ok := c.verify(); !ok {
			c.Fatalf("before anything was touched: %s", out)
		}
		began := time.Now()
		c.verify()
		fmt.Printf("postgres=%v verify_s=%.1f\n", c.postgres, time.Since(began).Seconds())
		for _, x := range tamperings {
			c.tampered++
			id, err := c.tamper(x)
			if err != nil {
				c.Errorf("%s: %v", x.name, err)
				continue
			}
			out, ok := c.verify()
			first, _, _ := strings.Cut(out, "\n")
			switch {
			case ok:
				c.Errorf("%s: verify finds nothing", x.name)
			case !strings.Contains(first, id):
				c.Errorf("%s: verify names %q first, want %s", x.name, first, id)
			default:
				c.named++
				fmt.Printf("postgres=%v %s: %s\n", c.postgres, x.name, first)
			}
			if err := c.undo(x); err != nil {
				c.Fatalf("undo %s: %v", x.name, err)
			}
		}
		if out, ok := c.verify(); !ok {
			c.Errorf("after everything was put back: %s", out)
		}
	})
}
